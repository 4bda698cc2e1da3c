"""Bytes that no client of MultiPyVu sends: rubbish, half messages, huge headers, JSON that makes no sense."""

import encodings
import json
import random
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any

from remanence.simulators.multivu import MultiVu
from remanence.simulators.multivu_server import MultiVuServer

from .fuzz import MOST_ITEMS, bench_for, items

_ACTIONS = (
    "START", "START", "ALIVE", "STATUS", "CLOSE", "WAITFOR", "WAITFOR", "WAITFOR?", "TEMP", "TEMP?", "FIELD", "FIELD?",
    "CHAMBER", "CHAMBER?", "SDO", "SDO?", "POSITION", "TEMP_SETPOINTS?", "FIELD_SETPOINTS?", "VECTOR_CART?", "", "?",
    "temp", "EXIT ", "A" * 60_000, "\ud800", "\x00",
)  # fmt: skip
_QUERIES = (
    "", "0", "3.8.0", "4.0,5.0,0", "9e9,1,0", "nan,nan,0", "1e400,1,1", "20000.0,100.0,0,1", "1,1,1,1,1", "0.0,0.0,1",
    "0,0,2", "1e300,0,0", "0,-1,15", "inf,inf,11", "0,0,4", "9" * 5000, "1_0,1_0,0", "5", "-5", "x" * 60_000, "\ud800", "\x00",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 1e308, 10**400, "", "utf-8", "utf-16", "utf-7", "hex", "rot13", "idna", "no such code",
    "\x00", [], {}, [[]], {"a": {}}, "z" * 3000, 65537, 2**63,
)  # fmt: skip


def message(chance: random.Random) -> bytes:
    """One message, well formed or nearly so."""
    body: Any = {
        "id": chance.choice(("1", "2", "a", "")), "action": chance.choice(_ACTIONS), "query": chance.choice(_QUERIES),
        "result": "",
    }  # fmt: skip
    if chance.random() < 0.3:
        body["message_type"] = chance.choice(("confirmed", "completed", "", None))
    if chance.random() < 0.1:
        body[chance.choice((*body, "more"))] = chance.choice(_VALUES)
    if chance.random() < 0.05:
        body = chance.choice(_VALUES)
    text = json.dumps(body).encode()
    header: Any = {
        "byteorder": sys.byteorder, "message-type": "text/json", "message-encoding": "utf-8", "message-length": len(text)
    }  # fmt: skip
    if chance.random() < 0.15:
        header[chance.choice((*header, "more"))] = chance.choice(_VALUES)
    if chance.random() < 0.05:
        header.pop(chance.choice(tuple(header)))
    if chance.random() < 0.03:
        header = chance.choice(_VALUES)
    head = json.dumps(header).encode()
    if chance.random() < 0.03:
        head = chance.choice((b"[" * 50_000, b'{"a":' * 10_000, b"{" + b" " * 65_000, b"{" + chance.randbytes(100)))
    return struct.pack(">H", len(head) if chance.random() < 0.97 else chance.randrange(65536)) + head + text


def scripts(seed: int) -> Iterator[bytes]:
    """Endless: what each client sends before it hangs up."""
    chance = random.Random(f"MultiVu {seed}")
    while True:
        match chance.randrange(8):
            case 0:
                yield chance.randbytes(chance.randrange(1, 300))
            case 1:
                whole = message(chance)
                yield whole[: chance.randrange(len(whole))]
            case 2:
                yield b"\xff\xff{" + b" " * chance.randrange(70_000)
            case _:
                yield b"".join(message(chance) for _ in range(chance.choice((1, 1, 2, 5))))


class Wire:
    """A flavour behind its server, and what its threads died of."""

    def __init__(self, kind: type[MultiVu]) -> None:
        bench, self.clock = bench_for(kind)
        assert isinstance(bench, MultiVu)
        self.panel = bench
        self.died: list[str] = []
        self._usual, threading.excepthook = threading.excepthook, self._note
        self.server = MultiVuServer(bench, self.clock, port=0)

    def _note(self, args: threading.ExceptHookArgs) -> None:
        self.died.append(f"{args.exc_type.__name__}: {args.exc_value}")

    def close(self) -> None:
        self.server.close()
        threading.excepthook = self._usual

    def say(self, script: bytes, patience_s: float = 20.0) -> bytes:
        """Send, hang up, and give what came; empty bytes when the server ends it.

        Raises:
            TimeoutError: it never does.
        """
        got = bytearray()
        with socket.create_connection(self.server.address, timeout=patience_s) as client:
            try:
                client.sendall(script)
                client.shutdown(socket.SHUT_WR)
                while data := client.recv(65536):
                    got += data
            except TimeoutError:
                raise
            except OSError:
                pass  # a server that has had enough closes while there is still something to send
        return bytes(got)


def fuzz_wire(kind: type[MultiVu], cases: int, seed: int = 1) -> int:
    """Let `cases` clients talk rubbish to a server; the most items that it held.

    Raises:
        AssertionError: it crashed, hung or grew; with the bytes that did it.
    """
    wire, most = Wire(kind), 0
    caches = len(_encodings())
    try:
        for number, script in zip(range(cases), scripts(seed), strict=False):
            try:
                wire.say(script)
            except TimeoutError:
                raise AssertionError(f"{kind.__name__} case {number}: {script[:200]!r} was never let go") from None
            assert not wire.died, f"{kind.__name__} case {number}: {script[:200]!r} gave {wire.died[0]}"
            if number % 100 == 99:
                polite = {"id": "p", "action": "TEMP?", "query": "", "result": ""}
                text = json.dumps(polite).encode()
                head = json.dumps({
                    "byteorder": "little", "message-type": "text/json", "message-encoding": "utf-8",
                    "message-length": len(text),
                }).encode()  # fmt: skip
                answer = wire.say(struct.pack(">H", len(head)) + head + text)
                assert b",K," in answer, f"{kind.__name__} answers nobody after case {number}"
                assert len(_encodings()) < caches + 50, f"Python remembers {len(_encodings())} encodings"
            if number % 1000 == 999 or number == cases - 1:
                most = max(most, items(wire.panel) + items(list(wire.server._connections)))
                assert most < MOST_ITEMS, f"{kind.__name__} holds {most} items after {number + 1} cases"
                clients = [thread for thread in threading.enumerate() if thread.name == "MultiVu client"]
                assert len(clients) < 20, f"{len(clients)} threads are left after case {number}"
    finally:
        wire.close()
    return most


def _encodings() -> dict[str, Any]:
    """What Python has looked up so far, unknown names included."""
    return encodings._cache  # pyright: ignore[reportAttributeAccessIssue]
