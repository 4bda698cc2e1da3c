"""Forward formulas of transport: the simulator computes with them and the estimators fit them.

Arrays or floats in, the same out; SI throughout (sheet densities m⁻², mobilities m²/Vs, fields T). Signs: electrons
give R_xy > 0 for B > 0. Checked against published constants in the tests, not against the estimators.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

ELEMENTARY_CHARGE_C = 1.602176634e-19
BOLTZMANN_J_PER_K = 1.380649e-23
BOHR_MAGNETON_J_PER_T = 9.2740100783e-24

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]


def two_band_resistivity(
    field_T: ArrayLike, densities_per_m2: tuple[float, ...], mobilities_m2_per_Vs: tuple[float, ...]
) -> tuple[FloatArray, FloatArray]:
    """Sheet resistances (R_xx, R_xy) in ohm of parallel like carriers, each a Drude band.

    σ_xx = Σ e n µ / (1 + (µB)²), σ_xy = Σ e n µ² B / (1 + (µB)²), inverted as a 2×2 tensor.
    Textbook result for any number of bands, e.g. Ashcroft & Mermin, problem 12.4.
    """
    field = np.asarray(field_T, dtype=np.float64)
    sigma_xx = np.zeros_like(field)
    sigma_xy = np.zeros_like(field)
    for density, mobility in zip(densities_per_m2, mobilities_m2_per_Vs, strict=True):
        band = ELEMENTARY_CHARGE_C * density * mobility / (1.0 + (mobility * field) ** 2)
        sigma_xx = sigma_xx + band
        sigma_xy = sigma_xy + band * mobility * field
    norm = sigma_xx**2 + sigma_xy**2
    return sigma_xx / norm, sigma_xy / norm


def langevin(x: ArrayLike) -> FloatArray:
    """L(x) = coth x − 1/x, the classical paramagnet; L(x) → x/3 for small x. Langevin (1905)."""
    x = np.asarray(x, dtype=np.float64)
    small = np.abs(x) < 1e-2
    safe = np.where(small, 1.0, x)
    # The series to x⁵ is exact to 1e-15 below 0.01, where coth x − 1/x cancels.
    return np.where(small, x / 3.0 - x**3 / 45.0 + 2.0 * x**5 / 945.0, 1.0 / np.tanh(safe) - 1.0 / safe)


def brillouin(x: ArrayLike, spin_J: float) -> FloatArray:
    """B_J(x) = ((2J+1)/2J) coth((2J+1)x/2J) − (1/2J) coth(x/2J), x = g µ_B J B / k T.

    J = 1/2 is tanh x and J → ∞ is the Langevin function. Textbook result, e.g. Ashcroft & Mermin, eq. 31.44.
    """
    # coth y = L(y) + 1/y; the poles of the two terms cancel exactly, so small arguments need no case of their own.
    large, little = (2.0 * spin_J + 1.0) / (2.0 * spin_J), 1.0 / (2.0 * spin_J)
    x = np.asarray(x, dtype=np.float64)
    return large * langevin(large * x) - little * langevin(little * x)


def tanh_branch(x: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """One branch of a loop, m = tanh x with x = (B − B_c)/w, and dm/dx."""
    m = np.tanh(np.asarray(x, dtype=np.float64))
    return m, 1.0 - m**2


def erf_branch(x: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """One branch of a loop, m = erf(√π x/2) with x = (B − B_c)/w, and dm/dx.

    Exact for an ensemble of relays whose thresholds are normal; the factor makes the slope at the crossing that of
    `tanh_branch`, so that w means the same: σ = w √(2/π), w = 1.253 σ.
    """
    x = np.asarray(x, dtype=np.float64)
    return np.asarray(erf(0.5 * np.sqrt(np.pi) * x)), np.exp(-0.25 * np.pi * x**2)
