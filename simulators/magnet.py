"""A superconducting magnet and the supply that drives it: currents, lag, trapped flux, and the quench that punishes.

The supply's current moves linearly towards its target; the coil follows through the warm persistent switch with
the time L/R_switch, because a voltage across the switch diverts part of the lead current. A readback taken from the
leads therefore leads the field during a ramp by that time: millitesla at usual rates.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MagnetSettings:
    """The magnet itself. `segments` are (up to this |I| in A, fastest |dI/dt| in A/s), rising in current."""

    tesla_per_ampere: float
    inductance_H: float
    switch_resistance_ohm: float
    voltage_limit_V: float
    lead_resistance_ohm: float
    segments: tuple[tuple[float, float], ...]
    trapped_field_T: float = 0.0
    trapped_scale_T: float = 0.3
    trapped_flip_T: float = 1.0
    offset_T: float = 0.0
    warm_time_s: float = 30.0
    quench_time_s: float = 2.0


class Magnet:
    """Currents in ampere, fields in tesla, time in seconds of the laboratory's clock."""

    # A ramp may exceed its segment's rate by this factor before the coil's margin is used up: an assumption.
    _QUENCH_MARGIN = 1.5

    def __init__(self, settings: MagnetSettings, now_s: float) -> None:
        self.settings = settings
        self.lag_s = settings.inductance_H / settings.switch_resistance_ohm
        self.heater_on = True
        self._heater_since_s = -math.inf
        self.quenched = False
        self._start_s = now_s
        self._start_A = 0.0
        self._target_A = 0.0
        self._rate_A_per_s = 0.0
        self._arrival_s = now_s
        self._now_s = now_s
        self._coil_A = 0.0
        self._polarity = 0.0

    # The supply's side

    def lead_current(self, now_s: float) -> float:
        """The current in the leads (A): a straight line from the last command to its target."""
        if now_s >= self._arrival_s:
            return self._target_A
        return self._start_A + math.copysign(
            self._rate_A_per_s * (now_s - self._start_s), self._target_A - self._start_A
        )

    def ramping(self, now_s: float) -> bool:
        """True while the leads' current moves."""
        return now_s < self._arrival_s

    def lead_voltage(self, now_s: float) -> float:
        """The voltage at the supply's terminals (V): L dI/dt plus the leads' drop."""
        rate = 0.0
        if self.ramping(now_s) and self.switch_warm(now_s):
            rate = math.copysign(self._rate_A_per_s, self._target_A - self._start_A)
        return self.settings.inductance_H * rate + self.settings.lead_resistance_ohm * self.lead_current(now_s)

    def ramp(self, target_A: float, rate_A_per_s: float, now_s: float) -> None:
        """Start the leads towards `target_A`. The supply's voltage limit slows a ramp that asks for more."""
        current = self.lead_current(now_s)
        available = self.settings.voltage_limit_V - self.settings.lead_resistance_ohm * abs(current)
        self._start_s, self._start_A, self._target_A = now_s, current, target_A
        self._rate_A_per_s = min(rate_A_per_s, max(available, 0.0) / self.settings.inductance_H)
        if self._rate_A_per_s > 0:
            self._arrival_s = now_s + abs(target_A - current) / self._rate_A_per_s
        else:
            self._arrival_s = math.inf if target_A != current else now_s

    def stop(self, now_s: float) -> None:
        """Hold the leads where they are."""
        current = self.lead_current(now_s)
        self._start_s = self._arrival_s = now_s
        self._start_A = self._target_A = current

    def heat_switch(self, on: bool, now_s: float) -> None:
        """Switch the heater of the persistent switch; it warms or cools after `warm_time_s`."""
        if on != self.heater_on:
            self.heater_on = on
            self._heater_since_s = now_s

    def switch_warm(self, now_s: float) -> bool:
        """True when the switch is resistive and the coil follows the leads."""
        changed = now_s - self._heater_since_s >= self.settings.warm_time_s
        return self.heater_on == changed

    # The coil's side

    def coil_current(self) -> float:
        """The current in the coil (A), as of the last `advance`."""
        return self._coil_A

    def arrival_s(self) -> float:
        """When the present ramp ends: a corner of the field's path."""
        return self._arrival_s

    def advance(self, now_s: float) -> None:
        """Let the coil follow the leads exactly over a stretch in which they move in one straight line."""
        start_s, self._now_s = self._now_s, now_s
        step_s = now_s - start_s
        if self.quenched:
            self._coil_A *= math.exp(-step_s / self.settings.quench_time_s)
            return
        if step_s <= 0 or not self.switch_warm(now_s):
            return
        lead_start, lead_end = self.lead_current(start_s), self.lead_current(now_s)
        slope = (lead_end - lead_start) / step_s
        if abs(self._coil_A - lead_start) > 0.05 * abs(lead_start) + 1.0 or self._too_fast(abs(slope)):
            self._quench(now_s)
            return
        # First-order lag driven by a straight line: the solution is the delayed line plus a decaying start.
        behind = self._coil_A - (lead_start - slope * self.lag_s)
        self._coil_A = lead_end - slope * self.lag_s + behind * math.exp(-step_s / self.lag_s)
        field_T = self._coil_A * self.settings.tesla_per_ampere
        if abs(field_T) > self.settings.trapped_flip_T:
            self._polarity = math.copysign(1.0, field_T)

    def field(self) -> float:
        """The field at the sample (T): the coil's, the flux trapped against the last large field, and the offset."""
        applied = self._coil_A * self.settings.tesla_per_ampere
        trapped = (
            self._polarity * self.settings.trapped_field_T / (1.0 + (applied / self.settings.trapped_scale_T) ** 2)
        )
        return applied - trapped + self.settings.offset_T

    def _too_fast(self, rate_A_per_s: float) -> bool:
        for limit_A, limit_A_per_s in self.settings.segments:
            if abs(self._coil_A) <= limit_A:
                return rate_A_per_s > self._QUENCH_MARGIN * limit_A_per_s
        return True

    def _quench(self, now_s: float) -> None:
        self.quenched = True
        self.stop(now_s)
        self._start_A = self._target_A = 0.0

    def recover(self) -> None:
        """Clear a quench once the coil is empty and cold again; the caller knows when that is."""
        self.quenched = False
        self._coil_A = 0.0
