"""The guard: the only way a procedure reaches a magnet. It refuses instead of clipping, and it holds.

A shell around the pure machine: it sends the machine's commands one at a time, each written down before it is sent and
its outcome after, and feeds back what came. It knows time, the wire and tesla; the machine knows what is allowed.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from ..core.capabilities import Activity, FieldReading, MagnetPowerSupply, SupplyReading, SupplyStatus
from ..core.clock import Clock
from ..core.errors import (
    CommunicationError,
    ConfigError,
    DeviceFault,
    LimitError,
    RemanenceError,
    StorageError,
)
from .guard_machine import Machine
from .guard_states import (
    Acknowledge,
    Arm,
    ClearQuench,
    Coldness,
    Command,
    DeclareCoil,
    Go,
    Hold,
    Inspect,
    Look,
    Move,
    Outcome,
    Persist,
    Remember,
    Remembered,
    Request,
    Rest,
    Result,
    SendHold,
    SetHeater,
    SetRate,
    SetTarget,
    State,
    Unpersist,
    Watch,
)
from .magnet_limits import MagnetLimits, OnEnd
from .magnet_memory import MagnetMemory, forgetful
from .quench_record import QuenchRecord

log = logging.getLogger(__name__)
_OK = Outcome(Result.OK)
# What keeps the magnet cold is read this often; between, the last reading stands.
_COLD_EVERY_s = 5.0
# No order of the machine needs more commands than this; a fault in it must not keep a caller for ever.
_MOST_COMMANDS = 300
_SUSPENDED_s = 1.0


class Guard:
    """A `FieldSource` around a `MagnetPowerSupply`, and the verbs of the persistent switch.

    Without `limits` it is monitor-only: it shows field and state, and refuses every write with `problem`, a sentence or
    the error itself. `record` is told every command before it is sent, and its outcome. `coldness` gives what keeps
    the magnet cold by sensor (`coil`, `helium`). `suspended_s` is how long the computer has slept: boot time less
    monotonic time.
    """

    def __init__(
        self,
        supply: MagnetPowerSupply,
        limits: MagnetLimits | None,
        clock: Clock,
        *,
        name: str = "magnet",
        memory: MagnetMemory | None = None,
        problem: str | RemanenceError = "",
        tesla_per_ampere: float = math.nan,
        coldness: Mapping[str, Callable[[], float]] | None = None,
        suspended_s: Callable[[], float] | None = None,
        record: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.limits = limits
        self.record = record
        # Told at each order and each look whether the magnet moves or may: the engine's heartbeat.
        self.beat: Callable[[bool], None] = lambda _moving: None
        self.name = name
        self.problem = str(problem)
        self._refusal = problem if isinstance(problem, RemanenceError) else None
        self._supply = supply
        self._clock = clock
        self._memory = memory or forgetful(clock)
        self._tesla_per_ampere = tesla_per_ampere if limits is None else limits.tesla_per_ampere
        self._coldness = coldness or {}
        self._cold_at_s = -math.inf
        self._asleep_s = suspended_s
        self._slept_s = suspended_s() if suspended_s else 0.0
        self._set_point_T = math.nan
        # Whether a run has asked this magnet for anything: only then its end is the magnet's business.
        self.moved = False
        # Why a field may not be gone to that this magnet alone would stand: the other axes of a vector magnet.
        self.within: Callable[[float], RemanenceError | None] = lambda _target_T: None
        self.machine: Machine | None = None
        remembered = self._memory.load() if limits is not None else Remembered()
        self._minute = QuenchRecord(self._memory, name=name, latched=remembered.quench)
        if limits is not None:
            self.machine = Machine(
                limits, remembered, name=name, current_step_A=supply.current_step_A,
                zero_relay=supply.reverses_through_zero,
            )  # fmt: skip

    @property
    def state(self) -> State:
        """Where the magnet is, as far as may be claimed."""
        return State.MONITOR if self.machine is None else self.machine.state

    @property
    def busy(self) -> bool:
        """True while something that was asked for is not done."""
        return self.machine is not None and self.machine.busy

    @property
    def fastest_T_per_s(self) -> float:
        """The largest rate of any segment (T/s); NaN when the magnet is only monitored."""
        return math.nan if self.limits is None else self.limits.fastest_A_per_s * self._tesla_per_ampere

    @property
    def set_point_T(self) -> float:
        """The final target of the sweep last asked for (T); NaN before the first."""
        return self._set_point_T

    def alive(self) -> None:
        """Tell the heartbeat that whoever drives this magnet still does."""
        machine = self.machine
        self.beat(machine is not None and not (machine.coast_known and machine.coast is None))

    # What a procedure may do

    def take_over(self) -> None:
        """Read everything before anything else is said; a ramp that is not ours is held, nothing else is touched.

        Raises:
            CommunicationError: the supply does not answer, or does not confirm the hold.
        """
        if self.machine is None:
            self._supply.inspect()
            return
        try:
            self._drive(Arm())
        except DeviceFault as error:
            # The station opens and shows it; whoever wants to move the magnet is told.
            self._keep(f"opened in {self.state}: {error}")

    def read_field(self) -> FieldReading:
        """Measure the applied field.

        Raises:
            DeviceFault: a quench, a fault, or another hand on the supply.
            CommunicationError: the supply does not answer.
        """
        look = self.poll()
        return FieldReading(look.field_T, look.time_s)

    def sweep_to(self, field_T: float, rate_T_per_s: float) -> None:
        """Start towards `field_T` at no more than `rate_T_per_s`; `poll` carries the sweep over its pieces.

        Raises:
            LimitError: target, rate or way is not finite or beyond the magnet's limits; nothing was sent.
            DeviceFault: the magnet is in no state to be moved, or the supply did not take the settings.
            InterlockTripped: it is not cold enough, and the field would rise.
        """
        k = self._tesla_per_ampere
        self._feel()
        outside = self.within(field_T)
        if outside is not None:
            raise outside
        self._set_point_T, self.moved = field_T, True
        self._drive(Move(field_T / k, rate_T_per_s / k))

    def zero(self) -> None:
        """Start towards zero field, as fast as the segments allow."""
        if self.limits is None:
            raise self._monitor_only()
        self.sweep_to(0.0, self.limits.fastest_A_per_s * self._tesla_per_ampere)

    def poll(self) -> SupplyStatus:
        """Look once, go on with what was asked, and give activity and field of the last look.

        Raises:
            DeviceFault: a quench, a fault, another hand, or a magnet that does not do as told.
            InterlockTripped: the magnet was taken to zero because it was not cold enough.
            CommunicationError: the supply does not answer.
        """
        machine = self.machine
        if machine is None:
            return self._shown(self._supply.watch(), None)
        self._feel()
        self._drive(Look())
        reading = machine.reading
        if reading is None:
            raise CommunicationError("nothing was read yet", where=self.name, do="look again")
        return self._shown(reading, machine)

    def hold(self) -> None:
        """Stop where the field is and stay. Allowed in every state; a quenched supply is sent nothing.

        Raises:
            CommunicationError: the supply did not confirm; the message says what it will do by itself.
        """
        if self.machine is None:
            self._keep("hold: nothing sent, this station only monitors")
            return
        self._drive(Hold())

    def make_persistent(self) -> None:
        """Begin to let the coil keep its current and take the leads to zero; `poll` is RAMPING until that is done.

        Raises:
            DeviceFault: there is no switch, or the magnet is not at rest.
        """
        self.moved = True
        self._drive(Persist())

    def leave_persistent(self) -> None:
        """Begin to bring the leads to the coil's current and warm the switch; `poll` is RAMPING until that is done.

        Raises:
            DeviceFault: there is no switch, or the magnet is not in persistent mode.
        """
        self.moved = True
        self._drive(Unpersist())

    def leave(self, way: OnEnd) -> Iterator[None]:
        """Bring the magnet into the state that its settings name for an end, step by step: wait a second between two.

        Raises:
            DeviceFault: it did not get there; the message says where it is.
        """
        if way == "zero":
            self.zero()
        elif way == "persistent":
            self.make_persistent()
        else:
            self.hold()
        while (look := self.poll()).activity is Activity.RAMPING:
            yield
        limits = self.limits
        there = {
            "zero": limits is not None and abs(look.field_T) <= limits.tolerance_A * self._tesla_per_ampere,
            "persistent": self.state is State.PERSISTENT,
            "hold": look.activity is Activity.HOLDING,
        }
        if not there[way]:
            raise DeviceFault(
                f"the magnet was to end in {way!r}", where=self.name, state=self.describe(), do="look at the supply"
            )

    # What only a person may do

    def clear_quench(self, person: str, reason: str) -> None:
        """Say, with name and reason, that the magnet is fit again after a quench."""
        self._keep(f"clear quench, by {person}: {reason}")
        self._drive(ClearQuench(person, reason))

    def acknowledge_foreign(self, person: str) -> None:
        """Say, with name, that a supply that somebody else changed, or that failed, is this program's again."""
        self._keep(f"acknowledged by {person}")
        self._drive(Acknowledge(person))

    def declare_coil(self, person: str, field_T: float) -> None:
        """Say, with name, what field (T) a coil keeps of which there is no record."""
        self._keep(f"coil declared at {field_T:+.4f} T by {person}")
        self._drive(DeclareCoil(person, field_T / self._tesla_per_ampere))

    def describe(self) -> str:
        """One sentence on where the field is, read now; says so when it cannot be read."""
        try:
            reading = self._supply.watch()
        except (CommunicationError, DeviceFault) as error:
            return f"Where the field of {self.name} is cannot be read: {error}"
        if reading.activity is Activity.QUENCHED:
            return f"The magnet has QUENCHED ({reading.detail.lower()})."
        machine = self.machine
        kept_A = None if machine is None else machine.field_A(reading)
        if machine is not None and (kept_A is None or machine.field_A(reading) != reading.output_A):
            kept = "a field that is not known" if kept_A is None else f"{self._tesla(kept_A):+.4f} T"
            return f"The coil keeps {kept}, its leads are at {reading.output_A + 0.0:+.3f} A ({machine.state})."
        words = {Activity.HOLDING: "holds at", Activity.RAMPING: "is ramping at", Activity.CLAMPED: "is clamped at"}
        word = words.get(reading.activity, "is in fault at")
        return f"The magnet {word} {self._tesla(reading.output_A):+.4f} T."

    def _tesla(self, current_A: float) -> float:
        return round(current_A * self._tesla_per_ampere, 7) + 0.0

    def _shown(self, reading: SupplyReading, machine: Machine | None) -> SupplyStatus:
        if machine is None:
            return SupplyStatus(reading.activity, reading.detail, self._tesla(reading.output_A), reading.time_s)
        current_A = machine.field_A(reading)
        activity = Activity.RAMPING if machine.busy else reading.activity
        return SupplyStatus(
            activity,
            reading.detail,
            math.nan if current_A is None else round(current_A * self._tesla_per_ampere, 7),
            reading.time_s,
            (machine.cold_why,) if machine.cold_why else (),
        )

    # One command at a time

    def _drive(self, request: Request) -> None:
        machine, clock = self.machine, self._clock
        if machine is None:
            raise self._monitor_only()
        if self._asleep_s is not None:
            asleep_s = self._asleep_s()
            if asleep_s - self._slept_s > _SUSPENDED_s:
                machine.forget_time()
            self._slept_s = asleep_s
        command = machine.decide(clock.now(), request)
        for _ in range(_MOST_COMMANDS):
            if type(command) is Rest:
                if machine.remembered.quench is not self._minute.latched:
                    self._latch(machine.remembered.quench)
                self.alive()
                if command.error is not None:
                    raise command.error
                return
            try:
                event = self._do(command)
            except BaseException:
                # Ctrl-C in the middle of an order: whether it arrived is not known, and the machine must know that.
                machine.decide(clock.now(), Outcome(Result.UNKNOWN, error=CommunicationError("interrupted")))
                raise
            command = machine.decide(clock.now(), event)
        raise AssertionError(f"{self.name}: the guard does not come to rest")

    def _do(self, command: Command) -> SupplyReading | Outcome:
        supply = self._supply
        try:
            match command:
                case Watch() | Inspect():
                    reading = supply.watch() if type(command) is Watch else supply.inspect()
                    self._minute.see(reading)
                    return reading
                case Remember():
                    self._memory.store(command.what)
                    return _OK
                case _:
                    return self._order(command)
        except (DeviceFault, LimitError, ConfigError) as error:
            self._outcome(command, f"refused: {error}")
            return Outcome(Result.REFUSED, error=error)
        except StorageError as error:
            self._keep(f"not remembered: {error}")
            return Outcome(Result.REFUSED, error=error)
        except CommunicationError as error:
            self._outcome(command, f"not confirmed ({error})")
            return Outcome(Result.UNKNOWN, error=error)

    def _order(self, command: Command) -> Outcome:
        supply = self._supply
        # Before the order, so that one which is the last thing this program does is not missed.
        self.beat(True)
        self._keep(self._words(command))
        read_back: float | None = None
        match command:
            case SendHold():
                supply.hold()
            case SetRate():
                read_back = supply.set_rate(command.rate_A_per_s)
            case SetTarget():
                read_back = supply.set_target(command.target_A)
            case SetHeater():
                supply.set_heater(command.on)
            case _:
                supply.go()
        said = "confirmed" if read_back is None else f"reads back {read_back:g}"
        self._outcome(command, said)
        return _OK if read_back is None else Outcome(Result.OK, read_back)

    def _words(self, command: Command) -> str:
        k = self._tesla_per_ampere
        match command:
            case SendHold():
                return "hold"
            case SetRate():
                return f"rate {command.rate_A_per_s:.6g} A/s"
            case SetTarget():
                return f"program {command.target_A * k + 0.0:+.5f} T at {command.rate_A_per_s * k * 1e3:.4g} mT/s"
            case SetHeater():
                return f"switch heater {'on' if command.on else 'off'}"
            case Go():
                return "go"
            case _:
                return type(command).__name__.lower()

    def _outcome(self, command: Command, text: str) -> None:
        if not isinstance(command, Watch | Inspect | Remember):
            self._keep(f"{self._words(command).split(' ')[0]}: {text}")

    def _keep(self, text: str) -> None:
        """Write down, in the magnet's journal and the run's. A full disk must not keep a hold from the magnet."""
        try:
            self._memory.note(text)
        except OSError as error:
            log.warning("%s: %r is not in the magnet's journal: %s", self.name, text, error)
        self.record(text)

    def _latch(self, quench: str) -> None:
        told = self._minute.latch(quench)
        if told:
            self._keep(told)

    def _feel(self) -> None:
        """Read what keeps the magnet cold, when its time has come."""
        machine, now_s = self.machine, self._clock.now()
        if not self._coldness or machine is None or now_s - self._cold_at_s < _COLD_EVERY_s:
            return
        self._cold_at_s = now_s
        for sensor, read in self._coldness.items():
            value: float | None = None
            with suppress(RemanenceError):  # a sensor that does not answer is a bad one, and is told as that
                value = read()
            before = machine.verdict
            machine.decide(self._clock.now(), Coldness(sensor, value, self._clock.now()))
            if machine.verdict is not before:
                self._keep(f"{machine.cold_why or f'{sensor} is good again'}: {machine.verdict.name.lower()}")

    def _monitor_only(self) -> RemanenceError:
        return self._refusal or DeviceFault(
            f"this magnet is only monitored: {self.problem}", where=self.name, state="Nothing was sent to it",
            do="give the setting in the station file",
        )  # fmt: skip
