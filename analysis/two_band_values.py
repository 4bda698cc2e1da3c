"""From fitted logarithms to the numbers that are told: totals, limits, one band's n and µ, with all correlations."""

from collections.abc import Callable

import numpy as np

from ..core.quantities import format_measured
from ..core.records import Measured
from .models import ELEMENTARY_CHARGE_C, FloatArray
from .two_band_fit import BandFit
from .two_band_result import BAND_KEYS


def derived_values(logs: FloatArray, covariance: FloatArray) -> dict[str, Measured]:
    """Totals and limits of the bands, by propagation with all correlations."""

    def sums(x: FloatArray) -> tuple[float, float, float]:
        n, mu = np.exp(x[0::2]), np.exp(x[1::2])
        e = ELEMENTARY_CHARGE_C
        return float(n.sum()), e * float((n * mu).sum()), e * float((n * mu**2).sum())

    formulas: dict[str, Callable[[FloatArray], float]] = {
        "density_total_per_m2": lambda x: sums(x)[0],
        "sheet_resistance_ohm": lambda x: 1.0 / sums(x)[1],
        "slope_at_zero_ohm_per_T": lambda x: sums(x)[2] / sums(x)[1] ** 2,
        "slope_at_infinity_ohm_per_T": lambda x: 1.0 / (ELEMENTARY_CHARGE_C * sums(x)[0]),
    }
    found: dict[str, Measured] = {}
    for key, formula in formulas.items():
        steps = 1e-5 * np.eye(logs.size)
        gradient = np.array([(formula(logs + h) - formula(logs - h)) / 2e-5 for h in steps])
        found[key] = Measured(formula(logs), float(np.sqrt(max(gradient @ covariance @ gradient, 0.0))))
    return found


def one_band_values(one: BandFit, field_scale_u: float) -> tuple[dict[str, Measured], FloatArray]:
    """n, µ and R_s of one band, and the covariance of n and µ."""
    covariance = one.covariance[:2, :2] + field_scale_u**2 * np.array([[1.0, -1.0], [-1.0, 1.0]])
    n, mu = (float(x) for x in np.exp(one.logs))
    sheet = 1.0 / (ELEMENTARY_CHARGE_C * n * mu)
    u_n, u_mu = (float(x) for x in np.sqrt(np.diag(covariance)))
    values = {
        "density_per_m2": Measured(n, n * u_n),
        "mobility_m2_per_Vs": Measured(mu, mu * u_mu),
        "sheet_resistance_ohm": Measured(sheet, sheet * float(np.sqrt(max(covariance.sum(), 0.0)))),
    }
    return values, covariance * np.outer([n, mu], [n, mu])


def text_of(values: dict[str, Measured]) -> str:
    """The four numbers in the units that people use."""
    density, mobility = ("10¹³ cm⁻²", 1e-17), ("cm²/Vs", 1e4)
    units = (("n1", *density), ("µ1", *mobility), ("n2", *density), ("µ2", *mobility))
    parts = [
        f"{name} = {format_measured(values[key], unit, factor)}"
        for key, (name, unit, factor) in zip(BAND_KEYS, units, strict=True)
    ]
    return ", ".join(parts)
