"""One quantity measured several times against temperature, fluence, thickness, angle or orientation.

Entries that share a systematic are correlated: a common moment calibration moves all of them together, so that it
counts in their mean and not in their ratio. Each shared part of u is given by name, and everything here respects it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..core.records import Estimate, Measured
from .models import FloatArray
from .names import same_quantity, u_name


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of the quantity at `x` (a number, or text such as "[001]").

    `value.u` is the whole standard uncertainty; `shared_u` says which part of it is shared with every other
    entry that names the same source. A part may be negative: it then moves the other way. `x_u` is independent.
    """

    x: float | str
    value: Measured
    shared_u: Mapping[str, float] = field(default_factory=dict[str, float])
    label: str = ""
    x_u: float = 0.0


@dataclass(frozen=True)
class Series:
    """A quantity against one variable, as arrays in the order of x. Make it with `of`, `from_estimates`, `from_frame`.

    `x_name` and `quantity` carry their units (`temperature_K`, `coercive_field_T`). (N,) each: `x` (positions 0, 1, …
    when x is text, which is then in `labels`), `x_u`, `value`, `u` (whole), and per name in `shared` the shared part.
    `reasons` says what was left out.
    """

    x_name: str
    quantity: str
    x: FloatArray
    x_u: FloatArray
    value: FloatArray
    u: FloatArray
    shared: Mapping[str, FloatArray]
    labels: tuple[str, ...]
    numeric: bool
    reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, x_name: str, quantity: str, entries: Iterable[Entry], reasons: Sequence[str] = ()) -> "Series":
        """A series of entries; those whose value or u is not finite are left out and counted.

        Raises:
            ValueError: there is no entry, x mixes text and numbers, u is not positive, or shared parts exceed u.
        """
        given = list(entries)
        kept = [e for e in given if math.isfinite(e.value.value) and math.isfinite(e.value.u)]
        notes = list(reasons)
        if len(kept) < len(given):
            notes.append(f"{len(given) - len(kept)} of {len(given)} entries left out: value or u is not finite")
        if not kept:
            raise ValueError(f"no entry of {quantity} has a value")
        numeric = not isinstance(kept[0].x, str)
        if any(isinstance(e.x, str) is numeric for e in kept):
            raise ValueError(f"{x_name} mixes numbers and text: give all of it as numbers, or all as text")
        for e in kept:
            _check(e, quantity)
        if numeric:
            kept.sort(key=lambda e: float(e.x))
        names = list(dict.fromkeys(name for e in kept for name in e.shared_u))
        return cls(
            x_name,
            quantity,
            np.array([float(e.x) if numeric else float(i) for i, e in enumerate(kept)]),
            np.array([e.x_u for e in kept]),
            np.array([e.value.value for e in kept]),
            np.array([e.value.u for e in kept]),
            {name: np.array([e.shared_u.get(name, 0.0) for e in kept]) for name in names},
            tuple(e.label or (e.x if isinstance(e.x, str) else "") for e in kept),
            numeric,
            tuple(notes),
        )

    @classmethod
    def from_estimates(
        cls,
        x_name: str,
        quantity: str,
        estimates: Iterable[tuple[float | str, Estimate]],
        shared_u: Mapping[str, float] | None = None,
    ) -> "Series":
        """The values that estimates carry under the key `quantity`; an estimate that does not claim one is left out.

        `shared_u` maps a source to its relative part of every value (0.02: 2 % of each), already within their u.

        Raises:
            ValueError: as `of`, or an estimate carries the quantity in another unit.
        """
        entries: list[Entry] = []
        absent: list[str] = []
        for x, estimate in estimates:
            if quantity not in estimate.values:
                for key in estimate.values:
                    same_quantity(key, quantity, strict=False)
                absent.append(f"{x}: {estimate.text or estimate.status}")
                continue
            measured = estimate.values[quantity]
            parts = {name: part * measured.value for name, part in (shared_u or {}).items()}
            entries.append(Entry(x, measured, parts))
        return cls.of(x_name, quantity, entries, [f"no {quantity} at {text}" for text in absent])

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, x_name: str, quantity: str, shared_u: Mapping[str, str] | None = None
    ) -> "Series":
        """From columns: x, the quantity, its whole u (`moment_u_Am2` for `moment_Am2`), optionally the u of x.

        `shared_u` maps a source to the column that holds its part of u.

        Raises:
            ValueError: a column is missing, or as `of`.
        """
        u, x_u, shared = u_name(quantity), u_name(x_name), shared_u or {}
        missing = [name for name in (x_name, quantity, u, *shared.values()) if name not in frame.columns]
        if missing:
            raise ValueError(
                f"a series of {quantity} needs the column {', '.join(missing)}; found {list(frame.columns)}"
            )
        rows = frame.to_dict("records")
        return cls.of(
            x_name,
            quantity,
            [
                Entry(
                    row[x_name] if isinstance(row[x_name], str) else float(row[x_name]),
                    Measured(float(row[quantity]), float(row[u])),
                    {name: float(row[column]) for name, column in shared.items()},
                    x_u=float(row.get(x_u, 0.0)),
                )
                for row in rows
            ],
        )

    @property
    def independent_u(self) -> FloatArray:
        """The part of u that no entry shares."""
        shared = np.sum([part**2 for part in self.shared.values()], axis=0) if self.shared else 0.0
        return np.sqrt(np.maximum(self.u**2 - shared, 0.0))

    @property
    def covariance(self) -> FloatArray:
        """(N, N): u² on the diagonal, products of shared parts beside it."""
        shared = np.zeros((self.value.size, self.value.size))
        for part in self.shared.values():
            shared += np.outer(part, part)
        return shared + np.diag(self.independent_u**2)

    def joined(self, other: "Series") -> "Series":
        """Both series as one. Sources of the same name are the same source.

        Raises:
            ValueError: they are of different quantities or variables, or in different units.
        """
        same_quantity(self.quantity, other.quantity)
        same_quantity(self.x_name, other.x_name)
        reasons = (*self.reasons, *other.reasons)
        return Series.of(self.x_name, self.quantity, [*self.entries(), *other.entries()], reasons)

    def entries(self) -> list[Entry]:
        """The entries, in order."""
        return [
            Entry(
                float(self.x[i]) if self.numeric else self.labels[i],
                Measured(float(self.value[i]), float(self.u[i])),
                {name: float(part[i]) for name, part in self.shared.items()},
                self.labels[i],
                float(self.x_u[i]),
            )
            for i in range(self.value.size)
        ]

    def index(self, which: float | str) -> int:
        """Where the entry with this label or x is.

        Raises:
            ValueError: there is none, or more than one.
        """
        found = [
            i for i in range(self.value.size) if which == (self.labels[i] if isinstance(which, str) else self.x[i])
        ]
        if len(found) != 1:
            have = ", ".join(self.name(i) for i in range(self.value.size))
            raise ValueError(
                f"{'no' if not found else 'more than one'} entry {which!r}: {have}; labels must tell apart"
            )
        return found[0]

    def name(self, index: int) -> str:
        """What to call an entry: its label, else its x."""
        return self.labels[index] or f"{self.x_name} {self.x[index]:g}"

    def frame(self) -> pd.DataFrame:
        """One row per entry: x and its u, the value, its u, the independent part and each shared part of it."""
        columns: dict[str, object] = {"label": list(self.labels)} if any(self.labels) else {}
        if self.numeric:
            columns |= {self.x_name: self.x, u_name(self.x_name): self.x_u}
        columns |= {self.quantity: self.value, u_name(self.quantity): self.u}
        columns[u_name(self.quantity, "independent_u")] = self.independent_u
        for source, part in self.shared.items():
            columns[u_name(self.quantity, f"{source.replace(' ', '_')}_u")] = part
        return pd.DataFrame(columns)


def _check(entry: Entry, quantity: str) -> None:
    where = f"{quantity} at {entry.x}"
    if not entry.value.u > 0.0:
        raise ValueError(f"{where}: the standard uncertainty must be above zero, it is {entry.value.u:g}")
    if not isinstance(entry.x, str) and not math.isfinite(entry.x):
        raise ValueError(f"{where}: x must be finite")
    if not (math.isfinite(entry.x_u) and entry.x_u >= 0.0):
        raise ValueError(f"{where}: the uncertainty of x must be zero or above, it is {entry.x_u:g}")
    shared = math.sqrt(sum(part**2 for part in entry.shared_u.values()))
    if not shared <= entry.value.u * (1.0 + 1e-9):
        raise ValueError(f"{where}: the shared parts, {shared:.3g}, exceed the whole u, {entry.value.u:.3g}")
