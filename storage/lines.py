"""One line of a journal: compact JSON, TAB, CRC-32 of the JSON in eight hex digits, LF. Nothing here touches a file.

JSON escapes TAB and LF inside texts, so both occur once per line and a reader finds the next line after any damage.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from math import isfinite
from typing import Any, cast
from zlib import crc32

SCHEMA = 1
# A settings snapshot is 10-100 kB. The bound is what a reader is ready to hold of a line that has lost its end.
MAX_LINE_BYTES = 16 * 2**20
NOT_A_NUMBER = "not-a-number"

_TAIL_BYTES = len(b"\t00000000\n")


class LineError(ValueError):
    """Why a line does not count."""


def framed(body: bytes) -> bytes:
    """The line that carries `body`."""
    return b"%s\t%08x\n" % (body, crc32(body))


def unframed(line: bytes) -> dict[str, Any]:
    """The record of a whole line; `LineError` if one bit of it is not as it was written."""
    body = line[:-_TAIL_BYTES]
    # Compared as text, not as a number: upper-case digits are one flipped bit away from the ones written.
    if line[-_TAIL_BYTES:] != b"\t%08x\n" % crc32(body):
        raise LineError("it holds only zeros" if not line.strip(b"\0\n") else "its checksum does not match")
    try:
        record = _decode(body.decode())
    except (ValueError, RecursionError) as error:
        raise LineError(f"it is not JSON ({error})") from error
    if not isinstance(record, dict):
        raise LineError("it is not a JSON object")
    return cast(dict[str, Any], record)


def fields_of(said: Any) -> dict[str, Any]:
    """The fields of a dataclass by name. Copies nothing, so any mapping may be inside, unlike `dataclasses.asdict`."""
    return {field.name: getattr(said, field.name) for field in fields(said)}


def encoded(record: Mapping[str, Any]) -> bytes:
    """JSON of any record but a row. What JSON does not know becomes text; what is not finite becomes null.

    The path of each such null is kept under `f`, as `settings.gain:not-a-number`.
    """
    flags: list[str] = []
    plain = cast(dict[str, Any], _plain(record, (), flags.append))
    if flags:
        plain["f"] = flags
    return _utf8(plain)


def encoded_row(n: int, time_s: float, utc_s: float, values: tuple[Any, ...], flags: tuple[str, ...]) -> bytes:
    """JSON of a row whose numbers are all finite; ValueError if one is not, TypeError if one is no scalar."""
    if flags:
        text = _encode({"k": "row", "n": n, "t": time_s, "utc": utc_s, "v": values, "f": flags})
    else:
        text = _encode({"k": "row", "n": n, "t": time_s, "utc": utc_s, "v": values})
    return text.encode()


def encoded_odd_row(
    n: int, time_s: float, utc_s: float, values: tuple[Any, ...], flags: tuple[str, ...], names: tuple[str, ...]
) -> bytes:
    """JSON of any row: each number that is not finite is null, and its column's name is flagged."""
    cells = {"t": _native(time_s), "utc": _native(utc_s)} | dict(zip(names, map(_native, values), strict=True))
    odd = [name for name, value in cells.items() if isinstance(value, float) and not isfinite(value)]
    kept = [None if name in odd else value for name, value in cells.items()]
    marks = (*flags, *(f"{name}:{NOT_A_NUMBER}" for name in odd))
    record: dict[str, Any] = {"k": "row", "n": n, "t": kept[0], "utc": kept[1], "v": kept[2:]}
    return _utf8(record | {"f": marks} if marks else record)


def _native(value: Any) -> Any:
    """The Python scalar in a numpy scalar, without importing numpy; anything else as it is."""
    unwrap = getattr(value, "tolist", None)
    return value if unwrap is None else unwrap()


def _scalar(value: Any) -> Any:
    native = _native(value)
    if native is None or isinstance(native, str | int | float):
        return native
    # A quantity or an array in a row is a mistake of the procedure: guessing its unit would invent data.
    raise TypeError(f"a {type(value).__name__} is not a number, text, bool or None")


def _plain(value: Any, path: tuple[str, ...], flag: Callable[[str], None]) -> Any:
    value = _native(value)
    match value:
        case float():
            if isfinite(value):
                return value
            flag(f"{'.'.join(path)}:{NOT_A_NUMBER}")
            return None
        case None | bool() | int() | str():
            return value
        case Enum():
            return _plain(value.value, path, flag)
        case Mapping():
            items = cast(Mapping[Any, Any], value).items()
            return {str(key): _plain(item, (*path, str(key)), flag) for key, item in items}
        case list() | tuple():
            items = cast(Iterable[Any], value)
            return [_plain(item, (*path, str(i)), flag) for i, item in enumerate(items)]
        case set() | frozenset():
            return _plain(sorted(cast(Iterable[Any], value), key=repr), path, flag)
        case date():
            return value.isoformat()
        case _ if is_dataclass(value) and not isinstance(value, type):
            return _plain(fields_of(value), path, flag)
        case _:
            return _text(value)


def _text(value: object) -> str:
    # object's own repr holds a memory address, and the bytes of two identical runs must be identical.
    if type(value).__str__ is object.__str__ and type(value).__repr__ is object.__repr__:
        return f"<{type(value).__qualname__}>"
    return str(value)


def _utf8(record: Mapping[str, Any]) -> bytes:
    text = _encode(record)
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half a surrogate pair has no UTF-8; as an escape it survives and is read back as it was.
        return _encode_ascii(record).encode()


def _refuse_constant(token: str) -> Any:
    raise ValueError(f"{token} is not JSON")


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False, default=_scalar).encode
_encode_ascii = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_scalar).encode
_decode: Callable[[str], Any] = json.JSONDecoder(parse_constant=_refuse_constant).decode
