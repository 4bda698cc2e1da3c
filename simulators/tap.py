"""A lock-in's input: a pair of contacts, seen through its filter, solved when somebody looks.

Between two looks the tap keeps the path of its input as straight pieces. Pieces that together are as good as straight
are joined, so a filter that is read once a second costs about one exact solution a second, not one for every query
to any instrument.
"""

import cmath
import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from .demodulator import Cascade
from .excitation import Excitation
from .noise import NormalStream

# Two pieces are one when the corner between them is this small beside the noise of the same time.
_STRAIGHT = 5e-3
# What was longer ago than this many time constants has left the last of four poles: e^-60 60³/3! is 1e-22.
_FORGOTTEN = 60.0


class Shown(NamedTuple):
    """What one channel shows (V)."""

    output: float


class Tap:
    """One lock-in's two channels on the contacts `wiring`.

    `hears` says which part of the voltage its mixer turns into direct current. `record` is called whenever the world
    passes `due_s`, and moves it on: so a buffer is filled at its own rate, however seldom anybody looks.
    """

    def __init__(self, wiring: str, noise: NormalStream, density_V_per_sqrtHz: float, now_s: float = 0.0) -> None:
        self.wiring = wiring
        self.hears: Callable[[Excitation], complex] = lambda _excitation: 1.0
        self.due_s = math.inf
        self.record: Callable[[], None] = lambda: None
        # True until the world has looked at what the settings of now make of the voltage.
        self.retuned = True
        # What comes out for one volt at the contacts, turned by the phase.
        self.share: complex = 0.0
        self._noise = noise
        self._density = density_V_per_sqrtHz
        self._phase_rad = 0.0
        # X + iY: one filter for both.
        self._filter = Cascade(0.1, 2)
        self._draws = noise.groups(2)
        self._forgotten_s = _FORGOTTEN * 0.1
        # (start and end in s, input there and here), oldest first
        self._pieces: deque[tuple[float, float, complex, complex]] = deque()
        # The largest voltage at the contacts since somebody asked: an overload may come and go between two looks.
        self.largest_V = 0.0
        # The voltage at the contacts at the end of the last step, and how fast it came there.
        self.volts = self.slope_V_per_s = 0.0
        # Until when it has heard, and what last.
        self.told_s = now_s
        self._last_V: complex = 0.0

    def solve(self) -> complex:
        """Filter all that the tap has heard, and give X + iY (V)."""
        pieces, cascade = self._pieces, self._filter
        while pieces:
            start_s, stop_s, start_V, stop_V = pieces.popleft()
            cascade.advance(stop_s - start_s, start_V, stop_V, self._density, next(self._draws))
        return cascade.output

    def look(self, now_s: float, volts: complex) -> complex:
        """`follow` and `solve`: at once where nothing else waits to be filtered, as with who looks again and again."""
        step_s = now_s - self.told_s
        if self._pieces or step_s <= 0.0:
            self.follow(now_s, volts)
            return self.solve()
        start_V = self._last_V
        self.told_s, self._last_V = now_s, volts
        return self._filter.advance(step_s, start_V, volts, self._density, next(self._draws))

    @property
    def x(self) -> Shown:
        """The in-phase channel."""
        return Shown(self.solve().real)

    @property
    def y(self) -> Shown:
        """The quadrature channel."""
        return Shown(self.solve().imag)

    @property
    def phase_rad(self) -> float:
        """The phase of the reference (rad)."""
        return self._phase_rad

    @phase_rad.setter
    def phase_rad(self, phase_rad: float) -> None:
        if phase_rad != self._phase_rad:
            self.solve()
            turn = cmath.rect(1.0, self._phase_rad - phase_rad)
            self.share *= turn
            self._last_V *= turn
            self._phase_rad = phase_rad

    def reconfigure(self, time_constant_s: float, poles: int) -> None:
        """Change the filter of both channels."""
        self.solve()
        self.retuned = True
        if poles != self._filter.poles:
            self._draws = self._noise.groups(poles)
        self._filter.reconfigure(time_constant_s, poles)
        self._forgotten_s = _FORGOTTEN * time_constant_s

    def take_largest_V(self) -> float:
        """The largest voltage at the contacts (V) since this was last asked, that of now among them."""
        largest_V, self.largest_V = self.largest_V, abs(self.volts)
        return largest_V

    def hear(self, excitation: Excitation, volts: float) -> None:
        """Take `volts` from this instant on: a source was switched, or the settings make another part of them count."""
        self.retuned = False
        self.volts = volts
        self.slope_V_per_s = 0.0
        self.largest_V = max(self.largest_V, abs(volts))
        share = self.hears(excitation)
        self.share = share * cmath.rect(1.0, -self._phase_rad) if self._phase_rad else share
        self._last_V = volts * self.share

    def follow(self, now_s: float, volts: complex) -> None:
        """Take the straight line from what was heard last to `volts` (the share of them that counts) now."""
        start_s, start_V = self.told_s, self._last_V
        self._last_V = volts
        if now_s <= start_s:
            return
        self.told_s = now_s
        pieces = self._pieces
        if pieces:
            before_s, _, before_V, middle_V = pieces[-1]
            total_s = now_s - before_s
            corner_V = before_V + (volts - before_V) * (start_s - before_s) / total_s - middle_V
            # White noise averaged over the time has the density over the root of twice that time.
            if middle_V == start_V and abs(corner_V) <= _STRAIGHT * self._density / math.sqrt(2.0 * total_s):
                start_s, start_V = before_s, before_V
                pieces.pop()
            while pieces and now_s - pieces[0][1] > self._forgotten_s:
                # Nobody looked for so long that nothing of it is left in the filter.
                pieces.popleft()
        pieces.append((start_s, now_s, start_V, volts))
