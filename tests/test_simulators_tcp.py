"""The laboratory on sockets: many clients, rubbish, and a clean end."""

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from remanence.core.clock import VirtualClock
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.front_panel import FrontPanel
from remanence.simulators.lakeshore import Model350
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.srs import SR830
from remanence.simulators.tcp import TcpServer, serve
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
