"""The simulated twin of a station: the same file, the same drivers, simulated wires.

The front panel of `remanence.instruments.srs:SR830` is `remanence.simulators.srs:SR830`; a driver of your own names
its panel in a class attribute `twin = "package.module:Class"`.
"""

from importlib import import_module
from typing import Any

from ..core.clock import Clock
from ..core.errors import ConfigError
from ..simulators.cryostat import CryostatSettings
from ..simulators.front_panel import FrontPanel
from ..simulators.magnet import MagnetSettings
from ..simulators.sample import SampleSettings, load_sample
from ..simulators.world import World, WorldSettings
from .station_file import StationFile, field_constant

_DRIVERS, _PANELS = "remanence.instruments.", "remanence.simulators."


def load_class(dotted: str) -> Any:
    """The class at `package.module:Class`, as a station file names it.

    Raises:
        ConfigError: there is no such module or class.
    """
    module_name, _, class_name = dotted.partition(":")
    try:
        return getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"there is no {dotted!r}: {error}", do="check the driver's dotted path") from error


def build_world(station: StationFile, clock: Clock, seed: int, sample: SampleSettings | None = None) -> World:
    """The physics behind a station: its magnet by its guard's numbers, its sample by `[simulation]`."""
    simulation = station.simulation
    name = station.roles.get("field", "")
    guard = station.guard.get(name)
    if guard is None:
        raise ConfigError(f"the magnet {name!r} has no [guard.{name}], so nothing is known of it")
    constant = field_constant(station, name)
    magnet = MagnetSettings(
        tesla_per_ampere=constant,
        inductance_H=guard.inductance,
        switch_resistance_ohm=simulation.switch_resistance,
        voltage_limit_V=guard.voltage_limit,
        lead_resistance_ohm=simulation.lead_resistance,
        segments=tuple((segment.to / constant, segment.rate / constant) for segment in guard.segments),
        trapped_field_T=simulation.trapped_field,
        trapped_scale_T=simulation.trapped_scale,
        offset_T=simulation.field_offset,
    )
    cryostat = CryostatSettings(start_K=simulation.start_temperature)
    return World(WorldSettings(magnet, cryostat, sample or load_sample(simulation.sample)), clock, seed)


def build_panels(station: StationFile, world: World) -> dict[str, FrontPanel]:
    """A front panel for each instrument, by the VISA resource at which the station expects it."""
    panels: dict[str, FrontPanel] = {}
    for name, entry in station.instruments.items():
        twin = getattr(load_class(entry.driver), "twin", entry.driver.replace(_DRIVERS, _PANELS, 1))
        panels[entry.resource] = load_class(twin)(world, name, entry.wiring)
    return panels
