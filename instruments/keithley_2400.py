"""Keithley 2400 SourceMeter: direct current through the sample and the voltage along it, by two or four wires.

Wire facts: Series 2400 user's manual; the answers as in Lab-Measurement's recorded traffic with a real one. Bit 3 of
the status element says that the source limits (manual, `FORMat:ELEMents`).
"""

import math
from typing import ClassVar

from ..core.capabilities import VoltageReading
from ..core.errors import DeviceFault, ReplyError
from .driver import strict_float
from .link import Link
from .scpi import ScpiDriver

_LARGEST_A, _LARGEST_V = 1.05, 210.0
_LEAST_LIMIT_V = 2e-4
_NPLC = (0.01, 10.0)
_OVERFLOW = 9.8e37
_COMPLIANCE = 1 << 3


class SourceMeter(ScpiDriver):
    """What the 2400 and the 2450 have in common: to be a source of current and a voltmeter at once."""

    deadline_s: ClassVar[float] = 5.0

    def __init__(self, link: Link, name: str = "", *, remote_sense: bool = False) -> None:
        super().__init__(link, name)
        self.remote_sense = remote_sense

    def output_off(self) -> None:
        """Switch the output off and read it back.

        Raises:
            DeviceFault: it reads back as on.
        """
        self.write(":OUTP 0")
        if self.output_enabled:
            raise DeviceFault(
                "the output does not switch off", where=self.where, state="Current may flow through the sample",
                do="switch it off at the instrument",
            )  # fmt: skip

    @property
    def output_enabled(self) -> bool:
        """Get whether the output is on (no unit)."""
        return self.ask_switch(":OUTP?")

    @property
    def source_function(self) -> str:
        """Get what is sourced (no unit): `CURR` or `VOLT`."""
        return self.ask_word(":SOUR:FUNC?", "CURR", "VOLT")

    @property
    def source_current(self) -> float:
        """Get the level of current that is set (A)."""
        return self.ask_float(":SOUR:CURR?")

    @property
    def source_range(self) -> float:
        """Get the range of current that is sourced (A)."""
        return self.ask_float(":SOUR:CURR:RANG?")

    @property
    def voltage_range(self) -> float:
        """Get the range of voltage that is measured (V)."""
        return self.ask_float(":SENS:VOLT:RANG?")

    @property
    def line_cycles(self) -> float:
        """Get the integration time in power line cycles (no unit)."""
        return self.ask_float(":SENS:VOLT:NPLC?")

    @property
    def terminals(self) -> str:
        """Get the terminals in use (no unit): `FRON` or `REAR`."""
        return self.ask_word(":ROUT:TERM?", "FRON", "REAR")

    def make_safe(self) -> None:
        """Switch the output off."""
        self.output_off()

    def _confirm(self, current_A: float, compliance_V: float, limit_V: float) -> None:
        found_A = self.source_current
        if abs(found_A - current_A) > 1e-4 * abs(current_A) + 1e-11 or limit_V > compliance_V * (1 + 1e-4) + 1e-9:
            self.output_off()
            raise DeviceFault(
                f"told {current_A:g} A and at most {compliance_V:g} V, it reads back {found_A:g} A and {limit_V:g} V",
                where=self.where, state="The output is off", do="somebody may be at its front panel",
            )  # fmt: skip

    def _voltage(self, text: str, command: str, flags: tuple[str, ...], time_s: float) -> VoltageReading:
        """A reading out of its text; the instrument's word for too much is a flag."""
        try:
            value = float(text)
        except ValueError:
            raise self.reply_error(command, text) from None
        if abs(value) > _OVERFLOW:
            return VoltageReading(math.nan, time_s, (*flags, "overrange"))
        if not abs(value) <= 1.1 * _LARGEST_V:
            raise self.reply_error(command, text)
        return VoltageReading(value, time_s, flags)


class Keithley2400(SourceMeter):
    """A 2400. With `remote_sense` the voltage is taken by two more wires at the sample."""

    model: ClassVar[str] = "2400"
    twin: ClassVar[str] = "remanence.simulators.keithley_2400:Keithley2400"
    settings_table: ClassVar[tuple[str, ...]] = (
        "output_enabled", "source_function", "source_current", "source_range", "compliance", "voltage_range",
        "line_cycles", "remote_sensing", "terminals",
    )  # fmt: skip

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
                ":SOUR:CURR:MODE FIX", ":SENS:FUNC:CONC ON", ":SENS:FUNC 'VOLT','CURR'",
                f":SYST:RSEN {int(self.remote_sense)}", f":SENS:VOLT:PROT {compliance_V:.6g}", ":SOUR:CURR:RANG:AUTO 1",
                f":SOUR:CURR {current_A:.7g}", ":FORM:ELEM VOLT,CURR,STAT", ":TRIG:COUN 1", ":ARM:COUN 1", ":OUTP 1",
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
        self.order(f":SENS:VOLT:NPLC {line_cycles:g}", f":SENS:VOLT:RANG {range_V:g}", ":SENS:AVER 0")

    def read_voltage(self) -> VoltageReading:
        """Measure one voltage; flagged `compliance` while the source limits, `overrange` beyond the range.

        Raises:
            ReplyError: the reply is not voltage, current and status.
        """
        command = ":READ?"
        reply = self.ask(command)
        parts = reply.split(",")
        if len(parts) != 3:
            raise self.reply_error(command, reply)
        try:
            strict_float(parts[1])
            status = int(strict_float(parts[2]))
        except ReplyError as error:
            raise self.reply_error(command, reply) from error
        flags = ("compliance",) if status & _COMPLIANCE else ()
        return self._voltage(parts[0], command, flags, self.link.answered_s)

    @property
    def compliance(self) -> float:
        """Get the limit of voltage while current is sourced (V)."""
        return self.ask_float(":SENS:VOLT:PROT?")

    @property
    def remote_sensing(self) -> bool:
        """Get whether the voltage is sensed by wires of its own (no unit)."""
        return self.ask_switch(":SYST:RSEN?")
