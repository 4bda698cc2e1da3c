"""The true state of the laboratory: magnet, cryostat, sample, current and lock-in filters on one injected clock.

The world is a pure function of its settings, its seed, its clock and the commands given to it. It moves only when a
front panel asks: `advance()` brings it to `clock.now()`, in steps short enough that the field changes by less than a
millitesla in each. Nothing here knows a wire protocol, and nothing here is known to the analysis.
"""

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.clock import Clock
from ..core.errors import ConfigError
from .cryostat import Cryostat, CryostatSettings
from .excitation import Excitation
from .magnet import Magnet, MagnetSettings
from .noise import NormalStream
from .sample import Sample, SampleSettings
from .tap import Tap

_FIELD_STEP_T = 1e-3
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
        self.excitation = Excitation()
        self._taps: list[Tap] = []
        self._wirings: tuple[str, ...] = ()
        self._pickup_V = settings.sample.pickup_V
        self._drift_density = settings.sample.drift_V_per_sqrt_s
        self._now_s = clock.now()
        self._drift_V: dict[str, float] = dict.fromkeys(_QUANTITIES, 0.0)
        self._drift_noise: dict[str, NormalStream] = {name: NormalStream(seed, f"drift {name}") for name in _QUANTITIES}
        self._resistances = self.sample.resistances(self.magnet.field(), self.cryostat.sample_K)

    def tap(self, wiring: str, name: str) -> Tap:
        """Connect a lock-in named `name` to the contacts `wiring` (`xx` or `xy`)."""
        if wiring not in ("", *_QUANTITIES):
            raise ConfigError(f"{name} cannot be wired to {wiring!r}", do=f"wiring is one of {', '.join(_QUANTITIES)}")
        density = math.hypot(self.settings.sample.noise_V_per_sqrtHz, self.settings.amplifier_noise_V_per_sqrtHz)
        tap = Tap(wiring, NormalStream(self.seed, f"lock-in {name}"), density)
        self._taps.append(tap)
        self._wirings = tuple({tap.wiring: None for tap in self._taps})
        return tap

    def stream(self, name: str) -> NormalStream:
        """A noise source of its own."""
        return NormalStream(self.seed, name)

    def voltage(self, wiring: str) -> float:
        """The true rms voltage between a pair of contacts (V), as of the last `advance`."""
        if wiring == "xy":
            return self.excitation.through_sample_A * self._resistances[1] + self._pickup_V + self._drift_V["xy"]
        if wiring == "xx":
            return self.excitation.through_sample_A * self._resistances[0] + self._drift_V["xx"]
        return 0.0

    def advance(self, within_s: float = 0.0) -> None:
        """Bring everything to `clock.now()`; a panel that need not know better may be content `within_s` of it."""
        now = self.clock.now()
        if now - self._now_s < within_s:
            return
        while self._now_s < now:
            self._step(min(now - self._now_s, self._longest_step()))
            if now - self._now_s < 1e-9:
                self._now_s = now

    def _longest_step(self) -> float:
        """Not past a corner of the ramp, and not over more than a millitesla of field."""
        magnet, k = self.magnet, self.settings.magnet.tesla_per_ampere
        now = self._now_s
        limit = math.inf
        to_corner = magnet.arrival_s() - now
        if to_corner > 1e-9:
            limit = to_corner
            ahead = abs(magnet.lead_current(now + 1.0) - magnet.lead_current(now)) * k
            limit = min(limit, _FIELD_STEP_T / max(ahead, 1e-9))
        behind_T = abs(magnet.lead_current(now) - magnet.coil_current()) * k
        if behind_T > 1e-5 and not (to_corner > 1e-9):
            limit = min(limit, 0.5 * magnet.lag_s)
        if magnet.quenched:
            limit = min(limit, 0.25 * self.settings.magnet.quench_time_s)
        for tap in self._taps:
            limit = min(limit, tap.due_s - now)
        if self.excitation.on:
            limit = min(limit, self.excitation.until_s - now)
        return max(limit, 1e-9)

    def _step(self, step_s: float) -> None:
        start = {wiring: self.voltage(wiring) for wiring in self._wirings}
        self._now_s += step_s
        for magnet in self._coils:
            magnet.advance(self._now_s)
        self.cryostat.advance(step_s)
        self._resistances = self.sample.resistances(self.magnet.field(), self.cryostat.sample_K)
        if self._drift_density:
            walk = self._drift_density * math.sqrt(step_s)
            for wiring, noise in self._drift_noise.items():
                self._drift_V[wiring] += walk * noise.next()
        for tap in self._taps:
            if tap.hears(self.excitation):
                tap.follow(step_s, start[tap.wiring], self.voltage(tap.wiring))
            else:
                tap.follow(step_s, 0.0, 0.0)
            if tap.due_s <= self._now_s + 1e-9:
                tap.record()
        if self.excitation.until_s <= self._now_s + 1e-9:
            self.excitation.on = False
