"""A voltage that wanders (thermal EMF, 1/f noise), as a random walk that the fit marginalises.

On each leg the walk is a sum of sines with independent heights, largest first (the Karhunen–Loève expansion of
Brownian motion on [0, T]: sin((k−½)πt/T) with variance 2 q² T/((k−½)π)²), upon an offset that it gathered since the
leg before. Marginalising them makes the fit a generalised least squares: what varies slowly counts for little, what
switches within a few widths still counts.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from .loop_data import Points
from .models import FloatArray

_TERMS = 14
_GAIN = 3.0  # in log likelihood, for a walk to be believed
_STRENGTHS = 10.0 ** np.arange(-2.0, 4.1, 0.25)


@dataclass(frozen=True, slots=True)
class Wander:
    """The columns of the walk over some points, for a walk of one ohm per square root of half the run."""

    columns: FloatArray

    def projector(self, weight: FloatArray, strength: float) -> FloatArray:
        """C with (1 + Z D Zᵀ)⁻¹ = 1 − CᵀC, over rows multiplied by `weight`; empty if there is no walk."""
        if strength <= 0.0:
            return np.zeros((0, weight.size))
        z = self.columns * (strength * weight[:, None])
        lower = np.linalg.cholesky(np.eye(z.shape[1]) + z.T @ z)
        return np.asarray(solve_triangular(lower, z.T, lower=True))

    def strength(self, residual: FloatArray, weight: FloatArray, together: int = 1) -> float:
        """The walk that makes weighted `residual`s likeliest, in ohm per square root of half the run; 0 if none does.

        `together` neighbours are taken as one: noise that a filter has smeared over fewer rows is no walk.
        """
        z = self.columns * weight[:, None]
        whole = residual.size - residual.size % together
        residual = residual[:whole].reshape(-1, together).sum(axis=1) / np.sqrt(together)
        z = z[:whole].reshape(-1, together, z.shape[1]).sum(axis=1) / np.sqrt(together)
        gram, match = z.T @ z, z.T @ residual
        # A walk of one standard deviation of a row over a leg.
        unit = 1.0 / np.sqrt(max(float(np.diag(gram).max()), 1e-30)) * np.sqrt(residual.size)
        total, size = float(residual @ residual), residual.size
        best, strength = 0.5 * size * np.log(total / size) - _GAIN, 0.0
        for s in unit * np.sqrt(_STRENGTHS / size):
            factor = cho_factor(np.eye(gram.shape[0]) + s * s * gram, lower=True)
            left = total - s * s * float(match @ cho_solve(factor, match))
            cost = 0.5 * size * np.log(left / size) + float(np.log(np.diag(factor[0])).sum())
            if cost < best:
                best, strength = cost, float(s)
        return strength


def wander_of(points: Points) -> Wander:
    """The walk's columns at `points`, leg by leg."""
    blocks: list[FloatArray] = []
    before: float | None = None
    for number in np.unique(points.leg):
        here = points.leg == number
        time = points.span_time[here]
        first, length = float(time.min()), max(float(np.ptp(time)), 1e-9)
        k = np.arange(1, _TERMS + 1) - 0.5
        sines = np.sin(np.pi * (time - first)[:, None] / length * k) * np.sqrt(2.0 * length) / (np.pi * k)
        block = np.zeros((points.size, _TERMS + 1))
        block[here, 1:] = sines
        later = points.span_time > time.max()
        block[later, 1:] = sines[np.argmax(time)]  # a walk goes on from where it has come to
        if before is not None:
            block[here | later, 0] = np.sqrt(max(first - before, 0.0))
        blocks.append(block)
        before = float(time.max())
    return Wander(np.concatenate(blocks, axis=1) if blocks else np.zeros((points.size, 0)))
