"""What a 6221 does with its current by itself, one step after the other: delta mode and sweeps.

Delta mode (2182A manual, "Delta measurement by the Model 622x"): the current alternates between high and low, the
nanovoltmeter converts once in each, and three conversions give (V1 − 2V2 + V3)/4 with alternating sign: half the
difference of the voltages of high and low, free of any offset and linear drift.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .circuit import Nanovoltmeter, Source
from .world import Timer, World

# From the end of a conversion to the next step of the current: trigger link, calculation, autozero inside.
_OVERHEAD_s = 18e-3


@dataclass(frozen=True, slots=True)
class DeltaReading:
    """One reading (volts, infinite over the range), its time since the start, its step of current, and compliance."""

    volts: float
    time_s: float
    step_A: float
    limited: bool


class CurrentProgram(Protocol):
    """Something that sets the current in steps. `done` is called when it ends by itself, with True if it gave up."""

    def start(self) -> None:
        """Begin with the first step now."""
        ...

    def stop(self) -> None:
        """End now."""
        ...


class Delta:
    """Delta mode with its settings; `store` takes each reading.

    Times are the world's. `abort_limited` gives up as soon as the source is in compliance.
    """

    def __init__(
        self,
        world: World,
        timer: Timer,
        source: Source,
        meter: Nanovoltmeter,
        levels_A: tuple[float, float],
        delay_s: float,
        count: float,
        abort_limited: bool,
        store: Callable[[DeltaReading], None],
        done: Callable[[bool], None],
    ) -> None:
        self._world, self._source, self._meter = world, source, meter
        self._levels_A, self._delay_s, self._left = levels_A, delay_s, count
        self._abort_limited = abort_limited
        self._store, self._done = store, done
        self._timer = timer
        timer.ring = self._ring
        self._volts: deque[float] = deque(maxlen=3)
        self._step = 0
        self._started_s = 0.0

    def start(self) -> None:
        """Begin with the high current."""
        self._started_s = self._world.now()
        self._set(0)

    def stop(self) -> None:
        """Leave the current as it is and measure no more."""
        self._timer.due_s = math.inf

    def _set(self, step: int) -> None:
        self._step = step
        self._source.level = self._levels_A[step % 2]
        self._timer.due_s = self._world.now() + self._delay_s + self._meter.conversion_s() + _OVERHEAD_s

    def _ring(self) -> None:
        self._volts.append(self._meter.convert())
        limited = self._source.limited
        if limited and self._abort_limited:
            self.stop()
            self._done(True)
            return
        if len(self._volts) == 3:
            high_A, low_A = self._levels_A
            first, second, third = self._volts
            # Infinities of both signs make no number: over the range is over the range.
            total = math.inf if any(map(math.isinf, self._volts)) else first - 2.0 * second + third
            volts = total / 4.0 * (1.0 if self._step % 2 == 0 else -1.0)
            elapsed_s = self._world.now() - self._started_s
            self._store(DeltaReading(volts, elapsed_s, (high_A - low_A) / 2.0, limited))
            self._left -= 1
            if self._left <= 0:
                self.stop()
                self._done(False)
                return
        self._set(self._step + 1)


class Staircase:
    """A sweep: one level after the other, each for `delay_s`, all of them `count` times."""

    def __init__(
        self,
        world: World,
        timer: Timer,
        source: Source,
        levels_A: Sequence[float],
        delay_s: float,
        count: float,
        abort_limited: bool,
        done: Callable[[bool], None],
    ) -> None:
        self._world, self._source = world, source
        self._levels_A, self._delay_s, self._left = tuple(levels_A), delay_s, count
        self._abort_limited, self._done = abort_limited, done
        self._timer = timer
        timer.ring = self._ring
        self._next = 0

    def start(self) -> None:
        """Begin with the first level."""
        self._advance()

    def stop(self) -> None:
        """Stay at this level."""
        self._timer.due_s = math.inf

    def _in_compliance(self) -> bool:
        self._world.circuit.solve()
        return self._source.limited

    def _advance(self) -> None:
        self._source.level = self._levels_A[self._next]
        self._next += 1
        self._timer.due_s = self._world.now() + self._delay_s

    def _ring(self) -> None:
        if self._abort_limited and self._in_compliance():
            self.stop()
            self._done(True)
            return
        if self._next == len(self._levels_A):
            self._next = 0
            self._left -= 1
            if self._left <= 0:
                self.stop()
                self._done(False)
                return
        self._advance()


def staircase(spacing: str, start_A: float, stop_A: float, step_A: float, points: int) -> list[float]:
    """The levels of a sweep: LIN by its step, LOG by its points; empty when they lead nowhere."""
    if spacing == "LOG":
        if start_A * stop_A <= 0.0 or points < 2:
            return []
        ratio = stop_A / start_A
        return [start_A * ratio ** (k / (points - 1)) for k in range(points)]
    if start_A == stop_A or step_A == 0.0:
        return [start_A]
    steps = math.floor(abs((stop_A - start_A) / step_A) * (1 + 1e-9))
    signed_A = math.copysign(step_A, stop_A - start_A)
    return [start_A + k * signed_A for k in range(min(steps, 65534) + 1)]
