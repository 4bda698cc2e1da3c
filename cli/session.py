"""One run from the command line: drive it here or under a window, then report it and give the exit code."""

import random
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from ..core.clock import Clock, PacedClock, SystemClock, VirtualClock
from ..core.errors import RemanenceError
from ..engine.live_fit import LiveFit
from ..engine.report import keep_analysis
from ..engine.runner import Runner, RunResult
from ..engine.station import Station
from ..procedures.base import Procedure
from ..procedures.hall_loop import HallLoop
from .report import as_json, exit_code, print_estimate
from .stop import CUT_SHORT, stop_signals
from .view import TerminalView, duration


def laboratory_clock(speed: float | None) -> Clock:
    """The clock of a simulated laboratory: virtual unless a speed for watching was asked for."""
    return VirtualClock() if speed is None else PacedClock(speed)


def random_bytes(seed: int | None) -> Callable[[int], bytes]:
    """Where a run's identifier comes from: a seed makes it, and so the whole run, repeatable."""
    return secrets.token_bytes if seed is None else random.Random(seed).randbytes  # noqa: S311  an identifier, no secret


def measure(
    station: Station,
    procedure: Procedure,
    *,
    title: str,
    root: Path,
    sample: str,
    note: str = "",
    recipe: Mapping[str, Any] | None = None,
    seed: int | None = None,
    json: bool = False,
    truth: Mapping[str, float] | None = None,
) -> int:
    """Run in this terminal and report; gives the exit code."""
    said = Console(stderr=True)
    view = TerminalView(said, title)
    fit = LiveFit([view])
    runner = Runner(station, root, listeners=[view], live_fit=fit, random_bytes=random_bytes(seed))
    clock, real = station.clock, SystemClock()
    began_s, began_real_s = clock.now(), real.now()
    with stop_signals(runner) as stop:
        try:
            result = runner.run(procedure, sample=sample, note=note, recipe=recipe)
        finally:
            view.close()
        took = f"{duration(clock.now() - began_s)} of laboratory time in {real.now() - began_real_s:.1f} s"
        try:
            code = report(result, fit, title=title, took=took, json=json, truth=truth or {})
        except KeyboardInterrupt:
            code = CUT_SHORT
            said.print(f"The report was cut short. saved {result.folder}", highlight=False, soft_wrap=True)
        return stop.exit_code(code)


def report(result: RunResult, fit: LiveFit, *, title: str, took: str, json: bool, truth: Mapping[str, float]) -> int:
    """Say how a run ended, keep its analysis and figure beside it, and give the exit code."""
    footer, estimate = result.footer, result.estimate
    said, out = Console(stderr=True), Console()
    # Where the magnet is comes first: what follows may fail on a full disk.
    ending = f"{title}: {footer.outcome}, {footer.rows} rows, {took}"
    said.print(
        ending if not footer.reason else f"{ending}. {footer.reason}", highlight=False, markup=False, soft_wrap=True
    )
    if footer.hardware:
        said.print(footer.hardware, highlight=False, markup=False, soft_wrap=True)
    if json:
        print(as_json(result.folder, footer, estimate, run=result.header.uid, truth=dict(truth)))
    elif estimate is not None:
        print_estimate(out, estimate, truth)
    try:
        figure = keep_analysis(result.folder, estimate, fit.estimator, title)
    except OSError as error:
        figure = ""
        said.print(f"the analysis could not be kept: {error}", highlight=False, markup=False, soft_wrap=True)
    said.print(f"saved {result.folder}", highlight=False, soft_wrap=True)
    files = ["run.jsonl (the journal)", "run.csv (for Excel, Origin, PyMeasure)", *([figure] if figure else [])]
    said.print("      " + "  ".join(files), highlight=False, markup=False, soft_wrap=True)
    if result.error is not None and not isinstance(result.error, RemanenceError):
        said.print("This is a bug in remanence: the traceback is in the run's journal.", highlight=False)
        print(f"{type(result.error).__name__}: {result.error}", file=sys.stderr)
    return exit_code(footer, estimate, result.error)


def simulated_truth(station: Station, procedure: HallLoop) -> dict[str, float]:
    """What the estimate of a simulated Hall loop should come to, in applied field; empty on a rig."""
    world = station.world
    if world is None or not world.settings.sample.ahe_amplitude_ohm:
        return {}
    offset_T = world.settings.magnet.offset_T
    coercive_T = world.sample.coercive_field(procedure.temperature_K, procedure.rate_T_per_s)
    # A constant offset of the field shifts both crossings alike and cannot be told from a shifted loop.
    return {
        "coercive_up_T": coercive_T - offset_T,
        "coercive_down_T": -coercive_T - offset_T,
        "coercive_field_T": coercive_T,
        "loop_centre_T": -offset_T,
    }
