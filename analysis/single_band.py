"""One band: n = 1/(e |dR_xy/dB|) and µ = 1/(e n R_s), and whether one band it is.

The rising and the falling branch are used together, so that a hysteretic sample keeps its loop, which is fitted with
the slope, and loses only what is even in the field. The odd part by time-reversal pairs tests the slope.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from ..core.quantities import format_measured
from ..core.records import Estimate, EstimateStatus, Measured
from .models import ELEMENTARY_CHARGE_C, FloatArray
from .single_band_fit import SlopeFit, fit_slope
from .single_band_rows import SlopeRows, pairs_of, rows_of
from .single_band_sheet import sheet_resistance
from .transport_data import Sweep, joined, read_sweep

SINGLE_KEYS = ("density_per_m2", "mobility_m2_per_Vs")
LEAST_ROWS = 20
LEAST_SLOPE = 5.0  # in its own uncertainty
BENDS = 3.5  # the B³ term in its own uncertainty ...
BENDS_BY = 0.01  # ... and as a change of the slope: less is in the uncertainty, more is another model
CHANCE = 3.0


@dataclass(frozen=True, slots=True)
class SingleBandResult:
    """One band, or the reasons why not.

    `estimate.values` holds `density_per_m2`, `hall_slope_ohm_per_T` (with its sign) and, if R_s is known,
    `mobility_m2_per_Vs` and `sheet_resistance_ohm`; `bending` is the relative change of the slope between zero and
    the largest field. `covariance` is that of (n, µ) in SI. `estimate.budget` splits each u by source under
    "key: statistical", "key: window", "key: model". `field_T`, `r_xy_ohm` and `fitted_ohm` are the rows and the fit,
    for a figure.
    """

    estimate: Estimate
    covariance: FloatArray = field(default_factory=lambda: np.full((2, 2), np.nan))
    bending: Measured | None = None
    carriers: str = ""
    temperature_K: Measured | None = None
    field_T: FloatArray = field(default_factory=lambda: np.zeros(0))
    r_xy_ohm: FloatArray = field(default_factory=lambda: np.zeros(0))
    fitted_ohm: FloatArray = field(default_factory=lambda: np.zeros(0))

    @property
    def resolved(self) -> bool:
        """True when one band is claimed."""
        return self.estimate.status is EstimateStatus.RESOLVED


def analyze_single_band(
    frame: pd.DataFrame,
    *,
    sheet_resistance_ohm: Measured | None = None,
    squares: Measured | float = 1.0,
    coercive_T: Measured | None = None,
    anomalous: bool = True,
    field_scale_u: float = 0.0,
) -> SingleBandResult:
    """The density and mobility of one band from one field sweep.

    `frame` holds one run in the order measured: `field_T`, `R_xy_ohm`, and better also `R_xx_ohm`, `time_s`,
    `temperature_K`, `flags`. R_s is that of `sheet_resistance_ohm` (van der Pauw) if given, else R_xx at zero field
    over `squares`, length over width of the bar. With `anomalous` a loop is fitted where the sweep shows one, near
    `coercive_T` if given. `field_scale_u` is the relative standard uncertainty of the field's calibration.

    Raises:
        ValueError: a column is missing or not of numbers, or an argument is not positive.
    """
    length, length_u = (squares.value, squares.u) if isinstance(squares, Measured) else (squares, 0.0)
    sweep = read_sweep(frame, squares=length)
    if sheet_resistance_ohm is not None and not (sheet_resistance_ohm.value > 0.0 and sheet_resistance_ohm.u >= 0.0):
        raise ValueError("sheet_resistance_ohm must be positive and have a standard uncertainty")
    if not 0.0 <= field_scale_u < 0.1:
        raise ValueError(f"field_scale_u = {field_scale_u} is not a relative uncertainty between 0 and 0.1")
    prior = (0.047, 0.05) if coercive_T is None else (abs(coercive_T.value), max(coercive_T.u, 1e-5))
    sheet = sheet_resistance_ohm or sheet_resistance(sweep)
    if sheet is not None and sheet_resistance_ohm is None:
        sheet = Measured(sheet.value, float(np.hypot(sheet.u, sheet.value * length_u / length)))
    if anomalous:
        known = sweep.history_known(min(max(0.3, 6.0 * prior[0]), 0.4 * sweep.reach_T))
        if not known.all() and known.sum() >= LEAST_ROWS:
            note = f"{int((~known).sum())} rows before the first saturation are on no known branch and were left out"
            sweep = replace(sweep.where(known), notes=(*sweep.notes, note))
    if sweep.size < LEAST_ROWS:
        return _refused(sweep, f"{sweep.size} rows are too few for a slope and its uncertainty")
    rows = rows_of(sweep)
    loop = anomalous and sweep.both_signs
    fit = fit_slope(rows, loop=loop, coercive_T=prior)
    if fit is None:
        return _refused(sweep, "R_xy does not depend on the field")
    return _judged(sweep, rows, fit, sheet, loop, prior, field_scale_u)


def _refused(
    sweep: Sweep, reason: str, *, fit: SlopeFit | None = None, rows: SlopeRows | None = None
) -> SingleBandResult:
    values = {} if sweep.temperature_K is None else {"temperature_K": sweep.temperature_K}
    text = f"not resolved: {reason}"
    estimate = Estimate(EstimateStatus.NOT_RESOLVED, values, joined((reason,), sweep.notes), {}, text, sweep.rows)
    result = SingleBandResult(estimate, temperature_K=sweep.temperature_K)
    if fit is None or rows is None:
        return result
    return replace(
        result, bending=Measured(fit.cubic, fit.cubic_u), field_T=rows.field_T, r_xy_ohm=rows.r_xy_ohm,
        fitted_ohm=fit.fitted_ohm, carriers="electrons" if fit.slope > 0.0 else "holes",
    )  # fmt: skip


def _judged(
    sweep: Sweep,
    rows: SlopeRows,
    fit: SlopeFit,
    sheet: Measured | None,
    loop: bool,
    prior: tuple[float, float],
    field_scale_u: float,
) -> SingleBandResult:
    bends = abs(fit.cubic) > BENDS * fit.cubic_u
    if bends and abs(fit.cubic) > BENDS_BY:
        change, u = 100.0 * fit.cubic, 100.0 * fit.cubic_u
        reason = (
            f"not one band: dR_xy/dB changes by {change:+.2g} % (u {u:.1g} %) up to {sweep.reach_T:.3g} T; "
            "fit two bands to R_xx and R_xy together"
        )
        return _refused(sweep, reason, fit=fit, rows=rows)
    if abs(fit.slope) < LEAST_SLOPE * fit.slope_u:
        reason = f"the slope {fit.slope:.3g} Ω/T is not {LEAST_SLOPE:.0f} times its uncertainty {fit.slope_u:.2g} Ω/T"
        return _refused(sweep, reason, fit=fit, rows=rows)
    bent = abs(fit.slope_with_cubic / fit.slope - 1.0) if bends else 0.0
    parts = {
        "statistical": fit.slope_u / abs(fit.slope),
        "window": _window_u(rows, fit, loop, prior),
        "model": max(bent, _pairs_u(sweep, fit, prior)),
        "field scale": field_scale_u,
    }
    slope_u = float(np.sqrt(sum(part**2 for part in parts.values())))
    slope = abs(fit.slope)
    density = 1.0 / (ELEMENTARY_CHARGE_C * slope)
    values = {
        "density_per_m2": Measured(density, density * slope_u),
        "hall_slope_ohm_per_T": Measured(fit.slope, slope * slope_u),
    }
    budget = {
        f"density_per_m2: {name}": density * part for name, part in parts.items() if part or name != "field scale"
    }
    covariance = np.full((2, 2), np.nan)
    covariance[0, 0] = (density * slope_u) ** 2
    notes: list[str] = []
    if not sweep.both_branches or not sweep.both_signs:
        notes.append("one branch or one sign of the field only: what is even in R_xy cannot be told from what is odd")
    if sheet is None:
        notes.append("R_s is not known: measure R_xx or give sheet_resistance_ohm, and there will be a mobility")
    else:
        mobility, sheet_u = slope / sheet.value, sheet.u / sheet.value
        values["mobility_m2_per_Vs"] = Measured(mobility, mobility * float(np.hypot(slope_u, sheet_u)))
        values["sheet_resistance_ohm"] = sheet
        budget |= {f"mobility_m2_per_Vs: {name[16:]}": mobility * part / density for name, part in budget.items()}
        budget["mobility_m2_per_Vs: sheet resistance"] = mobility * sheet_u
        # A steeper slope is fewer carriers of a higher mobility.
        covariance[0, 1] = covariance[1, 0] = -density * mobility * slope_u**2
        covariance[1, 1] = values["mobility_m2_per_Vs"].u ** 2
    if fit.amplitude_u > 0.0:
        values["ahe_amplitude_ohm"] = Measured(fit.amplitude, fit.amplitude_u)
    if sweep.temperature_K is not None:
        values["temperature_K"] = sweep.temperature_K
    text = f"n = {format_measured(values['density_per_m2'], '10¹³ cm⁻²', 1e-17)}"
    if "mobility_m2_per_Vs" in values:
        text += f", µ = {format_measured(values['mobility_m2_per_Vs'], 'cm²/Vs', 1e4)}"
    estimate = Estimate(EstimateStatus.RESOLVED, values, joined(notes, sweep.notes), budget, text, sweep.rows)
    return SingleBandResult(
        estimate, covariance, Measured(fit.cubic, fit.cubic_u), "electrons" if fit.slope > 0.0 else "holes",
        sweep.temperature_K, rows.field_T, rows.r_xy_ohm, fit.fitted_ohm,
    )  # fmt: skip


def _window_u(rows: SlopeRows, fit: SlopeFit, loop: bool, prior: tuple[float, float]) -> float:
    """The largest relative change of the slope on smaller fields, beyond what chance makes of fewer rows."""
    size = np.abs(rows.field_T)
    found = [0.0]
    for share in (0.75, 0.5):
        keep = size <= share * size.max()
        if keep.sum() >= LEAST_ROWS:
            other = fit_slope(rows.where(keep), loop=loop and fit.amplitude_u > 0.0, coercive_T=prior)
            found.append(_beyond_chance(other, fit))
    return max(found)


def _pairs_u(sweep: Sweep, fit: SlopeFit, prior: tuple[float, float]) -> float:
    """The relative difference of the slope by time-reversal pairs, beyond chance."""
    pairs = pairs_of(sweep)
    return 0.0 if pairs is None else _beyond_chance(fit_slope(pairs, loop=fit.amplitude_u > 0.0, coercive_T=prior), fit)


def _beyond_chance(other: SlopeFit | None, fit: SlopeFit) -> float:
    # A loop that only one of the two could see makes them answers to different questions.
    if other is None or (other.amplitude_u == 0.0) != (fit.amplitude_u == 0.0):
        return 0.0
    # The same rows weighed otherwise, or fewer of them: at least a tenth of the variance is not shared.
    chance = CHANCE**2 * max(abs(other.slope_u**2 - fit.slope_u**2), 0.1 * fit.slope_u**2)
    return float(np.sqrt(max((other.slope - fit.slope) ** 2 - chance, 0.0))) / abs(fit.slope)
