"""What `analyze` is given, a run of ours or another maker's file, as one thing that a method can be asked about."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.errors import ConfigError, StorageError
from ..core.records import Footer, Header, Row
from ..storage import RunRecord, read_run
from ..storage.readers import read_foreign
from .analysis_pieces import numbers_of
from .analysis_record import Source, sha256_of

_JOURNAL = "run.jsonl"
_JOURNAL_BEGIN = re.compile(rb'\s*\{"k":')
# Options that say how a file is read, not how it is analysed.
READING = ("moment", "R_xx", "R_xy")


@dataclass(frozen=True)
class Input:
    """A file's table in our columns and SI, and what is known of it. `run` is None for another maker's file.

    `folder` is where its analyses are kept unless a person names another. `columns` says how a column was called.
    """

    path: Path
    title: str
    frame: pd.DataFrame
    source: Source
    said: str
    folder: Path
    run: RunRecord | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    made_by: Mapping[str, float] = field(default_factory=dict[str, float])
    columns: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def header(self) -> Header | None:
        """The head of a run of ours."""
        return None if self.run is None else self.run.header

    @property
    def footer(self) -> Footer | None:
        """How a run of ours ended."""
        return None if self.run is None else self.run.footer

    @functools.cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rows of a run of ours, as a listener saw them."""
        return () if self.run is None else tuple(self.run.rows())

    def has(self, *names: str) -> bool:
        """True when the table holds these columns with numbers in them."""
        return all(name in self.frame and bool(np.isfinite(numbers_of(self.frame, name)).any()) for name in names)


def read_input(path: Path, reading: Mapping[str, str]) -> Input:
    """The file or run at `path`. `reading` are the options of `READING` that were given.

    `ConfigError` when there is nothing there, or when it is of no kind known here.
    """
    if not path.exists():
        raise ConfigError(
            "there is no such run or file", where=str(path), do="give a run's folder, its run.jsonl or a file"
        )
    if path.is_dir() or path.suffix == ".jsonl" or _begins_as_journal(path):
        return _run(path)
    channels = {f"{key}_ohm": reading[key] for key in ("R_xx", "R_xy") if key in reading}
    file = read_foreign(path, moment=reading.get("moment"), channels=channels)
    said = f"{path.name}: {file.kind}{f', {file.sample}' if file.sample else ''}, {len(file.frame)} rows"
    return Input(
        path, f"{file.sample or path.stem}", file.frame, Source(path, file.kind, file.sha256), said,
        path.with_name(f"{path.name}.analysis"), None, file.problems, file.notes, file.made_by,
        file.sources,
    )  # fmt: skip


def _run(path: Path) -> Input:
    run = read_run(path)
    journal = path / _JOURNAL if path.is_dir() else path
    folder = journal.parent
    if run.header is None:
        raise ConfigError("the journal has no head, so nothing is known of its columns", where=str(path))
    try:
        source = Source(journal, "remanence run", sha256_of(journal))
    except OSError as error:
        raise StorageError(f"the journal cannot be read again ({error})", where=str(journal)) from error
    frame = run.frame
    title = f"{run.header.sample} {folder.name}".strip()
    problems = tuple(str(damage) for damage in run.damage)
    return Input(path, title, frame, source, run.summary(), folder / "analysis", run, problems)


def _begins_as_journal(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return bool(_JOURNAL_BEGIN.match(stream.read(64)))
    except OSError as error:
        raise StorageError(f"the file cannot be opened ({error.strerror})", where=str(path)) from error
