"""How the lock-ins of Signal Recovery and Ametek read a command, and how they write numbers.

A name, perhaps a dot for floating point, and arguments with blanks or commas between them. 7270 manual, chapter 6.
"""

import re
from functools import lru_cache

from .numerals import finite

_COMMAND = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*)(\.?)(?:[\s,]+(.*?))?\s*")
_UNSPACED = re.compile(r"([A-Z]+)([0-9]+)")

# Bits of ST and of a serial poll.
COMPLETE, INVALID, PARAMETER, UNLOCKED, OVERLOAD, REQUEST, DATA = 1, 2, 4, 8, 16, 64, 128


class Wrong(Exception):  # noqa: N818  an answer, not a defect
    """A command that is not done: unknown (`INVALID`) or with an argument that does not fit (`PARAMETER`)."""

    def __init__(self, bit: int = PARAMETER) -> None:
        super().__init__(bit)
        self.bit = bit


@lru_cache(maxsize=512)
def parse(command: str) -> tuple[str, bool, list[str]]:
    """Name, floating point, arguments."""
    match = _COMMAND.fullmatch(command)
    if match is None:
        return "", False, []
    return match[1].upper(), bool(match[2]), re.split(r"[\s,]+", match[3]) if match[3] else []


def unspaced(name: str) -> tuple[str, str]:
    """A name with a number behind it, as the two."""
    match = _UNSPACED.fullmatch(name)
    return (match[1], match[2]) if match else ("", "")


def whole(arguments: list[str], low: int, high: int) -> int:
    """The one argument as a whole number within limits."""
    value = real(arguments)
    if value != int(value) or not low <= value <= high:
        raise Wrong
    return int(value)


def real(arguments: list[str]) -> float:
    """The one argument as a number."""
    if len(arguments) != 1:
        raise Wrong
    value = finite(arguments[0])
    if value is None:
        raise Wrong
    return value


def number_of(value: float, per_unit: float, point: bool) -> str:
    """A value as floating point, or in whole numbers of its small unit."""
    return float_of(value) if point else str(round(value * per_unit))


def float_of(value: float) -> str:
    """`1.0E-01`: as many digits as there are, seven at most."""
    mantissa, exponent = f"{value:.6E}".split("E")
    mantissa = mantissa.rstrip("0")
    return f"{mantissa}{'0' if mantissa.endswith('.') else ''}E{exponent}"
