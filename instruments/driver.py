"""What all drivers share: a name, an identity, strict numbers, settings that can be recorded.

A driver is a table of properties over a link plus the verbs of its capability. It never sleeps and never clips, and
converts units here, once.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from pymeasure.instruments import Instrument

from ..core.errors import DeadlineError, DeviceFault, ReplyError
from .link import Link
from .strict import control, measurement, reading, strict_cast, strict_float, strict_int

# A setting that an instrument tells as numbers with commas between them, and a driver passes on as it is.
CODES = r"[+-]?\d[\d.]*(?:,[+-]?\d[\d.]*)*"

__all__ = ["CODES", "Driver", "control", "measurement", "reading", "strict_float", "strict_int"]


class Driver(Instrument):
    """A pymeasure instrument over a `Link`.

    Subclasses say how their interface ends lines and how long it needs: `write_end`, `read_end`, `pause_s`,
    `deadline_s`. `settings_table` names the properties that `settings()` reads at the start of a run.

    `greeting_lines` come unasked at each connection. `fence` is a query with a reply like no other and the start of
    that reply, by which a link gets into step after a time-out; an instrument that answers `*IDN?` has it as fence.
    `message_bit` of the status byte says that a reply waits (IEEE 488 and USB): 16 in IEEE 488.2, 0 if none does.
    `twin` is its simulated front panel, where that is not of the same name.
    """

    model: ClassVar[str] = ""
    write_end: ClassVar[str] = "\n"
    read_end: ClassVar[str] = "\n"
    pause_s: ClassVar[float] = 0.0
    deadline_s: ClassVar[float] = 2.0
    greeting_lines: ClassVar[int] = 0
    fence: ClassVar[tuple[str, str] | None] = None
    message_bit: ClassVar[int] = 0x10
    settings_table: ClassVar[tuple[str, ...]] = ()

    def __init__(self, link: Link, name: str = "", **kwargs: Any) -> None:
        super().__init__(link, name or self.model, includeSCPI=False, **kwargs)
        self.link = link
        # The last command that a property of the table asked, and its reply.
        self.asked = ("", "")
        self._known: tuple[str, str] | None = None
        link.adopt(
            verify=self.verify,
            fence=self._fence(),
            greeting_lines=self.greeting_lines,
            message_bit=self.message_bit,
        )

    # pymeasure looks each attribute up in Python, for the sake of "dynamic" properties that no driver here has; in a
    # simulated sweep that would cost more than the physics.
    if not TYPE_CHECKING:
        __getattribute__ = object.__getattribute__

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Query under the link's lock and deadline; pymeasure's properties read through this."""
        return self.link.query(command)

    def ask_float(self, command: str) -> float:
        """Query one strict number.

        Raises:
            ReplyError: the reply is not one finite number; the message shows command and reply.
        """
        reply = self.ask(command)
        try:
            return strict_float(reply)
        except ReplyError as error:
            raise self.reply_error(command, reply) from error

    def ask_text(self, command: str, pattern: str = ".+") -> str:
        """Query a text that matches `pattern` as a whole: what has codes and no number is not empty, and has them.

        Raises:
            ReplyError: the reply is another.
        """
        reply = self.ask(command)
        text = reply.strip()
        if re.fullmatch(pattern, text) is None:
            raise self.reply_error(command, reply)
        return text

    def values(
        self,
        command: str,
        separator: str = ",",
        cast: Any = float,
        preprocess_reply: Callable[[str], str] | None = None,
        maxsplit: int = -1,
        **kwargs: Any,
    ) -> list[Any]:
        """Read for pymeasure's properties, strictly: what cannot be cast is an error, not a text.

        Raises:
            ReplyError: the reply is not what the property reads; the link is not trusted as it is.
        """
        reply = self.ask(command)
        self.asked = (command, reply)
        strict = strict_cast(cast)
        try:
            text = reply.strip()
            if preprocess_reply is not None:
                text = preprocess_reply(text)
            if maxsplit == 0:
                return [strict(text)]
            return [strict(part) for part in text.split(separator, maxsplit)]
        except (ValueError, LookupError, TypeError) as error:  # a ReplyError is the first of these
            raise self.reply_error(command, reply) from error

    def reply_error(self, command: str, reply: str) -> ReplyError:
        """The error that shows what was asked and what came; the link is not trusted as it is."""
        self.link.distrust()
        return ReplyError(f"asked {command!r}, got {reply!r}", where=f"{self.name} ({self.link.address})")

    def identity(self) -> str:
        """Get what the instrument says it is."""
        return self.ask("*IDN?")

    def check_identity(self) -> str:
        """Get the identity, and refuse an instrument that is not this model.

        Raises:
            ReplyError: something else answers at this address.
        """
        identity = self.identity()
        if not self._is_identity(identity):
            raise ReplyError(
                f"at this address answers {identity!r}, not a {self.model}",
                where=f"{self.name} ({self.link.address})",
                do="check the resource in station.toml",
            )
        return identity

    def serial_number(self) -> str:
        """Get the serial number, the third field of `*IDN?`; empty where the instrument has none to tell."""
        fields = self.identity().split(",")
        return fields[2].strip() if len(fields) > 2 else ""

    def verify(self) -> str:
        """Get the identity after checking it; from the second time on it must be the very same instrument's.

        It runs when a station is opened, and by the link after each reconnection, before anything else is sent.

        Raises:
            ReplyError: another instrument answers than before, or one that is not this model.
        """
        known = (self.check_identity(), self.serial_number())
        if self._known is not None and known != self._known:
            raise ReplyError(
                f"here answers {known[0]!r}, serial number {known[1]!r}; it was {self._known[0]!r}, {self._known[1]!r}",
                where=f"{self.name} ({self.link.address})",
                state="Nothing was set",
                do="look which instrument is at this address; open the station anew if it is meant to be there",
            )
        self._known = known
        return known[0]

    def _fence(self) -> tuple[str, Callable[[str], bool]] | None:
        if self.fence is not None:
            command, start = self.fence
            return command, lambda reply: reply.startswith(start)
        if type(self).identity is Driver.identity and self.model:
            return "*IDN?", self._is_identity
        return None

    def _is_identity(self, reply: str) -> bool:
        return self.model.upper() in reply.upper().replace(" ", "")

    def settings(self) -> dict[str, Any]:
        """Every setting in the driver's table, read now. One that cannot be read is told as `unreadable: …`.

        Raises:
            CommunicationError: the connection is broken, or two settings in a row were not answered at all.
        """
        read: dict[str, Any] = {}
        unanswered = 0
        for name in self.settings_table:
            try:
                read[name] = getattr(self, name)
                unanswered = 0
            except (ReplyError, DeviceFault) as error:
                read[name] = f"unreadable: {error.what}"
            except DeadlineError as error:
                unanswered += 1
                if unanswered > 1:
                    raise
                read[name] = f"unreadable: {error.what}"
        return read

    def make_safe(self) -> None:
        """Bring the instrument to a state in which it may be left alone; by default it already is."""
