"""A recipe: what to measure, as data. TOML with quantities as text; unknown keys are refused with the nearest spelling.

schema = 1
procedure = "HallLoop"
sample = "CoFeB-03"

[parameters]
max_field = "7 T"
rate = "2 mT/s"
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from inspect import isclass
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from pymeasure.experiment import BooleanParameter, IntegerParameter, Parameter

from .. import procedures
from ..core.errors import ConfigError
from ..core.quantities import parse
from ..procedures.base import Procedure
from .guard_settings import field_constant, magnet_limits
from .station_file import StationFile
from .toml_file import nearest, place, read_toml

_KEYS = ("schema", "procedure", "sample", "note", "parameters")
_NOTHING = "Nothing was sent to any instrument"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A procedure with its parameters, the sample, a note, and the text it was resolved from."""

    procedure: Procedure
    sample: str = ""
    note: str = ""
    resolved: Mapping[str, Any] = field(default_factory=dict[str, Any])


def procedure_classes() -> dict[str, type[Procedure]]:
    """Every procedure of the `procedures` room by its class name."""
    found: dict[str, type[Procedure]] = {}
    for module in iter_modules(procedures.__path__):
        for name, value in vars(import_module(f"{procedures.__name__}.{module.name}")).items():
            if isclass(value) and issubclass(value, Procedure) and value.columns:
                found[name] = value
    return found


def recipe_keys(procedure: type[Procedure]) -> dict[str, tuple[str, Parameter]]:
    """What a recipe calls each parameter: its attribute without the unit (`max_field_T` is `max_field`)."""
    keys: dict[str, tuple[str, Parameter]] = {}
    for attribute, parameter in procedure().parameter_objects().items():
        unit = _unit_of(parameter)
        key = attribute.removesuffix("_" + re.sub(r"\W+", "_per_", unit)) if unit else attribute
        keys[key] = (attribute, parameter)
    return keys


def read_recipe(path: Path, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Read and check a recipe; `overrides` (from `--set`) win over the file.

    Raises:
        ConfigError: what is wrong, with file and line; nothing was sent to any instrument.
    """
    tables = read_toml(path)
    for key in tables:
        if key not in _KEYS:
            raise ConfigError(
                f"unknown key {key!r}: {nearest(key, list(_KEYS))}", where=place(path, [key]), state=_NOTHING
            )
    if tables.get("schema") != 1:
        raise ConfigError("a recipe begins with schema = 1", where=place(path, ["schema"]), state=_NOTHING)
    classes = procedure_classes()
    name = str(tables.get("procedure", ""))
    if name not in classes:
        raise ConfigError(
            f"unknown procedure {name!r}: {nearest(name, list(classes))}",
            where=place(path, ["procedure"]),
            state=_NOTHING,
        )
    parameters = tables.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ConfigError("[parameters] must be a table", where=place(path, ["parameters"]), state=_NOTHING)
    for key in ("sample", "note"):
        if not isinstance(tables.get(key, ""), str):
            raise ConfigError(f"{key} must be text in quotes", where=place(path, [key]), state=_NOTHING)
    given = {key: (value, place(path, ["parameters", key])) for key, value in parameters.items()}
    given |= {key: (value, f"--set {key}") for key, value in (overrides or {}).items()}
    procedure = classes[name]()
    apply(procedure, given)
    resolved = {"procedure": name, "parameters": {key: value for key, (value, _where) in given.items()}}
    return Recipe(procedure, str(tables.get("sample", "")), str(tables.get("note", "")), resolved)


def apply(procedure: Procedure, given: Mapping[str, tuple[Any, str]]) -> None:
    """Set parameters from what a recipe or a command line says: key → (value, where it stands).

    Raises:
        ConfigError: unknown, not a quantity of that kind, or outside what the parameter allows.
    """
    keys = recipe_keys(type(procedure))
    for key, (value, where) in given.items():
        if key not in keys:
            raise ConfigError(f"unknown parameter {key!r}: {nearest(key, list(keys))}", where=where, state=_NOTHING)
        attribute, parameter = keys[key]
        try:
            parameter.value = _number(parameter, value)
        except ConfigError as error:
            raise ConfigError(f"{key}: {error.what}", where=where, state=_NOTHING, do=error.do) from error
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{key}: {value!r} is not {_range(parameter)}", where=where, state=_NOTHING) from error
        setattr(procedure, attribute, parameter.value)
    try:
        procedure.check()
    except ConfigError as error:
        raise ConfigError(error.what, state=_NOTHING, do=error.do) from error


def _range(parameter: Parameter) -> str:
    low, high = getattr(parameter, "minimum", None), getattr(parameter, "maximum", None)
    if low is None or high is None:
        return "a value that it may have"
    return f"between {low:g} and {high:g} {_unit_of(parameter)}".rstrip()


def _unit_of(parameter: Parameter) -> str:
    # Only numeric parameters of pymeasure have units.
    return getattr(parameter, "units", None) or ""


def _number(parameter: Parameter, value: Any) -> Any:
    if isinstance(parameter, BooleanParameter):
        return value
    if unit := _unit_of(parameter):
        if not isinstance(value, str):
            raise ConfigError(f'{value!r} has no unit: write "{value} {unit}" if that is what you mean')
        return parse(value, unit)
    if isinstance(parameter, IntegerParameter):
        number = parse(str(value), "") if isinstance(value, str | int) and not isinstance(value, bool) else None
        if number is None or number != int(number):
            raise ConfigError(f"{value!r} is not a whole number")
        return int(number)
    return value


def check_limits(procedure: Procedure, station: StationFile, station_path: Path, places: Mapping[str, str]) -> None:
    """Refuse a procedure that asks for more than the station's guard allows, before anything is opened.

    `places` says where a recipe or a command line gives each key.

    Raises:
        ConfigError: with the place of the number and of the limit; or the station says too little of its magnet for it
            to be moved at all.
    """
    name = station.roles.get("field", "")
    guard = station.guard.get(name)
    values = procedure.values()
    if "max_field_T" not in values or (guard is None and name not in station.instruments):
        return
    if guard is not None and guard.supply != "managed" and field_constant(station, name) is None:
        return  # it may be misspelt among the driver's options: opening the driver names what it is near
    try:
        magnet_limits(station, station_path, name)
    except ConfigError as error:
        raise ConfigError(
            f"{name} would only be monitored, and {type(procedure).__name__} moves it: {error.what}", where=error.where,
            state="Nothing was sent to the magnet", do="give the setting in the station file",
        ) from error  # fmt: skip
    if guard is None:
        return
    if guard.largest_field is not None and values["max_field_T"] > guard.largest_field:
        raise ConfigError(
            f"max_field {values['max_field_T']:g} T is above the station limit {guard.largest_field:g} T "
            f"({place(station_path, ['guard', name, 'largest_field'])})",
            where=places.get("max_field", ""), state="Nothing was sent to the magnet",
            do="lower max_field, or change the limit if your magnet allows it",
        )  # fmt: skip
    fastest = max((segment.rate for segment in guard.segments or ()), default=math.inf)
    if values["rate_T_per_s"] > fastest:
        raise ConfigError(
            f"rate {values['rate_T_per_s'] * 1e3:g} mT/s is above the station limit {fastest * 1e3:g} mT/s",
            where=places.get("rate", ""), state="Nothing was sent to the magnet", do="lower the rate",
        )  # fmt: skip
