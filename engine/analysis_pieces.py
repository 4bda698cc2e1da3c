"""What a table holds: sweeps of the field at one temperature, sweeps of temperature in one field.

A magnetometer writes a whole night into one file. A fit over three loops at three temperatures would be a fit of
nothing, so the table is cut first, in the order it was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]

# Within a piece the held quantity stays this near to its start: as far as a controller wanders, and less than people
# step it.
_SAME_T_SHARE, _SAME_T_K = 0.015, 0.1
_SAME_FIELD_SHARE, _SAME_FIELD_T = 0.003, 2e-4
_LEAST_ROWS = 8
# A sweep changes its quantity by more than it wanders.
_SWEPT_FIELD_T = 2e-3
_SWEPT_T_K, _SWEPT_T_SHARE = 1.0, 0.1


@dataclass(frozen=True)
class Piece:
    """Consecutive rows in which one quantity was swept. `sweep` is `field` or `temperature`, `at` what was held."""

    sweep: str
    frame: pd.DataFrame
    at: str = ""

    @property
    def lines(self) -> str:
        """From which line or row of the file to which, as its index numbers them."""
        if self.frame.empty:
            return ""
        kind = "line" if self.frame.index.name == "line" else "row"
        return f"{kind} {self.frame.index[0]}–{self.frame.index[-1]}"


def numbers_of(frame: pd.DataFrame, name: str) -> FloatArray:
    """A column as floats, NaN where it holds anything else."""
    column: Any = frame[name]
    converted: Any = pd.to_numeric(column, errors="coerce")
    return np.asarray(converted, dtype=float)


def pieces_of(frame: pd.DataFrame) -> tuple[list[Piece], int]:
    """The pieces of a table in the order measured, and how many rows belong to none of them."""
    good = _good(frame)
    if good.empty:
        return [], len(frame)
    field = _column(good, "field_T")
    temperature = _column(good, "temperature_K")
    if field is None or temperature is None:
        if field is not None and np.ptp(field) > _SWEPT_FIELD_T:
            return [Piece("field", good)], len(frame) - len(good)
        return [], len(frame)
    pieces: list[Piece] = []
    start = loose = 0
    while start < len(good):
        same_T = _run(temperature, start, _SAME_T_SHARE, _SAME_T_K)
        same_field = _run(field, start, _SAME_FIELD_SHARE, _SAME_FIELD_T)
        at_field = _sweep(field[start:same_T]) > _SWEPT_FIELD_T and same_T - start >= _LEAST_ROWS
        span_K = _sweep(temperature[start:same_field])
        wanted_K = max(_SWEPT_T_K, _SWEPT_T_SHARE * float(temperature[start]))
        at_T = span_K > wanted_K and same_field - start >= _LEAST_ROWS
        if at_field and (same_T >= same_field or not at_T):
            held = float(np.median(temperature[start:same_T]))
            pieces.append(Piece("field", good.iloc[start:same_T], f"{held:.4g} K"))
            start = same_T
        elif at_T:
            held = float(np.median(field[start:same_field]))
            pieces.append(Piece("temperature", good.iloc[start:same_field], f"{held * 1e3:.4g} mT"))
            start = same_field
        else:
            loose += 1
            start += 1
    return pieces, loose + len(frame) - len(good)


def with_history(pieces: Sequence[Piece]) -> list[Piece]:
    """Sweeps of temperature joined where they are one question: ZFC and FC in one field, and how each was cooled.

    A sweep down in another field that ends where the next begins is the cooling of the next: FC of 4 T measured in
    0.1 T is told from FC of 0.1 T only by it.
    """
    cooled: list[Piece] = []
    for piece in pieces:
        if cooled and _is_cooling_of(cooled[-1], piece):
            cooled[-1] = _both(cooled[-1], piece)
        else:
            cooled.append(piece)
    joined: list[Piece] = []
    for piece in cooled:
        same = bool(joined) and joined[-1].sweep == piece.sweep == "temperature" and joined[-1].at == piece.at
        if same:
            joined[-1] = _both(joined[-1], piece)
        else:
            joined.append(piece)
    return joined


def _both(first: Piece, then: Piece) -> Piece:
    return Piece(then.sweep, pd.concat([first.frame, then.frame]), then.at)


def _is_cooling_of(first: Piece, then: Piece) -> bool:
    if not first.sweep == then.sweep == "temperature" or first.at == then.at:
        return False
    before, after = numbers_of(first.frame, "temperature_K"), numbers_of(then.frame, "temperature_K")
    falls = before[-1] < before[0] and before[-1] < np.min(before) + 0.1 * np.ptp(before)
    return bool(falls and abs(after[0] - before[-1]) < _SWEPT_T_K + _SWEPT_T_SHARE * before[-1])


def _good(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows in which what was measured, and where, are numbers."""
    wanted = [
        name for name in ("field_T", "temperature_K") if name in frame and np.isfinite(numbers_of(frame, name)).any()
    ]
    measured = [name for name in ("moment_Am2", "R_xy_ohm", "R_xx_ohm") if name in frame]
    if not wanted or not measured:
        return frame.iloc[:0]
    good = np.all([np.isfinite(numbers_of(frame, name)) for name in wanted], axis=0)
    good &= np.any([np.isfinite(numbers_of(frame, name)) for name in measured], axis=0)
    return frame.loc[good]


def _column(frame: pd.DataFrame, name: str) -> FloatArray | None:
    if name not in frame:
        return None
    values = numbers_of(frame, name)
    return values if np.isfinite(values).any() else None


def _run(values: FloatArray, start: int, share: float, least: float) -> int:
    """Where the rows from `start` first leave the value that they began with, by more than it wanders."""
    # The first row may still be settling: the middle of the first few is where it was held.
    first = float(np.median(values[start : start + 5]))
    if abs(first - values[start]) > max(least, share * abs(first)):
        first = float(values[start])
    away = np.flatnonzero(np.abs(values[start:] - first) > max(least, share * abs(first)))
    return start + int(away[0]) if away.size else len(values)


def _sweep(values: FloatArray) -> float:
    return float(np.ptp(values)) if values.size else 0.0
