"""Linear least squares whose noise may remember its neighbour: an autoregression of first order, its ρ marginalised.

Residuals of a drifting SQUID or thermometer are not independent. ρ is not known, and what is left of a fit tells it
only roughly, so every fit is made on a grid of ρ, weighted by its restricted likelihood (Patterson and Thompson,
Biometrika 58, 545 (1971)): the uncertainty of ρ then widens the covariance by itself, as does the small number of
degrees of freedom (variance ν/(ν − 2) of Student's distribution, GUM Supplement 1, §6.4.9).
"""

from dataclasses import dataclass

import numpy as np

from .models import FloatArray, Mask

# Negative ρ is rare in a measurement; beyond 0.97 noise is a drift that no fit should pretend to know.
RHO_GRID: FloatArray = np.array([-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.78, 0.85, 0.9, 0.94, 0.97])
# The grid is not even: each ρ stands for the interval around it. White noise is what the rows are held for when they
# do not say otherwise.
WHITE_SHARE = 0.3
PRIOR: FloatArray = (1.0 - WHITE_SHARE) * np.gradient(RHO_GRID) / np.gradient(RHO_GRID).sum() + WHITE_SHARE * (
    RHO_GRID == 0.0
)


@dataclass(frozen=True, slots=True)
class LinearFit:
    """Parameters with covariance, the noise of one row (standard deviation) and its correlation with the next."""

    p: FloatArray
    covariance: FloatArray
    sigma: float
    rho: float
    freedom: int

    def u(self, index: int) -> float:
        """Standard uncertainty of one parameter."""
        return float(np.sqrt(self.covariance[index, index]))


def starts_of(group: FloatArray) -> Mask:
    """True where a new group of consecutive rows begins: noise is not carried from one group to the next."""
    first = np.ones(group.size, dtype=np.bool_)
    first[1:] = group[1:] != group[:-1]
    return first


def whiten(rows: FloatArray, rho: float, starts: Mask) -> FloatArray:
    """Rows ordered in time turned into rows whose noise is white: x_i − ρ x_{i−1}, and √(1−ρ²) x_i at a start."""
    out = rows.copy()
    out[1:] -= rho * rows[:-1]
    out[starts] = np.sqrt(1.0 - rho**2) * rows[starts]
    return out


def fit_linear(design: FloatArray, y: FloatArray, starts: Mask) -> LinearFit:
    """Fit y = design · p with rows of equal variance (divide heteroscedastic rows by their σ first).

    `design` is (n, k), `y` and `starts` are (n,). Needs n > k + 2 and independent columns.

    Raises:
        LinAlgError: the columns depend on each other.
    """
    size, count = design.shape
    freedom = size - count
    groups = int(starts.sum())
    # Columns of very different sizes (volts, volts per metre) would spoil the test of rank.
    scale = np.sqrt((design**2).sum(axis=0))
    if not (scale > 0.0).all() or freedom < 3:
        raise np.linalg.LinAlgError("a column of the design is zero, or there are too few rows")
    scaled = design / scale
    logs, values, covariances, sigmas = [], [], [], []
    for rho in RHO_GRID:
        q, r = np.linalg.qr(whiten(scaled, float(rho), starts))
        diagonal = np.abs(np.diag(r))
        if diagonal.min() < 1e-10 * diagonal.max():
            raise np.linalg.LinAlgError("columns of the design depend on each other")
        white = whiten(y, float(rho), starts)
        inner = q.T @ white
        rss = max(float(white @ white - inner @ inner), 1e-300)
        inverse = np.linalg.inv(r)
        variance = rss / freedom
        logs.append(-0.5 * freedom * np.log(rss) + 0.5 * groups * np.log(1.0 - rho**2) - float(np.log(diagonal).sum()))
        values.append(inverse @ inner)
        covariances.append(variance * (inverse @ inverse.T))
        sigmas.append(np.sqrt(variance / (1.0 - rho**2)))
    weight = np.exp(np.array(logs) - max(logs))
    weight *= PRIOR
    weight /= weight.sum()
    p = np.einsum("r,rk->k", weight, np.array(values))
    apart = np.array(values) - p
    student = freedom / max(freedom - 2, 1)
    covariance = student * np.einsum("r,rkl->kl", weight, np.array(covariances))
    covariance += np.einsum("r,rk,rl->kl", weight, apart, apart)
    return LinearFit(
        p / scale, covariance / np.outer(scale, scale), float(weight @ np.array(sigmas)), float(weight @ RHO_GRID),
        freedom,
    )  # fmt: skip
