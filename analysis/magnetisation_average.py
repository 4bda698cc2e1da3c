"""The film's numbers from several fits of one loop: tanh, erf and free branches, with trapped flux and without.

Every fit counts by its evidence; where they differ, the difference is in the covariance.
"""

from dataclasses import dataclass

import numpy as np

from .magnetisation_fit import LoopFit, LoopProblem, best_of, solve
from .magnetisation_model import (
    BACKGROUND,
    DOWN,
    LOG_SCALE,
    LOG_WIDTH,
    OFFSET,
    SATURATION,
    SHAPE,
    SHAPES,
    SLOPE,
    SPINS,
    TRAP,
    TRAPPED,
    UP,
)
from .magnetisation_noise import together
from .models import FloatArray

# Below this u(b_r), in tesla, data that show no trapped flux may say that there is none; above it they cannot.
SHARP_TRAPPED_U_T = 1e-4

WANTED = 4.0  # gain in −2 ln likelihood of a shape with two parameters that makes further ones worth a try
WANTED_STARTS = (("free", (-0.5, 0.0)), ("double", (0.0, 2.0, -0.5)), ("double", (1.0, 0.0, -0.5)))

NAMES = ("coercive", "up", "down", "centre", "saturation", "remanence", "width", "slope", "spins", "offset", "trapped")


@dataclass(frozen=True, slots=True)
class Averaged:
    """Values named by `NAMES` (moments in the problem's unit, fields in T), their covariance, and the leading fit.

    `budget` splits the variance of each value: `statistical`, `background`, `trapped field`, `model`, each (11,).
    """

    values: FloatArray
    covariance: FloatArray
    budget: dict[str, FloatArray]
    fit: LoopFit
    shapes: dict[str, float]

    def u(self, name: str) -> float:
        """The standard uncertainty of a value."""
        k = NAMES.index(name)
        return float(np.sqrt(self.covariance[k, k]))

    def value(self, name: str) -> float:
        """One value."""
        return float(self.values[NAMES.index(name)])


def average(problem: LoopProblem, first: LoopFit, leg: FloatArray) -> Averaged:
    """Fit all descriptions, beginning with the tanh fit `first`, and average them by evidence."""
    fits = [first, solve(problem, "erf", first.p), solve(problem, "free", first.p)]
    scale, share = first.scale, first.lost_share
    symmetric = min(fit.deviance(problem, scale, share) for fit in fits[:2])
    gain = symmetric - fits[2].deviance(problem, scale, share)
    if gain > WANTED or all(together(fit.residual, problem.field_T, leg) for fit in fits[:2]):
        # One that lost points to a wrong shape must not set the scale by which the others are judged.
        fits += [_from(problem, first, shape, start) for shape, start in WANTED_STARTS]
        right = [fit for fit in fits if not together(fit.residual, problem.field_T, leg)]
        fits = right or [min(fits, key=lambda fit: float(fit.residual @ fit.residual))]
    trapped_u_T = float(np.sqrt(first.covariance[TRAPPED, TRAPPED]))
    if 0.0 < trapped_u_T < SHARP_TRAPPED_U_T and problem.priors.trapped_T == 0.0:
        fits += [solve(problem, fit.model.shape, fit.p, trapped=False) for fit in fits]
    lead = best_of(fits, problem)
    log_evidence = np.array([_log_evidence(fit, problem, lead) for fit in fits])
    weight = np.exp(log_evidence - log_evidence.max())
    weight /= weight.sum()
    each = [_values(fit) for fit in fits]
    values = np.array([v for v, _ in each])
    mean = weight @ values
    within = sum((w * c for w, (_, c) in zip(weight, each, strict=True)), np.zeros((len(NAMES), len(NAMES))))
    apart = (values - mean) * np.sqrt(weight)[:, None]
    between = apart.T @ apart
    shapes: dict[str, float] = {}
    for fit, w in zip(fits, weight, strict=True):
        shapes[fit.model.shape] = shapes.get(fit.model.shape, 0.0) + float(w)
    top = fits[int(np.argmax(weight))]
    parts = [_parts(fit) for fit in fits]
    budget = {name: np.asarray(sum(w * part[name] for w, part in zip(weight, parts, strict=True))) for name in parts[0]}
    budget["model"] = np.diag(between)
    return Averaged(mean, within + between, budget, top, shapes)


def _from(problem: LoopProblem, first: LoopFit, shape: str, start: tuple[float, ...]) -> LoopFit:
    """A fit of one shape from its own place: a shape that is wanted may be far from tanh."""
    p = np.array(first.p)
    p[list(SHAPES[shape])] = start
    # Without outliers at first: a poor start would take the points that it misses for lost ones.
    rough = solve(problem, shape, p, robust=False)
    return solve(problem, shape, rough.p)


def _log_evidence(fit: LoopFit, problem: LoopProblem, lead: LoopFit) -> float:
    """Laplace's approximation: the deviance, and for each parameter that not all fits have its Occam factor."""
    out = -0.5 * fit.deviance(problem, lead.scale, lead.lost_share)
    priors = problem.priors
    for indices, prior_u in (
        (TRAP, (priors.trapped_u_T, priors.log_scale_u)),
        (SHAPES[fit.model.shape], priors.shape_u(fit.model.shape)),
    ):
        keep = [k for k in indices if fit.free[k]]
        if keep:
            block = fit.covariance[np.ix_(keep, keep)] / np.outer(prior_u, prior_u)
            out += 0.5 * float(np.log(max(np.linalg.det(block), 1e-300)))
    return out


def _values(fit: LoopFit) -> tuple[FloatArray, FloatArray]:
    """The values of one fit and their covariance."""
    values = values_of(fit, fit.p)
    gradient = _gradient(fit)
    return values, gradient @ fit.covariance @ gradient.T


def values_of(fit: LoopFit, p: FloatArray) -> FloatArray:
    """Values named by `NAMES` at parameters `p`."""
    coercive_T = 0.5 * (p[UP] - p[DOWN])
    reach = 1.0 / (1.0 + (coercive_T / np.exp(p[LOG_SCALE])) ** 2)
    return np.array(
        [
            coercive_T,
            p[UP],
            p[DOWN],
            0.5 * (p[UP] + p[DOWN]),
            p[SATURATION],
            fit.model.remanence(p),
            np.exp(p[LOG_WIDTH]),
            p[SLOPE],
            p[SPINS],
            p[OFFSET],
            p[TRAPPED] * reach,
        ]
    )


def _gradient(fit: LoopFit) -> FloatArray:
    """Derivatives of the values by the parameters, by central differences."""
    u = np.sqrt(np.maximum(np.diag(fit.covariance), 0.0))
    columns = []
    for k in range(fit.p.size):
        if not fit.free[k] or u[k] == 0.0:
            columns.append(np.zeros(len(NAMES)))
            continue
        step = 0.05 * u[k] if k not in (LOG_WIDTH, LOG_SCALE, *SHAPE) else min(0.05 * u[k], 1e-3)
        ahead, behind = np.array(fit.p), np.array(fit.p)
        ahead[k] += step
        behind[k] -= step
        columns.append((values_of(fit, ahead) - values_of(fit, behind)) / (2.0 * step))
    return np.array(columns).T


def _parts(fit: LoopFit) -> dict[str, FloatArray]:
    """Variance of each value by what must be known to remove it: the trapped flux, then the background, the rest."""
    gradient = _gradient(fit)
    total = np.einsum("ij,jk,ik->i", gradient, fit.covariance, gradient)
    trapped = _explained(fit, gradient, TRAP)
    both = _explained(fit, gradient, (*TRAP, *BACKGROUND))
    return {
        "statistical": np.maximum(total - both, 0.0),
        "background": np.maximum(both - trapped, 0.0),
        "trapped field": np.maximum(trapped, 0.0),
    }


def _explained(fit: LoopFit, gradient: FloatArray, indices: tuple[int, ...]) -> FloatArray:
    keep = [k for k in indices if fit.free[k] and fit.covariance[k, k] > 0.0]
    if not keep:
        return np.zeros(gradient.shape[0])
    scale = 1.0 / np.sqrt(np.diag(fit.covariance)[keep])
    cross = (gradient @ fit.covariance[:, keep]) * scale
    block = fit.covariance[np.ix_(keep, keep)] * scale[:, None] * scale
    return np.asarray(np.einsum("ij,jk,ik->i", cross, np.linalg.pinv(block, rcond=1e-10, hermitian=True), cross))
