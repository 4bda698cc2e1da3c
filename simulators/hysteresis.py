"""A ferromagnet with memory: a relay (Preisach) ensemble that heat and patience soften.

Relay k switches up at a_k = c_k + u_k and down at b_k = −c_k + u_k; m is the mean of their states. Return-point
memory and closed, congruent minor loops follow exactly, and the major loop crosses zero at the median of a_k, which
is `coercive_T` (see e.g. Mayergoyz, Mathematical Models of Hysteresis, 2003, ch. 1).

Heat helps a relay over its barrier: in the time t it switches below its zero-temperature threshold by the factor
g = 1 − [(k T/E) ln(f0 t)]^n (Sharrock, J. Appl. Phys. 76, 6413 (1994)). t is how long the field has been where it
is: ΔB_sw/rate in a sweep, with ΔB_sw = k T B_c/2E, and growing while it stands still. So a faster sweep meets harder
relays, a warmer sample softer ones, and who stops at B_c sees the moment creep. `coercive_T` is what the sample shows
at its reference temperature and rate. All relays carry one moment µ, so that E_k = µ c_k/2 is in proportion to c_k;
a relay with g ≤ 0 is superparamagnetic and follows the Langevin function of µ (B − u_k)/k T.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

_COERCIVITIES = 96
_BIASES = 48
_SOFTEST_T = 1e-9
# The softening moves in steps that shift the coercive field by about the distance between two relays' thresholds:
# finer would cost a sort without moving one relay, and at the reference the thresholds are the reference's bit by bit.
_TICK = 2e-4
_EULER = 0.5772156649015329
_FIRST_STEP = 0.65
# A field that moved by less has rested.
_UNMOVED_T = 1e-15

Floats = NDArray[np.float64]
States = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """The distributions: c of `shape` about `coercive_T`, kept positive, u ~ N(0, `interaction_T`), all in tesla.

    `shape` is that of the branches: `normal` (an error function), `logistic` (a tanh), `gumbel` (skewed, as where
    the weakest nucleus decides) or `two-step` (0.65 and 0.35 of the relays, `step_T` apart). `spread_T` is the
    standard deviation of each. `barrier_K` is E/k of the median relay, infinite for one that heat never moves.
    """

    coercive_T: float
    spread_T: float
    interaction_T: float
    shape: str = "normal"
    step_T: float = 0.04
    barrier_K: float = math.inf
    barrier_exponent: float = 0.5
    attempt_Hz: float = 1e10
    reference_K: float = 5.0
    reference_T_per_s: float = 1.5e-3


@dataclass(frozen=True, slots=True)
class RelayMemory:
    """All that the ensemble remembers, in JSON's own types: `states` holds one bit per relay, in hexadecimal."""

    states: str
    field_T: float
    rising: bool
    temperature_K: float
    age_s: float
    tick: int


def _quantiles(count: int) -> Floats:
    # A quantile grid instead of random draws: smooth, deterministic, and with an exact median.
    return ndtri((np.arange(count) + 0.5) / count)


def _coercivities(shape: str, spread_T: float, step_T: float) -> Floats:
    """Quantiles (T) of the distribution of c about some middle; `RelayEnsemble` puts the middle right."""
    p = (np.arange(_COERCIVITIES) + 0.5) / _COERCIVITIES
    if shape == "normal":
        return spread_T * _quantiles(_COERCIVITIES)
    if shape == "logistic":
        return spread_T * math.sqrt(3.0) / math.pi * np.log(p / (1.0 - p))
    if shape == "gumbel":
        return spread_T * math.sqrt(6.0) / math.pi * (-np.log(-np.log(p)) - _EULER)
    if shape == "two-step":
        first = round(_FIRST_STEP * _COERCIVITIES)
        late = step_T + spread_T * _quantiles(_COERCIVITIES - first)
        return np.concatenate((spread_T * _quantiles(first), late))
    raise ValueError(f"no branch has the shape {shape!r}")


def _middle(settings: RelaySettings, offsets_T: Floats, u_T: Floats) -> float:
    """Where the distribution of c must lie (T) for the major loop to cross zero at the coercive field."""
    coercive_T = settings.coercive_T
    if settings.shape == "normal" and coercive_T + offsets_T[0] >= _SOFTEST_T:
        return coercive_T

    # A skewed distribution, or one cut at zero, does not have the median of c + u at its middle.
    def beyond(middle_T: float) -> float:
        c = np.maximum(middle_T + offsets_T, _SOFTEST_T)
        return float(np.median(np.add.outer(c, u_T))) - coercive_T

    span_T = coercive_T + float(np.ptp(offsets_T)) + float(np.ptp(u_T))
    root: Any = brentq(beyond, -span_T, coercive_T + span_T, xtol=1e-9)
    return float(root)


class RelayEnsemble:
    """The state of the ensemble and its response to a field; starts demagnetised.

    Within a monotone piece of field history only the relays that can still switch matter, in order of their
    thresholds: they are sorted once at the turning point, and each step is one bisection.
    """

    def __init__(self, settings: RelaySettings) -> None:
        self.settings = settings
        offsets = _coercivities(settings.shape, settings.spread_T, settings.step_T)
        u = settings.interaction_T * _quantiles(_BIASES)
        c = np.maximum(_middle(settings, offsets, u) + offsets, _SOFTEST_T)
        grid_c, grid_u = (axis.ravel() for axis in np.meshgrid(c, u, indexing="ij"))
        self._c_T, self._u_T = grid_c, grid_u
        # Without an interaction no state is favoured: half of the relays of each coercivity start up.
        self._favoured = np.tile(np.arange(_BIASES) < _BIASES // 2, _COERCIVITIES)
        self._count = len(grid_c)
        self._biases_T: list[float] = u.tolist()
        self._softens = math.isfinite(settings.barrier_K)
        self._temperature_K = settings.reference_K
        self._age_s = self._switching_T(settings.reference_K) / settings.reference_T_per_s
        self._tick = 0
        self._field_T = 0.0
        self._rising = True
        if self._softens:
            self._reference_softening = self._softening(settings.reference_K, self._age_s)
            self._hardness: Floats = (grid_c / settings.coercive_T) ** settings.barrier_exponent
            self._softest = float(self._hardness.max())
        self._soften(0)
        self.demagnetise()

    @property
    def states(self) -> bytes:
        """The memory of the sample, one bit per relay: what a run must keep to go on exactly."""
        return np.packbits(self._settled()).tobytes()

    @property
    def memory(self) -> RelayMemory:
        """Everything that a later `restore` needs to go on to the bit."""
        return RelayMemory(self.states.hex(), self._field_T, self._rising, self._temperature_K, self._age_s, self._tick)

    def restore(self, memory: RelayMemory) -> None:
        """Become the ensemble that `memory` was taken from; its settings must be these.

        Raises:
            ValueError: the memory is of another number of relays.
        """
        bits = np.frombuffer(bytes.fromhex(memory.states), dtype=np.uint8)
        if 8 * len(bits) != self._count:
            raise ValueError(f"a memory of {8 * len(bits)} relays does not fit an ensemble of {self._count}")
        self._soften(memory.tick)
        self._states = np.unpackbits(bits).astype(np.bool_)
        self._field_T, self._rising = memory.field_T, memory.rising
        self._temperature_K, self._age_s = memory.temperature_K, memory.age_s
        self._turn()

    def magnetise(self, field_T: float, temperature_K: float | None = None, elapsed_s: float = 0.0) -> float:
        """Bring the field monotonically to `field_T` and give m in [−1, 1].

        `elapsed_s` is the time since the last call; without it the field moves at the reference rate. A new
        temperature acts at the field before, then the field moves.
        """
        if self._softens:
            self._wait(field_T, self._temperature_K if temperature_K is None else temperature_K, elapsed_s)
        if field_T != self._field_T and (field_T > self._field_T) != self._rising:
            self._states = self._settled()
            self._rising = not self._rising
            self._turn()
        self._field_T = field_T
        return self._m()

    def coercive_field(self, temperature_K: float, rate_T_per_s: float) -> float:
        """Where the major loop crosses zero (T) at this temperature, swept at this rate: the truth of a measurement."""
        if not self._softens:
            return self.settings.coercive_T
        age_s = self._switching_T(temperature_K) / rate_T_per_s
        return float(np.median(self._at_tick(self._tick_at(temperature_K, age_s))[0] + self._u_T))

    @property
    def patience_s(self) -> float:
        """How long the field may rest before another look at the ensemble can show a difference."""
        # A twentieth of an e-fold of waiting is about one step of softening at 40 K, and less below.
        return 0.05 * self._age_s if self._softens else math.inf

    def saturate(self, sign: float = 1.0) -> float:
        """As after a field beyond every threshold, back at the present one; gives m."""
        self._states = np.full(self._count, sign > 0)
        return self._relax()

    def demagnetise(self) -> float:
        """The state of lowest energy at the present field, as after a decaying alternating field; gives m."""
        self._states = (self._u_T < self._field_T) | ((self._u_T == self._field_T) & self._favoured)
        return self._relax()

    def cool_in(self, field_T: float) -> float:
        """Heated above every blocking temperature, and cooled back to the present one in `field_T`; gives m."""
        self._field_T = field_T
        return self.demagnetise()

    # Within a monotone piece

    def _turn(self) -> None:
        states, able = self._states, self._blocked
        waiting = np.sort(self._up_T[~states & able] if self._rising else -self._down_T[states & able])
        self._thresholds: list[float] = waiting.tolist()
        self._up_at_turn = int(np.count_nonzero(states & able))

    def _m(self) -> float:
        # Counted in whole relays, so that a closed minor loop comes back to the same bits.
        if self._rising:
            up = self._up_at_turn + bisect_right(self._thresholds, self._field_T)
        else:
            up = self._up_at_turn - bisect_right(self._thresholds, -self._field_T)
        if not self._free:
            return (2 * up - self._count) / self._count
        return (2 * up - self._blocked_count + self._aligned()) / self._count

    def _settled(self) -> States:
        if self._rising:
            return self._states | (self._up_T <= self._field_T) & self._blocked
        return self._states & ~((self._down_T >= self._field_T) & self._blocked)

    def _relax(self) -> float:
        """Let every relay that the field no longer holds switch, and start a new monotone piece here."""
        up, down = self._up_T <= self._field_T, self._down_T >= self._field_T
        # A superparamagnetic relay has no state of its own; should it block here, it would in the favoured one.
        held = np.where(self._blocked, self._states, self._u_T < self._field_T)
        self._states = (held | up) & ~(down & ~up)
        self._turn()
        return self._m()

    # Heat and time

    def _switching_T(self, temperature_K: float) -> float:
        """ΔB_sw = k T B_c/2E: over how much field a relay's rate of escape grows from rare to certain."""
        s = self.settings
        return max(0.5 * s.coercive_T * temperature_K / s.barrier_K, 1e-12)

    def _softening(self, temperature_K: float, age_s: float) -> float:
        """1 − g of the median relay."""
        s = self.settings
        attempts = s.attempt_Hz * age_s
        return (temperature_K / s.barrier_K * math.log(attempts)) ** s.barrier_exponent if attempts > 1 else 0.0

    def _tick_at(self, temperature_K: float, age_s: float) -> int:
        """How many steps of softening lie between that and the reference; once every relay is free, no more."""
        softening = min(self._softening(temperature_K, age_s), self._softest)
        return round((softening - self._reference_softening) / _TICK)

    def _wait(self, field_T: float, temperature_K: float, elapsed_s: float) -> None:
        self._temperature_K = temperature_K
        moved_T = abs(field_T - self._field_T)
        if elapsed_s > 0.0:
            # The age grows with time and is forgotten over ΔB_sw of field: exact for a constant rate, at ΔB_sw/rate.
            if moved_T > _UNMOVED_T:
                switching_T = self._switching_T(temperature_K)
                steady_s = switching_T * elapsed_s / moved_T
                self._age_s += (self._age_s - steady_s) * math.expm1(-moved_T / switching_T)
            else:
                self._age_s += elapsed_s
        elif moved_T > 0.0:
            self._age_s = self._switching_T(temperature_K) / self.settings.reference_T_per_s
        tick = self._tick_at(temperature_K, self._age_s)
        if tick != self._tick:
            self._states = self._settled()
            self._soften(tick)
            self._relax()

    def _soften(self, tick: int) -> None:
        """Take the thresholds and blocked relays that are `tick` steps of softening away from the reference."""
        self._tick = tick
        c_T, self._blocked = self._at_tick(tick)
        self._up_T = c_T + self._u_T
        self._down_T = -c_T + self._u_T
        self._blocked_count = int(np.count_nonzero(self._blocked))
        free = np.count_nonzero(~self._blocked.reshape(_COERCIVITIES, _BIASES), axis=0).tolist()
        self._free: list[tuple[int, float]] = [
            (count, u_T) for count, u_T in zip(free, self._biases_T, strict=True) if count
        ]

    def _at_tick(self, tick: int) -> tuple[Floats, States]:
        """Each relay's c (T), and whether it is blocked."""
        if not self._softens:
            return self._c_T, np.ones(self._count, dtype=np.bool_)
        at_reference = 1.0 - self._reference_softening / self._hardness
        now = 1.0 - (self._reference_softening + tick * _TICK) / self._hardness
        blocked = (at_reference > 0.0) & (now > 0.0)
        if not tick:
            return self._c_T, blocked
        return self._c_T * np.where(blocked, now / np.where(blocked, at_reference, 1.0), 0.0), blocked

    def _aligned(self) -> float:
        """Σ L(µ (B − u)/k T) over the superparamagnetic relays, in plain floats."""
        s = self.settings
        # µ = 2 E/B_c of the median relay.
        per_T = 2.0 * s.barrier_K / (s.coercive_T * max(self._temperature_K, 1e-3))
        total = 0.0
        for count, u_T in self._free:
            x = per_T * (self._field_T - u_T)
            if abs(x) > 20.0:
                total += count * (math.copysign(1.0, x) - 1.0 / x)
            else:
                total += count * (1.0 / math.tanh(x) - 1.0 / x if abs(x) > 1e-3 else x / 3.0)
        return total
