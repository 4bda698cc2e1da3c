"""What "on disk" means: files made exclusively, folders whose entries survive a power cut, syncs that never lie."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread

from ..core.errors import StorageError

Write = Callable[[int, bytes], int]
Sync = Callable[[int], None]

# The size of an appended file is flushed with its data by fdatasync; only time stamps are left out.
data_sync: Sync = getattr(os, "fdatasync", os.fsync)

# Without O_BINARY Windows would turn each LF into CR LF, behind the back of every checksum.
_EXCLUSIVE = os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def create_exclusively(path: Path, *, readable: bool = False) -> int:
    """A new file open for appending; `StorageError` if it exists, so no run can overwrite another."""
    mode = os.O_RDWR if readable else os.O_WRONLY
    try:
        fd = os.open(path, mode | _EXCLUSIVE, 0o644)
        sync_folder(path.parent)
    except FileExistsError as error:
        raise StorageError(
            "the file exists already and belongs to another run", where=str(path), do="Choose another run folder"
        ) from error
    except OSError as error:
        raise StorageError(
            f"the file cannot be made ({reason(error)})",
            where=str(path),
            do="Check the folder, its rights and its disk",
        ) from error
    return fd


def sync_folder(folder: Path) -> None:
    """Make the entries of `folder` durable, where the system can."""
    if os.name == "nt":  # a folder has no handle to sync there; NTFS journals its entries
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network shares do not know this call. The file's own sync is all they offer.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(fd)


def reason(error: OSError) -> str:
    """The operating system's words, without its numbers."""
    return error.strerror or str(error)


class BackgroundSync:
    """Syncs one file from a thread of its own, `within_s` seconds after `mark()` at the latest.

    After a failed sync the kernel may drop the pages and report success to the next call, so the first error is
    kept for good in `error`, and nothing is ever synced again.
    """

    def __init__(self, fd: int, within_s: float, sync: Sync = data_sync) -> None:
        self.error: OSError | None = None
        self._fd = fd
        self._sync = sync
        # Half of the time is spent collecting rows, half is left for the disk.
        self._collect_s = within_s / 2
        self._dirty = Event()
        self._stop = Event()
        self._one_at_a_time = Lock()
        self._thread = Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    def mark(self) -> None:
        """Say that bytes were written."""
        if not self._dirty.is_set():
            self._dirty.set()

    def now(self) -> None:
        """Return when all bytes written before are on disk; OSError if this or any earlier sync failed."""
        with self._one_at_a_time:
            self._attempt()
            if self.error is not None:
                raise self.error

    def stop(self) -> None:
        """End the thread; the file may then be closed."""
        self._stop.set()
        self._dirty.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._dirty.wait()
            if self._stop.wait(self._collect_s):
                return
            with self._one_at_a_time:
                self._attempt()
            # The attempt may have cleared the very mark with which `stop` meant to wake this thread.
            if self._stop.is_set():
                return

    def _attempt(self) -> None:
        if self.error is not None or not self._dirty.is_set():
            return
        # Cleared before the sync: a row written during it is marked again and waits for the next one.
        self._dirty.clear()
        try:
            self._sync(self._fd)
        except OSError as error:
            self.error = error
