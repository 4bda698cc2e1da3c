"""The drivers on simulated wires, in process and over TCP: what they say, what they refuse, what they notice."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import pyvisa
from remanence.core.capabilities import CurrentSource, LockIn, LockInReading, TemperatureController
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError, DeviceFault, LimitError, ReplyError
from remanence.instruments.driver import Driver
from remanence.instruments.keithley import Keithley6221
from remanence.instruments.lakeshore import Model350
from remanence.instruments.link import Link
from remanence.instruments.srs import SR830
from remanence.simulators import keithley, lakeshore, srs
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import FrontPanel
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.tcp import serve
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))
RESOURCES = {
    "source": "GPIB0::12::INSTR", "lockin_xx": "GPIB0::8::INSTR", "cryostat": "TCPIP0::192.168.1.12::7777::SOCKET",
}  # fmt: skip
PANELS: dict[str, tuple[type[FrontPanel], str]] = {
    "source": (keithley.Keithley6221, ""), "lockin_xx": (srs.SR830, "xx"), "cryostat": (lakeshore.Model350, ""),
}  # fmt: skip


class Laboratory:
    """A world, its panels, and drivers for them over one of the two transports."""

    def __init__(self, transport: str, stack: ExitStack) -> None:
        self.clock = VirtualClock()
        self.world = World(WorldSettings(MAGNET, CryostatSettings(), load_sample("park2020_deficient")), self.clock, 1)
        self.panels = {name: panel(self.world, name, wiring) for name, (panel, wiring) in PANELS.items()}
        if transport == "tcp":
            server = stack.enter_context(serve(self.panels, self.clock))
            self.names = {n: f"TCPIP0::{h}::{p}::SOCKET" for n, (h, p) in server.addresses.items()}
            self._manager = pyvisa.ResourceManager("@py")
        else:
            self.names = RESOURCES
            panels = {RESOURCES[name]: panel for name, panel in self.panels.items()}
            self._manager = pyvisa.ResourceManager(VirtualVisaLibrary(panels, self.clock))
        self._stack = stack

    def driver(self, kind: Callable[..., Any], name: str, **options: Any) -> Any:
        resource: Any = self._manager.open_resource(self.names[name])
        self._stack.callback(resource.close)
        ends = {"write_end": getattr(kind, "write_end", "\n"), "read_end": getattr(kind, "read_end", "\n")}
        return kind(Link(resource, self.clock, name=name, **ends), name, **options)


@pytest.fixture(params=["in process", "tcp"])
def lab(request: pytest.FixtureRequest) -> Iterator[Laboratory]:
    with ExitStack() as stack:
        yield Laboratory(request.param, stack)


@pytest.fixture
def bench() -> Iterator[Laboratory]:
    with ExitStack() as stack:
        yield Laboratory("in process", stack)


@pytest.mark.parametrize(
    ("kind", "name", "capability", "identity"),
    [
        (SR830, "lockin_xx", LockIn, "Stanford_Research_Systems,SR830"),
        (Keithley6221, "source", CurrentSource, "KEITHLEY INSTRUMENTS INC.,MODEL 6221"),
        (Model350, "cryostat", TemperatureController, "LSCI,MODEL350"),
    ],
)
def test_a_driver_offers_its_capability_says_who_it_is_and_records_its_settings(
    lab: Laboratory, kind: type[Driver], name: str, capability: type, identity: str
) -> None:
    driver = lab.driver(kind, name)
    assert isinstance(driver, capability)
    assert driver.check_identity().startswith(identity)
    settings = driver.settings()
    assert set(kind.settings_table) <= set(settings)
    assert len(kind.settings_table) <= 15


@pytest.mark.parametrize("kind", [SR830, Keithley6221, Model350])
def test_every_property_says_what_it_does_and_in_which_unit(kind: type[Driver]) -> None:
    ours = [part for part in kind.__mro__ if part.__module__.startswith("remanence.")]
    own = {name: value for part in ours for name, value in vars(part).items() if isinstance(value, property)}
    assert own
    for name, value in own.items():
        text = (value.__doc__ or "").strip()
        assert text.startswith(("Control", "Measure", "Set", "Get")), name
        assert "(" in text or " as " in text or "code" in text, name


def test_a_driver_at_the_wrong_address_is_refused(bench: Laboratory) -> None:
    with pytest.raises(ReplyError, match="not a SR830"):
        bench.driver(SR830, "source").check_identity()


def story(lab: Laboratory) -> list[LockInReading]:
    """A lock-in that locks to the source and reads the sample, and the source switched off again."""
    lockin, source = lab.driver(SR830, "lockin_xx"), lab.driver(Keithley6221, "source")
    lockin.configure(sensitivity_V=2e-3, time_constant_s=0.1, poles=4)
    readings = [lockin.read_xy()]
    source.start_sine(rms_A=1e-6, frequency_Hz=17.77)
    for _ in range(20):
        readings.append(lockin.read_xy())
        lab.clock.sleep(0.1)
    source.output_off()
    readings.append(lockin.read_xy())
    return readings


def test_a_lock_in_reads_the_sample_and_says_when_it_is_not_locked(lab: Laboratory) -> None:
    first, second, *middle, last = story(lab)
    # The second still tells of the time before the source came on: the status is latched until it is read.
    assert first.flags == second.flags == last.flags == ("unlocked",)
    assert all(reading.flags == () for reading in middle)
    r_xx = lab.world.sample.resistances(lab.world.magnet.field(), lab.world.cryostat.sample_K)[0]
    assert middle[-1].x_V == pytest.approx(1e-6 * r_xx, rel=2e-3)
    assert abs(middle[-1].y_V) < 1e-6


def test_a_client_that_moves_to_tcp_reads_the_same_at_the_same_times() -> None:
    stories: list[list[LockInReading]] = []
    for transport in ("in process", "tcp"):
        with ExitStack() as stack:
            stories.append(story(Laboratory(transport, stack)))
    assert stories[0] == stories[1]


@pytest.mark.parametrize(
    ("settings", "neighbours"),
    [
        ({"sensitivity_V": 3e-3}, "0.002 and 0.005"),
        ({"sensitivity_V": 1e-9}, "are 2e-09"),
        ({"sensitivity_V": math.nan}, "nan"),
        ({"time_constant_s": 0.2}, "0.1 and 0.3"),
        ({"poles": 5}, "are 4"),
        ({"poles": 0}, "are 1"),
    ],
)
def test_a_lock_in_refuses_settings_it_does_not_have_before_a_byte_is_sent(
    bench: Laboratory, settings: dict[str, Any], neighbours: str
) -> None:
    lockin = bench.driver(SR830, "lockin_xx")
    before = lockin.settings()
    with pytest.raises(LimitError, match=neighbours):
        lockin.configure(**({"sensitivity_V": 2e-3, "time_constant_s": 0.1, "poles": 4} | settings))
    assert lockin.settings() == before


def test_the_delay_is_poles_times_time_constant_also_when_somebody_else_set_them(bench: Laboratory) -> None:
    lockin = bench.driver(SR830, "lockin_xx")
    assert lockin.read_delay() == pytest.approx(2 * 0.1)  # after power-on: 12 dB, 100 ms
    lockin.configure(sensitivity_V=1e-3, time_constant_s=0.3, poles=3)
    assert lockin.read_delay() == pytest.approx(0.9)


def test_an_overloaded_reading_says_so(bench: Laboratory) -> None:
    lockin, source = bench.driver(SR830, "lockin_xx"), bench.driver(Keithley6221, "source")
    lockin.configure(sensitivity_V=500e-6, time_constant_s=0.01, poles=4)
    source.start_sine(rms_A=1e-6, frequency_Hz=17.77)
    bench.clock.sleep(1.0)
    assert lockin.read_xy().flags == ("overload output", "unlocked")  # as it was before the source came on
    reading = lockin.read_xy()
    assert reading.flags == ("overload output",)
    assert reading.x_V == pytest.approx(1.09 * 500e-6)
    lockin.configure(sensitivity_V=10e-6, time_constant_s=0.01, poles=4)
    assert "overload filter" in lockin.read_xy().flags
    source.start_sine(rms_A=50e-3, frequency_Hz=17.77)
    assert "overload input" in lockin.read_xy().flags


@pytest.mark.parametrize(
    ("rms_A", "frequency_Hz"),
    [(0.0, 17.0), (-1e-6, 17.0), (0.0743, 17.0), (math.nan, 17.0), (math.inf, 17.0), (1e-6, 0.0), (1e-6, 2e5)],
)
def test_a_source_refuses_what_it_cannot_give_before_a_byte_is_sent(
    bench: Laboratory, rms_A: float, frequency_Hz: float
) -> None:
    source = bench.driver(Keithley6221, "source")
    before = source.settings()
    with pytest.raises(LimitError, match="Nothing was sent"):
        source.start_sine(rms_A=rms_A, frequency_Hz=frequency_Hz)
    assert source.settings() == before
    assert not bench.world.excitation.on


def test_the_amplitude_on_the_wire_is_the_peak(lab: Laboratory) -> None:
    source = lab.driver(Keithley6221, "source", marker_line=2, compliance_V=5.0)
    source.start_sine(rms_A=2e-6, frequency_Hz=13.0)
    assert source.waveform_amplitude == pytest.approx(2e-6 * math.sqrt(2), rel=1e-6)
    assert (source.phase_marker_line, source.compliance) == (2, 5.0)
    assert lab.world.excitation.rms_A == pytest.approx(2e-6, rel=1e-6)
    assert lab.world.excitation.marker
    # A second sine replaces the first.
    source.start_sine(rms_A=1e-6, frequency_Hz=14.0)
    assert lab.world.excitation.frequency_Hz == 14.0
    source.make_safe()
    assert not lab.world.excitation.on


def settle(lab: Laboratory, cryostat: Any, seconds: float) -> list[float]:
    readings: list[float] = []
    until_s = lab.clock.now() + seconds
    while lab.clock.now() < until_s:
        lab.clock.sleep(1.0)
        readings.append(cryostat.read_temperature())
    return readings


@pytest.mark.parametrize(
    ("start_K", "target_K", "seconds", "overshoot"),
    [(6.0, 5.0, 120, 0.05), (5.0, 20.0, 200, 0.02), (20.0, 100.0, 900, 0.01), (100.0, 300.0, 1500, 0.01)],
)
def test_the_sample_settles_at_every_temperature_without_a_large_overshoot(
    bench: Laboratory, start_K: float, target_K: float, seconds: float, overshoot: float
) -> None:
    bench.world.cryostat.block_K = bench.world.cryostat.sample_K = start_K
    cryostat = bench.driver(Model350, "cryostat")
    cryostat.set_temperature(target_K)
    readings = settle(bench, cryostat, seconds)
    assert all(abs(reading - target_K) < 1e-3 * target_K for reading in readings[-30:])
    sign = math.copysign(1.0, target_K - start_K)
    assert max(sign * (reading - target_K) for reading in readings) < overshoot * target_K
    assert 0.0 < cryostat.read_heater() < 0.95


def test_a_ramp_starts_where_the_block_is_and_changes_range_on_its_way(bench: Laboratory) -> None:
    cryostat = bench.driver(Model350, "cryostat")
    cryostat.set_temperature(10.0)
    settle(bench, cryostat, 60)
    cryostat.set_temperature(70.0, ramp_K_per_min=10.0)
    assert cryostat.ramping
    assert cryostat.ramp == (True, 10.0)
    assert cryostat.set_point == pytest.approx(10.0, abs=0.2)
    ranges: set[int] = set()
    for _ in range(340):
        bench.clock.sleep(1.0)
        ranges.add(cryostat.heater_range)
        assert cryostat.read_control_temperature() == pytest.approx(cryostat.set_point, abs=2.0)
    assert ranges == {3, 4}
    bench.clock.sleep(60.0)
    assert not cryostat.ramping
    assert cryostat.set_point == 70.0


@pytest.mark.parametrize(
    ("temperature_K", "ramp"),
    [
        (math.nan, None),
        (math.inf, None),
        (-4.0, None),
        (0.0, None),
        (310.1, None),
        (5.0, 0.0),
        (5.0, 101.0),
        (5.0, math.nan),
    ],
)
def test_a_controller_refuses_what_it_must_not_do_before_a_byte_is_sent(
    bench: Laboratory, temperature_K: float, ramp: float | None
) -> None:
    cryostat = bench.driver(Model350, "cryostat")
    before = cryostat.settings()
    with pytest.raises(LimitError, match="Nothing was sent"):
        cryostat.set_temperature(temperature_K, ramp)
    assert cryostat.settings() == before


def test_an_open_sensor_is_a_fault_and_not_zero_kelvin(lab: Laboratory) -> None:
    cryostat = lab.driver(Model350, "cryostat", sample_input="C")
    with pytest.raises(DeviceFault, match="invalid reading"):
        cryostat.read_temperature()


def test_the_heater_goes_off_and_the_cryostat_is_kept_when_all_is_made_safe(lab: Laboratory) -> None:
    cryostat = lab.driver(Model350, "cryostat")
    cryostat.set_temperature(20.0)
    cryostat.make_safe()
    assert cryostat.heater_range == 4
    cryostat.heater_off()
    assert cryostat.heater_range == 0
    assert cryostat.read_heater() == 0.0


def test_without_zones_range_and_pid_stay_as_the_operator_left_them(bench: Laboratory) -> None:
    cryostat = bench.driver(Model350, "cryostat", zones=[])
    before = (cryostat.pid, cryostat.mode, cryostat.heater_range)
    cryostat.set_temperature(12.0)
    assert (cryostat.pid, cryostat.mode, cryostat.heater_range) == before
    assert cryostat.set_point == 12.0


@pytest.mark.parametrize(
    "options",
    [
        {"sample_input": "E"}, {"output": 3}, {"largest_K": -1.0}, {"zones": [[5.0, 9, 1.0, 1.0, 0.0]]},
        {"zones": [[20.0, 3, 1.0, 1.0, 0.0], [5.0, 3, 1.0, 1.0, 0.0]]}, {"zones": [[5.0, 3]]},
    ],
)  # fmt: skip
def test_a_wrong_option_is_a_configuration_error(bench: Laboratory, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        bench.driver(Model350, "cryostat", **options)
