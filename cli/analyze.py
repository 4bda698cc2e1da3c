"""`remanence analyze`: the numbers that are in a run or in another maker's file, with what they are worth."""

import json as json_text
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..core.errors import ConfigError, RemanenceError
from ..core.records import EstimateStatus, Measured
from ..engine.analyses import NAMES, Analysis, analyses_of
from ..engine.analysis_input import READING, Input, read_input
from ..engine.analysis_options import split_options
from ..engine.analysis_values import in_words, label_of, unit_of
from ..engine.figures import FORMATS
from ..engine.report import keep
from .report import as_json, print_estimate

_UNTRUSTED = 7
_WIDE = 140
_MAGNETIC = ("magnetisation_loop", "temperature_curves")


def analyze_files(
    paths: Sequence[Path], *, json: bool, figure: bool, method: str = "auto", out: Path | None = None,
    options: Sequence[str] = (), formats: Sequence[str] = (),
) -> int:  # fmt: skip
    """Analyse each file or run; gives the exit code, 7 when any of the results is not to be trusted."""
    if method not in NAMES:
        raise ConfigError(f"{method} is no method", do=f"one of: {', '.join(NAMES)}")
    wrong = [kind for kind in formats if kind not in FORMATS]
    if wrong:
        raise ConfigError(f"{wrong[0]} is no format of a figure", do=f"one of: {', '.join(FORMATS)}")
    given = split_options(options)
    asked = _Asked(method, given, figure, json, out, ("png", *formats))
    codes: list[int] = []
    for path in paths:
        try:
            codes.append(_analyze(path, asked))
        except RemanenceError as error:
            if len(paths) == 1:
                raise
            codes.append(_passed_over(path, error, json=json))
    return max(codes, key=lambda code: (code not in (0, _UNTRUSTED), code), default=0)


@dataclass(frozen=True)
class _Asked:
    """What was asked for, the same for each file."""

    method: str
    options: Mapping[str, str]
    figure: bool
    json: bool
    out: Path | None
    formats: tuple[str, ...]


def _analyze(path: Path, asked: _Asked) -> int:
    said = Console(stderr=True)
    read = read_input(path, {key: asked.options[key] for key in READING if key in asked.options})
    for text in (read.said, *(() if read.run is not None else read.problems)):
        said.print(text, highlight=False, markup=False, soft_wrap=True)
    done = analyses_of(read, asked.method, asked.options)
    for number, analysis in enumerate(done, 1):
        _keep(said, read, analysis, asked, number if len(done) > 1 else 0)
        if asked.json:
            print(_as_json(read, analysis))
        else:
            _print(read, analysis)
    return 0 if all(a.estimate.status is EstimateStatus.RESOLVED for a in done) else _UNTRUSTED


def _passed_over(path: Path, error: RemanenceError, *, json: bool) -> int:
    """Of several files one that cannot be analysed does not keep the others from it."""
    from .main import explain

    Console(stderr=True).print(explain(error), highlight=False, markup=False, soft_wrap=True)
    if json:
        print(json_text.dumps({"file": str(path), "error": error.what, "code": error.code}, ensure_ascii=False))
    return error.exit_code


def _keep(said: Console, read: Input, analysis: Analysis, asked: _Asked, number: int) -> None:
    """Record and figure beside the data or in `out`. A folder that takes nothing is told; the numbers still come."""
    folder = read.folder if asked.out is None else asked.out
    prefix = "" if asked.out is None else f"{_stem(read)}-"
    title = read.title if not analysis.record.piece else f"{read.title}, {analysis.record.piece}"
    try:
        kept = keep(analysis, folder, title, figure=asked.figure, formats=asked.formats, prefix=prefix, number=number)
    except OSError as error:
        text = f"the analysis could not be kept: {error}"
    else:
        drawn = ", ".join(str(path) for path in kept.figures)
        text = f"kept {kept.record}" + (
            f", drawn {drawn}" if drawn else ", nothing to draw yet" if asked.figure else ""
        )
    said.print(text, highlight=False, markup=False, soft_wrap=True)


def _stem(read: Input) -> str:
    return read.path.name if read.path.is_dir() else read.path.stem if read.run is None else read.path.parent.name


def _as_json(read: Input, analysis: Analysis) -> str:
    """One line: for a run of ours what it always held, with the record's fields; for others the record."""
    record = analysis.record.as_dict()
    if read.run is None:
        return json_text.dumps({"file": str(read.path)} | record, ensure_ascii=False, allow_nan=False)
    more = {key: value for key, value in record.items() if key not in ("rows", "lines", "problems", "status", "text")}
    more |= {"damage": list(read.problems)}
    folder = read.folder.parent
    return as_json(folder, read.footer, analysis.estimate, **more)


def _print(read: Input, analysis: Analysis) -> None:
    """The values with their uncertainties in the field's units, then why, then where the uncertainty comes from."""
    out = Console()
    if not out.is_terminal:
        out = Console(width=_WIDE)  # a file has no right edge: no value is broken in two
    estimate = analysis.estimate
    if analysis.record.method == "hall_loop" and read.run is not None:
        if estimate.status is EstimateStatus.RESOLVED:  # otherwise the table is followed by the text and its reasons
            _say(out, estimate.text)
        print_estimate(out, estimate, {})
        return
    where = f"{analysis.record.piece}, {analysis.record.rows}".strip(", ")
    _say(out, f"{analysis.record.method.replace('_', ' ')}{f': {where}' if where else ''}")
    _say(out, estimate.text)
    _say_values(out, analysis)
    for reason in (*estimate.reasons, *analysis.record.notes):
        _say(out, f"  {reason}")
    for line in _budget_lines(analysis):
        _say(out, f"  {line}")


def _budget_lines(analysis: Analysis) -> list[str]:
    """Where each ± comes from: in mT for a field, else relative to the value."""
    estimate = analysis.estimate
    parts: dict[str, dict[str, float]] = {}
    for name, u in estimate.budget.items():
        key, sign, source = name.partition(": ")
        parts.setdefault(key if sign else "coercive_field_T", {})[source if sign else name] = u
    parts |= {key: dict(sources) for key, sources in analysis.record.details.get("budgets", {}).items()}
    lines: list[str] = []
    for key, sources in parts.items():
        value = estimate.values.get(key)
        if value is None:
            continue
        said = [f"{source} {_short(key, u, value)}" for source, u in sources.items() if u > 0.0]
        if said:
            lines.append(f"± of {label_of(key)} comes from: {', '.join(said)}")
    return lines


def _say_values(out: Console, analysis: Analysis) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(justify="right")
    table.columns[0].justify = "left"
    oersted = analysis.record.method in _MAGNETIC
    for key, measured in analysis.estimate.values.items():
        words = in_words(key, measured, oersted=oersted)
        table.add_row(label_of(key), *words[:2])
    for key, value in analysis.record.made_by.items():
        words = in_words(key, Measured(value, 0.0), oersted=oersted)
        table.add_row(f"{label_of(key)}, the maker's", *words[:2])
    if table.row_count:
        out.print(table)


def _short(key: str, u: float, value: Measured) -> str:
    if unit_of(key) == "T":
        return f"{u * 1e3:.2g} mT"
    return f"{100.0 * u / abs(value.value):.2g} %" if value.value else f"{u:.2g}"


def _say(out: Console, text: str) -> None:
    out.print(text, highlight=False, markup=False, soft_wrap=True)
