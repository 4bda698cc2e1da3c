"""A Hall loop made from scratch, to try the estimator on: a second writing of the physics, sharing no code with it.

What a lock-in, a magnet and a field readback would have given is computed on a fine time grid: two like carriers,
a relay ensemble, contact misalignment, drift, white noise through n poles, a sample field that lags the readback,
trapped flux that remembers the last large field, and a supply that stops at zero current.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtri

COLUMNS = (
    "time_s", "leg", "field_set_T", "field_T", "field_time_s", "temperature_K", "x_xx_V", "y_xx_V", "x_xy_V", "y_xy_V",
    "time_xx_s", "R_xx_ohm", "R_xy_ohm", "flags",
)  # fmt: skip

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """Everything that makes one synthetic run; the defaults are a quiet 5 K sample at ±1 T and 2 mT/s."""

    turns_T: tuple[float, ...] = (1.0, -1.0, 1.0, 0.0)
    rate_T_per_s: float = 2e-3
    row_s: float = 1.0
    coercive_T: float = 0.047
    coercive_spread_T: float = 0.012
    bias_spread_T: float = 0.012
    ahe_ohm: float = 0.8
    second_step: tuple[float, float] = (0.0, 0.0)  # (share, coercive field) of a second population
    lag_s: float = 1.2
    trapped_T: float = 1e-3
    trapped_scale_T: float = 0.3
    trapped_start: float = 1.0  # sign of the last large field before the run; 0 for a fresh magnet
    memory_T: float = 1.0  # a field beyond this renews the trapped flux
    zero_T: float = 4e-5
    misalignment: float = 0.02
    offset_ohm: float = 0.3
    drift_ohm_per_s: float = 1e-6
    random_walk_ohm: float = 0.0  # per square root of an hour
    noise_ohm_per_rtHz: float = 0.02
    time_constant_s: float = 0.3
    poles: int = 4
    densities: tuple[float, float] = (1.8e17, 0.5e17)
    mobilities: tuple[float, float] = (0.025, 0.09)
    localization: float = 0.002
    localization_T: float = 0.1
    resolution_T: float = 1e-4
    seed: int = 0

    @property
    def width_T(self) -> float:
        """The width of the tanh whose slope at the crossing is that of the ensemble."""
        return 1.253 * float(np.hypot(self.coercive_spread_T, self.bias_spread_T))

    @property
    def crossing_T(self) -> float:
        """Where the rising branch of the ensemble crosses zero: the median of the up thresholds."""
        return float(np.median(thresholds(self)[0]))

    @property
    def bound_T(self) -> float:
        """About the best standard error of one crossing that any estimator can have: (e_n/A) sqrt(0.375 w v)."""
        return self.noise_ohm_per_rtHz / abs(self.ahe_ohm) * float(np.sqrt(0.375 * self.width_T * self.rate_T_per_s))


STEP_S = 0.05


def ramp(truth: Truth, rng: np.random.Generator) -> FloatArray:
    """The current's field on the fine grid: dwells at the turns and a stop at every zero crossing."""
    stops = [0.0]
    for turn in truth.turns_T:
        if stops[-1] * turn < 0.0:
            stops.append(0.0)
        stops.append(turn)
    pieces = [np.zeros(int(20 / STEP_S))]
    for start, stop in pairwise(stops):
        count = max(2, round(abs(stop - start) / truth.rate_T_per_s / STEP_S))
        pieces.append(np.linspace(start, stop, count + 1)[1:])
        pause = rng.uniform(2.0, 4.0) if stop == 0.0 else rng.uniform(5.0, 30.0)
        pieces.append(np.full(int(pause / STEP_S), stop))
    return np.concatenate(pieces)


def thresholds(truth: Truth) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Up and down thresholds of the relays, and their bias u."""
    c = truth.coercive_T + truth.coercive_spread_T * ndtri((np.arange(96) + 0.5) / 96)
    if truth.second_step[0] > 0.0:
        c[:: max(1, round(1 / truth.second_step[0]))] += truth.second_step[1] - truth.coercive_T
    c = np.maximum(c, 1e-6)
    u = truth.bias_spread_T * ndtri((np.arange(48) + 0.5) / 48)
    cc, uu = (grid.ravel() for grid in np.meshgrid(c, u, indexing="ij"))
    return cc + uu, -cc + uu, uu


def relays(field: FloatArray, truth: Truth) -> FloatArray:
    """m(t) of the ensemble from a demagnetised start, piece by piece between the turns of the field."""
    up, down, uu = thresholds(truth)
    state = np.where(uu > 0.0, -1.0, 1.0)
    m = np.empty_like(field)
    direction = np.sign(np.diff(field, append=field[-1]))
    moving = np.flatnonzero(direction)
    turns = moving[1:][direction[moving[1:]] != direction[moving[:-1]]]
    edges = [0, *turns.tolist(), field.size]
    for first, last in pairwise(edges):
        piece = field[first:last]
        rising = piece[-1] >= piece[0]
        if rising:
            waiting = np.sort(up[state < 0.0])
            switched = np.searchsorted(waiting, np.maximum.accumulate(piece), side="right")
            m[first:last] = state.mean() + 2.0 * switched / state.size
            state = np.where(up <= piece.max(), 1.0, state)
        else:
            waiting = np.sort(-down[state > 0.0])
            switched = np.searchsorted(waiting, np.maximum.accumulate(-piece), side="right")
            m[first:last] = state.mean() - 2.0 * switched / state.size
            state = np.where(down >= piece.min(), -1.0, state)
    return m


def trapped(field: FloatArray, truth: Truth) -> FloatArray:
    large = np.where(np.abs(field) > truth.memory_T, np.sign(field), 0.0)
    last = np.maximum.accumulate(np.where(large != 0.0, np.arange(field.size), -1))
    sign = np.where(last >= 0, large[np.maximum(last, 0)], truth.trapped_start)
    return -sign * truth.trapped_T / (1.0 + (field / truth.trapped_scale_T) ** 2)


def poles(signal: FloatArray, time_constant_s: float, count: int) -> FloatArray:
    """`count` equal RC poles by the bilinear rule, whose delay is exactly count × time_constant_s."""
    if time_constant_s <= 0.0:
        return signal
    k = 2.0 * time_constant_s / STEP_S
    b, a = np.array([1.0, 1.0]) / (1.0 + k), np.array([1.0, (1.0 - k) / (1.0 + k)])
    for _ in range(count):
        start = signal[0] * (1.0 - b[0])
        signal, _ = lfilter(b, a, signal, zi=np.array([start]))
    return signal


def bands(field: FloatArray, truth: Truth) -> tuple[FloatArray, FloatArray]:
    """(R_xx, R_xy) from the complex conductivity σ = Σ n e µ / (1 − iµB) of circular currents."""
    pairs = zip(truth.densities, truth.mobilities, strict=True)
    rho = 1.0 / np.asarray(sum(1.602176634e-19 * n * mu / (1.0 - 1j * mu * field) for n, mu in pairs))
    return rho.real, -rho.imag


def frame(truth: Truth) -> pd.DataFrame:
    """The rows of the run."""
    rng = np.random.default_rng(truth.seed)
    current_T = ramp(truth, rng)
    time_s = np.arange(current_T.size) * STEP_S
    magnet_T = poles(current_T, truth.lag_s, 1)
    field_T = magnet_T + trapped(magnet_T, truth) + truth.zero_T
    r_xx, r_xy = bands(field_T, truth)
    r_xx = r_xx * (1.0 + 0.5 * truth.localization * np.log1p((field_T / truth.localization_T) ** 2))
    r_xy = r_xy + truth.ahe_ohm * relays(field_T, truth) + truth.misalignment * r_xx + truth.offset_ohm
    r_xy = r_xy + truth.drift_ohm_per_s * time_s
    if truth.random_walk_ohm > 0.0:
        r_xy = r_xy + np.cumsum(rng.normal(0.0, truth.random_walk_ohm * np.sqrt(STEP_S / 3600.0), time_s.size))
    white = truth.noise_ohm_per_rtHz * np.sqrt(0.5 / STEP_S)
    r_xy = poles(r_xy + rng.normal(0.0, white, time_s.size), truth.time_constant_s, truth.poles)
    r_xx = poles(r_xx + rng.normal(0.0, white, time_s.size), truth.time_constant_s, truth.poles)

    read_s = np.arange(1.0, time_s[-1], truth.row_s)
    read_s = read_s + rng.uniform(-0.02, 0.02, read_s.size)
    field_s = read_s - rng.uniform(0.05, 0.4, read_s.size)
    xx_s = read_s + 0.05
    readback_T = np.round(np.interp(field_s, time_s, current_T) / truth.resolution_T) * truth.resolution_T
    xy, xx = np.interp(read_s, time_s, r_xy), np.interp(xx_s, time_s, r_xx)
    current_A = 1e-6
    return pd.DataFrame(
        {
            "time_s": read_s, "leg": np.zeros(read_s.size, dtype=int), "field_set_T": readback_T, "field_T": readback_T,
            "field_time_s": field_s, "temperature_K": 5.0 + rng.normal(0.0, 1e-3, read_s.size),
            "x_xx_V": xx * current_A, "y_xx_V": 0.0, "x_xy_V": xy * current_A, "y_xy_V": 0.0, "time_xx_s": xx_s,
            "R_xx_ohm": xx, "R_xy_ohm": xy, "flags": "",
        },
        columns=list(COLUMNS),
    )  # fmt: skip


def draw(seed: int, *, base: Truth) -> Truth:
    """`base` with its nuisances drawn at random: what an experimenter cannot choose."""
    rng = np.random.default_rng([seed, 1])
    spread = rng.uniform(0.014, 0.024)
    share = rng.uniform(0.2, 0.8)
    return replace(
        base,
        coercive_T=rng.uniform(0.040, 0.053),
        coercive_spread_T=spread * np.sqrt(share),
        bias_spread_T=spread * np.sqrt(1.0 - share),
        ahe_ohm=base.ahe_ohm * rng.uniform(0.75, 1.25),
        lag_s=rng.uniform(0.0, 3.0),
        trapped_T=rng.uniform(0.0, 2e-3),
        trapped_scale_T=rng.uniform(0.2, 0.5),
        trapped_start=float(rng.choice([-1.0, 0.0, 1.0])),
        misalignment=rng.uniform(-0.03, 0.03),
        offset_ohm=rng.uniform(-1.0, 1.0),
        drift_ohm_per_s=rng.normal(0.0, 3e-3) / 3600.0,
        noise_ohm_per_rtHz=float(np.exp(rng.uniform(np.log(0.01), np.log(0.05)))),
        localization=rng.uniform(0.0, 0.004),
        localization_T=rng.uniform(0.05, 0.2),
        seed=seed,
    )
