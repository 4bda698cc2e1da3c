"""The link: one VISA session, one lock, one total deadline for each query. The only seam to hardware.

The rules of this file: a reply belongs to the query that asked for it, or to nobody. After a time-out or a broken
reply the link is dirty, and before the next command it empties the line until it has been silent. All waiting is on
the injected clock; a reply is bounded in length; a command is never repeated behind the caller's back.
"""

import threading
from typing import Any

from pymeasure.adapters import Adapter
from pyvisa import VisaIOError, constants
from pyvisa.errors import Error as VisaError
from pyvisa.resources import MessageBasedResource

from ..core.clock import Clock
from ..core.errors import CommunicationError, DeadlineError, ReplyError

_LONGEST_REPLY = 1 << 20
_CHUNK = 4096
_TIMEOUT = constants.StatusCode.error_timeout
_MORE = constants.StatusCode.success_max_count_read
# A line counts as empty after this silence: longer than any instrument here pauses inside a reply.
_SILENCE_s = 0.3


class Link(Adapter):
    """A pymeasure adapter over an open PyVISA resource.

    `deadline_s` bounds a whole query however slowly its bytes come. `pause_s` is the shortest time between two
    commands that the instrument can stand (the SMS supplies need 0.2 s). `write_end` and `read_end` are the
    terminators of this instrument on this interface.
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
    ) -> None:
        super().__init__()
        self.connection = resource
        self._visa = resource
        self.name = name
        self.address = str(resource.resource_name)
        self.deadline_s = deadline_s
        self._clock = clock
        self._pause_s = pause_s
        self._write_end = write_end.encode()
        self._read_end = read_end
        self._free_at_s = clock.now()
        self._dirty = False
        self._timeout_s = -1.0
        self._sent_s = clock.now()
        # The middle of the last exchange: the best guess of when the instrument measured what it said.
        self.answered_s = clock.now()
        self.lock = threading.RLock()
        resource.read_termination = read_end
        resource.write_termination = ""
        self._set_timeout(deadline_s)

    def query(self, command: str) -> str:
        """Send a command and give its reply without terminator.

        Raises:
            DeadlineError: no complete reply within the deadline; the link is dirty.
            ReplyError: the reply is too long or not ASCII; the link is dirty.
            CommunicationError: the connection is broken.
        """
        with self.lock:
            self._write(command)
            return self._read()

    def distrust(self) -> None:
        """Say that the last reply was no answer to its query: whatever else is on the line is dropped before the next.

        A line that the instrument sent unasked would otherwise shift every later reply by one.
        """
        self._dirty = True

    def _write(self, command: str, **kwargs: Any) -> None:
        self._write_bytes(command.encode("ascii") + self._write_end)

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        with self.lock:
            if self._dirty:
                self._resynchronise()
            self._clock.sleep(self._free_at_s - self._clock.now())
            self._sent_s = self._clock.now()
            try:
                self._visa.visalib.write(self._visa.session, content)
            except (VisaError, OSError) as error:
                self._dirty = True
                raise CommunicationError(
                    f"cannot send {content!r}: {error}", where=self._where(), state="Whether it arrived is not known"
                ) from error
            if self._pause_s:
                self._free_at_s = self._clock.now() + self._pause_s

    def _read(self, **kwargs: Any) -> str:
        with self.lock:
            data = self._receive(self._clock.now() + self.deadline_s)
            now = self._clock.now()
            self.answered_s = 0.5 * (self._sent_s + now)
            if self._pause_s:
                self._free_at_s = now + self._pause_s
        try:
            return data.decode("ascii").rstrip(self._read_end)
        except UnicodeDecodeError:
            self._dirty = True
            raise ReplyError(f"a reply is not text: {data[:64].hex(' ')}", where=self._where()) from None

    def _receive(self, until_s: float) -> bytes:
        data = b""
        timeout_s = self.deadline_s
        while True:
            chunk, status = self._chunk(timeout_s)
            if status == _TIMEOUT:
                self._dirty = True
                raise self._late(data + chunk)
            data = data + chunk if data else chunk
            if status != _MORE:
                return data
            if len(data) > _LONGEST_REPLY:
                self._dirty = True
                raise ReplyError(f"a reply longer than {_LONGEST_REPLY} bytes has no end", where=self._where())
            timeout_s = until_s - self._clock.now()
            if timeout_s <= 0:
                self._dirty = True
                raise self._late(data)

    def _chunk(self, timeout_s: float) -> tuple[bytes, constants.StatusCode]:
        """What one read gives within `timeout_s`; a time-out is a status, a broken connection an error."""
        try:
            self._set_timeout(timeout_s)
            return self._visa.visalib.read(self._visa.session, _CHUNK)
        except VisaIOError as error:
            if error.error_code == _TIMEOUT:
                return b"", _TIMEOUT
            self._dirty = True
            raise CommunicationError(f"cannot receive: {error}", where=self._where()) from error
        except (VisaError, OSError) as error:
            self._dirty = True
            raise CommunicationError(f"the connection broke: {error}", where=self._where()) from error

    def _late(self, data: bytes) -> DeadlineError:
        got = f"only {bytes(data[:40])!r} came" if data else "nothing came"
        return DeadlineError(
            f"no reply within {self.deadline_s:g} s: {got}",
            where=self._where(),
            do="check that it is switched on, its cable, and its terminator",
        )

    def _resynchronise(self) -> None:
        """Read and drop until the line has been silent: what comes now answers questions nobody asks any more."""
        # Silence as long as the deadline: an instrument that was late once is then late by less than twice that.
        silence_s = max(_SILENCE_s, self.deadline_s)
        until_s = self._clock.now() + 2.0 * silence_s
        while self._clock.now() < until_s:
            if self._chunk(silence_s)[1] == _TIMEOUT:
                self._dirty = False
                return
        raise CommunicationError("the instrument does not stop talking", where=self._where())

    def _set_timeout(self, timeout_s: float) -> None:
        if timeout_s != self._timeout_s:
            self._visa.timeout = max(1, round(timeout_s * 1000))
            self._timeout_s = timeout_s

    def _read_bytes(self, count: int, break_on_termchar: bool = False, **kwargs: Any) -> bytes:
        with self.lock:
            return bytes(self._visa.read_bytes(count, break_on_termchar=break_on_termchar))

    def flush_read_buffer(self) -> None:
        """Drop what was received and not read."""
        with self.lock:
            self._resynchronise()

    def close(self) -> None:
        """Close the session; closing twice is fine."""
        connection = getattr(self, "connection", None)
        if connection is not None:
            connection.close()

    def _where(self) -> str:
        return f"{self.name} ({self.address})"
