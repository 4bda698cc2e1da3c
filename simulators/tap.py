"""A lock-in's input: a pair of contacts, seen through its filter, solved when somebody looks.

Between two looks the tap keeps the path of its input as straight pieces. Pieces that together are as good as straight
are joined, so a filter that is read once a second costs about one exact solution a second, not one for every query
to any instrument.
"""

import math
from collections.abc import Callable

from .demodulator import Cascade
from .excitation import Excitation
from .noise import NormalStream

# Two pieces are one when the corner between them is this small beside the noise of the same time.
_STRAIGHT = 5e-3
_MOST_PIECES = 64


class Tap:
    """One lock-in's two channels on the contacts `wiring`.

    `hears` says whether the lock-in's reference fits the excitation. `record` is called whenever the world passes
    `due_s`, and moves it on: so a buffer is filled at its own rate, however seldom anybody looks.
    """

    def __init__(self, wiring: str, noise: NormalStream, density_V_per_sqrtHz: float) -> None:
        self.wiring = wiring
        self.hears: Callable[[Excitation], bool] = lambda _excitation: True
        self.due_s = math.inf
        self.record: Callable[[], None] = lambda: None
        self._noise = noise
        self._density = density_V_per_sqrtHz
        self._phase_rad = 0.0
        self._x, self._y = Cascade(0.1, 2), Cascade(0.1, 2)
        # (length in s, input at its start, input at its end), oldest first
        self._pieces: list[tuple[float, float, float]] = []

    @property
    def x(self) -> Cascade:
        """The in-phase channel, up to now."""
        self._solve()
        return self._x

    @property
    def y(self) -> Cascade:
        """The quadrature channel, up to now."""
        self._solve()
        return self._y

    @property
    def phase_rad(self) -> float:
        """The phase of the reference (rad)."""
        return self._phase_rad

    @phase_rad.setter
    def phase_rad(self, phase_rad: float) -> None:
        self._solve()
        self._phase_rad = phase_rad

    def reconfigure(self, time_constant_s: float, poles: int) -> None:
        """Change the filter of both channels."""
        self._solve()
        self._x.reconfigure(time_constant_s, poles)
        self._y.reconfigure(time_constant_s, poles)

    def follow(self, step_s: float, start_V: float, stop_V: float) -> None:
        """Take one straight piece of the input."""
        pieces = self._pieces
        if pieces:
            length_s, before_V, middle_V = pieces[-1]
            total_s = length_s + step_s
            corner_V = before_V + (stop_V - before_V) * length_s / total_s - middle_V
            # White noise averaged over the time has the density over the root of twice that time.
            if middle_V == start_V and abs(corner_V) <= _STRAIGHT * self._density / math.sqrt(2.0 * total_s):
                pieces[-1] = (total_s, before_V, stop_V)
                return
        pieces.append((step_s, start_V, stop_V))
        if len(pieces) > _MOST_PIECES:
            self._solve()

    def _solve(self) -> None:
        if not self._pieces:
            return
        pieces, self._pieces = self._pieces, []
        cosine, sine = math.cos(self._phase_rad), -math.sin(self._phase_rad)
        draw, density, poles = self._noise.next, self._density, range(self._x.poles)
        for step_s, start_V, stop_V in pieces:
            self._x.advance(step_s, start_V * cosine, stop_V * cosine, density, [draw() for _ in poles])
            self._y.advance(step_s, start_V * sine, stop_V * sine, density, [draw() for _ in poles])
