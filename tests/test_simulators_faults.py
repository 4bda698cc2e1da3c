"""Faults on schedule: what a client meets, on both transports, and what the laboratory does by itself."""

import math
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import pyvisa
from pyvisa.constants import StatusCode
from remanence.core.clock import ScaledClock, VirtualClock
from remanence.core.errors import ConfigError
from remanence.simulators.coolant import HeliumBath, HeliumSettings
from remanence.simulators.cryogenic import SMS120C
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.fault_schedule import FaultSchedule
from remanence.simulators.faults import KINDS, Fault, Place
from remanence.simulators.front_panel import FrontPanel
from remanence.simulators.lakeshore import Model350
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.multivu import MPMS3
from remanence.simulators.multivu_measure import Bench
from remanence.simulators.sample import load_sample
from remanence.simulators.srs import SR830
from remanence.simulators.tcp import TcpServer, serve
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((111.0, 0.044),))
VALUE = b"+1.234567E-03"


class Meter(FrontPanel):
    """Answers every query with one number; says hello, counts what it was told to set."""

    greeting = b"Hello\r\n"
    latency_s = 0.02

    def __init__(self, world: World, name: str, wiring: str = "") -> None:
        super().__init__(world, name, wiring)
        self.orders: list[str] = []

    def execute(self, command: str) -> str | None:
        if "?" in command:
            return VALUE.decode()
        self.orders.append(command)
        return None


class Rig:
    """A laboratory in this process, or behind sockets, and one meter's line in it."""

    def __init__(self, *faults: Fault, seed: int = 1, magnet: MagnetSettings = MAGNET) -> None:
        self.clock = VirtualClock()
        settings = WorldSettings(magnet, CryostatSettings(), load_sample("park2020_deficient"))
        self.world = World(settings, self.clock, 3)
        self.meter = Meter(self.world, "meter")
        self.magnet = SMS120C(self.world, "magnet")
        self.lockin = SR830(self.world, "lockin", "xx")
        self.cryostat = Model350(self.world, "cryostat")
        self.panels = {panel.name: panel for panel in (self.meter, self.magnet, self.lockin, self.cryostat)}
        self.schedule = FaultSchedule(self.world, self.panels.values(), faults, seed)
        library: Any = VirtualVisaLibrary(
            {f"GPIB0::{n}::INSTR": p for n, p in enumerate(self.panels.values(), 1)}, self.clock
        )
        self.manager = pyvisa.ResourceManager(library)
        self.addresses = {name: f"GPIB0::{number}::INSTR" for number, name in enumerate(self.panels, 1)}

    def open(self, name: str = "meter", **keywords: Any) -> Any:
        return self.manager.open_resource(self.addresses[name], timeout=2000, **keywords)


def heard(rig: Rig, commands: list[bytes], patience_s: float = 2.0) -> list[tuple[float, bytes]]:
    """What comes back in process, piece by piece, with the time of each, and at last what a read ends with."""
    meter = rig.open()
    assert meter.read_raw() == b"Hello\r\n"
    start_s = rig.clock.now()
    came: list[tuple[float, bytes]] = []
    for command in commands:
        meter.write_raw(command + b"\n")
    outgoing = rig.meter.conversations[-1].outgoing
    while outgoing and outgoing[0][0] <= start_s + patience_s:
        ready_s, data = outgoing.popleft()
        rig.clock.sleep(ready_s - rig.clock.now())
        came.append((rig.clock.now() - start_s, bytes(data)))
    meter.timeout = 100
    try:
        meter.read_raw()
    except pyvisa.VisaIOError as error:
        came.append((rig.clock.now() - start_s, error.error_code.name.encode()))
    return came


REPLY = VALUE + b"\r\n"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("late", "meter", amount=1.5), [(1.52, REPLY)]),
        (Fault("late", "meter", amount=3.0), []),
        (Fault("lost", "meter"), []),
        (Fault("doubled", "meter"), [(0.02, REPLY), (0.02, REPLY)]),
        (Fault("split", "meter", amount=0.5), [(0.02, REPLY[:8]), (0.52, REPLY[8:])]),
        (Fault("dripping", "meter", amount=0.1), [(0.02 + 0.1 * n, REPLY[n : n + 1]) for n in range(15)]),
        (Fault("cut", "meter"), [(0.02, VALUE[:6])]),
        (Fault("unended", "meter", text="\r"), [(0.02, VALUE + b"\r")]),
        (Fault("unended", "meter"), [(0.02, VALUE)]),
        (Fault("empty", "meter"), [(0.02, b"\r\n")]),
        (Fault("answer", "meter", text="+9.9E37"), [(0.02, b"+9.9E37\r\n")]),
        (Fault("unheard", "meter"), []),
        (Fault("half_open", "meter"), []),
        (Fault("reset", "meter"), []),
        (Fault("reset_before", "meter"), []),
        (Fault("late", "meter", command="OTHER"), [(0.02, REPLY)]),
        (Fault("late", "meter", at_s=100.0), [(0.02, REPLY)]),
    ],
    ids=lambda value: value.describe() if isinstance(value, Fault) else "",
)  # fmt: skip
def test_a_bad_wire_brings_what_its_name_says(fault: Fault, expected: list[tuple[float, bytes]]) -> None:
    rig = Rig(fault)
    *came, (_, ended) = heard(rig, [b"VOLT?"])
    assert [data for _, data in came] == [data for _, data in expected]
    assert [at_s for at_s, _ in came] == pytest.approx([at_s for at_s, _ in expected])
    assert (ended == b"error_connection_lost") == fault.kind.startswith("reset")
    rig.manager.close()


@pytest.mark.parametrize("kind", ["short", "garbage", "noise"])
def test_what_is_drawn_is_drawn_alike_from_the_same_seed_and_otherwise_from_another(kind: str) -> None:
    fault = Fault(kind, "meter", count=5, amount=0.05 if kind == "noise" else None)
    first, again, other = (heard(Rig(fault, seed=seed), [b"VOLT?"] * 5) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert all(data != REPLY for _, data in first[:-1])
    if kind == "garbage":
        assert all(data.endswith(b"\x00\xff\r\n") for _, data in first[:-1])
    if kind == "short":
        assert all(VALUE.startswith(data[:-2]) and data.endswith(b"\r\n") for _, data in first[:-1])


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("split", "meter", amount=0.5), REPLY), (Fault("dripping", "meter", amount=0.05), REPLY),
        (Fault("unended", "meter"), VALUE), (Fault("cut", "meter"), None), (Fault("dripping", "meter"), None),
    ],
    ids=lambda value: value.describe() if isinstance(value, Fault) else "",
)  # fmt: skip
def test_a_message_is_over_with_its_last_byte_and_not_with_its_first_piece(
    fault: Fault, expected: bytes | None
) -> None:
    meter = Rig(fault).open()
    meter.read_raw()
    meter.write("VOLT?")
    if expected is None:
        with pytest.raises(pyvisa.VisaIOError):
            meter.read_raw()
    else:
        assert meter.read_raw() == expected


def test_an_endless_reply_has_no_terminator_and_the_length_it_was_given() -> None:
    rig = Rig(Fault("endless", "meter", amount=3e6))
    *came, _ = heard(rig, [b"VOLT?"])
    assert sum(len(data) for _, data in came) == 3_000_000
    assert not any(b"\n" in data for _, data in came)


def test_a_fault_falls_as_often_as_it_was_told_and_no_more() -> None:
    rig = Rig(Fault("answer", "meter", text="0", count=2), Fault("lost", "meter", at_s=50.0, for_s=10.0))
    meter = rig.open(read_termination="\r\n")
    meter.read()
    assert [meter.query("VOLT?") for _ in range(4)] == ["0", "0", VALUE.decode(), VALUE.decode()]
    rig.clock.sleep(55.0 - rig.clock.now())
    for _ in range(2):
        with pytest.raises(pyvisa.VisaIOError):
            meter.query("VOLT?")
    rig.clock.sleep(2.0)
    assert meter.query("VOLT?") == VALUE.decode()
    assert [fault.kind for _, fault in rig.schedule.history] == ["answer", "answer", "lost", "lost"]
    assert rig.schedule.describe() == []
    rig.manager.close()


def test_a_probability_is_one() -> None:
    rig = Rig(Fault("lost", "meter", for_s=1e6, probability=0.3))
    meter = rig.open(read_termination="\r\n")
    meter.read()
    meter.timeout = 100
    missing = 0
    for _ in range(400):
        try:
            meter.query("VOLT?")
        except pyvisa.VisaIOError:
            missing += 1
    assert missing == pytest.approx(120, abs=40)
    rig.manager.close()


def test_after_a_reset_or_on_a_half_open_line_only_a_new_connection_helps() -> None:
    for kind, wrong in (("reset", StatusCode.error_connection_lost), ("half_open", StatusCode.error_timeout)):
        rig = Rig(Fault(kind, "meter"))
        meter = rig.open(read_termination="\r\n")
        meter.read()
        for _ in range(2):
            with pytest.raises(pyvisa.VisaIOError) as caught:
                meter.query("VOLT?")
            assert caught.value.error_code == wrong
        again = rig.open(read_termination="\r\n")
        again.read()
        assert again.query("VOLT?") == VALUE.decode()
        rig.manager.close()


def test_a_command_is_done_before_a_late_break_and_not_before_an_early_one() -> None:
    for kind, orders in (("reset", ["VOLT 1"]), ("reset_before", []), ("unheard", []), ("ignored", []), ("local", [])):
        rig = Rig(Fault(kind, "meter"))
        meter = rig.open()
        try:
            meter.write("VOLT 1")
        except pyvisa.VisaIOError:
            assert kind.startswith("reset")
        assert rig.meter.orders == orders, kind
        rig.manager.close()


@pytest.mark.parametrize(
    ("fault", "greetings"),
    [
        (Fault("greeting_late", "meter", amount=5.0), [5.3]), (Fault("greeting_lost", "meter"), []),
        (Fault("unasked", "meter", at_s=1.0, text="EVENT 7"), [0.3, 1.0]),
    ],
    ids=["late", "lost", "unasked"],
)  # fmt: skip
def test_what_a_line_says_by_itself_comes_at_its_time(fault: Fault, greetings: list[float]) -> None:
    rig = Rig(fault)
    meter = rig.open()
    meter.timeout = 10_000
    for at_s in greetings:
        data = meter.read_raw()
        assert data == (b"EVENT 7\r\n" if at_s == 1.0 else b"Hello\r\n")
        assert rig.clock.now() == pytest.approx(at_s)
    with pytest.raises(pyvisa.VisaIOError):
        meter.read_raw()
    rig.manager.close()


def test_what_is_unreachable_breaks_its_lines_and_takes_none_until_it_is_over() -> None:
    rig = Rig(Fault("unreachable", "meter", at_s=10.0, for_s=20.0))
    meter = rig.open(read_termination="\r\n")
    meter.read()
    assert meter.query("VOLT?") == VALUE.decode()
    rig.clock.sleep(15.0 - rig.clock.now())
    with pytest.raises(pyvisa.VisaIOError):
        rig.open()
    with pytest.raises(pyvisa.VisaIOError):
        meter.query("VOLT?")
    rig.clock.sleep(20.0)
    assert rig.open(read_termination="\r\n").read() == "Hello"
    rig.manager.close()


# The instrument


def test_frozen_queries_repeat_each_its_own_answer() -> None:
    rig = Rig(Fault("frozen", "cryostat", at_s=1.0, for_s=10.0))
    cryostat = rig.open("cryostat", read_termination="\r\n")
    rig.clock.sleep(2.0)
    first = [cryostat.query(query) for query in ("KRDG? A", "KRDG? B")]
    rig.clock.sleep(2.0)
    assert [cryostat.query(query) for query in ("KRDG? A", "KRDG? B")] == first
    rig.clock.sleep(10.0)
    assert [cryostat.query(query) for query in ("KRDG? A", "KRDG? B")] != first
    rig.manager.close()


def sms_ramps(rig: Rig, target_A: float = 20.0) -> Any:
    magnet = rig.open("magnet", read_termination="\r\n\x13", write_termination="\r")
    for command in ("PAUSE ON", "SET RAMP 0.04", f"SET MID {target_A}", "RAMP MID", "PAUSE OFF"):
        magnet.write(command)
        if not command.startswith("RAMP"):
            magnet.read()
    return magnet


def test_what_is_acknowledged_and_not_done_shows_only_in_a_read_back() -> None:
    rig = Rig(Fault("ignored", "magnet", command="SET MID", count=1))
    magnet = rig.open("magnet", read_termination="\r\n\x13", write_termination="\r")
    assert magnet.query("SET MID 20").endswith("MID SETTING: 20.0000 AMPS")
    assert magnet.query("GET MID") == "........ MID SETTING: 0.0000 AMPS"
    assert magnet.query("SET MID 20").endswith("MID SETTING: 20.0000 AMPS")
    assert magnet.query("GET MID") == "........ MID SETTING: 20.0000 AMPS"
    rig.manager.close()


def test_in_local_it_answers_and_does_nothing_and_a_refusal_is_in_its_own_words() -> None:
    rig = Rig(Fault("local", "magnet", for_s=60.0), Fault("refused", "magnet", at_s=100.0, count=1))
    magnet = rig.open("magnet", read_termination="\r\n\x13", write_termination="\r")
    for command in ("SET MID 5", "PAUSE OFF", "HEATER OFF", "TESLA ON", "SET RAMP 0.02"):
        assert magnet.query(command)
    assert magnet.query("HEATER").endswith("HEATER STATUS: ON")
    assert magnet.query("GET MID").endswith("0.0000 AMPS")
    assert magnet.query("RAMP STATUS").startswith("........ RAMP STATUS: HOLDING ON PAUSE")
    rig.clock.sleep(100.0)
    assert magnet.query("SET MID 5").startswith("------->")
    assert magnet.query("SET MID 5").endswith("MID SETTING: 5.0000 AMPS")
    rig.manager.close()


@pytest.mark.parametrize("look_s", [10.0, 400.0])
def test_a_power_cycle_in_a_ramp_happens_at_its_instant_however_late_somebody_looks(look_s: float) -> None:
    rig = Rig(Fault("power_cycle", "magnet", at_s=100.0))
    magnet = sms_ramps(rig)
    began_s = rig.clock.now()
    while rig.clock.now() < 500.0:
        rig.clock.sleep(look_s)
        magnet.query("GET OUTPUT")
    assert magnet.query("RAMP STATUS").startswith("........ RAMP STATUS: HOLDING ON PAUSE")
    assert magnet.query("GET MID").endswith("0.0000 AMPS")
    assert rig.world.magnet.lead_current(rig.clock.now()) == pytest.approx(0.04 * (100.0 - began_s), abs=0.01)
    rig.manager.close()


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [("units=tesla", "GET MAX", "16.20000 TESLA"), ("setpoint=7.5", "GET MID", "7.5000 AMPS"), ("rate=0.02", "GET RATE", "0.0200 A/SEC")],
)  # fmt: skip
def test_somebody_turns_a_knob(text: str, query: str, expected: str) -> None:
    rig = Rig(Fault("turned", "magnet", at_s=5.0, text=text))
    magnet = rig.open("magnet", read_termination="\r\n\x13", write_termination="\r")
    assert not magnet.query(query).endswith(expected)
    rig.clock.sleep(6.0)
    magnet.query(query)
    # What is done at the front may be logged on the line, unasked.
    magnet.flush(pyvisa.constants.BufferOperation.discard_read_buffer)
    assert magnet.query(query).endswith(expected)
    rig.manager.close()


def test_a_knob_without_such_a_position_fails_alone_and_is_told() -> None:
    rig = Rig(
        Fault("turned", "magnet", at_s=5.0, text="setpoint=much"), Fault("turned", "magnet", at_s=6.0, text="rate=0.02")
    )
    magnet = rig.open("magnet", read_termination="\r\n\x13", write_termination="\r")
    rig.clock.sleep(7.0)
    magnet.query("GET MID")
    assert rig.world.clock is rig.clock
    assert [at_s for at_s, _ in rig.schedule.failures] == [5.0]
    assert "much" in rig.schedule.failures[0][1]
    assert [fault.text for _, fault in rig.schedule.history] == ["setpoint=much", "rate=0.02"]
    rig.manager.close()


def test_without_power_there_is_silence_and_then_a_fresh_start() -> None:
    rig = Rig(Fault("off", "magnet", at_s=10.0, for_s=5.0))
    magnet = rig.open("magnet", read_termination="\r\n\x13", write_termination="\r")
    magnet.query("SET MID 5")
    rig.clock.sleep(11.0)
    with pytest.raises(pyvisa.VisaIOError):
        magnet.query("GET MID")
    rig.clock.sleep(5.0)
    assert magnet.query("GET MID").endswith("0.0000 AMPS")
    rig.manager.close()


@pytest.mark.parametrize(
    ("kind", "status", "reading"),
    [("sensor_open", 128, "+00.0000"), ("sensor_short", 64, "+00.0000"), ("sensor_frozen", 0, "+00")],
)
def test_a_thermometer_fails_and_recovers(kind: str, status: int, reading: str) -> None:
    rig = Rig(Fault(kind, "cryostat", at_s=5.0, for_s=5.0, text="A"))
    cryostat = rig.open("cryostat", read_termination="\r\n")
    before = cryostat.query("KRDG? A")
    rig.clock.sleep(6.0)
    assert int(cryostat.query("RDGST? A")) & status == status
    if kind == "sensor_frozen":
        first = cryostat.query("KRDG? A")
        assert {cryostat.query("KRDG? A") for _ in range(5)} == {first}
    else:
        assert float(cryostat.query("KRDG? A")) == 0.0
    assert cryostat.query("KRDG? B") != before
    rig.clock.sleep(5.0)
    assert float(cryostat.query("KRDG? A")) == pytest.approx(rig.world.cryostat.block_K, rel=1e-2)
    assert int(cryostat.query("RDGST? A")) == 0
    rig.manager.close()


# The cryostat


@pytest.mark.parametrize("look_s", [1.0, 300.0])
def test_a_quench_comes_at_its_instant(look_s: float) -> None:
    rig = Rig(Fault("quench", at_s=100.0))
    magnet = sms_ramps(rig)
    while rig.clock.now() < 300.0:
        rig.clock.sleep(look_s)
        status = magnet.query("RAMP STATUS")
    assert "QUENCH TRIP" in status
    assert rig.world.magnet.quench_s == pytest.approx(100.0)
    assert rig.world.magnet.quench_A == pytest.approx(0.04 * 100.0, abs=0.2)
    rig.manager.close()


def watch(rig: Rig, seconds: float) -> None:
    """Let time pass with somebody looking, as an operator does."""
    magnet = rig.open("magnet", read_termination="\r\n\x13", write_termination="\r")
    for _ in range(int(seconds)):
        rig.clock.sleep(0.95)
        magnet.query("GET OUTPUT")
    rig.world.advance()


def test_the_rest_of_the_cryostat_fails_as_told_and_is_whole_again_after() -> None:
    bath = HeliumSettings()
    helium = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((111.0, 0.044),), coolant=bath)
    rig = Rig(Fault("helium_loss", at_s=5.0, amount=60.0), magnet=helium)
    watch(rig, 10)
    assert isinstance(rig.world.magnet.coolant, HeliumBath)
    assert rig.world.magnet.coolant.litres == pytest.approx(120.0 * 0.9 - 60.0, abs=0.1)

    truths: dict[str, tuple[Callable[[World], float], float]] = {
        "lead_resistance": (lambda world: world.magnet.settings.lead_resistance_ohm, 0.2),
        "slow_switch": (lambda world: world.magnet.switch.warm_time_s, 200.0),
        "sensor_noise": (lambda world: world.cryostat.settings.sensor_noise_fraction, 0.05),
        "overload": (lambda world: world.voltage("xx"), 0.3),
        "heater_open": (lambda world: float(world.magnet.switch.heater_broken), 1.0),
        "stuck_heater": (lambda world: world.cryostat.block_K, math.nan),
        "bad_contact": (lambda world: min(world.contacts.pad_ohm(2), 1e15), 1e15),
    }
    for kind, (truth, expected) in truths.items():
        amount = {"bad_contact": 2.0, "stuck_heater": 2.0, "heater_open": None}.get(kind, expected)
        rig = Rig(Fault(kind, at_s=5.0, for_s=10.0, amount=amount))
        before = truth(rig.world)
        watch(rig, 10)
        during = truth(rig.world)
        assert during > before if math.isnan(expected) else during == pytest.approx(expected, rel=1e-3), kind
        watch(rig, 60)
        after = truth(rig.world)
        assert after < during if math.isnan(expected) else after == pytest.approx(before, abs=1e-6), kind


def test_a_compressor_that_stands_still_lets_the_coil_warm_and_a_jump_of_the_field_stays() -> None:
    rig = Rig(Fault("compressor_stop", at_s=1.0, for_s=60.0), Fault("field_jump", at_s=3.0, amount=0.02))
    watch(rig, 60)
    warm_K = rig.world.magnet.coil_K
    assert warm_K > rig.world.magnet.settings.coolant.base_K + 0.3  # pyright: ignore[reportAttributeAccessIssue]
    assert rig.world.magnet.field() == pytest.approx(0.02)
    watch(rig, 60)
    assert rig.world.magnet.coil_K < warm_K


def test_a_lock_in_says_overload_and_unlock() -> None:
    rig = Rig(Fault("overload", at_s=10.0, for_s=10.0, amount=1.5), Fault("unlocked", at_s=30.0, for_s=10.0))
    excitation = rig.world.excitation
    excitation.rms_A, excitation.frequency_Hz, excitation.on, excitation.marker = 1e-6, 17.77, True, True
    lockin = rig.open("lockin", read_termination="\n")
    lockin.write("FMOD 0;SENS 17")
    seen: dict[float, int] = {}
    for at_s in (5.0, 15.0, 25.0, 35.0, 45.0):
        rig.clock.sleep(at_s - 2.0 - rig.clock.now())
        lockin.query("LIAS?")
        rig.clock.sleep(at_s - rig.clock.now())
        seen[at_s] = int(lockin.query("LIAS?"))
    assert {at_s: byte & 0b1001 for at_s, byte in seen.items()} == {5.0: 0, 15.0: 1, 25.0: 0, 35.0: 8, 45.0: 0}
    rig.manager.close()


def test_a_squid_slips_and_a_drive_sticks_when_they_are_told() -> None:
    clock = VirtualClock()
    world = World(WorldSettings(MAGNET, CryostatSettings(start_K=10.0), load_sample("park2020_deficient")), clock, 3)
    multivu = MPMS3(world, "mpms")
    squid = Bench(multivu).squid
    schedule = FaultSchedule(
        world, [multivu], [Fault("flux_jump", "mpms", 10.0, amount=3.0), Fault("stuck_motor", "mpms", 20.0, 10.0)]
    )
    with pytest.raises(ConfigError, match="a server of its own"):
        schedule.add(Fault("late", "mpms"))
    truths: list[tuple[bool, float]] = []
    for until_s in (5.0, 15.0, 25.0, 35.0):
        clock.sleep(until_s - clock.now())
        schedule.act()
        scan = squid.scan(0.0, 0.0)
        truths.append((squid.stuck, float(abs(scan.volts[-1] - scan.volts[0]))))
    assert [stuck for stuck, _ in truths] == [False, False, True, False]
    assert truths[1][1] > 10 * max(truths[0][1], truths[3][1])


# What a schedule refuses


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("late", "nobody"), "no instrument 'nobody'"),
        (Fault("power_cycle", "meter"), "has not got a power switch"),
        (Fault("off", "meter"), "has not got a power switch"),
        (Fault("errors_full", "lockin"), "has not got an error queue"),
        (Fault("refused", "meter"), "has not got a refusal"),
        (Fault("turned", "meter", text="units=T"), "has not got knobs"),
        (Fault("turned", "magnet", text="volume=11"), "knobs are units, setpoint, rate, pause"),
        (Fault("sensor_open", "lockin", text="A"), "has not got a sensor"),
        (Fault("sensor_open", "cryostat", text="Z"), "no sensor at 'Z'"),
        (Fault("flux_jump", "lockin"), "has not got a SQUID"),
        (Fault("helium_loss"), "not in liquid helium"),
        (Fault("bad_contact", amount=7), "no contact 7"),
    ],
    ids=lambda value: value.describe() if isinstance(value, Fault) else "",
)  # fmt: skip
def test_what_a_panel_has_no_hook_for_is_refused_when_it_is_planned(fault: Fault, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("'", ".")):
        Rig(fault)


@pytest.mark.parametrize("kind", ["heater_open", "slow_switch"])
def test_a_magnet_without_a_persistent_switch_refuses_the_faults_of_one(kind: str) -> None:
    with pytest.raises(ConfigError, match="no persistent switch"):
        Rig(Fault(kind), magnet=replace(MAGNET, switch_fitted=False))


@pytest.mark.parametrize(
    "keywords",
    [
        {"kind": "explode", "instrument": "meter"}, {"kind": "late"}, {"kind": "quench", "instrument": "meter"},
        {"kind": "lost", "instrument": "meter", "amount": 1.0}, {"kind": "lost", "instrument": "meter", "text": "x"},
        {"kind": "answer", "instrument": "meter"}, {"kind": "answer", "instrument": "meter", "text": "1 kΩ"},
        {"kind": "late", "instrument": "meter", "at_s": -1.0},
        {"kind": "late", "instrument": "meter", "for_s": 0.0}, {"kind": "late", "instrument": "meter", "count": 0},
        {"kind": "late", "instrument": "meter", "probability": 0.0},
        {"kind": "late", "instrument": "meter", "probability": math.nan},
    ],
)  # fmt: skip
def test_a_fault_that_contradicts_its_kind_is_refused(keywords: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Fault(**keywords)


def test_every_instrument_at_once() -> None:
    rig = Rig(Fault("lost", "*"))
    for name, query in (("lockin", "SENS?"), ("cryostat", "KRDG? A")):
        opened = rig.open(name, read_termination="\n")
        with pytest.raises(pyvisa.VisaIOError):
            opened.query(query)
        assert opened.query(query)
    rig.manager.close()


# On sockets


def received(connection: socket.socket, patience_s: float = 0.5) -> bytes:
    """Everything that comes until there is silence; `RESET` at the end if the connection is."""
    connection.settimeout(patience_s)
    data = b""
    while True:
        try:
            piece = connection.recv(1 << 20)
        except TimeoutError:
            return data
        except ConnectionResetError:
            return data + b"RESET"
        if not piece:
            return data + b"END"
        data += piece


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.place in {Place.REPLY, Place.COMMAND}])
def test_a_socket_brings_the_same_bytes_as_the_library(kind: str) -> None:
    text = KINDS[kind].text and "+9.9E37"
    if kind in {"ignored", "refused", "local"}:
        text = "?" if kind == "refused" else ""
    fault = Fault(kind, "meter", text=text, count=3)
    commands = [b"VOLT?", b"VOLT 1", b"CURR?", b"VOLT 2"]
    here = b"".join(data for _, data in heard(Rig(fault), commands, 20.0)[:-1])
    rig = Rig(fault)
    with serve(rig.panels, rig.clock) as server:
        connection = socket.create_connection(server.addresses["meter"])
        assert connection.recv(100) == b"Hello\r\n"
        connection.sendall(b"".join(command + b"\n" for command in commands))
        assert received(connection) == here
        connection.close()
    rig.manager.close()


@pytest.fixture
def watched() -> Iterator[tuple[Rig, TcpServer, ScaledClock]]:
    """A laboratory in real time, ten times as fast."""
    rig = Rig()
    clock = ScaledClock(10.0)
    world = World(rig.world.settings, clock, 3)
    rig.meter = Meter(world, "meter")
    rig.schedule = FaultSchedule(world, [rig.meter])
    with serve({"meter": rig.meter}, clock) as server:
        yield rig, server, clock
    rig.manager.close()


def connect(server: TcpServer) -> socket.socket:
    connection = socket.create_connection(server.addresses["meter"])
    assert connection.recv(100) == b"Hello\r\n"
    return connection


def test_a_reset_is_one_and_a_half_open_line_is_silent(watched: tuple[Rig, TcpServer, ScaledClock]) -> None:
    rig, server, _ = watched
    for kind, expected in (("reset", b"RESET"), ("reset_before", b"RESET"), ("half_open", b"")):
        connection = connect(server)
        rig.schedule.add(Fault(kind, "meter", at_s=rig.schedule.now_s()))
        connection.sendall(b"VOLT?\n")
        assert received(connection, 0.3) == expected, kind
        if kind == "half_open":
            connection.sendall(b"VOLT?\n")
            assert received(connection, 0.2) == b""
        connection.close()


def test_a_late_reply_keeps_nobody_else_waiting(watched: tuple[Rig, TcpServer, ScaledClock]) -> None:
    rig, server, clock = watched
    rig.schedule.add(Fault("late", "meter", at_s=rig.schedule.now_s(), amount=10.0))
    slow, quick = connect(server), connect(server)
    slow.sendall(b"VOLT?\n")
    asked_s = clock.now()
    while not rig.schedule.history:
        time.sleep(0.01)  # noqa: TID251
    quick.sendall(b"VOLT?\n")
    assert quick.recv(100) == REPLY
    assert clock.now() - asked_s < 5.0
    assert slow.recv(100) == REPLY
    assert clock.now() - asked_s == pytest.approx(10.0, abs=3.0)
    slow.close()
    quick.close()


def test_unasked_lines_and_breaks_come_to_a_silent_client(watched: tuple[Rig, TcpServer, ScaledClock]) -> None:
    rig, server, _ = watched
    connection = connect(server)
    now_s = rig.schedule.now_s()
    rig.schedule.add(Fault("unasked", "meter", at_s=now_s + 1.0, text="EVENT"))
    rig.schedule.add(Fault("unreachable", "meter", at_s=now_s + 3.0, for_s=5.0))
    connection.settimeout(5.0)
    assert connection.recv(100) == b"EVENT\r\n"
    assert received(connection, 2.0).removesuffix(b"END") in (b"RESET", b"")
    connection.close()
    refused = socket.create_connection(server.addresses["meter"])
    assert received(refused, 2.0) == b"RESET"
    refused.close()
    time.sleep(0.6)  # noqa: TID251  real time is what passes here
    connect(server).close()


def test_closing_ends_late_replies_too(watched: tuple[Rig, TcpServer, ScaledClock]) -> None:
    rig, server, _ = watched
    rig.schedule.add(Fault("late", "meter", at_s=rig.schedule.now_s(), amount=1e6))
    connection = connect(server)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
    connection.sendall(b"VOLT?\n")
    assert received(connection, 0.3) == b""
    started_s = time.monotonic()  # noqa: TID251
    server.close()
    assert time.monotonic() - started_s < 2.0  # noqa: TID251
    connection.close()
