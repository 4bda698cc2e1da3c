"""The bore of a magnet: what of the coil's field comes to the sample, late and with flux trapped in the windings.

Eddy currents in what surrounds the sample delay the field by one more first-order time. Trapped flux opposes the last
large field, b = −sgn · b_r / (1 + (B/B_k)²); with a play it follows each reversal instead (the remanence of the Bean
model as a play operator), so a way that swings and dies out leaves less of it. The supply's display shows neither.
"""

import math

# What fades away for ever ends here.
_NOTHING_A = 1e-12


class Bore:
    """Currents in ampere of the coil, fields in tesla.

    `tail_A` is the coil's current as the sample feels it. `play_T` is 0 for a flux that only a field beyond `flip_T`
    turns over.
    """

    def __init__(
        self,
        tesla_per_ampere: float,
        eddy_time_s: float,
        trapped_T: float,
        scale_T: float,
        flip_T: float,
        play_T: float,
    ) -> None:
        self.tail_A = 0.0
        self._tesla_per_ampere = tesla_per_ampere
        self._eddy_s = eddy_time_s
        self._trapped_T = trapped_T
        self._scale_T = scale_T
        self._flip_T = flip_T
        self._play_T = play_T
        # +1 after a large positive field, −1 after a large negative one.
        self._polarity = 0.0
        self._centre_T = 0.0

    def follow(
        self, step_s: float, stop_A: float, start_A: float, slope: float, fading_A: float = 0.0, fading_s: float = 0.0
    ) -> None:
        """Take a step at whose end the coil's current is `stop_A`; exact for two lags in series.

        On the way it was a straight line from `start_A` with `slope` (A/s), and `fading_A` that fades in `fading_s`.
        """
        eddy_s = self._eddy_s
        if eddy_s <= 0.0:
            self.tail_A = stop_A
        else:
            fade = math.exp(-step_s / eddy_s)
            begin_A = start_A - slope * eddy_s
            end_A = begin_A + slope * step_s
            if fading_A and abs(fading_s - eddy_s) > 1e-6 * eddy_s:
                share_A = fading_A * fading_s / (fading_s - eddy_s)
                begin_A += share_A
                end_A += share_A * math.exp(-step_s / fading_s)
            elif fading_A:
                end_A += fading_A * step_s / eddy_s * fade
            self.tail_A = end_A + (self.tail_A - begin_A) * fade
            if abs(self.tail_A - stop_A) < _NOTHING_A:
                self.tail_A = stop_A
        field_T = self.tail_A * self._tesla_per_ampere
        if self._play_T > 0.0:
            self._centre_T = min(max(self._centre_T, field_T - self._play_T), field_T + self._play_T)
            self._polarity = (self._centre_T - field_T) / self._play_T
        elif abs(field_T) > self._flip_T:
            self._polarity = math.copysign(1.0, field_T)

    def field(self) -> float:
        """The field of coil and trapped flux at the sample (T)."""
        applied = self.tail_A * self._tesla_per_ampere
        return applied - self._polarity * self._trapped_T / (1.0 + (applied / self._scale_T) ** 2)
