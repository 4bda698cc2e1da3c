"""Front panel of Oxford Instruments' ITC503 temperature controller.

Wire facts: the command list of its manual (as users have extracted it), pymeasure's and QCoDeS contrib's drivers, and
the legacy commands in the Mercury iTC manual. The proportional band is in kelvin, integral and derivative action are in
minutes, the heater is in percent of the largest voltage.
"""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from ..core.errors import ConfigError
from .numerals import finite
from .oxford import OxfordPanel
from .oxford_regulator import gains, sensed
from .oxford_tables import Pointers, Sweep, table
from .sensors import Sensor, State
from .temperature_loop import Drive, TemperatureLoop
from .world import World

_HOTTEST_K = 1677.7
_LARGEST_V = 40.0
_MOST_PERCENT = 99.9
_PID_ENTRIES, _TARGETS, _GAS_PARAMETERS = 32, 64, 6
# What the counters behind R11 to R13 show, a quarter of a frequency, is about this at zero.
_IDLE_FREQUENCY = 2500
_HEATER_AUTO_BIT, _GAS_AUTO_BIT = 1, 2
_KELVIN_PER_TARGET = 5.0


class ITC503(OxfordPanel):
    """Sensor 1 is at the block with the heater, sensor 2 at the sample, sensor 3 is not connected.

    `sensors` are their kinds, `heater_ohm` is the heater at its output. It wakes up in local, everything manual.
    """

    model: ClassVar[str] = "ITC503"
    firmware: str = "1.11"
    version: ClassVar[str] = "ITC503 Version {firmware} (c) OXFORD 1997"
    formats: ClassVar[tuple[int, ...]] = (0, 2)
    knobs: ClassVar[tuple[str, ...]] = ("control", "setpoint", "mode", "heater")
    inferred: ClassVar[tuple[str, ...]] = (
        "Temperatures have three decimals below 20 K, two below 200 K, and one above; a set point is kept to 1 mK.",
        "The regulator's output is a share of the heater's voltage, not of its power; `M` takes volts.",
        "`O` in heater auto, `G` in gas auto and `P`, `I`, `D` in auto-PID are refused with `?`.",
        "A sensor that is broken or not connected reads 0.0, one that is too warm 1677.7; the loop then gives nothing.",
        "The needle valve does nothing to this cryostat; in gas auto it stays where it was. The target voltage is the "
        "entry of its table for each 5 K of set point.",
        "A zero sweep time is a step. After a power cycle PID, tables and set point are as before, the rest is off.",
    )

    def __init__(
        self,
        world: World,
        name: str,
        wiring: str = "",
        *,
        isobus: int = 1,
        sensors: tuple[str, str] = ("CX-1050", "CX-1050"),
        heater_ohm: float = 40.0,
    ) -> None:
        super().__init__(world, name, wiring, isobus=isobus)
        self._sensors = {
            n: Sensor(world, node, kind, world.stream(f"thermometer {name} {n}"))
            for n, (node, kind) in enumerate(zip(("block", "sample"), sensors, strict=True), 1)
        }
        self._heater_ohm, self._limit_V = heater_ohm, _LARGEST_V
        self._control_sensor, self._mode, self._auto_pid = 1, 0, False
        self._pid = (5.0, 1.0, 0.0)
        self._gas_percent = 0.0
        self.loop = TemperatureLoop(self._sense, (0.0, 1.0), gains(*self._pid))
        self._sweep = Sweep(self.loop.set_point)
        self._zones, self._targets = table(_PID_ENTRIES, 4), table(_TARGETS, 1)
        pointers = Pointers()
        tables = {"rs": self._sweep.steps, "qp": self._zones, "tv": self._targets, "dc": table(_GAS_PARAMETERS, 1)}
        self.loop.range, self.loop.drive = 1, Drive.OPEN
        self._readings: dict[int, Callable[[], str]] = {
            0: lambda: _kelvin(self.loop.set_point.now_K), 1: partial(self._temperature, 1),
            2: partial(self._temperature, 2), 3: partial(self._temperature, 3), 4: self._error,
            5: lambda: f"{self._percent():.1f}", 6: lambda: f"{self._heater_V():.1f}",
            7: lambda: f"{self._gas_percent:.1f}", 8: lambda: f"{self._pid[0]:.3f}", 9: lambda: f"{self._pid[1]:.1f}",
            10: lambda: f"{self._pid[2]:.1f}", 11: partial(self._frequency, 1), 12: partial(self._frequency, 2),
            13: partial(self._frequency, 3),
        }  # fmt: skip
        self._queries |= {"m": self._gas_status, "n": self._target, "o": self._valve_scaling}
        self._orders |= {
            "A": self._set_mode, "T": self._set_temperature, "O": self._set_heater, "G": self._set_gas,
            "P": partial(self._set_pid, 0, _HOTTEST_K), "I": partial(self._set_pid, 1, 140.0),
            "D": partial(self._set_pid, 2, 273.0), "H": self._set_sensor, "L": self._set_auto_pid,
            "M": self._set_limit, "S": self._sweep.start, "F": self._show,
            "x": partial(pointers.put, "x"), "y": partial(pointers.put, "y"), "w": self._wipe,
        }  # fmt: skip
        for (reading, writing), values in tables.items():
            self._queries[reading] = partial(pointers.read, values)
            self._orders[writing] = partial(pointers.write, values)
        world.cryostat.attach(self._heat)

    def execute(self, command: str) -> str | None:
        """One command; an order acts from its own instant, and a reading may be a tenth of a second old."""
        setting = self.changes(command)
        self.world.advance(0.0 if setting else 0.1)
        if setting:
            self.world.cryostat.disturb()
        return super().execute(command)

    def sensor(self, input_name: str) -> Sensor:
        """The thermometer 1 or 2, for a fault schedule.

        Raises:
            ConfigError: there is none.
        """
        found = self._sensors.get(int(input_name)) if input_name.isdecimal() else None
        if found is None:
            raise ConfigError(f"{self.name} has no sensor at {input_name!r}")
        return found

    # The loop: the laboratory calls this as its time passes

    def _heat(self, block_K: float, step_s: float) -> float:
        """Advance sweep and loop by `step_s` and give the heater's power (W); with no time, only say what it is."""
        self._sweep.advance(step_s)
        if self._auto_pid:
            self._enter_zone()
        self.loop.heat(block_K, step_s)
        return self._heater_V() ** 2 / self._heater_ohm

    def _sense(self) -> float | None:
        return sensed(self._sensors.get(self._control_sensor))

    def _enter_zone(self) -> None:
        """Take the terms of the first entry whose upper limit is not below the set point."""
        set_K = self.loop.set_point.now_K
        for top_K, *pid in self._zones:
            if top_K and set_K <= top_K:
                self._pid = (pid[0], pid[1], pid[2])
                self.loop.pid.gains = gains(*self._pid)
                return

    def _percent(self) -> float:
        return min(self.loop.percent, _MOST_PERCENT)

    def _heater_V(self) -> float:
        return self._percent() / 100.0 * self._limit_V

    # Readings

    def _read(self, rest: str) -> str | None:
        reading = self._readings.get(int(rest)) if rest.isdecimal() else None
        return None if reading is None else reading()

    def _temperature(self, n: int) -> str:
        sensor = self._sensors.get(n)
        if sensor is None:
            return "0.0"
        reading = sensor.read(sensor.kind.curve)
        if reading.state is State.VALID:
            return _kelvin(reading.kelvin)
        return f"{_HOTTEST_K:.1f}" if reading.state is State.TOO_HOT else "0.0"

    def _error(self) -> str:
        return _kelvin(self.loop.set_point.now_K - float(self._temperature(self._control_sensor)))

    def _frequency(self, n: int) -> str:
        sensor = self._sensors.get(n)
        return str(_IDLE_FREQUENCY + (round(sensor.read(sensor.kind.curve).units) if sensor is not None else 0))

    def _status(self) -> str:
        """`nAnCnSnnHnLn`."""
        return f"0A{self._mode}C{self._control}S{self._sweep.status:02d}H{self._control_sensor}L{int(self._auto_pid)}"

    @property
    def _gas_auto(self) -> bool:
        return bool(self._mode & _GAS_AUTO_BIT)

    def _gas_status(self, rest: str) -> str | None:
        """Bit 4 the sign of the heater's error, bit 3 that of the temperature's."""
        if rest or not self._gas_auto:
            return None
        too_little_V = self._heater_V() < self._target_V()
        return str(16 * too_little_V + 8 * (float(self._error()) < 0.0))

    def _target(self, rest: str) -> str | None:
        return None if rest or not self._gas_auto else f"{self._target_V():.1f}"

    def _valve_scaling(self, rest: str) -> str | None:
        return None if rest or not self._gas_auto else "1"

    def _target_V(self) -> float:
        return self._targets[min(int(self.loop.set_point.now_K / _KELVIN_PER_TARGET), _TARGETS - 1)][0]

    # Orders

    def _set_mode(self, value: float) -> bool:
        if value not in range(4):
            return False
        self._mode = int(value)
        if self._mode & _HEATER_AUTO_BIT:
            self.loop.drive = Drive.CLOSED
        elif self.loop.drive is Drive.CLOSED:
            self.loop.drive, self.loop.manual_percent = Drive.OPEN, self.loop.percent
        return True

    def _set_temperature(self, value: float) -> bool:
        if not 0.0 <= value <= _HOTTEST_K:
            return False
        self.loop.set_point.aim(round(value, 3))
        return True

    def _set_heater(self, value: float) -> bool:
        if not 0.0 <= value <= _MOST_PERCENT or self.loop.drive is Drive.CLOSED:
            return False
        self.loop.manual_percent = self.loop.percent = round(value, 1)
        return True

    def _set_gas(self, value: float) -> bool:
        if not 0.0 <= value <= _MOST_PERCENT or self._gas_auto:
            return False
        self._gas_percent = round(value, 1)
        return True

    def _set_pid(self, which: int, largest: float, value: float) -> bool:
        if not 0.0 <= value <= largest or self._auto_pid:
            return False
        terms = list(self._pid)
        terms[which] = value
        self._pid = (terms[0], terms[1], terms[2])
        self.loop.pid.gains = gains(*self._pid)
        return True

    def _set_sensor(self, value: float) -> bool:
        if value not in (1, 2, 3):
            return False
        self._control_sensor = int(value)
        return True

    def _set_auto_pid(self, value: float) -> bool:
        if value not in (0, 1):
            return False
        self._auto_pid = bool(value)
        return True

    def _set_limit(self, value: float) -> bool:
        if not 0.0 <= value <= _LARGEST_V:
            return False
        # Zero asks for a limit that the instrument chooses; here that is the largest.
        self._limit_V = round(value, 1) or _LARGEST_V
        return True

    def _show(self, value: float) -> bool:
        return value in range(14)

    def _wipe(self, _value: float) -> bool:
        self._sweep.wipe()
        return True

    # What can go wrong with it

    def power_cycle(self) -> None:
        """Heater and gas manual, no sweep, no output."""
        self.world.advance()
        self.world.cryostat.disturb()
        self._wake()
        self._mode, self._sweep.status, self._auto_pid = 0, 0, False
        self.loop.drive, self.loop.manual_percent, self.loop.percent = Drive.OPEN, 0.0, 0.0

    def turn(self, knob: str, value: str) -> None:
        """`control` is local or remote, `setpoint` in K, `mode` as in `A`, `heater` in %; nothing but it in remote."""
        if knob == "control":
            self._turn_control(value)
            return
        if self.remote:
            return
        number = finite(value)
        self.world.advance()
        self.world.cryostat.disturb()
        if number is None or not self._orders[{"setpoint": "T", "mode": "A", "heater": "O"}[knob]](number):
            raise ConfigError(f"{self.name!r} takes no {knob} {value!r}")


def _kelvin(value: float) -> str:
    decimals = 3 if abs(value) < 20.0 else 2 if abs(value) < 200.0 else 1
    return f"{value + 0.0:.{decimals}f}"
