"""Cryogenic Ltd's SMS superconducting magnet supplies.

Wire facts: QCoDeS contrib `CryogenicSMS120C`, the ISIS EPICS protocol file and three private drivers; no manual is
public. The supply knows magnitudes only, and its sign is a relay that moves at zero current; `RAMP` and `DIRECTION`
are not answered, so both are read back. The driver works in ampere and converts with the station's field constant,
so a unit changed at the front panel is an error in the next reply and never a wrong field.
"""

import math
import re
from collections.abc import Callable
from typing import Any, ClassVar

from ..core.capabilities import Activity, FieldReading, Programmed, SupplyStatus
from ..core.errors import ConfigError, DeviceFault, LimitError, ReplyError
from .driver import Driver, measurement, strict_float
from .link import Link

# XON may stand before a reply, then the head: eight characters (dots, or the time) and a blank.
_REPLY = re.compile(r"(?:\.{8}|[0-9]{2}:[0-9]{2}:[0-9]{2}(?: \.{8})?)\s+(?P<key>[A-Z ]+): (?P<value>.+)")
_OUTPUT = re.compile(r"(?P<amps>[0-9.]+) AMPS AT (?P<volts>-?[0-9.]+) VOLTS")
# Where a supply that was told to go is going, or where it has already arrived.
_AIM = re.compile(r"(?:RAMPING FROM [0-9.]+ TO|HOLDING ON TARGET AT) (?P<amps>[0-9.]+) AMPS")
_ZERO_A = 5e-3
_FIELD_CONSTANT_TOLERANCE = 1e-3


def _text(reply: str, key: str) -> str:
    """What stands behind `key:` in a reply; anything else is an error, the supply's own complaints included."""
    match = _REPLY.fullmatch(reply.strip("\x13\x11 \r\n"))
    if match is None or match["key"].strip() != key:
        raise ReplyError(f"expected {key!r}, got {reply!r}")
    return match["value"].strip()


def _text_of(key: str) -> Callable[[str], str]:
    return lambda reply: _text(reply, key)


def _number_of(key: str, unit: str) -> Callable[[str], str]:
    """A reader of a number whose unit is the expected one, as text for pymeasure to convert."""

    def read(reply: str) -> str:
        number, _, given = _text(reply, key).partition(" ")
        if given != unit:
            raise ReplyError(f"expected {key!r} in {unit}, got {reply!r}")
        return repr(strict_float(number))

    return read


def _sign_of(reply: str) -> str:
    signs = {"POSITIVE": "1", "NEGATIVE": "-1", "ZERO": "1"}
    direction = _text(reply, "CURRENT DIRECTION")
    if direction not in signs:
        raise ReplyError(f"{direction!r} is not a direction")
    return signs[direction]


class SMS120C(Driver):
    """A 120 A SMS. `tesla_per_ampere` is the magnet's field constant, which the supply must agree with."""

    model: ClassVar[str] = "SMS120C"
    write_end: ClassVar[str] = "\r\n"
    read_end: ClassVar[str] = "\r\n"
    pause_s: ClassVar[float] = 0.2
    # Short, because the line must be silent this long after a lost reply before the magnet can be told to hold.
    deadline_s: ClassVar[float] = 1.0
    reverses_through_zero = True
    rate_step_A_per_s: ClassVar[float] = 1e-4
    settings_table: ClassVar[tuple[str, ...]] = ("field_constant", "voltage_limit", "heater_output", "units", "rate")

    field_constant: float = measurement(
        "GET TPA",
        """Get the field constant that the supply works with (T/A).""",
        preprocess_reply=_number_of("FIELD CONSTANT", "T/A"),
    )
    voltage_limit: float = measurement(
        "GET VL",
        """Get the output voltage limit (V).""",
        preprocess_reply=_number_of("VOLTAGE LIMIT", "VOLTS"),
    )
    heater_output: float = measurement(
        "GET HV",
        """Get the voltage of the switch heater (V).""",
        preprocess_reply=_number_of("HEATER OUTPUT", "VOLTS"),
    )
    units: str = measurement(
        "TESLA",
        """Get the unit the supply shows, `AMPS` or `TESLA`.""",
        preprocess_reply=_text_of("UNITS"),
        cast=str,
        separator="\n",
    )
    rate: float = measurement(
        "GET RATE",
        """Get the programmed ramp rate (A/s).""",
        preprocess_reply=_number_of("RAMP RATE", "A/SEC"),
    )
    middle: float = measurement(
        "GET MID",
        """Get the set point MID, a magnitude (A).""",
        preprocess_reply=_number_of("MID SETTING", "AMPS"),
    )
    direction: int = measurement(
        "GET SIGN",
        """Get the sign of the polarity relay, +1 or −1.""",
        preprocess_reply=_sign_of,
        cast=int,
    )
    heater: str = measurement(
        "HEATER",
        """Get what the supply says of the switch heater (`ON`, `OFF`, `SWITCHED OFF AT …`).""",
        preprocess_reply=_text_of("HEATER STATUS"),
        cast=str,
        separator="\n",
    )

    def __init__(self, link: Link, name: str = "", *, tesla_per_ampere: float) -> None:
        super().__init__(link, name)
        if not (math.isfinite(tesla_per_ampere) and tesla_per_ampere > 0):
            raise ConfigError(f"tesla_per_ampere must be positive, not {tesla_per_ampere!r}", where=self.name)
        self.tesla_per_ampere = tesla_per_ampere
        self._sign = 1

    def identity(self) -> str:
        """Get proof that an SMS answers: these supplies have no identification command."""
        return f"Cryogenic {self.model}, field constant {self.field_constant:.6f} T/A"

    def check_identity(self) -> str:
        """Get the identity; refuse a supply whose field constant is not the station's, and put it into ampere.

        Raises:
            ConfigError: the supply and station.toml disagree about the magnet.
        """
        constant = self.field_constant
        if abs(constant - self.tesla_per_ampere) > _FIELD_CONSTANT_TOLERANCE * self.tesla_per_ampere:
            raise ConfigError(
                f"the supply's field constant is {constant:.6f} T/A, the station's {self.tesla_per_ampere:.6f} T/A",
                where=self.name,
                state="Nothing was sent that moves the magnet",
                do="find out which is the magnet's, and correct the other",
            )
        if self.units != "AMPS":
            self._command("TESLA OFF", "UNITS", "AMPS")
        self._sign = self.direction
        return self.identity()

    # The guard's primitives

    def read_field(self) -> FieldReading:
        """Measure the field from the current in the leads, signed (T)."""
        text = self._ask("GET OUTPUT", "OUTPUT")
        match = _OUTPUT.fullmatch(text)
        if match is None:
            raise self.reply_error("GET OUTPUT", text)
        field_T = self._sign * strict_float(match["amps"]) * self.tesla_per_ampere
        return FieldReading(round(field_T, 7), self.link.answered_s)

    def read_status(self) -> SupplyStatus:
        """Measure what the supply says of its ramp."""
        detail = self._ask("RAMP STATUS", "RAMP STATUS")
        if detail.startswith("HOLDING"):
            return SupplyStatus(Activity.HOLDING, detail)
        if detail.startswith("RAMPING"):
            return SupplyStatus(Activity.RAMPING, detail)
        if detail.startswith("QUENCH"):
            return SupplyStatus(Activity.QUENCHED, detail)
        return SupplyStatus(Activity.FAULT, detail)

    def read_switch(self) -> bool | None:
        """Measure whether the switch heater is on."""
        return self.heater == "ON"

    def hold(self) -> None:
        """Stop where the field is and stay (`PAUSE ON`)."""
        self._command("PAUSE ON", "PAUSE STATUS", "ON")

    def program(self, target_T: float, rate_T_per_s: float) -> Programmed:
        """Tell rate, sign and set point while paused, and give what the supply read back.

        Raises:
            LimitError: the rate is below the supply's step, or not finite.
            DeviceFault: the relay did not change sign.
        """
        target_A = target_T / self.tesla_per_ampere
        # Read anew: a relay that somebody else moved would turn every field of ours round.
        self._sign = self.direction
        # Rounded down to what the supply can do: its own rounding could end above what was asked.
        steps = math.floor(rate_T_per_s / self.tesla_per_ampere / self.rate_step_A_per_s + 1e-9)
        if not math.isfinite(target_A) or steps < 1:
            raise LimitError(
                f"{rate_T_per_s * 1e3:g} mT/s is slower than the supply can ramp, "
                f"{self.rate_step_A_per_s * self.tesla_per_ampere * 1e3:.4g} mT/s",
                where=self.name,
                state="The magnet holds",
            )
        self.hold()
        self._command(f"SET RAMP {steps * self.rate_step_A_per_s:.4f}", "RAMP RATE")
        if target_A and math.copysign(1, target_A) != self._sign:
            self._reverse(1 if target_A > 0 else -1)
        self._command(f"SET MID {abs(target_A):.4f}", "MID SETTING")
        return Programmed(self._sign * self.middle * self.tesla_per_ampere, self.rate * self.tesla_per_ampere)

    def go(self) -> None:
        """Start towards MID: `RAMP MID` (not answered), then release the pause, then see what the supply follows.

        Raises:
            DeviceFault: it goes somewhere else; it was told to hold.
        """
        with self.link.lock:
            middle_A = self.middle
            self.write("RAMP MID")
            self._command("PAUSE OFF", "PAUSE STATUS", "OFF")
            detail = self.read_status().detail
            match = _AIM.search(detail)
            if match is None or abs(strict_float(match["amps"]) - middle_A) > _ZERO_A:
                self.hold()
                raise DeviceFault(
                    f"told to go to {middle_A:.4f} A, the supply says {detail!r}", where=self.name,
                    state="It was told to hold", do="look at the supply: it did not take the last order",
                )  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """The table, and the constant the driver converts with."""
        return super().settings() | {"tesla_per_ampere": self.tesla_per_ampere}

    def _reverse(self, sign: int) -> None:
        self.write(f"DIRECTION {'+' if sign > 0 else '-'}")
        if self.direction != sign:
            raise DeviceFault(
                "the polarity relay did not change sign",
                where=self.name,
                state=f"The magnet holds at {self.read_field().field_T:.4f} T",
                do="the current must be zero first",
            )
        self._sign = sign

    def _command(self, command: str, key: str, expected: str = "") -> None:
        """Send a set command; its answer must be of the right kind (an error line is not)."""
        text = self._ask(command, key)
        if expected and text != expected:
            raise self.reply_error(command, text)

    def _ask(self, command: str, key: str) -> str:
        """What the supply says behind `key:`. Lines that it sends unasked, when its panel is used, are no answer."""
        reply = self.ask(command)
        try:
            return _text(reply, key)
        except ReplyError as error:
            raise self.reply_error(command, reply) from error
