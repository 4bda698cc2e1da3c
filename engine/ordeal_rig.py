"""The rig of an ordeal: one magnet behind one supply, a judge beside it, and a process that can die at any message.

The coil's own limits are far beyond the rules, so that nothing but the controller keeps them: a supply that slows a
ramp by itself would hide a controller that does not.
"""

import itertools
import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ..core.clock import VirtualClock
from ..simulators.cryostat import Cryostat, CryostatSettings
from ..simulators.fault_schedule import FaultSchedule
from ..simulators.faults import Fault
from ..simulators.front_panel import FrontPanel
from ..simulators.judge import MagnetJudge, Rules
from ..simulators.magnet import MagnetSettings
from ..simulators.sample import Sample, load_sample
from ..simulators.visa import VirtualVisaLibrary
from ..simulators.world import World, WorldSettings
from .twin import load_class

NAME = "magnet"
# A small field for its current: the laboratory takes one step for each two millitesla.
TESLA_PER_AMPERE = 0.02
# As of a 10 T magnet: at a tenth of it a coil that does not follow could not be told by its voltage.
INDUCTANCE_H, VOLTAGE_LIMIT_V = 30.0, 10.0
_HISTORY = 64


@dataclass(frozen=True, slots=True)
class Supply:
    """A kind of supply: its driver, its front panel, and what on its wire orders the switch heater on.

    `ready` are commands that a person gave it in the morning: out of its clamp, in remote.
    """

    driver: str
    panel: str
    resource: str
    heats: str
    ready: tuple[bytes, ...] = ()
    panel_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


SUPPLIES: dict[str, Supply] = {
    "sms": Supply(
        "remanence.instruments.cryogenic:SMS120C", "remanence.simulators.cryogenic:SMS120C", "ASRL3::INSTR",
        r"H(EATER)? +(ON|1)",
        options={"tesla_per_ampere": TESLA_PER_AMPERE},
    ),
    "ips": Supply(
        "remanence.instruments.oxford_ips120:IPS120", "remanence.simulators.oxford_ips120:IPS120", "GPIB0::25::INSTR",
        r"\$?H[12]", ready=(b"C3", b"A0"),
    ),
    "ami": Supply(
        "remanence.instruments.ami:AMI430", "remanence.simulators.ami430:AMI430",
        "TCPIP0::192.168.1.20::7180::SOCKET", r"PS(WITCH)? +1",
        options={"tesla_per_ampere": TESLA_PER_AMPERE},
    ),
    "4g": Supply(
        "remanence.instruments.cryomagnetics:Model4G", "remanence.simulators.cryomagnetics:Model4G",
        "TCPIP0::192.168.1.21::4444::SOCKET", r"PSHTR +ON",
        options={"tesla_per_ampere": TESLA_PER_AMPERE},
    ),
}  # fmt: skip


class Killed(BaseException):
    """The process is no more: nothing that it would still do happens."""


class Endless(BaseException):
    """The process waits for ever."""


class BoundedClock(VirtualClock):
    """A virtual clock that ends: whoever waits beyond `until_s` waits for ever."""

    until_s = math.inf

    def sleep(self, duration_s: float) -> None:
        """Jump ahead."""
        super().sleep(duration_s)
        if self.now() > self.until_s:
            raise Endless


class Wire(VirtualVisaLibrary):
    """The VISA library of one process: counts its messages, lets it die at one of them, and has each one judged."""

    rig: "Rig"
    messages = 0
    dies_at = -1
    dead = False

    def write(self, session: Any, data: bytes) -> tuple[int, Any]:
        """Send, with the judge looking before and after."""
        if self.dead or self.messages == self.dies_at:
            self.dead = True
            raise Killed
        self.messages += 1
        return self.rig.deliver(lambda: VirtualVisaLibrary.write(self, session, data), data)

    def read(self, session: Any, count: int) -> tuple[bytes, Any]:
        """Receive; the dead do not."""
        if self.dead:
            raise Killed
        data, status = super().read(session, count)
        if data:
            self.rig.judge.answered(self.rig.clock.now())
        return data, status


class Rig:
    """World, supply, faults and judge of one ordeal. `truth` remembers (time, current in the leads) at each message.

    `orders` counts the messages that set something. `released` is set when one of them opened a clamp, `left_A` when
    one of them set the leads moving while the coil kept that current behind a cold switch.
    """

    def __init__(self, supply: Supply, rules: Rules, faults: list[Fault], seed: int) -> None:
        self.clock = BoundedClock()
        self.supply = supply
        world = WorldSettings(
            MagnetSettings(
                tesla_per_ampere=TESLA_PER_AMPERE, inductance_H=INDUCTANCE_H, switch_resistance_ohm=100.0,
                voltage_limit_V=VOLTAGE_LIMIT_V, lead_resistance_ohm=4e-3, segments=((3.0 * rules.largest_A, 1.0),),
                warm_time_s=rules.warm_time_s, cool_time_s=rules.cool_time_s, match_tolerance_A=2.0 * rules.match_A,
            ),
            CryostatSettings(start_K=4.2),
            _SAMPLE,
        )  # fmt: skip
        self.world = World(world, self.clock, seed)
        # Nobody looks at sample or thermometer: their physics would be most of the work.
        self.world.sample = cast(Sample, _StillSample())
        self.world.cryostat = cast(Cryostat, _StillCryostat())
        self.panel: FrontPanel = load_class(supply.panel)(self.world, NAME, "", **supply.panel_options)
        for line in supply.ready:
            self.panel.receive(line)
        self.schedule = FaultSchedule(self.world, [self.panel], faults, seed)
        self.judge = MagnetJudge(self.world.magnet, rules, self.clock.now())
        self.truth: deque[tuple[float, float]] = deque(maxlen=_HISTORY)
        self.orders = 0
        self.released = False
        self.left_A: float | None = None
        self._happened = 0
        self._heats = re.compile(supply.heats, re.IGNORECASE)

    def process(self, dies_at: int = -1) -> Wire:
        """The wires of a process that begins now; what another left unread is gone with its connection."""
        for conversation in tuple(self.panel.conversations):
            conversation.close()
        wire = Wire({self.supply.resource: self.panel}, self.clock)
        wire.rig, wire.dies_at = self, dies_at
        return wire

    def deliver(self, send: Any, data: bytes) -> tuple[int, Any]:
        """Let a message arrive, and look at the truth on both sides of it."""
        self._catch_up()
        command = data.decode("latin-1").strip()
        self.judge.before(self.clock.now(), heats=self._heats.match(command) is not None)
        self.orders += self.panel.changes(command)
        clamped, moved = self._clamped, self.world.magnet.ramping(self.clock.now())
        try:
            return send()
        finally:
            self._catch_up()
            now_s = self.clock.now()
            self.judge.after(now_s)
            magnet = self.world.magnet
            self.truth.append((now_s, magnet.lead_current(now_s)))
            if clamped and not self._clamped:
                self.released = True
            coil_A = magnet.coil_current()
            kept = not magnet.switch_warm(now_s) and abs(coil_A) > 10.0 * self.judge.rules.match_A
            by_itself = magnet.switch.heater_broken or self.judge.excused
            if kept and not by_itself and not moved and magnet.ramping(now_s):
                self.left_A = coil_A

    @property
    def _clamped(self) -> bool:
        """True while an Oxford supply's output is clamped; the others have no clamp."""
        supply = getattr(self.panel, "supply", None)
        return getattr(getattr(supply, "activity", None), "name", "") == "CLAMPED"

    def wait(self, duration_s: float) -> None:
        """Let time pass with nobody at the wire."""
        self.clock.sleep(duration_s)
        self._catch_up()
        self.judge.look(self.clock.now())

    def _catch_up(self) -> None:
        still = not self.world.magnet.ramping(self.clock.now())
        self.schedule.act()
        self.world.advance()
        happened = len(self.schedule.history)
        if happened > self._happened:
            new = itertools.islice(self.schedule.history, self._happened, None)
            by_hand = still and self.world.magnet.ramping(self.clock.now())
            if any(fault.kind in ("off", "power_cycle") or (fault.kind == "turned" and by_hand) for _, fault in new):
                self.judge.excuse()
            self._happened = happened


class _StillSample:
    """A sample that nothing happens to."""

    patience_s = math.inf

    def resistances(self, field_T: float, temperature_K: float, waited_s: float = 0.0) -> tuple[float, float]:
        return 1.0, 0.0


class _StillCryostat:
    """A cryostat at rest."""

    sample_K = 4.2

    def longest_step_s(self) -> float:
        return math.inf

    def advance(self, step_s: float) -> None:
        """Nothing moves."""


# It says how far the field may go in one step: one that switches slowly lets the laboratory take long ones.
_SAMPLE = load_sample("park2020_deficient").model_copy(update={"coercive_spread_T": 0.1})
