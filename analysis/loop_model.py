"""R_xy(B) of a Hall loop as the fit writes it, with its derivatives.

    R = Σ a_k (B_t/W)^k + α (R_xx − ⟨R_xx⟩) + R_0 + Σ d_i x^i + A ⟨F((B_t − v ξ − B_leg)/w)⟩
    B_t = B_read − v δ + s Σ c_j / (1 + (B/B_j)²) + Σ e_j / (1 + (B/B_j)²)

v is dB/dt with its sign, δ the whole delay, s = +1 on rising and −1 on falling legs, c_j trapped flux that the last
tip renewed, e_j trapped flux older than the run (the same on all legs), x the time from −1 to 1.

ξ is the spread of the lock-in's delay about its mean: the filter smears the signal, whereas the magnet's lag delays
the field as a whole. Two nodes carry its first three moments; the fourth does nothing to a crossing, F being odd.

F is one of `loop_shapes`: tanh, erf, or erf with bumps that are free.
"""

from dataclasses import dataclass, field

import numpy as np

from .loop_data import Closure, Points
from .loop_shapes import SHAPE_SIZE, SHAPES
from .models import FloatArray
from .wander import Wander, wander_of

Nodes = tuple[FloatArray, FloatArray]

TRAP_SCALES_T = (0.2, 0.4, 0.8)
DRIFT_POWERS = np.arange(1, 5)  # of the time from −1 to 1: a line, and what a slow wander leaves beside it
FAR_TRAP_T = 0.8  # beyond the field that renews trapped flux, what is left of it is told apart from what is inside
DOWN, UP, LOG_WIDTH, AMPLITUDE = range(4)


def trap_shapes(field_T: FloatArray, scales_T: tuple[float, ...] = TRAP_SCALES_T) -> FloatArray:
    """Columns 1/(1+(B/B_j)²)."""
    return 1.0 / (1.0 + (field_T[:, None] / np.array(scales_T)) ** 2)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each parameter stands. The first four are −B_C, +B_C, ln w and A; then linear ones, then shifts.

    `odd_powers` are 1, 3, 5, ... without a gap.
    """

    odd_powers: tuple[int, ...]
    even_terms: int
    scales_T: tuple[float, ...] = TRAP_SCALES_T
    odd: slice = field(init=False, compare=False)
    even: slice = field(init=False, compare=False)
    offset: int = field(init=False, compare=False)
    drift: slice = field(init=False, compare=False)
    delay: int = field(init=False, compare=False)
    trap: slice = field(init=False, compare=False)
    old_trap: slice = field(init=False, compare=False)
    far_trap: int = field(init=False, compare=False)
    first_trap: slice = field(init=False, compare=False)
    shape: slice = field(init=False, compare=False)
    nuisances: slice = field(init=False, compare=False)
    shifts: slice = field(init=False, compare=False)
    size: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        names = (
            ("odd", len(self.odd_powers)),
            ("even", self.even_terms),
            ("offset", 0),
            ("drift", len(DRIFT_POWERS)),
            ("delay", 0),
            ("trap", len(self.scales_T)),
            ("old_trap", len(self.scales_T)),
            ("far_trap", 0),
            ("first_trap", 2),
            ("shape", SHAPE_SIZE),
        )
        at = 4
        for name, width in names:
            object.__setattr__(self, name, slice(at, at + width) if width else at)
            at += width or 1
        object.__setattr__(self, "shifts", slice(self.delay, self.far_trap))
        object.__setattr__(self, "nuisances", slice(self.drift.start, self.shape.start))
        object.__setattr__(self, "size", at)


def delay_nodes(time_constant_s: float, poles: int) -> tuple[FloatArray, FloatArray]:
    """Two nodes ξ (s) and weights with mean 0 and the second and third moment of n equal poles.

    The gamma kernel t^(n−1) e^(−t/τ) has variance nτ² and skewness γ = 2/√n. Two points at (γ ± √(γ²+4))/2
    standard deviations have skewness γ (the two-node Gauss rule of that measure).
    """
    if poles < 1 or time_constant_s <= 0.0:
        return np.zeros(1), np.ones(1)
    skewness = 2.0 / np.sqrt(poles)
    root = float(np.hypot(skewness, 2.0))
    nodes = 0.5 * np.array([skewness + root, skewness - root])
    return nodes * np.sqrt(poles) * time_constant_s, np.array([-nodes[1], nodes[0]]) / root


class LoopModel:
    """Residuals and Jacobian over the fine bins of the given points."""

    def __init__(
        self,
        points: Points,
        layout: Layout,
        window_T: float,
        branch: str,
        nodes: Nodes,
        *,
        has_r_xx: bool,
        mean_r_xx_ohm: float | None = None,
    ) -> None:
        self.points = points
        self.layout = layout
        self.branch = branch
        self.has_r_xx = has_r_xx
        self._mean_r_xx_ohm = float(points.r_xx_ohm.mean()) if mean_r_xx_ohm is None else mean_r_xx_ohm
        self.window_T = window_T
        self.nodes_s, self.weights = nodes
        self._wander: Wander | None = None
        b = points.field_T
        shapes = trap_shapes(b, layout.scales_T)
        self._shift = np.zeros((b.size, layout.size))
        self._shift[:, layout.delay] = -points.rate_T_per_s
        self._shift[:, layout.trap] = points.rising[:, None] * shapes
        self._shift[:, layout.old_trap] = shapes
        self._plain = np.zeros((b.size, layout.size))
        if has_r_xx:
            self._plain[:, layout.even] = (points.r_xx_ohm - self._mean_r_xx_ohm)[:, None]
        else:
            # Without R_xx its shape is guessed: a parabola and a weak-localization cusp.
            self._plain[:, layout.even] = np.column_stack(((b / window_T) ** 2, np.log1p((b / 0.1) ** 2)))
        self._plain[:, layout.offset] = 1.0
        self._plain[:, layout.drift] = points.span_time[:, None] ** DRIFT_POWERS
        self._powers = np.array(layout.odd_powers)
        self._spread_T = self.nodes_s[:, None] * points.rate_T_per_s
        self._rising = points.rising > 0.0

    @property
    def wander(self) -> Wander:
        """The columns of a walk over the points."""
        if self._wander is None:
            self._wander = wander_of(self.points)
        return self._wander

    def value(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """R_xy of the model and its Jacobian."""
        lay = self.layout
        true_T = self.points.field_T + self._shift @ p
        x = true_T / self.window_T
        square = x * x
        powers, slope = np.empty((x.size, self._powers.size)), np.zeros_like(x)
        power = np.ones_like(x)  # of even order, one below the odd one
        for k, order in enumerate(lay.odd_powers):
            slope += order * p[lay.odd][k] * power
            powers[:, k] = power * x
            power = power * square
        slope /= self.window_T
        width = np.exp(p[LOG_WIDTH])
        distance = true_T - np.where(self._rising, p[UP], p[DOWN])
        # A reading with the delay δ + ξ saw the field of v ξ earlier.
        z = (distance - self._spread_T) / width
        f, df, own = SHAPES[self.branch](z, self.points.rising, p[lay.shape])
        m, dm, zdm = self.weights @ f, self.weights @ df, self.weights @ (z * df)
        dm = p[AMPLITUDE] / width * dm
        jacobian = self._plain.copy()
        jacobian[:, lay.shifts] += (slope + dm)[:, None] * self._shift[:, lay.shifts]
        jacobian[:, lay.odd] = powers
        jacobian[:, UP] = np.where(self._rising, -dm, 0.0)
        jacobian[:, DOWN] = np.where(self._rising, 0.0, -dm)
        jacobian[:, LOG_WIDTH] = -p[AMPLITUDE] * zdm
        jacobian[:, AMPLITUDE] = m
        if own.shape[0]:
            jacobian[:, lay.shape] = p[AMPLITUDE] * (self.weights @ own).T
        return powers @ p[lay.odd] + self._plain @ p + p[AMPLITUDE] * m, jacobian

    def on(self, points: Points, p: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Corrected field, R_xy and m of the model on other points of the same run."""
        twin = LoopModel(
            points, self.layout, self.window_T, self.branch, (self.nodes_s, self.weights),
            has_r_xx=self.has_r_xx, mean_r_xx_ohm=self._mean_r_xx_ohm,
        )  # fmt: skip
        fitted, jacobian = twin.value(p)
        return points.field_T + twin.shift_T(p), fitted, jacobian[:, AMPLITUDE]

    def shift_T(self, p: FloatArray) -> FloatArray:
        """What is to be added to the readback to have the field at the sample."""
        return self._shift @ p

    def linear_columns(self, slope_ohm_per_T: float) -> FloatArray:
        """Columns of everything but the loop, for a background of about this slope: enough to find starts."""
        columns = self._plain + slope_ohm_per_T * self._shift
        columns[:, self.layout.odd] = (self.points.field_T / self.window_T)[:, None] ** self._powers
        return columns


def closure_columns(closure: Closure, layout: Layout, *, memory_T: float, first_leg: int) -> FloatArray:
    """How drift, delay and trapped flux move each leg at large field: powers of x, −v R′, ±R′/(1+(B/B_j)²)."""
    points = closure.points
    columns = np.zeros((points.size, layout.size))
    columns[:, layout.drift] = points.span_time[:, None] ** DRIFT_POWERS
    columns[:, layout.delay] = -points.rate_T_per_s * closure.slope
    first = points.leg == first_leg
    inner = np.abs(points.field_T) <= memory_T
    shapes = (points.rising * closure.slope)[:, None] * trap_shapes(points.field_T, layout.scales_T)
    columns[:, layout.trap] = np.where((inner & ~first)[:, None], shapes, 0.0)
    outer = points.rising * closure.slope * trap_shapes(points.field_T, (FAR_TRAP_T,))[:, 0]
    columns[:, layout.far_trap] = np.where(inner | first, 0.0, outer)
    own = closure.slope[:, None] * trap_shapes(points.field_T, (0.2, 0.8))
    columns[:, layout.first_trap] = np.where(first[:, None], own, 0.0)
    return columns
