"""Oxford Instruments' Mercury iTC temperature controller: one driver for each loop.

Wire facts beside those of `mercury`: pymeasure, frappy and the tables of nouns in the iTC manuals. The proportional
band is in kelvin, integral and derivative action are in minutes. A loop belongs to the sensor that it controls; while
it ramps, TSET may follow the ramp or tell its end, so it is not compared with what was told.
"""

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from ..core.errors import ConfigError, DeviceFault, LimitError, ReplyError
from .link import Link
from .mercury import MercuryDriver
from .oxford_zones import Zone, finite_ramp, zone_at, zones_of

_BOARD = re.compile(r"[A-Z]{2}[0-9]+\.[A-Z][0-9]+")
_ON_OFF = ("ON", "OFF")
# A broken sensor reads 0 K.
_COLDEST_K, _HOTTEST_K = 0.01, 2000.0
_SLOWEST_K_per_min, _FASTEST_K_per_min = 1e-3, 1000.0
_LARGEST_V = 40.0
_LARGEST = Zone(_HOTTEST_K, 199.9, 199.9, 299.9)
_ZONES = 32


class MercuryITC(MercuryDriver):
    """A loop on `control_sensor` with `heater`; `sample_sensor` is the sample's thermometer.

    `zones` are rows of (up to this K, band K, integral min, derivative min): the terms of a set point's zone are told
    with it, also for a ramp that begins in another. With `auto_pid` the instrument takes its terms from its own table.
    Without both they stay as they were set at the instrument. `heater_limit_V` limits the heater. Nothing above
    `largest_K` is accepted.
    """

    model: ClassVar[str] = "MercuryITC"
    settings_table: ClassVar[tuple[str, ...]] = (
        "set_point", "enabled", "ramp", "pid", "auto_pid", "loop_heater", "heater_limit", "heater_resistance",
        "sample_nick", "control_nick",
    )  # fmt: skip

    def __init__(
        self,
        link: Link,
        name: str = "",
        *,
        sample_sensor: str = "DB6.T1",
        control_sensor: str = "MB1.T1",
        heater: str = "MB0.H1",
        largest_K: float = 310.0,
        heater_limit_V: float | None = None,
        auto_pid: bool = False,
        zones: Sequence[Sequence[float]] = (),
    ) -> None:
        super().__init__(link, name)
        for board in (sample_sensor, control_sensor, heater):
            if _BOARD.fullmatch(board) is None:
                raise ConfigError(f"{board!r} is no board of a Mercury", where=self.name, do="write it like MB1.T1")
        if not _COLDEST_K < largest_K <= _HOTTEST_K:
            raise ConfigError(f"largest_K must be {_COLDEST_K:g} to {_HOTTEST_K:g}, not {largest_K!r}", where=self.name)
        if heater_limit_V is not None and not 0.0 < heater_limit_V <= _LARGEST_V:
            raise ConfigError(f"heater_limit_V must be 0 to {_LARGEST_V:g}, not {heater_limit_V!r}", where=self.name)
        if auto_pid and zones:
            raise ConfigError("auto_pid and zones exclude each other", where=self.name, do="keep one of them")
        self.sample_sensor, self.control_sensor, self.heater = sample_sensor, control_sensor, heater
        self.largest_K, self.own_heater_limit_V, self.use_auto_pid = largest_K, heater_limit_V, auto_pid
        self.zones = zones_of(zones, _LARGEST, _ZONES, self.name)
        self._loop, self._output = f"DEV:{control_sensor}:TEMP:LOOP", f"DEV:{heater}:HTR"

    # The capability

    def read_temperature(self) -> float:
        """Measure the temperature at the sample (K).

        Raises:
            DeviceFault: the instrument says why the reading is not one.
            ReplyError: the reading is none, and the instrument finds nothing wrong with it.
        """
        return self._kelvin(self.sample_sensor)

    def read_control_temperature(self) -> float:
        """Measure the temperature that the loop controls (K)."""
        return self._kelvin(self.control_sensor)

    def set_temperature(self, temperature_K: float, ramp_K_per_min: float | None = None) -> None:
        """Set the loop's target (K), in one step or with a ramp, and let the loop have the heater.

        Raises:
            LimitError: target or ramp is not finite or outside the limits; nothing was sent.
            DeviceFault: the instrument refuses, or did not take what it was told.
        """
        zone = zone_at(self.zones, temperature_K)
        self._check(temperature_K, ramp_K_per_min, zone)
        target = f"{temperature_K:.4f}"
        with self.link.lock:
            self._prepare(zone)
            # The target first: a ramp that is switched off goes to its end at once.
            if ramp_K_per_min is None:
                self.tell(self._loop, TSET=target, RENA="OFF")
            else:
                self.tell(self._loop, RSET=f"{ramp_K_per_min:.4f}", RENA="ON", TSET=target)
            self.tell(self._loop, ENAB="ON")
            set_K, ramps, enabled = self.closed_words(self._loop, "TSET", "RENA", last="ENAB", allowed=_ON_OFF)
        there = abs(self.number_of(self._loop, "TSET", set_K, "K") - temperature_K) < 1e-3
        if enabled != "ON" or (ramps == "ON") != (ramp_K_per_min is not None) or not (there or ramps == "ON"):
            raise DeviceFault(
                f"told to control {temperature_K:g} K, and does not", where=self.where(),
                state=f"Its set point is {set_K}, its ramp {ramps}, its loop {enabled}", do="look at the controller",
            )  # fmt: skip

    def read_heater(self) -> float:
        """Measure the heater output as a fraction of its range, 0..1."""
        return self._number("HSET") / 100.0

    def heater_off(self) -> None:
        """Switch the loop and the heater off, and read both back.

        Raises:
            DeviceFault: it is refused, or the heater is still on.
        """
        with self.link.lock:
            self.tell(self._loop, ENAB="OFF")
            self.tell(self._loop, HSET="0.0")
            percent, enabled = self.closed_words(self._loop, "HSET", last="ENAB", allowed=_ON_OFF)
        if enabled != "OFF" or self.number_of(self._loop, "HSET", percent, "") != 0.0:
            raise DeviceFault(
                "the heater does not switch off", where=self.where(),
                state=f"Its loop is {enabled}, its output {percent} %", do="switch it off at the controller",
            )  # fmt: skip

    # Settings

    @property
    def set_point(self) -> float:
        """Get the set point (K)."""
        return self.quantity(self._loop, "TSET", "K")

    @property
    def enabled(self) -> bool:
        """Get whether the loop regulates (no unit)."""
        return self._on("ENAB")

    @property
    def ramp(self) -> tuple[bool, float]:
        """Get whether set points are ramped, and the rate (K/min)."""
        rate, on = self.closed_words(self._loop, "RSET", last="RENA", allowed=_ON_OFF)
        return on == "ON", self.number_of(self._loop, "RSET", rate, "K/m")

    @property
    def pid(self) -> tuple[float, float, float]:
        """Get the proportional band (K), the integral and the derivative action (min) in force now."""
        *terms, _ = self.closed_words(self._loop, "P", "I", "D", last="ENAB", allowed=_ON_OFF)
        p, i, d = (self.number_of(self._loop, "PID", text, "") for text in terms)
        return p, i, d

    @property
    def auto_pid(self) -> bool:
        """Get whether the terms come from the instrument's own table (no unit)."""
        return self._on("PIDT")

    @property
    def loop_heater(self) -> str:
        """Get the board of the heater that the loop has (no unit), or `None`."""
        return self.closed_words(self._loop, "HTR", last="ENAB", allowed=_ON_OFF)[0]

    @property
    def heater_limit(self) -> float:
        """Control the largest voltage of the heater (V)."""
        return self._twice("VLIM")

    @heater_limit.setter
    def heater_limit(self, volts: float) -> None:
        if not 0.0 < volts <= _LARGEST_V:
            raise LimitError(f"a heater limit of {volts:g} V is outside 0 to {_LARGEST_V:g} V", where=self.name,
                             state="Nothing was sent")  # fmt: skip
        with self.link.lock:
            self.tell(self._output, VLIM=f"{volts:.2f}")
            if abs((found := self.heater_limit) - volts) > 0.01:
                raise DeviceFault(f"told a heater limit of {volts:g} V, it has {found:g} V", where=self.where())

    @property
    def heater_resistance(self) -> float:
        """Get the resistance of the heater as the instrument was told (ohm)."""
        return self._twice("RES")

    @property
    def heater_power(self) -> float:
        """Measure the power of the heater (W)."""
        return self.quantity(f"{self._output}:SIG", "POWR", "W")

    @property
    def gas_flow(self) -> float:
        """Control how far the needle valve is open (%), by hand; refused without a flow board."""
        return self._number("FSET")

    @gas_flow.setter
    def gas_flow(self, percent: float) -> None:
        if not 0.0 <= percent <= 100.0:
            raise LimitError(f"a gas flow of {percent:g} % is outside 0 to 100 %", where=self.name,
                             state="Nothing was sent")  # fmt: skip
        self.tell(self._loop, FAUT="OFF", FSET=f"{percent:.1f}")

    @property
    def sample_nick(self) -> str:
        """Get the name of the sample's sensor (no unit)."""
        return self.words(f"DEV:{self.sample_sensor}:TEMP", "NICK")[0]

    @property
    def control_nick(self) -> str:
        """Get the name of the control sensor (no unit)."""
        return self.words(f"DEV:{self.control_sensor}:TEMP", "NICK")[0]

    def settings(self) -> dict[str, Any]:
        """The table, and which boards the driver uses."""
        return super().settings() | {
            "sample_sensor": self.sample_sensor,
            "control_sensor": self.control_sensor,
            "heater": self.heater,
        }

    # The wire

    def _prepare(self, zone: Zone | None) -> None:
        """Heater limit, heater and terms, of what is not so already."""
        if self.own_heater_limit_V is not None:
            self.heater_limit = self.own_heater_limit_V
        if self.loop_heater != self.heater:
            self.tell(self._loop, HTR=self.heater)
        if self.use_auto_pid:
            self.tell(self._loop, PIDT="ON")
        elif zone is not None:
            terms = {"P": zone.band_K, "I": zone.integral_min, "D": zone.derivative_min}
            self.tell(self._loop, PIDT="OFF", **{name: f"{value:.3f}" for name, value in terms.items()})

    def _kelvin(self, board: str) -> float:
        address = f"DEV:{board}:TEMP:SIG"
        kelvin = self.quantity(address, "TEMP", "K")
        if _COLDEST_K <= kelvin <= _HOTTEST_K:
            return kelvin
        reasons = [alarm for alarm in self.alarms if alarm.startswith(board)]
        if not reasons:
            raise self.reply_error(f"READ:{address}:TEMP", f"{kelvin:g} K")
        raise DeviceFault(
            f"{board} has no valid temperature: {', '.join(reasons)}", where=self.where(),
            do="check the sensor and its calibration",
        )  # fmt: skip

    def _number(self, name: str) -> float:
        text = self.closed_words(self._loop, name, last="ENAB", allowed=_ON_OFF)[0]
        return self.number_of(self._loop, name, text, "")

    def _on(self, name: str) -> bool:
        return self.closed_words(self._loop, last=name, allowed=_ON_OFF)[0] == "ON"

    def _twice(self, name: str) -> float:
        """A setting of the heater's board, which has neither a unit nor a word behind it: asked twice."""
        with self.link.lock:
            first, second = self.words(self._output, name), self.words(self._output, name)
        if first != second:
            raise ReplyError(f"{name} read {first[0]!r} and then {second[0]!r}", where=self.where())
        return self.number_of(self._output, name, first[0], "")

    def _check(self, temperature_K: float, ramp_K_per_min: float | None, zone: Zone | None) -> None:
        reason = ""
        if not _COLDEST_K <= temperature_K <= self.largest_K:
            reason = f"{temperature_K:g} K is outside {_COLDEST_K:g} to {self.largest_K:g} K"
        elif self.zones and zone is None:
            reason = f"{temperature_K:g} K is above the last zone"
        elif not finite_ramp(ramp_K_per_min) or not _SLOWEST_K_per_min <= (ramp_K_per_min or 1.0) <= _FASTEST_K_per_min:
            reason = f"a ramp of {ramp_K_per_min:g} K/min is outside {_SLOWEST_K_per_min:g} to {_FASTEST_K_per_min:g}"
        if reason:
            raise LimitError(reason, where=self.name, state="Nothing was sent")
