"""Lake Shore's temperature controllers, byte by byte, and the thermometers and loops in them."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import Conversation
from remanence.simulators.lakeshore import Model331, Model335, Model336, Model340, Model350, Model372
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.sensors import CURVES, KINDS, Curve, Fault, Sensor, State, Unit
from remanence.simulators.temperature_loop import Drive, Gains, Pid, SetPoint, TemperatureLoop, Zone
from remanence.simulators.world import World, WorldSettings

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))
KINDS_OF_PANEL = (Model331, Model335, Model336, Model340, Model350, Model372)


class Bench:
    """One controller on one cryostat."""

    def __init__(self, kind: Any, cryostat: CryostatSettings | None = None, **options: Any) -> None:
        self.clock = VirtualClock()
        sample = load_sample("park2020_deficient")
        self.world = World(WorldSettings(MAGNET, cryostat or CryostatSettings(), sample), self.clock, 1)
        self.panel = kind(self.world, kind.__name__, **options)

    def ask(self, line: str) -> str:
        reply = self.panel.receive(line.encode())
        assert reply == b"" or reply.endswith(b"\r\n")
        return reply.decode().removesuffix("\r\n")

    def put(self, *lines: str) -> None:
        """Send orders, all of which must be understood."""
        for line in lines:
            assert self.panel.receive(line.encode()) == b""
        assert self.ask("*ESR?") in ("000", "128"), lines

    def settle(self, query: str, target: float, seconds: float, tolerance: float) -> None:
        """The reading must be at the target in the last tenth of the time."""
        for _ in range(10):
            self.clock.sleep(seconds / 10)
            self.ask(query)
        for _ in range(10):
            self.clock.sleep(seconds / 100)
            assert float(self.ask(query)) == pytest.approx(target, abs=tolerance)

    def block_K(self) -> float:
        self.world.advance()
        return self.world.cryostat.block_K


# What each of them answers


@pytest.mark.parametrize(
    ("kind", "query", "reply"),
    [
        (Model331, "*IDN?", "LSCI,MODEL331S,331123,020301"), (Model335, "*IDN?", "LSCI,MODEL335,335A123/#######,1.7"),
        (Model340, "*IDN?", "LSCI,MODEL340,340123,061407"), (Model372, "*IDN?", "LSCI,MODEL372,372A123/#######,1.3"),
        (Model331, "*TST?", "0"), (Model336, "*OPC?", "1"), (Model350, "*ESR?", "128"), (Model336, "*STB?", "000"),
        (Model331, "SETP? 1", "+000.000"), (Model336, "SETP? 4", "+000.0000"), (Model340, "SETP? 1", "+000.000E+0"),
        (Model372, "SETP? 0", "+000.000E+00"),
        (Model331, "PID? 1", "+050.000,+020.000,+000.000"), (Model336, "PID? 2", "+0050.0,+0020.0,+0000.0"),
        (Model340, "PID? 1", "0050.0,0020.0,0000"), (Model372, "PID? 0", "10.000000,20,0"), (Model372, "PID?", "10.000000,20,0"),
        (Model331, "RAMP? 1", "0,000.0"), (Model336, "RAMP? 1", "0,+000.00"),
        (Model331, "HTR?", "+000.0"), (Model336, "HTR? 1", "+000.0"), (Model372, "HTR?", "+000.000"),
        (Model331, "RANGE?", "0"), (Model336, "RANGE? 3", "0"),
        (Model331, "CSET? 1", "A,1,0,2"), (Model331, "CMODE? 2", "1"), (Model340, "CSET? 1", "A,1,1,0"),
        (Model340, "CLIMIT? 1", "+001.000E+3,000.0,000.0,4,5"), (Model340, "MODE?", "1"), (Model331, "MODE?", "0"),
        (Model335, "HTRSET? 1", "0,1,4,+0.000,1"), (Model336, "HTRSET? 1", "1,4,+0.000,1"),
        (Model336, "OUTMODE? 1", "1,1,0"), (Model336, "OUTMODE? 2", "0,0,0"), (Model372, "OUTMODE? 0", "0,1,0,0,0,000"),
        (Model336, "INTYPE? A", "3,1,0,1,1"), (Model350, "INTYPE? A", "3,1,0,1,1,0"), (Model336, "INTYPE? D", "0,0,0,0,1"),
        (Model331, "INTYPE? A", "5,0"), (Model340, "INTYPE? A", "8,1,1,00,00"), (Model372, "INTYPE? 1", "0,4,1,13,0,1"),
        (Model372, "INSET? 1", "1,010,003,22,1"), (Model372, "INSET? 7", "0,010,003,00,1"), (Model372, "SCAN?", "01,0"),
        (Model336, "INNAME? B", "sample         "), (Model336, "INCRV? A", "21"), (Model336, "INCRV? C", "00"),
        (Model336, "CRVHDR? 2", "DT-670         ,STANDARD C,2,+500.000,1"), (Model336, "CRVHDR? 59", "               ,          ,2,+000.000,1"),
        (Model336, "ALARM? A", "0,+1000.000,+000.0000,+000.0000,0,0,1"), (Model336, "RELAY? 1", "0,A,2"),
        (Model336, "TLIMIT? A", "+000.0000"), (Model336, "LOCK?", "0,123"), (Model336, "ZONE? 1,10", "+000.0000,+0050.0,+0020.0,+0000.0,+000.0000,0,0,+000.0"),
        (Model336, "RDGST? A;RDGST? C", "000;001"), (Model372, "RDGST? 1", "000"), (Model336, "OPST?", "004"),
    ],
)  # fmt: skip
def test_a_controller_answers_in_its_own_form(kind: Any, query: str, reply: str) -> None:
    assert Bench(kind).ask(query) == reply


@pytest.mark.parametrize(
    ("kind", "line", "query", "reply"),
    [
        (Model331, "PID 1,10,50,0", "PID? 1", "+010.000,+050.000,+000.000"), (Model340, "PID 1,10,50", "PID? 1", "0010.0,0050.0,0000"),
        (Model340, "PID 1,,,5", "PID? 1", "0050.0,0020.0,0005"), (Model372, "PID 0,0.5,100,0", "PID? 0", "0.500000,100,0"),
        (Model372, "PID 0.5,100,0", "PID?", "0.500000,100,0"),
        (Model331, "RANGE 3", "RANGE?", "3"), (Model340, "RANGE 5", "RANGE?", "5"), (Model336, "RANGE 1, 2", "RANGE? 1", "2"),
        (Model336, "RANGE 3,1", "RANGE? 3", "1"), (Model372, "RANGE 0,8", "RANGE? 0", "8"), (Model372, "RANGE 1,1", "RANGE? 1", "1"),
        (Model331, "CSET 1,B,1,1,1", "CSET? 1", "B,1,1,1"), (Model340, "CSET 1,B", "CSET? 1", "B,1,1,0"),
        (Model331, "CMODE 1,3", "CMODE? 1", "3"), (Model340, "CLIMIT 1,325,10,0", "CLIMIT? 1", "+325.000E+0,010.0,000.0,4,5"),
        (Model340, "MODE 3", "MODE?", "3"), (Model336, "MODE 2", "MODE?", "2"), (Model336, "LOCK 1,7", "LOCK?", "1,007"),
        (Model335, "HTRSET 2,1,1,2,0,2", "HTRSET? 2", "1,1,2,+0.000,2"), (Model336, "HTRSET 1,1,0,0.5,2", "HTRSET? 1", "1,0,+0.500,2"),
        (Model372, "HTRSET 0,120,0,0,1", "HTRSET? 0", "120,0,+0.000,1"),
        (Model372, "OUTMODE 0, 5, 16, 0, 0, 1, 10", "OUTMODE? 0", "5,16,0,0,1,010"), (Model372, "OUTMODE 1,6,A,0,0,0,0", "OUTMODE? 1", "6,A,0,0,0,000"),
        (Model336, "OUTMODE 4,4,2,1", "OUTMODE? 4", "4,2,1"), (Model336, "MOUT 2,12.5", "MOUT? 2", "+012.5000"),
        (Model372, "INSET 3,1,20,5,0,2", "INSET? 3", "1,020,005,00,2"), (Model372, "INSET 1,1,3,3,22,", "INSET? 1", "1,003,003,22,1"),
        (Model372, "INTYPE 2,1,7,0,15,0,2", "INTYPE? 2", "1,7,0,15,0,2"), (Model372, "SCAN 02,1", "SCAN?", "02,1"), (Model372, "STILL 30", "STILL?", "+030.00"),
        (Model372, "WARMUP 1,50", "WARMUP?", "1,+050.00"), (Model372, "FREQ A,3", "FREQ? A", "3"), (Model372, "IEEE 0,0,15", "IEEE?", "15"),
        (Model336, 'INNAME A,"a;b,c"', "INNAME? A", "a;b,c          "), (Model336, "ALARM A,1,300,4,1,1,0,0", "ALARM? A", "1,+300.0000,+004.0000,+001.0000,1,0,0"),
        (Model331, "ALARM A,1,1,300,4,1,0", "ALARM? A", "1,1,+300.000,+004.000,+001.000,0"), (Model340, "ALARM A,1,1,300", "ALARM? A", "1,1,+300.000E+0,+000.000E+0,0,0"),
        (Model331, "RELAY 1,2,B,0", "RELAY? 1", "2,B,0"), (Model340, "RELAY 1,2,1", "RELAYST? 1", "1"), (Model336, "RELAY 2,1,A,0", "RELAYST? 2", "1"),
        (Model331, "ZONE 1,1,25,10,20,0,0,2", "ZONE? 1,1", "+025.000,+010.000,+020.000,+000.000,+000.000,2"),
        (Model336, "FILTER B,1,10,2", "FILTER? B", "1,10,02"), (Model336, "*ESE 60", "*ESE?", "060"), (Model336, "INCRV A,21", "INCRV? A", "21"),
        (Model336, "ANALOG 4,1,1,100.0,0.0,0", "ANALOG? 4", "1,1,+100.0000,+000.0000,0"), (Model336, "WARMUP 3,1,40", "WARMUP? 3", "1,+040.0"),
    ],
)  # fmt: skip
def test_settings_read_back_as_they_were_set(kind: Any, line: str, query: str, reply: str) -> None:
    bench = Bench(kind)
    bench.put(line)
    assert bench.ask(query) == reply


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (Model331, "HTR? 1"), (Model331, "RANGE? 1"), (Model331, "RANGE 1,3"), (Model331, "RANGE 4"), (Model331, "OUTMODE? 1"),
        (Model331, "KRDG? C"), (Model331, "INNAME? A"), (Model340, "RANGE 1,3"), (Model340, "MODE 0"), (Model340, "RANGE 6"),
        (Model340, "CMODE 1,7"), (Model335, "KRDG? C"), (Model335, "OUTMODE 3,1,1,0"), (Model336, "RANGE 1,4"), (Model336, "RANGE 3,2"),
        (Model336, "PID 1,0,20,0"), (Model336, "PID 1,10,20,201"), (Model336, "PID 1,10,20"), (Model336, "RAMP 1,1,101"), (Model336, "SETP 1,1e4"),
        (Model336, "SETP 1"), (Model336, "SETP? 5"), (Model336, "CSET? 1"), (Model336, "KRDG?"), (Model336, "KRDG"), (Model336, "NONSENSE?"),
        (Model336, "HTRSET? 3"), (Model336, "HTR? 3"), (Model336, "AOUT? 1"), (Model350, "HTRST? 4"), (Model336, "MODE 3"), (Model336, "INCRV A,60"), (Model336, "CRVHDR 20,x,y,3,325.0,1"),
        (Model336, "CRVPT? 21,201"), (Model336, "RDGST? 1"), (Model336, "DFLT 98"), (Model336, "RELAYST? 3"), (Model372, "KRDG? 17"),
        (Model372, "KRDG? B"), (Model372, "RANGE 0,9"), (Model372, "RANGE 1,2"), (Model372, "PID 0,1,0.5,0"), (Model372, "PID 0,1001,0,0"),
        (Model372, "PID 0,1,10001,0"), (Model372, "PID 0,1,0,2501"), (Model372, "INTYPE 1,0,13,1,13,0,1"), (Model372, "INTYPE A,1,7,0,0,0,1"),
        (Model372, "SCAN 0"), (Model372, "SCAN 17,1"), (Model372, "INCRV? 1"), (Model372, "OUTMODE 0,5,1,0"), (Model372, "STILL 101"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_neither_done_nor_answered(kind: Any, line: str) -> None:
    bench = Bench(kind)
    asked = ["RANGE? 1", "PID? 1", "OUTMODE? 1", "SETP? 1", "RAMP? 1", "MODE?", "INTYPE? 1", "SCAN?"]
    asked += ["RANGE?", "PID?", "CMODE? 1", "STILL?"]
    before = [bench.ask(query) for query in asked]
    bench.ask("*CLS")
    assert bench.ask(line) == ""
    assert bench.ask("*ESR?") == "032"
    assert [bench.ask(query) for query in asked] == before


def test_input_0_is_all_of_four() -> None:
    bench = Bench(Model336)
    assert [float(text) for text in bench.ask("KRDG? 0").split(",")] == pytest.approx([6.0, 6.0, 0.0, 0.0], rel=0.01)
    assert Bench(Model335).ask("KRDG? 0") == ""


def test_an_event_that_is_enabled_asks_for_service() -> None:
    bench = Bench(Model336)
    bench.put("*CLS", "*ESE 32", "*SRE 32")
    assert bench.ask("*STB?") == "000"
    bench.ask("NONSENSE?")
    assert bench.ask("*STB?") == "096"
    assert bench.panel.status_byte() == 96
    assert bench.ask("*ESR?;*STB?") == "032;000"


# Loops


@pytest.mark.parametrize(
    ("kind", "lines", "query", "target"),
    [
        (Model331, ("PID 1,30,80,0", "RANGE 2", "SETP 1,20"), "KRDG? B", 20.0),
        (Model335, ("PID 1,20,100,0", "RANGE 1,2", "SETP 1,20"), "KRDG? B", 20.0),
        (Model336, ("PID 1,20,100,0", "RANGE 1,2", "SETP 1,20"), "KRDG? B", 20.0),
        (Model340, ("PID 1,20,75", "RANGE 4", "SETP 1,20"), "KRDG? B", 20.0),
        (Model350, ("PID 1,20,75,0", "RANGE 1,4", "SETP 1,20"), "KRDG? B", 20.0),
        (Model350, ("PID 1,20,75,0", "RANGE 1,4", "INTYPE A,3,1,0,1,2,0", "SETP 1,-253.15"), "KRDG? B", 20.0),
        (Model372, ("OUTMODE 0,5,A,0,0,0,0", "PID 0,20,200,0", "RANGE 0,8", "SCAN 2", "SETP 0,12"), "KRDG? 2", 12.0),
    ],
)  # fmt: skip
def test_a_controller_warms_the_sample_and_keeps_it_there(
    kind: Any, lines: tuple[str, ...], query: str, target: float
) -> None:
    bench = Bench(kind)
    bench.put(*lines)
    bench.settle(query, target, 300.0, 2e-3 * target)
    heater = "HTR?" if kind in (Model331, Model340) else "HTR? 0" if kind is Model372 else "HTR? 1"
    power_W = 0.02 * (target - 1.6)
    loop = bench.panel.loops["0" if kind is Model372 else "1"]
    assert float(bench.ask(heater)) == pytest.approx(100.0 * power_W / loop.powers_W[loop.range], rel=0.03)


@pytest.mark.parametrize(
    ("kind", "options", "lines", "full_W"),
    [
        (Model331, {}, ("RANGE 1",), 0.5), (Model331, {}, ("RANGE 2",), 5.0), (Model331, {}, ("RANGE 3",), 50.0),
        (Model335, {}, ("RANGE 1,3",), 75.0), (Model336, {}, ("RANGE 1,3",), 100.0), (Model336, {}, ("RANGE 1,1",), 1.0),
        (Model336, {"heater_ohm": 50.0}, ("RANGE 1,3",), 50.0), (Model336, {}, ("HTRSET 1,1,2,0,1", "RANGE 1,3"), 25.0),
        (Model336, {}, ("HTRSET 1,1,0,0.2,1", "RANGE 1,2"), 0.1),
        (Model340, {}, ("RANGE 5",), 100.0), (Model340, {}, ("CLIMIT 1,,,,2", "RANGE 5"), 6.25),
        (Model350, {}, ("RANGE 1,5",), 75.0), (Model350, {}, ("RANGE 1,1",), 0.0075),
        (Model372, {}, ("RANGE 0,8",), 1.0), (Model372, {"heater_ohm": 120.0}, ("RANGE 0,4",), 120e-6),
    ],
)  # fmt: skip
def test_the_range_is_the_power(kind: Any, options: dict[str, Any], lines: tuple[str, ...], full_W: float) -> None:
    bench = Bench(kind, **options)
    bench.put(*lines)
    loop = bench.panel.loops["0" if kind is Model372 else "1"]
    assert loop.powers_W[loop.range] == pytest.approx(full_W, rel=2e-3)


@pytest.mark.parametrize("kind", [Model331, Model335, Model336, Model340, Model350])
def test_the_set_point_goes_with_the_ramp(kind: Any) -> None:
    bench = Bench(kind)
    bench.put("SETP 1,10", "RAMP 1,1,6", "SETP 1,16")
    bench.clock.sleep(30.0)
    assert float(bench.ask("SETP? 1")) == pytest.approx(13.0, abs=0.05)
    assert bench.ask("RAMPST? 1") == "1"
    bench.clock.sleep(31.0)
    assert float(bench.ask("SETP? 1")) == 16.0
    assert bench.ask("RAMPST? 1") == "0"
    bench.put("SETP 1,10")
    bench.clock.sleep(10.0)
    bench.put("RAMP 1,0,6")
    bench.clock.sleep(1.0)
    assert float(bench.ask("SETP? 1")) == 10.0
    bench.put("RAMP 1,1,0", "SETP 1,12")
    bench.clock.sleep(1.0)
    assert float(bench.ask("SETP? 1")) == 12.0


@pytest.mark.parametrize("kind", [Model335, Model336])
def test_the_set_point_is_told_half_a_second_late(kind: Any) -> None:
    bench = Bench(kind)
    bench.put("SETP 1,10")
    assert float(bench.ask("SETP? 1")) == 0.0
    bench.clock.sleep(0.49)
    assert float(bench.ask("SETP? 1")) == 0.0
    bench.clock.sleep(0.02)
    assert float(bench.ask("SETP? 1")) == 10.0


def test_zones_bring_pid_and_range_with_the_set_point_but_leave_a_heater_off() -> None:
    bench = Bench(Model336)
    bench.put("ZONE 1,1,10,20,100,0,0,1,0,0", "ZONE 1,2,300,40,50,1,0,2,0,5", "OUTMODE 1,2,1,0", "SETP 1,8")
    assert bench.ask("PID? 1;RANGE? 1") == "+0020.0,+0100.0,+0000.0;0"
    bench.put("RANGE 1,3")
    assert bench.ask("RANGE? 1") == "1"
    bench.put("RAMP 1,1,60", "SETP 1,12")
    bench.clock.sleep(3.0)
    assert bench.ask("PID? 1;RANGE? 1") == "+0040.0,+0050.0,+0001.0;2"
    # From 10 K on at the zone's own 5 K/min.
    bench.clock.sleep(6.0)
    assert float(bench.ask("SETP? 1")) == pytest.approx(10.6, abs=0.15)


def test_manual_output_is_all_in_open_loop_and_is_added_in_closed_loop() -> None:
    bench = Bench(Model336)
    bench.put("OUTMODE 1,3,1,0", "MOUT 1,25", "RANGE 1,1")
    bench.clock.sleep(300.0)
    assert bench.ask("HTR? 1") == "+025.0"
    assert bench.block_K() == pytest.approx(1.6 + 0.25 / 0.02, rel=1e-3)
    bench.put("OUTMODE 1,1,1,0", "PID 1,0.1,0,0", "SETP 1,14.1")
    assert float(bench.ask("HTR? 1")) == pytest.approx(25.0, abs=0.2)


def test_an_output_without_a_heater_warms_nothing_and_says_so() -> None:
    bench = Bench(Model336)
    bench.put("OUTMODE 2,3,1,0", "MOUT 2,50", "RANGE 2,3")
    bench.clock.sleep(60.0)
    assert bench.ask("HTR? 2;HTRST? 2;HTRST? 1") == "+050.0;1;0"
    assert bench.block_K() < 6.0
    both = Bench(Model336, heated=("1", "2"))
    both.put("OUTMODE 2,3,1,0", "MOUT 2,50", "RANGE 2,1")
    both.clock.sleep(300.0)
    assert both.block_K() == pytest.approx(1.6 + 0.25 / 0.02, rel=2e-3)


def test_two_controllers_heat_one_cryostat() -> None:
    bench = Bench(Model336)
    other = Model331(bench.world, "second")
    bench.put("OUTMODE 1,3,1,0", "MOUT 1,10", "RANGE 1,1")
    for line in (b"CMODE 1,3", b"MOUT 1,20", b"RANGE 1"):
        other.receive(line)
    bench.clock.sleep(300.0)
    assert bench.block_K() == pytest.approx(1.6 + (0.1 + 0.1) / 0.02, rel=1e-3)


def test_a_temperature_limit_switches_every_output_off() -> None:
    bench = Bench(Model336)
    bench.put("TLIMIT B,30", "PID 1,50,50,0", "SETP 1,200", "RANGE 1,3", "OUTMODE 2,3,1,0", "RANGE 2,1")
    bench.clock.sleep(120.0)
    assert bench.ask("RANGE? 1;RANGE? 2") == "0;0"
    assert bench.block_K() < 60.0


def test_the_340_limits_set_point_reading_and_range() -> None:
    bench = Bench(Model340)
    bench.put("CLIMIT 1,25,,,,3", "SETP 1,100")
    assert bench.ask("SETP? 1") == "+025.000E+0"
    assert bench.ask("RANGE 4") == ""
    assert bench.ask("RANGE?") == "0"
    bench.ask("*ESR?")
    bench.put("CLIMIT 1,25,,,,5", "CMODE 1,3", "MOUT 1,100", "RANGE 5")
    bench.clock.sleep(60.0)
    assert bench.ask("RANGE?") == "0"
    bench.put("CSET 1,,,0")
    assert bench.panel.loops["1"].drive is Drive.OFF


@pytest.mark.parametrize("kind", KINDS_OF_PANEL)
def test_a_reset_switches_the_heaters_off_and_only_the_defaults_forget_the_settings(kind: Any) -> None:
    bench = Bench(kind)
    key = "0" if kind is Model372 else "1"
    bench.put(f"SETP {key},50", f"PID {key},7,8,9", "RANGE 2" if kind in (Model331, Model340) else f"RANGE {key},2")
    bench.clock.sleep(2.0)
    pid = bench.ask(f"PID? {key}")
    bench.put("*RST")
    bench.clock.sleep(1.0)
    loop = bench.panel.loops[key]
    assert (loop.range, loop.power_W, float(bench.ask(f"SETP? {key}"))) == (0, 0.0, 50.0)
    assert bench.ask(f"PID? {key}") == pid
    bench.put("DFLT 99")
    assert float(bench.ask(f"SETP? {key}")) == 0.0
    assert bench.ask(f"PID? {key}") == Bench(kind).ask(f"PID? {key}") != pid


def test_an_output_monitors_its_input() -> None:
    bench = Bench(Model336)
    bench.put("ANALOG 4,1,1,10,0,0", "OUTMODE 4,4,1,0")
    assert float(bench.ask("AOUT? 4")) == pytest.approx(60.0, abs=1.0)
    bench.put("ANALOG 4,1,1,10,0,1")
    assert float(bench.ask("AOUT? 4")) == pytest.approx(20.0, abs=2.0)
    bench.put("ANALOG 4,1,1,4,0,0")
    assert bench.ask("AOUT? 4") == "+100.0"


# Sensors and what is wrong with them


@pytest.mark.parametrize(
    ("kind", "fault", "status", "kelvin"),
    [
        (Model331, Fault.OPEN, 128, 0.0), (Model335, Fault.SHORT, 64, 0.0), (Model336, Fault.OVER_RANGE, 128, 0.0),
        (Model340, Fault.OPEN, 128, 0.0), (Model350, Fault.OPEN, 128, 0.0), (Model336, Fault.FROZEN, 0, None),
    ],
)  # fmt: skip
def test_a_broken_sensor_shows_in_its_status_and_stops_the_heater(
    kind: Any, fault: Fault, status: int, kelvin: float | None
) -> None:
    bench = Bench(kind)
    bench.put("SETP 1,60", "RANGE 1" if kind in (Model331, Model340) else "RANGE 1,1")
    bench.clock.sleep(1.0)
    before = float(bench.ask("KRDG? A"))
    bench.panel.sensor("A").fault = fault
    bench.clock.sleep(10.0)
    assert int(bench.ask("RDGST? A")) == status
    percent = float(bench.ask("HTR?" if kind in (Model331, Model340) else "HTR? 1"))
    if kelvin is None:
        # A frozen value is the fault that nobody is told of: the loop goes on with it.
        assert float(bench.ask("KRDG? A")) == before
        assert bench.ask("KRDG? A") == bench.ask("KRDG? A")
        assert percent > 0.0
    else:
        assert float(bench.ask("KRDG? A")) == float(bench.ask("CRDG? A")) == float(bench.ask("SRDG? A")) == kelvin
        assert percent == 0.0
        assert int(bench.ask("RDGST? B")) == 0
        bench.panel.sensor("A").fault = Fault.NONE
        assert int(bench.ask("RDGST? A")) == 0


@pytest.mark.parametrize(
    ("fault", "status"), [(Fault.OPEN, 1), (Fault.SHORT, 32), (Fault.OVER_RANGE, 24), (Fault.NONE, 0)]
)
def test_the_372_names_the_stage_that_is_overloaded(fault: Fault, status: int) -> None:
    bench = Bench(Model372)
    bench.clock.sleep(5.0)
    bench.panel.sensor("1").fault = fault
    assert int(bench.ask("RDGST? 1")) == status


@pytest.mark.parametrize(
    ("sensor", "kelvin", "units"),
    [
        ("DT-670", 4.2, 1.57848), ("DT-670", 300.0, 0.55964), ("CX-1030", 4.2, 574.20), ("CX-1050", 77.35, 205.67),
        ("PT-100", 77.35, 20.380), ("PT-100", 300.0, 110.354), ("CX-1010", 0.1, 21389.0), ("RX-102A", 0.1, 19390.0),
    ],
)  # fmt: skip
def test_a_curve_gives_the_catalogues_values_and_reads_them_back(sensor: str, kelvin: float, units: float) -> None:
    curve = CURVES[sensor]
    assert curve.units(kelvin) == pytest.approx(units, rel=1e-9)
    assert curve.kelvin(units) == pytest.approx(kelvin, rel=1e-9)


@given(st.sampled_from(sorted(KINDS)), st.floats(0.0, 1.0))
def test_every_curve_reads_back_what_it_gave(sensor: str, part: float) -> None:
    curve = CURVES[sensor]
    kelvin = curve.coldest_K * (curve.limit_K / curve.coldest_K) ** part
    assert curve.kelvin(curve.units(kelvin)) == pytest.approx(kelvin, rel=1e-9)


@pytest.mark.parametrize("sensor", sorted(KINDS))
def test_a_336_reads_every_sort_of_sensor_in_kelvin_and_in_its_own_units(sensor: str) -> None:
    bench = Bench(Model336, CryostatSettings(cold_K=30.0, start_K=35.0), sensors={"A": sensor})
    kelvin = float(bench.ask("KRDG? A"))
    assert kelvin == pytest.approx(bench.block_K(), rel=1e-3)
    assert float(bench.ask("SRDG? A")) == pytest.approx(CURVES[sensor].units(kelvin), rel=2e-3)
    assert float(bench.ask("CRDG? A")) == pytest.approx(kelvin - 273.15, abs=0.05)
    assert bench.ask("INTYPE? A")[0] == {"diode": "1", "platinum": "2", "ntc": "3"}[KINDS[sensor].family]


def test_a_sensor_outside_of_its_curve_is_under_or_over_range() -> None:
    cold = Bench(Model336, CryostatSettings(cold_K=1.2, start_K=1.25), sensors={"A": "CX-1050"})
    assert cold.ask("RDGST? A;KRDG? A") == "016;+000.0000"
    hot = Bench(Model336, CryostatSettings(start_K=60.0), sensors={"A": "RX-102A"})
    assert hot.ask("RDGST? A;KRDG? A") == "032;+000.0000"


def test_the_wrong_curve_gives_the_wrong_temperature_and_a_foreign_one_none() -> None:
    bench = Bench(Model336, sensors={"A": "CX-1030", "B": "CX-1050"})
    right = float(bench.ask("KRDG? A"))
    bench.put("INCRV A,22")
    assert bench.ask("INCRV? A") == "22"
    assert float(bench.ask("KRDG? A")) == pytest.approx(
        CURVES["CX-1050"].kelvin(CURVES["CX-1030"].units(right)), rel=1e-2
    )
    bench.put("INCRV A,2")
    assert bench.ask("INCRV? A") == "00"
    assert float(bench.ask("KRDG? A")) == 0.0
    assert float(bench.ask("SRDG? A")) > 100.0


def test_a_users_curve_is_stored_point_by_point_and_used() -> None:
    bench = Bench(Model336, sensors={"A": "CX-1030"})
    bench.put("CRVHDR 40,Mine,0001,4,325.0,1")
    points = sorted(KINDS["CX-1030"].curve.points)
    for place, (units, kelvin) in enumerate(points, 1):
        bench.put(f"CRVPT 40,{place},{units:.5f},{kelvin:.4f}")
    assert bench.ask("CRVHDR? 40") == "Mine           ,0001      ,4,+420.000,1"
    assert bench.ask("CRVPT? 40,1").startswith("+001.5294,+420.0000")
    bench.put("INCRV A,40")
    assert float(bench.ask("KRDG? A")) == pytest.approx(6.0, rel=2e-3)
    bench.put("CRVDEL 40")
    assert bench.ask("INCRV? A") == "00"


def test_a_magnet_shifts_a_diode_more_than_a_cernox(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(Model336, sensors={"A": "CX-1030", "B": "DT-670"})
    monkeypatch.setattr(type(bench.world.magnet), "field", lambda _: 9.0)
    shift = {name: float(bench.ask(f"KRDG? {name}")) / bench.block_K() - 1.0 for name in "AB"}
    assert shift["A"] == pytest.approx(81.0 * CryostatSettings().sensor_field_fraction_per_T2, abs=5e-4)
    assert shift["B"] == pytest.approx(50.0 * 81.0 * CryostatSettings().sensor_field_fraction_per_T2, abs=2e-3)


def test_an_alarm_rises_latches_and_closes_its_relay() -> None:
    bench = Bench(Model336)
    bench.put("ALARM A,1,15,0,1,1,0,1", "RELAY 1,2,A,1", "PID 1,20,100,0", "RANGE 1,2", "SETP 1,20")
    assert bench.ask("ALARMST? A;RELAYST? 1") == "0,0;0"
    bench.clock.sleep(120.0)
    assert bench.ask("ALARMST? A;RELAYST? 1") == "1,0;1"
    assert int(bench.ask("OPST?")) & 1
    bench.put("SETP 1,8")
    bench.clock.sleep(120.0)
    assert bench.ask("ALARMST? A") == "1,0"
    bench.put("ALMRST")
    assert bench.ask("ALARMST? A;RELAYST? 1") == "0,0;0"
    assert int(bench.ask("OPSTR?")) & 1
    assert bench.ask("OPSTR?") == "000"


# What people, the mains and a schedule of faults do


@pytest.mark.parametrize(
    ("kind", "enable", "kept", "range_query"),
    [
        (Model331, "CSET 1,A,1,1,2", "CSET? 1", "RANGE?"), (Model336, "OUTMODE 1,1,1,1", "OUTMODE? 1", "RANGE? 1"),
        (Model340, "CSET 1,A,1,1,1", "CSET? 1", "RANGE?"), (Model372, "OUTMODE 0,5,A,1,0,0,0", "OUTMODE? 0", "RANGE? 0"),
    ],
)  # fmt: skip
def test_after_a_power_failure_settings_are_kept_and_the_heater_is_off_unless_enabled(
    kind: Any, enable: str, kept: str, range_query: str
) -> None:
    bench = Bench(kind)
    output = "0" if kind is Model372 else "1"
    on = range_query.replace("?", "").replace(" 0", " 0,2").replace(" 1", " 1,2").replace("RANGE", "RANGE", 1)
    on = on if "," in on else "RANGE 2"
    bench.put(f"SETP {output},10", on, "MODE 2")
    bench.clock.sleep(1.0)
    before = bench.ask(kept)
    bench.panel.power_cycle()
    mode = "1" if kind is Model340 else "0"
    assert bench.ask("*ESR?;" + range_query + ";MODE?;" + kept) == f"128;0;{mode};{before}"
    assert float(bench.ask(f"SETP? {output}")) == 10.0
    bench.put(enable, on)
    bench.panel.power_cycle()
    assert bench.ask(range_query) == "2"


def test_a_power_failure_ends_a_ramp_where_it_was() -> None:
    bench = Bench(Model336)
    bench.put("SETP 1,10", "RAMP 1,1,6", "SETP 1,16")
    bench.clock.sleep(30.0)
    bench.panel.power_cycle()
    bench.clock.sleep(30.0)
    assert float(bench.ask("SETP? 1")) == pytest.approx(13.0, abs=0.1)
    assert bench.ask("RAMPST? 1") == "0"


def test_a_person_turns_the_knobs_and_a_lock_keeps_all_but_off_from_them() -> None:
    bench = Bench(Model336)
    bench.panel.turn("setpoint", "42")
    bench.panel.turn("range", "2")
    bench.clock.sleep(1.0)
    assert bench.ask("SETP? 1;RANGE? 1") == "+042.0000;2"
    with pytest.raises(ConfigError, match="takes no range"):
        bench.panel.turn("range", "7")
    bench.panel.turn("lock", "123")
    assert bench.ask("LOCK?") == "1,123"
    bench.panel.turn("setpoint", "10")
    bench.clock.sleep(1.0)
    assert bench.ask("SETP? 1") == "+042.0000"
    bench.panel.turn("off", "")
    assert bench.ask("RANGE? 1") == "0"
    bench.panel.turn("lock", "5")
    assert bench.ask("LOCK?") == "1,123"
    bench.panel.turn("lock", "123")
    bench.panel.turn("setpoint", "10")
    bench.clock.sleep(1.0)
    assert bench.ask("LOCK?;SETP? 1") == "0,123;+010.0000"


@pytest.mark.parametrize(
    ("kind", "remote", "lockout", "query"),
    [
        (Model331, 1, 2, "SETP? 1"),
        (Model336, 1, 2, "SETP? 1"),
        (Model340, 2, 3, "SETP? 1"),
        (Model372, 1, 2, "SETP? 0"),
    ],
)
def test_in_remote_the_keypad_waits_for_local_and_with_lockout_in_vain(
    kind: Any, remote: int, lockout: int, query: str
) -> None:
    bench = Bench(kind)
    local = "1" if kind is Model340 else "0"
    bench.put(f"MODE {remote}")
    bench.panel.turn("setpoint", "33")
    bench.clock.sleep(1.0)
    assert float(bench.ask(query)) == 0.0
    bench.panel.turn("local", "")
    assert bench.ask("MODE?") == local
    bench.panel.turn("setpoint", "33")
    bench.clock.sleep(1.0)
    assert float(bench.ask(query)) == 33.0
    bench.panel.turn("units", "2")
    assert float(bench.ask(query)) == pytest.approx(
        CURVES["CX-1010"].units(33.0) if kind is Model372 else 33.0 - 273.15, rel=1e-3
    )
    bench.put(f"MODE {lockout}")
    bench.panel.turn("local", "")
    assert bench.ask("MODE?") == str(lockout)


def test_an_option_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError):
        Bench(Model336, sensors={"A": "CX-9999"})
    with pytest.raises(ConfigError):
        Bench(Model336, nodes={"A": "roof"})
    with pytest.raises(ConfigError):
        Bench(Model336).panel.sensor("C")


# The 372's scanner, excitation and heaters


def test_the_372_reads_the_channel_it_is_on_and_keeps_the_others() -> None:
    bench = Bench(Model372)
    assert float(bench.ask("KRDG? 1")) == 0.0  # the pause after switching on
    bench.clock.sleep(4.0)
    first = float(bench.ask("KRDG? 1"))
    assert first == pytest.approx(bench.block_K(), rel=1e-2)
    assert float(bench.ask("KRDG? 2")) == 0.0
    assert bench.ask("RDGK? 2") == bench.ask("KRDG? 2")
    bench.put("SCAN 2")
    bench.clock.sleep(10.0)
    assert float(bench.ask("KRDG? 2")) == pytest.approx(bench.world.cryostat.sample_K, rel=1e-2)
    kept = bench.ask("KRDG? 1")
    bench.put("OUTMODE 0,2,A,0,0,0,0", "MOUT 0,50", "RANGE 0,7")
    bench.clock.sleep(30.0)
    assert bench.ask("KRDG? 1") == kept
    assert float(bench.ask("KRDG? A")) == pytest.approx(bench.block_K(), rel=1e-2)
    assert float(bench.ask("KRDG? A")) > float(kept)


def test_the_372_scans_by_itself_with_dwell_and_pause_over_the_channels_that_are_on() -> None:
    bench = Bench(Model372, nodes={"1": "block", "2": "sample", "5": "sample"})
    bench.put("INSET 1,1,10,3,21,1", "INSET 2,0,10,3,21,1", "INSET 5,1,20,5,21,1", "SCAN 1,1")
    seen = ""
    for _ in range(80):
        bench.clock.sleep(1.0)
        seen += {"01,1": "a", "05,1": "b"}[bench.ask("SCAN?")]
    # 13 s on channel 1, 25 s on channel 5, and so on.
    assert [len(part) for part in seen.replace("ab", "a b").replace("ba", "b a").split()][:4] == pytest.approx(
        [13, 25, 13, 25], abs=1
    )


def test_the_372_follows_with_its_range_or_says_that_it_cannot() -> None:
    bench = Bench(Model372)
    bench.clock.sleep(4.0)
    ohms = float(bench.ask("RDGR? 1"))
    assert 200.0 < ohms < 632.0
    assert bench.ask("INTYPE? 1").split(",")[3] == "12"
    bench.put("INTYPE 1,0,4,0,11,0,1")
    assert bench.ask("KRDG? 1;RDGST? 1") == "+000.000E+00;024"
    bench.put("INTYPE 1,0,4,0,13,0,1")
    assert bench.ask("RDGST? 1") == "000"
    bench.put("INTYPE 1,0,4,0,13,1,1")
    assert bench.ask("RDGST? 1") == "032"


def test_the_372s_noise_and_power_go_with_the_excitation() -> None:
    bench = Bench(Model372)
    spread: dict[int, float] = {}
    power_W: dict[int, float] = {}
    for excitation in (1, 4, 7):
        bench.put(f"INTYPE 1,0,{excitation},1,13,0,1")
        bench.clock.sleep(100.0)
        readings = [float(bench.ask("RDGR? 1")) for _ in range(400)]
        mean = sum(readings) / len(readings)
        spread[excitation] = math.sqrt(sum((x - mean) ** 2 for x in readings) / len(readings))
        power_W[excitation] = float(bench.ask("RDGPWR? 1"))
    assert spread[1] / spread[4] == pytest.approx(31.6, rel=0.2)
    assert spread[4] / spread[7] == pytest.approx(31.6, rel=0.2)
    assert power_W[7] / power_W[1] == pytest.approx(1e6, rel=0.01)
    assert power_W[4] == pytest.approx((63.2e-6) ** 2 / mean, rel=0.01)


def test_the_372s_warm_up_heater_ends_at_its_set_point_unless_told_to_go_on() -> None:
    bench = Bench(Model372)
    bench.put("OUTMODE 1,6,A,0,0,0,0", "SETP 1,20", "WARMUP 0,50", "RANGE 1,1")
    assert bench.ask("AOUT? 1") == "+050.0"
    bench.clock.sleep(20.0)
    assert bench.ask("RANGE? 1;AOUT? 1") == "0;+000.0"
    bench.put("WARMUP 1,50", "RANGE 1,1")
    bench.clock.sleep(20.0)
    assert bench.ask("RANGE? 1") == "1"
    assert bench.block_K() > 30.0


def test_the_372s_still_heater_gives_what_still_says() -> None:
    bench = Bench(Model372)
    bench.put("OUTMODE 2,4,0,0,0,0,0", "STILL 30", "RANGE 2,1")
    assert bench.ask("AOUT? 2;STILL?") == "+030.0;+030.00"


def test_a_372_works_below_a_tenth_of_a_kelvin() -> None:
    bench = Bench(
        Model372,
        CryostatSettings(cold_K=0.02, start_K=0.3, cooling_W_per_K=1e-3),
        sensors={"A": "RX-102A", "1": "RX-102A"},
    )
    bench.put("OUTMODE 0,5,1,0,0,0,0", "PID 0,200,100,0", "RANGE 0,4", "SETP 0,0.1")
    bench.settle("KRDG? 1", 0.1, 300.0, 1e-3)
    assert bench.ask("KRDG? 1").endswith("E-03")


def test_the_372_keeps_one_channel_on() -> None:
    bench = Bench(Model372)
    bench.put("INSET 1,0,10,3,0,1", "INSET 2,0,10,3,0,1")
    assert bench.ask("INSET? 1").startswith("1,")


def test_the_336_takes_two_clients() -> None:
    assert Model336.clients == 2


# The parts


def test_the_regulator_does_not_wind_up_against_its_limit() -> None:
    pid = Pid(Gains(10.0, 0.1, 0.0))
    for _ in range(1000):
        assert pid.output(300.0, 10.0, 1.0) == 100.0
    assert pid.integral_percent == 0.0
    assert pid.output(300.0, 301.0, 1.0) == 0.0


def test_the_regulators_derivative_is_of_the_measurement() -> None:
    pid = Pid(Gains(10.0, 0.0, 2.0))
    pid.output(20.0, 15.0, 1.0)
    assert pid.output(21.0, 15.0, 1.0) == pytest.approx(60.0)
    assert pid.output(21.0, 15.5, 1.0) == pytest.approx(55.0 - 10.0)


def test_a_set_point_that_is_held_stays_where_it_is() -> None:
    set_point = SetPoint()
    set_point.aim(10.0)
    set_point.ramp(True, 0.5)
    set_point.aim(20.0)
    set_point.advance(4.0)
    assert (set_point.now_K, set_point.moving) == (12.0, True)
    set_point.hold()
    set_point.advance(4.0)
    assert (set_point.now_K, set_point.moving) == (12.0, False)


@pytest.mark.parametrize("step_s", [0.25, 0.4, 3.0, 50.0])
@pytest.mark.parametrize(
    ("start_K", "end_K", "seconds"), [(8.0, 24.0, 2.0 + 20.0 + 2.0), (24.0, 8.0, 2.0 + 20.0 + 2.0)]
)
def test_a_ramp_changes_its_rate_at_the_top_of_a_zone_however_long_a_step_is(
    step_s: float, start_K: float, end_K: float, seconds: float
) -> None:
    loop = TemperatureLoop(lambda: 10.0, (0.0, 1.0), Gains(1.0, 0.1, 0.0))
    loop.set_point.aim(start_K)
    loop.zones = tuple(
        Zone(top_K, Gains(1.0, 0.1, 0.0), 0.0, None, rate) for top_K, rate in ((10.0, 1.0), (20.0, 0.5), (99.0, 2.0))
    )
    loop.set_point.ramp(True, 1.0)
    loop.set_point.aim(end_K)
    passed_s = 0.0
    while loop.set_point.moving:
        loop.heat(10.0, step_s)
        passed_s += step_s
        assert passed_s < 200.0
    assert passed_s - step_s < seconds + 1e-9
    assert passed_s > seconds - 1e-9


def test_a_loop_changes_range_without_a_bump_and_stops_without_a_reading() -> None:
    measured: list[float | None] = [10.0]
    loop = TemperatureLoop(lambda: measured[0], (0.0, 1.0, 10.0), Gains(1.0, 0.1, 0.0))
    loop.zones = (Zone(50.0, Gains(1.0, 0.1, 0.0), 0.0, None),)
    loop.set_point.aim(12.0)
    loop.change_range(2)
    for _ in range(10):
        loop.heat(10.0, 1.0)
    integral_W = loop.pid.integral_percent * 10.0
    loop.change_range(1)
    assert loop.pid.integral_percent * 1.0 == pytest.approx(integral_W)
    measured[0] = None
    assert loop.heat(10.0, 1.0) == 0.0


def test_a_frozen_sensor_keeps_even_its_noise() -> None:
    bench = Bench(Model336)
    sensor = Sensor(bench.world, "block", "DT-670", bench.world.stream("one more"))
    first = sensor.read()
    assert sensor.read() != first
    last = sensor.read()
    sensor.fault = Fault.FROZEN
    assert [sensor.read() for _ in range(3)] == [last] * 3
    assert sensor.read(Curve("empty", "", Unit.OHM, ())) == (0.0, last.units, State.NO_CURVE)


# Rubbish does no harm

_WORDS = st.sampled_from(
    b"KRDG? SETP RANGE PID ZONE OUTMODE RAMP TLIMIT INNAME CRVHDR CRVHDR? CRVPT CRVPT? CRVDEL INCRV INSET INTYPE CSET CMODE "
    b"CLIMIT MOUT ALARM ALARMST? RELAY RELAYST? STILL WARMUP SCAN HTRSET *ESE *SRE *STB? *RST DFLT RDGPWR? SRDG? "
    b'21,5,1.5,4 40,1,nan,3 A B C 0 1 2 3 99 0,5,1,0,0,0,0 1,1,10 , ; ? : " nan inf -inf 1e999 -1 0.5 \xff \x00'.split(
        b" "
    )
)
_LINES = st.lists(st.one_of(_WORDS, st.binary(max_size=6)), max_size=12).map(b" ".join)


@pytest.mark.parametrize("kind", KINDS_OF_PANEL)
@settings(max_examples=25, deadline=None)
@given(pieces=st.lists(st.tuples(_LINES, st.floats(0.0, 3.0)), max_size=12))
def test_a_controller_survives_any_bytes(kind: Any, pieces: list[tuple[bytes, float]]) -> None:
    bench = Bench(kind)
    conversation = Conversation(bench.panel)
    for line, pause_s in pieces:
        assert len(conversation.feed(line + b"\n")) < 1 << 16
        bench.clock.sleep(pause_s)
    bench.world.advance()
    assert math.isfinite(bench.world.cryostat.sample_K)
