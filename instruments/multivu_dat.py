"""The rows that MultiVu appends to its data file while it measures, read as they come.

Facts from real files of three laboratories: a `[Header]` section, `[Data]`, one line of column names that hold
quotation marks as they please (so no reader of quoted fields may touch it), rows with empty cells. A comment is quoted
only if it holds a comma. A row is there when its line has ended.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import ReplyError

_A_M2_PER_EMU = 1e-3
_T_PER_OE = 1e-4
# Where a measurement puts its moment: a vibration, a DC scan, an old MPMS-XL. The first column that is filled counts.
_MOMENTS = (
    ("Moment (emu)", "M. Std. Err. (emu)"),
    ("DC Moment Fixed Ctr (emu)", "DC Moment Err Fixed Ctr (emu)"),
    ("DC Moment Free Ctr (emu)", "DC Moment Err Free Ctr (emu)"),
    ("Long Moment (emu)", "Long Scan Std Dev"),
)
_FIELDS, _TEMPERATURE = ("Magnetic Field (Oe)", "Field (Oe)"), "Temperature (K)"
_LONGEST_ROW = 1 << 16


@dataclass(frozen=True, slots=True)
class MomentRow:
    """One measured row, in SI: moment and its standard error (A·m²), field (T), temperature (K)."""

    moment_A_m2: float
    error_A_m2: float
    field_T: float
    temperature_K: float


class GrowingDat:
    """A data file under MultiVu's hands. `read` gives the bytes from an offset on; a test gives its own."""

    def __init__(self, path: Path, read: Callable[[Path, int], bytes] | None = None) -> None:
        self.path = path
        self._read = read or _from_disk
        self._offset = 0
        self._rest = b""
        self._columns: list[str] = []
        self._in_data = False
        self._line = 0
        self._waiting: deque[tuple[int, dict[str, str]]] = deque()

    def skip(self) -> None:
        """Pass over what is in the file now.

        Raises:
            ReplyError: the file is no MultiVu data file.
        """
        self._take()
        self._waiting.clear()

    def next_row(self) -> MomentRow | None:
        """The next row that holds a moment, or None while there is none.

        Raises:
            ReplyError: the file is no MultiVu data file, or a number in it is none; file and line are named.
        """
        self._take()
        while self._waiting:
            number, cells = self._waiting.popleft()
            row = self._moment(number, cells)
            if row is not None:
                return row
        return None

    def _take(self) -> None:
        """Take what has been appended, as far as whole lines go."""
        try:
            data = self._read(self.path, self._offset)
        except FileNotFoundError:
            return  # MultiVu makes it when the first measurement begins
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_ROW:
            raise ReplyError("a line has no end", where=f"{self.path}:{self._line + 1}")
        for raw in lines:
            self._line += 1
            text = raw.decode("utf-8", "replace").rstrip("\r")
            if not self._in_data:
                self._in_data = text.strip().upper() == "[DATA]"
            elif not self._columns:
                self._columns = [name.strip() for name in text.split(",")]
                if not any(moment in self._columns for moment, _ in _MOMENTS):
                    raise ReplyError("no column holds a moment", where=f"{self.path}:{self._line}")
            elif text.strip():
                self._waiting.append((self._line, dict(zip(self._columns, _cells(text), strict=False))))

    def _moment(self, line: int, cells: dict[str, str]) -> MomentRow | None:
        for moment, error in _MOMENTS:
            if cells.get(moment, "").strip():
                field = next((name for name in _FIELDS if name in cells), "")
                return MomentRow(
                    self._number(line, cells, moment) * _A_M2_PER_EMU,
                    self._number(line, cells, error) * _A_M2_PER_EMU,
                    self._number(line, cells, field) * _T_PER_OE,
                    self._number(line, cells, _TEMPERATURE),
                )
        return None

    def _number(self, line: int, cells: dict[str, str], name: str) -> float:
        """A cell as a number; one that the mode does not fill is not a number, and honestly so."""
        text = cells.get(name, "").strip()
        if not text:
            return math.nan
        try:
            return float(text)
        except ValueError:
            raise ReplyError(f"{text!r} under {name!r} is not a number", where=f"{self.path}:{line}") from None


def _cells(text: str) -> list[str]:
    """The cells of a row: only the comment, which comes first, may be quoted and hold commas."""
    if text.startswith('"') and (end := text.find('",', 1)) > 0:
        return [text[1:end], *text[end + 2 :].split(",")]
    return text.split(",")


def _from_disk(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read()
