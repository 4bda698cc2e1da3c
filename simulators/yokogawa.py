"""Front panel of the Yokogawa GS200 DC voltage and current source.

Wire facts from QCoDeS 0.58, pymeasure 0.16 and Lab-Measurement's recorded traffic with a real one (`VOLT`,
`+1.111E+0`, `10E-3`). It ramps by a program of one step whose slope takes the whole interval; what it is set to is
then the new level only at the end.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NoReturn

from .nanovolt import LINE_Hz
from .scpi import Choice, Number, Register, ScpiPanel
from .scpi_grammar import SWITCH, Refused, unquoted, value_of, word_of
from .world import World

_RANGES = {"VOLT": (0.01, 0.1, 1.0, 10.0, 30.0), "CURR": (1e-3, 1e-2, 0.1, 0.2)}
_LARGEST = {"VOLT": 32.0, "CURR": 0.2}
_OVERRANGE = 1.2
# The step of its digital converter in parts of the range; one millivolt and one microampere on the largest ones.
_STEP, _STEPS = 1e-5, {30.0: 1e-3, 0.2: 1e-6}
# "The internal clock is an astonishing 10 Hz": a program's times are multiples of this.
_TICK_s = 0.1
_MOST_STEPS = 10000
# Bits of the extended events and conditions (QCoDeS's names for them)
_SOURCE_CHANGED, _STEP_END, _PROGRAM_END, _READY, _LOW_LIMIT, _HIGH_LIMIT = (1 << bit for bit in (5, 6, 7, 8, 10, 11))
_MEASURED = 1


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of a program."""

    function: str
    range: float
    level: float


class GS200(ScpiPanel):
    """The source at two contacts. `monitor` says whether the measuring option /MON is built in."""

    model: ClassVar[str] = "GS200"
    firmware: str = "2.02"
    identity: ClassVar[str] = "YOKOGAWA,GS210,91T810991,{firmware}"
    reply_end: ClassVar[bytes] = b"\n"
    latency_s: ClassVar[float] = 0.01
    inferred: ClassVar[tuple[str, ...]] = (
        "Limits ±32 V and ±200 mA; 1.2 times the range otherwise. The text of error replies is SCPI's.",
        "While a program is edited, levels become steps and the output stays.",
        "Program times are rounded to 0.1 s. Running a program with the output off is error -221.",
        "A function is not changed while the output is on, nor a range to one that the level does not fit into.",
        "With the output off the leads are open. Limiting sets bits 10 and 11 and does not switch off.",
        "The monitor does not measure on the ranges of 10 and 100 mV; noise is a few millionths of its range.",
        "A step of a program changes function and range at its start.",
    )
    summaries: ClassVar[Mapping[str, int]] = {}
    numbers: ClassVar[tuple[Number, ...]] = (
        Number("limit_V", "SOURce#? PROTection VOLTage", 1.0, 30.0, 30.0, ".0f"),
        Number("limit_A", "SOURce#? PROTection CURRent", 1e-3, 0.2, 0.2, ".3f"),
        Number("interval", "PROGram INTerval", 0.1, 3600.0, 1.0, ".1f"),
        Number("slope", "PROGram SLOPe", 0.0, 3600.0, 0.0, ".1f"),
        Number("nplc", "SENSe#? NPLCycles", 1, 25, 1, "d"),
        Number("delay", "SENSe#? DELay", 0, 999999, 0, "d"),
        Number("repetition", "SENSe#? INTerval", 0.1, 3600.0, 0.1, ".1f"),
    )
    choices: ClassVar[tuple[Choice, ...]] = (
        Choice("output", "OUTPut STATe?", SWITCH, "0"),
        Choice("remote", "SENSe#? REMote", SWITCH, "0"),
        Choice("guard", "SENSe#? GUARd", SWITCH, "0"),
        Choice("sense", "SENSe#? STATe?", SWITCH, "0"),
        Choice("autozero", "SENSe#? ZERO AUTO", SWITCH, "1"),
        Choice("trigger", "SENSe#? TRIGger", ("READy", "TIMer", "COMMunicate", "IMMediate"), "READ"),
        Choice("repeat", "PROGram REPeat", SWITCH, "0"),
        Choice("steps", "PROGram TRIGger", ("NORMal", "MEND"), "NORM"),
        Choice("bnc_out", "ROUTe BNCOut", ("OUTPut", "TRIGger", "READy"), "TRIG"),
        Choice("bnc_in", "ROUTe BNCIn", ("OUTPut", "TRIGger"), "TRIG"),
        Choice("display", "DISPlay STATe?", SWITCH, "1"),
    )

    def __init__(self, world: World, name: str, wiring: str = "", *, monitor: bool = False) -> None:
        self._source = world.circuit.source(wiring, name)
        self._monitor = monitor
        self._noise = world.stream(f"monitor {name}")
        self._extended = Register(2)
        self._files: dict[str, tuple[_Step, ...]] = {}
        self._timer = world.timer(self._ring)
        super().__init__(world, name, wiring)
        self.registers["EXTended"] = self._extended
        self._register()
        world.circuit.listen(self.apply)

    def _register(self) -> None:
        self.on("*OPT", lambda _: "/MON" if self._monitor else "NONE")
        self.on("SOURce#? FUNCtion MODE?", lambda _: self._function, self._set_function)
        self.on("SOURce#? RANGe", lambda _: _engineering(self._range), self._set_range)
        self.on("SOURce#? LEVel FIXed?", lambda _: _level(self._level), self._set_level)
        self.on("SOURce#? LEVel AUTO", order=self._set_automatic)
        self.on("PROGram EDIT STARt", order=lambda _: self._edit())
        self.on("PROGram EDIT END", order=lambda _: self._end_edit())
        self.on("PROGram RUN", order=lambda _: self._run())
        self.on("PROGram HOLD", order=lambda _: self._pause(not self._paused))
        self.on("PROGram PAUSe", order=lambda _: self._pause(True))
        self.on("PROGram CONTinue", order=lambda _: self._pause(False))
        self.on("PROGram COUNt", lambda _: str(self._at + 1), self._set_count)
        self.on("PROGram SAVE", order=self._save)
        self.on("PROGram LOAD", lambda _: f'"{self._loaded}"', self._load)
        self.on("STATus CONDition", lambda _: str(self._condition()))
        self.on("STATus EVENt", lambda _: str(self._extended.take()))
        self.on("STATus ENABle", lambda _: str(self._extended.enable), self._set_enable)
        self.on("SYSTem LFRequency", lambda _: f"{LINE_Hz:.0f}")
        for command in ("SYSTem LOCal", "SYSTem REMote", "SYSTem KLOCk"):
            self.on(command, order=lambda _: None)
        for command in ("MEASure", "READ"):
            self.on(command, lambda _: self._measure())
        self.on("FETCh", lambda _: self._fetched())
        for choice in self.choices:
            if not self._monitor and choice.key in ("sense", "trigger", "autozero"):
                self.on(choice.header, _missing, _missing)

    # The source

    def apply(self) -> None:
        """Send out what the settings say; while a program runs, the level is the program's."""
        source = self._source
        volts = self._function == "VOLT"
        source.on, source.volts = self.words["output"] == "1", volts
        source.limit = self.values["limit_A" if volts else "limit_V"]
        source.remote = self.words["remote"] == "1"
        if self._running and not source.on:
            self._finish()
        if not self._running:
            source.level = self._level
        self._condition()

    def _condition(self) -> int:
        """What is so now; a limit that is reached is latched too."""
        self.world.circuit.solve()
        source = self._source
        limited = source.current_A if source.volts else source.voltage_V
        condition = 0 if self._running else _READY
        if source.limited:
            condition |= _HIGH_LIMIT if limited > 0 else _LOW_LIMIT
            self._extended.happen(condition & (_HIGH_LIMIT | _LOW_LIMIT))
        return condition

    def _set_function(self, argument: str) -> None:
        word = word_of(argument, ("VOLTage", "CURRent"))
        if word == self._function:
            return
        if self.words["output"] == "1" or self._running:
            raise Refused(-221)
        self._function, self._level = word, 0.0
        self._range = _RANGES[word][2 if word == "VOLT" else 0]
        self._extended.happen(_SOURCE_CHANGED)

    def _set_range(self, argument: str) -> None:
        ranges = _RANGES[self._function]
        asked = value_of(argument, ranges[0], _LARGEST[self._function] * (1 + 1e-9), ranges[0])
        found = next((full for full in ranges if asked <= full * (1 + 1e-9)), ranges[-1])
        if abs(self._level) > self._most(found) or self._running:
            raise Refused(-221)
        self._range = found
        self._extended.happen(_SOURCE_CHANGED)

    def _most(self, full: float) -> float:
        """The largest level on a range."""
        return min(_OVERRANGE * full, _LARGEST[self._function]) * (1 + 1e-9)

    def _rounded(self, level: float, full: float) -> float:
        step = _STEPS.get(full, _STEP * full)
        return step * round(level / step)

    def _set_level(self, argument: str) -> None:
        most = self._most(self._range)
        self._take_level(self._rounded(value_of(argument, -most, most), self._range), self._range)

    def _set_automatic(self, argument: str) -> None:
        largest = _LARGEST[self._function] * (1 + 1e-9)
        level = value_of(argument, -largest, largest)
        full = next(full for full in _RANGES[self._function] if abs(level) <= self._most(full) or full in (30.0, 0.2))
        self._take_level(self._rounded(level, full), full)

    def _take_level(self, level: float, full: float) -> None:
        """While a program is edited a level is its next step, else the output's."""
        if self._editing:
            if len(self._steps) >= _MOST_STEPS:
                raise Refused(-221)
            self._steps.append(_Step(self._function, full, level))
        elif self._running:
            raise Refused(-221)
        else:
            self._level, self._range = level, full
            self._extended.happen(_SOURCE_CHANGED)

    # Programs

    def _edit(self) -> None:
        if self._running:
            raise Refused(-221)
        self._editing, self._steps = True, []

    def _end_edit(self) -> None:
        if not self._editing:
            raise Refused(-221)
        self._editing = False

    def _run(self) -> None:
        if self.words["output"] == "0" or self._editing or self._running or not self._steps:
            raise Refused(-221)
        self._running, self._paused, self._at = True, False, 0
        self._enter()
        self._timer.due_s = self.world.now() + _TICK_s

    def _enter(self) -> None:
        self._from, self._elapsed_s = self._level, 0.0

    def _ring(self) -> None:
        """A tick of the program: the level goes along its slope, and the next step begins after the interval."""
        step = self._steps[self._at]
        self._elapsed_s += _TICK_s
        slope_s, interval_s = (_ticks(self.values[key]) for key in ("slope", "interval"))
        part = 1.0 if slope_s <= 0.0 else min(1.0, self._elapsed_s / slope_s)
        self._source.level = self._from + (step.level - self._from) * part
        if self._elapsed_s >= interval_s - 1e-6:
            # A slope that is longer than the interval is left where it is.
            self._level, self._range = self._source.level, step.range
            self._extended.happen(_STEP_END)
            self._at += 1
            if self._at == len(self._steps):
                self._at = 0
                if self.words["repeat"] == "0":
                    self._finish()
                    return
            self._enter()
        self._timer.due_s += _TICK_s

    def _finish(self) -> None:
        self._running = False
        self._timer.due_s = math.inf
        self._extended.happen(_PROGRAM_END | _SOURCE_CHANGED | _READY)

    def _pause(self, paused: bool) -> None:
        if not self._running:
            raise Refused(-221)
        self._paused = paused
        self._timer.due_s = math.inf if paused else self.world.now() + _TICK_s

    def _set_count(self, argument: str) -> None:
        if self._running or not self._steps:
            raise Refused(-221)
        self._at = int(value_of(argument, 1, len(self._steps))) - 1

    def _save(self, argument: str) -> None:
        self._files[unquoted(argument)[:32]] = tuple(self._steps)
        while len(self._files) > 100:
            self._files.pop(next(iter(self._files)))

    def _load(self, argument: str) -> None:
        name = unquoted(argument)
        if name not in self._files:
            raise Refused(-221)
        self._loaded, self._steps = name, list(self._files[name])

    def wake(self) -> None:
        """Let the program go on up to now."""
        if self._running:
            self.world.advance()

    # The monitor

    def _measure(self) -> str:
        small = self._function == "VOLT" and self._range < 1.0
        if not self._monitor:
            raise Refused(-241)
        if self.words["sense"] == "0" or self.words["output"] == "0" or small:
            raise Refused(-221)
        self.world.advance()
        self.world.circuit.solve()
        source = self._source
        value = source.current_A if source.volts else self.world.circuit.sensed(source)
        full = 0.2 if source.volts else 30.0
        value += 1e-6 * full / math.sqrt(self.values["nplc"]) * self._noise.next()
        self._measured = value
        self._extended.happen(_MEASURED)
        self.took_s += self.values["nplc"] / LINE_Hz + 1e-3 * self.values["delay"]
        return f"{value:+.5E}"

    def _fetched(self) -> str:
        if self._measured is None:
            raise Refused(-230)
        return f"{self._measured:+.5E}"

    # Status

    def _set_enable(self, argument: str) -> None:
        self._extended.enable = int(value_of(argument, 0, 65535))

    def reset(self) -> None:
        """Do *RST: output off, 1 V range, 0 V, no program."""
        super().reset()
        self._function, self._range, self._level = "VOLT", 1.0, 0.0
        self._steps: list[_Step] = []
        self._editing = self._running = self._paused = False
        self._at, self._from, self._elapsed_s = 0, 0.0, 0.0
        self._loaded = ""
        self._measured: float | None = None
        self._timer.due_s = math.inf


def _missing(_argument: str) -> NoReturn:
    """What belongs to an option that is not there."""
    raise Refused(-241)


def _ticks(seconds: float) -> float:
    return _TICK_s * round(seconds / _TICK_s)


def _level(value: float) -> str:
    """`+1.111E+0`: as few digits as it has."""
    mantissa, exponent = f"{value:+.6E}".split("E")
    mantissa = mantissa.rstrip("0")
    return f"{mantissa}{'0' if mantissa.endswith('.') else ''}E{int(exponent):+d}"


def _engineering(value: float) -> str:
    """`10E-3`, `30E+0`."""
    milli = value < 1.0
    return f"{value * 1e3 if milli else value:.0f}E{'-3' if milli else '+0'}"
