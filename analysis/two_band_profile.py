"""Intervals from the likelihood itself, where its curvature at the minimum says too little about its flanks."""

import numpy as np

from .two_band_fit import BandFit, BandProblem

CHI2_95 = 3.841  # of one parameter
MOST_TRIES = 6


def profile_interval(problem: BandProblem, fit: BandFit, index: int) -> tuple[float, float]:
    """Where the χ² of the best fit with parameter `index` held has risen by 3.84: its 95 % limits, in its own units.

    Starts from the quadratic limits and corrects them by the secant rule on √Δχ², which is nearly linear.
    """
    best, u = float(fit.p[index]), fit.u(index)
    limits: list[float] = []
    for side in (-1.0, 1.0):
        step, p, rise = 1.96 * u, fit.p, 0.0
        inner, inner_root = 0.0, 0.0
        for _ in range(MOST_TRIES):
            trial = p.copy()
            trial[index] = best + side * step
            held = problem.fit(fit.model, trial, fit.noise, hold=(index,))
            if held is None:
                break
            p, rise = held.p, max(held.chi2 - fit.chi2, 0.0)
            root = float(np.sqrt(rise))
            if abs(root - np.sqrt(CHI2_95)) < 0.02:
                break
            gained = max(root - inner_root, 1e-3)
            further = inner + (np.sqrt(CHI2_95) - inner_root) * (step - inner) / gained
            if root < np.sqrt(CHI2_95):
                inner, inner_root = step, root
            step = float(np.clip(further, 0.2 * step, 4.0 * step))
        limits.append(best + side * step)
    return limits[0], limits[1]
