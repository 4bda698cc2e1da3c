"""M24: a vector magnet stays inside its set on the whole way, whichever axis stalls."""

import math
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.capabilities import Activity
from remanence.core.clock import VirtualClock
from remanence.core.errors import CommunicationError, DeviceFault, LimitError
from remanence.instruments.guard import Guard
from remanence.instruments.guard_states import State
from remanence.instruments.guard_vector import Ball, Box, VectorGuard

from .punishing import LIMITS, LOST, REFUSED, Punishing

_AXIS = replace(LIMITS, largest_A=10.0, segments=((10.0, 0.5),), settle_s=0.0)


class Rig:
    def __init__(self, *allowed: Ball | Box) -> None:
        self.clock = VirtualClock()
        self.supplies = {axis: Punishing(self.clock, _AXIS, step_s=0.01) for axis in "xyz"}
        self.guards = {axis: Guard(supply, _AXIS, self.clock, name=axis) for axis, supply in self.supplies.items()}
        for guard in self.guards.values():
            guard.take_over()
        self.vector = VectorGuard(self.guards, allowed or (Ball(1.0),))
        self.furthest_T = 0.0

    @property
    def field_T(self) -> tuple[float, ...]:
        for supply in self.supplies.values():
            supply.advance()
        return tuple(supply.coil_A * 0.1 for supply in self.supplies.values())

    def arrive(self, stalled: str = "", after_s: float = 1e9) -> bool:
        begun_s = self.clock.now()
        while self.vector.poll().activity is Activity.RAMPING:
            self.clock.sleep(0.5)
            self.furthest_T = max(self.furthest_T, math.hypot(*self.field_T))
            if stalled and self.clock.now() - begun_s > after_s:
                self.supplies[stalled].going = False
        return True


def test_m24_the_way_that_another_driver_takes_through_forbidden_field_is_taken_round():
    rig = Rig()
    rig.vector.sweep_to({"x": 0.9, "y": 0.0, "z": 0.0}, 0.05)
    rig.arrive()
    rig.vector.sweep_to({"x": 0.0, "y": 0.8}, 0.05)
    rig.arrive()
    assert rig.field_T == pytest.approx((0.0, 0.8, 0.0))
    assert rig.furthest_T <= 0.9 + 1e-6


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-0.57, 0.57), st.floats(-0.57, 0.57), st.floats(-0.57, 0.57)), min_size=2, max_size=3),
    st.sampled_from("xyz"),
    st.floats(0.5, 20.0),
)
def test_m24_whichever_axis_stalls_the_field_stays_inside(points: list[tuple[float, ...]], axis: str, after_s: float):
    rig = Rig()
    for point in points:
        rig.vector.sweep_to(dict(zip("xyz", point, strict=True)), 0.05)
        try:
            rig.arrive(axis, after_s)
        except DeviceFault:
            rig.vector.hold()
            break
    assert rig.furthest_T <= 1.0
    rig.clock.sleep(86400.0)
    assert math.hypot(*rig.field_T) <= 1.0


@pytest.mark.parametrize(
    "field", [{"x": 0.9, "y": 0.9}, {"x": math.nan}, {"x": math.inf}, {"q": 0.1}, {"x": 0.58, "y": 0.58, "z": 0.58}]
)
def test_m24_a_field_outside_is_refused_before_any_byte(field: dict[str, float]):
    rig = Rig()
    with pytest.raises(LimitError, match="Nothing was sent"):
        rig.vector.sweep_to(field, 0.05)
    assert not any(supply.said for supply in rig.supplies.values())


def test_m24_a_region_that_is_not_convex_is_crossed_only_where_one_shape_holds_the_whole_way():
    # 0.9 T along z, or 0.3 T anywhere.
    rig = Rig(Box({"z": 0.9}), Box({"x": 0.3, "y": 0.3, "z": 0.3}))
    rig.vector.sweep_to({"z": 0.9}, 0.05)
    rig.arrive()
    with pytest.raises(LimitError, match="may come to"):
        rig.vector.sweep_to({"x": 0.3, "z": 0.9}, 0.05)
    with pytest.raises(LimitError):
        rig.guards["x"].sweep_to(0.3, 0.05)
    rig.vector.sweep_to({"x": 0.3, "z": 0.3}, 0.05)
    rig.arrive()
    assert rig.field_T == pytest.approx((0.3, 0.0, 0.3))


def test_m24_one_axis_alone_is_asked_for_the_others():
    rig = Rig()
    rig.vector.sweep_to({"x": 0.8}, 0.05)
    with pytest.raises(LimitError, match="while others move"):
        rig.guards["y"].sweep_to(0.1, 0.05)
    rig.arrive()
    with pytest.raises(LimitError, match="does not stand"):
        rig.guards["y"].sweep_to(0.7, 0.05)
    rig.guards["y"].sweep_to(0.5, 0.05)
    rig.arrive()
    assert rig.field_T == pytest.approx((0.8, 0.5, 0.0))


def test_m13_when_one_axis_quenches_the_others_hold():
    rig = Rig()
    rig.vector.sweep_to({"x": 0.5, "y": 0.5}, 0.005)
    for _ in range(5):
        rig.vector.poll()
        rig.clock.sleep(1.0)
    rig.supplies["y"].quench()
    with pytest.raises(DeviceFault, match="quench"):
        rig.vector.poll()
    assert not rig.supplies["x"].going
    assert rig.guards["x"].state is State.HOLD
    assert rig.guards["y"].state is State.QUENCHED
    assert "y: The magnet has QUENCHED" in rig.vector.describe()
    assert rig.supplies["y"].orders_after_quench == []


def test_hold_stops_every_axis():
    rig = Rig()
    rig.vector.sweep_to({"x": 0.5, "y": 0.5, "z": 0.5}, 0.05)
    rig.vector.hold()
    assert not any(supply.going for supply in rig.supplies.values())
    assert rig.vector.poll().activity is Activity.HOLDING


def test_every_corner_counts():
    corners = list(product((0.0, 0.6), repeat=3))
    assert [Ball(1.0).holds(dict(zip("xyz", corner, strict=True))) for corner in corners].count(False) == 1


def test_m24_hold_reaches_every_axis_although_one_does_not_answer():
    rig = Rig()
    rig.vector.sweep_to({"x": 0.5, "y": 0.5, "z": 0.5}, 0.05)
    rig.vector.poll()
    rig.supplies["x"].fault_for = lambda _order: LOST
    with pytest.raises(CommunicationError, match="did not confirm"):
        rig.vector.hold()
    assert rig.supplies["x"].going
    assert not rig.supplies["y"].going
    assert not rig.supplies["z"].going


@pytest.mark.parametrize("other", ["", LOST])
def test_m24_an_axis_that_cannot_begin_holds_the_others_and_its_error_is_told(other: str):
    rig = Rig()
    rig.supplies["z"].fault_for = lambda order: REFUSED if order.startswith("rate") else ""
    notes: list[str] = []
    rig.guards["x"].record = notes.append
    rig.supplies["x"].fault_for = lambda order: other if order == "hold" and "go" in rig.supplies["x"].said else ""
    with pytest.raises(DeviceFault, match="refused"):
        rig.vector.sweep_to({"x": 0.5, "y": 0.5, "z": 0.5}, 0.05)
    assert "go" not in rig.supplies["z"].said
    assert not rig.supplies["y"].going
    assert any("hold after trouble with z" in note for note in notes) is bool(other)
