"""The lock-ins' front panels, byte by byte, and their physics from the contacts to the wire."""

import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError
from remanence.simulators import sr860, srs
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.excitation import Excitation, sampled_wave, square_wave, triangle_wave
from remanence.simulators.front_panel import Conversation
from remanence.simulators.lock_in import LockIn, compression
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import SampleSettings, load_sample
from remanence.simulators.signal_recovery import DSP7265, DSP7270
from remanence.simulators.sr830_buffer import TraceBuffer
from remanence.simulators.srs import SR830, SR860, SR865A
from remanence.simulators.world import World, WorldSettings

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))
KINDS: tuple[type[LockIn], ...] = (SR830, SR860, DSP7265, DSP7270)
SERIES_ohm = 1e5
# For each panel: how to ask for X and Y, and settings: external reference, a time constant of 0.1 s (SR860, SR830) or
# 0.1 s (7265, 7270), a full scale of 1 mV, 6 dB steps of the slope.
READ = {SR830: "SNAP?1,2", SR860: "SNAP? X, Y", DSP7265: "XY.", DSP7270: "XY."}
EXTERNAL = {SR830: "FMOD 0", SR860: "RSRC EXT", DSP7265: "IE 1", DSP7270: "IE 1"}
MILLIVOLT = {SR830: "SENS 17", SR860: "SCAL 9", DSP7265: "SEN 18", DSP7270: "SEN 18"}
SLOPE = {SR830: "OFSL {}", SR860: "OFSL {}", DSP7265: "SLOPE {}", DSP7270: "SLOPE {}"}
TAU = {
    SR830: ("OFLT {}", srs.TIME_CONSTANTS_s), SR860: ("OFLT {}", sr860.TIME_CONSTANTS_s),
    DSP7265: ("TC {}", DSP7265.time_constants_s), DSP7270: ("TC {}", DSP7270.time_constants_s),
}  # fmt: skip
# Equivalent noise bandwidth of n poles, in units of 1/τ, and the n of each index of the slope.
BANDWIDTHS = (1 / 4, 1 / 8, 3 / 32, 5 / 64)


class Bench:
    """One panel on a quiet sample, or a noisy one."""

    def __init__(
        self, kind: type[LockIn], noise: bool = False, wiring: str = "xx", linear: bool = False, **options: Any
    ):
        self.clock = VirtualClock()
        changes: dict[str, float] = {"drift_V_per_sqrt_s": 0.0, "pickup_V": 0.0}
        if not noise:
            changes["noise_V_per_sqrtHz"] = 0.0
        if linear:
            # Two alike bands and nothing else: the Hall voltage is proportional to the field.
            changes |= {"mobility_high_m2_per_Vs": 0.025, "mobility_low_m2_per_Vs": 0.025, "ahe_amplitude_ohm": 0.0}
            changes |= {"contact_misalignment": 0.0, "localisation_fraction": 0.0}
        sample = SampleSettings.model_validate(load_sample("park2020_deficient").model_dump() | changes)
        cryostat = CryostatSettings(start_K=1.6, cold_K=1.6)
        self.world = World(WorldSettings(MAGNET, cryostat, sample, 6e-9 if noise else 0.0), self.clock, 1)
        self.panel: Any = kind(self.world, "lockin", wiring, **options)
        self.kind = kind

    def say(self, *lines: str) -> str:
        """Send lines; what came back for the last, without what ends it."""
        reply = b""
        for line in lines:
            reply = self.panel.receive(line.encode())
        return reply.decode("latin-1").strip("\r\n\0")

    def numbers(self, line: str) -> list[float]:
        return [float(text) for text in self.say(line).split(",")]

    def filter(self, tau_s: float, slope: int) -> None:
        command, table = TAU[self.kind]
        self.say(command.format(table.index(tau_s)), SLOPE[self.kind].format(slope))

    def drive(self, rms_A: float = 1e-6, frequency_Hz: float = 17.77, **more: Any) -> float:
        """Let somebody else's current flow, with its marker; the voltage that it makes."""
        self.world.advance()
        excitation = self.world.excitation
        excitation.rms_A, excitation.frequency_Hz, excitation.on, excitation.marker = rms_A, frequency_Hz, True, True
        for name, value in more.items():
            setattr(excitation, name, value)
        return self.world.voltage("xx")

    def pause(self, seconds: float) -> None:
        self.clock.sleep(seconds)


# Filter, noise, delay: from the contacts to the wire


@pytest.mark.parametrize("slope", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_noise_on_the_wire_is_the_density_times_the_root_of_the_bandwidth(kind: type[LockIn], slope: int) -> None:
    bench = Bench(kind, noise=True)
    bench.filter(0.1, slope)
    bench.say({SR830: "SENS 8", SR860: "SCAL 18", DSP7265: "SEN 9", DSP7270: "SEN 9"}[kind])  # 1 µV
    values: list[list[float]] = []
    for _ in range(500):
        bench.pause(1.0)
        values.append(bench.numbers(READ[kind]))
    density = math.hypot(bench.world.settings.sample.noise_V_per_sqrtHz, 6e-9)
    # 500 independent values of two channels: the deviation is known to 2.2 %.
    assert np.std(np.ravel(values)) == pytest.approx(density * math.sqrt(BANDWIDTHS[slope] / 0.1), rel=0.08)


@pytest.mark.parametrize("slope", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_a_ramp_comes_over_the_wire_late_by_the_poles_times_the_time_constant(kind: type[LockIn], slope: int) -> None:
    bench = Bench(kind, wiring="xy", linear=True)
    tau_s = 1.0
    bench.filter(tau_s, slope)
    bench.say(EXTERNAL[kind], MILLIVOLT[kind])
    bench.drive(1e-6)
    bench.world.magnet.ramp(74.0, 0.04, bench.clock.now())
    bench.pause(60.0)
    before_V = (bench.say(READ[kind]), bench.world.voltage("xy"))[1]
    bench.pause(1.0)
    x_V, y_V = bench.numbers(READ[kind])
    now_V = bench.world.voltage("xy")
    delay = (now_V - x_V) / (now_V - before_V) / tau_s
    assert delay == pytest.approx(slope + 1, abs=1e-3)
    assert y_V == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("index", range(4))
def test_sr860_says_the_bandwidth_that_its_noise_has(index: int) -> None:
    bench = Bench(SR860)
    bench.filter(0.3, index)
    assert float(bench.say("ENBW?")) == pytest.approx(BANDWIDTHS[index] / 0.3)


# References


@pytest.mark.parametrize("kind", KINDS)
def test_an_oscillator_that_is_wired_to_the_sample_drives_it_and_is_the_marker_of_the_others(
    kind: type[LockIn],
) -> None:
    bench = Bench(kind, drives="100 kohm")
    bench.say({SR830: "SLVL 0.1", SR860: "SLVL 100 MV", DSP7265: "OA. 0.1", DSP7270: "OA 100000"}[kind])
    bench.say({SR830: "FREQ 33", SR860: "FREQ 33", DSP7265: "OF. 33", DSP7270: "OF 33000"}[kind], MILLIVOLT[kind])
    excitation = bench.world.excitation
    assert (excitation.on, excitation.marker, excitation.frequency_Hz) == (True, True, 33.0)
    assert excitation.rms_A == pytest.approx(0.1 / SERIES_ohm)
    other = SR830(bench.world, "other", "xx")
    other.receive(b"FMOD 0;SENS 17;OFLT 6")
    bench.filter(0.1, 1)
    bench.pause(3.0)
    assert bench.numbers(READ[kind])[0] == pytest.approx(bench.world.voltage("xx"), rel=5e-6)
    assert float(other.receive(b"OUTP?1")) == pytest.approx(bench.world.voltage("xx"), rel=5e-6)
    assert other.receive(b"FREQ?") == b"33\n"
    # While it follows somebody else's reference it drives nothing.
    bench.say(EXTERNAL[kind])
    assert not bench.world.excitation.on


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_wire_an_oscillator_drives_nothing(kind: type[LockIn]) -> None:
    bench = Bench(kind)
    bench.say("SLVL 1" if kind in (SR830, SR860) else "OA. 1")
    bench.pause(1.0)
    bench.say(READ[kind])
    assert not bench.world.excitation.on


def test_what_it_drives_through_must_be_a_resistance() -> None:
    with pytest.raises(ConfigError):
        Bench(SR830, drives="100 mV")


@pytest.mark.parametrize(
    ("kind", "query", "bit"),
    [(SR830, "LIAS?", 8), (SR860, "LIAS?", 8), (SR860, "CUROVLDSTAT?", 8), (DSP7265, "ST", 8), (DSP7270, "ST", 8),
     (DSP7265, "N", 128)],
)  # fmt: skip
def test_a_missing_reference_is_told(kind: type[LockIn], query: str, bit: int) -> None:
    bench = Bench(kind)
    assert not int(bench.say(query)) & bit
    bench.say(EXTERNAL[kind])
    assert int(bench.say(query)) & bit
    bench.drive()
    bench.pause(1.0)
    bench.say(query)
    assert not int(bench.say(query)) & bit


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixer_sees_the_share_of_its_harmonic(kind: type[LockIn]) -> None:
    bench = Bench(kind)
    number = "HARM {}" if kind in (SR830, SR860) else "REFN {}"
    source = Excitation(1e-6, 17.0, True, True, harmonics=square_wave())
    for reference in (EXTERNAL[kind], {SR830: "FMOD 1", SR860: "RSRC INT"}.get(kind, "IE 0")):
        bench.say(reference, "FREQ 17" if kind in (SR830, SR860) else "OF. 17")
        for harmonic, share in ((1, 1.0), (2, 0.0), (3, 1 / 3), (5, 1 / 5), (7, 1 / 7), (98, 0.0), (99, 1 / 99)):
            bench.say(number.format(harmonic))
            assert bench.panel.share(source) == pytest.approx(share, abs=1e-12)
    bench.say(number.format(3))
    assert bench.panel.share(Excitation(1e-6, 17.0, True, True)) == 0.0
    # Three times a third of the frequency is the fundamental.
    assert bench.panel.share(Excitation(1e-6, 51.0, True, True)) == 1.0


def test_a_mixer_hears_what_is_within_its_filter() -> None:
    source = Excitation(1e-6, 100.0, True, harmonics={3: 0.25j})
    for frequency_Hz, within_Hz, share in (
        (100.0, 0.0, 1.0),
        (100.4, 0.5, 1.0),
        (100.6, 0.5, 0.0),
        (300.1, 0.5, 0.25j),
    ):
        assert source.share_at(frequency_Hz, within_Hz) == share
    assert Excitation().share_at(100.0, 1.0) == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_in_at_a_harmonic_reads_its_share_of_a_square_wave(kind: type[LockIn]) -> None:
    bench = Bench(kind)
    bench.say(EXTERNAL[kind], MILLIVOLT[kind])
    bench.filter(0.1, 3)
    applied_V = bench.drive(harmonics=square_wave(0.3))
    for harmonic in (1, 2, 3):
        bench.say(f"{'HARM' if kind in (SR830, SR860) else 'REFN'} {harmonic}")
        bench.pause(5.0)
        share = math.sin(harmonic * math.pi * 0.3) / (harmonic * math.sin(math.pi * 0.3))
        assert abs(complex(*bench.numbers(READ[kind]))) == pytest.approx(applied_V * abs(share), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_another_harmonic_is_heard_from_its_order_on_however_long_all_was_at_rest(kind: type[LockIn]) -> None:
    bench = Bench(kind)
    bench.say(EXTERNAL[kind], MILLIVOLT[kind])
    bench.filter(0.01, 3)
    applied_V = bench.drive(harmonics=square_wave(0.3))
    bench.pause(30.0)
    assert abs(complex(*bench.numbers(READ[kind]))) == pytest.approx(applied_V, rel=1e-5)
    bench.say(f"{'HARM' if kind in (SR830, SR860) else 'REFN'} 2")
    bench.pause(0.2)
    share = math.sin(2 * math.pi * 0.3) / (2 * math.sin(math.pi * 0.3))
    assert abs(complex(*bench.numbers(READ[kind]))) == pytest.approx(applied_V * share, rel=1e-5)


@pytest.mark.parametrize("duty", [0.5, 0.3, 0.75])
@pytest.mark.parametrize(
    ("formula", "shape"),
    [
        (square_wave, lambda phase, duty: 1.0 if abs(phase) < duty / 2 else -1.0),
        (triangle_wave, lambda phase, duty: phase / duty if abs(phase) < duty / 2 else (0.5 - abs(phase)) / (1 - duty)
         * math.copysign(1.0, phase)),
    ],
)  # fmt: skip
def test_the_harmonics_of_a_waveform_are_its_fourier_coefficients(
    formula: Callable[[float], dict[int, complex]], shape: Callable[[float, float], float], duty: float
) -> None:
    points = 20000
    wave = [shape((k + 0.5) / points - 0.5, duty) for k in range(points)]
    measured, expected = sampled_wave(wave), formula(duty)
    for harmonic in range(2, 12):
        # Amplitudes; a triangle is about its zero crossing what the square is about its middle.
        assert abs(measured.get(harmonic, 0.0)) == pytest.approx(abs(expected.get(harmonic, 0.0)), abs=1e-3)


def test_a_sampled_wave_has_its_phases_too() -> None:
    angles = np.arange(256) * 2 * np.pi / 256 + 0.4
    wave = 0.5 * np.sin(angles) + 0.05 * np.sin(3 * angles + 0.2)
    assert sampled_wave(wave.tolist()) == {3: pytest.approx(0.1 * np.exp(0.2j))}
    assert sampled_wave([1.0] * 8) == sampled_wave([1.0, 2.0]) == {}
    assert square_wave()[3] == pytest.approx(1 / 3)


# Overload


def test_a_clipped_sine_has_the_fundamental_that_an_integral_gives() -> None:
    angles = (np.arange(100000) + 0.5) * 2 * np.pi / 100000
    for peak_V in (0.5, 1.01, 1.5, 20.0):
        fundamental = 2 * np.mean(np.clip(peak_V * np.sin(angles), -1.0, 1.0) * np.sin(angles))
        assert compression(peak_V, 1.0) == pytest.approx(fundamental / peak_V, rel=1e-6)


def test_sr860_flags_the_input_the_outputs_and_the_data_channels_each_for_itself() -> None:
    bench = Bench(SR860)
    bench.say("RSRC EXT", "OFLT 8", "CDSP 2, THeta")
    peak_V = math.sqrt(2.0) * bench.drive(20e-6)
    assert 10e-3 < peak_V < 30e-3
    bench.pause(1.0)
    bench.say("LIAS?")
    for lines, flags in [
        (("SCAL 0",), 0), (("SCAL 6",), 0b0001_0000_0001), (("COUT OCH1, RTH",), 0b0001_0000_0001), (("COUT OCH1, XY",), 257),
        (("CDSP DAT1, IN1",), 1), (("SCAL 0", "CEXP X, X100"), 1), (("CEXP X, OFF", "IRNG 10M"), 16), (("IRNG 3",), 0),
    ]:  # fmt: skip
        bench.say(*lines)
        assert int(bench.say("CUROVLDSTAT?")) == flags, lines
    assert int(bench.say("LIAS?")) == 0b0001_0001_0001
    assert int(bench.say("LIAS?")) == 0
    assert [int(bench.say(line)) for line in ("IRNG?", "ILVL?")] == [3, 2]


@pytest.mark.parametrize(("kind", "x_bit", "status"), [(DSP7265, 16 | 2, 16), (DSP7270, 1 | 16, 16)])
def test_dsp_lock_ins_stop_at_three_times_full_scale(kind: type[LockIn], x_bit: int, status: int) -> None:
    bench = Bench(kind)
    bench.say(EXTERNAL[kind], "ACGAIN 0", "SEN 15")
    bench.filter(0.01, 0)
    bench.drive()
    bench.pause(1.0)
    assert bench.say("X") == "30000"
    assert bench.numbers("X.") == [3e-4]
    assert int(bench.say("N")) == x_bit
    assert int(bench.say("ST")) & ~1 == status
    bench.say("SEN 18")
    assert int(bench.say("N")) == 0
    assert float(bench.say("X")) == pytest.approx(bench.world.voltage("xx") * 1e7, abs=1.0)


def test_7265_and_7270_tell_an_input_overload_in_bits_of_their_own() -> None:
    for kind, query, bit in ((DSP7265, "N", 64), (DSP7270, "ST", 64)):
        bench = Bench(kind)
        bench.say(EXTERNAL[kind], "SEN 27", "ACGAIN 9")
        bench.drive()
        bench.pause(1.0)
        assert int(bench.say(query)) & bit
        bench.say("VMODE 0")
        assert not int(bench.say(query)) & bit
        for mode, sign in ((0, 0.0), (2, -1.0), (3, 1.0)):
            bench.say(f"VMODE {mode}")
            bench.pause(10.0)
            assert float(bench.say("X.")) == pytest.approx(sign * bench.world.voltage("xx"), rel=1e-5, abs=1e-12)


# Stanford Research


def test_sr830_has_no_long_time_constant_above_two_hundred_hertz() -> None:
    bench = Bench(SR830)
    bench.say("FREQ 100", "*CLS", "OFLT 15")
    assert (bench.say("OFLT?"), bench.say("LIAS?")) == ("15", "0")
    bench.say("FREQ 250")
    assert (bench.say("OFLT?"), int(bench.say("LIAS?"))) == ("13", 16 | 32)
    # The range has a hysteresis.
    bench.say("FREQ 200")
    assert bench.say("LIAS?") == "0"
    bench.say("HARM 2", "FREQ 99")
    assert int(bench.say("LIAS?")) == 16


def test_sr830_counts_its_points_while_nobody_asks_anything_else() -> None:
    bench = Bench(SR830, drives=SERIES_ohm)
    bench.say("SLVL 0.1", "SENS 17", "OFLT 6", "SRAT 10", "SEND 0")
    bench.pause(1.0)
    bench.say("REST", "STRT")
    for seconds in (0.5, 0.5):
        bench.pause(seconds)
        points = int(bench.say("SPTS?"))
    assert points == 65
    assert int(bench.say("*STB? 0")) == 0
    assert float(bench.say("TRCA? 1,64,1").rstrip(",")) == pytest.approx(bench.world.voltage("xx"), rel=5e-6)
    bench.say("PAUS")
    bench.pause(1.0)
    assert (bench.say("SPTS?"), bench.say("*STB? 0")) == ("65", "1")
    bench.say("REST", "SRAT 14", "STRT", "TRIG")
    bench.panel.trigger()
    bench.pause(10.0)
    assert bench.say("SPTS?") == "2"


@pytest.mark.parametrize("value", [1.0, -0.7, 3.3e-7, 0.0, -1.2345e-9])
def test_sr830s_own_floating_point_is_good_to_its_fifteen_bits(value: float) -> None:
    buffer = TraceBuffer()
    buffer.keep((value, 0.0), False)
    mantissa, exponent = struct.unpack("<hh", buffer.own_floats(["1", "0", "1"]).encode("latin-1"))
    assert mantissa * 2.0 ** (exponent - 124) == pytest.approx(value, rel=2**-14)


@pytest.mark.parametrize(
    ("line", "query", "expected"),
    [
        ("RSRC EXT", "RSRC?", "1"), ("rsrc dual", "RSRC?", "2"), ("RSRC 3", "RSRC?", "3"), ("IRNG 300M", "IRNG?", "1"),
        ("IRNG 1V", "IRNG?", "0"), ("RTRG POSTTL", "RTRG?", "1"), ("RTRG NEG", "RTRG?", "2"), ("IVMD CURR", "IVMD?", "1"),
        ("ISRC A-B", "ISRC?", "1"), ("ICUR 100MEG", "ICUR?", "1"), ("ADVFILT ON", "ADVFILT?", "1"),
        ("FREQ 1.5 KHZ", "FREQ?", "1500"), ("FREQINT 2e3", "FREQINT?", "2000"), ("SLVL 5 mV", "SLVL?", "0.005"),
        ("PHAS 270", "PHAS?", "-90"), ("PHAS 1.57079632679 RAD", "PHAS?", "90"), ("SOFF -5", "SOFF?", "-5"),
        ("AUXV 3, -1.25", "AUXV? 3", "-1.25"), ("COFP R, 12.5", "COFP? 2", "12.5"), ("CEXP 1, X10", "CEXP? Y", "1"),
        ("CDSP DAT2, XNOI", "CDSP? 1", "8"), ("CDSP 1, 16", "CDSP? 1", "16"), ("FREQ 1000;HARM 99", "HARM?", "99"),
        ("CAPTURECFG XYRT", "CAPTURECFG?", "3"), ("CAPTURELEN 5", "CAPTURELEN?", "6"),
        ("OFLT 0;CAPTURERATE 3", "CAPTURERATE?", "156250"), ("OFLT 10", "CAPTURERATEMAX?", "152.587891"),
        ("LIAE 9,1", "LIAE?", "512"), ("*ESE 5", "*ESE? 2", "1"),
    ],
)  # fmt: skip
def test_sr860_takes_indices_words_and_units(line: str, query: str, expected: str) -> None:
    bench = Bench(SR860)
    bench.say("*CLS")
    assert bench.say(line) == ""
    assert bench.say(query) == expected
    assert bench.say("*ESR?") == "0"


@pytest.mark.parametrize(
    ("line", "bit"),
    [
        ("NONS", 32), ("ADVFIL 1", 32), ("SCAL", 32), ("SCAL x", 32), ("RSRC EXTERN", 32), ("SNAP? X", 32),
        ("SNAP? 0,1,2,3", 32), ("FREQ 1 V", 32), ("OUTP?", 32), ("SCAL? 1", 32), ("SCAL 28", 16), ("SCAL -1", 16),
        ("OFLT 22", 16), ("FREQ 500001", 16), ("HARM 100", 16), ("FREQ 400000;HARM 2", 16), ("SLVL 2.1", 16),
        ("SOFF nan", 32), ("OUTP? 17", 16), ("AUXV 4,1", 16), ("CAPTURELEN 0", 16), ("CAPTUREGET? 0,65", 16),
        ("CAPTUREGET? 256,1", 16), ("CAPTURESTART ONE, IMM;CAPTUREPROG?", 16), ("CAPTURESTART ONE", 32),
        ("CAPTURESTART ONE, IMM;CAPTUREGET? 0,1", 16),
    ],
)  # fmt: skip
def test_sr860_says_nothing_to_a_bad_command_and_sets_a_bit(line: str, bit: int) -> None:
    bench = Bench(SR860)
    bench.say("*CLS")
    assert bench.say(line) == ""
    assert bench.say("*ESR?") == str(bit)
    assert bench.say("*ESR?") == "0"


def test_sr860_tables_are_those_of_the_manual() -> None:
    assert (sr860.SENSITIVITIES_V[0], sr860.SENSITIVITIES_V[9], sr860.SENSITIVITIES_V[27]) == (1.0, 1e-3, 1e-9)
    assert (len(sr860.SENSITIVITIES_V), len(sr860.TIME_CONSTANTS_s)) == (28, 22)
    assert (sr860.TIME_CONSTANTS_s[0], sr860.TIME_CONSTANTS_s[-1]) == (1e-6, 30e3)
    assert Bench(SR865A).say("FREQ 4e6", "FREQ?") == "4000000"


def test_sr860_takes_its_offsets_off_when_they_are_switched_on() -> None:
    bench = Bench(SR860)
    bench.say("RSRC EXT", "OFLT 8", "SCAL 9", "COFP X, 50")
    applied_V = bench.drive()
    bench.pause(1.0)
    assert bench.numbers("OUTP? X") == [pytest.approx(applied_V, rel=1e-8)]
    bench.say("COFA X, ON")
    assert bench.numbers("OUTP? X") == [pytest.approx(applied_V - 5e-4, rel=1e-8)]
    bench.say("OAUT X")
    assert bench.numbers("OUTP? X") == [pytest.approx(0.0, abs=1e-10)]


def block(reply: bytes) -> list[float]:
    assert reply[:1] == b"#"
    digits = int(reply[1:2])
    size = int(reply[2 : 2 + digits])
    data = reply[2 + digits :]
    assert len(data) == size
    return list(struct.unpack(f"<{size // 4}f", data))


def test_sr860_captures_the_step_and_stops_when_the_buffer_is_full() -> None:
    bench = Bench(SR860)
    bench.say("RSRC EXT", "OFLT 10", "OFSL 0", "CAPTURECFG XY", "CAPTURELEN 2", "CAPTURERATE 0")
    rate_Hz = float(bench.say("CAPTURERATE?"))
    applied_V = bench.drive()
    bench.say("CAPTURESTART ONE, IMM")
    assert bench.say("CAPTURESTAT?") == "3"
    bench.pause(0.5)
    assert int(bench.say("CAPTUREBYTES?")) == 8 * int(0.5 * rate_Hz)
    bench.pause(2.0)
    assert (bench.say("CAPTURESTAT?"), bench.say("CAPTUREBYTES?"), bench.say("CAPTUREPROG?")) == ("6", "2048", "2")
    values = block(bench.panel.receive(b"CAPTUREGET? 0,2"))
    for k in (0, 10, 100, 255):
        expected_V = applied_V * (1.0 - math.exp(-(k + 1) / rate_Hz / 0.1))
        assert values[2 * k] == pytest.approx(expected_V, rel=1e-6)
        assert bench.numbers(f"CAPTUREVAL? {k}") == pytest.approx(values[2 * k : 2 * k + 2], abs=1e-12)
    # What is asked for beyond the end is the start again.
    assert block(bench.panel.receive(b"CAPTUREGET? 1,2")) == values[256:] + values[:256]


def test_sr860_keeps_one_sample_for_each_trigger_and_fills_up_with_zeros() -> None:
    bench = Bench(SR860, drives=SERIES_ohm)
    bench.say("SLVL 0.1", "OFLT 8", "CAPTURECFG X", "CAPTURELEN 4")
    bench.pause(1.0)
    bench.say("CAPTURESTART ONE, SAMP")
    bench.pause(1.0)
    assert (bench.say("CAPTURESTAT?"), bench.say("CAPTUREBYTES?")) == ("0", "0")
    for _ in range(3):
        bench.say("*TRG")
    bench.panel.trigger()
    assert (bench.say("CAPTURESTAT?"), bench.say("CAPTUREBYTES?")) == ("3", "16")
    bench.say("CAPTURESTOP")
    values = block(bench.panel.receive(b"CAPTUREGET? 0,4"))
    assert [value > 0 for value in values] == [True] * 4 + [False] * 1020
    assert int(bench.say("LIAS?")) & 128


def test_sr860_waits_for_a_trigger_and_writes_over_the_oldest_without_end() -> None:
    bench = Bench(SR860, drives=SERIES_ohm)
    bench.say("SLVL 0.1", "OFLT 8", "CAPTURELEN 2", "CAPTURERATE 0", "CAPTURESTART CONT, TRIG")
    bench.pause(1.0)
    assert bench.say("CAPTUREBYTES?") == "0"
    bench.say("*TRG")
    bench.pause(2.0)
    assert bench.say("CAPTURESTAT?") == "7"
    assert int(bench.say("CAPTUREBYTES?")) < 2048
    bench.say("CAPTURESTOP")
    assert (bench.say("CAPTURESTAT?"), bench.say("CAPTUREBYTES?")) == ("6", "2048")
    bench.say("CAPTURECFG X")
    assert bench.say("CAPTURESTAT?") == "0"


# Signal Recovery and Ametek


@pytest.mark.parametrize("kind", [DSP7265, DSP7270])
@pytest.mark.parametrize(
    ("line", "query", "expected"),
    [
        ("OA. 0.5", "OA", "500000"), ("OA 500000", "OA.", "5.0E-01"), ("OF. 17.77", "OF", "17770"),
        ("OF 1000", "OF.", "1.0E+00"), ("REFP. -45", "REFP", "-45000"), ("REFP 90000", "REFP.", "9.0E+01"),
        ("SEN 18", "SEN.", "1.0E-03"), ("SEN 18;IMODE 1", "SEN.", "1.0E-09"), ("IMODE 2;SEN 7", "SEN.", "2.0E-15"),
        ("DAC. 2 1.5", "DAC 2", "1500"), ("DAC 1 -2000", "DAC. 1", "-2.0E+00"), ("REFN 3", "REFN", "3"),
        ("SLOPE 3", "slope", "3"), ("sen18", "SEN", "18"), ("XOF 1 5000", "XOF", "1,5000"), ("LF 2 1", "LF", "2,1"),
        ("CBD 19;LEN 100", "LEN", "100"), ("CP 1", "CP", "1"), ("FLOAT 0", "FLOAT", "0"), ("ACGAIN 4", "AUTOMATIC", "0"),
        ("DD 59;XOF 1 100", "XOF", "1;100"),
    ],
)  # fmt: skip
def test_dsp_settings_read_back_with_a_dot_and_without(
    kind: type[LockIn], line: str, query: str, expected: str
) -> None:
    bench = Bench(kind)
    assert bench.say(line) == ""
    assert bench.say(query) == expected
    assert bench.say("ST") == "1"


@pytest.mark.parametrize("kind", [DSP7265, DSP7270])
@pytest.mark.parametrize(
    ("line", "bit"),
    [
        ("NONS", 2), ("X?", 2), ("*IDN?", 2), ("SEN 28", 4), ("SEN 0", 4), ("SEN x", 4), ("SEN 1 2", 4), ("OA. 5.1", 4),
        ("OF. nan", 4), ("OF. 300000", 4), ("IMODE 2;SEN 6", 4), ("DAC 5 0", 4), ("DAC. 1 13", 4), ("DC 0;DC 5", 4),
        ("REFMODE 1", 4), ("LEN 100001", 4), ("REFN 0", 4), ("ADC 9", 4), ("SLOPE 1.5", 4),
    ],
)  # fmt: skip
def test_dsp_lock_ins_do_not_do_what_they_do_not_understand_and_say_so_once(
    kind: type[LockIn], line: str, bit: int
) -> None:
    bench = Bench(kind)
    assert bench.say(line) == ""
    assert int(bench.say("ST")) == 1 | bit
    assert int(bench.say("ST")) == 1


def test_dsp_tables_are_those_of_the_manuals() -> None:
    assert [DSP7265.time_constants_s[k] for k in (0, 6, 7, 11, 28)] == pytest.approx([1e-5, 6.4e-4, 5e-3, 0.1, 5e4])
    assert [DSP7270.time_constants_s[k] for k in (0, 2, 12, 30)] == pytest.approx([1e-5, 5e-5, 0.1, 1e5])
    bench = Bench(DSP7270)
    assert bench.say("CBD 65536") == ""
    assert (len(DSP7265.quantities), len(DSP7270.quantities)) == (21, 22)


@pytest.mark.parametrize(
    ("kind", "options", "value", "setting"),
    [
        (DSP7265, {}, b"1.0E+03\r\n", b""), (DSP7270, {}, b"1.0E+03\n\0", b"\0"),
        (DSP7270, {"interface": "50000"}, b"1.0E+03\n\0\x01\0", b"\0\x01\0"),
        (DSP7270, {"interface": "50001"}, b"1.0E+03\r", b"\r"),
    ],
)  # fmt: skip
def test_each_interface_ends_an_answer_in_its_own_way(
    kind: type[LockIn], options: dict[str, str], value: bytes, setting: bytes
) -> None:
    conversation = Conversation(Bench(kind, **options).panel)
    for end in (b"\r\n", b"\n", b"\r"):
        assert conversation.feed(b"OF." + end) == value
        assert conversation.feed(b"SEN 20" + end) == setting
    if kind is DSP7270:
        assert conversation.feed(b"OF.\0SEN 20\0") == value + setting
        assert conversation.feed(b"NONSENSE\0") != b""


def test_7270_tells_its_status_behind_each_answer_when_asked_to() -> None:
    bench = Bench(DSP7270)
    assert bench.panel.receive(b"USBTERM 1") == b"\0\x01\0"
    bench.say("IE 1")
    assert bench.panel.receive(b"ID") == b"7270\n\0" + bytes((1 | 8, 0))
    assert bench.panel.receive(b"X1.") == b"\0" + bytes((1 | 8, 0))


def test_curves_are_kept_at_their_own_rate_and_dumped_three_ways() -> None:
    bench = Bench(DSP7265)
    bench.say(EXTERNAL[DSP7265], "CBD 17", "LEN 40", "STR 23", "NC", "SEN 18")
    bench.filter(0.1, 0)
    assert bench.say("STR") == "25"  # a multiple of five milliseconds
    applied_V = bench.drive()
    bench.say("TD")
    assert bench.say("M") == "1,0,1,0"
    bench.pause(0.5)
    assert bench.say("M") == "1,0,1,20"
    bench.pause(5.0)
    assert bench.say("M") == "0,1,1,40"
    points = [int(text) for text in bench.panel.receive(b"DC 0").split()]
    exact = [1e7 * applied_V * (1.0 - math.exp(-0.25 * (k + 1))) for k in range(40)]
    assert points == pytest.approx(exact, abs=0.51)
    volts = [float(text) for text in bench.panel.receive(b"DC. 0").split()]
    assert volts == pytest.approx([1e-7 * point for point in points])
    assert struct.unpack(">40h", bench.panel.receive(b"DCB 0")) == tuple(points)
    assert bench.panel.receive(b"DC 4") == b"18\r\n" * 40


def test_curves_without_end_count_their_sweeps_and_can_be_halted_and_gone_on_with() -> None:
    bench = Bench(DSP7270)
    bench.say("CBD 1", "LEN 10", "STR 100000", "NC", "TDC")
    bench.pause(2.55)
    assert bench.say("M") == "2,2,1,10"
    bench.say("HC")
    assert bench.say("M") == "6,2,1,10"
    bench.pause(10.0)
    assert bench.say("M") == "6,2,1,10"
    bench.say("TDC")
    bench.pause(0.55)
    assert bench.say("M") == "2,3,1,10"
    bench.say("NC")
    assert bench.say("M") == "0,0,1,0"
    # More curves than the memory has room for cut their length.
    bench.say("CBD 1;LEN 100000;CBD 15")
    assert bench.say("LEN") == "25000"


def test_the_serial_poll_byte_says_when_the_points_of_a_curve_have_been_read() -> None:
    bench = Bench(DSP7265)
    bench.say("CBD 1", "LEN 3", "STR 5", "NC", "TD")
    bench.pause(1.0)
    conversation = Conversation(bench.panel)
    assert bench.panel.status_byte() == 1
    conversation.take(b"DC 0\n", bench.clock.now())
    assert bench.panel.status_byte() == 128
    conversation.clear()
    assert bench.panel.status_byte() == 1


# Hands, faults and rubbish


@pytest.mark.parametrize(
    ("kind", "settings_and_queries"),
    [
        (SR830, (("SENS", "20", "SENS?", "20"), ("SLVL", "0.5", "SLVL?", "0.5"))),
        (SR860, (("SCAL", "9", "SCAL?", "9"), ("RSRC", "EXT", "RSRC?", "1"))),
        (DSP7265, (("SEN", "20", "SEN", "20"), ("OF.", "33.5", "OF", "33500"))),
        (DSP7270, (("TC", "3", "TC", "3"), ("IE", "1", "IE", "1"))),
    ],
)
def test_a_hand_at_the_front_turns_its_knobs_and_switches_it_off_and_on(
    kind: type[LockIn], settings_and_queries: tuple[tuple[str, str, str, str], ...]
) -> None:
    bench = Bench(kind)
    for knob, value, query, answer in settings_and_queries:
        assert knob in bench.panel.knobs
        bench.panel.turn(knob, value)
        assert bench.say(query) == answer
    bench.panel.power_cycle()
    assert bench.say(settings_and_queries[0][2]) == settings_and_queries[0][3]
    assert bench.panel.refuse("whatever") is None
    status = bench.say("*ESR?" if kind in (SR830, SR860) else "ST")
    assert int(status) & (16 if kind in (SR830, SR860) else 4)
    with pytest.raises(ConfigError):
        bench.panel.fill_errors()


def test_dsp_lock_ins_know_which_of_their_commands_change_something() -> None:
    panel = Bench(DSP7265).panel
    for command, changes in [
        ("X.", False), ("SEN", False), ("SEN 20", True), ("DAC 1", False), ("DAC. 1 0.5", True), ("ADC 1", False),
        ("AQN", True), ("DC 0", False), ("TD", True), ("M", False), ("OA. 1", True), ("LF", False), ("?", False),
    ]:  # fmt: skip
        assert panel.changes(command) is changes, command
    assert Bench(DSP7270).panel.acknowledge("SEN 20") == ""


_WORDS = st.sampled_from(
    b"SNAP? OUTP? SCAL OFLT OFSL FREQ PHAS COFP CEXP IRNG RSRC EXT HARM SLVL CAPTURELEN CAPTURECFG CAPTURERATE 20 ONE CONT "
    b"CAPTURESTART CAPTURESTOP CAPTUREGET? CAPTUREVAL? CAPTUREPROG? SAMP IMM *TRG *RST *ESE LIAS? SNAPD? TRCL? STRT TRIG "
    b"X. XY. MP SEN TC OA. OF. REFP. REFN IMODE XOF DAC ADC CBD LEN STR NC TD TDC HC DC DC. DCB M ST N AQN AS AXO ADF "
    b"DD , ? ; . nan inf -inf 1e999 1e-400 0 1 2 3 -1 0.5 16383 99999999999999999999 \xff \x00 \r".split(b" ")
)
_LINES = st.lists(st.one_of(_WORDS, st.binary(max_size=6)), max_size=12).map(b" ".join)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(pieces=st.lists(st.tuples(_LINES, st.floats(0.0, 0.002)), max_size=10))
def test_a_panel_survives_any_bytes(kind: type[LockIn], pieces: list[tuple[bytes, float]]) -> None:
    bench = Bench(kind, noise=True, drives=SERIES_ohm)
    conversation = Conversation(bench.panel)
    for line, pause_s in pieces:
        assert len(conversation.feed(line + b"\n")) < 1 << 21
        bench.pause(pause_s)
    for value in bench.numbers(READ[kind]):
        assert math.isfinite(value)
    assert bench.panel.inferred
    assert bench.panel.firmware
