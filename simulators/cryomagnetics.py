"""Front panel of Cryomagnetics' Model 4G superconducting magnet supply (4G-100: ±100 A, ±10 V).

Wire facts: the drivers of QCoDeS, the University of Twente and users of the 4G and of attocube's APS100, which speaks
the same language. The supply works in ampere or gauss (no tesla) and says values with their unit, `-1.2345kG`; limits
are set in the unit shown. Commands are silent; what it does not understand sets a bit of *ESR? and is not answered.
"""

import re
from collections.abc import Callable
from typing import ClassVar

from ..core.errors import ConfigError
from .leads import across
from .magnet_supply import MagnetSupply
from .numerals import finite
from .world import World

_COMMAND = re.compile(r"\s*(\*?[A-Za-z]+)(\??)\s*(.*?)\s*")
_SUPPLY_A, _SUPPLY_V = 100.0, 10.0
_KILOGAUSS_PER_T = 10.0
_RANGES, _FAST = 5, 5
_SLOWEST_A_per_s, _FASTEST_A_per_s = 1e-4, 100.0
# Bits of *STB? and *ESR?
_SWEEPING, _STANDBY, _QUENCHED, _EVENTS = 1, 2, 4, 32
_COMMAND_ERROR, _EXECUTION_ERROR, _POWER_ON = 32, 16, 128
_SWEEPS = {"UP": "Sweeping up", "DOWN": "Sweeping down", "ZERO": "Sweeping to zero", "PAUSE": "Pause"}
_MOVES, _STANDING = ("UP", "DOWN", "ZERO"), "Standby"
_Order = Callable[[list[str]], None]


class _Refused(Exception):  # noqa: N818  an answer, not a defect
    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.bits = bits


class Model4G(MagnetSupply):
    """One channel. `units` is what it starts in, A or G; `needs_remote` refuses orders before REMOTE.

    `echo` is how the serial and USB lines behave: each command comes back before its answer.
    """

    model: ClassVar[str] = "4G"
    firmware: str = "1.02"
    reply_end: ClassVar[bytes] = b"\n"
    latency_s: ClassVar[float] = 0.02
    knobs: ClassVar[tuple[str, ...]] = ("units", "setpoint", "rate", "pause", "heater")
    inferred: ClassVar[tuple[str, ...]] = (
        "UNITS? answers A or kG; UNITS T is an execution error that changes nothing.",
        "Arrived at a limit it is in standby; SWEEP? says what attocube's APS100 says.",
        "RATE? and RANGE? without a range mean range 0.",
        "Orders are taken without REMOTE, unless it is told that they need it.",
        "No interlock keeps the switch heater off when leads and coil differ.",
        "FAST stays until SLOW is said; a new limit moves a sweep that is under way to it.",
        "After power-on limits, ranges and rates are kept, the heater is off and the sweep stands.",
        "Command and execution errors are bits 5 and 4 of *ESR? and have no other answer.",
    )

    def __init__(
        self,
        world: World,
        name: str,
        wiring: str = "",
        *,
        axis: str = "z",
        units: str = "G",
        needs_remote: bool = False,
        echo: bool = False,
    ) -> None:
        super().__init__(world, name, wiring, axis=axis)
        if units not in {"A", "G"}:
            raise ConfigError(f"{name} knows no unit {units!r}", do="units is A or G")
        magnet = self.magnet.settings
        self._units, self._needs_remote, self._echo = units, needs_remote, echo
        self._tesla_per_ampere = magnet.tesla_per_ampere
        self._limits_A = {"UP": 0.0, "DOWN": 0.0}
        segments = magnet.segments[: _RANGES - 1]
        self._edges_A = [min(edge, _SUPPLY_A) for edge, _ in segments] + [_SUPPLY_A] * (_RANGES - len(segments))
        self._rates = [rate for _, rate in segments] + [segments[-1][1]] * (_RANGES - len(segments)) + [5.0]
        # UP, DOWN, ZERO or PAUSE; nothing in standby.
        self._sweep, self._fast, self._remote = "", False, False
        self._kept_A: float | None = None
        self._name, self._error_reports = "MAGNET", "0"
        self._events = _POWER_ON
        self._enabled = {"*ESE": 0, "*SRE": 0}
        self._queries: dict[str, Callable[[list[str]], str]] = {
            "*IDN": lambda _: f"Cryomagnetics,4G,{2239 + len(self.name)},{self.firmware},208",
            "*ESR": lambda _: self._take_events(), "*STB": lambda _: str(self.status_byte()), "*OPC": lambda _: "1",
            "*TST": lambda _: "0", "*ESE": lambda _: str(self._enabled["*ESE"]),
            "*SRE": lambda _: str(self._enabled["*SRE"]), "UNITS": lambda _: "A" if self._units == "A" else "kG",
            "IMAG": lambda _: self._shown(self._magnet_A()), "IOUT": lambda _: self._shown(self._output_A()),
            "ULIM": lambda _: self._shown(self._limits_A["UP"]), "LLIM": lambda _: self._shown(self._limits_A["DOWN"]),
            "RANGE": lambda a: f"{self._edges_A[_range(a, _RANGES - 1)]:.4f}",
            "RATE": lambda a: f"{self._rates[_range(a, _FAST)]:.4f}", "SWEEP": lambda _: self._sweep_now(),
            "PSHTR": lambda _: str(int(magnet.switch_fitted and self.magnet.heater_on)),
            "VMAG": lambda _: f"{self.magnet.coil_voltage(self.look()):.3f}V",
            "VOUT": lambda _: f"{self.magnet.lead_voltage(self.look()):.3f}V",
            "VLIM": lambda _: f"{self.magnet.voltage_limit_V:.3f}V", "CHAN": lambda _: "1", "MODE": lambda _: "Manual",
            "NAME": lambda _: self._name, "ERROR": lambda _: self._error_reports,
        }  # fmt: skip
        self._orders: dict[str, _Order] = {
            "UNITS": self._set_units, "IMAG": self._set_kept, "ULIM": lambda a: self._set_limit("UP", a),
            "LLIM": lambda a: self._set_limit("DOWN", a), "RANGE": self._set_range, "RATE": self._set_rate,
            "SWEEP": self._order_sweep, "PSHTR": self._heat, "VLIM": self._set_voltage_limit,
            "QRESET": lambda _: self._reset_quench(), "NAME": self._set_name,
        }  # fmt: skip
        # These are taken in local, too.
        self._free: dict[str, _Order] = {
            "REMOTE": lambda _: self._take_over(True), "LOCAL": lambda _: self._take_over(False),
            "RWLOCK": lambda _: self._take_over(True), "*CLS": lambda _: self._clear_events(),
            "*RST": lambda _: self._restart(), "*OPC": lambda _: self._happen(1),
            "*ESE": lambda a: self._enable("*ESE", a), "*SRE": lambda a: self._enable("*SRE", a),
            "CHAN": _only_channel, "ERROR": self._set_error_reports,
        }  # fmt: skip

    def receive(self, line: bytes) -> bytes:
        """One command line; with `echo` it comes back before the answer."""
        reply = super().receive(line)
        return line.strip() + b"\r\n" + reply.replace(b"\n", b"\r\n") if self._echo else reply

    def execute(self, command: str) -> str | None:
        """Commands joined by `;`; their answers are joined the same way."""
        answers: list[str] = []
        for part in command.split(";"):
            match = _COMMAND.fullmatch(part)
            if match is None:
                if part.strip():
                    self._happen(_COMMAND_ERROR)
                continue
            word, asked, rest = match[1].upper(), match[2], re.split(r"[\s,]+", match[3].upper()) if match[3] else []
            try:
                if asked:
                    answers.append(self._query(word, rest))
                else:
                    self._order(word, rest)
            except _Refused as refused:
                self._happen(refused.bits)
        return ";".join(answers) if answers else None

    def _query(self, word: str, arguments: list[str]) -> str:
        query = self._queries.get(word)
        if query is None:
            raise _Refused(_COMMAND_ERROR)
        return query(arguments)

    def _order(self, word: str, arguments: list[str]) -> None:
        order = self._free.get(word)
        if order is None:
            order = self._orders.get(word)
            if order is None:
                raise _Refused(_COMMAND_ERROR)
            if self._needs_remote and not self._remote:
                raise _Refused(_EXECUTION_ERROR)
        self.look()
        order(arguments)

    # What it shows

    def look(self) -> float:
        """As every supply; a sweep that has arrived is over."""
        now = super().look()
        if self._sweep in _MOVES and not self.magnet.ramping(now):
            self._sweep = ""
        return now

    def _scale(self) -> float:
        return 1.0 if self._units == "A" else self._tesla_per_ampere * _KILOGAUSS_PER_T

    def _shown(self, current_A: float) -> str:
        return f"{current_A * self._scale():.4f}{'A' if self._units == 'A' else 'kG'}"

    def _output_A(self) -> float:
        return self.magnet.lead_current(self.look())

    def _magnet_A(self) -> float:
        """With the heater on, the output; else what the coil kept when it was switched off."""
        now = self.look()
        return self.magnet.lead_current(now) if self._kept_A is None else self._kept_A

    def _sweep_now(self) -> str:
        self.look()
        return _SWEEPS.get(self._sweep, _STANDING)

    # What it does

    def trip(self) -> None:
        """A quench was seen: the output is off until QRESET."""
        super().trip()
        self._sweep, self._kept_A = "", None

    def _order_sweep(self, words: list[str]) -> None:
        if not words or words[0] not in {*_SWEEPS, "LIMIT"} or words[1:] not in ([], ["FAST"], ["SLOW"]):
            raise _Refused(_EXECUTION_ERROR)
        # LIMIT is shim mode's, and this channel is in manual mode.
        if self.tripped or words[0] == "LIMIT":
            raise _Refused(_EXECUTION_ERROR)
        self._sweep = words[0]
        if words[1:]:
            self._fast = words[1] == "FAST"
        self._drive()

    def _drive(self) -> None:
        now = self.world.clock.now()
        if self._sweep not in _MOVES:
            self.magnet.stop(now)
            return
        target_A = self._limits_A.get(self._sweep, 0.0)
        if self._fast:
            self.drive(((target_A, self._rates[_FAST]),), now)
        else:
            ranges = zip(self._edges_A, self._rates, strict=False)
            self.drive(across(self.magnet.lead_current(now), target_A, ranges), now)

    def _again(self, *sweeps: str) -> None:
        if self._sweep in sweeps and not self.tripped:
            self._drive()

    def _heat(self, words: list[str]) -> None:
        on = {"ON": True, "1": True, "OFF": False, "0": False}.get(words[0] if words else "")
        if on is None or not self.magnet.settings.switch_fitted:
            raise _Refused(_EXECUTION_ERROR)
        now = self.world.clock.now()
        if self.magnet.heater_on and not on:
            self._kept_A = self.magnet.lead_current(now)
        elif on:
            self._kept_A = None
        self.magnet.heat_switch(on, now)

    def _set_units(self, words: list[str]) -> None:
        if words not in (["A"], ["G"]):
            raise _Refused(_EXECUTION_ERROR)
        self._units = words[0]

    def _set_limit(self, sweep: str, words: list[str]) -> None:
        current_A = _number(words, 0) / self._scale()
        self._limits_A[sweep] = _within(current_A, -_SUPPLY_A * (1 + 1e-9), _SUPPLY_A * (1 + 1e-9))
        self._again(sweep)

    def _set_range(self, words: list[str]) -> None:
        self._edges_A[_range(words[:1], _RANGES - 1)] = _within(_number(words, 1), 0.0, _SUPPLY_A)
        self._again(*_MOVES)

    def _set_rate(self, words: list[str]) -> None:
        self._rates[_range(words[:1], _FAST)] = _within(_number(words, 1), _SLOWEST_A_per_s, _FASTEST_A_per_s)
        self._again(*_MOVES)

    def _set_voltage_limit(self, words: list[str]) -> None:
        self.magnet.voltage_limit_V = _within(_number(words, 0), 0.0, _SUPPLY_V)
        self._again(*_MOVES)

    def _set_kept(self, words: list[str]) -> None:
        if self._kept_A is None:
            raise _Refused(_EXECUTION_ERROR)
        self._kept_A = _number(words, 0) / self._scale()

    def _set_name(self, words: list[str]) -> None:
        self._name = " ".join(words)[:16]

    def _set_error_reports(self, words: list[str]) -> None:
        if words not in (["0"], ["1"]):
            raise _Refused(_EXECUTION_ERROR)
        self._error_reports = words[0]

    def _reset_quench(self) -> None:
        self.tripped = False

    def _take_over(self, remote: bool) -> None:
        self._remote = remote

    # Status

    def status_byte(self) -> int:
        """Bit 0 sweeping, 1 standby, 2 quench, 5 the enabled events, 6 the enabled bits."""
        text = self._sweep_now()
        byte = _STANDBY if text == _STANDING else 0 if text == "Pause" else _SWEEPING
        byte |= _QUENCHED if self.tripped else 0
        byte |= _EVENTS if self._events & self._enabled["*ESE"] else 0
        return byte | (64 if byte & self._enabled["*SRE"] else 0)

    def _happen(self, bits: int) -> None:
        self._events |= bits

    def _take_events(self) -> str:
        events, self._events = self._events, 0
        return str(events)

    def _clear_events(self) -> None:
        self._events = 0

    def _enable(self, register: str, words: list[str]) -> None:
        self._enabled[register] = int(_within(_number(words, 0), 0, 255))

    def _restart(self) -> None:
        self._sweep, self._fast, self._remote = "", False, False
        self._events = _POWER_ON
        self._drive()

    # What can go wrong with it

    def refuse(self, command: str) -> str | None:
        """An execution error."""
        self._happen(_EXECUTION_ERROR)
        return None

    def power_cycle(self) -> None:
        """The mains were away for a moment: the current stays, the heater does not."""
        self.look()
        self._restart()
        self.tripped, self._kept_A, self._enabled = False, None, {"*ESE": 0, "*SRE": 0}
        self.magnet.heat_switch(False, self.world.clock.now())

    def turn(self, knob: str, value: str) -> None:
        """`units` is A or G, `setpoint` the upper limit and `rate` range 0's, `pause` and `heater` are ON or OFF."""
        events, self._events = self._events, 0
        remote, self._remote = self._remote, True
        self.execute({
            "units": f"UNITS {value}", "setpoint": f"ULIM {value}", "rate": f"RATE 0 {value}",
            "pause": f"SWEEP {'PAUSE' if value.upper() == 'ON' else 'UP'}", "heater": f"PSHTR {value}",
        }[knob])  # fmt: skip
        refused, self._events, self._remote = self._events, events, remote
        if refused:
            raise ConfigError(f"{self.name!r} takes no {knob} {value!r}")


def _only_channel(words: list[str]) -> None:
    if words != ["1"]:
        raise _Refused(_EXECUTION_ERROR)


def _number(words: list[str], place: int) -> float:
    value = finite(words[place]) if len(words) > place else None
    if value is None:
        raise _Refused(_EXECUTION_ERROR)
    return value


def _within(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise _Refused(_EXECUTION_ERROR)
    return value


def _range(words: list[str], last: int) -> int:
    if not words:
        return 0
    if not words[0].isdecimal() or int(words[0]) > last:
        raise _Refused(_EXECUTION_ERROR)
    return int(words[0])
