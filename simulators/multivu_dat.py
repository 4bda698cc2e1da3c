"""MultiVu's data files, written as MultiVu writes them: header, columns, one flushed row after the other.

Facts from real files of three laboratories (MPMS3 with and without AC option, PPMS Resistivity): cells that a mode does
not fill are empty; a comment is quoted only if it holds a comma, and column names hold quotation marks as they please;
times are seconds since 30 December 1899 on the local clock; numbers have 15 digits, `1.5E-8` in the one program and
`1.5e-008` in the other, whose rows are shorter than the line of names.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Self

from ..core.clock import Clock
from ..core.errors import ConfigError, StorageError

# Where the days of spreadsheets begin.
_EPOCH = datetime(1899, 12, 30)


def _names(text: str) -> tuple[str, ...]:
    """Column names hold parentheses, quotation marks and spaces, but no bar."""
    return tuple(text.split("|"))


_DC = _names(
    "DC Moment Fixed Ctr (emu)|DC Moment Err Fixed Ctr (emu)|DC Moment Free Ctr (emu)|DC Moment Err Free Ctr (emu)|"
    "DC Fixed Fit|DC Free Fit|DC Calculated Center (mm)|DC Calculated Center Err (mm)|DC Scan Length (mm)|"
    "DC Scan Time (s)|DC Number of Points|DC Squid Drift|DC Min V (V)|DC Max V (V)|DC Scans per Measure"
)
_VSM = _names(
    "Comment|Time Stamp (sec)|Temperature (K)|Magnetic Field (Oe)|Moment (emu)|M. Std. Err. (emu)|Transport Action|"
    "Averaging Time (sec)|Frequency (Hz)|Peak Amplitude (mm)|Center Position (mm)|Lockin Signal' (V)|"
    "Lockin Signal (V)|Range|M. Quad. Signal (emu)"
)
_AC = _names(
    "AC Moment (emu)|AC M. Std Err. (emu)|AC Phase (deg)|AC Phase Std. Err. (deg)|AC Susceptibility (emu/Oe)|"
    "AC Suscept. Std Err. (emu/Oe)|AC X' (emu/Oe)|AC X' Std Err. (emu/Oe)|AC X'' (emu/Oe)|AC X'' Std Err. (emu/Oe)|"
    "AC Drive (Oe)|AC Frequency (Hz)|AC Averaging Time (sec)|AC Cycles|AC Range|AC Measure Type|AC Signal' (V)|"
    "AC Signal'' (V)|AC Trim Coil Ratio|AC Trim Coil Phase"
)
_STATE = _names(
    "Min. Temperature (K)|Max. Temperature (K)|Min. Field (Oe)|Max. Field (Oe)|Mass (grams)|Motor Lag (deg)|"
    "Pressure (Torr)|Measure Count|Measurement Number|SQUID Status (code)|Motor Status (code)|Measure Status (code)|"
    "Motor Current (amps)|Motor Temp. (C)|Temp. Status (code)|Field Status (code)|Chamber Status (code)|"
    "Chamber Temp (K)|Redirection State"
)
_ROTATOR = ("Average Temp (K)", "Rotation Angle (deg)", "Rotator state")
_MAPS = tuple(f"Map {number:02d}" for number in range(1, 17))
_BRIDGES = tuple(
    column
    for number in range(1, 5)
    for column in (f"Bridge {number} Resistivity (Ohm-m)", f"Bridge {number} Excitation (uA)")
)
_RESISTIVITY = (
    *_names("Comment|Time Stamp (sec)|Status (code)|Temperature (K)|Magnetic Field (Oe)|Sample Position (deg)"),
    *_BRIDGES, *(f"Bridge {number} Std. Dev. (Ohm-m)" for number in range(1, 5)), "Number of Readings",
    *(f"Bridge {number} Resistance (Ohms)" for number in range(1, 5)),
    *_names("Signal 1 Vin (V)|Signal 2 Vin (V)|Digital Inputs (code)|Drive 1 Iout (mA)|Drive 1 Ipower (watts)"),
    *_names("Drive 2 Iout (mA)|Drive 2 Ipower (watts)|Pressure ()"), *(f"Map {n} ()" for n in range(20, 30)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SampleInfo:
    """What the operator typed about the sample; `mass_mg` and `offset_mm` in MultiVu's own units."""

    material: str = ""
    comment: str = ""
    mass_mg: str = ""
    volume: str = ""
    molecular_weight: str = ""
    size: str = ""
    shape: str = ""
    holder: str = "Straw"
    holder_detail: str = "Standard"
    offset_mm: str = "66.25"


def _mpms3_number(value: float) -> str:
    """15 digits, the exponent without zeros in front."""
    mantissa, mark, exponent = f"{value:.15g}".partition("e")
    return f"{mantissa}E{int(exponent)}" if mark else mantissa


def _ppms_number(value: float) -> str:
    """15 digits, the exponent with three."""
    mantissa, mark, exponent = f"{value:.15g}".partition("e")
    return f"{mantissa}e{int(exponent):+04d}" if mark else mantissa


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of file: its columns, its header above `[Data]`, and how it writes numbers and times.

    `cells` is how many cells a row has at least. `since` gives the instant from which the time stamps count.
    """

    columns: tuple[str, ...]
    header: Callable[[float, datetime, SampleInfo], list[str]]
    number: Callable[[float], str]
    cells: int
    since: Callable[[datetime], datetime] = lambda _opened: _EPOCH


def _mpms3_header(ac: bool) -> Callable[[float, datetime, SampleInfo], list[str]]:
    def header(stamp: float, opened: datetime, sample: SampleInfo) -> list[str]:
        clock = f"{opened:%m/%d/%Y},{opened.hour % 12 or 12}:{opened:%M} {'am' if opened.hour < 12 else 'pm'}"
        hardware = [
            ("Linear Motor Servo Controller", "MOTOR_MODULE_NAME"), ("3101-100 J0", "MOTOR_HW_VERSION"),
            ("MMC000", "MOTOR_SERIAL_NUMBER"), ("01.04.28", "MOTOR_SOFTWARE_VERSION"),
            ("Quantum Design Squid Module", "SQUID_MODULE_NAME"), ("3101-501 B0", "SQUID_HW_VERSION"),
            ("SQM000", "SQUID_SERIAL_NUMBER"), ("01.03.04", "SQUID_SOFTWARE_VERSION"),
        ]  # fmt: skip
        if ac:
            hardware += [
                ("SQUID AC", "AC_MODULE_NAME"), ("3101-401 f1", "AC_HW_VERSION"), ("SAC000", "AC_SERIAL_NUMBER"),
                ("SQUID AC 00.95.07", "AC_SOFTWARE_VERSION"),
            ]  # fmt: skip
        typed = [
            ("TCI000", "COIL_SERIAL_NUMBER"), ("0", "MOMENT_UNITS"), (sample.material, "SAMPLE_MATERIAL"),
            (sample.comment, "SAMPLE_COMMENT"), (sample.mass_mg, "SAMPLE_MASS"), (sample.volume, "SAMPLE_VOLUME"),
            (sample.molecular_weight, "SAMPLE_MOLECULAR_WEIGHT"), (sample.size, "SAMPLE_SIZE"),
            (sample.shape, "SAMPLE_SHAPE"), (sample.holder, "SAMPLE_HOLDER"),
            (sample.holder_detail, "SAMPLE_HOLDER_DETAIL"), (sample.offset_mm, "SAMPLE_OFFSET"),
        ]  # fmt: skip
        lines = [
            "[Header]", "; MPMS3 Data File (default extension .dat)",
            "; Copyright (c) 2007, Quantum Design, Inc. All rights reserved.", "TITLE,",
            f"FILEOPENTIME,{_mpms3_number(stamp)},{clock}", f"BYAPP,{'MPMS3 w/ AC' if ac else 'MPMS3'},1.0,1.1",
            "INFO,MPMS3 Measurement Release 1.1.16 Build 424, MultiVu Release 2.3.4.26,APPNAME",
        ]  # fmt: skip
        lines += [f"INFO,{value},{key}" for value, key in hardware + typed]
        lines += ["DATATYPE,COMMENT,1", "DATATYPE,TIME,2", "STARTUPAXIS,X,2", "STARTUPAXIS,Y1,5"]
        # The real groups have these numbers in both kinds of file: they miss their columns by a few.
        first = 56 if ac else 34
        lines.append("FIELDGROUP, VSM,2,3,4,5,6,8,9,10,11,14,15")
        lines.append("FIELDGROUP, DC, 2,3,4,14," + ",".join(str(first + n) for n in range(14)))
        if ac:
            lines.append("FIELDGROUP, AC, 2,3,4,11," + ",".join(str(n) for n in range(16, 31)))
        return [*lines, "STARTUPGROUP, All", "[Data]"]

    return header


def _resistivity_header(stamp: float, opened: datetime, sample: SampleInfo) -> list[str]:
    clock = f"{opened.month}/{opened.day}/{opened.year},{opened.hour % 12 or 12}:{opened:%M %p}"
    lines = ["[Header]", "TITLE, default name", f"FILEOPENTIME,{stamp:.2f},{clock}", "BYAPP, Resistivity, 2.1, 1.0"]
    # Here the key comes first on one line and last on all others.
    lines.append("INFO, APPNAME, PPMS MultiVu Application, 1.5.11")
    for number in range(1, 5):
        name = sample.material if number == 1 else ""
        lines += [
            f"INFO, {name}, Sample{number} Name", f"INFO, 1, Sample{number} Cross Section",
            f"INFO, 1, Sample{number} Length", f"INFO, Ohm-m, Sample{number} Units",
        ]  # fmt: skip
    lines.append("FIELDGROUP, Resistivity," + ",".join(str(n) for n in range(2, len(_RESISTIVITY) + 1)))
    lines += ["STARTUPGROUP, Resistivity", "STARTUPAXIS, X, 2, LINEAR, AUTO"]
    lines += [f"STARTUPAXIS, Y{axis}, {column}, LINEAR, AUTO" for axis, column in ((1, 7), (2, 9), (3, 11))]
    lines.append("PLOT_APPEARANCE, ALL, HORZ_GRID_ON, VERT_GRID_ON, MARKERS_AND_LINES, ALL_LINES")
    return [*lines, "DATATYPE, TIME, 2", "DATATYPE, COMMENT, 1", "[Data]"]


_PLAIN = (*_VSM, *_STATE, *_ROTATOR, *_DC, *_MAPS)
_WITH_AC = (*_VSM, *_AC, *_STATE, "Evercool Status", *_ROTATOR, *_DC, *_MAPS)
MPMS3 = Layout(_PLAIN, _mpms3_header(ac=False), _mpms3_number, len(_PLAIN))
MPMS3_AC = Layout(_WITH_AC, _mpms3_header(ac=True), _mpms3_number, len(_WITH_AC))
# Older SQUID VSM files have one quotation mark without its fellow, right in the line of names.
SQUID_VSM = Layout(
    tuple("Lockin Signal\" (V)" if name == "Lockin Signal (V)" else name for name in _PLAIN),
    _mpms3_header(ac=False), _mpms3_number, len(_PLAIN),
)  # fmt: skip
# The Model 6000's clock of the one file at hand counts from the first hours of its year: an inference.
RESISTIVITY = Layout(
    _RESISTIVITY, _resistivity_header, _ppms_number, 23, lambda opened: datetime(opened.year, 1, 1)
)  # fmt: skip


class DatFile:
    """A data file that is being measured into: a context manager. `local` is the time zone of the instrument's PC.

    Raises:
        StorageError: the file exists already, or cannot be written.
    """

    def __init__(
        self,
        path: Path,
        layout: Layout,
        clock: Clock,
        sample: SampleInfo = SampleInfo(),
        local: tzinfo = UTC,
        line_end: str = "\r\n",
    ) -> None:
        self.path = path
        self.layout = layout
        self._clock = clock
        self._local = local
        self._line_end = line_end
        self._places = {name: place for place, name in enumerate(layout.columns)}
        opened = self._now()
        self._since = layout.since(opened)
        self.rows = 0
        try:
            # A program of Windows in the West: its own code page, and `?` for what that has not got.
            self._file = path.open("x", encoding="cp1252", errors="replace", newline="")
        except OSError as error:
            raise StorageError(f"the data file {path} cannot be begun: {error}", do="choose another name") from error
        self._put([*layout.header(self._stamp(opened), opened, sample), ",".join(layout.columns)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def write(self, values: Mapping[str, float], comment: str = "") -> None:
        """Append one row with the present time; a column that is not in `values`, or not a number there, stays empty.

        Raises:
            ConfigError: a name in `values` is no column of this file.
        """
        cells = [""] * max(self.layout.cells, 1 + max((self._place(name) for name in values), default=0))
        cells[0] = _quoted(comment)
        stamp = self._stamp(self._now())
        cells[1] = f"{stamp:.2f}" if self.layout.number is _ppms_number else _mpms3_number(round(stamp, 5))
        for name, value in values.items():
            cells[self._place(name)] = self.layout.number(value) if math.isfinite(value) else ""
        self._put([",".join(cells)])
        self.rows += 1

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        self._file.close()

    def _place(self, name: str) -> int:
        try:
            return self._places[name]
        except KeyError:
            raise ConfigError(f"{name!r} is no column of {self.path.name}") from None

    def _put(self, lines: list[str]) -> None:
        self._file.write("".join(line + self._line_end for line in lines))
        self._file.flush()

    def _now(self) -> datetime:
        return self._clock.utc().astimezone(self._local).replace(tzinfo=None)

    def _stamp(self, at: datetime) -> float:
        return (at - self._since).total_seconds()


def _quoted(comment: str) -> str:
    text = " ".join(comment.split())
    return f'"{text}"' if "," in text else text
