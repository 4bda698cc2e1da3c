"""Does the sample prefer a direction? Values measured along [001], [100], [110], compared with what they share.

A magnetometer reports a film across its axis too large and one along it too small, by up to 11 % for 5 × 5 mm²
(`film_geometry`), which looks like an anisotropy: moments are corrected first, and the factors are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import chi2 as chi_squared

from ..core.records import Estimate, EstimateStatus, Measured
from .film_geometry import Gradiometer, factor_parts
from .series import Entry, Series
from .series_mean import Comparison, difference, own_u, spread_u

_OWN_PARTS = ("radial offset", "direction")


@dataclass(frozen=True)
class Anisotropy:
    """Values by orientation and their comparisons.

    `series` holds the values as compared (moments corrected), `reported` and `factors` what they were made of (factors
    empty for quantities that need none). `p_equal` is the chance of the differences if all are equal. `preferred` is
    the orientation whose value is larger than every other by more than three standard uncertainties, or None.
    `estimate.values`: each value as `<quantity> <orientation>`, and when one is preferred `preferred_over_others`,
    its ratio to the weighted mean of the others.
    """

    estimate: Estimate
    series: Series
    reported: Mapping[str, Measured]
    factors: Mapping[str, Measured]
    comparisons: tuple[Comparison, ...]
    p_equal: float
    preferred: str | None


def moment_anisotropy(
    moments_Am2: Mapping[str, Measured],
    instrument: str | Gradiometer,
    *,
    quantity: str = "moment_Am2",
    size_m: tuple[float, float] = (5e-3, 5e-3),
    size_u_m: float = 1e-4,
    radial_offset_m: float = 0.0,
    radial_offset_u_m: float = 3e-4,
    calibration_u: float = 0.0,
) -> Anisotropy:
    """Reported moments of one film by orientation (keys of `film_geometry.ORIENTATIONS`), corrected and compared.

    The film is mounted anew for each orientation, so that its offset is; size and coils are common, with opposite
    effect across and along the axis. `calibration_u` is the relative u that all moments share.

    Raises:
        ValueError: fewer than two orientations, or as `geometry_factor` and `Series.of`.
    """
    entries: list[Entry] = []
    factors: dict[str, Measured] = {}
    for orientation, moment in moments_Am2.items():
        factor, parts = factor_parts(
            instrument, orientation, size_m, radial_offset_m, radial_offset_u_m=radial_offset_u_m, size_u_m=size_u_m
        )
        factors[orientation] = Measured(factor, float(np.sqrt(sum(part**2 for part in parts.values()))))
        true = moment.value / factor
        # A factor that is larger by `part` makes the moment smaller.
        relative = {name: -part / factor for name, part in parts.items()} | {"calibration": calibration_u}
        shared = {name: true * part for name, part in relative.items() if name not in _OWN_PARTS and part != 0.0}
        u = np.sqrt((moment.u / factor) ** 2 + sum((true * part) ** 2 for part in relative.values()))
        entries.append(Entry(orientation, Measured(true, float(u)), shared))
    series = Series.of("orientation", quantity, entries)
    return _compared(series, moments_Am2, factors)


def anisotropy_of(series: Series) -> Anisotropy:
    """Orientations of a quantity that needs no correction, such as a coercive field or a Hall result.

    Raises:
        ValueError: x is not text, or fewer than two orientations.
    """
    if series.numeric:
        raise ValueError(f"{series.x_name} is a number: give orientations as text, such as '[001]'")
    reported = {entry.label: entry.value for entry in series.entries()}
    return _compared(series, reported, {})


def _compared(series: Series, reported: Mapping[str, Measured], factors: Mapping[str, Measured]) -> Anisotropy:
    if series.value.size < 2:
        raise ValueError(f"{series.quantity} along one orientation only: an anisotropy compares two or more")
    own_u(series)  # refuses values that are all calibration
    comparisons = tuple(difference(series, a, b) for a, b in combinations(series.labels, 2))
    p = _p_equal(series)
    order = np.argsort(-series.value)
    first, *others = (series.labels[i] for i in order)
    # Larger than each of the others: the largest of equals is so by chance in less than 1 of 100 comparisons of three.
    preferred = first if all(difference(series, first, other).significant for other in others) else None
    values = {f"{series.quantity} {e.label}": e.value for e in series.entries()}
    reasons = [*_geometry(series, reported, factors, preferred), *series.reasons]
    size = difference(series, first, others[0])
    if preferred is None:
        text = f"no preferred direction: {size.text}"
        estimate = Estimate(EstimateStatus.NOT_RESOLVED, values, (text, *reasons), {}, text, series.value.size)
    else:
        if np.all(np.abs(series.value[order[1:]]) > 5.0 * series.u[order[1:]]):
            values["preferred_over_others"] = _over_others(series, int(order[0]))
        text = f"{preferred} is preferred: {size.text}"
        estimate = Estimate(EstimateStatus.RESOLVED, values, tuple(reasons), {}, text, series.value.size)
    return Anisotropy(estimate, series, reported, factors, comparisons, p, preferred)


def _over_others(series: Series, largest: int) -> Measured:
    """To the mean of the others, not to the next: the larger of two equals is too large by chance."""
    weights = own_u(series) ** -2.0
    weights[largest] = 0.0
    weights /= weights.sum()
    mean = float(weights @ series.value)
    value = float(series.value[largest] / mean)
    sensitivity = -value * weights
    sensitivity[largest] += 1.0
    return Measured(value, spread_u(series, sensitivity / mean))


def _p_equal(series: Series) -> float:
    inverse = np.linalg.inv(series.covariance)
    ones = np.ones(series.value.size)
    rest = series.value - float(ones @ inverse @ series.value) / float(ones @ inverse @ ones)
    return float(chi_squared.sf(float(rest @ inverse @ rest), series.value.size - 1))


def _geometry(
    series: Series, reported: Mapping[str, Measured], factors: Mapping[str, Measured], preferred: str | None
) -> list[str]:
    """What the correction did, for a reader who has seen the raw loops."""
    if not factors:
        return []
    listed = ", ".join(f"{name} {factor.value:.3f} ± {factor.u:.3f}" for name, factor in factors.items())
    reasons = [f"reported moments were divided by the film's geometry factors: {listed}"]
    raw = max(reported, key=lambda name: reported[name].value)
    low = min(reported, key=lambda name: reported[name].value)
    apart = reported[raw].value - reported[low].value
    if preferred is None and apart > 3.0 * np.hypot(reported[raw].u, reported[low].u):
        reasons.append(f"as reported {raw} seemed larger than {low}: the film's shape in the coils explains it")
    return reasons
