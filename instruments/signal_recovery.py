"""Signal Recovery 7265 and Ametek 7270 lock-in amplifiers.

Wire facts: 7270 manual, chapter 6, the 7220's for what the 7265 has of it. A dot behind a command means floating point
in SI units, without it numbers are whole. Tables are set by their place and read back as the number itself, so a wrong
table would be noticed. The 7265 says nothing to an order, the 7270 answers each with an empty line; in both the status
byte tells afterwards whether it was done.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..core.errors import DeviceFault, LimitError, ReplyError
from .lock_in import LockInDriver, words_of
from .lock_in_settings import ask_whole, choice, index_of, number, place, reading, scale, switch, whole

SENSITIVITIES_V = tuple(float(f"{digit}e{power}") for power in range(-9, 0) for digit in (2, 5, 10))
_TENS_s = tuple(float(f"{digit}e{power}") for power in range(-5, 5) for digit in (1, 2, 5))
TIME_CONSTANTS_7265_s = (*(1e-5 * 2.0**k for k in range(7)), *(tau_s for tau_s in _TENS_s if tau_s > 4e-3))
TIME_CONSTANTS_7270_s = (*_TENS_s, 1e5)
_NOTCHES = ("none", "line", "2 x line", "both")
_GAINS_dB = tuple(range(0, 100, 10))
# ST bits 1, not a command, and 2, a parameter that does not fit.
_REFUSED = 2 | 4


def _time_constant(table: tuple[float, ...]) -> Any:
    return scale("TC.", "TC {}", """Control the time constant of each pole (s), by the instrument's table.""", table)


def _harmonic(largest: int) -> Any:
    return whole("REFN", "REFN {}", """Control the harmonic that is detected (no unit), from 1.""", 1, largest)


class DSPLockIn(LockInDriver):
    """What the two share. Their external reference is the logic input at the rear, which a phase marker drives.

    `configure` puts them into single reference mode, the synchronous time constant off, and lets the gain of the input
    follow the sensitivity.
    """

    write_end: ClassVar[str] = "\r\n"
    read_end: ClassVar[str] = "\r\n"
    # Bit 4, which tells of a waiting message elsewhere, is an overload here.
    message_bit: ClassVar[int] = 0x80
    full_scales_V: ClassVar[tuple[float, ...]] = SENSITIVITIES_V
    references: ClassVar[tuple[str, ...]] = ("external logic", "external", "internal")
    xy_query: ClassVar[str] = "XY."
    highest_Hz: ClassVar[float] = 2.5e5
    sine_V: ClassVar[tuple[float, float, float]] = (0.0, 1e-6, 5.0)
    aux_words: ClassVar[tuple[str, str, str]] = ("ADC. {}", "DAC. {}", "DAC. {} {:.3f}")
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {
        "input_mode": ("voltage",), "input_config": ("A", "-B", "A-B"), "input_device": ("bipolar", "FET"),
        "input_grounding": ("ground", "float"), "input_coupling": ("AC", "DC"), "input_notch": _NOTCHES,
        "automatic_gain": (False, True), "ac_gain": _GAINS_dB, "synchronous_filter": (False, True),
        "harmonic": range(1, 128),
    }  # fmt: skip
    current_inputs: ClassVar[tuple[str, tuple[str, ...]]] = ("input_mode", ("current", "low-noise current"))
    settings_table: ClassVar[tuple[str, ...]] = (
        "sensitivity", "time_constant", "filter_slope", "synchronous_filter", "reference_source", "reference_mode",
        "frequency", "phase", "harmonic", "sine_voltage", "input_mode", "input_config", "input_device",
        "input_grounding", "input_coupling", "input_notch", "ac_gain", "automatic_gain",
    )  # fmt: skip

    sensitivity: float = scale(
        "SEN.",
        "SEN {}",
        """Control the full scale (V rms, A with a current input): 2 nV to 1 V; it shows three times that.""",
        SENSITIVITIES_V,
        first=1,
    )
    filter_slope: int = choice(
        "SLOPE", "SLOPE {}", """Control the filter's slope (dB/octave), six for each pole.""", (6, 12, 18, 24)
    )
    synchronous_filter: bool = switch(
        "SYNC",
        "SYNC {}",
        """Control whether time constants are lengthened to whole periods of the reference (no unit).""",
    )
    reference_source: str = choice(
        "IE",
        "IE {}",
        """Control the reference (no unit): internal, the logic input at the rear, or the input at the front.""",
        ("internal", "external logic", "external"),
    )
    reference_mode: str = choice(
        "REFMODE",
        "REFMODE {}",
        """Control how many references are detected at once (no unit).""",
        ("single", "dual harmonic", "dual reference"),
    )
    frequency: float = number(
        "FRQ.",
        "OF. {:.7g}",
        """Control the frequency (Hz): the reference's is read, 0 while unlocked; the oscillator's is set.""",
        1e-3,
        2.5e5,
    )
    phase: float = number(
        "REFP.", "REFP. {:.3f}", """Control the phase of the reference (degree), within ±360.""", -360.0, 360.0
    )
    sine_voltage: float = number(
        "OA.", "OA. {:.6f}", """Control the amplitude of the oscillator's output (V rms), 0 to 5 V.""", 0.0, 5.0
    )
    input_mode: str = choice(
        "IMODE",
        "IMODE {}",
        """Control whether a voltage or a current is measured (no unit).""",
        ("voltage", "current", "low-noise current"),
    )
    input_config: str = choice(
        "VMODE", "VMODE {}", """Control the voltage input (no unit).""", ("grounded", "A", "-B", "A-B")
    )
    input_device: str = choice(
        "FET", "FET {}", """Control the input amplifier (no unit): bipolar or FET.""", choices["input_device"]
    )
    input_grounding: str = choice(
        "FLOAT", "FLOAT {}", """Control the shield (no unit): ground or float.""", choices["input_grounding"]
    )
    input_coupling: str = choice(
        "CP", "CP {}", """Control the coupling (no unit): AC or DC.""", choices["input_coupling"]
    )
    ac_gain: int = choice("ACGAIN", "ACGAIN {}", """Control the gain of the input (dB), in steps of 10.""", _GAINS_dB)
    automatic_gain: bool = switch(
        "AUTOMATIC", "AUTOMATIC {}", """Control whether the gain of the input follows the sensitivity (no unit)."""
    )
    x: float = reading("X.", """Measure X (V rms); `read_xy` also tells whether it is true.""")
    y: float = reading("Y.", """Measure Y (V rms).""")
    magnitude: float = reading("MAG.", """Measure R (V rms).""")
    theta: float = reading("PHA.", """Measure θ (degree).""")

    @property
    def offsets_on(self) -> bool:
        """Control whether X or Y are shifted by an offset (no unit); they can only be switched off here."""
        return any(self.ask_floats(query, 2)[0] != 0.0 for query in ("XOF", "YOF"))

    @offsets_on.setter
    def offsets_on(self, on: bool) -> None:
        if on:
            raise LimitError("an offset is not set from here: it would shift every value", where=place(self))
        for command in ("XOF 0", "YOF 0"):
            self.write(command)

    @property
    def input_notch(self) -> str:
        """Control the notch filters at the line and twice it (no unit); which line is set at the instrument."""
        return _NOTCHES[self._line_filter()[0]]

    @input_notch.setter
    def input_notch(self, notch: str) -> None:
        index = index_of(self, "input notch", notch, _NOTCHES)
        _, *line = self._line_filter()
        self.write(" ".join(("LF", str(index), *map(str, line))))

    def _line_filter(self) -> list[int]:
        """The notch, and on newer instruments the line's frequency."""
        reply = self.ask("LF")
        fields = [text.strip() for text in reply.split(",")]
        if len(fields) > 2 or not all(text in ("0", "1", "2", "3") for text in fields):
            raise self.reply_error("LF", reply)
        return [int(text) for text in fields]

    def write(self, command: str, **kwargs: Any) -> None:
        """Send an order and ask whether it was done.

        Raises:
            DeviceFault: the status byte says that it was not.
        """
        with self.link.lock:
            self.send(command)
            status = ask_whole(self, "ST")
        if status & _REFUSED:
            raise DeviceFault(
                f"it refused {command!r} (status {status})", where=place(self),
                do="it may not have this setting together with the others",
            )  # fmt: skip

    def send(self, command: str) -> None:
        """Send an order."""
        super().write(command)

    def identity(self) -> str:
        """Get the model's number."""
        return self.ask("ID").strip()

    def check_identity(self) -> str:
        """Get the identity, refuse another model, and have a comma between the values of one answer.

        Raises:
            ReplyError: something else answers at this address.
        """
        identity = super().check_identity()
        if identity != self.model:
            raise ReplyError(
                f"at this address answers {identity!r}, not a {self.model}", where=place(self),
                do="check the resource in station.toml",
            )  # fmt: skip
        self.write(f"DD {ord(',')}")
        return identity

    def plan(self, sensitivity_V: float, time_constant_s: float, poles: int) -> dict[str, Any]:
        """What `configure` sets: one reference, and a gain that follows unless the lab sets one."""
        automatic = "ac_gain" not in self.set_up
        shared = super().plan(sensitivity_V, time_constant_s, poles)
        return {"reference_mode": "single", "automatic_gain": automatic, **shared}

    def synchronous_delay(self, poles: int) -> float:
        """Get what the synchronous time constant adds (s): each pole's is rounded up to whole periods, one at most."""
        return poles * self.period()


class DSP7265(DSPLockIn):
    """A 7265 by GPIB. Its status is that of the moment: an overload between two readings leaves no trace."""

    model: ClassVar[str] = "7265"
    fence: ClassVar[tuple[str, str] | None] = ("ID", "7265")
    time_constants_s: ClassVar[tuple[float, ...]] = TIME_CONSTANTS_7265_s
    aux_largest_V: ClassVar[float] = 12.0
    # The overload byte N: 3 Y and 4 X above 300 % of full scale, 6 input, 7 reference; 1 and 2 an output above 120 %.
    flag_words: ClassVar[tuple[tuple[int, str], ...]] = (
        (64, "overload input"), (8 | 16, "overload output"), (128, "unlocked"), (2 | 4, "beyond scale"),
    )  # fmt: skip

    time_constant: float = _time_constant(TIME_CONSTANTS_7265_s)
    harmonic: int = _harmonic(65535)

    def read_flags(self) -> tuple[str, ...]:
        """What is wrong at this moment."""
        return words_of(_byte(self, "N"), self.flag_words)


class DSP7270(DSPLockIn):
    """A 7270 by Ethernet at port 50001, where each answer ends in CR; port 50000 puts binary bytes behind each.

    Every order is answered with an empty line.
    """

    model: ClassVar[str] = "7270"
    fence: ClassVar[tuple[str, str] | None] = ("ID", "7270")
    write_end: ClassVar[str] = "\r"
    read_end: ClassVar[str] = "\r"
    twin: ClassVar[str] = "remanence.simulators.signal_recovery:DSP7270Ethernet"
    time_constants_s: ClassVar[tuple[float, ...]] = TIME_CONSTANTS_7270_s
    aux_largest_V: ClassVar[float] = 10.0
    # ST: 3 reference, 4 an output above 300 % of full scale, 6 input.
    flag_words: ClassVar[tuple[tuple[int, str], ...]] = (
        (64, "overload input"), (16, "overload output"), (8, "unlocked"),
    )  # fmt: skip

    time_constant: float = _time_constant(TIME_CONSTANTS_7270_s)
    harmonic: int = _harmonic(127)

    def send(self, command: str) -> None:
        """Send an order and take the empty line that answers it.

        Raises:
            ReplyError: the answer is not empty.
        """
        if (reply := self.link.query(command)).strip():
            raise self.reply_error(command, reply)

    def read_flags(self) -> tuple[str, ...]:
        """What is wrong at this moment."""
        return words_of(_byte(self, "ST"), self.flag_words)


class DSP7270USB(DSP7270):
    """A 7270 by USB, where each answer ends in LF and NUL."""

    write_end: ClassVar[str] = "\0"
    read_end: ClassVar[str] = "\0"
    twin: ClassVar[str] = "remanence.simulators.signal_recovery:DSP7270"

    def check_identity(self) -> str:
        """Get the identity, after status bytes behind each answer were switched off: they look like ends of answers.

        Raises:
            ReplyError: something else answers at this address.
        """
        try:
            bare = self.ask("USBTERM").strip() == "0"
        except ReplyError:
            bare = False
        if not bare:
            # What it says to this may still be followed by the two bytes.
            self.link.write("USBTERM 0")
            self.link.distrust()
        return super().check_identity()


def _byte(driver: DSPLockIn, query: str) -> int:
    value = ask_whole(driver, query)
    if not 0 <= value <= 255:
        raise driver.reply_error(query, str(value))
    return value
