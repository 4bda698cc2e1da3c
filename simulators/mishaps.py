"""What can go wrong with the laboratory itself: a fault's name turned into what to do to the world, and to undo it.

A laboratory that lacks the thing (no helium, no sensor of that name) refuses when the fault is planned, not when it
happens.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from ..core.errors import ConfigError
from .contacts import CONTACTS
from .coolant import Cryocooler, HeliumBath
from .faults import Fault
from .world import World

Act = Callable[[], None]


def prepare(world: World, fault: Fault) -> tuple[Act, Act | None]:
    """What to do when the fault begins, and what when it ends; None if it cannot end.

    Raises:
        ConfigError: this laboratory lacks what the fault is about.
    """
    maker = _MAKERS.get(fault.kind)
    if maker is None:
        raise ConfigError(f"this laboratory cannot do the fault {fault.kind!r}")
    return maker(world, fault)


def _quench(world: World, fault: Fault) -> tuple[Act, Act | None]:
    return lambda: world.magnet.quench(world.clock.now(), "fault"), None


def _lead_resistance(world: World, fault: Fault) -> tuple[Act, Act | None]:
    usual_ohm = world.magnet.settings.lead_resistance_ohm

    def have(resistance_ohm: float) -> None:
        world.magnet.settings = replace(world.magnet.settings, lead_resistance_ohm=resistance_ohm)

    return lambda: have(fault.size), lambda: have(usual_ohm)


def _field_jump(world: World, fault: Fault) -> tuple[Act, Act | None]:
    def jump() -> None:
        settings = world.magnet.settings
        world.magnet.settings = replace(settings, offset_T=settings.offset_T + fault.size)

    return jump, None


def _slow_switch(world: World, fault: Fault) -> tuple[Act, Act | None]:
    if not world.magnet.settings.switch_fitted:
        raise ConfigError("this magnet has no persistent switch")
    usual_s = world.magnet.switch.warm_time_s

    def take(warm_time_s: float) -> None:
        world.magnet.switch.warm_time_s = warm_time_s

    return lambda: take(fault.size), lambda: take(usual_s)


def _helium_loss(world: World, fault: Fault) -> tuple[Act, Act | None]:
    bath = world.magnet.coolant
    if not isinstance(bath, HeliumBath):
        raise ConfigError("this magnet is not in liquid helium: it has a cryocooler")

    def lose() -> None:
        bath.litres = max(0.0, bath.litres - fault.size)

    return lose, None


def _compressor_stop(world: World, fault: Fault) -> tuple[Act, Act | None]:
    cooler = world.magnet.coolant
    if not isinstance(cooler, Cryocooler):
        raise ConfigError("this magnet has no cryocooler: it is in liquid helium")

    def run(on: bool) -> None:
        cooler.compressor_on = on

    return lambda: run(False), lambda: run(True)


def _stuck_heater(world: World, fault: Fault) -> tuple[Act, Act | None]:
    """Power that comes whatever the controllers say: one more heater at the block, from now until the end."""
    power_W = [0.0]
    world.cryostat.attach(lambda _block_K, _step_s: power_W[0])

    def give(watts: float) -> None:
        power_W[0] = watts
        world.cryostat.disturb()

    return lambda: give(fault.size), lambda: give(0.0)


def _heater_open(world: World, fault: Fault) -> tuple[Act, Act | None]:
    if not world.magnet.settings.switch_fitted:
        raise ConfigError("this magnet has no persistent switch")

    def be(broken: bool) -> None:
        world.magnet.switch.break_heater(broken, world.clock.now())

    return lambda: be(True), lambda: be(False)


def _sensor_noise(world: World, fault: Fault) -> tuple[Act, Act | None]:
    usual = world.cryostat.settings.sensor_noise_fraction

    def have(fraction: float) -> None:
        world.cryostat.settings = replace(world.cryostat.settings, sensor_noise_fraction=fraction)

    return lambda: have(fault.size), lambda: have(usual)


def _bad_contact(world: World, fault: Fault) -> tuple[Act, Act | None]:
    contact = int(fault.size)
    if contact not in CONTACTS:
        raise ConfigError(f"there is no contact {fault.size:g}", do="the contacts are 1 to 4")
    return lambda: world.contacts.damage(contact, math.inf), lambda: world.contacts.mend(contact)


def _overload(world: World, fault: Fault) -> tuple[Act, Act | None]:
    def fall(volts: float) -> None:
        world.interference_V = volts

    return lambda: fall(fault.size), lambda: fall(0.0)


def _unlocked(world: World, fault: Fault) -> tuple[Act, Act | None]:
    """The marker goes away, and comes back at the end or when the source is set anew."""
    excitation = world.excitation

    def off() -> None:
        excitation.marker = False

    def on() -> None:
        excitation.marker = excitation.on

    return off, on


_MAKERS: dict[str, Callable[[World, Fault], tuple[Act, Act | None]]] = {
    "quench": _quench, "lead_resistance": _lead_resistance, "field_jump": _field_jump, "slow_switch": _slow_switch,
    "helium_loss": _helium_loss, "compressor_stop": _compressor_stop, "stuck_heater": _stuck_heater,
    "heater_open": _heater_open, "sensor_noise": _sensor_noise, "bad_contact": _bad_contact, "overload": _overload,
    "unlocked": _unlocked,
}  # fmt: skip
