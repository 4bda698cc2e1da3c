"""Least squares of a Hall loop: starts from a scan, steps by Levenberg and Marquardt, errors from serial residuals.

Three kinds of rows share one sum of squares: fine bins near zero, differences between legs where the loop is closed
(reduced once to a small triangle, for they are linear), and weak priors of what the metadata say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .loop_data import Closure, LegView, closure_of, join
from .loop_model import AMPLITUDE, DOWN, LOG_WIDTH, UP, Layout, LoopModel, closure_columns, delay_nodes
from .loop_shapes import SHAPE_SIZE, SHAPES
from .loop_start import first_sigma, precision, scan
from .models import FloatArray, Mask
from .serial import Noise, meat, noise_of
from .wander import Wander, wander_of

WIDTH_RANGE_T = (1e-3, 0.3)
OPEN = 0.985
MERGED_T = 0.01  # of bins far from a crossing, where a fit must be quick
STEP_RATE_T_PER_S, STEP_U_T = 1e-3, 1e-3  # of a stepped sweep: a rate in name only, and what its readback may be off
# In spreads of the filter's delay: rows further apart than this know nothing of each other by the filter.
_SMEARED = 4.0


@dataclass(frozen=True, slots=True)
class Branch:
    """A shape of the branches with what is believed of its own parameters, and where the descent begins."""

    shape: str
    mean: FloatArray = field(default_factory=lambda: np.zeros(SHAPE_SIZE))
    u: FloatArray = field(default_factory=lambda: np.zeros(SHAPE_SIZE))
    start: FloatArray | None = None


def _first(*values: float) -> FloatArray:
    return np.array([*values, *np.zeros(SHAPE_SIZE - len(values))])


# Of two steps: the logit of the second's share, its distance in widths, the logarithm of its relative width.
BRANCHES = {
    "erf": Branch("erf"),
    "tanh": Branch("tanh"),
    "free": Branch("free", u=np.full(SHAPE_SIZE, 0.05)),
    "second step above": Branch("two steps", _first(0.0, 0.0, 0.3), _first(1.5, 1.5, 0.5), _first(0.0, 1.5, 0.3)),
    "second step below": Branch("two steps", _first(0.0, 0.0, 0.3), _first(1.5, 1.5, 0.5), _first(0.0, -1.5, 0.3)),
}


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

    branch: str = "erf"  # one of BRANCHES
    odd_powers: tuple[int, ...] = (1, 3, 5)
    window_T: float = 0.5
    loop: bool = True
    scales_T: tuple[float, ...] = (0.2, 0.4, 0.8)
    trapped: bool = True
    trapped_u_T: float | None = None


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
    walk: float = 0.0
    keep: Mask = field(default_factory=lambda: np.zeros(0, dtype=bool))

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


class LoopProblem:
    """Everything that does not change between choices: the legs, the closure contrast, its noise."""

    def __init__(
        self,
        legs: Sequence[LegView],
        closing: Sequence[LegView],
        settings: FitSettings,
        steady_s: float = 0.0,
        walk: float = 0.0,
        stepped: bool = False,
        inner_T: float | None = None,
    ) -> None:
        self.steady_s = steady_s
        if stepped:
            legs, closing = (
                [leg.at_rest(STEP_RATE_T_PER_S) for leg in legs],
                [leg.at_rest(STEP_RATE_T_PER_S) for leg in closing],
            )
        self.stepped = stepped
        self.legs = legs
        self.walk = walk
        self.settings = settings
        self.has_up = any(leg.rising for leg in legs)
        self.has_down = any(not leg.rising for leg in legs)
        tips = [abs(leg.start_T) for leg in legs]
        # Tips within the memory leave trapped flux from before the run in place, with a sign nobody knows.
        self.remembers = min(tips) < 1.1 * settings.memory_T
        points = join([leg.points for leg in legs])
        self.points = points.where((np.abs(points.field_T) < settings.fine_window_T) & (points.steady_s >= steady_s))
        if inner_T is not None:
            self.points = self.points.merged(inner_T, MERGED_T)
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
        if self.stepped:
            # Rows that were waited for do not lag; a readback that is late or early shifts all of a leg alike.
            mean[layout.delay], u[layout.delay] = 0.0, STEP_U_T / STEP_RATE_T_PER_S
        # trapped_u_T is the whole at zero field, shared among the scales.
        whole_T = s.trapped_u_T if choice.trapped_u_T is None else choice.trapped_u_T
        trapped_u_T = whole_T / np.sqrt(len(choice.scales_T))
        branch = BRANCHES[choice.branch]
        mean[layout.shape], u[layout.shape] = branch.mean, branch.u if choice.loop else 0.0
        u[layout.trap] = trapped_u_T
        u[layout.old_trap] = trapped_u_T if self.remembers else 0.0
        u[layout.far_trap] = 0.0 if self.closure is None else 1e-3
        u[layout.first_trap] = 0.0 if self.closure is None or self.first_leg < 0 else s.trapped_u_T
        if not choice.trapped:
            # Flux older than the run stays: it moves both branches alike, and no row of a small loop speaks of it.
            for part in (layout.trap, layout.far_trap, layout.first_trap):
                u[part] = 0.0
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

    def walk_beyond(self) -> float:
        """How strongly the voltage wanders, judged by the differences between legs at large field; 0 if not at all."""
        closure = self.closure
        if closure is None:
            return 0.0
        layout = Layout((1,), 1)
        columns = closure_columns(closure, layout, memory_T=self.settings.memory_T, first_leg=self.first_leg)
        rows, right = closure.centred(columns[:, layout.nuisances]), closure.centred(closure.points.r_xy_ohm)
        rows = rows[:, np.abs(rows).sum(axis=0) > 0.0]
        residual = right - rows @ np.linalg.lstsq(rows, right, rcond=1e-10)[0]
        keep = np.abs(residual) < 6.0 * 1.4826 * float(np.median(np.abs(residual))) + 1e-12
        walk = Wander(closure.centred(wander_of(closure.points).columns) * keep[:, None])
        weight = np.full(right.size, 1.0 / max(float(residual[keep].std()), 1e-9))
        return walk.strength(residual * keep * weight, weight)

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
        noise, weight = Noise(1.0, np.zeros(0)), 1.0
        scale = np.sqrt((rows[:, used] ** 2).sum(axis=0))
        walk = closure.centred(wander_of(closure.points).columns)
        projector = np.zeros((0, right.size))
        for _ in range(2):
            rest, straight = _less(projector, right), _less(projector, rows[:, used])
            solved = np.linalg.lstsq(straight[keep] / scale, rest[keep], rcond=1e-10)[0] / scale
            residual = _less(projector, right - rows[:, used] @ solved)
            noise = noise_of(residual[keep], closure.points.leg[keep], closure.groups + used.size)
            keep = np.abs(residual) < 6.0 * max(noise.sigma, 1e-12)
            weight = 1.0 / (max(noise.sigma, 1e-9) * np.sqrt(noise.inflation))
            projector = Wander(walk * keep[:, None]).projector(np.full(right.size, weight), self.walk)
        rows, right = rows * (keep * weight)[:, None], right * (keep * weight)
        straight, along = _less(projector, rows), projector @ rows
        # (1 − CᵀC) is the square of what the rows are multiplied with: rows and those along the walk, taken away.
        normal = rows.T @ rows - along.T @ along
        filling = np.zeros((width, width))
        inner = meat(straight[:, used], closure.points.leg, noise) - straight[:, used].T @ straight[:, used]
        filling[np.ix_(used, used)] = inner + normal[np.ix_(used, used)]
        table = np.column_stack((rows, right))
        if self.walk > 0.0:
            # The walk stands first with its prior below: what is left of the triangle behind it does not know it.
            steps = walk * (keep * weight * self.walk)[:, None]
            prior = np.eye(steps.shape[1], steps.shape[1] + table.shape[1])
            whole = np.asarray(np.linalg.qr(np.vstack((np.hstack((steps, table)), prior)), mode="r"), dtype=np.float64)
            return whole[steps.shape[1] :, steps.shape[1] :], filling
        return np.asarray(np.linalg.qr(table, mode="r"), dtype=np.float64), filling


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
        rows = _Rows(model, keep, Noise(first_sigma(points), np.array([0.3])), problem.walk)
        p, _ = _descend(rows, p, mean, u, triangle, steps=25)
    else:
        p = _carried(start, layout, mean, u)
        begin = BRANCHES[choice.branch].start
        if begin is not None and start.model.branch != model.branch:
            p[layout.shape] = begin
        p, _ = _descend(_Rows(model, keep, start.noise, problem.walk), p, mean, u, triangle, steps=15)
    noise, converged = Noise(1.0, np.zeros(0)), False
    rows = _Rows(model, keep, start.noise if start else Noise(first_sigma(points), np.array([0.3])), problem.walk)
    for _ in range(2 if start is None else 1):
        residual = rows.innermost(p)
        robust = 1.4826 * float(np.median(np.abs(residual))) + 1e-12
        keep = np.abs(residual) < 6.0 * robust
        noise = noise_of(residual[keep], points.leg[keep], float(free.sum()) + rows.spent)
        rows = _Rows(model, keep, noise, problem.walk)
        p, converged = _descend(rows, p, mean, u, triangle, steps=30)
    residual, along, jacobian, across = rows.at(p)
    covariance = np.zeros((layout.size, layout.size))
    if errors:
        covariance = _covariance(rows, jacobian, across, u, triangle, closing_meat)
    near = float(residual @ residual - along @ along)
    chi2 = near + float(
        ((triangle[:, -1] - triangle[:, :-1] @ p) ** 2).sum() + (((mean - p) * precision(u)) ** 2).sum()
    )
    size = int(keep.sum())
    reduced = near * noise.inflation / max(size - int(free.sum()), 1)
    return LoopFit(p, covariance, chi2, near, size, reduced, model, noise, free, converged, rows.walk(p), keep)


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


class _Rows:
    """The near rows as the sum of squares sees them: weighted by their noise, outliers out, a walk marginalised."""

    def __init__(self, model: LoopModel, keep: Mask, noise: Noise, walk: float) -> None:
        self.model = model
        self.keep = keep
        self.noise = noise
        self.weight = np.sqrt(model.points.count) * keep / (noise.sigma * np.sqrt(noise.inflation))
        self.projector = model.wander.projector(self.weight, walk) if walk > 0.0 else np.zeros((0, keep.size))

    @property
    def spent(self) -> float:
        """How many parameters the walk takes up."""
        return float((self.projector**2).sum())

    def at(self, p: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Weighted residuals and what of them lies along the walk; the same of the Jacobian."""
        fitted, jacobian = self.model.value(p)
        residual = (self.model.points.r_xy_ohm - fitted) * self.weight
        jacobian = jacobian * self.weight[:, None]
        return residual, self.projector @ residual, jacobian, self.projector @ jacobian

    def innermost(self, p: FloatArray) -> FloatArray:
        """Residuals of all rows, less the likeliest walk, in units of one row's noise."""
        fitted, _ = self.model.value(p)
        plain = (self.model.points.r_xy_ohm - fitted) * np.sqrt(self.model.points.count)
        if not self.projector.shape[0]:
            return plain
        # What the kept rows tell of the walk holds for the others as well.
        root = self.noise.sigma * np.sqrt(self.noise.inflation)
        return plain - self.projector.T @ (self.projector @ (plain * self.keep / root)) * root

    def walk(self, p: FloatArray) -> float:
        """How strongly the voltage wanders, judged by the residuals."""
        residual, *_ = self.at(p)
        points = self.model.points
        row_T = max(float(np.median(np.abs(np.diff(points.field_T)))), 1e-6)
        smeared_T = _SMEARED * float(self.model.nodes_s.max()) * float(np.median(np.abs(points.rate_T_per_s)))
        return self.model.wander.strength(residual, self.weight, int(np.clip(np.ceil(smeared_T / row_T), 1, 40)))


def _less(projector: FloatArray, values: FloatArray) -> FloatArray:
    return values - projector.T @ (projector @ values)


def _stack(
    rows: _Rows, p: FloatArray, mean: FloatArray, u: FloatArray, triangle: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Normal matrix, gradient and χ² of all rows at p, frozen parameters left out of the matrix by a unit diagonal."""
    residual, along, jacobian, across = rows.at(p)
    closing, right = triangle[:, :-1], triangle[:, -1]
    closing_residual = right - closing @ p
    prior = precision(u)
    prior_residual = (mean - p) * prior
    normal = jacobian.T @ jacobian - across.T @ across + closing.T @ closing + np.diag(prior**2)
    gradient = jacobian.T @ residual - across.T @ along + closing.T @ closing_residual + prior * prior_residual
    near = residual @ residual - along @ along
    return normal, gradient, float(near + closing_residual @ closing_residual + prior_residual @ prior_residual)


def _descend(
    rows: _Rows, p: FloatArray, mean: FloatArray, u: FloatArray, triangle: FloatArray, steps: int
) -> tuple[FloatArray, bool]:
    """Levenberg-Marquardt with a scaled diagonal; True when the last step no longer mattered."""
    free = np.flatnonzero(u > 0.0)
    normal, gradient, chi2 = _stack(rows, p, mean, u, triangle)
    damping, last = 1e-4, np.inf
    for _ in range(steps):
        block = normal[np.ix_(free, free)]
        scale = 1.0 / np.sqrt(np.maximum(np.diag(block), 1e-30))
        scaled = block * scale[:, None] * scale
        step = scale * np.linalg.solve(scaled + (damping + 1e-12) * np.eye(free.size), scale * gradient[free])
        trial = p.copy()
        trial[free] += step
        trial[LOG_WIDTH] = np.clip(trial[LOG_WIDTH], *np.log(WIDTH_RANGE_T))
        trial_normal, trial_gradient, trial_chi2 = _stack(rows, trial, mean, u, triangle)
        if trial_chi2 <= chi2:
            last = gain = chi2 - trial_chi2
            p, normal, gradient, chi2 = trial, trial_normal, trial_gradient, trial_chi2
            damping = max(damping * 0.1, 1e-9)
            if gain < 1e-3:
                return p, True
        else:
            damping *= 10.0
            if damping > 1e6:
                return p, True
    return p, last < 0.1


def _covariance(
    rows: _Rows,
    jacobian: FloatArray,
    across: FloatArray,
    u: FloatArray,
    triangle: FloatArray,
    closing_meat: FloatArray,
) -> FloatArray:
    """H JᵀΣJ H over all rows, Σ from the residuals' autocorrelation; zero for frozen parameters."""
    prior = precision(u)
    free = np.flatnonzero(u > 0.0)
    near = jacobian.T @ jacobian - across.T @ across
    inner = (jacobian - rows.projector.T @ across)[rows.keep]
    # The walk is in the normal matrix as it is; the rest of the rows remembers its neighbours.
    filling = meat(inner, rows.model.points.leg[rows.keep], rows.noise) - inner.T @ inner + near
    filling = filling + closing_meat + np.diag(prior**2)
    closing = triangle[:, :-1]
    normal = near + closing.T @ closing + np.diag(prior**2)
    block = normal[np.ix_(free, free)]
    scale = 1.0 / np.sqrt(np.maximum(np.diag(block), 1e-30))
    block = block * scale[:, None] * scale + 1e-12 * np.eye(free.size)
    inverse = np.linalg.inv(block) * scale[:, None] * scale
    covariance = np.zeros_like(normal)
    covariance[np.ix_(free, free)] = inverse @ filling[np.ix_(free, free)] @ inverse
    return covariance


def log_evidence(problem: LoopProblem, choice: Choice, fit: LoopFit, reference: LoopFit) -> float:
    """The logarithm of the evidence of a fit, up to a constant, with the noise and the outliers of `reference`.

    Only with one noise can descriptions be weighed: one that leaves more of the data to noise would excuse itself.
    """
    keep = reference.keep if reference.keep.size == fit.keep.size else fit.keep
    rows = _Rows(fit.model, keep, reference.noise, problem.walk)
    mean, u = problem.priors(choice, fit.model.layout)
    triangle, _ = problem.closure_rows(fit.model.layout)
    normal, _, chi2 = _stack(rows, fit.p, mean, u, triangle)
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
