"""The moment of a raw scan, V(z) = c0 + c1 z + K m f(z − z0): the voltage of a sample moved through pick-up coils.

`analyze_scan` takes one scan, `analyze_scans` all scans of a loop, which share their centre. A centre is left free only
where the moment is 15 times its uncertainty. A flux jump, a spike or the dipole of a holder is fitted beside the sample
when it stands out, and said; what cannot be told apart is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.quantities import format_measured
from ..core.records import Estimate, EstimateStatus, Measured
from .dipole_response import Response
from .models import FloatArray
from .scan_centre import search_free, shared_centre
from .scan_data import Scan, points_of
from .scan_defects import MOVED, search
from .scan_model import Points, Recipe, ScanFit, moment_per_centre, solve
from .scan_result import LEAST_STRENGTH, ScanResult, Setting, conclude, refused

LEAST_POINTS = 12
CONFLICT = 4.0  # between a believed centre and the scan's own, in their joint uncertainty


@dataclass(frozen=True)
class ScansResult:
    """The scans of a loop: `scans` one by one, moments (NaN where refused), and how they vary together.

    `covariance` has what all scans share as well: the centre, the calibration, the background.
    """

    estimate: Estimate
    scans: tuple[ScanResult, ...]
    moment_Am2: FloatArray
    covariance: FloatArray


def analyze_scan(
    position_m: FloatArray,
    voltage_V: FloatArray,
    *,
    response: Response | tuple[float, float],
    calibration_V_m_per_A: Measured | float,
    centre_m: Measured | float | None = None,
    background: Scan | None = None,
) -> ScanResult:
    """The moment of one scan, A m², with its standard uncertainty.

    `position_m` and `voltage_V` are (n,), in the order taken; a scan up and down is one scan. `response` is `MPMS`,
    `MPMS3`, another `Response` (with the sample's size), or (R, Λ) in metres. `calibration_V_m_per_A` is K, in volts
    per A m² and m⁻³, the unit of f: of a gain in volts per A m² at the centre it is gain/`peak_per_m3`.
    `centre_m` is z0: a number is exact, a `Measured` is believed within its uncertainty and the scan may improve on it,
    None leaves it free. `background` is a scan without the sample, subtracted before the fit.

    Raises:
        ValueError: arrays do not fit together, the calibration is not a positive number, the background does not
            reach over the scan.
    """
    setting = _setting(response, calibration_V_m_per_A)
    points, notes, fault, share = points_of(Scan(position_m, voltage_V), background, setting.gain)
    if fault or points.size < LEAST_POINTS:
        return refused(points, setting, (fault or _too_few(points), *notes))
    if centre_m is None:
        return _analyze_free(points, setting, notes, share)
    centre = centre_m if isinstance(centre_m, Measured) else Measured(float(centre_m), 0.0)
    if not np.isfinite([centre.value, centre.u]).all() or centre.u < 0.0:
        raise ValueError("centre_m must be finite, in metres")
    believed = centre.u > 0.0
    first = solve(points, Recipe(setting.response, centre.value, believed, centre.value, centre.u))
    if first is None:
        return refused(points, setting, ("the scan does not determine a moment: its positions span too little", *notes))
    found = search(points, first)
    if believed and found.fit.strength > LEAST_STRENGTH:
        alone, ambiguous = search_free(points, setting.response)
        if alone is not None and not ambiguous and _conflict(alone.fit, centre):
            return conclude(points, setting, alone, (_moved(alone.fit, centre.value), *notes), share)
    elif believed and centre.u > 0.15 * setting.response.radius_m:
        reason = (
            f"the centre is believed to ±{centre.u * 1e3:.1f} mm and the scan is too weak to say more: "
            "take the centre from a stronger scan"
        )
        return refused(points, setting, (reason, *notes))
    if MOVED in found.found:
        notes = (_moved(found.fit, centre.value), *notes)
    return conclude(points, setting, found, notes, share)


def analyze_scans(
    scans: Sequence[Scan],
    *,
    response: Response | tuple[float, float],
    calibration_V_m_per_A: Measured | float,
    centre_m: Measured | float | None = None,
    background: Scan | None = None,
) -> ScansResult:
    """The moments of all scans of a loop about one centre: found from all of them together, or given.

    Arguments are those of `analyze_scan`; without `centre_m` the centre is shared, and every moment is refused when the
    scans together are too weak for one. `estimate.values` holds `centre_m`.

    Raises:
        ValueError: there is no scan, or as `analyze_scan`.
    """
    if not scans:
        raise ValueError("there is no scan: give a sequence of Scan(position_m, voltage_V)")
    setting = _setting(response, calibration_V_m_per_A)
    taken = [points_of(scan, background, setting.gain) for scan in scans]
    usable = [points for points, _, fault, _ in taken if not fault and points.size >= LEAST_POINTS]
    notes: tuple[str, ...] = ()
    centre: Measured | None = None
    if centre_m is not None:
        centre = centre_m if isinstance(centre_m, Measured) else Measured(float(centre_m), 0.0)
    elif usable:
        shared = shared_centre(usable, setting.response)
        if shared is not None and shared.strength > LEAST_STRENGTH:
            centre = Measured(shared.centre_m, shared.u_m)
            if shared.chi2 > 3.0 and len(usable) > 4:
                notes = ("the scans scatter about their common centre more than their noise: the sample may move",)
    results: list[ScanResult] = []
    common: list[FloatArray] = []
    for points, more, fault, share in taken:
        result, shares = _with_centre(points, setting, centre, (fault, *more) if fault else more, bool(fault), share)
        results.append(result)
        common.append(shares)
    moments = np.array([np.nan if r.moment is None else r.moment.value for r in results])
    own = np.array([0.0 if r.moment is None else r.moment.u**2 for r in results])
    together = np.array(common)
    covariance = together @ together.T
    covariance[np.diag_indices_from(covariance)] = own
    known = np.isfinite(moments)
    text = f"{known.sum()} of {len(scans)} moments"
    if centre is None:
        reason = "the scans together are too weak for a centre: give centre_m from a stronger scan"
        status, reasons, values = EstimateStatus.NOT_RESOLVED, (reason, *notes), dict[str, Measured]()
    else:
        status = EstimateStatus.RESOLVED if known.any() else EstimateStatus.NOT_RESOLVED
        reasons, values = notes, ({"centre_m": centre} if centre.u > 0.0 else dict[str, Measured]())
        text += f" about z₀ = {centre.value * 1e3:.2f} mm"
    covariance[~known] = np.nan
    covariance[:, ~known] = np.nan
    return ScansResult(Estimate(status, values, reasons, {}, text, len(scans)), tuple(results), moments, covariance)


def _with_centre(
    points: Points, setting: Setting, centre: Measured | None, notes: tuple[str, ...], faulty: bool, share: float
) -> tuple[ScanResult, FloatArray]:
    """One scan about the loop's centre, and the parts of its error that all scans share: centre, K, background."""
    if faulty or points.size < LEAST_POINTS:
        return refused(points, setting, notes if faulty else (_too_few(points), *notes)), np.zeros(3)
    if centre is None:
        reason = "the centre is not known: the scans of this loop are too weak together"
        return refused(points, setting, (reason, *notes)), np.zeros(3)
    first = solve(points, Recipe(setting.response, centre.value, False))
    if first is None:
        return refused(points, setting, ("the scan does not determine a moment", *notes)), np.zeros(3)
    found = search(points, first)
    per_m = 0.0
    if MOVED in found.found:
        notes = (_moved(found.fit, centre.value), *notes)
    else:
        per_m = moment_per_centre(points, found.fit)
    result = conclude(points, setting, found, notes, share, centre_part=per_m * centre.u)
    if result.moment is None:
        return result, np.zeros(3)
    budget = result.estimate.budget
    sign = np.sign(result.moment.value) or 1.0
    return result, np.array([per_m * centre.u, sign * budget["calibration"], budget["background"]])


def _analyze_free(points: Points, setting: Setting, notes: tuple[str, ...], share: float) -> ScanResult:
    found, ambiguous = search_free(points, setting.response)
    if found is None:
        return refused(points, setting, ("the scan does not determine a moment and a centre", *notes))
    if found.fit.strength <= LEAST_STRENGTH:
        reason = (
            f"with a free centre the moment is only {found.fit.strength:.0f} times its uncertainty "
            f"({LEAST_STRENGTH:.0f} needed): give the centre, or analyze all scans of the loop together"
        )
        return refused(points, setting, (reason, *notes), found.found)
    if ambiguous:
        reason = "two centres describe the scan as well: give the centre"
        return refused(points, setting, (reason, *notes), found.found)
    return conclude(points, setting, found, notes, share)


def _conflict(fit: ScanFit, centre: Measured) -> bool:
    apart_m = abs(fit.recipe.centre_m - centre.value)
    return fit.strength > LEAST_STRENGTH and apart_m > CONFLICT * float(np.hypot(centre.u, fit.fit.u(fit.centre)))


def _moved(fit: ScanFit, given_m: float) -> str:
    own = format_measured(Measured(fit.recipe.centre_m, fit.fit.u(fit.centre)), "mm", 1e3)
    return f"the sample is at {own} and not at {given_m * 1e3:.2f} mm: the scan's own centre is used"


def _too_few(points: Points) -> str:
    return f"only {points.size} rows of the scan are numbers, {LEAST_POINTS} are needed"


def _setting(response: Response | tuple[float, float], calibration: Measured | float) -> Setting:
    known = calibration if isinstance(calibration, Measured) else Measured(float(calibration), 0.0)
    if not (np.isfinite(known.value) and known.value > 0.0 and np.isfinite(known.u) and known.u >= 0.0):
        raise ValueError("calibration_V_m_per_A must be a positive number, with an uncertainty that is not negative")
    coils = response if isinstance(response, Response) else Response(*response)
    return Setting(coils, known.value, known.u / known.value)
