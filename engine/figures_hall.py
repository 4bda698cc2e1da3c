"""The figure of a Hall loop: the whole sweep, and what remains near zero field when all but the loop is taken away."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..analysis.hall_loop import LegCurve
from ..core.records import Estimate, EstimateStatus
from .figures import DOWN, FIT, UP, VIRGIN, band, legend, new_figure, title_of

_WINDOW_IN_COERCIVE_FIELDS = 6.0
_WINDOW_T = 0.3


def draw_hall_loop(legs: Sequence[LegCurve], estimate: Estimate, title: str) -> Any:
    """R_xy against field, leg by leg; and the anomalous part near zero with the fit and ±1σ of both crossings."""
    with new_figure(10.0, 4.6) as figure:
        whole, near = figure.subplots(1, 2)
        window_T = _near_window(estimate)
        for leg in legs:
            colour, label, style = _style(leg)
            whole.plot(leg.field_T, leg.r_xy_ohm, style, color=colour, lw=1, label=label)
            inside = np.abs(leg.corrected_T) <= window_T
            if leg.number and inside.any():
                field_mT = leg.corrected_T[inside] * 1e3
                near.plot(field_mT, leg.ahe_ohm[inside], ".", ms=2.5, color=colour, label=label)
                near.plot(field_mT, leg.ahe_fitted_ohm[inside], "-", lw=1.2, color=FIT, label="fit")
        if estimate.status is not EstimateStatus.NOT_RESOLVED:
            band(near, estimate.values.get("coercive_up_T"), UP, 1e3, "B_C ± 1σ")
            band(near, estimate.values.get("coercive_down_T"), DOWN, 1e3)
        near.axhline(0.0, color="#999999", lw=0.6, zorder=0)
        whole.set(xlabel="µ₀H (T)", ylabel="R_xy (Ω)", title=title_of(title))
        near.set(xlabel="µ₀H, corrected for lag and trapped flux (mT)", ylabel="anomalous part of R_xy (Ω)")
        near.set_title(title_of(estimate.text))
        for axes in (whole, near):
            legend(axes)
        return figure


def _style(leg: LegCurve) -> tuple[str, str, str]:
    if leg.number == 0:
        return VIRGIN, "first rise", "--"
    return (UP, "▲ rising", "-") if leg.rising else (DOWN, "▼ falling", "-")


def _near_window(estimate: Estimate) -> float:
    value = estimate.values.get("coercive_field_T")
    return _WINDOW_T if value is None else _WINDOW_IN_COERCIVE_FIELDS * abs(value.value)
