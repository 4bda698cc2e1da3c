"""A superconducting magnet and the supply that drives it: currents, lag, trapped flux, and the quench that punishes.

The supply's current moves linearly towards its target; the coil follows through the warm persistent switch with
the time L/R_switch, because a voltage across the switch diverts part of the lead current. A readback taken from the
leads therefore leads the field during a ramp by that time: millitesla at usual rates. Eddy currents in what surrounds
the sample delay its field once more. With the switch cold the coil keeps its current, whatever the leads do.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from .bore import Bore
from .coolant import CryocoolerSettings, HeliumSettings, build
from .leads import Leads, Piece
from .persistent_switch import PersistentSwitch

_s_per_h = 3600.0
# A coil with less than this carries nothing that could quench.
_EMPTY_A = 0.1
# What fades away for ever ends here: far below anything that shows, far above where arithmetic fails.
_NOTHING_A = 1e-12
# A field this near its end is there.
_SETTLED_T = 1e-5


@dataclass(frozen=True, slots=True)
class MagnetSettings:
    """The magnet itself. `segments` are (up to this |I| in A, fastest |dI/dt| in A/s), rising in current.

    `voltage_limit_V` is the supply's, which slows a ramp; `coil_voltage_limit_V` the coil's, beyond which it quenches.
    The `trapped_` fields and `eddy_time_s` are the bore's. The coil turns normal at `critical_K` without current and at
    `full_current_K` with the largest. Switch times, tolerances, temperatures and lock-out are assumptions of the usual
    size.
    """

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
    switch_fitted: bool = True
    cool_time_s: float = 30.0
    match_tolerance_A: float = 0.3
    drift_per_h: float = 1e-6
    coil_voltage_limit_V: float = math.inf
    eddy_time_s: float = 0.0
    trapped_play_T: float = 0.0
    lockout_s: float = 2.0 * _s_per_h
    critical_K: float = 9.0
    full_current_K: float = 5.5
    coolant: HeliumSettings | CryocoolerSettings = field(default_factory=CryocoolerSettings)


class Magnet:
    """Currents in ampere, fields in tesla, time in seconds of the laboratory's clock.

    `quenched` holds from a quench until the coil is empty, cold and its lock-out over; `quenches` counts them, and
    `quench_A`, `quench_s` and `quench_cause` tell of the last. A supply's own latch is its front panel's matter.
    `voltage_limit_V` is the supply's, and may be changed. `coolant` is a `HeliumBath` or a `Cryocooler`.
    """

    # A ramp may exceed its segment's rate by this factor before the coil's margin is used up: an assumption.
    _QUENCH_MARGIN = 1.5

    def __init__(self, settings: MagnetSettings, now_s: float) -> None:
        self.settings = settings
        self.lag_s = settings.inductance_H / settings.switch_resistance_ohm if settings.switch_fitted else 0.0
        self.voltage_limit_V = settings.voltage_limit_V
        self.coolant = build(settings.coolant)
        self.switch = PersistentSwitch(settings.warm_time_s, settings.cool_time_s)
        self.quenched = False
        self.quenches = 0
        self.quench_A = 0.0
        self.quench_s = -math.inf
        self.quench_cause = ""
        self._leads = Leads(now_s)
        self._now_s = now_s
        self._coil_A = 0.0
        self.bore = Bore(
            settings.tesla_per_ampere, settings.eddy_time_s, settings.trapped_field_T, settings.trapped_scale_T,
            settings.trapped_flip_T, settings.trapped_play_T,
        )  # fmt: skip
        # Whether the leads and the coil have met since the switch became resistive.
        self._opened = True

    # The supply's side

    @property
    def heater_on(self) -> bool:
        """Whether the heater of the persistent switch is on."""
        return self.switch.heater_on

    def lead_current(self, now_s: float) -> float:
        """The current in the leads (A): straight lines from the last command to its target."""
        return self._leads.current(now_s)

    def ramping(self, now_s: float) -> bool:
        """True while the leads' current moves."""
        return now_s < self._leads.end_s()

    def target(self) -> float:
        """Where the leads' current is going or has arrived (A)."""
        return self._leads.target_A()

    def lead_voltage(self, now_s: float) -> float:
        """The voltage at the supply's terminals (V): L dI/dt plus the leads' drop; a cold switch is a short."""
        rate = self._leads.slope(now_s) if self.switch.warm(now_s) else 0.0
        return self.settings.inductance_H * rate + self.settings.lead_resistance_ohm * self._leads.current(now_s)

    def coil_voltage(self, now_s: float) -> float:
        """The voltage across coil and switch (V), as of the last `advance`."""
        if self.quenched or not self.switch.warm(now_s):
            return 0.0
        if self.lag_s == 0.0:
            return self.settings.inductance_H * self._leads.slope(now_s)
        return (self._leads.current(now_s) - self._coil_A) * self.settings.switch_resistance_ohm

    def ramp(self, target_A: float, rate_A_per_s: float, now_s: float) -> None:
        """Start the leads towards `target_A`. The supply's voltage limit slows a ramp that asks for more."""
        self.ramp_along(((target_A, rate_A_per_s),), now_s)

    def ramp_along(self, pieces: Sequence[Piece], now_s: float) -> None:
        """Start the leads along pieces (to this current in A, at this rate in A/s), each slowed like a ramp.

        A coil that is still normal takes no current: the supply sees its voltage and that is a quench again.
        """
        if self.quenched:
            if pieces[-1][0] != self._leads.current(now_s):
                self._quench(now_s, "not recovered")
            return
        if self.switch.warm(now_s):
            start_A = self._leads.current(now_s)
            slowed: list[Piece] = []
            for target_A, rate_A_per_s in pieces:
                available_V = self.voltage_limit_V - self.settings.lead_resistance_ohm * abs(start_A)
                slowed.append((target_A, min(rate_A_per_s, max(available_V, 0.0) / self.settings.inductance_H)))
                start_A = target_A
            pieces = slowed
        self._leads.go(pieces, now_s)

    def stop(self, now_s: float) -> None:
        """Hold the leads where they are."""
        self._leads.stop(now_s)

    def heat_switch(self, on: bool, now_s: float) -> None:
        """Switch the heater of the persistent switch, if there is one; it warms or cools after its time."""
        if self.settings.switch_fitted:
            self.switch.heat(on, now_s)

    def switch_warm(self, now_s: float) -> bool:
        """True when the switch is resistive and the coil follows the leads."""
        return self.switch.warm(now_s)

    # The coil's side

    def coil_current(self) -> float:
        """The current in the coil (A), as of the last `advance`."""
        return self._coil_A

    def energy_J(self) -> float:
        """The energy in the field, ½ L I² (J)."""
        return 0.5 * self.settings.inductance_H * self._coil_A * self._coil_A

    @property
    def coil_K(self) -> float:
        """The coil's temperature (K)."""
        return self.coolant.coil_K

    def arrival_s(self) -> float:
        """When the present straight piece of the leads' current ends: a corner of the field's path."""
        return self._leads.arrival_s

    def longest_step_s(self, field_step_T: float) -> float:
        """How long a step from now (the last `advance`) may be: to the corner, by a small field, in a settling."""
        leads, now_s, k = self._leads, self._now_s, self.settings.tesla_per_ampere
        if self.quenched and abs(self._coil_A) * k > _SETTLED_T:
            return 0.25 * self.settings.quench_time_s
        limit = math.inf if self.coolant.calm else self.coolant.pace_s
        if self.switch.change_s - now_s > 1e-9:
            limit = min(limit, self.switch.change_s - now_s)
        warm = self.switch.warm(now_s)
        to_corner = leads.arrival_s - now_s
        if to_corner > 1e-9:
            limit = min(limit, to_corner)
            if warm:
                return min(limit, field_step_T / max(abs(leads.slope(now_s)) * k, 1e-9))
        behind_A = abs(self.bore.tail_A - self._coil_A)
        if warm and not self.quenched:
            behind_A = max(behind_A, abs(leads.current(now_s) - self._coil_A))
        if behind_A * k > _SETTLED_T:
            limit = min(limit, 0.5 * max(self.lag_s, self.settings.eddy_time_s))
        return limit

    def advance(self, now_s: float) -> None:
        """Let the coil follow the leads, exactly over each straight piece and each state of the switch."""
        leads, switch, before_s = self._leads, self.switch, now_s - 1e-9
        while True:
            after_s = self._now_s + 1e-9
            corner_s = now_s
            if after_s < leads.arrival_s < before_s:
                corner_s = leads.arrival_s
            if after_s < switch.change_s < before_s:
                corner_s = min(corner_s, switch.change_s)
            self._advance(corner_s)
            if corner_s == now_s:
                return

    def _advance(self, now_s: float) -> None:
        start_s, self._now_s = self._now_s, now_s
        step_s = now_s - start_s
        if not self.coolant.calm:
            self._chill(step_s)
        if self.quenched:
            self._decay(step_s)
            return
        if step_s <= 0:
            return
        if self.switch.warm(start_s + 0.5 * step_s):
            self._follow(start_s, step_s)
        else:
            self._opened = False
            start_A = self._coil_A
            self._coil_A *= math.exp(-self.settings.drift_per_h * step_s / _s_per_h)
            self.bore.follow(step_s, self._coil_A, start_A, (self._coil_A - start_A) / step_s)
        if self._leads.later:
            self._leads.turn(now_s)

    def _follow(self, start_s: float, step_s: float) -> None:
        """The coil behind the leads, over a straight piece."""
        lead_start, lead_end = self._leads.current(start_s), self._leads.current(self._now_s)
        slope = (lead_end - lead_start) / step_s
        mismatch_A = abs(self._coil_A - lead_start)
        if not self._opened and mismatch_A > self.settings.match_tolerance_A:
            self._quench(start_s, "leads and coil apart when the switch opened")
        elif mismatch_A > 0.05 * abs(lead_start) + 1.0 or self._too_fast(abs(slope)):
            self._quench(self._now_s, "too fast")
        elif self.settings.inductance_H * abs(slope) > self.settings.coil_voltage_limit_V:
            self._quench(self._now_s, "too much voltage")
        else:
            self._opened = True
            if self.lag_s > 0.0:
                # First-order lag driven by a straight line: the solution is the delayed line plus a decaying start.
                behind = self._coil_A - (lead_start - slope * self.lag_s)
                behind = behind if abs(behind) > _NOTHING_A else 0.0
                self._coil_A = lead_end - slope * self.lag_s + behind * math.exp(-step_s / self.lag_s)
                self.bore.follow(step_s, self._coil_A, lead_start - slope * self.lag_s, slope, behind, self.lag_s)
            else:
                self._coil_A = lead_end
                self.bore.follow(step_s, lead_end, lead_start, slope)

    def _decay(self, step_s: float) -> None:
        """A quenched coil: its energy goes into the coolant, until it is cold again and the lock-out is over."""
        before_A, energy = self._coil_A, self.energy_J()
        self._coil_A *= math.exp(-step_s / self.settings.quench_time_s)
        if abs(self._coil_A) < _NOTHING_A:
            self._coil_A = 0.0
        self.bore.follow(step_s, self._coil_A, 0.0, 0.0, before_A, self.settings.quench_time_s)
        self.coolant.absorb(energy - self.energy_J())
        if self.recovered(self._now_s):
            self.quenched, self._coil_A = False, 0.0

    def _chill(self, step_s: float) -> None:
        self.coolant.advance(step_s, self._leads.current(self._now_s))
        s, current_A = self.settings, abs(self._coil_A)
        if current_A > _EMPTY_A and not self.quenched:
            share = min(current_A / s.segments[-1][0], 1.0)
            if self.coolant.coil_K > s.critical_K - (s.critical_K - s.full_current_K) * share:
                self._quench(self._now_s, "coil too warm")

    def field(self) -> float:
        """The field at the sample (T): the coil's, the flux trapped against the last large field, and the offset."""
        return self.bore.field() + self.settings.offset_T

    def _too_fast(self, rate_A_per_s: float) -> bool:
        for limit_A, limit_A_per_s in self.settings.segments:
            if abs(self._coil_A) <= limit_A:
                return rate_A_per_s > self._QUENCH_MARGIN * limit_A_per_s
        return True

    # The quench

    def quench(self, now_s: float, cause: str = "ordered") -> None:
        """Turn the coil normal; call `advance` to `now_s` first."""
        self._quench(now_s, cause)

    def recovered(self, now_s: float) -> bool:
        """True when the coil may carry current: no quench, or its lock-out over and the coil cold."""
        locked = now_s - self.quench_s < self.settings.lockout_s
        return not self.quenched or not (locked or self.coolant.coil_K > self.settings.full_current_K)

    def recover(self) -> None:
        """End a quench's lock-out at once: coil empty and cold, bath full."""
        self.quenched = False
        self._coil_A = self.bore.tail_A = 0.0
        self.coolant.renew()

    def _quench(self, now_s: float, cause: str) -> None:
        self.quenched = True
        self.quenches += 1
        self.quench_s, self.quench_cause, self.quench_A = now_s, cause, self._coil_A
        self._leads.jump(0.0, now_s)
