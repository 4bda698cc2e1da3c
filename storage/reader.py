"""How a journal is read back, whatever happened to it.

A line counts only with its LF and a right checksum. An unfinished last line is a torn tail, any other bad line is
damage, a jump in the row numbers is a gap. Damage is told, never raised, and never filled in.
"""

import hashlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..core.errors import ConfigError, StorageError
from ..core.records import Footer, Header, InstrumentRecord, Row
from . import parse
from .durable import reason
from .lines import MAX_LINE_BYTES, SCHEMA, LineError, unframed
from .record import Damage, DamageKind, EventRecord, LegRecord, RunRecord, frame_of, nameless

_FILE_NAME = "run.jsonl"
_FIRST_BYTES = b'{"k":"head"'


def read_run(path: Path) -> RunRecord:
    """The run whose journal, or whose folder, is `path`; it may still be running.

    `StorageError` if there is no such file, `ConfigError` if it was never a journal. Anything else that is wrong
    stands in the record's `damage`.
    """
    path = Path(path)
    file = path / _FILE_NAME if path.is_dir() else path
    scan = _Scan()
    try:
        with file.open("rb", buffering=2**20) as stream:
            scan.read(stream)
    except OSError as error:
        raise StorageError(f"the journal cannot be opened ({reason(error)})", where=str(file)) from error
    if not scan.is_journal:
        raise ConfigError("this is not a journal: none of its lines carries a right checksum", where=str(file))
    return scan.result(file)


class _Scan:
    """One pass over a journal, front to back."""

    def __init__(self) -> None:
        self.is_journal = True
        self.header: Header | None = None
        self.instruments: list[InstrumentRecord] = []
        self.legs: list[LegRecord] = []
        self.rows: list[Row] = []
        self.events: list[EventRecord] = []
        self.footer: Footer | None = None
        self.end: dict[str, Any] | None = None
        self.counts: dict[str, int] = {}
        self.damage: list[Damage] = []
        self._width: int | None = None
        self._highest_n = -1
        self._seen: set[int] = set()
        self._sha256 = hashlib.sha256()

    def read(self, stream: BinaryIO) -> None:
        number = 0
        first = b""
        try:
            while line := stream.readline(MAX_LINE_BYTES):
                number += 1
                first = first or line[:4096]
                if line.endswith(b"\n"):
                    self._line(number, line)
                else:
                    self._endless(number, line, stream)
        except OSError as error:
            text = f"the disk gave nothing after line {number} ({reason(error)})"
            self.damage.append(Damage(DamageKind.UNREADABLE, text, number + 1))
        # With not one good line left, only how it begins can tell a ruined journal from another file.
        stem = first.rstrip(b"\0")
        self.is_journal = bool(self.counts) or stem.startswith(_FIRST_BYTES) or _FIRST_BYTES.startswith(stem)

    def result(self, path: Path) -> RunRecord:
        if self.header is None:
            self.damage.append(Damage(DamageKind.NO_HEAD, "the head is missing, so the columns have no names"))
        self._find_gaps()
        if self.end is not None:
            self._compare_with(self.end)
        columns = self.header.columns if self.header is not None else nameless(self._width or 0)
        return RunRecord(
            path=path,
            header=self.header,
            instruments=tuple(self.instruments),
            legs=tuple(self.legs),
            written=tuple(self.rows),
            frame=frame_of(columns, self.rows),
            events=tuple(self.events),
            footer=self.footer,
            damage=tuple(self.damage),
        )

    def _line(self, number: int, line: bytes) -> None:
        try:
            record = unframed(line)
            if self.end is None:
                kind = parse.text(record, "k")
                self._take(number, kind, record)
                self.counts[kind] = self.counts.get(kind, 0) + 1
            else:
                self._blame(DamageKind.AFTER_END, number, "it stands after the end record")
        except LineError as error:
            self._blame(DamageKind.BAD_LINE, number, str(error))
        if self.end is None:
            self._sha256.update(line)

    def _endless(self, number: int, line: bytes, stream: BinaryIO) -> None:
        size_bytes = 0
        while line:
            self._sha256.update(line)
            size_bytes += len(line)
            if line.endswith(b"\n"):
                self._blame(DamageKind.BAD_LINE, number, f"it is too long ({size_bytes} bytes)")
                return
            line = stream.readline(MAX_LINE_BYTES)
        size = "the last byte is" if size_bytes == 1 else f"the last {size_bytes} bytes are"
        text = f"{size} what is left of line {number}, which was torn off"
        self.damage.append(Damage(DamageKind.TORN_TAIL, text, number, number, size_bytes=size_bytes))

    def _take(self, number: int, kind: str, record: dict[str, Any]) -> None:
        match kind:
            case "row":
                self._take_row(number, parse.row(record))
            case "head":
                self._take_head(number, record)
            case "inst":
                self.instruments.append(parse.instrument(record))
            case "seg+":
                self.legs.append(parse.leg_started(record))
            case "seg-":
                self._end_leg(record)
            case "ev":
                self.events.append(parse.event(record))
            case "end":
                self.footer = parse.footer(record)
                self.end = record
            case _:
                raise LineError(f"it is of an unknown kind, {kind!r}")

    def _take_row(self, number: int, row: Row) -> None:
        n, width = row.n, len(row.values)
        if n < 0:
            raise LineError(f"it is a row of number {n}")
        if self._width is None:
            self._width = width
        if width != self._width:
            raise LineError(f"row {n} has {width} values for {self._width} columns")
        if n > self._highest_n:
            self._highest_n = n
        elif n in self._seen:
            text = f"row {n} came a second time, in line {number}; the first one counts"
            self.damage.append(Damage(DamageKind.DUPLICATE_ROW, text, number, number, n, n))
            return
        else:
            text = f"row {n} stands after row {self._highest_n}, in line {number}"
            self.damage.append(Damage(DamageKind.OUT_OF_ORDER, text, number, number, n, n))
        self._seen.add(n)
        self.rows.append(row)

    def _take_head(self, number: int, record: dict[str, Any]) -> None:
        if self.header is not None:
            raise LineError("it is a second head")
        header = parse.header(record)
        if self._width not in (None, len(header.columns)):
            raise LineError(f"it names {len(header.columns)} columns for rows of {self._width} values")
        self.header = header
        self._width = len(header.columns)
        if record.get("schema") != SCHEMA:
            text = f"the journal has schema {record.get('schema')!r}; this version knows {SCHEMA}"
            self.damage.append(Damage(DamageKind.SCHEMA, text, number, number))

    def _end_leg(self, record: dict[str, Any]) -> None:
        number, last_row, ended_s = parse.whole(record, "no"), parse.whole(record, "last"), parse.number(record, "t")
        # A leg made again has the number of the broken one: the newest is the one that ended.
        for i, begun in reversed(list(enumerate(self.legs))):
            if begun.leg.number == number and begun.last_row is None:
                self.legs[i] = replace(begun, last_row=last_row, ended_s=ended_s)
                return
        raise LineError(f"leg {number} ended without a beginning")

    def _blame(self, kind: DamageKind, number: int, why: str) -> None:
        # Damage comes in pages: neighbours with one fault are one entry, so a ruined file does not flood the list.
        first = number
        before = self.damage[-1] if self.damage else None
        if before and before.kind is kind and before.last_line == number - 1 and before.text.endswith(f": {why}"):
            self.damage.pop()
            first = before.first_line or number
        where = f"line {number}" if first == number else f"lines {first} to {number}"
        text = f"{where} cannot be used: {why}"
        self.damage.append(Damage(kind, text, first, number))

    def _find_gaps(self) -> None:
        promised = self.end.get("n") if self.end else None
        last_n = promised if type(promised) is int and promised < 2**63 else -1
        edges = [-1, *sorted(self._seen), max(last_n, self._highest_n) + 1]
        for before, after in pairwise(edges):
            if after - before > 1:
                first, last = before + 1, after - 1
                text = f"row {first} is missing" if first == last else f"rows {first} to {last} are missing"
                self.damage.append(Damage(DamageKind.GAP, text, first_n=first, last_n=last))

    def _compare_with(self, end: dict[str, Any]) -> None:
        if end.get("sha256") != self._sha256.hexdigest():
            text = "the lines before the end record are not the ones it was written for"
            self.damage.append(Damage(DamageKind.CHECKSUM, text))
        counts = end.get("counts")
        if type(counts) is not dict:
            return
        for kind, count in cast(dict[str, Any], counts).items():
            found = self.counts.get(kind, 0)
            if found != count:
                text = f"the end record counts {count!r} {kind} records and {found} can be read"
                self.damage.append(Damage(DamageKind.MISCOUNT, text))
