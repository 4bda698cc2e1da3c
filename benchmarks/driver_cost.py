"""What a reading costs through our driver and link beside pymeasure's own property on the same simulated wire.

    python benchmarks/driver_cost.py [rounds]

The same query goes through the same PyVISA to the same instrument of the laboratory: once as a property of pymeasure
with its own adapter, once as a property of a `Driver` over a `Link`, with lock, deadline, both looks at the line and
strict parsing. On the library in this process as a bus, a serial line and a socket, and over TCP with PyVISA-py, where
the server's own share is paid by both alike. Rounds of both alternate and the median of their quotients counts.
"""

import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from time import process_time  # the processor's own: others may be at work on it
from typing import Any

import pyvisa
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments import Instrument
from remanence.core.clock import VirtualClock
from remanence.instruments.driver import Driver, measurement
from remanence.instruments.link import Link
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.srs import SR830
from remanence.simulators.tcp import serve
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

READS = 400
TARGET = 1.25
MAGNET = MagnetSettings(0.135, 20.0, 50.0, 3.5, 0.004, ((111.0, 0.1),))
RESOURCES = {"GPIB": "GPIB0::8::INSTR", "serial": "ASRL8::INSTR", "socket": "TCPIP0::10.0.0.8::1234::SOCKET"}


class Theirs(Instrument):
    """Two of pymeasure's properties: a setting, and a measured number."""

    phase = Instrument.measurement("PHAS?", """Get the phase (degree).""")
    x = Instrument.measurement("OUTP? 1", """Measure X (V).""")


class Ours(Driver):
    """The same two."""

    phase: float = measurement("PHAS?", """Get the phase (degree).""")
    x: float = measurement("OUTP? 1", """Measure X (V).""")


def panel(clock: VirtualClock) -> SR830:
    return SR830(
        World(WorldSettings(MAGNET, CryostatSettings(), load_sample("park2020_deficient")), clock, 1), "x", "xx"
    )


def per_read_s(read: Callable[[], object]) -> float:
    started_s = process_time()
    for _ in range(READS):
        read()
    return (process_time() - started_s) / READS


def wires(stack: ExitStack) -> dict[str, tuple[str, Any, VirtualClock]]:
    """Each wire's name: resource, library, clock."""
    found: dict[str, tuple[str, Any, VirtualClock]] = {}
    for name, resource in RESOURCES.items():
        clock = VirtualClock()
        found[name] = (resource, VirtualVisaLibrary({resource: panel(clock)}, clock), clock)
    clock = VirtualClock()
    host, port = stack.enter_context(serve({"x": panel(clock)}, clock)).addresses["x"]
    found["TCP with PyVISA-py"] = (f"TCPIP0::{host}::{port}::SOCKET", "@py", clock)
    return found


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 41
    missed = False
    with ExitStack() as stack:
        for name, (resource, library, clock) in wires(stack).items():
            adapter = VISAAdapter(resource, visa_library=library, read_termination="\n", write_termination="\n")
            stack.callback(adapter.close)
            theirs = Theirs(adapter, "theirs", includeSCPI=False)
            opened: Any = pyvisa.ResourceManager(library).open_resource(resource)
            stack.callback(opened.close)
            ours = Ours(Link(opened, clock, name="ours"))
            for what in ("phase", "x"):
                mine, others = partial(getattr, ours, what), partial(getattr, theirs, what)
                pairs = [(per_read_s(mine), per_read_s(others)) for _ in range(rounds)]
                quotient = statistics.median(a / b for a, b in pairs)
                missed = missed or quotient > TARGET
                ours_us, theirs_us = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
                print(
                    f"{what:6s} over {name:18s} {ours_us:6.1f} µs, pymeasure's own {theirs_us:6.1f} µs, "
                    f"{quotient:.2f} × (target {TARGET})"
                )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
