"""One sweep on its way from starts to a verdict on two bands."""

from dataclasses import dataclass, replace

import numpy as np

from ..core.records import Estimate, EstimateStatus, Measured
from .models import ELEMENTARY_CHARGE_C, FloatArray, Mask
from .transport_data import Sweep, joined
from .two_band_fit import BandFit, BandProblem, Setup
from .two_band_judge import LEAST_BIC, Evidence, bic_gain, independent_rows, reasons_against
from .two_band_model import AMPLITUDE, DELAY, MIXING, OFFSET, Model
from .two_band_profile import profile_interval
from .two_band_result import BAND_KEYS, TransportCurve, TwoBandResult, refused
from .two_band_spread import dependence, descriptions, found_gain, windows
from .two_band_start import loop_starts, ordered, rough_noise, rough_slopes, search
from .two_band_values import derived_values, one_band_values, text_of

PROFILE_FROM = 0.05  # of ln n or ln µ: below it the quadratic interval and the likelihood's are the same
MOMENT_GAIN = 14.0  # in χ², for the two parameters of a paramagnetic S-shape
HOPELESS = 2000.0  # behind in χ² after ten steps
WILD = 8.0  # in σ
LEAST_OUTSIDE = 60  # rows beyond the loop, to judge them alone


class TwoBandAnalysis:
    """One sweep on its way from starts to a verdict."""

    def __init__(self, sweep: Sweep, setup: Setup, field_scale_u: float) -> None:
        sheet, slope = rough_slopes(sweep)
        if setup.sheet_ohm is not None:
            sheet = setup.sheet_ohm[0]
        self.sign = 1.0 if slope >= 0.0 else -1.0
        self.measured = sweep
        # The formulas are for R_xy > 0 at B > 0: carriers of the other sign are fitted upside down.
        self.sweep = replace(sweep, r_xy_ohm=self.sign * sweep.r_xy_ohm)
        self.problem = BandProblem(self.sweep, setup)
        self.sheet, self.slope = sheet, abs(slope)
        self.field_scale_u = field_scale_u

    def result(self) -> TwoBandResult:
        """The verdict."""
        if self.sheet <= 0.0 or self.slope <= 0.0:
            return refused(self.measured, "R_xx is not positive or R_xy does not depend on the field")
        minima = search(self.problem, self.sheet, self.slope)
        fits = [fit for k, start in enumerate(minima) if (fit := self._refined(start, thorough=k == 0)) is not None]
        if not fits:
            return refused(self.measured, "the rows do not determine a fit")
        fits.sort(key=lambda fit: fit.chi2)
        fit, others = fits[0], fits[1:]
        self._drop_wild(fit)
        for _ in range(2):
            settled = self.problem.fit(fit.model, fit.p, self.problem.noise_of(fit))
            if settled is None:
                return refused(self.measured, "the rows do not determine a fit")
            fit = settled
        fit = self._with_moment(ordered(fit))
        for _ in range(3):
            further = None if fit.converged else self.problem.fit(fit.model, fit.p, self.problem.noise_of(fit))
            fit = fit if further is None else ordered(further)
        one = self._one_band(fit)
        if one is None:
            return refused(self.measured, "the rows do not determine a fit of one band")
        bic = bic_gain(one, fit)
        spread = _Spread.of(self.problem, fit)
        total = spread.covariance(fit, self.field_scale_u)
        evidence = Evidence(
            self.problem, fit, one, bic, self._bic_outside(fit, one), np.sqrt(np.diag(total)), self._other(fit, others)
        )
        reasons = reasons_against(evidence)
        if not reasons:
            return self._claimed(fit, spread, bic)
        estimate = Estimate(
            EstimateStatus.NOT_RESOLVED, self._temperature(), joined(reasons, self.measured.notes), {},
            f"not resolved: {reasons[0]}", self.measured.rows,
        )  # fmt: skip
        one_band, one_covariance = one_band_values(one, self.field_scale_u)
        if bic >= LEAST_BIC:
            one_band, one_covariance = {}, np.full((2, 2), np.nan)
        return TwoBandResult(
            estimate, one_band=one_band, one_covariance=one_covariance, delta_bic=bic, carriers=self.carriers,
            temperature_K=self.measured.temperature_K, curve=self._curve(one if one_band else fit),
        )  # fmt: skip

    @property
    def carriers(self) -> str:
        """By the sign of R_xy: electrons give R_xy > 0 at B > 0."""
        return "electrons" if self.sign > 0.0 else "holes"

    def _temperature(self) -> dict[str, Measured]:
        temperature = self.measured.temperature_K
        return {} if temperature is None else {"temperature_K": temperature}

    def _drop_wild(self, fit: BandFit) -> None:
        """Leave out rows that stand alone far off the fit while their neighbours lie on it."""
        noise = rough_noise(self.problem)
        wild = np.zeros(self.sweep.size, dtype=bool)
        for white, x in zip(noise, self.problem.residuals(fit.model, fit.p), strict=True):
            if white is None or x is None:
                continue
            z = np.abs(x) / max(white.sigma_ohm, 1.4826 * float(np.median(np.abs(x))))
            beside = np.maximum(np.roll(z, 1), np.roll(z, -1))
            wild |= (z > WILD) & (beside < 0.5 * z) & (beside < WILD)
        if 0 < wild.sum() < 0.03 * wild.size:
            note = f"{int(wild.sum())} rows far off the fit while their neighbours lie on it were left out"
            self.measured = replace(self.measured.where(~wild), notes=(*self.measured.notes, note))
            self.sweep = self.sweep.where(~wild)
            self.problem = BandProblem(self.sweep, self.problem.setup)

    def _refined(self, start: BandFit, *, thorough: bool) -> BandFit | None:
        """The minimum on all rows from one found on few."""
        noise = rough_noise(self.problem)
        starts = loop_starts(self.problem, start) if thorough else [start.p]
        found = [fit for p in starts if (fit := self.problem.fit(start.model, p, noise)) is not None]
        return ordered(min(found, key=lambda fit: fit.chi2)) if found else None

    def _with_moment(self, fit: BandFit) -> BandFit:
        """With a paramagnetic S-shape in the fit if the sweep asks for one."""
        if not self.problem.setup.anomalous:
            return fit
        other = self.problem.fit_with_moment(fit.model, fit.p, fit.noise)
        if other is None or fit.chi2 - other.chi2 < MOMENT_GAIN:
            return fit
        settled = self.problem.fit(other.model, other.p, self.problem.noise_of(other))
        return fit if settled is None else ordered(settled)

    def _one_band(self, fit: BandFit) -> BandFit | None:
        """One band with the same nuisances and noise, and with an S-shape if that is what it takes."""
        model = replace(fit.model, bands=1, moment=False)
        density = 1.0 / (ELEMENTARY_CHARGE_C * self.slope)
        bands = np.log([density, self.slope / self.sheet])
        start = np.concatenate((bands, fit.p[4:]))
        found = [_compared(self.problem, model, start, fit)]
        if self.problem.setup.anomalous:
            found.append(self.problem.fit_with_moment(model, start, fit.noise))
        rows = independent_rows(fit)
        return min(
            (one for one in found if one is not None), key=lambda one: one.chi2 + one.free * np.log(rows), default=None
        )

    def _bic_outside(self, fit: BandFit, one: BandFit) -> float | None:
        """ΔBIC of the rows beyond the loop alone."""
        keep: Mask = np.abs(self.sweep.field_T) >= self.problem.setup.closed_T
        if not self.problem.setup.anomalous or keep.sum() < LEAST_OUTSIDE or keep.mean() < 0.3:
            return None
        part, noise = self.problem.within(keep, fit.noise)
        two = part.fit(fit.model, fit.p, noise)
        single = None if two is None else _compared(part, one.model, one.p, two)
        return None if two is None or single is None else bic_gain(single, two)

    def _other(self, fit: BandFit, others: list[BandFit]) -> BandFit | None:
        """Another minimum that is as good and truly elsewhere."""
        for rough in others:
            other = self.problem.fit(fit.model, rough.p, fit.noise)
            if other is None:
                continue
            other = ordered(other)
            apart = np.abs(other.logs - fit.logs) / np.sqrt(np.diag(fit.covariance)[:4])
            if other.chi2 - fit.chi2 < 6.0 and apart.max() > 4.0:
                return other
        return None

    def _claimed(self, fit: BandFit, spread: "_Spread", bic: float) -> TwoBandResult:
        total = spread.covariance(fit, self.field_scale_u)
        best = np.exp(fit.logs)
        extra_var = np.diag(total) - np.diag(fit.covariance)[:4]
        u = np.sqrt(np.diag(total)) * best
        intervals: dict[str, tuple[float, float]] = {}
        for k, key in enumerate(BAND_KEYS):
            low = high = 1.96 * fit.u(k)
            if fit.u(k) > PROFILE_FROM:
                limits = profile_interval(self.problem, fit, k)
                low, high = float(fit.p[k]) - limits[0], limits[1] - float(fit.p[k])
            low, high = (float(np.sqrt(half**2 + 1.96**2 * max(extra_var[k], 0.0))) for half in (low, high))
            intervals[key] = (float(best[k] * np.exp(-low)), float(best[k] * np.exp(high)))
            if fit.u(k) > PROFILE_FROM:
                u[k] = (intervals[key][1] - intervals[key][0]) / 3.92
        values = {key: Measured(float(best[k]), float(u[k])) for k, key in enumerate(BAND_KEYS)}
        values |= derived_values(fit.logs, total) | self._nuisances(fit) | self._temperature()
        budget = {
            f"{key}: {source}": float(part[k] * best[k])
            for k, key in enumerate(BAND_KEYS)
            for source, part in spread.parts(fit, self.field_scale_u).items()
        }
        notes = joined(spread.sentences(fit), self.measured.notes)
        estimate = Estimate(EstimateStatus.RESOLVED, values, notes, budget, text_of(values), self.measured.rows)
        scale = u / np.sqrt(np.diag(total))
        return TwoBandResult(
            estimate, total * scale[:, None] * scale, intervals, delta_bic=bic, carriers=self.carriers,
            temperature_K=self.measured.temperature_K, curve=self._curve(fit),
        )  # fmt: skip

    def _nuisances(self, fit: BandFit) -> dict[str, Measured]:
        free = self.problem.free(fit.model)
        wanted = (("ahe_amplitude_ohm", AMPLITUDE), ("misalignment", MIXING), ("offset_ohm", OFFSET))
        found: dict[str, Measured] = {}
        for key, index in wanted:
            at = fit.model.at(index)
            if free[at]:
                found[key] = Measured(self.sign * float(fit.p[at]), fit.u(at))
        at = fit.model.at(DELAY)
        if free[at] and self.measured.timed:
            found["delay_s"] = Measured(float(fit.p[at]), fit.u(at))
        return found

    def _curve(self, fit: BandFit) -> TransportCurve:
        sweep = self.measured
        xx, xy, _, _ = fit.model.evaluate(self.sweep, fit.p)
        bare = fit.p.copy()
        bare[fit.model.at(AMPLITUDE)] = 0.0
        _, without, _, _ = fit.model.evaluate(self.sweep, bare)
        nothing = np.full(sweep.size, np.nan)
        return TransportCurve(
            sweep.field_T, sweep.rising, sweep.r_xy_ohm, self.sign * xy,
            nothing if sweep.r_xx_ohm is None else sweep.r_xx_ohm, xx, sweep.r_xy_ohm - self.sign * without,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Spread:
    """What the answer depends on beyond chance, as shifts of (ln n, ln µ) × 2."""

    window: FloatArray
    model: FloatArray
    names: tuple[str, str]
    gain: tuple[float, float]

    @classmethod
    def of(cls, problem: BandProblem, fit: BandFit) -> "_Spread":
        window, window_name = dependence(fit, windows(problem, fit))
        others = descriptions(problem, fit)
        model, model_name = dependence(fit, others)
        return cls(window, model, (window_name, model_name), found_gain(others))

    def covariance(self, fit: BandFit, field_scale_u: float) -> FloatArray:
        shifts = np.column_stack((self.window, self.model, field_scale_u * _FIELD_SCALE))
        return np.asarray(fit.covariance[:4, :4] + shifts @ shifts.T)

    def parts(self, fit: BandFit, field_scale_u: float) -> dict[str, FloatArray]:
        parts = {
            "statistical": np.sqrt(np.diag(fit.covariance)[:4]),
            "window": np.abs(self.window),
            "model": np.abs(self.model),
        }
        return parts if field_scale_u == 0.0 else parts | {"field scale": np.abs(field_scale_u * _FIELD_SCALE)}

    def sentences(self, fit: BandFit) -> tuple[str, ...]:
        out: list[str] = []
        for shift, what in zip((self.window, self.model), self.names, strict=True):
            if what:
                worst = int(np.argmax(np.abs(shift) / np.sqrt(np.diag(fit.covariance)[:4])))
                name = ("n1", "µ1", "n2", "µ2")[worst]
                out.append(f"{what} moves {name} by {100.0 * float(shift[worst]):+.2g} %; u holds it")
        gain, u = self.gain
        if abs(gain) > max(5.0 * u, 0.005):
            out.append(f"the shapes ask for an R_xx {-100.0 * gain:+.1f} % off what is given: check length over width")
        return tuple(out)


# A field that is wrong by a factor moves densities with it and mobilities against it.
_FIELD_SCALE = np.array([1.0, -1.0, 1.0, -1.0])


def _compared(problem: BandProblem, model: Model, start: FloatArray, fit: BandFit) -> BandFit | None:
    """A rival of `fit`, brought to its minimum only if it has a chance."""
    rough = problem.fit(model, start, fit.noise, most_steps=10)
    if rough is None or rough.converged or rough.chi2 - fit.chi2 > HOPELESS:
        return rough
    return problem.fit(model, rough.p, fit.noise)
