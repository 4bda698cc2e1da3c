"""What is said of a run: its header, columns, legs, rows, events, end, and what an estimator concludes.

Frozen values only. Rows are numbered by the runner, kept by the journal, then told to listeners, in that order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a run ended. A run without an end record was interrupted."""

    COMPLETED = "completed"
    ABORTED = "aborted"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Column:
    """One channel of a run. `name` carries the unit (`field_T`); text columns have an empty `unit`.

    `role` is `setpoint`, `readback`, `derived`, `index` or `flags`.
    """

    name: str
    quantity: str
    unit: str = ""
    role: str = "readback"
    instrument: str = ""
    dtype: str = "float"


@dataclass(frozen=True, slots=True)
class Leg:
    """One monotone piece of a sweep, the unit of resume. Legs count from 0."""

    number: int
    start_T: float
    stop_T: float
    rate_T_per_s: float

    @property
    def rising(self) -> bool:
        """True when the field goes up, whatever its sign."""
        return self.stop_T > self.start_T


@dataclass(frozen=True, slots=True)
class Waiting:
    """Said by a procedure while it has no row to give: what it waits for, and for how long about."""

    text: str
    remaining_s: float | None = None
    state: str = "Settling"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a procedure is, 0..1, and the seconds it expects still to take."""

    fraction: float
    remaining_s: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One measured point: number from 0, monotonic seconds since the start, POSIX seconds, values by column order."""

    n: int
    time_s: float
    utc_s: float
    values: tuple[Any, ...]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run beside its rows: limits, interlocks, notes, communication, settling."""

    level: str
    source: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class InstrumentRecord:
    """One instrument as it was when the run began: who it is, where, and every setting read from it."""

    name: str
    driver: str
    resource: str
    identity: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a run before its first row. `parameters` are in SI with the unit in the name."""

    uid: str
    procedure: str
    parameters: Mapping[str, Any]
    columns: tuple[Column, ...]
    station: str
    rig: str
    sample: str
    simulated: bool
    started_utc: str
    started_utc_s: float
    monotonic_s: float
    software: Mapping[str, str]
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    note: str = ""


@dataclass(frozen=True, slots=True)
class Footer:
    """How a run ended: status, reason, the hardware's state as read back, and the number of rows."""

    outcome: Outcome
    rows: int
    reason: str = ""
    hardware: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """A value that is never shown without its standard uncertainty `u`; both in SI."""

    value: float
    u: float


class EstimateStatus(StrEnum):
    """What an estimator may claim. Anything but RESOLVED and the partial states carries no value of B_C."""

    WAITING = "waiting"  # not enough of the loop yet
    DOWN_ONLY = "down only"  # the falling branch alone: −B_C, preliminary
    UP_ONLY = "up only"  # the rising branch alone: +B_C, preliminary
    RESOLVED = "resolved"
    NOT_RESOLVED = "not resolved"  # both branches seen, and no coercive field in them
    MINOR_LOOP = "minor loop"  # the loop did not close before it turned


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an estimator concludes from the rows so far.

    `values` are in SI and keyed with their unit: `coercive_field_T`, `coercive_up_T`, `coercive_down_T`,
    `loop_centre_T`, `ahe_amplitude_ohm`, `width_T`, `delay_s`, ... ; a key that may not be claimed is absent.
    `budget` splits u(B_C) by source (`statistical`, `delay`, `trapped field`, `model`), in tesla. `reasons` are
    sentences that say why a value is absent or weak. `rows` is how many rows were seen.
    `likelihood_ratio` is 2 ln of the likelihoods with and without a loop, corrected for serial correlation.
    `may_stop` is true when the wanted u(B_C) is reached and was reached one loop earlier as well.
    """

    status: EstimateStatus
    values: Mapping[str, Measured]
    reasons: tuple[str, ...] = ()
    budget: Mapping[str, float] = field(default_factory=dict[str, float])
    text: str = ""
    rows: int = 0
    likelihood_ratio: float | None = None
    may_stop: bool = False
