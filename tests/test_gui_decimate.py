"""A thinned curve keeps its extremes, its order and its ends; near zero field the loop shows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remanence.gui.decimate import Decimator, halve
from remanence.gui.nearzero import NearZero

LIMIT = 64
heights = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=1500)


def thinned(y, limit=LIMIT, block=37, key=None):
    """The curve after adding `y` over its index, in blocks as a timer would find them."""
    decimator = Decimator(limit)
    x = np.arange(len(y), dtype=float)
    for start in range(0, len(y), block):
        part = slice(start, start + block)
        decimator.extend(x[part], y[part], None if key is None else key[part])
    return decimator


@given(heights, st.integers(1, 400))
def test_extremes_ends_order_and_limit_are_kept(values, block):
    y = np.array(values)
    decimator = thinned(y, block=block)
    x_kept, y_kept = decimator.points()
    assert decimator.count == len(y)
    assert len(x_kept) <= LIMIT
    assert y_kept.max() == y.max()
    assert y_kept.min() == y.min()
    assert (x_kept[0], x_kept[-1]) == (0, len(y) - 1)
    assert (np.diff(x_kept) >= 0).all()
    assert (y[x_kept.astype(int)] == y_kept).all()  # every point drawn was measured


@given(heights, st.integers(1, 400), st.integers(1, 400))
def test_the_curve_does_not_depend_on_how_rows_were_grouped(values, one, other):
    y = np.array(values)
    assert np.array_equal(thinned(y, block=one).points(), thinned(y, block=other).points())


@given(heights)
def test_every_bucket_keeps_its_own_extremes(values):
    y = np.array(values)
    decimator = thinned(y)
    x_kept, y_kept = decimator.points()
    size = 4
    while size * LIMIT // 4 <= len(y):
        size *= 2
    for start in range(0, len(y), size):
        bucket = y[start : start + size]
        inside = y_kept[(x_kept >= start) & (x_kept < start + size)]
        assert inside.max() == bucket.max()
        assert inside.min() == bucket.min()


def test_up_to_the_limit_a_curve_is_exact():
    y = np.sin(np.arange(LIMIT - 1))
    assert np.array_equal(thinned(y).points()[1], y)


def test_a_closed_loop_is_drawn_closed_with_both_branches():
    phase = np.linspace(0, 2 * np.pi, 100_001)
    field, height = np.cos(phase), np.sin(phase)  # every field twice, first point equal to the last
    decimator = Decimator()
    decimator.extend(field, height)
    x, y = decimator.points()
    assert 2000 < len(x) <= 4096
    assert (x[0], y[0]) == pytest.approx((x[-1], y[-1]), abs=1e-9)
    nearest = np.interp(0.0, x[y > 0][::-1], y[y > 0][::-1]), np.interp(0.0, x[y < 0], y[y < 0])
    assert nearest == pytest.approx((1.0, -1.0), abs=1e-3)


def test_a_spike_against_a_steep_line_is_kept_when_judged_by_its_height():
    field = np.linspace(-1, 1, 80_000)
    height = np.zeros_like(field)
    height[12_345] = -0.01
    decimator = Decimator(LIMIT)
    decimator.extend(field, 38 * field + height, height)
    assert field[12_345] in decimator.points()[0]


def test_halving_needs_whole_buckets():
    with pytest.raises(ValueError, match="reshape"):
        halve(np.zeros((12, 3)))


@pytest.mark.parametrize("limit", [0, 31, 33, 100])
def test_a_limit_that_cannot_hold_pairs_of_buckets_is_refused(limit):
    with pytest.raises(ValueError, match="multiple of 8"):
        Decimator(limit)


def loop(slope=38.0, amplitude=1.0, coercive_T=0.047, offset=2.0):
    """Two branches of a loop on a steep line: leg, field, R_xy."""
    field = np.linspace(7, -7, 14_000)
    for leg, x, sign in ((1, field, -1), (2, field[::-1], 1)):
        yield leg, x, slope * x + offset + amplitude * np.tanh((x - sign * coercive_T) / 0.025)


@pytest.mark.parametrize("amplitude", [1.0, -1.0])
def test_near_zero_field_the_loop_stands_on_a_level_line(amplitude):
    near = NearZero()
    for leg, x, y in loop(amplitude=amplitude):
        near.add(leg, x, y)
    line = near.fit()
    assert line.slope_ohm_per_T == pytest.approx(38.0, abs=0.05)
    assert line.offset_ohm == pytest.approx(2.0, abs=0.01)
    for _, x, y in near.curves():
        assert np.abs(x).max() <= 0.3
        assert (y.max(), y.min()) == pytest.approx((1.0, -1.0), abs=0.02)


@pytest.mark.parametrize(
    ("coercive_T", "radius_T"), [(0.002, 0.075), (0.03, 0.15), (0.047, 0.3), (0.3, 1.2), (3.0, 2.4)]
)
def test_the_range_follows_the_coercive_field_without_old_rows(coercive_T, radius_T):
    near = NearZero()
    for leg, x, y in loop():
        near.add(leg, x, y)
    assert near.look(coercive_T) == (radius_T != 0.3)
    assert near.radius_T == radius_T
    for _, x, _ in near.curves():
        assert radius_T * 0.9 < np.abs(x).max() <= radius_T


def test_before_any_row_nothing_is_taken_off():
    near = NearZero()
    assert near.fit().slope_ohm_per_T == 0
    assert list(near.curves()) == []


def test_few_points_give_no_line():
    near = NearZero()
    near.add(0, np.array([0.0, 0.1]), np.array([0.0, 5.0]))
    assert near.fit().slope_ohm_per_T == 0
