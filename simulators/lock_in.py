"""What every lock-in's front panel is made of: an input behind a filter, a reference, an oscillator.

The input is the world's tap on a pair of contacts. The reference is the panel's own oscillator or the phase marker of
whoever drives the sample. An oscillator that is wired to the sample through a resistor drives it, and its reference
output is then the marker for the others.
"""

import math
from typing import NamedTuple

from ..core.quantities import parse
from .excitation import Excitation
from .front_panel import FrontPanel
from .world import World

# A sine has no harmonics.
_PURE: dict[int, complex] = {}
# Equivalent noise bandwidth of one to four equal poles, in parts of 1/τ (SR830 manual, "what does a lock-in measure").
NOISE_BANDWIDTHS = (1 / 4, 1 / 8, 3 / 32, 5 / 64)


class Tuning(NamedTuple):
    """Everything that decides what the mixer and the filter make of the input."""

    external: bool
    oscillator_Hz: float
    oscillator_V: float
    harmonic: int
    phase_deg: float
    time_constant_s: float
    poles: int


class LockIn(FrontPanel):
    """The lock-in at the contacts `wiring` (`xx`, `xy`).

    `drives` is the resistance (ohm, or text with a unit) through which its oscillator drives the sample; none by
    default. A subclass calls `tune` whenever a setting changes, after `world.advance()`.
    """

    def __init__(self, world: World, name: str, wiring: str = "", drives: str | float = 0.0) -> None:
        super().__init__(world, name, wiring)
        self._series_ohm = parse(drives, "ohm") if isinstance(drives, str) else drives
        self._driving = False
        self._external = False
        self._harmonic = 1
        self._oscillator_Hz = self._detected_Hz = self._external_Hz = 1000.0
        self._bandwidth_Hz = 1.0
        self._tap = world.tap(wiring, name)
        self._tap.hears = self.share
        self._tap.record = self.record

    def record(self) -> None:
        """Keep the sample that is due, and say when the next one is; none here keeps any by itself."""
        self._tap.due_s = math.inf

    def unlocked(self) -> None:
        """Latch that the reference was away; the laboratory tells it whenever a source changes."""

    def tune(self, tuning: Tuning) -> None:
        """Take settings over into the filter, the reference and the oscillator."""
        # A look may have come just now, and have foreseen how the old settings go on.
        self.world.advance()
        self._external, self._harmonic = tuning.external, tuning.harmonic
        self._oscillator_Hz = tuning.oscillator_Hz
        self._detected_Hz = tuning.harmonic * tuning.oscillator_Hz
        self._bandwidth_Hz = 1.0 / (2.0 * math.pi * tuning.time_constant_s)
        self._tap.reconfigure(tuning.time_constant_s, tuning.poles)
        self._tap.phase_rad = math.radians(tuning.phase_deg)
        if self._series_ohm:
            self._drive(0.0 if tuning.external else tuning.oscillator_V)

    def _drive(self, oscillator_V: float) -> None:
        excitation = self.world.excitation
        if oscillator_V > 0.0:
            excitation.rms_A, excitation.frequency_Hz = oscillator_V / self._series_ohm, self._oscillator_Hz
            excitation.on = excitation.marker = self._driving = True
            excitation.until_s, excitation.harmonics = math.inf, _PURE
        elif self._driving:
            excitation.on = excitation.marker = self._driving = False

    def share(self, excitation: Excitation) -> complex:
        """What its mixer turns into direct current, in parts of the voltage at the fundamental."""
        if self._external:
            if excitation.on and excitation.marker:
                return excitation.share(self._harmonic)
            self.unlocked()
            return 0.0
        return excitation.share_at(self._detected_Hz, self._bandwidth_Hz) if excitation.on else 0.0

    def locked(self) -> bool:
        """True unless the external reference is missing."""
        excitation = self.world.excitation
        return not self._external or (excitation.on and excitation.marker)

    def reference_Hz(self) -> float:
        """The frequency of the reference in use; without an external one the last known."""
        if not self._external:
            return self._oscillator_Hz
        if self.locked():
            self._external_Hz = self.world.excitation.frequency_Hz
        return self._external_Hz

    def noise_V_per_sqrtHz(self) -> float:
        """One-sided density of the sample's and the amplifier's noise, as a noise display shows it."""
        settings = self.world.settings
        return math.hypot(settings.sample.noise_V_per_sqrtHz, settings.amplifier_noise_V_per_sqrtHz)


def clip(value: float, largest: float) -> float:
    """Not more than the largest value of either sign."""
    return max(-largest, min(largest, value))


def compression(peak_V: float, largest_V: float) -> float:
    """What is left of the fundamental of a sine that an amplifier clips, in parts of it.

    Fourier coefficient of a sine of amplitude A clipped at c: (2/π) (asin r + r √(1−r²)) with r = c/A.
    """
    if peak_V <= largest_V:
        return 1.0
    r = largest_V / peak_V
    return 2.0 / math.pi * (math.asin(r) + r * math.sqrt(1.0 - r * r))
