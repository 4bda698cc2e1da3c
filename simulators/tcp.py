"""The laboratory on TCP sockets, one port for each instrument, for clients that know nothing of us.

The rule of this file: the instruments take turns, as on one bus. A command is done and its latency passes on the
injected clock before anybody else's is looked at, so a clock is never advanced by two threads at once, and a client
that moves from the in-process library to a socket reads the same values at the same laboratory times. On a
`VirtualClock` no real time passes; a command without a reply takes effect when it arrives, so a client that itself
moves that clock should ask something before it does.
"""

import contextlib
import selectors
import socket
import threading
from collections.abc import Mapping
from typing import Any, Self

from ..core.clock import Clock
from .front_panel import Conversation, FrontPanel

# Drivers that clear their socket on connecting lose a greeting that comes at once; 0.2 to 0.5 s later they read it.
_GREETING_s = 0.3
_CHUNK = 4096
_PATIENCE_s = 5.0


def serve(panels: Mapping[str, FrontPanel], clock: Clock, host: str = "127.0.0.1", ports: int = 0) -> "TcpServer":
    """Listen with each panel on a port of its own: `ports` and up, or any free ones when it is 0.

    Raises:
        OSError: a port is taken.
    """
    return TcpServer(panels, clock, host, ports)


class TcpServer:
    """Front panels on sockets, from construction to `close`. A context manager.

    `addresses` gives host and port of each instrument by its name.
    """

    def __init__(self, panels: Mapping[str, FrontPanel], clock: Clock, host: str = "127.0.0.1", ports: int = 0) -> None:
        self.addresses: dict[str, tuple[str, int]] = {}
        self._clock = clock
        self._turn = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        # Guards the two collections below: connections come and go in threads of their own.
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._closed = False
        try:
            for number, (name, panel) in enumerate(panels.items()):
                self._listen(name, panel, host, ports + number if ports else 0)
        except OSError:
            self._close_sockets()
            raise
        self._acceptor = threading.Thread(target=self._accept, name="laboratory sockets", daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, end every connection and wait for their threads; closing twice is fine."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            connections, threads = list(self._connections), list(self._threads)
        with contextlib.suppress(OSError):
            self._waker.send(b"x")
        self._acceptor.join(_PATIENCE_s)
        for connection in connections:
            # Wakes a thread that waits in recv; the thread itself closes the socket.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(_PATIENCE_s)
        self._close_sockets()

    def _listen(self, name: str, panel: FrontPanel, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, panel)
        self.addresses[name] = (host, int(listener.getsockname()[1]))

    def _accept(self) -> None:
        while True:
            for key, _events in self._selector.select():
                if key.data is None:
                    return
                listener: Any = key.fileobj
                try:
                    connection, _address = listener.accept()
                except OSError:
                    continue  # the client was gone before it was let in
                self._welcome(connection, key.data)

    def _welcome(self, connection: socket.socket, panel: FrontPanel) -> None:
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=self._converse, args=(connection, panel), name=panel.name, daemon=True)
        with self._lock:
            if self._closed:
                connection.close()
                return
            self._connections.add(connection)
            self._threads.add(thread)
        thread.start()

    def _converse(self, connection: socket.socket, panel: FrontPanel) -> None:
        try:
            # A client that vanishes in the middle of a reply is no news.
            with connection, contextlib.suppress(OSError):
                self._talk(connection, panel)
        finally:
            with self._lock:
                self._connections.discard(connection)
                self._threads.discard(threading.current_thread())

    def _talk(self, connection: socket.socket, panel: FrontPanel) -> None:
        conversation = Conversation(panel)
        if panel.greeting:
            with self._turn:
                self._clock.sleep(_GREETING_s)
            connection.sendall(panel.greeting)
        while data := connection.recv(_CHUNK):
            with self._turn:
                reply = conversation.feed(data)
                if reply:
                    self._clock.sleep(panel.latency_s)
            if reply:
                connection.sendall(reply)

    def _close_sockets(self) -> None:
        for key in list(self._selector.get_map().values()):
            listener: Any = key.fileobj
            listener.close()
        self._selector.close()
        self._waker.close()
