"""Several descriptions of one loop as one answer: each counts by its evidence, and where they differ is uncertainty.

With priors on what a further parameter may be, the evidence of a description is its likelihood times the share of the
priors' volume that the data leave (Laplace's approximation; MacKay, Neural Computation 4, 415 (1992)).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .loop_choice import Choice
from .loop_fit import LoopFit, log_evidence
from .loop_problem import LoopProblem
from .models import FloatArray

# How much likelier than not a superconducting magnet is to keep flux, as a logarithm.
TRAPPED_ODDS = 1.5


@dataclass(frozen=True, slots=True)
class Average:
    """Fits with weights that sum to one, best first; `choice` is that of the best.

    `apart` are fits to other data, that no likelihood can weigh. `earlier` is an average over fewer rows, whose
    differences between descriptions still hold. `gradient` is over the first parameters, which all layouts share:
    −B_C, +B_C, ln w and A.
    """

    fits: tuple[tuple[LoopFit, float], ...]
    choice: Choice
    apart: tuple[LoopFit, ...] = ()
    earlier: "Average | None" = None

    @property
    def best(self) -> LoopFit:
        """The fit of the largest weight."""
        return self.fits[0][0]

    def value(self, gradient: FloatArray) -> float:
        """The weighted mean of gradient · p."""
        mean = sum(weight * _of(fit, gradient) for fit, weight in self.fits)
        if self.earlier is not None:
            mean += self.earlier.value(gradient) - _of(self.earlier.best, gradient)
        return mean

    def u(self, gradient: FloatArray) -> float:
        """Its standard uncertainty: the mean variance, and the variance between the descriptions."""
        return float(np.hypot(_u(self.best, gradient), self.model_u(gradient)))

    def model_u(self, gradient: FloatArray) -> float:
        """What the descriptions add to the variance of the best one."""
        if self.earlier is not None:
            return self.earlier.model_u(gradient)
        mean = self.value(gradient)
        variance = sum(
            weight * (_u(fit, gradient) ** 2 + (_of(fit, gradient) - mean) ** 2) for fit, weight in self.fits
        )
        best = _u(self.best, gradient)
        extra = max(variance - best**2, 0.0)
        for fit in self.apart:
            # Two fits to overlapping data differ by the difference of their variances, if both are right.
            expected = abs(_u(fit, gradient) ** 2 - best**2)
            extra += 0.25 * max((_of(fit, gradient) - _of(self.best, gradient)) ** 2 - expected, 0.0)
        return float(np.sqrt(extra))


def average_of(problem: LoopProblem, fits: Mapping[Choice, LoopFit]) -> Average:
    """Weigh `fits` to the same rows, each with its covariance."""
    reference = min(fits.values(), key=lambda fit: fit.noise.sigma**2 * fit.noise.inflation)
    evidence = np.array([_evidence(problem, choice, fit, reference) for choice, fit in fits.items()])
    weights = np.exp(evidence - evidence.max())
    weights = weights / weights.sum()
    choices = list(fits)
    order = [choices[k] for k in np.argsort(-weights)]
    shares = np.sort(weights)[::-1]
    return Average(tuple((fits[choice], float(share)) for choice, share in zip(order, shares, strict=True)), order[0])


def _evidence(problem: LoopProblem, choice: Choice, fit: LoopFit, reference: LoopFit) -> float:
    return log_evidence(problem, choice, fit, reference) + TRAPPED_ODDS * choice.trapped


def _of(fit: LoopFit, gradient: FloatArray) -> float:
    return float(gradient @ fit.p[: gradient.size])


def _u(fit: LoopFit, gradient: FloatArray) -> float:
    n = gradient.size
    return float(np.sqrt(max(gradient @ fit.covariance[:n, :n] @ gradient, 0.0)))
