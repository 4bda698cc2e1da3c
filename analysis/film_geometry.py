"""What a magnetometer reports of a film's moment over its true moment: a film is not the point that the fit supposes.

The flux that a moment along the axis sends through the pick-up coils is, by reciprocity, the field that a current in
the coils would make at its place. Averaged over the film and fitted with the response of a point, as the instrument
does, it gives `reported / true`; a true moment is the reported one divided by the factor.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import ellipe, ellipk

from ..core.records import Measured
from .models import FloatArray


@dataclass(frozen=True, slots=True)
class Gradiometer:
    """A second-order gradiometer (turns −1, 2, −1) and how the sample moves in it.

    `scan_m` is the length of a DC scan, fitted with offset, slope and a point at the known centre; `vibration_m` > 0 is
    the peak amplitude of a vibration about the centre instead, whose second harmonic is what is reported.
    """

    radius_m: float
    spacing_m: float
    scan_m: float
    vibration_m: float = 0.0


GRADIOMETERS = {
    "MPMS": Gradiometer(9.7e-3, 15.19e-3, 40e-3),
    "MPMS3": Gradiometer(8.5e-3, 8.0e-3, 35e-3),
    "MPMS3 VSM": Gradiometer(8.5e-3, 8.0e-3, 0.0, vibration_m=5e-3),
}
# How a film (001) with its edges along ⟨100⟩ hangs in the coils: across the axis, or its edge's angle to the axis.
ORIENTATIONS: dict[str, float | None] = {
    "perpendicular": None,
    "parallel": 0.0,
    "[001]": None,
    "[100]": 0.0,
    "[010]": 0.0,
    "[110]": 45.0,
}
# What is believed of the coils' radius and spacing, and of the length of a scan: the makers publish no tolerance.
_COILS_U, _SCAN_U = 0.01, 0.1
_POSITIONS, _NODES = 65, 12


def geometry_factor(
    instrument: str | Gradiometer,
    orientation: str,
    size_m: tuple[float, float] = (5e-3, 5e-3),
    radial_offset_m: float = 0.0,
    *,
    radial_offset_u_m: float = 3e-4,
    size_u_m: float = 1e-4,
) -> Measured:
    """Reported over true moment of a film, magnetised evenly along the coils' axis.

    `instrument` is a name of `GRADIOMETERS` or a `Gradiometer`. `orientation` is a key of `ORIENTATIONS`: the axis of
    the film along the field. `size_m` is (width, length); in plane the length is the edge along the axis. The film's
    middle lies `radial_offset_m` beside the axis, in a direction that is not known. `u` holds the offset, the size, the
    coils and the length of the scan; an uncertain offset also moves the value, for the factor grows with its square.

    5 × 5 mm²: 1.035 and 0.983 (MPMS, perpendicular and parallel), 1.074 and 0.964 (MPMS3) when centred; 1.09 for MPMS3,
    perpendicular, 1 mm beside the axis.

    Raises:
        ValueError: an instrument or orientation is unknown, a length is not positive, or the film reaches the coils.
    """
    value, parts = factor_parts(
        instrument, orientation, size_m, radial_offset_m, radial_offset_u_m=radial_offset_u_m, size_u_m=size_u_m
    )
    return Measured(value, math.sqrt(sum(part**2 for part in parts.values())))


def factor_parts(
    instrument: str | Gradiometer,
    orientation: str,
    size_m: tuple[float, float],
    radial_offset_m: float,
    *,
    radial_offset_u_m: float,
    size_u_m: float,
) -> tuple[float, dict[str, float]]:
    """The factor and the signed parts of its u by source, arguments and errors as of `geometry_factor`.

    Every mounting of one film in one instrument shares all but `radial offset` and `direction`, with these signs.
    """
    coils = _gradiometer(instrument)
    if orientation not in ORIENTATIONS:
        raise ValueError(f"orientation {orientation!r} is unknown: use one of {', '.join(ORIENTATIONS)}")
    lengths = (*size_m, radial_offset_m, radial_offset_u_m, size_u_m)
    if not all(map(math.isfinite, lengths)) or min(size_m) <= 0.0 or min(lengths) < 0.0:
        raise ValueError(f"a film of {size_m} m at {radial_offset_m} m: lengths must be finite and positive, in metres")
    spread_m = math.sqrt(3.0) * radial_offset_u_m
    reach_m = 0.5 * math.hypot(*size_m) + radial_offset_m + spread_m
    if reach_m > 0.8 * coils.radius_m:
        raise ValueError(
            f"the film may reach {reach_m * 1e3:.1f} mm from the axis, the coils {coils.radius_m * 1e3:.1f} mm: "
            "check size_m and radial_offset_m, which are in metres"
        )
    angle_deg = ORIENTATIONS[orientation]

    def factor(coils: Gradiometer = coils, size_m: tuple[float, float] = size_m) -> tuple[float, float]:
        return _factor(coils, size_m, angle_deg, radial_offset_m)

    value, direction = factor()
    # Three Gaussian nodes: exact for the square of the offset, which a derivative at zero offset would not see at all.
    near, far = (_factor(coils, size_m, angle_deg, abs(radial_offset_m + step))[0] for step in (-spread_m, spread_m))
    mean = (4.0 * value + near + far) / 6.0
    variance = (4.0 * (value - mean) ** 2 + (near - mean) ** 2 + (far - mean) ** 2) / 6.0
    width_m, length_m = size_m
    parts = {
        "width": factor(size_m=(width_m + size_u_m, length_m))[0] - value,
        "length": factor(size_m=(width_m, length_m + size_u_m))[0] - value,
        "coil radius": factor(replace(coils, radius_m=coils.radius_m * (1.0 + _COILS_U)))[0] - value,
        "coil spacing": factor(replace(coils, spacing_m=coils.spacing_m * (1.0 + _COILS_U)))[0] - value,
        "scan length": factor(replace(coils, scan_m=coils.scan_m * (1.0 + _SCAN_U)))[0] - value,
        "direction": direction,
        "radial offset": math.sqrt(variance),
    }
    return mean, parts


def _gradiometer(instrument: str | Gradiometer) -> Gradiometer:
    coils = GRADIOMETERS.get(instrument) if isinstance(instrument, str) else instrument
    if coils is None:
        raise ValueError(
            f"instrument {instrument!r} is unknown: use one of {', '.join(GRADIOMETERS)}, or a Gradiometer"
        )
    if min(coils.radius_m, coils.spacing_m) <= 0.0 or max(coils.scan_m, coils.vibration_m) <= 0.0:
        raise ValueError("a gradiometer needs a radius, a spacing, and a scan or a vibration, in metres")
    return coils


@lru_cache(maxsize=256)
def _factor(
    coils: Gradiometer, size_m: tuple[float, float], angle_deg: float | None, offset_m: float
) -> tuple[float, float]:
    """The factor with the offset along one or the other side of the film: mean, and half the difference."""
    one, other = (_factor_at(coils, size_m, angle_deg, offset) for offset in ((offset_m, 0.0), (0.0, offset_m)))
    return 0.5 * (one + other), 0.5 * abs(one - other)


def _factor_at(
    coils: Gradiometer, size_m: tuple[float, float], angle_deg: float | None, offset_m: tuple[float, float]
) -> float:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    across_m, along_m = (
        grid.ravel() for grid in np.meshgrid(0.5 * size_m[0] * nodes, 0.5 * size_m[1] * nodes, indexing="ij")
    )
    share = np.outer(weights, weights).ravel() / 4.0
    if angle_deg is None:
        rho_m, z_m = np.hypot(across_m + offset_m[0], along_m + offset_m[1]), np.zeros_like(along_m)
    else:
        # The axis lies in the film: an offset is in the film's plane, or along its normal.
        cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
        rho_m = np.hypot(cosine * across_m - sine * along_m + offset_m[0], offset_m[1])
        z_m = sine * across_m + cosine * along_m
    places_m = _places(coils)
    point = _response(coils, np.zeros(1), places_m[:, None])[:, 0]
    film = _response(coils, rho_m, places_m[:, None] - z_m) @ share
    if coils.vibration_m > 0.0:
        harmonic = np.cos(2.0 * _phases())
        return float(film @ harmonic / (point @ harmonic))
    design = np.column_stack([point, np.ones_like(places_m), places_m])
    return float(np.linalg.lstsq(design, film)[0][0])


def _phases() -> FloatArray:
    return 2.0 * np.pi * np.arange(_POSITIONS) / _POSITIONS


def _places(coils: Gradiometer) -> FloatArray:
    if coils.vibration_m > 0.0:
        return coils.vibration_m * np.cos(_phases())
    return np.linspace(-0.5 * coils.scan_m, 0.5 * coils.scan_m, _POSITIONS)


def _response(coils: Gradiometer, rho_m: FloatArray, z_m: FloatArray) -> FloatArray:
    """Field of the coils at distance `rho_m` from the axis and `z_m` from their middle, up to a constant."""
    middle, *ends = (_loop(coils.radius_m, rho_m, z_m + shift) for shift in (0.0, coils.spacing_m, -coils.spacing_m))
    return 2.0 * middle - ends[0] - ends[1]


def _loop(radius_m: float, rho_m: FloatArray, z_m: FloatArray) -> FloatArray:
    """Axial field of a circular current loop, up to a constant. Jackson, Classical Electrodynamics, problem 5.10."""
    outer = (radius_m + rho_m) ** 2 + z_m**2
    inner = (radius_m - rho_m) ** 2 + z_m**2
    m = 4.0 * radius_m * rho_m / outer
    field = ellipk(m) + (radius_m**2 - rho_m**2 - z_m**2) / inner * ellipe(m)
    return np.asarray(field / np.sqrt(outer), dtype=np.float64)
