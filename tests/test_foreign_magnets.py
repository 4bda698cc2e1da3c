"""American Magnetics' 430 and Cryomagnetics' 4G on sockets, driven by pymeasure's and QCoDeS' own unchanged drivers."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pymeasure.instruments.ami import AMI430 as PymeasureAMI430
from pymeasure.instruments.ami import ami430
from qcodes.instrument_drivers.american_magnetics import AMI430_visa, AMIModel430, AMIModel4303D
from qcodes.instrument_drivers.american_magnetics.AMI430_visa import AMI430Exception
from qcodes.instrument_drivers.cryomagnetics import CryomagneticsModel4G, _cryomagnetics4g
from qcodes.instrument_drivers.cryomagnetics._cryomagnetics4g import Cryomagnetics4GException
from qcodes.math_utils import FieldVector
from remanence.core.clock import VirtualClock
from remanence.simulators.ami430 import AMI430
from remanence.simulators.cryomagnetics import Model4G
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import FrontPanel
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.tcp import TcpServer, serve
from remanence.simulators.world import World, WorldSettings

COIL = MagnetSettings(0.1182, 10.0, 30.0, 5.0, 0.004, ((40.0, 0.1), (50.8, 0.05)), warm_time_s=20.0, cool_time_s=20.0)
SIDE = MagnetSettings(0.02, 2.0, 10.0, 5.0, 0.004, ((50.0, 0.5),), switch_fitted=False)
Make = Callable[[World, str], FrontPanel]


class Rig:
    """A laboratory with panels behind sockets."""

    def __init__(self, **panels: Make) -> None:
        self.clock = VirtualClock()
        settings = WorldSettings(
            COIL, CryostatSettings(), load_sample("park2020_deficient"), more_coils={"x": SIDE, "y": SIDE}
        )
        self.world = World(settings, self.clock, 3)
        self.panels: dict[str, Any] = {name: make(self.world, name) for name, make in panels.items()}
        self.server: TcpServer = serve(self.panels, self.clock)
        self.closers: list[Callable[[], None]] = []

    def resource(self, name: str) -> str:
        host, port = self.server.addresses[name]
        return f"TCPIP0::{host}::{port}::SOCKET"

    def coil_T(self, axis: str = "z") -> float:
        """The field of an axis once it has settled."""
        self.clock.sleep(30.0)
        self.world.advance()
        magnet = self.world.magnets[axis]
        return magnet.coil_current() * magnet.settings.tesla_per_ampere

    def wait(self, driver: Any, seconds: float) -> None:
        """Let time pass once the supply has answered: an order that is not answered takes effect when it arrives."""
        driver.ask("*IDN?")
        self.clock.sleep(seconds)

    def qcodes(self, driver: Callable[..., Any], name: str, **options: Any) -> Any:
        instrument = driver(name, self.resource(name), visalib="@py", **options)
        self.closers.append(instrument.close)
        return instrument


@pytest.fixture
def rig_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(**panels: Make) -> Rig:
        rig = Rig(**panels)
        rigs.append(rig)
        sleep, now = rig.clock.sleep, rig.clock.now
        monkeypatch.setattr(AMI430_visa, "time", SimpleNamespace(sleep=sleep))
        monkeypatch.setattr(_cryomagnetics4g, "time", SimpleNamespace(sleep=sleep))
        monkeypatch.setattr(_cryomagnetics4g, "_time", now)
        monkeypatch.setattr(ami430, "sleep", sleep)
        monkeypatch.setattr(ami430, "time", now)
        return rig

    yield make
    for rig in rigs:
        for close in reversed(rig.closers):
            close()
        rig.server.close()


def along(axis: str) -> Make:
    return lambda world, name: AMI430(world, name, axis=axis)


# QCoDeS' AMIModel430


@pytest.fixture
def ami(rig_of: Callable[..., Rig]) -> tuple[Rig, Any]:
    rig = rig_of(magnet=AMI430)
    driver = rig.qcodes(AMIModel430, "magnet")
    driver.field_units("tesla")
    return rig, driver


def test_qcodes_430_identifies_rescales_its_units_and_arrives(ami: tuple[Rig, Any]) -> None:
    rig, driver = ami
    assert driver.get_idn()["model"] == "430"
    assert driver.coil_constant() == pytest.approx(0.1182)
    assert driver.field_limit() == pytest.approx(50.8 * 0.1182)
    driver.ramp_rate_units("minutes")
    driver.ramp_rate(0.3)
    assert driver.ramp_rate() == pytest.approx(0.3)
    driver.ramp_rate_units("seconds")
    assert driver.ramp_rate() == pytest.approx(0.005)
    start_s = rig.clock.now()
    driver.field(0.1)
    assert driver.ramping_state() == "holding"
    assert rig.clock.now() - start_s == pytest.approx(20.0, abs=1.0)
    assert driver.field() == pytest.approx(0.1)
    assert rig.coil_T() == pytest.approx(0.1, abs=1e-5)
    driver.set_field(-0.05, block=False)
    assert driver.ramping_state() == "ramping"
    driver.pause()
    assert driver.ramping_state() == "paused"
    driver.zero()
    rig.wait(driver, 60.0)
    assert driver.ramping_state() == "at zero current"
    assert driver.get_error() == '0,"No errors"'


def test_qcodes_430_is_refused_beyond_its_limits_by_itself_and_by_the_supply(ami: tuple[Rig, Any]) -> None:
    rig, driver = ami
    with pytest.raises(ValueError, match="higher than limit"):
        driver.field(6.1)
    with pytest.raises(ValueError, match="above the ramp rate limit"):
        driver.ramp_rate(1.0)
    driver.write("CONF:FIELD:TARG 6.1")
    assert driver.get_error() == '-105,"Out of range"'
    driver.write("CONF:FIELD:TARGET")
    assert driver.get_error() == '-104,"Missing parameter"'
    assert driver.setpoint() == 0.0
    assert rig.coil_T() == 0.0


def test_qcodes_430_keeps_a_field_persistent_and_a_mismatch_costs_a_quench(ami: tuple[Rig, Any]) -> None:
    rig, driver = ami
    driver.ramp_rate(0.005)
    driver.field(0.1)
    start_s = rig.clock.now()
    driver.switch_heater.state(False)
    assert rig.clock.now() - start_s == pytest.approx(20.0, abs=1.0)
    assert driver.switch_heater.in_persistent_mode()
    with pytest.raises(AMI430Exception, match="Cannot ramp"):
        driver.field(0.2)
    driver.zero()
    rig.wait(driver, 5.0)
    assert driver.field() == pytest.approx(0.1)
    assert float(driver.ask("CURR:SUPP?")) == 0.0
    assert rig.coil_T() == pytest.approx(0.1, rel=1e-4)
    driver.switch_heater.state(True)  # the driver does not compare leads and coil
    assert driver.ramping_state() == "quench detected"
    assert driver.is_quenched()
    with pytest.raises(AMI430Exception, match="quench detected"):
        driver.field(0.1)
    assert rig.coil_T() == pytest.approx(0.0, abs=1e-6)
    driver.reset_quench()
    with pytest.raises(AMI430Exception, match="failed with state: quench detected"):
        driver.field(0.1)  # the coil is still warm
    rig.wait(driver, 12 * 3600.0)
    driver.reset_quench()
    driver.field(0.1)
    assert rig.coil_T() == pytest.approx(0.1, abs=1e-5)


def test_qcodes_waits_in_vain_for_the_greeting_of_port_7185(rig_of: Callable[..., Rig]) -> None:
    rig = rig_of(magnet=lambda world, name: AMI430(world, name, greeting=False))
    with pytest.raises(Exception, match="VI_ERROR_TMO"):
        rig.qcodes(AMIModel430, "magnet", timeout=0.3)


@pytest.fixture
def vector(rig_of: Callable[..., Rig]) -> tuple[Rig, Any]:
    rig = rig_of(x=along("x"), y=along("y"), z=along("z"))
    axes = [
        rig.qcodes(AMIModel430, axis, current_ramp_limit=coil.segments[-1][1])
        for axis, coil in (("x", SIDE), ("y", SIDE), ("z", COIL))
    ]
    for axis in axes:
        axis.field_units("tesla")
        axis.ramp_rate(0.005)
    magnet = AMIModel4303D("magnet", *axes, field_limit=0.3)
    rig.closers.append(magnet.close)
    return rig, magnet


def test_three_430s_are_qcodes_vector_magnet(vector: tuple[Rig, Any]) -> None:
    rig, magnet = vector
    magnet.cartesian((0.05, -0.1, 0.02))
    assert magnet.cartesian_measured() == pytest.approx([0.05, -0.1, 0.02])
    assert [rig.coil_T(axis) for axis in "xyz"] == pytest.approx([0.05, -0.1, 0.02], abs=1e-6)
    with pytest.raises(ValueError, match="exceed limit"):
        magnet.cartesian((0.2, 0.2, 0.2))
    magnet.field(0.05)
    assert magnet.field_measured() == pytest.approx(0.05)
    rig.world.magnets["y"].quench(rig.clock.now())
    with pytest.raises(AMI430Exception, match="quench"):
        magnet.cartesian((0.0, 0.1, 0.0))


def test_qcodes_ramps_three_axes_along_a_straight_line(vector: tuple[Rig, Any]) -> None:
    rig, magnet = vector
    magnet.block_during_ramp(False)
    magnet.ramp_simultaneously(FieldVector(0.03, 0.06, -0.06), 60.0)
    # The last order has no answer: only a question behind it says that it has arrived before the clock moves.
    magnet._instrument_z.ramping_state()
    for _ in range(3):
        rig.clock.sleep(15.0)
        x, y, z = magnet.cartesian_measured()
        assert 0.0 < x < 0.03
        # Told one after the other, by tens of milliseconds.
        assert (y, z) == pytest.approx((2 * x, -2 * x), abs=3e-4)
    magnet.wait_while_all_axes_ramping()
    assert magnet.cartesian_measured() == pytest.approx([0.03, 0.06, -0.06])
    assert magnet._instrument_x.ramp_rate() == pytest.approx(0.005)  # restored


# pymeasure's AMI430


@pytest.fixture
def pymeasure_ami(rig_of: Callable[..., Rig]) -> tuple[Rig, Any]:
    rig = rig_of(magnet=AMI430)
    driver = PymeasureAMI430(rig.resource("magnet"), visa_library="@py")
    rig.closers.append(driver.adapter.connection.close)
    return rig, driver


def test_pymeasures_ami430_ramps_in_kilogauss_and_shuts_down(pymeasure_ami: tuple[Rig, Any]) -> None:
    rig, driver = pymeasure_ami
    assert "430" in driver.id
    assert driver.coilconst == pytest.approx(1.182)
    driver.voltage_limit = 2.2
    assert driver.voltage_limit == pytest.approx(2.2)
    driver.ramp_to_current(2.0, 0.05)
    assert driver.magnet_status == "RAMPING"
    driver.wait_for_holding()
    assert (driver.magnet_current, driver.supply_current) == (2.0, 2.0)
    assert driver.field == pytest.approx(2.364)
    assert rig.coil_T() == pytest.approx(0.2364, rel=1e-5)
    driver.ramp_to_field(1.182, 0.05)
    driver.pause()
    assert driver.magnet_status == "PAUSED"
    driver.ramp()
    driver.wait_for_holding()
    assert driver.magnet_current == pytest.approx(1.0)
    driver.shutdown(0.05)
    assert driver.magnet_status == "Cooling Persistent Switch"
    assert driver.magnet_current < 0.0508  # "at zero" begins at a thousandth of the limit
    rig.wait(driver, 30.0)
    assert driver.magnet_current == 0.0
    assert driver.check_errors() == []


def test_pymeasures_ami430_hears_of_errors_only_when_it_asks(pymeasure_ami: tuple[Rig, Any]) -> None:
    _rig, driver = pymeasure_ami
    driver.target_field = 100.0
    assert driver.target_field == 0.0
    assert driver.check_errors() == [[-105, '"Out of range"']]


def test_the_known_defects_of_pymeasures_ami430_show(pymeasure_ami: tuple[Rig, Any]) -> None:
    rig, driver = pymeasure_ami
    driver.ramp_rate_current = 0.05
    assert driver.ramp_rate_current == [0.05, 50.8]  # rate and bound, not a number
    driver.disable_persistent_switch()
    assert driver.has_persistent_switch_enabled() is True  # the text "0" is true
    rig.wait(driver, 30.0)
    rig.world.magnet.quench(rig.clock.now())
    with pytest.raises(Exception, match="Timed out"):
        driver.wait_for_holding(interval=5.0)  # a quench is no state that it knows to end at
    assert driver.magnet_status == "QUENCH!!!"


# QCoDeS' CryomagneticsModel4G


@pytest.fixture
def cryomagnetics(rig_of: Callable[..., Rig]) -> tuple[Rig, Any]:
    rig = rig_of(magnet=Model4G)
    ranges = {0: (40.0, 0.1), 1: (50.8, 0.05)}
    return rig, rig.qcodes(CryomagneticsModel4G, "magnet", max_current_limits=ranges, coil_constant=0.1182)


def test_qcodes_4g_identifies_sets_its_rates_and_sweeps(cryomagnetics: tuple[Rig, Any]) -> None:
    rig, driver = cryomagnetics
    assert driver.get_idn()["vendor"] == "Cryomagnetics"
    assert int(driver.ask("*ESR?")) & 16  # the driver asked for tesla, which the supply does not know
    assert driver.units() == "kG"
    driver.rate(0.3)
    assert driver.rate() == pytest.approx(0.3, rel=1e-3)
    assert driver.get_rates()[1] == (pytest.approx(50.8 * 0.1182), pytest.approx(0.3, rel=1e-3))
    driver.set_field(0.05, block=False)
    rig.wait(driver, 5.0)
    assert driver.Vmag() == pytest.approx(10.0 * 0.3 / 60 / 0.1182, abs=1e-3)
    with pytest.raises(Cryomagnetics4GException, match="already ramping"):
        driver.magnet_operating_state()
    rig.wait(driver, 10.0)
    state = driver.magnet_operating_state()
    assert (state.ramping, state.standby, state.quench_condition_present) == (False, True, False)
    assert rig.coil_T() == pytest.approx(0.05, abs=1e-6)
    driver.zero_current()
    rig.wait(driver, 20.0)
    assert driver.Iout() == 0.0
    assert rig.coil_T() == pytest.approx(0.0, abs=1e-6)


def test_qcodes_4g_takes_kilogauss_for_tesla_and_stops_at_a_tenth(cryomagnetics: tuple[Rig, Any]) -> None:
    rig, driver = cryomagnetics
    # So slow that the field hardly moves between two looks, nor while its order to pause is under way.
    driver.rate(0.006)
    driver.set_field(0.1)
    assert driver.field() == pytest.approx(0.1, abs=3e-3)  # in kG, though its unit says T
    assert rig.coil_T() == pytest.approx(0.01, abs=3e-4)


def test_qcodes_4g_says_nothing_when_a_quench_forbids_the_field(cryomagnetics: tuple[Rig, Any]) -> None:
    rig, driver = cryomagnetics
    driver.set_field(0.05, block=False)
    rig.wait(driver, 5.0)
    rig.world.advance()
    rig.world.magnet.quench(rig.clock.now())
    with pytest.raises(Cryomagnetics4GException, match="quench"):
        driver.magnet_operating_state()
    driver.set_field(0.1)  # returns as if it had been done
    assert rig.coil_T() == pytest.approx(0.0, abs=1e-6)
    driver.quenched_state_reset()
    assert not driver.magnet_operating_state().quench_condition_present
    driver.set_field(0.1, block=False)  # the coil is still warm
    with pytest.raises(Cryomagnetics4GException, match="quench"):
        driver.magnet_operating_state()
