"""What befalls a magnet in an ordeal: each seed lets some kinds of fault happen, and those often."""

import random
from collections.abc import Callable

from ..simulators.faults import Fault
from .ordeal_rig import NAME

_Draw = Callable[[random.Random, float], Fault]


def _wire(kind: str, amount: Callable[[random.Random], float] | None = None, text: str = "") -> _Draw:
    """A fault of the wire at any time, on one to three commands."""

    def draw(dice: random.Random, end_s: float) -> Fault:
        return Fault(
            kind, NAME, at_s=dice.uniform(0.0, end_s), count=dice.choice((1, 1, 2, 3)),
            amount=amount(dice) if amount else None, text=text,
        )  # fmt: skip

    return draw


def _lasting(kind: str, least_s: float, most_s: float, amount: float | None = None, *, of_panel: bool = True) -> _Draw:
    """A fault that holds for a while, of the supply or of the laboratory."""

    def draw(dice: random.Random, end_s: float) -> Fault:
        return Fault(
            kind, NAME if of_panel else "", at_s=dice.uniform(0.0, end_s), for_s=dice.uniform(least_s, most_s),
            amount=amount,
        )  # fmt: skip

    return draw


def _once(kind: str, *, of_panel: bool = True) -> _Draw:
    return lambda dice, end_s: Fault(kind, NAME if of_panel else "", at_s=dice.uniform(0.0, end_s))


def _knob(*positions: str) -> _Draw:
    """Somebody at the front panel, within what the magnet stands: even a foreign hand must not hide our own breach."""
    return lambda dice, end_s: Fault("turned", NAME, at_s=dice.uniform(0.0, end_s), text=dice.choice(positions))


_LINK: dict[str, _Draw] = {
    "late": _wire("late", lambda dice: dice.choice((0.5, 1.5, 2.5, 4.0, 9.0))),
    "lost": _wire("lost"),
    "doubled": _wire("doubled"),
    "split": _wire("split", lambda dice: dice.uniform(0.05, 0.6)),
    "dripping": _wire("dripping", lambda dice: dice.uniform(0.02, 0.4)),
    "cut": _wire("cut"),
    "short": _wire("short"),
    "garbage": _wire("garbage"),
    "noise": _lasting("noise", 20.0, 200.0, 1e-3),
    "empty": _wire("empty"),
    "unheard": _wire("unheard"),
    "ignored": _wire("ignored"),
    "refused": _wire("refused"),
    "local": _lasting("local", 5.0, 60.0),
    "reset": _wire("reset"),
    "reset_before": _wire("reset_before"),
    "half_open": _wire("half_open"),
    "unreachable": _lasting("unreachable", 1.0, 90.0),
    "frozen": _lasting("frozen", 3.0, 60.0),
}
_SUPPLY: dict[str, _Draw] = {
    "power_cycle": _once("power_cycle"),
    "off": _lasting("off", 1.0, 60.0),
    "quench": _once("quench", of_panel=False),
    # A wire that breaks does not mend.
    "heater_open": _once("heater_open", of_panel=False),
    "slow_switch": _lasting("slow_switch", 300.0, 900.0, 60.0, of_panel=False),
    "lead_resistance": _lasting("lead_resistance", 60.0, 600.0, 0.5, of_panel=False),
}
# By supply: what its front is like. The values are harmless ones.
_KNOBS: dict[str, dict[str, _Draw]] = {
    "sms": {
        "setpoint": _knob("setpoint=0.1", "setpoint=0.05"),
        "rate": _knob("rate=0.01"),
        "pause": _knob("pause=ON", "pause=OFF"),
        "units": _knob("units=TESLA"),
        "heater": _knob("heater=OFF"),
    },
    "ips": {
        "setpoint": _knob("setpoint=0.04", "setpoint=-0.06"),
        "control": _knob("control=local"),
        "activity": _knob("activity=hold"),
    },
    "ami": {
        "setpoint": _knob("setpoint=0.1"),
        "pause": _knob("pause=ON"),
        "units": _knob("units=T"),
    },
    "4g": {"pause": _knob("pause=ON"), "units": _knob("units=G")},
}


def draw_faults(dice: random.Random, supply: str, end_s: float) -> list[Fault]:
    """The faults of one night: a few kinds, chosen by the dice, each up to four times.

    Two nights of ten have none: what must hold in bad nights must hold in quiet ones too.
    """
    if dice.random() < 0.2:
        return []
    kinds = _LINK | _SUPPLY | _KNOBS.get(supply, {})
    chosen = dice.sample(sorted(kinds), dice.choice((1, 1, 2, 3, 5)))
    return [kinds[name](dice, end_s) for name in chosen for _ in range(dice.choice((1, 1, 2, 4)))]
