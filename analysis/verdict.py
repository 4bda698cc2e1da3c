"""From the legs of a Hall loop to what may be said of it: which legs count, the fit, its rivals, the uncertainty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.quantities import format_measured
from ..core.records import Estimate, EstimateStatus, Measured
from .averaging import Average, average_of
from .loop_approach import Approach, Memory, first_fit, fit_again, signature
from .loop_choice import BRANCHES, FitSettings
from .loop_data import LegView
from .loop_fit import LoopFit, chi2_of, solve
from .loop_model import AMPLITUDE, DOWN, LOG_WIDTH, UP, Layout, trap_shapes
from .models import FloatArray
from .refusals import LEAST_RATIO, SATURATION, Evidence, reasons_against, switches

LEAST_TRAPPED_U_T = 1e-5  # what can be said against trapped flux at best


@dataclass(frozen=True, slots=True)
class Verdict:
    """An estimate and the fit behind it (None while there is none)."""

    estimate: Estimate
    fit: LoopFit | None = None
    memory: Memory | None = None


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
    memory: Memory | None = None,
) -> Verdict:
    """Judge the legs seen so far. `extra` values (the temperature) are added to whatever is claimed.

    With the `memory` of a verdict a little earlier only the best description is fitted again, from where it was.
    """
    renewed = [leg for leg in legs if leg.renewed and leg.points.size >= 4]
    widest_T = max((abs(leg.start_T) for leg in renewed), default=0.0)
    renewed = [leg for leg in renewed if abs(leg.start_T) >= 0.5 * widest_T]
    crossed = [leg for leg in renewed if leg.beyond_zero_T > 0.1 * min(1.0, abs(leg.start_T))]
    closing = [leg for leg in legs if leg.points.size >= 4]
    reasons: tuple[str, ...] = ()
    while crossed:
        rising = {leg.rising for leg in crossed}
        used = [leg for leg in renewed if leg in crossed or leg.rising in rising]
        again = memory is not None and memory.holds(used, rows)
        approach = fit_again(used, closing, settings, memory) if memory and again else None
        kept = memory if approach else None
        approach = approach or first_fit(used, closing, settings)
        if approach is None:
            reasons = ("too few rows near zero field to fit a loop",)
            break
        trial = _Trial(approach, errors, kept)
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


class _Trial:
    """One set of legs, fitted, with the other descriptions that tell how far the fit can be trusted."""

    def __init__(self, approach: Approach, errors: FieldErrors, memory: Memory | None) -> None:
        problem, choice, fit = approach
        self.problem = problem
        self.memory = memory
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
        return max(SATURATION * crossing_T, crossing_T + self.fit.closes_T)

    def verdict(
        self, renewed: Sequence[LegView], *, rows: int, notes: tuple[str, ...], extra: Mapping[str, Measured]
    ) -> Verdict:
        """What may be said of this fit."""
        bare = solve(self.problem, replace(self.choice, loop=False), self.fit, errors=False)
        # Where there is no step at all nobody asks for its shape.
        stepless = bare is None or chi2_of(bare, self.fit) - self.fit.chi2 < LEAST_RATIO
        if self.memory is not None:
            average = Average(((self.fit, 1.0),), self.choice, earlier=self.memory.average)
        else:
            average = Average(((self.fit, 1.0),), self.choice) if stepless else self._average()
        fit = self.fit
        memory = self._remember(average, rows)
        has_down, has_up = self.problem.has_down, self.problem.has_up
        coercive = np.zeros(4)
        coercive[DOWN] = -0.5 if has_up else -1.0
        coercive[UP] = 0.5 if has_down else 1.0
        if not has_down:
            coercive[DOWN] = 0.0
        if not has_up:
            coercive[UP] = 0.0
        budget = self._budget(coercive, average)
        crossing = Measured(average.value(coercive), float(np.sqrt(sum(part**2 for part in budget.values()))))
        trapped = replace(
            self.choice, loop=False, trapped=True, scales_T=(0.03, 0.06, 0.12, 0.2, 0.4, 0.8), trapped_u_T=0.02
        )
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
        ratio = None if bare is None else chi2_of(bare, fit) - fit.chi2
        both = has_down and has_up
        needed_T = self._saturation_T(abs(crossing.value))
        least_T = min([abs(leg.start_T) for leg in self.legs] + [leg.beyond_zero_T for leg in self.legs if leg.turned])
        # A step that would close far beyond any field swept is a background, not a loop cut short.
        if least_T < needed_T < 4.0 * evidence.window_T and both and switches(evidence):
            reason = f"the field turned at {least_T * 1e3:.0f} mT, the loop closes at about {needed_T * 1e3:.0f} mT"
            text = f"minor loop: {reason}"
            return Verdict(
                Estimate(EstimateStatus.MINOR_LOOP, extra, (reason, *notes), {}, text, rows, ratio), fit, memory
            )
        if not reasons and least_T < needed_T:
            reasons = (f"the loop may not be closed at {least_T * 1e3:.0f} mT",)
        if reasons:
            status = EstimateStatus.NOT_RESOLVED if both else EstimateStatus.WAITING
            text = f"not resolved: {reasons[0]}" if both else _waiting(renewed, {not has_down})
            return Verdict(Estimate(status, extra, reasons + notes, {}, text, rows, ratio), fit, memory)
        values = dict(extra) | self._values(crossing, average)
        if both:
            status, text = EstimateStatus.RESOLVED, f"µ₀Hc = {_text(crossing)}"
        else:
            status = EstimateStatus.UP_ONLY if has_up else EstimateStatus.DOWN_ONLY
            key, arrow = ("coercive_up_T", "↑") if has_up else ("coercive_down_T", "↓")
            del values["coercive_field_T"]
            text = f"{arrow} only: {_text(values[key])} (preliminary)"
        return Verdict(Estimate(status, values, notes, budget, text, rows, ratio), fit, memory)

    def _remember(self, average: Average, rows: int) -> Memory:
        kept = self.memory
        problem, legs = self.problem, signature(self.legs)
        if kept is not None:
            return replace(kept, latest=self.fit)
        return Memory(legs, rows, average, self.fit, problem.walk, problem.stepped, problem.steady_s)

    def _average(self) -> Average:
        """The shapes of the branch that describe the loop, by their evidence; `fit` becomes the best of them."""
        found = {self.choice: self.fit}
        for trapped in (True, False):
            for branch in BRANCHES:
                choice = replace(self.choice, branch=branch, trapped=trapped)
                if choice not in found and (other := solve(self.problem, choice, self.fit)) is not None:
                    found[choice] = other
        first = average_of(self.problem, found)
        stiffer = replace(first.choice, odd_powers=(1, 3, 5, 7))
        if (other := solve(self.problem, stiffer, first.best)) is not None:
            found[stiffer] = other
        average = average_of(self.problem, found)
        self.fit, self.choice = average.best, average.choice
        narrow = replace(self.choice, window_T=0.6 * self.choice.window_T, odd_powers=(1, 3))
        other = solve(self.problem, narrow, self.fit)
        return average if other is None else replace(average, apart=(other,))

    def _budget(self, gradient: FloatArray, average: Average) -> dict[str, float]:
        """The uncertainty of gradient · p by source: what δ and b explain of its variance, the rest, and the models."""
        layout, covariance = self.fit.model.layout, self.fit.covariance
        far = _longer(gradient, layout.size)
        total = float(far @ covariance @ far)
        delay = _explained(covariance, far, [layout.delay])
        both = _explained(covariance, far, [layout.delay, *_trap_indices(layout)])
        return {
            "statistical": float(np.sqrt(max(total - both, 0.0))),
            "delay": float(np.sqrt(max(delay, 0.0))),
            "trapped field": float(np.sqrt(max(both - delay, 0.0))),
            "model": float(np.hypot(average.model_u(gradient), self.errors.readback_u_T)),
        }

    def _values(self, crossing: Measured, average: Average) -> dict[str, Measured]:
        fit = self.fit
        layout, p = fit.model.layout, fit.p
        values = {"coercive_field_T": crossing}

        def put(key: str, value: float, *parts_u: float) -> None:
            u = float(np.sqrt(sum(part**2 for part in parts_u)))
            if u > 0.0 and np.isfinite(u):
                values[key] = Measured(value, u)

        def of(key: str, gradient: FloatArray, *more_u: float) -> None:
            put(key, average.value(gradient), average.u(gradient), *more_u)

        up, down, amplitude = np.eye(4)[[UP, DOWN, AMPLITUDE]]
        scale_u = (self.errors.readback_u_T, self.errors.zero_u_T)
        if self.problem.has_up:
            of("coercive_up_T", up, *scale_u)
        if self.problem.has_down:
            of("coercive_down_T", down, *scale_u)
        if self.problem.has_up and self.problem.has_down:
            of("loop_centre_T", 0.5 * (up + down), *scale_u)
        of("ahe_amplitude_ohm", amplitude)
        widths_T = [(other.width_T, weight) for other, weight in average.fits]
        width_T = sum(width * weight for width, weight in widths_T)
        spread_T = np.sqrt(sum(weight * (width - width_T) ** 2 for width, weight in widths_T))
        put("width_T", width_T, fit.width_T * float(np.sqrt(fit.covariance[LOG_WIDTH, LOG_WIDTH])), spread_T)
        put("delay_s", float(p[layout.delay]), float(np.sqrt(fit.covariance[layout.delay, layout.delay])))
        trapped = [(*_trapped_at(crossing.value, other), weight) for other, weight in average.fits]
        trapped_T = sum(weight * value for value, _, weight in trapped)
        spread = sum(weight * (u**2 + (value - trapped_T) ** 2) for value, u, weight in trapped)
        put("trapped_field_T", trapped_T, float(np.sqrt(spread)), LEAST_TRAPPED_U_T)
        first = layout.odd.start
        slope_u = float(np.sqrt(fit.covariance[first, first]))
        put("ordinary_slope_ohm_per_T", float(p[first]) / fit.model.window_T, slope_u / fit.model.window_T)
        freedom = max(fit.size - int(fit.free.sum()), 1)
        values["chi2_reduced"] = Measured(fit.chi2_reduced, float(np.sqrt(2.0 * fit.noise.inflation / freedom)))
        # No crossing is shown whose uncertainty swallows it.
        kept = ("coercive_field_T", "coercive_up_T", "coercive_down_T", "width_T", "ahe_amplitude_ohm")
        return {key: m for key, m in values.items() if key not in kept or m.u < abs(m.value)}


def _trapped_at(field_T: float, fit: LoopFit) -> tuple[float, float]:
    """The trapped field at `field_T` and its standard uncertainty."""
    gradient = np.zeros(fit.p.size)
    gradient[fit.model.layout.trap] = trap_shapes(np.array([field_T]), fit.model.layout.scales_T)[0]
    return float(gradient @ fit.p), fit.u(gradient)


def _longer(gradient: FloatArray, size: int) -> FloatArray:
    far = np.zeros(size)
    far[: gradient.size] = gradient
    return far


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
