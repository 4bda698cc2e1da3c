"""The temperature control of a MultiVu cryostat: set point, rate, two ways to arrive, and the state words.

The words as the PPMS defines them: Tracking is within tolerance of a set point that moves, Near within tolerance and
waiting for equilibrium, Chasing out of tolerance. They follow from the laboratory's own temperature.
"""

import math
from enum import IntEnum

from .cryostat import CryostatSettings, copper_heat_capacity
from .temperature_loop import Gains, TemperatureLoop, Zone
from .world import World

STATES = {
    1: "Stable", 2: "Tracking", 5: "Near", 6: "Chasing", 7: "Pot Operation", 10: "Standby", 13: "Diagnostic",
    14: "Impedance Control Error", 15: "General Failure",
}  # fmt: skip
STABLE, TRACKING, NEAR, CHASING = 1, 2, 5, 6
# What MultiVu's own wait takes for unsettled; every other code, a failure too, ends a wait.
UNSETTLED = (0, 2, 5, 6, 7)

# Assumptions: tolerance as a share and at least (K), how long within it makes it stable, when the controller takes up
# what it was told, and its heater.
_TOLERANCE, _LEAST_TOLERANCE_K = 5e-4, 5e-3
_EQUILIBRIUM_s = 20.0
_TAKE_UP_s = 0.5
_FULL_W = 50.0
_ZONES_K = tuple(1.5 * 1.2**n for n in range(32))
# How fast the loop is meant to be, and the share of the block in what a fast approach controls on.
_LOOP_s = 4.0
_FAST_SHARE = 0.35
_SLOWING_s, _SLOWEST_K_per_s = 30.0, 1e-3


class Approach(IntEnum):
    """How the set point is approached."""

    FAST_SETTLE = 0
    NO_OVERSHOOT = 1


class TemperatureControl:
    """One heater on the laboratory's cryostat. `target_K`, `rate_K_per_min` and `approach` are what was asked for.

    With no overshoot it controls on the block, and the sample comes from one side with its own time. A fast approach
    controls on a mixture of block and sample: the block goes beyond, and the sample is there in a third of the time.
    """

    def __init__(self, world: World, start_K: float) -> None:
        self._world = world
        self.target_K = start_K
        self.rate_K_per_min = 1.0
        self.approach = Approach.FAST_SETTLE
        self._share = _FAST_SHARE
        self._loop = TemperatureLoop(self._control_K, (0.0, _FULL_W), Gains(1.0, 0.1, 0.0))
        self._tune()
        self._loop.set_point.aim(start_K)
        self._loop.change_range(1)
        # It has been running: the heater holds the start.
        cryostat = world.settings.cryostat
        holding_W = cryostat.cooling_W_per_K * (start_K - cryostat.cold_K)
        self._loop.pid.integral_percent = 100.0 * max(holding_W, 0.0) / _FULL_W
        self._within_s = math.inf if abs(self.sensed_K - start_K) <= _tolerance(start_K) else 0.0
        self._told_s = math.inf
        world.cryostat.attach(self._heat)

    @property
    def sensed_K(self) -> float:
        """The sample's thermometer without its noise (K)."""
        return self._world.cryostat.sensor("sample", self._world.magnet.field(), 0.0)

    @property
    def code(self) -> int:
        """The state word's number; for a moment after an order it is still the old set point's."""
        point = self._loop.set_point
        if abs(self.sensed_K - point.now_K) > _tolerance(point.now_K):
            return CHASING
        if point.moving:
            return TRACKING
        return STABLE if self._within_s >= _EQUILIBRIUM_s else NEAR

    def order(self, target_K: float, rate_K_per_min: float, approach: Approach) -> None:
        """Go to `target_K` at that rate from the present temperature; call `world.advance` first."""
        self.target_K, self.rate_K_per_min, self.approach = target_K, rate_K_per_min, approach
        self._told_s = 0.0
        self._world.cryostat.disturb()

    def _take_up(self) -> None:
        self._told_s = math.inf
        self._share = _FAST_SHARE if self.approach is Approach.FAST_SETTLE else 1.0
        self._tune()
        point = self._loop.set_point
        if abs(self.sensed_K - point.now_K) > _tolerance(point.now_K):
            point.now_K = self.sensed_K
        point.ramp(True, self.rate_K_per_min / 60.0)
        point.aim(self.target_K)
        self._within_s = 0.0

    def _tune(self) -> None:
        # What it controls on answers to the heater by the block's share.
        cryostat = self._world.settings.cryostat
        self._loop.zones = [_zone(top_K, cryostat, self._share) for top_K in _ZONES_K]

    def _heat(self, block_K: float, step_s: float) -> float:
        """The heater's power (W), after `step_s` more seconds: the cryostat asks as its time passes."""
        if self._told_s < math.inf and step_s > 0.0:
            self._told_s += step_s
            if self._told_s >= _TAKE_UP_s:
                self._take_up()
        point = self._loop.set_point
        if point.moving and self._share == 1.0:
            # It slows down before the end, or the regulator would go beyond.
            left_K = abs(point.target_K - point.now_K)
            point.rate_K_per_s = min(self.rate_K_per_min / 60.0, left_K / _SLOWING_s + _SLOWEST_K_per_s)
        power_W = self._loop.heat(block_K, step_s)
        if point.moving or abs(self.sensed_K - point.now_K) > _tolerance(point.now_K):
            self._within_s = 0.0
        else:
            self._within_s += step_s
        return power_W

    def _control_K(self) -> float:
        block_K = self._world.cryostat.sensor("block", self._world.magnet.field(), 0.0)
        return self._share * block_K + (1.0 - self._share) * self.sensed_K


def _tolerance(kelvin: float) -> float:
    return max(_TOLERANCE * kelvin, _LEAST_TOLERANCE_K)


def _zone(top_K: float, cryostat: CryostatSettings, share: float) -> Zone:
    """Gains for a block that is a capacity when warm and only a thermal resistance when cold."""
    capacity_J_per_K = cryostat.block_kg * copper_heat_capacity(top_K)
    watts_per_K = capacity_J_per_K / (share * _LOOP_s) + cryostat.cooling_W_per_K
    integral_per_s = min(1.0, max(0.05, cryostat.cooling_W_per_K / capacity_J_per_K))
    return Zone(top_K, Gains(100.0 * watts_per_K / _FULL_W, integral_per_s, 0.0), 0.0, None)
