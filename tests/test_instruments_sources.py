"""Keithley and Yokogawa drivers on simulated wires, in process and over TCP: what they give, refuse and notice."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import pyvisa
from remanence.core.capabilities import DirectCurrentSource, Switch, Voltmeter
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError, DeviceFault, LimitError, ReplyError
from remanence.engine.twin import load_class
from remanence.instruments.keithley import Keithley6221
from remanence.instruments.keithley_2182a import Keithley2182A
from remanence.instruments.keithley_2400 import Keithley2400
from remanence.instruments.keithley_2450 import Keithley2450
from remanence.instruments.keithley_7001 import Keithley7001
from remanence.instruments.link import Link
from remanence.instruments.yokogawa import GS200
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.fault_schedule import FaultSchedule
from remanence.simulators.faults import Fault
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.tcp import serve
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((111.0, 0.015),))
RESOURCE = "GPIB0::7::INSTR"


class Bench:
    """One driver on its own front panel, and the truth behind it."""

    def __init__(self, kind: Any, transport: str, stack: ExitStack, wiring: str, faults: list[Fault], **options: Any):
        self.clock = VirtualClock()
        self.world = World(WorldSettings(MAGNET, CryostatSettings(), load_sample("park2020_deficient")), self.clock, 1)
        panel = getattr(kind, "twin", "remanence.simulators.keithley:Keithley6221")
        self.panel = load_class(panel)(self.world, "it", wiring)
        FaultSchedule(self.world, [self.panel], faults)
        if transport == "tcp":
            server = stack.enter_context(serve({"it": self.panel}, self.clock))
            host, port = server.addresses["it"]
            manager, resource = pyvisa.ResourceManager("@py"), f"TCPIP0::{host}::{port}::SOCKET"
        else:
            manager = pyvisa.ResourceManager(VirtualVisaLibrary({RESOURCE: self.panel}, self.clock))
            resource = RESOURCE
        opened: Any = manager.open_resource(resource)
        stack.callback(opened.close)
        link = Link(
            opened, self.clock, name="it", write_end=kind.write_end, read_end=kind.read_end, deadline_s=kind.deadline_s
        )
        self.driver = kind(link, "it", **options)

    def voltage(self) -> float:
        """The true voltage between the leads of the instrument's own pair of contacts."""
        self.world.advance()
        self.world.circuit.solve()
        return self.world.circuit.sensed(self.source)

    @property
    def source(self) -> Any:
        return self.panel._source if hasattr(self.panel, "_source") else self.panel._meter.source


Make = Callable[..., Bench]


@pytest.fixture(params=["in process", "tcp"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    with ExitStack() as stack:

        def bench(kind: Any, wiring: str = "", faults: list[Fault] | None = None, **options: Any) -> Bench:
            return Bench(kind, request.param, stack, wiring, faults or [], **options)

        yield bench


@pytest.fixture
def quick() -> Iterator[Make]:
    with ExitStack() as stack:

        def bench(kind: Any, wiring: str = "", faults: list[Fault] | None = None, **options: Any) -> Bench:
            return Bench(kind, "in process", stack, wiring, faults or [], **options)

        yield bench


SOURCES = [Keithley6221, Keithley2400, Keithley2450, GS200]


@pytest.mark.parametrize("kind", [*SOURCES, Keithley2182A, Keithley7001])
def test_every_instrument_says_who_it_is_and_what_it_is_set_to(make: Make, kind: Any) -> None:
    bench = make(kind)
    assert bench.driver.check_identity()
    settings = bench.driver.settings()
    assert set(kind.settings_table) <= set(settings)


@pytest.mark.parametrize("kind", [*SOURCES, Keithley2182A, Keithley7001])
def test_another_instrument_at_the_address_is_refused(quick: Make, kind: Any) -> None:
    bench = quick(kind, faults=[Fault("answer", "it", text="STANFORD,SR844,s/n1,1.0", command="*IDN", for_s=1e6)])
    with pytest.raises(ReplyError, match="SR844"):
        bench.driver.check_identity()


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("current_A", [1e-4, -2.5e-3])
def test_a_direct_current_flows_as_it_was_asked_for(make: Make, kind: Any, current_A: float) -> None:
    bench = make(kind, "1-2 4-3")
    source: DirectCurrentSource = bench.driver
    source.start_current(current_A, compliance_V=10.0)
    bench.world.circuit.solve()
    assert bench.source.on
    assert bench.source.current_A == pytest.approx(current_A, rel=1e-4)
    source.output_off()
    bench.world.circuit.solve()
    assert not bench.source.on


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize(
    ("current_A", "compliance_V"),
    [(5.0, 10.0), (math.nan, 10.0), (-math.inf, 10.0), (1e-6, 300.0), (1e-6, 0.0), (1e-6, math.nan)],
)
def test_what_the_source_cannot_do_is_refused_before_a_byte_is_sent(
    quick: Make, kind: Any, current_A: float, compliance_V: float
) -> None:
    bench = quick(kind)
    with pytest.raises(LimitError):
        bench.driver.start_current(current_A, compliance_V=compliance_V)
    assert bench.panel.received == 0


@pytest.mark.parametrize("kind", SOURCES)
def test_an_order_that_the_instrument_refuses_is_a_fault_with_its_words(quick: Make, kind: Any) -> None:
    bench = quick(kind, faults=[Fault("refused", "it", command=":SOUR", for_s=1e6)])
    with pytest.raises(DeviceFault, match="Settings conflict"):
        bench.driver.start_current(1e-4, compliance_V=10.0)


@pytest.mark.parametrize("kind", [Keithley6221, Keithley2400, Keithley2450, GS200])
def test_a_level_that_was_lost_on_its_way_is_noticed(quick: Make, kind: Any) -> None:
    bench = quick(
        kind,
        faults=[Fault("unheard", "it", command=level, for_s=1e6) for level in (":SOUR:CURR 0.0001", ":SOUR:LEV 1")],
    )
    with pytest.raises(DeviceFault, match="reads back"):
        bench.driver.start_current(1e-4, compliance_V=10.0)


@pytest.mark.parametrize("kind", [*SOURCES])
def test_an_output_that_stays_on_is_told(quick: Make, kind: Any) -> None:
    bench = quick(kind, "1-2 4-3")
    bench.driver.start_current(1e-4, compliance_V=10.0)
    bench.panel.trouble._schedule.add(Fault("ignored", "it", command=":OUTP", for_s=1e6))
    if kind is Keithley6221:  # whose abort switches it off too
        bench.panel.trouble._schedule.add(Fault("ignored", "it", command=":SOUR", for_s=1e6))
    with pytest.raises(DeviceFault, match="does not switch off"):
        bench.driver.output_off()


@pytest.mark.parametrize("kind", [Keithley2400, Keithley2450])
def test_a_source_meter_measures_the_voltage_along_the_sample(make: Make, kind: Any) -> None:
    bench = make(kind, "1-2 4-3", remote_sense=True)
    meter: Voltmeter = bench.driver
    bench.driver.start_current(1e-3, compliance_V=10.0)
    meter.configure(range_V=2.0, line_cycles=1.0)
    reading = meter.read_voltage()
    assert reading.flags == ()
    assert reading.voltage_V == pytest.approx(bench.voltage(), abs=5e-5)


@pytest.mark.parametrize("kind", [Keithley2400, Keithley2450])
def test_a_voltage_in_compliance_is_flagged(quick: Make, kind: Any) -> None:
    bench = quick(kind, "1-2 4-3")
    bench.driver.start_current(0.05, compliance_V=0.5)
    assert "compliance" in bench.driver.read_voltage().flags


def test_the_nanovoltmeter_reads_what_is_at_the_contacts(make: Make) -> None:
    bench = make(Keithley2182A, "4-3")
    bench.driver.configure(range_V=0.01, line_cycles=1.0)
    reading = bench.driver.read_voltage()
    assert reading.flags == ()
    assert abs(reading.voltage_V) < 1e-4  # thermal voltages of a sample without current
    assert reading.time_s == pytest.approx(bench.clock.now(), abs=1.0)


@pytest.mark.parametrize(("text", "flags"), [("+9.90000000E+37", ("overrange",)), ("-9.9E37", ("overrange",))])
def test_the_word_for_too_much_is_a_flag_and_no_number(quick: Make, text: str, flags: tuple[str, ...]) -> None:
    bench = quick(Keithley2182A, "4-3", [Fault("answer", "it", text=text, command=":READ")])
    reading = bench.driver.read_voltage()
    assert math.isnan(reading.voltage_V)
    assert reading.flags == flags


@pytest.mark.parametrize("text", ["1.0E", "NAN", "1,2", "", "+2.5E+10", "1.0 V"])
def test_a_voltage_that_is_none_is_an_error(quick: Make, text: str) -> None:
    bench = quick(Keithley2182A, "4-3", [Fault("answer", "it", text=text or " ", command=":READ")])
    with pytest.raises(ReplyError):
        bench.driver.read_voltage()


@pytest.mark.parametrize(("range_V", "cycles"), [(200.0, 1.0), (0.01, 0.0), (0.01, 100.0), (math.nan, 1.0), (0.0, 1.0)])
def test_a_range_or_time_that_the_nanovoltmeter_lacks_is_refused(quick: Make, range_V: float, cycles: float) -> None:
    bench = quick(Keithley2182A, "4-3")
    with pytest.raises(LimitError):
        bench.driver.configure(range_V=range_V, line_cycles=cycles)
    assert bench.panel.received == 0


def test_delta_mode_measures_the_resistance_without_the_thermal_voltage(quick: Make) -> None:
    bench = quick(Keithley6221, "1-2")
    load_class(Keithley2182A.twin)(bench.world, "meter", "4-3").execute(":SENS:VOLT:NPLC 1;:SENS:VOLT:RANG 0.01")
    delta: Keithley6221 = bench.driver
    assert delta.nanovoltmeter_present
    delta.start_delta(1e-6, compliance_V=10.0, delay_s=0.02)
    assert delta.read_delta() is None
    bench.clock.sleep(2.0)
    reading = delta.read_delta()
    assert reading is not None
    assert reading.flags == ()
    bench.world.advance()
    true_V = 1e-6 * bench.world.contacts.resistance(1, 2, 3, 4)
    assert abs(true_V) > 1e-5
    # A microvolt of thermal voltage, six parts in a thousand, is not in it.
    assert reading.voltage_V == pytest.approx(true_V, rel=1e-3)
    delta.output_off()
    assert not delta.output_enabled


def test_delta_mode_without_a_nanovoltmeter_is_refused_with_what_to_do(quick: Make) -> None:
    bench = quick(Keithley6221, "1-2")
    with pytest.raises(DeviceFault, match="serial and trigger link"):
        bench.driver.start_delta(1e-4, compliance_V=10.0)
    assert not bench.driver.output_enabled


# The switch


def test_the_matrix_closes_exactly_what_it_is_told(make: Make) -> None:
    bench = make(Keithley7001)
    switch: Switch = bench.driver
    switch.close_only((1, 1, 1), (1, 2, 2))
    assert switch.read_closed() == {(1, 1, 1), (1, 2, 2)}
    switch.close_only((1, 1, 2))
    assert switch.read_closed() == {(1, 1, 2)}
    switch.open_all()
    assert switch.read_closed() == frozenset()


@pytest.mark.parametrize("channel", [(3, 1, 1), (1, 5, 1), (1, 1, 11), (1, 0, 1), (1, 41), (1, 1, 1, 1), (1,)])
def test_a_channel_that_cannot_be_is_refused_and_no_relay_moves(quick: Make, channel: tuple[int, ...]) -> None:
    bench = quick(Keithley7001)
    with pytest.raises(LimitError):
        bench.driver.close_only(channel)
    assert bench.panel.received == 0


def test_a_relay_that_does_not_close_is_noticed(quick: Make) -> None:
    bench = quick(Keithley7001, faults=[Fault("unheard", "it", command=":ROUT:CLOS (")])
    with pytest.raises(DeviceFault, match="closed are none"):
        bench.driver.close_only((1, 1, 1))


def test_a_card_that_is_not_the_station_files_is_refused(quick: Make) -> None:
    with pytest.raises(ConfigError, match="slot 1 has a C7012"):
        quick(Keithley7001, cards=["C7011"]).driver.check_identity()


# The GS200


def test_the_gs200_ramps_by_its_own_clock(quick: Make) -> None:
    bench = quick(GS200, "1-2")
    source: GS200 = bench.driver
    source.start_current(5e-4, compliance_V=5.0)
    source.start_ramp(1e-3, 10.0)
    assert source.ramping
    bench.clock.sleep(5.0)
    bench.world.advance()
    assert bench.source.level == pytest.approx(7.5e-4, rel=0.03)
    bench.clock.sleep(6.0)
    assert not source.ramping
    assert source.level == pytest.approx(1e-3)


@pytest.mark.parametrize(("level", "duration_s"), [(5e-3, 1.0), (1e-3, 0.0), (1e-3, 1e5), (math.nan, 1.0)])
def test_a_ramp_beyond_the_range_in_use_is_refused(quick: Make, level: float, duration_s: float) -> None:
    bench = quick(GS200, "1-2")
    bench.driver.start_current(5e-4, compliance_V=5.0)
    with pytest.raises(LimitError):
        bench.driver.start_ramp(level, duration_s)
    assert not bench.driver.ramping


@pytest.mark.parametrize("compliance_V", [2.5, 0.5, 31.0])
def test_a_compliance_that_the_gs200_would_round_is_refused(quick: Make, compliance_V: float) -> None:
    with pytest.raises(LimitError):
        quick(GS200).driver.start_current(1e-3, compliance_V=compliance_V)


def test_a_range_is_changed_without_a_step(quick: Make) -> None:
    bench = quick(GS200, "1-2")
    for level in (9e-4, 5e-3, 0.15, 2e-4):
        bench.driver.start_current(level, compliance_V=30.0)
        assert bench.driver.level == pytest.approx(level)


def test_the_drivers_are_what_procedures_ask_for() -> None:
    for kind in SOURCES:
        assert issubclass(kind, DirectCurrentSource)
    for kind in (Keithley2182A, Keithley2400, Keithley2450):
        assert issubclass(kind, Voltmeter)
    assert issubclass(Keithley7001, Switch)
