"""The sum of squares of a loop's fit: rows with their noise, the step that lowers it, the covariance at its bottom."""

import numpy as np

from .loop_model import LOG_WIDTH, LoopModel
from .loop_start import precision
from .models import FloatArray, Mask
from .serial import Noise, meat

WIDTH_RANGE_T = (1e-3, 0.3)
# In spreads of the filter's delay: rows further apart than this know nothing of each other by the filter.
_SMEARED = 4.0


class Rows:
    """The near rows as the sum of squares sees them: weighted by their noise, outliers out, a walk marginalised."""

    def __init__(self, model: LoopModel, keep: Mask, noise: Noise, walk: float) -> None:
        self.model = model
        self.keep = keep
        self.noise = noise
        self.weight = np.sqrt(model.points.count) * keep / (noise.sigma * np.sqrt(noise.inflation))
        self.projector = model.wander.projector(self.weight, walk) if walk > 0.0 else np.zeros((0, keep.size))

    @property
    def spent(self) -> float:
        """How many parameters the walk takes up."""
        return float((self.projector**2).sum())

    def at(self, p: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Weighted residuals and what of them lies along the walk; the same of the Jacobian."""
        fitted, jacobian = self.model.value(p)
        residual = (self.model.points.r_xy_ohm - fitted) * self.weight
        jacobian = jacobian * self.weight[:, None]
        return residual, self.projector @ residual, jacobian, self.projector @ jacobian

    def innermost(self, p: FloatArray) -> FloatArray:
        """Residuals of all rows, less the likeliest walk, in units of one row's noise."""
        fitted, _ = self.model.value(p)
        plain = (self.model.points.r_xy_ohm - fitted) * np.sqrt(self.model.points.count)
        if not self.projector.shape[0]:
            return plain
        # What the kept rows tell of the walk holds for the others as well.
        root = self.noise.sigma * np.sqrt(self.noise.inflation)
        return plain - self.projector.T @ (self.projector @ (plain * self.keep / root)) * root

    def walk(self, p: FloatArray) -> float:
        """How strongly the voltage wanders, judged by the residuals."""
        residual, *_ = self.at(p)
        points = self.model.points
        row_T = max(float(np.median(np.abs(np.diff(points.field_T)))), 1e-6)
        smeared_T = _SMEARED * float(self.model.nodes_s.max()) * float(np.median(np.abs(points.rate_T_per_s)))
        return self.model.wander.strength(residual, self.weight, int(np.clip(np.ceil(smeared_T / row_T), 1, 40)))


def stack(
    rows: Rows, p: FloatArray, mean: FloatArray, u: FloatArray, triangle: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Normal matrix, gradient and χ² of all rows at p, frozen parameters left out of the matrix by a unit diagonal."""
    residual, along, jacobian, across = rows.at(p)
    closing, right = triangle[:, :-1], triangle[:, -1]
    closing_residual = right - closing @ p
    prior = precision(u)
    prior_residual = (mean - p) * prior
    normal = jacobian.T @ jacobian - across.T @ across + closing.T @ closing + np.diag(prior**2)
    gradient = jacobian.T @ residual - across.T @ along + closing.T @ closing_residual + prior * prior_residual
    near = residual @ residual - along @ along
    return normal, gradient, float(near + closing_residual @ closing_residual + prior_residual @ prior_residual)


def descend(
    rows: Rows, p: FloatArray, mean: FloatArray, u: FloatArray, triangle: FloatArray, steps: int
) -> tuple[FloatArray, bool]:
    """Levenberg-Marquardt with a scaled diagonal; True when the last step no longer mattered."""
    free = np.flatnonzero(u > 0.0)
    normal, gradient, chi2 = stack(rows, p, mean, u, triangle)
    damping, last = 1e-4, np.inf
    for _ in range(steps):
        block = normal[np.ix_(free, free)]
        scale = 1.0 / np.sqrt(np.maximum(np.diag(block), 1e-30))
        scaled = block * scale[:, None] * scale
        step = scale * np.linalg.solve(scaled + (damping + 1e-12) * np.eye(free.size), scale * gradient[free])
        trial = p.copy()
        trial[free] += step
        trial[LOG_WIDTH] = np.clip(trial[LOG_WIDTH], *np.log(WIDTH_RANGE_T))
        trial_normal, trial_gradient, trial_chi2 = stack(rows, trial, mean, u, triangle)
        if trial_chi2 <= chi2:
            last = gain = chi2 - trial_chi2
            p, normal, gradient, chi2 = trial, trial_normal, trial_gradient, trial_chi2
            damping = max(damping * 0.1, 1e-9)
            if gain < 1e-3:
                return p, True
        else:
            damping *= 10.0
            if damping > 1e6:
                return p, True
    return p, last < 0.1


def covariance_of(
    rows: Rows,
    jacobian: FloatArray,
    across: FloatArray,
    u: FloatArray,
    triangle: FloatArray,
    closing_meat: FloatArray,
) -> FloatArray:
    """H JᵀΣJ H over all rows, Σ from the residuals' autocorrelation; zero for frozen parameters."""
    prior = precision(u)
    free = np.flatnonzero(u > 0.0)
    near = jacobian.T @ jacobian - across.T @ across
    inner = (jacobian - rows.projector.T @ across)[rows.keep]
    # The walk is in the normal matrix as it is; the rest of the rows remembers its neighbours.
    filling = meat(inner, rows.model.points.leg[rows.keep], rows.noise) - inner.T @ inner + near
    filling = filling + closing_meat + np.diag(prior**2)
    closing = triangle[:, :-1]
    normal = near + closing.T @ closing + np.diag(prior**2)
    block = normal[np.ix_(free, free)]
    scale = 1.0 / np.sqrt(np.maximum(np.diag(block), 1e-30))
    block = block * scale[:, None] * scale + 1e-12 * np.eye(free.size)
    inverse = np.linalg.inv(block) * scale[:, None] * scale
    covariance = np.zeros_like(normal)
    covariance[np.ix_(free, free)] = inverse @ filling[np.ix_(free, free)] @ inverse
    return covariance
