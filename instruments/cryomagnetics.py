"""Cryomagnetics' Model 4G superconducting magnet supply.

Wire facts: the drivers of QCoDeS, the University of Twente and users of the 4G and of attocube's APS100, which speaks
the same language; no manual is public. Values carry their unit, `-1.2345kG`; the supply knows ampere and gauss, and
takes limits in the unit it shows. The driver works in ampere. Several queries share a line, and so do their answers,
with a `;` between: a number that was cut is then no answer at all. Orders are silent, so each is followed by `*ESR?`,
and what it set is read back. A sweep goes to a limit, not to a set point: `SWEEP UP` to the upper one wherever that is,
`DOWN` to the lower; so the driver sets both, the one to the target, the other to where the current is.
"""

import re
from typing import ClassVar

from ..core.capabilities import Activity, Heater, SupplyReading
from ..core.errors import ConfigError, DeviceFault, ReplyError
from .ampere_supply import AmpereSupply
from .driver import measurement, strict_float, strict_int
from .link import Link

_VALUE = re.compile(r"(?P<value>[+-]?[0-9.]+) ?(?P<unit>A|G|kG)")
_VOLTS = re.compile(r"(?P<value>[+-]?[0-9.]+) ?V")
# How supplies were seen to word SWEEP?, with where each goes.
_SWEEPS = (
    (re.compile(r"sweep(?:ing)? up(?: (?:fast|slow))?", re.IGNORECASE), "up"),
    (re.compile(r"sweep(?:ing)? down(?: (?:fast|slow))?", re.IGNORECASE), "down"),
    (re.compile(r"(?:sweep(?:ing)?(?: to)? zero|zeroing)(?: (?:fast|slow))?", re.IGNORECASE), "zero"),
    (re.compile(r"(?:sweep )?paused?", re.IGNORECASE), "paused"),
    (re.compile(r"standby", re.IGNORECASE), "standby"),
)
_MOVING = frozenset({"up", "down", "zero"})
_TESLA_PER_UNIT = {"G": 1e-4, "kG": 0.1}
_RANGES, _FAST = 5, 5
_QUENCHED, _FAILED = 4, 8
_POWER_ON = 128
_ERRORS = {32: "command error", 16: "execution error", 8: "device error", 4: "query error"}


def _volts(reply: str) -> str:
    match = _VOLTS.fullmatch(reply)
    if match is None:
        raise ReplyError(f"{reply!r} is no voltage")
    return match["value"]


class Model4G(AmpereSupply):
    """One channel. `tesla_per_ampere` is the magnet's field constant; the supply cannot be asked for its own.

    `largest_A` is what the supply gives (100 for a 4G-100). `channel` is 1 or 2 of a dual supply, and is then named in
    each line. `echo` says that each command comes back before its answer, as on serial and USB lines.
    """

    model: ClassVar[str] = "4G"
    deadline_s: ClassVar[float] = 1.0
    reverses_through_zero = False
    settings_table: ClassVar[tuple[str, ...]] = ("units", "voltage_limit", "ranges", "rates")

    voltage: float = measurement("VOUT?", """Measure the voltage at the output (V).""", preprocess_reply=_volts)
    voltage_limit: float = measurement("VLIM?", """Get the output voltage limit (V).""", preprocess_reply=_volts)
    heater_on: bool = measurement("PSHTR?", """Get whether the switch heater is on (no unit).""", cast=bool)

    def __init__(
        self, link: Link, name: str = "", *, tesla_per_ampere: float, largest_A: float = 100.0,
        channel: int | None = None, echo: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(link, name, tesla_per_ampere=tesla_per_ampere)
        if channel not in (None, 1, 2):
            raise ConfigError(f"channel is 1 or 2, not {channel!r}", where=self.name)
        self.largest_A = self._positive("largest_A", largest_A)
        self._channel, self._echo = channel, echo
        # Whether the target last told lies above where the current was then; None before any was told.
        self._upward: bool | None = None
        self._restarted = self._opened = False

    @property
    def units(self) -> str:
        """Get the unit the supply shows (no unit): `A`, `G` or `kG`."""
        return self._unit_of(self.ask("UNITS?"))

    @property
    def ranges(self) -> tuple[float, ...]:
        """Get the upper ends of the rate ranges (A)."""
        return self._numbers("RANGE?", _RANGES)

    @property
    def rates(self) -> tuple[float, ...]:
        """Get the rate in each range, and that of a fast sweep (A/s)."""
        return self._numbers("RATE?", _FAST + 1)

    def check_identity(self) -> str:
        """Get the identity; take the supply into remote and put it into ampere.

        Where it was in gauss before, its limits in both units tell its field constant.

        Raises:
            ConfigError: the supply and station.toml disagree about the magnet.
            DeviceFault: it has no such channel, or refuses.
        """
        with self.link.lock:
            identity = super().check_identity()
            self._events()
            if not self._opened:
                # Whether it was off before is nobody's matter; from now on it is.
                self._restarted, self._opened = False, True
            self._order("REMOTE")
            if self._channel is not None and self.ask("CHAN?").strip() != str(self._channel):
                raise DeviceFault(f"the supply has no channel {self._channel}", where=self.name)
            before = [self._value(query) for query in ("ULIM?", "LLIM?")]
            if self.units != "A":
                self._order("UNITS A")
            after = [self._value(query) for query in ("ULIM?", "LLIM?")]
            for (shown, unit), (current_A, ampere) in zip(before, after, strict=True):
                if ampere != "A":
                    raise DeviceFault(f"told to show ampere, the supply shows {ampere}", where=self.name)
                if unit != "A" and abs(current_A) > 1.0:
                    self._compare(shown * _TESLA_PER_UNIT[unit] / current_A)
            return identity

    # The guard's primitives

    def watch(self) -> SupplyReading:
        """Measure status byte, current in the leads, sweep and voltage, in one line.

        When the supply shows another unit than ampere, the look becomes an `inspect`, whose fingerprint says so.
        """
        with self.link.lock:
            status, sweep, voltage_V, output_A, unit = self._look()
            if unit != "A":
                return self.inspect()
            return SupplyReading(
                self.link.answered_s, _activity(status, sweep), output_A, voltage_V=voltage_V,
                detail=f"{sweep}; status byte {status}",
            )  # fmt: skip

    def inspect(self) -> SupplyReading:
        """Measure everything; status and current last. Gauss are converted with the station's field constant."""
        with self.link.lock:
            errors = self._events()
            units = self.units
            fingerprint = (
                ("units", units), ("voltage limit", f"{self.voltage_limit:g} V"),
                ("rate ranges", ", ".join(f"to {edge:g} A" for edge in self.ranges)),
                ("power", "was off since the station was opened" if self._restarted else "on since"),
                *((("channel", self.ask("CHAN?")),) if self._channel is not None else ()),
            )  # fmt: skip
            limits = {"up": self._ampere("ULIM?"), "down": self._ampere("LLIM?"), "zero": 0.0}
            rates, voltage_V, heater_on = self.rates, self.voltage, self.heater_on
            coil_A = None if heater_on else self._ampere("IMAG?")
            status, sweep, _, output, unit = self._look()
            told = {True: "up", False: "down"}.get(self._upward) if self._upward is not None else None
            return SupplyReading(
                self.link.answered_s, _activity(status, sweep), self._in_ampere(output, unit),
                set_point_A=limits.get(sweep, limits.get(told or "")),
                rate_A_per_s=max(rates[:_RANGES]),
                coil_A=coil_A,
                voltage_V=voltage_V,
                heater=Heater.ON if heater_on else Heater.OFF,
                fingerprint=fingerprint,
                detail="; ".join([sweep, f"status byte {status}", *errors]),
            )  # fmt: skip

    def hold(self) -> None:
        """Stop where the current is and stay (`SWEEP PAUSE`). A supply that quenched refuses it, and drives nothing.

        Raises:
            DeviceFault: it still sweeps.
        """
        with self.link.lock:
            self._tell("SWEEP PAUSE")
            errors, sweep = self._events(), self._sweep()
            if sweep in _MOVING:
                raise self._not_done("pause", f"sweeps {sweep}", errors)

    def set_rate(self, rate_A_per_s: float) -> float:
        """Tell the rate of the next move in every range, the fast one too, and give the fastest read back (A/s).

        Raises:
            LimitError: not finite, below the step or above 100 A/s; nothing was sent.
            DeviceFault: the supply refuses it.
        """
        rate = f"{self._rounded_down(rate_A_per_s):.4f}"
        with self.link.lock:
            for number in range(_FAST + 1):
                self._order(f"RATE {number} {rate}")
            return max(self.rates)

    def set_target(self, target_A: float) -> float:
        """Tell the limit that the next sweep goes to while paused, and give what the supply reads back (A).

        The other limit is set to where the current is, so that no sweep of whomever leaves the stretch between.

        Raises:
            LimitError: not finite or beyond the supply's range; nothing was sent.
            DeviceFault: the supply refuses it, shows another unit, or kept another limit.
        """
        self._refuse_beyond(target_A, -self.largest_A, self.largest_A)
        with self.link.lock:
            self.hold()
            if self.units != "A":
                raise DeviceFault(
                    f"somebody changed the supply's unit to {self.units}", where=self.name,
                    state="It was not told to go", do="put it back to ampere at the supply, or open the station again",
                )  # fmt: skip
            here_A = self._ampere("IOUT?")
            self._upward = target_A >= here_A
            low_A, high_A = sorted((here_A, target_A))
            orders = [f"ULIM {high_A:.4f}", f"LLIM {low_A:.4f}"]
            # The lower limit is never above the upper one, not even between the two orders.
            for order in reversed(orders) if high_A < self._ampere("LLIM?") else orders:
                self._order(order)
            high, low = self._ampere("ULIM?"), self._ampere("LLIM?")
            told_A, other_A = (high, low) if self._upward else (low, high)
            if abs(other_A - here_A) > self.current_step_A:
                raise DeviceFault(
                    f"told its other limit to be {here_A:.4f} A, the supply reads back {other_A:.4f} A",
                    where=self.name, state="It was not told to go", do="look at the supply's limits",
                )  # fmt: skip
            return told_A

    def go(self) -> None:
        """Start towards the set point, never with the word for a fast sweep, and see that the supply does.

        Raises:
            DeviceFault: it does something else; it was told to hold.
        """
        with self.link.lock:
            if self._upward is None:
                raise DeviceFault("no set point was told since the station was opened", where=self.name)
            word = "up" if self._upward else "down"
            self._tell(f"SWEEP {word.upper()} SLOW")
            errors, sweep = self._events(), self._sweep()
            limit = "ULIM?" if self._upward else "LLIM?"
            there = sweep == "standby" and abs(self._ampere("IOUT?") - self._ampere(limit)) <= 10 * self.current_step_A
            if errors or not (sweep == word or there):
                if sweep in _MOVING:
                    self.hold()
                raise self._not_done(f"sweep {word}", f"says {sweep}", errors)

    def set_heater(self, on: bool) -> None:
        """Order the switch heater on or off. The supply has no interlock: whoever calls this is the interlock.

        Raises:
            DeviceFault: the supply refuses, or does not say that it did so.
        """
        with self.link.lock:
            self._order(f"PSHTR {'ON' if on else 'OFF'}")
            self._check_heater(on, self.heater_on)

    # How it is spoken to

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Query one line, in this channel."""
        line = self._line(command)
        if not self._echo:
            return self.link.query(line)
        with self.link.lock:
            self._check_echo(line, self.link.query(line, more=True))
            return self.read().strip()

    def _tell(self, command: str) -> None:
        line = self._line(command)
        if self._echo:
            self._check_echo(line, self.link.query(line))
        else:
            self.write(line)

    def _line(self, command: str) -> str:
        return command if self._channel is None else f"CHAN {self._channel};{command}"

    def _check_echo(self, line: str, reply: str) -> None:
        if reply.strip() != line:
            raise self.reply_error(line, reply)

    def _order(self, command: str) -> None:
        """Send an order; an error in the event register is a refusal."""
        with self.link.lock:
            self._tell(command)
            errors = self._events()
        if errors:
            raise DeviceFault(
                f"told {command!r}, the supply has: {'; '.join(errors)}", where=self.name,
                do="look whether the supply is in local, or whether it can do that now",
            )  # fmt: skip

    def _events(self) -> list[str]:
        """Read and clear the event register, and remember a power-on."""
        events = self._integer("*ESR?", self._fields("*ESR?", "UNITS?")[0])
        self._restarted = self._restarted or bool(events & _POWER_ON)
        return [word for bit, word in _ERRORS.items() if events & bit]

    def _look(self) -> tuple[int, str, float, float, str]:
        status, output, sweep, voltage = self._fields("*STB?", "IOUT?", "SWEEP?", "VOUT?")
        try:
            voltage_V = strict_float(_volts(voltage))
        except ReplyError as error:
            raise self.reply_error("VOUT?", voltage) from error
        return self._integer("*STB?", status), self._meaning(sweep), voltage_V, *self._parse("IOUT?", output)

    def _fields(self, *queries: str) -> list[str]:
        """Ask several queries in one line, and give their answers."""
        line = ";".join(queries)
        reply = self.ask(line)
        fields = [field.strip() for field in reply.split(";")]
        if len(fields) != len(queries):
            raise self.reply_error(line, reply)
        return fields

    def _numbers(self, query: str, count: int) -> tuple[float, ...]:
        # The unit at the end is there so that the last number cannot be cut.
        queries = [f"{query} {number}" for number in range(count)]
        *numbers, unit = self._fields(*queries, "UNITS?")
        self._unit_of(unit)
        try:
            return tuple(strict_float(number) for number in numbers)
        except ReplyError as error:
            raise self.reply_error(query, "; ".join(numbers)) from error

    def _integer(self, query: str, text: str) -> int:
        try:
            return strict_int(text)
        except ReplyError as error:
            raise self.reply_error(query, text) from error

    def _unit_of(self, text: str) -> str:
        if text not in {"A", *_TESLA_PER_UNIT}:
            raise self.reply_error("UNITS?", text)
        return text

    def _value(self, query: str) -> tuple[float, str]:
        return self._parse(query, self.ask(query))

    def _parse(self, query: str, reply: str) -> tuple[float, str]:
        match = _VALUE.fullmatch(reply.strip())
        if match is None:
            raise self.reply_error(query, reply)
        try:
            return strict_float(match["value"]), match["unit"]
        except ReplyError as error:
            raise self.reply_error(query, reply) from error

    def _ampere(self, query: str) -> float:
        return self._in_ampere(*self._value(query))

    def _in_ampere(self, value: float, unit: str) -> float:
        return value if unit == "A" else value * _TESLA_PER_UNIT[unit] / self.tesla_per_ampere

    def _sweep(self) -> str:
        return self._meaning(self.ask("SWEEP?"))

    def _meaning(self, reply: str) -> str:
        for pattern, meaning in _SWEEPS:
            if pattern.fullmatch(reply.strip()):
                return meaning
        raise self.reply_error("SWEEP?", reply)


def _activity(status: int, sweep: str) -> Activity:
    if status & _QUENCHED:
        return Activity.QUENCHED
    if status & _FAILED:
        return Activity.FAULT
    return Activity.RAMPING if sweep in _MOVING else Activity.HOLDING
