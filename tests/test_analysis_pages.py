"""The pages on analysis: their Python runs, the index names them all, and the figures of the two on Hall loops."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from remanence.analysis import refusals
from remanence.analysis.hall_loop import HallLoopSettings, estimator_of

from . import figures, transport_runs
from .hall_runs import run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import hall_coverage

ANALYSIS = Path(__file__).parents[1] / "docs" / "analysis"
PAGES = sorted(ANALYSIS.glob("*.md"))
# What a page calls `frame` without making it: a sweep of the reader's own.
FRAMES = {
    "two-band.md": lambda: transport_runs.frame(transport_runs.Truth(turns_T=(0.0, 7.0, -7.0, 7.0, 0.0), step_T=0.04))
}
FALLING, RISING, TRUE = "#0059b3", "#c23b00", "0.35"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    if page.name in FRAMES:
        names["frame"] = FRAMES[page.name]()
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
        exec(compile(code, page.name, "exec"), names)


def test_the_page_of_the_hall_loop_names_the_limits_that_hold():
    text = " ".join((ANALYSIS / "hall-loop.md").read_text(encoding="utf-8").split())
    for said in (
        f"likelihood ratio is {refusals.LEAST_RATIO:.0f} or less",
        f"A below {refusals.LEAST_AMPLITUDE:g} u(A)",
        f"The limits are then {refusals.LEAST_RATIO_OF_ONE:.0f} and {refusals.LEAST_AMPLITUDE_OF_ONE:g} u",
        f"above {refusals.MOST_RELATIVE_U:g} B_C",
        f"above {refusals.MOST_OF_WINDOW:g} of 0.5 T",
        f"by less than {refusals.LEAST_OVER_TRAPPED:.0f} in χ²",
        f"before {refusals.SATURATION:g} B_C",
    ):
        assert said in text
    summary = " ".join((ANALYSIS.parent / "uncertainty.md").read_text(encoding="utf-8").split())
    assert f"likelihood ratio above {refusals.LEAST_RATIO:.0f}," in summary


def test_the_index_names_every_page():
    index = next((page for page in PAGES if page.name == "README.md"), None)
    if index is None:
        pytest.skip("there is no index")
    text = index.read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page != index and f"({page.name})" not in text] == []


# -- figures ------------------------------------------------------------------------------------------------------


def fitted(hall):
    """The run's estimate, and what a plot needs of its first falling and rising leg from the tips."""
    found = estimator_of(hall.frame, HallLoopSettings(hall.metadata["time_constant_s"], int(hall.metadata["poles"])))
    return found.estimate(), found.curve()[1:3]


def mark(axes, measured, colour):
    """A crossing with its ±1σ."""
    axes.axvspan(
        1e3 * (measured.value - measured.u), 1e3 * (measured.value + measured.u), color=colour, alpha=0.25, lw=0
    )


def text_of(measured):
    return f"{1e3 * measured.value:.1f} ± {1e3 * measured.u:.1f} mT".replace("-", "−")


def loop_panel(axes, legs, limit_mT):
    for leg in legs:
        colour, name = (RISING, "rising") if leg.rising else (FALLING, "falling")
        near = np.abs(1e3 * leg.corrected_T) < limit_mT
        axes.plot(1e3 * leg.corrected_T[near], leg.ahe_ohm[near], ".", ms=3, color=colour, alpha=0.6, label=name)
        axes.plot(1e3 * leg.corrected_T[near], leg.ahe_fitted_ohm[near], "-", color=colour, lw=1.4)


def test_the_figure_of_the_method():
    hall = run("±1 T, 1 mT/s", 6)
    found, legs = fitted(hall)
    values, truth = found.values, hall.truth
    up, down = values["coercive_up_T"], values["coercive_down_T"]
    assert abs(up.value - truth.up_T) < 3.0 * up.u
    figure = figures.new_figure(11.0, 4.2)
    raw, loop, close = figure.subplots(1, 3)
    for leg in legs:
        near = np.abs(leg.field_T) < 0.2
        raw.plot(1e3 * leg.field_T[near], leg.r_xy_ohm[near], lw=1.2, color=RISING if leg.rising else FALLING,
                 label="rising" if leg.rising else "falling")  # fmt: skip
    raw.set(xlabel="field readback (mT)", ylabel="$R_{xy}$ (Ω)", title="As measured, bins of 2 mT")
    raw.legend(fontsize=8, loc="upper left")
    loop_panel(loop, legs, 200.0)
    loop.axhline(0.0, color="0.7", lw=0.6)
    for measured, colour in ((up, RISING), (down, FALLING)):
        mark(loop, measured, colour)
    loop.set(xlabel="field at the sample (mT)", ylabel="$R_{xy}$ less all but the loop (Ω)", title=found.text)
    leg = next(leg for leg in legs if leg.rising)
    sigma = float(np.nanstd((leg.ahe_ohm - leg.ahe_fitted_ohm)[np.abs(leg.corrected_T) < 0.2]))
    near = np.abs(leg.corrected_T - up.value) < 0.025
    x = 1e3 * leg.corrected_T[near]
    close.errorbar(x, leg.ahe_ohm[near], sigma, fmt=".", ms=4, lw=0.7, color=RISING, label="rising, bins ±1σ")
    close.plot(x, leg.ahe_fitted_ohm[near], "-", color="k", lw=1.2, label="fit")
    close.axhline(0.0, color="0.7", lw=0.6)
    mark(close, up, RISING)
    close.axvline(1e3 * truth.up_T, color=TRUE, ls="--", lw=1.2, label=f"true, {1e3 * truth.up_T:.1f} mT")
    close.set(xlabel="field at the sample (mT)", title=f"rising at {text_of(up)}, band ±1σ")
    close.legend(fontsize=8, loc="upper left")
    figures.keep(figure, "hall-loop")


def test_the_figure_of_hurried_analysis():
    hall = run("strong two-band curvature", 10)
    found, legs = fitted(hall)
    truth, ours, hurried = hall.truth, found.values["coercive_field_T"], hall_coverage.ordinary(hall).coercive
    assert abs(ours.value - truth.coercive_T) < 3.0 * ours.u
    assert abs(hurried.value - truth.coercive_T) > 5.0 * hurried.u
    frame = hall.frame[["field_T", "R_xy_ohm"]].dropna()
    field_T, r_xy = frame["field_T"].to_numpy(), frame["R_xy_ohm"].to_numpy()
    far = np.abs(field_T) > 0.7 * np.abs(field_T).max()
    left_ohm = r_xy - np.polyval(np.polyfit(field_T[far], r_xy[far], 1), field_T)
    bottom = int(np.argmin(field_T))
    top = int(np.argmax(field_T[:bottom]))
    figure = figures.new_figure(11.0, 4.2)
    raw, line, full = figure.subplots(1, 3)
    for piece, colour, name in (
        (slice(top, bottom), FALLING, "falling"), (slice(bottom, int(np.argmax(field_T[bottom:])) + bottom), RISING, "rising")
    ):  # fmt: skip
        path = 1e3 * field_T[piece]
        near = np.abs(path) < 300.0
        raw.plot(1e-3 * path[::20], r_xy[piece][::20], lw=1.2, color=colour, label=name)
        line.plot(path[near], left_ohm[piece][near], ".", ms=1.5, color=colour, alpha=0.5, label=name)
    raw.set(xlabel="field readback (T)", ylabel="$R_{xy}$ (Ω)", title="As measured")
    line.set(xlabel="field readback (mT)", ylabel="$R_{xy}$ less the line at large field (Ω)",
             title=f"hurried: {text_of(hurried)}")  # fmt: skip
    loop_panel(full, legs, 300.0)
    full.set(xlabel="field at the sample (mT)", ylabel="$R_{xy}$ less all but the loop (Ω)",
             title=f"full model: {text_of(ours)}")  # fmt: skip
    for axes in (line, full):
        axes.axhline(0.0, color="0.7", lw=0.6)
        for sign in (-1.0, 1.0):
            axes.axvline(sign * 1e3 * truth.coercive_T, color=TRUE, ls="--", lw=1.0,
                         label=f"true, {1e3 * truth.coercive_T:.1f} mT" if sign > 0 else None)  # fmt: skip
    for axes in (raw, line, full):
        axes.legend(fontsize=8, loc="upper left", markerscale=2)
    figures.keep(figure, "hurried")
