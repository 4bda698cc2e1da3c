"""The least standard uncertainty of B_C that any unbiased estimator can reach on a run: the Cramér–Rao bound.

F = (2Δt/e_n²) Σ J Jᵀ over both channels with every nuisance free. A lock-in's filter can be undone, so it costs nothing
as long as rows come faster than it; slower rows alias noise, which `row_variance` counts.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import lfilter

from .hall_bench import HallRun, fine_path
from .hall_sample import Truth, resistances


@dataclass(frozen=True)
class Bound:
    """Standard uncertainties in tesla; `coercive_T` is of (up + down)/2, `wary_T` the same with trapped flux unknown."""

    coercive_T: float
    up_T: float
    down_T: float
    wary_T: float = np.nan


def row_variance(truth: Truth, row_s: float) -> float:
    """Variance of one row as a slow signal sees it: e_n²/2Δt, and the noise that sampling folds down."""
    m = np.arange(-2000, 2001)
    folded = np.sum((1 + (2 * np.pi * m * truth.time_constant_s / row_s) ** 2) ** -float(truth.poles))
    return truth.noise_ohm_per_root_Hz**2 / (2 * row_s) * folded


TRAPPED = ("trapped_T", "trapped_scale_T")
LOGARITHMIC = ("width_T", "spin_T", "trapped_scale_T")
# So weak that they only keep the matrix regular where the run does not fix a combination: a factor of ten, an ohm.
VAGUE = 2.3


def parameters(truth: Truth) -> dict[str, tuple[float, float | None]]:
    """Name → step of the numerical derivative and standard uncertainty of what is known before, or None."""
    free: dict[str, tuple[float, float | None]] = {
        "up_T": (2e-4, None), "down_T": (2e-4, None), "ahe_ohm": (1e-3 * abs(truth.ahe_ohm), None),
        "width_T": (1e-2, VAGUE), "misalignment": (1e-3, 0.3), "offset_ohm": (1e-2, 100.0),
        "drift_ohm_per_s": (1e-6, 1.0), "offset_xx_ohm": (1e-2, 100.0), "drift_xx_ohm_per_s": (1e-6, 1.0),
        "wal": (1e-4, 0.1), "delay_s": (1e-2, truth.prior_delay_s),
    }  # fmt: skip
    if truth.wal:
        free["wal_T"] = (1e-2, VAGUE)
    for band in range(len(truth.n_m2)):
        free[f"n_{band}"] = (1e-3, VAGUE)
        free[f"mobility_{band}"] = (1e-3, VAGUE)
    free |= {"spin_ohm": (1e-2, 100.0), "spin_T": (1e-2, VAGUE)}
    free |= {"trapped_T": (1e-4, 0.1), "trapped_scale_T": (1e-2, VAGUE)}
    if truth.grid_T:
        del free["delay_s"]
    return free


def moved(truth: Truth, name: str, step: float) -> Truth:
    if name.startswith(("n_", "mobility_")):
        key = "n_m2" if name.startswith("n_") else "mobility_m2_per_Vs"
        values = list(getattr(truth, key))
        values[int(name[-1])] *= 1 + step
        return replace(truth, **{key: tuple(values)})
    value = getattr(truth, name)
    return replace(truth, **{name: value * (1 + step) if name in (*LOGARITHMIC, "wal_T") else value + step})


def jacobian(truth: Truth, t: np.ndarray, B: np.ndarray, v: np.ndarray) -> dict[str, np.ndarray]:
    """Derivative of (R_xy, R_xx) at the rows by each parameter, shape (2, rows)."""
    if truth.shape == "relays":  # a staircase has no derivative; its major branches are these
        truth = replace(truth, shape="erf")
    zero, one = np.zeros_like(t), np.ones_like(t)
    J = {"offset_xx_ohm": np.array([zero, one]), "drift_xx_ohm_per_s": np.array([zero, t - t.mean()])}
    trapping = truth if truth.trapped_T else replace(truth, trapped_T=1e-3, trapped_scale_T=0.4)
    for name, (step, _) in parameters(truth).items():
        if name in J:
            continue
        if name == "delay_s":
            high, low = (np.array(resistances(B - s * step * v, t, truth)) for s in (1, -1))
        else:
            near = trapping if name in TRAPPED else truth
            high, low = (np.array(resistances(B, t, moved(near, name, s * step))) for s in (1, -1))
        J[name] = (high - low) / (2 * step)
    return J


def fisher(J: np.ndarray, variance: float, walk_variance: float) -> np.ndarray:
    """Information of rows with white noise and, if `walk_variance` per row is not zero, a random walk; J (p, 2, rows)."""
    if walk_variance:  # the innovations of the steady Kalman filter of a level that walks are white
        q = walk_variance / variance
        p = (q + np.sqrt(q * q + 4 * q)) / 2
        gain = p / (p + 1)
        J = lfilter([1.0, -1.0], [1.0, -(1 - gain)], J, axis=-1)
        variance = variance * (p + 1)
    flat = J.reshape(len(J), -1)
    return flat @ flat.T / variance


def inverse(F: np.ndarray) -> np.ndarray:
    """Inverse of an information matrix whose parameters have very different units."""
    scale = 1 / np.sqrt(np.diag(F))
    return np.linalg.pinv(F * np.outer(scale, scale), rcond=1e-14, hermitian=True) * np.outer(scale, scale)


def bound(run: HallRun, *, variance: float | None = None, most_rows: int = 12_000) -> Bound:
    """The bound of a run over the rows that it kept; `variance` of a row (ohm²) if it is not to follow from the filter."""
    truth = run.truth
    good = run.frame[np.isfinite(run.frame["R_xy_ohm"]) & np.isfinite(run.frame["field_T"])]
    t_rows = good["time_s"].to_numpy()
    stride = max(1, len(t_rows) // most_rows)
    t = t_rows[::stride]
    grid, _, magnet = fine_path(truth)
    B, v = np.interp(t, grid, magnet), np.interp(t, grid, np.gradient(magnet, grid))
    J = jacobian(truth, t, B, v)
    names = list(J)
    columns = np.array([J[name] for name in names])
    if not truth.start_T:  # the shape of a virgin curve is nobody's to know: its rows tell nothing of B_C
        columns = columns[:, :, np.argmax(np.abs(B) > truth.coercive_T + 4 * truth.width_T) :]
    if "R_xx_ohm" not in run.frame:
        columns[:, 1] = 0.0
    row_s = float(np.median(np.diff(t_rows)))
    variance = row_variance(truth, row_s) if variance is None else variance
    F = fisher(columns, variance / stride, truth.walk_ohm_per_root_s**2 * row_s * stride)
    priors = parameters(truth)
    F += np.diag([1 / priors[name][1] ** 2 if priors[name][1] else 0.0 for name in names])
    known = [k for k, name in enumerate(names) if truth.trapped_T or name not in TRAPPED]
    sides = [names.index("up_T"), names.index("down_T")]
    wary = inverse(F)[np.ix_(sides, sides)]
    C = inverse(F[np.ix_(known, known)])[np.ix_([known.index(k) for k in sides], [known.index(k) for k in sides])]
    return Bound(*map(float, (np.sqrt(C.sum()) / 2, *np.sqrt(np.diag(C)), np.sqrt(wary.sum()) / 2)))
