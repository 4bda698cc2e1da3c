"""Every lock-in driver on its front panel, in process and over TCP: what it reads, flags, refuses, follows, drives."""

import itertools
import math
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pyvisa
from remanence.core.capabilities import AutorangingLockIn, CurrentSource, LockIn
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError, DeviceFault, LimitError, RemanenceError, ReplyError
from remanence.engine.twin import load_class
from remanence.instruments import signal_recovery, sr860, srs
from remanence.instruments.link import Link
from remanence.instruments.lock_in import LockInDriver
from remanence.simulators import signal_recovery as dsp_panels
from remanence.simulators import sr830 as sr830_panel
from remanence.simulators import sr860 as sr860_panels
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import SampleSettings, load_sample
from remanence.simulators.tcp import serve
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))
SERIES_ohm = 1e6


class Kind(NamedTuple):
    """A driver, its panel, a settings message by hand that puts the gain wrong, and what its lowest full scale is."""

    driver: type[LockInDriver]
    panel: Callable[..., Any]
    overload: str
    clipped_at: float


KINDS = {
    "SR830": Kind(srs.SR830, sr830_panel.SR830, "overload output", 1.09),
    "SR860": Kind(sr860.SR860, sr860_panels.SR860, "overload input", math.inf),
    "SR865": Kind(sr860.SR865, sr860_panels.SR865, "overload input", math.inf),
    "SR865A": Kind(sr860.SR865A, sr860_panels.SR865A, "overload input", math.inf),
    "7265": Kind(signal_recovery.DSP7265, dsp_panels.DSP7265, "overload output", 3.0),
    "7270": Kind(signal_recovery.DSP7270, dsp_panels.DSP7270Ethernet, "overload output", 3.0),
    "7270 USB": Kind(signal_recovery.DSP7270USB, dsp_panels.DSP7270, "overload output", 3.0),
}
STANFORD = ("SR830", "SR860", "SR865", "SR865A")


class Laboratory:
    """A lock-in on the sample, and a current that somebody else drives through it."""

    def __init__(self, kind: str, transport: str, stack: ExitStack, quiet: bool = True, **panel_options: Any) -> None:
        self.kind = KINDS[kind]
        self.clock = VirtualClock()
        self._links: list[Link] = []
        changes = {"drift_V_per_sqrt_s": 0.0, "pickup_V": 0.0} | ({"noise_V_per_sqrtHz": 0.0} if quiet else {})
        sample = SampleSettings.model_validate(load_sample("park2020_deficient").model_dump() | changes)
        settings = WorldSettings(MAGNET, CryostatSettings(start_K=1.6, cold_K=1.6), sample, 0.0 if quiet else 6e-9)
        self.world = World(settings, self.clock, 1)
        self.panel: Any = self.kind.panel(self.world, "lockin", "xx", **panel_options)
        if transport == "tcp":
            server = stack.enter_context(serve({"lockin": self.panel}, self.clock))
            host, port = server.addresses["lockin"]
            name, manager = f"TCPIP0::{host}::{port}::SOCKET", pyvisa.ResourceManager("@py")
        else:
            # A serial poll makes a lock-in look, and each look draws noise: what compares two transports has none.
            name = "GPIB0::8::INSTR" if transport == "in process" else "TCPIP0::192.168.1.8::50001::SOCKET"
            manager = pyvisa.ResourceManager(VirtualVisaLibrary({name: self.panel}, self.clock))
        self._resource: Any = manager.open_resource(name)
        stack.callback(self._resource.close)

    def open(self, **options: Any) -> Any:
        kind = self.kind.driver
        link = Link(self._resource, self.clock, name="lockin", write_end=kind.write_end, read_end=kind.read_end)
        # A link that nobody holds any more closes the connection that the next one has.
        self._links.append(link)
        lockin = kind(link, "lockin", **options)
        lockin.check_identity()
        return lockin

    def drive(self, rms_A: float, frequency_Hz: float = 17.77) -> float:
        """Let somebody else's current flow, with its marker; the voltage that it makes (V rms)."""
        self.world.advance()
        excitation = self.world.excitation
        excitation.rms_A, excitation.frequency_Hz, excitation.on, excitation.marker = rms_A, frequency_Hz, True, True
        return self.world.voltage("xx")

    def drive_V(self, volts: float) -> float:
        self.world.advance()
        return self.drive(volts / self.world.sheet_resistances()[0])


@pytest.fixture(params=["in process", "tcp"])
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=KINDS)
def lab(request: pytest.FixtureRequest, transport: str) -> Iterator[Laboratory]:
    with ExitStack() as stack:
        yield Laboratory(request.param, transport, stack)


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest) -> Iterator[Laboratory]:
    with ExitStack() as stack:
        yield Laboratory(request.param, "in process", stack)


@pytest.fixture
def one() -> Iterator[Callable[..., Laboratory]]:
    with ExitStack() as stack:
        yield lambda kind, **options: Laboratory(kind, "in process", stack, **options)


def configured(lab: Laboratory, sensitivity_V: float = 2e-3, time_constant_s: float = 0.1, poles: int = 4) -> Any:
    lockin = lab.open()
    lockin.configure(sensitivity_V=sensitivity_V, time_constant_s=time_constant_s, poles=poles)
    return lockin


# Reading


def test_it_offers_its_capabilities_says_who_it_is_and_records_its_settings(lab: Laboratory):
    lockin = lab.open()
    assert isinstance(lockin, LockIn)
    assert isinstance(lockin, AutorangingLockIn)
    assert isinstance(lockin, CurrentSource)
    before = lab.panel.received
    settings = lockin.settings()
    assert set(settings) == set(lab.kind.driver.settings_table)
    assert lab.panel.received - before == len(settings) <= 18


def test_it_reads_the_sample_through_the_filter(lab: Laboratory):
    lockin = configured(lab)
    volts = lab.drive(1e-6)
    # What the start adds to four poles, e^-x (1 + x + x²/2 + x³/6), is 2e-7 of it after 25 τ.
    lab.clock.sleep(2.5)
    lockin.read_xy()
    reading = lockin.read_xy()
    assert reading.flags == ()
    assert reading.x_V == pytest.approx(volts, rel=1e-5)
    assert reading.y_V == pytest.approx(0.0, abs=1e-6 * volts)
    assert reading.time_s == pytest.approx(lab.clock.now(), abs=0.05)


@pytest.mark.parametrize("poles", [1, 2, 3, 4])
def test_the_step_comes_out_as_the_poles_say_at_the_readings_own_time(bench: Laboratory, poles: int):
    lockin = configured(bench, poles=poles)
    volts, start_s = bench.drive(1e-6), bench.clock.now()
    for _ in range(8):
        bench.clock.sleep(0.1)
        reading = lockin.read_xy()
        x = (reading.time_s - start_s) / 0.1
        part = 1.0 - math.exp(-x) * sum(x**k / math.factorial(k) for k in range(poles))
        # The panel looks when the command arrives, half an exchange before what the link takes for the time.
        assert reading.x_V == pytest.approx(volts * part, abs=0.06 * volts)


def test_both_transports_read_the_same_at_the_same_times(one: Any):
    for kind in KINDS:
        stories: list[list[Any]] = []
        for transport in ("socket in process", "tcp"):
            with ExitStack() as stack:
                lab = Laboratory(kind, transport, stack, quiet=False)
                lockin = configured(lab)
                lab.drive(1e-6)
                stories.append([lockin.read_xy() for _ in range(20)])
        assert stories[0] == stories[1], kind


def test_a_reading_without_a_reference_says_so_and_one_with_it_does_not(lab: Laboratory):
    lockin = configured(lab)
    assert lockin.read_xy().flags == ("unlocked",)
    lab.drive(1e-6)
    lab.clock.sleep(2.0)
    lockin.read_xy()  # the SRS instruments still tell of the time before
    assert lockin.read_xy().flags == ()
    lab.world.advance()
    lab.world.excitation.on = False
    lab.panel.world.advance()
    assert "unlocked" in lockin.read_xy().flags


def test_an_overloaded_reading_says_so(lab: Laboratory):
    lockin = configured(lab, 1e-6, 0.01)
    volts = lab.drive_V(1e-4 if lab.kind.clipped_at < math.inf else 20e-3)
    lab.clock.sleep(1.0)
    lockin.read_xy()
    reading = lockin.read_xy()
    assert lab.kind.overload in reading.flags
    assert abs(reading.x_V) < volts
    assert reading.x_V <= lab.kind.clipped_at * 1e-6 * (1 + 1e-6)
    lockin.set_sensitivity(50e-3)
    lab.clock.sleep(1.0)
    assert lockin.read_xy().flags == ()
    assert lockin.read_xy().x_V == pytest.approx(volts, rel=1e-4)


def test_a_reply_that_is_not_two_numbers_is_an_error(bench: Laboratory):
    lockin = configured(bench)
    bench.drive(1e-6)
    for text in ("1.0E-3", "1.0E-3,2.0E-4,3.0E-4", "1.0E,2.0E-4", "NAN,NAN", "9.91E37,9.91E37", ""):
        lockin.ask = lambda query, text=text: text
        with pytest.raises(ReplyError, match="got"):
            lockin.read_xy()


# Settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sensitivity_V": 3e-3}, "0.002 and 0.005"), ({"sensitivity_V": 2.0}, "are 1$|are 1\\."),
        ({"sensitivity_V": math.nan}, "nan"), ({"sensitivity_V": 0.0}, "0 is not"),
        ({"time_constant_s": 0.15}, "0.1 and 0.[23]"), ({"time_constant_s": -1.0}, "-1"),
        ({"time_constant_s": math.inf}, "inf"), ({"poles": 5}, "are 4"), ({"poles": 0}, "are 1"),
    ],
)  # fmt: skip
def test_settings_that_it_does_not_have_are_refused_before_a_byte_is_sent(
    bench: Laboratory, settings: dict[str, Any], words: str
):
    lockin = bench.open()
    received = bench.panel.received
    with pytest.raises(LimitError, match=words):
        lockin.configure(**({"sensitivity_V": 2e-3, "time_constant_s": 0.1, "poles": 4} | settings))
    assert bench.panel.received == received


BEYOND = {
    "sensitivity": (3e-3, 0.0, -1e-3, math.nan), "time_constant": (0.15, math.inf), "filter_slope": (7, 0, 30),
    "frequency": (0.0, 5e6, math.nan), "phase": (1e6, math.nan, -math.inf), "harmonic": (0, 70000, 1.5),
    "sine_voltage": (-0.1, 6.0, math.nan), "reference_source": ("extern", ""), "input_config": ("B", 1),
    "input_coupling": ("ac",), "input_grounding": ("none", True), "synchronous_filter": (2, "on", 1),
    "offsets_on": (True,), "reserve": ("hihg",), "input_range": (2.0, 0.5), "ac_gain": (5, 100), "input_notch": ("50 Hz",),
    "reference_mode": ("triple",), "sine_offset": (5.1,), "reference_impedance": ("1 MOhm",),
}  # fmt: skip


@pytest.mark.parametrize("name", BEYOND)
def test_a_property_refuses_what_there_is_not_before_an_order_is_sent(bench: Laboratory, name: str):
    lockin = bench.open()
    if not hasattr(type(lockin), name):
        return
    value = getattr(lockin, name)
    for wrong in BEYOND[name]:
        with pytest.raises(LimitError):
            setattr(lockin, name, wrong)
    assert getattr(lockin, name) == value


def test_every_setting_reads_back_as_it_was_set(bench: Laboratory):
    lockin = bench.open()
    for name, known in lockin.choices.items():
        for value in known if not isinstance(known, range) else known[:3]:
            setattr(lockin, name, value)
            assert getattr(lockin, name) == value, (name, value)
    lockin.reference_source = "internal"
    for name, values in {
        "sensitivity": lockin.full_scales_V, "time_constant": [t for t in lockin.time_constants_s if t <= 30.0],
        "filter_slope": (6, 12, 18, 24), "phase": (-90.0, 12.34, 179.99), "frequency": (1e-3, 17.77, 1234.5),
    }.items():  # fmt: skip
        for value in values:
            if name != "frequency" or value * lockin.harmonic < 1e5:
                setattr(lockin, name, value)
            assert getattr(lockin, name) == pytest.approx(value, rel=1e-6), (name, value)


def test_what_was_left_at_the_front_does_not_get_into_the_data(bench: Laboratory):
    lockin = bench.open()
    for line in {
        "SR83": ("HARM 3", "SYNC 1", "OEXP 1,20,1"),
        "SR86": ("HARM 3", "SYNC 1", "COFP X,20", "COFA X,ON", "ADVFILT 1"),
        "7265": ("REFN 3", "SYNC 1", "XOF 1 2000", "AUTOMATIC 0", "ACGAIN 9"),
        "7270": ("REFN 3", "SYNC 1", "XOF 1 2000", "AUTOMATIC 0", "ACGAIN 9"),
    }[bench.kind.driver.model[:4]]:
        bench.panel.receive(line.encode())
    assert lockin.harmonic == 3
    assert lockin.offsets_on
    lockin.configure(sensitivity_V=2e-3, time_constant_s=0.1, poles=4)
    volts = bench.drive(1e-6)
    bench.clock.sleep(3.0)
    lockin.read_xy()
    assert lockin.read_xy().flags == ()
    assert lockin.read_xy().x_V == pytest.approx(volts, rel=1e-5)
    assert not lockin.offsets_on


def test_an_input_that_measures_a_current_is_refused(bench: Laboratory):
    name, kinds = bench.kind.driver.current_inputs
    lockin = bench.open()
    setattr(lockin, name, kinds[0])
    with pytest.raises(ConfigError, match="measures no voltage"):
        lockin.configure(sensitivity_V=2e-3, time_constant_s=0.1, poles=4)
    # The lab says that a voltage is to be measured.
    lockin = bench.open(set_up={name: bench.kind.driver.choices[name][0]})
    lockin.configure(sensitivity_V=2e-3, time_constant_s=0.1, poles=4)
    assert getattr(lockin, name) == bench.kind.driver.choices[name][0]


def test_the_labs_own_settings_are_made_too(bench: Laboratory):
    lockin = bench.open(set_up={"input_config": "A-B", "input_coupling": "DC", "harmonic": 2})
    lockin.configure(sensitivity_V=2e-3, time_constant_s=0.1, poles=4)
    assert (lockin.input_config, lockin.input_coupling, lockin.harmonic) == ("A-B", "DC", 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"set_up": {"input_cofnig": "A"}}, "mean 'input_config'"), ({"set_up": {"input_config": "B"}}, "cannot be 'B'"),
        ({"set_up": {"sensitivity": 1e-3}}, "cannot name"), ({"set_up": {"harmonic": 0}}, "cannot be 0"),
        ({"set_up": {"harmonic": True}}, "cannot be True"), ({"set_up": {"synchronous_filter": 1}}, "cannot be 1"),
        ({"reference": "outside"}, "is none of"), ({"series_ohm": -1.0}, "must be a resistance"),
        ({"series_ohm": math.nan}, "must be a resistance"), ({"series_ohm": 1e6, "reference": "external"}, "its own reference"),
        ({"aux_limits_V": {"5": [0, 1]}}, "5 = "), ({"aux_limits_V": {"1": [1, 0]}}, "lowest and highest"),
        ({"aux_limits_V": {"1": [0, 13]}}, "gives ±"), ({"aux_limits_V": {"1": [0]}}, "lowest and highest"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_a_configuration_error(bench: Laboratory, options: dict[str, Any], words: str):
    with pytest.raises(ConfigError, match=words):
        bench.open(**options)
    assert bench.panel.received == 0


def test_an_order_that_the_instrument_refuses_is_a_fault_and_not_silence(bench: Laboratory):
    lockin = bench.open()
    for line in ("NONSENSE 1", "OFLT 99" if bench.kind.driver.model.startswith("SR") else "TC 99"):
        with pytest.raises(DeviceFault, match="refused"):
            lockin.write(line)
        lockin.filter_slope = 12  # it is told once


def test_a_setting_that_was_not_taken_ends_the_configuration(bench: Laboratory):
    lockin = bench.open()
    # A hand that turns the filter back each time.
    word = {"SR": "OFSL 0", "72": "SLOPE 0"}[bench.kind.driver.model[:2]]
    send = lockin.write

    def write(command: str) -> None:
        send(command)
        bench.panel.receive(word.encode())

    lockin.write = write
    with pytest.raises(ReplyError, match="filter_slope was set to 24 and reads back 6"):
        lockin.configure(sensitivity_V=2e-3, time_constant_s=0.1, poles=4)


# Delay


def test_the_delay_is_asked_of_the_instrument(bench: Laboratory):
    lockin = configured(bench, time_constant_s=0.1, poles=3)
    assert lockin.read_delay() == pytest.approx(0.3)
    lockin.time_constant = 1.0
    assert lockin.read_delay() == pytest.approx(3.0)
    lockin.filter_slope = 6
    assert lockin.read_delay() == pytest.approx(1.0)


def test_a_synchronous_filter_adds_its_period(bench: Laboratory):
    lockin = configured(bench, time_constant_s=0.1, poles=2)
    bench.drive(1e-6, 10.0)
    lockin.synchronous_filter = True
    more = 2 if bench.kind.driver.model.startswith("72") else 1
    assert lockin.read_delay() == pytest.approx(0.2 + more * 0.1)


def test_above_two_hundred_hertz_the_synchronous_filter_of_an_sr830_does_nothing(one: Any):
    lab = one("SR830")
    lockin = configured(lab, poles=2)
    lockin.synchronous_filter = True
    lab.drive(1e-6, 150.0)
    assert lockin.read_delay() == pytest.approx(0.2 + 1 / 150.0)
    lockin.harmonic = 2
    assert lockin.read_delay() == pytest.approx(0.2)


def test_the_delay_of_the_advanced_filter_is_not_invented(one: Any):
    lab = one("SR860")
    lockin = configured(lab)
    lockin.advanced_filter = True
    with pytest.raises(ConfigError, match="advanced filter"):
        lockin.read_delay()
    lockin.configure(sensitivity_V=2e-3, time_constant_s=0.1, poles=4)
    assert lockin.read_delay() == pytest.approx(0.4)


# Ranging


def test_its_range_follows_a_signal_that_grows_and_shrinks_a_millionfold(bench: Laboratory):
    lockin = configured(bench, 1e-7, 0.01)
    lockin.start_autorange()
    signals_V = [0.5 * 10.0**n for n in range(-7, 0)]
    changes: list[tuple[float, float]] = []
    last_V, settled_s = lockin.read_sensitivity(), 0.0
    for signal_V in [*signals_V, *signals_V[-2::-1]]:
        volts = bench.drive_V(signal_V)
        unflagged = 0
        for _ in range(100):
            reading = lockin.read_xy()
            now_V = lockin.read_sensitivity()
            if now_V != last_V:
                changes.append((last_V, now_V))
                settled_s = reading.time_s + 5 * 0.04
            elif reading.time_s < settled_s - 0.05:
                assert "settling" in reading.flags
            if reading.flags == () and reading.time_s > settled_s + 1.0:
                # Nothing that is not flagged is wrong once the step has gone through the filter.
                unflagged += 1
                if unflagged > 20:
                    assert reading.x_V == pytest.approx(volts, rel=1e-4)
            last_V = now_V
            bench.clock.sleep(0.1)
        assert unflagged > 30
        assert volts <= 0.85 * last_V * (1 if bench.kind.driver.model.startswith(("72", "SR830")) else 1.2)
    assert 0 < len(changes) <= 30
    assert sum(a == (b[1], b[0]) for a, b in itertools.pairwise(changes)) <= 1


@pytest.mark.parametrize("part", [0.24, 0.6, 0.85, 1.0])
def test_its_range_does_not_hunt_at_a_boundary_with_noise(one: Any, part: float):
    for kind in ("SR830", "SR860", "7265", "7270"):
        lab = one(kind, quiet=False)
        lockin = configured(lab, 5e-3, 0.01, 1)
        lockin.start_autorange()
        full_V = 100e-9 if kind != "SR860" else 5e-3  # where the amplifier's noise is a few percent of full scale
        if kind != "SR860":
            lockin.set_sensitivity(full_V)
        lab.drive_V(part * full_V)
        lab.clock.sleep(1.0)
        ranges = []
        for _ in range(1500):
            lockin.read_xy()
            ranges.append(lockin.read_sensitivity())
            lab.clock.sleep(0.2)
        changes = [(a, b) for a, b in itertools.pairwise(ranges) if a != b]
        assert len(changes) <= 3, (kind, changes)
        assert len(set(ranges[len(ranges) // 2 :])) == 1, kind


def test_the_range_stays_within_what_is_allowed_and_ends_with_a_configuration(bench: Laboratory):
    lockin = configured(bench, 5e-3, 0.01)
    lockin.start_autorange(smallest_V=5e-3, largest_V=50e-3)
    bench.drive_V(1e-6)
    for _ in range(100):
        lockin.read_xy()
        bench.clock.sleep(0.5)
    assert lockin.read_sensitivity() == 5e-3
    bench.drive_V(0.4)
    for _ in range(20):
        lockin.read_xy()
        bench.clock.sleep(0.5)
    assert lockin.read_sensitivity() == 50e-3
    lockin.configure(sensitivity_V=1e-3, time_constant_s=0.01, poles=4)
    for _ in range(20):
        lockin.read_xy()
    assert lockin.read_sensitivity() == 1e-3
    received = bench.panel.received
    lockin.read_xy()
    assert bench.panel.received == received + 2  # without a range to follow nothing more is asked
    with pytest.raises(LimitError, match="there is no range between"):
        lockin.start_autorange(smallest_V=3e-3, largest_V=4e-3)


def test_the_input_range_of_an_sr860_goes_with_its_sensitivity(one: Any):
    lab = one("SR860")
    lockin = lab.open()
    for sensitivity_V, range_V in (
        (1e-9, 0.01),
        (5e-3, 0.01),
        (10e-3, 0.03),
        (50e-3, 0.1),
        (0.2, 0.3),
        (0.5, 1.0),
        (1.0, 1.0),
    ):
        lockin.configure(sensitivity_V=sensitivity_V, time_constant_s=0.1, poles=1)
        assert (lockin.sensitivity, lockin.input_range) == (sensitivity_V, range_V)
    lockin = lab.open(set_up={"input_range": 0.3})
    lockin.configure(sensitivity_V=1e-3, time_constant_s=0.1, poles=1)
    assert (lockin.sensitivity, lockin.input_range) == (1e-3, 0.3)
    with pytest.raises(ConfigError, match="kept by station"):
        lockin.start_autorange()


def test_what_an_sr860_cannot_display_is_told_but_true(one: Any):
    lab = one("SR860")
    lockin = configured(lab, 1e-6)
    volts = lab.drive_V(1e-3)
    lab.clock.sleep(3.0)
    lockin.read_xy()
    reading = lockin.read_xy()
    assert reading.flags == ("beyond scale",)
    assert reading.x_V == pytest.approx(volts, rel=1e-5)


# Phase


@pytest.mark.parametrize("phase_deg", [-170.0, -45.0, 0.0, 90.0, 179.0])
def test_a_proposed_phase_brings_the_signal_into_x_and_is_not_set_by_itself(bench: Laboratory, phase_deg: float):
    lockin = configured(bench, poles=1)
    lockin.phase = phase_deg
    volts = bench.drive(1e-6)
    bench.clock.sleep(3.0)
    lockin.read_xy()
    proposal = lockin.propose_phase()
    assert lockin.phase == pytest.approx(phase_deg)
    assert proposal.proposed_deg == pytest.approx(0.0, abs=1e-2)
    assert (proposal.turn_deg + phase_deg + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=1e-2)
    lockin.phase = proposal.proposed_deg
    bench.clock.sleep(3.0)
    reading = lockin.read_xy()
    assert (reading.x_V, reading.y_V) == pytest.approx((volts, 0.0), rel=1e-4, abs=1e-3 * volts)


def test_no_phase_is_proposed_from_a_reading_that_is_flagged(bench: Laboratory):
    lockin = configured(bench)
    with pytest.raises(DeviceFault, match="unlocked"):
        lockin.propose_phase()


# Outputs


def test_its_sine_drives_the_sample_through_the_resistor_and_it_reads_what_it_drives(lab: Laboratory):
    with ExitStack() as stack:
        lab = Laboratory(next(k for k, v in KINDS.items() if v is lab.kind), "in process", stack, drives=SERIES_ohm)
        lockin = lab.open(series_ohm=SERIES_ohm)
        lockin.configure(sensitivity_V=5e-3, time_constant_s=0.1, poles=4)
        lockin.start_sine(rms_A=1e-6, frequency_Hz=17.77)
        lab.world.advance()
        assert lab.world.excitation.on
        assert lab.world.excitation.rms_A == pytest.approx(1e-6, rel=1e-6)
        assert lab.world.excitation.frequency_Hz == pytest.approx(17.77, rel=1e-6)
        lab.clock.sleep(3.0)
        lockin.read_xy()
        reading = lockin.read_xy()
        assert reading.flags == ()
        assert reading.x_V == pytest.approx(lab.world.voltage("xx"), rel=1e-4)
        assert lockin.settings()["series_ohm"] == SERIES_ohm
        lockin.make_safe()
        lab.world.advance()
        # An SR830 has no less than 4 mV.
        left_A = 0.004 / SERIES_ohm if lab.kind.driver.model == "SR830" else 0.0
        assert lab.world.excitation.through_sample_A == pytest.approx(left_A)


@pytest.mark.parametrize(
    ("rms_A", "frequency_Hz"),
    [(0.0, 17.0), (-1e-6, 17.0), (6e-6, 17.0), (math.nan, 17.0), (math.inf, 17.0), (1e-6, 0.0), (1e-6, 5e6), (1e-6, math.nan)],
)  # fmt: skip
def test_a_current_that_its_sine_cannot_give_is_refused_before_a_byte_is_sent(
    bench: Laboratory, rms_A: float, frequency_Hz: float
):
    lockin = bench.open(series_ohm=SERIES_ohm)
    received = bench.panel.received
    with pytest.raises(LimitError, match="Nothing was sent"):
        lockin.start_sine(rms_A=rms_A, frequency_Hz=frequency_Hz)
    assert bench.panel.received == received


def test_an_sr830_gives_whole_steps_of_two_millivolt_and_names_the_neighbours(one: Any):
    lockin = one("SR830").open(series_ohm=1e4)
    with pytest.raises(LimitError, match=r"1e-06 A and 1\.2e-06 A"):
        lockin.start_sine(rms_A=1.1e-6, frequency_Hz=17.0)


def test_without_a_resistor_it_is_no_source(bench: Laboratory):
    lockin = bench.open()
    received = bench.panel.received
    with pytest.raises(ConfigError, match="series_ohm"):
        lockin.start_sine(rms_A=1e-6, frequency_Hz=17.0)
    lockin.make_safe()
    assert bench.panel.received == received


def test_a_sine_that_was_not_taken_is_turned_down(bench: Laboratory):
    lockin = bench.open(series_ohm=SERIES_ohm)
    lockin.configure(sensitivity_V=5e-3, time_constant_s=0.1, poles=4)
    told: list[str] = []
    send = lockin.write

    def write(command: str) -> None:
        send(command)
        told.append(command)
        if command.startswith(("SLVL", "OA")) and len(told) > 2:
            # A hand at the knob, each time.
            bench.panel.turn("SLVL" if command.startswith("SLVL") else "OA.", "0.5")

    lockin.write = write
    with pytest.raises(DeviceFault, match=r"reads back 0\.5 V"):
        lockin.start_sine(rms_A=1e-6, frequency_Hz=17.0)
    assert float(told[-1].split()[1]) == lockin.sine_V[0]
    with pytest.raises(DeviceFault, match="Current may flow"):
        lockin.output_off()
    lockin.write = send
    lockin.output_off()
    assert lockin.sine_voltage == lockin.sine_V[0]


def test_a_frequency_whose_harmonic_is_beyond_a_lock_in_is_refused_and_the_sine_is_down(one: Any):
    for kind in STANFORD:
        lockin = one(kind).open(series_ohm=SERIES_ohm)
        lockin.configure(sensitivity_V=5e-3, time_constant_s=0.1, poles=4)
        lockin.harmonic = 3
        with pytest.raises(DeviceFault, match="refused 'FREQ"):
            lockin.start_sine(rms_A=1e-6, frequency_Hz=0.9 * lockin.highest_Hz)
        assert lockin.sine_voltage == lockin.sine_V[0]


def test_an_auxiliary_output_is_set_within_the_stations_limits_only(bench: Laboratory):
    lockin = bench.open(aux_limits_V={"1": [-2.0, 0.5]})
    received = bench.panel.received
    for number, volts in ((1, 0.6), (1, -2.1), (1, math.nan), (2, 0.0), (7, 0.0)):
        with pytest.raises(LimitError, match="Nothing was sent"):
            lockin.set_aux_output(number, volts)
    assert bench.panel.received == received
    lockin.set_aux_output(1, -1.234)
    assert lockin.read_aux_output(1) == pytest.approx(-1.234)
    assert lockin.read_aux_output(2) == 0.0
    assert lockin.read_aux_input(1) == 0.0


# Each its own


def test_a_lock_in_of_another_model_is_refused(one: Any):
    lab = one("SR865A")
    with pytest.raises(ReplyError, match="not a SR865"):
        Laboratory.open(_as(lab, sr860.SR865))
    lab = one("7265")
    with pytest.raises(RemanenceError):
        Laboratory.open(_as(lab, srs.SR830))


def _as(lab: Laboratory, driver: Any) -> Laboratory:
    lab.kind = lab.kind._replace(driver=driver)
    return lab


def test_a_7270_whose_usb_answers_carry_status_bytes_is_put_right(one: Any):
    lab = one("7270 USB")
    lab.panel.receive(b"USBTERM 1")
    lab.panel.receive(b"IE 2")
    lockin = lab.open()
    assert lockin.filter_slope == 12
    lockin.configure(sensitivity_V=2e-3, time_constant_s=0.1, poles=4)
    assert lockin.read_xy().flags == ("unlocked",)


def test_a_list_with_blanks_between_its_values_is_put_right(one: Any):
    for kind in ("7265", "7270", "7270 USB"):
        lab = one(kind)
        lab.panel.receive(b"DD 32")
        lockin = configured(lab)
        lab.drive(1e-6)
        assert lockin.read_xy().y_V == pytest.approx(0.0, abs=1e-6)


def test_the_gain_of_a_7265_is_the_labs_if_it_says_so(one: Any):
    lab = one("7265")
    lockin = lab.open(set_up={"ac_gain": 20})
    lockin.configure(sensitivity_V=2e-3, time_constant_s=0.1, poles=4)
    assert (lockin.automatic_gain, lockin.ac_gain) == (False, 20)
    lockin = configured(lab)
    assert lockin.automatic_gain


def test_the_logic_input_is_the_reference_of_a_7265_unless_the_station_says_otherwise(one: Any):
    lab = one("7265")
    assert configured(lab).reference_source == "external logic"
    lockin = lab.open(reference="external")
    lockin.configure(sensitivity_V=2e-3, time_constant_s=0.1, poles=4)
    assert lockin.reference_source == "external"


PAGES = sorted(
    page
    for start in ("srs-", "signal-recovery-")
    for page in (Path(__file__).parents[1] / "docs" / "instruments").glob(f"{start}*.md")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_example_of_each_page_opens_what_it_describes(page: Path, one: Any):
    block = re.search(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    for entry in tomllib.loads(block[1])["instruments"].values():
        driver = load_class(entry["driver"])
        lockin = one(next(name for name, kind in KINDS.items() if kind.driver is driver)).open(
            **entry.get("options", {})
        )
        lockin.configure(sensitivity_V=2e-3, time_constant_s=0.1, poles=4)
        settings = lockin.settings()
        for name, value in entry.get("options", {}).get("set_up", {}).items():
            assert settings.get(name, getattr(lockin, name)) == value


def test_there_is_a_page_for_each_driver():
    told = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for kind in KINDS.values():
        assert kind.driver.__name__ in told
