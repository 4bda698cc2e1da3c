"""What is kept of an analysis: enough to know years later which data, which code and which options gave the numbers."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from ..core.records import Estimate, Measured
from .analysis_values import unit_of

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Source:
    """One file that an analysis saw: where it lies, what it is, and the hash of its bytes."""

    path: Path
    kind: str
    sha256: str


@dataclass(frozen=True, slots=True)
class AnalysisRecord:
    """One analysis of one piece of data.

    `method` is the method's name, `piece` what part of the file it is of (`at 5.00 K`), `options` what was asked for
    beside the data, `details` what a method tells beyond its estimate, in SI and keyed with its unit.
    """

    method: str
    estimate: Estimate
    sources: tuple[Source, ...]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    piece: str = ""
    rows: str = ""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    made_by: Mapping[str, float] = field(default_factory=dict[str, float])
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def as_dict(self) -> dict[str, Any]:
        """The record as plain values that JSON knows. Numbers that are not finite become null."""
        estimate = self.estimate
        record: dict[str, Any] = {
            "schema": SCHEMA,
            "analysis": self.method,
            "software": {"remanence": code_version()},
            "inputs": [{"path": str(s.path), "kind": s.kind, "sha256": s.sha256} for s in self.sources],
            "options": dict(self.options),
            "piece": self.piece,
            "lines": self.rows,
            "status": str(estimate.status),
            "text": estimate.text,
            "rows": estimate.rows,
            "values": {key: quantity(key, measured) for key, measured in estimate.values.items()},
            "budget": dict(estimate.budget),
            "reasons": list(estimate.reasons),
            "problems": list(self.problems),
            "notes": list(self.notes),
        }
        if self.made_by:
            record["made_by_maker"] = {key: {"value": v, "unit": unit_of(key)} for key, v in self.made_by.items()}
        if self.details:
            record["details"] = dict(self.details)
        return cast("dict[str, Any]", finite(record))

    def text(self) -> str:
        """The record as JSON."""
        return json.dumps(self.as_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def keep(self, path: Path) -> None:
        """Write the record; a file of that name is replaced whole, never half.

        `OSError` if that cannot be.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f"{path.name}.part")
        half.write_text(self.text(), encoding="utf-8")
        half.replace(path)


def quantity(key: str, measured: Measured) -> dict[str, Any]:
    """A value with its uncertainty and the unit that its key names."""
    return {"value": measured.value, "u": measured.u, "unit": unit_of(key)}


def code_version() -> str:
    """The version of this program as installed."""
    try:
        return version("remanence")
    except PackageNotFoundError:
        return "not installed"


def sha256_of(path: Path) -> str:
    """The hash of a file's bytes. `OSError` if it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def finite(value: Any) -> Any:
    """Plain values, lists and mappings with null where a number is not finite, as JSON has none."""
    if isinstance(value, Mapping):
        return {str(key): finite(entry) for key, entry in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Measured):
        return {"value": finite(value.value), "u": finite(value.u)}
    if hasattr(value, "tolist"):
        return finite(value.tolist())
    if isinstance(value, Iterable):
        return [finite(entry) for entry in cast("Iterable[Any]", value)]
    return str(value)
