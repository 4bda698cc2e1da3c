"""A field sweep as the transport fits see it: good rows only, cut into monotone legs, thinned where there are many.

The cut is made on the readback itself, not on a plan. What the fits need to know of a row beside its numbers is the
direction of the field (the branch), its rate (the lag), and whether its magnetic history is known.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from ..core.records import Measured
from .hall_loop import BAD_FLAGS
from .models import FloatArray, Mask

IntArray = NDArray[np.intp]

TURN_SHARE = 0.02  # of the span: a field that came back by so much has turned
FINE_T = 0.6  # below it are the loop and the cusp of localisation: rows are merged only over MOST_MERGED_T
MOST_MERGED_T = 0.004
SETTLE_S = 8.0
MOST_ROWS = 1500  # of each of the two ranges, before rows are merged


@dataclass(frozen=True, slots=True)
class Sweep:
    """Rows of one run in the order they were measured.

    `motion` is the rate (T/s) where `timed`, else the direction ±1. `span_time` runs from −1 to 1. `run` numbers the
    unbroken pieces inside which neighbours are neighbours in time, `coarse` is true for rows merged outside FINE_T.
    `r_xx_ohm` is None when it was not measured. `start_T` is where the row's leg began.
    """

    field_T: FloatArray
    r_xy_ohm: FloatArray
    r_xx_ohm: FloatArray | None
    span_time: FloatArray
    motion: FloatArray
    rising: FloatArray
    leg: IntArray
    start_T: FloatArray
    run: IntArray
    coarse: Mask
    timed: bool = False
    rows: int = 0
    temperature_K: Measured | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many rows are left."""
        return self.field_T.size

    @property
    def reach_T(self) -> float:
        """The largest |B|."""
        return float(np.abs(self.field_T).max())

    @property
    def both_branches(self) -> bool:
        """True when the field went up and down over a good part of the range."""
        up = self.rising > 0.0
        return bool(min(up.sum(), (~up).sum()) > 0.1 * self.size)

    @property
    def both_signs(self) -> bool:
        """True when the sweep reached a good part of its largest field on either side of zero."""
        return bool(min(-self.field_T.min(), self.field_T.max()) > 0.3 * self.reach_T)

    def where(self, keep: Mask) -> "Sweep":
        """The rows that `keep` is true for."""
        names = ("field_T", "r_xy_ohm", "span_time", "motion", "rising", "leg", "start_T", "run", "coarse")
        kept: dict[str, Any] = {name: getattr(self, name)[keep] for name in names}
        return replace(self, r_xx_ohm=None if self.r_xx_ohm is None else self.r_xx_ohm[keep], **kept)

    def history_known(self, closed_T: float) -> Mask:
        """Rows on a leg that came from beyond −`closed_T` (rising) or +`closed_T` (falling), or that are beyond it.

        A loop is the same every time only after saturation: the first leg of a demagnetised sample is not on it.
        """
        return (-self.rising * self.start_T >= closed_T) | (np.abs(self.field_T) >= closed_T)


def read_sweep(frame: pd.DataFrame, *, squares: float = 1.0, thin: bool = True) -> Sweep:
    """The good rows of `frame`, which needs `field_T` and `R_xy_ohm` and is the better for `R_xx_ohm` and `time_s`.

    Rows with a bad flag or without a finite field, R_xy or R_xx are skipped and counted in `notes`. `squares` divides
    R_xx: length over width of the bar.

    Raises:
        ValueError: a needed column is missing or is not of numbers, or no row is complete.
    """
    missing = [name for name in ("field_T", "R_xy_ohm") if name not in frame.columns]
    if missing:
        found = ", ".join(str(name) for name in frame.columns)
        raise ValueError(f"a Hall sweep needs the columns {' and '.join(missing)}; found {found}: rename them")
    if not (np.isfinite(squares) and squares > 0.0):
        raise ValueError(f"squares = {squares} is not a length over width: give a positive number")
    field, r_xy = _numbers(frame, "field_T"), _numbers(frame, "R_xy_ohm")
    r_xx = _numbers(frame, "R_xx_ohm") / squares if "R_xx_ohm" in frame.columns else None
    if r_xx is not None and not np.isfinite(r_xx).any():
        r_xx = None
    timed = "time_s" in frame.columns
    time_s = _numbers(frame, "time_s") if timed else np.arange(field.size, dtype=np.float64)
    good = np.isfinite(field) & np.isfinite(r_xy) & np.isfinite(time_s)
    if r_xx is not None:
        good &= np.isfinite(r_xx)
    if "flags" in frame.columns:
        good &= ~np.array([_bad(flag) for flag in frame["flags"].tolist()], dtype=bool)
    if timed and good.any():
        seen = np.where(good, time_s, -np.inf)
        good &= time_s > np.concatenate(([-np.inf], np.maximum.accumulate(seen)[:-1]))
    if not good.any():
        raise ValueError("no row has a finite field_T, R_xy_ohm and time and no bad flag: there is nothing to fit")
    notes: list[str] = []
    if not good.all():
        skipped = int((~good).sum())
        notes.append(f"{skipped} of {good.size} rows were skipped: flagged, incomplete, repeated or out of order")
    wild = _spikes(r_xy, good)
    if r_xx is not None:
        wild |= _spikes(r_xx, good)
    if wild.any():
        notes.append(f"{int(wild.sum())} rows were dropped as lone wild readings")
        good &= ~wild
    temperature = _temperature(frame, good)
    field, r_xy, time_s = field[good], r_xy[good], time_s[good]
    leg, rising, start = _legs(field)
    motion = _rates(field, time_s, leg) if timed else rising
    if timed and "field_time_s" in frame.columns:
        # R_xy was read at another instant than the field: take the field there.
        late = time_s - _numbers(frame, "field_time_s")[good]
        field = field + motion * np.where(np.isfinite(late), late, 0.0)
    middle, half = 0.5 * (time_s[0] + time_s[-1]), max(0.5 * (time_s[-1] - time_s[0]), 1e-9)
    sweep = Sweep(
        field_T=field,
        r_xy_ohm=r_xy,
        r_xx_ohm=None if r_xx is None else r_xx[good],
        span_time=(time_s - middle) / half,
        motion=motion,
        rising=rising,
        leg=leg,
        start_T=start,
        run=_runs(time_s),
        coarse=np.zeros(field.size, dtype=bool),
        timed=timed,
        rows=good.size,
        temperature_K=temperature,
        notes=tuple(notes),
    )
    settled = _settled(sweep, time_s)
    if settled.sum() >= 0.7 * sweep.size:
        # What the rows just after a turn were measured at depends on lags that are not known yet.
        sweep = sweep.where(settled)
    return _thinned(sweep) if thin else sweep


def _numbers(frame: pd.DataFrame, name: str) -> FloatArray:
    try:
        return np.array(frame[name].to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the column {name} is not of numbers: {error}") from error


def _bad(flag: Any) -> bool:
    return isinstance(flag, str) and any(word in flag.lower() for word in BAD_FLAGS)


def _spikes(values: FloatArray, good: Mask) -> Mask:
    """Readings that stand alone far off the line between their neighbours.

    The scale is that of second differences: on a ramp the spread about a running median would flag every row. A step,
    such as a loop that switches between two rows, has no neighbours that return.
    """
    wild = np.zeros(values.size, dtype=bool)
    rows = np.flatnonzero(good)
    if rows.size < 12:
        return wild
    x = values[rows]
    bend = x[1:-1] - 0.5 * (x[:-2] + x[2:])
    scale = 1.4826 * float(np.median(np.abs(bend - np.median(bend))))
    centre = bend[1:-1]
    safe = np.where(centre == 0.0, 1.0, centre)
    before, after = bend[:-2] / safe, bend[2:] / safe
    lone = (np.abs(centre) > 8.0 * scale) & (np.abs(before + 0.5) < 0.35) & (np.abs(after + 0.5) < 0.35)
    if scale > 0.0 and lone.sum() < 0.05 * rows.size:
        wild[rows[np.flatnonzero(lone) + 2]] = True
    return wild


def _temperature(frame: pd.DataFrame, good: Mask) -> Measured | None:
    """Mean and spread: the sample was at all of these temperatures."""
    if "temperature_K" not in frame.columns:
        return None
    values = _numbers(frame, "temperature_K")[good]
    values = values[np.isfinite(values)]
    if values.size < 2:
        return None
    return Measured(float(values.mean()), max(float(values.std(ddof=1)), 1e-6))


def _legs(field: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Number, direction and starting field of the leg of every row, cut where the field has truly turned."""
    turn = max(TURN_SHARE * float(np.ptp(field)), 1e-9)
    edges, signs = [0], [0.0]
    low = high = 0
    for k, value in enumerate(field.tolist()):
        if value > field[high]:
            high = k
        if value < field[low]:
            low = k
        if signs[-1] <= 0.0 and value - field[low] > turn:
            edges.append(low)
            signs.append(1.0)
            high = k
        elif signs[-1] >= 0.0 and field[high] - value > turn:
            edges.append(high)
            signs.append(-1.0)
            low = k
    starts: list[int] = edges[1:] if len(edges) > 1 else [0]
    directions: list[float] = signs[1:] if len(signs) > 1 else [1.0]
    number = np.clip(np.searchsorted(np.array(starts), np.arange(field.size), side="right") - 1, 0, None)
    leg = number.astype(np.intp)
    return leg, np.array(directions)[leg], field[np.array(starts)][leg]


def _rates(field: FloatArray, time_s: FloatArray, leg: IntArray) -> FloatArray:
    """dB/dt (T/s) as a running median inside each leg: a mean would smear the rate where the magnet stops."""
    rate = np.zeros(field.size)
    for number in range(int(leg.max()) + 1):
        rows = np.flatnonzero(leg == number)
        if rows.size > 1:
            slope = np.diff(field[rows]) / np.diff(time_s[rows])
            slope = np.concatenate((slope[:1], slope))
            rate[rows] = median_filter(slope, size=min(9, slope.size), mode="nearest")
    return rate


def _settled(sweep: Sweep, time_s: FloatArray) -> Mask:
    """Rows of which the turn before is SETTLE_S away, or two rows where there is no time; the first leg has no turn."""
    first = np.concatenate(([0], np.flatnonzero(np.diff(sweep.leg)) + 1))
    began = first[np.searchsorted(first, np.arange(sweep.size), side="right") - 1]
    late = time_s - time_s[began] >= SETTLE_S if sweep.timed else np.arange(sweep.size) - began >= 2
    return late | (sweep.leg == 0)


def _runs(time_s: FloatArray) -> IntArray:
    """Numbers of the pieces inside which rows follow one another without a gap; noise does not mind a turn."""
    if time_s.size < 2:
        return np.zeros(time_s.size, dtype=np.intp)
    step = np.diff(time_s)
    return np.concatenate(([0], np.cumsum(step > 5.0 * float(np.median(step))))).astype(np.intp)


def _thinned(sweep: Sweep) -> Sweep:
    """Merge neighbours in time where there are more rows than the fit can use; blocks are equal, so is their noise."""
    coarse = np.abs(sweep.field_T) >= FINE_T
    many = -(-int(coarse.sum()) // MOST_ROWS)
    step = float(np.median(np.abs(np.diff(sweep.field_T)))) if sweep.size > 1 else 1.0
    few = max(1, min(-(-int((~coarse).sum()) // MOST_ROWS), int(MOST_MERGED_T / max(step, 1e-9))))
    if many <= 1 and few <= 1:
        return sweep
    key = 2 * sweep.run + coarse
    blocks: list[IntArray] = []
    for rows in np.split(np.arange(sweep.size), np.flatnonzero(np.diff(key)) + 1):
        size = many if coarse[rows[0]] else few
        whole = rows.size // size * size
        blocks.extend(rows[:whole].reshape(-1, size))
    index = np.array([block[0] for block in blocks])
    owner = np.concatenate([np.full(block.size, k) for k, block in enumerate(blocks)])
    members, size = np.concatenate(blocks), np.array([float(block.size) for block in blocks])

    def mean(values: FloatArray) -> FloatArray:
        return np.bincount(owner, values[members]) / size

    thin = sweep.where(np.isin(np.arange(sweep.size), index))
    return replace(
        thin,
        field_T=mean(sweep.field_T),
        r_xy_ohm=mean(sweep.r_xy_ohm),
        r_xx_ohm=None if sweep.r_xx_ohm is None else mean(sweep.r_xx_ohm),
        span_time=mean(sweep.span_time),
        motion=mean(sweep.motion),
        run=np.concatenate(([0], np.cumsum(np.diff(key[index]) != 0))).astype(np.intp),
        coarse=coarse[index],
    )


def joined(notes: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """Both, in order, each sentence once."""
    return tuple(dict.fromkeys((*notes, *more)))
