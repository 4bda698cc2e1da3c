"""A file that another program wrote: what is in it, in its own words and in ours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class ForeignFile:
    """One file as read. Nothing of it is lost, and nothing that it does not say is added.

    `header` is the text before the data, as written, and `info` what it says, key by key. `raw` holds every column
    and every row as written (numbers as floats, other columns as text), its index the line of the file. `frame` holds
    our columns in SI (`time_s` from the first row, `field_T`, `temperature_K`, `moment_Am2`, `moment_u_Am2`, `leg`,
    resistances by their channel), on the same index, without the rows that carry no number. `sources` says for each
    of our columns which column it was, and `units` the unit that it had there. `made_by` are results that the
    maker's program wrote into the header, in SI and keyed with their unit. `problems` are sentences that begin with
    file and line; `notes` are choices that the reader made.
    """

    path: Path
    kind: str
    header: str
    info: Mapping[str, str]
    raw: pd.DataFrame
    frame: pd.DataFrame
    sources: Mapping[str, str]
    units: Mapping[str, str]
    sha256: str
    encoding: str
    sample: str = ""
    made_by: Mapping[str, float] = field(default_factory=dict[str, float])
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Problems:
    """Collects what is wrong, with its line; after three of one kind the rest is counted."""

    _SHOWN = 3

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: dict[str, list[str]] = {}

    def add(self, kind: str, line: int | None, text: str) -> None:
        """Say `text` of a line; problems of the same `kind` are told three times at most."""
        where = f"{self._name}:{line}" if line else self._name
        self._found.setdefault(kind, []).append(f"{where}: {text}")

    def told(self) -> tuple[str, ...]:
        """All of it, in the order of the kinds."""
        said: list[str] = []
        for kind, texts in self._found.items():
            said += texts[: self._SHOWN]
            if len(texts) > self._SHOWN:
                said.append(f"{self._name}: {len(texts) - self._SHOWN} more lines like these ({kind})")
        return tuple(said)
