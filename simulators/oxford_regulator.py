"""How Oxford Instruments' temperature controllers regulate: a proportional band in kelvin, and times in minutes."""

from .sensors import Sensor, State
from .temperature_loop import Gains

_s_per_min = 60.0
_NARROWEST_K = 1e-3


def gains(band_K: float, integral_min: float, derivative_min: float) -> Gains:
    """The terms of a loop: an error of one band gives full output, and again after each integral action time.

    A band of nothing is on and off; an integral time of nothing is no integral action.
    """
    integral_per_s = 1.0 / (_s_per_min * integral_min) if integral_min else 0.0
    return Gains(100.0 / max(band_K, _NARROWEST_K), integral_per_s, _s_per_min * derivative_min)


def sensed(sensor: Sensor | None) -> float | None:
    """The temperature that a loop sees (K), None where its sensor gives none."""
    if sensor is None:
        return None
    reading = sensor.read(sensor.kind.curve, noisy=False)
    return reading.kelvin if reading.state is State.VALID else None
