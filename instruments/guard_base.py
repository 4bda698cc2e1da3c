"""What every state of the guard shares: one command at a time, looks that are doubted before they are believed, hold.

No time passes here and nothing is sent: `decide` takes what happened and gives what to do next. A command's outcome is
ok, refused or unknown; after an unknown one nothing but a look (or another hold) may be said.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..core.capabilities import Activity, Heater, SupplyReading
from ..core.errors import CommunicationError, DeviceFault, RemanenceError
from .guard_path import Piece
from .guard_states import (
    ALLOWED,
    Command,
    Event,
    Go,
    Inspect,
    LastOrder,
    Outcome,
    Remember,
    Remembered,
    Rest,
    Result,
    SendHold,
    State,
    Watch,
)
from .guard_witness import Ramp, Steps, implausible
from .magnet_limits import MagnetLimits

WATCH, INSPECT, HOLD, GO, DONE = Watch(), Inspect(), SendHold(), Go(), Rest()
# The coil and the leads are one circuit.
WARM = frozenset({State.HOLD, State.RAMP, State.SETTLE, State.DRIVEN})
# The switch is cold, or on its way there.
COLD = frozenset({State.COOLING, State.LEADS_DOWN, State.PERSISTENT, State.MATCH_LEADS})
LATCHED = frozenset({State.QUENCHED, State.FOREIGN, State.FAULT, State.DISARMED, State.MONITOR})
_LOOKS = 3
_HOLDS = 3
# After this long without a look the world may be another: everything is read before anything is written.
GAP_s = 5.0
Then = Callable[[Any], Command]


class Base:
    """The part of the machine that does not know where the magnet should go."""

    def __init__(
        self, limits: MagnetLimits, remembered: Remembered, *, name: str, current_step_A: float, zero_relay: bool
    ) -> None:
        self.limits = limits
        self.name = name
        self.state = State.DISARMED
        self.remembered = remembered
        # The last look that was believed, and when it was taken in.
        self.reading: SupplyReading | None = None
        self.seen_s = -float("inf")
        # The coil's current while the switch is cold; None when it is not known.
        self.coil_A: float | None = remembered.persistent_A
        self.ramp: Ramp | None = None
        # Where the supply goes if nobody speaks to it again; before it confirmed anything to us that is not known.
        self.coast: Piece | None = None
        self.coast_known = False
        self._step_A = current_step_A
        self._zero_relay = zero_relay
        self._now_s = 0.0
        self._said: Command = DONE
        self._then: Then = self._nothing
        self._if_lost: Callable[[Outcome], Command] | None = None
        self._lost_looks = 0
        self._bad_looks = 0
        self._doubts: set[str] = set()
        self._steps = Steps(limits)
        self._heater_on: bool | None = None
        self._order = LastOrder()
        self._hold_tries = 0
        self._held: Callable[[SupplyReading], Command] = self._nothing
        self._before_lost = State.DISARMED
        self._standing: RemanenceError | None = None

    def decide(self, now_s: float, event: Event) -> Command:
        """What to do next, after `event`."""
        self._now_s = now_s
        if type(event) is SupplyReading:
            return self._screen(event)
        if type(event) is Outcome:
            return self._learn(event)
        return self._request(event)

    def forget_time(self) -> None:
        """The computer slept: whatever was seen before is old."""
        self.seen_s = -float("inf")

    # One command at a time

    def _request(self, event: Any) -> Command:
        raise NotImplementedError

    def _abandon(self) -> None:
        """Drop what was to be done next."""
        raise NotImplementedError

    def _ask(self, command: Command, then: Then, if_lost: Callable[[Outcome], Command] | None = None) -> Command:
        self._said, self._then, self._if_lost = command, then, if_lost
        return command

    def _again(self, look: Watch | Inspect = INSPECT) -> Command:
        """Look once more, if not told otherwise at everything, before the same is decided."""
        self._said = look
        return look

    def _nothing(self, _event: Any = None) -> Command:
        return DONE

    def _learn(self, outcome: Outcome) -> Command:
        said = self._said
        if type(said) is Remember:
            return self._then(outcome)
        if type(said) in (Watch, Inspect):
            self._lost_looks += 1
            if self._if_lost is not None:
                return self._if_lost(outcome)
            if self._lost_looks < _LOOKS:
                return said
            return self._lose(outcome)
        if type(said) is SendHold:
            return self._hold_answered(outcome)
        if outcome.result is Result.UNKNOWN:
            return self._unsure(said)
        if outcome.result is Result.REFUSED:
            return self._refused(outcome)
        return self._then(outcome)

    def _unsure(self, said: Command) -> Command:
        raise NotImplementedError

    def _refused(self, outcome: Outcome) -> Command:
        raise NotImplementedError

    # Looks

    def _screen(self, reading: SupplyReading) -> Command:
        """Believe a look, or look again."""
        self._lost_looks = 0
        limits = self.limits
        if reading.activity is Activity.QUENCHED and self.state not in (State.QUENCHED, State.MONITOR):
            return self._quench(f"the supply reports a quench: {reading.detail}", reading)
        why = implausible(limits, reading, self._now_s)
        if why or self._now_s - reading.time_s > GAP_s:
            self._bad_looks += 1
            if self._bad_looks < _LOOKS:
                return self._said
            self._bad_looks = 0
            return self._fail(f"{_LOOKS} looks in a row could not be believed: {why or 'they were old'}")
        self._bad_looks = 0
        if self.state not in LATCHED:
            doubted = self._doubt(reading)
            if doubted is not None:
                return doubted
        elif self._doubts:
            self._doubts.clear()
        self.reading, self.seen_s = reading, self._now_s
        order = self._order
        if order.set_point_A is None or order.fingerprint is None:
            self._adopt(reading)
        return self._then(reading)

    def _adopt(self, reading: SupplyReading) -> None:
        """What was not known of the supply's settings is from now on what it says."""
        order = self._order
        self._order = replace(
            order,
            set_point_A=reading.set_point_A if order.set_point_A is None else order.set_point_A,
            fingerprint=order.fingerprint or reading.fingerprint,
        )

    def _doubt(self, reading: SupplyReading) -> Command | None:
        """What this look says against what is known of the supply; the first time it is only looked at again."""
        if self.state in WARM:
            if self._steps.jumped(reading):
                return self._twice("jump", lambda: self._quench(
                    f"the current jumped to {reading.output_A:.4g} A, faster than any voltage drives this coil", reading
                ))  # fmt: skip
            self._doubts.discard("jump")
        known = self._order.fingerprint
        if known is not None and reading.fingerprint is not None and reading.fingerprint != known:
            changed = sorted(set(reading.fingerprint) ^ set(known))
            text = ", ".join(f"{key} {value}" for key, value in changed)
            return self._twice("settings", lambda: self._foreign(f"the supply's settings changed: {text}"))
        heater = reading.heater
        if heater is not None and self.limits.switch is not None:
            if heater is Heater.FAULT:
                return self._twice("heater", lambda: self._fail("the supply reports a fault of the switch heater"))
            if self._heater_on is not None and (heater is Heater.ON) is not self._heater_on:
                text = f"the switch heater was {'on' if self._heater_on else 'off'}, and now is {heater.value!r}"
                return self._twice("heater", lambda: self._fail(text))
        if self._doubts:
            self._doubts.difference_update(("settings", "heater"))
        return None

    def _twice(self, kind: str, then: Callable[[], Command], look: Watch | Inspect = INSPECT) -> Command:
        """The first time look again; the second time in a row do it."""
        if kind not in self._doubts:
            self._doubts.add(kind)
            return self._again(look)
        self._doubts.discard(kind)
        return then()

    # Hold

    def _hold(self, held: Callable[[SupplyReading], Command]) -> Command:
        """Send hold, see that it does, and go on with `held`; three times, also when nothing answers."""
        self._hold_tries, self._held = 0, held
        return self._send_hold()

    def _send_hold(self) -> Command:
        self._hold_tries += 1
        return self._ask(HOLD, self._nothing)

    def _hold_answered(self, outcome: Outcome) -> Command:
        self.ramp = None
        if outcome.result is Result.OK:
            self._order = replace(self._order, set_point_A=None)
            # Where it goes by itself is not over before it was seen at rest: it may acknowledge what it does not do.
            if self.reading is not None and self.reading.activity is Activity.HOLDING and self._fresh():
                self.coast, self.coast_known = None, True
                return self._held(self.reading)
        return self._ask(WATCH, self._hold_seen, lambda lost: self._hold_unseen(outcome, lost))

    def _hold_seen(self, reading: SupplyReading) -> Command:
        if reading.activity in (Activity.HOLDING, Activity.CLAMPED, Activity.QUENCHED):
            self.coast, self.coast_known = None, True
            return self._held(reading)
        if reading.activity is Activity.FAULT and self._hold_tries == _HOLDS:
            return self._held(reading)
        if self._hold_tries < _HOLDS:
            return self._send_hold()
        return self._not_held(DeviceFault(
            f"told to hold {_HOLDS} times, the supply goes on: {reading.detail}", where=self.name,
            state=self.by_itself(), do="press its hold button now",
        ))  # fmt: skip

    def _hold_unseen(self, outcome: Outcome, lost: Outcome) -> Command:
        self._lost_looks = 0
        # An answer alone is not enough: a supply may acknowledge what it does not do.
        if self._hold_tries < _HOLDS:
            return self._send_hold()
        error = CommunicationError(
            f"the supply did not confirm that it holds ({lost.error or outcome.error})", where=self.name,
            state=self.by_itself(), do="press its hold button, then look at its link",
        )  # fmt: skip
        self._lose(outcome)
        return self._not_held(error)

    def _not_held(self, error: RemanenceError) -> Command:
        self._abandon()
        self._standing = self._standing or error
        if self.state not in LATCHED and self.state is not State.COMM_LOST:
            self._standing = error
            self._to(State.FAULT)
        return Rest(error)

    def _seen(self) -> SupplyReading:
        """The last look that was believed."""
        if self.reading is None:
            raise AssertionError("the guard decides on a look that it never had")
        return self.reading

    def _fresh(self) -> bool:
        return self._now_s - self.seen_s <= GAP_s

    def by_itself(self) -> str:
        """What the supply does if it is never spoken to again."""
        if not self.coast_known:
            return "What the supply does by itself is not known"
        if self.coast is None:
            return "By itself it stays where it is"
        return f"By itself it goes on to {self.coast.stop_A * self.limits.tesla_per_ampere:+.4f} T and stays there"

    # Where no order of ours leads to

    def _to(self, state: State) -> None:
        if state is self.state:
            return
        if (self.state, state) not in ALLOWED:
            raise AssertionError(f"the guard's table has no way from {self.state} to {state}")
        self.state = state
        if state not in WARM:
            self._steps.forget()

    def _lose(self, outcome: Outcome) -> Command:
        """No answer, three times."""
        self._lost_looks = 0
        self.seen_s = -float("inf")
        if self.state not in LATCHED and self.state is not State.COMM_LOST:
            self._before_lost = self.state
            self._to(State.COMM_LOST)
        error = outcome.error or CommunicationError("it does not answer")
        return Rest(CommunicationError(
            f"the supply does not answer: {error.what}", where=self.name, state=self.by_itself(),
            do="look at its link; nothing is sent before everything was read anew",
        ))  # fmt: skip

    def _quench(self, what: str, reading: SupplyReading) -> Command:
        """Latch a quench. Nothing more is sent, and it outlives the program."""
        self.reading, self.seen_s = reading, self._now_s
        self._abandon()
        self.ramp, self.coast, self.coast_known, self.coil_A = None, None, False, None
        self._standing = DeviceFault(
            what, where=self.name, state="The magnet is running down by itself, and is not moved again by this program",
            do="find out why, let it cool, then clear the quench with your name and the reason",
        )  # fmt: skip
        self._to(State.QUENCHED)
        self.remembered = replace(self.remembered, quench=what, persistent_A=None)
        return self._ask(Remember(self.remembered), self._raise)

    def _foreign(self, what: str) -> Command:
        """Somebody else has the magnet: nothing more is sent, and both are told."""
        self._abandon()
        self.ramp, self.coast, self.coast_known = None, None, False
        self._standing = DeviceFault(
            what, where=self.name, state="Somebody else moves this magnet; this program sends it nothing more",
            do="find out who does, then acknowledge it with your name",
        )  # fmt: skip
        self._to(State.FOREIGN)
        return Rest(self._standing)

    def _fail(self, what: str) -> Command:
        """It did not do as told: hold, and wait for a person."""
        self._abandon()
        if self.state in LATCHED:
            return Rest(self._standing or DeviceFault(what, where=self.name, do="look at the supply"))
        self._standing = DeviceFault(
            what, where=self.name, state="It was told to hold",
            do="look at the supply, then acknowledge the fault with your name",
        )  # fmt: skip
        clamped = self.reading is not None and self.reading.activity is Activity.CLAMPED
        self._to(State.FAULT)
        return self._raise() if clamped else self._hold(self._raise)

    def _raise(self, _event: Any = None) -> Command:
        return Rest(self._standing)
