"""The reading buffer of Keithley's instruments before the 2450: TRACe, one block of readings, and its statistics."""

import statistics
from collections.abc import Callable
from typing import Generic, TypeVar

from .scpi import Register, ScpiPanel
from .scpi_grammar import Refused, scientific, value_of, word_of

# Bits of the measurement event register: reading available; buffer available, half full, full.
READING_AVAILABLE, BUFFER_AVAILABLE, BUFFER_HALF_FULL, BUFFER_FULL = 32, 128, 256, 512
Reading = TypeVar("Reading")
_FORMS = ("NONE", "MEAN", "SDEViation", "MAXimum", "MINimum", "PKPK")


class ReadingBuffer(Generic[Reading]):
    """Readings in the order they came, up to `points`. It fills while its control is NEXT, and then stays full."""

    def __init__(self, points: int, events: Register) -> None:
        self.points = points
        self.feed = "NONE"
        self.filling = False
        self.readings: list[Reading] = []
        self._events = events

    def clear(self) -> None:
        """Throw the readings away."""
        self.readings.clear()

    def store(self, reading: Reading) -> None:
        """Take a reading, if it is to be taken."""
        if not self.filling:
            return
        self.readings.append(reading)
        self._events.happen(BUFFER_AVAILABLE)
        if 2 * len(self.readings) >= self.points:
            self._events.happen(BUFFER_HALF_FULL)
        if len(self.readings) >= self.points:
            self._events.happen(BUFFER_FULL)
            self.filling = False

    def serve(
        self, panel: ScpiPanel, most: int, feeds: tuple[str, ...], answer: Callable[[int, Reading], str], default: str
    ) -> None:
        """Give a panel the commands of this buffer. `answer` prints one reading, given its number."""
        self.feed = default

        def resize(argument: str) -> None:
            self.points = int(value_of(argument, 1, most))
            self.clear()

        def control(argument: str) -> None:
            self.filling = word_of(argument, ("NEXT", "NEVer", "ALWays")) != "NEV"
            if self.filling:
                self.clear()

        def feed(argument: str) -> None:
            self.feed = word_of(argument, feeds)

        def data(_argument: str) -> str:
            if not self.readings:
                raise Refused(-230)
            return ",".join(answer(index, reading) for index, reading in enumerate(self.readings))

        panel.on("TRACe# POINts", lambda _: str(self.points), resize)
        panel.on("TRACe# POINts ACTual", lambda _: str(len(self.readings)))
        panel.on("TRACe# CLEar", order=lambda _: self.clear())
        panel.on("TRACe# FEED", lambda _: self.feed, feed)
        panel.on("TRACe# FEED CONTrol", lambda _: "NEXT" if self.filling else "NEV", control)
        panel.on("TRACe# DATA", data)


def statistic(form: str, values: list[float]) -> float:
    """One of the statistics of a buffer.

    Raises:
        Refused: there is nothing to work on.
    """
    if not values or form == "NONE" or (form == "SDEV" and len(values) < 2):
        raise Refused(-230)
    match form:
        case "MEAN":
            return statistics.fmean(values)
        case "SDEV":
            return statistics.stdev(values)
        case "MAX":
            return max(values)
        case "MIN":
            return min(values)
        case _:
            return max(values) - min(values)


class Statistics:
    """CALCulate2 or CALCulate3: a statistic of the buffer's readings, one for each of their columns."""

    def __init__(self, panel: ScpiPanel, node: str, columns: Callable[[], list[list[float]]]) -> None:
        self._form = "NONE"
        self._columns = columns
        self._on = False
        panel.on(f"{node} FORMat", lambda _: self._form, self._set_form)
        panel.on(f"{node} STATe", lambda _: "1" if self._on else "0", self._switch)
        panel.on(f"{node} IMMediate", self._compute, lambda _: None)
        panel.on(f"{node} DATA", self._compute)

    def _set_form(self, argument: str) -> None:
        self._form = word_of(argument, _FORMS)

    def _switch(self, argument: str) -> None:
        self._on = word_of(argument, ("0", "1")) == "1"

    def _compute(self, _argument: str) -> str:
        return ",".join(scientific(statistic(self._form, column)) for column in self._columns())
