"""The guard against anything in any order: what hypothesis thinks of, checked on the truth of a supply that punishes."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from remanence.core.clock import VirtualClock
from remanence.core.errors import CommunicationError, RemanenceError
from remanence.instruments.guard import Guard
from remanence.instruments.guard_states import State
from remanence.instruments.magnet_limits import SensorLimits
from remanence.instruments.magnet_memory import MagnetMemory, MemoryFiles

from .punishing import IGNORED, LIMITS, LOST, LOST_AFTER, NONSENSE, REFUSED, SWITCHED, Punishing

_FAULTS = (LOST, LOST_AFTER, IGNORED, REFUSED, NONSENSE)
_PERSON = "Ada"


class Killed(BaseException):
    """The program ends here."""


class AnyOrder(RuleBasedStateMachine):
    """Requests, faults of the wire, hands at the supply, quenches, deaths of the program, in any order."""

    @initialize(
        relay=st.booleans(),
        switch=st.booleans(),
        heater=st.booleans(),
        lost=st.sampled_from(["hold", "continue"]),
        sensor=st.booleans(),
    )
    def open(self, relay: bool, switch: bool, heater: bool, lost: str, sensor: bool) -> None:
        limits = replace(SWITCHED if switch else LIMITS, on_comm_loss=lost)  # pyright: ignore[reportArgumentType]
        if sensor:
            limits = replace(limits, coil_sensor=SensorLimits(1.0, 5.0, 60.0))
        self.limits, self.clock, self.files = limits, VirtualClock(), MemoryFiles()
        self.clock.sleep(500.0)
        self.supply = Punishing(self.clock, limits, relay=relay, heater_on=heater or not switch)
        self.supply.fault_for = self._fault
        self.asked = ""
        self.messages = 0
        self.kill_at = -1
        self.coil_K: float | None = 4.0
        self.restart()

    def _fault(self, order: str) -> str:
        self.messages += 1
        if self.messages == self.kill_at:
            raise Killed
        return ""

    def _coil(self) -> float:
        if self.coil_K is None:
            raise CommunicationError("no thermometer")
        return self.coil_K

    def _try(self, act: Callable[[], object]) -> bool:
        """Do it as a run would: an error is an error, and a death is followed by a restart."""
        try:
            act()
        except RemanenceError:
            return False
        except Killed:
            self.restart()
            return False
        return True

    @rule()
    def restart(self) -> None:
        """The program died, some time passed, and it starts anew."""
        self.kill_at = -1
        self.guard = Guard(
            self.supply, self.limits, self.clock, memory=MagnetMemory(self.files, "T-1", self.clock),
            coldness={"coil": self._coil} if self.limits.coil_sensor else None,
        )  # fmt: skip
        self._try(self.guard.take_over)

    @rule(in_messages=st.integers(1, 12))
    def will_die(self, in_messages: int) -> None:
        self.kill_at = self.messages + in_messages

    @rule(field_T=st.floats(-10.5, 10.5), rate=st.sampled_from([0.05, 0.02, 0.005, 0.06]))
    def sweep(self, field_T: float, rate: float) -> None:
        self._try(lambda: self.guard.sweep_to(field_T, rate))

    @rule(field_T=st.sampled_from([0.0, 6.0, -6.0, 0.001, 8.0, 10.0, -10.0]))
    def sweep_to_an_edge(self, field_T: float) -> None:
        self._try(lambda: self.guard.sweep_to(field_T, 0.05))

    @rule(times=st.integers(1, 40), every_s=st.sampled_from([0.3, 1.0, 2.5, 7.0]))
    def poll(self, times: int, every_s: float) -> None:
        for _ in range(times):
            self._try(self.guard.poll)
            self.clock.sleep(every_s)
            self.supply.advance()

    @rule(duration_s=st.sampled_from([1.0, 30.0, 3600.0, 86400.0]))
    def nobody_asks(self, duration_s: float) -> None:
        self.clock.sleep(duration_s)
        self.supply.advance()

    @rule()
    def hold(self) -> None:
        begun_s = self.clock.now()
        if self._try(self.guard.hold) and not self.supply.quenched:
            assert (
                not self.supply.going
                or self.supply.lead_A == self.supply.set_point_A
                or self.guard.state is State.MONITOR
            )
            assert self.clock.now() - begun_s < 10.0

    @rule()
    def persist(self) -> None:
        self._try(self.guard.make_persistent)

    @rule()
    def unpersist(self) -> None:
        self._try(self.guard.leave_persistent)

    @rule()
    def settle_the_switch(self) -> None:
        """Let what is under way around the switch come to its end."""
        for _ in range(250):
            if not self._try(self.guard.poll):
                return
            if self.guard.state in (State.HOLD, State.PERSISTENT, State.DRIVEN):
                return
            self.clock.sleep(1.0)

    @rule(faults=st.lists(st.sampled_from(["", "", *_FAULTS]), min_size=1, max_size=8))
    def wire_trouble(self, faults: list[str]) -> None:
        self.supply.faults.extend(faults)

    @rule()
    def calm_wire(self) -> None:
        self.supply.faults.clear()

    @rule()
    def hand_pauses(self) -> None:
        self.supply.advance()
        self.supply.going = False

    @precondition(lambda self: not self.supply.going)
    @rule(set_point_A=st.floats(-100, 100))
    def hand_sets(self, set_point_A: float) -> None:
        self.supply.set_point_A = round(set_point_A, 3)

    @rule(coil_K=st.sampled_from([4.0, 4.0, 6.0, None]))
    def coil_is(self, coil_K: float | None) -> None:
        self.coil_K = coil_K

    @rule()
    def quench(self) -> None:
        self.supply.quench()
        self.supply.orders_after_quench.clear()

    @rule()
    def a_person_looks(self) -> None:
        supply = self.supply
        supply.quenched = False
        supply.advance()
        self._try(lambda: self.guard.clear_quench(_PERSON, "looked"))
        self._try(lambda: self.guard.acknowledge_foreign(_PERSON))
        self._try(lambda: self.guard.declare_coil(_PERSON, supply.coil_A * 0.1))

    @invariant()
    def the_magnet_has_nothing_to_complain_of(self) -> None:
        assert not self.supply.breaches

    @invariant()
    def it_coasts_to_where_it_may(self) -> None:
        assert self.supply.coast_safe() == ""

    @invariant()
    def a_quenched_magnet_is_sent_nothing_but_hold(self) -> None:
        assert set(self.supply.orders_after_quench) <= {"hold"}

    def teardown(self) -> None:
        """The computer is gone for a day."""
        if not hasattr(self, "supply"):
            return
        self.clock.sleep(86400.0)
        self.supply.advance()
        assert not self.supply.breaches
        assert abs(self.supply.coil_A) <= self.limits.largest_A + self.limits.tolerance_A


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
