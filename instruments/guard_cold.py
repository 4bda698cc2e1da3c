"""What keeps the magnet cold: how long a sensor was bad, how often a value was.

A bad sensor (no value, not finite, too old) holds a rising field, and after its patience sends it to zero; a bad value
(outside its limits, three times in a row) sends it to zero at once. Neither ever keeps a magnet from coming down.
"""

import math
from enum import IntEnum

from .guard_states import Coldness
from .magnet_limits import SensorLimits

_BAD_VALUES = 3
_GOOD_VALUES = 3


class Verdict(IntEnum):
    """What the coldness allows."""

    FINE = 0
    HOLD = 1
    ZERO = 2


class ColdWatch:
    """One sensor. `why` says what is wrong."""

    def __init__(self, name: str, limits: SensorLimits) -> None:
        self.name = name
        self.why = ""
        self._limits = limits
        self._bad_values = 0
        self._good_values = _GOOD_VALUES
        self._blind = False
        self._bad_since_s: float | None = None
        self._zero = False

    def look(self, coldness: Coldness) -> None:
        """Take in one reading."""
        value = coldness.value
        if value is None or not math.isfinite(value):
            self._good_values, self._blind = 0, True
            if self._bad_since_s is None:
                self._bad_since_s = coldness.time_s
            self.why = f"the {self.name} sensor gives no value"
            self._zero = self._zero or coldness.time_s - self._bad_since_s >= self._limits.patience_s
            return
        self._bad_since_s = None
        if self._limits.lowest <= value <= self._limits.highest:
            self._bad_values = 0
            self._good_values += 1
            if self._good_values >= _GOOD_VALUES:
                self._zero, self._blind, self.why = False, False, ""
            return
        self._good_values = 0
        self._bad_values += 1
        self.why = f"{self.name} is {value:g}, outside {self._limits.lowest:g} … {self._limits.highest:g}"
        self._zero = self._zero or self._bad_values >= _BAD_VALUES

    @property
    def verdict(self) -> Verdict:
        """What it allows now."""
        if self._zero:
            return Verdict.ZERO
        return Verdict.HOLD if self._blind else Verdict.FINE
