"""What the 2400 and the 2450 are inside: one source and two meters at two or four leads.

Offsets and noise are a few parts per million of each range, of the size of the makers' accuracy tables.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .circuit import Leads, parse_wiring
from .world import World

# In parts of the range: of the offset, and of the noise at one line cycle.
_OFFSET, _NOISE = 1e-5, 2e-6
# Leads that are nowhere: the other pair of terminals has been chosen.
_NOWHERE = Leads(0, 0)
_OVERRANGE = 1.05


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement. A value is infinite over its range; `limited` says that the source was at its limit."""

    volts: float
    amps: float
    limited: bool
    time_s: float

    @property
    def ohms(self) -> float:
        """Volts by amperes, infinite without current."""
        return self.volts / self.amps if self.amps else math.inf


class SourceMeter:
    """A source that measures, at the leads of `wiring`: the first pair forces, the second senses.

    `ranges_V` and `ranges_A` are its ranges, smallest first; `digits` its resolution in parts of a range.
    """

    def __init__(
        self, world: World, name: str, wiring: str, ranges_V: Sequence[float], ranges_A: Sequence[float], digits: float
    ) -> None:
        self._world = world
        self.source = world.circuit.source(wiring, name)
        pairs = parse_wiring(wiring, name)
        self._leads = pairs[0] if pairs else None
        self._ranges_V, self._ranges_A = tuple(ranges_V), tuple(ranges_A)
        self._digits = digits
        self._noise = world.stream(f"source meter {name}")
        self._offset_V, self._offset_A = (_OFFSET * math.tanh(self._noise.next()) for _ in range(2))
        self._started_s = world.clock.now()

    def connect(self, connected: bool) -> None:
        """Choose the terminals that the leads are on, or the others."""
        self.source.leads = self._leads if connected else _NOWHERE

    def drive(self, *, on: bool, volts: bool, level: float, limit: float, remote: bool) -> None:
        """Set what the source does, and let it settle."""
        source = self.source
        source.on, source.volts, source.level, source.limit, source.remote = on, volts, level, limit, remote
        self._world.circuit.solve()

    def measure(self, nplc: float, range_V: float | None, range_A: float | None) -> Measured:
        """Volts and amperes now, on fixed ranges, or on the best ones where None."""
        world, source = self._world, self.source
        volts = world.circuit.sensed(source)
        seen_V = self._convert(volts, range_V or best_range(self._ranges_V, volts), nplc, self._offset_V)
        amps = source.current_A
        seen_A = self._convert(amps, range_A or best_range(self._ranges_A, amps), nplc, self._offset_A)
        return Measured(seen_V, seen_A, source.limited, world.now() - self._started_s)

    def restart_clock(self) -> None:
        """Set the time that measurements are stamped with to zero."""
        self._started_s = self._world.now()

    def _convert(self, value: float, full: float, nplc: float, offset: float) -> float:
        value += full * (offset + _NOISE / math.sqrt(nplc) * self._noise.next())
        if abs(value) > _OVERRANGE * full * (1 + 1e-6):
            return math.copysign(math.inf, value)
        return full * self._digits * round(value / (full * self._digits))


def best_range(ranges: Sequence[float], value: float) -> float:
    """The smallest range that holds a value, the largest if none does."""
    return next((full for full in ranges if abs(value) <= _OVERRANGE * full * (1 + 1e-9)), ranges[-1])
