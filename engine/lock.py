"""A lock of the operating system on a file: one process at a time has it, and it is free when its owner dies."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

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
