"""Where the search for two bands begins: a fixed grid of splits that all give the measured R_s and Hall slope."""

from itertools import product

import numpy as np

from .models import ELEMENTARY_CHARGE_C, FloatArray
from .transport_data import Sweep
from .transport_noise import Whitening, white
from .two_band_fit import BandFit, BandProblem, Noise
from .two_band_model import CUSP, DELAY, DOWN, LOG_CUSP_FIELD, LOG_WIDTH, UP, Model

RATIOS = (1.4, 3.0, 8.0, 25.0)  # µ2/µ1
SHARES = (0.05, 0.15, 0.35, 0.6, 0.85, 0.97)  # of the conductance that band 2 carries
STARTS = len(RATIOS) * len(SHARES)
ROWS = 180  # enough to tell the basins apart
COERCIVE_T = (0.015, 0.03, 0.08, 0.16)


def rough_slopes(sweep: Sweep) -> tuple[float, float]:
    """R_s (ohm) at the smallest fields and dR_xy/dB (ohm/T) over the inner half of the sweep."""
    inner = np.abs(sweep.field_T) <= 0.5 * sweep.reach_T
    inner = inner if inner.sum() > 8 else np.ones(sweep.size, dtype=bool)
    columns = np.column_stack((sweep.field_T[inner], np.ones(int(inner.sum()))))
    slope = float(np.linalg.lstsq(columns, sweep.r_xy_ohm[inner], rcond=None)[0][0])
    if sweep.r_xx_ohm is None:
        return 0.0, slope
    low = np.argsort(np.abs(sweep.field_T), kind="stable")[: max(5, sweep.size // 20)]
    return float(np.median(sweep.r_xx_ohm[low])), slope


def band_starts(sheet_ohm: float, slope_ohm_per_T: float) -> list[FloatArray]:
    """(ln n1, ln µ1, ln n2, ln µ2) on the grid: 1/R_s = e Σ n µ and slope = R_s² e Σ n µ², exactly."""
    out: list[FloatArray] = []
    for ratio, share in product(RATIOS, SHARES):
        low = slope_ohm_per_T / sheet_ohm / (1.0 - share + share * ratio)
        high = low * ratio
        total = 1.0 / (ELEMENTARY_CHARGE_C * sheet_ohm)
        out.append(np.log([(1.0 - share) * total / low, low, share * total / high, high]))
    return out


def rough_noise(problem: BandProblem) -> Noise:
    """White noise of the size that second differences show, which do not care what the curve is."""
    sweep = problem.sweep

    def of(values: FloatArray) -> Whitening:
        bend = np.abs(np.diff(values, 2))
        sigma = 1.4826 * float(np.median(bend)) / np.sqrt(6.0) if bend.size else 0.0
        return white(sweep.size, sweep.run, max(sigma, 1e-6 * float(np.ptp(values)), 1e-9))

    return None if sweep.r_xx_ohm is None else of(sweep.r_xx_ohm), of(sweep.r_xy_ohm)


def search(problem: BandProblem, sheet_ohm: float, slope_ohm_per_T: float) -> list[BandFit]:
    """The distinct minima that the grid of starts leads to, on every so manieth row, best first; at most three."""
    every = max(1, problem.sweep.size // ROWS)
    few, noise = problem.within(np.arange(problem.sweep.size) % every == 0, rough_noise(problem))
    # Shapes that need many rows wait: let loose far from the minimum they would mimic the bands.
    hold = [Model(2).at(index) for index in (CUSP, LOG_CUSP_FIELD, UP, DOWN, LOG_WIDTH, DELAY)]
    found: list[BandFit] = []
    for logs in band_starts(sheet_ohm, slope_ohm_per_T):
        start = np.concatenate((logs, problem.nuisance_start()))
        fit = few.fit(Model(2), start, noise, hold=hold, most_steps=8)
        if fit is not None and np.isfinite(fit.chi2):
            found.append(fit)
    distinct: list[BandFit] = []
    for rough in sorted(found, key=lambda fit: fit.chi2)[:5]:
        fit = few.fit(Model(2), rough.p, noise, hold=hold)
        if fit is not None and all(np.abs(ordered(fit).logs - other.logs).max() > 0.05 for other in distinct):
            distinct.append(ordered(fit))
    return sorted(distinct, key=lambda fit: fit.chi2)[:3]


def ordered(fit: BandFit) -> BandFit:
    """The same fit with µ1 < µ2."""
    if fit.model.bands != 2 or fit.p[1] <= fit.p[3]:
        return fit
    swap = np.arange(fit.p.size)
    swap[:4] = (2, 3, 0, 1)
    return BandFit(
        fit.model, fit.p[swap], fit.covariance[np.ix_(swap, swap)], fit.chi2, fit.free, fit.converged, fit.noise
    )


def loop_starts(problem: BandProblem, fit: BandFit) -> list[FloatArray]:
    """The parameters of `fit`, and the same with other coercive fields, for a loop may hide between the starts."""
    model = fit.model
    starts = [fit.p]
    if problem.setup.anomalous:
        for coercive in COERCIVE_T:
            p = fit.p.copy()
            p[[model.at(UP), model.at(DOWN)]] = coercive, -coercive
            starts.append(p)
    return starts
