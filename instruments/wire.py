"""The wire: how bytes go to an instrument and come back. What each interface has to offer, and what can be wrong.

The rule of all wires: every wait ends at a time on the injected clock, and nothing asks the wall clock.
"""

from typing import Protocol

LONGEST_REPLY = 1 << 20
# Who says more than this unasked does not stop talking.
LONGEST_SURPLUS = 1 << 13
# How many bytes one read takes.
CHUNK = 4096


class Silent(Exception):  # noqa: N818  reads as the state it names
    """The time is over before a whole line came; `got` is what of it did."""

    def __init__(self, got: bytes) -> None:
        super().__init__(got)
        self.got = got


class Endless(Exception):  # noqa: N818
    """More than `LONGEST_REPLY` bytes came without a terminator."""


class Noisy(Exception):  # noqa: N818
    """A serial port received a damaged byte."""


class Broken(Exception):  # noqa: N818
    """The connection is gone: nothing can be sent or received on it any more."""


class Wire(Protocol):
    """One open connection. Every call may raise `Broken`."""

    def send(self, data: bytes, until_s: float) -> None:
        """Put bytes on the wire."""
        ...

    def line(self, until_s: float) -> bytes:
        """Receive one reply with its terminator.

        Raises:
            Silent, Endless, Noisy: there is none.
        """
        ...

    def exactly(self, count: int, until_s: float) -> bytes:
        """Receive so many bytes, whatever they are.

        Raises:
            Silent, Noisy: they did not all come.
        """
        ...

    def listen(self, until_s: float) -> bytes:
        """Receive something of what comes next, or nothing."""
        ...

    def drain(self) -> bytes:
        """Receive what waits now, without waiting; at most about `LONGEST_SURPLUS` bytes."""
        ...

    def clear(self) -> None:
        """Make the instrument forget half a command and an unread reply, on an interface that can say so."""
        ...
