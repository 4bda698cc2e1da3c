"""Keithley 6221 AC and DC current source, with the 2182A that it takes along in delta mode.

Wire facts: Model 6220/6221 reference manual (SCPI, error queue, sine by its peak, delta mode in section 5). The table
is our own and not pymeasure's driver, whose validators clip silently: a current through a sample is given exactly or
refused.
"""

import math
from typing import ClassVar

from pymeasure.instruments.validators import strict_discrete_set

from ..core.capabilities import VoltageReading
from ..core.errors import DeviceFault, LimitError
from .driver import control
from .link import Link
from .scpi import ScpiDriver

_SMALLEST_PEAK_A, _LARGEST_A = 2e-12, 0.105
_LOWEST_Hz, _HIGHEST_Hz = 1e-3, 1e5
_LEAST_LIMIT_V, _MOST_LIMIT_V = 0.1, 105.0
_SHORTEST_DELAY_s, _LONGEST_DELAY_s = 1e-3, 9999.999
# The largest voltage that a 2182A can have measured.
_LARGEST_READING_V = 130.0
_OVERFLOW = 9.8e37


def _within(value: float, limits: tuple[float, float]) -> float:
    """The value itself; pymeasure calls this as a validator.

    Raises:
        LimitError: the value is not finite or outside the limits.
    """
    low, high = limits
    if not (math.isfinite(value) and low <= value <= high):
        raise LimitError(f"{value:g} is outside {low:g} to {high:g} of the 6221", state="Nothing was sent")
    return value


class Keithley6221(ScpiDriver):
    """A 6221 that drives a sine through the sample and gives the lock-ins its phase marker.

    `marker_line` is the trigger link line (1 to 6) that is wired to their reference inputs. `compliance_V` is the
    voltage that the source may use; the instrument's own setting stays if it is not given.
    """

    model: ClassVar[str] = "6221"
    settings_table: ClassVar[tuple[str, ...]] = (
        "output_enabled", "compliance", "current", "waveform", "waveform_amplitude", "waveform_frequency",
        "waveform_offset", "waveform_ranging", "phase_marker", "phase_marker_line",
    )  # fmt: skip

    output_enabled: bool = control(
        ":OUTP?",
        ":OUTP %d",
        """Control whether the output is on (no unit).""",
        validator=strict_discrete_set,
        values={True: 1, False: 0},
        map_values=True,
        cast=int,
    )
    current: float = control(
        ":SOUR:CURR?",
        ":SOUR:CURR %.7g",
        """Control the direct current (A), within ±105 mA.""",
        validator=_within,
        values=(-_LARGEST_A, _LARGEST_A),
    )
    compliance: float = control(
        ":SOUR:CURR:COMP?",
        ":SOUR:CURR:COMP %.7g",
        """Control the compliance (V), 0.1 to 105 V.""",
        validator=_within,
        values=(_LEAST_LIMIT_V, _MOST_LIMIT_V),
    )
    waveform: str = control(
        ":SOUR:WAVE:FUNC?",
        ":SOUR:WAVE:FUNC %s",
        """Control the shape of the waveform (no unit): `sine`, `ramp` or `square`.""",
        validator=strict_discrete_set,
        values={"sine": "SIN", "ramp": "RAMP", "square": "SQU"},
        map_values=True,
        cast=str,
    )
    waveform_amplitude: float = control(
        ":SOUR:WAVE:AMPL?",
        ":SOUR:WAVE:AMPL %.7g",
        """Control the peak amplitude of the waveform (A), 2 pA to 105 mA.""",
        validator=_within,
        values=(_SMALLEST_PEAK_A, _LARGEST_A),
    )
    waveform_frequency: float = control(
        ":SOUR:WAVE:FREQ?",
        ":SOUR:WAVE:FREQ %.7g",
        """Control the frequency of the waveform (Hz), 1 mHz to 100 kHz.""",
        validator=_within,
        values=(_LOWEST_Hz, _HIGHEST_Hz),
    )
    waveform_offset: float = control(
        ":SOUR:WAVE:OFFS?",
        ":SOUR:WAVE:OFFS %.7g",
        """Control the direct current under the waveform (A), within ±105 mA.""",
        validator=_within,
        values=(-_LARGEST_A, _LARGEST_A),
    )
    waveform_ranging: str = control(
        ":SOUR:WAVE:RANG?",
        ":SOUR:WAVE:RANG %s",
        """Control how the range is chosen when the waveform is armed (no unit): `best` or `fixed`.""",
        validator=strict_discrete_set,
        values={"best": "BEST", "fixed": "FIX"},
        map_values=True,
        cast=str,
    )
    phase_marker: bool = control(
        ":SOUR:WAVE:PMAR:STAT?",
        ":SOUR:WAVE:PMAR:STAT %d",
        """Control whether the phase marker is given (no unit).""",
        validator=strict_discrete_set,
        values={True: 1, False: 0},
        map_values=True,
        cast=int,
    )
    phase_marker_line: int = control(
        ":SOUR:WAVE:PMAR:OLIN?",
        ":SOUR:WAVE:PMAR:OLIN %d",
        """Control the trigger link line of the phase marker (no unit), 1 to 6.""",
        validator=strict_discrete_set,
        values=(1, 2, 3, 4, 5, 6),
        cast=int,
    )

    def __init__(self, link: Link, name: str = "", *, marker_line: int = 3, compliance_V: float | None = None) -> None:
        super().__init__(link, name)
        if marker_line not in range(1, 7):
            raise LimitError(f"marker_line must be 1 to 6, not {marker_line!r}", where=self.name)
        self.marker_line = marker_line
        self.compliance_V = None if compliance_V is None else _within(compliance_V, (_LEAST_LIMIT_V, _MOST_LIMIT_V))

    def start_sine(self, *, rms_A: float, frequency_Hz: float) -> None:
        """Set amplitude and frequency and switch the sine on, with its phase marker for the lock-ins.

        Raises:
            LimitError: the current or frequency is outside the instrument's range; nothing was sent.
            DeviceFault: the instrument refused a command; the output is off.
        """
        # The instrument's amplitude is the peak of the sine (manual, "SOURce:WAVE:AMPLitude").
        peak_A = rms_A * math.sqrt(2.0)
        self._check("rms current", rms_A, _SMALLEST_PEAK_A / math.sqrt(2.0), _LARGEST_A / math.sqrt(2.0), "A")
        self._check("frequency", frequency_Hz, _LOWEST_Hz, _HIGHEST_Hz, "Hz")
        self.write("*CLS")
        # Function and marker cannot be changed while a waveform is armed.
        self.write(":SOUR:WAVE:ABOR")
        self.waveform = "sine"
        if self.compliance_V is not None:
            self.compliance = self.compliance_V
        self.waveform_frequency = frequency_Hz
        self.waveform_amplitude = peak_A
        self.waveform_offset = 0.0
        self.waveform_ranging = "best"
        self.write(":SOUR:WAVE:DUR:TIME INF")
        self.write(":SOUR:WAVE:PMAR 0")
        self.phase_marker_line = self.marker_line
        self.phase_marker = True
        self.write(":SOUR:WAVE:ARM")
        self.write(":SOUR:WAVE:INIT")
        if messages := self.read_errors():
            self.output_off()
            raise DeviceFault(
                f"it refused a sine of {rms_A:g} A rms at {frequency_Hz:g} Hz: {'; '.join(messages)}",
                where=f"{self.name} ({self.link.address})",
                state="The output is off",
            )

    def output_off(self) -> None:
        """Stop the waveform, switch the output off and read it back.

        Raises:
            DeviceFault: the output reads back as on.
        """
        self.write(":SOUR:SWE:ABOR")
        self.write(":SOUR:WAVE:ABOR")
        self.output_enabled = False
        if self.output_enabled:
            raise DeviceFault(
                "the output does not switch off",
                where=f"{self.name} ({self.link.address})",
                state="Current may flow through the sample",
                do="switch it off at the instrument",
            )

    # Direct current

    def start_current(self, current_A: float, *, compliance_V: float) -> None:
        """Set level and compliance and switch the output on; a waveform or delta mode ends.

        Raises:
            LimitError: a number is outside the instrument's range; nothing was sent.
            DeviceFault: it refused, or reads back something else; the output is off.
        """
        self.within("current", current_A, -_LARGEST_A, _LARGEST_A, "A")
        self.within("compliance", compliance_V, _LEAST_LIMIT_V, _MOST_LIMIT_V, "V")
        with self.link.lock:
            self._end_modes()
            self._try(
                f":SOUR:CURR:COMP {compliance_V:.7g}", ":SOUR:CURR:RANG:AUTO 1", f":SOUR:CURR {current_A:.7g}",
                ":OUTP 1",
            )  # fmt: skip
            found_A = self.current
            if abs(found_A - current_A) > 1e-5 * abs(current_A) + 1e-14:
                self.output_off()
                raise DeviceFault(
                    f"told {current_A:g} A, it reads back {found_A:g} A", where=self.where, state="The output is off",
                )  # fmt: skip

    # Delta mode

    def start_delta(self, current_A: float, *, compliance_V: float, delay_s: float = 2e-3) -> None:
        """Begin delta mode with ±`current_A`: the 2182A on its serial port measures after `delay_s` in each polarity.

        Raises:
            LimitError: a number is outside the instrument's range; nothing was sent.
            DeviceFault: there is no 2182A on its serial port, or it refused; the output is off.
        """
        self.within("current", current_A, 0.0, _LARGEST_A, "A")
        self.within("compliance", compliance_V, _LEAST_LIMIT_V, _MOST_LIMIT_V, "V")
        self.within("delay", delay_s, _SHORTEST_DELAY_s, _LONGEST_DELAY_s, "s")
        with self.link.lock:
            self._end_modes()
            if not self.nanovoltmeter_present:
                raise DeviceFault(
                    "no 2182A answers on its serial port", where=self.where, state="The output is off",
                    do="connect it by its serial and trigger link cables, and set its interface to RS-232 at 19.2 kBd",
                )  # fmt: skip
            self._try(
                f":SOUR:CURR:COMP {compliance_V:.7g}", ":UNIT:VOLT V", ":FORM:ELEM READ,TST",
                f":SOUR:DELT:HIGH {current_A:.7g}",
                f":SOUR:DELT:DEL {delay_s:.7g}", ":SOUR:DELT:COUN INF", ":SOUR:DELT:CAB OFF", ":SOUR:DELT:ARM",
                ":INIT:IMM",
            )  # fmt: skip

    def read_delta(self) -> VoltageReading | None:
        """Get the newest delta voltage, half the difference of the two polarities; None before the first is there.

        Flagged `overrange` beyond the 2182A's range. `time_s` is when it was asked for.

        Raises:
            ReplyError: the reply is not one reading and its time stamp.
        """
        command = ":SENS:DATA:LAT?"
        text = self.ask(command)
        parts = text.split(",")
        if len(parts) != 2:
            raise self.reply_error(command, text)
        try:
            value, stamp_s = float(parts[0]), float(parts[1])
        except ValueError:
            raise self.reply_error(command, text) from None
        if abs(value) > _OVERFLOW:
            return VoltageReading(math.nan, self.link.answered_s, ("overrange",)) if stamp_s > 0.0 else None
        if not abs(value) <= _LARGEST_READING_V:
            raise self.reply_error(command, text)
        return VoltageReading(value, self.link.answered_s)

    @property
    def nanovoltmeter_present(self) -> bool:
        """Get whether a 2182A answers on its serial port (no unit)."""
        return self.ask_switch(":SOUR:DELT:NVPR?")

    def _end_modes(self) -> None:
        """End waveform, sweep and delta mode, with the output off: none can be changed into another."""
        self.write("*CLS")
        self.write(":SOUR:SWE:ABOR")
        self.write(":SOUR:WAVE:ABOR")
        self.output_enabled = False
        # Ending what is not under way may be a complaint of the instrument, and is none of ours.
        self.read_errors()

    def _try(self, *commands: str) -> None:
        """Send orders; one that is refused leaves the output off."""
        try:
            self.order(*commands, state="The output is off")
        except DeviceFault:
            self.output_off()
            raise

    def make_safe(self) -> None:
        """Switch the output off."""
        self.output_off()

    def _check(self, what: str, value: float, low: float, high: float, unit: str) -> None:
        if not (math.isfinite(value) and low <= value <= high * (1 + 1e-12)):
            raise LimitError(
                f"{what} {value:g} {unit} is outside {low:.3g} to {high:.3g} {unit}",
                where=self.name,
                state="Nothing was sent",
            )
