"""The grammar of Lake Shore's commands: a table of settings, each with its index and its fields.

`MNEMONIC index,field,field` sets, `MNEMONIC? index` asks, and there is no error reply. A panel's table says for each
mnemonic what may stand as index, and for each field what is taken and how it is written.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from .numerals import finite

Value = float | str

_OUTSIDE_QUOTES = r"""(?=(?:[^"]*"[^"]*")*[^"]*$)"""
_SPLIT = re.compile(";" + _OUTSIDE_QUOTES)
_COMMA = re.compile("," + _OUTSIDE_QUOTES)
_COMMAND = re.compile(r"\s*(\*?[A-Za-z]+)(\??)\s*(.*?)\s*")


class NoAnswer(Exception):  # noqa: N818  an answer, not a defect
    """A command that is not understood: the instrument says nothing, and *ESR? keeps the bit."""


class Command(NamedTuple):
    """One command of a line; `mnemonic` is empty where it is none."""

    mnemonic: str
    asks: bool
    arguments: list[str]


@lru_cache(maxsize=512)
def commands(line: str) -> tuple[Command, ...]:
    """The commands of one line: separated by `;`, arguments by `,`, both free inside double quotes.

    A run repeats few different lines, so they are kept.
    """
    found: list[Command] = []
    for part in _SPLIT.split(line):
        match = _COMMAND.fullmatch(part)
        if match is None:
            found.append(Command("", False, []))
        else:
            arguments = [text.strip() for text in _COMMA.split(match[3])] if match[3] else []
            found.append(Command(match[1].upper(), match[2] == "?", arguments))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Field:
    """One argument: `read` takes its text or raises `NoAnswer`; a `form` of "" is the panel's own way with numbers."""

    read: Callable[[str], Value]
    initial: Value
    form: str


def number(low: float, high: float, initial: float, form: str = "") -> Field:
    """A number from `low` to `high`."""
    return Field(lambda text: real(text, low, high), initial, form)


def whole(low: int, high: int, initial: int, form: str = ".0f") -> Field:
    """A whole number from `low` to `high`; `3.0` is one too."""
    return Field(lambda text: float(integer(text, low, high)), float(initial), form)


def word(words: tuple[str, ...], initial: str) -> Field:
    """One of some words; numbers are taken with zeros before them."""
    return Field(lambda text: _one_of(words, text), initial, "s")


def text(longest: int, initial: str = "") -> Field:
    """Free text, cut and filled with blanks to `longest` characters; quotes around it are taken off."""
    return Field(lambda raw: raw.strip('"')[:longest], initial, f"{longest}s")


@dataclass(frozen=True, slots=True)
class Setting:
    """What `MNEMONIC` holds. `index` are the words that each index argument may be; none without an index."""

    fields: tuple[Field, ...]
    index: tuple[tuple[str, ...], ...] = ()
    initial: Mapping[str, tuple[Value, ...]] = field(default_factory=dict[str, tuple[Value, ...]])

    def key(self, arguments: list[str]) -> str:
        """The index arguments as one key, `1` or `1,10`."""
        if len(arguments) < len(self.index):
            raise NoAnswer
        return ",".join(_one_of(words, text) for words, text in zip(self.index, arguments, strict=False))

    def start(self, key: str) -> list[Value]:
        """What it holds at `key` after a reset."""
        return list(self.initial.get(key) or [field.initial for field in self.fields])

    def changed(self, held: list[Value], arguments: list[str], partial: bool) -> list[Value]:
        """What it holds after an order; an empty argument leaves its field, with `partial` a missing one too."""
        if len(arguments) > len(self.fields) or not arguments or (len(arguments) < len(self.fields) and not partial):
            raise NoAnswer
        return [
            field.read(arguments[place]) if place < len(arguments) and arguments[place] else value
            for place, (field, value) in enumerate(zip(self.fields, held, strict=True))
        ]


def keys(setting: Setting) -> list[str]:
    """All that a setting's index may be."""
    found = [""]
    for words in setting.index:
        found = [f"{key},{word}" if key else word for key in found for word in words]
    return found


def digits(value: float, count: int) -> str:
    """A sign and `count` digits with a point among them, at least three before it: `+004.2000`."""
    before = 3 if -999.0 < value < 999.0 else max(3, len(str(int(abs(value)))))
    return f"{value:+0{count + 2}.{max(0, count - before)}f}"


def engineering(value: float, exponent_digits: int = 1) -> str:
    """Sign, three digits, point, three digits and an exponent in threes: `+004.200E+0` (manual of the 340)."""
    exponent = 0
    while abs(value) >= 999.9995 and exponent < 9:
        value, exponent = value / 1000.0, exponent + 3
    while 0.0 < abs(value) < 0.9999995 and exponent > -9:
        value, exponent = value * 1000.0, exponent - 3
    return f"{value:+08.3f}E{exponent:+0{exponent_digits + 1}d}"


def real(text: str, low: float, high: float) -> float:
    """The number that a text is, between `low` and `high`; else no answer."""
    value = finite(text)
    if value is None or not low <= value <= high:
        raise NoAnswer
    return value


def integer(text: str, low: int, high: int) -> int:
    """The whole number that a text is, between `low` and `high`; else no answer."""
    value = real(text, low, high)
    if value != int(value):
        raise NoAnswer
    return int(value)


def _one_of(words: tuple[str, ...], text: str) -> str:
    text = text.upper()
    if text not in words:
        text = text.lstrip("0") or "0"
    if text not in words:
        raise NoAnswer
    return text
