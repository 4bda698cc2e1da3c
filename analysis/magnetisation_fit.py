"""The weighted fit of all branches at once, that survives the points a free-centre fit has lost near zero moment.

Each residual is either good, normal with its σ, or lost, with a long tail; the weight of a point is the probability
that it is good, asked again at every step, so that a point refused by a poor start is taken back by a better one.
Lost points are likely only where the moment itself is within 15 σ of zero, which is where the centre is lost.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
from .magnetisation_noise import robust_sd
from .models import FloatArray, Mask

IntArray = NDArray[np.int64]

LOST_WITHIN = 15.0  # in σ of zero moment
LOST_SPREAD = 6.0  # in σ, the half width of the long tail of a lost point
LOST_ELSEWHERE = 0.002
MOST_STEPS = 40
# In units of order one. A switch between two points, far from both, leaves no trace in either: its parameters are
# then known to a million units, where the inverse of what the points say would be anything.
LEAST_INFORMATION = 1e-12


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
    prior_cost: float

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
    p = np.array(start)
    free = np.ones(SIZE, dtype=bool)
    free[SPINS] = problem.paramagnet
    unused = [k for k in SHAPE if k not in SHAPES[shape]]
    free[unused] = False
    p[unused] = 0.0
    if not trapped or problem.priors.trapped_u_T == 0.0:
        free[list(TRAP)] = False
        p[TRAPPED] = problem.priors.trapped_T if trapped else 0.0
    if not loop:
        free[[UP, DOWN]] = False
        p[[UP, DOWN]] = 0.0
        if p[SATURATION] == 0.0:
            free[[SATURATION, LOG_WIDTH]] = False
    return _Descent(problem, shape, p, free, robust).run()


class _Descent:
    """Levenberg and Marquardt's way down, with the weights asked again before each step."""

    def __init__(self, problem: LoopProblem, shape: str, p: FloatArray, free: Mask, robust: bool) -> None:
        self.problem, self.robust, self.free = problem, robust, free
        self.model = LoopModel(shape, problem.temperature_K)
        self.index: IntArray = np.nonzero(free)[0].astype(np.int64)
        self.mean, self.precision = _priors(problem.priors, shape)
        self.span_T = float(np.abs(problem.field_T).max())
        self.spent = int(free.sum())
        self.weight = np.ones(problem.moment.size)
        self.lost_share, self.damping = 0.02, 1e-3
        self.p = p
        self.residual, self.jacobian = self._at(p)
        self.scale = robust_sd(self.residual)

    def run(self) -> LoopFit:
        """Steps until they are small against the uncertainty, or none goes down."""
        converged = False
        for step in range(MOST_STEPS):
            self._reweigh(step)
            moved = self._step()
            if moved is None:
                converged = step > 3
                break
            share, gain = moved
            if step > 4 and share < 1e-2 and gain < 1e-3:
                converged = True
                break
        for _ in range(3 if self.robust else 0):
            self._weigh()
        return self._fit(converged)

    def _at(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Residuals and derivatives in units of σ."""
        value, jacobian = self.model.evaluate(p, self.problem.field_T, self.problem.direction)
        sigma = self.problem.sigma
        return (self.problem.moment - value) / sigma, jacobian[:, self.index] / sigma[:, None]

    def _cost(self, p: FloatArray, residual: FloatArray) -> float:
        return float((self.weight * residual**2).sum()) / self.scale**2 + self._prior_cost(p)

    def _prior_cost(self, p: FloatArray) -> float:
        return float((self.precision * (p - self.mean) ** 2)[self.index].sum())

    def _information(self) -> FloatArray:
        rows = self.jacobian * (self.weight / self.scale**2)[:, None]
        return np.asarray(rows.T @ self.jacobian + np.diag(self.precision[self.index]))

    def _step(self) -> tuple[float, float] | None:
        """One step downhill: its largest share of an uncertainty and what it gains; None if there is none."""
        information = self._information()
        pull = (self.precision * (self.p - self.mean))[self.index]
        gradient = self.jacobian.T @ (self.weight / self.scale**2 * self.residual) - pull
        diagonal = np.maximum(np.diag(information), 1e-12)
        cost = self._cost(self.p, self.residual)
        for _ in range(12):
            move = _solved(information + self.damping * np.diag(diagonal), gradient)
            p = _inside(self.p, self.index, move, self.span_T)
            residual, jacobian = self._at(p)
            now = self._cost(p, residual)
            if np.isfinite(now) and now <= cost:
                self.p, self.residual, self.jacobian = p, residual, jacobian
                self.damping = max(self.damping / 5.0, 1e-9)
                return float(np.abs(move) @ np.sqrt(diagonal)), cost - now
            self.damping = min(self.damping * 5.0, 1e8)
        return None

    def _reweigh(self, step: int) -> None:
        if not self.robust:
            freedom = max(self.residual.size - self.spent, 1)
            self.scale = max(float(np.sqrt(self.residual @ self.residual / freedom)), 1e-12)
            return
        # A start is too far away to know lost points by: for two steps all count, and the scale is a median's.
        if step < 3:
            self.scale = robust_sd(self.residual)
        if step > 1:
            self._weigh()

    def _weigh(self) -> None:
        """One step of expectation–maximisation: probability of being good, share of lost points, noise scale."""
        near = _near(self.problem, self.problem.moment - self.residual * self.problem.sigma, self.scale)
        share = np.where(near, self.lost_share, LOST_ELSEWHERE)
        good, bad = _densities(self.residual / self.scale)
        self.weight = (1.0 - share) * good / ((1.0 - share) * good + share * bad)
        # A weak belief of one lost point in twenty keeps the share away from 0 and 1.
        lost = float((1.0 - self.weight)[near].sum())
        self.lost_share = float(np.clip((lost + 0.25) / (near.sum() + 5.0), 0.002, 0.6))
        freedom = max(float(self.weight.sum()) - self.spent, 1.0)
        self.scale = max(float(np.sqrt((self.weight * self.residual**2).sum() / freedom)), 1e-12)

    def _fit(self, converged: bool) -> LoopFit:
        covariance = np.zeros((SIZE, SIZE))
        floor = np.diag(np.full(self.index.size, LEAST_INFORMATION))
        covariance[np.ix_(self.index, self.index)] = _inverse(self._information() + floor)
        return LoopFit(
            model=self.model,
            p=self.p,
            covariance=covariance,
            free=self.free,
            weight=self.weight,
            residual=self.residual,
            scale=self.scale,
            lost_share=self.lost_share,
            converged=converged,
            prior_cost=self._prior_cost(self.p),
        )


def best_of(fits: list[LoopFit], problem: LoopProblem) -> LoopFit:
    """The fit with the least deviance at the least noise scale among them."""
    scale = min(fit.scale for fit in fits)
    share = max(fit.lost_share for fit in fits)
    return min(fits, key=lambda fit: fit.deviance(problem, scale, share))


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


def _inside(p: FloatArray, index: IntArray, move: FloatArray, span_T: float) -> FloatArray:
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
