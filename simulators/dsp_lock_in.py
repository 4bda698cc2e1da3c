"""What the lock-ins of Signal Recovery and Ametek share: their command language and what it does.

Facts after the 7270 manual, chapter 6 and appendix E, the 7220 and 7230 manuals where they agree, and what
pymeasure's drivers send. A command is a name and arguments, blanks or commas between them. A dot behind the name
means floating point in SI units and degrees; without it numbers are whole: parts of full scale (10000), microvolts,
millihertz, millidegrees.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar

from .dsp_commands import (
    COMPLETE,
    DATA,
    INVALID,
    OVERLOAD,
    PARAMETER,
    REQUEST,
    UNLOCKED,
    Wrong,
    float_of,
    number_of,
    parse,
    real,
    unspaced,
    whole,
)
from .excitation import Excitation
from .lock_in import LockIn, Tuning, clip
from .srs_commands import folded
from .world import World

# Full scale by SEN in voltage mode; the current modes are 1e-6 and 1e-8 of it in ampere.
SENSITIVITIES_V = (0.0, *(float(f"{digit}e{power}") for power in range(-9, 0) for digit in (2, 5, 10)))
MODES = (1.0, 1e-6, 1e-8)
_LEAST_LOW_NOISE = 7
# What asks for nothing but what is heard.
_READINGS = {"X", "Y", "XY", "MAG", "PHA", "MP"}
# By VMODE: grounded, A, −B, A−B.
_SIGNS = (0.0, 1.0, -1.0, 1.0)
FULL, _LARGEST = 10000, 30000
# The input amplifier clips this peak over its gain.
_LARGEST_INPUT_V = 3.0


class DSPLockIn(LockIn):
    """The lock-in at the contacts `wiring` (`xx` or `xy`).

    `drives` is the resistance through which its oscillator drives the sample.
    """

    ends: ClassVar[bytes] = b"\r\n"
    time_constants_s: ClassVar[tuple[float, ...]] = ()
    converters: ClassVar[tuple[int, int]] = (0, 0)  # analogue to digital, digital to analogue
    largest_output_V: ClassVar[float] = 0.0
    largest_harmonic: ClassVar[int] = 0
    knobs: ClassVar[tuple[str, ...]] = ("SEN", "TC", "SLOPE", "ACGAIN", "REFP.", "OF.", "OA.", "REFN", "IE")
    # What is one integer: smallest, largest, after ADF 1.
    integers: ClassVar[dict[str, tuple[int, int, int]]] = {
        "IMODE": (0, 2, 0), "VMODE": (0, 3, 1), "FET": (0, 1, 1), "FLOAT": (0, 1, 1), "CP": (0, 1, 0),
        "LINE50": (0, 1, 1), "SLOPE": (0, 3, 1), "IE": (0, 2, 0), "SYNC": (0, 1, 1), "ACGAIN": (0, 9, 0),
        "AUTOMATIC": (0, 1, 1), "REMOTE": (0, 1, 0), "LTS": (0, 1, 1), "EX": (0, 3, 0), "EVENT": (0, 32767, 0),
        "MSK": (0, 255, 0), "DD": (13, 125, 44), "GP": (0, 1, 1), "SAMPLE": (0, 3, 0), "NNBUF": (0, 4, 0),
        "REFMODE": (0, 0, 0), "FASTMODE": (0, 1, 0), "F2F": (0, 1, 0),
    }  # fmt: skip

    def __init__(self, world: World, name: str, wiring: str = "", drives: str | float = 0.0) -> None:
        super().__init__(world, name, wiring, drives)
        self._wrong = 0
        self._commands = self.table()
        self.reset()
        world.advance()
        self._apply()

    def table(self) -> dict[str, Callable[[list[str], bool], str | None]]:
        """What to do for each name."""
        commands: dict[str, Callable[[list[str], bool], str | None]] = {
            "ID": lambda a, _: self.model, "VER": lambda a, _: self.firmware, "REV": lambda a, _: self.firmware,
            "X": self._outputs("x"), "Y": self._outputs("y"), "MAG": self._outputs("magnitude"),
            "PHA": self._outputs("phase"), "XY": self._outputs("x", "y"), "MP": self._outputs("magnitude", "phase"),
            "NN": self._outputs("noise"), "RT": self._outputs("ratio"), "LR": self._outputs("log ratio"),
            "NHZ": lambda a, point: float_of(self.noise_V_per_sqrtHz()),
            "FRQ": lambda a, point: number_of(self.reference_Hz(), 1e3, point),
            "SEN": self._sensitivity, "TC": self._time_constant, "REFN": self._harmonic_number,
            "OA": partial(self._oscillator, "OA", 1e6, 0.0, 5.0),
            "OF": partial(self._oscillator, "OF", 1e3, 1e-3, 2.5e5),
            "REFP": partial(self._oscillator, "REFP", 1e3, -360.0, 360.0), "XOF": partial(self._offset, 0),
            "YOF": partial(self._offset, 1), "AXO": self._auto_offset, "AQN": self._auto_phase,
            "AS": self._auto_sensitivity, "ASM": self._auto_measure, "ADF": lambda a, _: self.reset(),
            "DAC": self._output_voltage, "ADC": self._input_voltage, "LF": self._line_filter,
            "ST": lambda a, _: str(self.take_status()), "N": lambda a, _: str(self.overload_byte()),
        }  # fmt: skip
        for name in self.integers:
            commands[name] = partial(self._integer, name)
        return commands

    def execute(self, command: str) -> str | None:
        """One line: commands separated by `;`. A setting says nothing, and so does what is wrong."""
        answers = [answer for part in command.split(";") if (answer := self.one(part)) is not None]
        return self.reply_end.decode("latin-1").join(answers) if answers else None

    def one(self, command: str) -> str | None:
        """One command and its answer, None when it has none."""
        name, point, arguments = parse(command)
        if name in _READINGS:
            self.world.glance(self._tap)
        else:
            self.world.advance()
        handler = self._commands.get(name)
        if handler is None:
            # The blank in front of a number may be left out.
            name, number = unspaced(name)
            handler, arguments = self._commands.get(name), [number, *arguments]
        if handler is None:
            self._wrong |= INVALID
            return None
        try:
            answer = handler(arguments, point)
        except Wrong as wrong:
            self._wrong |= wrong.bit
            return None
        if answer is None:
            self._apply()
        return answer

    def changes(self, command: str) -> bool:
        """A command that would say nothing."""
        name, _, arguments = parse(command)
        least = 1 if name in ("DAC", "ADC", "DC", "DCB", "LF") else 0
        actions = ("AXO", "AQN", "AS", "ASM", "ADF", "NC", "TD", "TDC", "HC")
        return name in actions or (len(arguments) > least and name not in ("ADC", "DC", "DCB"))

    # What it sees

    def _apply(self) -> None:
        now, oscillator = self._numbers, self._oscillators
        if now["AUTOMATIC"]:
            # The largest gain at which three times full scale passes.
            full_V = SENSITIVITIES_V[self._sen]
            gain = _LARGEST_INPUT_V / (3.0 * math.sqrt(2.0) * full_V)
            now["ACGAIN"] = max(0, min(9, math.floor(2.0 * math.log10(gain))))
        self.tune(
            Tuning(
                now["IE"] != 0, oscillator["OF"], oscillator["OA"], self._refn, oscillator["REFP"],
                self.time_constants_s[self._tc], now["SLOPE"] + 1,
            )
        )  # fmt: skip

    def share(self, excitation: Excitation) -> complex:
        """Nothing while the input is grounded, turned about at the input −B alone."""
        return _SIGNS[self._numbers["VMODE"]] * super().share(excitation)

    def full_scale(self) -> float:
        """Full scale in volt or ampere."""
        return SENSITIVITIES_V[self._sen] * MODES[self._numbers["IMODE"]]

    def _xy(self) -> tuple[float, float]:
        """X and Y in parts of full scale, offsets taken off, clipped."""
        scale = SENSITIVITIES_V[self._sen]
        x, y = (
            clip(channel.output / scale - (offset if on else 0.0), _LARGEST / FULL)
            for channel, (on, offset) in zip((self._tap.x, self._tap.y), self._offsets, strict=True)
        )
        return x, y

    def read(self, quantity: str) -> float:
        """One output in its own whole-number unit, not yet rounded."""
        x, y = self._xy()
        match quantity:
            case "x":
                return x * FULL
            case "y":
                return y * FULL
            case "magnitude":
                return min(_LARGEST, math.hypot(x, y) * FULL)
            case "phase":
                return 100.0 * math.degrees(math.atan2(y, x))
            case "sensitivity":
                return self._sen + 32 * self._numbers["IMODE"]
            case "noise":
                return min(_LARGEST, self.noise_V_per_sqrtHz() / SENSITIVITIES_V[self._sen] * FULL)
            case "event":
                return self._numbers["EVENT"]
            case "frequency low" | "frequency high":
                millihertz = round(1e3 * self.reference_Hz())
                return millihertz & 0xFFFF if quantity.endswith("low") else millihertz >> 16
            case "ratio":
                return math.copysign(_LARGEST, x)  # over an input of zero volts
            case "log ratio":
                return 2000.0
            case _ if quantity.startswith("dac"):
                return 1e3 * self._outputs_V[int(quantity[3:])]
            case _:
                return 0.0  # nothing is wired to the auxiliary inputs, and there is no second channel

    def _outputs(self, *names: str) -> Callable[[list[str], bool], str]:
        units = {"phase": 0.01, "ratio": 1e-4, "log ratio": 1e-3}

        def answer(arguments: list[str], point: bool) -> str:
            if arguments:
                raise Wrong
            values = [self.read(name) for name in names]
            if point:
                full = self.full_scale() / FULL
                return self.join(float_of(v * units.get(name, full)) for v, name in zip(values, names, strict=True))
            return self.join(str(round(value)) for value in values)

        return answer

    def join(self, texts: Iterable[str]) -> str:
        """Several values of one answer."""
        return chr(self._numbers["DD"]).join(texts)

    # Status

    def overloads(self) -> tuple[bool, bool, bool]:
        """Whether X is, Y is, the input is beyond its range."""
        x, y = (abs(value) * FULL >= _LARGEST for value in self._xy())
        peak_V = math.sqrt(2.0) * abs(self.world.voltage(self.wiring)) * (self._numbers["VMODE"] != 0)
        return x, y, peak_V > _LARGEST_INPUT_V / 10.0 ** (0.5 * self._numbers["ACGAIN"])

    def overload_byte(self) -> int:
        """N."""
        raise NotImplementedError

    def status_byte(self) -> int:
        """ST, and what a serial poll reads: done unless points of a curve are still to be read."""
        waiting = any(conversation.outgoing for conversation in self.conversations)
        byte = (DATA if waiting else COMPLETE) | self._wrong | (0 if self.locked() else UNLOCKED)
        byte |= OVERLOAD if any(self.overloads()) else 0
        return byte | (REQUEST if byte & self._numbers["MSK"] else 0)

    def take_status(self) -> int:
        """ST: it tells what was wrong with a command once."""
        byte, self._wrong = self.status_byte(), 0
        return byte & ~DATA | COMPLETE

    # Settings

    def _integer(self, name: str, arguments: list[str], point: bool) -> str | None:
        low, high, _ = self.integers[name]
        if not arguments:
            return str(self._numbers[name])
        value = whole(arguments, low, high)
        if name == "ACGAIN":
            self._numbers["AUTOMATIC"] = 0
        if name == "IMODE" and value == 2:
            self._sen = max(self._sen, _LEAST_LOW_NOISE)
        self._numbers[name] = value
        return None

    def _sensitivity(self, arguments: list[str], point: bool) -> str | None:
        if not arguments:
            return float_of(self.full_scale()) if point else str(self._sen)
        self._sen = whole(arguments, _LEAST_LOW_NOISE if self._numbers["IMODE"] == 2 else 1, len(SENSITIVITIES_V) - 1)
        return None

    def _time_constant(self, arguments: list[str], point: bool) -> str | None:
        if not arguments:
            return float_of(self.time_constants_s[self._tc]) if point else str(self._tc)
        self._tc = whole(arguments, 0, len(self.time_constants_s) - 1)
        return None

    def _harmonic_number(self, arguments: list[str], point: bool) -> str | None:
        if not arguments:
            return str(self._refn)
        harmonic = whole(arguments, 1, self.largest_harmonic)
        if harmonic * self.reference_Hz() > 2.5e5:
            raise Wrong
        self._refn = harmonic
        return None

    def _oscillator(
        self, name: str, per_unit: float, low: float, high: float, arguments: list[str], point: bool
    ) -> str | None:
        if not arguments:
            return number_of(self._oscillators[name], per_unit, point)
        value = real(arguments) / (1.0 if point else per_unit)
        if not low <= value <= high:
            raise Wrong
        self._oscillators[name] = folded(value) if name == "REFP" else value
        return None

    def _offset(self, channel: int, arguments: list[str], point: bool) -> str | None:
        on, part = self._offsets[channel]
        if not arguments:
            return self.join((str(int(on)), str(round(part * FULL))))
        switched = whole(arguments[:1], 0, 1) == 1
        hundredths = whole(arguments[1:], -_LARGEST, _LARGEST) if len(arguments) > 1 else round(part * FULL)
        self._offsets[channel] = switched, hundredths / FULL
        return None

    def _line_filter(self, arguments: list[str], point: bool) -> str | None:
        if not arguments:
            return self.join(str(n) for n in self._line)
        self._line = (whole(arguments[:1], 0, 3), whole(arguments[1:], 0, 1) if len(arguments) > 1 else 0)
        return None

    def _output_voltage(self, arguments: list[str], point: bool) -> str | None:
        channel = whole(arguments[:1], 1, self.converters[1])
        if len(arguments) == 1:
            return number_of(self._outputs_V[channel], 1e3, point)
        value_V = real(arguments[1:]) / (1.0 if point else 1e3)
        if abs(value_V) > self.largest_output_V:
            raise Wrong
        self._outputs_V[channel] = value_V
        return None

    def _input_voltage(self, arguments: list[str], point: bool) -> str:
        whole(arguments, 1, self.converters[0])
        return number_of(0.0, 1e3, point)  # nothing is wired to them

    # Automatic functions

    def _auto_phase(self, arguments: list[str], point: bool) -> None:
        angle = math.degrees(math.atan2(self._tap.y.output, self._tap.x.output))
        self._oscillators["REFP"] = folded(self._oscillators["REFP"] + angle)

    def _auto_sensitivity(self, arguments: list[str], point: bool) -> None:
        r = math.hypot(self._tap.x.output, self._tap.y.output)
        least = _LEAST_LOW_NOISE if self._numbers["IMODE"] == 2 else 1
        fitting = [index for index in range(least, len(SENSITIVITIES_V)) if r <= 0.9 * SENSITIVITIES_V[index]]
        self._sen = fitting[0] if fitting else len(SENSITIVITIES_V) - 1

    def _auto_measure(self, arguments: list[str], point: bool) -> None:
        self._auto_sensitivity(arguments, point)
        self._auto_phase(arguments, point)

    def _auto_offset(self, arguments: list[str], point: bool) -> None:
        scale = SENSITIVITIES_V[self._sen]
        self._offsets = [(True, clip(c.output / scale, _LARGEST / FULL)) for c in (self._tap.x, self._tap.y)]

    def reset(self) -> None:
        """ADF 1: the settings of the factory."""
        self._numbers = {name: initial for name, (_, _, initial) in self.integers.items()}
        self._sen, self._tc, self._refn, self._line = len(SENSITIVITIES_V) - 1, self._usual_tc(), 1, (0, 0)
        self._oscillators = {"OA": 0.0, "OF": 1000.0, "REFP": 0.0}
        self._offsets = [(False, 0.0), (False, 0.0)]
        self._outputs_V = dict.fromkeys(range(1, self.converters[1] + 1), 0.0)

    def _usual_tc(self) -> int:
        return next(index for index, tau_s in enumerate(self.time_constants_s) if tau_s >= 0.1)

    # Hands at its front

    def turn(self, knob: str, value: str) -> None:
        """Set one of `knobs`, by its command and the value that it would be given."""
        self.one(f"{knob} {value}")

    def refuse(self, command: str) -> str | None:
        """It says nothing; the status byte has bit 2."""
        self._wrong |= PARAMETER
        return None

    def power_cycle(self) -> None:
        """Settings are kept (manual, "power-up"); the status is not."""
        self.world.advance()
        self._wrong = 0
        self._apply()
