"""Lock-in drivers that know nothing of us, on sockets: pymeasure's and QCoDeS's, unchanged, doing a day's work."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments.ametek import Ametek7270
from pymeasure.instruments.signalrecovery import DSP7265
from pymeasure.instruments.srs import SR830, SR860
from qcodes.instrument_drivers import stanford_research as qcodes_srs
from remanence.core.clock import VirtualClock
from remanence.simulators import signal_recovery, srs
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.lock_in import LockIn
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import SampleSettings, load_sample
from remanence.simulators.tcp import TcpServer, serve
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings
from scipy.stats import gamma

# QCoDeS and its helpers warn of things of their own.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning",
    "ignore:Parameter ch._databuffer on instrument lockin does not correctly pass kwargs",
)  # fmt: skip

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))
SERIES_ohm = 1e5


class Rig:
    """One lock-in of each kind on the sample, on sockets; the one a test asks for drives it."""

    def __init__(self, kind: type[LockIn], quiet: bool = True, **options: Any) -> None:
        self.clock = VirtualClock()
        sample = load_sample("park2020_deficient")
        if quiet:
            silence = {"drift_V_per_sqrt_s": 0.0, "pickup_V": 0.0, "noise_V_per_sqrtHz": 0.0}
            sample = SampleSettings.model_validate(sample.model_dump() | silence)
        settings = WorldSettings(MAGNET, CryostatSettings(start_K=1.6, cold_K=1.6), sample, 0.0 if quiet else 6e-9)
        self.world = World(settings, self.clock, 3)
        self.panel = kind(self.world, "lockin", "xx", **options)
        self.server: TcpServer = serve({"lockin": self.panel}, self.clock)

    @property
    def resource(self) -> str:
        host, port = self.server.addresses["lockin"]
        return f"TCPIP0::{host}::{port}::SOCKET"

    def volts(self, oscillator_V: float) -> float:
        """What the sample gives when the oscillator drives it."""
        self.world.advance()
        return oscillator_V / SERIES_ohm * self.world.sheet_resistances()[0]

    def drive(self, rms_A: float, frequency_Hz: float = 17.77) -> float:
        """Let a current of somebody else's flow, with its marker; the voltage it makes."""
        self.world.advance()
        excitation = self.world.excitation
        excitation.rms_A, excitation.frequency_Hz, excitation.on, excitation.marker = rms_A, frequency_Hz, True, True
        return rms_A * self.world.sheet_resistances()[0]


Open = Callable[..., tuple[Rig, Any]]


def let_pass(rig: Rig, lockin: Any, seconds: float) -> None:
    """Time, after what was sent without a reply has arrived."""
    lockin.ask("ID" if isinstance(lockin, DSP7265 | Ametek7270) else "*IDN?")
    rig.clock.sleep(seconds)


@pytest.fixture
def pymeasure() -> Iterator[Open]:
    opened: list[tuple[Rig, VISAAdapter]] = []

    def open_one(
        driver: Any, kind: type[LockIn], end: str = "\n", quiet: bool = True, **options: Any
    ) -> tuple[Rig, Any]:
        rig = Rig(kind, quiet, **options)
        given = {} if driver is Ametek7270 else {"read_termination": end}
        adapter = VISAAdapter(rig.resource, visa_library="@py", timeout=500, **given)
        if driver is Ametek7270:
            adapter.connection.read_termination = adapter.connection.write_termination = "\x00"
        opened.append((rig, adapter))
        return rig, driver(adapter)

    yield open_one
    for rig, adapter in opened:
        adapter.connection.close()
        rig.server.close()


@pytest.fixture
def qcodes() -> Iterator[Open]:
    opened: list[tuple[Rig, Any]] = []

    def open_one(name: str, kind: type[LockIn], quiet: bool = True, **options: Any) -> tuple[Rig, Any]:
        rig = Rig(kind, quiet, **options)
        driver = getattr(qcodes_srs, name)("lockin", rig.resource, visalib="@py", terminator="\n", timeout=1)
        opened.append((rig, driver))
        return rig, driver

    yield open_one
    for rig, driver in opened:
        driver.close()
        rig.server.close()


# pymeasure's SR830


def test_pymeasures_sr830_reads_through_every_sensitivity_and_clips_where_it_is_too_small(pymeasure: Open) -> None:
    rig, lockin = pymeasure(SR830, srs.SR830, drives=SERIES_ohm)
    lockin.sine_voltage, lockin.frequency, lockin.time_constant = 0.1, 17.77, 10e-3
    let_pass(rig, lockin, 1.0)
    true_V = rig.volts(0.1)
    assert true_V == pytest.approx(6.95e-4, rel=0.01)
    for sensitivity in SR830.SENSITIVITIES:
        lockin.sensitivity = sensitivity
        lockin.clear()
        expected_V = min(true_V, 1.09 * sensitivity)
        assert lockin.magnitude == pytest.approx(expected_V, rel=2e-6)
        assert bool(int(lockin.lia_status) & 4) == (expected_V < true_V)


def test_pymeasures_sr830_sets_an_expand_that_it_did_not_mean(pymeasure: Open) -> None:
    # Its `set_scaling` sends 1, 10 or 100 where the instrument wants 0, 1 or 2: no expand becomes tenfold, and the
    # others are refused.
    _, lockin = pymeasure(SR830, srs.SR830)
    lockin.set_scaling("X", 10.0, 0)
    assert lockin.ask("OEXP? 1").strip() == "10,1"
    assert lockin.get_scaling("X") == (10.0, 10)
    lockin.clear()
    lockin.set_scaling("X", 20.0, 100)
    assert lockin.ask("OEXP? 1").strip() == "10,1"
    assert int(lockin.ask("*ESR?")) == 16
    # Its getters of the displays look up both numbers of the answer among their words, which have none for the ratio.
    lockin.channel1 = "R"
    assert lockin.channel1 == [1.0, 0.0]


def test_pymeasures_sr830_takes_its_buffer_and_waits_for_its_end_in_vain(pymeasure: Open) -> None:
    # It reads byte by byte until nothing comes any more: a gateway that adds a line feed would spoil its data.
    rig, lockin = pymeasure(SR830, srs.SR830, drives=SERIES_ohm, binary_end="")
    lockin.sine_voltage, lockin.frequency, lockin.time_constant, lockin.sensitivity = 0.1, 17.77, 10e-3, 2e-3
    lockin.sample_frequency = 64
    lockin.reset_buffer()
    let_pass(rig, lockin, 1.0)
    lockin.start_scan()
    let_pass(rig, lockin, 1.0)
    lockin.pause_scan()
    assert lockin.buffer_count == pytest.approx(65, abs=1)
    values = lockin.get_buffer(1, 0, 64)
    assert np.allclose(values[:64], rig.volts(0.1), rtol=1e-6)


def test_pymeasures_sr830_ranges_itself_with_quick_range(pymeasure: Open) -> None:
    rig, lockin = pymeasure(SR830, srs.SR830, drives=SERIES_ohm)
    lockin.sine_voltage, lockin.frequency, lockin.time_constant, lockin.sensitivity = 0.1, 17.77, 1e-3, 2e-4
    let_pass(rig, lockin, 1.0)
    _ = lockin.magnitude
    lockin.quick_range()
    assert lockin.sensitivity == 1e-3
    assert lockin.magnitude == pytest.approx(rig.volts(0.1), rel=1e-5)


# pymeasure's SR860


def test_pymeasures_sr860_drives_measures_and_finds_its_phase(pymeasure: Open) -> None:
    rig, lockin = pymeasure(SR860, srs.SR860, drives=SERIES_ohm)
    lockin.sine_voltage, lockin.frequency, lockin.time_constant, lockin.filter_slope = 0.1, 17.77, 0.1, 3
    lockin.sensitivity, lockin.phase = 1e-3, 30.0
    assert (lockin.sine_voltage, lockin.frequency, lockin.time_constant) == (0.1, 17.77, 0.1)
    assert (lockin.sensitivity, lockin.phase, lockin.filter_slope) == (1e-3, 30.0, 3)
    let_pass(rig, lockin, 5.0)
    true_V = rig.volts(0.1)
    assert lockin.magnitude == pytest.approx(true_V, rel=1e-6)
    assert lockin.theta == pytest.approx(-30.0, abs=1e-4)
    assert lockin.snap() == pytest.approx([true_V * math.cos(math.pi / 6), -true_V / 2], rel=1e-6)
    assert lockin.snap("R", "THeta", "FInt") == pytest.approx([true_V, -30.0, 17.77], rel=1e-6)
    assert lockin.snap_all() == pytest.approx([lockin.x, lockin.y, lockin.magnitude, lockin.theta], rel=1e-6)
    lockin.write("APHS")
    let_pass(rig, lockin, 5.0)
    assert lockin.phase == pytest.approx(0.0, abs=1e-4)
    assert lockin.y == pytest.approx(0.0, abs=1e-8 * true_V + 1e-12)


def test_pymeasures_sr860_is_overloaded_by_its_input_range_and_not_by_its_sensitivity(pymeasure: Open) -> None:
    rig, lockin = pymeasure(SR860, srs.SR860, drives=SERIES_ohm)
    lockin.sine_voltage, lockin.frequency, lockin.time_constant = 2.0, 17.77, 1e-2
    let_pass(rig, lockin, 1.0)
    true_V = rig.volts(2.0)
    assert math.sqrt(2) * true_V > 10e-3
    for sensitivity in (1.0, 1e-3, 1e-9):
        lockin.sensitivity = sensitivity
        assert lockin.magnitude == pytest.approx(true_V, rel=1e-6)
        assert bool(int(lockin.ask("CUROVLDSTAT?")) & 1) == (sensitivity < true_V)
    lockin.sensitivity = 1.0
    assert lockin.get_signal_strength_indicator == 0
    lockin.input_range = "10M"
    assert lockin.input_range == "10M"
    assert lockin.get_signal_strength_indicator == 4
    assert int(lockin.ask("CUROVLDSTAT?")) == 16
    assert lockin.magnitude < 0.98 * true_V
    lockin.write("ARNG")
    assert lockin.input_range == "30M"
    assert int(lockin.ask("LIAS?")) & 16
    assert int(lockin.ask("LIAS?")) == 0


def test_pymeasures_sr860_does_all_that_its_driver_offers_and_fails_where_it_is_misspelt(pymeasure: Open) -> None:
    _, lockin = pymeasure(SR860, srs.SR860)
    for name, value in [
        ("harmonic", 3), ("harmonicdual", 2), ("timebase", 0), ("dcmode", "DIF"), ("reference_source", "EXT"),
        ("reference_triggermode", "POS"), ("input_signal", "CURR"), ("input_voltage_mode", "A-B"),
        ("input_coupling", "DC"), ("input_shields", "Ground"), ("input_range", "30M"), ("input_current_gain", "100MEG"),
        ("filter_synchronous", "On"), ("internalfrequency", 33.0), ("frequencypreset1", 1e3), ("frequencypreset3", 2e3),
        ("sine_amplitudepreset1", 0.25), ("sine_dclevelpreset4", -1.5), ("aux_out_3", -2.5), ("front_panel", "0"),
        ("screen_layout", "3"), ("parameter_DAT1", 12), ("strip_chart_dat2", "0"),
    ]:  # fmt: skip
        setattr(lockin, name, value)
        assert getattr(lockin, name) == value, name
    assert (lockin.aux_in_2, lockin.gettimebase, lockin.extfreqency) == (0.0, 1.0, 0.0)
    assert lockin.detectedfrequency == 3 * lockin.frequency
    assert int(lockin.ask("*ESR?")) == 128  # power-on and nothing else: every command was understood
    with pytest.raises(TypeError):
        lockin.reference_externalinput = "50OHMS"
    for name, value in (("filter_advanced", "On"), ("horizontal_time_div", 3)):
        before = getattr(lockin, name)
        setattr(lockin, name, value)
        assert getattr(lockin, name) == before
        assert int(lockin.ask("*ESR?")) == 32


# pymeasure's DSP7265 and Ametek7270


def test_pymeasures_7265_drives_measures_and_finds_its_phase(pymeasure: Open) -> None:
    rig, lockin = pymeasure(DSP7265, signal_recovery.DSP7265, drives=SERIES_ohm)
    assert lockin.id == 7265
    lockin.reference, lockin.voltage, lockin.frequency = "internal", 0.1, 17.77
    lockin.sensitivity, lockin.time_constant, lockin.slope, lockin.reference_phase = 1e-3, 0.1, 24, 30.0
    assert (lockin.reference, lockin.voltage, lockin.frequency) == ("internal", 0.1, 17.77)
    assert (lockin.sensitivity, lockin.time_constant, lockin.slope) == (1e-3, 0.1, 24)
    let_pass(rig, lockin, 5.0)
    true_V = rig.volts(0.1)
    assert lockin.mag == pytest.approx(true_V, rel=1e-6)
    assert lockin.phase == pytest.approx(-30.0, abs=1e-4)
    assert lockin.xy == pytest.approx([true_V * math.cos(math.pi / 6), -true_V / 2], rel=1e-6)
    lockin.auto_phase()
    let_pass(rig, lockin, 5.0)
    assert lockin.reference_phase == pytest.approx(0.0, abs=1e-3)
    assert lockin.x == pytest.approx(true_V, rel=1e-6)
    lockin.sensitivity = 1e-4
    assert lockin.x == pytest.approx(3e-4)  # X stands at three times full scale
    assert int(lockin.ask("N")) & 16
    assert int(lockin.ask("ST")) & 16
    lockin.auto_sensitivity()
    assert lockin.sensitivity == 1e-3
    assert lockin.x == pytest.approx(true_V, rel=1e-6)
    lockin.shutdown()
    let_pass(rig, lockin, 0.1)
    assert not rig.world.excitation.on


def test_pymeasures_7265_does_all_that_its_driver_offers(pymeasure: Open) -> None:
    _, lockin = pymeasure(DSP7265, signal_recovery.DSP7265)
    for name, value in [
        ("imode", "current mode"), ("sensitivity", 1e-9), ("imode", "low noise current mode"), ("sensitivity", 5e-15),
        ("imode", "voltage mode"), ("shield", 0), ("fet", 0), ("coupling", 1), ("harmonic", 3), ("dac1", 1.5), ("dac4", -12.0),
        ("reference", "external front"), ("curve_buffer_bits", 19), ("curve_buffer_length", 100),
        ("curve_buffer_interval", 10),
    ]:  # fmt: skip
        setattr(lockin, name, value)
        assert getattr(lockin, name) == value, name
    lockin.gain = 20
    assert lockin.gain == [2.0]
    lockin.auto_gain = True
    with pytest.raises(TypeError):  # it makes a number of a list
        _ = lockin.auto_gain
    lockin.set_voltage_mode()
    lockin.setDifferentialMode()
    assert lockin.ask("VMODE").strip() == "3"
    lockin.setChannelAMode()
    assert (lockin.adc1, lockin.adc2) == (0.0, 0.0)
    assert int(lockin.ask("ST")) & 0b110 == 0  # nothing was invalid


def test_pymeasures_7265_cannot_take_its_buffer_from_a_socket_but_its_lines_are_there(pymeasure: Open) -> None:
    rig, lockin = pymeasure(DSP7265, signal_recovery.DSP7265, drives=SERIES_ohm)
    lockin.voltage, lockin.frequency, lockin.sensitivity, lockin.time_constant = 0.1, 17.77, 1e-3, 0.01
    let_pass(rig, lockin, 1.0)
    lockin.set_buffer(50, ["x", "y", "sensitivity"], interval=10e-3)
    lockin.start_buffer()
    assert lockin.curve_buffer_status[0] == 1
    let_pass(rig, lockin, 1.0)
    status, sweeps, _, points = lockin.curve_buffer_status
    assert (status, sweeps, points) == (0, 1, 50)
    with pytest.raises(Exception, match=r"NSUP|not support|operation"):
        lockin.get_buffer()
    points = [int(lockin.read()) for _ in range(50)]
    assert np.allclose(np.array(points) * 1e-3 / 10000, rig.volts(0.1), rtol=2e-4)
    assert lockin.id == 7265


def test_pymeasures_7265_takes_its_buffer_where_there_is_a_serial_poll() -> None:
    rig = Rig(signal_recovery.DSP7265, drives=SERIES_ohm)
    rig.server.close()
    library = VirtualVisaLibrary({"GPIB0::12::INSTR": rig.panel}, rig.clock)
    lockin: Any = DSP7265(VISAAdapter("GPIB0::12::INSTR", visa_library=library, read_termination="\n"))
    lockin.voltage, lockin.frequency, lockin.sensitivity, lockin.time_constant = 0.1, 17.77, 1e-3, 0.01
    rig.clock.sleep(1.0)
    lockin.set_buffer(50, ["x", "phase", "sensitivity", "frequency"], interval=10e-3)
    lockin.start_buffer()
    rig.clock.sleep(1.0)
    data = lockin.get_buffer()
    assert {key: len(values) for key, values in data.items()} == dict.fromkeys(
        ("sensitivity", "x", "phase", "frequency"), 50
    )
    assert np.allclose(data["x"], rig.volts(0.1), rtol=1e-4)
    assert np.all(data["sensitivity"] == 1e-3)
    assert np.all(data["frequency"] == 17.77)


def test_pymeasures_7270_drives_measures_and_finds_its_phase(pymeasure: Open) -> None:
    rig, lockin = pymeasure(Ametek7270, signal_recovery.DSP7270, drives=SERIES_ohm)
    assert lockin.id == "7270/2.00"
    lockin.voltage, lockin.frequency, lockin.sensitivity = 0.1, 17.77, 1e-3
    lockin.time_constant, lockin.slope, lockin.phase = 0.1, 24, 30.0
    assert (lockin.voltage, lockin.frequency, lockin.sensitivity) == (0.1, 17.77, 1e-3)
    assert (lockin.time_constant, lockin.slope, lockin.phase) == (0.1, 24, 30.0)
    let_pass(rig, lockin, 5.0)
    true_V = rig.volts(0.1)
    assert lockin.mag == pytest.approx(true_V, rel=1e-6)
    assert lockin.theta == pytest.approx(-30.0, abs=1e-4)
    assert lockin.xy == pytest.approx([true_V * math.cos(math.pi / 6), -true_V / 2], rel=1e-6)
    for name in ("x1", "y2"):
        with pytest.raises(ValueError, match="single or dual"):
            getattr(lockin, name)
    lockin.dac3, lockin.harmonic = -2.5, 1
    assert (lockin.dac3, lockin.harmonic, lockin.adc4) == (-2.5, 1, 0.0)
    lockin.auto_gain = True
    assert lockin.auto_gain
    lockin.set_differential_mode()
    lockin.set_channel_A_mode()
    lockin.set_current_mode()
    lockin.sensitivity = 1e-9
    assert lockin.sensitivity == 1e-9
    lockin.set_voltage_mode()
    assert int(lockin.ask("ST")) & 0b110 == 0  # nothing was invalid
    lockin.shutdown()
    let_pass(rig, lockin, 0.1)
    assert not rig.world.excitation.on


# QCoDeS


def test_qcodes_sr830_identifies_drives_and_reads(qcodes: Open) -> None:
    rig, lockin = qcodes("SR830", srs.SR830, drives=SERIES_ohm)
    assert lockin.get_idn() | {"serial": ""} == {
        "vendor": "Stanford_Research_Systems", "model": "SR830", "serial": "", "firmware": "ver1.07",
    }  # fmt: skip
    lockin.amplitude(0.1)
    lockin.frequency(17.77)
    lockin.time_constant(0.1)
    lockin.filter_slope(24)
    lockin.sensitivity(1e-3)
    lockin.phase(30)
    assert (lockin.amplitude(), lockin.frequency(), lockin.time_constant(), lockin.filter_slope()) == (
        0.1,
        17.77,
        0.1,
        24,
    )
    assert (lockin.sensitivity(), lockin.phase(), lockin.input_config()) == (1e-3, 30.0, "a")
    let_pass(rig, lockin, 5.0)
    true_V = rig.volts(0.1)
    assert true_V == pytest.approx(lockin.R(), rel=1e-5)
    assert lockin.P() == pytest.approx(-30.0, abs=1e-3)
    assert lockin.complex_voltage() == pytest.approx(true_V * complex(math.cos(math.pi / 6), -0.5), rel=1e-5)
    assert lockin.snap("x", "y", "freq") == pytest.approx((lockin.X(), lockin.Y(), 17.77))
    lockin.auto_phase()
    let_pass(rig, lockin, 5.0)
    assert lockin.phase() == pytest.approx(0.0, abs=0.01)
    lockin.sensitivity(5e-4)
    assert pytest.approx(1.09 * 5e-4) == lockin.R()
    lockin.autorange()
    assert lockin.sensitivity() == 1e-3
    assert lockin.increment_sensitivity()
    assert lockin.sensitivity() == 2e-3
    lockin.snapshot(update=True)
    assert int(lockin.ask("*ESR?")) == 128


def test_qcodes_sr830_has_its_interface_setting_only_with_the_line_feed_left_on(qcodes: Open) -> None:
    _, lockin = qcodes("SR830", srs.SR830)
    assert lockin.ask("OUTX?") == "1"
    with pytest.raises(KeyError):
        lockin.output_interface()


def test_qcodes_sr830_fills_its_buffer_and_cannot_take_it_from_a_socket(qcodes: Open) -> None:
    rig, lockin = qcodes("SR830", srs.SR830, drives=SERIES_ohm)
    lockin.amplitude(0.1)
    lockin.frequency(17.77)
    lockin.time_constant(10e-3)
    lockin.sensitivity(2e-3)
    lockin.buffer_SR(32)
    lockin.buffer_acq_mode("single shot")
    lockin.ch1_display("R")
    lockin.buffer_reset()
    let_pass(rig, lockin, 1.0)
    lockin.buffer_start()
    let_pass(rig, lockin, 1.0)
    lockin.buffer_pause()
    assert lockin.buffer_npts() == pytest.approx(32, abs=1)
    lockin.ch1_databuffer.prepare_buffer_readout()
    # One read ends at the first line feed: the one behind the data, which is a byte too much, or one among them.
    with pytest.raises(ValueError, match="buffer size must be a multiple of element size"):
        lockin.ch1_databuffer()


def test_qcodes_sr830_takes_its_buffer_by_a_bus_that_carries_its_own_end() -> None:
    rig = Rig(srs.SR830, drives=SERIES_ohm, binary_end="")
    rig.server.close()
    for line in ("SLVL 0.1;FREQ 17.77;OFLT 6;SENS 18;SRAT 9;REST", "DDEF 1,1,0"):
        rig.panel.receive(line.encode())
    rig.clock.sleep(1.0)
    rig.panel.receive(b"STRT")
    rig.clock.sleep(1.0)
    rig.panel.receive(b"PAUS")
    raw = np.frombuffer(rig.panel.receive(b"TRCL ? 1, 0, 32"), dtype="<i2")
    # QCoDeS's own formula.
    assert np.allclose(raw[::2] * 2.0 ** (raw[1::2] - 124), rig.volts(0.1), rtol=5e-5)


@pytest.mark.parametrize(("name", "kind", "largest_Hz"), [("SR860", srs.SR860, 5e5), ("SR865A", srs.SR865A, 4e6)])
def test_qcodes_sr86x_identifies_drives_and_reads(
    qcodes: Open, name: str, kind: type[LockIn], largest_Hz: float
) -> None:
    rig, lockin = qcodes(name, kind, drives=SERIES_ohm)
    assert lockin.get_idn()["model"] == name
    lockin.frequency(largest_Hz)
    assert lockin.frequency() == largest_Hz
    lockin.amplitude(0.1)
    lockin.frequency(17.77)
    lockin.time_constant(0.1)
    lockin.filter_slope(24)
    lockin.sensitivity(1e-3)
    lockin.phase(30)
    lockin.sine_outdc(-0.5)
    lockin.input_range(0.1)
    lockin.adv_filter("ON")
    lockin.reference_source("INT")
    assert (lockin.amplitude(), lockin.frequency(), lockin.time_constant(), lockin.filter_slope()) == (
        0.1,
        17.77,
        0.1,
        24,
    )
    assert (lockin.sensitivity(), lockin.phase(), lockin.sine_outdc(), lockin.input_range()) == (1e-3, 30.0, -0.5, 0.1)
    assert lockin.noise_bandwidth() == pytest.approx(5 / 64 / 0.1)
    let_pass(rig, lockin, 5.0)
    true_V = rig.volts(0.1)
    assert pytest.approx(true_V, rel=1e-6) == lockin.R()
    assert lockin.get_values("X", "Y", "phase") == pytest.approx(
        (true_V * math.cos(math.pi / 6), -true_V / 2, 30.0), rel=1e-6
    )
    lockin.data_channels[1].assigned_parameter("aux_out2")
    lockin.aux_out1(1.25)
    assert lockin.get_data_channels_dict(requery_names=True)["aux_out2"] == 1.25
    lockin.X_offset(50.0)
    assert lockin.X_offset() == 50.0
    lockin.X_expand("X10")
    assert lockin.X_expand() == "X10"
    lockin.auto_phase()
    lockin.auto_scale()
    lockin.auto_range()
    assert lockin.input_range() == 10e-3
    lockin.snapshot(update=True)
    assert int(lockin.ask("*ESR?")) == 128


def test_qcodes_sr860_captures_and_reads_its_blocks(qcodes: Open) -> None:
    rig, lockin = qcodes("SR860", srs.SR860, quiet=False, drives=SERIES_ohm)
    lockin.amplitude(0.1)
    lockin.frequency(17.77)
    lockin.time_constant(0.1)
    let_pass(rig, lockin, 2.0)
    buffer = lockin.buffer
    buffer.capture_config("X,Y,R,T")
    buffer.set_capture_rate_to_maximum()
    assert buffer.capture_rate() == buffer.capture_rate_max() == pytest.approx(152.588, rel=1e-3)
    data = buffer.capture_samples(300)
    assert {key: len(values) for key, values in data.items()} == dict.fromkeys(("X", "Y", "R", "T"), 300)
    assert np.allclose(data["X"], rig.volts(0.1), rtol=1e-3)
    assert np.allclose(data["R"], np.hypot(data["X"], data["Y"]), rtol=1e-6)
    assert buffer.count_capture_kilobytes() == "6"


def test_qcodes_sr860_takes_a_sample_at_each_trigger_and_a_run_after_one(qcodes: Open) -> None:
    # A block so short may have no line feed in it, and over a socket it then needs one behind.
    rig, lockin = qcodes("SR860", srs.SR860, quiet=False, drives=SERIES_ohm, binary_end="\n")
    lockin.amplitude(0.1)
    lockin.frequency(17.77)
    lockin.time_constant(10e-3)
    let_pass(rig, lockin, 1.0)

    def pulses(count: int) -> None:
        for _ in range(count):
            let_pass(rig, lockin, 0.25)
            with rig.world.lock:
                rig.panel.trigger()

    lockin.buffer.capture_config("X,Y")
    data = lockin.buffer.capture_one_sample_per_trigger(5, lambda: pulses(5))
    assert {key: len(values) for key, values in data.items()} == {"X": 5, "Y": 5}
    data = lockin.buffer.capture_samples_after_trigger(200, lambda: pulses(1))
    assert len(data["X"]) == 200
    assert np.allclose(data["X"], rig.volts(0.1), rtol=1e-3)


def test_qcodes_sr860_falls_out_of_step_where_a_line_feed_follows_the_block(qcodes: Open) -> None:
    # It counts the bytes from the first line feed among them on, and leaves the one behind them.
    rig, lockin = qcodes("SR860", srs.SR860, quiet=False, drives=SERIES_ohm, binary_end="\n")
    lockin.amplitude(0.1)
    lockin.frequency(17.77)
    lockin.time_constant(0.1)
    let_pass(rig, lockin, 2.0)
    lockin.buffer.capture_config("X,Y")
    lockin.buffer.set_capture_rate_to_maximum()
    assert len(lockin.buffer.capture_samples(1000)["X"]) == 1000
    assert lockin.buffer.count_capture_kilobytes() == ""


# The filter, over the wire: the answer to a step is the gamma distribution


@pytest.mark.parametrize("slope", [6, 12, 18, 24])
def test_every_driver_reads_the_step_through_the_filter(pymeasure: Open, slope: int) -> None:
    tau_s = 0.3
    for driver, kind, digits in (
        (SR830, srs.SR830, 5e-6), (SR860, srs.SR860, 1e-9), (DSP7265, signal_recovery.DSP7265, 5e-7),
        (Ametek7270, signal_recovery.DSP7270, 5e-7),
    ):  # fmt: skip
        rig, lockin = pymeasure(driver, kind)
        if driver in (SR830, SR860):
            lockin.reference_source = "External" if driver is SR830 else "EXT"
            lockin.time_constant, lockin.sensitivity = tau_s, 1e-3
            lockin.filter_slope = slope if driver is SR830 else slope // 6 - 1
        else:
            tau_s = 0.2
            lockin.write("IE 1") if driver is DSP7265 else lockin.ask("IE 1")
            lockin.time_constant, lockin.sensitivity, lockin.slope = tau_s, 1e-3, slope
        let_pass(rig, lockin, 0.1)
        final_V = rig.drive(1e-6)
        start_s = rig.clock.now()
        for pause_s in (0.05, 0.2, 0.3, 0.7):
            rig.clock.sleep(pause_s)
            # The command is done before its latency passes.
            expected = gamma.cdf((rig.clock.now() - start_s) / tau_s, slope // 6)
            assert lockin.x / final_V == pytest.approx(expected, abs=1e-6 + digits)
