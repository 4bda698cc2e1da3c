"""The SR830's data buffer: what its two displays show, 62.5 mHz to 512 Hz or at triggers, dumped in three formats.

SR830 manual, "data storage commands" and "data transfer commands" (5-15 to 5-19).
"""

import math
import struct
from collections import deque
from itertools import islice

from .srs_commands import Refused, numbers

_POINTS = 16383
TRIGGERED = 14  # SRAT: a sample at each trigger


class TraceBuffer:
    """Pairs of CH1 and CH2, the oldest first."""

    def __init__(self) -> None:
        self.running = False
        self._samples: deque[tuple[float, float]] = deque(maxlen=_POINTS)

    def __len__(self) -> int:
        return len(self._samples)

    def clear(self) -> None:
        """REST: nothing is kept and nothing runs."""
        self.running = False
        self._samples.clear()

    def keep(self, shown: tuple[float, float], once: bool) -> None:
        """Take one sample; a buffer that is filled `once` stops at its end, otherwise the oldest sample goes."""
        self._samples.append(shown)
        if once and len(self._samples) == _POINTS:
            self.running = False

    def _chosen(self, arguments: list[str]) -> list[float]:
        channel, first, count = numbers(arguments, (1, 2), (0, _POINTS), (1, _POINTS))
        if first + count > len(self._samples):
            raise Refused
        return [sample[int(channel) - 1] for sample in islice(self._samples, int(first), int(first + count))]

    def text(self, arguments: list[str]) -> str:
        """TRCA?: every point is followed by a comma, the last one too (manual 5-16)."""
        return "".join(f"{value:g}," for value in self._chosen(arguments))

    def floats(self, arguments: list[str]) -> str:
        """TRCB?: four bytes of little-endian IEEE single precision each."""
        values = self._chosen(arguments)
        return struct.pack(f"<{len(values)}f", *values).decode("latin-1")

    def own_floats(self, arguments: list[str]) -> str:
        """TRCL?: 16 bits of mantissa m and of exponent e each, for m 2^(e−124)."""
        pieces: list[bytes] = []
        for value in self._chosen(arguments):
            mantissa, exponent = math.frexp(value)
            pieces.append(struct.pack("<hh", round(mantissa * 16384), exponent + 110 if value else 0))
        return b"".join(pieces).decode("latin-1")
