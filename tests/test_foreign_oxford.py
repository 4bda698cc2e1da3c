"""Oxford's panels on sockets, driven by pymeasure's and QCoDeS' own unchanged drivers."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pymeasure.instruments.oxfordinstruments import IPS120_10, PS120_10, MercuryiTC, ips120_10, itc503
from pymeasure.instruments.oxfordinstruments import ITC503 as PymeasureITC503
from pymeasure.instruments.oxfordinstruments.base import OxfordVISAError
from pymeasure.instruments.oxfordinstruments.ips120_10 import MagnetError
from pyvisa.errors import VisaIOError
from qcodes.instrument_drivers.oxford import MercuryiPS_VISA, OxfordMercuryiPS
from qcodes.math_utils import FieldVector
from remanence.core.clock import VirtualClock
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import FrontPanel
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.mercury_ips import MercuryIPS
from remanence.simulators.mercury_itc import MercuryITC
from remanence.simulators.oxford_ips120 import IPS120, PS120
from remanence.simulators.oxford_itc503 import ITC503
from remanence.simulators.sample import load_sample
from remanence.simulators.tcp import TcpServer, serve
from remanence.simulators.world import World, WorldSettings

COIL = MagnetSettings(
    0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)), warm_time_s=15.0, cool_time_s=15.0
)

# The side coils of a vector magnet: 1 T each, without switches.
SIDE = MagnetSettings(0.02, 2.0, 10.0, 5.0, 0.004, ((50.0, 0.5),), switch_fitted=False)


class Rig:
    """A laboratory with one panel behind a socket."""

    def __init__(self, make: Callable[[World, str], FrontPanel], more_coils: dict[str, MagnetSettings]) -> None:
        self.clock = VirtualClock()
        sample = load_sample("park2020_deficient")
        settings = WorldSettings(COIL, CryostatSettings(), sample, more_coils=more_coils)
        self.world = World(settings, self.clock, 3)
        self.magnet = self.world.magnet
        self.panel: Any = make(self.world, "oxford")
        self.server: TcpServer = serve({"oxford": self.panel}, self.clock)
        self.closers: list[Callable[[], None]] = []

    def resource(self) -> str:
        host, port = self.server.addresses["oxford"]
        return f"TCPIP0::{host}::{port}::SOCKET"

    def drive(self, driver: Callable[..., Any], **options: Any) -> Any:
        instrument = driver(self.resource(), visa_library="@py", **options)
        self.closers.append(instrument.adapter.connection.close)
        return instrument

    def coil_T(self) -> float:
        self.world.advance()
        return self.magnet.coil_current() * COIL.tesla_per_ampere


@pytest.fixture
def rig_of() -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(panel: Callable[[World, str], FrontPanel], **more_coils: MagnetSettings) -> Rig:
        rigs.append(Rig(panel, more_coils))
        return rigs[-1]

    yield make
    for rig in rigs:
        for close in rig.closers:
            close()
        rig.server.close()


# pymeasure's IPS120_10


@pytest.fixture
def ips(rig_of: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch) -> tuple[Rig, Any]:
    rig = rig_of(IPS120)
    monkeypatch.setattr(ips120_10, "sleep", rig.clock.sleep)
    return rig, rig.drive(IPS120_10, timeout=500)


def test_pymeasures_ips_takes_control_goes_to_a_field_and_keeps_it_without_leads(ips: tuple[Rig, Any]) -> None:
    rig, supply = ips
    assert supply.version == "IPS120-10  Version 3.07  (c) OXFORD 1996"
    assert (supply.control_mode, supply.activity) == ("LL", "clamp")
    supply.enable_control()
    assert (supply.control_mode, supply.activity, supply.switch_heater_enabled) == ("RU", "hold", True)
    start_s = rig.clock.now()
    supply.set_field(0.1, sweep_rate=0.3)
    # 20 s of sweep, asked each second, 10 s of sleep, 20 s for the switch, and the leads back at the same rate.
    assert rig.clock.now() - start_s == pytest.approx(20 + 10 + 20 + 20, abs=4)
    assert (supply.sweep_status, supply.switch_heater_enabled, supply.demand_field) == ("at rest", False, 0.0)
    assert (supply.persistent_field, supply.field, supply.demand_current) == (0.1, 0.1, 0.0)
    assert rig.coil_T() == pytest.approx(0.1, abs=1e-4)
    supply.set_field(0)
    assert rig.coil_T() == pytest.approx(0.0, abs=1e-4)
    assert not rig.magnet.quenched
    assert (supply.field, supply.switch_heater_enabled) == (0.0, True)
    supply.disable_control()
    assert (supply.control_mode, supply.activity) == ("LU", "clamp")


def test_pymeasures_ips_trains_the_magnet_without_persistent_mode(ips: tuple[Rig, Any]) -> None:
    rig, supply = ips
    supply.enable_control()
    seen: list[float] = []
    sleep = rig.clock.sleep

    def watch(duration_s: float) -> None:
        sleep(duration_s)
        seen.append(rig.coil_T())

    ips120_10.sleep = watch
    supply.train_magnet([(0.1, 0.3), (-0.1, 0.3)])
    assert (max(seen), min(seen)) == pytest.approx((0.1, -0.1), abs=1e-3)
    assert rig.coil_T() == pytest.approx(0.0, abs=1e-3)
    # Asked in normal resolution (1 mT), a field of 0.123456 T is 0.123 T.
    supply.set_field(0.123456, persistent_mode_control=False)
    assert (supply.field, supply.field_setpoint) == (0.123, 0.123)


def test_pymeasures_ips_reads_volts_as_its_current_and_the_output_as_its_set_point(ips: tuple[Rig, Any]) -> None:
    rig, supply = ips
    supply.enable_control()
    supply.current_setpoint, supply.sweep_rate = 2.0, 0.3
    supply.activity = "to setpoint"
    rig.clock.sleep(30.0)
    # R1 is the output voltage, and R0 the output, not the set point: so has the driver them.
    assert supply.current_measured == pytest.approx(60.0 * 0.3 / 60.0 / 0.135, abs=0.02)
    assert supply.current_setpoint == pytest.approx(30.0 * 0.3 / 60.0 / 0.135, abs=0.02)


def test_pymeasures_ips_goes_to_the_old_set_point_when_the_new_one_is_lost(ips: tuple[Rig, Any]) -> None:
    rig, supply = ips
    supply.enable_control()
    supply.set_field(-0.3, sweep_rate=0.3, persistent_mode_control=False)
    supply.activity = "to zero"
    supply.wait_for_idle()
    obey = rig.panel.execute
    rig.panel.execute = lambda command: None if command.startswith("J") else obey(command)
    with pytest.raises(VisaIOError):
        supply.set_field(0.1, persistent_mode_control=False)
    rig.clock.sleep(120.0)
    assert rig.coil_T() == pytest.approx(-0.3, abs=1e-4)


def test_pymeasures_ips_is_refused_in_local_beyond_a_limit_and_with_leads_apart(ips: tuple[Rig, Any]) -> None:
    rig, supply = ips
    with pytest.raises(OxfordVISAError, match="did not understand"):
        supply.activity = "hold"
    supply.enable_control()
    wide = rig.drive(IPS120_10, timeout=500, field_range=20)
    with pytest.raises(OxfordVISAError, match="J16"):
        wide.field_setpoint = 16.0
    supply.field_setpoint = 20.0  # this driver clips
    assert supply.field_setpoint == 7.0
    supply.set_field(0.1, sweep_rate=0.3)
    with pytest.raises(OxfordVISAError, match="H1"):
        supply.switch_heater_enabled = True
    with pytest.raises(MagnetError, match="persistent mode"):
        supply.set_field(0.2, persistent_mode_control=False)
    assert rig.coil_T() == pytest.approx(0.1, abs=1e-4)


def test_pymeasures_ips_does_not_notice_a_quench(ips: tuple[Rig, Any]) -> None:
    rig, supply = ips
    supply.enable_control()
    supply.sweep_rate = 0.3
    sleep = rig.clock.sleep
    start_s = rig.clock.now()

    def quench_on_the_way(duration_s: float) -> None:
        sleep(duration_s)
        if rig.clock.now() - start_s > 10.0 and not rig.magnet.quenches:
            rig.world.advance()
            rig.magnet.quench(rig.clock.now())

    ips120_10.sleep = quench_on_the_way
    supply.set_field(0.1, persistent_mode_control=False)
    assert rig.magnet.quenches == 1
    assert supply.field == 0.0
    assert supply.ask("X")[:2] == "X1"
    assert float(supply.ask("R19")) == pytest.approx(0.05, abs=0.01)
    with pytest.raises(OxfordVISAError, match="A1"):
        supply.activity = "to setpoint"


def test_pymeasures_ips_quenches_the_magnet_with_a_forced_heater(ips: tuple[Rig, Any]) -> None:
    rig, supply = ips
    supply.enable_control()
    supply.set_field(0.1, sweep_rate=0.3)
    supply.switch_heater_enabled = "Force"
    rig.clock.sleep(20.0)
    assert supply.ask("X")[:2] == "X1"
    assert rig.magnet.quench_cause == "leads and coil apart when the switch opened"


# pymeasure's PS120_10


def test_pymeasures_ps_moves_in_ten_millitesla_and_cuts_what_is_less(
    rig_of: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = rig_of(PS120)
    monkeypatch.setattr(ips120_10, "sleep", rig.clock.sleep)
    supply = rig.drive(PS120_10, timeout=500)
    supply.enable_control()
    supply.set_field(0.1, sweep_rate=0.3)
    assert (supply.persistent_field, supply.demand_field) == (pytest.approx(0.1), 0.0)
    assert rig.coil_T() == pytest.approx(0.1, abs=1e-4)
    supply.set_field(0)
    assert rig.coil_T() == pytest.approx(0.0, abs=1e-4)
    # 0.29 · 100 is 28.999…, of which the driver takes the whole.
    supply.field_setpoint = 0.29
    assert supply.field_setpoint == pytest.approx(0.28)
    with pytest.raises(OxfordVISAError, match="J-10"):
        supply.field_setpoint = -0.1


# QCoDeS' OxfordMercuryiPS


class Axes:
    """QCoDeS' driver on a vector magnet, and what became of it."""

    def __init__(self, rig: Rig, **options: Any) -> None:
        self.rig = rig
        self.driver: Any = OxfordMercuryiPS("mercury", rig.resource(), visalib="@py", timeout=1, **options)
        rig.closers.append(self.driver.close)
        for axis in "XYZ":
            group = getattr(self.driver, f"GRP{axis}")
            group.ramp_status("HOLD")
            group.field_ramp_rate(0.005)

    def truth_T(self) -> tuple[float, ...]:
        self.rig.world.advance()
        magnets = self.rig.world.magnets
        return tuple(magnets[axis].coil_current() * magnets[axis].settings.tesla_per_ampere for axis in "xyz")


@pytest.fixture
def axes(rig_of: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Axes]:
    def make(firmware: str = "", **options: Any) -> Axes:
        rig = rig_of(lambda world, name: MercuryIPS(world, name, firmware=firmware), x=SIDE, y=SIDE)
        monkeypatch.setattr(MercuryiPS_VISA, "time", SimpleNamespace(sleep=rig.clock.sleep))
        return Axes(rig, **options)

    return make


@pytest.mark.parametrize(("firmware", "noun"), [("2.5.09.000", "PSU"), ("2.6.08", "SPSU")])
def test_qcodes_mercury_identifies_the_firmware_and_ramps_one_axis(
    axes: Callable[..., Axes], firmware: str, noun: str
) -> None:
    mercury = axes(firmware)
    driver = mercury.driver
    assert driver.get_idn() == {
        "vendor": "OXFORD INSTRUMENTS", "model": "MERCURY IPS", "serial": "123450001", "firmware": firmware,
    }  # fmt: skip
    assert driver.GRPZ.psu_string == noun
    assert driver.GRPZ.field_ramp_rate() == pytest.approx(0.005, rel=1e-3)
    driver.z_target(0.1)
    start_s = mercury.rig.clock.now()
    driver.ramp("safe")
    assert mercury.rig.clock.now() - start_s == pytest.approx(20.0, abs=2.0)
    assert driver.GRPZ.ramp_status() == "HOLD"
    assert driver.z_measured() == pytest.approx(0.1, abs=1e-4)
    assert driver.GRPZ.current() == pytest.approx(0.1 / 0.135, abs=1e-3)
    mercury.rig.clock.sleep(10.0)
    assert mercury.truth_T() == pytest.approx((0.0, 0.0, 0.1), abs=1e-5)


def test_qcodes_mercury_moves_a_vector(axes: Callable[..., Axes]) -> None:
    mercury = axes()
    driver = mercury.driver
    driver.field_target(FieldVector(0.03, -0.04, 0.12))
    driver.ramp("simul_block")
    mercury.rig.clock.sleep(10.0)
    assert mercury.truth_T() == pytest.approx((0.03, -0.04, 0.12), abs=1e-5)
    assert driver.r_measured() == pytest.approx(0.13, abs=2e-4)
    driver.r_target(0.05)
    driver.ramp("simul")
    assert driver.is_ramping()
    mercury.rig.clock.sleep(30.0)
    assert not driver.is_ramping()
    assert driver.r_measured() == pytest.approx(0.05, abs=2e-4)
    assert driver.magnet_temp() == pytest.approx(mercury.rig.magnet.coil_K, rel=1e-3)
    assert driver.pt1_temp() == pytest.approx(40.0, rel=1e-3)
    assert driver.pt2_temp() == pytest.approx(mercury.rig.magnet.coil_K, rel=1e-3)


def test_qcodes_mercury_safe_ramp_leaves_its_limits_on_the_way(axes: Callable[..., Axes]) -> None:
    mercury = axes(field_limits=lambda x, y, z: x**2 + y**2 + z**2 <= 0.1**2 + 1e-9)
    driver = mercury.driver
    with pytest.raises(ValueError, match="field_limits"):
        driver.x_target(0.11)
    driver.x_target(0.09)
    driver.ramp("safe")
    largest_T = 0.0

    def watch(duration_s: float) -> None:
        nonlocal largest_T
        mercury.rig.clock.sleep(duration_s)
        largest_T = max(largest_T, sum(part * part for part in mercury.truth_T()) ** 0.5)

    MercuryiPS_VISA.time.sleep = watch
    driver.field_target(FieldVector(0.0, 0.08, 0.0))
    driver.ramp("safe")
    # It moves the axis with the smaller way first: up with y, while x is still there.
    assert largest_T == pytest.approx((0.09**2 + 0.08**2) ** 0.5, abs=1e-3)


def test_qcodes_mercury_makes_a_persistent_field_and_is_refused_without_a_word(
    axes: Callable[..., Axes], caplog: pytest.LogCaptureFixture
) -> None:
    mercury = axes()
    driver, clock = mercury.driver, mercury.rig.clock
    driver.z_target(0.27)
    driver.ramp("safe")
    driver.GRPZ.heater_switch("OFF")
    assert driver.GRPZ.heater_switch() == "ON"  # its readback is late
    clock.sleep(20.0)
    assert driver.GRPZ.heater_switch() == "OFF"
    driver.GRPZ.ramp_status("TO ZERO")
    clock.sleep(60.0)
    assert (driver.GRPZ.field(), driver.GRPZ.field_persistent()) == (0.0, 0.27)
    assert driver.GRPZ.current_persistent() == 2.0
    assert mercury.truth_T()[2] == pytest.approx(0.27, abs=1e-5)
    # DENIED is no error for this driver; INVALID it logs.
    driver.GRPZ.heater_switch("ON")
    clock.sleep(20.0)
    assert driver.GRPZ.heater_switch() == "OFF"
    driver.GRPZ.ATOB(3.0)
    assert driver.GRPZ.ATOB() == pytest.approx(1 / 0.135, abs=1e-3)
    driver.GRPZ.field_target(20.0)
    assert "FSET:20.0:INVALID" in caplog.text
    assert driver.GRPZ.field_target() == pytest.approx(0.27)
    # Back: leads to the field, heater on, both to zero.
    driver.GRPZ.ramp_to_target()
    clock.sleep(60.0)
    driver.GRPZ.heater_switch("ON")
    clock.sleep(20.0)
    driver.GRPZ.ramp_status("TO ZERO")
    clock.sleep(70.0)
    assert mercury.truth_T()[2] == pytest.approx(0.0, abs=1e-4)
    assert not mercury.rig.magnet.quenched


def test_qcodes_mercury_takes_a_quench_for_an_arrival(axes: Callable[..., Axes]) -> None:
    mercury = axes()
    driver, rig = mercury.driver, mercury.rig

    def quench_on_the_way(duration_s: float) -> None:
        rig.clock.sleep(duration_s)
        rig.world.advance()
        if rig.magnet.coil_current() > 0.5 and not rig.magnet.quenches:
            rig.magnet.quench(rig.clock.now())

    MercuryiPS_VISA.time.sleep = quench_on_the_way
    driver.z_target(0.2)
    driver.ramp("safe")
    assert rig.magnet.quenches == 1
    assert driver.z_measured() == 0.0
    assert driver.ask("READ:SYS:ALRM") == ":GRPZ\tQuench Detected;"
    driver.GRPZ.ramp_status("TO SET")
    assert driver.GRPZ.ramp_status() == "HOLD"


def test_qcodes_mercury_cannot_be_made_for_a_single_axis(rig_of: Callable[..., Rig]) -> None:
    rig = rig_of(MercuryIPS)
    with pytest.raises(ValueError, match="could not convert"):
        Axes(rig)


# pymeasure's ITC503


@pytest.fixture
def itc(rig_of: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch) -> tuple[Rig, Any]:
    rig = rig_of(ITC503)
    monkeypatch.setattr(itc503, "sleep", rig.clock.sleep)
    monkeypatch.setattr(itc503, "time", rig.clock.now)
    return rig, rig.drive(PymeasureITC503, timeout=500)


def test_pymeasures_itc_regulates_a_temperature_and_waits_for_it(itc: tuple[Rig, Any]) -> None:
    rig, controller = itc
    assert controller.version == "ITC503 Version 1.11 (c) OXFORD 1997"
    assert controller.control_mode == "LL"
    with pytest.raises(OxfordVISAError, match="T10"):
        controller.temperature_setpoint = 10.0
    controller.control_mode = "RU"
    assert controller.control_mode == "RU"
    controller.write("M4")
    controller.proportional_band, controller.integral_action_time, controller.derivative_action_time = 5.0, 0.2, 0.0
    assert (controller.proportional_band, controller.integral_action_time) == (5.0, 0.2)
    controller.temperature_setpoint = 10.0
    assert controller.temperature_setpoint == 10.0
    # Without heat it cools while one talks to it.
    assert controller.temperature_error == pytest.approx(10.0 - rig.world.cryostat.block_K, abs=0.1)
    assert 4.0 < controller.temperature_error < 8.4
    controller.heater_gas_mode = "AM"
    start_s = rig.clock.now()
    controller.wait_for_temperature(error=0.02, thermalize_interval=30)
    rig.world.advance()
    assert rig.world.cryostat.block_K == pytest.approx(10.0, abs=0.02)
    assert 40.0 < rig.clock.now() - start_s < 600.0
    assert controller.temperature_1 == pytest.approx(10.0, abs=0.02)
    assert controller.temperature_2 == pytest.approx(rig.world.cryostat.sample_K, rel=1e-3)
    assert controller.temperature_3 == 0.0
    watts = controller.heater_voltage**2 / 40.0
    assert watts == pytest.approx(0.02 * 8.4, rel=0.08)
    with pytest.raises(OxfordVISAError, match="O20"):
        controller.heater = 20.0
    controller.heater_gas_mode = "MANUAL"
    controller.heater, controller.gasflow = 20.0, 35.0
    assert (controller.heater, controller.gasflow, controller.heater_voltage) == (20.0, 35.0, 0.8)


def test_pymeasures_itc_programs_and_runs_a_sweep(itc: tuple[Rig, Any]) -> None:
    rig, controller = itc
    with pytest.raises(AttributeError, match="remote"):
        controller.program_sweep([8.0, 10.0], 1.0, 0.5)
    controller.control_mode = "RU"
    controller.temperature_setpoint = 6.0
    controller.program_sweep(np.array([8.0, 10.0]), sweep_time=1.0, hold_time=0.5)
    controller.sweep_status = 1
    assert controller.sweep_status == 1
    rig.clock.sleep(30.0)
    assert controller.temperature_setpoint == pytest.approx(7.0, abs=0.05)
    rig.clock.sleep(45.0)
    assert (controller.sweep_status, controller.temperature_setpoint) == (2, 8.0)
    rig.clock.sleep(120.0)
    assert (controller.sweep_status, controller.temperature_setpoint) == (0, 10.0)
    controller.wipe_sweep_table()
    controller.pointer = (1, 1)
    # This driver strips an R from a reply, not an r: what its tables give stays text.
    assert controller.sweep_table == "r0.0"


def test_pymeasures_itc_uses_the_pid_table_and_reads_the_gas_flow_status_wrongly(itc: tuple[Rig, Any]) -> None:
    rig, controller = itc
    controller.control_mode = "RU"
    for y, value in enumerate((20.0, 4.0, 0.5, 0.0), 1):
        controller.pointer = (1, y)
        controller.auto_pid_table = value
    controller.temperature_setpoint, controller.auto_pid = 10.0, True
    rig.clock.sleep(5.0)
    assert (controller.auto_pid, controller.proportional_band, controller.integral_action_time) == (True, 4.0, 0.5)
    with pytest.raises(OxfordVISAError, match="P3"):
        controller.proportional_band = 3.0
    controller.x_pointer = 3
    controller.target_voltage_table = 12.0
    controller.front_panel_display = "heater voltage"
    controller.heater_gas_mode = "AUTO"
    assert (controller.target_voltage_table, controller.target_voltage) == ("t12.0", "n12.0")
    with pytest.raises(ValueError, match="m"):
        _ = controller.gasflow_control_status


# pymeasure's MercuryiTC


def test_pymeasures_mercury_itc_regulates_ramps_and_does_not_notice_a_refusal(rig_of: Callable[..., Rig]) -> None:
    rig = rig_of(MercuryITC)
    controller = rig.drive(MercuryiTC, timeout=500)
    assert controller.identity == "IDN:OXFORD INSTRUMENTS:MERCURY ITC:123450001:2.6.04.000"
    sensor, heater = controller.TS_MB, controller.HTR_MB
    assert (heater.voltage_limit, heater.resistance, heater.max_power) == (25.0, 50.0, 12.5)
    heater.voltage_limit = 5.0
    assert heater.max_power == 0.5
    assert sensor.temperature == pytest.approx(6.0, rel=1e-3)
    assert sensor.voltage == pytest.approx(2252.9 * 10e-6, rel=0.01)
    sensor.control_loop_heater_percent = 40.0
    assert (sensor.control_loop_heater_percent, heater.voltage) == (40.0, 2.0)
    assert (heater.current, heater.power) == (0.04, 0.08)
    sensor.control_loop_P, sensor.control_loop_I, sensor.control_loop_D = 5.0, 0.2, 0.0
    assert (sensor.control_loop_P, sensor.control_loop_I, sensor.control_loop_D) == (5.0, 0.2, 0.0)
    sensor.control_loop_temperature_setpoint = 10.0
    sensor.control_loop_PID_enabled = True
    rig.clock.sleep(600.0)
    assert sensor.temperature == pytest.approx(10.0, rel=1e-3)
    assert heater.power == pytest.approx(0.02 * 8.4, rel=0.02)
    sensor.control_loop_ramp_enabled, sensor.control_loop_ramp_rate = True, 2.0
    assert (sensor.control_loop_ramp_enabled, sensor.control_loop_ramp_rate) == (True, 2.0)
    sensor.control_loop_temperature_setpoint = 14.0
    rig.clock.sleep(60.0)
    assert sensor.temperature == pytest.approx(12.0, abs=0.15)
    rig.clock.sleep(300.0)
    assert sensor.temperature == pytest.approx(14.0, rel=2e-3)
    # Every SET is answered; this driver reads the answer and throws it away.
    sensor.control_loop_heater_percent = 50.0
    assert sensor.control_loop_heater_percent == pytest.approx(100.0 * (0.02 * 12.4 * 50.0) ** 0.5 / 5.0, rel=0.02)
    controller.add_temperature_sensor("DB6.T1")
    assert controller.TS["DB6.T1"].temperature == pytest.approx(rig.world.cryostat.sample_K, rel=1e-3)
    controller.add_temperature_sensor("DB9.T1")
    assert controller.TS["DB9.T1"].temperature == "NOT_FOUND"
