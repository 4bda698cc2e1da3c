"""The input of a nanovoltmeter: white noise, 1/f noise, the mains between line cycles, the steps of its converter.

Sizes are those of the class of a Keithley 2182A on its ranges; no manual gives them as densities.
"""

import math
from functools import lru_cache

from .noise import NormalStream

LINE_Hz = 50.0
# One-sided: of the shorted input, and in parts of the range.
_WHITE_V_per_sqrtHz, _WHITE_OF_RANGE = 1.5e-9, 2e-8
# Where 1/f noise is as large as white noise.
_CORNER_Hz = 0.1
_TIMES_s = tuple(4.0**k for k in range(-1, 9))
# Mains that gets in: nothing of it is left after a whole number of line cycles.
_HUM_V = 2e-6
# An open input wanders about.
_OPEN_V, _OPEN_NOISE_V = 4e-3, 1e-3
_OVERRANGE = 1.2


class Flicker:
    """1/f noise: relaxations with times a factor of four apart, each of the same variance.

    Their spectra 4σ²τ/(1 + (2πfτ)²) add up to (σ²/ln 4)/f between the longest and the shortest time.
    """

    def __init__(self, density: float, corner_Hz: float, noise: NormalStream) -> None:
        self._sigma = density * math.sqrt(corner_Hz * math.log(4.0))
        self._noise = noise
        self._states = [noise.next() for _ in _TIMES_s]

    def after(self, step_s: float) -> float:
        """The value when `step_s` have passed since the last one."""
        draw = self._noise.next
        # A tenth of a microsecond changes nothing here: equal steps are equal.
        kept = _relaxed(round(step_s, 7))
        self._states = [keep * state + fresh * draw() for (keep, fresh), state in zip(kept, self._states, strict=True)]
        return self._sigma * sum(self._states)


@lru_cache(maxsize=256)
def _relaxed(step_s: float) -> tuple[tuple[float, float], ...]:
    """What is kept and what comes new of each relaxation over a step."""
    kept = [math.exp(-step_s / time_s) for time_s in _TIMES_s]
    return tuple((keep, math.sqrt(1.0 - keep * keep)) for keep in kept)


class NanovoltInput:
    """One input channel."""

    def __init__(self, noise: NormalStream, now_s: float) -> None:
        self._noise = noise
        self._flicker = Flicker(_WHITE_V_per_sqrtHz, _CORNER_Hz, noise)
        self._looked_s = now_s

    def convert(self, applied_V: float | None, range_V: float, nplc: float, density: float, now_s: float) -> float:
        """One conversion (V) over `nplc` line cycles that ends at `now_s`; infinite when it is over the range.

        `applied_V` is None for an open input; `density` is the noise of what is connected (V/√Hz).
        """
        aperture_s = nplc / LINE_Hz
        flicker_V = self._flicker.after(max(0.0, now_s - self._looked_s))
        self._looked_s = now_s
        white = math.hypot(_WHITE_V_per_sqrtHz, _WHITE_OF_RANGE * range_V, density)
        # White noise averaged over a time has the density over the root of twice that time.
        volts = flicker_V + white / math.sqrt(2.0 * aperture_s) * self._noise.next()
        volts += self._hum(nplc)
        if applied_V is None:
            volts += _OPEN_V * math.tanh(self._noise.next()) + _OPEN_NOISE_V * self._noise.next()
        else:
            volts += applied_V
        if abs(volts) > _OVERRANGE * range_V:
            return math.copysign(math.inf, volts)
        step_V = 1e-7 * range_V / min(1.0, nplc)
        return step_V * round(volts / step_V)

    def _hum(self, nplc: float) -> float:
        """What an integration over a fraction of line cycles leaves of the mains, at any phase."""
        left = abs(math.sin(math.pi * nplc)) / (math.pi * nplc)
        return _HUM_V * left * math.sin(2.0 * math.pi * self._noise.next()) if left > 1e-9 else 0.0
