"""Find in a raw scan what is not the sample: a holder's dipole, a flux jump, a spike, a centre that is elsewhere.

Every candidate is one more column. Its worth is twice the logarithm of the likelihood ratio, each side with its own
best correlation of the noise: drift that remembers its neighbour is then not taken for a hundred small jumps.
Candidates are added one at a time, the best first, while the best is worth more than chance among all would give.
"""

from dataclasses import dataclass, replace

import numpy as np

from .models import FloatArray
from .scan_model import FLUX_JUMP, SECOND_DIPOLE, SPIKE, Defect, Points, Recipe, ScanFit, column_of, solve
from .whitening import starts_of, whiten

MOVED = "moved"
# Worth that white noise alone reaches in one scan of three hundred, among all candidates of a kind. Noise with memory
# imitates more: more is asked where the noise keeps its memory beside the candidate.
LEAST_WORTH = {SECOND_DIPOLE: 14.5, FLUX_JUMP: 17.5, SPIKE: 18.5, MOVED: 10.0}
CORRELATED_WORTH, CORRELATED_RHO = 8.0, 0.2
MEMORY_COST = 6.0  # what memory must be worth, or a smooth misfit would pass for noise
MOST_DEFECTS = 4
RIVAL_WORTH = 12.0  # another explanation this near to the best one counts in the uncertainty
_RHOS = (0.0, 0.35, 0.65, 0.85, 0.95)
_DIPOLE_STEP_M = 1e-3
_PLACES = 4


@dataclass(frozen=True, slots=True)
class Search:
    """The fit with all that was found, and other fits of like worth with how much less they are worth.

    `complete` is False when there was more to find than could be told apart. `score` compares searches that began at
    different centres: twice the logarithm of the likelihood, less the least worth of what was found.
    """

    fit: ScanFit
    rivals: tuple[tuple[ScanFit, float], ...]
    found: tuple[str, ...]
    complete: bool
    score: float


@dataclass(frozen=True, slots=True)
class _Trial:
    kind: str
    fit: ScanFit
    worth: float

    @property
    def needed(self) -> float:
        return LEAST_WORTH[self.kind] + (CORRELATED_WORTH if self.fit.fit.rho > CORRELATED_RHO else 0.0)


def search(points: Points, first: ScanFit) -> Search:
    """Add defects to a fit until none is worth it."""
    fit = first
    rivals: list[_Trial] = []
    found = tuple(defect.kind for defect in first.recipe.defects)
    worth, complete = 0.0, True
    while True:
        everything = trials_of(points, fit)
        trials = [trial for trial in everything if trial.worth > trial.needed]
        if not trials:
            break
        if len(found) >= MOST_DEFECTS:
            complete = False
            break
        best = max(trials, key=lambda trial: trial.worth - trial.needed)
        # A sample that is elsewhere is as well described by none here and a second dipole there: not a rival, the same.
        rivals = [trial for trial in everything if trial is not best and best.kind != MOVED]
        fit, found, worth = best.fit, (*found, best.kind), best.worth
    freedom = points.size - fit.fit.p.size
    score = 2.0 * _best_log(points, fit, freedom) - sum(LEAST_WORTH[kind] for kind in found)
    near = tuple((trial.fit, max(worth - trial.worth, 0.0)) for trial in rivals if worth - trial.worth < RIVAL_WORTH)
    return Search(fit, near, found, complete, score)


def trials_of(points: Points, fit: ScanFit) -> list[_Trial]:
    """The best candidates of each kind, fitted: a second dipole at several places, for they are often alike."""
    recipe = fit.recipe
    candidates = _candidates(points, recipe)
    columns = np.column_stack([column_of(points, defect, recipe.response) for defect in candidates])
    worth = _worth(points, fit, columns)
    out: list[_Trial] = []

    def attempt(kind: str, changed: Recipe) -> None:
        trial = solve(points, changed)
        if trial is not None and not (kind == SECOND_DIPOLE and _beside(trial.recipe)):
            out.append(_Trial(kind, trial, _gain(points, fit, trial)))

    for kind in (SECOND_DIPOLE, FLUX_JUMP, SPIKE):
        of_kind = np.array([k for k, defect in enumerate(candidates) if defect.kind == kind], dtype=np.intp)
        best = _peaks(worth[of_kind])[:_PLACES] if kind == SECOND_DIPOLE else [int(np.argmax(worth[of_kind]))]
        for k in of_kind[best]:
            # What is not worth half before its place is refined will not be after.
            if worth[k] > 0.5 * LEAST_WORTH[kind]:
                attempt(kind, replace(recipe, defects=(*recipe.defects, candidates[k])))
    if not recipe.free:
        attempt(MOVED, replace(recipe, free=True, prior_u_m=0.0))
    return out


def _beside(recipe: Recipe) -> bool:
    """True when the last dipole has come to rest on the sample, where it is only another name for a shift."""
    return abs(recipe.defects[-1].place_m - recipe.centre_m) < 0.5 * recipe.response.radius_m


def _peaks(values: FloatArray) -> list[int]:
    padded = np.concatenate([[-np.inf], values, [-np.inf]])
    tops = np.flatnonzero((values >= padded[:-2]) & (values > padded[2:]))
    return [int(k) for k in tops[np.argsort(-values[tops])]]


def _candidates(points: Points, recipe: Recipe) -> list[Defect]:
    z, near_m = points.position_m, 0.5 * recipe.response.radius_m
    reach_m = 1.5 * recipe.response.spacing_m
    dipoles = [recipe.centre_m, *(defect.place_m for defect in recipe.defects if defect.kind == SECOND_DIPOLE)]
    out = [
        Defect(SECOND_DIPOLE, place_m=float(at))
        for at in np.arange(z.min() - reach_m, z.max() + reach_m, _DIPOLE_STEP_M)
        if all(abs(at - other) > near_m for other in dipoles)
    ]
    taken = {(defect.kind, defect.row) for defect in recipe.defects}
    for row in range(points.size):
        if (SPIKE, row) not in taken:
            out.append(Defect(SPIKE, row))
        inside = 2 <= row < points.size - 1 and points.sweep[row - 2] == points.sweep[row] == points.sweep[row + 1]
        if inside and (FLUX_JUMP, row) not in taken:
            out.append(Defect(FLUX_JUMP, row))
    return out


def _tangent(points: Points, fit: ScanFit) -> FloatArray:
    """All columns of a fit at its places, derivatives too, of like size."""
    recipe = fit.recipe
    z = points.position_m
    columns = [points.baseline, recipe.response.at(z - recipe.centre_m)]
    columns += [column_of(points, defect, recipe.response) for defect in recipe.defects]
    if recipe.free:
        columns.append(recipe.response.slope(z - recipe.centre_m))
    columns += [
        recipe.response.point.slope(z - defect.place_m) for defect in recipe.defects if defect.kind == SECOND_DIPOLE
    ]
    design = np.column_stack(columns)
    return design / np.abs(design).max(axis=0)


def _log_likelihoods(freedom: int, groups: int, rss: FloatArray, rho: float) -> FloatArray:
    """Degrees of freedom stand for the number of rows, or a short scan would promise too much."""
    log = -0.5 * freedom * np.log(np.maximum(rss, 1e-300)) + 0.5 * groups * np.log(1.0 - rho**2)
    return np.asarray(log - (0.5 * MEMORY_COST if rho > 0.0 else 0.0))


def _worth(points: Points, fit: ScanFit, columns: FloatArray) -> FloatArray:
    """Worth of each candidate column beside all of a fit's, before its place is refined."""
    starts = starts_of(points.sweep)
    groups = int(starts.sum())
    design = _tangent(points, fit)
    freedom = points.size - design.shape[1]
    residual = points.signal - fit.fitted
    columns = columns / np.abs(columns).max(axis=0)
    best_with, best_without = np.full(columns.shape[1], -np.inf), -np.inf
    for rho in _RHOS:
        q = np.linalg.qr(whiten(design, rho, starts))[0]
        left = whiten(residual, rho, starts)
        left = left - q @ (q.T @ left)
        white = whiten(columns, rho, starts)
        before = (white**2).sum(axis=0)
        white = white - q @ (q.T @ white)
        norm = (white**2).sum(axis=0)
        # A column that the fit already holds has nothing left but rounding.
        gain = np.where(norm > 1e-6 * before, (white.T @ left) ** 2 / np.maximum(norm, 1e-300), 0.0)
        rss = float(left @ left)
        best_without = max(best_without, float(_log_likelihoods(freedom, groups, np.array(rss), rho)))
        best_with = np.maximum(best_with, _log_likelihoods(freedom, groups, rss - gain, rho))
    return 2.0 * (best_with - best_without)


def _gain(points: Points, fit: ScanFit, trial: ScanFit) -> float:
    freedom = points.size - fit.fit.p.size
    return 2.0 * (_best_log(points, trial, freedom) - _best_log(points, fit, freedom))


def _best_log(points: Points, fit: ScanFit, freedom: int) -> float:
    starts = starts_of(points.sweep)
    groups = int(starts.sum())
    design, residual = _tangent(points, fit), points.signal - fit.fitted
    best = -np.inf
    for rho in _RHOS:
        q = np.linalg.qr(whiten(design, rho, starts))[0]
        left = whiten(residual, rho, starts)
        left = left - q @ (q.T @ left)
        best = max(best, float(_log_likelihoods(freedom, groups, np.array(left @ left), rho)))
    return best
