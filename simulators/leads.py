"""The current a supply drives through its leads: straight lines in time, one after the other.

A supply with several ranges has one rate in each, and drives a sweep over their edges by itself, however seldom
anybody asks it; so the whole way is planned when it starts.
"""

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum

Piece = tuple[float, float]


class Approach(StrEnum):
    """How a supply comes to its target; what flux stays trapped in the magnet depends on it."""

    LINEAR = "linear"
    NO_OVERSHOOT = "no overshoot"
    OSCILLATE = "oscillate"


# Assumptions, of the size that such supplies use: how near a slow approach begins and how slow it is, and the swings.
_SLOW_FROM, _SLOW_BY = 0.02, 0.2
_SWINGS = (0.3, -0.09, 0.027, -0.008)


def approach(start_A: float, target_A: float, rate_A_per_s: float, mode: Approach) -> tuple[Piece, ...]:
    """The pieces (to this current in A, at this rate in A/s) of a way from `start_A` to `target_A`."""
    way_A = target_A - start_A
    match mode:
        case Approach.LINEAR:
            return ((target_A, rate_A_per_s),)
        case Approach.NO_OVERSHOOT:
            return ((target_A - _SLOW_FROM * way_A, rate_A_per_s), (target_A, _SLOW_BY * rate_A_per_s))
        case Approach.OSCILLATE:
            swings = tuple((target_A + swing * way_A, rate_A_per_s) for swing in _SWINGS)
            return (*swings, (target_A, rate_A_per_s))


def across(start_A: float, target_A: float, ranges: Iterable[Piece]) -> tuple[Piece, ...]:
    """The pieces of a way on which each range (up to this magnitude in A, rate in A/s) has a rate of its own.

    Above the last range its rate goes on.
    """
    edges = list(ranges)
    corners = {edge_A for edge_A, _ in edges[:-1]} | {-edge_A for edge_A, _ in edges[:-1]} | {0.0}
    low, high = min(start_A, target_A), max(start_A, target_A)
    stops = sorted((corner for corner in corners if low < corner < high), reverse=target_A < start_A)
    pieces: list[Piece] = []
    before_A = start_A
    for stop_A in (*stops, target_A):
        middle_A = 0.5 * abs(before_A + stop_A)
        rate = next((rate for edge_A, rate in edges if middle_A <= edge_A), edges[-1][1])
        pieces.append((stop_A, rate))
        before_A = stop_A
    return tuple(pieces)


class Leads:
    """The planned way of the current. Ampere and seconds of the laboratory's clock."""

    def __init__(self, now_s: float) -> None:
        self._start_s = now_s
        self._start_A = 0.0
        self._target_A = 0.0
        self._rate_A_per_s = 0.0
        # The end of the present piece: a corner of the current's path.
        self.arrival_s = now_s
        # Pieces still to come, each with start (s, A), target (A), rate (A/s), arrival (s).
        self.later: list[tuple[float, float, float, float, float]] = []

    def current(self, now_s: float) -> float:
        """The current (A) at any time from the last order on."""
        if now_s < self.arrival_s:
            return self._start_A + math.copysign(
                self._rate_A_per_s * (now_s - self._start_s), self._target_A - self._start_A
            )
        for start_s, start_A, target_A, rate, arrival_s in self.later:
            if now_s < arrival_s:
                return start_A + math.copysign(rate * (now_s - start_s), target_A - start_A)
        return self.later[-1][2] if self.later else self._target_A

    def slope(self, now_s: float) -> float:
        """How fast the current changes (A/s), with its sign."""
        if now_s < self.arrival_s:
            return math.copysign(self._rate_A_per_s, self._target_A - self._start_A)
        for _start_s, start_A, target_A, rate, arrival_s in self.later:
            if now_s < arrival_s:
                return math.copysign(rate, target_A - start_A)
        return 0.0

    def end_s(self) -> float:
        """When the last piece ends; infinite if it never does."""
        return self.later[-1][4] if self.later else self.arrival_s

    def target_A(self) -> float:
        """Where the last piece ends (A)."""
        return self.later[-1][2] if self.later else self._target_A

    def go(self, pieces: Sequence[Piece], now_s: float) -> None:
        """Start along `pieces` from where the current is."""
        start_s, start_A = now_s, self.current(now_s)
        way: list[tuple[float, float, float, float, float]] = []
        for target_A, rate in pieces:
            if rate > 0:
                arrival_s = start_s + abs(target_A - start_A) / rate
            else:
                arrival_s = math.inf if target_A != start_A else start_s
            way.append((start_s, start_A, target_A, rate, arrival_s))
            start_s, start_A = arrival_s, target_A
        self._start_s, self._start_A, self._target_A, self._rate_A_per_s, self.arrival_s = way[0]
        self.later = way[1:]

    def stop(self, now_s: float) -> None:
        """Hold the current where it is."""
        self.jump(self.current(now_s), now_s)

    def jump(self, current_A: float, now_s: float) -> None:
        """Be at `current_A` at once and stay, as when the output is cut off."""
        self._start_s = self.arrival_s = now_s
        self._start_A = self._target_A = current_A
        self.later = []

    def turn(self, now_s: float) -> None:
        """Go on to the next piece if the present one has ended: `arrival_s` is always the corner ahead."""
        while self.later and now_s >= self.arrival_s - 1e-9:
            self._start_s, self._start_A, self._target_A, self._rate_A_per_s, self.arrival_s = self.later.pop(0)
