"""Until a coil was seen to follow its leads they do not go far from it, and what it keeps stays on record.

The heater says "on" and the switch may be cold all the same: its heater's wire is broken, or it warms more slowly than
the station file says. Only the voltage of a ramp tells.
"""

import math
from dataclasses import replace

import pytest
from remanence.core.capabilities import Activity, Heater, SupplyReading
from remanence.core.errors import CommunicationError, DeviceFault
from remanence.instruments.guard_follow import Following
from remanence.instruments.guard_path import Piece
from remanence.instruments.guard_states import State
from remanence.instruments.magnet_memory import MagnetMemory
from remanence.simulators.judge import MagnetJudge, Rules

from .punishing import LOST, SWITCHED
from .test_guard import Rig

# A slow first move: 0.5 V across 10 H, for 15 s.
SLOW, SHORT_A = 0.05, 0.75


def stuck(field_T: float = 2.0) -> Rig:
    """A coil in persistent mode whose switch is told to warm, and stays cold: its heater's wire is broken."""
    rig = Rig(SWITCHED).persistent(field_T)
    rig.guard.leave_persistent()
    # The supply sees its heater's order, the switch does not.
    rig.supply.warm_s = math.inf
    rig.supply._between = lambda _now_s: False  # pyright: ignore[reportAttributeAccessIssue]
    rig.arrive()
    assert rig.guard.state is State.HOLD
    return rig


def rates(rig: Rig) -> list[str]:
    return [order for order in rig.supply.said if order.startswith("rate")]


def recorded_A(rig: Rig) -> float | None:
    return MagnetMemory(rig.files, rig.limits.serial, rig.clock).load().persistent_A


def test_the_first_move_after_the_heater_came_on_is_slow_and_short_until_the_coil_is_seen_to_follow():
    rig = Rig(SWITCHED)
    rig.wait(25.0)
    rig.guard.sweep_to(3.0, 0.05)
    assert rates(rig) == [f"rate {SLOW:g}"]
    assert rig.supply.set_point_A == pytest.approx(SHORT_A)
    rig.clock.sleep(2.0)
    rig.guard.poll()
    # Two looks that agree are enough: the rest of the way goes at the rate that was asked for, in its own piece.
    assert rates(rig) == [f"rate {SLOW:g}", "rate 0.5"]
    assert rig.supply.set_point_A == 30.0
    rig.arrive()
    assert rig.guard.read_field().field_T == 3.0
    rig.supply.said.clear()
    rig.guard.sweep_to(-3.0, 0.05)
    rig.arrive()
    assert set(rates(rig)) == {"rate 0.5"}
    assert not rig.supply.breaches


@pytest.mark.parametrize("again", ["restart", "heater", "fault"])
def test_what_was_seen_of_the_coil_is_not_believed_over_a_restart_a_heater_or_a_fault(again: str):
    rig = Rig(SWITCHED).persistent(2.0)
    if again == "heater":
        rig.guard.leave_persistent()
        rig.arrive()
    else:
        rig = Rig(SWITCHED)
        rig.wait(25.0)
        rig.guard.sweep_to(2.0, 0.05)
        rig.arrive()
        if again == "restart":
            rig.open()
        else:
            rig.supply.heater_says = Heater.FAULT
            with pytest.raises(DeviceFault, match="heater"):
                rig.wait(30.0)
            rig.supply.heater_says = None
            rig.guard.acknowledge_foreign("Ada")
        rig.wait(25.0)
    rig.supply.said.clear()
    rig.guard.sweep_to(3.0, 0.05)
    assert rates(rig) == [f"rate {SLOW:g}"]


@pytest.mark.parametrize("poll_s", [0.3, 1.0, 4.0, 9.0])
@pytest.mark.parametrize("field_T", [3.0, -3.0, 2.05])
def test_the_leads_come_back_to_a_coil_that_stays_and_were_never_far(field_T: float, poll_s: float):
    rig = stuck()
    rig.guard.sweep_to(field_T, 0.05)
    furthest_A = 0.0
    with pytest.raises(DeviceFault, match="does not follow"):
        while rig.guard.poll().activity is Activity.RAMPING:
            furthest_A = max(furthest_A, abs(rig.supply.lead_A - 20.0))
            rig.clock.sleep(poll_s)
    # At the looks' pace: the first that can tell is 2 s after the start.
    assert furthest_A <= SLOW * (poll_s + 2.5)
    assert rig.guard.state is State.FAULT
    assert rig.supply.lead_A == pytest.approx(20.0, abs=0.002)
    assert recorded_A(rig) == 20.0
    assert not rig.supply.breaches


def test_m6_with_nobody_there_any_more_the_leads_stop_near_a_coil_that_stays():
    rig = stuck()
    rig.guard.sweep_to(6.0, 0.05)
    rig.supply.fault_for = lambda _order: LOST
    with pytest.raises(CommunicationError):
        rig.guard.poll()
    rig.clock.sleep(24 * 3600.0)
    rig.supply.advance()
    assert abs(rig.supply.lead_A - 20.0) <= SHORT_A + 1e-9


def test_m11_the_record_stays_when_the_leads_arrive_before_two_looks_could_say_that_the_coil_stays():
    """Leads that reached the end of a short piece were taken for a coil that had followed, and the record was lost."""
    rig = stuck(0.08)
    rig.guard.sweep_to(0.0, 0.05)
    orders: list[float | None] = []
    with pytest.raises(DeviceFault, match="does not follow"):
        while rig.guard.poll().activity is Activity.RAMPING:
            orders.append(recorded_A(rig))
            rig.clock.sleep(9.0)
    assert set(orders) == {0.8}
    assert recorded_A(rig) == 0.8
    assert rig.supply.lead_A == pytest.approx(0.8, abs=0.002)


def test_moves_that_nobody_looks_at_end_where_they_began():
    rig = stuck()
    rig.guard.sweep_to(6.0, 0.05)
    with pytest.raises(DeviceFault, match="three short moves"):
        for _ in range(20):
            rig.clock.sleep(20.0)
            rig.guard.poll()
    assert rig.guard.state is State.FAULT
    assert rig.supply.lead_A == pytest.approx(20.0, abs=0.002)


def test_steps_that_are_over_before_they_can_be_looked_at_are_no_fault():
    rig = Rig(SWITCHED)
    rig.wait(25.0)
    for step in range(1, 40):
        rig.guard.sweep_to(0.002 * step, 0.05)
        rig.arrive()
    assert rig.supply.coil_A == pytest.approx(0.78)
    rig.guard.sweep_to(3.0, 0.05)
    rig.arrive()
    assert not rig.supply.breaches


def test_one_look_of_a_coil_that_followed_does_not_end_a_run_two_do():
    rig = Rig(SWITCHED)
    rig.wait(25.0)
    rig.guard.sweep_to(5.0, 0.05)
    rig.wait(20.0)
    rig.supply.gaussmeter_V = 0.0
    rig.guard.poll()
    rig.supply.gaussmeter_V = None
    rig.clock.sleep(1.0)
    rig.wait(5.0)
    assert rig.guard.state is State.RAMP
    rig.supply.advance()
    last_A = rig.supply.lead_A
    rig.supply.gaussmeter_V = 0.0
    with pytest.raises(DeviceFault, match=r"does not follow.*brought back"):
        rig.arrive()
    # Back to where the coil was last seen to be.
    assert rig.supply.lead_A == pytest.approx(last_A, abs=0.6)


def test_a_last_look_under_way_that_said_it_stays_makes_the_next_move_a_short_one():
    rig = Rig(SWITCHED)
    rig.wait(25.0)
    rig.guard.sweep_to(1.0, 0.05)
    rig.arrive()
    rig.guard.sweep_to(1.2, 0.05)
    rig.clock.sleep(2.0)
    rig.guard.poll()
    rig.supply.gaussmeter_V = 0.0
    rig.clock.sleep(1.5)
    rig.guard.poll()
    assert rig.supply.lead_A != 12.0
    rig.supply.gaussmeter_V = None
    rig.clock.sleep(3.0)
    rig.arrive()
    assert rig.guard.state is State.DRIVEN
    rig.supply.said.clear()
    rig.guard.sweep_to(3.0, 0.05)
    assert rates(rig) == [f"rate {SLOW:g}"]


def test_a_ramp_of_ours_that_is_found_at_the_start_counts_on_the_record_not_on_its_leads():
    rig = stuck()
    rig.guard.sweep_to(6.0, 0.05)
    rig.clock.sleep(5.0)
    rig.open()
    assert rig.guard.state is State.RAMP
    with pytest.raises(DeviceFault, match="does not follow"):
        rig.arrive()
    assert rig.supply.lead_A == pytest.approx(20.0, abs=0.002)
    assert recorded_A(rig) == 20.0


def test_a_supply_that_gives_no_voltage_under_way_is_believed_after_one_short_move():
    rig = Rig(SWITCHED)
    look = rig.supply._look

    def mute(fault: str) -> SupplyReading:
        reading = look(fault)
        return replace(reading, voltage_V=None) if reading.activity is Activity.RAMPING else reading

    rig.supply._look = mute
    rig.wait(25.0)
    for field_T in (3.0, -1.0):
        rig.guard.sweep_to(field_T, 0.05)
        rig.arrive()
        assert rig.guard.state is State.DRIVEN
    assert rates(rig).count(f"rate {SLOW:g}") == 1


def test_the_short_move_lies_within_the_way_and_is_no_faster_than_asked():
    way = (Piece(60.0, 0.5, 0), Piece(70.0, 0.2, 1))
    rest = SupplyReading(0.0, Activity.HOLDING, 10.0, voltage_V=0.0)

    def first(pieces: tuple[Piece, ...], reading: SupplyReading = rest, **changed: object) -> tuple[Piece, ...]:
        coil = Following(replace(SWITCHED, **changed))  # pyright: ignore[reportArgumentType]
        coil.lose(reading.output_A)
        return coil.first(pieces, reading)

    assert first(way) == (Piece(10.0 + SHORT_A, SLOW, 0), *way)
    # Down as well as up; a way not much longer than the short move is one slow move.
    assert first((Piece(0.0, 0.5, 0),)) == (Piece(10.0 - SHORT_A, SLOW, 0), Piece(0.0, 0.5, 0))
    assert first((Piece(11.0, 0.5, 0), way[1])) == (Piece(11.0, SLOW, 0), way[1])
    # Slower than the short move already is; too slow to tell; no voltage; no switch to be cold.
    assert first((Piece(60.0, 0.04, 0),)) == (Piece(10.0 + 15.0 * 0.04, 0.04, 0), Piece(60.0, 0.04, 0))
    assert first((Piece(60.0, 0.02, 0),)) == (Piece(60.0, 0.02, 0),)
    assert first(way, replace(rest, voltage_V=None)) == way
    assert first(way, switch=None) == way


# The judge


RULES = Rules(100.0, ((100.0, 0.5),), 2.0, 0.1, 20.0, 20.0, 0.02)


class Truth:
    """A magnet whose heater breaks on the way, as far as a judge looks at it."""

    def __init__(self) -> None:
        self.quenched = False
        self.quenches = 0
        self.heater_on = True
        self.switch = self
        self.heater_broken = False
        self.coil_A = self.lead_A = 0.0

    def coil_current(self) -> float:
        return self.coil_A

    def lead_current(self, _now_s: float) -> float:
        return self.lead_A

    def switch_warm(self, _now_s: float) -> bool:
        return not self.heater_broken


@pytest.mark.parametrize(("answers", "breaches"), [((), []), ((1.0,), []), ((1.0, 6.0), ["M10"]), ((40.0,), ["M10"])])
def test_a_broken_heater_is_held_against_a_controller_that_had_an_answer_since(
    answers: tuple[float, ...], breaches: list[str]
):
    """Leads and coil part at 5 s; an answer that came before says nothing of that."""
    magnet = Truth()
    judge = MagnetJudge(magnet, RULES, 0.0)  # pyright: ignore[reportArgumentType]
    for now_s in range(1, 60):
        magnet.lead_A = 0.1 * now_s
        magnet.heater_broken = now_s >= 5
        magnet.coil_A = min(magnet.lead_A, 0.5)
        if float(now_s) in answers:
            judge.answered(float(now_s))
        judge.look(float(now_s))
    assert [breach.rule for breach in judge.breaches] == breaches
