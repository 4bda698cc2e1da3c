"""The journal: the truth about a run while it runs. One line per record, one `write` per line, only ever appended.

Nothing here reads a clock: the bytes follow from the records alone, so two identical runs leave identical files.
Once a method has returned, its record survives the death of the process; within `sync_within_s` also a power cut.
"""

import hashlib
import os
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from ..core.errors import ConfigError, StorageError
from ..core.records import Event, Footer, Header, InstrumentRecord, Leg, Row
from . import lines
from .durable import BackgroundSync, Sync, Write, create_exclusively, data_sync, reason


class Journal:
    """An append-only file of checksummed records, made at `path` where no file may be.

    A method that raises `StorageError` has kept nothing, and the same record may be given again when there is
    room. After a failed sync every method raises: what was written may be lost, so write a new file from memory.
    `write` and `sync` are the operating system's, or a test's.
    """

    def __init__(
        self, path: Path, *, sync_within_s: float = 0.05, write: Write = os.write, sync: Sync = data_sync
    ) -> None:
        self.path = Path(path)
        self.last_n: int | None = None
        self.counts: dict[str, int] = {}
        self._names: tuple[str, ...] = ()
        self._open = False  # after the head, before the end, and while the file is sound
        self._closed = False
        self._size_bytes = 0
        self._torn = b""
        self._broken = ""
        self._told = False
        self._sha256 = hashlib.sha256()
        self._write = write
        self._lock = Lock()
        self._fd = create_exclusively(self.path)
        self._sync = BackgroundSync(self._fd, sync_within_s, sync)

    @property
    def rows(self) -> int:
        """How many rows were kept."""
        return self.counts.get("row", 0)

    def head(self, header: Header) -> None:
        """Keep what is known before the first row, on disk when this returns."""
        names = tuple(column.name for column in header.columns)
        if len(set(names)) != len(names):
            raise ConfigError(f"two columns of {header.procedure} have one name: {', '.join(names)}")
        with self._lock:
            if "head" in self.counts:
                raise ConfigError("a journal has one head, and this one has it already", where=str(self.path))
            self._open = not (self._closed or self._broken)
            try:
                self._append("head", lines.encoded({"k": "head", "schema": lines.SCHEMA} | lines.fields_of(header)))
                self._names = names
            finally:
                self._open = "head" in self.counts
            self._sync_now()

    def instrument(self, instrument: InstrumentRecord) -> None:
        """Keep an instrument as it is now, on disk when this returns; again after each change of its settings."""
        settings = hashlib.sha256(lines.encoded(instrument.settings)).hexdigest()
        record = {"k": "inst"} | lines.fields_of(instrument) | {"settings_sha256": settings}
        with self._lock:
            self._append("inst", lines.encoded(record))
            self._sync_now()

    def leg_started(self, leg: Leg, first_row: int, time_s: float) -> None:
        """Say that a leg began and that its first row will be number `first_row`."""
        record = {"k": "seg+", "no": leg.number, "start_T": leg.start_T, "stop_T": leg.stop_T}
        body = lines.encoded(record | {"rate_T_per_s": leg.rate_T_per_s, "first": first_row, "t": time_s})
        with self._lock:
            self._append("seg+", body)

    def leg_ended(self, leg: Leg, last_row: int, time_s: float) -> None:
        """Say that a leg ended with row number `last_row`."""
        body = lines.encoded({"k": "seg-", "no": leg.number, "last": last_row, "t": time_s})
        with self._lock:
            self._append("seg-", body)

    def row(self, row: Row) -> None:
        """Keep one row. When this has returned, the row outlives the process."""
        n, time_s, utc_s, values, flags = row.n, row.time_s, row.utc_s, row.values, row.flags
        if self._open and len(values) != len(self._names):
            raise ConfigError(f"row {n} has {len(values)} values for {len(self._names)} columns", where=str(self.path))
        try:
            body = lines.encoded_row(n, time_s, utc_s, values, flags)
        except (ValueError, TypeError):
            body = self._odd_row(row)
        with self._lock:
            if self.last_n is not None and n <= self.last_n:
                raise ConfigError(f"row {n} comes after row {self.last_n}; numbers only rise", where=str(self.path))
            self._append("row", body)
            self.last_n = n

    def event(self, event: Event, time_s: float, utc_s: float) -> None:
        """Keep something that happened beside the rows."""
        body = lines.encoded({"k": "ev", "t": time_s, "utc": utc_s} | lines.fields_of(event))
        with self._lock:
            self._append("ev", body)

    def end(self, footer: Footer, time_s: float, utc_s: float) -> None:
        """Keep how the run ended, on disk when this returns. Nothing can be appended after it."""
        with self._lock:
            record: dict[str, Any] = {"k": "end", "t": time_s, "utc": utc_s} | lines.fields_of(footer)
            record |= {"n": self.last_n, "counts": self.counts, "sha256": self._hash_so_far()}
            self._append("end", lines.encoded(record))
            self._open = False
            self._sync_now()

    def close(self) -> None:
        """Sync what is left and let go of the file; a second call does nothing.

        `StorageError` if what was written did not reach the disk and nobody was told so far.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._open = False
            try:
                self._sync.stop()
                if not self._told:
                    self._sync_now()
            finally:
                os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _odd_row(self, row: Row) -> bytes:
        try:
            return lines.encoded_odd_row(row.n, row.time_s, row.utc_s, row.values, row.flags, self._names)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"row {row.n} cannot be kept: {error}", where=str(self.path)) from error

    def _append(self, kind: str, body: bytes) -> None:
        # The lock is held by the caller: a row is numbered and appended in one step.
        line = lines.framed(body)
        if not self._open or self._sync.error is not None or len(line) > lines.MAX_LINE_BYTES:
            raise self._refusal(kind, len(line))
        data = b"\n" + line if self._torn else line
        try:
            written = self._write(self._fd, data)
        except OSError as error:
            self._take_back(data)
            raise self._not_kept(kind, reason(error)) from error
        if written != len(data):
            self._take_back(data)
            raise self._not_kept(kind, f"only {written} of {len(data)} bytes were taken")
        if self._torn:
            data, self._torn = self._torn + data, b""
        self._size_bytes += len(data)
        self._sha256.update(data)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self._sync.mark()

    def _refusal(self, kind: str, size_bytes: int) -> StorageError | ConfigError:
        where = str(self.path)
        if self._sync.error is not None or self._broken:
            return self._lost(self._sync.error)
        if self._closed or "end" in self.counts:
            state = "closed" if self._closed else "ended"
            return StorageError(f"the journal is {state}; no {kind} record can follow", where=where)
        if not self._open:
            return ConfigError(f"a journal begins with its head, not with a {kind} record", where=where)
        return ConfigError(f"the {kind} record has {size_bytes} bytes; no reader would take it", where=where)

    def _take_back(self, data: bytes) -> None:
        # What is left of a refused record is cut off: nobody was told of it. A file that cannot be cut keeps the
        # torn line, and the next record starts on a line of its own.
        try:
            os.ftruncate(self._fd, self._size_bytes)
            self._torn = b""
            return
        except OSError:
            pass
        try:
            landed = os.fstat(self._fd).st_size - self._size_bytes
        except OSError:
            landed = -1
        self._torn = (self._torn + data)[: max(landed, 0)]
        if len(self._torn) != landed:
            self._open = False
            self._broken = "after a failed write the file is not as long as it should be"

    def _sync_now(self) -> None:
        try:
            self._sync.now()
        except OSError as error:
            raise self._lost(error) from error

    def _hash_so_far(self) -> str:
        if not self._torn:
            return self._sha256.hexdigest()
        whole = self._sha256.copy()
        whole.update(self._torn + b"\n")
        return whole.hexdigest()

    def _not_kept(self, kind: str, why: str) -> StorageError:
        return StorageError(
            f"the {kind} record could not be written ({why})",
            where=str(self.path),
            state=f"{self.rows} rows are kept, this record is not",
            do="Make room and give the record again",
        )

    def _lost(self, error: OSError | None) -> StorageError:
        self._told = True
        why = f"the disk refused a sync ({reason(error)})" if error is not None else self._broken
        return StorageError(
            f"{why}; rows of the last moments may be lost",
            where=str(self.path),
            do="Write a new file from memory; this one takes nothing more",
        )
