"""What the panels of Stanford Research Systems' lock-ins share: how a line is done, and the status registers.

Facts after the SR830 manual, chapter 5, and the SR860 manual, chapter 4. There are no error replies: what is not
understood sets a bit in the standard event status byte.
"""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from .lock_in import LockIn
from .srs_commands import COMMAND_ERROR, EXECUTION_ERROR, POWER_ON, Refused, enabled_byte, parse_line, read_byte
from .world import World

Query = Callable[[list[str]], str]
Order = Callable[[list[str]], None]

_QUERY_ERROR = 4
_LONGEST_REPLY = 1 << 20


class SRSLockIn(LockIn):
    """A lock-in whose subclass fills `queries` and `orders` by mnemonic, and says what it sees and how it applies.

    `binary_end` is what a gateway puts behind binary data; the instruments themselves put nothing there.
    """

    reply_end: ClassVar[bytes] = b"\n"
    # How many bits LIAS? has, and which queries have binary answers.
    lia_bits: ClassVar[int] = 8
    binary: ClassVar[tuple[bytes, ...]] = ()

    def __init__(self, world: World, name: str, wiring: str, drives: str | float, binary_end: str) -> None:
        super().__init__(world, name, wiring, drives)
        self._binary_end = binary_end
        if binary_end != "\n":
            self.receive = self._receive_ended
        self.events, self.lia, self.errors = POWER_ON, 0, 0
        self.enabled = {"*ESE": 0, "*SRE": 0, "ERRE": 0, "LIAE": 0}
        self.queries: dict[str, Query] = {
            "*ESR": self._event_status, "LIAS": self._lock_in_status, "ERRS": self._error_status,
            "*STB": lambda arguments: str(read_byte(self.status_byte(), arguments)[0]),
        }  # fmt: skip
        self.orders: dict[str, Order] = {"*CLS": lambda _: self.forget_status()}
        for mnemonic in self.enabled:
            self.queries[mnemonic] = partial(self._enable, mnemonic)
            self.orders[mnemonic] = partial(self._set_enable, mnemonic)

    def notice(self, within_s: float = 0.0) -> None:
        """Bring the laboratory to now, or near it, and latch what is wrong."""
        raise NotImplementedError

    def apply(self) -> None:
        """Take the settings over into the filter and the reference."""
        raise NotImplementedError

    def execute(self, command: str) -> str | None:
        """One line: commands separated by `;`, from left to right, each query answered with its own terminator."""
        replies: list[str] = []
        for mnemonic, asked, arguments in parse_line(command):
            try:
                if not asked:
                    self.order(mnemonic, arguments)
                elif (query := self.queries.get(mnemonic)) is not None:
                    replies.append(query(arguments))
                else:
                    raise Refused(COMMAND_ERROR)
            except Refused as refused:
                self.events |= refused.bit
        if len(replies) < 2:
            return replies[0] if replies else None
        text = "\n".join(replies)
        if len(text) > _LONGEST_REPLY:
            # The output queue overflows: it is emptied and the query-error bit says so (SR830 manual, *ESR? bit 2).
            self.events |= _QUERY_ERROR
            return None
        return text

    def order(self, mnemonic: str, arguments: list[str]) -> None:
        """Do one command that sets something."""
        handler = self.orders.get(mnemonic)
        if handler is None:
            raise Refused(COMMAND_ERROR)
        # What has been until now was filtered with the old settings.
        self.notice()
        handler(arguments)
        self.apply()

    def _receive_ended(self, line: bytes) -> bytes:
        """Binary data end as they were said to end, everything else with the terminator."""
        reply = super().receive(line)
        if line.strip().upper().startswith(self.binary):
            reply = reply.removesuffix(self.reply_end) + self._binary_end.encode("latin-1")
        return reply

    # Status

    def _lock_in_status(self, arguments: list[str]) -> str:
        # Asked right after a reading, it is about that reading.
        self.notice(within_s=0.015)
        shown, self.lia = read_byte(self.lia, arguments, self.lia_bits)
        return str(shown)

    def _event_status(self, arguments: list[str]) -> str:
        shown, self.events = read_byte(self.events, arguments)
        return str(shown)

    def _error_status(self, arguments: list[str]) -> str:
        shown, self.errors = read_byte(self.errors, arguments)
        return str(shown)

    def status_byte(self) -> int:
        """The serial poll status byte: 2 ERR, 3 LIA, 5 ESB, 6 SRQ."""
        enabled = self.enabled
        byte = 4 if self.errors & enabled["ERRE"] else 0
        byte |= 8 if self.lia & enabled["LIAE"] else 0
        byte |= 32 if self.events & enabled["*ESE"] else 0
        return byte | (64 if byte & enabled["*SRE"] else 0)

    def _enable(self, mnemonic: str, arguments: list[str]) -> str:
        return str(read_byte(self.enabled[mnemonic], arguments, self.lia_bits)[0])

    def _set_enable(self, mnemonic: str, arguments: list[str]) -> None:
        self.enabled[mnemonic] = enabled_byte(self.enabled[mnemonic], arguments, self.lia_bits)

    def forget_status(self) -> None:
        """*CLS."""
        self.events = self.lia = self.errors = 0

    # Hands at its front

    def turn(self, knob: str, value: str) -> None:
        """Set one of `knobs`, by its mnemonic and the value that a command would give it."""
        self.order(knob, [value])

    def refuse(self, command: str) -> str | None:
        """It says nothing; the execution error is in *ESR?."""
        self.events |= EXECUTION_ERROR
        return None

    def power_cycle(self) -> None:
        """Settings are kept (manuals, "power-on"); the status is not."""
        self.notice()
        self.forget_status()
        self.events = POWER_ON
        self.apply()

    def serial_number(self) -> int:
        """A number of its own, from its name."""
        return sum(self.name.encode())
