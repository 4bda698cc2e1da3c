"""The field control of a MultiVu cryostat: approach modes, persistent mode, and the state words.

The words as the PPMS defines them: 4 driven and holding, 5 the final approach, 6 charging, 7 discharging, 2 and 3 the
persistent switch on its way. The field that it reports comes from the supply's current alone, as Quantum Design's
notes say: flux trapped in the magnet does not show.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from .leads import Approach, Piece, across, approach
from .world import World

STATES = {
    0: "Unknown", 1: "Stable", 2: "Switch Warming", 3: "Switch Cooling", 4: "Holding (driven)", 5: "Iterate",
    6: "Ramping", 7: "Ramping", 8: "Resetting", 9: "Current Error", 10: "Switch Error", 11: "Quenching",
    12: "Charging Error", 14: "PSU Error", 15: "General Failure",
}  # fmt: skip
STABLE, WARMING, COOLING, HOLDING, ITERATE, CHARGING, DISCHARGING, CURRENT_ERROR, QUENCHING = 1, 2, 3, 4, 5, 6, 7, 9, 11
APPROACHES = (Approach.LINEAR, Approach.NO_OVERSHOOT, Approach.OSCILLATE)

# Assumptions: the final approach takes this long and five times the coil's own lag; the leads alone move this fast.
_ITERATE_s, _ITERATE_LAGS = 3.0, 5.0
_LEADS_A_per_s = 2.0
_EMPTY_A = 0.1
_SUPPLY_STEPS = 2**19


@dataclass(frozen=True, slots=True)
class _Stage:
    """One stretch of an order: its state word, and what begins it at a time (s) and says how long it lasts (s)."""

    code: int
    begin: Callable[[float], float]


class FieldControl:
    """The magnet. `target_T`, `rate_T_per_s`, `approach` and `driven` are what was asked for.

    An order is a row of stages, and the laboratory wakes it when one of them ends, however seldom anybody asks.
    """

    def __init__(self, world: World, largest_T: float, resting_code: int) -> None:
        self._world = world
        self._magnet = world.magnet
        self._resting_code = resting_code
        self.target_T = 0.0
        self.rate_T_per_s = 0.0
        self.approach = Approach.LINEAR
        self.driven = True
        segments = world.settings.magnet.segments
        # What the program was set up with when the magnet was installed.
        self.largest_T = min(largest_T, self._tesla(segments[-1][0]))
        self.fastest_T_per_s = self._tesla(max(rate for _, rate in segments))
        self._stages: list[_Stage] = []
        self._code = resting_code
        self._alarm = world.timer(self._wake)

    @property
    def reported_T(self) -> float:
        """The field as the supply knows it (T): the leads' current, or what it left in the coil."""
        now_s = self._world.now()
        magnet = self._magnet
        warm = magnet.switch_warm(now_s)
        return self._tesla(magnet.lead_current(now_s) if warm else magnet.coil_current())

    @property
    def code(self) -> int:
        """The state word's number."""
        if self._magnet.quenched:
            return QUENCHING if abs(self._magnet.coil_current()) > _EMPTY_A else CURRENT_ERROR
        return self._code

    def order(self, target_T: float, rate_T_per_s: float, mode: Approach, driven: bool) -> None:
        """Go to a field; call `world.advance` first, and ask only for what is within the limits."""
        self.target_T, self.rate_T_per_s, self.approach, self.driven = target_T, rate_T_per_s, mode, driven
        self._stages = [_Stage(CHARGING, self._charge), _Stage(ITERATE, self._settle)]
        if not (self._magnet.heater_on and self._magnet.switch_warm(self._world.now())):
            self._stages[:0] = [_Stage(WARMING, self._to_coil), _Stage(WARMING, self._open)]
        if not driven:
            self._stages += [_Stage(COOLING, self._shut), _Stage(COOLING, self._empty)]
        self._next(self._world.now())

    def _wake(self) -> None:
        now_s = self._world.now()
        if self._magnet.quenched:
            self._stages = []
        if self._magnet.ramping(now_s):
            # Only a corner of the leads' way: no stage ends while they move.
            self._alarm.due_s = max(self._magnet.arrival_s(), now_s + 1e-9)
        else:
            self._next(now_s)

    def _next(self, now_s: float) -> None:
        if self._stages:
            stage = self._stages.pop(0)
            self._code = stage.code
            self._alarm.due_s = now_s + max(stage.begin(now_s), 1e-9)
        else:
            self._code = self._resting_code if self.driven else STABLE
            self._alarm.due_s = math.inf

    # What begins a stage, and how long it lasts

    def _charge(self, now_s: float) -> float:
        # The supply goes in steps: real files of a field of 100 Oe say 100.07.
        step_T = self.largest_T / _SUPPLY_STEPS
        start_A = self._magnet.lead_current(now_s)
        target_A = self._ampere(step_T * round(self.target_T / step_T))
        self._code = CHARGING if abs(target_A) >= abs(start_A) else DISCHARGING
        return self._along(self._way(start_A, target_A), now_s)

    def _way(self, start_A: float, target_A: float) -> list[Piece]:
        """The pieces of the approach, each no faster than the coil may go there, and never beyond the limit."""
        largest_A = self._ampere(self.largest_T)
        asked = self._ampere(self.rate_T_per_s)
        way: list[Piece] = []
        for end_A, rate in approach(start_A, target_A, asked, self.approach):
            stop_A = min(max(end_A, -largest_A), largest_A)
            ranges = [(edge_A, min(rate, limit)) for edge_A, limit in self._magnet.settings.segments]
            way += across(start_A, stop_A, ranges)
            start_A = stop_A
        return way

    def _to_coil(self, now_s: float) -> float:
        return self._along([(self._magnet.coil_current(), _LEADS_A_per_s)], now_s)

    def _empty(self, now_s: float) -> float:
        return self._along([(0.0, _LEADS_A_per_s)], now_s)

    def _along(self, way: list[Piece], now_s: float) -> float:
        self._magnet.ramp_along(way, now_s)
        return self._magnet.arrival_s() - now_s

    def _open(self, now_s: float) -> float:
        self._magnet.heat_switch(True, now_s)
        return self._magnet.settings.warm_time_s

    def _shut(self, now_s: float) -> float:
        self._magnet.heat_switch(False, now_s)
        return self._magnet.settings.cool_time_s

    def _settle(self, _now_s: float) -> float:
        return _ITERATE_s + _ITERATE_LAGS * self._magnet.lag_s

    def _tesla(self, ampere: float) -> float:
        return ampere * self._magnet.settings.tesla_per_ampere

    def _ampere(self, tesla: float) -> float:
        return tesla / self._magnet.settings.tesla_per_ampere
