"""American Magnetics' Model 430 magnet supply programmer.

Wire facts: the AMI 430 and 420 manuals and the drivers of QCoDeS, pymeasure and pyHegel. Commands are not answered, so
each is followed by the error queue, and what it set is read back. The driver works in ampere and ampere per second,
which the unit of the field at the front panel does not touch; the unit of rates rescales them, and is put to seconds
at opening and looked at before each order. A target told while the supply ramps or holds at its target moves the magnet
at once, so the driver pauses first. With the switch cold the leads go at a rate of their own (`PS:PSRR`). Nothing but
digits comes back, and a new query may cut off the answer to the last one, so queries do not share a line; a current is
asked twice, and one that lost a digit is no current.
"""

import re
from typing import Any, ClassVar

from ..core.capabilities import Activity, Heater, SupplyReading
from ..core.errors import DeviceFault, ReplyError
from .ampere_supply import AmpereSupply
from .driver import measurement, strict_float, strict_int
from .link import Link

_IDENTITY = re.compile(
    r"AMERICAN MAGNETICS INC\.,MODEL 430,[^,]+,(?P<firmware>[0-9]+(?:\.[0-9]+)+)[^,]*", re.IGNORECASE
)
_ERROR = re.compile(r'(?P<code>-?[0-9]+), ?"(?P<text>[^"]*)"')
# The manual's numbers for STATE?, and what each is to a guard.
_STATES = {
    1: ("ramping", Activity.RAMPING), 2: ("holding at the target", Activity.HOLDING), 3: ("paused", Activity.HOLDING),
    4: ("ramping up by hand", Activity.RAMPING), 5: ("ramping down by hand", Activity.RAMPING),
    6: ("zeroing", Activity.RAMPING), 7: ("quench", Activity.QUENCHED), 8: ("at zero current", Activity.HOLDING),
    9: ("heating the switch", Activity.HOLDING), 10: ("cooling the switch", Activity.HOLDING),
    11: ("ramping down by the contact at its back", Activity.RAMPING),
}  # fmt: skip
_RAMPING, _HOLDING, _HEATING, _COOLING = 1, 2, 9, 10
_FIELD_UNITS = {0: ("kilogauss", 10.0), 1: ("tesla", 1.0)}
_RATE_UNITS = {0: ("seconds", 1.0), 1: ("minutes", 60.0)}
_MOST_ERRORS = 20
_POWER_ON = 128
# Two looks at a current may differ by this, and in a ramp by its way between them.
_NOISE_A, _SLACK = 2e-3, 1.5
# From here on the inductance may be asked.
_LATE_FIRMWARE = (2, 59)


class AMI430(AmpereSupply):
    """One axis. `tesla_per_ampere` is the magnet's field constant, which the supply must agree with.

    `greeting` says whether it greets who connects; by default it does on port 7180 and nowhere else.
    """

    model: ClassVar[str] = "Model430"
    twin: ClassVar[str] = "remanence.simulators.ami430:AMI430"
    write_end: ClassVar[str] = "\r\n"
    read_end: ClassVar[str] = "\r\n"
    deadline_s: ClassVar[float] = 1.0
    reverses_through_zero = False
    rate_step_A_per_s: float = 1e-6
    fastest_A_per_s: ClassVar[float] = 10.0
    settings_table: ClassVar[tuple[str, ...]] = (
        "field_constant", "current_limit", "voltage_limit", "segments", "target", "quench_detection", "switch_fitted",
        "heating_time", "cooling_time",
    )  # fmt: skip

    state: int = measurement("STATE?", """Get what the supply does (no unit) as its code, 1 to 11.""", cast=int)
    output: float = measurement("CURR:SUPP?", """Measure the current in the leads (A).""")
    coil: float = measurement("CURR:MAG?", """Measure the coil's current as the supply knows or remembers it (A).""")
    target: float = measurement("CURR:TARG?", """Get the set point (A).""")
    voltage: float = measurement("VOLT:SUPP?", """Measure the voltage at the supply's output (V).""")
    current_limit: float = measurement("CURR:LIM?", """Get the largest current that it goes to (A).""")
    voltage_limit: float = measurement("VOLT:LIM?", """Get the output voltage limit (V).""")
    segments: int = measurement("RAMP:RATE:SEG?", """Get the number of ramp segments (no unit).""", cast=int)
    switch_fitted: bool = measurement("PS:INST?", """Get whether a persistent switch is fitted (no unit).""", cast=bool)
    heater_on: bool = measurement("PS?", """Get whether the switch heater is on (no unit).""", cast=bool)
    persistent: bool = measurement("PERS?", """Get whether the magnet is in persistent mode (no unit).""", cast=bool)
    quenched: bool = measurement("QU?", """Get whether a quench is latched (no unit).""", cast=bool)
    quench_detection: bool = measurement("QU:DET?", """Get whether it watches for quenches (no unit).""", cast=bool)
    cold_rate: float = measurement("PS:PSRR?", """Get the rate of the leads while the switch is cold (A/s).""")
    heating_time: float = measurement("PS:HTIME?", """Get how long the switch is heated before a ramp (s).""")
    cooling_time: float = measurement("PS:CTIME?", """Get how long the switch is cooled before a ramp (s).""")
    inductance: float = measurement("IND?", """Get the coil's inductance (H); firmware 2.59 and later.""")

    def __init__(self, link: Link, name: str = "", *, tesla_per_ampere: float, greeting: bool | None = None) -> None:
        if greeting is None:
            greeting = "::7180::" in link.address
        self.greeting_lines = 2 if greeting else 0  # pyright: ignore[reportAttributeAccessIssue]  this port's
        super().__init__(link, name, tesla_per_ampere=tesla_per_ampere)
        self.firmware: tuple[int, ...] = ()
        # The fastest that the current is known to go.
        self._pace_A_per_s = self.fastest_A_per_s
        self._restarted = self._opened = False
        # What the supply can give (A), read from it; until then it is told no current.
        self._range_A = (0.0, 0.0)

    @property
    def field_constant(self) -> float:
        """Get the field constant that the supply works with (T/A), whichever unit it shows."""
        with self.link.lock:
            return self.ask_float("COIL?") / self._unit("FIELD:UNITS?", _FIELD_UNITS)[1]

    def check_identity(self) -> str:
        """Get the identity; refuse another magnet's supply, and put its rates into ampere per second.

        Errors that waited in its queue are none of ours, and are dropped.

        Raises:
            ConfigError: the supply and station.toml disagree about the magnet.
        """
        with self.link.lock:
            identity = super().check_identity()
            match = _IDENTITY.fullmatch(identity)
            if match is None:
                raise self.reply_error("*IDN?", identity)
            self.firmware = tuple(int(part) for part in match["firmware"].split("."))
            self._errors()
            self._look_for_restart()
            if not self._opened:
                # Whether it was off before is nobody's matter; from now on it is.
                self._restarted, self._opened = False, True
            self._compare(self.field_constant)
            if self._unit("RAMP:RATE:UNITS?", _RATE_UNITS)[1] != 1.0:
                self._order("CONF:RAMP:RATE:UNITS 0")
            limit_A = self.current_limit
            self._range_A = (
                max(self.ask_float("SUPP:CURR:MIN?"), -limit_A), min(self.ask_float("SUPP:CURR:MAX?"), limit_A)
            )  # fmt: skip
            return identity

    # The guard's primitives

    def watch(self) -> SupplyReading:
        """Measure current in the leads, state, voltage, and the current once more.

        Raises:
            ReplyError: the two currents are further apart than the ramp explains; one of them lost a digit.
        """
        with self.link.lock:
            first_A, state = self.output, self.state
            word, activity = self._meaning(state)
            voltage_V, output_A = self.voltage, self.output
            # Between the two lie three queries, each no longer than its deadline.
            moving = activity is Activity.RAMPING
            reach_A = _NOISE_A + (_SLACK * self._pace_A_per_s * 3.0 * self.deadline_s if moving else 0.0)
            if abs(output_A - first_A) > reach_A and activity is not Activity.QUENCHED:
                raise self.reply_error("CURR:SUPP?", f"{first_A:g}, and {output_A:g} when it was asked again")
            heater = {_HEATING: Heater.ON, _COOLING: Heater.OFF}.get(state)
            return SupplyReading(
                self.link.answered_s, activity, output_A, voltage_V=voltage_V, heater=heater,
                detail=f"STATE {state}: {word}",
            )  # fmt: skip

    def inspect(self) -> SupplyReading:
        """Measure everything; state and current last. Errors that waited in the queue are told in `detail`."""
        with self.link.lock:
            errors = self._errors()
            field_unit, _ = self._unit("FIELD:UNITS?", _FIELD_UNITS)
            rate_unit, per_second = self._unit("RAMP:RATE:UNITS?", _RATE_UNITS)
            segments = self._segments()
            fitted, detection = self.switch_fitted, self.quench_detection
            heater = Heater.ABSENT
            coil_A: float | None = None
            rate = max(rate for rate, _ in segments) / per_second
            if fitted:
                heater = Heater.ON if self.heater_on else Heater.OFF
                if heater is Heater.OFF:
                    coil_A, rate = self.coil, self.cold_rate
            self._pace_A_per_s = rate
            self._look_for_restart()
            fingerprint = (
                ("field unit", field_unit),
                ("rate unit", rate_unit),
                ("field constant", self.ask("COIL?")),
                ("current limit", self.ask("CURR:LIM?")),
                ("voltage limit", self.ask("VOLT:LIM?")),
                ("ramp segments", ", ".join(f"to {bound}" for _, bound in segments)),
                ("quench detection", str(int(detection))),
                ("persistent switch", str(int(fitted))),
                ("power", "was off since the station was opened" if self._restarted else "on since"),
            )
            persistent = "; persistent" if fitted and self.persistent else ""
            target_A, voltage_V, quenched = self.target, self.voltage, self.quenched
            look = self.watch()
            return SupplyReading(
                look.time_s,
                Activity.QUENCHED if quenched else look.activity,
                look.output_A,
                target_A,
                rate,
                coil_A,
                voltage_V,
                heater,
                fingerprint=fingerprint,
                detail="; ".join([look.detail + persistent, *(f"error: {error}" for error in errors)]),
            )

    def hold(self) -> None:
        """Stop where the current is and stay (`PAUSE`). A supply that quenched refuses the word, and drives nothing.

        Raises:
            DeviceFault: it still moves.
        """
        with self.link.lock:
            self.write("PAUSE")
            errors, state = self._errors(), self.state
            word, activity = self._meaning(state)
            if activity is Activity.RAMPING:
                raise self._not_done("pause", f"is {word}", errors)

    def set_rate(self, rate_A_per_s: float) -> float:
        """Tell the rate of the next move in every segment, or that of the leads while the switch is cold.

        Gives the fastest that was read back (A/s).

        Raises:
            LimitError: not finite, below the step or above 10 A/s; nothing was sent.
            DeviceFault: the supply refuses it, or its rates are not per second any more.
        """
        rate = f"{self._rounded_down(rate_A_per_s):.6f}"
        with self.link.lock:
            self._check_rate_unit()
            if self.switch_fitted and not self.heater_on:
                self._order(f"CONF:PS:PSRR {rate}")
                self._pace_A_per_s = self.cold_rate
                return self._pace_A_per_s
            for number, (_, bound) in enumerate(self._segments(), 1):
                self._order(f"CONF:RAMP:RATE:CURR {number},{rate},{bound}")
            self._check_rate_unit()
            self._pace_A_per_s = max(rate for rate, _ in self._segments())
            return self._pace_A_per_s

    def set_target(self, target_A: float) -> float:
        """Tell the set point while paused, and give what the supply reads back (A).

        Raises:
            LimitError: not finite or beyond what the supply can give; nothing was sent.
            DeviceFault: the supply refuses it.
        """
        self._refuse_beyond(target_A, *self._range_A)
        with self.link.lock:
            self.hold()
            self._order(f"CONF:CURR:TARG {target_A:.4f}")
            return self.target

    def go(self) -> None:
        """Start towards the set point (`RAMP`), and see that the supply does.

        Raises:
            DeviceFault: it does something else; it was told to hold.
        """
        with self.link.lock:
            self.write("RAMP")
            errors, state = self._errors(), self.state
            word, activity = self._meaning(state)
            if errors or state not in (_RAMPING, _HOLDING):
                if activity is Activity.RAMPING:
                    self.hold()
                raise self._not_done("ramp", f"is {word}", errors)

    def set_heater(self, on: bool) -> None:
        """Order the switch heater on or off; the supply then refuses to ramp for its heating or cooling time.

        Raises:
            DeviceFault: the supply has no switch, refuses, or does not say that it did so.
        """
        with self.link.lock:
            self._order(f"PS {int(on)}")
            self._check_heater(on, self.heater_on)

    def settings(self) -> dict[str, Any]:
        """The table, the station's field constant, and the inductance where the firmware tells it."""
        late = {"inductance": self.inductance} if self.firmware >= _LATE_FIRMWARE else {}
        return super().settings() | late

    # How it is spoken to

    def _order(self, command: str) -> None:
        """Send a command; whatever is then in the error queue is a refusal, and the queue is empty afterwards."""
        with self.link.lock:
            self.write(command)
            errors = self._errors()
        if errors:
            raise DeviceFault(
                f"told {command!r}, the supply has errors: {'; '.join(errors)}", where=self.name,
                do="look at the supply; what was asked for may not have been done",
            )  # fmt: skip

    def _errors(self) -> list[str]:
        """Read the error queue until it is empty."""
        errors: list[str] = []
        while len(errors) < _MOST_ERRORS:
            reply = self.ask("SYST:ERR?")
            match = _ERROR.fullmatch(reply)
            if match is None:
                raise self.reply_error("SYST:ERR?", reply)
            if int(match["code"]) == 0:
                return errors
            errors.append(f"{match['code']} {match['text']}")
        raise self.reply_error("SYST:ERR?", f"{_MOST_ERRORS} errors and no end: {errors[-1]}")

    def _look_for_restart(self) -> None:
        reply = self.ask("*ESR?")
        try:
            self._restarted = self._restarted or bool(strict_int(reply) & _POWER_ON)
        except ReplyError as error:
            raise self.reply_error("*ESR?", reply) from error

    def _segments(self) -> list[tuple[float, str]]:
        """Rate, in the unit of rates, and upper bound, in the supply's words, of each ramp segment."""
        segments: list[tuple[float, str]] = []
        for number in range(1, self.segments + 1):
            command = f"RAMP:RATE:CURR:{number}?"
            reply = self.ask(command)
            try:
                rate, bound = (part.strip() for part in reply.split(","))
                strict_float(bound)
                segments.append((strict_float(rate), bound))
            except ValueError as error:
                raise self.reply_error(command, reply) from error
        if not segments:
            raise self.reply_error("RAMP:RATE:SEG?", "0")
        return segments

    def _check_rate_unit(self) -> None:
        word, per_second = self._unit("RAMP:RATE:UNITS?", _RATE_UNITS)
        if per_second != 1.0:
            raise DeviceFault(
                f"somebody changed the supply's rates to {word}", where=self.name,
                state="It was not told to go", do="put them back to seconds at the supply, or open the station again",
            )  # fmt: skip

    def _unit(self, command: str, units: dict[int, tuple[str, float]]) -> tuple[str, float]:
        reply = self.ask(command)
        try:
            return units[strict_int(reply)]
        except (ReplyError, KeyError) as error:
            raise self.reply_error(command, reply) from error

    def _meaning(self, state: int) -> tuple[str, Activity]:
        if state not in _STATES:
            raise self.reply_error("STATE?", str(state))
        return _STATES[state]
