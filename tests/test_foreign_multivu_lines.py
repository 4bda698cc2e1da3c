"""QCoDeS's own DynaCool driver, at work on its line server in front of a simulated DynaCool.

As it stands in QCoDeS 0.58 it cannot be made at all, whatever it talks to; here it is mended in the two places that stop it.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from qcodes.instrument_drivers.QuantumDesign.DynaCoolPPMS.DynaCool import DynaCool
from remanence.core.clock import VirtualClock
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.multivu_lines import DynaCoolLines
from remanence.simulators.multivu_server import MultiVuServer
from remanence.simulators.sample import load_sample
from remanence.simulators.tcp import serve
from remanence.simulators.world import World, WorldSettings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

MAGNET = MagnetSettings(0.1, 5.0, 50.0, 6.0, 0.004, ((92.0, 0.4),))


class Mended(DynaCool):
    """The driver without what stops it: `False` for "no command", and an instrument that is given twice."""

    def add_parameter(self, name: str, **options: Any) -> Any:
        options.pop("instrument", None)
        if options.get("set_cmd") is False:
            options |= {"set_cmd": None, "get_cmd": None}
        return super().add_parameter(name, **options)


class Rig:
    """A DynaCool behind lines, and QCoDeS's driver on them."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        settings = WorldSettings(
            MAGNET, CryostatSettings(start_K=10.0, cooling_W_per_K=0.05), load_sample("park2020_deficient")
        )
        self.world = World(settings, self.clock, 7)
        self.panel = DynaCoolLines(self.world, "dynacool")
        self.server = serve({"dynacool": self.panel}, self.clock)
        host, port = self.server.addresses["dynacool"]
        self.driver: Any = Mended("dynacool", f"TCPIP0::{host}::{port}::SOCKET", visalib="@py", timeout=1)
        self.driver._ramp_time_resolution = 0.0

    def close(self) -> None:
        self.driver.close()
        self.server.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


def test_the_driver_identifies_and_reads_its_snapshot(rig: Rig) -> None:
    # The driver clips the code and the comma, and leaves the blank.
    assert rig.driver.get_idn() == {"vendor": " QuantumDesign", "model": "dynacool", "serial": "N/A", "firmware": "N/A"}
    assert rig.driver.temperature() == pytest.approx(10.0, rel=1e-3)
    assert rig.driver.temperature_state() == "stable"
    assert rig.driver.field_measured() == 0.0
    assert rig.driver.magnet_state() == "holding"
    assert rig.driver.chamber_state() == "purged and sealed"
    assert rig.driver.chamber_temperature() == pytest.approx(10.0, rel=1e-3)
    assert rig.driver.error_code == 0


def test_the_driver_of_qcodes_058_cannot_be_made(rig: Rig) -> None:
    host, port = rig.server.addresses["dynacool"]
    with pytest.raises(AttributeError, match="set"):
        DynaCool("unmended", f"TCPIP0::{host}::{port}::SOCKET", visalib="@py", timeout=1)


def test_the_driver_ramps_the_field_with_and_without_waiting(rig: Rig) -> None:
    driver = rig.driver
    driver.field_rate(0.02)
    driver.field_target(0.1)
    driver.ramp("non-blocking")
    rig.clock.sleep(2.0)
    assert driver.magnet_state() == "ramping"
    assert driver.field_measured() == pytest.approx(0.04, abs=2e-3)
    rig.clock.sleep(20.0)
    assert driver.magnet_state() == "holding"
    driver.field_ramp(-0.05)
    assert driver.field_measured() == pytest.approx(-0.05, abs=1e-5)
    assert rig.world.magnet.field() == pytest.approx(-0.05, abs=1e-4)


def test_the_driver_sets_a_temperature_and_then_fails_by_itself(rig: Rig) -> None:
    driver = rig.driver
    with pytest.raises(AttributeError):
        driver.temperature_rate(0.1)  # sent and done; the driver then looks for a parameter it has not got
    assert driver.temperature_rate.get() == pytest.approx(0.1)
    with pytest.raises(AttributeError):
        driver.temperature_setpoint(12.0)
    assert driver.temperature_setpoint.get() == 12.0
    assert driver.temperature_settling.get() == "fast settle"
    rig.clock.sleep(5.0)
    assert driver.temperature_state() in ("tracking", "chasing")
    rig.clock.sleep(300.0)
    assert driver.temperature_state() == "stable"
    assert driver.temperature() == pytest.approx(12.0, rel=1e-3)


def test_what_is_refused_or_unknown_comes_back_as_a_code(rig: Rig) -> None:
    driver = rig.driver
    driver.field_rate(0.5)
    driver.field_target(0.1)
    with pytest.raises(KeyError):
        driver.ramp("non-blocking")  # the driver knows no code but 0, 1 and -2
    assert driver.error_code == 3
    assert not rig.world.magnet.ramping(rig.world.now())
    with pytest.warns(UserWarning, match="Unknown command"):
        driver.ask("LEVE?")
    with pytest.warns(UserWarning, match="Unknown command"):
        driver.write("FELD up")


def test_both_servers_show_one_instrument_and_share_its_time(rig: Rig) -> None:
    with MultiVuServer(rig.panel.multivu, rig.clock, port=0, turn=rig.server.turn) as server:
        assert server.address[1] not in (0, rig.server.addresses["dynacool"][1])
        rig.panel.multivu.execute("FIELD 300.0,100.0,0,1")
        rig.clock.sleep(10.0)
        assert rig.driver.field_measured() == pytest.approx(0.03, abs=1e-5)
