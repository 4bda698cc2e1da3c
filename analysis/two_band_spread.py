"""How far the answer depends on what was assumed: other field windows and other descriptions of the same sweep.

Two fits differ by chance, too: of fits where one uses less of the data, or more parameters, the variance of the
difference is the difference of the variances (Hausman, Econometrica 46, 1251 (1978)). Only what goes beyond three
standard deviations of that is called a dependence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .models import FloatArray
from .two_band_fit import BandFit, BandProblem
from .two_band_model import GAIN
from .two_band_start import ordered

CHANCE = 3.0
LEAST_ROWS = 60
LENGTH = "another length over width"


@dataclass(frozen=True, slots=True)
class Rival:
    """Another fit, what it is called, and the weight that its difference deserves."""

    name: str
    fit: BandFit
    weight: float = 1.0


def windows(problem: BandProblem, fit: BandFit) -> list[Rival]:
    """The same model on a smaller field range, and without the fields of the loop and the cusp."""
    size = np.abs(problem.sweep.field_T)
    reach = problem.sweep.reach_T
    closed = problem.setup.closed_T
    choices = (
        (f"|B| < {0.75 * reach:.2g} T", size <= 0.75 * reach),
        (f"|B| < {0.5 * reach:.2g} T", size <= 0.5 * reach),
        (f"|B| > {closed:.2g} T", size >= closed),
    )
    found: list[Rival] = []
    for name, keep in choices:
        if keep.sum() < max(LEAST_ROWS, 0.2 * keep.size) or keep.all():
            continue
        part, noise = problem.within(keep, fit.noise)
        other = part.fit(fit.model, fit.p, noise)
        if other is not None:
            found.append(Rival(name, ordered(other)))
    return found


def descriptions(problem: BandProblem, fit: BandFit) -> list[Rival]:
    """The other shape of the loop, a paramagnetic S-shape, and a length over width that is not as stated."""
    found: list[Rival] = []
    setup = problem.setup
    if setup.anomalous:
        other = problem.fit(replace(fit.model, branch="tanh"), fit.p, fit.noise)
        if other is not None:
            gain = float(np.clip(0.5 * (other.chi2 - fit.chi2), -30.0, 30.0))
            found.append(Rival("the other shape of the loop", ordered(other), float(1.0 / (1.0 + np.exp(gain)))))
    if setup.anomalous and not fit.model.moment:
        other = problem.fit_with_moment(fit.model, fit.p, fit.noise)
        if other is not None:
            found.append(Rival("a paramagnetic S-shape", ordered(other)))
    if setup.gain_u == 0.0 and problem.sweep.r_xx_ohm is not None:
        other = problem.with_setup(gain_u=0.1).fit(fit.model, fit.p, fit.noise)
        if other is not None:
            found.append(Rival(LENGTH, ordered(other)))
    return found


def dependence(fit: BandFit, rivals: Sequence[Rival]) -> tuple[FloatArray, str]:
    """Shift of (ln n, ln µ) × 2 that goes with the most different rival beyond chance, and that rival's name."""
    logs = 2 * fit.model.bands
    most, shift, name = 0.0, np.zeros(logs), ""
    own = np.diag(fit.covariance)[:logs]
    for rival in rivals:
        apart = rival.weight * (rival.fit.logs - fit.logs)
        chance = CHANCE**2 * np.abs(np.diag(rival.fit.covariance)[:logs] - own)
        beyond = np.sign(apart) * np.sqrt(np.maximum(apart**2 - chance, 0.0))
        size = float(np.sum(beyond**2 / np.maximum(own, 1e-30)))
        if size > most:
            most, shift, name = size, beyond, rival.name
    return shift, name


def found_gain(rivals: Sequence[Rival]) -> tuple[float, float]:
    """R_xx over what it was taken to be, less one, and its standard uncertainty; zeros where it was not asked."""
    for rival in rivals:
        if rival.name == LENGTH:
            at = rival.fit.model.at(GAIN)
            return float(rival.fit.p[at]), rival.fit.u(at)
    return 0.0, 0.0
