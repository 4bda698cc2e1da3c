"""Readings of samples with four contacts, made from physics alone, with what was put in.

The half-plane: a current I into a and out of b makes V(x) = (I R_s/π) ln |(x − b)/(x − a)| on the rim. A rectangle is
the half-plane through the sine of Jacobi: its corners lie at −1/k, −1, 1, 1/k where width/height = 2K(k)/K'(k).
Shares nothing with the estimators: neither van der Pauw's equation nor the series.
"""

from dataclasses import dataclass, field
from math import log, pi, sqrt

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ellipk

E_C = 1.602176634e-19
EIGHT = ("12,34", "21,43", "34,12", "43,21", "23,41", "32,14", "41,23", "14,32")


def corners(width_over_height: float) -> dict[int, float]:
    """Where the corners 1 to 4 (1-2 below) of a rectangle lie on the edge of the half-plane."""
    wanted = log(width_over_height)
    m = brentq(lambda x: log(2.0 * ellipk(x) / ellipk(1.0 - x)) - wanted, 1e-12, 1.0 - 1e-12, xtol=1e-16)
    k = sqrt(m)
    return {1: -1.0, 2: 1.0, 3: 1.0 / k, 4: -1.0 / k}


def rim_ohm(label: str, places: dict[int, float], sheet_ohm: float) -> float:
    """(V_l − V_k)/I for the current into i and out of j, label "ij,kl"."""
    i, j, *voltage = (places[int(c)] for c in label if c.isdigit())
    potential = [log(abs((x - j) / (x - i))) for x in voltage]
    return sheet_ohm / pi * (potential[1] - potential[0])


@dataclass
class Square:
    """A square of √(R_x R_y) = `sheet_ohm`, R_x/R_y = `anisotropy`; noise of one reading, EMF of the leads, gain."""

    sheet_ohm: float = 700.0
    anisotropy: float = 1.0
    noise_ohm: float = 0.5
    emf_ohm: float = 0.0  # EMF of each lead over the current
    gain_u: float = 0.0
    seed: int = 0
    labels: tuple[str, ...] = EIGHT
    repeats: int = 1
    scale: dict[str, float] = field(default_factory=dict)  # by which a reading is wrong

    @property
    def pair_ohm(self) -> tuple[float, float]:
        places = corners(sqrt(self.anisotropy))
        return rim_ohm("12,34", places, self.sheet_ohm), rim_ohm("23,41", places, self.sheet_ohm)

    def frame(self, with_u: bool = True) -> pd.DataFrame:
        rng = np.random.default_rng([self.seed, 20])
        places = corners(sqrt(self.anisotropy))
        emf = self.emf_ohm * rng.standard_normal(5)
        gain = 1.0 + self.gain_u * rng.standard_normal()
        rows = []
        for label in self.labels * self.repeats:
            *_, low, high = (int(c) for c in label if c.isdigit())
            true = rim_ohm(label, places, self.sheet_ohm) * gain * self.scale.get(label, 1.0)
            # With the current reversed by exchanging its leads, the EMF does not change sign.
            rows.append((label, true + emf[high] - emf[low] + self.noise_ohm * rng.standard_normal()))
        frame = pd.DataFrame(rows, columns=["configuration", "R_ohm"])
        if with_u:
            frame["R_u_ohm"] = self.noise_ohm
        return frame


@dataclass
class HallLoopRun:
    """Loops of R_13,24 and R_24,13 read in turns while the field sweeps."""

    density_per_m2: float = 2.3e17
    ahe_ohm: float = 1.0
    coercive_T: float = 0.047
    width_T: float = 0.03
    even_ohm: float = 20.0  # α R_xx(0); grows with B²
    curvature: float = 0.0  # of the Hall slope: relative change at full field
    noise_ohm: float = 0.05
    offset_ohm: float = 0.0  # of R_13,24 alone
    correlated: int = 1  # readings of one configuration over which its noise is a moving average
    span_T: float = 2.0
    rate_T_per_s: float = 2e-3
    period_s: float = 2.0
    frozen: float = 0.0  # part of the moment that does not turn
    seed: int = 0

    def long(self) -> pd.DataFrame:
        rng = np.random.default_rng([self.seed, 21])
        legs = [(self.span_T, -self.span_T), (-self.span_T, self.span_T)]
        rows, time = [], 0.0
        count = int(2.0 * self.span_T / self.rate_T_per_s / self.period_s)
        for number, (start, stop) in enumerate(legs):
            for step in range(count):
                b = start + (stop - start) * step / count
                up = 1.0 if stop > start else -1.0
                m = (1.0 - self.frozen) * np.tanh((b - up * self.coercive_T) / self.width_T) + self.frozen
                slope = 1.0 / (E_C * self.density_per_m2)
                odd = slope * b * (1.0 + self.curvature * (b / self.span_T) ** 2) + self.ahe_ohm * m
                even = self.even_ohm * (1.0 + 0.05 * (b / self.span_T) ** 2)
                first = step % 2 == 0
                value = odd + even + self.offset_ohm if first else -odd + even
                rows.append((time, b, number, "13,24" if first else "24,13", value))
                time += self.period_s
        frame = pd.DataFrame(rows, columns=["time_s", "field_T", "leg", "configuration", "R_ohm"])
        for first in (True, False):
            mine = (frame["configuration"] == "13,24") == first
            white = rng.standard_normal(int(mine.sum()) + self.correlated)
            noise = np.convolve(white, np.ones(self.correlated) / sqrt(self.correlated), mode="valid")
            frame.loc[mine, "R_ohm"] += self.noise_ohm * noise[: int(mine.sum())]
        return frame
