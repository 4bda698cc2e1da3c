"""`remanence simulate`: a station's simulated instruments on TCP sockets, with a console for faults.

Ends on Ctrl-C, SIGTERM, SIGHUP, and when its console says `quit`.
"""

import contextlib
import json as json_lines
import re
import signal
import threading
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..core.clock import ScaledClock
from ..core.errors import ConfigError
from ..engine.fault_text import parse_fault, read_faults
from ..engine.station_file import bench, read_station, reference_station
from ..engine.twin import build_panels, build_world
from ..simulators.catalogue import dotted, front_panels
from ..simulators.fault_schedule import FaultSchedule
from ..simulators.faults import KINDS, Place
from ..simulators.front_panel import FrontPanel
from ..simulators.multivu import MultiVu
from ..simulators.multivu_server import MultiVuServer
from ..simulators.tcp import serve
from ..simulators.world import World
from .console import watch
from .view import duration

_HOST = "127.0.0.1"
_TABLE_WIDTH = 110
_SOCKET = re.compile(r"TCPIP\d*::[^:]+::(\d+)::SOCKET", re.IGNORECASE)
_HELP = """status                 field, temperature, source, faults, and who asks what
fault KIND [INSTRUMENT] [AMOUNT or TEXT] [in TIME] [for TIME] [on COMMAND] [with PROBABILITY] [xCOUNT]
                       for instance: fault late magnet 3 s · fault quench in 60 s · fault sensor_open cryostat A
faults                 every kind of fault
quit                   end"""


class Laboratory:
    """What is served: the world, its panels by instrument, and what goes wrong with them."""

    def __init__(self, world: World, panels: dict[str, FrontPanel], schedule: FaultSchedule, speed: float) -> None:
        self.world = world
        self.panels = panels
        self.schedule = schedule
        self.speed = speed
        self.addresses: dict[str, tuple[str, int]] = {}
        self.stopped = threading.Event()

    def resource(self, name: str) -> str:
        """The VISA resource name at which an instrument listens."""
        host, port = self.addresses[name]
        return f"TCPIP0::{host}::{port}::SOCKET"

    def instruments(self) -> Table:
        """Where each instrument is and how its lines end."""
        table = Table(box=None, pad_edge=False)
        for heading in ("instrument", "model", "VISA resource", "command ends", "reply ends"):
            table.add_column(heading)
        for name, panel in self.panels.items():
            ends = "CR, LF or CR LF" if set(panel.ends) == {10, 13} else _readable(panel.ends)
            # What has a server of its own sends messages that know their length.
            lines = (ends, _readable(panel.reply_end)) if panel.on_a_line else ("—", "—")
            table.add_row(name, panel.model, self.resource(name), *lines)
        return table

    def status(self) -> Table:
        """The laboratory as it is now, and who asks what."""
        world, table = self.world, Table(box=None, pad_edge=False, show_header=False)
        with world.lock:
            world.advance()
            excitation = world.excitation
            fields = "  ".join(f"{axis} {magnet.field():+.4f} T" for axis, magnet in world.magnets.items())
            block_K, sample_K = world.cryostat.block_K, world.cryostat.sample_K
            current = f"{excitation.rms_A:.4g} A at {excitation.frequency_Hz:g} Hz" if excitation.on else "off"
        table.add_row("time", f"{duration(self.schedule.now_s())}, {self.speed:g}× speed")
        table.add_row("field", fields)
        table.add_row("temperature", f"block {block_K:.3f} K  sample {sample_K:.3f} K")
        table.add_row("source", current)
        for name, panel in self.panels.items():
            table.add_row(name, f"{len(panel.conversations)} clients, {panel.received} commands")
        for text in self.schedule.describe():
            table.add_row("fault", text)
        for at_s, fault in list(self.schedule.history)[-3:]:
            table.add_row("happened", f"{at_s:.1f} s: {fault.kind} {fault.instrument}".rstrip())
        for at_s, why in list(self.schedule.failures)[-3:]:
            table.add_row("failed", f"{at_s:.1f} s: {why}")
        return table

    def obey(self, line: str) -> str | Table:
        """Do what a line at the console says, and give what to show.

        Raises:
            ConfigError: it cannot be understood.
        """
        verb, _, rest = line.strip().partition(" ")
        match verb:
            case "fault":
                fault = parse_fault(rest, self.schedule.now_s())
                known = len(self.schedule.failures)
                self.schedule.add(fault)
                self.schedule.act()
                if len(self.schedule.failures) > known:
                    raise ConfigError(self.schedule.failures[-1][1])
                return fault.describe()
            case "status":
                return self.status()
            case "faults":
                return fault_kinds()
            case "help" | "?":
                return _HELP
            case "quit" | "exit":
                self.stopped.set()
                return ""
            case "":
                return ""
            case _:
                raise ConfigError(f"{verb!r} is no command", do="`help` tells the commands")


def serve_station(
    station_path: Path | None,
    *,
    bench_name: str | None,
    speed: float,
    port: int,
    own_ports: bool,
    seed: int | None,
    faults: Path | None,
    json: bool,
) -> int:
    """Serve until told to stop; gives the exit code."""
    path = station_path or (bench(bench_name) if bench_name else reference_station())
    description = read_station(path, drivers=False)
    clock = ScaledClock(speed)
    chosen = description.simulation.seed if seed is None else seed
    world = build_world(description, clock, chosen)
    by_resource = build_panels(description, world)
    panels = {panel.name: panel for panel in by_resource.values()}
    schedule = FaultSchedule(world, panels.values(), read_faults(faults) if faults else (), chosen)
    laboratory = Laboratory(world, panels, schedule, speed)
    fixed = {panel.name: int(m[1]) for name, panel in by_resource.items() if own_ports and (m := _SOCKET.match(name))}
    plain = {name: panel for name, panel in panels.items() if not isinstance(panel, MultiVu)}
    ports = fixed or {name: port + number for number, name in enumerate(panels) if port}
    with ExitStack() as serving:
        server = serving.enter_context(serve(plain, clock, _HOST, ports))
        laboratory.addresses = dict(server.addresses)
        for name, panel in panels.items():
            if isinstance(panel, MultiVu):
                multivu = MultiVuServer(panel, clock, _HOST, ports.get(name, 0), turn=server.turn)
                laboratory.addresses[name] = serving.enter_context(multivu).address
        _stop_on_signals(laboratory)
        if json:
            _print_json(laboratory)
        # A resource name cut by a narrow terminal could not be copied: the table keeps its width, the terminal wraps.
        out = Console(stderr=json, width=max(Console().width, _TABLE_WIDTH))
        if not json:
            out.print(laboratory.instruments())
            sample = world.settings.sample.name
            out.print(f"{description.name} at {speed:g}× speed, sample {sample}. `help` for faults, Ctrl-C ends it.")
        watch(laboratory, out)
        out.print("closed")
    return 0


def list_panels(*, json: bool) -> int:
    """Print every instrument that can be simulated, what it speaks as and what of it is inferred."""
    out = Console(width=max(Console().width, _TABLE_WIDTH))
    for panel in front_panels():
        if json:
            facts = {
                "model": panel.model, "firmware": panel.firmware, "panel": dotted(panel), "inferred": panel.inferred,
                "knobs": panel.knobs,
            }  # fmt: skip
            print(json_lines.dumps(facts, ensure_ascii=False))
            continue
        out.print(f"{panel.model:<12} firmware {panel.firmware or '—':<12} {dotted(panel)}", highlight=False)
        for sentence in panel.inferred:
            out.print(f"             inferred: {sentence}", highlight=False, markup=False, soft_wrap=True)
    return 0


def fault_kinds() -> Table:
    """Every kind of fault, where it acts and what it does."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for place in Place:
        table.add_row(place.value, "", "")
        for name, kind in KINDS.items():
            if kind.place is place:
                usual = f"{kind.usual:g} {kind.unit}".strip() if kind.unit is not None else kind.text.upper()
                table.add_row(f"  {name}", usual, kind.says)
    return table


def _stop_on_signals(laboratory: Laboratory) -> None:
    def stop(_number: int, _frame: object) -> None:
        # An event's lock may be held by the very thread that the signal interrupts: another one sets it.
        threading.Thread(target=laboratory.stopped.set, daemon=True).start()

    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    for number in numbers:
        # Who started this in the background and had Ctrl-C ignored meant it.
        if number != signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def _print_json(laboratory: Laboratory) -> None:
    for name, panel in laboratory.panels.items():
        facts = {
            "name": name, "model": panel.model, "resource": laboratory.resource(name),
            "read_termination": panel.reply_end.decode("latin-1") if panel.on_a_line else None,
            "write_termination": _usual_end(panel.ends) if panel.on_a_line else None,
        }  # fmt: skip
        with contextlib.suppress(BrokenPipeError):
            print(json_lines.dumps(facts), flush=True)


def _usual_end(ends: bytes) -> str:
    return "\n" if 10 in ends else ends.decode("latin-1")


def _readable(terminator: bytes) -> str:
    names = {10: "LF", 13: "CR", 0x13: "XON", 0: "NUL"}
    return " ".join(names.get(byte, f"{byte:#04x}") for byte in terminator)
