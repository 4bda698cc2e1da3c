"""What is kept of an analysis beside its data: the record as JSON, and its figure."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..analysis.hall_loop import HallLoopEstimator
from ..core.records import Estimate
from .analyses import Analysis
from .analysis_record import AnalysisRecord, Source, sha256_of
from .figures import save
from .figures_hall import draw_hall_loop

_JOURNAL = "run.jsonl"


def keep_analysis(folder: Path, estimate: Estimate | None, estimator: HallLoopEstimator | None, title: str) -> str:
    """Write `analysis/hall_loop.json` and `analysis/loop.png` into the folder of a run that has just ended.

    Gives the figure's name within the folder, empty when there was nothing to draw. Analyses may be made again: both
    files are replaced, the run itself is not touched. `OSError` if they cannot be kept.
    """
    if estimate is None or estimator is None:
        return ""
    journal = folder / _JOURNAL
    sources = (Source(journal, "remanence run", sha256_of(journal)),) if journal.exists() else ()
    settings = estimator.settings
    used = {"time_constant_s": settings.time_constant_s, "poles": settings.poles}
    record = AnalysisRecord("hall_loop", estimate, sources, used)
    legs = [leg for leg in estimator.curve() if len(leg.field_T) > 1]
    analysis = Analysis(record, partial(draw_hall_loop, legs, estimate) if legs else None)
    kept = keep(analysis, folder / "analysis", title, figure=True)
    return f"analysis/{kept.figures[0].name}" if kept.figures else ""


class Kept:
    """The files that an analysis left."""

    def __init__(self, record: Path, figures: Sequence[Path]) -> None:
        self.record = record
        self.figures = tuple(figures)


def keep(
    analysis: Analysis, folder: Path, title: str, *, figure: bool, formats: Sequence[str] = ("png",), prefix: str = "",
    number: int = 0,
) -> Kept:  # fmt: skip
    """Write the record, and the figure if it is wanted, into `folder`, which is made.

    `prefix` and `number` (of several pieces in one file) tell apart what would have one name. `OSError` if the
    folder takes nothing; then nothing is half-written.
    """
    name = prefix + analysis.record.method + _suffix(analysis.record.piece, number)
    record = folder / f"{name}.json"
    analysis.record.keep(record)
    if not figure or analysis.draw is None:
        return Kept(record, ())
    # The figure of a Hall loop had its name before there were others.
    drawn = prefix + "loop" + _suffix(analysis.record.piece, number) if analysis.record.method == "hall_loop" else name
    return Kept(record, save(analysis.draw(title), folder / drawn, formats))


def _suffix(piece: str, number: int) -> str:
    if not number:
        return ""
    return f"-{number}-{piece.replace(' ', '')}" if piece else f"-{number}"
