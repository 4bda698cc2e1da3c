"""The letter language of Oxford Instruments' older supplies and controllers: IPS120-10, PS120-10 and ITC503.

Wire facts: the ITC503 manual's command list, the legacy commands in the Mercury manuals, and the drivers of pymeasure,
QCoDeS contrib, Lab::Measurement and KAME. CR ends commands and replies; an order is answered by its bare letter, or by
`?` and the order when it is refused. A reading does not say which one it is, so whatever is decided by readings ends
with the status `X`: a surplus reply on the line then stands where the status should, and is an error. Nor does a number
say where it ends: one with fewer digits than usual is asked for again.
"""

import contextlib
import math
import re
from collections.abc import Callable
from typing import Any, ClassVar

from ..core.errors import CommunicationError, ConfigError, DeviceFault, ReplyError
from .driver import Driver, strict_float
from .link import Link

# The digit behind `C`; above these a supply runs its magnet down by itself.
LOCAL_LOCKED, REMOTE_LOCKED, LOCAL, REMOTE = range(4)
# A leading R is doubled at times (Lab::Measurement).
_READING = re.compile(r"R{1,2}(?P<number>[+-]?[0-9]+(?:\.[0-9]+)?)")


class LetterDriver(Driver):
    """An instrument that speaks in letters. `isobus` is its address where several share one serial line.

    `resolution` is what `Q` is told when the link opens: 4 gives numbers with all their digits, where there is more.
    Several drivers may share one link: each addresses its own instrument.
    """

    write_end: ClassVar[str] = "\r"
    read_end: ClassVar[str] = "\r"
    # Short, because the line must be silent this long after a lost reply before a magnet can be told to hold.
    deadline_s: ClassVar[float] = 1.0
    resolution: ClassVar[int] = 0

    def __init__(self, link: Link, name: str = "", *, isobus: int | None = None, **kwargs: Any) -> None:
        # The base wants to know at once how this instrument is told from others on its line.
        self._prefix = "" if isobus is None else f"@{isobus}"
        super().__init__(link, name, **kwargs)
        if isobus is not None and (type(isobus) is not int or not 0 <= isobus <= 9):
            raise ConfigError(f"isobus {isobus!r} is no address: it is 0 to 9", where=self.name)
        self._opened = False
        # How many digits each variable had when it was last read.
        self._shown: dict[int, float] = {}

    def identity(self) -> str:
        """Get model and version; there is no serial number."""
        return self.say("V").strip()

    def check_identity(self) -> str:
        """Get the identity of this model, with the reply format that the driver reads, and take the control.

        A front panel that somebody has taken to local meanwhile, after a first opening, is left to them.

        Raises:
            ReplyError: something else answers at this address.
        """
        with self.link.lock:
            # Not answered, whatever is said; another program may have left the other terminator in force.
            self.write(f"{self._prefix}Q{self.resolution}")
            identity = self.identity()
            if not identity.startswith(self.model):
                raise ReplyError(
                    f"at this address answers {identity!r}, not a {self.model}", where=self.where(),
                    do="check the resource in station.toml",
                )  # fmt: skip
            control = self.read_control()
            if control == LOCAL_LOCKED or (control == LOCAL and not self._opened):
                self.order(f"C{REMOTE}")
            self._opened = True
        return identity

    def read_control(self) -> int:
        """Get the digit behind `C` in the status: who has the control."""
        raise NotImplementedError

    def why_refused(self, command: str) -> str:
        """One sentence on the state in which `command` was refused; empty when the status does not explain it."""
        return "" if self.read_control() in (REMOTE_LOCKED, REMOTE) else "It is in local: its front has the control"

    def _fence(self) -> tuple[str, Callable[[str], bool]]:
        """The version: a reply like no other, by which a link gets into step."""
        return f"{self._prefix}V", lambda reply: reply.startswith(self.model)

    def say(self, command: str) -> str:
        """Query this instrument, by its address if it has one.

        Raises:
            DeviceFault: it answers `?`; the message says why, as far as the instrument tells.
        """
        reply = self.ask(self._prefix + command)
        if not reply.startswith("?"):
            return reply
        state = ""
        if command not in ("X", "V"):
            # A refusal is the news, also when what explains it does not come.
            with contextlib.suppress(CommunicationError, DeviceFault):
                state = self.why_refused(command)
        raise DeviceFault(f"refused {command!r}", where=self.where(), state=state, do="look at the instrument's front")

    def order(self, command: str) -> None:
        """Send an order whose answer must be its letter.

        Raises:
            DeviceFault: it was refused.
            ReplyError: the answer is anything else.
        """
        reply = self.say(command)
        # Some instruments may answer a small letter with a capital: no reply known to us shows which.
        if reply not in (command[0], command[0].upper()):
            raise self.reply_error(command, reply)

    def reading(self, number: int) -> str:
        """Read variable `number` as the instrument words it, without the leading R.

        A number that came short, and each at its first time, is asked for twice: a line that lost some digits seldom
        loses them again, and an instrument that has changed its format says so twice.
        """
        text = self._reading_text(number)
        if self.width(text) < self._shown.get(number, math.inf):
            text = max(self._reading_text(number), text, key=self.width)
            self._shown[number] = self.width(text)
        return text

    def width(self, text: str) -> int:
        """What stays the same in the numbers of this instrument while no digit is lost: how many follow the point."""
        return decimals(text)

    def _reading_text(self, number: int) -> str:
        reply = self.say(f"R{number}")
        match = _READING.fullmatch(reply)
        if match is None:
            raise self.reply_error(f"R{number}", reply)
        return match["number"]

    def read_float(self, number: int) -> float:
        """Read variable `number`, as it stands on the wire."""
        text = self.reading(number)
        try:
            return strict_float(text)
        except ReplyError as error:
            raise self.reply_error(f"R{number}", text) from error

    def where(self) -> str:
        """The name and the address, for messages."""
        return f"{self.name} ({self.link.address})"


def decimals(text: str) -> int:
    """How many digits stand behind the point of a number."""
    return len(text.partition(".")[2])
