"""Trends of a series: a straight line, and a rise that levels off.

The line is weighed by the independent u of y and of x; what entries share adds to the parameters' u.
The kink is found by its likelihood with the whole covariance, and claimed only against both a line and a constant.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import chi2 as chi_squared

from ..core.quantities import format_measured
from ..core.records import Estimate, EstimateStatus, Measured
from .models import FloatArray
from .names import split_unit
from .series import Series
from .series_mean import SIGNIFICANT_Z, own_u, scatter, spread_u

# 2 ln of likelihoods, of a kink against a line and against a constant: a kink has one and two parameters more, and may
# lie anywhere, which a χ² distribution does not reckon with. Below 1 % false claims from 5 to 20 entries.
_AGAINST_LINE, _AGAINST_CONSTANT = 11.0, 14.0
_LEAST_P = 0.01
_GRID = 400


@dataclass(frozen=True)
class LinearTrend:
    """y = `level` + `slope` (x − `pivot`), χ² and its probability; `covariance` is of (level, slope)."""

    estimate: Estimate
    slope: Measured
    level: Measured
    pivot: float
    covariance: FloatArray
    chi2: float
    freedom: int
    p: float

    @property
    def z(self) -> float:
        """The slope over its u; a trend is claimed above three."""
        return self.slope.value / self.slope.u

    def at(self, x: float) -> Measured:
        """The line at x, with the u of the line."""
        weights = np.array([1.0, x - self.pivot])
        return Measured(
            self.level.value + self.slope.value * (x - self.pivot), float(np.sqrt(weights @ self.covariance @ weights))
        )


@dataclass(frozen=True)
class Plateau:
    """y rises to x0 in a straight line and stays.

    `interval` holds x0 with 95 %, `rise` is the fitted slope, claimed or not; (400,) `x0_grid` and its `likelihood`,
    level and rise integrated over, 1 at most.
    `estimate.values`, when claimed: `levels_off_<x>`, `plateau_<quantity>`, `rise_<quantity>_per_<unit of x>`.
    """

    estimate: Estimate
    interval: tuple[float, float]
    against_line: float
    against_constant: float
    p: float
    rise: float
    x0_grid: FloatArray
    likelihood: FloatArray


def linear_trend(series: Series) -> LinearTrend:
    """A straight line through a series of two or more entries.

    Raises:
        ValueError: x is text, fewer than two different x, or some entry has no u of its own.
    """
    x, own = _numbers(series, 2), own_u(series)
    line = _line(x, series.x_u, series.value, own)
    variance = own**2 + (line.slope * series.x_u) ** 2
    inverse = _inverse(series, line.slope)
    chi2 = _least_chi2(inverse, np.column_stack([np.ones_like(x), x]), series.value)
    freedom = x.size - 2
    p = float(chi_squared.sf(chi2, freedom)) if freedom else 1.0
    enlarge, reasons = scatter(math.sqrt(chi2 / freedom) if freedom else 1.0, freedom, p, series.reasons)
    if enlarge > 1.0:
        reasons = (f"{reasons[0]}; or the trend is not a straight line", *reasons[1:])
    covariance = (line.solution * variance) @ line.solution.T * enlarge**2
    for part in series.shared.values():
        covariance += np.outer(line.solution @ part, line.solution @ part)
    level, slope = (Measured(v, float(np.sqrt(covariance[i, i]))) for i, v in enumerate((line.level, line.slope)))
    unit, x_unit = split_unit(series.quantity)[1], split_unit(series.x_name)[1]
    z = slope.value / slope.u
    direction = ("rises" if z > 0.0 else "falls") if abs(z) > SIGNIFICANT_Z else "has no trend"
    size = f"{slope.value:.4g} ± {slope.u:.2g} {unit}".rstrip()
    text = f"{series.quantity} {direction} with {series.x_name}: {size} per {x_unit or 'unit'} (z = {z:+.1f})"
    values = {f"slope_{series.quantity}_per_{x_unit or series.x_name}": slope, series.quantity: level}
    estimate = Estimate(EstimateStatus.RESOLVED, values, reasons, {}, text, x.size)
    return LinearTrend(estimate, slope, level, line.pivot, covariance, chi2, freedom, p)


def plateau(series: Series) -> Plateau:
    """Where a series levels off: y = y0 + s min(x − x0, 0), x0 with two entries or more on either side.

    The mean and standard deviation of x0 over its likelihood are its value and u. Refused (NOT_RESOLVED): a line or a
    constant describes it as well, nothing of the three describes it, or x0 is not between measured points.

    Raises:
        ValueError: x is text, fewer than five different x, or some entry has no u of its own.
    """
    x = _numbers(series, 5)
    if np.any(series.x_u > 0.0):
        # The u of x counts along the rise, and not on the plateau; where that is, a first answer tells.
        first = _plateau(_along(series, np.full(x.size, linear_trend(series).slope.value)))
        x0, rise = first.x0_grid[int(first.likelihood.argmax())], first.rise
        series = _along(series, np.where(x < x0, rise, 0.0))
    return _plateau(series)


def _along(series: Series, slope: FloatArray) -> Series:
    """The series with the u of x as a u of y, along these slopes."""
    return replace(series, u=np.hypot(series.u, slope * series.x_u), x_u=np.zeros_like(series.x_u))


def _plateau(series: Series) -> Plateau:
    x, own = series.x, own_u(series)
    places = np.unique(x)
    inverse = _inverse(series, 0.0)
    constant = _least_chi2(inverse, np.ones((x.size, 1)), series.value)
    line = _least_chi2(inverse, np.column_stack([np.ones_like(x), x]), series.value)
    grid = np.linspace(float(places[1]), float(places[-2]), _GRID)
    chi2 = np.array([_least_chi2(inverse, _kink(x, x0), series.value) for x0 in grid])
    least = float(chi2.min())
    freedom = x.size - 3
    p = float(chi_squared.sf(least, freedom)) if freedom else 1.0
    # Level and rise integrated over, not at their best: at its best a rise through few points is too flattering.
    volume = np.array([np.linalg.slogdet(_kink(x, x0).T @ inverse @ _kink(x, x0))[1] for x0 in grid])
    exponent = -0.5 * (chi2 + volume)
    likelihood = np.exp(exponent - exponent.max())
    share = likelihood / likelihood.sum()
    cumulative = np.cumsum(share)
    low, high = (float(grid[min(int(np.searchsorted(cumulative, level)), _GRID - 1)]) for level in (0.025, 0.975))
    mean = float(share @ grid)
    x0 = Measured(mean, float(np.sqrt(share @ (grid - mean) ** 2)))
    level, rise = _at_kink(series, x, own, grid, share)
    reasons = _against((line - least, constant - least), p, (low, high), places)
    found = (low, high), line - least, constant - least, p, rise.value, grid, likelihood
    if reasons:
        text = f"not resolved: {reasons[0]}"
        estimate = Estimate(EstimateStatus.NOT_RESOLVED, {}, (*reasons, *series.reasons), {}, text, x.size)
        return Plateau(estimate, *found)
    x_head, x_unit = split_unit(series.x_name)
    values = {
        f"levels_off_{series.x_name}": x0,
        f"plateau_{series.quantity}": level,
        f"rise_{series.quantity}_per_{x_unit or series.x_name}": rise,
    }
    text = f"{series.quantity} levels off at {x_head} {format_measured(x0, x_unit)}"
    return Plateau(Estimate(EstimateStatus.RESOLVED, values, series.reasons, {}, text, x.size), *found)


@dataclass(frozen=True, slots=True)
class _Line:
    level: float
    slope: float
    pivot: float
    solution: FloatArray  # (2, N): level and slope are these sums of the entries


def _line(x: FloatArray, x_u: FloatArray, value: FloatArray, own: FloatArray) -> _Line:
    """The most likely line when both x and y are uncertain: York, Can. J. Phys. 44, 1079 (1966).

    Weights with the u of x along the slope would not be enough: noise of x alone makes an ordinary slope too small.
    """
    slope, true_x, weight = 0.0, x, own**-2.0
    for _ in range(50 if np.any(x_u > 0.0) else 1):
        before = slope
        weight = 1.0 / (own**2 + (slope * x_u) ** 2)
        mean_x, mean_y = (float(weight @ v / weight.sum()) for v in (x, value))
        moved = weight * ((x - mean_x) * own**2 + slope * x_u**2 * (value - mean_y))
        slope = float((weight * moved) @ (value - mean_y) / ((weight * moved) @ (x - mean_x)))
        true_x = mean_x + moved
        if abs(slope - before) <= 1e-12 * abs(slope):
            break
    pivot = float(weight @ true_x / weight.sum())
    design = np.column_stack([np.ones_like(x), true_x - pivot])
    solution = np.asarray(np.linalg.solve((design.T * weight) @ design, design.T * weight), dtype=np.float64)
    level = float(weight @ (value - slope * (x - pivot)) / weight.sum())
    return _Line(level, slope, pivot, solution)


def _inverse(series: Series, slope: float) -> FloatArray:
    """Of the whole covariance, with the u of x along this slope."""
    return np.asarray(np.linalg.inv(series.covariance + np.diag((slope * series.x_u) ** 2)), dtype=np.float64)


def _numbers(series: Series, least: int) -> FloatArray:
    if not series.numeric:
        raise ValueError(f"{series.x_name} is text: a trend needs numbers; compare entries instead")
    if np.unique(series.x).size < least:
        raise ValueError(
            f"{series.quantity} has {np.unique(series.x).size} different {series.x_name}: {least} are needed"
        )
    return series.x


def _kink(x: FloatArray, x0: float) -> FloatArray:
    return np.column_stack([np.ones_like(x), np.minimum(x - x0, 0.0)])


def _least_chi2(inverse: FloatArray, design: FloatArray, value: FloatArray) -> float:
    normal = design.T @ inverse
    rest = value - design @ np.linalg.solve(normal @ design, normal @ value)
    return float(rest @ inverse @ rest)


def _at_kink(
    series: Series, x: FloatArray, own: FloatArray, grid: FloatArray, share: FloatArray
) -> tuple[Measured, Measured]:
    """Level and rise averaged over the likelihood of x0, with the variance within and between."""
    found: list[tuple[float, float, float, float]] = []
    for x0 in grid:
        design = _kink(x, float(x0))
        solution = np.linalg.solve((design.T / own**2) @ design, design.T / own**2)
        level, rise = solution @ series.value
        found.append((level, rise, spread_u(series, solution[0]) ** 2, spread_u(series, solution[1]) ** 2))
    table = np.array(found)
    means = share @ table[:, :2]
    variances = share @ (table[:, 2:] + (table[:, :2] - means) ** 2)
    level, rise = (Measured(float(m), float(np.sqrt(v))) for m, v in zip(means, variances, strict=True))
    return level, rise


def _against(gains: tuple[float, float], p: float, interval: tuple[float, float], places: FloatArray) -> list[str]:
    reasons: list[str] = []
    line, constant = gains
    if constant < _AGAINST_CONSTANT:
        reasons.append(f"a constant describes it as well (2 ln L = {constant:.1f}, {_AGAINST_CONSTANT:.0f} needed)")
    elif line < _AGAINST_LINE:
        reasons.append(f"a straight line describes it as well (2 ln L = {line:.1f}, {_AGAINST_LINE:.0f} needed)")
    if p < _LEAST_P:
        reasons.append(
            f"no rise that levels off at one place describes it (p = {p:.1g}): it is smoother, or u too small"
        )
    if not reasons and (interval[0] <= places[1] or interval[1] >= places[-2]):
        reasons.append(
            f"x0 lies between {interval[0]:.3g} and {interval[1]:.3g}: two entries are needed beyond it on either side"
        )
    return reasons
