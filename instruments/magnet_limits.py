"""What a magnet stands: how much current, how fast where, what its switch needs, what must be cold.

In ampere and seconds throughout; a station file says it in tesla and with units. Every setting is required: a limit
that was guessed is no limit. What a magnet does not have is said (`None` here, `"none"` in the file), not left out.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal, get_args

from ..core.errors import ConfigError

# Inductive voltage may use this much of the supply's limit, so that the leads' drop and ripple fit beside it.
_VOLTAGE_SHARE = 0.8
# Two statements of one field constant may differ by this much, the digits that a supply shows.
_CONSTANT_TOLERANCE = 1e-3

OnAbort = Literal["hold", "zero"]
OnEnd = Literal["hold", "zero", "persistent"]
OnCommLoss = Literal["hold", "continue"]


@dataclass(frozen=True, slots=True)
class SwitchLimits:
    """The persistent switch: times to warm and cool it (s), how near leads and coil must be (A), rate of the leads."""

    warm_s: float
    cool_s: float
    match_A: float
    leads_A_per_s: float


@dataclass(frozen=True, slots=True)
class SensorLimits:
    """A reading that must stay between two values; a sensor that is bad for `patience_s` sends the magnet to zero."""

    lowest: float
    highest: float
    patience_s: float


@dataclass(frozen=True, slots=True)
class MagnetLimits:
    """What this magnet stands.

    `segments` are (up to this |I| in A, largest rate in A/s), rising; the last reaches `largest_A`. `zones` are
    stretches of current, signed, into which it is never driven. A `managed` supply drives its magnet by itself and
    knows the field only: its tesla count as ampere with the constant 1, and what it has inside is not asked.

    Raises:
        ConfigError: a number is missing, not finite, not positive, or contradicts another; `where` is its name.
    """

    serial: str
    tesla_per_ampere: float
    largest_A: float
    segments: tuple[tuple[float, float], ...]
    inductance_H: float | None
    voltage_limit_V: float | None
    tolerance_A: float
    settle_s: float
    reversal_settle_s: float
    switch: SwitchLimits | None
    coil_sensor: SensorLimits | None
    helium: SensorLimits | None
    zones: tuple[tuple[float, float], ...]
    on_abort: OnAbort
    on_end: OnEnd
    on_comm_loss: OnCommLoss
    managed: bool = False

    def __post_init__(self) -> None:
        for name, what in self._contradictions():
            raise ConfigError(what, where=name)

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        """What is wrong, each with the name of the setting to look at."""
        if not self.serial.strip():
            yield "serial", "the serial number is empty"
        positive = {name: getattr(self, name) for name in ("tesla_per_ampere", "largest_A", "tolerance_A")}
        if not self.managed:
            positive |= {"inductance_H": self.inductance_H, "voltage_limit_V": self.voltage_limit_V}
        for name, value in positive.items():
            if value is None or not (math.isfinite(value) and value > 0):
                yield name, f"{name} must be finite and positive, not {value!r}"
        for name, value in (("settle_s", self.settle_s), ("reversal_settle_s", self.reversal_settle_s)):
            if not (math.isfinite(value) and value >= 0):
                yield name, f"{name} must be finite and not negative, not {value!r}"
        yield from self._segment_contradictions()
        if self.switch is not None:
            for field in fields(self.switch):
                value = getattr(self.switch, field.name)
                if not (math.isfinite(value) and value > 0):
                    yield "switch", f"{field.name} must be finite and positive, not {value!r}"
        for name, sensor in (("coil_sensor", self.coil_sensor), ("helium", self.helium)):
            if sensor is not None:
                if not (sensor.lowest < sensor.highest and math.isfinite(sensor.lowest)):
                    yield name, f"its limits are reversed: {sensor.lowest:g} … {sensor.highest:g}"
                if not (math.isfinite(sensor.patience_s) and sensor.patience_s > 0):
                    yield name, f"its patience must be finite and positive, not {sensor.patience_s!r}"
        for low_A, high_A in self.zones:
            if not (math.isfinite(low_A) and math.isfinite(high_A) and low_A < high_A):
                yield "zones", "a zone is reversed or not finite"
            elif low_A < 0 < high_A:
                yield "zones", "a zone contains zero, to which the magnet must always be able to go"
        for name, allowed in (("on_abort", OnAbort), ("on_end", OnEnd), ("on_comm_loss", OnCommLoss)):
            if getattr(self, name) not in get_args(allowed):
                yield name, f"{name} must be one of {', '.join(get_args(allowed))}"
        if self.on_end == "persistent" and self.switch is None:
            yield "on_end", "on_end is persistent, but the magnet has no switch"

    def _segment_contradictions(self) -> Iterator[tuple[str, str]]:
        numbers = [number for segment in self.segments for number in segment]
        if not self.segments or not all(math.isfinite(number) and number > 0 for number in numbers):
            yield "segments", "every rate segment must be finite and positive, and there must be one"
            return
        edges = [edge for edge, _rate in self.segments]
        if edges != sorted(set(edges)):
            yield "segments", "the rate segments must rise in field"
        # The digits of a field constant: an edge of 15 T and a limit of 15 T are the same.
        if edges[-1] < self.largest_A * (1 - 1e-9):
            ends_T, largest_T = edges[-1] * self.tesla_per_ampere, self.largest_A * self.tesla_per_ampere
            yield "segments", f"the rate segments end at {ends_T:g} T, below the largest field {largest_T:g} T"
        if self.inductance_H is not None and self.voltage_limit_V is not None and not self.managed:
            fastest = max(rate for _edge, rate in self.segments)
            voltage = self.inductance_H * fastest
            if voltage > _VOLTAGE_SHARE * self.voltage_limit_V * (1 + 1e-9):
                yield (
                    "segments",
                    f"the fastest segment needs {voltage:.2f} V across {self.inductance_H:g} H, more than "
                    f"{_VOLTAGE_SHARE:.0%} of the supply's {self.voltage_limit_V:g} V",
                )

    @property
    def fastest_A_per_s(self) -> float:
        """The largest rate of any segment (A/s)."""
        return max(rate for _edge, rate in self.segments)

    def segment_at(self, middle_A: float) -> int:
        """The number of the segment that a current lies in; beyond the last it is the last's."""
        inside = (n for n, (edge, _rate) in enumerate(self.segments) if abs(middle_A) <= edge)
        return next(inside, len(self.segments) - 1)

    def rate_between(self, start_A: float, stop_A: float) -> float:
        """The largest rate (A/s) that every current between the two allows.

        Above its limit, where no order of ours put it, a magnet must still come down: at the last segment's rate.
        """
        reach = max(abs(start_A), abs(stop_A))
        nearest = 0.0 if start_A * stop_A < 0 else min(abs(start_A), abs(stop_A))
        rates: list[float] = []
        lower = 0.0
        for upper, rate in self.segments:
            if (lower < reach and upper > nearest) or (lower <= reach <= upper and nearest == reach):
                rates.append(rate)
            lower = upper
        return min([*rates, self.segments[-1][1]] if reach > lower else rates)

    def same_constant(self, device_tesla_per_ampere: float) -> bool:
        """True when a supply's own field constant is this magnet's (to 0.1 %)."""
        return abs(device_tesla_per_ampere - self.tesla_per_ampere) <= _CONSTANT_TOLERANCE * self.tesla_per_ampere
