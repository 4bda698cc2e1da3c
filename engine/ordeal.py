"""An ordeal: one seed, one bad night of a magnet, and whether the rules held on its true state.

The real driver, link and guard work on a simulated supply under virtual time, while a seeded draw of faults falls on
wire, supply and magnet, somebody turns knobs, and the process is killed at a message and begun again. An operator with
a script asks for sweeps, holds, waits, persistence and nonsense. When the script is over the magnet coasts for 24 hours
with no computer. One seed gives one history.
"""

import hashlib
import math
import random
from dataclasses import dataclass
from typing import Any, cast

import pyvisa

from ..core.capabilities import Activity, MagnetPowerSupply
from ..core.errors import LimitError, RemanenceError
from ..instruments.guard import Guard
from ..instruments.guard_states import State
from ..instruments.link import Link
from ..instruments.magnet_limits import MagnetLimits, SwitchLimits
from ..instruments.magnet_memory import MagnetMemory, MemoryFiles
from ..simulators.faults import Fault
from ..simulators.judge import Breach, Rules
from .ordeal_faults import draw_faults
from .ordeal_rig import INDUCTANCE_H, NAME, SUPPLIES, TESLA_PER_AMPERE, VOLTAGE_LIMIT_V, Endless, Killed, Rig
from .twin import load_class

RULES = Rules(
    largest_A=8.0, segments=((3.0, 0.08), (6.0, 0.05), (8.0, 0.02)), leads_A_per_s=0.5, match_A=0.05, warm_time_s=20.0,
    cool_time_s=20.0, tolerance_A=0.02,
)  # fmt: skip
LIMITS = MagnetLimits(
    serial="ordeal", tesla_per_ampere=TESLA_PER_AMPERE, largest_A=RULES.largest_A, segments=tuple(RULES.segments),
    inductance_H=INDUCTANCE_H, voltage_limit_V=VOLTAGE_LIMIT_V, tolerance_A=RULES.tolerance_A, settle_s=2.0,
    reversal_settle_s=2.0,
    switch=SwitchLimits(RULES.warm_time_s, RULES.cool_time_s, RULES.match_A, RULES.leads_A_per_s), coil_sensor=None,
    helium=None, zones=(), on_abort="hold", on_end="hold", on_comm_loss="hold",
)  # fmt: skip
# The night's plan is over by then; what was lost on the way is not begun again. Faults fall in its first part, when
# something is going on.
_NIGHT_s, _FAULTS_s = 1500.0, 500.0
_MOST_KILLS, _KILLS_WITHIN = 2, 300
_COAST_s = 24 * 3600.0
# Looks at the coasting magnet: often while it may still move, seldom afterwards.
_COAST_STEPS_s = (*(5.0,) * 12, *(60.0,) * 12, *(600.0,) * 6, 4 * 3600.0, _COAST_s)
_MOST_MESSAGES = 6000
# The time of a reading is the middle of its query, and a query may take its deadline.
_NEAR_s = 0.7
# So long after a hand turned a knob nobody knows whose order the supply follows.
_HAND_s, _SLACK_A = 30.0, 0.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one ordeal showed. `history` is a fingerprint of every message and its time."""

    seed: int
    supply: str
    breaches: tuple[Breach, ...]
    messages: int
    laboratory_s: float
    history: str
    faults: tuple[Fault, ...]
    acts: tuple[str, ...]

    def __str__(self) -> str:
        head = f"seed {self.seed} ({self.supply}): {'; '.join(map(str, self.breaches)) or 'no rule was broken'}"
        faults = [f"  {fault.describe()}" for fault in self.faults]
        return "\n".join([head, *faults, *(f"  {act}" for act in self.acts)])


# What the operator asks for: a word, a target (A), and a rate (A/s).
Act = tuple[str, float, float]


class Night:
    """One ordeal under way; what is not given is drawn by the seed.

    `dies_at` are the messages at which the process is killed, counted over the whole night.
    """

    def __init__(
        self,
        seed: int,
        supply: str = "",
        dies_at: tuple[int, ...] | None = None,
        faults: list[Fault] | None = None,
        script: list[Act] | None = None,
    ) -> None:
        self.seed = seed
        self._dice = dice = random.Random(seed)  # noqa: S311  a repeatable draw, no secret
        self.supply = supply or dice.choice(sorted(SUPPLIES))
        drawn = draw_faults(dice, self.supply, _FAULTS_s)
        self.faults = drawn if faults is None else faults
        kills = sorted(dice.sample(range(_KILLS_WITHIN), dice.choice((0, 0, 1, _MOST_KILLS))))
        self._dies_at = list(kills if dies_at is None else dies_at)
        self.rig = Rig(SUPPLIES[self.supply], RULES, self.faults, seed)
        self._wanted = script
        self.breaches: list[Breach] = []
        self.acts: list[str] = []
        self._files = MemoryFiles()
        self._history = hashlib.sha256()
        self._said = 0
        self._messages = 0
        self._quench_told = self._foreign = False

    def run(self) -> Verdict:
        """Live through it."""
        script = list(self._wanted) if self._wanted is not None else self._script()
        self.rig.clock.until_s = 3.0 * _NIGHT_s
        while script and self.rig.clock.now() < _NIGHT_s and self._messages < _MOST_MESSAGES:
            try:
                self._live(script)
            except Killed:
                self._note("killed")
                self.rig.wait(self._dice.choice((0.0, 1.0, 30.0, 300.0)))
            except Endless:
                self._breach("D8", "it waits for ever")
                break
        if self._messages >= _MOST_MESSAGES:
            self._breach("D8", "the guard does not come to an end")
        self._coast()
        breaches = (*self.breaches, *self.rig.judge.breaches)
        return Verdict(
            self.seed, self.supply, breaches, self._messages, self.rig.clock.now(), self._history.hexdigest()[:16],
            tuple(self.faults), tuple(self.acts),
        )  # fmt: skip

    def _script(self) -> list[Act]:
        """What the operator will ask for, each with a target (A) and a rate (A/s) or a duration (s)."""
        dice = self._dice
        acts: list[Act] = []
        for _ in range(dice.choice((2, 4, 6))):
            act = dice.choices(("sweep", "sweep and hold", "persist", "nonsense", "wait", "zero"), (6, 2, 2, 1, 1, 1))[
                0
            ]
            target_A = dice.choice((-7.5, -3.5, -1.0, 0.0, 0.3, 1.0, 2.9, 3.0, 4.0, 6.5))
            acts.append((act, target_A, dice.choice((0.02, 0.03, 0.05, 0.08))))
        return acts

    # One process

    def _live(self, script: list[Act]) -> None:
        """One process: take over the magnet and go on with the script, until it is done or the process is killed."""
        kind: Any = load_class(self.rig.supply.driver)
        wire = self.rig.process(self._dies_at.pop(0) - self._messages if self._dies_at else -1)
        before = self._messages
        try:
            manager = pyvisa.ResourceManager(wire)

            def connect() -> Any:
                return manager.open_resource(self.rig.supply.resource)

            try:
                link = Link(
                    connect(), self.rig.clock, name=NAME, write_end=kind.write_end, read_end=kind.read_end,
                    deadline_s=kind.deadline_s, pause_s=kind.pause_s, open_resource=connect,
                )  # fmt: skip
                driver = kind(link, NAME, **self.rig.supply.options)
                driver.verify()
                guard = self._guard(cast(MagnetPowerSupply, driver))
                guard.take_over()
                self._latched(guard)
            except (RemanenceError, pyvisa.errors.Error, OSError) as error:
                self._note(f"cannot open: {error}")
                self.rig.wait(20.0)
                return
            while script and self.rig.clock.now() < _NIGHT_s and self._messages + wire.messages < _MOST_MESSAGES:
                self._act(guard, *script[0])
                script.pop(0)
        finally:
            self._messages = before + wire.messages

    def _guard(self, driver: MagnetPowerSupply) -> Guard:
        memory = MagnetMemory(self._files, LIMITS.serial, self.rig.clock)
        return Guard(driver, LIMITS, self.rig.clock, name=NAME, memory=memory, record=self._record)

    def _record(self, text: str) -> None:
        self._said += 1
        self._history.update(f"{self.rig.clock.now():.6f} {text}\n".encode())

    # What the operator does

    def _act(self, guard: Guard, act: str, target_A: float, rate_A_per_s: float) -> None:
        self._note(f"{act} {target_A:g} A {rate_A_per_s:g} A/s")
        try:
            match act:
                case "sweep" | "zero":
                    self._sweep(guard, 0.0 if act == "zero" else target_A, rate_A_per_s, math.inf)
                case "sweep and hold":
                    self._sweep(guard, target_A, rate_A_per_s, self._dice.choice((0.0, 2.0, 20.0)))
                    self._hold(guard)
                case "persist":
                    self._persist(guard)
                case "nonsense":
                    self._nonsense(guard)
                case _:
                    for _ in range(6):
                        self._poll(guard)
                        self.rig.wait(self._dice.choice((0.5, 5.0, 20.0)))
        except RemanenceError as error:
            self._note(str(error))
            self._recover(guard, error)

    def _sweep(self, guard: Guard, target_A: float, rate_A_per_s: float, for_s: float) -> None:
        guard.sweep_to(target_A * TESLA_PER_AMPERE, rate_A_per_s * TESLA_PER_AMPERE)
        self._on_the_way(target_A)
        arrived = self._follow(guard, for_s)
        if arrived and guard.state is State.DRIVEN:
            self._at(target_A)

    def _on_the_way(self, target_A: float) -> None:
        """It was told to go: the supply goes there, or to a point on the way."""
        magnet, now_s = self.rig.world.magnet, self.rig.clock.now()
        if magnet.quenched or any(
            fault.kind == "turned" and abs(fault.at_s - now_s) < _HAND_s for fault in self.faults
        ):
            return
        low_A, high_A = sorted((magnet.lead_current(now_s), target_A))
        if magnet.ramping(now_s) and not low_A - _SLACK_A <= magnet.target() <= high_A + _SLACK_A:
            self._breach("M5", f"told to go to {target_A:g} A, it goes to {magnet.target():.3f} A")

    def _at(self, target_A: float) -> None:
        """It says that it is at the field; see whether it is."""
        magnet, now_s = self.rig.world.magnet, self.rig.clock.now()
        if magnet.quenched or self._foreign:
            return
        if abs(magnet.lead_current(now_s) - target_A) > 2.0 * RULES.tolerance_A:
            self._breach("M21", f"called at {target_A:g} A, and the leads carry {magnet.lead_current(now_s):.3f} A")

    def _follow(self, guard: Guard, for_s: float) -> bool:
        clock = self.rig.clock
        until_s = min(clock.now() + for_s, _NIGHT_s)
        pace_s = self._dice.choice((1.0, 2.0, 4.0, 4.0))
        while self._poll(guard) is Activity.RAMPING:
            if clock.now() >= until_s:
                return False
            self.rig.wait(pace_s)
        return True

    def _poll(self, guard: Guard) -> Activity:
        look = guard.poll()
        self._remembered()
        if math.isfinite(look.field_T) and guard.state not in _COLD:
            self._check(look.field_T / TESLA_PER_AMPERE, look.time_s)
        return look.activity

    def _latched(self, guard: Guard) -> None:
        """A quench that was told is told again by the next process, until a person has cleared it."""
        if self._quench_told and guard.state is not State.QUENCHED:
            self._breach("M13", f"a quench was forgotten over a restart: {guard.state}")

    def _remembered(self) -> None:
        """What the coil keeps is on record before the leads leave it; a clamp is a person's to open."""
        left_A, self.rig.left_A = self.rig.left_A, None
        if left_A is not None:
            kept_A = MagnetMemory(self._files, LIMITS.serial, self.rig.clock).load().persistent_A
            if kept_A is None or abs(kept_A - left_A) > 10.0 * RULES.match_A:
                self._breach("M11", f"the leads left a coil at {left_A:.3f} A, and on record is {kept_A}")
        if self.rig.released:
            self.rig.released = False
            self._breach("M26", "a clamped output was released by the program")

    def _check(self, current_A: float, time_s: float) -> None:
        """A value that was given to somebody must be the supply's own, of about the time that it says."""
        untold = ("frozen", "noise")
        if any(fault.kind in untold and fault.at_s <= time_s <= fault.at_s + fault.for_s for fault in self.faults):
            return  # an old value or a digit that became another do not say so; the guard sees them by the speed
        slew = max(rate for _, rate in RULES.segments)
        near = [(at_s, true_A) for at_s, true_A in self.rig.truth if abs(at_s - time_s) <= _NEAR_s]
        if near and all(abs(current_A - true_A) > 0.01 + slew * (abs(at_s - time_s) + 0.1) for at_s, true_A in near):
            at_s, true_A = min(near, key=lambda item: abs(item[0] - time_s))
            self._breach("D2", f"{current_A:.4f} A was given for {time_s:.2f} s; at {at_s:.2f} s it was {true_A:.4f} A")

    def _hold(self, guard: Guard) -> None:
        """A hold that came back without an error holds."""
        guard.hold()
        magnet, now_s = self.rig.world.magnet, self.rig.clock.now()
        if magnet.ramping(now_s) and not magnet.quenched and guard.state is not State.QUENCHED:
            self._breach("M14", "a hold was confirmed, and the current moves")

    def _persist(self, guard: Guard) -> None:
        if guard.state is State.PERSISTENT:
            guard.leave_persistent()
            self._follow(guard, math.inf)
            return
        guard.make_persistent()
        self._follow(guard, math.inf)
        if self._dice.random() < 0.7:
            self.rig.wait(self._dice.choice((1.0, 60.0)))
            guard.leave_persistent()
            self._follow(guard, math.inf)

    def _nonsense(self, guard: Guard) -> None:
        """What no magnet should be asked: refused, and not a byte of it on the wire."""
        field_T = self._dice.choice((math.nan, math.inf, -math.inf, 1e6, -1.01 * RULES.largest_A * TESLA_PER_AMPERE))
        rate = self._dice.choice((math.nan, math.inf, 0.0, -0.01, 1.0, 0.005))
        orders = self.rig.orders
        try:
            guard.sweep_to(field_T, rate)
        except LimitError:
            if self.rig.orders != orders:
                self._breach("M1", f"something was sent for {field_T:g} T at {rate:g} T/s")
        except RemanenceError:
            pass  # it had another reason, which comes first
        else:
            self._breach("M1", f"{field_T:g} T at {rate:g} T/s was accepted")

    def _recover(self, guard: Guard, error: RemanenceError) -> None:
        """What a careful operator does after an error: looks again for a while, then says that he has looked."""
        self._told(guard)
        for _ in range(self._dice.choice((2, 6, 15))):
            self.rig.wait(2.0)
            try:
                self._poll(guard)
            except RemanenceError as again:
                self._note(f"still: {again}")
                self._told(guard)
            else:
                return
        if self._dice.random() < 0.5:
            self._restore(guard)

    def _told(self, guard: Guard) -> None:
        if guard.state is State.QUENCHED:
            self._orders_at_quench = self.rig.orders
            self._quench_told = True

    def _restore(self, guard: Guard) -> None:
        try:
            if guard.state is State.QUENCHED:
                if self._quench_told and self.rig.orders != self._orders_at_quench:
                    self._breach("M13", "something was sent to a magnet that had quenched")
                if self.rig.world.magnet.quenched:
                    self.rig.world.magnet.recover()
                guard.clear_quench("operator", "helium is back, coil cold")
                self._quench_told = False
            elif guard.state in (State.FOREIGN, State.FAULT):
                guard.acknowledge_foreign("operator")
        except RemanenceError as error:
            self._note(f"not restored: {error}")

    # The end

    def _coast(self) -> None:
        """Nobody is there any more: what the supply does by itself for a day breaks no rule."""
        self.rig.clock.until_s = math.inf
        for step_s in _COAST_STEPS_s:
            if self.rig.clock.now() > _NIGHT_s + _COAST_s:
                break
            self.rig.wait(step_s)

    def _note(self, text: str) -> None:
        self.acts.append(f"{self.rig.clock.now():8.2f} s  {text}")
        self._history.update(text.encode())

    def _breach(self, rule: str, text: str) -> None:
        self.breaches.append(Breach(rule, self.rig.clock.now(), text))


_COLD = (State.MATCH_LEADS, State.LEADS_DOWN, State.PERSISTENT, State.COOLING, State.WARMING)


def ordeal(seed: int, supply: str = "", dies_at: tuple[int, ...] | None = None) -> Verdict:
    """Live through one night."""
    return Night(seed, supply, dies_at).run()
