"""The figure of an M(H) loop: what was measured with its fit, and the film alone near the coercive field."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ..analysis.magnetisation_loop import MagnetisationResult
from ..analysis.models import Mask
from ..core.records import EstimateStatus
from .figures import DOWN, FIT, UP, VIRGIN, band, legend, level, new_figure, points, prefix_of, title_of

_EMU_PER_Am2 = 1e3
_NEAR = 4.0  # times the coercive field
_LEAST_POINTS = 30
_SHARE = 0.15  # of the largest field, where there is no coercive field to go by
_IN_TESLA = 1.0
_GOOD = 0.5
_SATURATION, _REMANENCE = "#007a5e", "#8f3985"


def draw_magnetisation(result: MagnetisationResult, title: str) -> Any:
    """m(H) as measured with the whole fit; and less the background, with ±1σ of H_C, m_S and m_R."""
    with new_figure() as figure:
        whole, near = figure.subplots(1, 2)
        _whole(whole, result)
        whole.set_title(title_of(title, 46))
        _near(near, result)
        near.set_title(title_of(result.estimate.text, 50), fontsize=9)
        return figure


def as_measured(result: MagnetisationResult, frame: pd.DataFrame) -> MagnetisationResult:
    """`result` with the rows of `frame` where it was refused before a fit and carries none: the eye may still judge."""
    if result.field_T.size or not {"field_T", "moment_Am2"} <= set(frame.columns):
        return result
    field_T, moment_Am2 = frame["field_T"].to_numpy(dtype=float), frame["moment_Am2"].to_numpy(dtype=float)
    nothing = np.full(field_T.size, np.nan)
    rising = (np.gradient(field_T) > 0.0).astype(float) if field_T.size > 1 else np.zeros(field_T.size)
    return replace(
        result, field_T=field_T, moment_Am2=moment_Am2, moment_u_Am2=nothing, rising=rising, film_Am2=nothing,
        fit_Am2=nothing, weight=np.ones(field_T.size),
    )  # fmt: skip


def _whole(axes: Any, result: MagnetisationResult) -> None:
    factor, prefix = prefix_of(result.moment_Am2 * _EMU_PER_Am2)
    scale = factor * _EMU_PER_Am2
    # Where no shape fitted, or nothing was found, the best one is shown as what it is.
    fits = _resolved(result) and result.method == "shape"
    colour, style, label = (FIT, "-", "fit") if fits else (VIRGIN, ":", "nearest shape")
    for mask, own, name in _branches(result):
        points(axes, result.field_T[mask], result.moment_Am2[mask] * scale, None, own, name)
    for mask, _, _ in _branches(result):
        order = np.argsort(result.field_T[mask], kind="stable")
        if np.isfinite(result.fit_Am2).any():
            fit = result.fit_Am2[mask][order] * scale
            axes.plot(result.field_T[mask][order], fit, style, color=colour, lw=1.0, label=label)
    axes.set(xlabel="µ₀H (T)", ylabel=f"moment ({prefix}emu)")
    legend(axes, loc="upper left")


def _near(axes: Any, result: MagnetisationResult) -> None:
    """The film alone where it switches; where nothing was claimed, what was measured there."""
    claimed = _resolved(result)
    reach_T = _reach(result)
    inside = np.abs(result.field_T) <= reach_T
    moment, u = (result.film_Am2, result.moment_u_Am2) if claimed else (result.moment_Am2, None)
    per_T, unit = (1.0, "T") if reach_T > _IN_TESLA else (1e3, "mT")
    factor, prefix = prefix_of(moment[inside] * _EMU_PER_Am2)
    scale = factor * _EMU_PER_Am2
    lost = inside & (result.weight < _GOOD) if claimed and result.method == "shape" else np.zeros_like(inside)
    for mask, colour, label in _branches(result):
        good, bad = mask & inside & ~lost, mask & lost
        bars = None if u is None else u[good] * scale
        points(axes, result.field_T[good] * per_T, moment[good] * scale, bars, colour, label)
        if bad.any():
            how = {"ms": 4, "color": colour, "label": "no weight in the fit"}
            axes.plot(result.field_T[bad] * per_T, moment[bad] * scale, "x", **how)
    if claimed:
        values = result.estimate.values
        band(axes, values.get("coercive_up_T"), UP, per_T, "crossings ± 1σ")
        band(axes, values.get("coercive_down_T"), DOWN, per_T)
        saturation = values.get("saturation_moment_Am2")
        if saturation is not None and inside.any() and abs(saturation.value) < 1.3 * np.nanmax(np.abs(moment[inside])):
            level(axes, saturation, _SATURATION, scale, "m_S ± 1σ")
        level(axes, values.get("remanent_moment_Am2"), _REMANENCE, scale, "m_R ± 1σ")
    axes.axhline(0.0, color="#999999", lw=0.6, zorder=0)
    axes.axvline(0.0, color="#999999", lw=0.6, zorder=0)
    what = "moment less background" if claimed else "moment as measured"
    axes.set(xlabel=f"µ₀H ({unit})", ylabel=f"{what} ({prefix}emu)")
    axes.set_xlim(-1.04 * reach_T * per_T, 1.04 * reach_T * per_T)
    legend(axes, loc="lower right")


def _branches(result: MagnetisationResult) -> "tuple[tuple[Mask, str, str], ...]":
    rising = result.rising > 0.5
    return (~rising, DOWN, "▼ falling"), (rising, UP, "▲ rising")


def _resolved(result: MagnetisationResult) -> bool:
    return result.estimate.status is EstimateStatus.RESOLVED


def _reach(result: MagnetisationResult) -> float:
    """How far the near panel goes: some coercive fields, but as far as thirty points reach."""
    if not result.field_T.size:
        return 1.0
    all_T = float(np.abs(result.field_T).max())
    nearest = np.sort(np.abs(result.field_T))
    least = float(nearest[min(_LEAST_POINTS, nearest.size - 1)])
    coercive = result.estimate.values.get("coercive_field_T")
    if coercive is None or not _resolved(result):
        return min(all_T, max(_SHARE * all_T, least))
    return min(all_T, max(_NEAR * abs(coercive.value), 20 * coercive.u, least))
