"""The link: one VISA session, one lock, one total deadline for each query. The only seam to hardware.

The rules of this file: a reply belongs to the query that asked for it, or to nobody. What waits before a command is
sent, or behind its reply, answers nothing: it is dropped and counted. After a time-out or a doubtful reply the link is
dirty and gets into step again before it gives another value; a broken connection is made again, and what answers there
is verified before anything else is said to it. All waiting is on the injected clock; a command is never repeated.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from pymeasure.adapters import Adapter
from pyvisa.resources import MessageBasedResource

from ..core.clock import Clock
from ..core.errors import CommunicationError, DeadlineError, RemanenceError, ReplyError
from .reconnect import Reconnection
from .wire import LONGEST_REPLY, LONGEST_SURPLUS, Broken, Endless, Noisy, Silent, Wire, wire_on

# A line counts as empty after this silence: longer than any instrument here pauses inside a reply.
_SILENCE_s = 0.3
# Flow control and the ends of lines say nothing: they may stand before and behind a reply.
_FILLER = "\r\n\x11\x13"
# After so many time-outs in which not one byte came the connection counts as lost: half-open, or nobody is there.
_MUTE = 2
_UNKNOWN = "Whether it arrived is not known"


AnswerT = TypeVar("AnswerT")


class Link(Adapter):
    """A pymeasure adapter over an open PyVISA resource.

    `deadline_s` bounds a whole query however slowly its bytes come. `pause_s` is the shortest time between two
    commands that the instrument can stand (the SMS supplies need 0.2 s). `write_end` and `read_end` are the
    terminators of this instrument on this interface. With `open_resource` a lost connection is made again.

    `dropped` counts the bytes that answered nothing, `reconnects` how often the connection was made again.
    """

    def __init__(
        self,
        resource: MessageBasedResource,
        clock: Clock,
        *,
        name: str,
        write_end: str = "\n",
        read_end: str = "\n",
        deadline_s: float = 2.0,
        pause_s: float = 0.0,
        open_resource: Callable[[], MessageBasedResource] | None = None,
    ) -> None:
        super().__init__()
        self.connection: Any = resource
        self.name = name
        self.address = str(resource.resource_name)
        self.deadline_s = deadline_s
        self.dropped = self.reconnects = 0
        self.lock = threading.RLock()
        self._clock = clock
        self._pause_s = pause_s
        self._write_end = write_end.encode()
        self._read_end = read_end
        self._filler = _FILLER + read_end
        now_s = clock.now()
        self._free_at_s = self._sent_s = now_s
        # The middle of the last exchange: the best guess of when the instrument measured what it said.
        self.answered_s = now_s
        self._sent = b""
        # What the driver says of its instrument: see `adopt`.
        self._greeting_lines, self._message_bit = 0, 0x10
        self._fence: tuple[str, Callable[[str], bool]] | None = None
        self._verifies: list[Callable[[], object]] = []
        # How far the line can be trusted.
        self._dirty = self._fence_failed = False
        self._greeting_due = 0
        self._quiet_s = now_s
        self._mute = 0
        self._wire: Wire | None = wire_on(resource, clock, read_end, self._message_bit)
        self._reconnection = None if open_resource is None else Reconnection(open_resource, clock)
        self._reconnecting = False

    def adopt(
        self,
        *,
        verify: Callable[[], object],
        fence: tuple[str, Callable[[str], bool]] | None = None,
        greeting_lines: int = 0,
        message_bit: int = 0x10,
    ) -> None:
        """Take from a driver what it knows of its instrument. Several drivers may share a link: each verifies its own.

        `verify` finds out, after a reconnection, whether the same instrument answers; it raises if not. `fence` is a
        query and a test of its reply: whatever comes before that reply is older. `greeting_lines` come unasked at each
        connection. `message_bit` of the status byte tells that a reply waits (IEEE 488 and USB); 0 if none does.
        """
        self._verifies.append(verify)
        self._fence = fence
        if greeting_lines > self._greeting_lines:
            self._greeting_lines = self._greeting_due = greeting_lines
        if message_bit != self._message_bit:
            self._message_bit = message_bit
            self._wire = wire_on(self.connection, self._clock, self._read_end, message_bit)

    def query(self, command: str, *, more: bool = False) -> str:
        """Send a command and give its reply without terminator; `more` lines may follow, which the caller reads.

        Raises:
            DeadlineError: no complete reply within the deadline; the link is dirty.
            ReplyError: the reply is too long, not ASCII, or not the only one; the link is dirty.
            CommunicationError: the connection is broken.
        """
        with self.lock:
            self._write_bytes(command.encode("ascii") + self._write_end)
            reply = self._read()
            if not more:
                self._look_behind(command, reply)
            return reply

    def exchange(self, content: bytes, receive: Callable[[Callable[[int], bytes]], AnswerT]) -> AnswerT:
        """Send bytes and let `receive` read the answer, so many bytes at a time, all within one deadline.

        For protocols whose messages carry their own length.

        Raises:
            DeadlineError: the answer is not whole within the deadline; the link is dirty.
            CommunicationError: the connection is broken.
        """
        with self.lock:
            self._write_bytes(content)
            until_s = self._sent_s + self.deadline_s
            answer = receive(lambda count: self._exactly(count, until_s))
            self.answered_s = 0.5 * (self._sent_s + self._clock.now())
            return answer

    def distrust(self) -> None:
        """Say that the last reply was no answer to its query: whatever else is on the line is dropped before the next.

        A line that the instrument sent unasked would otherwise shift every later reply by one.
        """
        # The true reply may still come, within the deadline of its query.
        self._doubt(self._sent_s + self.deadline_s)

    # Sending and receiving

    def _write(self, command: str, **kwargs: Any) -> None:
        self._write_bytes(command.encode("ascii") + self._write_end)

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        with self.lock:
            wire = self._in_step()
            now_s = self._clock.now()
            if self._free_at_s > now_s:
                self._clock.sleep(self._free_at_s - now_s)
            self._send(wire, content)

    def _send(self, wire: Wire, content: bytes) -> None:
        now_s = self._clock.now()
        self._sent_s, self._sent = now_s, content
        try:
            wire.send(content, now_s + self.deadline_s)
        except Broken as error:
            self._lose(f"cannot send {content!r}: {error}", error)
        if self._pause_s:
            self._free_at_s = self._clock.now() + self._pause_s

    def _read(self, **kwargs: Any) -> str:
        with self.lock:
            text = self._line(self._open_wire(), self._clock.now() + self.deadline_s)
            now_s = self._clock.now()
            self.answered_s = 0.5 * (self._sent_s + now_s)
            if self._pause_s:
                self._free_at_s = now_s + self._pause_s
            return text

    def _line(self, wire: Wire, until_s: float) -> str:
        try:
            data = wire.line(until_s)
            self._mute = 0
            return data.decode("ascii").strip(self._filler)
        except Silent as error:
            self._late(error.got)
        except UnicodeDecodeError:
            self._doubt()
            raise ReplyError(f"a reply is not text: {data[:64].hex(' ')}", where=self._where()) from None  # pyright: ignore[reportPossiblyUnboundVariable]
        except Endless:
            self._babbles(f"a reply longer than {LONGEST_REPLY} bytes has no end")
        except Noisy as error:
            self._doubt()
            raise ReplyError(f"a damaged byte came: {error}", where=self._where()) from error
        except Broken as error:
            self._lose(f"cannot receive: {error}", error)

    def _read_bytes(self, count: int, break_on_termchar: bool = False, **kwargs: Any) -> bytes:
        with self.lock:
            return self._exactly(count, self._clock.now() + self.deadline_s)

    def _exactly(self, count: int, until_s: float) -> bytes:
        wire = self._open_wire()
        try:
            return wire.exactly(count, until_s) if count >= 0 else wire.line(until_s)
        except Silent as error:
            self._late(error.got)
        except (Endless, Noisy) as error:
            self._doubt()
            raise ReplyError(f"no {count} bytes came: {error}", where=self._where()) from error
        except Broken as error:
            self._lose(f"cannot receive: {error}", error)

    def flush_read_buffer(self) -> None:
        """Drop what was received and not read."""
        with self.lock:
            self._drop(self._drain(self._open_wire()))

    def _late(self, got: bytes) -> NoReturn:
        """A deadline passed. What was asked may yet be answered: late by less than a second deadline, we trust."""
        self._doubt(self._sent_s + 2.0 * self.deadline_s)
        self._mute = 0 if got else self._mute + 1
        self.dropped += len(got)
        if self._mute >= _MUTE and self._reconnection is not None:
            self._lose(f"it was silent for {_MUTE} deadlines of {self.deadline_s:g} s")
        came = f"only {got[:40]!r} came, which does not end in {self._read_end!r}" if got else "nothing came"
        raise DeadlineError(
            f"no reply within {self.deadline_s:g} s to {self._sent[:40].decode('latin-1').strip()!r}: {came}",
            where=self._where(),
            do="check that it is switched on, its cable, and its terminator",
        )

    # Step

    def _look_behind(self, command: str, reply: str) -> None:
        """Refuse a reply that was not the only one: which of them answers cannot be told."""
        surplus = self._drain(self._open_wire())
        if surplus and self._drop(surplus):
            self._doubt()
            raise ReplyError(
                f"asked {command!r}, got {reply!r} and behind it {surplus[:40]!r}: which is the answer is not known",
                where=self._where(),
            )

    def _in_step(self) -> Wire:
        """The wire with nothing on it."""
        wire = self._wire or self._reconnect()
        if self._greeting_due:
            self._greet(wire)
        if self._dirty:
            self._resynchronise(wire)
            return wire
        waiting = self._drain(wire)
        # Half a line waits: its other half would stand before the reply.
        if waiting and self._drop(waiting) and waiting[-1:] not in self._filler.encode():
            self._doubt()
            self._resynchronise(wire)
        return wire

    def _resynchronise(self, wire: Wire) -> None:
        """Make sure that what comes next answers what is asked next: by a fence, or by silence."""
        wire.clear()
        if self._fence is not None and not self._fence_failed:
            self._pass_fence(wire, *self._fence)
        else:
            self._await_silence(wire)
        self._dirty = self._fence_failed = False

    def _pass_fence(self, wire: Wire, command: str, is_reply: Callable[[str], bool]) -> None:
        """Ask what has a reply like no other: what comes before it is older, and is dropped."""
        self._drop(self._drain(wire))
        self._clock.sleep(self._free_at_s - self._clock.now())
        self._send(wire, command.encode("ascii") + self._write_end)
        until_s = self._clock.now() + self.deadline_s
        self._fence_failed = True  # until it has not
        reply = ""
        while not is_reply(reply):
            self.dropped += len(reply)
            if self._clock.now() >= until_s:
                self._babbles()
            with contextlib.suppress(ReplyError):
                reply = self._line(wire, until_s)
        # Two replies to the fence itself: the line is not what it should be.
        if self._drop(self._drain(wire)):
            self._await_silence(wire)

    def _await_silence(self, wire: Wire) -> None:
        """Listen and drop until nothing can be under way any more."""
        clock = self._clock
        limit_s = clock.now() + 2.0 * max(_SILENCE_s, self.deadline_s)
        if self._drop(self._drain(wire)):
            self._quiet_s = max(self._quiet_s, clock.now() + _SILENCE_s)
        while clock.now() < self._quiet_s:
            if clock.now() >= limit_s:
                self._babbles()
            try:
                heard = wire.listen(self._quiet_s)
            except Noisy:
                heard = b"?"
            except Broken as error:
                self._lose(f"cannot receive: {error}", error)
            if not heard:
                return
            self.dropped += len(heard)
            self._quiet_s = max(self._quiet_s, clock.now() + _SILENCE_s)

    def _doubt(self, quiet_s: float = 0.0) -> None:
        """The line is not in step, and will not be before this time."""
        self._dirty = True
        self._quiet_s = max(quiet_s, self._clock.now() + _SILENCE_s)

    def _babbles(self, what: str = "the instrument does not stop talking") -> NoReturn:
        """Nothing can be told apart any more: only a new connection helps, where there is a way to make one."""
        self._doubt()
        if self._reconnection is not None:
            self._lose(what)
        raise ReplyError(what, where=self._where())

    def _drain(self, wire: Wire) -> bytes:
        try:
            waiting = wire.drain()
            if len(waiting) >= LONGEST_SURPLUS:
                self._babbles()
            return waiting
        except Noisy:
            return b"?"
        except Broken as error:
            self._lose(f"the connection is gone: {error}", error)

    def _drop(self, data: bytes) -> int:
        """Count what answers nothing; the ends of lines and flow control do not count."""
        count = len(data.translate(None, self._filler.encode()))
        self.dropped += count
        return count

    def _greet(self, wire: Wire) -> None:
        """Read what the instrument says by itself when somebody connects."""
        until_s = self._clock.now() + self.deadline_s
        try:
            while self._greeting_due:
                if self._line(wire, until_s):
                    self._greeting_due -= 1
        except CommunicationError as error:
            self._lose(f"it did not greet as it does when somebody connects: {error.what}", error)

    # A lost connection

    def _open_wire(self) -> Wire:
        if self._wire is None:
            self._refuse()
        return self._wire

    def _lose(self, why: str, cause: Exception | None = None) -> NoReturn:
        """The connection is gone. Close what is left of it, so that it can be made anew."""
        self._dirty = True
        if self._reconnection is not None:
            self._disconnect(why)
        raise CommunicationError(
            why, where=self._where(), state="" if self._reconnecting else _UNKNOWN, do=self._next_try()
        ) from cause

    def _disconnect(self, why: str) -> None:
        if self._reconnection is not None and self._wire is not None:
            self._wire = None
            with contextlib.suppress(Exception):  # what is broken may break again while it is closed
                self.connection.close()
            self._reconnection.failed(why)

    def _refuse(self) -> NoReturn:
        why = "" if self._reconnection is None else self._reconnection.why
        raise CommunicationError(
            f"the connection is lost: {why}", where=self._where(), state="Nothing was sent", do=self._next_try()
        )

    def _next_try(self) -> str:
        if self._reconnection is None:
            return "open the station again"
        wait_s = max(0.0, self._reconnection.next_s - self._clock.now())
        return f"the next try to connect is in {wait_s:.1f} s" if wait_s else "the next command tries to connect"

    def _reconnect(self) -> Wire:
        """Connect again, if it is time to, and verify what answers before anything else is said to it."""
        again = self._reconnection
        if again is None or self._reconnecting or self._clock.now() < again.next_s:
            self._refuse()
        try:
            resource = again.attempt(self.deadline_s)
        except Exception as error:  # PyVISA-py lets errors of many kinds through: none of them opened anything
            again.failed(f"cannot connect: {error}")
            self._refuse()
        if resource is None:
            again.why = "it is still being connected to"
            self._refuse()
        self.connection = resource
        self._wire = wire_on(resource, self._clock, self._read_end, self._message_bit)
        self._dirty, self._fence_failed, self._mute = False, False, 0
        self._greeting_due = self._greeting_lines
        self._reconnecting = True
        try:
            for verify in self._verifies:
                verify()
        except RemanenceError as error:
            said = "it does not answer" if isinstance(error, DeadlineError) else "what answers is not what it was"
            self._disconnect(f"{said}: {error.what}")
            raise CommunicationError(
                f"connected again, but {said}: {error.what}", where=self._where(), state="Nothing else was sent to it",
                do=self._next_try(),
            ) from error  # fmt: skip
        except BaseException:
            self._disconnect("it could not be verified")
            raise
        finally:
            self._reconnecting = False
        wire = self._open_wire()  # not there if it broke again, and the driver made nothing of it
        again.succeeded()
        self.reconnects += 1
        return wire

    def close(self) -> None:
        """Close the session; closing twice is fine."""
        connection = getattr(self, "connection", None)
        again = getattr(self, "_reconnection", None)
        if again is not None:
            again.give_up()
        if connection is not None:
            connection.close()

    def _where(self) -> str:
        return f"{self.name} ({self.address})"
