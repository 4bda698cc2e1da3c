"""The autorange as a pure object: it follows six decades, leaves overloads at once, and never goes to and fro."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remanence.core.errors import ConfigError
from remanence.instruments.autorange import SETTLING, Autorange, Verdict

LADDER_V = tuple(float(f"{digit}e{power}") for power in range(-9, 1) for digit in (1, 2, 5))[1:28]
RANGES_V = (5e-3, 20e-3, 50e-3, 0.2, 0.5)
DELAY_s = 0.4


class Step(NamedTuple):
    now_s: float
    range_V: float
    verdict: Verdict
    overloaded: bool


class Meter:
    """A meter whose output stops at 1.09 times full scale, as an SR830's does, read every half second."""

    def __init__(self, range_V: float, ladder_V: tuple[float, ...] = LADDER_V, **options: float) -> None:
        self.autorange = Autorange(ladder_V, DELAY_s, **options)  # type: ignore[arg-type]
        self.range_V = range_V
        self.now_s = 0.0
        self.steps: list[Step] = []

    def read(self, x_V: float, *flags: str, period_s: float = 0.5) -> Verdict:
        overloaded = abs(x_V) > 1.09 * self.range_V
        shown_V = math.copysign(min(abs(x_V), 1.09 * self.range_V), x_V)
        said = (*flags, "overload output") if overloaded else flags
        verdict = self.autorange.look(self.now_s, self.range_V, shown_V, 0.0, said)
        self.steps.append(Step(self.now_s, self.range_V, verdict, bool(overloaded or "overload input" in flags)))
        self.range_V = verdict.range_V
        self.now_s += period_s
        return verdict

    def stay(self, x_V: float, seconds: float, *flags: str) -> None:
        for _ in range(round(seconds / 0.5)):
            self.read(x_V, *flags)

    @property
    def changes(self) -> list[tuple[float, float]]:
        return [(s.range_V, s.verdict.range_V) for s in self.steps if s.verdict.range_V != s.range_V]


def to_and_fro(changes: list[tuple[float, float]]) -> int:
    """How often a change is the opposite of the one before."""
    return sum(a == (b[1], b[0]) for a, b in pairwise(changes))


def test_a_signal_that_grows_and_shrinks_a_millionfold_is_followed_and_never_left_in_overload():
    meter = Meter(1e-7)
    for decade in range(7):
        meter.stay(0.5 * 10.0 ** (decade - 7), 60.0)
        assert meter.range_V == pytest.approx(10.0 ** (decade - 7)), decade
    for decade in reversed(range(6)):
        meter.stay(0.5 * 10.0 ** (decade - 7), 60.0)
        assert meter.range_V == pytest.approx(10.0 ** (decade - 7)), decade
    assert to_and_fro(meter.changes) <= 1  # at the summit
    ups = [b / a for a, b in meter.changes if b > a]
    assert max(ups) <= 10.0 * (1 + 1e-6)


def test_it_leaves_an_overload_with_the_very_reading_that_tells_of_it():
    meter = Meter(1e-3)
    assert meter.read(0.5).range_V == 1e-2
    # The next decade comes after one delay of the filter and not before.
    assert meter.read(0.5, period_s=0.3).range_V == 0.1
    assert meter.read(0.5).range_V == 0.1
    assert meter.read(0.5).range_V == 1.0
    meter.stay(0.5, 20.0)
    assert meter.range_V == 1.0


def test_readings_after_a_change_are_settling_for_as_long_as_the_filter_needs_and_no_longer():
    meter = Meter(1e-3)
    assert not meter.read(0.9e-3, period_s=0.25).settling
    said = [(meter.now_s, meter.read(0.9e-3, period_s=0.25).settling) for _ in range(20)]
    assert [settling for _, settling in said] == [now_s < SETTLING * DELAY_s for now_s, _ in said]


def test_a_change_by_somebody_else_is_settled_too():
    meter = Meter(1e-3)
    meter.stay(0.5e-3, 10.0)
    meter.range_V = 2e-3
    assert meter.read(0.7e-3).settling
    meter.stay(0.7e-3, SETTLING * DELAY_s)
    assert not meter.read(0.7e-3).settling
    assert meter.range_V == 2e-3


@pytest.mark.parametrize("flags", [("unlocked",), ("overload input",), ("unlocked", "overload input")])
def test_a_reading_that_says_nothing_never_goes_down(flags: tuple[str, ...]):
    meter = Meter(1e-3)
    meter.stay(0.0, 600.0, *flags)
    assert all(b > a for a, b in meter.changes)
    assert meter.range_V == (1.0 if "overload input" in flags else 1e-3)


def test_an_interference_that_only_the_small_ranges_cannot_stand_is_tried_ever_more_rarely():
    meter = Meter(5e-3, RANGES_V)
    for _ in range(40000):
        meter.read(1e-5, *(["overload input"] if meter.range_V < 20e-3 else []))
    assert meter.range_V >= 20e-3
    assert len(meter.changes) < 30
    # All of the second half of six hours saw fewer changes than the first ten minutes.
    times_s = [s.now_s for s in meter.steps if s.verdict.range_V != s.range_V]
    assert sum(t > 10000.0 for t in times_s) < sum(t < 600.0 for t in times_s)


# Out of an overload, which does not say how large the signal is, one decade up and then down to what fits.
@pytest.mark.parametrize(
    ("part", "most"),
    [(0.25, 1), (0.28, 1), (0.3, 0), (0.5, 0), (0.6, 0), (0.84, 1), (0.85, 1), (0.86, 1), (1.0, 2), (1.09, 3)],
)
def test_a_noisy_signal_at_a_boundary_changes_the_range_once_and_never_again(part: float, most: int):
    noise = np.random.default_rng(7).normal(0.0, 0.03, 20000)
    meter = Meter(1e-3)
    for n in noise:
        meter.read(part * 1e-3 * (1.0 + n))
    assert len(meter.changes) <= most, meter.changes
    assert to_and_fro(meter.changes) == 0


@given(
    st.sampled_from([LADDER_V, RANGES_V]),
    st.floats(1e-9, 1.0),
    st.lists(st.floats(-0.17, 0.17), min_size=20, max_size=200),
    st.data(),
)
def test_it_never_hunts_whatever_the_signal_and_its_noise(
    ladder_V: tuple[float, ...], signal_V: float, noise: list[float], data: st.DataObject
):
    meter = Meter(data.draw(st.sampled_from(ladder_V)), ladder_V)
    for n in noise * 3:
        meter.read(signal_V * (1.0 + n), period_s=1.0)
    assert to_and_fro(meter.changes) == 0, meter.changes
    # It turns at most once: up out of an overload by decades, then down to what fits.
    directions = [b > a for a, b in meter.changes]
    assert sum(a != b for a, b in pairwise(directions)) <= 1


@given(
    st.lists(st.tuples(st.floats(-2.0, 2.0), st.sampled_from(["", "overload input", "unlocked"])), max_size=400),
    st.integers(0, 8),
    st.floats(0.01, 100.0),
)
def test_whatever_comes_its_changes_are_numbered_and_each_is_settled(
    readings: list[tuple[float, str]], most: int, period_s: float
):
    meter = Meter(1e-3, most_changes=most)
    for x_V, flag in readings:
        meter.read(x_V, *([flag] if flag else []), period_s=period_s)
    assert len(meter.changes) <= most + len(LADDER_V)
    changed_s = -math.inf
    descended_s = -math.inf
    for step in meter.steps:
        assert step.verdict.settling == (step.now_s - changed_s < SETTLING * DELAY_s)
        if step.verdict.range_V < step.range_V:
            # Nothing goes down before the last change has settled and a while has passed.
            assert step.now_s - max(changed_s, descended_s) >= 3.0
            assert not step.overloaded
            descended_s = step.now_s
        if step.verdict.range_V != step.range_V:
            changed_s = step.now_s
        assert step.verdict.range_V in LADDER_V


def test_an_overload_in_the_largest_range_stays_there():
    meter = Meter(1.0)
    meter.stay(5.0, 60.0)
    assert meter.changes == []


@pytest.mark.parametrize(("ranges_V", "delay_s"), [((), 1.0), ((0.0, 1.0), 1.0), ((1.0,), 0.0), ((1.0,), math.nan)])
def test_an_autorange_of_nothing_is_refused(ranges_V: tuple[float, ...], delay_s: float):
    with pytest.raises(ConfigError):
        Autorange(ranges_V, delay_s)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("deviation", [0.05, 0.15, 0.3, 1.0])
@pytest.mark.parametrize("seed", [14, 29])
def test_a_signal_lost_in_noise_without_bounds_is_not_chased(part: float, deviation: float, seed: int):
    noise = np.random.default_rng(seed).normal(0.0, deviation * 1e-6, 20000)
    meter = Meter(1e-6)
    for n in noise:
        meter.read(part * 1e-6 + n)
    # Three hours.
    assert to_and_fro(meter.changes) <= 1, meter.changes
    assert len(meter.changes) <= 5
