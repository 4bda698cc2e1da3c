"""The driver of the 4G against its front panel: what it reads, orders, refuses and notices."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.capabilities import Activity, Heater, MagnetPowerSupply
from remanence.core.errors import CommunicationError, ConfigError, DeadlineError, DeviceFault, LimitError
from remanence.instruments.cryomagnetics import Model4G
from remanence.simulators.cryomagnetics import Model4G as Panel
from remanence.simulators.magnet import MagnetSettings

from .supply_bench import TRANSPORTS, SupplyBench

# A 9 T coil at 95 A.
MAGNET = MagnetSettings(
    0.095, 10.0, 30.0, 5.0, 0.004, ((60.0, 0.1), (80.0, 0.05), (95.0, 0.02)), warm_time_s=20.0, cool_time_s=20.0
)
OURS = ("tesla_per_ampere", "largest_A", "channel")
Make = Callable[..., SupplyBench]


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def build(transport: str = "in process", **options: Any) -> SupplyBench:
            ours = {"tesla_per_ampere": 0.095, "echo": options.get("echo", False)}
            ours |= {key: options.pop(key) for key in OURS if key in options}
            return SupplyBench(
                transport, stack, lambda world: Panel(world, "magnet", **options), Model4G, MAGNET, **ours
            )  # fmt: skip

        yield build


@pytest.fixture
def bench(make: Make) -> SupplyBench:
    bench = make()
    bench.driver.check_identity()
    return bench


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "options",
    [{}, {"units": "A"}, {"needs_remote": True}, {"echo": True}, {"channel": 1}, {"channel": 1, "echo": True}],
)
def test_a_move_ends_where_it_was_told_in_either_sign_and_every_look_is_true(
    make: Make, transport: str, options: dict[str, Any]
) -> None:
    bench = make(transport, **options)
    driver = bench.driver
    assert isinstance(driver, MagnetPowerSupply)
    assert driver.check_identity() == "Cryomagnetics,4G,2245,1.02,208"
    for target_A in (5.0, -4.0, -2.0, -2.0, 0.0):
        bench.move(target_A, 0.05)
        reading = driver.watch()
        assert (reading.activity, reading.output_A) == (Activity.HOLDING, target_A)
        assert bench.leads_A == pytest.approx(target_A, abs=1e-9)
        assert bench.coil_A == pytest.approx(target_A, abs=2e-3)


def test_a_look_at_a_ramp_is_one_line(bench: SupplyBench) -> None:
    driver = bench.driver
    driver.set_rate(0.05)
    driver.set_target(-7.0)
    driver.go()
    bench.wait(20.0)
    bench.said.clear()
    reading = driver.watch()
    assert bench.said == ["*STB?;IOUT?;SWEEP?;VOUT?"]
    assert (reading.activity, reading.fingerprint) == (Activity.RAMPING, None)
    assert reading.voltage_V == pytest.approx(-0.05 * 10.0 - 0.004, abs=0.01)
    assert reading.output_A == pytest.approx(bench.world.magnet.lead_current(reading.time_s), abs=0.05 * 0.05)


def test_an_inspection_tells_everything_with_the_output_last(bench: SupplyBench) -> None:
    bench.move(-5.0, 0.1)
    bench.said.clear()
    reading = bench.driver.inspect()
    assert bench.said[-1] == "*STB?;IOUT?;SWEEP?;VOUT?"
    assert (reading.output_A, reading.set_point_A, reading.rate_A_per_s) == (-5.0, -5.0, 0.1)
    assert (reading.voltage_V, reading.heater, reading.coil_A) == (-0.02, Heater.ON, None)
    assert reading.fingerprint == (
        ("units", "A"), ("voltage limit", "5 V"),
        ("rate ranges", "to 60 A, to 80 A, to 95 A, to 100 A, to 100 A"), ("power", "on since"),
    )  # fmt: skip


def test_orders_of_ours_leave_the_fingerprint_as_it_is(bench: SupplyBench) -> None:
    before = bench.driver.inspect().fingerprint
    bench.move(5.0, 0.05)
    bench.driver.set_rate(0.01)
    assert bench.driver.inspect().fingerprint == before


@pytest.mark.parametrize("target_A", [math.nan, math.inf, -math.inf, 100.01, -101.0, 1e9])
def test_a_current_that_the_supply_has_not_is_refused_before_a_byte_is_sent(
    bench: SupplyBench, target_A: float
) -> None:
    with bench.silence(), pytest.raises(LimitError, match="Nothing was sent"):
        bench.driver.set_target(target_A)


@pytest.mark.parametrize("rate", [math.nan, math.inf, 0.0, -0.1, 9e-5, 100.1, 1e30])
def test_a_rate_that_the_supply_has_not_is_refused_before_a_byte_is_sent(bench: SupplyBench, rate: float) -> None:
    with bench.silence(), pytest.raises(LimitError, match="Nothing was sent"):
        bench.driver.set_rate(rate)


def test_a_rate_is_rounded_down_to_the_step_and_never_up(bench: SupplyBench) -> None:
    @settings(deadline=None)
    @given(st.floats(1e-4, 0.5))
    def never_up(rate: float) -> None:
        # The last bit of a float is no rate.
        assert -1e-12 <= rate - bench.driver.set_rate(rate) < 1e-4 * (1 + 1e-6)

    never_up()


@pytest.mark.parametrize("when", ["ramping", "arrived", "zeroing"])
def test_a_set_point_told_at_any_time_moves_nothing(bench: SupplyBench, when: str) -> None:
    bench.move(2.0, 0.1)
    bench.driver.set_target(5.0)
    bench.driver.go()
    bench.wait(10.0 if when != "arrived" else 60.0)
    if when == "zeroing":
        bench.panel.execute("SWEEP ZERO")
    bench.driver.set_target(8.0)
    before_A = bench.leads_A
    bench.wait(100.0)
    assert bench.leads_A == before_A
    assert bench.driver.watch().activity is Activity.HOLDING


@pytest.mark.parametrize(("start_A", "target_A"), [(10.0, 20.0), (10.0, 4.0), (-10.0, -4.0), (-10.0, 5.0), (3.0, -8.0)])
@pytest.mark.parametrize("sweep", ["UP", "DOWN", "UP FAST", "DOWN FAST"])
def test_once_a_set_point_is_told_no_sweep_leaves_the_stretch_to_it_nor_goes_faster(
    bench: SupplyBench, start_A: float, target_A: float, sweep: str
) -> None:
    for command in ("ULIM 90", "LLIM -90"):
        bench.panel.execute(command)
    bench.move(start_A, 0.1)
    bench.driver.set_rate(0.05)
    bench.driver.set_target(target_A)
    bench.panel.execute(f"SWEEP {sweep}")
    low_A, high_A = sorted((start_A, target_A))
    before_A = bench.leads_A
    for _ in range(20):
        bench.wait(30.0)
        now_A = bench.leads_A
        assert low_A - 1e-4 <= now_A <= high_A + 1e-4
        assert abs(now_A - before_A) <= 0.05 * 30.1
        before_A = now_A
    assert not bench.world.magnet.quenched


def test_a_go_ends_the_fast_mode_that_somebody_left_on(bench: SupplyBench) -> None:
    bench.panel.execute("SWEEP UP FAST")
    bench.driver.set_rate(0.05)
    bench.driver.set_target(20.0)
    bench.driver.go()
    bench.panel.execute("RATE 5 5")
    before_A = bench.leads_A
    bench.wait(10.0)
    assert bench.leads_A - before_A == pytest.approx(0.5, abs=1e-6)


def test_the_lower_limit_is_never_above_the_upper_one(bench: SupplyBench) -> None:
    limits = {"ULIM": 0.0, "LLIM": 0.0}
    for target_A in (20.0, 30.0, 5.0, -5.0, -30.0, -20.0, 0.0):
        bench.said.clear()
        bench.move(target_A, 0.1)
        for word, _, number in (line.partition(" ") for line in bench.said):
            if word in limits:
                limits[word] = float(number)
                assert limits["LLIM"] <= limits["ULIM"]


def test_hold_is_allowed_in_every_state(bench: SupplyBench) -> None:
    for sweep in ("UP", "DOWN", "ZERO", "UP FAST", "PAUSE"):
        for command in ("ULIM 20", "LLIM -20", "RATE 5 0.1", f"SWEEP {sweep}"):
            bench.panel.execute(command)
        bench.wait(3.0)
        bench.driver.hold()
        before_A = bench.leads_A
        bench.wait(30.0)
        assert bench.leads_A == before_A
    bench.panel.execute("UNITS G")
    bench.driver.hold()
    bench.world.magnet.quench(bench.clock.now())
    bench.driver.hold()
    assert bench.driver.watch().activity is Activity.QUENCHED


# What somebody does at the front


def test_a_unit_changed_at_the_front_is_told_at_the_next_look_and_is_never_another_current(bench: SupplyBench) -> None:
    bench.move(-5.0, 0.1)
    bench.panel.turn("units", "G")
    for look in (bench.driver.watch, bench.driver.inspect):
        reading = look()
        assert reading.output_A == pytest.approx(-5.0, abs=1e-4)
        assert reading.set_point_A == pytest.approx(-5.0, abs=1e-4)
        assert dict(reading.fingerprint)["units"] == "kG"


def test_no_limit_goes_into_the_wrong_unit(bench: SupplyBench) -> None:
    bench.panel.turn("units", "G")
    with pytest.raises(DeviceFault, match="unit to kG"):
        bench.driver.set_target(5.0)
    assert not any(line.startswith(("ULIM ", "LLIM ")) for line in bench.said)
    bench.driver.check_identity()
    assert bench.driver.set_target(5.0) == 5.0


def test_the_field_constant_is_compared_where_the_supply_comes_in_gauss(make: Make) -> None:
    bench = make(tesla_per_ampere=0.1)
    bench.panel.execute("ULIM 85.5")
    with pytest.raises(ConfigError, match=r"constant is 0\.095 T/A, the station's 0\.1 T/A"):
        bench.driver.check_identity()
    assert bench.leads_A == 0.0


def test_a_limit_changed_at_the_front_is_seen_before_and_after_the_go(bench: SupplyBench) -> None:
    bench.driver.set_target(5.0)
    bench.panel.turn("setpoint", "8")
    assert bench.driver.inspect().set_point_A == 8.0
    bench.driver.go()
    bench.panel.turn("pause", "ON")
    assert bench.driver.watch().activity is Activity.HOLDING


def test_a_sweep_before_any_set_point_of_ours_is_refused(bench: SupplyBench) -> None:
    bench.panel.execute("ULIM 50")
    with pytest.raises(DeviceFault, match="no set point"):
        bench.driver.go()
    assert bench.leads_A == 0.0
    assert bench.driver.inspect().set_point_A is None


@pytest.mark.parametrize(
    ("text", "activity"),
    [
        ("Sweeping up", Activity.RAMPING), ("sweep up fast", Activity.RAMPING), ("Sweeping down", Activity.RAMPING),
        ("sweep down", Activity.RAMPING), ("Sweeping to zero", Activity.RAMPING), ("zeroing", Activity.RAMPING), ("sweep zero fast", Activity.RAMPING),
        ("Pause", Activity.HOLDING), ("sweep paused", Activity.HOLDING), ("Standby", Activity.HOLDING),
    ],
)  # fmt: skip
def test_every_way_that_supplies_were_seen_to_word_a_sweep_is_understood(
    bench: SupplyBench, text: str, activity: Activity
) -> None:
    bench.fault("answer", text=f"2;1.5000 A;{text};0.020 V", command="*STB?")
    reading = bench.driver.watch()
    assert (reading.activity, reading.output_A) == (activity, 1.5)


@pytest.mark.parametrize(
    "text",
    [
        "2;0.0000A;Sweeping;0.000V", "2;0.0000A;up;0.000V", "2;0.0000A;1;0.000V", "2;0.0000A;Stand;0.000V",
        "2.5;0.0000A;Standby;0.000V", "Standby;0.0000A;2;0.000V", "2;5.0;Standby;0.000V", "2;5.0T;Standby;0.000V",
        "2;5.0kA;Standby;0.000V", "2;5.0k;Standby;0.000V", "2;1.0EA;Standby;0.000V", "2;A;Standby;0.000V",
        "2;5.0A;6.0A;Standby;0.000V", "2;+9.9E37A;Standby;0.000V", "2;1.2.3A;Standby;0.000V", "2;5.0A;Standby;0.0",
        "2;5.0A;Standby;V", "2;5.0A;Standby", "2;5.000", "5.0000A", ";;;",
    ],
)  # fmt: skip
def test_a_reply_that_is_not_what_was_asked_is_an_error_and_no_reading(bench: SupplyBench, text: str) -> None:
    bench.fault("answer", text=text, command="*STB?")
    with pytest.raises(CommunicationError):
        bench.driver.watch()
    assert bench.driver.watch().output_A == 0.0


def test_no_reply_that_lost_its_end_gives_a_number(bench: SupplyBench) -> None:
    bench.move(12.3456, 0.1)

    def everything() -> tuple[Any, ...]:
        inspected = replace(bench.driver.inspect(), time_s=0.0)
        return replace(bench.driver.watch(), time_s=0.0), inspected, bench.driver.rates, bench.driver.ranges

    true = everything()
    bench.said.clear()
    everything()
    for query in set(bench.said):
        for _ in range(8):
            bench.fault("short", command=query)
            with suppress(CommunicationError):
                assert everything() == true
    assert everything() == true


# What goes wrong with it


def test_a_quench_is_latched_until_a_person_resets_it(bench: SupplyBench) -> None:
    bench.move(20.0, 0.1)
    bench.world.magnet.quench(bench.clock.now())
    reading = bench.driver.watch()
    assert (reading.activity, reading.output_A) == (Activity.QUENCHED, 0.0)
    assert bench.driver.inspect().activity is Activity.QUENCHED
    bench.driver.set_target(5.0)
    with pytest.raises(DeviceFault, match="execution error"):
        bench.driver.go()
    bench.wait(10.0)
    assert bench.driver.watch().activity is Activity.QUENCHED
    assert not any("QRESET" in command for command in bench.said)


def test_a_failed_power_module_is_a_fault(bench: SupplyBench) -> None:
    bench.fault("answer", text="10;0.0000A;Standby;0.000V", command="*STB?")
    assert bench.driver.watch().activity is Activity.FAULT


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
    assert "execution error" in str(error)
    bench.wait(60.0)
    assert bench.leads_A == 0.0


def test_a_supply_that_somebody_put_into_local_refuses_and_says_so(make: Make) -> None:
    bench = make(needs_remote=True)
    bench.driver.check_identity()
    bench.driver.set_target(5.0)
    bench.driver.go()
    bench.panel.execute("LOCAL")
    with pytest.raises(DeviceFault, match="sweeps up: execution error"):
        bench.driver.hold()
    with pytest.raises(DeviceFault, match="in local"):
        bench.driver.set_rate(0.05)


def test_orders_that_were_not_heard_are_seen_in_what_is_read_back(bench: SupplyBench) -> None:
    bench.driver.set_target(2.0)
    bench.driver.set_rate(0.02)
    bench.fault("ignored", command="RATE 3")
    assert bench.driver.set_rate(0.01) == 0.02
    bench.fault("ignored", command="ULIM")
    assert bench.driver.set_target(5.0) == 2.0
    bench.fault("ignored", command="SWEEP UP")
    with pytest.raises(DeviceFault, match="says paused"):
        bench.driver.go()
    assert bench.leads_A == 0.0


def test_another_limit_that_stays_unsafe_is_a_fault(bench: SupplyBench) -> None:
    bench.panel.execute("LLIM -50")
    bench.fault("ignored", command="LLIM")
    with pytest.raises(DeviceFault, match=r"other limit to be 0\.0000 A, the supply reads back -50\.0000 A"):
        bench.driver.set_target(5.0)


def test_a_hold_that_the_supply_does_not_do_is_a_fault(bench: SupplyBench) -> None:
    bench.driver.set_target(5.0)
    bench.driver.go()
    bench.fault("ignored", command="SWEEP PAUSE")
    with pytest.raises(DeviceFault, match="told to pause, the supply sweeps up"):
        bench.driver.hold()
    bench.driver.hold()


def test_a_supply_that_was_off_for_a_moment_says_so(bench: SupplyBench) -> None:
    bench.driver.set_target(20.0)
    bench.driver.go()
    bench.wait(100.0)
    bench.panel.power_cycle()
    for _ in range(2):
        after = bench.driver.inspect()
        assert dict(after.fingerprint)["power"] == "was off since the station was opened"
        assert (after.activity, after.heater) == (Activity.HOLDING, Heater.OFF)
        bench.driver.check_identity()


def test_a_line_that_goes_dead_in_a_look_gives_no_reading(bench: SupplyBench) -> None:
    bench.move(2.0, 0.1)
    bench.fault("lost", command="*STB?")
    with pytest.raises(DeadlineError):
        bench.driver.watch()
    assert bench.driver.watch().output_A == 2.0


def test_an_echo_that_is_not_what_was_said_is_an_error(make: Make) -> None:
    bench = make(echo=True)
    bench.driver.check_identity()
    bench.panel._echo = False
    with pytest.raises(CommunicationError):
        bench.driver.watch()
    with pytest.raises(CommunicationError):
        bench.driver.set_rate(0.05)


def test_a_channel_that_the_supply_has_not_is_refused(make: Make) -> None:
    bench = make(channel=2)
    error = bench.error_of(bench.driver.check_identity)
    assert isinstance(error, DeviceFault)
    assert "CHAN 2;REMOTE" in bench.said


# The switch


def test_the_heater_is_ordered_and_the_supply_remembers_the_coils_current(bench: SupplyBench) -> None:
    bench.move(-8.0, 0.1)
    bench.driver.hold()
    bench.driver.set_heater(False)
    bench.wait(60.0)
    reading = bench.driver.inspect()
    assert (reading.heater, reading.coil_A) == (Heater.OFF, -8.0)
    bench.move(0.0, 0.5)
    reading = bench.driver.inspect()
    assert (reading.output_A, reading.coil_A) == (0.0, -8.0)
    assert bench.coil_A == pytest.approx(-8.0, abs=1e-3)
    bench.move(-8.0, 0.5)
    bench.driver.hold()
    bench.driver.set_heater(True)
    bench.wait(60.0)
    reading = bench.driver.inspect()
    assert (reading.heater, reading.coil_A) == (Heater.ON, None)
    assert not bench.world.magnet.quenched


def test_a_heater_that_does_not_do_as_it_was_told_is_a_fault(bench: SupplyBench) -> None:
    bench.fault("ignored", command="PSHTR OFF")
    with pytest.raises(DeviceFault, match="told to be off and is not"):
        bench.driver.set_heater(False)


# Options and settings


@pytest.mark.parametrize(
    "options",
    [
        {"tesla_per_ampere": 0.0},
        {"tesla_per_ampere": math.nan},
        {"largest_A": -1.0},
        {"largest_A": math.inf},
        {"channel": 3},
    ],
)
def test_options_that_make_no_sense_are_refused_without_a_byte(make: Make, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make(**options)


def test_the_settings_of_a_run_are_read_and_nothing_is_moved(bench: SupplyBench) -> None:
    bench.said.clear()
    assert bench.driver.settings() == {
        "units": "A", "voltage_limit": 5.0, "ranges": (60.0, 80.0, 95.0, 100.0, 100.0),
        "rates": (0.1, 0.05, 0.02, 0.02, 0.02, 5.0), "tesla_per_ampere": 0.095,
    }  # fmt: skip
    assert all("?" in command for command in bench.said)
