"""Where the sample is in a raw scan, or in all scans of a loop: the centre that a moment is fitted about.

A weak scan has no centre of its own: near m = 0 the best centre is wherever the noise looks most like a dipole, and the
moment that goes with it is never small. A centre is therefore taken from scans that are strong together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .dipole_response import Response
from .models import FloatArray
from .scan_defects import LEAST_WORTH, Search, search
from .scan_model import FLUX_JUMP, SECOND_DIPOLE, Defect, Points, Recipe, centre_step, solve

AMBIGUOUS_WORTH = 9.0
_STARTS = 2
_STRONGEST = 12


@dataclass(frozen=True, slots=True)
class Centre:
    """A centre common to several scans, its uncertainty, the strength |m|/σ of the scans together, and χ² per scan."""

    centre_m: float
    u_m: float
    strength: float
    chi2: float


def search_free(points: Points, response: Response) -> tuple[Search | None, bool]:
    """The best fit with a free centre, and whether another centre does as well."""
    grid = _grid(points, response)
    plain, stepped, rows = _profiles(points, response, grid)
    starts = [(k, -1) for k in _minima(plain)[:_STARTS]] + [(k, int(rows[k])) for k in _minima(stepped)[:1]]
    found: list[Search] = []
    for k, row in starts:
        defects = (Defect(FLUX_JUMP, row),) if row >= 0 else ()
        first = solve(points, Recipe(response, float(grid[k]), True, defects=defects))
        if first is not None:
            found.append(_named(points, search(points, first)))
    if not found:
        return None, False
    found.sort(key=lambda each: -each.score)
    best = found[0]
    apart_m = 0.5 * response.radius_m
    others = [each for each in found[1:] if abs(each.fit.recipe.centre_m - best.fit.recipe.centre_m) > apart_m]
    return best, any(best.score - other.score < AMBIGUOUS_WORTH for other in others)


def _named(points: Points, found: Search) -> Search:
    """Of two dipoles at unknown places the larger one is the sample."""
    recipe, fit = found.fit.recipe, found.fit
    for k, defect in enumerate(recipe.defects):
        if defect.kind == SECOND_DIPOLE and abs(fit.fit.p[fit.moment + 1 + k]) > abs(fit.fit.p[fit.moment]):
            defects = list(recipe.defects)
            defects[k] = replace(defect, place_m=recipe.centre_m)
            swapped = solve(points, replace(recipe, centre_m=defect.place_m, defects=tuple(defects)))
            if swapped is not None:
                return replace(found, fit=swapped, rivals=())
    return found


def shared_centre(scans: Sequence[Points], response: Response) -> Centre | None:
    """The centre that all scans have together; None if no scan can be fitted."""
    strongest = sorted(scans, key=_size_over_noise)[-_STRONGEST:]
    grid = _grid(strongest[0], response)
    total = np.zeros_like(grid)
    for points in strongest:
        plain, stepped, _ = _profiles(points, response, grid)
        total += np.minimum(plain, stepped)
    centre_m = float(grid[int(np.argmin(total))])
    centre: Centre | None = None
    recipes = [Recipe(response, centre_m, False) for _ in scans]
    for attempt in range(6):
        steps: list[tuple[float, float]] = []
        strength2 = 0.0
        for k, points in enumerate(scans):
            fit = solve(points, Recipe(response, centre_m, False, defects=recipes[k].defects))
            if fit is None:
                continue
            if attempt == 2 and fit.strength > 5.0:
                # By now the centre is near enough for what else is in a scan to stand out.
                fit = search(points, fit).fit
                recipes[k] = fit.recipe
                if fit.recipe.free:
                    continue
            strength2 += fit.strength**2
            if fit.strength > 3.0:
                steps.append(centre_step(points, fit))
        if not steps:
            break
        moves, us = np.array(steps).T
        # A scan with an undetected fault must not draw the centre of all the others: beyond 4 u it counts less.
        weight = us**-2.0
        mean = float(np.average(moves, weights=weight))
        mean = float(np.median(moves)) if abs(mean) > response.radius_m else mean
        chi2 = float((weight * (moves - mean) ** 2).sum()) / max(moves.size - 1, 1)
        centre_m += float(np.clip(mean, -0.3 * response.radius_m, 0.3 * response.radius_m))
        u_m = float(weight.sum() ** -0.5) * np.sqrt(max(chi2, 1.0))
        centre = Centre(centre_m, u_m, float(np.sqrt(strength2)), chi2)
        if attempt > 2 and abs(mean) < 0.01 * u_m:
            break
    return centre


def _grid(points: Points, response: Response) -> FloatArray:
    beyond_m = 0.5 * response.spacing_m
    return np.arange(points.position_m.min() - beyond_m, points.position_m.max() + beyond_m, 0.1 * response.radius_m)


def _size_over_noise(points: Points) -> float:
    noise = float(np.median(np.abs(np.diff(points.signal, 2))))
    line = points.baseline @ np.linalg.lstsq(points.baseline, points.signal, rcond=None)[0]
    return float(np.std(points.signal - line)) / max(noise, 1e-300)


def _profiles(points: Points, response: Response, grid: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Per centre of the grid ν ln RSS without and with the best flux jump, and where that is."""
    rows = np.flatnonzero((points.sweep[2:] == points.sweep[:-2])[:-1]) + 2
    jumps = ((np.arange(points.size)[:, None] >= rows) & (points.sweep[:, None] == points.sweep[rows])).astype(float)
    q = np.linalg.qr(points.baseline / np.abs(points.baseline).max(axis=0))[0]
    y = points.signal - q @ (q.T @ points.signal)
    jumps = jumps - q @ (q.T @ jumps)
    freedom = points.size - q.shape[1] - 1
    plain, stepped, best = np.zeros_like(grid), np.zeros_like(grid), np.zeros(grid.size)
    for k, centre_m in enumerate(grid):
        f = response.at(points.position_m - centre_m)
        f = f - q @ (q.T @ f)
        f = f / np.sqrt(float(f @ f))
        left = y - f * float(f @ y)
        beside = jumps - np.outer(f, f @ jumps)
        gain = (left @ beside) ** 2 / np.maximum((beside**2).sum(axis=0), 1e-9)
        rss = max(float(left @ left), 1e-300)
        plain[k] = freedom * np.log(rss)
        stepped[k] = freedom * np.log(max(rss - float(gain.max()), 1e-300)) + LEAST_WORTH[FLUX_JUMP]
        best[k] = rows[int(np.argmax(gain))]
    return plain, stepped, best


def _minima(values: FloatArray) -> list[int]:
    """Places of local minima, the deepest first."""
    padded = np.concatenate([[np.inf], values, [np.inf]])
    lows = np.flatnonzero((values <= padded[:-2]) & (values <= padded[2:]))
    return [int(k) for k in lows[np.argsort(values[lows])]]
