"""The mean of a series and the comparison of its entries, where shared systematics count once or cancel."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2 as chi_squared
from scipy.stats import t as student

from ..core.quantities import format_measured
from ..core.records import Measured
from .models import FloatArray
from .names import same_quantity, split_unit
from .series import Series

SIGNIFICANT_Z = 3.0
_SCATTERED_P = 0.01  # of χ²: below, the scatter is more than u says


@dataclass(frozen=True, slots=True)
class SeriesMean:
    """The weighted mean, χ² of the entries about it with `freedom`, its probability and the Birge ratio √(χ²/freedom).

    When the entries scatter more than their u allows (p < 1 %), the independent part of u is enlarged by the Birge
    ratio and `reasons` says so.
    """

    mean: Measured
    chi2: float
    freedom: int
    p: float
    birge: float
    weights: FloatArray
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two entries: their difference or ratio with its u, and z, the significance of their being different."""

    text: str
    apart: Measured
    z: float

    @property
    def significant(self) -> bool:
        """True above three standard uncertainties."""
        return abs(self.z) > SIGNIFICANT_Z


def weighted_mean(series: Series) -> SeriesMean:
    """The mean weighted by the independent parts of u; the shared parts add to its u and never to a weight.

    Weights from the whole covariance can put the mean outside of its own entries when a scale is shared (Peelle's
    puzzle: Chiba & Smith, ANL/NDM-121 (1991)); for an offset that all share alike these weights are as good.

    Raises:
        ValueError: some entry has no u of its own.
    """
    own = own_u(series)
    weights = own**-2.0 / np.sum(own**-2.0)
    value = float(weights @ series.value)
    chi2, freedom = _chi2(series), series.value.size - 1
    p = float(chi_squared.sf(chi2, freedom)) if freedom else 1.0
    birge = math.sqrt(chi2 / freedom) if freedom else 1.0
    enlarge, reasons = scatter(birge, freedom, p, series.reasons)
    return SeriesMean(Measured(value, spread_u(series, weights, enlarge)), chi2, freedom, p, birge, weights, reasons)


def own_u(series: Series) -> FloatArray:
    """The independent u of each entry, which weights are made of.

    Raises:
        ValueError: some entry has none.
    """
    own = series.independent_u
    if np.any(own < 1e-4 * series.u):
        name = series.name(int(np.argmin(own / series.u)))
        raise ValueError(
            f"{name}: all of its u is shared, so that it cannot be weighed: give the whole u, noise included"
        )
    return own


def spread_u(series: Series, weights: FloatArray, enlarge: float = 1.0) -> float:
    """The u of a sum of the entries with these weights, the independent parts enlarged."""
    own = float(np.sum((weights * series.independent_u * enlarge) ** 2))
    return math.sqrt(own + sum(float(weights @ part) ** 2 for part in series.shared.values()))


def scatter(birge: float, freedom: int, p: float, reasons: tuple[str, ...]) -> tuple[float, tuple[str, ...]]:
    """By how much to enlarge independent u's, and the reasons with the sentence for it."""
    if p >= _SCATTERED_P:
        return 1.0, reasons
    # The ratio itself is known from `freedom` only: Student's factor keeps ±1.96 u at 95 %.
    enlarge = birge * float(student.ppf(0.975, freedom)) / 1.96
    text = f"the entries scatter {birge:.1f} times more than their u says (p = {p:.1g}): u enlarged {enlarge:.1f} times"
    return enlarge, (text, *reasons)


def _chi2(series: Series) -> float:
    inverse = np.linalg.inv(series.covariance)
    ones = np.ones(series.value.size)
    best = float(ones @ inverse @ series.value) / float(ones @ inverse @ ones)
    rest = series.value - best
    return float(rest @ inverse @ rest)


def difference(series: Series, a: float | str, b: float | str) -> Comparison:
    """Entry a minus entry b, by label or x.

    Raises:
        ValueError: an entry is not there, or not one.
    """
    i, j = series.index(a), series.index(b)
    weights = np.zeros(series.value.size)
    weights[i], weights[j] = 1.0, -1.0
    return _difference(series, weights, series.name(i), series.name(j))


def ratio(series: Series, a: float | str, b: float | str) -> Comparison:
    """Entry a over entry b, by label or x; what scales both cancels. `z` is of the ratio against one.

    Raises:
        ValueError: an entry is not there, or b is within five of its u from zero.
    """
    i, j = series.index(a), series.index(b)
    if abs(series.value[j]) < 5.0 * series.u[j]:
        raise ValueError(
            f"{series.name(j)} is within five of its u from zero: a ratio to it has no standard uncertainty"
        )
    value = float(series.value[i] / series.value[j])
    weights = np.zeros(series.value.size)
    weights[i] += 1.0 / series.value[j]
    weights[j] -= value / series.value[j]
    apart = Measured(value, spread_u(series, weights))
    z = (value - 1.0) / apart.u
    return Comparison(
        f"{series.name(i)} over {series.name(j)} is {format_measured(apart, '')} (z = {z:+.1f})", apart, z
    )


def compared(one: Series, other: Series) -> tuple[Comparison, ...]:
    """`one` minus `other` at every x that both have. Sources of the same name are the same source.

    Raises:
        ValueError: the series differ in quantity, variable or unit, or have no x in common.
    """
    same_quantity(one.quantity, other.quantity)
    same_quantity(one.x_name, other.x_name)
    if one.numeric is not other.numeric:
        raise ValueError(f"{one.x_name} is text in one series and numbers in the other")
    places = [one.x.tolist(), other.x.tolist()] if one.numeric else [list(one.labels), list(other.labels)]
    common = [x for x in places[0] if places[0].count(x) == 1 and places[1].count(x) == 1]
    if not common:
        raise ValueError(f"the two series have no single entry at the same {one.x_name}")
    found: list[Comparison] = []
    for x in common:
        first, second = one.entries()[places[0].index(x)], other.entries()[places[1].index(x)]
        pair = Series.of(one.x_name, one.quantity, [first, second])
        at = x if isinstance(x, str) else f"{one.x_name} {x:g}"
        found.append(_difference(pair, np.array([1.0, -1.0]), f"the first at {at}", "the second"))
    return tuple(found)


def _difference(series: Series, weights: FloatArray, a: str, b: str) -> Comparison:
    apart = Measured(float(weights @ series.value), spread_u(series, weights))
    z = apart.value / apart.u if apart.u > 0.0 else 0.0
    unit = split_unit(series.quantity)[1]
    size = f"{apart.value:.4g} ± {apart.u:.2g} {unit}".rstrip()
    verb = f"{a} differs from {b} by" if abs(z) > SIGNIFICANT_Z else f"{a} does not differ from {b}:"
    return Comparison(f"{verb} {size} (z = {z:+.1f})", apart, z)
