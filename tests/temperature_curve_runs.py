"""m(T) made from scratch, to try the analysis on: written from the formulas, sharing no code with it.

Particles that block at temperatures of a lognormal distribution (each frozen below its own), or a Curie–Weiss
paramagnet on a diamagnet, read by a magnetometer whose noise grows with the moment and may remember itself.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

MU_0 = 1.25663706127e-6
FINE_K = np.linspace(1.0, 420.0, 40_000)


@dataclass(frozen=True)
class Truth:
    """One measurement; moments in A m², temperatures in K."""

    kind: str = "blocking"  # or "curie", "agree", "gap", "kink"
    low_K: float = 5.0
    high_K: float = 300.0
    rows: int = 150
    field_T: float = 0.1
    peak_Am2: float = 1e-8
    blocking_K: float = 60.0
    spread: float = 0.35
    curie_m3_K: float = 2.5e-12
    theta_K: float = -6.0
    chi0_m3: float = -9e-15
    gap: float = 0.1  # of the moment
    kink_K: float = 120.0
    noise_Am2: float = 2e-11
    relative_noise: float = 3e-4
    correlation: float = 0.0
    lag_K: float = 0.0  # thermometer ahead of the sample on warming, behind it on cooling
    cooling: bool = False  # FC measured on cooling
    with_u: bool = False
    seed: int = 0

    @property
    def particles(self):
        """(m_ZFC, m_FC) on FINE_K: a blocked particle keeps what it had (FC) or a twentieth of it (ZFC)."""
        density = np.exp(-0.5 * (np.log(FINE_K / self.blocking_K) / self.spread) ** 2) / FINE_K
        density /= np.trapezoid(density, FINE_K)
        step = FINE_K[1] - FINE_K[0]
        loose = np.cumsum(density * FINE_K) * step / FINE_K
        frozen = 1.0 - np.cumsum(density) * step
        return self.peak_Am2 * (loose + 0.05 * frozen), self.peak_Am2 * (loose + frozen)

    def zfc(self, t):
        if self.kind == "blocking":
            return np.interp(t, FINE_K, self.particles[0])
        if self.kind == "gap":
            return self.fc(t) - self.gap * self.peak_Am2
        if self.kind == "kink":
            return self.fc(t) * (1.0 - self.gap * np.maximum(1.0 - t / self.kink_K, 0.0))
        return self.fc(t)

    def fc(self, t):
        if self.kind == "blocking":
            return np.interp(t, FINE_K, self.particles[1])
        if self.kind == "curie":
            return self.field_T / MU_0 * (self.curie_m3_K / (t - self.theta_K) + self.chi0_m3)
        return self.peak_Am2 * (1.0 - 0.3 * (t / 300.0) ** 1.5)

    @property
    def irreversibility_K(self):
        """Where the gap is 2 % of m_FC for the last time, without noise."""
        ratio = (self.fc(FINE_K) - self.zfc(FINE_K)) / np.abs(self.fc(FINE_K))
        return float(FINE_K[np.flatnonzero(ratio > 0.02)[-1]])

    @property
    def maximum_K(self):
        return float(FINE_K[np.argmax(self.zfc(FINE_K))])

    def sigma(self, m):
        return np.sqrt(self.noise_Am2**2 + (self.relative_noise * m) ** 2)


def branch(truth, name, rng):
    """One branch: temperatures not quite even, noise of a magnetometer, in the order of time."""
    t = np.sort(np.linspace(truth.low_K, truth.high_K, truth.rows) + rng.normal(0.0, 0.05, truth.rows))
    falling = name != "ZFC" and truth.cooling
    m = (truth.zfc if name == "ZFC" else truth.fc)(t)
    reading = t + (-truth.lag_K if falling else truth.lag_K) * 0.5
    white = rng.normal(size=truth.rows)
    for k in range(1, truth.rows):
        white[k] = truth.correlation * white[k - 1] + np.sqrt(1.0 - truth.correlation**2) * white[k]
    frame = pd.DataFrame(
        {"temperature_K": reading, "moment_Am2": m + truth.sigma(m) * white, "field_T": truth.field_T, "branch": name}
    )
    if truth.with_u:
        frame["moment_u_Am2"] = truth.sigma(m)
    return frame.iloc[::-1].reset_index(drop=True) if falling else frame


def frame(truth):
    """ZFC, then FC, in one frame."""
    rng = np.random.default_rng([truth.seed, 31])
    return pd.concat([branch(truth, "ZFC", rng), branch(truth, "FC", rng)], ignore_index=True)


def draw(base, seed):
    """The same kind of sample with its own temperatures and sizes."""
    rng = np.random.default_rng([seed, 32])
    return replace(
        base,
        seed=seed,
        blocking_K=base.blocking_K * float(np.exp(rng.uniform(-0.4, 0.4))),
        spread=base.spread * float(np.exp(rng.uniform(-0.3, 0.3))),
        theta_K=base.theta_K + float(rng.uniform(-6.0, 6.0)),
        curie_m3_K=base.curie_m3_K * float(np.exp(rng.uniform(-0.3, 0.3))),
        kink_K=base.kink_K * float(np.exp(rng.uniform(-0.3, 0.3))),
    )


def curie_bound(truth, above_K=20.0):
    """Least standard errors of (C, θ, χ0) from both branches above a temperature, noise white and its size known."""
    t = np.linspace(truth.low_K, truth.high_K, truth.rows)
    t = t[t >= above_K]
    h = truth.field_T / MU_0
    near = t - truth.theta_K
    columns = np.column_stack([1.0 / near, truth.curie_m3_K / near**2, np.ones_like(t)]) * h
    columns /= truth.sigma(truth.fc(t))[:, None]
    scale = np.abs(columns).max(axis=0)
    information = 2.0 * (columns / scale).T @ (columns / scale)
    return np.sqrt(np.diag(np.linalg.inv(information))) / scale


def spoil(given, seed):
    """NaN, repeated rows, spikes: what a night leaves behind."""
    rng = np.random.default_rng([seed, 33])
    rows = given.copy()
    rows.loc[rng.choice(len(rows), 8, replace=False), "moment_Am2"] = np.nan
    again = rng.choice(len(rows), 12, replace=False)
    rows = rows.loc[np.sort(np.concatenate([np.arange(len(rows)), again]))].reset_index(drop=True)
    wild = rng.choice(np.arange(10, len(rows) - 10), 4, replace=False)
    rows.loc[wild, "moment_Am2"] *= 1.2
    return rows
