"""The scanner in front of an AC resistance bridge: one channel at a time, the others keep their last reading."""

from collections.abc import Callable

from .sensors import Reading, State

# What a channel says that was never measured.
NEVER = Reading(0.0, 0.0, State.NO_CURVE)


class Scanner:
    """Channels visited in turn. `measure(channel, noisy)` reads one now, `waits(channel)` gives dwell and pause (s).

    After a change of channel nothing is read for the pause; while scanning by itself it stays for the dwell after it.
    """

    def __init__(
        self, measure: Callable[[str, bool], Reading], waits: Callable[[str], tuple[float, float]], first: str
    ) -> None:
        self._measure, self._waits = measure, waits
        self.channel = first
        self.automatic = False
        self.channels: tuple[str, ...] = (first,)
        self._elapsed_s = 0.0
        self._kept: dict[tuple[str, bool], Reading] = {}

    @property
    def settled(self) -> bool:
        """True once the pause after the last change is over."""
        return self._elapsed_s >= self._waits(self.channel)[1]

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
            self.channel, self._elapsed_s = channel, 0.0

    def advance(self, step_s: float) -> None:
        """Let `step_s` seconds pass."""
        self._elapsed_s += step_s
        while self.automatic and len(self.channels) > 1:
            dwell_s, pause_s = self._waits(self.channel)
            late_s = self._elapsed_s - dwell_s - pause_s
            if late_s < 0.0:
                return
            self._keep()
            self.channel, self._elapsed_s = self._next(), late_s

    def _keep(self) -> None:
        if self.settled:
            for noisy in (True, False):
                self._kept[self.channel, noisy] = self._measure(self.channel, noisy)

    def _next(self) -> str:
        if self.channel not in self.channels:
            return self.channels[0]
        return self.channels[(self.channels.index(self.channel) + 1) % len(self.channels)]
