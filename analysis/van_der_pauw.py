"""Sheet resistance from van der Pauw readings, with what the readings say of the contacts and of the sample.

Any shape without holes, evenly thick, contacts small and on the rim. Readings that should be equal are compared before
they are averaged, and R_B/R_A before R_s is believed: a film that is not even has no one sheet resistance.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core.quantities import format_measured
from ..core.records import Estimate, EstimateStatus, Measured
from .contact_diagnosis import diagnose
from .contact_readings import (
    CONFIGURATIONS,
    SIGNIFICANT_Z,
    Averages,
    Defect,
    Reading,
    average,
    defects,
    readings_of,
)
from .models import FloatArray
from .rectangle import rectangle_series, sensitivities, solve_van_der_pauw, stretch_of

LEAST_Z = 3.0  # R_A and R_B over their u: below, their sign is in doubt
MOST_DEFECT = 0.3  # of readings that should be equal: above, one of them measured something else
EVEN_RATIO = 1.3  # R_B/R_A of an ordinary square
MOST_RATIO = 1e4  # beyond, it is not the film that makes the difference
KEYS = ("sheet_resistance_ohm", "R_A_ohm", "R_B_ohm", "R_B_over_R_A", "anisotropy")


@dataclass(frozen=True)
class SheetResistance:
    """What van der Pauw readings say.

    `estimate.values`: `sheet_resistance_ohm`, `R_A_ohm` (current along 1-2 and 3-4), `R_B_ohm`, `R_B_over_R_A` and
    `anisotropy` = √(R_x/R_y), x along 1-2, of an even rectangle that would read the same; `covariance` is theirs in the
    order of `keys`. `budget` splits u(R_s): `statistical`, `reciprocity`, `gain`. `defects` holds every comparison of
    readings, flagged or not, `averages` the readings as they were combined.
    """

    estimate: Estimate
    defects: tuple[Defect, ...]
    averages: Averages
    keys: tuple[str, ...] = ()
    covariance: FloatArray | None = None


def sheet_resistance(
    readings: pd.DataFrame | Sequence[Reading],
    *,
    gain_u: float = 0.0,
    aspect: float = 1.0,
    two_point_ohm: Mapping[str, float] | None = None,
) -> SheetResistance:
    """R_s from up to four configurations in two current directions, each repeated as often as one likes.

    A frame has the columns `configuration`, `R_ohm` and, unless readings repeat, `R_u_ohm`. `gain_u` is the relative
    standard uncertainty that all readings share (current source, voltmeter). `aspect` is the sample's length along 1-2
    over that along 2-3; it changes the anisotropy only. `two_point_ohm` ("12": 410.0, …) helps to name a bad contact.

    Raises:
        ValueError: a label, column, u or option is bad, or there is no reading at all.
    """
    if not (math.isfinite(gain_u) and gain_u >= 0.0 and math.isfinite(aspect) and aspect > 0.0):
        raise ValueError("gain_u must be a relative uncertainty (0.001) and aspect a ratio of lengths above zero")
    rows, skipped = len(readings), 0
    if isinstance(readings, pd.DataFrame):
        readings, skipped = readings_of(readings)
    if not readings:
        raise ValueError("no van der Pauw reading: each needs a configuration like '12,34' and a resistance")
    averages = average(readings)
    found = defects(averages)
    notes = [*diagnose(found, two_point_ohm), *_missing(averages)]
    if skipped:
        notes.append(f"{skipped} of {rows} rows were skipped: a value is missing")
    refusals = _refusals(averages, found)
    if refusals:
        # R_A may stand although R_s may not.
        values = {f"R_{pair}_ohm": _with_gain(m, gain_u) for pair, m in averages.pair_ohm.items() if not refusals[1:]}
        text = f"not resolved: {refusals[0]}"
        estimate = Estimate(EstimateStatus.NOT_RESOLVED, values, (*refusals, *notes), {}, text, rows)
        return SheetResistance(estimate, found, averages)
    return _resolved(averages, found, notes, gain_u, aspect, rows)


def _with_gain(measured: Measured, gain_u: float) -> Measured:
    return Measured(measured.value, math.hypot(measured.u, gain_u * measured.value))


def _missing(averages: Averages) -> list[str]:
    absent = [name for name in CONFIGURATIONS if name not in averages.configured_ohm]
    notes: list[str] = []
    if absent:
        notes.append(f"R_{', R_'.join(absent)} not read: fewer averages, and no check by reciprocity there")
    if averages.one_sided:
        known = f"the offsets seen elsewhere, {averages.offset_u_ohm:.2g} Ω, are in u" if averages.offset_u_ohm else ""
        notes.append(
            f"R_{', R_'.join(averages.one_sided)} read with one direction of the current: "
            f"{known or 'with direct current a thermal EMF is still in it, and not in u'}"
        )
    return notes


def _refusals(averages: Averages, found: Sequence[Defect]) -> list[str]:
    refusals: list[str] = []
    pairs = averages.pair_ohm
    refusals += [
        f"no reading of R_{pair}: measure R_{' or R_'.join(name for name, of in CONFIGURATIONS.items() if of == pair)}"
        for pair in ("A", "B")
        if pair not in pairs
    ]
    negative = [name for name, m in averages.configured_ohm.items() if m.value < -SIGNIFICANT_Z * m.u]
    if negative and len(negative) == len(averages.configured_ohm):
        refusals.append("every reading is negative: the voltage leads are exchanged, or not numbered round the rim")
    elif negative:
        refusals.append(
            f"R_{', R_'.join(negative)} negative and the others not: two leads are exchanged, or a contact is open"
        )
    else:
        refusals += [
            f"R_{pair} = {format_measured(m, 'Ω')} is not {LEAST_Z:.0f} times its u: average longer"
            for pair, m in pairs.items()
            if m.value < LEAST_Z * m.u
        ]
        if not refusals and not 1.0 / MOST_RATIO < pairs["A"].value / pairs["B"].value < MOST_RATIO:
            refusals.append(
                f"R_A and R_B differ more than {MOST_RATIO:.0f} times: a lead is in the wrong place or open"
            )
    wrong = [d for d in found if d.kind == "reciprocity" and d.flagged and abs(d.fraction.value) > MOST_DEFECT]
    if wrong and not negative:
        refusals.append(f"{wrong[0].text}: one of the two measured something else")
    return refusals


def _resolved(
    averages: Averages, found: tuple[Defect, ...], notes: list[str], gain_u: float, aspect: float, rows: int
) -> SheetResistance:
    r_a, r_b = averages.pair_ohm["A"], averages.pair_ohm["B"]
    r_s = float(solve_van_der_pauw(r_a.value, r_b.value))
    stretch, slope = stretch_of(r_a.value / r_b.value)
    ratio = r_b.value / r_a.value
    values = np.array([r_s, r_a.value, r_b.value, ratio, stretch / aspect])
    jacobian = np.array(
        [
            sensitivities(r_a.value, r_b.value, r_s),
            (1.0, 0.0),
            (0.0, 1.0),
            (-ratio / r_a.value, 1.0 / r_a.value),
            (values[4] * slope / r_a.value, -values[4] * slope / r_b.value),
        ]
    )
    # Where reciprocal readings disagree for certain, the truth may be either of them.
    disagreement = np.array([_half_difference(found, "12,34", r_a), _half_difference(found, "23,41", r_b)])
    common = np.where([True, True, True, False, False], gain_u * values, 0.0)
    parts = {
        "statistical": _spread(jacobian, np.array([r_a.u, r_b.u])),
        "reciprocity": _spread(jacobian, disagreement),
        "gain": np.outer(common, common),
    }
    covariance = np.sum(list(parts.values()), axis=0)
    u = np.sqrt(np.diag(covariance))
    measured = {key: Measured(float(v), float(s)) for key, v, s in zip(KEYS, values, u, strict=True)}
    notes = [*_uneven(stretch / aspect, measured["anisotropy"]), *notes]
    estimate = Estimate(
        EstimateStatus.RESOLVED,
        measured,
        tuple(notes),
        {name: math.sqrt(part[0, 0]) for name, part in parts.items()},
        f"R_s = {format_measured(measured['sheet_resistance_ohm'], 'Ω')}",
        rows,
    )
    return SheetResistance(estimate, found, averages, KEYS, covariance)


def _spread(jacobian: FloatArray, u: FloatArray) -> FloatArray:
    scaled = jacobian * u
    return scaled @ scaled.T


def _half_difference(found: Sequence[Defect], first: str, mean: Measured) -> float:
    of = [d for d in found if d.kind == "reciprocity" and d.of[0] == first and d.flagged]
    return 0.5 * abs(of[0].fraction.value) * mean.value if of else 0.0


def _uneven(anisotropy: float, measured: Measured) -> list[str]:
    """The warning about a film that is not an even square. `aspect` is taken out, so that it is the film's alone."""
    ratio = rectangle_series(max(anisotropy, 1.0 / anisotropy)) / rectangle_series(min(anisotropy, 1.0 / anisotropy))
    if ratio < EVEN_RATIO or abs(anisotropy - 1.0) < SIGNIFICANT_Z * measured.u:
        return []
    return [
        f"for a square the two resistances would have the ratio {ratio:.2f}, above {EVEN_RATIO}: inhomogeneity, "
        f"domains below 105 K or a bad contact; an even film would need √(R_x/R_y) = {format_measured(measured, '')}"
    ]
