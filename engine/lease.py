"""A lease: one process at a time writes to one instrument, wherever its station file lies.

It goes by the instrument's serial number, not by its address: two station files, or two addresses of one supply, meet
here. The lease is a lock of the operating system on a file, so it is free at the very moment its owner dies, however
that happens; the file says for people who the owner is.
"""

import getpass
import json
import os
import re
import socket
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..core.clock import Clock
from .lock import hold_file

_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lease: a process on a computer, since when (UTC)."""

    process: int
    user: str
    computer: str
    since: str
    station: str

    def __str__(self) -> str:
        return f"process {self.process} of {self.user} on {self.computer} ({self.station}, since {self.since})"


@dataclass(frozen=True, slots=True)
class Lease:
    """The outcome of asking for one: ours, or the owner's, who may be unknown."""

    serial: str
    ours: bool
    owner: Owner | None


@contextmanager
def lease(serial: str, folder: Path, clock: Clock, station: str) -> Generator[Lease]:
    """Ask for the lease of an instrument and hold it, if it is free, until the block is left.

    A lease that somebody else has is no error: who gets none may still read.
    """
    path = folder / "leases" / f"instrument-{_PLAIN.sub('_', serial)}.lease"
    path.parent.mkdir(parents=True, exist_ok=True)
    with hold_file(path) as (file, ours):
        if not ours:
            yield Lease(serial, False, _read(path))
            return
        owner = Owner(os.getpid(), _user(), socket.gethostname(), clock.utc().isoformat(timespec="seconds"), station)
        file.seek(0)
        file.truncate()
        json.dump({name: getattr(owner, name) for name in Owner.__slots__}, file)
        file.flush()
        yield Lease(serial, True, owner)


def hold_all(serials: Iterable[str], folder: Path, clock: Clock, station: str, until: ExitStack) -> list[Lease]:
    """Hold every lease that is free until the stack is left, and give those that somebody else has."""
    leases = [until.enter_context(lease(serial, folder, clock, station)) for serial in dict.fromkeys(serials)]
    return [found for found in leases if not found.ours]


def place_of(resource: str) -> str:
    """What stands for an instrument that tells no serial number: this computer and the address."""
    return f"{socket.gethostname()} {resource}"


def _read(path: Path) -> Owner | None:
    """Who a lease's file names; None where it cannot be read, as Windows forbids while it is locked."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Owner(int(found["process"]), *(str(found[name]) for name in ("user", "computer", "since", "station")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a process may have no user that the system knows
        return "unknown"
