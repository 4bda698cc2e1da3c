"""The link: one VISA session, one lock, one total deadline for each query. The only seam to hardware.

The rules of this file: one thread at a time speaks. A broken connection is made again, and what answers there is
verified before anything else is said to it. A command is never repeated: whoever asked for it must find out what became
of it. All waiting is on the injected clock.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from pymeasure.adapters import Adapter
from pyvisa.resources import MessageBasedResource

from ..core.clock import Clock
from ..core.errors import CommunicationError, DeadlineError, RemanenceError
from .line import Fence, Line, Lost, Manners
from .reconnect import Reconnection
from .wire_visa import wire_on

AnswerT = TypeVar("AnswerT")


class Link(Adapter):
    """A pymeasure adapter over an open PyVISA resource.

    `deadline_s` bounds a whole query however slowly its bytes come. `pause_s` is the shortest time between two
    commands that the instrument can stand (the SMS supplies need 0.2 s). `write_end` and `read_end` are the
    terminators of this instrument on this interface. With `open_resource` a lost connection is made again. `address` is
    the instrument's own, where the resource is a relay's.

    `reconnects` counts how often it was.
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
        address: str = "",
    ) -> None:
        super().__init__()
        self.connection: Any = resource
        self.name = name
        self.address = address or str(resource.resource_name)
        self.deadline_s = deadline_s
        self.reconnects = 0
        self.lock = threading.RLock()
        # The middle of the last exchange: the best guess of when the instrument measured what it said.
        self.answered_s = clock.now()
        self._clock = clock
        self._write_end = write_end.encode()
        self._manners = Manners(
            f"{name} ({self.address})", self._write_end, read_end, deadline_s, pause_s, open_resource is not None
        )
        self._verifies: list[Callable[[], object]] = []
        self._line: Line | None = self._begin(resource)
        self._dropped_before = 0
        self._reconnection = None if open_resource is None else Reconnection(open_resource, clock)
        self._reconnecting = False

    def adopt(
        self,
        *,
        verify: Callable[[], object],
        fence: Fence | None = None,
        greeting_lines: int = 0,
        message_bit: int = 0x10,
    ) -> None:
        """Take from a driver what it knows of its instrument. Several drivers may share a link: each verifies its own.

        `verify` finds out, after a reconnection, whether the same instrument answers; it raises if not. `fence` is a
        query and a test of its reply: whatever comes before that reply is older. `greeting_lines` come unasked at each
        connection. `message_bit` of the status byte tells that a reply waits (IEEE 488 and USB); 0 if none does.
        """
        manners = self._manners
        self._verifies.append(verify)
        manners.fence = fence
        if message_bit != manners.message_bit:
            manners.message_bit = message_bit
            self._line = self._begin(self.connection)
        if greeting_lines > manners.greeting_lines:
            manners.greeting_lines = greeting_lines
            self._open_line().greeted_by(greeting_lines)

    @property
    def dropped(self) -> int:
        """How many bytes came that answered nothing."""
        return self._dropped_before + (0 if self._line is None else self._line.dropped)

    def query(self, command: str, *, more: bool = False) -> str:
        """Send a command and give its reply without terminator; `more` lines may follow, which the caller reads.

        Raises:
            DeadlineError: no complete reply within the deadline; the link is dirty.
            ReplyError: the reply is too long, not ASCII, or not the only one; the link is dirty.
            CommunicationError: the connection is broken.
        """
        with self.lock:
            line = self._line or self._reconnect()
            try:
                line.send(command.encode("ascii") + self._write_end)
                reply = line.reply(self._clock.now() + self.deadline_s)
                self.answered_s = 0.5 * (line.sent_s + self._clock.now())
                if not more:
                    line.look_behind(command, reply)
                return reply
            except Lost as error:
                self._lose(error)

    def exchange(self, content: bytes, receive: Callable[[Callable[[int], bytes]], AnswerT]) -> AnswerT:
        """Send bytes and let `receive` read the answer, so many bytes at a time, all within one deadline.

        For protocols whose messages carry their own length.

        Raises:
            DeadlineError: the answer is not whole within the deadline; the link is dirty.
            CommunicationError: the connection is broken.
        """
        with self.lock:
            line = self._line or self._reconnect()
            try:
                line.send(content)
                until_s = line.sent_s + self.deadline_s
                answer = receive(lambda count: line.exactly(count, until_s))
                self.answered_s = 0.5 * (line.sent_s + self._clock.now())
                return answer
            except Lost as error:
                self._lose(error)

    def distrust(self) -> None:
        """Say that the last reply was no answer to its query: whatever else is on the line is dropped before the next.

        A line that the instrument sent unasked would otherwise shift every later reply by one.
        """
        if self._line is not None:
            # The true reply may still come, within the deadline of its query.
            self._line.doubt(self._line.sent_s + self.deadline_s)

    # What pymeasure's adapters have

    def _write(self, command: str, **kwargs: Any) -> None:
        self._write_bytes(command.encode("ascii") + self._write_end)

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        with self.lock:
            line = self._line or self._reconnect()
            try:
                line.send(content)
            except Lost as error:
                self._lose(error)

    def _read(self, **kwargs: Any) -> str:
        with self.lock:
            line = self._open_line()
            try:
                reply = line.reply(self._clock.now() + self.deadline_s)
            except Lost as error:
                self._lose(error)
            self.answered_s = 0.5 * (line.sent_s + self._clock.now())
            return reply

    def _read_bytes(self, count: int, break_on_termchar: bool = False, **kwargs: Any) -> bytes:
        with self.lock:
            try:
                return self._open_line().exactly(count, self._clock.now() + self.deadline_s)
            except Lost as error:
                self._lose(error)

    def flush_read_buffer(self) -> None:
        """Drop what was received and not read."""
        with self.lock:
            try:
                self._open_line().empty()
            except Lost as error:
                self._lose(error)

    def close(self) -> None:
        """Close the session for good; closing twice is fine."""
        connection = getattr(self, "connection", None)
        again = getattr(self, "_reconnection", None)
        if again is not None:
            again.give_up()
            self._reconnection, self._manners.renewable = None, False
        if connection is not None:
            connection.close()

    # A lost connection

    def _begin(self, resource: Any) -> Line:
        wire = wire_on(resource, self._clock, self._manners.read_end, self._manners.message_bit)
        return Line(wire, self._clock, self._manners)

    def _open_line(self) -> Line:
        if self._line is None:
            self._refuse()
        return self._line

    def _lose(self, lost: Lost) -> NoReturn:
        """The connection is gone. Close what is left of it, so that it can be made anew."""
        if self._line is not None:
            self._line.doubt()
        self._disconnect(lost.why)
        raise CommunicationError(
            lost.why, where=self._manners.where, state="" if self._reconnecting else lost.state, do=self._next_try()
        ) from lost

    def _disconnect(self, why: str) -> None:
        if self._reconnection is not None and self._line is not None:
            self._dropped_before += self._line.dropped
            self._line = None
            with contextlib.suppress(Exception):  # what is broken may break again while it is closed
                self.connection.close()
            self._reconnection.failed(why)

    def _refuse(self) -> NoReturn:
        why = "" if self._reconnection is None else self._reconnection.why
        raise CommunicationError(
            f"the connection is lost: {why}", where=self._manners.where, state="Nothing was sent", do=self._next_try()
        )

    def _next_try(self) -> str:
        if self._reconnection is None:
            return "open the station again"
        wait_s = max(0.0, self._reconnection.next_s - self._clock.now())
        return f"the next try to connect is in {wait_s:.1f} s" if wait_s else "the next command tries to connect"

    def _reconnect(self) -> Line:
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
        self._line = self._begin(resource)
        self._reconnecting = True
        try:
            for verify in self._verifies:
                verify()
        except RemanenceError as error:
            said = "it does not answer" if isinstance(error, DeadlineError) else "what answers is not what it was"
            self._disconnect(f"{said}: {error.what}")
            raise CommunicationError(
                f"connected again, but {said}: {error.what}", where=self._manners.where,
                state="Nothing else was sent to it", do=self._next_try(),
            ) from error  # fmt: skip
        except BaseException:
            self._disconnect("it could not be verified")
            raise
        finally:
            self._reconnecting = False
        line = self._open_line()  # not there if it broke again, and the driver made nothing of it
        again.succeeded()
        self.reconnects += 1
        return line
