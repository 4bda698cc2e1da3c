"""Lake Shore's controllers on simulated wires, in process and over TCP: what they do to the cryostat, what they refuse."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import pyvisa
from remanence.core.capabilities import HeaterLoop, TemperatureController
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError, DeviceFault, LimitError, NotSettled, ReplyError
from remanence.core.records import Waiting
from remanence.instruments.lakeshore import Model335, Model336, Model350
from remanence.instruments.lakeshore_331 import Model331
from remanence.instruments.lakeshore_340 import Model340
from remanence.instruments.lakeshore_372 import Model372
from remanence.instruments.link import Link
from remanence.procedures.base import settle
from remanence.simulators import lakeshore
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.fault_schedule import FaultSchedule
from remanence.simulators.faults import Fault as LaboratoryFault
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.sensors import Fault
from remanence.simulators.tcp import serve
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))
MODELS: list[Any] = [Model331, Model335, Model336, Model340, Model350, Model372]
OLD: list[Any] = [Model331, Model340]
NEW: list[Any] = [Model335, Model336, Model350]
RESOURCE = "TCPIP0::192.168.1.12::7777::SOCKET"


class Bench:
    """One controller on one cryostat, over one of the two transports."""

    def __init__(self, kind: Any, transport: str, stack: ExitStack, start_K: float = 6.0, **panel: Any) -> None:
        self.clock = VirtualClock()
        settings = WorldSettings(MAGNET, CryostatSettings(start_K=start_K), load_sample("park2020_deficient"))
        self.world = World(settings, self.clock, 1)
        self.kind = kind
        self.panel: Any = getattr(lakeshore, kind.__name__)(self.world, "cryostat", **panel)
        if transport == "tcp":
            server = stack.enter_context(serve({"cryostat": self.panel}, self.clock))
            host, port = server.addresses["cryostat"]
            self._name = f"TCPIP0::{host}::{port}::SOCKET"
            self._manager = pyvisa.ResourceManager("@py")
        else:
            self._name = RESOURCE
            self._manager = pyvisa.ResourceManager(VirtualVisaLibrary({RESOURCE: self.panel}, self.clock))
        self._stack = stack

    def driver(self, **options: Any) -> Any:
        resource: Any = self._manager.open_resource(self._name)
        self._stack.callback(resource.close)
        link = Link(
            resource, self.clock, name="cryostat", write_end=self.kind.write_end, read_end=self.kind.read_end,
            pause_s=self.kind.pause_s,
        )  # fmt: skip
        if self.kind is Model372:
            options = {"sample_input": "2"} | options
        return self.kind(link, "cryostat", **options)

    def wait(self, driver: Any, seconds: float) -> list[float]:
        readings: list[float] = []
        until_s = self.clock.now() + seconds
        while self.clock.now() < until_s:
            self.clock.sleep(1.0)
            readings.append(driver.read_temperature())
        return readings

    def tell(self, *lines: str) -> None:
        for line in lines:
            self.panel.receive(line.encode())

    def ask(self, line: str) -> str:
        return self.panel.receive(line.encode()).decode().strip()

    @property
    def sample_K(self) -> float:
        self.world.advance()
        return self.world.cryostat.sample_K


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def sample_of(kind: Any) -> str:
    return "2" if kind is Model372 else "B"


@pytest.mark.parametrize("transport", ["in process", "tcp"])
@pytest.mark.parametrize("kind", MODELS)
def test_a_controller_offers_its_capabilities_and_records_its_settings(
    kind: Any, transport: str, stack: ExitStack
) -> None:
    driver = Bench(kind, transport, stack).driver()
    assert isinstance(driver, TemperatureController)
    assert isinstance(driver, HeaterLoop)
    assert driver.check_identity().startswith("LSCI,MODEL3")
    settings = driver.settings()
    assert set(kind.settings_table) <= set(settings)
    assert len(kind.settings_table) <= 15
    assert not [name for name, value in settings.items() if str(value).startswith("unreadable")]
    assert settings["sample_input"] == sample_of(kind)
    driver.set_temperature(8.0)
    in_use = driver.settings()
    assert in_use["pid"] == pytest.approx(next(zone[2:] for zone in driver.zones if zone.top_K >= 8.0))
    assert not [name for name, value in in_use.items() if str(value).startswith("unreadable")]


@pytest.mark.parametrize("transport", ["in process", "tcp"])
@pytest.mark.parametrize("kind", MODELS)
def test_it_warms_the_sample_and_reads_what_is_true(kind: Any, transport: str, stack: ExitStack) -> None:
    bench = Bench(kind, transport, stack)
    driver = bench.driver()
    driver.set_temperature(12.0)
    bench.clock.sleep(4.0)
    readings = bench.wait(driver, 120.0)
    assert bench.sample_K == pytest.approx(12.0, rel=1e-3)
    assert readings[-1] == pytest.approx(bench.sample_K, rel=1e-3)
    assert max(readings) < 12.0 * 1.05
    assert driver.read_control_temperature() == pytest.approx(12.0, rel=1e-3)
    assert driver.set_point == pytest.approx(12.0, abs=1e-6)
    loop = driver.read_loop()
    assert loop.temperature_K == pytest.approx(12.0, rel=1e-3)
    assert (loop.set_point_K, loop.heating, loop.fault) == (12.0, True, "")
    assert loop.heater == pytest.approx(driver.read_heater(), abs=0.02)
    assert 0.0 < loop.heater < 1.0


@pytest.mark.parametrize("kind", [*NEW, *OLD])
@pytest.mark.parametrize(
    ("start_K", "target_K", "seconds", "overshoot"),
    [(6.0, 2.5, 120, 0.2), (5.0, 20.0, 200, 0.02), (20.0, 100.0, 900, 0.01), (100.0, 300.0, 1500, 0.01)],
)
def test_its_own_zones_settle_at_every_temperature(
    kind: Any, start_K: float, target_K: float, seconds: float, overshoot: float, stack: ExitStack
) -> None:
    bench = Bench(kind, "in process", stack, start_K)
    driver = bench.driver()
    driver.set_temperature(target_K)
    readings = bench.wait(driver, seconds)
    assert all(abs(reading - target_K) < 1.2e-3 * target_K for reading in readings[-30:])
    assert bench.sample_K == pytest.approx(target_K, rel=1e-3)
    sign = math.copysign(1.0, target_K - start_K)
    assert max(sign * (reading - target_K) for reading in readings) < overshoot * target_K


@pytest.mark.parametrize(("start_K", "target_K", "output"), [(6.0, 2.0, 0), (6.0, 35.0, 0), (20.0, 100.0, 1)])
def test_the_heaters_of_a_372_settle_what_they_can_reach(
    start_K: float, target_K: float, output: int, stack: ExitStack
) -> None:
    bench = Bench(Model372, "in process", stack, start_K)
    driver = bench.driver(output=output, largest_K=40.0 if output == 0 else 310.0)
    driver.set_temperature(target_K)
    bench.clock.sleep(4.0)
    readings = bench.wait(driver, 900.0)
    assert all(abs(reading - target_K) < 2e-3 * target_K for reading in readings[-30:])
    assert bench.sample_K == pytest.approx(target_K, rel=2e-3)


@pytest.mark.parametrize("kind", [Model335, Model336])
def test_the_second_output_has_zones_for_its_own_power(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack, heated=("2",))
    driver = bench.driver(output=2)
    driver.set_temperature(12.0)
    readings = bench.wait(driver, 120.0)
    assert all(abs(reading - 12.0) < 0.02 for reading in readings[-30:])
    assert bench.panel.loops["1"].range == 0


@pytest.mark.parametrize("kind", NEW)
def test_zones_of_the_station_file_are_those_of_the_instrument(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    driver = bench.driver(zones=[[10.0, 1, 3.3, 250.0, 1.5], [310.0, 2, 40.0, 60.0, 0.0]])
    driver.set_temperature(8.0)
    assert driver.pid == (3.3, 250.0, 1.5)
    assert driver.heater_range == 1
    driver.set_temperature(11.0)
    bench.clock.sleep(1.0)
    assert driver.pid == (40.0, 60.0, 0.0)
    assert driver.heater_range == 2


@pytest.mark.parametrize("kind", MODELS)
def test_a_ramp_starts_where_the_block_is_and_is_followed(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    driver = bench.driver()
    driver.set_temperature(10.0)
    bench.clock.sleep(4.0)
    bench.wait(driver, 60.0)
    # The sample heater of a 372 has one watt only.
    rate = 2.0 if kind is Model372 else 10.0
    driver.set_temperature(30.0, ramp_K_per_min=rate)
    assert driver.ramping
    assert driver.ramp == (True, rate)
    for _ in range(round(60.0 * 20.0 / rate) + 10):
        bench.clock.sleep(1.0)
        driver.read_temperature()
        assert driver.read_control_temperature() == pytest.approx(driver.set_point, abs=1.0)
    assert not driver.ramping
    assert driver.set_point == 30.0
    # A step afterwards is a step.
    driver.set_temperature(12.0)
    bench.clock.sleep(1.0)
    assert not driver.ramping
    assert driver.set_point == 12.0


@pytest.mark.parametrize("kind", MODELS)
def test_a_new_target_in_the_middle_of_a_ramp_never_aims_at_the_old_one(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    driver = bench.driver()
    driver.set_temperature(38.0, ramp_K_per_min=1.0)
    bench.clock.sleep(60.0)
    seen: list[float] = []
    loop = bench.panel.loops[str(driver.output)]
    receive = bench.panel.execute

    def watched(command: str) -> str | None:
        reply = receive(command)
        seen.append(loop.set_point.now_K)
        return reply

    bench.panel.execute = watched
    driver.set_temperature(5.0)
    driver.set_temperature(8.0, ramp_K_per_min=2.0)
    assert len(seen) > 8
    assert max(seen) < 10.0


# What is refused


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    ("temperature_K", "ramp"),
    [
        (math.nan, None), (math.inf, None), (-4.0, None), (0.0, None), (40.1, None), (310.1, None), (1e9, None),
        (5.0, 0.0), (5.0, -1.0), (5.0, 101.0), (5.0, math.nan), (5.0, 1.00005),
    ],
)  # fmt: skip
def test_what_it_must_not_do_is_refused_before_a_byte_is_sent(
    kind: Any, temperature_K: float, ramp: float | None, stack: ExitStack
) -> None:
    bench = Bench(kind, "in process", stack)
    driver = bench.driver(largest_K=40.0)
    before = bench.panel.received
    with pytest.raises(LimitError, match="Nothing was sent"):
        driver.set_temperature(temperature_K, ramp)
    assert bench.panel.received == before


@pytest.mark.parametrize("kind", MODELS)
def test_pid_and_range_are_refused_or_read_back(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    driver = bench.driver(zones=[])
    before = bench.panel.received
    for p, i, d in ((-1.0, 20.0, 0.0), (1001.0, 20.0, 0.0), (5.0, -1.0, 0.0), (5.0, 20.0, 1e4), (math.nan, 1.0, 0.0)):
        with pytest.raises(LimitError):
            driver.set_pid(p, i, d)
    for heater_range in (-1, 9, 1.5):
        with pytest.raises(LimitError):
            driver.set_heater_range(heater_range)
    assert bench.panel.received == before
    driver.set_pid(12.5, 40.0, 2.0)
    assert driver.pid == (12.5, 40.0, 2.0)
    driver.set_heater_range(1)
    assert driver.heater_range == 1


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    "options",
    [
        {"sample_input": "E"}, {"control_input": "a"}, {"output": 3}, {"largest_K": -1.0}, {"largest_K": math.nan},
        {"largest_K": 501.0}, {"zones": [[400.0, 9, 1.0, 1.0, 0.0]]}, {"zones": [[400.0, 0, 1.0, 1.0, 0.0]]},
        {"zones": [[400.0, 1, 1.0, 1.0, 9999.0]]}, {"zones": [[400.0, 1, 1.0, 1.55, 0.0]]}, {"zones": [[5.0, 3]]},
        {"zones": [[20.0, 1, 1.0, 1.0, 0.0], [5.0, 1, 1.0, 1.0, 0.0], [400.0, 1, 1.0, 1.0, 0.0]]},
        {"zones": [[20.0, 1, 1.0, 1.0, 0.0]]}, {"zones": [[n + 300.0, 1, 1.0, 1.0, 0.0] for n in range(11)]},
    ],
)  # fmt: skip
def test_a_wrong_option_is_a_configuration_error(kind: Any, options: dict[str, Any], stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    with pytest.raises(ConfigError, match="cryostat"):
        bench.driver(**options)
    assert bench.panel.received == 0


# What is read back


@pytest.mark.parametrize("kind", MODELS)
def test_the_zone_table_is_in_the_instrument_and_written_once(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    driver = bench.driver()
    driver.set_temperature(5.0)
    rows = [
        [float(text) for text in bench.ask(f"ZONE? {driver.output},{number}").split(",")]
        for number in range(1, len(driver.zones) + 1)
    ]
    assert [(row[0], row[5], *row[1:4]) for row in rows] == [tuple(zone) for zone in driver.zones]
    before = bench.panel.received
    driver.set_temperature(6.0)
    assert bench.panel.received - before < 15
    # After a reconnection it may be another day: they are compared, and written where they differ.
    bench.tell(
        f"ZONE {driver.output},1,1,1,1,0,0,1" + (",0,0" if kind in NEW else ",0,0,0" if kind is Model372 else "")
    )
    driver.check_identity()
    driver.set_temperature(5.0)
    assert float(bench.ask(f"ZONE? {driver.output},1").split(",")[0]) == driver.zones[0].top_K


@pytest.mark.parametrize("kind", [Model335, Model336, Model372])
def test_where_the_set_point_is_told_late_it_is_read_back_late(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    driver = bench.driver(**({"sample_input": "A"} if kind is Model372 else {}))
    driver.set_temperature(8.0)
    driver.read_temperature()
    # Somebody at the front changes it within the half second.
    bench.panel.loops[str(driver.output)].set_point.aim(3.0)
    bench.clock.sleep(1.0)
    with pytest.raises(DeviceFault, match="set point is 3 K and should be 8 K"):
        driver.read_temperature()
    driver.read_temperature()


def test_a_set_point_that_the_instrument_holds_below_is_a_limit_asked_before(stack: ExitStack) -> None:
    bench = Bench(Model340, "in process", stack)
    bench.tell("CLIMIT 1,100,0,0,4,5")
    driver = bench.driver()
    assert driver.control_limits == (100.0, 0.0, 0.0, 4.0, 5.0)
    with pytest.raises(LimitError, match="120 K is above the instrument's own limits, 100 K"):
        driver.set_temperature(120.0)
    bench.tell("CLIMIT 1,100,0,0,4,3")
    with pytest.raises(LimitError, match="heater range 5 is above"):
        driver.set_temperature(50.0)
    assert driver.set_point == 0.0
    assert driver.heater_range == 0


@pytest.mark.parametrize("kind", [*NEW, Model372])
def test_the_instruments_own_temperature_limit_is_asked_before(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    bench.tell("TLIMIT A,20")
    driver = bench.driver()
    assert driver.control_limit == 20.0
    with pytest.raises(LimitError, match="own temperature limit is 20 K"):
        driver.set_temperature(20.0)
    driver.set_temperature(19.0)


@pytest.mark.parametrize("kind", NEW)
def test_a_temperature_limit_is_set_above_what_may_be_asked(kind: Any, stack: ExitStack) -> None:
    driver = Bench(kind, "in process", stack).driver(largest_K=100.0)
    driver.set_temperature_limit(120.0)
    assert driver.control_limit == 120.0
    with pytest.raises(LimitError, match="Nothing was sent"):
        driver.set_temperature_limit(90.0)


@pytest.mark.parametrize("kind", [*NEW, Model372])
def test_a_set_point_in_other_units_than_kelvin_is_never_sent(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    kinds = {Model335: "3,1,0,1,2", Model336: "3,1,0,1,3", Model350: "3,1,0,1,3,0", Model372: "1,4,0,0,0,2"}
    bench.tell(f"INTYPE A,{kinds[kind]}")
    driver = bench.driver()
    with pytest.raises(DeviceFault, match="are not kelvin"):
        driver.set_temperature(8.0)
    assert bench.panel.loops[str(driver.output)].set_point.target_K == 0.0


@pytest.mark.parametrize(
    ("kind", "before", "after"), [(Model331, "B,2,1,1", "A,1,1,1"), (Model340, "B,3,0,1", "A,1,1,1")]
)
def test_an_older_loop_is_given_its_input_and_kelvin(kind: Any, before: str, after: str, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    bench.tell(f"CSET 1,{before}", "CMODE 1,3")
    driver = bench.driver()
    driver.set_temperature(8.0)
    assert driver.control_setup == after
    assert driver.control_mode == 2


@pytest.mark.parametrize("kind", MODELS)
def test_a_loop_that_is_not_the_drivers_is_changed_with_its_heater_off(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    driver = bench.driver()
    bench.tell(
        {Model331: "CMODE 1,1", Model340: "CMODE 1,1", Model372: "OUTMODE 0,5,A,0,0,0,1"}.get(kind, "OUTMODE 1,1,1,0")
    )
    bench.tell(f"SETP {driver.output},35", "RANGE 1" if kind in OLD else f"RANGE {driver.output},1")
    ranges: list[tuple[str, int]] = []
    execute = bench.panel.execute

    def watched(command: str) -> str | None:
        reply = execute(command)
        ranges.append((command.split(" ")[0], bench.panel.loops[str(driver.output)].range))
        return reply

    bench.panel.execute = watched
    driver.set_temperature(8.0)
    changed = [found for word, found in ranges if word in ("OUTMODE", "CMODE")]
    assert changed == [0]
    assert ranges[-1][1] > 0


@pytest.mark.parametrize("kind", MODELS)
def test_without_zones_range_and_pid_stay_as_the_operator_left_them(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    if kind is Model372:
        bench.tell("OUTMODE 0,5,A,0,0,0,1")
    driver = bench.driver(zones=[])
    before = (driver.pid, driver.heater_range)
    driver.set_temperature(12.0)
    assert (driver.pid, driver.heater_range) == before
    bench.clock.sleep(1.0)
    assert driver.set_point == 12.0


@pytest.mark.parametrize("kind", MODELS)
def test_without_zones_another_control_input_is_noticed(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    bench.tell(
        *(
            {Model331: ["CSET 1,B,1,0,2"], Model340: ["CSET 1,B"]}.get(
                kind, ["OUTMODE 1,1,2,0", "OUTMODE 0,5,2,0,0,0,1"]
            )
        )
    )
    driver = bench.driver(zones=[])
    with pytest.raises(DeviceFault, match="is not controlled from input A"):
        driver.set_temperature(12.0)


@pytest.mark.parametrize("kind", MODELS)
def test_an_order_that_the_instrument_loses_is_noticed(kind: Any, stack: ExitStack) -> None:
    """Nothing says so: only what is read back does."""
    bench = Bench(kind, "in process", stack)
    driver = bench.driver()
    driver.set_temperature(8.0)
    bench.clock.sleep(5.0)
    driver.read_temperature()
    bench.panel._orders["SETP"] = lambda _: None
    with pytest.raises(DeviceFault, match="set point is 8 K and should be 12 K"):
        driver.set_temperature(12.0)
        bench.clock.sleep(5.0)
        driver.read_temperature()
    bench.panel._orders["RANGE"] = lambda _: None
    with pytest.raises(DeviceFault, match="does not switch off"):
        driver.heater_off()


# Sensors and heaters that fail


@pytest.mark.parametrize("transport", ["in process", "tcp"])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("fault", [Fault.OPEN, Fault.SHORT, Fault.OVER_RANGE])
def test_a_broken_sensor_is_a_fault_and_never_a_number(
    kind: Any, fault: Fault, transport: str, stack: ExitStack
) -> None:
    bench = Bench(kind, transport, stack)
    driver = bench.driver()
    driver.set_temperature(8.0)
    bench.clock.sleep(5.0)
    driver.read_temperature()
    words = {
        Fault.OPEN: "sensor units over range|current source overload",
        Fault.SHORT: "sensor units zero|resistance under range",
        Fault.OVER_RANGE: "sensor units over range|differential overload, resistance over range",
    }
    bench.panel.sensor(sample_of(kind)).fault = fault
    bench.clock.sleep(1.0)
    with pytest.raises(DeviceFault, match=words[fault]):
        driver.read_temperature()
    assert math.isfinite(driver.read_control_temperature())
    bench.panel.sensor(sample_of(kind)).fault = Fault.NONE
    bench.clock.sleep(5.0)
    assert driver.read_temperature() == pytest.approx(bench.sample_K, rel=1e-3)
    # The control sensor: the instrument takes its output away by itself, and the loop says why.
    bench.panel.sensor("A").fault = fault
    bench.clock.sleep(5.0)
    loop = driver.read_loop()
    assert math.isnan(loop.temperature_K)
    assert loop.fault
    assert loop.heater == 0.0


@pytest.mark.parametrize("kind", NEW)
def test_an_input_without_a_sensor_or_beyond_its_curve_says_so(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    bench.tell("INTYPE B,0,0,0,0,1" + (",0" if kind is Model350 else ""))
    with pytest.raises(DeviceFault, match="invalid reading"):
        bench.driver().read_temperature()
    bench = Bench(kind, "in process", stack, start_K=430.0)
    with pytest.raises(DeviceFault, match="temperature over range"):
        bench.driver().read_temperature()


@pytest.mark.parametrize("kind", [Model335, Model336, Model340, Model350])
def test_an_old_reading_is_none(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    driver = bench.driver()
    status = bench.panel._queries["RDGST"]
    bench.panel._queries["RDGST"] = lambda a: "002"
    with pytest.raises(DeviceFault, match="input B has no valid temperature: old reading"):
        driver.read_temperature()
    bench.panel._queries["RDGST"] = lambda a: "012"
    with pytest.raises(DeviceFault, match="status 12"):
        driver.read_temperature()
    bench.panel._queries["RDGST"] = status
    assert driver.read_temperature() == pytest.approx(6.0, rel=1e-3)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    "reply", ["", "+005.", ";000", "+005.0000;", "+005.0000;00x", "+005.0000;000;1", "+600.0000;000", "nan;000"]
)
def test_a_reply_that_is_no_reading_with_its_status_is_an_error(kind: Any, reply: str, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    driver = bench.driver(sample_input="A")
    execute = bench.panel.execute
    bench.panel.execute = lambda command: (reply or "x") if "KRDG" in command else execute(command)
    with pytest.raises(ReplyError):
        driver.read_temperature()
    with pytest.raises(ReplyError):
        driver.read_loop()


@pytest.mark.parametrize("kind", [Model331, Model335, Model336, Model350, Model340])
def test_an_open_heater_is_found_when_it_is_switched_on(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    bench.panel.heated = ()
    with pytest.raises(DeviceFault, match=r"error 1 \(1 is open"):
        bench.driver().set_temperature(8.0)


@pytest.mark.parametrize("transport", ["in process", "tcp"])
@pytest.mark.parametrize("kind", MODELS)
def test_left_alone_it_goes_on_regulating_and_only_heater_off_switches_off(
    kind: Any, transport: str, stack: ExitStack
) -> None:
    bench = Bench(kind, transport, stack)
    driver = bench.driver()
    driver.set_temperature(20.0)
    before = bench.panel.received
    driver.make_safe()
    assert bench.panel.received == before
    assert driver.heater_range > 0
    bench.clock.sleep(60.0)
    assert bench.sample_K == pytest.approx(20.0, rel=5e-3)
    driver.heater_off()
    assert driver.heater_range == 0
    assert driver.read_heater() == 0.0
    assert not driver.read_loop().heating
    bench.clock.sleep(60.0)
    assert bench.sample_K < 18.0


@pytest.mark.parametrize("kind", MODELS)
def test_faults_of_a_sensor_come_and_go_by_the_laboratorys_schedule(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    driver = bench.driver()
    driver.set_temperature(8.0)
    bench.clock.sleep(60.0)
    kinds = ("sensor_open", "sensor_short", "sensor_over")
    faults = [
        LaboratoryFault(word, "cryostat", at_s=10.0 * n, for_s=5.0, text=sample_of(kind))
        for n, word in enumerate(kinds, 1)
    ]
    FaultSchedule(bench.world, [bench.panel], faults)
    begun_s, bad = bench.clock.now(), 0
    while (now_s := bench.clock.now() - begun_s) < 45.0:
        bench.clock.sleep(0.5)
        try:
            assert driver.read_temperature() == pytest.approx(bench.sample_K, rel=2e-3)
        except DeviceFault:
            bad += 1
            assert 9.0 < now_s < 36.0
    assert 20 < bad < 40


# Waiting until it is stable


@pytest.mark.parametrize("kind", MODELS)
def test_a_procedure_waits_until_the_sample_is_stable_and_it_truly_is(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    driver = bench.driver()
    driver.set_temperature(15.0)
    rule = {"tolerance_K": 0.015, "window_s": 60.0, "timeout_s": 900.0, "drift_K_per_s": 0.015 / 60}
    said = [step.text for step in settle(bench.clock, driver, 15.0, **rule) if isinstance(step, Waiting)]
    assert bench.sample_K == pytest.approx(15.0, abs=5e-3)
    assert 60.0 < bench.clock.now() < 400.0
    # The scanner has to come to its channel first.
    assert ("just come to channel 2" in said[0]) == (kind is Model372)


@pytest.mark.parametrize("kind", MODELS)
def test_a_thermometer_that_is_never_still_ends_the_wait_at_its_time_limit(kind: Any, stack: ExitStack) -> None:
    bench = Bench(kind, "in process", stack)
    driver = bench.driver()
    driver.set_temperature(15.0)
    noise = LaboratoryFault("sensor_noise", "", amount=2e-3, for_s=1e6)
    FaultSchedule(bench.world, [bench.panel], [noise])
    begun_s = bench.clock.now()
    with pytest.raises(NotSettled, match="did not stay within 15 mK of 15 K for 60 s in 300 s"):
        list(settle(bench.clock, driver, 15.0, tolerance_K=0.015, window_s=60.0, timeout_s=300.0))
    assert bench.clock.now() - begun_s < 312.0


# The scanner and the bridge of the 372


def test_a_372_reads_only_where_its_scanner_stands(stack: ExitStack) -> None:
    bench = Bench(Model372, "in process", stack)
    driver = bench.driver()
    with pytest.raises(DeviceFault, match="scanner stands at channel 1, so its reading is an old one"):
        driver.read_temperature()
    driver.select_channel("2")
    assert driver.scan == (2, False)
    with pytest.raises(ReplyError, match="just come to channel 2"):
        driver.read_temperature()
    bench.clock.sleep(3.1)
    assert driver.read_temperature() == pytest.approx(bench.sample_K, rel=1e-3)
    # Somebody turns it at the front.
    bench.tell("SCAN 1,0")
    with pytest.raises(DeviceFault, match="scanner stands at channel 1"):
        driver.read_temperature()
    bench.tell("SCAN 2,1")
    with pytest.raises(DeviceFault, match="scanner goes round"):
        driver.read_temperature()
    driver.set_temperature(8.0)
    assert driver.scan == (2, False)


def test_a_372_whose_scanner_goes_round_reads_what_was_seen_last(stack: ExitStack) -> None:
    bench = Bench(Model372, "in process", stack)
    driver = bench.driver(scanned=True)
    driver.set_times("1", dwell_s=2, pause_s=3)
    driver.set_times("2", dwell_s=2, pause_s=3)
    driver.set_temperature(6.0)
    assert driver.scan == (2, True)
    bench.clock.sleep(20.0)
    assert driver.read_temperature() == pytest.approx(bench.sample_K, rel=1e-2)
    assert driver.read_loop().fault == ""


def test_a_372_cannot_control_from_one_channel_and_look_at_another(stack: ExitStack) -> None:
    bench = Bench(Model372, "in process", stack)
    for options in ({}, {"scanned": True}, {"sample_input": "1", "scanned": True}):
        with pytest.raises(ConfigError, match="a loop on channel 1 would be blind"):
            bench.driver(control_input="1", **options)
    driver = bench.driver(control_input="2")
    bench.tell("SCAN 1,0")
    assert driver.read_loop().fault.startswith("the scanner stands at channel 1")


def test_the_bridge_of_a_372_is_set_in_its_own_steps(stack: ExitStack) -> None:
    bench = Bench(Model372, "in process", stack)
    driver = bench.driver()
    driver.set_excitation("2", voltage_V=63.2e-6)
    assert bench.ask("INTYPE? 2").split(",")[:3] == ["0", "4", "1"]
    driver.set_excitation("2", current_A=31.6e-9, range_ohm=2e3)
    assert bench.ask("INTYPE? 2").split(",")[:4] == ["1", "10", "0", "13"]
    driver.set_excitation("A", current_A=10e-9)
    assert bench.ask("INTYPE? A").split(",")[:2] == ["1", "4"]
    bench.tell("SCAN 2,0")
    bench.clock.sleep(5.0)
    sensor = bench.panel.sensor("2")
    assert driver.read_resistance("2") == pytest.approx(sensor.kind.curve.units(bench.sample_K), rel=1e-3)
    sensor.fault = Fault.OPEN
    with pytest.raises(DeviceFault, match="no valid resistance: current source overload"):
        driver.read_resistance("2")


@pytest.mark.parametrize(
    ("channel", "step"),
    [
        ("2", {"voltage_V": 50e-6}), ("2", {"voltage_V": 1.0}), ("2", {"current_A": math.nan}), ("2", {}),
        ("2", {"voltage_V": 2e-6, "current_A": 1e-12}), ("A", {"voltage_V": 2e-6}), ("A", {"current_A": 1e-3}),
        ("17", {"voltage_V": 2e-6}), ("2", {"voltage_V": 2e-6, "range_ohm": 1e12}),
    ],
)  # fmt: skip
def test_an_excitation_that_the_bridge_does_not_have_is_refused(
    channel: str, step: dict[str, float], stack: ExitStack
) -> None:
    bench = Bench(Model372, "in process", stack)
    driver = bench.driver()
    with pytest.raises(LimitError, match="Nothing was sent"):
        driver.set_excitation(channel, **step)
    with pytest.raises(LimitError, match="Nothing was sent"):
        driver.set_times("2", dwell_s=0, pause_s=3)
    with pytest.raises(LimitError, match="Nothing was sent"):
        driver.select_channel("0")
    assert bench.panel.received == 0
