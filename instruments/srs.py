"""Stanford Research Systems SR830 lock-in amplifier.

Wire facts: SR830 manual, chapter 5. The table is our own and not pymeasure's driver, whose validators clip silently
to the nearest setting and whose reads cannot tell an overloaded value from a good one. Here a setting that the
instrument does not have is refused, and every reading carries what the status byte says of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..core.errors import LimitError
from .lock_in_settings import choice, number, place, reading, switch, whole
from .srs_lock_in import SRSLockIn

SENSITIVITIES_V = tuple(float(f"{digit}e{power}") for power in range(-9, 1) for digit in (1, 2, 5))[1:28]
TIME_CONSTANTS_s = tuple(float(f"{digit}e{power}") for power in range(-5, 5) for digit in (1, 3))
# Above this detection frequency the synchronous filter is switched on in vain (manual, SYNC).
_SYNCHRONOUS_BELOW_Hz = 200.0
_SINE_STEP_V = 2e-3


class SR830(SRSLockIn):
    """An SR830. Its reference is external, the phase marker of the current source, unless its sine drives the sample.

    The sine output cannot be switched off: its smallest amplitude is 4 mV, and so much is left when it is down.
    """

    model: ClassVar[str] = "SR830"
    full_scales_V: ClassVar[tuple[float, ...]] = SENSITIVITIES_V
    time_constants_s: ClassVar[tuple[float, ...]] = TIME_CONSTANTS_s
    xy_query: ClassVar[str] = "SNAP?1,2"
    # LIAS? bits 0 to 3; the others say that something changed, not that the reading is wrong.
    flag_words: ClassVar[tuple[tuple[int, str], ...]] = (
        (1, "overload input"), (2, "overload filter"), (4, "overload output"), (8, "unlocked"),
    )  # fmt: skip
    highest_Hz: ClassVar[float] = 102e3
    sine_V: ClassVar[tuple[float, float, float]] = (0.004, 0.004, 5.0)
    aux_words: ClassVar[tuple[str, str, str]] = ("OAUX?{}", "AUXV?{}", "AUXV {},{:.3f}")
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {
        "reserve": ("high", "normal", "low noise"), "input_config": ("A", "A-B"),
        "input_grounding": ("float", "ground"), "input_coupling": ("AC", "DC"),
        "input_notch": ("none", "line", "2 x line", "both"), "synchronous_filter": (False, True),
        "reference_trigger": ("sine", "rising", "falling"), "harmonic": range(1, 20000),
    }  # fmt: skip
    current_inputs: ClassVar[tuple[str, tuple[str, ...]]] = ("input_config", ("I 1 MOhm", "I 100 MOhm"))
    settings_table: ClassVar[tuple[str, ...]] = (
        "sensitivity", "time_constant", "filter_slope", "synchronous_filter", "reserve", "reference_source",
        "reference_trigger", "frequency", "phase", "harmonic", "sine_voltage", "input_config", "input_grounding",
        "input_coupling", "input_notch",
    )  # fmt: skip

    sensitivity: float = choice(
        "SENS?", "SENS {}", """Control the full scale (V rms): 2 nV to 1 V in steps of 1, 2, 5.""", SENSITIVITIES_V
    )
    time_constant: float = choice(
        "OFLT?",
        "OFLT {}",
        """Control the time constant of each pole (s): 10 µs to 30 ks in steps of 1, 3; above 200 Hz at most 30 s.""",
        TIME_CONSTANTS_s,
    )
    filter_slope: int = choice(
        "OFSL?", "OFSL {}", """Control the filter's slope (dB/octave), six for each pole.""", (6, 12, 18, 24)
    )
    synchronous_filter: bool = switch(
        "SYNC?",
        "SYNC {}",
        """Control whether the synchronous filter acts below 200 Hz (no unit); it adds a delay of one period.""",
    )
    reserve: str = choice(
        "RMOD?", "RMOD {}", """Control the dynamic reserve (no unit), by its name.""", choices["reserve"]
    )
    reference_source: str = choice(
        "FMOD?", "FMOD {}", """Control the reference (no unit): external or internal.""", ("external", "internal")
    )
    reference_trigger: str = choice(
        "RSLP?",
        "RSLP {}",
        """Control what of the external reference triggers (no unit): a sine's zero, or a rising or falling edge.""",
        choices["reference_trigger"],
    )
    frequency: float = number(
        "FREQ?",
        "FREQ {:.5e}",
        """Control the reference frequency (Hz); it can be set with the internal reference only.""",
        1e-3,
        102e3,
    )
    phase: float = number(
        "PHAS?",
        "PHAS {:.2f}",
        """Control the phase of the reference (degree), −360 to 729.99; it reads back within ±180.""",
        -360.0,
        729.99,
    )
    harmonic: int = whole(
        "HARM?", "HARM {}", """Control the harmonic that is detected (no unit), up to 102 kHz.""", 1, 19999
    )
    sine_voltage: float = number(
        "SLVL?", "SLVL {:.3f}", """Control the amplitude of the sine output (V rms), in steps of 2 mV.""", 0.004, 5.0
    )
    input_config: str = choice(
        "ISRC?",
        "ISRC {}",
        """Control the input (no unit): A, the difference A-B, or a current over 1 or 100 MOhm.""",
        ("A", "A-B", "I 1 MOhm", "I 100 MOhm"),
    )
    input_grounding: str = choice(
        "IGND?", "IGND {}", """Control the shield (no unit): float or ground.""", choices["input_grounding"]
    )
    input_coupling: str = choice(
        "ICPL?", "ICPL {}", """Control the coupling (no unit): AC or DC.""", choices["input_coupling"]
    )
    input_notch: str = choice(
        "ILIN?", "ILIN {}", """Control the notch filters at the line and twice it (no unit).""", choices["input_notch"]
    )
    x: float = reading("OUTP?1", """Measure X (V rms); `read_xy` also tells whether it is true.""")
    y: float = reading("OUTP?2", """Measure Y (V rms).""")
    magnitude: float = reading("OUTP?3", """Measure R (V rms).""")
    theta: float = reading("OUTP?4", """Measure θ (degree).""")

    @property
    def offsets_on(self) -> bool:
        """Control whether X or Y are shifted or expanded (no unit); they can only be switched off here."""
        return any(self._offset(channel) != (0.0, 0.0) for channel in (1, 2))

    @offsets_on.setter
    def offsets_on(self, on: bool) -> None:
        if on:
            raise LimitError("an offset is not set from here: it would shift every value", where=place(self))
        for channel in (1, 2):
            self.write(f"OEXP {channel},0,0")

    def _offset(self, channel: int) -> tuple[float, float]:
        percent, expand = self.ask_floats(f"OEXP?{channel}", 2)
        return percent, expand

    def synchronous_delay(self, poles: int) -> float:
        """Get what the synchronous filter adds (s): one period of the reference, nothing from 200 Hz on."""
        period_s = self.period()
        return period_s if self.harmonic < _SYNCHRONOUS_BELOW_Hz * period_s else 0.0

    def check_amplitude(self, amplitude_V: float) -> None:
        """Refuse an amplitude of the sine (V rms) that is not a whole number of its steps."""
        super().check_amplitude(amplitude_V)
        steps = amplitude_V / _SINE_STEP_V
        if abs(steps - round(steps)) > 1e-6 * steps:
            low_A, high_A = (_SINE_STEP_V * n / self.series_ohm for n in (int(steps), int(steps) + 1))
            raise LimitError(
                f"a sine of {amplitude_V:g} V is not a step of the {self.model}", where=place(self),
                state="Nothing was sent", do=f"over {self.series_ohm:g} ohm {low_A:g} A and {high_A:g} A are",
            )  # fmt: skip
