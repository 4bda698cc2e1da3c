"""Drop a lone wild reading before it is binned, one row late and in constant time.

A reading is wild when it stands out from both neighbours to the same side. Its measure is the median size of second
differences: on a ramp the deviations from a running median are all zero, and a rule built on them flags everything.
"""

from typing import Any

from .legs import Point, point_of

Reading = tuple[float, Point | None]


class SpikeGate:
    """Passes readings on with a delay of one, without those that leap out by more than `factor` of the usual."""

    def __init__(self, factor: float = 6.0) -> None:
        self.dropped = 0
        self._factor = factor
        self._scale_ohm = 0.0
        self._before: float | None = None
        self._held: Reading | None = None
        self._field_T: float | None = None
        self._step_T = 0.0

    def state(self) -> dict[str, Any]:
        """All that it remembers, as JSON knows it."""
        return {
            "dropped": self.dropped, "scale_ohm": self._scale_ohm, "before": self._before, "held": self._held,
            "field_T": self._field_T, "step_T": self._step_T,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.dropped, self._scale_ohm, self._before = state["dropped"], state["scale_ohm"], state["before"]
        self._field_T, self._step_T = state["field_T"], state["step_T"]
        held = state["held"]
        self._held = held and (held[0], point_of(held[1]))

    def push(self, field_T: float, point: Point | None) -> Reading | None:
        """Take the next reading and give the previous one, its point None if it was a spike or not steady."""
        held, self._held = self._held, (field_T, point)
        if held is None or self._leaps(held[0], field_T):
            return None
        middle = held[1]
        if middle is None or point is None:
            self._before = None if middle is None else middle[3]
            return held
        before = self._before
        if before is not None:
            left, right = middle[3] - before, middle[3] - point[3]
            second = 0.5 * abs(left + right)
            scale = self._scale_ohm
            if left * right > 0.0 and min(abs(left), abs(right)) > self._factor * scale > 0.0:
                self.dropped += 1
                # Grow all the same: should the noise itself have grown, the gate opens after a few rows.
                self._scale_ohm = scale * 1.1
                return held[0], None
            # A median by steps: up when the difference is larger, down when it is smaller.
            self._scale_ohm = second if scale == 0.0 else scale * (1.04 if second > scale else 1.0 / 1.04)
        self._before = middle[3]
        return held

    def _leaps(self, middle_T: float, after_T: float) -> bool:
        """True when the field between two that fit together does not: such a reading would pass for a turn."""
        before_T, step_T = self._field_T, self._step_T
        if before_T is not None:
            passed_T = abs(after_T - before_T)
            if abs(middle_T - 0.5 * (before_T + after_T)) > 3.0 * passed_T + 4.0 * step_T > 0.0:
                self.dropped += 1
                self._step_T = step_T * 1.1
                return True
            step = 0.5 * passed_T
            self._step_T = step if step_T == 0.0 else step_T * (1.04 if step > step_T else 1.0 / 1.04)
        self._field_T = middle_T
        return False
