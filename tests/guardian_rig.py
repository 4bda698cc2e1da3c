"""A magnet on a TCP socket of this process, in real time, and the engine as a process of its own that ramps it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from remanence.core.clock import SystemClock
from remanence.engine.station_file import read_station
from remanence.engine.twin import build_panels, build_world
from remanence.simulators.tcp import serve
from remanence.storage import RunRecord, read_run

STATION = """schema = 1
name = "guarded"
rig = "guarded"
[instruments.magnet]
driver = "remanence.instruments.ami:AMI430"
resource = "TCPIP0::127.0.0.1::{port}::SOCKET"
options = {{ tesla_per_ampere = 0.1, greeting = true }}
[roles]
field = "magnet"
[guard.magnet]
serial = "SN430006"
largest_field = "9 T"
inductance = "15 H"
voltage_limit = "5 V"
tolerance = "2 mT"
settle = "1 s"
reversal_settle = "2 s"
segments = [{{ to = "9 T", rate = "10 mT/s" }}]
switch = "none"
coil_sensor = "none"
helium = "none"
zones = []
on_abort = "hold"
on_end = "hold"
on_comm_loss = "hold"
guardian = "{guardian}"
"""

# What a laboratory's own script would be; how it ends is its argument.
ENGINE = """import sys
import time
from pathlib import Path

from remanence.cli import session
from remanence.core.capabilities import FieldSource
from remanence.core.records import Column
from remanence.engine.station import Station
from remanence.procedures.base import Procedure, wait_until

how = sys.argv[1]


class Ramp(Procedure):
    columns = (Column("time_s", "time", "s"), Column("field_T", "field", "T"), Column("temperature_K", "none", "K"))

    def acquire(self, station):
        field, clock = station.role("field", FieldSource), station.clock
        try:
            field.sweep_to(5.0, 5e-3)
            for n in range(1000):
                yield {"time_s": clock.now(), "field_T": field.poll().field_T, "temperature_K": 5.0}
                yield from wait_until(clock, clock.now() + 0.2)
                if how == "raises" and n == 5:
                    raise ZeroDivisionError("a step of the procedure")
                if how == "hangs" and n == 5:
                    Path("hangs").touch()
                    time.sleep(3600)
                if how == "exits badly" and n == 5:
                    import os
                    os._exit(3)
        finally:
            if how in ("raises", "shutdown raises"):
                raise RuntimeError("a step of the shutdown")
            field.hold()


class Deaf(session.TerminalView):
    def row(self, row):
        if how == "listener raises":
            raise RuntimeError("a listener")
        if how == "listener hangs" and row.n == 5:
            Path("hangs").touch()
            time.sleep(3600)


session.TerminalView = Deaf
with Station.open("station.toml") as station:
    code = session.measure(station, Ramp(), title="ramp", root=Path("runs"), sample="")
sys.exit(code)
"""


class Rig:
    """A magnet supply, and the engine that ramps its magnet to 5 T, which takes a quarter of an hour: what holds earlier
    was held.
    """

    def __init__(self, folder: Path, guardian: str = "beside") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # The modules are compiled once for all engines of a test worker: that is most of a short life.
        compiled = next(parent for parent in folder.parents if not parent.name.startswith("test_"))
        self._environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
            "REMANENCE_STATE": str(folder / "state"), "PYTHONPYCACHEPREFIX": str(compiled / "compiled"),
        }  # fmt: skip
        self.folder = folder
        self._describe(guardian, 7180)
        described = read_station(folder / "station.toml")
        clock = SystemClock()
        self.world = build_world(described, clock, 1)
        (self.panel,) = build_panels(described, self.world).values()
        if guardian == "through":
            # As the supply's own port, and any serial one.
            self.panel.clients = 1  # pyright: ignore[reportAttributeAccessIssue]
        self.server = serve({"magnet": self.panel}, clock)
        self._describe(guardian, self.server.addresses["magnet"][1])
        (folder / "engine.py").write_text(ENGINE, encoding="utf-8")
        self.child: subprocess.Popen[str] | None = None
        self.said = ""

    def _describe(self, guardian: str, port: int) -> None:
        text = STATION.format(guardian=guardian, port=port)
        (self.folder / "station.toml").write_text(text, encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.communicate()
        self.server.close()

    # The engine

    def start(self, how: str = "ramps") -> None:
        """Start the engine, in a group of its own as a terminal's job is."""
        self.child = subprocess.Popen(
            [sys.executable, "engine.py", how],
            cwd=self.folder,
            env=self._environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def signal(self, number: int) -> None:
        """As the terminal does it: to the whole group."""
        assert self.child is not None
        os.killpg(self.child.pid, number)

    def end(self) -> int:
        """Wait for the end of the engine and of its guardian, and give the exit code."""
        assert self.child is not None
        _, self.said = self.child.communicate(timeout=60)
        return self.child.returncode

    # The truth

    def field_T(self) -> float:
        with self.world.lock:
            self.world.advance()
            return next(iter(self.world.magnets.values())).field()

    def moves(self) -> bool:
        """Whether the field moves: the truth, not what a supply says."""
        before_T = self.field_T()
        time.sleep(0.2)  # noqa: TID251  a real laboratory has real time
        return abs(self.field_T() - before_T) > 1e-5

    def wait(self, what: Callable[[], bool], within_s: float, why: str) -> None:
        """Wait until something is so."""
        clock = SystemClock()
        began_s = clock.now()
        while not what():
            if clock.now() - began_s > within_s:
                if self.child is not None:
                    self.child.kill()
                    why = f"{why}; the engine: {self.child.communicate()[1]}"
                raise AssertionError(why)
            clock.sleep(0.05)

    def ramps(self) -> None:
        self.wait(lambda: self.field_T() > 2e-3, 60.0, "the ramp did not begin")

    def hangs(self) -> None:
        self.wait((self.folder / "hangs").exists, 60.0, "the engine does not hang")

    def holds(self, within_s: float = 12.0) -> None:
        self.wait(lambda: not self.moves(), within_s, "the magnet was not held")
        assert 0.0 < self.field_T() < 1.0

    # What is kept

    def orders(self) -> str:
        """The journal of what the magnet was told, by whomever."""
        (path,) = (self.folder / "state" / "magnets").glob("*.commands.jsonl")
        return path.read_text(encoding="utf-8")

    def kept(self) -> RunRecord:
        (path,) = (self.folder / "runs").rglob("run.jsonl")
        return read_run(path.parent)
