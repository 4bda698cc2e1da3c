"""Time as a constructor argument. Nothing else in the product reads a clock or sleeps; a lint rule says so.

A run on `VirtualClock` is the real run with the waiting left out: `sleep` jumps, so six hours of ramp take
a second and give the same bytes each time.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

# A virtual laboratory needs some date; a fixed one makes two runs with one seed identical to the byte.
VIRTUAL_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """What procedures, links, guards and simulators may know of time."""

    def now(self) -> float:
        """Monotonic seconds since an arbitrary origin; never stepped by NTP, DST or a user."""
        ...

    def utc(self) -> datetime:
        """The wall clock, time-zone aware, for the record only: no decision may depend on it."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Return after `duration_s` seconds of this clock; at once if it is not positive."""
        ...


class SystemClock:
    """The time of this computer."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()  # noqa: TID251  this module is where time comes in

    def utc(self) -> datetime:
        """The wall clock."""
        return datetime.now(UTC)  # noqa: TID251

    def sleep(self, duration_s: float) -> None:
        """Block the calling thread."""
        if duration_s > 0:
            time.sleep(duration_s)  # noqa: TID251


def asleep_s() -> float:
    """How long this computer has slept since it booted (s), where it tells: what the monotonic clock left out."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    if boot is None:  # Linux alone has it; elsewhere a sleep shows as a gap between two looks
        return 0.0
    return time.clock_gettime(boot) - time.clock_gettime(time.CLOCK_MONOTONIC)


class ScaledClock:
    """Laboratory time that passes `speed` times faster than real time: for a simulation that others speak to."""

    def __init__(self, speed: float, start: datetime = VIRTUAL_EPOCH) -> None:
        if not (speed > 0 and speed < 1e9):
            raise ValueError(f"speed must be positive and finite, not {speed!r}")
        self.speed = speed
        self._start = start
        self._origin = time.monotonic()  # noqa: TID251

    def now(self) -> float:
        """Laboratory seconds since this clock was made."""
        return (time.monotonic() - self._origin) * self.speed  # noqa: TID251

    def utc(self) -> datetime:
        """The laboratory's wall clock: it runs at the same scaled speed."""
        return self._start + timedelta(seconds=self.now())

    def sleep(self, duration_s: float) -> None:
        """Block for `duration_s / speed` real seconds."""
        if duration_s > 0:
            time.sleep(duration_s / self.speed)  # noqa: TID251


class VirtualClock:
    """Laboratory time that moves only when somebody sleeps. For one driving thread."""

    def __init__(self, start: datetime = VIRTUAL_EPOCH) -> None:
        self._start = start
        self._now = 0.0

    def now(self) -> float:
        """Laboratory seconds since this clock was made."""
        return self._now

    def utc(self) -> datetime:
        """The start date plus the laboratory seconds."""
        return self._start + timedelta(seconds=self._now)

    def sleep(self, duration_s: float) -> None:
        """Jump ahead; no real time passes."""
        if duration_s > 0:
            self._now += duration_s


class PacedClock(VirtualClock):
    """A virtual laboratory shown at `speed` times real time at most.

    What this computer needs for its own work is none of the laboratory's time: a busy one makes the show slower, and
    changes no number in it. For one driving thread.
    """

    def __init__(self, speed: float, start: datetime = VIRTUAL_EPOCH) -> None:
        if not (speed > 0 and speed < 1e9):
            raise ValueError(f"speed must be positive and finite, not {speed!r}")
        super().__init__(start)
        self.speed = speed
        self._due_s = time.monotonic()  # noqa: TID251

    def sleep(self, duration_s: float) -> None:
        """Jump ahead, and block until that much scaled time has really passed since the last step ended."""
        if duration_s <= 0:
            return
        super().sleep(duration_s)
        now_s = time.monotonic()  # noqa: TID251
        self._due_s = max(self._due_s + duration_s / self.speed, now_s)
        if self._due_s > now_s:
            time.sleep(self._due_s - now_s)  # noqa: TID251
