"""What the guard makes of a look: whether it may be believed, and what it says of the magnet.

Only arithmetic on readings; what follows from an answer is the machine's matter. Nothing here counts on one look: what
would end a run or latch a quench must be seen twice.
"""

import math

from ..core.capabilities import Activity, SupplyReading
from .guard_follow import TELLING_V
from .guard_path import Piece, direction, time_of
from .magnet_limits import MagnetLimits

# A current or voltage this many times what the magnet can have is a broken reply (a Mercury iPS has said 9000 V).
_IMPLAUSIBLE = 1.5
# A coil's voltage that is this share of the supply's limit away from L dI/dt is not a healthy coil's.
_VOLTAGE_SHARE = 0.5
# A coil that follows shows at least this share of L dI/dt.
_FOLLOWED_SHARE = 0.3
_SPEED_SHARE = 0.2
_LEADS_PATIENCE = 4.0
# Two looks nearer together than this say nothing about a speed.
_SHORTEST_s = 0.5
# A ramp needs this long to get going, and a coil's voltage this long to be that of the whole rate.
_START_s, _DRIVEN_s = 1.0, 2.0


def implausible(limits: MagnetLimits, reading: SupplyReading, now_s: float) -> str:
    """Why a look may not be believed; empty if it may."""
    if not math.isfinite(reading.output_A) or abs(reading.output_A) > _IMPLAUSIBLE * limits.largest_A:
        return f"a current of {reading.output_A:g} A is not plausible"
    for name, value in (("set point", reading.set_point_A), ("rate", reading.rate_A_per_s), ("coil", reading.coil_A)):
        if value is not None and not math.isfinite(value):
            return f"a {name} of {value!r} is not plausible"
    voltage, limit = reading.voltage_V, limits.voltage_limit_V
    if voltage is not None and limit is not None and not abs(voltage) <= _IMPLAUSIBLE * limit + 1.0:
        return f"a voltage of {voltage:g} V is not plausible"
    if not reading.time_s <= now_s + 1e-6:
        return "it is dated in the future"
    return ""


class Steps:
    """Notices a current that jumps further than the supply's voltage could drive the coil: a quench, or a bad look."""

    def __init__(self, limits: MagnetLimits) -> None:
        inductance_H, voltage_V = limits.inductance_H, limits.voltage_limit_V
        driven = None if limits.managed or not inductance_H or not voltage_V else voltage_V / inductance_H
        self._fastest = 2.0 * driven if driven else 10.0 * limits.fastest_A_per_s
        self._slack_A = 5.0 * limits.tolerance_A
        self._last: SupplyReading | None = None

    def forget(self) -> None:
        """Take the next look as the first."""
        self._last = None

    def jumped(self, reading: SupplyReading) -> bool:
        """True when this look is not where the last one could have led; a look that is believed becomes the last."""
        last = self._last
        if last is not None:
            passed_s = reading.time_s - last.time_s
            if abs(reading.output_A - last.output_A) > self._fastest * max(passed_s, 0.0) + self._slack_A:
                return True
        self._last = reading
        return False


class Ramp:
    """One piece under way: judges each look at it."""

    def __init__(
        self, limits: MagnetLimits, piece: Piece, rest: SupplyReading, rate_A_per_s: float, step_A: float,
        now_s: float, *, coil: bool, leads_only: bool = False,
    ) -> None:  # fmt: skip
        self.piece = piece
        self.rate_A_per_s = rate_A_per_s
        self._limits, self._step_A, self._coil, self._leads_only = limits, step_A, coil, leads_only
        self._sign = direction(rest.output_A, piece.stop_A)
        self._rest_A, self._rest_V = rest.output_A, rest.voltage_V
        self._since_s = now_s
        self._until_s = now_s + (_LEADS_PATIENCE if leads_only else 1.0) * time_of(
            rest.output_A, Piece(piece.stop_A, rate_A_per_s, piece.segment)
        )
        self._last: SupplyReading | None = None
        # True when looks that would tell whether the coil follows came without a voltage, None before the first.
        self.mute: bool | None = None
        # The instant of the last look that a judgement was made on.
        self.judged_at_s = -math.inf

    def there(self, reading: SupplyReading) -> bool:
        """True when it rests at the end; a piece shorter than the tolerance must have had time to start first."""
        if reading.activity is not Activity.HOLDING or not self.near(reading):
            return False
        exact = abs(reading.output_A - self.piece.stop_A) <= 1.5 * self._step_A
        return exact or reading.time_s - self._since_s > _START_s

    def near(self, reading: SupplyReading) -> bool:
        """True when the current is the end's, at rest or not yet."""
        return abs(reading.output_A - self.piece.stop_A) <= self._limits.tolerance_A

    def past(self, reading: SupplyReading) -> bool:
        """True when the current is beyond the end: it follows another order than ours."""
        return self._sign * (reading.output_A - self.piece.stop_A) > self._limits.tolerance_A

    def stopped(self, reading: SupplyReading) -> bool:
        """True when it rests where it was not told to, and has had time to start."""
        return reading.activity is Activity.HOLDING and reading.time_s - self._since_s > _START_s

    def late(self, now_s: float) -> bool:
        """True when the piece takes longer than it may."""
        return now_s > self._until_s

    def judge(self, reading: SupplyReading) -> tuple[str, str]:
        """What is wrong with the way it moves, as (kind, sentence); empty if nothing is, or nothing can be told."""
        last = self._last
        if reading.activity is not Activity.RAMPING or reading.time_s - self._since_s < _START_s or self.near(reading):
            return "", ""
        if last is None:
            self._last = reading
            return "", ""
        passed_s = reading.time_s - last.time_s
        if passed_s < _SHORTEST_s:
            return "", ""
        self._last, self.judged_at_s = reading, reading.time_s
        speed = (reading.output_A - last.output_A) / passed_s
        wanted = self._sign * self.rate_A_per_s
        # Leads alone may be slower than told: nothing depends on it but time.
        allowed = self._leads_only and 0 < speed * self._sign < self.rate_A_per_s
        if not allowed and abs(speed - wanted) > _SPEED_SHARE * self.rate_A_per_s + 3.0 * self._step_A / passed_s:
            if speed * wanted < 0:
                return "speed", f"it moves at {speed:+.4g} A/s, away from its end"
            return "speed", f"it moves at {speed:+.4g} A/s instead of {wanted:+.4g} A/s"
        return self._voltage(reading, wanted)

    @property
    def length_A(self) -> float:
        """How far this piece goes."""
        return abs(self.piece.stop_A - self._rest_A)

    @property
    def tells(self) -> bool:
        """True when the voltage of this ramp shows whether the coil follows the leads."""
        limits = self._limits
        if not self._coil or limits.inductance_H is None or limits.voltage_limit_V is None:
            return False
        return limits.inductance_H * self.rate_A_per_s > TELLING_V

    def follows(self, reading: SupplyReading) -> str | None:
        """Why the coil does not follow the leads, by their voltage; empty if it does, None when nothing can be told."""
        voltage, last = reading.voltage_V, self._last
        young = reading.time_s - self._since_s < _DRIVEN_s
        if not self.tells or reading.activity is not Activity.RAMPING or young or self.near(reading):
            return None
        self.mute = voltage is None and self.mute is not False
        if voltage is None:
            return None
        inductive = (self._limits.inductance_H or 0.0) * self.rate_A_per_s
        if self._voltage(reading, self._sign * self.rate_A_per_s)[0]:
            return None  # more than a cold switch explains
        since_s, since_A = (self._since_s, self._rest_A) if last is None else (last.time_s, last.output_A)
        if self._sign * (reading.output_A - since_A) < 0.5 * self.rate_A_per_s * (reading.time_s - since_s):
            return None  # leads that do not move need no voltage
        # The leads' drop grows with the current, and was all there was at rest.
        drop = (self._rest_V or 0.0) * (reading.output_A / self._rest_A if abs(self._rest_A) > 1.0 else 1.0)
        if self._sign * (voltage - drop) >= _FOLLOWED_SHARE * inductive:
            return ""
        needed_V = self._sign * inductive
        return f"{voltage:.2f} V at the leads, the coil would need {needed_V:.2f} V: it does not follow"

    def _voltage(self, reading: SupplyReading, slope: float) -> tuple[str, str]:
        limits, voltage = self._limits, reading.voltage_V
        if not self._coil or voltage is None or limits.inductance_H is None or limits.voltage_limit_V is None:
            return "", ""
        inductive = limits.inductance_H * slope
        if abs(voltage - inductive) > _VOLTAGE_SHARE * limits.voltage_limit_V:
            return "quench", f"{voltage:.2f} V at the coil, {inductive:.2f} V would drive it"
        return "", ""
