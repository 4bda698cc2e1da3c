"""What the slope of R_xy is fitted to: the rows of a sweep, or their odd part made by pairing branches.

A sample that remembers must not have a branch antisymmetrised with itself, which would delete the loop. Time reversal
pairs the falling branch at B with the rising one at −B: y(B) = [R_down(B) − R_up(−B)]/2 holds all that is odd (the
slope, the loop) and nothing that is even. The rows with their even part as columns of the fit say the same and use
every row once, in the order of time; so they are fitted, and the pairs test them.
"""

from dataclasses import dataclass

import numpy as np

from .models import FloatArray, Mask
from .transport_data import IntArray, Sweep

FINE_BIN_T = 0.004
MOST_BINS = 600
LEAST_PAIRS = 20


@dataclass(frozen=True, slots=True)
class SlopeRows:
    """R_xy or its odd part (ohm), the branch it lies on, and what else is in it (`extra`, one column per line).

    `weight` is 1/variance in units of a row's; `run` numbers stretches without a gap, `coarse` sets of equal noise.
    `time` is the sweep's `span_time` where rows follow one another in time, and zero for pairs, which do not.
    """

    field_T: FloatArray
    r_xy_ohm: FloatArray
    rising: FloatArray
    extra: FloatArray
    weight: FloatArray
    run: IntArray
    coarse: Mask
    time: FloatArray

    def where(self, keep: Mask) -> "SlopeRows":
        """The rows that `keep` is true for."""
        parts = (self.rising[keep], self.extra[:, keep], self.weight[keep], self.run[keep], self.coarse[keep])
        return SlopeRows(self.field_T[keep], self.r_xy_ohm[keep], *parts, self.time[keep])


def rows_of(sweep: Sweep) -> SlopeRows:
    """All rows, with an offset, and what misalignment, drift and lag leave in them where the sweep can tell."""
    extra = [np.ones(sweep.size)]
    if sweep.both_signs:
        x = sweep.field_T / sweep.reach_T
        extra += [x**2, x**4]
        if sweep.r_xx_ohm is not None:
            extra.append(sweep.r_xx_ohm - sweep.r_xx_ohm.mean())
    if sweep.both_branches:
        extra += [sweep.motion, sweep.span_time] if sweep.timed else [sweep.motion]
    weight = np.ones(sweep.size)
    columns = np.array(extra)
    return SlopeRows(
        sweep.field_T, sweep.r_xy_ohm, sweep.rising, columns, weight, sweep.run, sweep.coarse, sweep.span_time
    )


def pairs_of(sweep: Sweep) -> SlopeRows | None:
    """y(B) on the falling branch by bins of the field, or None where too few bins have a partner at −B."""
    step = float(np.median(np.abs(np.diff(sweep.field_T)))) if sweep.size > 1 else 0.0
    width = max(FINE_BIN_T, 1.001 * step, 2.0 * sweep.reach_T / MOST_BINS)
    falling = _binned(sweep, sweep.rising < 0.0, 1.0, width)
    rising = _binned(sweep, sweep.rising > 0.0, -1.0, width)
    shared = sorted(set(falling) & set(rising), reverse=True)
    if len(shared) < max(LEAST_PAIRS, 0.3 * max(len(falling), len(rising))):
        return None
    down, up = np.array([falling[k] for k in shared]), np.array([rising[k] for k in shared])
    # Within a bin the two means lie at slightly different fields; the middle of both is the pair's.
    field = 0.5 * (down[:, 0] + up[:, 0])
    run = np.concatenate(([0], np.cumsum(np.diff(np.array(shared)) != -1))).astype(np.intp)
    weight = 4.0 / (1.0 / down[:, 3] + 1.0 / up[:, 3])
    drift = 0.5 * (down[:, 2] - up[:, 2])
    extra = [np.ones(field.size)]
    if sweep.timed and float(np.ptp(drift)) > 1e-3:
        extra.append(drift)
    same = np.ones(field.size, dtype=bool)
    odd = 0.5 * (down[:, 1] - up[:, 1])
    return SlopeRows(field, odd, np.full(field.size, -1.0), np.array(extra), weight, run, same, np.zeros(field.size))


Bin = tuple[float, float, float, float]


def _binned(sweep: Sweep, keep: Mask, mirror: float, width: float) -> dict[int, Bin]:
    """Mean (mirrored) field, mean R_xy, mean time and count of each bin of one direction."""
    field = mirror * sweep.field_T[keep]
    if field.size == 0:
        return {}
    key, owner = np.unique(np.floor(field / width).astype(np.int64), return_inverse=True)
    count = np.bincount(owner).astype(np.float64)
    columns = [np.bincount(owner, x) / count for x in (field, sweep.r_xy_ohm[keep], sweep.span_time[keep])]
    table = np.column_stack((*columns, count)).tolist()
    return {int(k): (float(f), float(r), float(t), float(c)) for k, (f, r, t, c) in zip(key, table, strict=True)}
