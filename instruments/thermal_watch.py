"""Watches over a temperature loop: a heater that runs away, a thermometer that is broken or tells the same for ever.

Pure: it is fed with looks at the loop (`HeaterLoop.read_loop`) and says what is wrong and what to do. It sends nothing,
asks nothing and has no clock of its own. Whoever feeds it does what the alarm says; an alarm stays until `reset`.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from ..core.capabilities import LoopReading
from ..core.errors import ConfigError

# What is seen once may be a disturbance; what is seen in two looks running is acted on.
_LOOKS = 2
# Rising: by this part of the overshoot above the lowest since the set point came, so that noise is none.
_RISE = 0.1


class Trouble(StrEnum):
    """What is wrong with a loop."""

    SENSOR = "the control sensor has no valid reading"
    TOO_HOT = "above the largest temperature"
    RUNAWAY = "rising above its set point with the heater on"
    WARMING = "rising above its set point with the heater off"
    FROZEN = "the same reading to the last digit while the heater changes"


class Remedy(StrEnum):
    """What to do about it."""

    HEATER_OFF = "switch the heater off"
    CUT_POWER = "switch the heater off and call somebody: the controller has no power over it"


_REMEDIES = {
    Trouble.SENSOR: Remedy.HEATER_OFF, Trouble.TOO_HOT: Remedy.HEATER_OFF, Trouble.RUNAWAY: Remedy.HEATER_OFF,
    Trouble.WARMING: Remedy.CUT_POWER, Trouble.FROZEN: Remedy.HEATER_OFF,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alarm:
    """What was found, when (s), what to do, and the numbers in one line."""

    trouble: Trouble
    remedy: Remedy
    time_s: float
    detail: str


@dataclass(frozen=True, slots=True)
class ThermalLimits:
    """What a loop may do.

    Nothing may be above `largest_K`. Up to `overshoot_K` above its set point a loop may be while it settles; for
    `grace_s` after the set point was lowered it may be anywhere below `largest_K`. A reading is frozen when it was the
    same `frozen_readings` times and for `frozen_s`, while the heater changed by more than `heater_change` of its range.
    A heater below `heater_least` counts as off.
    """

    largest_K: float
    overshoot_K: float
    grace_s: float = 60.0
    frozen_readings: int = 20
    frozen_s: float = 10.0
    heater_change: float = 0.05
    heater_least: float = 0.005

    def __post_init__(self) -> None:
        """Refuse limits that limit nothing.

        Raises:
            ConfigError: a number is not finite or not positive.
        """
        for name in ("largest_K", "overshoot_K", "grace_s", "frozen_readings", "frozen_s", "heater_change"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} of a thermal watch must be a positive number, not {value!r}")


class ThermalWatch:
    """Fed with every look at one loop, in the order of their times; `update` gives the alarm, or None."""

    def __init__(self, limits: ThermalLimits) -> None:
        self.limits = limits
        self.reset()

    def reset(self) -> None:
        """Forget everything, an alarm too: somebody has looked at the rig."""
        self.alarm: Alarm | None = None
        self._seen: dict[Trouble, int] = {}
        self._last: LoopReading | None = None
        self._lowest_K = math.inf
        # Until then it may be above the set point, for that was lowered.
        self._grace_until_s = -math.inf
        # The temperature when the heater went off, and the streak of equal readings: their first one and how many.
        self._off_at_K = math.inf
        self._same: LoopReading | None = None
        self._same_count = 0
        self._heater_span = (0.0, 0.0)

    def update(self, reading: LoopReading) -> Alarm | None:
        """Take one look; the first alarm stays."""
        if self.alarm is not None:
            return self.alarm
        self._follow_set_point(reading)
        found = self._look(reading)
        self._seen = {trouble: self._seen.get(trouble, 0) + 1 for trouble in found}
        # A streak is as long as it must be already; all others are to be seen again.
        for trouble in Trouble:
            if self._seen.get(trouble, 0) >= (1 if trouble is Trouble.FROZEN else _LOOKS):
                self.alarm = Alarm(trouble, _REMEDIES[trouble], reading.time_s, _told(trouble, reading))
                break
        self._last = reading
        return self.alarm

    @property
    def suspicion(self) -> str:
        """What the last look found that was not yet an alarm: a flag for the rows of that moment, or empty."""
        return ", ".join(self._seen)

    def _look(self, reading: LoopReading) -> list[Trouble]:
        if reading.fault or not math.isfinite(reading.temperature_K):
            self._same_count = 0
            return [Trouble.SENSOR]
        kelvin = reading.temperature_K
        found: list[Trouble] = []
        if kelvin > self.limits.largest_K:
            found.append(Trouble.TOO_HOT)
        heated = reading.heating and reading.heater >= self.limits.heater_least
        self._off_at_K = math.inf if heated else min(self._off_at_K, kelvin)
        self._lowest_K = min(self._lowest_K, kelvin)
        if kelvin > reading.set_point_K + self.limits.overshoot_K and reading.time_s >= self._grace_until_s:
            if heated and self._rises(kelvin):
                found.append(Trouble.RUNAWAY)
            if not heated and kelvin - self._off_at_K > self.limits.overshoot_K:
                found.append(Trouble.WARMING)
        if self._frozen(reading):
            found.append(Trouble.FROZEN)
        return found

    def _follow_set_point(self, reading: LoopReading) -> None:
        last = self._last
        if last is not None and reading.set_point_K < last.set_point_K - self.limits.overshoot_K:
            self._grace_until_s = reading.time_s + self.limits.grace_s
        if last is None or reading.set_point_K != last.set_point_K:
            self._lowest_K = self._off_at_K = math.inf

    def _rises(self, kelvin: float) -> bool:
        last = self._last
        return (
            last is not None
            and kelvin > last.temperature_K
            and kelvin - self._lowest_K > _RISE * self.limits.overshoot_K
        )

    def _frozen(self, reading: LoopReading) -> bool:
        if self._same is None or self._same_count == 0 or reading.temperature_K != self._same.temperature_K:
            self._same, self._same_count = reading, 1
            self._heater_span = (reading.heater, reading.heater)
            return False
        self._same_count += 1
        low, high = self._heater_span
        self._heater_span = (min(low, reading.heater), max(high, reading.heater))
        return (
            self._same_count >= self.limits.frozen_readings
            and reading.time_s - self._same.time_s >= self.limits.frozen_s
            and self._heater_span[1] - self._heater_span[0] > self.limits.heater_change
        )


def _told(trouble: Trouble, reading: LoopReading) -> str:
    heater = f"heater {reading.heater:.1%}" if reading.heating else "heater off"
    where = reading.fault if reading.fault else f"{reading.temperature_K:.3f} K"
    return f"{trouble}: {where}, set point {reading.set_point_K:.3f} K, {heater}"
