"""Front panel of American Magnetics' Model 430 magnet supply programmer, with a 4Q06125PS supply (±6 V, ±125 A).

Wire facts: the AMI 430 and 420 manuals (states, ramping, errors, quench, switch heater) and the drivers of QCoDeS,
pymeasure and pyHegel. CR LF both ways; words in their full or short forms, any case; commands are not answered and
their errors wait in a queue. Port 7180 greets with two lines, port 7185 and the serial line do not.
"""

import re
from collections import deque
from collections.abc import Callable
from typing import ClassVar

from ..core.errors import ConfigError
from .ami430_programmer import (
    MANUAL_DOWN,
    MANUAL_UP,
    MOST_SEGMENTS,
    PAUSED,
    QUENCH,
    RAMPING,
    SUPPLY_A,
    SUPPLY_V,
    ZEROING,
    Programmer,
    Refused,
)
from .numerals import finite
from .scpi_grammar import spellings
from .world import World

_MESSAGES = {
    0: "No errors", -101: "Unrecognized command", -102: "Invalid argument", -103: "Non-boolean argument",
    -104: "Missing parameter", -105: "Out of range", -107: "No switch installed", -201: "Unrecognized query",
    -301: "Heating switch", -302: "Quench condition", -304: "Error buffer overflow",
}  # fmt: skip
_MOST_ERRORS = 10
# Bits of *ESR? by the hundreds of an error, and of *STB?
_EVENTS = {1: 32, 2: 4, 3: 16, 4: 8}
_QUENCHED_BIT, _EVENT_BIT = 4, 32
_KILOGAUSS_PER_T = (10.0, 1.0)
_SECONDS = (1.0, 60.0)
_SLOWEST_A_per_s, _FASTEST_A_per_s = 1e-6, 10.0
_SEGMENT_QUERY = re.compile(r"(.+):(\d+)")
_SEGMENTS = {
    header: field for field in (False, True) for header in spellings(f"RAMP RATE {'FIELD' if field else 'CURRent'}")
}
_Order = Callable[[list[str]], None]


class AMI430(Programmer):
    """One axis. Its units are what `CONF:FIELD:UNITS` and `CONF:RAMP:RATE:UNITS` say; kG and seconds at first.

    `greeting` is True on port 7180. `firmware` from 2.59 on has no `CURR:RATING` and more besides.
    """

    reply_end: ClassVar[bytes] = b"\r\n"
    latency_s: ClassVar[float] = 0.02
    greeting: bytes = b"American Magnetics Model 430 IP Interface\r\nHello.\r\n"
    firmware: str = "2.50"
    knobs: ClassVar[tuple[str, ...]] = ("units", "rate units", "setpoint", "rate", "pause", "heater", "rampdown")
    inferred: ClassVar[tuple[str, ...]] = (
        "The answer to *IDN? and the number of digits in answers.",
        "Error codes and texts of the 420's manual hold for the 430; to ramp while the switch cools is -301 too.",
        "The upper bound of the last segment in use is the current limit; a rate without a bound keeps the old one.",
        "After INCR or DECR has come to the current limit the state is 2 (holding).",
        "PSwitch 1 has no interlock against leads and coil that differ.",
        "An external rampdown goes at the segments' rates and ends in state 8; any order ends it.",
        "QUench 1 lets the current run down through the leads' resistance.",
        "After power-on everything configured is kept, the heater is off, the ramp paused and the target zero.",
    )

    def __init__(
        self, world: World, name: str, wiring: str = "", *, axis: str = "z", greeting: bool = True, firmware: str = ""
    ) -> None:
        super().__init__(world, name, wiring, axis=axis)
        if not greeting:
            self.greeting = b""
        if firmware:
            self.firmware = firmware
        self._in_tesla, self._in_minutes = 0, 0
        self._tesla_per_ampere = self.magnet.settings.tesla_per_ampere
        self._numbers = {
            "heater mA": 45.0, "gain %": 0.0, "stability %": 0.0, "inductance H": self.magnet.settings.inductance_H,
        }  # fmt: skip
        self._flags = {"absorber": 0, "detect": 1, "stability": 0}
        self._errors: deque[int] = deque()
        self._events = 128
        self._enabled = {"*ESE": 0, "*SRE": 0}
        self._queries: dict[str, Callable[[], str]] = {}
        self._orders: dict[str, _Order] = {}
        self._register_queries()
        self._register_orders()

    def execute(self, command: str) -> str | None:
        """One line; commands may be joined by `;`, each with its full header."""
        answers: list[str] = []
        for part in command.split(";"):
            header, _, rest = part.strip().partition(" ")
            if not header:
                continue
            try:
                answer = self._one(header.lstrip(":").upper(), [word.strip() for word in rest.split(",")])
            except Refused as refused:
                self._complain(refused.code)
                continue
            if answer is not None:
                answers.append(answer)
        return ";".join(answers) if answers else None

    def _one(self, header: str, arguments: list[str]) -> str | None:
        if not header.endswith("?"):
            order = self._orders.get(header)
            if order is None:
                raise Refused(-101)
            self.look()
            order(arguments)
            return None
        query = self._queries.get(header[:-1])
        if query is not None:
            return query()
        numbered = _SEGMENT_QUERY.fullmatch(header[:-1])
        if numbered is None or numbered[1] not in _SEGMENTS:
            raise Refused(-201)
        return self._segment(int(numbered[2]), _SEGMENTS[numbered[1]])

    # The words

    def _register_queries(self) -> None:
        queries: dict[str, Callable[[], str]] = {
            "*IDN": lambda: f"AMERICAN MAGNETICS INC.,MODEL 430,SN430{len(self.name):03d},{self.firmware}",
            "*ESR": self._take_events, "*STB": lambda: str(self.status_byte()), "*OPC": lambda: "1",
            "*TST": lambda: "0", "*ESE": lambda: str(self._enabled["*ESE"]), "*SRE": lambda: str(self._enabled["*SRE"]),
            "SYSTem ERRor": self._next_error,
            "SYSTem TIME": lambda: f"{self.world.clock.utc():%m/%d/%Y %H:%M:%S}",
            "STATE": lambda: str(self.state_now()), "SUPPly TYPE": lambda: "3", "SUPPly MODE": lambda: "5",
            "SUPPly VOLTage MINimum": lambda: _text(-SUPPLY_V), "SUPPly VOLTage MAXimum": lambda: _text(SUPPLY_V),
            "SUPPly CURRent MINimum": lambda: _text(-SUPPLY_A), "SUPPly CURRent MAXimum": lambda: _text(SUPPLY_A),
            "CURRent MAGnet": lambda: _text(self.magnet_A()), "CURRent SUPPly": lambda: _text(self.supply_A()),
            "CURRent TARGet": lambda: _text(self.target_A), "CURRent REFerence": lambda: _text(self.supply_A()),
            "FIELD MAGnet": lambda: _text(self.magnet_A() * self._shown()),
            "FIELD SUPPly": lambda: _text(self.supply_A() * self._shown()),
            "FIELD TARGet": lambda: _text(self.target_A * self._shown()),
            "FIELD REFerence": lambda: _text(self.supply_A() * self._shown()),
            "VOLTage MAGnet": lambda: _text(self.magnet.coil_voltage(self.look())),
            "VOLTage SUPPly": lambda: _text(self.magnet.lead_voltage(self.look())),
            "VOLTage LIMit": lambda: _text(self.magnet.voltage_limit_V), "CURRent LIMit": lambda: _text(self.limit_A),
            "COILconst": lambda: _text(self._shown()), "FIELD UNITS": lambda: str(self._in_tesla),
            "RAMP RATE UNITS": lambda: str(self._in_minutes), "RAMP RATE SEGments": lambda: str(self.segments),
            "PSwitch": lambda: str(int(self.installed and self.magnet.heater_on)),
            "PSwitch INSTalled": lambda: str(int(self.installed)), "PERSistent": lambda: str(int(self.persistent())),
            "PSwitch HeatTIME": lambda: str(self.heat_s), "PSwitch CoolTIME": lambda: str(self.cool_s),
            "PSwitch PowerSupplyRampRate": lambda: _text(self.cold_rate_A_per_s),
            "QUench": lambda: str(int(self.state_now() == QUENCH)), "QUench COUNT": self._quenches_counted,
            "RAMPDown COUNT": lambda: str(self.rampdowns), "RAMPDown ENABle": lambda: str(int(self.rampdown_enabled)),
        }  # fmt: skip
        if self._is_late():
            queries["QUenchFile"] = lambda: ""
        else:
            queries["CURRent RATING"] = lambda: _text(self.limit_A)
        for header, query in queries.items():
            self._queries |= dict.fromkeys(spellings(header), query)

    def _register_orders(self) -> None:
        orders: dict[str, _Order] = {
            "*CLS": lambda _: self._clear_status(), "*RST": lambda _: self._reset(), "*OPC": lambda _: self._happen(1),
            "*ESE": lambda a: self._enable("*ESE", a), "*SRE": lambda a: self._enable("*SRE", a),
            "SYSTem REMote": lambda _: None, "SYSTem LOCal": lambda _: None,
            "RAMP": lambda _: self.go(RAMPING), "PAUSE": lambda _: self.go(PAUSED), "ZERO": lambda _: self.go(ZEROING),
            "INCR": lambda _: self.go(MANUAL_UP), "DECR": lambda _: self.go(MANUAL_DOWN),
            "PSwitch": lambda a: self.heat(_boolean(a) == 1), "QUench": lambda a: self.set_quench(_boolean(a) == 1),
            "CONFigure PSwitch": self._install, "CONFigure COILconst": self._set_coil_constant,
            "CONFigure PSwitch HeatTIME": self._set_heat_time, "CONFigure PSwitch CoolTIME": self._set_cool_time,
            "CONFigure PSwitch PowerSupplyRampRate": self._set_cold_rate,
            "CONFigure CURRent TARGet": lambda a: self._aim(_number(a, 0)),
            "CONFigure FIELD TARGet": lambda a: self._aim(_number(a, 0) / self._shown()),
            "CONFigure CURRent LIMit": self._set_limit, "CONFigure VOLTage LIMit": self._set_voltage_limit,
            "CONFigure FIELD UNITS": self._set_field_unit, "CONFigure RAMP RATE UNITS": self._set_rate_unit,
            "CONFigure RAMP RATE SEGments": self._set_segments, "CONFigure RAMPDown ENABle": self._enable_rampdown,
            "CONFigure RAMP RATE CURRent": lambda a: self._set_segment(a, 1.0),
            "CONFigure RAMP RATE FIELD": lambda a: self._set_segment(a, self._shown()),
        }  # fmt: skip
        for header, order in orders.items():
            self._orders |= dict.fromkeys(spellings(header), order)
        self._register_number("PSwitch CURRent", "heater mA", 125)
        self._register_number("PSwitch CoolingGAIN", "gain %", 100)
        self._register_number("STABility", "stability %", 100)
        self._register_flag("ABsorber", "absorber")
        self._register_flag("QUench DETect", "detect")
        if self._is_late():
            self._register_number("INDuctance", "inductance H", 1e4)
            self._register_flag("STABility MODE", "stability")

    def _register_number(self, header: str, key: str, high: float) -> None:
        def order(arguments: list[str]) -> None:
            self._numbers[key] = _within(_number(arguments, 0), 0.0, high)

        self._queries |= dict.fromkeys(spellings(header), lambda: _text(self._numbers[key]))
        self._orders |= dict.fromkeys(spellings(f"CONFigure {header}"), order)

    def _register_flag(self, header: str, key: str) -> None:
        def order(arguments: list[str]) -> None:
            self._flags[key] = _boolean(arguments)

        self._queries |= dict.fromkeys(spellings(header), lambda: str(int(self._flags[key])))
        self._orders |= dict.fromkeys(spellings(f"CONFigure {header}"), order)

    def _is_late(self) -> bool:
        return tuple(int(part) for part in self.firmware.split(".")) >= (2, 59)

    # Units and settings

    def _shown(self) -> float:
        """The coil constant in the unit that it shows fields in, per ampere."""
        return self._tesla_per_ampere * _KILOGAUSS_PER_T[self._in_tesla]

    def _segment(self, number: int, in_field: bool) -> str:
        if not 1 <= number <= self.segments:
            raise Refused(-105)
        scale = self._shown() if in_field else 1.0
        bound_A = self.limit_A if number == self.segments else self.bounds_A[number - 1]
        return f"{_text(self.rates[number - 1] * _SECONDS[self._in_minutes] * scale)},{_text(bound_A * scale)}"

    def _quenches_counted(self) -> str:
        self.look()
        return str(self.count)

    def _aim(self, target_A: float) -> None:
        # A limit in field units, converted there and back, is still within it.
        self.target_A = _within(target_A, -self.limit_A * (1 + 1e-9), self.limit_A * (1 + 1e-9))
        self.follow(RAMPING)

    def _set_limit(self, arguments: list[str]) -> None:
        limit_A = _within(_number(arguments, 0), 0.0, SUPPLY_A)
        if limit_A < abs(self.target_A):
            raise Refused(-105)
        self.limit_A = limit_A
        self.follow(MANUAL_UP, MANUAL_DOWN)

    def _set_voltage_limit(self, arguments: list[str]) -> None:
        self.magnet.voltage_limit_V = _within(_number(arguments, 0), 0.001, SUPPLY_V)
        self.follow()

    def _set_field_unit(self, arguments: list[str]) -> None:
        self._in_tesla = _boolean(arguments)

    def _set_rate_unit(self, arguments: list[str]) -> None:
        self._in_minutes = _boolean(arguments)

    def _set_coil_constant(self, arguments: list[str]) -> None:
        self._tesla_per_ampere = _within(_number(arguments, 0), 0.001, 999.99999) / _KILOGAUSS_PER_T[self._in_tesla]

    def _set_segments(self, arguments: list[str]) -> None:
        self.segments = int(_within(_number(arguments, 0), 1, MOST_SEGMENTS))

    def _set_segment(self, arguments: list[str], scale: float) -> None:
        number = int(_within(_number(arguments, 0), 1, self.segments))
        rate = _number(arguments, 1) / scale / _SECONDS[self._in_minutes]
        bound_A = self.bounds_A[number - 1]
        if len(arguments) > 2:
            bound_A = _within(_number(arguments, 2) / scale, 0.0, SUPPLY_A)
        self.rates[number - 1] = _within(rate, _SLOWEST_A_per_s, _FASTEST_A_per_s)
        self.bounds_A[number - 1] = bound_A
        self.follow()

    def _install(self, arguments: list[str]) -> None:
        self.installed = bool(_boolean(arguments))

    def _enable_rampdown(self, arguments: list[str]) -> None:
        self.rampdown_enabled = bool(_boolean(arguments))

    def _set_heat_time(self, arguments: list[str]) -> None:
        self.heat_s = round(_within(_number(arguments, 0), 5, 120))

    def _set_cool_time(self, arguments: list[str]) -> None:
        self.cool_s = round(_within(_number(arguments, 0), 5, 3600))

    def _set_cold_rate(self, arguments: list[str]) -> None:
        self.cold_rate_A_per_s = _within(_number(arguments, 0), 0.1, _FASTEST_A_per_s)

    # Errors and status

    def _complain(self, code: int) -> None:
        self._happen(_EVENTS[-code // 100])
        if len(self._errors) < _MOST_ERRORS:
            self._errors.append(code)
        else:
            self._errors[-1] = -304

    def _next_error(self) -> str:
        code = self._errors.popleft() if self._errors else 0
        return f'{code},"{_MESSAGES[code]}"'

    def _happen(self, bits: int) -> None:
        self._events |= bits

    def _take_events(self) -> str:
        events, self._events = self._events, 0
        return str(events)

    def _enable(self, register: str, arguments: list[str]) -> None:
        self._enabled[register] = int(_within(_number(arguments, 0), 0, 255))

    def _clear_status(self) -> None:
        self._errors.clear()
        self._events = 0

    def status_byte(self) -> int:
        """Bit 2 is a quench, bit 5 sums the enabled events, bit 6 the enabled bits."""
        byte = _QUENCHED_BIT if self.state_now() == QUENCH else 0
        byte |= _EVENT_BIT if self._events & self._enabled["*ESE"] else 0
        return byte | (64 if byte & self._enabled["*SRE"] else 0)

    def _reset(self) -> None:
        self._clear_status()
        self._events, self._enabled = 128, {"*ESE": 0, "*SRE": 0}
        self.restart()

    # What can go wrong with it

    def refuse(self, command: str) -> str | None:
        """Note that the switch is being heated."""
        self._complain(-301)
        return None

    def power_cycle(self) -> None:
        """As after power-on; the heater is off."""
        self.look()
        self._reset()
        self.tripped = False
        if self.installed:
            self.heat(False)

    def fill_errors(self) -> None:
        """Fill the error queue to its last place."""
        for _ in range(_MOST_ERRORS + 1):
            self._complain(-101)

    def turn(self, knob: str, value: str) -> None:
        """`units` is kG or T, `rate units` s or min, `setpoint` and `rate` in them, `pause` and `heater` ON or OFF.

        `rampdown` ON closes the contact at its back.
        """
        if knob == "rampdown":
            self.look()
            self.rampdown()
            return
        number = {"T": 1, "KG": 0, "S": 0, "MIN": 1, "ON": 1, "OFF": 0}.get(value.upper())
        before = len(self._errors)
        self.execute({
            "units": f"CONF:FIELD:UNITS {number}", "rate units": f"CONF:RAMP:RATE:UNITS {number}",
            "setpoint": f"CONF:FIELD:TARG {value}", "rate": f"CONF:RAMP:RATE:FIELD 1,{value}",
            "pause": "PAUSE" if number else "RAMP", "heater": f"PS {number}",
        }[knob])  # fmt: skip
        if len(self._errors) > before:
            code = self._errors.pop()
            raise ConfigError(f"{self.name!r} takes no {knob} {value!r}: {_MESSAGES[code].lower()}")


def _text(value: float) -> str:
    return f"{value:.9g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.10f}".rstrip("0")


def _number(arguments: list[str], place: int) -> float:
    if len(arguments) <= place or not arguments[place]:
        raise Refused(-104)
    value = finite(arguments[place])
    if value is None:
        raise Refused(-102)
    return value


def _within(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise Refused(-105)
    return value


def _boolean(arguments: list[str]) -> int:
    if not arguments or not arguments[0]:
        raise Refused(-104)
    if arguments[0] not in {"0", "1"}:
        raise Refused(-103)
    return int(arguments[0])
