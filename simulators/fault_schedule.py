"""The schedule that lets faults happen: seeded, on the laboratory's clock, the same on both transports.

What happens by itself (a quench, a power-cycle, an unasked line) happens at its own instant, however much later
somebody looks: the laboratory is brought to that instant first. What befalls commands and replies waits for them.
"""

import heapq
import itertools
import math
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from ..core.clock import Clock
from ..core.errors import ConfigError
from .faults import EVERY, KINDS, Fault, Place
from .front_panel import Conversation, FrontPanel
from .link_faults import Pieces, garble
from .mishaps import prepare
from .sensors import Fault as SensorFault
from .sensors import Sensor
from .world import World

_REMEMBERED = 1000


class FaultSchedule:
    """Faults for the instruments of one laboratory. Making it puts it between them and their clients.

    `history` tells what befell whom and when (seconds after the schedule began), the last thousand times; `failures`
    what could not happen, and why.
    """

    def __init__(self, world: World, panels: Iterable[FrontPanel], faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self.history: deque[tuple[float, Fault]] = deque(maxlen=_REMEMBERED)
        self.failures: deque[tuple[float, str]] = deque(maxlen=_REMEMBERED)
        self._world = world
        self._start_s = world.clock.now()
        self._events: list[tuple[float, int, Fault, Callable[[], None]]] = []
        self._order = itertools.count()
        self._faults: list[Fault] = []
        self._wires = {panel.name: _Wire(self, panel, seed) for panel in panels}
        for fault in faults:
            self.add(fault)
        for wire in self._wires.values():
            wire.panel.trouble = wire

    def now_s(self) -> float:
        """Laboratory seconds since the schedule began: what `Fault.at_s` counts."""
        return self._world.clock.now() - self._start_s

    def add(self, fault: Fault) -> None:
        """Let one more fault happen.

        Raises:
            ConfigError: there is no such instrument, or it lacks the hook that the fault needs.
        """
        with self._world.lock:
            if KINDS[fault.kind].place is Place.LABORATORY:
                begin, end = prepare(self._world, fault)
                self.plan(fault, begin, end)
            else:
                for wire in self._named(fault.instrument):
                    wire.add(fault)
            self._faults.append(fault)

    def describe(self) -> list[str]:
        """Each fault that is to come or holds, in one line."""
        now_s = self.now_s()
        with self._world.lock:
            waiting = {id(held.fault) for wire in self._wires.values() for held in wire.held if held.left > 0}
            self._faults = [
                fault
                for fault in self._faults
                if now_s < fault.at_s + fault.for_s and (id(fault) in waiting or not _waits(fault))
            ]
            return [fault.describe() for fault in self._faults]

    def next_s(self) -> float:
        """When something happens by itself next, on the laboratory's clock; infinity if nothing will."""
        return self._events[0][0] if self._events else math.inf

    def act(self) -> None:
        """Let happen what is due, each at its own instant."""
        world = self._world
        if self.next_s() > world.clock.now():
            return
        with world.lock:
            clock = world.clock
            while self.next_s() <= clock.now():
                at_s, _, fault, happen = heapq.heappop(self._events)
                self.note(fault, at_s)
                world.clock = _Instant(at_s, clock)
                try:
                    world.advance()
                    happen()
                except ConfigError as error:
                    # A knob has no such position: no client is to blame, and the others' faults go on.
                    self.failures.append((at_s - self._start_s, str(error)))
                finally:
                    world.clock = clock

    def note(self, fault: Fault, at_s: float) -> None:
        """Remember that a fault befell somebody."""
        self.history.append((at_s - self._start_s, fault))

    def start_of(self, fault: Fault) -> float:
        """When a fault begins, on the laboratory's clock."""
        return self._start_s + fault.at_s

    def plan(self, fault: Fault, begin: Callable[[], None], end: Callable[[], None] | None = None) -> None:
        """Let `begin` happen when the fault begins, and `end` when it ends."""
        start_s = self.start_of(fault)
        heapq.heappush(self._events, (start_s, next(self._order), fault, begin))
        if end is not None and math.isfinite(fault.for_s):
            heapq.heappush(self._events, (start_s + fault.for_s, next(self._order), fault, end))

    def _named(self, name: str) -> list["_Wire"]:
        if name == EVERY:
            return [wire for wire in self._wires.values() if wire.panel.on_a_line]
        if name not in self._wires:
            raise ConfigError(f"there is no instrument {name!r}", do=f"instruments are {', '.join(self._wires)}")
        return [self._wires[name]]


@dataclass(slots=True)
class _Held:
    """A fault that waits for commands, and how often it may still fall."""

    fault: Fault
    start_s: float
    end_s: float
    left: float


class _Wire:
    """What stands between one panel and its clients: the panel's `Trouble`."""

    def __init__(self, schedule: FaultSchedule, panel: FrontPanel, seed: int) -> None:
        self.panel = panel
        self.held: list[_Held] = []
        self._schedule = schedule
        # The name, not the order, decides: another instrument's faults change nothing here.
        self._random = np.random.default_rng([seed, zlib.crc32(panel.name.encode())])
        self._off = False
        self._kept: dict[str, Pieces] = {}

    def add(self, fault: Fault) -> None:
        panel, plan = self.panel, self._schedule.plan
        if not panel.on_a_line and (KINDS[fault.kind].place is not Place.PANEL or fault.kind in {"unasked", "off"}):
            raise ConfigError(f"{panel.name!r} has a server of its own: its wire has no fault {fault.kind!r}")
        match fault.kind:
            case "unasked":
                plan(fault, lambda: panel.push(fault.text.encode("latin-1") + panel.reply_end))
            case "power_cycle":
                _need(panel, "power_cycle")
                plan(fault, panel.power_cycle)
            case "errors_full":
                _need(panel, "fill_errors")
                plan(fault, panel.fill_errors)
            case "off":
                _need(panel, "power_cycle")
                plan(fault, self._switch_off, self._switch_on)
            case "sensor_open" | "sensor_short" | "sensor_over" | "sensor_frozen":
                sensor = panel.sensor(fault.text)
                plan(fault, partial(_fail, sensor, _SENSORS[fault.kind]), partial(_fail, sensor, SensorFault.NONE))
            case "flux_jump":
                plan(fault, partial(panel.magnetometer().jump, int(fault.size)))
            case "stuck_motor":
                drive = panel.magnetometer()
                plan(fault, partial(setattr, drive, "stuck", True), partial(setattr, drive, "stuck", False))
            case "turned":
                _need(panel, "turn", "", "")
                knob, _, value = (part.strip() for part in fault.text.partition("="))
                if knob not in panel.knobs:
                    raise ConfigError(
                        f"{panel.name!r} has no knob {knob!r} at its front", do=f"knobs are {', '.join(panel.knobs)}"
                    )
                plan(fault, lambda: panel.turn(knob, value))
            case _:
                if fault.kind == "refused" and not fault.text:
                    _need(panel, "refuse", "")
                if fault.kind == "unreachable":
                    plan(fault, self._break)
                if fault.kind == "frozen":
                    plan(fault, self._kept.clear, self._kept.clear)
                start_s = self._schedule.start_of(fault)
                self.held.append(_Held(fault, start_s, start_s + fault.for_s, fault.times))

    # What a conversation asks

    def next_s(self) -> float:
        return self._schedule.next_s()

    def act(self) -> None:
        self._schedule.act()

    def reachable(self) -> bool:
        with self.panel.world.lock:
            self.act()
            return not self._off and next(self._holding("", {"unreachable"}), None) is None

    def greets_after_s(self, usual_s: float) -> float:
        for held in self._holding("", {"greeting_late", "greeting_lost"}):
            self._use(held)
            return math.inf if held.fault.kind == "greeting_lost" else usual_s + held.fault.size
        return usual_s

    def answers(self, conversation: Conversation, line: bytes) -> Sequence[tuple[float, bytes]]:
        # Faults may be added meanwhile, from a console.
        with self.panel.world.lock:
            return self._answers(conversation, line)

    def _answers(self, conversation: Conversation, line: bytes) -> Sequence[tuple[float, bytes]]:
        self.act()
        command = line.decode("latin-1").strip()
        if self._off or not command:
            return ()
        data = self._reply(conversation, command, line)
        if not data:
            return ()
        panel = self.panel
        pieces: Pieces = [(panel.latency_of(command), data)]
        for held in self._holding(command, _REPLY):
            if not pieces:
                break
            if held.fault.kind == "frozen":
                pieces = self._kept.setdefault(command, pieces)
            else:
                pieces = garble(pieces, held.fault, panel.reply_end, self._random)
            self._use(held)
        return pieces

    def _reply(self, conversation: Conversation, command: str, line: bytes) -> bytes:
        """What the instrument puts on the wire, after the faults on the way to it."""
        panel = self.panel
        for held in self._holding(command, _COMMAND):
            kind = held.fault.kind
            if kind in _OF_SETTINGS and not panel.changes(command):
                continue
            self._use(held)
            with panel.world.lock:
                match kind:
                    case "unheard":
                        return b""
                    case "refused":
                        reply = held.fault.text or panel.refuse(command)
                    case _:
                        reply = panel.acknowledge(command)
            return b"" if reply is None else reply.encode("latin-1", "replace") + panel.reply_end
        broken = next(self._holding(command, {"reset", "reset_before", "half_open"}), None)
        if broken is None:
            return panel.receive(line)
        self._use(broken)
        if broken.fault.kind == "reset":
            panel.receive(line)
        if broken.fault.kind == "half_open":
            conversation.deaf = True
        else:
            conversation.reset()
        return b""

    # What holds now

    def _holding(self, command: str, kinds: Iterable[str]) -> Iterator[_Held]:
        """The faults of `kinds` that fall on this command now, each drawn with its probability."""
        now_s = self.panel.world.clock.now()
        self.held = [held for held in self.held if held.left > 0 and now_s < held.end_s]
        given = command.upper()
        for held in self.held:
            fault = held.fault
            fits = held.start_s <= now_s and fault.kind in kinds and given.startswith(fault.command.upper())
            if fits and (fault.probability >= 1 or self._random.random() < fault.probability):
                yield held

    def _use(self, held: _Held) -> None:
        held.left -= 1
        self._schedule.note(held.fault, self.panel.world.clock.now())

    def _break(self) -> None:
        for conversation in self.panel.conversations:
            conversation.reset()

    def _switch_off(self) -> None:
        self._off = True
        for conversation in self.panel.conversations:
            conversation.outgoing.clear()

    def _switch_on(self) -> None:
        self._off = False
        self.panel.power_cycle()


_COMMAND = {name for name, kind in KINDS.items() if kind.place is Place.COMMAND}
_REPLY = {name for name, kind in KINDS.items() if kind.place is Place.REPLY}
_OF_SETTINGS = {"ignored", "refused", "local"}


_SENSORS = {
    "sensor_open": SensorFault.OPEN, "sensor_short": SensorFault.SHORT, "sensor_over": SensorFault.OVER_RANGE,
    "sensor_frozen": SensorFault.FROZEN,
}  # fmt: skip


def _fail(sensor: Sensor, fault: SensorFault) -> None:
    sensor.fault = fault


class _Instant:
    """The laboratory's clock held at one instant, while what happened then is done."""

    def __init__(self, at_s: float, clock: Clock) -> None:
        self._at_s = at_s
        self._clock = clock

    def now(self) -> float:
        return self._at_s

    def utc(self) -> datetime:
        return self._clock.utc() - timedelta(seconds=self._clock.now() - self._at_s)

    def sleep(self, duration_s: float) -> None:
        raise RuntimeError("nothing sleeps while a fault happens")


def _need(panel: FrontPanel, hook: str, *arguments: str) -> None:
    """Refuse a fault whose hook a panel has not got, in the words of `FrontPanel`'s own."""
    if getattr(type(panel), hook) is getattr(FrontPanel, hook):
        getattr(panel, hook)(*arguments)


def _waits(fault: Fault) -> bool:
    """True for what falls on commands; what happens by itself and at once is over when it has."""
    return KINDS[fault.kind].place not in {Place.PANEL, Place.LABORATORY}
