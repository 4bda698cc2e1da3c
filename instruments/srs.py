"""Stanford Research Systems SR830 lock-in amplifier.

Wire facts: SR830 manual, chapter 5. The table is our own and not pymeasure's driver, whose validators clip silently
to the nearest setting and whose reads cannot tell an overloaded value from a good one. Here a setting that the
instrument does not have is refused, and every reading carries what the status byte says of it.
"""

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from pymeasure.instruments.validators import strict_discrete_set

from ..core.capabilities import LockInReading
from ..core.errors import LimitError, ReplyError
from .driver import Driver, control, measurement, strict_float
from .link import Link

SENSITIVITIES_V = tuple(float(f"{digit}e{power}") for power in range(-9, 1) for digit in (1, 2, 5))[1:28]
TIME_CONSTANTS_s = tuple(float(f"{digit}e{power}") for power in range(-5, 5) for digit in (1, 3))
_SLOPES_dB = (6, 12, 18, 24)

# LIAS? bits 0..3; the others say that something changed, not that the reading is wrong.
_FLAG_NAMES = ("overload input", "overload filter", "overload output", "unlocked")
_FLAGS = tuple(tuple(name for bit, name in enumerate(_FLAG_NAMES) if byte >> bit & 1) for byte in range(16))


def _exactly(value: float, values: Iterable[float]) -> float:
    """The table's own value; pymeasure calls this as a validator.

    Raises:
        LimitError: the value is not in the table; the message names its neighbours.
    """
    table = sorted(values)
    for known in table:
        if math.isclose(value, known, rel_tol=1e-6):
            return known
    below = [known for known in table if known < value]
    above = [known for known in table if known > value]
    neighbours = " and ".join(f"{known:g}" for known in (*below[-1:], *above[:1]))
    raise LimitError(f"{value:g} is not a setting of the SR830", do=f"its neighbours are {neighbours}")


def _within(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    if not (math.isfinite(value) and low <= value <= high):
        raise LimitError(f"{value:g} is outside {low:g} to {high:g} of the SR830")
    return value


class SR830(Driver):
    """An SR830 whose reference is external: the phase marker of the current source."""

    model: ClassVar[str] = "SR830"
    settings_table: ClassVar[tuple[str, ...]] = (
        "sensitivity", "time_constant", "filter_slope", "synchronous_filter", "reserve", "reference_source",
        "reference_trigger", "frequency", "phase", "harmonic", "input_config", "input_grounding", "input_coupling",
        "input_notch",
    )  # fmt: skip

    sensitivity: float = control(
        "SENS?",
        "SENS %d",
        """Control the full-scale sensitivity (V): 2 nV to 1 V in steps of 1, 2, 5; others are refused.""",
        validator=_exactly,
        values=SENSITIVITIES_V,
        map_values=True,
        cast=int,
    )
    time_constant: float = control(
        "OFLT?",
        "OFLT %d",
        """Control the time constant of each pole (s): 10 µs to 30 ks in steps of 1, 3; others are refused.""",
        validator=_exactly,
        values=TIME_CONSTANTS_s,
        map_values=True,
        cast=int,
    )
    filter_slope: int = control(
        "OFSL?",
        "OFSL %d",
        """Control the filter's slope (dB/octave): 6, 12, 18 or 24, six for each pole.""",
        validator=strict_discrete_set,
        values=_SLOPES_dB,
        map_values=True,
        cast=int,
    )
    synchronous_filter: bool = control(
        "SYNC?",
        "SYNC %d",
        """Control whether the synchronous filter acts below 200 Hz (no unit); it adds a delay of one period.""",
        validator=strict_discrete_set,
        values={False: 0, True: 1},
        map_values=True,
        cast=int,
    )
    reserve: str = control(
        "RMOD?",
        "RMOD %d",
        """Control the dynamic reserve (no unit): `high`, `normal` or `low noise`.""",
        validator=strict_discrete_set,
        values=["high", "normal", "low noise"],
        map_values=True,
        cast=int,
    )
    reference_source: str = control(
        "FMOD?",
        "FMOD %d",
        """Control the reference (no unit): `external` or `internal`.""",
        validator=strict_discrete_set,
        values=["external", "internal"],
        map_values=True,
        cast=int,
    )
    reference_trigger: str = control(
        "RSLP?",
        "RSLP %d",
        """Control what of the external reference triggers (no unit): `sine`, `rising` or `falling`.""",
        validator=strict_discrete_set,
        values=["sine", "rising", "falling"],
        map_values=True,
        cast=int,
    )
    frequency: float = control(
        "FREQ?",
        "FREQ %.5e",
        """Control the reference frequency (Hz); it can be set with the internal reference only.""",
        validator=_within,
        values=(1e-3, 102e3),
    )
    phase: float = control(
        "PHAS?",
        "PHAS %.2f",
        """Control the phase of the reference (degree), −360 to 729.99; it reads back within ±180.""",
        validator=_within,
        values=(-360.0, 729.99),
    )
    harmonic: int = control(
        "HARM?",
        "HARM %d",
        """Control the harmonic that is detected (no unit), 1 to 19999.""",
        validator=_within,
        values=(1, 19999),
        cast=int,
    )
    input_config: str = control(
        "ISRC?",
        "ISRC %d",
        """Control the input (no unit): `A`, `A-B`, `I 1 MOhm` or `I 100 MOhm`.""",
        validator=strict_discrete_set,
        values=["A", "A-B", "I 1 MOhm", "I 100 MOhm"],
        map_values=True,
        cast=int,
    )
    input_grounding: str = control(
        "IGND?",
        "IGND %d",
        """Control the shield (no unit): `float` or `ground`.""",
        validator=strict_discrete_set,
        values=["float", "ground"],
        map_values=True,
        cast=int,
    )
    input_coupling: str = control(
        "ICPL?",
        "ICPL %d",
        """Control the coupling (no unit): `AC` or `DC`.""",
        validator=strict_discrete_set,
        values=["AC", "DC"],
        map_values=True,
        cast=int,
    )
    input_notch: str = control(
        "ILIN?",
        "ILIN %d",
        """Control the line filters (no unit): `none`, `line`, `2 x line` or `both`.""",
        validator=strict_discrete_set,
        values=["none", "line", "2 x line", "both"],
        map_values=True,
        cast=int,
    )
    x: float = measurement("OUTP?1", """Measure X (V rms); `read_xy` also tells whether it is true.""")
    y: float = measurement("OUTP?2", """Measure Y (V rms).""")
    magnitude: float = measurement("OUTP?3", """Measure R (V rms).""")
    theta: float = measurement("OUTP?4", """Measure θ (degree).""")

    def __init__(self, link: Link, name: str = "") -> None:
        super().__init__(link, name)
        self._delay_s: float | None = None

    def configure(self, *, sensitivity_V: float, time_constant_s: float, poles: int) -> None:
        """Set range, filter and external reference, and read them back. All is checked before anything is sent.

        Raises:
            LimitError: the instrument has no such setting; the message names the neighbours.
            ReplyError: it did not take a setting.
        """
        wanted: dict[str, Any] = {
            "reference_source": "external",
            "synchronous_filter": False,
            "sensitivity": self._known(sensitivity_V, SENSITIVITIES_V, "sensitivity (V)"),
            "time_constant": self._known(time_constant_s, TIME_CONSTANTS_s, "time constant (s)"),
            "filter_slope": 6 * int(self._known(poles, (1, 2, 3, 4), "number of poles")),
        }
        # Until all is read back the delay is unknown, not the old one.
        self._delay_s = None
        for name, value in wanted.items():
            setattr(self, name, value)
        for name, value in wanted.items():
            if (found := getattr(self, name)) != value:
                raise ReplyError(f"{name} was set to {value!r} and reads back {found!r}", where=self._where())
        # What was latched before belongs to other settings.
        self._read_status()
        self._delay_s = poles * time_constant_s

    def read_xy(self) -> LockInReading:
        """Measure X and Y of one instant (V rms), and what the lock-in noticed since the last reading."""
        reply = self.ask("SNAP?1,2")
        time_s = self.link.answered_s
        x, _, y = reply.partition(",")
        try:
            x_V, y_V = strict_float(x), strict_float(y)
        except ReplyError as error:
            raise self.reply_error("SNAP?1,2", reply) from error
        return LockInReading(x_V, y_V, time_s, _FLAGS[self._read_status() & 15])

    def read_delay(self) -> float:
        """Get the mean delay of the filter, poles × time constant (s); asks once after somebody else set it."""
        if self._delay_s is None:
            self._delay_s = self.filter_slope // 6 * self.time_constant
        return self._delay_s

    def _read_status(self) -> int:
        """The latched status byte; reading clears it."""
        reply = self.ask("LIAS?")
        text = reply.strip()
        if not (text.isascii() and text.isdigit() and int(text) < 256):
            raise self.reply_error("LIAS?", reply)
        return int(text)

    def _known(self, value: float, table: tuple[float, ...], what: str) -> float:
        try:
            return _exactly(value, table)
        except LimitError as error:
            raise LimitError(
                f"{what} {value:g} is not a setting of the {self.model}", where=self._where(), do=error.do
            ) from None

    def _where(self) -> str:
        return f"{self.name} ({self.link.address})"
