"""The laboratory on TCP sockets, one port for each instrument, for clients that know nothing of us.

The rule of this file: the instruments take turns, as on one bus. A command is done and its latency passes on the
injected clock before anybody else's is looked at, so a clock is never advanced by two threads at once, and a client
that moves from the in-process library to a socket reads the same values at the same laboratory times. On a
`VirtualClock` no real time passes; a command without a reply takes effect when it arrives, so a client that itself
moves that clock should ask something before it does. Only what a fault delays does not keep the others waiting.
"""

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Mapping
from typing import Any, Self

from ..core.clock import Clock
from .front_panel import Conversation, FrontPanel
from .turn import Turn

_CHUNK = 4096
_PATIENCE_s = 5.0
# The longest time (laboratory) for which one instrument keeps its turn.
_TURN_s = 0.1
# How often (real time) faults that happen by themselves are looked for while nobody asks anything.
_LOOK_s = 0.05
_NOW_s = 1e-9
# A greeting comes after this time of the client's own too (QCoDeS and pymeasure drop what comes until their socket has
# been silent for 0.1 s), however fast the laboratory's runs.
_QUIET_s = 0.3
# Closing with this discards what was not sent and resets the connection.
_RESET = struct.pack("ii", 1, 0)


def serve(
    panels: Mapping[str, FrontPanel], clock: Clock, host: str = "127.0.0.1", ports: int | Mapping[str, int] = 0
) -> "TcpServer":
    """Listen with each panel on a port of its own: `ports` and up, or any free ones when it is 0.

    A mapping gives the ports by instrument; what it does not name takes a free one.

    Raises:
        OSError: a port is taken.
    """
    return TcpServer(panels, clock, host, ports)


class TcpServer:
    """Front panels on sockets, from construction to `close`. A context manager.

    `addresses` gives host and port of each instrument by its name.
    """

    def __init__(
        self,
        panels: Mapping[str, FrontPanel],
        clock: Clock,
        host: str = "127.0.0.1",
        ports: int | Mapping[str, int] = 0,
    ) -> None:
        self.addresses: dict[str, tuple[str, int]] = {}
        self._clock = clock
        self._panels = tuple(panels.values())
        # Whoever else moves this clock takes turns with the instruments.
        self.turn = Turn()
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
                port = (ports + number if ports else 0) if isinstance(ports, int) else ports.get(name, 0)
                self._listen(name, panel, host, port)
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
            faulty = any(panel.trouble is not None for panel in self._panels)
            for key, _events in self._selector.select(_LOOK_s if faulty else None):
                if key.data is None:
                    return
                listener: Any = key.fileobj
                try:
                    connection, _address = listener.accept()
                except OSError:
                    continue  # the client was gone before it was let in
                self._welcome(connection, key.data)
            for panel in self._panels:
                if panel.trouble is not None:
                    panel.trouble.act()

    def _welcome(self, connection: socket.socket, panel: FrontPanel) -> None:
        full = panel.clients is not None and len(panel.conversations) >= panel.clients
        if full or (panel.trouble is not None and not panel.trouble.reachable()):
            _reset(connection)
            return
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = _Line(self, connection, panel)
        with self._lock:
            if self._closed:
                line.end()
                return
            self._connections.add(connection)
        self.start(line.converse, panel.name)

    def start(self, target: Any, name: str) -> None:
        """Run a line's work in a thread that `close` waits for."""

        def work() -> None:
            try:
                target()
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=work, name=name, daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def forget(self, connection: socket.socket) -> None:
        """A line has ended."""
        with self._lock:
            self._connections.discard(connection)

    def take(self, conversation: Conversation, data: bytes) -> None:
        """Let the instrument do what arrived, and be busy for as long as it takes."""
        clock = self._clock
        with self.turn:
            conversation.take(data, clock.now())
            left_s = conversation.busy_s - clock.now()
            if left_s <= _TURN_s:
                clock.sleep(left_s)
                return
        self.wait(conversation.busy_s)

    def wait(self, until_s: float) -> bool:
        """Let the laboratory's time pass, giving the others their turns; False if the server is being closed."""
        while not self._closed:
            with self.turn:
                left_s = until_s - self._clock.now()
                if left_s <= 0:
                    return True
                self._clock.sleep(min(left_s, _TURN_s))
        return False

    def due(self, ready_s: float) -> bool:
        """True when something of that time may be sent."""
        return ready_s - self._clock.now() <= _NOW_s

    def now(self) -> float:
        """The laboratory's time (s)."""
        return self._clock.now()

    def _close_sockets(self) -> None:
        for key in list(self._selector.get_map().values()):
            listener: Any = key.fileobj
            listener.close()
        self._selector.close()
        self._waker.close()


class _Line:
    """One connection: its socket, what is said on it, and a second thread while something late is on its way."""

    def __init__(self, server: TcpServer, connection: socket.socket, panel: FrontPanel) -> None:
        self._server = server
        self._socket = connection
        self._conversation = Conversation(panel)
        self._conversation.notice = self._notice
        # Only one thread writes, and whoever adds to the line while nobody does sees to it that somebody will.
        self._guard = threading.Lock()
        self._writing = False

    def converse(self) -> None:
        server, conversation = self._server, self._conversation
        try:
            # A client that vanishes in the middle of a reply is no news.
            with contextlib.suppress(OSError):
                self._greet()
                while not conversation.broken and (data := self._socket.recv(_CHUNK)):
                    server.take(conversation, data)
                    self._send()
        finally:
            self.end()

    def _greet(self) -> None:
        """Let the instrument say its greeting once the client has had time to clear its socket."""
        server, conversation = self._server, self._conversation
        if not conversation.panel.greeting or not self._take_pen():
            return
        quiet = threading.Event()
        timer = threading.Timer(_QUIET_s, quiet.set)
        timer.daemon = True
        timer.start()
        conversation.greet(server.now())
        with contextlib.suppress(IndexError):  # a reset has emptied the line, or there is none because of a fault
            server.wait(conversation.outgoing[0][0])
            quiet.wait()
        self._write(patient=False)

    def end(self) -> None:
        """Close: with a reset if a fault broke the connection."""
        self._conversation.close()
        self._server.forget(self._socket)
        if self._conversation.broken:
            _reset(self._socket)
        else:
            self._socket.close()

    def _send(self) -> None:
        """Send what is due; what is not goes to a second thread."""
        if self._take_pen():
            self._write(patient=False)

    def _take_pen(self) -> bool:
        with self._guard:
            free, self._writing = not self._writing, True
            return free

    def _write(self, patient: bool) -> None:
        outgoing, server = self._conversation.outgoing, self._server
        while True:
            with self._guard:
                try:
                    ready_s, data = outgoing[0]
                except IndexError:  # nothing more, or a reset has emptied it
                    self._writing = False
                    return
                due = server.due(ready_s)
                if due:
                    outgoing.popleft()
            if due:
                self._socket.sendall(data)
            elif not patient:
                server.start(self._write_late, self._conversation.panel.name)
                return
            elif not server.wait(ready_s):
                return

    def _write_late(self) -> None:
        with contextlib.suppress(OSError):
            self._write(patient=True)

    def _notice(self) -> None:
        """Something came on the line from the instrument's side, or the line broke. Must not wait for the client."""
        if self._conversation.broken:
            # Wakes the thread that waits in recv, which then closes.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RD)
        elif self._take_pen():
            self._server.start(self._write_late, self._conversation.panel.name)


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()
