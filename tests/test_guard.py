"""The guard: refuses before a byte is sent, cuts sweeps where the magnet's limits change, holds whatever happens."""

import math
from collections.abc import Iterator

import pytest
import pyvisa
from hypothesis import given
from hypothesis import strategies as st
from remanence.core.capabilities import Activity, FieldReading, Programmed, SupplyStatus
from remanence.core.clock import VirtualClock
from remanence.core.errors import CommunicationError, ConfigError, DeviceFault, LimitError, ReplyError
from remanence.engine.station_file import read_station, reference_station
from remanence.engine.twin import build_world
from remanence.instruments.cryogenic import SMS120C
from remanence.instruments.guard import Guard
from remanence.instruments.link import Link
from remanence.instruments.magnet_limits import MagnetLimits
from remanence.simulators.cryogenic import SMS120C as Panel
from remanence.simulators.visa import VirtualVisaLibrary

LIMITS = MagnetLimits(
    largest_T=15.0, segments=((10.0, 6e-3), (13.0, 4e-3), (15.0, 2e-3)), tesla_per_ampere=0.135, inductance_H=60.0,
    voltage_limit_V=3.5, tolerance_T=2e-3, reversal_settle_s=2.0,
)  # fmt: skip


class Supply:
    """A supply that writes down what it is told, and moves at once."""

    reverses_through_zero = True

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.said: list[str] = []
        self.field_T = 0.0
        self.status = SupplyStatus(Activity.HOLDING)
        self.switch: bool | None = True
        self.deaf_holds = 0
        self.offset_T = 0.0
        self._target_T = 0.0

    def read_field(self) -> FieldReading:
        return FieldReading(self.field_T, self.clock.now())

    def read_switch(self) -> bool | None:
        return self.switch

    def read_status(self) -> SupplyStatus:
        return self.status

    def hold(self) -> None:
        self.said.append("hold")
        if self.deaf_holds:
            self.deaf_holds -= 1
            raise CommunicationError("no answer")

    def program(self, target_T: float, rate_T_per_s: float) -> Programmed:
        self.said.append(f"program {target_T:+g} {rate_T_per_s * 1e3:g}")
        self._target_T = target_T
        return Programmed(target_T + self.offset_T, rate_T_per_s)

    def go(self) -> None:
        self.said.append("go")
        self.field_T = self._target_T


def guarded() -> tuple[Guard, Supply, VirtualClock]:
    clock = VirtualClock()
    supply = Supply(clock)
    return Guard(supply, LIMITS, clock), supply, clock


@pytest.mark.parametrize("target_T", [15.001, -15.001, math.nan, math.inf, -math.inf, 1e30])
def test_a_target_that_is_out_of_range_or_not_finite_is_refused_before_any_byte(target_T: float):
    guard, supply, _ = guarded()
    with pytest.raises(LimitError, match="Nothing was sent"):
        guard.sweep_to(target_T, 1e-3)
    assert supply.said == []


@pytest.mark.parametrize("rate_T_per_s", [0.0, -1e-3, 6.1e-3, math.nan, math.inf])
def test_a_rate_that_no_segment_allows_is_refused_before_any_byte(rate_T_per_s: float):
    guard, supply, _ = guarded()
    with pytest.raises(LimitError, match="Nothing was sent"):
        guard.sweep_to(1.0, rate_T_per_s)
    assert supply.said == []


def test_a_sweep_is_cut_at_the_rate_segments_and_at_zero():
    guard, _, _ = guarded()
    pieces = [(piece.stop_T, piece.rate_T_per_s) for piece in guard.plan(14.0, -11.0, 5e-3)]
    assert pieces == [(13.0, 2e-3), (10.0, 4e-3), (0.0, 5e-3), (-10.0, 5e-3), (-11.0, 4e-3)]


@given(st.floats(-15, 15), st.floats(-15, 15), st.floats(1e-5, 6e-3))
def test_no_piece_is_faster_than_any_field_it_crosses_allows(start_T: float, stop_T: float, rate: float):
    guard, _, _ = guarded()
    begin = start_T
    pieces = guard.plan(start_T, stop_T, rate)
    for piece in pieces:
        middle = 0.5 * (begin + piece.stop_T)
        allowed = next(limit for edge, limit in LIMITS.segments if abs(middle) <= edge)
        assert piece.rate_T_per_s <= min(rate, allowed)
        assert begin * piece.stop_T >= 0 or min(abs(begin), abs(piece.stop_T)) <= LIMITS.tolerance_T
        begin = piece.stop_T
    assert pieces[-1].stop_T == stop_T


def test_zero_is_settled_before_the_polarity_relay_moves():
    guard, supply, clock = guarded()
    supply.field_T = 1.0
    guard.sweep_to(-1.0, 1e-3)
    assert guard.poll().activity is Activity.RAMPING
    assert supply.said == ["program +0 1", "go"]
    clock.sleep(1.9)
    guard.poll()
    assert supply.said == ["program +0 1", "go"]
    clock.sleep(0.2)
    guard.poll()
    assert supply.said == ["program +0 1", "go", "program -1 1", "go"]


def test_zero_is_settled_also_when_it_was_the_end_of_the_sweep_before():
    guard, supply, clock = guarded()
    supply.field_T = 1.0
    guard.sweep_to(0.0, 1e-3)
    assert guard.poll().activity is Activity.HOLDING
    supply.said.clear()
    guard.sweep_to(-1.0, 1e-3)
    assert guard.poll().activity is Activity.RAMPING
    assert supply.said == []
    clock.sleep(2.1)
    guard.poll()
    assert supply.said == ["program -1 1", "go"]


def test_a_supply_that_did_not_take_the_set_point_is_not_told_to_go():
    guard, supply, _ = guarded()
    supply.offset_T = -8.0
    with pytest.raises(DeviceFault, match="reads back"):
        guard.sweep_to(1.0, 1e-3)
    assert "go" not in supply.said


@pytest.mark.parametrize("activity", [Activity.QUENCHED, Activity.FAULT])
def test_a_magnet_in_trouble_is_not_moved(activity: Activity):
    guard, supply, _ = guarded()
    supply.status = SupplyStatus(activity, "QUENCH TRIP AT 1 AMPS")
    with pytest.raises(DeviceFault, match="QUENCH TRIP"):
        guard.sweep_to(1.0, 1e-3)
    assert supply.said == []


def test_after_a_quench_not_even_a_hold_is_sent():
    guard, supply, _ = guarded()
    guard.sweep_to(1.0, 1e-3)
    supply.status = SupplyStatus(Activity.QUENCHED, "QUENCH TRIP")
    with pytest.raises(DeviceFault):
        guard.poll()
    supply.said.clear()
    guard.hold()
    assert supply.said == []


def test_a_cold_switch_keeps_the_leads_still():
    guard, supply, _ = guarded()
    supply.switch = False
    with pytest.raises(DeviceFault, match="switch"):
        guard.sweep_to(1.0, 1e-3)
    assert supply.said == []


def test_a_hand_on_the_pause_button_is_noticed():
    guard, supply, _ = guarded()
    guard.sweep_to(1.0, 1e-3)
    supply.field_T = 0.4
    with pytest.raises(DeviceFault, match="stopped at"):
        guard.poll()


def test_hold_is_tried_again_and_then_says_where_the_magnet_will_go():
    guard, supply, _ = guarded()
    guard.sweep_to(1.0, 1e-3)
    supply.deaf_holds = 2
    guard.hold()
    guard.sweep_to(2.0, 1e-3)
    supply.deaf_holds = 3
    with pytest.raises(CommunicationError, match=r"goes on to \+2\.0000 T"):
        guard.hold()


@pytest.mark.parametrize(
    "wrong",
    [
        {"segments": ()}, {"segments": ((10.0, 6e-3),)}, {"segments": ((15.0, 2e-3), (10.0, 6e-3))}, {"largest_T": math.nan},
        {"tolerance_T": 0.0}, {"voltage_limit_V": 1.0}, {"segments": ((15.0, -1e-3),)},
    ],
)  # fmt: skip
def test_limits_that_are_missing_or_contradict_are_refused(wrong: dict[str, object]):
    given_limits = {name: getattr(LIMITS, name) for name in MagnetLimits.__slots__} | wrong
    with pytest.raises(ConfigError):
        MagnetLimits(**given_limits)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def rig() -> Iterator[tuple[Guard, SMS120C, VirtualClock, Panel]]:
    clock = VirtualClock()
    world = build_world(read_station(reference_station()), clock, seed=1)
    panel = Panel(world, "magnet")
    manager = pyvisa.ResourceManager(VirtualVisaLibrary({"ASRL3::INSTR": panel}, clock))
    resource = manager.open_resource("ASRL3::INSTR")
    link = Link(resource, clock, name="magnet", write_end="\r\n", read_end="\r\n", pause_s=0.2)  # pyright: ignore[reportArgumentType]
    driver = SMS120C(link, "magnet", tesla_per_ampere=0.135)
    driver.check_identity()
    yield Guard(driver, LIMITS, clock), driver, clock, panel
    manager.close()


def arrive(guard: Guard, clock: VirtualClock, limit_s: float = 5000.0) -> None:
    until = clock.now() + limit_s
    while guard.poll().activity is Activity.RAMPING:
        assert clock.now() < until
        clock.sleep(1.0)


def test_a_real_supply_goes_through_zero_to_the_other_sign(rig: tuple[Guard, SMS120C, VirtualClock, Panel]):
    guard, driver, clock, panel = rig
    for target_T in (0.3, -0.3, 0.0, -0.1):
        guard.sweep_to(target_T, 5e-3)
        arrive(guard, clock)
        assert driver.read_field().field_T == pytest.approx(target_T, abs=2e-3)
        clock.sleep(20.0)
        panel.world.advance()
        assert panel.world.magnet.coil_current() * 0.135 == pytest.approx(target_T, abs=1e-3)


def test_a_line_that_the_supply_sends_unasked_never_answers_a_query(rig: tuple[Guard, SMS120C, VirtualClock, Panel]):
    guard, driver, clock, _panel = rig
    guard.sweep_to(0.1, 5e-3)
    arrive(guard, clock)
    visa = driver.link.connection.visalib  # pyright: ignore[reportAttributeAccessIssue]
    session = visa._sessions[driver.link.connection.session]  # pyright: ignore[reportAttributeAccessIssue]
    session.conversation.send(b"10:02:03 UNITS: TESLA\r\n\x13", clock.now())
    with pytest.raises(ReplyError, match="UNITS: TESLA"):
        driver.read_field()
    assert driver.read_status().activity is Activity.HOLDING
    session.conversation.send(b"10:02:03 UNITS: AMPS\r\n\x13", clock.now())
    with pytest.raises(ReplyError):
        _ = driver.rate
    assert driver.read_field().field_T == pytest.approx(0.1, abs=2e-3)


def test_a_unit_that_was_changed_at_the_panel_is_an_error_and_not_another_field(
    rig: tuple[Guard, SMS120C, VirtualClock, Panel],
):
    _guard, driver, _clock, panel = rig
    panel.execute("TESLA ON")
    with pytest.raises(ReplyError, match="TESLA"):
        driver.read_field()


def test_hold_stops_a_real_supply_where_it_is(rig: tuple[Guard, SMS120C, VirtualClock, Panel]):
    guard, driver, clock, _panel = rig
    guard.sweep_to(1.0, 5e-3)
    clock.sleep(20.0)
    guard.hold()
    here = driver.read_field().field_T
    clock.sleep(100.0)
    assert driver.read_field().field_T == here
    assert 0.05 < here < 0.15
    assert guard.describe() == f"The magnet holds at {here:+.4f} T."


def test_a_magnet_driven_past_its_rate_quenches_and_the_guard_says_so(rig: tuple[Guard, SMS120C, VirtualClock, Panel]):
    guard, driver, clock, _panel = rig
    guard.sweep_to(13.0, 6e-3)
    arrive(guard, clock)
    guard.sweep_to(14.0, 2e-3)
    driver.link.query("SET RAMP 5.0")  # a hand at the supply; its voltage limit still allows 8 mT/s, the coil 2
    clock.sleep(10.0)
    with pytest.raises(DeviceFault, match="quench"):
        guard.poll()
    assert "QUENCHED" in guard.describe()


def test_after_a_quench_the_magnet_is_not_moved_again_and_hold_works_once_it_recovered():
    guard, supply, _ = guarded()
    guard.sweep_to(1.0, 1e-3)
    supply.status = SupplyStatus(Activity.QUENCHED, "QUENCH TRIP")
    with pytest.raises(DeviceFault):
        guard.poll()
    supply.status = SupplyStatus(Activity.HOLDING)
    supply.said.clear()
    with pytest.raises(DeviceFault, match="has quenched"):
        guard.sweep_to(0.5, 1e-3)
    assert supply.said == []
    guard.hold()
    assert supply.said == ["hold"]


def test_a_magnet_above_its_limit_may_still_come_down():
    guard, supply, _ = guarded()
    supply.field_T = 15.4
    assert [piece.rate_T_per_s for piece in guard.plan(15.4, 0.0, 6e-3)] == [2e-3, 2e-3, 4e-3, 6e-3]


@pytest.mark.parametrize("start_T", [4e-4, -4e-4, 1.9e-3])
def test_a_reversal_from_almost_zero_still_stops_at_zero(start_T: float):
    guard, _, _ = guarded()
    assert guard.plan(start_T, math.copysign(0.1, -start_T), 1e-3)[0].stop_T == 0.0


def test_a_magnet_that_follows_another_order_is_held():
    guard, supply, _ = guarded()
    guard.sweep_to(0.5, 1e-3)
    supply.status = SupplyStatus(Activity.RAMPING)
    supply.field_T = 0.6
    supply.said.clear()
    with pytest.raises(DeviceFault, match="went past"):
        guard.read_field()
    assert supply.said == ["hold"]


def test_what_a_supply_does_by_itself_is_not_known_before_it_confirmed_anything():
    guard, supply, _ = guarded()
    supply.deaf_holds = 3
    with pytest.raises(CommunicationError, match="is not known"):
        guard.hold()


def test_a_ramp_that_somebody_else_began_is_held_when_the_station_opens_and_nothing_else_is_touched():
    guard, supply, _ = guarded()
    guard.take_over()
    assert supply.said == []
    supply.status = SupplyStatus(Activity.RAMPING)
    guard.take_over()
    assert supply.said == ["hold"]


def test_a_polarity_that_somebody_turned_never_turns_our_field(rig: tuple[Guard, SMS120C, VirtualClock, Panel]):
    guard, driver, clock, panel = rig
    panel.execute("DIRECTION -")
    guard.sweep_to(0.1, 5e-3)
    arrive(guard, clock)
    clock.sleep(20.0)
    panel.world.advance()
    assert panel.world.magnet.field() == pytest.approx(0.1, abs=2e-3)
    assert driver.read_field().field_T == pytest.approx(0.1, abs=2e-3)


def test_a_lost_ramp_order_is_noticed_before_the_magnet_goes_to_an_older_aim(
    rig: tuple[Guard, SMS120C, VirtualClock, Panel], monkeypatch: pytest.MonkeyPatch
):
    guard, _driver, clock, panel = rig
    panel.execute("RAMP MAX")
    real = panel.execute
    monkeypatch.setattr(panel, "execute", lambda command: None if command == "RAMP MID" else real(command))
    with pytest.raises(DeviceFault, match="told to go to"):
        guard.sweep_to(0.1, 5e-3)
    before = panel.world.magnet.lead_current(clock.now())
    assert panel.world.magnet.lead_current(clock.now() + 1e4) == before < 0.1
