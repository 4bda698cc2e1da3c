"""Thermometers: what a diode or a resistor gives for a temperature, and how it fails.

The curves are the typical ones of the Lake Shore catalogue (appendix G, sensor temperature response data): DT-670 and
Cernox point for point, platinum, rhodium-iron and ruthenium oxide to a few per cent. Between two points a curve is
straight in the logarithm of the temperature, for the sensor as for the instrument, so that one reads back the other.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from .noise import NormalStream
from .world import World


class Fault(Enum):
    """What can be wrong with a thermometer; a fault schedule sets `Sensor.fault`."""

    NONE = "none"
    OPEN = "open circuit"
    SHORT = "short circuit"
    OVER_RANGE = "more than the input takes"
    FROZEN = "the last reading, for ever"


class State(Enum):
    """What an instrument finds at its input."""

    VALID = "valid"
    OPEN = "open"
    ZERO = "sensor units are zero"
    UNITS_OVER = "sensor units over range"
    TOO_COLD = "below the curve"
    TOO_HOT = "above the curve"
    NO_CURVE = "no curve"


class Unit(Enum):
    """How a curve's breakpoints are written; the value is the format number of Lake Shore's CRVHDR."""

    VOLT = 2
    OHM = 3
    LOG_OHM = 4


class Reading(NamedTuple):
    """Kelvin and sensor units (V or Ω); each is 0 where it means nothing, and `state` says so."""

    kelvin: float
    units: float
    state: State


class Curve:
    """A calibration: breakpoints of (breakpoint units, kelvin), as many as an instrument stores (200)."""

    def __init__(self, name: str, serial: str, unit: Unit, points: Iterable[tuple[float, float]]) -> None:
        self.name, self.serial, self.unit = name, serial, unit
        by_kelvin = sorted({kelvin: units for units, kelvin in points if kelvin > 0.0}.items())
        self.points = tuple((units, kelvin) for kelvin, units in by_kelvin)
        self._log_kelvins = [math.log(kelvin) for kelvin, _ in by_kelvin]
        self._values = [units for _, units in by_kelvin]
        self._rising = len(by_kelvin) > 1 and by_kelvin[-1][1] > by_kelvin[0][1]
        self.coldest_K = by_kelvin[0][0] if by_kelvin else math.inf
        self.limit_K = by_kelvin[-1][0] if by_kelvin else 0.0
        # To look temperatures up, the breakpoints must rise.
        self._rising_values = self._values if self._rising else self._values[::-1]
        self._rising_logs = self._log_kelvins if self._rising else self._log_kelvins[::-1]

    @property
    def coefficient(self) -> int:
        """The sign of the temperature coefficient as Lake Shore codes it: 1 negative, 2 positive."""
        return 2 if self._rising else 1

    def units(self, kelvin: float) -> float:
        """Volts or ohms at a temperature; the first and last pieces go on straight outside of the curve."""
        value = _interpolated(self._log_kelvins, self._values, math.log(max(kelvin, 1e-6)))
        return 10.0**value if self.unit is Unit.LOG_OHM else value

    def kelvin(self, units: float) -> float:
        """The temperature that belongs to so many volts or ohms."""
        if self.unit is Unit.LOG_OHM:
            units = math.log10(max(units, 1e-9))
        return math.exp(min(_interpolated(self._rising_values, self._rising_logs, units), 50.0))


NO_CURVE = Curve("", "", Unit.OHM, ())


def _interpolated(xs: list[float], ys: list[float], x: float) -> float:
    if len(xs) < 2:
        return ys[0] if ys else 0.0
    index = min(max(bisect_left(xs, x), 1), len(xs) - 1)
    span = xs[index] - xs[index - 1]
    part = (x - xs[index - 1]) / span if span else 0.0
    return ys[index - 1] + part * (ys[index] - ys[index - 1])


def _curve(name: str, unit: Unit, *points: tuple[float, float]) -> Curve:
    log = unit is Unit.LOG_OHM
    return Curve(name, "STANDARD C", unit, [(math.log10(value) if log else value, kelvin) for kelvin, value in points])


# kelvin and volts or ohms
CURVES: dict[str, Curve] = {
    "DT-670": _curve(
        "DT-670", Unit.VOLT, (1.4, 1.64429), (2, 1.63472), (3, 1.61200), (4.2, 1.57848), (5, 1.55145), (6, 1.51541),
        (7, 1.47868), (8, 1.44374), (9, 1.41207), (10, 1.38373), (12, 1.33499), (14, 1.29439), (16, 1.25967),
        (18, 1.22830), (20, 1.19775), (22, 1.16280), (23, 1.14082), (24, 1.12592), (25, 1.11945), (30, 1.10624),
        (50, 1.07310), (77.35, 1.02759), (100, 0.98697), (150, 0.88911), (200, 0.78372), (250, 0.67346), (300, 0.55964),
        (350, 0.44337), (400, 0.32584), (450, 0.20676), (500, 0.09068),
    ),
    "DT-470": _curve(
        "DT-470", Unit.VOLT, (1.4, 1.6981), (4.2, 1.6260), (10, 1.4201), (20, 1.2144), (30, 1.1070), (50, 1.0705),
        (77.35, 1.0203), (100, 0.9755), (150, 0.8687), (200, 0.7555), (250, 0.6384), (300, 0.5189), (350, 0.3978),
        (400, 0.2746), (450, 0.1499), (475, 0.0906),
    ),
    "CX-1010": _curve(
        "CX-1010", Unit.LOG_OHM, (0.1, 21389), (0.2, 4401.6), (0.3, 2322.4), (0.4, 1604.7), (0.5, 1248.2), (1, 662.43),
        (1.4, 518.97), (2, 413.26), (3, 328.95), (4.2, 277.32), (6, 234.44), (10, 187.11), (20, 138.79), (30, 115.38),
        (40, 100.32), (50, 89.551), (77.35, 70.837), (100, 61.180), (150, 47.782), (200, 39.666), (250, 34.236),
        (300, 30.392), (420, 24.5),
    ),
    "CX-1030": _curve(
        "CX-1030", Unit.LOG_OHM, (0.3, 31312), (0.4, 13507), (0.5, 7855.7), (1, 2355.1), (1.4, 1540.1), (2, 1058.4),
        (3, 740.78), (4.2, 574.20), (6, 451.41), (10, 331.67), (20, 225.19), (30, 179.12), (40, 151.29), (50, 132.34),
        (77.35, 101.16), (100, 85.940), (150, 65.864), (200, 54.228), (250, 46.664), (300, 41.420), (350, 37.621),
        (400, 34.779), (420, 33.839),
    ),
    "CX-1050": _curve(
        "CX-1050", Unit.LOG_OHM, (1.4, 26566), (2, 11844), (3, 5733.4), (4.2, 3507.2), (6, 2252.9), (10, 1313.5),
        (20, 692.81), (30, 482.88), (40, 373.11), (50, 305.19), (77.35, 205.67), (100, 162.81), (150, 112.05),
        (200, 85.80), (250, 69.93), (300, 59.467), (350, 52.14), (400, 46.78), (420, 45.03),
    ),
    "PT-100": _curve(
        "PT-100", Unit.OHM, (20, 2.291), (30, 3.660), (50, 9.387), (77.35, 20.380), (100, 29.989), (150, 50.788),
        (200, 71.011), (250, 90.845), (300, 110.354), (400, 148.640), (500, 185.668), (600, 221.535), (800, 289.789),
    ),
    "RF-800": _curve(
        "RF-800-4", Unit.OHM, (1.4, 1.52), (4.2, 1.88), (10, 2.51), (20, 3.16), (30, 3.58), (50, 4.59), (77.35, 6.83),
        (100, 8.91), (150, 13.30), (200, 17.42), (250, 21.41), (300, 25.40), (400, 33.2), (500, 40.8),
    ),
    "RX-102A": _curve(
        "RX-102A", Unit.LOG_OHM, (0.02, 210000), (0.05, 69200), (0.1, 19390), (0.2, 8360), (0.3, 5615), (0.5, 3701),
        (1, 2381), (1.4, 2005), (2, 1740), (3, 1510), (4.2, 1370), (6, 1267), (10, 1167), (20, 1089), (30, 1063),
        (40, 1049),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of thermometer. `field_factor` is its error in a magnetic field, in units of a Cernox's (assumptions)."""

    curve: Curve
    family: str
    field_factor: float


KINDS: dict[str, Kind] = {
    "DT-670": Kind(CURVES["DT-670"], "diode", 50.0), "DT-470": Kind(CURVES["DT-470"], "diode", 50.0),
    "CX-1010": Kind(CURVES["CX-1010"], "ntc", 1.0), "CX-1030": Kind(CURVES["CX-1030"], "ntc", 1.0),
    "CX-1050": Kind(CURVES["CX-1050"], "ntc", 1.0), "RX-102A": Kind(CURVES["RX-102A"], "ntc", 2.0),
    "PT-100": Kind(CURVES["PT-100"], "platinum", 10.0), "RF-800": Kind(CURVES["RF-800"], "platinum", 30.0),
}  # fmt: skip

_FAILED = {
    Fault.OPEN: Reading(0.0, 0.0, State.OPEN),
    Fault.SHORT: Reading(0.0, 0.0, State.ZERO),
    Fault.OVER_RANGE: Reading(0.0, 0.0, State.UNITS_OVER),
}
# What nearly every reading needs: to look a member up in its enumeration costs as much as the sensor's curve.
_NONE, _FROZEN, _VALID = Fault.NONE, Fault.FROZEN, State.VALID


class Sensor:
    """A thermometer of one of the `KINDS` at a node of the cryostat (`block` or `sample`).

    Its field error and its noise are the cryostat's, the former times the kind's `field_factor`.
    """

    def __init__(self, world: World, node: str, kind: str, noise: NormalStream) -> None:
        self.world, self.node, self.kind = world, node, KINDS[kind]
        self.fault = Fault.NONE
        self._noise = noise
        self._field_factor = math.sqrt(self.kind.field_factor)
        # The last temperature that was told, with noise and without.
        self._last_K = [0.0, 0.0]

    def read(
        self, curve: Curve | None = None, noisy: bool = True, units: bool = True, noise_factor: float = 1.0
    ) -> Reading:
        """What an instrument reads now through `curve`, or its own one; a loop asks without noise.

        Sensor units are told only if they are asked for with `units`: they take longer.
        """
        fault = self.fault
        if fault is not _NONE and fault in _FAILED:
            return _FAILED[fault]
        if fault is _FROZEN and self._last_K[noisy]:
            kelvin = self._last_K[noisy]
        else:
            noise = noise_factor * self._noise.next() if noisy else 0.0
            field_T = self.world.magnet.field() * self._field_factor
            kelvin = self._last_K[noisy] = self.world.cryostat.sensor(self.node, field_T, noise)
        own = self.kind.curve
        curve = curve or own
        value = own.units(kelvin) if units or curve is not own else 0.0
        if curve is not own:
            if len(curve.points) < 2:
                return Reading(0.0, value, State.NO_CURVE)
            kelvin = curve.kelvin(value)
        if kelvin < curve.coldest_K:
            return Reading(0.0, value, State.TOO_COLD)
        if kelvin >= curve.limit_K:
            return Reading(0.0, value, State.TOO_HOT)
        return Reading(kelvin, value, _VALID)
