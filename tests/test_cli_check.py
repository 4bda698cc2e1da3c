"""`remanence check`: what it finds, that it moves nothing, and that 0 means a run could start."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from remanence.cli import main
from remanence.core.clock import VirtualClock
from remanence.engine import inquiry, station
from remanence.engine.inquiry import Finding, Weight, exit_code, inquire
from remanence.engine.station import Station
from remanence.engine.station_file import bench, reference_station
from remanence.engine.twin import build_panels
from remanence.instruments.guard_states import Remembered
from remanence.instruments.magnet_memory import DiskFiles, MagnetMemory
from remanence.procedures.hall_loop import HallLoop
from typer.testing import CliRunner

from .station_rig import STATION, overhear, rig

# What a driver puts right at opening so that it can read at all: of these none moves or switches anything.
_PUT_RIGHT = {"C3", "Q0", "Q4", "REMOTE", "UNITS A", "DD 44"}


def look(path: Path, tmp_path: Path, **more: Any) -> dict[str, Finding]:
    found = inquire(path, root=tmp_path / "runs", state=tmp_path / "state", screen=lambda: "", **more)
    return {finding.name: finding for finding in found}


def test_a_rig_on_which_a_run_could_start_is_ready(tmp_path: Path):
    with rig(tmp_path) as laboratory:
        found = look(laboratory.path, tmp_path, procedure=HallLoop())
        assert [f.name for f in found.values() if f.weight is not Weight.OK] == []
        assert exit_code(list(found.values())) == 0
        assert found["cryostat"].data["serial"] == "350A123/1234567"
        guard = found["magnet guard"]
        assert "Guard armed: up to 15 T at 6 mT/s, 0.135 T/A" in guard.text
        assert guard.data["field_constant_T_per_A"] == 0.135
        assert "about 5 h 50 min" in found["HallLoop"].text
        assert "UTC" in found["clock"].text
        assert "not known" in found["clock"].text
        assert "GB free" in found["disk"].text
        assert "pyvisa" in found["versions"].text


@pytest.mark.parametrize("name", ["paper", "oxford", "ami", "quantum-design", "everything"])
def test_it_sends_nothing_that_moves_or_switches(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    heard: dict[str, list[str]] = {}
    panels: dict[str, Any] = {}

    def listened(*arguments: Any) -> Any:
        built = build_panels(*arguments)
        for panel in built.values():
            panels[panel.name] = panel
            overhear(panel, heard.setdefault(panel.name, []))
        return built

    monkeypatch.setattr(station, "build_panels", listened)
    found = look(bench(name), tmp_path, simulate=True)
    # An IPS120-10 wakes up clamped, which only a person may end.
    assert exit_code(list(found.values())) == (5 if name == "oxford" else 0)
    assert all(heard.values())
    orders = {panel: sorted({text for text in lines if panels[panel].changes(text)}) for panel, lines in heard.items()}
    assert {panel: texts for panel, texts in orders.items() if set(texts) - _PUT_RIGHT} == {}


def test_a_ramp_that_is_under_way_is_left_alone(tmp_path: Path):
    with rig(tmp_path) as laboratory:
        for line in (b"SET RAMP 0.1", b"SET MID 100", b"RAMP MID", b"PAUSE OFF"):
            laboratory.panels["magnet"].receive(line)
        found = look(laboratory.path, tmp_path)
        assert "is ramping" in found["magnet guard"].text
        assert len(laboratory.orders()["magnet"]) == 4


def test_an_instrument_that_does_not_answer_is_told_and_the_rest_is_looked_at(tmp_path: Path):
    with rig(tmp_path) as laboratory:
        text = laboratory.path.read_text(encoding="utf-8")
        at = text.index("resource", text.index("[instruments.lockin]"))
        laboratory.path.write_text(
            text[:at] + 'resource = "TCPIP0::127.0.0.1::9::SOCKET"' + text[text.index("\n", at) :], encoding="utf-8"
        )
        found = look(laboratory.path, tmp_path)
        assert [f.name for f in found.values() if f.weight is Weight.BAD] == ["lockin"]
        assert "Connection refused" in found["lockin"].text
        assert exit_code(list(found.values())) == 4


def test_a_station_that_somebody_else_drives_is_not_ready(tmp_path: Path):
    with rig(tmp_path) as laboratory, Station.open(laboratory.path, state=tmp_path / "state"):
        found = look(laboratory.path, tmp_path)
        assert [f.name for f in found.values() if f.weight is Weight.BAD] == ["leases"]
        assert f"process {os.getpid()}" in found["leases"].text
        assert f"process {os.getpid()}" in found["magnet guard"].text
        assert exit_code(list(found.values())) == 8


def test_a_magnet_without_a_setting_is_not_ready_and_says_which(tmp_path: Path):
    path = tmp_path / "station.toml"
    path.write_text(STATION.replace('inductance = "60 H"\n', ""), encoding="utf-8")
    found = look(path, tmp_path, simulate=True)
    assert found["magnet guard"].weight is Weight.BAD
    assert "monitor only" in found["magnet guard"].text
    assert "'inductance' is missing" in found["magnet guard"].text
    assert exit_code(list(found.values())) == 3


def test_a_quench_that_nobody_cleared_is_not_ready(tmp_path: Path):
    with rig(tmp_path) as laboratory:
        files = DiskFiles(tmp_path / "state" / "magnets")
        MagnetMemory(files, "bench", VirtualClock()).store(Remembered(quench="at 9 T on Sunday"))
        found = look(laboratory.path, tmp_path)
        assert "at 9 T on Sunday" in found["magnet guard"].text
        assert exit_code(list(found.values())) == 5


def test_a_recipe_that_asks_too_much_is_not_ready(tmp_path: Path):
    path = tmp_path / "station.toml"
    path.write_text(STATION.replace('"15 T"', '"2 T"'), encoding="utf-8")
    found = look(path, tmp_path, simulate=True, procedure=HallLoop())
    assert "above the station limit 2 T" in found["HallLoop"].text
    assert exit_code(list(found.values())) == 3


def test_rows_that_could_not_be_kept_are_not_ready(tmp_path: Path):
    (tmp_path / "runs").write_text("a file", encoding="utf-8")
    found = look(reference_station(), tmp_path, simulate=True)
    assert found["disk"].weight is Weight.BAD


def test_a_computer_without_a_window_is_ready(tmp_path: Path):
    found = inquire(
        reference_station(), root=tmp_path / "runs", simulate=True, screen=lambda: "libEGL.so.1 is not there"
    )
    (window,) = [finding for finding in found if finding.name == "window"]
    assert window.weight is Weight.NOTE
    assert "libEGL" in window.text
    assert exit_code(found) == 0


def test_the_command_tells_people_and_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inquiry, "_no_window", lambda: "")
    (tmp_path / "station.toml").write_text(STATION, encoding="utf-8")
    runner = CliRunner()
    said = runner.invoke(main.app, ["check", "station.toml", "--simulate"])
    assert said.exit_code == 0
    assert said.output.rstrip().endswith("READY: a run could start.")
    assert all(len(line) <= 100 for line in said.output.splitlines())
    said = runner.invoke(main.app, ["check", "station.toml", "--simulate", "--json"])
    told = json.loads(said.stdout)
    assert told["ready"] is True
    assert {finding["state"] for finding in told["findings"]} == {"ok"}
    (tmp_path / "station.toml").write_text(STATION.replace("zones = []\n", ""), encoding="utf-8")
    said = runner.invoke(main.app, ["check", "station.toml", "--simulate"])
    assert said.exit_code == 3
    assert said.output.rstrip().endswith("NOT READY: look at magnet guard.")
