"""Which rows of m(T) were measured how: zero-field cooled or field cooled, warming or cooling.

A `branch` column is believed. Without one the history of the temperature decides: a turn begins a leg. A cooling leg in
field is FCC, the warming after it FCW; a warming leg that comes first, or after cooling in zero field, is ZFC.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from .hall_loop import BAD_FLAGS
from .models import FloatArray, Mask
from .scan_model import sweeps_of

LEAST_ROWS = 8
ZERO_FIELD_SHARE = 0.1  # of the measuring field: less is "no field"
NAMES = {"zfc": "ZFC", "zfcw": "ZFC", "fc": "FCW", "fcw": "FCW", "fcc": "FCC"}


@dataclass(frozen=True)
class Branch:
    """One branch in the order measured: (n,) arrays. `moment_u_Am2` is empty where the rows have no uncertainty."""

    name: str
    warming: bool
    temperature_K: FloatArray
    moment_Am2: FloatArray
    moment_u_Am2: FloatArray
    field_T: FloatArray

    @property
    def size(self) -> int:
        """How many rows."""
        return self.temperature_K.size

    def shifted(self, step_K: float) -> "Branch":
        """The same branch with another zero of its thermometer."""
        return replace(self, temperature_K=self.temperature_K + step_K)

    def take(self, keep: Mask) -> "Branch":
        """The rows where `keep` is true."""
        u = self.moment_u_Am2
        return replace(
            self,
            temperature_K=self.temperature_K[keep],
            moment_Am2=self.moment_Am2[keep],
            moment_u_Am2=u[keep] if u.size else u,
            field_T=self.field_T[keep],
        )


def branches_of(
    frame: pd.DataFrame, name: str | None, measuring_field_T: float | None
) -> tuple[list[Branch], tuple[str, ...], float | None]:
    """The branches of a frame in time, notes on rows left out, and the field of a recorded cooling (None: not seen).

    `name` is what the whole frame is, if that is known.

    Raises:
        ValueError: a column is missing or empty, or the branch column has an unknown word.
    """
    rows, notes = _rows(frame)
    field_T = rows["field_T"]
    size_T = abs(measuring_field_T) if measuring_field_T is not None else float(np.nanmax(np.abs(field_T), initial=0.0))
    in_field = np.isnan(field_T) | (np.abs(field_T) >= ZERO_FIELD_SHARE * size_T)
    pieces = _pieces(frame, rows)
    found: list[Branch] = []
    cooled_T: float | None = None
    before = ""
    for label, keep in pieces:
        temperature_K = rows["temperature_K"][keep]
        warming = _rises(temperature_K)
        inside = keep & in_field
        if not label and not warming:
            cooled_T = float(np.nanmedian(np.abs(field_T[keep]))) if np.isfinite(field_T[keep]).any() else None
        if inside.sum() < LEAST_ROWS:
            before = "zero field" if keep.sum() >= LEAST_ROWS and not warming else before
            continue
        kind = name or NAMES.get(label, "") or _kind(warming, before, found)
        if kind == "FCW" and not warming:
            kind = "FCC"
        u = rows["moment_u_Am2"][inside]
        u = u if bool((u > 0.0).all()) and np.isfinite(u).all() else np.zeros(0)
        found.append(
            Branch(kind, warming, rows["temperature_K"][inside], rows["moment_Am2"][inside], u, field_T[inside])
        )
        before = kind
    return found, notes, cooled_T


def _kind(warming: bool, before: str, found: list[Branch]) -> str:
    """What a leg without a name is, after a leg that was `before`."""
    if not warming:
        return "FCC"
    if before == "FCC":
        return "FCW"
    seen = any(branch.name == "ZFC" for branch in found)
    return "FCW" if seen and before != "zero field" else "ZFC"


def _rows(frame: pd.DataFrame) -> tuple[dict[str, FloatArray], tuple[str, ...]]:
    missing = [name for name in ("temperature_K", "moment_Am2") if name not in frame.columns]
    if missing:
        raise ValueError(f"m(T) needs the columns temperature_K and moment_Am2; {', '.join(missing)} is missing")
    out: dict[str, FloatArray] = {}
    for name in ("temperature_K", "moment_Am2", "moment_u_Am2", "field_T"):
        given = frame[name] if name in frame.columns else pd.Series(np.nan, index=frame.index)
        out[name] = np.asarray(pd.to_numeric(given, errors="coerce"), dtype=np.float64)
    good = np.isfinite(out["temperature_K"]) & np.isfinite(out["moment_Am2"]) & (out["temperature_K"] > 0.0)
    if "flags" in frame.columns:
        good &= np.array([not _bad(flag) for flag in frame["flags"]])
    left_out = int(good.size - good.sum())
    for name in out:
        out[name] = np.where(good, out[name], np.nan)
    notes = (f"{left_out} of {good.size} rows are flagged or no numbers and are left out",) if left_out else ()
    return out, notes


def _bad(flag: object) -> bool:
    return isinstance(flag, str) and any(word in flag.lower() for word in BAD_FLAGS)


def _pieces(frame: pd.DataFrame, rows: dict[str, FloatArray]) -> list[tuple[str, Mask]]:
    """Label and rows of every leg, in the order of their first rows."""
    good = np.isfinite(rows["temperature_K"])
    if "branch" in frame.columns:
        words = [str(word).strip().lower() if isinstance(word, str) else "" for word in frame["branch"]]
        unknown = sorted({word for word in words if word and word not in NAMES})
        if unknown:
            raise ValueError(f"branch holds {', '.join(unknown)}: use ZFC, FC, FCC or FCW")
        named = np.array(words, dtype=object)
        return [(word, good & (named == word)) for word in dict.fromkeys(word for word in words if word)]
    if "leg" in frame.columns:
        legs = np.asarray(pd.to_numeric(frame["leg"], errors="coerce"), dtype=np.float64)
        return [("", good & (legs == leg)) for leg in dict.fromkeys(legs[np.isfinite(legs)].tolist())]
    leg = np.full(good.size, -1.0)
    leg[good] = sweeps_of(rows["temperature_K"][good])
    return [("", leg == number) for number in np.unique(leg[good])]


def _rises(temperature_K: FloatArray) -> bool:
    steps = np.diff(temperature_K)
    return bool(steps.size == 0 or np.median(steps[steps != 0.0] if (steps != 0.0).any() else steps) >= 0.0)
