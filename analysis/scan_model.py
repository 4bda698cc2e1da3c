"""The signal of one raw scan as a sum of what may be in it, and its least squares fit.

V(z)/K = c0 + c1 z (one pair for every sweep of the sample) + m f(z − z0) + defects. The centre z0 and the place of a
second dipole enter by their derivatives; all else is linear. Signals are voltages over K, in A m² · m⁻³.
"""

from dataclasses import dataclass

import numpy as np

from .dipole_response import Response
from .models import FloatArray
from .whitening import LinearFit, fit_linear, starts_of

MOST_STEPS = 15
TURN_SHARE = 0.05  # of the span: how far the position must come back before it has turned
SECOND_DIPOLE, FLUX_JUMP, SPIKE = "second dipole", "flux jump", "spike"


@dataclass(frozen=True, slots=True)
class Points:
    """The finite rows of one scan in the order they were taken: position, voltage over K, number of the sweep."""

    position_m: FloatArray
    signal: FloatArray
    sweep: FloatArray

    @property
    def size(self) -> int:
        """How many rows."""
        return self.position_m.size

    @property
    def baseline(self) -> FloatArray:
        """Offset and slope of every sweep, as columns: a SQUID's linear drift has another slope on the way back."""
        columns: list[FloatArray] = []
        for number in np.unique(self.sweep):
            inside = (self.sweep == number).astype(np.float64)
            columns += [inside, inside * (self.position_m - self.position_m.mean())]
        return np.column_stack(columns)


@dataclass(frozen=True, slots=True)
class Defect:
    """Something in a scan that is not the sample, of a kind named above.

    `row` is the first row after a jump, or the row of a spike; `place_m` is where the second dipole is.
    """

    kind: str
    row: int = -1
    place_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the model holds.

    A free centre starts at `centre_m`; with `prior_u_m` > 0 it is believed to be at `prior_m`.
    """

    response: Response
    centre_m: float
    free: bool
    prior_m: float = 0.0
    prior_u_m: float = 0.0
    defects: tuple[Defect, ...] = ()


@dataclass(frozen=True, slots=True)
class ScanFit:
    """A fit: parameters are the baseline's, the moment, heights of defects, the centre if free, places of dipoles.

    `recipe` holds the places that were found. `moment` and `centre` are indices (`centre` −1 when it was fixed), the
    defect k has its height at `moment` + 1 + k.
    """

    recipe: Recipe
    fit: LinearFit
    moment: int
    centre: int
    fitted: FloatArray
    rss: float

    @property
    def strength(self) -> float:
        """|m| in units of its standard uncertainty."""
        return abs(float(self.fit.p[self.moment])) / self.fit.u(self.moment)


def sweeps_of(position_m: FloatArray) -> FloatArray:
    """Number of the sweep of every row: a new one begins where the position turns and comes back."""
    sweep = np.zeros(position_m.size)
    away_m = TURN_SHARE * float(np.ptp(position_m)) if position_m.size else 0.0
    extreme, where, sign, number = (position_m[0] if position_m.size else 0.0), 0, 0.0, 0
    for row, here in enumerate(position_m):
        if sign == 0.0:
            if abs(here - extreme) > away_m:
                sign, extreme, where = (1.0 if here > extreme else -1.0), here, row
        elif (here - extreme) * sign >= 0.0:
            extreme, where = here, row
        elif abs(here - extreme) > away_m:
            number += 1
            sweep[where + 1 :] = number
            sign, extreme, where = -sign, here, row
    return sweep


def column_of(points: Points, defect: Defect, response: Response) -> FloatArray:
    """The shape of a defect of unit height."""
    if defect.kind == SECOND_DIPOLE:
        return response.point.at(points.position_m - defect.place_m)
    rows = np.arange(points.size)
    if defect.kind == SPIKE:
        return (rows == defect.row).astype(np.float64)
    return ((rows >= defect.row) & (points.sweep == points.sweep[defect.row])).astype(np.float64)


def solve(points: Points, recipe: Recipe) -> ScanFit | None:
    """Fit a recipe from the places it holds, by Gauss and Newton; None if its parts cannot be told apart."""
    places = _places(recipe)
    moving = [0] if recipe.free else []
    moving += [k + 1 for k, defect in enumerate(recipe.defects) if defect.kind == SECOND_DIPOLE]
    middle_m, limit_m = float(points.position_m.mean()), 0.2 * recipe.response.radius_m
    reach_m = 0.5 * float(np.ptp(points.position_m)) + 2.0 * recipe.response.spacing_m
    for _ in range(MOST_STEPS if moving else 0):
        linear, bent = _design(points, recipe, places, moving)
        design, target = _with_prior(np.column_stack([linear, bent]), points, recipe, places, linear)
        moves = np.clip(_plain(design, target)[linear.shape[1] :], -limit_m, limit_m)
        places[moving] += moves
        if np.abs(places[moving] - middle_m).max() > reach_m:
            return None
        # Steps grow shorter, so that a fit that swings about two minima comes to rest in one.
        limit_m *= 0.8
        if np.abs(moves).max() < 1e-7:
            break
    return _final(points, recipe, places, moving)


def centre_step(points: Points, fit: ScanFit) -> tuple[float, float]:
    """How far a fixed centre should move by this scan alone, to first order, and the uncertainty of that."""
    linear, bent = _design(points, fit.recipe, _places(fit.recipe), [0])
    step = fit_linear(np.column_stack([linear, bent]), points.signal, starts_of(points.sweep))
    return float(step.p[-1]), step.u(-1)


def moment_per_centre(points: Points, fit: ScanFit) -> float:
    """dm/dz0, in A m² per m: what an error of a fixed centre does to the moment."""
    linear, bent = _design(points, fit.recipe, _places(fit.recipe), [0])
    return float(_plain(linear, -bent[:, 0])[fit.moment])


def _places(recipe: Recipe) -> FloatArray:
    return np.array([recipe.centre_m, *(defect.place_m for defect in recipe.defects)], dtype=np.float64)


def _design(points: Points, recipe: Recipe, places: FloatArray, moving: list[int]) -> tuple[FloatArray, FloatArray]:
    """Columns of the linear parameters, and the derivatives by the places that move."""
    z, response = points.position_m, recipe.response
    columns = [points.baseline, response.at(z - places[0])]
    for defect, place_m in zip(recipe.defects, places[1:], strict=True):
        columns.append(column_of(points, Defect(defect.kind, defect.row, float(place_m)), response))
    linear = np.column_stack(columns)
    bent = np.zeros((z.size, len(moving)))
    if moving:
        heights = _plain(linear, points.signal)[points.baseline.shape[1] :]
        for column, k in enumerate(moving):
            shape = response if k == 0 else response.point
            bent[:, column] = -heights[k] * shape.slope(z - places[k])
    return linear, bent


def _with_prior(
    design: FloatArray, points: Points, recipe: Recipe, places: FloatArray, linear: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """One more row that says where the centre was believed to be, with the weight of the present noise."""
    y = points.signal
    if not recipe.free or recipe.prior_u_m <= 0.0:
        return design, y
    left = y - linear @ _plain(linear, y)
    row = np.zeros(design.shape[1])
    row[linear.shape[1]] = np.sqrt(float(left @ left) / max(y.size - linear.shape[1], 1)) / recipe.prior_u_m
    return np.vstack([design, row]), np.append(y, row[linear.shape[1]] * (recipe.prior_m - places[0]))


def _final(points: Points, recipe: Recipe, places: FloatArray, moving: list[int]) -> ScanFit | None:
    linear, bent = _design(points, recipe, places, moving)
    design, target = _with_prior(np.column_stack([linear, bent]), points, recipe, places, linear)
    starts = starts_of(points.sweep)
    if target.size > points.size:
        starts = np.append(starts, True)
    try:
        fit = fit_linear(design, target, starts)
    except np.linalg.LinAlgError:
        return None
    found = places.copy()
    found[moving] += fit.p[linear.shape[1] :]
    fitted = linear @ fit.p[: linear.shape[1]] + bent @ fit.p[linear.shape[1] :]
    defects = tuple(Defect(d.kind, d.row, float(at)) for d, at in zip(recipe.defects, found[1:], strict=True))
    settled = Recipe(recipe.response, float(found[0]), recipe.free, recipe.prior_m, recipe.prior_u_m, defects)
    rss = float(((points.signal - fitted) ** 2).sum())
    moment = points.baseline.shape[1]
    return ScanFit(settled, fit, moment, linear.shape[1] if recipe.free else -1, fitted, rss)


def _plain(design: FloatArray, y: FloatArray) -> FloatArray:
    scale = np.abs(design).max(axis=0)
    scale[scale == 0.0] = 1.0
    return np.linalg.lstsq(design / scale, y, rcond=1e-10)[0] / scale
