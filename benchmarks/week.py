"""A week of laboratory time on the reference rig: three queries every two seconds, field, temperature and signal.

    python benchmarks/week.py [days]

Every six hours a loop of ±1 T at 2 mT/s, and in between the field at rest. The week is told in seven parts of equal
length, whose speeds show whether what has been costs anything: it must not.
"""

import sys
from time import process_time  # the processor's own: others may be at work on it
from typing import Any

import pyvisa
from remanence.core.clock import VirtualClock
from remanence.engine.station_file import bench, read_station
from remanence.engine.twin import build_panels, build_world
from remanence.simulators.visa import VirtualVisaLibrary

TARGET = 25_000.0
PERIOD_s, LOOP_s = 2.0, 6 * 3600.0
TURNS = ((0.0, "+", "MID"), (500.0, "", "ZERO"), (1000.0, "-", "MID"), (1500.0, "", "ZERO"))


class Rig:
    """The reference rig through the in-process PyVISA library, at its lowest level."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        description = read_station(bench("paper"))
        self.world = build_world(description, self.clock, 1)
        self.library = VirtualVisaLibrary(build_panels(description, self.world), self.clock)
        manager = pyvisa.ResourceManager(self.library)  # pyright: ignore[reportArgumentType]
        # PyVISA closes what nobody holds.
        self.resources: list[Any] = []
        self.sessions: dict[str, Any] = {}
        for name, entry in description.instruments.items():
            resource: Any = manager.open_resource(entry.resource, read_termination="\n", timeout=2000)
            self.resources.append(resource)
            self.sessions[name] = resource.session
        self.tell("source", b"SOUR:WAVE:FUNC SIN;AMPL 1E-6;FREQ 17.77;PMAR:STAT ON;:SOUR:WAVE:ARM;INIT\n")
        self.tell("lockin_xy", b"FMOD 0;OFLT 10;SENS 17\n")
        self.tell("cryostat", b"RANGE 1,3;PID 1,5,1000,0;SETP 1,5\n")
        for line in (b"SET RAMP 0.0148", b"SET MID 7.4"):
            self.ask("magnet", line + b"\r")

    def tell(self, name: str, line: bytes) -> None:
        self.library.write(self.sessions[name], line)

    def ask(self, name: str, line: bytes) -> bytes:
        session = self.sessions[name]
        self.library.write(session, line)
        return self.library.read(session, 4096)[0]

    def turn(self, sign: str, target: str) -> None:
        if sign:
            self.tell("magnet", f"DIRECTION {sign}\r".encode())
        self.tell("magnet", f"RAMP {target}\r".encode())
        self.ask("magnet", b"PAUSE OFF\r")

    def live(self, until_s: float) -> int:
        clock, queries = self.clock, 0
        first, last = int(clock.now() / LOOP_s), int(until_s / LOOP_s)
        every = [(n * LOOP_s + at_s, sign, target) for n in range(first, last + 1) for at_s, sign, target in TURNS]
        coming = [turn for turn in every if turn[0] >= clock.now()]
        while (now_s := clock.now()) < until_s:
            while coming and coming[0][0] <= now_s:
                self.turn(*coming.pop(0)[1:])
            self.ask("magnet", b"GET OUTPUT\r")
            self.ask("cryostat", b"KRDG? B\n")
            self.ask("lockin_xy", b"OUTP? 1\n")
            queries += 3
            clock.sleep(now_s + PERIOD_s - clock.now())
        return queries


def main() -> int:
    days = float(sys.argv[1]) if len(sys.argv) > 1 else 7.0
    rig, total_s, speeds = Rig(), 0.0, list[float]()
    for part in range(1, 8):
        began_s, started_s = rig.clock.now(), process_time()
        queries = rig.live(days * 86400.0 * part / 7.0)
        spent_s = process_time() - started_s
        total_s += spent_s
        speeds.append((rig.clock.now() - began_s) / spent_s)
        print(
            f"to day {days * part / 7.0:.2f}: {speeds[-1]:,.0f} × real time, {spent_s / queries * 1e6:.1f} µs a query",
            flush=True,
        )
    speed = days * 86400.0 / total_s
    print(f"{days:g} days in {total_s:.1f} s: {speed:,.0f} × real time (target {TARGET:,.0f})")
    print(f"last part {speeds[-1] / speeds[0]:.2f} times as fast as the first, field {rig.world.magnet.field():+.4f} T")
    return 0 if speed >= TARGET and speeds[-1] > 0.8 * speeds[0] else 1


if __name__ == "__main__":
    sys.exit(main())
