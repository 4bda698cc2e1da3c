"""What a magnetometer would see of a sample: m(H, T) of film, substrate, stray spins, surface and holder.

m(B, T) = m_S M + χ_g mass B + N g µ_B J B_J(g µ_B J B/k T) + m_surf tanh(B/B_surf) + χ_h B + m_0, where M comes from
the sample's relays and B is the true field in tesla: what a magnet traps is the magnet's error, not the sample's.
"""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ..analysis.models import BOHR_MAGNETON_J_PER_T, BOLTZMANN_J_PER_K

# In vacuum 1 Oe is 0.1 mT.
A_M2_PER_EMU = 1e-3
TESLA_PER_OERSTED = 1e-4

Axis = Literal["[001]", "[100]", "[110]"]


class MomentSettings(BaseModel):
    """The magnetic half of a sample's settings; SI, with the unit in each name.

    Axes are the film's: m_S and coercive field are those along its normal, [001], and the fractions the other axes'.
    `impurity_spin` is the J of each stray spin.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    side_m: float = Field(default=5e-3, gt=0)
    layers_uc: float = Field(default=9.0, ge=0)
    lattice_m: float = Field(default=0.3905e-9, gt=0)
    saturation_A_m2: float = Field(default=0.0, ge=0)
    moment_100_fraction: float = Field(default=1.0, ge=0)
    moment_110_fraction: float = Field(default=1.0, ge=0)
    coercive_100_fraction: float = Field(default=1.0, gt=0)
    coercive_110_fraction: float = Field(default=1.0, gt=0)
    substrate: str = "SrTiO3(001)"
    substrate_thickness_m: float = Field(default=0.5e-3, ge=0)
    substrate_density_kg_per_m3: float = Field(default=5117.0, gt=0)
    substrate_susceptibility_A_m2_per_kg_T: float = -1.1e-3
    impurity_spins: float = Field(default=0.0, ge=0)
    impurity_spin: float = Field(default=2.5, gt=0)
    impurity_g: float = Field(default=2.0, gt=0)
    surface_moment_A_m2: float = Field(default=0.0, ge=0)
    surface_scale_T: float = Field(default=0.1, gt=0)
    holder_susceptibility_A_m2_per_T: float = 0.0
    holder_moment_A_m2: float = 0.0

    @property
    def cells_per_layer(self) -> float:
        """Unit cells in one layer of the film."""
        return (self.side_m / self.lattice_m) ** 2

    @property
    def substrate_mass_kg(self) -> float:
        """Mass of the substrate, which is 25 to 250 times the film's moment in a strong field."""
        return self.side_m**2 * self.substrate_thickness_m * self.substrate_density_kg_per_m3

    def moment_fraction(self, axis: Axis) -> float:
        """m_S along `axis` over that along the film's normal."""
        return {"[001]": 1.0, "[100]": self.moment_100_fraction, "[110]": self.moment_110_fraction}[axis]

    def coercive_fraction(self, axis: Axis) -> float:
        """The coercive field along `axis` over that along the film's normal."""
        return {"[001]": 1.0, "[100]": self.coercive_100_fraction, "[110]": self.coercive_110_fraction}[axis]


class Moment:
    """The magnetic moment (A m²) of a sample mounted with `axis` along the field, from its magnetisation."""

    def __init__(self, settings: MomentSettings, axis: Axis = "[001]") -> None:
        s = settings
        self._film_A_m2 = s.saturation_A_m2 * s.moment_fraction(axis)
        self._linear_A_m2_per_T = (
            s.substrate_mass_kg * s.substrate_susceptibility_A_m2_per_kg_T + s.holder_susceptibility_A_m2_per_T
        )
        self._spin_J = s.impurity_spin
        self._unit_J_per_T = s.impurity_g * BOHR_MAGNETON_J_PER_T * s.impurity_spin
        self._spins_A_m2 = s.impurity_spins * self._unit_J_per_T
        self._surface_A_m2, self._surface_T = s.surface_moment_A_m2, s.surface_scale_T
        self._constant_A_m2 = s.holder_moment_A_m2

    def at(self, magnetisation: float, field_T: float, temperature_K: float) -> float:
        """The whole moment (A m²) at the true field, with the film magnetised to `magnetisation` of its m_S."""
        moment = self._film_A_m2 * magnetisation + self._linear_A_m2_per_T * field_T + self._constant_A_m2
        if self._spins_A_m2:
            x = self._unit_J_per_T * field_T / (BOLTZMANN_J_PER_K * temperature_K)
            moment += self._spins_A_m2 * _brillouin(x, self._spin_J)
        if self._surface_A_m2:
            moment += self._surface_A_m2 * math.tanh(field_T / self._surface_T)
        return moment


def _brillouin(x: float, spin_J: float) -> float:
    """`analysis.models.brillouin` for one number in plain floats, as it is asked at every step of the laboratory."""
    if abs(x) < 1e-4:
        return x * (spin_J + 1.0) / (3.0 * spin_J)
    large, little = (2.0 * spin_J + 1.0) / (2.0 * spin_J), 1.0 / (2.0 * spin_J)
    return large / math.tanh(large * x) - little / math.tanh(little * x)
