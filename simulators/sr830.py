"""Front panel of the Stanford Research Systems SR830 lock-in amplifier.

Wire facts after the SR830 manual, chapter 5 (remote programming), and what pymeasure's and QCoDeS's drivers send.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from .lock_in import LockIn, Tuning, clip
from .sr830_buffer import TRIGGERED, TraceBuffer
from .srs_commands import (
    COMMAND_ERROR,
    EXECUTION_ERROR,
    POWER_ON,
    Refused,
    enabled_byte,
    folded,
    numbers,
    parse_line,
    read_byte,
    whole,
)
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
_LONGEST_REPLY = 1 << 20
# The detection frequency's range changes here, upwards and downwards (manual, LIAS bit 4); above it there is no time
# constant longer than this one, 30 s.
_UPWARDS_Hz, _DOWNWARDS_Hz, _LONGEST = 203.12, 199.21, 13

# Bits of LIAS? (manual, "status byte definitions")
_INPUT, _FILTER, _OUTPUT, _UNLOCK, _RANGE, _TC, _TRIGGER = (1 << bit for bit in range(7))
_QUERY_ERROR = 4  # bit of *ESR?

# mnemonic: smallest, largest and value after *RST of the settings that are one integer
_INTEGERS: dict[str, tuple[int, int, int]] = {
    "OUTX": (0, 1, 1), "FMOD": (0, 1, 1), "RSLP": (0, 2, 0), "HARM": (1, 19999, 1), "ISRC": (0, 3, 0),
    "IGND": (0, 1, 0), "ICPL": (0, 1, 0), "ILIN": (0, 3, 0), "SENS": (0, 26, 26), "RMOD": (0, 2, 2),
    "OFLT": (0, 19, 8), "OFSL": (0, 3, 1), "SYNC": (0, 1, 0), "SRAT": (0, 14, 4), "SEND": (0, 1, 1),
    "TSTR": (0, 1, 0), "OVRM": (0, 1, 1), "KCLK": (0, 1, 1), "ALRM": (0, 1, 1), "LOCL": (0, 2, 0), "FAST": (0, 2, 0),
}  # fmt: skip


class SR830(LockIn):
    """The lock-in at the contacts `wiring` (`xx` or `xy`); its external reference is the source's phase marker.

    `drives` is the resistance through which its sine output drives the sample. `binary_end` follows binary data: a
    gateway from GPIB to a socket sends one for the end of the message, the instrument itself sends none.
    """

    model: ClassVar[str] = "SR830"
    firmware: ClassVar[str] = "1.07"
    inferred: ClassVar[tuple[str, ...]] = (
        "An output clips at 1.09 times full scale.",
        "The filter's input saturates at 1000, 100 or 10 times full scale, by the reserve.",
        "A phase that is set outside ±180 degrees is folded into them.",
        "FAST 1 and 2 are accepted, and nothing is streamed.",
        "A voltage that drives the sample goes over the series resistance alone: the sample's own is neglected.",
        "While a lock-in follows an external reference its sine output does not drive the sample.",
    )
    reply_end: ClassVar[bytes] = b"\n"
    latency_s: ClassVar[float] = 0.01
    knobs: ClassVar[tuple[str, ...]] = ("SENS", "RMOD", "OFLT", "OFSL", "SYNC", "PHAS", "FREQ", "SLVL", "HARM", "FMOD")

    def __init__(
        self, world: World, name: str, wiring: str = "", drives: str | float = 0.0, binary_end: str = "\n"
    ) -> None:
        super().__init__(world, name, wiring, drives)
        self._binary_end = binary_end
        self._events = POWER_ON
        self._lia = 0
        self._errors = 0
        self._enabled = {"*ESE": 0, "*SRE": 0, "ERRE": 0, "LIAE": 0}
        self._memories: dict[int, tuple[dict[str, int], dict[str, tuple[float, ...]]]] = {}
        self._buffer = buffer = TraceBuffer()
        self._queries: dict[str, Callable[[list[str]], str]] = {
            "*IDN": lambda _: f"Stanford_Research_Systems,SR830,s/n{self._serial():05d},ver1.07",
            "*ESR": self._event_status, "*STB": self._serial_poll, "LIAS": self._lock_in_status,
            "ERRS": self._error_status, "SNAP": self._snap, "OUTP": self._output, "OUTR": self._display,
            "OAUX": lambda arguments: f"{0 * whole(arguments, 1, 4):g}", "FREQ": lambda _: f"{self.reference_Hz():g}",
            "PHAS": partial(self._told, "PHAS"), "SLVL": partial(self._told, "SLVL"),
            "AUXV": lambda arguments: self._told(f"AUXV{whole(arguments, 1, 4)}", []),
            "OEXP": lambda arguments: self._told(f"OEXP{whole(arguments, 1, 3)}", []),
            "DDEF": lambda arguments: self._told(f"DDEF{whole(arguments, 1, 2)}", []),
            "FPOP": lambda arguments: self._told(f"FPOP{whole(arguments, 1, 2)}", []),
            "SPTS": partial(self._stored, lambda _: str(len(buffer))), "TRCA": partial(self._stored, buffer.text),
            "TRCB": partial(self._stored, buffer.floats), "TRCL": partial(self._stored, buffer.own_floats),
        }  # fmt: skip
        self._orders: dict[str, Callable[[list[str]], None]] = {
            "*RST": lambda _: self._reset(), "*CLS": lambda _: self._clear(), "PHAS": self._set_phase,
            "FREQ": self._set_frequency, "SLVL": self._set_amplitude, "AUXV": self._set_auxiliary,
            "OEXP": self._set_expand, "DDEF": self._set_display, "FPOP": self._set_front_output,
            "AGAN": lambda _: self._auto_gain(), "ARSV": lambda _: self._numbers.update(RMOD=2),
            "APHS": lambda _: self._auto_phase(), "AOFF": self._auto_offset, "TRIG": lambda _: self._trigger(),
            "STRT": lambda _: self._start(), "STRD": lambda _: self._start(), "PAUS": lambda _: self._pause(),
            "REST": lambda _: self._forget(), "SSET": self._save_setup, "RSET": self._recall_setup,
        }  # fmt: skip
        for mnemonic in _INTEGERS:
            self._queries[mnemonic] = partial(self._integer, mnemonic)
            self._orders[mnemonic] = partial(self._set_integer, mnemonic)
        for mnemonic in self._enabled:
            self._queries[mnemonic] = partial(self._enable, mnemonic)
            self._orders[mnemonic] = partial(self._set_enable, mnemonic)
        self._reset()
        world.advance()
        self._apply()

    def execute(self, command: str) -> str | None:
        """One line: commands separated by `;`, from left to right."""
        replies: list[str] = []
        for mnemonic, asked, arguments in parse_line(command):
            try:
                if asked:
                    replies.append(self._query(mnemonic, arguments))
                else:
                    self._order(mnemonic, arguments)
            except Refused as refused:
                self._events |= refused.bit
        if len(replies) < 2:
            return replies[0] if replies else None
        text = "\n".join(replies)
        if len(text) > _LONGEST_REPLY:
            # The output queue overflows: it is emptied and the query-error bit says so (manual, *ESR? bit 2).
            self._events |= _QUERY_ERROR
            return None
        return text

    def _query(self, mnemonic: str, arguments: list[str]) -> str:
        handler = self._queries.get(mnemonic)
        if handler is None:
            raise Refused(COMMAND_ERROR)
        return handler(arguments)

    def _order(self, mnemonic: str, arguments: list[str]) -> None:
        handler = self._orders.get(mnemonic)
        if handler is None:
            raise Refused(COMMAND_ERROR)
        # What has been until now was filtered with the old settings.
        self._look()
        handler(arguments)
        self._apply()

    def receive(self, line: bytes) -> bytes:
        """Binary data end as the gateway ends them, everything else with the terminator."""
        reply = super().receive(line)
        if self._binary_end != "\n" and line.strip().upper().startswith((b"TRCB", b"TRCL")):
            reply = reply.removesuffix(self.reply_end) + self._binary_end.encode("latin-1")
        return reply

    # What it sees

    def unlocked(self) -> None:
        """Latch bit 3."""
        self._lia |= _UNLOCK

    def overloaded(self, applied_V: float) -> None:
        """Latch bit 1, and bit 0 when it is the input that is beyond its range."""
        self._lia |= _FILTER | (_INPUT if applied_V > _LARGEST_INPUT_V else 0)

    def _look(self, within_s: float = 0.0) -> tuple[float, float]:
        """X and Y now, offsets taken off and clipped; what is wrong is latched."""
        world, tap, largest = self.world, self._tap, self._largest_V
        world.advance(within_s)
        x, y = tap.x.output - self._x_offset_V, tap.y.output - self._y_offset_V
        if abs(x) * self._x_gain > largest or abs(y) * self._y_gain > largest:
            self._lia |= _OUTPUT
            x, y = clip(x, largest), clip(y, largest)
        if self._external and not self.locked():
            self._lia |= _UNLOCK
        applied_V = abs(world.voltage(self.wiring))
        if applied_V > self.stands_V:
            self.overloaded(applied_V)
        return x, y

    def _apply(self) -> None:
        """Bring the settings to the filter, and keep what each look needs of them."""
        now = self._numbers
        self._external = now["FMOD"] == 0
        detected_Hz = now["HARM"] * (self.reference_Hz() if self._external else self._tuples["FREQ"][0])
        high = detected_Hz > (_DOWNWARDS_Hz if self._high else _UPWARDS_Hz)
        self._lia |= _RANGE if high != self._high else 0
        self._high = high
        if high and now["OFLT"] > _LONGEST:
            now["OFLT"] = _LONGEST
            self._lia |= _TC
        self.tune(
            Tuning(
                self._external, self._tuples["FREQ"][0], self._tuples["SLVL"][0], now["HARM"],
                self._tuples["PHAS"][0], TIME_CONSTANTS_s[now["OFLT"]], now["OFSL"] + 1,
            )
        )  # fmt: skip
        scale = SENSITIVITIES_V[now["SENS"]]
        self._largest_V = _CLIP * scale
        self.stands_V = min(scale * _RESERVES[now["RMOD"]], _LARGEST_INPUT_V)
        (x_percent, x_expand), (y_percent, y_expand) = self._tuples["OEXP1"], self._tuples["OEXP2"]
        self._x_offset_V, self._y_offset_V = 0.01 * x_percent * scale, 0.01 * y_percent * scale
        self._x_gain, self._y_gain = 10.0**x_expand, 10.0**y_expand

    def _magnitude_and_angle(self) -> tuple[float, float]:
        """R and θ: of X and Y before their offsets (manual, "X, Y, R and θ"), R with an offset of its own."""
        x, y = self._tap.x.output, self._tap.y.output
        scale = SENSITIVITIES_V[self._numbers["SENS"]]
        r = math.hypot(x, y) - 0.01 * self._tuples["OEXP3"][0] * scale
        if abs(r) > _CLIP * scale:
            self._lia |= _OUTPUT
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
        x, y = self._look()
        return (x, y, *self._magnitude_and_angle(), 0.0, 0.0, 0.0, 0.0)[index - 1]

    # Queries

    def _snap(self, arguments: list[str]) -> str:
        if arguments == ["1", "2"]:
            x, y = self._look()
            return f"{x:g},{y:g}"
        if not 2 <= len(arguments) <= 6:
            raise Refused(COMMAND_ERROR)
        return ",".join(f"{self._value(whole([argument], 1, 11)):g}" for argument in arguments)

    def _output(self, arguments: list[str]) -> str:
        return f"{self._value(whole(arguments, 1, 4)):g}"

    def _display(self, arguments: list[str]) -> str:
        return f"{self._shown()[whole(arguments, 1, 2) - 1]:g}"

    def _integer(self, mnemonic: str, arguments: list[str]) -> str:
        if arguments:
            raise Refused(COMMAND_ERROR)
        return str(self._numbers[mnemonic])

    def _told(self, key: str, arguments: list[str]) -> str:
        return ",".join(f"{value:g}" for value in self._tuples[key])

    def _lock_in_status(self, arguments: list[str]) -> str:
        # Asked right after a reading, it is about that reading.
        self._look(within_s=0.015)
        if not arguments:
            shown, self._lia = self._lia, 0
        else:
            shown, self._lia = read_byte(self._lia, arguments)
        return str(shown)

    def _event_status(self, arguments: list[str]) -> str:
        shown, self._events = read_byte(self._events, arguments)
        return str(shown)

    def _error_status(self, arguments: list[str]) -> str:
        shown, self._errors = read_byte(self._errors, arguments)
        return str(shown)

    def _serial_poll(self, arguments: list[str]) -> str:
        """Bits: 0 no scan in progress, 1 no command in progress, 2 ERR, 3 LIA, 5 ESB, 6 SRQ (manual, *STB?)."""
        return str(read_byte(self.status_byte(), arguments)[0])

    def status_byte(self) -> int:
        """The serial poll status byte."""
        enabled = self._enabled
        byte = 2 | (0 if self._buffer.running else 1)
        byte |= 4 if self._errors & enabled["ERRE"] else 0
        byte |= 8 if self._lia & enabled["LIAE"] else 0
        byte |= 32 if self._events & enabled["*ESE"] else 0
        return byte | (64 if byte & enabled["*SRE"] else 0)

    def _enable(self, mnemonic: str, arguments: list[str]) -> str:
        return str(read_byte(self._enabled[mnemonic], arguments)[0])

    # Orders

    def _set_integer(self, mnemonic: str, arguments: list[str]) -> None:
        low, high, _ = _INTEGERS[mnemonic]
        value = whole(arguments, low, high)
        if mnemonic == "HARM" and value * self.reference_Hz() > 102000.0:
            raise Refused
        self._numbers[mnemonic] = value

    def _set_enable(self, mnemonic: str, arguments: list[str]) -> None:
        self._enabled[mnemonic] = enabled_byte(self._enabled[mnemonic], arguments)

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

    def _clear(self) -> None:
        self._events = self._lia = self._errors = 0

    # Hands at its front

    def clear(self) -> None:
        """A device clear empties the output queue, which the transport holds."""

    def trigger(self) -> None:
        """A group execute trigger is the command TRIG."""
        self.world.advance()
        self._trigger()

    def turn(self, knob: str, value: str) -> None:
        """Set one of `knobs`, by its mnemonic and the value that a command would give it."""
        self.world.advance()
        self._order(knob, [value])

    def refuse(self, command: str) -> str | None:
        """It says nothing; the execution error is in *ESR?."""
        self._events |= EXECUTION_ERROR
        return None

    def power_cycle(self) -> None:
        """Settings and setups are kept by the battery (manual, "power-on"); the buffer and the status are not."""
        self.world.advance()
        self._clear()
        self._events = POWER_ON
        self._forget()
        self._apply()

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
        self._lia |= _TRIGGER
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

    def _serial(self) -> int:
        return sum(self.name.encode()) % 100000
