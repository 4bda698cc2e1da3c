"""A film that saturates slowly: its 1/H tail told from substrate, paramagnet and trapped flux, far from the reversal.

Beyond five coercive fields a branch is s_H m_S (1 − c/(|H| − s s_H (H_C + δ))), s_H the sign of H: the first term of
any algebraic approach to saturation. δ, what the middle of the tails is off the crossing, opens the loop as trapped
flux does, so that it is left free by half of H_C.
"""

from dataclasses import replace

import numpy as np

from .magnetisation_fit import LoopFit, LoopProblem
from .magnetisation_model import LOG_SCALE, OFFSET, SATURATION, SIZE, SLOPE, SPINS, TRAPPED
from .models import FloatArray, Mask

FAR, FAR_WIDTHS = 5.0, 6.0  # coercive fields, and widths beyond H_C, where nothing is left of an exponential tail
LEAST_FAR = 24
SURE, SUSPECTED = 5.0, 1.0  # standard uncertainties of the tail from zero; the second where no simple shape fits anyway
KNOWN = 10.0  # standard uncertainties of m_S from zero; at 2 K a paramagnet may take any part of the film's curve
MIDDLE_SHARE = 0.5  # of H_C, what the middle of the tails may be off the crossing
SCALE_STEPS = np.linspace(-2.0, 2.0, 9)  # of the belief about ln B_k


def slow_tail(
    problem: LoopProblem, fit: LoopFit, coercive_T: float, width_T: float, *, suspected: bool
) -> LoopFit | None:
    """`fit` with film, background and trapped flux from a description with a tail; None where none is told apart.

    Only its parameters and their covariance are new; they say nothing of the reversal.
    """
    far: Mask = np.abs(problem.field_T) > max(FAR * abs(coercive_T), abs(coercive_T) + FAR_WIDTHS * width_T)
    if far.sum() < LEAST_FAR or not problem.priors.trapped_u_T > 0.0:
        return None
    priors = problem.priors
    scales = [priors.log_scale + float(k) * priors.log_scale_u for k in SCALE_STEPS]
    tail, mean, covariance, weight = 0.0, np.zeros(0), np.zeros((0, 0)), np.zeros(0)
    # The opening is the tail times δ: the second round knows the tail.
    for _ in range(2):
        tried = [_solved(problem, fit, far, abs(coercive_T), at, tail) for at in scales]
        log_weight = -0.5 * np.array([cost for _, _, cost in tried]) - 0.5 * SCALE_STEPS**2
        weight = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        each = np.array([p for p, _, _ in tried])
        mean = weight @ each
        apart = (each - mean) * np.sqrt(weight)[:, None]
        within = np.array([c for _, c, _ in tried])
        covariance = np.tensordot(weight, within, 1) + apart.T @ apart
        tail = float(mean[SIZE])
        if tail < (SUSPECTED if suspected else SURE) * float(np.sqrt(covariance[SIZE, SIZE])):
            return None
    if mean[SATURATION] < KNOWN * float(np.sqrt(covariance[SATURATION, SATURATION])):
        return None
    p = np.array(fit.p)
    keep = [SATURATION, SLOPE, OFFSET, TRAPPED, *([SPINS] if problem.paramagnet else [])]
    p[keep] = mean[keep]
    p[LOG_SCALE] = float(weight @ np.array(scales))
    # Each trapped flux is that at H_C; the field that one B_k needs there stands for all.
    by = 1.0 + (coercive_T / np.exp(p[LOG_SCALE])) ** 2
    p[TRAPPED] *= by
    stretch = np.ones(SIZE)
    stretch[TRAPPED] = by
    return replace(fit, p=p, covariance=covariance[:SIZE, :SIZE] * np.outer(stretch, stretch))


def _solved(
    problem: LoopProblem, fit: LoopFit, far: Mask, coercive_T: float, log_scale: float, tail: float
) -> tuple[FloatArray, FloatArray, float]:
    """Parameters by their index, with the tail at `SIZE`; covariance and cost, at one B_k. Trapped flux is at H_C."""
    field_T, direction, sigma = problem.field_T[far], problem.direction[far], problem.sigma[far] * fit.scale
    sign, scale_T = np.sign(field_T), float(np.exp(log_scale))
    paramagnet, by_field = fit.model.paramagnet(field_T)
    slope = fit.p[SLOPE] + fit.p[SPINS] * by_field
    at_coercive = (1.0 + (coercive_T / scale_T) ** 2) / (1.0 + (field_T / scale_T) ** 2)
    distance_T = np.abs(field_T) - direction * sign * coercive_T
    columns = {
        SATURATION: sign,
        SLOPE: field_T,
        OFFSET: np.ones_like(field_T),
        TRAPPED: direction * slope * at_coercive,
        SIZE: -sign / distance_T,
        SIZE + 1: -direction * tail / distance_T**2,
    }
    if problem.paramagnet:
        columns[SPINS] = paramagnet
    index = list(columns)
    design = np.stack([columns[k] for k in index], axis=1) / sigma[:, None]
    target = problem.moment[far] / sigma
    belief = {
        TRAPPED: (problem.priors.trapped_T, problem.priors.trapped_u_T),
        SIZE + 1: (0.0, MIDDLE_SHARE * coercive_T),
    }
    for k, (value, u) in belief.items():
        row = np.where(np.array(index) == k, 1.0 / u, 0.0)
        design, target = np.vstack([design, row]), np.append(target, value / u)
    norm = np.maximum(np.linalg.norm(design, axis=0), 1e-300)
    found = np.linalg.lstsq(design / norm, target, rcond=1e-12)[0]
    cost = float(((target - design / norm @ found) ** 2).sum())
    worse = max(1.0, cost / max(int(far.sum()) - len(index), 1))
    small = np.linalg.pinv((design / norm).T @ (design / norm), rcond=1e-13, hermitian=True) / np.outer(norm, norm)
    p, covariance = np.zeros(SIZE + 2), np.zeros((SIZE + 2, SIZE + 2))
    p[index] = found / norm
    covariance[np.ix_(index, index)] = small * worse
    return p, covariance, cost / worse
