"""How Lake Shore's temperature controllers are spoken to: readings with their status, orders with their read-back.

There is no error reply. A query that is not understood is not answered, a setting that is not understood is lost. So
each order of consequence goes out in one line with the query that reads it back. A reading comes with its status in the
same line, and is no temperature unless that is 0. Commands of a line are separated by `;`, and so are the answers
(manuals of the 331, 340 and 350).
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from ..core.errors import DeviceFault, LimitError, ReplyError
from .driver import Driver, strict_float
from .lakeshore_zones import is_multiple

_STATUS = {
    1: "invalid reading", 2: "old reading", 16: "temperature under range", 32: "temperature over range",
    64: "sensor units zero", 128: "sensor units over range",
}  # fmt: skip
_READING = re.compile(r"([^;]+);([0-9]{1,3})")


class LakeShoreWire(Driver):
    """A controller's inputs, and the ways to ask and to set that its loop needs. Temperatures are in kelvin."""

    write_end: ClassVar[str] = "\r\n"
    read_end: ClassVar[str] = "\r\n"
    pause_s: ClassVar[float] = 0.05

    coldest_K: ClassVar[float] = 0.3
    hottest_K: ClassVar[float] = 500.0
    status_words: ClassVar[Mapping[int, str]] = _STATUS

    # Readings

    def _reading_query(self, letter: str) -> str:
        return f"KRDG? {letter};RDGST? {letter}"

    def _read_kelvin(self, letter: str) -> float:
        command = self._reading_query(letter)
        reply = self.ask(command)
        match = _READING.fullmatch(reply.strip())
        if match is None:
            raise self.reply_error(command, reply)
        return self._kelvin(letter, command, reply, match[1], match[2])

    def _kelvin(self, letter: str, command: str, reply: str, reading: str, status: str) -> float:
        """The temperature of a reading with its status, or why it is none."""
        if fault := self._fault_of(int(status)):
            raise DeviceFault(
                f"input {letter} has no valid temperature: {fault}",
                where=self._where(),
                do="check the sensor and its curve",
            )
        try:
            kelvin = strict_float(reading)
        except ReplyError as error:
            raise self.reply_error(command, reply) from error
        if not self.coldest_K <= kelvin <= self.hottest_K:
            raise self.reply_error(command, reply)
        return kelvin

    def _fault_of(self, status: int) -> str:
        """The words for a status of a reading; empty for a good one."""
        words = [text for bit, text in self.status_words.items() if status & bit]
        known = sum(self.status_words)
        if status & ~known:
            words.append(f"status {status}")
        return ", ".join(words)

    def _some_fields(self, command: str) -> list[float]:
        reply = self.ask(command)
        try:
            return [strict_float(text) for text in reply.split(",")]
        except ReplyError as error:
            raise self.reply_error(command, reply) from error

    def _fields(self, command: str, count: int) -> list[float]:
        values = self._some_fields(command)
        if len(values) != count:
            raise self.reply_error(command, ",".join(str(value) for value in values))
        return values

    # Orders

    def _put(self, order: str, query: str, wanted: Sequence[float], first: int | None = None) -> None:
        """Send an order, and in the same line the query that reads it back; compare the first fields, or all.

        Raises:
            DeviceFault: something else is read back.
        """
        found = self._some_fields(f"{order};{query}")
        if not alike(found[:first], wanted):
            raise DeviceFault(
                f"{order!r} was not taken: {query} tells {', '.join(f'{value:g}' for value in found)}",
                where=self._where(),
                do="check whether the instrument is locked, or used from somewhere else",
            )

    def _check(self, what: str, value: float, low: float, high: float, unit: str) -> None:
        if not (math.isfinite(value) and low <= value <= high):
            raise LimitError(
                f"{what} {value:g} {unit} is outside {low:g} to {high:g} {unit}",
                where=self.name,
                state="Nothing was sent",
            )

    def _check_step(self, what: str, value: float, step: float, unit: str) -> None:
        if not is_multiple(value, step):
            raise LimitError(
                f"{what} {value:g} {unit} is no multiple of {step:g} {unit}",
                where=self.name,
                state="Nothing was sent",
            )

    def _where(self) -> str:
        return f"{self.name} ({self.link.address})"


def alike(found: Sequence[float], wanted: Sequence[float]) -> bool:
    """Whether what is read back begins with what was told; they tell six digits at least."""
    return len(found) >= len(wanted) and all(
        math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-9) for a, b in zip(found, wanted, strict=False)
    )
