"""Does the sample obey R_13,24(B, m) = R_24,13(−B, −m)? A check of everything between the contacts and the file.

The falling leg of a saturated loop at B and the rising one at −B are the same state reversed in time. What is left is
an offset (a thermal EMF), a drift, contacts that are not ohmic, or a moment that did not turn.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import f as fisher
from scipy.stats import t as student

from ..core.records import Measured
from .models import FloatArray, Mask
from .reciprocal_pairs import ReciprocalPairs

FLAG_FRACTION = 0.03  # of half the span of R_xy
FALSE_ALARM = 0.003
_BINS, _PER_BIN = 40, 4


@dataclass(frozen=True)
class Onsager:
    """R_13,24(B, m) − R_24,13(−B, −m) by bins of B, each ± `u_ohm`, its mean and how much of R_xy it is.

    `p` is the chance of what is seen if there is nothing; `flagged` when that is below 0.3 % and the difference above
    3 % of half the span of R_xy. `fraction` is the root mean square beyond noise over that half span.
    """

    field_T: FloatArray
    difference_ohm: FloatArray
    u_ohm: float
    mean_ohm: Measured
    fraction: float
    p: float

    @property
    def certain(self) -> bool:
        """Not by chance, however small."""
        return self.p < FALSE_ALARM

    @property
    def flagged(self) -> bool:
        """Large, and not by chance."""
        return self.certain and self.fraction > FLAG_FRACTION

    @property
    def text(self) -> str:
        """The sentence for a person."""
        size = f"R_13,24(B, m) − R_24,13(−B, −m) is {100.0 * self.fraction:.1f} % of R_xy (p = {self.p:.2g})"
        if not self.certain:
            return f"Onsager's relation holds: {size}"
        cause = "a thermal EMF or an offset" if self._constant() else "a drift, or a moment that did not turn"
        how = "fails" if self.flagged else "fails a little"
        return f"Onsager's relation {how}: {size}: {cause}, or contacts that are not ohmic"

    def _constant(self) -> bool:
        rest = float(np.var(self.difference_ohm))
        return self.mean_ohm.value**2 > 4.0 * max(rest - self.u_ohm**2, 0.0)


def onsager_check(pairs: ReciprocalPairs) -> Onsager | None:
    """The check over all falling and all rising legs that span the loop; None when there are none, or too few rows."""
    most_T = float(np.max(np.abs(pairs.field_T)))
    falling, rising = _spanning(pairs, most_T)
    edges = np.linspace(-most_T, most_T, _BINS + 1)
    bins = {
        True: _binned(edges, pairs.field_T[falling], pairs.r_13_24_ohm[falling]),
        # −B: the rising leg is looked at from the other end.
        False: _binned(edges, -pairs.field_T[rising], pairs.r_24_13_ohm[rising]),
    }
    (b, first, count), (mirrored, second, others) = bins[True], bins[False]
    enough = (count >= _PER_BIN) & (others >= _PER_BIN)
    if enough.sum() < 12:
        return None
    b, first, mirrored, second = (column[enough] for column in (b, first, mirrored, second))
    # The two bins' mean fields differ a little: bring both to the middle along their own slopes.
    middle = 0.5 * (b + mirrored)
    difference = (first + np.gradient(first, b) * (middle - b)) - (
        second + np.gradient(second, mirrored) * (middle - mirrored)
    )
    return _judged(middle, difference, 0.5 * float(np.ptp(pairs.r_13_24_ohm - pairs.r_24_13_ohm)) / 2.0)


def _spanning(pairs: ReciprocalPairs, most_T: float) -> tuple[Mask, Mask]:
    """Which rows are of a falling leg from one end to the other, and which of a rising one."""
    falling, rising = (np.zeros(pairs.field_T.size, dtype=bool) for _ in range(2))
    for number in np.unique(pairs.leg):
        mine = pairs.leg == number
        b = pairs.field_T[mine]
        if b[0] > 0.9 * most_T and b[-1] < -0.9 * most_T:
            falling |= mine
        elif b[0] < -0.9 * most_T and b[-1] > 0.9 * most_T:
            rising |= mine
    return falling, rising


def _binned(edges: FloatArray, field_T: FloatArray, value: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    index = np.clip(np.digitize(field_T, edges) - 1, 0, _BINS - 1)
    count = np.bincount(index, minlength=_BINS).astype(np.float64)
    safe = np.maximum(count, 1.0)
    fields = np.bincount(index, field_T, minlength=_BINS) / safe
    return fields, np.bincount(index, value, minlength=_BINS) / safe, count


def _judged(field_T: FloatArray, difference: FloatArray, half_span_ohm: float) -> Onsager:
    # What changes from bin to bin is noise, whatever its correlation within a bin; a defect is smooth or lies where
    # the moment turns, in the two or three bins that the median leaves out of the scale.
    second = (difference[:-2] - 2.0 * difference[1:-1] + difference[2:]) / np.sqrt(6.0)
    robust = 1.4826 * float(np.median(np.abs(second)))
    kept = second[np.abs(second) < 4.0 * robust]
    u = float(np.sqrt(np.mean(kept**2)))
    freedom = 0.5 * kept.size  # second differences overlap: half of them count
    n = difference.size
    mean = Measured(float(difference.mean()), u / np.sqrt(n) * float(student.ppf(0.975, freedom)) / 1.96)
    tilt = field_T / np.sqrt(np.sum(field_T**2))
    tests = (
        2.0 * float(student.sf(abs(difference.mean()) * np.sqrt(n) / u, freedom)),
        2.0 * float(student.sf(abs(float(tilt @ difference)) / u, freedom)),
        float(fisher.sf(float(np.mean(difference**2)) / u**2, n, freedom)),
    )
    excess = float(np.sqrt(max(np.mean(difference**2) - u**2, 0.0)))
    return Onsager(field_T, difference, u, mean, excess / half_span_ohm, min(1.0, 3.0 * min(tests)))
