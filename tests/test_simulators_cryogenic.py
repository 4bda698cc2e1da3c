"""Cryogenic's SMS supplies, byte by byte: heads and XON, units, heater without interlock, trips, the front, power."""

import math
from dataclasses import replace

import pytest
import pyvisa
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.capabilities import Activity
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError, DeviceFault
from remanence.instruments.cryogenic import SMS120C as Driver
from remanence.instruments.link import Link
from remanence.simulators.cryogenic import SMS10C, SMS60C, SMS120C
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import Conversation
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

# The 12 T magnet of the QCoDeS driver's authors: 105.84 A.
MAGNET = MagnetSettings(0.113375, 30.0, 50.0, 3.5, 0.004, ((105.84, 0.12),))


class Bench:
    """A supply at its serial line."""

    def __init__(self, kind: type[SMS120C] = SMS120C, magnet: MagnetSettings = MAGNET, **options: object) -> None:
        self.clock = VirtualClock()
        shim = replace(magnet, tesla_per_ampere=0.01, segments=((10.0, 0.1),))
        sample = load_sample("park2020_deficient")
        self.world = World(WorldSettings(magnet, CryostatSettings(), sample, more_coils={"x": shim}), self.clock, 1)
        self.panel = kind(self.world, "magnet", **options)  # pyright: ignore[reportArgumentType]

    def say(self, *commands: str) -> str:
        """The last reply, without its end."""
        reply = b""
        for command in commands:
            reply = self.panel.receive(command.encode())
        return reply.decode().strip("\r\n\x13")

    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.world.advance()

    def move(self, current_A: float, rate_A_per_s: float = 0.1) -> None:
        self.say(
            "PAUSE ON", f"SET RAMP {rate_A_per_s}", f"SET MID {current_A}", "RAMP MID" if current_A else "RAMP ZERO",
            "PAUSE OFF",
        )  # fmt: skip
        self.wait(120.0 / rate_A_per_s)
        assert "HOLDING ON TARGET" in self.say("RAMP STATUS")


@pytest.fixture
def bench() -> Bench:
    return Bench()


# The wire


@pytest.mark.parametrize(
    ("head", "asked", "set_"),
    [
        ("dots", r"........ RAMP RATE: 0.0100 A/SEC", r"00:00:00 RAMP RATE: 0.0500 A/SEC"),
        ("time", r"00:00:00 RAMP RATE: 0.0100 A/SEC", r"00:00:00 RAMP RATE: 0.0500 A/SEC"),
        ("both", r"00:00:00 ........ RAMP RATE: 0.0100 A/SEC", r"00:00:00 ........ RAMP RATE: 0.0500 A/SEC"),
    ],
)
def test_what_stands_before_a_reply_is_as_the_unit_has_it(head: str, asked: str, set_: str) -> None:
    bench = Bench(head=head)
    assert bench.say("GET RATE") == asked
    assert bench.say("SET RAMP 0.05") == set_


def test_xon_follows_a_reply_or_stands_before_it() -> None:
    assert Bench().panel.receive(b"GET SIGN") == b"........ CURRENT DIRECTION: POSITIVE\r\n\x13"
    first = Bench(xon_first=True)
    assert first.panel.receive(b"GET SIGN") == b"\x13........ CURRENT DIRECTION: POSITIVE\r\n"
    assert first.panel.receive(b"RAMP MID") == b""


@pytest.mark.parametrize(
    ("command", "short", "reply"),
    [
        ("GET OUTPUT", "G O", "OUTPUT: 0.0000 AMPS AT 0.00 VOLTS"), ("GET MID", "G %", "MID SETTING: 0.0000 AMPS"),
        ("GET MAX", "G !", "MAX SETTING: 120.0000 AMPS"), ("GET SIGN", "G S", "CURRENT DIRECTION: POSITIVE"),
        ("GET RATE", "G R", "RAMP RATE: 0.0100 A/SEC"), ("GET TPA", "G TPA", "FIELD CONSTANT: 0.113375 T/A"),
        ("GET VL", "G VL", "VOLTAGE LIMIT: 3.5 VOLTS"), ("GET HV", "G HV", "HEATER OUTPUT: 3.8 VOLTS"),
        ("PAUSE", "P", "PAUSE STATUS: ON"), ("HEATER", "H", "HEATER STATUS: ON"), ("TESLA", "T", "UNITS: AMPS"),
        ("RAMP STATUS", "R S", "RAMP STATUS: HOLDING ON PAUSE AT 0.0000 AMPS"),
    ],
)  # fmt: skip
def test_long_and_short_words_ask_the_same(bench: Bench, command: str, short: str, reply: str) -> None:
    assert bench.say(command)[9:] == bench.say(short)[9:] == bench.say(command.lower())[9:] == reply


def test_a_pause_may_send_its_ramp_status_as_a_second_line() -> None:
    bench = Bench(talkative=True)
    lines = bench.panel.receive(b"PAUSE OFF").split(b"\r\n\x13")
    assert lines == [
        b"00:00:00 PAUSE STATUS: OFF", b"00:00:00 RAMP STATUS: HOLDING ON TARGET AT 0.0000 AMPS", b"",
    ]  # fmt: skip
    assert bench.panel.receive(b"PAUSE").count(b"\r\n") == 1


def test_update_sends_thirteen_lines_and_the_first_identifies(bench: Bench) -> None:
    lines = bench.panel.receive(b"U").decode().split("\r\n\x13")
    assert len(lines) == 14  # the last one ends, too
    assert lines[-1] == ""
    assert lines[0].startswith(" " * 8)
    assert "SMS120C" in lines[0]
    assert "RAMP STATUS" in lines[12]


# Units, limits, models


def test_in_tesla_set_points_and_readings_are_tesla_and_the_rate_is_not(bench: Bench) -> None:
    assert bench.say("TESLA ON")[9:] == "UNITS: TESLA"
    assert bench.say("SET MID 1.13375")[9:] == "MID SETTING: 1.13375 TESLA"
    assert bench.say("GET RATE").endswith("A/SEC")
    bench.say("SET RAMP 0.1", "RAMP MID", "PAUSE OFF")
    bench.wait(50.0)
    assert bench.say("RAMP STATUS")[9:] == "RAMP STATUS: RAMPING FROM 0.00000 TO 1.13375 TESLA AT 0.1000 A/SEC"
    bench.wait(80.0)
    assert bench.say("GET OUTPUT")[9:] == "OUTPUT: 1.13375 TESLA AT 0.04 VOLTS"
    assert bench.world.magnet.coil_current() == pytest.approx(10.0)


def test_a_set_point_changed_while_it_ramps_to_it_moves_at_once(bench: Bench) -> None:
    bench.move(5.0)
    bench.say("SET MID 6")
    assert "RAMPING FROM 5.0000 TO 6.0000 AMPS" in bench.say("RAMP STATUS")


def test_with_no_direction_no_set_point_gives_a_current(bench: Bench) -> None:
    bench.say("DIRECTION 0")
    assert bench.say("GET SIGN")[9:] == "CURRENT DIRECTION: ZERO"
    bench.move(5.0)
    assert "OUTPUT: 0.0000 AMPS" in bench.say("GET OUTPUT")
    bench.say("DIRECTION -")
    bench.move(5.0)
    bench.say("DIRECTION 0")  # not with a current
    assert bench.say("GET SIGN")[9:] == "CURRENT DIRECTION: NEGATIVE"


def test_the_maximum_limits_the_middle_and_the_model_the_maximum() -> None:
    for kind, largest_A, rate in ((SMS120C, 120.0, "0.0123"), (SMS60C, 60.0, "0.01235"), (SMS10C, 10.0, "0.01234")):
        bench = Bench(kind)
        assert bench.say(f"SET MAX {largest_A + 0.1}").startswith("------->")
        assert not bench.say(f"SET MAX {largest_A - 1}").startswith("------->")
        assert bench.say(f"SET MID {largest_A}").startswith("------->")
        assert bench.say("SET RAMP 0.012337").split(": ")[1] == f"{rate} A/SEC"


def test_a_small_supply_on_another_axis_drives_that_coil() -> None:
    bench = Bench(SMS10C, axis="x")
    assert "0.010000 T/A" in bench.say("GET TPA")
    bench.move(2.0)
    assert bench.world.magnets["x"].coil_current() == pytest.approx(2.0)
    assert bench.world.magnet.coil_current() == 0.0


def test_the_voltage_limit_slows_the_ramp(bench: Bench) -> None:
    assert bench.say("SET LIMIT 0.6")[9:] == "VOLTAGE LIMIT: 0.6 VOLTS"
    bench.say("SET RAMP 0.1", "SET MID 10", "RAMP MID", "PAUSE OFF")
    bench.wait(100.0)
    assert "OUTPUT: 2.0000 AMPS AT 0.61 VOLTS" in bench.say("GET OUTPUT")


# The switch heater and the trips


def test_the_heater_tells_where_it_was_switched_off_and_per_what_the_coil_keeps(bench: Bench) -> None:
    assert bench.panel.receive(b"GET PER") == b""
    assert bench.say("HEATER OFF")[9:] == "HEATER STATUS: OFF"  # nothing to keep
    bench.say("HEATER ON")
    bench.wait(40.0)
    bench.move(10.0)
    assert bench.say("HEATER OFF")[9:] == "HEATER STATUS: SWITCHED OFF AT 10.0000 AMPS"
    bench.wait(40.0)
    bench.move(0.0)
    assert bench.say("GET PER")[9:] == "10.0000 AMPS"
    assert bench.say("TESLA ON", "GET PER")[9:] == "1.13375 TESLA"
    assert bench.world.magnet.coil_current() == pytest.approx(10.0, rel=1e-5)


def test_no_interlock_saves_a_coil_from_empty_leads_and_the_trip_stays_until_it_is_reset(bench: Bench) -> None:
    bench.move(10.0)
    bench.say("HEATER OFF")
    bench.wait(40.0)
    bench.move(0.0)
    assert bench.say("HEATER ON")[9:] == "HEATER STATUS: ON"
    bench.wait(40.0)
    assert bench.say("RAMP STATUS")[9:] == "RAMP STATUS: QUENCH TRIP AT 10.0000 AMPS"
    bench.wait(24 * 3600.0)  # the coil is cold again, the supply's latch holds
    assert not bench.world.magnet.quenched
    bench.say("SET MID 1", "RAMP MID", "PAUSE OFF")
    bench.wait(100.0)
    assert "QUENCH TRIP" in bench.say("RAMP STATUS")
    assert "OUTPUT: 0.0000 AMPS" in bench.say("GET OUTPUT")
    bench.panel.turn("trip", "OFF")
    assert "HOLDING ON PAUSE" in bench.say("RAMP STATUS")
    bench.move(1.0)


def test_a_reset_before_the_coil_is_cold_trips_again(bench: Bench) -> None:
    bench.move(10.0)
    bench.world.magnet.quench(bench.clock.now())
    bench.wait(600.0)
    assert "QUENCH TRIP" in bench.say("RAMP STATUS")
    bench.panel.turn("trip", "OFF")
    bench.say("RAMP MID", "PAUSE OFF")
    assert "QUENCH TRIP" in bench.say("RAMP STATUS")


def test_an_external_trip_lets_the_current_run_down(bench: Bench) -> None:
    bench.move(10.0)
    bench.panel.turn("trip", "ON")
    assert bench.say("RAMP STATUS")[9:] == "RAMP STATUS: EXTERNAL TRIP AT 10.0000 AMPS"
    bench.wait(150.0)
    assert "OUTPUT: 5.0000 AMPS" in bench.say("GET OUTPUT")
    assert not bench.world.magnet.quenched
    bench.panel.turn("trip", "OFF")
    assert "HOLDING ON PAUSE AT 5.0000 AMPS" in bench.say("RAMP STATUS")


# At its front, and without power


def test_what_is_done_at_the_front_is_told_to_every_client(bench: Bench) -> None:
    conversation = Conversation(bench.panel)
    bench.panel.turn("units", "TESLA")
    bench.panel.turn("pause", "OFF")
    assert [line for _, line in conversation.outgoing] == [
        b"00:00:00 UNITS: TESLA\r\n\x13", b"00:00:00 PAUSE STATUS: OFF\r\n\x13",
    ]  # fmt: skip
    with pytest.raises(ConfigError):
        bench.panel.turn("setpoint", "1000")


def test_after_power_on_the_unit_and_the_constant_are_gone_and_tesla_is_refused(bench: Bench) -> None:
    bench.say("TESLA ON", "SET MID 1", "SET RAMP 0.1", "RAMP MID", "PAUSE OFF")
    bench.wait(50.0)
    here = bench.world.magnet.lead_current(bench.clock.now())
    bench.panel.power_cycle()
    assert bench.say("TESLA ON") == bench.say("GET TPA") == "-------> No field constant has been entered"
    assert "UNITS: AMPS" in bench.say("TESLA")
    assert "MID SETTING: 0.0000 AMPS" in bench.say("GET MID")
    bench.wait(100.0)
    assert f"HOLDING ON PAUSE AT {here:.4f} AMPS" in bench.say("RAMP STATUS")
    assert "0.113375 T/A" in bench.say("SET TPA 0.113375")
    assert "UNITS: TESLA" in bench.say("TESLA ON")


_WORDS = st.sampled_from(
    b"GET SET RAMP PAUSE HEATER TESLA DIRECTION U OUTPUT MID MAX ZERO STATUS TPA LIMIT PER ON OFF + - 0 1 7.5 -3 1e999 "
    b"nan inf 1_0 % ! G S R P H T D \r \n \x13 \xff \x00".split(b" ")
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
    assert abs(bench.world.magnet.coil_current()) < 121.0


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("SET MID 7", "MID SETTING: 7.0000 AMPS"), ("TESLA ON", "UNITS: TESLA"), ("HEATER OFF", "HEATER STATUS: OFF"),
        ("PAUSE OFF", "PAUSE STATUS: OFF"), ("SET LIMIT 1", "VOLTAGE LIMIT: 1.0 VOLTS"),
    ],
)  # fmt: skip
def test_a_command_that_is_acknowledged_and_not_done_changes_nothing(bench: Bench, command: str, reply: str) -> None:
    before = [bench.say(query) for query in ("GET MID", "TESLA", "HEATER", "PAUSE", "GET VL")]
    assert bench.panel.changes(command)
    assert (bench.panel.acknowledge(command) or "")[9:] == reply
    assert [bench.say(query) for query in ("GET MID", "TESLA", "HEATER", "PAUSE", "GET VL")] == before


def test_our_own_driver_reads_a_trip_as_a_quench_and_refuses_a_supply_that_lost_its_constant(bench: Bench) -> None:
    manager = pyvisa.ResourceManager(VirtualVisaLibrary({"ASRL3::INSTR": bench.panel}, bench.clock))
    resource = manager.open_resource("ASRL3::INSTR")
    link = Link(resource, bench.clock, name="magnet", write_end="\r\n", read_end="\r\n", pause_s=0.2)  # pyright: ignore[reportArgumentType]
    driver = Driver(link, "magnet", tesla_per_ampere=0.113375)
    driver.check_identity()
    driver.set_rate(0.05)
    driver.set_target(4.0)
    driver.go()
    assert driver.watch().activity is Activity.RAMPING
    bench.wait(300.0)
    assert driver.watch().output_A == 4.0
    bench.world.magnet.quench(bench.clock.now())
    assert driver.watch().activity is Activity.QUENCHED
    bench.panel.power_cycle()
    with pytest.raises(DeviceFault, match="No field constant"):
        driver.check_identity()
    manager.close()
