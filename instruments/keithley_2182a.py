"""Keithley 2182A nanovoltmeter.

Wire facts: the 2182/2182A user's manual (SCPI) as pymeasure 0.16 drives it. `+9.9E37` is the instrument's word for a
voltage beyond its range. A reading takes two conversions while autozero is on.
"""

import math
from typing import ClassVar

from ..core.capabilities import VoltageReading
from ..core.errors import ConfigError
from .link import Link
from .scpi import ScpiDriver

_RANGES_V = {1: (0.01, 0.1, 1.0, 10.0, 100.0), 2: (0.1, 1.0, 10.0)}
_OVERFLOW = 9.9e36
_NPLC = (0.01, 50.0)


class Keithley2182A(ScpiDriver):
    """A 2182A that measures at one of its two channels."""

    model: ClassVar[str] = "2182A"
    twin: ClassVar[str] = "remanence.simulators.keithley_2182a:Keithley2182A"
    # 50 line cycles, twice, repeated by a filter, are seconds.
    deadline_s: ClassVar[float] = 10.0
    settings_table: ClassVar[tuple[str, ...]] = (
        "function", "measured_channel", "range", "autorange", "line_cycles", "digital_filter", "analog_filter",
        "autozero", "line_sync", "line_frequency",
    )  # fmt: skip

    def __init__(self, link: Link, name: str = "", *, channel: int = 1) -> None:
        super().__init__(link, name)
        if channel not in _RANGES_V:
            raise ConfigError(f"channel {channel!r} is not 1 or 2", where=self.name)
        self.channel = channel
        self._node = f":SENS:VOLT:DC:CHAN{channel}"

    # The capability

    def configure(self, *, range_V: float, line_cycles: float) -> None:
        """Set range and integration time (power line cycles); filters off, one reading for each query.

        Raises:
            LimitError: there is no such range or integration time; nothing was sent.
            DeviceFault: it refused.
        """
        largest = _RANGES_V[self.channel][-1]
        self.within("range", range_V, _RANGES_V[self.channel][0] / 10, largest, "V")
        self.within("integration time", line_cycles, *_NPLC, "line cycles")
        node = self._node
        with self.link.lock:
            self.order(
                "*CLS", ":INIT:CONT OFF", ":ABOR", ":SENS:FUNC 'VOLT:DC'", f":SENS:CHAN {self.channel}",
                f":SENS:VOLT:DC:NPLC {line_cycles:g}", f"{node}:RANG {range_V:g}", f"{node}:DFIL:STAT 0",
                f"{node}:LPAS:STAT 0", ":TRIG:SOUR IMM", ":TRIG:COUN 1", ":SAMP:COUN 1",
            )  # fmt: skip

    def read_voltage(self) -> VoltageReading:
        """Measure one voltage; beyond the range it is not a number and flagged `overrange`.

        Raises:
            ReplyError: the reply is no number.
        """
        command = ":READ?"
        text = self.ask(command).strip()
        time_s = self.link.answered_s
        try:
            value = float(text)
        except ValueError:
            raise self.reply_error(command, text) from None
        if math.isnan(value):
            raise self.reply_error(command, text)
        if abs(value) > _OVERFLOW:
            return VoltageReading(math.nan, time_s, ("overrange",))
        if abs(value) > 1.3 * _RANGES_V[self.channel][-1]:
            raise self.reply_error(command, text)
        return VoltageReading(value, time_s)

    # Settings

    @property
    def function(self) -> str:
        """Get what is measured (no unit): `VOLT:DC` or `TEMP`."""
        return self.ask_word(":SENS:FUNC?", "VOLT:DC", "TEMP")

    @property
    def measured_channel(self) -> int:
        """Get the channel that is measured (no unit); 0 is the temperature of the terminals."""
        return int(self.ask_word(":SENS:CHAN?", "0", "1", "2"))

    @property
    def range(self) -> float:
        """Get the range (V)."""
        return self.ask_float(f"{self._node}:RANG?")

    @property
    def autorange(self) -> bool:
        """Get whether the range follows the voltage (no unit)."""
        return self.ask_switch(f"{self._node}:RANG:AUTO?")

    @property
    def line_cycles(self) -> float:
        """Get the integration time in power line cycles (no unit)."""
        return self.ask_float(":SENS:VOLT:DC:NPLC?")

    @property
    def digital_filter(self) -> bool:
        """Get whether readings are averaged (no unit)."""
        return self.ask_switch(f"{self._node}:DFIL:STAT?")

    @property
    def analog_filter(self) -> bool:
        """Get whether the slow analog filter is in the way (no unit)."""
        return self.ask_switch(f"{self._node}:LPAS:STAT?")

    @property
    def autozero(self) -> bool:
        """Get whether each reading takes a zero with it (no unit)."""
        return self.ask_switch(":SYST:AZER?")

    @property
    def line_sync(self) -> bool:
        """Get whether conversions begin with the mains (no unit)."""
        return self.ask_switch(":SYST:LSYN?")

    @property
    def line_frequency(self) -> float:
        """Get the frequency of the mains as it found it (Hz)."""
        return self.ask_float(":SYST:LFR?")
