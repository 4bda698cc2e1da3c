"""MultiPyVu's server on a socket: what Quantum Design's own client connects to, in front of a simulated MultiVu.

Wire facts from MultiPyVu 3.8.0. One client at a time may start; another is told "Connection attempt rejected from …:
another client is connected." and let go. A client that asks ALIVE or STATUS without having started is let go after the
answer. CLOSE lets the client go, EXIT ends the server. The client leaves unless the first field of the answer to START
is its own version; as its START names none, the server must be given it.

As in `tcp`, the instruments take turns: a request is done and its latency passes on the injected clock before anybody
else's is looked at. A WAITFOR passes laboratory time in short turns, so that others are served meanwhile.
"""

import contextlib
import re
import selectors
import socket
import threading
from contextlib import AbstractContextManager
from typing import Any, Self

from ..core.clock import Clock
from ..core.errors import ReplyError
from .multivu import MultiVu
from .multivu_wire import CONFIRMED, Line, Message, repeats
from .turn import Turn

PORT = 27183
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_PATIENCE_s = 5.0
# The longest that a wait keeps its turn, in laboratory time.
_TURN_s = 0.05


class MultiVuServer:
    """One MultiVu on a socket, from construction to `close`. A context manager.

    `address` is host and port; port 0 takes a free one. `turn` is what instruments on the same clock share, and a
    sequence that runs while a client looks on.
    """

    def __init__(
        self,
        multivu: MultiVu,
        clock: Clock,
        host: str = "127.0.0.1",
        port: int = PORT,
        version: str = "3.8.0",
        turn: AbstractContextManager[object] | None = None,
    ) -> None:
        self._multivu = multivu
        self._clock = clock
        self._version = version
        self.turn = Turn() if turn is None else turn
        self._listener = socket.create_server((host, port))
        self._listener.setblocking(False)
        self.address: tuple[str, int] = (host, int(self._listener.getsockname()[1]))
        self._wake, self._waker = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        # Guards what follows: connections come and go in threads of their own.
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._started: socket.socket | None = None
        self._closing = threading.Event()
        self._acceptor = threading.Thread(target=self._accept, name="MultiVu server", daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """True once the server has ended, by `close` or by a client's EXIT."""
        return self._closing.is_set()

    def ended(self, timeout_s: float) -> bool:
        """Wait for the end; True when it has come."""
        return self._closing.wait(timeout_s)

    def close(self) -> None:
        """Stop listening, end every connection and wait for their threads; closing twice is fine."""
        self._end()
        self._acceptor.join(_PATIENCE_s)
        with self._lock:
            threads = list(self._connections.values())
        for thread in threads:
            thread.join(_PATIENCE_s)

    def _end(self) -> None:
        if self._closing.is_set():
            return
        self._closing.set()
        with contextlib.suppress(OSError):
            self._waker.send(b"x")
        with self._lock:
            for connection in self._connections:
                _hang_up(connection)

    # Connections

    def _accept(self) -> None:
        with self._selector, self._wake, self._waker, self._listener:
            while not self._closing.is_set():
                self._selector.select()
                try:
                    connection, address = self._listener.accept()
                except OSError:
                    continue  # woken to end, or the client was gone before it was let in
                self._welcome(connection, address)

    def _welcome(self, connection: socket.socket, address: Any) -> None:
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(
            target=self._converse, args=(connection, str(address)), name="MultiVu client", daemon=True
        )
        with self._lock:
            if self._closing.is_set():
                connection.close()
                return
            self._connections[connection] = thread
        thread.start()

    def _converse(self, connection: socket.socket, address: str) -> None:
        line = Line(connection)
        try:
            # A client that vanishes in the middle of a reply, or that is none of MultiPyVu's, is no news.
            with connection, contextlib.suppress(OSError, ReplyError):
                answer: Message | None = None
                while (request := line.receive(None)) is not None:
                    if answer is not None and repeats(request, answer):
                        continue
                    line.send(request, CONFIRMED)
                    answer = self._answer(request, line, connection, address)
                    if answer is None:
                        return
                    line.complete(answer)
                    if not self._after(request, answer, connection):
                        return
        finally:
            with self._lock:
                self._connections.pop(connection, None)
                if self._started is connection:
                    self._started = None

    def _answer(self, request: Message, line: Line, connection: socket.socket, address: str) -> Message | None:
        """The completed answer, or None when the server ends or the client leaves before there is one."""
        action, query = request.get("action", ""), request.get("query", "")
        connected = f"Connected to {self._multivu.flavour.name} MultiVuServer at {address}"
        with self._lock:
            started = self._started
            if action == "START" and started is None:
                self._started = connection
            elif action == "CLOSE":
                # Before the client knows: it may be back at once. Whoever says it, the one who started has to go.
                self._started = None
                if started is not connection:
                    _hang_up(started)
        match action:
            case "START" if started is not None:
                result = f"Connection attempt rejected from {address}: another client is connected."
            case "START":
                version = match[0] if (match := _VERSION.match(query)) else self._version
                query, result = f"{version};mv={self._multivu.flavour.multivu};t", connected
            case "ALIVE":
                query, result = action, connected
            case "STATUS":
                # A connection that has not started makes the real server think that it is idle.
                query, result = action, "connected" if connection is started else "idle"
            case "CLOSE":
                query, result = action, f"Client {address} disconnected."
            case "EXIT":
                query, result = action, "Closing client and exiting server."
            case _:
                done = self._do(action, query, line)
                if done is None:
                    return None
                result = done
        return request | {"query": query, "result": result}

    def _after(self, request: Message, answer: Message, connection: socket.socket) -> bool:
        """What an answered request does to connections; False when this one is over."""
        match request.get("action"):
            case "START":
                return not answer["result"].startswith("Connection attempt rejected")
            case "ALIVE" | "STATUS":
                with self._lock:
                    for other in self._connections:
                        if other is not self._started:
                            _hang_up(other)
                    return connection is self._started
            case "CLOSE":
                return False
            case "EXIT":
                self._end()
                return False
            case _:
                return True

    # The instrument

    def _do(self, action: str, query: str, line: Line) -> str | None:
        """What MultiVu makes of it; None when the server ends or the client leaves during a wait."""
        multivu = self._multivu
        if action == "WAITFOR":
            return self._wait(query, line)
        with self.turn:
            with multivu.world.lock:
                multivu.received += 1
                result = multivu.execute(f"{action} {query}")
            self._clock.sleep(multivu.latency_s)
        return result

    def _wait(self, query: str, line: Line) -> str | None:
        passing = self._multivu.waiting(query)
        left_s = 0.0
        while not (self._closing.is_set() or line.gone()):
            with self.turn:
                if left_s <= 0.0:
                    try:
                        with self._multivu.world.lock:
                            left_s = next(passing)
                    except StopIteration as end:
                        return str(end.value)
                pause_s = min(left_s, _TURN_s)
                self._clock.sleep(pause_s)
            left_s -= pause_s
        return None


def _hang_up(connection: socket.socket | None) -> None:
    """Wake the thread that waits in `recv`; it closes the socket itself."""
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
