"""What a procedure may ask of a station: small protocols named by what the experiment needs, not by vendor.

A driver satisfies a capability by having its members; nothing is registered or inherited. All numbers are SI.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar, runtime_checkable

from .clock import Clock


class Activity(StrEnum):
    """What a magnet does at this moment."""

    HOLDING = "holding"
    RAMPING = "ramping"
    QUENCHED = "quenched"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class SupplyStatus:
    """A magnet supply's own word on what it does. `detail` is its raw text."""

    activity: Activity
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Programmed:
    """What a supply read back after it was told a set point and a rate, before it was told to go."""

    target_T: float
    rate_T_per_s: float


@dataclass(frozen=True, slots=True)
class FieldReading:
    """An applied field µ0H, signed (T), and the instant on the station's clock at which it was measured (s)."""

    field_T: float
    time_s: float


@runtime_checkable
class MagnetSupply(Protocol):
    """The primitives the guard moves a magnet with. Only the guard calls them; none of them waits.

    `reverses_through_zero` is true for a supply whose sign may change only at zero current.
    """

    reverses_through_zero: bool

    def read_field(self) -> FieldReading:
        """Measure the field the supply reports."""
        ...

    def read_switch(self) -> bool | None:
        """Measure whether the persistent switch is heated; None when no switch is fitted."""
        ...

    def read_status(self) -> SupplyStatus:
        """Measure what the supply says it does."""
        ...

    def hold(self) -> None:
        """Stop where the field is and stay."""
        ...

    def program(self, target_T: float, rate_T_per_s: float) -> Programmed:
        """Tell target and rate without moving; give what the supply read back."""
        ...

    def go(self) -> None:
        """Start towards the programmed target."""
        ...


@runtime_checkable
class FieldSource(Protocol):
    """A magnet as a procedure sees it: always through the guard."""

    def read_field(self) -> FieldReading:
        """Measure the applied field."""
        ...

    def sweep_to(self, field_T: float, rate_T_per_s: float) -> None:
        """Start towards `field_T` and return at once.

        Raises:
            LimitError: outside the limits or not finite; nothing was sent.
        """
        ...

    def poll(self) -> SupplyStatus:
        """Advance a sweep of several segments and measure the status; RAMPING until the final target is reached.

        Raises:
            DeviceFault: the supply reports a quench or a fault.
        """
        ...

    def hold(self) -> None:
        """Stop where the field is and stay."""
        ...

    @property
    def set_point_T(self) -> float:
        """The target the supply was last told (T)."""
        ...


@runtime_checkable
class Thermometer(Protocol):
    """Anything that knows the sample's temperature."""

    def read_temperature(self) -> float:
        """Measure the temperature at the sample (K)."""
        ...


@runtime_checkable
class TemperatureController(Thermometer, Protocol):
    """A thermometer with a heater and a loop."""

    def set_temperature(self, temperature_K: float, ramp_K_per_min: float | None = None) -> None:
        """Set the loop's target (K), stepped or ramped."""
        ...

    def read_heater(self) -> float:
        """Measure the heater output as a fraction of its range, 0..1."""
        ...

    def heater_off(self) -> None:
        """Switch the heater off."""
        ...


@dataclass(frozen=True, slots=True)
class LockInReading:
    """One coherent pair of a lock-in, in volts rms at its input, with what the lock-in said of it.

    `time_s` is the instant on the station's clock at which it was measured.
    """

    x_V: float
    y_V: float
    time_s: float = 0.0
    flags: tuple[str, ...] = ()


@runtime_checkable
class LockIn(Protocol):
    """A phase-sensitive voltmeter with a filter of equal cascaded poles."""

    def configure(self, *, sensitivity_V: float, time_constant_s: float, poles: int) -> None:
        """Set range, filter and external reference; settings the instrument does not have are refused."""
        ...

    def read_xy(self) -> LockInReading:
        """Measure X and Y of one instant, with overload and unlock flags."""
        ...

    def read_delay(self) -> float:
        """Get the mean delay of the filter, poles × time constant (s)."""
        ...


@runtime_checkable
class CurrentSource(Protocol):
    """A source of alternating current through the sample."""

    def start_sine(self, *, rms_A: float, frequency_Hz: float) -> None:
        """Set amplitude and frequency and switch the sine on, with its phase marker for the lock-ins."""
        ...

    def output_off(self) -> None:
        """Switch the output off."""
        ...


CapabilityT = TypeVar("CapabilityT")


class StationLike(Protocol):
    """What a procedure may know of a station: its clock and its roles. The engine's Station satisfies it."""

    @property
    def clock(self) -> Clock:
        """The one clock of this station."""
        ...

    def role(self, name: str, capability: type[CapabilityT]) -> CapabilityT:
        """The instrument that plays a role (`field`, `temperature`, `source`, `lockin_xx`, `lockin_xy`).

        Raises:
            ConfigError: no instrument has that role, or it does not offer the capability.
        """
        ...

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Every instrument's settings, by instrument name."""
        ...
