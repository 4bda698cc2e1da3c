"""`remanence run`: a recipe on a station, or on its simulated twin."""

from collections.abc import Sequence
from pathlib import Path

from ..core.errors import ConfigError
from ..engine.recipe import check_limits, read_recipe
from ..engine.station import Station
from ..engine.station_file import read_station, reference_station
from ..engine.toml_file import place
from ..procedures.hall_loop import HallLoop
from .session import laboratory_clock, measure, simulated_truth


def run_recipe(
    recipe_path: Path,
    *,
    station: Path | None,
    simulate: bool,
    overrides: Sequence[str],
    note: str,
    speed: float | None,
    json: bool,
    seed: int | None,
    root: Path,
) -> int:
    """Check everything, then run; gives the exit code."""
    if station is None and not simulate:
        raise ConfigError("no station was named", do="give --station station.toml, or --simulate for the reference rig")
    if speed is not None and not simulate:
        raise ConfigError("--speed is for simulated time: a real magnet keeps its own", do="add --simulate")
    station_path = station or reference_station()
    recipe = read_recipe(recipe_path, dict(_pair(text) for text in overrides))
    places = {key: place(recipe_path, ["parameters", key]) for key in ("max_field", "rate")}
    check_limits(recipe.procedure, read_station(station_path), station_path, places)
    clock = laboratory_clock(speed) if simulate else None
    with Station.open(station_path, simulate=simulate, clock=clock, seed=seed) as opened:
        sample = recipe.sample or (opened.world.settings.sample.name if opened.world else "")
        title = f"{type(recipe.procedure).__name__} {sample}".strip()
        truth = simulated_truth(opened, recipe.procedure) if isinstance(recipe.procedure, HallLoop) else {}
        return measure(
            opened, recipe.procedure, title=title, root=root, sample=sample,
            note=note or recipe.note, recipe=recipe.resolved, seed=seed, json=json, truth=truth,
        )  # fmt: skip


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise ConfigError(f"--set {text!r} has no value", do='write --set max_field="2 T"')
    return key.strip(), value.strip().strip('"')
