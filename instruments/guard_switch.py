"""The persistent switch: to warm and to cold, each in its own order.

To warm: the coil's current known, leads matched to it and steady in five looks, heater on, confirmed, its whole time.
To cold: at rest and steady, record durable, heater off, confirmed, its whole time, and only then the leads down.
"""

from dataclasses import replace

from ..core.capabilities import Activity, Heater, SupplyReading
from ..core.errors import RemanenceError
from .guard_base import COLD, DONE, INSPECT, LATCHED
from .guard_mover import Goal, Mover
from .guard_states import (
    Command,
    Outcome,
    Remember,
    Result,
    SetHeater,
    State,
)

# Looks that must agree before the heater is switched on, and how far apart.
_MATCHES, _MATCH_EVERY_s, _STEADY_V = 5, 1.0, 0.1
# Leads that do not match by then will not.
_MATCH_PATIENCE_s = 300.0
# A Mercury's status lags its heater order by up to ten seconds.
_HEATER_PATIENCE_s = 15.0


class Switcher(Mover):
    """The part of the machine that warms and cools the switch. `wants` says how it is to end: WARMING or PERSISTENT."""

    wants: State | None = None
    # When the switch is known to have been where it is; None while an order is not confirmed.
    _switch_since_s: float | None = None
    _ordered_s: float = 0.0
    _coil_known: bool = False
    # What the supply said last that the coil keeps: a change of it is one of the coil's.
    _said_A: float | None = None
    _matches: tuple[SupplyReading, ...] = ()
    _match_since_s: float = 0.0
    _steady: SupplyReading | None = None

    def _abandon(self) -> None:
        super()._abandon()
        self.wants, self._matches, self._steady = None, (), None

    @property
    def busy(self) -> bool:
        """True while something that was asked for is not done."""
        return super().busy or (self.wants is not None and self.state not in LATCHED)

    def field_A(self, reading: SupplyReading) -> float | None:
        """The current that makes the field: the leads', or what the coil keeps; None when that is not known."""
        if self.state in COLD or self.state is State.WARMING:
            return self.coil_A
        return reading.output_A

    def _warming(self, reading: SupplyReading) -> Command:
        if self._switch_since_s is None:
            return self._confirm(reading, Heater.ON)
        if reading.activity is Activity.RAMPING:
            return self._twice("rest", lambda: self._foreign("the leads move while the switch warms"))
        self._doubts.discard("rest")
        switch = self.limits.switch
        if switch is None or self._now_s - self._switch_since_s < switch.warm_s:
            return DONE
        # The record stays until the coil has followed: a switch that warms slowly is still closed.
        self._rest_A, self.coil_A, self._coil_known = reading.output_A, None, False
        self._lose_coil(reading)
        self._to(State.HOLD)
        self.wants = None
        goal = self.goal
        return DONE if goal is None else self._set_out(goal, reading)

    def _lose_coil(self, reading: SupplyReading) -> None:
        """Whether the coil follows is not known: by the record, or else by its leads, it is there."""
        kept_A = self.remembered.persistent_A
        self.coil.lose(reading.output_A if kept_A is None else kept_A)

    def _cooling(self, reading: SupplyReading) -> Command:
        if self._switch_since_s is None:
            return self._confirm(reading, Heater.OFF)
        if reading.activity is Activity.RAMPING:
            return self._twice("rest", self._moved_while_cooling)
        self._doubts.discard("rest")
        switch = self.limits.switch
        if switch is None or self._now_s - self._switch_since_s < switch.cool_s:
            return DONE
        self._rest_A, self._said_A = reading.output_A, None
        self._to(State.PERSISTENT)
        return self._kept(reading)

    def _moved_while_cooling(self) -> Command:
        """Somebody moved the leads before the switch had closed: what the coil kept is not what is on record."""
        self.coil_A, self._coil_known = None, False
        self.remembered = replace(self.remembered, persistent_A=None, note="the leads moved while the switch cooled")
        return self._ask(
            Remember(self.remembered), lambda _outcome: self._foreign("the leads move while the switch cools")
        )

    def _confirm(self, reading: SupplyReading, wanted: Heater) -> Command:
        """Wait until the supply says that the heater is where it was told to be; only then its time begins."""
        if reading.heater is wanted:
            self._switch_since_s, self._heater_on = self._now_s, wanted is Heater.ON
            return DONE
        if self._now_s - self._ordered_s > _HEATER_PATIENCE_s:
            said = reading.heater.value if reading.heater is not None else "nothing"
            return self._fail(f"the switch heater was ordered {wanted.value}, and the supply says {said}")
        return DONE

    def _kept(self, reading: SupplyReading) -> Command:
        """A look at a magnet in persistent mode."""
        coil_A, said_A, switch = reading.coil_A, self._said_A, self.limits.switch
        if coil_A is not None and said_A is not None and switch is not None:
            if abs(coil_A - said_A) > 10.0 * switch.match_A:
                text = f"the coil kept {said_A:.4g} A, and the supply now says {coil_A:.4g} A"
                return self._twice("coil", lambda: self._quench(text, reading))
            self._doubts.discard("coil")
        self._said_A = coil_A
        resting = self._resting(reading)
        if resting is not DONE or self.wants is None:
            return resting
        if self.wants is State.PERSISTENT:
            if abs(reading.output_A) <= 1.5 * self._step_A:
                self.wants = None
                return DONE
            if self.remembered.persistent_A is None:
                # At the leads stands what the coil keeps; once they have left it nobody knows.
                return self._short(self._error(
                    "nothing is on record of what the coil keeps, so the leads must not leave it",
                    "declare it with your name",
                ))  # fmt: skip
            return self._leads(State.LEADS_DOWN, 0.0, reading)
        return self._match(reading)

    def _leads(self, state: State, target_A: float, reading: SupplyReading) -> Command:
        switch = self.limits.switch
        if switch is None or reading.heater is not Heater.OFF:
            return self._short(self._error("the switch is not known to be cold", "look at the supply"))
        self._to(state)
        return self._set_out(Goal(target_A, switch.leads_A_per_s), reading)

    def _leads_there(self, reading: SupplyReading) -> Command:
        wants, self.goal = self.wants, None
        self._rest_A = reading.output_A
        if self.state is State.LEADS_DOWN:
            self.wants = None
            self._to(State.PERSISTENT)
            return self._hold(self._still)
        self.wants = wants
        return self._hold(self._still)

    def _still(self, _reading: SupplyReading | None) -> Command:
        """The leads are held where they are: a supply that is at its target follows whoever turns its set point."""
        self._matches, self._match_since_s = (), self._now_s
        return DONE

    # The switch, to warm

    def _match(self, reading: SupplyReading) -> Command:
        error = self._unknown_coil(reading)
        if error is not None:
            return self._short(error)
        coil_A = self.coil_A or 0.0
        if abs(reading.output_A - coil_A) > 1.5 * self._step_A:
            return self._leads(State.MATCH_LEADS, coil_A, reading)
        self._to(State.MATCH_LEADS)
        return self._hold(self._still)

    def _unknown_coil(self, reading: SupplyReading) -> RemanenceError | None:
        """Why the coil's current is not known well enough to open the switch on it."""
        switch, coil_A = self.limits.switch, self.coil_A
        if coil_A is None or switch is None:
            return self._error("there is no record of the coil's current", "declare it with your name")
        if self._coil_known:
            return None
        if reading.coil_A is None or abs(reading.coil_A - coil_A) > 10.0 * switch.match_A:
            said = "nothing" if reading.coil_A is None else f"{reading.coil_A:.5g} A"
            return self._error(
                f"by the record the coil keeps {coil_A:.5g} A, the supply says {said}", "declare it with your name"
            )
        self._coil_known = True
        return None

    def _matching(self, reading: SupplyReading) -> Command:
        if self.goal is not None:
            return self._followed(reading)
        switch, coil_A = self.limits.switch, self.coil_A
        if self.wants is None or coil_A is None or switch is None:
            return self._short(self._error("the coil's current is not known any more", "declare it with your name"))
        if self._now_s - self._match_since_s > _MATCH_PATIENCE_s:
            return self._short(self._error("leads and coil do not match, or the voltage moves", "look at the supply"))
        matches = self._matches
        if matches and reading.time_s - matches[-1].time_s < _MATCH_EVERY_s:
            return DONE
        still = reading.activity is Activity.HOLDING and reading.voltage_V is not None
        if not still or abs(reading.output_A - coil_A) > switch.match_A:
            self._matches = ()
            return DONE
        matches = (*matches, reading)
        voltages = [look.voltage_V for look in matches if look.voltage_V is not None]
        if max(voltages) - min(voltages) > _STEADY_V:
            matches = matches[1:]
        self._matches = matches
        if len(matches) < _MATCHES:
            return DONE
        return self._ask(SetHeater(True), self._heater_told)

    def _heater_told(self, _outcome: Outcome) -> Command:
        """The order went out, and may have arrived: from now on the leads do not move until the switch is known."""
        said = self._said
        on = type(said) is SetHeater and said.on
        self._heater_on, self._switch_since_s, self._ordered_s = None, None, self._now_s
        self._matches, self._steady = (), None
        # Some supplies say another rate while the switch is cold.
        self._order = replace(self._order, rate_A_per_s=None)
        self._to(State.WARMING if on else State.COOLING)
        return self._ask(INSPECT, self._warming if on else self._cooling)

    def _unsure(self, said: Command) -> Command:
        return self._heater_told(Outcome(Result.UNKNOWN)) if type(said) is SetHeater else super()._unsure(said)

    # The switch, to cold

    def _persisting(self, reading: SupplyReading) -> Command:
        steady = self._steady
        if steady is None or abs(reading.output_A - steady.output_A) > self.limits.tolerance_A:
            self._steady = reading
            return DONE
        if reading.time_s - steady.time_s < max(self.limits.settle_s, 2.0 * _MATCH_EVERY_s):
            return DONE
        self.coil_A, self._coil_known = reading.output_A, True
        self.remembered = replace(self.remembered, persistent_A=reading.output_A, note="left by this program")
        return self._ask(Remember(self.remembered), self._recorded)

    def _recorded(self, outcome: Outcome) -> Command:
        if outcome.result is not Result.OK:
            self.coil_A = None
            return self._short(outcome.error or self._error("the record could not be kept", "make room on the disk"))
        return self._ask(SetHeater(False), self._heater_told)
