"""Residuals that remember their neighbours: what a least squares fit must be told about a filtered, drifting signal.

The fit stays ordinary least squares; its covariance is C = H JᵀΣJ H with Σ from the residuals' own autocorrelation.
A sandwich built from the residuals row by row sees too few of them near the crossing and promises too much.
"""

from dataclasses import dataclass

import numpy as np

from .models import FloatArray

MOST_LAGS = 40


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviation of one unit-weight residual and its autocorrelation at lags 1, 2, ... inside a leg."""

    sigma: float
    correlation: FloatArray

    @property
    def inflation(self) -> float:
        """1 + 2 Σρ: how many rows do the work of one independent row."""
        return max(0.3, 1.0 + 2.0 * float(self.correlation.sum()))


def noise_of(residual: FloatArray, leg: FloatArray, spent: float) -> Noise:
    """Noise of weighted residuals ordered in time inside each leg, after `spent` fitted parameters.

    Lags are kept as far as the correlation stands out of its own error 2/√N, at most N/20 and 40, and then tapered.
    """
    size = residual.size
    variance = float(residual @ residual) / max(size - spent, 1.0)
    if size < 20 or variance <= 0.0:
        return Noise(float(np.sqrt(max(variance, 1e-24))), np.zeros(0))
    total = float(residual @ residual)
    correlation: list[float] = []
    for lag in range(1, min(max(2, size // 20), MOST_LAGS)):
        same = leg[lag:] == leg[:-lag]
        rho = float((residual[lag:] * residual[:-lag])[same].sum()) / total
        # The fit has eaten low frequencies: each spent parameter takes about one N-th off every lag.
        rho += spent / size
        if rho < 2.0 / np.sqrt(size) and lag > 2:
            break
        correlation.append(min(rho, 0.98))
    rho = np.array(correlation)
    taper = 1.0 - np.arange(1, rho.size + 1) / (rho.size + 6.0) * 0.5
    return Noise(float(np.sqrt(variance)), rho * taper)


def meat(jacobian: FloatArray, leg: FloatArray, noise: Noise) -> FloatArray:
    """JᵀΣJ / (σ² inflation) for rows ordered in time inside each leg."""
    out = jacobian.T @ jacobian
    for lag, rho in enumerate(noise.correlation, start=1):
        same = leg[lag:] == leg[:-lag]
        cross = rho * ((jacobian[lag:] * same[:, None]).T @ jacobian[:-lag])
        out = out + cross + cross.T
    return np.asarray(out / noise.inflation)
