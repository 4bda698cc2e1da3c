"""The thing in the cryostat: two electron bands, an anomalous Hall effect on a relay ensemble, and bad contacts.

Settings come from a `sample.toml`; each number there says whether it is the paper's or an assumption.
"""

import math
import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ..analysis.models import ELEMENTARY_CHARGE_C
from ..core.errors import ConfigError
from .hysteresis import RelayEnsemble, RelayMemory, RelaySettings
from .moment import Axis, Moment, MomentSettings

# What the wiring still conducts when the sample does not (an assumption).
_INSULATION_OHM = 1e12


class SampleSettings(MomentSettings):
    """A sample by its physics; SI, with the unit in each name. The magnetometer's half is `MomentSettings`."""

    name: str
    description: str = ""
    fluence_J_per_m2: float | None = Field(default=None, gt=0)
    density_low_mobility_per_m2: float = Field(gt=0)
    density_high_mobility_per_m2: float = Field(gt=0)
    mobility_low_m2_per_Vs: float = Field(gt=0)
    mobility_high_m2_per_Vs: float = Field(gt=0)
    phonon_mobility_300K_m2_per_Vs: float = Field(default=7e-4, gt=0)
    band_mixing_K: float = Field(default=35.0, gt=0)
    # An oxidised sample hops in two dimensions (Mott): R_s = hopping_ohm exp((hopping_K/T)^⅓); 0 for one that conducts.
    hopping_ohm: float = Field(default=0.0, ge=0)
    hopping_K: float = Field(default=0.0, ge=0)
    ahe_amplitude_ohm: float
    ahe_onset_K: float = Field(gt=0)
    # Paramagnetic moments deflect as well: R_sp L(B/B_sp), with B_sp as at the coercive field's reference temperature.
    paramagnet_ohm: float = 0.0
    paramagnet_T: float = Field(default=1.0, gt=0)
    coercive_T: float = Field(gt=0)
    coercive_spread_T: float = Field(ge=0)
    interaction_T: float = Field(ge=0)
    branch: Literal["normal", "logistic", "gumbel", "two-step"] = "normal"
    branch_step_T: float = Field(default=0.04, ge=0)
    barrier_K: float = Field(default=3e4, gt=0)
    barrier_exponent: float = Field(default=0.5, gt=0, le=1)
    attempt_Hz: float = Field(default=1e10, gt=0)
    coercive_reference_K: float = Field(default=5.0, gt=0)
    coercive_reference_T_per_s: float = Field(default=1.5e-3, gt=0)
    contact_misalignment: float = 0.0
    localisation_fraction: float = 0.0
    localisation_T: float = Field(default=0.1, gt=0)
    noise_V_per_sqrtHz: float = Field(default=0.0, ge=0)
    drift_V_per_sqrt_s: float = Field(default=0.0, ge=0)
    pickup_V: float = 0.0


def _library() -> Traversable:
    return files(__package__ or "").joinpath("samples")


def sample_names() -> list[str]:
    """The samples that ship with remanence."""
    return sorted(file.name.removesuffix(".toml") for file in _library().iterdir() if file.name.endswith(".toml"))


def load_sample(name_or_path: str) -> SampleSettings:
    """A sample that ships with remanence, by name (`park2020_deficient`), or one of your own by its path.

    A file may say `like = "park2020_deficient"` and give only what differs.

    Raises:
        ConfigError: there is none, or it is not a sample.
    """
    try:
        return SampleSettings.model_validate(_read(name_or_path, ()))
    except (OSError, ValueError) as error:  # TOML's and pydantic's errors are ValueErrors
        raise ConfigError(
            f"the sample {name_or_path!r} cannot be read: {error}",
            do="name a sample that ships with remanence, or a path",
        ) from error


def _read(name_or_path: str, asked_by: tuple[str, ...]) -> dict[str, Any]:
    if name_or_path in asked_by:
        raise ValueError(f"{' is like '.join((*asked_by, name_or_path))}: a circle")
    own = Path(name_or_path)
    source = own if own.suffix == ".toml" else _library().joinpath(f"{name_or_path}.toml")
    values = tomllib.loads(source.read_text(encoding="utf-8"))
    like = values.pop("like", None)
    if like is None:
        return values
    if not isinstance(like, str):
        raise ValueError(f"like = {like!r} is not a sample's name")
    # A path is meant from where the file is.
    base = str(own.parent / like) if like.endswith(".toml") else like
    return _read(base, (*asked_by, name_or_path)) | values


class Sample:
    """Resistances and moment at a field and temperature, with the memory of every field before.

    Transport is that of a field along the film's normal. `elapsed_s` is the time since the relays were last asked,
    by `resistances` or by `moment`: give it to one of the two, once for each step of the laboratory.
    """

    def __init__(self, settings: SampleSettings) -> None:
        self.settings = settings
        s = settings
        self.relays = RelayEnsemble(
            RelaySettings(
                s.coercive_T, s.coercive_spread_T, s.interaction_T, s.branch, s.branch_step_T, s.barrier_K,
                s.barrier_exponent, s.attempt_Hz, s.coercive_reference_K, s.coercive_reference_T_per_s,
            )
        )  # fmt: skip
        self._bands_at_K = math.nan
        self._bands: tuple[tuple[float, float], ...] = ()
        self.mount("[001]")

    @property
    def memory(self) -> RelayMemory:
        """What the sample remembers of its history, for `restore`."""
        return self.relays.memory

    def restore(self, memory: RelayMemory) -> None:
        """Give the sample the history that `memory` was taken after.

        Raises:
            ValueError: it is not a memory of such a sample.
        """
        self.relays.restore(memory)

    def mount(self, axis: Axis) -> None:
        """Turn the sample so that `axis` of the film lies along the field."""
        self.axis: Axis = axis
        self._moment = Moment(self.settings, axis)
        self._hardness = self.settings.coercive_fraction(axis)

    def ahe_amplitude(self, temperature_K: float) -> float:
        """R_AHE (ohm): falls linearly to zero at the onset temperature, an assumption on the paper's Fig. 5e."""
        return self.settings.ahe_amplitude_ohm * max(0.0, 1.0 - temperature_K / self.settings.ahe_onset_K)

    @property
    def patience_s(self) -> float:
        """How long (s) a resting sample may be left alone before its relaxation shows."""
        return self.relays.patience_s

    def coercive_field(self, temperature_K: float, rate_T_per_s: float) -> float:
        """Where the major loop crosses zero (T) at this temperature and rate: the truth of a measurement."""
        return self.relays.coercive_field(temperature_K, rate_T_per_s / self._hardness) * self._hardness

    def moment(self, field_T: float, temperature_K: float, elapsed_s: float = 0.0) -> float:
        """The magnetic moment (A m²) along the field after it has come monotonically to the true `field_T`."""
        # An axis that is k times as hard answers to a field as the normal does to a k-th of it.
        magnetisation = self.relays.magnetise(field_T / self._hardness, temperature_K, elapsed_s)
        return self._moment.at(magnetisation, field_T, temperature_K)

    def resistances(self, field_T: float, temperature_K: float, elapsed_s: float = 0.0) -> tuple[float, float]:
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
        magnetisation = self.relays.magnetise(field_T / self._hardness, temperature_K, elapsed_s)
        # Only a magnetisation out of the plane deflects.
        anomalous = self.ahe_amplitude(temperature_K) * magnetisation if self.axis == "[001]" else 0.0
        if s.paramagnet_ohm:
            anomalous += self._paramagnetic(field_T, temperature_K)
        return r_xx, sigma_xy / norm + anomalous + s.contact_misalignment * r_xx

    def _paramagnetic(self, field_T: float, temperature_K: float) -> float:
        """R_sp L(B/B_sp) (ohm): B_sp grows with T as a free moment's does, R_sp dies where the AHE does."""
        s = self.settings
        x = field_T / s.paramagnet_T * s.coercive_reference_K / temperature_K
        aligned = 1.0 / math.tanh(x) - 1.0 / x if abs(x) > 1e-3 else x / 3.0
        return s.paramagnet_ohm * max(0.0, 1.0 - temperature_K / s.ahe_onset_K) * aligned

    def _bands_at(self, temperature_K: float) -> tuple[tuple[float, float], ...]:
        s = self.settings
        if s.hopping_ohm:
            sheet = s.hopping_ohm * math.exp((s.hopping_K / temperature_K) ** (1.0 / 3.0))
            conductance = 1.0 / min(sheet, _INSULATION_OHM)
            density = s.density_low_mobility_per_m2 + s.density_high_mobility_per_m2
            return ((conductance, conductance / (ELEMENTARY_CHARGE_C * density)),)
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
