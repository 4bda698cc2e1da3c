"""One band, two bands, and where the second one ends: what is recovered, how honestly, and what is refused."""

import functools
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from remanence.analysis.models import two_band_resistivity
from remanence.analysis.single_band import analyze_single_band
from remanence.analysis.transport_data import read_sweep
from remanence.analysis.transport_series import analyze_transport_series
from remanence.analysis.two_band import analyze_two_band
from remanence.analysis.two_band_model import Model
from remanence.analysis.two_band_result import BAND_KEYS
from remanence.core.records import EstimateStatus, Measured

sys.path.insert(0, str(Path(__file__).parent))
import transport_runs as runs
from figures import keep, new_figure

E_C = 1.602176634e-19
PAGE = Path(__file__).parents[1] / "docs" / "analysis" / "two-band.md"
FIFTEEN = runs.Truth(step_T=0.06, row_s=6.0)
SEVEN = runs.Truth(turns_T=(0.0, 7.0, -7.0, 7.0, 0.0), step_T=0.04)
FOURTEEN = runs.Truth(turns_T=(0.0, 14.0, -14.0, 14.0, 0.0), step_T=0.08, noise_ohm=0.1)
ONE = replace(SEVEN, densities_per_m2=(2.3e17,), mobilities_m2_per_Vs=(0.03,))


def truth_of(truth):
    pairs = sorted(zip(truth.densities_per_m2, truth.mobilities_m2_per_Vs, strict=True), key=lambda pair: pair[1])
    return dict(zip(BAND_KEYS, np.ravel(pairs), strict=True))


def deviations(truth, **options):
    """(estimate − truth)/u of n1, µ1, n2, µ2; the sweep must be resolved."""
    result = analyze_two_band(runs.frame(truth), **options)
    assert result.resolved, result.estimate.text
    values = result.estimate.values
    return np.array([(values[key].value - true) / values[key].u for key, true in truth_of(truth).items()])


@functools.cache
def usual():
    """The result of SEVEN, which several tests look at."""
    return analyze_two_band(runs.frame(SEVEN))


# The formulas


def test_the_reference_set_has_the_sheet_resistance_and_slopes_that_are_stated():
    field_T = np.array([0.0, 1e-3, 14.99, 15.01])
    r_xx, r_xy = two_band_resistivity(field_T, FIFTEEN.densities_per_m2, FIFTEEN.mobilities_m2_per_Vs)
    assert r_xx[0] == pytest.approx(694.0, abs=0.5)
    assert r_xy[1] / 1e-3 == pytest.approx(39.9, abs=0.05)
    assert (r_xy[3] - r_xy[2]) / 0.02 == pytest.approx(26.9, abs=2.0)
    assert r_xy[3] / 15.01 == pytest.approx(34.4, abs=0.05)


def test_formulas_and_test_runs_agree_though_they_share_nothing():
    field_T = np.linspace(-15.0, 15.0, 61)
    for ours, theirs in zip(
        two_band_resistivity(field_T, (1.8e17, 0.5e17), (0.025, 0.09)), runs.tensor(field_T, FIFTEEN), strict=True
    ):
        assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)


def test_every_derivative_of_the_model_is_that_of_finite_differences():
    sweep = read_sweep(runs.frame(SEVEN))
    model = Model(2, "erf", moment=True)
    bands = np.log([1.8e17, 0.025, 0.5e17, 0.09])
    rest = [0.3, 0.1, 0.02, 0.01, 0.001, 0.5, 0.8, 0.05, -0.045, np.log(0.03), 0.003, np.log(0.1), 0.4, np.log(1.5)]
    p = np.concatenate((bands, rest))
    *_, j_xx, j_xy = model.evaluate(sweep, p)
    for k in range(p.size):
        h = np.zeros(p.size)
        h[k] = 1e-5 * max(1.0, abs(p[k]))
        up, down = model.evaluate(sweep, p + h), model.evaluate(sweep, p - h)
        for j, a, b in ((j_xx, up[0], down[0]), (j_xy, up[1], down[1])):
            slope = (a - b) / (2.0 * h[k])
            assert np.abs(slope - j[k]).max() <= 1e-5 * max(np.abs(slope).max(), 1e-6), k


# Two bands


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"ahe_ohm": 0.0},
        {"ahe_ohm": -1.5, "sign": -1.0},
        {"delay_s": 1.2, "drift_ohm": 0.3, "localization": 0.005},
        {"correlation": 0.7},
        {"noise_ohm": 0.5},
        {"densities_per_m2": (2.2e17, 0.15e17), "mobilities_m2_per_Vs": (0.03, 0.5)},
        {"turns_T": (7.0, -7.0)},
        {"turns_T": (0.0, 12.0, -12.0, 12.0, 0.0), "mobilities_m2_per_Vs": (0.02, 0.0834)},
    ],
)
def test_densities_and_mobilities_are_recovered_within_three_standard_errors(change):
    assert np.abs(deviations(runs.draw(1, base=replace(SEVEN, **change)))).max() < 3.0


def test_the_interval_covers_the_truth_and_is_not_needlessly_wide():
    z = np.array([deviations(runs.draw(seed, base=FOURTEEN)) for seed in range(20)])
    assert (np.abs(z) < 1.96).mean() >= 0.88
    assert np.abs(z.mean(axis=0)).max() < 0.7
    assert 0.6 < np.sqrt((z**2).mean()) < 1.35


def test_the_parts_of_the_budget_make_up_the_uncertainty_and_the_covariance():
    result = analyze_two_band(runs.frame(SEVEN), field_scale_u=1e-3)
    for k, key in enumerate(BAND_KEYS):
        budget, u = result.budget(key), result.estimate.values[key].u
        assert set(budget) == {"statistical", "window", "model", "field scale"}
        assert np.sqrt(sum(part**2 for part in budget.values())) == pytest.approx(u, rel=1e-6)
        assert np.sqrt(result.covariance[k, k]) == pytest.approx(u, rel=1e-6)
        low, high = result.intervals_95[key]
        assert high - low == pytest.approx(3.92 * u, rel=0.02)
    assert result.estimate.values["density_total_per_m2"].u < result.estimate.values["density_1_per_m2"].u * 1.5


def test_hall_voltage_alone_is_never_fitted_with_four_parameters():
    frame = runs.frame(SEVEN).drop(columns="R_xx_ohm")
    result = analyze_two_band(frame)
    assert result.estimate.status is EstimateStatus.NOT_RESOLVED
    assert "three coefficients" in result.estimate.text
    assert not set(BAND_KEYS) & set(result.estimate.values)


def test_hall_voltage_with_a_given_sheet_resistance_is_fitted():
    sheet = float(two_band_resistivity(0.0, SEVEN.densities_per_m2, SEVEN.mobilities_m2_per_Vs)[0])
    truth = replace(FIFTEEN, misalignment=0.0)
    frame = runs.frame(truth).drop(columns="R_xx_ohm")
    result = analyze_two_band(frame, sheet_resistance_ohm=Measured(sheet + 0.05, 0.1))
    assert result.resolved, result.estimate.text
    for key, true in truth_of(truth).items():
        measured = result.estimate.values[key]
        assert abs(measured.value - true) < 3.0 * measured.u, key


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (ONE, "one band describes"),
        (replace(ONE, localization=0.005, delay_s=1.2), "one band describes"),
        (replace(ONE, paramagnet_ohm=1.0), "one band"),
        (replace(SEVEN, turns_T=(0.0, 3.0, -3.0, 3.0, 0.0), step_T=0.012), "µ2 B_max"),
        (replace(SEVEN, noise_ohm=40.0), "not separable"),
    ],
)
def test_two_bands_that_are_not_separable_are_refused_with_the_reason(truth, reason):
    result = analyze_two_band(runs.frame(replace(truth, step_T=2.5 * truth.step_T, seed=1)))
    assert result.estimate.status is EstimateStatus.NOT_RESOLVED
    assert reason in result.estimate.reasons[0]
    assert not set(BAND_KEYS) & set(result.estimate.values)


def test_what_no_band_explains_is_refused_rather_than_put_into_the_bands():
    """A linear magnetoresistance of 1 % up to 7 T: two bands fit it to 0.02 Ω, with densities wrong by many u."""
    truth = replace(SEVEN, magnetoresistance_per_T=0.0015, step_T=0.08)
    result = analyze_two_band(runs.frame(truth))
    assert result.estimate.status is EstimateStatus.NOT_RESOLVED
    assert "in R_xx that is the same up and down" in result.estimate.text
    assert not set(BAND_KEYS) & set(result.estimate.values)


def test_a_misfit_that_is_known_by_its_shifts_widens_the_uncertainty():
    """R_xx that is 2 % off: windows and a free length over width say so, and u holds the truth."""
    frame = runs.frame(SEVEN)
    frame["R_xx_ohm"] *= 1.02
    result = analyze_two_band(frame)
    assert any("check length over width" in reason for reason in result.estimate.reasons)
    beyond = 0.0
    for key, true in truth_of(SEVEN).items():
        measured, budget = result.estimate.values[key], result.budget(key)
        assert abs(measured.value - true) < 3.0 * measured.u, key
        assert np.hypot(budget["window"], budget["model"]) > budget["statistical"], key
        beyond = max(beyond, abs(measured.value - true) / budget["statistical"])
    assert beyond > 4.0


def test_where_the_likelihood_is_no_parabola_the_interval_follows_it():
    """µ1 falls further than it rises: neither ±1.96 u nor the same of the logarithm, which is longer upwards."""
    result = analyze_two_band(runs.frame(replace(SEVEN, noise_ohm=8.0, seed=3)))
    arms = {}
    for key, true in truth_of(SEVEN).items():
        low, high = result.intervals_95[key]
        value, u = result.estimate.values[key].value, result.estimate.values[key].u
        assert low < true < high, key
        assert high - low == pytest.approx(3.92 * u, rel=0.05), key
        arms[key] = (high - value) / (value - low)
    assert arms["mobility_1_m2_per_Vs"] < 0.8
    assert arms["density_2_per_m2"] > 1.2


def test_where_one_band_is_enough_its_values_are_kept():
    result = analyze_two_band(runs.frame(ONE))
    density, mobility = result.one_band["density_per_m2"], result.one_band["mobility_m2_per_Vs"]
    assert abs(density.value - 2.3e17) < 3.0 * density.u
    assert abs(mobility.value - 0.03) < 3.0 * mobility.u
    assert result.delta_bic < 10.0


def test_the_sign_of_the_hall_voltage_is_the_carriers():
    assert usual().carriers == "electrons"
    assert analyze_two_band(runs.frame(replace(SEVEN, sign=-1.0))).carriers == "holes"


def test_length_over_width_and_its_uncertainty_go_into_the_answer():
    frame = runs.frame(SEVEN)
    frame["R_xx_ohm"] *= 4.0
    sharp = analyze_two_band(frame, squares=4.0)
    loose = analyze_two_band(frame, squares=Measured(4.0, 0.08))
    for key, true in truth_of(SEVEN).items():
        assert abs(loose.estimate.values[key].value - true) < 3.0 * loose.estimate.values[key].u
    assert loose.estimate.values["density_1_per_m2"].u > sharp.estimate.values["density_1_per_m2"].u


def test_the_same_rows_give_the_same_answer():
    assert usual().estimate == analyze_two_band(runs.frame(SEVEN)).estimate


def test_bad_rows_are_skipped_and_counted_and_change_little():
    frame = runs.frame(SEVEN)
    clean = usual().estimate.values
    dirty = frame.copy()
    rng = np.random.default_rng(5)
    at = rng.choice(np.arange(20, len(frame) - 20, 4), 60, replace=False)
    dirty.loc[at[:15], "R_xx_ohm"] = np.nan
    dirty.loc[at[15:30], "field_T"] = np.nan
    dirty["flags"] = dirty["flags"].astype(object)
    dirty.loc[at[30:40], "flags"] = "xy_overload"
    dirty.loc[at[30:40], "R_xy_ohm"] = 1e4
    dirty.loc[at[40:], "R_xy_ohm"] += 5.0
    result = analyze_two_band(dirty)
    assert any(reason.startswith("40 of ") for reason in result.estimate.reasons)
    assert any(reason.startswith("20 rows were dropped") for reason in result.estimate.reasons)
    for key in BAND_KEYS:
        assert abs(result.estimate.values[key].value - clean[key].value) < 2.0 * clean[key].u


def test_bad_input_is_told_in_one_sentence():
    frame = runs.frame(SEVEN)
    for analyze in (analyze_two_band, analyze_single_band):
        with pytest.raises(ValueError, match="R_xy_ohm"):
            analyze(frame.drop(columns="R_xy_ohm"))
        with pytest.raises(ValueError, match="field_T is not of numbers"):
            analyze(frame.assign(field_T="off"))
        with pytest.raises(ValueError, match="nothing to fit"):
            analyze(frame.iloc[:0])
        with pytest.raises(ValueError, match="squares"):
            analyze(frame, squares=-1.0)
        assert analyze(frame.iloc[:15]).estimate.status is EstimateStatus.NOT_RESOLVED


# One band


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"ahe_ohm": 0.0},
        {"sign": -1.0},
        {"delay_s": 1.2, "drift_ohm": 0.3, "localization": 0.005, "misalignment": 0.05},
        {"turns_T": (7.0, -7.0)},
        {"turns_T": (1.0, -1.0, 1.0), "step_T": 0.004},
        {"correlation": 0.7},
        {"walk_ohm": 0.01},
    ],
)
def test_one_band_is_recovered_from_a_hysteretic_sample(change):
    truth = runs.draw(1, base=replace(ONE, **change))
    result = analyze_single_band(runs.frame(truth))
    assert result.resolved, result.estimate.text
    density, mobility = (result.estimate.values[key] for key in ("density_per_m2", "mobility_m2_per_Vs"))
    assert abs(density.value - truth.densities_per_m2[0]) < 3.0 * density.u
    assert abs(mobility.value - truth.mobilities_m2_per_Vs[0]) < 3.0 * mobility.u
    assert density.u < 1e-3 * density.value
    assert result.carriers == ("holes" if truth.sign < 0 else "electrons")
    assert result.covariance[0, 1] < 0.0


def test_a_voltage_that_walks_is_in_the_uncertainty_of_one_band():
    """The walk gathers ten times a row's noise; a fit that takes it for noise of rows is wrong by several u."""
    base = replace(ONE, turns_T=(7.0, -7.0, 7.0), noise_ohm=0.01, walk_ohm=0.003)
    z = []
    for seed in range(12):
        truth = runs.draw(seed, base=base)
        density = analyze_single_band(runs.frame(truth)).estimate.values["density_per_m2"]
        z.append((density.value - truth.densities_per_m2[0]) / density.u)
    assert np.abs(z).max() < 3.3
    assert 0.5 < np.sqrt(np.mean(np.square(z))) < 1.5


def test_the_loop_does_not_make_the_slope():
    """Fitted as a straight line, a loop of 3 Ω over ±1 T would be tens of standard errors of slope."""
    truth = replace(ONE, turns_T=(1.0, -1.0, 1.0), step_T=0.004, ahe_ohm=3.0)
    frame = runs.frame(truth)
    values = analyze_single_band(frame).estimate.values
    true = 1.0 / (E_C * 2.3e17)
    assert abs(values["hall_slope_ohm_per_T"].value - true) < 3.0 * values["hall_slope_ohm_per_T"].u
    assert values["ahe_amplitude_ohm"].value == pytest.approx(3.0, abs=0.05)
    line = np.polyfit(frame["field_T"], frame["R_xy_ohm"], 1)[0]
    assert abs(line - true) > 20.0 * values["hall_slope_ohm_per_T"].u


def test_two_bands_are_not_called_one():
    for seed in (1, 2, 3):
        result = analyze_single_band(runs.frame(replace(SEVEN, seed=seed)))
        assert result.estimate.status is EstimateStatus.NOT_RESOLVED
        assert result.estimate.text.startswith("not resolved: not one band: dR_xy/dB changes by -")
        assert "density_per_m2" not in result.estimate.values


def test_without_a_sheet_resistance_there_is_a_density_and_no_mobility():
    frame = runs.frame(ONE).drop(columns="R_xx_ohm")
    alone = analyze_single_band(frame)
    assert alone.resolved
    assert "mobility_m2_per_Vs" not in alone.estimate.values
    assert any("R_s is not known" in reason for reason in alone.estimate.reasons)
    given = analyze_single_band(frame, sheet_resistance_ohm=Measured(905.0, 9.0)).estimate.values["mobility_m2_per_Vs"]
    assert given.u == pytest.approx(0.01 * given.value, rel=0.01)


def test_a_flat_hall_voltage_has_no_density():
    frame = runs.frame(replace(ONE, ahe_ohm=0.0, misalignment=0.0))
    frame["R_xy_ohm"] = np.random.default_rng(1).normal(0.0, 0.02, len(frame))
    assert analyze_single_band(frame).estimate.status is EstimateStatus.NOT_RESOLVED


# A series of temperatures

TEMPERATURES_K = (2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)


@pytest.fixture(scope="module")
def sweeps():
    truths = [runs.at_temperature(kelvin, base=replace(FOURTEEN, seed=k)) for k, kelvin in enumerate(TEMPERATURES_K)]
    return truths, [analyze_two_band(runs.frame(truth)) for truth in truths]


def test_a_series_shows_two_bands_below_and_one_above_the_crossover(sweeps):
    truths, results = sweeps
    series = analyze_transport_series(list(reversed(results)))
    frame = series.frame()
    assert frame["temperature_K"].is_monotonic_increasing
    assert frame["bands"].iloc[:4].eq(2).all()
    assert frame["bands"].iloc[-1] == 1
    crossover = series.estimate.values["crossover_K"]
    assert 20.0 < crossover.value < 100.0
    assert 2.0 < crossover.u < 30.0
    for truth, row in zip(truths, frame.itertuples(), strict=True):
        if row.bands == 2:
            assert abs(row.density_total_per_m2 - 2.3e17) < 3.5 * row.u_density_total_per_m2
            # Far above µ2 B = 1 each band is seen by itself; near the crossover only their sum is.
            if truth.temperature_K >= 20.0:
                assert row.correlation_n1_n2 < -0.8
            else:
                assert abs(row.correlation_n1_n2) < 0.3
        elif row.bands == 1:
            assert abs(row.density_per_m2 / 2.3e17 - 1.0) < 0.02
            assert row.correlation_n_mu < -0.5
        assert truth.temperature_K == pytest.approx(row.temperature_K, abs=0.01)


def test_a_series_on_one_side_of_the_crossover_says_so(sweeps):
    _, results = sweeps
    cold = analyze_transport_series(results[:3]).estimate
    assert cold.status is EstimateStatus.NOT_RESOLVED
    assert cold.text.startswith("not resolved: no crossover: two bands at every temperature, 2 to 10 K")
    warm = analyze_transport_series(results[-1:]).estimate
    assert "one band at every temperature" in warm.text
    with pytest.raises(ValueError, match="at least one sweep"):
        analyze_transport_series([])


def test_one_band_results_join_a_series(sweeps):
    truths, results = sweeps
    single = analyze_single_band(runs.frame(truths[-1]))
    series = analyze_transport_series([*results[:-1], single])
    assert series.rows[-1].bands == 1
    assert series.frame()["u_density_per_m2"].iloc[-1] == pytest.approx(single.estimate.values["density_per_m2"].u)
    nameless = analyze_two_band(runs.frame(truths[0]).drop(columns="temperature_K"))
    with pytest.raises(ValueError, match="temperature"):
        analyze_transport_series([nameless])


# The page


def test_the_python_on_the_page_runs():
    names: dict[str, object] = {"frame": runs.frame(SEVEN), "__name__": "page"}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert blocks
    for code in blocks:
        exec(compile(code, PAGE.name, "exec"), names)
    assert isinstance(names["table"], pd.DataFrame)


def test_the_figure_is_drawn(sweeps):
    truths, results = sweeps
    keep(draw(results), "two-band")
    assert len(truths) == len(results)


def draw(results):
    """One cold sweep with its fit, its magnetoresistance, and the whole series."""
    curve, values = results[1].curve, results[1].estimate.values
    figure = new_figure(11.0, 4.0)
    hall, resistance, series = figure.subplots(1, 3)
    order = np.argsort(curve.field_T)
    field = curve.field_T[order]
    slope = values["slope_at_zero_ohm_per_T"].value
    level = float(np.median((curve.r_xy_fit_ohm - slope * curve.field_T)[np.abs(curve.field_T) < 0.5]))
    some = order[::12]
    hall.plot(
        curve.field_T[some],
        (curve.r_xy_ohm - slope * curve.field_T)[some] - level,
        "o",
        ms=4,
        color="0.65",
        label="measured, every 12th",
    )
    hall.plot(
        field, (curve.r_xy_fit_ohm - slope * curve.field_T)[order] - level, lw=1.2, color="C0", label="two bands + loop"
    )
    hall.set(xlabel="µ₀H (T)", ylabel="R_xy − (dR_xy/dB)₀ B − offset (Ω)", title="5 K: bends away from a line")
    hall.legend(frameon=False, loc="upper right")
    resistance.plot(curve.field_T[some], curve.r_xx_ohm[some], "o", ms=4, color="0.65")
    resistance.plot(field, curve.r_xx_fit_ohm[order], lw=1.2, color="C0")
    resistance.set(xlabel="µ₀H (T)", ylabel="R_xx (Ω per square)", title="5 K: what fixes the fourth parameter")
    table = analyze_transport_series(results)
    frame = table.frame()
    shown = (
        ("density_1_per_m2", "o", "C0", "n₁ (low mobility)"),
        ("density_2_per_m2", "s", "C1", "n₂ (high mobility)"),
        ("density_per_m2", "D", "0.2", "n, one band"),
    )
    for key, marker, colour, label in shown:
        series.errorbar(
            frame["temperature_K"], frame[key] * 1e-17, frame[f"u_{key}"] * 1e-17, fmt=marker, color=colour, ms=5,
            capsize=2, label=f"{label}, ±1 u",
        )  # fmt: skip
    crossover = table.estimate.values["crossover_K"]
    series.axvspan(crossover.value - crossover.u, crossover.value + crossover.u, color="0.9", zorder=0)
    series.set(xscale="log", ylim=(0.0, 3.4), xlabel="T (K)", ylabel="sheet density (10¹³ cm⁻²)")
    series.set_title(f"second band seen up to {crossover.value:.0f} ± {crossover.u:.0f} K")
    series.set_xticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    series.minorticks_off()
    series.legend(frameon=False, loc="upper left", fontsize=8)
    return figure
