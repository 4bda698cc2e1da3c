"""Whether a coil follows its leads: only the voltage of a ramp tells, so until it was seen the leads do not go far.

A switch may warm more slowly than it should, or its heater may be broken while the supply says "on". Whoever then sets
a far target moves the leads away from a coil that stays, and the magnet quenches when the switch opens on the
difference, also when nobody is there any more. So after the heater came on, after a start and after a fault, the first
move is slow and short, and the rest of the way is begun when two looks in a row have seen the coil follow.
"""

from dataclasses import replace

from ..core.capabilities import SupplyReading
from .guard_path import Piece, direction
from .magnet_limits import MagnetLimits

# Less inductive voltage than this cannot be told from the leads' drop.
TELLING_V = 0.3
# A move that shows the coil is driven with this voltage, and lasts longer than a program may leave a ramp alone (10 s).
_SHOWN_V, _SHOWN_s = 0.5, 15.0
# So many such moves may end without a look that told.
_MOST_UNSEEN = 3


class Following:
    """What is known of the coil behind its switch: `seen` to follow, or left at `coil_A` (A) as far as is known."""

    def __init__(self, limits: MagnetLimits) -> None:
        self._limits = limits
        self.seen = limits.switch is None
        self.coil_A = 0.0
        self._unseen = 0

    def lose(self, coil_A: float) -> None:
        """From now on it is not known to follow; the last that is known is that it was at `coil_A`."""
        if self._limits.switch is not None:
            self.seen, self.coil_A, self._unseen = False, coil_A, 0

    def at(self, lead_A: float) -> None:
        """The leads are here, and a coil that follows them too."""
        if self.seen:
            self.coil_A = lead_A

    def prove(self, lead_A: float) -> None:
        """It was seen to follow, to here."""
        self.seen, self.coil_A = True, lead_A

    def tells(self, rate_A_per_s: float) -> bool:
        """True when a ramp at this rate shows by its voltage whether the coil follows."""
        limits = self._limits
        if limits.managed or limits.switch is None or limits.inductance_H is None or limits.voltage_limit_V is None:
            return False
        return limits.inductance_H * rate_A_per_s > TELLING_V

    def first(self, pieces: tuple[Piece, ...], rest: SupplyReading) -> tuple[Piece, ...]:
        """The way with a slow and short piece before it, if the coil has still to be seen to follow."""
        piece, start_A, inductance_H = pieces[0], rest.output_A, self._limits.inductance_H
        if self.seen or rest.voltage_V is None or inductance_H is None or not self.tells(piece.rate_A_per_s):
            return pieces
        rate = min(piece.rate_A_per_s, _SHOWN_V / inductance_H)
        length_A = rate * _SHOWN_s
        slow = replace(piece, rate_A_per_s=rate)
        if abs(piece.stop_A - start_A) <= 1.5 * length_A:
            return slow, *pieces[1:]
        return replace(slow, stop_A=start_A + direction(start_A, piece.stop_A) * length_A), *pieces

    def ended(self, length_A: float, rate_A_per_s: float) -> bool:
        """A move ended, and nobody has seen whether the coil follows; False when that was once too often."""
        # A step that is over before it can be looked at says nothing, and leads nowhere far.
        if length_A >= 0.9 * rate_A_per_s * _SHOWN_s:
            self._unseen += 1
        return self._unseen < _MOST_UNSEEN
