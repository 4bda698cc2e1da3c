"""What may be said of a fitted raw scan: its moment with all that makes it uncertain, or the reason to refuse it."""

from dataclasses import dataclass

import numpy as np

from ..core.quantities import format_measured
from ..core.records import Estimate, EstimateStatus, Measured
from .dipole_response import Response
from .models import FloatArray
from .scan_defects import MOVED, Search
from .scan_model import FLUX_JUMP, SECOND_DIPOLE, SPIKE, Points, ScanFit

LEAST_STRENGTH = 15.0  # |m|/σ, for a centre to be left free
NEAR_SHARE = 0.5  # of the coils' radius: a second dipole nearer than this cannot be told from the sample


@dataclass(frozen=True)
class ScanResult:
    """What one scan says, and its curves: positions (m) in the order taken, voltage less background, fit (V).

    `estimate.values` holds `moment_Am2`, `centre_m` (free centre), `noise_V` (one row), `flux_jump_V`,
    `second_dipole_Am2` and `second_dipole_m` (the last of each). `covariance` is that of moment and centre, if free.
    `found` names what else was in the scan.
    """

    estimate: Estimate
    position_m: FloatArray
    voltage_V: FloatArray
    fitted_V: FloatArray
    found: tuple[str, ...] = ()
    covariance: FloatArray | None = None

    @property
    def moment(self) -> Measured | None:
        """The moment in A m², None if refused."""
        return self.estimate.values.get("moment_Am2")


@dataclass(frozen=True, slots=True)
class Setting:
    """The response, K and its relative uncertainty."""

    response: Response
    gain: float
    relative_u: float


def conclude(
    points: Points, setting: Setting, found: Search, notes: tuple[str, ...], share: float, centre_part: float = 0.0
) -> ScanResult:
    """The moment of a search's fit, or the reason against it.

    `share` is the background's share of the noise power, `centre_part` what a fixed centre's uncertainty does to the
    moment (A m²).
    """
    fit = found.fit
    reason = _why_not(found, setting)
    if reason:
        return refused(points, setting, (reason, *notes), found.found)
    value, variance, model2 = _mixture(found)
    budget = {
        "statistical": float(np.sqrt(variance * (1.0 - share))),
        "background": float(np.sqrt(variance * share)),
        "centre": abs(centre_part),
        "calibration": abs(value) * setting.relative_u,
        "model": float(np.sqrt(model2)),
    }
    moment = Measured(value, float(np.sqrt(sum(part**2 for part in budget.values()))))
    values = {"moment_Am2": moment, "noise_V": _noise(fit, setting)} | _others(fit, setting)
    covariance = None
    if fit.centre >= 0:
        values["centre_m"] = Measured(fit.recipe.centre_m, fit.fit.u(fit.centre))
        cross = float(fit.fit.covariance[fit.moment, fit.centre])
        covariance = np.array([[moment.u**2, cross], [cross, values["centre_m"].u ** 2]])
    reasons = (*_sentences(fit, values, setting), *notes)
    if setting.relative_u == 0.0:
        reasons = (*reasons, "the calibration was given without an uncertainty and is taken as exact")
    estimate = Estimate(EstimateStatus.RESOLVED, values, reasons, budget, f"m = {moment_text(moment)}", points.size)
    gain = setting.gain
    return ScanResult(
        estimate, points.position_m, points.signal * gain, fit.fitted[: points.size] * gain, found.found, covariance
    )


def _mixture(found: Search) -> tuple[float, float, float]:
    """Mean, variance and variance between fits that describe the scan about as well, by their likelihoods."""
    fits = [found.fit, *(rival for rival, _ in found.rivals)]
    weight = np.exp(-0.5 * np.array([0.0, *(less for _, less in found.rivals)]))
    weight /= weight.sum()
    values = np.array([float(fit.fit.p[fit.moment]) for fit in fits])
    variances = np.array([float(fit.fit.covariance[fit.moment, fit.moment]) for fit in fits])
    mean = float(weight @ values)
    return mean, float(weight @ variances), float(weight @ (values - mean) ** 2)


def _why_not(found: Search, setting: Setting) -> str:
    if not found.complete:
        return "the scan holds more than a sample and four faults: look at it"
    recipe = found.fit.recipe
    for defect in recipe.defects:
        apart_m = abs(defect.place_m - recipe.centre_m)
        if defect.kind == SECOND_DIPOLE and apart_m < NEAR_SHARE * setting.response.radius_m:
            return (
                f"a second dipole {apart_m * 1e3:.1f} mm from the sample cannot be told from it: "
                "check the sample's size in `response`, or subtract the holder's scan"
            )
    if MOVED in found.found and found.fit.strength <= LEAST_STRENGTH:
        return "the scan is not that of a sample at the given centre, and too weak to say where it is"
    return ""


def _others(fit: ScanFit, setting: Setting) -> dict[str, Measured]:
    values: dict[str, Measured] = {}
    place = (fit.centre if fit.centre >= 0 else fit.moment + len(fit.recipe.defects)) + 1
    for k, defect in enumerate(fit.recipe.defects):
        index = fit.moment + 1 + k
        height, u = float(fit.fit.p[index]), fit.fit.u(index)
        if defect.kind == SECOND_DIPOLE:
            values["second_dipole_Am2"] = Measured(height, u)
            values["second_dipole_m"] = Measured(defect.place_m, fit.fit.u(place))
            place += 1
        elif defect.kind == FLUX_JUMP:
            values["flux_jump_V"] = Measured(height * setting.gain, u * setting.gain)
    return values


def _sentences(fit: ScanFit, values: dict[str, Measured], setting: Setting) -> list[str]:
    out: list[str] = []
    moment = values["moment_Am2"]
    for k, defect in enumerate(fit.recipe.defects):
        height = float(fit.fit.p[fit.moment + 1 + k])
        if defect.kind == SECOND_DIPOLE:
            text = moment_text(Measured(height, fit.fit.u(fit.moment + 1 + k)))
            out.append(
                f"a second dipole of {text} at {defect.place_m * 1e3:.1f} mm (holder?) is fitted beside the sample"
            )
        elif defect.kind == FLUX_JUMP:
            out.append(f"the SQUID jumped by {height * setting.gain:.3g} V at row {defect.row}: fitted as a step")
        elif defect.kind == SPIKE:
            out.append(f"row {defect.row} is a spike of {height * setting.gain:.3g} V and is left out")
    if abs(moment.value) < 2.0 * moment.u:
        out.append("the moment is not different from zero within its interval")
    return out


def _noise(fit: ScanFit, setting: Setting) -> Measured:
    sigma = fit.fit.sigma * setting.gain
    # Rows that remember their neighbours say less of the size of their noise.
    memory = max((1.0 + fit.fit.rho**2) / (1.0 - fit.fit.rho**2), 1.0)
    return Measured(sigma, sigma * float(np.sqrt(memory / (2.0 * fit.fit.freedom))))


def refused(points: Points, setting: Setting, reasons: tuple[str, ...], found: tuple[str, ...] = ()) -> ScanResult:
    """A scan without a moment, and why."""
    text = f"not resolved: {reasons[0]}"
    estimate = Estimate(EstimateStatus.NOT_RESOLVED, {}, reasons, {}, text, points.size)
    nothing = np.full(points.size, np.nan)
    return ScanResult(estimate, points.position_m, points.signal * setting.gain, nothing, found)


def moment_text(moment: Measured) -> str:
    """A moment with the prefix that suits it."""
    size = max(abs(moment.value), moment.u)
    for scale, unit in ((1e6, "µA m²"), (1e9, "nA m²"), (1e12, "pA m²")):
        if size * scale >= 1.0:
            return format_measured(moment, unit, scale)
    return format_measured(moment, "fA m²", 1e15)
