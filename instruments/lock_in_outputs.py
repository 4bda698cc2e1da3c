"""What a lock-in gives: a sine that may drive the sample through a resistor, and auxiliary voltages within limits."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..core.errors import ConfigError, DeviceFault, LimitError, RemanenceError, ReplyError
from .driver import Driver
from .link import Link
from .lock_in_settings import check_within, place

# How well a sine's amplitude and frequency must read back, in parts: the instruments round to three or four digits.
_AS_TOLD = 1e-3
# The same for an auxiliary output (V): the converters step by a millivolt or less.
_STEP_V = 2e-3
_AUX_OUTPUTS = ("1", "2", "3", "4")


class LockInOutputs(Driver):
    """The outputs of a lock-in.

    `series_ohm` is the resistance between the sine output and the far end of the sample, all in: with it the lock-in
    is a current source. `aux_limits_V` are the lowest and the highest voltage of each auxiliary output that may be
    set, by its number (`{ 1 = [-2, 2] }`): one without limits is refused.

    Raises:
        ConfigError: an option is wrong.
    """

    highest_Hz: ClassVar[float] = 0.0
    # Of the sine output (V rms): what is left when it is off, the smallest and the largest amplitude.
    sine_V: ClassVar[tuple[float, float, float]] = (0.0, 0.0, 0.0)
    # Of the auxiliary inputs and outputs: the largest voltage of either sign, the query of an input, the query and the
    # order of an output, and the number that the wire gives to the first.
    aux_largest_V: ClassVar[float] = 10.5
    aux_words: ClassVar[tuple[str, str, str]] = ("", "", "")
    aux_first: ClassVar[int] = 1

    reference_source: str
    frequency: float
    sine_voltage: float

    def __init__(
        self, link: Link, name: str = "", *, series_ohm: float = 0.0,
        aux_limits_V: Mapping[str, Sequence[float]] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(link, name)
        if not 0.0 <= series_ohm < math.inf:
            raise ConfigError(f"series_ohm must be a resistance, not {series_ohm!r}", where=self.name)
        self.series_ohm = float(series_ohm)
        self._aux_limits_V = self._checked_limits(aux_limits_V or {})

    # The sine output as a source

    def start_sine(self, *, rms_A: float, frequency_Hz: float) -> None:
        """Drive the sample through `series_ohm`: amplitude is current times resistance.

        Raises:
            ConfigError: no `series_ohm` is known.
            LimitError: the amplitude or the frequency is not one that it has; nothing was sent.
            DeviceFault: it did not take them; the output is as far down as it goes.
        """
        if not self.series_ohm:
            raise ConfigError(
                "this lock-in drives nothing that is known", where=self.name, state="Nothing was sent",
                do="give the resistance between sine output and sample as series_ohm in station.toml",
            )  # fmt: skip
        amplitude_V = rms_A * self.series_ohm
        self.check_amplitude(amplitude_V)
        check_within(self, "frequency", frequency_Hz, 1e-3, self.highest_Hz, "Hz")
        try:
            self.prepare_sine()
            self.frequency = frequency_Hz
            self.sine_voltage = amplitude_V
            told, found = (amplitude_V, frequency_Hz), (self.sine_voltage, self.frequency)
            if not all(math.isclose(a, b, rel_tol=_AS_TOLD) for a, b in zip(told, found, strict=True)):
                raise DeviceFault(
                    f"it was told {told[0]:g} V at {told[1]:g} Hz and reads back {found[0]:g} V at {found[1]:g} Hz",
                    where=place(self), state="The sine output was turned down",
                )  # fmt: skip
        except RemanenceError:
            with contextlib.suppress(RemanenceError):
                self.output_off()
            raise

    def check_amplitude(self, amplitude_V: float) -> None:
        """Refuse an amplitude of the sine (V rms) that the instrument would round."""
        _, smallest_V, largest_V = self.sine_V
        check_within(self, "amplitude at the sine output", amplitude_V, smallest_V, largest_V, "V")

    def prepare_sine(self) -> None:
        """Follow the own oscillator, with the sine down."""
        self.sine_voltage = self.sine_V[0]
        self.reference_source = "internal"

    def output_off(self) -> None:
        """Turn the sine output down as far as it goes, and read it back.

        Raises:
            DeviceFault: it does not go down.
        """
        self.sine_voltage = self.sine_V[0]
        if (found := self.sine_voltage) > self.sine_V[0] * (1 + 1e-6):
            raise DeviceFault(
                f"the sine output stays at {found:g} V", where=place(self),
                state="Current may flow through the sample", do="turn it down at the instrument",
            )  # fmt: skip

    def make_safe(self) -> None:
        """Turn the sine output down if it drives the sample."""
        if self.series_ohm:
            self.output_off()

    # Auxiliary outputs

    def read_aux_input(self, number: int) -> float:
        """Measure the voltage at a rear input (V), by its number on the panel."""
        return self.ask_float(self.aux_words[0].format(number - 1 + self.aux_first))

    def read_aux_output(self, number: int) -> float:
        """Get what a rear output is set to (V), by its number on the panel."""
        return self.ask_float(self.aux_words[1].format(number - 1 + self.aux_first))

    def set_aux_output(self, number: int, volts: float) -> None:
        """Set a rear output (V) within the limits that the station gives for it, and read it back.

        Raises:
            LimitError: it has no limits, or the voltage is outside; nothing was sent.
            ReplyError: it did not take it.
        """
        if number not in self._aux_limits_V:
            raise LimitError(
                f"auxiliary output {number} has no limits", where=place(self), state="Nothing was sent",
                do=f"give them in station.toml: aux_limits_V = {{ {number} = [lowest, highest] }}",
            )  # fmt: skip
        check_within(self, f"auxiliary output {number}", volts, *self._aux_limits_V[number], "V")
        self.write(self.aux_words[2].format(number - 1 + self.aux_first, volts))
        if abs((found := self.read_aux_output(number)) - volts) > _STEP_V:
            raise ReplyError(
                f"auxiliary output {number} was set to {volts:g} V and reads back {found:g} V", where=place(self)
            )

    def settings(self) -> dict[str, Any]:
        """Every setting in the driver's table, read now, and the series resistance that makes a current of a sine."""
        return super().settings() | ({"series_ohm": self.series_ohm} if self.series_ohm else {})

    def _checked_limits(self, limits: Mapping[str, Sequence[float]]) -> dict[int, tuple[float, float]]:
        checked: dict[int, tuple[float, float]] = {}
        for text, pair in limits.items():
            largest_V = self.aux_largest_V
            if str(text) not in _AUX_OUTPUTS or len(pair) != 2 or not -largest_V <= pair[0] <= pair[1] <= largest_V:
                raise ConfigError(
                    f"aux_limits_V: {text} = {pair!r} is not an output from 1 to 4 with its lowest and highest voltage",
                    where=self.name, do=f"the instrument gives ±{largest_V:g} V",
                )  # fmt: skip
            checked[int(text)] = float(pair[0]), float(pair[1])
        return checked
