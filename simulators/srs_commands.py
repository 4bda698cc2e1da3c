"""How lock-ins of Stanford Research Systems read a line: mnemonics, `?`, arguments, `;`, and status bytes.

SR830 manual, chapter 5: blanks are optional, several commands in one line are separated by `;`. There are no error
replies: what is not understood sets a bit in the standard event status byte.
"""

import re
from functools import lru_cache

_COMMAND = re.compile(r"\s*(\*?[A-Za-z]{3,})\s*(\??)\s*(.*?)\s*")

# The whole numbers that are mostly asked with, as they are mostly written.
_SMALL = {str(number): number for number in range(100)}

# Bits of *ESR?
EXECUTION_ERROR, COMMAND_ERROR, POWER_ON = 16, 32, 128


class Refused(Exception):  # noqa: N818  an answer, not a defect
    """A command that is not done; `bit` says why in the event status byte."""

    def __init__(self, bit: int = EXECUTION_ERROR) -> None:
        super().__init__(bit)
        self.bit = bit


@lru_cache(maxsize=512)
def parse_line(line: str) -> tuple[tuple[str, bool, list[str]], ...]:
    """(mnemonic, is a query, arguments) for each command; a run repeats few different lines, so they are kept."""
    commands: list[tuple[str, bool, list[str]]] = []
    for part in line.split(";"):
        if part.strip():
            match = _COMMAND.fullmatch(part)
            mnemonic = match[1].upper() if match else ""
            arguments = [text.strip() for text in match[3].split(",")] if match and match[3] else []
            commands.append((mnemonic, bool(match and match[2]), arguments))
    return tuple(commands)


def numbers(arguments: list[str], *ranges: tuple[float, float]) -> tuple[float, ...]:
    """The arguments as numbers, one for each range; a range of integers takes whole numbers only."""
    if len(arguments) != len(ranges):
        raise Refused(COMMAND_ERROR)
    values: list[float] = []
    for text, (low, high) in zip(arguments, ranges, strict=True):
        try:
            # Python's own `1_000` is no number here.
            value = float(text.replace("_", "x"))
        except ValueError:
            raise Refused(COMMAND_ERROR) from None
        if not low <= value <= high:
            raise Refused
        if isinstance(low, int) and value != int(value):
            raise Refused
        values.append(value)
    return tuple(values)


def whole(arguments: list[str], low: int, high: int) -> int:
    """One integer argument; `8.000` is one too, as some clients write it."""
    if len(arguments) == 1 and (value := _SMALL.get(arguments[0])) is not None and low <= value <= high:
        return value
    return int(numbers(arguments, (low, high))[0])


def read_byte(byte: int, arguments: list[str], bits: int = 8) -> tuple[int, int]:
    """What a status query shows, and what remains: reading clears the byte, or the one bit that was asked for."""
    if not arguments:
        return byte, 0
    bit = whole(arguments, 0, bits - 1)
    return byte >> bit & 1, byte & ~(1 << bit)


def enabled_byte(byte: int, arguments: list[str], bits: int = 8) -> int:
    """An enable register after an order: all of it, or one bit by its number."""
    if len(arguments) == 2:
        bit, on = whole(arguments[:1], 0, bits - 1), whole(arguments[1:], 0, 1)
        return byte & ~(1 << bit) | on << bit
    return whole(arguments, 0, (1 << bits) - 1)


def folded(degrees: float) -> float:
    """A phase between -180 and 180 degrees."""
    return (degrees + 180.0) % 360.0 - 180.0
