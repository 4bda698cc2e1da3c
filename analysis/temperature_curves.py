"""m(T) field cooled and zero-field cooled: where the branches part, where m_ZFC is largest, and Curie–Weiss above.

A gap between FC and ZFC is a blocking temperature only where it closes, and only where FC was cooled in the field it is
measured in: cooled in a larger one, FC holds that field's remanence, which does not care about blocking.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core.quantities import format_measured
from ..core.records import Estimate, EstimateStatus, Measured
from .curie_weiss import CurieWeiss, effective_moment, fit_curie_weiss
from .irreversibility import Gap, bifurcation, gap_between, thermometer_lag, without_spikes, zfc_maximum
from .temperature_branches import Branch, branches_of
from .whitening import fit_linear

LAG_SIGMA = 4.0
SAME_FIELD = 0.05  # relative: more than this is another field
ABOVE_IRREVERSIBLE = 1.2  # times T_irr: where Curie–Weiss may begin


@dataclass(frozen=True)
class TemperatureCurves:
    """What m(T) says, and its curves.

    `estimate.values` holds, where they may be claimed, `irreversibility_temperature_K`, `zfc_maximum_K`,
    `blocking_temperature_K`, `irreversibility_Am2` and `irreversibility_ratio` (at the lowest common temperature),
    `curie_constant_m3_K`, `curie_weiss_theta_K`, `chi0_m3` (m/H of the whole sample), `effective_moment_muB` and
    `thermometer_lag_K`. `curie_weiss` holds the ladder of windows with the covariance of (C, θ, χ0).
    """

    estimate: Estimate
    zfc: Branch
    fc: Branch
    gap: Gap
    curie_weiss: CurieWeiss | None


def analyze_temperature_curves(
    frame: pd.DataFrame,
    fc: pd.DataFrame | None = None,
    *,
    measuring_field_T: float | None = None,
    cooling_field_T: float | None = None,
    substrate_moment_Am2: Measured | float = 0.0,
    ions: Measured | float | None = None,
) -> TemperatureCurves:
    """Irreversibility, blocking and Curie–Weiss of one frame with both branches, or of ZFC and FC in two.

    Columns: `temperature_K`, `moment_Am2`; better with `moment_u_Am2` (relative weights), `field_T`, `branch` or `leg`,
    `flags`. `measuring_field_T` is needed for Curie–Weiss where `field_T` is missing; `cooling_field_T` is the field
    that FC was cooled in. `substrate_moment_Am2` is m_sub, `ions` the number of magnetic ions in the sample.

    Raises:
        ValueError: a column is missing, or a branch.
    """
    if fc is None:
        branches, notes, cooled_T = branches_of(frame, None, measuring_field_T)
    else:
        branches, first, _ = branches_of(frame, "ZFC", measuring_field_T)
        more, second, cooled_T = branches_of(fc, "FCW", measuring_field_T)
        branches, notes = [*branches, *more], first + second
    cleaned: list[Branch] = []
    for branch in branches:
        clean, said = without_spikes(branch)
        cleaned.append(clean)
        notes += said
    zfc = _longest(cleaned, "ZFC")
    fcw, fcc = _longest(cleaned, "FCW"), _longest(cleaned, "FCC")
    chosen = fcw or fcc
    if zfc is None or chosen is None:
        found = ", ".join(branch.name for branch in cleaned) or "none"
        raise ValueError(f"m(T) needs a ZFC and an FC branch of 8 rows or more; found {found}: name them in `branch`")
    substrate = _as_measured(substrate_moment_Am2)
    field_T = measuring_field_T if measuring_field_T is not None else _field(zfc)
    work = _Work(zfc, chosen, fcc if chosen is fcw else None, substrate.value)
    values, reasons = work.lag()
    values |= work.irreversibility(reasons)
    cooling_T = cooling_field_T if cooling_field_T is not None else cooled_T
    _cooled_otherwise(cooling_T, field_T, work, reasons)
    curie = work.curie_weiss(field_T, values, reasons)
    if curie is not None and curie.claimed and ions is not None:
        values["effective_moment_muB"] = effective_moment(values["curie_constant_m3_K"], _as_measured(ions))
    claims = ("irreversibility_temperature_K", "zfc_maximum_K", "curie_weiss_theta_K")
    status = EstimateStatus.RESOLVED if any(key in values for key in claims) else EstimateStatus.NOT_RESOLVED
    rows = sum(branch.size for branch in cleaned)
    estimate = Estimate(status, values, (*reasons, *notes), {}, _text(values, reasons), rows)
    return TemperatureCurves(estimate, work.zfc, work.fc, work.gap, curie)


class _Work:
    """The branches, corrected for the thermometer's lag where it shows, and what is found one after the other."""

    def __init__(self, zfc: Branch, fc: Branch, also_cooling: Branch | None, substrate_Am2: float) -> None:
        self.zfc, self.fc, self._also_cooling = zfc, fc, also_cooling
        self._substrate_Am2 = substrate_Am2
        self.gap = gap_between(zfc, fc, substrate_Am2)
        self._irreversible_K = 0.0
        self.never_closes = False

    def lag(self) -> tuple[dict[str, Measured], list[str]]:
        """The thermometer's lag between warming and cooling, and the branches shifted by it."""
        if self._also_cooling is not None and self.fc.warming:
            found = thermometer_lag(self.fc, self._also_cooling, 0.0)
            return ({}, []) if found is None else ({"thermometer_lag_K": found}, _lag_sentence(found, "is told"))
        if self.zfc.warming == self.fc.warming:
            return {}, []
        warm, cool = (self.zfc, self.fc) if self.zfc.warming else (self.fc, self.zfc)
        # Lag alone may explain the whole gap; if not, only the part above T_irr tells it.
        for above_K in (0.0, self._above_K()):
            found = thermometer_lag(warm, cool, above_K)
            if found is None:
                continue
            half_K = 0.5 * found.value if abs(found.value) > LAG_SIGMA * found.u else 0.0
            zfc, fc = (branch.shifted(-half_K if branch.warming else half_K) for branch in (self.zfc, self.fc))
            gap = gap_between(zfc, fc, self._substrate_Am2)
            if above_K > 0.0 or (half_K and bifurcation(gap).sentence.startswith("no irreversibility")):
                self.zfc, self.fc, self.gap = zfc, fc, gap
                return {"thermometer_lag_K": found}, _lag_sentence(found, "is corrected") if half_K else []
        return {}, []

    def _above_K(self) -> float:
        found = bifurcation(self.gap)
        return 1.1 * found.value.value if found.value is not None else 1e-9

    def irreversibility(self, reasons: list[str]) -> dict[str, Measured]:
        """T_irr, the maximum of m_ZFC, the blocking temperature if it is one, and the gap at the lowest temperature."""
        values: dict[str, Measured] = {}
        found = bifurcation(self.gap)
        self.never_closes = found.never_closes
        if found.value is not None:
            values["irreversibility_temperature_K"] = found.value
            self._irreversible_K = ABOVE_IRREVERSIBLE * found.value.value
        elif found.sentence:
            reasons.append(found.sentence)
        low = self.gap.mean_ratio[np.isfinite(self.gap.mean_ratio)]
        if low.size:
            ratio = Measured(float(low[0]), float(self.gap.mean_ratio_u[np.isfinite(self.gap.mean_ratio)][0]))
            size = float(self.gap.size_Am2[2])
            values["irreversibility_ratio"] = ratio
            values["irreversibility_Am2"] = Measured(ratio.value * size, ratio.u * size)
            if ratio.value < -3.0 * ratio.u and ratio.value < -0.02:
                reasons.append("m_ZFC lies above m_FC at low temperature: are the branches named the right way round?")
        top, broad = zfc_maximum(self.zfc)
        if top.value is None:
            reasons.append(top.sentence)
            return values
        values["zfc_maximum_K"] = top.value
        if broad:
            reasons.append(broad)
        why = self._not_blocking(top.value, found.value)
        if why:
            reasons.append(
                f"the maximum of m_ZFC at {format_measured(top.value, 'K')} is no blocking temperature: {why}"
            )
        else:
            values["blocking_temperature_K"] = top.value
        return values

    def _not_blocking(self, top: Measured, irreversible: Measured | None) -> str:
        if self.never_closes:
            return "the branches do not meet above it"
        if irreversible is None:
            return "the branches agree there and below"
        margin_K = 3.0 * float(np.hypot(top.u, irreversible.u)) + 0.05 * top.value
        if top.value > irreversible.value + margin_K:
            return f"the branches agree within 2 % from {format_measured(irreversible, 'K')} upwards"
        return ""

    def curie_weiss(self, field_T: float | None, values: dict[str, Measured], reasons: list[str]) -> CurieWeiss | None:
        """The Curie–Weiss law of the rows above T_irr, put into `values` if it may be claimed."""
        if field_T is None or field_T == 0.0:
            reasons.append("Curie–Weiss needs the measuring field: give field_T or measuring_field_T")
            return None
        if self.never_closes:
            reasons.append("no Curie–Weiss: the branches differ at all temperatures")
            return None
        curie = fit_curie_weiss((self.zfc, self.fc), field_T, self._irreversible_K)
        if curie.reason:
            reasons.append(f"no Curie–Weiss: {curie.reason}")
            return curie
        for index, key in enumerate(("curie_constant_m3_K", "curie_weiss_theta_K", "chi0_m3")):
            values[key] = curie.rungs[0].value(index)
        return curie


def _cooled_otherwise(cooling_T: float | None, field_T: float | None, work: _Work, reasons: list[str]) -> None:
    """Sentences for an FC branch that was not cooled in the measuring field, and for a gap that stays the same."""
    steady = _steady_gap(work.gap)
    if cooling_T is not None and field_T and abs(abs(cooling_T) - abs(field_T)) > SAME_FIELD * abs(field_T):
        reasons.append(
            f"FC was cooled in {abs(cooling_T):.3g} T and measured in {abs(field_T):.3g} T: m_FC − m_ZFC holds the "
            "remanence of the cooling field"
        )
    if work.never_closes and steady:
        reasons.append("the gap does not depend on temperature: a remanence, and no blocking temperature")


def _steady_gap(gap: Gap) -> bool:
    """True when the gap changes by less than a tenth, or not beyond its noise, over the whole curve."""
    t = gap.temperature_K
    if t.size < 12 or np.ptp(t) == 0.0:
        return False
    scale = float(np.abs(gap.difference_Am2).max()) or 1.0
    design = np.column_stack([np.ones_like(t), (t - t.mean()) / np.ptp(t)])
    try:
        fit = fit_linear(design, gap.difference_Am2 / scale, np.arange(t.size) == 0)
    except np.linalg.LinAlgError:
        return False
    return abs(float(fit.p[1])) < max(0.1 * abs(float(fit.p[0])), 3.0 * fit.u(1))


def _longest(branches: list[Branch], name: str) -> Branch | None:
    named = [branch for branch in branches if branch.name == name]
    return max(named, key=lambda branch: branch.size) if named else None


def _field(branch: Branch) -> float | None:
    known = branch.field_T[np.isfinite(branch.field_T)]
    return float(np.median(known)) if known.size else None


def _as_measured(given: Measured | float) -> Measured:
    return given if isinstance(given, Measured) else Measured(float(given), 0.0)


def _lag_sentence(lag: Measured, done: str) -> list[str]:
    if abs(lag.value) < LAG_SIGMA * lag.u:
        return []
    return [f"the thermometer reads {format_measured(lag, 'K')} more on warming than on cooling: this {done}"]


def _text(values: dict[str, Measured], reasons: list[str]) -> str:
    names = (
        ("T_irr", "irreversibility_temperature_K"), ("T_B", "blocking_temperature_K"), ("θ", "curie_weiss_theta_K"),
    )  # fmt: skip
    parts = [f"{name} = {format_measured(values[key], 'K')}" for name, key in names if key in values]
    return ", ".join(parts) if parts else f"not resolved: {reasons[0] if reasons else 'nothing was found'}"
