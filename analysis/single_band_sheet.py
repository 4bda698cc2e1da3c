"""R_s at zero field from R_xx(B): the intercept of what is even, where the cusp of weak localisation is one term."""

import numpy as np
from scipy.optimize import least_squares

from ..core.records import Measured
from .models import FloatArray
from .transport_data import Sweep
from .transport_noise import Whitening, noise_of, white, whitening_of

LOG_CUSP = (float(np.log(0.1)), 0.7)  # ln B_w and its width: 0.05 to 0.2 T are usual
LAG_s = 3.0
LAG_T = 0.01  # where the rate is not known


def sheet_resistance(sweep: Sweep) -> Measured | None:
    """R_xx (per square) at B = 0 and its standard uncertainty, or None where R_xx was not measured or is not positive.

    R_xx = R_s + a_1 B′ + a_2 B′² + a_4 B′⁴ + a_c ½ ln(1 + (B′/B_w)²), B′ = B − v δ; the odd term is what misaligned
    contacts see of the Hall voltage.
    """
    y = sweep.r_xx_ohm
    if y is None or sweep.size < 20:
        return None
    noise = white(sweep.size, sweep.run, max(float(np.std(np.diff(y, 2))) / np.sqrt(6.0), 1e-9))
    shape = np.array([LOG_CUSP[0], 0.0])
    columns = _columns(sweep, shape)
    for final in (False, True):
        shape = _shape(sweep, y, noise, shape)
        columns = _columns(sweep, shape)
        best, _ = _solved(columns, noise, y)
        residual = y - best @ columns
        noise = whitening_of(residual, sweep.run, sweep.coarse, 6.0, order=8)
        if final:
            follow = np.vstack((columns, _tangents(sweep, shape, best)))
            noise = noise_of(residual, follow, sweep.span_time, sweep.run, sweep.coarse, 6.0, order=8)
    shape = _shape(sweep, y, noise, shape)
    columns = _columns(sweep, shape)
    best, _ = _solved(columns, noise, y)
    # Where the cusp is and how the field lags is fitted, too: the tangents carry what that costs.
    _, covariance = _solved(
        np.vstack((columns, _tangents(sweep, shape, best))), noise, y, (1.0 / LOG_CUSP[1], 1.0 / _lag(sweep))
    )
    u = float(np.sqrt(max(covariance[0, 0], 0.0)))
    return Measured(float(best[0]), u) if best[0] > 0.0 and u > 0.0 else None


def _tangents(sweep: Sweep, shape: FloatArray, best: FloatArray) -> FloatArray:
    """How the fit changes with the place of the cusp and with the lag."""
    steps = np.diag([1e-3, 1e-3 * _lag(sweep)])
    return np.array([best @ (_columns(sweep, shape + h) - _columns(sweep, shape - h)) / (2.0 * h.sum()) for h in steps])


def _lag(sweep: Sweep) -> float:
    return LAG_s if sweep.timed else LAG_T


def _columns(sweep: Sweep, shape: FloatArray) -> FloatArray:
    field = sweep.field_T - (sweep.motion * shape[1] if sweep.both_branches else 0.0)
    x = field / max(sweep.reach_T, 1e-12)
    return np.array([np.ones(x.size), x, x**2, x**4, 0.5 * np.log1p((field / np.exp(shape[0])) ** 2)])


def _shape(sweep: Sweep, y: FloatArray, noise: Whitening, start: FloatArray) -> FloatArray:
    def left(shape: FloatArray) -> FloatArray:
        columns = _columns(sweep, shape)
        best, _ = _solved(columns, noise, y)
        held = [(shape[0] - LOG_CUSP[0]) / LOG_CUSP[1], shape[1] / _lag(sweep)]
        return np.concatenate((noise.apply(y - best @ columns), held))

    return np.asarray(least_squares(left, start, x_scale=(0.3, 0.3 * _lag(sweep)), max_nfev=25).x)


def _solved(
    columns: FloatArray, noise: Whitening, y: FloatArray, priors: tuple[float, ...] = ()
) -> tuple[FloatArray, FloatArray]:
    a = noise.apply(columns)
    normal = a @ a.T
    for k, weight in enumerate(priors):
        at = columns.shape[0] - len(priors) + k
        normal[at, at] += weight**2
    scale = np.sqrt(np.diag(normal))
    scale[scale <= 0.0] = 1.0
    inverse = np.linalg.pinv(normal / scale[:, None] / scale, rcond=1e-12, hermitian=True) / scale[:, None] / scale
    return inverse @ (a @ noise.apply(y)), inverse
