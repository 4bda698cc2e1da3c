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
from time import process_time  # the processor's own: others may be at work on it
from typing import Any

from pymeasure.adapters import VISAAdapter
from pymeasure.instruments.srs import SR830
from pyvisa import constants
from pyvisa.highlevel import VisaLibraryBase
from pyvisa.util import LibraryPath
from remanence.core.clock import VirtualClock
from remanence.engine.station_file import bench, read_station
from remanence.engine.twin import build_panels, build_world
from remanence.simulators.visa import VirtualVisaLibrary

QUERIES = 500
TARGET = 1.6


class EmptyLibrary(VisaLibraryBase):
    """PyVISA's own bookkeeping around nothing: every read gives the same reply."""

    def __new__(cls) -> "EmptyLibrary":
        return super().__new__(cls, LibraryPath("empty", "simulated"))  # type: ignore[return-value]

    def __init__(self) -> None:
        super().__init__()
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
        return b"0.000123456\n", self.handle_return_value(
            session, constants.StatusCode.success_termination_character_read
        )

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


def lockin_on(library: Any) -> Any:
    return SR830(VISAAdapter("GPIB0::8::INSTR", visa_library=library, read_termination="\n"))


def laboratory() -> tuple[Any, VirtualClock]:
    """The reference rig in a sweep: the field ramps, the current flows, the lock-in listens."""
    clock = VirtualClock()
    description = read_station(bench("paper"))
    world = build_world(description, clock, 1)
    panels = build_panels(description, world)
    source, magnet = panels["GPIB0::12::INSTR"], panels["ASRL3::INSTR"]
    source.receive(b"SOUR:WAVE:FUNC SIN;AMPL 1E-6;FREQ 17.77;PMAR:STAT ON;:SOUR:WAVE:ARM;INIT")
    for line in (b"SET RAMP 0.01", b"SET MID 50", b"RAMP MID", b"PAUSE OFF"):
        magnet.receive(line)
    lockin = lockin_on(VirtualVisaLibrary(panels, clock))
    lockin.write("FMOD 0")
    return lockin, clock


def per_query_s(ask: Callable[[], object]) -> float:
    started_s = process_time()
    for _ in range(QUERIES):
        ask()
    return (process_time() - started_s) / QUERIES


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 41
    there, clock = laboratory()
    nowhere = lockin_on(EmptyLibrary())
    asked: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "a reading (lockin.x)": (lambda: there.x, lambda: nowhere.x),
        "a setting (lockin.sine_voltage)": (lambda: there.sine_voltage, lambda: nowhere.sine_voltage),
    }
    worst = 0.0
    for name, (ours, empty) in asked.items():
        pairs = [(per_query_s(ours), per_query_s(empty)) for _ in range(rounds)]
        quotient = statistics.median(a / b for a, b in pairs)
        worst = max(worst, quotient)
        ours_us, empty_us = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
        print(f"{name}: {ours_us:.1f} µs, empty library {empty_us:.1f} µs, {quotient:.2f} × (target {TARGET})")
    print(f"{clock.now():.0f} s of laboratory time passed")
    return 0 if worst <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
