"""The turn that instruments on one clock take, as on one bus."""

import threading
from collections import deque


class Turn:
    """A lock that is given in the order of asking: who gives it back and asks again does not push in.

    Use it in a `with` statement. A thread that has it must not ask again.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._queue: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            gate = threading.Lock()
            gate.acquire()
            self._queue.append(gate)
        gate.acquire()

    def __exit__(self, *_exception: object) -> None:
        with self._guard:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._taken = False
