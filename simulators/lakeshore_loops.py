"""The control loops of Lake Shore's controllers: set point, ramp, PID, manual output, zones and heater ranges."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from ..core.errors import ConfigError
from .lakeshore_grammar import NoAnswer, Setting, Value, integer, number, real, whole
from .lakeshore_panel import LakeShore
from .sensors import Curve
from .temperature_loop import Drive, Gains, TemperatureLoop, Zone

ZONES = 10
_KELVIN, _CELSIUS = 1, 2
_ZERO_CELSIUS_K = 273.15
_HOTTEST_SET_POINT_K = 1000.0


def loop_settings(outputs: tuple[str, ...], ranges: int, pid_form: str = "+07.1f") -> dict[str, Setting]:
    """RAMP, PID, MOUT and ZONE for these outputs (335, 336 and 350; the zone's last two: control input and ramp)."""
    zones = tuple(str(zone) for zone in range(1, ZONES + 1))
    pid = (number(0.1, 1000.0, 50.0, pid_form), number(0.0, 1000.0, 20.0, pid_form), number(0.0, 200.0, 0.0, pid_form))
    tail = (whole(0, 8, 0), number(0.0, 100.0, 0.0, "+06.1f"))
    manual = number(0.0, 100.0, 0.0, "+09.4f")
    return {
        "RAMP": Setting((whole(0, 1, 0), number(0.0, 100.0, 0.0, "+07.2f")), (outputs,)),
        "PID": Setting(pid, (outputs,)), "MOUT": Setting((manual,), (outputs,)),
        "ZONE": Setting((number(0.0, 1000.0, 0.0), *pid, manual, whole(0, ranges, 0), *tail), (outputs, zones)),
    }  # fmt: skip


class LoopController(LakeShore):
    """A controller with loops. A model says what drives an output (`drive`), from which input, in which units.

    `SETP?` follows the ramp. For `set_point_lag_s` after an order it still says the set point before.
    """

    set_point_lag_s: ClassVar[float] = 0.0
    slowest_ramp: ClassVar[float] = 0.1
    knobs: ClassVar[tuple[str, ...]] = ("setpoint", "range", "units", "off", "lock", "local")
    # MODE of local and of remote with lockout; between them is remote.
    local_mode: ClassVar[int] = 0

    def _make_loops(self) -> dict[str, TemperatureLoop]:
        self._told: dict[str, tuple[float, float]] = {}
        self._controlled: dict[str, str] = dict.fromkeys(self.outputs_table, "")
        loops: dict[str, TemperatureLoop] = {}
        for key in self.outputs_table:
            sense, limit = partial(self._sense, key), partial(self.over_limit, key)
            loops[key] = TemperatureLoop(sense, (0.0,), Gains(50.0, 0.02, 0.0), limit)
            # The manual output is added to what the regulator gives (manual of the 331, "manual output").
            loops[key].adds_manual = True
        return loops

    # What a model says

    def drive(self, key: str) -> tuple[Drive, bool]:
        """Where an output comes from, and whether its zones are in force."""
        raise NotImplementedError

    def control_input(self, key: str) -> str:
        """The input that an output is controlled from; empty for none."""
        raise NotImplementedError

    def units(self, key: str) -> int:
        """The units of the set point: 1 kelvin, 2 Celsius, 3 sensor units."""
        raise NotImplementedError

    def powers_W(self, key: str) -> tuple[float, ...]:
        """The full power of each range of an output, from 0 (off)."""
        raise NotImplementedError

    def over_limit(self, _key: str) -> bool:
        """Whether a temperature limit switches the output off."""
        return self.too_hot()

    def stays_on(self, key: str) -> bool:
        """Whether an output that was on is on again after the mains were away."""
        raise NotImplementedError

    # What a person and the mains do

    def restart(self) -> None:
        """Heaters go off unless their power-up is enabled; a ramp ends where it was."""
        super().restart()
        self._told = {}
        for key, loop in self.loops.items():
            loop.set_point.hold()
            loop.pid.integral_percent = 0.0
            if not self.stays_on(key):
                loop.change_range(0)
            self._follow(key)
        self.world.cryostat.disturb()

    def turn(self, knob: str, value: str) -> None:
        """`setpoint` and `range` are numbers of the first output, `units` 1 to 3 those of its set point.

        `off` is All Off and `local` the key that ends remote, whatever their value; `lock` wants its code. A keypad
        that is locked takes only `off` and `lock`, in remote also `local`, with local lockout only `off`.
        """
        first = self.outputs_table[0]
        remote = self.number("MODE") - self.local_mode
        if knob == "off":
            for key, loop in self.loops.items():
                loop.change_range(0)
                self._follow(key)
        elif knob == "lock":
            state, code = self.numbers("LOCK")
            if float(value) == code:
                self._held["LOCK"][""] = [1.0 - state, code]
        elif knob == "local":
            if remote == 1:
                self._held["MODE"][""] = [float(self.local_mode)]
        elif not self.number("LOCK") and not remote:
            try:
                if knob == "setpoint":
                    self._set_set_point([first, value])
                elif knob == "units":
                    self.turn_units(first, integer(value, 1, 3))
                    self._follow(first)
                else:
                    self._turn_range(first, value)
            except NoAnswer:
                raise ConfigError(f"{self.name!r} takes no {knob} {value!r}") from None
        self.world.cryostat.disturb()

    def turn_units(self, key: str, code: int) -> None:
        """Let a person change the units of an output's set point."""
        raise NotImplementedError

    def _turn_range(self, first: str, value: str) -> None:
        self._set_range([first, value])

    # The loops

    def _sense(self, key: str) -> float | None:
        return self.control_K(self._controlled[key])

    def _changed(self, mnemonic: str, key: str) -> None:
        super()._changed(mnemonic, key)
        output = key.split(",")[0]
        loop = self.loops.get(output)
        if loop is None:
            return
        if mnemonic == "PID":
            p, i, d = self.numbers("PID", key)
            loop.pid.gains = Gains(p, i / 1000.0, d)
        elif mnemonic == "MOUT":
            loop.manual_percent = self.number("MOUT", key)
        elif mnemonic == "RAMP":
            on, rate = self.numbers("RAMP", key)
            # A rate of 0 is a step (manual of the 336).
            loop.set_point.ramp(bool(on) and rate >= self.slowest_ramp, rate / 60.0)
        elif mnemonic == "ZONE":
            self._use_zones(output)
        self._follow(output)

    def _follow(self, output: str) -> None:
        """Let the loop have what the settings say of mode and power now, and the heater at once its output."""
        loop = self.loops[output]
        loop.powers_W = self.powers_W(output)
        self._controlled[output] = self.control_input(output)
        loop.drive, zoned = self.drive(output)
        if bool(loop.zones) != zoned:
            self._use_zones(output)
        loop.heat(0.0, 0.0)

    def percent(self, key: str) -> float:
        """What an output gives now (%), even while the cryostat sleeps and asks for it seldom."""
        self.loops[key].heat(0.0, 0.0)
        return self.loops[key].percent

    def _use_zones(self, output: str) -> None:
        loop = self.loops[output]
        rows = (
            [self.numbers("ZONE", f"{output},{zone}") for zone in range(1, ZONES + 1)] if self.drive(output)[1] else []
        )
        loop.zones = tuple(self._zone(row) for row in rows)

    def _zone(self, row: tuple[float, ...]) -> Zone:
        top_K, p, i, d, manual, heater_range, *rest = row
        rate = rest[1] if len(rest) > 1 and rest[1] >= self.slowest_ramp else 0.0
        return Zone(top_K, Gains(p, i / 1000.0, d), manual, int(heater_range), rate / 60.0 if rate else None)

    def _query_table(self) -> dict[str, Callable[[list[str]], str]]:
        own: dict[str, Callable[[list[str]], str]] = {
            "SETP": lambda a: self.write(self._set_point(self._output(a))),
            "RAMPST": lambda a: f"{self.loops[self._output(a)].set_point.moving:d}",
            "RANGE": lambda a: str(self.loops[self._output(a)].range),
            "HTR": lambda a: f"{self.percent(self._output(a)):+06.1f}",
            "AOUT": lambda a: f"{self.percent(self._output(a)):+06.1f}",
            "HTRST": lambda a: self._heater_state(self._output(a)),
            "MOUT": lambda a: self._live("MOUT", a, (self.loops[self._output(a)].manual_percent,)),
            "PID": self._pid, "TUNEST": lambda _: "0,0,0,00",
        }  # fmt: skip
        return super()._query_table() | own

    def _order_table(self) -> dict[str, Callable[[list[str]], None]]:
        return super()._order_table() | {"SETP": self._set_set_point, "RANGE": self._set_range}

    def _output(self, arguments: list[str]) -> str:
        if len(arguments) != 1 or (key := arguments[0].lstrip("0") or "0") not in self.loops:
            raise NoAnswer
        return key

    def _pid(self, arguments: list[str]) -> str:
        """The values in force: in zone mode those of the zone."""
        p, i, d = self.loops[self._output(arguments)].pid.gains
        return self._live("PID", arguments, (p, 1000.0 * i, d))

    def _live(self, mnemonic: str, arguments: list[str], values: tuple[Value, ...]) -> str:
        setting = self._settings[mnemonic]
        setting.key(arguments)
        return ",".join(self._shown(field, value) for field, value in zip(setting.fields, values, strict=True))

    def _heater_state(self, key: str) -> str:
        """1: nothing is connected to an output that is on."""
        return "1" if key not in self.heated and self.loops[key].range else "0"

    # Set point and range

    def _curve_of(self, key: str) -> Curve | None:
        found = self.inputs.get(self.control_input(key))
        return self.curves.get(found.curve) if found else None

    def _set_point(self, key: str) -> float:
        """In the loop's units; shortly after an order still the one before it."""
        before_K, until_s = self._told.get(key, (0.0, 0.0))
        kelvin = before_K if self.world.clock.now() < until_s else self.loops[key].set_point.now_K
        unit, curve = self.units(key), self._curve_of(key)
        if unit == _KELVIN:
            return kelvin
        if unit == _CELSIUS:
            return kelvin - _ZERO_CELSIUS_K
        return curve.units(kelvin) if curve and kelvin > 0.0 else 0.0

    def _set_set_point(self, arguments: list[str]) -> None:
        if len(arguments) != 2:
            raise NoAnswer
        key, value = self._output(arguments[:1]), real(arguments[1], -1e6, 1e6)
        unit, curve = self.units(key), self._curve_of(key)
        if unit == _CELSIUS:
            value += _ZERO_CELSIUS_K
        elif unit != _KELVIN and curve:
            value = curve.kelvin(value)
        if not 0.0 <= value <= _HOTTEST_SET_POINT_K:
            raise NoAnswer
        loop = self.loops[key]
        if self.set_point_lag_s:
            self._told[key] = loop.set_point.now_K, self.world.clock.now() + self.set_point_lag_s
        loop.set_point.aim(value)
        self._follow(key)

    def _set_range(self, arguments: list[str]) -> None:
        if len(arguments) != 2:
            raise NoAnswer
        key = self._output(arguments[:1])
        loop = self.loops[key]
        loop.change_range(integer(arguments[1], 0, len(loop.powers_W) - 1))
        self._follow(key)

    def reset(self) -> None:
        """All settings as they left the factory, the heaters off."""
        self._told = {}
        super().reset()
