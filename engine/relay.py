"""A relay: the guardian has the only connection to a supply, and the engine speaks through it.

Bytes pass as they come, both ways. Each client has a connection to the instrument of its own, made when it comes and
ended when it goes, so that greetings, broken lines and reconnections are what they are without a relay. It listens on
this computer's loopback only, and who does not begin with the secret is not connected to anything.
"""

import contextlib
import hmac
import logging
import socket
import threading
from collections.abc import Callable

from ..core.clock import Clock
from ..instruments.wire import CHUNK, Broken, Wire

log = logging.getLogger(__name__)
_HOST = "127.0.0.1"
_SECRET_WITHIN_s = 2.0
# How long a line that was ended goes on listening, and how long sending may take.
_SLICE_s, _SENDING_s = 0.1, 5.0


class Relay:
    """Listens from construction to `close`. `connect` gives an open wire to the instrument and how to close it."""

    def __init__(self, connect: Callable[[], tuple[Wire, Callable[[], None]]], secret: str, clock: Clock) -> None:
        self._connect = connect
        self._secret = secret.encode()
        self._clock = clock
        self._lock = threading.Lock()
        self._line: _Line | None = None
        self._open = True
        self._listener = socket.create_server((_HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def shut(self) -> None:
        """End the conversation and take no other: the instrument is free for the guardian's own connection."""
        with self._lock:
            self._open = False
            self._end()

    def reopen(self) -> None:
        """Let clients in again."""
        with self._lock:
            self._open = True

    def close(self) -> None:
        """Stop for good."""
        self.shut()
        self._listener.close()

    def _end(self) -> None:
        if self._line is not None:
            self._line.end()
            self._line = None

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            # In a thread of its own: who says nothing keeps nobody waiting.
            threading.Thread(target=self._welcome, args=(client,), name="relay client", daemon=True).start()

    def _welcome(self, client: socket.socket) -> None:
        try:
            if not self._knows_the_secret(client):
                client.close()
                return
            with self._lock:
                # The newest client is the engine, which connected again.
                self._end()
                if self._open:
                    wire, close = self._connect()
                    self._line = _Line(client, wire, close, self._clock)
                    return
        except Exception as error:  # of whatever kind: the client is told by the end of its line
            log.warning("the relay did not connect: %s", error)
        client.close()

    def _knows_the_secret(self, client: socket.socket) -> bool:
        client.settimeout(_SECRET_WITHIN_s)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        said = b""
        # One byte at a time: what comes behind the line is the instrument's.
        while not said.endswith(b"\n") and len(said) <= len(self._secret):
            byte = client.recv(1)
            if not byte:
                return False
            said += byte
        client.settimeout(None)
        return hmac.compare_digest(said, self._secret + b"\n")


class _Line:
    """One client and its connection to the instrument, a thread for each direction."""

    def __init__(self, client: socket.socket, wire: Wire, close: Callable[[], None], clock: Clock) -> None:
        self._client, self._wire, self._clock = client, wire, clock
        self._close = close
        self._ended = threading.Event()
        self._counting = threading.Lock()
        self._left = 2
        self._threads = [
            threading.Thread(target=work, name="relay line", daemon=True) for work in (self._ask, self._answer)
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Close both sides, and return when nothing of this line is open any more."""
        self._stop()
        for thread in self._threads:
            thread.join()

    def _stop(self) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)

    def _ask(self) -> None:
        with contextlib.suppress(OSError, Broken):
            while data := self._client.recv(CHUNK):
                self._wire.send(data, self._clock.now() + _SENDING_s)
        self._over()

    def _answer(self) -> None:
        with contextlib.suppress(OSError, Broken):
            while not self._ended.is_set():
                if data := self._wire.listen(self._clock.now() + _SLICE_s):
                    self._client.sendall(data)
        self._over()

    def _over(self) -> None:
        """One side is gone, so is the other; with the second direction the instrument is let go of."""
        self._stop()
        with self._counting:
            self._left -= 1
            if self._left:
                return
        self._client.close()
        with contextlib.suppress(Exception):  # what is broken may break again while it is closed
            self._close()
