"""Front panel of the Keithley 2450 SourceMeter in its native SCPI language.

Command set after the 2450 reference manual, as QCoDeS 0.58 and pymeasure 0.16 drive it: named reading buffers, a
limit for each kind of source, one active measure function.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

from ..core.errors import ConfigError
from .named_buffers import NamedBuffers, Stored
from .nanovolt import LINE_Hz
from .scpi import Choice, Number, ScpiPanel
from .scpi_grammar import SWITCH, Refused, arguments_of, unquoted, value_of, word_of
from .source_measure import Measured, SourceMeter, best_range
from .world import World

_RANGES_V = (0.02, 0.2, 2.0, 20.0, 200.0)
_RANGES_A = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
_RANGES_OHM = (20.0, 200.0, 2e3, 2e4, 2e5, 2e6, 2e7, 2e8)
_FUNCTIONS = {"VOLT": "VOLT:DC", "CURR": "CURR:DC", "RES": "RES"}
_UNITS = {"VOLT": "Volt DC", "CURR": "Amp DC", "RES": "Ohm"}
_LARGEST = {"VOLT": 210.0, "CURR": 1.05}
_LIMITS = {"VOLT": ("ILIMit", "CURR", 1e-9, 1.05e-4), "CURR": ("VLIMit", "VOLT", 0.02, 21.0)}
_OUTPUT_OFF = 5076
_OVERHEAD_s = 1e-3
_MOST = 10000


def _sources() -> tuple[tuple[Number, ...], tuple[Choice, ...]]:
    numbers: list[Number] = []
    choices: list[Choice] = []
    for key, node in (("VOLT", "VOLTage"), ("CURR", "CURRent")):
        source, largest = f"SOURce#? {node}", _LARGEST[key]
        limit, limited, least, initial = _LIMITS[key]
        ranges = _RANGES_V if key == "VOLT" else _RANGES_A
        numbers += [
            Number(f"level {key}", f"{source} LEVel? IMMediate? AMPLitude?", -largest, largest, 0.0, "g"),
            Number(f"range {key}", f"{source} RANGe", -largest, largest, ranges[0], "g"),
            Number(f"limit {key}", f"{source} {limit} LEVel?", least, _LARGEST[limited], initial, "g"),
            Number(f"delay {key}", f"{source} DELay", 0.0, 1e4, 0.0, "g"),
            *(Number(f"user {key} {n}", f"{source} DELay USER{n}", 0.0, 1e4, 0.0, "g") for n in range(1, 6)),
        ]
        choices += [
            Choice(f"auto {key}", f"{source} RANGe AUTO", SWITCH, "1"),
            Choice(f"autodelay {key}", f"{source} DELay AUTO", SWITCH, "1"),
            Choice(f"readback {key}", f"{source} READ BACK", SWITCH, "1"),
            Choice(f"off {key}", f"OUTPut# {node} SMODe", ("HIMPedance", "NORMal", "ZERO", "GUARd"), "NORM"),
            Choice(f"high {key}", f"{source} HIGH CAPacitance", SWITCH, "0"),
        ]
    return tuple(numbers), tuple(choices)


def _meters() -> tuple[tuple[Number, ...], tuple[Choice, ...]]:
    numbers: list[Number] = []
    choices: list[Choice] = []
    for key, node, largest in (
        ("VOLT", "VOLTage DC?", 210.0),
        ("CURR", "CURRent DC?", 1.05),
        ("RES", "RESistance", 2.1e8),
    ):
        sense = f"SENSe#? {node}"
        ranges = {"VOLT": _RANGES_V, "CURR": _RANGES_A, "RES": _RANGES_OHM}[key]
        numbers += [
            Number(f"sense {key}", f"{sense} RANGe UPPer?", -largest, largest, ranges[-1], "g"),
            Number(f"nplc {key}", f"{sense} NPLCycles", 0.01, 10.0, 1.0, "g"),
            Number(f"count {key}", f"{sense} AVERage COUNt", 1, 100, 10, "d"),
            *(Number(f"wait {key} {n}", f"{sense} DELay USER{n}", 0.0, 1e4, 0.0, "g") for n in range(1, 6)),
        ]
        choices += [
            Choice(f"autosense {key}", f"{sense} RANGe AUTO", SWITCH, "1"),
            Choice(f"remote {key}", f"{sense} RSENse", SWITCH, "0"),
            Choice(f"autozero {key}", f"{sense} AZERo STATe?", SWITCH, "1"),
            Choice(f"filter {key}", f"{sense} AVERage STATe?", SWITCH, "0"),
            Choice(f"control {key}", f"{sense} AVERage TCONtrol", ("REPeat", "MOVing"), "REP"),
        ]
    return tuple(numbers), tuple(choices)


class Keithley2450(ScpiPanel):
    """The source-meter; its force leads are the first pair of `wiring`, its sense leads the second.

    `terminals` says whether those leads are on the `front` or on the `rear` ones.
    """

    model: ClassVar[str] = "2450"
    firmware: str = "1.7.12b"
    identity: ClassVar[str] = "KEITHLEY INSTRUMENTS,MODEL 2450,04123456,{firmware}"
    reply_end: ClassVar[bytes] = b"\n"
    latency_s: ClassVar[float] = 0.005
    inferred: ClassVar[tuple[str, ...]] = (
        "Numbers are answered in the shortest form, readings with six decimals and an exponent.",
        "A reading with the output off is error 5076, and its text; behind an error's text stand its kind and time.",
        "Buffers overwrite their oldest reading whatever the fill mode; the status element is always 0.",
        "Series and sweeps are measured at one instant of the laboratory, and have 10 000 readings at most.",
        "Of the trigger model there is only what sweeps need of it.",
        "The limit of the product of volts and amperes is not kept; with the output off the leads are open.",
        "Changes of *LANG take effect after a power cycle; only SCPI is spoken.",
    )
    messages: ClassVar[Mapping[int, str]] = {
        **ScpiPanel.messages, _OUTPUT_OFF: "Output must be on to make a measurement",
    }  # fmt: skip
    summaries: ClassVar[Mapping[str, int]] = {"QUEStionable": 8, "OPERation": 128}
    queue_length: ClassVar[int] = 1000
    numbers: ClassVar[tuple[Number, ...]] = (
        *_sources()[0],
        *_meters()[0],
        Number("series", "SENSe#? COUNt", 1, 300000, 1, "d"),
    )
    choices: ClassVar[tuple[Choice, ...]] = (
        *_sources()[1],
        *_meters()[1],
        Choice("output", "OUTPut# STATe?", SWITCH, "0"),
        Choice("function", "SOURce#? FUNCtion MODE?", ("VOLTage", "CURRent"), "VOLT"),
        Choice("terminals", "ROUTe TERMinals", ("FRONt", "REAR"), "FRON"),
        Choice("format", "FORMat DATA?", ("ASCii", "REAL", "SREal"), "ASC"),
    )

    def __init__(self, world: World, name: str, wiring: str = "", *, terminals: str = "front") -> None:
        if terminals not in ("front", "rear"):
            raise ConfigError(f"{name}: no terminals {terminals!r}", do="terminals are `front` or `rear`")
        self._wired = {"front": "FRON", "rear": "REAR"}[terminals]
        self._meter = SourceMeter(world, name, wiring, _RANGES_V, _RANGES_A, 1e-6)
        super().__init__(world, name, wiring)
        self._buffers = NamedBuffers(self)
        self._register()

    def _register(self) -> None:
        self.on("*LANG", lambda _: "SCPI", lambda argument: _check(word_of(argument, ("SCPI", "TSP", "SCPI2400"))))
        self.on("SENSe#? FUNCtion ON?", lambda _: f'"{_FUNCTIONS[self._function]}"', self._sense)
        self.on("SENSe#? AZERo ONCE", order=lambda _: None)
        self.on("READ", partial(self._read, None))
        self.on("MEASure", partial(self._read, None))
        for node, function in (("VOLTage DC?", "VOLT"), ("CURRent DC?", "CURR"), ("RESistance", "RES")):
            self.on(f"MEASure {node}", partial(self._read, function))
        self.on("FETCh", self._fetch)
        self.on("TRACe TRIGger", order=lambda argument: self._fill(self._name(argument), [None] * self._count()))
        for key, node in (("VOLT", "VOLTage"), ("CURR", "CURRent")):
            self.on(f"SOURce#? {node} {_LIMITS[key][0]} TRIPped", partial(self._tripped, key))
            self.on(f"SOURce#? SWEep {node} LINear", order=partial(self._set_sweep, key))
        self.on("INITiate IMMediate?", order=lambda _: self._initiate())
        self.on("ABORt", order=lambda _: None)
        self.on("STATus CLEar", order=lambda _: self._clear_events())
        self.on("SYSTem LFRequency", lambda _: f"{LINE_Hz:.0f}")
        self.on("SYSTem VERSion", lambda _: "1996.0")
        self.on("SYSTem EVENtlog COUNt", lambda _: str(len(self.errors)))
        self.on("SYSTem EVENtlog NEXT", lambda _: self.next_error())
        self.on("SYSTem ERRor COUNt", lambda _: str(len(self.errors)))
        for command in ("SYSTem BEEPer IMMediate?", "SYSTem BEEPer", "DISPlay CLEar", "DISPlay SCReen", "SYSTem TIME"):
            self.on(command, order=lambda _: None)

    # The source

    def apply(self) -> None:
        """Send out what the settings say."""
        key = self.words["function"]
        self._meter.connect(self.words["terminals"] == self._wired)
        self._meter.drive(
            on=self.words["output"] == "1",
            volts=key == "VOLT",
            level=self.values[f"level {key}"],
            limit=self.values[f"limit {key}"],
            remote=self.words[f"remote {self._function}"] == "1",
        )

    def set_number(self, number: Number, argument: str) -> None:
        """Ranges snap to the instrument's own and end autorange; a level has to fit into a fixed source range."""
        value = value_of(argument, number.low, number.high, number.initial)
        what, _, key = number.key.partition(" ")
        ranges = {"VOLT": _RANGES_V, "CURR": _RANGES_A, "RES": _RANGES_OHM}.get(key, ())
        if what in ("range", "sense"):
            value = best_range(ranges, value)
            self.words[f"{'auto' if what == 'range' else 'autosense'} {key}"] = "0"
        elif what == "level":
            if self.words[f"auto {key}"] == "1":
                self.values[f"range {key}"] = best_range(ranges, value)
            elif abs(value) > 1.05 * self.values[f"range {key}"] * (1 + 1e-9):
                raise Refused(-222)
        elif what == "delay":
            self.words[f"autodelay {key}"] = "0"
        self.values[number.key] = value

    def _tripped(self, key: str, _argument: str) -> str:
        self.world.advance()
        self.world.circuit.solve()
        return str(int(self._meter.source.limited and self.words["function"] == key))

    def _sense(self, argument: str) -> None:
        word = unquoted(argument).partition(":")[0]
        self._function = word_of(word, ("VOLTage", "CURRent", "RESistance"))

    # Measuring

    def _take(self, name: str) -> Stored:
        """One measurement of the active function, into a buffer."""
        buffer = self._buffers.buffer(name)
        function, source = self._function, self.words["function"]
        ranges = {key: self._range(key) for key in ("VOLT", "CURR")}
        cycles = self.values[f"nplc {function}"]
        cycles *= self.values[f"count {function}"] if self.words[f"filter {function}"] == "1" else 1.0
        measured = self._meter.measure(cycles, ranges["VOLT"], ranges["CURR"])
        values: dict[str, Callable[[Measured], float]] = {
            "VOLT": lambda m: m.volts, "CURR": lambda m: m.amps, "RES": lambda m: m.ohms,
        }  # fmt: skip
        sourced = self.values[f"level {source}"]
        if self.words[f"readback {source}"] == "1":
            sourced = values[source](measured)
        at = self.world.clock.utc()
        stored = Stored(
            min(9.9e37, max(-9.9e37, values[function](measured))), _UNITS[function], sourced, _UNITS[source],
            measured.limited, at,
        )  # fmt: skip
        buffer.store(stored)
        zero = 2.0 if self.words[f"autozero {function}"] == "1" else 1.0
        self.took_s += zero * cycles / LINE_Hz + _OVERHEAD_s + self.values[f"delay {source}"]
        return stored

    def _range(self, key: str) -> float | None:
        """The measure range of volts or amperes; what is sourced is measured on the source's own."""
        if key == self.words["function"]:
            return self.values[f"range {key}"]
        automatic = self.words[f"autosense {key}"] == "1" or self._function == "RES"
        return None if automatic else self.values[f"sense {key}"]

    def _fill(self, name: str, levels: list[float | None]) -> None:
        """Measure a series, with levels of its own where a sweep says so; the source goes back afterwards."""
        if self.words["output"] == "0":
            raise Refused(_OUTPUT_OFF)
        self._buffers.buffer(name)
        self.world.advance()
        key = f"level {self.words['function']}"
        programmed = self.values[key]
        for level in levels[:_MOST]:
            if level is not None:
                self.values[key] = level
                self.apply()
            self._take(name)
        self.values[key] = programmed
        self.apply()

    def _count(self) -> int:
        return int(self.values["series"])

    def _read(self, function: str | None, argument: str) -> str:
        if function is not None:
            self._function = function
            self.apply()
        name, elements = self._name(argument), arguments_of(argument)[1:]
        self._fill(name, [None] * self._count())
        buffer = self._buffers.buffer(name)
        return self._buffers.printed(buffer, len(buffer.readings) - 1, elements)

    def _fetch(self, argument: str) -> str:
        buffer = self._buffers.buffer(self._name(argument))
        if not buffer.readings:
            raise Refused(-230)
        return self._buffers.printed(buffer, len(buffer.readings) - 1, arguments_of(argument)[1:])

    @staticmethod
    def _name(argument: str) -> str:
        given = arguments_of(argument)
        return unquoted(given[0]) if given else "defbuffer1"

    # Sweeps

    def _set_sweep(self, key: str, argument: str) -> None:
        """Start, stop, points; then delay, count, range type, fail abort, dual, buffer."""
        given = arguments_of(argument)
        if len(given) < 3:
            raise Refused(-109)
        start, stop = (value_of(text, -_LARGEST[key], _LARGEST[key]) for text in given[:2])
        points = int(value_of(given[2], 2, 1e6))
        if len(given) > 3:
            delay_s = value_of(given[3], -1.0, 1e4)
            self.values[f"delay {key}"] = max(0.0, delay_s)
        count = int(value_of(given[4], 0, 268435455)) if len(given) > 4 else 1
        dual = len(given) > 7 and word_of(given[7], SWITCH) == "1"
        name = unquoted(given[8]) if len(given) > 8 else "defbuffer1"
        self._buffers.buffer(name)
        up: list[float | None] = [start + (stop - start) * k / (points - 1) for k in range(min(points, _MOST))]
        self.words["function"] = key
        self._sweep = (name, (up + up[::-1] if dual else up) * max(1, min(count, _MOST // points)))

    def _initiate(self) -> None:
        if self._sweep is None:
            raise Refused(-221)
        name, levels = self._sweep
        key = self.words["function"]
        largest = max(abs(level) for level in levels if level is not None)
        self.values[f"range {key}"] = best_range(_RANGES_V if key == "VOLT" else _RANGES_A, largest)
        self._fill(name, levels)

    # Status

    def next_error(self) -> str:
        """The oldest event, with its kind and time behind the text."""
        code, _, text = super().next_error().partition(",")
        stamp = self.world.clock.utc().strftime("%Y/%m/%d %H:%M:%S.%f")[:-3] if code != "0" else "0 0"
        return f'{code},"{text.strip(chr(34))};{0 if code == "0" else 1};{stamp}"'

    def _clear_events(self) -> None:
        self.events = 0
        for register in self.registers.values():
            register.event = 0

    def reset(self) -> None:
        """Do *RST: output off, source of volts, meter of amperes."""
        super().reset()
        self._function = "CURR"
        self._sweep: tuple[str, list[float | None]] | None = None

    def power_cycle(self) -> None:
        """As after power-on: only the default buffers, and they are empty."""
        self._buffers.clear()
        super().power_cycle()


def _check(_word: str) -> None:
    """A language that is known; it would be spoken after the next power-on."""
