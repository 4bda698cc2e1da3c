"""A run on a thread of its own: what a window holds. It ends by itself or by `abort`, never half."""

import threading
from collections.abc import Callable

from ..core.records import Footer, Outcome
from .listener import RunListener
from .runner import Runner, RunResult


class BackgroundRun:
    """Starts one run in the background and lets it be aborted and waited for.

    `run` is called on the new thread, where all instrument I/O happens, with the listener and a function that it gives
    its runner to, so that an abort finds it.
    """

    def __init__(self, run: Callable[[RunListener, Callable[[Runner], None]], RunResult]) -> None:
        self._run = run
        self._runner: Runner | None = None
        self._thread: threading.Thread | None = None
        self._abort_asked = False
        self.result: RunResult | None = None
        self.error: BaseException | None = None

    def start(self, listener: RunListener) -> None:
        """Begin, and return at once."""
        self._thread = threading.Thread(target=self._work, args=(listener,), name="acquisition")
        self._thread.start()

    def abort(self) -> None:
        """Ask the run to stop with the magnet on hold."""
        self._abort_asked = True
        if self._runner is not None:
            self._runner.abort("aborted at the window")

    def running(self) -> bool:
        """True until the run has ended and its files are closed."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end; True when it has come."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.running()

    def _work(self, listener: RunListener) -> None:
        try:
            self.result = self._run(listener, self._know)
        except BaseException as error:
            # Kept for the thread that waits, which raises it again; the listener must not wait for ever.
            self.error = error
            listener.ended(Footer(Outcome.FAILED, 0, str(error)), None)

    def _know(self, runner: Runner) -> None:
        self._runner = runner
        if self._abort_asked:
            runner.abort("aborted at the window")
