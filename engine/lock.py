"""One process drives a station at a time: a lock of the operating system, gone when its owner dies."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..core.errors import StationLocked

if os.name == "nt":
    import msvcrt

    # Windows keeps others from reading what is locked: the byte lies far behind the text that names the owner.
    _FAR = 1 << 30

    def _try_lock(file: IO[str]) -> None:
        file.seek(_FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def hold_file(path: Path) -> Generator[tuple[IO[str], bool]]:
    """A file opened for reading and writing, and whether its lock is ours until the block is left."""
    with path.open("a+", encoding="utf-8") as file:
        try:
            _try_lock(file)
        except OSError:
            yield file, False
        else:
            yield file, True


@contextmanager
def lock_station(path: Path) -> Generator[None]:
    """Hold the station's lock.

    Raises:
        StationLocked: another process holds it; the message names its number.
    """
    with hold_file(path.with_name(path.name + ".lock")) as (file, ours):
        file.seek(0)
        if not ours:
            owner = file.read(100).strip() or "unknown"
            raise StationLocked(
                f"process {owner} drives this station", where=str(path), state="Nothing was sent to any instrument",
                do="stop it first, or watch it",
            )  # fmt: skip
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
