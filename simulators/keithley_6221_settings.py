"""The settings of a Keithley 6221 by their headers: limits, values after *RST, and how they are answered.

After the Model 6220/6221 reference manual, "SCPI reference tables".
"""

import math

from .scpi import Choice, Number
from .scpi_grammar import SWITCH

LARGEST_A = 0.105
SHAPES = ("SINusoid", "RAMP", "SQUare", "ARB0", "ARB1", "ARB2", "ARB3", "ARB4")
_ARM_SOURCES = ("IMMediate", "TIMer", "BUS", "TLINk", "BSTest", "MANual")

NUMBERS: tuple[Number, ...] = (
    Number("current", "SOURce#? CURRent LEVel? IMMediate? AMPLitude?", -LARGEST_A, LARGEST_A, 0.0),
    Number("compliance", "SOURce#? CURRent COMPliance", 0.1, 105.0, 10.0),
    Number("range", "SOURce#? CURRent RANGe", -LARGEST_A, LARGEST_A, 0.1),
    Number("delay", "SOURce#? DELay", 1e-3, 999999.999, 1.0),
    Number("amplitude", "SOURce#? WAVE AMPLitude", 2e-12, LARGEST_A, 1e-3),
    Number("frequency", "SOURce#? WAVE FREQuency", 1e-3, 1e5, 1e3),
    Number("offset", "SOURce#? WAVE OFFSet", -LARGEST_A, LARGEST_A, 0.0),
    Number("duty", "SOURce#? WAVE DCYCle", 0.0, 100.0, 50.0),
    Number("marker_phase", "SOURce#? WAVE PMARker LEVel?", -180.0, 180.0, 180.0),
    Number("marker_line", "SOURce#? WAVE PMARker OLINe", 1, 6, 3, "d"),
    Number("delta_high", "SOURce#? DELTa HIGH", 0.0, LARGEST_A, 1e-5),
    Number("delta_low", "SOURce#? DELTa LOW", -LARGEST_A, 0.0, -1e-5),
    Number("delta_delay", "SOURce#? DELTa DELay", 0.0, 9999.999, 2e-3, infinite=True),
    Number("delta_count", "SOURce#? DELTa COUNt", 1, 65536, math.inf, "d", infinite=True),
    Number("sweep_count", "SOURce#? SWEep COUNt", 1, 65536, 1, "d", infinite=True),
    Number("sweep_points", "SOURce#? SWEep POINts", 1, 65535, 11, "d"),
    Number("start", "SOURce#? CURRent STARt", -LARGEST_A, LARGEST_A, 0.0),
    Number("stop", "SOURce#? CURRent STOP", -LARGEST_A, LARGEST_A, 0.1),
    Number("step", "SOURce#? CURRent STEP", 1e-13, 0.21, 0.01),
    Number("arm_time", "ARM SEQuence#? LAYer#? TIMer", 0.0, 99999.99, 0.1),
    Number("arm_in", "ARM SEQuence#? LAYer#? ILINe", 1, 6, 1, "d"),
    Number("trigger_in", "TRIGger SEQuence#? ILINe", 1, 6, 1, "d"),
    Number("trigger_out", "TRIGger SEQuence#? OLINe", 1, 6, 2, "d"),
)
CHOICES: tuple[Choice, ...] = (
    Choice("output", "OUTPut STATe?", SWITCH, "0"),
    Choice("shield", "OUTPut ISHield", ("OLOW", "GUARd"), "OLOW"),
    Choice("earth", "OUTPut LTEarth", SWITCH, "0"),
    Choice("response", "OUTPut RESPonse", ("FAST", "SLOW"), "FAST"),
    Choice("filter", "SOURce#? CURRent FILTer STATe?", SWITCH, "0"),
    Choice("autorange", "SOURce#? CURRent RANGe AUTO", SWITCH, "0"),
    Choice("function", "SOURce#? WAVE FUNCtion", SHAPES, "SIN"),
    Choice("ranging", "SOURce#? WAVE RANGing", ("BEST", "FIXed"), "BEST"),
    Choice("marker", "SOURce#? WAVE PMARker STATe", SWITCH, "0"),
    Choice("delta_abort", "SOURce#? DELTa CABort", SWITCH, "0"),
    Choice("delta_cold", "SOURce#? DELTa CSWitch", SWITCH, "0"),
    Choice("spacing", "SOURce#? SWEep SPACing", ("LINear", "LOGarithmic", "LIST"), "LIN"),
    Choice("sweep_abort", "SOURce#? SWEep CABort", SWITCH, "0"),
    Choice("sweep_ranging", "SOURce#? SWEep RANGing", ("AUTO", "BEST", "FIXed"), "BEST"),
    Choice("unit", "UNIT VOLTage DC?", ("V", "OHMS", "W", "SIEMens"), "V"),
    Choice("arm_source", "ARM SEQuence#? LAYer#? SOURce", _ARM_SOURCES, "IMM"),
    Choice("trigger_source", "TRIGger SEQuence#? SOURce", ("IMMediate", "TLINk", "BUS"), "IMM"),
    Choice("trigger_output", "TRIGger SEQuence#? OUTPut", ("SOURce", "DELay", "NONE"), "NONE"),
    Choice("stamps", "TRACe TSTamp FORMat", ("ABSolute", "DELTa"), "ABS"),
    Choice("display", "DISPlay ENABle", SWITCH, "1"),
)  # fmt: skip
