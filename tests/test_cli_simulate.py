"""`remanence simulate` as a process: what it prints, whom it serves, what its console does, how it ends."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pyvisa
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments.keithley import Keithley6221
from pymeasure.instruments.srs import SR830
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError
from remanence.engine.fault_text import parse_fault, read_faults
from remanence.engine.station_file import bench, read_station, reference_station
from remanence.engine.twin import build_panels, build_world
from remanence.simulators.faults import Fault
from remanence.simulators.front_panel import Conversation

REMANENCE = [sys.executable, "-c", "from remanence.cli.main import main; main()"]
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
BENCHES = ("paper", "oxford", "ami", "quantum-design", "everything")


class Serving:
    """A `remanence simulate` process with its instruments, asked for as JSON."""

    def __init__(self, *arguments: str, cwd: Path, **keywords: Any) -> None:
        command = [*REMANENCE, "simulate", "--json", *arguments]
        self.child = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **keywords,
        )
        self.instruments: dict[str, dict[str, str]] = {}

    def wait_for(self, count: int) -> None:
        assert self.child.stdout is not None
        for _ in range(count):
            facts = json.loads(self.child.stdout.readline())
            self.instruments[facts["name"]] = facts

    def type(self, line: str) -> str:
        """Type a line and give the line that answers."""
        assert self.child.stdin is not None
        assert self.child.stderr is not None
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        return self.child.stderr.readline().strip()

    def address(self, name: str) -> tuple[str, int]:
        _, host, port, _ = self.instruments[name]["resource"].split("::")
        return host, int(port)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.child.send_signal(how)
        self.child.communicate(timeout=60)
        return self.child.returncode


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    serving = Serving("--speed", "50", cwd=tmp_path_factory.mktemp("served"))
    serving.wait_for(5)
    yield serving
    assert serving.end() == 0


def test_each_line_says_where_an_instrument_is_and_how_its_lines_end(served: Serving) -> None:
    assert set(served.instruments) == {"magnet", "cryostat", "source", "lockin_xx", "lockin_xy"}
    for facts in served.instruments.values():
        assert set(facts) == {"name", "model", "resource", "read_termination", "write_termination"}
        assert re.fullmatch(r"TCPIP0::127\.0\.0\.1::\d+::SOCKET", facts["resource"])
    assert served.instruments["magnet"]["read_termination"] == "\r\n\x13"
    assert served.instruments["lockin_xx"]["model"] == "SR830"


def test_a_multivu_has_no_line_ends_to_tell(tmp_path: Path) -> None:
    serving = Serving("--bench", "quantum-design", cwd=tmp_path)
    description = read_station(bench("quantum-design"), drivers=False)
    serving.wait_for(len(description.instruments))
    ends = {
        facts["model"]: (facts["read_termination"], facts["write_termination"])
        for facts in serving.instruments.values()
    }
    assert {model for model, found in ends.items() if found == (None, None)} == {"DynaCool"}
    assert all(found == (None, None) or all(found) for found in ends.values())
    assert serving.end() == 0


def test_foreign_drivers_take_it_for_real_several_at_once(served: Serving) -> None:
    ends = {"visa_library": "@py", "read_termination": "\n", "write_termination": "\n"}
    source = Keithley6221(VISAAdapter(served.instruments["source"]["resource"], **ends))
    lockin = SR830(VISAAdapter(served.instruments["lockin_xx"]["resource"], **ends))
    other = SR830(VISAAdapter(served.instruments["lockin_xx"]["resource"], **ends))
    assert "6221" in source.id
    assert "SR830" in lockin.id
    source.waveform_function = "sine"
    source.waveform_amplitude = 1.41421356e-6
    source.waveform_frequency = 17.77
    source.waveform_use_phasemarker = True
    source.waveform_phasemarker_line = 3
    source.waveform_arm()
    source.waveform_start()
    lockin.write("FMOD 0")
    lockin.sensitivity = 1e-3
    lockin.time_constant = 0.03
    assert lockin.sensitivity == other.sensitivity == 1e-3
    time.sleep(0.5)  # noqa: TID251  25 s of laboratory time
    assert lockin.x == pytest.approx(700e-6, rel=0.02)  # 1 µA through the sample's 700 Ω
    manager = pyvisa.ResourceManager("@py")
    facts = served.instruments["cryostat"]
    plain: Any = manager.open_resource(
        facts["resource"], read_termination=facts["read_termination"], write_termination=facts["write_termination"]
    )
    assert plain.query("*IDN?").startswith("LSCI,MODEL350")
    plain.close()
    for adapter in (source.adapter, lockin.adapter, other.adapter):
        adapter.close()
    manager.close()


def test_the_console_makes_faults_and_says_what_it_does_not_understand(served: Serving) -> None:
    assert served.type("fault answer lockin_xy 77 on OFLT").startswith("answer lockin_xy '77' on OFLT at ")
    with socket.create_connection(served.address("lockin_xy"), timeout=10) as connection:
        connection.sendall(b"OFLT?\n")
        assert connection.recv(100) == b"77\n"
        connection.sendall(b"OFLT?\n")
        assert connection.recv(100) == b"8\n"
    assert "did you mean 'quench'" in served.type("fault quensh")
    assert "no instrument 'nobody'" in served.type("fault late nobody")
    assert "has not got an error queue" in served.type("fault errors_full lockin_xx")
    assert "is no command" in served.type("explode")


def own_terminal() -> None:
    """In the child, before it starts: what stands at its input becomes its terminal."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@posix
def test_on_a_terminal_the_laboratory_is_live_above_what_is_typed(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('[[fault]]\nkind = "answer"\ninstrument = "lockin_xx"\ntext = "1e400"\n')
    ours, theirs = os.openpty()
    child = subprocess.Popen(
        [*REMANENCE, "simulate", "--faults", "bad.toml", "--speed", "2"], cwd=tmp_path, stdin=theirs, stdout=theirs,
        stderr=theirs, start_new_session=True, preexec_fn=own_terminal, env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(theirs)
    seen = ""

    def until(pattern: str) -> str:
        nonlocal seen
        while not (found := re.search(pattern, seen)):
            assert select.select([ours], [], [], 60)[0], f"no {pattern!r} in {seen[-500:]!r}"
            seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(ours, 65536).decode())
        seen = seen[found.end() :]
        return found[0]

    address = until(r"lockin_xx.*::SOCKET").split("::")
    until(r"temperature +block 1\.\d+ K")
    until(r"fault +answer lockin_xx '1e400' at 0 s x1")
    with socket.create_connection((address[1], int(address[2])), timeout=10) as connection:
        connection.sendall(b"OUTP? 1\n")
        assert connection.recv(100) == b"1e400\n"
        until(r"lockin_xx +1 clients, 1 commands")
    os.write(ours, b"fault late magnet 3 x\x7fs\n")
    until(r"late magnet 3 s at \d")
    os.write(ours, b"qui")
    until(r"> qui")
    os.write(ours, b"t\n")
    until("closed")
    assert child.wait(timeout=60) == 0
    os.close(ours)


@posix
def test_in_the_background_with_ctrl_c_ignored_it_ends_on_sigterm(tmp_path: Path) -> None:
    """As a shell starts a job with `&`: Ctrl-C ignored, nothing to read."""
    serving = Serving(
        cwd=tmp_path, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN), start_new_session=True
    )
    serving.wait_for(5)
    assert serving.child.stdin is not None
    serving.child.stdin.close()
    serving.child.stdin = None
    serving.child.send_signal(signal.SIGINT)
    time.sleep(0.5)  # noqa: TID251
    assert serving.child.poll() is None
    assert serving.end(signal.SIGTERM) == 0


@posix
def test_ctrl_c_ends_it_while_a_client_waits(tmp_path: Path) -> None:
    serving = Serving("--bench", "everything", "--own-ports", cwd=tmp_path)
    serving.wait_for(len(read_station(bench("everything"), drivers=False).instruments))
    assert serving.instruments["ami430"]["resource"].endswith("::7180::SOCKET")
    with socket.create_connection(serving.address("mercury_ips"), timeout=10) as connection:
        connection.sendall(b"*IDN?\n")
        assert connection.recv(100).startswith(b"IDN:OXFORD INSTRUMENTS:MERCURY")
        assert serving.end(signal.SIGINT) == 0
        assert connection.recv(100) == b""


def test_list_tells_what_is_simulated_and_what_of_it_is_inferred(tmp_path: Path) -> None:
    done = subprocess.run(
        [*REMANENCE, "simulate", "--list", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    listed = [json.loads(line) for line in done.stdout.splitlines()]
    by_panel = {facts["panel"]: facts for facts in listed}
    assert by_panel["remanence.simulators.sr830:SR830"]["firmware"] == "1.07"
    assert len(listed) >= 20
    assert all(isinstance(sentence, str) for facts in listed for sentence in facts["inferred"])


# Without a process


@pytest.mark.parametrize("name", BENCHES)
def test_every_instrument_of_a_bench_answers_to_its_name(name: str) -> None:
    description = read_station(bench(name), drivers=False)
    world = build_world(description, VirtualClock(), 1)
    panels = build_panels(description, world)
    assert len(panels) == len(description.instruments)
    for panel in panels.values():
        if not panel.model:
            continue  # MultiVu speaks no lines
        conversation = Conversation(panel)
        said = b"".join(conversation.feed(ask) for ask in (b"*IDN?\r\n", b"V\r\n", b"GET TPA\r\n", b"ID\r\n"))
        assert len(said) > 5, panel.name
        world.clock.sleep(1.0)


def test_a_bench_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="ami, everything, oxford, paper, quantum-design"):
        bench("garage")


def test_a_station_of_panels_alone_can_only_be_simulated(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    text = reference_station().read_text(encoding="utf-8")
    path.write_text(
        text.replace('driver = "remanence.instruments.srs:SR830"', 'panel = "remanence.simulators.sr830:SR830"'),
        encoding="utf-8",
    )
    read_station(path, drivers=False)
    with pytest.raises(ConfigError, match="it can only be simulated"):
        read_station(path)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("quench", Fault("quench", at_s=7.0)),
        ("late magnet 3 s", Fault("late", "magnet", 7.0, amount=3.0)),
        ("late magnet 300 ms in 1 min for 2 min", Fault("late", "magnet", 67.0, 120.0, amount=0.3)),
        ("lost * at 100 s x3 on GET OUTPUT", Fault("lost", "*", 100.0, count=3, command="GET OUTPUT")),
        ("answer magnet '+9.9E37' with 0.5", Fault("answer", "magnet", 7.0, probability=0.5, text="+9.9E37")),
        ("turned magnet units=tesla", Fault("turned", "magnet", 7.0, text="units=tesla")),
        ("field_jump -2 mT", Fault("field_jump", at_s=7.0, amount=-2e-3)),
        ("endless magnet 1000", Fault("endless", "magnet", 7.0, amount=1000.0)),
    ],
)  # fmt: skip
def test_a_line_is_a_fault(line: str, fault: Fault) -> None:
    assert parse_fault(line, 7.0) == fault


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "there is no fault"), ("lat magnet", "did you mean 'late'"), ("late", "needs an instrument"),
        ("late magnet 3", "has no unit"), ("late magnet 3 T", "cannot be given in s"), ("lost magnet 3 s", "no amount"),
        ("late magnet in 5", "has no unit"), ("late magnet x0", "count of 1"), ("late magnet with 2", "probability"),
        ("answer magnet 'x", "quotation mark"), ("late magnet -3 s", "cannot be of"),
    ],
)  # fmt: skip
def test_a_line_that_is_none_is_refused(line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_fault(line, 0.0)


GOOD = """[[fault]]
kind = "late"
instrument = "magnet"
at = "1 min"
amount = "300 ms"

[[fault]]
kind = "noise"
instrument = "*"
amount = 0.01
for = "1 h"
"""


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (('"noise"', '"nose"'), 8, "no fault 'nose'"), (("0.01", '"1 s"'), 10, "cannot be given"),
        (('"1 h"', "3600"), 11, "has no unit"), (("for =", "fro ="), 11, "did you mean 'for'"),
        (('"300 ms"', "3"), 5, "has no unit"), (('instrument = "*"\n', ""), 7, "needs an instrument"),
        (('at = "1 min"', "at = [1]"), 4, "has no unit"), (("[[fault]]\nkind", "[[fault]\nkind"), None, "not TOML"),
    ],
)  # fmt: skip
def test_a_file_of_faults_is_read_or_refused_with_its_line(
    tmp_path: Path, change: tuple[str, str], line: int | None, said: str
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert read_faults(path) == [
        Fault("late", "magnet", 60.0, amount=0.3), Fault("noise", "*", for_s=3600.0, amount=0.01)
    ]  # fmt: skip
    path.write_text(GOOD.replace(*change, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_faults(path)
    assert said in str(caught.value)
    assert f"bad.toml:{line}:" in str(caught.value) or line is None
