"""What the drivers of Stanford Research Systems' lock-ins share: identity, status words, and orders that are checked.

SR830 manual, chapter 5; SR860 manual, chapter 4. There are no error replies: what an instrument does not do sets a bit
in the standard event status byte, so that is asked for after every order.
"""

from typing import Any, ClassVar

from ..core.errors import DeviceFault, ReplyError
from .lock_in import LockInDriver, words_of
from .lock_in_settings import ask_whole, place

# *ESR? bits 4, a parameter outside its range or a command that cannot be done now, and 5, not a command.
_REFUSED = 16 | 32


class SRSLockIn(LockInDriver):
    """A lock-in with `*IDN?`, `*ESR?` and a latched word `LIAS?`, whose bits `flag_words` names."""

    flag_words: ClassVar[tuple[tuple[int, str], ...]] = ()
    largest_status: ClassVar[int] = 255

    def write(self, command: str, **kwargs: Any) -> None:
        """Send an order and ask whether it was done.

        Raises:
            DeviceFault: the instrument says that it was not.
        """
        with self.link.lock:
            super().write(command, **kwargs)
            events = ask_whole(self, "*ESR?")
        if events & _REFUSED:
            raise DeviceFault(
                f"it refused {command!r} (*ESR? {events})", where=place(self),
                do="it may not have this setting together with the others",
            )  # fmt: skip

    def check_identity(self) -> str:
        """Get the identity, and refuse another model; an error bit from before is nobody's later.

        Raises:
            ReplyError: something else answers at this address.
        """
        identity = super().check_identity()
        if identity.split(",")[1:2] != [self.model]:
            raise ReplyError(
                f"at this address answers {identity!r}, not a {self.model}", where=place(self),
                do="check the resource and the driver in station.toml",
            )  # fmt: skip
        ask_whole(self, "*ESR?")
        return identity

    def read_flags(self) -> tuple[str, ...]:
        """What went wrong since this was last asked; reading clears it."""
        status = ask_whole(self, "LIAS?")
        if not 0 <= status <= self.largest_status:
            raise self.reply_error("LIAS?", str(status))
        return words_of(status, self.flag_words)
