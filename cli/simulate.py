"""`remanence simulate`: the station's simulated instruments on TCP sockets."""

import threading
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..core.clock import ScaledClock
from ..engine.station_file import read_station, reference_station
from ..engine.twin import build_panels, build_world
from ..simulators.tcp import serve

_TABLE_WIDTH = 110


def serve_station(station_path: Path | None, *, speed: float, port: int, seed: int | None) -> int:
    """Serve until Ctrl-C; gives the exit code."""
    description = read_station(station_path or reference_station())
    clock = ScaledClock(speed)
    world = build_world(description, clock, description.simulation.seed if seed is None else seed)
    panels = build_panels(description, world)
    by_name = {panel.name: panel for panel in panels.values()}
    # A resource name cut by a narrow terminal could not be copied: the table keeps its width and the terminal wraps.
    out = Console(width=max(Console().width, _TABLE_WIDTH))
    with serve(by_name, clock, ports=port) as server:
        table = Table(box=None, pad_edge=False)
        for heading in ("instrument", "model", "VISA resource", "command ends", "reply ends"):
            table.add_column(heading)
        for name, panel in by_name.items():
            host, bound = server.addresses[name]
            table.add_row(
                name, panel.model, f"TCPIP0::{host}::{bound}::SOCKET", "CR, LF or CR LF", _readable(panel.reply_end)
            )
        out.print(table)
        out.print(f"{description.name} at {speed:g}× speed, sample {world.settings.sample.name}. Ctrl-C ends it.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            out.print("closed")
    return 0


def _readable(terminator: bytes) -> str:
    names = {10: "LF", 13: "CR", 0x13: "XON", 0: "NUL"}
    return " ".join(names.get(byte, f"{byte:#04x}") for byte in terminator)
