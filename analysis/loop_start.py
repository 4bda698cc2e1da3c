"""Where the fit of a Hall loop begins: the best of a grid of coercive fields and widths, all else being linear."""

import numpy as np

from .loop_data import Points
from .loop_model import AMPLITUDE, DOWN, LOG_WIDTH, UP, LoopModel
from .models import FloatArray


def first_sigma(points: Points) -> float:
    """About the standard deviation of one row, from second differences: no model is needed for it."""
    second = points.r_xy_ohm[2:] - 2.0 * points.r_xy_ohm[1:-1] + points.r_xy_ohm[:-2]
    return max(float(np.median(np.abs(second * np.sqrt(points.count[1:-1])))), 1e-9)


def precision(u: FloatArray) -> FloatArray:
    """1/u, and zero where there is no prior or the parameter is frozen."""
    return np.where((u > 0.0) & np.isfinite(u), 1.0 / np.where(u > 0.0, u, 1.0), 0.0)


def scan(model: LoopModel, mean: FloatArray, u: FloatArray, triangle: FloatArray) -> FloatArray:
    """The best of a grid of (B_C, w), everything else linear: the contrast and the priors fix the shifts."""
    points = model.points
    root = np.sqrt(points.count)
    slope = float(np.polyfit(points.field_T, points.r_xy_ohm, 1)[0])
    sigma = first_sigma(points) * 1.5
    columns = model.linear_columns(slope) * (root / sigma)[:, None]
    prior = precision(u)
    linear = np.flatnonzero((u > 0.0) & (np.arange(u.size) > AMPLITUDE))
    full = np.vstack((columns, triangle[:, :-1], np.diag(prior)))[:, linear]
    right = np.concatenate((points.r_xy_ohm * root / sigma, triangle[:, -1], prior * mean))
    q, r = np.linalg.qr(full / np.sqrt((full**2).sum(axis=0)))
    scale = np.sqrt((full**2).sum(axis=0))
    right_left = right - q @ (q.T @ right)
    p = mean.copy()
    best, height = np.zeros_like(right), 0.0
    top = -1.0
    for coercive_T in _grid(0.004, 0.6 * model.window_T, 1.35):
        for width_T in (0.006, 0.015, 0.03, 0.06, 0.12):
            z = (points.field_T - points.rising * coercive_T) / width_T
            trial = np.zeros_like(right)
            trial[: points.size] = np.tanh(z) * root / sigma
            left = trial - q @ (q.T @ trial)
            norm = float(left @ left)
            gain = float(left @ right_left) ** 2 / max(norm, 1e-12)
            if gain > top and norm > 1e-6:
                top, best, height = gain, trial, float(left @ right_left) / norm
                p[[DOWN, UP, LOG_WIDTH]] = -coercive_T, coercive_T, np.log(width_T)
    p[AMPLITUDE] = height
    p[linear] = np.linalg.lstsq(r, q.T @ (right - height * best), rcond=1e-12)[0] / scale
    return np.where(u > 0.0, p, mean)


def _grid(low: float, high: float, ratio: float) -> FloatArray:
    return np.asarray(low * ratio ** np.arange(int(np.log(high / low) / np.log(ratio)) + 1), dtype=np.float64)
