"""The film's numbers in the units people compare: A m², µ_B, µ_B/nm², µ_B per unit cell; and the substrate's check."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..core.records import Measured
from .models import BOHR_MAGNETON_J_PER_T

CELL_NM = 0.3905  # SrTiO₃, and pseudocubic LaAlO₃ grown on it
STO_SLOPE = Measured(-1.1e-3, 0.15 * 1.1e-3)  # −1.1e-7 emu/g/Oe = −1.1e-3 A m²/(T kg), known to 15 %


@dataclass(frozen=True, slots=True)
class Film:
    """What is known of the sample beside the run; None is unknown."""

    area_m2: Measured | None = None
    layers: float | None = None
    geometry: Measured | None = None
    substrate_mass_kg: Measured | None = None
    substrate_slope_Am2_per_T_kg: Measured = STO_SLOPE
    holder_slope_Am2_per_T: Measured | None = None


def divided(value: Measured, by: Measured) -> Measured:
    """The ratio of two independent quantities."""
    ratio = value.value / by.value
    return Measured(ratio, float(np.hypot(value.u / by.value, ratio * by.u / by.value)))


def film_values(moments: Mapping[str, Measured], film: Film) -> dict[str, Measured]:
    """Each moment, keyed `saturation` and `remanent`, in A m² (corrected for the geometry), µ_B, per area, per cell."""
    values: dict[str, Measured] = {}
    for name, moment in moments.items():
        true = divided(moment, film.geometry) if film.geometry is not None else moment
        in_magnetons = divided(true, Measured(BOHR_MAGNETON_J_PER_T, 0.0))
        values[f"{name}_moment_Am2"] = true
        values[f"{name}_moment_uB"] = in_magnetons
        if film.area_m2 is None:
            continue
        values[f"{name}_moment_A"] = divided(true, film.area_m2)
        values[f"{name}_moment_uB_per_nm2"] = divided(
            in_magnetons, Measured(film.area_m2.value * 1e18, film.area_m2.u * 1e18)
        )
        if film.layers is not None:
            cells = Measured(
                film.area_m2.value * 1e18 / CELL_NM**2 * film.layers, film.area_m2.u * 1e18 / CELL_NM**2 * film.layers
            )
            values[f"{name}_moment_uB_per_uc"] = divided(in_magnetons, cells)
    return values


def substrate_check(slope: Measured, film: Film) -> tuple[dict[str, Measured], tuple[str, ...]]:
    """The slope left after the holder's, against mass × χ_g; a sentence when they do not agree."""
    if film.holder_slope_Am2_per_T is not None:
        holder = film.holder_slope_Am2_per_T
        slope = Measured(slope.value - holder.value, float(np.hypot(slope.u, holder.u)))
    values = {"background_slope_Am2_per_T": slope}
    if film.substrate_mass_kg is None:
        return values, ()
    mass, per_kg = film.substrate_mass_kg, film.substrate_slope_Am2_per_T_kg
    expected = Measured(mass.value * per_kg.value, float(np.hypot(mass.u * per_kg.value, mass.value * per_kg.u)))
    values["expected_slope_Am2_per_T"] = expected
    apart, u = slope.value - expected.value, float(np.hypot(slope.u, expected.u))
    if abs(apart) <= 2.0 * u:
        return values, ()
    return values, (
        f"the linear background {slope.value:.3g} A m²/T is not the substrate's "
        f"{expected.value:.3g} ± {expected.u:.1g}: "
        "a holder, a wrong mass, or a paramagnet that does not curve is in it",
    )


def check_film(film: Film) -> None:
    """Refuse what cannot be.

    Raises:
        ValueError: an area, a mass, a layer count or a factor that is not positive; layers without an area.
    """
    for name, given in (
        ("area_m2", film.area_m2),
        ("geometry", film.geometry),
        ("substrate_mass_kg", film.substrate_mass_kg),
    ):
        if given is not None and not (given.value > 0.0 and given.u >= 0.0):
            raise ValueError(f"{name} must be positive with u ≥ 0, not {given.value} ± {given.u}")
    if film.layers is not None and not film.layers > 0.0:
        raise ValueError(f"layers must be positive, not {film.layers}")
    if film.layers is not None and film.area_m2 is None:
        raise ValueError("layers needs area_m2: a moment per unit cell is a moment per area and layer")
    if film.area_m2 is not None and film.area_m2.value > 1e-2:
        raise ValueError(f"area_m2 = {film.area_m2.value} is larger than a hand: 5 × 5 mm² is 2.5e-5")
