"""The rows of a MicroMag file, the names and units that stand above them, and its segments."""

import re

import numpy as np
import numpy.typing as npt

from ...core.errors import ConfigError
from .foreign import Problems
from .text import FloatArray, TextFile, number_in

_WORD = re.compile(r"\S+(?: \S+)*")


class Body:
    """The rows, the names above them and the segments, wherever in the file they begin."""

    def __init__(self, text: TextFile, problems: Problems) -> None:
        lines = text.lines
        segment = next((n for n, line in enumerate(lines) if line.strip().lower().startswith("segment ")), None)
        self.ends: list[int] = []
        start = 1
        if segment is not None:
            start = segment + 1
            while start < len(lines) and _numbers(lines[start]) is None:
                start += 1
            while start < len(lines) and (row := _numbers(lines[start])) is not None:
                self.ends.append(int(row[-1]))
                start += 1
        self.first = next((n for n in range(start, len(lines)) if _is_row(lines[n])), len(lines))
        if self.first == len(lines):
            raise ConfigError("there are no rows of field and moment in this file", where=str(text.path))
        self._rows(text, problems)
        self._name(lines[start : self.first], lines[self.first])

    def _rows(self, text: TextFile, problems: Problems) -> None:
        rows: list[list[float]] = []
        self.lines: list[int] = []
        self.breaks: list[int] = []
        width = text.lines[self.first].count(",") + 1
        closed = False
        for index in range(self.first, len(text.lines)):
            line = text.lines[index].strip()
            if not line:
                self.breaks.append(len(rows))
                continue
            if line.lower().startswith("micromag") and "ends" in line.lower():
                closed = True
                break
            row = _numbers(line)
            last = index == len(text.lines) - 1 and not text.ended
            if last and (row is None or len(line) < len(text.lines[self.first].strip())):
                problems.add("cut", index + 1, "the last line is cut short: left out")
            elif row is None or len(row) != width:
                problems.add("not a row", index + 1, f"{line[:40]!r} is not a row of {width} numbers: left out")
            else:
                rows.append(row)
                self.lines.append(index + 1)
        if not closed:
            problems.add("not closed", None, "the closing line is missing: the file may be cut short")
        self.values: FloatArray = np.asarray(rows, dtype=float).reshape(-1, width)

    def _name(self, above: tuple[str, ...], row: str) -> None:
        """Names and units stand centred over the fields: a word belongs to the field that its middle is over."""
        edges = [n for n, sign in enumerate(row) if sign == ","] + [len(row) + 20]
        words: list[list[str]] = [[] for _ in edges]
        self.unit_of: list[str] = ["" for _ in edges]
        for line in above:
            for match in _WORD.finditer(line.rstrip()):
                middle = (match.start() + match.end()) / 2
                column = next(n for n, edge in enumerate(edges) if middle <= edge or n == len(edges) - 1)
                word = match[0].strip()
                if word.startswith("(") and word.endswith(")"):
                    self.unit_of[column] = word[1:-1].strip()
                elif word.lower() in ("raw", "adjusted", "field", "moment", "temperature"):
                    words[column].append(word.capitalize())
        found = [" ".join(word for word in column if word != "Raw") for column in words]
        if not any(found):
            found = (["Field", "Moment", "Temperature"] + [f"Column {n}" for n in range(4, 9)])[: len(edges)]
        self.names = [
            f"{name or f'Column {n}'}{f' ({unit})' if unit else ''}"
            for n, (name, unit) in enumerate(zip(found, self.unit_of, strict=True), 1)
        ]
        self.plain = found

    def column(self, name: str) -> int | None:
        """Where the column of this name is, or None."""
        return self.plain.index(name) if name in self.plain else None

    def legs(self) -> "npt.NDArray[np.int_] | None":
        """The number of each row's segment among those that have rows; None where the file does not tell."""
        count = len(self.lines)
        ends = sorted({end for end in self.ends if end > 0})
        if not ends or ends[-1] < count:
            ends = [*sorted({end for end in self.breaks if 0 < end < count}), count]
            if len(ends) < 2:
                return None
        return np.searchsorted(np.asarray(ends), np.arange(count), side="right")


def _numbers(line: str) -> list[float] | None:
    """The numbers of a comma-separated line, or None if one of its fields is none."""
    values = [number_in(part) if part.strip() else None for part in line.split(",")]
    if len(values) < 2 or any(value is None for value in values):
        return None
    return [value for value in values if value is not None]


def _is_row(line: str) -> bool:
    values = _numbers(line)
    return values is not None and 2 <= len(values) <= 6 and "." in line
