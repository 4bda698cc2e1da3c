"""Front panels of Stanford Research Systems' lock-in amplifiers, by the names of their drivers."""

from .sr830 import SENSITIVITIES_V, SR830, TIME_CONSTANTS_s

__all__ = ["SENSITIVITIES_V", "SR830", "TIME_CONSTANTS_s"]
