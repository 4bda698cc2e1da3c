"""The pick-up coils of a SQUID magnetometer: the voltage of a sample that moves through them, and the moment fitted.

V(z) = c0 + c1 z + G m r(z − z0), with r the response of a second-order gradiometer to a point dipole (1 at its
centre): f(u) = 2 (R²+u²)^−3/2 − (R²+(u+Λ)²)^−3/2 − (R²+(u−Λ)²)^−3/2. The instruments' software fits that r whatever
the sample's shape; a film of 5 × 5 mm² has another, from the field that the coils would make (reciprocity), and so
its moment is reported some per cent wrong. R and Λ: MPMS 9.7 and 15.19 mm, MPMS3 8.5 and 8.0 mm (as public analysis
programs use them); gains, ranges and noise are assumptions of the vendors' class.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar
from scipy.special import ellipe, ellipk

from .noise import NormalStream

Floats = NDArray[np.float64]

FULL_SCALE_V = 10.0
# Noise of a moment (A m²): at rest, in proportion to it, and above 0.25 T where the magnet's flux creeps.
_QUIET_A_M2, _RELATIVE, _IN_FIELD_A_M2, _LOW_FIELD_T = 1e-11, 3e-4, 8e-11, 0.25
_OFFSET_V, _SLOPE_V_PER_M = 0.05, 0.5
# What one flux quantum in the SQUID is worth.
_QUANTUM_A_M2 = 1e-8
_REACH_M = 60e-3
_PHASES = np.arange(64) * (2.0 * math.pi / 64)


@dataclass(frozen=True, slots=True)
class CoilSet:
    """A second-order gradiometer and its instrument's scan; `ranges_A_m2` are the moments of full scale."""

    name: str
    radius_m: float
    spacing_m: float
    scan_length_m: float
    scan_points: int
    ranges_A_m2: tuple[float, ...]


MPMS = CoilSet("MPMS", 9.7e-3, 15.19e-3, 40e-3, 64, (1.25e-7, 1.25e-6, 1.25e-5, 1.25e-4, 1.25e-3))
MPMS3 = CoilSet("MPMS3", 8.5e-3, 8.0e-3, 35e-3, 200, (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2))


@dataclass(frozen=True, slots=True)
class Shape:
    """A square of moments: lying across the coils' axis (`across`), or with the axis in its plane."""

    side_m: float = 0.0
    across: bool = True
    radial_offset_m: float = 0.0


POINT = Shape()


def dipole_response(coils: CoilSet, offset_m: Floats | float) -> Floats:
    """r(u) of a point dipole on the axis, u = z − z0, 1 at u = 0."""
    u = np.asarray(offset_m, dtype=np.float64)
    r2, gap = coils.radius_m**2, coils.spacing_m
    f = 2.0 * (r2 + u**2) ** -1.5 - (r2 + (u + gap) ** 2) ** -1.5 - (r2 + (u - gap) ** 2) ** -1.5
    return f / (2.0 * (coils.radius_m**-3 - (r2 + gap**2) ** -1.5))


def _loop_field(radius_m: float, rho_m: Floats | float, z_m: Floats) -> Floats:
    """B_z at (ρ, z) of a current in a circular loop, up to a factor; R²/(R²+z²)^3/2 on the axis.

    Smythe, Static and Dynamic Electricity, 3rd ed., §7.10, in complete elliptic integrals of m = k².
    """
    rim2 = (radius_m + rho_m) ** 2 + z_m**2
    m = 4.0 * radius_m * rho_m / rim2
    inner = (radius_m**2 - rho_m**2 - z_m**2) / ((radius_m - rho_m) ** 2 + z_m**2)
    return (ellipk(m) + inner * ellipe(m)) / (math.pi * np.sqrt(rim2))


@lru_cache(maxsize=32)
def shape_response(coils: CoilSet, shape: Shape) -> Callable[[Floats | float], Floats]:
    """r(u) of a sample of this shape: the coils' field averaged over it, in units of a centred point's."""
    u = np.linspace(-_REACH_M, _REACH_M, 481)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    across_m, share = 0.5 * shape.side_m * nodes, 0.5 * weights
    total = np.zeros_like(u)
    for first_m, first in zip(across_m, share, strict=True):
        for second_m, second in zip(across_m, share, strict=True):
            x_m = first_m + shape.radial_offset_m
            rho_m, z_m = (math.hypot(x_m, second_m), u) if shape.across else (abs(x_m), u + second_m)
            for turns, at_m in ((2.0, 0.0), (-1.0, coils.spacing_m), (-1.0, -coils.spacing_m)):
                total += first * second * turns * _loop_field(coils.radius_m, rho_m, z_m + at_m)
    centre = 2.0 * coils.radius_m**2 * (coils.radius_m**-3 - (coils.radius_m**2 + coils.spacing_m**2) ** -1.5)
    return CubicSpline(u, total / centre)


def shape_factor(coils: CoilSet, shape: Shape) -> float:
    """Reported over true moment of a DC scan of such a sample, without noise and with its centre known."""
    z = _positions(coils)
    return _fit(z, np.asarray(shape_response(coils, shape)(z)), coils, 1.0, 0.0).moment_A_m2


def noise_A_m2(moment_A_m2: float, field_T: float) -> float:
    """σ_m = √(s0² + (3e-4 m)² + s_hf²), s_hf only above 0.25 T."""
    return math.hypot(_QUIET_A_M2, _RELATIVE * moment_A_m2, _IN_FIELD_A_M2 if abs(field_T) > _LOW_FIELD_T else 0.0)


@dataclass(frozen=True)
class Scan:
    """One passage through the coils: positions about the nominal centre and the SQUID's output."""

    coils: CoilSet
    positions_m: Floats
    volts: Floats
    range_A_m2: float

    @property
    def overloaded(self) -> bool:
        """The output reached full scale: the fit of such a scan is worthless."""
        return bool(np.any(np.abs(self.volts) >= FULL_SCALE_V))


@dataclass(frozen=True, slots=True)
class Fit:
    """What the instrument reports of a scan: the moment, its standard error, where it put the centre, and R²."""

    moment_A_m2: float
    error_A_m2: float
    centre_m: float
    quality: float


class Squid:
    """The coils, the SQUID behind them and the drive that moves the sample.

    `centre_m` is where the sample really is; `stuck` stops the drive, whose position readout does not notice.
    """

    def __init__(self, coils: CoilSet, noise: NormalStream, shape: Shape = POINT) -> None:
        self.coils = coils
        self.shape = shape
        self.centre_m = 0.0
        self.stuck = False
        self.range_A_m2 = coils.ranges_A_m2[0]
        self._noise = noise
        self._jump_quanta = 0
        self._base_A_m2 = 0.0

    def jump(self, quanta: int) -> None:
        """The SQUID will slip by so many flux quanta in the middle of the next scan."""
        self._jump_quanta += quanta

    def reset(self) -> None:
        """Open and close the flux-locked loop: the output starts from zero again."""
        self._base_A_m2 = 0.0

    def choose_range(self, moment_A_m2: float) -> float:
        """Set the most sensitive range that holds such a moment, and give its full scale (A m²)."""
        wanted = 1.2 * abs(moment_A_m2)
        ranges = self.coils.ranges_A_m2
        self.range_A_m2 = next((full for full in ranges if full >= wanted), ranges[-1])
        return self.range_A_m2

    def scan(self, moment_A_m2: float, field_T: float) -> Scan:
        """Move a sample of this moment through the coils once, in the range that is set."""
        z = _positions(self.coils)
        volts_per_A_m2 = FULL_SCALE_V / self.range_A_m2
        response = shape_response(self.coils, self.shape)
        at_m = np.full_like(z, z[0]) if self.stuck else z
        # The noise that is in proportion to the moment comes with it; the rest is white over the points of the scan,
        # as much as makes the fit with a known centre uncertain by σ_m.
        scale = 1.0 + _RELATIVE * self._noise.next()
        white_V = volts_per_A_m2 * noise_A_m2(0.0, field_T) / _amplitude_spread(self.coils)
        signal = scale * moment_A_m2 * np.asarray(response(at_m - self.centre_m))
        flux = signal + self._base_A_m2
        if self._jump_quanta:
            slip = self._jump_quanta * _QUANTUM_A_M2
            where = len(z) // 2 + round(0.1 * len(z) * math.tanh(self._noise.next()))
            flux[where:] += slip
            self._base_A_m2 += slip
            self._jump_quanta = 0
        volts = volts_per_A_m2 * flux + _OFFSET_V * self._noise.next() + _SLOPE_V_PER_M * self._noise.next() * z
        volts += white_V * np.array([self._noise.next() for _ in z])
        return Scan(self.coils, z, np.clip(volts, -FULL_SCALE_V, FULL_SCALE_V), self.range_A_m2)

    def vibrate(
        self, moment_A_m2: float, field_T: float, amplitude_m: float = 5e-3, seconds: float = 2.0
    ) -> tuple[float, float]:
        """VSM: moment and standard error (A m²) by the second harmonic of a vibration about the nominal centre."""
        reported = moment_A_m2 * self.vsm_factor(amplitude_m) * (1.0 + _RELATIVE * self._noise.next())
        # σ_m is what 2 s at full stroke reach; a smaller stroke gives less signal for the same noise.
        gain = self._stroke(amplitude_m) / self._stroke(5e-3)
        error = noise_A_m2(0.0, field_T) * math.sqrt(2.0 / seconds) / gain
        return reported + error * self._noise.next(), error

    def vsm_factor(self, amplitude_m: float = 5e-3) -> float:
        """Reported over true moment of a VSM measurement: the shape, and the sample not being where it should."""
        if self.stuck:
            return 0.0
        response = shape_response(self.coils, self.shape)
        return _second_harmonic(response, self.centre_m, amplitude_m) / self._stroke(amplitude_m)

    def _stroke(self, amplitude_m: float) -> float:
        """The second harmonic that a centred point dipole gives."""
        return _second_harmonic(lambda u: dipole_response(self.coils, u), 0.0, amplitude_m)


def fixed_centre(scan: Scan, centre_m: float = 0.0) -> Fit:
    """The "Fixed Ctr" of a data file: offset, slope and moment by least squares, the centre known from elsewhere."""
    return _fit(scan.positions_m, scan.volts, scan.coils, FULL_SCALE_V / scan.range_A_m2, centre_m)


def free_centre(scan: Scan) -> Fit:
    """The "Free Ctr" of a data file: the centre by least squares too, anywhere in the middle half of the scan.

    With a moment below the noise that is wherever the noise looks most like a dipole, of either sign.
    """
    z, volts, coils = scan.positions_m, scan.volts, scan.coils
    gain = FULL_SCALE_V / scan.range_A_m2
    limit_m = 0.25 * coils.scan_length_m
    candidates = np.linspace(-limit_m, limit_m, 41)
    best = int(np.argmax([_fit(z, volts, coils, gain, float(centre)).quality for centre in candidates]))
    low, high = candidates[max(best - 1, 0)], candidates[min(best + 1, len(candidates) - 1)]

    def misfit(centre_m: float) -> float:
        return -_fit(z, volts, coils, gain, centre_m).quality

    found = minimize_scalar(misfit, bounds=(low, high), method="bounded")
    return _fit(z, volts, coils, gain, float(found.x))


def _positions(coils: CoilSet) -> Floats:
    return np.linspace(-0.5 * coils.scan_length_m, 0.5 * coils.scan_length_m, coils.scan_points)


def _design(z: Floats, coils: CoilSet, centre_m: float) -> Floats:
    return np.column_stack((np.ones_like(z), z / coils.scan_length_m, dipole_response(coils, z - centre_m)))


@lru_cache(maxsize=8)
def _amplitude_spread(coils: CoilSet) -> float:
    """σ of the fitted amplitude over σ of a point, for a scan of these coils and a known centre."""
    design = _design(_positions(coils), coils, 0.0)
    return math.sqrt(float(np.linalg.inv(design.T @ design)[2, 2]))


def _fit(z: Floats, volts: Floats, coils: CoilSet, volts_per_A_m2: float, centre_m: float) -> Fit:
    design = _design(z, coils, centre_m)
    inverse = np.linalg.inv(design.T @ design)
    solution = inverse @ (design.T @ volts)
    rest = volts - design @ solution
    squares = float(rest @ rest)
    about_mean = volts - volts.mean()
    total = float(about_mean @ about_mean)
    error_V = math.sqrt(squares / max(len(z) - 3, 1) * float(inverse[2, 2]))
    quality = 1.0 - squares / total if total > 0.0 else 0.0
    return Fit(float(solution[2]) / volts_per_A_m2, error_V / volts_per_A_m2, centre_m, quality)


def _second_harmonic(response: Callable[[Floats], Floats], centre_m: float, amplitude_m: float) -> float:
    """Of the response while the sample is at A sin φ: its component in cos 2φ."""
    volts = response(amplitude_m * np.sin(_PHASES) - centre_m)
    return 2.0 * float(np.mean(volts * np.cos(2.0 * _PHASES)))
