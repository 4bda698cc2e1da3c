"""One MultiPyVu client's connection to a MultiVu inside this process: frames in, frames out, on the laboratory's clock.

What `multivu_server` does on a socket, `Conversation` does for the in-process VISA library: each request is confirmed
at once and answered after MultiVu's latency. Nothing is sent again, since nothing is lost here by itself; a WAITFOR,
which blocks the real server for as long as it takes, is refused.
"""

from ..core.errors import ReplyError
from .front_panel import Conversation, FrontPanel
from .multivu_wire import COMPLETED, CONFIRMED, Message, Reader, encode

_CLIENT = "('127.0.0.1', 0)"


class FramedConversation(Conversation):
    """Speaks MultiPyVu's frames with a panel that takes `ACTION query` lines. `name`, `program` are the flavour's.

    `started` is true while this client has the server.
    """

    def __init__(self, panel: FrontPanel, name: str, program: str, version: str = "3.8.0") -> None:
        super().__init__(panel)
        self._name, self._program, self._version = name, program, version
        self._reader = Reader()
        self.started = False

    def take(self, data: bytes, now_s: float) -> None:
        """Take bytes as they arrive; what is no message breaks the connection, as the server does."""
        if self.deaf or self.broken:
            return
        try:
            requests = list(self._reader.feed(data))
        except ReplyError:
            self.reset()
            return
        for request in requests:
            if request.get("message_type") != CONFIRMED:
                self._serve(request, now_s)

    def _serve(self, request: Message, now_s: float) -> None:
        panel = self.panel
        panel.received += 1
        start_s = max(now_s, self.busy_s)
        self.send(encode(request | {"message_type": CONFIRMED}), start_s)
        action, query = request.get("action", ""), request.get("query", "")
        match action:
            case "START" if self._someone_else():
                result = f"Connection attempt rejected from {_CLIENT}: another client is connected."
            case "START" | "ALIVE":
                self.started = self.started or action == "START"
                query = f"{self._version};mv={self._program};t" if action == "START" else action
                result = f"Connected to {self._name} MultiVuServer at {_CLIENT}"
            case "STATUS":
                query, result = action, "connected" if self.started else "idle"
            case "CLOSE" | "EXIT":
                query, result = action, f"Client {_CLIENT} disconnected."
                self.started = False
            case "WAITFOR":
                result = "MultiPyVuError: WAITFOR is not answered inside one process"
            case _:
                result = panel.receive(f"{action} {query}".encode("latin-1", "replace")).decode("latin-1")
                result = result.removesuffix(panel.reply_end.decode("latin-1"))
        self.busy_s = start_s + panel.latency_s
        answer = {**request, "query": query, "result": result, "message_type": COMPLETED}
        self.send(encode(answer), self.busy_s)

    def _someone_else(self) -> bool:
        others = (other for other in self.panel.conversations if other is not self)
        return self.started or any(isinstance(other, FramedConversation) and other.started for other in others)
