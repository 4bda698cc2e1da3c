"""A curve of any length in at most 4096 points, thinned in the order of the samples.

A hysteresis loop visits every field twice, so whatever thins by x (clipping to the view, automatic downsampling)
draws it wrong or not at all. Here consecutive samples form buckets, and of each bucket its first, smallest, largest
and last sample are kept, in the order they came: no spike is lost and a closed loop stays closed. Adding costs the
block added, drawing costs the limit; neither depends on how long the run has been.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

POINTS_PER_CURVE = 4096
_KEPT = 4  # first, min, max, last
_KEY = -1  # the column that decides what is an extreme


def halve(points: Floats) -> Floats:
    """Of every eight consecutive rows keep four: first, smallest, largest, last, in the order they came.

    Smallest and largest by the last column. The number of rows must be a multiple of eight. Applied to buckets that
    were thinned before, the result is what thinning the samples themselves would give.
    """
    groups = points.reshape(-1, 2 * _KEPT, points.shape[1])
    key = groups[:, :, _KEY]
    keep = np.zeros((len(groups), _KEPT), dtype=np.intp)
    keep[:, 1:3] = np.sort(np.stack([key.argmin(axis=1), key.argmax(axis=1)], axis=1), axis=1)
    keep[:, 3] = 2 * _KEPT - 1
    return np.take_along_axis(groups, keep[:, :, None], axis=1).reshape(-1, points.shape[1])


def _bucket(points: Floats) -> Floats:
    """First, smallest, largest and last row of one bucket, or the bucket itself while it has no more than four."""
    if len(points) <= _KEPT:
        return points
    low, high = sorted((int(points[:, _KEY].argmin()), int(points[:, _KEY].argmax())))
    return points[[0, low, high, len(points) - 1]]


class Decimator:
    """The drawable points of one curve that only grows.

    `limit` bounds what `points()` returns and must be a multiple of eight, at least 32. Up to that many samples the
    curve is exact, beyond it each bucket keeps its extremes, and buckets double in size when the store is full.
    """

    def __init__(self, limit: int = POINTS_PER_CURVE) -> None:
        if limit < 32 or limit % 8:
            raise ValueError(f"limit must be a multiple of 8 and at least 32, not {limit}")
        self._closed = np.empty((limit, 3))
        self._used = 0
        self._size = _KEPT  # samples in a full bucket; the first buckets keep all of theirs
        self._open = np.empty((0, 3))
        self._open_count = 0
        self.count = 0

    def extend(self, x: Floats, y: Floats, key: Floats | None = None) -> None:
        """Add samples in the order they were measured. All must be finite.

        `key` decides what counts as an extreme when it is not `y` itself: for a small loop on a steep line, the
        height above the line.
        """
        block = np.column_stack((x, y, y if key is None else key))
        self.count += len(block)
        start = 0
        while start < len(block):
            stop = start + self._size - self._open_count
            part = block[start:stop]
            self._open = _bucket(np.concatenate((self._open, part)))
            self._open_count += len(part)
            start += len(part)
            if self._open_count == self._size:
                self._close()

    def points(self) -> tuple[Floats, Floats]:
        """The curve as x and y, first sample first, newest sample last. Fresh arrays; the caller may keep them."""
        both: Any = np.concatenate((self._closed[: self._used], self._open))
        return both[:, 0].copy(), both[:, 1].copy()

    def _close(self) -> None:
        self._closed[self._used : self._used + _KEPT] = self._open
        self._used += _KEPT
        self._open = np.empty((0, 3))
        self._open_count = 0
        if self._used == len(self._closed):  # an even number of equal buckets, so they pair up
            halved = halve(self._closed)
            self._used = len(halved)
            self._closed[: self._used] = halved
            self._size *= 2
