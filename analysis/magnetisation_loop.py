"""The magnetisation loop of a film: m_S, m_R and H_C with what they are worth, or why they may not be said.

All legs from saturation are fitted at once with the substrate, a paramagnet, an offset and the magnet's trapped flux.
Where no branch shape fits, the numbers come from the crossings and the high-field line instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from ..core.quantities import format_measured
from ..core.records import Estimate, EstimateStatus, Measured
from .magnetisation_approach import slow_tail
from .magnetisation_average import Averaged, average
from .magnetisation_control import subtract_control
from .magnetisation_data import LoopPoints, points_of, spread_K
from .magnetisation_fit import LoopFit, LoopProblem, Priors, best_of, solve
from .magnetisation_model import LANDE_G, SPIN
from .magnetisation_noise import BELIEVED, noise_from_neighbours, sigma_from_scatter, together
from .magnetisation_refusals import minor, reasons_against, too_few, unfinished, weigh_alternatives
from .magnetisation_shapeless import background_of, shapeless
from .magnetisation_start import loop_starts
from .magnetisation_told import Told, told_by_crossings, told_by_shape
from .magnetisation_values import STO_SLOPE, Film, check_film, film_values, substrate_check
from .models import BOHR_MAGNETON_J_PER_T, BOLTZMANN_J_PER_K, FloatArray

LEAST_POINTS = 24
CURVES = 0.3  # g µ_B J H/kT at the largest field below which a paramagnet is a straight line
SUPERCONDUCTING_T = 2.6  # more field than an electromagnet gives
# Trapped flux to reckon with: a 7 T magnetometer up to 4 mT, larger magnets 12 mT (Quantum Design 1070-207).
TRAPPED_U_T, LARGE_TRAPPED_U_T, LARGE_T = 0.004, 0.012, 9.5
CORRELATED_KEYS = ("coercive_up_T", "coercive_down_T", "saturation_moment_Am2", "remanent_moment_Am2")


@dataclass(frozen=True, slots=True)
class MagnetisationResult:
    """An estimate of an M(H) loop, and the arrays that a figure needs, each of shape (N,).

    `estimate.values`: `coercive_field_T` with `coercive_up_T`, `coercive_down_T` and `loop_centre_T`;
    `saturation_moment_Am2`, `remanent_moment_Am2` and the same with `_uB`, `_A`, `_uB_per_nm2`, `_uB_per_uc`;
    `background_slope_Am2_per_T`, `paramagnetic_spins`, `trapped_field_T`, `width_T`. `estimate.budget` splits
    u(H_C), in tesla. `budgets` does so for every key it holds. `method` is `shape` or `crossings`.
    `film_Am2` is the moment without background, `fit_Am2` the whole fit, `weight` the probability that a point is good.
    `covariance` belongs to `CORRELATED_KEYS`, before geometry.
    """

    estimate: Estimate
    method: str = ""
    field_T: FloatArray = field(default_factory=lambda: np.zeros(0))
    moment_Am2: FloatArray = field(default_factory=lambda: np.zeros(0))
    moment_u_Am2: FloatArray = field(default_factory=lambda: np.zeros(0))
    rising: FloatArray = field(default_factory=lambda: np.zeros(0))
    film_Am2: FloatArray = field(default_factory=lambda: np.zeros(0))
    fit_Am2: FloatArray = field(default_factory=lambda: np.zeros(0))
    weight: FloatArray = field(default_factory=lambda: np.zeros(0))
    covariance: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    budgets: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    shapes: Mapping[str, float] = field(default_factory=dict[str, float])


def analyze_magnetisation_loop(
    frame: pd.DataFrame,
    *,
    area_m2: Measured | None = None,
    layers: float | None = None,
    geometry: Measured | None = None,
    substrate_mass_kg: Measured | None = None,
    substrate_slope_Am2_per_T_kg: Measured = STO_SLOPE,
    holder_slope_Am2_per_T: Measured | None = None,
    control: pd.DataFrame | None = None,
    control_scale: float = 1.0,
    trapped_u_T: float | None = None,
) -> MagnetisationResult:
    """The loop of one run at one temperature.

    `frame` needs `field_T` (µ₀H) and `moment_Am2`; it is the better for `moment_u_Am2`, `temperature_K` and `leg`.
    `geometry` is reported over true moment of the film in the coils (`film_geometry.geometry_factor`). `control` is
    the bare substrate in the same history, of which `control_scale` times the moment is subtracted. `trapped_u_T` is
    how much trapped flux to reckon with: 0 for an electromagnet, by default 4 mT for what looks like a
    superconducting magnet (a known temperature, or more than 2.6 T).

    Raises:
        ValueError: a needed column is missing or not of numbers, a given leg turns, or a given number cannot be.
    """
    film = Film(area_m2, layers, geometry, substrate_mass_kg, substrate_slope_Am2_per_T_kg, holder_slope_Am2_per_T)
    check_film(film)
    points = points_of(frame)
    low_K, high_K = spread_K(frame)
    if high_K - low_K > max(0.15, 0.05 * high_K):
        reason = f"the temperature goes from {low_K:.3g} to {high_K:.3g} K: give the rows of one temperature"
        return _refused(EstimateStatus.NOT_RESOLVED, points, (reason,))
    largest_T = float(np.abs(points.field_T).max()) if points.field_T.size else 0.0
    if points.field_T.size < LEAST_POINTS:
        reason = f"{points.field_T.size} points on legs from saturation, {LEAST_POINTS} needed"
        return _refused(EstimateStatus.WAITING, points, (reason,))
    if not points.rising.any() or points.rising.all():
        return _refused(EstimateStatus.WAITING, points, (unfinished(points.field_T, points.direction, 0.0),))
    priors = _priors(points, trapped_u_T)
    notes = points.notes
    if control is not None:
        controlled = subtract_control(points, control, control_scale, priors)
        points, priors, notes = controlled.points, controlled.priors, notes + controlled.notes
    problem, first, unit, noise_notes = _problem(points, priors)
    if first is None:
        return _refused(EstimateStatus.NOT_RESOLVED, points, ("no step of a film was found in the moments", *notes))
    return _Judged(points, problem, unit, film, notes + noise_notes, largest_T).result(first)


def _priors(points: LoopPoints, trapped_u_T: float | None) -> Priors:
    if trapped_u_T is not None:
        if not trapped_u_T >= 0.0:
            raise ValueError(f"trapped_u_T must be 0 or more, not {trapped_u_T}")
        return Priors(trapped_u_T=trapped_u_T)
    if points.largest_T > LARGE_T:
        return Priors(trapped_u_T=LARGE_TRAPPED_U_T)
    superconducting = points.largest_T > SUPERCONDUCTING_T or np.isfinite(points.temperature_K)
    return Priors(trapped_u_T=TRAPPED_U_T if superconducting else 0.0)


def _problem(points: LoopPoints, priors: Priors) -> tuple[LoopProblem, LoopFit | None, float, tuple[str, ...]]:
    """The points in units of their largest moment, with the run's own σ or one from their scatter, and a first fit."""
    unit = float(np.abs(points.moment_Am2).max()) or 1.0
    known = bool(np.isfinite(points.u_Am2).all())
    x = LANDE_G * BOHR_MAGNETON_J_PER_T * SPIN * points.largest_T / (BOLTZMANN_J_PER_K * points.temperature_K)
    problem = LoopProblem(
        field_T=points.field_T,
        direction=points.direction,
        moment=points.moment_Am2 / unit,
        sigma=points.u_Am2 / unit if known else np.ones(points.field_T.size),
        temperature_K=points.temperature_K,
        paramagnet=bool(np.isfinite(x) and x > CURVES),
        priors=priors,
    )
    leg = points.leg.astype(np.float64)
    if known:
        fit = _first(problem)
        ratio = 1.0 if fit is None else noise_from_neighbours(fit.residual, points.field_T, leg)
        if BELIEVED[0] < ratio < BELIEVED[1]:
            return problem, fit, unit, ()
        note = f"the moments scatter {ratio:.2g} times their stated uncertainty: the scatter is used"
        problem = replace(problem, sigma=np.ones(points.field_T.size))
    else:
        note = "the run states no moment_u_Am2: the noise is from the scatter of neighbouring points"
    for _ in range(2):
        fit = _first(problem)
        if fit is not None:
            problem = replace(problem, sigma=sigma_from_scatter(fit.residual * problem.sigma, points.field_T, leg))
    return problem, _first(problem), unit, (note,)


def _first(problem: LoopProblem) -> LoopFit | None:
    fits = [solve(problem, "tanh", start) for start in loop_starts(problem)]
    return best_of(fits, problem) if fits else None


def _refused(status: EstimateStatus, points: LoopPoints, reasons: tuple[str, ...]) -> MagnetisationResult:
    text = f"{'waiting' if status is EstimateStatus.WAITING else 'not resolved'}: {reasons[0]}"
    return MagnetisationResult(Estimate(status, {}, reasons + points.notes, {}, text, points.rows))


class _Judged:
    """One problem, fitted, with everything that decides what may be said of it."""

    def __init__(
        self,
        points: LoopPoints,
        problem: LoopProblem,
        unit: float,
        film: Film,
        notes: tuple[str, ...],
        largest_T: float,
    ) -> None:
        self.points, self.problem, self.unit, self.film = points, problem, unit, film
        self.notes, self.largest_T = notes, largest_T
        self.leg = points.leg.astype(np.float64)

    def result(self, first: LoopFit) -> MagnetisationResult:
        """What may be said."""
        averaged = average(self.problem, first, self.leg)
        evidence = weigh_alternatives(self.problem, averaged.fit)
        local = None
        wrong = together(averaged.fit.residual, self.problem.field_T, self.leg)
        # Two reversals, or a long tail of one: both describe an algebraic tail nearly, with too small a moment.
        suspected = wrong or averaged.fit.model.shape == "double"
        coercive_T, width_T = averaged.value("coercive"), averaged.value("width")
        tail = slow_tail(self.problem, averaged.fit, coercive_T, width_T, suspected=suspected)
        if wrong or tail is not None:
            # Points that a wrong shape refuses are good points: none is refused here.
            plain = solve(self.problem, averaged.fit.model.shape, averaged.fit.p, robust=False)
            local = shapeless(plain, self.problem, self.leg, tail)
        told = told_by_shape(averaged) if local is None else told_by_crossings(local)
        coercive = told.values["coercive_field_T"]
        reasons = reasons_against(evidence, told.values, told.moments["saturation"])
        width_T = averaged.value("width")
        up_T, down_T = told.values["coercive_up_T"].value, told.values["coercive_down_T"].value
        furthest_T = max(abs(up_T), abs(down_T))
        status = EstimateStatus.RESOLVED
        if reasons:
            status = EstimateStatus.NOT_RESOLVED
        elif half := unfinished(self.points.field_T, self.points.direction, furthest_T):
            status, reasons = EstimateStatus.WAITING, (half,)
        elif small := minor(self.largest_T, furthest_T, None if local else width_T):
            status, reasons = EstimateStatus.MINOR_LOOP, (small,)
        elif few := too_few(self.problem, up_T, down_T, max(width_T, 0.5 * coercive.value)):
            status, reasons = EstimateStatus.NOT_RESOLVED, (few,)
        return self._written(status, reasons, told, averaged)

    def _written(
        self, status: EstimateStatus, reasons: tuple[str, ...], told: Told, averaged: Averaged
    ) -> MagnetisationResult:
        fit, unit = averaged.fit, self.unit
        # Where the shape is wrong the fit's own scale is a misfit, not a noise.
        noise = fit.scale
        if told.method == "crossings":
            noise = noise_from_neighbours(fit.residual, self.problem.field_T, self.leg)
        whole = fit.model.evaluate(fit.p, self.problem.field_T, self.problem.direction)[0]
        background = fit.model.background(fit.p, self.problem.field_T, self.problem.direction)
        if told.crossings is not None:
            background = background_of(told.crossings, fit, self.problem.field_T, self.problem.direction)
        slope = Measured(told.slope.value * unit, told.slope.u * unit)
        slopes, complaints = substrate_check(slope, self.film)
        common = dict(slopes)
        if self.problem.paramagnet:
            per_spin = LANDE_G * SPIN * BOHR_MAGNETON_J_PER_T
            common["paramagnetic_spins"] = Measured(
                averaged.value("spins") * unit / per_spin, averaged.u("spins") * unit / per_spin
            )
        if np.isfinite(self.points.temperature_K):
            common["temperature_K"] = Measured(self.points.temperature_K, 0.0)
        notes = (*told.notes, *complaints, *self.notes)
        lost = int((fit.weight < 0.5).sum())
        if lost and told.method == "shape":
            notes = (*notes, f"{lost} points were taken for failed centrings or spikes and given no weight")
        arrays = MagnetisationResult(
            Estimate(status, common, reasons + notes, {}, "", self.points.rows),
            method=told.method,
            field_T=self.points.field_T,
            moment_Am2=self.points.moment_Am2,
            moment_u_Am2=self.problem.sigma * noise * unit,
            rising=self.points.rising.astype(np.float64),
            film_Am2=(self.problem.moment - background) * unit,
            fit_Am2=whole * unit,
            weight=fit.weight,
            shapes=averaged.shapes,
        )
        if status is not EstimateStatus.RESOLVED:
            label = "minor loop" if status is EstimateStatus.MINOR_LOOP else status.value
            return replace(arrays, estimate=replace(arrays.estimate, text=f"{label}: {reasons[0]}"))
        moments = {
            name: Measured(told.moments[name].value * unit, told.moments[name].u * unit) for name in told.moments
        }
        values = told.values | film_values(moments, self.film) | common
        values = {key: value for key, value in values.items() if value.u > 0.0 or key == "temperature_K"}
        text = (
            f"µ₀Hc = {format_measured(told.values['coercive_field_T'], 'mT', 1e3)}, "
            f"m_S = {format_measured(values['saturation_moment_Am2'], 'µemu', 1e9)}, "
            f"m_R = {format_measured(values['remanent_moment_Am2'], 'µemu', 1e9)}"
        ).replace("-", "−")
        scales = np.array([1.0, 1.0, unit, unit])
        budgets = {
            key: {source: u * (unit if key.endswith("Am2") else 1.0) for source, u in parts.items()}
            for key, parts in told.budgets.items()
        }
        estimate = Estimate(status, values, notes, budgets["coercive_field_T"], text, self.points.rows)
        return replace(
            arrays,
            estimate=estimate,
            covariance=told.covariance * np.outer(scales, scales),
            budgets=budgets,
        )
