"""How the guard moves a current: piece by piece, each in one order, and watched all the way.

The order of a piece: hold → rate → read back → set point → read back → look at everything → go. Whatever does not
agree stops before "go", so at every instant the set point in the supply lies within one segment, on one side of zero,
at that segment's rate: a magnet that is left alone coasts to a point that was allowed.
"""

from dataclasses import dataclass, replace

from ..core.capabilities import Activity, SupplyReading
from ..core.errors import CommunicationError, DeviceFault, InterlockTripped, LimitError, RemanenceError
from .guard_base import DONE, GO, INSPECT, LATCHED, WARM, WATCH, Base
from .guard_cold import Verdict
from .guard_follow import Following
from .guard_path import Piece, forbidden, plan, raises
from .guard_states import Command, Go, LastOrder, Outcome, Remember, Rest, Result, SetRate, SetTarget, State
from .guard_witness import Ramp

_TRIES = 3
# A status older than this says nothing about the instant of "go".
_FRESH_s = 2.0
_AT_REST = frozenset({State.HOLD, State.DRIVEN, State.SETTLE})
# A field that settles this many times slower than it should does not.
_SETTLE_TIMES, _SETTLE_MORE_s = 10.0, 60.0
# Two looks at a coil that followed before are this far apart to say that it does not.
_APART_s = 0.5


@dataclass(frozen=True, slots=True)
class Goal:
    """Where the magnet is wanted; `because` is the interlock's reason when nobody asked for it."""

    target_A: float
    rate_A_per_s: float
    because: str = ""


class Mover(Base):
    """The part of the machine that moves currents."""

    goal: Goal | None = None
    # Whether the coil follows the leads.
    coil: Following
    # What a bad sensor interrupted, to be gone on with when it is good again.
    interrupted: Goal | None = None
    verdict: Verdict = Verdict.FINE
    cold_why: str = ""
    _pieces: tuple[Piece, ...] = ()
    _unsure_of: Command = DONE
    _tries: int = 0
    _rate_A_per_s: float = 0.0
    _rest: SupplyReading | None = None
    _ready_at_s: float = -float("inf")
    _settling_since_s: float | None = None
    _arrived_s: float = 0.0
    _rest_A: float | None = None
    _judged: str = ""
    _stays_s: float = 0.0
    _overruled: bool = False
    # Why the leads go back to a coil that does not follow them; empty while they do not.
    _retreat: str = ""

    def _abandon(self) -> None:
        self.goal, self.interrupted, self._pieces = None, None, ()
        self._retreat = ""

    # From a target to the first piece

    def _impossible(self, target_A: float, rate_A_per_s: float) -> RemanenceError | None:
        """Why a move is refused before any byte is sent, as far as it needs no look."""
        limits = self.limits
        k, nothing = limits.tesla_per_ampere, "Nothing was sent to the magnet"
        if not abs(target_A) <= limits.largest_A * (1 + 1e-9):
            return LimitError(
                f"{target_A * k:g} T is outside ±{limits.largest_A * k:g} T", where=self.name, state=nothing,
                do="ask for less, or change the guard's limit if the magnet allows it",
            )  # fmt: skip
        fastest = limits.fastest_A_per_s
        if not 0 < rate_A_per_s <= fastest * (1 + 1e-9):
            return LimitError(
                f"a rate of {rate_A_per_s * k * 1e3:g} mT/s is outside 0 … {fastest * k * 1e3:g} mT/s",
                where=self.name, state=nothing, do="ask for a rate that the magnet's segments allow",
            )  # fmt: skip
        zone = next((zone for zone in limits.zones if zone[0] < target_A < zone[1]), None)
        return self._zone_error(zone) if zone else None

    def _zone_error(self, zone: tuple[float, float]) -> RemanenceError:
        k = self.limits.tesla_per_ampere
        return LimitError(
            f"the way leads into the zone {zone[0] * k:g} … {zone[1] * k:g} T, which is closed", where=self.name,
            state="Nothing was sent that moves the magnet", do="go to zero first, or change the guard's zones",
        )  # fmt: skip

    def _hindered(self, reading: SupplyReading, target_A: float) -> RemanenceError | None:
        """Why a move is refused after a look."""
        here_A = reading.output_A
        if reading.activity is Activity.CLAMPED:
            return self._error("the output is clamped", "only a person may release it, at the supply")
        if reading.activity is Activity.FAULT:
            return self._error(f"the supply reports {reading.detail!r}", "look at the supply")
        if reading.remote is False:
            return self._error("somebody at the supply's front has it in LOCAL", "put it into remote")
        if raises(here_A, target_A, self.limits.tolerance_A) and self.verdict is not Verdict.FINE:
            return InterlockTripped(
                f"{self.cold_why}, so the field may only be lowered", where=self.name, do="look at the cryostat"
            )
        zone = forbidden(self.limits, here_A, target_A)
        return self._zone_error(zone) if zone else None

    def _error(self, what: str, do: str) -> DeviceFault:
        return DeviceFault(what, where=self.name, state="Nothing was started", do=do)

    def _set_out(self, goal: Goal, reading: SupplyReading) -> Command:
        """Begin a move; within the settling time of a zero just reached, a later look begins it."""
        self.goal, self._pieces, self._tries, self.ramp = goal, (), 0, None
        if reading.activity is Activity.HOLDING and self._now_s < self._ready_at_s:
            return DONE
        return self._approach()

    def _approach(self) -> Command:
        return self._hold(self._at_hold)

    def _at_hold(self, reading: SupplyReading) -> Command:
        goal, here_A = self.goal, reading.output_A
        if goal is None:
            return self._stopped(reading)
        if not self._pieces:
            if abs(goal.target_A - here_A) <= 1.5 * self._step_A and self.state in WARM:
                return self._arrive(reading)
            self._pieces = self._plan(goal, here_A)
            if self.state in WARM and not self._retreat:
                self._pieces = self.coil.first(self._pieces, reading)
        piece = self._pieces[0]
        self._rest = reading
        return self._ask(SetRate(piece.rate_A_per_s), self._rate_told)

    def _plan(self, goal: Goal, here_A: float) -> tuple[Piece, ...]:
        if self.state in WARM:
            return tuple(plan(self.limits, here_A, goal.target_A, goal.rate_A_per_s, self._step_A))
        stops = [0.0] if here_A * goal.target_A < 0 else []
        return tuple(Piece(stop_A, goal.rate_A_per_s, -1) for stop_A in (*stops, goal.target_A))

    # One piece, up to "go"

    def _rate_told(self, outcome: Outcome) -> Command:
        piece, read_back = self._pieces[0], outcome.read_back
        # A rate may be rounded down to the supply's step, never up.
        if read_back is None or not 0 < read_back <= piece.rate_A_per_s * (1 + 1e-6):
            return self._short(self._error(
                f"told a rate of {piece.rate_A_per_s:.5g} A/s, the supply reads back {read_back} A/s",
                "look at the supply: it was not told to go",
            ))  # fmt: skip
        self._rate_A_per_s = read_back
        return self._ask(SetTarget(piece.stop_A, piece.rate_A_per_s), self._target_told)

    def _target_told(self, outcome: Outcome) -> Command:
        if not self._is(outcome.read_back, self._pieces[0].stop_A, self._step_A):
            return self._short(self._error(
                f"told {self._pieces[0].stop_A:+.5g} A, the supply reads back {outcome.read_back} A",
                "look at the supply: it was not told to go",
            ))  # fmt: skip
        return self._ask(INSPECT, self._ready)

    @staticmethod
    def _is(value: float | None, wanted: float, step: float) -> bool:
        return value is not None and abs(value - wanted) <= 1.01 * step + 1e-9 * abs(wanted)

    def _ready(self, reading: SupplyReading) -> Command:
        piece = self._pieces[0]
        if reading.activity is Activity.RAMPING:
            return self._fail("it moved before it was told to go")
        hindered = self._hindered(reading, piece.stop_A)
        if hindered is not None:
            return self._short(hindered)
        if reading.set_point_A is not None and not self._is(reading.set_point_A, piece.stop_A, self._step_A):
            return self._short(self._error(
                f"told {piece.stop_A:+.5g} A, its set point is {reading.set_point_A:+.5g} A", "look at the supply"
            ))  # fmt: skip
        rate = reading.rate_A_per_s
        if rate is not None and not 0 < rate <= piece.rate_A_per_s * (1 + 1e-6):
            told = f"told {piece.rate_A_per_s:.5g} A/s, its rate is {rate:.5g} A/s"
            return self._short(self._error(told, "look at the supply"))
        if self._rest is None or abs(reading.output_A - self._rest.output_A) > self.limits.tolerance_A:
            moved = f"the current moved to {reading.output_A:+.5g} A while it was held"
            return self._short(self._error(moved, "look at the supply"))
        self._rest = reading
        return self._set_off(reading)

    def _set_off(self, reading: SupplyReading) -> Command:
        """Go, on the strength of a look that is fresh."""
        if reading.activity is not Activity.HOLDING:
            return self._ready(reading)
        if self._now_s - reading.time_s < _FRESH_s:
            self._tries += 1
            # Until the supply confirms what it follows, it may follow an older order.
            self.coast_known = False
            return self._ask(GO, self._gone)
        self._tries += 1
        if self._tries > 2 * _TRIES:
            return self._short(self._error("its status is always old when it arrives", "look at its link"))
        return self._ask(WATCH, self._set_off)

    def _gone(self, _outcome: Outcome) -> Command:
        piece = self._pieces[0]
        self.coast, self.coast_known = piece, True
        self._order = LastOrder(piece.stop_A, self._rate_A_per_s, self._heater_on, self._order.fingerprint)
        self._begin(piece, self._rest or self._seen())
        self.remembered = replace(self.remembered, last=self._order)
        return self._ask(Remember(self.remembered), self._under_way)

    def _begin(self, piece: Piece, rest: SupplyReading) -> None:
        warm = self.state in WARM
        coil = warm and not self.limits.managed and not self._retreat
        self.ramp = Ramp(
            self.limits, piece, rest, self._rate_A_per_s, self._step_A, self._now_s, coil=coil, leads_only=not warm
        )
        self._judged, self._rest_A, self._tries = "", None, 0
        self._doubts.difference_update(("follows", "stays"))
        if warm and not self._retreat:
            self.coil.at(rest.output_A)
        if warm:
            self._to(State.RAMP)

    def _under_way(self, _outcome: Outcome) -> Command:
        return self._ask(WATCH, self._followed)

    def _unsure(self, said: Command) -> Command:
        """Whether it arrived is not known: look, and then begin the piece anew or see that it goes."""
        self._unsure_of = said
        return self._ask(INSPECT, self._after_unsure)

    def _after_unsure(self, reading: SupplyReading) -> Command:
        if type(self._unsure_of) is Go and reading.activity is Activity.RAMPING:
            return self._gone(Outcome(Result.OK))
        self._tries += 1
        if self._tries < _TRIES and self._pieces:
            return self._approach()
        return self._short(CommunicationError(
            "three times it was not known whether an order arrived", where=self.name,
            state="The last piece was not started", do="look at its link",
        ))  # fmt: skip

    def _refused(self, outcome: Outcome) -> Command:
        return self._short(outcome.error or self._error("the supply refused an order", "look at the supply"))

    def _short(self, error: RemanenceError) -> Command:
        """Give a move up before "go"; the supply is on hold."""
        self._abandon()
        self.ramp = None
        self._order = replace(self._order, set_point_A=None)
        if self.state in (State.RAMP, State.SETTLE, State.DRIVEN):
            self._to(State.HOLD)
        elif self.state in (State.MATCH_LEADS, State.LEADS_DOWN):
            self._to(State.PERSISTENT)
        return Rest(error)

    # One piece, after "go"

    def _followed(self, reading: SupplyReading) -> Command:
        """A look at a piece under way, or at the pause between two."""
        ramp = self.ramp
        if ramp is None:
            if self._now_s < self._ready_at_s:
                return DONE
            return self._approach() if self._pieces or self.goal is not None else self._stopped(reading)
        k = self.limits.tesla_per_ampere
        if ramp.near(reading):
            self._doubts.discard("way")
            if "stays" in self._doubts:
                # The last that was seen of it under way is that the coil did not follow.
                self._doubts.discard("stays")
                self.coil.lose(self.coil.coil_A)
            return self._piece_done(reading) if ramp.there(reading) else self._overdue(ramp)
        strayed = self._strayed(reading)
        if strayed:
            return self._twice("way", lambda: self._foreign(strayed))
        if ramp.past(reading):
            text = f"the magnet went past {ramp.piece.stop_A * k:+.4f} T, to {reading.output_A * k:+.4f} T"
            return self._twice("way", lambda: self._fail(text))
        if reading.activity is not Activity.RAMPING:
            if reading.activity is Activity.FAULT:
                return self._twice("way", lambda: self._fail(f"the supply reports {reading.detail!r}"))
            if reading.activity is Activity.CLAMPED:
                return self._twice("way", lambda: self._foreign("the output was clamped on the way"))
            if not ramp.stopped(reading):
                return DONE
            text = f"the magnet stopped at {reading.output_A * k:+.4f} T on its way to {ramp.piece.stop_A * k:+.4f} T"
            return self._twice("way", lambda: self._foreign(text))
        self._doubts.discard("way")
        stays = ramp.follows(reading)
        if stays is not None:
            answer = self._stays(stays, reading) if stays else self._goes(reading)
            if answer is not DONE:
                return answer
        kind, what = ramp.judge(reading)
        if kind and kind == self._judged:
            return self._quench(what, reading) if kind == "quench" else self._fail(what)
        if kind or ramp.judged_at_s == reading.time_s:
            self._judged = kind
        return self._overdue(ramp)

    def _stays(self, what: str, reading: SupplyReading) -> Command:
        """A look said that the coil does not follow: when a second one says so, the leads go back."""
        if not self.coil.seen:
            # At once: the further the leads are from the coil, the worse is it when the switch opens.
            return self._twice("stays", lambda: self._retreat_from(what, reading), WATCH)
        if "stays" not in self._doubts:
            self._doubts.add("stays")
            self._stays_s = reading.time_s
        elif reading.time_s - self._stays_s >= _APART_s:
            return self._retreat_from(what, reading)
        return DONE

    def _goes(self, reading: SupplyReading) -> Command:
        """A look said that the coil follows; of one that was not yet seen to, a second one must say so."""
        if not self.coil.seen:
            return self._twice("follows", lambda: self._proved(reading), WATCH)
        self._doubts.discard("stays")
        self.coil.at(reading.output_A)
        return DONE

    def _proved(self, reading: SupplyReading) -> Command:
        """The coil was seen to follow: go on with the rest of the way, without the end of the short first piece."""
        self._doubts.difference_update(("follows", "stays"))
        self.coil.prove(reading.output_A)
        if len(self._pieces) < 2:
            return DONE
        self._pieces = ()
        return self._approach()

    def _retreat_from(self, what: str, reading: SupplyReading) -> Command:
        """The switch is not warm: bring the leads back to where the coil is, before it opens on the difference."""
        self._abandon()
        self._retreat = what
        return self._set_out(Goal(self.coil.coil_A, self.limits.fastest_A_per_s), reading)

    def _strayed(self, reading: SupplyReading) -> str:
        """How the supply's settings differ from our last order; empty if they do not, or were not asked."""
        order = self._order
        goes_A, told_A = reading.set_point_A, order.set_point_A
        if goes_A is not None and told_A is not None and not self._is(goes_A, told_A, self._step_A):
            return f"the set point was {told_A:+.5g} A by our order, and is {goes_A:+.5g} A"
        rate = reading.rate_A_per_s
        if rate is not None and order.rate_A_per_s is not None and abs(rate - order.rate_A_per_s) > 1e-3 * rate:
            return f"the rate was {order.rate_A_per_s:.5g} A/s by our order, and is {rate:.5g} A/s"
        return ""

    def _overdue(self, ramp: Ramp) -> Command:
        if ramp.late(self._now_s):
            stop_T = ramp.piece.stop_A * self.limits.tesla_per_ampere
            return self._fail(f"the magnet did not reach {stop_T:+.4f} T in time")
        return DONE

    def _piece_done(self, reading: SupplyReading) -> Command:
        if self.ramp is not None and self.ramp.mute:
            # This supply gives no voltage under way: that the coil follows can only be believed.
            self.coil.prove(reading.output_A)
        kept_A, unseen = self.remembered.persistent_A, self._unseen()
        if unseen and self.ramp is not None and not self.coil.ended(self.ramp.length_A, self.ramp.rate_A_per_s):
            what = "in three short moves the coil was not seen to follow its leads"
            return self._retreat_from(what, reading)
        if kept_A is not None and self.state in WARM and not self._retreat and not unseen:
            # The coil has followed the leads: what it kept behind a cold switch is history only now.
            self.remembered = replace(self.remembered, persistent_A=None, note="")
            return self._ask(Remember(self.remembered), lambda outcome: self._unlearned(outcome, kept_A, reading))
        piece, self._pieces = self._pieces[0], self._pieces[1:]
        further = bool(self._pieces)
        if unseen:
            # What was planned counted on a coil that follows: the rest is planned anew from here.
            self._pieces = ()
        self.ramp, self.coast = None, None
        if piece.stop_A == 0.0 and self._zero_relay:
            # The polarity relay must not move before the current has really gone.
            self._ready_at_s = self._now_s + self.limits.reversal_settle_s
            if further:
                return DONE
        if further:
            return self._approach()
        if self.state in WARM:
            return self._arrive(reading)
        return self._leads_there(reading)

    def _unseen(self) -> bool:
        """True when the piece would have shown whether the coil follows, and nobody has seen it."""
        ramp = self.ramp
        return self.state in WARM and not self._retreat and not self.coil.seen and ramp is not None and ramp.tells

    def _unlearned(self, outcome: Outcome, kept_A: float, reading: SupplyReading) -> Command:
        if outcome.result is Result.OK:
            return self._piece_done(reading)
        # A record that could not be cleared would be believed at the next start: the next look tries again.
        self.remembered = replace(self.remembered, persistent_A=kept_A)
        return Rest(outcome.error)

    def _leads_there(self, reading: SupplyReading) -> Command:
        raise NotImplementedError

    def _arrive(self, reading: SupplyReading) -> Command:
        self._pieces = ()
        if self.state in (State.HOLD, State.DRIVEN):
            self._to(State.RAMP)
        self._to(State.SETTLE)
        self._settling_since_s, self._arrived_s, self._rest_A = reading.time_s, self._now_s, reading.output_A
        return self._settling(reading)

    def _settling(self, reading: SupplyReading) -> Command:
        """At the field only when it has stayed there."""
        goal, limits = self.goal, self.limits
        near = goal is not None and abs(reading.output_A - goal.target_A) <= limits.tolerance_A
        if goal is None or (reading.activity is not Activity.HOLDING and not near):
            return self._resting(reading)
        if not near or reading.activity is not Activity.HOLDING:
            self._settling_since_s = None
        elif self._settling_since_s is None:
            self._settling_since_s = reading.time_s
        since_s = self._settling_since_s
        if since_s is not None and reading.time_s - since_s >= limits.settle_s:
            self._to(State.DRIVEN)
            self.goal, self._rest_A = None, reading.output_A
            return self._reached(goal)
        if self._now_s - self._arrived_s > _SETTLE_TIMES * limits.settle_s + _SETTLE_MORE_s:
            return self._fail("the current does not settle")
        return DONE

    def _reached(self, goal: Goal) -> Command:
        if self._retreat:
            return self._fail(f"{self._retreat}. The leads were brought back to where the coil should be")
        if not goal.because:
            return DONE
        return Rest(InterlockTripped(
            f"{goal.because}, so the magnet was taken to zero", where=self.name, state="It is at zero field",
            do="look at the cryostat before you go on",
        ))  # fmt: skip

    def _stopped(self, reading: SupplyReading) -> Command:
        """It was told to hold, and does."""
        if self._retreat:
            return self._fail(self._retreat)
        if self.state in (State.RAMP, State.SETTLE, State.DRIVEN):
            self._to(State.HOLD)
        elif self.state in (State.MATCH_LEADS, State.LEADS_DOWN):
            self._to(State.PERSISTENT)
        self._rest_A = reading.output_A
        return DONE

    def _resting(self, reading: SupplyReading) -> Command:
        """A look at a magnet that should be at rest."""
        k = self.limits.tesla_per_ampere
        if reading.activity is Activity.RAMPING:
            return self._twice("rest", lambda: self._foreign("the magnet moves, and not by our order"))
        if reading.activity is Activity.FAULT:
            return self._twice("rest", lambda: self._fail(f"the supply reports {reading.detail!r}"))
        strayed = self._strayed(reading) if reading.activity is not Activity.CLAMPED else ""
        if strayed:
            return self._twice("rest", lambda: self._foreign(strayed))
        if self._rest_A is None:
            self._rest_A = reading.output_A
        elif abs(reading.output_A - self._rest_A) > 5.0 * self.limits.tolerance_A:
            text = f"the magnet was at rest at {self._rest_A * k:+.4f} T and is at {reading.output_A * k:+.4f} T"
            return self._twice("rest", lambda: self._fail(text))
        self._doubts.discard("rest")
        if self.goal is not None and self.state in _AT_REST and self._now_s >= self._ready_at_s:
            return self._set_out(self.goal, reading)
        return DONE

    # What must be cold

    def _chilled(self, reading: SupplyReading) -> Command | None:
        """What the coldness asks for before anything else; None when nothing."""
        if self.verdict is Verdict.FINE:
            self._overruled = False
            goal, self.interrupted = self.interrupted, None
            if goal is not None and self.state is State.HOLD:
                return self._set_out(goal, reading)
            return None
        if self.state not in WARM or self._overruled:
            return None
        if self.verdict is Verdict.ZERO:
            if abs(reading.output_A) <= self.limits.tolerance_A or (self.goal is not None and self.goal.because):
                return None
            self._abandon()
            return self._set_out(Goal(0.0, self.limits.fastest_A_per_s, self.cold_why), reading)
        goal, piece = self.goal, self._pieces[0] if self._pieces else None
        if self.state is State.RAMP and piece is not None and raises(reading.output_A, piece.stop_A, 0.0):
            self._abandon()
            self.interrupted = goal
            return self._hold(self._stopped)
        return None

    @property
    def busy(self) -> bool:
        """True while something that was asked for is not done."""
        asked = self.goal is not None or self.interrupted is not None or bool(self._pieces)
        return asked and self.state not in LATCHED
