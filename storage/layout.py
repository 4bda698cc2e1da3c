"""Where a run lies: `<root>/<rig>/<YYYY>/<MM>/<uid>/`. Every name a person gave goes through `safe_name` first.

The original name is kept in the journal's head; a path is for finding, not for reading back.
"""

import hashlib
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from ..core.errors import ConfigError, StorageError
from .durable import reason, sync_folder

# Windows takes 260 characters for a whole path, Linux 255 bytes for one name.
_MAX_NAME_BYTES = 120
_PUNCTUATION = frozenset("-_.+=@, ()[]")
# Devices of Windows, with any ending and in any case; the superscript digits count as digits there.
_DEVICES = frozenset(["CON", "PRN", "AUX", "NUL"]) | {f"{port}{n}" for port in ("COM", "LPT") for n in "0123456789¹²³"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def safe_name(name: str) -> str:
    """`name` as one path component that is legal on Windows, macOS and Linux.

    Letters, digits and ``-_.+=@, ()[]`` stay. Everything else is percent-encoded, so different names stay different;
    only names that look alike (equal in Unicode's NFC) become one, and beyond 120 bytes a hash keeps them apart.
    """
    text = unicodedata.normalize("NFC", name)
    last = len(text) - 1
    safe = "".join(
        char if _stays(char, at_start=i == 0, at_end=i == last) else _escaped(char) for i, char in enumerate(text)
    )
    if safe.split(".")[0].rstrip(" ").upper() in _DEVICES:
        safe = _escaped(safe[0]) + safe[1:]
    if len(safe.encode()) > _MAX_NAME_BYTES:
        return _shortened(safe)
    # A percent sign is always followed by two hex digits elsewhere, so no other name can become this one.
    return safe or "%empty"


def run_folder(root: Path, rig: str, started: datetime, uid: str) -> Path:
    """Make the folder of one run and return it. Year and month are those of UTC.

    `StorageError` if it exists or cannot be made, `ConfigError` if a link would lead out of `root`.
    """
    if started.tzinfo is None:
        raise ConfigError(f"the start of a run needs a time zone: {started.isoformat()}")
    utc = started.astimezone(UTC)
    month = Path(root) / safe_name(rig) / f"{utc.year:04}" / f"{utc.month:02}"
    folder = month / safe_name(uid)
    try:
        if not month.resolve().is_relative_to(Path(root).resolve()):
            raise ConfigError("a link leads out of the data folder", where=str(month))
        _make_durably(month)
        folder.mkdir()
        sync_folder(month)
    except FileExistsError as error:
        raise StorageError("the folder of this run exists already", where=str(folder)) from error
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"the run folder cannot be made ({reason(error)})",
            where=str(folder),
            state="Nothing was measured",
            do="Check the data folder, its rights and its disk",
        ) from error
    return folder


def new_uid(utc: datetime, random_bytes: bytes) -> str:
    """A UUID version 7 (RFC 9562): sorts by time to the millisecond, unique by 74 of the 80 random bits."""
    if len(random_bytes) != 10:
        raise ConfigError(f"a uid takes 10 random bytes, not {len(random_bytes)}")
    if utc.tzinfo is None:
        raise ConfigError(f"the time of a uid needs a time zone: {utc.isoformat()}")
    since_epoch_ms = (utc - _EPOCH) // timedelta(milliseconds=1)
    if since_epoch_ms < 0:
        raise ConfigError(f"a uid cannot be older than 1970: {utc.isoformat()}")
    random = int.from_bytes(random_bytes)
    rand_a, rand_b = random >> 68, random & (2**62 - 1)
    return str(UUID(int=since_epoch_ms << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b))


def _stays(char: str, *, at_start: bool, at_end: bool) -> bool:
    if char in _PUNCTUATION:
        # A leading dot hides, a leading dash is an option, and Windows drops a trailing dot or space.
        return not (at_start and char in ".- ") and not (at_end and char in ". ")
    return unicodedata.category(char)[0] in "LMN"


def _escaped(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def _shortened(safe: str) -> str:
    digest = hashlib.sha256(safe.encode()).hexdigest()[:16]
    kept = safe.encode()[: _MAX_NAME_BYTES - 18].decode(errors="ignore")
    # `%x` is no percent code either: a short name cannot look like a shortened one.
    return f"{kept}%x{digest}"


def _make_durably(folder: Path) -> None:
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
        sync_folder(place.parent)
