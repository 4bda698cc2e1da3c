"""Keithley 7001 switch system: a matrix between the sample's contacts and the instruments.

Wire facts: SCPI channel lists after the 7001 instruction manual, `(@1!2!3)` for slot, row and column of a matrix
card, `(@1!7)` for slot and channel of any other. No public driver was found to compare with.
"""

import re
from typing import ClassVar

from ..core.errors import ConfigError, DeviceFault, LimitError
from .link import Link
from .scpi import ScpiDriver

_ROWS, _COLUMNS, _CHANNELS = 4, 10, 40
_SLOTS = (1, 2)
_CHANNEL = re.compile(r"\d+!\d+(?:!\d+)?")

Channel = tuple[int, ...]


class Keithley7001(ScpiDriver):
    """A 7001 with cards in its slots. A channel is (slot, row, column) on a matrix, (slot, channel) on any other card.

    `cards` says what is in slots 1 and 2 (`C7012` is a 4 × 10 matrix), and is compared with the instrument's word.
    """

    model: ClassVar[str] = "7001"
    twin: ClassVar[str] = "remanence.simulators.keithley_7001:Keithley7001"
    settings_table: ClassVar[tuple[str, ...]] = ("cards", "closed", "break_before_make", "settling_time")

    def __init__(self, link: Link, name: str = "", *, cards: tuple[str, ...] | list[str] = ()) -> None:
        super().__init__(link, name)
        if len(cards) > len(_SLOTS):
            raise ConfigError(f"a 7001 has two slots, not {len(cards)}", where=self.name)
        self._expected = tuple(cards)

    def check_identity(self) -> str:
        """Get the identity; refuse another instrument, or one with other cards.

        Raises:
            ReplyError: something else answers here.
            ConfigError: the cards are not those of station.toml.
        """
        identity = super().check_identity()
        found = self.cards
        for slot, (card, expected) in enumerate(zip(found, self._expected, strict=False), start=1):
            if card != expected:
                raise ConfigError(
                    f"slot {slot} has a {card}, station.toml says {expected}", where=self.where,
                    state="No relay was switched", do="put the right card in, or correct the file",
                )  # fmt: skip
        return identity

    # The capability

    def close_only(self, *channels: Channel) -> None:
        """Open whatever is closed, then close exactly these, and read them back.

        Raises:
            LimitError: there can be no such channel; no relay was switched.
            DeviceFault: it refused, or other relays are closed than were asked for.
        """
        wanted = frozenset(channels)
        text = ",".join(self._told(channel) for channel in channels)
        state = "All relays were told to open"
        with self.link.lock:
            self.order(":ROUT:OPEN ALL", state=state)
            if wanted:
                self.order(f":ROUT:CLOS (@{text})", state=state)
            closed = self.read_closed()
        if closed != wanted:
            raise DeviceFault(
                f"asked for {_list(wanted)}, closed are {_list(closed)}", where=self.where,
                do="look at the cards: a relay may be stuck, or another program may switch them",
            )  # fmt: skip

    def read_closed(self) -> frozenset[Channel]:
        """Get the channels that are closed."""
        command = ":ROUT:CLOS:STAT?"
        reply = self.ask(command).strip()
        inside = reply[2:-1] if reply.startswith("(@") and reply.endswith(")") else None
        if inside is None or any(_CHANNEL.fullmatch(part) is None for part in inside.split(",") if inside):
            raise self.reply_error(command, reply)
        return frozenset(tuple(int(number) for number in part.split("!")) for part in inside.split(",") if part)

    def open_all(self) -> None:
        """Open every channel and read that none is closed.

        Raises:
            DeviceFault: a channel stays closed.
        """
        self.close_only()

    # Settings

    @property
    def cards(self) -> tuple[str, ...]:
        """Get the cards in slots 1 and 2 (no unit), as the instrument names them; `NONE` for an empty one."""
        return tuple(self.ask_text(f":ROUT:CONF:SLOT{slot}:CTYP?", r"[A-Z]?\w{3,}") for slot in _SLOTS)

    @property
    def closed(self) -> str:
        """Get the closed channels as text (no unit)."""
        return _list(self.read_closed())

    @property
    def break_before_make(self) -> bool:
        """Get whether a relay opens before the next one closes (no unit)."""
        return self.ask_switch(":ROUT:CONF:BBM?")

    @property
    def settling_time(self) -> float:
        """Get the time that slot 1 is given to settle after a closure (s)."""
        return self.ask_float(":ROUT:CONF:SLOT1:STIM?")

    def make_safe(self) -> None:
        """Leave the relays as they are: what is wired to them switches its own output off."""

    def _told(self, channel: Channel) -> str:
        slot, *place = channel
        on_matrix = len(place) == 2 and 1 <= place[0] <= _ROWS and 1 <= place[1] <= _COLUMNS
        elsewhere = len(place) == 1 and 1 <= place[0] <= _CHANNELS
        if slot not in _SLOTS or not (on_matrix or elsewhere):
            raise LimitError(
                f"there is no channel {'!'.join(map(str, channel))}", where=self.name, state="No relay was switched",
                do=f"a channel is (slot, row 1 to {_ROWS}, column 1 to {_COLUMNS}) or (slot, 1 to {_CHANNELS})",
            )  # fmt: skip
        return "!".join(map(str, channel))


def _list(channels: frozenset[Channel]) -> str:
    return ",".join("!".join(map(str, channel)) for channel in sorted(channels)) or "none"
