"""`remanence demo`: the paper's sample on the simulated cryostat, in a window where there is a display."""

import sys
from collections.abc import Callable
from pathlib import Path

from ..engine.background import BackgroundRun
from ..engine.listener import RunListener
from ..engine.live_fit import LiveFit
from ..engine.recipe import apply, check_limits
from ..engine.runner import Runner, RunResult
from ..engine.station import Station
from ..engine.station_file import read_station, reference_station
from ..procedures.hall_loop import HallLoop
from ..simulators.sample import SampleSettings, load_sample
from .session import laboratory_clock, measure, random_bytes, report, simulated_truth
from .view import duration


def run_demo(
    *,
    headless: bool,
    speed: float | None,
    json: bool,
    seed: int | None,
    root: Path,
    max_field: str,
    rate: str,
    no_ahe: bool,
) -> int:
    """One Hall loop at 5 K; gives the exit code."""
    description = read_station(reference_station())
    sample = load_sample(description.simulation.sample)
    if no_ahe:
        sample = sample.model_copy(update={"ahe_amplitude_ohm": 0.0})
    procedure = HallLoop()
    apply(procedure, {"max_field": (max_field, "--max-field"), "rate": (rate, "--rate")})
    check_limits(procedure, description, reference_station(), {"max_field": "--max-field", "rate": "--rate"})
    title = f"Hall loop {procedure.temperature_K:g} K · {sample.name}"
    if not headless and not json:
        from ..gui.app import display_available, display_refusal

        if display_available():
            return _in_a_window(procedure, sample, title, speed=speed, seed=seed, root=root)
        print(f"no window: {display_refusal() or 'nobody could see it'}", file=sys.stderr)
    with Station.open(
        reference_station(), simulate=True, clock=laboratory_clock(speed), seed=seed, sample=sample
    ) as station:
        return measure(
            station, procedure, title=title, root=root, sample=sample.name, seed=seed, json=json,
            truth=simulated_truth(station, procedure),
        )  # fmt: skip


def _in_a_window(
    procedure: HallLoop, sample: SampleSettings, title: str, *, speed: float | None, seed: int | None, root: Path
) -> int:
    from ..gui.app import watch

    fit = LiveFit()
    truth: dict[str, float] = {}
    took = [""]

    def run(listener: RunListener, know: Callable[[Runner], None]) -> RunResult:
        fit.audience.append(listener)
        with Station.open(
            reference_station(), simulate=True, clock=laboratory_clock(speed), seed=seed, sample=sample
        ) as station:
            truth.update(simulated_truth(station, procedure))
            runner = Runner(station, root, listeners=[listener], live_fit=fit, random_bytes=random_bytes(seed))
            know(runner)
            result = runner.run(procedure, sample=sample.name)
            took[0] = f"{duration(station.clock.now())} of laboratory time"
            return result

    background = BackgroundRun(run)
    simulated = "as fast as possible" if speed is None else f"{speed:g}× speed"
    watch(background, title=f"Hall loop {procedure.temperature_K:g} K", simulated=simulated)
    background.wait(timeout_s=60.0)
    if background.error is not None:
        raise background.error
    if background.result is None:
        return 1
    return report(background.result, fit, title=title, took=took[0], json=False, truth=truth)
