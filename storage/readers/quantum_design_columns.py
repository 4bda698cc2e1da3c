"""Which of Quantum Design's columns are ours, and their values in SI."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...core.errors import ConfigError
from . import units
from .foreign import Problems
from .text import FloatArray, number_in, numbers_in

_FIELD = ("magnetic field", "field", "applied field", "dc field")
_TEMPERATURE = ("temperature", "sample temperature", "sample temp", "average temp", "puck temp")
_TIME = ("time stamp", "time", "timestamp")
# Moments in the order of preference, each with the column of its uncertainty. The fixed centre comes before the free
# one: a fit of the centre jumps where the moment goes through zero, which is just at the coercive field.
_MOMENT = {
    "moment": ("m. std. err.", "m. std err.", "m std err", "m std. err.", "moment std. err.", "moment std err"),
    "dc moment fixed ctr": ("dc moment err fixed ctr",),
    "dc moment free ctr": ("dc moment err free ctr",),
    "long moment": ("long scan std dev",),
    "m-dc": ("m-std.dev.", "m-std. dev."),
    "dc moment": ("dc moment err", "dc moment std. err."),
}
_SCAN = ("raw position", "raw voltage", "raw voltage fwd", "processed voltage")
_OTHERS = (
    ("resistance", units.RESISTANCE_ohm, "ohm"), ("std. dev.", units.RESISTANCE_ohm, "ohm"),
    ("resistivity", units.RESISTIVITY_ohm_m, "ohm_m"), ("std. dev.", units.RESISTIVITY_ohm_m, "ohm_m"),
    ("excitation", units.CURRENT_A, "A"),
)  # fmt: skip
_CHANNELS = ("R_xx_ohm", "R_xy_ohm")


def signature(names: list[str]) -> int:
    """How many of field, temperature, time and moment these column names hold; one alone is enough after `[Data]`."""
    found = {units.split_name(name)[0] for name in names}
    with_unit = {units.split_name(name)[0] for name in names if units.split_name(name)[1]}
    groups = (_FIELD, _TEMPERATURE, tuple(_MOMENT))
    return sum(bool(with_unit & set(group)) for group in groups) + bool({"time stamp", "comment"} & found)


@dataclass(frozen=True)
class Table:
    """Fields as text, column by column, with the line that each row stood on."""

    names: list[str]
    columns: list[list[str]]
    lines: "npt.NDArray[np.int_]"
    decimal: str
    problems: Problems

    def index(self) -> pd.Index:
        """The lines of the file, as the index of both frames."""
        return pd.Index(self.lines, name="line")

    def raw(self) -> pd.DataFrame:
        """Every column as written: floats where every field is a number, else text."""
        data: dict[str, object] = {}
        for name, column in zip(self.names, self.columns, strict=True):
            values = numbers_in(column, self.decimal) if any(column) else None
            data[name] = column if values is None else values
        return pd.DataFrame(data, index=self.index())

    def values(self, name: str) -> FloatArray:
        """One column as numbers; a field that is none is told and becomes NaN."""
        column = self.columns[self.names.index(name)]
        whole = numbers_in(column, self.decimal)
        if whole is not None:
            return whole
        values = np.full(len(self.lines), np.nan)
        for row, cell in enumerate(column):
            value = number_in(cell, self.decimal)
            if value is None:
                self.problems.add("not a number", int(self.lines[row]), f"{cell[:40]!r} in {name} is not a number")
            else:
                values[row] = value
        return values

    def find(self, wanted: tuple[str, ...]) -> list[str]:
        """The columns of these names, in the order of `wanted`."""
        return [name for want in wanted for name in self.names if units.split_name(name)[0] == want]


@dataclass
class Ours:
    """Our columns as they come together."""

    data: dict[str, FloatArray] = field(default_factory=dict[str, FloatArray])
    sources: dict[str, str] = field(default_factory=dict[str, str])
    units: dict[str, str] = field(default_factory=dict[str, str])
    notes: list[str] = field(default_factory=list[str])
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)

    def take(self, key: str, values: FloatArray, source: str, unit: str) -> None:
        """Add a column."""
        self.data[key], self.sources[key], self.units[key] = values, source, unit


def our_columns(
    table: Table, problems: Problems, *, moment: str | None, channels: Mapping[str, str], where: str
) -> Ours:
    """Field, temperature, time, moment and resistances in SI."""
    if table.find(_SCAN):
        raise ConfigError(
            "this file holds raw SQUID scans, not moments", where=where, do="give the .dat file beside the .rw.dat"
        )
    ours = Ours()
    _first(ours, table, "field_T", _FIELD, units.FIELD_T, problems)
    _first(ours, table, "temperature_K", _TEMPERATURE, units.TEMPERATURE_K, problems)
    _time(ours, table)
    _moment(ours, table, problems, moment, where)
    _other_columns(ours, table)
    for key, name in channels.items():
        _channel(ours, table, key, name, where)
    frame = pd.DataFrame(ours.data, index=table.index())
    measured = [key for key in frame.columns if key != "time_s"]
    kept = frame.dropna(how="all", subset=measured) if measured else frame
    if len(kept) and "time_s" in kept:
        kept = kept.assign(time_s=kept["time_s"] - kept["time_s"].dropna().iloc[:1].sum())
    ours.frame = kept
    return ours


def _first(
    ours: Ours, table: Table, key: str, wanted: tuple[str, ...], factors: dict[str, float], problems: Problems
) -> None:
    for name in table.find(wanted):
        unit = units.split_name(name)[1]
        factor = units.factor_of(unit, factors)
        if factor is None:
            problems.add("unit", None, f"the unit of the column {name} is not known here: the column is left out")
            continue
        values = table.values(name) * factor
        if len(values) and np.isnan(values).all():
            continue
        ours.take(key, values, name, unit)
        return


def _time(ours: Ours, table: Table) -> None:
    for name in table.find(_TIME):
        unit = units.split_name(name)[1] or "sec"
        factor = units.factor_of(unit, units.TIME_S)
        if factor is not None:
            ours.take("time_s", table.values(name) * factor, name, unit)
            return


def _moment(ours: Ours, table: Table, problems: Problems, chosen: str | None, where: str) -> None:
    candidates = table.find(tuple(_MOMENT))
    if chosen is not None:
        candidates = [_named(table, chosen, where)]
    held: list[tuple[int, str, FloatArray, str]] = []
    for name in candidates:
        unit = units.split_name(name)[1]
        factor = units.factor_of(unit, units.MOMENT_Am2)
        if factor is None:
            said = f"({unit})" if unit else "none"
            problems.add("unit", None, f"the unit of the column {name} is {said}, not one of a moment: it is left out")
            continue
        values = table.values(name) * factor
        held.append((int(np.isfinite(values).sum()), name, values, unit))
    held = [entry for entry in held if entry[0] or len(held) == 1]
    if not held:
        return
    # A later column wins only if it is much fuller: files may hold a few rows of another way of measuring.
    best = held[0]
    for entry in held[1:]:
        if entry[0] > 2 * best[0]:
            best = entry
    _, name, values, unit = best
    ours.take("moment_Am2", values, name, unit)
    for count, other, theirs, _ in held:
        alone = int((np.isfinite(theirs) & np.isnan(values)).sum())
        if other != name and count:
            more = f"; {alone} rows have only the latter" if alone else ""
            ours.notes.append(f"the moment is '{name}'; the file also holds '{other}'{more}")
    _moment_u(ours, table, name, unit)


def _moment_u(ours: Ours, table: Table, moment: str, moment_unit: str) -> None:
    for name in table.find(_MOMENT.get(units.split_name(moment)[0], ())):
        unit = units.split_name(name)[1] or moment_unit
        factor = units.factor_of(unit, units.MOMENT_Am2)
        if factor is None:
            continue
        values = np.abs(table.values(name)) * factor
        # A single scan has no scatter: the program writes 0, which is not a perfect measurement.
        values[values == 0.0] = np.nan
        if np.isfinite(values).any():
            ours.take("moment_u_Am2", values, name, unit)
        return


def _other_columns(ours: Ours, table: Table) -> None:
    for name in table.names:
        plain_name, unit = units.split_name(name)
        for word, factors, suffix in _OTHERS:
            factor = units.factor_of(unit, factors) if word in plain_name else None
            if factor is not None:
                values = table.values(name) * factor
                key = f"{re.sub(r'[^a-z0-9]+', '_', plain_name).strip('_')}_{suffix}"
                if np.isfinite(values).any() and key not in ours.data:
                    ours.take(key, values, name, unit)
                break


def _channel(ours: Ours, table: Table, key: str, wanted: str, where: str) -> None:
    if key not in _CHANNELS:
        raise ConfigError(f"{key} is not a channel", where=where, do=f"give one of {', '.join(_CHANNELS)}")
    name = _named(table, wanted, where)
    unit = units.split_name(name)[1]
    factor = units.factor_of(unit, units.RESISTANCE_ohm)
    if factor is None:
        raise ConfigError(f"the column {name} is not a resistance", where=where, do="give a column in ohm")
    ours.take(key, table.values(name) * factor, name, unit)


def _named(table: Table, wanted: str, where: str) -> str:
    """The column that a person named, with or without its unit, in any case."""
    plain_name = " ".join(wanted.lower().split())
    found = [name for name in table.names if plain_name in (name.lower(), units.split_name(name)[0])]
    if not found:
        raise ConfigError(f"there is no column {wanted!r}", where=where, do=f"give one of: {', '.join(table.names)}")
    return found[0]
