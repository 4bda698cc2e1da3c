"""A laboratory on TCP sockets in this process, in real time, and the engine as a process of its own that drives it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from remanence.core.capabilities import Activity
from remanence.core.clock import SystemClock
from remanence.engine.station_file import StationFile, read_station, reference_station
from remanence.engine.twin import build_panels, build_world
from remanence.simulators.tcp import serve
from remanence.storage import read_run

RECIPE = """schema = 1
procedure = "HallLoop"
[parameters]
max_field = "1 T"
temperature = "5 K"
settle_window = "1 s"
settle_tolerance = "1 K"
time_constant = "10 ms"
filter_poles = 1
period = "0.2 s"
"""


class Rig:
    """The reference rig's simulated instruments, and what the engine is told of them.

    Everything runs in real time: a ramp to 1 T takes minutes, so one that holds was held.
    """

    def __init__(self, folder: Path, guardian: str = "beside") -> None:
        self.folder = folder
        text = reference_station().read_text(encoding="utf-8")
        text = re.sub(r'(?m)^guardian = ".*"$', f'guardian = "{guardian}"', text)
        # A switch would first be warmed for its whole time.
        text = re.sub(r"(?m)^switch = .*$", 'switch = "none"', text)
        text = text.replace('start_temperature = "6 K"', 'start_temperature = "5 K"')
        self.station = folder / "station.toml"
        self.station.write_text(text, encoding="utf-8")
        described = read_station(self.station)
        clock = SystemClock()
        self.world = build_world(described, clock, 1)
        by_resource = build_panels(described, self.world)
        self.panels = {panel.name: panel for panel in by_resource.values()}
        if guardian == "through":
            self.panels["magnet"].clients = 1  # pyright: ignore[reportAttributeAccessIssue]  as a serial port
        self.server = serve(self.panels, clock)
        for name, entry in described.instruments.items():
            host, port = self.server.addresses[name]
            text = text.replace(f'"{entry.resource}"', f'"TCPIP0::{host}::{port}::SOCKET"')
        self.station.write_text(text, encoding="utf-8")
        self.recipe = folder / "recipe.toml"
        self.recipe.write_text(RECIPE, encoding="utf-8")
        self.runs = folder / "runs"
        self.children: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.communicate()
        self.server.close()

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"REMANENCE_STATE": str(self.folder / "state")}

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start the engine: a recipe from the command line, or a script of one's own."""
        arguments = command or (
            "-m", "remanence.cli.main", "run", "recipe.toml", "--station", "station.toml", "--root", "runs",
        )  # fmt: skip
        child = subprocess.Popen(
            [sys.executable, *arguments], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.children.append(child)
        return child

    # The truth

    def field_T(self) -> float:
        with self.world.lock:
            self.world.advance()
            return self.world.magnets["z"].field() if "z" in self.world.magnets else self.world.magnet.field()

    def moves(self) -> bool:
        """Whether the field moves: the truth, not what a supply says."""
        before_T = self.field_T()
        time.sleep(0.3)  # noqa: TID251  a real laboratory has real time
        return abs(self.field_T() - before_T) > 1e-5

    def wait(self, what: Callable[[], bool], within_s: float, why: str) -> float:
        """Wait until something is so; gives how long that took."""
        clock = SystemClock()
        began_s = clock.now()
        while not what():
            if clock.now() - began_s > within_s:
                raise AssertionError(why)
            clock.sleep(0.05)
        return clock.now() - began_s

    def ramping(self) -> None:
        self.wait(lambda: self.field_T() > 5e-3, 90.0, "the ramp did not begin")

    def held_within(self, seconds: float) -> float:
        return self.wait(lambda: not self.moves(), seconds, "the magnet was not held")

    def journal(self) -> str:
        """What was written down of the magnet's orders."""
        (path,) = (self.folder / "state" / "magnets").glob("*.commands.jsonl")
        return path.read_text(encoding="utf-8")

    def run_folder(self) -> Path:
        (folder,) = [path.parent for path in self.runs.rglob("run.jsonl")]
        return folder

    def kept(self):  # noqa: ANN201
        return read_run(self.run_folder())


__all__ = ["Activity", "Rig", "StationFile"]
