"""Oxford Instruments' Mercury iPS magnet supply, driven in ampere: one driver for each group of its units.

Wire facts are those of `mercury_supply`. A supply that was told to go says HOLD when it is there. The heater is ordered
by SWHT, never by SWHN, which skips the supply's own check; its readback follows seconds later. A clamped output is
never released: a person did that.
"""

import math
from typing import ClassVar

from ..core.capabilities import Activity, Heater, SupplyReading
from ..core.errors import CommunicationError, DeviceFault, LimitError
from .link import Link
from .mercury import Refused
from .mercury_supply import ACTIONS, FAULT_BITS, QUENCH_BIT, SWITCH, GroupReadings

_s_per_min = 60.0
# The fastest rate that is accepted, and no magnet's: an assumption.
_FASTEST_A_per_min = 1200.0
_STEP_A = 1e-4
# A supply that was told to go and says HOLD has arrived if it is this near.
_THERE_A = 0.01
# Beyond this a voltage is one of those that the instrument invents at times (ISIS saw 9000 V).
_LARGEST_V = 50.0


class MercuryIPS(GroupReadings):
    """The group of units `group` of an iPS, as GRPZ. The drivers of several groups may share one link.

    `thermometer` and `level_meter` are the boards with the magnet's sensors.
    """

    model: ClassVar[str] = "MercuryIPS"
    reverses_through_zero: bool = False
    current_step_A: float = _STEP_A
    rate_step_A_per_s: float = _STEP_A / _s_per_min
    settings_table: ClassVar[tuple[str, ...]] = (
        "action", "set_point", "rate", "field_constant", "current_limit", "fixed", "persistent_current",
    )  # fmt: skip

    def __init__(
        self,
        link: Link,
        name: str = "",
        *,
        group: str = "GRPZ",
        thermometer: str = "MB1.T1",
        level_meter: str = "DB5.L1",
        tesla_per_ampere: float | None = None,
    ) -> None:
        super().__init__(
            link, name, group=group, thermometer=thermometer, level_meter=level_meter,
            tesla_per_ampere=tesla_per_ampere,
        )  # fmt: skip
        # Nothing is in range before the supply has said what is.
        self._limit_A = 0.0

    def check_identity(self) -> str:
        """Get the identity; find the group under the name that this firmware has for it, its limit and its switch.

        Raises:
            ConfigError: this iPS has no such group (the message names those that it has), or another magnet there.
            ReplyError: something else answers at this address.
        """
        with self.link.lock:
            identity = super().check_identity()
            self.find_kind()
            self._limit_A = self.current_limit
        return identity

    # The guard's primitives

    def watch(self) -> SupplyReading:
        """Measure all that can change, in two queries (three where the firmware knows no status word)."""
        return self._look()

    def inspect(self) -> SupplyReading:
        """Measure everything; an iPS takes orders from the computer and from its screen alike."""
        with self.link.lock:
            return self._look(tuple(self.fixed.items()), remote=True)

    def hold(self) -> None:
        """Stop where the current is, and read that back. A clamped output stands already, and stays clamped.

        Raises:
            DeviceFault: it was refused, or the supply says that it goes on.
        """
        with self.link.lock:
            try:
                stands = self.action in ("HOLD", "CLMP")
            except (CommunicationError, DeviceFault):
                # A word that did not come must not keep the magnet going; a clamped output does not go anywhere.
                if self.clamped:
                    raise
                stands = False
            if not stands:
                self.tell(self.address, ACTN="HOLD")
                if (found := self.action) != "HOLD":
                    raise DeviceFault(
                        "told to hold, and did not",
                        where=self.where(),
                        state=f"It says {found}",
                        do="look at the supply",
                    )

    def set_rate(self, rate_A_per_s: float) -> float:
        """Tell the rate of the next move, rounded down, and give what was read back (A/s).

        Raises:
            LimitError: not finite, below the smallest step, or above 20 A/s; nothing was sent.
        """
        # A rate that was a whole number of steps before it was divided by 60 must stay that number.
        steps = math.floor(rate_A_per_s * _s_per_min / _STEP_A + 1e-6) if math.isfinite(rate_A_per_s) else 0
        if steps < 1 or rate_A_per_s * _s_per_min > _FASTEST_A_per_min:
            raise LimitError(
                f"a rate of {rate_A_per_s:g} A/s is outside {self.rate_step_A_per_s:.3g} to "
                f"{_FASTEST_A_per_min / _s_per_min:g} A/s", where=self.name, state="Nothing was sent",
            )  # fmt: skip
        with self.link.lock:
            self.tell(self.signals, RCST=f"{steps * _STEP_A:.4f}")
            return self.rate

    def set_target(self, target_A: float) -> float:
        """Tell the set point of a supply that stands, and give what was read back (A).

        Raises:
            LimitError: not finite or beyond the supply's own limit; nothing was sent.
            DeviceFault: the supply goes to its set point, and a new one would move it at once.
        """
        if not abs(target_A) <= self._limit_A:
            raise LimitError(
                f"{target_A:g} A is outside the supply's ±{self._limit_A:g} A", where=self.name,
                state="Nothing was sent",
            )  # fmt: skip
        with self.link.lock:
            if self.action == "RTOS":
                raise DeviceFault(
                    "it goes to its set point, so a new one would move the magnet at once", where=self.where(),
                    state="The set point is as it was", do="hold first",
                )  # fmt: skip
            # Adding zero makes no difference but to a negative zero.
            self.tell(self.signals, CSET=f"{round(target_A, 4) + 0.0:.4f}")
            return self.set_point

    def go(self) -> None:
        """Start towards the set point, and read that back.

        Raises:
            DeviceFault: it is clamped, quenched or at fault (nothing was sent), it refuses, or it did not start.
        """
        with self.link.lock:
            before = self.watch()
            if before.activity not in (Activity.HOLDING, Activity.RAMPING):
                raise DeviceFault(
                    f"it is {before.activity}", where=self.where(),
                    state=f"It was not told to go; it says {before.detail}", do="look at the supply",
                )  # fmt: skip
            self.tell(self.address, ACTN="RTOS")
            found = self.watch()
            arrived = abs(found.output_A - (found.set_point_A or 0.0)) <= _THERE_A
            if found.activity is not Activity.RAMPING and not (found.activity is Activity.HOLDING and arrived):
                raise DeviceFault(
                    "told to go to its set point, and did not", where=self.where(), state=f"It says {found.detail}",
                    do="look at the supply",
                )  # fmt: skip

    def set_heater(self, on: bool) -> None:
        """Order the switch heater on, with the supply's own check of the currents, or off.

        The supply says so some seconds later: whoever orders it must wait for its word.

        Raises:
            DeviceFault: there is no switch, or the supply refuses.
        """
        if not self.has_switch:
            raise DeviceFault("no persistent switch is fitted", where=self.where(), state="Nothing was sent")
        with self.link.lock:
            try:
                self.tell(self.signals, SWHT="ON" if on else "OFF")
            except Refused as refusal:
                seen = self.watch()
                coil = "" if seen.coil_A is None else f", the coil by its record {seen.coil_A:g} A"
                raise DeviceFault(
                    refusal.what, where=self.where(), state=f"The leads carry {seen.output_A:g} A{coil}",
                    do="the two must be equal before the heater may come on",
                ) from refusal  # fmt: skip

    # The wire

    def _look(
        self, fingerprint: tuple[tuple[str, str], ...] | None = None, remote: bool | None = None
    ) -> SupplyReading:
        names = {"CURR": "A", "CSET": "A", "RCST": "A/m", "VOLT": "V", "PCUR": "A"}
        with self.link.lock:
            if self.has_switch:
                *texts, switch = self.closed_words(self.signals, *names, last="SWHT", allowed=SWITCH)
            else:
                texts, switch = list(self.words(self.signals, *names)), ""
            time_s = self.link.answered_s
            bits, action, detail = self.state()
        output_A, set_A, rate, volts, coil_A = (
            self.number_of(self.signals, name, text, unit)
            for (name, unit), text in zip(names.items(), texts, strict=True)
        )
        activity = ACTIONS[action]
        if bits & FAULT_BITS:
            activity = Activity.FAULT
        if bits & QUENCH_BIT:
            activity = Activity.QUENCHED
        heater = SWITCH.get(switch, Heater.ABSENT)
        return SupplyReading(
            time_s=time_s,
            activity=activity,
            output_A=output_A,
            set_point_A=set_A,
            rate_A_per_s=rate / _s_per_min,
            # While the heater is on, the supply only repeats the leads' current.
            coil_A=coil_A if heater is Heater.OFF else None,
            voltage_V=volts if abs(volts) <= _LARGEST_V else None,
            heater=heater,
            remote=remote,
            fingerprint=fingerprint,
            detail=detail,
        )
