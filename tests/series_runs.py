"""Series with a known truth: entries with noise of their own, and parts that they share."""

from dataclasses import dataclass

import numpy as np

FIG_3A_UC = (2.0, 3.0, 4.0, 5.0, 7.0, 9.0, 12.0, 15.0, 20.0, 25.0, 30.0)


@dataclass
class SeriesRun:
    """y = plateau − rise max(x0 − x, 0) + slope x, or its smooth approach; an offset and a scale that all share."""

    x: tuple[float, ...] = FIG_3A_UC
    plateau: float = 10.0
    rise: float = 0.8
    x0: float = 11.0
    slope: float = 0.0
    smooth: float = 0.0  # length of an exponential approach instead
    noise: float = 0.25
    offset_u: float = 0.0
    scale_u: float = 0.0
    x_u: float = 0.0
    understated: float = 1.0
    seed: int = 0

    def truth(self, x: np.ndarray) -> np.ndarray:
        if self.smooth:
            return self.plateau * (1.0 - np.exp(-x / self.smooth))
        return self.plateau - self.rise * np.maximum(self.x0 - x, 0.0) + self.slope * x

    def draw(self):
        """(x read, y, whole u, {source: part of each})."""
        rng = np.random.default_rng([self.seed, 30])
        x = np.array(self.x)
        clean = self.truth(x)
        y = clean * (1.0 + self.scale_u * rng.standard_normal()) + self.offset_u * rng.standard_normal()
        y = y + self.noise * self.understated * rng.standard_normal(x.size)
        parts = {"offset": np.full(x.size, self.offset_u), "calibration": self.scale_u * y}
        parts = {name: part for name, part in parts.items() if np.any(part)}
        u = np.sqrt(np.full(x.size, self.noise**2) + sum(part**2 for part in parts.values()))
        return x + self.x_u * rng.standard_normal(x.size), y, u, parts
