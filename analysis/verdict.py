"""From the legs of a Hall loop to what may be said of it: which legs count, the fit, its rivals, the uncertainty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.quantities import format_measured
from ..core.records import Estimate, EstimateStatus, Measured
from .loop_data import LegView
from .loop_fit import Choice, FitSettings, LoopFit, LoopProblem, chi2_of, solve
from .loop_model import AMPLITUDE, DOWN, LOG_WIDTH, UP, Layout, trap_shapes
from .models import FloatArray
from .refusals import CLOSED_WIDTHS, LEAST_RATIO, SATURATION, Evidence, reasons_against, switches

FREE_SHAPE_GAIN = 10.0  # in χ², for two more parameters


@dataclass(frozen=True, slots=True)
class Verdict:
    """An estimate and the fit behind it (None while there is none)."""

    estimate: Estimate
    fit: LoopFit | None = None


@dataclass(frozen=True, slots=True)
class FieldErrors:
    """Errors of the field scale that no fit can see: rounding of the readback, and the zero of the field."""

    readback_u_T: float = 3e-5
    zero_u_T: float = 5e-5


def conclude(
    legs: Sequence[LegView],
    settings: FitSettings,
    errors: FieldErrors,
    *,
    rows: int,
    notes: tuple[str, ...] = (),
    extra: Mapping[str, Measured] | None = None,
) -> Verdict:
    """Judge the legs seen so far. `extra` values (the temperature) are added to whatever is claimed."""
    renewed = [leg for leg in legs if leg.renewed and leg.points.size >= 4]
    widest_T = max((abs(leg.start_T) for leg in renewed), default=0.0)
    renewed = [leg for leg in renewed if abs(leg.start_T) >= 0.5 * widest_T]
    crossed = [leg for leg in renewed if leg.beyond_zero_T > 0.1 * min(1.0, abs(leg.start_T))]
    closing = [leg for leg in legs if leg.points.size >= 4]
    reasons: tuple[str, ...] = ()
    while crossed:
        rising = {leg.rising for leg in crossed}
        used = [leg for leg in renewed if leg in crossed or leg.rising in rising]
        trial = _tried(used, closing, settings, errors)
        if trial is None:
            reasons = ("too few rows near zero field to fit a loop",)
            break
        unfinished = [leg for leg in crossed if not leg.turned and not trial.closed(leg)]
        if not unfinished:
            return trial.verdict(renewed, rows=rows, notes=notes, extra=extra or {})
        # A leg still on its way past its crossing says little of it and can spoil the other: wait for it.
        crossed = [leg for leg in crossed if leg.turned or trial.closed(leg)]
    estimate = Estimate(EstimateStatus.WAITING, extra or {}, reasons + notes, {}, _waiting(renewed, set()), rows)
    return Verdict(estimate)


def _waiting(renewed: Sequence[LegView], done: set[bool]) -> str:
    parts: list[str] = []
    for rising, arrow in ((False, "↓"), (True, "↑")):
        progress = max((leg.progress for leg in renewed if leg.rising is rising), default=0.0)
        parts.append(f"{arrow} done" if rising in done else f"{arrow} {100.0 * progress:.0f} %")
    return f"waiting for both branches ({', '.join(parts)})"


def _text(measured: Measured) -> str:
    return format_measured(measured, "mT", 1e3).replace("-", "−")


def _tried(legs: list[LegView], closing: list[LegView], settings: FitSettings, errors: FieldErrors) -> "_Trial | None":
    problem = LoopProblem(legs, closing, settings)
    choice = Choice(window_T=settings.fine_window_T)
    fit = solve(problem, choice)
    if fit is None:
        return None
    # A magnet that lags by T needs several T to settle on a rate; how long T is, only the first fit knows.
    lock_in_s = settings.poles * settings.time_constant_s
    lag_s = float(fit.p[fit.model.layout.delay]) - lock_in_s
    if lag_s > 1.2:
        patient = LoopProblem(legs, closing, settings, lock_in_s + 4.0 * lag_s)
        refined = solve(patient, choice, fit)
        if refined is not None:
            problem, fit = patient, refined
    return _Trial(problem, choice, fit, errors)


class _Trial:
    """One set of legs, fitted, with the other descriptions that tell how far the fit can be trusted."""

    def __init__(self, problem: LoopProblem, choice: Choice, fit: LoopFit, errors: FieldErrors) -> None:
        self.problem = problem
        self.settings = problem.settings
        self.legs = problem.legs
        self.choice = choice
        self.fit = fit
        self.errors = errors

    def closed(self, leg: LegView) -> bool:
        """True when the leg went far enough beyond its crossing for the loop to close."""
        crossing_T = abs(float(self.fit.p[UP if leg.rising else DOWN]))
        return leg.beyond_zero_T > self._saturation_T(crossing_T)

    def _saturation_T(self, crossing_T: float) -> float:
        width_T = float(np.exp(self.fit.p[LOG_WIDTH]))
        return max(SATURATION * crossing_T, crossing_T + CLOSED_WIDTHS * width_T)

    def verdict(
        self, renewed: Sequence[LegView], *, rows: int, notes: tuple[str, ...], extra: Mapping[str, Measured]
    ) -> Verdict:
        """What may be said of this fit."""
        bare = solve(self.problem, replace(self.choice, loop=False), self.fit, errors=False)
        # Where there is no step at all nobody asks for its shape.
        stepless = bare is None or chi2_of(bare, self.fit) - self.fit.chi2 < LEAST_RATIO
        others = [] if stepless else self._rivals()
        fit = self.fit
        has_down, has_up = self.problem.has_down, self.problem.has_up
        layout = fit.model.layout
        coercive = np.zeros(layout.size)
        coercive[DOWN] = -0.5 if has_up else -1.0
        coercive[UP] = 0.5 if has_down else 1.0
        if not has_down:
            coercive[DOWN] = 0.0
        if not has_up:
            coercive[UP] = 0.0
        budget = self._budget(coercive, others)
        crossing = Measured(float(coercive @ fit.p), float(np.sqrt(sum(part**2 for part in budget.values()))))
        trapped = replace(self.choice, loop=False, scales_T=(0.03, 0.06, 0.12, 0.2, 0.4, 0.8), trapped_u_T=0.02)
        evidence = Evidence(
            fit=fit,
            without_loop=bare,
            trapped_only=solve(self.problem, trapped, fit, errors=False),
            crossing_T=crossing.value,
            crossing_u_T=crossing.u,
            window_T=min(self.settings.fine_window_T, max(abs(leg.start_T) for leg in self.legs)),
            has_down=has_down,
            has_up=has_up,
        )
        reasons = reasons_against(evidence)
        both = has_down and has_up
        needed_T = self._saturation_T(abs(crossing.value))
        least_T = min([abs(leg.start_T) for leg in self.legs] + [leg.beyond_zero_T for leg in self.legs if leg.turned])
        if least_T < needed_T and both and switches(evidence):
            reason = f"the field turned at {least_T * 1e3:.0f} mT, the loop closes at about {needed_T * 1e3:.0f} mT"
            text = f"minor loop: {reason}"
            return Verdict(Estimate(EstimateStatus.MINOR_LOOP, extra, (reason, *notes), {}, text, rows), fit)
        if not reasons and least_T < needed_T:
            reasons = (f"the loop may not be closed at {least_T * 1e3:.0f} mT",)
        if reasons:
            status = EstimateStatus.NOT_RESOLVED if both else EstimateStatus.WAITING
            text = f"not resolved: {reasons[0]}" if both else _waiting(renewed, {not has_down})
            return Verdict(Estimate(status, extra, reasons + notes, {}, text, rows), fit)
        values = dict(extra) | self._values(crossing, others)
        if both:
            status, text = EstimateStatus.RESOLVED, f"µ₀Hc = {_text(crossing)}"
        else:
            status = EstimateStatus.UP_ONLY if has_up else EstimateStatus.DOWN_ONLY
            key, arrow = ("coercive_up_T", "↑") if has_up else ("coercive_down_T", "↓")
            del values["coercive_field_T"]
            text = f"{arrow} only: {_text(values[key])} (preliminary)"
        return Verdict(Estimate(status, values, notes, budget, text, rows), fit)

    def _rivals(self) -> list[tuple[LoopFit, float]]:
        """Other fits of the same loop with the weight that their difference from the fit deserves."""
        fit = self.fit
        found: list[tuple[LoopFit, float]] = []
        shape = solve(self.problem, replace(self.choice, branch="tanh"), fit)
        if shape is not None:
            # The better shape is kept; the other counts by its likelihood, and never for nothing.
            gain = float(np.clip(0.5 * (chi2_of(shape, fit) - fit.chi2), -30.0, 30.0))
            if gain < 0.0:
                self.fit, shape, gain = shape, fit, -gain
                self.choice = replace(self.choice, branch="tanh")
            found.append((shape, max(1.0 / (1.0 + np.exp(gain)), 0.1)))
        shapes = solve(self.problem, replace(self.choice, free_shape=True), self.fit)
        if shapes is not None and self.fit.chi2 - chi2_of(shapes, self.fit) > FREE_SHAPE_GAIN:
            # Neither tanh nor erf: what the data say of the shape replaces what was assumed, and how far that
            # moved the crossing stays in the budget, for two terms do not make every shape.
            self.fit, self.choice, found = shapes, replace(self.choice, free_shape=True), [(self.fit, 1.0)]
        elif shapes is not None:
            found.append((shapes, 0.5))
        for choice in (
            replace(self.choice, odd_powers=(1, 3, 5, 7)),
            replace(self.choice, window_T=0.6 * self.choice.window_T, odd_powers=(1, 3)),
        ):
            other = solve(self.problem, choice, self.fit)
            if other is not None:
                found.append((other, 0.5))
        return found

    def _model_u(self, gradient: FloatArray, others: Sequence[tuple[LoopFit, float]]) -> float:
        """Spread between descriptions beyond what their own statistics differ by (the variance of a difference)."""
        fit = self.fit
        variance = 0.0
        for other, weight in others:
            far = np.zeros(other.p.size)
            far[:4] = gradient[:4]
            apart = float(far @ other.p - gradient @ fit.p)
            expected = abs(other.u(far) ** 2 - fit.u(gradient) ** 2)
            variance += weight**2 * max(apart**2 - expected, 0.0)
        return float(np.sqrt(variance))

    def _budget(self, gradient: FloatArray, others: Sequence[tuple[LoopFit, float]]) -> dict[str, float]:
        """The uncertainty of gradient · p by source: what δ and b explain of its variance, the rest, and the models."""
        fit = self.fit
        layout, covariance = fit.model.layout, fit.covariance
        total = float(gradient @ covariance @ gradient)
        delay = _explained(covariance, gradient, [layout.delay])
        both = _explained(covariance, gradient, [layout.delay, *_trap_indices(layout)])
        return {
            "statistical": float(np.sqrt(max(total - both, 0.0))),
            "delay": float(np.sqrt(max(delay, 0.0))),
            "trapped field": float(np.sqrt(max(both - delay, 0.0))),
            "model": float(np.hypot(self._model_u(gradient, others), self.errors.readback_u_T)),
        }

    def _values(self, crossing: Measured, others: Sequence[tuple[LoopFit, float]]) -> dict[str, Measured]:
        fit = self.fit
        layout, p = fit.model.layout, fit.p
        values = {"coercive_field_T": crossing}

        def put(key: str, gradient: FloatArray, value: float, *more_u: float) -> None:
            u = float(np.sqrt(fit.u(gradient) ** 2 + sum(part**2 for part in more_u)))
            if u > 0.0 and np.isfinite(u):
                values[key] = Measured(value, u)

        def one(index: int, height: float = 1.0) -> FloatArray:
            gradient = np.zeros(layout.size)
            gradient[index] = height
            return gradient

        scale_u = (self.errors.readback_u_T, self.errors.zero_u_T)
        if self.problem.has_up:
            put("coercive_up_T", one(UP), float(p[UP]), self._model_u(one(UP), others), *scale_u)
        if self.problem.has_down:
            put("coercive_down_T", one(DOWN), float(p[DOWN]), self._model_u(one(DOWN), others), *scale_u)
        if self.problem.has_up and self.problem.has_down:
            centre = one(UP, 0.5) + one(DOWN, 0.5)
            put("loop_centre_T", centre, float(centre @ p), self._model_u(centre, others), *scale_u)
        put("ahe_amplitude_ohm", one(AMPLITUDE), float(p[AMPLITUDE]), self._model_u(one(AMPLITUDE), others))
        width_T = float(np.exp(p[LOG_WIDTH]))
        width_model_u = self._model_u(one(LOG_WIDTH), others) * width_T
        put("width_T", one(LOG_WIDTH, width_T), width_T, width_model_u)
        put("delay_s", one(layout.delay), float(p[layout.delay]))
        trap = np.zeros(layout.size)
        trap[layout.trap] = trap_shapes(np.array([crossing.value]), layout.scales_T)[0]
        put("trapped_field_T", trap, float(trap @ p))
        first = layout.odd.start
        slope = one(first, 1.0 / fit.model.window_T)
        put("ordinary_slope_ohm_per_T", slope, float(slope @ p))
        freedom = max(fit.size - int(fit.free.sum()), 1)
        values["chi2_reduced"] = Measured(fit.chi2_reduced, float(np.sqrt(2.0 * fit.noise.inflation / freedom)))
        # No crossing is shown whose uncertainty swallows it.
        kept = ("coercive_field_T", "coercive_up_T", "coercive_down_T", "width_T", "ahe_amplitude_ohm")
        return {key: m for key, m in values.items() if key not in kept or m.u < abs(m.value)}


def _trap_indices(layout: Layout) -> list[int]:
    return [*range(layout.size)[layout.trap], *range(layout.size)[layout.old_trap]]


def _explained(covariance: FloatArray, gradient: FloatArray, indices: list[int]) -> float:
    """The part of the variance of gradient · p that goes with the parameters at `indices`."""
    keep = [k for k in indices if covariance[k, k] > 0.0]
    if not keep:
        return 0.0
    cross = covariance[keep] @ gradient
    scale = 1.0 / np.sqrt(np.diag(covariance)[keep])
    block = covariance[np.ix_(keep, keep)] * scale[:, None] * scale
    return float((cross * scale) @ np.linalg.lstsq(block, cross * scale, rcond=1e-9)[0])
