"""The loop's numbers when no branch shape fits: from its crossings, its values at zero field, and its high-field line.

This is what a maker's own software reports of a loop, with the uncertainty that it leaves out.
"""

from dataclasses import dataclass, replace

import numpy as np

from .magnetisation_fit import LoopFit, LoopProblem, solve
from .magnetisation_local import HighField, LocalPoint, crossing, high_field, value_at
from .magnetisation_model import DOWN, LOG_SCALE, LOG_WIDTH, OFFSET, SATURATION, SLOPE, SPINS, TRAPPED, UP
from .magnetisation_noise import noise_from_neighbours, spikes, together
from .models import FloatArray, Mask

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
    closed: LoopFit | None
    slow: bool  # whether `closed` is from a description with a 1/H tail

    @property
    def coercive_T(self) -> float:
        """Mean of the two crossings, the trapped field given back."""
        return float(0.5 * (self.up.value + self.down.value) + self.trapped_T)

    @property
    def offset_u_T(self) -> float:
        """What the offset of the moment leaves open of the loop's centre: it moves both crossings the same way."""
        offset_u = np.hypot(np.sqrt(self.line.covariance[2, 2]), self.line.model_u[2])
        return float(offset_u * np.mean([1.0 / end.slope for end in (self.up, self.down)]))

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


def shapeless(fit: LoopFit, problem: LoopProblem, leg: FloatArray, tail: LoopFit | None = None) -> Shapeless | None:
    """The numbers of the data alone, but for a paramagnet's curvature; None when a branch has no crossing.

    `tail` is what lies under a film that saturates slowly, where that is known.
    """
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
    trapped_T, trapped_u_T = problem.priors.trapped_T, problem.priors.trapped_u_T
    closed = tail
    if closed is None and (problem.paramagnet or trapped_u_T > 0.0):
        closed = _closed(fit, problem, leg, 0.5 * (ends[0].value + ends[1].value))
    if closed is not None:
        film = problem.moment[kept] - closed.model.background(closed.p, field_T, direction)
        keep = [SATURATION, SLOPE, OFFSET]
        line = HighField(closed.p[keep], closed.covariance[np.ix_(keep, keep)], np.zeros(3), False)
        ends = _crossings(field_T, film, sigma, direction)
        if ends is None:
            return None
        reach = 1.0 / (1.0 + (0.5 * (ends[0].value + ends[1].value) / np.exp(closed.p[LOG_SCALE])) ** 2)
        trapped_T = float(closed.p[TRAPPED] * reach)
        trapped_u_T = float(np.sqrt(closed.covariance[TRAPPED, TRAPPED]) * reach)
    up, down = ends
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
        remanence=float(0.5 * (falling.value - rising.value)),
        remanence_u=float(
            np.sqrt(0.25 * (falling.u**2 + rising.u**2 + falling.window_u**2 + rising.window_u**2) + slope_u**2)
        ),
        line=line,
        trapped_T=trapped_T,
        trapped_u_T=trapped_u_T,
        raw_coercive_T=None if raw is None else 0.5 * (raw[0].value + raw[1].value),
        closed=closed,
        slow=tail is not None,
    )


def _crossings(
    field_T: FloatArray, film: FloatArray, sigma: FloatArray, direction: FloatArray
) -> tuple[LocalPoint, LocalPoint] | None:
    """Where each branch crosses zero, both counted along their own direction."""
    rising: Mask = direction > 0.0
    up = crossing(field_T[rising], film[rising], sigma[rising])
    down = crossing(-field_T[~rising], -film[~rising], sigma[~rising])
    return None if up is None or down is None else (up, down)


def _closed(fit: LoopFit, problem: LoopProblem, leg: FloatArray, coercive_T: float) -> LoopFit | None:
    """Background and trapped flux from where the film is closed, which no shape of its reversal can spoil.

    None where the film is not closed there, or curves: what it does must not be read as the magnet's.
    """
    priors = problem.priors
    beyond_T = CLOSED * max(abs(coercive_T), 1e-6)
    far = np.abs(problem.field_T) > beyond_T
    if far.sum() < 12:
        return None
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
    start[LOG_WIDTH] = np.log(0.5 * beyond_T)
    start[SATURATION] = max(float(fit.p[SATURATION]), 1e-3)
    closed = solve(part, "tanh", start, loop=False)
    wrong = together(closed.residual, part.field_T, leg[far])
    far_off = abs(closed.p[TRAPPED] - priors.trapped_T) > 3.0 * priors.trapped_u_T > 0.0
    return None if wrong or far_off else closed


def background_of(told: Shapeless, fit: LoopFit, field_T: FloatArray, direction: FloatArray) -> FloatArray:
    """What lies under the film by these numbers."""
    if told.closed is not None:
        return told.closed.model.background(told.closed.p, field_T, direction)
    return told.line.values[1] * field_T + told.line.values[2] + fit.p[SPINS] * fit.model.paramagnet(field_T)[0]
