"""The guardian's judgement on virtual time, its relay, and what a pipe says of an engine."""

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from remanence.core.capabilities import Activity, SupplyReading
from remanence.core.clock import SystemClock, VirtualClock
from remanence.core.errors import CommunicationError
from remanence.engine.guardian import Guardian, Heart, SILENCE_s
from remanence.engine.heartbeat import GOODBYE, MOVING, RESTING, Charge
from remanence.engine.relay import Relay
from remanence.instruments.wire import Wire
from remanence.instruments.wire_stream import SocketWire

HOUR_s = 3600.0


class Told(VirtualClock):
    """A clock that lets things happen at set times."""

    def __init__(self) -> None:
        super().__init__()
        self.plan: list[tuple[float, Callable[[], None]]] = []
        self.every: Callable[[float], None] = lambda _now_s: None

    def sleep(self, duration_s: float) -> None:
        super().sleep(duration_s)
        while self.plan and self.plan[0][0] <= self.now():
            self.plan.pop(0)[1]()
        self.every(self.now())


class Supply:
    """A supply that ramps until it is held, and may be out of reach."""

    def __init__(self, clock: VirtualClock, activity: Activity = Activity.RAMPING) -> None:
        self.clock = clock
        self.activity = activity
        self.deaf = False
        self.disobeys = 0
        self.opened: list[float] = []
        self.sent: list[float] = []

    @contextmanager
    def connect(self) -> Iterator["Supply"]:
        self.opened.append(self.clock.now())
        if self.deaf:
            raise CommunicationError("it does not answer")
        yield self

    def watch(self) -> SupplyReading:
        return SupplyReading(self.clock.now(), self.activity, 1.0)

    def hold(self) -> None:
        self.sent.append(self.clock.now())
        if self.disobeys:
            self.disobeys -= 1
        else:
            self.activity = Activity.HOLDING


class Watch:
    """A guardian with its engine, supply and clock."""

    def __init__(self, activity: Activity = Activity.RAMPING) -> None:
        self.clock = Told()
        self.heart = Heart()
        self.supply = Supply(self.clock, activity)
        self.notes: list[str] = []
        self.replaced = False
        self.guardian = Guardian(
            self.heart, self.supply.connect, self.clock, note=self.notes.append, replaced=lambda: self.replaced
        )

    def beat(self, moving: bool = True) -> None:
        self.heart.moving = moving
        self.heart.beats += 1

    def at(self, time_s: float, what: Callable[[], None]) -> None:
        self.clock.plan.append((time_s, what))

    def dies(self) -> None:
        self.heart.dead = True

    def says_goodbye(self) -> None:
        self.heart.goodbye = True

    def run(self) -> None:
        self.guardian.watch()


def test_an_engine_that_beats_is_left_alone_for_a_day() -> None:
    watch = Watch()
    watch.clock.every = lambda now_s: watch.beat() if now_s < 24 * HOUR_s else watch.says_goodbye()
    watch.run()
    assert not watch.supply.opened


def test_silence_of_ten_seconds_in_a_ramp_is_a_hold_within_twelve() -> None:
    watch = Watch()
    watch.at(5.0, watch.beat)
    watch.at(60.0, watch.says_goodbye)
    watch.run()
    (held_s,) = watch.supply.sent
    assert SILENCE_s <= held_s - 5.0 <= 12.0
    assert len(watch.supply.opened) == 1, "looked once in a silence"


@pytest.mark.parametrize("pause_s", [2.0, 5.0, 9.0])
def test_a_legal_pause_is_no_silence(pause_s: float) -> None:
    watch = Watch()
    for n in range(20):
        watch.at(n * pause_s, watch.beat)
    watch.at(20 * pause_s, watch.says_goodbye)
    watch.run()
    assert not watch.supply.opened


def test_silence_with_the_magnet_at_rest_means_nothing() -> None:
    watch = Watch()
    watch.at(1.0, lambda: watch.beat(moving=False))
    watch.at(HOUR_s, watch.says_goodbye)
    watch.run()
    assert not watch.supply.opened


def test_each_silence_is_looked_at_once_and_a_ramp_after_it_again() -> None:
    watch = Watch()
    watch.at(1.0, watch.beat)
    watch.at(50.0, watch.beat)
    watch.at(50.0, lambda: setattr(watch.supply, "activity", Activity.RAMPING))
    watch.at(100.0, watch.says_goodbye)
    watch.run()
    assert len(watch.supply.sent) == len(watch.supply.opened) == 2


@pytest.mark.parametrize("activity", [a for a in Activity if a is not Activity.RAMPING])
def test_a_supply_that_does_not_ramp_is_sent_nothing(activity: Activity) -> None:
    watch = Watch(activity)
    watch.at(1.0, watch.dies)
    watch.run()
    assert watch.supply.opened
    assert not watch.supply.sent
    assert activity.value in watch.notes[-1]


def test_a_dead_engine_is_not_waited_for() -> None:
    watch = Watch()
    watch.at(3.0, watch.dies)
    watch.run()
    (held_s,) = watch.supply.sent
    assert held_s - 3.0 < 1.0
    assert "confirmed at +1.0000 A" in watch.notes[-1]


def test_a_supply_that_does_not_answer_is_tried_until_it_does_ever_more_rarely() -> None:
    watch = Watch()
    watch.supply.deaf = True
    watch.at(1.0, watch.dies)
    watch.at(4 * HOUR_s, lambda: setattr(watch.supply, "deaf", False))
    watch.run()
    opened = watch.supply.opened
    gaps_s = [b - a for a, b in pairwise(opened)]
    assert gaps_s[0] < 1.0
    assert max(gaps_s) < 31.0
    assert all(later > earlier - 0.5 for earlier, later in pairwise(gaps_s))
    assert len(watch.supply.sent) == 1
    assert watch.supply.sent[0] - 4 * HOUR_s < 31.0


def test_a_hold_that_is_not_obeyed_is_sent_again() -> None:
    watch = Watch()
    watch.supply.disobeys = 2
    watch.at(1.0, watch.dies)
    watch.run()
    assert len(watch.supply.sent) == 3
    assert watch.supply.sent[-1] < 5.0


def test_an_engine_that_comes_back_has_its_magnet_again() -> None:
    watch = Watch()
    watch.supply.deaf = True
    watch.at(1.0, watch.beat)
    watch.at(20.0, watch.beat)
    watch.at(20.5, lambda: setattr(watch.supply, "deaf", False))
    watch.at(25.0, watch.says_goodbye)
    watch.run()
    assert watch.supply.opened
    assert not watch.supply.sent


def test_a_newer_guardian_ends_an_old_one_that_still_tries() -> None:
    watch = Watch()
    watch.supply.deaf = True
    watch.at(1.0, watch.dies)
    watch.at(100.0, lambda: setattr(watch, "replaced", True))
    watch.at(200.0, lambda: setattr(watch.supply, "deaf", False))
    watch.run()
    assert not watch.supply.sent


def test_a_computer_that_slept_wakes_engine_and_guardian_alike() -> None:
    watch = Watch()
    watch.at(1.0, watch.beat)
    watch.at(5.0, lambda: VirtualClock.sleep(watch.clock, 20 * 60.0))
    watch.at(20 * 60.0 + 6.0, watch.beat)
    watch.at(20 * 60.0 + 10.0, watch.says_goodbye)
    watch.run()
    assert not watch.supply.opened


@pytest.mark.parametrize(
    ("bytes_", "beats", "moving", "goodbye", "dead"),
    [
        (b"", 0, False, False, True),
        (MOVING * 3, 3, True, False, True),
        (MOVING + RESTING, 2, False, False, True),
        (MOVING + GOODBYE, 1, True, True, False),
    ],
)
def test_what_a_pipe_says_of_an_engine(bytes_: bytes, beats: int, moving: bool, goodbye: bool, dead: bool) -> None:
    heart = Heart()
    heart.listen(io.BytesIO(bytes_))
    assert (heart.beats, heart.moving, heart.goodbye, heart.dead) == (beats, moving, goodbye, dead)


def test_a_charge_is_the_same_at_the_other_end_of_the_pipe() -> None:
    charge = Charge("through", "m", "a.b:C", "ASRL3::INSTR", {"tesla_per_ampere": 0.1}, "S/1", "@py", "/f")
    assert Charge.from_line(charge.as_line()) == charge


# The relay


class Instrument:
    """Something that listens at a port, takes one client at a time and sends back what it gets."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.got = b""
        self.clients = 0
        self.connected = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.clients += 1
                threading.Thread(target=self._echo, args=(client,), daemon=True).start()

    def _echo(self, client: socket.socket) -> None:
        self.connected += 1
        with contextlib.suppress(OSError), client:
            client.sendall(b"hello\n")
            while data := client.recv(4096):
                self.got += data
                client.sendall(data)
        self.connected -= 1

    def connect(self) -> tuple[Wire, Callable[[], None]]:
        connection = socket.create_connection(self.listener.getsockname())
        return SocketWire(connection, SystemClock(), b"\n"), connection.close


@pytest.fixture
def instrument() -> Iterator[Instrument]:
    instrument = Instrument()
    yield instrument
    instrument.listener.close()


@pytest.fixture
def relay(instrument: Instrument) -> Iterator[Relay]:
    relay = Relay(instrument.connect, "s3cret", SystemClock())
    yield relay
    relay.close()


def client(relay: Relay, first: bytes = b"s3cret\n") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", relay.port), timeout=20.0)
    connection.sendall(first)
    return connection


def received(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := connection.recv(count - len(data))):
        data += piece
    return data


def ended(connection: socket.socket) -> bool:
    """The other side closed it."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_every_byte_passes_unchanged_both_ways_and_greetings_too(relay: Relay) -> None:
    every = bytes(range(256)) * 64
    # The first command may come in one packet with the secret.
    with client(relay, b"s3cret\n" + every) as engine:
        assert received(engine, 6) == b"hello\n"
        assert received(engine, len(every)) == every


@pytest.mark.parametrize("first", [b"\n", b"guess\n", b"s3cretly\n", b"*IDN?\n", b"x" * 5000])
def test_who_does_not_know_the_secret_reaches_nothing(relay: Relay, instrument: Instrument, first: bytes) -> None:
    with client(relay, first) as stranger:
        assert ended(stranger)
    assert instrument.clients == 0


def test_a_stranger_who_says_nothing_keeps_nobody_waiting(relay: Relay) -> None:
    with client(relay, b""), client(relay) as engine:
        assert received(engine, 6) == b"hello\n"


def test_an_engine_that_connects_again_has_a_connection_of_its_own(relay: Relay, instrument: Instrument) -> None:
    with client(relay) as first:
        assert received(first, 6) == b"hello\n"
        with client(relay) as second:
            assert received(second, 6) == b"hello\n"
            assert ended(first)
            second.sendall(b"a")
            assert received(second, 1) == b"a"
    assert instrument.clients == 2


def test_while_it_is_shut_the_instrument_is_free_and_nobody_gets_in(relay: Relay, instrument: Instrument) -> None:
    with client(relay) as engine:
        assert received(engine, 6) == b"hello\n"
        relay.shut()
        assert ended(engine)
    with client(relay) as engine:
        assert ended(engine)
    assert instrument.clients == 1
    relay.reopen()
    with client(relay) as engine:
        assert received(engine, 6) == b"hello\n"


def test_an_instrument_that_goes_away_takes_its_client_along(relay: Relay, instrument: Instrument) -> None:
    instrument.listener.close()
    with client(relay) as engine:
        assert ended(engine)
