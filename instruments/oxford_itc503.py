"""Oxford Instruments' ITC503 temperature controller.

Wire facts are those of `oxford`, and the command list of the instrument's manual: the proportional band is in kelvin,
integral and derivative action are in minutes, the heater is a share of its largest voltage. A ramp is a sweep of one
step, the last of its sixteen: behind it the set point stays, and the other fifteen are the user's.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from ..core.errors import ConfigError, DeviceFault, LimitError
from .link import Link
from .oxford import LetterDriver, decimals
from .oxford_zones import Zone, finite_ramp, zone_at, zones_of

_SENSORS = (1, 2, 3)
# A sensor that is not there reads 0, one that is too warm the largest number that the instrument has.
_COLDEST_K, _HOTTEST_K = 0.2, 1677.0
_HEATER_AUTO, _GAS_AUTO, _BOTH_AUTO = 1, 2, 3
_LAST_STEP = 16
# What `S` says on the way to that step; one more when it is there.
_ON_THE_WAY = 2 * _LAST_STEP - 1
# Tables show one digit behind the point.
_DIGIT = 0.06
# Sweep times are whole tenths of a minute, at most 1339.9 of them.
_TIME_min, _LONGEST_min = 0.1, 1339.9
_LARGEST_V = 40.0
# Rows of its table of PID terms that every firmware has.
_ZONES = 16
_LARGEST = Zone(_HOTTEST_K, 1677.7, 140.0, 273.0)
_STATUS = re.compile(r"X([0-9])A([0-4])C([0-3])S([0-9]{1,2})H([1-3])L([01])")


class Status(NamedTuple):
    """The digits of `X`: system, automatic parts, control, sweep, control sensor, automatic PID."""

    system: int
    auto: int
    control: int
    sweep: int
    sensor: int
    auto_pid: int


class ITC503(LetterDriver):
    """A controller whose `control_sensor` closes the loop, and whose `sample_sensor` is the sample's thermometer.

    `zones` are rows of (up to this K, band K, integral min, derivative min), written once into the instrument's own
    table; with `auto_pid` it takes its terms from that table, whoever wrote it. Without both the terms stay as they
    were set at the instrument. `heater_limit_V` limits the heater. Nothing above `largest_K` is accepted.
    """

    model: ClassVar[str] = "ITC503"
    settings_table: ClassVar[tuple[str, ...]] = (
        "set_point", "control_sensor", "automatic", "auto_pid", "pid", "sweep", "gas_flow",
    )  # fmt: skip

    def __init__(
        self,
        link: Link,
        name: str = "",
        *,
        sample_sensor: int = 2,
        control_sensor: int = 1,
        largest_K: float = 310.0,
        heater_limit_V: float | None = None,
        auto_pid: bool = False,
        zones: Sequence[Sequence[float]] = (),
        isobus: int | None = None,
    ) -> None:
        super().__init__(link, name, isobus=isobus)
        for sensor in (sample_sensor, control_sensor):
            if sensor not in _SENSORS:
                raise ConfigError(f"sensor {sensor!r} is not one of 1, 2, 3", where=self.name)
        if not _COLDEST_K < largest_K <= _HOTTEST_K:
            raise ConfigError(f"largest_K must be {_COLDEST_K:g} to {_HOTTEST_K:g}, not {largest_K!r}", where=self.name)
        if heater_limit_V is not None and not _TIME_min <= heater_limit_V <= _LARGEST_V:
            raise ConfigError(f"heater_limit_V must be 0.1 to {_LARGEST_V:g}, not {heater_limit_V!r}", where=self.name)
        self.sample_sensor, self.own_control_sensor = sample_sensor, control_sensor
        self.largest_K, self.heater_limit_V = largest_K, heater_limit_V
        self.zones = zones_of(zones, _LARGEST, _ZONES, self.name)
        self.use_auto_pid = auto_pid or bool(self.zones)
        self._zones_written = False

    def check_identity(self) -> str:
        """Get the identity, and take the control; the instrument may have lost its table of terms meanwhile.

        Raises:
            ReplyError: something else answers at this address.
        """
        self._zones_written = False
        return super().check_identity()

    # The capability

    def read_temperature(self) -> float:
        """Measure the temperature at the sample (K).

        Raises:
            DeviceFault: the sensor is broken, not connected or too warm.
        """
        return self._kelvin(self.sample_sensor)

    def read_control_temperature(self) -> float:
        """Measure the temperature that the loop controls (K)."""
        return self._kelvin(self.own_control_sensor)

    def set_temperature(self, temperature_K: float, ramp_K_per_min: float | None = None) -> None:
        """Set the loop's target (K), in one step or with a ramp from where the control sensor is now; heat by itself.

        A ramp is rounded down, so that it takes whole tenths of a minute.

        Raises:
            LimitError: target or ramp is not finite or outside the limits; nothing was sent, or nothing but readings.
            DeviceFault: the instrument refuses, or did not take what it was told.
        """
        self._check(temperature_K, ramp_K_per_min)
        with self.link.lock:
            start_K, minutes = temperature_K, 0.0
            if ramp_K_per_min is not None:
                start_K = min(self.read_control_temperature(), self.largest_K)
                minutes = self._minutes(abs(temperature_K - start_K), ramp_K_per_min)
            self.order("S0")
            self._prepare()
            self.order(f"T{start_K:.3f}")
            self._expect("set point", 0, start_K, "K")
            # Only now: a heater that was manual must not run after an old set point.
            self.order(f"A{self.read_status().auto | _HEATER_AUTO}")
            if minutes:
                self._write_row("s", _LAST_STEP, (temperature_K, minutes, 0.0))
                self.order(f"S{_ON_THE_WAY}")
            status = self.read_status()
        sweeps = not minutes or status.sweep in (_ON_THE_WAY, _ON_THE_WAY + 1)
        if not status.auto & _HEATER_AUTO or status.sensor != self.own_control_sensor or not sweeps:
            raise DeviceFault(
                "it was told a temperature, and does not control it", where=self.where(),
                state=f"It has {status}", do="look at the controller",
            )  # fmt: skip

    def read_heater(self) -> float:
        """Measure the heater output as a fraction of its range, 0..1."""
        return self.read_float(5) / 100.0

    def heater_off(self) -> None:
        """Switch the heater to manual and off, stop a sweep, and read it back; the gas stays as it is.

        Raises:
            DeviceFault: it is refused, or the heater is still on.
        """
        with self.link.lock:
            self.order("S0")
            self.order(f"A{self.read_status().auto & _GAS_AUTO}")
            self.order("O0")
            percent = self.read_float(5)
            status = self.read_status()
        if percent > 0.0 or status.auto & _HEATER_AUTO:
            raise DeviceFault(
                "the heater does not switch off", where=self.where(), state=f"It gives {percent:g} %",
                do="switch it off at the controller",
            )  # fmt: skip

    # Settings

    @property
    def set_point(self) -> float:
        """Get the present set point (K); it follows a sweep."""
        return self.read_float(0)

    @property
    def control_sensor(self) -> int:
        """Get the sensor that the loop controls (no unit), 1 to 3."""
        return self.read_status().sensor

    @property
    def automatic(self) -> str:
        """Get which parts regulate by themselves (no unit): `manual`, `heater`, `gas` or `heater and gas`."""
        return ("manual", "heater", "gas", "heater and gas")[self.read_status().auto]

    @property
    def auto_pid(self) -> bool:
        """Get whether the terms come from the instrument's own table (no unit)."""
        return self.read_status().auto_pid == 1

    @property
    def pid(self) -> tuple[float, float, float]:
        """Get the proportional band (K), the integral and the derivative action (min) in force now."""
        with self.link.lock:
            terms = self.read_float(8), self.read_float(9), self.read_float(10)
            self.read_status()
        return terms

    @property
    def sweep(self) -> int:
        """Get the sweep's status (no unit): 0 is none, 31 is our ramp on its way, 32 holds at its end."""
        return self.read_status().sweep

    @property
    def heater_voltage(self) -> float:
        """Measure the voltage of the heater (V)."""
        return self.read_float(6)

    @property
    def gas_flow(self) -> float:
        """Control how far the needle valve is open (%); set only while the gas is manual."""
        return self.read_float(7)

    @gas_flow.setter
    def gas_flow(self, percent: float) -> None:
        if not 0.0 <= percent <= 99.9:
            raise LimitError(f"a gas flow of {percent:g} % is outside 0 to 99.9 %", where=self.name,
                             state="Nothing was sent")  # fmt: skip
        with self.link.lock:
            self.order(f"G{percent:.1f}")
            self._expect("gas flow", 7, percent, "%")

    def set_pid(self, band_K: float, integral_min: float, derivative_min: float) -> None:
        """Set the terms, of a loop that does not take them from a table, and read them back.

        Raises:
            LimitError: a term is out of range; nothing was sent.
            DeviceFault: the instrument refuses them: it takes its terms from its table.
        """
        terms = Zone(0.0, band_K, integral_min, derivative_min)
        for value, largest in zip(terms, _LARGEST, strict=True):
            if not 0.0 <= value <= largest:
                raise LimitError(f"a term of {value:g} is outside 0 to {largest:g}", where=self.name,
                                 state="Nothing was sent")  # fmt: skip
        with self.link.lock:
            for letter, value, found in zip("PID", terms[1:], (8, 9, 10), strict=True):
                self.order(f"{letter}{value:.3f}" if letter == "P" else f"{letter}{value:.1f}")
                self._expect(letter, found, value, "")
            self.read_status()

    def settings(self) -> dict[str, Any]:
        """The table, which sensors the driver uses, and the heater's limit, which cannot be read back."""
        own = {
            "sample_sensor": self.sample_sensor, "own_control_sensor": self.own_control_sensor,
            "heater_limit_V": self.heater_limit_V,
        }  # fmt: skip
        return super().settings() | own

    # The wire

    def read_status(self) -> Status:
        """Read the status."""
        reply = self.say("X")
        match = _STATUS.fullmatch(reply)
        if match is None:
            raise self.reply_error("X", reply)
        digits = [int(digit) for digit in match.groups()]
        # The Mercury's legacy language has a 4 for both.
        digits[1] = min(digits[1], _BOTH_AUTO)
        return Status(*digits)

    def read_control(self) -> int:
        """Get the digit behind `C`: who has the control."""
        return self.read_status().control

    def _prepare(self) -> None:
        """Sensor, terms and heater limit."""
        status = self.read_status()
        if status.sensor != self.own_control_sensor:
            self.order(f"H{self.own_control_sensor}")
        if self.zones and not self._zones_written:
            for row, zone in enumerate(self.zones, start=1):
                self._write_row("p", row, zone)
            if len(self.zones) < _ZONES:
                self._write_row("p", len(self.zones) + 1, (0.0,))
            self._zones_written = True
        if self.use_auto_pid:
            self.order("L1")
        if self.heater_limit_V is not None:
            self.order(f"M{self.heater_limit_V:.1f}")

    def _minutes(self, way_K: float, ramp_K_per_min: float) -> float:
        """How long a ramp takes, in whole tenths of a minute, so that it is not faster than asked."""
        minutes = max(math.ceil(way_K / ramp_K_per_min / _TIME_min - 1e-6), 1) * _TIME_min
        if minutes > _LONGEST_min:
            raise LimitError(
                f"a ramp of {ramp_K_per_min:g} K/min would take {minutes:.0f} min; the longest is {_LONGEST_min:g} min",
                where=self.name, state="Nothing was set",
            )  # fmt: skip
        return minutes

    def _write_row(self, letter: str, row: int, values: Sequence[float]) -> None:
        """Put values into a table through the pointers x and y, and read each back: `r` of `s`, `q` of `p`."""
        read = {"s": "r", "p": "q"}[letter]
        self.order(f"x{row}")
        for column, value in enumerate(values, start=1):
            self.order(f"y{column}")
            self.order(f"{letter}{value:.1f}" if column > 1 else f"{letter}{value:.3f}")
            reply = self.say(read)
            # Either letter case stands before the number.
            if reply[:1].lower() != read or not _near(reply[1:], value):
                raise self.reply_error(read, reply)

    def _kelvin(self, sensor: int) -> float:
        kelvin = self.read_float(sensor)
        if not _COLDEST_K <= kelvin <= _HOTTEST_K:
            raise DeviceFault(
                f"sensor {sensor} has no valid temperature: it reads {kelvin:g} K", where=self.where(),
                do="check the sensor, its curve and its plug",
            )  # fmt: skip
        return kelvin

    def _expect(self, what: str, number: int, told: float, unit: str) -> None:
        """Read variable `number` back: it must be what was told, to the last digit that it shows."""
        text = self.reading(number)
        if abs(float(text) - told) > 0.6 * 10.0 ** -decimals(text):
            raise DeviceFault(
                f"told a {what} of {told:g} {unit}, it has {text} {unit}", where=self.where(),
                do="look at the controller",
            )  # fmt: skip

    def _check(self, temperature_K: float, ramp_K_per_min: float | None) -> None:
        reason = ""
        if not _COLDEST_K <= temperature_K <= self.largest_K:
            reason = f"{temperature_K:g} K is outside {_COLDEST_K:g} to {self.largest_K:g} K"
        elif self.zones and zone_at(self.zones, temperature_K) is None:
            reason = f"{temperature_K:g} K is above the last zone"
        elif not finite_ramp(ramp_K_per_min):
            reason = f"a ramp of {ramp_K_per_min:g} K/min is none"
        if reason:
            raise LimitError(reason, where=self.name, state="Nothing was sent")


def _near(text: str, value: float) -> bool:
    """True when a table's entry is what was written, to its last digit."""
    try:
        return abs(float(text) - value) <= _DIGIT
    except ValueError:
        return False
