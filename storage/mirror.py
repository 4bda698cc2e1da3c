r"""A copy of the rows for Excel, Origin and `pymeasure.experiment.Results.load`. The product never reads it back.

PyMeasure's header, with one difference: only characters that would break a line are escaped. PyMeasure writes `µT`
as `\xb5T`, does not undo that when it loads, and then refuses its own unit.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..core.errors import ConfigError, StorageError
from ..core.records import Row
from .durable import Write, create_exclusively, reason

# A spreadsheet runs what begins so, and some programs skip white space before they look.
_FORMULA = tuple("=+-@\t\r")
# The loader takes the rest of a line after `#` for a comment, unless the cell is quoted.
_QUOTED = frozenset(',"#\r\n')


class CsvMirror:
    """A live CSV at `path`, where no file may be. Each row is handed to the system before `row` returns.

    `procedure` is the dotted name of the procedure's class, `parameters` are (name, text) as PyMeasure's
    `str(parameter)` gives them, unit included, and `columns` are the names in the order of a row's values.
    """

    def __init__(
        self,
        path: Path,
        procedure: str,
        parameters: Iterable[tuple[str, str]],
        columns: Sequence[str],
        *,
        write: Write = os.write,
    ) -> None:
        self.path = Path(path)
        self._columns = len(columns)
        self._write = write
        self._closed = False
        self._whole_bytes = 0
        header = _header(procedure, parameters, columns)
        self._fd = create_exclusively(self.path)
        try:
            self._put(header)
        except StorageError:
            self.close()
            raise

    def row(self, row: Row) -> None:
        """Write one row; `StorageError` if the system did not take all of it."""
        if len(row.values) != self._columns:
            raise ConfigError(f"row {row.n} has {len(row.values)} values for {self._columns} columns")
        # Of one empty cell a blank line would be left, which loaders skip: quotes keep the row.
        cells = [repr(value) if type(value) is float and value - value == 0.0 else _cell(value) for value in row.values]
        self._put((",".join(cells) or '""') + "\n")

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        if not self._closed:
            self._closed = True
            os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, text: str) -> None:
        if self._closed:
            raise StorageError("the mirror is closed", where=str(self.path))
        data = text.encode("utf-8", "backslashreplace")
        try:
            written = self._write(self._fd, data)
        except OSError as error:
            raise self._failed(reason(error)) from error
        if written != len(data):
            raise self._failed(f"only {written} of {len(data)} bytes were taken")
        self._whole_bytes += len(data)

    def _failed(self, why: str) -> StorageError:
        """Stop at the last whole row: a half one would be read as a number that nobody measured."""
        with suppress(OSError):
            os.ftruncate(self._fd, self._whole_bytes)
        self.close()
        return StorageError(
            f"the CSV mirror could not be written ({why})", where=str(self.path), state="The journal goes on without it"
        )


def _header(procedure: str, parameters: Iterable[tuple[str, str]], columns: Sequence[str]) -> str:
    for name in columns:
        if _one_line(name) != name:
            raise ConfigError(f"a column's name must fit on one line: {name!r}")
    lines = [f"#Procedure: <{_one_line(procedure)}>", "#Parameters:"]
    for name, text in parameters:
        if ": " in name:
            raise ConfigError(f"the parameter name {name!r} holds ': ', which ends a name in this format")
        lines.append(f"#\t{_one_line(name)}: {_one_line(text)}")
    lines += ["#Data:", ",".join(map(_quoted, columns))]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, float):  # numpy's float64 too, whose own repr is not a number
        return float.__repr__(value) if isfinite(value) else ""
    if value is None:
        return ""
    if isinstance(value, str):
        return _quoted("'" + value if value.startswith(_FORMULA) else value)
    unwrap = getattr(value, "tolist", None)
    if unwrap is not None:
        return _cell(unwrap())
    return str(value) if isinstance(value, int) else _cell(str(value))


def _quoted(text: str) -> str:
    if _QUOTED.isdisjoint(text) and text == text.strip():
        return text
    return '"' + text.replace('"', '""') + '"'


def _one_line(text: str) -> str:
    return "".join(repr(char)[1:-1] if ord(char) < 32 or ord(char) == 127 else char for char in text)
