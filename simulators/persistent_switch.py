"""The persistent switch of a superconducting magnet: a piece of wire across the coil, warmed by a heater.

Warm it is a resistor and the coil follows the leads; cold it is a short, and the coil keeps its current whatever the
leads do. It turns resistive when it has warmed all the way, and superconducting when it has cooled all the way; a
heater switched back halfway changes nothing.
"""

import math


class PersistentSwitch:
    """The heater and the state it leads to. Starts warm, with the heater on.

    `heater_on` is what the supply does to the heater; one that is `heater_broken` takes no current and warms nothing.
    """

    def __init__(self, warm_time_s: float, cool_time_s: float) -> None:
        self.warm_time_s = warm_time_s
        self.cool_time_s = cool_time_s
        self.heater_on = True
        self.heater_broken = False
        # When the switch will change its state by itself: a corner of the coil's path.
        self.change_s = math.inf
        self._heating = True
        self._since_s = -math.inf
        self._was_warm = True
        # How warm it was at `_since_s`, from 0 (superconducting for sure) to 1 (resistive for sure).
        self._was_heated = 1.0

    def heat(self, on: bool, now_s: float) -> None:
        """Switch the heater."""
        self.heater_on = on
        self._turn(now_s)

    def break_heater(self, broken: bool, now_s: float) -> None:
        """Break the heater's wire, or mend it: a switch that was warm by it cools down."""
        self.heater_broken = broken
        self._turn(now_s)

    def warm(self, now_s: float) -> bool:
        """True when the switch is resistive and the coil follows the leads."""
        return self._heating if now_s >= self.change_s else self._was_warm

    def moving(self, now_s: float) -> bool:
        """True while the switch warms up or cools down."""
        return now_s < self.change_s < math.inf

    def _turn(self, now_s: float) -> None:
        on = self.heater_on and not self.heater_broken
        if on == self._heating:
            return
        self._was_heated, self._was_warm = self._heated(now_s), self.warm(now_s)
        self._heating, self._since_s = on, now_s
        if on == self._was_warm:
            self.change_s = math.inf
        else:
            self.change_s = now_s + (
                (1.0 - self._was_heated) * self.warm_time_s if on else self._was_heated * self.cool_time_s
            )

    def _heated(self, now_s: float) -> float:
        passed_s = now_s - self._since_s
        if self._heating:
            rise = passed_s / self.warm_time_s if self.warm_time_s > 0 else 1.0
            return min(1.0, self._was_heated + rise)
        fall = passed_s / self.cool_time_s if self.cool_time_s > 0 else 1.0
        return max(0.0, self._was_heated - fall)
