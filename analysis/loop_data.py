"""What the fit sees: the bins of a loop as arrays, near zero field leg by leg, far out as differences between legs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .legs import STRIDE
from .models import FloatArray, Mask


@dataclass(frozen=True, slots=True)
class Points:
    """Binned rows, sorted by leg and then in time; `leg` is the leg's number and `rising` +1 or −1 for its direction.

    `span_time` is the time from −1 to 1 over the run, so that drift coefficients are in ohm.
    """

    field_T: FloatArray
    rate_T_per_s: FloatArray
    r_xy_ohm: FloatArray
    r_xx_ohm: FloatArray
    span_time: FloatArray
    count: FloatArray
    leg: FloatArray
    rising: FloatArray
    steady_s: FloatArray

    def where(self, keep: Mask) -> "Points":
        """The points that `keep` (a mask) is true for."""
        return Points(*(getattr(self, name)[keep] for name in self.__slots__))

    def merged(self, inner_T: float, step_T: float) -> "Points":
        """The same points with those beyond `inner_T` merged into bins of `step_T`: fewer where R_xy is smooth."""
        outer = np.abs(self.field_T) > inner_T
        key = np.where(outer, 1e9 + np.floor(self.field_T / step_T), np.arange(self.size)) + 1e12 * self.leg
        _, group = np.unique(key, return_inverse=True)
        total = np.bincount(group, self.count)
        means: dict[str, FloatArray] = {
            name: np.bincount(group, self.count * getattr(self, name)) / total
            for name in self.__slots__
            if name != "count"
        }
        means["count"] = np.asarray(total, dtype=np.float64)
        order = np.lexsort((means["span_time"], means["leg"]))
        return Points(*(means[name][order] for name in self.__slots__))

    @property
    def size(self) -> int:
        """How many bins."""
        return self.field_T.size


@dataclass(frozen=True, slots=True)
class LegView:
    """One leg as copied for the fit."""

    number: int
    rising: bool
    start_T: float
    latest_T: float
    turned: bool
    points: Points
    row_s: float = 0.0  # the mean time between rows

    def at_rest(self, rate_T_per_s: float) -> "LegView":
        """The same leg as if swept at one rate throughout: what lags then lags alike everywhere."""
        return replace(self, points=replace(self.points, rate_T_per_s=rate_T_per_s * self.points.rising))

    @property
    def renewed(self) -> bool:
        """True when the leg comes from a field of the sign it leaves: +B falling or −B rising."""
        return self.start_T < 0.0 if self.rising else self.start_T > 0.0

    @property
    def beyond_zero_T(self) -> float:
        """How far the leg went past zero field."""
        return self.latest_T if self.rising else -self.latest_T

    @property
    def progress(self) -> float:
        """The share done of a leg that ends at the opposite of its start."""
        return float(np.clip(abs(self.latest_T - self.start_T) / max(2.0 * abs(self.start_T), 1e-9), 0.0, 1.0))


def legs_of(table: Sequence[tuple[int, bool, float, float, bytes]]) -> list[LegView]:
    """Views of the copied legs, in the order they were swept."""
    sums = [np.frombuffer(raw).reshape(-1, STRIDE) for *_, raw in table]
    times = np.concatenate([block[:, 4] / block[:, 0] for block in sums]) if sums else np.zeros(0)
    first, last = (float(times.min()), float(times.max())) if times.size else (0.0, 1.0)
    middle_s, half_s = 0.5 * (first + last), max(0.5 * (last - first), 1.0)
    views: list[LegView] = []
    for (number, rising, start_T, latest_T, _), block in zip(table, sums, strict=True):
        time_s = block[:, 4] / block[:, 0]
        block, time_s = block[np.argsort(time_s)], np.sort(time_s)
        count = block[:, 0]
        points = Points(
            field_T=block[:, 3] / count,
            rate_T_per_s=block[:, 5] / count,
            r_xy_ohm=block[:, 1],
            r_xx_ohm=block[:, 6] / count,
            span_time=(time_s - middle_s) / half_s,
            count=count,
            leg=np.full(count.size, float(number)),
            rising=np.full(count.size, 1.0 if rising else -1.0),
            steady_s=block[:, 7],
        )
        row_s = float(np.ptp(time_s)) / max(float(count.sum()) - 1.0, 1.0) if time_s.size else 0.0
        views.append(LegView(number, rising, start_T, latest_T, number < len(table) - 1, points, row_s))
    return views


def join(parts: Sequence[Points]) -> Points:
    """All parts, one after the other."""
    return Points(*(np.concatenate([getattr(part, name) for part in parts]) for name in Points.__slots__))


@dataclass(frozen=True, slots=True)
class Closure:
    """R_xy of several legs at the same large field, where the loop is closed: only nuisances can tell legs apart.

    `points.r_xy_ohm` is the residual from the polynomial that all legs share, `slope` its derivative dR_xy/dB, and
    `group` numbers the bins that legs share. The mean over a group holds everything that does not depend on the leg,
    so it is projected out with `centred`: for two legs what is left is their half-difference D(B).
    """

    points: Points
    slope: FloatArray
    group: FloatArray
    groups: int

    def centred(self, values: FloatArray) -> FloatArray:
        """`values` (rows by points) less their weighted mean in each group, times the square root of the weight."""
        index = self.group.astype(np.intp)
        weight = self.points.count
        norm = np.bincount(index, weight, self.groups)
        columns = values.reshape(values.shape[0], -1)
        out = np.empty_like(columns)
        for k in range(columns.shape[1]):
            mean = np.bincount(index, weight * columns[:, k], self.groups) / norm
            out[:, k] = (columns[:, k] - mean[index]) * np.sqrt(weight)
        return out.reshape(values.shape)


def closure_of(legs: Sequence[LegView], inner_T: float, steady_s: float) -> Closure | None:
    """The contrast of all legs beyond `inner_T`, or None when no two legs share enough bins there."""
    points = join([leg.points for leg in legs])
    points = points.where((np.abs(points.field_T) > inner_T) & (points.steady_s >= steady_s))
    if points.size < 12:
        return None
    size = np.abs(points.field_T)
    # The same bins that LegBins makes, recognised from the mean field in them.
    width = np.where(size < 1.0, 0.02, 0.05)
    key = np.floor(points.field_T / width) + np.where(size < 1.0, 0.0, 1e6)
    _, group = np.unique(key, return_inverse=True)
    shared = np.bincount(group)[group] > 1
    points, (keys, group) = points.where(shared), np.unique(group[shared], return_inverse=True)
    if keys.size < 6:
        return None
    reach_T = float(np.abs(points.field_T).max())
    x = points.field_T / reach_T
    # As stiff as two bands allow over this reach: only the derivative is used, and ends of polynomials are loose.
    powers = np.array((0, 1, 2, 3) if reach_T < 2.0 else (0, 1, 2, 3, 4, 5) if reach_T < 4.0 else tuple(range(8)))
    root = np.sqrt(points.count)
    # The closed loop is a step ±A between the two sides: without its own column it would bend the slope by percents.
    # Likewise the lag: where rising and falling legs are not equally many it would pass for curvature.
    columns = np.column_stack((x[:, None] ** powers, np.sign(x), points.rate_T_per_s))
    coefficients = np.linalg.lstsq(columns * root[:, None], points.r_xy_ohm * root)[0]
    slope = (powers * x[:, None] ** np.maximum(powers - 1, 0)) @ coefficients[:-2] / reach_T
    residual = points.r_xy_ohm - columns[:, :-2] @ coefficients[:-2]
    return Closure(replace(points, r_xy_ohm=residual), slope, group.astype(np.float64), int(keys.size))
