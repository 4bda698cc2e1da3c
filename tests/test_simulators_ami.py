"""American Magnetics' Model 430, byte by byte: units that rescale everything, states, segments, switch, quench, errors."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError
from remanence.simulators.ami430 import AMI430
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import Conversation
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.world import World, WorldSettings

# A 6 T coil as AMI makes them: 0.1182 T/A.
MAGNET = MagnetSettings(0.1182, 10.0, 30.0, 5.0, 0.004, ((40.0, 0.1), (50.8, 0.05)), warm_time_s=20.0)


class Bench:
    """A supply on its own wire, and the patience of who asks."""

    def __init__(self, magnet: MagnetSettings = MAGNET, **options: object) -> None:
        self.clock = VirtualClock()
        sample = load_sample("park2020_deficient")
        small = replace(magnet, tesla_per_ampere=0.02)
        self.world = World(WorldSettings(magnet, CryostatSettings(), sample, more_coils={"x": small}), self.clock, 1)
        self.panel = AMI430(self.world, "magnet", **options)  # pyright: ignore[reportArgumentType]

    def ask(self, command: str) -> str:
        reply = self.panel.receive(command.encode())
        assert reply.endswith(b"\r\n")
        return reply.decode().strip()

    def tell(self, *commands: str) -> None:
        for command in commands:
            assert self.panel.receive(command.encode()) == b""

    def value(self, command: str) -> float:
        return float(self.ask(command))

    def errors(self) -> list[int]:
        codes: list[int] = []
        while (code := int(self.ask("SYST:ERR?").split(",")[0])) != 0:
            codes.append(code)
        return codes

    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.world.advance()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def to(bench: Bench, current_A: float, rate_A_per_s: float = 0.05) -> None:
    bench.tell(f"CONF:RAMP:RATE:CURR 1,{rate_A_per_s},50", f"CONF:CURR:TARG {current_A}", "RAMP")
    bench.wait(abs(current_A) / rate_A_per_s + 60.0)
    assert bench.ask("STATE?") == "2"


# The wire


def test_port_7180_greets_with_two_lines_and_7185_does_not(bench: Bench) -> None:
    conversation = Conversation(bench.panel)
    conversation.greet(0.0)
    assert conversation.outgoing[0][1] == b"American Magnetics Model 430 IP Interface\r\nHello.\r\n"
    assert 0.2 <= conversation.outgoing[0][0] <= 0.5
    silent = Conversation(Bench(greeting=False).panel)
    silent.greet(0.0)
    assert not silent.outgoing


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("COIL?", "COILconst?"), ("PS?", "PSwitch?"), ("QU?", "QUench?"), ("PERS?", "PERSistent?"),
        ("RAMP:RATE:UNITS?", "ramp:rate:units?"), ("PS:HTIME?", "PSwitch:HeatTIME?"), ("SYST:ERR?", "SYSTem:ERRor?"),
        ("PS:INST?", "pswitch:installed?"), ("RAMP:RATE:CURR:1?", "RAMP:RATE:CURRent:1?"),
        ("FIELD:MAG?", "field:magnet?"), ("CURR:SUPP?", "CURRent:SUPPly?"), ("VOLT:LIM?", "VOLTage:LIMit?"),
        ("PS:CTIME?", "PSwitch:CoolTIME?"), ("PS:PSRR?", "PSwitch:PowerSupplyRampRate?"),
    ],
)  # fmt: skip
def test_short_and_full_words_in_any_case_are_the_same(bench: Bench, short: str, full: str) -> None:
    assert bench.ask(short) == bench.ask(full) == bench.ask(full.upper()) == bench.ask(short.lower())


def test_commands_are_silent_and_several_may_share_a_line(bench: Bench) -> None:
    bench.tell("CONF:CURR:TARG 5;RAMP", "PAUSE;")
    assert bench.ask("CURR:TARG?;STATE?") == "5;3"
    assert bench.errors() == []


# Units


def test_changing_a_unit_rescales_every_value_the_coil_constant_too(bench: Bench) -> None:
    bench.tell("CONF:CURR:TARG 10", "CONF:RAMP:RATE:CURR 1,0.05,40")
    assert (bench.ask("FIELD:UNITS?"), bench.ask("RAMP:RATE:UNITS?")) == ("0", "0")
    assert bench.value("COIL?") == pytest.approx(1.182)
    assert bench.value("FIELD:TARG?") == pytest.approx(11.82)
    assert bench.ask("RAMP:RATE:CURR:1?") == "0.05,50.8"
    bench.tell("CONF:FIELD:UNITS 1", "CONF:RAMP:RATE:UNITS 1")
    assert bench.value("COIL?") == pytest.approx(0.1182)
    assert bench.value("FIELD:TARG?") == pytest.approx(1.182)
    assert bench.value("CURR:TARG?") == 10.0
    assert bench.ask("RAMP:RATE:CURR:1?") == "3,50.8"
    rate, bound = map(float, bench.ask("RAMP:RATE:FIELD:1?").split(","))
    assert (rate, bound) == (pytest.approx(0.3546), pytest.approx(50.8 * 0.1182))
    bench.tell("CONF:FIELD:TARG 2", "CONF:RAMP:RATE:FIELD 1,0.6,6", "CONF:FIELD:UNITS 0", "CONF:RAMP:RATE:UNITS 0")
    assert bench.value("FIELD:TARG?") == pytest.approx(20.0)
    assert float(bench.ask("RAMP:RATE:FIELD:1?").split(",")[0]) == pytest.approx(0.1)


def test_the_coil_constant_is_only_what_the_supply_believes(bench: Bench) -> None:
    bench.tell("CONF:COIL 2.0", "CONF:FIELD:TARG 10")
    assert bench.value("CURR:TARG?") == 5.0
    to(bench, 5.0)
    assert bench.value("FIELD:MAG?") == pytest.approx(10.0)
    assert bench.world.magnet.field() == pytest.approx(5.0 * 0.1182, rel=1e-6)


# Ramping


def test_the_states_of_a_ramp(bench: Bench) -> None:
    assert bench.ask("STATE?") == "3"
    bench.tell("CONF:RAMP:RATE:CURR 1,0.05,50", "CONF:CURR:TARG 2", "RAMP")
    assert bench.ask("STATE?") == "1"
    bench.wait(20.0)
    assert bench.value("CURR:MAG?") == pytest.approx(1.0)
    bench.tell("PAUSE")
    bench.wait(20.0)
    assert (bench.ask("STATE?"), bench.value("CURR:MAG?")) == ("3", pytest.approx(1.0))
    bench.tell("RAMP")
    bench.wait(25.0)
    assert (bench.ask("STATE?"), bench.value("CURR:SUPP?")) == ("2", 2.0)
    bench.tell("CONF:CURR:TARG 3")  # a new target moves a supply that is in RAMP
    assert bench.ask("STATE?") == "1"
    bench.tell("DECR")
    assert bench.ask("STATE?") == "5"
    bench.wait(10.0)
    bench.tell("INCR")
    assert bench.ask("STATE?") == "4"
    bench.wait(2000.0)
    assert (bench.ask("STATE?"), bench.value("CURR:MAG?")) == ("2", 50.8)
    bench.tell("ZERO")
    assert bench.ask("STATE?") == "6"
    bench.wait(50.76 / 0.05)
    assert bench.ask("STATE?") == "8"  # below a thousandth of the limit it is at zero, though still on its way
    assert 0.0 < bench.value("CURR:MAG?") < 0.05
    bench.wait(10.0)
    assert (bench.ask("STATE?"), bench.value("CURR:MAG?")) == ("8", 0.0)
    assert bench.errors() == []


def test_an_external_rampdown_is_a_state_of_its_own_and_only_if_enabled(bench: Bench) -> None:
    to(bench, 5.0)
    bench.panel.turn("rampdown", "ON")
    assert bench.ask("STATE?") == "2"
    bench.tell("CONF:RAMPD:ENAB 1")
    bench.panel.turn("rampdown", "ON")
    assert (bench.ask("STATE?"), bench.ask("RAMPD:COUNT?")) == ("11", "1")
    bench.wait(120.0)
    assert (bench.ask("STATE?"), bench.value("CURR:MAG?")) == ("8", 0.0)


def test_segments_have_their_own_rates_up_to_their_bounds(bench: Bench) -> None:
    bench.tell(
        "CONF:RAMP:RATE:SEG 2", "CONF:RAMP:RATE:CURR 1,0.1,10", "CONF:RAMP:RATE:CURR 2,0.02,50", "CONF:CURR:TARG -12",
        "RAMP",
    )  # fmt: skip
    assert [bench.ask(f"RAMP:RATE:CURR:{n}?") for n in (1, 2)] == ["0.1,10", "0.02,50.8"]
    bench.wait(100.0)
    assert bench.value("CURR:MAG?") == pytest.approx(-10.0)
    bench.wait(50.0)
    assert bench.value("CURR:MAG?") == pytest.approx(-11.0)
    bench.wait(60.0)
    assert bench.ask("STATE?") == "2"
    assert bench.world.magnet.coil_current() == pytest.approx(-12.0, abs=1e-4)


def test_the_voltage_limit_slows_a_ramp(bench: Bench) -> None:
    bench.tell("CONF:VOLT:LIM 0.2", "CONF:RAMP:RATE:CURR 1,0.05,50", "CONF:CURR:TARG 10", "RAMP")
    bench.wait(100.0)
    assert bench.value("CURR:MAG?") == pytest.approx(100.0 * 0.2 / 10.0)
    assert bench.value("VOLT:MAG?") == pytest.approx(0.2, rel=1e-3)
    assert bench.value("VOLT:SUPP?") == pytest.approx(0.2, rel=0.1)


# The persistent switch


def test_a_cooled_switch_keeps_the_magnet_current_and_the_leads_run_fast(bench: Bench) -> None:
    to(bench, 20.0)
    bench.tell("PS 0")
    assert (bench.ask("STATE?"), bench.ask("PERS?")) == ("10", "0")
    bench.tell("ZERO")
    assert bench.errors() == [-301]
    bench.wait(30.0)
    assert (bench.ask("STATE?"), bench.ask("PERS?")) == ("2", "1")
    bench.tell("ZERO")
    bench.wait(3.0)
    assert bench.ask("STATE?") == "8"
    assert (bench.value("CURR:SUPP?"), bench.value("CURR:MAG?")) == (0.0, 20.0)
    assert bench.world.magnet.coil_current() == pytest.approx(20.0, rel=1e-5)
    bench.tell("CONF:CURR:TARG 20", "RAMP")
    bench.wait(3.0)
    bench.tell("PS 1")
    assert (bench.ask("STATE?"), bench.ask("PS?")) == ("9", "1")
    bench.tell("RAMP")
    assert bench.errors() == [-301]
    bench.wait(25.0)
    assert (bench.ask("STATE?"), bench.ask("PERS?"), bench.ask("QU?")) == ("2", "0", "0")


def test_warming_the_switch_on_empty_leads_quenches_and_only_a_reset_ends_it(bench: Bench) -> None:
    to(bench, 20.0)
    bench.tell("PS 0")
    bench.wait(30.0)
    bench.tell("ZERO")
    bench.wait(5.0)
    bench.tell("PS 1")
    bench.wait(30.0)
    assert (bench.ask("STATE?"), bench.ask("QU?"), bench.ask("QU:COUNT?")) == ("7", "1", "1")
    bench.wait(60.0)
    assert bench.value("CURR:MAG?") == 0.0
    assert int(bench.ask("*STB?")) & 4
    bench.tell("RAMP")
    assert bench.errors() == [-302]
    bench.tell("QU 0")
    assert (bench.ask("STATE?"), bench.ask("QU?")) == ("3", "0")
    bench.tell("CONF:CURR:TARG 1", "RAMP")  # the coil is still warm: it quenches again
    assert (bench.ask("STATE?"), bench.ask("QU:COUNT?")) == ("7", "2")
    bench.wait(12 * 3600.0)
    bench.tell("QU 0")
    to(bench, 1.0)
    assert bench.world.magnet.coil_current() == pytest.approx(1.0)


def test_a_quench_set_by_hand_takes_the_voltage_away_and_disables_ramps(bench: Bench) -> None:
    to(bench, 10.0)
    bench.tell("QU 1", "RAMP")
    assert (bench.ask("STATE?"), bench.errors()) == ("7", [-302])
    bench.wait(100.0)
    assert bench.value("CURR:MAG?") == pytest.approx(10.0 * (1 - 0.004 / 10.0 * 100.0))
    assert not bench.world.magnet.quenched
    bench.tell("QU 0")
    assert bench.ask("STATE?") == "3"


def test_a_heating_time_that_is_too_short_for_the_switch_costs_a_quench() -> None:
    bench = Bench(replace(MAGNET, warm_time_s=40.0))
    bench.tell("PS 0")
    bench.wait(60.0)
    bench.tell("CONF:PS:HTIME 5", "PS 1")
    bench.wait(6.0)
    bench.tell("CONF:CURR:TARG 5", "CONF:RAMP:RATE:CURR 1,0.1,50", "RAMP")
    assert bench.ask("STATE?") == "1"
    bench.wait(60.0)
    assert bench.ask("STATE?") == "7"


def test_without_a_switch_its_commands_are_errors_and_ramps_work() -> None:
    bench = Bench(replace(MAGNET, switch_fitted=False))
    bench.tell("PS 1")
    assert (bench.errors(), bench.ask("PS:INST?"), bench.ask("PS?")) == ([-107], "0", "0")
    to(bench, 3.0)
    assert bench.world.magnet.coil_current() == 3.0


# Errors and limits


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("NONSENSE", -101), ("CONF:CURR:TARG ten", -102), ("CONF:CURR:TARG nan", -102), ("PS 2", -103),
        ("CONF:FIELD:UNITS T", -103), ("CONF:CURR:TARG", -104), ("CONF:RAMP:RATE:CURR 1", -104), ("PS", -104),
        ("CONF:CURR:TARG 50.9", -105), ("CONF:FIELD:TARG -60.1", -105), ("CONF:RAMP:RATE:CURR 1,0,50", -105),
        ("CONF:RAMP:RATE:CURR 2,0.1,50", -105), ("CONF:VOLT:LIM 7", -105), ("CONF:CURR:LIM 126", -105),
        ("CONF:PS:HTIME 4", -105), ("CONF:COIL 0", -105), ("CONF:RAMP:RATE:SEG 11", -105), ("STAT?", -201),
        ("RAMP:RATE:CURR:2?", -105), ("RAMP:RATE:NONE:1?", -201),
    ],
)  # fmt: skip
def test_what_it_cannot_do_waits_in_the_error_queue(bench: Bench, command: str, code: int) -> None:
    bench.ask("*ESR?")
    bench.tell(command)
    assert bench.ask("*ESR?") == {1: "32", 2: "4"}[-code // 100]
    assert bench.errors() == [code]


def test_the_queue_holds_ten_and_says_that_it_overflowed(bench: Bench) -> None:
    for n in range(12):
        bench.tell("PS" if n % 2 else "FOO")
    assert bench.errors() == [-101, -104] * 4 + [-101, -304]
    assert bench.ask("SYST:ERR?") == '0,"No errors"'
    bench.panel.fill_errors()
    bench.tell("*CLS")
    assert bench.errors() == []


def test_a_target_at_the_very_limit_is_accepted_in_every_unit(bench: Bench) -> None:
    for unit in "01":
        bench.tell(f"CONF:FIELD:UNITS {unit}")
        limit = bench.value("CURR:LIM?") * bench.value("COIL?")
        bench.tell(f"CONF:FIELD:TARG {limit}", f"CONF:FIELD:TARG {-limit}")
        assert bench.errors() == []


def test_the_newer_firmware_drops_the_rating_and_knows_more() -> None:
    for firmware, known in (("2.50", "CURR:RATING?"), ("2.59", "IND?"), ("3.01", "STAB:MODE?")):
        other = "IND?" if firmware == "2.50" else "CURR:RATING?"
        bench = Bench(firmware=firmware)
        assert bench.ask("*IDN?").endswith(firmware)
        assert float(bench.ask(known)) >= 0.0
        bench.tell(other)
        assert bench.errors() == [-201]


# At its front, and without power


def test_a_hand_at_the_front_changes_what_a_client_reads(bench: Bench) -> None:
    bench.panel.turn("units", "T")
    assert bench.value("COIL?") == pytest.approx(0.1182)
    bench.panel.turn("setpoint", "0.5")
    bench.panel.turn("pause", "OFF")
    assert (bench.value("FIELD:TARG?"), bench.ask("STATE?")) == (0.5, "1")
    bench.panel.turn("pause", "ON")
    assert bench.ask("STATE?") == "3"
    with pytest.raises(ConfigError):
        bench.panel.turn("setpoint", "99")
    assert bench.errors() == []


def test_a_power_cycle_in_a_ramp_leaves_it_paused_with_no_target_and_a_cooling_switch(bench: Bench) -> None:
    bench.tell("CONF:FIELD:UNITS 1", "CONF:CURR:TARG 10", "RAMP")
    bench.wait(50.0)
    here = bench.value("CURR:MAG?")
    bench.panel.power_cycle()
    assert bench.ask("STATE?") == "10"
    bench.wait(40.0)
    assert (bench.ask("STATE?"), bench.value("CURR:TARG?"), bench.value("CURR:MAG?")) == ("3", 0.0, here)
    assert bench.ask("FIELD:UNITS?") == "1"


def test_an_axis_drives_its_own_coil_and_a_wrong_one_is_refused() -> None:
    bench = Bench(axis="x")
    assert bench.value("COIL?") == pytest.approx(0.2)
    to(bench, 2.0)
    assert bench.world.magnets["x"].coil_current() == pytest.approx(2.0)
    assert bench.world.magnet.coil_current() == 0.0
    with pytest.raises(ConfigError):
        AMI430(bench.world, "magnet", axis="w")


_WORDS = st.sampled_from(
    b"CONF:CURR:TARG CONF:FIELD:TARG CONF:RAMP:RATE:CURR CONF:RAMP:RATE:SEG CONF:CURR:LIM CONF:VOLT:LIM "
    b"CONF:COIL RAMP PAUSE ZERO INCR DECR PS QU STATE? COIL? PERS? RAMP:RATE:FIELD:1? SYST:ERR? *RST *STB? 0 1 "
    b"1,0.1,40 2,9,5 -50 1e-5 1e999 nan inf 1_0 ; : , ? \r \n \xff \x00".split(b" ")
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
