"""Front panel of the Lake Shore 331 temperature controller.

Command set after the 331's manual, chapter 6 (remote operation): two inputs, two loops, a heater in three ranges on
loop 1 and a one-watt voltage output on loop 2. `RANGE`, `HTR?` and `AOUT?` take no loop number, which drivers written
for the 335 overlook. Numbers have six digits. What drives a loop is told by CSET and CMODE, not by OUTMODE.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

from .lakeshore_grammar import NoAnswer, Setting, integer, number, whole, word
from .lakeshore_loops import ZONES, LoopController, loop_settings
from .lakeshore_panel import LakeShore
from .sensors import Sensor
from .temperature_loop import Drive

_ZONE, _OPEN = 2, 3
_LOOPS = ("1", "2")
_AB = ("A", "B")
_RANGES_W = (0.0, 0.5, 5.0, 50.0)
_ANALOG_W = 1.0


class CsetController(LoopController):
    """A controller of the older kind (331, 340): CSET gives a loop its input and units, CMODE its mode."""

    # Which number of CSET is the power-up.
    _power_up: ClassVar[int] = 1

    def drive(self, key: str) -> tuple[Drive, bool]:
        """By CMODE: 1 PID, 2 zones, 3 open loop, 4 to 6 autotuning, which controls too."""
        mode = self.number("CMODE", key)
        return (Drive.OPEN if mode == _OPEN else Drive.CLOSED), mode == _ZONE

    def control_input(self, key: str) -> str:
        """By CSET."""
        return str(self.held("CSET", key)[0])

    def units(self, key: str) -> int:
        """By CSET."""
        return int(self.numbers("CSET", key)[0])

    def turn_units(self, key: str, code: int) -> None:
        """The units of CSET."""
        self.held("CSET", key)[1] = float(code)

    def stays_on(self, key: str) -> bool:
        """By CSET: power-up enabled. The analogue output has no range to switch off."""
        return key == "2" or self.numbers("CSET", key)[self._power_up] == 1

    def _query_table(self) -> dict[str, Callable[[list[str]], str]]:
        own: dict[str, Callable[[list[str]], str]] = {
            "RANGE": lambda a: str(self.loops[_heater(a)].range),
            "HTR": lambda a: f"{self.percent(_heater(a)):+06.1f}",
            "HTRST": lambda a: self._heater_state(_heater(a)), "AOUT": self._analog, "TUNEST": lambda _: "0",
        }  # fmt: skip
        return super()._query_table() | own

    def _set_range(self, arguments: list[str]) -> None:
        if len(arguments) != 1:
            raise NoAnswer
        loop = self.loops["1"]
        loop.change_range(integer(arguments[0], 0, self.highest_range()))
        self._follow("1")

    def _turn_range(self, first: str, value: str) -> None:
        self._set_range([value])

    def highest_range(self) -> int:
        """The largest number that RANGE takes."""
        return len(self.loops["1"].powers_W) - 1

    def _analog(self, arguments: list[str]) -> str:
        if arguments:
            raise NoAnswer
        return f"{self.percent('2'):+06.1f}"

    def reset(self) -> None:
        """All settings as they left the factory, the heater off."""
        super().reset()
        # The analogue output has no range to switch off.
        self.loops["2"].range = 1


def _heater(arguments: list[str]) -> str:
    if arguments:
        raise NoAnswer
    return "1"


def _settings() -> dict[str, Setting]:
    zones = tuple(str(zone) for zone in range(1, ZONES + 1))
    pid = (number(0.1, 1000.0, 50.0), number(0.0, 1000.0, 20.0), number(0.0, 200.0, 0.0))
    manual = number(0.0, 100.0, 0.0)
    alarm = (whole(0, 1, 0), whole(1, 4, 1), number(-1e4, 1e6, 1000.0), number(-1e4, 1e6, 0.0))
    control = (word(_AB, "A"), whole(1, 3, 1), whole(0, 1, 0), whole(1, 2, 2))
    ramp = Setting((whole(0, 1, 0), number(0.0, 100.0, 0.0, "05.1f")), (_LOOPS,))
    return loop_settings(_LOOPS, 3) | {
        "ALARM": Setting((*alarm, number(0.0, 1e4, 0.0), whole(0, 1, 0)), (_AB,)), "BEEP": Setting((whole(0, 1, 1),)),
        "ANALOG": Setting((whole(0, 1, 0), whole(0, 3, 3), word(_AB, "A"), whole(1, 4, 1), number(-1e4, 1e4, 100.0),
                           number(-1e4, 1e4, 0.0), number(-100.0, 100.0, 0.0))),
        "BRIGT": Setting((whole(0, 3, 2),)), "CMODE": Setting((whole(1, 6, 1),), (_LOOPS,)),
        "CSET": Setting(control, (_LOOPS,), {"2": ("B", 1.0, 0.0, 2.0)}),
        "DISPFLD": Setting((whole(0, 6, 1), whole(1, 6, 1)), (tuple("1234"),)),
        "FILTER": Setting((whole(0, 1, 0), whole(2, 64, 8, "02.0f"), whole(1, 10, 10, "02.0f")), (_AB,)),
        "IEEE": Setting((whole(0, 3, 0), whole(0, 1, 0), whole(1, 30, 12, "02.0f"))),
        "INTYPE": Setting((whole(0, 11, 0), whole(0, 1, 0)), (_AB,)), "MODE": Setting((whole(0, 2, 0),)),
        "PID": Setting(pid, (_LOOPS,)), "MOUT": Setting((manual,), (_LOOPS,)), "RAMP": ramp,
        "RELAY": Setting((whole(0, 2, 0), word(_AB, "A"), whole(0, 2, 2)), (("1", "2"),)),
        "ZONE": Setting((number(0.0, 1000.0, 0.0), *pid, manual, whole(0, 3, 0)), (_LOOPS, zones)),
    }  # fmt: skip


class Model331(CsetController):
    """Input A is the block with the heater of loop 1, B the sample; loop 2 gives into the air."""

    model: ClassVar[str] = "Model331"
    firmware: str = "020301"
    identity: ClassVar[str] = "LSCI,MODEL331S,331123,{firmware}"
    digits: ClassVar[int] = 6
    last_curve: ClassVar[int] = 41
    settings_table: ClassVar[Mapping[str, Setting]] = _settings()
    inferred: ClassVar[tuple[str, ...]] = (
        *LakeShore.inferred,
        "The set point is told at once: no delay is reported of this model",
        "RANGE, HTR? and HTRST? with a loop number are neither done nor answered (the manual gives them none)",
        "Six digits are three before the point and three after it, until the number needs more before it",
        "MODE 0 (local) does not lock out orders; autotuning modes control as mode 1 does",
        "The heater takes its nominal 0.5, 5 and 50 W whatever its load",
    )

    def powers_W(self, key: str) -> tuple[float, ...]:
        """Of loop 1: 0.5, 5 and 50 W (manual, RANGE); of loop 2: 1 W."""
        return _RANGES_W if key == "1" else (0.0, _ANALOG_W)

    def alarm_values(self, name: str) -> tuple[float, float, float, bool]:
        """With a source before, and the dead band behind the values."""
        _, _, high, low, band, latch = self.numbers("ALARM", name)
        return high, low, band, bool(latch)

    def reset(self) -> None:
        """As it left the factory, but with the sorts of sensor that the inputs have."""
        super().reset()
        for name, found in self.inputs.items():
            if found.sensor is not None:
                self.held("INTYPE", name)[0] = _type_code(found.sensor)


def _type_code(sensor: Sensor) -> float:
    """0 silicon diode, 2 platinum of 100 Ω, 5 a resistor of negative coefficient (manual, INTYPE)."""
    return {"diode": 0.0, "platinum": 2.0, "ntc": 5.0}[sensor.kind.family]
