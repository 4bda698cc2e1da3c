"""Two bands from R_xx(B) and R_xy(B) together, with the anomalous Hall loop in the same fit.

R_xy(B) of two bands has three coefficients and the bands have four parameters: R_xy alone is never fitted with four,
R_xx(B), or at least R_xx(0), goes with it. With both, statistics are rarely what limits the answer: how far it
depends on the field window and on what else is in the model is part of every uncertainty quoted here.
"""

from dataclasses import replace

import pandas as pd

from ..core.records import Measured
from .transport_data import read_sweep
from .two_band_fit import Setup
from .two_band_result import TwoBandResult, refused
from .two_band_verdict import TwoBandAnalysis

LEAST_ROWS = 40


def analyze_two_band(
    frame: pd.DataFrame,
    *,
    sheet_resistance_ohm: Measured | None = None,
    squares: Measured | float = 1.0,
    coercive_T: Measured | None = None,
    delay_s: Measured | None = None,
    anomalous: bool = True,
    even_term: bool = True,
    field_scale_u: float = 0.0,
) -> TwoBandResult:
    """Fit two like bands to one field sweep with rising and falling branches.

    `frame` holds one run in the order measured: `field_T`, `R_xy_ohm`, `R_xx_ohm`, and better also `time_s`,
    `temperature_K`, `flags`. Without `R_xx_ohm` the fit needs `sheet_resistance_ohm`, R_s at zero field.
    `squares` is length over width of the bar, by which R_xx is divided. `coercive_T` and `delay_s` (of the reading
    behind the field) are fitted from wide priors unless they are given. `anomalous` and `even_term` (the cusp of weak
    localisation in R_xx) are part of the fit unless switched off. `field_scale_u` is the relative standard
    uncertainty of the field's calibration.

    Raises:
        ValueError: a column is missing or not of numbers, or an argument is not positive.
    """
    length, length_u = (squares.value, squares.u) if isinstance(squares, Measured) else (squares, 0.0)
    sweep = read_sweep(frame, squares=length)
    if sheet_resistance_ohm is not None and not (sheet_resistance_ohm.value > 0.0 and sheet_resistance_ohm.u > 0.0):
        raise ValueError("sheet_resistance_ohm must be positive and have a positive standard uncertainty")
    if not 0.0 <= field_scale_u < 0.1:
        raise ValueError(f"field_scale_u = {field_scale_u} is not a relative uncertainty between 0 and 0.1")
    setup = Setup(anomalous=anomalous, even_term=even_term, gain_u=length_u / length)
    if coercive_T is not None:
        setup = replace(setup, coercive_T=(abs(coercive_T.value), max(coercive_T.u, 1e-6)))
    if delay_s is not None:
        setup = replace(setup, delay_s=(delay_s.value, delay_s.u))
    if sheet_resistance_ohm is not None:
        setup = replace(setup, sheet_ohm=(sheet_resistance_ohm.value, sheet_resistance_ohm.u))
    setup = replace(setup, closed_T=min(max(0.3, 6.0 * setup.coercive_T[0]), 0.4 * sweep.reach_T))
    if sweep.r_xx_ohm is None and sheet_resistance_ohm is None:
        return refused(
            sweep,
            "R_xy(B) alone has three coefficients and two bands have four parameters: "
            "measure R_xx(B) in the same sweep, or give R_s at zero field as sheet_resistance_ohm",
        )
    if anomalous:
        known = sweep.history_known(setup.closed_T)
        if not known.all() and known.sum() >= LEAST_ROWS:
            note = f"{int((~known).sum())} rows before the first saturation are on no known branch and were left out"
            sweep = replace(sweep.where(known), notes=(*sweep.notes, note))
    if sweep.size < LEAST_ROWS:
        return refused(sweep, f"{sweep.size} rows are too few for two bands and what else is in a sweep")
    return TwoBandAnalysis(sweep, setup, field_scale_u).result()
