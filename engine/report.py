"""What is kept of an analysis beside its run: the estimate as JSON, and a figure of the loop with its fit."""

import json
from pathlib import Path
from typing import Any

from ..analysis.hall_loop import HallLoopEstimator, LegCurve
from ..core.records import Estimate, EstimateStatus, Measured

# The colours of the window: readable for colour-blind eyes and in grey, at more than 5:1 on white.
_DOWN, _UP, _FIT, _VIRGIN = "#0059b3", "#c23b00", "#111111", "#7a7a7a"
_WINDOW_IN_COERCIVE_FIELDS = 6.0
_WINDOW_T = 0.3


def keep_analysis(folder: Path, estimate: Estimate | None, estimator: HallLoopEstimator | None, title: str) -> str:
    """Write `analysis/hall_loop.json` and `analysis/loop.png` into a run's folder.

    Gives the figure's name within the folder, empty when there was nothing to draw. Analyses may be made again: both
    files are replaced, the run itself is not touched.
    """
    if estimate is None or estimator is None:
        return ""
    analysis = folder / "analysis"
    analysis.mkdir(exist_ok=True)
    record = {
        "analysis": "hall_loop", "status": estimate.status, "text": estimate.text, "rows": estimate.rows,
        "reasons": list(estimate.reasons), "budget_T": dict(estimate.budget),
        "values": {key: {"value": m.value, "u": m.u} for key, m in estimate.values.items()},
    }  # fmt: skip
    (analysis / "hall_loop.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    legs = [leg for leg in estimator.curve() if len(leg.field_T) > 1]
    if not legs:
        return ""
    draw_loop(analysis / "loop.png", legs, estimate, title)
    return "analysis/loop.png"


def draw_loop(path: Path, legs: list[LegCurve], estimate: Estimate, title: str) -> None:
    """A figure of the whole loop, and of what remains near zero field when all but the anomalous part is taken away."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    whole, near = figure.subplots(1, 2)
    window_T = _near_window(estimate)
    for leg in legs:
        colour, label, style = _style(leg)
        whole.plot(leg.field_T, leg.r_xy_ohm, style, color=colour, lw=1, label=label)
        inside = abs(leg.corrected_T) <= window_T
        if leg.number and inside.any():
            near.plot(leg.corrected_T[inside] * 1e3, leg.ahe_ohm[inside], ".", ms=2.5, color=colour, label=label)
            near.plot(leg.corrected_T[inside] * 1e3, leg.ahe_fitted_ohm[inside], "-", lw=1.2, color=_FIT)
    for key in ("coercive_up_T", "coercive_down_T"):
        crossing = estimate.values.get(key)
        if crossing is not None and estimate.status is not EstimateStatus.NOT_RESOLVED:
            _band(near, crossing, _UP if key == "coercive_up_T" else _DOWN)
    near.axhline(0.0, color="#999999", lw=0.6)
    whole.set(xlabel="µ₀H (T)", ylabel="R_xy (Ω)", title=title)
    near.set(xlabel="µ₀H, corrected for lag and trapped flux (mT)", ylabel="anomalous part of R_xy (Ω)")
    near.set_title(estimate.text if len(estimate.text) < 64 else f"{estimate.text[:61]}…", fontsize=10)
    for axes in (whole, near):
        handles, labels = axes.get_legend_handles_labels()
        if handles:
            unique = dict(zip(labels, handles, strict=True))
            axes.legend(unique.values(), unique.keys(), frameon=False, fontsize=8)
    # Written beside and moved into place: an analysis that is repeated never leaves half a picture.
    half = path.with_name(f"{path.name}.part")
    figure.savefig(half, format="png")
    half.replace(path)


def _style(leg: LegCurve) -> tuple[str, str, str]:
    if leg.number == 0:
        return _VIRGIN, "first rise", "--"
    return (_UP, "▲ rising", "-") if leg.rising else (_DOWN, "▼ falling", "-")


def _near_window(estimate: Estimate) -> float:
    value = estimate.values.get("coercive_field_T")
    return _WINDOW_T if value is None else _WINDOW_IN_COERCIVE_FIELDS * value.value


def _band(axes: Any, crossing: Measured, colour: str) -> None:
    low, high = crossing.value - crossing.u, crossing.value + crossing.u
    axes.axvspan(low * 1e3, high * 1e3, color=colour, alpha=0.35, lw=0)
