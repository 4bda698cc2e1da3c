"""The weighted fit of all branches at once, that survives the points a free-centre fit has lost near zero moment.

Each residual is either good, normal with its σ, or lost, with a long tail; the weight of a point is the probability
that it is good, asked again at every step, so that a point refused by a poor start is taken back by a better one.
Lost points are likely only where the moment itself is within 15 σ of zero, which is where the centre is lost.
"""

from dataclasses import dataclass, field

import numpy as np

from .magnetisation_model import (
    DOWN,
    LOG_SCALE,
    LOG_WIDTH,
    SATURATION,
    SHAPE,
    SHAPES,
    SIZE,
    SPINS,
    TRAP,
    TRAPPED,
    UP,
    LoopModel,
)
from .models import FloatArray, Mask

LOST_WITHIN = 15.0  # in σ of zero moment
LOST_SPREAD = 6.0  # in σ, the half width of the long tail of a lost point
LOST_ELSEWHERE = 0.002
MOST_STEPS = 40


@dataclass(frozen=True, slots=True)
class Priors:
    """What is believed before the data speak: means and standard uncertainties; 0 fixes, inf leaves free."""

    trapped_T: float = 0.0
    trapped_u_T: float = 0.004
    log_scale: float = float(np.log(0.3))  # B_k between 0.1 and 1 T
    log_scale_u: float = 0.8
    free_u: tuple[float, float] = (0.7, 0.7)  # ln δ and ε
    double_u: tuple[float, float, float] = (1.0, 3.0, 1.5)  # ln ρ, d and the logit of a

    def shape_u(self, shape: str) -> tuple[float, ...]:
        """The standard uncertainties of a shape's own parameters."""
        return {"free": self.free_u, "double": self.double_u}.get(shape, ())


@dataclass(frozen=True, slots=True)
class LoopProblem:
    """Points in units in which moments are of order one, with σ up to a common factor."""

    field_T: FloatArray
    direction: FloatArray
    moment: FloatArray
    sigma: FloatArray
    temperature_K: float
    paramagnet: bool
    priors: Priors
    lost: bool = True  # whether points near zero moment may be lost


@dataclass(frozen=True, slots=True)
class LoopFit:
    """A fit: parameters, their covariance at noise `scale`, weights, and −2 ln of the posterior at `scale`."""

    model: LoopModel
    p: FloatArray
    covariance: FloatArray
    free: Mask
    weight: FloatArray
    residual: FloatArray  # in units of σ, before `scale`
    scale: float
    lost_share: float
    converged: bool
    prior_cost: float = 0.0
    jacobian: FloatArray = field(default_factory=lambda: np.zeros((0, SIZE)))

    def deviance(self, problem: LoopProblem, scale: float, lost_share: float) -> float:
        """−2 ln of likelihood and prior at a common noise scale, to compare fits of the same points."""
        near = _near(problem, problem.moment - self.residual * problem.sigma, scale)
        share = np.where(near, lost_share, LOST_ELSEWHERE)
        good, bad = _densities(self.residual / scale)
        return float(-2.0 * np.log((1.0 - share) * good + share * bad).sum()) + self.prior_cost


def solve(
    problem: LoopProblem,
    shape: str,
    start: FloatArray,
    *,
    loop: bool = True,
    trapped: bool = True,
    robust: bool = True,
) -> LoopFit:
    """Fit from `start`. Without `loop` the film has no hysteresis: a step about zero field, or with m_S = 0 none.

    `trapped=False` fixes b_r at zero, `robust=False` gives every point its full weight.
    """
    model = LoopModel(shape, problem.temperature_K)
    mean, precision = _priors(problem.priors, shape)
    free = np.ones(SIZE, dtype=bool)
    free[SPINS] = problem.paramagnet
    if not trapped or problem.priors.trapped_u_T == 0.0:
        free[list(TRAP)] = False
    fixed = [k for k in SHAPE if k not in SHAPES[shape]]
    free[fixed] = False
    p = np.array(start)
    p[fixed] = 0.0
    if not free[TRAPPED]:
        p[TRAPPED] = problem.priors.trapped_T if trapped else 0.0
    if not loop:
        free[[UP, DOWN]] = False
        p[[UP, DOWN]] = 0.0
        if p[SATURATION] == 0.0:
            free[[SATURATION, LOG_WIDTH]] = False
    index = np.nonzero(free)[0]
    span_T = float(np.abs(problem.field_T).max())
    value, jacobian = model.evaluate(p, problem.field_T, problem.direction)
    residual = (problem.moment - value) / problem.sigma
    lost_share, weight = 0.02, np.ones(residual.size)
    scale = robust_sd(residual)
    damping, converged = 1e-3, False
    for step in range(MOST_STEPS):
        if robust and step < 3:
            scale = robust_sd(residual)
        if robust and step > 1:
            weight, lost_share, scale = _weigh(problem, value, residual, lost_share, scale, int(free.sum()))
        elif not robust:
            scale = float(np.sqrt((residual @ residual) / max(residual.size - free.sum(), 1)))
        inverse = 1.0 / max(scale, 1e-12) ** 2
        rows = jacobian[:, index] / problem.sigma[:, None]
        hessian = (rows * (weight * inverse)[:, None]).T @ rows + np.diag(precision[index])
        gradient = rows.T @ (weight * inverse * residual) - precision[index] * (p - mean)[index]
        cost = float((weight * residual**2).sum()) * inverse + float((precision * (p - mean) ** 2)[index].sum())
        diagonal = np.maximum(np.diag(hessian), 1e-12)
        accepted = False
        for _ in range(12):
            move = _solved(hessian + damping * np.diag(diagonal), gradient)
            trial = _inside(p, index, move, span_T)
            t_value, t_jacobian = model.evaluate(trial, problem.field_T, problem.direction)
            t_residual = (problem.moment - t_value) / problem.sigma
            t_cost = float((weight * t_residual**2).sum()) * inverse
            t_cost += float((precision * (trial - mean) ** 2)[index].sum())
            if np.isfinite(t_cost) and t_cost <= cost:
                accepted = True
                break
            damping = min(damping * 5.0, 1e8)
        if not accepted:
            converged = step > 3
            break
        predicted = float(np.abs(move) @ np.sqrt(diagonal))
        p, value, jacobian, residual = trial, t_value, t_jacobian, t_residual
        damping = max(damping / 5.0, 1e-9)
        if step > 4 and predicted < 1e-2 and cost - t_cost < 1e-3:
            converged = True
            break
    for _ in range(3 if robust else 0):
        weight, lost_share, scale = _weigh(problem, value, residual, lost_share, scale, int(free.sum()))
    rows = jacobian[:, index] / (problem.sigma * max(scale, 1e-12))[:, None]
    information = (rows * weight[:, None]).T @ rows + np.diag(precision[index])
    covariance = np.zeros((SIZE, SIZE))
    covariance[np.ix_(index, index)] = _inverse(information)
    prior_cost = float((precision * (p - mean) ** 2)[index].sum())
    return LoopFit(
        model, p, covariance, free, weight, residual, scale, lost_share, converged, prior_cost, jacobian
    )


def best_of(fits: list[LoopFit], problem: LoopProblem) -> LoopFit:
    """The fit with the least deviance at the least noise scale among them."""
    scale = min(fit.scale for fit in fits)
    share = max(fit.lost_share for fit in fits)
    return min(fits, key=lambda fit: fit.deviance(problem, scale, share))


def robust_sd(x: FloatArray) -> float:
    """Standard deviation that a third of wrong points does not move: from the median, then clipped at 3 σ."""
    sd = 1.4826 * float(np.median(np.abs(x)))
    for _ in range(4):
        kept = x[np.abs(x) < 3.0 * sd]
        if kept.size < 4:
            break
        # A normal sample clipped at 3 σ keeps 0.9866 of its standard deviation.
        sd = float(np.sqrt(np.mean(kept**2))) / 0.9866
    return max(sd, 1e-12)


def _priors(priors: Priors, shape: str) -> tuple[FloatArray, FloatArray]:
    mean, precision = np.zeros(SIZE), np.zeros(SIZE)
    mean[TRAPPED], mean[LOG_SCALE] = priors.trapped_T, priors.log_scale
    believed = dict(zip(SHAPES[shape], priors.shape_u(shape), strict=True))
    believed |= {TRAPPED: priors.trapped_u_T, LOG_SCALE: priors.log_scale_u}
    for index, u in believed.items():
        precision[index] = 1.0 / u**2 if u > 0.0 else 0.0
    return mean, precision


def _near(problem: LoopProblem, value: FloatArray, scale: float) -> Mask:
    if not problem.lost:
        return np.zeros(value.size, dtype=bool)
    return np.abs(value) < LOST_WITHIN * problem.sigma * scale


def _densities(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Density of good and of lost residuals."""
    good = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    bad = 1.0 / (np.pi * LOST_SPREAD * (1.0 + (z / LOST_SPREAD) ** 2))
    return good, bad


def _weigh(
    problem: LoopProblem, value: FloatArray, residual: FloatArray, lost_share: float, scale: float, spent: int
) -> tuple[FloatArray, float, float]:
    """One step of expectation–maximisation: probability of being good, share of lost points near zero, noise scale."""
    near = _near(problem, value, scale)
    share = np.where(near, lost_share, LOST_ELSEWHERE)
    good, bad = _densities(residual / scale)
    weight = (1.0 - share) * good / ((1.0 - share) * good + share * bad)
    # A weak belief of one lost point in twenty keeps the share away from 0 and 1.
    lost_share = float(np.clip(((1.0 - weight)[near].sum() + 0.25) / (near.sum() + 5.0), 0.002, 0.6))
    freedom = max(float(weight.sum()) - spent, 1.0)
    scale = float(np.sqrt((weight * residual**2).sum() / freedom))
    return weight, lost_share, max(scale, 1e-12)


def _inside(p: FloatArray, index: FloatArray, move: FloatArray, span_T: float) -> FloatArray:
    """A step, shortened where it would leave the range in which the parameters mean something."""
    trial = np.array(p)
    trial[index] += move
    trial[LOG_WIDTH] = np.clip(trial[LOG_WIDTH], p[LOG_WIDTH] - 1.0, p[LOG_WIDTH] + 1.0)
    trial[LOG_WIDTH] = np.clip(trial[LOG_WIDTH], np.log(1e-5 * span_T), np.log(3.0 * span_T))
    trial[LOG_SCALE] = np.clip(trial[LOG_SCALE], np.log(0.02), np.log(5.0))
    trial[list(SHAPE)] = np.clip(trial[list(SHAPE)], -6.0, 6.0)
    trial[[UP, DOWN]] = np.clip(trial[[UP, DOWN]], -span_T, span_T)
    return trial


def _scaled(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    scale = 1.0 / np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    return matrix * scale[:, None] * scale, scale


def _solved(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    scaled, scale = _scaled(matrix)
    return np.asarray(np.linalg.lstsq(scaled, vector * scale, rcond=1e-12)[0] * scale)


def _inverse(matrix: FloatArray) -> FloatArray:
    scaled, scale = _scaled(matrix)
    return np.asarray(np.linalg.pinv(scaled, rcond=1e-13, hermitian=True) * scale[:, None] * scale)
