"""Four-terminal readings of a sample with contacts 1 to 4 round its rim, and what disagreements between them say.

R_ij,kl is van der Pauw's (V_l − V_k)/I for a current into i and out of j (Philips Res. Rep. 13, 1 (1958)): numbered in
one sense round the rim, R_12,34 and R_23,41 are positive. A reversed pair of leads reverses the sign, so R_21,34 says
of R_12,34 the same as R_12,43, but with the current the other way.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from ..core.records import Measured
from .models import FloatArray

# The current enters an edge of the rim, the voltage is that of the edge opposite. A and B are the sample's two
# resistances; the two of each are equal by reciprocity.
CONFIGURATIONS = {"12,34": "A", "34,12": "A", "23,41": "B", "41,23": "B"}
FLAG_FRACTION = 0.03  # a smaller disagreement of two readings is daily life
SIGNIFICANT_Z = 3.3  # six comparisons are made of a sample: one good sample in 200 is flagged by chance
_LABEL = re.compile(r"(?:R_?)?([1-4])([1-4])[,;:/ _-]?([1-4])([1-4])")


@dataclass(frozen=True, slots=True)
class Reading:
    """One four-terminal resistance: `configuration` is "12,34", or any order of the two leads of a pair."""

    configuration: str
    resistance_ohm: Measured


@dataclass(frozen=True, slots=True)
class Defect:
    """Two readings that should be equal: their difference over their mean.

    `kind` is "reversal" (current directions) or "reciprocity" (current and voltage leads exchanged). It is `flagged`
    when it is above 3 % and 3.3 times its standard uncertainty.
    """

    kind: str
    of: tuple[str, str]
    fraction: Measured

    @property
    def z(self) -> float:
        """The fraction over its standard uncertainty."""
        return self.fraction.value / self.fraction.u

    @property
    def flagged(self) -> bool:
        """Large, and not by chance."""
        return abs(self.fraction.value) > FLAG_FRACTION and abs(self.z) > SIGNIFICANT_Z

    @property
    def text(self) -> str:
        """The sentence for a person."""
        percent, u = 100.0 * self.fraction.value, 100.0 * self.fraction.u
        return f"R_{self.of[0]} and R_{self.of[1]} differ by {percent:+.1f} ± {u:.1f} % ({self.kind})"


def parse(configuration: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Current pair and voltage pair of "12,34".

    Raises:
        ValueError: it does not name each of the contacts 1 to 4 once.
    """
    found = _LABEL.fullmatch(configuration.strip())
    if found is None or len(set(found.groups())) != 4:
        raise ValueError(f"configuration {configuration!r} must name the contacts 1 to 4 once each, like '12,34'")
    i, j, k, l = (int(contact) for contact in found.groups())  # noqa: E741  the indices of R_ij,kl
    return (i, j), (k, l)


def canonical(configuration: str) -> tuple[str, int, int]:
    """The configuration of `CONFIGURATIONS` that this one is, the direction of its current (±1) and its sign (±1).

    Raises:
        ValueError: the label is bad, or the current goes along a diagonal.
    """
    (i, j), (k, l) = parse(configuration)  # noqa: E741
    for name in CONFIGURATIONS:
        (a, b), (c, d) = parse(name)
        if {i, j} == {a, b}:
            direction = 1 if (i, j) == (a, b) else -1
            return name, direction, direction if (k, l) == (c, d) else -direction
    raise ValueError(
        f"configuration {configuration!r} sends the current along a diagonal, which measures the Hall resistance: "
        "give it to hall_from_reciprocity"
    )


def readings_of(frame: pd.DataFrame) -> tuple[list[Reading], int]:
    """Readings from the columns `configuration`, `R_ohm` and, if there is one, `R_u_ohm`; and how many rows had a NaN.

    Without `R_u_ohm` the scatter of repeated readings gives one u for all, widened by Student's factor so that
    ±1.96 u covers 95 %.

    Raises:
        ValueError: a column is missing, a u is not positive, or there is no u and too few repeats to find one.
    """
    missing = [name for name in ("configuration", "R_ohm") if name not in frame.columns]
    if missing:
        raise ValueError(
            f"van der Pauw readings need the columns configuration and R_ohm; {', '.join(missing)} missing"
        )
    with_u = "R_u_ohm" in frame.columns
    needed = ["configuration", "R_ohm", *(["R_u_ohm"] if with_u else [])]
    good = pd.DataFrame(frame[needed]).replace([np.inf, -np.inf], np.nan).dropna()
    labels = [str(label) for label in good["configuration"]]
    values = np.asarray(good["R_ohm"], dtype=np.float64)
    if with_u:
        u = np.asarray(good["R_u_ohm"], dtype=np.float64)
        if np.any(u <= 0.0):
            raise ValueError(
                "column R_u_ohm: a standard uncertainty must be above zero; leave the column out to use repeats"
            )
    else:
        u = np.full(values.size, _scatter(labels, values))
    readings = [Reading(label, Measured(float(v), float(s))) for label, v, s in zip(labels, values, u, strict=True)]
    return readings, len(frame) - len(good)


def _scatter(labels: Sequence[str], values: FloatArray) -> float:
    squares, freedom = 0.0, 0
    keys = np.array([f"{name} {direction}" for name, direction, _ in map(canonical, labels)])
    signs = np.array([sign for *_, sign in map(canonical, labels)], dtype=np.float64)
    for key in np.unique(keys):
        group = (signs * values)[keys == key]
        squares += float(((group - group.mean()) ** 2).sum())
        freedom += group.size - 1
    if freedom < 4 or squares == 0.0:
        raise ValueError(
            "no column R_u_ohm and too few repeats to find the scatter: give R_u_ohm or repeat each reading three times"
        )
    return math.sqrt(squares / freedom) * _student(freedom)


def _student(freedom: int) -> float:
    return float(student.ppf(0.975, freedom)) / 1.96


@dataclass(frozen=True, slots=True)
class Averages:
    """What readings come to: R by configuration and direction, by configuration, and by A and B.

    `offset_u_ohm` is the size of the offsets that reversal removed, which stays in a configuration that was read with
    one direction of the current only (`one_sided`).
    """

    directed_ohm: Mapping[tuple[str, int], Measured]
    configured_ohm: Mapping[str, Measured]
    pair_ohm: Mapping[str, Measured]
    one_sided: tuple[str, ...]
    offset_u_ohm: float


def average(readings: Iterable[Reading]) -> Averages:
    """Repeats by their weights, then directions evenly, then reciprocal configurations evenly.

    Evenly, because an offset or a bad alignment cancels only between equal weights.
    """
    sums: dict[tuple[str, int], tuple[float, float]] = {}
    for reading in readings:
        name, direction, sign = canonical(reading.configuration)
        value, u = reading.resistance_ohm.value, reading.resistance_ohm.u
        if not (math.isfinite(value) and math.isfinite(u) and u > 0.0):
            raise ValueError(f"R_{reading.configuration}: a value and a standard uncertainty above zero are needed")
        weight, total = sums.get((name, direction), (0.0, 0.0))
        sums[name, direction] = (weight + u**-2, total + sign * value * u**-2)
    directed = {key: Measured(total / weight, weight**-0.5) for key, (weight, total) in sums.items()}
    both = [name for name in CONFIGURATIONS if (name, 1) in directed and (name, -1) in directed]
    halves = [
        (0.5 * (directed[name, 1].value - directed[name, -1].value), 0.5 * _u(directed[name, 1], directed[name, -1]))
        for name in both
    ]
    offset_u = 0.0
    if halves:
        # Seen in a few places only: widened by Student's factor, so that ±1.96 u covers 95 %.
        offset_u = math.sqrt(max(sum(h**2 - u**2 for h, u in halves) / len(halves), 0.0)) * _student(len(halves))
    configured: dict[str, Measured] = {}
    one_sided: list[str] = []
    for name in CONFIGURATIONS:
        present = [directed[name, direction] for direction in (1, -1) if (name, direction) in directed]
        if present:
            mean = _mean(present)
            if len(present) == 1:
                one_sided.append(name)
                mean = Measured(mean.value, math.hypot(mean.u, offset_u))
            configured[name] = mean
    pairs: dict[str, Measured] = {}
    for pair in ("A", "B"):
        present = [configured[name] for name, of in CONFIGURATIONS.items() if of == pair and name in configured]
        if present:
            pairs[pair] = _mean(present)
    return Averages(directed, configured, pairs, tuple(one_sided), offset_u)


def _mean(values: Sequence[Measured]) -> Measured:
    return Measured(sum(m.value for m in values) / len(values), _u(*values) / len(values))


def _u(*values: Measured) -> float:
    return math.sqrt(sum(m.u**2 for m in values))


def defects(averages: Averages) -> tuple[Defect, ...]:
    """Every disagreement that can be looked at: up to four reversals and two reciprocities."""
    found: list[Defect] = []
    for name in CONFIGURATIONS:
        ahead, back = averages.directed_ohm.get((name, 1)), averages.directed_ohm.get((name, -1))
        if ahead and back:
            reverse = ",".join(pair[::-1] for pair in name.split(","))
            found.append(_defect("reversal", (name, reverse), ahead, back))
    for one, other in (("12,34", "34,12"), ("23,41", "41,23")):
        first, second = averages.configured_ohm.get(one), averages.configured_ohm.get(other)
        if first and second:
            found.append(_defect("reciprocity", (one, other), first, second))
    return tuple(found)


def _defect(kind: str, of: tuple[str, str], one: Measured, other: Measured) -> Defect:
    scale = 0.5 * (abs(one.value) + abs(other.value))
    return Defect(kind, of, Measured((one.value - other.value) / scale, _u(one, other) / scale))
