"""Faults: the small vocabulary of what goes wrong on the wire, at an instrument, and in the cryostat.

A `Fault` says what, where, when and how often; a `FaultSchedule` lets it happen. Faults of the wire fall on any
instrument on either transport; those of an instrument or of the cryostat need a hook that it offers.
"""

import math
from dataclasses import dataclass
from enum import Enum

from ..core.errors import ConfigError

# What every instrument is called in a fault that falls on all of them.
EVERY = "*"


class Place(Enum):
    """Where a fault acts."""

    COMMAND = "on the way to the instrument"
    REPLY = "on the way back"
    CONNECTION = "the connection"
    PANEL = "the instrument"
    LABORATORY = "the cryostat"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: what it does, and in which `unit` its amount is (None: it has none; empty: a plain number).

    `usual` is the amount when none is given. `text` says what the fault's text is, empty when it takes none. A kind
    that happens `once` falls on one command unless told otherwise; the others last until they are ended.
    """

    place: Place
    says: str
    unit: str | None = None
    usual: float = 0.0
    text: str = ""
    once: bool = False


_C, _R, _N, _P, _L = Place.COMMAND, Place.REPLY, Place.CONNECTION, Place.PANEL, Place.LABORATORY

KINDS: dict[str, Kind] = {
    # The wire (F1 to F21 of the fault catalogue)
    "late": Kind(_R, "the reply comes later by this time", "s", 3.0, once=True),
    "lost": Kind(_R, "the command is done, its reply never comes", once=True),
    "doubled": Kind(_R, "the reply comes twice", once=True),
    "split": Kind(_R, "the reply comes in two pieces, this time apart", "s", 0.2, once=True),
    "dripping": Kind(_R, "the reply comes byte by byte, this time apart", "s", 0.4, once=True),
    "endless": Kind(_R, "the reply never ends: this many bytes without a terminator", "", float(1 << 22), once=True),
    "cut": Kind(_R, "half of the reply comes, and silence", once=True),
    "short": Kind(_R, "the reply is cut inside its text, with its terminator", once=True),
    "garbage": Kind(_R, "random bytes, not ASCII, come instead of the reply", once=True),
    "noise": Kind(_R, "each bit of a reply is flipped with this probability", "", 1e-3),
    "unended": Kind(_R, "the reply ends with the text instead of its terminator", text="terminator", once=True),
    "empty": Kind(_R, "only the terminator comes", once=True),
    "answer": Kind(_R, "the reply is the text instead: an over-range number, a list, a unit", text="reply", once=True),
    "frozen": Kind(_R, "each query is answered as it was when the fault began"),
    "unheard": Kind(_C, "the command is lost on its way and not done", once=True),
    "ignored": Kind(_C, "what sets something is acknowledged and not done", once=True),
    "refused": Kind(_C, "what sets something is refused, in the text's words if given", text="reply", once=True),
    "local": Kind(_C, "the instrument is in local: what sets something is not done"),
    "reset": Kind(_N, "the command is done, then the connection is reset", once=True),
    "reset_before": Kind(_N, "the connection is reset before the command is done", once=True),
    "half_open": Kind(_N, "the connection stays open and nothing passes any more", once=True),
    "unreachable": Kind(_N, "connections are reset, and refused while it lasts"),
    "greeting_late": Kind(_N, "the greeting comes later by this time", "s", 3.0, once=True),
    "greeting_lost": Kind(_N, "the greeting never comes", once=True),
    "unasked": Kind(_P, "the instrument sends the text by itself", text="line", once=True),
    # The instrument
    "off": Kind(_P, "it has no power while this lasts, and is as after power-on when it ends"),
    "power_cycle": Kind(_P, "it is switched off and on", once=True),
    "errors_full": Kind(_P, "its error queue is full", once=True),
    "turned": Kind(_P, "somebody turns a knob at its front: the text is KNOB=VALUE", text="KNOB=VALUE", once=True),
    "sensor_open": Kind(_P, "the sensor at the input named by the text is open", text="input"),
    "sensor_short": Kind(_P, "the sensor at the input named by the text is shorted", text="input"),
    "sensor_over": Kind(_P, "the sensor at the input named by the text gives more than the input takes", text="input"),
    "sensor_frozen": Kind(_P, "the reading of the input named by the text stays as it is", text="input"),
    "flux_jump": Kind(_P, "its SQUID jumps by this many flux quanta", "", 1.0, once=True),
    "stuck_motor": Kind(_P, "its sample transport does not move, and does not notice"),
    # The cryostat
    "quench": Kind(_L, "the coil quenches", once=True),
    "heater_open": Kind(_L, "the heater of the persistent switch is broken: on, it warms nothing"),
    "slow_switch": Kind(_L, "the persistent switch takes this long to warm", "s", 120.0),
    "lead_resistance": Kind(_L, "the current leads have this resistance", "ohm", 0.05),
    "field_jump": Kind(_L, "the field jumps by this much", "T", 1e-2, once=True),
    "helium_loss": Kind(_L, "this much of the helium is gone", "l", 50.0, once=True),
    "compressor_stop": Kind(_L, "the compressor of the cooler stands still"),
    "stuck_heater": Kind(_L, "a heater gives this power whatever its controller says", "W", 5.0),
    "sensor_noise": Kind(_L, "every thermometer has this noise, in parts of the temperature", "", 0.01),
    "bad_contact": Kind(_L, "this contact of the sample is open", "", 1.0),
    "overload": Kind(_L, "this much interference falls on the contacts", "V", 0.5),
    "unlocked": Kind(_L, "the cable of the reference is off: lock-ins lose it"),
}

# A refusal may be in the instrument's own words, and a reply without any terminator is one too.
_MAY_LACK_TEXT = {"refused", "unended"}
_SIGNED = {"field_jump", "flux_jump"}
_LARGEST = {"endless": float(1 << 26), "noise": 1.0}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    `instrument` is a panel's name, or `*` for every one; the laboratory's own faults have none. It holds from `at_s`
    after the schedule's start, for `for_s`, and falls on at most `count` commands (None: as `Kind.once` says) that
    begin with `command`, each with `probability`. `amount` is in the kind's unit.

    Raises:
        ConfigError: it contradicts its kind.
    """

    kind: str
    instrument: str = ""
    at_s: float = 0.0
    for_s: float = math.inf
    count: int | None = None
    command: str = ""
    probability: float = 1.0
    amount: float | None = None
    text: str = ""

    def __post_init__(self) -> None:
        kind = KINDS.get(self.kind)
        if kind is None:
            raise ConfigError(f"there is no fault {self.kind!r}", do=f"kinds are {', '.join(KINDS)}")
        if (kind.place is Place.LABORATORY) == bool(self.instrument):
            said = "is the laboratory's own" if self.instrument else "needs an instrument"
            raise ConfigError(f"the fault {self.kind!r} {said}")
        if self.amount is not None and kind.unit is None:
            raise ConfigError(f"the fault {self.kind!r} has no amount")
        if self.text and not kind.text:
            raise ConfigError(f"the fault {self.kind!r} takes no text")
        if kind.text and not self.text and self.kind not in _MAY_LACK_TEXT:
            raise ConfigError(f"the fault {self.kind!r} needs a text: {kind.text}")
        if not (self.text + self.command).isascii():
            raise ConfigError(f"the fault {self.kind!r} has a text that no instrument's line can carry: {self.text!r}")
        if not (self.at_s >= 0 and self.for_s > 0 and 0 < self.probability <= 1):
            raise ConfigError(f"the fault {self.kind!r} needs at ≥ 0, for > 0 and 0 < probability ≤ 1")
        least = -math.inf if self.kind in _SIGNED else 0.0
        if self.amount is not None and not least <= self.amount <= _LARGEST.get(self.kind, 1e9):
            raise ConfigError(f"the fault {self.kind!r} cannot be of {self.amount:g} {kind.unit}".rstrip())
        if self.count is not None and self.count < 1:
            raise ConfigError(f"the fault {self.kind!r} needs a count of 1 or more")

    @property
    def size(self) -> float:
        """The amount, or the kind's usual one."""
        return KINDS[self.kind].usual if self.amount is None else self.amount

    @property
    def times(self) -> float:
        """On how many commands it falls: one for what happens once, unless it was given a count or a duration."""
        if self.count is not None:
            return self.count
        return 1 if KINDS[self.kind].once and math.isinf(self.for_s) else math.inf

    def describe(self) -> str:
        """It in one line, as a console takes it."""
        kind = KINDS[self.kind]
        words = [self.kind, self.instrument]
        if kind.unit is not None:
            words.append(f"{self.size:g} {kind.unit}".strip())
        if self.text:
            words.append(repr(self.text))
        if self.command:
            words.append(f"on {self.command}")
        words.append(f"at {self.at_s:g} s")
        if math.isfinite(self.for_s):
            words.append(f"for {self.for_s:g} s")
        if math.isfinite(self.times):
            words.append(f"x{self.times:g}")
        if self.probability < 1:
            words.append(f"with {self.probability:g}")
        return " ".join(word for word in words if word)
