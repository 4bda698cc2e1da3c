"""A finished run, said: the values with their uncertainties, the truth where it is known, the hardware, the files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..core.quantities import format_measured
from ..core.records import Estimate, EstimateStatus, Footer, Measured, Outcome

# (key of the estimate, how people write it, unit shown, factor to it)
_LINES = (
    ("coercive_up_T", "+B_C", "mT", 1e3),
    ("coercive_down_T", "−B_C", "mT", 1e3),
    ("coercive_field_T", "B_C", "mT", 1e3),
    ("loop_centre_T", "loop centre", "mT", 1e3),
    ("ahe_amplitude_ohm", "R_AHE", "Ω", 1.0),
    ("width_T", "switching width", "mT", 1e3),
    ("ordinary_slope_ohm_per_T", "dR_xy/dB at 0", "Ω/T", 1.0),
    ("delay_s", "total delay", "s", 1.0),
    ("trapped_field_T", "trapped field at B_C", "mT", 1e3),
    ("temperature_K", "temperature", "K", 1.0),
)
_UNITS = {"T": "T", "ohm": "ohm", "K": "K", "s": "s", "ohm_per_T": "ohm/T"}
_COMPLETE = 0
_SAFE_ABORT = 6
_UNTRUSTED = 7


def print_estimate(console: Console, estimate: Estimate, truth: Mapping[str, float]) -> None:
    """A table of every value with its uncertainty; the truth and the distance to it where the truth is known."""
    table = Table(box=None, pad_edge=False, show_header=bool(truth))
    for heading in ("", "measured", *(("truth", "off by") if truth else ())):
        table.add_column(heading, justify="left" if not heading else "right")
    for key, label, unit, scale in _LINES:
        value = estimate.values.get(key)
        if value is None:
            continue
        cells = [label, format_measured(value, unit, scale)]
        if key in truth:
            cells += [f"{truth[key] * scale:.2f} {unit}", f"{(value.value - truth[key]) / value.u:+.1f} u"]
        table.add_row(*cells)
    if table.row_count:
        console.print(table)
    if estimate.status is not EstimateStatus.RESOLVED:
        console.print(estimate.text, highlight=False, markup=False, soft_wrap=True)
    for reason in estimate.reasons:
        console.print(f"  {reason}", highlight=False, markup=False, soft_wrap=True)


def as_json(folder: Path, footer: Footer | None, estimate: Estimate | None, **more: Any) -> str:
    """One line of JSON: SI units, `value`, `u`, `unit` for each quantity."""
    record: dict[str, Any] = {"run": folder.name, "folder": str(folder)}
    if footer is not None:
        record |= {"outcome": footer.outcome, "rows": footer.rows, "reason": footer.reason, "hardware": footer.hardware}
    if estimate is not None:
        record |= {
            "status": estimate.status, "text": estimate.text, "reasons": list(estimate.reasons),
            "values": {key: _quantity(key, value) for key, value in estimate.values.items()},
            "budget_T": dict(estimate.budget),
        }  # fmt: skip
    return json.dumps(record | more, ensure_ascii=False, allow_nan=False)


def _quantity(key: str, measured: Measured) -> dict[str, Any]:
    unit = next(
        (unit for suffix, unit in sorted(_UNITS.items(), key=lambda i: -len(i[0])) if key.endswith("_" + suffix)), ""
    )
    return {"value": measured.value, "u": measured.u, "unit": unit}


def exit_code(footer: Footer, estimate: Estimate | None, error: BaseException | None) -> int:
    """The exit code of a finished run."""
    if footer.outcome is Outcome.ABORTED:
        return _SAFE_ABORT
    if footer.outcome is Outcome.FAILED:
        return int(getattr(error, "exit_code", 1))
    trusted = estimate is None or estimate.status is EstimateStatus.RESOLVED
    return _COMPLETE if trusted else _UNTRUSTED
