"""The station: the instruments of a `station.toml`, opened, identified and locked. The only composer.

`Station.open(path)` talks to the rig; `Station.open(path, simulate=True)` opens the same file on simulated wires.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import pyvisa

from ..core.capabilities import MagnetPowerSupply
from ..core.clock import Clock, SystemClock, VirtualClock, asleep_s
from ..core.errors import CommunicationError, ConfigError
from ..core.records import InstrumentRecord
from ..instruments.driver import Driver
from ..instruments.guard import Guard
from ..instruments.link import Link
from ..instruments.magnet_memory import DiskFiles, Files, MagnetMemory, MemoryFiles
from ..simulators.fault_schedule import FaultSchedule
from ..simulators.faults import Fault
from ..simulators.sample import SampleSettings
from ..simulators.visa import VirtualVisaLibrary
from ..simulators.world import World
from .fault_text import read_faults
from .guard_settings import coldness, magnet_limits
from .heartbeat import Charge, Heartbeat
from .lock import lock_station
from .state_folder import state_folder
from .station_file import InstrumentEntry, StationFile, read_station
from .toml_file import place
from .twin import build_panels, build_world, load_class

CapabilityT = TypeVar("CapabilityT")
# How long an instrument may take to let somebody connect: VISA counts in milliseconds.
_PATIENCE_ms = 5000


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
        self.identities: dict[str, str] = {}
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
    ) -> Self:
        """Open every instrument of the file and check that it is what the file says.

        A simulated station runs on `VirtualClock` unless given a clock; `seed` and `sample` replace the file's.
        `faults` are what goes wrong with it, or a file of them; they count from here. `files` is where the guards keep
        what they must remember: this computer's state folder, and nowhere for a simulated station.

        Raises:
            ConfigError: the file is wrong, or faults were given for a rig.
            CommunicationError: an instrument does not answer, or another one does.
            StationLocked: another process drives this station.
        """
        path = Path(path)
        if faults and not simulate:
            raise ConfigError(
                "faults are for a simulated station, and this is the rig", where=str(path),
                state="Nothing was opened", do="leave the faults out, or simulate the station",
            )  # fmt: skip
        planned = read_faults(Path(faults)) if isinstance(faults, str | Path) else faults
        description = read_station(path)
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
            station._open.enter_context(lock_station(path))
            library = description.visa_library
        try:
            if files is None:
                files = MemoryFiles() if simulate else DiskFiles(state_folder() / "magnets")
            if not simulate:
                station._appoint_guardians(state_folder() / "magnets")
            manager = pyvisa.ResourceManager(library)
            station._open.callback(manager.close)
            for name, entry in description.instruments.items():
                station._connect(manager, name, entry)
            if isinstance(files, DiskFiles):
                station._open.callback(files.close)
            station._take_over(files)
        except BaseException:
            station.close()
            raise
        return station

    def _connect(self, manager: pyvisa.ResourceManager, name: str, entry: InstrumentEntry) -> None:
        driver = load_class(entry.driver)
        open_resource = partial(cast(Any, manager).open_resource, entry.resource, open_timeout=_PATIENCE_ms)
        if name in self.heartbeats and self.heartbeats[name].charge.form == "through":
            open_resource = partial(self.heartbeats[name].open_relayed, manager, _PATIENCE_ms)
        try:
            resource = open_resource()
        except (pyvisa.errors.Error, OSError, ValueError) as error:
            raise CommunicationError(
                f"cannot open {entry.resource}: {error}", where=f"{self.path}: instruments.{name}",
                state="Nothing was sent to any magnet", do="check that it is switched on and its address",
            ) from error  # fmt: skip
        link = Link(
            resource, self.clock, name=name, write_end=driver.write_end, read_end=driver.read_end,
            deadline_s=driver.deadline_s, pause_s=driver.pause_s, open_resource=open_resource, address=entry.resource,
        )  # fmt: skip
        self._open.callback(link.close)
        try:
            instrument = driver(link, name, **entry.options)
        except TypeError as error:
            raise ConfigError(
                f"{entry.driver} does not take these options: {error}", where=f"{self.path}: {name}"
            ) from error
        self.identities[name] = instrument.verify()
        self.instruments[name] = instrument

    def _appoint_guardians(self, folder: Path) -> None:
        """Start a guardian for each magnet whose settings name one. They load while the instruments are opened."""
        for name, entry in self.description.guard.items():
            instrument = self.description.instruments[name]
            if entry.serial is None or entry.guardian is None or entry.guardian == "none":
                continue
            charge = Charge(
                entry.guardian, name, instrument.driver, instrument.resource, instrument.options, entry.serial,
                self.description.visa_library, str(folder.absolute()),
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
                guard.take_over()

    def alive(self) -> None:
        """Tell the guardians that this program lives: whoever drives the station says so at each of its steps."""
        if self.heartbeats:
            for guard in self.guards.values():
                guard.alive()

    def _guard(self, name: str, supply: MagnetPowerSupply, files: Files) -> Guard:
        """A magnet whose settings are not complete is shown and not moved."""
        try:
            limits = magnet_limits(self.description, self.path, name)
            sensors = coldness(self.description.guard.get(name), self.instruments.__getitem__, self.path)
            if self.world is None and self.description.guard[name].guardian is None:
                raise ConfigError(
                    "'guardian' is missing: beside, through or none", where=place(self.path, ["guard", name])
                )
        except (ConfigError, KeyError) as error:
            problem = str(error) if isinstance(error, ConfigError) else f"there is no instrument {error}"
            constant = self.description.instruments[name].options.get("tesla_per_ampere", math.nan)
            return Guard(supply, None, self.clock, name=name, problem=problem, tesla_per_ampere=constant)
        return Guard(
            supply, limits, self.clock, name=name, memory=MagnetMemory(files, limits.serial, self.clock),
            coldness=sensors, suspended_s=None if self.world is not None else asleep_s,
        )  # fmt: skip

    def role(self, name: str, capability: type[CapabilityT]) -> CapabilityT:
        """The instrument that plays a role; a magnet only through its guard.

        Raises:
            ConfigError: no instrument has that role, or it does not offer the capability.
        """
        instrument_name = self.description.roles.get(name)
        if instrument_name is None:
            raise ConfigError(
                f"the station has no role {name!r}", where=str(self.path), do="name an instrument in [roles]"
            )
        candidate: Any = self.guards.get(instrument_name, self.instruments[instrument_name])
        if not isinstance(candidate, capability):
            raise ConfigError(
                f"{instrument_name!r} is no {capability.__name__}, which the role {name!r} needs", where=str(self.path)
            )
        return candidate

    def records(self) -> list[InstrumentRecord]:
        """Every instrument as it is now: identity and all settings, read from the instrument."""
        records: list[InstrumentRecord] = []
        for name, entry in self.description.instruments.items():
            settings = self.instruments[name].settings() | ({"wiring": entry.wiring} if entry.wiring else {})
            records.append(InstrumentRecord(name, entry.driver, entry.resource, self.identities[name], settings))
        return records

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Every instrument's settings, by instrument name."""
        return {record.name: dict(record.settings) for record in self.records()}

    def make_safe(self) -> str:
        """Hold every magnet, then make everything else safe; whatever fails, the rest is still done.

        Gives one sentence on the hardware as read back.
        """
        trouble: list[str] = []
        for act in [*(guard.hold for guard in self.guards.values()), *(i.make_safe for i in self.instruments.values())]:
            try:
                act()
            except Exception as error:  # whatever it was, the next instrument must still be made safe
                trouble.append(str(error))
        return " ".join([self.describe(), *trouble]).strip()

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
