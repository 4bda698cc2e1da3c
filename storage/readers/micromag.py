"""Princeton MicroMag VSM and AGM files with a hysteresis loop, in each of the shapes that the firmware gave them.

Newer ones (2900/3900, series 0015, 0016 and 0016.002) are a header of sections, a table of segments, lines of column
names and rows, and close with a line that says so. Series 0015 has no line of units: they stand under `Units of
measure`. Older ones (2900) have one line of comma-separated values, then rows.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...core.errors import ConfigError
from . import units
from .foreign import ForeignFile, Problems
from .micromag_body import Body
from .text import FloatArray, TextFile, number_in, read_text

# The units of field and moment for each system, spelt as in the header.
_SYSTEMS = {"cgs": ("Oe", "emu"), "si": ("A/m", "Am2"), "hybrid si": ("T", "Am2"), "hybrid": ("T", "Am2")}
_LEGACY_SYSTEMS = {"0": "cgs", "1": "si", "2": "hybrid si"}
_LEGACY_UNIT_FIELD = {0: 26, 6: 29, 8: 29, 9: 29}
_REFUSED = ("first-order", "forc", "remanence curves", "vs. time", "vs. temperature", "susceptibility")
_MAKERS = {"saturation": "saturation_Am2", "remanence": "remanence_Am2", "coercivity": "coercivity_T"}
_ZERO_CELSIUS_K = 273.15
_LINE = re.compile(r"\s*(?P<key>\S.*?)(?:\s*[:=]\s+|\s{2,}|\t+)(?P<value>\S.*)")


def looks_like_micromag(text: TextFile) -> bool:
    """True for a file whose first line is a MicroMag's."""
    first = next((line for line in text.lines if line.strip()), "")
    return first.strip().strip('"').lower().startswith("micromag")


def read_micromag(path: Path) -> ForeignFile:
    """Read one hysteresis loop: `field_T`, `moment_Am2`, and `leg` where the file tells its segments.

    The moment is the one measured, not the one that the maker's program adjusted; that is `adjusted_moment_Am2`. The
    Ms, Mr and Hc of the header, which belong to the adjusted one, are `made_by`.

    `ConfigError` if this is no MicroMag file, no loop, or does not say its units; all else stands in `problems`.
    """
    text = read_text(path)
    if not looks_like_micromag(text):
        raise ConfigError(
            "this is not a MicroMag file: its first line does not say so", where=str(path),
            do="give the file that the MicroMag's program wrote",
        )  # fmt: skip
    problems = Problems(text.name)
    if text.zeros:
        problems.add("zeros", None, f"the file ends with {text.zeros} zero bytes, as a power cut leaves them: left out")
    if "2900/3900" not in text.lines[0] and text.lines[0].count(",") > 20:
        return _legacy(text, problems)
    kind = next((line.strip() for line in text.lines[1:6] if line.strip()), "")
    if any(word in kind.lower() for word in _REFUSED):
        raise ConfigError(f"this MicroMag file holds no hysteresis loop: {kind!r}", where=str(path))
    body = Body(text, problems)
    info = _info(text.lines[: body.first])
    scale = _units(info, body, path)
    frame, sources, named_units = _ours(body, scale, info)
    made_by = _made_by(info, scale)
    _count(info, body, problems)
    raw = pd.DataFrame(dict(zip(body.names, body.values.T, strict=True)), index=pd.Index(body.lines, name="line"))
    notes = ["the moment is the one measured, before the maker's corrections"] if "adjusted_moment_Am2" in frame else []
    return ForeignFile(
        text.path, f"MicroMag {_value(info, 'Configuration')}".strip(), "\n".join(text.lines[: body.first]), info, raw,
        frame, sources, named_units, text.sha256, text.encoding, _value(info, "Description").strip('"'), made_by,
        problems.told(), tuple(notes),
    )  # fmt: skip


def _info(lines: tuple[str, ...]) -> dict[str, str]:
    """`SECTION.Key` and its value, as written, up to the table of segments."""
    info: dict[str, str] = {}
    section = ""
    for line in lines[1:]:
        if line.strip().lower().startswith("segment "):
            break
        if line.strip().isupper() and not _LINE.fullmatch(line.strip()) and len(line.split()) == 1:
            section = line.strip()
        elif match := _LINE.fullmatch(line.rstrip()):
            info.setdefault(f"{section}.{match['key'].strip()}" if section else match["key"].strip(), match["value"])
    return info


def _value(info: dict[str, str], wanted: str) -> str:
    found = (value for key, value in info.items() if key.split(".", 1)[-1].lower() == wanted.lower())
    return next(found, "")


@dataclass(frozen=True, slots=True)
class _Scale:
    """The units of a file's field and moment as written, and their factors to ours."""

    field_unit: str
    moment_unit: str
    field_T: float
    moment: float


def _scale(field_unit: str, moment_unit: str) -> _Scale | None:
    field_T = units.factor_of(field_unit, units.FIELD_T)
    moment = units.factor_of(moment_unit, units.MOMENT_Am2)
    if field_T is None or moment is None:
        return None
    return _Scale(field_unit, moment_unit, field_T, moment)


def _units(info: dict[str, str], body: Body, path: Path) -> _Scale:
    """The units of field and moment. Header and column line must agree: a factor of 1000 hangs on it."""
    system = " ".join(_value(info, "Units of measure").lower().split())
    said = _scale(*_SYSTEMS[system]) if system in _SYSTEMS else None
    over = [body.unit_of[n] if (n := body.column(name)) is not None else "" for name in ("Field", "Moment")]
    if not all(over):
        if said is None:
            raise ConfigError(
                f"the units of field and moment are not told (Units of measure: {system or 'missing'})",
                where=str(path), do="export it again, with cgs, SI or Hybrid SI units",
            )  # fmt: skip
        return said
    scale = _scale(*over)
    if scale is None:
        raise ConfigError(
            f"the rows are in ({over[0]}) and ({over[1]}), not in a field and a moment", where=str(path),
            do="export the moment, without normalization",
        )  # fmt: skip
    if said is not None and (said.field_T, said.moment) != (scale.field_T, scale.moment):
        raise ConfigError(
            f"the header says {system}, but the columns are in ({over[0]}) and ({over[1]})", where=str(path),
            do="look which of them is true; nothing was converted",
        )  # fmt: skip
    return scale


@dataclass(frozen=True, slots=True)
class _Take:
    key: str
    name: str
    factor: float
    unit: str


def _ours(body: Body, scale: _Scale, info: dict[str, str]) -> tuple[pd.DataFrame, dict[str, str], dict[str, str]]:
    """Our frame, and for each of its columns the name and the unit that it had in the file."""
    data: dict[str, FloatArray] = {}
    taken: list[_Take] = []
    for take in (
        _Take("field_T", "Field", scale.field_T, scale.field_unit),
        _Take("moment_Am2", "Moment", scale.moment, scale.moment_unit),
        _Take("adjusted_field_T", "Adjusted Field", scale.field_T, scale.field_unit),
        _Take("adjusted_moment_Am2", "Adjusted Moment", scale.moment, scale.moment_unit),
    ):
        column = body.column(take.name)
        if column is None:
            continue
        over = body.unit_of[column]
        if over and units.plain(over) != units.plain(take.unit):
            continue  # an adjusted column that is normalised: it stays in the raw ones
        data[take.key] = body.values[:, column] * take.factor
        taken.append(take)
    celsius = _value(info, "Temperature in").lower().startswith("c")
    offset_K = _ZERO_CELSIUS_K if celsius else 0.0
    column = body.column("Temperature")
    measured = number_in(_value(info, "Temperature (measured)"))
    if column is not None:
        data["temperature_K"] = body.values[:, column] + offset_K
    elif measured is not None and measured == measured:
        data["temperature_K"] = np.full(len(body.lines), measured + offset_K)
    if "temperature_K" in data:
        name = "Temperature" if column is not None else "Temperature (measured)"
        taken.append(_Take("temperature_K", name, 1.0, "°C" if celsius else "K"))
    frame = pd.DataFrame(data, index=pd.Index(body.lines, name="line"))
    legs = body.legs()
    if legs is not None:
        frame["leg"] = legs
    return frame, {take.key: take.name for take in taken}, {take.key: take.unit for take in taken}


def _made_by(info: dict[str, str], scale: _Scale) -> dict[str, float]:
    """The maker's own Ms, Mr and Hc, and the slope that was taken off, in SI."""
    made_by: dict[str, float] = {}
    for key, ours in _MAKERS.items():
        value = number_in(_value(info, key))
        if value is not None and value == value:
            made_by[ours] = value * (scale.field_T if ours.endswith("_T") else scale.moment)
    slope = number_in(_value(info, "Slope correction") or _value(info, "Slope corr."))
    if slope is not None and slope == slope:
        made_by["slope_Am2_per_T"] = slope * scale.moment / scale.field_T
    return made_by


def _count(info: dict[str, str], body: Body, problems: Problems) -> None:
    told = number_in(_value(info, "Number of data") or _value(info, "NData"))
    expected = int(told) if told is not None and told == told else (max(body.ends) if body.ends else 0)
    if expected and expected != len(body.lines):
        problems.add("count", None, f"the header tells {expected} rows, and there are {len(body.lines)}")


def _legacy(text: TextFile, problems: Problems) -> ForeignFile:
    """An older file: one line of values, then rows. Only the units' place in that line is needed."""
    fields = [part.strip() for part in text.lines[0].split(",")]
    version = number_in(fields[1]) if len(fields) > 1 else None
    place = _LEGACY_UNIT_FIELD.get(int(version)) if version is not None and version == version else None
    system = _LEGACY_SYSTEMS.get(fields[place].strip('"')) if place is not None and place < len(fields) else None
    scale = _scale(*_SYSTEMS[system]) if system is not None else None
    if scale is None:
        raise ConfigError(
            "the units of this old MicroMag file cannot be told from its first line", where=str(text.path),
            do="export it again with a newer MicroMag program",
        )  # fmt: skip
    body = Body(text, problems)
    info = {f"field {n}": value for n, value in enumerate(fields, 1)}
    frame, sources, named_units = _ours(body, scale, {})
    raw = pd.DataFrame(dict(zip(body.names, body.values.T, strict=True)), index=pd.Index(body.lines, name="line"))
    return ForeignFile(
        text.path, "MicroMag 2900", text.lines[0], info, raw, frame, sources, named_units, text.sha256, text.encoding,
        "", {}, problems.told(), (),
    )  # fmt: skip
