"""What an Oxford magnet supply does behind its language: sweeps, clamp, persistent mode, limits, quench and trip.

The IPS120-10, the PS120-10 and a group of the Mercury iPS are such supplies; the iPS has up to three. Sources: the
drivers of QCoDeS, QCoDeS contrib, Lab::Measurement, KAME and ISIS, which treat the old and the new ones alike.
"""

import math
from enum import Enum

from ..core.errors import ConfigError
from .leads import across
from .world import World

# How far leads and recorded magnet current may be apart for the heater: an assumption, as are the two below.
_MATCH_A = 0.1
# With the heater off only the leads move: the rate of a fast sweep.
_FAST_A_per_s = 1.0
# A supply that is cut off lets the magnet run down through diodes of about this voltage, and bare leads at once.
_FREEWHEEL_V = 1.0
_FREEWHEEL_A_per_s = 5.0
# An output that is so near its voltage limit is at it.
_AT_LIMIT = 0.98
# A current below this is none.
_NO_CURRENT_A = 5e-3


class Activity(Enum):
    """What the output does; the values are the digits of the IPS120-10's `A`."""

    HOLD = 0
    TO_SET = 1
    TO_ZERO = 2
    CLAMPED = 4


class Supply:
    """One supply and its coil, `axis` of the vector magnet. Ampere and seconds.

    `set_A` and `rate_A_per_s` are what was asked for; the coil's segments limit the rate of a sweep. `recorded_A` is
    the current at which the heater was last switched off: what the supply believes to be in the coil. `tripped` is
    latched by a quench until the next hold, `trip_A` the current at the last one. `fast` sweeps the leads fast while
    the heater is off.
    """

    def __init__(self, world: World, name: str, axis: str, largest_A: float) -> None:
        if axis not in world.magnets:
            raise ConfigError(f"{name} cannot drive the coil {axis!r}", do=f"axis is one of {', '.join(world.magnets)}")
        self.world = world
        self.magnet = world.magnets[axis]
        settings = self.magnet.settings
        self.segments = settings.segments
        self.limit_A = min(largest_A, settings.segments[-1][0])
        self.tesla_per_ampere = settings.tesla_per_ampere
        self.switch_fitted = settings.switch_fitted
        self.activity = Activity.CLAMPED
        self.set_A = 0.0
        self.rate_A_per_s = self.segments[-1][1]
        self.recorded_A = 0.0
        self.tripped = False
        self.trip_A = 0.0
        self.fast = False
        # Whether the heater was told to be on, and since when.
        self.heater_on = self.magnet.heater_on
        self.heater_s = -math.inf
        self._quenches = self.magnet.quenches

    def look(self) -> float:
        """Bring the laboratory to now, notice a quench, and give the time (s)."""
        self.world.advance()
        self._watch()
        return self.world.clock.now()

    def _watch(self) -> None:
        magnet = self.magnet
        if magnet.quenches != self._quenches:
            self._quenches = magnet.quenches
            self.tripped, self.trip_A = True, magnet.quench_A
            self.activity, self.recorded_A = Activity.HOLD, 0.0
            magnet.stop(self.world.clock.now())

    # What it shows

    @property
    def lead_A(self) -> float:
        """The current in the leads (A)."""
        return self.magnet.lead_current(self.world.clock.now())

    @property
    def lead_V(self) -> float:
        """The voltage at the output (V)."""
        return self.magnet.lead_voltage(self.world.clock.now())

    @property
    def sweeping(self) -> bool:
        """True while the current moves."""
        return self.magnet.ramping(self.world.clock.now())

    @property
    def rate_limited(self) -> bool:
        """True while a sweep is slower than asked for, because the coil bears no more here."""
        return self.sweeping and not self._leads_only() and self.rate_A_per_s > self._bearable(self.lead_A) * 1.001

    @property
    def voltage_limited(self) -> int:
        """+1 or −1 while the output is at its voltage limit of that sign, else 0."""
        volts = self.lead_V
        if not self.sweeping or abs(volts) < _AT_LIMIT * self.magnet.voltage_limit_V:
            return 0
        return 1 if volts > 0 else -1

    @property
    def heater_open(self) -> bool:
        """True when the heater's wire is broken: it takes no current."""
        return self.magnet.switch.heater_broken

    @property
    def mismatched(self) -> bool:
        """True when leads and recorded magnet current are apart and the heater is off."""
        return not self.heater_on and abs(self.lead_A - self.recorded_A) > _MATCH_A

    # What it may be told

    def act(self, activity: Activity) -> bool:
        """Hold, sweep or clamp; False when that is refused now."""
        if activity is not Activity.HOLD and self.tripped:
            return False
        if activity in (Activity.TO_SET, Activity.TO_ZERO) and self.activity is Activity.CLAMPED:
            return False
        if activity is Activity.CLAMPED and abs(self.lead_A) > _NO_CURRENT_A:
            return False
        self.activity = activity
        if activity is Activity.HOLD:
            self.tripped = False
        self.drive()
        return True

    def aim(self, current_A: float) -> bool:
        """Take a new set point; False beyond the limits."""
        if abs(current_A) > self.limit_A * (1.0 + 1e-9):
            return False
        self.set_A = current_A
        if self.activity is Activity.TO_SET:
            self.drive()
        return True

    def pace(self, rate_A_per_s: float) -> bool:
        """Take a new rate; False when it is negative."""
        if rate_A_per_s < 0.0:
            return False
        self.rate_A_per_s = rate_A_per_s
        if self.activity in (Activity.TO_SET, Activity.TO_ZERO):
            self.drive()
        return True

    def heat(self, on: bool, check: bool = True) -> bool:
        """Switch the heater; False without a switch, after a trip, or with leads and magnet apart and `check`."""
        if not self.switch_fitted or (on and (self.tripped or (check and self.mismatched))):
            return False
        now_s = self.world.clock.now()
        if self.heater_on and not on:
            self.recorded_A = self.lead_A
        if on != self.heater_on:
            self.heater_on, self.heater_s = on, now_s
        self.magnet.heat_switch(on, now_s)
        return True

    def switch_off(self) -> None:
        """Be switched off and on: clamped, the magnet running down, its heater off; the recorded current is kept."""
        now_s = self.look()
        self.heat(False)
        self.activity, self.tripped, self.fast = Activity.CLAMPED, False, False
        self.set_A, self.rate_A_per_s = 0.0, self.segments[-1][1]
        coil_A_per_s = _FREEWHEEL_V / self.magnet.settings.inductance_H
        self.magnet.ramp(0.0, coil_A_per_s if self.magnet.switch_warm(now_s) else _FREEWHEEL_A_per_s, now_s)

    # What it does by itself

    def drive(self) -> None:
        """Send the leads where the activity says."""
        magnet, now_s = self.magnet, self.world.clock.now()
        if self.activity in (Activity.HOLD, Activity.CLAMPED):
            magnet.stop(now_s)
            return
        target_A = self.set_A if self.activity is Activity.TO_SET else 0.0
        if self._leads_only():
            magnet.ramp(target_A, _FAST_A_per_s, now_s)
        else:
            ranges = [(edge_A, min(self.rate_A_per_s, rate)) for edge_A, rate in self.segments]
            magnet.ramp_along(across(self.lead_A, target_A, ranges), now_s)
        # A coil that has not recovered from a quench does it again.
        self._watch()

    def _leads_only(self) -> bool:
        return self.fast and not self.heater_on

    def _bearable(self, current_A: float) -> float:
        return next((rate for edge_A, rate in self.segments if abs(current_A) <= edge_A), self.segments[-1][1])
