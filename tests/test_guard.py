"""The magnet guard against a supply that punishes: each group of tests is named after the invariant that it shows."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remanence.core.capabilities import Activity, Heater
from remanence.core.clock import VirtualClock
from remanence.core.errors import (
    CommunicationError,
    ConfigError,
    DeviceFault,
    InterlockTripped,
    LimitError,
    RemanenceError,
    StorageError,
)
from remanence.instruments.guard import Guard
from remanence.instruments.guard_path import plan
from remanence.instruments.guard_states import ALLOWED, STATES, State, table
from remanence.instruments.magnet_limits import MagnetLimits, SensorLimits, SwitchLimits
from remanence.instruments.magnet_memory import DiskFiles, MagnetMemory, MemoryFiles

from .punishing import IGNORED, LIMITS, LOST, LOST_AFTER, NONSENSE, REFUSED, SWITCHED, Punishing


class Rig:
    """A guard, its supply, its clock, and what it wrote down."""

    def __init__(
        self, limits: MagnetLimits = LIMITS, *, files: MemoryFiles | None = None, **supply: bool | float
    ) -> None:
        self.clock = VirtualClock()
        self.clock.sleep(1000.0)
        self.supply = Punishing(self.clock, limits, **supply)  # pyright: ignore[reportArgumentType]
        self.files = files or MemoryFiles()
        self.notes: list[str] = []
        self.cold: dict[str, float | None] = {}
        self.asleep_s = 0.0
        self.limits = limits
        self.guard = self.open()

    def open(self) -> Guard:
        """As after a restart of the program: nothing is kept but the files."""
        guard = Guard(
            self.supply, self.limits, self.clock, memory=MagnetMemory(self.files, self.limits.serial, self.clock),
            record=self.notes.append, suspended_s=lambda: self.asleep_s,
            coldness={name: self._reader(name) for name in ("coil", "helium") if getattr(self.limits, _SENSOR[name])},
        )  # fmt: skip
        guard.take_over()
        self.guard = guard
        return guard

    def _reader(self, name: str) -> Callable[[], float]:
        def read() -> float:
            value = self.cold.get(name, 50.0 if name == "helium" else 4.0)
            if value is None:
                raise CommunicationError("the thermometer does not answer")
            return value

        return read

    def arrive(self, limit_s: float = 3000.0, poll_s: float = 1.0) -> None:
        until_s = self.clock.now() + limit_s
        while self.guard.poll().activity is Activity.RAMPING:
            assert self.clock.now() < until_s, self.guard.state
            self.clock.sleep(poll_s)

    def wait(self, duration_s: float) -> None:
        until_s = self.clock.now() + duration_s
        while self.clock.now() < until_s:
            self.guard.poll()
            self.clock.sleep(1.0)

    def ramping(self, field_T: float = 5.0, for_s: float = 20.0) -> "Rig":
        self.guard.sweep_to(field_T, 0.05)
        self.wait(for_s)
        return self

    def persistent(self, field_T: float = 2.0) -> "Rig":
        self.wait(25.0)
        self.guard.sweep_to(field_T, 0.05)
        self.arrive()
        self.guard.make_persistent()
        self.arrive()
        return self


_SENSOR = {"coil": "coil_sensor", "helium": "helium"}
COLD = replace(LIMITS, coil_sensor=SensorLimits(1.0, 5.0, 60.0), helium=SensorLimits(30.0, 110.0, 600.0))


# The table


def test_every_state_is_in_the_table_and_every_state_can_be_reached():
    assert set(STATES) == set(State)
    assert {target for _, target in ALLOWED} | {State.DISARMED} == set(State)
    assert "| RAMP |" in table()


def test_a_sweep_goes_through_its_states_and_arrives():
    rig = Rig()
    seen = [rig.guard.state]
    rig.guard.sweep_to(9.0, 0.05)
    while rig.guard.poll().activity is Activity.RAMPING:
        seen.append(rig.guard.state)
        rig.clock.sleep(1.0)
    assert list(dict.fromkeys([*seen, rig.guard.state])) == [State.HOLD, State.RAMP, State.SETTLE, State.DRIVEN]
    assert rig.supply.coil_A == 90.0
    assert not rig.supply.breaches


# M1, M2: limits


@pytest.mark.parametrize("field_T", [10.001, -10.001, math.nan, math.inf, -math.inf, 1e30])
def test_m1_a_target_that_is_out_of_range_or_not_finite_is_refused_before_any_byte(field_T: float):
    rig = Rig()
    with pytest.raises(LimitError, match="Nothing was sent"):
        rig.guard.sweep_to(field_T, 0.01)
    assert rig.supply.said == []


@pytest.mark.parametrize("rate_T_per_s", [0.0, -1e-3, 0.0501, math.nan, math.inf])
def test_m4_a_rate_that_no_segment_allows_is_refused_before_any_byte(rate_T_per_s: float):
    rig = Rig()
    with pytest.raises(LimitError, match="Nothing was sent"):
        rig.guard.sweep_to(1.0, rate_T_per_s)
    assert rig.supply.said == []


def test_m1_a_zone_is_not_entered_and_may_always_be_left():
    rig = Rig(replace(LIMITS, zones=((20.0, 30.0),)))
    for field_T in (2.5, 4.0):
        with pytest.raises(LimitError, match="zone"):
            rig.guard.sweep_to(field_T, 0.01)
    assert rig.supply.said == []
    rig.supply.lead_A = rig.supply.coil_A = 25.0
    rig.open().sweep_to(0.0, 0.05)
    rig.arrive()
    assert rig.supply.coil_A == 0.0


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"serial": " "}, "serial"), ({"tesla_per_ampere": 0.0}, "tesla_per_ampere"), ({"largest_A": math.nan}, "largest_A"),
        ({"inductance_H": None}, "inductance_H"), ({"voltage_limit_V": -1.0}, "voltage_limit_V"),
        ({"tolerance_A": 0.0}, "tolerance_A"), ({"settle_s": -1.0}, "settle_s"), ({"segments": ()}, "segments"),
        ({"segments": ((60.0, 0.5),)}, "segments"), ({"segments": ((100.0, 0.1), (60.0, 0.5))}, "segments"),
        ({"segments": ((100.0, -0.1),)}, "segments"), ({"segments": ((100.0, 0.9),)}, "segments"),
        ({"switch": SwitchLimits(0.0, 1.0, 1.0, 1.0)}, "switch"), ({"zones": ((-1.0, 1.0),)}, "zones"),
        ({"zones": ((3.0, 2.0),)}, "zones"), ({"coil_sensor": SensorLimits(5.0, 1.0, 1.0)}, "coil_sensor"),
        ({"helium": SensorLimits(5.0, 10.0, 0.0)}, "helium"), ({"on_abort": "run"}, "on_abort"),
        ({"on_end": "persistent"}, "on_end"), ({"reversal_settle_s": math.inf}, "reversal_settle_s"),
    ],
)  # fmt: skip
def test_m4_settings_that_are_missing_or_contradict_each_other_name_the_one_to_look_at(
    wrong: dict[str, object], key: str
):
    with pytest.raises(ConfigError) as refusal:
        replace(LIMITS, **wrong)
    assert refusal.value.where == key


def test_a_managed_supply_is_not_asked_for_what_it_has_inside():
    limits = replace(LIMITS, managed=True, inductance_H=None, voltage_limit_V=None, tesla_per_ampere=1.0)
    rig = Rig(limits)
    rig.guard.sweep_to(5.0, 0.1)
    rig.arrive()
    assert rig.supply.coil_A == 5.0


# Monitor-only


def test_a_magnet_without_settings_is_shown_and_refuses_every_write_with_the_reason():
    clock = VirtualClock()
    supply = Punishing(clock)
    supply.lead_A = supply.coil_A = 12.0
    guard = Guard(supply, None, clock, problem="'inductance' is missing", tesla_per_ampere=0.1)
    guard.take_over()
    assert guard.state is State.MONITOR
    assert guard.poll().field_T == guard.read_field().field_T == 1.2
    assert guard.describe() == "The magnet holds at +1.2000 T."
    acts = [lambda: guard.sweep_to(1.0, 0.01), guard.zero, guard.make_persistent, guard.leave_persistent]
    acts += [
        lambda: guard.clear_quench("A", "b"),
        lambda: guard.acknowledge_foreign("A"),
        lambda: guard.declare_coil("A", 1),
    ]
    for act in acts:
        with pytest.raises(DeviceFault, match="only monitored: 'inductance' is missing"):
            act()
    guard.hold()
    assert supply.said == []


def test_a_supply_with_another_field_constant_is_only_monitored():
    rig = Rig()
    rig.supply.constant = 0.1002
    guard = rig.open()
    assert guard.state is State.MONITOR
    with pytest.raises(DeviceFault, match=r"0\.1002 T/A"):
        guard.sweep_to(1.0, 0.01)
    with pytest.raises(DeviceFault, match="field constant"):
        guard.poll()
    guard.hold()
    assert rig.supply.said == []


# M3, M5, M6: the way


def test_m3_a_sweep_is_cut_at_the_rate_segments_and_at_zero():
    pieces = [(piece.stop_A, piece.rate_A_per_s, piece.segment) for piece in plan(LIMITS, 95.0, -70.0, 0.5, 1e-3)]
    assert pieces == [(80.0, 0.1, 2), (60.0, 0.2, 1), (0.0, 0.5, 0), (-60.0, 0.5, 0), (-70.0, 0.2, 1)]


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(1e-3, 0.5))
def test_m6_no_piece_is_faster_than_its_segment_or_crosses_an_edge_or_zero(start_A: float, stop_A: float, rate: float):
    begin_A = start_A
    pieces = plan(LIMITS, start_A, stop_A, rate, 1e-3)
    for piece in pieces:
        low, high = sorted((abs(begin_A), abs(piece.stop_A)))
        assert begin_A * piece.stop_A >= 0 or min(low, high) <= 2e-3
        assert not any(low + 2e-3 < edge < high - 2e-3 for edge, _ in LIMITS.segments)
        middle_A = 0.5 * (low + high)
        assert piece.rate_A_per_s <= min(rate, next(limit for edge, limit in LIMITS.segments if middle_A <= edge))
        begin_A = piece.stop_A
    assert pieces[-1].stop_A == stop_A


def test_m6_a_magnet_above_its_limit_may_still_come_down_slowly():
    assert [piece.rate_A_per_s for piece in plan(LIMITS, 104.0, 0.0, 0.5, 1e-3)] == [0.1, 0.1, 0.2, 0.5]


def test_m5_a_move_is_told_in_one_order():
    rig = Rig()
    rig.guard.sweep_to(5.0, 0.05)
    assert rig.supply.said == ["hold", "rate 0.5", "target +50", "go"]


@pytest.mark.parametrize("order", ["rate", "target"])
def test_m5_what_is_acknowledged_and_not_taken_is_noticed_before_go(order: str):
    rig = Rig()
    rig.supply.rate, rig.supply.set_point_A = 2.0, -80.0
    rig.supply.fault_for = lambda said: IGNORED if said.startswith(order) else ""
    rig.open()
    with pytest.raises(DeviceFault, match="reads back"):
        rig.guard.sweep_to(5.0, 0.05)
    assert "go" not in rig.supply.said
    assert rig.guard.state is State.HOLD


@pytest.mark.parametrize("kind", [LOST, LOST_AFTER])
@pytest.mark.parametrize("order", ["hold", "rate", "target", "go"])
def test_m5_an_order_whose_answer_is_lost_once_is_looked_at_and_the_sweep_arrives(order: str, kind: str):
    rig = Rig()
    once = [kind]
    rig.supply.fault_for = lambda said: once.pop() if once and said.startswith(order) else ""
    rig.guard.sweep_to(5.0, 0.05)
    rig.arrive()
    assert rig.supply.coil_A == 50.0
    assert not rig.supply.breaches


def test_m5_an_order_that_never_arrives_ends_without_go():
    rig = Rig()
    rig.supply.fault_for = lambda said: LOST if said.startswith("rate") else ""
    with pytest.raises(CommunicationError, match="three times"):
        rig.guard.sweep_to(5.0, 0.05)
    assert "go" not in rig.supply.said
    assert rig.guard.state is State.HOLD


def test_m5_a_go_that_is_lost_is_not_repeated_before_a_look():
    rig = Rig()
    rig.supply.fault_for = lambda said: LOST_AFTER if said == "go" else ""
    rig.guard.sweep_to(5.0, 0.05)
    assert rig.supply.said.count("go") == 1
    assert rig.guard.state is State.RAMP


@pytest.mark.parametrize("order", ["rate", "target", "go"])
def test_m25_a_refusal_is_an_error_and_starts_nothing(order: str):
    rig = Rig()
    rig.supply.fault_for = lambda said: REFUSED if said.startswith(order) else ""
    with pytest.raises(DeviceFault, match="refused"):
        rig.guard.sweep_to(5.0, 0.05)
    assert not rig.supply.going
    assert rig.guard.state is State.HOLD


def test_m6_whenever_the_computer_dies_the_magnet_coasts_to_where_it_was_allowed_to_be():
    rig = Rig(relay=True)
    for field_T in (9.5, -9.0, 0.3, 7.0):
        rig.guard.sweep_to(field_T, 0.05)
        while rig.guard.poll().activity is Activity.RAMPING:
            assert rig.supply.coast_safe() == ""
            rig.clock.sleep(0.7)
    assert not rig.supply.breaches


def test_m23_a_relay_turns_only_after_zero_has_settled():
    rig = Rig(relay=True)
    rig.guard.sweep_to(0.1, 0.05)
    rig.arrive()
    rig.guard.sweep_to(-0.1, 0.05)
    begun_s = rig.clock.now()
    while "target -1" not in rig.supply.said:
        rig.guard.poll()
        rig.clock.sleep(0.1)
    # 1 A at 0.5 A/s, then two seconds.
    assert rig.clock.now() - begun_s >= 4.0
    rig.arrive()
    assert rig.supply.coil_A == -1.0


def test_m23_zero_settles_also_when_it_was_the_end_of_the_sweep_before():
    rig = Rig(replace(LIMITS, settle_s=0.0), relay=True)
    rig.guard.sweep_to(0.1, 0.05)
    rig.arrive()
    rig.guard.sweep_to(0.0, 0.05)
    rig.arrive(poll_s=0.1)
    rig.supply.said.clear()
    rig.guard.sweep_to(-0.1, 0.05)
    assert rig.supply.said == []
    assert rig.guard.poll().activity is Activity.RAMPING
    rig.arrive()
    assert rig.supply.coil_A == -1.0


def test_a_sweep_to_where_it_is_moves_nothing():
    rig = Rig()
    rig.guard.sweep_to(0.0, 0.05)
    rig.arrive()
    assert rig.supply.said == ["hold"]
    assert rig.guard.state is State.DRIVEN


def test_a_new_target_on_the_way_holds_first():
    rig = Rig().ramping()
    rig.supply.said.clear()
    rig.guard.sweep_to(0.2, 0.05)
    assert rig.supply.said == ["hold", "rate 0.5", "target +2", "go"]
    rig.arrive()
    assert rig.supply.coil_A == pytest.approx(2.0)


# M7 … M12: the switch


def test_m8_a_heater_that_is_on_since_nobody_knows_when_is_given_its_whole_time():
    rig = Rig(SWITCHED)
    assert rig.guard.state is State.WARMING
    rig.guard.sweep_to(1.0, 0.05)
    assert rig.guard.poll().activity is Activity.RAMPING
    begun_s = rig.clock.now()
    rig.wait(19.0)
    assert rig.supply.said == []
    rig.arrive()
    assert rig.supply.coil_A == 10.0
    assert rig.clock.now() - begun_s > 20.0


def test_m11_persistent_mode_keeps_the_field_and_its_record_and_comes_back():
    rig = Rig(SWITCHED).persistent()
    assert rig.guard.state is State.PERSISTENT
    # Held at the end too: a supply that is at its target follows whoever turns its set point.
    assert rig.supply.said[-7:] == ["hold", "heater off", "hold", "rate 2", "target +0", "go", "hold"]
    assert (rig.supply.coil_A, rig.supply.lead_A) == (20.0, 0.0)
    assert rig.guard.read_field().field_T == 2.0
    assert rig.guard.describe() == "The coil keeps +2.0000 T, its leads are at +0.000 A (PERSISTENT)."
    rig.clock.sleep(3600.0)
    rig.guard.leave_persistent()
    rig.arrive()
    assert rig.guard.state is State.HOLD
    assert rig.supply.said[-6:] == ["hold", "rate 2", "target +20", "go", "hold", "heater on"]
    rig.guard.sweep_to(1.0, 0.05)
    rig.arrive()
    assert not rig.supply.breaches


def test_m11_after_a_restart_the_record_is_what_the_leads_are_matched_to():
    rig = Rig(SWITCHED).persistent()
    guard = rig.open()
    assert guard.state is State.COOLING
    with pytest.raises(DeviceFault, match="leave persistent mode first"):
        guard.sweep_to(1.0, 0.05)
    guard.leave_persistent()
    rig.arrive()
    assert guard.state is State.HOLD
    assert rig.supply.coil_A == 20.0
    assert not rig.supply.breaches


def test_m11_leads_at_a_current_that_is_not_on_record_do_not_leave_it():
    rig = Rig(SWITCHED)
    rig.wait(40.0)
    rig.guard.sweep_to(2.0, 0.05)
    rig.arrive()
    rig.supply.set_heater(False)  # by somebody at its front
    with pytest.raises(DeviceFault):
        rig.wait(40.0)
    rig.guard.acknowledge_foreign("Ada")
    rig.wait(40.0)
    rig.guard.make_persistent()
    with pytest.raises(DeviceFault, match="nothing is on record"):
        rig.arrive()
    assert rig.supply.lead_A == 20.0
    rig.guard.declare_coil("Ada", 2.0)
    rig.guard.make_persistent()
    rig.arrive()
    assert (rig.supply.coil_A, rig.supply.lead_A) == (20.0, 0.0)


def test_a_new_sweep_replaces_one_that_has_not_settled():
    rig = Rig()
    rig.guard.sweep_to(1.0, 0.05)
    while rig.guard.state is not State.SETTLE:
        rig.guard.poll()
        rig.clock.sleep(0.5)
    rig.guard.sweep_to(0.5, 0.05)
    rig.arrive()
    assert rig.guard.read_field().field_T == pytest.approx(0.5)


@pytest.mark.parametrize("kept_A", [None, 22.0])
def test_m11_without_record_or_with_another_only_a_person_may_say_what_the_coil_keeps(kept_A: float | None):
    rig = Rig(SWITCHED).persistent()
    rig.supply.kept_A = kept_A
    if kept_A is None:
        rig.files.content.clear()
    rig.open()
    rig.wait(40.0)
    rig.guard.leave_persistent()
    with pytest.raises(DeviceFault, match="declare it with your name"):
        rig.arrive()
    assert rig.supply.said[-2:] == ["go", "hold"]  # of the leads that went down
    with pytest.raises(DeviceFault, match="name of a person"):
        rig.guard.declare_coil(" ", 2.0)
    with pytest.raises(LimitError):
        rig.guard.declare_coil("Ada", math.nan)
    rig.guard.declare_coil("Ada", 2.0)
    rig.guard.leave_persistent()
    rig.arrive()
    assert rig.guard.state is State.HOLD
    assert not rig.supply.breaches


def test_m11_a_record_that_cannot_be_kept_leaves_the_heater_on(monkeypatch: pytest.MonkeyPatch):
    rig = Rig(SWITCHED)
    rig.wait(25.0)
    rig.guard.sweep_to(1.0, 0.05)
    rig.arrive()

    def full(_name: str, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rig.files, "replace", full)
    rig.guard.make_persistent()
    with pytest.raises(StorageError, match="No space left"):
        rig.arrive()
    assert "heater off" not in rig.supply.said
    assert rig.guard.state in (State.HOLD, State.DRIVEN)


@pytest.mark.parametrize("when", ["memory", "heater"])
def test_m11_a_program_that_dies_around_the_heater_order_finds_the_truth(when: str):
    rig = Rig(SWITCHED)
    rig.wait(25.0)
    rig.guard.sweep_to(2.0, 0.05)
    rig.arrive()
    rig.guard.make_persistent()

    class Killed(BaseException):
        pass

    def kill(order: str) -> str:
        if order == "heater off" and when == "memory":
            raise Killed
        if order == "inspect" and rig.supply.said[-1] == "heater off":
            raise Killed
        return ""

    rig.supply.fault_for = kill
    with pytest.raises(Killed):
        rig.arrive()
    rig.supply.fault_for = None
    rig.clock.sleep(120.0)
    guard = rig.open()
    assert guard.state is (State.WARMING if when == "memory" else State.COOLING)
    rig.wait(45.0)
    if when == "memory":
        guard.sweep_to(1.0, 0.05)
    else:
        guard.leave_persistent()
    rig.arrive()
    guard.sweep_to(1.5, 0.05)
    rig.arrive()
    assert MagnetMemory(rig.files, rig.limits.serial, rig.clock).load().persistent_A is None
    assert not rig.supply.breaches


def test_f30_leads_go_back_to_a_coil_whose_switch_warms_more_slowly_than_it_should():
    rig = Rig(SWITCHED).persistent(2.0)
    rig.supply.warm_s = 90.0
    rig.guard.leave_persistent()
    rig.arrive()
    rig.guard.sweep_to(3.0, 0.05)
    with pytest.raises(DeviceFault, match=r"does not follow.*brought back"):
        rig.arrive()
    assert rig.guard.state is State.FAULT
    assert rig.supply.lead_A == pytest.approx(rig.supply.coil_A, abs=0.02)
    rig.clock.sleep(120.0)
    rig.supply.advance()
    assert not rig.supply.quenched
    # What the coil keeps is still on record.
    assert MagnetMemory(rig.files, rig.limits.serial, rig.clock).load().persistent_A == 20.0


def test_m7_leads_that_do_not_match_never_see_the_heater():
    rig = Rig(SWITCHED).persistent()
    # The leads' meter is off by more than the match allows: they never agree with the record.
    rig.supply.fault_for = lambda order: ""
    real = rig.supply._look

    def off(fault: str):
        reading = real(fault)
        return replace(reading, voltage_V=reading.time_s % 7.0)

    rig.supply._look = off  # pyright: ignore[reportAttributeAccessIssue]
    rig.guard.leave_persistent()
    with pytest.raises(DeviceFault, match="do not match, or the voltage moves"):
        rig.arrive(poll_s=1.5)
    assert "heater on" not in rig.supply.said
    assert rig.guard.state is State.PERSISTENT


def test_m7_the_heater_waits_for_five_looks_a_second_apart():
    rig = Rig(SWITCHED).persistent()
    rig.guard.leave_persistent()
    while "target +20" not in rig.supply.said:
        rig.guard.poll()
        rig.clock.sleep(1.0)
    while rig.supply.lead_A != 20.0:
        rig.guard.poll()
        rig.clock.sleep(0.5)
    matched_s = rig.clock.now()
    while "heater on" not in rig.supply.said:
        rig.guard.poll()
        rig.clock.sleep(0.2)
    assert rig.clock.now() - matched_s > 4.0


@pytest.mark.parametrize("on", [True, False])
def test_m10_a_heater_that_is_not_confirmed_ends_in_a_fault_and_the_leads_stay(on: bool):
    rig = Rig(SWITCHED)
    rig = rig.persistent() if on else rig
    if not on:
        rig.wait(25.0)
        rig.guard.sweep_to(2.0, 0.05)
        rig.arrive()
    rig.supply.fault_for = lambda order: IGNORED if order.startswith("heater") else ""
    (rig.guard.leave_persistent if on else rig.guard.make_persistent)()
    with pytest.raises(DeviceFault, match="was ordered"):
        rig.arrive()
    assert rig.guard.state is State.FAULT
    assert rig.supply.said[-1] == "hold"
    assert not rig.supply.breaches


def test_m10_a_heater_that_flips_by_itself_holds_the_magnet():
    rig = Rig(SWITCHED)
    rig.wait(25.0)
    rig.supply.heater_says = Heater.OFF
    with pytest.raises(DeviceFault, match="heater was on, and now is 'off'"):
        rig.wait(30.0)
    assert rig.guard.state is State.FAULT


@pytest.mark.parametrize("at", ["start", "rest"])
def test_m10_a_heater_in_fault_is_never_ramped_with(at: str):
    rig = Rig(SWITCHED)
    if at == "rest":
        rig.wait(25.0)
    rig.supply.heater_says = Heater.FAULT
    if at == "start":
        rig.open()
    with pytest.raises(DeviceFault, match="heater"):
        rig.guard.sweep_to(1.0, 0.05)
    assert "go" not in rig.supply.said
    assert rig.guard.state is State.FAULT


def test_m12_the_leads_of_a_cold_switch_wait_for_the_whole_cooling_time():
    rig = Rig(SWITCHED).persistent()
    rig.guard.leave_persistent()
    guard = rig.open()
    begun_s = rig.clock.now()
    rig.supply.said.clear()
    guard.leave_persistent()
    while "go" not in rig.supply.said:
        guard.poll()
        rig.clock.sleep(1.0)
    assert rig.clock.now() - begun_s >= 30.0


def test_m9_the_heater_goes_off_only_after_the_current_has_been_steady():
    rig = Rig(SWITCHED)
    rig.wait(25.0)
    with pytest.raises(DeviceFault, match="not at rest"):
        rig.ramping().guard.make_persistent()
    rig.arrive()
    asked_s = rig.clock.now()
    rig.guard.make_persistent()
    while "heater off" not in rig.supply.said:
        rig.guard.poll()
        rig.clock.sleep(0.3)
    assert rig.clock.now() - asked_s >= 2.0


@pytest.mark.parametrize("verb", ["make_persistent", "leave_persistent"])
def test_a_magnet_without_switch_has_no_persistent_mode(verb: str):
    rig = Rig()
    with pytest.raises(DeviceFault, match="no persistent switch"):
        getattr(rig.guard, verb)()


@pytest.mark.parametrize("state", [State.MATCH_LEADS, State.LEADS_DOWN, State.WARMING, State.COOLING])
def test_m14_hold_is_allowed_in_the_middle_of_everything_and_leaves_the_heater(state: State):
    rig = Rig(SWITCHED)
    rig.wait(25.0)
    rig.guard.sweep_to(2.0, 0.05)
    rig.arrive()
    rig.guard.make_persistent()
    if state in (State.MATCH_LEADS, State.WARMING):
        rig.arrive()
        rig.guard.leave_persistent()
    while rig.guard.state is not state:
        rig.guard.poll()
        rig.clock.sleep(1.0)
    heater = rig.supply.heater
    rig.guard.hold()
    assert rig.supply.said[-1] == "hold"
    assert rig.supply.heater is heater
    rig.wait(60.0)
    assert rig.guard.state in (State.PERSISTENT, State.HOLD)
    assert rig.guard.poll().activity is Activity.HOLDING
    assert not rig.supply.breaches


# M13: quench


@pytest.mark.parametrize("state", ["rest", "ramp", "persistent"])
def test_m13_a_quench_is_latched_over_a_restart_until_a_person_clears_it(state: str):
    rig = Rig(SWITCHED)
    if state == "persistent":
        rig.persistent()
    else:
        rig.wait(25.0)
        if state == "ramp":
            rig.ramping()
    rig.supply.quench()
    rig.supply.said.clear()
    with pytest.raises(DeviceFault, match="quench"):
        rig.guard.poll()
    rig.guard.hold()
    with pytest.raises(DeviceFault, match="quench"):
        rig.guard.sweep_to(1.0, 0.05)
    rig.supply.quenched = False
    guard = rig.open()
    assert guard.state is State.QUENCHED
    for act in (guard.poll, guard.make_persistent, lambda: guard.sweep_to(0.0, 0.05)):
        with pytest.raises(DeviceFault, match="quench"):
            act()
    assert rig.supply.said == []
    for person, reason in (("", "looked"), ("Ada", " ")):
        with pytest.raises(DeviceFault, match="name of a person"):
            guard.clear_quench(person, reason)
    guard.clear_quench("Ada", "the compressor had stopped")
    assert guard.state in (State.WARMING, State.COOLING)
    assert "clear quench, by Ada: the compressor had stopped" in rig.notes


def test_m13_a_quench_is_not_cleared_while_the_supply_reports_it():
    rig = Rig()
    rig.supply.quench()
    with pytest.raises(DeviceFault):
        rig.guard.poll()
    with pytest.raises(DeviceFault, match="still reports"):
        rig.guard.clear_quench("Ada", "hope")
    assert rig.guard.state is State.QUENCHED


def test_m13_a_voltage_that_drives_nothing_is_a_quench_when_it_is_seen_twice():
    rig = Rig().ramping(for_s=10.0)
    rig.supply.gaussmeter_V = -5.0
    with pytest.raises(DeviceFault, match="would drive it"):
        rig.wait(5.0)
    assert rig.guard.state is State.QUENCHED


def test_m13_a_current_that_jumps_is_a_quench_and_one_bad_look_is_none():
    rig = Rig().ramping()
    look, once = rig.supply._look, [20.0]

    def bad(fault: str):
        reading = look(fault)
        return replace(reading, output_A=reading.output_A - (once.pop() if once else 0.0))

    rig.supply._look = bad  # pyright: ignore[reportAttributeAccessIssue]
    rig.wait(3.0)
    assert rig.guard.state is State.RAMP
    rig.supply.lead_A = 0.0
    with pytest.raises(DeviceFault, match="jumped"):
        rig.guard.poll()
    assert rig.guard.state is State.QUENCHED


def test_m13_a_coil_that_loses_its_current_in_persistent_mode_is_a_quench():
    rig = Rig(SWITCHED).persistent()
    rig.supply.kept_A = 3.0
    with pytest.raises(DeviceFault, match="kept 20"):
        rig.guard.poll()
    assert rig.guard.state is State.QUENCHED


def test_f30_a_switch_that_is_still_cold_stops_the_ramp():
    rig = Rig(replace(SWITCHED, switch=SwitchLimits(5.0, 30.0, 0.1, 2.0)), warm_s=1e9)
    rig.supply.heater_since_s = rig.clock.now()
    rig.supply._was_warm = False
    rig.wait(8.0)
    # It opens never; the supply sees no inductance.
    rig.supply._between = lambda _now_s: False  # pyright: ignore[reportAttributeAccessIssue]
    rig.guard.sweep_to(3.0, 0.05)
    with pytest.raises(DeviceFault, match="does not follow"):
        rig.arrive(poll_s=0.6)
    assert rig.guard.state is State.FAULT


# M14: hold


def test_m14_hold_is_the_first_thing_that_is_sent():
    rig = Rig().ramping()
    rig.supply.said.clear()
    begun_s = rig.clock.now()
    rig.guard.hold()
    assert rig.supply.said == ["hold"]
    assert rig.clock.now() - begun_s < 0.2
    assert rig.guard.state is State.HOLD


@pytest.mark.parametrize("kind", [LOST, LOST_AFTER, IGNORED, REFUSED])
def test_m14_hold_is_told_again_until_it_is_seen(kind: str):
    rig = Rig().ramping()
    holds = [kind, kind]
    rig.supply.fault_for = lambda order: holds.pop() if order == "hold" and holds else ""
    rig.guard.hold()
    assert not rig.supply.going
    assert rig.guard.state is State.HOLD


def test_m14_a_hold_that_cannot_be_confirmed_says_where_the_magnet_goes():
    rig = Rig().ramping()
    rig.supply.fault_for = lambda _order: LOST
    rig.supply.said.clear()
    with pytest.raises(CommunicationError, match=r"goes on to \+5\.0000 T"):
        rig.guard.hold()
    assert rig.supply.said.count("hold") == 3
    assert rig.guard.state is State.COMM_LOST
    rig.supply.fault_for = None
    rig.guard.hold()
    assert not rig.supply.going


def test_m14_a_hold_that_is_acknowledged_and_not_done_is_a_fault():
    rig = Rig().ramping()
    rig.supply.fault_for = lambda order: IGNORED if order == "hold" else ""
    with pytest.raises(DeviceFault, match="told to hold 3 times"):
        rig.guard.hold()
    assert rig.guard.state is State.FAULT


def test_m14_ctrl_c_in_the_middle_of_an_order_leaves_a_guard_that_can_hold():
    rig = Rig()

    def interrupt(order: str) -> str:
        if order == "go":
            raise KeyboardInterrupt
        return ""

    rig.supply.fault_for = interrupt
    with pytest.raises(KeyboardInterrupt):
        rig.guard.sweep_to(5.0, 0.05)
    rig.supply.fault_for = None
    rig.guard.hold()
    assert rig.guard.state is State.HOLD
    assert not rig.supply.going


# M15, M16: cold


def test_m15_a_magnet_that_is_too_warm_may_be_lowered_and_not_raised():
    rig = Rig(COLD)
    rig.guard.sweep_to(3.0, 0.05)
    rig.arrive()
    rig.cold["coil"] = 6.0
    rig.guard._feel()
    for _ in range(3):
        rig.clock.sleep(6.0)
        rig.guard._feel()
    with pytest.raises(InterlockTripped, match=r"coil is 6, outside 1 … 5"):
        rig.guard.sweep_to(4.0, 0.05)
    with pytest.raises(InterlockTripped):
        rig.guard.sweep_to(-1.0, 0.05)
    rig.guard.sweep_to(1.0, 0.05)
    # Down it goes, and by itself all the way.
    with pytest.raises(InterlockTripped, match="taken to zero"):
        rig.arrive()
    assert rig.supply.coil_A == 0.0


def test_m16_a_coil_that_is_too_warm_three_times_goes_to_zero_with_the_segments_rates():
    rig = Rig(COLD).ramping(9.0, 200.0)
    rig.cold["coil"] = 6.0
    with pytest.raises(InterlockTripped, match="taken to zero"):
        rig.arrive()
    assert rig.supply.coil_A == 0.0
    assert not rig.supply.breaches


def test_m16_one_warm_reading_does_nothing():
    rig = Rig(COLD).ramping()
    rig.cold["coil"] = 6.0
    rig.wait(6.0)
    rig.cold["coil"] = 4.0
    rig.arrive()
    assert rig.supply.coil_A == 50.0


def test_m16_a_sensor_that_fails_holds_the_field_and_the_sweep_goes_on_when_it_is_good_again():
    rig = Rig(COLD).ramping(5.0, 10.0)
    rig.cold["coil"] = None
    rig.wait(12.0)
    assert rig.guard.state is State.HOLD
    assert not rig.supply.going
    look = rig.guard.poll()
    assert look.activity is Activity.RAMPING
    assert look.flags == ("the coil sensor gives no value",)
    rig.cold["coil"] = 4.0
    rig.arrive()
    assert rig.supply.coil_A == 50.0


def test_m16_a_sensor_that_stays_bad_sends_the_magnet_to_zero_after_its_patience():
    rig = Rig(COLD).ramping()
    rig.cold["coil"] = None
    with pytest.raises(InterlockTripped, match="no value"):
        rig.arrive()
    assert rig.supply.coil_A == 0.0


def test_m16_in_persistent_mode_low_helium_is_told_and_the_heater_stays_off():
    rig = Rig(replace(SWITCHED, helium=COLD.helium)).persistent()
    rig.cold["helium"] = 12.0
    with pytest.raises(InterlockTripped, match="helium is 12"):
        rig.wait(30.0)
    rig.wait(30.0)
    assert rig.supply.heater is False
    assert rig.guard.state is State.PERSISTENT


def test_m16_a_person_who_holds_a_magnet_on_its_way_to_zero_is_obeyed():
    rig = Rig(COLD).ramping(5.0, 40.0)
    rig.cold["helium"] = 5.0
    rig.wait(30.0)
    assert rig.supply.set_point_A == 0.0
    rig.guard.hold()
    rig.wait(30.0)
    assert not rig.supply.going
    assert rig.supply.coil_A > 1.0


# M17, M18: lost and found


@pytest.mark.parametrize("policy", ["hold", "continue"])
def test_m17_when_the_supply_answers_again_everything_is_compared_first(policy: str):
    rig = Rig(replace(LIMITS, on_comm_loss=policy)).ramping()  # pyright: ignore[reportArgumentType]
    rig.supply.fault_for = lambda _order: LOST
    for _ in range(3):
        with pytest.raises(CommunicationError, match="does not answer"):
            rig.guard.poll()
    assert rig.guard.state is State.COMM_LOST
    with pytest.raises(CommunicationError):
        rig.guard.sweep_to(1.0, 0.05)
    rig.supply.fault_for = None
    rig.supply.said.clear()
    if policy == "hold":
        with pytest.raises(CommunicationError, match="told to hold"):
            rig.guard.poll()
        assert rig.supply.said == ["hold"]
        assert rig.guard.state is State.HOLD
    else:
        rig.arrive()
        assert rig.supply.coil_A == 50.0


def test_m17_a_supply_that_was_restarted_meanwhile_is_foreign():
    rig = Rig().ramping()
    rig.supply.fault_for = lambda _order: LOST
    with pytest.raises(CommunicationError):
        rig.guard.poll()
    rig.supply.fault_for = None
    rig.supply.set_point_A, rig.supply.going, rig.supply.rate = 0.0, False, 0.01
    rig.supply.said.clear()
    with pytest.raises(DeviceFault, match="when it answered again, the set point was"):
        rig.guard.poll()
    assert rig.guard.state is State.FOREIGN
    assert rig.supply.said == []


@pytest.mark.parametrize("at_rest", [True, False])
def test_m17_one_or_two_lost_looks_are_looked_at_again(at_rest: bool):
    rig = Rig() if at_rest else Rig().ramping()
    rig.supply.faults.extend([LOST, LOST])
    rig.guard.poll()
    assert rig.guard.state in (State.HOLD, State.RAMP)


def test_m18_at_the_start_nothing_is_sent_to_a_magnet_at_rest():
    rig = Rig()
    assert rig.supply.said == []
    assert rig.guard.state is State.HOLD


def test_m18_a_ramp_that_somebody_else_began_is_held_and_nothing_else_is_touched():
    rig = Rig()
    rig.supply.set_point_A, rig.supply.going = 30.0, True
    rig.open()
    assert rig.supply.said == ["hold"]
    assert rig.guard.state is State.HOLD


def test_m18_our_own_last_piece_goes_on_after_a_restart():
    rig = Rig().ramping(9.0, 20.0)
    rig.supply.said.clear()
    guard = rig.open()
    assert guard.state is State.RAMP
    rig.arrive()
    # It coasts to the end of the piece, and no further.
    assert rig.supply.coil_A == 60.0
    assert rig.supply.said == []


@pytest.mark.parametrize("damage", [b"", b"{", b'{"crc32": 1, "body": "{}"}', b"\xff\xfe"])
def test_m18_a_memory_that_cannot_be_read_blocks_until_a_person_says_so(damage: bytes):
    rig = Rig().ramping()
    rig.guard.hold()
    name = next(name for name in rig.files.content if name.endswith(".json"))
    rig.files.content[name] = damage
    guard = rig.open()
    assert guard.state is State.FAULT
    with pytest.raises(DeviceFault, match="cannot be read"):
        guard.sweep_to(1.0, 0.05)
    with pytest.raises(DeviceFault, match="name of a person"):
        guard.acknowledge_foreign("")
    guard.acknowledge_foreign("Ada")
    assert guard.state is State.HOLD
    guard.sweep_to(1.0, 0.05)
    rig.arrive()
    assert rig.open().state is State.HOLD


# M19, M22: another hand


@pytest.mark.parametrize(
    ("hand", "says"),
    [
        (lambda s: setattr(s, "set_point_A", 99.0), "set point"),
        (lambda s: setattr(s, "going", False), "stopped at"),
        (lambda s: setattr(s, "clamped", True), "clamped on the way"),
        (lambda s: setattr(s, "constant", 0.2), "settings changed"),
    ],
)  # fmt: skip
def test_m19_a_hand_at_the_supply_during_a_ramp_is_noticed_and_not_fought(hand: Callable[[Punishing], None], says: str):
    rig = Rig(replace(LIMITS, on_comm_loss="continue")).ramping()
    hand(rig.supply)
    rig.supply.said.clear()
    rig.clock.sleep(8.0)
    with pytest.raises(DeviceFault, match=says):
        rig.wait(20.0)
    assert rig.guard.state is State.FOREIGN
    assert rig.supply.said == []
    with pytest.raises(DeviceFault, match="acknowledge it with your name"):
        rig.guard.sweep_to(1.0, 0.05)
    with pytest.raises(DeviceFault):
        rig.guard.poll()


def test_m19_a_hand_at_the_supply_at_rest_is_noticed():
    rig = Rig()
    rig.wait(12.0)
    rig.supply.set_point_A, rig.supply.going = 30.0, True
    with pytest.raises(DeviceFault, match=r"not by our order|set point"):
        rig.wait(12.0)
    assert rig.guard.state is State.FOREIGN
    rig.supply.going = False
    rig.guard.acknowledge_foreign("Ada")
    assert rig.guard.state is State.HOLD
    rig.guard.sweep_to(1.0, 0.05)
    rig.arrive()


def test_m19_hold_is_allowed_also_on_a_magnet_that_another_hand_moves():
    rig = Rig()
    rig.supply.set_point_A, rig.supply.going = 30.0, True
    with pytest.raises(DeviceFault):
        rig.wait(12.0)
    rig.guard.hold()
    assert not rig.supply.going


def test_m22_a_constant_that_was_changed_at_the_supply_is_noticed_before_go():
    rig = Rig()
    rig.supply.constant = 0.2
    with pytest.raises(DeviceFault, match="settings changed"):
        rig.guard.sweep_to(1.0, 0.05)
    assert "go" not in rig.supply.said
    assert rig.guard.state is State.FOREIGN


def test_f23_a_supply_in_local_is_not_told_to_move():
    rig = Rig()
    rig.supply.remote = False
    with pytest.raises(DeviceFault, match="LOCAL"):
        rig.guard.sweep_to(1.0, 0.05)
    assert rig.supply.said == []


# M21: the ramp is watched


@pytest.mark.parametrize(("rate", "says"), [(0.3, "instead of"), (0.9, "instead of"), (0.0, "instead of")])
def test_m21_a_ramp_that_is_too_slow_or_too_fast_twice_is_held(rate: float, says: str):
    rig = Rig().ramping(5.0, 10.0)
    rig.supply.advance()
    rig.supply._breach = lambda *_a, **_k: None  # pyright: ignore[reportAttributeAccessIssue]
    rig.supply.rate = rate
    with pytest.raises(DeviceFault, match=says):
        for _ in range(6):
            rig.guard.poll()
            rig.clock.sleep(1.0)
    assert rig.guard.state is State.FAULT
    assert not rig.supply.going


def test_m21_a_ramp_the_wrong_way_is_held():
    rig = Rig().ramping(5.0, 10.0)
    look = rig.supply._look
    begun_s = rig.clock.now()
    rig.supply._look = lambda fault: replace(look(fault), output_A=5.0 - 0.4 * (rig.clock.now() - begun_s))  # pyright: ignore
    with pytest.raises(DeviceFault, match="away from its end"):
        rig.wait(6.0)
    assert rig.guard.state is State.FAULT


def test_m21_a_magnet_that_goes_past_its_end_is_held():
    rig = Rig().ramping(1.0, 8.0)
    look = rig.supply._look

    def further(fault: str):
        reading = look(fault)
        return replace(reading, output_A=reading.output_A + 0.05)

    rig.supply._look = further  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(DeviceFault, match="went past"):
        rig.arrive()
    assert rig.guard.state is State.FAULT
    assert rig.supply.said[-1] == "hold"


def test_m21_a_field_that_drifts_at_rest_is_a_fault():
    rig = Rig()
    rig.guard.sweep_to(1.0, 0.05)
    rig.arrive()
    rig.supply.lead_A, rig.supply.going = 10.15, False
    with pytest.raises(DeviceFault, match=r"was at rest at \+1\.0000 T and is at \+1\.0150 T"):
        rig.guard.poll()
    assert rig.guard.state is State.FAULT
    rig.guard.acknowledge_foreign("Ada")
    assert rig.guard.state is State.HOLD


def test_m21_a_field_is_called_there_only_after_it_settled():
    rig = Rig()
    rig.guard.sweep_to(1.0, 0.05)
    while rig.guard.state is not State.SETTLE:
        rig.guard.poll()
        rig.clock.sleep(0.2)
    begun_s = rig.clock.now()
    rig.arrive(poll_s=0.2)
    assert rig.clock.now() - begun_s >= 1.5
    assert rig.guard.state is State.DRIVEN


# M26, M29


def test_m26_a_clamped_output_is_left_alone_also_by_hold():
    rig = Rig()
    rig.supply.clamped = True
    with pytest.raises(DeviceFault, match="clamped"):
        rig.guard.sweep_to(1.0, 0.05)
    rig.guard.hold()
    assert rig.supply.said == []
    assert "is clamped at" in rig.guard.describe()


@pytest.mark.parametrize("activity", ["clamped", "fault"])
def test_m26_a_supply_in_fault_is_not_moved_and_not_acknowledged(activity: str):
    rig = Rig()
    rig.supply.fault = True
    with pytest.raises(DeviceFault):
        rig.guard.sweep_to(1.0, 0.05)
    with pytest.raises(DeviceFault):
        rig.wait(12.0)
    assert rig.guard.state is State.FAULT
    if activity == "clamped":
        rig.supply.fault, rig.supply.clamped = False, True
    with pytest.raises(DeviceFault, match="still reports"):
        rig.guard.acknowledge_foreign("Ada")


def test_m29_a_look_that_is_not_plausible_is_not_a_field():
    rig = Rig().ramping()
    rig.supply.faults.extend([NONSENSE, NONSENSE])
    assert abs(rig.guard.poll().field_T) < 5.0
    rig.supply.fault_for = lambda order: NONSENSE if order in ("watch", "inspect") else ""
    with pytest.raises(RemanenceError):
        rig.guard.poll()
    assert rig.guard.state is State.FAULT


# M27, M30


@pytest.mark.parametrize("how", ["gap", "sleep"])
def test_m27_after_a_sleep_of_the_computer_everything_is_read_before_anything_is_written(how: str):
    rig = Rig().ramping(9.0, 100.0)
    asked: list[str] = []
    rig.supply.fault_for = lambda order: asked.append(order) or ""  # pyright: ignore[reportAttributeAccessIssue]
    if how == "gap":
        rig.clock.sleep(1200.0)
    else:
        rig.clock.sleep(0.5)
        rig.asleep_s = 1200.0
    rig.guard.poll()
    assert asked[0] == "inspect"


def test_m30_every_order_is_written_down_before_it_is_sent_and_its_outcome_after():
    rig = Rig()
    rig.guard.sweep_to(1.0, 0.05)
    assert rig.notes == [
        "hold", "hold: confirmed", "rate 0.5 A/s", "rate: reads back 0.5", "program +1.00000 T at 50 mT/s",
        "program: reads back 10", "go", "go: confirmed",
    ]  # fmt: skip
    journal = next(content for name, content in rig.files.content.items() if name.endswith(".jsonl"))
    assert [json.loads(line)["text"] for line in journal.splitlines()] == rig.notes


def test_m30_a_full_disk_keeps_no_hold_from_the_magnet(monkeypatch: pytest.MonkeyPatch):
    rig = Rig().ramping()

    def full(_name: str, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rig.files, "append", full)
    rig.guard.hold()
    assert not rig.supply.going


# What it remembers


def test_the_memory_on_disk_is_the_old_one_or_the_new_one(tmp_path: Path):
    clock = VirtualClock()
    files = DiskFiles(tmp_path / "magnets")
    memory = MagnetMemory(files, "A/1", clock)
    assert memory.load().unreadable == ""
    memory.store(replace(memory.load(), persistent_A=-12.5, quench="", note="left"))
    memory.note("go")
    files.close()
    again = MagnetMemory(DiskFiles(tmp_path / "magnets"), "A/1", clock)
    assert again.load().persistent_A == -12.5
    assert again.load().note == "left"
    # Another serial that would be written alike is another file.
    assert MagnetMemory(DiskFiles(tmp_path / "magnets"), "A_1", clock).load().persistent_A is None
    stored = next((tmp_path / "magnets").glob("*.json"))
    whole = stored.read_bytes()
    for cut in range(len(whole)):
        stored.write_bytes(whole[:cut])
        loaded = again.load()
        assert loaded.unreadable or loaded.persistent_A == -12.5
    for at in range(len(whole)):
        stored.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        loaded = again.load()
        assert loaded.unreadable or loaded.persistent_A == -12.5


def test_the_table_in_the_docs_is_the_one_that_the_guard_obeys():
    page = Path(__file__).parents[1] / "docs" / "magnet-safety.md"
    assert page.read_text(encoding="utf-8").endswith(f"instruments/guard_states.py -->\n\n{table()}\n")
