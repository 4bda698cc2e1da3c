"""Front panel of Cryogenic Ltd's SMS superconducting magnet supplies.

Facts from drivers written by people who had one (QCoDeS contrib `CryogenicSMS120C`, the ISIS EPICS protocol, three
private drivers); no manual is public. Replies end CR LF XON; set points are magnitudes and the sign is a relay that
moves only at zero current; `RAMP` and `DIRECTION` answer nothing; the rate is in A/s in steps.
"""

import math
from typing import ClassVar

from ..core.errors import ConfigError
from .front_panel import FrontPanel
from .world import World

_LONG_WORDS = {
    "G": "GET", "S": "SET", "R": "RAMP", "P": "PAUSE", "H": "HEATER", "T": "TESLA", "D": "DIRECTION",
}  # fmt: skip
_LONG_ITEMS = {
    "O": "OUTPUT", "%": "MID", "!": "MAX", "0": "ZERO", "S": "SIGN", "P": "PER", "R": "RATE",
}  # fmt: skip
_ZERO_A = 2e-3
_COMPLAINS = "------->"


class SMS120C(FrontPanel):
    """A 120 A supply. Internally in ampere; shows tesla when told `TESLA ON` and a field constant is set."""

    model: ClassVar[str] = "SMS120C"
    reply_end: ClassVar[bytes] = b"\r\n\x13"
    latency_s: ClassVar[float] = 0.05

    inferred: ClassVar[tuple[str, ...]] = (
        "after power-on it is paused, in ampere, with its set points at zero; the current stays where it was",
        "the words of a refusal",
    )
    knobs: ClassVar[tuple[str, ...]] = ("units", "setpoint", "rate", "pause")

    largest_A = 120.0
    rate_step_A_per_s = 1e-4

    def __init__(self, world: World, name: str, wiring: str = "") -> None:
        super().__init__(world, name, wiring)
        magnet = world.settings.magnet
        self._tesla_per_ampere = magnet.tesla_per_ampere
        self._in_tesla = False
        self._mid_A = 0.0
        self._max_A = self.largest_A
        self._rate_A_per_s = 0.01
        self._paused = True
        self._aim = "ZERO"
        self._sign = 1
        self._heater_V = 3.8
        # False while it says what it would say to a command, without doing it.
        self._acts = True

    def execute(self, command: str) -> str | None:
        """Long and short words, any case."""
        words = command.upper().split()
        verb = _LONG_WORDS.get(words[0], words[0])
        handler = {
            "GET": self._get, "SET": self._set, "RAMP": self._ramp, "PAUSE": self._pause, "HEATER": self._heater,
            "TESLA": self._tesla, "DIRECTION": self._direction,
        }.get(verb)  # fmt: skip
        if handler is None or len(words) > 3:
            return _complaint("Invalid command")
        return handler(words[1:])

    # What the operator may ask

    def _get(self, words: list[str]) -> str | None:
        item = _LONG_ITEMS.get(words[0], words[0]) if words else ""
        now = self.world.clock.now()
        match item:
            case "OUTPUT":
                magnet = self.world.magnet
                return _status(
                    f"OUTPUT: {self._shown(magnet.lead_current(now))} AT {magnet.lead_voltage(now):.2f} VOLTS"
                )
            case "MID" | "MAX":
                value = self._mid_A if item == "MID" else self._max_A
                return _status(f"{item} SETTING: {self._shown(value)}")
            case "RATE":
                return _status(f"RAMP RATE: {self._rate_A_per_s:.4f} A/SEC")
            case "SIGN":
                return _status(f"CURRENT DIRECTION: {'POSITIVE' if self._sign > 0 else 'NEGATIVE'}")
            case "TPA":
                return _status(f"FIELD CONSTANT: {self._tesla_per_ampere:.6f} T/A")
            case "VL":
                return _status(f"VOLTAGE LIMIT: {self.world.settings.magnet.voltage_limit_V:.1f} VOLTS")
            case "HV":
                return _status(f"HEATER OUTPUT: {self._heater_V:.1f} VOLTS")
            case "PER":
                return None  # nothing stored: not even a terminator comes (seen by KAME's authors)
            case _:
                return _complaint("Invalid parameter")

    def _set(self, words: list[str]) -> str | None:
        if len(words) < 2:
            return _complaint("Missing value")
        item = {"%": "MID", "!": "MAX", "R": "RAMP"}.get(words[0], words[0])
        value = _number(words[1])
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
                return self._log(f"RAMP RATE: {self._rate_A_per_s:.4f} A/SEC")
            case "TPA":
                if value <= 0:
                    return _complaint("Invalid value")
                self._tesla_per_ampere = value
                return self._log(f"FIELD CONSTANT: {value:.6f} T/A")
            case "HEATER":
                self._heater_V = value
                return self._log(f"HEATER OUTPUT: {value:.1f} VOLTS")
            case _:
                return _complaint("Invalid parameter")

    def _ramp(self, words: list[str]) -> str | None:
        item = {"%": "MID", "!": "MAX", "0": "ZERO", "S": "STATUS"}.get(words[0], words[0]) if words else "STATUS"
        if item == "STATUS":
            return _status(f"RAMP STATUS: {self._ramp_status()}")
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
        return self._log(f"PAUSE STATUS: {'ON' if self._paused else 'OFF'}")

    def _heater(self, words: list[str]) -> str | None:
        state = _on_off(words)
        if state is None:
            return _complaint("Invalid parameter")
        magnet = self.world.magnet
        if state == "?":
            state = "ON" if magnet.heater_on else "OFF"
        elif self._acts:
            self.world.advance()
            magnet.heat_switch(state == "ON", self.world.clock.now())
        return self._log(f"HEATER STATUS: {state}")

    def _tesla(self, words: list[str]) -> str | None:
        state = _on_off(words)
        if state is None:
            return _complaint("Invalid parameter")
        if state != "?":
            self._in_tesla = state == "ON"
        return self._log(f"UNITS: {'TESLA' if self._in_tesla else 'AMPS'}")

    def _direction(self, words: list[str]) -> str | None:
        sign = {"+": 1, "-": -1}.get(words[0]) if words else None
        # The relay moves only without current; a command at any other time is ignored without a word.
        if sign is not None and abs(self.world.magnet.lead_current(self.world.clock.now())) < _ZERO_A:
            self.world.advance()
            self._sign = sign
        return None

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
        """The mains were away for a moment: the diodes kept the current, the settings are gone."""
        self._mid_A, self._max_A, self._rate_A_per_s = 0.0, self.largest_A, 0.01
        self._aim, self._paused, self._in_tesla = "ZERO", True, False
        self._drive()

    def turn(self, knob: str, value: str) -> None:
        """`units` is TESLA or AMPS, `setpoint` and `rate` a number as shown, `pause` is ON or OFF."""
        order = {
            "units": f"TESLA {'ON' if value.upper() == 'TESLA' else 'OFF'}", "setpoint": f"SET MID {value}",
            "rate": f"SET RAMP {value}", "pause": f"PAUSE {value}",
        }[knob]  # fmt: skip
        reply = self.execute(order)
        if reply is None or reply.startswith(_COMPLAINS):
            raise ConfigError(f"{self.name!r} takes no {knob} {value!r}")

    # What the supply does by itself

    def _drive(self) -> None:
        if not self._acts:
            return
        self.world.advance()
        magnet, now = self.world.magnet, self.world.clock.now()
        if self._paused or magnet.quenched:
            magnet.stop(now)
        else:
            target_A = {"MID": self._mid_A, "MAX": self._max_A, "ZERO": 0.0}[self._aim]
            magnet.ramp(math.copysign(target_A, self._sign), self._rate_A_per_s, now)

    def _ramp_status(self) -> str:
        self.world.advance()
        magnet, now = self.world.magnet, self.world.clock.now()
        shown = self._shown(magnet.lead_current(now))
        if magnet.quenched:
            return f"QUENCH TRIP AT {shown}"
        if self._paused:
            return f"HOLDING ON PAUSE AT {shown}"
        if magnet.ramping(now):
            unit = "TESLA" if self._in_tesla else "AMPS"
            start = self._shown(magnet.lead_current(now)).split()[0]
            stop = self._shown({"MID": self._mid_A, "MAX": self._max_A, "ZERO": 0.0}[self._aim]).split()[0]
            return f"RAMPING FROM {start} TO {stop} {unit} AT {self._rate_A_per_s:.4f} A/SEC"
        return f"HOLDING ON TARGET AT {shown}"

    def _shown(self, current_A: float) -> str:
        magnitude = abs(current_A)
        if self._in_tesla:
            return f"{magnitude * self._tesla_per_ampere:.5f} TESLA"
        return f"{magnitude:.4f} AMPS"

    def _log(self, text: str) -> str:
        return f"{self.world.clock.utc():%H:%M:%S} {text}"


def _status(text: str) -> str:
    return f"........ {text}"


def _complaint(text: str) -> str:
    return f"{_COMPLAINS} {text}"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _on_off(words: list[str]) -> str | None:
    """`ON`, `OFF`, `?` when asked, or None when it is none of these."""
    if not words:
        return "?"
    return {"ON": "ON", "1": "ON", "OFF": "OFF", "0": "OFF"}.get(words[0])
