"""MultiVu's wait for temperature, field and chamber, as MultiPyVu's server carries it out.

Facts from MultiPyVu 3.8.0: it looks every 0.3 s and wants two good looks in a row; a temperature is settled by its
state word alone, a failure included; a field must also be near its set point; the limit covers the delay that follows.
"""

from collections.abc import Generator
from enum import IntEnum

from . import multivu_field as field
from . import multivu_temperature as temperature
from .multivu_chamber import Chamber
from .multivu_field import FieldControl
from .multivu_temperature import TemperatureControl
from .multivu_wire import Refusal
from .world import World

LOOK_s = 0.3
_LOOKS = 2
_NEAR_T, _NEAR_SHARE = 4e-5, 5e-3


class Mask(IntEnum):
    """What a wait can be for."""

    TEMPERATURE = 1
    FIELD = 2
    POSITION = 4
    CHAMBER = 8


class WaitEnd(IntEnum):
    """How a wait ended, in MultiVu's codes."""

    GOOD = 0
    TIMED_OUT = 258


class Waiter:
    """Judges whether an instrument has settled."""

    def __init__(self, world: World, control: TemperatureControl, magnet: FieldControl, chamber: Chamber) -> None:
        self._world = world
        self._temperature = control
        self._field = magnet
        self._chamber = chamber

    def settled(self, mask: int) -> bool:
        """True when everything in `mask` has stopped moving; call `world.advance` first."""
        return (
            (not mask & Mask.TEMPERATURE or self._temperature.code not in temperature.UNSETTLED)
            and (not mask & Mask.FIELD or self._field_settled())
            and (not mask & Mask.CHAMBER or self._chamber.settled(self._world.now()))
        )

    def _field_settled(self) -> bool:
        control = self._field
        now_T, target_T = control.reported_T, control.target_T
        # The share is of at least one oersted, so it never counts near zero.
        allowed_T = max(_NEAR_T, _NEAR_SHARE * max(abs(0.5 * (now_T + target_T)), 1e-4))
        return control.code in (field.STABLE, field.HOLDING) and abs(now_T - target_T) <= allowed_T

    def waiting(self, delay_s: float, timeout_s: float, mask: int) -> Generator[float, None, WaitEnd]:
        """A wait: gives the seconds that must pass until it goes on, and returns how it ended; no limit if it is 0."""
        clock = self._world.clock
        yield LOOK_s
        start_s, good = clock.now(), 0
        while good < _LOOKS:
            if 0.0 < timeout_s < clock.now() - start_s:
                return WaitEnd.TIMED_OUT
            yield LOOK_s
            self._world.advance()
            good = good + 1 if self.settled(mask) else 0
        settled_s = clock.now()
        while (left_s := settled_s + delay_s - clock.now()) > 0.0:
            if 0.0 < timeout_s < clock.now() - start_s:
                return WaitEnd.TIMED_OUT
            yield min(LOOK_s, left_s)
        return WaitEnd.GOOD


def mask_of(text: str) -> int:
    """The mask in a query.

    Raises:
        Refusal: it is for something that cannot be waited for.
    """
    mask = abs(int(text))
    if mask & Mask.POSITION:
        raise Refusal("wait_for() cannot wait on the position subsystem.")
    if mask & ~(Mask.TEMPERATURE | Mask.FIELD | Mask.CHAMBER):
        raise Refusal(f"The mask, {mask}, is out of bounds.")
    return mask
