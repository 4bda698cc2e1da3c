"""A lock-in's filter: n equal cascaded poles, solved exactly between two instants, noise included.

For an input that is a straight line the answer of the cascade is the line delayed by k τ at pole k, plus a start
that decays as e^{-x} x^j / j!. White noise of one-sided density e_n² becomes, over a step, a Gaussian vector whose
covariance has a closed form in incomplete gamma functions. So the statistics do not depend on how often one looks.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from operator import mul

import numpy as np
from scipy.special import gammainc

Matrix = tuple[tuple[float, ...], ...]


@lru_cache(maxsize=4096)
def _propagator(x: float, poles: int) -> Matrix:
    """Row k: how starts at poles 0 .. k reach pole k, e^{-x} x^j / j! with j = k .. 0."""
    terms = [math.exp(-x) * x**j / math.factorial(j) for j in range(poles)]
    return tuple(tuple(terms[k::-1]) for k in range(poles))


@lru_cache(maxsize=4096)
def _noise_factor(x: float, poles: int) -> Matrix:
    """Cholesky factor of the covariance that unit white noise (two-sided density 1, τ = 1) adds over a step x."""
    covariance = np.empty((poles, poles))
    for i in range(poles):
        for j in range(poles):
            # ∫0^x h_i h_j ds with h_k(s) = s^k e^{-s} / k!
            covariance[i, j] = math.comb(i + j, i) * 2.0 ** -(i + j + 1) * gammainc(i + j + 1, 2 * x)
    # For steps far below τ the later poles' share underflows; a jitter far below any signal keeps it positive.
    scale = np.trace(covariance)
    factor = np.linalg.cholesky(covariance + 1e-13 * scale * np.eye(poles))
    return tuple(tuple(float(v) for v in row[: i + 1]) for i, row in enumerate(factor))


class Cascade:
    """The filter of a channel, or of X and Y at once as one complex number. `output` is the last pole."""

    def __init__(self, time_constant_s: float, poles: int, value: complex = 0.0) -> None:
        self.time_constant_s = time_constant_s
        self.poles = poles
        self._states: list[complex] = [value] * poles

    @property
    def output(self) -> complex:
        """What the channel shows."""
        return self._states[-1]

    def reconfigure(self, time_constant_s: float, poles: int) -> None:
        """Change the filter; the new stages start from what was shown, as after a switch of the real one."""
        if (time_constant_s, poles) != (self.time_constant_s, self.poles):
            self.time_constant_s, self.poles = time_constant_s, poles
            self._states = [self.output] * poles

    def advance(self, step_s: float, start: complex, stop: complex, density: float, draws: Sequence[complex]) -> None:
        """Filter a straight line from `start` to `stop` over `step_s`, plus white noise of one-sided `density`²/Hz.

        `draws` holds one standard normal number for each pole.
        """
        tau, poles = self.time_constant_s, self.poles
        # Quantised so that the cache serves: 1e-7 τ changes nothing that can be seen. Short steps of a long filter
        # keep their own digits, and never become nothing, which would have no covariance.
        x = step_s / tau
        x = round(x, 7) if x > 1e-3 else max(round(x, 12), 1e-12)
        lag = (stop - start) / step_s * tau
        deviations: list[complex] = []
        for state in self._states:
            start -= lag
            deviations.append(state - start)
        states: list[complex] = []
        for row in _propagator(x, poles):
            stop -= lag
            states.append(stop + sum(map(mul, row, deviations)))
        if density:
            # One-sided density e² is e²/2 two-sided; time in units of τ brings 1/τ.
            size = density * math.sqrt(0.5 / tau)
            for k, row in enumerate(_noise_factor(x, poles)):
                states[k] += size * sum(map(mul, row, draws))
        self._states = states
