"""What all front panels of magnet supplies share: their coil, a look at it, and the latch that a quench trips."""

from ..core.errors import ConfigError
from .front_panel import FrontPanel
from .leads import Piece
from .world import World

# A supply that is cut off lets its current run down through diodes of about this voltage: an assumption.
_FREEWHEEL_V = 1.0
_FREEWHEEL_A_per_s = 5.0


class MagnetSupply(FrontPanel):
    """A supply on one coil of the laboratory, `axis` of the vector magnet.

    `tripped` is the supply's own latch: it trips on each quench of the coil, and stays until it is reset, whatever
    the coil does meanwhile. `trip_A` is the current at the last one.
    """

    def __init__(self, world: World, name: str, wiring: str = "", *, axis: str = "z") -> None:
        super().__init__(world, name, wiring)
        if axis not in world.magnets:
            raise ConfigError(f"{name} cannot drive the coil {axis!r}", do=f"axis is one of {', '.join(world.magnets)}")
        self.magnet = world.magnets[axis]
        self.tripped = False
        self.trip_A = 0.0
        self._quenches = self.magnet.quenches

    def look(self) -> float:
        """Bring the laboratory to now, notice a quench, and give the time (s)."""
        self.world.advance()
        magnet = self.magnet
        if magnet.quenches != self._quenches:
            self._quenches = magnet.quenches
            self.trip_A = magnet.quench_A
            self.trip()
        return self.world.clock.now()

    def trip(self) -> None:
        """Latch a quench and stop driving; a panel adds what else it does then."""
        self.tripped = True
        self.magnet.stop(self.world.clock.now())

    def drive(self, pieces: tuple[Piece, ...], now_s: float) -> None:
        """Send the leads along `pieces`, and notice when the coil does not bear it."""
        self.magnet.ramp_along(pieces, now_s)
        if self.magnet.quenches != self._quenches:
            self.look()

    def run_down(self, now_s: float) -> None:
        """Let the current run down by itself, the output being cut off."""
        magnet = self.magnet
        rate = _FREEWHEEL_V / magnet.settings.inductance_H if magnet.switch_warm(now_s) else _FREEWHEEL_A_per_s
        magnet.ramp(0.0, rate, now_s)
