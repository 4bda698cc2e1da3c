"""The front panels, byte by byte: what drivers written for the real instruments would trip over."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.clock import VirtualClock
from remanence.simulators.catalogue import front_panels
from remanence.simulators.cryogenic import SMS120C
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import Conversation, FrontPanel
from remanence.simulators.keithley import Keithley6221
from remanence.simulators.lakeshore import Model350
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.srs import SENSITIVITIES_V, SR830, TIME_CONSTANTS_s
from remanence.simulators.world import World, WorldSettings

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))
KINDS: dict[type[FrontPanel], str] = {SMS120C: "", Keithley6221: "", Model350: "", SR830: "xx"}


class Bench:
    """One panel of each kind in one world."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        sample = load_sample("park2020_deficient")
        self.world = World(WorldSettings(MAGNET, CryostatSettings(), sample), self.clock, 1)
        self.magnet, self.source, self.cryostat, self.lockin = (
            kind(self.world, kind.__name__, wiring) for kind, wiring in KINDS.items()
        )

    def start(self, rms_A: float = 1e-6) -> None:
        peak_A = rms_A * math.sqrt(2)
        line = f"SOUR:WAVE:FUNC SIN;AMPL {peak_A:.9g};FREQ 17.77;PMAR:STAT ON;:SOUR:WAVE:ARM;INIT"
        assert self.source.receive(line.encode()) == b""
        assert self.source.receive(b"SYST:ERR?") == b'0,"No error"\n'


@pytest.fixture
def bench() -> Bench:
    return Bench()


# Cryogenic SMS120C


def test_sms_replies_end_with_xon_and_ramp_and_direction_say_nothing(bench: Bench) -> None:
    for query in (b"GET OUTPUT", b"get tpa", b"G S", b"PAUSE", b"RAMP STATUS", b"nonsense"):
        assert bench.magnet.receive(query).endswith(b"\r\n\x13")
    for command in (b"RAMP MID", b"RAMP ZERO", b"DIRECTION -", b"D +", b"GET PER"):
        assert bench.magnet.receive(command) == b""


def sms_moves_to(bench: Bench, current_A: float) -> None:
    for command in (b"PAUSE ON", b"SET RAMP 0.04", b"SET MID %.3f" % current_A, b"RAMP MID", b"PAUSE OFF"):
        bench.magnet.receive(command)
    bench.clock.sleep(400.0)


def test_sms_knows_magnitudes_only_and_ignores_a_reversal_away_from_zero(bench: Bench) -> None:
    assert b"MID SETTING: 5.0000 AMPS" in bench.magnet.receive(b"SET MID -5")
    sms_moves_to(bench, 5.0)
    assert b"OUTPUT: 5.0000 AMPS" in bench.magnet.receive(b"GET OUTPUT")
    bench.magnet.receive(b"DIRECTION -")
    assert b"POSITIVE" in bench.magnet.receive(b"GET SIGN")
    sms_moves_to(bench, 0.0)
    bench.magnet.receive(b"DIRECTION -")
    assert b"NEGATIVE" in bench.magnet.receive(b"GET SIGN")
    sms_moves_to(bench, 5.0)
    assert b"OUTPUT: 5.0000 AMPS" in bench.magnet.receive(b"GET OUTPUT")
    bench.world.advance()
    assert bench.world.magnet.coil_current() == pytest.approx(-5.0, abs=1e-6)


def test_sms_refuses_more_than_it_has_and_rounds_the_rate_to_its_step(bench: Bench) -> None:
    assert bench.magnet.receive(b"SET MID 121").startswith(b"------->")
    assert b"RAMP RATE: 0.0123 A/SEC" in bench.magnet.receive(b"SET RAMP 0.01234")
    assert b"RAMP RATE: 0.0001 A/SEC" in bench.magnet.receive(b"SET RAMP 0")


# SRS SR830


def test_sr830_takes_blanks_anywhere_and_answers_each_query_of_a_line_for_itself(bench: Bench) -> None:
    for line in (b"SENS22", b"SENS 22", b"sens  22 ", b"SENS22;"):
        bench.lockin.receive(b"SENS 1")
        assert bench.lockin.receive(line) == b""
        assert bench.lockin.receive(b"SENS?") == b"22\n"
    assert bench.lockin.receive(b"SENS ?;OFLT?; OFSL ? ;DDEF?1;") == b"22\n8\n1\n0,0\n"
    assert bench.lockin.receive(b"*IDN?").startswith(b"Stanford_Research_Systems,SR830,")


@pytest.mark.parametrize(
    ("line", "query", "expected"),
    [
        (b"PHAS 270", b"PHAS?", b"-90"), (b"PHAS-45.5", b"PHAS?", b"-45.5"), (b"SLVL 0.004", b"SLVL?", b"0.004"),
        (b"FREQ 1.77700e+01", b"FREQ?", b"17.77"), (b"OEXP 1,12.5,1", b"OEXP? 1", b"12.5,1"),
        (b"SRAT4.0", b"SRAT?", b"4"),
        (b"AUXV 2,-3.25", b"AUXV? 2", b"-3.25"), (b"HARM 3", b"HARM?", b"3"), (b"DDEF 2,1,0", b"DDEF?2", b"1,0"),
        (b"FPOP 1,1", b"FPOP? 1", b"1"), (b"LOCL 2", b"LOCL?", b"2"), (b"*ESE 5", b"*ESE?", b"5"),
        (b"OUTX 0", b"OUTX?", b"0"),
    ],
)  # fmt: skip
def test_sr830_settings_read_back_as_they_were_set(bench: Bench, line: bytes, query: bytes, expected: bytes) -> None:
    bench.lockin.receive(b"*CLS")
    bench.lockin.receive(line)
    assert bench.lockin.receive(query) == expected + b"\n"
    assert bench.lockin.receive(b"*ESR?") == b"0\n"


@pytest.mark.parametrize(
    ("line", "bit"),
    [
        (b"NONS", 32), (b"SENS", 32), (b"SENS 1,2", 32), (b"SENS x", 32), (b"SENS 1_0", 32), (b"OFLT 1e400", 16), (b"OUTP?", 32), (b"SNAP?1", 32),
        (b"OUTX??", 32),
        (b"SENS 27", 16), (b"SENS -1", 16), (b"SENS 1.5", 16), (b"OFLT nan", 16), (b"OUTP?5", 16), (b"TRCA?1,0,1", 16),
    ],
)  # fmt: skip
def test_sr830_says_nothing_to_a_bad_command_and_sets_a_bit(bench: Bench, line: bytes, bit: int) -> None:
    bench.lockin.receive(b"*CLS")
    assert bench.lockin.receive(line) == b""
    assert bench.lockin.receive(b"*ESR?") == b"%d\n" % bit
    assert bench.lockin.receive(b"*ESR?") == b"0\n"


def test_sr830_tables_are_those_of_the_manual() -> None:
    assert (SENSITIVITIES_V[0], SENSITIVITIES_V[-1], len(SENSITIVITIES_V)) == (2e-9, 1.0, 27)
    assert (TIME_CONSTANTS_s[0], TIME_CONSTANTS_s[-1], len(TIME_CONSTANTS_s)) == (10e-6, 30e3, 20)


def test_sr830_latches_unlock_and_overload_until_they_are_read(bench: Bench) -> None:
    bench.lockin.receive(b"FMOD 0;OFLT 6;SENS 20")
    bench.lockin.receive(b"LIAS?")
    bench.start()
    bench.clock.sleep(1.0)
    bench.lockin.receive(b"LIAS?")
    assert bench.lockin.receive(b"LIAS?") == b"0\n"
    assert bench.lockin.receive(b"FREQ?") == b"17.77\n"
    bench.source.receive(b"OUTP OFF")
    bench.clock.sleep(1.0)
    bench.start()
    bench.clock.sleep(1.0)
    # The marker was away between two looks: locked again now, and still told.
    assert bench.lockin.receive(b"LIAS? 3") == b"1\n"
    assert bench.lockin.receive(b"LIAS?") == b"0\n"
    bench.lockin.receive(b"SENS 16")
    clipped = bench.lockin.receive(b"OUTP?1")
    assert float(clipped) == pytest.approx(1.09 * SENSITIVITIES_V[16])
    assert int(bench.lockin.receive(b"LIAS?")) & 4


def test_sr830_with_its_internal_reference_hears_its_own_frequency_only(bench: Bench) -> None:
    bench.lockin.receive(b"FMOD 1;FREQ 17.77;OFLT 6;SENS 20")
    bench.start()
    bench.clock.sleep(1.0)
    assert float(bench.lockin.receive(b"OUTP?3")) == pytest.approx(6.95e-4, rel=0.01)
    bench.lockin.receive(b"FREQ 100")
    bench.clock.sleep(1.0)
    assert abs(float(bench.lockin.receive(b"OUTP?3"))) < 2e-6


def test_sr830_turns_the_signal_by_its_phase_and_auto_phase_turns_it_back(bench: Bench) -> None:
    bench.lockin.receive(b"FMOD 0;OFLT 6;SENS 20;PHAS 30")
    bench.start()
    bench.clock.sleep(1.0)
    x, y, r, theta = (float(v) for v in bench.lockin.receive(b"SNAP?1,2,3,4").split(b","))
    assert theta == pytest.approx(-30.0, abs=0.2)
    assert (x / r, y / r) == pytest.approx((math.cos(math.pi / 6), -0.5), abs=0.01)
    bench.lockin.receive(b"APHS")
    bench.clock.sleep(1.0)
    assert float(bench.lockin.receive(b"OUTP?4")) == pytest.approx(0.0, abs=0.2)
    assert float(bench.lockin.receive(b"PHAS?")) == pytest.approx(0.0, abs=0.2)


def test_sr830_fills_its_buffer_at_its_rate_however_seldom_one_looks(bench: Bench) -> None:
    bench.lockin.receive(b"FMOD 0;OFLT 8;OFSL 0;SENS 20;SRAT 7;SEND 0;REST;STRT")
    bench.start()
    bench.clock.sleep(10.0)
    bench.lockin.receive(b"PAUS")
    assert bench.lockin.receive(b"SPTS?") == b"81\n"
    text = bench.lockin.receive(b"TRCA?1,0,81")
    assert text.endswith(b",\n")
    values = [float(part) for part in text.strip(b",\n").split(b",")]
    # 8 Hz through one pole of 100 ms: the step's first samples are those of the exponential.
    for k in (1, 2, 5):
        assert values[k] / values[-1] == pytest.approx(1.0 - math.exp(-k * 0.125 / 0.1), abs=0.01)
    binary = bench.lockin.receive(b"TRCB?1,0,81")
    assert struct.unpack("<81f", binary[:-1]) == pytest.approx(values, rel=1e-5, abs=1e-12)


# Keithley 6221


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b":SOURCE:WAVE:FREQUENCY 13;FREQ?", b"1.300000E+01"),
        (b"sour:wave:ampl 1e-6;ampl?;offs?", b"1.000000E-06;0.000000E+00"),
        (b":SOUR:CURR:LEV:IMM:AMPL 1e-3;:CURR?", b"1.000000E-03"),
        (b":SOUR:WAVE:AMPL MAX;AMPL?", b"1.050000E-01"),
        (b":SOUR:WAVE:DUR:TIME INF;TIME?", b"9.900000E+37"),
        (b"OUTPut ON;*OPC?;:OUTP?", b"1;1"),
        (b"*CLS;FOO;SYST:ERR?;ERR?", b'-113,"Undefined header";0,"No error"'),
        (b"*CLS;SOUR:CURR;:SYST:ERR?", b'-109,"Missing parameter"'),
        (b"*CLS;SOUR:CURR 1;:SYST:ERR?;*ESR?", b'-222,"Parameter data out of range";16'),
        (b"*CLS;SOUR:CURR x;:SYST:ERR?", b'-104,"Data type error"'),
        (b"*CLS;SOUR:WAVE:INIT;:SYST:ERR?", b'-221,"Settings conflict"'),
        (b"*CLS;SOUR:WAVE:FUNC BLUE;:SYST:ERR?", b'-224,"Illegal parameter value"'),
        (b"SOUR:WAVE:ARM;FUNC SQU;:SYST:ERR?", b'413,"Not allowed with mode armed"'),
    ],
)
def test_6221_speaks_scpi_in_long_and_short_forms(bench: Bench, line: bytes, answer: bytes) -> None:
    assert bench.source.receive(line) == answer + b"\n"


def test_6221_error_queue_overflows_and_ends(bench: Bench) -> None:
    for _ in range(30):
        bench.source.receive(b"BAD")
    replies = [bench.source.receive(b"SYST:ERR?") for _ in range(11)]
    assert replies[9].startswith(b"-350")
    assert replies[10] == b'0,"No error"\n'


@pytest.mark.parametrize(
    ("shape", "fundamental"),
    [(b"SIN", 1.0), (b"SQU", 4 / math.pi), (b"RAMP", 8 / math.pi**2)],
)
def test_6221_gives_the_fundamental_of_its_waveform(bench: Bench, shape: bytes, fundamental: float) -> None:
    bench.source.receive(b"SOUR:WAVE:FUNC %b;AMPL 1e-6;FREQ 17;ARM;INIT" % shape)
    excitation = bench.world.excitation
    assert (excitation.on, excitation.marker, excitation.frequency_Hz) == (True, False, 17.0)
    assert excitation.rms_A == pytest.approx(fundamental * 1e-6 / math.sqrt(2))


def test_6221_waveform_of_limited_length_ends_by_itself_and_says_so(bench: Bench) -> None:
    bench.source.receive(b"SOUR:WAVE:AMPL 1e-6;FREQ 10;DUR:CYCL 25")
    bench.source.receive(b"SOUR:WAVE:ARM;INIT")
    bench.clock.sleep(2.4)
    assert bench.source.receive(b"STAT:OPER?") == b"0\n"
    assert bench.world.excitation.on
    bench.clock.sleep(0.2)
    assert bench.source.receive(b"STAT:OPER?") == b"128\n"
    assert not bench.world.excitation.on


# Lake Shore 350


@pytest.mark.parametrize(
    "line",
    [b"KRDG?", b"KRDG? E", b"NONSENSE?", b"SETP? 9", b"PID? x", b"SETP 1", b"KRDG", b"RANGE 1,9", b"SETP 1,2_0"],
)
def test_350_does_not_answer_what_it_does_not_understand(bench: Bench, line: bytes) -> None:
    bench.cryostat.receive(b"*CLS")
    assert bench.cryostat.receive(line) == b""
    assert bench.cryostat.receive(b"*ESR?") == b"032\r\n"


def test_350_numbers_are_signed_and_of_fixed_width(bench: Bench) -> None:
    for query in (b"KRDG? A", b"krdg? b", b"SETP? 1", b"TLIMIT? A"):
        reply = bench.cryostat.receive(query)
        assert reply[:1] == b"+"
        assert len(reply) == len(b"+005.0012\r\n")
    assert bench.cryostat.receive(b"RDGST? C;RDGST? A") == b"001;000\r\n"
    assert bench.cryostat.receive(b'INNAME A,"a;b,c";INNAME? A') == b"a;b,c          \r\n"


def test_350_set_point_follows_the_ramp(bench: Bench) -> None:
    for line in (b"SETP 1,10", b"RAMP 1,1,6", b"SETP 1,16", b"RANGE 1,3"):
        bench.cryostat.receive(line)
    bench.clock.sleep(30.0)
    assert float(bench.cryostat.receive(b"SETP? 1")) == pytest.approx(13.0, abs=0.05)
    assert bench.cryostat.receive(b"RAMPST? 1") == b"1\r\n"
    bench.clock.sleep(31.0)
    assert bench.cryostat.receive(b"SETP? 1;RAMPST? 1") == b"+016.0000;0\r\n"


def test_350_temperature_limit_switches_the_heater_off(bench: Bench) -> None:
    for line in (b"TLIMIT A,30", b"SETP 1,200", b"RANGE 1,5"):
        bench.cryostat.receive(line)
    bench.clock.sleep(60.0)
    assert bench.cryostat.receive(b"RANGE? 1") == b"0\r\n"
    bench.world.advance()
    assert bench.world.cryostat.block_K < 40.0


def test_350_in_open_loop_gives_the_manual_output(bench: Bench) -> None:
    for line in (b"OUTMODE 1,3,1,0", b"MOUT 1,25", b"RANGE 1,3"):
        bench.cryostat.receive(line)
    bench.clock.sleep(300.0)
    assert bench.cryostat.receive(b"HTR? 1") == b"+025.0\r\n"
    bench.world.advance()
    # A quarter of 0.75 W over 20 mW/K above 1.6 K.
    assert bench.world.cryostat.block_K == pytest.approx(1.6 + 0.1875 / 0.02, rel=1e-3)


# All of them

_WITHOUT_A_VERSION = {"SMS10C", "SMS60C", "SMS120C", "DynaCool", "MPMS3", "PPMS", "VersaLab", "DynaCoolLines"}


@pytest.mark.parametrize("kind", list(front_panels()), ids=lambda kind: kind.__name__)
def test_an_instrument_with_a_firmware_of_its_own_speaks_as_that_one(bench: Bench, kind: type[FrontPanel]) -> None:
    queries = {"IPS120": b"V", "PS120": b"V", "ITC503": b"V", "DSP7265": b"VER"}
    queries |= dict.fromkeys(("DSP7270", "DSP7270Ethernet"), b"VER")
    panel = kind(bench.world, "panel")
    query = queries.get(kind.__name__, b"*IDN?")
    known = panel.receive(query).decode("latin-1")
    if kind.__name__ in _WITHOUT_A_VERSION:
        assert not panel.firmware or panel.firmware not in known
        return
    assert panel.firmware in known
    panel.firmware = "9.87.6"
    assert panel.receive(query).decode("latin-1") == known.replace(kind.firmware, "9.87.6")


# Rubbish does no harm

_WORDS = st.sampled_from(
    b"SNAP? OUTP? SENS OFLT FREQ PHAS OEXP STRT TRCA? TRCB? SRAT *RST AOFF *ESE LIAS? SOUR:WAVE:AMPL SOUR:CURR "
    b":SYST:ERR? SOUR:WAVE:ARM SOUR:WAVE:INIT SOUR:WAVE:ARB:DATA SOUR:WAVE:DUR:TIME OUTP KRDG? SETP RANGE PID ZONE "
    b"OUTMODE RAMP TLIMIT INNAME CRVHDR? SET GET MID TPA OUTPUT PAUSE HEATER TESLA DIRECTION ON OFF A B ; , ? : * "
    b'" \r \n nan inf -inf 1e999 1e-400 0 1 2 3 -1 0.5 16383 99999999999999999999 \xff \x00 \x13'.split(b" ")
)
_LINES = st.lists(st.one_of(_WORDS, st.binary(max_size=6)), max_size=12).map(b" ".join)


_BYTES = st.lists(st.sampled_from([b"a", b"\xff", b"\r", b"\n", b"\0", b"b" * 4095, b"c" * 5000]), max_size=6)


def cut(ends: bytes, pieces: list[bytes], longest: int = 4096) -> tuple[list[bytes], bytes]:
    """The lines that pieces of a byte stream end, and what is left: the definition, byte by byte."""
    lines: list[bytes] = []
    line = bytearray()
    for byte in b"".join(pieces):
        if byte not in ends:
            line += bytes([byte] if len(line) < longest else [])
        else:
            lines += [bytes(line)] if line else []
            line.clear()
    return lines, bytes(line)


@pytest.mark.parametrize("ends", [b"\r\n", b"\n", b"\0\r\n"])
@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(_BYTES.map(b"".join), max_size=4))
def test_bytes_are_cut_into_lines_wherever_they_are_torn(ends: bytes, pieces: list[bytes]) -> None:
    heard: list[bytes] = []

    class Ear(FrontPanel):
        def receive(self, line: bytes) -> bytes:
            heard.append(line)
            return b""

    ear = Ear(Bench().world, "ear")
    ear.ends = ends  # pyright: ignore[reportAttributeAccessIssue]
    conversation = Conversation(ear)
    for piece in pieces:
        conversation.feed(piece)
    assert (heard, bytes(conversation._pending)) == cut(ends, pieces)


@pytest.mark.parametrize("kind", list(KINDS))
@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.tuples(_LINES, st.floats(0.0, 3.0)), max_size=12))
def test_a_panel_survives_any_bytes_and_stays_bounded(
    kind: type[FrontPanel], pieces: list[tuple[bytes, float]]
) -> None:
    bench = Bench()
    panel: Any = next(p for p in (bench.magnet, bench.source, bench.cryostat, bench.lockin) if type(p) is kind)
    conversation = Conversation(panel)
    for line, pause_s in pieces:
        assert len(conversation.feed(line + b"\n")) < 1 << 21
        bench.clock.sleep(pause_s)
    conversation.feed(b"\x80" * 10000)
    assert len(conversation._pending) <= 4096
    bench.world.advance()
    assert math.isfinite(bench.world.cryostat.sample_K)
    assert math.isfinite(bench.world.magnet.field())


def test_sr830_latches_an_overload_that_came_and_went_between_two_looks(bench: Bench) -> None:
    bench.start()
    bench.lockin.receive(b"FMOD 0;SENS 17;*CLS")
    bench.clock.sleep(5.0)
    bench.lockin.receive(b"LIAS?")
    bench.world.advance()
    bench.world.interference_V = 2.0
    bench.clock.sleep(1.0)
    bench.world.advance()
    bench.world.interference_V = 0.0
    bench.clock.sleep(60.0)
    bench.lockin.receive(b"SNAP?1,2")
    assert int(bench.lockin.receive(b"LIAS?")) & 3 == 3
    bench.lockin.receive(b"SNAP?1,2")
    assert int(bench.lockin.receive(b"LIAS?")) & 3 == 0
