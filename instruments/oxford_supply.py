"""What an IPS120-10 or PS120-10 says of itself: its status word, its readings, and the digits it says them with.

Wire facts beside those of `oxford`: pymeasure, QCoDeS contrib, Lab::Measurement, KAME, ISIS and the legacy commands of
the Mercury iPS manual. R0 is the current in the leads, R2 what the shunt measures of it, R5 the set point, R16 the
coil's current as recorded when the heater was last switched off. Rates are per minute on the wire.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

from ..core.capabilities import Activity, Heater
from ..core.errors import DeviceFault
from .field_constant import disagreement, positive
from .link import Link
from .oxford import REMOTE, REMOTE_LOCKED, LetterDriver, decimals

_s_per_min = 60.0
# How far the field constants of supply and station may be apart.
_TOLERANCE = 1e-3
# The digit behind `A`.
HOLD, TO_SET, TO_ZERO, CLAMPED = 0, 1, 2, 4
_QUENCHED_BIT = 1
# Of the second digit: bits 1 and 2 say that the voltage limit slows a sweep, which is no fault; these are.
_OUTSIDE_BITS = 4 | 8
_RUN_DOWN = 4
_HEATERS = {0: Heater.OFF, 1: Heater.ON, 2: Heater.OFF, 5: Heater.FAULT, 8: Heater.ABSENT}
# Fast modes, in which the leads alone go as fast as they can, and the slow mode of the same unit.
SLOW_MODES = {0: 4, 1: 5}
_STATUS = re.compile(r"X([0-9])([0-9])A([0124])C([0-7])H([01258])M([0-9])([0-3])P([0-7])([0-9])")


@dataclass(frozen=True, slots=True)
class Status:
    """The digits of `X`. `system` and `limits` are bit fields, `polarity` and `contact` matter on a PS120-10 only."""

    raw: str
    system: int
    limits: int
    action: int
    control: int
    heater: int
    mode: int
    sweep: int
    polarity: int
    contact: int

    @property
    def fault(self) -> Activity | None:
        """QUENCHED or FAULT, or None when all is well; running the magnet down by itself counts as a fault."""
        if self.system & _QUENCHED_BIT:
            return Activity.QUENCHED
        if self.system or self.limits & _OUTSIDE_BITS or self.control >= _RUN_DOWN:
            return Activity.FAULT
        return None

    @property
    def fast(self) -> bool:
        """True in a mode that does not keep the rate while the heater is off."""
        return self.mode in SLOW_MODES

    @property
    def heater_state(self) -> Heater:
        """What the supply says of the switch heater."""
        return _HEATERS[self.heater]

    @property
    def remote(self) -> bool:
        """True when the computer has the control."""
        return self.control in (REMOTE, REMOTE_LOCKED)


class SupplyReadings(LetterDriver):
    """The readings of such a supply. `scale` is what a number on the wire is multiplied with.

    `tesla_per_ampere` is the magnet's field constant; where it is given, the supply must agree with it.
    """

    scale: ClassVar[float] = 1.0

    def __init__(
        self, link: Link, name: str = "", *, isobus: int | None = None, tesla_per_ampere: float | None = None
    ) -> None:
        super().__init__(link, name, isobus=isobus)
        self.tesla_per_ampere = positive(tesla_per_ampere, self.name)
        self.resolve("0.0000", "0.000")
        # As of the last status.
        self.clamped = False

    def compare_constant(self) -> None:
        """Refuse a supply whose rate in tesla is not its rate in ampere times the station's field constant.

        Raises:
            ConfigError: they differ by more than the digits of the two rates and a thousandth allow.
        """
        if self.tesla_per_ampere is None:
            return
        texts = self.reading(9), self.reading(6)
        self.read_status()
        tesla, ampere = (float(text) * self.scale for text in texts)
        tesla_off, ampere_off = (0.5 * self.scale * 10.0 ** -decimals(text) for text in texts)
        told = self.tesla_per_ampere * ampere
        if abs(tesla - told) > tesla_off + self.tesla_per_ampere * ampere_off + _TOLERANCE * told:
            raise disagreement(tesla / ampere if ampere else 0.0, self.tesla_per_ampere, self.where())

    def resolve(self, current: str, rate: str) -> None:
        """Take the resolutions from the digits that the supply shows."""
        self.full_width = self.width(current)
        self.digits, self.rate_digits = decimals(current), decimals(rate)
        self.current_step_A: float = self.scale * 10.0**-self.digits
        self.rate_step_A_per_min: float = self.scale * 10.0**-self.rate_digits
        self.rate_step_A_per_s: float = self.rate_step_A_per_min / _s_per_min

    # Readings and settings

    @property
    def status(self) -> str:
        """Get the status word as the supply says it (no unit)."""
        return self.read_status().raw

    @property
    def output_current(self) -> float:
        """Measure the current that the supply sends into the leads, a magnitude on a PS120-10 (A)."""
        return self.read_current(0)

    @property
    def shunt_current(self) -> float:
        """Measure the current in the leads at the supply's shunt, a magnitude on a PS120-10 (A)."""
        return self.read_current(2)

    @property
    def output_voltage(self) -> float:
        """Measure the voltage at the output (V)."""
        return self.read_current(1)

    @property
    def set_point(self) -> float:
        """Get the set point, a magnitude on a PS120-10 (A)."""
        return self.read_current(5)

    @property
    def rate(self) -> float:
        """Get the rate of the next move (A/s)."""
        return self.read_current(6) / _s_per_min

    @property
    def recorded_current(self) -> float:
        """Get the coil's current when the heater was last switched off, a magnitude on a PS120-10 (A)."""
        return self.read_current(16)

    @property
    def trip_current(self) -> float:
        """Get the current at the last quench (A)."""
        return self.read_current(17)

    @property
    def voltage_limit(self) -> float:
        """Get the voltage limit of the output (V)."""
        return self.read_current(15)

    @property
    def negative_limit(self) -> float:
        """Get the most negative current that the supply lets pass (A)."""
        return self.read_current(21)

    @property
    def positive_limit(self) -> float:
        """Get the largest current that the supply lets pass (A)."""
        return self.read_current(22)

    @property
    def inductance(self) -> float:
        """Get the magnet's inductance as the supply was told (H)."""
        return self.read_current(24)

    @property
    def heater_current(self) -> float:
        """Get the current of the switch heater (mA), as it stands on the wire."""
        return self.read_float(20)

    @property
    def field_constant(self) -> float:
        """Measure the field constant from the rate in both units (T/A), as well as its digits allow.

        A rate of 0.1 T/min gives it to 0.1 % in extended resolution; a PS120-10 gives a rough number only.
        """
        with self.link.lock:
            tesla, ampere = self.read_float(9), self.read_float(6)
            self.read_status()
        if not ampere:
            raise DeviceFault("its rate is zero, so the field constant cannot be told", where=self.where())
        return tesla / ampere

    # The wire

    def read_current(self, number: int) -> float:
        """Read variable `number` in ampere, ampere per minute or volt."""
        return self.scaled(self.reading(number))

    def scaled(self, text: str) -> float:
        """A number of the wire in ampere, ampere per minute or volt."""
        return round(float(text) * self.scale, 9)

    def read_status(self) -> Status:
        """Read the status."""
        reply = self.say("X")
        match = _STATUS.fullmatch(reply)
        if match is None:
            raise self.reply_error("X", reply)
        status = Status(reply, *(int(digit) for digit in match.groups()))
        self.clamped = status.action == CLAMPED
        return status

    def read_control(self) -> int:
        """Get the digit behind `C`: who has the control."""
        return self.read_status().control

    def why_refused(self, command: str) -> str:
        """One sentence on the state in which `command` was refused."""
        status = self.read_status()
        if status.fault is not None:
            return f"It says {status.raw}: {status.fault}"
        if not status.remote:
            return f"It says {status.raw}: in local, its front has the control"
        if status.action == CLAMPED:
            return f"It says {status.raw}: clamped"
        if command == "H1":
            return f"The leads carry {self.read_current(0):g} A, the coil by its record {self.read_current(16):g} A"
        return f"It says {status.raw}"

    def text(self, value: float, digits: int) -> str:
        """A value as the supply takes it; adding zero makes no difference but to a negative zero."""
        return f"{round(value / self.scale, digits) + 0.0:.{digits}f}"
