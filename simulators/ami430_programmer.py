"""What a Model 430 programmer does with its magnet: its ramping states, ramp segments, switch heater and quench latch.

In ampere and seconds; the words and units are the front panel's. After the AMI 430 manual, sections on ramping, the
persistent switch and quench detection.
"""

import math
from typing import ClassVar

from .leads import across
from .magnet_supply import MagnetSupply
from .world import World

RAMPING, HOLDING, PAUSED, MANUAL_UP, MANUAL_DOWN, ZEROING, QUENCH, AT_ZERO, HEATING, COOLING, RAMPDOWN = range(1, 12)
# What the state becomes when the current has arrived.
_ARRIVED = {RAMPING: HOLDING, MANUAL_UP: HOLDING, MANUAL_DOWN: HOLDING, ZEROING: AT_ZERO, RAMPDOWN: AT_ZERO}
_MOVING = frozenset(_ARRIVED)
_ZERO_SHARE = 1e-3
SUPPLY_V, SUPPLY_A = 6.0, 125.0
MOST_SEGMENTS = 10


class Refused(Exception):  # noqa: N818  an answer, not a defect
    """A command that goes into the error queue instead of being done."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Programmer(MagnetSupply):
    """One axis. `state` is what was ordered last; `state_now` what STATE? says of it."""

    model: ClassVar[str] = "430"

    def __init__(self, world: World, name: str, wiring: str = "", *, axis: str = "z") -> None:
        super().__init__(world, name, wiring, axis=axis)
        magnet = self.magnet.settings
        self.limit_A = min(magnet.segments[-1][0], SUPPLY_A)
        self.rates = [min(rate for _, rate in magnet.segments)] + [0.1] * (MOST_SEGMENTS - 1)
        self.bounds_A = [self.limit_A] * MOST_SEGMENTS
        self.segments = 1
        self.installed = magnet.switch_fitted
        self.heat_s, self.cool_s = math.ceil(magnet.warm_time_s), math.ceil(magnet.cool_time_s)
        self.cold_rate_A_per_s = 10.0
        self.target_A = 0.0
        self.state = PAUSED
        # How many quenches and external rampdowns it has seen, and whether it listens to the latter's input.
        self.count = self.rampdowns = 0
        self.rampdown_enabled = False
        # Until when it waits for the switch, and what it remembers of the coil behind a cold one.
        self._switching_s = -math.inf
        self._closing = False
        self._kept_A: float | None = None

    def look(self) -> float:
        """As every supply, and remember the current that a closing switch kept."""
        now_s = super().look()
        if now_s >= self._switching_s:
            if self._closing:
                self._closing = False
                self._kept_A = self.magnet.lead_current(self._switching_s)
            elif self.magnet.heater_on:
                self._kept_A = None
        return now_s

    def state_now(self) -> int:
        """The number that STATE? gives."""
        now_s = self.look()
        if self.tripped:
            return QUENCH
        if now_s < self._switching_s:
            return HEATING if self.magnet.heater_on else COOLING
        if self.state in _MOVING and not self.magnet.ramping(now_s):
            return _ARRIVED[self.state]
        if self.state == ZEROING and abs(self.magnet.lead_current(now_s)) < _ZERO_SHARE * self.limit_A:
            return AT_ZERO
        return self.state

    def supply_A(self) -> float:
        """The current in the leads (A)."""
        return self.magnet.lead_current(self.look())

    def magnet_A(self) -> float:
        """The coil's current (A) as far as the supply knows: behind a cold switch, what it was when that closed."""
        now_s = self.look()
        return self.magnet.lead_current(now_s) if self._kept_A is None else self._kept_A

    def persistent(self) -> bool:
        """The light MAGNET IN PERSISTENT MODE."""
        self.look()
        kept_A = self._kept_A
        return kept_A is not None and abs(kept_A) > _ZERO_SHARE * self.limit_A and not self.magnet.heater_on

    # What it does; the caller has looked

    def trip(self) -> None:
        """A quench was seen: count it, forget what was kept, stop ramping."""
        super().trip()
        self.count += 1
        self._kept_A, self._closing = None, False
        self.state = PAUSED

    def go(self, state: int) -> None:
        """Start ramping, pausing, zeroing.

        Raises:
            Refused: a quench has not been reset, or the switch is on its way.
        """
        now_s = self.world.clock.now()
        if self.tripped:
            raise Refused(-302)
        if now_s < self._switching_s and state not in {PAUSED, RAMPDOWN}:
            raise Refused(-301)
        self.state = state
        self._follow(now_s)

    def rampdown(self) -> None:
        """The contact for a rampdown at its back is closed: to zero by itself, if it was told to listen to it."""
        if self.rampdown_enabled and not self.tripped:
            self.rampdowns += 1
            self.go(RAMPDOWN)

    def follow(self, *states: int) -> None:
        """Let a ramp that is under way follow what was changed, if it is one of `states` (all when none is given)."""
        if self.state in (states or _MOVING) and not self.tripped:
            self._follow(self.world.clock.now())

    def _follow(self, now_s: float) -> None:
        targets_A = {RAMPING: self.target_A, MANUAL_UP: self.limit_A, MANUAL_DOWN: -self.limit_A}
        target_A = targets_A.get(self.state, 0.0)
        if self.state not in _MOVING:
            self.magnet.stop(now_s)
        elif self.installed and not self.magnet.heater_on:
            self.drive(((target_A, self.cold_rate_A_per_s),), now_s)
        else:
            bounds_A = [*self.bounds_A[: self.segments - 1], self.limit_A]
            ranges = zip(bounds_A, self.rates, strict=False)
            self.drive(across(self.magnet.lead_current(now_s), target_A, ranges), now_s)

    def heat(self, on: bool) -> None:
        """Switch the heater of the persistent switch.

        Raises:
            Refused: there is no switch.
        """
        if not self.installed:
            raise Refused(-107)
        if on != self.magnet.heater_on:
            now_s = self.world.clock.now()
            self.magnet.heat_switch(on, now_s)
            self._closing = not on
            self._switching_s = now_s + (self.heat_s if on else self.cool_s)

    def set_quench(self, on: bool) -> None:
        """Set a quench by hand, or reset the latch."""
        now_s = self.world.clock.now()
        if on:
            self.trip()
            current_A, magnet = abs(self.magnet.lead_current(now_s)), self.magnet.settings
            # No voltage at the output: the leads' resistance eats the current, at first with this slope.
            self.magnet.ramp(0.0, magnet.lead_resistance_ohm * current_A / magnet.inductance_H, now_s)
        elif self.tripped:
            self.tripped = False
            self.magnet.stop(now_s)

    def restart(self) -> None:
        """As after power-on, but for the switch: paused, with no target."""
        self.state, self.target_A = PAUSED, 0.0
        self.magnet.stop(self.world.clock.now())
