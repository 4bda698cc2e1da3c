"""What does not change between descriptions of one loop: its rows, the closure at large field, and the priors."""

from collections.abc import Sequence

import numpy as np

from .loop_choice import BRANCHES, Choice, FitSettings
from .loop_data import Closure, LegView, closure_of, join
from .loop_model import AMPLITUDE, DOWN, LOG_WIDTH, UP, Layout, closure_columns
from .models import FloatArray
from .serial import Noise, meat, noise_of
from .wander import Wander, wander_of

MERGED_T = 0.01  # of bins far from a crossing, where a fit must be quick
STEP_RATE_T_PER_S, STEP_U_T = 1e-3, 1e-3  # of a stepped sweep: a rate in name only, and what its readback may be off


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


def _less(projector: FloatArray, values: FloatArray) -> FloatArray:
    return values - projector.T @ (projector @ values)
