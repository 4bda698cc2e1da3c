"""When is a value stable? A rule as data, and what is fed with readings and says so. Nothing here waits or reads.

Stable means both: every reading of a whole window lies within ±tolerance of the target, and the drift is shown to be
below its limit, its uncertainty counted against it. Noise at the edge of the band may keep a value from ever being
stable; the time limit ends that, whatever the readings do.
"""

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from .errors import ConfigError

# A drift counts as small when this many standard errors more would still be small (95 % for normal noise).
_STANDARD_ERRORS = 2.0
# A drift that one window cannot tell from noise is looked for in as many windows, if so many have been inside.
_LONG_WINDOWS = 4
# The way to the band is judged by three stretches of this many readings together.
_APPROACH_READINGS = 30
# From one stretch to the next it must have come so many tolerances nearer.
_MOVING = 0.01


class State(StrEnum):
    """What a value is found to be."""

    OUTSIDE = "outside the tolerance"
    INSIDE = "inside, not yet for the whole window"
    DRIFTING = "inside, but it drifts"
    UNCERTAIN = "inside, but too noisy to say that it does not drift"
    STABLE = "stable"
    TIMED_OUT = "not stable within the time limit"


@dataclass(frozen=True, slots=True)
class StabilityRule:
    """All of a `window_s` within ±`tolerance` of `target`, drifting less than `drift_per_s`, by `time_limit_s`.

    `tolerance` and `drift_per_s` are in the value's unit; a drift of None is not asked for. A gap between two readings
    that is longer than `longest_gap_s` begins the window anew, for nobody knows what was in it, and counts as no more
    than that towards the time limit: a run that was paused has not used its time.
    """

    target: float
    tolerance: float
    window_s: float
    time_limit_s: float
    drift_per_s: float | None = None
    longest_gap_s: float = math.inf

    def __post_init__(self) -> None:
        """Refuse what could never be met, or would never end.

        Raises:
            ConfigError: a number is not finite or not positive where it must be.
        """
        positive = {"tolerance": self.tolerance, "window_s": self.window_s, "time_limit_s": self.time_limit_s}
        if self.drift_per_s is not None:
            positive["drift_per_s"] = self.drift_per_s
        for name, value in positive.items():
            if not (math.isfinite(value) and value > 0.0):
                raise ConfigError(f"{name} of a stability rule must be a positive number, not {value!r}")
        if not math.isfinite(self.target):
            raise ConfigError(f"the target of a stability rule must be a number, not {self.target!r}")
        if not self.longest_gap_s > 0.0:
            raise ConfigError(f"longest_gap_s of a stability rule must be positive, not {self.longest_gap_s!r}")


@dataclass(frozen=True, slots=True)
class Drift:
    """A slope per second and its standard error, from so many readings."""

    per_s: float
    error_per_s: float
    readings: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the readings so far say.

    `inside_s` is how long all of them have been inside; `left_s` is how long it will still take, about, or None where
    that cannot be told; `fraction` grows from 0 to 1 over the window. `drift` is that of the last window, once full.
    """

    state: State
    value: float
    inside_s: float
    elapsed_s: float
    left_s: float | None
    fraction: float
    drift: Drift | None

    @property
    def stable(self) -> bool:
        """Whether the rule is met."""
        return self.state is State.STABLE

    @property
    def over(self) -> bool:
        """Whether no further reading is wanted."""
        return self.state in (State.STABLE, State.TIMED_OUT)


class Stability:
    """Fed with readings in the order of their times; each `update` gives the verdict so far.

    `begun_s` is the instant from which the time limit counts. Once over, it stays as it is.
    """

    def __init__(self, rule: StabilityRule, begun_s: float) -> None:
        self.rule = rule
        self._last_s = begun_s
        self._elapsed_s = 0.0
        self._inside_since_s: float | None = None
        self._short, self._long = _Line(rule.window_s), _Line(_LONG_WINDOWS * rule.window_s)
        self._approach = _Approach()
        self._verdict: Verdict | None = None

    def update(self, time_s: float, value: float) -> Verdict:
        """Take one reading; a value that is not a number counts as outside.

        Raises:
            ValueError: `time_s` is not a number or before that of the reading before.
        """
        if self._verdict is not None and self._verdict.over:
            return self._verdict
        gap_s = time_s - self._last_s
        if not gap_s >= 0.0:
            raise ValueError(f"a reading of {time_s!r} s comes after one of {self._last_s!r} s")
        self._last_s = time_s
        self._elapsed_s += min(gap_s, self.rule.longest_gap_s)
        error = value - self.rule.target
        if gap_s > self.rule.longest_gap_s:
            self._leave()
            self._approach.clear()
        # Written so that a NaN is outside.
        if not abs(error) <= self.rule.tolerance:
            self._leave()
        else:
            if self._inside_since_s is None:
                self._inside_since_s = time_s
            self._short.add(time_s, error)
            self._long.add(time_s, error)
        self._approach.add(time_s, error)
        self._verdict = self._judge(time_s, value)
        return self._verdict

    def _judge(self, time_s: float, value: float) -> Verdict:
        rule = self.rule
        inside_s = 0.0 if self._inside_since_s is None else time_s - self._inside_since_s
        fraction = min(1.0, inside_s / rule.window_s)
        drift, state, left_s = None, State.OUTSIDE, None
        if self._inside_since_s is None:
            arrive_s = self._approach.left_s(rule.tolerance)
            left_s = None if arrive_s is None else arrive_s + rule.window_s
        elif inside_s < rule.window_s:
            state, left_s = State.INSIDE, rule.window_s - inside_s
        else:
            drift = self._short.drift()
            state, left_s = self._judge_drift(drift)
        if state is not State.STABLE and self._elapsed_s > rule.time_limit_s:
            state, left_s = State.TIMED_OUT, None
        return Verdict(state, value, inside_s, self._elapsed_s, left_s, fraction, drift)

    def _judge_drift(self, short: Drift | None) -> tuple[State, float | None]:
        limit = self.rule.drift_per_s
        if limit is None:
            return State.STABLE, 0.0
        for drift in (short, self._long.drift()):
            if drift is not None and abs(drift.per_s) + _STANDARD_ERRORS * drift.error_per_s <= limit:
                return State.STABLE, 0.0
        if short is None or abs(short.per_s) <= limit:
            return State.UNCERTAIN, self._noise_left_s(limit)
        return State.DRIFTING, None

    def _noise_left_s(self, limit: float) -> float | None:
        """How long until the noise allows to say it: a slope's error falls with the time to the power of 3/2."""
        drift = self._long.drift()
        if drift is None or drift.error_per_s <= 0.0:
            return None
        wanted_s = self._long.length_s * (_STANDARD_ERRORS * drift.error_per_s / limit) ** (2.0 / 3.0)
        return wanted_s - self._long.length_s if self._long.length_s < wanted_s <= self._long.span_s else None

    def _leave(self) -> None:
        self._inside_since_s = None
        self._short.clear()
        self._long.clear()


class _Line:
    """A straight line through the readings of the last `span_s`, by running sums: each reading costs the same."""

    def __init__(self, span_s: float) -> None:
        self.span_s = span_s
        self._points: deque[tuple[float, float]] = deque()
        self.clear()

    def clear(self) -> None:
        self._points.clear()
        self._origin_s = 0.0
        self._t = self._v = self._tt = self._tv = self._vv = 0.0

    @property
    def length_s(self) -> float:
        """From the first reading to the last."""
        return self._points[-1][0] - self._points[0][0] if self._points else 0.0

    def add(self, time_s: float, value: float) -> None:
        if not self._points:
            self._origin_s = time_s
        t = time_s - self._origin_s
        self._points.append((t, value))
        self._count(t, value, 1.0)
        while t - self._points[0][0] > self.span_s:
            self._count(*self._points.popleft(), -1.0)
        # Sums of squares of long times lose what short ones are made of: begin to count from a later origin.
        if self._points[0][0] > 8.0 * self.span_s:
            points, first_s = list(self._points), self._points[0][0]
            origin_s = self._origin_s + first_s
            self.clear()
            self._origin_s = origin_s
            for t, v in points:
                self._points.append((t - first_s, v))
                self._count(t - first_s, v, 1.0)

    def drift(self) -> Drift | None:
        """The slope and its standard error (least squares), or None for fewer than three readings."""
        n = len(self._points)
        if n < 3:
            return None
        s_tt = self._tt - self._t * self._t / n
        s_tv = self._tv - self._t * self._v / n
        s_vv = self._vv - self._v * self._v / n
        if s_tt <= 0.0:
            return None
        slope = s_tv / s_tt
        variance = max(0.0, s_vv - slope * s_tv) / (n - 2)
        return Drift(slope, math.sqrt(variance / s_tt), n)

    def _count(self, t: float, v: float, sign: float) -> None:
        self._t += sign * t
        self._v += sign * v
        self._tt += sign * t * t
        self._tv += sign * t * v
        self._vv += sign * v * v


class _Approach:
    """The last readings of a value on its way, and when it will arrive if it goes on like this."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque(maxlen=_APPROACH_READINGS)

    def clear(self) -> None:
        self._points.clear()

    def add(self, time_s: float, error: float) -> None:
        if math.isfinite(error):
            self._points.append((time_s, error))

    def left_s(self, tolerance: float) -> float | None:
        """The time to the band by three means in a row: a ramp is straight, a relaxation slows down; else None."""
        third = len(self._points) // 3
        if third < 2:
            return None
        points = list(self._points)[-3 * third :]
        means = [_mean(points[k * third : (k + 1) * third]) for k in range(3)]
        (t0, e0), (t1, e1), (t2, e2) = means
        now_s, error = points[-1]
        if t2 <= t1 or t1 <= t0 or e0 == e1:
            return None
        step, before = e2 - e1, e1 - e0
        # Away from the band, or not moving to speak of.
        if max(step * math.copysign(1.0, error), before * math.copysign(1.0, error)) > -_MOVING * tolerance:
            return None
        since_s, length_s = now_s - t2, 0.5 * (t2 - t0)
        edge = math.copysign(tolerance, error)
        ratio = step / before
        if ratio > 0.9:
            return max(0.0, (edge - e2) / step * length_s - since_s)
        # First order: e = end + (e2 − end) exp(−(t − t2)/τ), whose steps shrink by `ratio` = exp(−length/τ).
        tau_s = -length_s / math.log(ratio)
        end = e2 + step * ratio / (1.0 - ratio)
        if (edge - end) * error <= 0.0:
            return None
        return max(0.0, tau_s * math.log((e2 - end) / (edge - end)) - since_s)


def _mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(t for t, _ in points) / len(points), sum(e for _, e in points) / len(points)
