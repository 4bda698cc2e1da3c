"""Cut a sweep into monotone legs from the readback itself, as it comes: the plan may have been interrupted.

A turn is believed when the field has come back from its extremum by a share of the span seen so far. Until then the
rows since the extremum wait: they belong to this leg if the field goes on, to the next if it turned.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

# One row of a leg: voltage's instant (s), field at that instant (T), rate (T/s), R_xy and R_xx (ohm), and for how
# long the rate had been steady (s).
Point = tuple[float, float, float, float, float, float]


def point_of(values: Sequence[float] | None) -> Point | None:
    """A point read back from a list."""
    if values is None:
        return None
    time_s, field_T, rate, r_xy, r_xx, steady_s = values
    return time_s, field_T, rate, r_xy, r_xx, steady_s


STRIDE = 8  # count, mean R_xy, M2 of R_xy, sums of field, time, rate and R_xx, and the first row's steady time


@dataclass(frozen=True, slots=True)
class BinWidths:
    """Where bins are fine and how wide they are: `fine_T` up to `fine_window_T`, 20 mT to 1 T, 50 mT beyond."""

    fine_T: float
    fine_window_T: float
    middle_T: float = 0.02
    middle_window_T: float = 1.0
    coarse_T: float = 0.05


class LegBins:
    """Running sums per field bin of one leg. What is kept does not grow with the number of rows."""

    def __init__(self, number: int, rising: bool, start_T: float, widths: BinWidths) -> None:
        self.number = number
        self.rising = rising
        self.start_T = start_T
        self.latest_T = start_T
        self.sums = array("d")
        self._slots: dict[int, int] = {}
        self._fine_window_T = widths.fine_window_T
        self._middle_window_T = widths.middle_window_T
        self._per_fine = 1.0 / widths.fine_T
        self._per_middle = 1.0 / widths.middle_T
        self._per_coarse = 1.0 / widths.coarse_T

    def add(self, point: Point) -> None:
        """Put one row into its bin (Welford's update for R_xy, plain sums for the rest)."""
        time_s, field_T, rate, r_xy, r_xx, steady_s = point
        size = abs(field_T)
        if size < self._fine_window_T:
            key = floor(field_T * self._per_fine)
        elif size < self._middle_window_T:
            key = 1_000_000 + floor(field_T * self._per_middle)
        else:
            key = 2_000_000 + floor(field_T * self._per_coarse)
        slot = self._slots.get(key)
        sums = self.sums
        if slot is None:
            self._slots[key] = len(sums)
            sums.extend((1.0, r_xy, 0.0, field_T, time_s, rate, r_xx, steady_s))
            return
        count = sums[slot] + 1.0
        sums[slot] = count
        mean = sums[slot + 1]
        delta = r_xy - mean
        mean += delta / count
        sums[slot + 1] = mean
        sums[slot + 2] += delta * (r_xy - mean)
        sums[slot + 3] += field_T
        sums[slot + 4] += time_s
        sums[slot + 5] += rate
        sums[slot + 6] += r_xx

    def state(self) -> dict[str, Any]:
        """Its sums and which bin each belongs to, as JSON knows them."""
        return {
            "rising": self.rising, "start_T": self.start_T, "latest_T": self.latest_T, "sums": self.sums.tolist(),
            "bins": list(self._slots),
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.latest_T = state["latest_T"]
        self.sums = array("d", state["sums"])
        self._slots = {key: STRIDE * k for k, key in enumerate(state["bins"])}


class LegTracker:
    """Hands every row to the leg it belongs to; `legs` grows by one at each turn."""

    def __init__(self, widths: BinWidths, *, share: float = 0.02, floor_T: float = 0.002) -> None:
        self.legs: list[LegBins] = []
        self._widths = widths
        self._share = share
        self._floor_T = floor_T
        self._low_T = self._high_T = self._extreme_T = 0.0
        self._sign = 0.0
        self._pending: list[Point] = []
        self._started = False

    def follow(self, field_T: float, point: Point | None) -> None:
        """Take the field of one row, and its point if it may be binned. Constant time, amortised over a leg."""
        if self._sign and (field_T - self._extreme_T) * self._sign >= 0.0:
            self._extreme_T = field_T
            if field_T > self._high_T:
                self._high_T = field_T
            elif field_T < self._low_T:
                self._low_T = field_T
            leg = self.legs[-1]
            leg.latest_T = field_T
            if self._pending:
                self._flush(leg)
            if point is not None:
                leg.add(point)
            return
        if point is not None:
            self._pending.append(point)
        if not self._started:
            self._started = True
            self._low_T = self._high_T = self._extreme_T = field_T
        away_T = field_T - self._extreme_T
        if abs(away_T) > max(self._floor_T, self._share * (self._high_T - self._low_T)):
            self._turn(field_T, away_T > 0.0)

    def state(self) -> dict[str, Any]:
        """All that it remembers, as JSON knows it."""
        return {
            "legs": [leg.state() for leg in self.legs], "low_T": self._low_T, "high_T": self._high_T,
            "extreme_T": self._extreme_T, "sign": self._sign, "started": self._started,
            "pending": [list(point) for point in self._pending],
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.legs = []
        for number, kept in enumerate(state["legs"]):
            leg = LegBins(number, kept["rising"], kept["start_T"], self._widths)
            leg.restore(kept)
            self.legs.append(leg)
        self._low_T, self._high_T, self._extreme_T = state["low_T"], state["high_T"], state["extreme_T"]
        self._sign, self._started = state["sign"], state["started"]
        self._pending = [point for values in state["pending"] if (point := point_of(values)) is not None]

    def _turn(self, field_T: float, rising: bool) -> None:
        leg = LegBins(len(self.legs), rising, self._extreme_T, self._widths)
        leg.latest_T = self._extreme_T = field_T
        self._low_T, self._high_T = min(self._low_T, field_T), max(self._high_T, field_T)
        self._sign = 1.0 if rising else -1.0
        self.legs.append(leg)
        self._flush(leg)

    def _flush(self, leg: LegBins) -> None:
        for point in self._pending:
            leg.add(point)
        self._pending.clear()


def table_of(legs: Sequence[LegBins]) -> list[tuple[int, bool, float, float, bytes]]:
    """A copy of all legs for another thread: number, rising, start, latest field, and the sums as bytes."""
    return [(leg.number, leg.rising, leg.start_T, leg.latest_T, leg.sums.tobytes()) for leg in legs]
