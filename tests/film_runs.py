"""What a gradiometer reports of a film: Biot and Savart's law around each ring, summed over points of the film.

Shares nothing with `film_geometry`: no elliptic integrals, no Gaussian nodes.
"""

from dataclasses import dataclass
from functools import cache
from math import cos, pi, radians, sin

import numpy as np

COILS = {"MPMS": (9.7e-3, 15.19e-3, 40e-3), "MPMS3": (8.5e-3, 8.0e-3, 35e-3)}
ANGLE_DEG = {"[001]": None, "[100]": 0.0, "[110]": 45.0}


def ring(radius, rho, z):
    """∮ R (R − ρ cos φ)/(R² + ρ² + z² − 2Rρ cos φ)^3/2 dφ."""
    phi = 2.0 * pi * (np.arange(48) + 0.5) / 48
    r2 = radius**2 + (rho**2 + z**2)[..., None] - 2.0 * radius * rho[..., None] * np.cos(phi)
    return (radius * (radius - rho[..., None] * np.cos(phi)) / r2**1.5).mean(axis=-1)


def signal(instrument, rho, z):
    radius, gap, _ = COILS[instrument]
    return 2.0 * ring(radius, rho, z) - ring(radius, rho, z + gap) - ring(radius, rho, z - gap)


@cache
def reported_over_true(instrument, orientation, size_m=(5e-3, 5e-3), offset_m=(0.0, 0.0), points=10, steps=41):
    grid = (np.arange(points) + 0.5) / points - 0.5
    # Midpoints have a smaller second moment than the film: spread them by as much.
    grid = grid / np.sqrt(1.0 - 1.0 / points**2)
    a, b = (side.ravel() for side in np.meshgrid(size_m[0] * grid, size_m[1] * grid))
    angle = ANGLE_DEG[orientation]
    if angle is None:
        rho, along = np.hypot(a + offset_m[0], b + offset_m[1]), np.zeros_like(a)
    else:
        c, s = cos(radians(angle)), sin(radians(angle))
        rho, along = np.hypot(c * a - s * b + offset_m[0], offset_m[1]), s * a + c * b
    z = np.linspace(-0.5, 0.5, steps) * COILS[instrument][2]
    film = signal(instrument, np.broadcast_to(rho, (steps, a.size)), z[:, None] - along).mean(axis=1)
    point = signal(instrument, np.zeros(steps), z)
    # Offset and slope away, then the projection on the point.
    flat = [v - np.polyval(np.polyfit(z, v, 1), z) for v in (film, point)]
    return float(flat[0] @ flat[1] / (flat[1] @ flat[1]))


@dataclass
class FilmRun:
    """Three mountings of one film of `moment_Am2`, larger along [001] by `out_of_plane`; sizes and offsets are drawn."""

    moment_Am2: float = 1e-8
    out_of_plane: float = 1.0
    noise_Am2: float = 1e-10
    calibration_u: float = 0.01
    size_u_m: float = 1e-4
    offset_u_m: float = 3e-4
    seed: int = 0

    def true_Am2(self, orientation: str) -> float:
        return self.moment_Am2 * (self.out_of_plane if orientation == "[001]" else 1.0)

    def draw(self) -> dict[str, float]:
        rng = np.random.default_rng([self.seed, 40])
        size = tuple(5e-3 + self.size_u_m * rng.standard_normal(2))
        gain = 1.0 + self.calibration_u * rng.standard_normal()
        found = {}
        for orientation in ANGLE_DEG:
            distance, turn = self.offset_u_m * rng.standard_normal(), rng.uniform(0.0, 2.0 * pi)
            offset = (distance * cos(turn), distance * sin(turn))
            factor = reported_over_true("MPMS3", orientation, size, offset, 8, 25)
            value = self.true_Am2(orientation) * factor * gain + self.noise_Am2 * rng.standard_normal()
            found[orientation] = float(value)
        return found
