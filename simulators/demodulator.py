"""A lock-in's filter: n equal cascaded poles, solved exactly between two instants, noise included.

For an input that is a straight line everything is linear: what the poles hold after a step is one matrix times the two
ends of the line, what they held before, and a standard normal number for each pole. Without input a start decays as
e^{-x} x^j / j!; a line comes in with weights that are incomplete gamma functions, and so does the covariance of white
noise of one-sided density e_n². So the statistics do not depend on how often one looks.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

Rows = tuple[tuple[float, ...], ...]

# No lock-in here has more: 24 dB an octave.
_MOST_POLES = 4
# Steps that differ by less than this part of their length are alike: no more than a clock's own rounding.
_ALIKE = 1e-7
_SILENCE: tuple[complex, ...] = (0.0,) * _MOST_POLES


@lru_cache(maxsize=4096)
def _transition(x: float, poles: int, noise: float) -> Rows:
    """Row k: what pole k holds after the step x (in units of τ), as weights.

    They are of the line's start and its end, and then for each pole up to k of what it held and of its draw. `noise`
    is the root of the two-sided density in units of τ.
    """
    decay = [math.exp(-x) * x**j / math.factorial(j) for j in range(poles)]
    # With P for the incomplete gamma function, pole k answers to a step with P(k + 1, x) and to a ramp of slope 1/x
    # with P(k + 1, x) − (k + 1) P(k + 2, x)/x.
    answers: list[float] = gammainc(np.arange(1, poles + 2), x).tolist()
    kicks: list[list[float]] = (noise * _noise_factor(x, poles)).tolist() if noise else [[0.0] * poles] * poles
    rows: list[tuple[float, ...]] = []
    for k in range(poles):
        start = (k + 1) * answers[k + 1] / x
        row = [start, answers[k] - start]
        for j in range(k + 1):
            row += decay[k - j], kicks[k][j]
        rows.append(tuple(row))
    return tuple(rows)


def _noise_factor(x: float, poles: int) -> NDArray[np.float64]:
    """Cholesky factor of the covariance that unit white noise (two-sided density 1, τ = 1) adds over a step x."""
    # ∫0^x h_i h_j ds with h_k(s) = s^k e^{-s} / k! is (i+j over i) P(i + j + 1, 2x) / 2^{i+j+1}.
    order = np.add.outer(np.arange(poles), np.arange(poles))
    weights = np.array([[math.comb(i + j, i) for j in range(poles)] for i in range(poles)]) * 0.5 ** (order + 1)
    covariance = weights * gammainc(np.arange(1, 2 * poles), 2.0 * x)[order]
    # For steps far below τ the later poles' share underflows; a jitter far below any signal keeps it positive.
    return np.linalg.cholesky(covariance + 1e-13 * np.trace(covariance) * np.eye(poles))


class Cascade:
    """The filter of a channel, or of X and Y at once as one complex number: one to four poles, `output` is the last."""

    def __init__(self, time_constant_s: float, poles: int, value: complex = 0.0) -> None:
        self.output = value
        self._set(time_constant_s, poles)

    def _set(self, time_constant_s: float, poles: int) -> None:
        if not 1 <= poles <= _MOST_POLES:
            raise ValueError(f"a filter has 1 to {_MOST_POLES} poles, not {poles}")
        self.time_constant_s, self.poles = time_constant_s, poles
        self._states = [self.output] * poles
        # What `_rows` are for.
        self._shortest_s = self._longest_s = self._density = math.nan
        self._rows: Rows = ()

    def reconfigure(self, time_constant_s: float, poles: int) -> None:
        """Change the filter; the new stages start from what was shown, as after a switch of the real one."""
        if (time_constant_s, poles) != (self.time_constant_s, self.poles):
            self._set(time_constant_s, poles)

    def advance(
        self, step_s: float, start: complex, stop: complex, density: float, draws: Sequence[complex]
    ) -> complex:
        """Filter a straight line from `start` to `stop` over `step_s`, plus white noise of one-sided `density`²/Hz.

        `draws` holds one standard normal number for each pole; without a density none are needed. Gives the output.
        """
        if not (self._shortest_s <= step_s <= self._longest_s and density == self._density):
            self._prepare(step_s, density)
        states, n, rows = self._states, draws if density else _SILENCE, self._rows
        # Written out, from the first pole on: a loop over so few terms costs three times as much as the terms.
        a, b, c, d = rows[0]
        s0, n0 = states[0], n[0]
        states[0] = output = a * start + b * stop + c * s0 + d * n0
        if self.poles > 1:
            a, b, c, d, e, f = rows[1]
            s1, n1 = states[1], n[1]
            states[1] = output = a * start + b * stop + c * s0 + d * n0 + e * s1 + f * n1
            if self.poles > 2:
                a, b, c, d, e, f, g, h = rows[2]
                s2, n2 = states[2], n[2]
                states[2] = output = a * start + b * stop + c * s0 + d * n0 + e * s1 + f * n1 + g * s2 + h * n2
                if self.poles > 3:
                    a, b, c, d, e, f, g, h, i, j = rows[3]
                    third = c * s0 + d * n0 + e * s1 + f * n1 + g * s2 + h * n2
                    states[3] = output = a * start + b * stop + third + i * states[3] + j * n[3]
        self.output = output
        return output

    def _prepare(self, step_s: float, density: float) -> None:
        """Have the rows ready for such a step."""
        tau = self.time_constant_s
        # Quantised so that the cache serves: 1e-7 τ changes nothing that can be seen. Short steps of a long filter
        # keep their own digits, and never become nothing, which would have no covariance.
        x = step_s / tau
        x = round(x, 7) if x > 1e-3 else max(round(x, 12), 1e-12)
        # One-sided density e² is e²/2 two-sided; time in units of τ brings 1/τ.
        self._rows = _transition(x, self.poles, density * math.sqrt(0.5 / tau))
        self._shortest_s, self._longest_s, self._density = (1.0 - _ALIKE) * step_s, (1.0 + _ALIKE) * step_s, density
