"""The true state of the laboratory: magnet, cryostat, sample, current and lock-in filters on one injected clock.

The world is a pure function of its settings, its seed, its clock and the commands given to it. It moves only when a
front panel asks: `advance()` brings it to `clock.now()`, in steps short enough that the field changes by at most two
millitesla in each. Nothing here knows a wire protocol, and nothing here is known to the analysis.
"""

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..core.clock import Clock
from ..core.errors import ConfigError
from .circuit import Circuit
from .contacts import Contacts, ContactSettings
from .cryostat import Cryostat, CryostatSettings
from .excitation import Excitation
from .magnet import Magnet, MagnetSettings
from .noise import NormalStream
from .sample import Sample, SampleSettings
from .tap import Tap

# Steps are short beside the switching of the sample, so that its path between two of them is straight.
_LONGEST_STEP_T = 2e-3
_STEPS_PER_WIDTH = 9.0
# Where nothing moves a look within this time finds what the last one found; where something does, a straight line.
_REST_s, _STRAIGHT_s = 10.0, 0.5
# A sample's relaxation is not looked at more often than this.
_SHORTEST_CREEP_s = 0.2
# The voltages' random walk is taken in steps of at least this: in less it goes nowhere.
_DRIFT_STEP_s = 0.2
_QUANTITIES = ("xx", "xy")


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """All that the laboratory is made of."""

    magnet: MagnetSettings
    cryostat: CryostatSettings
    sample: SampleSettings
    amplifier_noise_V_per_sqrtHz: float = 6e-9
    # The coils of a vector magnet beside the main one, by axis (`x`, `y`).
    more_coils: Mapping[str, MagnetSettings] = field(default_factory=dict[str, MagnetSettings])
    contacts: ContactSettings = field(default_factory=ContactSettings)


@dataclass(slots=True)
class Timer:
    """What happens at `due_s`, however seldom anybody looks: `ring` is called then, and moves `due_s` on.

    The laboratory stands at that instant while it rings, so `ring` must not advance it.
    """

    ring: Callable[[], None]
    due_s: float = math.inf


class World:
    """The laboratory. Front panels hold `lock` while they look at it or change it."""

    def __init__(self, settings: WorldSettings, clock: Clock, seed: int) -> None:
        self.settings = settings
        self.clock = clock
        self.seed = seed
        self.lock = threading.RLock()
        # The main coil is `z`, along the film's normal; a sample sees its field.
        self.magnet = Magnet(settings.magnet, clock.now())
        more = {axis: Magnet(coil, clock.now()) for axis, coil in settings.more_coils.items()}
        self.magnets: dict[str, Magnet] = {"z": self.magnet} | more
        self._coils = tuple(self.magnets.values())
        self.cryostat = Cryostat(settings.cryostat)
        self.sample = Sample(settings.sample)
        width_T = math.hypot(settings.sample.coercive_spread_T, settings.sample.interaction_T)
        self._field_step_T = min(_LONGEST_STEP_T, max(width_T, 1e-3) / _STEPS_PER_WIDTH)
        self.excitation = Excitation()
        self._taps: list[Tap] = []
        self._pickup_V = settings.sample.pickup_V
        self._interference_V = 0.0
        self._drift_density = settings.sample.drift_V_per_sqrt_s
        self._now_s = clock.now()
        self._drift_owed_s = 0.0
        self._drift_V: dict[str, float] = dict.fromkeys(_QUANTITIES, 0.0)
        self._drift_noise: dict[str, NormalStream] = {name: NormalStream(seed, f"drift {name}") for name in _QUANTITIES}
        # The field and temperature that `_resistances` are of, and how long ago the sample was asked for them.
        self._seen = self.magnet.field(), self.cryostat.sample_K
        self._unasked_s = 0.0
        # Until when a look can be answered as things go: before all time until somebody asks. With it goes how long
        # the next step may be, and whether everything rests.
        self._foreseen_s = -math.inf
        self._longest_s = 0.0
        self._resting = False
        self._heard: object = None
        self._resistances = self.sample.resistances(*self._seen)
        self._timers: list[Timer] = []
        # The four corner contacts of direct-current work, and the wires on them.
        misalignment = settings.sample.contact_misalignment
        self.contacts = Contacts(
            settings.contacts, misalignment, self.sheet_resistances, self.now, self.stream, self.timer
        )
        self.circuit = Circuit(self.contacts)

    def now(self) -> float:
        """The time up to which the laboratory has lived (s)."""
        return self._now_s

    def sheet_resistances(self) -> tuple[float, float]:
        """(R_xx, R_xy) of the film without any misalignment of contacts (ohm), as of the last `advance`."""
        r_xx, r_xy = self._resistances
        return r_xx, r_xy - self.settings.sample.contact_misalignment * r_xx

    def timer(self, ring: Callable[[], None]) -> Timer:
        """Something that is to happen at times of its own."""
        timer = Timer(ring)
        self._timers.append(timer)
        return timer

    def tap(self, wiring: str, name: str) -> Tap:
        """Connect a lock-in named `name` to the contacts `wiring` (`xx` or `xy`)."""
        if wiring not in ("", *_QUANTITIES):
            raise ConfigError(f"{name} cannot be wired to {wiring!r}", do=f"wiring is one of {', '.join(_QUANTITIES)}")
        density = math.hypot(self.settings.sample.noise_V_per_sqrtHz, self.settings.amplifier_noise_V_per_sqrtHz)
        tap = Tap(wiring, NormalStream(self.seed, f"lock-in {name}"), density, self._now_s)
        self._taps.append(tap)
        return tap

    def stream(self, name: str) -> NormalStream:
        """A noise source of its own."""
        return NormalStream(self.seed, name)

    def voltage(self, wiring: str) -> float:
        """The true rms voltage between a pair of contacts (V), as of the last `advance`."""
        if wiring == "xy":
            stray_V = self._pickup_V + self._drift_V["xy"] + self._interference_V
            return self.excitation.through_sample_A * self._resistances[1] + stray_V
        if wiring == "xx":
            return self.excitation.through_sample_A * self._resistances[0] + self._drift_V["xx"] + self._interference_V
        return 0.0

    @property
    def interference_V(self) -> float:
        """What else comes into every pair of contacts in phase with the current (V), from now on: a fault's doing."""
        return self._interference_V

    @interference_V.setter
    def interference_V(self, volts: float) -> None:
        self._interference_V = volts
        self._hear()

    def advance(self, within_s: float = 0.0) -> None:
        """Bring everything to `clock.now()`; a panel that need not know better may be content `within_s` of it.

        Before an order is given, everything must be there: without `within_s`.
        """
        now = self.clock.now()
        if within_s and (now - self._now_s <= within_s or (now < self._foreseen() and self._resting)):
            return
        # What was foreseen holds for the first step. An order may follow, after which nothing goes on like that.
        known = self._foreseen_s > -math.inf
        self._foreseen_s = -math.inf
        if now <= self._now_s:
            return
        if self._unheard():
            self._hear()
        while self._now_s < now:
            if not known:
                self._ask_how_long()
            known = False
            step_s = min(now - self._now_s, self._longest_s, self._next_event_s())
            if now - self._now_s - step_s < 1e-9:
                step_s = now - self._now_s
            self._move(step_s)
            self._listen(step_s)

    def glance(self, tap: Tap) -> complex:
        """Bring only what one lock-in hears to now, on the straight line of the last step, and give its X + iY (V)."""
        now = self.clock.now()
        if now < self._foreseen_s or now < self._foreseen():
            return tap.look(now, (tap.volts + tap.slope_V_per_s * (now - self._now_s)) * tap.share)
        self.advance()
        return tap.solve()

    def _foreseen(self) -> float:
        """Until when a look can be answered without asking the parts again (s)."""
        if self._foreseen_s == -math.inf:
            # Only an order makes the lock-ins hear something else, and before one nothing was foreseen any more.
            if self._unheard():
                self._hear()
                return self._now_s
            self._ask_how_long()
            if self._resting:
                ahead_s = min(_REST_s, self._longest_s)
                for tap in self._taps:
                    tap.slope_V_per_s = 0.0
            else:
                ahead_s = min(_STRAIGHT_s, 0.25 * self._longest_s)
            self._foreseen_s = self._now_s + min(ahead_s, self._next_event_s())
        return self._foreseen_s

    def _unheard(self) -> bool:
        """Whether the lock-ins must hear anew: a source, a reference or a filter was switched."""
        for tap in self._taps:
            if tap.retuned:
                return True
        return self._heard != self.excitation.heard()

    def _hear(self) -> None:
        """What the lock-ins hear at this instant: a source or a reference may have been switched since the last."""
        for tap in self._taps:
            tap.hear(self.excitation, self.voltage(tap.wiring))
        self._heard = self.excitation.heard()

    def _ask_how_long(self) -> None:
        """A step over not much field or temperature and not past a corner; where nothing moves, as a sample creeps."""
        limit_s = self.cryostat.longest_step_s()
        for magnet in self._coils:
            limit_s = min(limit_s, magnet.longest_step_s(self._field_step_T))
        self._resting = limit_s == math.inf
        self._longest_s = self._creep_s() if self._resting else limit_s

    def _creep_s(self) -> float:
        """How long a sample that rests may be left alone: it creeps towards equilibrium ever more slowly."""
        return max(self.sample.patience_s, _SHORTEST_CREEP_s)

    def _next_event_s(self) -> float:
        """How long until something happens by itself."""
        due_s = math.inf
        for waiting in (*self._taps, *self._timers):
            if waiting.due_s < due_s:
                due_s = waiting.due_s
        if self.excitation.on:
            due_s = min(due_s, self.excitation.until_s)
        return max(due_s - self._now_s, 1e-9)

    def _move(self, step_s: float) -> None:
        """Magnets, temperature and sample over one step."""
        self._now_s += step_s
        for magnet in self._coils:
            magnet.advance(self._now_s)
        cryostat = self.cryostat
        cryostat.advance(step_s)
        seen = self.magnet.field(), cryostat.sample_K
        self._unasked_s += step_s
        if seen != self._seen or self._unasked_s > self._creep_s():
            self._seen = seen
            self._resistances = self.sample.resistances(*seen, self._unasked_s)
            self._unasked_s = 0.0
        self._drift_owed_s += step_s
        if self._drift_owed_s > _DRIFT_STEP_s and self._drift_density:
            walk = self._drift_density * math.sqrt(self._drift_owed_s)
            self._drift_owed_s = 0.0
            for wiring, noise in self._drift_noise.items():
                self._drift_V[wiring] += walk * noise.next()

    def _listen(self, step_s: float) -> None:
        """Let every lock-in hear what came in this step, and let happen what is due."""
        now, excitation = self._now_s + 1e-9, self.excitation
        for tap in self._taps:
            volts = self.voltage(tap.wiring)
            if not tap.share:
                # Without a reference it says so again for each piece of time, however often somebody clears that.
                tap.hear(excitation, volts)
            if abs(volts) > tap.largest_V:
                tap.largest_V = abs(volts)
            tap.slope_V_per_s = (volts - tap.volts) / step_s
            tap.volts = volts
            tap.follow(self._now_s, volts * tap.share)
            if tap.due_s <= now:
                tap.record()
        if excitation.on and excitation.until_s <= now:
            excitation.on = False
        for timer in self._timers:
            if timer.due_s <= now:
                timer.ring()
        if self._heard != excitation.heard():
            self._hear()
