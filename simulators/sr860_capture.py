"""The capture buffer of the SR860 family: single floats of X, Y, R and θ at a rate of its own, in blocks of 2 kB.

Facts after the SR865A and SR860 manuals, "data capture commands" (pages 136 to 139).
"""

import math
import struct
from array import array
from collections.abc import Callable

from .srs_commands import Refused

CONFIGURATIONS = ("X", "XY", "RT", "XYRT")
_CHOSEN = {"X": (0,), "XY": (0, 1), "RT": (2, 3), "XYRT": (0, 1, 2, 3)}
# By time constant, from 1 µs on: 1.25 MHz divided by this power of two.
_DIVISORS = (0, 1, 2, 3, 4, 5, 7, 9, 10, 12, 13, 14, 15, 17, 18, 19, 19, 19, 19, 19, 19, 19)
_BLOCK = 2048
_VALUE = 4
_RUNNING, _TRIGGERED, _WRAPPED = 1, 2, 4


def largest_rate_Hz(time_constant: int) -> float:
    """CAPTURERATEMAX? at a time constant by its index."""
    return 1.25e6 / 2.0 ** _DIVISORS[time_constant]


class Capture:
    """The buffer. `outputs` gives X, Y, R and θ as they are now; whoever holds it calls `keep` when one is due."""

    def __init__(self, outputs: Callable[[], tuple[float, float, float, float]]) -> None:
        self._outputs = outputs
        self.configuration = "X"
        self.length_kilobytes = 256
        self.divisor = 0
        self.status = 0
        self._values = array("f")
        self._at = 0
        self._endless = False
        self._per_trigger = self._armed = False

    def configure(self, configuration: str | None = None, length_kilobytes: int | None = None) -> None:
        """Change what is kept or how much; what was kept is gone. Odd lengths become the next even one."""
        self.configuration = configuration or self.configuration
        if length_kilobytes is not None:
            self.length_kilobytes = length_kilobytes + length_kilobytes % 2
        self._empty()

    def _empty(self) -> None:
        self.status, self._at = 0, 0
        self._values = array("f")

    @property
    def running(self) -> bool:
        """True from the start to the stop, waiting for a trigger included."""
        return bool(self.status & _RUNNING) or self._armed

    @property
    def timed(self) -> bool:
        """True while samples come at the capture rate."""
        return bool(self.status & _RUNNING) and not self._per_trigger

    def start(self, endless: bool, trigger: str) -> None:
        """Begin anew: at once (`IMM`), at a trigger (`TRIG`), or with one sample at each trigger (`SAMP`)."""
        self._empty()
        self._endless, self._per_trigger = endless, trigger == "SAMP"
        self._armed = trigger != "IMM"
        if not self._armed:
            self.status = _RUNNING | _TRIGGERED

    def trigger(self) -> None:
        """A trigger by the wire or the bus."""
        if self._armed:
            self.status |= _RUNNING | _TRIGGERED
            self._armed = self._per_trigger
            if self._per_trigger:
                self.keep()

    def keep(self) -> None:
        """Take one sample; a buffer that is full ends the capture, or is written over from its start."""
        outputs = self._outputs()
        for index in _CHOSEN[self.configuration]:
            if len(self._values) < self._capacity:
                self._values.append(outputs[index])
            else:
                self._values[self._at] = outputs[index]
            self._at = (self._at + 1) % self._capacity
        if self._at == 0:
            self.status |= _WRAPPED
            if not self._endless:
                self.stop()

    def stop(self) -> None:
        """End the capture."""
        self.status &= ~_RUNNING
        self._armed = False

    @property
    def _capacity(self) -> int:
        return self.length_kilobytes * 1024 // _VALUE

    def captured_bytes(self) -> int:
        """CAPTUREBYTES?: what is kept; while a full buffer is written over, less the block that is being written."""
        kept = len(self._values) * _VALUE
        if self._endless and self.status & _WRAPPED and self.status & _RUNNING:
            return kept - _BLOCK + self._at * _VALUE % _BLOCK
        return kept

    def captured_kilobytes(self) -> int:
        """CAPTUREPROG?: the same in kB, in whole blocks; refused while capture runs."""
        if self.running:
            raise Refused
        return 2 * math.ceil(self.captured_bytes() / _BLOCK)

    def values(self, number: int) -> tuple[float, ...]:
        """CAPTUREVAL?: one sample, the oldest is number 0; nothing but zeros where nothing was kept."""
        count = len(_CHOSEN[self.configuration])
        oldest = self._at if self.status & _WRAPPED else 0
        if (number + 1) * count > self._capacity:
            raise Refused
        places = [(oldest + number * count + k) % self._capacity for k in range(count)]
        return tuple(self._values[place] if place < len(self._values) else 0.0 for place in places)

    def block(self, offset_kilobytes: int, length_kilobytes: int) -> bytes:
        """CAPTUREGET?: an IEEE 488.2 block of little-endian floats, zeros where nothing was kept.

        What is asked for beyond the buffer's end is its start again.
        """
        if self.running or offset_kilobytes >= self.length_kilobytes:
            raise Refused
        data = struct.pack(f"<{len(self._values)}f", *self._values).ljust(self.length_kilobytes * 1024, b"\0")
        first, size = offset_kilobytes * 1024, length_kilobytes * 1024
        chosen = (data[first:] + data * (1 + size // len(data)))[:size]
        return f"#{len(str(size))}{size}".encode() + chosen
