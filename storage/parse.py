"""From a journal's records back to what was said. Each function takes a whole record or refuses it with `LineError`.

A right checksum proves that the bytes are the ones written, not who wrote them, so every type is looked at.
"""

from typing import Any, cast

from ..core.records import Column, Event, Footer, Header, InstrumentRecord, Leg, Outcome, Row
from .lines import LineError
from .record import EventRecord, LegRecord

Record = dict[str, Any]

_HEADER_TEXTS = ("uid", "procedure", "station", "rig", "sample", "started_utc", "note")


def row(record: Record) -> Row:
    """One row, its width not yet compared with the head."""
    n, values = whole(record, "n"), record.get("v")
    if type(values) is not list:
        raise LineError("it is a row without a list of values")
    flags = cast(list[Any], record.get("f", ()))
    if flags and (type(flags) is not list or any(type(flag) is not str for flag in flags)):
        raise LineError("its flags are not texts")
    values = cast(list[Any], values)
    return Row(n, number(record, "t"), number(record, "utc"), tuple(values), tuple(flags))


def header(record: Record) -> Header:
    """The head."""
    columns = record.get("columns")
    if type(columns) is not list:
        raise LineError("it is a head without columns")
    return Header(
        **{name: text(record, name) for name in _HEADER_TEXTS},
        parameters=mapping(record, "parameters"),
        columns=tuple(map(_column, cast(list[Any], columns))),
        simulated=record.get("simulated") is True,
        started_utc_s=number(record, "started_utc_s"),
        monotonic_s=number(record, "monotonic_s"),
        software=mapping(record, "software"),
        recipe=mapping(record, "recipe"),
    )


def instrument(record: Record) -> InstrumentRecord:
    """An instrument as it was."""
    name, driver, resource, identity = (text(record, key) for key in ("name", "driver", "resource", "identity"))
    return InstrumentRecord(name, driver, resource, identity, mapping(record, "settings"))


def leg_started(record: Record) -> LegRecord:
    """A leg without its end."""
    leg = Leg(whole(record, "no"), number(record, "start_T"), number(record, "stop_T"), number(record, "rate_T_per_s"))
    return LegRecord(leg, whole(record, "first"), number(record, "t"))


def event(record: Record) -> EventRecord:
    """An event and its times."""
    said = Event(text(record, "level"), text(record, "source"), text(record, "text"), mapping(record, "data"))
    return EventRecord(said, number(record, "t"), number(record, "utc"))


def footer(record: Record) -> Footer:
    """How the run ended."""
    outcome = text(record, "outcome")
    if outcome not in tuple(Outcome):
        raise LineError(f"it names an unknown outcome, {outcome!r}")
    return Footer(Outcome(outcome), whole(record, "rows"), text(record, "reason"), text(record, "hardware"))


def text(record: Record, key: str) -> str:
    """The text at `key`."""
    value = record.get(key)
    if type(value) is not str:
        raise LineError(f"its {key!r} is not a text")
    return value


def mapping(record: Record, key: str) -> Record:
    """The object at `key`."""
    value = record.get(key)
    if type(value) is not dict:
        raise LineError(f"its {key!r} is not an object")
    return cast(Record, value)


def whole(record: Record, key: str) -> int:
    """The whole number at `key`, of 64 bits; -1 is one too: a leg without a row ends one before its first."""
    value = record.get(key)
    if type(value) is not int or not -1 <= value < 2**63 - 1:
        raise LineError(f"its {key!r} is not a number of rows or lines")
    return value


def number(record: Record, key: str) -> float:
    """The number at `key`; nan for the null that stands for one."""
    value = record.get(key, "")
    if type(value) is float:
        return value
    if value is None:
        return float("nan")
    if type(value) is not int or abs(value) > 2**63:
        raise LineError(f"its {key!r} is not a number")
    return value


def _column(record: Any) -> Column:
    if type(record) is not dict:
        raise LineError("one of its columns is not an object")
    fields = ("name", "quantity", "unit", "role", "instrument", "dtype")
    return Column(*(text(cast(Record, record), name) for name in fields))
