"""The language of Oxford Instruments' Mercury iPS and iTC: READ and SET, each reply naming what it answers.

Wire facts: the iPS Operator's Manual issue 14 and the iTC manuals, Lab::Measurement's recorded traffic, QCoDeS,
pymeasure and frappy. A line feed ends commands and replies. Every SET is answered with the value and VALID, or with
what is wrong (`DENIED`, `INVALID`, `N/A`, `NOT_FOUND`), which is an error here, always. Several names may follow one
address. As each reply repeats its address, one that answers another question is seen.
"""

import re
from collections.abc import Collection
from functools import cache
from typing import ClassVar

from ..core.errors import DeviceFault, ReplyError
from .driver import Driver, strict_float
from .link import Link

_REFUSALS = {
    "INVALID": "the instrument does not understand it, or the value is out of range",
    "NOT_FOUND": "there is no such board",
    "N/A": "it does not apply to this board",
    "DENIED": "the instrument does not allow it now",
}
_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_PREFIXES = {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3}
_IDENTITY = re.compile(r"IDN:OXFORD INSTRUMENTS:(?P<model>[^:]+):(?P<serial>[^:]+):(?P<firmware>[0-9]+(?:\.[0-9]+)*)")


class Refused(DeviceFault):
    """The instrument understood, or did not, and says no; `word` is what it says."""

    def __init__(self, word: str, command: str, where: str) -> None:
        super().__init__(f"answers {word} to {command!r}: {_REFUSALS[word]}", where=where, do="look at the instrument")
        self.word = word


class MercuryDriver(Driver):
    """A Mercury. Several drivers may share its link, each for boards of its own."""

    deadline_s: ClassVar[float] = 1.0

    def __init__(self, link: Link, name: str = "") -> None:
        super().__init__(link, name)
        self.firmware: tuple[int, ...] = ()

    def check_identity(self) -> str:
        """Get the identity, with serial number and firmware; refuse an instrument that is not this model.

        Raises:
            ReplyError: something else answers at this address.
        """
        identity = self.identity()
        match = _IDENTITY.fullmatch(identity)
        # A real unit says MERCURY IPS where its manual has iPS.
        if match is None or match["model"].upper().replace(" ", "") != self.model.upper():
            raise ReplyError(
                f"at this address answers {identity!r}, not a {self.model}", where=self.where(),
                do="check the resource in station.toml",
            )  # fmt: skip
        self.firmware = tuple(int(part) for part in match["firmware"].split("."))
        return identity

    @property
    def alarms(self) -> tuple[str, ...]:
        """Get what the instrument complains of now (no unit), each as `board message`."""
        text = self.words("SYS", "ALRM")[0]
        if text and not text.endswith(";"):
            raise self.reply_error("READ:SYS:ALRM", text)
        return tuple(part.replace("\t", " ").strip() for part in text.split(";") if part.strip())

    def serial_number(self) -> str:
        """Get the serial number."""
        identity = self.identity()
        match = _IDENTITY.fullmatch(identity)
        if match is None:
            raise self.reply_error("*IDN?", identity)
        return match["serial"]

    def words(self, address: str, *names: str) -> tuple[str, ...]:
        """Read several values below one address, as the instrument words them.

        Raises:
            Refused: the instrument says no.
            ReplyError: the reply answers something else, or only a part.
        """
        command = f"READ:{address}:{':'.join(names)}"
        reply = self.ask(command)
        match = _values_in(address, names).fullmatch(reply)
        if match is not None and _REFUSALS.keys().isdisjoint(values := match.groups()):
            return values
        self._refuse(command, reply)
        raise self.reply_error(command, reply)

    def closed_words(self, address: str, *names: str, last: str, allowed: Collection[str]) -> tuple[str, ...]:
        """Read values of any kind, and one behind them that has few words: then a reply cut anywhere is noticed.

        A number without a unit would otherwise not say that it lost a digit.
        """
        texts = self.words(address, *names, last)
        if texts[-1] not in allowed:
            raise self.reply_error(f"READ:{address}:{':'.join(names)}:{last}", ":".join(texts))
        return texts

    def quantities(self, address: str, **units: str) -> tuple[float, ...]:
        """Read several numbers below one address, each in its unit (as `CURR="A"`), with or without a prefix.

        Raises:
            Refused: the instrument says no.
            ReplyError: a value is no number in its unit.
        """
        texts = self.words(address, *units)
        return tuple(
            self.number_of(address, name, text, unit) for (name, unit), text in zip(units.items(), texts, strict=True)
        )

    def quantity(self, address: str, name: str, unit: str = "") -> float:
        """Read one number in its unit."""
        return self.quantities(address, **{name: unit})[0]

    def tell(self, address: str, **values: str) -> None:
        """Set several values below one address. Each must come back as it was said, with VALID.

        Raises:
            Refused: the instrument says no to one of them.
            DeviceFault: it took another value.
            ReplyError: the reply answers something else.
        """
        command = f"SET:{address}:" + ":".join(f"{name}:{value}" for name, value in values.items())
        reply = self.ask(command)
        self._refuse(command, reply)
        head = f"STAT:SET:{address}:"
        said = reply.removeprefix(head).split(":")
        if not reply.startswith(head) or said[::3] != list(values) or said[2::3] != ["VALID"] * len(values):
            raise self.reply_error(command, reply)
        for (name, value), taken in zip(values.items(), said[1::3], strict=True):
            if not _same(value, taken):
                raise DeviceFault(f"told {name} {value}, it took {taken}", where=self.where(), do="read it back")

    def where(self) -> str:
        """The name and the address, for messages."""
        return f"{self.name} ({self.link.address})"

    def _refuse(self, command: str, reply: str) -> None:
        """Raise what a refusal says; one of several names stands in the middle, behind its value."""
        refusal = next((word for word in reply.split(":") if word in _REFUSALS), None)
        if refusal is not None:
            raise Refused(refusal, command, self.where())

    def number_of(self, address: str, name: str, text: str, unit: str) -> float:
        """The number that a value says, which must be in its unit, with or without a prefix.

        Raises:
            ReplyError: it is not.
        """
        match = _number_in(unit).fullmatch(text)
        try:
            if match is not None:
                return strict_float(match[1]) * _PREFIXES[match[2]]
        except ReplyError as error:
            raise self.reply_error(f"READ:{address}:{name}", text) from error
        raise self.reply_error(f"READ:{address}:{name}", text)


@cache
def _values_in(address: str, names: tuple[str, ...]) -> re.Pattern[str]:
    """A reply with the values of these names; as a value may hold colons itself, the last one takes the rest."""
    *others, last = (re.escape(name) for name in names)
    pairs = [*(f"{name}:([^:]*)" for name in others), f"{last}:(.*)"]
    return re.compile(":".join((f"STAT:{re.escape(address)}", *pairs)))


@cache
def _number_in(unit: str) -> re.Pattern[str]:
    return re.compile(f"({_NUMBER})([numk]?){re.escape(unit)}" if unit else f"({_NUMBER})()")


def _same(told: str, taken: str) -> bool:
    """True for the same word, or the same number with other digits or a unit."""
    if told == taken:
        return True
    numbers = [re.match(_NUMBER, text) for text in (told, taken)]
    return all(numbers) and len({float(number[0]) for number in numbers if number}) == 1
