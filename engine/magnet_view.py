"""A magnet as a person wants to see it: state, field, what the coil keeps, who drives it, what was last sent.

Only looks: the guard's machine is asked what it would make of this look and this record, and none of its commands goes
out. So the state is the one in which the next program will find the magnet.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.capabilities import Activity, MagnetPowerSupply, SupplyReading
from ..core.errors import ConfigError, RemanenceError
from ..instruments.guard_base import LATCHED
from ..instruments.guard_machine import Machine
from ..instruments.guard_states import (
    STATES,
    Arm,
    Inspect,
    Look,
    Outcome,
    Remember,
    Remembered,
    Request,
    Rest,
    Result,
    State,
    Watch,
)
from ..instruments.magnet_limits import MagnetLimits
from ..instruments.magnet_memory import Files, JournalLine, MagnetMemory
from .guard_settings import field_constant, magnet_limits
from .station import Station

_MOST_LOOKS = 10


@dataclass(frozen=True, slots=True)
class MagnetView:
    """One look at a magnet. Fields in tesla, NaN where not known; `why` says what stands in the way of moving it."""

    name: str
    serial: str
    state: State
    why: str
    do: str
    reading: SupplyReading | None
    tesla_per_ampere: float
    coil_T: float | None
    remembered: Remembered
    owner: str
    journal: tuple[JournalLine, ...]

    @property
    def meaning(self) -> str:
        """What the state means, in a few words."""
        return STATES[self.state].meaning

    @property
    def field_T(self) -> float:
        """What the leads make (T): the coil's field, unless the switch is cold."""
        return math.nan if self.reading is None else self.reading.output_A * self.tesla_per_ampere + 0.0

    def facts(self) -> dict[str, Any]:
        """All of it as one JSON object, in SI units."""
        reading, kept = self.reading, self.remembered
        return {
            "magnet": self.name,
            "serial": self.serial,
            "state": self.state.value,
            "meaning": self.meaning,
            "why": self.why,
            "do": self.do,
            "activity": None if reading is None else reading.activity.value,
            "detail": None if reading is None else reading.detail,
            "field_T": _number(self.field_T),
            "output_A": None if reading is None else reading.output_A,
            "set_point_A": None if reading is None else reading.set_point_A,
            "rate_A_per_s": None if reading is None else reading.rate_A_per_s,
            "voltage_V": None if reading is None else reading.voltage_V,
            "heater": None if reading is None or reading.heater is None else reading.heater.value,
            "coil_T": self.coil_T,
            "quench": kept.quench,
            "record": kept.unreadable or kept.note,
            "last_order": {
                "set_point_A": kept.last.set_point_A,
                "rate_A_per_s": kept.last.rate_A_per_s,
                "heater_on": kept.last.heater_on,
            },
            "driven_by": self.owner,
            "journal": [line._asdict() for line in self.journal],
        }


def choose_magnet(station: Station, name: str | None) -> str:
    """The magnet that a person means: the named one, or the only one of the station.

    Raises:
        ConfigError: there is none of that name, there are several, or the station has none.
    """
    known = {*station.guards, *station.description.guard}
    names = [name for name in station.description.instruments if name in known]
    if name in names:
        return name
    where = str(station.path)
    if not names:
        raise ConfigError("this station has no magnet", where=where, do="look at its [instruments]")
    if name is not None:
        raise ConfigError(f"there is no magnet {name!r}", where=where, do=f"magnets are {', '.join(names)}")
    if len(names) > 1:
        raise ConfigError("this station has several magnets", where=where, do=f"say --magnet {' or '.join(names)}")
    return names[0]


def look_at(
    station: Station, name: str, files: Files, *, errors: Mapping[str, RemanenceError], lines: int = 8
) -> MagnetView:
    """Look at a magnet once, and at its record; sends it nothing.

    A supply that did not open or does not answer is shown by its record alone: that is when it is wanted most.
    """
    entry = station.description.guard.get(name)
    serial = "" if entry is None or entry.serial is None else entry.serial
    memory = MagnetMemory(files, serial, station.clock) if serial else None
    remembered = Remembered() if memory is None else memory.load()
    journal: tuple[JournalLine, ...] = ()
    trouble: RemanenceError | None = errors.get(name)
    try:
        journal = () if memory is None else tuple(memory.last_notes(lines))
    except OSError as error:
        journal = (JournalLine("", f"the journal cannot be read: {error.strerror or error}"),)
    supply, reading = station.instruments.get(name), None
    if isinstance(supply, MagnetPowerSupply):
        try:
            reading = supply.inspect()
        except RemanenceError as error:
            trouble = error
    state, why, do = State.DISARMED, "", ""
    limits, incomplete = _limits(station, name)
    constant = _constant(station, name, limits)
    coil_A = remembered.persistent_A
    guard = station.guards.get(name)
    if trouble is not None:
        state, why, do = State.COMM_LOST, trouble.what, trouble.do
    elif guard is not None and guard.machine is None and station.locked is None:
        state, why = State.MONITOR, guard.problem
    elif limits is not None and reading is not None and isinstance(supply, MagnetPowerSupply):
        machine = Machine(
            limits, remembered, name=name, current_step_A=supply.current_step_A, zero_relay=supply.reverses_through_zero
        )
        state, why, do = _made_of(machine, reading, station.clock.now())
    elif incomplete:
        state, why = State.MONITOR, incomplete
    return MagnetView(
        name, serial, state, why, do, reading, constant, None if coil_A is None else coil_A * constant + 0.0,
        remembered, _owner(station), journal,
    )  # fmt: skip


def _limits(station: Station, name: str) -> tuple[MagnetLimits | None, str]:
    try:
        return magnet_limits(station.description, station.path, name), ""
    except ConfigError as error:
        return None, str(error)


def _constant(station: Station, name: str, limits: MagnetLimits | None) -> float:
    if limits is not None:
        return limits.tesla_per_ampere
    try:
        return field_constant(station.description, name) or math.nan
    except ConfigError:
        return math.nan


def _made_of(machine: Machine, reading: SupplyReading, now_s: float) -> tuple[State, str, str]:
    """The state that the guard would find, why it would move nothing, and what to do; nothing is sent."""
    error = _without_a_wire(machine, Arm(), reading, now_s)
    if error is None and machine.state is State.DISARMED:
        return State.DISARMED, "it ramps, and by no order that is on record", "whoever opens the station holds it"
    if error is None and machine.state in LATCHED:
        error = _without_a_wire(machine, Look(), reading, now_s)
    return (machine.state, "", "") if error is None else (machine.state, error.what, error.do)


def _without_a_wire(machine: Machine, request: Request, reading: SupplyReading, now_s: float) -> RemanenceError | None:
    command = machine.decide(now_s, request)
    for _ in range(_MOST_LOOKS):
        match command:
            case Watch() | Inspect():
                command = machine.decide(now_s, reading)
            case Remember():
                command = machine.decide(now_s, Outcome(Result.OK))
            case Rest():
                return command.error
            case _:
                return None
    return None


def _owner(station: Station) -> str:
    if station.world is not None:
        return "nobody: it is simulated"
    if not station.taken:
        return "nobody"
    owner = station.taken[0].owner
    return "another process" if owner is None else str(owner)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def by_itself(view: MagnetView) -> str:
    """What the supply does while nobody speaks to it, as it was last read."""
    reading = view.reading
    if reading is None:
        return "not known: it does not answer"
    if reading.activity is Activity.RAMPING:
        stop = reading.set_point_A
        there = "its set point" if stop is None else f"{stop * view.tesla_per_ampere + 0.0:+.4f} T"
        return f"it goes on to {there} and stays there"
    return "it runs down" if reading.activity is Activity.QUENCHED else "it stays where it is"
