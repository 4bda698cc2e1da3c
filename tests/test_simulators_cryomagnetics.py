"""Cryomagnetics' 4G, byte by byte: units with every value, limits and ranges, sweeps, switch, quench, silence on errors."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError
from remanence.simulators.cryomagnetics import Model4G
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import Conversation
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.world import World, WorldSettings

# A 9 T coil at 95 A.
MAGNET = MagnetSettings(0.095, 10.0, 30.0, 5.0, 0.004, ((60.0, 0.1), (80.0, 0.05), (95.0, 0.02)), warm_time_s=20.0)
EXECUTION, COMMAND = 16, 32


class Bench:
    """A supply on its own wire."""

    def __init__(self, magnet: MagnetSettings = MAGNET, **options: object) -> None:
        self.clock = VirtualClock()
        sample = load_sample("park2020_deficient")
        self.world = World(WorldSettings(magnet, CryostatSettings(), sample, more_coils={"y": magnet}), self.clock, 1)
        self.panel = Model4G(self.world, "magnet", **options)  # pyright: ignore[reportArgumentType]
        self.panel.receive(b"*CLS")

    def ask(self, command: str) -> str:
        reply = self.panel.receive(command.encode())
        assert reply.endswith(b"\n")
        assert reply.count(b"\n") == 1
        return reply.decode().strip()

    def tell(self, *commands: str) -> None:
        for command in commands:
            assert self.panel.receive(command.encode()) == b""
        assert self.ask("*ESR?") == "0"

    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.world.advance()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def to(bench: Bench, current_A: float) -> None:
    bench.tell("UNITS A", f"ULIM {current_A}", "SWEEP UP SLOW")
    bench.wait(95.0 / 0.02)
    assert bench.ask("IOUT?") == f"{current_A:.4f}A"


def test_it_identifies_as_a_4g(bench: Bench) -> None:
    assert bench.ask("*IDN?").split(",")[:2] == ["Cryomagnetics", "4G"]
    assert len(bench.ask("*IDN?").split(",")) == 5


def test_every_value_carries_the_unit_and_limits_are_set_in_it(bench: Bench) -> None:
    assert (bench.ask("UNITS?"), bench.ask("IMAG?"), bench.ask("IOUT?")) == ("kG", "0.0000kG", "0.0000kG")
    bench.tell("ULIM 9.5", "LLIM -1.9")
    bench.tell("UNITS A")
    assert (bench.ask("UNITS?"), bench.ask("ULIM?"), bench.ask("LLIM?")) == ("A", "10.0000A", "-2.0000A")
    bench.tell("ULIM 20", "SWEEP UP")
    bench.wait(150.0)
    assert (bench.ask("IMAG?"), bench.ask("IOUT?")) == ("15.0000A", "15.0000A")
    bench.tell("UNITS G")
    assert bench.ask("IMAG?") == "14.2500kG"
    assert (bench.ask("VMAG?"), bench.ask("VOUT?"), bench.ask("VLIM?")) == ("1.000V", "1.060V", "5.000V")


def test_the_supply_knows_no_tesla(bench: Bench) -> None:
    assert bench.panel.receive(b"UNITS T") == b""
    assert bench.ask("*ESR?") == str(EXECUTION)
    assert bench.ask("UNITS?") == "kG"


def test_sweeps_go_to_their_limits_and_say_where_they_go(bench: Bench) -> None:
    bench.tell("UNITS A", "ULIM 10", "LLIM -5")
    assert (bench.ask("SWEEP?"), int(bench.ask("*STB?"))) == ("Standby", 2)
    bench.tell("SWEEP UP")
    assert (bench.ask("SWEEP?"), int(bench.ask("*STB?"))) == ("Sweeping up", 1)
    bench.wait(50.0)
    bench.tell("SWEEP PAUSE")
    assert (bench.ask("SWEEP?"), int(bench.ask("*STB?")), bench.ask("IOUT?")) == ("Pause", 0, "5.0000A")
    bench.tell("SWEEP UP")
    bench.wait(60.0)
    assert (bench.ask("SWEEP?"), int(bench.ask("*STB?")), bench.ask("IOUT?")) == ("Standby", 2, "10.0000A")
    bench.tell("ULIM 8")  # a limit alone moves nothing
    assert bench.ask("SWEEP?") == "Standby"
    bench.tell("SWEEP UP")  # up means: to the upper limit, wherever that is
    bench.wait(30.0)
    assert bench.ask("IOUT?") == "8.0000A"
    bench.tell("SWEEP DOWN")
    assert bench.ask("SWEEP?") == "Sweeping down"
    bench.wait(200.0)
    assert bench.ask("IOUT?") == "-5.0000A"
    bench.tell("SWEEP ZERO")
    assert bench.ask("SWEEP?") == "Sweeping to zero"
    bench.wait(200.0)
    assert bench.ask("IOUT?") == "0.0000A"


def test_each_range_has_its_rate(bench: Bench) -> None:
    bench.tell("UNITS A", "RANGE 0 5", "RATE 0 0.1", "RANGE 1 100", "RATE 1 0.02", "ULIM 6", "SWEEP UP")
    assert (bench.ask("RANGE? 0"), bench.ask("RATE? 1"), bench.ask("RATE?")) == ("5.0000", "0.0200", "0.1000")
    bench.wait(70.0)
    assert bench.ask("IOUT?") == "5.4000A"
    bench.tell("RATE 1 0.1")
    bench.wait(3.0)
    assert bench.ask("IOUT?") == "5.7000A"


def test_a_cold_switch_keeps_the_field_while_the_leads_run_fast_to_zero_and_back(bench: Bench) -> None:
    to(bench, 10.0)
    bench.tell("PSHTR OFF")
    bench.wait(40.0)
    bench.tell("SWEEP ZERO FAST")
    bench.wait(2.5)
    assert (bench.ask("IOUT?"), bench.ask("IMAG?"), bench.ask("PSHTR?")) == ("0.0000A", "10.0000A", "0")
    assert bench.world.magnet.coil_current() == pytest.approx(10.0, rel=1e-5)
    bench.tell("SWEEP UP FAST")
    bench.wait(2.5)
    bench.tell("PSHTR ON")
    bench.wait(40.0)
    assert (bench.ask("PSHTR?"), bench.world.magnet.quenches) == ("1", 0)
    bench.tell("LLIM 9", "SWEEP DOWN SLOW")
    bench.wait(20.0)
    assert bench.world.magnet.coil_current() == pytest.approx(9.0, abs=1e-3)


def test_a_fast_sweep_with_the_switch_open_is_more_than_the_coil_bears() -> None:
    bench = Bench(replace(MAGNET, voltage_limit_V=10.0))
    bench.tell("UNITS A", "ULIM 10", "SWEEP UP FAST")
    bench.wait(5.0)
    assert int(bench.ask("*STB?")) & 4


def test_a_quench_stays_until_qreset_and_comes_back_in_a_warm_coil(bench: Bench) -> None:
    to(bench, 10.0)
    bench.tell("PSHTR OFF")
    bench.wait(40.0)
    bench.tell("SWEEP ZERO FAST")
    bench.wait(5.0)
    bench.tell("PSHTR ON")
    bench.wait(30.0)
    assert int(bench.ask("*STB?")) & 4
    assert bench.ask("IMAG?") == "0.0000A"
    assert bench.panel.receive(b"SWEEP UP") == b""
    assert bench.ask("*ESR?") == str(EXECUTION)
    bench.tell("QRESET")
    assert int(bench.ask("*STB?")) == 2
    bench.tell("SWEEP UP")
    assert int(bench.ask("*STB?")) & 4
    bench.wait(12 * 3600.0)
    bench.tell("QRESET", "SWEEP UP SLOW")
    bench.wait(200.0)
    assert bench.ask("IMAG?") == "10.0000A"


@pytest.mark.parametrize(
    ("command", "bits"),
    [
        ("NONSENSE", COMMAND), ("NONSENSE?", COMMAND), ("12", COMMAND), ("ULIM", EXECUTION), ("ULIM ten", EXECUTION),
        ("ULIM nan", EXECUTION), ("ULIM 200", EXECUTION), ("RANGE 5 10", EXECUTION), ("RATE 6 0.1", EXECUTION),
        ("RATE? 6", EXECUTION), ("RATE 0 0", EXECUTION), ("SWEEP", EXECUTION), ("SWEEP SIDEWAYS", EXECUTION),
        ("SWEEP UP FASTER", EXECUTION), ("SWEEP LIMIT", EXECUTION), ("PSHTR 2", EXECUTION), ("VLIM 11", EXECUTION),
        ("CHAN 2", EXECUTION), ("IMAG 1", EXECUTION), ("*SRE 300", EXECUTION),
    ],
)  # fmt: skip
def test_what_it_cannot_do_is_silent_and_sets_a_bit(bench: Bench, command: str, bits: int) -> None:
    assert bench.panel.receive(command.encode()) == b""
    assert bench.ask("*ESR?") == str(bits)
    assert bench.ask("*ESR?") == "0"


def test_enabled_events_show_in_the_status_byte(bench: Bench) -> None:
    bench.tell("*ESE 32", "*SRE 32")
    assert bench.ask("*STB?") == "2"
    bench.panel.receive(b"NONSENSE")
    assert int(bench.ask("*STB?")) == 2 + 32 + 64


def test_a_supply_that_needs_remote_refuses_orders_in_local_and_answers_queries() -> None:
    bench = Bench(needs_remote=True)
    assert bench.panel.receive(b"ULIM 1") == b""
    assert (bench.ask("*ESR?"), bench.ask("ULIM?")) == (str(EXECUTION), "0.0000kG")
    bench.tell("REMOTE", "ULIM 1")
    assert bench.ask("ULIM?") == "1.0000kG"
    bench.tell("LOCAL")
    bench.panel.receive(b"ULIM 2")
    assert bench.ask("ULIM?") == "1.0000kG"


def test_the_serial_line_echoes_each_command() -> None:
    bench = Bench(echo=True)
    assert bench.panel.receive(b"IMAG?\r") == b"IMAG?\r\n0.0000kG\r\n"
    assert bench.panel.receive(b"SWEEP PAUSE") == b"SWEEP PAUSE\r\n"


def test_commands_may_share_a_line(bench: Bench) -> None:
    assert bench.ask("CHAN 1; UNITS A;ULIM 5;ULIM?;CHAN?") == "5.0000A;1"


def test_a_hand_at_the_front_and_a_power_cycle(bench: Bench) -> None:
    bench.panel.turn("units", "A")
    bench.panel.turn("setpoint", "5")
    bench.panel.turn("pause", "OFF")
    assert (bench.ask("ULIM?"), bench.ask("SWEEP?")) == ("5.0000A", "Sweeping up")
    with pytest.raises(ConfigError):
        bench.panel.turn("setpoint", "500")
    bench.wait(20.0)
    bench.panel.power_cycle()
    bench.wait(60.0)
    assert (bench.ask("SWEEP?"), bench.ask("IOUT?"), bench.ask("PSHTR?")) == ("Standby", "2.0000A", "0")
    assert bench.ask("*ESR?") == "128"


def test_it_drives_the_coil_of_its_axis() -> None:
    bench = Bench(axis="y", units="A")
    bench.tell("ULIM 1", "SWEEP UP")
    bench.wait(30.0)
    assert bench.world.magnets["y"].coil_current() == pytest.approx(1.0)
    assert bench.world.magnet.coil_current() == 0.0


_WORDS = st.sampled_from(
    b"UNITS IMAG ULIM LLIM RANGE RATE SWEEP PSHTR VLIM QRESET REMOTE LOCAL CHAN *RST *STB? *ESR? IMAG? IOUT? "
    b"VMAG? SWEEP? UP DOWN ZERO FAST SLOW PAUSE A G ON OFF 0 1 0,1 5,9 -50 1e-5 1e999 nan inf 1_0 ; , ? \r "
    b"\n \xff \x00".split(b" ")
)
_LINES = st.lists(st.one_of(_WORDS, st.binary(max_size=6)), max_size=6).map(b" ".join)


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.tuples(_LINES, st.floats(0.0, 60.0)), max_size=12))
def test_rubbish_does_no_harm(pieces: list[tuple[bytes, float]]) -> None:
    bench = Bench()
    conversation = Conversation(bench.panel)
    for line, pause_s in pieces:
        assert len(conversation.feed(line + b"\n")) < 2048
        bench.wait(pause_s)
    assert math.isfinite(bench.world.magnet.field())
    assert abs(bench.world.magnet.coil_current()) < 126.0
