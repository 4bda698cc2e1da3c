"""A bare substrate measured in the same history, subtracted, with the holder and what trapped flux does to both.

What the control says of the trapped flux itself stays behind as a belief, for the film sees that flux too.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from .magnetisation_data import LoopPoints, points_of
from .magnetisation_fit import LoopFit, LoopProblem, Priors, best_of, solve
from .magnetisation_model import LOG_SCALE, TRAPPED
from .magnetisation_noise import sigma_from_scatter
from .magnetisation_start import step_starts
from .models import FloatArray

HISTORY_SHARE = 0.1  # by which the largest fields of two runs may differ and still be one history


@dataclass(frozen=True, slots=True)
class Controlled:
    """A run without its control, and what the control says of the trapped flux."""

    points: LoopPoints
    priors: Priors
    notes: tuple[str, ...]


def subtract_control(points: LoopPoints, control: pd.DataFrame, scale: float, priors: Priors) -> Controlled:
    """Take `scale` times the control's moment from `points`, branch by branch, with the control's own uncertainty.

    Between the control's fields its fitted curve is followed, and only what is left of it is interpolated.

    Raises:
        ValueError: the control has no falling or no rising leg from saturation, or none of the run's fields.
    """
    bare = points_of(control, "the control run")
    if not bare.rising.any() or bare.rising.all():
        raise ValueError("the control run needs a falling and a rising leg from saturation, like the sample's run")
    bare, fit = _fitted(bare, priors)
    unit = float(np.abs(bare.moment_Am2).max())
    smooth_control = fit.model.evaluate(fit.p, bare.field_T, bare.direction)[0] * unit
    smooth = fit.model.evaluate(fit.p, points.field_T, points.direction)[0] * unit
    left = bare.moment_Am2 - smooth_control
    rest, u = np.full(points.field_T.size, np.nan), np.full(points.field_T.size, np.nan)
    for branch in (1.0, -1.0):
        ours, theirs = points.direction == branch, bare.direction == branch
        rest[ours], u[ours] = _between(
            points.field_T[ours], bare.field_T[theirs], left[theirs], bare.u_Am2[theirs] * fit.scale
        )
    inside = np.isfinite(rest)
    if not inside.any():
        raise ValueError("the control run covers none of the fields of the sample's run")
    with np.errstate(invalid="ignore"):
        moment = points.moment_Am2 - scale * (smooth + rest)
        # Without a stated σ of the sample the scatter of the difference holds both.
        together = np.sqrt(points.u_Am2**2 + (scale * u) ** 2)
    notes = list(bare.notes)
    if not inside.all():
        notes.append(f"{int((~inside).sum())} points lie outside the control's fields and were left out")
    if abs(bare.largest_T - points.largest_T) > HISTORY_SHARE * points.largest_T:
        notes.append(
            f"the control reached {bare.largest_T:.2g} T, the sample {points.largest_T:.2g} T: "
            "the trapped flux may differ between them"
        )
    if abs(bare.temperature_K - points.temperature_K) > 0.03 * points.temperature_K:
        notes.append(f"the control was at {bare.temperature_K:.3g} K, the sample at {points.temperature_K:.3g} K")
    changed = replace(points, moment_Am2=moment, u_Am2=together).where(inside)
    variance = fit.covariance[[TRAPPED, LOG_SCALE], [TRAPPED, LOG_SCALE]]
    if priors.trapped_u_T > 0.0:
        priors = replace(
            priors,
            trapped_T=float(fit.p[TRAPPED]),
            trapped_u_T=float(np.sqrt(variance[0])),
            log_scale=float(fit.p[LOG_SCALE]),
            log_scale_u=float(np.sqrt(variance[1])),
        )
    return Controlled(changed, priors, tuple(notes))


def _fitted(bare: LoopPoints, priors: Priors) -> tuple[LoopPoints, LoopFit]:
    """The control described without hysteresis: substrate, paramagnet, perhaps a step, and trapped flux."""
    unit = float(np.abs(bare.moment_Am2).max())
    sigma = bare.u_Am2 / unit
    unknown = not np.isfinite(sigma).all()
    problem = LoopProblem(
        bare.field_T,
        bare.direction,
        bare.moment_Am2 / unit,
        np.ones(bare.field_T.size) if unknown else sigma,
        bare.temperature_K,
        np.isfinite(bare.temperature_K),
        priors,
        lost=False,
    )
    for _ in range(2 if unknown else 0):
        fit = _step_fit(problem)
        scatter = sigma_from_scatter(fit.residual * problem.sigma, bare.field_T, bare.leg.astype(np.float64))
        problem = replace(problem, sigma=scatter)
    return replace(bare, u_Am2=problem.sigma * unit), _step_fit(problem)


def _step_fit(problem: LoopProblem) -> LoopFit:
    none, step = (solve(problem, "tanh", start, loop=False) for start in step_starts(problem))
    scale, share = min(none.scale, step.scale), none.lost_share
    # Two more parameters must earn their place.
    gain = none.deviance(problem, scale, share) - step.deviance(problem, scale, share)
    return best_of([step], problem) if gain > 12.0 else none


def _between(at: FloatArray, x: FloatArray, y: FloatArray, u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Linear interpolation and its σ; NaN outside. Points that share a control point count as one in its error."""
    order = np.argsort(x, kind="stable")
    x, y, u = x[order], y[order], u[order]
    tip_T = 1e-3 * float(np.ptp(x))
    inside = (at >= x[0] - tip_T) & (at <= x[-1] + tip_T)
    right = np.clip(np.searchsorted(x, at), 1, x.size - 1)
    run = x[right] - x[right - 1]
    share = np.clip(np.where(run > 0.0, (at - x[right - 1]) / np.where(run > 0.0, run, 1.0), 0.5), 0.0, 1.0)
    value = (1.0 - share) * y[right - 1] + share * y[right]
    sigma = np.sqrt(((1.0 - share) * u[right - 1]) ** 2 + (share * u[right]) ** 2)
    _, crowd = np.unique(right[inside], return_counts=True)
    sharing = dict(zip(np.unique(right[inside]).tolist(), crowd.tolist(), strict=True))
    sigma *= np.sqrt([max(1.0, float(sharing.get(int(k), 1))) for k in right])
    return np.where(inside, value, np.nan), np.where(inside, sigma, np.nan)
