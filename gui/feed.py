"""What a window and a run say to each other, and how rows cross from the acquisition thread to the screen.

The run calls its listener for every row, up to thousands a second; the window looks ten times a second. Between them
stands the `Feed`: it keeps every row's point for the plot, but of what replaces itself (progress, estimate, the
newest reading) only the last. No signal per row, no waiting on either side.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

import numpy as np

from ..core.records import Estimate, Event, Footer, Header, Leg, Progress, Row, Waiting
from ..engine.listener import RunListener
from .decimate import Floats, halve

# A window that does not look for so many rows (40 s at 5000 rows/s) gets its oldest ones thinned, not lost.
BACKLOG_POINTS = 1 << 18
EVENTS_KEPT = 100


class RunControl(Protocol):
    """What the window may ask of a run. All of it can be done from the command line as well."""

    def start(self, listener: RunListener) -> None:
        """Begin the run on a thread of its own and return at once."""
        ...

    def abort(self) -> None:
        """Ask the run to stop: magnet to hold, file closed. Returns at once; the end is told to the listener."""
        ...

    def running(self) -> bool:
        """True from `start` until the run has ended."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end, at most so long. True when the run has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What the newest row says of field and temperature; NaN when the row does not say."""

    field_T: float
    temperature_K: float


@dataclass(slots=True)
class Batch:
    """What was heard since the last look. `points` has the columns leg, field_T, R_xy_ohm, in measured order.

    `rows` counts all rows since the start. What was not said is None or empty.
    """

    rows: int = 0
    points: Floats = field(default_factory=lambda: np.empty((0, 3)))
    header: Header | None = None
    folder: str = ""
    legs: tuple[Leg, ...] = ()
    reading: Reading | None = None
    waiting: Waiting | None = None
    progress: Progress | None = None
    events: tuple[Event, ...] = ()
    estimate: Estimate | None = None
    footer: Footer | None = None


class Feed:
    """A `RunListener` that gathers, and a `take()` that hands over. Any thread may call either.

    The lock is held for a few assignments only, so neither the acquisition thread nor the window ever waits for
    the other's work.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._columns: dict[str, int] = {}
        self._points: deque[tuple[float, float, float]] = deque()
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._next = Batch()
        self._ended = False

    def started(self, header: Header, folder: str) -> None:
        """Remember the columns, so that rows can be read."""
        with self._lock:
            self._columns = {column.name: index for index, column in enumerate(header.columns)}
            self._next.header, self._next.folder = header, folder

    def leg_started(self, leg: Leg) -> None:
        """Keep every leg: its number gives the curve its colour."""
        with self._lock:
            self._next.legs += (leg,)

    def row(self, row: Row) -> None:
        """Keep the row's point for the plot, and its reading if nothing newer comes before the next look."""
        values = row.values
        with self._lock:
            field_T = self._number(values, "field_T")
            point = (self._number(values, "leg"), field_T, self._number(values, "R_xy_ohm"))
            if math.isfinite(sum(point)):
                self._points.append(point)
                if len(self._points) > BACKLOG_POINTS:
                    self._thin()
            self._next.rows += 1
            self._next.reading = Reading(field_T, self._number(values, "temperature_K"))
            self._next.waiting = None

    def waiting(self, waiting: Waiting) -> None:
        """Keep it until a row shows that the wait is over."""
        with self._lock:
            self._next.waiting = waiting

    def progress(self, progress: Progress) -> None:
        """Keep the newest."""
        with self._lock:
            self._next.progress = progress

    def event(self, event: Event) -> None:
        """Keep the last hundred; the journal has them all."""
        with self._lock:
            self._events.append(event)

    def estimate(self, estimate: Estimate) -> None:
        """Keep the newest. The final one, told with the end, is not replaced by a live fit that comes late."""
        with self._lock:
            if not self._ended:
                self._next.estimate = estimate

    def ended(self, footer: Footer, estimate: Estimate | None) -> None:
        """Keep how it ended, and the final estimate if there is one."""
        with self._lock:
            self._ended = True
            self._next.footer = footer
            if estimate is not None:
                self._next.estimate = estimate

    def take(self) -> Batch:
        """Everything heard since the last call."""
        with self._lock:
            batch, self._next = self._next, Batch(rows=self._next.rows)
            points, self._points = self._points, deque()
            batch.events = tuple(self._events)
            self._events.clear()
        if points:
            batch.points = np.array(points, dtype=np.float64)
        return batch

    def _number(self, values: tuple[Any, ...], column: str) -> float:
        index = self._columns.get(column)
        value = values[index] if index is not None and index < len(values) else None
        return float(value) if isinstance(value, int | float) else math.nan

    def _thin(self) -> None:
        # Eight points that straddle a turn keep their own leg numbers, and the turn itself is an extreme of R_xy.
        oldest = [self._points.popleft() for _ in range(BACKLOG_POINTS // 2)]
        self._points.extendleft((leg, x, y) for leg, x, y in reversed(halve(np.array(oldest)).tolist()))
