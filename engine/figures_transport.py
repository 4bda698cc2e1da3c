"""The figures of transport fits: R_xy and R_xx against field with the fit, and what the fit leaves."""

from typing import Any

import numpy as np

from ..analysis.models import Mask
from ..analysis.single_band import SingleBandResult
from ..analysis.two_band_result import TransportCurve, TwoBandResult
from ..core.records import EstimateStatus
from .figures import DOWN, FIT, UP, VIRGIN, FloatArray, legend, new_figure, points, prefix_of, title_of


def draw_two_band(result: TwoBandResult, title: str) -> Any:
    """R_xy and R_xx (where it was measured) by branch, the fit over them, and the residuals below each."""
    curve = result.curve
    panels = [] if curve is None else [("R_xy", curve.r_xy_ohm, curve.r_xy_fit_ohm)]
    if curve is not None and np.isfinite(curve.r_xx_ohm).any():
        panels.append(("R_xx per square", curve.r_xx_ohm, curve.r_xx_fit_ohm))
    claimed = result.estimate.status is EstimateStatus.RESOLVED
    with new_figure(8.4 if len(panels) > 1 else 5.0, 4.4) as figure:
        axes = figure.subplots(2, max(len(panels), 1), squeeze=False, sharex=True, height_ratios=(3.0, 1.0))
        for column, (name, measured, fit) in enumerate(panels):
            assert curve is not None  # noqa: S101  there are panels
            branches = _branches(curve)
            _data(axes[0][column], curve.field_T, measured, fit, branches, claimed=claimed)
            axes[0][column].set(ylabel=f"{name} (Ω)")
            _residuals(axes[1][column], curve.field_T, measured - fit, branches)
        _titles(figure, axes[0], title, result.estimate.text)
        return figure


def draw_single_band(result: SingleBandResult, title: str) -> Any:
    """R_xy with the fitted slope and loop, and the residuals below."""
    claimed = result.estimate.status is EstimateStatus.RESOLVED
    with new_figure(5.4, 4.4) as figure:
        axes = figure.subplots(2, 1, squeeze=False, sharex=True, height_ratios=(3.0, 1.0))
        everything = ((np.ones(result.field_T.size, dtype=bool), DOWN, "measured"),)
        _data(axes[0][0], result.field_T, result.r_xy_ohm, result.fitted_ohm, everything, claimed=claimed)
        axes[0][0].set(ylabel="R_xy (Ω)")
        _residuals(axes[1][0], result.field_T, result.r_xy_ohm - result.fitted_ohm, everything)
        _titles(figure, axes[0], title, result.estimate.text)
        return figure


Branches = tuple[tuple[Mask, str, str], ...]


def _titles(figure: Any, above: Any, title: str, text: str) -> None:
    above[0].set_title(title_of(title, 46))
    if len(above) > 1:
        above[1].set_title(title_of(text, 50), fontsize=9)
    else:
        figure.suptitle(title_of(text, 60), fontsize=9)
    legend(above[0], loc="best")


def _data(
    axes: Any, field_T: FloatArray, measured: FloatArray, fit: FloatArray, branches: Branches, *, claimed: bool
) -> None:
    for mask, colour, label in branches:
        points(axes, field_T[mask], measured[mask], None, colour, label)
    style, colour, label = ("-", FIT, "fit") if claimed else (":", VIRGIN, "nearest fit, not claimed")
    for mask, _, _ in branches:
        order = np.argsort(field_T[mask], kind="stable")
        if np.isfinite(fit[mask]).any():
            axes.plot(field_T[mask][order], fit[mask][order], style, color=colour, lw=1.1, label=label)


def _residuals(axes: Any, field_T: FloatArray, residual: FloatArray, branches: Branches) -> None:
    factor, prefix = prefix_of(residual)
    for mask, colour, label in branches:
        points(axes, field_T[mask], residual[mask] * factor, None, colour, label)
    axes.axhline(0.0, color=FIT, lw=0.7)
    axes.set(xlabel="µ₀H (T)", ylabel=f"less fit ({prefix}Ω)")


def _branches(curve: TransportCurve) -> Branches:
    rising = np.asarray(curve.rising, dtype=float) > 0.0
    return (~rising, DOWN, "▼ falling"), (rising, UP, "▲ rising")
