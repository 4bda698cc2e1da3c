"""Sources, meters and their sample, driven over sockets by drivers that know nothing of us."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments.keithley import Keithley2182, Keithley6221
from remanence.core.clock import VirtualClock
from remanence.simulators import keithley
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import FrontPanel
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.tcp import TcpServer, serve
from remanence.simulators.world import World, WorldSettings

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))
Panel = Callable[..., FrontPanel]


class Rig:
    """A laboratory behind sockets. What is opened is closed at the end."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        sample = load_sample("park2020_deficient")
        settings = WorldSettings(MAGNET, CryostatSettings(start_K=5.0, cold_K=5.0), sample)
        self.world = World(settings, self.clock, 3)
        self._servers: list[TcpServer] = []
        self._open: list[Any] = []

    def address(self, kind: Panel, wiring: str = "", **options: Any) -> str:
        panel = kind(self.world, kind.__name__, wiring, **options)
        server = serve({"panel": panel}, self.clock)
        self._servers.append(server)
        host, port = server.addresses["panel"]
        return f"TCPIP0::{host}::{port}::SOCKET"

    def pymeasure(
        self, driver: Callable[..., Any], kind: Panel, wiring: str = "", end: str = "\n", **options: Any
    ) -> Any:
        adapter = VISAAdapter(self.address(kind, wiring, **options), visa_library="@py", read_termination=end)
        self._open.append(adapter.connection)
        return driver(adapter, read_termination=end) if driver is Keithley2182 else driver(adapter)

    def close(self) -> None:
        for connection in self._open:
            connection.close()
        for server in self._servers:
            server.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


# The 6221 with the 2182A


def test_delta_mode_gives_the_samples_resistance_through_offset_and_drift(rig: Rig) -> None:
    meter = rig.pymeasure(Keithley2182, keithley.Keithley2182A)
    source = rig.pymeasure(Keithley6221, keithley.Keithley6221)
    meter.reset()
    source.reset()
    meter.voltage_nplc = 1
    assert source.delta_connected
    source.delta_unit = "Ohms"
    source.delta_high_source = 1e-6
    assert source.delta_low_source == -1e-6
    source.delta_delay = 2e-3
    source.delta_cycles = 200
    source.delta_compliance_abort_enabled = True
    source.delta_buffer_points = 200
    source.source_compliance = 1.0
    source.delta_arm()
    source.delta_start()
    assert source.check_errors() == []
    rig.clock.sleep(4.0)
    middle = source.delta_sense
    rig.clock.sleep(20.0)
    values = np.array(source.delta_values).reshape(-1, 2)
    truth = rig.world.contacts.resistance(1, 2, 3, 4)
    assert len(values) == 200
    assert middle[0] == pytest.approx(truth, rel=1e-3)
    assert values[:, 0].mean() == pytest.approx(truth, rel=2e-4)
    # 22 ms of conversion pair, 20 ms of integration: some 45 ms for each reading.
    assert np.diff(values[:, 1]) == pytest.approx(0.045, abs=0.002)
    assert source.operation_events & 2
    assert source.check_errors() == []
    source.delta_abort()
    assert not source.source_enabled
    # What it is worth: a single direct reading has the thermal EMFs in it.
    source.source_current = 1e-6
    source.enable_source()
    assert abs(meter.voltage / 1e-6 - truth) > 3 * abs(values[:, 0].mean() - truth)
