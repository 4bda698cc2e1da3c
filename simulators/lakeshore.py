"""Front panel of the Lake Shore 350 temperature controller.

Wire facts: the 335/336/350 family as QCoDeS, pymeasure and ISIS drive it. CR LF both ways, numbers signed and of
fixed width, `SETP?` follows the ramp, and there is no error reply: what is not understood is not answered.
"""

import math
import re
from collections.abc import Callable
from typing import ClassVar, NoReturn

from .front_panel import FrontPanel
from .world import World

_COMMAND = re.compile(r"\s*(\*?[A-Za-z]+)(\??)\s*(.*?)\s*")
_SPLIT = re.compile(r""";(?=(?:[^"]*"[^"]*")*[^"]*$)""")
_NODES = {"A": "block", "B": "sample"}
_INPUTS: tuple[str, ...] = ("A", "B", "C", "D")
# Output 1 gives 75 W in its highest range and a tenth less in each below it (five ranges: inferred).
_FULL_W, _RANGES = 75.0, 5
_OFF, _CLOSED_LOOP, _ZONE, _OPEN_LOOP = range(4)
_ZONES = 10
# RDGST? bits
_INVALID, _TEMPERATURE_OVER = 1, 32
_HOTTEST_K = 420.0
_SMALLEST_RAMP, _LARGEST_RAMP = 0.1, 100.0


class _NoAnswer(Exception):  # noqa: N818  an answer, not a defect
    """A command that is not understood: the instrument says nothing, and *ESR? keeps the bit."""


class Model350(FrontPanel):
    """Input A is the block with the heater, B the sample; output 1 is the heater. C, D and outputs 2–4 are open."""

    model: ClassVar[str] = "Model350"
    reply_end: ClassVar[bytes] = b"\r\n"
    latency_s: ClassVar[float] = 0.02

    def __init__(self, world: World, name: str, wiring: str = "") -> None:
        super().__init__(world, name, wiring)
        self._noise = {input_name: world.stream(f"thermometer {name} {input_name}") for input_name in _NODES}
        self._names: dict[str, str] = {"A": "block", "B": "sample", "C": "", "D": ""}
        self._limits: dict[str, float] = dict.fromkeys(_INPUTS, 0.0)
        self._events = 128
        self._texts: dict[str, str] = {}
        self._queries: dict[str, Callable[[list[str]], str]] = {
            "*IDN": lambda _: "LSCI,MODEL350,350A123/1234567,1.4", "*ESR": lambda _: self._take_events(),
            "*STB": lambda _: "0", "*OPC": lambda _: "1", "*TST": lambda _: "0",
            "KRDG": lambda a: _fixed(self._reading(_input(a))),
            "CRDG": lambda a: _fixed(self._reading(_input(a)) - 273.15),
            "SRDG": lambda a: _fixed(_sensor_units(self._reading(_input(a)))),
            "RDGST": lambda a: f"{self._status(_input(a)):03d}",
            "INNAME": lambda a: f"{self._names[_input(a)]:<15}", "TLIMIT": lambda a: _fixed(self._limits[_input(a)]),
            "INTYPE": lambda a: "3,1,0,1,1,0" if _input(a) in _NODES else "0,0,0,0,1,0",
            "INCRV": lambda a: "21" if _input(a) == "A" else "22" if _input(a) == "B" else "00",
            "CRVHDR": self._curve_header, "SETP": lambda a: _fixed(self._setpoint_K if _output(a) == 1 else 0.0),
            "RANGE": lambda a: str(self._range if _output(a) == 1 else 0), "RAMP": self._ramp_settings,
            "RAMPST": lambda a: "1" if _output(a) == 1 and self._setpoint_K != self._target_K else "0",
            "HTR": lambda a: f"{self._percent if _output(a) == 1 else 0.0:+06.1f}",
            "HTRST": lambda a: str(0 * _output(a)),
            "MOUT": lambda a: f"{self._manual if _output(a) == 1 else 0.0:+09.4f}", "PID": self._pid_settings,
            "OUTMODE": self._mode_settings, "HTRSET": lambda a: "1,2,1.732,1" if _output(a) == 1 else "1,1,0.000,1",
            "ZONE": self._zone_settings,
        }  # fmt: skip
        self._orders: dict[str, Callable[[list[str]], None]] = {
            "*RST": lambda _: self._reset(), "*CLS": lambda _: self._clear(), "*OPC": lambda _: self._complete(),
            "SETP": self._set_setpoint, "RANGE": self._set_range, "RAMP": self._set_ramp, "MOUT": self._set_manual,
            "PID": self._set_pid, "OUTMODE": self._set_mode, "INNAME": self._set_name, "TLIMIT": self._set_limit,
            "ZONE": self._set_zone,
        }  # fmt: skip
        self._reset()
        world.cryostat.attach(self._heat)

    def execute(self, command: str) -> str | None:
        """One line: commands separated by `;`, their answers joined by `;`."""
        answers: list[str] = []
        for part in _SPLIT.split(command):
            match = _COMMAND.fullmatch(part)
            if match is None:
                self._events |= 32
                continue
            arguments = [text.strip() for text in match[3].split(",")] if match[3] else []
            # A temperature does not change in a tenth of a second; an order acts from its own instant.
            self.world.advance(0.1 if match[2] else 0.0)
            try:
                if match[2]:
                    answers.append(self._queries.get(match[1].upper(), _unknown)(arguments))
                else:
                    self.world.cryostat.disturb()
                    self._orders.get(match[1].upper(), _unknown)(arguments)
            except _NoAnswer:
                self._events |= 32
        return ";".join(answers) if answers else None

    # The loop: the laboratory calls this as its time passes

    def _heat(self, block_K: float, step_s: float) -> float:
        """Advance ramp and loop by `step_s` and give the heater's power (W); with no time, only say what it is."""
        self._move_setpoint(step_s)
        if self._mode == _ZONE:
            self._enter_zone()
        if self._range == 0 or self._mode == _OFF:
            self._percent = self._integral = 0.0
        elif self._mode == _OPEN_LOOP:
            self._percent = self._manual
        else:
            self._percent = self._loop(step_s)
        return self._percent / 100.0 * self._full_W()

    def _loop(self, step_s: float) -> float:
        """Output% = P (e + I/1000 ∫e dt − D dT/dt), Lake Shore's form; the integral is kept as a share of output%."""
        node = _NODES.get(self._source)
        if node is None:
            return 0.0
        cryostat = self.world.cryostat
        kelvin = cryostat.sensor(node, self.world.magnet.field(), 0.0)
        limit_K = self._limits[self._source]
        if limit_K and kelvin > limit_K:
            self._range = 0
            return 0.0
        p, i, d = self._pid
        error = self._setpoint_K - kelvin
        if step_s > 0:
            self._slope_K_per_s = (kelvin - self._last_K) / step_s if self._last_K else 0.0
            self._last_K = kelvin
        proportional = p * (error - d * self._slope_K_per_s)
        output = proportional + self._integral
        # Anti-windup: against a limit, the integral grows only away from it.
        if 0.0 <= output <= 100.0 or (output > 100.0) == (error < 0.0):
            self._integral = min(100.0, max(0.0, self._integral + p * i / 1000.0 * error * step_s))
        return min(100.0, max(0.0, proportional + self._integral))

    def _move_setpoint(self, step_s: float) -> None:
        step_K = self._rate_K_per_min / 60.0 * step_s
        if not self._ramping or abs(self._target_K - self._setpoint_K) <= step_K:
            self._setpoint_K = self._target_K
        else:
            self._setpoint_K += math.copysign(step_K, self._target_K - self._setpoint_K)

    def _enter_zone(self) -> None:
        """Take PID and range of the first zone whose upper bound is not below the set point; off stays off."""
        for top_K, pid, manual, heater_range in self._zones:
            if self._setpoint_K <= top_K:
                self._pid, self._manual = pid, manual
                if self._range:
                    self._change_range(heater_range)
                return

    def _change_range(self, heater_range: int) -> None:
        """Without a bump: the integral's share keeps its watts."""
        before_W = self._full_W()
        self._range = heater_range
        after_W = self._full_W()
        self._integral = min(100.0, self._integral * before_W / after_W) if after_W else 0.0

    def _full_W(self) -> float:
        return _FULL_W * 10.0 ** (self._range - _RANGES) if self._range else 0.0

    # Readings

    def _reading(self, input_name: str) -> float:
        node = _NODES.get(input_name)
        if node is None:
            return 0.0
        kelvin = self.world.cryostat.sensor(node, self.world.magnet.field(), self._noise[input_name].next())
        return kelvin if kelvin < _HOTTEST_K else 0.0

    def _status(self, input_name: str) -> int:
        node = _NODES.get(input_name)
        if node is None:
            return _INVALID
        return _TEMPERATURE_OVER if self.world.cryostat.sensor(node, 0.0, 0.0) >= _HOTTEST_K else 0

    def _curve_header(self, arguments: list[str]) -> str:
        number = int(_numbers(arguments, (1, 59))[0])
        names = {21: "CX-1050-BLOCK", 22: "CX-1030-SAMPLE"}
        return f"{names.get(number, 'User Curve'):<15},X{100000 + number},4,+{_HOTTEST_K:.3f},1"

    def _ramp_settings(self, arguments: list[str]) -> str:
        if _output(arguments) != 1:
            return "0,+000.00"
        return f"{int(self._ramping)},{self._rate_K_per_min:+07.2f}"

    def _pid_settings(self, arguments: list[str]) -> str:
        _output(arguments)
        return ",".join(f"{value:+07.1f}" for value in self._pid)

    def _mode_settings(self, arguments: list[str]) -> str:
        if _output(arguments) != 1:
            return "0,0,0"
        return f"{self._mode},{self._source_number()},0"

    def _zone_settings(self, arguments: list[str]) -> str:
        _, zone = _numbers(arguments, (1, 2), (1, _ZONES))
        top_K, (p, i, d), manual, heater_range = self._zones[int(zone) - 1]
        return f"{_fixed(top_K)},{p:+07.1f},{i:+07.1f},{d:+07.1f},{manual:+09.4f},{heater_range},0,+000.0"

    # Orders

    def _set_setpoint(self, arguments: list[str]) -> None:
        output, kelvin = _numbers(arguments, (1, 4), (0.0, 1000.0))
        if output == 1:
            self._target_K = kelvin
            self._move_setpoint(0.0)

    def _set_range(self, arguments: list[str]) -> None:
        output, heater_range = _numbers(arguments, (1, 4), (0, _RANGES))
        if output == 1:
            self._change_range(int(heater_range))

    def _set_ramp(self, arguments: list[str]) -> None:
        output, on, rate = _numbers(arguments, (1, 4), (0, 1), (0.0, _LARGEST_RAMP))
        if output == 1:
            # A rate of 0 is a step (manual of the 336); a ramp that is switched off goes to its end at once.
            self._ramping = bool(on) and rate >= _SMALLEST_RAMP
            self._rate_K_per_min = rate
            self._move_setpoint(0.0)

    def _set_manual(self, arguments: list[str]) -> None:
        output, percent = _numbers(arguments, (1, 4), (0.0, 100.0))
        if output == 1:
            self._manual = percent

    def _set_pid(self, arguments: list[str]) -> None:
        output, p, i, d = _numbers(arguments, (1, 4), (0.1, 1000.0), (0.0, 1000.0), (0.0, 200.0))
        if output == 1:
            self._pid = (p, i, d)

    def _set_mode(self, arguments: list[str]) -> None:
        output, mode, source, _ = _numbers(arguments, (1, 4), (0, 5), (0, 4), (0, 1))
        if output == 1:
            self._mode, self._source = int(mode), ("", *_INPUTS)[int(source)]

    def _set_zone(self, arguments: list[str]) -> None:
        """`ZONE output,zone,upper bound,P,I,D,manual,range,input,rate`."""
        limits = ((1, 2), (1, _ZONES), (0.0, 1000.0), (0.1, 1000.0), (0.0, 1000.0), (0.0, 200.0), (0.0, 100.0))
        output, zone, top_K, p, i, d, manual, heater_range, *_ = _numbers(
            arguments, *limits, (0, _RANGES), (0, 8), (0.0, _LARGEST_RAMP)
        )
        if output == 1:
            self._zones[int(zone) - 1] = (top_K, (p, i, d), manual, int(heater_range))

    def _set_name(self, arguments: list[str]) -> None:
        if len(arguments) < 2:
            raise _NoAnswer
        self._names[_input(arguments[:1])] = ",".join(arguments[1:]).strip('"')[:15]

    def _set_limit(self, arguments: list[str]) -> None:
        self._limits[_input(arguments[:1])] = _numbers(arguments[1:], (0.0, 1000.0))[0]

    def _reset(self) -> None:
        """Defaults after *RST: heater off, P 50, I 20, D 0, control from input A."""
        self._setpoint_K = self._target_K = 0.0
        self._ramping, self._rate_K_per_min = False, 0.0
        self._pid = (50.0, 20.0, 0.0)
        self._mode, self._source = _CLOSED_LOOP, "A"
        self._zones: list[tuple[float, tuple[float, float, float], float, int]]
        self._zones = [(0.0, (50.0, 20.0, 0.0), 0.0, 0) for _ in range(_ZONES)]
        self._manual = self._percent = self._integral = 0.0
        self._last_K = self._slope_K_per_s = 0.0
        self._range = 0

    def _clear(self) -> None:
        self._events = 0

    def _complete(self) -> None:
        self._events |= 1

    def _take_events(self) -> str:
        events, self._events = self._events, 0
        return f"{events:03d}"

    def _source_number(self) -> int:
        return ("", *_INPUTS).index(self._source)


def _unknown(_arguments: list[str]) -> NoReturn:
    raise _NoAnswer


def _input(arguments: list[str]) -> str:
    if len(arguments) != 1 or arguments[0].upper() not in _INPUTS:
        raise _NoAnswer
    return arguments[0].upper()


def _output(arguments: list[str]) -> int:
    return int(_numbers(arguments, (1, 4))[0])


def _numbers(arguments: list[str], *ranges: tuple[float, float]) -> tuple[float, ...]:
    """The arguments as numbers, one for each range."""
    if len(arguments) != len(ranges):
        raise _NoAnswer
    values: list[float] = []
    for text, (low, high) in zip(arguments, ranges, strict=True):
        try:
            value = float(text)
        except ValueError:
            raise _NoAnswer from None
        if not low <= value <= high or (isinstance(low, int) and value != int(value)):
            raise _NoAnswer
        values.append(value)
    return tuple(values)


def _fixed(value: float) -> str:
    return f"{value:+09.4f}"


def _sensor_units(kelvin: float) -> float:
    """Ohms of a thin-film resistance sensor: falls with temperature about as a Cernox does (an assumption)."""
    return 60.0 * (300.0 / kelvin) ** 0.85 if kelvin > 0 else 0.0
