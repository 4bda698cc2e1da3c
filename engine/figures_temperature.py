"""The figure of m(T): zero-field cooled and field cooled, and the gap between them that decides where they part."""

from typing import Any

import numpy as np

from ..analysis.temperature_branches import Branch
from ..analysis.temperature_curves import TemperatureCurves
from ..core.records import EstimateStatus
from .figures import DOWN, FIT, UP, band, legend, new_figure, points, prefix_of, title_of

_EMU_PER_Am2 = 1e3
_PARTED_PERCENT = 2.0  # the branches have parted where their gap is more than this
_BLOCKING, _MAXIMUM = "#007a5e", "#8f3985"


def draw_temperature_curves(result: TemperatureCurves, title: str) -> Any:
    """M of both branches with what was found, ±1σ; and the gap relative to m_FC with its running mean."""
    values = result.estimate.values if result.estimate.status is EstimateStatus.RESOLVED else {}
    with new_figure() as figure:
        curves, gap = figure.subplots(1, 2)
        factor, prefix = prefix_of(np.concatenate([result.zfc.moment_Am2, result.fc.moment_Am2]) * _EMU_PER_Am2)
        scale = factor * _EMU_PER_Am2
        for branch, colour, marker in ((result.zfc, DOWN, "o"), (result.fc, UP, "s")):
            _branch(curves, branch, colour, marker, scale)
        _curie_weiss(curves, result, scale)
        curves.set(xlabel="temperature (K)", ylabel=f"moment ({prefix}emu)")
        curves.set_title(title_of(title, 46))
        _gap(gap, result)
        for axes in (curves, gap):
            band(axes, values.get("irreversibility_temperature_K"), _BLOCKING, 1.0, "T_irr ± 1σ")
            band(axes, values.get("zfc_maximum_K"), _MAXIMUM, 1.0, "maximum of m_ZFC ± 1σ")
            legend(axes, loc="best")
        gap.set_title(title_of(result.estimate.text, 50), fontsize=9)
        return figure


def _branch(axes: Any, branch: Branch, colour: str, marker: str, scale: float) -> None:
    # Without bars: a magnetometer's own error holds the scale of the whole curve, and hides its scatter.
    label = f"{branch.name} ({'warming' if branch.warming else 'cooling'})"
    points(axes, branch.temperature_K, branch.moment_Am2 * scale, None, colour, label, marker)


def _curie_weiss(axes: Any, result: TemperatureCurves, scale: float) -> None:
    curie = result.curie_weiss
    if curie is None or not curie.claimed or not curie.rungs:
        return
    known = result.fc.field_T[np.isfinite(result.fc.field_T)]
    if not known.size:
        return
    above = np.sort(result.fc.temperature_K)
    above = above[above >= max(result.estimate.values["curie_weiss_theta_K"].value + 1.0, above.max() / 10.0)]
    axes.plot(above, curie.moment_Am2(above, float(np.median(known))) * scale, color=FIT, lw=1.0, label="Curie–Weiss")


def _gap(axes: Any, result: TemperatureCurves) -> None:
    gap = result.gap
    order = np.argsort(gap.temperature_K, kind="stable")
    kelvin, mean, u = (a[order] for a in (gap.temperature_K, gap.mean_ratio * 100.0, gap.mean_ratio_u * 100.0))
    points(axes, kelvin, gap.ratio[order] * 100.0, None, "#9a9a9a", "row by row")
    good = np.isfinite(mean) & np.isfinite(u)
    if good.any():
        axes.fill_between(kelvin[good], (mean - u)[good], (mean + u)[good], color=DOWN, alpha=0.3, lw=0)
        axes.plot(kelvin[good], mean[good], color=DOWN, lw=1.1, label="mean of five ± 1σ")
    axes.axhline(0.0, color=FIT, lw=0.7)
    axes.axhline(_PARTED_PERCENT, color=FIT, lw=0.7, ls=":", label=f"{_PARTED_PERCENT:.0f} %: parted above")
    axes.set(xlabel="temperature (K)", ylabel="(m_FC − m_ZFC) / m_FC (%)")
