"""What all Lake Shore temperature controllers have: inputs with curves, outputs with loops, limits, alarms, relays.

A model says in tables what its settings are and what drives its outputs. For sources see `lakeshore_settings`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..core.errors import ConfigError
from .lakeshore_curves import CurveMemory
from .lakeshore_grammar import NoAnswer
from .lakeshore_settings import SettingsPanel
from .sensors import KINDS, Reading, Sensor, State
from .temperature_loop import TemperatureLoop
from .world import World

# Bits of the operation events, where a model has them: an alarm, a sensor that is over range, a ramp that has ended.
_ALARM, _OVERLOAD, _RAMP_DONE = 1, 2, 4

STATUS_BITS: dict[State, int] = {
    State.VALID: 0, State.OPEN: 128, State.UNITS_OVER: 128, State.ZERO: 64, State.TOO_COLD: 16, State.TOO_HOT: 32,
    State.NO_CURVE: 0,
}  # fmt: skip
INVALID = 1
# What an input says that is off, or has no sensor.
NOTHING = Reading(0.0, 0.0, State.OPEN)


@dataclass(slots=True)
class Input:
    """One sensor input, the number of its curve and its alarms; `sensor` is None where nothing is connected."""

    sensor: Sensor | None
    curve: int = 0
    high_alarm: bool = False
    low_alarm: bool = False


class LakeShore(SettingsPanel):
    """A Lake Shore controller in general; the models below it fill the tables.

    `nodes` says where the sensor of an input is (`block`, `sample`), `sensors` which of `sensors.KINDS` it is, and
    `heated` which outputs have the block's heater of `heater_ohm` connected; the others give into the air.
    """

    inputs_table: ClassVar[tuple[str, ...]] = ("A", "B")
    outputs_table: ClassVar[tuple[str, ...]] = ("1", "2")
    standard_curves: ClassVar[Mapping[int, str]] = {
        1: "DT-470", 2: "DT-670", 6: "PT-100", 8: "RX-102A",
    }  # fmt: skip
    last_curve: ClassVar[int] = 59
    default_nodes: ClassVar[Mapping[str, str]] = {"A": "block", "B": "sample"}
    default_sensors: ClassVar[Mapping[str, str]] = {}
    default_heated: ClassVar[tuple[str, ...]] = ("1",)
    default_heater_ohm: ClassVar[float] = 25.0
    inferred: ClassVar[tuple[str, ...]] = (
        "A command with too many arguments, or with one out of its range, is not done and not answered",
        "Between the breakpoints of a curve the temperature is interpolated in its logarithm",
        "A control input without a valid reading brings the output to 0 % and leaves the range",
        "Serial number and firmware in the answer to *IDN?",
        "A reading that is open, shorted or outside of its curve is answered as 0",
    )

    def __init__(
        self,
        world: World,
        name: str,
        wiring: str = "",
        *,
        nodes: Mapping[str, str] | None = None,
        sensors: Mapping[str, str] | None = None,
        heated: tuple[str, ...] | None = None,
        heater_ohm: float | None = None,
    ) -> None:
        super().__init__(world, name, wiring)
        self.heater_ohm = self.default_heater_ohm if heater_ohm is None else heater_ohm
        self.curves = CurveMemory(self.standard_curves, self.last_curve, self.write)
        self.inputs = self._connect(self.default_nodes if nodes is None else nodes, sensors or {})
        self.loops: dict[str, TemperatureLoop] = self._make_loops()
        self.heated = self.default_heated if heated is None else heated
        self._queries, self._orders = self._query_table(), self._order_table()
        self._limited: tuple[tuple[Input, float], ...] = ()
        self._armed = False
        self.reset()
        world.cryostat.attach(self._tick)

    def sensor(self, input_name: str) -> Sensor:
        """The thermometer at an input, for a fault schedule: `panel.sensor("A").fault = Fault.OPEN`.

        Raises:
            ConfigError: nothing is connected there.
        """
        found = self.inputs.get(input_name)
        if found is None or found.sensor is None:
            raise ConfigError(f"{self.name} has no sensor at {input_name!r}")
        return found.sensor

    def _changed(self, mnemonic: str, key: str) -> None:
        """A setting was ordered: let what hangs on it follow."""
        if mnemonic == "TLIMIT":
            limits = ((name, self.number("TLIMIT", name)) for name in self.inputs)
            self._limited = tuple((self.inputs[name], kelvin) for name, kelvin in limits if kelvin > 0.0)
        elif mnemonic == "ALARM":
            self._armed = any(self.number("ALARM", name) for name in self.inputs)

    def _query_table(self) -> dict[str, Callable[[list[str]], str]]:
        own: dict[str, Callable[[list[str]], str]] = {
            "KRDG": lambda a: self.write(self.read(self._input(a), units=False).kelvin),
            "CRDG": lambda a: self.write(self._celsius(self.read(self._input(a), units=False))),
            "SRDG": lambda a: self.write(self.read(self._input(a)).units),
            "RDGST": lambda a: f"{self.reading_status(self._input(a)):03d}",
            "INCRV": lambda a: f"{self.inputs[self._input(a)].curve:02d}", "CRVHDR": self.curves.header,
            "CRVPT": self.curves.point, "ALARMST": self._alarm_state,
            "RELAYST": self._relay_state, "KEYST": lambda _: "0",
            "OPST": lambda _: f"{self._operation_now():03d}", "OPSTR": lambda _: self._take_operation(),
        }  # fmt: skip
        return super()._query_table() | own

    def _order_table(self) -> dict[str, Callable[[list[str]], None]]:
        own: dict[str, Callable[[list[str]], None]] = {
            "INCRV": self._set_curve, "CRVHDR": self.curves.store_header, "CRVPT": self.curves.store_point,
            "CRVDEL": self._delete_curve, "ALMRST": lambda _: self._forget_alarms(),
        }  # fmt: skip
        return super()._order_table() | own

    def reset(self) -> None:
        """All settings as they left the factory, the heaters off."""
        super().reset()
        self._limited, self._armed = (), False
        self._forget_alarms()
        for loop in self.loops.values():
            loop.range = 0
            loop.set_point.ramp(False, 0.0)
            loop.set_point.aim(0.0)
        for mnemonic, held in self._held.items():
            for key in held:
                self._changed(mnemonic, key)

    def restart(self) -> None:
        """Latched alarms are gone."""
        super().restart()
        self._forget_alarms()

    # Inputs

    def _connect(self, nodes: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, Input]:
        inputs: dict[str, Input] = {}
        for name in self.inputs_table:
            if name not in nodes:
                inputs[name] = Input(None)
                continue
            kind = kinds.get(name) or self.default_sensors.get(name, "CX-1030")
            if kind not in KINDS or nodes[name] not in ("block", "sample"):
                raise ConfigError(
                    f"{self.name}: no sensor {kind!r} at {nodes[name]!r}",
                    do=f"sensors are {', '.join(KINDS)}, places block and sample",
                )
            noise = self.world.stream(f"thermometer {self.name} {name}")
            found = next((number for number, known in self.standard_curves.items() if known == kind), 0)
            sensor = Sensor(self.world, nodes[name], kind, noise)
            inputs[name] = Input(sensor, found or self.curves.put(sensor.kind.curve))
        return inputs

    def _input(self, arguments: list[str]) -> str:
        if len(arguments) != 1 or (name := arguments[0].upper()) not in self.inputs:
            raise NoAnswer
        return name

    def enabled(self, _name: str) -> bool:
        """Whether an input that has a sensor is switched on."""
        return True

    def read(self, name: str, noisy: bool = True, units: bool = True) -> Reading:
        """What an input reads now; without noise for the loop, whose own filter nobody sees."""
        found = self.inputs[name]
        if found.sensor is None or not self.enabled(name):
            return NOTHING
        return found.sensor.read(self.curves.at(found.curve), noisy, units)

    def reading_status(self, name: str) -> int:
        """The bits of RDGST?."""
        found = self.inputs[name]
        if found.sensor is None or not self.enabled(name):
            return INVALID
        return STATUS_BITS[self.read(name, noisy=False).state]

    def control_K(self, name: str) -> float | None:
        """The temperature that a loop may use, or None."""
        if name not in self.inputs:
            return None
        reading = self.read(name, noisy=False, units=False)
        return reading.kelvin if reading.state is State.VALID else None

    def _celsius(self, reading: Reading) -> float:
        return reading.kelvin - 273.15 if reading.state is State.VALID else 0.0

    def _set_curve(self, arguments: list[str]) -> None:
        """INCRV: a curve that is empty, or in the units of another sort of sensor, becomes none."""
        if len(arguments) != 2:
            raise NoAnswer
        found = self.inputs[self._input(arguments[:1])]
        chosen = self.curves.number(arguments[1:], 0)
        found.curve = chosen if found.sensor and self.curves.fits(chosen, found.sensor.kind.curve) else 0

    def _delete_curve(self, arguments: list[str]) -> None:
        chosen = self.curves.delete(arguments)
        for found in self.inputs.values():
            found.curve = 0 if found.curve == chosen else found.curve

    # Loops

    def _make_loops(self) -> dict[str, TemperatureLoop]:
        return {}

    def _tick(self, block_K: float, step_s: float) -> float:
        """Let the loops pass `step_s` and give the power of those that heat the block; called by the laboratory."""
        power_W = 0.0
        for key, loop in self.loops.items():
            if loop.range or loop.percent or loop.set_point.moving:
                moved = loop.set_point.moving
                given_W = loop.heat(block_K, step_s)
                if moved and not loop.set_point.moving:
                    self._operation |= _RAMP_DONE
                if key in self.heated:
                    power_W += given_W
        if self._armed and step_s > 0.0:
            self._watch()
        return power_W

    def too_hot(self) -> bool:
        """Whether an input is above its temperature limit: that switches all outputs off."""
        for found, limit_K in self._limited:
            if found.sensor is not None:
                reading = found.sensor.read(self.curves.at(found.curve), noisy=False, units=False)
                if reading.state is State.TOO_HOT or reading.kelvin > limit_K:
                    return True
        return False

    # Alarms and status

    def alarm_values(self, name: str) -> tuple[float, float, float, bool]:
        """High and low value, dead band and latch of an alarm."""
        _, high, low, band, latch, *_ = self.numbers("ALARM", name)
        return high, low, band, bool(latch)

    def _watch(self) -> None:
        for name, found in self.inputs.items():
            if found.sensor is None or not self.number("ALARM", name):
                continue
            high, low, band, latch = self.alarm_values(name)
            kelvin = self.read(name, noisy=False).kelvin
            found.high_alarm = kelvin > high or (found.high_alarm and (latch or kelvin > high - band))
            found.low_alarm = kelvin < low or (found.low_alarm and (latch or kelvin < low + band))
            if found.high_alarm or found.low_alarm:
                self._operation |= _ALARM

    def _alarm_state(self, arguments: list[str]) -> str:
        if self._armed:
            self._watch()
        found = self.inputs[self._input(arguments)]
        return f"{found.high_alarm:d},{found.low_alarm:d}"

    def _forget_alarms(self) -> None:
        for found in self.inputs.values():
            found.high_alarm = found.low_alarm = False

    def _relay_state(self, arguments: list[str]) -> str:
        """RELAYST?; a relay is off (0), on (1), or with the low (0), the high (1) or any (2) alarm of an input."""
        if len(arguments) != 1 or arguments[0] not in self._held["RELAY"]:
            raise NoAnswer
        return f"{self.relay_on(arguments[0]):d}"

    def relay_on(self, key: str) -> bool:
        """Whether a relay is closed."""
        mode, name, sort = self.held("RELAY", key)
        found = self.inputs.get(str(name))
        if mode != 2.0 or found is None:
            return mode == 1.0
        return (found.low_alarm and sort != 1.0) or (found.high_alarm and sort != 0.0)

    def _operation_now(self) -> int:
        if "OPSTE" not in self._settings:
            raise NoAnswer
        alarm = any(found.high_alarm or found.low_alarm for found in self.inputs.values())
        over = any(self.reading_status(name) & 128 for name in self.inputs)
        still = bool(self.loops) and not any(loop.set_point.moving for loop in self.loops.values())
        return _ALARM * alarm | _OVERLOAD * over | _RAMP_DONE * still

    def _take_operation(self) -> str:
        self._operation_now()
        events, self._operation = self._operation, 0
        return f"{events:03d}"
