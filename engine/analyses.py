"""The methods of analysis by name, and which of them a table asks for by what it holds.

A method is a function from a frame and options to a result with an estimate. Adding one: its function in `analysis/`,
its figure, and a row in METHODS.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import ConfigError
from ..core.records import Estimate
from .analysis_input import READING, Input
from .analysis_options import read_options
from .analysis_pieces import Piece, numbers_of, pieces_of, with_history
from .analysis_record import AnalysisRecord
from .live_fit import estimator_for

AUTO = "auto"


@dataclass(frozen=True)
class Analysis:
    """One finished analysis: what is kept of it, and how its figure is drawn (None when there is nothing to draw)."""

    record: AnalysisRecord
    draw: Callable[[str], Any] | None = None

    @property
    def estimate(self) -> Estimate:
        """What may be said."""
        return self.record.estimate


@dataclass(frozen=True)
class Method:
    """One method: its name on the command line, which sweep it is of, the columns it needs, and how it is run."""

    name: str
    record_name: str
    sweep: str
    columns: tuple[str, ...]
    run: Callable[[Input, Piece, Mapping[str, str]], tuple[Any, dict[str, Any], Callable[[str], Any] | None]]


def analyses_of(given: Input, method: str, options: Mapping[str, str]) -> list[Analysis]:
    """Every analysis that `given` asks for, or the one method that was named, once for each piece it fits.

    `ConfigError` when there is nothing in it that the method, or any method, is for.
    """
    own = {key: text for key, text in options.items() if key not in READING}
    if given.run is not None and method in (AUTO, "hall") and given.header is not None:
        if estimator_for(given.header) is not None:
            return [_hall_of_a_run(given, own)]
        if method == "hall":
            raise ConfigError("there is no Hall loop in this run", where=str(given.path))
    pieces, loose = pieces_of(given.frame)
    pieces = with_history(pieces)
    notes = (f"{loose} rows belong to no sweep of the field or of temperature",) if loose and pieces else ()
    wanted = [(m, piece) for piece in pieces for m in _for_piece(given, piece, method)]
    if not wanted:
        raise ConfigError(
            _nothing_for(given, method, [piece.sweep for piece in pieces]),
            where=str(given.path),
            do=_what_to_do(given, method),
        )
    return [_analysed(given, m, piece, own, notes) for m, piece in wanted]


def _for_piece(given: Input, piece: Piece, method: str) -> list[Method]:
    fitting = [m for m in METHODS if m.sweep == piece.sweep and all(_holds(piece.frame, name) for name in m.columns)]
    if method != AUTO:
        return [m for m in fitting if m.name == method]
    return [m for m in fitting if m.name in _CHOSEN][:1]


def _holds(frame: pd.DataFrame, name: str) -> bool:
    return name in frame and bool(np.isfinite(numbers_of(frame, name)).any())


def _analysed(
    given: Input, method: Method, piece: Piece, options: Mapping[str, str], notes: tuple[str, ...]
) -> Analysis:
    try:
        result, used, draw = method.run(given, piece, options)
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(str(error), where=f"{given.path}, {piece.lines}", do="look at the options") from error
    record = AnalysisRecord(
        method.record_name, result.estimate, (given.source,), used, piece.at, piece.lines, given.problems,
        (*given.notes, *notes), given.made_by, details_of(result),
    )  # fmt: skip
    return Analysis(record, draw)


def details_of(result: Any) -> dict[str, Any]:
    """What a result tells beyond its estimate and is not an array for a figure: covariances, budgets, intervals."""
    told: dict[str, Any] = {}
    for name in ("method", "covariance", "budgets", "intervals_95", "one_band", "delta_bic", "carriers", "shapes"):
        value = getattr(result, name, None)
        if value is not None and not callable(value) and (not hasattr(value, "__len__") or len(value)):
            told[name] = value
    return told


# ---- the methods


def _hall_of_a_run(given: Input, options: Mapping[str, str]) -> Analysis:
    """The code that ran live, over the same rows, with the filter that the run was measured with."""
    from .figures_hall import draw_hall_loop

    assert given.header is not None  # noqa: S101  the caller has looked
    if options:
        raise ConfigError(
            f"{next(iter(options))} is no option of a run of ours: its filter stands in its head", where=str(given.path)
        )
    estimator = estimator_for(given.header)
    assert estimator is not None  # noqa: S101
    for row in given.rows:
        estimator.update(row)
    settings = estimator.settings
    used = {"time_constant_s": settings.time_constant_s, "poles": settings.poles}
    estimate = estimator.estimate()
    record = AnalysisRecord("hall_loop", estimate, (given.source,), used, problems=given.problems)
    legs = [leg for leg in estimator.curve() if len(leg.field_T) > 1]
    return Analysis(record, partial(draw_hall_loop, legs, estimate) if legs else None)


def _hall(given: Input, piece: Piece, options: Mapping[str, str]) -> Any:
    from ..analysis.hall_loop import HallLoopSettings, estimator_of
    from .figures_hall import draw_hall_loop

    def analyse(*, settings: HallLoopSettings) -> None: ...

    settings: HallLoopSettings = read_options(analyse, options)["settings"]
    estimator = estimator_of(piece.frame.reset_index(drop=True), settings)
    legs = [leg for leg in estimator.curve() if len(leg.field_T) > 1]
    result = _Estimated(estimator.estimate())
    used = {key: getattr(settings, key) for key in {"time_constant_s", "poles", *options}}
    return result, used, partial(draw_hall_loop, legs, result.estimate) if legs else None


@dataclass(frozen=True)
class _Estimated:
    """A result that is an estimate and nothing else."""

    estimate: Estimate


def _magnetisation(given: Input, piece: Piece, options: Mapping[str, str]) -> Any:
    from ..analysis.magnetisation_loop import analyze_magnetisation_loop
    from .figures_magnetisation import as_measured, draw_magnetisation

    used = read_options(analyze_magnetisation_loop, options)
    if given.source.kind.startswith("MicroMag"):
        used.setdefault("trapped_u_T", 0.0)  # an electromagnet with a field probe: no flux is trapped
    result = analyze_magnetisation_loop(piece.frame.reset_index(drop=True), **used)
    drawn = as_measured(result, piece.frame)
    return result, used, partial(draw_magnetisation, drawn) if drawn.field_T.size else None


def _two_band(given: Input, piece: Piece, options: Mapping[str, str]) -> Any:
    from ..analysis.two_band import analyze_two_band
    from .figures_transport import draw_two_band

    used = read_options(analyze_two_band, options)
    result = analyze_two_band(piece.frame.reset_index(drop=True), **used)
    return result, used, partial(draw_two_band, result) if result.curve is not None else None


def _single_band(given: Input, piece: Piece, options: Mapping[str, str]) -> Any:
    from ..analysis.single_band import analyze_single_band
    from .figures_transport import draw_single_band

    used = read_options(analyze_single_band, options)
    result = analyze_single_band(piece.frame.reset_index(drop=True), **used)
    return result, used, partial(draw_single_band, result) if result.field_T.size else None


def _temperature(given: Input, piece: Piece, options: Mapping[str, str]) -> Any:
    from ..analysis.temperature_curves import analyze_temperature_curves
    from .figures_temperature import draw_temperature_curves

    used = read_options(analyze_temperature_curves, options)
    result = analyze_temperature_curves(piece.frame.reset_index(drop=True), **used)
    return result, used, partial(draw_temperature_curves, result)


METHODS: tuple[Method, ...] = (
    Method("hall", "hall_loop", "field", ("field_T", "R_xy_ohm", "time_s"), _hall),
    Method("magnetisation", "magnetisation_loop", "field", ("field_T", "moment_Am2"), _magnetisation),
    Method("temperature", "temperature_curves", "temperature", ("temperature_K", "moment_Am2"), _temperature),
    Method("two-band", "two_band", "field", ("field_T", "R_xy_ohm"), _two_band),
    Method("single-band", "single_band", "field", ("field_T", "R_xy_ohm"), _single_band),
)
# What auto may choose: the rest needs to be asked for by name.
_CHOSEN = {"hall", "magnetisation", "temperature"}
NAMES = (AUTO, *(method.name for method in METHODS))


def _nothing_for(given: Input, method: str, sweeps: Sequence[str]) -> str:
    if method != AUTO:
        needs = next(m.columns for m in METHODS if m.name == method)
        return f"there is nothing in it for the method {method}, which needs a sweep with {', '.join(needs)}"
    if not len(given.frame):
        return "there are no rows of data in it"
    if given.run is not None:
        return "there is no Hall loop in this run"
    if not any(name in given.frame for name in ("moment_Am2", "R_xy_ohm")):
        return "it holds no moment and no Hall resistance"
    if sweeps:
        return f"there is no method for what it holds, a sweep of the {sweeps[0]}"
    return "it holds no sweep of the field and none of the temperature"


def _what_to_do(given: Input, method: str) -> str:
    resistances = [given_name for key, given_name in _sources(given).items() if key.endswith("_ohm")]
    if resistances and "R_xy_ohm" not in given.frame:
        names = ", ".join(repr(name) for name in resistances)
        return f'it holds the resistances {names}: say which is which with --option R_xy="…" --option R_xx="…"'
    if given.run is not None:
        return "analyse it by hand from run.csv"
    return f"it holds the columns {', '.join(map(str, given.frame.columns)) or 'none'}"


def _sources(given: Input) -> Mapping[str, str]:
    return {str(name): str(name) for name in given.frame.columns} | dict(given.columns)
