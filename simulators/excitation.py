"""The alternating current that a source sends through the sample."""

import cmath
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

# The highest harmonic that a waveform is described to: beyond it a square wave's share is below a percent.
_HARMONICS = 127
# A harmonic is looked for this far from a whole multiple, in parts of the frequency.
_APART = 1e-6


@dataclass(slots=True)
class Excitation:
    """The alternating current through the sample. Who changes it first advances the world.

    `rms_A` is the fundamental's; `harmonics` holds what else the waveform has, as complex multiples of it by number:
    at phase zero a harmonic passes through zero, rising, together with the fundamental. A waveform of limited length
    ends by itself at `until_s`.
    """

    rms_A: float = 0.0
    frequency_Hz: float = 0.0
    on: bool = False
    marker: bool = False
    until_s: float = math.inf
    harmonics: Mapping[int, complex] = field(default_factory=dict[int, complex])

    @property
    def through_sample_A(self) -> float:
        """The current that flows now (A rms)."""
        return self.rms_A if self.on else 0.0

    def heard(self) -> tuple[float, float, bool, Mapping[int, complex]]:
        """What makes a difference to who listens; one that is unequal to another sounds different."""
        return self.rms_A if self.on else 0.0, self.frequency_Hz, self.marker, self.harmonics

    def share(self, harmonic: int) -> complex:
        """What a mixer at this harmonic sees, in parts of the fundamental."""
        return 1.0 if harmonic == 1 else self.harmonics.get(harmonic, 0.0)

    def share_at(self, frequency_Hz: float, within_Hz: float) -> complex:
        """The same for a mixer at a frequency, if any harmonic is as near as its filter's bandwidth."""
        if self.frequency_Hz <= 0.0:
            return 0.0
        harmonic = max(1, round(frequency_Hz / self.frequency_Hz))
        apart_Hz = abs(frequency_Hz - harmonic * self.frequency_Hz)
        return self.share(harmonic) if apart_Hz < max(within_Hz, _APART * frequency_Hz) else 0.0


def square_wave(duty: float = 0.5) -> dict[int, complex]:
    """The harmonics of a rectangle that is high for the part `duty` of its period, in parts of its fundamental.

    Fourier series of a pulse about its middle, sin(nπd)/n, turned to the phase in which the fundamental is a sine.
    """
    return {
        n: math.sin(n * math.pi * duty) / (n * math.sin(math.pi * duty)) * cmath.rect(1.0, 0.5 * math.pi * (1 - n))
        for n in range(2, _HARMONICS + 1)
        if abs(math.sin(n * math.pi * duty)) > 1e-9
    }


def triangle_wave(duty: float = 0.5) -> dict[int, complex]:
    """The harmonics of a triangle that rises for the part `duty` of its period: one more power of 1/n, see above."""
    return {n: share / n for n, share in square_wave(duty).items()}


def sampled_wave(points: Sequence[float]) -> dict[int, complex]:
    """The harmonics of one period given as points; empty when it has no fundamental."""
    spectrum = np.fft.rfft(np.asarray(points, dtype=np.float64))
    if len(spectrum) < 3 or abs(spectrum[1]) < 1e-12:
        return {}
    # e^{iφ} of the fundamental against a sine; the n-th harmonic is turned by n of it.
    turn = spectrum[1] / (-1j * abs(spectrum[1]))
    shares = {n: complex(spectrum[n] / (-1j * turn**n * abs(spectrum[1]))) for n in range(2, len(spectrum))}
    return {n: share for n, share in shares.items() if n <= _HARMONICS and abs(share) > 1e-9}
