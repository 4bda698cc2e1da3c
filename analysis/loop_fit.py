"""Least squares of a Hall loop: starts from a scan, steps by Levenberg and Marquardt, errors from serial residuals.

Three kinds of rows share one sum of squares: fine bins near zero, differences between legs where the loop is closed
(reduced once to a small triangle, for they are linear), and weak priors of what the metadata say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .loop_data import Closure, LegView, closure_of, join
from .loop_model import AMPLITUDE, DOWN, LOG_WIDTH, UP, Layout, LoopModel, closure_columns, delay_nodes
from .loop_start import first_sigma, precision, scan
from .models import FloatArray, Mask
from .serial import Noise, meat, noise_of

WIDTH_RANGE_T = (1e-3, 0.3)


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What the fit is told beforehand. Priors are standard deviations about the value a metadata field gives."""

    time_constant_s: float
    poles: int
    fine_window_T: float = 0.5
    extra_delay_s: float = 1.0
    extra_delay_u_s: float = 1.5
    trapped_u_T: float = 2e-3
    memory_T: float = 1.0
    has_r_xx: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to describe the same loop; the spread between choices is the model's share of the uncertainty."""

    branch: str = "erf"
    odd_powers: tuple[int, ...] = (1, 3, 5)
    window_T: float = 0.5
    loop: bool = True
    scales_T: tuple[float, ...] = (0.2, 0.4, 0.8)
    trapped_u_T: float | None = None
    free_shape: bool = False


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

    def u(self, gradient: FloatArray) -> float:
        """Standard uncertainty of gradient · p."""
        return float(np.sqrt(max(gradient @ self.covariance @ gradient, 0.0)))


class LoopProblem:
    """Everything that does not change between choices: the legs, the closure contrast, its noise."""

    def __init__(
        self, legs: Sequence[LegView], closing: Sequence[LegView], settings: FitSettings, steady_s: float = 0.0
    ) -> None:
        self.legs = legs
        self.settings = settings
        self.has_up = any(leg.rising for leg in legs)
        self.has_down = any(not leg.rising for leg in legs)
        tips = [abs(leg.start_T) for leg in legs]
        # Tips within the memory leave trapped flux from before the run in place, with a sign nobody knows.
        self.remembers = min(tips) < 1.1 * settings.memory_T
        points = join([leg.points for leg in legs])
        self.points = points.where((np.abs(points.field_T) < settings.fine_window_T) & (points.steady_s >= steady_s))
        self.closure: Closure | None = closure_of(closing, settings.fine_window_T, steady_s)
        self.first_leg = 0 if any(leg.number == 0 and not leg.renewed for leg in closing) else -1
        self._closures: dict[tuple[float, ...], tuple[FloatArray, FloatArray]] = {}

    def layout(self, choice: Choice) -> Layout:
        """The parameters of this choice."""
        return Layout(choice.odd_powers, 1 if self.settings.has_r_xx else 2, choice.scales_T)

    def priors(self, choice: Choice, layout: Layout) -> tuple[FloatArray, FloatArray]:
        """Means and standard deviations; a zero deviation freezes a parameter at its mean."""
        s = self.settings
        mean, u = np.zeros(layout.size), np.full(layout.size, np.inf)
        mean[LOG_WIDTH], u[LOG_WIDTH] = np.log(0.025), 1.0
        if not choice.loop:
            u[[DOWN, UP, LOG_WIDTH, AMPLITUDE]] = 0.0
        if not self.has_up:
            u[UP] = 0.0
        if not self.has_down:
            u[DOWN] = 0.0
        # Curvature within half a tesla is a fraction of an ohm for any carriers: see the two-band formula.
        u[layout.odd][1:] = 3.0
        u[layout.even] = 0.3
        u[layout.drift] = (1.0, 0.02, 0.02, 0.02)
        mean[layout.delay] = s.poles * s.time_constant_s + s.extra_delay_s
        u[layout.delay] = s.extra_delay_u_s
        # trapped_u_T is the whole at zero field, shared among the scales.
        whole_T = s.trapped_u_T if choice.trapped_u_T is None else choice.trapped_u_T
        trapped_u_T = whole_T / np.sqrt(len(choice.scales_T))
        u[layout.shape] = 1.0 if choice.free_shape and choice.loop else 0.0
        u[layout.trap] = trapped_u_T
        u[layout.old_trap] = trapped_u_T if self.remembers else 0.0
        u[layout.far_trap] = 0.0 if self.closure is None else 1e-3
        u[layout.first_trap] = 0.0 if self.closure is None or self.first_leg < 0 else s.trapped_u_T
        return mean, u

    def closure_rows(self, layout: Layout) -> tuple[FloatArray, FloatArray]:
        """The contrast weighted by its own noise, as a triangle [R | Qᵀy] with all of its χ², and its meat."""
        known = self._closures.get(layout.scales_T)
        if known is None:
            known = self._closures[layout.scales_T] = self._weigh_closure(Layout((1,), 1, layout.scales_T))
        compact, compact_meat = known
        triangle, filling = np.zeros((compact.shape[0], layout.size + 1)), np.zeros((layout.size, layout.size))
        triangle[:, layout.nuisances], triangle[:, -1] = compact[:, :-1], compact[:, -1]
        filling[layout.nuisances, layout.nuisances] = compact_meat
        return triangle, filling

    def _weigh_closure(self, layout: Layout) -> tuple[FloatArray, FloatArray]:
        """The same for the nuisances alone, which is what layouts with equal trapped flux share."""
        width = layout.nuisances.stop - layout.nuisances.start
        closure = self.closure
        if closure is None:
            return np.zeros((0, width + 1)), np.zeros((width, width))
        columns = closure_columns(closure, layout, memory_T=self.settings.memory_T, first_leg=self.first_leg)
        rows = closure.centred(columns[:, layout.nuisances])
        right = closure.centred(closure.points.r_xy_ohm)
        used = np.flatnonzero(np.abs(rows).sum(axis=0) > 0.0)
        keep = np.ones(right.size, dtype=bool)
        noise = Noise(1.0, np.zeros(0))
        scale = np.sqrt((rows[:, used] ** 2).sum(axis=0))
        for _ in range(2):
            solved = np.linalg.lstsq(rows[keep][:, used] / scale, right[keep], rcond=1e-10)[0] / scale
            residual = right - rows[:, used] @ solved
            noise = noise_of(residual[keep], closure.points.leg[keep], closure.groups + used.size)
            keep = np.abs(residual) < 6.0 * max(noise.sigma, 1e-12)
        weight = 1.0 / (max(noise.sigma, 1e-9) * np.sqrt(noise.inflation))
        rows, right = rows[keep] * weight, right[keep] * weight
        filling = np.zeros((width, width))
        filling[np.ix_(used, used)] = meat(rows[:, used], closure.points.leg[keep], noise)
        return np.asarray(np.linalg.qr(np.column_stack((rows, right)), mode="r"), dtype=np.float64), filling


def solve(problem: LoopProblem, choice: Choice, start: LoopFit | None = None, *, errors: bool = True) -> LoopFit | None:
    """Fit one choice; from `start` if given, else from the best of a scan. None if there is too little data.

    The covariance is left zero unless `errors` are asked for.
    """
    inside = np.abs(problem.points.field_T) < choice.window_T
    points = problem.points if bool(inside.all()) else problem.points.where(inside)
    layout = problem.layout(choice)
    if points.size < layout.size + 8:
        return None
    s = problem.settings
    nodes = delay_nodes(s.time_constant_s, s.poles)
    model = LoopModel(
        points, layout, s.fine_window_T, choice.branch, nodes, has_r_xx=s.has_r_xx, free_shape=choice.free_shape
    )
    mean, u = problem.priors(choice, layout)
    free = u > 0.0
    triangle, closing_meat = problem.closure_rows(layout)
    keep = np.ones(points.size, dtype=bool)
    if start is None:
        p = scan(model, mean, u, triangle)
        p, _ = _descend(model, p, keep, Noise(first_sigma(points), np.array([0.3])), mean, u, triangle, steps=25)
    else:
        p = _carried(start, layout, mean, u)
        p, _ = _descend(model, p, keep, start.noise, mean, u, triangle, steps=15)
    noise, converged = Noise(1.0, np.zeros(0)), False
    for _ in range(2 if start is None else 1):
        fitted, _ = model.value(p)
        residual = (points.r_xy_ohm - fitted) * np.sqrt(points.count)
        robust = 1.4826 * float(np.median(np.abs(residual))) + 1e-12
        keep = np.abs(residual) < 6.0 * robust
        noise = noise_of(residual[keep], points.leg[keep], float(free.sum()))
        p, converged = _descend(model, p, keep, noise, mean, u, triangle, steps=12)
    fitted, jacobian = model.value(p)
    weight = np.sqrt(points.count) / (noise.sigma * np.sqrt(noise.inflation))
    residual = ((points.r_xy_ohm - fitted) * weight)[keep]
    covariance = np.zeros((layout.size, layout.size))
    if errors:
        jacobian = (jacobian * weight[:, None])[keep]
        covariance = _covariance(jacobian, points.leg[keep], noise, u, triangle, closing_meat)
    near = float(residual @ residual)
    chi2 = near + float(
        ((triangle[:, -1] - triangle[:, :-1] @ p) ** 2).sum() + (((mean - p) * precision(u)) ** 2).sum()
    )
    reduced = near * noise.inflation / max(residual.size - int(free.sum()), 1)
    return LoopFit(p, covariance, chi2, near, residual.size, reduced, model, noise, free, converged)


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


def _stack(
    model: LoopModel, p: FloatArray, keep: Mask, noise: Noise, mean: FloatArray, u: FloatArray, triangle: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Normal matrix, gradient and χ² of all rows at p, frozen parameters left out of the matrix by a unit diagonal."""
    fitted, jacobian = model.value(p)
    weight = np.sqrt(model.points.count) * keep / (noise.sigma * np.sqrt(noise.inflation))
    residual = (model.points.r_xy_ohm - fitted) * weight
    jacobian = jacobian * weight[:, None]
    closing, right = triangle[:, :-1], triangle[:, -1]
    closing_residual = right - closing @ p
    prior = precision(u)
    prior_residual = (mean - p) * prior
    normal = jacobian.T @ jacobian + closing.T @ closing + np.diag(prior**2)
    gradient = jacobian.T @ residual + closing.T @ closing_residual + prior * prior_residual
    chi2 = float(residual @ residual + closing_residual @ closing_residual + prior_residual @ prior_residual)
    return normal, gradient, chi2


def _descend(
    model: LoopModel,
    p: FloatArray,
    keep: Mask,
    noise: Noise,
    mean: FloatArray,
    u: FloatArray,
    triangle: FloatArray,
    steps: int,
) -> tuple[FloatArray, bool]:
    """Levenberg-Marquardt with a scaled diagonal; True when the last step no longer mattered."""
    free = np.flatnonzero(u > 0.0)
    normal, gradient, chi2 = _stack(model, p, keep, noise, mean, u, triangle)
    damping = 1e-4
    for _ in range(steps):
        block = normal[np.ix_(free, free)]
        scale = 1.0 / np.sqrt(np.maximum(np.diag(block), 1e-30))
        scaled = block * scale[:, None] * scale
        step = scale * np.linalg.solve(scaled + (damping + 1e-12) * np.eye(free.size), scale * gradient[free])
        trial = p.copy()
        trial[free] += step
        trial[LOG_WIDTH] = np.clip(trial[LOG_WIDTH], *np.log(WIDTH_RANGE_T))
        trial_normal, trial_gradient, trial_chi2 = _stack(model, trial, keep, noise, mean, u, triangle)
        if trial_chi2 <= chi2:
            gain = chi2 - trial_chi2
            p, normal, gradient, chi2 = trial, trial_normal, trial_gradient, trial_chi2
            damping = max(damping * 0.1, 1e-9)
            if gain < 1e-3:
                return p, True
        else:
            damping *= 10.0
            if damping > 1e6:
                return p, True
    return p, False


def _covariance(
    jacobian: FloatArray, leg: FloatArray, noise: Noise, u: FloatArray, triangle: FloatArray, closing_meat: FloatArray
) -> FloatArray:
    """H JᵀΣJ H over all rows, Σ from the residuals' autocorrelation; zero for frozen parameters."""
    prior = precision(u)
    free = np.flatnonzero(u > 0.0)
    filling = meat(jacobian, leg, noise) + closing_meat + np.diag(prior**2)
    closing = triangle[:, :-1]
    normal = jacobian.T @ jacobian + closing.T @ closing + np.diag(prior**2)
    block = normal[np.ix_(free, free)]
    scale = 1.0 / np.sqrt(np.maximum(np.diag(block), 1e-30))
    inverse = np.linalg.inv(block * scale[:, None] * scale + 1e-12 * np.eye(free.size)) * scale[:, None] * scale
    covariance = np.zeros_like(normal)
    covariance[np.ix_(free, free)] = inverse @ filling[np.ix_(free, free)] @ inverse
    return covariance


def chi2_of(fit: LoopFit, reference: LoopFit) -> float:
    """χ² of `fit` with the noise of `reference`: only with one noise can two choices be compared."""
    ratio = (fit.noise.sigma**2 * fit.noise.inflation) / (reference.noise.sigma**2 * reference.noise.inflation)
    return fit.near * ratio + fit.chi2 - fit.near
