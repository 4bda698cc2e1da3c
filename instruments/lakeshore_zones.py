"""The zone table of Lake Shore's controllers: up to which set point which heater range and which P, I and D hold.

The table is the instrument's own and goes on working in the middle of a ramp, with the computer away.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..core.errors import ConfigError

MOST_ZONES = 10


class Zone(NamedTuple):
    """Up to the set point `top_K`: the heater's range, P (no unit), I (1/1000 s) and D (s)."""

    top_K: float
    heater_range: int
    p: float
    i: float
    d: float


# Up to this set point (K): the power wanted (W), the gain (W/K), I (1/1000 s) and D (s). Found on a 0.3 kg copper block
# behind 20 mW/K: a rig with other masses wants its own, as the option `zones` in station.toml.
_COPPER_BLOCK: tuple[tuple[float, float, float, float, float], ...] = (
    (3.0, 0.07, 0.0075, 1000.0, 0.0),
    (6.0, 0.3, 0.0375, 1000.0, 0.0),
    (12.0, 0.3, 0.15, 200.0, 0.0),
    (30.0, 3.0, 1.5, 75.0, 0.0),
    (60.0, 3.0, 7.5, 70.0, 0.0),
    (100.0, 6.0, 7.5, 40.0, 0.0),
    (400.0, 30.0, 22.5, 60.0, 0.0),
)


def standard_zones(
    powers_W: Sequence[float], hottest_K: float = 400.0, smallest_p: float = 0.1, largest_p: float = 1000.0
) -> tuple[Zone, ...]:
    """Zones for a heater that gives `powers_W` in its ranges from 1, up to `hottest_K`.

    P is per cent of a range's full power and kelvin, so the same gain is another number on each model.
    """
    zones: list[Zone] = []
    for top_K, wanted_W, gain_W_per_K, i, d in _COPPER_BLOCK:
        number = next((n for n, full_W in enumerate(powers_W, start=1) if full_W >= wanted_W), len(powers_W))
        p = min(largest_p, max(smallest_p, round(100.0 * gain_W_per_K / powers_W[number - 1], 1)))
        zones.append(Zone(min(top_K, hottest_K), number, p, i, d))
        if top_K >= hottest_K:
            break
    return tuple(zones)


def is_multiple(value: float, step: float) -> bool:
    """Whether a value has no more digits than its step: what an instrument would round is refused."""
    steps = value / step
    return abs(steps - round(steps)) < 1e-6 * max(1.0, abs(steps))


def checked_zones(
    rows: Iterable[Sequence[float]],
    *,
    ranges: int,
    largest_K: float,
    p: tuple[float, float],
    i: tuple[float, float],
    d: tuple[float, float],
    steps: tuple[float, float, float],
    where: str,
) -> tuple[Zone, ...]:
    """The rows of a station file as zones with rising tops that reach `largest_K`; none at all is a choice too.

    Raises:
        ConfigError: a row is not five numbers within the instrument's limits, there are more than it has, they do not
            rise, or the last ends below `largest_K`, where nothing would be said of the heater.
    """
    zones: list[Zone] = []
    for row in rows:
        low, high = zip(p, i, d, strict=True)
        if not (
            len(row) == 5
            and all(math.isfinite(value) for value in row)
            and row[0] > 0.0
            and row[1] in range(1, ranges + 1)
            and all(a <= value <= b for a, value, b in zip(low, row[2:], high, strict=True))
            and all(is_multiple(value, step) for value, step in zip(row[2:], steps, strict=True))
        ):
            raise ConfigError(
                f"zone {list(row)!r} is not (up to K, range 1 to {ranges}, P {p[0]:g} to {p[1]:g}, "
                f"I {i[0]:g} to {i[1]:g}, D {d[0]:g} to {d[1]:g}; steps of {steps[0]:g}, {steps[1]:g}, {steps[2]:g})",
                where=where,
                do="write it like [12.0, 3, 20.0, 200.0, 0.0]",
            )
        zones.append(Zone(float(row[0]), int(row[1]), float(row[2]), float(row[3]), float(row[4])))
    tops = [zone.top_K for zone in zones]
    if len(zones) > MOST_ZONES or tops != sorted(set(tops)):
        raise ConfigError(f"zones must rise, and there are {MOST_ZONES} at most", where=where)
    if zones and tops[-1] < largest_K:
        raise ConfigError(
            f"the last zone ends at {tops[-1]:g} K, below largest_K of {largest_K:g} K",
            where=where,
            do="add a zone, or lower largest_K",
        )
    return tuple(zones)
