"""The loop of a temperature controller: set point with ramp, PID with anti-windup, zones, heater ranges.

No maker's language is in here: a front panel turns its own P, I and D into `Gains` and its ranges into watts. The
laboratory calls `heat` as its time passes (`world.cryostat.attach(loop.heat)`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Gains(NamedTuple):
    """Output% = percent_per_K · (e + integral_per_s ∫e dt − derivative_s dT/dt), e = set point − temperature (K).

    Lake Shore: (P, I/1000, D). Oxford ITC503: (100/PB, 1/(60 I), 60 D) with PB in K and I and D in minutes.
    """

    percent_per_K: float
    integral_per_s: float
    derivative_s: float


class Zone(NamedTuple):
    """What holds up to the set point `top_K`. A `rate_K_per_s` of None leaves the ramp, a `range` of None the range."""

    top_K: float
    gains: Gains
    manual_percent: float
    range: int | None
    rate_K_per_s: float | None = None


class Drive(Enum):
    """Where the output comes from."""

    OFF = "off"
    CLOSED = "closed loop"
    OPEN = "open loop"


class SetPoint:
    """A set point that goes to its target in one step, or with `rate_K_per_s` while `ramping` is on."""

    def __init__(self) -> None:
        self.now_K = self.target_K = 0.0
        self.ramping = False
        self.rate_K_per_s = 0.0

    @property
    def moving(self) -> bool:
        """True on the way to the target."""
        return self.now_K != self.target_K

    def aim(self, target_K: float) -> None:
        """Take a new target."""
        self.target_K = target_K
        self.advance(0.0)

    def ramp(self, on: bool, rate_K_per_s: float) -> None:
        """Switch the ramp; a rate of 0 is a step, and a ramp that is switched off goes to its end at once."""
        self.ramping, self.rate_K_per_s = on and rate_K_per_s > 0.0, rate_K_per_s
        self.advance(0.0)

    def hold(self) -> None:
        """Stay where it is now."""
        self.target_K = self.now_K

    def advance(self, step_s: float) -> None:
        """Let `step_s` seconds pass."""
        step_K = self.rate_K_per_s * step_s
        if not self.ramping or abs(self.target_K - self.now_K) <= step_K:
            self.now_K = self.target_K
        else:
            self.now_K += math.copysign(step_K, self.target_K - self.now_K)


@dataclass(slots=True)
class Pid:
    """The regulator. Its integral is kept as a share of the output (%), so that new gains make no bump."""

    gains: Gains
    integral_percent: float = 0.0
    slope_K_per_s: float = 0.0
    _last_K: float = 0.0

    def output(self, set_K: float, measured_K: float, step_s: float, offset_percent: float = 0.0) -> float:
        """The output (%) after `step_s` more seconds, on top of a fixed offset; with no time it is only said."""
        k, i, d = self.gains
        error_K = set_K - measured_K
        if step_s > 0.0:
            # The derivative is of the measurement: a step of the set point gives no kick.
            self.slope_K_per_s = (measured_K - self._last_K) / step_s if self._last_K else 0.0
            self._last_K = measured_K
        proportional = k * (error_K - d * self.slope_K_per_s) + offset_percent
        output = proportional + self.integral_percent
        # Anti-windup: against a limit, the integral grows only away from it.
        if 0.0 <= output <= 100.0 or (output > 100.0) == (error_K < 0.0):
            self.integral_percent = min(100.0, max(0.0, self.integral_percent + k * i * error_K * step_s))
        return min(100.0, max(0.0, proportional + self.integral_percent))


class TemperatureLoop:
    """One heater output with its set point, its regulator and its zones.

    `sense` gives the control temperature as the loop sees it, without noise (K), or None where there is no valid one:
    then the output is 0. `powers_W` are the full powers of the ranges, from 0 (off); a controller without ranges has
    two and stays in range 1. With `adds_manual` the manual output is added to the regulator's. `limit` says whether a
    temperature limit is exceeded: the range goes to 0 by itself.
    """

    def __init__(
        self,
        sense: Callable[[], float | None],
        powers_W: Sequence[float],
        gains: Gains,
        limit: Callable[[], bool] = lambda: False,
    ) -> None:
        self.sense = sense
        self.limit = limit
        self.powers_W = tuple(powers_W)
        self.set_point = SetPoint()
        self.pid = Pid(gains)
        self.drive = Drive.CLOSED
        self.zones: Sequence[Zone] = ()
        self.range = 0
        self.manual_percent = 0.0
        self.adds_manual = False
        self.percent = 0.0

    @property
    def power_W(self) -> float:
        """What the heater gives now."""
        return self.percent / 100.0 * self.powers_W[self.range]

    def heat(self, _block_K: float, step_s: float) -> float:
        """Advance ramp and loop by `step_s` and give the heater's power (W); with no time, only say what it is."""
        if self.zones and self.drive is not Drive.OFF:
            self._ramp_through_zones(step_s)
        else:
            self.set_point.advance(step_s)
        if self.range and self.limit():
            self.change_range(0)
        if self.range == 0 or self.drive is Drive.OFF:
            self.percent = self.pid.integral_percent = 0.0
        elif self.drive is Drive.OPEN:
            self.percent = self.manual_percent
        else:
            measured_K = self.sense()
            if measured_K is None:
                self.percent = self.pid.integral_percent = 0.0
            else:
                offset = self.manual_percent if self.adds_manual else 0.0
                self.percent = self.pid.output(self.set_point.now_K, measured_K, step_s, offset)
        return self.power_W

    def change_range(self, heater_range: int) -> None:
        """Switch the range without a bump: the integral's share keeps its watts."""
        before_W, after_W = self.powers_W[self.range], self.powers_W[heater_range]
        self.range = heater_range
        self.pid.integral_percent = min(100.0, self.pid.integral_percent * before_W / after_W) if after_W else 0.0

    def _ramp_through_zones(self, step_s: float) -> None:
        """Let the set point move: where it comes into another zone, it goes on at that one's rate."""
        point = self.set_point
        self._enter_zone()
        while point.ramping and point.moving:
            ahead = 1.0 if point.target_K > point.now_K else -1.0
            here, end = ahead * point.now_K, ahead * point.target_K
            corners_K = [zone.top_K for zone in self.zones if here < ahead * zone.top_K < end]
            if not corners_K:
                break
            corner_K = ahead * min(ahead * top_K for top_K in corners_K)
            until_s = abs(corner_K - point.now_K) / point.rate_K_per_s
            if until_s > step_s:
                break
            step_s -= until_s
            point.now_K = corner_K
            self._enter_zone()
        point.advance(step_s)
        self._enter_zone()

    def _enter_zone(self) -> None:
        """Take what the first zone says whose top is not below the set point; a range that is off stays off."""
        point = self.set_point
        # A ramp that stands at the top of a zone on its way up has left it.
        leaves = point.ramping and point.target_K > point.now_K
        for zone in self.zones:
            if point.now_K < zone.top_K or (point.now_K == zone.top_K and not leaves):
                self.pid.gains, self.manual_percent = zone.gains, zone.manual_percent
                if self.range and zone.range is not None and zone.range != self.range:
                    self.change_range(zone.range)
                if zone.rate_K_per_s is not None:
                    self.set_point.rate_K_per_s = zone.rate_K_per_s
                return
