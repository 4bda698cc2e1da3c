"""The resistance module of a DynaCool or VersaLab, on CAN node 21: three bridges.

Objects as MultiPyVu 3.8.0 uses them: index 0x6000 + bridge; sub-index 1 resistance (ohm), 2 current (µA), 3 channel on,
4 constant current, 5 current (µA), 6, 7 and 8 limits of current (µA), power (µW) and voltage (mV).
"""

import math
import re

from .multivu_wire import Refusal, single
from .world import World

_RESISTANCE, _CURRENT, _ON, _CONSTANT, _SETTING = 1, 2, 3, 4, 5
_CURRENT_LIMIT, _POWER_LIMIT, _VOLTAGE_LIMIT = 6, 7, 8
# Assumptions: its noise, its settings at power-on, and what it shows on contacts that lead nowhere.
_NOISE_V = 2e-8
_AT_START = {_ON: 0.0, _CONSTANT: 0.0, _SETTING: 1.0, _CURRENT_LIMIT: 100.0, _POWER_LIMIT: 100.0, _VOLTAGE_LIMIT: 95.0}
_OPEN_ohm = 4e6
_OBJECT = re.compile(r"node: (\d{1,2})  index: (0x[0-9a-fA-F]{1,4})  sub_index: (0x[0-9a-fA-F]{1,4})  type: (\w+)")
_FIRST_BRIDGE = 0x6001


class Bridge:
    """One bridge on a pair of contacts of the sample: `xx`, `xy`, or nothing."""

    def __init__(self, world: World, contacts: str, name: str) -> None:
        self._world = world
        self._contacts = contacts
        self._noise = world.stream(name)
        self._settings = dict(_AT_START)

    def read(self, sub_index: int) -> float | None:
        """The value of one object, or None where there is none; call `world.advance` first."""
        if sub_index in self._settings:
            return self._settings[sub_index]
        if sub_index not in (_RESISTANCE, _CURRENT):
            return None
        if not self._settings[_ON]:
            return 0.0
        true_ohm = self._true_ohm()
        current_A = self._current(true_ohm)
        if sub_index == _CURRENT:
            return current_A * 1e6
        return self.resistance(current_A)

    @property
    def wired(self) -> bool:
        """True on contacts of the sample."""
        return self._contacts in ("xx", "xy")

    def resistance(self, current_A: float) -> float:
        """A reading (ohm) at this current; call `world.advance` first."""
        return self._true_ohm() + _NOISE_V / current_A * self._noise.next()

    def write(self, sub_index: int, value: float) -> bool:
        """Set one object; False where there is none that can be written."""
        if sub_index not in self._settings or not math.isfinite(value) or value < 0.0:
            return False
        self._settings[sub_index] = value
        return True

    def _true_ohm(self) -> float:
        if not self.wired:
            return _OPEN_ohm
        world = self._world
        r_xx, r_xy = world.sample.resistances(world.magnet.field(), world.cryostat.sample_K)
        return r_xx if self._contacts == "xx" else r_xy

    def _current(self, ohm: float) -> float:
        """The current (A): what was set, or the most that no limit forbids."""
        s = self._settings
        if s[_CONSTANT]:
            return max(s[_SETTING] * 1e-6, 1e-8)
        by_power = math.sqrt(s[_POWER_LIMIT] * 1e-6 / max(abs(ohm), 1e-9))
        by_voltage = s[_VOLTAGE_LIMIT] * 1e-3 / max(abs(ohm), 1e-9)
        return max(min(s[_CURRENT_LIMIT] * 1e-6, by_power, by_voltage), 1e-8)


class BridgeModule:
    """The three bridges as objects of the module on `node`; an instrument without the module has no `node`."""

    def __init__(self, world: World, wiring: str, name: str, node: int | None) -> None:
        contacts = (*(text.strip() for text in wiring.split(",")), "", "", "")[:3]
        self.bridges = tuple(Bridge(world, pair, f"bridge {n} {name}") for n, pair in enumerate(contacts, 1))
        self._node = node

    def read(self, query: str) -> str:
        """Answer `SDO?`."""
        bridge, sub_index, kind, trouble = self._object(query)
        value = bridge.read(sub_index) if bridge else None
        if value is None:
            raise Refusal(f"ReadSDO returned error '{trouble}' while reading ({query})")
        shown = single(value) if kind in ("single_t", "double_t") else int(value)
        return f"{shown},,Call was successful"

    def write(self, query: str) -> None:
        """Do `SDO object,value`."""
        name, _, value = query.partition(",")
        bridge, sub_index, _, trouble = self._object(name)
        if bridge is None or not bridge.write(sub_index, float(value)):
            raise Refusal(f"Error when setting the SDO {query}: {trouble.partition(': ')[2]}")

    def _object(self, text: str) -> tuple[Bridge | None, int, str, str]:
        """The bridge and sub-index that `text` names, the type asked for, and the error if there is no such object."""
        match = _OBJECT.fullmatch(text)
        if match is None:
            raise ValueError(text)
        node, index, sub_index = int(match[1]), int(match[2], 16), int(match[3], 16)
        if node != self._node:
            return None, sub_index, match[4], "5: CAN Error: Node was not found"
        number = index - _FIRST_BRIDGE
        bridge = self.bridges[number] if 0 <= number < len(self.bridges) else None
        return bridge, sub_index, match[4], "4: object does not exist in object directory"
