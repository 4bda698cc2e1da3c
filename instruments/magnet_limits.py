"""What a magnet stands: its largest field, and how fast it may be ramped where."""

import math
from dataclasses import dataclass

from ..core.errors import ConfigError

# Inductive voltage may use this much of the supply's limit, so that the leads' drop and ripple fit beside it.
_VOLTAGE_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class MagnetLimits:
    """What this magnet stands. Every number is required: a limit that was guessed is no limit.

    `segments` are (up to this |B| in T, largest rate in T/s), rising in field; the last reaches `largest_T`.
    """

    largest_T: float
    segments: tuple[tuple[float, float], ...]
    tesla_per_ampere: float
    inductance_H: float
    voltage_limit_V: float
    tolerance_T: float
    reversal_settle_s: float

    def __post_init__(self) -> None:
        numbers = [
            self.largest_T, self.tesla_per_ampere, self.inductance_H, self.voltage_limit_V, self.tolerance_T,
            *(number for segment in self.segments for number in segment),
        ]  # fmt: skip
        if not self.segments or not all(math.isfinite(number) and number > 0 for number in numbers):
            raise ConfigError("every magnet limit must be given, finite and positive")
        edges = [edge for edge, _rate in self.segments]
        if edges != sorted(set(edges)):
            raise ConfigError("the magnet's rate segments must rise in field")
        if edges[-1] < self.largest_T:
            raise ConfigError(f"the rate segments end at {edges[-1]:g} T, the magnet's limit is {self.largest_T:g} T")
        fastest = max(rate for _edge, rate in self.segments)
        voltage = self.inductance_H * fastest / self.tesla_per_ampere
        if voltage > _VOLTAGE_SHARE * self.voltage_limit_V:
            raise ConfigError(
                f"{fastest * 1e3:g} mT/s needs {voltage:.2f} V across {self.inductance_H:g} H, "
                f"more than {_VOLTAGE_SHARE:.0%} of the supply's {self.voltage_limit_V:g} V"
            )

    def fastest_between(self, start_T: float, stop_T: float) -> float:
        """The largest rate (T/s) that every field between the two allows."""
        reach = max(abs(start_T), abs(stop_T))
        nearest = 0.0 if start_T * stop_T < 0 else min(abs(start_T), abs(stop_T))
        rates: list[float] = []
        lower = 0.0
        for upper, rate in self.segments:
            if (lower < reach and upper > nearest) or (lower <= reach <= upper and nearest == reach):
                rates.append(rate)
            lower = upper
        # Above its limit, where no order of ours put it, a magnet must still come down: at the last segment's rate.
        return min([*rates, self.segments[-1][1]] if reach > lower else rates)
