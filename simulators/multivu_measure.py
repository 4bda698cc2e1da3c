"""What MultiVu measures: a DC scan or a vibration in an MPMS3, resistances in a PPMS, as one row of its data file.

Columns, codes and the size of what no physics here gives (motor, lag, frequency, voltages) are those of real MPMS3 and
PPMS files: transport action 1 fills the vibration's columns, 6 those of the scan. Each measurement is a generator of
the seconds that must pass until it goes on; laboratory time is its caller's.
"""

import math
from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np

from .moment import A_M2_PER_EMU
from .multivu import MultiVu
from .squid import MPMS3, Fit, Scan, Shape, Squid, fixed_centre, free_centre

Row = dict[str, float]
Passing = Generator[float, None, Row]

_VIBRATION, _SCAN = 1, 6
# Seconds before and after a measurement: centring, range, writing. From the spacing of real rows.
_BEFORE_s, _AFTER_s, _RETURN_s = 0.6, 0.6, 4.0
# Real ranges are 1, 10, 100, 1000; the coils' own are moments of full scale.
_RANGE_ONE_A_M2 = 1e-6
# Real files: 848 V and 126 V of the two lock-in signals for one emu; the moving mass; the motor.
_LOCKIN_V_PER_EMU, _LOCKIN_QUADRATURE_V_PER_EMU = 848.0, 126.0
_FREQUENCY_HZ, _MASS_G, _LAG_DEG = 13.0063810348511, 53.0, 5.235
_NOMINAL_CENTRE_MM = 32.82
_READINGS = 25
_RESISTIVITY_STATUS = 4369


@dataclass(frozen=True, slots=True)
class DcScan:
    """The sample moves once through the coils, `scans` times over; the moment is fitted with and without its centre."""

    scan_s: float = 4.0
    scans: int = 1

    def passing(self, bench: "Bench") -> Passing:
        """Measure one row."""
        yield _BEFORE_s
        seen = _Seen(bench.multivu)
        scans: list[Scan] = []
        while len(scans) < self.scans:
            yield 0.5 * self.scan_s
            seen.look()
            scan = bench.squid.scan(bench.moment_A_m2(), bench.field_T())
            yield 0.5 * self.scan_s
            seen.look()
            yield _RETURN_s
            # A scan that left the range is done again in the next; beyond the last it is what it is.
            if not scan.overloaded or not bench.larger_range():
                scans.append(scan)
        yield _AFTER_s
        fixed, free = _mean(fixed_centre(scan) for scan in scans), _mean(free_centre(scan) for scan in scans)
        volts = np.concatenate([scan.volts for scan in scans])
        row = seen.row(_SCAN, bench, measure_status=0, motor_A=0.018)
        # The range for the next row is chosen by this one.
        bench.squid.choose_range(fixed.moment_A_m2)
        return row | {
            "Center Position (mm)": _NOMINAL_CENTRE_MM,
            "DC Moment Fixed Ctr (emu)": fixed.moment_A_m2 / A_M2_PER_EMU,
            "DC Moment Err Fixed Ctr (emu)": fixed.error_A_m2 / A_M2_PER_EMU,
            "DC Moment Free Ctr (emu)": free.moment_A_m2 / A_M2_PER_EMU,
            "DC Moment Err Free Ctr (emu)": free.error_A_m2 / A_M2_PER_EMU,
            "DC Fixed Fit": fixed.quality,
            "DC Free Fit": free.quality,
            "DC Calculated Center (mm)": _NOMINAL_CENTRE_MM + 1e3 * free.centre_m,
            "DC Calculated Center Err (mm)": 0.0,
            "DC Scan Length (mm)": 1e3 * MPMS3.scan_length_m,
            "DC Scan Time (s)": self.scan_s,
            "DC Number of Points": MPMS3.scan_points,
            "DC Squid Drift": float(scans[-1].volts[-1] - scans[0].volts[0]) / self.scan_s,
            "DC Min V (V)": float(volts.min()),
            "DC Max V (V)": float(volts.max()),
            "DC Scans per Measure": self.scans,
        }


@dataclass(frozen=True, slots=True)
class Vsm:
    """The sample vibrates about the coils' centre for `averaging_s`."""

    averaging_s: float = 3.0
    amplitude_m: float = 4e-3

    def passing(self, bench: "Bench") -> Passing:
        """Measure one row."""
        yield _BEFORE_s
        seen = _Seen(bench.multivu)
        yield 0.5 * self.averaging_s
        seen.look()
        true_A_m2 = bench.moment_A_m2()
        yield 0.5 * self.averaging_s
        seen.look()
        range_A_m2 = bench.squid.choose_range(true_A_m2)
        if abs(true_A_m2) > range_A_m2:
            moment, error = math.nan, math.nan
        else:
            moment, error = bench.squid.vibrate(true_A_m2, bench.field_T(), self.amplitude_m, self.averaging_s)
        yield _AFTER_s
        moment_emu, error_emu = moment / A_M2_PER_EMU, error / A_M2_PER_EMU
        return seen.row(_VIBRATION, bench, measure_status=1, motor_A=0.225) | {
            "Moment (emu)": moment_emu,
            "M. Std. Err. (emu)": error_emu,
            "Averaging Time (sec)": self.averaging_s,
            "Frequency (Hz)": _FREQUENCY_HZ,
            "Peak Amplitude (mm)": 1e3 * self.amplitude_m,
            "Center Position (mm)": _NOMINAL_CENTRE_MM,
            "Lockin Signal' (V)": _LOCKIN_V_PER_EMU * moment_emu,
            "Lockin Signal (V)": _LOCKIN_QUADRATURE_V_PER_EMU * moment_emu,
            "M. Quad. Signal (emu)": error_emu * bench.noise.next(),
            "Mass (grams)": _MASS_G,
            "Motor Lag (deg)": _LAG_DEG,
            "Measure Count": round(self.averaging_s * _FREQUENCY_HZ),
        }


@dataclass(frozen=True, slots=True)
class Resistivity:
    """The bridges that are wired, one after the other, at this current (A); with cross section and length of 1."""

    current_A: float = 1e-5
    seconds: float = 3.0

    def passing(self, bench: "Bench") -> Passing:
        """Measure one row."""
        yield _BEFORE_s
        row: Row = {}
        for number, bridge in enumerate(bench.multivu.bridges.bridges, 1):
            if not bridge.wired:
                continue
            yield self.seconds
            bench.multivu.world.advance()
            ohms = [bridge.resistance(self.current_A) for _ in range(_READINGS)]
            mean_ohm = sum(ohms) / _READINGS
            row[f"Bridge {number} Resistivity (Ohm-m)"] = mean_ohm
            row[f"Bridge {number} Excitation (uA)"] = 1e6 * self.current_A
            row[f"Bridge {number} Std. Dev. (Ohm-m)"] = float(np.std(ohms, ddof=1))
            row[f"Bridge {number} Resistance (Ohms)"] = mean_ohm
        multivu = bench.multivu
        return {
            "Status (code)": _RESISTIVITY_STATUS,
            "Temperature (K)": multivu.kelvin(),
            "Magnetic Field (Oe)": multivu.oersted(),
            "Sample Position (deg)": 0.0,
            "Number of Readings": _READINGS,
        } | row


Measurement = DcScan | Vsm | Resistivity


class Bench:
    """What a measurement works with: the instrument, and in an MPMS3 its SQUID with the sample in the coils.

    `shape` of None is that of the laboratory's film; the instrument's own software believes in a point.
    """

    def __init__(self, multivu: MultiVu, shape: Shape | None = None) -> None:
        self.multivu = multivu
        world = multivu.world
        sample = world.sample
        if shape is None:
            shape = Shape(sample.settings.side_m, across=sample.axis == "[001]")
        self.noise = world.stream(f"squid motor {multivu.name}")
        self.squid = multivu.squid = Squid(MPMS3, world.stream(f"squid {multivu.name}"), shape)

    def moment_A_m2(self) -> float:
        """The sample's true moment now."""
        world = self.multivu.world
        world.advance()
        return world.sample.moment(world.magnet.field(), world.cryostat.sample_K)

    def field_T(self) -> float:
        """The true field at the sample."""
        return self.multivu.world.magnet.field()

    def larger_range(self) -> bool:
        """Take the next range; False if there is none."""
        ranges = MPMS3.ranges_A_m2
        place = ranges.index(self.squid.range_A_m2) + 1
        if place == len(ranges):
            return False
        self.squid.range_A_m2 = ranges[place]
        return True

    def range_code(self) -> float:
        """The range as data files have it."""
        return min(max(self.squid.range_A_m2 / _RANGE_ONE_A_M2, 1.0), 1000.0)


def _mean(fits: Iterable[Fit]) -> Fit:
    """The mean of several scans' fits, with the error of the mean."""
    all_fits = list(fits)
    count = len(all_fits)
    return Fit(
        sum(fit.moment_A_m2 for fit in all_fits) / count,
        math.sqrt(sum(fit.error_A_m2**2 for fit in all_fits)) / count,
        sum(fit.centre_m for fit in all_fits) / count,
        sum(fit.quality for fit in all_fits) / count,
    )


class _Seen:
    """Temperature and field during a measurement, and the row's part that every mode fills."""

    def __init__(self, multivu: MultiVu) -> None:
        self._multivu = multivu
        self._kelvin: list[float] = []
        self._oersted: list[float] = []
        self.look()

    def look(self) -> None:
        self._multivu.world.advance()
        self._kelvin.append(self._multivu.kelvin())
        self._oersted.append(self._multivu.oersted())

    def row(self, action: int, bench: Bench, measure_status: int, motor_A: float) -> Row:
        multivu = self._multivu
        now_s = multivu.world.clock.now()
        middle = len(self._kelvin) // 2
        return {
            "Temperature (K)": self._kelvin[middle],
            "Magnetic Field (Oe)": self._oersted[middle],
            "Transport Action": action,
            "Range": bench.range_code(),
            "Min. Temperature (K)": min(self._kelvin),
            "Max. Temperature (K)": max(self._kelvin),
            "Min. Field (Oe)": min(self._oersted),
            "Max. Field (Oe)": max(self._oersted),
            "Pressure (Torr)": multivu.chamber.pressure_torr(now_s),
            "Measurement Number": 1,
            "SQUID Status (code)": 0,
            "Motor Status (code)": 0,
            "Measure Status (code)": measure_status,
            "Motor Current (amps)": motor_A * (1.0 + 0.02 * bench.noise.next()),
            "Motor Temp. (C)": 31.0 + 0.3 * bench.noise.next(),
            "Temp. Status (code)": multivu.temperature.code,
            "Field Status (code)": multivu.field.code,
            "Chamber Status (code)": multivu.chamber.code(now_s),
            "Chamber Temp (K)": self._kelvin[-1],
            "Redirection State": 0,
            "Average Temp (K)": sum(self._kelvin) / len(self._kelvin),
        }
