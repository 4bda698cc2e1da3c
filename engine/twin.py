"""The simulated twin of a station: the same file, the same drivers, simulated wires.

The front panel of `remanence.instruments.srs:SR830` is `remanence.simulators.srs:SR830`; a driver of your own names
its panel in a class attribute `twin = "package.module:Class"`, and an instrument of the file may name one itself.
"""

from typing import Any, cast

from ..core.clock import Clock
from ..core.errors import ConfigError
from ..simulators.contacts import ContactSettings
from ..simulators.coolant import CryocoolerSettings, HeliumSettings
from ..simulators.cryostat import CryostatSettings
from ..simulators.front_panel import FrontPanel
from ..simulators.magnet import MagnetSettings
from ..simulators.sample import SampleSettings, load_sample
from ..simulators.world import World, WorldSettings
from .driver_names import load_class, load_driver
from .guard_settings import field_constant
from .opening import canonical
from .station_file import InstrumentEntry, StationFile

Corners = tuple[float, float, float, float]
# No two bonds are alike.
_UNLIKE = (0.9, 1.03, 0.95, 1.08)
# What a magnet is like where its station file does not say: field constant (T/A), henry, volt, (tesla, tesla/second).
_CONSTANT, _INDUCTANCE_H, _VOLTAGE_V, _SEGMENT = 0.1, 10.0, 5.0, (5.0, 8e-3)
_SWITCH_SHARE, _LEAST_MATCH_A = 0.8, 0.05

__all__ = ["build_panels", "build_world", "load_class"]
_DRIVERS, _PANELS = "remanence.instruments.", "remanence.simulators."


def build_world(station: StationFile, clock: Clock, seed: int, sample: SampleSettings | None = None) -> World:
    """The physics behind a station: its magnet by its guard's numbers, its sample by `[simulation]`."""
    name = station.roles.get("field", "")
    if name not in station.guard:
        raise ConfigError(f"the magnet {name!r} has no [guard.{name}], so nothing is known of it")
    # Each further magnet has coils of its own, by the axes that its front panel drives.
    more_coils = {
        axis: _magnet(station, other) for other in station.guard if other != name for axis in _axes(station, other)
    }
    simulation, corners = station.simulation, station.simulation.contacts
    settings = WorldSettings(
        _magnet(station, name),
        CryostatSettings(start_K=simulation.start_temperature, cooling_W_per_K=simulation.cooling_power),
        sample or load_sample(simulation.sample),
        more_coils=more_coils,
        contacts=ContactSettings(
            anisotropy=corners.anisotropy,
            resistance_ohm=cast(Corners, tuple(share * corners.resistance for share in _UNLIKE)),
            thermal_V=corners.thermal_emf,
            drift_V_per_h=corners.drift,
            bad_contact=corners.bad,
            gap_ohm=corners.gap,
        ),
    )
    return World(settings, clock, seed)


def _axes(station: StationFile, name: str) -> list[str]:
    options = station.instruments[name].panel_options
    return list(options.get("axes", [options.get("axis", name)]))


def _magnet(station: StationFile, name: str) -> MagnetSettings:
    """A magnet by its guard's numbers; what no guard says is the same for all of them.

    A twin is also made of a file that leaves a safety setting out: its guard will refuse to move it, and that is to be
    seen. What the file does not say the twin has by assumption.
    """
    guard, simulation = station.guard[name], station.simulation
    constant = field_constant(station, name) or _CONSTANT
    segments = [(segment.to, segment.rate) for segment in guard.segments or ()] or [_SEGMENT]
    switch = guard.switch
    times: dict[str, Any] = {}
    if switch is not None:
        # The twin's switch is a little quicker than the guard waits, as a magnet's should be.
        times = {
            key: _SWITCH_SHARE * seconds
            for key, seconds in (("warm_time_s", switch.warm_time), ("cool_time_s", switch.cool_time))
            if seconds
        }
        if switch.match:
            times["match_tolerance_A"] = max(2.0 * switch.match, _LEAST_MATCH_A)
    return MagnetSettings(
        tesla_per_ampere=constant,
        inductance_H=guard.inductance or _INDUCTANCE_H,
        switch_resistance_ohm=simulation.switch_resistance,
        voltage_limit_V=guard.voltage_limit or _VOLTAGE_V,
        lead_resistance_ohm=simulation.lead_resistance,
        segments=tuple((to / constant, rate / constant) for to, rate in segments),
        switch_fitted=switch is None or not switch.absent,
        **times,
        trapped_field_T=simulation.trapped_field,
        trapped_scale_T=simulation.trapped_scale,
        offset_T=simulation.field_offset,
        eddy_time_s=simulation.eddy_time,
        coolant=HeliumSettings() if simulation.cooling == "helium" else CryocoolerSettings(),
    )


def build_panels(station: StationFile, world: World) -> dict[str, FrontPanel]:
    """A front panel for each instrument, by the VISA resource at which the station expects it.

    Instruments that share a resource are one instrument: it is the first of them, with its panel options.
    """
    panels: dict[str, FrontPanel] = {}
    seen: set[str] = set()
    for name, entry in station.instruments.items():
        if canonical(entry.resource) in seen:
            continue
        seen.add(canonical(entry.resource))
        twin = entry.panel or _twin(entry)
        try:
            panels[entry.resource] = load_class(twin)(world, name, entry.wiring, **entry.panel_options)
        except TypeError as error:
            raise ConfigError(f"{twin} does not take the panel_options of {name!r}: {error}") from error
    return panels


def _twin(entry: InstrumentEntry) -> str:
    driver = load_driver(entry.driver)
    dotted = f"{driver.__module__}:{driver.__name__}"
    return getattr(driver, "twin", "") or dotted.replace(_DRIVERS, _PANELS, 1)
