"""Front panel of the Lake Shore 372 AC resistance bridge and temperature controller.

Wire facts: QCoDeS's driver, Lake Shore's own Python package, the ISIS emulator. Sixteen measurement channels behind a
scanner and a control input A; output 0 is the sample heater (eight ranges of current), 1 the warm-up heater, 2 the
still heater. `OUTMODE` has seven fields, and `HTR?` and `PID` may leave out the number of the sample heater.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

from .lakeshore_grammar import NoAnswer, Setting, engineering, integer, number, text, whole, word
from .lakeshore_loops import ZONES, LoopController
from .lakeshore_panel import LakeShore
from .lakeshore_scanner import Scanner
from .sensors import Reading, State
from .temperature_loop import Drive, Gains, TemperatureLoop, Zone

_OFF, _MONITOR, _OPEN, _ZONE, _STILL, _CLOSED, _WARM_UP = range(7)
_CHANNELS = tuple(str(channel) for channel in range(1, 17))
_INPUTS = ("A", *_CHANNELS)
_OUTPUTS = ("0", "1", "2")
_HALF_DECADE = 10.0**0.5
# By number from 1: resistance ranges 2 mΩ to 63.2 MΩ, voltages 2 µV to 632 mV, currents 1 pA to 31.6 mA, those of
# input A 316 pA to 100 nA, and the sample heater's currents 31.6 µA to 100 mA.
_RANGES_ohm = tuple(2e-3 * _HALF_DECADE**n for n in range(22))
_VOLTAGES_V = tuple(2e-6 * _HALF_DECADE**n for n in range(12))
_CURRENTS_A = tuple(1e-12 * _HALF_DECADE**n for n in range(22))
_CONTROL_CURRENTS_A = tuple(316.2e-12 * _HALF_DECADE**n for n in range(6))
_HEATER_A = tuple(31.62e-6 * _HALF_DECADE**n for n in range(8))
_WARM_UP_W, _STILL_W = 10.0, 1.0
# The noise of a cryostat's thermometer is that of this excitation; it goes with one over the voltage.
_USUAL_V = 63.2e-6
_STATUS = {
    State.VALID: 0, State.OPEN: 1, State.ZERO: 32, State.UNITS_OVER: 16 | 8, State.TOO_COLD: 128, State.TOO_HOT: 64,
    State.NO_CURVE: 0,
}  # fmt: skip


def _settings() -> dict[str, Setting]:
    zones = tuple(str(zone) for zone in range(1, ZONES + 1))
    inputs = (_INPUTS,)
    pid = (number(0.0, 1000.0, 10.0, ".6f"), whole(0, 10000, 20), whole(0, 2500, 0))
    alarm = (whole(0, 1, 0), whole(0, 2, 1), number(-1e6, 1e9, 1000.0), number(-1e6, 1e9, 0.0), number(0.0, 1e9, 0.0))
    mode = (whole(0, 6, _OFF), word(("0", *_INPUTS), "1"), whole(0, 1, 0), whole(0, 1, 0), whole(0, 1, 0))
    kind = (whole(0, 1, 0), whole(1, 22, 4), whole(0, 2, 1), whole(0, 22, 13), whole(0, 1, 0), whole(1, 2, 1))
    manual = number(0.0, 100.0, 0.0, "+08.4f")
    return {
        "ALARM": Setting((*alarm, whole(0, 1, 0), whole(0, 1, 0), whole(0, 1, 1)), inputs),
        "ANALOG": Setting((whole(0, 16, 0), whole(1, 2, 1), number(-1e6, 1e6, 1.0), number(-1e6, 1e6, 0.0)), (("2",),)),
        "BEEP": Setting((whole(0, 1, 1),)), "BRIGT": Setting((whole(0, 3, 2),)), "CMR": Setting((whole(0, 1, 1),)),
        "DISPLAY": Setting((whole(0, 2, 0), whole(0, 2, 0), whole(0, 3, 1))),
        "DISPFLD": Setting((word(("0", *_INPUTS), "1"), whole(1, 6, 1)), (tuple("12345678"),)),
        "DOUT": Setting((whole(0, 31, 0, "02.0f"),)), "FREQ": Setting((whole(1, 5, 2),), (("0", "A"),)),
        "FILTER": Setting((whole(0, 1, 1), whole(1, 200, 5, "03.0f"), whole(1, 80, 5, "02.0f")), inputs),
        "HTRSET": Setting(
            (number(1.0, 2000.0, 100.0, "g"), whole(0, 2, 0), number(0.0, 0.64, 0.0, "+06.3f"), whole(1, 2, 2)),
            (("0", "1"),), {"1": (1.0, 2.0, 0.0, 2.0)},
        ),
        "IEEE": Setting((whole(0, 3, 0), whole(0, 1, 0), whole(1, 30, 12, "02.0f"))),
        "INNAME": Setting((text(15),), inputs),
        "INSET": Setting(
            (whole(0, 1, 0), whole(0, 200, 10, "03.0f"), whole(0, 200, 3, "03.0f"), whole(0, 59, 0, "02.0f"),
             whole(0, 2, 1)), inputs,
        ),
        "INTSEL": Setting((whole(0, 2, 1),)), "INTYPE": Setting(kind, inputs, {"A": (1.0, 4.0, 0.0, 0.0, 0.0, 1.0)}),
        "MODE": Setting((whole(0, 2, 0),)), "MONITOR": Setting((whole(0, 7, 0),)),
        "MOUT": Setting((manual,), (_OUTPUTS,)), "OPSTE": Setting((whole(0, 255, 0, "03.0f"),)),
        "OUTMODE": Setting((*mode, whole(0, 255, 0, "03.0f")), (_OUTPUTS,), {"1": (0.0, "A", 0.0, 0.0, 0.0, 0.0)}),
        "PID": Setting(pid, (_OUTPUTS,)), "RAMP": Setting((whole(0, 1, 0), number(0.0, 100.0, 0.0)), (_OUTPUTS,)),
        "RELAY": Setting((whole(0, 4, 0), word(_INPUTS, "1"), whole(0, 2, 2)), (("1", "2"),)),
        "STILL": Setting((number(0.0, 100.0, 0.0, "+07.2f"),)), "TLIMIT": Setting((number(0.0, 1000.0, 0.0),), inputs),
        "WARMUP": Setting((whole(0, 1, 0), number(0.0, 100.0, 0.0, "+07.2f"))),
        "ZONE": Setting(
            (number(0.0, 1000.0, 0.0), *pid, manual, whole(0, 8, 0), number(0.0, 100.0, 0.0), whole(0, 1, 0),
             whole(0, 1, 0)), (("0", "1"), zones),
        ),
    }  # fmt: skip


class Model372(LoopController):
    """Channel 1 and input A are the block, channel 2 is the sample; outputs 0 and 1 heat the block."""

    model: ClassVar[str] = "Model372"
    firmware: str = "1.3"
    identity: ClassVar[str] = "LSCI,MODEL372,372A123/#######,{firmware}"
    inputs_table: ClassVar[tuple[str, ...]] = _INPUTS
    outputs_table: ClassVar[tuple[str, ...]] = _OUTPUTS
    settings_table: ClassVar[Mapping[str, Setting]] = _settings()
    default_nodes: ClassVar[Mapping[str, str]] = {"A": "block", "1": "block", "2": "sample"}
    default_sensors: ClassVar[Mapping[str, str]] = dict.fromkeys(_INPUTS, "CX-1010")
    default_heated: ClassVar[tuple[str, ...]] = ("0", "1")
    default_heater_ohm: ClassVar[float] = 100.0
    set_point_lag_s: ClassVar[float] = 0.5
    slowest_ramp: ClassVar[float] = 0.001
    inferred: ClassVar[tuple[str, ...]] = (
        *LakeShore.inferred,
        "Numbers are written as `±nnn.nnnE±nn`, P with six decimals, I and D as whole numbers",
        "Outputs are per cent of power: of I²R in the sample heater's range, of 10 W and 1 W in the other two",
        "A channel that is switched off or was never scanned says 0 with status 0",
        "An open sensor is CS OVL, a short R. UNDER, more than a fixed range takes VDIF OVL and R. OVER",
        "Noise goes with one over the excitation voltage; excitation does not heat the sensor",
        "The resistances of HTRSET, the filters and the delay of OUTMODE are kept and not used",
        "MODE 0 (local) does not lock out orders over the interface",
    )

    def _make_loops(self) -> dict[str, TemperatureLoop]:
        self._scan_timer = self.world.timer(self._scan)
        return super()._make_loops()

    # Outputs

    def write(self, value: float) -> str:
        """As `±nnn.nnnE±nn`."""
        return engineering(value, 2)

    def drive(self, key: str) -> tuple[Drive, bool]:
        """By OUTMODE."""
        mode = self.number("OUTMODE", key)
        if mode in (_CLOSED, _ZONE):
            return Drive.CLOSED, mode == _ZONE and key != "2"
        return (Drive.OPEN if mode in (_OPEN, _STILL, _WARM_UP) else Drive.OFF), False

    def control_input(self, key: str) -> str:
        """By OUTMODE."""
        return str(self.held("OUTMODE", key)[1])

    def units(self, key: str) -> int:
        """By the preferred units of the control input: kelvin, or ohms."""
        name = self.control_input(key)
        ohms = name in self.inputs and self.numbers("INTYPE", name)[5] == 2
        return 3 if ohms else 1

    def turn_units(self, key: str, code: int) -> None:
        """The preferred units of the control input: kelvin, or ohms."""
        if (name := self.control_input(key)) in self.inputs:
            self.held("INTYPE", name)[5] = float(min(code, 2))

    def stays_on(self, key: str) -> bool:
        """By OUTMODE: power-up enabled."""
        return self.numbers("OUTMODE", key)[1] == 1

    def powers_W(self, key: str) -> tuple[float, ...]:
        """Of the sample heater by its current into the load; the other two are on or off."""
        if key == "0":
            return (0.0, *(current_A**2 * self.heater_ohm for current_A in _HEATER_A))
        return (0.0, _WARM_UP_W if key == "1" else _STILL_W)

    def over_limit(self, key: str) -> bool:
        """A temperature limit, or the end of a warm-up that is to switch itself off."""
        if self.too_hot():
            return True
        if self.number("OUTMODE", key) != _WARM_UP or self.number("WARMUP") == 1:
            return False
        kelvin = self.control_K(self.control_input(key))
        return kelvin is not None and kelvin >= self.loops[key].set_point.now_K

    def _changed(self, mnemonic: str, key: str) -> None:
        if mnemonic == "INSET":
            self._use_curve(key)
            self._use_channels()
        super()._changed(mnemonic, key)
        if mnemonic in ("STILL", "WARMUP"):
            for output in self.loops:
                self._follow(output)

    def _follow(self, output: str) -> None:
        manual = {_STILL: self.number("STILL"), _WARM_UP: self.numbers("WARMUP")[1]}
        mode = int(self.number("OUTMODE", output))
        self.loops[output].manual_percent = manual.get(mode, self.number("MOUT", output))
        super()._follow(output)

    def _zone(self, row: tuple[float, ...]) -> Zone:
        top_K, p, i, d, manual, heater_range, rate, *_ = row
        ramp = rate / 60.0 if rate >= self.slowest_ramp else None
        return Zone(top_K, Gains(p, i / 1000.0, d), manual, int(heater_range), ramp)

    # Inputs

    def enabled(self, name: str) -> bool:
        """By INSET."""
        return self._held["INSET"][name][0] == 1.0

    def read(self, name: str, noisy: bool = True, units: bool = True) -> Reading:
        """Input A now; a channel as the scanner saw it last."""
        if not self.enabled(name) or self.inputs[name].sensor is None:
            return Reading(0.0, 0.0, State.OPEN if self.enabled(name) else State.NO_CURVE)
        return self._measure(name, noisy) if name == "A" else self._scanner.read(name, noisy)

    def reading_status(self, name: str) -> int:
        """The bits of RDGST?."""
        return _STATUS[self.read(name, noisy=False).state]

    def _measure(self, name: str, noisy: bool) -> Reading:
        """With the noise of the excitation, and not beyond the resistance range, unless that follows by itself."""
        found = self.inputs[name]
        if found.sensor is None:
            return Reading(0.0, 0.0, State.OPEN)
        kind = self.held("INTYPE", name)
        _, _, follows, chosen, shunted, _ = self.numbers("INTYPE", name)
        if shunted:
            return Reading(0.0, 0.0, State.ZERO)
        curve = self.curves.at(found.curve)
        clean = found.sensor.read(curve, noisy=False)
        if clean.state not in (State.VALID, State.NO_CURVE, State.TOO_COLD, State.TOO_HOT):
            return clean
        ohms = clean.units
        if name != "A":
            if follows:
                kind[3] = chosen = float(next((n for n, full in enumerate(_RANGES_ohm, 1) if full >= ohms), 22))
            if ohms > _RANGES_ohm[int(chosen) - 1]:
                return Reading(0.0, 0.0, State.UNITS_OVER)
        if not noisy:
            return clean
        factor = min(1000.0, max(0.01, _USUAL_V / self._excitation(name, ohms)[0]))
        return found.sensor.read(curve, noise_factor=factor)

    def _excitation(self, name: str, ohms: float) -> tuple[float, float]:
        """Voltage across and current through a sensor (V, A)."""
        mode, step, *_ = self.numbers("INTYPE", name)
        if name == "A":
            current_A = _CONTROL_CURRENTS_A[min(int(step), 6) - 1]
        elif mode == 1:
            current_A = _CURRENTS_A[int(step) - 1]
        else:
            voltage_V = _VOLTAGES_V[min(int(step), 12) - 1]
            return voltage_V, voltage_V / max(ohms, 1e-6)
        return current_A * max(ohms, 1e-6), current_A

    def _power(self, arguments: list[str]) -> str:
        name = self._input(arguments)
        reading = self.read(name, noisy=False)
        if reading.state is not State.VALID:
            return self.write(0.0)
        curve = self.curves.get(self.inputs[name].curve)
        if curve is None:
            return self.write(0.0)
        voltage_V, current_A = self._excitation(name, curve.units(reading.kelvin))
        return f"{voltage_V * current_A:+.3E}"

    def _use_curve(self, name: str) -> None:
        """INSET names the curve here, not INCRV."""
        chosen = int(self.numbers("INSET", name)[3])
        if chosen != self.inputs[name].curve:
            self._set_curve([name, str(chosen)])
            self.held("INSET", name)[3] = float(self.inputs[name].curve)

    # The scanner

    def _use_channels(self) -> None:
        """At least one channel stays on: the first."""
        on = tuple(name for name in _CHANNELS if self.enabled(name))
        if not on:
            self.held("INSET", "1")[0] = 1.0
        self._scanner.channels = on or ("1",)
        self._scan_timer.due_s = self._scanner.due_s

    def _scan(self) -> None:
        self._scanner.step()
        self._scan_timer.due_s = self._scanner.due_s

    def _set_scan(self, arguments: list[str]) -> None:
        if len(arguments) not in (1, 2):
            raise NoAnswer
        channel = str(integer(arguments[0], 1, 16))
        self._scanner.automatic = len(arguments) == 2 and integer(arguments[1], 0, 1) == 1
        self._scanner.go(channel)
        self._scan_timer.due_s = self._scanner.due_s

    # The tables

    def _query_table(self) -> dict[str, Callable[[list[str]], str]]:
        table = super()._query_table()
        sample, held = table["PID"], self.held
        own: dict[str, Callable[[list[str]], str]] = {
            "RDGK": table["KRDG"], "RDGR": table["SRDG"], "QRDG": lambda a: self.write(0.0 * len(self._input(a))),
            "RDGPWR": self._power, "PID": lambda a: sample(a or ["0"]),
            "SCAN": lambda _: f"{int(self._scanner.channel):02d},{self._scanner.automatic:d}",
            "HTR": lambda a: f"{self.percent(self._output(a or ['0'])):+08.3f}",
            "IEEE": lambda _: f"{held('IEEE')[2]:02.0f}",
        }  # fmt: skip
        return {name: query for name, query in (table | own).items() if name != "INCRV"}

    def _order_table(self) -> dict[str, Callable[[list[str]], None]]:
        table = super()._order_table() | {"SCAN": self._set_scan}
        return {name: order for name, order in table.items() if name != "INCRV"}

    def _order(self, mnemonic: str, arguments: list[str]) -> None:
        """`PID` with three numbers is the sample heater's; an excitation must be one of its mode."""
        if mnemonic == "PID" and len(arguments) == 3:
            arguments = ["0", *arguments]
        if mnemonic == "INTYPE" and len(arguments) == 7:
            most = 6 if arguments[0].upper() == "A" else 12 if arguments[1] == "0" else 22
            integer(arguments[2] or "1", 1, most)
        super()._order(mnemonic, arguments)

    def alarm_values(self, name: str) -> tuple[float, float, float, bool]:
        """With a source before the values."""
        _, _, high, low, band, latch, *_ = self.numbers("ALARM", name)
        return high, low, band, bool(latch)

    def reset(self) -> None:
        """As it left the factory, but with the connected channels on, their curves and names."""
        curves = {name: found.curve for name, found in self.inputs.items()}
        self._scanner = Scanner(self._measure, self._waits, self.world.now, "1")
        super().reset()
        for name, found in self.inputs.items():
            if found.sensor is not None:
                self.held("INNAME", name)[0] = found.sensor.node
                found.curve = curves[name]
                inset = self.held("INSET", name)
                inset[0], inset[3] = 1.0, float(found.curve)
        self._use_channels()

    def _waits(self, channel: str) -> tuple[float, float]:
        _, dwell_s, pause_s, *_ = self.numbers("INSET", channel)
        return dwell_s, pause_s
