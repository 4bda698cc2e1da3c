"""The alternating current that a source sends through the sample."""

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Excitation:
    """The alternating current through the sample. Who changes it first advances the world.

    A waveform of limited length ends by itself at `until_s`.
    """

    rms_A: float = 0.0
    frequency_Hz: float = 0.0
    on: bool = False
    marker: bool = False
    until_s: float = math.inf

    @property
    def through_sample_A(self) -> float:
        """The current that flows now (A rms)."""
        return self.rms_A if self.on else 0.0
