"""Lake Shore 350 temperature controller.

Wire facts: the 335/336/350 family as QCoDeS, pymeasure and ISIS drive it. There is no error reply: a bad query is
simply not answered and a bad setting is lost, so what matters is read back. The heater's range and its PID follow
the set point through the instrument's own zone table, which goes on working in the middle of a ramp.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from ..core.errors import ConfigError, DeviceFault, LimitError, ReplyError
from .driver import Driver, strict_float
from .link import Link

_INPUTS = ("A", "B", "C", "D")
_RANGES = 5
# Outside this a reading is suspicious, and the instrument is asked what it thinks of it.
_COLDEST_K, _HOTTEST_K = 0.3, 500.0
# Ramp rates of the 335/336/350 (K/min); 0 would mean a step.
_SLOWEST_RAMP, _FASTEST_RAMP = 0.1, 100.0
_ZONE_MODE = 2
_STATUS = {
    1: "invalid reading", 2: "old reading", 16: "temperature under range", 32: "temperature over range",
    64: "sensor units zero", 128: "sensor units over range",
}  # fmt: skip

Zone = tuple[float, int, float, float, float]
# Up to this set point (K): range of output 1, P, I (1/1000 s), D (s). Found on a 0.3 kg copper block behind 20 mW/K:
# a rig with other masses wants its own, as the option `zones` in station.toml.
ZONES: tuple[Zone, ...] = (
    (3.0, 2, 10.0, 1000.0, 0.0),
    (6.0, 3, 5.0, 1000.0, 0.0),
    (12.0, 3, 20.0, 200.0, 0.0),
    (30.0, 4, 20.0, 75.0, 0.0),
    (60.0, 4, 100.0, 70.0, 0.0),
    (100.0, 4, 100.0, 40.0, 0.0),
    (400.0, 5, 30.0, 60.0, 0.0),
)


class Model350(Driver):
    """A 350 whose `control_input` closes the loop on `output`, and whose `sample_input` is the sample's thermometer.

    `zones` are rows of (up to this K, range, P, I, D). Without any (`zones = []`) mode, range and PID stay as they
    were set at the instrument. Nothing above `largest_K` is accepted.
    """

    model: ClassVar[str] = "Model350"
    write_end: ClassVar[str] = "\r\n"
    read_end: ClassVar[str] = "\r\n"
    pause_s: ClassVar[float] = 0.05
    settings_table: ClassVar[tuple[str, ...]] = (
        "set_point", "ramp", "heater_range", "pid", "mode", "heater_setup", "sample_name", "sample_type",
        "sample_curve", "control_name", "control_type", "control_curve", "control_limit",
    )  # fmt: skip

    def __init__(
        self,
        link: Link,
        name: str = "",
        *,
        sample_input: str = "B",
        control_input: str = "A",
        output: int = 1,
        largest_K: float = 310.0,
        zones: Sequence[Sequence[float]] = ZONES,
    ) -> None:
        super().__init__(link, name)
        for letter in (sample_input, control_input):
            if letter not in _INPUTS:
                raise ConfigError(f"input {letter!r} is not one of A, B, C, D", where=self.name)
        if output not in (1, 2):
            raise ConfigError(f"output {output!r} has no heater: only 1 and 2 have", where=self.name)
        if not 0 < largest_K <= _HOTTEST_K:
            raise ConfigError(
                f"largest_K must be positive and at most {_HOTTEST_K:g}, not {largest_K!r}", where=self.name
            )
        self.sample_input, self.control_input, self.output = sample_input, control_input, output
        self.largest_K = largest_K
        self.zones = _checked(zones, self.name)
        self._zones_written = False

    # The capability

    def read_temperature(self) -> float:
        """Measure the temperature at the sample (K).

        Raises:
            DeviceFault: the instrument says why the reading is not one.
            ReplyError: the reading is outside 0.3 to 500 K, and the instrument finds nothing wrong with it.
        """
        return self._read_kelvin(self.sample_input)

    def read_control_temperature(self) -> float:
        """Measure the temperature that the loop controls (K)."""
        return self._read_kelvin(self.control_input)

    def set_temperature(self, temperature_K: float, ramp_K_per_min: float | None = None) -> None:
        """Set the loop's target (K): in one step, or with a ramp from where the block is now.

        Raises:
            LimitError: target or ramp is not finite or outside the limits; nothing was sent.
            ReplyError: the heater's range was not taken.
        """
        self._check("temperature", temperature_K, _COLDEST_K, self.largest_K, "K")
        if ramp_K_per_min is not None:
            self._check("ramp", ramp_K_per_min, _SLOWEST_RAMP, _FASTEST_RAMP, "K/min")
        zone = next((row for row in self.zones if temperature_K <= row[0]), None)
        if self.zones and zone is None:
            raise LimitError(f"{temperature_K:g} K is above the last zone", where=self.name, state="Nothing was sent")
        start_K = None if ramp_K_per_min is None else self.read_control_temperature()
        with self.link.lock:
            self.write(f"RAMP {self.output},0,0")
            if start_K is not None:
                # A ramp starts at the set point, wherever that was left: bring it to where the block is.
                self.write(f"SETP {self.output},{start_K:.4f}")
                self.write(f"RAMP {self.output},1,{ramp_K_per_min:.3f}")
            if zone is not None:
                self._use_zones()
            self.write(f"SETP {self.output},{temperature_K:.4f}")
            if zone is not None:
                self._use_range(zone if start_K is None else self._zone_at(start_K))

    def read_heater(self) -> float:
        """Measure the heater output as a fraction of its range, 0..1."""
        return self.ask_float(f"HTR? {self.output}") / 100.0

    def heater_off(self) -> None:
        """Switch the heater off and read it back.

        Raises:
            DeviceFault: the range reads back as on.
        """
        self.write(f"RANGE {self.output},0")
        if (found := self.heater_range) != 0:
            raise DeviceFault(
                "the heater does not switch off",
                where=self._where(),
                state=f"Its range is {found}",
                do="press ALL OFF at the instrument",
            )

    # Settings

    @property
    def set_point(self) -> float:
        """Get the present set point (K); it follows a ramp."""
        return self.ask_float(f"SETP? {self.output}")

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
        """Get the heater's range (no unit): 0 is off, 5 the highest."""
        return int(self.ask_float(f"RANGE? {self.output}"))

    @property
    def pid(self) -> tuple[float, float, float]:
        """Get P (no unit), I (1/1000 s) and D (s) in force now."""
        p, i, d = self._fields(f"PID? {self.output}", 3)
        return p, i, d

    @property
    def mode(self) -> str:
        """Get mode, input and power-up state of the output (no unit), as `2,1,0`."""
        return self.ask(f"OUTMODE? {self.output}").strip()

    @property
    def heater_setup(self) -> str:
        """Get the heater's set-up as the instrument says it: resistance code and current limit (A)."""
        return self.ask(f"HTRSET? {self.output}").strip()

    @property
    def sample_name(self) -> str:
        """Get the name of the sample's input (no unit)."""
        return self.ask(f"INNAME? {self.sample_input}").strip()

    @property
    def sample_type(self) -> str:
        """Get the sensor type of the sample's input (no unit), as the instrument codes it."""
        return self.ask(f"INTYPE? {self.sample_input}").strip()

    @property
    def sample_curve(self) -> int:
        """Get the number of the sample's calibration curve (no unit)."""
        return int(self.ask_float(f"INCRV? {self.sample_input}"))

    @property
    def control_name(self) -> str:
        """Get the name of the control input (no unit)."""
        return self.ask(f"INNAME? {self.control_input}").strip()

    @property
    def control_type(self) -> str:
        """Get the sensor type of the control input (no unit), as the instrument codes it."""
        return self.ask(f"INTYPE? {self.control_input}").strip()

    @property
    def control_curve(self) -> int:
        """Get the number of the control input's calibration curve (no unit)."""
        return int(self.ask_float(f"INCRV? {self.control_input}"))

    @property
    def control_limit(self) -> float:
        """Get the temperature at which the instrument switches its heaters off (K); 0 is never."""
        return self.ask_float(f"TLIMIT? {self.control_input}")

    def settings(self) -> dict[str, Any]:
        """The table, and which input and output the driver uses."""
        own = {"sample_input": self.sample_input, "control_input": self.control_input, "output": self.output}
        return super().settings() | own

    # What is sent

    def _use_zones(self) -> None:
        """Write the zone table once, and put the output into zone mode on the control input."""
        if not self._zones_written:
            for number, (top_K, heater_range, p, i, d) in enumerate(self.zones, start=1):
                # The last three: manual output 0 %, the default input, no ramp of its own.
                row = f"{number},{top_K:.4f},{p:.1f},{i:.1f},{d:.1f},0,{heater_range},0,0"
                self.write(f"ZONE {self.output},{row}")
            self._zones_written = True
        self.write(f"OUTMODE {self.output},{_ZONE_MODE},{_INPUTS.index(self.control_input) + 1},0")

    def _use_range(self, zone: Zone) -> None:
        """Switch the heater on: the zone mode only changes the range of a heater that is on."""
        _, heater_range, p, i, d = zone
        self.write(f"PID {self.output},{p:.1f},{i:.1f},{d:.1f}")
        self.write(f"RANGE {self.output},{heater_range}")
        if self.heater_range == 0:
            raise ReplyError(
                f"heater range {heater_range} was not taken",
                where=self._where(),
                state="The heater is off",
                do="look for an open heater or a temperature limit at the instrument",
            )

    def _zone_at(self, kelvin: float) -> Zone:
        return next((row for row in self.zones if kelvin <= row[0]), self.zones[-1])

    def _read_kelvin(self, letter: str) -> float:
        command = f"KRDG? {letter}"
        kelvin = self.ask_float(command)
        if _COLDEST_K <= kelvin <= _HOTTEST_K:
            return kelvin
        status = int(self.ask_float(f"RDGST? {letter}"))
        if status:
            reasons = [text for bit, text in _STATUS.items() if status & bit] or [f"status {status}"]
            raise DeviceFault(
                f"input {letter} has no valid temperature: {', '.join(reasons)}",
                where=self._where(),
                do="check the sensor and its curve",
            )
        raise self.reply_error(command, f"{kelvin:g}")

    def _fields(self, command: str, count: int) -> list[float]:
        reply = self.ask(command)
        try:
            values = [strict_float(text) for text in reply.split(",")]
        except ReplyError as error:
            raise self.reply_error(command, reply) from error
        if len(values) != count:
            raise self.reply_error(command, reply)
        return values

    def _check(self, what: str, value: float, low: float, high: float, unit: str) -> None:
        if not (math.isfinite(value) and low <= value <= high):
            raise LimitError(
                f"{what} {value:g} {unit} is outside {low:g} to {high:g} {unit}",
                where=self.name,
                state="Nothing was sent",
            )

    def _where(self) -> str:
        return f"{self.name} ({self.link.address})"


def _checked(zones: Sequence[Sequence[float]], where: str) -> tuple[Zone, ...]:
    """The zones as rows of five numbers with rising bounds.

    Raises:
        ConfigError: a row is not, or there are more than the instrument's ten.
    """
    rows: list[Zone] = []
    for row in zones:
        if len(row) != 5 or not all(math.isfinite(value) for value in row) or int(row[1]) not in range(1, _RANGES + 1):
            raise ConfigError(
                f"zone {list(row)!r} is not one", where=where, do="write it like [12.0, 3, 20.0, 200.0, 0.0]"
            )
        rows.append((float(row[0]), int(row[1]), float(row[2]), float(row[3]), float(row[4])))
    if len(rows) > 10 or rows != sorted(rows):
        raise ConfigError("zones must rise, and there are ten at most", where=where)
    return tuple(rows)
