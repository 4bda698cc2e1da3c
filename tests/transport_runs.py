"""Magnetotransport sweeps made from the equations, to try the transport estimators on; shares no code with them.

Two (or one, or three) like carriers by the conductivity tensor written out, a hysteretic anomalous Hall term from a
sum of relays, a paramagnetic S-shape, weak localisation's even term, misaligned contacts, offset, drift, a readback
that leads the sample, and noise that is white, filtered by a lock-in, or walks.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.special import ndtri

E_C = 1.602176634e-19


@dataclass(frozen=True)
class Truth:
    """One run. The defaults are the reference's 5 K set over ±15 T: R_s = 694 Ω, slope 39.9 → 34.4 Ω/T."""

    densities_per_m2: tuple[float, ...] = (1.8e17, 0.5e17)
    mobilities_m2_per_Vs: tuple[float, ...] = (0.025, 0.09)
    turns_T: tuple[float, ...] = (0.0, 15.0, -15.0, 15.0, 0.0)
    step_T: float = 0.03
    row_s: float = 3.0
    ahe_ohm: float = 0.75
    coercive_T: float = 0.047
    spread_T: float = 0.02
    paramagnet_ohm: float = 0.0
    paramagnet_T: float = 1.5
    localization: float = 0.0
    localization_T: float = 0.1
    magnetoresistance_per_T: float = 0.0  # a linear |B| term in R_xx that no band explains
    misalignment: float = 0.02
    offset_ohm: float = 0.2
    drift_ohm: float = 0.0  # over the run
    delay_s: float = 0.0
    noise_ohm: float = 0.02
    correlation: float = 0.0  # of neighbouring rows' noise
    walk_ohm: float = 0.0  # step of a random walk per row
    sign: float = 1.0
    temperature_K: float = 5.0
    seed: int = 0


def tensor(field_T, truth: Truth):
    """(ρ_xx, ρ_xy) per square."""
    xx = np.zeros_like(field_T)
    xy = np.zeros_like(field_T)
    for n, mu in zip(truth.densities_per_m2, truth.mobilities_m2_per_Vs, strict=True):
        xx += E_C * n * mu / (1.0 + (mu * field_T) ** 2)
        xy += E_C * n * mu**2 * field_T / (1.0 + (mu * field_T) ** 2)
    return xx / (xx**2 + xy**2), xy / (xx**2 + xy**2)


def relays(field_T, truth: Truth):
    """m along the sweep from a demagnetised start: 400 relays with up threshold c + u and down threshold −c + u."""
    c = np.maximum(truth.coercive_T + 0.7071 * truth.spread_T * ndtri((np.arange(20) + 0.5) / 20), 1e-6)
    u = 0.7071 * truth.spread_T * ndtri((np.arange(20) + 0.5) / 20)
    cc, uu = (grid.ravel() for grid in np.meshgrid(c, u))
    state = np.where(uu > 0.0, -1.0, 1.0)
    out = np.empty_like(field_T)
    for k, b in enumerate(field_T):
        state[b >= cc + uu] = 1.0
        state[b <= -cc + uu] = -1.0
        out[k] = state.mean()
    return out


def frame(truth: Truth) -> pd.DataFrame:
    """The rows of the run as the journal keeps them."""
    rng = np.random.default_rng([truth.seed, 77])
    pieces, legs = [], []
    for number, (start, stop) in enumerate(pairwise(truth.turns_T)):
        count = max(2, round(abs(stop - start) / truth.step_T))
        pieces.append(np.linspace(start, stop, count, endpoint=False))
        legs.append(np.full(count, number))
    read_T, leg = np.concatenate(pieces), np.concatenate(legs)
    time_s = truth.row_s * np.arange(read_T.size)
    # The sample sees what the readback said `delay_s` ago.
    field_T = np.interp(time_s - truth.delay_s, time_s, read_T)
    xx, xy = tensor(field_T, truth)
    xx = xx * (1.0 + 0.5 * truth.localization * np.log1p((field_T / truth.localization_T) ** 2))
    xx = xx * (1.0 + truth.magnetoresistance_per_T * np.abs(field_T))
    if truth.ahe_ohm:
        xy = xy + truth.ahe_ohm * relays(field_T, truth)
    if truth.paramagnet_ohm:
        x = np.where(np.abs(field_T) < 1e-6, 1e-6, field_T) / truth.paramagnet_T
        xy = xy + truth.paramagnet_ohm * (1.0 / np.tanh(x) - 1.0 / x)
    xy = truth.sign * xy + truth.misalignment * xx + truth.offset_ohm
    xy = xy + truth.drift_ohm * time_s / time_s[-1]
    noisy = []
    for clean in (xx, xy):
        noise = rng.normal(0.0, truth.noise_ohm, clean.size)
        if truth.correlation:
            rho = truth.correlation
            for k in range(1, noise.size):
                noise[k] = rho * noise[k - 1] + np.sqrt(1.0 - rho**2) * noise[k]
        if truth.walk_ohm:
            noise = noise + np.cumsum(rng.normal(0.0, truth.walk_ohm, clean.size))
        noisy.append(clean + noise)
    kelvin = truth.temperature_K + rng.normal(0.0, 2e-3, read_T.size)
    return pd.DataFrame(
        {
            "time_s": time_s, "leg": leg, "field_T": read_T, "temperature_K": kelvin, "R_xx_ohm": noisy[0],
            "R_xy_ohm": noisy[1], "flags": "",
        }
    )  # fmt: skip


def draw(seed: int, *, base: Truth) -> Truth:
    """`base` with what an experimenter cannot choose drawn at random."""
    rng = np.random.default_rng([seed, 3])
    spread = np.exp(rng.uniform(-0.2, 0.2, 4))
    return replace(
        base,
        densities_per_m2=tuple(n * k for n, k in zip(base.densities_per_m2, spread[:2], strict=False)),
        mobilities_m2_per_Vs=tuple(mu * k for mu, k in zip(base.mobilities_m2_per_Vs, spread[2:], strict=False)),
        ahe_ohm=base.ahe_ohm * rng.uniform(0.7, 1.3),
        coercive_T=base.coercive_T * rng.uniform(0.85, 1.15),
        misalignment=rng.uniform(-0.03, 0.03),
        offset_ohm=rng.uniform(-1.0, 1.0),
        drift_ohm=base.drift_ohm * rng.uniform(-1.0, 1.0),
        localization=base.localization * rng.uniform(0.3, 1.0),
        localization_T=rng.uniform(0.05, 0.2),
        seed=seed,
    )


def at_temperature(kelvin: float, *, base: Truth) -> Truth:
    """`base` warmed: phonons, bands that mix above 35 K, and an anomalous term that is gone at 8 K."""
    phonons = (kelvin / 300.0) ** 2.4 / 7e-4
    low, high = (1.0 / (1.0 / mu + phonons) for mu in base.mobilities_m2_per_Vs)
    high = low * (high / low) ** (1.0 / (1.0 + (kelvin / 35.0) ** 4))
    ahe = 2.0 * max(0.0, 1.0 - kelvin / 8.0)
    return replace(base, mobilities_m2_per_Vs=(low, high), ahe_ohm=ahe, temperature_K=kelvin)
