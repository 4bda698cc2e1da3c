"""A front panel: one instrument as seen through its connector. Bytes in, bytes out; it never opens a socket.

A subclass says how its language ends lines, how long it takes, and answers `execute(command)`. What it does not know
it treats as the real instrument does: an error queue, a question mark, or silence. What can go wrong with it, and what
a person can do at its front, are the hooks at the end; one that is not there refuses by name.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import ClassVar, NoReturn, Protocol

from ..core.errors import ConfigError
from .sensors import Sensor
from .world import World

# A client that never sends an end of line must not grow the server: no instrument here takes longer commands.
_LONGEST_COMMAND = 4096
# Nor one that never reads: what does not fit into the line any more is lost.
_MOST_UNREAD = 4096
# Drivers that clear their socket on connecting lose a greeting that comes at once; 0.2 to 0.5 s later they read it.
_GREETING_s = 0.3


class Unfinished(bytes):
    """Bytes that are not the end of a message: on IEEE 488, the END line was not raised with the last of them."""


class Trouble(Protocol):
    """What stands between a client and a panel when things are to go wrong: `faults` has it."""

    def answers(self, conversation: "Conversation", line: bytes) -> Sequence[tuple[float, bytes]]:
        """What comes back for one command line: (seconds after it, bytes)."""
        ...

    def next_s(self) -> float:
        """When something will happen by itself next, on the laboratory's clock; infinity if nothing will."""
        ...

    def act(self) -> None:
        """Let happen what is due."""
        ...

    def greets_after_s(self, usual_s: float) -> float:
        """How long after connecting the greeting comes; infinity if never."""
        ...

    def reachable(self) -> bool:
        """False while nobody can connect."""
        ...


class Magnetometer(Protocol):
    """A SQUID and the drive that moves the sample, as faults see them."""

    stuck: bool

    def jump(self, quanta: int) -> None:
        """Slip by so many flux quanta."""
        ...


class FrontPanel:
    """What all simulated instruments share.

    `ends` are the bytes that end a command: whichever comes first, empty commands are dropped, so that CR LF works
    with both CR and LF devices. `reply_end` ends each reply. `latency_s` is the time from a command to its reply.
    `clients` is how many TCP connections it takes at once, None for as many as come. `firmware` is the version it
    speaks as, and `greeting` what it says by itself to who connects: the model's, unless one instrument is given its
    own. `inferred` says in sentences what of it no manual or real reply backs. `knobs` are what a person can turn at
    its front.
    """

    model: ClassVar[str] = ""
    firmware: str = ""
    inferred: ClassVar[tuple[str, ...]] = ()
    ends: ClassVar[bytes] = b"\r\n"
    reply_end: ClassVar[bytes] = b"\r\n"
    greeting: bytes = b""
    latency_s: ClassVar[float] = 0.01
    clients: ClassVar[int | None] = None
    knobs: ClassVar[tuple[str, ...]] = ()
    # False where a server of its own, and not a `Conversation`, stands between it and its clients.
    on_a_line: ClassVar[bool] = True

    def __init__(self, world: World, name: str, wiring: str = "") -> None:
        self.world = world
        self.name = name
        self.wiring = wiring
        # Commands that came and clients that are connected, for whoever looks on.
        self.received = 0
        self.conversations: list[Conversation] = []
        self.trouble: Trouble | None = None

    def execute(self, command: str) -> str | None:
        """Do one command and give its reply without terminator, or None for silence."""
        raise NotImplementedError

    def converse(self) -> "Conversation":
        """A client's new connection: one that speaks this panel's lines, unless it speaks otherwise."""
        return Conversation(self)

    def latency_of(self, command: str) -> float:
        """The time from this command to its reply (s)."""
        return self.latency_s

    def status_byte(self) -> int:
        """What a serial poll reads (IEEE 488), beside the bit for a waiting message that the transport knows of."""
        return 0

    def clear(self) -> None:
        """Do what a device clear does to the instrument's input and output buffers."""

    def trigger(self) -> None:
        """Do what a group execute trigger (IEEE 488) does; nothing unless the instrument has something to trigger."""

    def receive(self, line: bytes) -> bytes:
        """One command line as it came over the wire; the reply as it goes back, empty for silence."""
        command = line.decode("latin-1").strip()
        if not command:
            return b""
        with self.world.lock:
            reply = self.execute(command)
        # What an echo in capitals makes of a byte beyond ASCII need not be one byte any more.
        return b"" if reply is None else reply.encode("latin-1", "replace") + self.reply_end

    def push(self, data: bytes) -> None:
        """Send bytes that nobody asked for to every client."""
        for conversation in tuple(self.conversations):
            conversation.hear(data)

    # What can go wrong with it

    def changes(self, command: str) -> bool:
        """True when a command sets something: what an instrument that is in local, or did not listen, does not do."""
        return "?" not in command

    def acknowledge(self, command: str) -> str | None:
        """What it says to a command that sets something, without doing it; None where the real one is silent."""
        return None

    def refuse(self, command: str) -> str | None:
        """What it says, and notes in its error queue, when it cannot do a command now."""
        self._lacks("a refusal of its own: give the fault a `text`")

    def power_cycle(self) -> None:
        """Be switched off and on: everything that is not kept in its memory is as after power-on."""
        self._lacks("a power switch")

    def turn(self, knob: str, value: str) -> None:
        """Let a person set one of `knobs` at the front; `value` is text as the panel's own words have it."""
        self._lacks("knobs")

    def sensor(self, input_name: str) -> Sensor:
        """The thermometer at one of its inputs."""
        self._lacks("a sensor")

    def magnetometer(self) -> Magnetometer:
        """The SQUID that it measures with."""
        self._lacks("a SQUID")

    def fill_errors(self) -> None:
        """Fill the error queue to its last place."""
        self._lacks("an error queue")

    def _lacks(self, what: str) -> NoReturn:
        raise ConfigError(f"the simulated {self.model or type(self).__name__} {self.name!r} has not got {what}")


class Conversation:
    """One client's connection to a front panel: cuts the byte stream into commands, and times what comes back.

    `outgoing` holds (time at which it may be read, bytes), in the order of the wire. After `busy_s` the instrument is
    done with what it was told. A connection that is `deaf` is half-open: whatever is sent is lost and nothing comes;
    one that is `broken` has been reset.
    """

    def __init__(self, panel: FrontPanel) -> None:
        self.panel = panel
        self.outgoing: deque[tuple[float, bytes]] = deque()
        self.busy_s = 0.0
        self.deaf = self.broken = False
        # Whom to tell that bytes came unasked, or that the line broke.
        self.notice: Callable[[], None] = _nobody
        self._pending = bytearray()
        # Most panels take equally long for everything, and then nobody has to be asked.
        self._own_latencies = type(panel).latency_of is not FrontPanel.latency_of
        panel.conversations.append(self)

    def greet(self, now_s: float) -> None:
        """Let the instrument say its greeting, if it has one."""
        trouble = self.panel.trouble
        after_s = _GREETING_s if trouble is None else trouble.greets_after_s(_GREETING_s)
        if self.panel.greeting and after_s < math.inf:
            self.send(self.panel.greeting, now_s + after_s)

    def take(self, data: bytes, now_s: float) -> None:
        """Take bytes as they arrive: what they cause happens now, what the instrument answers comes when it can."""
        panel = self.panel
        trouble = panel.trouble
        alone = None if self._pending else _whole_command(data, panel.ends)
        for line in self._lines(data) if alone is None else alone:
            if trouble is not None:
                self._take_in_trouble(trouble, line, now_s)
                continue
            panel.received += 1
            reply = panel.receive(line)
            if reply:
                latency_s = panel.latency_of(line.decode("latin-1")) if self._own_latencies else panel.latency_s
                busy_s = self.busy_s
                self.busy_s = busy_s = (busy_s if busy_s > now_s else now_s) + latency_s
                if self.outgoing:
                    self.send(reply, busy_s)
                else:
                    self.outgoing.append((busy_s, reply))

    def _take_in_trouble(self, trouble: Trouble, line: bytes, now_s: float) -> None:
        if self.deaf or self.broken:
            return
        self.panel.received += 1
        start_s = max(now_s, self.busy_s)
        pieces = trouble.answers(self, line)
        for after_s, piece in pieces:
            self.send(piece, start_s + after_s)
        if pieces:
            self.busy_s = start_s + self.panel.latency_of(line.decode("latin-1"))

    def send(self, data: bytes, at_s: float) -> None:
        """Put bytes on the wire, behind those that are on it."""
        outgoing = self.outgoing
        if outgoing:
            at_s = max(at_s, outgoing[-1][0])
            if len(outgoing) >= _MOST_UNREAD:
                return
        outgoing.append((at_s, data))

    def hear(self, data: bytes) -> None:
        """Take bytes from the instrument that nobody asked for."""
        if not (self.deaf or self.broken):
            self.send(data, self.panel.world.clock.now())
            self.notice()

    def feed(self, data: bytes) -> bytes:
        """Take bytes and give what the instrument answers to the commands now complete, without the waiting."""
        self.take(data, self.panel.world.clock.now())
        replies = b"".join(piece for _, piece in self.outgoing)
        self.outgoing.clear()
        return replies

    def _lines(self, data: bytes) -> Iterator[bytes]:
        """The lines that `data` end; what exceeds the longest command is lost, what has no end yet waits for it."""
        ends, pending = self.panel.ends, self._pending
        *ended, begun = data.translate(bytes.maketrans(ends, ends[:1] * len(ends))).split(ends[:1])
        for piece in ended:
            pending += piece[: _LONGEST_COMMAND - len(pending)]
            if pending:
                line = bytes(pending)
                pending.clear()
                yield line
        pending += begun[: _LONGEST_COMMAND - len(pending)]

    def clear(self) -> None:
        """A device clear: forget half-sent commands and unread replies, and tell the instrument."""
        self._pending.clear()
        self.outgoing.clear()
        with self.panel.world.lock:
            self.panel.clear()

    def reset(self) -> None:
        """Break the connection: what was under way in either direction is lost."""
        self.broken = True
        self._pending.clear()
        self.outgoing.clear()
        self.notice()

    def close(self) -> None:
        """End the connection; closing twice is fine."""
        if self in self.panel.conversations:
            self.panel.conversations.remove(self)


@lru_cache(maxsize=512)
def _whole_command(data: bytes, ends: bytes) -> tuple[bytes] | None:
    """The one command line that `data` is, if it is just that; a run repeats few different ones, so they are kept."""
    line = data.rstrip(ends)
    alone = 0 < len(line) < len(data) <= _LONGEST_COMMAND and len(line.translate(None, ends)) == len(line)
    return (line,) if alone else None


def _nobody() -> None:
    pass
