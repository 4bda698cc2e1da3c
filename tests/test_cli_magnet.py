"""`remanence magnet`: what a person sees of a magnet, and what only a person may say; most on a rig behind sockets."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from remanence.cli import magnet as command
from remanence.cli.magnet import run_magnet
from remanence.core.capabilities import MagnetPowerSupply
from remanence.core.clock import VirtualClock
from remanence.core.errors import CommunicationError, ConfigError, DeviceFault, StationLocked
from remanence.engine.station import Station
from remanence.engine.station_file import reference_station
from remanence.instruments.guard_states import LastOrder, Remembered
from remanence.instruments.magnet_memory import DiskFiles, MagnetMemory, MemoryFiles

from .station_rig import STATION as SLOW_STATION
from .station_rig import Rig, rig

# A supply that answers at once: the other's pauses between two commands are minutes of waiting in this file.
SERIAL = "SN430006"
NOBODY = '"TCPIP0::127.0.0.1::9::SOCKET"'
STATION = (
    SLOW_STATION.replace("cryogenic:SMS120C", "ami:AMI430")
    .replace('"ASRL3::INSTR"', NOBODY)
    .replace("{ tesla_per_ampere = 0.135 }", "{ tesla_per_ampere = 0.135, greeting = true }")
    .replace('serial = "bench"', f'serial = "{SERIAL}"')
)
SWITCH = 'switch = { warm_time = "20 s", cool_time = "20 s", match = "0.1 A", leads_rate = "0.5 A/s" }'
SWITCHED = STATION.replace('switch = "none"', SWITCH)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REMANENCE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def bench(tmp_path: Path, state: Path) -> Iterator[Rig]:
    with rig(tmp_path, STATION) as laboratory:
        yield laboratory


def memory(state: Path) -> MagnetMemory:
    return MagnetMemory(DiskFiles(state / "magnets"), SERIAL, VirtualClock())


def say(
    path: Path, act: str | None = None, *, person: str = "", reason: str = "", field: str = "", magnet: str | None = None,
    simulate: bool = False, yes: bool = True, json: bool = True, files: MemoryFiles | None = None,
) -> int:  # fmt: skip
    return run_magnet(
        path, act, magnet=magnet, person=person, reason=reason, field=field, simulate=simulate, yes=yes, json=json,
        files=files,
    )  # fmt: skip


def seen(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


def test_a_magnet_is_shown_and_sent_nothing(bench: Rig, capsys: pytest.CaptureFixture[str]):
    assert say(bench.path, json=False) == 0
    shown = capsys.readouterr().out
    for words in (f"supply {SERIAL}", "HOLD: at rest", "+0.0000 T (+0.000 A), holding", "none on record", "nobody"):
        assert words in shown
    assert "magnet" not in bench.orders()


def test_what_is_on_record_is_shown_with_the_last_lines_of_the_journal(
    bench: Rig, state: Path, capsys: pytest.CaptureFixture[str]
):
    kept = memory(state)
    kept.store(Remembered(20.0, "", LastOrder(20.0, 0.04, True), note="left on Monday"))
    for number in range(20):
        kept.note(f"order {number}")
    assert say(bench.path) == 0
    facts = seen(capsys)
    assert facts["coil_T"] == pytest.approx(2.7)
    assert facts["record"] == "left on Monday"
    assert [line["text"] for line in facts["journal"]] == [f"order {n}" for n in range(12, 20)]
    assert say(bench.path, json=False) == 0
    shown = capsys.readouterr().out
    assert "+2.7000 T by the record" in shown
    assert "to +2.7000 T, at 5.4 mT/s, heater on" in shown
    assert "order 19" in shown


def test_a_latched_quench_is_shown_and_cleared_by_name_and_reason(
    bench: Rig, state: Path, capsys: pytest.CaptureFixture[str]
):
    memory(state).store(Remembered(quench="the supply reports a quench: F4"))
    assert say(bench.path) == 0
    facts = seen(capsys)
    assert facts["state"] == "QUENCHED"
    assert "nobody has cleared it" in str(facts["why"])
    assert say(bench.path, "clear-quench", person="Ada", reason="helium was low, refilled") == 0
    assert seen(capsys)["state"] == "HOLD"
    assert memory(state).load().quench == ""
    assert memory(state).last_notes(1)[0].text == "clear quench, by Ada: helium was low, refilled"
    assert "magnet" not in bench.orders()


def test_a_record_that_cannot_be_read_blocks_until_somebody_has_looked(
    bench: Rig, state: Path, capsys: pytest.CaptureFixture[str]
):
    memory(state).store(Remembered())
    (file,) = (state / "magnets").glob("*.json")
    file.write_text("{")
    assert say(bench.path) == 0
    assert seen(capsys)["state"] == "FAULT"
    assert say(bench.path, "acknowledge", person="Ada") == 0
    assert seen(capsys)["state"] == "HOLD"
    assert memory(state).load().unreadable == ""


def test_what_a_cold_coil_keeps_is_declared_and_the_supply_is_sent_nothing(
    tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]
):
    with rig(tmp_path, SWITCHED) as laboratory:
        with Station.open(laboratory.path, look_only=True) as station:
            supply = station.instruments["magnet"]
            assert isinstance(supply, MagnetPowerSupply)
            supply.set_heater(False)
        before = laboratory.orders()["magnet"][:]
        assert say(laboratory.path) == 0
        assert seen(capsys)["state"] == "COOLING"
        assert say(laboratory.path, "declare-coil", person="Ada", field="2.0 T") == 0
        said = capsys.readouterr()
        assert "keeps +2.0000 T" in said.err
        assert "IT QUENCHES" in said.err
        assert json.loads(said.out)["coil_T"] == pytest.approx(2.0)
        assert json.loads(said.out)["record"] == "declared by Ada"
        with pytest.raises(ConfigError, match="unit"):
            say(laboratory.path, "declare-coil", person="Ada", field="2.0")
        assert laboratory.orders()["magnet"] == before


def test_what_the_guard_does_not_accept_is_an_error_and_changes_no_record(bench: Rig, state: Path):
    before = memory(state).load()
    for refused in (
        lambda: say(bench.path, "acknowledge", person="Ada"),
        lambda: say(bench.path, "clear-quench", person="Ada", reason="none"),
        lambda: say(bench.path, "declare-coil", person="Ada", field="1 T"),
    ):
        with pytest.raises(DeviceFault):
            refused()
    assert memory(state).load() == before


def test_without_a_terminal_nothing_is_said_for_anybody(bench: Rig, state: Path):
    memory(state).store(Remembered(quench="F4"))
    with pytest.raises(ConfigError, match="no terminal"):
        say(bench.path, "clear-quench", person="Ada", reason="refilled", yes=False)
    assert memory(state).load().quench == "F4"


@pytest.mark.parametrize("sure", [True, False])
def test_at_a_terminal_it_is_asked_once(
    bench: Rig, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sure: bool
):
    asked: list[str] = []

    def confirm(text: str, **_options: bool) -> None:
        asked.append(text)
        if not sure:
            raise typer.Abort

    monkeypatch.setattr(command.sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(typer, "confirm", confirm)
    memory(state).store(Remembered(quench="F4"))
    if sure:
        assert say(bench.path, "clear-quench", person="Ada", reason="refilled", yes=False) == 0
    else:
        with pytest.raises(typer.Abort):
            say(bench.path, "clear-quench", person="Ada", reason="refilled", yes=False)
    assert asked == ["Go on?"]
    assert memory(state).load().quench == ("" if sure else "F4")
    said = capsys.readouterr().err
    assert "LATCHED: F4" in said
    assert "the switch heater is not touched" in said.replace("\n", " ")


@pytest.mark.parametrize(
    ("act", "words", "said"),
    [
        ("acknowledge", {}, "needs --by"),
        ("acknowledge", {"person": " "}, "needs --by"),
        ("clear-quench", {"person": "Ada"}, "needs --reason"),
        ("declare-coil", {"person": "Ada"}, "needs --field"),
        ("acknowledge", {"person": "Ada", "field": "2 T"}, "no use for --field"),
        (None, {"person": "Ada"}, "looking has no use for --by"),
        ("quench", {"person": "Ada"}, "cannot be told 'quench'"),
        ("declare-coil", {"person": "Ada", "field": "two tesla"}, "two tesla"),
    ],
)
def test_a_word_that_is_missing_or_too_many_is_told_before_anything_is_opened(
    tmp_path: Path, act: str | None, words: dict[str, Any], said: str
):
    with pytest.raises(ConfigError, match=said):
        say(tmp_path / "no such file.toml", act, **words)


def test_a_magnet_that_another_program_drives_is_shown_and_told_nothing(
    bench: Rig, state: Path, capsys: pytest.CaptureFixture[str]
):
    with Station.open(bench.path) as driving:
        driving.guards["magnet"].sweep_to(0.5, 0.002)
        assert say(bench.path) == 0
        facts = seen(capsys)
        assert facts["state"] == "RAMP"
        assert "process" in str(facts["driven_by"])
        with pytest.raises(StationLocked, match="drives"):
            say(bench.path, "acknowledge", person="Ada")


def test_a_ramp_by_no_order_on_record_is_told_and_left_to_whoever_opens_the_station(
    bench: Rig, capsys: pytest.CaptureFixture[str]
):
    with Station.open(bench.path, look_only=True) as station:
        supply = station.instruments["magnet"]
        assert isinstance(supply, MagnetPowerSupply)
        supply.set_rate(0.02)
        supply.set_target(20.0)
        supply.go()
    before = bench.orders()["magnet"][:]
    assert say(bench.path, json=False) == 0
    shown = capsys.readouterr().out
    assert "by no order that is on record" in shown
    assert "it goes on to +2.7000 T" in shown
    assert bench.orders()["magnet"] == before


def test_a_supply_that_does_not_answer_is_shown_by_its_record(
    tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]
):
    memory(state).store(Remembered(20.0, note="left on Monday"))
    path = tmp_path / "station.toml"
    magnet, guard = STATION.split("[instruments.cryostat]")[0], STATION.split("[guard.magnet]")[1]
    path.write_text(f"{magnet}[roles]\n[guard.magnet]{guard}")
    assert say(path) == CommunicationError.exit_code
    facts = seen(capsys)
    assert facts["state"] == "COMM_LOST"
    assert facts["coil_T"] == pytest.approx(2.7)
    with pytest.raises(CommunicationError):
        say(path, "acknowledge", person="Ada")
    capsys.readouterr()
    say(path, json=False)
    assert "not known" in capsys.readouterr().out


def test_a_magnet_that_is_only_monitored_says_what_is_missing(
    tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]
):
    with rig(tmp_path, STATION.replace('settle = "1 s"\n', "")) as laboratory:
        assert say(laboratory.path) == 0
        facts = seen(capsys)
        assert facts["state"] == "MONITOR"
        assert "'settle' is missing" in str(facts["why"])
        with pytest.raises(DeviceFault, match="'settle' is missing"):
            say(laboratory.path, "acknowledge", person="Ada")


def test_one_of_several_magnets_must_be_named(capsys: pytest.CaptureFixture[str]):
    several = reference_station().with_name("benches") / "ami.station.toml"
    with pytest.raises(ConfigError, match="several magnets"):
        say(several, simulate=True)
    with pytest.raises(ConfigError, match="no magnet 'y'"):
        say(several, simulate=True, magnet="y")
    assert say(several, simulate=True, magnet="magnet_y") == 0
    assert seen(capsys)["magnet"] == "magnet_y"


def test_the_command_works_on_the_simulated_twin(tmp_path: Path):
    several = reference_station().with_name("benches") / "ami.station.toml"
    words = [sys.executable, "-c", "from remanence.cli.main import main; main()", "magnet"]
    done = subprocess.run(
        [*words, str(several), "--magnet", "magnet_y", "--simulate"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "it is simulated" in done.stdout
