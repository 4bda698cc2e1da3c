"""A magnet's field constant (T/A), of which station and supply each have an idea."""

import math

from ..core.errors import ConfigError


def positive(tesla_per_ampere: float | None, where: str) -> float | None:
    """The constant of an option, None when the option is not given.

    Raises:
        ConfigError: it is no constant.
    """
    if tesla_per_ampere is not None and not (math.isfinite(tesla_per_ampere) and tesla_per_ampere > 0.0):
        raise ConfigError(f"tesla_per_ampere must be positive, not {tesla_per_ampere!r}", where=where)
    return tesla_per_ampere


def disagreement(supplys: float, stations: float, where: str) -> ConfigError:
    """The error of a supply and a station that speak of two magnets."""
    return ConfigError(
        f"the supply's field constant is {supplys:.6g} T/A, the station's {stations:.6g} T/A", where=where,
        state="Nothing was sent that moves the magnet",
        do="find out which is the magnet's, and correct the other",
    )  # fmt: skip
