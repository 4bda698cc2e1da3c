"""Curie and Weiss: m = H (C/(T − θ) + χ0), fitted in m, where noise is even, and not in 1/χ, where it is not.

χ0 is always free: a substrate's diamagnetism bends 1/χ as a θ would. The law is asked of windows that begin at 20, 50
and 100 K; where θ depends on the window by more than 3 σ there is no θ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.records import Measured
from .models import BOHR_MAGNETON_J_PER_T, BOLTZMANN_J_PER_K, FloatArray, Mask
from .temperature_branches import Branch
from .whitening import LinearFit, fit_linear

MU_0 = 1.25663706127e-6  # N/A²
LADDER_K = (20.0, 50.0, 100.0)
WINDOW_SIGMA = 3.0
LEAST_ROWS = 12
LEAST_RATIO = 1.5  # of the highest to the lowest temperature of a window
MOST_BENT = 0.25  # u(θ)/(T − θ) at the window's lowest T, beyond which an interval of θ is not symmetrical


@dataclass(frozen=True, slots=True)
class Rung:
    """One window of the ladder: its lowest temperature, (C, θ, χ0) in m³ K, K, m³, and their covariance."""

    lowest_K: float
    p: FloatArray
    covariance: FloatArray
    rows: int

    def value(self, index: int) -> Measured:
        """One of C, θ, χ0 with its standard uncertainty."""
        return Measured(float(self.p[index]), float(np.sqrt(self.covariance[index, index])))


@dataclass(frozen=True)
class CurieWeiss:
    """The fit of the widest window, all windows, and why it may not be claimed (empty if it may)."""

    rungs: tuple[Rung, ...]
    reason: str

    @property
    def claimed(self) -> bool:
        """True when θ does not depend on the window."""
        return not self.reason

    def moment_Am2(self, temperature_K: FloatArray, field_T: float) -> FloatArray:
        """The fitted curve of the widest window."""
        curie, theta, chi0 = self.rungs[0].p
        return field_T / MU_0 * (curie / (temperature_K - theta) + chi0)


def fit_curie_weiss(branches: Sequence[Branch], field_T: float, above_K: float) -> CurieWeiss:
    """Fit the rows of all branches above `above_K`; `field_T` is for rows that do not carry their own."""
    lowest = [max(LADDER_K[0], above_K)]
    lowest += [rung for rung in LADDER_K[1:] if rung > 1.3 * lowest[0]]
    rungs: list[Rung] = []
    for bottom_K in lowest:
        rung = _fit(branches, field_T, bottom_K)
        if rung is None:
            break
        rungs.append(rung)
    return CurieWeiss(tuple(rungs), _why_not(rungs, lowest[0]))


def effective_moment(curie_m3_K: Measured, ions: Measured) -> Measured:
    """µ_eff per ion in µB from C = µ0 N µ_eff²/(3 k), e.g. Ashcroft & Mermin, eq. 31.46."""
    moment = np.sqrt(3.0 * BOLTZMANN_J_PER_K * curie_m3_K.value / (MU_0 * ions.value)) / BOHR_MAGNETON_J_PER_T
    relative = 0.5 * np.hypot(curie_m3_K.u / curie_m3_K.value, ions.u / ions.value)
    return Measured(float(moment), float(moment * relative))


def _why_not(rungs: list[Rung], lowest_K: float) -> str:
    if not rungs:
        return f"too few rows above {lowest_K:.0f} K, or no curvature, for a Curie–Weiss law"
    first = rungs[0]
    curie, theta = first.value(0), first.value(1)
    if curie.value < 5.0 * curie.u:
        return "m does not fall with temperature as a Curie–Weiss law does: C is not 5 times its uncertainty"
    if theta.u > MOST_BENT * (first.lowest_K - theta.value):
        return f"θ is not determined: ±{theta.u:.0f} K from rows above {first.lowest_K:.0f} K"
    if len(rungs) == 1:
        return "only one window of the ladder has rows enough: whether θ depends on the window cannot be tested"
    for rung in rungs[1:]:
        other = rung.value(1)
        # A fit of part of the rows differs from that of all by the difference of the variances (Hausman, 1978).
        spread = np.sqrt(max(other.u**2 - theta.u**2, (0.3 * other.u) ** 2))
        if abs(other.value - theta.value) > WINDOW_SIGMA * spread:
            return (
                f"θ depends on the window: {theta.value:.1f} ± {theta.u:.1f} K above {first.lowest_K:.0f} K, "
                f"{other.value:.1f} ± {other.u:.1f} K above {rung.lowest_K:.0f} K; this is no Curie–Weiss law"
            )
    return ""


def _fit(branches: Sequence[Branch], field_T: float, bottom_K: float) -> Rung | None:
    taken = [branch.take(branch.temperature_K >= bottom_K) for branch in branches]
    taken = [branch for branch in taken if branch.size]
    if not taken:
        return None
    t = np.concatenate([branch.temperature_K for branch in taken])
    m = np.concatenate([branch.moment_Am2 for branch in taken])
    h = np.concatenate([np.where(np.isnan(b.field_T), field_T, b.field_T) for b in taken]) / MU_0
    starts = np.concatenate([np.arange(branch.size) == 0 for branch in taken])
    if t.size < LEAST_ROWS or t.max() < LEAST_RATIO * t.min():
        return None
    given = all(branch.moment_u_Am2.size for branch in taken)
    sigma = np.concatenate([branch.moment_u_Am2 for branch in taken]) if given else np.ones(t.size)
    # Units of order one: a moment is 1e-8 A m² and a field 1e5 A/m.
    scale = float(np.abs(m).max()) or 1.0
    y, gain = m / scale, h
    fit = _newton(t, y, gain, sigma, starts, _start(t, y, gain, sigma))
    for _ in range(0 if given else 3):
        if fit is None:
            break
        sigma = _spread(y, y - _curve(t, gain, fit.p), sigma)
        fit = _newton(t, y, gain, sigma, starts, float(fit.p[1]))
    if fit is None:
        return None
    # Back from the unit that made the moments of order one.
    unit = np.array([scale, 1.0, scale])
    return Rung(bottom_K, fit.p * unit, fit.covariance * np.outer(unit, unit), t.size)


def _curve(t: FloatArray, gain: FloatArray, p: FloatArray) -> FloatArray:
    return gain * (p[0] / (t - p[1]) + p[2])


def _start(t: FloatArray, y: FloatArray, gain: FloatArray, sigma: FloatArray) -> float:
    """The best θ of a grid; C and χ0 are linear."""
    best, least = 0.0, np.inf
    bottom = float(t.min())
    for theta in bottom - np.geomspace(0.05 * bottom, 20.0 * bottom, 50):
        design = np.column_stack([gain / (t - theta), gain]) / sigma[:, None]
        scale = np.abs(design).max(axis=0)
        p = np.linalg.lstsq(design / scale, y / sigma, rcond=None)[0]
        rss = float((((design / scale) @ p - y / sigma) ** 2).sum())
        if rss < least:
            best, least = float(theta), rss
    return best


def _newton(
    t: FloatArray, y: FloatArray, gain: FloatArray, sigma: FloatArray, starts: Mask, theta: float
) -> LinearFit | None:
    bottom = float(t.min())
    for step in range(12):
        linear = np.column_stack([gain / (t - theta), gain]) / sigma[:, None]
        scale = np.abs(linear).max(axis=0)
        curie = float((np.linalg.lstsq(linear / scale, y / sigma, rcond=None)[0] / scale)[0])
        bent = gain * curie / (t - theta) ** 2 / sigma
        design = np.column_stack([linear[:, 0], bent, linear[:, 1]])
        try:
            fit = fit_linear(design, y / sigma, starts)
        except np.linalg.LinAlgError:
            return None
        move = float(fit.p[1])
        if abs(move) < 1e-3 * np.sqrt(fit.covariance[1, 1]) or step == 11:
            p = fit.p.copy()
            p[1] = theta + move
            return LinearFit(p, fit.covariance, fit.sigma, fit.rho, fit.freedom)
        theta += float(np.clip(move, -0.5 * (bottom - theta), 0.5 * (bottom - theta)))
    return None


def _spread(y: FloatArray, residual: FloatArray, before: FloatArray) -> FloatArray:
    """σ of every row from the residuals, σ² = s0² + (r m)²: a SQUID's noise grows with the moment."""
    square = residual**2
    floor, share = float(np.median(square)) / 0.455, 0.0
    for _ in range(20):
        variance = floor + share * y**2
        weight = variance**-2.0
        design = np.column_stack([np.ones_like(y), y**2])
        normal = (design * weight[:, None]).T @ design
        try:
            floor, share = (float(part) for part in np.linalg.solve(normal, (design * weight[:, None]).T @ square))
        except np.linalg.LinAlgError:
            return before
        if floor <= 0.0:
            floor, share = 1e-3 * float(square.mean()), max(share, 0.0)
        if share <= 0.0:
            floor, share = float(np.average(square, weights=weight)), 0.0
    return np.sqrt(floor + share * y**2)
