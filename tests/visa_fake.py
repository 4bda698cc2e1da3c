"""A VISA library on one interface, as NI's behaves: what came of a read that timed out is lost, errors are numbers."""

import itertools
from collections.abc import Callable
from typing import Any

from pyvisa import VisaIOError, constants
from remanence.core.clock import Clock

_Status = constants.StatusCode
_Attribute = constants.ResourceAttribute
_Interface = constants.InterfaceType

INTERFACES = {
    "gpib": (_Interface.gpib, "INSTR"), "usb": (_Interface.usb, "INSTR"), "vxi11": (_Interface.tcpip, "INSTR"),
    "serial": (_Interface.asrl, "INSTR"), "socket": (_Interface.tcpip, "SOCKET"),
}  # fmt: skip

Answer = Callable[[str], list[tuple[float, bytes]]]
_handles = itertools.count(1)


def echo(command: str) -> list[tuple[float, bytes]]:
    """An instrument that answers each query with itself after 10 ms."""
    return [(0.01, f"echo {command}\n".encode())] if command.endswith("?") else []


class FakeVisa:
    """Resource and library in one. `answer` gives what each command causes: (seconds after it, bytes).

    `written` is every command that arrived, `polls` how often the status byte was asked. `broken` makes every call
    fail as on a lost connection. Of what several replies bring, the earlier comes first, whoever was asked first.
    """

    def __init__(self, clock: Clock, interface: str = "socket", answer: Answer = echo) -> None:
        self.clock, self.answer = clock, answer
        self.interface_type, self.resource_class = INTERFACES[interface]
        self.visalib, self.session, self.resource_name = self, next(_handles), "TEST::INSTR"
        self.read_termination = self.write_termination = ""
        self.written: list[str] = []
        self.line: list[tuple[float, bytes]] = []
        self.polls = self.clears = self.counts = 0
        self.status_byte: int | None = None
        self.broken = self.closed = False
        self._timeout_s = 2.0
        self._messages = self.resource_class == "INSTR" and self.interface_type != _Interface.asrl

    def say(self, data: bytes, after_s: float = 0.0) -> None:
        """Let the instrument speak unasked."""
        self.line.append((self.clock.now() + after_s, data))
        self._in_order()

    # The library

    def set_attribute(self, _session: int, attribute: Any, value: int) -> _Status:
        assert attribute == _Attribute.timeout_value
        self._timeout_s = value / 1000
        return _Status.success

    def get_attribute(self, _session: int, attribute: Any) -> tuple[int, _Status]:
        if attribute != _Attribute.asrl_avalaible_number or self.interface_type != _Interface.asrl:
            raise VisaIOError(_Status.error_nonsupported_attribute)
        self._check()
        self.counts += 1
        return sum(len(data) for at_s, data in self.line if at_s <= self.clock.now()), _Status.success

    def write(self, _session: int, data: bytes) -> tuple[int, _Status]:
        self._check()
        command = data.decode().strip()
        self.written.append(command)
        now_s = self.clock.now()
        self.line += [(now_s + after_s, piece) for after_s, piece in self.answer(command)]
        self._in_order()
        return len(data), _Status.success

    def read(self, _session: int, count: int) -> tuple[bytes, _Status]:
        self._check()
        deadline_s, data = self.clock.now() + self._timeout_s, b""
        while True:
            if not self.line or self.line[0][0] > deadline_s:
                self.clock.sleep(deadline_s - self.clock.now())
                raise VisaIOError(_Status.error_timeout)
            at_s, piece = self.line.pop(0)
            self.clock.sleep(at_s - self.clock.now())
            end = piece.find(b"\n") + 1 or len(piece)
            taken = piece[: min(end, count - len(data))]
            if rest := piece[len(taken) :]:
                self.line.insert(0, (at_s, rest))
            data += taken
            if data.endswith(b"\n"):
                return data, _Status.success_termination_character_read
            if len(data) >= count:
                return data, _Status.success_max_count_read
            if self._messages and not rest:
                return data, _Status.success

    def read_stb(self, _session: int) -> tuple[int, _Status]:
        self._check()
        if not self._messages:
            raise VisaIOError(_Status.error_nonsupported_operation)
        self.polls += 1
        if self.status_byte is not None:
            return self.status_byte, _Status.success
        return 0x10 if self.line and self.line[0][0] <= self.clock.now() else 0, _Status.success

    # The resource

    def clear(self) -> None:
        assert self._messages, "a stream has no device clear, and PyVISA-py's would read for ever"
        self.clears += 1
        self.line.clear()

    def close(self) -> None:
        self.closed = True

    def _in_order(self) -> None:
        # By time alone: behind a gateway one reply may overtake another.
        self.line.sort(key=lambda piece: piece[0])

    def _check(self) -> None:
        if self.broken or self.closed:
            raise VisaIOError(_Status.error_connection_lost)
