"""Sources, meters and their sample, driven over sockets by drivers that know nothing of us."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments.keithley import Keithley2182, Keithley6221
from pymeasure.instruments.keithley import Keithley2400 as PymeasureKeithley2400
from pymeasure.instruments.keithley import Keithley2450 as PymeasureKeithley2450
from pymeasure.instruments.yokogawa import YokogawaGS200 as PymeasureGS200
from qcodes.instrument_drivers.Keithley import Keithley2400 as QcodesKeithley2400
from qcodes.instrument_drivers.Keithley import Keithley2450 as QcodesKeithley2450
from qcodes.instrument_drivers.yokogawa import YokogawaGS200 as QcodesGS200
from qcodes.instrument_drivers.yokogawa.Yokogawa_GS200 import ConditionRegister, ExtendedEventRegister
from remanence.core.clock import VirtualClock
from remanence.simulators import keithley, yokogawa
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
        self.panels: list[Any] = []
        self._servers: list[TcpServer] = []
        self._open: list[Any] = []

    def address(self, kind: Panel, wiring: str = "", **options: Any) -> str:
        panel = kind(self.world, kind.__name__, wiring, **options)
        self.panels.append(panel)
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


def test_pymeasures_2182_reads_with_the_carriage_return_it_expects(rig: Rig) -> None:
    meter = rig.pymeasure(Keithley2182, keithley.Keithley2182A, "4-3", "\r", terminator="cr")
    assert "MODEL 2182A" in meter.id
    meter.reset()
    meter.ch_1.setup_voltage(auto_range=False, nplc=1)
    meter.ch_1.voltage_range = 0.1
    assert (meter.active_channel, meter.channel_function, meter.voltage_nplc) == (1, "voltage", 1.0)
    assert (meter.ch_1.voltage_range, meter.ch_1.voltage_range_auto_enabled) == (0.1, False)
    meter.auto_line_frequency()
    assert meter.line_frequency == 50
    with pytest.raises(ValueError, match="not in range"):
        meter.voltage_nplc = 60  # which would be right at 60 Hz
    for name, value in [
        ("auto_zero_enabled", False), ("display_enabled", False), ("thermocouple", "K"), ("temperature_nplc", 2.0),
        ("temperature_reference_junction", "SIM"), ("temperature_simulated_reference", 25.0), ("trigger_count", 3), ("trigger_delay", 0.5),
    ]:  # fmt: skip
        setattr(meter, name, value)
        assert getattr(meter, name) == value, name
    assert len(meter.voltage) == 3
    meter.trigger_count, meter.trigger_delay = 1, 0.0
    meter.ch_1.voltage_offset = 1e-3
    meter.ch_1.voltage_offset_enabled = True
    assert meter.voltage == pytest.approx(-1e-3, abs=1e-5)
    meter.ch_1.acquire_voltage_reference()
    assert meter.voltage == pytest.approx(0.0, abs=1e-6)
    meter.ch_2.setup_temperature(nplc=1)
    assert meter.channel_function == "temperature"
    assert meter.internal_temperature == pytest.approx(26.5)
    # A mistake of the driver: for channel 2 it switches autorange of channel 1.
    meter.ch_1.voltage_range = 0.1
    meter.ch_2.setup_voltage()
    assert meter.ch_1.voltage_range_auto_enabled
    assert meter.check_errors() == []


def test_pymeasures_2182_fills_its_buffer_and_computes(rig: Rig) -> None:
    meter = rig.pymeasure(Keithley2182, keithley.Keithley2182A)
    source = rig.pymeasure(Keithley6221, keithley.Keithley6221)
    source.source_current = 1e-5
    source.enable_source()
    assert source.check_errors() == []
    meter.reset()
    meter.ch_1.setup_voltage(nplc=1)
    meter.config_buffer(points=50, delay=0)
    meter.start_buffer()
    assert not meter.is_buffer_full()
    rig.clock.sleep(5.0)
    meter.wait_for_buffer(timeout=1)
    values = meter.buffer_data
    assert len(values) == 50
    assert values.mean() == pytest.approx(1e-5 * rig.world.contacts.resistance(1, 2, 3, 4), rel=1e-3)
    assert meter.mean == pytest.approx(values.mean(), rel=1e-6)
    assert (meter.maximum, meter.minimum) == pytest.approx((values.max(), values.min()), rel=1e-6)
    assert meter.standard_dev == pytest.approx(values.std(ddof=1), rel=1e-3)
    assert meter.check_errors() == []


def test_pymeasures_6221_believes_in_a_nanovoltmeter_when_there_is_one_only(rig: Rig) -> None:
    source = rig.pymeasure(Keithley6221, keithley.Keithley6221)
    assert not source.delta_connected
    source.delta_arm()
    assert source.check_errors() == [[-241, '"Hardware missing"']]
    # A mistake of the driver: it sends `ESE` without its star, which is no header.
    source.standard_event_enabled = 4
    assert source.check_errors() == [[-113, '"Undefined header"']]
    # Another one: its buffer's methods count triggers that this instrument has not got, so there is nothing to start.
    source.config_buffer(points=10)
    source.start_buffer()
    assert source.check_errors() == [[-221, '"Settings conflict"']]


# The 2400


def test_pymeasures_2400_measures_an_iv_curve_and_meets_its_compliance(rig: Rig) -> None:
    smu = rig.pymeasure(PymeasureKeithley2400, keithley.Keithley2400, "1-2 4-3")
    smu.reset()
    smu.source_mode, smu.wires = "current", 4
    smu.compliance_voltage = 2.0
    smu.voltage_nplc = 1
    smu.source_current = 0.0
    smu.enable_source()
    truth = rig.world.contacts.resistance(1, 2, 3, 4)
    currents = np.linspace(-5e-4, 5e-4, 11)
    points: list[dict[str, float]] = []
    for current in currents:
        smu.source_current = current
        points.append(smu.measure_all())
    slope, _ = np.polyfit([p["current"] for p in points], [p["voltage"] for p in points], 1)
    assert slope == pytest.approx(truth, rel=1e-3)
    assert [p["current"] for p in points] == pytest.approx(list(currents), abs=2e-7)
    assert not any(p["status"] & 8 for p in points)
    assert points[-1]["resistance"] == pytest.approx(truth, rel=1e-3)
    # The leads' resistances are in the source's own voltage, which stops at 2 V.
    smu.source_current = 5e-3
    limited = smu.measure_all()
    assert limited["status"] & 8
    source = rig.world.circuit.contacts
    loop = truth + 2 * rig.world.sheet_resistances()[0] + source.pad_ohm(1) + source.pad_ohm(2)
    assert limited["current"] == pytest.approx(2.0 / loop, rel=1e-3)
    assert smu.check_errors() == []
    smu.shutdown()
    assert not smu.source_enabled


def test_pymeasures_2400_has_all_its_settings_understood(rig: Rig) -> None:
    smu = rig.pymeasure(PymeasureKeithley2400, keithley.Keithley2400)
    assert "MODEL 2400" in smu.id
    smu.reset()
    for name, value in [
        ("source_mode", "voltage"), ("source_delay", 0.01), ("source_delay_auto_enabled", True), ("auto_zero_enabled", False),
        ("output_off_state", "disconnected"), ("auto_output_off_enabled", True), ("filter_enabled", True), ("repeat_filter_enabled", False),
        ("filter_count", 5), ("current_range", 1.05e-3), ("current_range_auto_enabled", True), ("current_nplc", 0.1),
        ("compliance_current", 1e-3), ("source_current", 1e-5), ("source_current_range", 1.05e-4), ("source_current_range_auto_enabled", True),
        ("voltage_range", 2.1), ("voltage_range_auto_enabled", True), ("voltage_nplc", 10), ("compliance_voltage", 5),
        ("source_voltage", 0.5), ("source_voltage_range", 21), ("source_voltage_range_auto_enabled", False), ("resistance_mode_auto_enabled", False),
        ("resistance_range", 2.1e3), ("resistance_range_auto_enabled", True), ("resistance_nplc", 1), ("trigger_count", 3), ("arm_count", 2),
        ("trigger_delay", 0.5), ("arm_timer", 1.5), ("trigger_source", "trigger_link"), ("arm_source", "timer"), ("trigger_output_event", "sense"),
        ("arm_output_event", "trigger_exit"), ("trigger_input_line", 3), ("arm_input_line", 4), ("trigger_output_line", 1), ("arm_output_line", 2),
        ("display_enabled", False), ("wires", 4), ("line_frequency", 60), ("line_frequency_auto_enabled", False), ("front_terminals_enabled", False),
    ]:  # fmt: skip
        setattr(smu, name, value)
        assert getattr(smu, name) == pytest.approx(value), name
    smu.auto_zero_once()
    smu.beep(440, 0.1)
    smu.reset_trigger()
    smu.clear_trigger()
    assert smu.check_errors() == []
    smu.write(":SOUR:CURR 2")
    assert smu.check_errors() == [[-222, '"Parameter data out of range"']]


def test_pymeasures_2400_fills_its_buffer_and_computes_the_mean(rig: Rig) -> None:
    smu = rig.pymeasure(PymeasureKeithley2400, keithley.Keithley2400, "1-2 4-3")
    smu.reset()
    smu.source_mode, smu.wires, smu.compliance_voltage = "current", 4, 2.0
    smu.resistance_mode_auto_enabled = False
    smu.write(":SENS:FUNC:ALL")
    smu.source_current = 1e-4
    smu.enable_source()
    smu.config_buffer(points=20, delay=0)
    smu.start_buffer()
    assert not smu.is_buffer_full()
    rig.clock.sleep(3.0)
    assert smu.is_buffer_full()
    values = smu.buffer_data.reshape(-1, 5)
    assert len(values) == 20
    assert np.diff(values[:, 3]) == pytest.approx(0.064, abs=1e-3)
    assert smu.mean_voltage == pytest.approx(values[:, 0].mean(), rel=1e-6)
    assert smu.mean_resistance == pytest.approx(rig.world.contacts.resistance(1, 2, 3, 4), rel=1e-3)
    assert smu.std_voltage == pytest.approx(values[:, 0].std(ddof=1), rel=1e-3)
    assert smu.check_errors() == []


def test_pymeasures_2400_finds_the_resistance_with_a_current_of_the_instruments_choice(rig: Rig) -> None:
    smu = rig.pymeasure(PymeasureKeithley2400, keithley.Keithley2400, "1-2 4-3", terminals="rear")
    smu.reset()
    smu.wires, smu.front_terminals_enabled = 4, False
    smu.enable_source()
    assert smu.resistance == pytest.approx(rig.world.contacts.resistance(1, 2, 3, 4), rel=1e-3)
    assert smu.current == pytest.approx(0.0, abs=1e-6)  # its own current is over: the source of volts is back at zero
    smu.front_terminals_enabled = True
    smu.resistance_range = 2.1e5
    # Nothing is wired to the front: the source finds no path and stops at its limit.
    assert smu.measure_all()["current"] == pytest.approx(0.0, abs=1e-8)


def test_qcodes_2400_ramps_and_refuses_to_read_with_the_output_off(rig: Rig) -> None:
    smu = QcodesKeithley2400("smu", rig.address(keithley.Keithley2400, "1-2"))
    try:
        assert (smu.get_idn()["model"], smu.get_idn()["serial"]) == ("2400", "1234567")
        smu.mode("CURR")
        assert (smu.mode(), smu.sense()) == ("CURR", '"VOLT:DC","CURR:DC"')
        smu.compliancev(1.0)
        smu.nplcv(1)
        smu.output("off")
        with pytest.raises(RuntimeError, match="output off"):
            smu.volt()
        # A mistake of the driver: it compares what was set with 1, so after "on" it believes that the output is off.
        smu.output("on")
        with pytest.raises(RuntimeError, match="output off"):
            smu.volt()
        smu.output(1)
        smu.curr(1e-5)
        contacts = rig.world.contacts
        two_wire = contacts.resistance(1, 2, 2, 1) + contacts.pad_ohm(1) + contacts.pad_ohm(2)
        assert smu.resistance() == pytest.approx(two_wire, rel=2e-3)
        assert smu.curr() == pytest.approx(1e-5, rel=1e-2)
        assert smu.compliancev() == 1.0
        smu.write("FOO:BAR")
        assert smu.ask("SYST:ERR?") == '-113,"Undefined header"'
    finally:
        smu.close()


# The 2450


def test_qcodes_2450_sweeps_reads_its_buffer_and_trips_its_limit(rig: Rig) -> None:
    smu = QcodesKeithley2450("smu", rig.address(keithley.Keithley2450, "1-2 4-3"))
    try:
        assert smu.get_idn()["model"] == "2450"
        truth = rig.world.contacts.resistance(1, 2, 3, 4)
        smu.source_function("current")
        smu.sense_function("voltage")
        smu.sense.four_wire_measurement("on")
        smu.source.range(1e-3)
        smu.source.limit(2.0)
        assert (smu.source.range(), smu.source.limit(), smu.source.auto_range()) == (1e-3, 2.0, 0)
        with pytest.raises(RuntimeError, match="Output needs to be on"):
            smu.sense.voltage()
        smu.source.current(1e-4)
        smu.output_enabled(True)
        assert smu.sense.voltage() == pytest.approx(1e-4 * truth, rel=2e-3)
        assert smu.source.limit_tripped() is False
        with smu.buffer("sweeps", 100) as buffer:
            buffer.elements(["measurement", "source_value", "relative_time", "measurement_unit"])
            smu.source.sweep_setup(-5e-4, 5e-4, 21, delay=0.01, buffer_name="sweeps")
            smu.sense.sweep.setpoints = (smu.source.sweep_axis,)
            smu.buffer_name("sweeps")
            volts = smu.sense.sweep()
            slope, _ = np.polyfit(smu.source.sweep_axis(), volts, 1)
            assert slope == pytest.approx(truth, rel=1e-3)
            chosen = smu.sense.sweep.get_selected()
            assert len(chosen) == 21 * 4
            assert (float(chosen[1]), chosen[3]) == (pytest.approx(-5e-4, rel=1e-3), "Volt DC")
            assert buffer.number_of_readings() == 0
            assert buffer.size() == 100
        smu.source.range(1e-2)
        smu.source.current(5e-3)
        assert smu.source.limit_tripped() is True
        smu.output_enabled(False)
        assert smu.ask("SYST:ERR?") == '0,"No error;0;0 0"'
    finally:
        smu.close()


def test_qcodes_2450_has_all_its_settings_understood(rig: Rig) -> None:
    smu = QcodesKeithley2450("smu", rig.address(keithley.Keithley2450))
    try:
        for parameter, value in [
            (smu.terminals, "rear"), (smu.source.auto_range, True), (smu.source.delay, 0.5), (smu.source.auto_delay, True),
            (smu.source.read_back_enabled, False), (smu.source.user_number, 2), (smu.source.user_delay, 0.25), (smu.sense.nplc, 2),
            (smu.sense.auto_range, False), (smu.sense.range, 1e-3), (smu.sense.user_number, 3), (smu.sense.user_delay, 0.125),
            (smu.sense.auto_zero_enabled, True), (smu.sense.count, 4),
        ]:  # fmt: skip
            parameter(value)
        assert float(smu.source.user_delay()) == 0.25
        assert float(smu.sense.user_delay()) == 0.125
        assert (float(smu.source.delay()), int(smu.sense.count()), float(smu.sense.nplc())) == (0.5, 4, 2.0)
        assert smu.line_frequency() == "50"
        smu.sense.auto_zero_once()
        smu.clear_event_register()
        smu.clear_event_log()
        smu.abort()
        smu.wait()
        assert smu.ask("*ESR?") == "0"
        smu.reset()
        assert (smu.source_function(), smu.sense_function()) == ("voltage", "current")
        assert smu.ask("SYST:ERR?").startswith("0,")
    finally:
        smu.close()


def test_pymeasures_2450_works_in_the_native_language_but_for_buffers_and_statistics(rig: Rig) -> None:
    smu = rig.pymeasure(PymeasureKeithley2450, keithley.Keithley2450, "1-2 4-3")
    assert "MODEL 2450" in smu.id
    smu.reset()
    smu.apply_current(current_range=1e-3, compliance_voltage=3.0)
    smu.measure_voltage(nplc=1)
    smu.wires = 4
    smu.write(":SENS:VOLT:RSEN 1")  # `wires` is of resistance only, and this reads volts
    smu.source_current = 2e-4
    smu.enable_source()
    assert smu.source_enabled
    assert smu.voltage == pytest.approx(2e-4 * rig.world.contacts.resistance(1, 2, 3, 4), rel=2e-3)
    assert (smu.compliance_voltage, smu.source_current, smu.source_current_range) == (3.0, 2e-4, 1e-3)
    smu.voltage_nplc, smu.voltage_range = 0.1, 0.2
    assert (smu.voltage_nplc, smu.voltage_range) == (0.1, 0.2)
    smu.measure_resistance()
    assert smu.resistance == pytest.approx(rig.world.contacts.resistance(1, 2, 3, 4), rel=2e-3)
    assert smu.check_errors() == []
    # Mistakes of the driver: the native language has no TRACe:FEED and no STATus:MEASurement, and one statistic.
    smu.write(":STAT:MEAS:ENAB 512;:TRAC:FEED SENSE")
    assert [error[0] for error in smu.check_errors()] == [-113, -113]
    with pytest.raises(TypeError):
        _ = smu.mean_voltage
    assert smu.means == pytest.approx(smu.resistance, rel=1)
    smu.shutdown()
    assert not smu.source_enabled


# The GS200


def test_qcodes_gs200_ramps_in_hardware_and_knows_its_limits(rig: Rig) -> None:
    source = QcodesGS200("gs", rig.address(yokogawa.GS200, "1-2", monitor=True))
    panel = rig.panels[-1]
    try:
        assert source.get_idn()["vendor"] == "YOKOGAWA"
        assert (source.source_mode(), source.output(), source.voltage_range()) == ("VOLT", "off", 1.0)
        source.voltage_range(10)
        source.current_limit(0.05)
        assert (source.range(), source.current_limit()) == (10.0, 0.05)
        with pytest.raises(RuntimeError, match="enable output"):
            source.ramp_voltage(1.0)
        source.on()
        source.ramp_mode("HARDWARE")
        source.ramp_blocking(False)
        source.ramp_rate(0.1)
        source.voltage(1.0)
        source.status_byte()  # an order without a reply is under way until something has been asked
        rig.clock.sleep(5.0)
        # Half-way the output is half-way, and the setting is still the old one.
        assert source.voltage() == 0.0
        assert panel._source.level == pytest.approx(0.5, abs=0.03)
        assert not source.extended_event_register() & ExtendedEventRegister.EOP
        rig.clock.sleep(5.2)
        assert source.voltage() == 1.0
        assert source.extended_event_register() & ExtendedEventRegister.EOP
        source.measure.on()
        source._update_measurement_module()
        source.measure.on()
        contacts = rig.world.contacts
        loop = contacts.resistance(1, 2, 2, 1) + contacts.pad_ohm(1) + contacts.pad_ohm(2)
        assert source.measure.measure() == pytest.approx(1.0 / loop, rel=2e-3)
        source.ramp_mode("JUMP")
        with pytest.raises(ValueError, match="not in range"):
            source.voltage(11.0)
        source.voltage(10.0)
        source.current_limit(0.002)
        assert source.condition_register() & ConditionRegister.LHI
        source.voltage(0.0)
        assert not source.condition_register() & ConditionRegister.LHI
        assert source.system_errors() == '0,"No error"'
        with pytest.raises(Exception, match="while source is on"):
            source.source_mode("CURR")
        source.off()
        source.source_mode("CURR")
        assert source.current_range() == 1e-3
        source.current(5e-4)
        assert source.current() == 5e-4
    finally:
        source.close()


def test_qcodes_gs200_blocks_until_its_ramp_has_ended(rig: Rig) -> None:
    source = QcodesGS200("gs", rig.address(yokogawa.GS200))
    try:
        source.on()
        source.ramp_rate(5.0)
        source.ramp_voltage(0.5)
        assert source.voltage() == 0.5
        source.ramp_voltage(-0.5)
        assert source.voltage() == -0.5
        assert source.system_errors() == '0,"No error"'
    finally:
        source.close()


def test_pymeasures_gs200_ramps_and_gets_an_error_beyond_its_range(rig: Rig) -> None:
    source = rig.pymeasure(PymeasureGS200, yokogawa.GS200, "1-3")
    assert "YOKOGAWA" in source.id
    source.source_mode, source.source_range, source.voltage_limit = "current", 10e-3, 10
    # A mistake of the driver: its modes are not mapped, so it sends `current` and reads back `CURR`.
    assert source.source_mode == "CURR"
    assert (source.source_range, source.voltage_limit) == (10e-3, 10)
    source.source_enabled = True
    source.source_level = 1e-3
    assert source.source_level == 1e-3
    source.trigger_ramp_to_level(2e-3, 4.0)
    assert source.source_level == 1e-3
    rig.clock.sleep(2.0)
    rig.world.advance()
    assert rig.panels[-1]._source.level == pytest.approx(1.5e-3, rel=0.1)
    rig.clock.sleep(2.5)
    assert source.source_level == 2e-3
    assert source.check_errors() == []
    with pytest.raises(ValueError, match=r"1\.2"):
        source.source_level = 0.0121
    # The driver looks at the sign's one side only; the instrument at both.
    source.source_level = -0.0121
    assert source.check_errors() == [[-222, '"Parameter data out of range"']]
    source.source_enabled = False
    with pytest.raises(ValueError, match="must be enabled"):
        source.trigger_ramp_to_level(0.0, 1.0)
    source.write(":PROG:RUN")
    assert source.check_errors()[0][0] == -221
