"""A plain Hall measurement, from the current in the magnet to the rows of a frame.

field in time → the magnet's lag and trapped flux → R(B, history) → white noise → a lock-in of n poles → rows
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.signal import cont2discrete, lfilter

from .hall_sample import Truth, resistances

# The field


def knots(truth: Truth) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners of the commanded field in time, and the leg that each corner ends (the dwell belongs to the leg before)."""
    t, B, leg = [0.0, truth.dwell_s], [truth.start_T] * 2, [0, 0]
    for number, stop in enumerate(truth.turns_T):
        for target in _stops(B[-1], stop, truth):
            t.append(t[-1] + abs(target - B[-1]) / _rate((target + B[-1]) / 2, truth))
            B.append(target)
            leg.append(number)
            held = truth.pause and number == 1 and target == truth.pause[0]
            if truth.grid_T or held:
                t.append(t[-1] + (truth.pause[1] if held else truth.settle_s))
                B.append(target)
                leg.append(number)
        if not truth.grid_T:
            t.append(t[-1] + truth.dwell_s)
            B.append(stop)
            leg.append(number)
    return np.array(t), np.array(B), np.array(leg)


def _rate(B: float, truth: Truth) -> float:
    return next(rate for limit, rate in truth.rates if abs(B) < limit)


def _stops(start: float, stop: float, truth: Truth) -> list[float]:
    """The fields between start and stop where the rate changes, or where a stepped sweep stands still."""
    if truth.grid_T:
        fine, coarse = truth.grid_T
        largest = max(abs(B) for B in truth.turns_T)
        side = np.concatenate([np.arange(0, 0.2, fine), np.arange(0.2, largest, coarse)])
        inner = np.concatenate([-side[:0:-1], side])
    else:
        limits = [limit for limit, _ in truth.rates if np.isfinite(limit)]
        inner = np.unique([s * limit for limit in limits for s in (-1, 1)] + ([truth.pause[0]] if truth.pause else []))
    between = np.sort(inner[(inner > min(start, stop)) & (inner < max(start, stop))])
    return [*(between if stop > start else between[::-1]), stop]


# The instruments


def low_pass(x: np.ndarray, dt: float, time_constant_s: float, poles: int, hold: str = "foh") -> np.ndarray:
    """n equal poles, discretised exactly for an input that is straight (foh) or constant (zoh) between samples."""
    if not time_constant_s:
        return x
    denominator = np.array([1.0])
    for _ in range(poles):
        denominator = np.convolve(denominator, [time_constant_s, 1.0])
    b, a, _ = cont2discrete(([1.0], denominator), dt, hold)
    return x[0] + lfilter(b.ravel(), a, x - x[0])


@dataclass(frozen=True)
class HallRun:
    """A run as an experimenter has it (frame, metadata), and what is true of it."""

    frame: pd.DataFrame
    truth: Truth
    metadata: dict[str, float]


def fine_path(truth: Truth) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times fine enough for the filter, the commanded field, and the field in the magnet that follows it."""
    t_knots, B_knots, _ = knots(truth)
    dt = truth.row_s / np.ceil(truth.row_s / min(truth.time_constant_s / 4, 0.25))
    t = np.arange(0.0, t_knots[-1], dt)
    B = np.interp(t, t_knots, B_knots)
    return t, B, low_pass(B, dt, truth.magnet_lag_s, 1)


def row_times(truth: Truth, rng: np.random.Generator) -> np.ndarray:
    t_knots, _, _ = knots(truth)
    if truth.grid_T:
        return t_knots[3::2] - 1.0  # the field is asked for before the next step too
    steady = np.arange(0.5, t_knots[-1] - 1.0, truth.row_s)
    return steady + np.abs(rng.normal(0, 0.004, len(steady)))


def measure(truth: Truth, rng: np.random.Generator) -> pd.DataFrame:
    """The rows of one run, with every column; a class then drops what its laboratory does not record."""
    t, _, magnet = fine_path(truth)
    dt = t[1] - t[0]
    # A reading is one sample of the filter: between samples, one would average noise that the filter let through.
    taken = np.round(row_times(truth, rng) / dt).astype(int)
    rows = t[taken]
    density = truth.noise_ohm_per_root_Hz / np.sqrt(2 * dt)
    channels = []
    for n, clean in enumerate(resistances(magnet, t, truth)):
        seen = low_pass(clean, dt, truth.time_constant_s, truth.poles)
        hiss = rng.normal(0, density, len(t) + 512)
        seen = seen + low_pass(np.append(0.0, hiss), dt, truth.time_constant_s, truth.poles, "zoh")[-len(t) :]
        if truth.walk_ohm_per_root_s:
            seen = seen + np.cumsum(rng.normal(0, truth.walk_ohm_per_root_s * np.sqrt(dt), len(t)))
        channels.append(seen[np.minimum(taken + n * int(np.round(0.03 / dt)), len(t) - 1)])
    told = rows + truth.field_offset_s
    t_knots, B_knots, legs = knots(truth)
    B = np.interp(told - truth.readback_age_s, t_knots, B_knots) + rng.normal(0, truth.readback_noise_T, len(rows))
    return pd.DataFrame(
        {
            "time_s": rows,
            "field_time_s": told,
            "field_T": np.round(B / truth.resolution_T) * truth.resolution_T,
            "R_xy_ohm": channels[0],
            "R_xx_ohm": channels[1],
            "temperature_K": np.round(5.0 + rng.normal(0, 1e-3, len(rows)), 4),
            "leg": legs[np.searchsorted(t_knots, rows)],
            "flags": "",
        }
    )
