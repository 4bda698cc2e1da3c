"""Quantum Design data files: MPMS3 and MPMS-XL, PPMS VSM, ACMS, Resistivity and their kin, also re-saved by hand.

A file is `[Header]` with lines `KEY,value,…`, then `[Data]`, a line of column names with units, and rows. What varies
between programs and years: the columns, rows that end before the header does, the order of name and value in `INFO`,
TABs and decimal commas from a spreadsheet, a missing `[Data]`. Only the column names are relied on.
"""

import re
from collections import Counter
from pathlib import Path

import numpy as np

from ...core.errors import ConfigError
from .foreign import ForeignFile, Problems
from .quantum_design_columns import Table, our_columns, signature
from .text import TextFile, decimal_sign, fields_of, read_text

_LONGEST_HEADER = 400
_SEPARATORS = ("\t", ",", ";")
# A key of INFO: SAMPLE_MASS, MASS:Sample Mass (mg); its value may hold commas.
_KEY = re.compile(r"[A-Z][A-Z0-9_]+(?::.*)?")
# The keys that older programs put before their value.
_KEY_FIRST = {"APPNAME", "NAME", "WEIGHT", "AREA", "LENGTH", "SHAPE", "COMMENT", "SEQUENCE FILE", "HARMONICS"}
_SAMPLE_KEYS = ("SAMPLE_MATERIAL", "NAME", "SAMPLE1 NAME", "SAMPLE2 NAME", "SAMPLE3 NAME", "SAMPLE4 NAME")


def looks_like_quantum_design(text: TextFile) -> bool:
    """True for a file with `[Header]` and Quantum Design's keys, or with its column names."""
    head = [line.strip().lower() for line in text.lines[:_LONGEST_HEADER]]
    if any(line.startswith(("#procedure", "micromag")) for line in head[:3]):
        return False
    keys = sum(line.startswith(("byapp", "fileopentime", "startupaxis", "fieldgroup")) for line in head)
    if keys and any(line.startswith("[header]") for line in head):
        return True
    return _column_line(text) is not None


def read_quantum_design(
    path: Path, *, moment: str | None = None, channels: dict[str, str] | None = None
) -> ForeignFile:
    """Read one file. `moment` names the column to take as the moment where the file has several.

    `channels` says which columns are `R_xx_ohm` and `R_xy_ohm`, which no Quantum Design file says itself:
    `{"R_xy_ohm": "Bridge 2 Resistance (Ohms)"}`.

    `ConfigError` if the file is not one of these or a named column is not in it; all else stands in `problems`.
    """
    text = read_text(path)
    if not looks_like_quantum_design(text):
        raise ConfigError(
            "this is not a Quantum Design data file: it has neither their [Header] nor their column names",
            where=str(path), do="give the .dat file that MultiVu wrote",
        )  # fmt: skip
    problems = Problems(text.name)
    if text.zeros:
        problems.add("zeros", None, f"the file ends with {text.zeros} zero bytes, as a power cut leaves them: left out")
    at = _column_line(text)
    if at is None:
        raise ConfigError(
            "no line of column names with a field, a temperature or a moment follows the header", where=str(path),
            do="give the .dat file as MultiVu wrote it",
        )  # fmt: skip
    separator = _separator(text.lines[at])
    names = _unique(fields_of(text.lines[at], separator))
    table = _table(text, at + 1, names, separator, problems)
    info = _info(text.lines[:at])
    raw = table.raw()
    ours = our_columns(table, problems, moment=moment, channels=channels or {}, where=str(path))
    app = info.get("BYAPP", "").split(",")[0].strip()
    kind = f"Quantum Design {app}" if app else "Quantum Design"
    sample = next((info[key] for key in _SAMPLE_KEYS if info.get(key)), "") or info.get("TITLE", "")
    return ForeignFile(
        text.path, kind, "\n".join(text.lines[:at]), info, raw, ours.frame, ours.sources, ours.units, text.sha256,
        text.encoding, sample, {}, problems.told(), tuple(ours.notes),
    )  # fmt: skip


def _column_line(text: TextFile) -> int | None:
    """The index of the line of column names: what follows `[Data]`, or the first line with the right names."""
    head = text.lines[:_LONGEST_HEADER]
    for index, line in enumerate(head):
        if line.strip().strip(",;").strip().lower() == "[data]":
            following = range(index + 1, min(index + 6, len(text.lines)))
            return next((n for n in following if text.lines[n].strip() and signature(_split(text.lines[n]))), None)
    return next((n for n, line in enumerate(head) if signature(_split(line)) > 1), None)


def _split(line: str) -> list[str]:
    return fields_of(line, _separator(line))


def _separator(line: str) -> str:
    counts = [line.count(separator) for separator in _SEPARATORS]
    return _SEPARATORS[counts.index(max(counts))]


def _unique(names: list[str]) -> list[str]:
    while names and not names[-1]:
        names.pop()
    seen: Counter[str] = Counter()
    unique: list[str] = []
    for place, name in enumerate(names, 1):
        name = name or f"column {place}"
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name} [{seen[name]}]")
    return unique


def _table(text: TextFile, first: int, names: list[str], separator: str, problems: Problems) -> Table:
    """Every row's fields by column, empty where a row ends early; numbers are read when a column is asked for."""
    rows: list[list[str]] = []
    lines: list[int] = []
    for index in range(first, len(text.lines)):
        line = text.lines[index]
        if line.strip(" \t,;"):
            rows.append(fields_of(line, separator))
            lines.append(index + 1)
    if not rows:
        problems.add("no rows", first + 1, "the data section is empty")
    usual = Counter(len(row) for row in rows).most_common(1)[0][0] if rows else len(names)
    if rows and not text.ended:
        _cut_tail(rows, lines, usual, names, problems)
    _too_wide(rows, lines, len(names), problems, str(text.path))
    _short(rows, lines, usual, problems)
    width = len(names)
    cells = [row[:width] + [""] * (width - len(row)) for row in rows]
    columns = [list(column) for column in zip(*cells, strict=True)] if cells else [[] for _ in names]
    decimal = "."
    if separator != ",":
        decimal = decimal_sign(cell for row in cells for cell in row)
        if decimal == "?":
            raise ConfigError(
                "the numbers hold both commas and points, so that 1,234 may mean two things", where=str(text.path),
                do="save it again with points as the decimal sign",
            )  # fmt: skip
    else:
        # A comma can be a decimal sign in a comma-separated file only inside quotes.
        quoted = decimal_sign(cell for row in cells for cell in row if "," in cell)
        decimal = "," if quoted == "," else "."
    return Table(names, columns, np.asarray(lines, dtype=int), decimal, problems)


def _cut_tail(rows: list[list[str]], lines: list[int], usual: int, names: list[str], problems: Problems) -> None:
    """A last line without its end may be cut anywhere: what could be half a number is not taken for a whole one."""
    last = rows[-1]
    if len(last) < usual:
        problems.add("cut", lines[-1], f"the last line is cut short ({len(last)} of {usual} fields): left out")
        rows.pop()
        lines.pop()
    elif last[-1]:
        name = names[min(len(last), len(names)) - 1]
        problems.add("cut", lines[-1], f"the last line has no end: its last field ({name}) may be cut and is left out")
        last[-1] = ""


def _too_wide(rows: list[list[str]], lines: list[int], width: int, problems: Problems, where: str) -> None:
    """A row with more values than columns: some comma in it is no separator, and who knows which. It is left out."""
    wide = [number for number, row in enumerate(rows) if any(row[width:])]
    if wide and len(wide) > len(rows) // 2:
        raise ConfigError(
            f"the rows hold more fields than there are column names (line {lines[wide[0]]}: {len(rows[wide[0]])}, "
            f"and {width} names), as decimal commas between commas do", where=where,
            do="save it again with points as the decimal sign",
        )  # fmt: skip
    for number in reversed(wide):
        text = f"{len(rows[number])} fields under {width} column names: the row is left out"
        problems.add("too wide", lines[number], text)
        del rows[number], lines[number]


def _short(rows: list[list[str]], lines: list[int], usual: int, problems: Problems) -> None:
    """A row that ends before the others do was cut when a program stopped: its last field may be half a number."""
    short = [number for number, row in enumerate(rows) if len(row) < usual and any(row[1:])]
    if 10 * len(short) > len(rows):
        return  # here rows of several lengths are the rule
    for number in short:
        text = f"{len(rows[number])} fields where others have {usual}: its last field may be cut and is left out"
        problems.add("short", lines[number], text)
        rows[number][-1] = ""


def _info(lines: tuple[str, ...]) -> dict[str, str]:
    """What the header says. Keys are in capitals; of a key that comes twice the first is kept."""
    info: dict[str, str] = {}
    for line in lines:
        if not line.strip() or line.lstrip().startswith((";", "[")):
            continue
        separator = "\t" if "\t" in line else ","
        parts = [part.strip() for part in line.rstrip().rstrip("\t").split(separator)]
        key, rest = parts[0].upper(), parts[1:]
        if key == "INFO" and len(rest) >= 2:
            named_first = rest[0].upper() in _KEY_FIRST or (
                bool(_KEY.fullmatch(rest[0])) and not _KEY.fullmatch(rest[-1])
            )
            key = (rest[0] if named_first else rest[-1]).upper()
            rest = rest[1:] if named_first else rest[:-1]
        info.setdefault(key, ", ".join(rest).strip(", "))
    return info
