"""A voltage that walks (thermal EMF, 1/f noise) under the white noise of the rows, taken out by its own forecast.

Each row is compared with what all rows before it let expect (Kalman, J. Basic Eng. 82, 35 (1960), for a level that
walks at random). These differences are independent, so that least squares on them is the generalised one. The walk
begins at zero with the run: an offset is for the fit to know, or to take as none. An autoregression of the residuals
cannot say the same, for the fit has bent them straight.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_banded

from .models import FloatArray, Mask


@dataclass(frozen=True, slots=True)
class Walk:
    """Rows at `time` (−1 is the start of the run), each with white noise of variance `white`.

    The level gathers a variance of `rate` per time. All in units of a common variance. `gain` and `spread` follow from
    them: how much of a row's surprise is taken for the level's, and the standard deviation of that surprise.
    """

    time: FloatArray
    white: FloatArray
    rate: float
    gain: FloatArray
    spread: FloatArray

    @classmethod
    def of(cls, time: FloatArray, white: FloatArray, rate: float) -> "Walk":
        """The forecast's gains, row by row."""
        steps = (rate * np.abs(np.diff(time, prepend=-1.0))).tolist()
        gains: list[float] = []
        spreads: list[float] = []
        known = 0.0
        for step, own in zip(steps, white.tolist(), strict=True):
            before = known + step
            total = before + own
            known = before * own / total
            gains.append(before / total)
            spreads.append(total)
        return cls(time, white, rate, np.array(gains), np.sqrt(spreads))

    def apply(self, values: FloatArray) -> FloatArray:
        """`values` (last axis: the rows) less their forecast, over its spread."""
        size = self.gain.size
        flat = values.reshape(-1, size)
        bands = np.ones((2, size))
        bands[1, :-1] = self.gain[1:] - 1.0
        level = solve_banded((1, 0), bands, (flat * self.gain).T, check_finite=False).T
        out = flat.copy()
        out[:, 1:] -= level[:, :-1]
        return (out / self.spread).reshape(values.shape)

    def part(self, keep: Mask) -> "Walk":
        """The same walk seen by the rows that `keep` is true for."""
        return Walk.of(self.time[keep], self.white[keep], self.rate)
