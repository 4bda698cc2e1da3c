"""Front panels of the Lake Shore 335, 336 and 350 temperature controllers.

Wire facts: the command descriptions of the 350's manual as public drivers quote them, QCoDeS (335, 336), pymeasure
(3xx), Lake Shore's own Python package. They differ in the number of inputs and outputs, in the heater's power and its
ranges, and in the fields of HTRSET and INTYPE.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

from .lakeshore_grammar import NoAnswer, Setting, number, text, whole, word
from .lakeshore_loops import LoopController, loop_settings
from .lakeshore_panel import NOTHING, LakeShore
from .temperature_loop import Drive

_OFF, _CLOSED, _ZONE, _OPEN, _MONITOR, _WARM_UP = range(6)
_ABCD = ("A", "B", "C", "D")
_RELAYS = ("1", "2")
# The voltage that drives the current through the heater (100 W into 25 Ω: inferred).
_COMPLIANCE_V = 50.0
_ANALOG_W = 1.0
_CURRENTS_A = (0.0, math.sqrt(0.5), 1.0, math.sqrt(2.0))


def _settings(inputs: tuple[str, ...], excitation: bool) -> dict[str, Setting]:
    """What the three have in common; with `excitation` INTYPE has the field that the 350 adds."""
    kind = (whole(0, 5, 0), whole(0, 1, 0), whole(0, 8, 0), whole(0, 1, 0), whole(1, 3, 1))
    alarm = (whole(0, 1, 0), number(-1e4, 1e6, 1000.0), number(-1e4, 1e6, 0.0), number(0.0, 1e4, 0.0))
    return {
        "ALARM": Setting((*alarm, whole(0, 1, 0), whole(0, 1, 0), whole(0, 1, 1)), (inputs,)),
        "BRIGT": Setting((whole(0, 32, 28, "02.0f"),)),
        "DISPLAY": Setting((whole(0, 10, 5), whole(0, 2, 0), whole(1, 4, 1))),
        "DISPFLD": Setting((whole(0, 8, 1), whole(1, 5, 1)), (tuple("12345678"),)),
        "FILTER": Setting((whole(0, 1, 0), whole(2, 64, 8, "02.0f"), whole(1, 10, 10, "02.0f")), (inputs,)),
        "IEEE": Setting((whole(1, 30, 12, "02.0f"),)), "INTSEL": Setting((whole(0, 2, 1),)),
        "INNAME": Setting((text(15),), (inputs,)),
        "INTYPE": Setting((*kind, whole(0, 1, 0)) if excitation else kind, (inputs,)),
        "LEDS": Setting((whole(0, 1, 1),)), "MODE": Setting((whole(0, 2, 0),)),
        "OPSTE": Setting((whole(0, 255, 0, "03.0f"),)),
        "RELAY": Setting((whole(0, 2, 0), word(inputs, "A"), whole(0, 2, 2)), (_RELAYS,)),
        "TLIMIT": Setting((number(0.0, 1000.0, 0.0),), (inputs,)),
    }  # fmt: skip


def _outputs(outputs: tuple[str, ...], ranges: int) -> dict[str, Setting]:
    modes = Setting((whole(0, 5, _OFF), whole(0, 4, 0), whole(0, 1, 0)), (outputs,), {"1": (1.0, 1.0, 0.0)})
    return loop_settings(outputs, ranges) | {"OUTMODE": modes, "ATUNE": Setting((whole(0, 2, 0),), (outputs,))}


def _heater(currents: int, first_current: int, second_current: int) -> dict[str, Setting]:
    """HTRSET of the 336 and 350: resistance, current limit, limit by the user (A), display."""
    fields = (whole(1, 2, 1), whole(0, currents, 1), number(0.0, 2.0, 0.0, "+06.3f"), whole(1, 2, 1))
    start = {"1": (1.0, float(first_current), 0.0, 1.0), "2": (1.0, float(second_current), 0.0, 1.0)}
    return {"HTRSET": Setting(fields, (("1", "2"),), start)}


_ANALOG = {
    "ANALOG": Setting(
        (whole(0, 8, 0), whole(1, 3, 1), number(-1e4, 1e4, 1000.0), number(-1e4, 1e4, 0.0), whole(0, 1, 0)),
        (("3", "4"),),
    ),
    "WARMUP": Setting((whole(0, 1, 0), number(0.0, 100.0, 0.0, "+06.1f")), (("3", "4"),)),
}


class _Family33x(LoopController):
    """335, 336 and 350. By default input A is the block with the heater, B the sample, and output 1 heats the block."""

    outputs_table: ClassVar[tuple[str, ...]] = ("1", "2", "3", "4")
    # The limits that HTRSET's code stands for (A); 0 is the user's own.
    currents_A: ClassVar[tuple[float, ...]] = (*_CURRENTS_A, 2.0)
    ranges: ClassVar[int] = 3
    # The most that output 1 and output 2 give (W).
    most_W: ClassVar[Mapping[str, float]] = {"1": 100.0, "2": 50.0}
    inferred: ClassVar[tuple[str, ...]] = (
        *LakeShore.inferred,
        "Each range gives a tenth of the power of the one above it, and the output is per cent of power",
        "After SETP the 335 and 336 tell the old set point for half a second (a driver's warning gives the time)",
        "HTRSET's code 3 is 1.414 A, which manual and drivers print as 1.141: it is what gives 50 W",
        "The heater's load is 25 Ω: HTRSET's resistance is kept and read back only",
        "MODE 0 (local) does not lock out orders over the interface",
        "A zone's own control input is kept and not used; autotuning is accepted and does nothing",
        "A disabled or unconnected input answers RDGST? with 1; a sensor that is open with 128, a short with 64",
        "HTRST? says 1 (open load) for an output without a heater, which stays on",
    )

    def drive(self, key: str) -> tuple[Drive, bool]:
        """By OUTMODE."""
        mode = self.number("OUTMODE", key)
        if mode in (_CLOSED, _ZONE):
            return Drive.CLOSED, mode == _ZONE
        return (Drive.OPEN if mode in (_OPEN, _WARM_UP) else Drive.OFF), False

    def control_input(self, key: str) -> str:
        """By OUTMODE: 0 none, 1 A, 2 B."""
        return ("", *_ABCD)[int(self.numbers("OUTMODE", key)[1])]

    def units(self, key: str) -> int:
        """By the preferred units of the control input."""
        name = self.control_input(key)
        return int(self.numbers("INTYPE", name)[4]) if name in self.inputs else 1

    def turn_units(self, key: str, code: int) -> None:
        """The preferred units of the control input."""
        if (name := self.control_input(key)) in self.inputs:
            self.held("INTYPE", name)[4] = float(code)

    def enabled(self, name: str) -> bool:
        """By INTYPE: sensor type 0 is off."""
        return self._held["INTYPE"][name][0] != 0.0

    def _query_table(self) -> dict[str, Callable[[list[str]], str]]:
        table = super()._query_table()
        readings: dict[str, Callable[[list[str]], str]] = {
            name: partial(self._all_inputs, table[name]) for name in ("KRDG", "CRDG", "SRDG")
        }
        heaters, analog = set(self.most_W), set(self.outputs_table) - set(self.most_W) or {"2"}
        outputs: dict[str, Callable[[list[str]], str]] = {
            "HTR": partial(_only, table["HTR"], heaters), "HTRST": partial(_only, table["HTRST"], heaters),
            "AOUT": partial(_only, self._voltage, analog),
        }  # fmt: skip
        return table | readings | outputs

    def _voltage(self, arguments: list[str]) -> str:
        """Of an output that monitors: where its input is between ANALOG's low and high value, in per cent."""
        key = arguments[0]
        percent = self.percent(key)
        if self.number("OUTMODE", key) == _MONITOR and "ANALOG" in self._settings:
            _, unit, high, low, bipolar = self.numbers("ANALOG", key)
            name = self.control_input(key)
            reading = self.read(name, noisy=False) if name in self.inputs else NOTHING
            value = (reading.kelvin, reading.kelvin - 273.15, reading.units)[int(unit) - 1]
            part = (value - low) / (high - low) if high != low else 0.0
            percent = 200.0 * part - 100.0 if bipolar else 100.0 * part
            percent = min(100.0, max(-100.0 if bipolar else 0.0, percent))
        return f"{percent:+06.1f}"

    def _all_inputs(self, one: Callable[[list[str]], str], arguments: list[str]) -> str:
        """Input 0 is all of them, where there are four (manual of the 350, KRDG?)."""
        if arguments == ["0"] and len(self.inputs_table) > 2:
            return ",".join(one([name]) for name in self.inputs_table)
        return one(arguments)

    def stays_on(self, key: str) -> bool:
        """By OUTMODE: power-up enabled."""
        return self.numbers("OUTMODE", key)[2] == 1

    def powers_W(self, key: str) -> tuple[float, ...]:
        """From the current limit, the compliance and the load; outputs 3 and 4 have one range."""
        if key not in self.most_W:
            return (0.0, _ANALOG_W)
        *_, code, user_A, _ = self.numbers("HTRSET", key)
        limit_A = min(self.currents_A[int(code)] or user_A, _COMPLIANCE_V / self.heater_ohm)
        full_W = min(limit_A**2 * self.heater_ohm, self.most_W[key])
        return (0.0, *(full_W * 10.0 ** (step - self.ranges) for step in range(1, self.ranges + 1)))

    def reset(self) -> None:
        """As it left the factory, but with the sort of sensor that each input has, and names for them."""
        super().reset()
        for name, found in self.inputs.items():
            if found.sensor is None:
                continue
            kind = {"diode": 1.0, "platinum": 2.0, "ntc": 3.0}[found.sensor.kind.family]
            self.held("INTYPE", name)[:4] = [kind, float(kind > 1), 0.0, float(kind > 1)]
            self.held("INNAME", name)[0] = found.sensor.node


def _only(query: Callable[[list[str]], str], outputs: set[str], arguments: list[str]) -> str:
    """HTR? is for outputs with a heater, AOUT? for those with a voltage (manual of the 350)."""
    if len(arguments) != 1 or arguments[0] not in outputs:
        raise NoAnswer
    return query(arguments)


class Model335(_Family33x):
    """Two inputs and two outputs: 75 W in three ranges, and 25 W or ±10 V."""

    model: ClassVar[str] = "Model335"
    firmware: str = "1.7"
    identity: ClassVar[str] = "LSCI,MODEL335,335A123/#######,{firmware}"
    outputs_table: ClassVar[tuple[str, ...]] = ("1", "2")
    currents_A: ClassVar[tuple[float, ...]] = (*_CURRENTS_A, math.sqrt(3.0))
    most_W: ClassVar[Mapping[str, float]] = {"1": 75.0, "2": 25.0}
    set_point_lag_s: ClassVar[float] = 0.5
    # HTRSET has one field more than that of the 336: output 2 gives current or voltage.
    settings_table: ClassVar[Mapping[str, Setting]] = {
        **_settings(("A", "B"), False), **_outputs(("1", "2"), 3),
        "HTRSET": Setting(
            (whole(0, 1, 0), whole(1, 2, 1), whole(0, 4, 4), number(0.0, 1.732, 0.0, "+06.3f"), whole(1, 2, 1)),
            (("1", "2"),), {"2": (0.0, 1.0, 2.0, 0.0, 1.0)},
        ),
        "POLARITY": Setting((whole(0, 1, 0),), (("2",),)),
        "DISPLAY": Setting((whole(0, 7, 4), whole(0, 2, 0), whole(1, 2, 1))),
    }  # fmt: skip


class Model336(_Family33x):
    """Four inputs; outputs 1 (100 W) and 2 (50 W) in three ranges, 3 and 4 of ±10 V."""

    model: ClassVar[str] = "Model336"
    firmware: str = "2.9"
    identity: ClassVar[str] = "LSCI,MODEL336,336A123/#######,{firmware}"
    # Reported of it: two sockets at a time. That a third is reset is a guess.
    clients: ClassVar[int | None] = 2
    inputs_table: ClassVar[tuple[str, ...]] = _ABCD
    set_point_lag_s: ClassVar[float] = 0.5
    settings_table: ClassVar[Mapping[str, Setting]] = {
        **_settings(_ABCD, False), **_outputs(("1", "2", "3", "4"), 3), **_heater(4, 4, 3), **_ANALOG,
    }  # fmt: skip


class Model350(_Family33x):
    """Four inputs; output 1 gives 75 W in five ranges, output 2 one watt in five, 3 and 4 ±10 V."""

    model: ClassVar[str] = "Model350"
    firmware: str = "1.4"
    identity: ClassVar[str] = "LSCI,MODEL350,350A123/1234567,{firmware}"
    inputs_table: ClassVar[tuple[str, ...]] = _ABCD
    currents_A: ClassVar[tuple[float, ...]] = (*_CURRENTS_A, math.sqrt(3.0))
    ranges: ClassVar[int] = 5
    most_W: ClassVar[Mapping[str, float]] = {"1": 75.0, "2": 1.0}
    settings_table: ClassVar[Mapping[str, Setting]] = {
        **_settings(_ABCD, True), **_outputs(("1", "2", "3", "4"), 5), **_heater(4, 4, 1), **_ANALOG,
    }  # fmt: skip
    inferred: ClassVar[tuple[str, ...]] = (
        *_Family33x.inferred,
        "The set point is read back at once: no delay is reported of the 350, unlike of the 335, 336 and 372",
        "Output 2 has the five ranges of output 1",
    )
