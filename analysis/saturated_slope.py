"""The ordinary Hall slope where the moment of a loop is saturated: R_xy = s B + A sgn B + an offset of each leg.

Its noise is taken from its own scatter in blocks of consecutive rows, because readings that were filtered, or that
share an interpolated neighbour, are not independent.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from ..core.records import Measured
from .models import FloatArray, Mask

_BLOCKS = 8  # per leg and side: long enough to be independent, enough of them to know the scatter
MOST_CURVATURE = 0.05  # of the slope, across the window: above, one slope does not describe it
_CURVED_Z = 3.0


@dataclass(frozen=True, slots=True)
class SaturatedSlope:
    """Slope in Ω/T and saturated step A in Ω, with `bend`: by how much of itself the slope changes in the window.

    `bend_u_ohm_per_T` is what a bend that is certain, but small, adds to the slope's u (already in it).
    """

    slope_ohm_per_T: Measured
    step_ohm: Measured
    bend: Measured
    bend_u_ohm_per_T: float

    @property
    def straight(self) -> bool:
        """False when the slope changes for certain by more than 5 % in the window."""
        return not (abs(self.bend.value) > MOST_CURVATURE and abs(self.bend.value) > _CURVED_Z * self.bend.u)


def saturated_slope(
    field_T: FloatArray, r_xy_ohm: FloatArray, leg: FloatArray, time_s: FloatArray, from_T: float, shared: float = 1.0
) -> SaturatedSlope | None:
    """The fit over |B| ≥ `from_T`; None when there are too few rows to know their scatter.

    `shared` is the variance of an interpolated reading over that of a reading, as in `ReciprocalPairs`.
    """
    used = np.abs(field_T) >= from_T
    blocks: list[tuple[float, float, float, float, float]] = []
    for number in np.unique(leg[used]):
        for side in (1.0, -1.0):
            mine = np.flatnonzero(used & (leg == number) & (np.sign(field_T) == side))
            for part in np.array_split(mine, min(_BLOCKS, mine.size)) if mine.size else ():
                row = (field_T[part].mean(), r_xy_ohm[part].mean(), number, time_s[part].mean(), part.size)
                blocks.append(tuple(map(float, row)))  # pyright: ignore[reportArgumentType]
    if len(blocks) < 8:
        return None
    b, y, legs, t, size = np.array(blocks).T
    # Neighbouring blocks share a reading where it was interpolated: the mean of many scatters more than they tell.
    wider = float(np.sqrt(2.0 / (2.0 - (1.0 - shared) / size.mean())))
    straight = _fit(b, y, legs, t, size, np.column_stack([b, np.sign(b)]), wider)
    curved = _fit(b, y, legs, t, size, np.column_stack([b, np.sign(b), b**3]), wider)
    if straight is None or curved is None:
        return None
    (slope, step), u = straight
    most_T = float(np.max(np.abs(b)))
    change = 3.0 * (most_T**2 - from_T**2) / slope
    bend = Measured(curved[0][2] * change, abs(curved[1][2] * change))
    certain = abs(bend.value) > _CURVED_Z * bend.u
    # Then the slope at zero field may be what is meant, or that at the end: a rectangle about the one in between.
    bend_u = abs(curved[0][0] - slope) / np.sqrt(3.0) if certain else 0.0
    return SaturatedSlope(Measured(slope, float(np.hypot(u[0], bend_u))), Measured(step, u[1]), bend, float(bend_u))


def _fit(
    b: FloatArray, y: FloatArray, leg: FloatArray, t: FloatArray, size: FloatArray, columns: FloatArray, wider: float
) -> tuple[list[float], list[float]] | None:
    """The coefficients of `columns`, and their u with Student's factor. An offset per leg and a drift are free."""
    offsets = [(leg == number).astype(np.float64) for number in np.unique(leg)]
    # A drift can be told from the slope only by legs of both directions.
    drift = [t - t.mean()] if np.all(np.isfinite(t)) and np.ptp(t) > 0.0 and _both_ways(b, leg) else []
    design = np.column_stack([columns, *offsets, *drift])
    design = design / (scale := np.sqrt((design**2).mean(axis=0)))
    weight = np.sqrt(size)
    freedom = y.size - design.shape[1]
    if freedom < 4 or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    found, *_ = np.linalg.lstsq(design * weight[:, None], y * weight)
    rest = (y - design @ found) * weight
    variance = float((rest**2).sum()) / freedom
    inverse = np.linalg.inv((design * size[:, None]).T @ design)
    wider *= float(student.ppf(0.975, freedom)) / 1.96 * _correlated(rest, b, leg, design.shape[1])
    u = wider * np.sqrt(variance * np.diag(inverse)) / scale
    count = columns.shape[1]
    return [float(v) for v in (found / scale)[:count]], [float(v) for v in u[:count]]


def _correlated(rest: FloatArray, b: FloatArray, leg: FloatArray, parameters: int) -> float:
    """By how much u grows if neighbouring blocks are still correlated: √((1 + r)/(1 − r)) of a first-order process."""
    beside = (leg[1:] == leg[:-1]) & (b[1:] * b[:-1] > 0.0)
    products, squares = rest[1:] * rest[:-1], 0.5 * (rest[1:] ** 2 + rest[:-1] ** 2)
    if not beside.any():
        return 1.0
    # A fit takes some of the correlation with it; half of it is given back, for r is known from few blocks and counts
    # only when positive.
    r = float(products[beside].sum() / squares[beside].sum()) + 0.5 * parameters / rest.size
    return float(np.sqrt((1.0 + min(r, 0.9)) / (1.0 - min(r, 0.9)))) if r > 0.0 else 1.0


def _both_ways(b: FloatArray, leg: FloatArray) -> bool:
    directions: Mask = np.array([b[leg == n][-1] > b[leg == n][0] for n in np.unique(leg)])
    return bool(directions.any() and not directions.all())
