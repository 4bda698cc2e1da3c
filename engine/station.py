"""The station: the instruments of a `station.toml`, opened, identified and leased. The only composer.

`Station.open(path)` talks to the rig; `Station.open(path, simulate=True)` opens the same file on simulated wires.
One process at a time drives an instrument: where another one does, the station opens read-only.
"""

import math
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pyvisa

from ..core.capabilities import FieldSource, HeaterLoop, MagnetPowerSupply, Thermometer, VectorFieldSource
from ..core.clock import Clock, SystemClock, VirtualClock, asleep_s
from ..core.errors import ConfigError, RemanenceError, StationLocked, StorageError
from ..core.records import InstrumentRecord
from ..instruments.driver import Driver
from ..instruments.guard import Guard
from ..instruments.guard_vector import Ball, Box, VectorGuard
from ..instruments.magnet_memory import DiskFiles, Files, MagnetMemory, MemoryFiles
from ..instruments.thermal_watch import ThermalLimits
from ..simulators.fault_schedule import FaultSchedule
from ..simulators.faults import Fault
from ..simulators.sample import SampleSettings
from ..simulators.visa import VirtualVisaLibrary
from ..simulators.world import World
from .driver_names import load_driver
from .fault_text import read_faults
from .guard_settings import coldness, field_constant, magnet_limits
from .heartbeat import Charge, Heartbeat
from .lease import Lease, hold_all, place_of
from .opening import Opener, canonical, load_drivers, together
from .state_folder import state_folder
from .station_file import StationFile, read_station
from .thermal import LoopWatch
from .toml_file import place
from .twin import build_panels, build_world

CapabilityT = TypeVar("CapabilityT")
# What an instrument says that has no serial number of its own.
_NO_SERIAL = re.compile(r"[0#?\s-]*")
# What a relay can pass on as it comes: bytes in a stream.
_STREAM = re.compile(r"ASRL.*|TCPIP.*::SOCKET", re.IGNORECASE)
# What a station that somebody else drives may still be asked for.
_READABLE: tuple[type, ...] = (FieldSource, VectorFieldSource, Thermometer)


def _state(folder: Path | None) -> Path:
    try:
        if folder is None:
            return state_folder()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the folder for leases and magnets cannot be made: {error.strerror or error}", where=str(folder or ""),
            state="Nothing was sent to any instrument", do="name another in REMANENCE_STATE",
        ) from error  # fmt: skip
    return folder


class Station:
    """Instruments with a clock. Make one with `open`; close it, or use it in a `with` statement."""

    def __init__(self, description: StationFile, path: Path, clock: Clock, world: World | None) -> None:
        self.description = description
        self.path = path
        self.clock = clock
        # The truth behind a simulated station, for demonstrations and tests; None on a rig.
        self.world = world
        # What goes wrong at a simulated station that was opened with faults, and what already did.
        self.faults: FaultSchedule | None = None
        self.instruments: dict[str, Driver] = {}
        self.guards: dict[str, Guard] = {}
        # Vector magnets, each before the guards of its axes.
        self.vectors: dict[str, VectorGuard] = {}
        self.identities: dict[str, str] = {}
        # What the instruments of a rig say is their serial number; empty where one tells none.
        self.serials: dict[str, str] = {}
        # The leases that another process has; with any of them this station is read-only.
        self.taken: list[Lease] = []
        self.look_only = False
        self.loops: list[LoopWatch] = []
        # What tells each magnet's guardian that this program lives.
        self.heartbeats: dict[str, Heartbeat] = {}
        self._open = ExitStack()

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        simulate: bool = False,
        clock: Clock | None = None,
        seed: int | None = None,
        sample: SampleSettings | None = None,
        faults: str | Path | Sequence[Fault] = (),
        files: Files | None = None,
        state: Path | None = None,
        look_only: bool = False,
        errors: dict[str, RemanenceError] | None = None,
    ) -> Self:
        """Open every instrument of the file and check that it is what the file says.

        A simulated station runs on `VirtualClock` unless given a clock; `seed` and `sample` replace the file's.
        `faults` are what goes wrong with it, or a file of them; they count from here. `files` is where the guards keep
        what they must remember, `state` the folder for that and for the leases: this computer's state folder, and
        nowhere for a simulated station.

        With `look_only` nothing is taken over: no ramp is held, and no guardian is appointed. With `errors` an
        instrument that does not open is put there by name, and the station is opened without it.

        Raises:
            ConfigError: the file is wrong, or faults were given for a rig.
            CommunicationError: an instrument does not answer, or another one does; all of them are told.
            StorageError: the state folder cannot be made.
        """
        path = Path(path)
        if faults and not simulate:
            raise ConfigError(
                "faults are for a simulated station, and this is the rig", where=str(path),
                state="Nothing was opened", do="leave the faults out, or simulate the station",
            )  # fmt: skip
        planned = read_faults(Path(faults)) if isinstance(faults, str | Path) else faults
        description = read_station(path)
        drivers = load_drivers(description, path)
        if simulate:
            clock = clock or VirtualClock()
            chosen = description.simulation.seed if seed is None else seed
            world = build_world(description, clock, chosen, sample)
            station = cls(description, path, clock, world)
            panels = build_panels(description, world)
            if planned:
                station.faults = FaultSchedule(world, panels.values(), planned, chosen)
            library: Any = VirtualVisaLibrary(panels, clock)
        else:
            station = cls(description, path, clock or SystemClock(), None)
            library = description.visa_library
        station.look_only = look_only
        try:
            folder = None if simulate else _state(state)
            if files is None:
                files = MemoryFiles() if folder is None else DiskFiles(folder / "magnets")
            if folder is not None:
                station._lease(station._keys(), folder)
                if not (look_only or station.locked):
                    station._appoint_guardians(folder / "magnets")
            manager = pyvisa.ResourceManager(library)
            station._open.callback(manager.close)
            opener = Opener(
                description, path, drivers, manager, station.clock, station._open, ask_serials=not simulate,
                relays={n: h.open_relayed for n, h in station.heartbeats.items() if h.charge.form == "through"},
            )  # fmt: skip
            opened = opener.open(parallel=not simulate)
            if opened.errors and errors is None:
                raise together(opened.errors, len(description.instruments))
            if errors is not None:
                errors |= opened.errors
            station.instruments, station.identities = opened.instruments, opened.identities
            station.serials = opened.serials
            if folder is not None:
                station._lease(station._told_keys(), folder)
            if isinstance(files, DiskFiles):
                station._open.callback(files.close)
            station._take_over(files)
            station._watch_loops()
        except BaseException:
            station.close()
            raise
        return station

    # Leases

    @property
    def locked(self) -> StationLocked | None:
        """The error of whoever wants to write to a station that another process drives; None while it is ours."""
        if not self.taken:
            return None
        first = self.taken[0]
        owner = "another process" if first.owner is None else str(first.owner)
        return StationLocked(
            f"{owner} drives the instrument {first.serial!r}", where=str(self.path),
            state="This station is read-only, and nothing was sent", do="stop that process first, or watch it",
        )  # fmt: skip

    def _lease(self, keys: list[str], folder: Path) -> None:
        self.taken += hold_all(keys, folder, self.clock, str(self.path), self._open)
        if self.locked is not None and self.heartbeats:
            # A guardian that was appointed before this was known must not watch over somebody else's magnet.
            raise self.locked

    def _keys(self) -> list[str]:
        """What is leased before a byte is sent: each address, and the serial numbers that the file gives."""
        entries = self.description.instruments
        return [
            *(place_of(canonical(entry.resource)) for entry in entries.values()),
            *(f"magnet {guard.serial}" for guard in self.description.guard.values() if guard.serial),
        ]

    def _told_keys(self) -> list[str]:
        """What is leased once the instruments have told who they are."""
        return [
            f"{self.instruments[name].model} {serial}"
            for name, serial in self.serials.items()
            if _NO_SERIAL.fullmatch(serial) is None
        ]

    def _appoint_guardians(self, folder: Path) -> None:
        """Start a guardian for each magnet whose settings name one. They load while the instruments are opened."""
        for name, entry in self.description.guard.items():
            instrument = self.description.instruments[name]
            if entry.serial is None or entry.guardian is None or entry.guardian == "none":
                continue
            through = entry.guardian == "through"
            if through and _STREAM.fullmatch(instrument.resource) is None:
                raise ConfigError(
                    f"a guardian cannot relay {instrument.resource}: only a serial port or a TCP socket",
                    where=place(self.path, ["guard", name, "guardian"]), state="Nothing was sent to any instrument",
                    do="say beside",
                )  # fmt: skip
            driver = load_driver(instrument.driver)
            charge = Charge(
                entry.guardian, name, f"{driver.__module__}:{driver.__qualname__}", instrument.resource,
                instrument.options, entry.serial, "@py" if through else self.description.visa_library,
                str(folder.absolute()),
            )  # fmt: skip
            heartbeat = self.heartbeats[name] = Heartbeat(charge)
            self._open.push(heartbeat)

    def _take_over(self, files: Files) -> None:
        """Put a guard before each magnet, and let it find out where its magnet is."""
        for name, instrument in self.instruments.items():
            if isinstance(instrument, MagnetPowerSupply):
                guard = self.guards[name] = self._guard(name, instrument, files)
                if name in self.heartbeats:
                    self.heartbeats[name].port()  # nothing is ordered before somebody watches
                    guard.beat = self.heartbeats[name].beat
                if not self.look_only:
                    guard.take_over()

        for name, entry in self.description.vector.items():
            axes = {
                axis: self.guards[instrument] for axis, instrument in entry.axes.items() if instrument in self.guards
            }
            if len(axes) < len(entry.axes):
                continue  # a supply did not open, and was told
            boxes = [Box({axis: box.get(axis, 0.0) for axis in entry.axes}) for box in entry.boxes]
            self.vectors[name] = VectorGuard(axes, [Ball(entry.largest_field), *boxes], name=name)

    def _watch_loops(self) -> None:
        for name, entry in self.description.watch.items():
            loop = self.instruments.get(name)
            if loop is None:
                continue
            where = place(self.path, ["watch", name])
            if not isinstance(loop, HeaterLoop):
                raise ConfigError(f"{name!r} has no loop that can be watched over", where=where, do="leave it out")
            try:
                limits = ThermalLimits(entry.largest, entry.overshoot)
            except ConfigError as error:
                raise ConfigError(error.what, where=where) from error
            self.loops.append(LoopWatch(name, loop, limits, self.clock))

    def look_after(self) -> None:
        """Do what must be done while a run goes on, at each of its steps: watch over the heaters, tell the guardians.

        Raises:
            InterlockTripped: a temperature loop is not as it should be; its heater is off.
            CommunicationError: a loop that is watched over has not answered for half a minute.
        """
        self.alive()
        for loop in self.loops:
            loop.look()

    def alive(self) -> None:
        """Tell the guardians that this program lives: whoever drives the station says so at each of its steps."""
        if self.heartbeats:
            for guard in self.guards.values():
                guard.alive()

    def _guard(self, name: str, supply: MagnetPowerSupply, files: Files) -> Guard:
        """A magnet whose settings are not complete, or that somebody else drives, is shown and not moved."""
        constant = self.description.instruments[name].options.get("tesla_per_ampere", math.nan)
        try:
            if self.locked is not None:
                raise self.locked
            limits = magnet_limits(self.description, self.path, name)
            sensors = coldness(self.description.guard.get(name), self.instruments.__getitem__, self.path)
            if self.world is None and self.description.guard[name].guardian is None:
                raise ConfigError(
                    "'guardian' is missing: beside, through or none", where=place(self.path, ["guard", name])
                )
            self._compare_serial(name, limits.serial)
        except StationLocked as error:
            known = field_constant(self.description, name) or constant
            return Guard(supply, None, self.clock, name=name, problem=error, tesla_per_ampere=known)
        except (ConfigError, KeyError) as error:
            problem = str(error) if isinstance(error, ConfigError) else f"there is no instrument {error}"
            return Guard(supply, None, self.clock, name=name, problem=problem, tesla_per_ampere=constant)
        return Guard(
            supply, limits, self.clock, name=name, memory=MagnetMemory(files, limits.serial, self.clock),
            coldness=sensors, suspended_s=None if self.world is not None else asleep_s,
        )  # fmt: skip

    def _compare_serial(self, name: str, serial: str) -> None:
        told = self.serials.get(name, "")
        if told and _NO_SERIAL.fullmatch(told) is None and told != serial:
            raise ConfigError(
                f"the supply says that its serial number is {told!r}, and its limits are for {serial!r}",
                where=place(self.path, ["guard", name, "serial"]),
                do="look whether this is the supply of that magnet, and correct the serial",
            )

    def role(self, name: str, capability: type[CapabilityT]) -> CapabilityT:
        """The instrument that plays a role; a magnet only through its guard.

        Raises:
            ConfigError: no instrument has that role, or it does not offer the capability.
            StationLocked: another process drives this station, and the capability is one that writes.
        """
        instrument_name = self.description.roles.get(name)
        if instrument_name is None:
            raise ConfigError(
                f"the station has no role {name!r}", where=str(self.path), do="name an instrument in [roles]"
            )
        if self.locked is not None and capability not in _READABLE:
            raise self.locked
        if instrument_name not in self.instruments and instrument_name not in self.vectors:
            raise ConfigError(f"{instrument_name!r}, which the role {name!r} needs, did not open", where=str(self.path))
        magnets: dict[str, Any] = {**self.guards, **self.vectors}
        candidate: Any = magnets.get(instrument_name) or self.instruments[instrument_name]
        if not isinstance(candidate, capability):
            raise ConfigError(
                f"{instrument_name!r} is no {capability.__name__}, which the role {name!r} needs", where=str(self.path)
            )
        return candidate

    def records(self) -> list[InstrumentRecord]:
        """Every instrument as it is now: identity and all settings, read from the instrument."""
        records: list[InstrumentRecord] = []
        for name, entry in self.description.instruments.items():
            if name not in self.instruments:
                continue
            settings = self.instruments[name].settings() | ({"wiring": entry.wiring} if entry.wiring else {})
            records.append(InstrumentRecord(name, entry.driver, entry.resource, self.identities[name], settings))
        return records

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Every instrument's settings, by instrument name."""
        return {record.name: dict(record.settings) for record in self.records()}

    def make_safe(self) -> str:
        """Hold every magnet, then switch sources off and leave loops regulating; whatever fails, the rest is done.

        Gives one sentence on the hardware as read back. A station that another process drives is only read.
        """
        trouble = self._each([guard.hold for guard in self.guards.values()]) if self.locked is None else []
        trouble += self.sources_off()
        return " ".join([self.describe(), *trouble]).strip()

    def sources_off(self) -> list[str]:
        """Bring all that is no magnet into the state in which it may be left alone; gives what went wrong."""
        if self.locked is not None:
            return []
        return self._each([i.make_safe for name, i in self.instruments.items() if name not in self.guards])

    def _each(self, acts: Sequence[Callable[[], None]]) -> list[str]:
        trouble: list[str] = []
        for act in acts:
            try:
                act()
            except Exception as error:  # whatever it was, the next instrument must still be made safe
                trouble.append(str(error))
        return trouble

    def describe(self) -> str:
        """One sentence for each magnet on where its field is, read now."""
        return " ".join(guard.describe() for guard in self.guards.values())

    def close(self) -> None:
        """Close every link; moves nothing."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # An error that gets as far as this says nothing of the magnets: their guardians look once more.
        self._open.__exit__(kind, error, traceback)
