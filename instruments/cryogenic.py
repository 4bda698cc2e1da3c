"""Cryogenic Ltd's SMS superconducting magnet supplies: 120, 60 and 10 A.

Wire facts: QCoDeS contrib `CryogenicSMS120C`, the ISIS EPICS protocol file, KAME and three private drivers; no manual
is public. The supply knows magnitudes only, and its sign is a relay that moves at zero current; `RAMP` and `DIRECTION`
are not answered, so both are read back. The driver works in ampere: a unit changed at the front panel is told in the
next look's fingerprint, and never read as another current. `GET PER` is never sent, because with nothing stored not
even a line end comes back; `HEATER` says the same current.
"""

import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

from ..core.capabilities import Activity, Heater, SupplyReading
from ..core.errors import ConfigError, DeadlineError, DeviceFault, ReplyError
from .ampere_supply import AmpereSupply
from .driver import measurement, strict_float
from .link import Link

# XON may stand before a reply, then the head: eight characters (dots, or the time) and a blank.
_REPLY = re.compile(r"(?:\.{8}|[0-9]{2}:[0-9]{2}:[0-9]{2}(?: \.{8})?)\s+(?P<key>[A-Z ]+): (?P<value>.+)")
_COMPLAINT = re.compile(r"(?:!!)?-{4,}>\s*(?P<text>.*)")
_SHOWN = r"(?P<value>[0-9.]+) (?P<unit>AMPS|TESLA)"
_OUTPUT = re.compile(_SHOWN + r" AT (?P<volts>-?[0-9.]+) VOLTS")
_CURRENT = re.compile(_SHOWN)
_KEPT = re.compile("SWITCHED OFF AT " + _SHOWN)
_HOLDING = re.compile(r"HOLDING ON (?P<why>TARGET|PAUSE) AT " + _SHOWN)
_RAMPING = re.compile(r"RAMPING FROM [0-9.]+ TO " + _SHOWN + r" AT (?P<rate>[0-9.]+) A/SEC")
_TRIP = re.compile(r"(?P<why>[A-Z]+) TRIP AT " + _SHOWN)
# Below this the relay may be turned, so its sign is asked anew before a current above it is believed.
_ZERO_A = 5e-3
# A supply that holds says its current twice; further apart, one of the two lost a digit on its way.
_APART_A = 1.0
# What a supply that lost its constant says of it in a fingerprint: nothing that a constant could be.
_NO_CONSTANT = "none entered"


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
    signs = {"POSITIVE": "1", "NEGATIVE": "-1", "ZERO": "0"}
    direction = _text(reply, "CURRENT DIRECTION")
    if direction not in signs:
        raise ReplyError(f"{direction!r} is not a direction")
    return signs[direction]


class SMS120C(AmpereSupply):
    """A 120 A SMS. `tesla_per_ampere` is the magnet's field constant, which the supply must agree with.

    `pause_replies` is 2 for a supply that answers `PAUSE` with a second line, its ramp status, as some do.
    """

    model: ClassVar[str] = "SMS120C"
    write_end: ClassVar[str] = "\r\n"
    read_end: ClassVar[str] = "\r\n"
    pause_s: ClassVar[float] = 0.2
    # Short, because the line must be silent this long after a lost reply before the magnet can be told to hold.
    deadline_s: ClassVar[float] = 1.0
    reverses_through_zero = True
    largest_A: ClassVar[float] = 120.0
    # Nobody says what the fastest is; a rate that crosses the range in ten seconds is meant per minute.
    fastest_A_per_s: ClassVar[float] = 12.0
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
        """Get the unit the supply shows (no unit): `AMPS` or `TESLA`.""",
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
        """Get the sign of the polarity relay (no unit): +1, −1, or 0 when it is open.""",
        preprocess_reply=_sign_of,
        cast=int,
    )
    heater: str = measurement(
        "HEATER",
        """Get what the supply says of the switch heater (no unit): `ON`, `OFF`, `SWITCHED OFF AT …`.""",
        preprocess_reply=_text_of("HEATER STATUS"),
        cast=str,
        separator="\n",
    )

    def __init__(self, link: Link, name: str = "", *, tesla_per_ampere: float, pause_replies: int = 1) -> None:
        super().__init__(link, name, tesla_per_ampere=tesla_per_ampere)
        if pause_replies not in (1, 2):
            raise ConfigError(f"pause_replies is 1 or 2, not {pause_replies!r}", where=self.name)
        self._pause_replies = pause_replies
        # The relay's sign, None while it may have been turned since it was read.
        self._sign: int | None = None

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Query one line.

        Raises:
            DeviceFault: the supply complains instead of answering.
        """
        return self._heard(command, self.link.query(command))

    def _heard(self, command: str, reply: str) -> str:
        complaint = _COMPLAINT.fullmatch(reply.strip("\x13\x11 \r\n"))
        if complaint is not None:
            # It may be about a key that somebody pressed at the front: then our answer is still to come.
            self.link.distrust()
            raise DeviceFault(
                f"the supply refuses {command!r}: {complaint['text']}", where=self.name,
                do="look at the supply's display and settings",
            )  # fmt: skip
        return reply

    def identity(self) -> str:
        """Get proof that an SMS answers: these supplies have no identification command."""
        return f"Cryogenic {self.model}, field constant {self.field_constant:.6f} T/A"

    def check_identity(self) -> str:
        """Get the identity; refuse a supply whose field constant is not the station's, and put it into ampere.

        Raises:
            ConfigError: the supply and station.toml disagree about the magnet.
            DeviceFault: the supply has no field constant, as after power-on.
        """
        self._compare(self.field_constant)
        if self.units != "AMPS" and (units := self._ask("TESLA OFF", "UNITS")) != "AMPS":
            raise DeviceFault(f"told to show ampere, the supply shows {units!r}", where=self.name)
        self._sign = self.direction
        return self.identity()

    # The guard's primitives, in ampere

    def watch(self) -> SupplyReading:
        """Measure status and output. Two queries; a third where the relay may have been turned since the last look.

        When the supply shows another unit than ampere, the look becomes an `inspect`, whose fingerprint says so.
        """
        with self.link.lock:
            status, output = self._ask("RAMP STATUS", "RAMP STATUS"), self._ask("GET OUTPUT", "OUTPUT")
            time_s = self.link.answered_s
            if "TESLA" in status + output:
                return self.inspect()
            return self._reading(status, output, time_s, None)

    def inspect(self) -> SupplyReading:
        """Measure everything; status and output last, so that they are the freshest."""
        with self.link.lock:
            try:
                constant = self._ask("GET TPA", "FIELD CONSTANT")
            except DeviceFault:
                constant = _NO_CONSTANT
            fingerprint = (
                ("units", self.units),
                ("field constant", constant),
                ("voltage limit", self._ask("GET VL", "VOLTAGE LIMIT")),
                ("largest set point", self._ask("GET MAX", "MAX SETTING")),
                ("heater output", self._ask("GET HV", "HEATER OUTPUT")),
            )
            scale = None if constant == _NO_CONSTANT else self._number("GET TPA", constant.removesuffix(" T/A"))
            middle_A = self._ampere("GET MID", _CURRENT, self._ask("GET MID", "MID SETTING"), scale)
            rate, heater = self.rate, self.heater
            known = heater in {"ON", "OFF"}
            kept_A = None if known else self._ampere("HEATER", _KEPT, heater, scale)
            self._sign = self.direction
            status, output = self._ask("RAMP STATUS", "RAMP STATUS"), self._ask("GET OUTPUT", "OUTPUT")
            reading = self._reading(status, output, self.link.answered_s, scale)
            aim_A = reading.set_point_A
            return replace(
                reading,
                set_point_A=self._signed(middle_A) if aim_A is None else aim_A,
                rate_A_per_s=rate,
                coil_A=None if kept_A is None else self._signed(kept_A),
                heater=Heater.ON if heater == "ON" else Heater.OFF,
                fingerprint=fingerprint,
                detail=f"{status}; heater {heater}",
            )

    def hold(self) -> None:
        """Stop where the current is and stay (`PAUSE ON`)."""
        self._pause("ON")

    def set_rate(self, rate_A_per_s: float) -> float:
        """Tell the rate of the next move, rounded down to the supply's step, and give what it reads back (A/s).

        Raises:
            LimitError: not finite, below the step, or over the whole range in less than ten seconds; nothing was sent.
        """
        rate_A_per_s = self._rounded_down(rate_A_per_s)
        self._ask(f"SET RAMP {rate_A_per_s:.5f}", "RAMP RATE")
        return self.rate

    def set_target(self, target_A: float) -> float:
        """Tell sign and set point while paused, and give what the supply reads back (A).

        Raises:
            LimitError: not finite or beyond the supply's range; nothing was sent.
            DeviceFault: the relay did not change sign, or the supply refuses the set point.
        """
        self._refuse_beyond(target_A, -self.largest_A, self.largest_A)
        with self.link.lock:
            # A set point told while a ramp is released moves the magnet at once.
            self.hold()
            self._sign = self.direction
            if target_A and math.copysign(1, target_A) != self._sign:
                self._reverse(1 if target_A > 0 else -1)
            self._ask(f"SET MID {abs(target_A):.4f}", "MID SETTING")
            return self._signed(self.middle)

    def go(self) -> None:
        """Start towards MID: `RAMP MID` (not answered), then release the pause, then see what the supply follows.

        Raises:
            DeviceFault: it goes somewhere else; it was told to hold.
        """
        with self.link.lock:
            middle_A = self.middle
            self.write("RAMP MID")
            self._pause("OFF")
            status = self._ask("RAMP STATUS", "RAMP STATUS")
            match = _RAMPING.fullmatch(status) or _HOLDING.fullmatch(status)
            aim_A = None
            if match is not None and not status.startswith("HOLDING ON PAUSE") and match["unit"] == "AMPS":
                aim_A = self._number("RAMP STATUS", match["value"])
            if aim_A is None or abs(aim_A - middle_A) > _ZERO_A:
                self.hold()
                raise DeviceFault(
                    f"told to go to {middle_A:.4f} A, the supply says {status!r}", where=self.name,
                    state="It was told to hold", do="look at the supply: it did not take the last order",
                )  # fmt: skip

    def set_heater(self, on: bool) -> None:
        """Order the switch heater on or off. The supply has no interlock: whoever calls this is the interlock.

        Raises:
            DeviceFault: the supply says another state than the one ordered.
        """
        command = f"HEATER {'ON' if on else 'OFF'}"
        said = self._ask(command, "HEATER STATUS")
        if (said == "ON") is not on or not (said in {"ON", "OFF"} or _KEPT.fullmatch(said)):
            raise DeviceFault(
                f"told {command!r}, the supply says the heater is {said!r}", where=self.name,
                do="look at the supply and the wiring of its switch heater",
            )  # fmt: skip

    # How the supply's words are read

    def _reading(self, status: str, output: str, time_s: float, scale: float | None) -> SupplyReading:
        activity, match = self._activity(status)
        volts = _OUTPUT.fullmatch(output)
        if volts is None:
            raise self.reply_error("GET OUTPUT", output)
        output_A = self._signed(self._ampere("GET OUTPUT", _OUTPUT, output, scale))
        aim_A = rate = None
        if activity is Activity.HOLDING:
            held_A = self._ampere("RAMP STATUS", _HOLDING, status, scale)
            if abs(held_A - abs(output_A)) > _APART_A:
                raise self.reply_error("GET OUTPUT", f"{output} while {status}")
        if activity is Activity.RAMPING or (activity is Activity.HOLDING and match["why"] == "TARGET"):
            aim_A = self._signed(self._ampere("RAMP STATUS", match.re, status, scale))
        if activity is Activity.RAMPING:
            rate = self._number("RAMP STATUS", match["rate"])
        if abs(output_A) <= _ZERO_A:
            self._sign = None
        return SupplyReading(
            time_s, activity, output_A, aim_A, rate, voltage_V=self._number("GET OUTPUT", volts["volts"]), detail=status
        )

    def _activity(self, status: str) -> tuple[Activity, re.Match[str]]:
        for pattern, activity in ((_HOLDING, Activity.HOLDING), (_RAMPING, Activity.RAMPING), (_TRIP, Activity.FAULT)):
            match = pattern.fullmatch(status)
            if match is not None:
                quenched = activity is Activity.FAULT and match["why"] == "QUENCH"
                return Activity.QUENCHED if quenched else activity, match
        raise self.reply_error("RAMP STATUS", status)

    def _ampere(self, command: str, pattern: re.Pattern[str], text: str, scale: float | None) -> float:
        """A magnitude in ampere; one shown in tesla needs the supply's own field constant, `scale` (T/A)."""
        match = pattern.fullmatch(text)
        if match is None or (match["unit"] == "TESLA" and not scale):
            raise self.reply_error(command, text)
        value = self._number(command, match["value"])
        return value / scale if scale and match["unit"] == "TESLA" else value

    def _signed(self, magnitude_A: float) -> float:
        """A magnitude with the relay's sign, which is read anew where it may have been turned."""
        if magnitude_A == 0.0:
            return 0.0
        if self._sign is None:
            self._sign = self.direction
        if self._sign == 0 and magnitude_A > _ZERO_A:
            raise self.reply_error("GET SIGN", f"{magnitude_A:g} A with the relay open")
        return (self._sign or 1) * magnitude_A

    def _number(self, command: str, text: str) -> float:
        try:
            return strict_float(text)
        except ReplyError as error:
            raise self.reply_error(command, text) from error

    # How it is spoken to

    def _pause(self, state: str) -> None:
        command = f"PAUSE {state}"
        with self.link.lock:
            reply = self._heard(command, self.link.query(command, more=self._pause_replies == 2))
            said = self._said(command, "PAUSE STATUS", reply)
            if self._pause_replies == 2:
                # Confirmed already: a second line that does not come leaves a link that knows of it, and no doubt.
                with suppress(DeadlineError):
                    self.read()
        if said != state:
            raise DeviceFault(f"told {command!r}, the supply says {said!r}", where=self.name, do="look at the supply")

    def _reverse(self, sign: int) -> None:
        self.write(f"DIRECTION {'+' if sign > 0 else '-'}")
        self._sign = self.direction
        if self._sign != sign:
            raise DeviceFault(
                "the polarity relay did not change sign",
                where=self.name,
                state=f"The magnet holds at {self.watch().output_A:+.4f} A",
                do="the current must be zero first",
            )

    def _ask(self, command: str, key: str) -> str:
        """What the supply says behind `key:`. Lines that it sends unasked, when its panel is used, are no answer."""
        return self._said(command, key, self.ask(command))

    def _said(self, command: str, key: str, reply: str) -> str:
        try:
            return _text(reply, key)
        except ReplyError as error:
            raise self.reply_error(command, reply) from error


class SMS60C(SMS120C):
    """A 60 A SMS."""

    model: ClassVar[str] = "SMS60C"
    largest_A: ClassVar[float] = 60.0
    fastest_A_per_s: ClassVar[float] = 6.0
    rate_step_A_per_s: float = 5e-5


class SMS10C(SMS120C):
    """A 10 A SMS, for shim coils and the small axes of a vector magnet."""

    model: ClassVar[str] = "SMS10C"
    largest_A: ClassVar[float] = 10.0
    fastest_A_per_s: ClassVar[float] = 1.0
    rate_step_A_per_s: float = 1e-5
