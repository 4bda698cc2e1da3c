"""What Ctrl-C and the signals that end a process do to a run: an orderly stop, the magnet on hold, the files closed.

The rule of this file: no number of them skips the hold or the files. The first asks the run to stop at its next step. A
further Ctrl-C interrupts whatever keeps it from getting there (a wait, a listener, a procedure that hangs), but never
what speaks with an instrument, writes the journal or makes safe: those end by themselves, each within its deadline.
"""

import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol

CUT_SHORT = 130
_PACKAGE = __name__.rpartition(".cli.")[0] + "."
# Rooms and modules that are never interrupted in the middle, and those that only pass through.
_NEVER = tuple(_PACKAGE + room for room in ("instruments.", "storage.", "engine.station", "engine.heartbeat"))
_PASSING = _PACKAGE + "core."
_RUNNER = _PACKAGE + "engine.runner"


class Stoppable(Protocol):
    """What a signal asks to stop: the runner."""

    def abort(self, reason: str) -> None:
        """Ask for an orderly stop."""
        ...


class StopSignals:
    """Turns signals into `runner.abort`. `received` is the number of the first signal, 0 before; `count` counts all."""

    def __init__(self, runner: Stoppable) -> None:
        self.received = 0
        self.count = 0
        self._interrupts = 0
        self._runner = runner

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Ask for an orderly stop; a second Ctrl-C interrupts what may be interrupted.

        Raises:
            KeyboardInterrupt: into what was running, when that is neither an instrument's nor the journal's business.
        """
        word = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        # First the stop, then the words: the terminal that would show them may be what went away.
        self._runner.abort(word)
        self.count += 1
        self._interrupts += number == signal.SIGINT
        self.received = self.received or number
        if self.count == 1:
            _say(f"\n{word}: stopping, the magnet goes on hold. Again, and what keeps it from that is interrupted.")
            return
        _say(f"\n{word} ({self.count}): it is stopping. The magnet is held and the files are closed before it ends.")
        if number == signal.SIGINT and _may_be_interrupted(frame):
            raise KeyboardInterrupt

    def exit_code(self, code: int) -> int:
        """The code of a process that was to end with `code`, had there been no signals."""
        if self._interrupts > 1:
            return CUT_SHORT
        return code if self.received in (0, signal.SIGINT) else 128 + self.received


def _may_be_interrupted(frame: FrameType | None) -> bool:
    """Whether an exception may rise where a signal came: not in the runner itself, nor below what must not be torn."""
    near = True
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(_NEVER):
            return False
        if module == _RUNNER:
            # What the runner called may be interrupted, its own lines not: they are soon over.
            return not near
        if not module.startswith(_PASSING):
            near = False
        frame = frame.f_back
    return True


def _say(text: str) -> None:
    # Nobody may be there to hear it; a stop does not depend on that.
    with suppress(Exception):
        print(text, file=sys.stderr, flush=True)


@contextmanager
def stop_signals(runner: Stoppable) -> Generator[StopSignals]:
    """Handle SIGINT, SIGTERM and, where there is one, SIGHUP while a run is under way and reported.

    A process that was asked to stop is not interrupted any more afterwards: what is left to do is to close.
    """
    stop = StopSignals(runner)
    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, stop.handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if stop.count else handler)
