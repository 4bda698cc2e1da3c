"""How a branch reverses: m against z = (B − B_c)/w on a rising leg.

Every shape crosses zero at z = 0 with m going to ±1. A falling branch is the rising one under time reversal,
m_down(z) = −M(−z), so that both share one shape: m = s M(s z) with s = ±1 for the direction.
"""

from collections.abc import Callable

import numpy as np

from .models import FloatArray, erf_branch, tanh_branch

# m, dm/dz and the derivatives by the shape's own parameters (one more axis in front).
ShapeValues = tuple[FloatArray, FloatArray, FloatArray]
Shape = Callable[[FloatArray, FloatArray, FloatArray], ShapeValues]

BUMPS = np.array((-3.2, -2.4, -1.6, -0.8, 0.8, 1.6, 2.4, 3.2))
_BUMP_WIDTH = 0.8
SHAPE_SIZE = BUMPS.size  # the most parameters that a shape has
_MOST_SHARE = 0.42
_LEAST_POWER, _STEP = 0.02, 1e-4


def tanh_shape(z: FloatArray, rising: FloatArray, q: FloatArray) -> ShapeValues:
    """The hyperbolic tangent, m = tanh z, whatever `q`."""
    return *tanh_branch(z), np.zeros((0, *z.shape))


def erf_shape(z: FloatArray, rising: FloatArray, q: FloatArray) -> ShapeValues:
    """The error function, m = erf(√π z/2): relays with normal thresholds; the slope at the crossing is that of tanh."""
    return *erf_branch(z), np.zeros((0, *z.shape))


def free_shape(z: FloatArray, rising: FloatArray, q: FloatArray) -> ShapeValues:
    """The error function and what the data add to it: M(x) = E(x) + Σ q_k (x/x_k) exp(−½((x−x_k)/0.8)²).

    Each term is zero at the crossing and q_k high near x_k, one of `BUMPS`. There is none at zero: it would be w.
    """
    m, slope, _ = erf_shape(z, rising, q)
    x = rising * z
    at = BUMPS.reshape(-1, *(1 for _ in z.shape))
    u = (x - at) / _BUMP_WIDTH
    bell = np.exp(-0.5 * u * u) / at
    own = x * bell
    m = m + rising * np.tensordot(q, own, 1)
    slope = slope + np.tensordot(q, bell * (1.0 - u * x / _BUMP_WIDTH), 1)
    return m, slope, rising * own


def two_step_shape(z: FloatArray, rising: FloatArray, q: FloatArray) -> ShapeValues:
    """Two populations, M(x) = (1−f) tanh(x−c) + f tanh((x−d)/r), with c such that M(0) = 0.

    `q` begins with logit(f/0.42), d and ln r; of more than 0.42 the first step would be the smaller one.
    """
    squashed = 1.0 / (1.0 + np.exp(-q[0]))
    f, d, r = _MOST_SHARE * squashed, q[1], np.exp(q[2])
    odds = f / (1.0 - f)
    there = np.tanh(d / r)
    c = -np.arctanh(odds * there)
    # How c follows f, d and ln r, from tanh c = −f/(1−f) tanh(d/r).
    steep, there_slope = 1.0 - (odds * there) ** 2, 1.0 - there**2
    dc_df = -there / (1.0 - f) ** 2 / steep
    dc_dd = -odds * there_slope / r / steep
    dc_dr = odds * there_slope * d / r / steep
    x = rising * z
    second = (x - d) / r
    first_m, second_m = np.tanh(x - c), np.tanh(second)
    first_slope, second_slope = (1.0 - f) * (1.0 - first_m**2), f * (1.0 - second_m**2)
    own = np.zeros((q.size, *z.shape))
    own[0] = (second_m - first_m - first_slope * dc_df) * f * (1.0 - squashed)
    own[1] = -first_slope * dc_dd - second_slope / r
    own[2] = -first_slope * dc_dr - second_slope * second
    m = (1.0 - f) * first_m + f * second_m
    return rising * m, first_slope + second_slope / r, rising * own


def skewed_shape(z: FloatArray, rising: FloatArray, q: FloatArray) -> ShapeValues:
    """Reversal by nucleation: slow before the crossing and sudden after it, or the other way round.

    `q` begins with atanh κ. M(x) = 2 (1 + (2^λ − 1) e^(−ax))^(−1/λ) − 1, λ = 1 − |κ| and a such that the slope at the
    crossing is 1 (the generalised logistic distribution): tanh for κ = 0, a Gumbel distribution of thresholds for
    κ = 1, and its mirror image, −M(−x), for κ = −1.
    """
    x = rising * z
    m, slope = _skewed(x, q[0])
    own = np.zeros((q.size, *z.shape))
    own[0] = (_skewed(x, q[0] + _STEP)[0] - _skewed(x, q[0] - _STEP)[0]) / (2.0 * _STEP)
    return rising * m, slope, rising * own


def _skewed(x: FloatArray, q: float) -> tuple[FloatArray, FloatArray]:
    kappa = float(np.tanh(q))
    side = 1.0 if kappa >= 0.0 else -1.0
    power = max(1.0 - abs(kappa), _LEAST_POWER)
    odds = 2.0**power - 1.0
    steep = 2.0**power * power / odds
    decay = odds * np.exp(np.minimum(-steep * side * x, 60.0))
    share = np.exp(-np.log1p(decay) / power)
    return side * (2.0 * share - 1.0), 2.0 * share * steep / power * decay / (1.0 + decay)


SHAPES: dict[str, Shape] = {
    "erf": erf_shape, "tanh": tanh_shape, "free": free_shape, "two steps": two_step_shape, "skewed": skewed_shape,
}  # fmt: skip
