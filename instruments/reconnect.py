"""A lost connection: when it may be tried again, and the trying, which keeps no caller longer than its patience.

Opening can take far longer than any query may: a host that is switched off answers nothing at all, a name server is
asked first. It is therefore done on a thread of its own; a caller that has waited long enough leaves, and a later one
finds the connection made.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from ..core.clock import Clock

_FIRST_s, _LONGEST_s = 0.5, 30.0


class Reconnection:
    """The state of a connection that is lost: `why`, and from `next_s` on the clock it may be tried again."""

    def __init__(self, open_resource: Callable[[], Any], clock: Clock) -> None:
        self._open = open_resource
        self._clock = clock
        self._opening: _Opening | None = None
        self._wait_s = _FIRST_s
        self.why = ""
        self.next_s = clock.now()

    def failed(self, why: str) -> None:
        """The connection broke, or could not be made again: wait, each time twice as long as before."""
        self.why = why
        self.next_s = self._clock.now() + self._wait_s
        self._wait_s = min(2.0 * self._wait_s, _LONGEST_s)

    def succeeded(self) -> None:
        """It holds: the next time the waiting starts anew."""
        self._wait_s = _FIRST_s

    def attempt(self, patience_s: float) -> Any:
        """An open resource, or None if that takes longer than `patience_s` (real time) and goes on.

        Raises:
            Exception: whatever kept it from being opened.
        """
        opening = self._opening or _Opening(self._open)
        self._opening = opening
        opening.thread.join(patience_s)
        if opening.thread.is_alive():
            return None
        self._opening = None
        if opening.error is not None:
            raise opening.error
        return opening.resource

    def give_up(self) -> None:
        """Nobody wants it any more: what is still being opened is closed when it is."""
        if self._opening is not None:
            self._opening.unwanted()


class _Opening:
    def __init__(self, open_resource: Callable[[], Any]) -> None:
        self.resource: Any = None
        self.error: Exception | None = None
        self._open = open_resource
        self._lock = threading.Lock()
        self._wanted = True
        self.thread = threading.Thread(target=self._run, name="reconnection", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            resource = self._open()
        except Exception as error:  # the caller's thread raises it
            self.error = error
            return
        with self._lock:
            self.resource = resource
            if not self._wanted:
                _close(resource)

    def unwanted(self) -> None:
        with self._lock:
            self._wanted = False
            if self.resource is not None:
                _close(self.resource)


def _close(resource: Any) -> None:
    with contextlib.suppress(Exception):
        resource.close()
