"""Opens the instruments of a station: connects, finds out who answers, and compares that with the file.

Instruments that name the same resource share one link. On a rig each resource is opened on a thread of its own, so
that one that is switched off costs its own patience and nobody else's; a simulated station is opened one after the
other, in the order of its file. Whatever fails, all others are tried, and everything is told at once.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyvisa
from pyvisa import rname

from ..core.clock import Clock
from ..core.errors import CommunicationError, ConfigError, RemanenceError
from ..instruments.driver import Driver
from ..instruments.link import Link
from .driver_names import load_driver
from .station_file import InstrumentEntry, StationFile
from .toml_file import place

# How long an instrument may take to let somebody connect (VISA counts in milliseconds), and to be connected to and
# asked who it is, with everything that its driver compares.
_PATIENCE_ms = 5000
_LONGEST_s = 60.0
_MANNERS = ("write_end", "read_end", "deadline_s", "pause_s")


@dataclass(slots=True)
class Opened:
    """What came of opening: instruments, their identities and serial numbers by name, and why others did not open."""

    instruments: dict[str, Driver] = field(default_factory=dict[str, Driver])
    identities: dict[str, str] = field(default_factory=dict[str, str])
    serials: dict[str, str] = field(default_factory=dict[str, str])
    errors: dict[str, RemanenceError] = field(default_factory=dict[str, RemanenceError])


def canonical(resource: str) -> str:
    """A VISA resource as VISA writes it: two ways to write one address are one."""
    try:
        return str(rname.ResourceName.from_string(resource))
    except rname.InvalidResourceName:
        return resource


def by_resource(description: StationFile) -> dict[str, list[str]]:
    """The instruments' names by the resource that they share."""
    groups: dict[str, list[str]] = {}
    for name, entry in description.instruments.items():
        groups.setdefault(canonical(entry.resource), []).append(name)
    return groups


def load_drivers(description: StationFile, path: Path) -> dict[str, type[Driver]]:
    """The driver of each instrument.

    Raises:
        ConfigError: there is none of that name; with file, line and the nearest name.
    """
    drivers: dict[str, type[Driver]] = {}
    for name, entry in description.instruments.items():
        try:
            drivers[name] = load_driver(entry.driver)
        except ConfigError as error:
            raise ConfigError(
                error.what, where=place(path, ["instruments", name, "driver"]), state="Nothing was sent", do=error.do
            ) from error
    return drivers


class Opener:
    """Opens the instruments of one station file; `close` is told how to undo it.

    `ask_serials` is off for a simulated station, whose instruments have serial numbers of their own. `relays` opens
    what is reached through a guardian, given the manager and a patience in milliseconds.
    """

    def __init__(
        self,
        description: StationFile,
        path: Path,
        drivers: Mapping[str, type[Driver]],
        manager: Any,
        clock: Clock,
        close: ExitStack,
        *,
        ask_serials: bool,
        relays: Mapping[str, Callable[[Any, int], Any]] | None = None,
    ) -> None:
        self._relays = relays or {}
        self._description, self._path, self._drivers, self._manager = description, path, drivers, manager
        self._clock, self._close, self._ask_serials = clock, close, ask_serials

    def open(self, *, parallel: bool) -> Opened:
        """Open everything that can be opened."""
        groups = by_resource(self._description)
        jobs = [_Job(partial(self._one_resource, names), names) for names in groups.values()]
        if parallel:
            for job in jobs:
                job.start()
        opened, bugs = Opened(), list[BaseException]()
        until_s = _LONGEST_s
        for job in jobs:
            if parallel:
                # The longest wait is for all together: they run side by side.
                before_s = self._clock.now()
                job.join(until_s)
                until_s = max(0.1, until_s - (self._clock.now() - before_s))
            else:
                job.run()
            found = job.outcome()
            if isinstance(found, BaseException):
                bugs.append(found)
            else:
                self._take(job, found, opened)
        if bugs:
            raise bugs[0]
        order = list(self._description.instruments)
        opened.instruments = {name: opened.instruments[name] for name in order if name in opened.instruments}
        opened.errors = {name: opened.errors[name] for name in order if name in opened.errors}
        return opened

    def _take(self, job: "_Job", found: "tuple[Link | None, Opened] | None", opened: Opened) -> None:
        if found is None:
            entry = self._description.instruments[job.names[0]]
            for name in job.names:
                opened.errors[name] = CommunicationError(
                    f"{entry.resource} was not opened within {_LONGEST_s:g} s", where=self._where(name),
                    state="Nothing was sent to any magnet", do="look at its cable and its VISA driver",
                )  # fmt: skip
            return
        link, part = found
        if link is not None:
            self._close.callback(link.close)
        opened.instruments |= part.instruments
        opened.identities |= part.identities
        opened.serials |= part.serials
        opened.errors |= part.errors

    def _one_resource(self, names: list[str]) -> "tuple[Link | None, Opened]":
        opened, entries = Opened(), self._description.instruments
        drivers = {name: self._drivers[name] for name in names}
        try:
            link = self._link(drivers)
        except RemanenceError as error:
            opened.errors |= dict.fromkeys(drivers, error)
            return None, opened
        for name, driver in drivers.items():
            try:
                self._verify(name, driver, link, entries[name], opened)
            except RemanenceError as error:
                opened.errors[name] = error
        if not opened.instruments:
            link.close()
            return None, opened
        return link, opened

    def _link(self, drivers: Mapping[str, type[Driver]]) -> Link:
        first, *others = drivers.values()
        name = next(iter(drivers))
        resource = self._description.instruments[name].resource
        for other in others:
            if any(getattr(first, manner) != getattr(other, manner) for manner in _MANNERS):
                raise ConfigError(
                    f"{' and '.join(drivers)} name {resource}, and do not speak alike", where=self._where(name),
                    state="Nothing was sent to it", do="check the resources",
                )  # fmt: skip
        open_resource = partial(self._manager.open_resource, resource, open_timeout=_PATIENCE_ms)
        relay = next((self._relays[each] for each in drivers if each in self._relays), None)
        if relay is not None:
            open_resource = partial(relay, self._manager, _PATIENCE_ms)
        try:
            session = open_resource()
        except (pyvisa.errors.Error, OSError, ValueError) as error:
            raise CommunicationError(
                f"cannot open {resource}: {error}", where=self._where(name),
                state="Nothing was sent to any magnet", do="check that it is switched on and its address",
            ) from error  # fmt: skip
        return Link(
            session, self._clock, name=", ".join(drivers), write_end=first.write_end, read_end=first.read_end,
            deadline_s=first.deadline_s, pause_s=first.pause_s, open_resource=open_resource, address=resource,
        )  # fmt: skip

    def _verify(self, name: str, driver: type[Driver], link: Link, entry: InstrumentEntry, opened: Opened) -> None:
        try:
            instrument = driver(link, name, **entry.options)
        except TypeError as error:
            raise ConfigError(
                f"{entry.driver} does not take these options: {error}", where=place(self._path, ["instruments", name])
            ) from error
        identity = instrument.verify()
        if self._ask_serials:
            serial = instrument.serial_number()
            if entry.serial is not None and entry.serial != serial:
                told = f"serial number {serial!r}" if serial else "an instrument that tells no serial number"
                raise ConfigError(
                    f"at {entry.resource} answers {told}, and the file wants {entry.serial!r}",
                    where=place(self._path, ["instruments", name, "serial"]), state="Nothing was set",
                    do="look which instrument is connected there, and correct the file or the cable",
                )  # fmt: skip
            opened.serials[name] = serial
        opened.identities[name] = identity
        opened.instruments[name] = instrument

    def _where(self, name: str) -> str:
        return place(self._path, ["instruments", name])


class _Job:
    """One resource being opened, here or on a thread; what nobody waits for any more is closed when it is open."""

    def __init__(self, work: Callable[[], tuple[Link | None, Opened]], names: list[str]) -> None:
        self.names = names
        self._work = work
        self._lock = threading.Lock()
        self._found: tuple[Link | None, Opened] | BaseException | None = None
        self._wanted = True
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self.run, name=f"open {self.names[0]}", daemon=True)
        self._thread.start()

    def join(self, patience_s: float) -> None:
        if self._thread is not None:
            self._thread.join(patience_s)

    def run(self) -> None:
        try:
            found: tuple[Link | None, Opened] | BaseException = self._work()
        except BaseException as error:  # raised again by whoever opens the station
            found = error
        with self._lock:
            self._found = found
            if not self._wanted and isinstance(found, tuple) and found[0] is not None:
                found[0].close()

    def outcome(self) -> tuple[Link | None, Opened] | BaseException | None:
        with self._lock:
            self._wanted = self._found is not None
            return self._found


def together(errors: Mapping[str, RemanenceError], count: int) -> RemanenceError:
    """All that went wrong as one error, a line for each; the one error itself where there is one."""
    distinct = list({id(error): error for error in errors.values()}.values())
    if len(distinct) == 1:
        return distinct[0]
    lines = "\n".join(f"  {name}: {error}" for name, error in errors.items())
    kind = ConfigError if all(isinstance(error, ConfigError) for error in distinct) else CommunicationError
    return kind(f"{len(errors)} of {count} instruments did not open\n{lines}")
