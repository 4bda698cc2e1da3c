"""Bugs planted into the guard, the link and the drivers, one at a time: what the ordeals must be able to see.

Those of other programs were measured on them; where, each says. A harness that does not find these would not find ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from remanence.core.capabilities import Activity, Heater, SupplyReading
from remanence.core.errors import ReplyError
from remanence.instruments import (
    cryogenic,
    guard,
    guard_base,
    guard_machine,
    guard_mover,
    guard_path,
    guard_switch,
)
from remanence.instruments.ami import AMI430
from remanence.instruments.guard_states import Remembered, SetHeater, SetRate, SetTarget, State
from remanence.instruments.line import Line
from remanence.instruments.link import Link
from remanence.instruments.magnet_memory import MagnetMemory

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Bug:
    """One bug; `supply` is where it is looked for, empty for all of them, `seen_at` the first seed that showed it."""

    name: str
    plant: Plant
    supply: str = ""
    seen_at: int = 0


BUGS: list[Bug] = []


def bug(name: str, supply: str = "", seen_at: int = 0) -> Callable[[Plant], Plant]:
    def keep(plant: Plant) -> Plant:
        BUGS.append(Bug(name, plant, supply, seen_at))
        return plant

    return keep


# The link


def reads_leniently(patch: pytest.MonkeyPatch) -> None:
    """As other programs read: any number is a number. Our drivers notice a shifted reply by what it looks like."""

    def watch(self: AMI430) -> SupplyReading:
        with self.link.lock:
            try:
                output_A = float(self.ask("CURR:SUPP?"))
                time_s, state = self.link.answered_s, int(float(self.ask("STATE?")))
            except ValueError as error:
                raise ReplyError(str(error)) from error
            activity = {1: Activity.RAMPING, 7: Activity.QUENCHED}.get(state, Activity.HOLDING)
            return SupplyReading(time_s, activity, output_A, detail=str(state))

    patch.setattr(AMI430, "watch", watch)


@bug("a late reply answers the next query: no re-synchronisation (pymeasure, QCoDeS)", "ami", seen_at=9)
def _(patch: pytest.MonkeyPatch) -> None:
    reads_leniently(patch)
    patch.setattr(Line, "_get_in_step", lambda self: self._greet() if self._greeting_due else None)
    patch.setattr(Line, "look_behind", lambda self, command, reply: None)


@bug("a dropped connection is waited for without end (QCoDeS, AMI 430)")
def _(patch: pytest.MonkeyPatch) -> None:
    real = Link._disconnect

    def patient(self: Link, why: str) -> None:
        real(self, why)
        while True:
            self._clock.sleep(1.0)

    patch.setattr(Link, "_disconnect", patient)


@bug("two replies to one query are taken as one after the other", "ami", seen_at=9)
def _(patch: pytest.MonkeyPatch) -> None:
    reads_leniently(patch)
    patch.setattr(Line, "look_behind", lambda self, command, reply: None)
    patch.setattr(Line, "_drain", lambda self: b"")
    patch.setattr(Line, "_await_silence", lambda self: None)
    patch.setattr(Line, "_pass_fence", lambda self, command, is_reply: None)


# Limits and the way


@bug("what is not a number is clipped to the lower limit (pymeasure, truncated_range)")
def _(patch: pytest.MonkeyPatch) -> None:
    real = guard.Guard.sweep_to

    def clipped(self: guard.Guard, field_T: float, rate_T_per_s: float) -> None:
        largest = 0.16
        field_T = min(largest, field_T) if field_T > -largest else -largest
        fastest = 0.0016
        real(self, field_T, min(fastest, rate_T_per_s) if rate_T_per_s > 1e-4 else 1e-4)

    patch.setattr(guard.Guard, "sweep_to", clipped)


@bug("one rate for the whole way, whatever the segments say")
def _(patch: pytest.MonkeyPatch) -> None:
    real = guard_path.plan

    def flat(limits: Any, start_A: float, stop_A: float, rate: float, step_A: float) -> Any:
        return [replace(piece, rate_A_per_s=rate) for piece in real(limits, start_A, stop_A, rate, step_A)]

    patch.setattr(guard_mover, "plan", flat)


@bug("the whole way in one piece at its first rate")
def _(patch: pytest.MonkeyPatch) -> None:
    real = guard_path.plan

    def whole(limits: Any, start_A: float, stop_A: float, rate: float, step_A: float) -> Any:
        pieces = real(limits, start_A, stop_A, rate, step_A)
        return [replace(pieces[0], stop_A=stop_A)]

    patch.setattr(guard_mover, "plan", whole)


@bug("a rate is rounded up to the supply's step")
def _(patch: pytest.MonkeyPatch) -> None:
    real = guard.Guard._order

    def faster(self: guard.Guard, command: Any) -> Any:
        if isinstance(command, SetRate):
            told = real(self, SetRate(command.rate_A_per_s * 1.25))
            return replace(told, read_back=command.rate_A_per_s)
        return real(self, command)

    patch.setattr(guard.Guard, "_order", faster)
    patch.setattr(guard_mover.Mover, "_ready", lambda self, reading: self._ask(guard_base.GO, self._gone))


@bug("the leads' rate is used while the switch is warm")
def _(patch: pytest.MonkeyPatch) -> None:
    def leads(self: Any, goal: Any, here_A: float) -> Any:
        return (guard_path.Piece(goal.target_A, 0.5, -1),)

    patch.setattr(guard_mover.Mover, "_plan", leads)


# Order


@bug("go before the set point (pymeasure, IPS120-10)", seen_at=293)
def _(patch: pytest.MonkeyPatch) -> None:
    real = guard.Guard._order

    def hasty(self: guard.Guard, command: Any) -> Any:
        if isinstance(command, SetTarget):
            self._supply.go()
            try:
                return real(self, command)
            except Exception:
                return guard.Outcome(guard.Result.OK, command.target_A)
        return real(self, command)

    patch.setattr(guard.Guard, "_order", hasty)
    patch.setattr(guard_mover.Mover, "_ready", lambda self, reading: self._ask(guard_base.GO, self._gone))
    patch.setattr(
        guard_mover.Mover,
        "_set_off",
        lambda self, reading: self._gone(None),
    )


@bug("nothing is read back: neither rate nor set point", seen_at=90)
def _(patch: pytest.MonkeyPatch) -> None:
    real = guard.Guard._order

    def blind(self: guard.Guard, command: Any) -> Any:
        try:
            outcome = real(self, command)
        except Exception:
            if not isinstance(command, SetRate | SetTarget):
                raise
            outcome = guard.Outcome(guard.Result.OK)
        if isinstance(command, SetRate):
            return replace(outcome, read_back=command.rate_A_per_s)
        return replace(outcome, read_back=command.target_A) if isinstance(command, SetTarget) else outcome

    patch.setattr(guard.Guard, "_order", blind)
    patch.setattr(guard_mover.Mover, "_ready", lambda self, reading: self._ask(guard_base.GO, self._gone))


@bug("a hold is believed without a look", seen_at=125)
def _(patch: pytest.MonkeyPatch) -> None:
    real = guard.Guard._order

    def trusting(self: guard.Guard, command: Any) -> Any:
        try:
            return real(self, command)
        except Exception:
            if isinstance(command, guard.SendHold):
                return guard.Outcome(guard.Result.OK)
            raise

    patch.setattr(guard.Guard, "_order", trusting)
    patch.setattr(guard_base.Base, "_hold_answered", lambda self, outcome: self._held(self.reading))


# Arrival and watching


@bug("at rest is taken for at the field (pymeasure: a power cycle is an arrival)", seen_at=51)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(guard_mover.Ramp, "near", lambda self, reading: reading.activity is Activity.HOLDING)
    patch.setattr(guard_mover.Ramp, "there", lambda self, reading: reading.activity is Activity.HOLDING)

    def settled(self: Any, reading: Any) -> Any:
        self._to(State.DRIVEN)
        self.goal = None
        return guard_base.DONE

    patch.setattr(guard_mover.Mover, "_settling", settled)


@bug("a quench is overlooked (pymeasure, IPS120-10; QCoDeS, 4G)", seen_at=43)
def _(patch: pytest.MonkeyPatch) -> None:
    real = guard_base.Base._screen

    def blind(self: Any, reading: Any) -> Any:
        if reading.activity is Activity.QUENCHED:
            reading = replace(reading, activity=Activity.HOLDING)
        return real(self, reading)

    patch.setattr(guard_base.Base, "_screen", blind)
    patch.setattr(guard_base.Base, "_doubt", lambda self, reading: None)
    patch.setattr(guard_base.Base, "_quench", lambda self, what, reading: self._then(reading))


@bug("a quench is forgotten when the program starts anew", seen_at=221)
def _(patch: pytest.MonkeyPatch) -> None:
    real = MagnetMemory.load
    patch.setattr(MagnetMemory, "load", lambda self: replace(real(self), quench=""))
    screen = guard_base.Base._screen

    def blind(self: Any, reading: Any) -> Any:
        if self.state is State.DISARMED and reading.activity is Activity.QUENCHED:
            reading = replace(reading, activity=Activity.HOLDING)
        return screen(self, reading)

    patch.setattr(guard_base.Base, "_screen", blind)


@bug("units that changed behind its back are not noticed (QCoDeS and pymeasure, AMI 430)", "sms")
def _(patch: pytest.MonkeyPatch) -> None:
    import re

    patch.setattr(cryogenic, "_OUTPUT", re.compile(cryogenic._OUTPUT.pattern.replace("AMPS", "(?:AMPS|TESLA)")))
    patch.setattr(guard_base.Base, "_doubt", lambda self, reading: None)


@bug("a clamped output is released by the program", "ips", seen_at=329)
def _(patch: pytest.MonkeyPatch) -> None:
    from remanence.instruments.oxford_ips120 import IPS120

    patch.setattr(IPS120, "hold", lambda self: self.tell("A0") if hasattr(self, "tell") else self.ask("A0"))
    patch.setattr(guard_machine.Machine, "_seen_before_hold", lambda self, reading: self._hold(self._stopped))


# The switch


@bug("the heater is switched on without a look at the currents (pymeasure and QCoDeS, AMI 430)")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(guard_switch.Switcher, "_match", lambda self, reading: self._ask(SetHeater(True), self._heater_told))
    patch.setattr(
        guard_switch.Switcher, "_matching", lambda self, reading: self._ask(SetHeater(True), self._heater_told)
    )
    to = guard_base.Base._to
    patch.setattr(guard_base.Base, "_to", lambda self, state: setattr(self, "state", state) or to(self, state))


@bug("the switch is taken for warm as soon as its heater is on")
def _(patch: pytest.MonkeyPatch) -> None:
    def at_once(self: Any, reading: Any, wanted: Any) -> Any:
        if wanted is Heater.OFF:
            return confirm(self, reading, wanted)
        self._switch_since_s, self._heater_on = -1e9, True
        return guard_base.DONE

    confirm = guard_switch.Switcher._confirm
    patch.setattr(guard_switch.Switcher, "_confirm", at_once)


@bug("the leads go before the switch is cold")
def _(patch: pytest.MonkeyPatch) -> None:
    def at_once(self: Any, reading: Any, wanted: Any) -> Any:
        if wanted is Heater.ON:
            return confirm(self, reading, wanted)
        self._switch_since_s, self._heater_on = -1e9, False
        return guard_base.DONE

    confirm = guard_switch.Switcher._confirm
    patch.setattr(guard_switch.Switcher, "_confirm", at_once)


@bug("that a coil does not follow its leads is not looked for", seen_at=2295)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(guard_mover.Ramp, "follows", lambda self, reading: None)
    patch.setattr(guard_mover.Mover, "_unseen", lambda self: False)


@bug("after a restart a heater that is on is a switch that is warm", seen_at=282)
def _(patch: pytest.MonkeyPatch) -> None:
    real = guard_machine.Machine._placed_all

    def warm(self: Any, reading: Any) -> Any:
        done = real(self, reading)
        if self.state is State.WARMING:
            self._heater_on, self.coil_A = True, None
            self.state = State.HOLD
        return done

    patch.setattr(guard_machine.Machine, "_placed_all", warm)


@bug("the heater goes off in the middle of a ramp")
def _(patch: pytest.MonkeyPatch) -> None:
    def at_once(self: Any, _event: Any) -> Any:
        self.coil_A, self._coil_known = self._seen().output_A, True
        return self._ask(SetHeater(False), self._heater_told)

    patch.setattr(guard_machine.Machine, "_HANDLERS", {**guard_machine.Machine._HANDLERS, guard.Persist: at_once})
    to = guard_base.Base._to
    patch.setattr(guard_base.Base, "_to", lambda self, state: setattr(self, "state", state) or to(self, state))


@bug("the leads leave a coil of which nothing is on record")
def _(patch: pytest.MonkeyPatch) -> None:
    real = MagnetMemory.store
    patch.setattr(MagnetMemory, "store", lambda self, what: real(self, replace(what, persistent_A=None)))


@bug("the coil's current is on record with the wrong sign")
def _(patch: pytest.MonkeyPatch) -> None:
    real = MagnetMemory.load

    def turned(self: MagnetMemory) -> Remembered:
        found = real(self)
        kept_A = found.persistent_A
        return found if kept_A is None else replace(found, persistent_A=abs(kept_A))

    patch.setattr(MagnetMemory, "load", turned)


# Polarity


@bug("the sign of a supply with a polarity relay is remembered, not read", "sms")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cryogenic.SMS120C, "direction", 1)
