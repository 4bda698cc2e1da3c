"""The driver of the Model 430 against its front panel: what it reads, orders, refuses and notices."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.capabilities import Activity, Heater, MagnetPowerSupply
from remanence.core.errors import CommunicationError, ConfigError, DeadlineError, DeviceFault, LimitError, ReplyError
from remanence.instruments.ami import AMI430
from remanence.simulators.ami430 import AMI430 as Panel
from remanence.simulators.magnet import MagnetSettings

from .supply_bench import TRANSPORTS, SupplyBench

# A 6 T coil as AMI makes them: 0.1182 T/A, 50.8 A.
MAGNET = MagnetSettings(0.1182, 10.0, 30.0, 5.0, 0.004, ((40.0, 0.1), (50.8, 0.05)), warm_time_s=20.0, cool_time_s=20.0)
Make = Callable[..., SupplyBench]


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def build(transport: str = "in process", magnet: MagnetSettings = MAGNET, **options: Any) -> SupplyBench:
            ours = {
                "tesla_per_ampere": options.pop("tesla_per_ampere", 0.1182),
                "greeting": options.get("greeting", True),
            }
            return SupplyBench(
                transport, stack, lambda world: Panel(world, "magnet", **options), AMI430, magnet, **ours
            )  # fmt: skip

        yield build


@pytest.fixture
def bench(make: Make) -> SupplyBench:
    bench = make()
    bench.driver.check_identity()
    return bench


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("greeting", [True, False])
@pytest.mark.parametrize("firmware", ["2.50", "2.59", "3.01"])
def test_a_move_ends_where_it_was_told_in_either_sign_and_every_look_is_true(
    make: Make, transport: str, greeting: bool, firmware: str
) -> None:
    bench = make(transport, greeting=greeting, firmware=firmware)
    driver = bench.driver
    assert isinstance(driver, MagnetPowerSupply)
    assert driver.check_identity() == f"AMERICAN MAGNETICS INC.,MODEL 430,SN430006,{firmware}"
    for target_A in (5.0, -4.0, 0.0):
        bench.move(target_A, 0.05)
        reading = driver.watch()
        assert (reading.activity, reading.output_A) == (Activity.HOLDING, target_A)
        assert bench.leads_A == pytest.approx(target_A, abs=1e-9)
        assert bench.coil_A == pytest.approx(target_A, abs=2e-3)
    assert ("inductance" in driver.settings()) is (firmware != "2.50")
    assert "-201" not in driver.inspect().detail


def test_a_look_at_a_ramp_is_four_queries_of_which_two_must_agree(bench: SupplyBench) -> None:
    driver = bench.driver
    driver.set_rate(0.05)
    driver.set_target(-7.0)
    driver.go()
    bench.wait(20.0)
    bench.said.clear()
    reading = driver.watch()
    assert bench.said == ["CURR:SUPP?", "STATE?", "VOLT:SUPP?", "CURR:SUPP?"]
    assert reading.voltage_V == pytest.approx(-0.05 * 10.0 - 0.004, abs=0.01)
    assert reading.activity is Activity.RAMPING
    assert reading.output_A == pytest.approx(bench.world.magnet.lead_current(reading.time_s), abs=0.05 * 0.05)
    assert reading.detail == "STATE 1: ramping"


def test_an_inspection_tells_everything_with_the_output_last(bench: SupplyBench) -> None:
    bench.move(-5.0, 0.1)
    bench.said.clear()
    reading = bench.driver.inspect()
    assert bench.said[-1] == "CURR:SUPP?"
    assert (reading.output_A, reading.set_point_A, reading.rate_A_per_s) == (-5.0, -5.0, 0.1)
    assert reading.voltage_V == pytest.approx(-0.02, abs=1e-3)
    assert (reading.heater, reading.coil_A, reading.remote) == (Heater.ON, None, None)
    assert reading.fingerprint == (
        ("field unit", "kilogauss"), ("rate unit", "seconds"), ("field constant", "1.182"), ("current limit", "50.8"),
        ("voltage limit", "5"), ("ramp segments", "to 50.8"), ("quench detection", "1"), ("persistent switch", "1"), ("power", "on since"),
    )  # fmt: skip


def test_orders_of_ours_leave_the_fingerprint_as_it_is(bench: SupplyBench) -> None:
    before = bench.driver.inspect().fingerprint
    bench.move(5.0, 0.05)
    bench.driver.set_rate(0.01)
    assert bench.driver.inspect().fingerprint == before


@pytest.mark.parametrize("target_A", [math.nan, math.inf, -math.inf, 50.9, -51.0, 1e9])
def test_a_current_that_the_supply_has_not_is_refused_before_a_byte_is_sent(
    bench: SupplyBench, target_A: float
) -> None:
    with bench.silence(), pytest.raises(LimitError, match="Nothing was sent"):
        bench.driver.set_target(target_A)


def test_a_supply_whose_range_is_not_known_yet_is_told_no_current(make: Make) -> None:
    bench = make()
    with bench.silence(), pytest.raises(LimitError):
        bench.driver.set_target(1.0)


@pytest.mark.parametrize("rate", [math.nan, math.inf, 0.0, -0.1, 9e-7, 10.1, 1e30])
def test_a_rate_that_the_supply_has_not_is_refused_before_a_byte_is_sent(bench: SupplyBench, rate: float) -> None:
    with bench.silence(), pytest.raises(LimitError, match="Nothing was sent"):
        bench.driver.set_rate(rate)


def test_a_rate_is_rounded_down_to_the_step_and_never_up(bench: SupplyBench) -> None:
    @settings(deadline=None)
    @given(st.floats(1e-6, 0.5))
    def never_up(rate: float) -> None:
        # The last bit of a float is no rate.
        assert -1e-12 <= rate - bench.driver.set_rate(rate) < 1e-6 * (1 + 1e-6)

    never_up()


@pytest.mark.parametrize("when", ["ramping", "arrived", "zeroing"])
def test_a_set_point_told_at_any_time_moves_nothing(bench: SupplyBench, when: str) -> None:
    bench.move(2.0, 0.1)
    bench.driver.set_target(5.0)
    bench.driver.go()
    bench.wait(10.0 if when != "arrived" else 60.0)
    if when == "zeroing":
        bench.panel.execute("ZERO")
    bench.driver.set_target(8.0)
    before_A = bench.leads_A
    bench.wait(100.0)
    assert bench.leads_A == before_A
    assert bench.driver.watch().activity is Activity.HOLDING


def test_hold_is_allowed_in_every_state(bench: SupplyBench) -> None:
    for state in ("RAMP", "INCR", "DECR", "ZERO", "PAUSE"):
        bench.driver.set_target(5.0)
        bench.panel.execute(state)
        bench.wait(3.0)
        bench.driver.hold()
        before_A = bench.leads_A
        bench.wait(30.0)
        assert bench.leads_A == before_A
    bench.driver.set_heater(False)
    bench.driver.hold()
    bench.wait(30.0)
    bench.world.magnet.quench(bench.clock.now())
    bench.driver.hold()
    assert bench.driver.watch().activity is Activity.QUENCHED


def test_every_segment_gets_the_rate_so_that_none_is_faster(bench: SupplyBench) -> None:
    for command in ("CONF:RAMP:RATE:SEG 2", "CONF:RAMP:RATE:CURR 1,0.1,10", "CONF:RAMP:RATE:CURR 2,0.09,50"):
        bench.panel.execute(command)
    assert dict(bench.driver.inspect().fingerprint)["ramp segments"] == "to 10, to 50.8"
    assert bench.driver.inspect().rate_A_per_s == 0.1
    assert bench.driver.set_rate(0.02) == 0.02
    bench.driver.set_target(20.0)
    bench.driver.go()
    before_A = bench.leads_A
    for _ in range(10):
        bench.wait(100.0)
        assert bench.leads_A - before_A <= 0.02 * 100.5
        before_A = bench.leads_A
    assert dict(bench.driver.inspect().fingerprint)["ramp segments"] == "to 10, to 50.8"


# What somebody does at the front


def test_a_field_unit_changed_at_the_front_is_in_the_fingerprint_and_changes_no_current(bench: SupplyBench) -> None:
    bench.move(5.0, 0.1)
    bench.panel.turn("units", "T")
    reading = bench.driver.inspect()
    assert (reading.output_A, reading.set_point_A, reading.rate_A_per_s) == (5.0, 5.0, 0.1)
    assert (dict(reading.fingerprint)["field unit"], dict(reading.fingerprint)["field constant"]) == ("tesla", "0.1182")
    assert bench.driver.field_constant == pytest.approx(0.1182)
    bench.driver.check_identity()
    bench.move(6.0, 0.1)
    assert bench.leads_A == 6.0


def test_a_rate_unit_changed_at_the_front_is_told_and_no_rate_is_set_in_it(bench: SupplyBench) -> None:
    bench.driver.set_rate(0.05)
    bench.panel.turn("rate units", "min")
    reading = bench.driver.inspect()
    assert reading.rate_A_per_s == pytest.approx(0.05)
    assert dict(reading.fingerprint)["rate unit"] == "minutes"
    with pytest.raises(DeviceFault, match="rates to minutes"):
        bench.driver.set_rate(0.1)
    assert bench.panel.rates[0] == pytest.approx(0.05)
    bench.driver.check_identity()
    assert bench.driver.set_rate(0.1) == 0.1
    assert bench.panel.rates[0] == pytest.approx(0.1)


def test_another_magnets_supply_is_refused_at_opening(bench: SupplyBench) -> None:
    bench.panel.execute("CONF:COIL 1.5")
    with pytest.raises(ConfigError, match=r"0\.15 T/A, the station's 0\.1182 T/A"):
        bench.driver.check_identity()


def test_a_ramp_by_hand_and_a_set_point_from_the_front_are_seen(bench: SupplyBench) -> None:
    bench.panel.execute("INCR")
    bench.wait(1.0)
    assert bench.driver.watch().detail == "STATE 4: ramping up by hand"
    assert bench.driver.watch().activity is Activity.RAMPING
    bench.driver.hold()
    bench.panel.turn("setpoint", "11.82")
    assert bench.driver.inspect().set_point_A == pytest.approx(10.0)
    bench.panel.execute("CONF:RAMPD:ENAB 1")
    bench.panel.turn("rampdown", "ON")
    assert "contact at its back" in bench.driver.watch().detail


def test_every_state_of_the_manual_has_a_meaning_and_no_other_number_has(bench: SupplyBench) -> None:
    seen: dict[int, Activity] = {}
    for number in range(1, 12):
        bench.fault("answer", text=str(number), command="STATE?")
        seen[number] = bench.driver.watch().activity
    assert {n for n, activity in seen.items() if activity is Activity.RAMPING} == {1, 4, 5, 6, 11}
    assert {n for n, activity in seen.items() if activity is Activity.QUENCHED} == {7}
    for text in ("0", "12", "2.0", "", "2,3", "ready"):
        bench.fault("answer", text=text or " ", command="STATE?")
        with pytest.raises(CommunicationError):
            bench.driver.watch()
        assert bench.driver.watch().activity is Activity.HOLDING


# What goes wrong with it


def test_a_quench_is_latched_until_a_person_resets_it(bench: SupplyBench) -> None:
    bench.move(20.0, 0.1)
    bench.world.magnet.quench(bench.clock.now())
    reading = bench.driver.watch()
    assert (reading.activity, reading.output_A) == (Activity.QUENCHED, 0.0)
    assert bench.driver.inspect().activity is Activity.QUENCHED
    with pytest.raises(DeviceFault, match="Quench condition"):
        bench.driver.go()
    bench.wait(10.0)
    assert bench.driver.watch().activity is Activity.QUENCHED
    assert not any(command.upper().startswith("QU 0") for command in bench.said)


@pytest.mark.parametrize(
    "order",
    [
        lambda d: d.set_rate(0.05), lambda d: d.set_target(5.0), lambda d: d.set_heater(True),
        lambda d: d.set_heater(False), lambda d: d.go(),
    ],
)  # fmt: skip
def test_an_order_that_the_supply_refuses_is_a_fault_with_its_words(
    bench: SupplyBench, order: Callable[[Any], object]
) -> None:
    bench.driver.set_target(1.0)
    bench.fault("refused", for_s=5.0)
    error = bench.error_of(lambda: order(bench.driver))
    assert isinstance(error, DeviceFault)
    assert "-301 Heating switch" in str(error)
    bench.wait(60.0)
    assert bench.leads_A == 0.0


def test_a_hold_that_the_supply_does_not_do_is_a_fault(bench: SupplyBench) -> None:
    bench.driver.set_target(5.0)
    bench.driver.go()
    bench.fault("ignored", command="PAUSE")
    with pytest.raises(DeviceFault, match="told to pause, the supply is ramping"):
        bench.driver.hold()
    bench.driver.hold()


def test_orders_that_were_not_heard_are_seen_in_what_is_read_back(bench: SupplyBench) -> None:
    bench.driver.set_target(2.0)
    bench.driver.set_rate(0.02)
    bench.fault("ignored", command="CONF:RAMP:RATE:CURR")
    assert bench.driver.set_rate(0.05) == 0.02
    bench.fault("ignored", command="CONF:CURR:TARG")
    assert bench.driver.set_target(5.0) == 2.0
    bench.fault("ignored", command="RAMP")
    with pytest.raises(DeviceFault, match="the supply is paused"):
        bench.driver.go()
    assert bench.leads_A == 0.0


def test_a_full_error_queue_is_told_and_cleared_and_the_next_order_is_taken(bench: SupplyBench) -> None:
    bench.panel.fill_errors()
    detail = bench.driver.inspect().detail
    assert "-304 Error buffer overflow" in detail
    assert bench.driver.set_target(2.0) == 2.0
    bench.panel.fill_errors()
    with pytest.raises(DeviceFault, match="-304 Error buffer overflow"):
        bench.driver.set_rate(0.02)
    assert bench.driver.set_rate(0.02) == 0.02
    bench.panel.fill_errors()
    bench.driver.hold()  # held is held, whoever's errors wait
    assert "error" not in bench.driver.inspect().detail


def test_an_error_queue_that_never_empties_is_an_error_and_no_endless_loop(bench: SupplyBench) -> None:
    bench.fault("answer", text='-420,"Query unterminated"', command="SYST:ERR?", for_s=1000.0)
    with pytest.raises(ReplyError, match="no end"):
        bench.driver.set_target(2.0)


def test_a_supply_that_was_off_for_a_moment_says_so_by_its_set_point_and_heater(bench: SupplyBench) -> None:
    bench.driver.set_target(20.0)
    bench.driver.go()
    bench.wait(100.0)
    bench.panel.power_cycle()
    for _ in range(2):
        after = bench.driver.inspect()
        assert (after.activity, after.set_point_A, after.heater) == (Activity.HOLDING, 0.0, Heater.OFF)
        assert after.output_A == pytest.approx(bench.leads_A, abs=1e-6)
        assert dict(after.fingerprint)["power"] == "was off since the station was opened"
        bench.driver.check_identity()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_greeting_that_never_comes_ends_the_opening_with_an_error(make: Make, transport: str) -> None:
    bench = make(transport, greeting=False)
    bench.driver.check_identity()
    silent = make(transport, greeting=True)
    silent.panel.greeting = b""
    if transport == "in process":
        for conversation in silent.panel.conversations:
            conversation.outgoing.clear()
        with pytest.raises(CommunicationError, match="greet"):
            silent.driver.check_identity()


@pytest.mark.parametrize("text", ["5.0,", "+9.9E37", "NAN", "5.0A", "1.0E", ""])
def test_a_current_that_is_no_whole_number_is_an_error_and_no_current(bench: SupplyBench, text: str) -> None:
    bench.fault("answer" if text else "empty", command="CURR:SUPP?", **({"text": text} if text else {}))
    with pytest.raises(CommunicationError):
        bench.driver.watch()
    assert bench.driver.watch().output_A == 0.0


def test_a_current_that_lost_digits_is_no_current(bench: SupplyBench) -> None:
    bench.move(12.3456, 0.1)
    errors = 0
    for _ in range(40):
        bench.fault("short", command="CURR:SUPP?")
        try:
            assert bench.driver.watch().output_A == 12.3456
        except ReplyError as error:
            assert "when it was asked again" in str(error)
            errors += 1
    assert errors > 20
    bench.driver.set_rate(0.01)
    bench.driver.set_target(40.0)
    bench.driver.go()
    bench.wait(900.0)
    # In a ramp the two may differ by the way between them, three deadlines long: no leading digit passes.
    for text in ("2.3", "21", "", "-21.3", "31.34"):
        bench.fault("answer", text=text or "0", command="CURR:SUPP?")
        with pytest.raises(ReplyError, match="when it was asked again"):
            bench.driver.watch()
        reading = bench.driver.watch()
        assert reading.output_A == pytest.approx(bench.world.magnet.lead_current(reading.time_s), abs=1e-3)


def test_a_quench_between_two_looks_is_told_as_a_quench(bench: SupplyBench) -> None:
    bench.move(20.0, 0.1)
    bench.fault("answer", text="20", command="CURR:SUPP?")
    bench.world.magnet.quench(bench.clock.now())
    reading = bench.driver.watch()
    assert (reading.activity, reading.output_A) == (Activity.QUENCHED, 0.0)


def test_a_line_that_goes_dead_in_a_look_gives_no_reading(bench: SupplyBench) -> None:
    bench.move(2.0, 0.1)
    bench.fault("lost", command="CURR:SUPP?")
    with pytest.raises(DeadlineError):
        bench.driver.watch()
    assert bench.driver.watch().output_A == 2.0


# The switch


def test_the_heater_is_ordered_and_the_supply_remembers_the_coils_current(bench: SupplyBench) -> None:
    bench.move(-8.0, 0.1)
    bench.driver.hold()
    bench.driver.set_heater(False)
    assert bench.driver.watch().detail == "STATE 10: cooling the switch"
    assert bench.driver.watch().heater is Heater.OFF
    bench.wait(60.0)
    reading = bench.driver.inspect()
    assert (reading.heater, reading.coil_A) == (Heater.OFF, -8.0)
    assert "persistent" in reading.detail
    # The leads alone, at a rate of their own.
    assert bench.driver.set_rate(0.5) == 0.5
    bench.move(0.0, 0.5)
    reading = bench.driver.inspect()
    assert (reading.output_A, reading.coil_A, reading.rate_A_per_s) == (0.0, -8.0, 0.5)
    assert bench.coil_A == pytest.approx(-8.0, abs=1e-3)
    bench.move(-8.0, 0.5)
    bench.driver.hold()
    bench.driver.set_heater(True)
    assert bench.driver.watch().heater is Heater.ON
    with pytest.raises(DeviceFault, match="Heating switch"):
        bench.driver.go()
    bench.wait(60.0)
    reading = bench.driver.inspect()
    assert (reading.heater, reading.coil_A) == (Heater.ON, None)
    assert not bench.world.magnet.quenched
    # The coil's rate is what it was: the leads' is forgotten with the cold switch.
    assert reading.rate_A_per_s == 0.1


def test_a_magnet_without_a_switch_says_so_and_refuses_a_heater(make: Make) -> None:
    bench = make(magnet=replace(MAGNET, switch_fitted=False))
    bench.driver.check_identity()
    assert bench.driver.inspect().heater is Heater.ABSENT
    with pytest.raises(DeviceFault, match="No switch installed"):
        bench.driver.set_heater(True)


def test_a_heater_that_does_not_do_as_it_was_told_is_a_fault(bench: SupplyBench) -> None:
    bench.fault("ignored", command="PS 0")
    with pytest.raises(DeviceFault, match="told to be off and is not"):
        bench.driver.set_heater(False)


# Options and settings


@pytest.mark.parametrize("constant", [0.0, math.nan, -0.1, math.inf])
def test_options_that_make_no_sense_are_refused_without_a_byte(make: Make, constant: float) -> None:
    with pytest.raises(ConfigError):
        make(tesla_per_ampere=constant)


def test_the_settings_of_a_run_are_read_and_nothing_is_moved(bench: SupplyBench) -> None:
    bench.said.clear()
    assert bench.driver.settings() == {
        "field_constant": pytest.approx(0.1182), "current_limit": 50.8, "voltage_limit": 5.0, "segments": 1, "target": 0.0,
        "quench_detection": True, "switch_fitted": True, "heating_time": 20.0, "cooling_time": 20.0,
        "tesla_per_ampere": 0.1182,
    }  # fmt: skip
    assert all(command.endswith("?") for command in bench.said)
