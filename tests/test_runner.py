"""The runner: disk before eyes, a true status, and a magnet on hold however a run ends."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from remanence.core.capabilities import Activity, FieldSource, StationLike
from remanence.core.errors import ConfigError, StorageError
from remanence.core.records import Column, Footer, Header, Leg, Outcome, Row
from remanence.engine.listener import Listener
from remanence.engine.runner import Runner
from remanence.engine.station import Station
from remanence.procedures.base import Procedure, Step, wait_until
from remanence.storage import read_run

MAGNET_ONLY = """
schema = 1
name = "bench"
rig = "bench"
[instruments.magnet]
driver = "remanence.instruments.cryogenic:SMS120C"
resource = "ASRL3::INSTR"
options = { tesla_per_ampere = 0.135 }
[roles]
field = "magnet"
[guard.magnet]
serial = "bench"
largest_field = "15 T"
inductance = "60 H"
voltage_limit = "3.5 V"
tolerance = "2 mT"
settle = "1 s"
reversal_settle = "2 s"
segments = [ { to = "15 T", rate = "6 mT/s" } ]
switch = "none"
coil_sensor = "none"
helium = "none"
zones = []
on_abort = "hold"
on_end = "hold"
on_comm_loss = "hold"
"""


class Ramp(Procedure):
    """One ramp to 1 T, a row each second."""

    columns = (Column("time_s", "time", "s"), Column("field_T", "field", "T"), Column("flags", "flags", "", "flags"))
    trouble: Callable[[int], None] = staticmethod(lambda _row: None)  # pyright: ignore[reportAssignmentType]
    last_words: Callable[[], None] = staticmethod(lambda: None)  # pyright: ignore[reportAssignmentType]

    def acquire(self, station: StationLike) -> Iterator[Step]:
        field = station.role("field", FieldSource)
        try:
            yield Leg(0, 0.0, 1.0, 5e-3)
            field.sweep_to(1.0, 5e-3)
            row = 0
            while field.poll().activity is Activity.RAMPING:
                self.trouble(row)
                reading = field.read_field()
                yield {"time_s": reading.time_s, "field_T": reading.field_T, "flags": ("odd",) if row % 2 else ()}
                row += 1
                yield from wait_until(station.clock, station.clock.now() + 1.0)
        finally:
            field.hold()
            self.last_words()


class Ears(Listener):
    """Remembers what it was told, and does something at a row."""

    def __init__(self, at_row: Callable[[Row], None] = lambda _row: None) -> None:
        self.rows: list[Row] = []
        self.footer: Footer | None = None
        self.folder = Path()
        self._at_row = at_row

    def started(self, header: Header, folder: str) -> None:
        self.folder = Path(folder)

    def row(self, row: Row) -> None:
        self.rows.append(row)
        self._at_row(row)

    def ended(self, footer: Footer, estimate: object) -> None:
        self.footer = footer


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    path = tmp_path / "station.toml"
    path.write_text(MAGNET_ONLY, encoding="utf-8")
    with Station.open(path, simulate=True, seed=1) as opened:
        yield opened


def magnet_is_held(station: Station) -> bool:
    assert station.world is not None
    clock, magnet = station.clock, station.world.magnet
    before = magnet.lead_current(clock.now())
    return magnet.lead_current(clock.now() + 1e4) == before


def test_a_finished_run_is_complete_on_disk(station: Station, tmp_path: Path):
    ears = Ears()
    result = Runner(station, tmp_path / "runs", listeners=[ears]).run(Ramp(), sample="S1", note="first")
    assert result.footer.outcome is Outcome.COMPLETED
    kept = read_run(result.folder)
    assert kept.outcome is Outcome.COMPLETED
    assert not kept.damage
    assert len(kept.frame) == result.footer.rows == len(ears.rows) > 100
    assert kept.frame["field_T"].tolist() == [row.values[1] for row in ears.rows]
    assert kept.header is not None
    assert (kept.header.sample, kept.header.note, kept.header.simulated) == ("S1", "first", True)
    assert [leg.leg.number for leg in kept.legs] == [0]
    assert kept.instruments[0].settings["field_constant"] == 0.135
    assert "holds at +1.0000 T" in result.footer.hardware
    assert ears.footer == result.footer


def test_every_row_is_on_disk_before_a_listener_sees_it(station: Station, tmp_path: Path):
    lines: list[int] = []

    def look(row: Row) -> None:
        kept = (ears.folder / "run.jsonl").read_bytes()
        lines.append(kept.count(b'"k":"row"') - row.n)

    ears = Ears(look)
    Runner(station, tmp_path / "runs", listeners=[ears]).run(Ramp())
    assert set(lines) == {1}


def test_a_deaf_listener_stops_nothing(station: Station, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    def fail(_row: Row) -> None:
        raise RuntimeError("the window is gone")

    result = Runner(station, tmp_path / "runs", listeners=[Ears(fail)]).run(Ramp())
    assert result.footer.outcome is Outcome.COMPLETED
    assert caplog.text.count("the run goes on") == 1


@pytest.mark.parametrize("row", [0, 1, 7, 60])
def test_an_abort_at_any_row_leaves_the_magnet_on_hold_and_says_so(station: Station, tmp_path: Path, row: int):
    runner = Runner(
        station, tmp_path / "runs", listeners=[Ears(lambda r: runner.abort("enough") if r.n == row else None)]
    )
    result = runner.run(Ramp())
    assert result.footer.outcome is Outcome.ABORTED
    assert result.footer.reason == "enough"
    assert result.footer.rows == row + 1
    assert magnet_is_held(station)
    assert "holds at" in result.footer.hardware
    assert read_run(result.folder).outcome is Outcome.ABORTED


def test_an_exception_in_a_procedure_is_a_failed_run_with_the_magnet_on_hold(station: Station, tmp_path: Path):
    def trouble(row: int) -> None:
        if row == 5:
            raise ZeroDivisionError("a mistake")

    procedure = Ramp()
    procedure.trouble = trouble
    result = Runner(station, tmp_path / "runs").run(procedure)
    assert result.footer.outcome is Outcome.FAILED
    assert isinstance(result.error, ZeroDivisionError)
    assert magnet_is_held(station)
    kept = read_run(result.folder)
    assert kept.outcome is Outcome.FAILED
    assert any("ZeroDivisionError" in str(event.event.data) for event in kept.events)


def test_an_exception_in_the_shutdown_itself_still_ends_the_run_truly(station: Station, tmp_path: Path):
    def last_words() -> None:
        raise OSError("unplugged")

    procedure = Ramp()
    procedure.last_words = last_words
    runner = Runner(station, tmp_path / "runs", listeners=[Ears(lambda r: runner.abort("stop") if r.n == 3 else None)])
    result = runner.run(procedure)
    assert result.footer.outcome is Outcome.FAILED
    assert magnet_is_held(station)
    assert read_run(result.folder).outcome is Outcome.FAILED


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_a_listener_that_wants_to_end_the_process_does_not_leave_the_magnet_ramping(
    station: Station, tmp_path: Path, error: BaseException
):
    def leave(row: Row) -> None:
        if row.n == 5:
            raise error

    result = Runner(station, tmp_path / "runs", listeners=[Ears(leave)]).run(Ramp())
    assert magnet_is_held(station)
    ends = {SystemExit: Outcome.COMPLETED, KeyboardInterrupt: Outcome.ABORTED}
    assert read_run(result.folder).outcome is result.footer.outcome is ends[type(error)]


def test_a_procedure_that_wants_to_end_the_process_is_a_failed_run_with_the_magnet_on_hold(
    station: Station, tmp_path: Path
):
    def trouble(row: int) -> None:
        if row == 5:
            raise SystemExit(1)

    procedure = Ramp()
    procedure.trouble = trouble
    result = Runner(station, tmp_path / "runs").run(procedure)
    assert magnet_is_held(station)
    assert read_run(result.folder).outcome is Outcome.FAILED


def test_an_abort_whose_hold_fails_tells_both(station: Station, tmp_path: Path):
    def cut(row: Row) -> None:
        if row.n == 5:
            runner.abort("enough")
            station.instruments["magnet"].link.connection.visalib.write = lambda _session, data: (len(data), 0)

    runner = Runner(station, tmp_path / "runs", listeners=[Ears(cut)])
    footer = runner.run(Ramp()).footer
    assert footer.outcome is Outcome.FAILED
    assert footer.reason.startswith("enough. Then, while making safe")
    assert "goes on to +1.0000 T" in footer.reason


def test_an_abort_that_comes_before_the_run_has_begun_is_not_lost(station: Station, tmp_path: Path):
    runner = Runner(station, tmp_path / "runs")
    runner.abort("early")
    result = runner.run(Ramp())
    assert (result.footer.outcome, result.footer.reason) == (Outcome.ABORTED, "early")
    assert result.footer.rows == 0
    assert magnet_is_held(station)


def test_an_aborted_leg_stays_open_in_the_record(station: Station, tmp_path: Path):
    runner = Runner(station, tmp_path / "runs", listeners=[Ears(lambda r: runner.abort("stop") if r.n == 20 else None)])
    (leg,) = read_run(runner.run(Ramp()).folder).legs
    assert leg.last_row is None
    # The same runner runs again: the request to stop was for one run.
    runner._listeners.clear()
    assert runner.run(Ramp()).footer.outcome is Outcome.COMPLETED


def test_a_full_disk_holds_the_magnet_and_claims_no_row(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from remanence.storage import Journal

    real = Journal.row

    def full(self: Journal, row: Row) -> None:
        if row.n >= 10:
            raise StorageError("the disk is full")
        real(self, row)

    monkeypatch.setattr(Journal, "row", full)
    ears = Ears()
    result = Runner(station, tmp_path / "runs", listeners=[ears]).run(Ramp())
    assert result.footer.outcome is Outcome.FAILED
    assert "disk is full" in result.footer.reason
    assert magnet_is_held(station)
    assert len(ears.rows) == len(read_run(result.folder).frame) == 10


def test_a_lost_magnet_link_fails_the_run_and_says_where_the_magnet_goes(station: Station, tmp_path: Path):
    def trouble(row: int) -> None:
        if row == 5:
            link = station.instruments["magnet"].link
            link.connection.visalib.write = lambda _session, data: (len(data), 0)

    procedure = Ramp()
    procedure.trouble = trouble
    result = Runner(station, tmp_path / "runs").run(procedure)
    assert result.footer.outcome is Outcome.FAILED
    assert "does not answer" in result.footer.reason
    assert "goes on to +1.0000 T" in result.footer.reason
    assert "cannot be read" in result.footer.hardware
    assert "stays where it is" not in result.footer.hardware


def test_two_runs_with_one_seed_are_the_same_to_the_byte(tmp_path: Path):
    def once(root: Path) -> bytes:
        path = tmp_path / "station.toml"
        path.write_text(MAGNET_ONLY, encoding="utf-8")
        with Station.open(path, simulate=True, seed=3) as station:
            result = Runner(station, root, random_bytes=lambda n: b"\x07" * n).run(Ramp())
        return (result.folder / "run.jsonl").read_bytes()

    assert once(tmp_path / "a") == once(tmp_path / "b")


def test_a_role_that_nothing_plays_is_refused(station: Station):
    with pytest.raises(ConfigError, match="no role 'lockin_xy'"):
        station.role("lockin_xy", FieldSource)


def run_child(code: str, tmp_path: Path) -> "subprocess.Popen[str]":
    path = tmp_path / "station.toml"
    path.write_text(MAGNET_ONLY, encoding="utf-8")
    script = tmp_path / "child.py"
    script.write_text(textwrap.dedent(code), encoding="utf-8")
    arguments: list[Any] = [sys.executable, "-u", script, path, tmp_path / "runs"]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


CHILD = """
    import sys
    from collections.abc import Iterator
    from pathlib import Path
    from remanence.core.records import Column
    from remanence.engine.listener import Listener
    from remanence.engine.runner import Runner
    from remanence.engine.station import Station
    from remanence.procedures.base import Procedure

    class Endless(Procedure):
        columns = (Column("time_s", "time", "s"),)
        def acquire(self, station):
            while True:
                station.clock.sleep(1.0)
                yield {"time_s": station.clock.now()}

    class Say(Listener):
        def started(self, header, folder): print(folder)
        def row(self, row): print(row.n)

    with Station.open(sys.argv[1], simulate=True) as station:
        Runner(station, Path(sys.argv[2]), listeners=[Say()]).run(Endless())
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is a POSIX signal")
@pytest.mark.parametrize("after_rows", [1, 50, 2000])
def test_every_row_that_a_listener_saw_survives_a_kill(tmp_path: Path, after_rows: int):
    child = run_child(CHILD, tmp_path)
    assert child.stdout is not None
    folder = Path(child.stdout.readline().strip())
    seen = -1
    for line in child.stdout:
        seen = int(line)
        if seen == after_rows:
            child.send_signal(signal.SIGKILL)
            break
    rest = [line for line in child.stdout.read().split("\n") if line]
    child.wait()
    child.stdout.close()
    complete = [int(text) for text in rest[:-1]] if rest else []
    seen = max([seen, *complete])
    kept = read_run(folder)
    assert kept.outcome is Outcome.INTERRUPTED
    assert kept.last_n is not None
    assert kept.last_n >= seen
    assert "interrupted" in kept.summary()


@pytest.mark.parametrize(
    ("settings", "stop_at", "outcome", "says"),
    [
        ({"on_end": "zero"}, None, Outcome.COMPLETED, "holds at +0.0000 T"),
        ({"on_end": "zero"}, 20, Outcome.ABORTED, "holds at +0.1"),
        ({"on_abort": "zero"}, 20, Outcome.ABORTED, "holds at +0.0000 T"),
        ({"on_abort": "zero"}, None, Outcome.COMPLETED, "holds at +1.0000 T"),
    ],
)
def test_a_run_leaves_its_magnet_as_the_settings_say(
    tmp_path: Path, settings: dict[str, str], stop_at: int | None, outcome: Outcome, says: str
):
    text = MAGNET_ONLY
    for key, value in settings.items():
        text = text.replace(f'{key} = "hold"', f'{key} = "{value}"')
    path = tmp_path / "station.toml"
    path.write_text(text, encoding="utf-8")
    with Station.open(path, simulate=True, seed=1) as station:
        ears = Ears(lambda row: runner.abort("stop") if row.n == stop_at else None)
        runner = Runner(station, tmp_path / "runs", listeners=[ears])
        footer = runner.run(Ramp()).footer
        assert footer.outcome is outcome
        assert says in footer.hardware
        assert magnet_is_held(station)


def test_a_magnet_that_cannot_be_left_as_it_should_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "station.toml"
    path.write_text(MAGNET_ONLY.replace('on_end = "hold"', 'on_end = "zero"'), encoding="utf-8")
    with Station.open(path, simulate=True, seed=1) as station:
        procedure = Ramp()

        def trip() -> None:
            station.world.magnet.quench(station.clock.now())  # pyright: ignore[reportOptionalMemberAccess]

        procedure.last_words = trip
        footer = Runner(station, tmp_path / "runs").run(procedure).footer
    assert footer.outcome is Outcome.FAILED
    assert "quench" in footer.reason
    assert "QUENCHED" in footer.hardware


def test_a_magnet_without_a_setting_is_shown_and_not_moved(tmp_path: Path):
    path = tmp_path / "station.toml"
    path.write_text(MAGNET_ONLY.replace('inductance = "60 H"\n', ""), encoding="utf-8")
    with Station.open(path, simulate=True, seed=1) as station:
        footer = Runner(station, tmp_path / "runs").run(Ramp()).footer
        assert station.describe() == "The magnet holds at +0.0000 T."
    assert footer.outcome is Outcome.FAILED
    assert "'inductance' is missing" in footer.reason
    assert f"{path}:11" in footer.reason
