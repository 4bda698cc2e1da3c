"""The laboratory on sockets: many clients, rubbish, and a clean end."""

import socket
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import pyvisa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyvisa.constants import StatusCode
from remanence.core.clock import ScaledClock, VirtualClock
from remanence.engine.station_file import bench, read_station
from remanence.engine.twin import build_panels, build_world
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import FrontPanel
from remanence.simulators.lakeshore import Model350
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.srs import SR830
from remanence.simulators.tcp import TcpServer, serve
from remanence.simulators.turn import Turn
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((111.0, 0.044),))


class Polite(FrontPanel):
    """Says hello by itself."""

    greeting = b"Welcome\r\n"

    def execute(self, command: str) -> str | None:
        return command


def panels_on(clock: VirtualClock) -> dict[str, FrontPanel]:
    world = World(WorldSettings(MAGNET, CryostatSettings(), load_sample("park2020_deficient")), clock, 1)
    return {
        "lockin": SR830(world, "lockin", "xx"),
        "cryostat": Model350(world, "cryostat"),
        "polite": Polite(world, "polite"),
    }


class Client:
    """A bare socket that sends bytes and waits for a line."""

    def __init__(self, server: TcpServer, name: str) -> None:
        self.socket = socket.create_connection(server.addresses[name], timeout=10.0)
        self._file = self.socket.makefile("rb")

    def ask(self, data: bytes) -> bytes:
        self.socket.sendall(data)
        return self._file.readline()

    def take(self, count: int) -> bytes:
        return self._file.read(count)

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[TcpServer]:
    with serve(panels_on(clock), clock) as server:
        yield server


def test_every_instrument_has_a_port_of_its_own(server: TcpServer) -> None:
    assert set(server.addresses) == {"lockin", "cryostat", "polite"}
    assert len({port for _, port in server.addresses.values()}) == 3


def test_a_query_costs_its_latency_in_laboratory_time_only(server: TcpServer, clock: VirtualClock) -> None:
    client = Client(server, "lockin")
    for count in range(1, 6):
        assert client.ask(b"*ESE?\n") == b"0\n"
        assert clock.now() == pytest.approx(0.01 * count)
    client.close()


def greeted_after_silence(server: TcpServer) -> bool:
    """As PyVISA-py clears a socket: what comes until 100 ms of silence is dropped. Then the greeting is read."""
    client = Client(server, "polite")
    client.socket.settimeout(0.1)
    try:
        while client.socket.recv(100):
            pass
    except TimeoutError:
        client.socket.settimeout(0.6)
    try:
        return client.socket.recv(100) == b"Welcome\r\n"
    except TimeoutError:
        return False
    finally:
        client.close()


def test_a_greeting_waits_for_a_client_that_clears_its_socket_whatever_the_clock(server: TcpServer) -> None:
    # On a busy computer a client may itself be late: one of five must have been in time.
    assert any(greeted_after_silence(server) for _ in range(5))


def test_a_greeting_comes_by_itself_after_its_pause(server: TcpServer, clock: VirtualClock) -> None:
    client = Client(server, "polite")
    assert client.ask(b"") == b"Welcome\r\n"
    assert clock.now() == pytest.approx(0.3)
    client.close()


def test_commands_may_come_in_pieces_and_several_at_once(server: TcpServer) -> None:
    client = Client(server, "lockin")
    for piece in (b"*E", b"S", b"E?"):
        client.socket.sendall(piece)
    assert client.ask(b"\r\nOFLT?\nSENS?;OFSL?\n") == b"0\n"
    assert [client.ask(b"") for _ in range(3)] == [b"8\n", b"26\n", b"1\n"]
    client.close()


def test_many_clients_at_once_each_get_their_own_replies_and_time_is_the_sum(
    server: TcpServer, clock: VirtualClock
) -> None:
    wrong: list[bytes] = []

    def talk(name: str, query: bytes, expected: bytes) -> None:
        client = Client(server, name)
        wrong.extend(reply for _ in range(50) if not (reply := client.ask(query)).startswith(expected))
        client.close()

    threads = [
        threading.Thread(target=talk, args=("lockin", b"*IDN?\n", b"Stanford")),
        threading.Thread(target=talk, args=("lockin", b"SENS?\n", b"26")),
        threading.Thread(target=talk, args=("cryostat", b"*IDN?\r\n", b"LSCI")),
        threading.Thread(target=talk, args=("cryostat", b"KRDG? B\r\n", b"+0")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert wrong == []
    assert clock.now() == pytest.approx(50 * (0.01 + 0.01 + 0.02 + 0.02))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rubbish=st.lists(st.binary(min_size=1, max_size=3000), max_size=5))
def test_rubbish_and_sudden_ends_leave_the_server_serving(server: TcpServer, rubbish: list[bytes]) -> None:
    rude = Client(server, "lockin")
    for data in rubbish:
        rude.socket.sendall(data)
    rude.close()
    client = Client(server, "lockin")
    assert client.ask(b"*IDN?\n").startswith(b"Stanford")
    client.close()


def test_closing_ends_connections_and_threads_and_twice_is_fine(clock: VirtualClock) -> None:
    before = threading.active_count()
    server = serve(panels_on(clock), clock)
    client = Client(server, "lockin")
    assert client.ask(b"SENS?\n") == b"26\n"
    server.close()
    server.close()
    assert client.ask(b"") == b""
    client.close()
    assert threading.active_count() == before


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_open(server: TcpServer, clock: VirtualClock) -> None:
    with pytest.raises(OSError):
        serve(panels_on(clock), clock, ports=server.addresses["lockin"][1])


# Both transports


class Two(FrontPanel):
    """Takes two clients; slow at one thing; keeps what reaches it beside the lines."""

    clients: ClassVar[int | None] = 2
    reply_end = b"\n"

    def __init__(self, world: World, name: str, wiring: str = "") -> None:
        super().__init__(world, name, wiring)
        self.events: list[str] = []
        self.service = 0

    def execute(self, command: str) -> str | None:
        if command == "PUSH":
            self.push(b"pushed\n")
            return None
        return command if command.endswith("?") else None

    def latency_of(self, command: str) -> float:
        return 5.0 if command == "SLOW?" else 0.02

    def status_byte(self) -> int:
        return self.service

    def clear(self) -> None:
        self.events.append("clear")

    def trigger(self) -> None:
        self.events.append("trigger")


def two_on(clock: Any) -> Two:
    return Two(World(WorldSettings(MAGNET, CryostatSettings(), load_sample("park2020_deficient")), clock, 1), "two")


def library(panels: dict[str, FrontPanel], clock: VirtualClock) -> pyvisa.ResourceManager:
    virtual: Any = VirtualVisaLibrary(panels, clock)
    return pyvisa.ResourceManager(virtual)


def served(server: TcpServer) -> bool:
    """True if one more client is let in."""
    try:
        client = Client(server, "two")
    except ConnectionError:
        return False
    try:
        return client.ask(b"A?\n") == b"A?\n"
    except ConnectionError:
        return False
    finally:
        client.close()


def test_a_third_client_is_shut_out_and_let_in_when_another_has_gone(clock: VirtualClock) -> None:
    with serve({"two": two_on(clock)}, clock) as server:
        first, second = Client(server, "two"), Client(server, "two")
        assert [client.ask(b"A?\n") for client in (first, second)] == [b"A?\n"] * 2
        assert not served(server)
        first.close()
        assert any(served(server) for _ in range(100))
        second.close()


def test_the_library_counts_clients_on_the_network_only(clock: VirtualClock) -> None:
    two = two_on(clock)
    manager = library({"TCPIP0::10.0.0.1::7777::SOCKET": two, "GPIB0::1::INSTR": two}, clock)
    opened = [manager.open_resource("TCPIP0::10.0.0.1::7777::SOCKET") for _ in range(2)]
    with pytest.raises(pyvisa.VisaIOError) as caught:
        manager.open_resource("TCPIP0::10.0.0.1::7777::SOCKET")
    assert caught.value.error_code == StatusCode.error_resource_busy
    assert manager.open_resource("GPIB0::1::INSTR")
    opened[0].close()
    assert manager.open_resource("TCPIP0::10.0.0.1::7777::SOCKET")
    manager.close()


def test_each_command_has_its_own_latency_on_both(clock: VirtualClock) -> None:
    manager = library({"GPIB0::1::INSTR": two_on(clock)}, clock)
    here: Any = manager.open_resource("GPIB0::1::INSTR", read_termination="\n", timeout=10_000)
    for query, at_s in (("A?", 0.02), ("SLOW?", 5.02), ("B?", 5.04)):
        assert here.query(query) == query
        assert clock.now() == pytest.approx(at_s)
    manager.close()
    there = VirtualClock()
    with serve({"two": two_on(there)}, there) as server:
        client = Client(server, "two")
        for query, at_s in ((b"A?\n", 0.02), (b"SLOW?\n", 5.02), (b"B?\n", 5.04)):
            assert client.ask(query) == query
            assert there.now() == pytest.approx(at_s)
        client.close()


def test_a_busy_instrument_makes_the_next_sender_wait(clock: VirtualClock) -> None:
    manager = library({"GPIB0::1::INSTR": two_on(clock)}, clock)
    opened: Any = manager.open_resource("GPIB0::1::INSTR", read_termination="\n", timeout=10_000)
    opened.write("SLOW?")
    opened.write("A?")
    assert clock.now() == pytest.approx(5.0)
    assert [opened.read(), opened.read()] == ["SLOW?", "A?"]
    assert clock.now() == pytest.approx(5.02)
    manager.close()


def test_device_clear_trigger_serial_poll_and_service_request_reach_the_panel(clock: VirtualClock) -> None:
    two = two_on(clock)
    manager = library({"GPIB0::1::INSTR": two, "TCPIP0::10.0.0.1::7777::SOCKET": two}, clock)
    opened: Any = manager.open_resource("GPIB0::1::INSTR", read_termination="\n")
    assert opened.stb == 0
    opened.write("A?")
    assert opened.stb == 0
    clock.sleep(0.03)
    assert opened.stb == 16
    opened.clear()
    opened.assert_trigger()
    assert two.events == ["clear", "trigger"]
    two.service = 64 + 4
    assert opened.stb == 68
    opened.wait_for_srq(1000)
    two.service = 0
    with pytest.raises(pyvisa.VisaIOError):
        opened.wait_for_srq(1000)
    # A socket has no such thing: clearing it only drops what has come.
    plain: Any = manager.open_resource("TCPIP0::10.0.0.1::7777::SOCKET", read_termination="\n")
    plain.write("A?")
    plain.clear()
    assert two.events == ["clear", "trigger"]
    with pytest.raises(pyvisa.VisaIOError):
        plain.read_stb()
    assert plain.query("B?") == "B?"
    manager.close()


def test_what_a_panel_pushes_reaches_every_client(clock: VirtualClock) -> None:
    with serve({"two": two_on(clock)}, clock) as server:
        talking, listening = Client(server, "two"), Client(server, "two")
        assert [client.ask(b"A?\n") for client in (talking, listening)] == [b"A?\n"] * 2
        assert talking.ask(b"PUSH\n") == b"pushed\n"
        assert listening.ask(b"") == b"pushed\n"
        talking.close()
        listening.close()


def test_who_never_reads_holds_up_nobody_and_is_not_kept_for(clock: VirtualClock) -> None:
    two = two_on(clock)
    with serve({"two": two}, clock) as server:
        deaf, other = Client(server, "two"), Client(server, "two")
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.ask(b"A?\n")
        for _ in range(200):
            two.push(b"x" * 100_000 + b"\n")
        assert other.ask(b"").startswith(b"x")
        other.close()
        # The server notices the end of a connection in a moment of its own; then there is room for one more.
        while len(two.conversations) > 1:
            pass
        another = Client(server, "two")
        assert sum(len(conversation.outgoing) for conversation in two.conversations) <= 4096
        another.close()
        deaf.close()


SESSION = {
    "sms120c": ["PAUSE ON", "SET RAMP 0.04", "SET MID 2", "RAMP MID", "PAUSE OFF", "GET OUTPUT", "RAMP STATUS"],
    "ips120": ["C3", "A0", "J0.1", "T0.5", "A1", "X", "R7", "R8"],
    "ami430": ["CONF:FIELD:UNITS 1", "CONF:FIELD:TARG 0.1", "RAMP", "FIELD:MAG?", "STATE?", "SYST:ERR?"],
    "ls350": ["SETP 1,8", "RANGE 1,3", "KRDG? A", "KRDG? B;HTR? 1", "RDGST? A"],
    "k6221": ["SOUR:WAVE:FUNC SIN;AMPL 1E-6;FREQ 17.77;PMAR:STAT ON", "SOUR:WAVE:ARM;INIT", "SYST:ERR?"],
    "sr830": ["FMOD 0;SENS 20;OFLT 8", "SNAP? 1,2", "LIAS?", "OUTP? 3;OUTP? 4"],
    "dsp7265": ["TC 10", "X.", "ST", "MAG."],
    "mercury_itc": ["READ:DEV:MB1.T1:TEMP:SIG:TEMP", "*IDN?"],
}  # fmt: skip


def session_here() -> list[tuple[str, str, bytes]]:
    """Everything that comes back in process, with the clock moved by the latencies and a second between rounds."""
    clock = VirtualClock()
    description = read_station(bench("everything"), drivers=False)
    panels = build_panels(description, build_world(description, clock, 5))
    manager = library(panels, clock)
    opened: dict[str, Any] = {
        name: manager.open_resource(description.instruments[name].resource, timeout=3) for name in SESSION
    }
    panels[description.instruments["ami430"].resource].conversations[-1].outgoing.clear()  # its greeting
    clock.sleep(1.0 - clock.now())
    said: list[tuple[str, str, bytes]] = []
    for _ in range(3):
        for name, commands in SESSION.items():
            for command in commands:
                opened[name].write_raw(command.encode() + b"\n")
                conversation = panels[description.instruments[name].resource].conversations[-1]
                while conversation.outgoing:
                    ready_s, data = conversation.outgoing.popleft()
                    clock.sleep(ready_s - clock.now())
                    said.append((name, command, data))
        clock.sleep(1.0)
    manager.close()
    return said


def session_there(expected: list[tuple[str, str, bytes]]) -> list[tuple[str, str, bytes]]:
    """The same over sockets: after each command as many bytes are awaited as came in process."""
    clock = VirtualClock()
    description = read_station(bench("everything"), drivers=False)
    by_name = {panel.name: panel for panel in build_panels(description, build_world(description, clock, 5)).values()}
    chosen = {name: by_name[name] for name in SESSION}
    said: list[tuple[str, str, bytes]] = []
    awaited = list(expected)
    with serve(chosen, clock) as server:
        clients = {name: Client(server, name) for name in SESSION}
        assert all(clients["ami430"].ask(b"").endswith(b"\r\n") for _ in range(2))  # its greeting
        clock.sleep(1.0 - clock.now())
        for _ in range(3):
            for name, commands in SESSION.items():
                for command in commands:
                    before = by_name[name].received
                    clients[name].socket.sendall(command.encode() + b"\n")
                    while by_name[name].received == before:
                        pass  # without a reply, only this tells that it was done
                    while awaited and awaited[0][:2] == (name, command):
                        size = len(awaited.pop(0)[2])
                        said.append((name, command, clients[name].take(size)))
            clock.sleep(1.0)
        for client in clients.values():
            client.close()
    return said


def test_the_same_session_gives_the_same_bytes_in_process_and_on_sockets() -> None:
    here = session_here()
    there = session_there(here)
    assert {name for name, _, _ in here} == set(SESSION)
    assert there == here


def test_real_time_passes_for_all_instruments_at_once() -> None:
    clock = ScaledClock(20.0)
    with serve({"two": two_on(clock)}, clock) as server:
        slow, quick = Client(server, "two"), Client(server, "two")
        slow.socket.sendall(b"SLOW?\n")
        started_s = clock.now()
        assert quick.ask(b"A?\n") == b"A?\n"
        assert clock.now() - started_s < 3.0
        assert slow.ask(b"") == b"SLOW?\n"
        slow.close()
        quick.close()


def test_ports_may_be_given_by_instrument(clock: VirtualClock) -> None:
    with serve(panels_on(clock), clock) as first:
        port = first.addresses["lockin"][1]
    with serve(panels_on(clock), clock, ports={"lockin": port}) as server:
        assert server.addresses["lockin"] == ("127.0.0.1", port)
        assert server.addresses["cryostat"][1] not in (0, port)


def test_turns_are_given_in_the_order_of_asking() -> None:
    turn, order, ready = Turn(), [], threading.Event()

    def take(name: str) -> None:
        ready.set()
        with turn:
            order.append(name)

    threads = [threading.Thread(target=take, args=(name,)) for name in "abcd"]
    with turn:
        for number, thread in enumerate(threads):
            ready.clear()
            thread.start()
            ready.wait(5.0)
            while len(turn._queue) <= number:
                pass
    with turn:
        pass
    for thread in threads:
        thread.join(5.0)
    assert order == list("abcd")
