"""Sockets and serial ports of PyVISA-py, read here and not by it.

PyVISA-py's own reads wait by the wall clock, go on for ever on a socket that the other side closed, and take one byte
at a time from a serial port. The session stays PyVISA's; only what it received and sent is taken over.
"""

import contextlib
import select
import socket
from collections.abc import Callable
from typing import Any

from ..core.clock import Clock
from .wire import CHUNK, LONGEST_REPLY, LONGEST_SURPLUS, Broken, Endless, Silent

# A serial port is asked again after so long at the latest: setting its own time-out for each read costs more.
_SLICE_s = 0.05
# A peer that vanished without a word is found out in 10 s, whether somebody asks or not.
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 5}


class _StreamWire:
    """Bytes without messages: a line ends at the last byte of the terminator, and what is behind it waits here."""

    def __init__(self, clock: Clock, end: bytes) -> None:
        self._clock = clock
        self._end = end[-1:]
        self._buffer = bytearray()

    def _some(self, timeout_s: float) -> bytes:
        """One piece of what comes within `timeout_s`, or nothing."""
        raise NotImplementedError

    def line(self, until_s: float) -> bytes:
        buffer, searched = self._buffer, 0
        while True:
            at = buffer.find(self._end, searched)
            if at >= 0:
                return self._take(at + 1)
            searched = len(buffer)
            if searched > LONGEST_REPLY:
                buffer.clear()
                raise Endless
            self._more(until_s)

    def exactly(self, count: int, until_s: float) -> bytes:
        while len(self._buffer) < count:
            self._more(until_s)
        return self._take(count)

    def listen(self, until_s: float) -> bytes:
        return self._take(len(self._buffer)) if self._buffer else self._some(until_s - self._clock.now())

    def drain(self) -> bytes:
        got = self._take(len(self._buffer)) if self._buffer else b""
        while (more := self._some(0.0)) and len(got) < LONGEST_SURPLUS:
            got += more
        return got

    def clear(self) -> None:
        """A stream has no such word."""

    def _more(self, until_s: float) -> None:
        left_s = until_s - self._clock.now()
        piece = self._some(left_s) if left_s > 0 else b""
        if not piece:
            raise Silent(self._take(len(self._buffer)))
        self._buffer += piece

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


class SocketWire(_StreamWire):
    """A TCP socket of PyVISA-py."""

    def __init__(self, connection: socket.socket, clock: Clock, end: bytes) -> None:
        super().__init__(clock, end)
        self._socket = connection
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            # Two short commands in a row would otherwise wait 40 ms for each other.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            with contextlib.suppress(OSError, AttributeError):  # not every system lets a program choose
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def send(self, data: bytes, until_s: float) -> None:
        """Put bytes on the wire."""
        while data:
            try:
                data = data[self._socket.send(data) :]
            except BlockingIOError:
                if not self._ready(write=True, timeout_s=until_s - self._clock.now()):
                    raise Broken("it takes no more bytes") from None
            except OSError as error:
                raise Broken(str(error)) from error

    def _some(self, timeout_s: float) -> bytes:
        if timeout_s > 0 and not self._ready(write=False, timeout_s=timeout_s):
            return b""
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise Broken(str(error)) from error
        if not data:
            raise Broken("the other side closed it")
        return data

    def _ready(self, *, write: bool, timeout_s: float) -> bool:
        try:
            sets = ([], [self._socket], []) if write else ([self._socket], [], [])
            return any(select.select(*sets, max(0.0, timeout_s)))
        except (OSError, ValueError) as error:  # a closed socket has no number
            raise Broken(str(error)) from error


class SerialWire(_StreamWire):
    """A serial port of PyVISA-py, which is pySerial's."""

    def __init__(self, port: Any, clock: Clock, end: bytes) -> None:
        super().__init__(clock, end)
        self._port = port
        port.timeout = port.write_timeout = _SLICE_s

    def send(self, data: bytes, until_s: float) -> None:
        """Put bytes on the wire."""
        self._try(lambda: self._port.write(data))

    def _some(self, timeout_s: float) -> bytes:
        until_s = self._clock.now() + timeout_s
        while True:
            data = self._try(self._read_some if timeout_s > 0 else self._read_waiting)
            if data:
                return bytes(data)
            if self._clock.now() >= until_s:
                return b""

    def _read_waiting(self) -> bytes:
        waiting = min(self._port.in_waiting, CHUNK)
        return self._port.read(waiting) if waiting else b""

    def _read_some(self) -> bytes:
        return self._read_waiting() or self._port.read(1)

    @staticmethod
    def _try(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except (OSError, TypeError) as error:  # pySerial's own errors are the former; a closed port's the latter
            raise Broken(str(error)) from error
