"""The driver of the SMS supplies against their front panel: what it reads, orders, refuses and notices."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.capabilities import Activity, Heater, MagnetPowerSupply
from remanence.core.errors import ConfigError, DeadlineError, DeviceFault, LimitError, ReplyError
from remanence.instruments import cryogenic
from remanence.simulators import cryogenic as panels
from remanence.simulators.magnet import MagnetSettings

from .supply_bench import TRANSPORTS, SupplyBench

# The 12 T magnet of the QCoDeS driver's authors: 105.84 A.
MAGNET = MagnetSettings(0.113375, 30.0, 50.0, 3.5, 0.004, ((105.84, 0.12),), warm_time_s=20.0)
SMALL = replace(MAGNET, segments=((9.9, 0.12),))
Make = Callable[..., SupplyBench]


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def build(transport: str = "in process", model: str = "SMS120C", **options: Any) -> SupplyBench:
            kind, panel = getattr(cryogenic, model), getattr(panels, model)
            ours = {key: options.pop(key) for key in ("tesla_per_ampere", "pause_replies") if key in options}
            magnet = SMALL if model == "SMS10C" else MAGNET
            return SupplyBench(
                transport, stack, lambda world: panel(world, "magnet", **options), kind, magnet,
                **({"tesla_per_ampere": 0.113375} | ours),
            )  # fmt: skip

        yield build


@pytest.fixture
def bench(make: Make) -> SupplyBench:
    bench = make()
    bench.driver.check_identity()
    return bench


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("model", ["SMS120C", "SMS60C", "SMS10C"])
def test_a_move_ends_where_it_was_told_in_either_sign_and_every_look_is_true(
    make: Make, transport: str, model: str
) -> None:
    bench = make(transport, model)
    driver = bench.driver
    assert isinstance(driver, MagnetPowerSupply)
    assert driver.check_identity() == f"Cryogenic {model}, field constant 0.113375 T/A"
    for target_A in (5.0, 0.0, -4.0):
        bench.move(target_A, 0.1)
        reading = driver.watch()
        assert (reading.activity, reading.output_A) == (Activity.HOLDING, target_A)
        assert bench.leads_A == pytest.approx(target_A, abs=1e-9)
        assert bench.coil_A == pytest.approx(target_A, abs=2e-3)


def test_a_look_at_a_ramp_tells_where_it_goes_and_how_fast_in_two_queries(bench: SupplyBench) -> None:
    driver = bench.driver
    driver.set_rate(0.05)
    driver.set_target(-7.0)
    driver.go()
    bench.wait(20.0)
    driver.watch()
    bench.said.clear()
    reading = driver.watch()
    assert bench.said == ["RAMP STATUS", "GET OUTPUT"]
    assert (reading.activity, reading.set_point_A, reading.rate_A_per_s) == (Activity.RAMPING, -7.0, 0.05)
    assert reading.output_A == pytest.approx(bench.world.magnet.lead_current(reading.time_s), abs=0.05 * 0.1)
    assert reading.voltage_V == pytest.approx(-0.05 * 30.0 - 0.004 * 1.1, abs=0.01)
    assert (reading.fingerprint, reading.heater, reading.coil_A, reading.remote) == (None, None, None, None)


def test_an_inspection_tells_everything_with_the_output_last(bench: SupplyBench) -> None:
    bench.move(-5.0, 0.1)
    bench.said.clear()
    reading = bench.driver.inspect()
    assert bench.said[-2:] == ["RAMP STATUS", "GET OUTPUT"]
    assert bench.clock.now() - reading.time_s < 0.5
    assert (reading.output_A, reading.set_point_A, reading.rate_A_per_s) == (-5.0, -5.0, 0.1)
    assert (reading.heater, reading.coil_A, reading.remote) == (Heater.ON, None, None)
    assert reading.fingerprint == (
        ("units", "AMPS"), ("field constant", "0.113375 T/A"), ("voltage limit", "3.5 VOLTS"),
        ("largest set point", "120.0000 AMPS"), ("heater output", "3.8 VOLTS"),
    )  # fmt: skip


@pytest.mark.parametrize("target_A", [math.nan, math.inf, -math.inf, 120.01, -121.0, 1e9])
def test_a_current_that_the_supply_has_not_is_refused_before_a_byte_is_sent(
    bench: SupplyBench, target_A: float
) -> None:
    with bench.silence(), pytest.raises(LimitError, match="Nothing was sent"):
        bench.driver.set_target(target_A)


@pytest.mark.parametrize("rate", [math.nan, math.inf, 0.0, -0.1, 9e-5, 12.1, 1e30])
def test_a_rate_that_the_supply_has_not_is_refused_before_a_byte_is_sent(bench: SupplyBench, rate: float) -> None:
    with bench.silence(), pytest.raises(LimitError, match="Nothing was sent"):
        bench.driver.set_rate(rate)


@pytest.mark.parametrize("model", ["SMS120C", "SMS60C", "SMS10C"])
def test_a_rate_is_rounded_down_to_the_step_and_never_up(make: Make, model: str) -> None:
    bench = make(model=model)
    step = bench.driver.rate_step_A_per_s

    @settings(deadline=None)
    @given(st.floats(step, 0.5))
    def never_up(rate: float) -> None:
        # The last bit of a float is no rate.
        assert -1e-12 <= rate - bench.driver.set_rate(rate) < step * (1 + 1e-6)

    never_up()


@pytest.mark.parametrize("when", ["ramping", "arrived"])
def test_a_set_point_told_at_any_time_moves_nothing(bench: SupplyBench, when: str) -> None:
    bench.move(2.0, 0.1)
    bench.driver.set_target(5.0)
    bench.driver.go()
    bench.wait(10.0 if when == "ramping" else 60.0)
    bench.driver.set_target(8.0)
    before_A = bench.leads_A
    bench.wait(100.0)
    assert bench.leads_A == before_A
    assert bench.driver.watch().activity is Activity.HOLDING


def test_hold_is_allowed_in_every_state(bench: SupplyBench) -> None:
    bench.driver.set_target(5.0)
    bench.driver.go()
    bench.wait(100.0)
    bench.driver.hold()
    before_A = bench.leads_A
    bench.panel.execute("TESLA ON")
    bench.driver.hold()
    bench.wait(100.0)
    assert bench.leads_A == before_A > 0.5
    bench.world.magnet.quench(bench.clock.now())
    bench.driver.hold()
    assert bench.driver.watch().activity is Activity.QUENCHED


# What somebody does at the front


def test_a_unit_changed_at_the_front_is_told_at_the_next_look_and_is_never_another_current(bench: SupplyBench) -> None:
    bench.move(-5.0, 0.1)
    bench.panel.execute("TESLA ON")
    for look in (bench.driver.watch, bench.driver.inspect):
        reading = look()
        assert reading.output_A == pytest.approx(-5.0, abs=1e-4)
        assert reading.set_point_A == pytest.approx(-5.0, abs=1e-4)
        assert dict(reading.fingerprint)["units"] == "TESLA"


def test_no_set_point_goes_into_the_wrong_unit_unnoticed(bench: SupplyBench) -> None:
    bench.panel.execute("TESLA ON")
    with pytest.raises(ReplyError, match="TESLA"):
        bench.driver.set_target(5.0)
    with pytest.raises(ReplyError, match="TESLA"):
        bench.driver.go()
    bench.wait(100.0)
    assert bench.leads_A == 0.0
    bench.driver.check_identity()
    assert bench.driver.set_target(5.0) == 5.0


def test_a_field_constant_changed_at_the_front_is_in_the_fingerprint_and_refused_at_opening(bench: SupplyBench) -> None:
    bench.panel.execute("SET TPA 0.2")
    assert dict(bench.driver.inspect().fingerprint)["field constant"] == "0.200000 T/A"
    with pytest.raises(ConfigError, match=r"constant is 0\.2 T/A, the station\'s 0\.113375 T/A"):
        bench.driver.check_identity()


def test_a_key_pressed_at_the_front_never_answers_a_query(bench: SupplyBench) -> None:
    bench.move(3.0, 0.1)
    bench.panel.turn("rate", "0.05")
    for _ in range(3):
        try:
            assert bench.driver.watch().output_A == 3.0
        except ReplyError as error:
            assert "RAMP RATE" in str(error)
    assert bench.driver.watch().output_A == 3.0


def test_a_relay_turned_at_the_front_turns_the_sign_of_the_next_look(bench: SupplyBench) -> None:
    bench.move(3.0, 0.1)
    bench.move(0.0, 0.1)
    assert bench.driver.watch().output_A == 0.0
    for command in ("DIRECTION -", "SET MID 6", "PAUSE OFF"):
        bench.panel.execute(command)
    bench.wait(10.0)
    reading = bench.driver.watch()
    assert reading.output_A == pytest.approx(bench.world.magnet.lead_current(reading.time_s), abs=0.02)
    assert reading.output_A < -0.5
    assert reading.set_point_A == -6.0


def test_an_open_relay_is_closed_before_a_set_point_is_told(bench: SupplyBench) -> None:
    bench.panel.execute("DIRECTION 0")
    assert bench.driver.inspect().output_A == 0.0
    bench.move(3.0, 0.1)
    assert bench.leads_A == 3.0


def test_a_relay_that_cannot_move_is_a_fault_and_nothing_moves(bench: SupplyBench) -> None:
    bench.move(3.0, 0.1)
    with pytest.raises(DeviceFault, match="did not change sign"):
        bench.driver.set_target(-3.0)
    bench.wait(60.0)
    assert bench.leads_A == 3.0


# What goes wrong with it


def test_a_quench_and_an_external_trip_are_told_apart(bench: SupplyBench) -> None:
    bench.move(20.0, 0.1)
    bench.panel.turn("trip", "ON")
    reading = bench.driver.watch()
    assert reading.activity is Activity.FAULT
    assert "EXTERNAL TRIP AT 20.0000 AMPS" in reading.detail
    bench.panel.turn("trip", "OFF")
    bench.world.magnet.quench(bench.clock.now())
    reading = bench.driver.watch()
    assert (reading.activity, reading.output_A) == (Activity.QUENCHED, 0.0)
    assert "QUENCH TRIP" in bench.driver.inspect().detail
    with pytest.raises(DeviceFault, match="QUENCH TRIP"):
        bench.driver.go()


def test_a_supply_that_was_off_for_a_moment_has_no_constant_and_another_set_point(bench: SupplyBench) -> None:
    bench.driver.set_target(20.0)
    bench.driver.go()
    bench.wait(100.0)
    before = bench.driver.inspect()
    bench.panel.power_cycle()
    after = bench.driver.inspect()
    assert (after.activity, after.output_A) == (Activity.HOLDING, pytest.approx(bench.leads_A, abs=1e-4))
    assert dict(after.fingerprint)["field constant"] == "none entered" != dict(before.fingerprint)["field constant"]
    assert (after.set_point_A, after.rate_A_per_s) == (0.0, 0.01)
    with pytest.raises(DeviceFault, match="No field constant has been entered"):
        bench.driver.check_identity()


@pytest.mark.parametrize(
    "order",
    [
        lambda d: d.hold(), lambda d: d.set_rate(0.05), lambda d: d.set_target(5.0), lambda d: d.set_heater(True),
        lambda d: d.set_heater(False),
    ],
)  # fmt: skip
def test_an_order_that_the_supply_refuses_is_a_fault_with_its_words(
    bench: SupplyBench, order: Callable[[Any], object]
) -> None:
    bench.driver.set_target(1.0)
    bench.fault("refused", for_s=5.0)
    error = bench.error_of(lambda: order(bench.driver))
    assert isinstance(error, DeviceFault)
    assert "Command refused" in str(error)
    bench.wait(60.0)
    assert bench.leads_A == 0.0


@pytest.mark.parametrize("command", ["RAMP MID", "PAUSE OFF"])
def test_a_go_that_the_supply_refuses_is_an_error_and_moves_nothing(bench: SupplyBench, command: str) -> None:
    bench.driver.set_target(5.0)
    bench.fault("refused", command=command)
    error = bench.error_of(bench.driver.go)
    # The complaint about RAMP, which is never answered, may come in the midst of the next reply.
    assert isinstance(error, DeviceFault if command == "PAUSE OFF" else DeviceFault | ReplyError)
    bench.driver.hold()
    assert bench.leads_A < 0.1


def test_a_refusal_of_a_set_point_beyond_the_supplys_own_limit_is_a_fault(bench: SupplyBench) -> None:
    bench.panel.execute("SET MAX 50")
    with pytest.raises(DeviceFault, match="Value out of range"):
        bench.driver.set_target(60.0)


def test_orders_acknowledged_and_not_done_are_seen_in_what_is_read_back(bench: SupplyBench) -> None:
    bench.driver.set_target(2.0)
    bench.driver.set_rate(0.02)
    bench.fault("ignored", command="SET RAMP")
    assert bench.driver.set_rate(0.05) == 0.02
    bench.fault("ignored", command="SET MID")
    assert bench.driver.set_target(5.0) == 2.0


@pytest.mark.parametrize("lost", ["RAMP MID", "PAUSE OFF"])
def test_a_go_that_was_not_taken_is_a_fault_and_the_magnet_is_held(bench: SupplyBench, lost: str) -> None:
    bench.panel.execute("RAMP MAX")
    bench.driver.set_target(5.0)
    bench.fault("ignored", command=lost)
    with pytest.raises(DeviceFault, match=r"told to go to 5\.0000 A"):
        bench.driver.go()
    before_A = bench.leads_A
    bench.wait(100.0)
    assert bench.leads_A == before_A < 0.1


def test_a_line_that_goes_dead_in_a_look_gives_no_reading(bench: SupplyBench) -> None:
    bench.move(2.0, 0.1)
    bench.fault("lost", command="GET OUTPUT")
    with pytest.raises(DeadlineError):
        bench.driver.watch()
    bench.fault("short", command="GET OUTPUT")
    with pytest.raises(ReplyError):
        bench.driver.watch()
    assert bench.driver.watch().output_A == 2.0


def test_a_current_that_lost_a_digit_is_no_current(bench: SupplyBench) -> None:
    bench.move(25.0, 0.1)
    for text in ("........ OUTPUT: 5.0000 AMPS AT 0.10 VOLTS", "........ OUTPUT: 2.0000 AMPS AT 0.10 VOLTS"):
        bench.fault("answer", text=text, command="GET OUTPUT")
        with pytest.raises(ReplyError, match="while HOLDING ON TARGET AT 25"):
            bench.driver.watch()
    assert bench.driver.watch().output_A == 25.0


# The switch


def test_the_heater_is_ordered_and_the_kept_current_is_told_with_the_relays_sign(bench: SupplyBench) -> None:
    bench.move(-8.0, 0.1)
    bench.driver.set_heater(False)
    bench.wait(60.0)
    reading = bench.driver.inspect()
    assert (reading.heater, reading.coil_A) == (Heater.OFF, -8.0)
    assert "SWITCHED OFF AT 8.0000 AMPS" in reading.detail
    bench.move(0.0, 0.5)
    reading = bench.driver.inspect()
    assert (reading.output_A, reading.coil_A) == (0.0, -8.0)
    assert bench.coil_A == pytest.approx(-8.0, abs=1e-3)
    bench.move(-8.0, 0.5)
    bench.driver.set_heater(True)
    bench.wait(60.0)
    reading = bench.driver.inspect()
    assert (reading.heater, reading.coil_A) == (Heater.ON, None)
    assert not bench.world.magnet.quenched
    assert "GET PER" not in bench.said


def test_a_heater_that_does_not_do_as_it_was_told_is_a_fault(bench: SupplyBench) -> None:
    bench.fault("refused", command="HEATER", text="00:00:01 HEATER STATUS: ON")
    with pytest.raises(DeviceFault, match="told 'HEATER OFF'"):
        bench.driver.set_heater(False)


# Ways in which supplies differ


@pytest.mark.parametrize("options", [{"head": "time"}, {"head": "both"}, {"xon_first": True}, {"talkative": True}])
def test_every_way_that_supplies_were_seen_to_answer_in_is_understood(make: Make, options: dict[str, Any]) -> None:
    bench = make(**options, pause_replies=2 if "talkative" in options else 1)
    bench.driver.check_identity()
    bench.move(2.0, 0.1)
    bench.move(0.0, 0.1)
    bench.move(-3.0, 0.1)
    assert bench.driver.inspect().output_A == bench.leads_A == -3.0


def test_a_second_line_that_nobody_told_of_never_becomes_another_reading(make: Make) -> None:
    bench = make(talkative=True)
    bench.driver.check_identity()
    bench.driver.set_rate(0.1)
    values: list[float] = []
    for _ in range(20):
        bench.error_of(lambda: bench.driver.set_target(5.0))
        bench.error_of(bench.driver.go)
        bench.wait(5.0)
        for _ in range(3):
            true_A = bench.leads_A
            try:
                values.append(bench.driver.watch().output_A - true_A)
            except ReplyError:
                continue
    assert values
    assert max(abs(value) for value in values) < 0.1 * 1.5


@pytest.mark.parametrize(
    "options",
    [{"tesla_per_ampere": 0.0}, {"tesla_per_ampere": math.nan}, {"tesla_per_ampere": -0.1}, {"pause_replies": 3}],
)
def test_options_that_make_no_sense_are_refused_without_a_byte(make: Make, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make(**options)


def test_the_settings_of_a_run_are_read_and_nothing_is_moved(bench: SupplyBench) -> None:
    bench.said.clear()
    assert bench.driver.settings() == {
        "field_constant": 0.113375, "voltage_limit": 3.5, "heater_output": 3.8, "units": "AMPS", "rate": 0.01,
        "tesla_per_ampere": 0.113375,
    }  # fmt: skip
    assert not any(bench.panel.changes(command) for command in bench.said)
