"""Oxford Instruments' front panels, byte by byte."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError
from remanence.simulators.coolant import HeliumSettings
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.fault_schedule import FaultSchedule
from remanence.simulators.faults import Fault
from remanence.simulators.front_panel import Conversation, FrontPanel
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.mercury_ips import MercuryIPS
from remanence.simulators.mercury_itc import MercuryITC
from remanence.simulators.oxford_ips120 import IPS120, PS120
from remanence.simulators.oxford_itc503 import ITC503
from remanence.simulators.sample import load_sample
from remanence.simulators.sensors import Fault as SensorFault
from remanence.simulators.world import World, WorldSettings

MAGNET = MagnetSettings(
    0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)), warm_time_s=15.0, cool_time_s=15.0
)

# A side coil of a vector magnet, without a switch: 1 T.
SMALL = MagnetSettings(0.02, 2.0, 10.0, 5.0, 0.004, ((50.0, 0.5),), switch_fitted=False)


class Bench:
    """One panel in a laboratory of its own."""

    def __init__(
        self, kind: type[FrontPanel], coil: MagnetSettings = MAGNET, more_coils: str = "", **options: Any
    ) -> None:
        self.clock = VirtualClock()
        more = dict.fromkeys(more_coils, SMALL)
        settings = WorldSettings(coil, CryostatSettings(), load_sample("park2020_deficient"), more_coils=more)
        self.world = World(settings, self.clock, 1)
        self.panel: Any = kind(self.world, "oxford", **options)
        self.magnet = self.world.magnet

    def say(self, line: str, pause_s: float = 0.0) -> str:
        reply = self.panel.receive(line.encode("latin-1")).decode("latin-1")
        if pause_s:
            self.clock.sleep(pause_s)
        return reply.rstrip("\r\n")

    def all(self, *lines: str) -> list[str]:
        return [self.say(line) for line in lines]

    def coil_T(self) -> float:
        self.world.advance()
        return self.magnet.coil_current() * 0.135


# IPS120-10


@pytest.fixture
def ips() -> Bench:
    bench = Bench(IPS120)
    assert bench.all("C3", "Q4", "A0", "T0.3") == ["C", "", "A", "T"]
    return bench


def test_ips_wakes_up_local_and_clamped_and_takes_no_order_there() -> None:
    bench = Bench(IPS120)
    assert bench.say("V") == "IPS120-10  Version 3.07  (c) OXFORD 1996"
    assert bench.say("X") == "X00A4C0H1M50P03"
    for order in ("A0", "J1", "H0", "T0.1", "I5", "M1"):
        assert bench.say(order) == f"?{order}"
    assert bench.all("C1", "A0", "J1") == ["C", "A", "J"]


@pytest.mark.parametrize(
    ("mode", "end", "number"), [(0, b"\r", b"R+0.000"), (2, b"\r\n", b"R+0.000"), (4, b"\r", b"R+0.00000"),
                                (6, b"\r\n", b"R+0.00000")],
)  # fmt: skip
def test_ips_q_has_no_reply_and_sets_the_resolution_and_the_line_feed(mode: int, end: bytes, number: bytes) -> None:
    bench = Bench(IPS120)
    assert bench.panel.receive(b"Q%d" % mode) == b""
    assert bench.panel.receive(b"R7") == number + end


def test_ips_takes_a_carriage_return_as_the_end_and_drops_a_line_feed(ips: Bench) -> None:
    conversation = Conversation(ips.panel)
    assert conversation.feed(b"R7\r\nA0\rA") == b"R+0.00000\rA\r"
    assert conversation.feed(b"0\r\n") == b"A\r"


def test_ips_serial_poll_says_when_a_byte_waits(ips: Bench) -> None:
    wire = Conversation(ips.panel)
    wire.take(b"R7\r", ips.clock.now())
    assert ips.panel.status_byte() == 0
    ips.clock.sleep(0.1)
    assert ips.panel.status_byte() == 2
    wire.outgoing.clear()
    assert ips.panel.status_byte() == 0


def test_ips_prefixes_silence_it_and_address_it(ips: Bench) -> None:
    assert ips.all("$A0", "$R7", "$nonsense", "@1R7", "@1$J0.5", "@2A0", "@3V") == ["", "", "", "R+0.00000", "", "", ""]
    assert ips.say("R8") == "R+0.50000"
    assert ips.all("!4", "U1", "!4", "@1V", "@4R8") == ["?!4", "U", "!", "", "R+0.50000"]


@pytest.mark.parametrize("line", ["R3", "R25", "R", "Rx", "A3", "A1.5", "J200", "I112", "I-112", "Jnan", "T-1", "H3", "C9", "Q1", "z", "j1",
                                  "?", "X1", "J1e999", "P9", "M2"])  # fmt: skip
def test_ips_answers_a_question_mark_and_the_command_to_what_it_refuses(ips: Bench, line: str) -> None:
    before = ips.say("X"), ips.say("R8")
    assert ips.say(line) == f"?{line}"
    assert (ips.say("X"), ips.say("R8")) == before


def test_ips_has_every_reading_in_the_units_of_the_wire(ips: Bench) -> None:
    ips.all("J0.27", "S2.5")
    replies = {number: ips.say(f"R{number}") for number in (5, 6, 8, 9, 15, 20, 21, 22, 23, 24)}
    assert replies == {
        5: "R+2.0000", 6: "R+2.500", 8: "R+0.27000", 9: "R+0.3375", 15: "R+3.500", 20: "R+70.0", 21: "R-111.0000",
        22: "R+111.0000", 23: "R+4.00", 24: "R+60.000",
    }  # fmt: skip


def test_ips_sweeps_to_its_set_point_and_says_when_it_is_there(ips: Bench) -> None:
    ips.all("J0.15", "A1")
    ips.clock.sleep(15.0)
    # 0.3 T/min for 15 s
    assert float(ips.say("R7")[1:]) == pytest.approx(0.075, abs=1e-4)
    assert float(ips.say("R2")[1:]) == pytest.approx(0.075 / 0.135, abs=2e-3)
    assert float(ips.say("R1")[1:]) == pytest.approx(60.0 * 0.3 / 60 / 0.135 + 0.004 * 0.075 / 0.135, abs=2e-3)
    assert ips.say("X") == "X00A1C3H1M51P03"
    ips.clock.sleep(15.5)
    assert ips.all("X", "R7", "R0") == ["X00A1C3H1M50P03", "R+0.15000", "R+1.1111"]
    ips.clock.sleep(10.0)
    assert ips.coil_T() == pytest.approx(0.15, abs=1e-5)
    ips.say("J-0.15")
    ips.clock.sleep(20.0)
    assert ips.say("A0", 1.0) == "A"
    assert float(ips.say("R7")[1:]) == pytest.approx(0.05, abs=1e-4)
    assert ips.say("X") == "X00A0C3H1M50P03"
    ips.say("A2", 60.0)
    assert ips.say("R7") == "R+0.00000"


def test_ips_slows_a_sweep_to_what_the_coil_bears(ips: Bench) -> None:
    ips.all("S60", "J12.9", "A1")
    ips.clock.sleep(60.0)
    assert ips.say("X")[11] == "3"
    assert float(ips.say("R0")[1:]) == pytest.approx(60 * 0.044, abs=1e-3)
    ips.clock.sleep(74.0 / 0.044 - 60.0 + 100.0)
    assert float(ips.say("R0")[1:]) == pytest.approx(74.0 + 100.0 * 0.03, abs=1e-2)
    assert not ips.magnet.quenched


def test_ips_slows_a_sweep_to_its_voltage(ips: Bench) -> None:
    ips.magnet.voltage_limit_V = 2.0
    ips.all("S60", "J1", "A1")
    ips.clock.sleep(30.0)
    assert ips.all("X", "R15") == ["X01A1C3H1M53P03", "R+2.000"]
    assert float(ips.say("R0")[1:]) == pytest.approx(30.0 * 2.0 / 60.0, abs=1e-3)
    assert float(ips.say("R1")[1:]) == pytest.approx(2.0, abs=0.01)
    ips.all("J-1")
    ips.clock.sleep(1.0)
    assert ips.say("X")[2] == "2"


def test_ips_locks_its_button_and_the_front_works_in_local(ips: Bench) -> None:
    ips.say("C1")
    ips.panel.turn("control", "local")
    assert ips.say("X")[6] == "1"
    ips.say("C3")
    ips.panel.turn("setpoint", "1.0")
    assert ips.say("R8") == "R+0.00000"
    ips.panel.turn("control", "local")
    assert ips.all("X", "J0.2") == ["X00A0C2H1M50P03", "?J0.2"]
    ips.panel.turn("setpoint", "1.0")
    ips.panel.turn("rate", "0.2")
    ips.panel.turn("activity", "1")
    assert ips.all("R8", "R9", "X") == ["R+1.00000", "R+0.2000", "X00A1C2H1M51P03"]
    with pytest.raises(ConfigError):
        ips.panel.turn("setpoint", "99")
    with pytest.raises(ConfigError):
        ips.panel.turn("control", "sideways")


def test_ips_clamps_only_without_current_and_is_unclamped_by_a_hold(ips: Bench) -> None:
    ips.all("J0.15", "A1")
    ips.clock.sleep(40.0)
    assert ips.say("A4") == "?A4"
    ips.say("A2", 40.0)
    assert ips.all("A4", "A1", "A2", "X") == ["A", "?A1", "?A2", "X00A4C3H1M50P03"]
    assert ips.all("A0", "A1") == ["A", "A"]


def persist(bench: Bench, field_T: float) -> None:
    bench.all(f"J{field_T}", "A1")
    bench.clock.sleep(120.0)
    bench.all("A0", "H0")
    bench.clock.sleep(20.0)


def test_ips_keeps_the_field_without_its_leads_and_refuses_the_heater_until_they_match(ips: Bench) -> None:
    persist(ips, 0.27)
    assert ips.all("X", "R18", "R16") == ["X00A0C3H2M50P03", "R+0.27000", "R+2.0000"]
    ips.all("M1", "A2")
    ips.clock.sleep(5.0)
    assert ips.all("X", "R7", "R18") == ["X00A2C3H2M10P03", "R+0.00000", "R+0.27000"]
    assert ips.coil_T() == pytest.approx(0.27, abs=1e-5)
    assert ips.say("H1") == "?H1"
    ips.all("A1")
    ips.clock.sleep(5.0)
    assert ips.all("A0", "H1", "X") == ["A", "H", "X00A0C3H1M10P03"]
    ips.clock.sleep(20.0)
    assert not ips.magnet.quenched
    ips.all("M5", "A2")
    ips.clock.sleep(120.0)
    assert ips.coil_T() == pytest.approx(0.0, abs=1e-4)


def test_ips_forced_heater_with_leads_apart_quenches_and_the_trip_is_kept(ips: Bench) -> None:
    persist(ips, 0.27)
    ips.all("M1", "A2")
    ips.clock.sleep(5.0)
    assert ips.say("H2") == "H"
    ips.clock.sleep(20.0)
    assert ips.say("X").startswith("X10A0C3H1")
    assert float(ips.say("R19")[1:]) == pytest.approx(0.27, abs=1e-4)
    assert float(ips.say("R17")[1:]) == pytest.approx(2.0, abs=1e-3)
    assert ips.all("R7", "R18") == ["R+0.00000", "R+0.00000"]
    assert ips.all("A1", "A2", "A4", "H1") == ["?A1", "?A2", "?A4", "?H1"]
    assert ips.say("A0") == "A"
    assert ips.say("X").startswith("X00A0")
    # The coil is still normal: a sweep trips at once.
    assert ips.say("A1") == "A"
    assert ips.say("X").startswith("X10A0")
    ips.magnet.recover()
    ips.all("A0", "A1")
    ips.clock.sleep(60.0)
    assert ips.say("R7") == "R+0.27000"


def test_ips_leads_that_leave_before_the_switch_is_cold_take_the_coil_along(ips: Bench) -> None:
    ips.all("J0.27", "A1")
    ips.clock.sleep(120.0)
    ips.all("A0", "H0", "A2")
    ips.clock.sleep(60.0)
    # For 15 s the coil follows at 0.3 T/min; the rest stays, and the supply does not know.
    assert ips.coil_T() == pytest.approx(0.27 - 0.075, abs=0.007)
    assert ips.say("R18") == "R+0.27000"


def test_ips_broken_heater_wire_is_a_fault_and_the_switch_stays_cold(ips: Bench) -> None:
    persist(ips, 0.27)
    FaultSchedule(ips.world, [ips.panel], [Fault("heater_open")])
    ips.clock.sleep(1.0)
    Conversation(ips.panel).feed(b"V\r")
    assert ips.all("H1", "X") == ["H", "X00A0C3H5M50P03"]
    ips.clock.sleep(60.0)
    assert not ips.magnet.switch_warm(ips.clock.now())


def test_ips_without_a_switch_says_so() -> None:
    bench = Bench(IPS120, replace(MAGNET, switch_fitted=False))
    assert bench.all("C3", "X", "H1") == ["C", "X00A4C3H8M50P03", "?H1"]


def test_ips_switched_off_and_on_has_forgotten_its_settings_and_runs_the_magnet_down(ips: Bench) -> None:
    ips.all("J0.15", "A1")
    ips.clock.sleep(60.0)
    ips.panel.power_cycle()
    assert ips.all("X", "R8", "J0.1") == ["X00A4C0H2M51P03", "R+0.000", "?J0.1"]
    ips.clock.sleep(120.0)
    assert ips.say("R7") == "R+0.000"


def test_ips_switched_off_in_persistent_mode_still_knows_the_field(ips: Bench) -> None:
    persist(ips, 0.27)
    ips.panel.power_cycle()
    ips.clock.sleep(5.0)
    assert ips.all("X", "R7", "R18", "C3", "A0", "H1") == ["X00A4C0H2M50P03", "R+0.000", "R+0.270", "C", "A", "?H1"]
    assert ips.coil_T() == pytest.approx(0.27, abs=1e-5)


def test_ips_tells_queries_from_orders_for_whoever_disturbs_it(ips: Bench) -> None:
    changes = {line: ips.panel.changes(line) for line in ("R7", "X", "V", "@1R7", "A1", "$A1", "J1", "Q4")}
    assert changes == {"R7": False, "X": False, "V": False, "@1R7": False, "A1": True, "$A1": True, "J1": True, "Q4": True}  # fmt: skip
    assert [ips.panel.acknowledge(line) for line in ("J1", "$J1", "Q4", "@2J1")] == ["J", None, None, None]
    assert [ips.panel.refuse(line) for line in ("J1", "$J1")] == ["?J1", None]


def test_ips_under_faults_refuses_ignores_and_is_taken_to_local(ips: Bench) -> None:
    FaultSchedule(ips.world, [ips.panel], [
        Fault("refused", "oxford", command="J"), Fault("ignored", "oxford", command="T"),
        Fault("turned", "oxford", at_s=10.0, text="control=local"),
    ])  # fmt: skip
    wire = Conversation(ips.panel)
    assert wire.feed(b"J1\rJ0.5\rT0.9\rR8\rR9\r") == b"?J1\rJ\rT\rR+0.50000\rR+0.3000\r"
    ips.clock.sleep(11.0)
    assert wire.feed(b"J1\rX\r") == b"?J1\rX00A0C2H1M50P03\r"


def test_ips_drives_the_axis_that_it_is_wired_to() -> None:
    with pytest.raises(ConfigError, match="axis is one of z"):
        Bench(IPS120, axis="x")


# PS120-10


def test_ps_speaks_whole_numbers_and_its_relay_makes_the_sign() -> None:
    ps = Bench(PS120)
    assert ps.all("C3", "A0", "T30", "J15", "A1") == ["C", "A", "T", "J", "A"]
    ps.clock.sleep(40.0)
    assert ps.all("R7", "R8", "R9", "R0") == ["R+00015", "R+00015", "R+00030", "R+00111"]
    assert ps.all("J-15", "J1.5") == ["?J-15", "?J1.5"]
    assert ps.say("X").endswith("P01")
    assert ps.say("P2") == "P"
    assert ps.say("X").endswith("P51")
    ps.clock.sleep(70.0)
    assert ps.all("R7", "R8") == ["R+00015", "R+00015"]
    assert ps.say("X").endswith("P72")
    assert ps.coil_T() == pytest.approx(-0.15, abs=1e-4)


# Mercury iPS

PSU = "DEV:GRPZ:PSU"


@pytest.fixture
def mercury() -> Bench:
    bench = Bench(MercuryIPS, more_coils="xy")
    assert bench.say(f"SET:{PSU}:ACTN:HOLD") == f"STAT:SET:{PSU}:ACTN:HOLD:VALID"
    assert bench.say(f"SET:{PSU}:SIG:RFST:0.3") == f"STAT:SET:{PSU}:SIG:RFST:0.3:VALID"
    return bench


def test_mercury_has_one_line_feed_at_both_ends_and_says_who_it_is(mercury: Bench) -> None:
    conversation = Conversation(mercury.panel)
    assert conversation.feed(b"*IDN?\r\n") == b"IDN:OXFORD INSTRUMENTS:MERCURY IPS:123450001:2.5.09.000\n"
    assert conversation.feed(b"READ:SYS:TI") == b""
    assert conversation.feed(b"ME\n") == b"STAT:SYS:TIME:00:00:00\n"


def test_mercury_ips_lists_its_groups_boards_and_units(mercury: Bench) -> None:
    assert mercury.say("READ:SYS:CAT?") == (
        "STAT:SYS:CAT:DEV:GRPX:PSU:DEV:GRPY:PSU:DEV:GRPZ:PSU:DEV:MB1.T1:TEMP:DEV:DB8.T1:TEMP:DEV:DB7.T1:TEMP"
        ":DEV:PSU.M1:PSU:DEV:PSU.M2:PSU:DEV:PSU.M3:PSU:DEV:PSU.M4:PSU"
    )
    single = Bench(MercuryIPS, replace(MAGNET, coolant=HeliumSettings()), firmware="2.6.08")
    assert single.say("READ:SYS:CAT") == (
        "STAT:SYS:CAT:DEV:GRPZ:SPSU:DEV:MB1.T1:TEMP:DEV:PSU.M1:SPSU:DEV:PSU.M2:SPSU:DEV:DB5.L1:LVL"
    )
    assert single.say("READ:DEV:GRPZ:SPSU:ATOB") == "STAT:DEV:GRPZ:SPSU:ATOB:7.407"
    reply = single.say("READ:DEV:DB5.L1:LVL:SIG:HEL")
    assert reply.startswith("STAT:DEV:DB5.L1:LVL:SIG:HEL:LEV:")
    assert "%:RES:" in reply
    assert reply.endswith("O")


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("GET:SYS:CAT", "GET:INVALID"), ("read:SYS:CAT", "read:INVALID"), ("*RST", "*RST:INVALID"),
        ("READ:FOO", "STAT:FOO:INVALID"), ("READ:DEV:GRPA:PSU:SIG:FLD", "STAT:DEV:GRPA:NOT_FOUND"),
        ("READ:DEV:GRPZ:SPSU:SIG:FLD", "STAT:DEV:GRPZ:SPSU:INVALID"), ("READ:DEV:GRPZ", "STAT:DEV:INVALID"),
        (f"READ:{PSU}:SIG:FOO", f"STAT:{PSU}:SIG:FOO:INVALID"), (f"READ:{PSU}:sig:FLD", f"STAT:{PSU}:sig:INVALID"),
        (f"SET:{PSU}:SIG:FSET:x", f"STAT:SET:{PSU}:SIG:FSET:x:INVALID"),
        (f"SET:{PSU}:SIG:FSET:99", f"STAT:SET:{PSU}:SIG:FSET:99:INVALID"),
        (f"SET:{PSU}:SIG:FSET", f"STAT:SET:{PSU}:SIG:FSET:INVALID"),
        (f"SET:{PSU}:SIG:FLD:1", f"STAT:SET:{PSU}:SIG:FLD:1:INVALID"),
        (f"SET:{PSU}:SIG:RFST:-1", f"STAT:SET:{PSU}:SIG:RFST:-1:INVALID"),
        (f"SET:{PSU}:ACTN:GO", f"STAT:SET:{PSU}:ACTN:GO:INVALID"),
        (f"SET:{PSU}:ATOB:5", f"STAT:SET:{PSU}:ATOB:5:DENIED"),
        ("READ:DEV:GRPX:PSU:SIG:SWHT", "STAT:DEV:GRPX:PSU:SIG:SWHT:N/A"),
        ("SET:DEV:GRPX:PSU:SIG:SWHT:ON", "STAT:SET:DEV:GRPX:PSU:SIG:SWHT:ON:N/A"),
        ("SET:DEV:GRPX:PSU:ACTN:RTOS", "STAT:SET:DEV:GRPX:PSU:ACTN:RTOS:DENIED"),
        ("READ:" + "A" * 1030, "READ:INVALID"),
    ],
)  # fmt: skip
def test_mercury_says_what_is_wrong_and_where(mercury: Bench, line: str, reply: str) -> None:
    assert mercury.say(line) == reply


def test_mercury_takes_and_gives_several_values_behind_one_address(mercury: Bench) -> None:
    assert mercury.say(f"SET:{PSU}:SIG:RFST:0.25:FSET:0.5T:CSET:999") == (
        f"STAT:SET:{PSU}:SIG:RFST:0.25:VALID:FSET:0.5T:VALID:CSET:999:INVALID"
    )
    assert mercury.say(f"READ:{PSU}:SIG:FSET:RFST:CSET") == f"STAT:{PSU}:SIG:FSET:0.5000T:RFST:0.2500T/m:CSET:3.7037A"
    assert mercury.say(f"READ:{PSU}:SIG").startswith(f"STAT:{PSU}:SIG:VOLT:0.0000V:CURR:")


def test_mercury_engineering_mode_wants_its_word(mercury: Bench) -> None:
    assert mercury.say("SET:SYS:MODE:ENG") == "STAT:SET:SYS:MODE:ENG:DENIED"
    assert mercury.say("SET:SYS:MODE:ENG:PASS:abc123") == "STAT:SET:SYS:MODE:ENG:VALID:PASS:abc123:VALID"
    assert mercury.say(f"SET:{PSU}:CLIM:5").endswith(":VALID")
    assert mercury.say(f"SET:{PSU}:SIG:CSET:5.1").endswith(":INVALID")
    assert mercury.say("SET:SYS:MODE:NORM").endswith(":VALID")
    assert mercury.say(f"SET:{PSU}:CLIM:50").endswith(":DENIED")


def value(bench: Bench, noun: str) -> str:
    return bench.say(f"READ:{PSU}:{noun}").removeprefix(f"STAT:{PSU}:{noun}:")


def order(bench: Bench, noun: str, text: str) -> str:
    return bench.say(f"SET:{PSU}:{noun}:{text}").rsplit(":", 1)[1]


def test_mercury_ips_ramps_and_holds_when_it_has_arrived(mercury: Bench) -> None:
    assert [order(mercury, "SIG:FSET", "0.15"), order(mercury, "ACTN", "RTOS")] == ["VALID", "VALID"]
    mercury.clock.sleep(15.0)
    assert value(mercury, "ACTN") == "RTOS"
    assert float(value(mercury, "SIG:FLD").removesuffix("T")) == pytest.approx(0.075, abs=1e-3)
    assert value(mercury, "SIG:RFLD") == "0.3000T/m"
    assert float(value(mercury, "SIG:VOLT").removesuffix("V")) == pytest.approx(2.224, abs=2e-3)
    share = mercury.say("READ:DEV:PSU.M3:PSU:SIG:CURR").rsplit(":", 1)[1].removesuffix("A")
    assert float(share) == pytest.approx(0.5 * 0.075 / 0.135, abs=1e-2)
    mercury.clock.sleep(16.0)
    assert [value(mercury, noun) for noun in ("ACTN", "SIG:FLD", "SIG:PFLD")] == ["HOLD", "0.1500T", "0.1500T"]
    assert order(mercury, "SIG:FSET", "0.3") == "VALID"
    mercury.clock.sleep(10.0)
    assert value(mercury, "SIG:FLD") == "0.1500T"
    assert order(mercury, "ACTN", "CLMP") == "DENIED"
    assert order(mercury, "ACTN", "RTOZ") == "VALID"
    mercury.clock.sleep(40.0)
    assert [order(mercury, "ACTN", "CLMP"), order(mercury, "ACTN", "RTOS")] == ["VALID", "DENIED"]
    assert mercury.coil_T() == pytest.approx(0.0, abs=1e-5)


def test_mercury_ips_keeps_the_field_and_lags_with_its_heater_and_trips(mercury: Bench) -> None:
    order(mercury, "SIG:FSET", "0.27")
    order(mercury, "ACTN", "RTOS")
    mercury.clock.sleep(120.0)
    assert order(mercury, "SIG:SWHT", "OFF") == "VALID"
    assert value(mercury, "SIG:SWHT") == "ON"
    mercury.clock.sleep(20.0)
    assert value(mercury, "SIG:SWHT") == "OFF"
    order(mercury, "ACTN", "RTOZ")
    mercury.clock.sleep(60.0)
    assert [value(mercury, noun) for noun in ("SIG:FLD", "SIG:PFLD", "SIG:PCUR", "STAT")] == [
        "0.0000T", "0.2700T", "2.0000A", "00000001"]  # fmt: skip
    assert order(mercury, "SIG:SWHT", "ON") == "DENIED"
    assert mercury.say("READ:SYS:ALRM") == "STAT:SYS:ALRM:"
    assert order(mercury, "SIG:SWHN", "ON") == "VALID"
    mercury.clock.sleep(20.0)
    assert value(mercury, "STAT") == "00000100"
    assert mercury.say("READ:SYS:ALRM") == "STAT:SYS:ALRM:GRPZ\tQuench Detected;"
    assert [order(mercury, "ACTN", "RTOS"), order(mercury, "ACTN", "HOLD")] == ["DENIED", "VALID"]
    assert mercury.say("READ:SYS:ALRM") == "STAT:SYS:ALRM:"


def test_mercury_ips_drives_each_coil_for_itself(mercury: Bench) -> None:
    for line in ("ACTN:HOLD", "SIG:RFST:0.6", "SIG:FSET:-0.2", "ACTN:RTOS"):
        assert mercury.say(f"SET:DEV:GRPX:PSU:{line}").endswith("VALID")
    mercury.clock.sleep(30.0)
    assert mercury.say("READ:DEV:GRPX:PSU:SIG:FLD").endswith(":-0.2000T")
    assert mercury.say("READ:DEV:GRPX:PSU:ACTN").endswith(":HOLD")
    mercury.world.advance()
    assert mercury.world.magnets["x"].coil_current() == pytest.approx(-10.0)
    assert mercury.coil_T() == 0.0


def test_mercury_ips_front_panel_and_power_switch(mercury: Bench) -> None:
    mercury.panel.turn("z setpoint", "0.2")
    mercury.panel.turn("z action", "RTOS")
    mercury.clock.sleep(10.0)
    assert value(mercury, "ACTN") == "RTOS"
    mercury.panel.power_cycle()
    assert [value(mercury, noun) for noun in ("ACTN", "SIG:FSET")] == ["CLMP", "0.0000T"]
    mercury.clock.sleep(60.0)
    assert [value(mercury, noun) for noun in ("SIG:FLD", "SIG:SWHT")] == ["0.0000T", "OFF"]
    for knob, text in (("z setpoint", "99"), ("z action", "RTOS")):
        with pytest.raises(ConfigError):
            mercury.panel.turn(knob, text)
    assert mercury.panel.refuse("SET:DEV:GRPZ:PSU:ACTN:HOLD") == "STAT:SET:DEV:GRPZ:PSU:ACTN:HOLD:DENIED"
    assert mercury.panel.acknowledge("SET:DEV:GRPZ:PSU:ACTN:HOLD") == "STAT:SET:DEV:GRPZ:PSU:ACTN:HOLD:VALID"
    pairs = "SET:DEV:GRPZ:PSU:SIG:CSET:1.0:RCST:2.0"
    assert mercury.panel.acknowledge(pairs) == "STAT:SET:DEV:GRPZ:PSU:SIG:CSET:1.0:VALID:RCST:2.0:VALID"
    assert mercury.panel.refuse(pairs) == "STAT:SET:DEV:GRPZ:PSU:SIG:CSET:1.0:DENIED:RCST:2.0:DENIED"
    assert mercury.panel.acknowledge("SET:DEV:GRPA:PSU:ACTN:HOLD") == "STAT:SET:DEV:GRPA:NOT_FOUND"


# ITC503


@pytest.fixture
def itc() -> Bench:
    bench = Bench(ITC503)
    assert bench.say("C3") == "C"
    return bench


def test_itc_identifies_itself_and_has_a_status_of_thirteen_characters(itc: Bench) -> None:
    assert itc.say("V") == "ITC503 Version 1.11 (c) OXFORD 1997"
    assert itc.say("X") == "X0A0C3S00H1L0"
    assert itc.all("A3", "H2", "L1", "X") == ["A", "H", "L", "X0A3C3S00H2L1"]
    assert itc.all("Q2", "Q4") == ["", "?Q4"]
    assert itc.panel.receive(b"R0") == b"R0.000\r\n"


def test_itc_takes_orders_in_remote_only_and_answers_readings_always() -> None:
    bench = Bench(ITC503)
    for line in ("T10", "A1", "x1", "w", "S1", "M5"):
        assert bench.say(line) == f"?{line}"
    assert float(bench.say("R1")[1:]) == pytest.approx(6.0, rel=1e-3)
    bench.panel.turn("control", "remote")
    assert bench.say("T10") == "?T10"  # its button is locked
    assert bench.all("C2", "T10") == ["C", "?T10"]
    bench.panel.turn("setpoint", "7.5")
    bench.panel.turn("heater", "12")
    assert bench.all("R0", "R5") == ["R7.500", "R12.0"]
    with pytest.raises(ConfigError):
        bench.panel.turn("setpoint", "2000")


@pytest.mark.parametrize("line", ["T-1", "T1678", "A4", "H4", "L2", "S33", "M41", "O100", "P2000", "I141", "D274", "x129", "y1.5", "R14", "R", "r", "q",
                                  "m", "n", "o", "k", "G-1", "F14"])  # fmt: skip
def test_itc_refuses_what_it_cannot(itc: Bench, line: str) -> None:
    assert itc.say(line) == f"?{line}"


def test_itc_regulates_with_a_band_in_kelvin_and_minutes(itc: Bench) -> None:
    # 4 V on 40 ohm: 0.4 W, of which 10 K need 0.168 W.
    assert itc.all("M4", "P5", "I0.2", "D0", "T10", "A1", "R8", "R9", "R10") == [
        "M", "P", "I", "D", "T", "A", "R5.000", "R0.2", "R0.0"]  # fmt: skip
    itc.clock.sleep(600.0)
    itc.world.advance()
    assert itc.world.cryostat.block_K == pytest.approx(10.0, rel=1e-3)
    assert abs(float(itc.say("R4")[1:])) < 0.01
    volts = math.sqrt(0.02 * (10.0 - 1.6) * 40.0)
    assert float(itc.say("R6")[1:]) == pytest.approx(volts, abs=0.1)
    assert float(itc.say("R5")[1:]) == pytest.approx(100.0 * volts / 4.0, abs=1.0)


def test_itc_has_an_offset_without_its_integral_as_the_band_says(itc: Bench) -> None:
    itc.all("M4", "P5", "I0", "D0", "T10", "A1")
    itc.clock.sleep(600.0)
    itc.world.advance()
    kelvin = itc.world.cryostat.block_K
    percent = 100.0 * (10.0 - kelvin) / 5.0
    assert (percent / 100.0 * 4.0) ** 2 / 40.0 == pytest.approx(0.02 * (kelvin - 1.6), rel=2e-3)
    assert itc.say("O5") == "?O5"


def test_itc_heats_by_hand_and_keeps_the_output_when_the_regulator_is_switched_off(itc: Bench) -> None:
    assert itc.all("M4", "O50", "R5", "R6") == ["M", "O", "R50.0", "R2.0"]
    itc.clock.sleep(600.0)
    itc.world.advance()
    assert itc.world.cryostat.block_K == pytest.approx(1.6 + 0.1 / 0.02, rel=1e-3)
    itc.all("P5", "I0.2", "T10", "A1")
    itc.clock.sleep(600.0)
    before = itc.say("R5")
    assert itc.all("A0", "R5") == ["A", before]
    itc.panel.power_cycle()
    assert itc.all("X", "R5", "R0") == ["X0A0C0S00H1L0", "R0.0", "R10.000"]


def test_itc_runs_a_sweep_from_its_table(itc: Bench) -> None:
    steps = ((10.0, 2.0, 1.0), (8.0, 1.0, 0.5))
    itc.say("T6")
    for x, values in enumerate(steps, 1):
        for y, value in enumerate(values, 1):
            assert itc.all(f"$x{x}", f"$y{y}", f"s{value}", "r") == ["", "", "s", f"r{value}"]
    for x in range(3, 17):
        itc.all(f"$x{x}", "$y1", "s8")
    assert itc.say("S1") == "S"
    seen: list[tuple[str, float]] = []
    for _ in range(5):
        itc.clock.sleep(59.0)
        seen.append((itc.say("X")[7:9], float(itc.say("R0")[1:])))
        itc.clock.sleep(1.0)
    assert [status for status, _ in seen] == ["01", "01", "02", "03", "00"]
    assert [kelvin for _, kelvin in seen] == pytest.approx([7.97, 9.97, 10.0, 8.03, 8.0], abs=0.03)
    itc.say("S4")
    assert itc.all("X", "R0") == ["X0A0C3S04H1L0", "R8.000"]
    assert itc.all("S0", "X", "w", "x1", "y1", "r") == ["S", "X0A0C3S00H1L0", "w", "x", "y", "r0.0"]


def test_itc_takes_its_terms_from_the_table_in_auto_pid(itc: Bench) -> None:
    for x, values in enumerate(((8.0, 2.0, 0.3, 0.0), (20.0, 4.0, 0.5, 0.1)), 1):
        for y, value in enumerate(values, 1):
            assert itc.all(f"x{x}", f"y{y}", f"p{value}", "q") == ["x", "y", "p", f"q{value}"]
    itc.all("T5", "L1")
    itc.clock.sleep(5.0)
    assert itc.all("R8", "R9", "R10", "P3") == ["R2.000", "R0.3", "R0.0", "?P3"]
    itc.say("T12")
    itc.clock.sleep(5.0)
    assert itc.all("R8", "R9", "R10") == ["R4.000", "R0.5", "R0.1"]


def test_itc_has_tables_for_the_gas_too(itc: Bench) -> None:
    assert itc.all("x2", "v3.5", "t", "x7", "c1", "x6", "c5", "d") == ["x", "v", "t3.5", "x", "?c1", "x", "c", "d5.0"]
    assert itc.all("G40", "R7", "T6", "A2", "n", "o", "m", "G50") == ["G", "R40.0", "T", "A", "n3.5", "o1", "m16", "?G50"]  # fmt: skip


def test_itc_gives_no_heat_when_its_sensor_is_open(itc: Bench) -> None:
    itc.all("M4", "P5", "I0.2", "T10", "A1")
    itc.clock.sleep(300.0)
    itc.panel.sensor("1").fault = SensorFault.OPEN
    itc.clock.sleep(300.0)
    assert itc.all("R1", "R5") == ["R0.0", "R0.0"]
    itc.world.advance()
    assert itc.world.cryostat.block_K == pytest.approx(1.6, rel=0.01)
    assert itc.say("R3") == "R0.0"
    with pytest.raises(ConfigError):
        itc.panel.sensor("3")


# Mercury iTC

LOOP = "DEV:MB1.T1:TEMP:LOOP"


@pytest.fixture
def mercury_itc() -> Bench:
    return Bench(MercuryITC)


def test_mercury_itc_lists_its_boards_and_their_values(mercury_itc: Bench) -> None:
    assert mercury_itc.say("*IDN?") == "IDN:OXFORD INSTRUMENTS:MERCURY ITC:123450001:2.6.04.000"
    assert mercury_itc.say("READ:SYS:CAT") == "STAT:SYS:CAT:DEV:MB1.T1:TEMP:DEV:DB6.T1:TEMP:DEV:MB0.H1:HTR"
    assert mercury_itc.say("READ:DEV:MB0.H1:HTR:PMAX:VLIM:RES") == "STAT:DEV:MB0.H1:HTR:PMAX:12.5000:VLIM:25:RES:50"
    reply = mercury_itc.say("READ:DEV:MB1.T1:TEMP:SIG:TEMP?")
    assert float(reply.removeprefix("STAT:DEV:MB1.T1:TEMP:SIG:TEMP:").removesuffix("K")) == pytest.approx(6.0, rel=1e-3)
    ohms = mercury_itc.say("READ:DEV:MB1.T1:TEMP:SIG:RES").rsplit(":", 1)[1].removesuffix("O")
    millivolts = mercury_itc.say("READ:DEV:MB1.T1:TEMP:SIG:VOLT").rsplit(":", 1)[1].removesuffix("mV")
    assert float(ohms) == pytest.approx(2252.9, rel=0.01)
    assert float(millivolts) == pytest.approx(2252.9 * 10e-6 * 1e3, rel=0.01)


@pytest.mark.parametrize(
    ("line", "end"),
    [
        (f"SET:{LOOP}:TSET:10K", "VALID"), (f"SET:{LOOP}:TSET:2001", "INVALID"), (f"SET:{LOOP}:HSET:101", "INVALID"),
        (f"SET:{LOOP}:P:3:I:0.5:D:0", "D:0:VALID"), (f"SET:{LOOP}:PIDT:ON", "N/A"), (f"SET:{LOOP}:PIDT:OFF", "VALID"),
        (f"SET:{LOOP}:FSET:5", "N/A"), (f"SET:{LOOP}:ENAB:on", "INVALID"), ("SET:DEV:MB0.H1:HTR:VLIM:41", "INVALID"),
        ("SET:DEV:MB0.H1:HTR:RES:5", "INVALID"), ("SET:DEV:MB0.H1:HTR:PMAX:5", "INVALID"),
        ("SET:DEV:MB1.T1:TEMP:SIG:TEMP:5", "INVALID"), ("READ:DEV:DB9.T1:TEMP:SIG:TEMP", "DB9.T1:NOT_FOUND"),
    ],
)  # fmt: skip
def test_mercury_itc_answers_every_set(mercury_itc: Bench, line: str, end: str) -> None:
    assert mercury_itc.say(line).endswith(":" + end)


def test_mercury_itc_regulates_and_ramps(mercury_itc: Bench) -> None:
    for line in ("DEV:MB0.H1:HTR:VLIM:5", f"{LOOP}:P:5:I:0.2:D:0", f"{LOOP}:TSET:10", f"{LOOP}:ENAB:ON"):
        assert mercury_itc.say(f"SET:{line}").endswith("VALID")
    assert mercury_itc.say(f"SET:{LOOP}:HSET:5").endswith("INVALID")
    mercury_itc.clock.sleep(600.0)
    mercury_itc.world.advance()
    cryostat = mercury_itc.world.cryostat
    assert cryostat.block_K == pytest.approx(10.0, rel=1e-3)
    watts = mercury_itc.say("READ:DEV:MB0.H1:HTR:SIG:POWR").rsplit(":", 1)[1].removesuffix("W")
    assert float(watts) == pytest.approx(0.02 * 8.4, rel=0.02)
    for line in ("RENA:ON", "RSET:2", "TSET:14"):
        assert mercury_itc.say(f"SET:{LOOP}:{line}").endswith("VALID")
    mercury_itc.clock.sleep(60.0)
    mercury_itc.world.advance()
    assert mercury_itc.panel.loops["MB1.T1"].set_point.now_K == pytest.approx(12.0, abs=0.02)
    assert cryostat.block_K == pytest.approx(12.0, abs=0.1)
    assert mercury_itc.say(f"READ:{LOOP}:TSET:RSET:RENA") == f"STAT:{LOOP}:TSET:14.0000K:RSET:2.0000K/m:RENA:ON"
    mercury_itc.clock.sleep(300.0)
    mercury_itc.world.advance()
    assert cryostat.block_K == pytest.approx(14.0, rel=2e-3)


def test_mercury_itc_gives_its_heater_to_one_loop(mercury_itc: Bench) -> None:
    assert mercury_itc.say(f"READ:{LOOP}:HTR") == f"STAT:{LOOP}:HTR:MB0.H1"
    mercury_itc.say("SET:DEV:MB0.H1:HTR:VLIM:5")
    assert mercury_itc.say(f"SET:{LOOP}:HSET:40").endswith("VALID")
    assert mercury_itc.say("READ:DEV:MB0.H1:HTR:SIG:VOLT").endswith(":2.0000V")
    assert mercury_itc.say("SET:DEV:DB6.T1:TEMP:LOOP:HTR:MB0.H1").endswith("VALID")
    mercury_itc.clock.sleep(5.0)
    assert mercury_itc.say("READ:DEV:MB0.H1:HTR:SIG:VOLT").endswith(":0.0000V")
    assert mercury_itc.say(f"READ:{LOOP}:HTR").endswith(":None")


def test_mercury_itc_alarms_an_open_sensor_and_stops_heating(mercury_itc: Bench) -> None:
    mercury_itc.panel.turn("setpoint", "10")
    mercury_itc.panel.turn("auto", "ON")
    mercury_itc.clock.sleep(100.0)
    mercury_itc.panel.sensor("MB1.T1").fault = SensorFault.OPEN
    mercury_itc.clock.sleep(5.0)
    assert mercury_itc.say("READ:SYS:ALRM") == "STAT:SYS:ALRM:MB1.T1\tOpen Circuit;"
    assert mercury_itc.say("READ:DEV:MB0.H1:HTR:SIG:POWR").endswith(":0.0000W")
    mercury_itc.panel.power_cycle()
    assert mercury_itc.say(f"READ:{LOOP}:ENAB:TSET") == f"STAT:{LOOP}:ENAB:OFF:TSET:10.0000K"


# All of them: rubbish does no harm

KINDS: list[type[FrontPanel]] = [IPS120, PS120, MercuryIPS, ITC503, MercuryITC]
_WORDS = st.sampled_from(
    b"A0 A1 A2 A4 C1 C3 C0 H0 H1 H2 J0.5 J-1 I3 S1 T0.2 T1e9 M1 M5 M9 P1 P2 Q4 Q6 R0 R7 R18 V X $A1 @1X @2X !3 nan inf "
    b"-1e999 ? : \r \n \xff \x00 READ:DEV:GRPZ:PSU:SIG SET:DEV:GRPZ:PSU:SIG:FSET:1:RFST:3 SET:DEV:GRPZ:PSU:ACTN:RTOS READ:SYS: SET:SYS:MODE:ENG "
    b":PSU :: HOLD SET:DEV:MB1.T1:TEMP:LOOP:TSET:50:ENAB:ON T50 A1 O99 S1 L1 x1 y2 s5 p3 r q w".split(b" ")
)  # fmt: skip
_LINES = st.lists(st.one_of(_WORDS, st.binary(max_size=6)), max_size=4).map(b"".join)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(pieces=st.lists(st.tuples(_LINES, st.floats(0.0, 30.0)), max_size=12))
def test_a_panel_survives_any_bytes_and_stays_bounded(
    kind: type[FrontPanel], pieces: list[tuple[bytes, float]]
) -> None:
    bench = Bench(kind)
    conversation = Conversation(bench.panel)
    conversation.feed(b"C3\rA0\r\nSET:DEV:GRPZ:PSU:ACTN:HOLD\n")
    for line, pause_s in pieces:
        assert len(conversation.feed(line + b"\r\n")) < 1 << 16
        bench.clock.sleep(pause_s)
    bench.world.advance()
    assert math.isfinite(bench.world.cryostat.sample_K)
    assert abs(bench.magnet.coil_current()) < 111.1
