"""A line: one open connection, and how far what comes on it can be trusted.

A reply belongs to the query that asked for it, or to nobody. What waits before a command is sent, or behind its reply,
answers nothing: it is dropped and counted. After a time-out or a doubtful reply the line is dirty and gets into step
again before it gives another value: by a fence, a query with a reply like no other, or by silence.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from ..core.clock import Clock
from ..core.errors import DeadlineError, ReplyError
from .wire import LONGEST_REPLY, LONGEST_SURPLUS, Broken, Endless, Noisy, Silent, Wire

# A line counts as empty after this silence: longer than any instrument here pauses inside a reply.
_SILENCE_s = 0.3
# Flow control and the ends of lines say nothing: they may stand before and behind a reply.
_FILLER = "\r\n\x11\x13"
# After so many time-outs in which not one byte came the connection counts as lost: half-open, or nobody is there.
_MUTE = 2

Fence = tuple[str, Callable[[str], bool]]


class Lost(Exception):  # noqa: N818  reads as the state it names
    """The connection is gone, and `why`; `state` is what is known of the last command."""

    def __init__(self, why: str, state: str = "Whether the last command was done is not known") -> None:
        super().__init__(why)
        self.why = why
        self.state = state


@dataclass
class Manners:
    """How an instrument is spoken to: see `Link` and its `adopt`. `where` names it in errors.

    `renewable` lines may be given up: a new connection can be made.
    """

    where: str
    write_end: bytes
    read_end: str
    deadline_s: float
    pause_s: float
    renewable: bool
    fence: Fence | None = None
    greeting_lines: int = 0
    message_bit: int = 0x10


class Line:
    """One connection. `dropped` counts the bytes that answered nothing, `sent_s` is when the last command went out.

    Every call may raise `Lost`.
    """

    def __init__(self, wire: Wire, clock: Clock, manners: Manners) -> None:
        self.wire = wire
        self.dropped = 0
        self.sent_s = self._free_at_s = self._quiet_s = clock.now()
        self._clock = clock
        self._manners = manners
        self._filler = _FILLER + manners.read_end
        self._filler_bytes = self._filler.encode()
        self._end = manners.read_end[-1:].encode()
        self._sent = b""
        self._dirty = self._fence_failed = False
        self._greeting_due = manners.greeting_lines
        self._mute = 0

    def send(self, content: bytes) -> None:
        """Get into step, and send a command after the pause that the instrument needs.

        Raises:
            CommunicationError: it is not in step; nothing was sent.
        """
        self._get_in_step()
        self._send(content)

    def reply(self, until_s: float) -> str:
        """Receive one reply, without what stands around it.

        Raises:
            DeadlineError: it is not whole in time.
            ReplyError: it is none.
        """
        try:
            data = self.wire.line(until_s)
            self._mute = 0
            if self._manners.pause_s:
                self._free_at_s = self._clock.now() + self._manners.pause_s
            if data[-1:] != self._end:
                self.doubt()
                raise ReplyError(
                    f"a reply does not end in {self._manners.read_end!r}: {data[-40:]!r}", where=self._manners.where,
                    do="set the terminator at the instrument",
                )  # fmt: skip
            return data.decode("ascii").strip(self._filler)
        except Silent as error:
            self._late(error.got)
        except UnicodeDecodeError as error:
            self.doubt()
            shown = error.object[:64].hex(" ")
            raise ReplyError(f"a reply is not text: {shown}", where=self._manners.where) from None
        except Endless:
            self._babbles(f"a reply longer than {LONGEST_REPLY} bytes has no end")
        except Noisy as error:
            self.doubt()
            raise ReplyError(f"a damaged byte came: {error}", where=self._manners.where) from error
        except Broken as error:
            raise Lost(f"cannot receive: {error}") from error

    def exactly(self, count: int, until_s: float) -> bytes:
        """Receive so many bytes; a negative count is a whole line of them.

        Raises:
            DeadlineError: they did not all come in time.
        """
        try:
            data = self.wire.exactly(count, until_s) if count >= 0 else self.wire.line(until_s)
            self._mute = 0
            return data
        except Silent as error:
            self._late(error.got)
        except Endless:
            self._babbles(f"a reply longer than {LONGEST_REPLY} bytes has no end")
        except Noisy as error:
            self.doubt()
            raise ReplyError(f"a damaged byte came: {error}", where=self._manners.where) from error
        except Broken as error:
            raise Lost(f"cannot receive: {error}") from error

    def look_behind(self, command: str, reply: str) -> None:
        """Refuse a reply that was not the only one.

        Raises:
            ReplyError: which of them answers cannot be told.
        """
        surplus = self._drain()
        if surplus and self._drop(surplus):
            self.doubt()
            raise ReplyError(
                f"asked {command!r}, got {reply!r} and behind it {surplus[:40]!r}: which is the answer is not known",
                where=self._manners.where,
            )

    def doubt(self, quiet_s: float = 0.0) -> None:
        """Say that the line is not in step: something may still come until this time."""
        self._dirty = True
        self._quiet_s = max(quiet_s, self._clock.now() + _SILENCE_s)

    def empty(self) -> None:
        """Drop what waits."""
        self._drop(self._drain())

    def greeted_by(self, lines: int) -> None:
        """Expect so many lines before anything else."""
        self._greeting_due = lines

    # Step

    def _get_in_step(self) -> None:
        if self._greeting_due:
            self._greet()
        if self._dirty:
            self._resynchronise()
            return
        waiting = self._drain()
        # Half a line waits: its other half would stand before the reply.
        if waiting and self._drop(waiting) and waiting[-1:] not in self._filler_bytes:
            self.doubt()
            self._resynchronise()

    def _resynchronise(self) -> None:
        """Make sure that what comes next answers what is asked next."""
        self.wire.clear()
        if self._manners.fence is None:
            self._await_silence()
        else:
            self._pass_fence(*self._manners.fence)
        self._dirty = False

    def _pass_fence(self, command: str, is_reply: Callable[[str], bool]) -> None:
        """Ask what has a reply like no other: what comes before it is older, and is dropped."""
        self.empty()
        self._send(command.encode("ascii") + self._manners.write_end)
        until_s = self._clock.now() + self._manners.deadline_s
        failed, self._fence_failed = self._fence_failed, True  # until it has not
        reply = ""
        while not is_reply(reply):
            self.dropped += len(reply)
            if self._clock.now() >= until_s:
                self._babbles()
            with contextlib.suppress(ReplyError):
                reply = self.reply(until_s)
        # More than one reply to it, or an earlier fence that may still be answered: then silence must confirm it.
        if self._drop(self._drain()) or failed:
            self._quiet_s = self._clock.now() + _SILENCE_s
            self._await_silence()
        self._fence_failed = False

    def _await_silence(self) -> None:
        """Listen and drop until nothing can be under way any more."""
        clock = self._clock
        limit_s = clock.now() + 2.0 * max(_SILENCE_s, self._manners.deadline_s)
        if self._drop(self._drain()):
            self._quiet_s = max(self._quiet_s, clock.now() + _SILENCE_s)
        while clock.now() < self._quiet_s:
            if clock.now() >= limit_s:
                self._babbles()
            try:
                heard = self.wire.listen(self._quiet_s)
            except Noisy:
                heard = b"?"
            except Broken as error:
                raise Lost(f"cannot receive: {error}") from error
            if not heard:
                return
            self.dropped += len(heard)
            self._quiet_s = max(self._quiet_s, clock.now() + _SILENCE_s)

    def _greet(self) -> None:
        """Read what the instrument says by itself when somebody connects."""
        until_s = self._clock.now() + self._manners.deadline_s
        try:
            while self._greeting_due:
                if self.reply(until_s):
                    self._greeting_due -= 1
        except (DeadlineError, ReplyError) as error:
            why = f"it did not greet as it does when somebody connects: {error.what}"
            raise Lost(why, "Nothing was sent") from error

    # What goes out and comes in

    def _send(self, content: bytes) -> None:
        now_s = self._clock.now()
        if self._free_at_s > now_s:
            self._clock.sleep(self._free_at_s - now_s)
            now_s = self._clock.now()
        self.sent_s, self._sent = now_s, content
        try:
            self.wire.send(content, now_s + self._manners.deadline_s)
        except Broken as error:
            raise Lost(f"cannot send {content!r}: {error}", "Whether it arrived is not known") from error
        if self._manners.pause_s:
            self._free_at_s = self._clock.now() + self._manners.pause_s

    def _drain(self) -> bytes:
        try:
            waiting = self.wire.drain()
            if len(waiting) >= LONGEST_SURPLUS:
                self._babbles()
            return waiting
        except Noisy:
            return b"?"
        except Broken as error:
            raise Lost(f"the connection is gone: {error}") from error

    def _drop(self, data: bytes) -> int:
        """Count what answers nothing; the ends of lines and flow control do not count."""
        count = len(data.translate(None, self._filler_bytes))
        self.dropped += count
        return count

    def _late(self, got: bytes) -> NoReturn:
        """A deadline passed. What was asked may yet be answered: late by less than a second deadline, we trust."""
        deadline_s = self._manners.deadline_s
        self.doubt(self.sent_s + 2.0 * deadline_s)
        self._mute = 0 if got else self._mute + 1
        self.dropped += len(got)
        if self._mute >= _MUTE and self._manners.renewable:
            raise Lost(f"it was silent for {_MUTE} deadlines of {deadline_s:g} s")
        came = f"only {got[:40]!r} came, which does not end in {self._manners.read_end!r}" if got else "nothing came"
        raise DeadlineError(
            f"no reply within {deadline_s:g} s to {self._sent[:40].decode('latin-1').strip()!r}: {came}",
            where=self._manners.where,
            do="check that it is switched on, its cable, and its terminator",
        )

    def _babbles(self, what: str = "the instrument does not stop talking") -> NoReturn:
        """Nothing can be told apart any more: only a new connection helps, where there is a way to make one."""
        self.doubt()
        if self._manners.renewable:
            raise Lost(what)
        raise ReplyError(what, where=self._manners.where)
