"""`remanence analyze`: fit what is in a run, whatever state it was left in."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ..core.errors import ConfigError
from ..core.records import EstimateStatus
from ..engine.live_fit import estimator_for
from ..engine.report import keep_analysis
from ..storage import read_run
from .report import as_json, print_estimate

_UNTRUSTED = 7


def analyze_runs(paths: Sequence[Path], *, json: bool, figure: bool) -> int:
    """Fit each run; gives the exit code, 7 when any of the fits is not to be trusted."""
    out, said = Console(), Console(stderr=True)
    trusted = True
    for path in paths:
        if not path.exists():
            raise ConfigError("there is no such run", where=str(path), do="give a run's folder or its run.jsonl")
        run = read_run(path)
        folder = path if path.is_dir() else path.parent
        said.print(run.summary(), highlight=False, markup=False, soft_wrap=True)
        if run.header is None:
            raise ConfigError("the journal has no head, so nothing is known of its columns", where=str(path))
        estimator = estimator_for(run.header)
        if estimator is None:
            raise ConfigError(
                "there is no Hall loop in this run", where=str(path), do="analyse it by hand from run.csv"
            )
        for row in run.rows():
            estimator.update(row)
        estimate = estimator.estimate()
        if figure:
            try:
                drawn = keep_analysis(folder, estimate, estimator, f"{run.header.sample} {folder.name}".strip())
                saying = f"drawn {folder / drawn}" if drawn else "nothing to draw yet"
            except OSError as error:
                saying = f"the analysis could not be kept: {error}"
            said.print(saying, highlight=False, markup=False, soft_wrap=True)
        if json:
            print(as_json(folder, run.footer, estimate, damage=[str(damage) for damage in run.damage]))
        else:
            if (
                estimate.status is EstimateStatus.RESOLVED
            ):  # otherwise the table is followed by the text and its reasons
                out.print(estimate.text, highlight=False, markup=False, soft_wrap=True)
            print_estimate(out, estimate, {})
        trusted = trusted and estimate.status is EstimateStatus.RESOLVED
    return 0 if trusted else _UNTRUSTED
