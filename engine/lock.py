"""One process drives a station at a time: a lock of the operating system, gone when its owner dies."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..core.errors import StationLocked

if os.name == "nt":
    import msvcrt

    def _try_lock(file: IO[str]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def lock_station(path: Path) -> Generator[None]:
    """Hold the station's lock.

    Raises:
        StationLocked: another process holds it; the message names its number.
    """
    lock_path = path.with_name(path.name + ".lock")
    with lock_path.open("a+", encoding="utf-8") as file:
        try:
            _try_lock(file)
        except OSError as error:
            file.seek(0)
            owner = file.read(100).strip() or "unknown"
            raise StationLocked(
                f"process {owner} drives this station", where=str(path), state="Nothing was sent to any instrument",
                do="stop it first, or watch it",
            ) from error  # fmt: skip
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
