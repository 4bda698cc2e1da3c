"""Which range a meter should be in: up at once, down late, never to and fro. Nothing here touches an instrument.

The rules of this file. A reading that is overloaded or above 85 % of full scale goes up at once. One goes down only
when every reading of a while was below 28 %, and only into a range of which all of them, and the mean with five
standard deviations, fill at most 60 %: noise that stays within ±17 % of the signal can then never send it back,
(1 + 0.17) / (1 − 0.17) < 0.85 / 0.60, and Gaussian noise needs seven standard deviations to. Whatever comes
nevertheless, a descent that is undone soon doubles the while, and after `most_changes` changes there are only ascents.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from ..core.errors import ConfigError

# In parts of full scale.
_HIGH, _LOW, _FITS = 0.85, 0.28, 0.60
# A while is at least so many readings, and so many mean delays of the filter: fewer do not tell the deviation.
# Each while that did not allow a descent makes the next one longer, to four times: the luckiest of many is no proof.
_DEVIATIONS, _FEWEST, _DELAYS = 5.0, 20, 10.0
_LONGER, _LONGEST = 1.5, 4.0
# One change is a decade at most: an overloaded value does not say how large it is, a small one may be noise.
_DECADE = 10.0 * (1.0 + 1e-9)
# After a change the filter shows the old range for so many mean delays n·τ: for one pole e^-5 is left, 0.7 %.
SETTLING = 5.0
# A descent that is undone within so many whiles was one too many.
_SOON = 20.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The range (V) for the next reading, and whether the present one still belongs to an earlier change."""

    range_V: float
    settling: bool


class Autorange:
    """Decides from reading to reading. `ranges_V` are the full scales it may use, in any order.

    `delay_s` is the filter's mean delay n·τ: readings within `SETTLING` times it after a change are settling. `while_s`
    is how long a signal must have been small before the range goes down; ten mean delays and twenty readings at least.

    Raises:
        ConfigError: there is no range, or a number that is not positive.
    """

    def __init__(
        self, ranges_V: Sequence[float], delay_s: float, *, while_s: float = 3.0, most_changes: int = 200
    ) -> None:
        self._ranges_V = tuple(sorted(ranges_V))
        if not self._ranges_V or not all(0.0 < value < math.inf for value in (*self._ranges_V, delay_s, while_s)):
            raise ConfigError("an autorange needs positive ranges and times")
        self._delay_s = delay_s
        self._settle_s = SETTLING * delay_s
        self._while_s = max(while_s, _DELAYS * delay_s)
        self._left = most_changes
        self._range_V: float | None = None
        self._changed_s = self._descended_s = -math.inf
        # Since when the signal has been small, and what it was since.
        self._small_since_s: float | None = None
        self._small_V: list[tuple[float, float]] = []
        self._longer = 1.0

    def look(self, now_s: float, range_V: float, x_V: float, y_V: float, flags: Sequence[str] = ()) -> Verdict:
        """Judge one reading that was made in `range_V`; whoever calls sets what the verdict says.

        Flags that begin with `overload` send it up; `unlocked` means that the numbers say nothing.
        """
        if self._range_V is not None and range_V != self._range_V:
            # Somebody else turned the knob, or the change that was asked for did not come about.
            self._changed_s, self._small_since_s = now_s, None
        since_s = now_s - self._changed_s
        settling = since_s < self._settle_s
        size_V = max(abs(x_V), abs(y_V))
        overloaded = any(flag.startswith("overload") for flag in flags)
        wanted_V = range_V
        if overloaded or size_V > _HIGH * range_V:
            self._small_since_s = None
            # Within the first delay the filter still shows what the old range made of the signal.
            if since_s >= self._delay_s:
                wanted_V = self._above(range_V, math.inf if overloaded else size_V)
        elif settling or "unlocked" in flags or not size_V < _LOW * range_V:
            self._small_since_s = None
        else:
            wanted_V = self._below(now_s, range_V, x_V, y_V)
        if wanted_V != range_V:
            self._change(now_s, wanted_V < range_V)
        self._range_V = wanted_V
        return Verdict(wanted_V, settling)

    def _above(self, range_V: float, size_V: float) -> float:
        """The range that fits, a decade up at most; the largest there is when none does."""
        higher = [known for known in self._ranges_V if known > range_V]
        near = [known for known in higher if known <= _DECADE * range_V] or higher[:1]
        fitting = [known for known in near if size_V <= _FITS * known]
        return (fitting[0] if fitting else near[-1]) if near else range_V

    def _below(self, now_s: float, range_V: float, x_V: float, y_V: float) -> float:
        """The range that fits once all of a while has been small, a decade down at most."""
        if self._small_since_s is None:
            self._small_since_s, self._small_V = now_s, []
        self._small_V.append((x_V, y_V))
        long_s, many = self._longer * self._while_s, self._longer * _FEWEST
        if now_s - self._small_since_s < long_s or len(self._small_V) < many or self._left <= 0:
            return range_V
        needed_V = max(_reach(channel) for channel in zip(*self._small_V, strict=True))
        self._small_since_s = None
        self._longer = min(_LONGEST, _LONGER * self._longer)
        lower = [known for known in self._ranges_V if known < range_V]
        near = [known for known in lower if known * _DECADE >= range_V] or lower[-1:]
        fitting = [known for known in near if needed_V <= _FITS * known]
        return fitting[0] if fitting else range_V

    def _change(self, now_s: float, down: bool) -> None:
        if down:
            self._descended_s = now_s
        elif now_s - self._descended_s < _SOON * self._while_s:
            self._while_s *= 2.0
            self._descended_s = -math.inf
        self._left -= 1
        self._longer = 1.0
        self._changed_s, self._small_since_s = now_s, None


def _reach(values_V: Sequence[float]) -> float:
    """How far a channel goes from zero: its largest value, or its mean and five standard deviations."""
    return max(max(map(abs, values_V)), abs(fmean(values_V)) + _DEVIATIONS * stdev(values_V))
