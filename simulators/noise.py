"""Streams of standard normal numbers: one per source of noise, so that adding a source changes no other."""

import zlib
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

_BLOCK = 4096
# Fewer groups at once, which stay in the processor's nearest memory.
_GROUPS = 512


class NormalStream:
    """Standard normal numbers drawn in blocks: a numpy call per number would cost more than the physics."""

    def __init__(self, seed: int, name: str) -> None:
        # The name, not the order of creation, decides the stream: a station with one more instrument repeats the rest.
        self._generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        self._block: list[float] = []

    def next(self) -> float:
        """One number."""
        if not self._block:
            self._block = self._generator.standard_normal(_BLOCK).tolist()
        return self._block.pop()

    def groups(self, size: int) -> Iterator[Sequence[complex]]:
        """Groups of so many pairs of independent numbers, as complex ones, without end."""

        def block() -> Iterator[tuple[complex, ...]]:
            return zip(*self._generator.standard_normal((size, 2 * _GROUPS)).view(np.complex128).tolist(), strict=True)

        return chain.from_iterable(iter(block, None))
