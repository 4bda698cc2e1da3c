"""How far m_FC and m_ZFC are apart, up to which temperature, and where m_ZFC has its maximum.

T_irr is the highest temperature where (m_FC − m_ZFC)/|m_FC − m_sub| exceeds 2 % and 3 σ on a mean of five rows. Its
value is where the smooth curve through the rows passes through the 2 %, which is finer than the rows.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks
from scipy.special import ndtri

from ..core.records import Measured
from .models import FloatArray
from .smooth_curve import crossing, maximum
from .temperature_branches import Branch
from .whitening import fit_linear

LEAST_RATIO = 0.02
ABOUT_EQUAL, LEAST_EQUAL = 6.0, 20  # neighbours' scatters between branches, and rows, to learn their noise from
LEAST_SIGMA = 3.0
FALSE_CLAIMS = 0.01  # of curves that agree
ROWS = 5  # of a running mean
EDGE_ROWS = 3
PROMINENCE_SIGMA = 6.0
SPIKE_SIGMA = 7.0
MOST_U = 0.25  # of a temperature, to be told


@dataclass(frozen=True)
class Gap:
    """m_FC − m_ZFC on the temperatures of the ZFC branch that both cover, with the noise of both; (n,) arrays.

    `size_Am2` is |m_FC − m_sub|; `mean_ratio` and `mean_ratio_u` are over five rows, NaN at the ends.
    """

    temperature_K: FloatArray
    difference_Am2: FloatArray
    u_Am2: FloatArray
    size_Am2: FloatArray
    mean_ratio: FloatArray
    mean_ratio_u: FloatArray

    @property
    def ratio(self) -> FloatArray:
        """The gap over the size of m_FC, signed as the gap along m_FC."""
        return self.difference_Am2 / self.size_Am2


@dataclass(frozen=True, slots=True)
class Temperature:
    """A temperature that was found, or (None) the sentence that says why there is none."""

    value: Measured | None
    sentence: str = ""
    never_closes: bool = False


def row_noise(branch: Branch) -> FloatArray:
    """σ of every row (A m²): the median deviation from the line through the neighbours, stretch by stretch."""
    deviation, weight = _deviations(branch)
    if deviation.size == 0:
        return np.full(branch.size, np.nan)
    spread = np.abs(deviation) / weight
    stretches = np.array_split(np.arange(spread.size), max(min(6, spread.size // 20), 1))
    level = [1.4826 * float(np.median(spread[rows])) for rows in stretches]
    where = [float(rows.mean()) + 1.0 for rows in stretches]
    floor = 1e-9 * float(np.abs(branch.moment_Am2).max())
    return np.maximum(np.interp(np.arange(branch.size), where, level), max(floor, 1e-30))


def _deviations(branch: Branch) -> tuple[FloatArray, FloatArray]:
    """Rows less the line through their neighbours in temperature, and the standard deviation of that per σ of a row."""
    t, m = branch.temperature_K, branch.moment_Am2
    if t.size < 3:
        return np.zeros(0), np.zeros(0)
    wide = t[2:] - t[:-2]
    share = np.divide(t[1:-1] - t[:-2], wide, out=np.full(wide.size, 0.5), where=wide != 0.0)
    share = np.clip(share, -1.0, 2.0)
    line = (1.0 - share) * m[:-2] + share * m[2:]
    return m[1:-1] - line, np.sqrt(1.0 + share**2 + (1.0 - share) ** 2)


def without_spikes(branch: Branch) -> tuple[Branch, tuple[str, ...]]:
    """A branch without lone wild rows, and sentences: how many, and where the moment steps and stays."""
    deviation, weight = _deviations(branch)
    if deviation.size < 8:
        return branch, ()
    sigma = row_noise(branch)[1:-1] * weight
    size = np.abs(deviation)
    beside = np.maximum(np.append(size[1:], 0.0), np.append(0.0, size[:-1]))
    wild = (size > SPIKE_SIGMA * sigma) & (size > 1.6 * beside)
    notes: list[str] = []
    if wild.any():
        notes.append(f"{wild.sum()} rows of {branch.name} stand out from their neighbours and are left out")
    # A step leaves two deviations of one size and opposite signs.
    pair = (size[:-1] > SPIKE_SIGMA * sigma[:-1]) & (size[1:] > SPIKE_SIGMA * sigma[1:])
    pair &= (deviation[:-1] * deviation[1:] < 0.0) & ~wild[:-1] & ~wild[1:]
    pair &= np.abs(size[:-1] - size[1:]) < 0.4 * np.maximum(size[:-1], size[1:])
    for row in np.flatnonzero(pair)[:3]:
        step = deviation[row + 1] - deviation[row]
        at = float(branch.temperature_K[row + 1])
        notes.append(f"m_{branch.name} steps by {step:.2g} A m² at {at:.1f} K: it is not corrected")
    keep = np.ones(branch.size, dtype=np.bool_)
    keep[1:-1] = ~wild
    return branch.take(keep), tuple(notes)


def sorted_branch(branch: Branch) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Temperature, moment and σ in order of temperature; rows of one temperature become their mean."""
    order = np.argsort(branch.temperature_K, kind="stable")
    t, m, u = branch.temperature_K[order], branch.moment_Am2[order], row_noise(branch)[order]
    places, first, count = np.unique(t, return_index=True, return_counts=True)
    return places, np.add.reduceat(m, first) / count, np.sqrt(np.add.reduceat(u**2, first)) / count


def gap_between(zfc: Branch, fc: Branch, substrate_Am2: float) -> Gap:
    """FC on the temperatures of ZFC by straight lines between its rows, the noise of both rows propagated."""
    t, z, z_u = sorted_branch(zfc)
    ft, f, f_u = sorted_branch(fc)
    inside = (t >= ft[0]) & (t <= ft[-1])
    t, z, z_u = t[inside], z[inside], z_u[inside]
    left = np.clip(np.searchsorted(ft, t, side="right") - 1, 0, ft.size - 2)
    share = (t - ft[left]) / (ft[left + 1] - ft[left])
    cooled = (1.0 - share) * f[left] + share * f[left + 1]
    size = np.maximum(np.abs(cooled - substrate_Am2), 1e-30)
    # A gap is positive when m_FC lies beyond m_ZFC on its own side of the substrate.
    difference = (cooled - z) * np.where(cooled >= substrate_Am2, 1.0, -1.0)
    u = np.sqrt(z_u**2 + ((1.0 - share) * f_u[left]) ** 2 + (share * f_u[left + 1]) ** 2)
    mean, mean_u = _means(difference / size, u / size)
    return Gap(t, difference, u, size, mean, mean_u)


def _means(ratio: FloatArray, u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Running means of five rows and their noise, which is more than that of rows where the noise has memory."""
    mean, mean_u = np.full(ratio.size, np.nan), np.full(ratio.size, np.nan)
    if ratio.size < ROWS:
        return mean, mean_u
    ones = np.ones(ROWS)
    middle = slice(ROWS // 2, ratio.size - ROWS // 2)
    mean[middle] = np.convolve(ratio, ones, "valid") / ROWS
    mean_u[middle] = np.sqrt(np.convolve(u**2, ones, "valid")) / ROWS
    mean_u *= _memory(ratio / u)
    return mean, mean_u


def _memory(standard: FloatArray) -> float:
    """How much more the mean of five rows scatters than rows of their neighbours' scatter would make it (at least 1).

    `standard` is in units of what neighbours scatter. What a smooth curve leaves of it tells the noise that neighbours
    share, which their differences do not show. Only where the branches about agree: elsewhere nothing is so smooth.
    """
    level = np.convolve(standard, np.full(ROWS, 1.0 / ROWS), mode="same")
    standard = standard[np.abs(level) < ABOUT_EQUAL]
    if standard.size < LEAST_EQUAL:
        return 1.0
    order = int(np.clip(standard.size // 12, 1, 8))
    x = np.linspace(-1.0, 1.0, standard.size)
    try:
        powers: FloatArray = np.asarray(np.polynomial.legendre.legvander(x, order), dtype=np.float64)
        fit = fit_linear(powers, standard, np.arange(standard.size) == 0)
    except np.linalg.LinAlgError:
        return 1.0
    lags = np.abs(np.subtract.outer(np.arange(ROWS), np.arange(ROWS)))
    # A curve that is not smooth enough would pass for memory: the noise of neighbours bounds it.
    sigma = min(fit.sigma, 1.0 / np.sqrt(max(1.0 - fit.rho, 0.03)) * 1.3)
    return max(sigma * float(np.sqrt((max(fit.rho, 0.0) ** lags).sum() / ROWS)), 1.0)


def bifurcation(gap: Gap) -> Temperature:
    """T_irr, or why there is none."""
    count = int(np.isfinite(gap.mean_ratio).sum())
    if count < ROWS:
        return Temperature(None, "the branches have too few temperatures in common for T_irr")
    # 3 σ is reached by chance once in a few hundred means: a long curve needs more.
    least_sigma = max(LEAST_SIGMA, float(-ndtri(FALSE_CLAIMS * ROWS / count)))
    apart = (gap.mean_ratio > LEAST_RATIO) & (gap.mean_ratio > least_sigma * gap.mean_ratio_u)
    if not apart.any():
        limit = float(np.nanmedian(np.abs(gap.mean_ratio) + 2.0 * gap.mean_ratio_u))
        return Temperature(None, f"no irreversibility: the branches agree within {max(limit, 1e-4):.2%}")
    last = int(np.flatnonzero(apart)[-1])
    top_K = float(gap.temperature_K[-1])
    if last >= gap.temperature_K.size - 1 - ROWS // 2 - EDGE_ROWS:
        ratio = Measured(float(gap.mean_ratio[last]), float(gap.mean_ratio_u[last]))
        return Temperature(
            None,
            f"no T_irr below {top_K:.0f} K: the branches are still {ratio.value:.1%} ± {ratio.u:.1%} apart there",
            never_closes=True,
        )
    y = gap.difference_Am2 - LEAST_RATIO * gap.size_Am2
    place = crossing(np.log(gap.temperature_K), y, gap.u_Am2, float(np.log(gap.temperature_K[last])))
    found = None if place is None else _out_of_log(place)
    if found is None or found.u > MOST_U * found.value or not gap.temperature_K[0] < found.value < top_K:
        return Temperature(None, "the gap closes too slowly, or is too noisy, to say where it passes 2 %")
    return Temperature(found)


def _out_of_log(log_K: Measured) -> Measured:
    """Blocking spreads by factors, not by kelvins: over ln T a curve is equally smooth everywhere."""
    value = float(np.exp(log_K.value))
    return Measured(value, value * log_K.u)


def zfc_maximum(zfc: Branch) -> tuple[Temperature, str]:
    """The most prominent maximum of m_ZFC inside the curve, or why there is none; and a warning if it is broad."""
    t, m, u = sorted_branch(zfc)
    if t.size < 3 * ROWS:
        return Temperature(None, "m_ZFC has too few rows for a maximum"), ""
    ones = np.ones(ROWS) / ROWS
    mean, middle = np.convolve(m, ones, "valid"), t[ROWS // 2 : t.size - ROWS // 2]
    mean_u = np.sqrt(np.convolve(u**2, ones**2, "valid"))
    blocks = mean[::ROWS]
    if blocks.size >= 8:
        apart = np.abs(blocks[1:-1] - 0.5 * (blocks[:-2] + blocks[2:])) / np.sqrt(1.5)
        mean_u *= min(max(1.4826 * float(np.median(apart / mean_u[::ROWS][1:-1])), 1.0), 5.0)
    peaks, found = find_peaks(mean, prominence=PROMINENCE_SIGMA * float(np.median(mean_u)))
    if not peaks.size:
        return Temperature(None, _edge(mean, middle)), ""
    top = int(peaks[np.argmax(found["prominences"])])
    if top < EDGE_ROWS or top >= mean.size - EDGE_ROWS:
        return Temperature(None, _edge(mean, middle)), ""
    place = maximum(np.log(t), m, u, float(np.log(middle[top])))
    at = None if place is None else _out_of_log(place)
    if at is None or at.u > MOST_U * at.value or not t[0] < at.value < t[-1]:
        return Temperature(None, "m_ZFC has a maximum that is too broad, or too noisy, to be placed"), ""
    high = middle[mean > mean[top] - 0.02 * abs(float(mean[top]))]
    broad = ""
    if np.ptp(high) > 0.4 * at.value:
        broad = f"the maximum of m_ZFC is broad: between {high.min():.0f} and {high.max():.0f} K it is within 2 %"
    return Temperature(at), broad


def _edge(mean: FloatArray, middle: FloatArray) -> str:
    edge_K = middle[0] if int(np.argmax(mean)) < mean.size / 2 else middle[-1]
    return f"m_ZFC has no maximum inside the curve: it is largest at its edge, near {edge_K:.0f} K"


def thermometer_lag(warm: Branch, cool: Branch, above_K: float) -> Measured | None:
    """Reading on warming less reading on cooling at one temperature of the sample, by the slope of m(T).

    Rows above `above_K` are used. None where the branches do not overlap enough, or m does not depend on temperature.
    """
    t, w, _ = sorted_branch(warm)
    ct, c, _ = sorted_branch(cool)
    inside = (t >= max(ct[0], above_K)) & (t <= ct[-1])
    if inside.sum() < 4 * ROWS:
        return None
    ones = np.ones(ROWS) / ROWS
    smooth_t, smooth_c = np.convolve(ct, ones, "valid"), np.convolve(c, ones, "valid")
    slope = np.interp(t[inside], smooth_t, np.gradient(smooth_c, smooth_t))
    difference = w[inside] - np.interp(t[inside], ct, c)
    starts = np.arange(int(inside.sum())) == 0
    scale = float(np.abs(slope).max()) or 1.0
    try:
        fit = fit_linear(-slope[:, None] / scale, difference / scale, starts)
    except np.linalg.LinAlgError:
        return None
    return Measured(float(fit.p[0]), fit.u(0))
