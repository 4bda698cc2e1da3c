"""Oxford Instruments' IPS120-10 and PS120-10 superconducting magnet supplies, driven in ampere.

Wire facts are those of `oxford_supply`. The heater is never ordered on with `H2`, which skips the supply's own check,
and a clamped output (`A4`) is never released: a person did that. A supply that goes to its set point takes no new one.
"""

import math
from typing import ClassVar

from ..core.capabilities import Activity, Heater, SupplyReading
from ..core.errors import CommunicationError, DeviceFault, LimitError, ReplyError
from .link import Link
from .oxford_supply import CLAMPED, HOLD, SLOW_MODES, TO_SET, Status, SupplyReadings

_s_per_min = 60.0
_LARGEST_A = 120.0
# The fastest sweep that the maker names: an assumption, and no magnet's.
_FASTEST_A_per_min = 1200.0
# A supply that was told to go somewhere is there within this: the last digit of its display.
_THERE_A = 0.01
# What must not change behind the guard's back, as the supply words it.
_FIXED = {"voltage limit": 15, "heater current": 20, "negative limit": 21, "positive limit": 22, "inductance": 24}


class IPS120(SupplyReadings):
    """The bipolar supply, ±120 A. It is put into extended resolution and into slow sweeps when its link opens."""

    model: ClassVar[str] = "IPS120-10"
    resolution: ClassVar[int] = 4
    reverses_through_zero: bool = False
    settings_table: ClassVar[tuple[str, ...]] = (
        "status", "set_point", "rate", "voltage_limit", "negative_limit", "positive_limit", "inductance",
        "heater_current", "recorded_current", "trip_current",
    )  # fmt: skip

    def __init__(
        self, link: Link, name: str = "", *, isobus: int | None = None, tesla_per_ampere: float | None = None
    ) -> None:
        super().__init__(link, name, isobus=isobus, tesla_per_ampere=tesla_per_ampere)
        self._limits_A = -_LARGEST_A, _LARGEST_A

    def check_identity(self) -> str:
        """Get the identity; read resolution and limits, and take a supply that stands out of fast sweeps.

        Raises:
            ReplyError: something else answers, or its limits are none of this model's.
            ConfigError: supply and station disagree about the magnet.
        """
        with self.link.lock:
            identity = super().check_identity()
            self.resolve(self.reading(0), self.reading(6))
            self._limits_A = self.negative_limit, self.positive_limit
            status = self.read_status()
            if not -1.01 * _LARGEST_A <= self._limits_A[0] <= 0.0 <= self._limits_A[1] <= 1.01 * _LARGEST_A:
                low_A, high_A = self._limits_A
                raise ReplyError(
                    f"its current limits read {low_A:g} and {high_A:g} A, so it is no {self.model}",
                    where=self.where(), state="Nothing was sent that moves the magnet",
                    do="check the model and the units of its numbers",
                )  # fmt: skip
            self.compare_constant()
            if status.fast and status.action in (HOLD, CLAMPED) and status.remote:
                self.order(f"M{SLOW_MODES[status.mode]}")
        return identity

    # The guard's primitives

    def watch(self) -> SupplyReading:
        """Measure what the leads carry, where they go, how fast, the voltage and the status: five queries.

        When the current has lost digits, the look becomes an `inspect`, whose fingerprint says so.
        """
        with self.link.lock:
            output, time_s = self.reading(0), self.link.answered_s
            if self.width(output) < self.full_width:
                return self.inspect()
            set_A, rate, volts = (self.read_current(number) for number in (5, 6, 1))
            return self._reading(self.read_status(), time_s, self.scaled(output), set_A, rate, volts)

    def inspect(self) -> SupplyReading:
        """Measure everything; `coil_A` is the recorded current, which means something while the heater is off."""
        with self.link.lock:
            # What changes comes last, and close together.
            fixed = tuple((name, self.reading(number)) for name, number in _FIXED.items())
            output, time_s = self.reading(0), self.link.answered_s
            set_A, rate, volts, coil_A = (self.read_current(number) for number in (5, 6, 1, 16))
            status = self.read_status()
            fingerprint = (
                *fixed, ("digits", str(self.width(output))), ("sweeps", "fast" if status.fast else "slow"),
            )  # fmt: skip
            return self._reading(status, time_s, self.scaled(output), set_A, rate, volts, coil_A, fingerprint)

    def hold(self) -> None:
        """Stop where the current is, and read that back. A clamped output stands already, and stays clamped.

        Raises:
            DeviceFault: it was refused (somebody has it in local), or the status says that it goes on.
        """
        with self.link.lock:
            try:
                stands = self.read_status().action in (HOLD, CLAMPED)
            except (CommunicationError, DeviceFault):
                # A status that did not come must not keep the magnet going; a clamped output does not go anywhere.
                if self.clamped:
                    raise
                stands = False
            if not stands:
                self.order(f"A{HOLD}")
                self._expect("hold", HOLD)

    def set_rate(self, rate_A_per_s: float) -> float:
        """Tell the rate of the next move, rounded down, and give what was read back (A/s).

        Raises:
            LimitError: not finite, below the smallest step, or above 20 A/s; nothing was sent.
        """
        step = self.rate_step_A_per_min
        largest = _FASTEST_A_per_min / _s_per_min
        # A rate that was a whole number of steps before it was divided by 60 must stay that number.
        steps = math.floor(rate_A_per_s * _s_per_min / step + 1e-6) if math.isfinite(rate_A_per_s) else 0
        if steps < 1 or rate_A_per_s > largest:
            raise LimitError(
                f"a rate of {rate_A_per_s:g} A/s is outside {step / _s_per_min:.3g} to {largest:g} A/s",
                where=self.name, state="Nothing was sent",
            )  # fmt: skip
        with self.link.lock:
            self.order(f"S{self.text(steps * step, self.rate_digits)}")
            rate = self.read_current(6)
            self.read_status()
        return rate / _s_per_min

    def set_target(self, target_A: float) -> float:
        """Tell the set point of a supply that stands, and give what was read back (A).

        Raises:
            LimitError: not finite or beyond the supply's own limits; nothing was sent.
            DeviceFault: the supply goes to its set point, and a new one would move it at once.
        """
        low_A, high_A = self._limits_A
        if not low_A <= target_A <= high_A:
            raise LimitError(
                f"{target_A:g} A is outside the supply's {low_A:g} to {high_A:g} A", where=self.name,
                state="Nothing was sent",
            )  # fmt: skip
        with self.link.lock:
            status = self.read_status()
            if status.action == TO_SET:
                raise DeviceFault(
                    "it goes to its set point, so a new one would move the magnet at once", where=self.where(),
                    state="The set point is as it was", do="hold first",
                )  # fmt: skip
            self._aim(target_A, status)
            magnitude_A = self.read_current(5)
            return magnitude_A * self._signs(self.read_status())[1] + 0.0

    def go(self) -> None:
        """Start towards the set point, and read that back.

        Raises:
            DeviceFault: it is clamped, quenched, at fault or in fast sweeps (nothing was sent), or it did not start.
        """
        with self.link.lock:
            status = self.read_status()
            reason = "it is clamped, which only a person may end" if status.action == CLAMPED else ""
            if status.fault is not None:
                reason = f"it is in {status.fault}"
            if status.fast and status.heater_state is not Heater.ON:
                reason = "it is in fast sweeps, and does not keep the rate"
            if reason:
                raise DeviceFault(
                    reason, where=self.where(), state=f"It was not told to go; its status is {status.raw}",
                    do="look at the supply",
                )  # fmt: skip
            self.order(f"A{TO_SET}")
            self._expect("go to the set point", TO_SET)

    def set_heater(self, on: bool) -> None:
        """Order the switch heater on, with the supply's own check of the currents, or off.

        Raises:
            DeviceFault: there is no switch, the supply refuses, or the heater takes too little current.
        """
        with self.link.lock:
            if self.read_status().heater_state is Heater.ABSENT:
                raise DeviceFault("no persistent switch is fitted", where=self.where(), state="Nothing was sent")
            self.order(f"H{int(on)}")
            status = self.read_status()
        if status.heater_state is Heater.FAULT:
            raise DeviceFault(
                "the switch heater takes too little current: its wire may be broken", where=self.where(),
                state=f"The switch may be cold; the status is {status.raw}", do="do not ramp",
            )  # fmt: skip

    # The wire

    def _aim(self, target_A: float, status: Status) -> None:
        self.order(f"I{self.text(target_A, self.digits)}")

    def _signs(self, status: Status) -> tuple[int, int, int]:
        """The signs of what the supply says of output, set point and coil."""
        return 1, 1, 1

    def _expect(self, what: str, action: int) -> None:
        status = self.read_status()
        if status.action != action:
            raise DeviceFault(
                f"told to {what}, and did not", where=self.where(), state=f"Its status is {status.raw}",
                do="look at the supply",
            )  # fmt: skip

    def _reading(
        self,
        status: Status,
        time_s: float,
        output_A: float,
        set_A: float,
        rate_A_per_min: float,
        volts: float | None = None,
        coil_A: float | None = None,
        fingerprint: tuple[tuple[str, str], ...] | None = None,
    ) -> SupplyReading:
        output_sign, set_sign, coil_sign = self._signs(status)
        # Adding zero makes no difference but to a negative zero.
        output_A, set_A = output_sign * output_A + 0.0, set_sign * set_A + 0.0
        heater = status.heater_state
        activity = status.fault or self._activity(status, output_A, set_A)
        if self.reverses_through_zero and volts is not None:
            # A magnitude: at rest it is the leads' drop, which has the current's sign; in a ramp nobody can tell.
            volts = None if activity is Activity.RAMPING else output_sign * volts
        return SupplyReading(
            time_s=time_s,
            activity=activity,
            output_A=output_A,
            set_point_A=set_A,
            rate_A_per_s=rate_A_per_min / _s_per_min,
            # While the heater is on, what was recorded before is no news of the coil.
            coil_A=coil_sign * coil_A if coil_A is not None and heater is Heater.OFF else None,
            voltage_V=volts,
            heater=heater,
            remote=status.remote,
            fingerprint=fingerprint,
            detail=status.raw,
        )

    @staticmethod
    def _activity(status: Status, output_A: float, set_A: float) -> Activity:
        """What the output does; a supply that has arrived still says that it goes there."""
        if status.action == CLAMPED:
            return Activity.CLAMPED
        goal_A = set_A if status.action == TO_SET else 0.0
        stands = status.action == HOLD or (status.sweep == 0 and abs(output_A - goal_A) <= _THERE_A)
        return Activity.HOLDING if stands else Activity.RAMPING


class PS120(IPS120):
    """The unipolar supply with a relay for the sign: magnitudes in whole steps of 10 mA, the sign in `P`.

    Its relay turns at zero, so the sign of the set point is changed there only.
    """

    model: ClassVar[str] = "PS120-10"
    resolution: ClassVar[int] = 0
    reverses_through_zero: bool = True
    scale: ClassVar[float] = 0.01

    def reading(self, number: int) -> str:
        """Read variable `number` as the supply words it: a whole number."""
        text = super().reading(number)
        if "." in text:
            raise self.reply_error(f"R{number}", text)
        return text

    @property
    def negative_limit(self) -> float:
        """Get the most negative current that the supply lets pass (A)."""
        return -abs(self.read_current(21))

    def width(self, text: str) -> int:
        """Numbers have five digits and a sign, always."""
        return len(text)

    def resolve(self, current: str, rate: str) -> None:
        """One step is one step of the wire."""
        super().resolve("0", "0")
        self.full_width = self.width(current)

    def _aim(self, target_A: float, status: Status) -> None:
        sign = self._signs(status)[1]
        if target_A * sign < 0.0:
            if (output_A := self.read_current(0)) > self.current_step_A:
                raise DeviceFault(
                    f"the sign cannot change: {output_A:g} A are in the leads", where=self.where(),
                    state="The set point is as it was", do="go to zero first",
                )  # fmt: skip
            self.order("P1" if target_A > 0.0 else "P2")
        self.order(f"I{self.text(abs(target_A), 0)}")

    def _signs(self, status: Status) -> tuple[int, int, int]:
        """From the wanted, the magnet's and the commanded sign (bits 4, 2 and 1), and the contact that is closed.

        While neither contact is closed the output is clamped by the turning relay, and carries nothing.
        """
        output = {1: 1, 2: -1}.get(status.contact, -1 if status.polarity & 1 else 1)
        return output, -1 if status.polarity & 4 else 1, -1 if status.polarity & 2 else 1
