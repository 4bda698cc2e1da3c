"""Programs that know nothing of us, on sockets: pymeasure's own unchanged drivers, and plain PyVISA."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import pyvisa
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments.keithley import Keithley6221
from pymeasure.instruments.srs import SR830
from remanence.core.clock import VirtualClock
from remanence.simulators import cryogenic, keithley, lakeshore, srs
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.tcp import TcpServer, serve
from remanence.simulators.world import World, WorldSettings

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))


class Rig:
    """A laboratory behind sockets, and the clock that its patience is measured on."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        settings = WorldSettings(MAGNET, CryostatSettings(), load_sample("park2020_deficient"))
        self.world = World(settings, self.clock, 3)
        panels = {
            "lockin": srs.SR830(self.world, "lockin", "xx"), "source": keithley.Keithley6221(self.world, "source"),
            "magnet": cryogenic.SMS120C(self.world, "magnet"), "cryostat": lakeshore.Model350(self.world, "cryostat"),
        }  # fmt: skip
        self.server: TcpServer = serve(panels, self.clock)

    def resource(self, name: str) -> str:
        host, port = self.server.addresses[name]
        return f"TCPIP0::{host}::{port}::SOCKET"

    def adapter(self, name: str) -> VISAAdapter:
        return VISAAdapter(self.resource(name), visa_library="@py", read_termination="\n")


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    with rig.server:
        yield rig


@pytest.fixture
def lockin(rig: Rig) -> Iterator[Any]:
    adapter = rig.adapter("lockin")
    yield SR830(adapter)
    adapter.connection.close()


@pytest.fixture
def source(rig: Rig) -> Iterator[Any]:
    adapter = rig.adapter("source")
    yield Keithley6221(adapter)
    adapter.connection.close()


def test_pymeasures_sr830_identifies_sets_and_reads(rig: Rig, lockin: Any, source: Any) -> None:
    assert lockin.id.startswith("Stanford_Research_Systems,SR830")
    lockin.sensitivity, lockin.time_constant, lockin.filter_slope = 2e-3, 0.1, 24
    lockin.reference_source = "External"
    assert (lockin.sensitivity, lockin.time_constant, lockin.filter_slope) == (2e-3, 0.1, 24)
    assert lockin.reference_source == "External"
    assert int(lockin.lia_status) & 8  # nothing to lock to yet
    source.waveform_function = "sine"
    source.waveform_amplitude = 1e-6 * math.sqrt(2)
    source.waveform_frequency = 17.77
    source.waveform_use_phasemarker = True
    source.waveform_duration_set_infinity()
    source.waveform_arm()
    source.waveform_start()
    assert source.check_errors() == []
    assert lockin.frequency == pytest.approx(17.77)
    rig.clock.sleep(5.0)
    assert int(lockin.lia_status) & 8  # latched while the marker was missing; cleared by this reading
    assert int(lockin.lia_status) == 0
    r_xx = rig.world.sample.resistances(rig.world.magnet.field(), rig.world.cryostat.sample_K)[0]
    assert lockin.x == pytest.approx(1e-6 * r_xx, rel=2e-3)
    x, y, r, theta = lockin.snap("X", "Y", "R", "Theta")
    assert r == pytest.approx(math.hypot(x, y), rel=1e-4)
    assert theta == pytest.approx(math.degrees(math.atan2(y, x)), abs=1e-3)
    assert lockin.xy == pytest.approx([lockin.x, lockin.y], rel=1e-3, abs=1e-6)
    source.waveform_abort()
    source.shutdown()
    assert not source.source_enabled
    assert not rig.world.excitation.on


def test_pymeasures_sr830_reads_the_step_through_the_filter(rig: Rig, lockin: Any) -> None:
    lockin.time_constant, lockin.filter_slope, lockin.reference_source = 1.0, 6, "External"
    assert lockin.filter_slope == 6
    excitation = rig.world.excitation
    rig.world.advance()
    excitation.rms_A, excitation.frequency_Hz, excitation.on, excitation.marker = 1e-6, 17.77, True, True
    start_s = rig.clock.now()
    final_V = 1e-6 * rig.world.sample.resistances(0.0, rig.world.cryostat.sample_K)[0]
    for _ in range(5):
        rig.clock.sleep(0.7)
        passed_s = rig.clock.now() - start_s
        assert lockin.x == pytest.approx(final_V * (1.0 - math.exp(-passed_s)), rel=5e-3)


def test_pymeasures_sr830_does_all_that_its_driver_offers_without_an_error(rig: Rig, lockin: Any) -> None:
    lockin.sine_voltage, lockin.phase, lockin.harmonic = 0.5, -90.0, 1
    assert (lockin.sine_voltage, lockin.phase, lockin.harmonic) == (0.5, -90.0, 1)
    lockin.frequency = 333.0
    assert lockin.frequency == pytest.approx(333.0)
    for name, value in [
        ("filter_synchronous", True), ("input_config", "A - B"), ("input_grounding", "Ground"), ("reserve", "Normal"),
        ("input_coupling", "DC"), ("input_notch_config", "Both"), ("reference_source_trigger", "POS EDGE"),
        ("aux_out_1", 1.5), ("sample_frequency", 16),
    ]:  # fmt: skip
        setattr(lockin, name, value)
        assert getattr(lockin, name) == value
    lockin.auto_gain()
    lockin.auto_phase()
    lockin.auto_offset("X")
    lockin.reset_buffer()
    lockin.start_scan()
    assert lockin.buffer_count >= 1
    lockin.pause_scan()
    assert lockin.get_scaling("Y") == (0.0, 1)
    assert lockin.aux_in_3 == 0.0
    lockin.save_setup(3)
    lockin.load_setup(3)
    assert int(lockin.ask("*ESR?")) == 128  # power-on and nothing else: every command was understood


def test_pymeasures_6221_gives_direct_current_and_reports_errors(source: Any) -> None:
    assert "6221" in source.id
    source.reset()
    source.source_auto_range = False
    source.source_range = 1e-3
    source.source_current = 5e-4
    source.source_compliance = 20
    source.enable_source()
    assert source.source_enabled
    assert source.source_current == pytest.approx(5e-4)
    assert source.source_compliance == 20
    assert source.check_errors() == []
    source.write("NONSENSE 1")
    assert source.check_errors()[0][0] == -113
    source.define_arbitary_waveform([0.0, 1.0, 0.0, -1.0])
    assert source.waveform_function == "arbitrary1"
    source.disable_source()
    assert not source.source_enabled


def test_plain_pyvisa_talks_to_every_instrument(rig: Rig) -> None:
    manager = pyvisa.ResourceManager("@py")
    for name, query, expected in [
        ("lockin", "*IDN?", "Stanford_Research_Systems,SR830"),
        ("source", "*IDN?", "KEITHLEY INSTRUMENTS INC.,MODEL 6221"),
        ("cryostat", "*IDN?", "LSCI,MODEL350"), ("cryostat", "KRDG? B", "+00"),
    ]:  # fmt: skip
        resource: Any = manager.open_resource(rig.resource(name), read_termination="\n")
        assert resource.query(query).startswith(expected)
        resource.close()
    magnet: Any = manager.open_resource(rig.resource("magnet"), read_termination="\n")
    assert "FIELD CONSTANT: 0.135000 T/A" in magnet.query("GET TPA")
    assert "HOLDING" in magnet.query("RAMP STATUS")
    magnet.close()
