"""The moment of a film on its substrate in a magnet with trapped flux: the forward model of M(H), and its derivatives.

m = s m_S F((s H_t − H_C,s)/w) + χ H_t + N g µ_B J B_J(g µ_B J H_t/kT) + m_0, H_t = H − s_last b_r/(1 + (H/B_k)²)

on the branch s (+1 rising, −1 falling, s_last = −s), fields as µ₀H in tesla. F rises from −1 to +1 through F(0) = 0.
"""

from dataclasses import dataclass

import numpy as np

from .models import BOHR_MAGNETON_J_PER_T, BOLTZMANN_J_PER_K, FloatArray, erf_branch, tanh_branch

SPIN = 2.5  # Fe³⁺ and Mn²⁺: 3d⁵, the usual impurity of an oxide substrate
LANDE_G = 2.0

SATURATION, UP, DOWN, LOG_WIDTH, SLOPE, SPINS, OFFSET, TRAPPED, LOG_SCALE, LOG_TAIL, SKEW, SHARE = range(12)
SIZE = 12
SHAPE = (LOG_TAIL, SKEW, SHARE)
# Which parameters a branch of each shape has.
SHAPES: dict[str, tuple[int, ...]] = {"tanh": (), "erf": (), "free": (LOG_TAIL, SKEW), "double": SHAPE}
BACKGROUND = (SLOPE, SPINS, OFFSET)
TRAP = (TRAPPED, LOG_SCALE)


@dataclass(frozen=True, slots=True)
class LoopModel:
    """The forward model at one temperature for points with their branch.

    `shape` is a key of `SHAPES`; `moment_unit_Am2` scales every moment so that the parameters are near one.
    The parameters are those of the names above: moments in units of `moment_unit_Am2` (the paramagnet by its
    saturation moment), fields in tesla, widths by their logarithm.
    """

    shape: str
    temperature_K: float

    def paramagnet(self, field_T: FloatArray) -> tuple[FloatArray, FloatArray]:
        """B_J and its derivative by the field, 1/T; zero where the temperature is unknown."""
        if not np.isfinite(self.temperature_K):
            return np.zeros_like(field_T), np.zeros_like(field_T)
        per_T = LANDE_G * BOHR_MAGNETON_J_PER_T * SPIN / (BOLTZMANN_J_PER_K * self.temperature_K)
        value, slope = brillouin_and_slope(per_T * field_T, SPIN)
        return value, slope * per_T

    def branch(self, x: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """F(x) and dF/dx."""
        if self.shape == "erf":
            return erf_branch(x)
        if self.shape == "tanh":
            return tanh_branch(x)
        if self.shape == "free":
            return warped_branch(x, p[LOG_TAIL], p[SKEW])
        return double_branch(x, p[LOG_TAIL], p[SKEW], p[SHARE])

    def evaluate(self, p: FloatArray, field_T: FloatArray, direction: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The moment and its derivatives by the parameters, (N,) and (N, 11)."""
        rising = direction > 0.0
        scale_T = np.exp(p[LOG_SCALE])
        reach = 1.0 / (1.0 + (field_T / scale_T) ** 2)
        true_T = field_T + direction * p[TRAPPED] * reach
        width_T = np.exp(p[LOG_WIDTH])
        x = (direction * true_T - np.where(rising, p[UP], -p[DOWN])) / width_T
        value, slope = self.branch(x, p)
        para, para_slope = self.paramagnet(true_T)
        film = p[SATURATION] * direction
        by_field = film * slope * direction / width_T + p[SLOPE] + p[SPINS] * para_slope
        jacobian = np.empty((field_T.size, SIZE))
        jacobian[:, SATURATION] = direction * value
        jacobian[:, UP] = np.where(rising, -film * slope / width_T, 0.0)
        jacobian[:, DOWN] = np.where(rising, 0.0, film * slope / width_T)
        jacobian[:, LOG_WIDTH] = -film * slope * x
        jacobian[:, SLOPE] = true_T
        jacobian[:, SPINS] = para
        jacobian[:, OFFSET] = 1.0
        jacobian[:, TRAPPED] = by_field * direction * reach
        jacobian[:, LOG_SCALE] = by_field * direction * p[TRAPPED] * 2.0 * reach**2 * (field_T / scale_T) ** 2
        jacobian[:, SHAPE] = 0.0
        for k in SHAPES[self.shape]:
            moved = np.array(p)
            moved[k] += 1e-4
            jacobian[:, k] = film * (self.branch(x, moved)[0] - value) / 1e-4
        return film * value + p[SLOPE] * true_T + p[SPINS] * para + p[OFFSET], jacobian

    def background(self, p: FloatArray, field_T: FloatArray, direction: FloatArray) -> FloatArray:
        """Everything but the film."""
        bare = np.array(p)
        bare[SATURATION] = 0.0
        return self.evaluate(bare, field_T, direction)[0]

    def remanence(self, p: FloatArray) -> float:
        """The film's moment at zero true field: the mean of the sizes of its two branches."""
        width_T = float(np.exp(p[LOG_WIDTH]))
        at_zero = self.branch(np.array([-p[UP], p[DOWN]]) / width_T, p)[0]
        return float(-p[SATURATION] * at_zero.mean())


def brillouin_and_slope(x: FloatArray, spin_J: float) -> tuple[FloatArray, FloatArray]:
    """B_J(x) and dB_J/dx from the same two hyperbolic tangents; near zero, where the terms cancel, by the series."""
    large, little = (2.0 * spin_J + 1.0) / (2.0 * spin_J), 1.0 / (2.0 * spin_J)
    small = np.abs(x) < 0.02
    y = np.where(small, 1.0, x)
    one, other = large / np.tanh(large * y), little / np.tanh(little * y)
    first, third = (large**2 - little**2) / 3.0, (large**4 - little**4) / 45.0
    value = np.where(small, x * (first - third * x**2), one - other)
    # 1/sinh² = coth² − 1
    slope = np.where(small, first - 3.0 * third * x**2, other**2 - little**2 - one**2 + large**2)
    return value, slope


def warped_branch(x: FloatArray, log_tail: float, skew: float) -> tuple[FloatArray, FloatArray]:
    """Tanh g(x) and its derivative, with g a stretched line of unit slope at g(0) = 0.

    g(x) = [sinh(δ asinh x + ε) − sinh ε] / (δ cosh ε): δ < 1 makes the tails long, ε ≠ 0 makes the onset of the
    reversal sharper than its end or the other way round. The family of Jones & Pewsey, Biometrika 96, 761 (2009).
    """
    delta = np.exp(log_tail)
    inner = np.clip(delta * np.arcsinh(x) + skew, -30.0, 30.0)
    unit = delta * np.cosh(skew)
    value = np.tanh((np.sinh(inner) - np.sinh(skew)) / unit)
    slope = (1.0 - value**2) * np.cosh(inner) / np.cosh(skew) / np.sqrt(1.0 + x**2)
    return value, slope


def double_branch(x: FloatArray, log_ratio: float, apart: float, share: float) -> tuple[FloatArray, FloatArray]:
    """Two reversals, tanh each, put so that F(0) = 0; and the derivative. Soft and hard grains, or a film and its edge.

    F(x) = (1 − a) tanh y + a tanh((y − d)/ρ), y = x + y_0, with ln ρ, d and a = 1/(1 + exp(−share)).
    """
    ratio, part = float(np.exp(log_ratio)), float(1.0 / (1.0 + np.exp(-share)))

    def raw(y: FloatArray) -> FloatArray:
        return np.asarray((1.0 - part) * np.tanh(y) + part * np.tanh((y - apart) / ratio))

    # The crossing lies between the two parts' own; halving finds it whatever the slopes.
    low, high = min(0.0, apart), max(0.0, apart)
    for _ in range(50):
        middle = 0.5 * (low + high)
        above = (1.0 - part) * np.tanh(middle) + part * np.tanh((middle - apart) / ratio) > 0.0
        low, high = (low, middle) if above else (middle, high)
    y = x + 0.5 * (low + high)
    value = raw(y)
    slope = (1.0 - part) * (1.0 - np.tanh(y) ** 2) + part / ratio * (1.0 - np.tanh((y - apart) / ratio) ** 2)
    return value, slope
