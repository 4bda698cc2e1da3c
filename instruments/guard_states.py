"""The guard as a table: its states, what leads from one to another, and the words it speaks with its supply.

A person can read this file as the specification; the machine refuses a transition that is not in it, and a test
prints it into docs/magnet-safety.md.
"""

from dataclasses import dataclass
from enum import StrEnum

from ..core.capabilities import SupplyReading
from ..core.errors import RemanenceError


class State(StrEnum):
    """Where a magnet is, as far as the guard may claim."""

    MONITOR = "MONITOR"
    DISARMED = "DISARMED"
    HOLD = "HOLD"
    RAMP = "RAMP"
    SETTLE = "SETTLE"
    DRIVEN = "DRIVEN"
    MATCH_LEADS = "MATCH_LEADS"
    WARMING = "WARMING"
    COOLING = "COOLING"
    LEADS_DOWN = "LEADS_DOWN"
    PERSISTENT = "PERSISTENT"
    QUENCHED = "QUENCHED"
    FOREIGN = "FOREIGN"
    COMM_LOST = "COMM_LOST"
    FAULT = "FAULT"


@dataclass(frozen=True, slots=True)
class StateRow:
    """What a state means, what may be sent in it beside `hold`, and what is waited for."""

    meaning: str
    sends: str
    waits: str


STATES: dict[State, StateRow] = {
    State.MONITOR: StateRow(
        "a safety setting is missing or contradicts another, or the supply's", "nothing, not even hold", "–"
    ),
    State.DISARMED: StateRow("not yet looked at", "nothing", "the first look"),
    State.HOLD: StateRow("at rest, coil and leads one circuit", "a move; heater off", "–"),
    State.RAMP: StateRow("towards the end of one piece", "the next piece", "1.2 × the piece's time + 10 s"),
    State.SETTLE: StateRow("arrived, not yet called there", "a move", "`settle` within `tolerance`"),
    State.DRIVEN: StateRow("at the field that was asked for", "a move; heater off", "–"),
    State.MATCH_LEADS: StateRow(
        "switch cold, leads on their way to the coil's current", "leads only; heater on when matched",
        "5 looks ≥ 1 s apart: within `match`, voltage within 0.1 V",
    ),
    State.WARMING: StateRow("heater on, leads still", "nothing", "the whole `warm_time` since it was known to be on"),
    State.COOLING: StateRow("heater off, leads still", "nothing", "the whole `cool_time` since it was known to be off"),
    State.LEADS_DOWN: StateRow("switch cold, record kept, leads to zero", "leads only", "the leads at zero"),
    State.PERSISTENT: StateRow("switch cold; the coil keeps its current by itself", "leads only", "–"),
    State.QUENCHED: StateRow("latched, also over a restart", "nothing", "a person with a reason"),
    State.FOREIGN: StateRow("somebody else changed the supply", "nothing", "a person who says that it is ours again"),
    State.COMM_LOST: StateRow("no answer; no value is shown as live", "nothing", "an answer; then all is compared"),
    State.FAULT: StateRow("it did not do as told, or its record cannot be read", "nothing", "a person who looked"),
}  # fmt: skip

_LEAVE = (State.DISARMED, State.COMM_LOST, State.FOREIGN, State.FAULT, State.QUENCHED)
_ANY = tuple(state for state in State if state is not State.MONITOR)
_LIVE = tuple(state for state in _ANY if state not in _LEAVE)


@dataclass(frozen=True, slots=True)
class Transition:
    """One way from a state to another."""

    sources: tuple[State, ...]
    target: State
    when: str


TRANSITIONS: tuple[Transition, ...] = (
    Transition(_LEAVE, State.MONITOR, "the supply's field constant is not the magnet's, to 0.1 %"),
    Transition(_LEAVE, State.HOLD, "all was read: at rest, and no switch or a switch known to be warm"),
    Transition(_LEAVE, State.WARMING, "all was read: heater on, since when is not known"),
    Transition(_LEAVE, State.COOLING, "all was read: heater off, since when is not known"),
    Transition((State.DISARMED, State.COMM_LOST), State.RAMP, "all was read: it still follows our last order"),
    Transition((State.COMM_LOST,), State.SETTLE, "all was read: it arrived meanwhile"),
    Transition((State.COMM_LOST,), State.DRIVEN, "all was read: it is where it was"),
    Transition((State.COMM_LOST,), State.PERSISTENT, "all was read: it is as it was"),
    Transition((State.HOLD, State.DRIVEN, State.SETTLE), State.RAMP, "hold, rate, set point, fresh look, go"),
    Transition((State.RAMP,), State.SETTLE, "at rest within `tolerance` of the last piece's end"),
    Transition((State.SETTLE,), State.DRIVEN, "within `tolerance` for `settle`"),
    Transition((State.RAMP, State.SETTLE, State.DRIVEN), State.HOLD, "hold"),
    Transition((State.HOLD, State.DRIVEN), State.COOLING, "stable for `settle`, record durable, heater off confirmed"),
    Transition((State.COOLING,), State.PERSISTENT, "`cool_time` over"),
    Transition((State.LEADS_DOWN,), State.PERSISTENT, "leads at zero, or hold"),
    Transition((State.PERSISTENT,), State.LEADS_DOWN, "the leads are wanted down"),
    Transition((State.PERSISTENT,), State.MATCH_LEADS, "the switch is wanted warm, and the coil's current is known"),
    Transition((State.MATCH_LEADS,), State.PERSISTENT, "hold"),
    Transition((State.MATCH_LEADS,), State.WARMING, "matched, stable, heater on confirmed"),
    Transition((State.WARMING,), State.HOLD, "`warm_time` over"),
    Transition(_ANY, State.QUENCHED, "the supply says so, or current or voltage does, in two looks"),
    Transition(_ANY, State.FOREIGN, "units, limits, set point, rate or activity are not by our order, in two looks"),
    Transition(_LIVE, State.COMM_LOST, "three looks in a row found no answer"),
    Transition(_ANY, State.FAULT, "it or its heater is not as told, or the record is not readable; hold is sent"),
)  # fmt: skip

ALLOWED = frozenset((source, row.target) for row in TRANSITIONS for source in row.sources)


def table() -> str:
    """Both tables as Markdown."""
    lines = ["| state | means | may be sent, beside `hold` | waits for |", "|---|---|---|---|"]
    lines += [f"| {state} | {row.meaning} | {row.sends} | {row.waits} |" for state, row in STATES.items()]
    lines += ["", "| from | to | when |", "|---|---|---|"]
    for row in TRANSITIONS:
        names = {_ANY: "any but MONITOR", _LIVE: "any that is not latched"}
        source = names.get(row.sources, ", ".join(row.sources))
        lines.append(f"| {source} | {row.target} | {row.when} |")
    return "\n".join(lines)


# What the machine may say to its supply. Each is followed by its outcome, and after an unknown one by a look.


@dataclass(frozen=True, slots=True)
class Watch:
    """Look at what changes by itself."""


@dataclass(frozen=True, slots=True)
class Inspect:
    """Look at everything."""


@dataclass(frozen=True, slots=True)
class SendHold:
    """Stop where it is."""


@dataclass(frozen=True, slots=True)
class SetRate:
    """Tell the rate of the next piece (A/s)."""

    rate_A_per_s: float


@dataclass(frozen=True, slots=True)
class SetTarget:
    """Tell the end of the next piece (A); the rate is for the record."""

    target_A: float
    rate_A_per_s: float


@dataclass(frozen=True, slots=True)
class Go:
    """Start towards the set point."""


@dataclass(frozen=True, slots=True)
class SetHeater:
    """Order the switch heater."""

    on: bool


@dataclass(frozen=True, slots=True)
class LastOrder:
    """What the supply confirmed last: where to, how fast (A, A/s), heater on, and its units, constant and limits."""

    set_point_A: float | None = None
    rate_A_per_s: float | None = None
    heater_on: bool | None = None
    fingerprint: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """What must outlive the program. `unreadable` says why nothing is known: that blocks, it is never "fine".

    `persistent_A` is the current that the coil was left with, None when it was not left with one; `quench` tells of a
    quench that no person has cleared.
    """

    persistent_A: float | None = None
    quench: str = ""
    last: LastOrder = LastOrder()
    unreadable: str = ""
    # When and by whom it was written, as text for people.
    note: str = ""


@dataclass(frozen=True, slots=True)
class Remember:
    """Make this durable; nothing else is done until it is."""

    what: Remembered


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until the next request; `error` is for whoever asked."""

    error: RemanenceError | None = None


Command = Watch | Inspect | SendHold | SetRate | SetTarget | Go | SetHeater | Remember | Rest


class Result(StrEnum):
    """What became of a command."""

    OK = "ok"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the last command: what it read back, and the error it ended with."""

    result: Result
    read_back: float | None = None
    error: RemanenceError | None = None


# What may be asked of the machine.


@dataclass(frozen=True, slots=True)
class Arm:
    """Read all and find out where the magnet is: first thing after opening."""


@dataclass(frozen=True, slots=True)
class Look:
    """See how far it is, and go on with what was asked."""


@dataclass(frozen=True, slots=True)
class Move:
    """Go to a current (A) no faster than a rate (A/s)."""

    target_A: float
    rate_A_per_s: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Stop where it is, whatever else is under way."""


@dataclass(frozen=True, slots=True)
class Persist:
    """Let the coil keep its current, and take the leads to zero."""


@dataclass(frozen=True, slots=True)
class Unpersist:
    """Bring the leads to the coil's current and warm the switch."""


@dataclass(frozen=True, slots=True)
class ClearQuench:
    """A person says that the magnet is fit again."""

    person: str
    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """A person has looked, and says that the magnet is this program's again."""

    person: str


@dataclass(frozen=True, slots=True)
class DeclareCoil:
    """A person says what current (A) the coil keeps."""

    person: str
    current_A: float


@dataclass(frozen=True, slots=True)
class Coldness:
    """A look at what keeps the magnet cold: a value, or None when the sensor is bad."""

    sensor: str
    value: float | None
    time_s: float


Request = Arm | Look | Move | Hold | Persist | Unpersist | ClearQuench | Acknowledge | DeclareCoil | Coldness
Event = SupplyReading | Outcome | Request
