"""Yokogawa GS200 DC voltage and current source.

Wire facts: QCoDeS 0.58, pymeasure 0.16 and Lab-Measurement's recorded traffic with a real one. A level may be 1.2
times its range, ±32 V and ±200 mA at most. A ramp is a program of one step whose slope takes its whole interval; that
it has arrived shows in the status register, not in the level.
"""

import math
from typing import ClassVar

from ..core.errors import DeviceFault, LimitError
from .link import Link
from .scpi import ScpiDriver

_RANGES = {"CURR": (1e-3, 1e-2, 0.1, 0.2), "VOLT": (0.01, 0.1, 1.0, 10.0, 30.0)}
_LARGEST = {"CURR": 0.2, "VOLT": 32.0}
_UNIT = {"CURR": "A", "VOLT": "V"}
_OVERRANGE = 1.2
_LEAST_LIMIT_V, _MOST_LIMIT_V = 1.0, 30.0
_SHORTEST_RAMP_s, _LONGEST_RAMP_s = 0.1, 3600.0
# Bits of the condition register: ready for a program; at its lower and upper limit.
_READY, _LIMITS = 1 << 8, (1 << 10) | (1 << 11)


class GS200(ScpiDriver):
    """A GS200 (GS210, GS211) as a source of direct current or voltage."""

    model: ClassVar[str] = "GS2"
    twin: ClassVar[str] = "remanence.simulators.yokogawa:GS200"
    settings_table: ClassVar[tuple[str, ...]] = (
        "function", "range", "level", "output_enabled", "voltage_limit", "current_limit", "remote_sense", "guard",
    )  # fmt: skip

    def __init__(self, link: Link, name: str = "", *, remote_sense: bool = False) -> None:
        super().__init__(link, name)
        self._four_wires = remote_sense

    # The capability

    def start_current(self, current_A: float, *, compliance_V: float) -> None:
        """Set level and compliance and switch the output on.

        The compliance is a whole number of volts, 1 to 30: others are refused.

        Raises:
            LimitError: a number is outside the instrument's range; nothing was sent.
            DeviceFault: it refused, or reads back something else.
        """
        full = self._fitting("CURR", current_A)
        self.within("compliance", compliance_V, _LEAST_LIMIT_V, _MOST_LIMIT_V, "V")
        if compliance_V != round(compliance_V):
            raise LimitError(
                f"a compliance of {compliance_V:g} V is not a whole number of volts", where=self.name,
                state="Nothing was sent", do=f"ask for {math.floor(compliance_V)} V or {math.ceil(compliance_V)} V",
            )  # fmt: skip
        with self.link.lock:
            if self.function != "CURR":
                # A function is changed with the output off; what was a voltage would be a current otherwise.
                self.order(":OUTP 0", ":SOUR:FUNC CURR")
            self.order(f":SOUR:PROT:VOLT {compliance_V:.0f}", f":SENS:REM {int(self._four_wires)}")
            self._set_level(current_A, full)
            self.order(":OUTP 1")
            self._confirm(current_A)

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

    # More verbs

    def set_level(self, level: float) -> None:
        """Set the level of the present function (A or V) in a range that holds it, and read it back.

        Raises:
            LimitError: it is outside the instrument's range; nothing was sent.
        """
        with self.link.lock:
            self._set_level(level, self._fitting(self.function, level))
            self._confirm(level)

    def start_ramp(self, level: float, duration_s: float) -> None:
        """Start towards a level (A or V) on a straight line of time; `ramping` says when it has arrived.

        The range must hold both ends: a change of range in the middle would be a step.

        Raises:
            LimitError: level or duration is outside the instrument's range, or the level outside its present one.
            DeviceFault: it refused; the output stays where it is.
        """
        full = self.range
        most = min(_OVERRANGE * full, _LARGEST[self.function])
        self.within("level", level, -most, most, _UNIT[self.function])
        self.within("duration", duration_s, _SHORTEST_RAMP_s, _LONGEST_RAMP_s, "s")
        with self.link.lock:
            self.order(
                ":PROG:REP 0", f":PROG:INT {duration_s:.1f}", f":PROG:SLOP {duration_s:.1f}", ":PROG:EDIT:STAR",
                f":SOUR:LEV {level:.6E}", ":PROG:EDIT:END", ":PROG:RUN", state="The output stays where it is",
            )  # fmt: skip

    @property
    def ramping(self) -> bool:
        """Get whether a program moves the output (no unit)."""
        return not self._condition() & _READY

    @property
    def limited(self) -> bool:
        """Get whether the output is at its limit of voltage or current (no unit)."""
        return bool(self._condition() & _LIMITS)

    # Settings

    @property
    def function(self) -> str:
        """Get what is sourced (no unit): `CURR` or `VOLT`."""
        return self.ask_word(":SOUR:FUNC?", "CURR", "VOLT")

    @property
    def range(self) -> float:
        """Get the range (A or V)."""
        return self.ask_float(":SOUR:RANG?")

    @property
    def level(self) -> float:
        """Get the level (A or V); during a ramp, the one before it."""
        return self.ask_float(":SOUR:LEV?")

    @property
    def output_enabled(self) -> bool:
        """Get whether the output is on (no unit)."""
        return self.ask_switch(":OUTP?")

    @property
    def voltage_limit(self) -> float:
        """Get the limit of voltage while current is sourced (V)."""
        return self.ask_float(":SOUR:PROT:VOLT?")

    @property
    def current_limit(self) -> float:
        """Get the limit of current while voltage is sourced (A)."""
        return self.ask_float(":SOUR:PROT:CURR?")

    @property
    def remote_sense(self) -> bool:
        """Get whether the voltage is sensed at the load by wires of its own (no unit)."""
        return self.ask_switch(":SENS:REM?")

    @property
    def guard(self) -> bool:
        """Get whether the guard terminal is driven (no unit)."""
        return self.ask_switch(":SENS:GUAR?")

    def make_safe(self) -> None:
        """Switch the output off."""
        self.output_off()

    def _condition(self) -> int:
        return int(self.ask_float(":STAT:COND?"))

    def _fitting(self, function: str, level: float) -> float:
        """The smallest range that holds a level without using the overrange."""
        largest = _LARGEST[function]
        self.within("level", level, -largest, largest, _UNIT[function])
        return next((full for full in _RANGES[function] if abs(level) <= full), _RANGES[function][-1])

    def _set_level(self, level: float, full: float) -> None:
        # Into a larger range before the level, into a smaller one after it: neither is refused, nothing is cut.
        into_range, to_level = f":SOUR:RANG {full:g}", f":SOUR:LEV {level:.6E}"
        larger_first = full >= self.range
        self.order(*((into_range, to_level) if larger_first else (to_level, into_range)))

    def _confirm(self, level: float) -> None:
        full, found = self.range, self.level
        if abs(found - level) > 2e-5 * full + 1e-6 * abs(level):
            raise DeviceFault(
                f"told {level:g}, it reads back {found:g}", where=self.where,
                do="somebody may be at its front panel; it may be locked",
            )  # fmt: skip
