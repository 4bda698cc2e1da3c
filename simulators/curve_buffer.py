"""The curve buffer of the Signal Recovery and Ametek lock-ins: whole numbers of chosen outputs at a fixed interval.

Facts after the 7270 and 7220 manuals, chapter 6 (CBD, LEN, NC, STR, TD, TDC, HC, M, DC, DCB).
"""

from collections.abc import Callable

# First number of M: nothing, one sweep, sweeps without end; and the same halted.
IDLE, ONCE, ENDLESS, HALTED = 0, 1, 2, 4


class CurveBuffer:
    """`quantities` are named in the order of the bits of CBD; `points` is all the memory there is."""

    def __init__(self, quantities: tuple[str, ...], points: int, interval_s: float) -> None:
        self.quantities = quantities
        self.interval_s = interval_s
        self._points = points
        self.bits = 3
        self.length = points // 2
        self.state = IDLE
        self.sweeps = self.taken = 0
        self._curves: dict[int, list[int]] = {}

    @property
    def chosen(self) -> tuple[int, ...]:
        """The bits that are set."""
        return tuple(bit for bit in range(len(self.quantities)) if self.bits >> bit & 1)

    def choose(self, bits: int) -> None:
        """CBD: what to keep; a length that does not fit any more is cut."""
        self.bits = bits
        self.length = min(self.length, self._points // len(self.chosen))
        self.forget()

    def resize(self, length: int) -> bool:
        """LEN: how many points of each; False when the memory does not hold them."""
        if length > self._points // len(self.chosen):
            return False
        self.length = length
        self.forget()
        return True

    def forget(self) -> None:
        """NC: nothing is kept, nothing runs."""
        self.state, self.sweeps, self.taken = IDLE, 0, 0
        self._curves = {bit: [] for bit in self.chosen}

    def start(self, state: int) -> None:
        """TD, TDC: go on where a halt left off, or begin anew."""
        if self.state & HALTED == 0:
            self.sweeps = self.taken = 0
            self._curves = {bit: [] for bit in self.chosen}
        self.state = state

    def halt(self) -> None:
        """HC."""
        if self.state in (ONCE, ENDLESS):
            self.state |= HALTED

    @property
    def running(self) -> bool:
        """True while points are taken."""
        return self.state in (ONCE, ENDLESS)

    def keep(self, read: Callable[[str], int]) -> None:
        """Take one point of each; the last one of a sweep ends it, or begins the next."""
        place = self.taken % self.length
        for bit, curve in self._curves.items():
            value = read(self.quantities[bit])
            if place < len(curve):
                curve[place] = value
            else:
                curve.append(value)
        self.taken += 1
        if place + 1 == self.length:
            self.sweeps += 1
            self.state = IDLE if self.state == ONCE else self.state

    @property
    def kept(self) -> int:
        """The fourth number of M: points of each curve."""
        return min(self.taken, self.length)

    def curve(self, bit: int) -> list[int] | None:
        """The points of one curve, None if it was not chosen."""
        return self._curves.get(bit)
