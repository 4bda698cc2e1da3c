"""The live form of the Hall loop's fit: it goes on from its state, agrees with the whole fit, and says when to stop."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from remanence.analysis.hall_loop import HallLoopEstimator, HallLoopSettings, analyze_hall_loop
from remanence.core.records import EstimateStatus, Row

sys.path.insert(0, str(Path(__file__).parent))
import synthetic

TWO_LOOPS = replace(synthetic.draw(7, base=synthetic.Truth()), turns_T=(1.0, -1.0, 1.0, -1.0, 1.0, 0.0))


def rows_of(truth):
    frame = synthetic.frame(truth)
    columns = list(frame.columns)
    values = zip(*(frame[name].tolist() for name in columns), strict=True)
    return columns, [Row(n, 0.0, 0.0, row) for n, row in enumerate(values)]


def estimator(columns, truth, **more):
    return HallLoopEstimator(columns, HallLoopSettings(truth.time_constant_s, truth.poles, **more))


@pytest.mark.parametrize("share", [0.02, 0.4, 0.7])
def test_an_estimator_goes_on_from_its_state_as_if_nothing_had_happened(share: float):
    truth = synthetic.draw(11, base=synthetic.Truth())
    columns, rows = rows_of(truth)
    whole, first, second = (estimator(columns, truth) for _ in range(3))
    cut = int(share * len(rows))
    for row in rows:
        whole.update(row)
    for row in rows[:cut]:
        first.update(row)
    second.restore(json.loads(json.dumps(first.state())))
    for row in rows[cut:]:
        second.update(row)
    assert second.estimate() == whole.estimate()
    assert len(json.dumps(whole.state())) < 600_000


def test_a_state_of_another_version_is_refused():
    columns, _ = rows_of(replace(synthetic.Truth(), turns_T=(0.1, 0.0)))
    with pytest.raises(ValueError, match="another version"):
        estimator(columns, synthetic.Truth()).restore({"schema": 0})


def test_the_live_estimate_is_the_whole_one_to_a_part_of_its_uncertainty_and_claims_no_sooner():
    truth = synthetic.draw(12, base=synthetic.Truth())
    columns, rows = rows_of(truth)
    live = estimator(columns, truth)
    compared = 0
    for row in rows:
        live.update(row)
        if row.n % 300 == 75:
            quick, whole = live.live_estimate(), live.estimate()
            assert quick.status is whole.status
            for key in ("coercive_field_T", "coercive_down_T", "coercive_up_T"):
                if key in whole.values:
                    compared += 1
                    assert abs(quick.values[key].value - whole.values[key].value) < 0.6 * whole.values[key].u
                    assert 0.6 < quick.values[key].u / whole.values[key].u < 1.6
    assert compared > 4


def test_the_stop_flag_waits_for_the_wanted_uncertainty_on_two_loops():
    columns, rows = rows_of(TWO_LOOPS)
    wanted, strict = estimator(columns, TWO_LOOPS, target_u_T=5e-4), estimator(columns, TWO_LOOPS, target_u_T=1e-6)
    resolved_at = stop_at = None
    for row in rows:
        wanted.update(row)
        strict.update(row)
        if row.n % 400 == 0:
            estimate = wanted.live_estimate()
            if estimate.status is EstimateStatus.RESOLVED and resolved_at is None:
                resolved_at = row.n
                assert estimate.likelihood_ratio is not None and estimate.likelihood_ratio > 60
                assert not estimate.may_stop
            if estimate.may_stop and stop_at is None:
                stop_at = row.n
    assert resolved_at is not None and stop_at is not None
    assert stop_at > resolved_at + 0.3 * len(rows)
    assert not strict.estimate().may_stop


@pytest.mark.parametrize("known", [{}, {"time_constant_s": 0.3, "poles": 4}, {"readback_delay_s": 2.4}])
def test_without_the_lock_in_s_settings_the_data_say_its_delay(known):
    truth = synthetic.draw(14, base=synthetic.Truth())
    estimate = analyze_hall_loop(synthetic.frame(truth), **known)
    found, delay = estimate.values["coercive_field_T"], estimate.values["delay_s"]
    assert abs(found.value - truth.crossing_T) < 4.0 * found.u
    assert abs(delay.value - truth.poles * truth.time_constant_s - truth.lag_s) < 4.0 * delay.u


def test_a_field_reading_that_leaps_and_comes_back_is_no_turn():
    truth = synthetic.draw(13, base=synthetic.Truth())
    columns, rows = rows_of(truth)
    at = columns.index("field_T")
    there = estimator(columns, truth)
    for row in rows:
        values = list(row.values)
        if row.n % 211 == 100:
            values[at] *= 0.85
        there.update(replace(row, values=tuple(values)))
    estimate = there.estimate()
    assert estimate.status is EstimateStatus.RESOLVED
    found = estimate.values["coercive_field_T"]
    assert abs(found.value - truth.crossing_T) < 4.0 * found.u
