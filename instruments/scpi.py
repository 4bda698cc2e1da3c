"""What instruments with SCPI share: an error queue that is read after every order, and numbers within limits.

SCPI-99, volume 1, chapter 21 (`SYSTem:ERRor?`): `0,"No error"` when the queue is empty, else the oldest message.
"""

import math
import re

from ..core.errors import DeviceFault, LimitError, ReplyError
from .driver import Driver, strict_float

# More messages than a queue holds: then it is not a queue that answers.
_LONGEST_QUEUE = 50
_MESSAGE = re.compile(r'([+-]?\d+),\s*"(.*)"')


class ScpiDriver(Driver):
    """A driver whose orders are checked against the instrument's error queue."""

    def order(self, *commands: str, state: str = "") -> None:
        """Send commands and make sure that none was refused. `state` is what the hardware does if one was.

        Raises:
            DeviceFault: the error queue is not empty afterwards; the message has its texts.
        """
        for command in commands:
            self.write(command)
        if messages := self.read_errors():
            raise DeviceFault(
                f"it refused {'; '.join(commands)}: {'; '.join(messages)}", where=self.where, state=state,
            )  # fmt: skip

    def read_errors(self) -> list[str]:
        """Get and clear the messages of the error queue.

        Raises:
            ReplyError: what answers is no error queue, or one without end.
        """
        messages: list[str] = []
        while len(messages) < _LONGEST_QUEUE:
            reply = self.ask(":SYST:ERR?")
            match = _MESSAGE.fullmatch(reply.strip())
            if match is None:
                raise self.reply_error(":SYST:ERR?", reply)
            if int(match[1]) == 0:
                return messages
            messages.append(f"{match[1]} {match[2]}")
        raise ReplyError("the error queue does not end", where=self.where)

    def ask_word(self, command: str, *words: str) -> str:
        """Query one of some words.

        Raises:
            ReplyError: the reply is none of them.
        """
        reply = self.ask(command)
        word = reply.strip().strip('"')
        if word not in words:
            raise self.reply_error(command, reply)
        return word

    def ask_switch(self, command: str) -> bool:
        """Query what is on or off.

        Raises:
            ReplyError: the reply is neither 1 nor 0.
        """
        return self.ask_word(command, "0", "1") == "1"

    def ask_numbers(self, command: str, count: int) -> list[float]:
        """Query `count` numbers separated by commas.

        Raises:
            ReplyError: there are more or fewer, or one is not a whole finite number.
        """
        reply = self.ask(command)
        try:
            numbers = [strict_float(text) for text in reply.split(",")]
        except ReplyError as error:
            raise self.reply_error(command, reply) from error
        if len(numbers) != count:
            raise self.reply_error(command, reply)
        return numbers

    def within(self, what: str, value: float, low: float, high: float, unit: str) -> float:
        """The value, if it is a number between two limits.

        Raises:
            LimitError: it is not; nothing was sent.
        """
        # Arithmetic may end a hair outside: the last of nine digits is not worth a refusal.
        slack = 1e-9 * max(abs(low), abs(high))
        if not (math.isfinite(value) and low - slack <= value <= high + slack):
            raise LimitError(
                f"{what} {value:g} {unit} is outside {low:g} to {high:g} {unit}", where=self.name,
                state="Nothing was sent",
            )  # fmt: skip
        return value

    @property
    def where(self) -> str:
        """Get name and address (no unit), as errors show them."""
        return f"{self.name} ({self.link.address})"
