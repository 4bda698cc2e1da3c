"""The guard: the only way a procedure reaches a magnet. It refuses instead of clipping, and it holds.

A sweep is cut where the magnet's rate limit changes and, for a supply whose sign is a relay, at zero. Each piece is
programmed in one order: hold, rate, set point, read both back, fresh status, go. So at every instant the set point in
the supply lies within one piece and at that piece's rate: if the computer vanishes, the magnet coasts to a point that
was allowed, at a rate that was allowed.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..core.capabilities import Activity, FieldReading, MagnetSupply, SupplyStatus
from ..core.clock import Clock
from ..core.errors import CommunicationError, DeviceFault, LimitError
from .magnet_limits import MagnetLimits

_HOLD_TRIES = 3


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a sweep within one rate segment and one sign."""

    stop_T: float
    rate_T_per_s: float


class Guard:
    """A `FieldSource` around a `MagnetSupply`. `record` is told every command before it is sent, and its outcome."""

    def __init__(
        self,
        supply: MagnetSupply,
        limits: MagnetLimits,
        clock: Clock,
        *,
        name: str = "magnet",
        record: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.limits = limits
        self.record = record
        self.name = name
        self._supply = supply
        self._clock = clock
        self._pieces: deque[Piece] = deque()
        self._current: Piece | None = None
        self._piece_start_T = 0.0
        # Where the supply goes if nobody speaks to it again; before it confirmed anything to us that is not known.
        self._coasting_to: Piece | None = None
        self._coasting_known = False
        self._ready_at_s = -math.inf
        self._set_point_T = math.nan
        self._quenched = False

    @property
    def set_point_T(self) -> float:
        """The final target of the sweep last asked for (T); NaN before the first."""
        return self._set_point_T

    def take_over(self) -> None:
        """Look before anything else is said: a ramp that somebody else began is held, nothing else is touched.

        Raises:
            CommunicationError: the supply does not answer, or does not confirm the hold.
        """
        if self._supply.read_status().activity is Activity.RAMPING:
            self.hold()

    def read_field(self) -> FieldReading:
        """Measure the applied field.

        Raises:
            DeviceFault: it has gone past the end of its piece: the supply follows another order than ours. It is held.
        """
        reading = self._supply.read_field()
        piece, start_T = self._current, self._piece_start_T
        if piece is not None:
            past_T = math.copysign(1.0, piece.stop_T - start_T) * (reading.field_T - piece.stop_T)
            if past_T > self.limits.tolerance_T:
                self.hold()
                raise DeviceFault(
                    f"the magnet went past {piece.stop_T:+.4f} T, to {reading.field_T:+.4f} T", where=self.name,
                    state=self.describe(), do="look at the supply: it followed another order",
                )  # fmt: skip
        return reading

    def sweep_to(self, field_T: float, rate_T_per_s: float) -> None:
        """Start towards `field_T`; `poll` carries the sweep over its pieces.

        Raises:
            LimitError: target or rate is not finite, or beyond the magnet's limits; nothing was sent.
            DeviceFault: the supply reports a quench or a fault, its switch is cold, or it did not take the settings.
        """
        self._refuse_impossible(field_T, rate_T_per_s)
        if self._quenched:
            raise DeviceFault(
                "this magnet has quenched and is not moved again by this program", where=self.name,
                state=self.describe(), do="find out why, let it cool, and open the station anew",
            )  # fmt: skip
        self._check(self._supply.read_status())
        if self._supply.read_switch() is False:
            raise DeviceFault(
                "the heater of the persistent switch is off, so the leads would move and the coil would not",
                where=self.name,
                state=self.describe(),
                do="match the leads to the coil and warm the switch at the supply",
            )
        start_T = self._supply.read_field().field_T
        self._pieces = deque(self.plan(start_T, field_T, rate_T_per_s))
        self._set_point_T = field_T
        self._current = None
        # Within the settling time of a zero just reached, `poll` begins the first piece as it does all others.
        if self._clock.now() >= self._ready_at_s:
            self._next_piece()

    def plan(self, start_T: float, stop_T: float, rate_T_per_s: float) -> list[Piece]:
        """Cut a sweep at the rate segments' edges and, where the supply needs it, at zero."""
        edges = {edge for edge, _rate in self.limits.segments}
        cuts = {sign * edge for edge in edges for sign in (-1.0, 1.0)}
        if self._supply.reverses_through_zero:
            cuts.add(0.0)
        low, high = sorted((start_T, stop_T))
        # A cut closer to the start than the supply can resolve would be a piece of no length; but zero is where the
        # relay turns, and is never left out.
        inside = sorted(c for c in cuts if low < c < high and (c == 0.0 or abs(c - start_T) > self.limits.tolerance_T))
        stops = [*(inside if stop_T > start_T else reversed(inside)), stop_T]
        pieces: list[Piece] = []
        for begin, end in zip([start_T, *stops[:-1]], stops, strict=True):
            pieces.append(Piece(end, min(rate_T_per_s, self.limits.fastest_between(begin, end))))
        return pieces

    def poll(self) -> SupplyStatus:
        """Measure the status and begin the next piece when one is done; RAMPING until the whole sweep is.

        Raises:
            DeviceFault: quench, fault, or a magnet that stopped where it should not have.
        """
        status = self._supply.read_status()
        self._check(status)
        if status.activity is Activity.RAMPING:
            return status
        if self._current is not None:
            self._arrived(self._current)
            self._current = None
        if not self._pieces:
            return status
        if self._clock.now() >= self._ready_at_s:
            self._next_piece()
        return SupplyStatus(Activity.RAMPING, status.detail)

    def hold(self) -> None:
        """Stop where the field is and stay. Tried again when the wire fails, and allowed in every state.

        Raises:
            CommunicationError: the supply did not confirm; the message says what it will do by itself.
        """
        self._pieces.clear()
        self._current = None
        if self._quenched and self._supply.read_status().activity is Activity.QUENCHED:
            return  # a supply that tripped holds nothing, and a quenched magnet is sent no command
        for attempt in range(_HOLD_TRIES):
            self.record("hold")
            try:
                self._supply.hold()
            except CommunicationError as error:
                self.record(f"hold: not confirmed ({error})")
                if attempt == _HOLD_TRIES - 1:
                    raise CommunicationError(
                        "the supply did not confirm that it holds",
                        where=self.name,
                        state=self._by_itself(),
                        do="press PAUSE at the supply, then look at its link",
                    ) from error
            else:
                self._coasting_to, self._coasting_known = None, True
                self.record("hold: confirmed")
                return

    def _by_itself(self) -> str:
        """What the supply does if it is never spoken to again."""
        if not self._coasting_known:
            return "What the supply does by itself is not known"
        aim = self._coasting_to
        return (
            f"By itself it goes on to {aim.stop_T:+.4f} T and stays there" if aim else "By itself it stays where it is"
        )

    def describe(self) -> str:
        """One sentence on where the field is, read now; says so when it cannot be read."""
        try:
            field_T = self._supply.read_field().field_T
            status = self._supply.read_status()
        except CommunicationError as error:
            return f"Where the field of {self.name} is cannot be read: {error}"
        if status.activity is Activity.QUENCHED:
            return f"The magnet has QUENCHED ({status.detail.lower()})."
        word = {Activity.HOLDING: "holds at", Activity.RAMPING: "is ramping at"}.get(status.activity, "is in fault at")
        return f"The magnet {word} {field_T + 0.0:+.4f} T."

    def _refuse_impossible(self, field_T: float, rate_T_per_s: float) -> None:
        limits = self.limits
        nothing = "Nothing was sent to the magnet"
        if not math.isfinite(field_T) or abs(field_T) > limits.largest_T:
            raise LimitError(
                f"{field_T:g} T is outside ±{limits.largest_T:g} T",
                where=self.name, state=nothing, do="ask for less, or change the guard's limit if the magnet allows it",
            )  # fmt: skip
        fastest = max(rate for _edge, rate in limits.segments)
        if not math.isfinite(rate_T_per_s) or not 0 < rate_T_per_s <= fastest * (1 + 1e-9):
            raise LimitError(
                f"a rate of {rate_T_per_s * 1e3:g} mT/s is outside 0 … {fastest * 1e3:g} mT/s",
                where=self.name, state=nothing, do="ask for a rate that the magnet's segments allow",
            )  # fmt: skip

    def _next_piece(self) -> None:
        piece = self._pieces.popleft()
        self.record(f"program {piece.stop_T:+.5f} T at {piece.rate_T_per_s * 1e3:.4g} mT/s")
        programmed = self._supply.program(piece.stop_T, piece.rate_T_per_s)
        agrees = abs(programmed.target_T - piece.stop_T) <= self.limits.tolerance_T
        # A rate may be rounded down to the supply's step, never up.
        slower = programmed.rate_T_per_s <= piece.rate_T_per_s * (1 + 1e-6) and programmed.rate_T_per_s > 0
        if not (agrees and slower):
            raise DeviceFault(
                f"told {piece.stop_T:+.5f} T at {piece.rate_T_per_s * 1e3:.4g} mT/s, the supply reads back "
                f"{programmed.target_T:+.5f} T at {programmed.rate_T_per_s * 1e3:.4g} mT/s",
                where=self.name, state=self.describe(), do="look at the supply: it was not told to go",
            )  # fmt: skip
        self._check(self._supply.read_status())
        self.record("go")
        self._piece_start_T = self._supply.read_field().field_T
        self._current = self._coasting_to = piece
        # Until the supply confirms what it follows, it may follow an older order.
        self._coasting_known = False
        self._supply.go()
        self._coasting_known = True
        self.record("go: confirmed")

    def _arrived(self, piece: Piece) -> None:
        field_T = self._supply.read_field().field_T
        if abs(field_T - piece.stop_T) > self.limits.tolerance_T:
            raise DeviceFault(
                f"the magnet stopped at {field_T:+.4f} T on its way to {piece.stop_T:+.4f} T",
                where=self.name, state=self.describe(), do="somebody may have paused it at the supply",
            )  # fmt: skip
        self._coasting_to = None
        if piece.stop_T == 0.0:
            # The polarity relay must not move before the current has really gone.
            self._ready_at_s = self._clock.now() + self.limits.reversal_settle_s

    def _check(self, status: SupplyStatus) -> None:
        if status.activity is Activity.QUENCHED:
            self._quenched = True
            raise DeviceFault(
                f"the supply reports a quench: {status.detail}", where=self.name,
                state="The magnet is running down by itself", do="look at the magnet before you send it anything",
            )  # fmt: skip
        if status.activity is Activity.FAULT:
            raise DeviceFault(f"the supply reports {status.detail!r}", where=self.name, do="look at the supply")
