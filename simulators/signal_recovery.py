"""Front panels of the Signal Recovery 7265 and the Ametek 7270 lock-in amplifiers.

Wire facts after the 7270 manual (responses, pages 6-5, 6-34 and 6-35; the 7124's and 7230's for the sockets), the
7220's for what the 7265 has of it, and what pymeasure's drivers send and wait for.
"""

from collections.abc import Callable
from typing import ClassVar

from .dsp_commands import COMPLETE, DATA, OVERLOAD, REQUEST
from .dsp_curves import CurveLockIn
from .world import World

_SHARED = (
    "A floating-point answer has up to seven digits and at least one behind the point.",
    "The input amplifier clips 3 V peak over its gain; an automatic gain lets three full scales by.",
    "Automatic functions are done at once; the real ones take seconds.",
    "In a current mode the sample's voltage is read over 1 MΩ or 100 MΩ.",
    "What was wrong with a command stays in the status byte until ST or M has told it.",
    "There is one demodulator: the two dual reference modes are refused.",
    "An oscillator that drives the sample gives its voltage over the series resistance alone.",
)
_TENS = tuple(float(f"{digit}e{power}") for power in range(-5, 5) for digit in (1, 2, 5))


class DSP7265(CurveLockIn):
    """The 7265 by GPIB: answers end in CR LF, settings are silent."""

    model: ClassVar[str] = "7265"
    firmware: str = "1.4"
    inferred: ClassVar[tuple[str, ...]] = (
        *_SHARED, "The bits of the overload byte are the 7220's.", "The answer to VER.",
        "Points behind the memory's end and an interval below 5 ms are refused or rounded; there is no fast mode.",
    )  # fmt: skip
    latency_s: ClassVar[float] = 0.01
    time_constants_s: ClassVar[tuple[float, ...]] = (
        *(1e-5 * 2.0**k for k in range(7)), *(tau_s for tau_s in _TENS if tau_s > 4e-3),
    )  # fmt: skip
    quantities: ClassVar[tuple[str, ...]] = (
        "x", "y", "magnitude", "phase", "sensitivity", "adc1", "adc2", "adc3", "dac1", "dac2", "noise", "ratio",
        "log ratio", "event", "frequency low", "frequency high", "x2", "y2", "magnitude2", "phase2", "sensitivity2",
    )  # fmt: skip
    points: ClassVar[int] = 32768
    converters: ClassVar[tuple[int, int]] = (3, 4)
    largest_output_V: ClassVar[float] = 12.0
    largest_harmonic: ClassVar[int] = 65535
    integers: ClassVar[dict[str, tuple[int, int, int]]] = CurveLockIn.integers | {"ADC3TIME": (10, 2000, 10)}

    def overload_byte(self) -> int:
        """Bits: 1 CH1, 2 CH2 (above 120 %), 3 Y, 4 X (above 300 %), 6 input, 7 reference unlock."""
        x, y, too_much = self.overloads()
        byte = (2 if abs(self.read("x")) > 12000 else 0) | (4 if abs(self.read("y")) > 12000 else 0)
        return byte | (8 if y else 0) | (16 if x else 0) | (64 if too_much else 0) | (0 if self.locked() else 128)

    def receive(self, line: bytes) -> bytes:
        """A binary curve has no end of its own but that of the bus."""
        reply = super().receive(line)
        return reply.removesuffix(self.reply_end) if line.strip().upper().startswith(b"DCB") else reply


class DSP7270(CurveLockIn):
    """The 7270: every command is answered, a setting by the bare terminator.

    `interface` is `usb` (an answer ends in LF NUL, and after USBTERM 1 the status and overload bytes follow), or
    the socket: `50000` (NUL and the two bytes) or `50001` (CR).
    """

    model: ClassVar[str] = "7270"
    firmware: str = "2.00"
    inferred: ClassVar[tuple[str, ...]] = (
        *_SHARED, "The answer to VER.", "A bare CR acknowledges a setting at port 50001, as a NUL does elsewhere.",
        "A command that is wrong is acknowledged like a setting.", "STR counts microseconds, a millisecond at least.",
    )  # fmt: skip
    ends: ClassVar[bytes] = b"\0\r\n"
    reply_end: ClassVar[bytes] = b"\n\0"
    latency_s: ClassVar[float] = 0.002
    time_constants_s: ClassVar[tuple[float, ...]] = (*_TENS, 1e5)
    quantities: ClassVar[tuple[str, ...]] = (
        "x", "y", "magnitude", "phase", "sensitivity", "noise", "ratio", "log ratio", "adc1", "adc2", "adc3", "adc4",
        "dac1", "dac2", "event", "frequency low", "frequency high", "x2", "y2", "magnitude2", "phase2", "sensitivity2",
    )  # fmt: skip
    points: ClassVar[int] = 100000
    converters: ClassVar[tuple[int, int]] = (4, 4)
    largest_output_V: ClassVar[float] = 10.0
    largest_harmonic: ClassVar[int] = 127
    interval_unit_s: ClassVar[float] = 1e-6
    shortest_s: ClassVar[float] = 1e-3
    integers: ClassVar[dict[str, tuple[int, int, int]]] = CurveLockIn.integers | {"USBTERM": (0, 1, 0)}

    def __init__(
        self, world: World, name: str, wiring: str = "", drives: str | float = 0.0, interface: str = "usb"
    ) -> None:
        self._interface = str(interface)
        super().__init__(world, name, wiring, drives)

    def table(self) -> dict[str, Callable[[list[str], bool], str | None]]:
        """What to do for each name; the outputs of the dual modes are empty in the single one."""
        return super().table() | dict.fromkeys(("X1", "Y1", "X2", "Y2", "MAG1", "MAG2", "PHA1", "PHA2"), _nothing)

    def overload_byte(self) -> int:
        """Bits: 0 X, 1 Y (above 300 %), 4 CH1, 5 CH2."""
        x, y, _ = self.overloads()
        byte = (16 if abs(self.read("x")) > 12000 else 0) | (32 if abs(self.read("y")) > 12000 else 0)
        return byte | (1 if x else 0) | (2 if y else 0)

    def status_byte(self) -> int:
        """Bit 4 is an overload of an output, bit 6 of the input."""
        x, y, too_much = self.overloads()
        byte = super().status_byte() & ~(OVERLOAD | REQUEST)
        return byte | (OVERLOAD if x or y else 0) | (REQUEST if too_much else 0)

    def receive(self, line: bytes) -> bytes:
        """Each command of the line and its answer."""
        with self.world.lock:
            return b"".join(
                self._terminated(part, self.one(part)) for part in line.decode("latin-1").split(";") if part.strip()
            )

    def acknowledge(self, command: str) -> str | None:
        """Settings are answered by the terminator."""
        return ""

    def _terminated(self, command: str, answer: str | None) -> bytes:
        data = b"" if answer is None else answer.encode("latin-1")
        if self._interface == "50001":
            return data + b"\r"
        if data and not command.strip().upper().startswith("DCB"):
            data += b"\n"
        data += b"\0"
        if self._interface == "50000" or self._numbers["USBTERM"]:
            data += bytes((self.status_byte() & ~DATA | COMPLETE, self.overload_byte()))
        return data


class DSP7270Ethernet(DSP7270):
    """The same at port 50001."""

    def __init__(self, world: World, name: str, wiring: str = "", drives: str | float = 0.0) -> None:
        super().__init__(world, name, wiring, drives, interface="50001")


def _nothing(_arguments: list[str], _point: bool) -> str:
    return ""
