"""The live coercive field: does its interval cover, does it refuse when it must, and does it survive bad rows."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from remanence.analysis.hall_loop import HallLoopEstimator, HallLoopSettings, analyze_hall_loop, estimator_of
from remanence.core.records import EstimateStatus, Row

sys.path.insert(0, str(Path(__file__).parent))
import synthetic

ONE_TESLA = synthetic.Truth()
SEVEN_TESLA = synthetic.Truth(turns_T=(7.0, -7.0, 7.0, 0.0))


def analyze(truth, frame=None):
    frame = synthetic.frame(truth) if frame is None else frame
    return analyze_hall_loop(frame, time_constant_s=truth.time_constant_s, poles=truth.poles)


def deviations(base, seeds, key, sign):
    """(estimate − truth)/u over seeds, and the estimates; every seed must be claimed."""
    out, u, bounds = [], [], []
    for seed in seeds:
        truth = synthetic.draw(seed, base=base)
        estimate = analyze(truth)
        assert estimate.status is EstimateStatus.RESOLVED, (seed, estimate.text)
        for k, s in zip(key, sign, strict=True):
            measured = estimate.values[k]
            out.append((measured.value - s * truth.crossing_T) / measured.u)
        u.append(estimate.values["coercive_field_T"].u)
        bounds.append(truth.bound_T / np.sqrt(2.0))
    return np.reshape(out, (-1, len(key))), np.array(u), np.array(bounds)


KEYS, SIGNS = ("coercive_field_T", "coercive_up_T", "coercive_down_T"), (1.0, 1.0, -1.0)


@pytest.mark.parametrize(("base", "first"), [(ONE_TESLA, 0), (ONE_TESLA, 50), (SEVEN_TESLA, 0), (SEVEN_TESLA, 25)])
def test_the_interval_covers_the_truth_and_is_not_needlessly_wide(base, first):
    count = 50 if base is ONE_TESLA else 25
    z, u, bounds = deviations(base, range(first, first + count), KEYS, SIGNS)
    assert float((np.abs(z[:, 0]) < 1.96).mean()) >= 0.88
    assert abs(z[:, 0].mean()) < 0.6
    assert np.abs(z[:, 0]).max() < 4.0
    assert (np.abs(z[:, 1:]) < 3.0).mean() > 0.97
    assert 1.0 < np.median(u / bounds) < 2.5


@pytest.mark.parametrize(("base", "count"), [(ONE_TESLA, 40), (SEVEN_TESLA, 8)])
def test_without_anomalous_hall_effect_nothing_is_claimed(base, count):
    for seed in range(count):
        estimate = analyze(replace(synthetic.draw(seed, base=base), ahe_ohm=0.0))
        assert estimate.status is EstimateStatus.NOT_RESOLVED
        assert "coercive_field_T" not in estimate.values
        assert estimate.text.startswith("not resolved: ")
        assert estimate.reasons


def test_the_sign_of_the_anomalous_hall_effect_does_not_matter():
    truth = replace(synthetic.draw(3, base=ONE_TESLA), ahe_ohm=-0.8)
    estimate = analyze(truth)
    amplitude = estimate.values["ahe_amplitude_ohm"]
    assert abs(amplitude.value + 0.8) < 4.0 * amplitude.u
    assert (
        abs(estimate.values["coercive_field_T"].value - truth.crossing_T) < 4.0 * estimate.values["coercive_field_T"].u
    )


def test_a_loop_swept_the_other_way_round_gives_the_same_kind_of_answer():
    truth = replace(synthetic.draw(4, base=ONE_TESLA), turns_T=(-1.0, 1.0, -1.0, 0.0))
    estimate = analyze(truth)
    assert estimate.status is EstimateStatus.RESOLVED
    assert estimate.values["coercive_down_T"].value < 0.0 < estimate.values["coercive_up_T"].value


def test_a_loop_that_turns_before_it_closes_is_called_minor():
    estimate = analyze(replace(ONE_TESLA, turns_T=(0.06, -0.06, 0.06, 0.0)))
    assert estimate.status is EstimateStatus.MINOR_LOOP
    assert estimate.text.startswith("minor loop: the field turned at 60 mT")
    assert "coercive_field_T" not in estimate.values


def test_the_readout_carries_its_uncertainty_and_the_budget_adds_up_to_it():
    estimate = analyze(synthetic.draw(1, base=ONE_TESLA))
    assert estimate.text.startswith("µ₀Hc = ") and " ± " in estimate.text and estimate.text.endswith(" mT")
    assert set(estimate.budget) == {"statistical", "delay", "trapped field", "model"}
    whole = float(np.sqrt(sum(part**2 for part in estimate.budget.values())))
    assert whole == pytest.approx(estimate.values["coercive_field_T"].u, rel=1e-6)
    assert all(m.u > 0.0 and np.isfinite(m.value) for m in estimate.values.values())
    assert {"delay_s", "width_T", "trapped_field_T", "ordinary_slope_ohm_per_T", "temperature_K"} <= set(
        estimate.values
    )


@pytest.mark.parametrize("base", [ONE_TESLA, SEVEN_TESLA])
def test_prefixes_of_a_run_never_raise_and_never_claim_early(base):
    truth = synthetic.draw(5, base=base)
    frame = synthetic.frame(truth)
    estimator = HallLoopEstimator(list(frame.columns), HallLoopSettings(truth.time_constant_s, truth.poles))
    field = frame["field_T"].to_numpy()
    turn_down, turn_up = int(field.argmax()), int(field.argmin())
    crossed_down = turn_down + int(np.argmax(field[turn_down:] < -truth.crossing_T))
    crossed_up = turn_up + int(np.argmax(field[turn_up:] > truth.crossing_T))
    order = [EstimateStatus.WAITING, EstimateStatus.DOWN_ONLY, EstimateStatus.RESOLVED]
    reached = 0
    step = max(1, len(frame) // 60)
    for n, values in enumerate(zip(*(frame[name].tolist() for name in frame.columns), strict=True)):
        estimator.update(Row(n, 0.0, 0.0, values))
        if n % step and n > 20:
            continue
        estimate = estimator.estimate()
        assert estimate.text
        if estimate.status is EstimateStatus.DOWN_ONLY:
            assert n > crossed_down
            measured = estimate.values["coercive_down_T"]
            assert abs(measured.value + truth.crossing_T) < 3.5 * measured.u
            assert estimate.text.startswith("↓ only: −") and estimate.text.endswith("(preliminary)")
            assert "coercive_field_T" not in estimate.values
        elif estimate.status is EstimateStatus.RESOLVED:
            assert n > crossed_up
        else:
            assert estimate.status is EstimateStatus.WAITING
            assert estimate.text.startswith("waiting for both branches (↓ ")
            assert not {"coercive_field_T", "coercive_down_T", "coercive_up_T"} & set(estimate.values)
        assert order.index(estimate.status) >= reached
        reached = order.index(estimate.status)
    assert reached == 2


def test_bad_rows_are_skipped_and_counted_and_change_little():
    truth = synthetic.draw(2, base=ONE_TESLA)
    frame = synthetic.frame(truth)
    clean = analyze(truth, frame).values["coercive_field_T"]
    rng = np.random.default_rng(7)
    at = rng.choice(len(frame), 90, replace=False)
    dirty = frame.copy()
    dirty.loc[at[:20], "R_xy_ohm"] = np.nan
    dirty.loc[at[20:40], "field_T"] = np.nan
    dirty["flags"] = dirty["flags"].astype(object)
    dirty.loc[at[40:60], "flags"] = "xy_overload"
    dirty.loc[at[40:60], "R_xy_ohm"] = 1e3
    dirty.loc[at[60:75], "R_xy_ohm"] += rng.choice([-1.0, 1.0], 15) * 5.0
    dirty.loc[at[75:], "field_T"] = 30.0
    dirty = dirty.iloc[np.sort(np.concatenate((np.arange(len(dirty)), at[:30])))]
    estimator = estimator_of(dirty, HallLoopSettings(truth.time_constant_s, truth.poles))
    measured = estimator.estimate().values["coercive_field_T"]
    assert abs(measured.value - truth.crossing_T) < 3.0 * measured.u
    assert abs(measured.value - clean.value) < 2.0 * clean.u
    assert measured.u < 1.5 * clean.u
    assert estimator.skipped >= 75
    assert estimator.spikes >= 10


def test_rows_while_a_range_settles_are_skipped():
    truth = synthetic.draw(2, base=ONE_TESLA)
    frame = synthetic.frame(truth)
    frame["flags"] = frame["flags"].astype(object)
    frame.loc[frame.index[100:140], "flags"] = "xy settling"
    frame.loc[frame.index[100:140], "R_xy_ohm"] *= 1.5
    estimator = estimator_of(frame, HallLoopSettings(truth.time_constant_s, truth.poles))
    assert estimator.skipped == 40
    assert estimator.spikes == 0


def test_none_and_missing_optional_columns_are_no_error():
    truth = synthetic.draw(6, base=ONE_TESLA)
    frame = synthetic.frame(truth)[["time_s", "field_T", "R_xy_ohm"]]
    estimate = analyze(truth, frame)
    measured = estimate.values["coercive_field_T"]
    assert abs(measured.value - truth.crossing_T) < 4.0 * measured.u
    estimator = HallLoopEstimator(["time_s", "field_T", "R_xy_ohm"], HallLoopSettings(0.3, 4))
    for n, values in enumerate([(0.0, None, 1.0), (1.0, 0.1, None), (None, 0.1, 1.0), (3.0, "off", 1.0)]):
        estimator.update(Row(n, 0.0, 0.0, values))
    assert estimator.skipped == 4
    assert estimator.estimate().status is EstimateStatus.WAITING
    assert estimator.curve() == ()


def test_a_needed_column_is_asked_for_by_name():
    with pytest.raises(ValueError, match="R_xy_ohm"):
        HallLoopEstimator(["time_s", "field_T"], HallLoopSettings(0.3, 4))
    with pytest.raises(ValueError, match="time_s"):
        analyze_hall_loop(pd.DataFrame({"field_T": [], "R_xy_ohm": []}), time_constant_s=0.3, poles=4)


def test_a_restart_that_repeats_rows_gives_the_same_answer_to_the_last_bit():
    truth = synthetic.draw(8, base=ONE_TESLA)
    frame = synthetic.frame(truth)
    rows = [Row(n, 0.0, 0.0, v) for n, v in enumerate(zip(*(frame[c].tolist() for c in frame.columns), strict=True))]
    settings = HallLoopSettings(truth.time_constant_s, truth.poles)
    straight, restarted = (HallLoopEstimator(list(frame.columns), settings) for _ in range(2))
    for row in rows:
        straight.update(row)
    for row in rows[:1500] + rows[:1500] + rows[1000:]:
        restarted.update(row)
    once, again = straight.estimate(), restarted.estimate()
    assert once.values == again.values
    assert straight.estimate() == once


def test_the_curve_shows_every_leg_and_the_loop_alone_steps_by_twice_its_amplitude():
    truth = replace(ONE_TESLA, noise_ohm_per_rtHz=0.005)
    estimator = estimator_of(synthetic.frame(truth), HallLoopSettings(truth.time_constant_s, truth.poles))
    legs = estimator.curve()
    assert [leg.rising for leg in legs] == [True, False, True, False]
    falling = legs[1]
    assert np.all(np.diff(falling.field_T) > 0.0)
    inside = np.isfinite(falling.fitted_ohm)
    assert np.abs((falling.r_xy_ohm - falling.fitted_ohm)[inside]).max() < 0.03
    high = falling.ahe_ohm[inside & (falling.field_T > 0.2)].mean()
    low = falling.ahe_ohm[inside & (falling.field_T < -0.2)].mean()
    assert high - low == pytest.approx(2.0 * truth.ahe_ohm, abs=0.02)


@pytest.mark.parametrize(
    "change",
    [
        {"time_constant_s": 1.0},
        {"rate_T_per_s": 1e-3, "row_s": 0.5},
        {"turns_T": (0.3, -0.3, 0.3, 0.0)},
        {"turns_T": (1.0, -1.0, 1.0, -1.0, 1.0, 0.0)},
        {"ahe_ohm": 0.05},
        {"memory_T": 0.5},
    ],
)
def test_other_ways_to_sweep_are_covered_too(change):
    for seed in range(200, 204):
        truth = replace(synthetic.draw(seed, base=ONE_TESLA), **change)
        estimate = analyze(truth)
        measured = estimate.values["coercive_field_T"]
        assert abs(measured.value - truth.crossing_T) < 3.5 * measured.u, estimate.text
