"""Front panels of the Stanford Research Systems SR860, SR865 and SR865A lock-in amplifiers.

Wire facts after the SR860 and SR865A manuals, chapter 4 (capture, pages 136 to 139), the vendor's open Python
package (bits of the status words) and what pymeasure's and QCoDeS's drivers send. Unlike the SR830 they count from 0,
take words for indices, and are overloaded by their input range and not by their sensitivity.
"""

import math
from functools import partial
from typing import ClassVar

from .lock_in import NOISE_BANDWIDTHS, Tuning, clip, compression
from .sr860_capture import CONFIGURATIONS, Capture, largest_rate_Hz
from .sr860_settings import OUTPUTS, Settings, choice, text_of
from .srs_commands import COMMAND_ERROR, Refused, folded, numbers, whole
from .srs_lock_in import SRSLockIn
from .world import World

SENSITIVITIES_V = tuple(float(f"{digit}e{power}") for power in range(0, -10, -1) for digit in (5, 2, 1))[2:]
TIME_CONSTANTS_s = tuple(float(f"{digit}e{power}") for power in range(-6, 5) for digit in (1, 3))
INPUT_RANGES_V = (1.0, 0.3, 0.1, 0.03, 0.01)  # peak

# Bits of LIAS? and of CUROVLDSTAT?
_CH1, _CH2, _UNLOCK, _RANGE, _TRIGGER, _DATA = 1, 2, 8, 16, 128, 256


class SR860(SRSLockIn):
    """The lock-in at the contacts `wiring` (`xx` or `xy`), from 1 mHz to 500 kHz.

    `drives` is the resistance through which its sine output drives the sample. `binary_end` follows a binary block:
    the instrument sends nothing. A gateway to a socket may send a line feed, for a client that waits for one; one that
    counts the bytes then finds it in front of the next answer.
    """

    model: ClassVar[str] = "SR860"
    firmware: str = "V1.51"
    inferred: ClassVar[tuple[str, ...]] = (
        "Numbers come with nine significant digits; settings after *RST are of the manual's kind, not its list.",
        "The largest capture rate at each time constant is 1.25 MHz divided by a power of two, least from 10 s on.",
        "The advanced filter and the synchronous filter do what the plain one does: equal poles.",
        "What a reading by the bus shows is not limited by the sensitivity; the flags of the outputs are.",
        "An input beyond its range clips, and the fundamental of the clipped sine is what is measured.",
        "The signal strength indicator counts quarters of the input range; 4 is overload.",
        "X and Y noise are shown as a density at the input, without the display's averaging.",
        "CHOP and DUAL need the external reference and measure as EXT does.",
        "STREAM is accepted and sends nothing: there is no datagram here.",
        "An oscillator that drives the sample gives its voltage over the series resistance alone.",
    )
    lia_bits: ClassVar[int] = 15
    binary: ClassVar[tuple[bytes, ...]] = (b"CAPTUREGET",)
    latency_s: ClassVar[float] = 0.005
    knobs: ClassVar[tuple[str, ...]] = (
        "SCAL", "IRNG", "OFLT", "OFSL", "SYNC", "PHAS", "FREQINT", "SLVL", "HARM", "RSRC",
    )  # fmt: skip
    largest_Hz: ClassVar[float] = 5e5

    def __init__(
        self, world: World, name: str, wiring: str = "", drives: str | float = 0.0, binary_end: str = ""
    ) -> None:
        super().__init__(world, name, wiring, drives, binary_end)
        self._power_on_clear = 1
        self._capture, self._settings = Capture(self._outputs), Settings(self.largest_Hz)
        self._fill_tables()
        self._reset()
        world.advance()
        self.apply()

    def _fill_tables(self) -> None:
        capture, settings = self._capture, self._settings
        self.queries |= {
            "*IDN": lambda _: f"Stanford_Research_Systems,{self.model},{self.serial_number():06d},{self.firmware}",
            "*OPC": lambda _: "1", "*TST": lambda _: "0", "*PSC": lambda _: str(self._power_on_clear),
            "CUROVLDSTAT": lambda _: str(self._look_for_overloads()), "OUTP": self._output, "SNAP": self._snap,
            "SNAPD": lambda _: ",".join(text_of(self._value(int(self._settings.lists["CDSP"][k]))) for k in range(4)),
            "OAUX": lambda arguments: text_of(self._value(4 + whole(arguments, 0, 3))),
            "FREQ": lambda _: text_of(self.reference_Hz()), "FREQEXT": lambda _: text_of(self._value(16)),
            "FREQDET": lambda _: text_of(settings.words["HARM"] * self.reference_Hz()),
            "ILVL": lambda _: str(self._strength()), "ENBW": lambda _: text_of(self._noise_bandwidth_Hz()),
            "TBSTAT": lambda _: "1", "CAPTURERATEMAX": lambda _: text_of(self._largest_rate_Hz()),
            "CAPTURERATE": lambda _: text_of(self._largest_rate_Hz() / 2.0**capture.divisor),
            "CAPTURECFG": lambda _: str(CONFIGURATIONS.index(capture.configuration)),
            "CAPTURELEN": lambda _: str(capture.length_kilobytes), "CAPTURESTAT": lambda _: str(capture.status),
            "CAPTUREBYTES": lambda _: str(capture.captured_bytes()),
            "CAPTUREPROG": lambda _: str(capture.captured_kilobytes()),
            "CAPTUREVAL": lambda a: ",".join(text_of(v) for v in capture.values(whole(a, 0, 1 << 20))),
            "CAPTUREGET": self._capture_block,
        }  # fmt: skip
        self.orders |= {
            "*RST": lambda _: self._reset(), "*PSC": self._set_power_on_clear, "*TRG": lambda _: self._triggered(),
            "FREQ": partial(settings.set_quantity, "FREQINT"), "APHS": lambda _: self._auto_phase(),
            "ARNG": lambda _: self._auto_range(), "ASCL": lambda _: self._auto_scale(), "OAUT": self._auto_offset,
            "DCAP": lambda _: None, "SVDT": lambda _: None, "CAPTURECFG": self._capture_configuration,
            "CAPTURELEN": self._capture_length, "CAPTURERATE": self._capture_rate, "CAPTURESTART": self._capture_start,
            "CAPTURESTOP": lambda _: self._capture_stop(),
        }  # fmt: skip
        for kind, query, order in (
            (settings.words, settings.word, settings.set_word),
            (settings.quantities, settings.quantity, settings.set_quantity),
            (settings.lists, settings.channel, settings.set_channel),
        ):
            for mnemonic in kind:
                self.queries[mnemonic] = partial(query, mnemonic)
                self.orders[mnemonic] = partial(order, mnemonic)
        self.orders["HARM"] = self._set_harmonic

    def execute(self, command: str) -> str | None:
        """One line; a capture goes on until now, and an order asks for more."""
        self.world.glance(self._tap)
        return super().execute(command)

    # What it sees

    def unlocked(self) -> None:
        """Latch bit 3."""
        self.lia |= _UNLOCK

    def apply(self) -> None:
        """Bring the settings to the filter, the reference and the input."""
        words, quantities = self._settings.words, self._settings.quantities
        self._stands_V = INPUT_RANGES_V[words["IRNG"]] / math.sqrt(2.0)
        self.tune(
            Tuning(
                words["RSRC"] != 0, quantities["FREQINT"], quantities["SLVL"], words["HARM"], quantities["PHAS"],
                TIME_CONSTANTS_s[words["OFLT"]], words["OFSL"] + 1,
            )
        )  # fmt: skip

    def _outputs(self) -> tuple[float, float, float, float]:
        """X, Y, R and θ as the filter has them, with what the offsets take off and a clipped input loses."""
        left = compression(abs(self.world.voltage(self.wiring)), self._stands_V)
        x, y = left * self._tap.x.output, left * self._tap.y.output
        r, theta = math.hypot(x, y), math.degrees(math.atan2(y, x))
        scale = SENSITIVITIES_V[self._settings.words["SCAL"]]
        off = [
            0.01 * percent * scale if on else 0.0
            for percent, on in zip(self._settings.lists["COFP"], self._settings.lists["COFA"], strict=True)
        ]
        return x - off[0], y - off[1], r - off[2], theta

    def notice(self, within_s: float = 0.0) -> None:
        """Look for overloads."""
        self.world.advance(within_s)
        self._look_for_overloads()

    def _look_for_overloads(self) -> int:
        """What is wrong now, by the bits of CUROVLDSTAT?; it is latched as well."""
        x, y, r, theta = self._outputs()
        scale, gains = (
            SENSITIVITIES_V[self._settings.words["SCAL"]],
            [10.0**power for power in self._settings.lists["CEXP"]],
        )
        first, second = self._settings.lists["COUT"]
        wrong = _CH1 if (abs(r) * gains[2] if first else abs(x) * gains[0]) > scale else 0
        wrong |= _CH2 if not second and abs(y) * gains[1] > scale else 0
        wrong |= 0 if self.locked() else _UNLOCK
        wrong |= _RANGE if self._tap.take_largest_V() > self._stands_V else 0
        shown = (x, y, r, theta)
        for k in range(4):
            chosen = int(self._settings.lists["CDSP"][k])
            wrong |= _DATA << k if chosen < 3 and abs(shown[chosen]) > scale else 0
        self.lia |= wrong
        return wrong

    def _value(self, index: int) -> float:
        if index < 4:
            self._look_for_overloads()
            return self._outputs()[index]
        if index < 8:
            return 0.0  # nothing is wired to the auxiliary inputs
        if index < 10:
            return self.noise_V_per_sqrtHz()
        if index < 12:
            return self._settings.lists["AUXV"][index - 10]
        if index == 16:
            return self.world.excitation.frequency_Hz if self.world.excitation.marker else 0.0
        return self._settings.quantities[("PHAS", "SLVL", "SOFF", "FREQINT")[index - 12]]

    def _noise_bandwidth_Hz(self) -> float:
        words = self._settings.words
        return NOISE_BANDWIDTHS[words["OFSL"]] / TIME_CONSTANTS_s[words["OFLT"]]

    def _strength(self) -> int:
        part = abs(self.world.voltage(self.wiring)) / self._stands_V
        return 4 if part > 1.0 else min(3, int(4.0 * part))

    # Queries

    def _output(self, arguments: list[str]) -> str:
        if len(arguments) != 1:
            raise Refused(COMMAND_ERROR)
        return text_of(self._value(choice(arguments[0], OUTPUTS)))

    def _snap(self, arguments: list[str]) -> str:
        if not 2 <= len(arguments) <= 3:
            raise Refused(COMMAND_ERROR)
        return ",".join(text_of(self._value(choice(argument, OUTPUTS))) for argument in arguments)

    # Orders

    def _set_power_on_clear(self, arguments: list[str]) -> None:
        self._power_on_clear = whole(arguments, 0, 1)

    def _set_harmonic(self, arguments: list[str]) -> None:
        if whole(arguments, 1, 99) * self.reference_Hz() > self.largest_Hz:
            raise Refused
        self._settings.set_word("HARM", arguments)

    def _auto_phase(self) -> None:
        angle = math.degrees(math.atan2(self._tap.y.output, self._tap.x.output))
        self._settings.quantities["PHAS"] = folded(self._settings.quantities["PHAS"] + angle)

    def _auto_range(self) -> None:
        peak_V = math.sqrt(2.0) * abs(self.world.voltage(self.wiring))
        fitting = [index for index, range_V in enumerate(INPUT_RANGES_V) if range_V >= 1.1 * peak_V]
        self._settings.words["IRNG"] = fitting[-1] if fitting else 0

    def _auto_scale(self) -> None:
        r = math.hypot(self._tap.x.output, self._tap.y.output)
        fitting = [index for index, scale in enumerate(SENSITIVITIES_V) if scale >= 1.1 * r]
        self._settings.words["SCAL"] = fitting[-1] if fitting else 0

    def _auto_offset(self, arguments: list[str]) -> None:
        if len(arguments) != 1:
            raise Refused(COMMAND_ERROR)
        channel = choice(arguments[0], ("X", "Y", "R"))
        x, y = self._tap.x.output, self._tap.y.output
        percent = 100.0 * (x, y, math.hypot(x, y))[channel] / SENSITIVITIES_V[self._settings.words["SCAL"]]
        self._settings.lists["COFP"][channel], self._settings.lists["COFA"][channel] = clip(percent, 999.99), 1.0

    def _reset(self) -> None:
        self._settings.reset()
        self._capture.divisor = 0
        self._capture.configure("X", 256)
        self._capture_stop()

    # Capture

    def _largest_rate_Hz(self) -> float:
        return largest_rate_Hz(self._settings.words["OFLT"])

    def _capture_configuration(self, arguments: list[str]) -> None:
        if len(arguments) != 1:
            raise Refused(COMMAND_ERROR)
        self._capture_stop()
        self._capture.configure(CONFIGURATIONS[choice(arguments[0], CONFIGURATIONS)])

    def _capture_length(self, arguments: list[str]) -> None:
        self._capture_stop()
        self._capture.configure(length_kilobytes=whole(arguments, 1, 4096))

    def _capture_rate(self, arguments: list[str]) -> None:
        self._capture.divisor = whole(arguments, 0, 20)

    def _capture_start(self, arguments: list[str]) -> None:
        if len(arguments) != 2:
            raise Refused(COMMAND_ERROR)
        endless = choice(arguments[0], ("ONEshot", "CONTinuous")) == 1
        # Older firmware says OFF and ON for at once and at a trigger.
        trigger = {"OFF": "IMM", "ON": "TRIG"}.get(arguments[1].upper(), arguments[1])
        self._capture.start(endless, ("IMM", "TRIG", "SAMP")[choice(trigger, ("IMMediate", "TRIGger", "SAMPle"))])
        self._pace()

    def _capture_stop(self) -> None:
        self._capture.stop()
        self._tap.due_s = math.inf

    def _pace(self) -> None:
        """Let the laboratory stop at the next sample, if samples come by themselves."""
        interval_s = 2.0**self._capture.divisor / self._largest_rate_Hz()
        since_s = self.world.clock.now() if math.isinf(self._tap.due_s) else self._tap.due_s
        self._tap.due_s = since_s + interval_s if self._capture.timed else math.inf

    def record(self) -> None:
        """Keep the sample that is due."""
        self._capture.keep()
        self._pace()

    def _triggered(self) -> None:
        self.lia |= _TRIGGER
        self._capture.trigger()
        if math.isinf(self._tap.due_s):
            self._pace()

    def _capture_block(self, arguments: list[str]) -> str:
        offset_kilobytes, length_kilobytes = numbers(arguments, (0, 4096), (1, 64))
        return self._capture.block(int(offset_kilobytes), int(length_kilobytes)).decode("latin-1")

    # Hands at its front

    def trigger(self) -> None:
        """A group execute trigger, or one at the rear input."""
        self.world.advance()
        self._triggered()

    def power_cycle(self) -> None:
        """The capture is empty then."""
        self._capture.configure()
        self._capture_stop()
        super().power_cycle()


class SR865(SR860):
    """The same to 2 MHz."""

    model: ClassVar[str] = "SR865"
    largest_Hz: ClassVar[float] = 2e6


class SR865A(SR860):
    """The same to 4 MHz."""

    model: ClassVar[str] = "SR865A"
    largest_Hz: ClassVar[float] = 4e6
