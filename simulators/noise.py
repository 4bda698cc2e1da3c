"""Streams of standard normal numbers: one per source of noise, so that adding a source changes no other."""

import zlib

import numpy as np

_BLOCK = 4096


class NormalStream:
    """Standard normal numbers drawn in blocks: a numpy call per number would cost more than the physics."""

    def __init__(self, seed: int, name: str) -> None:
        # The name, not the order of creation, decides the stream: a station with one more instrument repeats the rest.
        self._generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        self._block: list[float] = []
        self._pairs: list[complex] = []

    def next(self) -> float:
        """One number."""
        if not self._block:
            self._block = self._generator.standard_normal(_BLOCK).tolist()
        return self._block.pop()

    def pairs(self, count: int) -> list[complex]:
        """So many pairs of independent numbers as complex ones. A stream is asked for either numbers or pairs."""
        if len(self._pairs) < count:
            self._pairs = self._generator.standard_normal(_BLOCK).view(np.complex128).tolist()
        taken = self._pairs[-count:]
        del self._pairs[-count:]
        return taken
