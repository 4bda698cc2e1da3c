"""The curve memory of a Lake Shore controller: standard curves, users' curves, their headers and breakpoints."""

from collections.abc import Callable, Mapping

from .lakeshore_grammar import NoAnswer, integer, real
from .sensors import CURVES, NO_CURVE, Curve, Unit

FIRST_USER = 21
_POINTS = 200


class CurveMemory:
    """Curves by number, 1 to `last`; those from 21 on can be written. `write` is how the model writes numbers."""

    def __init__(self, standard: Mapping[int, str], last: int, write: Callable[[float], str]) -> None:
        self._curves = {number: CURVES[kind] for number, kind in standard.items()}
        self._last = last
        self._write = write

    def get(self, number: int) -> Curve | None:
        """A curve, or None where there is none."""
        return self._curves.get(number)

    def at(self, number: int) -> Curve:
        """A curve, or one without breakpoints where there is none."""
        return self._curves.get(number, NO_CURVE)

    def put(self, curve: Curve) -> int:
        """Store a curve in the first place for users that is free, and give its number."""
        number = next(free for free in range(FIRST_USER, self._last + 1) if free not in self._curves)
        self._curves[number] = curve
        return number

    def number(self, arguments: list[str], first: int = 1) -> int:
        """The curve that the first argument names."""
        return integer(arguments[0] if arguments else "", first, self._last)

    def fits(self, number: int, own: Curve) -> bool:
        """True for a curve of the sort of a sensor's own: volts or ohms (or their logarithm), rising or falling."""
        curve = self._curves.get(number)
        if curve is None:
            return False
        return (curve.unit is Unit.VOLT) == (own.unit is Unit.VOLT) and curve.coefficient == own.coefficient

    def header(self, arguments: list[str]) -> str:
        """Name, serial number, format, limit (K) and sign of the coefficient: CRVHDR?."""
        curve = self._curves.get(self.number(arguments))
        if curve is None:
            return f"{'':<15},{'':<10},2,+000.000,1"
        return f"{curve.name:<15},{curve.serial:<10},{curve.unit.value},{curve.limit_K:+08.3f},{curve.coefficient}"

    def point(self, arguments: list[str]) -> str:
        """A breakpoint in sensor units and kelvin, in rising sensor units; zeros behind the last one: CRVPT?."""
        curve = self._curves.get(self.number(arguments))
        place = integer(arguments[1] if len(arguments) == 2 else "", 1, _POINTS)
        if curve is None or place > len(curve.points):
            return f"{self._write(0.0)},{self._write(0.0)}"
        units, kelvin = sorted(curve.points)[place - 1]
        return f"{self._write(units)},{self._write(kelvin)}"

    def store_header(self, arguments: list[str]) -> None:
        """CRVHDR; limit and coefficient follow from the breakpoints."""
        chosen = self.number(arguments, FIRST_USER)
        if len(arguments) != 6:
            raise NoAnswer
        name, serial = (given.strip('"') for given in arguments[1:3])
        old = self._curves.get(chosen)
        # 1, mV/K, is for thermocouples, which no input here takes; it is kept as V/K.
        unit = Unit(max(integer(arguments[3], 1, 4), 2))
        self._curves[chosen] = Curve(name[:15], serial[:10], unit, old.points if old else ())

    def store_point(self, arguments: list[str]) -> None:
        """CRVPT."""
        chosen = self.number(arguments, FIRST_USER)
        if len(arguments) != 4:
            raise NoAnswer
        place = integer(arguments[1], 1, _POINTS)
        units, kelvin = (real(given, -1e6, 1e6) for given in arguments[2:])
        old = self._curves.get(chosen) or Curve("User", "", Unit.LOG_OHM, ())
        points = sorted(old.points)
        points[place - 1 : place] = [(units, kelvin)]
        self._curves[chosen] = Curve(old.name, old.serial, old.unit, points)

    def delete(self, arguments: list[str]) -> int:
        """CRVDEL; gives the number."""
        chosen = self.number(arguments, FIRST_USER)
        self._curves.pop(chosen, None)
        return chosen
