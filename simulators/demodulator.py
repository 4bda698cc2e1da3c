"""A lock-in's filter: n equal cascaded poles, solved exactly between two instants, noise included.

For an input that is a straight line everything is linear: what the poles hold after a step is one matrix times what
they held before, the two ends of the line and a standard normal number for each pole. Without input a start decays as
e^{-x} x^j / j!; a line comes in with weights that are incomplete gamma functions, and so does the covariance of white
noise of one-sided density e_n². So the statistics do not depend on how often one looks.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

Complexes = NDArray[np.complex128]


@lru_cache(maxsize=4096)
def _transition(x: float, poles: int, noise: float) -> Complexes:
    """Row k: what pole k holds after the step x (in units of τ), as weights of what `Cascade.advance` stacks.

    These are the poles before, the line at its start and at its end, and the draws; `noise` is the root of the
    two-sided density in units of τ.
    """
    matrix = np.zeros((poles, 2 * poles + 2), dtype=np.complex128)
    decay = [math.exp(-x) * x**j / math.factorial(j) for j in range(poles)]
    # With P for the incomplete gamma function, pole k answers to a step with P(k + 1, x) and to a ramp of slope 1/x
    # with P(k + 1, x) − (k + 1) P(k + 2, x)/x.
    answers = gammainc(np.arange(1, poles + 2), x)
    for k in range(poles):
        start = (k + 1) * answers[k + 1] / x
        matrix[k, : k + 1] = decay[k::-1]
        matrix[k, poles : poles + 2] = start, answers[k] - start
    if noise:
        matrix[:, poles + 2 :] = noise * _noise_factor(x, poles)
    return matrix


def _noise_factor(x: float, poles: int) -> NDArray[np.float64]:
    """Cholesky factor of the covariance that unit white noise (two-sided density 1, τ = 1) adds over a step x."""
    # ∫0^x h_i h_j ds with h_k(s) = s^k e^{-s} / k! is (i+j over i) P(i + j + 1, 2x) / 2^{i+j+1}.
    order = np.add.outer(np.arange(poles), np.arange(poles))
    weights = np.array([[math.comb(i + j, i) for j in range(poles)] for i in range(poles)]) * 0.5 ** (order + 1)
    covariance = weights * gammainc(np.arange(1, 2 * poles), 2.0 * x)[order]
    # For steps far below τ the later poles' share underflows; a jitter far below any signal keeps it positive.
    return np.linalg.cholesky(covariance + 1e-13 * np.trace(covariance) * np.eye(poles))


class Cascade:
    """The filter of a channel, or of X and Y at once as one complex number. `output` is the last pole."""

    def __init__(self, time_constant_s: float, poles: int, value: complex = 0.0) -> None:
        self.output = value
        """What the channel shows."""
        self._set(time_constant_s, poles)

    def _set(self, time_constant_s: float, poles: int) -> None:
        self.time_constant_s, self.poles = time_constant_s, poles
        self._states = [self.output] * poles
        # One-sided density e² is e²/2 two-sided; time in units of τ brings 1/τ.
        self._noise_per_density = math.sqrt(0.5 / time_constant_s)
        self._stacked = np.zeros(2 * poles + 2, dtype=np.complex128)

    def reconfigure(self, time_constant_s: float, poles: int) -> None:
        """Change the filter; the new stages start from what was shown, as after a switch of the real one."""
        if (time_constant_s, poles) != (self.time_constant_s, self.poles):
            self._set(time_constant_s, poles)

    def advance(self, step_s: float, start: complex, stop: complex, density: float, draws: Sequence[complex]) -> None:
        """Filter a straight line from `start` to `stop` over `step_s`, plus white noise of one-sided `density`²/Hz.

        `draws` holds one standard normal number for each pole; without a density none are needed.
        """
        # Quantised so that the cache serves: 1e-7 τ changes nothing that can be seen. Short steps of a long filter
        # keep their own digits, and never become nothing, which would have no covariance.
        x = step_s / self.time_constant_s
        x = int(1e7 * x + 0.5) / 1e7 if x > 1e-3 else max(round(x, 12), 1e-12)
        matrix = _transition(x, self.poles, density * self._noise_per_density)
        held = (*self._states, start, stop, *draws)
        self._stacked[: len(held)] = held
        self._states = states = matrix.dot(self._stacked).tolist()
        self.output = states[-1]
