"""Where the fit of a Hall loop begins: the best of a grid of coercive fields and widths, all else being linear."""

import numpy as np

from .loop_data import Points
from .loop_model import AMPLITUDE, DOWN, LOG_WIDTH, UP, LoopModel
from .models import FloatArray

_WIDTHS_T = np.array((0.006, 0.015, 0.03, 0.06, 0.12))


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
    scale = np.sqrt((full**2).sum(axis=0))
    full = full / scale
    coercive_T, width_T = (grid.ravel() for grid in np.meshgrid(_grid(0.004, 0.6 * model.window_T, 1.35), _WIDTHS_T))
    z = (points.field_T[:, None] - points.rising[:, None] * coercive_T) / width_T
    steps = np.zeros((right.size, coercive_T.size))
    steps[: points.size] = np.tanh(z) * (root / sigma)[:, None]
    # What each step explains once all linear terms have taken their part, for all steps of the grid at once.
    normal = full.T @ full + 1e-10 * np.eye(linear.size)
    overlap = full.T @ steps
    left = np.linalg.solve(normal, np.column_stack((overlap, full.T @ right)))
    norm = (steps**2).sum(axis=0) - (overlap * left[:, :-1]).sum(axis=0)
    match = steps.T @ right - overlap.T @ left[:, -1]
    gain = np.where(norm > 1e-6, match**2 / np.maximum(norm, 1e-12), -1.0)
    best = int(np.argmax(gain))
    height = match[best] / norm[best] if gain[best] >= 0.0 else 0.0
    p = mean.copy()
    p[[DOWN, UP, LOG_WIDTH, AMPLITUDE]] = -coercive_T[best], coercive_T[best], np.log(width_T[best]), height
    p[linear] = (left[:, -1] - height * left[:, best]) / scale
    return np.where(u > 0.0, p, mean)


def _grid(low: float, high: float, ratio: float) -> FloatArray:
    return np.asarray(low * ratio ** np.arange(int(np.log(high / low) / np.log(ratio)) + 1), dtype=np.float64)
