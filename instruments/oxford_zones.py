"""PID terms by temperature, as a station file gives them to Oxford's controllers: [up to K, band K, I min, D min]."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..core.errors import ConfigError


class Zone(NamedTuple):
    """What holds up to the set point `top_K`: the proportional band (K), integral and derivative action (min)."""

    top_K: float
    band_K: float
    integral_min: float
    derivative_min: float


def zones_of(rows: Sequence[Sequence[float]], largest: Zone, most: int, where: str) -> tuple[Zone, ...]:
    """The zones with rising bounds, each number from 0 to that of `largest`, at most `most` of them.

    Raises:
        ConfigError: a row is not one, they do not rise, or there are too many.
    """
    zones: list[Zone] = []
    for row in rows:
        if len(row) != len(largest) or not all(0.0 <= x <= top for x, top in zip(row, largest, strict=True)):
            raise ConfigError(
                f"zone {list(row)!r} is not one", where=where,
                do="write it like [12.0, 2.0, 1.0, 0.0]: up to 12 K a band of 2 K, 1 min integral, no derivative",
            )  # fmt: skip
        zones.append(Zone(*(float(value) for value in row)))
    tops = [zone.top_K for zone in zones]
    if len(zones) > most or any(low >= high for low, high in zip([0.0, *tops], tops, strict=False)):
        raise ConfigError(f"zones must rise, and there are {most} at most", where=where)
    return tuple(zones)


def zone_at(zones: Sequence[Zone], temperature_K: float) -> Zone | None:
    """The zone of a set point, or None above the last."""
    return next((zone for zone in zones if temperature_K <= zone.top_K), None)


def finite_ramp(ramp_K_per_min: float | None) -> bool:
    """True for a ramp that can be driven, and for none."""
    return ramp_K_per_min is None or (math.isfinite(ramp_K_per_min) and ramp_K_per_min > 0.0)
