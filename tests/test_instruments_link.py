"""The link: one total deadline, and a reply belongs to the query that asked for it, or to nobody."""

from collections.abc import Iterator
from typing import Any

import pytest
import pyvisa
from pyvisa import VisaIOError, constants
from remanence.core.clock import VirtualClock
from remanence.core.errors import CommunicationError, DeadlineError, ReplyError
from remanence.instruments.driver import strict_float
from remanence.instruments.link import Link
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import FrontPanel
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((111.0, 0.044),))


class Wire:
    """A resource and its library in one: gives scripted chunks, each after its own delay on the clock."""

    def __init__(self, clock: VirtualClock, chunks: list[tuple[float, bytes]], repeat: bool = False) -> None:
        self.clock, self.chunks, self.repeat = clock, chunks, repeat
        self.visalib, self.session, self.resource_name = self, 1, "TEST::INSTR"
        self.read_termination = self.write_termination = ""
        self.timeout = 2000.0
        self.written: list[bytes] = []

    def write(self, _session: int, data: bytes) -> tuple[int, constants.StatusCode]:
        self.written.append(data)
        return len(data), constants.StatusCode.success

    def read(self, _session: int, count: int) -> tuple[bytes, constants.StatusCode]:
        if not self.chunks or self.chunks[0][0] > self.timeout / 1000:
            self.clock.sleep(self.timeout / 1000)
            raise VisaIOError(constants.StatusCode.error_timeout)
        delay_s, chunk = self.chunks[0] if self.repeat else self.chunks.pop(0)
        self.clock.sleep(delay_s)
        ended = chunk.endswith(b"\n")
        full = constants.StatusCode.success_max_count_read
        return chunk, constants.StatusCode.success_termination_character_read if ended else full

    def close(self) -> None:
        pass


def link_on(wire: Any, clock: VirtualClock, **options: Any) -> Link:
    return Link(wire, clock, name="meter", **options)


class Slow(FrontPanel):
    """Echoes each command but `lost`; how long that takes is set from outside."""

    reply_end = b"\n"

    def execute(self, command: str) -> str | None:
        return None if command == "lost" else f"echo {command}"


@pytest.fixture
def slow() -> Iterator[tuple[Link, Slow, VirtualClock]]:
    clock = VirtualClock()
    world = World(WorldSettings(MAGNET, CryostatSettings(), load_sample("park2020_deficient")), clock, 1)
    panel = Slow(world, "slow")
    resource: Any = pyvisa.ResourceManager(VirtualVisaLibrary({"ASRL1::INSTR": panel}, clock)).open_resource(
        "ASRL1::INSTR"
    )
    yield Link(resource, clock, name="slow", deadline_s=1.0), panel, clock
    resource.close()


@pytest.mark.parametrize("late_s", [1.01, 1.2, 1.29, 1.6, 1.99])
def test_a_late_reply_is_never_given_to_another_query(slow: tuple[Link, Slow, VirtualClock], late_s: float) -> None:
    link, panel, clock = slow
    panel.__dict__["latency_s"] = late_s
    started_s = clock.now()
    with pytest.raises(DeadlineError, match="no reply within 1 s"):
        link.query("first")
    assert clock.now() - started_s == pytest.approx(1.0)
    panel.__dict__["latency_s"] = 0.01
    assert link.query("second") == "echo second"
    assert link.query("third") == "echo third"


def test_a_time_out_costs_one_query_and_not_the_session(slow: tuple[Link, Slow, VirtualClock]) -> None:
    link, _, _ = slow
    for _ in range(3):
        with pytest.raises(DeadlineError):
            link.query("lost")
    assert link.query("found") == "echo found"


def test_bytes_that_drip_in_obey_the_total_deadline() -> None:
    clock = VirtualClock()
    link = link_on(Wire(clock, [(0.3, b"1")], repeat=True), clock, deadline_s=2.0)
    with pytest.raises(DeadlineError, match="only b'1111"):
        link.query("X?")
    assert clock.now() <= 2.0 + 0.3 + 1e-9


def test_a_reply_in_pieces_is_one_reply() -> None:
    clock = VirtualClock()
    assert link_on(Wire(clock, [(0.1, b"1.2"), (0.1, b"5e-3\n")]), clock).query("X?") == "1.25e-3"


def test_a_reply_that_is_not_text_is_shown_and_refused_and_the_line_is_emptied() -> None:
    clock = VirtualClock()
    wire = Wire(clock, [(0.0, b"1.\xb25\n"), (0.1, b"rest of it\n")])
    link = link_on(wire, clock)
    with pytest.raises(ReplyError, match="31 2e b2 35"):
        link.query("X?")
    with pytest.raises(DeadlineError, match="nothing came"):
        link.query("Y?")  # the rest was dropped, not taken for an answer
    assert wire.written == [b"X?\n", b"Y?\n"]


def test_a_reply_without_an_end_is_bounded() -> None:
    clock = VirtualClock()
    with pytest.raises(ReplyError, match="has no end"):
        link_on(Wire(clock, [(1e-6, b"9" * 4096)], repeat=True), clock).query("X?")


def test_an_instrument_that_never_stops_talking_is_given_up() -> None:
    clock = VirtualClock()
    wire = Wire(clock, [(0.01, b"\xff\n")], repeat=True)
    link = link_on(wire, clock)
    with pytest.raises(ReplyError):
        link.query("X?")
    with pytest.raises(CommunicationError, match="does not stop talking"):
        link.query("X?")


def test_a_broken_connection_is_a_communication_error() -> None:
    clock = VirtualClock()
    wire = Wire(clock, [])

    def broken(_session: int, _data: bytes) -> tuple[int, constants.StatusCode]:
        raise ConnectionResetError("gone")

    wire.write = broken
    with pytest.raises(CommunicationError, match="Whether it arrived is not known"):
        link_on(wire, clock).query("X?")


def test_the_pause_between_commands_is_kept() -> None:
    clock = VirtualClock()
    link = link_on(Wire(clock, [(0.0, b"1\n"), (0.0, b"2\n")]), clock, pause_s=0.2)
    link.query("A?")
    link.query("B?")
    assert clock.now() == pytest.approx(0.2)


@pytest.mark.parametrize("text", ["", "1.0E", "nan", "+9.9E37", "inf", "1,5", "0x10", "1 2", "١", "--1", "1_0"])
def test_a_text_that_is_not_a_whole_finite_number_is_refused(text: str) -> None:
    with pytest.raises(ReplyError):
        strict_float(text)


@pytest.mark.parametrize(("text", "value"), [("+005.0012", 5.0012), (" -1.5e-3\r", -1.5e-3), (".5", 0.5), ("7.", 7.0)])
def test_a_number_is_read_as_the_instruments_write_it(text: str, value: float) -> None:
    assert strict_float(text) == value
