"""What a `station.toml` may say. The models here are its only description; unknown keys are refused."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ..core.errors import ConfigError
from ..core.quantities import parse
from .toml_file import nearest, place, read_toml, validate

_BENCH = ".station.toml"


def _quantity(unit: str, value: Any) -> float:
    if not isinstance(value, str):
        raise ValueError(f'{value!r} has no unit: write "{value} {unit}" if that is what you mean')
    try:
        return parse(value, unit)
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _unit(unit: str) -> BeforeValidator:
    return BeforeValidator(partial(_quantity, unit))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InstrumentEntry(_Strict):
    """One instrument: the dotted path of its driver, its VISA resource, the driver's options.

    `driver` may also be the name of an entry point. Where `serial` is given, an instrument with another is refused.
    `wiring` names the contacts a meter is connected to (`xx`, `xy`): a note for people, and what the twin measures.
    `panel` is the front panel of its twin where that is not the driver's own, with options of its own. An instrument
    with a panel and no driver can only be simulated.
    """

    driver: str = Field(default="", pattern=r"^([\w.-]+(:[\w-]+)?)?$")
    resource: str
    serial: str | None = Field(default=None, min_length=1)
    options: dict[str, Any] = Field(default_factory=dict[str, Any])
    wiring: str = ""
    panel: str = Field(default="", pattern=r"^([\w.]+:\w+)?$")
    panel_options: dict[str, Any] = Field(default_factory=dict[str, Any])


class Segment(_Strict):
    """A stretch of field with its largest ramp rate."""

    to: Annotated[float, _unit("T")]
    rate: Annotated[float, _unit("T/s")]


def _said_none(value: Any) -> Any:
    """`"none"` says that a magnet has no such thing, which is not the same as saying nothing of it."""
    return {"absent": True} if value == "none" else value


class SwitchEntry(_Strict):
    """The persistent switch: how long it warms and cools, how near leads and coil must be, how fast leads may go."""

    absent: bool = False
    warm_time: Annotated[float, _unit("s")] | None = None
    cool_time: Annotated[float, _unit("s")] | None = None
    match: Annotated[float, _unit("A")] | None = None
    leads_rate: Annotated[float, _unit("A/s")] | None = None


class CoilSensorEntry(_Strict):
    """What tells the coil's temperature: an instrument of this station, and its input where it has several."""

    absent: bool = False
    instrument: str | None = None
    input: str | None = None
    coldest: Annotated[float, _unit("K")] | None = None
    warmest: Annotated[float, _unit("K")] | None = None
    patience: Annotated[float, _unit("s")] | None = None


class HeliumEntry(_Strict):
    """What tells the level of the helium, as a share of full, and the level below which the magnet goes to zero."""

    absent: bool = False
    instrument: str | None = None
    lowest: Annotated[float, _unit("percent")] | None = None
    patience: Annotated[float, _unit("s")] | None = None


class ZoneEntry(_Strict):
    """A stretch of field into which the magnet is never driven."""

    low: Annotated[float, _unit("T")]
    high: Annotated[float, _unit("T")]


class GuardEntry(_Strict):
    """What a magnet stands. Every key is required, and none has a default.

    One that is missing here makes the magnet monitor-only: it is shown and not moved. What a magnet has not is said,
    as in `switch = "none"`. `supply = "managed"` is one that drives its magnet by itself and knows the field only;
    then inductance, voltage_limit and field_constant are not asked.

    `guardian` is how the process reaches the supply that holds it when this program dies: `beside` by a connection of
    its own, `through` by the only one, which it relays, or `"none"`. A simulated station has none and needs none.
    """

    serial: str | None = None
    supply: Literal["managed"] | None = None
    field_constant: Annotated[float, _unit("T/A")] | None = None
    largest_field: Annotated[float, _unit("T")] | None = None
    inductance: Annotated[float, _unit("H")] | None = None
    voltage_limit: Annotated[float, _unit("V")] | None = None
    segments: tuple[Segment, ...] | None = None
    tolerance: Annotated[float, _unit("T")] | None = None
    settle: Annotated[float, _unit("s")] | None = None
    reversal_settle: Annotated[float, _unit("s")] | None = None
    switch: Annotated[SwitchEntry, BeforeValidator(_said_none)] | None = None
    coil_sensor: Annotated[CoilSensorEntry, BeforeValidator(_said_none)] | None = None
    helium: Annotated[HeliumEntry, BeforeValidator(_said_none)] | None = None
    zones: tuple[ZoneEntry, ...] | None = None
    on_abort: Literal["hold", "zero"] | None = None
    on_end: Literal["hold", "zero", "persistent"] | None = None
    on_comm_loss: Literal["hold", "continue"] | None = None
    guardian: Literal["beside", "through", "none"] | None = None


class WatchEntry(_Strict):
    """What a temperature loop may do: nothing above `largest`, and no more than `overshoot` above its set point."""

    largest: Annotated[float, _unit("K")]
    overshoot: Annotated[float, _unit("K")]


class ContactsEntry(_Strict):
    """How the twin's four corner contacts are made; `bad` is the number of a bad one."""

    anisotropy: float = Field(default=1.0, gt=0)
    resistance: Annotated[float, _unit("ohm")] = 200.0
    thermal_emf: Annotated[float, _unit("V")] = 1e-6
    drift: Annotated[float, _unit("V/hour")] = 50e-9
    bad: int = Field(default=0, ge=0, le=4)
    gap: Annotated[float, _unit("ohm")] = 1e6


class SimulationEntry(_Strict):
    """What the simulated twin is made of, beyond what the rest of the file says."""

    sample: str = "park2020_deficient"
    seed: int = 1
    start_temperature: Annotated[float, _unit("K")] = 6.0
    switch_resistance: Annotated[float, _unit("ohm")] = 50.0
    lead_resistance: Annotated[float, _unit("ohm")] = 4e-3
    trapped_field: Annotated[float, _unit("T")] = 0.0
    trapped_scale: Annotated[float, _unit("T")] = 0.3
    field_offset: Annotated[float, _unit("T")] = 0.0
    eddy_time: Annotated[float, _unit("s")] = 0.0
    cooling: Literal["cryocooler", "helium"] = "cryocooler"
    cooling_power: Annotated[float, _unit("W/K")] = 0.02
    contacts: ContactsEntry = ContactsEntry()


class VectorEntry(_Strict):
    """A vector magnet: its axes by the instruments that drive them, and the fields that it stands together.

    `largest_field` is the largest magnitude. `boxes` are more fields that are allowed, each up to a component by axis:
    a magnet that stands 9 T along one axis alone, and 1 T in any direction.
    """

    axes: dict[str, str] = Field(min_length=2)
    largest_field: Annotated[float, _unit("T")] = Field(gt=0)
    boxes: tuple[dict[str, Annotated[float, _unit("T")]], ...] = ()


class StationFile(_Strict):
    """A whole `station.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal[1] = Field(alias="schema")
    name: str
    rig: str = Field(min_length=1)
    # Which VISA talks to the rig: `@py` is PyVISA-py, `@ivi` NI's or Keysight's.
    visa_library: str = "@py"
    instruments: dict[str, InstrumentEntry]
    roles: dict[str, str]
    guard: dict[str, GuardEntry] = Field(default_factory=dict[str, GuardEntry])
    watch: dict[str, WatchEntry] = Field(default_factory=dict[str, WatchEntry])
    vector: dict[str, VectorEntry] = Field(default_factory=dict[str, VectorEntry])
    simulation: SimulationEntry = SimulationEntry()


def reference_station() -> Path:
    """The station file of the reference rig, which ships with remanence."""
    return Path(__file__).with_name("reference.station.toml")


def bench(name: str) -> Path:
    """The station file of a bench of simulated instruments that ships with remanence.

    Raises:
        ConfigError: there is none of that name.
    """
    benches = {path.name.removesuffix(_BENCH): path for path in Path(__file__).with_name("benches").glob(f"*{_BENCH}")}
    benches["paper"] = reference_station()
    if name not in benches:
        raise ConfigError(f"there is no bench {name!r}", do=f"benches are {', '.join(sorted(benches))}")
    return benches[name]


def _check_vector(station: StationFile, path: Path, name: str, vector: VectorEntry) -> None:
    if name in station.instruments:
        raise ConfigError(f"{name!r} is an instrument and a vector magnet", where=place(path, ["vector", name]))
    for axis, instrument in vector.axes.items():
        if instrument not in station.guard:
            known = nearest(instrument, [*station.guard])
            raise ConfigError(
                f"the axis {axis!r} is driven by {instrument!r}, which has no guard: {known}",
                where=place(path, ["vector", name, "axes"]),
            )
    if len(set(vector.axes.values())) < len(vector.axes):
        raise ConfigError("two axes have the same supply", where=place(path, ["vector", name, "axes"]))
    for box in vector.boxes:
        for axis in box:
            if axis not in vector.axes:
                raise ConfigError(
                    f"a box names the axis {axis!r}: {nearest(axis, [*vector.axes])}",
                    where=place(path, ["vector", name, "boxes"]),
                )


def read_station(path: Path, *, drivers: bool = True) -> StationFile:
    """Read and check a station file; without `drivers`, instruments may name their front panel only.

    Raises:
        ConfigError: what is wrong, with file and line; nothing was sent to any instrument.
    """
    station = validate(StationFile, read_toml(path), path)
    for name, entry in station.instruments.items():
        if not entry.driver and (drivers or not entry.panel):
            raise ConfigError(
                f"the instrument {name!r} has no driver{', it can only be simulated' if entry.panel else ''}",
                where=place(path, ["instruments", name]),
            )
    for name, vector in station.vector.items():
        _check_vector(station, path, name, vector)
    for role, name in station.roles.items():
        if name not in station.instruments and name not in station.vector:
            raise ConfigError(
                f"role {role!r} names {name!r}, which is no instrument", where=place(path, ["roles", role])
            )
    for table, names in (("guard", station.guard), ("watch", station.watch)):
        for name in names:
            if name not in station.instruments:
                raise ConfigError(
                    f"a {table} is set for {name!r}, which is no instrument: {nearest(name, [*station.instruments])}",
                    where=place(path, [table, name]),
                )
    return station
