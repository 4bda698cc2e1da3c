"""Keithley 2450 SourceMeter in its own SCPI language (not in its emulation of the 2400).

Wire facts: 2450 reference manual, as QCoDeS 0.58 drives it: one measured function, a limit for each kind of source
(`VLIMit` while current flows) that says whether it has tripped.
"""

from typing import ClassVar

from ..core.capabilities import VoltageReading
from ..core.errors import ConfigError
from .keithley_2400 import SourceMeter

_LARGEST_A, _LARGEST_V, _LEAST_LIMIT_V = 1.05, 210.0, 0.02
_NPLC = (0.01, 10.0)


class Keithley2450(SourceMeter):
    """A 2450. With `remote_sense` the voltage is taken by two more wires at the sample."""

    model: ClassVar[str] = "2450"
    twin: ClassVar[str] = "remanence.simulators.keithley_2450:Keithley2450"
    settings_table: ClassVar[tuple[str, ...]] = (
        "output_enabled", "source_function", "source_current", "source_range", "compliance", "voltage_range",
        "line_cycles", "remote_sensing", "terminals",
    )  # fmt: skip

    def check_identity(self) -> str:
        """Get the identity; refuse another instrument, or one that speaks another language.

        Raises:
            ReplyError: something else answers here.
            ConfigError: it emulates a 2400 or speaks TSP.
        """
        identity = super().check_identity()
        language = self.ask("*LANG?").strip()
        if language != "SCPI":
            raise ConfigError(
                f"it speaks {language}, not SCPI", where=self.where,
                do="choose SCPI in its menu (System, Settings, Command Set) and switch it off and on",
            )  # fmt: skip
        return identity

    def start_current(self, current_A: float, *, compliance_V: float) -> None:
        """Set level and compliance and switch the output on.

        Raises:
            LimitError: a number is outside the instrument's range; nothing was sent.
            DeviceFault: it refused, or reads back something else; the output is off.
        """
        self.within("current", current_A, -_LARGEST_A, _LARGEST_A, "A")
        self.within("compliance", compliance_V, _LEAST_LIMIT_V, _LARGEST_V, "V")
        with self.link.lock:
            if self.source_function != "CURR":
                self.order(":OUTP 0", ":SOUR:FUNC CURR")
            self.order(
                ':SENS:FUNC "VOLT"', f":SENS:VOLT:RSEN {int(self.remote_sense)}", f":SOUR:CURR:VLIM {compliance_V:.6g}",
                ":SOUR:CURR:RANG:AUTO 1", f":SOUR:CURR {current_A:.7g}", ":SENS:COUN 1", ":OUTP 1",
            )  # fmt: skip
            self._confirm(current_A, compliance_V, self.compliance)

    def configure(self, *, range_V: float, line_cycles: float) -> None:
        """Set range and integration time (power line cycles) of the voltmeter.

        Raises:
            LimitError: there is no such range or integration time; nothing was sent.
            DeviceFault: it refused.
        """
        self.within("range", range_V, _LEAST_LIMIT_V, _LARGEST_V, "V")
        self.within("integration time", line_cycles, *_NPLC, "line cycles")
        self.order(f":SENS:VOLT:NPLC {line_cycles:g}", f":SENS:VOLT:RANG {range_V:g}", ":SENS:VOLT:AVER 0")

    def read_voltage(self) -> VoltageReading:
        """Measure one voltage; flagged `compliance` while the source limits, `overrange` beyond the range.

        Raises:
            ReplyError: the reply is no number.
        """
        command = ":READ?"
        with self.link.lock:
            text = self.ask(command)
            time_s = self.link.answered_s
            flags = ("compliance",) if self.limited else ()
        return self._voltage(text, command, flags, time_s)

    @property
    def compliance(self) -> float:
        """Get the limit of voltage while current is sourced (V)."""
        return self.ask_float(":SOUR:CURR:VLIM?")

    @property
    def limited(self) -> bool:
        """Get whether the source is at its limit of voltage (no unit)."""
        return self.ask_switch(":SOUR:CURR:VLIM:TRIP?")

    @property
    def remote_sensing(self) -> bool:
        """Get whether the voltage is sensed by wires of its own (no unit)."""
        return self.ask_switch(":SENS:VOLT:RSEN?")
