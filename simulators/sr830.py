"""Front panel of the Stanford Research Systems SR830 lock-in amplifier.

Wire facts after the SR830 manual, chapter 5 (remote programming), and what pymeasure's and QCoDeS's drivers send.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from .lock_in import Tuning, clip
from .sr830_buffer import TRIGGERED, TraceBuffer
from .srs_commands import COMMAND_ERROR, Refused, folded, numbers, whole
from .srs_lock_in import SRSLockIn
from .world import World

SENSITIVITIES_V = tuple(float(f"{digit}e{power}") for power in range(-9, 1) for digit in (1, 2, 5))[1:28]
TIME_CONSTANTS_s = tuple(float(f"{digit}e{power}") for power in range(-5, 5) for digit in (1, 3))

# The outputs clip here, in parts of the full scale (inferred from readings of overloaded instruments).
_CLIP = 1.09
# How much larger than full scale the interfering signal may be before the filter's input saturates, by RMOD: high,
# normal, low noise. The instrument's own figures depend on the sensitivity (manual, "dynamic reserve"): these are of
# their size.
_RESERVES = (1000.0, 100.0, 10.0)
_LARGEST_INPUT_V = 1.0  # rms: 1.4 V peak
# The detection frequency's range changes here, upwards and downwards (manual, LIAS bit 4); above it there is no time
# constant longer than this one, 30 s.
_UPWARDS_Hz, _DOWNWARDS_Hz, _LONGEST = 203.12, 199.21, 13

# Bits of LIAS? (manual, "status byte definitions")
_INPUT, _FILTER, _OUTPUT, _UNLOCK, _RANGE, _TC, _TRIGGER = (1 << bit for bit in range(7))

# What is mostly asked for, and found without looking further.
_X, _X_AND_Y = ["1"], ["1", "2"]

# mnemonic: smallest, largest and value after *RST of the settings that are one integer
_INTEGERS: dict[str, tuple[int, int, int]] = {
    "OUTX": (0, 1, 1), "FMOD": (0, 1, 1), "RSLP": (0, 2, 0), "HARM": (1, 19999, 1), "ISRC": (0, 3, 0),
    "IGND": (0, 1, 0), "ICPL": (0, 1, 0), "ILIN": (0, 3, 0), "SENS": (0, 26, 26), "RMOD": (0, 2, 2),
    "OFLT": (0, 19, 8), "OFSL": (0, 3, 1), "SYNC": (0, 1, 0), "SRAT": (0, 14, 4), "SEND": (0, 1, 1),
    "TSTR": (0, 1, 0), "OVRM": (0, 1, 1), "KCLK": (0, 1, 1), "ALRM": (0, 1, 1), "LOCL": (0, 2, 0), "FAST": (0, 2, 0),
}  # fmt: skip


class SR830(SRSLockIn):
    """The lock-in at the contacts `wiring` (`xx` or `xy`); its external reference is the source's phase marker.

    `drives` is the resistance through which its sine output drives the sample. `binary_end` follows binary data: a
    gateway from GPIB to a socket sends one for the end of the message, the instrument itself sends none.
    """

    model: ClassVar[str] = "SR830"
    firmware: str = "1.07"
    inferred: ClassVar[tuple[str, ...]] = (
        "An output clips at 1.09 times full scale.",
        "The filter's input saturates at 1000, 100 or 10 times full scale, by the reserve.",
        "A phase that is set outside ±180 degrees is folded into them.",
        "FAST 1 and 2 are accepted, and nothing is streamed.",
        "A voltage that drives the sample goes over the series resistance alone: the sample's own is neglected.",
        "While a lock-in follows an external reference its sine output does not drive the sample.",
    )
    binary: ClassVar[tuple[bytes, ...]] = (b"TRCB", b"TRCL")
    latency_s: ClassVar[float] = 0.01
    knobs: ClassVar[tuple[str, ...]] = ("SENS", "RMOD", "OFLT", "OFSL", "SYNC", "PHAS", "FREQ", "SLVL", "HARM", "FMOD")

    def __init__(
        self, world: World, name: str, wiring: str = "", drives: str | float = 0.0, binary_end: str = "\n"
    ) -> None:
        super().__init__(world, name, wiring, drives, binary_end)
        self._memories: dict[int, tuple[dict[str, int], dict[str, tuple[float, ...]]]] = {}
        self._buffer = buffer = TraceBuffer()
        self.queries |= {
            "*IDN": lambda _: f"Stanford_Research_Systems,SR830,s/n{self.serial_number():05d},ver{self.firmware}",
            "SNAP": self._snap, "OUTP": self._output, "OUTR": self._display,
            "OAUX": lambda arguments: f"{0 * whole(arguments, 1, 4):g}", "FREQ": lambda _: f"{self.reference_Hz():g}",
            "PHAS": partial(self._told, "PHAS"), "SLVL": partial(self._told, "SLVL"),
            "AUXV": lambda arguments: self._told(f"AUXV{whole(arguments, 1, 4)}", []),
            "OEXP": lambda arguments: self._told(f"OEXP{whole(arguments, 1, 3)}", []),
            "DDEF": lambda arguments: self._told(f"DDEF{whole(arguments, 1, 2)}", []),
            "FPOP": lambda arguments: self._told(f"FPOP{whole(arguments, 1, 2)}", []),
            "SPTS": partial(self._stored, lambda _: str(len(buffer))), "TRCA": partial(self._stored, buffer.text),
            "TRCB": partial(self._stored, buffer.floats), "TRCL": partial(self._stored, buffer.own_floats),
        }  # fmt: skip
        self.orders |= {
            "*RST": lambda _: self._reset(), "PHAS": self._set_phase,
            "FREQ": self._set_frequency, "SLVL": self._set_amplitude, "AUXV": self._set_auxiliary,
            "OEXP": self._set_expand, "DDEF": self._set_display, "FPOP": self._set_front_output,
            "AGAN": lambda _: self._auto_gain(), "ARSV": lambda _: self._numbers.update(RMOD=2),
            "APHS": lambda _: self._auto_phase(), "AOFF": self._auto_offset, "TRIG": lambda _: self._trigger(),
            "STRT": lambda _: self._start(), "STRD": lambda _: self._start(), "PAUS": lambda _: self._pause(),
            "REST": lambda _: self._forget(), "SSET": self._save_setup, "RSET": self._recall_setup,
        }  # fmt: skip
        for mnemonic in _INTEGERS:
            self.queries[mnemonic] = partial(self._integer, mnemonic)
            self.orders[mnemonic] = partial(self._set_integer, mnemonic)
        # When it last looked at its input.
        self._seen_s = -math.inf
        self._reset()
        world.advance()
        self.apply()

    # What it sees

    def unlocked(self) -> None:
        """Latch bit 3."""
        self.lia |= _UNLOCK

    def notice(self, within_s: float = 0.0) -> None:
        """Look, for what is wrong."""
        if not within_s:
            self.world.advance()
        elif self.world.clock.now() - self._seen_s <= within_s:
            return
        self._look()

    def _look(self) -> tuple[float, float]:
        """X and Y now, offsets taken off and clipped; what is wrong is latched."""
        tap = self._tap
        output = self.world.glance(tap)
        self._seen_s = tap.told_s
        x, y = output.real - self._x_offset_V, output.imag - self._y_offset_V
        if abs(x) > self._x_stands_V or abs(y) > self._y_stands_V:
            self.lia |= _OUTPUT
            x, y = clip(x, self._largest_V), clip(y, self._largest_V)
        if not tap.share and not self.locked():
            self.lia |= _UNLOCK
        if tap.largest_V > self._stands_V:
            self.lia |= _FILTER | (_INPUT if tap.take_largest_V() > _LARGEST_INPUT_V else 0)
        return x, y

    def apply(self) -> None:
        """Bring the settings to the filter, and keep what each look needs of them."""
        now = self._numbers
        self._seen_s = -math.inf
        self._external = now["FMOD"] == 0
        detected_Hz = now["HARM"] * (self.reference_Hz() if self._external else self._tuples["FREQ"][0])
        high = detected_Hz > (_DOWNWARDS_Hz if self._high else _UPWARDS_Hz)
        self.lia |= _RANGE if high != self._high else 0
        self._high = high
        if high and now["OFLT"] > _LONGEST:
            now["OFLT"] = _LONGEST
            self.lia |= _TC
        self.tune(
            Tuning(
                self._external, self._tuples["FREQ"][0], self._tuples["SLVL"][0], now["HARM"],
                self._tuples["PHAS"][0], TIME_CONSTANTS_s[now["OFLT"]], now["OFSL"] + 1,
            )
        )  # fmt: skip
        scale = SENSITIVITIES_V[now["SENS"]]
        self._largest_V = _CLIP * scale
        self._stands_V = min(scale * _RESERVES[now["RMOD"]], _LARGEST_INPUT_V)
        (x_percent, x_expand), (y_percent, y_expand) = self._tuples["OEXP1"], self._tuples["OEXP2"]
        self._x_offset_V, self._y_offset_V = 0.01 * x_percent * scale, 0.01 * y_percent * scale
        self._x_stands_V, self._y_stands_V = (self._largest_V / 10.0**expand for expand in (x_expand, y_expand))
        # What has been was within the reserve of the settings before.
        self._tap.take_largest_V()

    def _magnitude_and_angle(self) -> tuple[float, float]:
        """R and θ: of X and Y before their offsets (manual, "X, Y, R and θ"), R with an offset of its own."""
        x, y = self._tap.x.output, self._tap.y.output
        scale = SENSITIVITIES_V[self._numbers["SENS"]]
        r = math.hypot(x, y) - 0.01 * self._tuples["OEXP3"][0] * scale
        if abs(r) > _CLIP * scale:
            self.lia |= _OUTPUT
            r = clip(r, _CLIP * scale)
        return r, math.degrees(math.atan2(y, x))

    def _shown(self) -> tuple[float, float]:
        """What the displays CH1 and CH2 show."""
        x, y = self._look()
        r, theta = self._magnitude_and_angle()
        noise = self.noise_V_per_sqrtHz()
        first, second = int(self._tuples["DDEF1"][0]), int(self._tuples["DDEF2"][0])
        return (x, r, noise, 0.0, 0.0)[first], (y, theta, noise, 0.0, 0.0)[second]

    def _value(self, index: int) -> float:
        if index > 8:
            return self.reference_Hz() if index == 9 else self._shown()[index - 10]
        shown = self._look()
        if index > 2:
            shown = (*shown, *self._magnitude_and_angle(), 0.0, 0.0, 0.0, 0.0)
        return shown[index - 1]

    # Queries

    def _snap(self, arguments: list[str]) -> str:
        if arguments == _X_AND_Y:
            x, y = self._look()
            return f"{x:g},{y:g}"
        if not 2 <= len(arguments) <= 6:
            raise Refused(COMMAND_ERROR)
        return ",".join(f"{self._value(whole([argument], 1, 11)):g}" for argument in arguments)

    def _output(self, arguments: list[str]) -> str:
        if arguments == _X:
            return f"{self._look()[0]:g}"
        return f"{self._value(whole(arguments, 1, 4)):g}"

    def _display(self, arguments: list[str]) -> str:
        return f"{self._shown()[whole(arguments, 1, 2) - 1]:g}"

    def _integer(self, mnemonic: str, arguments: list[str]) -> str:
        if arguments:
            raise Refused(COMMAND_ERROR)
        return str(self._numbers[mnemonic])

    def _told(self, key: str, arguments: list[str]) -> str:
        return ",".join(f"{value:g}" for value in self._tuples[key])

    def status_byte(self) -> int:
        """Two bits more: 0 no scan in progress, 1 no command in progress (manual, *STB?)."""
        return super().status_byte() | 2 | (0 if self._buffer.running else 1)

    # Orders

    def _set_integer(self, mnemonic: str, arguments: list[str]) -> None:
        low, high, _ = _INTEGERS[mnemonic]
        value = whole(arguments, low, high)
        if mnemonic == "HARM" and value * self.reference_Hz() > 102000.0:
            raise Refused
        self._numbers[mnemonic] = value

    def _set_phase(self, arguments: list[str]) -> None:
        (degrees,) = numbers(arguments, (-360.0, 729.99))
        self._tuples["PHAS"] = (folded(degrees),)

    def _set_frequency(self, arguments: list[str]) -> None:
        (frequency_Hz,) = numbers(arguments, (0.001, 102000.0))
        if self._numbers["FMOD"] == 0 or frequency_Hz * self._numbers["HARM"] > 102000.0:
            raise Refused
        self._tuples["FREQ"] = (frequency_Hz,)

    def _set_amplitude(self, arguments: list[str]) -> None:
        self._tuples["SLVL"] = numbers(arguments, (0.004, 5.0))

    def _set_auxiliary(self, arguments: list[str]) -> None:
        output, volts = numbers(arguments, (1, 4), (-10.5, 10.5))
        self._tuples[f"AUXV{int(output)}"] = (volts,)

    def _set_expand(self, arguments: list[str]) -> None:
        channel, percent, expand = numbers(arguments, (1, 3), (-105.0, 105.0), (0, 2))
        self._tuples[f"OEXP{int(channel)}"] = (percent, int(expand))

    def _set_display(self, arguments: list[str]) -> None:
        channel, shown, ratio = numbers(arguments, (1, 2), (0, 4), (0, 2))
        self._tuples[f"DDEF{int(channel)}"] = (int(shown), int(ratio))

    def _set_front_output(self, arguments: list[str]) -> None:
        channel, source = numbers(arguments, (1, 2), (0, 1))
        self._tuples[f"FPOP{int(channel)}"] = (int(source),)

    def _auto_gain(self) -> None:
        r = 1.15 * math.hypot(self._tap.x.output, self._tap.y.output)
        # Auto gain does nothing when the time constant is above one second (manual, AGAN).
        if TIME_CONSTANTS_s[self._numbers["OFLT"]] <= 1.0:
            fitting = [index for index, scale in enumerate(SENSITIVITIES_V) if scale >= r]
            self._numbers["SENS"] = fitting[0] if fitting else 26

    def _auto_phase(self) -> None:
        angle = math.degrees(math.atan2(self._tap.y.output, self._tap.x.output))
        self._tuples["PHAS"] = (folded(self._tuples["PHAS"][0] + angle),)

    def _auto_offset(self, arguments: list[str]) -> None:
        channel = whole(arguments, 1, 3)
        x, y = self._tap.x.output, self._tap.y.output
        percent = 100.0 * (x, y, math.hypot(x, y))[channel - 1] / SENSITIVITIES_V[self._numbers["SENS"]]
        self._tuples[f"OEXP{channel}"] = (clip(percent, 105.0), self._tuples[f"OEXP{channel}"][1])

    def _save_setup(self, arguments: list[str]) -> None:
        self._memories[whole(arguments, 1, 9)] = (dict(self._numbers), dict(self._tuples))

    def _recall_setup(self, arguments: list[str]) -> None:
        memory = self._memories.get(whole(arguments, 1, 9))
        if memory is None:
            raise Refused
        self._numbers, self._tuples = dict(memory[0]), dict(memory[1])

    def _reset(self) -> None:
        self._high = True
        self._numbers = {name: initial for name, (_, _, initial) in _INTEGERS.items()}
        self._tuples: dict[str, tuple[float, ...]] = {"PHAS": (0.0,), "FREQ": (1000.0,), "SLVL": (1.0,)}
        self._tuples |= {f"AUXV{k}": (0.0,) for k in range(1, 5)} | {f"OEXP{k}": (0.0, 0) for k in range(1, 4)}
        self._tuples |= {f"{name}{k}": value for name, value in (("DDEF", (0, 0)), ("FPOP", (0,))) for k in (1, 2)}
        self._forget()

    # Hands at its front

    def clear(self) -> None:
        """A device clear empties the output queue, which the transport holds."""

    def trigger(self) -> None:
        """A group execute trigger is the command TRIG."""
        self.world.advance()
        self._trigger()

    def power_cycle(self) -> None:
        """The buffer is empty then."""
        self._forget()
        super().power_cycle()

    # The buffer

    def _start(self) -> None:
        if not self._buffer.running:
            self._buffer.running = True
            self.record()

    def _pause(self) -> None:
        self._buffer.running = False
        self._tap.due_s = math.inf

    def _forget(self) -> None:
        self._buffer.clear()
        self._tap.due_s = math.inf

    def _trigger(self) -> None:
        self.lia |= _TRIGGER
        if self._buffer.running and self._numbers["SRAT"] == TRIGGERED:
            self._keep()
        elif self._numbers["TSTR"]:
            self._start()

    def record(self) -> None:
        """Keep the sample that is due, and say when the next one is."""
        rate, due_s = self._numbers["SRAT"], self._tap.due_s
        self._tap.due_s = math.inf
        if rate != TRIGGERED:
            self._keep()
            if self._buffer.running:
                self._tap.due_s = (self.world.clock.now() if math.isinf(due_s) else due_s) + 16.0 * 2.0**-rate

    def _keep(self) -> None:
        x, y = self._tap.x.output, self._tap.y.output
        r, theta = self._magnitude_and_angle()
        shown = (x, r)[self._tuples["DDEF1"][0] == 1], (y, theta)[self._tuples["DDEF2"][0] == 1]
        self._buffer.keep(shown, self._numbers["SEND"] == 0)

    def _stored(self, dump: Callable[[list[str]], str], arguments: list[str]) -> str:
        self.world.advance()
        return dump(arguments)
