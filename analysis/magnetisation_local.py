"""Coercive field, remanence and saturation without a shape: a line at high field, local polynomials at the crossings.

The line is fitted where |H| > 0.7 of the largest field. A loop that is still open there has two slopes, one on the way
from saturation, where only reversible changes happen, and one on the way to it; the first is the background's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import polynomial

from .models import FloatArray, Mask

HIGH_SHARE = 0.7
OTHER_SHARES = (0.6, 0.8, 0.9)
LEAST_HIGH = 8
COARSE_SHARE = 0.3  # of what a curve through four points changes of the line through two: what it may leave out itself
HALF_WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24)


@dataclass(frozen=True, slots=True)
class HighField:
    """The line s·m_S + χ H + m_0 at high field: values, their covariance, and what another range would change."""

    values: FloatArray  # m_S, χ, m_0
    covariance: FloatArray
    model_u: FloatArray
    open_loop: bool


@dataclass(frozen=True, slots=True)
class LocalPoint:
    """A root or a value from a local polynomial: estimate, its statistical and window uncertainty, and the slope."""

    value: float
    u: float
    window_u: float
    slope: float


def high_field(
    field_T: FloatArray, moment: FloatArray, sigma: FloatArray, leaving: Mask, largest_T: float
) -> HighField | None:
    """The high-field line of moments from which any curved background has been taken; None with too few points."""
    main = _line(field_T, moment, sigma, leaving, largest_T, HIGH_SHARE)
    if main is None:
        return None
    values, covariance, is_open = main
    others = [_line(field_T, moment, sigma, leaving, largest_T, share, is_open) for share in OTHER_SHARES]
    apart = [np.maximum((o[0] - values) ** 2 - np.diag(o[1]), 0.0) for o in others if o is not None]
    model_u = np.sqrt(np.mean(apart, axis=0)) if apart else np.zeros(3)
    return HighField(values, covariance, model_u, is_open)


def _line(
    field_T: FloatArray,
    moment: FloatArray,
    sigma: FloatArray,
    leaving: Mask,
    largest_T: float,
    share: float,
    is_open: bool | None = None,
) -> tuple[FloatArray, FloatArray, bool] | None:
    high = np.abs(field_T) > share * largest_T
    if high.sum() < LEAST_HIGH:
        high = np.abs(field_T) >= np.sort(np.abs(field_T))[-min(LEAST_HIGH, field_T.size)]
    if not ((field_T > 0.0) & high).any() or not ((field_T < 0.0) & high).any() or high.sum() < 4:
        return None
    away = high & leaving
    if is_open is None:
        is_open = _is_open(field_T, moment, sigma, leaving, high)
    rows = away if is_open and away.sum() >= 4 else high
    design = np.stack([np.sign(field_T), field_T, np.ones_like(field_T)], axis=1)[rows] / sigma[rows][:, None]
    target = moment[rows] / sigma[rows]
    values, *_ = np.linalg.lstsq(design, target, rcond=None)
    residual = target - design @ values
    scale = max(1.0, float(residual @ residual) / max(int(rows.sum()) - 3, 1))
    covariance = np.asarray(np.linalg.pinv(design.T @ design)) * scale
    return np.asarray(values, dtype=np.float64), np.asarray(covariance, dtype=np.float64), bool(is_open)


def _is_open(field_T: FloatArray, moment: FloatArray, sigma: FloatArray, leaving: Mask, high: Mask) -> bool:
    """Whether the branches leave and enter saturation with different slopes, by more than 4 σ."""
    design = np.stack([np.sign(field_T), field_T, np.ones_like(field_T)], axis=1)
    entering = np.where(leaving, 0.0, 1.0)
    both = np.concatenate([design, (design * entering[:, None])[:, :2]], axis=1)[high] / sigma[high][:, None]
    if both.shape[0] < 10 or (high & leaving).sum() < 4 or (high & ~leaving).sum() < 4:
        return False
    target = moment[high] / sigma[high]
    values, *_ = np.linalg.lstsq(both, target, rcond=None)
    residual = target - both @ values
    scale = max(1.0, float(residual @ residual) / max(both.shape[0] - 5, 1))
    u = np.sqrt(np.diag(np.linalg.pinv(both.T @ both)) * scale)
    return bool(abs(values[4]) > 4.0 * u[4])


def crossing(x: FloatArray, y: FloatArray, sigma: FloatArray) -> LocalPoint | None:
    """Where rising data cross zero: x and y of one branch in any order; None if they do not."""
    order = np.argsort(x, kind="stable")
    x, y, sigma = x[order], y[order], sigma[order]
    if x.size < 4:
        return None
    # Of data that are first negative, then positive, the running sum is least at the crossing, noise or not.
    total = np.cumsum(y * np.gradient(x)) if np.ptp(x) > 0.0 else np.cumsum(y)
    middle = int(np.argmin(total)) + 1
    if middle < 2 or middle > x.size - 2 or np.median(y[:middle]) >= 0.0 or np.median(y[middle:]) <= 0.0:
        return None

    def root(first: int, last: int, degree: int) -> tuple[float, float, float, float] | None:
        centre = 0.5 * (x[middle - 1] + x[middle])
        fit = _polynomial(x[first:last] - centre, y[first:last], sigma[first:last], degree)
        if fit is None:
            return None
        coefficients, covariance, reduced = fit
        roots = np.atleast_1d(polynomial.polyroots(coefficients))
        real = np.real(roots[np.abs(np.imag(roots)) < 1e-9 * max(np.ptp(x), 1e-300)])
        real = real[(real + centre >= x[first]) & (real + centre <= x[last - 1])]
        if real.size == 0:
            return None
        at = float(real[np.argmin(np.abs(real))])
        powers = at ** np.arange(coefficients.size)
        slope = float(polynomial.polyval(at, polynomial.polyder(coefficients)))
        if slope <= 0.0:
            return None
        return at + centre, float(np.sqrt(powers @ covariance @ powers)) / slope, slope, reduced

    return _widest(root, middle, x.size)


def value_at(x: FloatArray, y: FloatArray, sigma: FloatArray, at: float) -> LocalPoint | None:
    """The value of one branch at `at`; None outside the data."""
    order = np.argsort(x, kind="stable")
    x, y, sigma = x[order], y[order], sigma[order]
    middle = int(np.searchsorted(x, at))
    if middle < 1 or middle > x.size - 1:
        return None

    def local(first: int, last: int, degree: int) -> tuple[float, float, float, float] | None:
        fit = _polynomial(x[first:last] - at, y[first:last], sigma[first:last], degree)
        if fit is None:
            return None
        coefficients, covariance, reduced = fit
        return float(coefficients[0]), float(np.sqrt(covariance[0, 0])), float(coefficients[1]), reduced

    return _widest(local, middle, x.size)


def _polynomial(
    x: FloatArray, y: FloatArray, sigma: FloatArray, degree: int
) -> tuple[FloatArray, FloatArray, float] | None:
    """Coefficients, covariance and χ² per degree of freedom of a weighted polynomial."""
    unit = float(np.abs(x).max())
    if unit <= 0.0 or np.unique(x).size <= degree:
        return None
    design = (x / unit)[:, None] ** np.arange(degree + 1) / sigma[:, None]
    coefficients, *_ = np.linalg.lstsq(design, y / sigma, rcond=None)
    residual = y / sigma - design @ coefficients
    per_unit = unit ** -np.arange(degree + 1, dtype=np.float64)
    covariance = np.asarray(np.linalg.pinv(design.T @ design)) * per_unit[:, None] * per_unit
    freedom = x.size - degree - 1
    reduced = float(residual @ residual) / freedom if freedom > 0 else 1.0
    return coefficients * per_unit, covariance, reduced


def _widest(
    fit: Callable[[int, int, int], tuple[float, float, float, float] | None], middle: int, size: int
) -> LocalPoint | None:
    """The widest window whose answer agrees with every narrower one's (Lepski's rule), and its spread beyond noise."""
    found: list[tuple[float, float, float]] = []
    coarse_u = 0.0
    line, cubic = (
        fit(middle - half, middle + half, degree) if half <= middle <= size - half else None
        for half, degree in ((1, 1), (2, 3))
    )
    if line is not None and cubic is not None:
        # Where the steps are large the data bend between two points: the curve through four is nearer than the line.
        found = [cubic[:3]]
        beyond_noise = max((cubic[0] - line[0]) ** 2 - cubic[1] ** 2 - line[1] ** 2, 0.0)
        coarse_u = COARSE_SHARE * float(np.sqrt(beyond_noise))
    for half in HALF_WIDTHS[1 if found else 0 :]:
        first, last = middle - half, middle + half
        if first < 0 or last > size:
            break
        got = fit(first, last, 1 if half == 1 else 2 if half < 5 else 3)
        if got is None:
            continue
        value, u, slope, reduced = got
        freedom = 2 * half - (2 if half < 5 else 3) - 1
        if freedom > 0 and reduced > 1.0 + 3.0 * np.sqrt(2.0 / freedom):
            break
        if any(abs(value - v) > 2.0 * np.sqrt(max(w**2 - u**2, 0.05 * w**2)) for v, w, _ in found):
            break
        found.append((value, u, slope))
    if not found:
        return None
    value, u, slope = min(found, key=lambda one: one[1])
    apart = [max((v - value) ** 2 - abs(w**2 - u**2), 0.0) for v, w, _ in found if w < 3.0 * u]
    spread = float(np.mean(apart)) if apart else 0.0
    return LocalPoint(value, u, float(np.sqrt(spread + coarse_u**2)), slope)
