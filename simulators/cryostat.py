"""Temperature: a block with heater and sensor, and behind a thermal resistance the sample with its own sensor.

C1 dT1/dt = P − G1 (T1 − T_cold) − G12 (T1 − T2),  C2 dT2/dt = G12 (T1 − T2), with Debye heat capacities of copper:
milliseconds at 2 K and minutes at 300 K, so that the sample lags its controller as it does in the laboratory.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

_GAS_CONSTANT_J_PER_mol_K = 8.314462618
_COPPER_DEBYE_K = 343.0
_COPPER_kg_per_mol = 0.063546
_GRID = 600
_COLDEST_K, _HOTTEST_K = 0.5, 500.0
_LOG_STEP = math.log(_HOTTEST_K / _COLDEST_K) / (_GRID - 1)


@cache
def _copper_heat_capacities() -> list[float]:
    """c(T) in J/(kg K) on a logarithmic grid: 9 R (T/θ)³ ∫0^{θ/T} x⁴ eˣ/(eˣ−1)² dx (Debye 1912)."""
    table: list[float] = []
    for temperature in np.geomspace(_COLDEST_K, _HOTTEST_K, _GRID):
        x = np.linspace(1e-6, min(_COPPER_DEBYE_K / temperature, 60.0), 2000)
        integrand = x**4 * np.exp(-x) / (1.0 - np.exp(-x)) ** 2
        integral = float(np.trapezoid(integrand, x))
        molar = 9.0 * _GAS_CONSTANT_J_PER_mol_K * (temperature / _COPPER_DEBYE_K) ** 3 * integral
        table.append(float(molar / _COPPER_kg_per_mol))
    return table


def copper_heat_capacity(temperature_K: float) -> float:
    """Specific heat of copper's lattice, J/(kg K), between 0.5 and 500 K."""
    table = _copper_heat_capacities()
    position = math.log(min(max(temperature_K, _COLDEST_K), _HOTTEST_K) / _COLDEST_K) / _LOG_STEP
    index = min(int(position), _GRID - 2)
    return table[index] + (position - index) * (table[index + 1] - table[index])


@dataclass(frozen=True, slots=True)
class CryostatSettings:
    """A cryogen-free insert. Conductances and masses are assumptions that give usual times."""

    cold_K: float = 1.6
    start_K: float = 6.0
    block_kg: float = 0.3
    stage_kg: float = 0.02
    cooling_W_per_K: float = 0.02
    sensor_noise_fraction: float = 1e-4
    sensor_field_fraction_per_T2: float = 1.5e-5


# A step that changes the block by less than this fraction is a quiet one.
_CALM = 1e-3
# Asleep: for two seconds no step changed the sample by more than this fraction, and no heater its power by that one.
_STILL, _STILL_POWER, _STILL_STEPS = 2e-7, 2e-5, 8
# A change of power up to this fraction is a drift, after which as many quiet steps count as had.
_DRIFT_POWER, _DOZING = 1e-3, 6


class Cryostat:
    """Two nodes and the heaters of the controllers attached to them.

    A heater is called with the block's temperature and the time that passes (s) and gives its power (W); with no time
    it only says what it gives. While nothing changes the cryostat sleeps: it asks the heaters once a second, and only
    a change of power, by an order or by a sensor that drifts in the field, makes it work again.
    """

    _STEP_s = 0.25
    _ASLEEP_STEP_s = 1.0
    _LONGEST_SLEEP_s = 4.0

    def __init__(self, settings: CryostatSettings) -> None:
        self.settings = settings
        self.block_K = settings.start_K
        self.sample_K = settings.start_K
        self._owed_s = 0.0
        self._least_s = self._STEP_s
        self._calm = False
        self._power_W = 0.0
        self._still = 0
        self._heaters: list[Callable[[float, float], float]] = []

    def attach(self, heater: Callable[[float, float], float]) -> None:
        """Connect the heater output of one more controller."""
        self._heaters.append(heater)

    def advance(self, step_s: float) -> None:
        """Let `step_s` seconds pass. Short steps are saved up to a quarter of a second, far below any time here."""
        self._owed_s += step_s
        if self._owed_s < self._least_s:
            return
        step_s, self._owed_s = self._owed_s, 0.0
        while self._still >= _STILL_STEPS and step_s > 0.0:
            # Not longer, for a controller may begin something by itself.
            h = min(step_s, self._LONGEST_SLEEP_s)
            step_s -= h
            power_W = self._heat(h)
            change = abs(power_W - self._power_W) / max(abs(self._power_W), 1e-12)
            if change > _STILL_POWER:
                # A controller that follows a slow drift goes back to sleep soon; what is more wakes everything.
                self.disturb()
                self._still = _DOZING if change < _DRIFT_POWER else 0
                self._step(h, power_W)
        while step_s > 0.0:
            # While nothing moves much, nothing can in the next quarter of a second either, unless somebody `disturbs`.
            h = min(step_s, self._STEP_s if self._calm else self._longest_step())
            # A rest too short to matter is taken along: it would be one more step for nothing.
            h = step_s if step_s - h < 1e-6 else h
            before_K, sample_K, power_W = self.block_K, self.sample_K, self._power_W
            self._step(h, self._heat(h))
            self._calm = abs(self.block_K - before_K) < _CALM * before_K
            moved = max(abs(self.sample_K - sample_K), abs(self.block_K - before_K)) > _STILL * sample_K
            jumped = abs(self._power_W - power_W) > _STILL_POWER * abs(power_W)
            self._still = 0 if moved or jumped else self._still + 1
            step_s -= h
        self._least_s = self._ASLEEP_STEP_s if self._still >= _STILL_STEPS else self._STEP_s

    def longest_step_s(self) -> float:
        """How long a step may be over which the sample's temperature is taken for a straight line."""
        return math.inf if self._still >= _STILL_STEPS else self._ASLEEP_STEP_s

    @property
    def patience_s(self) -> float:
        """How old (s) a temperature may be when somebody reads it: asleep, it is looked at once a second only."""
        return 0.5 if self._still >= _STILL_STEPS else 0.1

    def disturb(self) -> None:
        """Say that the heater may be about to jump: somebody gave its controller an order."""
        self._calm = False
        self._still = 0
        self._least_s = self._STEP_s

    def _heat(self, step_s: float) -> float:
        return sum([heater(self.block_K, step_s) for heater in self._heaters])

    def _longest_step(self) -> float:
        """Over not more than a twentieth of the temperature: when cold, full power heats by kelvins in milliseconds."""
        s = self.settings
        power = self._heat(0.0) - s.cooling_W_per_K * (self.block_K - s.cold_K)
        allowed = 0.05 * self.block_K * s.block_kg * copper_heat_capacity(self.block_K)
        return min(self._STEP_s, max(2e-4, allowed / max(abs(power), 1e-12)))

    def _step(self, h: float, power_W: float) -> None:
        s = self.settings
        self._power_W = power_W
        c1 = s.block_kg * copper_heat_capacity(self.block_K)
        c2 = s.stage_kg * copper_heat_capacity(self.sample_K)
        link = c2 / self._sample_time_s()
        # Implicit Euler: the block's time is milliseconds when cold, and this is stable at any step.
        a11 = c1 / h + s.cooling_W_per_K + link
        a22 = c2 / h + link
        b1 = c1 / h * self.block_K + power_W + s.cooling_W_per_K * s.cold_K
        b2 = c2 / h * self.sample_K
        determinant = a11 * a22 - link * link
        self.block_K = (b1 * a22 + link * b2) / determinant
        self.sample_K = (a11 * b2 + link * b1) / determinant

    def _sample_time_s(self) -> float:
        """τ12: 2 s when cold, minutes at room temperature (an assumption, of the usual size)."""
        return 2.0 + 118.0 * (self.sample_K / 300.0) ** 1.5

    def sensor(self, node: str, field_T: float, noise: float) -> float:
        """What a resistance sensor at `block` or `sample` says: its noise and its magnetoresistance included."""
        true = self.block_K if node == "block" else self.sample_K
        s = self.settings
        return true * (1.0 + s.sensor_field_fraction_per_T2 * field_T * field_T + s.sensor_noise_fraction * noise)
