"""What a second-order gradiometer sees of a magnetic moment that moves along its axis.

f(u) = 2 t(u) − t(u+Λ) − t(u−Λ) with u = z − z0 and t(x) = (R² + x²)^(−3/2) for a point on the axis: the flux of a
dipole through a loop of radius R, up to a constant. By reciprocity a sample with a size has the average of t over its
volume, t being the axial field of the loop (Biot and Savart). The unit of f is m⁻³.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline

from .models import FloatArray

_REACH_M = 0.12
_STEP_M = 1e-4


@dataclass(frozen=True)
class Response:
    """The coils, and the size of the sample in them (uniformly magnetised along the axis; a point if all are 0).

    `length_m` is along the axis, `width_m` and `depth_m` across; `radial_offset_m` displaces it along its width.
    """

    radius_m: float
    spacing_m: float
    length_m: float = 0.0
    width_m: float = 0.0
    depth_m: float = 0.0
    radial_offset_m: float = 0.0

    def __post_init__(self) -> None:
        sizes = (self.length_m, self.width_m, self.depth_m, abs(self.radial_offset_m))
        if not (self.radius_m > 0.0 and self.spacing_m > 0.0 and min(sizes) >= 0.0 and np.isfinite(sizes).all()):
            raise ValueError("a response needs a positive radius and spacing, and sizes that are not negative")
        reach_m = np.hypot(abs(self.radial_offset_m) + 0.5 * self.width_m, 0.5 * self.depth_m)
        if reach_m > 0.9 * self.radius_m:
            raise ValueError(
                f"a sample that reaches {reach_m * 1e3:.1f} mm from the axis does not fit into coils of radius "
                f"{self.radius_m * 1e3:.1f} mm; give its sizes in metres"
            )

    @property
    def point(self) -> "Response":
        """The same coils with a point on the axis."""
        return Response(self.radius_m, self.spacing_m)

    @property
    def peak_per_m3(self) -> float:
        """f(0) of a point: a gain in V per A m² at the centre is K f(0)."""
        return float(self.point.at(0.0))

    @property
    def on_axis(self) -> bool:
        """True when nothing of the sample is off the axis."""
        return self.width_m == self.depth_m == self.radial_offset_m == 0.0

    def at(self, offset_m: ArrayLike) -> FloatArray:
        """f(u) in m⁻³."""
        return self._loops(np.asarray(offset_m, dtype=np.float64), 0)

    def slope(self, offset_m: ArrayLike) -> FloatArray:
        """df/du in m⁻⁴."""
        return self._loops(np.asarray(offset_m, dtype=np.float64), 1)

    def _loops(self, u: FloatArray, order: int) -> FloatArray:
        gap = self.spacing_m
        return 2.0 * self._loop(u, order) - self._loop(u + gap, order) - self._loop(u - gap, order)

    def _loop(self, x: FloatArray, order: int) -> FloatArray:
        if not self.on_axis:
            # Beyond the table lies nothing that a scan could reach.
            return np.asarray(_table(self)(np.clip(x, -_REACH_M, _REACH_M), order))
        r2, half = self.radius_m**2, 0.5 * self.length_m
        if half == 0.0:
            return (r2 + x**2) ** -1.5 if order == 0 else -3.0 * x * (r2 + x**2) ** -2.5
        ends = (x + half, x - half)
        if order == 0:
            # ∫ (R²+x²)^(−3/2) dx = x / (R² √(R²+x²))
            upper, lower = (end / (r2 * np.sqrt(r2 + end**2)) for end in ends)
        else:
            upper, lower = ((r2 + end**2) ** -1.5 for end in ends)
        return (upper - lower) / self.length_m


MPMS = Response(9.7e-3, 15.19e-3)
MPMS3 = Response(8.5e-3, 8.0e-3)


@lru_cache(maxsize=32)
def _table(response: Response) -> CubicSpline:
    """t(x) of a sample that leaves the axis, averaged over its volume."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    x = np.arange(-_REACH_M, _REACH_M + 0.5 * _STEP_M, _STEP_M)
    total = np.zeros_like(x)
    along = replace(response, width_m=0.0, depth_m=0.0, radial_offset_m=0.0)
    for first, first_share in zip(nodes, weights, strict=True):
        for second, second_share in zip(nodes, weights, strict=True):
            rho_m = np.hypot(response.radial_offset_m + 0.5 * response.width_m * first, 0.5 * response.depth_m * second)
            total += 0.25 * first_share * second_share * _ring(along, float(rho_m), x)
    return CubicSpline(x, total)


def _ring(along: Response, rho_m: float, x: FloatArray) -> FloatArray:
    """Axial field of a loop at distance ρ from its axis, by the integral over the loop, averaged over the length.

    (1/2π) ∮ (R − ρ cos φ) / (R (R² + ρ² + x² − 2Rρ cos φ)^(3/2)) dφ. The integrand is smooth and periodic, so that
    equal steps of φ converge exponentially; its integral over x is closed.
    """
    cosines = np.cos(np.arange(48) * (2.0 * np.pi / 48))
    radius, half = along.radius_m, 0.5 * along.length_m
    total = np.zeros_like(x)
    for cosine in cosines:
        near2 = radius**2 + rho_m**2 - 2.0 * radius * rho_m * cosine
        lever = (radius - rho_m * cosine) / radius
        if half == 0.0:
            total += lever * (near2 + x**2) ** -1.5
            continue
        upper, lower = ((x + s) / (near2 * np.sqrt(near2 + (x + s) ** 2)) for s in (half, -half))
        total += lever * (upper - lower) / along.length_m
    return total / cosines.size
