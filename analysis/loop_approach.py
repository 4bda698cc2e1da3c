"""How a fit of some legs is come by: from nothing, or from what an earlier fit of the same legs has settled."""

from collections.abc import Sequence
from dataclasses import dataclass

from .averaging import Average
from .loop_choice import Choice, FitSettings
from .loop_data import LegView
from .loop_fit import LoopFit, log_evidence, solve
from .loop_model import DOWN, UP
from .loop_problem import LoopProblem

# Beyond this lag (s) of the magnet, rows soon after a change of rate say something else than the fit believes.
_LONG_LAG_S = 1.2

Approach = tuple[LoopProblem, Choice, LoopFit]


@dataclass(frozen=True, slots=True)
class Memory:
    """What a fit of the same legs with a few rows less has settled: where to begin, and which description to use."""

    legs: tuple[tuple[int, bool], ...]
    rows: int
    average: Average
    latest: LoopFit
    walk: float
    stepped: bool
    steady_s: float

    def holds(self, legs: Sequence[LegView], rows: int) -> bool:
        """Whether it may be used for these legs: no leg came or ended, and the rows did not grow by a tenth."""
        return self.legs == signature(legs) and rows <= 1.1 * self.rows


def signature(legs: Sequence[LegView]) -> tuple[tuple[int, bool], ...]:
    """Which legs these are, and which of them have ended."""
    return tuple((leg.number, leg.turned) for leg in legs)


def first_fit(legs: list[LegView], closing: list[LegView], settings: FitSettings) -> Approach | None:
    """The fit with the plainest shape, once it is known whether rows were waited for, what wanders and what lags."""
    problem, choice = LoopProblem(legs, closing, settings), Choice(window_T=settings.fine_window_T)
    fit = solve(problem, choice)
    if fit is None:
        return None
    lock_in_s = settings.poles * settings.time_constant_s
    if min(leg.row_s for leg in legs) > max(2.0, lock_in_s):
        # Rows so far apart may each have been waited for: then nothing lags, whatever their field and time suggest.
        steps = LoopProblem(legs, closing, settings, stepped=True)
        other = solve(steps, choice)
        if other is not None:
            quieter = min(fit, other, key=lambda f: f.noise.sigma**2 * f.noise.inflation)
            swept, waited = log_evidence(problem, choice, fit, quieter), log_evidence(steps, choice, other, quieter)
            if waited > swept:
                problem, fit = steps, other
    walk, beyond = 0.0, problem.walk_beyond()
    for _ in range(2):
        stronger = max(fit.walk, beyond)
        if stronger <= 1.2 * walk:
            break
        walk = stronger
        problem = LoopProblem(legs, closing, settings, walk=walk, stepped=problem.stepped)
        fit = solve(problem, choice, fit) or fit
    lag_s = float(fit.p[fit.model.layout.delay]) - lock_in_s
    if lag_s > _LONG_LAG_S and not problem.stepped:
        # A magnet that lags by T needs several T to settle on a rate; how long T is, only the first fit knows.
        patient = LoopProblem(legs, closing, settings, lock_in_s + 4.0 * lag_s, walk)
        refined = solve(patient, choice, fit)
        if refined is not None:
            problem, fit = patient, refined
    return problem, choice, fit


def fit_again(legs: list[LegView], closing: list[LegView], settings: FitSettings, memory: Memory) -> Approach | None:
    """The best description once more, with a few rows more, over fewer bins where R_xy is smooth."""
    start, choice = memory.latest, memory.average.choice
    inner_T = max(0.06, float(max(abs(start.p[UP]), abs(start.p[DOWN]))) + 4.0 * start.width_T)
    problem = LoopProblem(
        legs, closing, settings, memory.steady_s, memory.walk, stepped=memory.stepped, inner_T=inner_T
    )
    fit = solve(problem, choice, start)
    return None if fit is None else (problem, choice, fit)
