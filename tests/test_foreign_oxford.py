"""Oxford's panels on sockets, driven by pymeasure's and QCoDeS' own unchanged drivers."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymeasure.instruments.oxfordinstruments import IPS120_10, PS120_10, ips120_10
from pymeasure.instruments.oxfordinstruments.base import OxfordVISAError
from pymeasure.instruments.oxfordinstruments.ips120_10 import MagnetError
from pyvisa.errors import VisaIOError
from remanence.core.clock import VirtualClock
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import FrontPanel
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.oxford_ips120 import IPS120, PS120
from remanence.simulators.sample import load_sample
from remanence.simulators.tcp import TcpServer, serve
from remanence.simulators.world import World, WorldSettings

COIL = MagnetSettings(
    0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)), warm_time_s=15.0, cool_time_s=15.0
)


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
