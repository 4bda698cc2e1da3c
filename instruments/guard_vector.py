"""A vector magnet: several guards and one set of fields that the magnet stands, of which the whole way must lie inside.

Axes move by themselves, any of them may stall, and none knows of the others: between two points the field may be
anywhere in the box that they span. So a move goes in two stages, first all that makes a component smaller, then all
that makes one larger, the second not before the first has arrived; and both boxes must lie inside the set.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

from ..core.capabilities import Activity, SupplyStatus
from ..core.errors import CommunicationError, DeviceFault, LimitError, RemanenceError
from .guard import Guard

Vector = Mapping[str, float]
Interval = tuple[float, float]


class Shape(Protocol):
    """A convex set of fields: a box lies inside when its corners do."""

    def holds(self, field_T: Vector) -> bool:
        """True when the field (T, by axis) is inside."""
        ...


@dataclass(frozen=True, slots=True)
class Ball:
    """All fields up to a magnitude."""

    radius_T: float

    def holds(self, field_T: Vector) -> bool:
        """True when the field is inside."""
        return math.hypot(*field_T.values()) <= self.radius_T * (1 + 1e-9)


@dataclass(frozen=True, slots=True)
class Box:
    """All fields with each component up to its own limit; an axis that is not named must be at zero."""

    largest_T: Vector
    slack_T: float = 1e-3

    def holds(self, field_T: Vector) -> bool:
        """True when the field is inside."""
        return all(abs(value) <= self.largest_T.get(axis, 0.0) + self.slack_T for axis, value in field_T.items())


@dataclass(frozen=True, slots=True)
class VectorStatus:
    """What the axes do, and their fields (T) by axis; RAMPING until the last of them is there."""

    activity: Activity
    field_T: dict[str, float]
    axes: dict[str, SupplyStatus]


class VectorGuard:
    """The guards of a vector magnet's axes, by their names. `allowed` is a union of convex shapes.

    A box that is inside none of the shapes alone is refused, even where their union would cover it: that a region
    looks covered is how a region that is not convex is mistaken.
    """

    def __init__(self, guards: Mapping[str, Guard], allowed: Sequence[Shape], *, name: str = "vector magnet") -> None:
        self.guards = dict(guards)
        self.name = name
        self._allowed = tuple(allowed)
        self._stages: list[tuple[dict[str, float], float]] = []
        for axis, guard in self.guards.items():
            # Whoever moves one axis alone is asked for the others.
            guard.within = lambda target_T, axis=axis: self._alone(axis, target_T)

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes."""
        return tuple(self.guards)

    def read_field(self) -> dict[str, float]:
        """Measure the field of each axis (T)."""
        return {axis: guard.read_field().field_T for axis, guard in self.guards.items()}

    def sweep_to(self, field_T: Vector, rate_T_per_s: float) -> None:
        """Start towards a field, given by axis; an axis that is not named stays. `poll` carries the stages on.

        Raises:
            LimitError: the field, or the way to it, is not inside what the magnet stands; nothing was sent.
            DeviceFault: where an axis is is not known; nothing was sent.
        """
        unknown = sorted(set(field_T) - set(self.guards))
        if unknown or not all(math.isfinite(value) for value in field_T.values()):
            raise self._outside(f"{dict(field_T)} is no field of the axes {', '.join(self.guards)}")
        here = self.read_field()
        lost = sorted(axis for axis, value in here.items() if math.isnan(value))
        if lost:
            raise DeviceFault(
                f"the field of {', '.join(lost)} is not known yet", where=self.name,
                state="Nothing was sent to the magnet", do="wait until its switch is known to be warm",
            )  # fmt: skip
        there = here | dict(field_T)
        between = {axis: _lowered(here[axis], there[axis]) for axis in here}
        for start, stop in ((here, between), (between, there)):
            self._check({axis: (start[axis], stop[axis]) for axis in here}, there)
        self._stages = [
            (
                {axis: stop[axis] for axis in here if abs(stop[axis] - start[axis]) > 0.0 and axis in field_T},
                rate_T_per_s,
            )
            for start, stop in ((here, between), (between, there))
        ]
        self._next()

    def poll(self) -> VectorStatus:
        """Look at every axis once; begin the second stage when the first has arrived.

        Raises:
            RemanenceError: an axis is in trouble; the others were told to hold.
        """
        axes: dict[str, SupplyStatus] = {}
        for axis, guard in self.guards.items():
            try:
                axes[axis] = guard.poll()
            except RemanenceError:
                self._hold_others(axis)
                raise
        moving = any(status.activity is Activity.RAMPING for status in axes.values())
        if not moving and self._stages:
            self._next()
            moving = True
        return VectorStatus(
            Activity.RAMPING if moving else Activity.HOLDING, {axis: look.field_T for axis, look in axes.items()}, axes
        )

    def hold(self) -> None:
        """Stop every axis where it is, whatever becomes of the others.

        Raises:
            CommunicationError: an axis did not confirm.
        """
        self._stages = []
        trouble: list[str] = []
        for guard in self.guards.values():
            try:
                guard.hold()
            except RemanenceError as error:
                trouble.append(str(error))
        if trouble:
            raise CommunicationError(" ".join(trouble), where=self.name)

    def describe(self) -> str:
        """One sentence for each axis on where its field is, read now."""
        return " ".join(f"{axis}: {guard.describe()}" for axis, guard in self.guards.items())

    def _next(self) -> None:
        while self._stages:
            targets, rate = self._stages.pop(0)
            for axis, target_T in targets.items():
                guard = self.guards[axis]
                # Inside by the check of the whole way; asked alone it would see the others where they are now.
                alone, guard.within = guard.within, _anywhere
                try:
                    guard.sweep_to(target_T, min(rate, guard.fastest_T_per_s))
                except RemanenceError:
                    self._hold_others(axis)
                    raise
                finally:
                    guard.within = alone
            if targets:
                return

    def _hold_others(self, axis: str) -> None:
        """One axis is in trouble: the others hold, and its error is the one that is told."""
        self._stages = []
        for other, guard in self.guards.items():
            if other != axis:
                try:
                    guard.hold()
                except RemanenceError as error:
                    guard.record(f"hold after trouble with {axis}: {error}")

    def _alone(self, axis: str, target_T: float) -> RemanenceError | None:
        if self._stages or any(guard.busy for other, guard in self.guards.items() if other != axis):
            return self._outside(f"the axis {axis} was asked to move while others move")
        here = self.read_field()
        try:
            self._check({a: (value, target_T if a == axis else value) for a, value in here.items()}, here)
        except LimitError as error:
            return error
        return None

    def _check(self, ways: Mapping[str, Interval], there: Vector) -> None:
        corners = [dict(zip(ways, corner, strict=True)) for corner in product(*ways.values())]
        if not any(all(shape.holds(corner) for corner in corners) for shape in self._allowed):
            worst = max(corners, key=lambda corner: math.hypot(*corner.values()))
            where = ", ".join(f"{axis} {value:+.4f} T" for axis, value in worst.items())
            aim = ", ".join(f"{axis} {value:+.4f} T" for axis, value in there.items())
            raise self._outside(f"on the way to {aim} the field may come to {where}, which the magnet does not stand")

    def _outside(self, what: str) -> LimitError:
        return LimitError(
            what, where=self.name, state="Nothing was sent to the magnet", do="go by way of fields that are inside"
        )


def _anywhere(_target_T: float) -> RemanenceError | None:
    return None


def _lowered(start_T: float, stop_T: float) -> float:
    """Where a component is when all that makes it smaller is done."""
    if start_T * stop_T < 0:
        return 0.0
    return stop_T if abs(stop_T) < abs(start_T) else start_T
