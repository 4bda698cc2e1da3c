"""Front panel of Oxford Instruments' Mercury iPS: up to three magnet supplies, each a group of units, on port 7020.

Wire facts beside those of `mercury`: QCoDeS' driver, Lab::Measurement and its recorded traffic, and the notes of ISIS
(status bits, alarms). A real unit says IPS where the manual has iPS. Firmware 2.6 renames the kind PSU to SPSU.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from ..core.errors import ConfigError
from .coolant import Cryocooler, HeliumBath
from .mercury import DENIED, INVALID, NOT_APPLICABLE, MercuryPanel, Noun, Nouns, Refusal, board, number, on_off, one_of
from .oxford_supply import Activity, Supply
from .world import World

_UNIT_A = 60.0
_s_per_min = 60.0
_LARGEST = 1e6
_ACTIONS = {
    "HOLD": Activity.HOLD, "RTOS": Activity.TO_SET, "RTOZ": Activity.TO_ZERO, "CLMP": Activity.CLAMPED,
}  # fmt: skip
_ACTION_NAMES = {activity: name for name, activity in _ACTIONS.items()}
# Bits of a group's STAT word (ISIS, from the manual's issue 20)
_MISMATCH, _QUENCH = 0x1, 0x100
# The readback of the switch heater is behind the command.
_HEATER_LAG_s = 1.0
_HEATER_mA = 70.0
_TUBE_K = 40.0
# A bare level probe (ohm), from a recorded pair of level and resistance.
_PROBE_ohm = 109.8


class MercuryIPS(MercuryPanel):
    """Groups GRPX, GRPY and GRPZ for the coils `axes` of the laboratory (all it has, if none are named).

    Each group has as many units of 60 A as its coil needs. With the coils come the magnet's thermometer MB1.T1, the
    cold head's two (DB8.T1, DB7.T1) or the helium level (DB5.L1). It wakes up clamped.
    """

    model: ClassVar[str] = "MERCURY IPS"
    firmware: str = "2.5.09.000"
    knobs: ClassVar[tuple[str, ...]] = tuple(
        f"{axis} {what}" for axis in "xyz" for what in ("setpoint", "rate", "action", "heater")
    )
    inferred: ClassVar[tuple[str, ...]] = (
        *MercuryPanel.inferred,
        "A set point beyond CLIM is INVALID; a sweep while clamped, a clamp with current in the leads and a heater "
        "with leads and magnet more than 0.1 A apart are DENIED; SWHN switches without the check.",
        "After a quench sweeps and heater are DENIED until a HOLD resets it; the output is then at zero.",
        "ACTN falls back to HOLD after RTOZ as it does after RTOS. While the heater is on PFLD and PCUR are as FLD "
        "and CURR.",
        "SWHT reads the new state one second after the command. STAT is eight hexadecimal digits.",
        "A sweep obeys the coil's own limits; the leads alone sweep at the same rate.",
        "With SPSU the old noun PSU is gone, and the other way round; units PSU.Mn have the noun of their group.",
        "CLIM, VLIM, IND, SHTC and the switch times have no unit; ATOB, CLIM, VLIM and the switch times are guarded.",
        "The first stage of the cold head is at 40 K and follows the magnet at three times its warming.",
        "Switched off, it lets the magnets run down at 1 V with the heaters off.",
    )

    def __init__(
        self, world: World, name: str, wiring: str = "", *, axes: tuple[str, ...] = (), firmware: str = ""
    ) -> None:
        super().__init__(world, name, wiring, firmware=firmware)
        self._noise = world.stream(f"supply {name}")
        kind = "SPSU" if _number_of(self.firmware) >= (2, 6) else "PSU"
        self.supplies: dict[str, Supply] = {}
        units: dict[str, dict[str, Nouns]] = {}
        for axis in axes or tuple(sorted(world.magnets)):
            supply = Supply(world, name, axis, math.inf)
            self.supplies[axis] = supply
            self._devices[f"GRP{axis.upper()}"] = {kind: self._group(supply)}
            count = math.ceil(supply.limit_A / _UNIT_A)
            for _ in range(count):
                units[f"PSU.M{len(units) + 1}"] = {kind: board("UNIT") | self._unit(supply, 1.0 / count)}
        magnet = next(iter(self.supplies.values())).magnet
        self._devices["MB1.T1"] = {"TEMP": self._thermometer("MAGNET", lambda: magnet.coil_K)}
        if isinstance(magnet.coolant, Cryocooler):
            base_K = magnet.coolant.settings.base_K
            self._devices["DB8.T1"] = {
                "TEMP": self._thermometer("PT1", lambda: _TUBE_K + 3.0 * (magnet.coil_K - base_K))
            }
            self._devices["DB7.T1"] = {"TEMP": self._thermometer("PT2", lambda: magnet.coil_K)}
        self._devices |= units
        if isinstance(bath := magnet.coolant, HeliumBath):
            self._devices["DB5.L1"] = {"LVL": _level(bath)}

    def prepare(self, setting: bool) -> None:
        """Notice quenches and arrivals since the last command."""
        for supply in self.supplies.values():
            supply.look()
            if supply.activity in (Activity.TO_SET, Activity.TO_ZERO) and not supply.sweeping:
                supply.activity = Activity.HOLD

    def alarms(self) -> list[tuple[str, str]]:
        """Quenched groups."""
        return [(f"GRP{axis.upper()}", "Quench Detected") for axis, supply in self.supplies.items() if supply.tripped]

    # The nouns of a group and of its units

    def _group(self, supply: Supply) -> Nouns:
        def tesla(current_A: float) -> float:
            return current_A * supply.tesla_per_ampere

        def in_coil_A() -> float:
            return supply.lead_A if supply.heater_on else supply.recorded_A

        def aim(text: str, unit: str) -> None:
            value = number(text, -_LARGEST, _LARGEST, unit)
            if not supply.aim(value / supply.tesla_per_ampere if unit == "T" else value):
                raise Refusal(INVALID)

        def pace(text: str, unit: str) -> None:
            value = number(text, 0.0, _LARGEST, unit) / _s_per_min
            supply.pace(value / supply.tesla_per_ampere if unit == "T/m" else value)

        def per_minute(current_A_per_s: float) -> float:
            return current_A_per_s * _s_per_min

        magnet = supply.magnet
        return board("MAGNET SUPPLY") | self._unit(supply) | {
            "SIG:FLD": Noun(lambda: f"{tesla(supply.lead_A):.4f}T"),
            "SIG:PFLD": Noun(lambda: f"{tesla(in_coil_A()):.4f}T"), "SIG:PCUR": Noun(lambda: f"{in_coil_A():.4f}A"),
            "SIG:FSET": Noun(lambda: f"{tesla(supply.set_A):.4f}T", lambda text: aim(text, "T")),
            "SIG:CSET": Noun(lambda: f"{supply.set_A:.4f}A", lambda text: aim(text, "A")),
            "SIG:RFST": Noun(lambda: f"{tesla(per_minute(supply.rate_A_per_s)):.4f}T/m", lambda t: pace(t, "T/m")),
            "SIG:RCST": Noun(lambda: f"{per_minute(supply.rate_A_per_s):.4f}A/m", lambda text: pace(text, "A/m")),
            "SIG:RFLD": Noun(lambda: f"{tesla(per_minute(_slope(supply))):.4f}T/m"),
            "SIG:RCUR": Noun(lambda: f"{per_minute(_slope(supply)):.4f}A/m"),
            "SIG:SWHT": Noun(partial(_heater, supply), partial(_heat, supply, check=True)),
            "SIG:SWHN": Noun(partial(_heater, supply), partial(_heat, supply, check=False)),
            "ACTN": Noun(lambda: _ACTION_NAMES[supply.activity], partial(_act, supply)),
            "STAT": Noun(lambda: f"{_QUENCH * supply.tripped | _MISMATCH * supply.mismatched:08X}"),
            "ATOB": Noun(lambda: f"{1.0 / supply.tesla_per_ampere:.3f}", partial(_scale, supply), guarded=True),
            "CLIM": Noun(lambda: f"{supply.limit_A:.3f}", partial(_limit, supply), guarded=True),
            "VLIM": Noun(lambda: f"{magnet.voltage_limit_V:.3f}", partial(_limit_voltage, supply), guarded=True),
            "IND": Noun(lambda: f"{magnet.settings.inductance_H:.3f}"), "BIPL": Noun(lambda: "ON"),
            "SWPR": Noun(lambda: "PSU.M1" if supply.switch_fitted else "None"),
            "SHTC": Noun(lambda: f"{_HEATER_mA:.3f}"),
        } | self._switch_times(supply)  # fmt: skip

    def _switch_times(self, supply: Supply) -> Nouns:
        times_ms = {
            "SWONT": 1e3 * supply.magnet.settings.warm_time_s, "SWOFT": 1e3 * supply.magnet.settings.cool_time_s,
        }  # fmt: skip

        def write(name: str) -> Callable[[str], None]:
            return lambda text: times_ms.update({name: number(text, 0.0, _LARGEST)})

        def read(name: str) -> Callable[[], str]:
            return lambda: f"{times_ms[name]:.0f}"

        return {name: Noun(read(name), write(name), guarded=True) for name in times_ms}

    def _unit(self, supply: Supply, share: float = 1.0) -> Nouns:
        """What the meters of a unit show, which carries its share of the group's current."""
        return {
            "SIG:VOLT": Noun(lambda: f"{supply.lead_V:.4f}V"),
            "SIG:CURR": Noun(lambda: f"{share * supply.lead_A + 5e-5 * self._noise.next():.4f}A"),
        }

    def _thermometer(self, nick: str, kelvin: Callable[[], float]) -> Nouns:
        return board(nick, "NTC") | {"SIG:TEMP": Noun(lambda: f"{kelvin() * (1.0 + 1e-4 * self._noise.next()):.4f}K")}

    # What can go wrong with it

    def power_cycle(self) -> None:
        """Its settings are gone; the magnets run down."""
        self._engineering, self._lock = False, "OFF"
        for supply in self.supplies.values():
            supply.switch_off()

    def turn(self, knob: str, value: str) -> None:
        """Of an axis: `setpoint` (T), `rate` (T/min), `action` as in ACTN, `heater` ON or OFF."""
        axis, what = knob.split()
        name = {"setpoint": "SIG:FSET", "rate": "SIG:RFST", "action": "ACTN", "heater": "SIG:SWHT"}[what]
        uid = f"GRP{axis.upper()}"
        if uid not in self._devices:
            self._lacks(f"a group {uid}")
        self.prepare(True)
        nouns = next(iter(self._devices[uid].values()))
        if (outcome := self._outcome(nouns[name], value)) != "VALID":
            raise ConfigError(f"{self.name!r} takes no {knob} {value!r}: {outcome}")


def _heater(supply: Supply) -> str:
    if not supply.switch_fitted:
        raise Refusal(NOT_APPLICABLE)
    late = supply.world.clock.now() - supply.heater_s < _HEATER_LAG_s
    return on_off(supply.heater_on != late)


def _heat(supply: Supply, text: str, check: bool) -> None:
    if not supply.switch_fitted:
        raise Refusal(NOT_APPLICABLE)
    if not supply.heat(one_of(text, "ON", "OFF") == "ON", check):
        raise Refusal(DENIED)


def _act(supply: Supply, text: str) -> None:
    if not supply.act(_ACTIONS[one_of(text, *_ACTIONS)]):
        raise Refusal(DENIED)


def _scale(supply: Supply, text: str) -> None:
    supply.tesla_per_ampere = 1.0 / number(text, 1e-3, _LARGEST)


def _limit(supply: Supply, text: str) -> None:
    supply.limit_A = number(text, 0.0, supply.segments[-1][0])


def _limit_voltage(supply: Supply, text: str) -> None:
    supply.magnet.voltage_limit_V = number(text, 0.0, 10.0)


def _slope(supply: Supply) -> float:
    """How fast the current moves (A/s)."""
    now_s = supply.world.clock.now()
    return (supply.magnet.lead_current(now_s + 1e-3) - supply.magnet.lead_current(now_s)) / 1e-3


def _level(bath: HeliumBath) -> Nouns:
    return board("LEVEL", "HEL") | {
        "SIG:HEL:LEV": Noun(lambda: f"{bath.level_percent:.4f}%"),
        "SIG:HEL:RES": Noun(lambda: f"{_PROBE_ohm * (1.0 - bath.level_percent / 100.0):.4f}O"),
    }


def _number_of(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
