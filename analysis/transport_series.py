"""Densities and mobilities against temperature, from the results of many sweeps, and where the second band ends.

Every row keeps its uncertainties and the covariance of its own numbers; different runs are independent. A crossover
is where *these* sweeps stop showing a second band: a quieter or wider sweep may show it further up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..core.quantities import format_measured
from ..core.records import Estimate, EstimateStatus, Measured
from .models import FloatArray
from .single_band import SingleBandResult
from .two_band_judge import LEAST_BIC
from .two_band_result import BAND_KEYS, TwoBandResult

TransportResult = TwoBandResult | SingleBandResult


@dataclass(frozen=True, slots=True)
class TransportRow:
    """One sweep: its temperature, how many bands it shows (0: it shows none), their numbers and covariance.

    `values` has n and µ of one band or `BAND_KEYS` of two, and the totals; `covariance` is that of (n, µ) or of
    `BAND_KEYS`, in SI.
    """

    temperature_K: Measured
    bands: int
    values: dict[str, Measured]
    covariance: FloatArray
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TransportSeries:
    """The table, coldest first, and the crossover in `estimate.values["crossover_K"]` if there is one in the range."""

    rows: tuple[TransportRow, ...]
    estimate: Estimate
    columns: tuple[str, ...] = field(
        default=("density_per_m2", "mobility_m2_per_Vs", *BAND_KEYS, "density_total_per_m2", "sheet_resistance_ohm")
    )

    def frame(self) -> pd.DataFrame:
        """One line per sweep: `temperature_K`, `bands`, each value and its u (`u_…`), NaN where it is not claimed.

        `correlation_n_mu` is that of n and µ of one band, `correlation_n1_n2` that of the two densities.
        """
        lines: list[dict[str, float | str]] = []
        for row in self.rows:
            line: dict[str, float | str] = {
                "temperature_K": row.temperature_K.value, "u_temperature_K": row.temperature_K.u, "bands": row.bands,
            }  # fmt: skip
            for key in self.columns:
                measured = row.values.get(key)
                line[key] = float("nan") if measured is None else measured.value
                line[f"u_{key}"] = float("nan") if measured is None else measured.u
            line["correlation_n_mu"] = _correlation(row, 1, 0, 1)
            line["correlation_n1_n2"] = _correlation(row, 2, 0, 2)
            line["reason"] = row.reason
            lines.append(line)
        return pd.DataFrame(lines)


def analyze_transport_series(results: Sequence[TransportResult]) -> TransportSeries:
    """Put results of sweeps at different temperatures into one table and look for the end of the second band.

    Two bands are shown where they are resolved, one band where one is enough; a sweep that shows neither keeps its
    line with the reason. Where a sweep was asked both questions, its answer of two bands counts.

    Raises:
        ValueError: there are no results, or one does not know its temperature.
    """
    if not results:
        raise ValueError("a series needs the results of at least one sweep")
    rows: list[TransportRow] = []
    for number, result in enumerate(results):
        if result.temperature_K is None:
            raise ValueError(f"result {number} has no temperature: its frame needs the column temperature_K")
        rows.append(_row(result, result.temperature_K))
    rows.sort(key=lambda row: row.temperature_K.value)
    kept = tuple(row for row in rows if not _answered_by_another(row, rows))
    return TransportSeries(kept, _crossover(kept))


def _row(result: TransportResult, temperature: Measured) -> TransportRow:
    reason = result.estimate.reasons[0] if result.estimate.reasons and not result.resolved else ""
    if isinstance(result, SingleBandResult):
        values = {key: value for key, value in result.estimate.values.items() if key != "temperature_K"}
        bands, values = (1, values) if result.resolved else (0, {})
        return TransportRow(temperature, bands, values, result.covariance, reason)
    if result.resolved:
        values = {key: value for key, value in result.estimate.values.items() if key != "temperature_K"}
        return TransportRow(temperature, 2, values, result.covariance)
    if result.one_band and result.delta_bic < LEAST_BIC:
        return TransportRow(temperature, 1, dict(result.one_band), result.one_covariance, reason)
    return TransportRow(temperature, 0, {}, np.full((2, 2), np.nan), reason)


def _answered_by_another(row: TransportRow, rows: Sequence[TransportRow]) -> bool:
    """True for a row without a claim, or with one band, where the same temperature shows more."""
    same = [other for other in rows if other is not row and _alike(other.temperature_K, row.temperature_K)]
    return any(other.bands > row.bands and row.bands < 2 for other in same)


def _alike(a: Measured, b: Measured) -> bool:
    return abs(a.value - b.value) <= 1e-9 + 1e-6 * abs(a.value)


def _correlation(row: TransportRow, bands: int, i: int, j: int) -> float:
    c = row.covariance
    if row.bands != bands or c.shape[0] <= max(i, j) or not np.isfinite(c[[i, i, j], [i, j, j]]).all():
        return float("nan")
    return float(c[i, j] / np.sqrt(c[i, i] * c[j, j]))


def _crossover(rows: Sequence[TransportRow]) -> Estimate:
    """Between the last temperature from below that shows two bands and the first from above that shows one.

    All that is known is that it lies between the two, anywhere: half the gap over √3, and the thermometer's u. Where
    the answers alternate, the gap is the whole stretch over which they do.
    """
    told = [row for row in rows if row.bands > 0]
    silent = len(rows) - len(told)
    notes = (f"{silent} of {len(rows)} sweeps show neither one nor two bands",) if silent else ()
    two = [k for k, row in enumerate(told) if row.bands == 2]
    one = [k for k, row in enumerate(told) if row.bands == 1]
    reason = ""
    if not told:
        reason = "no sweep shows one or two bands"
    elif not two:
        reason = f"no crossover: one band at every temperature, {_span(told)}"
    elif not one:
        reason = f"no crossover: two bands at every temperature, {_span(told)}"
    elif told[0].bands == 1:
        reason = f"no crossover: the coldest sweep ({told[0].temperature_K.value:.4g} K) shows one band"
    elif told[-1].bands == 2:
        reason = f"no crossover: the warmest sweep ({told[-1].temperature_K.value:.4g} K) shows two bands"
    if reason:
        return Estimate(EstimateStatus.NOT_RESOLVED, {}, (reason, *notes), {}, f"not resolved: {reason}", len(rows))
    below, above = told[min(one) - 1].temperature_K, told[max(two) + 1].temperature_K
    if min(one) < max(two):
        notes = (f"one and two bands alternate between {below.value:.4g} and {above.value:.4g} K", *notes)
    gap = (above.value - below.value) / np.sqrt(12.0)
    thermometer = 0.5 * float(np.hypot(above.u, below.u))
    crossover = Measured(0.5 * (above.value + below.value), float(np.hypot(gap, thermometer)))
    sentence = f"linear above {above.value:.4g} K, two bands up to {below.value:.4g} K"
    return Estimate(
        EstimateStatus.RESOLVED, {"crossover_K": crossover}, (sentence, *notes),
        {"grid of temperatures": float(gap), "thermometer": thermometer},
        f"crossover {format_measured(crossover, 'K')}", len(rows),
    )  # fmt: skip


def _span(rows: Sequence[TransportRow]) -> str:
    return f"{rows[0].temperature_K.value:.4g} to {rows[-1].temperature_K.value:.4g} K"
