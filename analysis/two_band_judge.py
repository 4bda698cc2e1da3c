"""What two bands must pass before they are claimed, and the sentences that say what failed."""

from dataclasses import dataclass

import numpy as np

from .models import FloatArray
from .two_band_fit import BandFit, BandProblem
from .two_band_model import MOMENT
from .two_band_start import rough_noise

LEAST_PRODUCT = 0.5  # µ2 B_max: below it both bands' curves are parabolas, and only their sum is seen
LEAST_BIC = 10.0
MOST_LOG_U = 0.5  # of ln n or ln µ: known to no better than a factor of 1.6
LEAST_EXPLAINED = 0.75
MOST_REPEATED = 0.7  # correlation of what is left on rising and falling branches: noise does not repeat
BINS = 40
LEAST_IN_BIN = 3
LEAST_BINS = 12
VISIBLE = 0.2  # of the variance between neighbours, before a misfit is one


@dataclass(frozen=True, slots=True)
class Evidence:
    """The fit of two bands, its rivals with one band, and the same comparison without the fields of the loop.

    `bic_outside` is None where too few rows lie outside. `log_u` are standard uncertainties of (ln n, ln µ) × 2.
    """

    problem: BandProblem
    two: BandFit
    one: BandFit
    bic: float
    bic_outside: float | None
    log_u: FloatArray
    other_minimum: BandFit | None


def bic_gain(one: BandFit, two: BandFit) -> float:
    """BIC(one band) − BIC(two bands), with as many rows as are independent (Schwarz, Ann. Stat. 6, 461 (1978))."""
    rows = independent_rows(two)
    return one.chi2 - two.chi2 - (two.free - one.free) * float(np.log(max(rows, 2.0)))


def independent_rows(fit: BandFit) -> float:
    """Of both channels together."""
    return sum(noise.independent_rows for noise in fit.noise if noise is not None)


def reasons_against(e: Evidence) -> tuple[str, ...]:
    """Every reason to refuse, most telling first; empty if two bands may be claimed."""
    rules = (
        _one_is_enough,
        _weak_field,
        _not_bands,
        _repeated,
        _only_near_zero,
        _two_answers,
        _uncertain,
        _not_converged,
    )
    return tuple(reason for rule in rules if (reason := rule(e)))


def _one_is_enough(e: Evidence) -> str:
    if e.bic >= LEAST_BIC:
        return ""
    with_moment = bool(e.one.p[e.one.model.at(MOMENT)])
    one = "one band with a paramagnetic S-shape" if with_moment else "one band"
    return f"not separable: {one} describes the sweep as well (ΔBIC {e.bic:.1f}, {LEAST_BIC:.0f} needed)"


def _weak_field(e: Evidence) -> str:
    product = float(np.exp(e.two.p[3])) * e.problem.sweep.reach_T
    if product >= LEAST_PRODUCT:
        return ""
    return f"not separable: µ2 B_max = {product:.2f}, {LEAST_PRODUCT} needed; sweep to a larger field"


def _not_bands(e: Evidence) -> str:
    """Two bands must explain most of what one band leaves, both judged against rough white noise."""
    noise = rough_noise(e.problem)
    left: list[float] = []
    rows = 0
    for fit in (e.one, e.two):
        pairs = zip(noise, e.problem.residuals(fit.model, fit.p), strict=True)
        parts = [white.apply(x) for white, x in pairs if white is not None and x is not None]
        rows = sum(part.size for part in parts)
        left.append(sum(float(part @ part) for part in parts) - rows)
    # Residuals no larger than the noise between neighbours leave nothing to explain.
    if left[1] <= VISIBLE * rows or left[1] <= (1.0 - LEAST_EXPLAINED) * left[0]:
        return ""
    explained = max(1.0 - left[1] / max(left[0], 1.0), 0.0)
    return (
        f"not two like bands: they explain {100.0 * explained:.0f} % of what one band leaves, "
        f"{100.0 * LEAST_EXPLAINED:.0f} % needed"
    )


def _repeated(e: Evidence) -> str:
    """What the fit leaves outside the loop must not be the same curve on the way up and on the way down."""
    sweep = e.problem.sweep
    outside = np.abs(sweep.field_T) >= e.problem.setup.closed_T
    place = np.floor(BINS * (sweep.field_T + sweep.reach_T) / (2.0 * sweep.reach_T)).astype(np.intp)
    for name, left in zip(("R_xx", "R_xy"), e.problem.residuals(e.two.model, e.two.p), strict=True):
        if left is None:
            continue
        branches: list[FloatArray] = []
        for way in (sweep.rising > 0.0, sweep.rising < 0.0):
            rows = outside & way
            count = np.bincount(place[rows], minlength=BINS + 1)
            total = np.bincount(place[rows], left[rows], minlength=BINS + 1)
            branches.append(np.where(count >= LEAST_IN_BIN, total / np.maximum(count, 1), np.nan))
        both = np.isfinite(branches).all(axis=0)
        if both.sum() < LEAST_BINS:
            continue
        # An offset or a drift of one branch is no curve.
        middle = np.flatnonzero(both).astype(np.float64)
        up, down = (branch[both] - np.polyval(np.polyfit(middle, branch[both], 1), middle) for branch in branches)
        if float(np.corrcoef(up, down)[0, 1]) > MOST_REPEATED:
            size = float(np.sqrt(max(float(np.mean(up * down)), 0.0)))
            return (
                f"not two like bands: they leave a curve of {size:.2g} Ω in {name} that is the same up and down; "
                "something else bends it"
            )
    return ""


def _only_near_zero(e: Evidence) -> str:
    if e.bic_outside is None or e.bic_outside >= LEAST_BIC:
        return ""
    closed_T = e.problem.setup.closed_T
    return f"not separable: the second band rests on fields below {closed_T:.2g} T, where the loop and the cusp are"


def _two_answers(e: Evidence) -> str:
    if e.other_minimum is None:
        return ""
    n, mu = np.exp(e.other_minimum.logs[2:4])
    return f"not separable: n2 = {n * 1e-4:.2g} cm⁻² with µ2 = {mu * 1e4:.3g} cm²/Vs describes the sweep as well"


def _uncertain(e: Evidence) -> str:
    worst = int(np.argmax(e.log_u))
    if np.isfinite(e.log_u).all() and e.log_u[worst] <= MOST_LOG_U:
        return ""
    name = ("n1", "µ1", "n2", "µ2")[worst]
    return f"not separable: {name} is known to within a factor of {np.exp(min(e.log_u[worst], 20.0)):.2g} only"


def _not_converged(e: Evidence) -> str:
    return "" if e.two.converged else "the fit found no definite minimum"
