"""Least squares of a Hall loop: starts from a scan, steps by Levenberg and Marquardt, errors from serial residuals.

Three kinds of rows share one sum of squares: fine bins near zero, differences between legs where the loop is closed
(reduced once to a small triangle, for they are linear), and weak priors of what the metadata say.
"""

from dataclasses import dataclass

import numpy as np

from .loop_choice import BRANCHES, Choice
from .loop_model import AMPLITUDE, LOG_WIDTH, Layout, LoopModel, delay_nodes
from .loop_problem import LoopProblem
from .loop_rows import Rows, covariance_of, descend, stack
from .loop_shapes import SHAPES
from .loop_start import first_sigma, precision, scan
from .models import FloatArray, Mask
from .serial import Noise, noise_of

OPEN = 0.985  # of its step is passed where a branch is called closed


@dataclass(frozen=True, slots=True)
class LoopFit:
    """A converged fit: parameters, covariance, χ² (corrected for correlation; `near` is the fine bins' share)."""

    p: FloatArray
    covariance: FloatArray
    chi2: float
    near: float
    size: int
    chi2_reduced: float
    model: LoopModel
    noise: Noise
    free: Mask
    converged: bool
    rows: Rows

    @property
    def walk(self) -> float:
        """How strongly the voltage wanders, judged by the residuals."""
        return self.rows.walk(self.p)

    @property
    def shape(self) -> FloatArray:
        """The shape's own parameters."""
        return self.p[self.model.layout.shape]

    @property
    def width_T(self) -> float:
        """The width of the tanh that has the same slope at the crossing."""
        _, slope, _ = SHAPES[self.model.branch](np.zeros(1), np.ones(1), self.shape)
        return float(np.exp(self.p[LOG_WIDTH]) / slope[0])

    @property
    def closes_T(self) -> float:
        """How far beyond its crossing a branch is closed, to 1.5 % of its step."""
        z = np.linspace(0.0, 12.0, 241)
        m = np.minimum(*(SHAPES[self.model.branch](z, np.full_like(z, s), self.shape)[0] for s in (1.0, -1.0)))
        return float(np.exp(self.p[LOG_WIDTH]) * z[np.searchsorted(m, OPEN)]) if m[-1] >= OPEN else np.inf

    def u(self, gradient: FloatArray) -> float:
        """Standard uncertainty of gradient · p."""
        return float(np.sqrt(max(gradient @ self.covariance @ gradient, 0.0)))


def solve(
    problem: LoopProblem,
    choice: Choice,
    start: LoopFit | None = None,
    *,
    errors: bool = True,
) -> LoopFit | None:
    """Fit one choice; from `start` if given, else from the best of a scan. None if there is too little data.

    The covariance is left zero unless `errors` are asked for.
    """
    inside = np.abs(problem.points.field_T) < choice.window_T
    points = problem.points if bool(inside.all()) else problem.points.where(inside)
    layout = problem.layout(choice)
    if points.size < layout.size + 8:
        return None
    s = problem.settings
    nodes = delay_nodes(0.0 if problem.stepped else s.time_constant_s, s.poles)
    model = LoopModel(points, layout, s.fine_window_T, BRANCHES[choice.branch].shape, nodes, has_r_xx=s.has_r_xx)
    mean, u = problem.priors(choice, layout)
    free = u > 0.0
    triangle, closing_meat = problem.closure_rows(layout)
    keep = np.ones(points.size, dtype=bool)
    if start is None:
        p = scan(model, mean, u, triangle)
        rows = Rows(model, keep, Noise(first_sigma(points), np.array([0.3])), problem.walk)
        p, _ = descend(rows, p, mean, u, triangle, steps=25)
    else:
        p = _carried(start, layout, mean, u)
        begin = BRANCHES[choice.branch].start
        if begin is not None and start.model.branch != model.branch:
            p[layout.shape] = begin
        p, _ = descend(Rows(model, keep, start.noise, problem.walk), p, mean, u, triangle, steps=15)
    noise, converged = Noise(1.0, np.zeros(0)), False
    rows = Rows(model, keep, start.noise if start else Noise(first_sigma(points), np.array([0.3])), problem.walk)
    for _ in range(2 if start is None else 1):
        residual = rows.innermost(p)
        robust = 1.4826 * float(np.median(np.abs(residual))) + 1e-12
        keep = np.abs(residual) < 6.0 * robust
        noise = noise_of(residual[keep], points.leg[keep], float(free.sum()) + rows.spent)
        rows = Rows(model, keep, noise, problem.walk)
        p, converged = descend(rows, p, mean, u, triangle, steps=30)
    residual, along, jacobian, across = rows.at(p)
    covariance = np.zeros((layout.size, layout.size))
    if errors:
        covariance = covariance_of(rows, jacobian, across, u, triangle, closing_meat)
    near = float(residual @ residual - along @ along)
    chi2 = near + float(
        ((triangle[:, -1] - triangle[:, :-1] @ p) ** 2).sum() + (((mean - p) * precision(u)) ** 2).sum()
    )
    size = int(keep.sum())
    reduced = near * noise.inflation / max(size - int(free.sum()), 1)
    return LoopFit(p, covariance, chi2, near, size, reduced, model, noise, free, converged, rows)


def _carried(start: LoopFit, layout: Layout, mean: FloatArray, u: FloatArray) -> FloatArray:
    """The parameters of `start` where this layout has the same ones; what is frozen at its own value."""
    old, p = start.model.layout, mean.copy()
    p[: AMPLITUDE + 1] = start.p[: AMPLITUDE + 1]
    for name in ("odd", "even", "drift", "first_trap", "shape"):
        here, there = getattr(layout, name), getattr(old, name)
        width = min(here.stop - here.start, there.stop - there.start)
        p[here.start : here.start + width] = start.p[there.start : there.start + width]
    for k, scale_T in enumerate(layout.scales_T):
        if scale_T in old.scales_T:
            j = old.scales_T.index(scale_T)
            p[layout.trap.start + k] = start.p[old.trap.start + j]
            p[layout.old_trap.start + k] = start.p[old.old_trap.start + j]
    p[[layout.offset, layout.delay, layout.far_trap]] = start.p[[old.offset, old.delay, old.far_trap]]
    return np.where(u > 0.0, p, mean)


def log_evidence(problem: LoopProblem, choice: Choice, fit: LoopFit, reference: LoopFit) -> float:
    """The logarithm of the evidence of a fit, up to a constant, with the noise and the outliers of `reference`.

    Only with one noise can descriptions be weighed: one that leaves more of the data to noise would excuse itself.
    """
    keep = reference.rows.keep if reference.rows.keep.size == fit.rows.keep.size else fit.rows.keep
    rows = Rows(fit.model, keep, reference.noise, problem.walk)
    mean, u = problem.priors(choice, fit.model.layout)
    triangle, _ = problem.closure_rows(fit.model.layout)
    normal, _, chi2 = stack(rows, fit.p, mean, u, triangle)
    free = np.flatnonzero(u > 0.0)
    block = normal[np.ix_(free, free)]
    scale = 1.0 / np.sqrt(np.maximum(np.diag(block), 1e-30))
    block = block * scale[:, None] * scale + 1e-12 * np.eye(free.size)
    prior = precision(u)
    volume = -0.5 * float(np.linalg.slogdet(block)[1]) + float(np.log(scale).sum())
    return volume + float(np.log(prior[prior > 0.0]).sum()) - 0.5 * chi2


def chi2_of(fit: LoopFit, reference: LoopFit) -> float:
    """χ² of `fit` with the noise of `reference`: only with one noise can two choices be compared."""
    ratio = (fit.noise.sigma**2 * fit.noise.inflation) / (reference.noise.sigma**2 * reference.noise.inflation)
    return fit.near * ratio + fit.chi2 - fit.near
