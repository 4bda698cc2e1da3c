"""The M(H) loop: does its interval cover, is it as sharp as the data allow, and does it refuse what is no loop."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from remanence.analysis.magnetisation_average import average
from remanence.analysis.magnetisation_data import legs_by_turns, points_of
from remanence.analysis.magnetisation_fit import LoopProblem, Priors, solve
from remanence.analysis.magnetisation_local import value_at
from remanence.analysis.magnetisation_loop import analyze_magnetisation_loop
from remanence.analysis.magnetisation_model import DOWN, LOG_SCALE, LOG_WIDTH, SATURATION, SIZE, SLOPE, UP
from remanence.analysis.magnetisation_noise import against_neighbours
from remanence.analysis.magnetisation_values import STO_SLOPE
from remanence.core.records import EstimateStatus, Measured

sys.path.insert(0, str(Path(__file__).parent))
import squid_runs
from figures import keep, new_figure
from squid_runs import Sample

REAL = Path(__file__).parents[2] / "shared" / "data"
KEYS = ("coercive_field_T", "loop_centre_T", "saturation_moment_Am2", "remanent_moment_Am2")
COVERED = (
    "clean", "paramagnetic", "weak", "trapped", "centring jump", "centring flip", "erf", "exchange bias", "two-step",
)  # fmt: skip


def analyzed(kind, seed, **change):
    sample = replace(squid_runs.draw(kind, seed), **change)
    return sample, analyze_magnetisation_loop(squid_runs.run(sample, seed, legs=squid_runs.LEGS.get(kind, ALL)))


ALL = ("virgin", "down", "up")


@pytest.mark.parametrize("kind", COVERED)
def test_the_intervals_cover_and_the_error_is_near_the_bound(kind):
    z, share = [], []
    for seed in range(3):
        sample, result = analyzed(kind, seed)
        assert result.estimate.status is EstimateStatus.RESOLVED, (seed, result.estimate.text)
        truth, values = squid_runs.truth(sample), result.estimate.values
        z.append([(values[key].value - truth[key]) / values[key].u for key in KEYS])
        share.append((values["coercive_field_T"].value - truth["coercive_field_T"]) * 1e4)
        share[-1] /= squid_runs.bound_Oe(sample, seed)
    assert np.abs(z).max() < 4.5
    assert 0.5 < np.sqrt(np.mean(np.square(z))) < 1.6
    assert np.sqrt(np.mean(np.square(share))) < 2.5


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("bare trapped", EstimateStatus.NOT_RESOLVED, ""),
        ("bare paramagnetic", EstimateStatus.NOT_RESOLVED, "without hysteresis"),
        ("bare trapped paramagnetic", EstimateStatus.NOT_RESOLVED, ""),
        ("anhysteretic trapped", EstimateStatus.NOT_RESOLVED, ""),
        ("minor", None, ""),
        ("half", EstimateStatus.WAITING, "half a loop"),
    ],
)
def test_what_is_no_loop_is_refused_with_a_reason(kind, status, words):
    for seed in range(2):
        _, result = analyzed(kind, seed)
        estimate = result.estimate
        assert estimate.status is not EstimateStatus.RESOLVED, (seed, estimate.text)
        assert status is None or estimate.status is status
        assert not set(KEYS) & set(estimate.values)
        assert estimate.reasons and estimate.text.endswith(estimate.reasons[0])
        assert words in estimate.text


def test_trapped_flux_on_bare_strontium_titanate_is_called_what_it_is():
    """25 Oe open a loop of 1.8e-7 emu, ten times the noise, that a film of 2e-7 emu would open too."""
    bare = Sample(saturation_emu=0.0, trapped_Oe=25.0, trapped_scale_Oe=2000.0)
    frame = squid_runs.run(bare, 1, legs=("down", "up"))
    zero = [np.interp(0.0, *np.array(sorted(zip(b.field_T, b.moment_Am2, strict=True))).T) for _, b in split(frame)]
    assert abs(zero[0] - zero[1]) == pytest.approx(2 * 1.76e-10, rel=0.2)
    result = analyze_magnetisation_loop(frame)
    assert result.estimate.status is EstimateStatus.NOT_RESOLVED
    assert any("trapped" in reason or "hysteresis" in reason for reason in result.estimate.reasons)


def split(frame):
    return frame.assign(leg=legs_by_turns(frame.field_T.to_numpy())).groupby("leg")


def test_a_film_that_saturates_slowly_is_not_given_too_small_a_moment():
    """Its 1/H tail looks like more substrate, and like flux trapped in the magnet: both are left open."""
    for seed in (10_002, 10_004, 10_011):
        sample, result = analyzed("tails", seed)
        values, truth = result.estimate.values, squid_runs.truth(sample)
        assert result.method == "crossings"
        assert any("slowly" in reason for reason in result.estimate.reasons)
        for key in KEYS:
            assert abs(values[key].value - truth[key]) < 3.0 * values[key].u, (seed, key)
        assert values["saturation_moment_Am2"].u < 0.05 * truth["saturation_moment_Am2"]


def test_a_soft_film_whose_coercivity_trapped_flux_could_make_is_refused():
    soft = Sample(coercive_Oe=10.0, width_Oe=60.0, trapped_Oe=25.0, slope_emu_per_Oe=2e-10)
    result = analyze_magnetisation_loop(squid_runs.run(soft, 2))
    assert result.estimate.status is EstimateStatus.NOT_RESOLVED
    assert any("trapped" in reason or "error of the field" in reason for reason in result.estimate.reasons)


def test_too_few_points_wait_for_more():
    frame = squid_runs.run(Sample(), 3).iloc[::12]
    result = analyze_magnetisation_loop(frame)
    assert result.estimate.status is EstimateStatus.WAITING
    assert "24 needed" in result.estimate.text


def test_legs_are_cut_from_the_readback_and_agree_with_given_ones():
    sample = squid_runs.draw("clean", 4)
    cut = analyze_magnetisation_loop(squid_runs.run(sample, 4)).estimate.values["coercive_field_T"]
    given = analyze_magnetisation_loop(squid_runs.run(sample, 4, with_leg=True)).estimate.values["coercive_field_T"]
    assert cut.value == pytest.approx(given.value, abs=0.05 * given.u)


def test_settle_points_repeats_and_the_virgin_curve_are_put_where_they_belong():
    field = np.concatenate([np.linspace(0, 1, 20), [1.0, 1.0002, 1.0], np.linspace(1, -1, 41), np.linspace(-1, 1, 41)])
    frame = pd.DataFrame({"field_T": np.repeat(field, 2), "moment_Am2": np.repeat(field, 2)})
    points = points_of(frame)
    assert points.field_T.size == pytest.approx(2 * 82, abs=8)
    assert set(np.sign(np.diff(points.field_T[points.rising])).tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: f.drop(columns="moment_Am2"), "needs the column moment_Am2"),
        (lambda f: f.assign(field_T="?"), "field_T .* not a number"),
        (lambda f: f.assign(field_T=np.nan), "no row in which"),
        (lambda f: f.assign(leg=0), "leg 0 .* turns"),
    ],
)
def test_a_run_that_cannot_be_read_is_refused_by_name(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        analyze_magnetisation_loop(change(squid_runs.run(Sample(), 5)))


def test_rows_without_numbers_are_skipped_and_counted():
    frame = squid_runs.run(Sample(), 6)
    frame.loc[[10, 60, 100], "moment_Am2"] = np.nan
    result = analyze_magnetisation_loop(frame)
    assert result.estimate.status is EstimateStatus.RESOLVED
    assert any(reason.startswith("3 rows") for reason in result.estimate.reasons)


def test_without_stated_uncertainties_the_scatter_speaks():
    sample = squid_runs.draw("clean", 7)
    result = analyze_magnetisation_loop(squid_runs.run(sample, 7, with_u=False))
    coercive = result.estimate.values["coercive_field_T"]
    assert abs(coercive.value - sample.coercive_Oe * 1e-4) < 4.0 * coercive.u
    assert coercive.u < 4e-4
    assert any("scatter of neighbouring points" in reason for reason in result.estimate.reasons)


def test_several_temperatures_are_one_too_many():
    frame = squid_runs.run(Sample(), 8)
    frame.loc[frame.index > 150, "temperature_K"] += 1.0
    result = analyze_magnetisation_loop(frame)
    assert result.estimate.status is EstimateStatus.NOT_RESOLVED
    assert "one temperature" in result.estimate.text


def test_a_bare_substrate_in_the_same_history_takes_the_trapped_flux_away():
    sample = replace(squid_runs.draw("weak", 9), trapped_Oe=30.0, spins=2e15)
    frame = squid_runs.run(sample, 9)
    control = squid_runs.control_run(sample, 9)
    result = analyze_magnetisation_loop(frame, control=control)
    coercive, trapped = (result.estimate.values[key] for key in ("coercive_field_T", "trapped_field_T"))
    assert abs(coercive.value - sample.coercive_Oe * 1e-4) < 4.0 * coercive.u
    assert 0.0 < trapped.value < 0.004
    background = result.estimate.values["background_slope_Am2_per_T"]
    assert abs(background.value) < 0.02 * abs(sample.slope_emu_per_Oe) * 10.0
    with pytest.raises(ValueError, match="control run needs"):
        analyze_magnetisation_loop(frame, control=control.iloc[:100])


def test_moments_are_told_per_area_and_per_cell():
    """25 mm² hold 1.64e14 cells per layer: 1 µB per cell in one layer is 1.52e-6 emu."""
    sample = Sample(saturation_emu=1.52e-6)
    result = analyze_magnetisation_loop(
        squid_runs.run(sample, 10), area_m2=Measured(25e-6, 0.1e-6), layers=1.0, geometry=Measured(1.0, 0.01)
    )
    values = result.estimate.values
    assert values["saturation_moment_uB_per_uc"].value == pytest.approx(1.0, rel=0.02)
    assert values["saturation_moment_uB_per_nm2"].value == pytest.approx(1.0 / 0.3905**2, rel=0.02)
    assert values["saturation_moment_A"].value == pytest.approx(1.52e-9 / 25e-6, rel=0.02)
    assert values["saturation_moment_uB"].u > 0.01 * values["saturation_moment_uB"].value
    halved = analyze_magnetisation_loop(squid_runs.run(sample, 10), geometry=Measured(2.0, 0.0)).estimate.values
    assert halved["saturation_moment_Am2"].value == pytest.approx(0.5 * values["saturation_moment_Am2"].value, rel=1e-6)
    assert halved["coercive_field_T"].value == pytest.approx(values["coercive_field_T"].value, rel=1e-9)
    with pytest.raises(ValueError, match="layers needs area_m2"):
        analyze_magnetisation_loop(squid_runs.run(sample, 10), layers=9.0)


def test_the_slope_is_held_against_the_substrates_mass():
    frame = squid_runs.run(Sample(), 11)
    right = analyze_magnetisation_loop(frame, substrate_mass_kg=Measured(64e-6, 0.1e-6))
    assert right.estimate.values["expected_slope_Am2_per_T"].value == pytest.approx(64e-6 * STO_SLOPE.value)
    assert not any("substrate's" in reason for reason in right.estimate.reasons)
    wrong = analyze_magnetisation_loop(frame, substrate_mass_kg=Measured(128e-6, 0.1e-6))
    assert any("substrate's" in reason for reason in wrong.estimate.reasons)


def test_the_budget_adds_up_to_the_uncertainty():
    for kind, seed in (("trapped", 12), ("two-step", 12)):
        estimate = analyzed(kind, seed)[1].estimate
        assert set(estimate.budget) == {"statistical", "background", "trapped field", "model"}
        total = np.sqrt(sum(u**2 for u in estimate.budget.values()))
        assert total == pytest.approx(estimate.values["coercive_field_T"].u, rel=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", ["tanh", "erf"])
@pytest.mark.parametrize("saturation", [0.0, 1.0])
def test_a_switch_that_no_point_sees_has_a_finite_and_useless_uncertainty(shape, saturation):
    """Points 100 mT apart, a switch of 0.01 mT between them: the derivatives there are 0, or 1e-200."""
    down = np.linspace(1.0, -1.0, 21)
    field_T, direction, leg = np.append(down, down[::-1]), np.repeat([-1.0, 1.0], 21), np.repeat([0.0, 1.0], 21)
    noise = np.random.default_rng(0).normal(0.0, 1e-3, 42)
    moment = saturation * direction * np.sign(direction * field_T - 0.05) - 0.9 * field_T + noise
    problem = LoopProblem(field_T, direction, moment, np.full(42, 1e-3), np.inf, False, Priors())
    start = np.zeros(SIZE)
    start[[SATURATION, SLOPE, LOG_SCALE]] = max(saturation, 1e-3), -0.9, np.log(0.3)
    for width_T in np.geomspace(1e-5, 0.03, 7):
        start[[UP, DOWN, LOG_WIDTH]] = 0.05, -0.05, np.log(width_T)
        fit = solve(problem, shape, start)
        u_T = np.sqrt(fit.covariance[UP, UP])
        assert 0.0 < u_T < 1e7
        averaged = average(problem, fit, leg)
        assert np.isfinite(averaged.covariance).all()
        assert np.all(np.diag(averaged.covariance) >= 0.0)
    start[LOG_WIDTH] = np.log(1e-5)
    assert saturation == 0.0 or np.sqrt(solve(problem, shape, start).covariance[UP, UP]) > 1.0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("gap_T", [0.0, 5e-324, 1e-300, 1e-17, 1e-3])
@pytest.mark.parametrize("reach", [1, 2])
def test_neighbours_at_one_field_say_nothing_and_raise_nothing(gap_T, reach):
    field_T = np.linspace(0.0, 0.5, 11)
    field_T[5] = field_T[4] + gap_T
    field_T[0], field_T[1] = 0.0, gap_T
    z = against_neighbours(np.full(11, 2.0), field_T, np.zeros(11), reach)
    assert np.isfinite(z).sum() >= 3
    assert np.abs(z[np.isfinite(z)]).max() < 1e-9


def test_a_rock_in_an_electromagnet_is_measured_whatever_its_shape():
    for seed in range(3):
        frame, (saturation, remanence, coercive) = squid_runs.rock(seed)
        values = analyze_magnetisation_loop(frame).estimate.values
        for key, truth in zip((KEYS[2], KEYS[3], KEYS[0]), (saturation, remanence, coercive), strict=True):
            assert abs(values[key].value - truth) < 4.0 * values[key].u + 0.002 * truth, (seed, key)
            assert values[key].u < 0.1 * truth


@pytest.mark.parametrize("name", squid_runs.ROCKS)
def test_the_makers_numbers_of_a_wasp_waist_or_a_pot_belly_are_met(name):
    for seed in range(2):
        frame, truth = squid_runs.rock_of(name, seed)
        estimate = analyze_magnetisation_loop(frame).estimate
        assert estimate.status is EstimateStatus.RESOLVED, estimate.text
        for key, true, share in zip((KEYS[2], KEYS[3], KEYS[0]), truth, (0.05, 0.02, 0.02), strict=True):
            assert estimate.values[key].value == pytest.approx(true, rel=share), (seed, key)
            assert estimate.values[key].u < 0.05 * true


def test_where_steps_are_large_the_value_at_zero_field_follows_the_bend_between_two_points():
    """Steps of 10 mT over a bend of 10 mT: the line through two points is 2 % low, with a σ of 0.2 %."""
    x = np.arange(-0.095, 0.1, 0.01)
    bent = 0.2 * np.arctan(x / 0.01) + 0.5 * np.tanh((x - 0.008) / 0.02)
    found = value_at(x, bent, np.full(x.size, 1e-3), 0.0)
    true = 0.5 * np.tanh(-0.4)
    by_line = abs(np.interp(0.0, x, bent) - true)
    assert by_line > 0.02 * abs(true)
    assert abs(found.value - true) < 0.5 * by_line
    assert abs(found.value - true) < 2.0 * np.hypot(found.u, found.window_u)


def micromag(path):
    """Field and moment as measured of a file whose columns are field, moment, adjusted field, adjusted moment."""
    lines = path.read_text(encoding="latin-1").splitlines()
    header = {line[:31].strip(): line[31:].strip() for line in lines if len(line) > 31}
    rows = [line.split(",") for line in lines if line[:1] in "+-" and line.count(",") == 3]
    numbers = np.array([[float(cell) for cell in row[:2]] for row in rows])
    return pd.DataFrame(numbers, columns=["field_T", "moment_Am2"]), header


@pytest.mark.skipif(not REAL.exists(), reason="the real files are not here")
def test_a_makers_own_numbers_of_a_rock_are_met():
    frame, header = micromag(REAL / "micromag_0016_h11_hystlab.hys")
    result = analyze_magnetisation_loop(frame)
    values = result.estimate.values
    for key, name, share in (
        ("coercive_field_T", "Coercivity", 0.02),
        ("remanent_moment_Am2", "Remanence", 0.02),
        ("saturation_moment_Am2", "Saturation", 0.05),
    ):
        assert values[key].value == pytest.approx(float(header[name]), rel=share)
    assert result.method == "crossings"


def mpms(path, separator, moment, u):
    lines = path.read_text(encoding="latin-1").splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("[Data]")) + 1
    names = lines[first].split(separator)
    wanted = [names.index(name) for name in ("Magnetic Field (Oe)", "Temperature (K)", moment, u)]
    cells = [line.split(separator) for line in lines[first + 1 :]]
    numbers = [[float(row[k] or "nan") for k in wanted] for row in cells if len(row) > max(wanted)]
    table = np.array(numbers) * [1e-4, 1.0, 1e-3, 1e-3]
    return pd.DataFrame(table, columns=["field_T", "temperature_K", "moment_Am2", "moment_u_Am2"])


@pytest.mark.skipif(not REAL.exists(), reason="the real files are not here")
def test_a_powder_that_is_shifted_along_the_field_is_measured_with_its_shift():
    frame = mpms(
        REAL / "mpms3_mh_tsv_magnetopy.dat", "\t", "DC Moment Fixed Ctr (emu)", "DC Moment Err Fixed Ctr (emu)"
    )
    result = analyze_magnetisation_loop(frame)
    values = result.estimate.values
    # The moments cross zero at +0.2 mT falling and at 70 mT rising, as the file's own rows show.
    assert values["coercive_field_T"].value == pytest.approx(0.035, abs=0.002)
    assert values["loop_centre_T"].value == pytest.approx(0.035, abs=0.002)
    assert 0.003 < values["coercive_field_T"].u < 0.006
    assert values["saturation_moment_Am2"].value == pytest.approx(4.6e-5, rel=0.1)
    assert len(drawn(result, 0.3).axes) == 2


@pytest.mark.skipif(not REAL.exists(), reason="the real files are not here")
def test_a_metamagnet_without_remanence_has_no_coercive_field():
    frame = mpms(REAL / "mpms3_mh_nomad.dat", ",", "Moment (emu)", "M. Std. Err. (emu)")
    assert "one temperature" in analyze_magnetisation_loop(frame).estimate.text
    for temperature_K in (2.0, 2.5, 3.0):
        one = frame[np.abs(frame.temperature_K - temperature_K) < 0.1].reset_index(drop=True)
        assert analyze_magnetisation_loop(one).estimate.status is EstimateStatus.NOT_RESOLVED


def drawn(result, window_T):
    """The run, the film without its background, and what is left, with ±1σ."""
    figure = new_figure(9.0, 4.4)
    whole, film = figure.subplots(1, 2)
    near = np.abs(result.field_T) < window_T
    for rising, colour, name in ((1.0, "#b5482a", "rising"), (0.0, "#2a6fb5", "falling")):
        rows = result.rising == rising
        whole.plot(result.field_T[rows], result.moment_Am2[rows] * 1e9, ".", ms=4, color=colour, label=name)
        line = rows & near
        order = np.argsort(result.field_T[line])
        background = result.moment_Am2 - result.film_Am2
        film.errorbar(
            result.field_T[line] * 1e3,
            result.film_Am2[line] * 1e9,
            result.moment_u_Am2[line] * 1e9,
            fmt=".",
            ms=5,
            color=colour,
            label=f"{name}, ±1σ",
        )
        lost = line & (result.weight < 0.5)
        if result.method == "shape":
            model = (result.fit_Am2 - background)[line] * 1e9
            film.plot(result.field_T[line][order] * 1e3, model[order], "-", lw=1, color=colour)
            film.plot(result.field_T[lost] * 1e3, result.film_Am2[lost] * 1e9, "x", ms=8, color="k")
    values = result.estimate.values
    for key in ("coercive_up_T", "coercive_down_T"):
        at, u = values[key].value * 1e3, values[key].u * 1e3
        film.axvspan(at - u, at + u, color="0.8")
        film.axvline(at, color="0.4", lw=0.8)
    film.axhline(0.0, color="0.6", lw=0.8)
    whole.set(xlabel="µ₀H (T)", ylabel="moment (µemu)", title="as measured")
    film.set(xlabel="µ₀H (mT)", ylabel="moment (µemu)", title="film, background taken away")
    whole.legend(frameon=False)
    film.legend(frameon=False, loc="upper left")
    figure.suptitle(result.estimate.text, fontsize=10)
    return figure


def test_the_figure_shows_the_run_the_film_and_the_points_that_were_lost():
    sample = replace(squid_runs.draw("weak centring", 3), trapped_Oe=20.0)
    result = analyze_magnetisation_loop(squid_runs.run(sample, 3))
    assert result.estimate.status is EstimateStatus.RESOLVED
    keep(drawn(result, 0.2), "magnetisation-loop")
