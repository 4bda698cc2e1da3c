"""The noise of a sweep, from its own residuals: its size, and how far it remembers its neighbours.

Neighbouring rows share what a lock-in's filter passes and what drifts; an autoregression describes both, and the fit
is made on rows from which it has been taken out (generalised least squares), so that the covariance is honest.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_toeplitz

from .models import FloatArray, Mask
from .transport_data import IntArray
from .transport_walk import Walk

MOST_ORDER = 8
LEAST_GROUP = 40  # rows that know their own noise
WALK_RATES = tuple(10.0**k for k in range(-6, 2))  # variance gathered per row, in a row's white variance


@dataclass(frozen=True, slots=True)
class NoiseGroup:
    """Rows (and their runs) with noise of their own: σ of what is new in each row, σ of a row, autoregression φ."""

    rows: IntArray
    run: IntArray
    sigma: float
    marginal: float
    phi: FloatArray


@dataclass(frozen=True, slots=True)
class Whitening:
    """x_t ← (x_t − Σ φ_k x_{t−k})/σ inside each run.

    A run's first rows have no past and are only divided by `marginal`. A `walk` is taken out of x before.
    """

    size: int
    groups: tuple[NoiseGroup, ...]
    walk: Walk | None = None

    def apply(self, values: FloatArray) -> FloatArray:
        """`values` (last axis: the rows of the sweep) made white and of unit variance."""
        if self.walk is not None:
            values = self.walk.apply(values)
        if len(self.groups) == 1 and self.groups[0].phi.size == 0:
            return values / self.groups[0].sigma
        out = np.zeros_like(values)
        for group in self.groups:
            block = values[..., group.rows]
            white = block.copy()
            young = np.zeros(group.rows.size, dtype=bool)
            for lag, weight in enumerate(group.phi, start=1):
                same = np.zeros(group.rows.size, dtype=bool)
                same[lag:] = group.run[lag:] == group.run[:-lag]
                young |= ~same
                white[..., lag:] -= weight * same[lag:] * block[..., :-lag]
            out[..., group.rows] = np.where(young, block, white) / np.where(young, group.marginal, group.sigma)
        return out

    def part(self, keep: Mask, run: IntArray) -> "Whitening":
        """The same noise on the rows that `keep` is true for; `run` are the runs of those rows."""
        place = (np.cumsum(keep) - 1).astype(np.intp)
        kept = [(place[group.rows[keep[group.rows]]], group) for group in self.groups]
        groups = [NoiseGroup(rows, run[rows], g.sigma, g.marginal, g.phi) for rows, g in kept if rows.size]
        return Whitening(int(keep.sum()), tuple(groups), None if self.walk is None else self.walk.part(keep))

    def cost(self, residual: FloatArray, columns: FloatArray) -> float:
        """BIC of this noise for `residual`, of which `columns` were fitted, by the restricted likelihood.

        Restricted (Patterson and Thompson, Biometrika 58, 545 (1971)): a fit straightens what its columns can follow,
        and the plain likelihood takes that for quiet.
        """
        left, determinant = straightened(self.apply(residual), self.apply(columns), _lengths(columns))
        out = float(left @ left) + determinant
        for group in self.groups:
            p = group.phi.size
            old = np.zeros(group.rows.size, dtype=bool)
            old[p:] = group.run[p:] == group.run[: group.run.size - p]
            out += 2.0 * float(np.log(np.where(old, group.sigma, group.marginal)).sum())
        count = sum(group.phi.size for group in self.groups) + (self.walk is not None)
        out += count * float(np.log(max(self.size, 2)))
        return out if self.walk is None else out + 2.0 * float(np.log(self.walk.spread).sum())

    @property
    def sigma_ohm(self) -> float:
        """Standard deviation of one row (of the largest group)."""
        return max(self.groups, key=lambda group: group.rows.size).marginal

    @property
    def independent_rows(self) -> float:
        """How many independent rows would say as much of a smooth curve."""
        return sum(
            g.rows.size * min((g.marginal * (1.0 - float(g.phi.sum())) / g.sigma) ** 2, 1.0) for g in self.groups
        )


def white(size: int, run: IntArray, sigma_ohm: float) -> Whitening:
    """Noise without memory."""
    return Whitening(size, (NoiseGroup(np.arange(size), run, sigma_ohm, sigma_ohm, np.zeros(0)),))


def whitening_of(residual: FloatArray, run: IntArray, coarse: Mask, spent: float, *, order: int) -> Whitening:
    """The whitening that `residual` asks for, after `spent` fitted parameters, with at most `order` coefficients.

    Rows merged from many and rows merged from few have noise of their own if there are enough of each.
    """
    share = max(1.0 - spent / residual.size, 0.2)
    split = [np.flatnonzero(coarse), np.flatnonzero(~coarse)]
    if min(rows.size for rows in split) < LEAST_GROUP:
        split = [np.arange(residual.size)]
    groups = [_group(residual[rows], run[rows], rows, share, order) for rows in split]
    return Whitening(residual.size, tuple(groups))


def noise_of(
    residual: FloatArray,
    columns: FloatArray,
    time: FloatArray,
    run: IntArray,
    coarse: Mask,
    spent: float,
    *,
    order: int,
) -> Whitening:
    """The whitening that `residual` asks for, with a walk if that makes it likelier.

    `columns` are what was fitted (their tangents where the fit is not linear), `time` that of each row
    on the run's span from −1 to 1.
    """
    plain = whitening_of(residual, run, coarse, spent, order=order)
    best, least = plain, plain.cost(residual, columns)
    step = np.abs(np.diff(time, append=time[-1:]))
    unit = float(np.median(step))
    if unit <= 0.0 or residual.size < LEAST_GROUP:
        return plain
    white = np.ones(residual.size)
    if min(coarse.sum(), (~coarse).sum()) >= LEAST_GROUP:
        # Rows merged from many stand for more time than the others, and are as much quieter.
        white[coarse] = np.median(step[~coarse]) / max(float(np.median(step[coarse])), 1e-12)
    lengths = _lengths(columns)
    found: float | None = None

    def tried(rate: float) -> None:
        nonlocal best, least, found
        walk = Walk.of(time, white, rate / unit)
        left, _ = straightened(walk.apply(residual), walk.apply(columns), lengths)
        trial = Whitening(residual.size, whitening_of(left, run, coarse, spent, order=order).groups, walk)
        cost = trial.cost(residual, columns)
        if cost < least:
            best, least, found = trial, cost, rate

    for rate in WALK_RATES:
        tried(rate)
    if found is not None:
        for rate in (found / 3.0, found * 3.0):
            tried(rate)
    return best


def straightened(x: FloatArray, columns: FloatArray, lengths: FloatArray) -> tuple[FloatArray, float]:
    """What `columns` do not follow of x, and ln det of their normal matrix when each is divided by its length."""
    a = columns / lengths[:, None]
    values, vectors = np.linalg.eigh(a @ a.T)
    known = values > 1e-12 * values[-1]
    basis = (vectors[:, known] / np.sqrt(values[known])).T @ a
    return x - (basis @ x) @ basis, float(np.log(values[known]).sum())


def _lengths(columns: FloatArray) -> FloatArray:
    return np.maximum(np.sqrt((columns**2).sum(1)), 1e-300)


def _group(x: FloatArray, run: IntArray, rows: IntArray, share: float, order: int) -> NoiseGroup:
    """The autoregression of the order that BIC chooses, by the equations of Yule and Walker."""
    total = max(float(x @ x), 1e-30)
    variance = total / (x.size * share)
    most = min(order, MOST_ORDER, x.size // 25)
    rho = np.ones(most + 1)
    for lag in range(1, most + 1):
        same = run[lag:] == run[:-lag]
        pairs = max(int(same.sum()), 1)
        # Every fitted parameter has taken about one N-th off each correlation.
        rho[lag] = float((x[lag:] * x[:-lag])[same].sum()) / total * x.size / pairs + 0.5 * (1.0 - share)
    sigma = float(np.sqrt(variance))
    best, best_score = NoiseGroup(rows, run, sigma, sigma, np.zeros(0)), 0.0
    for p in range(1, most + 1):
        phi = np.asarray(solve_toeplitz(rho[:p], rho[1 : p + 1]), dtype=np.float64)
        left = 1.0 - float(phi @ rho[1 : p + 1])
        if not 1e-9 < left <= 1.0:
            break
        score = x.size * float(np.log(left)) + p * float(np.log(x.size))
        if score < best_score:
            best, best_score = NoiseGroup(rows, run, sigma * float(np.sqrt(left)), sigma, phi), score
    return best
