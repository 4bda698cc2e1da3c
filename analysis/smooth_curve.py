"""Where a noisy curve crosses zero or has its maximum, without a formula for the curve.

The curve is held for smooth (a Gaussian process of Matérn's kind, ν = 5/2, on a straight line; Rasmussen and Williams,
Gaussian Processes for Machine Learning, §2.7 and §4.2). How smooth it is, how large against the noise, and how long the
noise remembers its neighbour, is not chosen but marginalised by the restricted likelihood of the rows. No window has to
be selected, which is what makes an interval too narrow.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, eigh, solve_triangular

from ..core.records import Measured
from .models import FloatArray

LENGTHS = (0.15, 0.3, 0.7, 1.6)
SIZES: FloatArray = 10.0 ** np.arange(-1.0, 9.5, 0.75)  # variance of the curve over that of the noise
RHOS = (0.0, 0.4, 0.75)
REACH = 1.3  # of x on either side: what is farther does not tell about the place
MOST_ROWS = 100
LEAST_ROWS = 8
LEAST_LIKELY = 5.0  # below the best in ln likelihood: such curves count no more
_GRID = 300


@dataclass(frozen=True, slots=True)
class _Curve:
    """One set of hyperparameters and the posterior of the curve given them.

    `back` makes the rows independent, of variance `total`; `left` and `trend` are their residuals and trend.
    """

    log_likelihood: float
    length: float
    size: float
    beta: FloatArray
    back: FloatArray
    total: FloatArray
    left: FloatArray
    trend: FloatArray
    normal: FloatArray
    variance: float


def crossing(x: FloatArray, y: FloatArray, sigma: FloatArray, near: float) -> Measured | None:
    """Where y falls through zero near `near`. `sigma` is relative noise of the rows; all (n,), sorted by x."""
    return _place(x, y, sigma, near, 0)


def maximum(x: FloatArray, y: FloatArray, sigma: FloatArray, near: float) -> Measured | None:
    """Where y is largest near `near`. `sigma` is relative noise of the rows; all (n,), sorted by x."""
    return _place(x, y, sigma, near, 1)


def _place(x: FloatArray, y: FloatArray, sigma: FloatArray, near: float, order: int) -> Measured | None:
    x, y, sigma = _near(x, y, sigma, near)
    if x.size < LEAST_ROWS or np.ptp(x) <= 0.0:
        return None
    # Everything of order one: x as it is (a logarithm), y by its spread.
    y = y / (float(np.abs(y).max()) or 1.0)
    curves = _curves(x - near, y, sigma / float(np.median(sigma)))
    curves.sort(key=lambda curve: -curve.log_likelihood)
    best = curves[0].log_likelihood
    at: list[float] = []
    variances: list[float] = []
    weights: list[float] = []
    grid = np.linspace(x[0] - near, x[-1] - near, _GRID)
    for curve in curves:
        root = _root(curve, x - near, grid, order, at[0] if at else 0.0)
        if root is None:
            continue
        _, variance = _posterior(curve, x - near, np.array([root]), order)
        bend = float(_mean(curve, x - near, np.array([root]), order + 1)[0])
        at.append(root)
        variances.append(float(variance[0]) / max(bend**2, 1e-300))
        weights.append(float(np.exp(curve.log_likelihood - best)))
    if not at or sum(weights) < 0.5 * sum(np.exp(c.log_likelihood - best) for c in curves):
        return None
    weight = np.array(weights) / sum(weights)
    mean = float(weight @ np.array(at))
    spread = float(weight @ (np.array(variances) + (np.array(at) - mean) ** 2))
    return Measured(near + mean, float(np.sqrt(spread)))


def _near(x: FloatArray, y: FloatArray, sigma: FloatArray, near: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Rows within reach, neighbours averaged where there are more than the algebra likes."""
    inside = np.abs(x - near) < REACH
    x, y, sigma = x[inside], y[inside], sigma[inside]
    per = int(np.ceil(x.size / MOST_ROWS))
    if per > 1:
        whole = x.size // per * per
        x, y, sigma = (row[:whole].reshape(-1, per).mean(axis=1) for row in (x, y, sigma))
    return x, y, sigma


def _curves(x: FloatArray, y: FloatArray, sigma: FloatArray) -> list[_Curve]:
    trend = np.column_stack([np.ones_like(x), x])
    apart = np.abs(np.subtract.outer(np.arange(x.size), np.arange(x.size)))
    freedom = x.size - trend.shape[1]
    out: list[_Curve] = []
    best = -np.inf
    for rho in RHOS:
        root = cholesky(np.outer(sigma, sigma) * rho**apart, lower=True)
        log_noise = float(np.log(np.diag(root)).sum())
        white_y, white_trend = (solve_triangular(root, each, lower=True) for each in (y, trend))
        for length in LENGTHS:
            half = solve_triangular(root, _kernel(x, x, length, 0), lower=True)
            values, vectors = eigh(solve_triangular(root, half.T, lower=True))
            values = np.maximum(values, 0.0)
            turned_y, turned_trend = vectors.T @ white_y, vectors.T @ white_trend
            back = solve_triangular(root, vectors, lower=True, trans=1)
            for size in SIZES:
                total = size * values + 1.0
                normal = np.linalg.inv((turned_trend / total[:, None]).T @ turned_trend)
                beta = normal @ (turned_trend.T @ (turned_y / total))
                left = turned_y - turned_trend @ beta
                rss = max(float(left @ (left / total)), 1e-300)
                log = -0.5 * float(np.log(total).sum()) + 0.5 * float(np.linalg.slogdet(normal)[1])
                log += -0.5 * freedom * float(np.log(rss)) - log_noise
                best = max(best, log)
                if log > best - LEAST_LIKELY:
                    kept = _Curve(
                        log, length, float(size), beta, back, total, left, turned_trend, normal, rss / (freedom - 2)
                    )
                    out.append(kept)
    return [curve for curve in out if curve.log_likelihood > best - LEAST_LIKELY]


def _kernel(at: FloatArray, x: FloatArray, length: float, order: int) -> FloatArray:
    """Matérn's covariance (ν = 5/2) of places `at` with `x`, differentiated `order` times by `at`."""
    a = np.sqrt(5.0) / length
    gap = np.subtract.outer(at, x)
    r = a * np.abs(gap)
    decay = np.exp(-r)
    if order == 0:
        return (1.0 + r + r**2 / 3.0) * decay
    if order == 1:
        return -(a**2) / 3.0 * gap * (1.0 + r) * decay
    return -(a**2) / 3.0 * (1.0 + r - r**2) * decay


def _trend(at: FloatArray, order: int) -> FloatArray:
    zero, one = np.zeros_like(at), np.ones_like(at)
    return np.column_stack([(one, zero, zero)[order], (at, one, zero)[order]])


def _mean(curve: _Curve, x: FloatArray, at: FloatArray, order: int) -> FloatArray:
    kernel = curve.size * _kernel(at, x, curve.length, order)
    return np.asarray(_trend(at, order) @ curve.beta + kernel @ (curve.back @ (curve.left / curve.total)))


def _posterior(curve: _Curve, x: FloatArray, at: FloatArray, order: int) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of the curve (order 0) or its slope (order 1) at places."""
    own = curve.size * (1.0 if order == 0 else 5.0 / (3.0 * curve.length**2))
    root = np.sqrt(curve.total)
    seen = curve.size * _kernel(at, x, curve.length, order) @ curve.back / root
    missing = _trend(at, order) - seen @ (curve.trend / root[:, None])
    variance = own - (seen**2).sum(axis=1) + np.einsum("ij,jk,ik->i", missing, curve.normal, missing)
    return _mean(curve, x, at, order), curve.variance * np.maximum(variance, 0.0)


def _root(curve: _Curve, x: FloatArray, grid: FloatArray, order: int, near: float) -> float | None:
    """Where the mean (or its slope) falls through zero, nearest to `near`."""
    values = _mean(curve, x, grid, order)
    falls = np.flatnonzero((values[:-1] > 0.0) & (values[1:] <= 0.0))
    if not falls.size:
        return None
    share = values[falls] / (values[falls] - values[falls + 1])
    roots = grid[falls] + share * (grid[falls + 1] - grid[falls])
    return float(roots[np.argmin(np.abs(roots - near))])
