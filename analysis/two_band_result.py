"""What is said of a sweep that was asked for two bands."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..core.records import Estimate, EstimateStatus, Measured
from .models import FloatArray
from .transport_data import Sweep, joined

BAND_KEYS = ("density_1_per_m2", "mobility_1_m2_per_Vs", "density_2_per_m2", "mobility_2_m2_per_Vs")


@dataclass(frozen=True, slots=True)
class TransportCurve:
    """What a figure needs: the rows that were fitted, in the order measured, and the fit at each (NaN without one).

    `anomalous_ohm` is R_xy less everything but the loop.
    """

    field_T: FloatArray
    rising: FloatArray
    r_xy_ohm: FloatArray
    r_xy_fit_ohm: FloatArray
    r_xx_ohm: FloatArray
    r_xx_fit_ohm: FloatArray
    anomalous_ohm: FloatArray


@dataclass(frozen=True, slots=True)
class TwoBandResult:
    """Two bands, or the reasons why not.

    `estimate.values` holds n1, µ1, n2, µ2 (`BAND_KEYS`, µ1 < µ2; SI per square), `density_total_per_m2`,
    `sheet_resistance_ohm` at zero field, the Hall slopes at zero and infinite field, and the nuisances that were
    fitted. `covariance` is that of `BAND_KEYS` in SI, all parts of the uncertainty together. `intervals_95` are the
    95 % limits of the same four, from the likelihood where it is not a parabola. `estimate.budget` splits each u by
    source under "key: statistical", "key: window" and "key: model". `one_band` is what one band gives where one is
    enough, else empty, and `one_covariance` that of its (n, µ). `delta_bic` is BIC(one band) − BIC(two bands).
    """

    estimate: Estimate
    covariance: FloatArray = field(default_factory=lambda: np.full((4, 4), np.nan))
    intervals_95: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    one_band: Mapping[str, Measured] = field(default_factory=dict[str, Measured])
    one_covariance: FloatArray = field(default_factory=lambda: np.full((2, 2), np.nan))
    delta_bic: float = float("nan")
    carriers: str = ""
    temperature_K: Measured | None = None
    curve: TransportCurve | None = None

    @property
    def resolved(self) -> bool:
        """True when two bands are claimed."""
        return self.estimate.status is EstimateStatus.RESOLVED

    def budget(self, key: str) -> dict[str, float]:
        """The parts of u of one of `BAND_KEYS`: statistical, window, model; empty if it is not claimed."""
        head = f"{key}: "
        return {name[len(head) :]: u for name, u in self.estimate.budget.items() if name.startswith(head)}


def refused(sweep: Sweep, reason: str) -> TwoBandResult:
    """No bands, and why, where no fit could be made at all."""
    values = {} if sweep.temperature_K is None else {"temperature_K": sweep.temperature_K}
    reasons = joined((reason,), sweep.notes)
    estimate = Estimate(EstimateStatus.NOT_RESOLVED, values, reasons, {}, f"not resolved: {reason}", sweep.rows)
    return TwoBandResult(estimate, temperature_K=sweep.temperature_K)
