"""The link: one total deadline, and a reply belongs to the query that asked for it, or to nobody.

On NI's library on every interface (a fake that behaves as it is documented to), on the library in this process, and on
PyVISA-py's sockets and serial ports with a real peer (`test_instruments_link_peers.py`).
"""

import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import pyvisa
from pyvisa import VisaIOError, constants
from remanence.core.clock import VirtualClock
from remanence.core.errors import CommunicationError, ConfigError, DeadlineError, ReplyError
from remanence.instruments.driver import Driver, control, measurement
from remanence.instruments.link import Link
from remanence.instruments.strict import reading, strict_float, strict_int
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import FrontPanel
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

from .visa_fake import INTERFACES, Answer, FakeVisa, echo

STREAMS = pytest.mark.parametrize("interface", ["serial", "socket"])
MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((111.0, 0.044),))


@pytest.fixture(params=list(INTERFACES))
def interface(request: pytest.FixtureRequest) -> str:
    return request.param


def opened(interface: str = "socket", answer: Answer = echo, **options: Any) -> tuple[Any, FakeVisa, VirtualClock]:
    clock = VirtualClock()
    visa = FakeVisa(clock, interface, answer)
    wire: Any = visa
    return Link(wire, clock, name="meter", **options), visa, clock


# A reply belongs to its query


def test_a_query_is_a_command_and_its_reply(interface: str) -> None:
    link, visa, clock = opened(interface)
    assert [link.query(f"{name}?") for name in "ABC"] == ["echo A?", "echo B?", "echo C?"]
    assert visa.written == ["A?", "B?", "C?"]
    assert clock.now() == pytest.approx(0.03)
    assert link.dropped == 0
    assert link.answered_s == pytest.approx(0.025)


def test_two_replies_to_one_query_are_none_and_the_next_is_right(interface: str) -> None:
    link, _, _ = opened(interface, lambda c: echo(c) * (2 if c == "A?" else 1))
    with pytest.raises(ReplyError, match="which is the answer is not known"):
        link.query("A?")
    assert link.query("B?") == "echo B?"
    assert link.dropped == len("echo A?")


def test_a_second_reply_that_comes_between_two_queries_is_dropped(interface: str) -> None:
    link, _, clock = opened(interface, lambda c: [*echo(c), (0.2, b"echo A?\n")] if c == "A?" else echo(c))
    assert link.query("A?") == "echo A?"
    clock.sleep(1.0)
    assert link.query("B?") == "echo B?"
    assert link.dropped == len("echo A?")


@pytest.mark.parametrize("line", [b"EVENT 7\n", b"+1.25E-3\n", b"1\n2\n3\n"])
def test_a_line_that_nobody_asked_for_answers_nothing(interface: str, line: bytes) -> None:
    link, visa, _ = opened(interface)
    for name in ("A?", "B?"):
        visa.say(line)
        assert link.query(name) == f"echo {name}"


def test_half_of_an_unasked_line_does_not_stand_before_a_reply(interface: str) -> None:
    link, visa, _ = opened(interface)
    visa.say(b"EVE")
    visa.say(b"NT 7\n", 0.1)
    assert link.query("A?") == "echo A?"


@pytest.mark.parametrize("late_s", [1.01, 1.2, 1.29, 1.6, 1.99])
def test_a_late_reply_is_never_given_to_another_query(interface: str, late_s: float) -> None:
    link, _, clock = opened(interface, lambda c: [(late_s, b"old\n")] if c == "A?" else echo(c), deadline_s=1.0)
    with pytest.raises(DeadlineError, match=r"no reply within 1 s to 'A\?': nothing came"):
        link.query("A?")
    assert clock.now() == pytest.approx(1.0)
    assert link.query("B?") == "echo B?"
    assert link.query("C?") == "echo C?"


def test_a_reply_later_than_anybody_waits_is_dropped_when_it_has_come(interface: str) -> None:
    link, _, clock = opened(interface, lambda c: [(5.0, b"old\n")] if c == "A?" else echo(c), deadline_s=1.0)
    with pytest.raises(DeadlineError):
        link.query("A?")
    assert link.query("B?") == "echo B?"
    clock.sleep(5.0)
    assert link.query("C?") == "echo C?"


def test_the_waiting_for_a_late_reply_has_begun_when_the_query_was_sent(interface: str) -> None:
    link, _, clock = opened(interface, lambda c: [] if c == "A?" else echo(c), deadline_s=1.0)
    with pytest.raises(DeadlineError):
        link.query("A?")
    clock.sleep(5.0)  # the caller did something else: nothing can be under way any more
    started_s = clock.now()
    assert link.query("B?") == "echo B?"
    assert clock.now() - started_s == pytest.approx(0.01)


def test_a_time_out_costs_one_query_and_not_the_session(interface: str) -> None:
    link, _, _ = opened(interface, lambda c: [] if c == "lost?" else echo(c))
    for _ in range(3):
        with pytest.raises(DeadlineError):
            link.query("lost?")
    assert link.query("found?") == "echo found?"


def test_a_second_line_is_no_surplus_when_it_is_expected(interface: str) -> None:
    link, _, _ = opened(interface, lambda c: [(0.01, b"ON\n"), (0.01, b"HOLDING\n")])
    assert (link.query("PAUSE?", more=True), link.read()) == ("ON", "HOLDING")


def test_a_driver_that_knows_its_reply_is_none_gets_the_line_emptied(interface: str) -> None:
    link, visa, _ = opened(interface, lambda c: [(0.5, f"echo {c}\n".encode())])
    visa.say(b"EVENT 7\n", 0.1)
    assert link.query("A?") == "EVENT 7"
    link.distrust()
    assert link.query("B?") == "echo B?"


# A fence


def fenced(command: str) -> list[tuple[float, bytes]]:
    match command:
        case "A?":
            return [(1.3, b"old\n")]
        case "*IDN?":
            return [(0.01, b"MAKER,METER,7,1.0\n")]
        case _:
            return echo(command)


@pytest.mark.parametrize("gone", [False, True])
def test_a_fence_ends_the_waiting_as_soon_as_its_reply_has_come(interface: str, gone: bool) -> None:
    link, visa, clock = opened(interface, lambda c: [] if gone and c == "A?" else fenced(c), deadline_s=1.0)
    link.adopt(verify=list, fence=("*IDN?", lambda reply: "METER" in reply))
    with pytest.raises(DeadlineError):
        link.query("A?")
    assert link.query("B?") == "echo B?"
    assert visa.written == ["A?", "*IDN?", "B?"]
    assert clock.now() < 1.4


def test_nothing_is_believed_until_the_fence_was_answered_even_late(interface: str) -> None:
    fences = iter([[(1.5, b"MAKER,METER,7,1.0\n")], [(0.7, b"MAKER,METER,7,1.0\n")]])
    link, visa, _ = opened(
        interface, lambda c: [] if c == "A?" else next(fences) if c == "*IDN?" else echo(c), deadline_s=1.0
    )
    link.adopt(verify=list, fence=("*IDN?", lambda reply: "METER" in reply))
    for _ in range(2):
        with pytest.raises(DeadlineError):
            link.query("A?")
    assert link.query("B?") == "echo B?"
    assert link.query("C?") == "echo C?"
    assert visa.written == ["A?", "*IDN?", "*IDN?", "B?", "C?"]


# A reply is bounded and whole


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\n\x13"])
def test_terminators_and_flow_control_are_no_part_of_a_reply_and_no_surplus(interface: str, end: bytes) -> None:
    link, _, _ = opened(interface, lambda c: [(0.01, c.encode() + end)], read_end="\r\n")
    assert [link.query(name) for name in ("A?", "B?", "C?")] == ["A?", "B?", "C?"]
    assert link.dropped == 0


@STREAMS
def test_bytes_that_drip_in_obey_the_total_deadline(interface: str) -> None:
    link, _, clock = opened(interface, lambda c: [(0.3 * n, b"1") for n in range(50)], deadline_s=2.0)
    with pytest.raises(DeadlineError):
        link.query("X?")
    assert clock.now() <= 2.0 + 1e-9


@STREAMS
def test_a_reply_in_pieces_is_one_reply(interface: str) -> None:
    link, _, _ = opened(interface, lambda c: [(0.1, b"1.2"), (0.2, b"5e-3\n")])
    assert link.query("X?") == "1.25e-3"


@pytest.mark.parametrize("data", [b"1.\xb25\n", b"\xff\xfe\n"])
def test_a_reply_that_is_not_text_is_shown_and_refused_and_the_line_is_emptied(interface: str, data: bytes) -> None:
    link, _, _ = opened(interface, lambda c: [(0.0, data), (0.1, b"rest of it\n")] if c == "X?" else echo(c))
    with pytest.raises(ReplyError, match=data[:2].hex(" ")):
        link.query("X?")
    assert link.query("Y?") == "echo Y?"


def test_a_reply_without_an_end_is_bounded(interface: str) -> None:
    link, _, _ = opened(interface, lambda c: [(0.0, b"9" * (1 << 22))] if c == "X?" else echo(c))
    with pytest.raises(ReplyError, match="has no end"):
        link.query("X?")


def test_a_reply_without_its_terminator_is_told_with_it(interface: str) -> None:
    link, _, _ = opened(interface, lambda c: [(0.0, b"1.25\r")] if c == "X?" else echo(c))
    with pytest.raises((DeadlineError, ReplyError), match="terminator"):
        link.query("X?")
    assert link.query("Y?") == "echo Y?"


def test_an_instrument_that_never_stops_talking_is_given_up(interface: str) -> None:
    link, visa, _ = opened(interface, lambda c: [(0.05 * n, b"\xff\n") for n in range(1000)])
    with pytest.raises(ReplyError):
        link.query("X?")
    if visa.clears:
        return
    with pytest.raises(CommunicationError, match=r"does not stop talking|not text"):
        link.query("X?")
        link.query("X?")


def test_the_pause_between_commands_is_kept(interface: str) -> None:
    link, _, clock = opened(interface, lambda c: [(0.0, b"1\n")], pause_s=0.2)
    link.query("A?")
    link.query("B?")
    assert clock.now() == pytest.approx(0.2)


def test_on_a_bus_the_input_of_an_instrument_is_cleared_before_it_is_trusted_again(interface: str) -> None:
    link, visa, _ = opened(interface, lambda c: [] if c == "A?" else echo(c))
    with pytest.raises(DeadlineError):
        link.query("A?")
    link.query("B?")
    assert visa.clears == (1 if interface in {"gpib", "usb", "vxi11"} else 0)


@pytest.mark.parametrize("byte", [0x10, 0x50])
def test_a_status_bit_that_lies_is_not_asked_for_ever(interface: str, byte: int) -> None:
    link, visa, clock = opened(interface)
    visa.status_byte = byte
    for name in "ABCDE":
        assert link.query(f"{name}?") == f"echo {name}?"
    polls, at_s = visa.polls, clock.now()
    assert link.query("F?") == "echo F?"
    assert visa.polls == polls
    assert clock.now() == pytest.approx(at_s + 0.01)


def test_an_instrument_without_a_message_bit_is_not_polled(interface: str) -> None:
    link, visa, _ = opened(interface)
    link.adopt(verify=list, message_bit=0)
    link.query("A?")
    assert visa.polls == 0


# A lost connection


class Bench:
    """A meter that can be lost, replaced and found again."""

    def __init__(self, interface: str) -> None:
        self.clock = VirtualClock()
        self.interface = interface
        self.identity = "MAKER,METER,7,1.0"
        self.reachable = True
        self.tries: list[float] = []
        self.sessions: list[FakeVisa] = []
        self.link = Link(self.open(), self.clock, name="meter", open_resource=self.open)
        self.meter = Meter(self.link)
        self.meter.verify()

    def open(self) -> Any:
        self.tries.append(self.clock.now())
        if not self.reachable:
            raise ConnectionRefusedError("nobody there")
        self.sessions.append(FakeVisa(self.clock, self.interface, self.answer))
        return self.sessions[-1]

    def answer(self, command: str) -> list[tuple[float, bytes]]:
        return [(0.01, f"{self.identity}\n".encode())] if command == "*IDN?" else echo(command)


class Meter(Driver):
    model = "METER"
    settings_table = ("range", "state", "level")

    range: float = control("RANG?", "RANG %g", """Control the range (V).""")
    state: str = control("STAT?", "STAT %d", """Control the state (no unit).""", map_values=True, values=["off", "on"])
    level: float = measurement("LEV?", """Measure the level (V).""")


def test_a_lost_connection_is_made_again_and_verified_before_anything_else_is_said(interface: str) -> None:
    bench = Bench(interface)
    bench.sessions[-1].broken = True
    with pytest.raises(CommunicationError, match=r"next try to connect is in 0\.5 s"):
        bench.link.query("A?")
    assert bench.sessions[-1].closed
    bench.clock.sleep(0.6)
    assert bench.link.query("B?") == "echo B?"
    assert bench.sessions[-1].written == ["*IDN?", "*IDN?", "B?"]
    assert bench.link.reconnects == 1


def test_a_command_whose_outcome_is_not_known_is_not_repeated(interface: str) -> None:
    bench = Bench(interface)
    bench.sessions[-1].written.clear()
    bench.sessions[-1].broken = True
    with pytest.raises(CommunicationError):
        bench.link.write("GO")
    bench.clock.sleep(60.0)
    bench.link.query("B?")
    assert [command for session in bench.sessions for command in session.written].count("GO") == 0


def test_while_it_waits_for_the_next_try_a_query_fails_at_once(interface: str) -> None:
    bench = Bench(interface)
    bench.sessions[-1].broken, bench.reachable = True, False
    with pytest.raises(CommunicationError):
        bench.link.query("A?")
    bench.clock.sleep(0.3)
    at_s = bench.clock.now()
    for _ in range(5):
        with pytest.raises(CommunicationError, match=r"Nothing was sent.*in 0\.2 s"):
            bench.link.query("A?")
    assert bench.clock.now() == at_s
    assert len(bench.tries) == 1


def test_the_tries_come_ever_more_slowly_and_at_least_every_thirty_seconds(interface: str) -> None:
    bench = Bench(interface)
    bench.sessions[-1].broken, bench.reachable = True, False
    while bench.clock.now() < 200.0:
        with pytest.raises(CommunicationError):
            bench.link.query("A?")
        bench.clock.sleep(0.1)
    gaps = [b - a for a, b in zip(bench.tries[1:-1], bench.tries[2:], strict=True)]
    assert gaps == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0, 30.0][: len(gaps)], abs=0.11)
    assert len(gaps) >= 8
    bench.reachable = True
    bench.clock.sleep(30.0)
    assert bench.link.query("A?") == "echo A?"
    bench.sessions[-1].broken = True
    with pytest.raises(CommunicationError, match=r"in 0\.5 s"):
        bench.link.query("A?")


@pytest.mark.parametrize("identity", ["MAKER,METER,8,1.0", "MAKER,OTHER,7,1.0", "MAKER,METER,7,1.1"])
def test_to_another_instrument_nothing_is_written(interface: str, identity: str) -> None:
    bench = Bench(interface)
    bench.sessions[-1].broken = True
    with pytest.raises(CommunicationError):
        bench.link.query("A?")
    bench.identity = identity
    bench.clock.sleep(1.0)
    with pytest.raises(CommunicationError, match="what answers is not what it was"):
        bench.link.write("GO")
    assert set(bench.sessions[-1].written) <= {"*IDN?"}
    assert bench.sessions[-1].closed
    bench.identity = "MAKER,METER,7,1.0"
    bench.clock.sleep(1.0)
    bench.link.write("GO")
    assert bench.sessions[-1].written[-1] == "GO"


def test_a_driver_that_cannot_verify_at_all_leaves_nothing_open(interface: str) -> None:
    bench = Bench(interface)
    bench.sessions[-1].broken = True
    with pytest.raises(CommunicationError):
        bench.link.query("A?")

    def stumbles() -> str:
        raise ZeroDivisionError

    bench.link.adopt(verify=stumbles)
    bench.clock.sleep(1.0)
    with pytest.raises(ZeroDivisionError):
        bench.link.write("GO")
    with pytest.raises(CommunicationError, match="lost"):
        bench.link.write("GO")


def test_a_line_on_which_nothing_comes_any_more_is_made_anew(interface: str) -> None:
    bench = Bench(interface)
    bench.sessions[-1].answer = lambda _: []  # half-open: it takes everything and gives nothing
    with pytest.raises(DeadlineError):
        bench.link.query("A?")
    with pytest.raises(CommunicationError, match="silent for 2 deadlines"):
        bench.link.query("A?")
    assert bench.clock.now() < 10.0
    bench.clock.sleep(1.0)
    assert bench.link.query("A?") == "echo A?"


def test_an_opening_that_hangs_keeps_nobody(interface: str) -> None:
    clock = VirtualClock()
    first, second = FakeVisa(clock, interface), FakeVisa(clock, interface)
    gate = threading.Event()

    def opens() -> Any:
        gate.wait(20.0)
        return second

    wire: Any = first
    link = Link(wire, clock, name="meter", deadline_s=0.02, open_resource=opens)
    first.broken = True
    for reason in (r"gone|lost", "still being connected", "still being connected"):
        with pytest.raises(CommunicationError, match=reason):
            link.query("A?")
        clock.sleep(1.0)
    gate.set()
    for _ in range(100):
        try:
            assert link.query("A?") == "echo A?"
            break
        except CommunicationError:
            clock.sleep(1.0)
    else:
        raise AssertionError("it never came back")


def test_an_opening_that_ends_after_the_link_was_closed_is_closed_too(interface: str) -> None:
    clock = VirtualClock()
    first, second = FakeVisa(clock, interface), FakeVisa(clock, interface)
    gate, closed = threading.Event(), threading.Event()
    second.close = closed.set

    def opens() -> Any:
        gate.wait(20.0)
        return second

    wire: Any = first
    link = Link(wire, clock, name="meter", deadline_s=0.02, open_resource=opens)
    first.broken = True
    for _ in range(2):
        with pytest.raises(CommunicationError):
            link.query("A?")
        clock.sleep(1.0)
    link.close()
    gate.set()
    assert closed.wait(20.0)


def test_a_link_that_was_closed_is_not_opened_again(interface: str) -> None:
    bench = Bench(interface)
    bench.link.close()
    for _ in range(3):
        with pytest.raises(CommunicationError):
            bench.link.query("A?")
        bench.clock.sleep(60.0)
    assert len(bench.tries) == 1


def test_without_a_way_to_connect_again_a_broken_connection_stays_an_error(interface: str) -> None:
    link, visa, _ = opened(interface)
    visa.broken = True
    for _ in range(3):
        with pytest.raises(CommunicationError, match="open the station again"):
            link.query("A?")


@pytest.mark.parametrize(
    "error",
    [
        VisaIOError(constants.StatusCode.error_io), ConnectionResetError("gone"), BrokenPipeError(), RuntimeError("rpc"),
        VisaIOError(constants.StatusCode.error_resource_locked),
    ],
    ids=repr,
)  # fmt: skip
def test_whatever_a_library_raises_is_a_communication_error_that_says_what_is_not_known(
    interface: str, error: Exception
) -> None:
    link, visa, _ = opened(interface)

    def fails(_session: int, _data: bytes) -> Any:
        raise error

    visa.write = fails
    with pytest.raises(CommunicationError, match="Whether it arrived is not known"):
        link.query("A?")


# A greeting


@pytest.mark.parametrize("after_s", [0.0, 0.3, 1.5])
def test_a_greeting_is_read_before_anything_is_asked(interface: str, after_s: float) -> None:
    link, visa, _ = opened(interface)
    link.adopt(verify=list, greeting_lines=2)
    visa.say(b"Model 430\r\n", after_s)
    visa.say(b"Hello.\r\n", after_s)
    assert link.query("A?") == "echo A?"
    assert link.dropped == 0


@pytest.mark.parametrize("lines", [[], [b"Model 430\r\n"]])
def test_a_greeting_that_does_not_come_is_a_connection_that_failed(interface: str, lines: list[bytes]) -> None:
    link, visa, clock = opened(interface)
    link.adopt(verify=list, greeting_lines=2)
    for line in lines:
        visa.say(line)
    with pytest.raises(CommunicationError, match="did not greet"):
        link.query("A?")
    assert clock.now() == pytest.approx(2.0, abs=0.1)
    assert visa.written == []


# Several threads


def test_several_threads_may_ask_and_each_gets_its_own_reply(interface: str) -> None:
    link, _, _ = opened(interface)
    wrong: list[str] = []

    def ask(name: str) -> None:
        wrong.extend(reply for _ in range(200) if (reply := link.query(f"{name}?")) != f"echo {name}?")

    threads = [threading.Thread(target=ask, args=(name,)) for name in "ABCD"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# Properties are strict


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("range", "1.0E"), ("range", ""), ("range", "1,2"), ("range", "1.5V"), ("range", "+9.9E37"), ("range", "nan"),
        ("level", "-"), ("level", "1 2"), ("state", "2"), ("state", "-1"), ("state", "on"), ("state", "0,1"),
    ],
)  # fmt: skip
def test_a_property_gives_what_it_reads_or_an_error(name: str, reply: str) -> None:
    link, _, _ = opened(answer=lambda c: [(0.01, reply.encode() + b"\n")])
    with pytest.raises(ReplyError, match=r"asked '\w+\?', got"):
        getattr(Meter(link), name)


def test_a_setting_that_cannot_be_read_is_told_and_stops_no_snapshot() -> None:
    replies = {"RANG?": b"1.5\n", "STAT?": b"7\n", "*IDN?": b"MAKER,METER,7,1.0\n"}
    link, _, _ = opened(answer=lambda c: [(0.01, replies[c])] if c in replies else [])
    settings = Meter(link).settings()
    assert settings["range"] == 1.5
    assert settings["state"].startswith("unreadable: asked 'STAT?', got '7'")
    assert settings["level"].startswith("unreadable: no reply within 2 s to 'LEV?'")


def test_a_snapshot_of_a_dead_link_is_an_error() -> None:
    link, visa, clock = opened(answer=lambda c: [])
    with pytest.raises(DeadlineError):
        Meter(link).settings()
    assert clock.now() < 10.0
    visa.broken = True
    with pytest.raises(CommunicationError):
        Meter(link).settings()


@pytest.mark.parametrize("identity", ["MAKER,METER,7,1.0", "MAKER,METER", ""])
def test_the_serial_number_is_the_third_field(identity: str) -> None:
    link, _, _ = opened(answer=lambda c: [(0.01, identity.encode() + b"\n")])
    assert Meter(link).serial_number() == ("7" if identity.count(",") == 3 else "")


@pytest.mark.parametrize(
    "text", ["", "1.0E", "nan", "+9.9E37", "inf", "1,5", "0x10", "1 2", "١", "--1", "1_0", "1e400"]
)
def test_a_text_that_is_not_a_whole_finite_number_is_refused(text: str) -> None:
    with pytest.raises(ReplyError):
        strict_float(text)


@pytest.mark.parametrize(("text", "value"), [("+005.0012", 5.0012), (" -1.5e-3\r", -1.5e-3), (".5", 0.5), ("7.", 7.0)])
def test_a_number_is_read_as_the_instruments_write_it(text: str, value: float) -> None:
    assert strict_float(text) == value


@pytest.mark.parametrize("text", ["1.0", "", "1e3", "1_0", "٣", "0x1"])
def test_a_whole_number_is_written_as_one(text: str) -> None:
    assert strict_int(" -12 ") == -12
    with pytest.raises(ReplyError):
        strict_int(text)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("+9.9E37", ("overflow",)), ("-9.90000E+37", ("overflow",)), ("9.91E37", ("invalid",)), ("NAN", ("invalid",)),
        ("+nan", ("invalid",)), ("INF", ("overflow",)), ("-INF", ("overflow",)), ("1e400", ("overflow",)),
        ("OVLD", ("overflow",)),
    ],
)  # fmt: skip
def test_a_word_for_no_value_is_a_flag_on_a_reading(text: str, flags: tuple[str, ...]) -> None:
    value, found = reading(text)
    assert math.isnan(value)
    assert found == flags
    assert reading("-1.5E-3") == (-1.5e-3, ())
    with pytest.raises(ReplyError):
        reading("1.0E")


# The library in this process


class Slow(FrontPanel):
    """Echoes each command but `lost`; how long that takes is set from outside."""

    reply_end = b"\n"

    def execute(self, command: str) -> str | None:
        return None if command == "lost" else f"echo {command}"


RESOURCES = {
    "gpib": "GPIB0::5::INSTR", "usb": "USB0::1::2::3::INSTR", "vxi11": "TCPIP0::10.0.0.5::inst0::INSTR",
    "serial": "ASRL1::INSTR", "socket": "TCPIP0::10.0.0.5::5025::SOCKET",
}  # fmt: skip


@pytest.fixture
def slow(interface: str) -> Iterator[tuple[Link, Slow, VirtualClock]]:
    clock = VirtualClock()
    world = World(WorldSettings(MAGNET, CryostatSettings(), load_sample("park2020_deficient")), clock, 1)
    panel = Slow(world, "slow")
    manager = pyvisa.ResourceManager(VirtualVisaLibrary({RESOURCES[interface]: panel}, clock))
    resource: Any = manager.open_resource(RESOURCES[interface])
    yield Link(resource, clock, name="slow", deadline_s=1.0), panel, clock
    resource.close()


@pytest.mark.parametrize("late_s", [1.01, 1.2, 1.29, 1.6, 1.99])
def test_a_late_reply_of_a_simulated_instrument_is_never_given_to_another_query(
    slow: tuple[Link, Slow, VirtualClock], late_s: float
) -> None:
    link, panel, clock = slow
    panel.__dict__["latency_s"] = late_s
    started_s = clock.now()
    with pytest.raises(DeadlineError, match="no reply within 1 s"):
        link.query("first")
    assert clock.now() - started_s == pytest.approx(1.0)
    panel.__dict__["latency_s"] = 0.01
    assert link.query("second") == "echo second"
    assert link.query("third") == "echo third"


def test_a_line_pushed_by_a_simulated_instrument_answers_nothing(slow: tuple[Link, Slow, VirtualClock]) -> None:
    link, panel, _ = slow
    for name in "ABC":
        panel.push(b"EVENT 7\n")
        assert link.query(name) == f"echo {name}"
    assert link.dropped == 3 * len("EVENT 7")


def test_a_wrong_option_of_a_driver_is_still_a_configuration_error() -> None:
    class Picky(Meter):
        def __init__(self, link: Link, name: str = "", *, channel: int) -> None:
            super().__init__(link, name)
            raise ConfigError(f"channel {channel} is not there")

    link, visa, _ = opened()
    with pytest.raises(ConfigError):
        Picky(link, channel=9)
    assert visa.written == []
