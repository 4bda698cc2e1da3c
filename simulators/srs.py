"""Front panels of Stanford Research Systems' lock-in amplifiers, by the names of their drivers."""

from .sr830 import SENSITIVITIES_V, SR830, TIME_CONSTANTS_s
from .sr860 import SR860, SR865, SR865A

__all__ = ["SENSITIVITIES_V", "SR830", "SR860", "SR865", "SR865A", "TIME_CONSTANTS_s"]
