"""The driver of the ITC503 against its front panel: temperatures, ramps, tables, refusals."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from remanence.core.capabilities import TemperatureController
from remanence.core.errors import CommunicationError, ConfigError, DeviceFault, LimitError, RemanenceError, ReplyError
from remanence.instruments.oxford_itc503 import ITC503
from remanence.simulators import oxford_itc503 as panels
from remanence.simulators.oxford_ips120 import IPS120

from .oxford_bench import TRANSPORTS, Make, OxfordBench

ZONES = [[12.0, 2.0, 1.0, 0.0], [310.0, 5.0, 2.0, 0.0]]


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def build(transport: str = "in process", **options: Any) -> OxfordBench:
            return OxfordBench(transport, stack, panels.ITC503, ITC503, **options)

        yield build


def opened(bench: OxfordBench) -> OxfordBench:
    bench.driver.check_identity()
    bench.said.clear()
    return bench


@pytest.fixture
def itc(make: Make) -> OxfordBench:
    return opened(make(zones=ZONES))


def orders(bench: OxfordBench) -> list[str]:
    return [line for line in bench.said if line[0] not in "RXrq"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_sample_settles_at_its_target(make: Make, transport: str) -> None:
    bench = make(transport, zones=ZONES)
    driver = bench.driver
    assert isinstance(driver, TemperatureController)
    assert driver.check_identity() == "ITC503 Version 1.11 (c) OXFORD 1997"
    driver.set_temperature(10.0)
    for _ in range(60):
        bench.wait(10.0)
        driver.read_temperature()
    assert driver.read_temperature() == pytest.approx(10.0, abs=0.05)
    assert driver.read_temperature() == pytest.approx(bench.world.cryostat.sample_K, rel=1e-3)
    assert driver.read_control_temperature() == pytest.approx(bench.world.cryostat.block_K, rel=1e-3)
    assert 0.02 < driver.read_heater() < 0.5


def test_opening_takes_the_control_and_heats_nothing(make: Make) -> None:
    bench = make(zones=ZONES)
    bench.driver.check_identity()
    assert bench.said == ["Q0", "V", "X", "C3"]
    assert (bench.driver.automatic, bench.driver.read_heater()) == ("manual", 0.0)


def test_the_set_point_is_told_before_the_heater_runs_by_itself(itc: OxfordBench) -> None:
    itc.driver.set_temperature(10.0)
    told = orders(itc)
    assert told.index("T10.000") < told.index("A1")
    assert told[-1] == "A1"


def test_a_ramp_starts_where_the_block_is_keeps_its_rate_and_stays_at_its_end(itc: OxfordBench) -> None:
    driver = itc.driver
    driver.set_temperature(10.0)
    itc.wait(400.0)
    itc.said.clear()
    start_K = driver.read_control_temperature()
    driver.set_temperature(20.0, ramp_K_per_min=2.0)
    assert orders(itc)[-8:] == ["x16", "y1", "s20.000", "y2", "s5.0", "y3", "s0.0", "S31"]
    assert driver.sweep == 31
    assert driver.set_point == pytest.approx(start_K, abs=0.05)
    before_K, before_s = driver.set_point, itc.clock.now()
    itc.wait(120.0)
    rate = (driver.set_point - before_K) / (itc.clock.now() - before_s) * 60.0
    assert rate == pytest.approx(2.0, rel=5e-3)
    itc.wait(240.0)
    assert (driver.sweep, driver.set_point) == (0, 20.0)
    itc.wait(400.0)
    assert driver.read_temperature() == pytest.approx(20.0, abs=0.05)


def test_a_ramp_leaves_the_first_fifteen_steps_of_the_sweep_table_alone(itc: OxfordBench) -> None:
    itc.front("x3", "y1", "s77", "y2", "s1")
    itc.driver.set_temperature(8.0, ramp_K_per_min=5.0)
    assert itc.front("x3", "y1", "r") == ["x", "y", "r77.0"]


def test_a_step_ends_a_ramp(itc: OxfordBench) -> None:
    itc.driver.set_temperature(20.0, ramp_K_per_min=1.0)
    itc.wait(60.0)
    itc.driver.set_temperature(7.0)
    assert (itc.driver.sweep, itc.driver.set_point) == (0, 7.0)


def test_zones_are_written_once_and_the_terms_follow_the_set_point(itc: OxfordBench) -> None:
    driver = itc.driver
    driver.set_temperature(10.0)
    itc.wait(10.0)
    assert (driver.auto_pid, driver.pid) == (True, (2.0, 1.0, 0.0))
    itc.said.clear()
    driver.set_temperature(50.0)
    itc.wait(10.0)
    assert driver.pid == (5.0, 2.0, 0.0)
    assert not [line for line in itc.said if line.startswith("p")]
    # A controller that was connected to anew may be another, or have lost its table.
    driver.check_identity()
    driver.set_temperature(10.0)
    assert [line for line in itc.said if line.startswith("p")]


def test_without_zones_terms_stay_as_the_operator_left_them(make: Make) -> None:
    bench = opened(make())
    bench.front("P7", "I3", "D1")
    bench.driver.set_temperature(12.0)
    assert (bench.driver.auto_pid, bench.driver.pid) == (False, (7.0, 3.0, 1.0))
    bench.driver.set_pid(4.0, 2.5, 0.5)
    assert bench.driver.pid == (4.0, 2.5, 0.5)


def test_with_auto_pid_the_instruments_own_table_gives_the_terms(make: Make) -> None:
    bench = opened(make(auto_pid=True))
    bench.front("x1", "y1", "p100", "y2", "p3", "y3", "p4", "y4", "p0")
    bench.driver.set_temperature(12.0)
    bench.wait(1.0)
    assert bench.driver.pid == (3.0, 4.0, 0.0)
    with pytest.raises(DeviceFault, match="refused 'P"):
        bench.driver.set_pid(4.0, 2.5, 0.5)


def test_the_heaters_limit_is_told_before_it_heats(make: Make) -> None:
    bench = opened(make(heater_limit_V=10.0))
    bench.driver.set_temperature(100.0)
    told = orders(bench)
    assert told.index("M10.0") < told.index("A1")
    bench.wait(60.0)
    assert bench.driver.heater_voltage == pytest.approx(10.0, abs=0.1)
    assert bench.driver.settings()["heater_limit_V"] == 10.0


@pytest.mark.parametrize(
    ("temperature_K", "ramp"),
    [
        (math.nan, None), (math.inf, None), (-4.0, None), (0.0, None), (310.1, None), (5.0, 0.0), (5.0, -1.0),
        (5.0, math.nan), (5.0, math.inf),
    ],
)  # fmt: skip
def test_what_it_must_not_do_is_refused_before_a_byte_is_sent(
    itc: OxfordBench, temperature_K: float, ramp: float | None
) -> None:
    with itc.silence(), pytest.raises(LimitError, match="Nothing was sent"):
        itc.driver.set_temperature(temperature_K, ramp)


def test_a_target_above_the_last_zone_is_refused(make: Make) -> None:
    bench = opened(make(zones=ZONES[:1]))
    with bench.silence(), pytest.raises(LimitError, match="above the last zone"):
        bench.driver.set_temperature(13.0)


def test_a_ramp_too_slow_for_the_instrument_sets_nothing(itc: OxfordBench) -> None:
    with pytest.raises(LimitError, match=r"the longest is 1339\.9 min"):
        itc.driver.set_temperature(300.0, ramp_K_per_min=0.1)
    assert orders(itc) == []


@pytest.mark.parametrize(
    "options",
    [
        {"sample_sensor": 4}, {"control_sensor": "1"}, {"largest_K": 0.0}, {"largest_K": 2000.0},
        {"largest_K": math.nan}, {"heater_limit_V": 0.0}, {"heater_limit_V": 41.0}, {"zones": [[5.0, 1.0, 1.0]]},
        {"zones": [[20.0, 1.0, 1.0, 0.0], [5.0, 1.0, 1.0, 0.0]]}, {"zones": [[5.0, 1.0, 200.0, 0.0]]},
        {"zones": [[float(n), 1.0, 1.0, 0.0] for n in range(1, 18)]}, {"isobus": 11},
    ],
)  # fmt: skip
def test_a_wrong_option_is_a_configuration_error(make: Make, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make(**options)


def test_a_sensor_that_is_broken_or_absent_is_a_fault_and_not_zero_kelvin(make: Make) -> None:
    bench = opened(make(sample_sensor=3))
    with pytest.raises(DeviceFault, match="sensor 3 has no valid temperature: it reads 0 K"):
        bench.driver.read_temperature()
    bench = opened(make())
    bench.fault("sensor_over", text="2")
    bench.wait(1.0)
    with pytest.raises(DeviceFault, match="sensor 2"):
        bench.driver.read_temperature()


def test_the_heater_goes_off_and_the_gas_stays(itc: OxfordBench) -> None:
    driver = itc.driver
    driver.gas_flow = 20.0
    itc.front("A2")
    driver.set_temperature(20.0)
    assert driver.automatic == "heater and gas"
    itc.wait(10.0)
    assert driver.read_heater() > 0.0
    driver.make_safe()
    assert driver.automatic == "heater and gas"
    driver.heater_off()
    assert (driver.read_heater(), driver.automatic, driver.gas_flow) == (0.0, "gas", 20.0)
    with pytest.raises(DeviceFault, match="refused 'G"):
        driver.gas_flow = 30.0
    with itc.silence(), pytest.raises(LimitError):
        driver.gas_flow = 100.0


@pytest.mark.parametrize("command", ["O0", "A0"])
def test_a_heater_that_stays_on_is_a_fault(itc: OxfordBench, command: str) -> None:
    itc.front("C3", "A0", "O50")
    itc.driver.set_temperature(20.0)
    itc.wait(10.0)
    itc.fault("ignored", command=command)
    with pytest.raises(DeviceFault, match=r"does not switch off|refused 'O0'"):
        itc.driver.heater_off()


@pytest.mark.parametrize("command", ["T", "A1", "S31", "s20", "s1", "H"])
def test_what_was_acknowledged_and_not_done_is_noticed(make: Make, command: str) -> None:
    bench = opened(make(control_sensor=2))
    bench.driver.set_temperature(8.0)
    bench.driver.heater_off()
    bench.front("H1", "A0")
    bench.fault("ignored", command=command)
    with pytest.raises(RemanenceError):
        bench.driver.set_temperature(20.0, ramp_K_per_min=1.0)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_orders_in_local_are_refused_and_local_is_left_to_whoever_took_it(make: Make, transport: str) -> None:
    bench = opened(make(transport))
    bench.front("C2")
    bench.driver.check_identity()
    with pytest.raises(DeviceFault, match=r"refused 'S0'.*in local"):
        bench.driver.set_temperature(10.0)
    assert bench.driver.read_temperature() > 0.0


def test_another_instrument_of_the_maker_is_refused() -> None:
    with ExitStack() as stack:
        bench = OxfordBench("in process", stack, IPS120, ITC503)
        with pytest.raises(ReplyError, match="not a ITC503"):
            bench.driver.check_identity()


def test_a_status_with_one_sweep_digit_or_a_four_is_read_as_some_instruments_say_it(itc: OxfordBench) -> None:
    itc.fault("answer", text="X0A4C3S0H1L1", command="X")
    assert itc.driver.automatic == "heater and gas"
    for text in ("X0A5C3S00H1L1", "X0A0C3S00H1", "A", "X"):
        itc.fault("answer", text=text, command="X")
        with pytest.raises(CommunicationError):
            _ = itc.driver.automatic


def test_the_settings_are_a_snapshot(itc: OxfordBench) -> None:
    itc.driver.set_temperature(10.0)
    settings = itc.driver.settings()
    assert (settings["set_point"], settings["control_sensor"], settings["automatic"]) == (10.0, 1, "heater")
    assert (settings["sample_sensor"], settings["own_control_sensor"]) == (2, 1)


@pytest.mark.parametrize(
    "kind", ["late", "lost", "doubled", "split", "dripping", "cut", "short", "garbage", "unended", "empty", "unheard"]
)
def test_a_disturbed_reading_is_right_or_an_error(itc: OxfordBench, kind: str) -> None:
    itc.driver.read_temperature()
    itc.fault(kind, command="R2")
    right = 0
    for _ in range(5):
        try:
            assert itc.driver.read_temperature() == pytest.approx(itc.world.cryostat.sample_K, rel=0.01)
            right += 1
        except RemanenceError:
            pass
    assert right >= 3
