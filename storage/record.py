"""What a journal says when it is read back, and what is wrong with it. Frozen values only."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..core.records import Column, Event, Footer, Header, InstrumentRecord, Leg, Outcome, Row
from .lines import NOT_A_NUMBER


class DamageKind(StrEnum):
    """What can be wrong with a journal."""

    TORN_TAIL = "torn tail"  # the last line is unfinished: a crash, or a run that is writing it now
    BAD_LINE = "bad line"  # lines that are not as they were written
    GAP = "gap"  # row numbers that are missing
    DUPLICATE_ROW = "duplicate row"  # a row number that came twice; the first one counts
    OUT_OF_ORDER = "row out of order"
    CHECKSUM = "checksum mismatch"  # the end record knows another file
    AFTER_END = "record after end"  # records behind the end record; they do not count
    MISCOUNT = "miscount"  # the end record counts other records than are here
    NO_HEAD = "missing head"
    SCHEMA = "other schema"  # written by another version of this program
    UNREADABLE = "unreadable"  # the disk gave no more bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong, and a sentence that says so without a full stop.

    Lines count from 1, `first_line` to `last_line`; `first_n` to `last_n` are row numbers; None where there is none.
    """

    kind: DamageKind
    text: str
    first_line: int | None = None
    last_line: int | None = None
    first_n: int | None = None
    last_n: int | None = None
    size_bytes: int | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class LegRecord:
    """A leg with its rows and times. `last_row` and `ended_s` are None when the leg was not finished."""

    leg: Leg
    first_row: int
    started_s: float
    last_row: int | None = None
    ended_s: float | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event with the times it was written with."""

    event: Event
    time_s: float
    utc_s: float


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """A run as its journal tells it.

    `written` are the rows as they stand in the file and in its order, None for null. `frame` holds their values
    under the journal's column names, nan for None, with the row number `n` as its index. `header` is None only if
    it was damaged.
    """

    path: Path
    header: Header | None
    instruments: tuple[InstrumentRecord, ...]
    legs: tuple[LegRecord, ...]
    written: tuple[Row, ...]
    frame: pd.DataFrame
    events: tuple[EventRecord, ...]
    footer: Footer | None
    damage: tuple[Damage, ...]

    @property
    def outcome(self) -> Outcome:
        """How the run ended; INTERRUPTED when no end record says it."""
        return Outcome.INTERRUPTED if self.footer is None else self.footer.outcome

    @property
    def last_n(self) -> int | None:
        """The highest row number, None when there is no row."""
        return max((row.n for row in self.written), default=None)

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Monotonic seconds since the start, row by row."""
        return np.array([row.time_s for row in self.written], dtype=np.float64)

    @property
    def utc_s(self) -> NDArray[np.float64]:
        """POSIX seconds, row by row."""
        return np.array([row.utc_s for row in self.written], dtype=np.float64)

    @property
    def flags(self) -> tuple[tuple[str, ...], ...]:
        """Flags, row by row."""
        return tuple(row.flags for row in self.written)

    def rows(self) -> Iterator[Row]:
        """The rows as a listener saw them live: what was flagged as not a number is nan again."""
        names = [column.name for column in self.header.columns] if self.header is not None else []
        for row in self.written:
            odd = {flag.removesuffix(f":{NOT_A_NUMBER}") for flag in row.flags} if None in row.values else ()
            if odd and names:
                cells = zip(names, row.values, strict=True)
                row = replace(row, values=tuple(nan if v is None and name in odd else v for name, v in cells))
            yield row

    def summary(self) -> str:
        """What happened, one clause per fact, the worst not left out."""
        return "; ".join((self._how_it_ended(), *(damage.text for damage in self.damage)))

    def _how_it_ended(self) -> str:
        if self.footer is None:
            after = "and no row" if self.last_n is None else f"after row {self.last_n}"
            return f"the run was interrupted: no end record {after}"
        because = f": {self.footer.reason}" if self.footer.reason else ""
        rows = "1 row" if len(self.written) == 1 else f"{len(self.written)} rows"
        verb = "failed" if self.footer.outcome is Outcome.FAILED else f"was {self.footer.outcome}"
        return f"the run {verb} with {rows}{because}"


def frame_of(columns: Sequence[Column], rows: Sequence[Row]) -> pd.DataFrame:
    """The values of `rows`, one column for each of `columns`, indexed by row number."""
    cells: Iterable[tuple[Any, ...]] = zip(*(row.values for row in rows), strict=True) if rows else [()] * len(columns)
    # Keyed by position: a head written by somebody else may have two columns of one name.
    # As objects where they are: the texts of pandas have no place for half a surrogate.
    arrays = (_array(column, list(cell)) for column, cell in zip(columns, cells, strict=True))
    data = {i: pd.Series(array, dtype=array.dtype) for i, array in enumerate(arrays)}
    frame = pd.DataFrame(data)
    frame.index = pd.Index(np.array([row.n for row in rows], dtype=np.int64), name="n")
    frame.columns = pd.Index([column.name for column in columns], dtype=object)
    return frame


def nameless(width: int) -> tuple[Column, ...]:
    """Columns for rows whose head is lost."""
    return tuple(Column(f"column_{i}", quantity="", dtype="float") for i in range(width))


def _array(column: Column, cells: list[Any]) -> NDArray[Any]:
    """Numbers as float64 with nan for None, unbroken columns of int as int64, anything else as the objects written."""
    kinds = set(map(type, cells))
    fits = kinds <= {float, type(None)} or all(abs(cell) < 2**63 for cell in cells if type(cell) is int)
    if column.dtype == "int" and kinds <= {int} and fits:
        return np.array(cells, dtype=np.int64)
    if column.dtype in ("float", "int") and kinds <= {float, int, type(None)} and fits:
        return np.array(cells, dtype=np.float64)
    objects = np.empty(len(cells), dtype=object)
    objects[:] = cells
    return objects
