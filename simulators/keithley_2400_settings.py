"""The settings of a Keithley 2400 by their headers: limits, values after *RST, and how they are answered.

After the Series 2400 user's manual, "SCPI command reference".
"""

from .scpi import Choice, Number
from .scpi_grammar import SWITCH

# The largest number of readings in a series and in the buffer.
MOST = 2500

NUMBERS: tuple[Number, ...] = (
    Number("volts", "SOURce#? VOLTage LEVel? IMMediate? AMPLitude?", -210.0, 210.0, 0.0),
    Number("amps", "SOURce#? CURRent LEVel? IMMediate? AMPLitude?", -1.05, 1.05, 0.0),
    Number("source_V", "SOURce#? VOLTage RANGe", -210.0, 210.0, 21.0, ".2f"),
    Number("source_A", "SOURce#? CURRent RANGe", -1.05, 1.05, 1.05e-4),
    Number("sense_V", "SENSe#? VOLTage DC? RANGe UPPer?", -210.0, 210.0, 21.0, ".2f"),
    Number("sense_A", "SENSe#? CURRent DC? RANGe UPPer?", -1.05, 1.05, 1.05e-4),
    Number("sense_ohm", "SENSe#? RESistance RANGe UPPer?", 0.0, 2.1e8, 2.1e5),
    Number("limit_V", "SENSe#? VOLTage DC? PROTection LEVel?", -210.0, 210.0, 21.0),
    Number("limit_A", "SENSe#? CURRent DC? PROTection LEVel?", -1.05, 1.05, 1.05e-4),
    Number("protection", "SOURce#? VOLTage PROTection LEVel?", -210.0, 210.0, 210.0),
    Number("nplc", "SENSe#? VOLTage DC? NPLCycles", 0.01, 10.0, 1.0, ".2f"),
    Number("nplc", "SENSe#? CURRent DC? NPLCycles", 0.01, 10.0, 1.0, ".2f"),
    Number("nplc", "SENSe#? RESistance NPLCycles", 0.01, 10.0, 1.0, ".2f"),
    Number("count", "SENSe#? AVERage COUNt", 1, 100, 10, "d"),
    Number("delay", "SOURce#? DELay", 0.0, 999.9999, 1e-3, ".5f"),
    Number("start_V", "SOURce#? VOLTage STARt", -210.0, 210.0, 0.0),
    Number("stop_V", "SOURce#? VOLTage STOP", -210.0, 210.0, 0.0),
    Number("start_A", "SOURce#? CURRent STARt", -1.05, 1.05, 0.0),
    Number("stop_A", "SOURce#? CURRent STOP", -1.05, 1.05, 0.0),
    Number("points", "SOURce#? SWEep POINts", 2, MOST, MOST, "d"),
    Number("triggers", "TRIGger SEQuence#? COUNt", 1, MOST, 1, "d"),
    Number("arms", "ARM SEQuence#? LAYer#? COUNt", 1, MOST, 1, "d", infinite=True),
    Number("trigger_delay", "TRIGger SEQuence#? DELay", 0.0, 999.9999, 0.0, ".5f"),
    Number("arm_timer", "ARM SEQuence#? LAYer#? TIMer", 0.001, 99999.99, 0.1, ".5f"),
    Number("trigger_in", "TRIGger SEQuence#? ILINe", 1, 4, 1, "d"),
    Number("trigger_out", "TRIGger SEQuence#? OLINe", 1, 4, 2, "d"),
    Number("arm_in", "ARM SEQuence#? LAYer#? ILINe", 1, 4, 1, "d"),
    Number("arm_out", "ARM SEQuence#? LAYer#? OLINe", 1, 4, 2, "d"),
    Number("line", "SYSTem LFRequency", 50, 60, 50, "d"),
)
CHOICES: tuple[Choice, ...] = (
    Choice("output", "OUTPut# STATe?", SWITCH, "0"),
    Choice("off_state", "OUTPut# SMODe", ("HIMPedance", "NORMal", "ZERO", "GUARd"), "NORM"),
    Choice("function", "SOURce#? FUNCtion MODE?", ("VOLTage", "CURRent", "MEMory"), "VOLT"),
    Choice("mode_V", "SOURce#? VOLTage MODE", ("FIXed", "LIST", "SWEep"), "FIX"),
    Choice("mode_A", "SOURce#? CURRent MODE", ("FIXed", "LIST", "SWEep"), "FIX"),
    Choice("spacing", "SOURce#? SWEep SPACing", ("LINear", "LOGarithmic"), "LIN"),
    Choice("auto_source_V", "SOURce#? VOLTage RANGe AUTO", SWITCH, "1"),
    Choice("auto_source_A", "SOURce#? CURRent RANGe AUTO", SWITCH, "1"),
    Choice("auto_V", "SENSe#? VOLTage DC? RANGe AUTO", SWITCH, "1"),
    Choice("auto_A", "SENSe#? CURRent DC? RANGe AUTO", SWITCH, "1"),
    Choice("auto_ohm", "SENSe#? RESistance RANGe AUTO", SWITCH, "1"),
    Choice("ohms", "SENSe#? RESistance MODE", ("MANual", "AUTO"), "AUTO"),
    Choice("concurrent", "SENSe#? FUNCtion CONCurrent", SWITCH, "1"),
    Choice("filter", "SENSe#? AVERage STATe?", SWITCH, "0"),
    Choice("control", "SENSe#? AVERage TCONtrol", ("REPeat", "MOVing"), "REP"),
    Choice("autodelay", "SOURce#? DELay AUTO", SWITCH, "1"),
    Choice("autooff", "SOURce#? CLEar AUTO", SWITCH, "0"),
    Choice("remote", "SYSTem RSENse", SWITCH, "0"),
    Choice("auto_line", "SYSTem LFRequency AUTO", SWITCH, "1"),
    Choice("terminals", "ROUTe TERMinals", ("FRONt", "REAR"), "FRON"),
    Choice("display", "DISPlay ENABle", SWITCH, "1"),
    Choice("data", "FORMat DATA?", ("ASCii", "REAL", "SREal"), "ASC"),
    Choice("trigger", "TRIGger SEQuence#? SOURce", ("IMMediate", "TLINk"), "IMM"),
    Choice("trigger_event", "TRIGger SEQuence#? OUTPut", ("SOURce", "DELay", "SENSe", "NONE"), "NONE"),
    Choice(
        "arm",
        "ARM SEQuence#? LAYer#? SOURce",
        ("IMMediate", "TLINk", "TIMer", "MANual", "BUS", "NSTest", "PSTest", "BSTest"),
        "IMM",
    ),
    Choice("arm_event", "ARM SEQuence#? LAYer#? OUTPut", ("TENTer", "TEXit", "NONE"), "NONE"),
)
