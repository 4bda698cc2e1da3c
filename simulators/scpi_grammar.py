"""SCPI's grammar: what a message says, how a header may be spelled, what an argument means.

After SCPI-99, volume 1: long and short forms, optional nodes, `;` goes on where the last header was, `:` starts at the
root, common commands leave the path alone. A header is written in nodes: `SOURce? CURRent LEVel?`. Capitals are the
short form, `?` may be left out, `#` may carry the suffix 1.
"""

import math
import re
from collections.abc import Iterator
from functools import cache
from itertools import product

# SCPI's words for infinity and for not a number (SCPI-99, volume 1, 7.2.1.4 and 7.2.1.5).
INFINITE, NOT_A_NUMBER = 9.9e37, 9.91e37
SWITCH = ("0", "1")

# One command: everything up to a `;` that is not inside quotes.
_UNIT = re.compile(r"""(?:[^;"']|"[^"]*(?:"|$)|'[^']*(?:'|$))+""")
_ARGUMENT = re.compile(r"""(?:[^,"'(]|"[^"]*(?:"|$)|'[^']*(?:'|$)|\([^)]*(?:\)|$))+|(?<=,)(?=,)""")


class Refused(Exception):  # noqa: N818  an answer, not a defect
    """A command that goes into the error queue instead of being done."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def program_units(message: str) -> Iterator[tuple[str, bool, str]]:
    """(full header in capitals, is a query, arguments) of each command in a message.

    A header without `:` goes on where the last one was: its path less the last node (SCPI-99, volume 1, 6.2.4).
    """
    path = ""
    for unit in _UNIT.findall(message):
        head, _, argument = unit.strip().partition(" ")
        if not head:
            continue
        asked, head = head.endswith("?"), head.rstrip("?").upper()
        if head.lstrip(":").startswith("*"):
            yield head.lstrip(":"), asked, argument.strip()
            continue
        full = head[1:] if head.startswith(":") else path + head
        path = full[: full.rfind(":") + 1]
        yield full, asked, argument.strip()


@cache
def spellings(header: str) -> tuple[str, ...]:
    """Every accepted spelling of a header."""
    forms: list[list[str]] = []
    for node in header.split():
        name = node.rstrip("?#")
        names = list(dict.fromkeys((name.upper(), re.sub("[a-z]", "", name))))
        if "#" in node:
            names += [f"{spelling}1" for spelling in names]
        forms.append([*names, ""] if node.endswith("?") else names)
    return tuple(":".join(part for part in choice if part) for choice in product(*forms))


def arguments_of(text: str) -> list[str]:
    """The arguments of a command, without blanks around them; quotes and channel lists stay whole."""
    return [argument.strip() for argument in _ARGUMENT.findall(text)]


def unquoted(text: str) -> str:
    """A string parameter without its quotes.

    Raises:
        Refused: it is not in quotes.
    """
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    raise Refused(-104 if text else -109)


def value_of(argument: str, low: float, high: float, initial: float = 0.0, infinite: bool = False) -> float:
    """The number that an argument says, MINimum, MAXimum and DEFault included.

    Raises:
        Refused: it is none, or outside its limits.
    """
    word = argument.strip().upper()
    if not word:
        raise Refused(-109)
    named = {"MIN": low, "MINIMUM": low, "MAX": high, "MAXIMUM": high, "DEF": initial, "DEFAULT": initial}
    if infinite and word in {"INF", "INFINITY"}:
        return math.inf
    try:
        # Python's own `1_000` is no SCPI number.
        value = named[word] if word in named else float(word.replace("_", "x"))
    except ValueError:
        raise Refused(-108 if "," in word else -104) from None
    if not low <= value <= high:
        raise Refused(-222)
    return value


def word_of(argument: str, words: tuple[str, ...]) -> str:
    """The short form of the word that an argument says; ON and OFF are 1 and 0.

    Raises:
        Refused: it is none of them.
    """
    given = argument.strip().upper()
    if not given:
        raise Refused(-109)
    if words == SWITCH:
        given = {"ON": "1", "OFF": "0", "TRUE": "1", "FALSE": "0"}.get(given, given)
    for word in words:
        short = re.sub("[a-z]", "", word)
        if given in {word.upper(), short}:
            return short
    raise Refused(-224)


def scientific(value: float) -> str:
    """A number as Keithley prints it, infinity as SCPI's."""
    return f"{max(-INFINITE, min(value, INFINITE)):.6E}"
