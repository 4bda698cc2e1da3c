"""The curve commands of the Signal Recovery and Ametek lock-ins.

Facts after the 7270 and 7220 manuals, chapter 6 (CBD, LEN, STR, NC, TD, TDC, HC, M, DC, DCB).
"""

import math
import struct
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from .curve_buffer import ENDLESS, ONCE, CurveBuffer
from .dsp_commands import Wrong, float_of, whole
from .dsp_lock_in import FULL, MODES, SENSITIVITIES_V, DSPLockIn
from .world import World


class CurveLockIn(DSPLockIn):
    """A lock-in that keeps curves of what it measures."""

    quantities: ClassVar[tuple[str, ...]] = ()
    points: ClassVar[int] = 0
    # The unit of STR, and the shortest interval.
    interval_unit_s: ClassVar[float] = 1e-3
    shortest_s: ClassVar[float] = 5e-3

    def __init__(self, world: World, name: str, wiring: str = "", drives: str | float = 0.0) -> None:
        self.curves = CurveBuffer(self.quantities, self.points, self.shortest_s)
        super().__init__(world, name, wiring, drives)

    def table(self) -> dict[str, Callable[[list[str], bool], str | None]]:
        """What to do for each name, curves too."""
        commands: dict[str, Callable[[list[str], bool], str | None]] = {
            "M": self._monitor, "CBD": self._curve_bits, "LEN": self._curve_length, "STR": self._interval,
            "NC": lambda a, _: self._halt(self.curves.forget), "TD": lambda a, _: self._start(ONCE),
            "TDC": lambda a, _: self._start(ENDLESS), "HC": lambda a, _: self._halt(self.curves.halt),
            "DC": self._dump, "DCB": self._dump_binary,
        }  # fmt: skip
        return super().table() | commands

    def reset(self) -> None:
        """ADF 1: the settings of the factory, and no curves."""
        super().reset()
        self._halt(self.curves.forget)

    def power_cycle(self) -> None:
        """The curves are gone then."""
        self._halt(self.curves.forget)
        super().power_cycle()

    def _monitor(self, arguments: list[str], point: bool) -> str:
        curves = self.curves
        return self.join(str(n) for n in (curves.state, curves.sweeps, self.take_status(), curves.kept))

    def _curve_bits(self, arguments: list[str], point: bool) -> str | None:
        if not arguments:
            return str(self.curves.bits)
        bits = whole(arguments, 1, (1 << len(self.quantities)) - 1)
        return self._halt(partial(self.curves.choose, bits))

    def _curve_length(self, arguments: list[str], point: bool) -> str | None:
        if not arguments:
            return str(self.curves.length)
        length = whole(arguments, 1, self.points)
        self._tap.due_s = math.inf
        if not self.curves.resize(length):
            raise Wrong
        return None

    def _interval(self, arguments: list[str], point: bool) -> str | None:
        unit_s = self.interval_unit_s
        if not arguments:
            return str(round(self.curves.interval_s / unit_s))
        asked_s = whole(arguments, 0, 1000000000) * unit_s
        self.curves.interval_s = max(1, math.ceil(asked_s / self.shortest_s - 1e-9)) * self.shortest_s
        return None

    def _start(self, state: int) -> None:
        self.curves.start(state)
        self._tap.due_s = self.world.clock.now() + self.curves.interval_s

    def _halt(self, how: Callable[[], None]) -> None:
        how()
        self._tap.due_s = math.inf

    def record(self) -> None:
        """Keep the points that are due, and say when the next are."""
        self.curves.keep(lambda quantity: round(self.read(quantity)))
        self._tap.due_s = self._tap.due_s + self.curves.interval_s if self.curves.running else math.inf

    def _points_of(self, arguments: list[str]) -> list[int]:
        curve = self.curves.curve(whole(arguments, 0, len(self.quantities) - 1))
        if curve is None:
            raise Wrong
        return curve

    def _dump(self, arguments: list[str], point: bool) -> str:
        """One point a line. In floating point it takes the sensitivity that was stored with it."""
        values = self._points_of(arguments)
        quantity = self.quantities[whole(arguments, 0, len(self.quantities) - 1)]
        end = self.reply_end.decode("latin-1")
        if not point:
            return end.join(str(value) for value in values)
        if quantity not in ("x", "y", "magnitude", "phase"):
            raise Wrong
        if quantity == "phase":
            return end.join(float_of(0.01 * value) for value in values)
        codes = self.curves.curve(self.quantities.index("sensitivity"))
        if codes is None:
            raise Wrong
        full = [SENSITIVITIES_V[code % 32] * MODES[code // 32] / FULL for code in codes]
        return end.join(float_of(value * one) for value, one in zip(values, full, strict=True))

    def _dump_binary(self, arguments: list[str], point: bool) -> str:
        """Two bytes a point, the high one first."""
        values = [value & 0xFFFF for value in self._points_of(arguments)]
        return struct.pack(f">{len(values)}H", *values).decode("latin-1")
