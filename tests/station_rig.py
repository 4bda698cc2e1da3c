"""A rig on this computer: front panels behind TCP sockets, and a station file that names their ports."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from remanence.core.clock import ScaledClock
from remanence.engine.station_file import read_station
from remanence.engine.twin import build_panels, build_world
from remanence.simulators.front_panel import FrontPanel
from remanence.simulators.tcp import serve
from remanence.simulators.world import World

STATION = """
schema = 1
name = "bench"
rig = "bench"
[instruments.magnet]
driver = "remanence.instruments.cryogenic:SMS120C"
resource = "ASRL3::INSTR"
options = { tesla_per_ampere = 0.135 }
[instruments.cryostat]
driver = "remanence.instruments.lakeshore:Model350"
resource = "GPIB0::12::INSTR"
options = { sample_input = "B", control_input = "A" }
[instruments.source]
driver = "remanence.instruments.keithley:Keithley6221"
resource = "GPIB0::14::INSTR"
[instruments.lockin]
driver = "remanence.instruments.srs:SR830"
resource = "GPIB0::8::INSTR"
wiring = "xx"
[roles]
field = "magnet"
temperature = "cryostat"
source = "source"
lockin_xx = "lockin"
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
guardian = "none"
"""


@dataclass
class Rig:
    """Where the station file is, the laboratory behind it, and every command that came to each panel."""

    path: Path
    world: World
    panels: dict[str, FrontPanel]
    heard: dict[str, list[str]] = field(default_factory=dict)

    def orders(self) -> dict[str, list[str]]:
        """The commands that set something, by instrument."""
        return {
            name: found
            for name, panel in self.panels.items()
            if (found := [text for text in self.heard[name] if panel.changes(text)])
        }


@contextmanager
def rig(folder: Path, text: str = STATION) -> Iterator[Rig]:
    """Serve the twin of a station file, and give the same file with the sockets' addresses."""
    path = folder / "station.toml"
    path.write_text(text, encoding="utf-8")
    description = read_station(path)
    clock = ScaledClock(5.0)
    world = build_world(description, clock, 1)
    by_resource = build_panels(description, world)
    panels = {panel.name: panel for panel in by_resource.values()}
    laboratory = Rig(path, world, panels)
    for name, panel in panels.items():
        overhear(panel, laboratory.heard.setdefault(name, []))
    with serve(panels, clock) as server:
        for resource, panel in by_resource.items():
            host, port = server.addresses[panel.name]
            text = re.sub(rf'"{re.escape(resource)}"', f'"TCPIP0::{host}::{port}::SOCKET"', text)
        path.write_text(text, encoding="utf-8")
        yield laboratory


def overhear(panel: FrontPanel, heard: list[str]) -> None:
    """Keep every command line that comes to a panel."""
    receive = panel.receive

    def overheard(line: bytes) -> bytes:
        heard.append(line.decode("latin-1").strip("\r\n\0"))
        return receive(line)

    panel.receive = overheard  # pyright: ignore[reportAttributeAccessIssue]
