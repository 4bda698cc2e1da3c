"""The wires between the contacts and the instruments: who drives which pads, who reads which, and what flows.

A wiring text says where the leads of an instrument go: `1-2` to the contacts 1 (high) and 2 (low), `r1-r2` to the
rows 1 and 2 of the switch matrix, and a second pair is the sense leads (`r1-r2 r3-r4`). Without a text they go to the
matrix if there is one: sources and force leads to rows 1 and 2, meters and sense leads to rows 3 and 4. If there is
none, sources go to contacts 1 and 2 and meters to 4 and 3, which reads R_12,34. The matrix joins row and contact by
the column of the same number.

Each source floats, and is open while one of its leads is. The contact resistances are in the current's path; a
source that cannot hold its level is at its limit.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..analysis.models import BOLTZMANN_J_PER_K
from ..core.errors import ConfigError
from .contacts import CONTACTS, Contacts

_LEAD = re.compile(r"(r?)([1-9]\d*)-(r?)([1-9]\d*)")
# A pad that is open has this much: no current to speak of at any voltage here.
_OPEN_ohm = 1e15
_ROUNDS = 8
_ROOM_K = 293.0

Group = frozenset[int]
_SINGLE: tuple[Group, ...] = tuple(frozenset((contact,)) for contact in CONTACTS)
Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Leads:
    """Two leads: each a contact (`row` false) or a row of the matrix."""

    high: int
    low: int
    high_row: bool = False
    low_row: bool = False


@dataclass(slots=True)
class Source:
    """A source as the wires see it. `level` is A or V by `volts`, `limit` the other one's magnitude.

    `current_A`, `voltage_V` and `limited` are what it does: set by the circuit.
    """

    leads: Leads | None
    sense: Leads | None = None
    on: bool = False
    volts: bool = False
    level: float = 0.0
    limit: float = 10.0
    remote: bool = False
    current_A: float = 0.0
    voltage_V: float = 0.0
    limited: bool = False
    # Whether it was when the circuit was last solved: reaching a limit wears contacts out, staying there does not.
    was_limited: bool = False


def parse_wiring(text: str, name: str) -> list[Leads]:
    """The pairs of leads that a wiring text says; none for an empty one.

    Raises:
        ConfigError: it is not a wiring, or there is no such contact.
    """
    pairs: list[Leads] = []
    for word in text.split():
        match = _LEAD.fullmatch(word)
        if match is None:
            raise ConfigError(f"{name} cannot be wired to {text!r}", do="write it like `1-2`, `r1-r2` or `1-2 4-3`")
        leads = Leads(int(match[2]), int(match[4]), bool(match[1]), bool(match[3]))
        for number, row in ((leads.high, leads.high_row), (leads.low, leads.low_row)):
            if not row and number not in CONTACTS:
                raise ConfigError(f"{name} is wired to contact {number}", do="the contacts are 1 to 4")
        pairs.append(leads)
    return pairs


class Nanovoltmeter(Protocol):
    """What a current source asks of a nanovoltmeter on its serial port and trigger link."""

    def conversion_s(self) -> float:
        """How long one conversion takes now (s)."""
        ...

    def convert(self) -> float:
        """One conversion (V); infinite over the range."""
        ...

    def receive(self, line: bytes) -> bytes:
        """A command line and its reply."""
        ...


class Circuit:
    """The sample's contacts with everything that hangs on them; `nanovoltmeters` are those a source may take along."""

    def __init__(self, contacts: Contacts) -> None:
        self.contacts = contacts
        self.nanovoltmeters: dict[str, Nanovoltmeter] = {}
        self._sources: list[Source] = []
        self._listeners: list[Callable[[], None]] = []
        self._rows: dict[int, Group] | None = None
        self._groups = list(_SINGLE)
        self._found: dict[tuple[Leads | None, int], tuple[Group | None, Group | None]] = {}
        contacts.changed = self._tell

    # Making it

    def source(self, wiring: str, name: str) -> Source:
        """Connect a source named `name`; its leads are found from `wiring`."""
        pairs = parse_wiring(wiring, name)
        source = Source(pairs[0] if pairs else None, pairs[1] if len(pairs) > 1 else None)
        self._sources.append(source)
        return source

    def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever the matrix joins or parts something."""
        self._listeners.append(changed)

    def insert_matrix(self) -> None:
        """Put a switch matrix between the instruments and the sample, all of it open."""
        self.connect(())

    def connect(self, crosspoints: Iterable[tuple[int, int]]) -> None:
        """Say which (row, column) of the matrix are closed; columns beyond the contacts lead nowhere."""
        rows: dict[int, set[int]] = {}
        for row, column in crosspoints:
            if column in CONTACTS:
                rows.setdefault(row, set()).add(column)
        self._rows = {row: frozenset(columns) for row, columns in rows.items()}
        self._groups = self._joined()
        self._tell()

    def _tell(self) -> None:
        self._found.clear()
        for changed in self._listeners:
            changed()

    # Asking it

    def solve(self) -> None:
        """Find the current and voltage of each source that is on, limits included."""
        self._flow(self._groups)

    def loop_ohm(self, source: Source) -> float:
        """What a source sees between its leads (ohm), all others off; infinite when it is open."""
        high, low = ends = self._ends(source.leads, 1)
        if high is None or low is None or self._open(ends):
            return math.inf
        if high == low:
            return 0.0
        z = self._impedance(groups := self._groups)
        i, j = groups.index(high), groups.index(low)
        return float(z[i, i] - z[i, j] - z[j, i] + z[j, j])

    def voltage(self, leads: Leads | None) -> float | None:
        """What a voltmeter finds between its leads (V), thermal EMFs included; None when one of them is open."""
        groups = self._groups
        pads_V = self._flow(groups)
        return self._between(leads, 3, groups, pads_V)

    def sensed(self, source: Source) -> float:
        """The voltage (V) at a source's sense leads when it has and uses them, else at its own."""
        groups = self._groups
        pads_V = self._flow(groups)
        remote = self._between(source.sense, 3, groups, pads_V) if source.remote else None
        if remote is not None:
            return remote
        own = self._between(source.leads, 1, groups, pads_V)
        return source.voltage_V if own is None or not source.on else own

    def noise_density(self, leads: Leads | None, sample_K: float) -> float:
        """Johnson noise between two leads (V/√Hz): the film's at its temperature, the pads' leads at room's."""
        ends = self._ends(leads, 3)
        if ends[0] is None or ends[1] is None or self._open(ends):
            return 0.0
        film_ohm = max(0.0, self.contacts.resistance(min(ends[0]), min(ends[1]), min(ends[1]), min(ends[0])))
        pads_ohm = min(_OPEN_ohm, sum(self.contacts.pad_ohm(min(end)) for end in ends if end))
        return math.sqrt(4.0 * BOLTZMANN_J_PER_K * (sample_K * film_ohm + _ROOM_K * pads_ohm))

    # How it does it

    def _ends(self, leads: Leads | None, first_row: int) -> tuple[Group | None, Group | None]:
        """The groups of contacts that two leads are on, None for one that is open."""
        ends = self._found.get((leads, first_row))
        if ends is None:
            ends = self._found[leads, first_row] = self._find(leads, first_row)
        return ends

    def _find(self, leads: Leads | None, first_row: int) -> tuple[Group | None, Group | None]:
        if leads is None:
            matrix = self._rows is not None
            meter = Leads(4, 3) if first_row == 3 else Leads(1, 2)
            leads = Leads(first_row, first_row + 1, True, True) if matrix else meter
        return self._end(leads.high, leads.high_row), self._end(leads.low, leads.low_row)

    def _end(self, number: int, row: bool) -> Group | None:
        contacts: Group = (self._rows or {}).get(number, frozenset()) if row else frozenset((number,))
        return next((group for group in self._groups if group & contacts), None)

    def _open(self, ends: tuple[Group | None, Group | None]) -> bool:
        """True when a lead reaches no contact, or none that is not broken."""
        high, low = ends
        if high is None or low is None:
            return True
        pad_ohm = self.contacts.pad_ohm
        return any(all(math.isinf(pad_ohm(contact)) for contact in end) for end in (high, low))

    def _joined(self) -> list[Group]:
        """The contacts in groups that rows of the matrix have joined."""
        groups = list(_SINGLE)
        for joined in (self._rows or {}).values():
            together = frozenset[int]().union(*(group for group in groups if group & joined))
            groups = [group for group in groups if not group & joined] + ([together] if together else [])
        return groups

    def _impedance(self, groups: Sequence[Group]) -> Array:
        """Potentials of the groups for currents into them (ohm), contact resistances included."""
        pads = np.array(self.contacts.impedance())
        pads.flat[::5] += [min(self.contacts.pad_ohm(contact), _OPEN_ohm) for contact in CONTACTS]
        order = [contact - 1 for group in groups for contact in sorted(group)]
        if order == [0, 1, 2, 3] == list(range(len(groups))):
            return pads
        if len(groups) == 4:
            return pads[np.ix_(order, order)]
        # Currents of the pads for a unit into each group: pads of a group lie at one potential.
        equations, given = np.zeros((4, 4)), np.zeros((4, len(groups)))
        line = 0
        for column, group in enumerate(groups):
            members = [contact - 1 for contact in sorted(group)]
            equations[line, members] = 1.0
            given[line, column] = 1.0
            line += 1
            for other in members[1:]:
                equations[line] = pads[members[0]] - pads[other]
                line += 1
        currents = np.linalg.solve(equations, given)
        leaders = [min(group) - 1 for group in groups]
        return pads[leaders] @ currents

    def _flow(self, groups: list[Group]) -> Array:
        """Solve for every source, in place, and give the potentials of the groups (V)."""
        z = self._impedance(groups)
        potentials = np.zeros(len(groups))
        active: list[tuple[Source, Array, Array]] = []
        for source in self._sources:
            source.was_limited, source.limited = source.limited, False
            source.current_A = source.voltage_V = 0.0
            if not source.on:
                continue
            force = self._vector(self._ends(source.leads, 1), groups)
            if force is None:
                # Open: no current, and a current source has gone to its limit in the attempt.
                source.limited = not source.volts and source.level != 0.0
                source.voltage_V = source.level if source.volts else math.copysign(source.limit, source.level)
                source.voltage_V *= 1.0 if source.volts or source.limited else 0.0
                continue
            if not force.any():
                # Shorted by the matrix: all the current it can give, none of it through the sample.
                source.limited = source.volts and source.level != 0.0
                source.current_A = math.copysign(source.limit, source.level) if source.limited else source.level
                source.current_A *= 0.0 if source.volts and not source.limited else 1.0
                continue
            sense = self._vector(self._ends(source.sense, 3), groups) if source.remote else None
            active.append((source, force, force if sense is None else sense))
        if not active:
            return potentials
        currents = self._share(z, active)
        for (source, force, _), current_A in zip(active, currents, strict=True):
            potentials += z @ force * current_A
            source.current_A = float(current_A)
        for source, force, _ in active:
            source.voltage_V = float(force @ potentials)
            if source.limited and not source.was_limited:
                for contact in frozenset[int]().union(*(end for end in self._ends(source.leads, 1) if end)):
                    self.contacts.strain(contact)
        return potentials

    def _share(self, z: Array, active: list[tuple[Source, Array, Array]]) -> Array:
        """The current of each source. A source over its limit holds the limit instead, and all are solved again."""
        held = {index: (source.volts, source.level) for index, (source, _, _) in enumerate(active)}
        currents = np.zeros(len(active))
        for _ in range(_ROUNDS):
            equations, given = np.eye(len(active)), np.zeros(len(active))
            for index, (volts, level) in held.items():
                given[index] = level
                if volts:
                    source, force, sense = active[index]
                    seen = force if source.limited else sense
                    equations[index] = [float(seen @ z @ other) for _, other, _ in active]
            alone = len(active) == 1
            currents = given / equations[0] if alone else np.linalg.lstsq(equations, given, rcond=None)[0]
            if not self._limit(z, active, held, currents):
                break
        return currents

    @staticmethod
    def _limit(
        z: Array,
        active: list[tuple[Source, Array, Array]],
        held: dict[int, tuple[bool, float]],
        currents: Array,
    ) -> bool:
        """Turn what is over its limit to holding it; True if something was."""
        potentials = sum(
            (z @ force * current for (_, force, _), current in zip(active, currents, strict=True)), np.zeros(len(z))
        )
        turned = False
        for index, (source, force, _) in enumerate(active):
            if source.limited:
                continue
            other = float(currents[index]) if source.volts else float(force @ potentials)
            if abs(other) > source.limit * (1.0 + 1e-9):
                source.limited = turned = True
                held[index] = (not source.volts, math.copysign(source.limit, other))
        return turned

    def _vector(self, ends: tuple[Group | None, Group | None], groups: list[Group]) -> Array | None:
        """+1 for the group of the high lead and −1 for that of the low one; None when one is open."""
        if ends[0] is None or ends[1] is None or self._open(ends):
            return None
        vector = np.zeros(len(groups))
        vector[groups.index(ends[0])] += 1.0
        vector[groups.index(ends[1])] -= 1.0
        return vector

    def _between(self, leads: Leads | None, first_row: int, groups: list[Group], potentials: Array) -> float | None:
        ends = self._ends(leads, first_row)
        vector = self._vector(ends, groups)
        if vector is None or ends[0] is None or ends[1] is None:
            return None
        emf_V = self.contacts.emf_V(min(ends[0])) - self.contacts.emf_V(min(ends[1]))
        return float(vector @ potentials) + emf_V
