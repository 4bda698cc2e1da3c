"""The scanner in front of an AC resistance bridge: one channel at a time, the others keep their last reading."""

import math
from collections.abc import Callable

from .sensors import Reading, State

# What a channel says that was never measured.
NEVER = Reading(0.0, 0.0, State.NO_CURVE)


class Scanner:
    """Channels visited in turn. `measure(channel, noisy)` reads one now, `waits(channel)` gives dwell and pause (s).

    After a change of channel nothing is read for the pause; while scanning by itself it stays for the dwell after it.
    `now` is the laboratory's time; at `due_s` it wants to be told to `step`.
    """

    def __init__(
        self,
        measure: Callable[[str, bool], Reading],
        waits: Callable[[str], tuple[float, float]],
        now: Callable[[], float],
        first: str,
    ) -> None:
        self._measure, self._waits, self._now = measure, waits, now
        self.channel = first
        self.automatic = False
        self.channels: tuple[str, ...] = (first,)
        self._changed_s = now()
        self._kept: dict[tuple[str, bool], Reading] = {}

    @property
    def settled(self) -> bool:
        """True once the pause after the last change is over."""
        return self._now() - self._changed_s >= self._waits(self.channel)[1]

    @property
    def due_s(self) -> float:
        """When it changes the channel by itself; infinity if it does not."""
        if not self.automatic or self.channels == (self.channel,):
            return math.inf
        return self._changed_s + sum(self._waits(self.channel))

    def read(self, channel: str, noisy: bool) -> Reading:
        """The reading of now where the scanner is, the last one elsewhere."""
        if channel == self.channel and self.settled:
            reading = self._kept[channel, noisy] = self._measure(channel, noisy)
            return reading
        return self._kept.get((channel, noisy), NEVER)

    def go(self, channel: str) -> None:
        """Change the channel; what was read last at the old one stays there."""
        if channel != self.channel:
            self._keep()
            self.channel, self._changed_s = channel, self._now()

    def step(self) -> None:
        """Go to the next channel that is on."""
        at = self.channels.index(self.channel) + 1 if self.channel in self.channels else 0
        self.go(self.channels[at % len(self.channels)])

    def _keep(self) -> None:
        if self.settled:
            for noisy in (True, False):
                self._kept[self.channel, noisy] = self._measure(self.channel, noisy)
