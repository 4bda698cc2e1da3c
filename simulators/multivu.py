"""MultiVu, the program that runs Quantum Design's MPMS3, PPMS, DynaCool and VersaLab, as MultiPyVu's server reaches it.

Wire facts from MultiPyVu 3.8.0's source: `TEMP? ` gives `value,K,state`, `TEMP set point,K/min,approach` gives
`TEMP Command Received`; fields in Oe and Oe/s; an error's text begins `MultiPyVuError: `. What cannot be read as
numbers "has not been implemented", and only the characters of its own numbers are seen at all.
"""

import math
import re
from collections.abc import Callable, Generator
from typing import ClassVar

from . import multivu_chamber as chamber
from . import multivu_field as field
from . import multivu_flavour as flavours
from . import multivu_temperature as temperature
from .coolant import HeliumBath
from .front_panel import Conversation, FrontPanel, Magnetometer
from .multivu_bridge import BridgeModule
from .multivu_chamber import Chamber
from .multivu_conversation import FramedConversation
from .multivu_field import FieldControl
from .multivu_flavour import Flavour
from .multivu_temperature import TemperatureControl
from .multivu_wait import Mask, Waiter, mask_of
from .multivu_wire import Refusal, single
from .world import World

_COMMAND = re.compile(r"([A-Z_]+)(\??) ?([\w :?.,-]*)")
_SUCCESS = "Call was successful"
_OERSTED_PER_TESLA = 1e4
_LEAST_HELIUM_PERCENT = 30.0


class MultiVu(FrontPanel):
    """One cryostat with its program. `wiring` names the contacts of the resistance bridges, as in `xx,xy`.

    `execute` takes what MultiPyVu's server hands on, action and query in one line, except a `WAITFOR`, which takes its
    time: that is `waiting`. `temperature`, `field` and `chamber` are the instrument itself, and what a sequence on the
    instrument's own computer drives. Served by `multivu_server`: on a bare line it says the same without the frames.
    """

    flavour: ClassVar[Flavour]
    on_a_line: ClassVar[bool] = False
    # What measures with it brings the SQUID.
    squid: Magnetometer | None = None
    latency_s: ClassVar[float] = 0.02
    firmware: str = "MultiPyVu 3.8.0"
    inferred: ClassVar[tuple[str, ...]] = (
        "Field, rate and temperature ranges are those of brochures; what exceeds them fails with the text for a failed "
        "call.",
        "Settling times, tolerances, pressures and the duration of chamber operations are of the usual size.",
        "State words follow the PPMS definitions in every flavour; the MPMS3 says Stable where others say Holding.",
        "A new temperature set point is taken up half a second after MultiVu reports it.",
        "A quenched magnet says Quenching while its current decays, then Current Error, and refuses every field.",
        "With less than 30 % of helium the magnet is not charged.",
        "An open bridge shows 4 MOhm, a channel that is off 0; no rotator is fitted.",
        "The texts for a wrong number of arguments are shorter than the real ones.",
    )

    def __init__(self, world: World, name: str, wiring: str = "xx,xy") -> None:
        super().__init__(world, name, wiring)
        flavour = self.flavour
        coldest_K, hottest_K = flavour.temperatures_K
        self.temperature = TemperatureControl(world, min(max(world.cryostat.sample_K, coldest_K), hottest_K))
        self.field = FieldControl(world, flavour.largest_T, flavour.resting_code)
        self.chamber = Chamber(world.clock.now(), flavour.vent_code)
        self.bridges = BridgeModule(world, wiring, name, flavour.bridge_node)
        # Set points as they were asked for, in the operator's units: (Oe, Oe/s, approach, driven).
        self._field_asked: tuple[float, float, int, int] | None = None
        self.waiter = Waiter(world, self.temperature, self.field, self.chamber)
        self._noise = world.stream(f"thermometer {name}")
        self._queries: dict[str, Callable[[str], str]] = {
            "TEMP": lambda _: f"{self.kelvin()},K,{temperature.STATES[self.temperature.code]}",
            "TEMP_SETPOINTS": self._temperature_setpoints, "FIELD_SETPOINTS": self._field_setpoints,
            "FIELD_SETPOINTS_X": self._field_setpoints, "FIELD_SETPOINTS_Y": self._field_setpoints,
            "FIELD": lambda _: f"{self.oersted()},Oe,{field.STATES[self.field.code]}",
            "CHAMBER": lambda _: f"0.0,,{chamber.STATES[self.chamber.code(self.world.clock.now())]}",
            "WAITFOR": lambda q: f"{int(self.waiter.settled(self._mask(q)))},,{_SUCCESS}", "SDO": self.bridges.read,
            "POSITION": self._position, "VECTOR_CART": _no_vector, "VECTOR_SPHERE": _no_vector,
        }  # fmt: skip
        self._orders: dict[str, Callable[[str], str | None]] = {
            "TEMP": self._set_temperature, "FIELD": self._set_field, "CHAMBER": self._set_chamber,
            "SDO": self.bridges.write, "POSITION": self._set_position, "VECTOR_CART": _no_vector,
            "VECTOR_SPHERE": _no_vector,
        }  # fmt: skip

    def converse(self) -> Conversation:
        """A client's connection inside this process: MultiPyVu's frames."""
        return FramedConversation(self, self.flavour.name, self.flavour.multivu)

    def magnetometer(self) -> Magnetometer:
        """The SQUID of the measurements on it, once there are any."""
        return self.squid or super().magnetometer()

    def execute(self, command: str) -> str:
        """Do `action query` and give the result's text."""
        found = _COMMAND.findall(command)
        if len(found) != 1:
            return _not_implemented(command)
        action, mark, query = found[0]
        self.world.advance()
        try:
            table = self._queries if mark else self._orders
            if action not in table:
                raise Refusal(f'Unknown command: "{action}".')
            answer = table[action](query)
        except Refusal as refusal:
            return f"MultiPyVuError: {refusal}"
        except ValueError:
            return _not_implemented(command)
        return answer if answer is not None else f"{action} Command Received"

    def waiting(self, query: str) -> Generator[float, None, str]:
        """A `WAITFOR delay,timeout,mask`: gives the seconds that must pass until it goes on, and returns the result."""
        try:
            texts = query.split(",")
            if len(texts) > 3:
                raise Refusal(f"Error when setting the WAITFOR {query}: it takes delay, timeout and mask")
            delay_s, timeout_s, mask = (*texts, "0", "0")[:3]
            end = yield from self.waiter.waiting(float(delay_s), float(timeout_s), self._mask(mask))
        except Refusal as refusal:
            return f"MultiPyVuError: {refusal}"
        except ValueError:
            return _not_implemented("WAITFOR")
        return f"WAITFOR Command Received,{int(end)}"

    def _mask(self, text: str) -> int:
        mask = mask_of(text)
        if mask & Mask.FIELD and not self.flavour.field_setpoint and self._field_asked is None:
            raise Refusal("The MPMS3 cannot report its field set point: call set_field() before waiting on the field.")
        return mask

    # What its own screen shows

    def kelvin(self) -> float:
        """The thermometer's reading (K)."""
        cryostat, magnetic_T = self.world.cryostat, self.world.magnet.field()
        return single(cryostat.sensor("sample", magnetic_T, self._noise.next()))

    def oersted(self) -> float:
        """The magnet's reading (Oe)."""
        return single(self.field.reported_T * _OERSTED_PER_TESLA)

    @property
    def helium_percent(self) -> float | None:
        """The helium level, as of the last `world.advance`; None in an instrument without a bath."""
        coolant = self.world.magnet.coolant
        return coolant.level_percent if isinstance(coolant, HeliumBath) else None

    # Orders and set points

    def _set_temperature(self, query: str) -> None:
        texts = query.split(",")
        if len(texts) != 3:
            raise Refusal(f"Error when setting the TEMP {query}: it takes set point, rate and approach")
        target_K, rate, mode = float(texts[0]), float(texts[1]), int(texts[2])
        if target_K < 0.0:
            raise Refusal(f"Error when setting the TEMP {query}: Temperature must be a positive number.")
        if mode > max(temperature.Approach):
            raise Refusal(f"Error when setting the TEMP {query}: The approach, {mode}, is out of bounds.")
        approach = temperature.Approach(mode)
        flavour = self.flavour
        if not (_within(target_K, flavour.temperatures_K) and _within(rate, flavour.rates_K_per_min)):
            raise Refusal("Error when calling SetTemperature()")
        self.temperature.order(target_K, rate, approach)

    def _temperature_setpoints(self, _query: str) -> str:
        control = self.temperature
        return f"({control.target_K}, {control.rate_K_per_min}, {int(control.approach)}),K,{_SUCCESS}"

    def _set_field(self, query: str) -> None:
        texts = query.split(",")
        if len(texts) != 4:
            raise Refusal(f"Error when setting the FIELD {query}: it takes set point, rate, approach and driven mode")
        oersted, rate, mode, driven = float(texts[0]), float(texts[1]), int(texts[2]), int(texts[3])
        flavour = self.flavour
        if mode >= len(field.APPROACHES):
            raise Refusal(f"The approach, {mode}, is out of bounds. Must be one of the following: 0, 1, 2")
        if mode < 0:
            raise ValueError(mode)
        if mode == 1 and not flavour.no_overshoot:
            raise Refusal(f"{flavour.name} does not support the no_overshoot approach mode.")
        if driven not in (0, 1):
            raise Refusal(f"The driven mode, {driven}, is out of bounds. Must be one of the following: 0, 1")
        if not driven and not flavour.persistent:
            raise Refusal(f"{flavour.name} can only drive the magnet in driven mode.")
        target_T, rate_T_per_s = oersted / _OERSTED_PER_TESLA, rate / _OERSTED_PER_TESLA
        slowest, fastest = flavour.rates_T_per_s
        largest_T, fastest = self.field.largest_T, min(fastest, self.field.fastest_T_per_s)
        in_range = _within(target_T, (-largest_T, largest_T)) and _within(rate_T_per_s, (slowest, fastest))
        level = self.helium_percent
        dry = level is not None and level < _LEAST_HELIUM_PERCENT
        if not in_range or dry or self.world.magnet.quenched:
            raise Refusal("Error when calling SetField()")
        self._field_asked = (oersted, rate, mode, driven)
        self.field.order(target_T, rate_T_per_s, field.APPROACHES[mode], bool(driven))

    @property
    def field_set_point(self) -> tuple[float, float, int, int]:
        """What field was asked for last: Oe, Oe/s, approach, driven."""
        return self._field_asked or (0.0, self.flavour.rates_T_per_s[1] * _OERSTED_PER_TESLA, 0, 1)

    def _field_setpoints(self, _query: str) -> str:
        if not self.flavour.field_setpoint:
            raise Refusal(f"{self.flavour.name} does not support getting field set points")
        oersted, rate, mode, driven = self.field_set_point
        return f"({oersted}, {rate}, {mode}, {driven}),Oe,{_SUCCESS}"

    def _set_chamber(self, query: str) -> None:
        mode = int(query)
        if mode > max(chamber.Mode):
            raise Refusal(f"The selected mode, {mode}, is out of bounds.  Must be one of the following: 0 to 5")
        self.chamber.order(chamber.Mode(mode), self.world.clock.now())

    # Options

    def _position(self, _query: str) -> str:
        if not self.flavour.rotator:
            # The first half of this sentence is lost in the real one too.
            raise Refusal(f"with the {self.flavour.name}")
        raise Refusal("Error when calling GetPosition()")

    def _set_position(self, query: str) -> None:
        texts = query.split(",")
        if len(texts) != 2:
            raise Refusal("Setting the rotator position requires two numeric inputs")
        if not self.flavour.rotator:
            raise Refusal(f"with the {self.flavour.name}")
        if not -10.0 <= float(texts[0]) <= 370.0:
            raise ValueError(texts[0])
        raise Refusal("Error when calling setPosition(), is the Rotator Option active?")


class MPMS3(MultiVu):
    """A SQUID magnetometer to 7 T."""

    model: ClassVar[str] = "MPMS3"
    flavour: ClassVar[Flavour] = flavours.MPMS3


class PPMS(MultiVu):
    """A PPMS with a 9 T magnet that can be persistent."""

    model: ClassVar[str] = "PPMS"
    flavour: ClassVar[Flavour] = flavours.PPMS


class DynaCool(MultiVu):
    """A cryogen-free PPMS."""

    model: ClassVar[str] = "DynaCool"
    flavour: ClassVar[Flavour] = flavours.DYNACOOL


class VersaLab(MultiVu):
    """A 3 T instrument from 50 K up."""

    model: ClassVar[str] = "VersaLab"
    flavour: ClassVar[Flavour] = flavours.VERSALAB


def _no_vector(_query: str) -> str:
    raise Refusal("The vector magnet only works with OptiCool")


def _not_implemented(command: str) -> str:
    return f"The command '{command.split(' ')[0]}' has not been implemented."


def _within(value: float, limits: tuple[float, float]) -> bool:
    """Limits are of round numbers in other units: the last bit does not count."""
    slack = 1e-9 * max(abs(limits[0]), abs(limits[1]))
    return math.isfinite(value) and limits[0] - slack <= value <= limits[1] + slack
