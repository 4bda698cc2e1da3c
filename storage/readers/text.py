"""Bytes to lines, and fields to numbers, for files that have been through other programs, other codepages and hands."""

import csv
import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...core.errors import ConfigError, StorageError
from ..durable import reason

LARGEST_BYTES = 500_000_000
FloatArray = npt.NDArray[np.float64]
_LINE_END = re.compile(r"\r*\n|\r")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eEdD][+-]?[0-9]+)?")
_COLUMN = re.compile(r"(?:(?:[+-]?[0-9]{1,15}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,2})?)?\n)*"
                     r"(?:[+-]?[0-9]{1,15}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,2})?)?")  # fmt: skip
_COMMA_NUMBER = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eEdD][+-]?[0-9]+)?")
# `1,234` may be a thousand and two hundred thirty-four; `0,234`, `1,23` and `1,234E-5` may not.
_COMMA_UNCLEAR = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
_NO_VALUE = {
    "", "nan", "+nan", "-nan", "n/a", "na", "--", "null", "none", "inf", "+inf", "-inf", "infinity", "-infinity",
    "-nan(ind)", "-1.#ind", "1.#qnan", "-1.#qnan", "1.#inf", "-1.#inf",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TextFile:
    """The lines of a file, without their ends. `ended` is false when the last line had none: it may be cut short."""

    path: Path
    lines: tuple[str, ...]
    sha256: str
    encoding: str
    ended: bool
    zeros: int = 0

    @property
    def name(self) -> str:
        """The file's name without its folder, for messages."""
        return self.path.name


def read_text(path: Path) -> TextFile:
    """The lines of a text file in UTF-8, UTF-16 with its mark, or else Windows-1252.

    `ConfigError` if it is empty or not text, `StorageError` if it cannot be opened. Zero bytes at the end, as a disk
    leaves them after a power cut, are taken off and counted.
    """
    path = Path(path)
    if path.is_dir():
        raise ConfigError("this is a folder, not a data file", where=str(path))
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ConfigError(f"the file is larger than {LARGEST_BYTES // 10**6} MB", where=str(path))
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"the file cannot be opened ({reason(error)})", where=str(path)) from error
    sha256 = hashlib.sha256(data).hexdigest()
    whole = data.rstrip(b"\0") if not data.startswith((b"\xff\xfe", b"\xfe\xff")) else data
    text, encoding = _decoded(whole, path)
    if not text.strip():
        raise ConfigError("the file is empty", where=str(path))
    lines = _LINE_END.split(text)
    ended = not lines[-1].strip()
    while lines and not lines[-1].strip():
        lines.pop()
    return TextFile(path, tuple(lines), sha256, encoding, ended, len(data) - len(whole))


def _decoded(data: bytes, path: Path) -> tuple[str, str]:
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace"), encoding
    if b"\0" in data[:4096]:
        raise ConfigError("this is not a text file", where=str(path))
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1"), "latin-1"


def fields_of(line: str, separator: str) -> list[str]:
    """The fields of one line, quotes taken off where they enclose a whole field."""
    if '"' in line and line.count('"') % 2 == 0:
        try:
            return [text.strip() for text in next(csv.reader([line], delimiter=separator))]
        except (csv.Error, StopIteration):
            pass
    # An unpaired quote belongs to a name (`Coil Signal" (mV)`): to csv it would swallow the rest of the line.
    return [text.strip() for text in line.split(separator)]


def number_in(text: str, decimal: str = ".") -> float | None:
    """The number in a field: NaN where there is none, None where it is not a number."""
    text = text.strip()
    if text.lower() in _NO_VALUE:
        return math.nan
    if decimal == ",":
        text = text.replace(",", ".") if "." not in text else "?"
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text.replace("d", "e").replace("D", "e"))
    return value if math.isfinite(value) else math.nan


def numbers_in(column: Sequence[str], decimal: str = ".") -> FloatArray | None:
    """A whole column as floats, NaN where a field is empty, or None where one of them is not a number."""
    if decimal == "." and _COLUMN.fullmatch("\n".join(column)):  # the common case, thirty times as fast
        return np.asarray([float(cell) if cell else math.nan for cell in column], dtype=float)
    values = [number_in(cell, decimal) for cell in column]
    return None if any(value is None for value in values) else np.asarray(values, dtype=float)


def decimal_sign(cells: Iterable[str]) -> str:
    """`.` or `,`: which of the two these numeric cells use; `?` when both are used, or when commas are ambiguous."""
    points = commas = unclear = 0
    for cell in cells:
        if _COMMA_UNCLEAR.fullmatch(cell):
            unclear += 1
        elif _COMMA_NUMBER.fullmatch(cell):
            commas += 1
        elif "." in cell and _NUMBER.fullmatch(cell):
            points += 1
    if commas and points:
        return "?"
    if commas:
        return ","
    return "?" if unclear and not points else "."
