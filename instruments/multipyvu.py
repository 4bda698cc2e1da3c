"""MultiPyVu's wire, as its server speaks it: requests in frames, each answered twice, with an identifier that returns.

Wire facts from MultiPyVu 3.8.0's source: a message is the length of its header in two bytes (big-endian), a JSON header
with `message-length`, and a JSON body `{id, action, query, result}`. The server sends `confirmed` at once, `completed`
with the result; the client confirms that one. START begins a session, and one client at a time has it.

The library of that name is not used here: it leaves the whole program with `SystemExit` when a version differs, sets up
the program's logging, and waits by the wall clock. Its server cannot tell the difference.
"""

import json
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from ..core.errors import DeviceFault, ReplyError
from .link import Link

_LENGTH = struct.Struct(">H")
# No message is longer than some hundred bytes.
_LONGEST = 65536
_REFUSED = "MultiPyVuError:"

Message = dict[str, str]


class MultiPyVuClient:
    """A client's side of one session over a link. `numbers` makes the identifiers of requests."""

    def __init__(self, link: Link, numbers: Iterator[UUID]) -> None:
        self._link = link
        self._numbers = numbers

    def start(self) -> tuple[str, str]:
        """Begin a session; gives the cryostat's name (`MPMS3`) and the server's version.

        Raises:
            ReplyError: what answers is no MultiPyVu server, or another client has it.
        """
        answer = self._exchange("START", "")
        result = answer.get("result", "")
        words = result.split()
        if result.startswith("Connection attempt rejected"):
            raise ReplyError(
                "another client has the MultiVu server", where=self._where, state="Nothing was sent to MultiVu",
                do="close it there, or stop it: MultiPyVu serves one client at a time",
            )  # fmt: skip
        if words[:2] != ["Connected", "to"] or len(words) < 4 or words[3] != "MultiVuServer":
            raise ReplyError(f"START was answered {result!r}", where=self._where)
        return words[2], answer.get("query", "").partition(";")[0]

    def ask(self, action: str, query: str = "") -> str:
        """Query or order; gives the result's text.

        Raises:
            DeviceFault: MultiVu refuses it, in its words.
            CommunicationError: there is no whole answer within the deadline.
        """
        result = self._exchange(action, query).get("result", "")
        if result.startswith(_REFUSED):
            raise DeviceFault(f"MultiVu refuses {action} {query}: {result[len(_REFUSED) :].strip()}", where=self._where)
        return result

    def _exchange(self, action: str, query: str) -> Message:
        with self._link.lock:
            number = str(next(self._numbers))

            def answer(read: Callable[[int], bytes]) -> Message:
                # The identifier is a tag: what answers an older request is dropped here.
                while True:
                    message = self._receive(read)
                    if message.get("id") == number and message.get("message_type") == "completed":
                        return message

            request = {"id": number, "action": action, "query": query, "result": ""}
            message = self._link.exchange(_frame(request), answer)
            self._link.write_bytes(_frame(message | {"message_type": "confirmed"}))
            return message

    def _receive(self, read: Callable[[int], bytes]) -> Message:
        (length,) = _LENGTH.unpack(read(_LENGTH.size))
        header = self._object(read(self._checked(length)))
        body = self._object(read(self._checked(header.get("message-length"))))
        return {key: str(value) for key, value in body.items()}

    def _checked(self, length: Any) -> int:
        if not isinstance(length, int) or not 0 < length <= _LONGEST:
            self._link.distrust()
            raise ReplyError(f"a message of {length!r} bytes is none of MultiPyVu's", where=self._where)
        return length

    def _object(self, data: bytes) -> dict[str, Any]:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            self._link.distrust()
            raise ReplyError(f"{data[:60]!r} is no MultiPyVu message", where=self._where)
        return value

    @property
    def _where(self) -> str:
        return f"{self._link.name} ({self._link.address})"


def _frame(message: Message) -> bytes:
    body = json.dumps(message).encode()
    header = {
        "byteorder": sys.byteorder, "message-type": "text/json", "message-encoding": "utf-8",
        "message-length": len(body),
    }  # fmt: skip
    head = json.dumps(header).encode()
    return _LENGTH.pack(len(head)) + head + body
