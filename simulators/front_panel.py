"""A front panel: one instrument as seen through its connector. Bytes in, bytes out; it never opens a socket.

A subclass says how its language ends lines, how long it takes, and answers `execute(command)`. What it does not know
it treats as the real instrument does: an error queue, a question mark, or silence.
"""

from typing import ClassVar

from .world import World

# A client that never sends an end of line must not grow the server: no instrument here takes longer commands.
_LONGEST_COMMAND = 4096


class FrontPanel:
    """What all simulated instruments share.

    `ends` are the bytes that end a command: whichever comes first, empty commands are dropped, so that CR LF works
    with both CR and LF devices. `reply_end` ends each reply. `latency_s` is the time from a command to its reply.
    `firmware` is the version it speaks as, `inferred` says in sentences what of it no manual or real reply backs.
    """

    model: ClassVar[str] = ""
    firmware: ClassVar[str] = ""
    inferred: ClassVar[tuple[str, ...]] = ()
    ends: ClassVar[bytes] = b"\r\n"
    reply_end: ClassVar[bytes] = b"\r\n"
    greeting: ClassVar[bytes] = b""
    latency_s: ClassVar[float] = 0.01

    def __init__(self, world: World, name: str, wiring: str = "") -> None:
        self.world = world
        self.name = name
        self.wiring = wiring

    def execute(self, command: str) -> str | None:
        """Do one command and give its reply without terminator, or None for silence."""
        raise NotImplementedError

    def status_byte(self) -> int:
        """What a serial poll reads (IEEE 488), beside the bit for a waiting message that the transport knows of."""
        return 0

    def clear(self) -> None:
        """Do what a device clear does to the instrument's input and output buffers."""

    def receive(self, line: bytes) -> bytes:
        """One command line as it came over the wire; the reply as it goes back, empty for silence."""
        command = line.decode("latin-1").strip()
        if not command:
            return b""
        with self.world.lock:
            reply = self.execute(command)
        return b"" if reply is None else reply.encode("latin-1") + self.reply_end


class Conversation:
    """One client's connection to a front panel: cuts the byte stream into commands."""

    def __init__(self, panel: FrontPanel) -> None:
        self.panel = panel
        self._pending = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they arrive and give what the instrument answers to the commands now complete."""
        ends = self.panel.ends
        if not self._pending and len(data) <= _LONGEST_COMMAND:
            # The usual case, one whole command, without looking at each byte.
            body = data.rstrip(ends)
            if len(body) < len(data) and len(body.translate(None, ends)) == len(body):
                return self.panel.receive(body)
        replies = bytearray()
        for byte in data:
            if byte in ends:
                if self._pending:
                    line, self._pending = bytes(self._pending), bytearray()
                    replies += self.panel.receive(line)
            elif len(self._pending) < _LONGEST_COMMAND:
                self._pending.append(byte)
        return bytes(replies)

    def clear(self) -> None:
        """Forget a half-sent command, as on a device clear."""
        self._pending.clear()
