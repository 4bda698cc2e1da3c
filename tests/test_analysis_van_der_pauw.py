"""Van der Pauw and reciprocal Hall readings: numbers against a half-plane, refusals, diagnoses, coverage, a figure."""

import re
import sys
from dataclasses import replace
from math import log, pi, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from remanence.analysis import rectangle
from remanence.analysis.contact_readings import Reading, canonical
from remanence.analysis.reciprocity import hall_from_reciprocity
from remanence.analysis.rectangle import rectangle_series, solve_van_der_pauw, stretch_of
from remanence.analysis.van_der_pauw import KEYS, sheet_resistance
from remanence.core.records import EstimateStatus, Measured

sys.path.insert(0, str(Path(__file__).parent))
import contact_runs
import figures
from contact_runs import EIGHT, HallLoopRun, Square

PAGE = Path(__file__).parents[1] / "docs" / "analysis" / "van-der-pauw.md"
RESOLVED, REFUSED = EstimateStatus.RESOLVED, EstimateStatus.NOT_RESOLVED


def value(found, key):
    return found.estimate.values[key].value


def reasons(found) -> str:
    return " | ".join(found.estimate.reasons)


# -- the equation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [1.0, 1.001, 1.3, 9.37, 118.0, 1000.0])
def test_the_equation_is_solved_to_twelve_figures_in_ten_steps(ratio):
    r_s = float(solve_van_der_pauw(1.0, ratio))
    # Bisection in a long range knows nothing of Newton.
    low, high = 1e-3, 1e5
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.exp(-pi / middle) + np.exp(-pi * ratio / middle) < 1.0 else (low, middle)
    assert r_s == pytest.approx(low, rel=1e-12)
    assert rectangle.NEWTON_STEPS <= 10


def test_the_equation_takes_arrays_and_is_that_of_a_square():
    r_s = solve_van_der_pauw([1.0, 2.0], 1.0)
    assert r_s.shape == (2,)
    assert r_s[0] == pytest.approx(pi / log(2.0), rel=1e-14)


@pytest.mark.parametrize("a, b", [(0.0, 1.0), (1.0, -2.0), (np.nan, 1.0), (1.0, np.inf)])
def test_a_resistance_that_is_not_positive_is_refused_by_the_equation(a, b):
    with pytest.raises(ValueError, match="above zero"):
        solve_van_der_pauw(a, b)


def test_a_ratio_beyond_reason_is_refused_by_the_equation():
    with pytest.raises(ValueError, match="did not converge"):
        solve_van_der_pauw(1.0, 1e8)


@pytest.mark.parametrize("anisotropy, ratio", [(1.0, 1.0), (1.1, 1.35), (1.5, 3.63), (2.0, 9.37), (4.0, 118.0)])
def test_the_rectangle_series_agrees_with_a_conformal_map(anisotropy, ratio):
    stretch = sqrt(anisotropy)
    places = contact_runs.corners(stretch)
    a, b = (contact_runs.rim_ohm(label, places, 1.0) for label in ("12,34", "23,41"))
    assert rectangle_series(stretch) == pytest.approx(a, rel=1e-9)
    assert rectangle_series(1.0 / stretch) == pytest.approx(b, rel=1e-9)
    assert a / b == pytest.approx(ratio, rel=3e-3)
    assert stretch_of(a / b)[0] == pytest.approx(stretch, rel=1e-9)


@pytest.mark.parametrize(
    "label, name, direction, sign",
    [("12,34", "12,34", 1, 1), ("21,43", "12,34", -1, 1), ("21,34", "12,34", -1, -1), ("R_43,12", "34,12", -1, -1)],
)
def test_the_order_of_the_leads_gives_direction_and_sign(label, name, direction, sign):
    assert canonical(label) == (name, direction, sign)


# -- the sheet resistance -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("anisotropy", [1.0, 1.5, 4.0, 0.5])
def test_quiet_readings_give_back_what_was_put_in(anisotropy):
    run = Square(anisotropy=anisotropy, noise_ohm=1e-6)
    found = sheet_resistance(run.frame())
    a, b = run.pair_ohm
    wanted = (run.sheet_ohm, a, b, b / a, sqrt(anisotropy))
    assert [value(found, key) for key in KEYS] == pytest.approx(wanted, rel=1e-6)
    assert found.covariance is not None
    u = [found.estimate.values[key].u for key in KEYS]
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(u)


def test_a_rectangle_is_not_taken_for_an_anisotropy():
    run = Square(anisotropy=4.0, noise_ohm=1e-3)  # an even film twice as long as wide reads the same
    found = sheet_resistance(run.frame(), aspect=2.0)
    assert value(found, "anisotropy") == pytest.approx(1.0, abs=1e-4)
    assert "inhomogeneity" not in reasons(found)
    assert "inhomogeneity" in reasons(sheet_resistance(run.frame()))


@pytest.mark.parametrize("anisotropy, warned", [(1.0, False), (1.05, False), (1.15, True)])
def test_a_ratio_above_one_point_three_is_warned_of(anisotropy, warned):
    found = sheet_resistance(Square(anisotropy=anisotropy).frame())
    assert ("domains below 105 K" in reasons(found)) is warned


def test_a_ratio_that_may_be_chance_is_not_warned_of():
    found = sheet_resistance(Square(anisotropy=1.15, noise_ohm=40.0).frame())
    assert "domains" not in reasons(found)


def test_the_closed_uncertainty_is_that_of_many_samples():
    """Propagation against a Monte Carlo of the equation itself, correlation of R_s and R_A included."""
    run = Square(anisotropy=2.0, noise_ohm=2.0)
    found = sheet_resistance(run.frame())
    rng = np.random.default_rng(1)
    a, b = (r + found.estimate.values["R_A_ohm"].u * rng.standard_normal(40_000) for r in run.pair_ohm)
    r_s = solve_van_der_pauw(a, b)
    assert found.estimate.values["sheet_resistance_ohm"].u == pytest.approx(r_s.std(), rel=0.03)
    assert found.covariance is not None
    correlation = found.covariance[0, 1] / np.sqrt(found.covariance[0, 0] * found.covariance[1, 1])
    assert correlation == pytest.approx(np.corrcoef(r_s, a)[0, 1], abs=0.02)


@pytest.mark.parametrize(
    "run, with_u",
    [
        (Square(), True),
        (Square(anisotropy=4.0, gain_u=0.003), True),
        (Square(emf_ohm=20.0), True),
        (Square(labels=("12,34", "23,41")), True),
        (Square(repeats=3, noise_ohm=5.0), False),
    ],
    ids=["eight", "ratio 118, gain", "EMF", "two readings", "u from repeats"],
)
def test_intervals_cover(run, with_u):
    keys = {"sheet_resistance_ohm": run.sheet_ohm, "anisotropy": sqrt(run.anisotropy)}
    z = []
    for seed in range(200):
        drawn = replace(run, seed=seed)
        found = sheet_resistance(drawn.frame(with_u), gain_u=drawn.gain_u)
        values = found.estimate.values
        z.append([(values[key].value - truth) / values[key].u for key, truth in keys.items()])
    covered = np.mean(np.abs(z) < 1.96, axis=0)
    # Three binomial standard deviations of 200 runs.
    assert np.all(np.abs(covered - 0.95) < 0.05), covered
    assert np.all(np.abs(np.mean(z, axis=0)) < 0.2)


def test_a_gain_that_all_share_is_in_the_resistance_and_not_in_the_ratio():
    bare, gained = (sheet_resistance(Square().frame(), gain_u=gain).estimate for gain in (0.0, 0.01))
    assert gained.budget["gain"] == pytest.approx(0.01 * gained.values["sheet_resistance_ohm"].value)
    assert gained.values["R_B_over_R_A"].u == bare.values["R_B_over_R_A"].u


def test_a_thermal_emf_goes_with_the_reversal_and_stays_without_it():
    run = Square(emf_ohm=20.0)
    both = sheet_resistance(run.frame())
    assert value(both, "sheet_resistance_ohm") == pytest.approx(run.sheet_ohm, abs=3.0)
    assert "thermal EMF" in reasons(both)
    one = sheet_resistance(run.frame().iloc[::2])
    assert abs(value(one, "R_A_ohm") - value(both, "R_A_ohm")) > 3.0
    assert "one direction of the current" in reasons(one)
    most = sheet_resistance(run.frame().iloc[:7])  # one reversal is missing: its offset is guessed from the others
    assert most.estimate.values["R_B_ohm"].u > 5.0
    assert "are in u" in reasons(most)


@pytest.mark.parametrize(
    "labels, sentence",
    [
        (EIGHT[:6], "R_41,23 not read: fewer averages"),
        (("12,34", "34,12"), "no reading of R_B: measure R_23,41 or R_41,23"),
        (("41,23",), "no reading of R_A"),
    ],
)
def test_missing_configurations_are_said(labels, sentence):
    found = sheet_resistance(Square(labels=labels).frame())
    assert sentence in reasons(found)
    assert ("sheet_resistance_ohm" in found.estimate.values) is (len(labels) == 6)


@pytest.mark.parametrize(
    "scale, sentence",
    [
        (dict.fromkeys(EIGHT, -1.0), "every reading is negative: the voltage leads are exchanged"),
        ({"23,41": -1.0, "32,14": -1.0}, "R_23,41 negative and the others not"),
        (dict.fromkeys(EIGHT[:4], 0.0), "is not 3 times its u"),
        ({"12,34": 0.4, "21,43": 0.4}, "one of the two measured something else"),
        (dict.fromkeys(EIGHT[:4], 1e-5), "differ more than 10000 times"),
    ],
)
def test_readings_that_cannot_be_are_refused_with_the_reason(scale, sentence):
    found = sheet_resistance(Square(scale=scale, noise_ohm=1e-5 if 1e-5 in scale.values() else 0.5).frame())
    assert found.estimate.status is REFUSED
    assert sentence in reasons(found)
    assert "sheet_resistance_ohm" not in found.estimate.values


@pytest.mark.parametrize("contact", [1, 2, 3, 4])
def test_a_contact_that_is_bad_as_a_voltage_lead_is_named(contact):
    loaded = {label: 0.9 for label in EIGHT if str(contact) in label.split(",")[1]}
    found = sheet_resistance(Square(scale=loaded).frame())
    assert f"contact {contact} is bad as a voltage lead" in reasons(found)
    assert found.estimate.status is RESOLVED
    # The truth may be either reading: the u says so.
    assert found.estimate.budget["reciprocity"] > 5.0 * found.estimate.budget["statistical"]
    assert abs(value(found, "sheet_resistance_ohm") - 700.0) < 2.0 * found.estimate.values["sheet_resistance_ohm"].u


def test_two_point_resistances_name_a_bad_contact():
    two_point = {"12": 430.0, "23": 5200.0, "34": 5100.0, "41": 450.0}
    assert "contact 3 is bad: every two-point" in reasons(sheet_resistance(Square().frame(), two_point_ohm=two_point))
    good = {"12": 430.0, "23": 520.0, "34": 510.0, "41": 450.0}
    assert "bad" not in reasons(sheet_resistance(Square().frame(), two_point_ohm=good))


def test_good_samples_are_not_flagged():
    flagged = sum(
        any(defect.flagged for defect in sheet_resistance(Square(seed=seed, noise_ohm=8.0).frame()).defects)
        for seed in range(300)
    )
    assert flagged <= 6


def test_a_defect_that_is_certain_but_small_is_not_flagged():
    found = sheet_resistance(Square(scale={"12,34": 1.01, "21,43": 1.01}, noise_ohm=0.01).frame())
    (defect,) = [d for d in found.defects if d.kind == "reciprocity" and d.of[0] == "12,34"]
    assert defect.fraction.value == pytest.approx(0.01, abs=1e-3)
    assert defect.z > 50.0
    assert not defect.flagged


def test_rows_without_a_value_are_skipped_and_counted():
    frame = Square().frame()
    frame.loc[2, "R_ohm"] = np.nan
    assert "1 of 8 rows were skipped" in reasons(sheet_resistance(frame))


@pytest.mark.parametrize(
    "frame, sentence",
    [
        (pd.DataFrame({"configuration": ["12,34"]}), "R_ohm missing"),
        (pd.DataFrame({"configuration": ["12,35"], "R_ohm": [1.0], "R_u_ohm": [0.1]}), "contacts 1 to 4 once each"),
        (pd.DataFrame({"configuration": ["13,24"], "R_ohm": [1.0], "R_u_ohm": [0.1]}), "hall_from_reciprocity"),
        (pd.DataFrame({"configuration": ["12,34"], "R_ohm": [1.0], "R_u_ohm": [0.0]}), "above zero"),
        (pd.DataFrame({"configuration": ["12,34"], "R_ohm": [1.0]}), "too few repeats"),
        ([], "no van der Pauw reading"),
        ([Reading("12,34", Measured(float("nan"), 1.0))], "R_12,34"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(frame, sentence):
    with pytest.raises(ValueError, match=sentence):
        sheet_resistance(frame)


@pytest.mark.parametrize("key, ohm", [("15", 1.0), ("123", 1.0), ("12", -1.0)])
def test_bad_two_point_resistances_are_refused(key, ohm):
    with pytest.raises(ValueError, match="two-point"):
        sheet_resistance(Square().frame(), two_point_ohm={key: ohm})


# -- the Hall resistance ------------------------------------------------------------------------------------------


def test_the_half_difference_keeps_the_hysteresis_and_leaves_the_misalignment():
    run = HallLoopRun(noise_ohm=1e-6)
    found = hall_from_reciprocity(run.long())
    slope = 1.0 / (contact_runs.E_C * run.density_per_m2)
    for number, up in ((0.0, -1.0), (1.0, 1.0)):
        mine = found.leg == number
        b = found.field_T[mine]
        loop = slope * b + run.ahe_ohm * np.tanh((b - up * run.coercive_T) / run.width_T)
        assert found.r_xy_ohm[mine] == pytest.approx(loop, abs=5e-3)
        assert found.r_even_ohm[mine] == pytest.approx(run.even_ohm * (1.0 + 0.05 * (b / 2.0) ** 2), abs=5e-3)


def test_wide_and_long_readings_say_the_same():
    run = HallLoopRun()
    found = hall_from_reciprocity(run.long())
    wide = pd.DataFrame(
        {
            "field_T": found.field_T,
            "leg": found.leg,
            "R_13_24_ohm": found.r_even_ohm + found.r_xy_ohm,
            "R_24_13_ohm": found.r_even_ohm - found.r_xy_ohm,
        }
    )
    again = hall_from_reciprocity(wide)
    assert again.r_xy_ohm == pytest.approx(found.r_xy_ohm)
    assert value(again, "sheet_density_per_m2") == pytest.approx(value(found, "sheet_density_per_m2"), rel=1e-3)


def test_exchanged_leads_change_the_sign_and_nothing_else():
    frame = HallLoopRun().long()
    turned = frame.assign(
        configuration=frame["configuration"].replace({"13,24": "31,24", "24,13": "42,31"}),
        R_ohm=frame["R_ohm"] * np.where(frame["configuration"] == "13,24", -1.0, 1.0),
    )
    first, second = (hall_from_reciprocity(f) for f in (frame, turned))
    assert np.array_equal(first.r_xy_ohm, second.r_xy_ohm)


def test_the_noise_of_a_reading_is_found():
    # One R_13,24 and the mean of two R_24,13, halved.
    assert hall_from_reciprocity(HallLoopRun().long()).u_ohm == pytest.approx(0.5 * 0.05 * sqrt(1.5), rel=0.1)


def test_no_pair_bridges_a_turning_point():
    frame = HallLoopRun().long().drop(columns="leg")
    found = hall_from_reciprocity(frame)
    assert found.field_T.min() > -2.0
    assert "rows were skipped" in reasons(found)


@pytest.mark.parametrize(
    "run",
    [HallLoopRun(), HallLoopRun(correlated=6), HallLoopRun(period_s=40.0), HallLoopRun(noise_ohm=0.3)],
    ids=["white", "filtered", "few", "noisy"],
)
def test_densities_cover(run):
    run = replace(run, period_s=max(run.period_s, 10.0))
    truth = {"sheet_density_per_m2": run.density_per_m2, "saturated_ahe_ohm": run.ahe_ohm}
    z = []
    for seed in range(100):
        values = hall_from_reciprocity(replace(run, seed=seed).long()).estimate.values
        z.append([(values[key].value - true) / values[key].u for key, true in truth.items()])
    covered = np.mean(np.abs(z) < 1.96, axis=0)
    assert np.all(np.abs(covered - 0.95) < 0.07), covered
    assert np.all(np.abs(np.mean(z, axis=0)) < 0.3)


def test_a_mobility_needs_the_sheet_resistance():
    run = HallLoopRun()
    found = hall_from_reciprocity(run.long(), sheet_resistance_ohm=Measured(700.0, 7.0), gain_u=0.002)
    mobility = found.estimate.values["mobility_m2_per_Vs"]
    assert mobility.value == pytest.approx(1.0 / (contact_runs.E_C * run.density_per_m2 * 700.0), rel=2e-3)
    assert mobility.u / mobility.value == pytest.approx(sqrt(0.01**2 + 0.002**2), rel=0.02)
    assert "mobility_m2_per_Vs" not in hall_from_reciprocity(run.long()).estimate.values


def test_a_curved_hall_resistance_is_not_one_band():
    found = hall_from_reciprocity(HallLoopRun(curvature=0.2).long())
    assert found.estimate.status is REFUSED
    assert "fit two bands" in reasons(found)
    little = hall_from_reciprocity(HallLoopRun(curvature=0.01).long())
    assert little.estimate.budget["bend"] > little.estimate.budget["statistical"]
    density = little.estimate.values["sheet_density_per_m2"]
    assert abs(density.value - 2.3e17) < 2.0 * density.u


def test_onsager_holds_on_a_good_sample():
    failures = sum(
        check.certain
        for seed in range(100)
        if (check := hall_from_reciprocity(HallLoopRun(seed=seed, period_s=10.0).long()).onsager)
    )
    assert failures <= 2


@pytest.mark.parametrize(
    "run, cause",
    [(HallLoopRun(offset_ohm=3.0), "a thermal EMF"), (HallLoopRun(frozen=0.5, ahe_ohm=10.0, density_per_m2=1e18), "")],
)
def test_onsager_fails_with_an_offset_or_a_moment_that_does_not_turn(run, cause):
    found = hall_from_reciprocity(run.long())
    assert found.onsager is not None
    assert found.onsager.flagged
    assert "fails" in reasons(found)
    assert cause in found.onsager.text
    shift = run.offset_ohm + 2.0 * run.frozen * run.ahe_ohm
    assert found.onsager.mean_ohm.value == pytest.approx(shift, rel=0.02)


def test_onsager_is_not_checked_on_half_a_loop():
    frame = HallLoopRun().long()
    found = hall_from_reciprocity(frame[frame["leg"] == 0])
    assert found.onsager is None
    assert "not checked" in reasons(found)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"drop": "R_ohm"}, "column R_ohm missing"),
        ({"label": "12,34"}, "sheet_resistance"),
        ({"only": "13,24"}, "read them in turns"),
        ({"from_T": 3.0}, "saturated_from_T"),
    ],
)
def test_bad_hall_input_is_refused_in_a_sentence(change, sentence):
    frame = HallLoopRun().long()
    if "drop" in change:
        frame = frame.drop(columns=change["drop"])
    if "label" in change:
        frame["configuration"] = change["label"]
    if "only" in change:
        frame = frame[frame["configuration"] == change["only"]]
    with pytest.raises(ValueError, match=sentence):
        hall_from_reciprocity(frame, saturated_from_T=change.get("from_T"))


def test_too_few_rows_give_no_density():
    frame = HallLoopRun().long()
    found = hall_from_reciprocity(frame[frame["field_T"].abs() < 0.3], saturated_from_T=0.293)
    assert found.estimate.status is REFUSED
    assert "too few rows" in reasons(found)


# -- page and figure ----------------------------------------------------------------------------------------------


def test_the_python_of_the_page_runs():
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        exec(compile(code, PAGE.name, "exec"), names)
    assert names


def test_the_figure_of_the_page():
    loaded = {label: 0.9 for label in EIGHT if "3" in label.split(",")[1]}
    samples = {
        "even film": sheet_resistance(Square(noise_ohm=1.5).frame()),
        "contact 3 bad": sheet_resistance(Square(noise_ohm=1.5, scale=loaded).frame()),
    }
    hall = hall_from_reciprocity(HallLoopRun(period_s=4.0).long())
    figure = figures.new_figure(11.0, 4.2)
    readings, raw, loop = figure.subplots(1, 3)
    for shift, (name, found) in enumerate(samples.items()):
        configured = found.averages.configured_ohm
        x = np.arange(4) + 0.16 * shift - 0.08
        heights, u = ([getattr(m, part) for m in configured.values()] for part in ("value", "u"))
        text = found.estimate.text.replace("R_s", "$R_s$")
        readings.errorbar(x, heights, u, fmt="os"[shift], ms=5, capsize=3, label=f"{name}: {text}")
    readings.set_xticks(range(4), [f"$R_{{{name}}}$" for name in samples["even film"].averages.configured_ohm])
    readings.set(ylabel="resistance (Ω), ±1σ", title="Readings that should be equal", ylim=(134.0, 166.0))
    readings.legend(fontsize=8, loc="upper center")
    near = np.abs(hall.field_T) < 0.3
    b = 1e3 * hall.field_T
    for part, name in ((1.0, "13,24"), (-1.0, "24,13")):
        raw.plot(b[near], (hall.r_even_ohm + part * hall.r_xy_ohm)[near], ".", ms=3, label=f"$R_{{{name}}}$")
    raw.plot(b[near], hall.r_even_ohm[near], "-", color="0.4", lw=1, label="half sum: misalignment")
    raw.set(xlabel="µ₀H (mT)", ylabel="resistance (Ω)", title="Both Hall configurations")
    raw.legend(fontsize=8)
    ordinary = hall.estimate.values["hall_slope_ohm_per_T"].value * hall.field_T
    for number, name in ((0.0, "falling"), (1.0, "rising")):
        mine = near & (hall.leg == number)
        loop.errorbar(b[mine], (hall.r_xy_ohm - ordinary)[mine], hall.u_ohm, fmt=".", ms=4, lw=0.6, label=name)
    loop.set(xlabel="µ₀H (mT)", ylabel="$R_{xy} - R_0 B$ (Ω), ±1σ", title="Half difference less the line")
    loop.text(0.97, 0.4, hall.estimate.text, ha="right", transform=loop.transAxes, fontsize=8)
    loop.legend(fontsize=8)
    figures.keep(figure, "van-der-pauw")
