"""Framing and messages of Quantum Design's MultiPyVu: JSON behind a JSON header behind two bytes of length.

Wire facts from MultiPyVu 3.8.0: a message is the header's length (two bytes, big-endian), the header in UTF-8
(`byteorder`, `message-type`, `message-encoding`, `message-length`) and the body in the header's encoding: `id`,
`action`, `query`, `result` and, from the server and in confirmations, `message_type`. The server answers each request
twice with the request's own id: `confirmed` at once, `completed` with the result; the client confirms that one.
"""

import json
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


def encode(message: Message) -> bytes:
    """One message as it goes over the wire."""
    body = json.dumps(message, ensure_ascii=False).encode()
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
            raise ReplyError(f"the MultiPyVu header {header!r} lacks a key", do="connect a MultiPyVu client")
        length = header["message-length"]
        if not isinstance(length, int) or not 0 <= length <= _LONGEST_BODY:
            raise ReplyError(f"a MultiPyVu message of {length!r} bytes", do="connect a MultiPyVu client")
        if len(pending) < body_at + length:
            return None
        body = _object(bytes(pending[body_at : body_at + length]), str(header["message-encoding"]))
        del pending[: body_at + length]
        return {key: str(value) for key, value in body.items()}


def _object(data: bytes, encoding: str) -> dict[str, Any]:
    try:
        value = json.loads(data.decode(encoding))
    except (ValueError, LookupError, RecursionError) as error:  # bad text, an unknown encoding, a bomb of brackets
        raise ReplyError(f"{data[:60]!r} is no MultiPyVu message: {error}", do="connect a MultiPyVu client") from error
    if not isinstance(value, dict):
        raise ReplyError(f"{data[:60]!r} is no MultiPyVu message", do="connect a MultiPyVu client")
    return value
