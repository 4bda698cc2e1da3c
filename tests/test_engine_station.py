"""The station: what it opens, what it refuses, who may write, and how everything is left."""

import os
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from itertools import pairwise
from pathlib import Path

import pytest
from remanence.core.capabilities import CurrentSource, FieldSource, LockIn, StationLike, Thermometer
from remanence.core.errors import CommunicationError, ConfigError, InterlockTripped, StationLocked
from remanence.core.records import Column, Outcome
from remanence.engine import driver_names
from remanence.engine.runner import Runner
from remanence.engine.station import Station
from remanence.instruments.guard_states import State
from remanence.procedures.base import Procedure, Step, wait_until
from remanence.simulators.faults import Fault
from remanence.storage import read_run

from .station_rig import STATION, rig

MERCURY = """
schema = 1
name = "vector"
rig = "vector"
[instruments.z]
driver = "remanence.instruments.mercury_ips:MercuryIPS"
resource = "TCPIP0::127.0.0.1::7020::SOCKET"
options = { group = "GRPZ" }
panel_options = { axes = ["z", "y"] }
[instruments.y]
driver = "remanence.instruments.mercury_ips:MercuryIPS"
resource = "TCPIP::127.0.0.1::7020::SOCKET"
options = { group = "GRPY" }
[roles]
field = "z"
[guard.z]
field_constant = "0.1 T/A"
[guard.y]
field_constant = "0.1 T/A"
"""


class Look(Procedure):
    """Reads the field for a while, with the current on."""

    columns = (Column("field_T", "field", "T"),)
    rows = 40

    def acquire(self, station: StationLike) -> Iterator[Step]:
        field, source = station.role("field", FieldSource), station.role("source", CurrentSource)
        source.start_sine(rms_A=1e-6, frequency_Hz=17.0)
        for _ in range(self.rows):
            yield {"field_T": field.read_field().field_T}
            yield from wait_until(station.clock, station.clock.now() + 1.0)


def written(folder: Path, text: str) -> Path:
    path = folder / "station.toml"
    path.write_text(text, encoding="utf-8")
    return path


def line_of(path: Path, text: str) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return f"{path}:{next(n for n, line in enumerate(lines, 1) if line.startswith(text))}"


# Opening


def test_a_rig_is_opened_and_everybody_tells_who_it_is(tmp_path: Path):
    with rig(tmp_path) as laboratory, Station.open(laboratory.path, state=tmp_path / "state") as station:
        assert station.locked is None
        assert list(station.instruments) == list(station.description.instruments)
        assert {record.name: bool(record.identity) for record in station.records()} == dict.fromkeys(
            station.description.instruments, True
        )
        assert station.serials["cryostat"] == "350A123/1234567"
        assert station.guards["magnet"].state is State.HOLD
        assert station.role("temperature", Thermometer).read_temperature() > 1.0


def test_all_that_do_not_open_are_told_together_each_in_one_sentence(tmp_path: Path):
    with rig(tmp_path) as laboratory:
        text = laboratory.path.read_text(encoding="utf-8")
        for name in ("cryostat", "lockin"):
            at = text.index("resource", text.index(f"[instruments.{name}]"))
            text = text[:at] + 'resource = "TCPIP0::127.0.0.1::9::SOCKET"' + text[text.index("\n", at) :]
        # One address each: a shared one would be one failure.
        laboratory.path.write_text(text.replace("127.0.0.1::9::", "127.0.0.1::11::", 1), encoding="utf-8")
        with pytest.raises(CommunicationError) as caught:
            Station.open(laboratory.path, state=tmp_path / "state")
        told = str(caught.value)
        assert told.startswith("2 of 4 instruments did not open")
        assert [line.split(":")[0].strip() for line in told.splitlines()[1:3]] == ["cryostat", "lockin"]
        # What did open was closed again, and its leases are free.
        errors: dict[str, object] = {}
        with Station.open(laboratory.path, state=tmp_path / "state", errors=errors) as station:  # pyright: ignore[reportArgumentType]
            assert station.locked is None
            assert list(errors) == ["cryostat", "lockin"]
            assert list(station.instruments) == ["magnet", "source"]
            with pytest.raises(ConfigError, match="did not open"):
                station.role("temperature", Thermometer)


def test_instruments_that_name_one_resource_share_a_link(tmp_path: Path):
    with Station.open(written(tmp_path, MERCURY), simulate=True) as station:
        assert station.instruments["z"].link is station.instruments["y"].link
        assert station.instruments["z"].identity() == station.instruments["y"].identity()


def test_an_instrument_with_another_serial_number_is_refused_with_its_line(tmp_path: Path):
    text = STATION.replace('resource = "GPIB0::8::INSTR"', 'resource = "GPIB0::8::INSTR"\nserial = "s/n99999"')
    with rig(tmp_path, text) as laboratory:
        with pytest.raises(ConfigError, match="'s/n99999'") as caught:
            Station.open(laboratory.path, state=tmp_path / "state")
        assert caught.value.where == line_of(laboratory.path, 'serial = "s/n99999"')


def test_the_right_serial_number_opens(tmp_path: Path):
    text = STATION.replace('resource = "GPIB0::12::INSTR"', 'resource = "GPIB0::12::INSTR"\nserial = "350A123/1234567"')
    with rig(tmp_path, text) as laboratory, Station.open(laboratory.path, state=tmp_path / "state") as station:
        assert station.locked is None


def test_limits_that_are_for_another_supply_move_nothing(tmp_path: Path):
    text = STATION.replace("cryogenic:SMS120C", "ami:AMI430").replace("0.135 }", "0.135, greeting = true }")
    with rig(tmp_path, text) as laboratory, Station.open(laboratory.path, state=tmp_path / "state") as station:
        guard = station.guards["magnet"]
        assert guard.state is State.MONITOR
        assert station.serials["magnet"] in guard.problem
        assert "'bench'" in guard.problem
        assert line_of(laboratory.path, 'serial = "bench"') in guard.problem


# Drivers


@pytest.mark.parametrize(
    ("driver", "nearest"),
    [
        ("remanence.instruments.srs:SR380", "remanence.instruments.srs:SR830"),
        ("remanence.instrument.srs:SR830", "remanence.instruments.srs:SR830"),
        ("my_lokin", "my_lockin"),
        ("entry:my_lokin", "my_lockin"),
    ],
)
def test_a_driver_that_is_not_there_is_told_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str, nearest: str
):
    offer(monkeypatch, "remanence.instruments.srs:SR830")
    path = written(tmp_path, STATION.replace("remanence.instruments.srs:SR830", driver))
    with pytest.raises(ConfigError) as caught:
        Station.open(path, simulate=True)
    assert nearest in str(caught.value)
    assert caught.value.where == line_of(path, f'driver = "{driver}"')


@pytest.mark.parametrize("driver", ["my_lockin", "entry:my_lockin"])
def test_a_driver_joins_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str):
    offer(monkeypatch, "remanence.instruments.srs:SR830")
    path = written(tmp_path, STATION.replace("remanence.instruments.srs:SR830", driver))
    with Station.open(path, simulate=True) as station:
        assert "SR830" in station.identities["lockin"]
        station.role("lockin_xx", LockIn)


@pytest.mark.parametrize(
    ("value", "said"),
    [("remanence.core.clock:SystemClock", "is no driver"), ("remanence.nowhere:Class", "cannot be loaded")],
)
def test_an_entry_point_that_is_no_driver_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, said: str
):
    offer(monkeypatch, value)
    path = written(tmp_path, STATION.replace("remanence.instruments.srs:SR830", "my_lockin"))
    with pytest.raises(ConfigError, match=said):
        Station.open(path, simulate=True)


def offer(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    entry = EntryPoint("my_lockin", value, driver_names.GROUP)
    monkeypatch.setattr(driver_names, "entry_points", lambda group: (entry,) if group == driver_names.GROUP else ())


# Leases


def test_a_second_station_may_look_and_not_touch(tmp_path: Path):
    state = tmp_path / "state"
    with rig(tmp_path) as laboratory, Station.open(laboratory.path, state=state):
        for heard in laboratory.heard.values():
            heard.clear()
        with Station.open(laboratory.path, state=state) as second:
            locked = second.locked
            assert locked is not None
            assert locked.exit_code == 8
            assert f"process {os.getpid()}" in str(locked)
            guard = second.guards["magnet"]
            assert guard.state is State.MONITOR
            assert f"process {os.getpid()}" in guard.problem
            assert second.role("field", FieldSource).read_field().field_T == pytest.approx(0.0, abs=1e-3)
            assert second.role("temperature", Thermometer).read_temperature() > 0
            assert len(second.records()) == 4
            for refused in (
                lambda: second.role("lockin_xx", LockIn),
                lambda: second.role("source", CurrentSource),
                lambda: second.role("field", FieldSource).sweep_to(1.0, 1e-3),
                lambda: Runner(second, tmp_path / "runs").run(Look()),
            ):
                with pytest.raises(StationLocked, match=f"process {os.getpid()}"):
                    refused()
            assert not (tmp_path / "runs").exists()
            assert "holds at" in second.make_safe()
            assert "magnet" not in laboratory.orders()
            assert "source" not in laboratory.orders()


def test_another_file_that_names_one_of_the_instruments_meets_the_same_lease(tmp_path: Path):
    state = tmp_path / "state"
    with rig(tmp_path) as laboratory, Station.open(laboratory.path, state=state):
        other = tmp_path / "other.toml"
        text = laboratory.path.read_text(encoding="utf-8")
        other.write_text(text.replace('serial = "bench"', 'serial = "another"'), encoding="utf-8")
        with Station.open(other, state=state) as second:
            assert second.locked is not None
            assert "station.toml" in str(second.locked)


def test_a_station_that_was_closed_is_free(tmp_path: Path):
    with rig(tmp_path) as laboratory:
        for _ in range(2):
            with Station.open(laboratory.path, state=tmp_path / "state") as station:
                assert station.locked is None


def test_a_simulated_station_takes_no_lease_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REMANENCE_STATE", str(tmp_path / "state"))
    path = written(tmp_path, STATION)
    with Station.open(path, simulate=True) as first, Station.open(path, simulate=True) as second:
        assert first.locked is None
        assert second.locked is None
    assert not (tmp_path / "state").exists()


def test_a_rig_keeps_its_leases_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REMANENCE_STATE", str(tmp_path / "shared"))
    with rig(tmp_path) as laboratory, Station.open(laboratory.path):
        assert list((tmp_path / "shared" / "leases").glob("*350A123*"))


# Looking only


def test_who_only_looks_takes_nothing_over(tmp_path: Path):
    with rig(tmp_path) as laboratory:
        magnet = laboratory.panels["magnet"]
        for line in (b"SET RAMP 0.1", b"SET MID 100", b"RAMP MID", b"PAUSE OFF"):
            magnet.receive(line)
        with Station.open(laboratory.path, state=tmp_path / "state", look_only=True) as station:
            assert "is ramping" in station.describe()
        assert len(laboratory.orders()["magnet"]) == 4


# What must not get too warm

WATCH = '[watch.cryostat]\nlargest = "20 K"\novershoot = "2 K"\n'


def test_a_heater_that_runs_away_is_switched_off_and_the_run_says_so(tmp_path: Path):
    path = written(tmp_path, STATION + WATCH)
    with Station.open(path, simulate=True, faults=[Fault("sensor_open", "cryostat", 5.0, text="A")]) as station:
        controller = station.instruments["cryostat"]
        footer = Runner(station, tmp_path / "runs").run(Look()).footer
        assert footer.outcome is Outcome.FAILED
        assert "no valid reading" in footer.reason
        assert "heater was switched off" in footer.reason
        assert footer.rows < Look.rows
        assert "holds at" in footer.hardware
        assert controller.read_loop().heating is False  # pyright: ignore[reportAttributeAccessIssue]


def test_a_loop_that_is_well_disturbs_nothing_and_is_looked_at_every_two_seconds(tmp_path: Path):
    path = written(tmp_path, STATION + WATCH)
    with Station.open(path, simulate=True) as station:
        controller = station.instruments["cryostat"]
        looks: list[float] = []
        look = controller.read_loop  # pyright: ignore[reportAttributeAccessIssue]
        controller.read_loop = lambda: (looks.append(station.clock.now()), look())[1]  # pyright: ignore[reportAttributeAccessIssue]
        footer = Runner(station, tmp_path / "runs").run(Look()).footer
        assert footer.outcome is Outcome.COMPLETED
        gaps = [after - before for before, after in pairwise(looks)]
        assert len(looks) > 10
        assert min(gaps) >= 2.0


def test_a_loop_that_is_silent_for_half_a_minute_stops_the_run(tmp_path: Path):
    class Long(Look):
        rows = 100

    path = written(tmp_path, STATION + WATCH)
    with Station.open(path, simulate=True, faults=[Fault("lost", "cryostat", 30.0, 1e3)]) as station:
        footer = Runner(station, tmp_path / "runs").run(Long()).footer
        assert footer.outcome is Outcome.FAILED
        assert "nobody watches over its heater" in footer.reason


def test_a_watch_that_stands_from_a_run_before_sees_anew(tmp_path: Path):
    path = written(tmp_path, STATION + WATCH)
    with Station.open(path, simulate=True, faults=[Fault("sensor_open", "cryostat", 5.0, text="A")]) as station:
        runner = Runner(station, tmp_path / "runs")
        assert isinstance(runner.run(Look()).error, InterlockTripped)
        assert isinstance(runner.run(Look()).error, InterlockTripped)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[watch.cryostat]\nlargest = "20 K"\n', "'watch.cryostat.overshoot' is missing"),
        ('[watch.cryostat]\nlargest = "20 T"\novershoot = "1 K"\n', "cannot be given in K"),
        ('[watch.cryostat]\nlargest = "-1 K"\novershoot = "1 K"\n', "positive"),
        ('[watch.cyostat]\nlargest = "20 K"\novershoot = "1 K"\n', "did you mean 'cryostat'"),
        ('[watch.source]\nlargest = "20 K"\novershoot = "1 K"\n', "no loop"),
    ],
)
def test_a_watch_that_cannot_be_is_refused_with_its_line(tmp_path: Path, table: str, said: str):
    path = written(tmp_path, STATION + table)
    with pytest.raises(ConfigError, match=said) as caught:
        Station.open(path, simulate=True)
    assert caught.value.where.startswith(f"{path}:")


# How it is left, and what is kept


def test_a_run_that_ends_well_leaves_no_current_in_the_sample(tmp_path: Path):
    with Station.open(written(tmp_path, STATION), simulate=True) as station:
        footer = Runner(station, tmp_path / "runs").run(Look()).footer
        assert footer.outcome is Outcome.COMPLETED
        assert station.world is not None
        assert not station.world.excitation.on


def test_a_source_that_cannot_be_switched_off_fails_the_run_and_keeps_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with Station.open(written(tmp_path, STATION), simulate=True) as station:
        done: list[str] = []

        def fails() -> None:
            raise CommunicationError("the source does not answer")

        monkeypatch.setattr(station.instruments["source"], "make_safe", fails)
        monkeypatch.setattr(station.instruments["lockin"], "make_safe", lambda: done.append("lockin"))
        footer = Runner(station, tmp_path / "runs").run(Look()).footer
        assert footer.outcome is Outcome.FAILED
        assert "the source does not answer" in footer.reason
        assert "holds at" in footer.hardware
        assert done


def test_settings_are_kept_at_the_start_and_again_as_the_procedure_set_them(tmp_path: Path):
    class Configures(Look):
        def acquire(self, station: StationLike) -> Iterator[Step]:
            station.role("lockin_xx", LockIn).configure(sensitivity_V=1e-3, time_constant_s=0.1, poles=2)
            yield from super().acquire(station)

    with Station.open(written(tmp_path, STATION), simulate=True) as station:
        kept = read_run(Runner(station, tmp_path / "runs").run(Configures()).folder)
    lockin = [record.settings for record in kept.instruments if record.name == "lockin"]
    assert len(lockin) == 2
    assert lockin[0] != lockin[1]
    assert lockin[1]["sensitivity"] == pytest.approx(1e-3)
    # What did not change is said once.
    assert len([record for record in kept.instruments if record.name == "cryostat"]) == 1
