"""The drivers that a station file may name: by dotted path, or by the name of an entry point.

A package of your own that says `[project.entry-points."remanence.drivers"]` with `my_lockin = "my_package:MyLockIn"` is
named `driver = "my_lockin"`, or `driver = "entry:my_lockin"`; any class can be named `driver = "package.module:Class"`.
"""

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from ..core.errors import ConfigError
from ..instruments.catalogue import OFFERED
from ..instruments.driver import Driver
from .toml_file import nearest

GROUP = "remanence.drivers"
_ENTRY = "entry:"


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


def load_driver(name: str) -> type[Driver]:
    """The driver of that dotted path or entry point.

    Raises:
        ConfigError: there is none (the message has the nearest name that there is), or it is no driver.
    """
    if ":" in name and not name.startswith(_ENTRY):
        try:
            found = load_class(name)
        except ConfigError as error:
            raise ConfigError(error.what, do=nearest(name, [*shipped(), *_entries()])) from error
    else:
        found = _load_entry(name.removeprefix(_ENTRY))
    if not (isinstance(found, type) and issubclass(found, Driver)):
        raise ConfigError(f"{name!r} is no driver", do="a driver is a class that inherits remanence.instruments.driver")
    return found


def shipped() -> dict[str, type[Driver]]:
    """The drivers of remanence, by dotted path."""
    classes = {cast("type[Driver]", driver) for drivers in OFFERED.values() for driver in drivers}
    return {f"{driver.__module__}:{driver.__name__}": driver for driver in sorted(classes, key=lambda d: d.__name__)}


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _load_entry(name: str) -> Any:
    known = _entries()
    if name not in known:
        raise ConfigError(f"no installed package offers a driver {name!r}", do=nearest(name, [*known, *shipped()]))
    try:
        return known[name].load()
    except Exception as error:  # somebody else's package: whatever it raises, the station file names it
        raise ConfigError(f"the driver {name!r} ({known[name].value}) cannot be loaded: {error}") from error
