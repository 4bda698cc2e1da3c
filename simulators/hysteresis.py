"""A ferromagnet with memory: a relay (Preisach) ensemble.

Relay k switches up at a_k = c_k + u_k and down at b_k = −c_k + u_k; m is the mean of their states. Return-point
memory and closed, congruent minor loops follow exactly, and the major loop crosses zero at the median of a_k, which
is `coercive_T` (see e.g. Mayergoyz, Mathematical Models of Hysteresis, 2003, ch. 1).
"""

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

_COERCIVITIES = 96
_BIASES = 48


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """The distributions: c ~ N(`coercive_T`, `spread_T`) kept positive, u ~ N(0, `interaction_T`), all in tesla."""

    coercive_T: float
    spread_T: float
    interaction_T: float


def _quantiles(count: int) -> np.ndarray:
    # A quantile grid instead of random draws: smooth, deterministic, and with an exact median.
    return ndtri((np.arange(count) + 0.5) / count)


class RelayEnsemble:
    """The state of the ensemble and its response to a field; starts demagnetised.

    Within a monotone piece of field history only the relays that can still switch matter, in order of their
    thresholds: they are sorted once at the turning point, and each step is one bisection.
    """

    def __init__(self, settings: RelaySettings) -> None:
        c = np.maximum(settings.coercive_T + settings.spread_T * _quantiles(_COERCIVITIES), 1e-9)
        u = settings.interaction_T * _quantiles(_BIASES)
        grid_c, grid_u = (axis.ravel() for axis in np.meshgrid(c, u, indexing="ij"))
        self._up_T = grid_c + grid_u
        self._down_T = -grid_c + grid_u
        # Demagnetised: the biased relays sit in the state that their bias favours at zero field.
        self._states = grid_u < 0
        self._count = len(grid_c)
        self._field_T = 0.0
        self._rising = True
        self._turn()

    @property
    def states(self) -> bytes:
        """The memory of the sample, one bit per relay: what a run must keep to go on exactly."""
        return np.packbits(self._settled()).tobytes()

    def magnetise(self, field_T: float) -> float:
        """Bring the field monotonically to `field_T` and give m in [−1, 1]."""
        if field_T != self._field_T and (field_T > self._field_T) != self._rising:
            self._states = self._settled()
            self._rising = not self._rising
            self._turn()
        self._field_T = field_T
        return self._m()

    def _turn(self) -> None:
        waiting = np.sort(self._up_T[~self._states] if self._rising else -self._down_T[self._states])
        self._thresholds: list[float] = waiting.tolist()
        self._up_at_turn = int(np.count_nonzero(self._states))

    def _m(self) -> float:
        # Counted in whole relays, so that a closed minor loop comes back to the same bits.
        if self._rising:
            up = self._up_at_turn + bisect_right(self._thresholds, self._field_T)
        else:
            up = self._up_at_turn - bisect_right(self._thresholds, -self._field_T)
        return (2 * up - self._count) / self._count

    def _settled(self) -> np.ndarray:
        if self._rising:
            return self._states | (self._up_T <= self._field_T)
        return self._states & ~(self._down_T >= self._field_T)
