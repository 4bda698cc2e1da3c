"""The driver of the Mercury iTC against its front panel: temperatures, ramps, terms, refusals."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from remanence.core.capabilities import TemperatureController
from remanence.core.errors import ConfigError, DeviceFault, LimitError, RemanenceError, ReplyError
from remanence.instruments.mercury_itc import MercuryITC
from remanence.simulators import mercury_itc as panels
from remanence.simulators.mercury_ips import MercuryIPS

from .oxford_bench import TRANSPORTS, Make, OxfordBench

ZONES = [[12.0, 2.0, 1.0, 0.0], [310.0, 5.0, 2.0, 0.0]]
LOOP = "DEV:MB1.T1:TEMP:LOOP"


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def build(transport: str = "in process", **options: Any) -> OxfordBench:
            return OxfordBench(transport, stack, panels.MercuryITC, MercuryITC, **options)

        yield build


def opened(bench: OxfordBench) -> OxfordBench:
    bench.driver.check_identity()
    bench.said.clear()
    return bench


@pytest.fixture
def itc(make: Make) -> OxfordBench:
    return opened(make(zones=ZONES))


def orders(bench: OxfordBench) -> list[str]:
    return [line for line in bench.said if line.startswith("SET")]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_sample_settles_at_its_target(make: Make, transport: str) -> None:
    bench = make(transport, zones=ZONES)
    driver = bench.driver
    assert isinstance(driver, TemperatureController)
    assert driver.check_identity() == "IDN:OXFORD INSTRUMENTS:MERCURY ITC:123450001:2.6.04.000"
    assert driver.serial_number() == "123450001"
    driver.set_temperature(10.0)
    for _ in range(60):
        bench.wait(10.0)
        driver.read_temperature()
    assert driver.read_temperature() == pytest.approx(10.0, abs=0.05)
    assert driver.read_temperature() == pytest.approx(bench.world.cryostat.sample_K, rel=1e-3)
    assert driver.read_control_temperature() == pytest.approx(bench.world.cryostat.block_K, rel=1e-3)
    assert 0.02 < driver.read_heater() < 0.5
    power_W = (driver.read_heater() * driver.heater_limit) ** 2 / driver.heater_resistance
    assert driver.heater_power == pytest.approx(power_W, rel=1e-2)


def test_opening_only_asks(make: Make) -> None:
    bench = make(zones=ZONES, heater_limit_V=10.0)
    bench.driver.check_identity()
    assert bench.said == ["*IDN?"]


def test_a_step_tells_the_target_before_the_loop_has_the_heater(itc: OxfordBench) -> None:
    itc.driver.set_temperature(10.0)
    assert orders(itc) == [
        f"SET:{LOOP}:PIDT:OFF:P:2.000:I:1.000:D:0.000", f"SET:{LOOP}:TSET:10.0000:RENA:OFF", f"SET:{LOOP}:ENAB:ON",
    ]  # fmt: skip


def test_a_ramp_keeps_its_rate_and_stays_at_its_end(itc: OxfordBench) -> None:
    driver = itc.driver
    driver.set_temperature(10.0)
    itc.wait(400.0)
    driver.set_temperature(20.0, ramp_K_per_min=2.0)
    assert driver.ramp == (True, 2.0)
    itc.wait(60.0)
    before_K, before_s = itc.world.cryostat.block_K, itc.clock.now()
    itc.wait(120.0)
    rate = (itc.world.cryostat.block_K - before_K) / (itc.clock.now() - before_s) * 60.0
    assert rate == pytest.approx(2.0, rel=0.03)
    itc.wait(600.0)
    assert driver.read_temperature() == pytest.approx(20.0, abs=0.05)


def test_a_step_ends_a_ramp_without_a_jump_to_its_end(itc: OxfordBench) -> None:
    itc.driver.set_temperature(200.0, ramp_K_per_min=1.0)
    itc.wait(60.0)
    itc.driver.set_temperature(7.0)
    assert (itc.driver.ramp[0], itc.driver.set_point) == (False, 7.0)
    itc.wait(5.0)
    assert itc.driver.read_heater() < 0.3


def test_terms_are_those_of_the_targets_zone(itc: OxfordBench) -> None:
    itc.driver.set_temperature(10.0)
    assert itc.driver.pid == (2.0, 1.0, 0.0)
    itc.driver.set_temperature(50.0)
    assert itc.driver.pid == (5.0, 2.0, 0.0)


def test_without_zones_terms_stay_as_the_operator_left_them(make: Make) -> None:
    bench = opened(make())
    bench.front(f"SET:{LOOP}:P:7.0:I:3.0:D:1.0")
    bench.driver.set_temperature(12.0)
    assert bench.driver.pid == (7.0, 3.0, 1.0)
    assert not [line for line in orders(bench) if ":P:" in line]


def test_an_instrument_without_a_table_of_terms_refuses_auto_pid(make: Make) -> None:
    bench = opened(make(auto_pid=True))
    with pytest.raises(DeviceFault, match="answers N/A"):
        bench.driver.set_temperature(12.0)
    assert not bench.driver.enabled


def test_limit_and_heater_are_right_before_it_heats(make: Make) -> None:
    bench = opened(make(heater_limit_V=10.0))
    bench.front("SET:DEV:DB6.T1:TEMP:LOOP:HTR:MB0.H1")
    assert bench.driver.loop_heater == "None"
    bench.said.clear()
    bench.driver.set_temperature(100.0)
    told = orders(bench)
    assert told[:2] == ["SET:DEV:MB0.H1:HTR:VLIM:10.00", f"SET:{LOOP}:HTR:MB0.H1"]
    assert told[-1] == f"SET:{LOOP}:ENAB:ON"
    bench.wait(60.0)
    assert bench.driver.heater_power == pytest.approx(10.0**2 / 50.0, rel=1e-2)
    assert (bench.driver.heater_limit, bench.driver.read_heater()) == (10.0, 1.0)
    with bench.silence(), pytest.raises(LimitError):
        bench.driver.heater_limit = 41.0


@pytest.mark.parametrize(
    ("temperature_K", "ramp"),
    [
        (math.nan, None), (math.inf, None), (-4.0, None), (0.0, None), (310.1, None), (5.0, 0.0), (5.0, -1.0),
        (5.0, math.nan), (5.0, math.inf), (5.0, 1e-4), (5.0, 2000.0),
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


@pytest.mark.parametrize(
    "options",
    [
        {"sample_sensor": "B"}, {"control_sensor": "MB1"}, {"heater": "MB0.H1:HTR"}, {"largest_K": 0.0},
        {"largest_K": 3000.0}, {"largest_K": math.nan}, {"heater_limit_V": 0.0}, {"heater_limit_V": 41.0},
        {"zones": [[5.0, 1.0, 1.0]]}, {"zones": [[20.0, 1.0, 1.0, 0.0], [5.0, 1.0, 1.0, 0.0]]},
        {"zones": [[5.0, 200.0, 1.0, 0.0]]}, {"zones": ZONES, "auto_pid": True},
    ],
)  # fmt: skip
def test_a_wrong_option_is_a_configuration_error(make: Make, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make(**options)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_broken_sensor_is_a_fault_in_the_instruments_words_and_not_zero_kelvin(make: Make, transport: str) -> None:
    bench = opened(make(transport))
    bench.fault("sensor_open", text="DB6.T1")
    bench.wait(1.0)
    with pytest.raises(DeviceFault, match=r"DB6\.T1 Open Circuit"):
        bench.driver.read_temperature()
    assert bench.driver.read_control_temperature() > 1.0


def test_a_board_that_is_not_there_is_a_fault_by_name(make: Make) -> None:
    bench = opened(make(sample_sensor="DB9.T1"))
    with pytest.raises(DeviceFault, match=r"NOT_FOUND to 'READ:DEV:DB9\.T1.*no such board"):
        bench.driver.read_temperature()


def test_the_heater_goes_off_and_the_cryostat_is_kept_when_all_is_made_safe(itc: OxfordBench) -> None:
    itc.driver.set_temperature(20.0)
    itc.wait(5.0)
    itc.driver.make_safe()
    assert itc.driver.enabled
    assert itc.driver.read_heater() > 0.0
    itc.driver.heater_off()
    assert (itc.driver.enabled, itc.driver.read_heater(), itc.driver.heater_power) == (False, 0.0, 0.0)


@pytest.mark.parametrize("command", [f"SET:{LOOP}:ENAB:OFF", f"SET:{LOOP}:HSET"])
def test_a_heater_that_stays_on_is_a_fault(itc: OxfordBench, command: str) -> None:
    itc.driver.set_temperature(20.0)
    itc.wait(5.0)
    itc.fault("ignored", command=command)
    with pytest.raises(DeviceFault):
        itc.driver.heater_off()


@pytest.mark.parametrize(("command", "ramp"), [("TSET", None), ("ENAB", None), ("RSET", 2.0)])
def test_what_was_acknowledged_and_not_done_is_noticed(itc: OxfordBench, command: str, ramp: float | None) -> None:
    itc.driver.set_temperature(9.0, 1.0 if ramp is None else None)
    itc.driver.heater_off()
    itc.fault("ignored", command=f"SET:{LOOP}:{command}")
    with pytest.raises(DeviceFault, match="told to control 10 K, and does not"):
        itc.driver.set_temperature(10.0, ramp)


def test_a_target_that_was_acknowledged_and_not_taken_is_noticed_by_itself(itc: OxfordBench) -> None:
    itc.driver.set_temperature(9.0)
    itc.fault("ignored", command=f"SET:{LOOP}:TSET")
    with pytest.raises(DeviceFault, match=r"Its set point is 9\.0000K"):
        itc.driver.set_temperature(10.0)


def test_gas_without_a_flow_board_is_refused_by_the_instrument(itc: OxfordBench) -> None:
    with pytest.raises(DeviceFault, match="answers N/A"):
        itc.driver.gas_flow = 10.0
    assert itc.driver.gas_flow == 0.0
    with itc.silence(), pytest.raises(LimitError):
        itc.driver.gas_flow = 101.0


def test_another_instrument_of_the_maker_is_refused() -> None:
    with ExitStack() as stack:
        bench = OxfordBench("in process", stack, MercuryIPS, MercuryITC)
        with pytest.raises(ReplyError, match="not a MercuryITC"):
            bench.driver.check_identity()


def test_two_loops_share_a_line(make: Make) -> None:
    bench = opened(make())
    other = MercuryITC(bench.link, "sample loop", control_sensor="DB6.T1")
    bench.driver.set_temperature(10.0)
    bench.driver.heater_off()
    other.set_temperature(12.0)
    assert (other.loop_heater, bench.driver.loop_heater, other.set_point) == ("MB0.H1", "None", 12.0)
    bench.wait(300.0)
    assert other.read_temperature() == pytest.approx(12.0, abs=0.2)


def test_the_settings_are_a_snapshot(itc: OxfordBench) -> None:
    itc.driver.set_temperature(10.0)
    settings = itc.driver.settings()
    assert (settings["set_point"], settings["enabled"], settings["pid"]) == (10.0, True, (2.0, 1.0, 0.0))
    assert (settings["sample_nick"], settings["sample_sensor"]) == ("SAMPLE", "DB6.T1")


@pytest.mark.parametrize(
    "kind", ["late", "lost", "doubled", "split", "dripping", "cut", "short", "garbage", "unended", "empty", "unheard"]
)
@pytest.mark.parametrize("name", ["read_temperature", "read_heater"])
def test_a_disturbed_reading_is_right_or_an_error(itc: OxfordBench, kind: str, name: str) -> None:
    itc.driver.set_temperature(20.0)
    itc.wait(900.0)
    truth = getattr(itc.driver, name)()
    itc.fault(kind, command="READ")
    right = 0
    for _ in range(5):
        try:
            assert getattr(itc.driver, name)() == pytest.approx(truth, rel=0.01)
            right += 1
        except RemanenceError:
            pass
    assert right >= 3
    assert truth > 0.01
