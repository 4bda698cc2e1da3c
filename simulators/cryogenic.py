"""Front panels of Cryogenic Ltd's SMS superconducting magnet supplies: 120, 60 and 10 A.

Facts from drivers written by people who had one (QCoDeS contrib `CryogenicSMS120C`, the ISIS EPICS protocol, KAME,
three private drivers); no manual is public. Replies end CR LF XON; set points are magnitudes and the sign is a relay
that moves only at zero current; `RAMP`, `DIRECTION` and an empty `GET PER` answer nothing; the rate is in A/s in steps;
no interlock keeps the switch heater off when leads and coil differ.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import ClassVar, Literal

from ..core.errors import ConfigError
from .magnet_supply import MagnetSupply
from .numerals import finite
from .world import World

_LONG_WORDS = {
    "G": "GET", "S": "SET", "R": "RAMP", "P": "PAUSE", "H": "HEATER", "T": "TESLA", "D": "DIRECTION", "U": "UPDATE",
}  # fmt: skip
_LONG_ITEMS = {
    "O": "OUTPUT", "%": "MID", "!": "MAX", "0": "ZERO", "S": "SIGN", "P": "PER", "R": "RATE",
}  # fmt: skip
_ZERO_A = 2e-3
_DOTS, _COMPLAINS, _XON = "........", "------->", b"\x13"
_UPDATE = ("GET OUTPUT", "TESLA", "GET SIGN", "GET RATE", "GET MID", "GET MAX", "GET VL", "GET HV", "GET TPA", "PAUSE",
           "HEATER", "RAMP STATUS")  # fmt: skip

_DIRECTIONS = {1: "POSITIVE", -1: "NEGATIVE", 0: "ZERO"}

Head = Literal["dots", "time", "both"]


class SMS120C(MagnetSupply):
    """A 120 A supply. Internally in ampere; shows tesla when told `TESLA ON` and a field constant is set.

    `head` is what stands before a reply: dots, or the time where a line also goes into the log (ISIS); always the
    time (KAME); the time and dots (QCoDeS contrib). XON follows a reply, or comes `xon_first`. `talkative` pauses
    send their ramp status as a second line, as KAME's authors saw.
    """

    model: ClassVar[str] = "SMS120C"
    reply_end: ClassVar[bytes] = b"\r\n" + _XON
    latency_s: ClassVar[float] = 0.05

    inferred: ClassVar[tuple[str, ...]] = (
        "after power-on it is paused, in ampere, with its set points at zero; the current stays where it was",
        "the words of a refusal, but for a field constant that is missing",
        "a trip is reset at the front or by power-on: no command for it is known",
        "an external trip cuts the output off, and the current runs down through diodes",
        "with DIRECTION 0 no set point gives a current",
        "the order of the thirteen lines of U, of which the first is the identification",
        "the rate steps of the 60 A and 10 A models",
    )
    knobs: ClassVar[tuple[str, ...]] = ("units", "setpoint", "rate", "pause", "heater", "trip")

    largest_A: ClassVar[float] = 120.0
    rate_step_A_per_s: ClassVar[float] = 1e-4

    def __init__(
        self,
        world: World,
        name: str,
        wiring: str = "",
        *,
        axis: str = "z",
        head: Head = "dots",
        xon_first: bool = False,
        talkative: bool = False,
    ) -> None:
        super().__init__(world, name, wiring, axis=axis)
        self._head, self._xon_first, self._talkative = head, xon_first, talkative
        self._tesla_per_ampere = self.magnet.settings.tesla_per_ampere
        self._in_tesla = False
        self._mid_A = 0.0
        self._max_A = self.largest_A
        self._rate_A_per_s = 0.01
        self._paused = True
        self._aim = "ZERO"
        self._start_A = 0.0
        self._sign = 1
        self._heater_V = 3.8
        # The current at which the heater was switched off, while the coil keeps it.
        self._kept_A: float | None = None
        self._external = False
        # False while it says what it would say to a command, without doing it.
        self._acts = True
        self._verbs: dict[str, Callable[[list[str]], str | None]] = {
            "GET": self._get, "SET": self._set, "RAMP": self._ramp, "PAUSE": self._pause, "HEATER": self._heater,
            "TESLA": self._tesla, "DIRECTION": self._direction, "UPDATE": self._update,
        }  # fmt: skip

    def receive(self, line: bytes) -> bytes:
        """One command line; XON may stand before the reply instead of behind it."""
        reply = super().receive(line)
        return _XON + reply.removesuffix(_XON) if reply and self._xon_first else reply

    def execute(self, command: str) -> str | None:
        """Long and short words, any case."""
        verb, words = _verb_and_words(command)
        handler = self._verbs.get(verb)
        if handler is None or len(words) > 2:
            return _complaint("Invalid command")
        return handler(words)

    # What the operator may ask

    def _get(self, words: list[str]) -> str | None:
        item = _LONG_ITEMS.get(words[0], words[0]) if words else ""
        now = self.world.clock.now()
        match item:
            case "OUTPUT":
                magnet = self.magnet
                return self._status(
                    f"OUTPUT: {self._shown(magnet.lead_current(now))} AT {magnet.lead_voltage(now):.2f} VOLTS"
                )
            case "MID" | "MAX":
                value = self._mid_A if item == "MID" else self._max_A
                return self._status(f"{item} SETTING: {self._shown(value)}")
            case "RATE":
                return self._status(f"RAMP RATE: {self._rate()}")
            case "SIGN":
                return self._status(f"CURRENT DIRECTION: {_DIRECTIONS[self._sign]}")
            case "TPA":
                if not self._tesla_per_ampere:
                    return _complaint("No field constant has been entered")
                return self._status(f"FIELD CONSTANT: {self._tesla_per_ampere:.6f} T/A")
            case "VL":
                return self._status(f"VOLTAGE LIMIT: {self.magnet.voltage_limit_V:.1f} VOLTS")
            case "HV":
                return self._status(f"HEATER OUTPUT: {self._heater_V:.1f} VOLTS")
            case "PER":
                # With nothing stored not even a terminator comes (seen by KAME's authors).
                return None if self._kept_A is None else self._log(self._shown(self._kept_A))
            case _:
                return _complaint("Invalid parameter")

    def _set(self, words: list[str]) -> str | None:
        if len(words) < 2:
            return _complaint("Missing value")
        item = {"%": "MID", "!": "MAX", "R": "RAMP"}.get(words[0], words[0])
        value = finite(words[1])
        if value is None:
            return _complaint("Invalid value")
        match item:
            case "MID" | "MAX":
                current_A = abs(value) / self._tesla_per_ampere if self._in_tesla else abs(value)
                limit_A = self.largest_A if item == "MAX" else self._max_A
                if current_A > limit_A:
                    return _complaint("Value out of range")
                if item == "MID":
                    self._mid_A = current_A
                else:
                    self._max_A = current_A
                self._drive()
                return self._log(f"{item} SETTING: {self._shown(current_A)}")
            case "RAMP":
                steps = round(abs(value) / self.rate_step_A_per_s)
                self._rate_A_per_s = max(1, steps) * self.rate_step_A_per_s
                self._drive()
                return self._log(f"RAMP RATE: {self._rate()}")
            case "TPA":
                if value <= 0:
                    return _complaint("Invalid value")
                self._tesla_per_ampere = value
                return self._log(f"FIELD CONSTANT: {value:.6f} T/A")
            case "LIMIT":
                if value <= 0:
                    return _complaint("Invalid value")
                if self._acts:
                    self.magnet.voltage_limit_V = value
                    self._drive()
                return self._log(f"VOLTAGE LIMIT: {value:.1f} VOLTS")
            case "HEATER":
                self._heater_V = value
                return self._log(f"HEATER OUTPUT: {value:.1f} VOLTS")
            case _:
                return _complaint("Invalid parameter")

    def _ramp(self, words: list[str]) -> str | None:
        item = {"%": "MID", "!": "MAX", "0": "ZERO", "S": "STATUS"}.get(words[0], words[0]) if words else "STATUS"
        if item == "STATUS":
            return self._status(f"RAMP STATUS: {self._ramp_status()}")
        if item not in {"MID", "MAX", "ZERO"}:
            return _complaint("Invalid parameter")
        self._aim = item
        self._drive()
        return None

    def _pause(self, words: list[str]) -> str | None:
        state = _on_off(words)
        if state is None:
            return _complaint("Invalid parameter")
        if state != "?":
            self._paused = state == "ON"
            self._drive()
        reply = self._log(f"PAUSE STATUS: {'ON' if self._paused else 'OFF'}")
        if self._talkative and state != "?":
            reply += f"{self.reply_end.decode()}{self._log(f'RAMP STATUS: {self._ramp_status()}')}"
        return reply

    def _heater(self, words: list[str]) -> str | None:
        state = _on_off(words)
        if state is None:
            return _complaint("Invalid parameter")
        magnet = self.magnet
        if state == "?":
            state = "ON" if magnet.heater_on else "OFF"
        elif self._acts:
            now = self.look()
            if state == "OFF" and magnet.heater_on:
                current_A = magnet.lead_current(now)
                self._kept_A = current_A if abs(current_A) > _ZERO_A else None
            elif state == "ON":
                self._kept_A = None
            magnet.heat_switch(state == "ON", now)
        if state == "OFF" and self._kept_A is not None:
            state = f"SWITCHED OFF AT {self._shown(self._kept_A)}"
        return self._log(f"HEATER STATUS: {state}")

    def _tesla(self, words: list[str]) -> str | None:
        state = _on_off(words)
        if state is None:
            return _complaint("Invalid parameter")
        if state == "ON" and not self._tesla_per_ampere:
            return _complaint("No field constant has been entered")
        if state != "?":
            self._in_tesla = state == "ON"
        return self._log(f"UNITS: {'TESLA' if self._in_tesla else 'AMPS'}")

    def _direction(self, words: list[str]) -> str | None:
        sign = {"+": 1, "-": -1, "0": 0}.get(words[0]) if words else None
        # The relay moves only without current; a command at any other time is ignored without a word.
        if sign is not None and abs(self.magnet.lead_current(self.world.clock.now())) < _ZERO_A:
            self.look()
            self._sign = sign
        return None

    def _update(self, words: list[str]) -> str | None:
        lines = [f"{'':8} CRYOGENIC {self.model}", *(self.execute(query) or "" for query in _UPDATE)]
        return self.reply_end.decode().join(lines)

    # What can go wrong with it

    def changes(self, command: str) -> bool:
        """Questions have no mark here: they are `GET`, `RAMP STATUS` and words without a value."""
        words = command.upper().split()
        verb = _LONG_WORDS.get(words[0], words[0]) if words else ""
        return len(words) > 1 and verb != "GET" and not (verb == "RAMP" and words[1] in {"S", "STATUS"})

    def acknowledge(self, command: str) -> str | None:
        """Its log line, with the new value in it."""
        kept = dict(vars(self))
        self._acts = False
        reply = self.execute(command)
        vars(self).update(kept)
        return reply

    def refuse(self, command: str) -> str | None:
        """A complaint."""
        return _complaint("Command refused")

    def power_cycle(self) -> None:
        """The mains were away for a moment: the diodes kept the current, the settings are gone, the constant too."""
        self.look()
        self._mid_A, self._max_A, self._rate_A_per_s = 0.0, self.largest_A, 0.01
        self._aim, self._paused, self._in_tesla = "ZERO", True, False
        self._tesla_per_ampere, self._kept_A = 0.0, None
        self.tripped = self._external = False
        self.magnet.heat_switch(False, self.world.clock.now())
        self._drive()

    def turn(self, knob: str, value: str) -> None:
        """`units` is TESLA or AMPS, `setpoint` and `rate` a number as shown, `pause` and `heater` are ON or OFF.

        `trip` ON is an external trip, OFF resets it or a quench's. What is used at the front is told on the wire.
        """
        if knob == "trip":
            self._trip_by_hand(value.upper() == "ON")
            return
        order = {
            "units": f"TESLA {'ON' if value.upper() == 'TESLA' else 'OFF'}", "setpoint": f"SET MID {value}",
            "rate": f"SET RAMP {value}", "pause": f"PAUSE {value}", "heater": f"HEATER {value}",
        }[knob]  # fmt: skip
        reply = self.execute(order)
        if reply is None or reply.startswith(_COMPLAINS):
            raise ConfigError(f"{self.name!r} takes no {knob} {value!r}")
        self.push(reply.encode("latin-1") + self.reply_end)

    def _trip_by_hand(self, on: bool) -> None:
        now = self.look()
        if on:
            self.trip_A = self.magnet.lead_current(now)
            self._external = self.tripped = True
            self.run_down(now)
        else:
            self._external = self.tripped = False
            self._paused = True
            self._drive()

    # What the supply does by itself

    def _drive(self) -> None:
        if not self._acts:
            return
        now = self.look()
        magnet = self.magnet
        if self.tripped:
            return
        self._start_A = magnet.lead_current(now)
        if self._paused:
            magnet.stop(now)
        else:
            self.drive(((self._target_A() * self._sign, self._rate_A_per_s),), now)

    def _target_A(self) -> float:
        return {"MID": self._mid_A, "MAX": self._max_A, "ZERO": 0.0}[self._aim]

    def _ramp_status(self) -> str:
        now = self.look()
        magnet = self.magnet
        shown = self._shown(magnet.lead_current(now))
        if self.tripped:
            return f"{'EXTERNAL' if self._external else 'QUENCH'} TRIP AT {self._shown(self.trip_A)}"
        if self._paused:
            return f"HOLDING ON PAUSE AT {shown}"
        if magnet.ramping(now):
            start, (stop, unit) = self._shown(self._start_A).split()[0], self._shown(self._target_A()).split()
            return f"RAMPING FROM {start} TO {stop} {unit} AT {self._rate()}"
        return f"HOLDING ON TARGET AT {shown}"

    def _rate(self) -> str:
        return f"{self._rate_A_per_s:.{4 if self.rate_step_A_per_s >= 1e-4 else 5}f} A/SEC"

    def _shown(self, current_A: float) -> str:
        magnitude = abs(current_A)
        if self._in_tesla:
            return f"{magnitude * self._tesla_per_ampere:.5f} TESLA"
        return f"{magnitude:.4f} AMPS"

    def _status(self, text: str) -> str:
        return f"{_DOTS} {text}" if self._head == "dots" else self._log(text)

    def _log(self, text: str) -> str:
        dots = f" {_DOTS}" if self._head == "both" else ""
        return f"{self.world.clock.utc():%H:%M:%S}{dots} {text}"


class SMS60C(SMS120C):
    """A 60 A supply."""

    model: ClassVar[str] = "SMS60C"
    largest_A: ClassVar[float] = 60.0
    rate_step_A_per_s: ClassVar[float] = 5e-5


class SMS10C(SMS120C):
    """A 10 A supply, for shim coils and the small axes of a vector magnet."""

    model: ClassVar[str] = "SMS10C"
    largest_A: ClassVar[float] = 10.0
    rate_step_A_per_s: ClassVar[float] = 1e-5


@lru_cache(maxsize=512)
def _verb_and_words(command: str) -> tuple[str, list[str]]:
    """The verb in full, and what stands behind it; a run repeats few different lines, so they are kept."""
    words = command.upper().split()
    return _LONG_WORDS.get(words[0], words[0]), words[1:]


def _complaint(text: str) -> str:
    return f"{_COMPLAINS} {text}"


def _on_off(words: list[str]) -> str | None:
    """`ON`, `OFF`, `?` when asked, or None when it is none of these."""
    if not words:
        return "?"
    return {"ON": "ON", "1": "ON", "OFF": "OFF", "0": "OFF"}.get(words[0])
