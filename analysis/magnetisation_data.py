"""An M(H) run cut into legs by the field that was read back, with what each point remembers of the last large field.

A leg is *renewed* when it begins at half of the largest field or more: only then are the film on its outer branch and
the magnet's trapped flux on its way back from saturation. The virgin curve and the returns of minor loops are not.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .models import FloatArray, Mask

TURN_SHARE = 0.02  # of the span: a return smaller than this is the scatter of the readback, not a turn
RENEWED_SHARE = 0.5  # of the largest field
LEAST_IN_LEG = 5
NEEDED = ("field_T", "moment_Am2")

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LoopPoints:
    """The points of the renewed legs, in the order of the run; every array has shape (N,).

    `u_Am2` is all NaN when the run has no `moment_u_Am2`. `direction` is +1 on a rising leg, −1 on a falling one;
    the last large field of a renewed leg has the other sign. `temperature_K` is NaN when unknown.
    """

    field_T: FloatArray
    moment_Am2: FloatArray
    u_Am2: FloatArray
    direction: FloatArray
    leg: IntArray
    temperature_K: float
    largest_T: float
    rows: int
    skipped: int
    notes: tuple[str, ...] = ()

    @property
    def rising(self) -> Mask:
        """Points of the rising branch."""
        return self.direction > 0.0

    @property
    def leaving(self) -> Mask:
        """Points between saturation and zero field, where the film has not begun to switch."""
        return self.direction * self.field_T < 0.0

    def where(self, mask: Mask) -> "LoopPoints":
        """The points of `mask`."""
        return replace(
            self,
            field_T=self.field_T[mask],
            moment_Am2=self.moment_Am2[mask],
            u_Am2=self.u_Am2[mask],
            direction=self.direction[mask],
            leg=self.leg[mask],
        )


def points_of(frame: pd.DataFrame, what: str = "the M(H) run") -> LoopPoints:
    """The renewed legs of a run with `field_T`, `moment_Am2` and, if known, `moment_u_Am2`, `temperature_K`, `leg`.

    Raises:
        ValueError: a needed column is missing or holds no numbers, or a leg of the `leg` column turns.
    """
    for name in NEEDED:
        if name not in frame.columns:
            raise ValueError(f"{what} needs the column {name}; it has {', '.join(map(str, frame.columns))}")
    field, moment = _numbers(frame, "field_T", what), _numbers(frame, "moment_Am2", what)
    kept = np.isfinite(field) & np.isfinite(moment)
    if not kept.any():
        raise ValueError(f"{what} has no row in which both field_T and moment_Am2 are numbers")
    notes: list[str] = []
    skipped = int((~kept).sum())
    if skipped:
        notes.append(f"{skipped} rows of {what} without field or moment were skipped")
    u = _numbers(frame, "moment_u_Am2", what)[kept] if "moment_u_Am2" in frame.columns else np.full(kept.sum(), np.nan)
    temperature = (
        _numbers(frame, "temperature_K", what)[kept]
        if "temperature_K" in frame.columns
        else np.full(kept.sum(), np.nan)
    )
    field, moment = field[kept], moment[kept]
    largest_T = float(np.abs(field).max())
    leg = _given_legs(frame["leg"].to_numpy()[kept], field, what) if "leg" in frame.columns else legs_by_turns(field)
    direction = np.zeros(field.size)
    for number in np.unique(leg):
        rows = np.nonzero(leg == number)[0]
        start, stop = field[rows[0]], field[rows[-1]]
        toward = np.sign(stop - start)
        # The first rows of a leg may still be at the tip, so its start is the furthest point from where it goes.
        start = field[rows].min() if toward > 0.0 else field[rows].max()
        if rows.size >= LEAST_IN_LEG and toward * start < 0.0 and abs(start) >= RENEWED_SHARE * largest_T:
            direction[rows] = toward
    renewed = direction != 0.0
    u = np.where(u > 0.0, u, np.nan)
    points = LoopPoints(
        field_T=field[renewed],
        moment_Am2=moment[renewed],
        u_Am2=_steadied(u[renewed], leg[renewed]),
        direction=direction[renewed],
        leg=leg[renewed],
        temperature_K=float(np.nanmedian(temperature)) if np.isfinite(temperature).any() else float("nan"),
        largest_T=largest_T,
        rows=len(frame),
        skipped=skipped,
    )
    notes += _temperature_notes(temperature)
    return replace(points, notes=tuple(notes))


def spread_K(frame: pd.DataFrame) -> tuple[float, float]:
    """The 2 % and 98 % points of the temperature, NaN where it is unknown."""
    if "temperature_K" not in frame.columns:
        return float("nan"), float("nan")
    temperature = _numbers(frame, "temperature_K", "the run")
    temperature = temperature[np.isfinite(temperature)]
    if temperature.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(temperature, [0.02, 0.98])
    return float(low), float(high)


def legs_by_turns(field_T: FloatArray) -> IntArray:
    """The number of the monotone leg of each row. A turn counts when the field comes back by 2 % of its span."""
    field = np.asarray(field_T, dtype=np.float64)
    least = TURN_SHARE * float(np.ptp(field))
    leg = np.zeros(field.size, dtype=np.int64)
    sign, extreme, number = 0.0, 0, 0
    for k in range(1, field.size):
        away = field[k] - field[extreme]
        if away * sign > 0.0 or (sign == 0.0 and away == 0.0):
            extreme = k
        elif abs(away) > least:
            if sign != 0.0:
                number += 1
                leg[extreme + 1 :] = number
            sign, extreme = float(np.sign(away)), k
    return leg


def _numbers(frame: pd.DataFrame, name: str, what: str) -> FloatArray:
    try:
        return np.asarray(frame[name].to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError):
        raise ValueError(f"the column {name} of {what} holds something that is not a number") from None


def _given_legs(leg: FloatArray, field: FloatArray, what: str) -> IntArray:
    """The run's own leg numbers, checked: a leg that turns would put points on the wrong branch."""
    _, numbers = np.unique(np.asarray(leg), return_inverse=True)
    numbers = np.asarray(numbers, dtype=np.int64)
    for number in np.unique(numbers):
        own = field[numbers == number]
        if own.size >= LEAST_IN_LEG and legs_by_turns(own)[-1] and np.ptp(own) > TURN_SHARE * np.ptp(field):
            raise ValueError(
                f"leg {leg[numbers == number][0]} of {what} turns: leave the column leg out to have it cut"
            )
    # Numbers in the order in which they come.
    order = np.argsort([np.nonzero(numbers == k)[0][0] for k in range(numbers.max() + 1)])
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    return np.asarray(rank[numbers], dtype=np.int64)


def _steadied(u: FloatArray, leg: IntArray) -> FloatArray:
    """Standard errors of a few scans scatter themselves: none is believed below a third of its neighbours' median."""
    if not np.isfinite(u).any():
        return np.full(u.size, np.nan)
    u = np.where(np.isfinite(u), u, np.nanmedian(u))
    middle = np.empty_like(u)
    for number in np.unique(leg):
        rows = np.nonzero(leg == number)[0]
        own = np.pad(u[rows], 3, mode="edge")
        middle[rows] = np.median(np.lib.stride_tricks.sliding_window_view(own, 7), axis=1)
    return np.maximum(u, middle / 3.0)


def _temperature_notes(temperature: FloatArray) -> list[str]:
    if np.isfinite(temperature).any():
        return []
    return ["the temperature is unknown: a paramagnet that curves is not told from the film"]
