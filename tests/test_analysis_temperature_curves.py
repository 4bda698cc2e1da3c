"""m(T) field cooled and zero-field cooled: do the intervals cover, and is nothing claimed where nothing is."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from remanence.analysis.curie_weiss import effective_moment
from remanence.analysis.temperature_curves import analyze_temperature_curves
from remanence.core.records import EstimateStatus, Measured

sys.path.insert(0, str(Path(__file__).parent))
import temperature_curve_runs as runs
from figures import keep, new_figure

REAL = Path(__file__).parents[2] / "shared" / "data" / "mpms3_zfcfc_magnetopy.dat"
CURIE = runs.Truth(kind="curie")
CURIE_KEYS = ("curie_constant_m3_K", "curie_weiss_theta_K", "chi0_m3")


def analyze(truth, **more):
    return analyze_temperature_curves(runs.frame(truth), **more)


@pytest.mark.parametrize("base", [CURIE, replace(CURIE, with_u=True)], ids=["no u", "with u"])
def test_curie_weiss_covers_and_its_error_is_near_the_fisher_bound(base):
    z, ratio = [], []
    for seed in range(12):
        truth = runs.draw(base, seed)
        values = analyze(truth).estimate.values
        true = (truth.curie_m3_K, truth.theta_K, truth.chi0_m3)
        z.append([(values[key].value - t) / values[key].u for key, t in zip(CURIE_KEYS, true, strict=True)])
        ratio.append([values[key].u / b for key, b in zip(CURIE_KEYS, runs.curie_bound(truth), strict=True)])
    assert np.mean(np.abs(z) < 1.96) >= 0.83
    assert np.max(np.abs(z)) < 4.0
    assert (np.abs(np.median(ratio, axis=0) - 1.0) < 0.2).all()


def test_theta_is_refused_where_it_depends_on_the_window():
    """Particles above their blocking temperatures, of many sizes: 1/T with an amplitude that drifts."""
    truth = replace(CURIE, seed=1)
    frame = runs.frame(truth)
    t = frame["temperature_K"]
    frame["moment_Am2"] += 3e-8 * np.exp(-t / 40.0)
    result = analyze_temperature_curves(frame)
    assert "curie_weiss_theta_K" not in result.estimate.values
    assert any("θ depends on the window" in reason for reason in result.estimate.reasons)


def test_blocking_is_placed_within_its_interval():
    z = []
    for seed in range(10):
        truth = runs.draw(runs.Truth(), seed)
        values = analyze(truth).estimate.values
        for key, true in (
            ("irreversibility_temperature_K", truth.irreversibility_K),
            ("blocking_temperature_K", truth.maximum_K),
        ):
            z.append((values[key].value - true) / values[key].u)
    assert np.mean(np.abs(z) < 1.96) >= 0.8
    assert np.max(np.abs(z)) < 4.0


@pytest.mark.parametrize("noise_Am2", [2e-11, 4e-10])
def test_branches_that_agree_have_no_irreversibility(noise_Am2):
    for seed in range(8):
        result = analyze(runs.draw(runs.Truth(kind="agree", noise_Am2=noise_Am2), seed))
        assert "irreversibility_temperature_K" not in result.estimate.values
        assert any(reason.startswith("no irreversibility") for reason in result.estimate.reasons)


def test_a_gap_all_the_way_up_after_cooling_in_another_field_is_a_remanence():
    result = analyze(runs.Truth(kind="gap"), measuring_field_T=0.1, cooling_field_T=4.0)
    reasons = " | ".join(result.estimate.reasons)
    assert result.estimate.status is EstimateStatus.NOT_RESOLVED
    assert "no T_irr below 300 K" in reasons
    assert "FC was cooled in 4 T and measured in 0.1 T" in reasons
    assert "does not depend on temperature" in reasons
    assert "blocking_temperature_K" not in result.estimate.values


def test_a_maximum_at_the_edge_is_said_to_be_at_the_edge():
    result = analyze(CURIE)
    assert "zfc_maximum_K" not in result.estimate.values
    assert any("largest at its edge" in reason for reason in result.estimate.reasons)


def test_bad_rows_are_counted_and_do_not_move_the_answer():
    truth = runs.draw(runs.Truth(), 3)
    result = analyze_temperature_curves(runs.spoil(runs.frame(truth), 3))
    top = result.estimate.values["zfc_maximum_K"]
    assert abs(top.value - truth.maximum_K) < 4.0 * top.u
    reasons = " | ".join(result.estimate.reasons)
    assert "rows are flagged or no numbers" in reasons and "stand out from their neighbours" in reasons


def test_a_lagging_thermometer_is_measured_where_fc_was_taken_on_cooling():
    truth = replace(CURIE, lag_K=1.0, cooling=True, seed=2)
    lag = analyze(truth).estimate.values["thermometer_lag_K"]
    assert abs(lag.value - 1.0) < 0.15


def test_branches_are_found_by_the_history_without_a_column_and_in_two_frames():
    truth = runs.draw(runs.Truth(), 5)
    frame = runs.frame(truth)
    named = analyze_temperature_curves(frame).estimate.values["zfc_maximum_K"]
    bare = analyze_temperature_curves(frame.drop(columns="branch")).estimate.values["zfc_maximum_K"]
    zfc, fc = (part.drop(columns="branch") for _, part in frame.groupby("branch", sort=False))
    two = analyze_temperature_curves(zfc, fc).estimate.values["zfc_maximum_K"]
    assert bare.value == pytest.approx(named.value, rel=1e-3)
    assert two.value == pytest.approx(named.value, rel=1e-9)


def test_the_effective_moment_of_free_spins_is_theirs():
    """Seven halves (Gd³⁺): µ_eff = 2 √(7/2 · 9/2) = 7.94 µB; C = 7.88 cm³ K/mol is 4π · 7.88e-6 m³ K/mol."""
    moment = effective_moment(Measured(4e-6 * np.pi * 7.875, 1e-9), Measured(6.02214076e23, 0.0))
    assert moment.value == pytest.approx(7.94, abs=0.01)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.drop(columns="moment_Am2"), "moment_Am2 is missing"),
        (lambda f: f.assign(branch="hot"), "branch holds hot"),
        (lambda f: f[f["branch"] == "ZFC"], "needs a ZFC and an FC branch"),
    ],
)
def test_bad_frames_are_refused_in_a_sentence(change, says):
    with pytest.raises(ValueError, match=says):
        analyze_temperature_curves(change(runs.frame(runs.Truth())))


@pytest.fixture(scope="module")
def real():
    if not REAL.exists():
        pytest.skip("the real file is not here")
    lines = REAL.read_text(encoding="latin-1").splitlines()
    table = pd.read_csv(io.StringIO("\n".join(lines[lines.index("[Data]") + 1 :])))
    frame = pd.DataFrame(
        {
            "temperature_K": table["Temperature (K)"],
            "moment_Am2": table["DC Moment Fixed Ctr (emu)"] * 1e-3,
            "field_T": table["Magnetic Field (Oe)"] * 1e-4,
        }
    )
    return analyze_temperature_curves(frame)


def test_a_real_file_gives_sensible_numbers(real):
    """The gap falls to 2 % near 100 K; the broad maximum at 213 K is in both branches and blocks nothing."""
    values = real.estimate.values
    assert values["irreversibility_temperature_K"].value == pytest.approx(101.3, abs=1.5)
    assert values["zfc_maximum_K"].value == pytest.approx(213.0, abs=3.0)
    assert "blocking_temperature_K" not in values and "curie_weiss_theta_K" not in values
    assert any("no blocking temperature" in reason for reason in real.estimate.reasons)


def draw_figure(result, name):
    figure = new_figure()
    left, right = figure.subplots(1, 2)
    for branch, colour in ((result.zfc, "tab:blue"), (result.fc, "tab:red")):
        left.plot(branch.temperature_K, branch.moment_Am2 * 1e6, ".", ms=3, color=colour, label=branch.name)
    values = result.estimate.values
    for key, style, label in (
        ("irreversibility_temperature_K", "-", "T_irr"),
        ("zfc_maximum_K", "--", "max. of ZFC"),
    ):
        if key in values:
            m = values[key]
            for axes in (left, right):
                axes.axvspan(m.value - m.u, m.value + m.u, color="0.8")
                axes.axvline(m.value, color="0.3", ls=style, lw=1.0, label=f"{label} {m.value:.1f} ± {m.u:.1f} K")
    left.set_xlabel("temperature (K)")
    left.set_ylabel("moment (µA m²)")
    left.legend(frameon=False, fontsize=8)
    gap = result.gap
    right.fill_between(
        gap.temperature_K,
        100 * (gap.mean_ratio - gap.mean_ratio_u),
        100 * (gap.mean_ratio + gap.mean_ratio_u),
        color="tab:purple",
        alpha=0.3,
        label="±1σ",
    )
    right.plot(gap.temperature_K, 100 * gap.mean_ratio, color="tab:purple", lw=1.2, label="gap, mean of 5 rows")
    right.axhline(2.0, color="black", lw=0.8, ls=":", label="2 %")
    right.set_yscale("symlog", linthresh=1.0)
    right.set_yticks([-1, 0, 1, 2, 10, 50], ["−1", "0", "1", "2", "10", "50"])
    right.set_xlabel("temperature (K)")
    right.set_ylabel("(FC − ZFC)/|FC − substrate| (%)")
    right.legend(frameon=False, fontsize=8)
    keep(figure, name)


def test_figure_of_blocking():
    draw_figure(analyze(replace(runs.Truth(), seed=1)), "temperature-curves")


def test_figure_of_the_real_file(real):
    draw_figure(real, "temperature-curves-real")
