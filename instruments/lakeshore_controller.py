"""What all Lake Shore temperature controllers share: two thermometers, a loop with zones and ramps, and a heater.

A model says what it has and how it words it; the order in which a loop is set is here, once, so that no line that is
lost on its way leaves a heater on with a set point of another time.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..core.capabilities import LoopReading
from ..core.errors import ConfigError, DeviceFault, LimitError
from .driver import strict_float, strict_int
from .lakeshore_wire import LakeShoreWire, alike
from .lakeshore_zones import Zone, checked_zones
from .link import Link


class LakeShoreController(LakeShoreWire):
    """A controller whose `control_input` closes the loop on `output`; `sample_input` is the sample's thermometer.

    `zones` are rows of (up to this K, range, P, I, D). Without any (`zones = []`) mode, range and PID stay as they were
    set at the instrument. Nothing above `largest_K` is accepted. Left alone, a loop goes on regulating: `make_safe`
    does nothing, for a cryostat that is let go warms or boils; only `heater_off` switches off.
    """

    # What a model says of itself
    inputs: ClassVar[tuple[str, ...]] = ("A", "B")
    outputs: ClassVar[tuple[int, ...]] = (1,)
    standard_zones: ClassVar[tuple[Zone, ...]] = ()
    ranges: ClassVar[int] = 3
    p_limits: ClassVar[tuple[float, float]] = (0.1, 1000.0)
    i_limits: ClassVar[tuple[float, float]] = (0.0, 1000.0)
    d_limits: ClassVar[tuple[float, float]] = (0.0, 200.0)
    # The finest step of P, I and D.
    pid_steps: ClassVar[tuple[float, float, float]] = (0.1, 0.1, 0.1)
    # The last digit in which a set point is told.
    last_digit_K: ClassVar[float] = 1e-3
    # Slowest, fastest and finest ramp (K/min); 0 would mean a step.
    ramp_limits: ClassVar[tuple[float, float, float]] = (0.1, 100.0, 0.01)
    # For so long after an order SETP? may tell the set point before it (a warning in QCoDeS's drivers).
    set_point_lag_s: ClassVar[float] = 0.0

    settings_table: ClassVar[tuple[str, ...]] = ("set_point", "ramp", "heater_range", "pid", "heater_status")

    def __init__(
        self,
        link: Link,
        name: str = "",
        *,
        sample_input: str = "B",
        control_input: str = "A",
        output: int = 1,
        largest_K: float = 310.0,
        zones: Sequence[Sequence[float]] | None = None,
    ) -> None:
        super().__init__(link, name)
        for letter in (sample_input, control_input):
            if letter not in self.inputs:
                raise ConfigError(f"input {letter!r} is not one of {', '.join(self.inputs)}", where=self.name)
        if output not in self.outputs:
            known = " and ".join(str(number) for number in self.outputs)
            raise ConfigError(f"output {output!r} has no heater: only {known} may be used", where=self.name)
        if not self.coldest_K < largest_K <= self.hottest_K:
            raise ConfigError(
                f"largest_K must be above {self.coldest_K:g} and at most {self.hottest_K:g}, not {largest_K!r}",
                where=self.name,
            )
        self.sample_input, self.control_input, self.output = sample_input, control_input, output
        self.largest_K = largest_K
        self.zones = checked_zones(
            self._default_zones() if zones is None else zones, ranges=self._ranges(), largest_K=largest_K,
            p=self.p_limits, i=self.i_limits, d=self.d_limits, steps=self.pid_steps, where=self.name,
        )  # fmt: skip
        self._zones_written = False
        self._queries = self._wording()
        # A set point that is still to be read back: the lowest and highest it may be, and from when (s).
        self._unread: tuple[float, float, float] | None = None

    # The capability

    def read_temperature(self) -> float:
        """Measure the temperature at the sample (K).

        Raises:
            DeviceFault: the instrument says why the reading is not one, or a set point told before was not taken.
            ReplyError: the reply is no temperature, and the instrument finds nothing wrong with it.
        """
        kelvin = self._read_kelvin(self.sample_input)
        if self._unread is not None and self.link.answered_s >= self._unread[2]:
            self._confirm()
        return kelvin

    def read_control_temperature(self) -> float:
        """Measure the temperature that the loop controls (K)."""
        return self._read_kelvin(self.control_input)

    def set_temperature(self, temperature_K: float, ramp_K_per_min: float | None = None) -> None:
        """Set the loop's target (K): in one step, or with a ramp from where the block is now.

        Raises:
            LimitError: target or ramp is not finite or outside the limits, the instrument's own included; nothing was
                set.
            DeviceFault: the loop's units are not kelvin, or an order was not taken.
        """
        self._check("temperature", temperature_K, self.coldest_K, self.largest_K, "K")
        if ramp_K_per_min is not None:
            self._check_ramp(ramp_K_per_min)
        with self.link.lock:
            self._check_instrument(temperature_K)
            start_K = None if ramp_K_per_min is None else self.read_control_temperature()
            if self.zones:
                self._write_zones()
                self._close_loop()
            self._aim(temperature_K, start_K, ramp_K_per_min)
            if self.zones:
                self._heat(self._zone_at(temperature_K if start_K is None else start_K))

    def read_heater(self) -> float:
        """Measure the heater output as a fraction of its range, 0..1."""
        return self.ask_float(self._queries["heater"]) / 100.0

    def heater_off(self) -> None:
        """Switch the heater off and read it back.

        Raises:
            DeviceFault: the range reads back as on.
        """
        self.write(self._range_order(0))
        if (found := self.heater_range) != 0:
            raise DeviceFault(
                "the heater does not switch off",
                where=self._where(),
                state=f"Its range is {found}",
                do="press ALL OFF at the instrument",
            )

    def read_loop(self) -> LoopReading:
        """Measure control temperature, set point and heater of one instant; a bad sensor is told in `fault`.

        Raises:
            ReplyError: the reply is not what was asked.
        """
        ask = self._queries
        line = f"{self._reading_query(self.control_input)};{ask['set_point']};{ask['heater']};{ask['range']}"
        reply = self.ask(line)
        parts = reply.split(";")
        try:
            kelvin, status, set_point_K, percent, heater_range, *more = (
                strict_int(text) if place in (1, 4) else strict_float(text) for place, text in enumerate(parts)
            )
        except ValueError as error:
            raise self.reply_error(line, reply) from error
        fault = self._fault_of(int(status)) or self._blind()
        if more or not (fault or self.coldest_K <= kelvin <= self.hottest_K):
            raise self.reply_error(line, reply)
        return LoopReading(
            self.link.answered_s, math.nan if fault else kelvin, set_point_K, percent / 100.0, heater_range > 0, fault
        )

    def make_safe(self) -> None:
        """Leave the loop as it is: a temperature that is held is safe, one that is let go is not."""

    def check_identity(self) -> str:
        """Get the identity; whatever was set before may be lost, so the zones are written anew with the next target.

        Raises:
            ReplyError: something else answers at this address.
        """
        self._zones_written = False
        return super().check_identity()

    # Settings

    @property
    def set_point(self) -> float:
        """Get the present set point (K); it follows a ramp."""
        return self.ask_float(self._queries["set_point"])

    @property
    def ramp(self) -> tuple[bool, float]:
        """Get whether set points are ramped, and the rate (K/min)."""
        on, rate = self._fields(f"RAMP? {self.output}", 2)
        return on == 1, rate

    @property
    def ramping(self) -> bool:
        """Get whether the set point moves now (no unit)."""
        return self.ask_float(f"RAMPST? {self.output}") == 1

    @property
    def heater_range(self) -> int:
        """Get the heater's range (no unit): 0 is off."""
        return int(self.ask_float(self._queries["range"]))

    @property
    def heater_status(self) -> int:
        """Get what the instrument finds at its heater (no unit), as its code: 0 is nothing wrong."""
        return int(self.ask_float(self._queries["heater_status"]))

    @property
    def pid(self) -> tuple[float, float, float]:
        """Get P (no unit), I (1/1000 s) and D (s) in force now."""
        p, i, d = self._fields(f"PID? {self.output}", 3)
        return p, i, d

    def set_pid(self, p: float, i: float, d: float) -> None:
        """Set P (no unit), I (1/1000 s) and D (s) of the loop, and read them back; a zone's own ones overrule them.

        Raises:
            LimitError: one is outside of what the instrument takes; nothing was sent.
            DeviceFault: they read back as others.
        """
        limits = (self.p_limits, self.i_limits, self.d_limits)
        for what, value, (low, high), step in zip("PID", (p, i, d), limits, self.pid_steps, strict=True):
            self._check(what, value, low, high, "")
            self._check_step(what, value, step, "")
        order = f"PID {self.output},{self._pid_text(p, i, d)}"
        self._put(order, f"PID? {self.output}", [float(text) for text in self._pid_text(p, i, d).split(",")])

    def set_heater_range(self, heater_range: int) -> None:
        """Set the heater's range, for a loop without zones, and read it back.

        Raises:
            LimitError: the instrument has no such range; nothing was sent.
            DeviceFault: it was not taken, or the heater is open or shorted.
        """
        if heater_range not in range(self._ranges() + 1):
            raise LimitError(f"there is no range {heater_range!r}", where=self.name, state="Nothing was sent")
        self.write(self._range_order(heater_range))
        self._check_heater(heater_range, exact=True)

    def settings(self) -> dict[str, Any]:
        """The table, and which inputs and output the driver uses."""
        own = {"sample_input": self.sample_input, "control_input": self.control_input, "output": self.output}
        return super().settings() | own

    # What differs in wording

    def _wording(self) -> Mapping[str, str]:
        """The queries that the models word differently."""
        output = self.output
        return {
            "set_point": f"SETP? {output}", "heater": f"HTR? {output}", "range": f"RANGE? {output}",
            "heater_status": f"HTRST? {output}",
        }  # fmt: skip

    def _range_order(self, heater_range: int) -> str:
        return f"RANGE {self.output},{heater_range}"

    def _pid_text(self, p: float, i: float, d: float) -> str:
        return f"{p:.1f},{i:.1f},{d:.1f}"

    def _kelvin_text(self, kelvin: float) -> str:
        return f"{kelvin:.4f}"

    def _ranges(self) -> int:
        """The highest range of the output in use."""
        return self.ranges

    def _default_zones(self) -> tuple[Zone, ...]:
        return self.standard_zones

    def _zone_row(self, zone: Zone) -> str:
        """A zone's fields after its number; these end with manual output 0 % and the range."""
        return f"{zone.top_K:.3f},{self._pid_text(*zone[2:])},0,{zone.heater_range}"

    def _check_instrument(self, temperature_K: float) -> None:
        """Refuse what the instrument's own settings forbid: limits, units that are not kelvin."""
        raise NotImplementedError

    def _close_loop(self) -> None:
        """Bring the output into zone mode on the control input, in kelvin, and read that back.

        A loop that is not so yet is changed with its heater off: its set point may be from another time.
        """
        raise NotImplementedError

    # What is sent

    def _aim(self, temperature_K: float, start_K: float | None, ramp_K_per_min: float | None) -> None:
        """Tell the set point. In this order a line that is lost in the middle never steps to a target of before."""
        output, target = self.output, self._kelvin_text(temperature_K)
        if start_K is None or ramp_K_per_min is None:
            self._put(f"SETP {output},{target};RAMP {output},0,0", f"RAMP? {output}", [0.0], first=1)
            self._expect(temperature_K, temperature_K)
            return
        # A ramp starts at the set point, wherever that was left: bring it to where the block is.
        line = f"SETP {output},{self._kelvin_text(start_K)};RAMP {output},0,0;RAMP {output},1,{ramp_K_per_min:g}"
        self._put(line, f"RAMP? {output}", [1.0, ramp_K_per_min])
        self.write(f"SETP {output},{target}")
        self._expect(min(start_K, temperature_K), max(start_K, temperature_K))

    def _expect(self, low_K: float, high_K: float) -> None:
        """Have the set point read back: now, or with a later reading where the instrument needs time to tell it."""
        self._unread = (low_K, high_K, self.link.answered_s + self.set_point_lag_s)
        if not self.set_point_lag_s:
            self._confirm()

    def _confirm(self) -> None:
        if self._unread is None:
            return
        (low_K, high_K, _), self._unread = self._unread, None
        found_K = self.set_point
        slack_K = self.last_digit_K + 1e-5 * high_K
        if not low_K - slack_K <= found_K <= high_K + slack_K:
            wanted = f"{low_K:g} K" if low_K == high_K else f"between {low_K:g} and {high_K:g} K"
            raise DeviceFault(
                f"the set point is {found_K:g} K and should be {wanted}",
                where=self._where(),
                state="The loop goes on at what it has",
                do="look whether somebody sets it at the front, or a limit there holds it; then set it again",
            )

    def _write_zones(self) -> None:
        """Bring the zone table into the instrument once; rows that are there already are left alone."""
        if self._zones_written:
            return
        for number, zone in enumerate(self.zones, start=1):
            query, row = f"ZONE? {self.output},{number}", self._zone_row(zone)
            wanted = [float(text) for text in row.split(",")]
            if not alike(self._some_fields(query), wanted):
                self._put(f"ZONE {self.output},{number},{row}", query, wanted)
        self._zones_written = True

    def _heat(self, zone: Zone) -> None:
        """Switch the heater on: the zone mode only changes the range of a heater that is on."""
        self.write(f"PID {self.output},{self._pid_text(*zone[2:])}")
        self.write(self._range_order(zone.heater_range))
        self._check_heater(zone.heater_range, exact=False)

    def _check_heater(self, heater_range: int, *, exact: bool) -> None:
        """Read the range back and what is found at the heater; in zone mode the range may have changed by itself."""
        found, status = self.heater_range, self.heater_status
        if status:
            raise DeviceFault(
                f"the heater is not as it should be: error {status} (1 is open, 2 a short)",
                where=self._where(),
                state=f"Its range is {found}",
                do="check the heater's wiring, then set the temperature again",
            )
        if found != heater_range if exact else found == 0:
            raise DeviceFault(
                f"heater range {heater_range} was not taken, it is {found}",
                where=self._where(),
                state="The heater is off" if found == 0 else "The heater is on",
                do="look for an open heater or a temperature limit at the instrument",
            )

    def _zone_at(self, kelvin: float) -> Zone:
        return next((zone for zone in self.zones if kelvin <= zone.top_K), self.zones[-1])

    def _blind(self) -> str:
        """Why the loop does not see its thermometer although its status is good; empty if it does."""
        return ""

    def _check_ramp(self, ramp_K_per_min: float) -> None:
        slowest, fastest, step = self.ramp_limits
        self._check("ramp", ramp_K_per_min, slowest, fastest, "K/min")
        self._check_step("ramp", ramp_K_per_min, step, "K/min")
