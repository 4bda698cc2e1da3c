"""What a magnet's supply said in the minute before a quench and in the minute after it.

The readings of the last minute are kept in memory. When the guard latches a quench they become a file beside the
magnet's memory, one JSON object a line, and each look of the next minute is added: it is whole whenever the program
ends. Nothing here keeps an order from the magnet; a disk that is full is told in the log.
"""

import logging
import math
from collections import deque
from typing import Any

from ..core.capabilities import SupplyReading
from .magnet_memory import MagnetMemory

log = logging.getLogger(__name__)
_MINUTE_s = 60.0
# A hundred looks a second for a minute; whoever looks more often has a shorter record.
_MOST = 6000


class QuenchRecord:
    """Sees every reading of one magnet. `latched` is the quench that is already on record, empty for none."""

    def __init__(self, memory: MagnetMemory, *, name: str, latched: str) -> None:
        self.latched = latched
        self._memory = memory
        self._name = name
        self._last: deque[SupplyReading] = deque(maxlen=_MOST)
        self._file = ""
        self._at_s = 0.0

    def see(self, reading: SupplyReading) -> None:
        """Keep a reading, and let go of those that are older than a minute."""
        last, time_s = self._last, reading.time_s
        last.append(reading)
        while last[0].time_s < time_s - _MINUTE_s:
            last.popleft()
        if self._file:
            self._add(reading)

    def latch(self, quench: str) -> str:
        """Begin the record of a quench (its words), or forget one that was cleared; gives what to tell of it."""
        if quench == self.latched:
            return ""
        self.latched, self._file = quench, ""
        if not quench:
            return ""
        last = list(self._last)
        self._at_s = last[-1].time_s if last else 0.0
        name = self._memory.quench_file()
        head = {"magnet": self._name, "serial": self._memory.serial, "quench": quench, "monotonic_s": self._at_s}
        try:
            self._memory.add(name, [head, *(self._row(reading) for reading in last)])
        except OSError as error:
            log.warning("%s: the minute before the quench could not be kept: %s", self._name, error)
            return f"the minute before the quench could not be kept: {error.strerror or error}"
        self._file = name
        return f"the minute before the quench is in {name}, the minute after it follows"

    def _add(self, reading: SupplyReading) -> None:
        if reading.time_s > self._at_s + _MINUTE_s:
            self._file = ""
            return
        try:
            self._memory.add(self._file, [self._row(reading)])
        except OSError as error:
            log.warning("%s: %s ends here: %s", self._name, self._file, error)
            self._file = ""

    def _row(self, reading: SupplyReading) -> dict[str, Any]:
        row: dict[str, Any] = {
            "after_s": round(reading.time_s - self._at_s, 4),
            "activity": reading.activity.value,
            "output_A": _finite(reading.output_A),
            "voltage_V": _finite(reading.voltage_V),
            "set_point_A": _finite(reading.set_point_A),
            "rate_A_per_s": _finite(reading.rate_A_per_s),
            "coil_A": _finite(reading.coil_A),
            "heater": None if reading.heater is None else reading.heater.value,
            "detail": reading.detail or None,
        }
        return {key: value for key, value in row.items() if value is not None}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
