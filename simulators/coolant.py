"""What keeps a superconducting coil cold: a bath of liquid helium, or a cryocooler.

Helium: 2.6 kJ boil a litre, so a quench of 300 kJ costs 115 litres. Cryogen-free: without its compressor the coil
warms to where it cannot carry its current within some ten minutes, and a quench heats it by the energy it held, with
the heat capacity of copper (Debye), to tens of kelvins; it is cold again after hours.
"""

import math
from bisect import bisect
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from .cryostat import copper_heat_capacity

HELIUM_K = 4.2
_LATENT_J_per_l = 2600.0
_s_per_h = 3600.0
_GRID_K = tuple(1.0 + 0.25 * n for n in range(1197))


@cache
def _enthalpies() -> tuple[float, ...]:
    """∫ c dT of copper from 1 K on (J/kg) at each temperature of the grid."""
    total, table = 0.0, [0.0]
    for below_K, above_K in pairwise(_GRID_K):
        total += 0.5 * (copper_heat_capacity(below_K) + copper_heat_capacity(above_K)) * (above_K - below_K)
        table.append(total)
    return tuple(table)


def heated(start_K: float, energy_J_per_kg: float) -> float:
    """The temperature (K) of copper at `start_K` after taking in `energy_J_per_kg`."""
    table = _enthalpies()
    position = min(max((start_K - _GRID_K[0]) / 0.25, 0.0), len(table) - 1.001)
    index = int(position)
    enthalpy = table[index] + (position - index) * (table[index + 1] - table[index]) + energy_J_per_kg
    index = min(bisect(table, enthalpy), len(table) - 1) - 1
    share = (enthalpy - table[index]) / (table[index + 1] - table[index])
    return _GRID_K[index] + 0.25 * min(share, 1.0)


@dataclass(frozen=True, slots=True)
class HeliumSettings:
    """A bath; below `threshold_percent` it does not cover the coil. Volumes and rates are assumptions of usual size."""

    volume_l: float = 120.0
    start_percent: float = 90.0
    threshold_percent: float = 25.0
    boil_off_l_per_h: float = 0.25
    leads_l_per_h_A: float = 0.003
    bare_K: float = 12.0


@dataclass(frozen=True, slots=True)
class CryocoolerSettings:
    """A conduction-cooled coil. Assumptions: it warms by 4 K in ten minutes without the compressor."""

    base_K: float = 3.8
    coil_kg: float = 40.0
    warming_K_per_s: float = 4.0 / 600.0
    cool_down_time_s: float = 1800.0
    ambient_K: float = 290.0


class HeliumBath:
    """Liquid around the coil, in litres and percent of the full bath."""

    # Something happens here all the time, slowly.
    calm = False
    pace_s = 60.0

    def __init__(self, settings: HeliumSettings) -> None:
        self.settings = settings
        self.litres = settings.volume_l * settings.start_percent / 100.0
        self.filling_l_per_h = 0.0

    @property
    def level_percent(self) -> float:
        """How full the bath is (%)."""
        return 100.0 * self.litres / self.settings.volume_l

    @property
    def coil_K(self) -> float:
        """The coil's temperature (K): the liquid's while it is covered."""
        return HELIUM_K if self.level_percent >= self.settings.threshold_percent else self.settings.bare_K

    def boil_off(self, leads_A: float) -> float:
        """What evaporates (l/h) with this current in the leads."""
        return self.settings.boil_off_l_per_h + self.settings.leads_l_per_h_A * abs(leads_A)

    def hours_left(self, leads_A: float) -> float:
        """How long (h) the coil stays covered at this current."""
        spare_l = self.litres - self.settings.volume_l * self.settings.threshold_percent / 100.0
        return max(spare_l, 0.0) / self.boil_off(leads_A)

    def advance(self, step_s: float, leads_A: float) -> None:
        """Let `step_s` seconds pass with this current in the leads."""
        change_l = (self.filling_l_per_h - self.boil_off(leads_A)) * step_s / _s_per_h
        self.litres = min(max(self.litres + change_l, 0.0), self.settings.volume_l)

    def absorb(self, energy_J: float) -> None:
        """Boil away what a quench's energy boils away."""
        self.litres = max(self.litres - energy_J / _LATENT_J_per_l, 0.0)

    def fill(self, percent: float) -> None:
        """Bring the level to `percent` at once, as after a transfer."""
        self.litres = self.settings.volume_l * min(max(percent, 0.0), 100.0) / 100.0

    def renew(self) -> None:
        """Start again with the level of the settings, if it is lower."""
        self.fill(max(self.level_percent, self.settings.start_percent))


class Cryocooler:
    """A cold head with its compressor, and the coil it cools."""

    pace_s = 5.0

    def __init__(self, settings: CryocoolerSettings) -> None:
        self.settings = settings
        self.coil_K = settings.base_K
        self._compressor_on = True
        self.calm = True

    @property
    def compressor_on(self) -> bool:
        """Whether the compressor runs."""
        return self._compressor_on

    @compressor_on.setter
    def compressor_on(self, on: bool) -> None:
        self._compressor_on = on
        self.calm = False

    def advance(self, step_s: float, leads_A: float) -> None:
        """Let `step_s` seconds pass; the current in the leads does not matter here."""
        s = self.settings
        if self._compressor_on:
            self.coil_K = s.base_K + (self.coil_K - s.base_K) * math.exp(-step_s / s.cool_down_time_s)
            if self.coil_K - s.base_K < 1e-3:
                self.coil_K, self.calm = s.base_K, True
        else:
            self.coil_K = min(self.coil_K + s.warming_K_per_s * step_s, s.ambient_K)

    def absorb(self, energy_J: float) -> None:
        """Take in a quench's energy."""
        if energy_J > 0.0:
            self.coil_K = heated(self.coil_K, energy_J / self.settings.coil_kg)
            self.calm = False

    def renew(self) -> None:
        """Start again with a cold coil."""
        self.coil_K, self.calm = self.settings.base_K, self._compressor_on


Coolant = HeliumBath | Cryocooler


def build(settings: HeliumSettings | CryocoolerSettings) -> Coolant:
    """The coolant that the settings describe."""
    return HeliumBath(settings) if isinstance(settings, HeliumSettings) else Cryocooler(settings)
