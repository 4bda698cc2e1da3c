"""What a query to the coupled laboratory costs beside the same query to an empty in-process PyVISA library.

    python benchmarks/query_cost.py [rounds]

The same pymeasure property goes through the same PyVISA to two libraries: ours with the whole laboratory behind it, a
ramp going on, and one that answers a constant. Rounds of both alternate and the median of their quotients counts: the
machine's mood falls on both alike.
"""

import itertools
import statistics
import sys
from collections.abc import Callable
from functools import partial
from time import process_time  # the processor's own: others may be at work on it
from typing import Any

from pymeasure.adapters import VISAAdapter
from pymeasure.instruments import Instrument
from pymeasure.instruments.lakeshore.lakeshore3xx import LakeShore3xx
from pymeasure.instruments.srs import SR830
from pyvisa import constants
from pyvisa.highlevel import VisaLibraryBase
from pyvisa.util import LibraryPath
from remanence.core.clock import VirtualClock
from remanence.engine.station_file import bench, read_station
from remanence.engine.twin import build_panels, build_world
from remanence.simulators.visa import VirtualVisaLibrary

QUERIES = 500
CRYOSTAT = "TCPIP0::192.168.1.12::7777::SOCKET"
TARGET = 1.6


class EmptyLibrary(VisaLibraryBase):
    """PyVISA's own bookkeeping around nothing: every read gives the same reply."""

    def __new__(cls, reply: bytes) -> "EmptyLibrary":
        return super().__new__(cls, LibraryPath(f"empty-{reply!r}", "simulated"))  # type: ignore[return-value]

    def __init__(self, reply: bytes) -> None:
        super().__init__()
        self._reply = reply
        self._handles = itertools.count(1)

    def _init(self) -> None:
        pass

    def open_default_resource_manager(self) -> tuple[Any, Any]:
        return next(self._handles), constants.StatusCode.success

    def open(self, session: Any, name: str, mode: Any = None, timeout: int = 0) -> tuple[Any, Any]:
        handle = next(self._handles)
        return handle, self.handle_return_value(handle, constants.StatusCode.success)

    def close(self, session: Any) -> Any:
        return constants.StatusCode.success

    def write(self, session: Any, data: bytes) -> tuple[int, Any]:
        return len(data), self.handle_return_value(session, constants.StatusCode.success)

    def read(self, session: Any, count: int) -> tuple[bytes, Any]:
        return self._reply, self.handle_return_value(session, constants.StatusCode.success_termination_character_read)

    def get_attribute(self, session: Any, attribute: Any) -> tuple[Any, Any]:
        return 0, self.handle_return_value(session, constants.StatusCode.success)

    def set_attribute(self, session: Any, attribute: Any, state: Any) -> Any:
        return self.handle_return_value(session, constants.StatusCode.success)

    def disable_event(self, session: Any, event: Any, mechanism: Any) -> Any:
        return constants.StatusCode.success

    def discard_events(self, session: Any, event: Any, mechanism: Any) -> Any:
        return constants.StatusCode.success

    def uninstall_all_visa_handlers(self, session: Any) -> None:
        pass


def amperes(reply: str) -> str:
    return reply.split(":")[-1].split()[0]


class Supply(Instrument):
    """A supply that no driver of pymeasure knows, as a property of pymeasure: `........ OUTPUT: 7.4 AMPS AT …`."""

    current = Instrument.measurement("GET OUTPUT", """Measure the current (A).""", preprocess_reply=amperes)


def connect(kind: Any, resource: str, library: Any) -> Any:
    """One instrument of pymeasure on a library."""
    adapter = VISAAdapter(resource, visa_library=library, read_termination="\n")
    return kind(adapter, name="supply", includeSCPI=False) if kind is Supply else kind(adapter)


def laboratory() -> tuple[VirtualVisaLibrary, VirtualClock]:
    """The reference rig in a sweep: the field ramps, the current flows, the lock-in listens, the sample is cold."""
    clock = VirtualClock()
    description = read_station(bench("paper"))
    world = build_world(description, clock, 1)
    panels = build_panels(description, world)
    source, magnet, cryostat = panels["GPIB0::12::INSTR"], panels["ASRL3::INSTR"], panels[CRYOSTAT]
    source.receive(b"SOUR:WAVE:FUNC SIN;AMPL 1E-6;FREQ 17.77;PMAR:STAT ON;:SOUR:WAVE:ARM;INIT")
    cryostat.receive(b"RANGE 1,3;PID 1,5,1000,0;SETP 1,5")
    clock.sleep(600.0)
    for line in (b"SET RAMP 0.01", b"SET MID 50", b"RAMP MID", b"PAUSE OFF"):
        magnet.receive(line)
    panels["GPIB0::8::INSTR"].receive(b"FMOD 0")
    return VirtualVisaLibrary(panels, clock), clock


def per_query_s(ask: Callable[[], object]) -> float:
    started_s = process_time()
    for _ in range(QUERIES):
        ask()
    return (process_time() - started_s) / QUERIES


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 41
    library, clock = laboratory()
    asked: list[tuple[str, Any, str, str, Callable[[Any], object]]] = [
        ("a setting (lock-in's sine voltage)", SR830, "GPIB0::8::INSTR", "1.000\n", lambda i: i.sine_voltage),
        ("the current in the leads", Supply, "ASRL3::INSTR", "........ OUTPUT: 7.4074 AMPS AT 0.62 VOLTS\r\n",
         lambda i: i.current),
        ("the temperature", LakeShore3xx, CRYOSTAT, "+004.9997\r\n", lambda i: i.input_B.kelvin),
        ("X through the lock-in's filter", SR830, "GPIB0::8::INSTR", "0.000697\n", lambda i: i.x),
    ]  # fmt: skip
    missed = False
    for name, kind, resource, reply, ask in asked:
        there, nowhere = connect(kind, resource, library), connect(kind, resource, EmptyLibrary(reply.encode()))
        pairs = [(per_query_s(partial(ask, there)), per_query_s(partial(ask, nowhere))) for _ in range(rounds)]
        quotient = statistics.median(a / b for a, b in pairs)
        missed = missed or quotient > TARGET
        ours_us, empty_us = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
        print(f"{name:36s} {ours_us:6.1f} µs, empty library {empty_us:6.1f} µs, {quotient:.2f} × (target {TARGET})")
    print(f"{clock.now():.0f} s of laboratory time passed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
