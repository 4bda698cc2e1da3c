"""Strict reading: a reply is exactly what was asked for, or an error. Nothing is guessed, cut or passed on as text.

pymeasure's property makers keep what they cannot convert as text and give a list where a reply has commas; those here
make of both a `ReplyError`. A word for "no value" is an error where a setting is read, a flag where a reading is.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from pymeasure.instruments import Instrument

from ..core.errors import RemanenceError, ReplyError

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_WORDS = {
    "NAN": "invalid", "-----": "invalid", "INF": "overflow", "INFINITY": "overflow", "OVERFLOW": "overflow",
    "OVLD": "overflow", "OVER": "overflow", "OL": "overflow",
}  # fmt: skip
# SCPI-99 7.2.1.5: 9.9E37 is infinity, 9.91E37 is "not a number"; nothing measured here comes near.
_NO_VALUE, _SCPI_NAN = 9.9e36, 9.91e37


def strict_float(text: str) -> float:
    """A number that is a whole, finite number: a reply cut in the middle (`1.0E`) is an error, not a value.

    Raises:
        ReplyError: the text is anything else, `+9.9E37` and `NAN` (the instruments' words for no value) included.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text) is None:
        raise ReplyError(f"{text!r} is not a number")
    value = float(text)
    if not -_NO_VALUE < value < _NO_VALUE:
        raise ReplyError(f"{text!r} is an instrument's word for no value")
    return value


def strict_int(text: str) -> int:
    """A whole number that is written as one.

    Raises:
        ReplyError: the text is anything else.
    """
    text = text.strip()
    if _INTEGER.fullmatch(text) is None:
        raise ReplyError(f"{text!r} is not a whole number")
    return int(text)


def reading(text: str) -> tuple[float, tuple[str, ...]]:
    """A measured number and its flags: a word for no value is NaN with `invalid` or `overflow`, never a number.

    Raises:
        ReplyError: the text is neither a number nor such a word.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text) is None:
        flag = _WORDS.get(text.upper().lstrip("+-") or text)
        if flag is None:
            raise ReplyError(f"{text!r} is not a number")
        return math.nan, (flag,)
    value = float(text)
    if -_NO_VALUE < value < _NO_VALUE:
        return value, ()
    return math.nan, ("invalid" if math.isclose(value, _SCPI_NAN, rel_tol=1e-4) else "overflow",)


def _strict_bool(text: str) -> bool:
    value = strict_int(text)
    if value not in (0, 1):
        raise ReplyError(f"{text!r} is neither 0 nor 1")
    return value == 1


_CASTS: dict[Any, Callable[[str], Any]] = {float: strict_float, int: strict_int, bool: _strict_bool}


def strict_cast(cast: Any) -> Callable[[str], Any]:
    """The strict form of a type that pymeasure's properties are given as `cast`."""
    return _CASTS.get(cast) or cast


def _made(maker: Any, options: dict[str, Any]) -> property:
    """A property of pymeasure that gives one value, and says which reply is none."""
    options.setdefault("maxsplit", -1 if "get_process_list" in options else 0)
    values = options.get("values")
    if options.get("map_values") and isinstance(values, list | tuple | range):
        # By its place in a list pymeasure takes a reply of -1 for the last.
        options["values"] = {value: place for place, value in enumerate(values)}
    plain = maker(**options)

    def read(self: Any) -> Any:
        try:
            return plain.fget(self)
        except RemanenceError:
            raise
        except (LookupError, ValueError, TypeError) as error:
            raise self.reply_error(*self.asked) from error

    read.__doc__ = plain.fget.__doc__
    return property(read, plain.fset)


# pymeasure types its makers as making a `property`; the attribute declares what it holds: `x: float = measurement(…)`.
def _control(get_command: str, set_command: str, docs: str, **options: Any) -> property:
    """A property that is read with one command and set with another; options are those of pymeasure's `control`."""
    given = {"get_command": get_command, "set_command": set_command, "docs": docs}
    return _made(Instrument.control, given | options)


def _measurement(get_command: str, docs: str, **options: Any) -> property:
    """A property that is read with a command; options are those of pymeasure's `measurement`."""
    return _made(Instrument.measurement, {"get_command": get_command, "docs": docs} | options)


control: Any = _control
measurement: Any = _measurement
