"""The van der Pauw equation and the rectangle's series: numbers in, numbers out.

exp(−πR_A/R_s) + exp(−πR_B/R_s) = 1 (van der Pauw, Philips Res. Rep. 13, 1 (1958)) holds for any shape without holes
with small contacts on its rim. For a rectangle with contacts at its corners the two resistances are a series.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from .models import FloatArray

NEWTON_STEPS = 10
_TOLERANCE = 1e-13
# √(R_x/R_y) up to which the series is inverted: R_B/R_A is then 3e13.
_MOST_STRETCH = 10.0


def solve_van_der_pauw(r_a_ohm: ArrayLike, r_b_ohm: ArrayLike) -> FloatArray:
    """R_s in ohm from R_A and R_B (broadcast together), to 1e-12 relative for R_B/R_A up to 1000 and beyond.

    Newton on f = e_A + e_B − 1, e_i = exp(−πR_i/R), from R_0 = π(R_A + R_B)/(2 ln 2): f rises with R everywhere, and
    R_0 is never below the root because the exponential is convex.

    Raises:
        ValueError: a resistance is not finite and positive, or ten steps were not enough (R_B/R_A far above 1000).
    """
    r_a, r_b = np.broadcast_arrays(np.asarray(r_a_ohm, dtype=np.float64), np.asarray(r_b_ohm, dtype=np.float64))
    if not (np.all(np.isfinite(r_a)) and np.all(np.isfinite(r_b)) and np.all(r_a > 0.0) and np.all(r_b > 0.0)):
        raise ValueError("van der Pauw needs R_A and R_B above zero: check the order of the leads and the contacts")
    r_s = math.pi * (r_a + r_b) / (2.0 * math.log(2.0))
    for _ in range(NEWTON_STEPS):
        e_a, e_b = np.exp(-math.pi * r_a / r_s), np.exp(-math.pi * r_b / r_s)
        step = (e_a + e_b - 1.0) * r_s**2 / (math.pi * (r_a * e_a + r_b * e_b))
        r_s = r_s - step
        if np.all(np.abs(step) <= _TOLERANCE * r_s):
            return r_s
    raise ValueError(f"van der Pauw did not converge in {NEWTON_STEPS} steps: R_B/R_A is too far from 1")


def sensitivities(r_a_ohm: float, r_b_ohm: float, r_s_ohm: float) -> tuple[float, float]:
    """∂R_s/∂R_A and ∂R_s/∂R_B: R_s e_i / (R_A e_A + R_B e_B) with e_i = exp(−πR_i/R_s)."""
    e_a, e_b = math.exp(-math.pi * r_a_ohm / r_s_ohm), math.exp(-math.pi * r_b_ohm / r_s_ohm)
    scale = r_s_ohm / (r_a_ohm * e_a + r_b_ohm * e_b)
    return scale * e_a, scale * e_b


def rectangle_series(stretch: float) -> float:
    """R_A/√(R_x R_y) of a rectangle, current along the edge x: 8/π Σ 1/(k sinh(kπ/s)) over odd k.

    `stretch` s = √(R_x/R_y) times length along x over length along y. R_B is the same at 1/s; 0.2206 at s = 1.
    """
    k = np.arange(1.0, 3.0 + 14.0 * max(stretch, 1.0), 2.0)
    x = math.pi * k / stretch
    # 1/sinh x = 2 e⁻ˣ/(1 − e⁻²ˣ), which does not overflow.
    return float(8.0 / math.pi * np.sum(2.0 * np.exp(-x) / (1.0 - np.exp(-2.0 * x)) / k))


def stretch_of(r_a_over_r_b: float) -> tuple[float, float]:
    """The stretch s whose rectangle has this R_A/R_B, and d ln s / d ln(R_A/R_B).

    Raises:
        ValueError: the ratio is beyond a stretch of ten.
    """
    target = math.log(r_a_over_r_b)
    limit = math.log(_MOST_STRETCH)
    if not abs(target) < _log_ratio(limit):
        raise ValueError(f"R_A/R_B = {r_a_over_r_b:.3g} is no rectangle's: one lead is in the wrong place or open")
    low, high = -limit, limit
    for _ in range(60):  # bisection: the ratio rises with the stretch, and this is not called often
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _log_ratio(middle) < target else (low, middle)
    log_s = 0.5 * (low + high)
    step = 1e-5
    return math.exp(log_s), 2.0 * step / (_log_ratio(log_s + step) - _log_ratio(log_s - step))


def _log_ratio(log_s: float) -> float:
    return math.log(rectangle_series(math.exp(log_s)) / rectangle_series(math.exp(-log_s)))
