"""The letter language of Oxford Instruments' older panels: IPS120-10, PS120-10 and ITC503.

Wire facts: the ITC503 manual's command list, the `legacy commands` of the Mercury manuals, pymeasure, QCoDeS contrib,
Lab::Measurement and KAME. CR ends commands and replies, `Q2` and `Q6` add a LF to the latter. A command is a letter and
a number; its reply is the letter, or `?` and the command when it is refused. `$` before a command suppresses its reply,
`@n` addresses unit n of an ISOBUS. Only `C Q U V W X` and readings work in local, and `!` after a `U`.
"""

from collections.abc import Callable
from typing import ClassVar

from ..core.errors import ConfigError
from .front_panel import FrontPanel
from .numerals import finite
from .world import World

_LOCAL_LOCKED, _REMOTE_LOCKED, _LOCAL, _REMOTE = range(4)
_LINE_FEED_BIT, _EXTENDED_BIT = 2, 4
# Of the serial poll; the transport knows of bit 4, a message is waiting.
_BYTE_BIT = 2


class OxfordPanel(FrontPanel):
    """One unit with the address `isobus`. A subclass fills `_queries` and `_orders`, by letter."""

    ends: ClassVar[bytes] = b"\r\n"
    reply_end: ClassVar[bytes] = b"\r"
    latency_s: ClassVar[float] = 0.03
    version: ClassVar[str] = ""
    formats: ClassVar[tuple[int, ...]] = (0, 2, 4, 6)

    def __init__(self, world: World, name: str, wiring: str = "", *, isobus: int = 1) -> None:
        super().__init__(world, name, wiring)
        self._isobus = isobus
        self._control = _LOCAL_LOCKED
        self._format = self._key = 0
        # Each takes what follows its letter. A query gives what follows it in the reply; an order says if it is done.
        self._queries: dict[str, Callable[[str], str | None]] = {
            "R": self._read, "X": lambda rest: None if rest else self._status(),
        }  # fmt: skip
        self._orders: dict[str, Callable[[float], bool]] = {}
        self._always: dict[str, Callable[[float], bool]] = {
            "C": self._set_control, "Q": self._set_format, "U": self._set_key, "W": lambda value: value >= 0,
            "!": self._set_address,
        }  # fmt: skip

    @property
    def remote(self) -> bool:
        """True when the computer, and not the person at the front, has the control."""
        return self._control in (_REMOTE_LOCKED, _REMOTE)

    @property
    def extended(self) -> bool:
        """True when numbers come with all their digits (`Q4`, `Q6`)."""
        return bool(self._format & _EXTENDED_BIT)

    def receive(self, line: bytes) -> bytes:
        """One command; what comes back, with a LF after the CR when `Q` said so."""
        reply = super().receive(line)
        return reply + b"\n" if reply and self._format & _LINE_FEED_BIT else reply

    def execute(self, command: str) -> str | None:
        """One command; None for another unit, after `$`, and for `Q`."""
        text, quiet, mine = self._prefix(command)
        if not text or not mine:
            return None
        reply = self._obey(text)
        return None if quiet or (text[0] == "Q" and reply != f"?{text}") else reply

    def status_byte(self) -> int:
        """Bit 1: a byte is waiting."""
        now_s = self.world.clock.now()
        waiting = any(wire.outgoing and wire.outgoing[0][0] <= now_s for wire in self.conversations)
        return _BYTE_BIT if waiting else 0

    def _prefix(self, command: str) -> tuple[str, bool, bool]:
        """The command behind its prefixes, whether it wants no reply, and whether it is for this unit."""
        quiet, mine = False, True
        while command and command[0] in "$@&":
            if command[0] == "@":
                mine = command[1:2] == str(self._isobus)
                command = command[2:]
            else:
                quiet = quiet or command[0] == "$"
                command = command[1:]
        return command.strip(), quiet, mine

    def _obey(self, text: str) -> str:
        letter, rest = text[0], text[1:].strip()
        if text == "V":
            return self.version.format(firmware=self.firmware)
        if (query := self._queries.get(letter)) is not None:
            answer = query(rest)
            return f"?{text}" if answer is None else letter + answer
        order = self._always.get(letter) or (self._orders.get(letter) if self.remote else None)
        value = finite(rest) if rest else 0.0
        return letter if order is not None and value is not None and order(value) else f"?{text}"

    # What a subclass adds

    def _read(self, rest: str) -> str | None:
        """The variable of this number as `R` gives it, or None if there is none."""
        raise NotImplementedError

    def _status(self) -> str:
        """What follows the X."""
        raise NotImplementedError

    # Orders that are done even in local

    def _set_control(self, value: float) -> bool:
        if value not in (_LOCAL_LOCKED, _REMOTE_LOCKED, _LOCAL, _REMOTE):
            return False
        self._control = int(value)
        return True

    def _set_format(self, value: float) -> bool:
        if value not in self.formats:
            return False
        self._format = int(value)
        return True

    def _set_key(self, value: float) -> bool:
        if value not in (0, 1, 9999):
            return False
        self._key = int(value)
        return True

    def _set_address(self, value: float) -> bool:
        if value not in range(10) or not self._key:
            return False
        self._isobus = int(value)
        return True

    # What can go wrong with it

    def changes(self, command: str) -> bool:
        """True for what is not a query."""
        text = self._prefix(command)[0]
        return text != "V" and text[:1] not in self._queries

    def acknowledge(self, command: str) -> str | None:
        """The letter."""
        text, quiet, mine = self._prefix(command)
        return text[0] if text and mine and not quiet and text[0] != "Q" else None

    def refuse(self, command: str) -> str | None:
        """A question mark and the command."""
        text, quiet, mine = self._prefix(command)
        return f"?{text}" if text and mine and not quiet else None

    def _wake(self) -> None:
        self._control, self._format, self._key = _LOCAL_LOCKED, 0, 0

    def _turn_control(self, value: str) -> None:
        """The LOC/REM button: does nothing while it is locked."""
        if value not in ("local", "remote"):
            raise ConfigError(f"{self.name!r} takes no control {value!r}", do="it is local or remote")
        if self._control in (_LOCAL, _REMOTE):
            self._control = _REMOTE if value == "remote" else _LOCAL
