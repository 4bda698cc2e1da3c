"""Quantum Design's MPMS3, PPMS, DynaCool and VersaLab through MultiVu, which MultiPyVu's server reaches.

Wire facts: MultiPyVu 3.8.0's source, and protocols of its own simulated MultiVu. MultiVu keeps its magnet by itself
(segments, switch heater, quench) and speaks of field alone: to the guard, an ampere of this supply is a tesla. One
order holds target, rate and approach, so target and rate are kept here until `go` sends them together.

The moment is not told over this wire: it is read from the data file that MultiVu's own measurement appends to.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

from ..core.capabilities import Activity, Heater, MomentReading, SupplyReading
from ..core.errors import ConfigError, DeviceFault, LimitError, ReplyError
from .driver import Driver, strict_float
from .link import Link
from .multipyvu import MultiPyVuClient
from .multivu_dat import GrowingDat

_OE_PER_T = 1e4
_ACTIVITIES = {
    "Stable": Activity.HOLDING, "Holding (driven)": Activity.HOLDING, "Holding (persistent)": Activity.HOLDING,
    "Iterate": Activity.RAMPING, "Ramping": Activity.RAMPING, "Charging": Activity.RAMPING,
    "Discharging": Activity.RAMPING, "Switch Warming": Activity.RAMPING, "Switch Cooling": Activity.RAMPING,
    "Quenching": Activity.QUENCHED, "Quench": Activity.QUENCHED,
}  # fmt: skip
# State words of the temperature that say that no number can be trusted.
_BROKEN = ("General Failure", "Impedance not functional", "Standby")
APPROACHES = ("linear", "no overshoot", "oscillate")
_CHAMBER_ORDERS = ("seal", "purge and seal", "vent and seal", "pump continuously", "vent continuously", "high vacuum")
_READING = re.compile(r"\s*([^,]+),([^,]*),(.+?)\s*")
_SETPOINTS = re.compile(r"\(([^)]*)\),\s*(\w+),.*")


def _fresh() -> Iterator[UUID]:
    while True:
        yield uuid4()


class MultiVu(Driver):
    """One cryostat behind MultiPyVu's server: temperature, field, chamber, and the moment from its data file.

    `approach` is how the field comes to its target. `data_file` is the file that MultiVu's measurement writes, as this
    computer sees it. Nothing above `largest_K` is accepted. `numbers` makes the requests' identifiers.
    """

    twin: ClassVar[str] = ""
    read_end: ClassVar[str] = "}"
    # MultiVu may think for a second about what it is asked.
    deadline_s: ClassVar[float] = 3.0
    settings_table: ClassVar[tuple[str, ...]] = ("field_set_point", "temperature_set_point", "chamber")
    # Oe, K, Oe/s and K/min that MultiVu takes from this cryostat (brochures).
    largest_T: ClassVar[float] = 9.0
    rates_T_per_s: ClassVar[tuple[float, float]] = (1e-5, 0.02)
    temperatures_K: ClassVar[tuple[float, float]] = (1.8, 400.0)
    ramps_K_per_min: ClassVar[tuple[float, float]] = (0.01, 20.0)
    tells_field_set_point: ClassVar[bool] = True

    reverses_through_zero = False
    # MultiVu takes any number; its readings come in single precision, 0.01 Oe or better.
    current_step_A = 1e-6
    rate_step_A_per_s = 1e-6

    def __init__(
        self,
        link: Link,
        name: str = "",
        *,
        approach: str = "linear",
        largest_K: float = 400.0,
        data_file: str = "",
        numbers: Iterator[UUID] | None = None,
    ) -> None:
        super().__init__(link, name)
        if approach not in APPROACHES:
            raise ConfigError(
                f"approach {approach!r} is not one", where=self.name, do=f"one of {', '.join(APPROACHES)}"
            )
        coldest_K, hottest_K = self.temperatures_K
        if not coldest_K < largest_K <= hottest_K:
            raise ConfigError(f"largest_K must be {coldest_K:g} to {hottest_K:g}, not {largest_K!r}", where=self.name)
        self.approach, self.largest_K = approach, largest_K
        self._client = MultiPyVuClient(link, numbers or _fresh())
        self._session: Any = None
        self._version = ""
        self._data = GrowingDat(Path(data_file)) if data_file else None
        self._target_T = self._rate_T_per_s = math.nan
        self._begun = False

    def identity(self) -> str:
        """Get the cryostat's name and the server's version, with a session begun where there is none."""
        if self._session is not self.link.connection:
            flavour, self._version = self._client.start()
            if flavour.upper() != self.model.upper():
                raise ReplyError(
                    f"at this address answers the MultiVu of a {flavour}, not of a {self.model}",
                    where=self._where, do="check the resource in station.toml",
                )  # fmt: skip
            self._session = self.link.connection
        return f"Quantum Design {self.model}, MultiPyVu {self._version}"

    # The guard's primitives, with a tesla for an ampere

    def watch(self) -> SupplyReading:
        """Measure field and state in one query."""
        field_T, word = self._field()
        heater = Heater.ABSENT
        return SupplyReading(
            self.link.answered_s, self._activity(word), field_T, coil_A=field_T, heater=heater, remote=True, detail=word
        )

    def inspect(self) -> SupplyReading:
        """Measure everything: also what MultiVu was asked for last, where it can say so."""
        reading = self.watch()
        set_T, rate_T_per_s = self.field_set_point if self.tells_field_set_point else (None, None)
        return SupplyReading(
            reading.time_s, reading.activity, reading.output_A, set_T, rate_T_per_s, reading.coil_A, None,
            reading.heater, True, (("approach", self.approach), ("unit", "Oe")), reading.detail,
        )  # fmt: skip

    def hold(self) -> None:
        """Stop where the field is and stay: MultiVu has no such order, so it is told to go to where the field is."""
        with self.link.lock:
            field_T, word = self._field()
            if self._activity(word) is Activity.RAMPING:
                self._order_field(
                    field_T, self.rates_T_per_s[1] if math.isnan(self._rate_T_per_s) else self._rate_T_per_s
                )

    def set_rate(self, rate_A_per_s: float) -> float:
        """Keep the rate (T/s) of the next move until `go` sends it.

        Raises:
            LimitError: MultiVu does not take it; nothing was sent.
        """
        low, high = self.rates_T_per_s
        if not (math.isfinite(rate_A_per_s) and low * (1 - 1e-9) <= rate_A_per_s <= high * (1 + 1e-9)):
            raise LimitError(
                f"{rate_A_per_s * 1e3:g} mT/s is outside {low * 1e3:g} to {high * 1e3:g} mT/s of the {self.model}",
                where=self.name, state="Nothing was sent",
            )  # fmt: skip
        self._rate_T_per_s = rate_A_per_s
        return rate_A_per_s

    def set_target(self, target_A: float) -> float:
        """Keep the target (T) until `go` sends it.

        Raises:
            LimitError: it is not finite or beyond the magnet's range; nothing was sent.
        """
        if not (math.isfinite(target_A) and abs(target_A) <= self.largest_T * (1 + 1e-9)):
            raise LimitError(
                f"{target_A:g} T is outside ±{self.largest_T:g} T of the {self.model}", where=self.name,
                state="Nothing was sent",
            )  # fmt: skip
        self._target_T = target_A
        return target_A

    def go(self) -> None:
        """Start towards the target, and see that it is what MultiVu was asked for.

        Raises:
            DeviceFault: it was not told a target and a rate, refuses them, or says that it was asked for others.
        """
        target_T, rate_T_per_s = self._target_T, self._rate_T_per_s
        if math.isnan(target_T) or math.isnan(rate_T_per_s):
            raise DeviceFault("go without target and rate", where=self.name, state="Nothing was sent")
        with self.link.lock:
            self._order_field(target_T, rate_T_per_s)

    def set_heater(self, on: bool) -> None:
        """Refuse: MultiVu drives its switch heater itself.

        Raises:
            DeviceFault: always.
        """
        raise DeviceFault(
            "MultiVu drives the heater of its switch by itself", where=self.name, state="Nothing was sent"
        )

    # Temperature

    def read_temperature(self) -> float:
        """Measure the temperature at the sample (K).

        Raises:
            DeviceFault: MultiVu's state says that there is none.
            ReplyError: the reply is no temperature.
        """
        kelvin, word = self._reading("TEMP?", "K")
        if word in _BROKEN:
            raise DeviceFault(f"MultiVu says of the temperature: {word}", where=self._where, do="look at MultiVu")
        if not 0.0 < kelvin < 1000.0:
            raise self.reply_error("TEMP?", f"{kelvin:g} K")
        return kelvin

    def set_temperature(self, temperature_K: float, ramp_K_per_min: float | None = None) -> None:
        """Set the target (K), with a rate; without one, with the fastest that MultiVu takes.

        Raises:
            LimitError: target or rate is outside the limits; nothing was sent.
            DeviceFault: MultiVu refuses it, or says that it was asked for another.
        """
        slowest, fastest = self.ramps_K_per_min
        rate = fastest if ramp_K_per_min is None else ramp_K_per_min
        for what, value, low, high, unit in (
            ("temperature", temperature_K, self.temperatures_K[0], self.largest_K, "K"),
            ("ramp", rate, slowest, fastest, "K/min"),
        ):
            if not (math.isfinite(value) and low <= value <= high):
                raise LimitError(
                    f"{what} {value:g} {unit} is outside {low:g} to {high:g} {unit}", where=self.name,
                    state="Nothing was sent",
                )  # fmt: skip
        with self.link.lock:
            self._order("TEMP", f"{temperature_K:.6g},{rate:.6g},0")
            found_K = self.temperature_set_point[0]
        if abs(found_K - temperature_K) > 1e-3 + 1e-5 * temperature_K:
            raise DeviceFault(f"told {temperature_K:g} K, MultiVu says {found_K:g} K", where=self._where)

    def read_heater(self) -> float:
        """Get the heater output, which MultiVu does not tell: not a number."""
        return math.nan

    def heater_off(self) -> None:
        """Refuse: there is no such order.

        Raises:
            DeviceFault: always.
        """
        raise DeviceFault(
            "MultiVu has no order that switches its heater off", where=self.name, state="It goes on regulating",
            do="set a temperature that is safe, or choose Standby in MultiVu",
        )  # fmt: skip

    # Moment

    def start_moment(self) -> None:
        """Begin to wait for the next row that MultiVu's measurement writes.

        Raises:
            ConfigError: station.toml names no data file.
        """
        if self._data is None:
            raise ConfigError(
                "the moment is read from MultiVu's data file, and none is named", where=self.name,
                do='give its path: options = { data_file = "…" }',
            )  # fmt: skip
        self._data.skip()
        self._begun = True

    def read_moment(self) -> MomentReading | None:
        """Get the first row since `start_moment`, or None while there is none.

        Raises:
            ReplyError: the data file cannot be understood; file and line are named.
        """
        row = self._data.next_row() if self._data is not None and self._begun else None
        if row is None:
            return None
        self._begun = False
        flags = () if math.isfinite(row.moment_A_m2) else ("invalid",)
        return MomentReading(
            row.moment_A_m2, row.error_A_m2, row.field_T, row.temperature_K, self.link.answered_s, flags
        )

    # Settings

    @property
    def field_set_point(self) -> tuple[float, float]:
        """Get the field asked for last (T) and its rate (T/s); not a number where MultiVu cannot say it."""
        if not self.tells_field_set_point:
            return math.nan, math.nan
        oersted, rate, *_ = self._numbers("FIELD_SETPOINTS?", 4)
        return oersted / _OE_PER_T, rate / _OE_PER_T

    @property
    def temperature_set_point(self) -> tuple[float, float]:
        """Get the temperature asked for last (K) and its rate (K/min)."""
        kelvin, rate, _ = self._numbers("TEMP_SETPOINTS?", 3)
        return kelvin, rate

    @property
    def chamber(self) -> str:
        """Get the state of the sample chamber (no unit), in MultiVu's words."""
        return self._reading("CHAMBER?", "")[1]

    def set_chamber(self, order: str) -> None:
        """Start a chamber operation: `seal`, `purge and seal`, `vent and seal` and so on.

        Raises:
            LimitError: there is no such operation; nothing was sent.
            DeviceFault: MultiVu refuses it.
        """
        if order not in _CHAMBER_ORDERS:
            raise LimitError(
                f"{order!r} is no chamber operation", where=self.name, state="Nothing was sent",
                do=f"one of {', '.join(_CHAMBER_ORDERS)}",
            )  # fmt: skip
        self._order("CHAMBER", str(_CHAMBER_ORDERS.index(order)))

    @property
    def _where(self) -> str:
        return f"{self.name} ({self.link.address})"

    def _field(self) -> tuple[float, str]:
        oersted, word = self._reading("FIELD?", "Oe")
        return oersted / _OE_PER_T, word

    @staticmethod
    def _activity(word: str) -> Activity:
        return _ACTIVITIES.get(word, Activity.FAULT)

    def _order_field(self, field_T: float, rate_T_per_s: float) -> None:
        oersted = field_T * _OE_PER_T + 0.0
        self._order("FIELD", f"{oersted:.3f},{rate_T_per_s * _OE_PER_T:.4f},{APPROACHES.index(self.approach)},1")
        if self.tells_field_set_point and abs(self.field_set_point[0] * _OE_PER_T - oersted) > 0.01:
            raise DeviceFault(
                f"told {field_T:+.5f} T, MultiVu says that it was asked for {self.field_set_point[0]:+.5f} T",
                where=self._where, do="look at MultiVu: somebody may work there",
            )  # fmt: skip

    def _order(self, action: str, query: str) -> None:
        result = self._client.ask(action, query)
        if result != f"{action} Command Received":
            raise ReplyError(f"{action} {query} was answered {result!r}", where=self._where)

    def _reading(self, action: str, unit: str) -> tuple[float, str]:
        """Number and state word of a query; the number must be one, in the unit expected."""
        result = self._client.ask(action)
        match = _READING.fullmatch(result)
        if match is None or (unit and match[2].strip() != unit):
            raise ReplyError(f"{action} was answered {result!r}", where=self._where)
        return strict_float(match[1]), match[3]

    def _numbers(self, action: str, count: int) -> list[float]:
        result = self._client.ask(action)
        match = _SETPOINTS.fullmatch(result.strip())
        parts = match[1].split(",") if match else []
        if len(parts) != count:
            raise ReplyError(f"{action} was answered {result!r}", where=self._where)
        return [strict_float(part) for part in parts]


class MPMS3(MultiVu):
    """A SQUID magnetometer to 7 T. It cannot say what field it was asked for."""

    model: ClassVar[str] = "MPMS3"
    twin: ClassVar[str] = "remanence.simulators.multivu:MPMS3"
    largest_T: ClassVar[float] = 7.0
    rates_T_per_s: ClassVar[tuple[float, float]] = (1e-4, 0.07)
    ramps_K_per_min: ClassVar[tuple[float, float]] = (0.01, 50.0)
    tells_field_set_point: ClassVar[bool] = False
    settings_table: ClassVar[tuple[str, ...]] = ("temperature_set_point", "chamber")


class PPMS(MultiVu):
    """A PPMS; its 14 and 16 T magnets need a subclass with another `largest_T`."""

    model: ClassVar[str] = "PPMS"
    twin: ClassVar[str] = "remanence.simulators.multivu:PPMS"
    rates_T_per_s: ClassVar[tuple[float, float]] = (1e-4, 0.02)


class DynaCool(MultiVu):
    """A cryogen-free PPMS."""

    model: ClassVar[str] = "DynaCool"
    twin: ClassVar[str] = "remanence.simulators.multivu:DynaCool"


class VersaLab(MultiVu):
    """A 3 T instrument from 50 K up."""

    model: ClassVar[str] = "VersaLab"
    twin: ClassVar[str] = "remanence.simulators.multivu:VersaLab"
    largest_T: ClassVar[float] = 3.0
    rates_T_per_s: ClassVar[tuple[float, float]] = (1e-5, 0.03)
    temperatures_K: ClassVar[tuple[float, float]] = (50.0, 400.0)
