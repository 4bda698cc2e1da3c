"""Stanford Research Systems SR860, SR865 and SR865A lock-in amplifiers.

Wire facts: SR860 and SR865A manuals, chapter 4. Unlike the SR830 they count from 0, descend in sensitivity, and are
overloaded by their input range: what the bus reads is not limited by the sensitivity, which scales displays and
outputs. So the input range follows the sensitivity here, and it is what the autorange moves. pymeasure's driver sends
misspelt commands (`REFZ&d`, `ADVFIL`) and bare indices; neither it nor QCoDeS's looks at overloads.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..core.errors import ConfigError, LimitError
from .lock_in_settings import choice, number, place, reading, switch, whole
from .srs_lock_in import SRSLockIn

SENSITIVITIES_V = tuple(float(f"{digit}e{power}") for power in range(0, -10, -1) for digit in (5, 2, 1))[2:]
TIME_CONSTANTS_s = tuple(float(f"{digit}e{power}") for power in range(-6, 5) for digit in (1, 3))
INPUT_RANGES_V = (1.0, 0.3, 0.1, 0.03, 0.01)  # peak
_REFERENCES = ("internal", "external", "dual", "chop")


def _frequency(highest_Hz: float) -> Any:
    return number(
        "FREQ?",
        "FREQINT {:.9g}",
        """Control the frequency (Hz): the reference's is read, the internal oscillator's is set.""",
        1e-3,
        highest_Hz,
    )


def input_range_for(sensitivity_V: float) -> float:
    """The smallest input range (V peak) that a sine of full scale (V rms) passes; the largest for the largest."""
    fitting = [known for known in INPUT_RANGES_V if known >= math.sqrt(2.0) * sensitivity_V]
    return fitting[-1] if fitting else INPUT_RANGES_V[0]


class SR860(SRSLockIn):
    """An SR860. Its reference is external, the phase marker of the current source, unless its sine drives the sample.

    `set_up = { input_range = 0.3 }` keeps the input range (V peak) where large interference needs it; there is no
    autorange then.
    """

    model: ClassVar[str] = "SR860"
    full_scales_V: ClassVar[tuple[float, ...]] = SENSITIVITIES_V
    # The largest sensitivity that each input range passes: between them nothing changes but a display.
    rungs_V: ClassVar[tuple[float, ...]] = (5e-3, 20e-3, 50e-3, 200e-3, 500e-3)
    time_constants_s: ClassVar[tuple[float, ...]] = TIME_CONSTANTS_s
    references: ClassVar[tuple[str, ...]] = ("external", "internal", "dual", "chop")
    xy_query: ClassVar[str] = "SNAP? X,Y"
    # Bits of LIAS?. An output or display beyond its scale is told, but the value that the bus reads is true.
    flag_words: ClassVar[tuple[tuple[int, str], ...]] = (
        (16, "overload input"), (8, "unlocked"), (1 | 2, "beyond scale"),
    )  # fmt: skip
    largest_status: ClassVar[int] = (1 << 15) - 1
    highest_Hz: ClassVar[float] = 5e5
    sine_V: ClassVar[tuple[float, float, float]] = (0.0, 1e-9, 2.0)
    aux_words: ClassVar[tuple[str, str, str]] = ("OAUX? {}", "AUXV? {}", "AUXV {},{:.4f}")
    aux_first: ClassVar[int] = 0
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {
        "input_range": INPUT_RANGES_V, "input_config": ("A", "A-B"), "signal_input": ("voltage",),
        "input_grounding": ("float", "ground"), "input_coupling": ("AC", "DC"), "synchronous_filter": (False, True),
        "reference_trigger": ("sine", "rising", "falling"), "reference_impedance": ("50 ohm", "1 Mohm"),
        "harmonic": range(1, 100),
    }  # fmt: skip
    current_inputs: ClassVar[tuple[str, tuple[str, ...]]] = ("signal_input", ("current",))
    settings_table: ClassVar[tuple[str, ...]] = (
        "sensitivity", "input_range", "time_constant", "filter_slope", "synchronous_filter", "advanced_filter",
        "reference_source", "reference_trigger", "frequency", "phase", "harmonic", "sine_voltage", "signal_input",
        "input_config", "input_coupling", "input_grounding",
    )  # fmt: skip

    sensitivity: float = choice(
        "SCAL?", "SCAL {}", """Control the full scale of outputs and displays (V rms): 1 nV to 1 V.""", SENSITIVITIES_V
    )
    input_range: float = choice(
        "IRNG?", "IRNG {}", """Control the largest voltage that the input takes (V peak).""", INPUT_RANGES_V
    )
    time_constant: float = choice(
        "OFLT?",
        "OFLT {}",
        """Control the time constant of each pole (s): 1 µs to 30 ks in steps of 1, 3.""",
        TIME_CONSTANTS_s,
    )
    filter_slope: int = choice(
        "OFSL?", "OFSL {}", """Control the filter's slope (dB/octave), six for each pole.""", (6, 12, 18, 24)
    )
    synchronous_filter: bool = switch(
        "SYNC?", "SYNC {}", """Control whether the synchronous filter is on (no unit); it adds one period of delay."""
    )
    advanced_filter: bool = switch(
        "ADVFILT?",
        "ADVFILT {}",
        """Control whether Gaussian filters stand in for the equal poles (no unit); their delay is not known here.""",
    )
    reference_source: str = choice("RSRC?", "RSRC {}", """Control the reference (no unit), by its name.""", _REFERENCES)
    reference_trigger: str = choice(
        "RTRG?",
        "RTRG {}",
        """Control what of the external reference triggers (no unit): a sine's zero, or a rising or falling edge.""",
        choices["reference_trigger"],
    )
    reference_impedance: str = choice(
        "REFZ?",
        "REFZ {}",
        """Control the impedance of the reference input (no unit).""",
        choices["reference_impedance"],
    )
    frequency: float = _frequency(5e5)
    phase: float = number(
        "PHAS?", "PHAS {:.6f}", """Control the phase of the reference (degree), within ±180.""", -180.0, 180.0
    )
    harmonic: int = whole("HARM?", "HARM {}", """Control the harmonic that is detected (no unit), 1 to 99.""", 1, 99)
    sine_voltage: float = number(
        "SLVL?", "SLVL {:.6g}", """Control the amplitude of the sine output (V rms), 0 to 2 V.""", 0.0, 2.0
    )
    sine_offset: float = number(
        "SOFF?", "SOFF {:.6g}", """Control the direct voltage under the sine output (V), within ±5 V.""", -5.0, 5.0
    )
    signal_input: str = choice(
        "IVMD?", "IVMD {}", """Control whether a voltage or a current is measured (no unit).""", ("voltage", "current")
    )
    input_config: str = choice(
        "ISRC?", "ISRC {}", """Control the voltage input (no unit): A or the difference A-B.""", choices["input_config"]
    )
    input_gain: str = choice(
        "ICUR?", "ICUR {}", """Control the gain of the current input (no unit).""", ("1 Mohm", "100 Mohm")
    )
    input_coupling: str = choice(
        "ICPL?", "ICPL {}", """Control the coupling (no unit): AC or DC.""", choices["input_coupling"]
    )
    input_grounding: str = choice(
        "IGND?", "IGND {}", """Control the shield (no unit): float or ground.""", choices["input_grounding"]
    )
    x: float = reading("OUTP? X", """Measure X (V rms); `read_xy` also tells whether it is true.""")
    y: float = reading("OUTP? Y", """Measure Y (V rms).""")
    magnitude: float = reading("OUTP? R", """Measure R (V rms).""")
    theta: float = reading("OUTP? TH", """Measure θ (degree).""")
    noise_bandwidth: float = reading("ENBW?", """Measure the equivalent noise bandwidth of the filter (Hz).""")

    @property
    def offsets_on(self) -> bool:
        """Control whether X or Y are shifted by an offset (no unit); they can only be switched off here."""
        return any(self.ask_float(f"COFA? {channel}") != 0.0 for channel in "XY")

    @offsets_on.setter
    def offsets_on(self, on: bool) -> None:
        if on:
            raise LimitError("an offset is not set from here: it would shift every value", where=place(self))
        for channel in "XY":
            self.write(f"COFA {channel},OFF")

    def plan(self, sensitivity_V: float, time_constant_s: float, poles: int) -> dict[str, Any]:
        """What `configure` sets: equal poles, and an input range for the full scale."""
        shared = super().plan(sensitivity_V, time_constant_s, poles)
        return {"advanced_filter": False, **self.range_plan(sensitivity_V), **shared}

    def range_plan(self, sensitivity_V: float) -> dict[str, Any]:
        """What `set_sensitivity` sets: the input range goes with it, unless the lab keeps one."""
        input_range_V = self.set_up.get("input_range", input_range_for(sensitivity_V))
        return {"input_range": input_range_V, "sensitivity": sensitivity_V}

    def start_autorange(self, *, smallest_V: float = 0.0, largest_V: float = math.inf) -> None:
        """Let every `read_xy` choose the input range of the next; `smallest_V` and `largest_V` bound its full scale.

        Raises:
            ConfigError: the station keeps the input range.
            LimitError: there is no range between the two.
        """
        if "input_range" in self.set_up:
            raise ConfigError(
                "its input range is kept by station.toml, so there is nothing to range", where=place(self),
                do="take input_range out of set_up",
            )  # fmt: skip
        super().start_autorange(smallest_V=smallest_V, largest_V=largest_V)

    def read_delay(self) -> float:
        """Get the mean delay of the filter (s), from the instrument: poles × time constant, one period if synchronous.

        Raises:
            ConfigError: the advanced filter is on: it is not of equal poles, and no manual gives its delay.
        """
        if self.advanced_filter:
            raise ConfigError(
                "its advanced filter is on, whose delay is not poles × time constant", where=place(self),
                do="switch it off (`configure` does)",
            )  # fmt: skip
        return super().read_delay()

    def prepare_sine(self) -> None:
        """Follow the own oscillator, with the sine down and no direct voltage under it."""
        super().prepare_sine()
        self.sine_offset = 0.0


class SR865(SR860):
    """The same to 2 MHz."""

    model: ClassVar[str] = "SR865"
    highest_Hz: ClassVar[float] = 2e6
    frequency: float = _frequency(2e6)


class SR865A(SR860):
    """The same to 4 MHz."""

    model: ClassVar[str] = "SR865A"
    highest_Hz: ClassVar[float] = 4e6
    frequency: float = _frequency(4e6)
