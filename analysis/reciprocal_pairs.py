"""R_13,24 and R_24,13 at one field, from readings that a switch matrix took in turns.

While the field sweeps, the two are read at different fields; R_24,13 is interpolated in time between the readings
before and after each R_13,24 of the same leg. Nothing is extrapolated, and no pair bridges a turning point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .contact_readings import parse
from .models import FloatArray

_READBACK_T = 2e-4  # by which a readback may differ where the field stands still
_NORMAL_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class ReciprocalPairs:
    """Rows of both resistances at one field, (N,) each, and the noise of a single reading of each.

    `time_s` is NaN when it was not given and `leg` 0 throughout. `skipped` counts rows that gave no pair.
    """

    time_s: FloatArray
    field_T: FloatArray
    leg: FloatArray
    r_13_24_ohm: FloatArray
    r_24_13_ohm: FloatArray
    noise_ohm: tuple[float, float]
    shared: float  # variance of an interpolated R_24,13 over that of a reading
    skipped: int


def reciprocal_pairs(frame: pd.DataFrame) -> ReciprocalPairs:
    """Pairs from a frame of either of two kinds.

    Wide: `field_T`, `R_13_24_ohm`, `R_24_13_ohm`, both read at that field. Long: `time_s`, `field_T`, `configuration`
    ("13,24", "24,13", or with leads exchanged), `R_ohm`. Both may have `leg`, the wide one `time_s`.

    Raises:
        ValueError: a column is missing, a configuration is no Hall configuration, or there are no pairs.
    """
    if "configuration" in frame.columns:
        pairs = _from_long(_needed(frame, ("time_s", "field_T", "configuration", "R_ohm")))
    else:
        pairs = _from_wide(_needed(frame, ("field_T", "R_13_24_ohm", "R_24_13_ohm")))
    if pairs.field_T.size == 0:
        raise ValueError("no field at which both R_13,24 and R_24,13 are known: read them in turns on the same leg")
    return pairs


def _needed(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(
            f"column {', '.join(missing)} missing: reciprocal Hall readings need field_T, R_13_24_ohm and R_24_13_ohm, "
            "or time_s, field_T, configuration and R_ohm"
        )
    return frame


def _numbers(frame: pd.DataFrame, name: str) -> FloatArray:
    if name not in frame.columns:
        return np.full(len(frame), np.nan if name == "time_s" else 0.0)
    return np.asarray(frame[name], dtype=np.float64)


def _from_wide(frame: pd.DataFrame) -> ReciprocalPairs:
    names = ("time_s", "field_T", "leg", "R_13_24_ohm", "R_24_13_ohm")
    time_s, field_T, leg, first, second = (_numbers(frame, name) for name in names)
    good = np.isfinite(field_T + leg + first + second)
    time_s, field_T, leg, first, second = (column[good] for column in (time_s, field_T, leg, first, second))
    noise = (_noise(leg, field_T, first), _noise(leg, field_T, second))
    return ReciprocalPairs(time_s, field_T, leg, first, second, noise, 1.0, int((~good).sum()))


def _from_long(frame: pd.DataFrame) -> ReciprocalPairs:
    time_s, field_T, leg, value = (_numbers(frame, name) for name in ("time_s", "field_T", "leg", "R_ohm"))
    kinds = [_hall_sign(str(label)) for label in frame["configuration"]]
    is_first = np.array([first for first, _ in kinds], dtype=bool)
    value = value * np.array([sign for _, sign in kinds], dtype=np.float64)
    good = np.isfinite(time_s + field_T + leg + value)
    columns = np.column_stack([time_s, field_T, leg, value])
    ones, others = columns[good & is_first], columns[good & ~is_first]
    noise = (_noise(ones[:, 2], ones[:, 1], ones[:, 3]), _noise(others[:, 2], others[:, 1], others[:, 3]))
    rows: list[tuple[float, float, float, float, float]] = []
    shares: list[float] = []
    for number in np.unique(ones[:, 2]):
        mine, theirs = ones[ones[:, 2] == number], others[others[:, 2] == number]
        theirs = theirs[np.argsort(theirs[:, 0], kind="stable")]
        after = np.searchsorted(theirs[:, 0], mine[:, 0])
        for row, k in zip(mine, after, strict=True):
            if not 0 < k < len(theirs):
                continue
            before_s, after_s = theirs[k - 1, 0], theirs[k, 0]
            weight = (row[0] - before_s) / (after_s - before_s) if after_s > before_s else 0.5
            there = (1.0 - weight) * theirs[k - 1] + weight * theirs[k]
            if abs(there[1] - row[1]) > 0.25 * abs(theirs[k, 1] - theirs[k - 1, 1]) + _READBACK_T:
                continue  # the field turned or stopped in between
            rows.append((row[0], row[1], row[2], row[3], there[3]))
            shares.append((1.0 - weight) ** 2 + weight**2)
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    shared = float(np.mean(shares)) if shares else 1.0
    # A reading of R_24,13 that only ever served its neighbours is not lost: count rows that gave nothing at all.
    skipped = int((~good).sum()) + len(ones) - len(table)
    t, b, n, first, second = table.T
    return ReciprocalPairs(t, b, n, first, second, noise, shared, skipped)


def _hall_sign(configuration: str) -> tuple[bool, float]:
    """True for R_13,24, and the sign that the order of the leads gives."""
    current, voltage = parse(configuration)
    if set(current) not in ({1, 3}, {2, 4}):
        raise ValueError(
            f"configuration {configuration!r} sends the current along an edge: give such readings to sheet_resistance"
        )
    forward = {(1, 3): (2, 4), (2, 4): (1, 3)}
    sign = 1.0 if current in forward else -1.0
    pair = current if current in forward else (current[1], current[0])
    return pair == (1, 3), sign if voltage == forward[pair] else -sign


def _noise(leg: FloatArray, field_T: FloatArray, value: FloatArray) -> float:
    """White noise of a reading: how far each lies from the line through its neighbours. NaN with fewer than five."""
    residuals: list[FloatArray] = []
    for number in np.unique(leg):
        b, y = field_T[leg == number], value[leg == number]
        if b.size < 3:
            continue
        span = b[2:] - b[:-2]
        w = np.divide(b[1:-1] - b[:-2], span, out=np.full(span.size, 0.5), where=np.abs(span) > 1e-9)
        # Where the field went back and forth the neighbours do not enclose the reading.
        inside = (w >= 0.0) & (w <= 1.0)
        apart = y[1:-1] - (1.0 - w) * y[:-2] - w * y[2:]
        residuals.append((apart / np.sqrt(1.0 + w**2 + (1.0 - w) ** 2))[inside])
    found = np.concatenate(residuals) if residuals else np.empty(0)
    return float(_NORMAL_MAD * np.median(np.abs(found))) if found.size >= 5 else float("nan")
