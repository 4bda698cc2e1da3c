"""The slope of R_xy, with the loop, what is even, a drift and the memory of the noise reckoned with."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from .models import FloatArray, erf_branch
from .single_band_rows import SlopeRows
from .transport_noise import Whitening, noise_of, white, whitening_of

COERCIVE_T = (0.01, 0.02, 0.035, 0.05, 0.08, 0.12, 0.2, 0.35)
WIDTHS_T = (0.01, 0.03, 0.08)
LOG_WIDTH_PRIOR = (float(np.log(0.03)), 0.7)
LOOP_GAIN = 14.0  # in χ², for the three parameters of a loop


@dataclass(frozen=True, slots=True)
class SlopeFit:
    """Slope (ohm/T), amplitude of the loop (ohm, 0 without one) and what bends, each with its standard uncertainty.

    `cubic` is the change of slope between zero and the largest field, over the slope, if a B³ term is added.
    """

    slope: float
    slope_u: float
    amplitude: float
    amplitude_u: float
    coercive_T: float
    cubic: float
    cubic_u: float
    slope_with_cubic: float
    chi2: float
    fitted_ohm: FloatArray
    noise: Whitening


def fit_slope(rows: SlopeRows, *, loop: bool, coercive_T: tuple[float, float]) -> SlopeFit | None:
    """Generalised least squares, with a loop if `loop` and if the sweep shows one; None where nothing is determined."""
    noise = white(rows.field_T.size, rows.run, _rough_sigma(rows))
    shape = _loop_shape(rows, noise, coercive_T) if loop else None
    found: SlopeFit | None = None
    for final in (False, True):
        found = _solved(rows, noise, shape)
        if found is None:
            return None
        root = np.sqrt(rows.weight)
        residual, spent = (rows.r_xy_ohm - found.fitted_ohm) * root, 2.0 + rows.extra.shape[0]
        if final:
            follow = _tangents(rows, found.amplitude, shape) * root
            noise = noise_of(residual, follow, rows.time, rows.run, rows.coarse, spent, order=8)
        else:
            noise = whitening_of(residual, rows.run, rows.coarse, spent, order=8)
        if shape is not None:
            shape = _loop_shape(rows, noise, coercive_T)
    return _solved(rows, noise, shape)


def _rough_sigma(rows: SlopeRows) -> float:
    bend = np.abs(np.diff(rows.r_xy_ohm * np.sqrt(rows.weight), 2))
    scale = 1.4826 * float(np.median(bend)) / np.sqrt(6.0) if bend.size else 0.0
    return max(scale, 1e-9, 1e-7 * float(np.ptp(rows.r_xy_ohm)))


def _columns(rows: SlopeRows) -> FloatArray:
    """B and what else is in the rows."""
    return np.vstack((rows.field_T, rows.extra))


def _branch(rows: SlopeRows, coercive: float, width: float) -> tuple[FloatArray, FloatArray]:
    return erf_branch((rows.field_T - rows.rising * coercive) / width)


def _loop_shape(rows: SlopeRows, noise: Whitening, prior: tuple[float, float]) -> tuple[float, float] | None:
    """Coercive field and width of the loop, or None where the sweep is described as well without one."""
    root = np.sqrt(rows.weight)
    y, base = noise.apply(rows.r_xy_ohm * root), noise.apply(_columns(rows) * root)
    bare = y - base.T @ np.linalg.lstsq(base.T, y, rcond=None)[0]

    def left(shape: FloatArray) -> FloatArray:
        loop = noise.apply(_branch(rows, shape[0], float(np.exp(shape[1])))[0] * root)
        columns = np.vstack((base, loop))
        rest = y - columns.T @ np.linalg.lstsq(columns.T, y, rcond=None)[0]
        held = [(shape[0] - prior[0]) / prior[1], (shape[1] - LOG_WIDTH_PRIOR[0]) / LOG_WIDTH_PRIOR[1]]
        return np.concatenate((rest, held))

    starts = [np.array([c, np.log(w)]) for c in (*COERCIVE_T, prior[0]) for w in WIDTHS_T]
    best = min(starts, key=lambda shape: float(np.sum(left(shape) ** 2)))
    solved = least_squares(left, best, x_scale=(0.01, 0.3), bounds=([0.0, np.log(1e-3)], [1.0, np.log(0.5)]))
    gain = float(bare @ bare) - 2.0 * float(solved.cost)
    return (float(solved.x[0]), float(np.exp(solved.x[1]))) if gain > LOOP_GAIN else None


def _solved(rows: SlopeRows, noise: Whitening, shape: tuple[float, float] | None) -> SlopeFit | None:
    root = np.sqrt(rows.weight)
    columns = _columns(rows)
    if shape is not None:
        columns = np.vstack((columns, _branch(rows, *shape)[0]))
    y = noise.apply(rows.r_xy_ohm * root)
    best, covariance = _least_squares(columns, noise, root, y)
    if shape is not None:
        # The loop's place and width are fitted, too: their tangents carry what they cost.
        _, covariance = _least_squares(_tangents(rows, float(best[-1]), shape), noise, root, y)
    reach = float(np.abs(rows.field_T).max())
    cubic = reach * (rows.field_T / reach) ** 3 / 3.0
    bent, bent_covariance = _least_squares(np.vstack((columns, cubic)), noise, root, y)
    if not (np.isfinite(best).all() and np.isfinite(covariance).all() and best[0] != 0.0):
        return None
    fitted = best @ columns
    residual = noise.apply((rows.r_xy_ohm - fitted) * root)
    last = columns.shape[0] - 1
    return SlopeFit(
        slope=float(best[0]),
        slope_u=float(np.sqrt(covariance[0, 0])),
        amplitude=0.0 if shape is None else float(best[last]),
        amplitude_u=0.0 if shape is None else float(np.sqrt(covariance[last, last])),
        coercive_T=0.0 if shape is None else shape[0],
        cubic=float(bent[-1] / best[0]),
        cubic_u=float(np.sqrt(bent_covariance[-1, -1]) / abs(best[0])),
        slope_with_cubic=float(bent[0]),
        chi2=float(residual @ residual),
        fitted_ohm=fitted,
        noise=noise,
    )


def _tangents(rows: SlopeRows, amplitude: float, shape: tuple[float, float] | None) -> FloatArray:
    """What the fit can follow: its columns and, with a loop, how the rows change with its place and width."""
    columns = _columns(rows)
    if shape is None:
        return columns
    loop, d_loop = _branch(rows, *shape)
    x = (rows.field_T - rows.rising * shape[0]) / shape[1]
    return np.vstack((columns, loop, -amplitude * rows.rising * d_loop / shape[1], -amplitude * d_loop * x))


def _least_squares(
    columns: FloatArray, noise: Whitening, root: FloatArray, y: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Coefficients and covariance of y on `columns`; directions that the rows do not determine are left at zero."""
    a = noise.apply(columns * root)
    scale = np.sqrt((a**2).sum(1))
    scale[scale <= 0.0] = 1.0
    a = a / scale[:, None]
    inverse = np.linalg.pinv(a @ a.T, rcond=1e-13, hermitian=True)
    return inverse @ (a @ y) / scale, inverse / scale[:, None] / scale
