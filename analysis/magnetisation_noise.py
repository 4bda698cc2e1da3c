"""How far a moment scatters, when the run does not say it, or wrongly: from each point against its neighbours."""

import numpy as np

from .models import FloatArray, Mask

GROUP = 24  # points of alike |H| that share one σ
CORRELATED = 3.5  # standard deviations of a correlation of neighbours that is only chance
BELIEVED = (0.25, 4.0)  # scatter over stated σ between which the stated σ is only scaled


def sigma_from_scatter(residual: FloatArray, field_T: FloatArray, leg: FloatArray) -> FloatArray:
    """σ of every point as a function of |H|, from residuals of any fit that follows the curve roughly.

    A SQUID is noisier at high field (its range, its magnet) and in proportion to the moment; both go with |H|.
    """
    size = np.abs(field_T)
    order = np.argsort(size, kind="stable")
    count = max(1, residual.size // GROUP)
    if count < 2:
        return np.full(residual.size, noise_from_neighbours(residual, field_T, leg))
    z = _smoother(residual, field_T, leg)
    centres: list[float] = []
    sigmas: list[float] = []
    for rows in np.array_split(order, count):
        own = z[rows][np.isfinite(z[rows])]
        if own.size >= 6:
            centres.append(float(np.median(size[rows])))
            sigmas.append(_typical(own))
    if not sigmas:
        return np.full(residual.size, noise_from_neighbours(residual, field_T, leg))
    floor = 0.05 * float(np.median(sigmas))
    return np.asarray(np.exp(np.interp(size, centres, np.log(np.maximum(sigmas, max(floor, 1e-300))))))


def noise_from_neighbours(residual: FloatArray, field_T: FloatArray, leg: FloatArray) -> float:
    """Noise of residuals that a smooth misfit does not enter: from each point against its neighbours."""
    z = _smoother(residual, field_T, leg)
    z = z[np.isfinite(z)]
    return robust_sd(z) if z.size >= 8 else robust_sd(residual)


def together(residual: FloatArray, field_T: FloatArray, leg: FloatArray) -> bool:
    """True when neighbouring residuals run together along the legs by more than chance: the model's shape is wrong.

    All points count, but none as more than 4 σ: lost points are wild alone, a wrong shape is wrong in company.
    """
    if residual.size < 10:
        return False
    held = np.clip(residual / noise_from_neighbours(residual, field_T, leg), -4.0, 4.0)
    pairs = leg[1:] == leg[:-1]
    return float((held[1:] * held[:-1])[pairs].sum() / (held @ held)) > CORRELATED / np.sqrt(residual.size)


def spikes(residual: FloatArray, field_T: FloatArray, leg: FloatArray, limit: float = 8.0) -> Mask:
    """Points that stand out from both neighbours by `limit` σ, more than these stand out themselves."""
    bad = np.zeros(residual.size, dtype=bool)
    for _ in range(3):
        kept = np.nonzero(~bad)[0]
        z = np.nan_to_num(np.abs(against_neighbours(residual[kept], field_T[kept], leg[kept], 1)))
        highest = z >= np.maximum(np.append(z[1:], 0.0), np.insert(z[:-1], 0, 0.0))
        wild = highest & (z > limit * robust_sd(z[z > 0.0])) if (z > 0.0).any() else np.zeros(z.size, dtype=bool)
        if not wild.any():
            break
        bad[kept[wild]] = True
    return bad


def _smoother(residual: FloatArray, field_T: FloatArray, leg: FloatArray) -> FloatArray:
    """Each point against the line of two or the cubic of four neighbours, whichever scatters less in all."""
    tried = [against_neighbours(residual, field_T, leg, reach) for reach in (1, 2)]
    size = [robust_sd(z[np.isfinite(z)]) if np.isfinite(z).sum() >= 8 else np.inf for z in tried]
    return tried[int(np.argmin(size))]


def against_neighbours(residual: FloatArray, field_T: FloatArray, leg: FloatArray, reach: int) -> FloatArray:
    """Each point against the polynomial through `reach` neighbours on each side, in units of one point's noise.

    NaN at the ends of legs, and where neighbours share a field.
    """
    size = residual.size
    out = np.full(size, np.nan)
    if size < 2 * reach + 1:
        return out
    offsets = [k for k in range(-reach, reach + 1) if k]
    centre = np.arange(reach, size - reach)
    x = np.stack([field_T[centre + k] - field_T[centre] for k in offsets])
    weights = np.ones_like(x)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for i in range(len(offsets)):
            for j in range(len(offsets)):
                if i != j:
                    weights[i] *= x[j] / (x[j] - x[i])
    # Neighbours that share a field, or nearly, have no polynomial through them.
    weights = np.where((np.abs(weights) < 1e9).all(axis=0), weights, 1e9)
    predicted = (weights * np.stack([residual[centre + k] for k in offsets])).sum(axis=0)
    z = (residual[centre] - predicted) / np.sqrt(1.0 + (weights**2).sum(axis=0))
    # Where steps are so unequal that the prediction is an extrapolation the point says little.
    good = (leg[centre + reach] == leg[centre - reach]) & np.isfinite(z) & (np.abs(weights).max(axis=0) < 3.0)
    out[centre] = np.where(good, z, np.nan)
    return out


def _typical(z: FloatArray) -> float:
    """Standard deviation without the largest tenth, restored for a normal distribution."""
    squares = np.sort(z**2)
    kept = squares[: max(4, int(0.9 * squares.size))]
    # The smallest 90 % of the squares of a normal variable have mean 0.6228.
    return float(np.sqrt(kept.mean() / (0.6228 if kept.size < squares.size else 1.0)))


def robust_sd(x: FloatArray) -> float:
    """Standard deviation that a third of wrong points does not move: from the median, then clipped at 3 σ."""
    sd = 1.4826 * float(np.median(np.abs(x)))
    for _ in range(4):
        kept = x[np.abs(x) < 3.0 * sd]
        if kept.size < 4:
            break
        # A normal sample clipped at 3 σ keeps 0.9866 of its standard deviation.
        sd = float(np.sqrt(np.mean(kept**2))) / 0.9866
    return max(sd, 1e-12)
