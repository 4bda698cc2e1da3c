"""The loop's numbers when no branch shape fits: from its crossings, its values at zero field, and its high-field line.

This is what a maker's own software reports of a loop, with the uncertainty that it leaves out.
"""

from dataclasses import dataclass, replace

import numpy as np

from .magnetisation_fit import LoopFit, LoopProblem, solve
from .magnetisation_local import HighField, LocalPoint, crossing, high_field, value_at
from .magnetisation_model import DOWN, LOG_SCALE, LOG_WIDTH, SATURATION, SPINS, TRAPPED, UP
from .magnetisation_noise import noise_from_neighbours, spikes
from .models import FloatArray, Mask

CORRELATED = 3.5  # standard deviations of a correlation of neighbours that is only chance
CLOSED = 4.0  # coercive fields beyond which the loop's own opening is not read as trapped flux


@dataclass(frozen=True, slots=True)
class Shapeless:
    """Coercive fields, moments and the line under them, in the problem's unit; a field or moment with its budget.

    `raw_coercive_T` is the crossing of the moment as measured, before any background is taken away.
    """

    up: LocalPoint
    down: LocalPoint
    remanence: float
    remanence_u: float
    line: HighField
    trapped_T: float
    trapped_u_T: float
    raw_coercive_T: float | None

    @property
    def coercive_T(self) -> float:
        """Mean of the two crossings, the trapped field given back."""
        return 0.5 * (self.up.value + self.down.value) + self.trapped_T

    def budget(self) -> dict[str, float]:
        """u(H_C) by source, in tesla."""
        ends = (self.up, self.down)
        # A steeper line lowers each crossing by H_C dχ over the slope there.
        per_slope = np.mean([abs(end.value / end.slope) for end in ends])
        return {
            "statistical": 0.5 * float(np.hypot(self.up.u, self.down.u)),
            "background": float(per_slope * np.sqrt(self.line.covariance[1, 1])),
            "trapped field": self.trapped_u_T,
            "model": float(
                np.hypot(0.5 * np.hypot(self.up.window_u, self.down.window_u), per_slope * self.line.model_u[1])
            ),
        }


def misfits(fit: LoopFit, problem: LoopProblem, leg: FloatArray) -> bool:
    """True when neighbouring residuals run together along the legs by more than chance.

    All points count, but none as more than 4 σ: lost points are wild alone, a wrong shape is wrong in company.
    """
    residual = fit.residual
    if residual.size < 20:
        return False
    noise = noise_from_neighbours(residual, problem.field_T, leg)
    held = np.clip(residual / noise, -4.0, 4.0)
    pairs = leg[1:] == leg[:-1]
    together = float((held[1:] * held[:-1])[pairs].sum() / (held @ held))
    return together > CORRELATED / np.sqrt(residual.size)


def shapeless(fit: LoopFit, problem: LoopProblem, leg: FloatArray) -> Shapeless | None:
    """Everything from the data alone but a paramagnet's curvature, which is the fit's; None when a branch has no crossing."""
    kept = ~spikes(fit.residual, problem.field_T, leg)
    field_T, direction = problem.field_T[kept], problem.direction[kept]
    noise = noise_from_neighbours(fit.residual[kept], field_T, leg[kept])
    sigma = problem.sigma[kept] * noise
    moment = problem.moment[kept]
    if problem.paramagnet:
        moment = moment - fit.p[SPINS] * fit.model.paramagnet(field_T)[0]
    leaving = direction * field_T < 0.0
    line = high_field(field_T, moment, sigma, leaving, float(np.abs(field_T).max()))
    if line is None:
        return None
    film = moment - line.values[1] * field_T - line.values[2]
    ends = _crossings(field_T, film, sigma, direction)
    if ends is None:
        return None
    up, down = ends
    trapped_T, trapped_u_T = _trapped(fit, problem, leg, 0.5 * (up.value + down.value))
    at_zero = [
        value_at(field_T[rows], film[rows], sigma[rows], -sign * trapped_T)
        for sign, rows in ((1.0, direction > 0.0), (-1.0, direction < 0.0))
    ]
    rising, falling = at_zero
    if rising is None or falling is None:
        return None
    raw = _crossings(problem.field_T[kept], problem.moment[kept], sigma, direction)
    slope_u = trapped_u_T * max(abs(rising.slope), abs(falling.slope))
    return Shapeless(
        up=up,
        down=down,
        remanence=0.5 * (falling.value - rising.value),
        remanence_u=float(
            np.sqrt(0.25 * (falling.u**2 + rising.u**2 + falling.window_u**2 + rising.window_u**2) + slope_u**2)
        ),
        line=line,
        trapped_T=trapped_T,
        trapped_u_T=trapped_u_T,
        raw_coercive_T=None if raw is None else 0.5 * (raw[0].value + raw[1].value),
    )


def _crossings(
    field_T: FloatArray, film: FloatArray, sigma: FloatArray, direction: FloatArray
) -> tuple[LocalPoint, LocalPoint] | None:
    """Where each branch crosses zero, both counted along their own direction."""
    rising: Mask = direction > 0.0
    up = crossing(field_T[rising], film[rising], sigma[rising])
    down = crossing(-field_T[~rising], -film[~rising], sigma[~rising])
    return None if up is None or down is None else (up, down)


def _trapped(fit: LoopFit, problem: LoopProblem, leg: FloatArray, coercive_T: float) -> tuple[float, float]:
    """b at the crossing from where the film is closed: a wrong shape of the film must not be read as trapped flux."""
    priors = problem.priors
    if priors.trapped_u_T == 0.0:
        return priors.trapped_T, 0.0
    far = np.abs(problem.field_T) > CLOSED * max(abs(coercive_T), 1e-6)
    if far.sum() < 12:
        return priors.trapped_T, priors.trapped_u_T
    part = replace(
        problem,
        field_T=problem.field_T[far],
        direction=problem.direction[far],
        moment=problem.moment[far],
        sigma=problem.sigma[far],
        lost=False,
    )
    start = np.array(fit.p)
    start[[UP, DOWN]] = 0.0
    start[LOG_WIDTH] = np.log(CLOSED * max(abs(coercive_T), 1e-6))
    start[SATURATION] = max(float(fit.p[SATURATION]), 1e-3)
    closed = solve(part, "tanh", start, loop=False)
    # A film that is still open there, or curves, is not closed: what it does is not the magnet's.
    if misfits(closed, part, leg[far]) or abs(closed.p[TRAPPED] - priors.trapped_T) > 3.0 * priors.trapped_u_T:
        return priors.trapped_T, priors.trapped_u_T
    reach = 1.0 / (1.0 + (coercive_T / np.exp(closed.p[LOG_SCALE])) ** 2)
    return float(closed.p[TRAPPED] * reach), float(np.sqrt(closed.covariance[TRAPPED, TRAPPED]) * reach)
