"""Hall resistance from reciprocal contacts: R_xy = (R_13,24 − R_24,13)/2 at one field and one state of the sample.

R_ij,kl(B, m) = R_kl,ij(−B, −m) (Onsager; Sample et al., J. Appl. Phys. 61, 1079 (1987)): exchanging current and voltage
leads is the same as reversing the field and the moment, so the half difference is odd and the half sum even, without a
second field or branch. Hysteresis stays, and the misalignment α R_xx(B) goes.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core.quantities import format_measured
from ..core.records import Estimate, EstimateStatus, Measured
from .models import ELEMENTARY_CHARGE_C, FloatArray
from .onsager import Onsager, onsager_check
from .reciprocal_pairs import ReciprocalPairs, reciprocal_pairs
from .saturated_slope import MOST_CURVATURE, saturated_slope

LEAST_Z = 5.0  # of the Hall slope: below, 1/slope is not normal any more


@dataclass(frozen=True)
class HallByReciprocity:
    """R_xy(B) and the even part of each pair of readings, with what follows.

    (N,) each: `field_T`, `leg`, `r_xy_ohm`, `r_even_ohm`, and their common `u_ohm` (white noise of the readings, NaN if
    too few). Neighbouring pairs share readings that were interpolated. `estimate.values`: `hall_slope_ohm_per_T`,
    `sheet_density_per_m2`, `saturated_ahe_ohm` and, if the sheet resistance was given, `mobility_m2_per_Vs`.
    `budget` splits the relative u of the slope: `statistical`, `bend`, `gain`.
    """

    estimate: Estimate
    field_T: FloatArray
    leg: FloatArray
    r_xy_ohm: FloatArray
    r_even_ohm: FloatArray
    u_ohm: float
    onsager: Onsager | None

    def frame(self) -> pd.DataFrame:
        """The pairs as the columns of a Hall loop, for the estimators that take one."""
        columns = {"field_T": self.field_T, "leg": self.leg, "R_xy_ohm": self.r_xy_ohm, "R_even_ohm": self.r_even_ohm}
        return pd.DataFrame(columns)


def hall_from_reciprocity(
    frame: pd.DataFrame,
    *,
    saturated_from_T: float | None = None,
    gain_u: float = 0.0,
    sheet_resistance_ohm: Measured | None = None,
) -> HallByReciprocity:
    """R_xy, the even part, Onsager's check and one band's density from readings of both Hall configurations.

    `frame` is as `reciprocal_pairs` takes it. The slope is fitted for |B| ≥ `saturated_from_T`, by default half of the
    largest field: there the moment must be saturated. `gain_u` is the relative standard uncertainty common to all
    readings and fields (current, voltmeter, magnet constant).

    Raises:
        ValueError: a column is missing or an option is bad.
    """
    if not (math.isfinite(gain_u) and gain_u >= 0.0):
        raise ValueError("gain_u must be a relative standard uncertainty, such as 0.002")
    pairs = reciprocal_pairs(frame)
    most_T = float(np.max(np.abs(pairs.field_T)))
    from_T = 0.5 * most_T if saturated_from_T is None else saturated_from_T
    if not 0.0 <= from_T < most_T:
        raise ValueError(f"saturated_from_T = {from_T:g} T must lie between 0 and the largest field, {most_T:g} T")
    r_xy = 0.5 * (pairs.r_13_24_ohm - pairs.r_24_13_ohm)
    even = 0.5 * (pairs.r_13_24_ohm + pairs.r_24_13_ohm)
    u = 0.5 * math.sqrt(pairs.noise_ohm[0] ** 2 + pairs.shared * pairs.noise_ohm[1] ** 2)
    check = onsager_check(pairs)
    estimate = _density(pairs, r_xy, from_T, gain_u, sheet_resistance_ohm, _notes(pairs, check), len(frame))
    return HallByReciprocity(estimate, pairs.field_T, pairs.leg, r_xy, even, u, check)


def _notes(pairs: ReciprocalPairs, check: Onsager | None) -> list[str]:
    notes: list[str] = []
    if check is None:
        notes.append("Onsager's relation was not checked: it needs a falling and a rising leg over the whole loop")
    elif check.certain:
        notes.append(check.text)
    if pairs.skipped:
        notes.append(f"{pairs.skipped} rows were skipped: incomplete, or without readings of the other contacts beside")
    return notes


def _density(
    pairs: ReciprocalPairs, r_xy: FloatArray, from_T: float, gain_u: float, sheet: Measured | None, notes: list[str],
    rows: int,
) -> Estimate:  # fmt: skip
    fit = saturated_slope(pairs.field_T, r_xy, pairs.leg, pairs.time_s, from_T, pairs.shared)
    refusal = ""
    if fit is None:
        refusal = f"too few rows at |B| ≥ {from_T:.2g} T on both sides to know their scatter"
    elif not fit.straight:
        refusal = (
            f"the Hall slope changes by {100.0 * fit.bend.value:+.0f} ± {100.0 * fit.bend.u:.0f} % above {from_T:.2g} "
            f"T (at most {100.0 * MOST_CURVATURE:.0f} %): not one band, or the moment is not saturated; fit two bands"
        )
    elif abs(fit.slope_ohm_per_T.value) < LEAST_Z * fit.slope_ohm_per_T.u:
        refusal = f"the Hall slope {format_measured(fit.slope_ohm_per_T, 'Ω/T')} is not {LEAST_Z:.0f} times its u"
    if fit is None or refusal:
        return Estimate(EstimateStatus.NOT_RESOLVED, {}, (refusal, *notes), {}, f"not resolved: {refusal}", rows)
    slope, step = fit.slope_ohm_per_T, fit.step_ohm
    relative = math.hypot(slope.u / slope.value, gain_u)
    density = 1.0 / (ELEMENTARY_CHARGE_C * abs(slope.value))
    values = {
        "hall_slope_ohm_per_T": Measured(slope.value, abs(slope.value) * relative),
        "sheet_density_per_m2": Measured(density, density * relative),
        "saturated_ahe_ohm": Measured(step.value, math.hypot(step.u, gain_u * step.value)),
    }
    if sheet is not None:
        mobility = abs(slope.value) / sheet.value
        values["mobility_m2_per_Vs"] = Measured(mobility, mobility * math.hypot(relative, sheet.u / sheet.value))
    if fit.bend_u_ohm_per_T:
        notes = [f"the slope changes by {100.0 * fit.bend.value:+.1f} % in the window, which is in its u", *notes]
    bend = fit.bend_u_ohm_per_T / abs(slope.value)
    statistical = math.sqrt(max((slope.u / slope.value) ** 2 - bend**2, 0.0))
    budget = {"statistical": statistical, "bend": bend, "gain": gain_u}
    text = f"n = ({format_measured(values['sheet_density_per_m2'], '', 1e-17)}) × 10¹³ cm⁻²"
    return Estimate(EstimateStatus.RESOLVED, values, tuple(notes), budget, text, rows)
