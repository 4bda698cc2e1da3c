"""The link over PyVISA-py with a real peer: a TCP server that misbehaves, and a serial line with nobody's manners."""

import contextlib
import os
import pty
import socket
import struct
import threading
import time
import tty
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pyvisa
from remanence.core.clock import SystemClock
from remanence.core.errors import CommunicationError, DeadlineError, ReplyError
from remanence.instruments.driver import Driver
from remanence.instruments.link import Link

DEADLINE_S = 0.3
IDENTITY = b"MAKER,METER,7,1.0\n"


class Meter(Driver):
    model = "METER"


class Peer:
    """A server for one instrument: `manners[command]` does what is to happen, everything else is echoed."""

    def __init__(self) -> None:
        self.manners: dict[bytes, Callable[[socket.socket], None]] = {}
        self.heard: list[bytes] = []
        self.identity = IDENTITY
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        # Wakes the thread that waits in accept; the others end when their clients have gone.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5.0)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._converse, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _converse(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
            for line in lines:
                command = line.strip()
                self.heard.append(command)
                if command in self.manners:
                    self.manners[command](connection)
                elif command == b"*IDN?":
                    connection.sendall(self.identity)
                elif command.endswith(b"?"):
                    connection.sendall(b"echo " + command + b"\n")


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def link(peer: Peer) -> Iterator[Link]:
    manager: Any = pyvisa.ResourceManager("@py")

    def opens() -> Any:
        return manager.open_resource(f"TCPIP0::127.0.0.1::{peer.port}::SOCKET", open_timeout=1000)

    link = Link(opens(), SystemClock(), name="meter", deadline_s=DEADLINE_S, open_resource=opens)
    Meter(link).verify()
    yield link
    with contextlib.suppress(Exception):
        link.close()
    manager.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionAbortedError


def shut(_connection: socket.socket) -> None:
    raise ConnectionAbortedError


def says(*pieces: bytes, apart_s: float = 0.0) -> Callable[[socket.socket], None]:
    def say(connection: socket.socket) -> None:
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(apart_s)  # noqa: TID251  a peer in real time
            connection.sendall(piece)

    return say


def until_it_answers(link: Link, command: str = "Z?") -> str:
    """Ask until there is a reply; whatever comes before must be an error."""
    for _ in range(400):
        try:
            return link.query(command)
        except CommunicationError:
            time.sleep(0.02)  # noqa: TID251  a peer in real time
    raise AssertionError("it never answered again")


@pytest.mark.parametrize(
    ("name", "does", "error", "match"),
    [
        ("nothing", says(), DeadlineError, "nothing came"),
        ("late", says(b"", b"old\n", apart_s=1.5 * DEADLINE_S), DeadlineError, "nothing came"),
        ("cut", says(b"1.2"), DeadlineError, r"only b'1\.2' came, which does not end in"),
        ("wrong end", says(b"1.25\r"), DeadlineError, "terminator"),
        ("doubled", says(b"1\n2\n"), ReplyError, "which is the answer"),
        ("garbage", says(b"\x00\xb2\xff\n"), ReplyError, "00 b2 ff"),
        ("endless", says(*[b"9" * 65536] * 40), CommunicationError, "has no end"),
        ("dripping", says(*[b"1"] * 30, apart_s=0.05), DeadlineError, "only b'1111"),
        ("closed", shut, CommunicationError, "the other side closed it"),
        ("reset", reset, CommunicationError, "reset"),
    ],
)  # fmt: skip
def test_whatever_a_peer_does_is_an_error_and_every_later_reply_is_its_querys_own(
    peer: Peer, link: Link, name: str, does: Any, error: type[Exception], match: str
) -> None:
    peer.manners[b"X?"] = does
    assert link.query("A?") == "echo A?"
    with pytest.raises(error, match=match):
        link.query("X?")
    assert until_it_answers(link) == "echo Z?"
    assert [link.query(f"{name}?") for name in "BCD"] == ["echo B?", "echo C?", "echo D?"]
    assert peer.heard.count(b"X?") == 1
    if name != "dripping":  # it may have stopped in time, or not
        assert peer.connections == (2 if name in {"closed", "reset", "endless"} else 1)


def test_an_unasked_line_and_a_second_reply_are_dropped_and_counted(peer: Peer, link: Link) -> None:
    peer.manners[b"X?"] = says(b"1\n", b"2\nEVENT\n", apart_s=0.05)
    assert link.query("X?") == "1"
    time.sleep(0.2)  # noqa: TID251  a peer in real time
    assert link.query("A?") == "echo A?"
    assert link.dropped == len("2EVENT")


def test_a_peer_that_was_lost_is_found_before_anything_is_sent_and_verified_when_it_is_back(
    peer: Peer, link: Link
) -> None:
    peer.manners[b"BYE"] = shut
    link.write("BYE")
    time.sleep(0.1)  # noqa: TID251  a peer in real time
    heard = len(peer.heard)
    with pytest.raises(CommunicationError, match="the connection is gone"):
        link.write("GO")
    assert until_it_answers(link) == "echo Z?"
    assert peer.heard[heard:] == [b"*IDN?", b"*IDN?", b"Z?"]
    assert link.reconnects == 1


def test_another_peer_at_the_address_gets_no_command(peer: Peer, link: Link) -> None:
    peer.manners[b"BYE"] = shut
    peer.identity = b"MAKER,METER,8,1.0\n"
    with contextlib.suppress(CommunicationError):
        link.write("BYE")
        link.query("A?")
    for _ in range(60):
        with pytest.raises(CommunicationError):
            link.write("GO")
        time.sleep(0.02)  # noqa: TID251  a peer in real time
    assert peer.connections > 1
    assert b"GO" not in peer.heard


def test_a_peer_that_vanishes_without_a_word_is_found_out_within_ten_seconds(link: Link) -> None:
    connection = link.connection.visalib.sessions[link.connection.session].interface
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    idle_s, every_s, probes = (
        connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, option))
        for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
    )
    assert idle_s + every_s * probes <= 10


def test_nothing_here_waits_by_the_wall_clock(peer: Peer, link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    def stepped() -> float:
        raise AssertionError("the wall clock was asked")

    monkeypatch.setattr(time, "time", stepped)
    peer.manners[b"X?"] = says(b"1.2")
    assert link.query("A?") == "echo A?"
    with pytest.raises(DeadlineError):
        link.query("X?")
    assert link.query("B?") == "echo B?"
    monkeypatch.undo()


def test_a_reply_of_bytes_is_read_as_many_as_are_asked_for(peer: Peer, link: Link) -> None:
    peer.manners[b"X?"] = says(b"\x01\n\x02", b"\x03\n\x04after\n", apart_s=0.02)
    link.write("X?")
    assert link.read_bytes(6) == b"\x01\n\x02\x03\n\x04"
    assert link.query("A?") == "echo A?"
    link.write("X?")
    with pytest.raises(DeadlineError):
        link.read_bytes(60)
    assert until_it_answers(link) == "echo Z?"


# A serial line


@pytest.fixture
def line() -> Iterator[tuple[Link, Callable[[bytes], None]]]:
    """A pseudo-terminal: the link has one end, and a thread that echoes queries the other."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    # The pump ends before its descriptor does: a number that is closed may at once be somebody else's.
    ending, end = os.pipe()
    thread = threading.Thread(target=_echo, args=(ours, ending), daemon=True)
    thread.start()
    manager: Any = pyvisa.ResourceManager("@py")
    resource = manager.open_resource(f"ASRL{os.ttyname(theirs)}::INSTR")
    link = Link(resource, SystemClock(), name="meter", deadline_s=DEADLINE_S)
    yield link, lambda data: os.write(ours, data) and None
    link.close()
    manager.close()
    os.write(end, b"x")
    thread.join()
    for number in (ours, theirs, ending, end):
        os.close(number)


def _echo(ours: int, ending: int) -> None:
    import select

    pending = b""
    while True:
        ready, _, _ = select.select([ours, ending], [], [])
        if ending in ready:
            return
        pending += os.read(ours, 1000)
        while b"\n" in pending:
            command, _, pending = pending.partition(b"\n")
            replies = {b"TWICE?": b"1\n2\n", b"CUT?": b"1.2", b"NONE?": b""}
            os.write(ours, replies.get(command, b"echo " + command + b"\n"))


def test_a_serial_line_is_in_step_whatever_comes_on_it(line: tuple[Link, Callable[[bytes], None]]) -> None:
    link, say = line
    assert link.query("A?") == "echo A?"
    say(b"EVENT 7\n")
    time.sleep(0.1)  # noqa: TID251  a peer in real time
    assert link.query("B?") == "echo B?"
    assert link.dropped == len("EVENT 7")
    for command, error in (("TWICE?", ReplyError), ("CUT?", DeadlineError), ("NONE?", DeadlineError)):
        with pytest.raises(error):
            link.query(command)
            time.sleep(0.05)  # noqa: TID251  its second reply may come a moment after the look behind the first
            assert link.query("A?") == "echo A?"
            raise ReplyError("dropped before the next")
        assert link.query("C?") == "echo C?"


def test_nothing_on_a_serial_line_waits_by_the_wall_clock(
    line: tuple[Link, Callable[[bytes], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    link, _ = line

    def stepped() -> float:
        raise AssertionError("the wall clock was asked")

    monkeypatch.setattr(time, "time", stepped)
    with pytest.raises(DeadlineError):
        link.query("NONE?")
    assert link.query("A?") == "echo A?"
    monkeypatch.undo()
