"""What is true of a Hall run, and what the sample answers to a field with a history. Formulas only, SI.

Nothing here is shared with the estimators or with the virtual laboratory: it is what they are judged by.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import brentq
from scipy.special import erf, ndtri

CHARGE_C = 1.602176634e-19


@dataclass(frozen=True)
class Truth:
    """Everything that makes a run, SI. `up_T` and `down_T` are magnitudes: the loop crosses zero at +up and −down."""

    # The sweep: set points in turn from the start, rates by |B| (limit, rate), seconds spent at each set point.
    start_T: float = 0.0
    turns_T: tuple[float, ...] = (1.0, -1.0, 1.0, 0.0)
    rates: tuple[tuple[float, float], ...] = ((np.inf, 2e-3),)
    dwell_s: float = 20.0
    pause: tuple[float, float] | None = None  # at this field on leg 1 the sweep stands still, for so many seconds
    grid_T: tuple[float, float] | None = None  # step and settle: pitch below 0.2 T, pitch above
    settle_s: float = 0.0
    # The loop
    ahe_ohm: float = 0.7
    up_T: float = 0.047
    down_T: float = 0.047
    width_T: float = 0.030
    shape: str = "tanh"
    skew: float = 1.0
    second_step_w: float = 2.0
    share_c: float = 0.5  # relays: the part of the variance that is of coercivity, the rest is of interaction
    # The carriers, the other terms
    n_m2: tuple[float, ...] = (1.8e17, 0.5e17)
    mobility_m2_per_Vs: tuple[float, ...] = (0.025, 0.09)
    wal: float = 0.0
    wal_T: float = 0.1
    spin_ohm: float = 0.0
    spin_T: float = 1.0
    misalignment: float = 0.0
    offset_ohm: float = 0.0
    drift_ohm_per_s: float = 0.0
    walk_ohm_per_root_s: float = 0.0
    # The magnet
    trapped_T: float = 0.0
    trapped_scale_T: float = 0.4
    magnet_lag_s: float = 0.0
    # The instruments
    noise_ohm_per_root_Hz: float = 0.1
    time_constant_s: float = 0.3
    poles: int = 4
    row_s: float = 0.5
    readback_age_s: float = 0.0  # the field reading is this old when it is told
    field_offset_s: float = 0.0  # and is asked for this long after the voltage
    resolution_T: float = 1e-4
    readback_noise_T: float = 1e-5
    expect: str = "resolved"
    prior_delay_s: float | None = 1.5

    @property
    def coercive_T(self) -> float:
        return (self.up_T + self.down_T) / 2


# History


def one_sided_ramps(B: np.ndarray) -> list[slice]:
    """The monotone pieces of a path."""
    sign = np.sign(np.diff(B))
    moving = np.flatnonzero(sign)
    turns = moving[1:][sign[moving[1:]] != sign[moving[:-1]]]
    edges = [0, *turns.tolist(), len(B)]
    return [slice(a, b) for a, b in pairwise(edges) if b > a]


def remembered(B: np.ndarray, rising, falling, start: float = 0.5) -> np.ndarray:
    """The share that points up along a path: relays that switch in one order up and in the same order down.

    `rising(B)` and `falling(B)` are the shares on the two major branches; going up the share only grows, down only falls.
    """
    share = np.empty(len(B))
    now = start
    for piece in one_sided_ramps(B):
        path = B[piece]
        share[piece] = np.maximum(now, rising(path)) if path[-1] >= path[0] else np.minimum(now, falling(path))
        now = share[piece][-1]
    return share


# The sample


def branch(x: np.ndarray, truth: Truth) -> np.ndarray:
    """m on the rising major branch at (B − up)/w: −1 … +1, zero at 0, slope near 1 at 0."""
    if truth.shape == "tanh":
        return np.tanh(x)
    if truth.shape in ("erf", "relays"):
        return erf(np.sqrt(np.pi) / 2 * x)
    if truth.shape == "gumbel":

        def gumbel(y):
            return 2 * np.exp(-np.exp(-np.clip(y / np.log(2) - np.log(np.log(2)), -30, None))) - 1

        return gumbel(x) if truth.skew > 0 else -gumbel(-x)
    if truth.shape == "two-step":

        def steps(y):
            return 0.65 * np.tanh(y) + 0.35 * np.tanh(y - truth.second_step_w)

        return steps(x + brentq(steps, -3, 3))
    raise ValueError(f"no reversal is called {truth.shape}")


def magnetisation(B: np.ndarray, truth: Truth) -> np.ndarray:
    """m along a path that begins demagnetised."""
    up = np.sign(truth.start_T)  # a run that begins in a large field begins saturated
    if truth.shape == "relays":
        return relays(B, *relay_thresholds(truth), start=up)

    def rising(path):
        return (1 + branch((path - truth.up_T) / truth.width_T, truth)) / 2

    def falling(path):
        return (1 - branch((-path - truth.down_T) / truth.width_T, truth)) / 2

    return 2 * remembered(B, rising, falling, (1 + up) / 2) - 1


def relay_thresholds(truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds up and down of 96 × 48 relays on a quantile grid; the major branches cross zero at +up and −down."""
    sigma = truth.width_T / 1.253
    q = [ndtri((np.arange(n) + 0.5) / n) for n in (96, 48)]
    centre = (truth.up_T - truth.down_T) / 2
    c = np.maximum(truth.coercive_T + sigma * np.sqrt(truth.share_c) * q[0], 1e-6)
    u = centre + sigma * np.sqrt(1 - truth.share_c) * q[1]
    c, u = (x.ravel() for x in np.meshgrid(c, u))
    return c + u, -c + u


def relays(B: np.ndarray, up: np.ndarray, down: np.ndarray, start: float = 0.0) -> np.ndarray:
    """m of an ensemble of relays along a path that begins demagnetised, or saturated up (1) or down (−1)."""
    state = np.where(up + down > 0, -1, 1)
    state[up + down == 0] = np.where(np.arange(np.sum(up + down == 0)) % 2, 1, -1)
    if start:
        state[:] = start
    m = np.empty(len(B))
    for piece in one_sided_ramps(B):
        path = B[piece]
        base = int(state.sum())  # whole numbers, so that a minor loop closes bit for bit
        if path[-1] >= path[0]:
            thresholds = np.sort(up[state < 0])
            m[piece] = (base + 2 * np.searchsorted(thresholds, path, "right")) / len(up)
            state[(state < 0) & (up <= path[-1])] = 1
        else:
            thresholds = np.sort(-down[state > 0])
            m[piece] = (base - 2 * np.searchsorted(thresholds, -path, "right")) / len(up)
            state[(state > 0) & (down >= path[-1])] = -1
    return m


def carriers(B: np.ndarray, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """ρ_xx and ρ_xy of parallel bands (ohm per square), positive ρ_xy slope for the electrons."""
    sigma_xx, sigma_xy = np.zeros_like(B), np.zeros_like(B)
    for n, mu in zip(truth.n_m2, truth.mobility_m2_per_Vs, strict=True):
        share = n * CHARGE_C * mu / (1 + (mu * B) ** 2)
        sigma_xx += share
        sigma_xy += share * mu * B
    total = sigma_xx**2 + sigma_xy**2
    xx = sigma_xx / total
    return xx * (1 + truth.wal * 0.5 * np.log1p((B / truth.wal_T) ** 2)), sigma_xy / total


def langevin(x: np.ndarray) -> np.ndarray:
    small = np.abs(x) < 1e-3
    safe = np.where(small, 1.0, x)
    return np.where(small, x / 3, 1 / np.tanh(safe) - 1 / safe)


def trapped_T(B: np.ndarray, truth: Truth) -> np.ndarray:
    """The flux left in the coil: against the last large field, gone where the field is large itself."""
    if not truth.trapped_T:
        return np.zeros_like(B)
    largest = max(abs(B) for B in (truth.start_T, *truth.turns_T))

    def rising(path):
        x = np.clip((path / largest - 0.4) / 0.5, 0, 1)
        return x * x * (3 - 2 * x)

    begun = (1 + np.sign(truth.start_T)) / 2
    sign = 2 * remembered(B, rising, lambda path: 1 - rising(-path), begun) - 1
    return -sign * truth.trapped_T / (1 + (B / truth.trapped_scale_T) ** 2)


def resistances(B_magnet: np.ndarray, t: np.ndarray, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """R_xy and R_xx along a path of the magnet's field (before what is trapped is added)."""
    B = B_magnet + trapped_T(B_magnet, truth)
    xx, xy = carriers(B, truth)
    xy = xy + truth.misalignment * xx + truth.offset_ohm + truth.drift_ohm_per_s * t
    if truth.ahe_ohm:
        xy = xy + truth.ahe_ohm * magnetisation(B, truth)
    if truth.spin_ohm:
        xy = xy + truth.spin_ohm * langevin(B / truth.spin_T)
    return xy, xx
