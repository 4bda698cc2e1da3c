"""The named reading buffers of the 2450: TRACe with a name in quotes, and a reading's elements by name."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .scpi import ScpiPanel
from .scpi_grammar import Refused, arguments_of, unquoted, value_of, word_of

_ELEMENTS = (
    "DATE", "FORMatted", "FRACtional", "READing", "RELative", "SEConds", "SOURce", "SOURFORMatted", "SOURSTATus",
    "SOURUNIT", "STATus", "TIME", "TSTamp", "UNIT",
)  # fmt: skip
_DEFAULTS = ("defbuffer1", "defbuffer2")
_DEFAULT_SIZE, _LARGEST = 100000, 6875000
_STYLES = ("COMPact", "STANdard", "FULL", "WRITable", "FULLWRITable")


@dataclass(frozen=True, slots=True)
class Stored:
    """One reading with all that the instrument keeps of it."""

    value: float
    unit: str
    source: float
    source_unit: str
    limited: bool
    at: datetime


@dataclass(slots=True)
class NamedBuffer:
    """Readings, oldest first; the oldest goes when there is no room."""

    size: int
    readings: list[Stored] = field(default_factory=list[Stored])

    def store(self, reading: Stored) -> None:
        """Take a reading."""
        self.readings.append(reading)
        del self.readings[: -self.size]


class NamedBuffers:
    """All buffers of one instrument, and the commands of the TRACe subsystem."""

    def __init__(self, panel: ScpiPanel) -> None:
        self._buffers: dict[str, NamedBuffer] = {}
        self.clear()
        on = panel.on
        on("TRACe MAKE", order=self._make)
        on("TRACe DELete", order=self._delete)
        on("TRACe CLEar", order=lambda argument: self._named(argument).readings.clear())
        on("TRACe POINts", lambda argument: str(self._named(argument).size), self._resize)
        on("TRACe ACTual STARt?", lambda argument: str(len(self._named(argument).readings)))
        on("TRACe ACTual END", lambda argument: str(len(self._named(argument).readings)))
        on("TRACe DATA", self._data)
        for node, compute in _STATISTICS:
            on(f"TRACe STATistics {node}", self._statistic(compute))
        on("TRACe STATistics CLEar", order=lambda _: None)
        on("TRACe FILL MODE", lambda _: "CONT", lambda argument: _forget(word_of(argument, ("CONTinuous", "ONCE"))))

    def clear(self) -> None:
        """Only the two default buffers, empty, as after power-on."""
        self._buffers = {name: NamedBuffer(_DEFAULT_SIZE) for name in _DEFAULTS}

    def buffer(self, name: str) -> NamedBuffer:
        """A buffer by its name.

        Raises:
            Refused: there is none.
        """
        found = self._buffers.get(name)
        if found is None:
            raise Refused(-224)
        return found

    def _named(self, argument: str) -> NamedBuffer:
        given = arguments_of(argument)
        return self.buffer(unquoted(given[-1]) if given else _DEFAULTS[0])

    def _make(self, argument: str) -> None:
        given = arguments_of(argument)
        if len(given) < 2:
            raise Refused(-109)
        name = unquoted(given[0])
        if name in self._buffers or not name.isidentifier():
            raise Refused(-224)
        if len(given) > 2 and given[2]:
            word_of(given[2], _STYLES)
        self._buffers[name] = NamedBuffer(int(value_of(given[1], 10, _LARGEST)))

    def _delete(self, argument: str) -> None:
        name = unquoted(argument)
        if name in _DEFAULTS:
            raise Refused(-221)
        self.buffer(name)
        del self._buffers[name]

    def _resize(self, argument: str) -> None:
        given = arguments_of(argument)
        if not given:
            raise Refused(-109)
        buffer = self.buffer(unquoted(given[1]) if len(given) > 1 else _DEFAULTS[0])
        buffer.size = int(value_of(given[0], 1, _LARGEST))
        buffer.readings.clear()

    def _data(self, argument: str) -> str:
        given = arguments_of(argument)
        if len(given) < 2:
            raise Refused(-109)
        buffer = self.buffer(unquoted(given[2]) if len(given) > 2 else _DEFAULTS[0])
        if not buffer.readings:
            raise Refused(-230)
        most = len(buffer.readings)
        first, last = int(value_of(given[0], 1, most)), int(value_of(given[1], 1, most))
        if last < first:
            raise Refused(-222)
        return ",".join(self.printed(buffer, index, given[3:]) for index in range(first - 1, last))

    def printed(self, buffer: NamedBuffer, index: int, elements: list[str]) -> str:
        """The elements of one reading, in the order they are named in; its value without any."""
        words = [word_of(element, _ELEMENTS) for element in elements] or ["READ"]
        reading, first = buffer.readings[index], buffer.readings[0]
        return ",".join(_element(word, reading, first) for word in words)

    def _statistic(self, compute: Callable[[list[float]], float]) -> Callable[[str], str]:
        def query(argument: str) -> str:
            values = [reading.value for reading in self._named(argument).readings]
            if not values:
                raise Refused(-230)
            return f"{compute(values):.6E}"

        return query


def _element(word: str, reading: Stored, first: Stored) -> str:
    at = reading.at
    match word:
        case "READ":
            return f"{reading.value:.6E}"
        case "REL":
            return f"{(at - first.at) / timedelta(seconds=1):.6f}"
        case "SOUR":
            return f"{reading.source:.6E}"
        case "FORM":
            return f"{reading.value:+.6g} {reading.unit}"
        case "SOURFORM":
            return f"{reading.source:+.6g} {reading.source_unit}"
        case "UNIT":
            return reading.unit
        case "SOURUNIT":
            return reading.source_unit
        case "STAT":
            return "0"
        case "SOURSTAT":
            # Output on, and in compliance if it is (manual, "source status").
            return str(0x20 | (0x10 if reading.limited else 0))
        case "SEC":
            return str(math.floor(at.timestamp()))
        case "FRAC":
            return f"{at.microsecond * 1e-6:.6f}"
        case "DATE":
            return at.strftime("%m/%d/%Y")
        case "TIME":
            return at.strftime("%H:%M:%S")
        case _:
            return at.strftime("%m/%d/%Y %H:%M:%S.%f")


def _forget(_word: str) -> None:
    """Taken and not acted on: buffers here always overwrite their oldest."""


def _deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


_STATISTICS: tuple[tuple[str, Callable[[list[float]], float]], ...] = (
    ("AVERage", statistics.fmean), ("MAXimum", max), ("MINimum", min), ("STDDev", _deviation),
    ("PK2Pk", lambda values: max(values) - min(values)),
)  # fmt: skip
