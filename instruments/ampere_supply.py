"""What drivers of supplies that work in ampere share: the magnet's field constant, and refusals before a byte."""

import math
from typing import Any, ClassVar

from ..core.errors import ConfigError, DeviceFault, LimitError
from .driver import Driver
from .link import Link

# Beyond this the supply and the station speak of two magnets.
_FIELD_CONSTANT_TOLERANCE = 1e-3


class AmpereSupply(Driver):
    """A magnet supply with the steps that it sets currents and rates in, and the fastest rate that it takes.

    `tesla_per_ampere` is the magnet's field constant, of which the supply has its own idea.
    """

    current_step_A: float = 1e-4
    rate_step_A_per_s: float = 1e-4
    fastest_A_per_s: ClassVar[float] = 100.0

    def __init__(self, link: Link, name: str = "", *, tesla_per_ampere: float) -> None:
        super().__init__(link, name)
        self.tesla_per_ampere = self._positive("tesla_per_ampere", tesla_per_ampere)

    def settings(self) -> dict[str, Any]:
        """The table, and the constant of the station."""
        return super().settings() | {"tesla_per_ampere": self.tesla_per_ampere}

    def _positive(self, option: str, value: float) -> float:
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{option} must be positive, not {value!r}", where=self.name)
        return value

    def _compare(self, constant: float) -> None:
        """Refuse a supply whose field constant (T/A) is not the station's.

        Raises:
            ConfigError: they differ by more than a thousandth.
        """
        if not abs(constant - self.tesla_per_ampere) <= _FIELD_CONSTANT_TOLERANCE * self.tesla_per_ampere:
            raise ConfigError(
                f"the supply's field constant is {constant:.6g} T/A, the station's {self.tesla_per_ampere:.6g} T/A",
                where=self.name,
                state="Nothing was sent that moves the magnet",
                do="find out which is the magnet's, and correct the other",
            )

    def _rounded_down(self, rate_A_per_s: float) -> float:
        """A rate in whole steps: the supply's own rounding could end above what was asked.

        Raises:
            LimitError: not finite, below the step or above the fastest.
        """
        step = self.rate_step_A_per_s
        steps = math.floor(rate_A_per_s / step + 1e-9) if math.isfinite(rate_A_per_s) else 0
        if not (steps >= 1 and rate_A_per_s <= self.fastest_A_per_s):
            raise LimitError(
                f"a rate of {rate_A_per_s:g} A/s is outside {step:g} … {self.fastest_A_per_s:g} A/s",
                where=self.name, state="Nothing was sent", do="ask for a rate that the supply has",
            )  # fmt: skip
        return steps * step

    def _refuse_beyond(self, target_A: float, low_A: float, high_A: float) -> None:
        """Refuse a set point outside the supply's range.

        Raises:
            LimitError: outside, or not a finite number.
        """
        if not low_A <= target_A <= high_A:
            raise LimitError(
                f"{target_A:g} A is outside {low_A:g} … {high_A:g} A", where=self.name, state="Nothing was sent",
                do="ask for a current that the supply has",
            )  # fmt: skip

    def _not_done(self, told: str, found: str, errors: list[str]) -> DeviceFault:
        """The error of an order that was not taken as it should have been."""
        return DeviceFault(
            f"told to {told}, the supply {found}: {'; '.join(errors) or 'it names no error'}", where=self.name,
            do="look at the supply, and whether it is in local",
        )  # fmt: skip

    def _check_heater(self, told: bool, is_on: bool) -> None:
        if told is not is_on:
            raise DeviceFault(
                f"the switch heater was told to be {'on' if told else 'off'} and is not", where=self.name,
                do="look at the supply and the wiring of its switch heater",
            )  # fmt: skip
