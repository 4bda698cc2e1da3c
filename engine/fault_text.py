"""Faults as people write them: `[[fault]]` tables in a TOML file, or a line at a console.

[[fault]]
kind = "late"
instrument = "magnet"
at = "100 s"
amount = "3 s"

late magnet 3 s in 100 s
"""

import math
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from ..core.errors import ConfigError
from ..core.quantities import parse
from ..simulators.faults import KINDS, Fault, Place
from .toml_file import nearest, place, read_toml, validate

_WORDS = ("at", "in", "for", "on", "with")


def _seconds(value: object, info: ValidationInfo) -> float:
    return _amount(value, "s")


def _amount(value: object, unit: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and not unit:
        return float(value)
    if not isinstance(value, str):
        raise ValueError(f'{value!r} has no unit: write "{value} {unit}" if that is what you mean')
    try:
        return parse(value, unit)
    except ConfigError as error:
        raise ValueError(str(error)) from error


_Seconds = Annotated[float, BeforeValidator(_seconds)]


class FaultEntry(BaseModel):
    """One `[[fault]]` table; the names are those of `Fault`, and times are quantities."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    kind: str
    instrument: str = ""
    at: _Seconds = 0.0
    for_: _Seconds = Field(default=math.inf, alias="for")
    count: int | None = None
    command: str = ""
    probability: float = 1.0
    amount: str | float | None = None
    text: str = ""

    def fault(self) -> Fault:
        """It as the simulator takes it.

        Raises:
            ConfigError: it contradicts its kind.
        """
        fault = Fault(
            self.kind, self.instrument, self.at, self.for_, self.count, self.command, self.probability, text=self.text
        )
        unit = KINDS[self.kind].unit
        if self.amount is None:
            return fault
        try:
            # A kind without an amount says so itself.
            return replace(fault, amount=0.0 if unit is None else _amount(self.amount, unit))
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"amount: {error}") from error


class FaultFile(BaseModel):
    """A whole file of faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: tuple[FaultEntry, ...] = ()


def read_faults(path: Path) -> list[Fault]:
    """The faults of a TOML file.

    Raises:
        ConfigError: what is wrong, with file and line.
    """
    faults: list[Fault] = []
    for number, entry in enumerate(validate(FaultFile, read_toml(path), path).fault):
        try:
            faults.append(entry.fault())
        except ConfigError as error:
            key = next((key for key in ("amount", "text", "instrument") if key in error.what), "kind")
            raise ConfigError(error.what, where=place(path, ["fault", str(number), key]), do=error.do) from error
    return faults


def parse_fault(line: str, now_s: float) -> Fault:
    """A fault from one line, at once unless it says `in TIME` or `at TIME`.

    `KIND [INSTRUMENT] [AMOUNT or TEXT] [in TIME | at TIME] [for TIME] [on COMMAND] [with PROBABILITY] [xCOUNT]`

    Raises:
        ConfigError: it cannot be understood, or contradicts its kind.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"{line!r} has a quotation mark too many or too few: {error}") from error
    name = words.pop(0) if words else ""
    kind = KINDS.get(name)
    if kind is None:
        raise ConfigError(f"there is no fault {name!r}", do=nearest(name, list(KINDS)))
    instrument = words.pop(0) if words and kind.place is not Place.LABORATORY else ""
    said: dict[str, list[str]] = {"": []}
    count, current = None, ""
    for word in words:
        if word in _WORDS:
            current = word
            said[current] = []
        elif re.fullmatch(r"x[0-9]+", word):
            count = int(word[1:])
        else:
            said[current].append(word)
    rest = " ".join(said[""])
    entry = FaultEntry.model_construct(
        kind=name, instrument=instrument, count=count, command=" ".join(said.get("on", [])),
        at=parse(" ".join(said["at"]), "s") if "at" in said else now_s + _time(said, "in", 0.0),
        for_=_time(said, "for", math.inf), probability=parse(" ".join(said.get("with", ["1"])), ""),
        amount=rest if rest and not kind.text else None, text=rest if kind.text else "",
    )  # fmt: skip
    return entry.fault()


def _time(said: dict[str, list[str]], word: str, otherwise_s: float) -> float:
    return parse(" ".join(said[word]), "s") if word in said else otherwise_s
