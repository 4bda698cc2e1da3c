"""The guard's machine: what may be asked of it, and how it finds out where a magnet is.

Pure: fed with readings, outcomes and requests, it gives the next command. `guard_base` doubts and holds, `guard_mover`
moves, `guard_switch` warms and cools the switch; here is who may ask for what in which state.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from ..core.capabilities import Activity, Heater, SupplyReading
from ..core.errors import (
    CommunicationError,
    ConfigError,
    DeviceFault,
    InterlockTripped,
    LimitError,
    RemanenceError,
)
from ..core.quantities import parse
from .guard_base import COLD, DONE, INSPECT, WARM, WATCH, Base, GAP_s
from .guard_cold import ColdWatch, Verdict
from .guard_follow import Following
from .guard_mover import Goal
from .guard_path import Piece
from .guard_states import (
    Acknowledge,
    Arm,
    ClearQuench,
    Coldness,
    Command,
    DeclareCoil,
    Hold,
    LastOrder,
    Look,
    Move,
    Outcome,
    Persist,
    Remember,
    Remembered,
    Rest,
    Result,
    State,
    Unpersist,
)
from .guard_switch import Switcher
from .magnet_limits import MagnetLimits

# At rest everything is looked at, not only what changes by itself, this often.
_INSPECT_EVERY_s = 10.0


def _constant_of(reading: SupplyReading) -> float | None:
    """The field constant (T/A) that a supply says it works with; None when it says none that can be read."""
    text = dict(reading.fingerprint or ()).get("field constant", "")
    try:
        return parse(text, "T/A")
    except ConfigError:
        return None


class Machine(Switcher):
    """The guard of one magnet, without its wire."""

    def __init__(
        self,
        limits: MagnetLimits,
        remembered: Remembered,
        *,
        name: str = "magnet",
        current_step_A: float = 1e-4,
        zero_relay: bool = False,
    ) -> None:
        Base.__init__(self, limits, remembered, name=name, current_step_A=current_step_A, zero_relay=zero_relay)
        self.coil = Following(limits)
        self._cold_watches = {
            key: ColdWatch(key, sensor)
            for key, sensor in (("coil", limits.coil_sensor), ("helium", limits.helium))
            if sensor is not None
        }
        self._inspected_s = -float("inf")
        self._alarmed = False
        self._pending: Any = None

    def _request(self, event: Any) -> Command:
        return self._HANDLERS[type(event)](self, event)

    # What may be asked

    def _on_look(self, _event: Look) -> Command:
        now_s, state = self._now_s, self.state
        if state is State.RAMP and now_s - self.seen_s <= GAP_s:
            return self._ask(WATCH, self._polled)
        everything = state not in WARM or now_s - self._inspected_s > _INSPECT_EVERY_s or now_s - self.seen_s > GAP_s
        if everything:
            self._inspected_s = now_s
        return self._ask(INSPECT if everything else WATCH, self._polled)

    def _on_hold(self, _event: Hold) -> Command:
        before = self.state
        if before is State.MONITOR:
            return DONE
        self._overruled = self.verdict is not Verdict.FINE
        retreat = self._retreat
        self._abandon()
        # A retreat that is stopped is still a fault.
        self._retreat = retreat
        clamped = self.reading is not None and self.reading.activity is Activity.CLAMPED
        if before is State.QUENCHED or clamped or before in (State.HOLD, State.DRIVEN, State.PERSISTENT):
            # At rest there is time to see what a hold would do: it would open a clamp, or disturb a quenched supply.
            return self._ask(WATCH, self._seen_before_hold, lambda _lost: self._hold(self._stopped))
        return self._hold(self._stopped)

    def _seen_before_hold(self, reading: SupplyReading) -> Command:
        if reading.activity in (Activity.CLAMPED, Activity.QUENCHED):
            return DONE
        return self._hold(self._stopped)

    def _stopped(self, reading: SupplyReading) -> Command:
        if self.state is State.COMM_LOST:
            # It holds; whether all else is as it was is not known before everything was read.
            self._before_lost = State.HOLD if self._before_lost in WARM else self._before_lost
            return self._ask(INSPECT, self._recovered)
        return super()._stopped(reading)

    def _on_move(self, event: Move) -> Command:
        error = self._impossible(event.target_A, event.rate_A_per_s) or self._barred()
        if error is None and self.state in COLD:
            error = self._error(
                "the heater of the persistent switch is off, so the leads would move and the coil would not",
                "leave persistent mode first",
            )
        if error is not None:
            return Rest(error)
        self._pending = Goal(event.target_A, event.rate_A_per_s)
        self._inspected_s = self._now_s
        return self._ask(INSPECT, self._move_seen)

    def _move_seen(self, reading: SupplyReading) -> Command:
        goal: Goal = self._pending
        if self.state not in WARM and self.state is not State.WARMING:
            return self._recovered(reading) if self.state is State.COMM_LOST else self._raise()
        error = self._hindered(reading, goal.target_A)
        if error is not None:
            return Rest(error)
        if self.state is State.WARMING:
            self._abandon()
            self.goal = goal
            return DONE
        # What was asked for before is over: a look at rest would go on with that.
        self._abandon()
        if self.state is not State.RAMP:
            resting = self._resting(reading)
            if resting is not DONE:
                return resting
        return self._set_out(goal, reading)

    def _barred(self) -> RemanenceError | None:
        """Why nothing may be asked in this state."""
        if self.state in (State.QUENCHED, State.FOREIGN, State.FAULT, State.MONITOR):
            return self._standing or self._error(f"the magnet is in {self.state}", "look at the supply")
        if self._retreat:
            return self._error(self._retreat, "wait until the leads are back where the coil should be")
        if self.state is State.DISARMED:
            return self._error("nobody has looked at this magnet yet", "open the station anew")
        if self.state is State.COMM_LOST:
            return CommunicationError(
                "the supply did not answer, and everything must be read before it is sent anything", where=self.name,
                state=self.by_itself(), do="look at it once more",
            )  # fmt: skip
        return None

    def _on_coldness(self, event: Coldness) -> Command:
        watch = self._cold_watches.get(event.sensor)
        if watch is not None:
            watch.look(event)
            worst = max(self._cold_watches.values(), key=lambda one: one.verdict)
            self.verdict, self.cold_why = worst.verdict, worst.why
        return DONE

    # A look, by state

    def _polled(self, reading: SupplyReading) -> Command:
        state = self.state
        if self._said == INSPECT:
            self._inspected_s = self._now_s
        if state in WARM:
            chilled = self._chilled(reading)
            if chilled is not None:
                return chilled
            if state is State.RAMP:
                return self._followed(reading)
            if state is State.SETTLE:
                return self._settling(reading)
            resting = self._resting(reading)
            return self._persisting(reading) if resting is DONE and self.wants is State.PERSISTENT else resting
        if state in COLD or state is State.WARMING:
            if self.verdict is Verdict.ZERO and not self._alarmed:
                self._alarmed = True
                return Rest(InterlockTripped(
                    f"{self.cold_why}, and the coil keeps its current", where=self.name,
                    state="The heater stays off", do="look at the cryostat now",
                ))  # fmt: skip
            self._alarmed = self._alarmed and self.verdict is Verdict.ZERO
        if state is State.COMM_LOST:
            return self._recovered(reading)
        match state:
            case State.WARMING:
                return self._warming(reading)
            case State.COOLING:
                return self._cooling(reading)
            case State.PERSISTENT:
                return self._kept(reading)
            case State.MATCH_LEADS:
                return self._matching(reading)
            case State.LEADS_DOWN:
                return self._followed(reading)
            case _:
                return Rest(self._standing or self._barred())

    # The switch

    def _on_persist(self, _event: Persist) -> Command:
        error = self._barred() or self._no_switch()
        if error is None and self.state not in (State.HOLD, State.DRIVEN, State.PERSISTENT, State.COOLING):
            error = self._error(f"the magnet is in {self.state}, not at rest", "wait until it is")
        if error is not None:
            return Rest(error)
        self._abandon()
        self.wants = State.PERSISTENT
        # Held first: a supply that is "at target" would follow a set point that somebody changes.
        return self._hold(self._stopped) if self.state in WARM else DONE

    def _on_unpersist(self, _event: Unpersist) -> Command:
        error = self._barred() or self._no_switch()
        if error is None and self.state not in (State.PERSISTENT, State.COOLING):
            error = self._error(f"the magnet is in {self.state}, not in persistent mode", "nothing needs to be done")
        if error is not None:
            return Rest(error)
        self._abandon()
        self.wants = State.WARMING
        return DONE

    def _no_switch(self) -> RemanenceError | None:
        return self._error("this magnet has no persistent switch", "sweep it") if self.limits.switch is None else None

    # What only a person may say

    def _on_declare(self, event: DeclareCoil) -> Command:
        error = self._barred() or self._nameless(event.person)
        if error is None and not abs(event.current_A) <= self.limits.largest_A:
            what = f"a coil at {event.current_A:g} A is beyond its limit"
            error = LimitError(what, where=self.name, state="Nothing was kept")
        if error is None and self.state not in (State.PERSISTENT, State.COOLING):
            error = self._error("the switch is warm: the coil's current is the leads'", "do not declare it")
        if error is not None:
            return Rest(error)
        self._pending = event
        self.remembered = replace(self.remembered, persistent_A=event.current_A, note=f"declared by {event.person}")
        return self._ask(Remember(self.remembered), self._declared)

    def _declared(self, outcome: Outcome) -> Command:
        if outcome.result is not Result.OK:
            return Rest(outcome.error)
        self.coil_A, self._coil_known = self._pending.current_A, True
        return DONE

    def _nameless(self, person: str) -> RemanenceError | None:
        return None if person.strip() else self._error("this needs the name of a person", "give yours")

    def _on_clear(self, event: ClearQuench) -> Command:
        error = self._nameless(event.person) or self._nameless(event.reason)
        if error is None and self.state is not State.QUENCHED:
            error = self._error("there is no quench to clear", "nothing needs to be done")
        return Rest(error) if error is not None else self._person_looks(replace(self.remembered, quench=""))

    def _on_acknowledge(self, event: Acknowledge) -> Command:
        error = self._nameless(event.person)
        if error is None and self.state not in (State.FOREIGN, State.FAULT):
            error = self._error("there is nothing to acknowledge", "nothing needs to be done")
        return Rest(error) if error is not None else self._person_looks(replace(self.remembered, unreadable=""))

    def _person_looks(self, remembered: Remembered) -> Command:
        self._pending = replace(remembered, last=LastOrder())
        return self._ask(INSPECT, self._person_looked)

    def _person_looked(self, reading: SupplyReading) -> Command:
        if reading.activity in (Activity.FAULT, Activity.CLAMPED, Activity.QUENCHED):
            return Rest(self._error(f"the supply still reports {reading.detail!r}", "look at the supply"))
        self.remembered = self._pending
        return self._ask(Remember(self.remembered), self._person_kept)

    def _person_kept(self, outcome: Outcome) -> Command:
        if outcome.result is not Result.OK or self.reading is None:
            self.remembered = replace(self.remembered, unreadable="what a person said could not be kept")
            return Rest(outcome.error)
        self._standing, self._order, self._heater_on = None, LastOrder(), None
        self._adopt(self.reading)
        return self._arisen(self.reading)

    # Where is it?

    def _on_arm(self, _event: Arm) -> Command:
        return self._ask(INSPECT, self._arisen)

    def _arisen(self, reading: SupplyReading) -> Command:
        """Find out where the magnet is from a look at everything and what is remembered; assume nothing."""
        remembered, last = self.remembered, self.remembered.last
        constant = _constant_of(reading)
        if constant is not None and not self.limits.managed and not self.limits.same_constant(constant):
            what = f"the supply's field constant is {constant:.6g} T/A, the magnet's"
            return self._stand(State.MONITOR, f"{what} {self.limits.tesla_per_ampere:.6g} T/A")
        if remembered.unreadable:
            return self._stand(State.FAULT, f"what was known of the magnet cannot be read: {remembered.unreadable}")
        if remembered.quench:
            return self._stand(State.QUENCHED, f"it has quenched, and nobody has cleared it: {remembered.quench}")
        if last.fingerprint is not None and reading.fingerprint is not None and last.fingerprint != reading.fingerprint:
            return self._stand(State.FOREIGN, "the supply's units, constant or limits are not what they were")
        if reading.activity is Activity.FAULT:
            return self._stand(State.FAULT, f"the supply reports {reading.detail!r}")
        self._rest_A, self._steps = None, type(self._steps)(self.limits)
        if reading.activity is Activity.RAMPING:
            piece = self._ours(reading, last)
            if piece is None:
                return self._hold(self._placed)
            self._heater_on = last.heater_on
            self._pieces, self._rate_A_per_s = (piece,), piece.rate_A_per_s
            self.coast, self.coast_known, self._order = piece, True, last
            self._to(State.RAMP)
            self._lose_coil(reading)
            # What the voltage was at rest is not known.
            self._begin(piece, replace(reading, voltage_V=None))
            return DONE
        return self._placed(reading)

    def _ours(self, reading: SupplyReading, last: LastOrder) -> Piece | None:
        """The piece that a ramp under way is, if it is just the last that we ordered; None when it is not."""
        stop_A, rate = reading.set_point_A, reading.rate_A_per_s
        warm = self.limits.switch is None or (reading.heater is Heater.ON and last.heater_on is True)
        if stop_A is None or rate is None or last.rate_A_per_s is None or not warm:
            return None
        if (
            abs(stop_A) > self.limits.largest_A
            or not self._is(last.set_point_A, stop_A, self._step_A)
            or abs(rate - last.rate_A_per_s) > 1e-3 * rate
        ):
            return None
        if rate > self.limits.rate_between(reading.output_A, stop_A) * (1 + 1e-6):
            return None
        return Piece(stop_A, rate, self.limits.segment_at(0.5 * (reading.output_A + stop_A)))

    def _placed(self, reading: SupplyReading) -> Command:
        """At rest: which side of the switch? Its time is counted from now, for nobody knows since when it is there."""
        if self.limits.switch is not None and reading.heater is None:
            return self._ask(INSPECT, self._placed_all)
        return self._placed_all(reading)

    def _placed_all(self, reading: SupplyReading) -> Command:
        if self.limits.switch is None:
            self._to(State.HOLD)
            return DONE
        if reading.heater is Heater.ON or reading.heater is Heater.OFF:
            on = reading.heater is Heater.ON
            self._heater_on, self._switch_since_s, self._ordered_s = on, self._now_s, self._now_s
            self.coil_A = None if on else self.remembered.persistent_A
            self._coil_known = False
            self._to(State.WARMING if on else State.COOLING)
            if not on and reading.coil_A is not None and self.coil_A is not None:
                self._unknown_coil(reading)
            return DONE
        said = reading.heater.value if reading.heater is not None else "nothing"
        return self._stand(State.FAULT, f"the magnet has a switch, and of its heater the supply says {said!r}")

    def _stand(self, state: State, what: str) -> Command:
        """Wait for a person, having sent nothing."""
        self._abandon()
        self._standing = DeviceFault(
            what, where=self.name, state="Nothing was sent to it", do="look at the magnet, then say so with your name"
        )
        self._to(state)
        if state is not State.MONITOR and self._seen().activity is Activity.RAMPING:
            return self._hold(self._nothing)
        return DONE

    def _recovered(self, reading: SupplyReading) -> Command:
        """The supply answers again: compare everything before anything is sent."""
        before = self._before_lost
        if self.ramp is None and reading.activity is Activity.RAMPING and not self._pieces:
            return self._twice("lost", lambda: self._foreign("when it answered again the magnet moved"))
        strayed = self._strayed(reading) if self.coast_known else ""
        if strayed:
            return self._twice("lost", lambda: self._foreign(f"when it answered again, {strayed}"))
        self._doubts.discard("lost")
        self._steps.forget()
        if before is State.RAMP and (self.limits.on_comm_loss == "hold" or self.ramp is None):
            self._abandon()
            return self._hold(self._lost_and_held)
        if before in WARM or before is State.PERSISTENT:
            self._to(before)
            return self._followed(reading) if before is State.RAMP else self._resting(reading)
        self._abandon()
        if reading.activity is Activity.RAMPING:
            return self._hold(self._placed)
        return self._placed(reading)

    def _lost_and_held(self, reading: SupplyReading) -> Command:
        self._to(State.HOLD)
        self._rest_A = reading.output_A
        return Rest(CommunicationError(
            "the supply did not answer for a while, and was told to hold when it did", where=self.name,
            state="It holds", do="look at its link, then go on",
        ))  # fmt: skip

    _HANDLERS: ClassVar[dict[type, Callable[["Machine", Any], Command]]] = {
        Look: _on_look, Hold: _on_hold, Move: _on_move, Arm: _on_arm, Persist: _on_persist, Unpersist: _on_unpersist,
        ClearQuench: _on_clear, Acknowledge: _on_acknowledge, DeclareCoil: _on_declare, Coldness: _on_coldness,
    }  # fmt: skip
