"""Is the field moving steadily? The only rows that a lag correction holds for, decided from the readback alone.

A constant delay δ means a constant field error v·δ only once every lag has settled on a constant rate v. So a row
counts when the rate has not changed for a settling time; a stop, a restart, a turn or another rate starts it anew.
"""

from collections import deque
from typing import Any


class SteadyMotion:
    """Follows the readback and tells the sweep rate once it has been steady for `settle_s`.

    `resolution_T` is the step of the readback: rates are taken over a base long enough to see past it.
    """

    def __init__(self, settle_s: float, resolution_T: float, tolerance: float = 0.25) -> None:
        self._settle_s = settle_s
        self._resolution_T = resolution_T
        self._tolerance = tolerance
        self._recent: deque[tuple[float, float]] = deque()
        self._base_s = 1.0
        self._rate_T_per_s = 0.0
        self._since_s = 0.0
        self._seen = 0
        self.steady_s = 0.0  # how long the motion had been steady at the last reading

    def state(self) -> dict[str, Any]:
        """All that it remembers, as JSON knows it."""
        return {
            "recent": [list(reading) for reading in self._recent], "base_s": self._base_s, "rate": self._rate_T_per_s,
            "since_s": self._since_s, "seen": self._seen, "steady_s": self.steady_s,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._recent = deque((time_s, field_T) for time_s, field_T in state["recent"])
        self._base_s, self._rate_T_per_s = state["base_s"], state["rate"]
        self._since_s, self._seen, self.steady_s = state["since_s"], state["seen"], state["steady_s"]

    def rate_T_per_s(self, time_s: float, field_T: float) -> float | None:
        """Take one reading; the mean rate since the motion became steady, or None while it is not."""
        recent = self._recent
        if not recent:
            recent.append((time_s, field_T))
            self._since_s = time_s
            return None
        while len(recent) > 1 and time_s - recent[1][0] >= self._base_s:
            recent.popleft()
        then_s, then_T = recent[0]
        recent.append((time_s, field_T))
        elapsed_s = time_s - then_s
        if elapsed_s <= 0.0:
            return None
        rate = (field_T - then_T) / elapsed_s
        known = self._rate_T_per_s
        if abs(rate - known) > self._tolerance * abs(known) + 2.0 * self._resolution_T / elapsed_s:
            self._rate_T_per_s = rate
            self._since_s = time_s
            self._seen = 1
            # Five steps of the readback per base keep its rounding below the tolerance, within reason.
            self._base_s = min(10.0, max(1.0, 10.0 * self._resolution_T / (abs(rate) + 1e-9)))
            return None
        self._seen += 1
        # The plain mean at first, then an exponential one: it follows a supply that creeps.
        self._rate_T_per_s = known = known + (rate - known) / min(self._seen, 50)
        self.steady_s = time_s - self._since_s
        if self.steady_s < self._settle_s or abs(known) * 10.0 < self._resolution_T:
            return None
        return known
