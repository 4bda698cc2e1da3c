"""The pieces that see rows one by one: legs, steady motion, spikes, bins."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.analysis.legs import STRIDE, BinWidths, LegBins, LegTracker
from remanence.analysis.loop_data import legs_of
from remanence.analysis.loop_model import delay_nodes
from remanence.analysis.motion import SteadyMotion
from remanence.analysis.serial import noise_of
from remanence.analysis.spikes import SpikeGate

WIDTHS = BinWidths(0.002, 0.5)


def point(field_T, r_xy=0.0, time_s=0.0):
    return time_s, field_T, 2e-3, r_xy, 700.0, 100.0


def test_legs_are_cut_at_the_turns_of_the_readback_and_keep_every_row():
    tracker = LegTracker(WIDTHS)
    field = np.concatenate((np.linspace(0, 1, 500), np.linspace(1, -1, 1000), np.linspace(-1, 0.3, 650)))
    field = field + np.random.default_rng(0).uniform(-1e-4, 1e-4, field.size)
    for b in field:
        tracker.follow(float(b), point(float(b)))
    assert [leg.rising for leg in tracker.legs] == [True, False, True]
    assert [leg.start_T for leg in tracker.legs] == pytest.approx([0.0, 1.0, -1.0], abs=3e-4)
    counted = sum(sum(leg.sums[0::STRIDE]) for leg in tracker.legs)
    assert counted == field.size


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-8, 8), max_size=60))
def test_any_walk_of_the_field_gives_legs_in_turn_and_loses_no_row_but_those_that_wait(fields):
    tracker = LegTracker(WIDTHS)
    for b in fields:
        tracker.follow(b, point(b))
    directions = [leg.rising for leg in tracker.legs]
    assert all(a is not b for a, b in itertools.pairwise(directions))
    counted = sum(sum(leg.sums[0::STRIDE]) for leg in tracker.legs)
    assert counted + len(tracker._pending) == len(fields)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-1.5, 1.5), st.floats(-1e3, 1e3)), min_size=1, max_size=50))
def test_bins_hold_the_mean_and_the_spread_of_what_fell_into_them(rows):
    leg = LegBins(0, True, -2.0, WIDTHS)
    for b, r in rows:
        leg.add(point(b, r))
    sums = np.array(leg.sums).reshape(-1, STRIDE)
    values = np.array([r for _, r in rows])
    assert sums[:, 0].sum() == values.size
    assert (sums[:, 0] * sums[:, 1]).sum() == pytest.approx(values.sum(), abs=1e-6)
    whole = (sums[:, 2] + sums[:, 0] * sums[:, 1] ** 2).sum()
    assert whole == pytest.approx((values**2).sum(), rel=1e-9, abs=1e-6)


def test_an_empty_run_has_no_legs():
    assert legs_of([]) == []


def test_motion_is_steady_only_after_it_settled_and_a_stop_starts_it_anew():
    motion = SteadyMotion(settle_s=5.0, resolution_T=1e-4)
    time_s = np.arange(0.0, 60.0)
    field = np.where(time_s < 30, 2e-3 * time_s, np.where(time_s < 33, 0.06, 0.06 + 2e-3 * (time_s - 33)))
    rates = [motion.rate_T_per_s(float(t), float(round(b, 4))) for t, b in zip(time_s, field, strict=True)]
    known = np.array([np.nan if r is None else r for r in rates])
    assert np.isnan(known[:6]).all() and known[10:30] == pytest.approx(2e-3, rel=0.02)
    assert np.isnan(known[31:38]).all() and known[41:] == pytest.approx(2e-3, rel=0.02)


def test_a_field_at_rest_is_never_steady_motion():
    motion = SteadyMotion(settle_s=5.0, resolution_T=1e-4)
    assert all(motion.rate_T_per_s(float(t), 0.5) is None for t in range(100))


def test_a_lone_spike_is_dropped_and_a_ramp_or_a_step_is_not():
    gate = SpikeGate()
    rng = np.random.default_rng(1)
    r = 0.08 * np.arange(200) + rng.normal(0.0, 0.01, 200)
    r[100] += 2.0
    r[150:] += 1.0
    kept = []
    for k, value in enumerate(r):
        out = gate.push(0.0, point(0.0, float(value), float(k)))
        if out is not None and out[1] is not None:
            kept.append(int(out[1][0]))
    assert gate.dropped == 1
    assert 100 not in kept and {99, 101, 149, 150} <= set(kept)


@pytest.mark.parametrize("poles", [1, 2, 4])
def test_the_two_nodes_of_the_delay_carry_the_moments_of_the_filter(poles):
    nodes, weights = delay_nodes(0.3, poles)
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ nodes == pytest.approx(0.0, abs=1e-12)
    assert weights @ nodes**2 == pytest.approx(poles * 0.3**2)
    assert weights @ nodes**3 == pytest.approx(2.0 * poles * 0.3**3)


def test_noise_finds_the_correlation_that_was_put_in():
    rng = np.random.default_rng(2)
    white = rng.normal(0.0, 1.0, 20001)
    noise = noise_of(white[1:] + 0.6 * white[:-1], np.zeros(20000), 0.0)
    assert noise.sigma == pytest.approx(np.hypot(1.0, 0.6), rel=0.02)
    assert noise.correlation[0] == pytest.approx(0.6 / 1.36, abs=0.06)
