"""The field range in which a loop switches, with the straight Hall line taken off so that the loop can be seen.

At 37 Ω/T a loop of 1 Ω is invisible on a plot of ±7 T. This is for the eye only: the estimator of the run fits its
own model to all rows, and nothing computed here is ever stored or reported as a result.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .decimate import Decimator, Floats

# Every radius keeps its own thinned curves, so the view can follow B_C without going back to rows long past.
RADII_T = (0.075, 0.15, 0.3, 0.6, 1.2, 2.4)
START_RADIUS_T = 0.3
RADIUS_PER_COERCIVE = 4.0  # at least; the next radius is at most twice as wide
_FEWEST = 8  # points before a line is drawn through them


@dataclass(frozen=True, slots=True)
class Line:
    """The straight line taken off: `slope_ohm_per_T` times the field plus `offset_ohm`."""

    slope_ohm_per_T: float = 0.0
    offset_ohm: float = 0.0


class NearZero:
    """Thinned curves around zero field, one set of legs for each radius, and the line through their flanks."""

    def __init__(self) -> None:
        self.radius_T = START_RADIUS_T
        self.line = Line()
        self._rings: dict[float, dict[int, Decimator]] = {radius: {} for radius in RADII_T}

    def add(self, leg: int, field_T: Floats, r_xy_ohm: Floats) -> bool:
        """Add rows of one leg in order. True when some of them lie in the range shown."""
        # Extremes are judged by the height above the line known so far; it need only be roughly right.
        height = r_xy_ohm - self.line.slope_ohm_per_T * field_T
        shown = False
        for radius_T, legs in self._rings.items():
            inside = np.abs(field_T) <= radius_T
            if inside.any():
                legs.setdefault(leg, Decimator()).extend(field_T[inside], r_xy_ohm[inside], height[inside])
                shown = shown or radius_T == self.radius_T
        return shown

    def look(self, coercive_T: float) -> bool:
        """Choose the range that shows a loop of this coercive field well. True when that changed the range."""
        wanted = RADIUS_PER_COERCIVE * abs(coercive_T)
        radius_T = next((radius for radius in RADII_T if radius >= wanted), RADII_T[-1])
        changed = radius_T != self.radius_T
        self.radius_T = radius_T
        return changed

    def fit(self) -> Line:
        """Draw the line through the flanks, the outer half of the range, where the loop is saturated or nearly so.

        Both flanks share one slope and each has its own height, so the step between them, which is the loop, does
        not tilt the line. The offset is the middle between the flanks; seen one flank only, it stays zero.
        """
        curves = [decimator.points() for decimator in self._rings[self.radius_T].values()]
        if not curves:
            return self.line
        field_T = np.concatenate([x for x, _ in curves])
        r_xy_ohm = np.concatenate([y for _, y in curves])
        flanks = [side for side in (field_T > self.radius_T / 2, field_T < -self.radius_T / 2) if side.sum() >= _FEWEST]
        parts = flanks or [np.ones(len(field_T), dtype=bool)]
        means = [(float(field_T[part].mean()), float(r_xy_ohm[part].mean())) for part in parts]
        pairs = list(zip(parts, means, strict=True))
        sxx = sum(float(((field_T[part] - x) ** 2).sum()) for part, (x, _) in pairs)
        sxy = sum(float(((field_T[part] - x) * (r_xy_ohm[part] - y)).sum()) for part, (x, y) in pairs)
        if sxx > 0 and sum(int(part.sum()) for part in parts) >= _FEWEST:
            slope = sxy / sxx
            offset = sum(y - slope * x for x, y in means) / len(means) if len(flanks) == 2 else 0.0
            self.line = Line(slope, offset)
        return self.line

    def curves(self) -> Iterator[tuple[int, Floats, Floats]]:
        """Each leg in the range shown: its number, its fields, and R_xy with the line taken off."""
        for leg, decimator in self._rings[self.radius_T].items():
            x, y = decimator.points()
            yield leg, x, y - self.line.slope_ohm_per_T * x - self.line.offset_ohm
