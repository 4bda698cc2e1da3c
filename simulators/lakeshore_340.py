"""Front panel of the Lake Shore 340 temperature controller.

Command set after the 340's manual, chapter 9 (remote operation): readings with an exponent (`±nnn.nnnE±n`), fields
that may be left out, `RANGE` 0 to 5 without a loop number, CSET, CMODE and CLIMIT, MODE from 1.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

from .lakeshore_331 import CsetController
from .lakeshore_grammar import Setting, engineering, number, whole, word
from .lakeshore_loops import ZONES
from .lakeshore_panel import LakeShore
from .temperature_loop import Drive

_LOOPS = ("1", "2")
_AB = ("A", "B")
# CLIMIT's codes for the largest current (manual, CLIMIT).
_CURRENTS_A = (0.0, 0.25, 0.5, 1.0, 2.0)
_COMPLIANCE_V = 50.0
_RANGES = 5
_ANALOG_W = 1.0


def _settings() -> dict[str, Setting]:
    zones = tuple(str(zone) for zone in range(1, ZONES + 1))
    pid = (
        number(0.1, 1000.0, 50.0, "06.1f"), number(0.0, 1000.0, 20.0, "06.1f"), number(0.0, 1000.0, 0.0, "04.0f"),
    )  # fmt: skip
    manual = number(0.0, 100.0, 0.0, "+07.2f")
    limits = (
        number(0.0, 1000.0, 1000.0), number(0.0, 100.0, 0.0, "05.1f"), number(0.0, 100.0, 0.0, "05.1f"),
        whole(1, 4, 4), whole(0, _RANGES, _RANGES),
    )  # fmt: skip
    alarm = (whole(0, 1, 0), whole(1, 4, 1), number(-1e4, 1e6, 1000.0), number(-1e4, 1e6, 0.0))
    kind = (whole(0, 12, 0), whole(1, 3, 1), whole(1, 2, 1), whole(0, 13, 0, "02.0f"), whole(0, 13, 0, "02.0f"))
    control = (word(_AB, "A"), whole(1, 3, 1), whole(0, 1, 1), whole(0, 1, 0))
    return {
        "ALARM": Setting((*alarm, whole(0, 1, 0), whole(0, 1, 0)), (_AB,)), "BEEP": Setting((whole(0, 1, 1),)),
        "CDISP": Setting((whole(0, 2, 1), whole(0, 1000, 25, "03.0f"), whole(1, 2, 2), whole(0, 1, 0)), (_LOOPS,)),
        "CFILT": Setting((whole(0, 1, 0),), (_LOOPS,)), "CLIMIT": Setting(limits, (_LOOPS,)),
        "CMODE": Setting((whole(1, 6, 1),), (_LOOPS,)),
        "CSET": Setting(control, (_LOOPS,), {"2": ("B", 1.0, 0.0, 0.0)}),
        "DISPFLD": Setting((word((*_AB, "OFF"), "A"), whole(1, 4, 1)), (tuple("12345678"),)),
        "FILTER": Setting((whole(0, 1, 0), whole(2, 64, 8, "02.0f"), whole(1, 10, 10, "02.0f")), (_AB,)),
        "IEEE": Setting((whole(0, 3, 0), whole(0, 1, 0), whole(1, 30, 12, "02.0f"))),
        "INSET": Setting((whole(0, 1, 1), whole(0, 2, 0)), (_AB,)), "INTYPE": Setting(kind, (_AB,)),
        "MODE": Setting((whole(1, 3, 1),)), "MOUT": Setting((manual,), (_LOOPS,)), "PID": Setting(pid, (_LOOPS,)),
        "RAMP": Setting((whole(0, 1, 0), number(0.0, 100.0, 0.0, "05.1f")), (_LOOPS,)),
        "RELAY": Setting((whole(0, 2, 0), whole(0, 1, 0)), (("1", "2"),)),
        "XSCAN": Setting((whole(0, 3, 0), whole(1, 16, 1, "02.0f"), whole(0, 999, 0, "03.0f"))),
        "ZONE": Setting((number(0.0, 1000.0, 0.0), *pid, manual, whole(0, _RANGES, 0)), (_LOOPS, zones)),
    }  # fmt: skip


class Model340(CsetController):
    """Input A is the block with the heater of loop 1, B the sample; loop 2 gives into the air."""

    model: ClassVar[str] = "Model340"
    firmware: str = "061407"
    identity: ClassVar[str] = "LSCI,MODEL340,340123,{firmware}"
    partial: ClassVar[bool] = True
    last_curve: ClassVar[int] = 60
    _power_up: ClassVar[int] = 2
    local_mode: ClassVar[int] = 1
    settings_table: ClassVar[Mapping[str, Setting]] = _settings()
    inferred: ClassVar[tuple[str, ...]] = (
        *LakeShore.inferred,
        "The set point is told at once: no delay is reported of this model",
        "Exponents go in threes, and SETP? is written like a reading",
        "The heater's five ranges are decades below the current limit of CLIMIT into its load, 100 W at most",
        "A set point above CLIMIT's limit becomes that limit; CLIMIT's slopes are kept and not used",
        "A RANGE above CLIMIT's highest, or with a loop number, is not done",
        "MODE 1 (local) does not lock out orders; programs, linear equations and autotuning are not simulated",
    )

    def write(self, value: float) -> str:
        """As `±nnn.nnnE±n` (manual, KRDG?)."""
        return engineering(value)

    def powers_W(self, key: str) -> tuple[float, ...]:
        """Of loop 1 from CLIMIT and the load, of loop 2 one watt."""
        if key != "1":
            return (0.0, _ANALOG_W)
        limit_A = min(_CURRENTS_A[int(self.numbers("CLIMIT", "1")[3])], _COMPLIANCE_V / self.heater_ohm)
        full_W = limit_A**2 * self.heater_ohm
        return (0.0, *(full_W * 10.0 ** (step - _RANGES) for step in range(1, _RANGES + 1)))

    def highest_range(self) -> int:
        """What CLIMIT allows."""
        return int(self.numbers("CLIMIT", "1")[4])

    def drive(self, key: str) -> tuple[Drive, bool]:
        """By CMODE, if CSET switches the loop on."""
        return super().drive(key) if self.numbers("CSET", key)[1] else (Drive.OFF, False)

    def enabled(self, name: str) -> bool:
        """By INSET."""
        return self._held["INSET"][name][0] == 1.0

    def over_limit(self, key: str) -> bool:
        """Whether the loop's input is at its CLIMIT."""
        kelvin = self.control_K(self.control_input(key))
        return kelvin is not None and kelvin >= self.number("CLIMIT", key)

    def alarm_values(self, name: str) -> tuple[float, float, float, bool]:
        """With a source before the values, and no dead band."""
        _, _, high, low, latch, _ = self.numbers("ALARM", name)
        return high, low, 0.0, bool(latch)

    def reset(self) -> None:
        """As it left the factory, but with the sorts of sensor that the inputs have."""
        super().reset()
        for name, found in self.inputs.items():
            if found.sensor is None:
                self.held("INSET", name)[0] = 0.0
            else:
                # 1 silicon diode, 3 platinum, 8 Cernox (manual, INTYPE).
                self.held("INTYPE", name)[0] = {"diode": 1.0, "platinum": 3.0, "ntc": 8.0}[found.sensor.kind.family]

    def _order_table(self) -> dict[str, Callable[[list[str]], None]]:
        # Curves are in the flash at once here, where CRVSAV puts them.
        own: dict[str, Callable[[list[str]], None]] = {"CRVSAV": lambda _: None}
        return super()._order_table() | own

    def _set_set_point(self, arguments: list[str]) -> None:
        super()._set_set_point(arguments)
        key = self._output(arguments[:1])
        loop = self.loops[key]
        loop.set_point.aim(min(loop.set_point.target_K, self.number("CLIMIT", key)))

    def relay_on(self, key: str) -> bool:
        """In the alarm mode a relay closes with any alarm whose own setting names it."""
        mode, on = self.numbers("RELAY", key)
        if mode == 1:
            wired = (found for name, found in self.inputs.items() if self.numbers("ALARM", name)[5])
            return any(found.high_alarm or found.low_alarm for found in wired)
        return mode == 2 and on == 1
