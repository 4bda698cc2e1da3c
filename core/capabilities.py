"""What a procedure may ask of a station: small protocols named by what the experiment needs, not by vendor.

A driver satisfies a capability by having its members; nothing is registered or inherited. All numbers are SI.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar, runtime_checkable

from .clock import Clock


class Activity(StrEnum):
    """What a magnet does at this moment. A clamped output is one that only a person may release."""

    HOLDING = "holding"
    RAMPING = "ramping"
    CLAMPED = "clamped"
    QUENCHED = "quenched"
    FAULT = "fault"


class Heater(StrEnum):
    """What a supply says of the heater of the persistent switch."""

    ABSENT = "no switch"
    OFF = "off"
    ON = "on"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class SupplyStatus:
    """What a magnet does, and the field of the same look (T), measured at `time_s` of the station's clock (s).

    `detail` is the supply's raw text; `flags` are words on the field for whoever keeps it, empty when all is well.
    """

    activity: Activity
    detail: str = ""
    field_T: float = math.nan
    time_s: float = math.nan
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldReading:
    """An applied field µ0H, signed (T), and the instant on the station's clock at which it was measured (s)."""

    field_T: float
    time_s: float


@dataclass(frozen=True, slots=True)
class SupplyReading:
    """One look at a magnet power supply. Currents are signed, in ampere; None is what was not asked in this look.

    `time_s` is the instant on the station's clock at which `output_A`, the current in the leads, was measured.
    `coil_A` is the coil's own current where the supply knows it beside the leads' (a persistent magnet's record).
    `set_point_A` is where it goes or would go, `rate_A_per_s` how fast. `remote` is false while somebody at its front
    has it. `fingerprint` is what must not change behind our back: units, field constant and limits, each by name, as
    the supply words them. `detail` is its raw status.
    """

    time_s: float
    activity: Activity
    output_A: float
    set_point_A: float | None = None
    rate_A_per_s: float | None = None
    coil_A: float | None = None
    voltage_V: float | None = None
    heater: Heater | None = None
    remote: bool | None = None
    fingerprint: tuple[tuple[str, str], ...] | None = None
    detail: str = ""


@runtime_checkable
class MagnetPowerSupply(Protocol):
    """The primitives the guard moves a magnet with. Only the guard calls them; none of them waits, none repeats.

    All numbers are in ampere: the field constant is the guard's, and is applied once. An answer that is no clear yes
    (an error line, a refusal, an entry in the error queue) is a `DeviceFault`; no answer is a `CommunicationError`,
    after which whether the order arrived is not known.

    `reverses_through_zero` is true for a supply whose sign is a relay that may move only at zero current.
    `current_step_A` and `rate_step_A_per_s` are its resolutions; `set_rate` rounds down to the step.
    """

    reverses_through_zero: bool
    current_step_A: float
    rate_step_A_per_s: float

    def watch(self) -> SupplyReading:
        """Measure what can change by itself in a ramp, in as few queries as the wire allows."""
        ...

    def inspect(self) -> SupplyReading:
        """Measure everything that this supply can say."""
        ...

    def hold(self) -> None:
        """Stop where the current is and stay; leaves the heater alone. Allowed in every state."""
        ...

    def set_rate(self, rate_A_per_s: float) -> float:
        """Tell the rate of the next move, rounded down to the step, and give what was read back (A/s).

        Raises:
            LimitError: not finite, below the supply's step or above its range; nothing was sent.
        """
        ...

    def set_target(self, target_A: float) -> float:
        """Tell the set point, signed, without moving, and give what was read back (A).

        Raises:
            LimitError: not finite or beyond the supply's range; nothing was sent.
        """
        ...

    def go(self) -> None:
        """Start towards the set point."""
        ...

    def set_heater(self, on: bool) -> None:
        """Order the switch heater on or off, never with a word that overrides the supply's own check."""
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
        """Advance a sweep of several segments and look once: status and field; RAMPING until the target is reached.

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
class VectorFieldSource(Protocol):
    """A vector magnet as a procedure sees it: several axes, always through one guard. Fields are by axis, in T."""

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes."""
        ...

    def read_field(self) -> dict[str, float]:
        """Measure the field of each axis."""
        ...

    def sweep_to(self, field_T: Mapping[str, float], rate_T_per_s: float) -> None:
        """Start towards a field and return at once; an axis that is not named stays.

        Raises:
            LimitError: the field, or the way to it, is not what the magnet stands; nothing was sent.
        """
        ...

    def hold(self) -> None:
        """Stop every axis where it is and stay."""
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
class LoopReading:
    """One look at a temperature loop: what it controls (K), where to, and with how much of its heater (0..1).

    `fault` is the instrument's own reason why there is no temperature, which is NaN then. `heating` is false while the
    heater is switched off. `time_s` is the instant on the station's clock at which it was measured.
    """

    time_s: float
    temperature_K: float
    set_point_K: float
    heater: float
    heating: bool
    fault: str = ""


@runtime_checkable
class HeaterLoop(Protocol):
    """A temperature loop that can be watched: sensor, set point and heater in one look."""

    def read_loop(self) -> LoopReading:
        """Measure control temperature, set point and heater; a sensor that has none is told, not raised."""
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
class AutorangingLockIn(LockIn, Protocol):
    """A lock-in whose full scale may follow the signal while `read_xy` is called.

    Readings after a change carry the flag `settling` until the filter shows the new range alone.
    """

    def read_sensitivity(self) -> float:
        """Get the full scale in use (V rms)."""
        ...

    def set_sensitivity(self, sensitivity_V: float) -> None:
        """Set the full scale (V rms) and what belongs to it, and read it back.

        Raises:
            LimitError: the instrument has no such setting; nothing was sent.
        """
        ...

    def start_autorange(self, *, smallest_V: float, largest_V: float) -> None:
        """Let every `read_xy` from now on choose the full scale of the next, within these two (V rms)."""
        ...

    def stop_autorange(self) -> None:
        """Stay in the range in use."""
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


@runtime_checkable
class DirectCurrentSource(Protocol):
    """A source of direct current through the sample, with a compliance that is told when it limits."""

    def start_current(self, current_A: float, *, compliance_V: float) -> None:
        """Set level and compliance and switch the output on."""
        ...

    def output_off(self) -> None:
        """Switch the output off."""
        ...


@dataclass(frozen=True, slots=True)
class VoltageReading:
    """A voltage (V), the instant on the station's clock at which it was measured (s), and what the meter said of it."""

    voltage_V: float
    time_s: float = 0.0
    flags: tuple[str, ...] = ()


@runtime_checkable
class Voltmeter(Protocol):
    """A meter of direct voltage."""

    def configure(self, *, range_V: float, line_cycles: float) -> None:
        """Set range and integration time (power line cycles); what the meter does not have is refused."""
        ...

    def read_voltage(self) -> VoltageReading:
        """Measure one voltage, with overrange flag."""
        ...


@runtime_checkable
class Switch(Protocol):
    """A matrix of relays between contacts and instruments; a channel is (card, row, column) or (card, channel)."""

    def close_only(self, *channels: tuple[int, ...]) -> None:
        """Open whatever is closed, then close exactly these, and read them back."""
        ...

    def read_closed(self) -> frozenset[tuple[int, ...]]:
        """Get the channels that are closed."""
        ...

    def open_all(self) -> None:
        """Open every channel."""
        ...


@dataclass(frozen=True, slots=True)
class MomentReading:
    """A magnetic moment and its standard error (A·m²), with the field (T) and temperature (K) it was measured at."""

    moment_A_m2: float
    error_A_m2: float
    field_T: float
    temperature_K: float
    time_s: float = 0.0
    flags: tuple[str, ...] = ()


@runtime_checkable
class Magnetometer(Protocol):
    """An instrument that measures the sample's moment: asked once, ready some seconds later."""

    def start_moment(self) -> None:
        """Begin one measurement."""
        ...

    def read_moment(self) -> MomentReading | None:
        """Get the measurement that was begun, or None while it goes on."""
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
