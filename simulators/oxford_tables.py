"""The tables in an ITC503, behind its pointers x and y, and the sweep that one of them programs.

Wire facts are those of `oxford_itc503`. Temperatures in kelvin, times in minutes, as they stand in the tables.
"""

from .temperature_loop import SetPoint

_s_per_min = 60.0
_STEPS = 16
_LARGEST = 1677.7
_LAST_POINTER = 128

Table = list[list[float]]


def table(rows: int, columns: int) -> Table:
    """An empty table: `rows` for x from 1, `columns` for y from 1."""
    return [[0.0] * columns for _ in range(rows)]


class Pointers:
    """Where the next value goes, or comes from. A table of one column does without y."""

    def __init__(self) -> None:
        self._at = {"x": 0, "y": 0}

    def put(self, pointer: str, value: float) -> bool:
        """Set `x` or `y`; False when it is no place."""
        if value not in range(_LAST_POINTER + 1):
            return False
        self._at[pointer] = int(value)
        return True

    def read(self, values: Table, rest: str) -> str | None:
        """The value pointed at, or None when there is none."""
        row = self._row(values)
        return None if rest or row is None else f"{row[self._column(values)]:.1f}"

    def write(self, values: Table, value: float) -> bool:
        """Put a value where the pointers are; False when there is no place or no sense."""
        row = self._row(values)
        if row is None or not 0.0 <= value <= _LARGEST:
            return False
        row[self._column(values)] = value
        return True

    def _row(self, values: Table) -> list[float] | None:
        inside = 1 <= self._at["x"] <= len(values) and 0 <= self._column(values) < len(values[0])
        return values[self._at["x"] - 1] if inside else None

    def _column(self, values: Table) -> int:
        return self._at["y"] - 1 if len(values[0]) > 1 else 0


class Sweep:
    """Up to 16 steps, each a set point, the time to it, and the time there.

    `status` is 0 when none runs, 2P−1 on the way to step P, and 2P while holding there.
    """

    def __init__(self, set_point: SetPoint) -> None:
        self.steps = table(_STEPS, 3)
        self.status = 0
        self._set_point = set_point
        self._passed_s = self._from_K = 0.0

    def start(self, value: float) -> bool:
        """Start at this status, or stop with 0; False when it is none."""
        if value not in range(2 * _STEPS + 1):
            return False
        self.status, self._passed_s, self._from_K = int(value), 0.0, self._set_point.now_K
        self.advance(0.0)
        return True

    def wipe(self) -> None:
        """Forget all steps."""
        for row in self.steps:
            row[:] = [0.0] * len(row)

    def advance(self, step_s: float) -> None:
        """Let `step_s` seconds pass; after the last step the set point stays."""
        while self.status:
            target_K, sweep_min, hold_min = self.steps[(self.status - 1) // 2]
            on_the_way = bool(self.status % 2)
            length_s = _s_per_min * (sweep_min if on_the_way else hold_min)
            if self._passed_s + step_s < length_s:
                self._passed_s += step_s
                share = self._passed_s / length_s if on_the_way else 1.0
                self._set_point.aim(self._from_K + (target_K - self._from_K) * share)
                return
            step_s -= length_s - self._passed_s
            self._passed_s, self._from_K = 0.0, target_K
            self._set_point.aim(target_K)
            self.status = (self.status + 1) % (2 * _STEPS + 1)
