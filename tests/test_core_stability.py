"""When a value counts as stable: a table of stories, and what must hold for any readings whatever."""

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.errors import ConfigError
from remanence.core.stability import Stability, StabilityRule, State, Verdict

RULE = StabilityRule(target=5.0, tolerance=0.01, window_s=60.0, time_limit_s=3600.0)
TIGHT = StabilityRule(5.0, 0.01, 60.0, 3600.0, drift_per_s=1e-3 / 60)
STEADY = StabilityRule(5.0, 0.01, 60.0, 3600.0, drift_per_s=5e-3 / 60)


def watch(
    rule: StabilityRule, value: Callable[[float], float], period_s: float = 1.0, begun_s: float = 0.0
) -> list[Verdict]:
    """Every verdict of a reading each period until it is over."""
    stability, verdicts, now_s = Stability(rule, begun_s), [], begun_s
    while not verdicts or not verdicts[-1].over:
        verdicts.append(stability.update(now_s, value(now_s - begun_s)))
        now_s += period_s
        assert len(verdicts) < 100_000
    return verdicts


def noisy(sigma: float, of: Callable[[float], float], seed: int = 1) -> Callable[[float], float]:
    draw = random.Random(seed)
    return lambda t: of(t) + draw.gauss(0.0, sigma)


def relaxing(t: float) -> float:
    return 5.0 + 2.0 * math.exp(-t / 30.0)


STORIES: list[tuple[str, StabilityRule, Callable[[float], float], State, float, float]] = [
    ("it is there from the start", RULE, lambda t: 5.0, State.STABLE, 60.0, 60.0),
    ("at the edge of the band, which belongs to it", StabilityRule(5.0, 0.25, 60.0, 3600.0), lambda t: 5.25,
     State.STABLE, 60.0, 60.0),
    ("one reading outside begins the window anew", RULE, lambda t: 5.02 if t == 59.0 else 5.0, State.STABLE, 120.0, 120.0),
    ("it relaxes into the band after 30 s · ln 200", RULE, relaxing, State.STABLE, 219.0, 219.0),
    ("it stays just outside", RULE, lambda t: 5.0101, State.TIMED_OUT, 3601.0, 3601.0),
    ("it swings with an amplitude above the tolerance", RULE, lambda t: 5.0 + 0.012 * math.sin(t / 5.0),
     State.TIMED_OUT, 3601.0, 3601.0),
    ("a sensor that gives no number", RULE, lambda t: math.nan, State.TIMED_OUT, 3601.0, 3601.0),
    ("without a drift limit a creep through the band counts", RULE, lambda t: 4.9905 + 1.5e-4 * t, State.STABLE, 60.0, 60.0),
    ("with one it does not", STEADY, lambda t: 4.9905 + 1.5e-4 * t, State.TIMED_OUT, 3601.0, 3601.0),
    ("the tail of a relaxation is waited for", STEADY, relaxing, State.STABLE, 230.0, 320.0),
    ("white noise of a tenth of the tolerance", STEADY, noisy(1e-3, lambda t: 5.0), State.STABLE, 60.0, 62.0),
    ("white noise too large for one window is averaged over more", TIGHT, noisy(2e-3, lambda t: 5.0, 4),
     State.STABLE, 61.0, 240.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "value", "state", "soonest_s", "latest_s"), [s[1:] for s in STORIES], ids=[s[0] for s in STORIES]
)
def test_a_value_is_stable_when_it_stays_and_does_not_drift(
    rule: StabilityRule, value: Callable[[float], float], state: State, soonest_s: float, latest_s: float
) -> None:
    last = watch(rule, value)[-1]
    assert last.state is state
    assert soonest_s <= last.elapsed_s <= latest_s


def test_what_is_said_on_the_way_is_what_happens() -> None:
    verdicts = watch(STEADY, lambda t: 5.0 + 2.0 * math.exp(-t / 30.0))
    states = [verdict.state for verdict in verdicts]
    assert states == sorted(states, key=list(State).index)
    assert State.DRIFTING in states
    fractions = [verdict.fraction for verdict in verdicts]
    assert fractions == sorted(fractions)
    assert verdicts[-1].drift is not None
    assert verdicts[-1].left_s == 0.0


@pytest.mark.parametrize(
    ("value", "relative"),
    [
        (relaxing, 0.03),
        (lambda t: 4.0 + 2.0 * math.exp(-t / 30.0) if t < 20 else 5.0, 1.0),
        (lambda t: min(5.0, 2.0 + 0.02 * t), 0.03),
        (noisy(1e-3, lambda t: min(5.0, 2.0 + 0.02 * t)), 0.1),
    ],
)
def test_the_time_left_is_told_for_a_ramp_and_for_a_relaxation(
    value: Callable[[float], float], relative: float
) -> None:
    verdicts = watch(RULE, value)
    total_s = verdicts[-1].elapsed_s
    told = [v for v in verdicts if v.left_s is not None and v.elapsed_s > 31.0 and v.state is not State.STABLE]
    assert len(told) > 0.5 * (len(verdicts) - 31)
    for verdict in told:
        assert verdict.left_s == pytest.approx(total_s - verdict.elapsed_s, abs=relative * total_s)


@pytest.mark.parametrize(
    "value", [lambda t: 5.0 + 0.02 * t, lambda t: 6.0, lambda t: 5.5 + math.exp(-t / 30.0), lambda t: math.nan]
)
def test_no_time_is_told_for_what_will_not_arrive(value: Callable[[float], float]) -> None:
    verdicts = watch(RULE, value)
    assert all(verdict.left_s is None for verdict in verdicts[31:] if verdict.state is State.OUTSIDE)


def test_noise_too_large_for_the_window_says_how_long_it_would_take() -> None:
    verdicts = watch(TIGHT, noisy(2.2e-3, lambda t: 5.0, 7))
    uncertain = [verdict for verdict in verdicts if verdict.state is State.UNCERTAIN]
    assert uncertain
    assert all(verdict.left_s is None or 0.0 < verdict.left_s < 240.0 for verdict in uncertain)
    assert any(verdict.left_s is not None for verdict in uncertain)


def test_a_pause_begins_the_window_anew_and_is_not_counted_against_the_limit() -> None:
    rule = StabilityRule(5.0, 0.01, 60.0, 100.0, longest_gap_s=10.0)
    stability = Stability(rule, 0.0)
    for t in range(50):
        assert stability.update(float(t), 5.0).state is State.INSIDE
    after = stability.update(5000.0, 5.0)
    assert (after.state, after.inside_s, after.elapsed_s) == (State.INSIDE, 0.0, 59.0)


def test_once_it_is_over_it_stays_as_it_is() -> None:
    stability = Stability(RULE, 0.0)
    for t in range(61):
        verdict = stability.update(float(t), 5.0)
    assert verdict.stable
    assert stability.update(62.0, 9.0) is verdict


@pytest.mark.parametrize(
    "wrong",
    [
        {"tolerance": 0.0}, {"tolerance": math.nan}, {"window_s": -1.0}, {"time_limit_s": math.inf},
        {"target": math.nan}, {"drift_per_s": 0.0}, {"longest_gap_s": 0.0},
    ],
)  # fmt: skip
def test_a_rule_that_could_never_be_met_or_never_end_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        StabilityRule(**({"target": 5.0, "tolerance": 0.01, "window_s": 60.0, "time_limit_s": 1.0} | wrong))


@pytest.mark.parametrize("time_s", [0.5, math.nan])
def test_readings_come_in_the_order_of_their_times(time_s: float) -> None:
    stability = Stability(RULE, 0.0)
    stability.update(1.0, 5.0)
    with pytest.raises(ValueError, match="comes after"):
        stability.update(time_s, 5.0)


# Whatever the readings are

RULES = st.builds(
    StabilityRule, st.just(5.0), st.floats(1e-4, 1.0), st.floats(1.0, 500.0), st.floats(1.0, 1000.0),
    st.none() | st.floats(1e-7, 1e-2), st.just(math.inf) | st.floats(1.0, 100.0),
)  # fmt: skip
VALUES = st.floats(4.0, 6.0) | st.sampled_from([5.0, math.nan, math.inf, 4.99, 5.01])
READINGS = st.lists(st.tuples(st.floats(0.01, 50.0), VALUES), min_size=1, max_size=80)


@settings(deadline=None)
@given(RULES, READINGS, st.integers(0, 3))
def test_the_time_limit_ends_every_wait(rule: StabilityRule, readings: list[tuple[float, float]], which: int) -> None:
    """Also of noise at the very edge, for ever: the readings are repeated until the rule has had enough."""
    edge = rule.tolerance * (1.0 + 1e-9)
    readings = [(dt, value if which else 5.0 + math.copysign(edge, value - 5.0)) for dt, value in readings]
    stability, now_s, counted_s = Stability(rule, 0.0), 0.0, 0.0
    while counted_s <= rule.time_limit_s:
        for dt, value in readings:
            now_s += dt
            counted_s += min(dt, rule.longest_gap_s)
            verdict = stability.update(now_s, value)
            if verdict.over:
                break
        if verdict.over:
            break
    assert verdict.over
    assert verdict.elapsed_s <= rule.time_limit_s + min(50.0, rule.longest_gap_s)


@settings(deadline=None)
@given(RULES, READINGS)
def test_stable_is_never_said_of_a_window_with_a_reading_outside(
    rule: StabilityRule, readings: list[tuple[float, float]]
) -> None:
    stability, now_s, seen = Stability(rule, 0.0), 0.0, []
    for dt, value in readings:
        now_s += dt
        seen.append((now_s, value))
        verdict = stability.update(now_s, value)
        if verdict.stable:
            window = [v for t, v in seen if t >= now_s - rule.window_s]
            assert all(abs(v - rule.target) <= rule.tolerance for v in window)
            assert verdict.inside_s >= rule.window_s
        if verdict.over:
            break


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 5.0), st.floats(-1.0, 1.0)), min_size=60, max_size=300), st.floats(5.0, 40.0))
def test_the_drift_is_the_least_squares_slope_of_the_last_window(
    readings: list[tuple[float, float]], window_s: float
) -> None:
    rule = StabilityRule(5.0, 2.0, window_s, 1e6, drift_per_s=1e-12)
    stability, now_s, seen = Stability(rule, 1e5), 1e5, []
    for dt, value in readings:
        now_s += dt
        seen.append((now_s, 5.0 + value))
        verdict = stability.update(now_s, 5.0 + value)
        drift = verdict.drift
        if verdict.over:
            break
        window = [(t, v) for t, v in seen if now_s - t <= window_s]
        # Where a reading lies on the edge of the window, either may be right.
        if drift is None or len(window) < 4 or any(abs(now_s - window_s - t) < 1e-6 for t, _ in seen):
            continue
        assert drift.readings == len(window)
        t, v = np.array(window).T
        (slope, _), (residue, *_), *_ = np.polyfit(t - t[0], v, 1, full=True)
        assert drift.per_s == pytest.approx(slope, rel=1e-5, abs=1e-7)
        error = math.sqrt(residue / (len(t) - 2) / np.sum((t - t.mean()) ** 2))
        assert drift.error_per_s == pytest.approx(error, rel=1e-3, abs=1e-7)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_a_drift_of_twice_the_limit_is_hardly_ever_called_stable(seed: int) -> None:
    """Of noise like a fifth of the tolerance; the creep leaves the band after four windows."""
    creep = 2.0 * STEADY.drift_per_s
    last = watch(STEADY, noisy(1e-3, lambda t: 4.992 + creep * t, seed))[-1]
    assert last.state is State.TIMED_OUT
