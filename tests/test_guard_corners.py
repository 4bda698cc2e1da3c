"""The guard where its table is rarely walked: lost answers in odd states, looks that contradict, disks that are full."""

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from remanence.core.capabilities import Activity, SupplyReading
from remanence.core.errors import CommunicationError, DeviceFault, RemanenceError, StorageError
from remanence.instruments.guard_base import Base
from remanence.instruments.guard_states import TRANSITIONS, State
from remanence.instruments.magnet_memory import MagnetMemory

from . import test_guard as scenarios
from .punishing import IGNORED, LOST, REFUSED, SWITCHED
from .test_guard import Rig


def seen_as(rig: Rig, change: Callable[[SupplyReading], SupplyReading]) -> None:
    """From now on every look at the supply is changed before the guard gets it."""
    supply: Any = rig.supply
    watch, inspect = supply.watch, supply.inspect
    supply.watch, supply.inspect = lambda: change(watch()), lambda: change(inspect())


def lose(rig: Rig) -> None:
    rig.supply.fault_for = lambda _order: LOST
    with pytest.raises(CommunicationError):
        rig.guard.poll()
    assert rig.guard.state is State.COMM_LOST
    rig.supply.fault_for = None


def until(rig: Rig, state: State) -> Rig:
    for _ in range(500):
        if rig.guard.state is state:
            return rig
        rig.guard.poll()
        rig.clock.sleep(0.5)
    raise AssertionError(f"it never came to {state}, but is in {rig.guard.state}")


def settling() -> Rig:
    rig = Rig()
    rig.guard.sweep_to(0.5, 0.05)
    return until(rig, State.SETTLE)


def driven() -> Rig:
    return until(settling(), State.DRIVEN)


def persisting(state: State) -> Rig:
    rig = Rig(SWITCHED)
    if state is State.WARMING:
        return rig
    rig.wait(25.0)
    rig.guard.sweep_to(2.0, 0.05)
    rig.arrive()
    rig.guard.make_persistent()
    if state is State.MATCH_LEADS:
        rig.arrive()
        rig.guard.leave_persistent()
    return until(rig, state)


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    def store(_memory: MagnetMemory, _what: object) -> None:
        raise StorageError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(MagnetMemory, "store", store)
        yield


# The table


def walk_everything() -> None:
    scenarios.test_a_supply_with_another_field_constant_is_only_monitored()
    scenarios.test_m11_persistent_mode_keeps_the_field_and_its_record_and_comes_back()
    scenarios.test_m11_after_a_restart_the_record_is_what_the_leads_are_matched_to()
    scenarios.test_m18_our_own_last_piece_goes_on_after_a_restart()
    scenarios.test_m17_a_supply_that_was_restarted_meanwhile_is_foreign()
    scenarios.test_m13_a_quench_is_latched_over_a_restart_until_a_person_clears_it("ramp")
    scenarios.test_m10_a_heater_that_is_not_confirmed_ends_in_a_fault_and_the_leads_stay(True)
    scenarios.test_m14_hold_is_allowed_in_the_middle_of_everything_and_leaves_the_heater(State.MATCH_LEADS)
    scenarios.test_a_new_target_on_the_way_holds_first()
    for rig in (settling(), driven(), persisting(State.PERSISTENT)):
        lose(rig)
        rig.wait(2.0)


def test_every_row_of_the_table_is_walked(monkeypatch: pytest.MonkeyPatch):
    walked: set[tuple[State, State]] = set()
    to = Base._to  # pyright: ignore[reportPrivateUsage]

    def noted(self: Base, state: State) -> None:
        walked.add((self.state, state))
        to(self, state)

    monkeypatch.setattr(Base, "_to", noted)
    walk_everything()
    never = [row for row in TRANSITIONS if not any((source, row.target) in walked for source in row.sources)]
    assert never == []


# M17: lost and found, anywhere


@pytest.mark.parametrize("state", [State.WARMING, State.COOLING, State.LEADS_DOWN, State.MATCH_LEADS, State.PERSISTENT])
def test_m17_a_switch_that_was_out_of_sight_is_given_its_whole_time_again(state: State):
    rig = persisting(state)
    lose(rig)
    rig.guard.poll()
    assert rig.guard.state in ({State.PERSISTENT} if state is State.PERSISTENT else {State.COOLING, State.WARMING})
    rig.wait(60.0)
    assert rig.guard.state is (State.HOLD if state is State.WARMING else State.PERSISTENT)
    assert rig.supply.coil_A == (0.0 if state is State.WARMING else 20.0)
    assert not rig.supply.breaches


@pytest.mark.parametrize("make", [settling, driven])
def test_m17_a_magnet_at_rest_is_where_it_was_when_its_supply_answers_again(make: Callable[[], Rig]):
    rig = make()
    lose(rig)
    rig.supply.said.clear()
    rig.arrive()
    assert rig.guard.state is State.DRIVEN
    assert set(rig.supply.said) <= {"hold"}


def test_m17_a_magnet_that_moves_by_nobodys_order_when_it_answers_again_is_foreign():
    rig = driven()
    lose(rig)
    rig.supply.set_target(40.0)
    rig.supply.go()
    rig.supply.said.clear()
    with pytest.raises(DeviceFault, match="when it answered again"):
        rig.guard.poll()
    assert rig.guard.state is State.FOREIGN
    assert rig.supply.said == []


# M18: at the start


@pytest.mark.parametrize("turned", ["set point", "rate"])
def test_m18_a_ramp_of_ours_that_somebody_turned_meanwhile_is_held(turned: str):
    rig = Rig().ramping()
    if turned == "rate":
        rig.supply.rate = 0.3
    else:
        rig.supply.set_point_A = 40.0
    rig.supply.said.clear()
    assert rig.open().state is State.HOLD
    assert rig.supply.said == ["hold"]


def test_m18_a_supply_whose_limits_changed_between_two_programs_is_foreign_until_somebody_says_it_is_ours():
    rig = Rig().ramping()
    rig.guard.sweep_to(0.0, 0.05)
    rig.arrive()
    seen_as(rig, lambda look: replace(look, fingerprint=look.fingerprint and (*look.fingerprint, ("limit", "50 A"))))
    guard = rig.open()
    assert guard.state is State.FOREIGN
    with pytest.raises(DeviceFault, match="not what they were"):
        guard.sweep_to(1.0, 0.05)
    guard.acknowledge_foreign("Ada")
    assert guard.state is State.HOLD
    assert rig.open().state is State.HOLD


def test_m18_a_supply_in_fault_at_the_start_is_sent_nothing():
    rig = Rig()
    rig.supply.fault = True
    guard = rig.open()
    assert guard.state is State.FAULT
    with pytest.raises(DeviceFault, match="reports 'fault'"):
        guard.poll()
    assert rig.supply.said == []


def test_m18_a_magnet_that_ramps_while_its_record_cannot_be_read_is_held():
    rig = Rig().ramping()
    (name,) = (name for name in rig.files.content if name.endswith(".json"))
    rig.files.content[name] = b"{"
    rig.supply.said.clear()
    assert rig.open().state is State.FAULT
    assert rig.supply.said == ["hold"]


def test_m18_nobody_moves_a_magnet_that_was_never_looked_at():
    rig = Rig()
    rig.guard.machine.state = State.DISARMED  # pyright: ignore[reportOptionalMemberAccess]
    with pytest.raises(DeviceFault, match="nobody has looked"):
        rig.guard.sweep_to(1.0, 0.05)
    assert rig.supply.said == []


# M5, M20: up to "go"


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [("set_point_A", 45.0, "its set point is"), ("rate_A_per_s", 2.0, "its rate is"), ("remote", False, "LOCAL"),
     ("output_A", 0.06, "moved to .* while it was held")],
)  # fmt: skip
def test_m5_what_the_last_look_before_go_contradicts_is_not_gone_for(field: str, value: float | bool, says: str):
    rig = Rig()
    seen_as(
        rig,
        lambda look: (
            replace(look, **{field: value})
            if any(said.startswith("target") for said in rig.supply.said) and getattr(look, field) is not None
            else look
        ),
    )
    with pytest.raises(DeviceFault, match=says):
        rig.guard.sweep_to(5.0, 0.05)
    assert "go" not in rig.supply.said
    assert rig.guard.state is State.HOLD


def test_m5_a_magnet_that_moves_before_it_was_told_to_go_is_a_fault_and_is_held():
    rig = Rig()

    def early(look: SupplyReading) -> SupplyReading:
        told = any(said.startswith("target") for said in rig.supply.said)
        return replace(look, activity=Activity.RAMPING) if told and rig.supply.said[-1] != "hold" else look

    seen_as(rig, early)
    with pytest.raises(DeviceFault, match="before it was told to go"):
        rig.guard.sweep_to(5.0, 0.05)
    assert rig.guard.state is State.FAULT
    assert "go" not in rig.supply.said
    assert rig.supply.said[-1] == "hold"


def test_m20_a_status_that_is_always_old_when_it_arrives_starts_nothing():
    rig = Rig()
    seen_as(rig, lambda look: replace(look, time_s=look.time_s - 3.0))
    with pytest.raises(DeviceFault, match="always old"):
        rig.guard.sweep_to(5.0, 0.05)
    assert "go" not in rig.supply.said


def test_m5_orders_of_which_nobody_knows_whether_they_arrived_are_tried_three_times():
    rig = Rig()
    rig.supply.fault_for = lambda order: LOST if order.startswith("rate") else ""
    with pytest.raises(CommunicationError, match="three times"):
        rig.guard.sweep_to(5.0, 0.05)
    assert rig.supply.said.count("rate 0.5") == 3
    assert "go" not in rig.supply.said
    assert rig.guard.state is State.HOLD


def test_m5_a_second_piece_that_is_refused_leaves_the_magnet_on_hold():
    rig = Rig()
    rig.guard.sweep_to(7.0, 0.05)
    rig.supply.fault_for = lambda order: REFUSED if order.startswith("rate") else ""
    with pytest.raises(DeviceFault, match="refused"):
        rig.arrive()
    assert rig.guard.state is State.HOLD
    assert rig.supply.coil_A == 60.0
    assert not rig.supply.going


# M19, M21: after "go"


def test_m19_a_rate_that_somebody_turned_is_noticed():
    rig = Rig().ramping()
    rig.clock.sleep(6.0)
    rig.supply.rate = 0.2
    with pytest.raises(DeviceFault):
        rig.wait(30.0)
    assert rig.guard.state in (State.FOREIGN, State.FAULT)


def test_m26_a_supply_that_reports_a_fault_on_the_way_is_held_when_it_says_so_twice():
    rig = Rig().ramping()
    rig.supply.fault = True
    with pytest.raises(DeviceFault, match="reports 'fault'"):
        rig.guard.poll()
    assert rig.guard.state is State.FAULT
    assert rig.supply.said[-1] == "hold"


def test_m21_a_magnet_that_does_not_come_to_rest_at_its_end_is_a_fault():
    rig = Rig().ramping(1.0, 5.0)
    seen_as(rig, lambda look: replace(look, activity=Activity.RAMPING) if rig.supply.said[-1] != "hold" else look)
    with pytest.raises(DeviceFault, match=r"did not reach \+1\.0000 T in time"):
        rig.wait(200.0)
    assert rig.guard.state is State.FAULT


def test_m21_a_current_that_never_settles_is_a_fault():
    rig = settling()
    seen_as(rig, lambda look: replace(look, output_A=look.output_A + (0.05 if look.time_s % 2.0 < 1.0 else 0.0)))
    with pytest.raises(DeviceFault, match="does not settle"):
        rig.wait(200.0)
    assert rig.guard.state is State.FAULT


# M11, M12: the switch


@pytest.mark.parametrize(("state", "says"), [(State.COOLING, "the switch cools"), (State.WARMING, "the switch warms")])
def test_m12_leads_that_somebody_moves_while_the_switch_is_neither_warm_nor_cold_are_foreign(state: State, says: str):
    rig = persisting(state)
    rig.supply.set_target(30.0)
    rig.supply.go()
    rig.supply.said.clear()
    with pytest.raises(DeviceFault, match=says):
        rig.guard.poll()
    assert rig.guard.state is State.FOREIGN
    assert rig.supply.said == []
    kept = MagnetMemory(rig.files, rig.limits.serial, rig.clock).load()
    assert kept.persistent_A is None
    assert "while the switch cooled" in kept.note or state is State.WARMING


def test_m11_a_record_that_cannot_be_cleared_is_cleared_at_a_later_look(monkeypatch: pytest.MonkeyPatch):
    rig = Rig(SWITCHED).persistent()
    rig.guard.leave_persistent()
    rig.arrive()
    rig.guard.sweep_to(1.5, 0.05)
    with full_disk(monkeypatch), pytest.raises(StorageError):
        rig.arrive()
    memory = MagnetMemory(rig.files, rig.limits.serial, rig.clock)
    assert memory.load().persistent_A == 20.0
    rig.arrive()
    assert memory.load().persistent_A is None
    assert rig.guard.state is State.DRIVEN


def test_m11_what_a_person_says_and_no_disk_keeps_is_not_believed(monkeypatch: pytest.MonkeyPatch):
    rig = persisting(State.PERSISTENT)
    with full_disk(monkeypatch), pytest.raises(StorageError):
        rig.guard.declare_coil("Ada", 1.0)
    assert rig.guard.read_field().field_T == 2.0
    rig.supply.quench()
    with pytest.raises(DeviceFault):
        rig.guard.poll()
    rig.supply.quenched = False
    with full_disk(monkeypatch), pytest.raises(StorageError):
        rig.guard.clear_quench("Ada", "refilled")
    assert rig.guard.state is State.QUENCHED
    assert rig.open().state is State.QUENCHED


def test_m12_a_cold_coil_whose_leads_are_at_zero_needs_nothing_to_stay_persistent():
    rig = persisting(State.PERSISTENT)
    rig.arrive()
    rig.supply.said.clear()
    rig.guard.make_persistent()
    rig.arrive()
    assert rig.guard.state is State.PERSISTENT
    assert rig.supply.said == []


def test_m7_leads_that_leave_the_coils_current_before_the_heater_begin_the_match_anew():
    rig = persisting(State.MATCH_LEADS)
    while rig.supply.lead_A != 20.0:
        rig.guard.poll()
        rig.clock.sleep(0.5)
    rig.wait(2.0)
    off_s = rig.clock.now()
    seen_as(rig, lambda look: replace(look, output_A=20.15) if look.time_s < off_s + 30.0 else look)
    rig.wait(29.0)
    assert "heater on" not in rig.supply.said
    rig.arrive()
    assert rig.supply.heater
    assert rig.supply.heater_since_s - off_s > 34.0
    assert not rig.supply.breaches


def test_f30_a_retreat_that_is_held_is_still_a_fault():
    rig = Rig(SWITCHED).persistent(2.0)
    rig.supply.warm_s = 200.0
    rig.guard.leave_persistent()
    rig.arrive()
    rig.guard.sweep_to(3.0, 0.05)
    machine = rig.guard.machine
    assert machine is not None
    for _ in range(200):
        rig.guard.poll()
        if machine._retreat:  # pyright: ignore[reportPrivateUsage]
            break
        rig.clock.sleep(1.0)
    with pytest.raises(DeviceFault, match="wait until the leads are back"):
        rig.guard.sweep_to(0.0, 0.05)
    with pytest.raises(DeviceFault, match="does not follow"):
        rig.guard.hold()
    assert rig.guard.state is State.FAULT
    assert not rig.supply.going


# M29: looks


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"set_point_A": math.nan}, "set point of nan"), ({"rate_A_per_s": math.inf}, "rate of inf"),
        ({"coil_A": -math.inf}, "coil of -inf"), ({"voltage_V": 900.0}, "voltage of 900 V"),
        ({"time_s": 1e9}, "dated in the future"), ({"time_s": 1.0}, "they were old"),
    ],
)  # fmt: skip
def test_m29_what_cannot_be_is_no_reading_and_three_of_it_are_a_fault(change: dict[str, float], says: str):
    rig = Rig()
    seen_as(rig, lambda look: replace(look, **change))  # pyright: ignore[reportArgumentType]
    with pytest.raises(DeviceFault, match=says):
        rig.wait(15.0)
    assert rig.guard.state is State.FAULT


# M14: a hold that is acknowledged and not done


@pytest.mark.parametrize(("ours", "says"), [(True, r"goes on to \+5\.0000 T"), (False, "is not known")])
def test_m14_a_hold_that_is_acknowledged_and_not_done_claims_no_rest(ours: bool, says: str):
    rig = Rig().ramping() if ours else Rig()
    rig.supply.fault_for = lambda order: IGNORED if order == "hold" else ""
    if not ours:
        rig.supply.set_target(30.0)
        rig.supply.go()
        with suppress(RemanenceError):
            rig.open()
    moving: list[bool] = []
    rig.guard.beat = moving.append
    with pytest.raises(RemanenceError, match=says):
        rig.guard.hold()
    # Whoever watches over this program is not told that the magnet rests.
    assert moving[-1] is True


def test_a_person_whose_supply_does_not_hold_leaves_no_magnet_that_obeys_in_silence() -> None:
    """A ramp of somebody else's, acknowledged, that the supply does not stop: nothing is taken for done."""
    rig = Rig()
    rig.wait(12.0)
    rig.supply.set_point_A, rig.supply.going = 30.0, True
    with pytest.raises(DeviceFault, match=r"not by our order|set point"):
        rig.wait(12.0)
    rig.supply.fault_for = lambda order: IGNORED if order == "hold" else ""
    with pytest.raises(RemanenceError, match="told to hold"):
        rig.guard.acknowledge_foreign("Ada")
    with pytest.raises(RemanenceError):
        rig.guard.poll()
    with pytest.raises(RemanenceError):
        rig.guard.sweep_to(0.0, 0.05)
