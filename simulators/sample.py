"""The thing in the cryostat: two electron bands, an anomalous Hall effect on a relay ensemble, and bad contacts.

Settings come from a `sample.toml`; each number there says whether it is the paper's or an assumption.
"""

import math
import tomllib
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ..analysis.models import ELEMENTARY_CHARGE_C
from ..core.errors import ConfigError
from .hysteresis import RelayEnsemble, RelaySettings


class SampleSettings(BaseModel):
    """A sample by its physics; SI, with the unit in each name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str = ""
    density_low_mobility_per_m2: float = Field(gt=0)
    density_high_mobility_per_m2: float = Field(gt=0)
    mobility_low_m2_per_Vs: float = Field(gt=0)
    mobility_high_m2_per_Vs: float = Field(gt=0)
    phonon_mobility_300K_m2_per_Vs: float = Field(default=7e-4, gt=0)
    band_mixing_K: float = Field(default=35.0, gt=0)
    ahe_amplitude_ohm: float
    ahe_onset_K: float = Field(gt=0)
    coercive_T: float = Field(gt=0)
    coercive_spread_T: float = Field(ge=0)
    interaction_T: float = Field(ge=0)
    contact_misalignment: float = 0.0
    localisation_fraction: float = 0.0
    localisation_T: float = Field(default=0.1, gt=0)
    noise_V_per_sqrtHz: float = Field(default=0.0, ge=0)
    drift_V_per_sqrt_s: float = Field(default=0.0, ge=0)
    pickup_V: float = 0.0


def load_sample(name_or_path: str) -> SampleSettings:
    """A sample that ships with remanence, by name (`park2020_deficient`), or one of your own by its path.

    Raises:
        ConfigError: there is none, or it is not a sample.
    """
    own = Path(name_or_path)
    source = own if own.suffix == ".toml" else files(__package__ or "").joinpath(f"{name_or_path}.toml")
    try:
        return SampleSettings.model_validate(tomllib.loads(source.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:  # TOML's and pydantic's errors are ValueErrors
        raise ConfigError(
            f"the sample {name_or_path!r} cannot be read: {error}",
            do="name a sample that ships with remanence, or a path",
        ) from error


class Sample:
    """Sheet and Hall resistance at a field and temperature, with the memory of every field before."""

    def __init__(self, settings: SampleSettings) -> None:
        self.settings = settings
        self._relays = RelayEnsemble(
            RelaySettings(settings.coercive_T, settings.coercive_spread_T, settings.interaction_T)
        )
        self._bands_at_K = math.nan
        self._bands: tuple[tuple[float, float], ...] = ()

    def ahe_amplitude(self, temperature_K: float) -> float:
        """R_AHE (ohm): falls linearly to zero at the onset temperature, an assumption on the paper's Fig. 5e."""
        return self.settings.ahe_amplitude_ohm * max(0.0, 1.0 - temperature_K / self.settings.ahe_onset_K)

    def resistances(self, field_T: float, temperature_K: float) -> tuple[float, float]:
        """(R_xx, R_xy) in ohm after the field has come monotonically to `field_T`."""
        if abs(temperature_K - self._bands_at_K) > 1e-3 * temperature_K or not self._bands:
            self._bands = self._bands_at(temperature_K)
            self._bands_at_K = temperature_K
        # `two_band_resistivity` for one field in plain floats: numpy would cost ten times as much for a single number.
        sigma_xx = sigma_xy = 0.0
        for conductance, mobility in self._bands:
            term = conductance / (1.0 + (mobility * field_T) ** 2)
            sigma_xx += term
            sigma_xy += term * mobility * field_T
        norm = sigma_xx * sigma_xx + sigma_xy * sigma_xy
        s = self.settings
        # Weak antilocalisation's cusp, log-like as in Hikami, Larkin & Nagaoka (1980), as a fraction of R_xx.
        cusp = 1.0 + s.localisation_fraction * 0.5 * math.log1p((field_T / s.localisation_T) ** 2)
        r_xx = sigma_xx / norm * cusp
        anomalous = self.ahe_amplitude(temperature_K) * self._relays.magnetise(field_T)
        return r_xx, sigma_xy / norm + anomalous + s.contact_misalignment * r_xx

    def _bands_at(self, temperature_K: float) -> tuple[tuple[float, float], ...]:
        s = self.settings
        phonons = (temperature_K / 300.0) ** 2.4 / s.phonon_mobility_300K_m2_per_Vs
        low = 1.0 / (1.0 / s.mobility_low_m2_per_Vs + phonons)
        high = 1.0 / (1.0 / s.mobility_high_m2_per_Vs + phonons)
        # Above the crossover the bands mix, and the Hall effect becomes linear with n = n1 + n2.
        mixing = 1.0 / (1.0 + (temperature_K / s.band_mixing_K) ** 4)
        high = low * (high / low) ** mixing
        return (
            (ELEMENTARY_CHARGE_C * s.density_low_mobility_per_m2 * low, low),
            (ELEMENTARY_CHARGE_C * s.density_high_mobility_per_m2 * high, high),
        )
