"""The way of a sweep: cut into pieces that each lie within one rate segment and on one side of zero."""

import math
from dataclasses import dataclass

from .magnet_limits import MagnetLimits


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a sweep within one rate segment and one sign: its end (A), its rate (A/s), the segment's number."""

    stop_A: float
    rate_A_per_s: float
    segment: int


def plan(limits: MagnetLimits, start_A: float, stop_A: float, rate_A_per_s: float, step_A: float) -> list[Piece]:
    """Cut a sweep at the segments' edges and at zero; `step_A` is the supply's resolution.

    A start that the supply cannot tell from a cut counts as lying on it: a piece of no length would be asked for, and
    the next one would be driven at the slower rate of a segment that it does not touch.
    """
    cuts = [sign * edge for edge, _rate in limits.segments for sign in (-1.0, 1.0)] + [0.0]
    begin_A = next((cut for cut in cuts if abs(cut - start_A) <= 1.5 * step_A), start_A)
    low, high = min(begin_A, stop_A), max(begin_A, stop_A)
    stops = [*sorted((cut for cut in cuts if low < cut < high), reverse=stop_A < begin_A), stop_A]
    pieces: list[Piece] = []
    for end_A in stops:
        rate = min(rate_A_per_s, limits.rate_between(begin_A, end_A))
        pieces.append(Piece(end_A, rate, limits.segment_at(0.5 * (begin_A + end_A))))
        begin_A = end_A
    return pieces


def raises(start_A: float, stop_A: float, tolerance_A: float) -> bool:
    """True when a way makes |I| larger anywhere: to the other sign it does so behind zero."""
    if start_A * stop_A < 0:
        return abs(stop_A) > tolerance_A
    return abs(stop_A) > abs(start_A) + tolerance_A


def forbidden(limits: MagnetLimits, start_A: float, stop_A: float) -> tuple[float, float] | None:
    """The first zone that a way would touch, or None. A way towards zero touches none: out of a zone it must get."""
    if start_A * stop_A >= 0 and abs(stop_A) <= abs(start_A):
        # It may end inside a zone no more than one that rises may.
        return next((zone for zone in limits.zones if stop_A and zone[0] < stop_A < zone[1]), None)
    low, high = min(start_A, stop_A), max(start_A, stop_A)
    return next((zone for zone in limits.zones if low < zone[1] and high > zone[0]), None)


def time_of(start_A: float, piece: Piece) -> float:
    """How long a piece may take (s): its length at its rate, a fifth more, and ten seconds."""
    return 1.2 * abs(piece.stop_A - start_A) / piece.rate_A_per_s + 10.0


def direction(start_A: float, stop_A: float) -> float:
    """+1 upwards, −1 downwards."""
    return math.copysign(1.0, stop_A - start_A)
