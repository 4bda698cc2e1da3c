"""A magnet supply in memory that punishes: it quenches on what a real magnet does not bear, and writes down each breach.

Its wire can lose an order before or after it arrived, acknowledge one without doing it, refuse, and say nonsense.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from remanence.core.capabilities import Activity, Heater, SupplyReading
from remanence.core.clock import VirtualClock
from remanence.core.errors import CommunicationError, DeviceFault
from remanence.instruments.magnet_limits import MagnetLimits, SwitchLimits

LIMITS = MagnetLimits(
    serial="T-1", tesla_per_ampere=0.1, largest_A=100.0, segments=((60.0, 0.5), (80.0, 0.2), (100.0, 0.1)),
    inductance_H=10.0, voltage_limit_V=10.0, tolerance_A=0.02, settle_s=2.0, reversal_settle_s=2.0, switch=None,
    coil_sensor=None, helium=None, zones=(), on_abort="hold", on_end="hold", on_comm_loss="hold",
)  # fmt: skip
SWITCHED = replace(LIMITS, switch=SwitchLimits(warm_s=20.0, cool_s=30.0, match_A=0.1, leads_A_per_s=2.0))

LOST, LOST_AFTER, IGNORED, REFUSED, NONSENSE = "lost", "lost after", "ignored", "refused", "nonsense"


class Punishing:
    """`said` is every order that went out; `breaches` what a magnet would not forgive. Faults come from `faults`."""

    current_step_A = 1e-3
    rate_step_A_per_s = 1e-4

    def __init__(
        self, clock: VirtualClock, limits: MagnetLimits = LIMITS, *, relay: bool = False, heater_on: bool = True,
        warm_s: float = 18.0, cool_s: float = 27.0, step_s: float = 0.05,
    ) -> None:  # fmt: skip
        self.clock, self.limits, self.reverses_through_zero = clock, limits, relay
        self.warm_s, self.cool_s, self.step_s = warm_s, cool_s, step_s
        self.said: list[str] = []
        self.breaches: list[str] = []
        self.faults: deque[str] = deque()
        self.fault_for: Callable[[str], str] | None = None
        self.lead_A = self.coil_A = self.set_point_A = 0.0
        self.rate = 0.1
        self.going = False
        self.heater = heater_on
        self.heater_says: Heater | None = None
        self.heater_since_s = -math.inf
        self.kept_A: float | None = None
        self.quenched = False
        self.clamped = False
        self.fault = False
        self.remote = True
        self.constant = limits.tesla_per_ampere
        self.gaussmeter_V: float | None = None
        self.orders_after_quench: list[str] = []
        self._now_s = clock.now()
        self._was_warm = heater_on

    # The truth

    @property
    def warm(self) -> bool:
        return self.limits.switch is None or self._warm_at(self.clock.now())

    def _warm_at(self, now_s: float) -> bool:
        if self.heater:
            return now_s - self.heater_since_s >= self.warm_s
        return now_s - self.heater_since_s < self.cool_s and self._was_warm

    def _between(self, now_s: float) -> bool:
        """True while the switch is neither surely warm nor surely cold."""
        if self.limits.switch is None:
            return False
        return now_s - self.heater_since_s < (self.warm_s if self.heater else self.cool_s)

    def advance(self) -> None:
        now_s, start_s = self.clock.now(), self._now_s
        self._now_s = now_s
        corners = [self.heater_since_s + (self.warm_s if self.heater else self.cool_s)]
        times = [start_s, *(corner for corner in corners if start_s < corner < now_s), now_s]
        for begin_s, end_s in pairwise(times):
            self._advance(begin_s, end_s)

    def _advance(self, begin_s: float, end_s: float) -> None:
        before_A, passed_s = self.lead_A, end_s - begin_s
        if self.quenched:
            self.lead_A = self.coil_A = 0.0
            return
        if self.going:
            way_A = self.set_point_A - before_A
            self.lead_A += math.copysign(min(abs(way_A), self.rate * passed_s), way_A)
            if abs(self.set_point_A - self.lead_A) < 1e-9:
                self.lead_A = self.set_point_A
        middle_s = 0.5 * (begin_s + end_s)
        moved = abs(self.lead_A - before_A) > 1e-9
        if moved and self._between(middle_s):
            self._breach("leads moved while the switch was neither warm nor cold")
        if self.limits.switch is None or self._warm_at(middle_s):
            if not self._was_warm and abs(before_A - self.coil_A) > 0.2:
                self._breach(
                    f"the switch opened with leads at {before_A:g} A and the coil at {self.coil_A:g} A", quench=True
                )
                return
            if moved and self.rate > self._allowed(before_A, self.lead_A) * 1.001:
                self._breach(f"{self.rate:g} A/s between {before_A:g} and {self.lead_A:g} A", quench=True)
                return
            self.coil_A = self.lead_A
            self._was_warm = True
        else:
            self._was_warm = self._was_warm and self._between(middle_s) and not self.heater
        if abs(self.coil_A) > self.limits.largest_A + self.limits.tolerance_A:
            self._breach(f"the coil is at {self.coil_A:g} A")

    def _breach(self, what: str, quench: bool = False) -> None:
        self.breaches.append(f"{self.clock.now():.2f} s: {what}")
        self.quenched = self.quenched or quench

    def coast_safe(self) -> str:
        """Why what it does by itself breaks a rule; empty if it does not."""
        self.advance()
        if not self.going or self.quenched or self.lead_A == self.set_point_A:
            return ""
        start_A, stop_A = self.lead_A, self.set_point_A
        if not self.warm:
            return "" if self.rate <= 2.0 + 1e-9 else "leads too fast"
        if start_A * stop_A < -1e-12:
            return f"it goes through zero from {start_A:g} to {stop_A:g} A"
        if abs(stop_A) > self.limits.largest_A:
            return f"it goes to {stop_A:g} A"
        allowed = self._allowed(start_A, stop_A)
        if self.rate > allowed * (1 + 1e-9):
            return f"it goes at {self.rate:g} A/s from {start_A:g} to {stop_A:g} A, where {allowed:g} are allowed"
        low, high = sorted((abs(start_A), abs(stop_A)))
        slack_A = 1.05 * self.limits.tolerance_A
        crossed = [edge for edge, _ in self.limits.segments if low + slack_A < edge < high - slack_A]
        return f"it crosses {crossed} A in one piece" if crossed else ""

    def _allowed(self, start_A: float, stop_A: float) -> float:
        """The fastest rate between two currents; an edge that is only touched, within the tolerance, does not count."""
        tolerance = 1.05 * self.limits.tolerance_A
        near, far = sorted((abs(start_A), abs(stop_A)))
        return self.limits.rate_between(min(near + tolerance, far), max(far - tolerance, near))

    def quench(self) -> None:
        self.advance()
        self.quenched, self.going = True, False

    # The wire

    def _wire(self, order: str, act: Callable[[], None]) -> str:
        self.clock.sleep(self.step_s)
        self.advance()
        fault = self.faults.popleft() if self.faults else self.fault_for(order) if self.fault_for else ""
        if order not in ("watch", "inspect"):
            self.said.append(order)
            if self.quenched:
                self.orders_after_quench.append(order)
        if fault == LOST:
            self.clock.sleep(1.0)
            self.advance()
            raise CommunicationError("no answer")
        if fault == REFUSED and order not in ("watch", "inspect"):
            raise DeviceFault("refused")
        if fault != IGNORED:
            act()
        problem = self.coast_safe()
        if problem:
            self._breach(f"after {order!r}: {problem}")
        if fault == LOST_AFTER:
            self.clock.sleep(1.0)
            self.advance()
            raise CommunicationError("no answer")
        return fault

    def watch(self) -> SupplyReading:
        fault = self._wire("watch", lambda: None)
        return self._look(fault)

    def inspect(self) -> SupplyReading:
        fault = self._wire("inspect", lambda: None)
        heater = self.heater_says or (Heater.ON if self.heater else Heater.OFF)
        return replace(
            self._look(fault), set_point_A=self.set_point_A, rate_A_per_s=self.rate, coil_A=self.kept_A,
            heater=Heater.ABSENT if self.limits.switch is None else heater, remote=self.remote,
            fingerprint=(("field constant", f"{self.constant:g} T/A"), ("units", "A")),
        )  # fmt: skip

    def _look(self, fault: str) -> SupplyReading:
        moving = self.going and abs(self.lead_A - self.set_point_A) > 1e-9
        activity = (
            Activity.QUENCHED if self.quenched else Activity.FAULT if self.fault else Activity.CLAMPED if self.clamped
            else Activity.RAMPING if moving else Activity.HOLDING
        )  # fmt: skip
        slope = math.copysign(self.rate, self.set_point_A - self.lead_A) if moving else 0.0
        voltage = 0.004 * self.lead_A + (slope * (self.limits.inductance_H or 0.0) if self.warm else 0.0)
        voltage = voltage if self.gaussmeter_V is None else self.gaussmeter_V
        output_A = round(self.lead_A, 3)
        if fault == NONSENSE:
            voltage, output_A = 9000.0, output_A + 400.0
        return SupplyReading(self.clock.now(), activity, output_A, voltage_V=voltage, detail=activity.value)

    def hold(self) -> None:
        def act() -> None:
            self.going = False

        self._wire("hold", act)  # fmt: skip

    def set_rate(self, rate_A_per_s: float) -> float:
        def act() -> None:
            self.rate = math.floor(rate_A_per_s / self.rate_step_A_per_s + 1e-9) * self.rate_step_A_per_s

        self._wire(f"rate {rate_A_per_s:g}", act)  # fmt: skip
        return self.rate

    def set_target(self, target_A: float) -> float:
        def act() -> None:
            if self.reverses_through_zero and target_A * self.lead_A < 0:
                raise DeviceFault("the relay does not move with current")
            self.set_point_A = round(target_A, 3)

        self._wire(f"target {target_A:+g}", act)  # fmt: skip
        return self.set_point_A

    def go(self) -> None:
        def act() -> None:
            self.going = not self.clamped

        self._wire("go", act)  # fmt: skip

    def set_heater(self, on: bool) -> None:
        def act() -> None:
            if on is self.heater:
                return
            now_s = self.clock.now()
            was_warm = self._warm_at(now_s)
            if on and abs(self.lead_A - self.coil_A) > self.limits.switch.match_A:  # pyright: ignore[reportOptionalMemberAccess]
                self._breach(f"heater on with leads at {self.lead_A:g} A and the coil at {self.coil_A:g} A")
            if self.going and abs(self.lead_A - self.set_point_A) > 1e-9:
                self._breach("the heater was switched during a ramp")
            self.kept_A = None if on else self.lead_A
            self._was_warm = was_warm
            self.heater, self.heater_since_s = on, now_s

        self._wire(f"heater {'on' if on else 'off'}", act)  # fmt: skip
