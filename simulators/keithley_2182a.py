"""Front panel of the Keithley 2182A nanovoltmeter.

Command set after the 2182/2182A user's manual (SCPI, section 11 on the serial port) and pymeasure 0.16's driver.
The terminator of its replies is selectable, as on the real one's menu.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from ..core.errors import ConfigError
from .circuit import Leads, parse_wiring
from .nanovolt import LINE_Hz, NanovoltInput
from .reading_buffer import READING_AVAILABLE, ReadingBuffer, Statistics
from .scpi import Choice, Number, ScpiPanel
from .scpi_grammar import INFINITE, SWITCH, Refused, arguments_of, unquoted, value_of, word_of
from .world import World

_RANGES_V = {1: (0.01, 0.1, 1.0, 10.0, 100.0), 2: (0.1, 1.0, 10.0)}
_LARGEST_V = {1: 120.0, 2: 12.0}
_TERMINATORS = {"lf": b"\n", "cr": b"\r", "crlf": b"\r\n", "lfcr": b"\n\r"}
# A conversion's own overhead: settling, calculation.
_OVERHEAD_s = 5e-3
_READING_OVERFLOW = 1
_THERMOCOUPLES = ("B", "E", "J", "K", "N", "R", "S", "T")
# Slopes near room temperature (V/K): ITS-90 tables, between 20 and 30 °C.
_SLOPES_V_per_K: dict[str, float] = dict(
    zip(_THERMOCOUPLES, (1e-7, 61e-6, 52e-6, 40.5e-6, 26.6e-6, 6e-6, 6e-6, 41e-6), strict=True)
)
_INSIDE_C = 26.5
_LONGEST_SERIES = 1024


def _per_channel() -> tuple[tuple[Number, ...], tuple[Choice, ...]]:
    numbers: list[Number] = []
    choices: list[Choice] = []
    for channel in (1, 2):
        node = f"SENSe#? VOLTage DC? CHANnel{channel}" + ("?" if channel == 1 else "")
        largest = _LARGEST_V[channel]
        numbers += [
            Number(f"range{channel}", f"{node} RANGe UPPer?", 0.0, largest, _RANGES_V[channel][-1]),
            Number(f"reference{channel}", f"{node} REFerence", -largest, largest, 0.0),
            Number(f"count{channel}", f"{node} DFILter COUNt", 1, 100, 10, "d"),
            Number(f"window{channel}", f"{node} DFILter WINDow", 0, 10, 0.01, ".2f"),
            Number(f"treference{channel}", f"SENSe#? TEMPerature CHANnel{channel} REFerence", -273.0, 1800.0, 0.0),
        ]
        choices += [
            Choice(f"auto{channel}", f"{node} RANGe AUTO", SWITCH, "1"),
            Choice(f"relative{channel}", f"{node} REFerence STATe", SWITCH, "0"),
            Choice(f"filter{channel}", f"{node} DFILter STATe?", SWITCH, "0"),
            Choice(f"control{channel}", f"{node} DFILter TCONtrol", ("MOVing", "REPeat"), "MOV"),
            Choice(f"analog{channel}", f"{node} LPASs STATe?", SWITCH, "0"),
            Choice(f"trelative{channel}", f"SENSe#? TEMPerature CHANnel{channel} REFerence STATe", SWITCH, "0"),
        ]
    return tuple(numbers), tuple(choices)


_CHANNEL_NUMBERS, _CHANNEL_CHOICES = _per_channel()


class Keithley2182A(ScpiPanel):
    """The nanovoltmeter at two of the contacts; a second pair in `wiring` is channel 2's, which is open otherwise.

    `terminator` ends its replies: `lf`, `cr`, `crlf` or `lfcr`.
    """

    model: ClassVar[str] = "2182A"
    firmware: str = "C06"
    identity: ClassVar[str] = "KEITHLEY INSTRUMENTS INC.,MODEL 2182A,1234567,{firmware}  /A02"
    reply_end: ClassVar[bytes] = b"\n"
    latency_s: ClassVar[float] = 0.01
    inferred: ClassVar[tuple[str, ...]] = (
        "Noise densities, the 1/f corner and what the mains leaves at fractions of a line cycle are of the usual size.",
        "With autozero a reading takes two conversions, without it one; a conversion has 5 ms of overhead.",
        "A reading is of the moment that its query arrives at, and comes when it would be finished.",
        "After power-on it measures all the time; INIT is then error -213.",
        "READ? with continuous initiation on is answered; with the bus as trigger it is error -214.",
        "Triggers from the trigger link and the front key never come.",
        "An open input wanders within some millivolts.",
        "Thermocouples are straight lines through the temperature of the terminals.",
    )
    messages: ClassVar[Mapping[int, str]] = {**ScpiPanel.messages, -214: "Trigger deadlock"}
    numbers: ClassVar[tuple[Number, ...]] = (
        *_CHANNEL_NUMBERS,
        Number("nplc", "SENSe#? VOLTage DC? NPLCycles", 0.01, 50.0, 5.0, ".2f"),
        Number("tnplc", "SENSe#? TEMPerature NPLCycles", 0.01, 50.0, 5.0, ".2f"),
        Number("digits", "SENSe#? VOLTage DC? DIGits", 3.5, 8, 8, "d"),
        Number("simulated", "SENSe#? TEMPerature RJUNction SIMulated", 0.0, 60.0, 23.0, ".2f"),
        Number("triggers", "TRIGger SEQuence#? COUNt", 1, 9999, 1, "d", infinite=True),
        Number("samples", "SAMPle COUNt", 1, 1024, 1, "d"),
        Number("delay", "TRIGger SEQuence#? DELay", 0.0, 999999.999, 0.0),
        Number("timer", "TRIGger SEQuence#? TIMer", 0.0, 999999.999, 0.1),
    )
    choices: ClassVar[tuple[Choice, ...]] = (
        *_CHANNEL_CHOICES,
        Choice("channel", "SENSe#? CHANnel", ("0", "1", "2"), "1"),
        Choice("thermocouple", "SENSe#? TEMPerature TCouple TYPE?", _THERMOCOUPLES, "J"),
        Choice("thermocouple", "SENSe#? TEMPerature TC", _THERMOCOUPLES, "J"),
        Choice("junction", "SENSe#? TEMPerature RJUNction RSELect", ("SIMulated", "INTernal"), "INT"),
        Choice("source", "TRIGger SEQuence#? SOURce", ("IMMediate", "TIMer", "MANual", "BUS", "EXTernal"), "IMM"),
        Choice("autodelay", "TRIGger SEQuence#? DELay AUTO", SWITCH, "1"),
        Choice("autozero", "SYSTem AZERo STATe?", SWITCH, "1"),
        Choice("frontzero", "SYSTem FAZero STATe?", SWITCH, "1"),
        Choice("linesync", "SYSTem LSYNc STATe?", SWITCH, "0"),
        Choice("display", "DISPlay ENABle", SWITCH, "1"),
        Choice("unit", "UNIT TEMPerature", ("C", "F", "K"), "C"),
        Choice("data", "FORMat DATA?", ("ASCii", "SREal", "REAL", "DREal"), "ASC"),
    )

    def __init__(self, world: World, name: str, wiring: str = "", *, terminator: str = "lf") -> None:
        if terminator not in _TERMINATORS:
            raise ConfigError(f"{name}: no terminator {terminator!r}", do=f"one of {', '.join(_TERMINATORS)}")
        self._end = _TERMINATORS[terminator]
        pairs = parse_wiring(wiring, name)
        self._leads: dict[int, Leads | None] = {1: pairs[0] if pairs else None}
        if len(pairs) > 1:
            self._leads[2] = pairs[1]
        self._inputs = {
            channel: NanovoltInput(world.stream(f"nanovoltmeter {name} {channel}"), world.clock.now())
            for channel in (1, 2)
        }
        super().__init__(world, name, wiring)
        self._timer = world.timer(self._ring)
        self._buffer = ReadingBuffer[float](100, self.registers["MEASurement"])
        self._buffer.serve(
            self, 1024, ("SENSe", "SENSe1", "CALCulate", "CALCulate1", "NONE"), lambda _, value: _printed(value), "SENS"
        )
        Statistics(self, "CALCulate2", lambda: [self._buffer.readings])
        self._register()
        self._continuous = True
        world.circuit.nanovoltmeters[name] = self

    def receive(self, line: bytes) -> bytes:
        """One command line; the reply ends as the menu says."""
        reply = super().receive(line)
        return reply.removesuffix(self.reply_end) + self._end if reply else reply

    def reset(self) -> None:
        """Do *RST: idle, channel 1, volts, 5 line cycles, autorange."""
        super().reset()
        self._function = "VOLT:DC"
        self._latest: float | None = None
        self._continuous = False
        self._waiting = self._due = 0
        self._averaged: list[float] = []

    def _register(self) -> None:
        self.on("SENSe#? FUNCtion", lambda _: f'"{self._function}"', self._set_function)
        self.on("SENSe#? DATA LATest?", self._fetch)
        self.on("SENSe#? DATA FRESh", self._fetch)
        self.on("SENSe#? TEMPerature RTEMperature", lambda _: f"{_INSIDE_C:.2f}")
        self.on("SENSe#? VOLTage DC? APERture", lambda _: f"{self.values['nplc'] / LINE_Hz:.6E}", self._set_aperture)
        self.on("READ", self._read)
        self.on("FETCh", self._fetch)
        self.on("CONFigure", lambda _: f'"{self._function}"')
        for node, function in (("VOLTage DC?", "VOLT"), ("TEMPerature", "TEMP")):
            self.on(f"MEASure {node}", partial(self._measure, function))
            self.on(f"CONFigure {node}", order=partial(self._configure, function))
        self.on("INITiate IMMediate?", order=lambda _: self._initiate())
        self.on("INITiate CONTinuous", lambda _: str(int(self._continuous)), self._set_continuous)
        self.on("ABORt", order=lambda _: self._abort())
        self.on("FORMat ELEMents", lambda _: "READ", lambda _: None)
        self.on("SYSTem LFRequency", lambda _: f"{LINE_Hz:.0f}")
        self.on("SYSTem PRESet", order=lambda _: self._preset_front())
        for command in ("SYSTem LOCal", "SYSTem REMote", "SYSTem RWLock", "SYSTem BEEPer STATe"):
            self.on(command, order=lambda _: None)
        for channel in (1, 2):
            volts = f"SENSe#? VOLTage DC? CHANnel{channel}" + ("?" if channel == 1 else "")
            self.on(f"{volts} REFerence ACQuire", order=partial(self._acquire, "reference", channel))
            kelvin = f"SENSe#? TEMPerature CHANnel{channel}"
            self.on(f"{kelvin} REFerence ACQuire", order=partial(self._acquire, "treference", channel))

    # Settings with consequences

    def set_number(self, number: Number, argument: str) -> None:
        """A range of one's own switches autorange off, and becomes the smallest that holds it."""
        super().set_number(number, argument)
        if number.key in ("range1", "range2"):
            channel = int(number.key[-1])
            self.words[f"auto{channel}"] = "0"
            self.values[number.key] = _range_for(channel, self.values[number.key])

    def _set_function(self, argument: str) -> None:
        word = unquoted(argument)
        self._function = {"VOLT": "VOLT:DC", "TEMP": "TEMP"}[
            word_of(word.partition(":")[0], ("VOLTage", "TEMPerature"))
        ]
        self._averaged.clear()

    def _set_aperture(self, argument: str) -> None:
        self.values["nplc"] = LINE_Hz * value_of(argument, 0.01 / LINE_Hz, 1.0)

    def _set_continuous(self, argument: str) -> None:
        self._continuous = word_of(argument, SWITCH) == "1"

    def _acquire(self, key: str, channel: int, _argument: str) -> None:
        self.values[f"{key}{channel}"] = self._convert() if int(self.words["channel"]) == channel else 0.0

    # Readings

    def reading_s(self) -> float:
        """How long one reading takes now."""
        nplc = self.values["nplc" if self._function == "VOLT:DC" else "tnplc"]
        conversions = 2 if self.words["autozero"] == "1" else 1
        filtered = self.values["count1"] if self.words["filter1"] == "1" and self.words["control1"] == "REP" else 1.0
        delay_s = self.values["delay"] if self.words["source"] == "IMM" else 0.0
        return delay_s + filtered * conversions * (nplc / LINE_Hz + _OVERHEAD_s)

    def conversion_s(self) -> float:
        """How long one conversion takes now, in delta mode."""
        return self.values["nplc"] / LINE_Hz + _OVERHEAD_s

    def convert(self, channel: int = 1) -> float:
        """What channel's converter gives now (V), at the laboratory's present time; infinite over its range."""
        world = self.world
        leads = self._leads.get(channel, _NOWHERE)
        volts, density = None, 0.0
        if leads is not _NOWHERE:
            volts = world.circuit.voltage(leads)
            density = world.circuit.noise_density(leads, world.cryostat.sample_K)
        if self.words[f"auto{channel}"] == "1":
            # An input that nothing holds swings beyond the smallest range.
            self.values[f"range{channel}"] = _range_for(channel, 0.01 if volts is None else abs(volts) / 1.1)
        return self._inputs[channel].convert(
            volts, self.values[f"range{channel}"], self.values["nplc"], density, world.now()
        )

    def _convert(self) -> float:
        channel = int(self.words["channel"])
        if channel == 0:
            return _INSIDE_C
        count = int(self.values[f"count{channel}"]) if self.words[f"filter{channel}"] == "1" else 1
        if self.words[f"control{channel}"] == "REP":
            self._averaged = [self.convert(channel) for _ in range(count)]
        else:
            self._averaged = [*self._averaged, self.convert(channel)][-count:]
        volts = sum(self._averaged) / len(self._averaged)
        if self._function == "VOLT:DC":
            return volts
        base = _INSIDE_C if self.words["junction"] == "INT" else self.values["simulated"]
        celsius = base + volts / _SLOPES_V_per_K[self.words["thermocouple"]]
        return {"C": celsius, "F": 1.8 * celsius + 32.0, "K": celsius + 273.15}[self.words["unit"]]

    def _take(self) -> float:
        """One reading as it is shown and stored."""
        value = self._convert()
        channel = self.words["channel"]
        volts = self._function == "VOLT:DC"
        if channel != "0" and self.words[("relative" if volts else "trelative") + channel] == "1":
            value -= self.values[("reference" if volts else "treference") + channel]
        events = self.registers["MEASurement"]
        events.happen(READING_AVAILABLE | (_READING_OVERFLOW if math.isinf(value) else 0))
        self._latest = value
        self._buffer.store(value)
        return value

    def _read(self, _argument: str) -> str:
        if self.words["source"] not in ("IMM", "TIM"):
            raise Refused(-214)
        self._abort()
        self.world.advance()
        count = int(min(self.values["triggers"] * self.values["samples"], _LONGEST_SERIES))
        self.took_s += count * self._spacing_s()
        return ",".join(_printed(self._take()) for _ in range(count))

    def _fetch(self, _argument: str) -> str:
        if self._continuous:
            self.world.advance()
            self._take()
        if self._latest is None:
            raise Refused(-230)
        return _printed(self._latest)

    def _configure(self, function: str, argument: str) -> None:
        self._set_function(f"'{function}'")
        self.values["triggers"] = self.values["samples"] = 1.0
        if given := arguments_of(argument):
            self.values["range1"] = _range_for(1, value_of(given[0], 0.0, 120.0))

    def _measure(self, function: str, argument: str) -> str:
        self._configure(function, argument)
        return self._read("")

    def _spacing_s(self) -> float:
        own_s = self.reading_s()
        return max(own_s, self.values["timer"]) if self.words["source"] == "TIM" else own_s

    # Series in the background, for the buffer

    def _initiate(self) -> None:
        if self._continuous or self._due:
            raise Refused(-213)
        self._waiting = int(min(self.values["triggers"], 1e9))
        if self.words["source"] in ("IMM", "TIM"):
            self._go()

    def triggered(self) -> None:
        """*TRG or a group execute trigger: a reading, if the instrument waits for it."""
        if not self._waiting or self._due or self.words["source"] != "BUS":
            raise Refused(-211)
        self._go()

    def _go(self) -> None:
        self._due = int(self.values["samples"])
        self._timer.due_s = self.world.now() + self._spacing_s()

    def _ring(self) -> None:
        self._take()
        self._due -= 1
        if not self._due:
            self._waiting -= 1
            if self._waiting and self.words["source"] in ("IMM", "TIM"):
                self._due = int(self.values["samples"])
        self._timer.due_s = self._timer.due_s + self._spacing_s() if self._due else math.inf

    def _abort(self) -> None:
        self._waiting = self._due = 0
        self._timer.due_s = math.inf

    def wake(self) -> None:
        """Take the readings that are due."""
        if self._due:
            self.world.advance()

    def clear(self) -> None:
        """A device clear ends a series."""
        self._abort()

    def power_cycle(self) -> None:
        """As after power-on, with an empty buffer."""
        self._abort()
        self._buffer.clear()
        super().power_cycle()
        self._continuous = True

    def _preset_front(self) -> None:
        """The settings for work at the front: as *RST, but it measures all the time."""
        self.reset()
        self._continuous = True


_NOWHERE = Leads(0, 0)


def _range_for(channel: int, volts: float) -> float:
    return next((r for r in _RANGES_V[channel] if volts <= r * (1 + 1e-9)), _RANGES_V[channel][-1])


def _printed(value: float) -> str:
    return f"{math.copysign(INFINITE, value):+.8E}" if math.isinf(value) else f"{value:+.8E}"
