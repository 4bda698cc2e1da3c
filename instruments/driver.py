"""What all drivers share: a name, an identity, strict numbers, settings that can be recorded.

A driver is a table of properties over a link plus the verbs of its capability. It never sleeps and never clips, and
converts units here, once.
"""

import math
import re
from typing import TYPE_CHECKING, Any, ClassVar

from pymeasure.instruments import Instrument

from ..core.errors import ReplyError
from .link import Link

# pymeasure types its makers as making a `property`; the attribute declares what it holds: `x: float = measurement(…)`.
control: Any = Instrument.control
measurement: Any = Instrument.measurement

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def strict_float(text: str) -> float:
    """A number that is a whole, finite number: a reply cut in the middle (`1.0E`) is an error, not a value.

    Raises:
        ReplyError: the text is anything else, `+9.9E37` and `NAN` (the instruments' words for no value) included.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text) is None:
        raise ReplyError(f"{text!r} is not a number")
    value = float(text)
    if not math.isfinite(value) or abs(value) >= 9.9e36:
        raise ReplyError(f"{text!r} is an instrument's word for no value")
    return value


class Driver(Instrument):
    """A pymeasure instrument over a `Link`.

    Subclasses say how their interface ends lines and how long it needs: `write_end`, `read_end`, `pause_s`,
    `deadline_s`. `settings_table` names the properties that `settings()` reads at the start of a run.
    """

    model: ClassVar[str] = ""
    write_end: ClassVar[str] = "\n"
    read_end: ClassVar[str] = "\n"
    pause_s: ClassVar[float] = 0.0
    deadline_s: ClassVar[float] = 2.0
    settings_table: ClassVar[tuple[str, ...]] = ()

    def __init__(self, link: Link, name: str = "", **kwargs: Any) -> None:
        super().__init__(link, name or self.model, includeSCPI=False, **kwargs)
        self.link = link

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

    def values(self, command: str, *args: Any, **kwargs: Any) -> Any:
        """Read for pymeasure's properties; after a reply that is no answer the link is not trusted as it is.

        Raises:
            ReplyError: the reply is not what the property reads.
        """
        try:
            return super().values(command, *args, **kwargs)
        except ReplyError:
            self.link.distrust()
            raise

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
        if self.model.upper() not in identity.upper().replace(" ", ""):
            raise ReplyError(
                f"at this address answers {identity!r}, not a {self.model}",
                where=f"{self.name} ({self.link.address})",
                do="check the resource in station.toml",
            )
        return identity

    def settings(self) -> dict[str, Any]:
        """Every setting in the driver's table, read now."""
        return {name: getattr(self, name) for name in self.settings_table}

    def make_safe(self) -> None:
        """Bring the instrument to a state in which it may be left alone; by default it already is."""
