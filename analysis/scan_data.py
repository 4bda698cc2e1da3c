"""From rows of a raw scan to points that can be fitted: what is no number is left out, the background subtracted."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from .models import FloatArray
from .scan_model import Points, sweeps_of

RAILED_ROWS = 3


@dataclass(frozen=True)
class Scan:
    """Positions (m) and voltages (V) of one passage through the coils, (n,) each, in the order taken."""

    position_m: FloatArray
    voltage_V: FloatArray


def points_of(scan: Scan, background: Scan | None, gain: float) -> tuple[Points, tuple[str, ...], str, float]:
    """Points less background and over K; notes; a fault that forbids a fit; the background's share of the noise power.

    Raises:
        ValueError: arrays are not two of one length, or the background does not reach over the scan.
    """
    z, volts, notes = _finite(scan, "scan")
    fault = "the output was at its limit (overload) in part of the scan: use a larger range" if _railed(volts) else ""
    share = 0.0
    if background is not None and z.size:
        behind_z, behind, more = _finite(background, "background")
        notes += more
        if _railed(behind):
            fault = fault or "the background's output was at its limit (overload)"
        whole = _noise_power(volts)
        volts = volts - _interpolated(z, behind_z, behind)
        share = min(_noise_power(behind) / max(_noise_power(volts), whole, 1e-300), 0.9)
    return Points(z, volts / gain, sweeps_of(z)), notes, fault, share


def _finite(scan: Scan, name: str) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
    z, volts = (np.asarray(x, dtype=np.float64) for x in (scan.position_m, scan.voltage_V))
    if z.ndim != 1 or z.shape != volts.shape:
        raise ValueError(f"{name}: position_m {z.shape} and voltage_V {volts.shape} must be two columns of one length")
    good = np.isfinite(z) & np.isfinite(volts)
    left_out = int(z.size - good.sum())
    notes = (f"{left_out} of {z.size} rows of the {name} are no numbers and are left out",) if left_out else ()
    return z[good], volts[good], notes


def _railed(volts: FloatArray) -> bool:
    """True when the output stays at its extreme for rows on end, while elsewhere it never stays."""
    if volts.size < 4:
        return False
    same = np.diff(volts) == 0.0
    for extreme in (volts.min(), volts.max()):
        at = volts == extreme
        on_end = np.convolve(at, np.ones(RAILED_ROWS), "valid").max() >= RAILED_ROWS
        elsewhere = int((same & ~at[1:]).sum())
        if on_end and elsewhere <= 0.1 * volts.size:
            return True
    return False


def _noise_power(volts: FloatArray) -> float:
    """Variance of white noise, from second differences: a scan is smooth over three rows."""
    if volts.size < 5:
        return 0.0
    # 1.4826 makes the median deviation a standard deviation; 1 + 4 + 1 rows add up in a second difference.
    return float(1.4826 * np.median(np.abs(np.diff(volts, 2)))) ** 2 / 6.0


def _interpolated(z: FloatArray, behind_z: FloatArray, behind: FloatArray) -> FloatArray:
    """The background at the scan's positions, sweep by sweep where both have as many."""
    if behind_z.shape == z.shape and np.allclose(behind_z, z, rtol=0.0, atol=1e-9):
        return behind
    sweep, behind_sweep = sweeps_of(z), sweeps_of(behind_z)
    numbers, others = np.unique(sweep), np.unique(behind_sweep)
    out = np.zeros_like(z)
    for number in numbers:
        mine = sweep == number
        theirs = behind_sweep == number if len(numbers) == len(others) else behind_sweep == others[0]
        places, first = np.unique(behind_z[theirs], return_index=True)
        edge_m = 0.02 * float(np.ptp(places)) if places.size else 0.0
        if places.size < 4 or z[mine].min() < places[0] - edge_m or z[mine].max() > places[-1] + edge_m:
            low, high = (places[0] * 1e3, places[-1] * 1e3) if places.size else (0.0, 0.0)
            raise ValueError(
                f"the background covers {low:.1f} to {high:.1f} mm, the scan {z[mine].min() * 1e3:.1f} to "
                f"{z[mine].max() * 1e3:.1f} mm: measure the background over the whole scan"
            )
        out[mine] = CubicSpline(places, behind[theirs][first])(z[mine])
    return out
