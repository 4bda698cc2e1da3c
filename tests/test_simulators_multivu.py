"""The simulated MultiVu below its client: messages and framing, what is refused, waits and states on the clock."""

import encodings
import json
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.clock import VirtualClock
from remanence.core.errors import ReplyError
from remanence.simulators import multivu
from remanence.simulators.coolant import HeliumSettings
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.multivu import MultiVu
from remanence.simulators.multivu_server import MultiVuServer
from remanence.simulators.multivu_wire import Reader, encode
from remanence.simulators.sample import load_sample
from remanence.simulators.sr830 import SR830
from remanence.simulators.tcp import serve
from remanence.simulators.world import World, WorldSettings

MAGNET = MagnetSettings(0.1, 5.0, 50.0, 6.0, 0.004, ((60.0, 0.8), (92.0, 0.4)), warm_time_s=20.0, cool_time_s=25.0)


def instrument(kind: type[MultiVu] = multivu.MPMS3, start_K: float = 5.0, seed: int = 7) -> MultiVu:
    cryostat = CryostatSettings(start_K=start_K, cooling_W_per_K=0.05)
    world = World(WorldSettings(MAGNET, cryostat, load_sample("park2020_deficient")), VirtualClock(), seed)
    return kind(world, "multivu")


def told(mvu: MultiVu, command: str) -> str:
    """The result of a command, as the server comes to it: a wait passes its time."""
    if not command.startswith("WAITFOR "):
        return mvu.execute(command)
    passing = mvu.waiting(command.removeprefix("WAITFOR "))
    while True:
        try:
            pause_s = next(passing)
        except StopIteration as end:
            return end.value
        mvu.world.clock.sleep(pause_s)


# Framing


def test_a_message_is_a_length_a_header_and_a_body() -> None:
    data = encode({"id": "1", "action": "TEMP?", "query": "", "result": "µ"})
    length = struct.unpack(">H", data[:2])[0]
    header = json.loads(data[2 : 2 + length])
    assert set(header) == {"byteorder", "message-type", "message-encoding", "message-length"}
    assert header["message-type"] == "text/json"
    assert header["message-length"] == len(data) - 2 - length
    assert json.loads(data[2 + length :])["result"] == "µ"


@settings(deadline=None)
@given(cuts=st.lists(st.integers(1, 40), max_size=20), count=st.integers(1, 4))
def test_messages_come_out_however_they_are_packed(cuts: list[int], count: int) -> None:
    messages = [{"id": str(n), "action": "FIELD?", "query": "", "result": "é" * n} for n in range(count)]
    data = b"".join(encode(message) for message in messages)
    reader, got, at = Reader(), [], 0
    for cut in [*cuts, len(data)]:
        got += list(reader.feed(data[at : at + cut]))
        at += cut
    assert got == messages


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x05*IDN?",
        b"\x00\x02[]",
        b"\x00\x02{}",
        b"\x00\x03{{}",
        b"GET / HTTP/1.1\r\n" + b"x" * 20000,
        encode({"id": "1"}).replace(b"utf-8", b"utf-9"),
        encode({"id": "1"}).replace(b'"message-length": 11', b'"message-length": -1'),
        encode({"id": "1"}).replace(b'"message-length": 11', b'"message-length": 9999999'),
        encode({"id": "1"})[:-11] + b"[[[[[[[[[[[",
    ],
)
def test_what_is_no_message_is_an_error(data: bytes) -> None:
    with pytest.raises(ReplyError):
        list(Reader().feed(data))


# Answers


@pytest.mark.parametrize(
    ("kind", "command", "answer"),
    [
        (multivu.MPMS3, "FIELD? ", "0.0,Oe,Stable"),
        (multivu.DynaCool, "FIELD? ", "0.0,Oe,Holding (driven)"),
        (multivu.MPMS3, "CHAMBER? ", "0.0,,Purged and Sealed"),
        (multivu.MPMS3, "TEMP_SETPOINTS? ", "(5.0, 1.0, 0),K,Call was successful"),
        (multivu.PPMS, "FIELD_SETPOINTS? ", "(0.0, 200.0, 0, 1),Oe,Call was successful"),
        (multivu.MPMS3, "FIELD_SETPOINTS? ", "MultiPyVuError: MPMS3 does not support getting field set points"),
        (multivu.MPMS3, "TEMP 10.0,5.0,0", "TEMP Command Received"),
        (multivu.MPMS3, "FIELD 100.0,10.0,1,1", "FIELD Command Received"),
        (multivu.MPMS3, "CHAMBER 1", "CHAMBER Command Received"),
        (multivu.MPMS3, "WAITFOR? 1", "1,,Call was successful"),
        (multivu.MPMS3, "WAITFOR 0.0,0.0,0", "WAITFOR Command Received,0"),
        (multivu.MPMS3, "LEVEL? ", 'MultiPyVuError: Unknown command: "LEVEL".'),
        (multivu.MPMS3, "temp? ", "The command 'temp?' has not been implemented."),
        (multivu.MPMS3, "TEMP ten,5.0,0", "The command 'TEMP' has not been implemented."),
        (multivu.MPMS3, "TEMP 10.0,5.0,0.5", "The command 'TEMP' has not been implemented."),
        (multivu.MPMS3, "CHAMBER 9", "MultiPyVuError: The selected mode, 9, is out of bounds."),
        (multivu.MPMS3, "CHAMBER -1", "The command 'CHAMBER' has not been implemented."),
        (multivu.MPMS3, "FIELD 1.0,10.0,3,1", "MultiPyVuError: The approach, 3, is out of bounds."),
        (multivu.MPMS3, "FIELD 1.0,10.0,0,2", "MultiPyVuError: The driven mode, 2, is out of bounds."),
        (multivu.MPMS3, "FIELD 1.0,10.0,0,0", "MultiPyVuError: MPMS3 can only drive the magnet in driven mode."),
        (multivu.VersaLab, "FIELD 1.0,10.0,1,1", "MultiPyVuError: VERSALAB does not support the no_overshoot"),
        (multivu.MPMS3, "FIELD nan,10.0,0,1", "MultiPyVuError: Error when calling SetField()"),
        (multivu.MPMS3, "FIELD 1e+3,10.0,0,1", "MultiPyVuError: Error when setting the FIELD 1e: "),
        (multivu.MPMS3, "FIELD 70001.0,10.0,0,1", "MultiPyVuError: Error when calling SetField()"),
        (multivu.MPMS3, "FIELD -70000.0,700.0,0,1", "FIELD Command Received"),
        (multivu.VersaLab, "FIELD 30001.0,10.0,0,1", "MultiPyVuError: Error when calling SetField()"),
        (multivu.VersaLab, "TEMP 49.0,1.0,0", "MultiPyVuError: Error when calling SetTemperature()"),
        (multivu.MPMS3, "TEMP -1.0,1.0,0", "MultiPyVuError: Error when setting the TEMP -1.0,1.0,0: Temperature must"),
        (multivu.MPMS3, "WAITFOR 0.0,0.0,4", "MultiPyVuError: wait_for() cannot wait on the position"),
        (multivu.MPMS3, "WAITFOR 0.0,0.0,16", "MultiPyVuError: The mask, 16, is out of bounds."),
        (multivu.MPMS3, "WAITFOR 0.0,0.0,2", "MultiPyVuError: The MPMS3 cannot report its field set point"),
        (multivu.MPMS3, "POSITION? ", "MultiPyVuError: with the MPMS3"),
        (multivu.PPMS, "POSITION 400.0,1.0", "The command 'POSITION' has not been implemented."),
        (multivu.PPMS, "SDO? node: 21  index: 0x6001  sub_index: 0x1  type: double_t",
         "MultiPyVuError: ReadSDO returned error '5: CAN Error: Node was not found' while reading (node: 21"),
        (multivu.DynaCool, "SDO? node: 21  index: 0x6001  sub_index: 0x3  type: ushort_t", "0,,Call was successful"),
        (multivu.DynaCool, "SDO node: 21  index: 0x6001  sub_index: 0x3  type: ushort_t,1", "SDO Command Received"),
        (multivu.DynaCool, "SDO node: 21  index: 0x6001  sub_index: 0x1  type: double_t,1",
         "MultiPyVuError: Error when setting the SDO"),
        (multivu.DynaCool, "SDO? node 21", "The command 'SDO?' has not been implemented."),
    ],
)  # fmt: skip
def test_an_answer_begins_as_the_servers_does(kind: type[MultiVu], command: str, answer: str) -> None:
    start_K = 60.0 if kind is multivu.VersaLab else 5.0
    assert told(instrument(kind, start_K), command).startswith(answer)


def test_every_answer_repeats_on_the_same_seed() -> None:
    def history() -> list[str]:
        mvu = instrument()
        answers = [mvu.execute("TEMP 6.0,5.0,0"), mvu.execute("FIELD 2000.0,100.0,2,1")]
        for _ in range(50):
            mvu.world.clock.sleep(0.7)
            answers += [mvu.execute("TEMP? "), mvu.execute("FIELD? ")]
        return answers

    assert history() == history()


_WORDS = st.sampled_from(["TEMP", "FIELD", "CHAMBER", "SDO", "POSITION", "VECTOR_CART", "TEMP_SETPOINTS", "nonsense"])
_NUMBERS = st.sampled_from(["0", "1", "-1", "5.0", "1e400", "nan", "inf", "1e-400", "0x10", "", " ", "9" * 30, "µ"])


@pytest.fixture(scope="module")
def fuzzed() -> MultiVu:
    return instrument(multivu.PPMS)


@settings(max_examples=60, deadline=None)
@given(word=_WORDS, mark=st.sampled_from(["", "?"]), numbers=st.lists(_NUMBERS, max_size=5), rest=st.text(max_size=8))
def test_whatever_comes_is_answered_and_never_quenches(
    fuzzed: MultiVu, word: str, mark: str, numbers: list[str], rest: str
) -> None:
    mvu = fuzzed
    answer = mvu.execute(f"{word}{mark} {','.join(numbers)}{rest}")
    assert isinstance(answer, str)
    mvu.world.clock.sleep(1.0)
    mvu.execute("FIELD? ")
    assert not mvu.world.magnet.quenched
    assert abs(mvu.field.target_T) <= 9.0
    assert 1.8 <= mvu.temperature.target_K <= 400.0


# Time


def test_a_set_point_shows_at_once_and_its_state_a_moment_later() -> None:
    mvu, words = instrument(), []
    mvu.execute("TEMP 8.0,5.0,0")
    assert mvu.execute("TEMP_SETPOINTS? ").startswith("(8.0, 5.0, 0)")
    for _ in range(10):
        words.append(mvu.execute("TEMP? ").rpartition(",")[2])
        mvu.world.clock.sleep(0.2)
    assert words[:2] == ["Stable", "Stable"]
    assert words[-1] in ("Tracking", "Chasing")
    # So a wait does not end at the old set point.
    before_s = mvu.world.clock.now()
    assert told(mvu, "WAITFOR 0.0,0.0,1") == "WAITFOR Command Received,0"
    assert mvu.world.clock.now() - before_s > 36.0


def test_a_wait_that_begins_with_the_order_is_not_fooled_by_the_old_state() -> None:
    mvu = instrument()
    mvu.execute("TEMP 8.0,5.0,0")
    assert told(mvu, "WAITFOR 0.0,0.0,1").endswith(",0")
    assert mvu.world.cryostat.sample_K == pytest.approx(8.0, rel=1e-3)


@pytest.mark.parametrize("approach", [0, 1])
@pytest.mark.parametrize(("start_K", "stop_K", "rate"), [(5.0, 2.0, 2.0), (5.0, 20.0, 10.0), (290.0, 300.0, 5.0)])
def test_no_overshoot_comes_from_one_side_and_fast_settles_sooner(
    start_K: float, stop_K: float, rate: float, approach: int
) -> None:
    mvu = instrument(start_K=start_K)
    mvu.execute(f"TEMP {stop_K},{rate},{approach}")
    beyond = 0.0
    while mvu.world.clock.now() < 1200.0:
        mvu.world.clock.sleep(0.5)
        mvu.world.advance()
        over = (mvu.world.cryostat.sample_K - stop_K) * (1.0 if stop_K > start_K else -1.0)
        beyond = max(beyond, over)
    assert mvu.execute("TEMP? ").endswith("Stable")
    assert beyond < (3e-4 if approach else 2e-2) * stop_K
    assert mvu.world.cryostat.sample_K == pytest.approx(stop_K, rel=1e-3)


def test_nobody_need_look_while_a_field_takes_its_way() -> None:
    """A persistent field with its switch is an order of many stages: after an hour's sleep all of them are done."""
    watched, alone = instrument(multivu.PPMS), instrument(multivu.PPMS)
    for mvu in (watched, alone):
        mvu.execute("FIELD -20000.0,150.0,2,0")
    for _ in range(3600):
        watched.world.clock.sleep(1.0)
        watched.execute("FIELD? ")
    alone.world.clock.sleep(3600.0)
    assert alone.execute("FIELD? ") == watched.execute("FIELD? ")
    assert alone.execute("FIELD? ").endswith("Stable")
    assert alone.world.magnet.field() == pytest.approx(-2.0, abs=1e-3)
    assert alone.world.magnet.lead_current(3600.0) == 0.0
    assert not alone.world.magnet.heater_on


def test_a_ramp_slows_where_the_coil_is_slower() -> None:
    mvu = instrument()
    mvu.execute("FIELD 70000.0,700.0,0,1")
    mvu.world.clock.sleep(60000.0 / 700.0 + 10.0)
    assert float(mvu.execute("FIELD? ").split(",")[0]) == pytest.approx(60000.0 + 10.0 * 400.0, abs=10.0)
    mvu.world.clock.sleep(100.0)
    assert mvu.execute("FIELD? ") == "70000.0,Oe,Stable"
    assert not mvu.world.magnet.quenched


def test_a_new_order_in_a_ramp_turns_round_where_the_field_is() -> None:
    mvu = instrument()
    mvu.execute("FIELD 5000.0,100.0,0,1")
    mvu.world.clock.sleep(10.0)
    mvu.execute("FIELD -5000.0,100.0,0,1")
    mvu.world.clock.sleep(5.0)
    assert float(mvu.execute("FIELD? ").split(",")[0]) == pytest.approx(500.0, abs=1.0)


def test_a_bath_that_runs_dry_is_seen_and_stops_the_next_field() -> None:
    magnet = replace(MAGNET, coolant=HeliumSettings(start_percent=32.0, boil_off_l_per_h=1.0))
    laboratory = WorldSettings(magnet, CryostatSettings(), load_sample("park2020_deficient"))
    mvu = multivu.PPMS(World(laboratory, VirtualClock(), 7), "ppms")
    assert mvu.execute("FIELD 100.0,10.0,0,1") == "FIELD Command Received"
    assert mvu.helium_percent == pytest.approx(32.0)
    mvu.world.clock.sleep(3 * 3600.0)
    assert mvu.execute("FIELD 200.0,10.0,0,1") == "MultiPyVuError: Error when calling SetField()"
    assert mvu.helium_percent == pytest.approx(32.0 - 3.0 / 1.2, abs=0.1)
    assert instrument().helium_percent is None


# The server


class Client:
    """A bare socket that knows the messages."""

    def __init__(self, server: MultiVuServer) -> None:
        self.socket = socket.create_connection(server.address, timeout=10.0)
        self._reader = Reader()
        self._got: list[dict[str, str]] = []
        self._number = 0

    def send(self, **message: str) -> None:
        self.socket.sendall(encode({"id": "", "action": "", "query": "", "result": ""} | message))

    def receive(self) -> dict[str, str] | None:
        while not self._got:
            data = self.socket.recv(4096)
            if not data:
                return None
            self._got += self._reader.feed(data)
        return self._got.pop(0)

    def ask(self, action: str, query: str = "") -> str | None:
        self._number += 1
        name = str(self._number)
        self.send(id=name, action=action, query=query)
        kinds = []
        for _ in range(2):
            answer = self.receive()
            if answer is None:
                return None
            assert answer["id"] == name
            assert answer["action"] == action
            kinds.append(answer["message_type"])
        assert kinds == ["confirmed", "completed"]
        self.send(**(answer | {"message_type": "confirmed"}))
        self.answer = answer
        return answer["result"]


@pytest.fixture
def server() -> Iterator[MultiVuServer]:
    mvu = instrument(multivu.DynaCool)
    with MultiVuServer(mvu, mvu.world.clock, port=0) as server:
        yield server


@pytest.fixture
def clients(server: MultiVuServer) -> Iterator[Any]:
    made: list[Client] = []

    def make() -> Client:
        made.append(Client(server))
        return made[-1]

    yield make
    for client in made:
        client.socket.close()


def test_a_start_names_flavour_version_and_options(server: MultiVuServer, clients: Any) -> None:
    client = clients()
    host, port = client.socket.getsockname()
    assert client.ask("START") == f"Connected to DYNACOOL MultiVuServer at ('{host}', {port})"
    assert client.answer["query"] == "3.8.0;mv=1.3.0;t"


def test_a_start_that_names_a_version_gets_its_own(clients: Any) -> None:
    client = clients()
    client.ask("START", "9.1.2")
    assert client.answer["query"].startswith("9.1.2;")


def test_a_second_start_is_rejected_in_the_real_words_and_let_go(clients: Any) -> None:
    first, second = clients(), clients()
    first.ask("START")
    address = second.socket.getsockname()
    assert second.ask("START") == f"Connection attempt rejected from {address}: another client is connected."
    assert second.receive() is None
    assert first.ask("FIELD?") == "0.0,Oe,Holding (driven)"


def test_who_only_asks_whether_it_lives_is_let_go(clients: Any) -> None:
    first, onlooker = clients(), clients()
    first.ask("START")
    assert onlooker.ask("ALIVE").startswith("Connected to DYNACOOL MultiVuServer at")
    assert onlooker.answer["query"] == "ALIVE"
    assert onlooker.receive() is None
    assert first.ask("STATUS") == "connected"
    assert first.ask("STATUS") == "connected"


def test_after_close_the_next_may_start(clients: Any) -> None:
    first, second = clients(), clients()
    first.ask("START")
    assert first.ask("CLOSE") == f"Client {first.socket.getsockname()} disconnected."
    assert first.receive() is None
    assert second.ask("START").startswith("Connected to")


def test_exit_ends_the_server(server: MultiVuServer, clients: Any) -> None:
    client = clients()
    assert client.ask("EXIT") == "Closing client and exiting server."
    assert client.receive() is None
    server.close()
    with pytest.raises(OSError):
        socket.create_connection(server.address, timeout=1.0)


def test_an_answer_that_is_not_confirmed_comes_again(clients: Any) -> None:
    client = clients()
    client.send(id="a", action="FIELD?")
    assert client.receive()["message_type"] == "confirmed"
    first = client.receive()
    client.send(id="other", action="FIELD?", message_type="confirmed")
    assert client.receive() == first
    client.send(**(first | {"message_type": "confirmed"}))
    assert client.ask("CHAMBER?") == "0.0,,Purged and Sealed"


def test_a_request_that_comes_twice_is_done_once(clients: Any) -> None:
    client = clients()
    for _ in range(3):
        client.send(id="a", action="FIELD", query="100.0,10.0,0,1")
    assert [client.receive()["message_type"] for _ in range(2)] == ["confirmed", "completed"]
    client.send(id="a", message_type="confirmed")
    client.send(id="a", action="FIELD", query="100.0,10.0,0,1")
    assert client.ask("CHAMBER?") == "0.0,,Purged and Sealed"


def test_rubbish_ends_its_own_connection_only(clients: Any) -> None:
    rude, polite = clients(), clients()
    rude.socket.sendall(b"*IDN?\r\n*IDN?\r\n")
    assert rude.receive() is None
    assert polite.ask("START").startswith("Connected")


def test_half_a_character_is_answered_with_a_question_mark(clients: Any) -> None:
    client = clients()
    refusal = client.ask("FIELD", "\ud800")
    assert refusal is not None
    assert refusal.startswith("MultiPyVuError")
    assert client.answer["query"] == "?"
    assert client.ask("CHAMBER?") == "0.0,,Purged and Sealed"


@pytest.mark.parametrize("encoding", ["no such code", "hex", "x" * 1000, None, ["utf-8"]])
def test_a_message_in_an_encoding_of_its_own_ends_the_connection_and_python_does_not_remember_it(
    clients: Any, encoding: Any
) -> None:
    known = len(encodings._cache)  # pyright: ignore[reportAttributeAccessIssue]
    client = clients()
    head = json.dumps({
        "byteorder": "little", "message-type": "text/json", "message-encoding": encoding, "message-length": 2
    }).encode()  # fmt: skip
    client.socket.sendall(len(head).to_bytes(2, "big") + head + b"{}")
    assert client.receive() is None
    assert len(encodings._cache) == known  # pyright: ignore[reportAttributeAccessIssue]


def test_a_wait_ends_with_its_client(server: MultiVuServer, clients: Any) -> None:
    waiting, other = clients(), clients()
    waiting.send(id="x", action="WAITFOR", query="inf,0,1")
    assert waiting.receive()["message_type"] == "confirmed"
    waiting.send(id="y", action="CHAMBER?")
    waiting.socket.close()
    while len(server._connections) > 1:
        assert other.ask("CHAMBER?") == "0.0,,Purged and Sealed"


def test_a_wait_passes_laboratory_time_and_lets_others_speak(server: MultiVuServer, clients: Any) -> None:
    waiting, other = clients(), clients()
    waiting.send(id="w", action="WAITFOR", query="0.0,0.0,1")
    assert waiting.receive()["message_type"] == "confirmed"
    assert waiting.receive()["result"] == "WAITFOR Command Received,0"
    # A wait for what never comes ends with the server.
    waiting.send(id="w", message_type="confirmed")
    waiting.ask("FIELD", "20000.0,1.0,0,1")
    waiting.send(id="x", action="WAITFOR", query="0.0,0.0,2")
    assert waiting.receive()["message_type"] == "confirmed"
    assert [other.ask("CHAMBER?") for _ in range(3)] == ["0.0,,Purged and Sealed"] * 3
    server.close()
    assert waiting.receive() is None


def test_instruments_on_one_clock_share_their_turns() -> None:
    mvu = instrument()
    clock = mvu.world.clock
    lockin = SR830(mvu.world, "lockin", "xx")
    with (
        serve({"lockin": lockin}, clock) as laboratory,
        MultiVuServer(mvu, clock, port=0, turn=laboratory.turn) as server,
    ):
        waiting = Client(server)
        waiting.ask("FIELD", "10000.0,100.0,0,1")
        start_s = clock.now()
        line = socket.create_connection(laboratory.addresses["lockin"], timeout=10.0)
        wave = threading.Thread(target=waiting.ask, args=("WAITFOR", "0.0,0.0,2"))
        wave.start()
        with line, line.makefile("rb") as replies:
            for _ in range(50):
                line.sendall(b"SENS?\n")
                assert replies.readline() == b"26\n"
        wave.join(30.0)
        assert waiting.answer["result"] == "WAITFOR Command Received,0"
        waiting.socket.close()
        # A hundred seconds of ramp and the approach: what others asked meanwhile took its share of the same time.
        assert 100.0 < clock.now() - start_s < 106.0
        assert mvu.world.magnet.field() == pytest.approx(1.0, abs=1e-3)


def test_closing_leaves_no_thread(server: MultiVuServer, clients: Any) -> None:
    clients().ask("START")
    server.close()
    server.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("MultiVu ")]
