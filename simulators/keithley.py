"""Front panel of the Keithley 6221 AC and DC current source.

Command set after the Model 6220/6221 reference manual: SCPI with long and short forms, `;` between commands and `:`
for the root, several answers joined by `;` (manual 10-18), an error queue. The amplitude of a waveform is its peak.
"""

import cmath
import math
import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from typing import ClassVar

from .front_panel import FrontPanel
from .world import World

# SCPI's word for infinity (SCPI-99, volume 1, 7.2.1.4); a 6221 takes INF and answers this.
_INFINITE = 9.9e37
_LARGEST_A = 0.105
_QUEUE = 10

_MESSAGES = {
    0: "No error", -102: "Syntax error", -104: "Data type error", -108: "Parameter not allowed",
    -109: "Missing parameter", -113: "Undefined header", -221: "Settings conflict", -222: "Parameter data out of range",
    -224: "Illegal parameter value", -350: "Queue overflow", 413: "Not allowed with mode armed",
}  # fmt: skip

# What is one number: header, smallest, largest, after *RST. A `?` marks a node that may be left out.
_NUMBERS: tuple[tuple[str, str, float, float, float], ...] = (
    ("current", "SOURce? CURRent LEVel? IMMediate? AMPLitude?", -_LARGEST_A, _LARGEST_A, 0.0),
    ("compliance", "SOURce? CURRent COMPliance", 0.1, 105.0, 10.0),
    ("range", "SOURce? CURRent RANGe", -_LARGEST_A, _LARGEST_A, 0.1),
    ("delay", "SOURce? DELay", 1e-3, 999999.999, 1.0),
    ("amplitude", "SOURce? WAVE AMPLitude", 2e-12, _LARGEST_A, 1e-3),
    ("frequency", "SOURce? WAVE FREQuency", 1e-3, 1e5, 1e3),
    ("offset", "SOURce? WAVE OFFSet", -_LARGEST_A, _LARGEST_A, 0.0),
    ("duty", "SOURce? WAVE DCYCle", 0.0, 100.0, 50.0),
    ("marker_phase", "SOURce? WAVE PMARker LEVel?", -180.0, 180.0, 180.0),
    ("marker_line", "SOURce? WAVE PMARker OLINe", 1, 6, 3),
    ("delta_high", "SOURce? DELTa HIGH", 0.0, _LARGEST_A, 1e-5),
    ("delta_low", "SOURce? DELTa LOW", -_LARGEST_A, 0.0, -1e-5),
    ("delta_delay", "SOURce? DELTa DELay", 0.0, _INFINITE, 2e-3),
    ("delta_count", "SOURce? DELTa COUNt", 1, _INFINITE, _INFINITE),
    ("sweep_count", "SOURce? SWEep COUNt", 1, _INFINITE, 1),
    ("points", "TRACe POINts", 1, 1000000, 100),
    ("measurement_enable", "STATus MEASurement ENABle", 0, 65535, 0),
    ("operation_enable", "STATus OPERation ENABle", 0, 65535, 0),
    ("questionable_enable", "STATus QUEStionable ENABle", 0, 65535, 0),
)
_SHAPES = ("SINusoid", "RAMP", "SQUare", "ARB0", "ARB1", "ARB2", "ARB3", "ARB4")
# What is on or off, or one of some words; the word's short form is the answer.
_CHOICES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("output", "OUTPut STATe?", ("0", "1"), "0"),
    ("shield", "OUTPut ISHield", ("OLOW", "GUARd"), "OLOW"),
    ("earth", "OUTPut LTEarth", ("0", "1"), "0"),
    ("autorange", "SOURce? CURRent RANGe AUTO", ("0", "1"), "0"),
    ("function", "SOURce? WAVE FUNCtion", _SHAPES, "SIN"),
    ("ranging", "SOURce? WAVE RANGing", ("BEST", "FIXed"), "BEST"),
    ("marker", "SOURce? WAVE PMARker STATe", ("0", "1"), "0"),
    ("delta_abort", "SOURce? DELTa CABort", ("0", "1"), "0"),
    ("delta_cold", "SOURce? DELTa CSWitch", ("0", "1"), "0"),
    ("unit", "UNIT VOLTage DC?", ("V", "OHMS", "W", "SIEMens"), "V"),
    ("display", "DISPlay ENABle", ("0", "1"), "1"),
)


class _Refused(Exception):  # noqa: N818  an answer, not a defect
    """A command that goes into the error queue instead of being done."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Keithley6221(FrontPanel):
    """The source of the current through the sample, and of the phase marker that the lock-ins lock to."""

    model: ClassVar[str] = "6221"
    reply_end: ClassVar[bytes] = b"\n"
    latency_s: ClassVar[float] = 0.01

    def __init__(self, world: World, name: str, wiring: str = "") -> None:
        super().__init__(world, name, wiring)
        self._errors: deque[int] = deque()
        self._events = 128  # power on
        self._measurement_events = self._operation_events = 0
        self._enabled = {"*ESE": 0, "*SRE": 0}
        self._arbitrary: list[list[float]] = [[] for _ in range(5)]
        self._queries, self._orders = self._tables()
        self._reset()

    def _tables(self) -> tuple[dict[str, Callable[[str], str]], dict[str, Callable[[str], None]]]:
        queries: dict[str, Callable[[str], str]] = {
            "*IDN": lambda _: "KEITHLEY INSTRUMENTS INC.,MODEL 6221,1234567,D03  /700x",
            "*ESR": lambda _: str(self._take_events()), "*STB": lambda _: str(self._status_byte()),
            "*OPC": lambda _: "1", "*TST": lambda _: "0", "*OPT": lambda _: "0",
            "*ESE": lambda _: str(self._enabled["*ESE"]), "*SRE": lambda _: str(self._enabled["*SRE"]),
            "SYST:ERR": lambda _: self._next_error(),
            "STAT:MEAS": lambda _: self._take("_measurement_events"),
            "STAT:OPER": lambda _: self._take("_operation_events"), "STAT:QUES": lambda _: "0",
            "SOUR:WAVE:DUR:TIME": lambda _: _scientific(self._duration_s),
            "SOUR:WAVE:DUR:CYCL": lambda _: _scientific(self._duration_s * self._numbers["frequency"]),
            # No 2182A is connected to the serial port.
            "SOUR:DELT:NVPR": lambda _: "0", "SENS:DATA": lambda _: f"{_scientific(_INFINITE)},{_scientific(0.0)}",
        }  # fmt: skip
        orders: dict[str, Callable[[str], None]] = {
            "*RST": lambda _: self._reset(), "*CLS": lambda _: self._clear(), "*OPC": lambda _: self._complete(),
            "*TRG": lambda _: None, "*ESE": partial(self._enable, "*ESE"), "*SRE": partial(self._enable, "*SRE"),
            "SYST:CLE": lambda _: self._errors.clear(), "STAT:QUE:CLE": lambda _: self._errors.clear(),
            "STAT:PRES": lambda _: self._preset(), "SYST:BEEP": lambda _: None, "SYST:PRES": lambda _: self._reset(),
            "SOUR:WAVE:ARM": lambda _: self._arm(), "SOUR:WAVE:INIT": lambda _: self._initiate(),
            "SOUR:WAVE:ABOR": lambda _: self._abort(), "SOUR:WAVE:DUR:TIME": self._set_duration,
            "SOUR:WAVE:DUR:CYCL": self._set_cycles, "SOUR:WAVE:ARB:DATA": self._set_arbitrary,
            "SOUR:WAVE:ARB:APP": self._append_arbitrary, "SOUR:WAVE:ARB:COPY": self._copy_arbitrary,
            "SOUR:SWE:ABOR": lambda _: None, "SOUR:CLE": lambda _: self._set_output("0"),
            "ABOR": lambda _: self._abort(), "SOUR:DELT:ARM": _refuse_delta, "INIT": _refuse_delta,
        }  # fmt: skip
        for key, _, low, high, _initial in _NUMBERS:
            queries[key] = partial(self._number, key, low, high)
            orders[key] = partial(self._set_number, key, low, high)
        for key, _, words, _initial in _CHOICES:
            queries[key] = partial(self._choice, key)
            orders[key] = partial(self._set_choice, key, words)
        orders["output"] = self._set_output
        orders["function"] = self._set_function
        orders["delta_high"] = self._set_delta_high
        return queries, orders

    def execute(self, command: str) -> str | None:
        """One program message: commands from left to right, their answers joined by `;`."""
        self._notice_the_end()
        answers: list[str] = []
        for header, asked, argument in _units(command):
            try:
                answer = self._one(header, asked, argument)
            except _Refused as refused:
                self._complain(refused.code)
                continue
            if answer is not None:
                answers.append(answer)
        return ";".join(answers) if answers else None

    def _one(self, header: str, asked: bool, argument: str) -> str | None:
        key = _headers().get(header)
        if asked:
            query = self._queries.get(key) if key else None
            if query is None:
                raise _Refused(-113)
            return query(argument)
        order = self._orders.get(key) if key else None
        if order is None:
            raise _Refused(-113)
        # The laboratory lives up to this moment with the old current.
        self.world.advance()
        order(argument)
        self._apply()
        return None

    # The current

    def _apply(self) -> None:
        excitation = self.world.excitation
        excitation.on = self._running
        excitation.rms_A = self._fundamental() * self._numbers["amplitude"] / math.sqrt(2)
        excitation.frequency_Hz = self._numbers["frequency"]
        excitation.marker = self._running and self._words["marker"] == "1"
        excitation.until_s = self._end_s if self._running else math.inf

    def _fundamental(self) -> float:
        """Peak of the first harmonic in parts of the peak of the waveform: what a lock-in sees."""
        duty = self._numbers["duty"] / 100.0
        match self._words["function"]:
            case "SIN":
                return 1.0
            case "SQU":
                return 4.0 / math.pi * math.sin(math.pi * duty)
            case "RAMP":
                # A triangle that rises during `duty`: 2 sin(πd) / (π² d (1−d)), and a saw-tooth at the ends.
                within = duty * (1.0 - duty)
                return 2.0 / math.pi if within < 1e-6 else 2.0 * math.sin(math.pi * duty) / (math.pi**2 * within)
            case word:
                points = self._arbitrary[int(word[3:])]
                turns = (cmath.exp(-2j * math.pi * k / len(points)) for k in range(len(points)))
                return 2.0 * abs(sum(p * t for p, t in zip(points, turns, strict=True))) / max(1, len(points))

    def _arm(self) -> None:
        if self._numbers["amplitude"] + abs(self._numbers["offset"]) > _LARGEST_A:
            raise _Refused(-221)
        self._armed = True

    def _initiate(self) -> None:
        if not self._armed:
            raise _Refused(-221)
        self._running = True
        self._words["output"] = "1"
        self._end_s = self.world.clock.now() + self._duration_s

    def _abort(self) -> None:
        if self._armed:
            self._armed = self._running = False
            self._words["output"] = "0"

    def _notice_the_end(self) -> None:
        """A waveform of limited length ends by itself and says so in bit 7 of the operation events."""
        if self._running:
            self.world.advance()
            if not self.world.excitation.on:
                self._running = False
                self._operation_events |= 128
                self._apply()

    def _set_output(self, argument: str) -> None:
        self._words["output"] = _word(argument, ("0", "1"))
        if self._words["output"] == "0":
            self._armed = self._running = False

    def _set_function(self, argument: str) -> None:
        word = _word(argument, _SHAPES)
        if self._armed:
            raise _Refused(413)
        if word.startswith("ARB") and not self._arbitrary[int(word[3:])]:
            raise _Refused(-221)
        self._words["function"] = word

    def _set_duration(self, argument: str) -> None:
        self._duration_s = _value(argument, 1e-7, 999999.999, infinite=True)

    def _set_cycles(self, argument: str) -> None:
        self._duration_s = _value(argument, 1e-3, 99999999900.0, infinite=True) / self._numbers["frequency"]

    def _set_arbitrary(self, argument: str) -> None:
        self._arbitrary[0] = [_value(text, -1.0, 1.0) for text in argument.split(",")][:100]

    def _append_arbitrary(self, argument: str) -> None:
        self._arbitrary[0] += [_value(text, -1.0, 1.0) for text in argument.split(",")][:100]
        del self._arbitrary[0][65536:]

    def _copy_arbitrary(self, argument: str) -> None:
        self._arbitrary[int(_value(argument, 1, 4))] = list(self._arbitrary[0])

    def _set_delta_high(self, argument: str) -> None:
        """Setting HIGH sets LOW to its negative."""
        self._set_number("delta_high", 0.0, _LARGEST_A, argument)
        self._numbers["delta_low"] = -self._numbers["delta_high"]

    # Numbers and words

    def _number(self, key: str, low: float, high: float, argument: str) -> str:
        limit = {"MIN": low, "MINIMUM": low, "MAX": high, "MAXIMUM": high}
        value = limit.get(argument.upper(), self._numbers[key])
        return str(int(value)) if isinstance(low, int) and value < _INFINITE else _scientific(value)

    def _set_number(self, key: str, low: float, high: float, argument: str) -> None:
        value = _value(argument, low, high, initial=_initial(key), infinite=high == _INFINITE)
        self._numbers[key] = min(value, _INFINITE)

    def _choice(self, key: str, argument: str) -> str:
        return self._words[key]

    def _set_choice(self, key: str, words: tuple[str, ...], argument: str) -> None:
        self._words[key] = _word(argument, words)

    # Status

    def _reset(self) -> None:
        self._numbers = {key: float(initial) for key, _, _, _, initial in _NUMBERS}
        self._words = {key: initial for key, _, _, initial in _CHOICES}
        self._duration_s = math.inf
        self._end_s = math.inf
        self._armed = self._running = False

    def _clear(self) -> None:
        self._errors.clear()
        self._events = self._measurement_events = self._operation_events = 0

    def _preset(self) -> None:
        for key in ("measurement_enable", "operation_enable", "questionable_enable"):
            self._numbers[key] = 0.0

    def _complete(self) -> None:
        self._events |= 1

    def _enable(self, register: str, argument: str) -> None:
        self._enabled[register] = int(_value(argument, 0, 255))

    def _complain(self, code: int) -> None:
        self._events |= 32 if -200 < code <= -100 else 16 if -300 < code <= -200 else 8
        if len(self._errors) < _QUEUE:
            self._errors.append(code)
        else:
            self._errors[-1] = -350

    def _next_error(self) -> str:
        code = self._errors.popleft() if self._errors else 0
        return f'{code},"{_MESSAGES[code]}"'

    def _take_events(self) -> int:
        events, self._events = self._events, 0
        return events

    def _take(self, register: str) -> str:
        value = int(getattr(self, register))
        setattr(self, register, 0)
        return str(value)

    def _status_byte(self) -> int:
        byte = 1 if self._measurement_events & int(self._numbers["measurement_enable"]) else 0
        byte |= 4 if self._errors else 0
        byte |= 32 if self._events & self._enabled["*ESE"] else 0
        byte |= 128 if self._operation_events & int(self._numbers["operation_enable"]) else 0
        return byte | (64 if byte & self._enabled["*SRE"] else 0)


def _refuse_delta(_argument: str) -> None:
    raise _Refused(-221)


def _units(message: str) -> Iterator[tuple[str, bool, str]]:
    """(full header, is a query, argument) of each command. A header without `:` goes on where the last one was.

    SCPI-99, volume 1, 6.2.4: the path of the previous header less its last node; common commands leave it alone.
    """
    path = ""
    for unit in message.split(";"):
        head, _, argument = unit.strip().partition(" ")
        if not head:
            continue
        asked, head = head.endswith("?"), head.rstrip("?").upper()
        if head.lstrip(":").startswith("*"):
            yield head.lstrip(":"), asked, argument.strip()
            continue
        full = head[1:] if head.startswith(":") else path + head
        path = full[: full.rfind(":") + 1]
        yield full, asked, argument.strip()


@cache
def _headers() -> dict[str, str]:
    """Every accepted spelling of every header, to its key: short and long forms, optional nodes left out or not."""
    patterns = {pattern: key for key, pattern, *_ in _NUMBERS} | {pattern: key for key, pattern, *_ in _CHOICES}
    patterns |= {
        "SYSTem ERRor NEXT?": "SYST:ERR", "SYSTem CLEar": "SYST:CLE", "STATus QUEue CLEar": "STAT:QUE:CLE",
        "STATus QUEue NEXT?": "SYST:ERR", "STATus PRESet": "STAT:PRES", "SYSTem BEEPer IMMediate?": "SYST:BEEP",
        "SYSTem BEEP": "SYST:BEEP", "SYSTem PRESet": "SYST:PRES", "STATus MEASurement EVENt?": "STAT:MEAS",
        "STATus OPERation EVENt?": "STAT:OPER", "STATus QUEStionable EVENt?": "STAT:QUES",
        "SOURce? WAVE ARM": "SOUR:WAVE:ARM", "SOURce? WAVE INITiate": "SOUR:WAVE:INIT",
        "SOURce? WAVE ABORt": "SOUR:WAVE:ABOR", "SOURce? WAVE DURation TIME": "SOUR:WAVE:DUR:TIME",
        "SOURce? WAVE DURation CYCLes": "SOUR:WAVE:DUR:CYCL", "SOURce? WAVE ARBitrary DATA": "SOUR:WAVE:ARB:DATA",
        "SOURce? WAVE ARBitrary APPend": "SOUR:WAVE:ARB:APP", "SOURce? WAVE ARBitrary COPY": "SOUR:WAVE:ARB:COPY",
        "SOURce? SWEep ABORt": "SOUR:SWE:ABOR", "SOURce? CLEar IMMediate?": "SOUR:CLE",
        "SOURce? DELTa ARM": "SOUR:DELT:ARM", "SOURce? DELTa NVPResent": "SOUR:DELT:NVPR",
        "SENSe DATA LATest?": "SENS:DATA", "INITiate IMMediate?": "INIT", "ABORt": "ABOR",
    }  # fmt: skip
    common = ("*IDN", "*ESR", "*STB", "*OPC", "*TST", "*OPT", "*ESE", "*SRE", "*RST", "*CLS", "*TRG")
    table = {word: word for word in common}
    for pattern, key in patterns.items():
        forms: list[tuple[str, ...]] = []
        for node in pattern.split():
            name = node.rstrip("?")
            short = re.sub("[a-z]", "", name)
            forms.append((name.upper(), short, "") if node.endswith("?") else (name.upper(), short))
        for choice in product(*forms):
            table[":".join(part for part in choice if part)] = key
    return table


@cache
def _initial(key: str) -> float:
    return next(initial for name, _, _, _, initial in _NUMBERS if name == key)


def _value(argument: str, low: float, high: float, initial: float = 0.0, infinite: bool = False) -> float:
    word = argument.strip().upper()
    if not word:
        raise _Refused(-109)
    named = {"MIN": low, "MINIMUM": low, "MAX": high, "MAXIMUM": high, "DEF": initial, "DEFAULT": initial}
    if infinite and word in {"INF", "INFINITY"}:
        return math.inf
    try:
        value = named[word] if word in named else float(word)
    except ValueError:
        raise _Refused(-108 if "," in word else -104) from None
    if not low <= value <= high:
        raise _Refused(-222)
    return value


def _word(argument: str, words: tuple[str, ...]) -> str:
    if not argument:
        raise _Refused(-109)
    given = argument.upper()
    if words == ("0", "1"):
        given = {"ON": "1", "OFF": "0"}.get(given, given)
    for word in words:
        short = re.sub("[a-z]", "", word)
        if given in {word.upper(), short}:
            return short
    raise _Refused(-224)


def _scientific(value: float) -> str:
    return f"{min(value, _INFINITE):.6E}"
