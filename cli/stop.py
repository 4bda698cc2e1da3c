"""What Ctrl-C and the signals that end a process do to a run: once, an orderly stop with the magnet on hold.

A second Ctrl-C within two seconds leaves the hardware as it is, and says so.
"""

import math
import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol

from ..core.clock import Clock, SystemClock

_AGAIN_WITHIN_S = 2.0
_LEFT_AS_IS = 130


class Stoppable(Protocol):
    """What a signal asks to stop: the runner."""

    def abort(self, reason: str) -> None:
        """Ask for an orderly stop."""
        ...


class StopSignals:
    """Turns signals into `runner.abort`. `received` is the number of the first signal, 0 before."""

    def __init__(self, runner: Stoppable, clock: Clock) -> None:
        self.received = 0
        self._runner = runner
        self._clock = clock
        self._last_s = -math.inf

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Ask for an orderly stop; on two Ctrl-C within two seconds end at once."""
        now = self._clock.now()
        again = bool(self.received) and number == signal.SIGINT and now - self._last_s < _AGAIN_WITHIN_S
        self._last_s = now
        if again:
            _say(
                "\nStopped at once. Hardware left as it is: a magnet that was ramping goes on to the end of its "
                "present piece and stays there. The run has no end record and reads as interrupted."
            )
            os._exit(_LEFT_AS_IS)
        if not self.received:
            word = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
            # First the stop, then the words: the terminal that would show them may be what went away.
            self._runner.abort(word)
            self.received = number
            _say(
                f"\n{word}: stopping, the magnet goes on hold. "
                f"Ctrl-C twice within {_AGAIN_WITHIN_S:g} s leaves it as it is."
            )


def _say(text: str) -> None:
    # Nobody may be there to hear it; a stop does not depend on that.
    with suppress(Exception):
        print(text, file=sys.stderr, flush=True)


@contextmanager
def stop_signals(runner: Stoppable) -> Generator[StopSignals]:
    """Handle SIGINT, SIGTERM and, where there is one, SIGHUP while a run is under way."""
    stop = StopSignals(runner, SystemClock())
    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, stop.handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
