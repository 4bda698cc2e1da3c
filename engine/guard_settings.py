"""What a station file says of a magnet, as the guard's limits: tesla become ampere here, once.

A setting that is missing or contradicts another is an error here, and a magnet that is shown and not moved there.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ..core.errors import ConfigError
from ..instruments.magnet_limits import MagnetLimits, SensorLimits, SwitchLimits
from .station_file import CoilSensorEntry, GuardEntry, HeliumEntry, Segment, StationFile, SwitchEntry
from .toml_file import place

# The guard's name of a setting, where it is not the file's.
_KEYS = {
    "tesla_per_ampere": "field_constant", "largest_A": "largest_field", "inductance_H": "inductance",
    "voltage_limit_V": "voltage_limit", "tolerance_A": "tolerance", "settle_s": "settle",
    "reversal_settle_s": "reversal_settle",
}  # fmt: skip
_NOT_OF_A_MANAGED = ("field_constant", "inductance", "voltage_limit")
# A level is a share of full; a meter may say a little more.
_OVERFULL = 110.0
_SHUNT = 1e-3


def field_constant(station: StationFile, name: str) -> float | None:
    """The magnet's field constant (T/A), by its guard or by its driver's options; None when neither says it.

    Raises:
        ConfigError: both do, and do not agree to 0.1 %.
    """
    entry = station.guard.get(name)
    option = station.instruments[name].options.get("tesla_per_ampere")
    by_driver = float(option) if isinstance(option, int | float) and not isinstance(option, bool) else None
    by_guard = None if entry is None else entry.field_constant
    if by_driver is not None and by_guard is not None and abs(by_driver - by_guard) > 1e-3 * abs(by_guard):
        raise ConfigError(
            f"the driver's field constant is {by_driver:g} T/A, the guard's {by_guard:g} T/A", where="field_constant"
        )
    return by_driver if by_guard is None else by_guard


def magnet_limits(station: StationFile, path: Path, name: str) -> MagnetLimits:
    """The limits of the magnet behind an instrument.

    Raises:
        ConfigError: a setting is missing or contradicts another; with its name, file and line.
    """
    entry = station.guard.get(name)
    if entry is None:
        raise ConfigError(f"it has no [guard.{name}]", where=str(path), do="give its limits")
    try:
        return _limits(entry, 1.0 if entry.supply == "managed" else field_constant(station, name))
    except ConfigError as error:
        key = _KEYS.get(error.where, error.where)
        raise ConfigError(error.what, where=place(path, ["guard", name, *key.split(".")])) from error


def _limits(entry: GuardEntry, constant: float | None) -> MagnetLimits:
    managed = entry.supply == "managed"
    if constant is None:
        raise ConfigError("'field_constant' is missing", where="field_constant")
    # A guardian is the station's to ask for, on a rig.
    optional = ("supply", "guardian", *(_NOT_OF_A_MANAGED if managed else ("field_constant",)))
    given = _all(entry, "", optional=optional)
    k: float = constant
    if not given["segments"]:
        raise ConfigError("there is no rate segment", where="segments")
    if not k > 0:
        raise ConfigError(f"a field constant of {k:g} T/A is none", where="field_constant")
    return MagnetLimits(
        serial=given["serial"],
        tesla_per_ampere=k,
        largest_A=given["largest_field"] / k,
        segments=_segments(given["segments"], given["tolerance"], k),
        inductance_H=given["inductance"],
        voltage_limit_V=given["voltage_limit"],
        tolerance_A=given["tolerance"] / k,
        settle_s=given["settle"],
        reversal_settle_s=given["reversal_settle"],
        switch=_switch(given["switch"]),
        coil_sensor=_coil_sensor(given["coil_sensor"]),
        helium=_helium(given["helium"]),
        zones=tuple((zone.low / k, zone.high / k) for zone in given["zones"]),
        on_abort=given["on_abort"],
        on_end=given["on_end"],
        on_comm_loss=given["on_comm_loss"],
        managed=managed,
    )


def _segments(given: tuple[Segment, ...], tolerance_T: float, k: float) -> tuple[tuple[float, float], ...]:
    """The rate segments in ampere, each inner edge a little lower than the file says.

    On the way down the coil is behind its leads (by rate × L/R of the warm switch), and a supply's shunt is exact to
    a part in a thousand: the faster rate must not begin before the coil itself has left the slower segment.
    """
    *inner, last = given
    lowered = [(segment.to - max(tolerance_T, _SHUNT * segment.to), segment.rate) for segment in inner]
    return tuple((to / k, rate / k) for to, rate in (*lowered, (last.to, last.rate)))


def _all(entry: BaseModel, prefix: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Every key of an entry, none of which may be left out."""
    given = {name: getattr(entry, name) for name in type(entry).model_fields}
    for name, value in given.items():
        if value is None and name not in optional:
            raise ConfigError(f"{prefix + name!r} is missing", where=f"{prefix}{name}")
    return given


def _switch(entry: SwitchEntry) -> SwitchLimits | None:
    if entry.absent:
        return None
    given = _all(entry, "switch.")
    return SwitchLimits(given["warm_time"], given["cool_time"], given["match"], given["leads_rate"])


def _coil_sensor(entry: CoilSensorEntry) -> SensorLimits | None:
    if entry.absent:
        return None
    given = _all(entry, "coil_sensor.", optional=("input",))
    return SensorLimits(given["coldest"], given["warmest"], given["patience"])


def _helium(entry: HeliumEntry) -> SensorLimits | None:
    if entry.absent:
        return None
    given = _all(entry, "helium.")
    return SensorLimits(given["lowest"], _OVERFULL, given["patience"])


def coldness(entry: GuardEntry | None, instrument: Callable[[str], Any], path: Path) -> dict[str, Callable[[], float]]:
    """How to read what keeps a magnet cold: its coil (K) and its helium (% of full), by the instruments named.

    Raises:
        ConfigError: there is no such instrument.
    """
    sensors: dict[str, Callable[[], float]] = {}
    if entry is None:
        return sensors
    coil, helium = entry.coil_sensor, entry.helium
    if coil is not None and coil.instrument is not None:
        name, letter = coil.instrument, coil.input
        _known(instrument, name, path, "read_temperature" if letter is None else "read_input")
        sensors["coil"] = (
            (lambda: float(instrument(name).read_temperature()))
            if letter is None
            else (lambda: float(instrument(name).read_input(letter)))
        )
    if helium is not None and helium.instrument is not None:
        meter = helium.instrument
        _known(instrument, meter, path, "read_level")
        sensors["helium"] = lambda: 100.0 * float(instrument(meter).read_level())
    return sensors


def _known(instrument: Callable[[str], Any], name: str, path: Path, verb: str) -> None:
    if not hasattr(instrument(name), verb):
        raise ConfigError(f"the instrument {name!r} has no {verb}, which the guard needs", where=str(path))
