"""Front panel of Oxford Instruments' Mercury iTC temperature controller, on port 7020.

Wire facts beside those of `mercury`: pymeasure's driver and the real-looking replies in its tests, and the tables of
nouns in the iTC manuals. The proportional band is in kelvin, integral and derivative action are in minutes; the heater
is in percent of its voltage limit.
"""

from functools import partial
from typing import ClassVar

from ..core.errors import ConfigError
from .mercury import INVALID, NOT_APPLICABLE, MercuryPanel, Noun, Nouns, Refusal, board, number, on_off, one_of
from .oxford_regulator import gains, sensed
from .sensors import Sensor, State
from .temperature_loop import Drive, TemperatureLoop
from .world import World

_s_per_min = 60.0
_HEATER = "MB0.H1"
_LARGEST_V, _LARGEST_W = 40.0, 80.0
_EXCITATION_A = 10e-6
# Band, integral and derivative action of a new instrument.
_TERMS = (5.0, 1.0, 0.0)
_ALARMS = {
    State.OPEN: "Open Circuit", State.ZERO: "Short Circuit", State.UNITS_OVER: "Over Range",
    State.TOO_HOT: "Hot Limit", State.TOO_COLD: "Cold Limit",
}  # fmt: skip


class MercuryITC(MercuryPanel):
    """Thermometers MB1.T1 at the block and DB6.T1 at the sample, a loop behind each, and the heater MB0.H1.

    `sensors` are the thermometers' kinds, `heater_ohm` is the true heater. At first the loop of MB1.T1 has the heater.
    """

    model: ClassVar[str] = "MERCURY ITC"
    firmware: str = "2.6.04.000"
    knobs: ClassVar[tuple[str, ...]] = ("setpoint", "auto", "heater")
    inferred: ClassVar[tuple[str, ...]] = (
        *MercuryPanel.inferred,
        "P is a proportional band in K, I and D are in minutes, and the regulator's output is a share of VLIM.",
        "A ramp begins at the measured temperature; TSET reads its end, not where it is. HSET is INVALID while the "
        "loop is enabled.",
        "Without a table, a flow board and a sweep file PIDT, SWMD, FAUT and FSET are N/A when set to ON or a number.",
        "A broken sensor reads 0 K, gives no heat and shows in ALRM. The excitation is 10 uA.",
        "SIG:VOLT and SIG:POWR of the heater are readings; its loop sets it. PMAX is at most 80 W.",
        "Switched off and on it has the settings of before, the heater off.",
    )

    def __init__(
        self,
        world: World,
        name: str,
        wiring: str = "",
        *,
        firmware: str = "",
        sensors: tuple[str, str] = ("CX-1050", "CX-1050"),
        heater_ohm: float = 50.0,
    ) -> None:
        super().__init__(world, name, wiring, firmware=firmware)
        self._true_ohm = self._ohm = heater_ohm
        self._limit_V = 25.0
        self._sensors: dict[str, Sensor] = {}
        self.loops: dict[str, TemperatureLoop] = {}
        self._terms: dict[str, list[float]] = {}
        for uid, node, kind in zip(("MB1.T1", "DB6.T1"), ("block", "sample"), sensors, strict=True):
            sensor = Sensor(world, node, kind, world.stream(f"thermometer {name} {uid}"))
            self._sensors[uid] = sensor
            loop = TemperatureLoop(partial(sensed, sensor), (0.0, 1.0), gains(*_TERMS))
            loop.drive = Drive.OPEN
            self.loops[uid], self._terms[uid] = loop, list(_TERMS)
            self._devices[uid] = {"TEMP": board(node.upper(), _kind(sensor)) | self._readings(uid) | self._loop(uid)}
        self._devices[_HEATER] = {"HTR": board("HEATER") | self._heater()}
        self.loops["MB1.T1"].range = 1
        world.cryostat.attach(self._heat)

    def prepare(self, setting: bool) -> None:
        """A temperature does not change in a tenth of a second; a SET acts from its own instant."""
        super().prepare(setting)
        if setting:
            self.world.cryostat.disturb()

    def sensor(self, input_name: str) -> Sensor:
        """The thermometer with this UID, for a fault schedule.

        Raises:
            ConfigError: there is none.
        """
        if input_name not in self._sensors:
            raise ConfigError(f"{self.name} has no sensor at {input_name!r}")
        return self._sensors[input_name]

    def alarms(self) -> list[tuple[str, str]]:
        """Sensors that give no temperature."""
        states = {uid: sensor.read(sensor.kind.curve, noisy=False).state for uid, sensor in self._sensors.items()}
        return [(uid, _ALARMS[state]) for uid, state in states.items() if state in _ALARMS]

    # The heater: the laboratory calls this as its time passes

    def _heat(self, block_K: float, step_s: float) -> float:
        """Advance the loops by `step_s` and give the heater's power (W); with no time, only say what it is."""
        for loop in self.loops.values():
            loop.heat(block_K, step_s)
        return self._volts() ** 2 / self._true_ohm

    def _volts(self) -> float:
        """The heater's voltage: of the one loop that has it."""
        return sum(loop.percent / 100.0 for loop in self.loops.values() if loop.range) * self._limit_V

    def _heater(self) -> Nouns:
        def limit(text: str) -> None:
            self._limit_V = number(text, 0.0, _LARGEST_V, "V")

        def resist(text: str) -> None:
            self._ohm = number(text, 10.0, 2000.0, "O")

        return {
            "VLIM": Noun(lambda: f"{self._limit_V:g}", limit), "RES": Noun(lambda: f"{self._ohm:g}", resist),
            "PMAX": Noun(lambda: f"{min(self._limit_V**2 / self._ohm, _LARGEST_W):.4f}"),
            "SIG:VOLT": Noun(lambda: f"{self._volts():.4f}V"),
            "SIG:CURR": Noun(lambda: f"{self._volts() / self._true_ohm:.4f}A"),
            "SIG:POWR": Noun(lambda: f"{self._volts() ** 2 / self._true_ohm:.4f}W"),
        }  # fmt: skip

    # A thermometer and its loop

    def _readings(self, uid: str) -> Nouns:
        sensor = self._sensors[uid]

        def volts() -> float:
            units = sensor.read(sensor.kind.curve).units
            return units if sensor.kind.family == "diode" else units * _EXCITATION_A

        return {
            "SIG:TEMP": Noun(lambda: f"{sensor.read(sensor.kind.curve).kelvin:.4f}K"),
            "SIG:VOLT": Noun(lambda: f"{1e3 * volts():.4f}mV"),
            "SIG:CURR": Noun(lambda: f"{1e6 * _EXCITATION_A:.4f}uA"),
            "SIG:RES": Noun(lambda: f"{volts() / _EXCITATION_A:.4f}O"),
        }  # fmt: skip

    def _loop(self, uid: str) -> Nouns:
        loop = self.loops[uid]
        terms = self._terms[uid]
        set_point = loop.set_point

        def set_term(which: int, largest: float, text: str) -> None:
            terms[which] = number(text, 0.0, largest)
            loop.pid.gains = gains(*terms)

        def enable(text: str) -> None:
            on = one_of(text, "ON", "OFF") == "ON"
            if on != (loop.drive is Drive.CLOSED):
                # From automatic to manual the heater stays as it is.
                loop.manual_percent = loop.percent
                loop.drive = Drive.CLOSED if on else Drive.OPEN

        def heat(text: str) -> None:
            percent = number(text, 0.0, 100.0)
            if loop.drive is Drive.CLOSED:
                raise Refusal(INVALID)
            loop.manual_percent = percent
            loop.percent = percent if loop.range else 0.0

        ramping = False

        def ramp(text: str) -> None:
            nonlocal ramping
            ramping = one_of(text, "ON", "OFF") == "ON"
            set_point.ramp(ramping, set_point.rate_K_per_s)

        def pace(text: str) -> None:
            set_point.ramp(ramping, number(text, 0.0, 1e5, "K/m") / _s_per_min)

        def aim(text: str) -> None:
            target_K = number(text, 0.0, 2000.0, "K")
            if ramping and not set_point.moving and (measured_K := loop.sense()) is not None:
                # A ramp begins where the temperature is.
                set_point.now_K = measured_K
            set_point.aim(target_K)

        def flow(_text: str) -> None:
            raise Refusal(NOT_APPLICABLE)

        nouns = {
            "P": Noun(lambda: f"{terms[0]:.1f}", lambda text: set_term(0, 199.9, text)),
            "I": Noun(lambda: f"{terms[1]:.1f}", lambda text: set_term(1, 199.9, text)),
            "D": Noun(lambda: f"{terms[2]:.1f}", lambda text: set_term(2, 299.9, text)),
            "ENAB": Noun(lambda: on_off(loop.drive is Drive.CLOSED), enable),
            "TSET": Noun(lambda: f"{set_point.target_K:.4f}K", aim),
            "HSET": Noun(lambda: f"{loop.percent:g}", heat),
            "RENA": Noun(lambda: on_off(ramping), ramp),
            "RSET": Noun(lambda: f"{_s_per_min * set_point.rate_K_per_s:.4f}K/m", pace),
            "HTR": Noun(lambda: _HEATER if loop.range else "None", lambda text: self._connect(uid, text)),
            "AUX": Noun(lambda: "None"), "FSET": Noun(lambda: "0.0", flow),
        }  # fmt: skip
        # What needs a table, a sweep file or a flow board is off for good.
        nouns |= {name: Noun(lambda: "OFF", _stay_off) for name in ("PIDT", "SWMD", "FAUT")}
        return {f"LOOP:{name}": noun for name, noun in nouns.items()}

    def _connect(self, uid: str, text: str) -> None:
        """Give the heater to this loop, from whichever has it; 0 or None takes it away."""
        wanted = one_of(text, _HEATER, "0", "None") == _HEATER
        for other, loop in self.loops.items():
            if other == uid or wanted:
                loop.change_range(int(wanted and other == uid))

    # What can go wrong with it

    def power_cycle(self) -> None:
        """The heater is off."""
        self.prepare(True)
        self._engineering, self._lock = False, "OFF"
        for loop in self.loops.values():
            loop.drive, loop.manual_percent, loop.percent = Drive.OPEN, 0.0, 0.0

    def turn(self, knob: str, value: str) -> None:
        """Of the loop of MB1.T1: `setpoint` (K), `auto` ON or OFF, `heater` (%)."""
        name = {"setpoint": "LOOP:TSET", "auto": "LOOP:ENAB", "heater": "LOOP:HSET"}[knob]
        self.prepare(True)
        if (outcome := self._outcome(self._devices["MB1.T1"]["TEMP"][name], value)) != "VALID":
            raise ConfigError(f"{self.name!r} takes no {knob} {value!r}: {outcome}")


def _kind(sensor: Sensor) -> str:
    """The sort of sensor as the iTC names it."""
    return {"diode": "DDE", "ntc": "NTC"}.get(sensor.kind.family, "PTC")


def _stay_off(text: str) -> None:
    if one_of(text, "ON", "OFF") == "ON":
        raise Refusal(NOT_APPLICABLE)
