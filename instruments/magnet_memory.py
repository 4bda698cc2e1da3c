"""What must outlive the program that drives a magnet: the coil's current, a quench, the last order, a journal.

One small JSON file for each serial number, written beside, synced and renamed, with a checksum inside: it is the old
one or the new one, whatever happens meanwhile. A file that is there and cannot be read means "unknown", which blocks;
only one that was never written means that there is nothing to remember. Commands are appended to a journal.
"""

import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from ..core.clock import Clock
from ..core.errors import StorageError
from .guard_states import LastOrder, Remembered

_SCHEMA = 1
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Files(Protocol):
    """The few things that a memory needs of a filesystem."""

    def read(self, name: str) -> bytes | None:
        """The whole file; None when there is none. Raises OSError."""
        ...

    def replace(self, name: str, content: bytes) -> None:
        """Put content in the place of a file, durably and all or nothing. Raises OSError."""
        ...

    def append(self, name: str, content: bytes) -> None:
        """Write content behind a file; it survives the death of this process. Raises OSError."""
        ...


class DiskFiles:
    """A folder of this computer, made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, int] = {}

    def read(self, name: str) -> bytes | None:
        """The whole file; None when there is none."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def replace(self, name: str, content: bytes) -> None:
        """Write beside, sync, rename, sync the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f"{name}.new"
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.folder / name)
        if os.name != "nt":  # a folder has no handle to sync there; NTFS journals its entries
            fd = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def append(self, name: str, content: bytes) -> None:
        """Write behind the file, without sync: a magnet does not wait for a disk at every word."""
        fd = self._open.get(name)
        if fd is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_APPEND | os.O_CREAT | os.O_WRONLY | getattr(os, "O_BINARY", 0)
            fd = self._open[name] = os.open(self.folder / name, flags, 0o644)
        os.write(fd, content)

    def close(self) -> None:
        """Close the journals."""
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()


class MemoryFiles:
    """Files that end with the program: a simulated station's."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        """The whole file; None when there is none."""
        return self.content.get(name)

    def replace(self, name: str, content: bytes) -> None:
        """Put content in the place of a file."""
        self.content[name] = content

    def append(self, name: str, content: bytes) -> None:
        """Write content behind a file."""
        self.content[name] = self.content.get(name, b"") + content


class JournalLine(NamedTuple):
    """One line of the journal of commands: when (UTC, ISO 8601) and what."""

    utc: str
    text: str


class MagnetMemory:
    """What is remembered of one magnet, by its supply's serial number."""

    def __init__(self, files: Files, serial: str, clock: Clock) -> None:
        self.serial = serial
        self._files = files
        self._clock = clock
        # Two serials that are written alike must not share a file.
        self._stem = stem = f"{_UNSAFE.sub('_', serial)}-{zlib.crc32(serial.encode()):08x}"
        self._name, self._journal = f"{stem}.json", f"{stem}.commands.jsonl"

    def load(self) -> Remembered:
        """What was remembered; with `unreadable` set when that is not known."""
        try:
            content = self._files.read(self._name)
        except OSError as error:
            return Remembered(unreadable=f"{self._name}: {error.strerror or error}")
        if content is None:
            return Remembered()
        try:
            return self._decode(content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return Remembered(unreadable=f"{self._name} is damaged ({error})")

    def store(self, what: Remembered) -> None:
        """Make it durable.

        Raises:
            StorageError: it could not be kept; what was there before still is.
        """
        try:
            self._files.replace(self._name, self._encode(what))
        except OSError as error:
            raise StorageError(
                f"what must be remembered of the magnet could not be kept ({error.strerror or error})",
                where=self._name, state="The magnet was not moved for it", do="make room on the disk",
            ) from error  # fmt: skip

    def note(self, text: str) -> None:
        """Append a line to the journal of commands.

        Raises:
            OSError: it could not be written.
        """
        clock = self._clock
        utc = clock.utc().isoformat(timespec="milliseconds")
        line = {"utc": utc, "monotonic_s": round(clock.now(), 3), "text": text}
        self._files.append(self._journal, json.dumps(line, ensure_ascii=False).encode() + b"\n")

    def last_notes(self, count: int) -> list[JournalLine]:
        """The last lines of the journal, oldest first; a line that was cut by the end of its writer is left out.

        Raises:
            OSError: the journal is there and cannot be read.
        """
        notes: list[JournalLine] = []
        for line in (self._files.read(self._journal) or b"").splitlines()[-count:]:
            try:
                found = json.loads(line)
                notes.append(JournalLine(str(found["utc"]), str(found["text"])))
            except (ValueError, TypeError, KeyError):
                continue
        return notes

    def quench_file(self) -> str:
        """The name of a new file for the readings around a quench that was seen just now."""
        return f"{self._stem}.quench-{self._clock.utc():%Y%m%dT%H%M%SZ}.jsonl"

    def add(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows to a file beside this memory, as JSON lines, in one write.

        Raises:
            OSError: they could not be written.
        """
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self._files.append(name, text.encode())

    def _encode(self, what: Remembered) -> bytes:
        last = what.last
        body = {
            "schema": _SCHEMA,
            "serial": self.serial,
            "written_utc": self._clock.utc().isoformat(timespec="seconds"),
            "persistent_A": what.persistent_A,
            "note": what.note,
            "quench": what.quench,
            "unreadable": what.unreadable,
            "last": {
                "set_point_A": last.set_point_A, "rate_A_per_s": last.rate_A_per_s, "heater_on": last.heater_on,
                "fingerprint": last.fingerprint,
            },
        }  # fmt: skip
        text = json.dumps(body, ensure_ascii=False, allow_nan=False)
        return json.dumps({"crc32": zlib.crc32(text.encode()), "body": text}, ensure_ascii=False).encode() + b"\n"

    def _decode(self, content: bytes) -> Remembered:
        outer = json.loads(content)
        text: str = outer["body"]
        if zlib.crc32(text.encode()) != outer["crc32"]:
            raise ValueError("its checksum does not fit")
        body: dict[str, Any] = json.loads(text)
        if body["schema"] != _SCHEMA:
            raise ValueError(f"it is of schema {body['schema']}")
        if body["serial"] != self.serial:
            raise ValueError(f"it is of the supply {body['serial']}")
        last = body["last"]
        fingerprint = last["fingerprint"]
        return Remembered(
            _number(body["persistent_A"]),
            str(body["quench"]),
            LastOrder(
                _number(last["set_point_A"]),
                _number(last["rate_A_per_s"]),
                cast("bool | None", last["heater_on"]),
                None if fingerprint is None else tuple((str(key), str(value)) for key, value in fingerprint),
            ),
            str(body["unreadable"]),
            str(body["note"]),
        )


def forgetful(clock: Clock, serial: str = "none") -> MagnetMemory:
    """A memory that ends with the program."""
    return MagnetMemory(MemoryFiles(), serial, clock)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    return float(value)
