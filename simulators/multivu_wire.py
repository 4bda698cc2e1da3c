"""Framing and messages of Quantum Design's MultiPyVu: JSON behind a JSON header behind two bytes of length.

Wire facts from MultiPyVu 3.8.0: a message is the header's length (two bytes, big-endian), the header in UTF-8
(`byteorder`, `message-type`, `message-encoding`, `message-length`) and the body in the header's encoding: `id`,
`action`, `query`, `result` and, from the server and in confirmations, `message_type`. The server answers each request
twice with the request's own id: `confirmed` at once, `completed` with the result; the client confirms that one.
"""

import json
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core.errors import ReplyError

Message = dict[str, str]

CONFIRMED, COMPLETED = "confirmed", "completed"
_LENGTH = struct.Struct(">H")
_HEADER_KEYS = ("byteorder", "message-type", "message-encoding", "message-length")
# No request is longer than some hundred bytes: a client that announces more is not one of ours.
_LONGEST_BODY = 65536
_ENCODINGS = ("utf-8", "utf-16", "utf-32", "ascii", "latin-1")
# Nor does one send as many requests as this while it waits for an answer.
_MOST_UNREAD = 1000
# How long a confirmation may take, in seconds of this computer, and how often an answer is sent. The real server waits
# one second; on a busy computer its second sending meets a client that has gone on, and confuses it.
_CONFIRMATION_s, _ATTEMPTS = 5.0, 3
_CHUNK = 4096
# The client sends a confirmation, to which there is no answer, and then its next request, which its own computer holds
# back until the confirmation is acknowledged: 40 ms on Linux, unless told to be quick each time.
_ACKNOWLEDGE_AT_ONCE: int | None = getattr(socket, "TCP_QUICKACK", None)


def encode(message: Message) -> bytes:
    """One message as it goes over the wire."""
    # Half of a surrogate pair, which JSON can say and UTF-8 cannot, comes back as a question mark.
    body = json.dumps(message, ensure_ascii=False).encode(errors="replace")
    header = {
        "byteorder": sys.byteorder, "message-type": "text/json", "message-encoding": "utf-8",
        "message-length": len(body),
    }  # fmt: skip
    head = json.dumps(header).encode()
    return _LENGTH.pack(len(head)) + head + body


class Refusal(Exception):  # noqa: N818  an answer, not a defect
    """An error that goes back to the client as the result, behind `MultiPyVuError: `."""


def single(value: float) -> float:
    """As numbers come out of MultiVu: of 32 bits."""
    # Adding nothing takes the sign from a zero.
    return float(np.float32(value)) + 0.0


class Reader:
    """Cuts one connection's bytes into messages, however they are packed."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes as they arrive and give the messages now complete.

        Raises:
            ReplyError: what came is not such a message; the connection is of no more use.
        """
        self._pending += data
        while (message := self._take()) is not None:
            yield message

    def _take(self) -> Message | None:
        pending = self._pending
        if len(pending) < _LENGTH.size:
            return None
        body_at = _LENGTH.size + _LENGTH.unpack_from(pending)[0]
        if len(pending) < body_at:
            if len(pending) > _LENGTH.size and pending[_LENGTH.size] != ord("{"):
                raise ReplyError("a MultiPyVu header is a JSON object", do="connect a MultiPyVu client")
            return None
        header = _object(bytes(pending[_LENGTH.size : body_at]), "utf-8")
        if any(key not in header for key in _HEADER_KEYS):
            raise ReplyError(f"the MultiPyVu header {str(header)[:60]!r} lacks a key", do="connect a MultiPyVu client")
        length = header["message-length"]
        if not isinstance(length, int) or not 0 <= length <= _LONGEST_BODY:
            raise ReplyError(f"a MultiPyVu message of {length!r} bytes", do="connect a MultiPyVu client")
        if len(pending) < body_at + length:
            return None
        encoding = header["message-encoding"]
        # Python remembers every name that it was asked for: a client must not make it ask for any.
        if encoding not in _ENCODINGS:
            raise ReplyError(f"a MultiPyVu message in {str(encoding)[:40]!r}", do="connect a MultiPyVu client")
        body = _object(bytes(pending[body_at : body_at + length]), encoding)
        del pending[: body_at + length]
        return {key: str(value) for key, value in body.items()}


class Line:
    """Messages over one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = Reader()
        self._unread: list[Message] = []

    def receive(self, timeout_s: float | None) -> Message | None:
        """The next message, or None at the end of the connection.

        Raises:
            TimeoutError: none came in time.
            ReplyError: what came is no message.
        """
        while not self._unread:
            self._connection.settimeout(timeout_s)
            if _ACKNOWLEDGE_AT_ONCE is not None:
                self._connection.setsockopt(socket.IPPROTO_TCP, _ACKNOWLEDGE_AT_ONCE, 1)
            data = self._connection.recv(_CHUNK)
            if not data:
                return None
            self._unread += self._reader.feed(data)
        return self._unread.pop(0)

    def gone(self) -> bool:
        """True when the client has left. What it sends meanwhile is kept.

        Raises:
            ReplyError: what came is no message, or there is no end of it.
        """
        self._connection.settimeout(0.0)
        try:
            data = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return False
        finally:
            self._connection.settimeout(None)
        self._unread += self._reader.feed(data)
        if len(self._unread) > _MOST_UNREAD:
            raise ReplyError("a MultiPyVu client sends without waiting for answers", do="connect a MultiPyVu client")
        return not data

    def send(self, message: Message, kind: str) -> None:
        """Send one message as `confirmed` or `completed`."""
        self._connection.sendall(encode(message | {"message_type": kind}))

    def complete(self, answer: Message) -> None:
        """Send an answer until the client confirms it. What else it says meanwhile is lost, as with the real server.

        Raises:
            TimeoutError: it does not confirm.
        """
        for attempt in range(_ATTEMPTS):
            self.send(answer, COMPLETED)
            try:
                reply = self.receive(_CONFIRMATION_s)
                while repeats(reply, answer):
                    # The request once more, from a client that did not see the first confirmation in time.
                    reply = self.receive(_CONFIRMATION_s)
            except TimeoutError:
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            if reply is None or (reply.get("id") == answer.get("id") and reply.get("message_type") == CONFIRMED):
                return


def repeats(reply: Message | None, answer: Message) -> bool:
    """True when `reply` is the request of `answer` once more."""
    return reply is not None and reply.get("id") == answer.get("id") and "message_type" not in reply


def _object(data: bytes, encoding: str) -> dict[str, Any]:
    try:
        value = json.loads(data.decode(encoding))
    except (ValueError, LookupError, RecursionError) as error:  # bad text, an unknown encoding, a bomb of brackets
        raise ReplyError(f"{data[:60]!r} is no MultiPyVu message: {error}", do="connect a MultiPyVu client") from error
    if not isinstance(value, dict):
        raise ReplyError(f"{data[:60]!r} is no MultiPyVu message", do="connect a MultiPyVu client")
    return value
