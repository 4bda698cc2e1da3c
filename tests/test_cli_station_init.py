"""`remanence station init`: who is found, that nothing is moved for it, and that the proposal is a station."""

import re
from pathlib import Path
from typing import Any

import pytest
import pyvisa
from remanence.cli import main
from remanence.core.clock import VirtualClock
from remanence.engine.discovery import discover, propose, required_keys
from remanence.engine.station import Station
from remanence.engine.station_file import bench, read_station
from remanence.engine.twin import build_panels, build_world
from remanence.instruments.guard_states import State
from remanence.simulators.visa import VirtualVisaLibrary
from typer.testing import CliRunner

from .station_rig import STATION, overhear, rig

# Which of the simulated laboratory cannot be told: MultiVu speaks only to MultiPyVu; one SMS is like another.
_NOT_TOLD = {"multivu": "", "sms60c": "SMS120C", "sms10c": "SMS120C"}


class Laboratory:
    """Every simulated instrument on one VISA, and what each was told."""

    def __init__(self, name: str) -> None:
        self.clock = VirtualClock()
        self.description = read_station(bench(name))
        panels = build_panels(self.description, build_world(self.description, self.clock, 1))
        self.panels: dict[str, Any] = {panel.name: panel for panel in panels.values()}
        self.heard: dict[str, list[str]] = {}
        for panel in panels.values():
            overhear(panel, self.heard.setdefault(panel.name, []))
        self.manager = pyvisa.ResourceManager(VirtualVisaLibrary(panels, self.clock))  # pyright: ignore[reportArgumentType]

    def found(self) -> Any:
        return discover(self.manager, self.manager.list_resources("?*"), self.clock)


@pytest.fixture(scope="module")
def laboratory() -> Any:
    made = Laboratory("everything")
    return made, made.found()


def test_everybody_is_known_by_what_it_says(laboratory: Any):
    made, found = laboratory
    drivers = {each.resource: each.driver.partition(":")[2] for each in found}
    for name, entry in made.description.instruments.items():
        expected = _NOT_TOLD.get(name, entry.driver.partition(":")[2])
        assert drivers[entry.resource] == expected, name


def test_serial_number_and_field_constant_are_those_that_the_instruments_tell(laboratory: Any):
    made, found = laboratory
    by_resource = {each.resource: each for each in found}
    told = {name: by_resource[entry.resource] for name, entry in made.description.instruments.items()}
    assert told["ami430"].serial == "SN430006"
    assert told["ami430"].options["tesla_per_ampere"] == pytest.approx(0.1)
    assert told["sms10c"].options["tesla_per_ampere"] == pytest.approx(0.5)
    assert told["sr830"].serial == "s/n00384"
    assert told["ips120"].serial == ""


def test_nobody_is_told_anything_but_to_say_who_it_is(laboratory: Any):
    made, _found = laboratory
    orders = {name: [text for text in lines if made.panels[name].changes(text)] for name, lines in made.heard.items()}
    assert {name: texts for name, texts in orders.items() if set(texts) - {"*IDN?", "V", "ID", "GET TPA"}} == {}


def test_a_proposal_is_a_station_whose_magnets_are_shown_and_not_moved(tmp_path: Path):
    made = Laboratory("paper")
    path = tmp_path / "station.toml"
    path.write_text(propose(made.found(), "@py"), encoding="utf-8")
    with Station.open(path, simulate=True) as station:
        assert station.description.roles["field"] == "magnet"
        assert station.description.roles["lockin_xy"] == "lockin_xy"
        assert {guard.state for guard in station.guards.values()} == {State.MONITOR}
        assert len(station.records()) == 5
    for name in station.guards:
        text = path.read_text(encoding="utf-8")
        table = text[text.index(f"[guard.{name}]") :].split("\n\n")[0]
        assert re.findall(r"(?m)^# REQUIRED: (\w+) = ", table) == required_keys()
        assert "…" in table


def test_nothing_but_the_comments_keeps_a_proposal_from_moving_its_magnet(tmp_path: Path):
    made = Laboratory("oxford")
    text = propose([each for each in made.found() if "MercuryIPS" not in each.driver], "@py")
    filled = {
        "serial": '"1"', "field_constant": '"0.1 T/A"', "largest_field": '"8 T"', "inductance": '"20 H"',
        "voltage_limit": '"5 V"', "segments": '[{ to = "8 T", rate = "5 mT/s" }]', "tolerance": '"2 mT"',
        "settle": '"1 s"', "reversal_settle": '"2 s"', "switch": '"none"', "coil_sensor": '"none"', "helium": '"none"',
        "zones": "[]", "on_abort": '"hold"', "on_end": '"hold"', "on_comm_loss": '"hold"', "guardian": '"none"',
    }  # fmt: skip
    for key, value in filled.items():
        text = re.sub(rf"(?m)^# REQUIRED: {key} = .*$", lambda _match, k=key, v=value: f"{k} = {v}", text)
    path = tmp_path / "station.toml"
    path.write_text(text, encoding="utf-8")
    with Station.open(path, simulate=True) as station:
        assert not station.guards["magnet"].problem


def test_the_command_asks_named_sockets_and_writes_a_file_that_opens(tmp_path: Path):
    with rig(tmp_path, STATION) as laboratory:
        resources = re.findall(r'resource = "(.*)"', laboratory.path.read_text(encoding="utf-8"))
        arguments = ["station", "init", "--output", str(tmp_path / "rig.toml")]
        for resource in resources:
            arguments += ["--resources", resource]
        said = CliRunner().invoke(main.app, arguments)
        assert said.exit_code == 0, said.output
        description = read_station(tmp_path / "rig.toml")
        assert description.roles == {
            "field": "magnet", "temperature": "cryostat", "source": "source", "lockin_xx": "lockin_xx"
        }  # fmt: skip
        with Station.open(tmp_path / "rig.toml", state=tmp_path / "state") as station:
            assert station.guards["magnet"].state is State.MONITOR
            assert station.serials["cryostat"] == description.instruments["cryostat"].serial
        again = CliRunner().invoke(main.app, arguments)
        assert again.exit_code != 0
        assert "already" in str(again.exception)


def test_where_nobody_answers_nothing_is_written(tmp_path: Path):
    output = tmp_path / "station.toml"
    arguments = ["station", "init", "--output", str(output), "--resources", "TCPIP0::127.0.0.1::9::SOCKET"]
    said = CliRunner().invoke(main.app, arguments)
    assert said.exit_code != 0
    assert "no instrument" in str(said.exception)
    assert not output.exists()


def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "my-rig.md").read_text(encoding="utf-8")
    commands = re.findall(r"(?m)^remanence (.*)$", page)
    assert [command.split()[0] for command in commands] == ["station", "check", "check", "run", "run"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REMANENCE_STATE", str(tmp_path / "state"))
    (tmp_path / "hall.toml").write_text(
        'schema = 1\nprocedure = "HallLoop"\n[parameters]\nmax_field = "50 mT"\nrate = "5 mT/s"\n', encoding="utf-8"
    )
    text = STATION.replace("[roles]", '[instruments.second]\ndriver = "remanence.instruments.srs:SR830"\n'
                           'resource = "GPIB0::9::INSTR"\nwiring = "xy"\n[roles]\nlockin_xy = "second"')  # fmt: skip
    with rig(tmp_path, text) as laboratory:
        resources = re.findall(r'resource = "(.*)"', laboratory.path.read_text(encoding="utf-8"))
        laboratory.path.unlink()
        asked = [part for resource in resources for part in ("--resources", resource)]
        assert CliRunner().invoke(main.app, [*commands[0].split(), *asked]).exit_code == 0
        said = CliRunner().invoke(main.app, commands[1].split())
        assert "NOT READY: look at magnet guard, HallLoop." in said.output
        proposed = (tmp_path / "station.toml").read_text(encoding="utf-8")
        guard = STATION[STATION.index("[guard.magnet]") :]
        (tmp_path / "station.toml").write_text(
            proposed[: proposed.index("[guard.magnet]")]
            + guard
            + '[watch.cryostat]\nlargest = "310 K"\novershoot = "5 K"\n',
            encoding="utf-8",
        )
        for command in commands[1:3]:
            said = CliRunner().invoke(main.app, command.split())
            assert "READY: a run could start." in said.output, said.output
            assert said.exit_code == 0
    # The lock-ins of a proposal are wired to nothing: a loop runs, and no coercive field can be in it.
    said = CliRunner().invoke(main.app, commands[3].split())
    assert said.exit_code in (0, 7), said.output
