"""Front panels of Oxford Instruments' IPS120-10 and PS120-10 superconducting magnet supplies.

Wire facts: the drivers of pymeasure, QCoDeS contrib, Lab::Measurement, KAME and ISIS, and the legacy commands in the
Mercury iPS manual; the version text is as four programs quote it. The digits of `X` are those of six independent
programs (1, 2, 4, 8; QCoDeS contrib alone counts 0 to 4). Rates are per minute on the wire.
"""

from collections.abc import Callable
from typing import ClassVar

from ..core.errors import ConfigError
from .numerals import finite
from .oxford import OxfordPanel
from .oxford_supply import Activity, Supply
from .world import World

_s_per_min = 60.0
_LARGEST_A = 120.0
_HEATER_mA = 70.0
# Without current the magnet counts as being at zero.
_ZERO_A = 5e-3
# Decimals by unit: as the display has them, and in extended resolution (`Q4`).
_DECIMALS = {"A": (2, 4), "T": (3, 5), "A/min": (2, 3), "T/min": (3, 4), "V": (2, 3), "mA": (1, 1), "mOhm": (1, 2),
             "H": (1, 3)}  # fmt: skip
_AMPS_FAST, _TESLA_FAST, _AMPS_SLOW, _TESLA_SLOW, _AMPS, _TESLA = 0, 1, 4, 5, 8, 9


class IPS120(OxfordPanel):
    """The bipolar supply, ±120 A and 10 V, on the coil `axis`. It wakes up clamped and in local."""

    model: ClassVar[str] = "IPS120-10"
    firmware: str = "3.07"
    version: ClassVar[str] = "IPS120-10  Version {firmware}  (c) OXFORD 1996"
    knobs: ClassVar[tuple[str, ...]] = ("control", "setpoint", "rate", "activity", "heater")
    inferred: ClassVar[tuple[str, ...]] = (
        "It wakes up local and locked (C0), clamped, with its set point at zero and slow sweeps in tesla.",
        "A set point is rounded to the resolution in use: 0.01 A and 1 mT, in Q4 0.1 mA and 10 uT.",
        "A set point beyond the limits R21 and R22, a sweep while clamped, a clamp with current in the leads and a "
        "heater with leads and recorded current more than 0.1 A apart are refused with `?`.",
        "After a quench sweeps and heater are refused until a hold (A0) resets it; the output is then at zero.",
        "R16 and R18 keep the last recorded current while the heater is on, and over a power cycle.",
        "Sweeps in fast mode with the heater off are at 1 A/s; every other sweep obeys the coil's own limits.",
        "Switched off, it lets the magnet run down at 1 V with the heater off.",
        "A unit on its own answers commands without `@`; its ISOBUS address is 1.",
        "`Y` and `Z`, which copy its memory, are not known, nor are R3, R4 and R10 to R14.",
    )

    def __init__(self, world: World, name: str, wiring: str = "", *, axis: str = "z", isobus: int = 1) -> None:
        super().__init__(world, name, wiring, isobus=isobus)
        self.supply = Supply(world, name, axis, _LARGEST_A)
        self._shunt_noise = world.stream(f"supply {name}")
        self._mode = _TESLA_SLOW
        supply, k = self.supply, self.supply.tesla_per_ampere
        magnet = supply.magnet
        self._readings: dict[int, tuple[Callable[[], float], str]] = {
            0: (lambda: supply.lead_A, "A"), 1: (lambda: supply.lead_V, "V"), 2: (self._measured, "A"),
            5: (lambda: supply.set_A, "A"), 6: (lambda: supply.rate_A_per_s * _s_per_min, "A/min"),
            7: (lambda: supply.lead_A * k, "T"), 8: (lambda: supply.set_A * k, "T"),
            9: (lambda: supply.rate_A_per_s * _s_per_min * k, "T/min"), 15: (lambda: magnet.voltage_limit_V, "V"),
            16: (lambda: supply.recorded_A, "A"), 17: (lambda: supply.trip_A, "A"),
            18: (lambda: supply.recorded_A * k, "T"), 19: (lambda: supply.trip_A * k, "T"),
            20: (lambda: _HEATER_mA, "mA"), 21: (lambda: -supply.limit_A, "A"), 22: (lambda: supply.limit_A, "A"),
            23: (lambda: 1e3 * magnet.settings.lead_resistance_ohm, "mOhm"),
            24: (lambda: magnet.settings.inductance_H, "H"),
        }  # fmt: skip
        self._orders |= {
            "A": self._act, "F": lambda value: value in range(25), "H": self._heat, "M": self._set_mode,
            "I": lambda value: self._aim(value, "A"), "J": lambda value: self._aim(value, "T"),
            "S": lambda value: self._pace(value, "A/min"), "T": lambda value: self._pace(value, "T/min"),
            "P": lambda value: value in range(5),
        }  # fmt: skip

    def execute(self, command: str) -> str | None:
        """One command, of a supply that has noticed what happened since the last."""
        self.supply.look()
        return super().execute(command)

    # Numbers on the wire

    def _measured(self) -> float:
        return self.supply.lead_A + 1e-4 * self._shunt_noise.next()

    def _read(self, rest: str) -> str | None:
        reading = self._readings.get(int(rest)) if rest.isdecimal() else None
        return None if reading is None else self._text(reading[0](), reading[1])

    def _text(self, value: float, unit: str) -> str:
        # Adding 0.0 makes no difference but to a negative zero.
        return f"{self._rounded(value, unit) + 0.0:+.{self._digits(unit)}f}"

    def _rounded(self, value: float, unit: str) -> float:
        return round(value, self._digits(unit))

    def _digits(self, unit: str) -> int:
        return _DECIMALS[unit][self.extended]

    def _status(self) -> str:
        """`mnAnCnHnMmnPmn`."""
        supply = self.supply
        limit = {1: 1, -1: 2}.get(supply.voltage_limited, 0)
        sweep = int(supply.sweeping) + 2 * int(supply.rate_limited)
        return (
            f"{int(supply.tripped)}{limit}A{supply.activity.value}C{self._control}H{self._heater()}"
            f"M{self._mode}{sweep}P{self._polarity()}"
        )

    def _heater(self) -> int:
        supply = self.supply
        if not supply.switch_fitted:
            return 8
        if supply.heater_on:
            return 5 if supply.heater_open else 1
        return 2 if abs(supply.recorded_A) > _ZERO_A else 0

    def _polarity(self) -> str:
        return "03"

    # Orders

    def _act(self, value: float) -> bool:
        return value in (0, 1, 2, 4) and self.supply.act(Activity(int(value)))

    def _aim(self, value: float, unit: str) -> bool:
        value = self._rounded(value, unit)
        return self.supply.aim(value / self.supply.tesla_per_ampere if unit == "T" else value)

    def _pace(self, value: float, unit: str) -> bool:
        value = self._rounded(value, unit) / _s_per_min
        return self.supply.pace(value / self.supply.tesla_per_ampere if unit == "T/min" else value)

    def _heat(self, value: float) -> bool:
        return value in (0, 1, 2) and self.supply.heat(value > 0, check=value == 1)

    def _set_mode(self, value: float) -> bool:
        if value in (_AMPS, _TESLA):
            # The unit of the display alone.
            self._mode = self._mode & ~1 | int(value) & 1
        elif value in (_AMPS_FAST, _TESLA_FAST, _AMPS_SLOW, _TESLA_SLOW):
            self._mode = int(value)
            self.supply.fast = self._mode in (_AMPS_FAST, _TESLA_FAST)
            if self.supply.sweeping:
                self.supply.drive()
        else:
            return False
        return True

    # What can go wrong with it

    def power_cycle(self) -> None:
        """Its settings are gone; the magnet runs down."""
        self._wake()
        self._mode = _TESLA_SLOW
        self.supply.switch_off()

    def turn(self, knob: str, value: str) -> None:
        """`control` is local or remote, `setpoint` (T) and `rate` (T/min) numbers, `heater` ON or OFF, `activity` A's.

        In local everything works; while the computer has the control, only the button that takes it back.
        """
        if knob == "control":
            self._turn_control(value)
            return
        if self.remote:
            return
        letter = {"setpoint": "J", "rate": "T", "activity": "A", "heater": "H"}[knob]
        number = finite({"ON": "1", "OFF": "0"}.get(value, value))
        self.supply.look()
        if number is None or not self._orders[letter](number):
            raise ConfigError(f"{self.name!r} takes no {knob} {value!r}")


class PS120(IPS120):
    """The unipolar supply with a relay for the sign: whole numbers in 10 mA and 10 mT, magnitudes only."""

    model: ClassVar[str] = "PS120-10"
    firmware: str = "2.04"
    version: ClassVar[str] = "PS120-10  Version {firmware}  (c) OXFORD 1992"
    inferred: ClassVar[tuple[str, ...]] = (
        *IPS120.inferred,
        "The version text of the PS120-10, and that its readings and set points are magnitudes: the sign is in `P`.",
        "`P1` and `P2` choose the sign of the set point; the supply sweeps through zero by itself, where its relay "
        "turns.",
    )

    def __init__(self, world: World, name: str, wiring: str = "", *, axis: str = "z", isobus: int = 1) -> None:
        super().__init__(world, name, wiring, axis=axis, isobus=isobus)
        self._sign = 1
        self._orders["P"] = self._set_polarity

    def _text(self, value: float, unit: str) -> str:
        return f"{round(abs(value) * 100.0):+06d}"

    def _rounded(self, value: float, unit: str) -> float:
        return value / 100.0

    def _aim(self, value: float, unit: str) -> bool:
        return value >= 0.0 and value == int(value) and super()._aim(self._sign * value, unit)

    def _pace(self, value: float, unit: str) -> bool:
        return value == int(value) and super()._pace(value, unit)

    def _set_polarity(self, value: float) -> bool:
        if value in (1, 2):
            self._sign = 1 if value == 1 else -1
            return self.supply.aim(self._sign * abs(self.supply.set_A))
        return value == 0

    def _polarity(self) -> str:
        """Desired, magnet's and commanded sign as bits 4, 2 and 1 (negative), then the contactor that is closed."""
        supply = self.supply
        wanted = self._sign < 0
        output = supply.lead_A < 0 or (abs(supply.lead_A) < _ZERO_A and wanted)
        magnet = output if supply.heater_on else supply.recorded_A < 0
        return f"{4 * wanted + 2 * magnet + wanted}{2 if output else 1}"

    def power_cycle(self) -> None:
        """As the other, and the sign is positive."""
        self._sign = 1
        super().power_cycle()
