"""The four contacts at the corners of a square sample, after van der Pauw.

Numbered 1 to 4 anticlockwise, 1 and 2 along x. Everything that four small contacts on the rim can show is in one
impedance matrix Z: pad k lies at Σ Z_kj I_j when the currents I_j enter. Its symmetric part comes from the sheet
resistances along the edges, its antisymmetric part is the Hall resistance alone, so reciprocity holds exactly:
R_ij,kl(B, m) = R_kl,ij(−B, −m). `R_ij,kl` is van der Pauw's (V_l − V_k)/I for a current into i and out of j
(Philips Res. Rep. 13, 1 (1958)), so R_12,34 and R_23,41 are positive and R_13,24 is the Hall resistance.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from ..core.errors import ConfigError
from .noise import NormalStream

CONTACTS = (1, 2, 3, 4)
_HOUR_s = 3600.0
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class ContactSettings:
    """How the contacts are made. All in SI.

    `anisotropy` is R_x/R_y at a given √(R_x R_y), the sample's R_xx. `misalignment` adds that part of R_xx to R_13,24;
    None takes the sample's own. `spreading` is what current from corner to corner meets beside, in R_xx: it depends on
    the pads' size. `resistance_ohm` is of each pad with its lead, `gap_ohm` what a bad contact has more, times
    `wear` with every time that a source is driven into its limit there. The thermal
    EMF of each lead starts within `thermal_V` and drifts; sizes after physics for a dilution cryostat's copper leads.
    """

    anisotropy: float = 1.0
    misalignment: float | None = None
    spreading: float = 1.0
    resistance_ohm: tuple[float, float, float, float] = (180.0, 205.0, 190.0, 215.0)
    thermal_V: float = 1e-6
    drift_V_per_h: float = 50e-9
    walk_V_per_root_h: float = 20e-9
    bad_contact: int = 0
    gap_ohm: float = 1e6
    wear: float = 1.0
    bad_for_s: float = math.inf
    good_for_s: float = 0.0


def pair_resistances(r_xx_ohm: float, anisotropy: float, misalignment: float = 0.0) -> tuple[float, float]:
    """(R_12,34, R_23,41) in ohm of a square with R_x/R_y = `anisotropy` and √(R_x R_y) = `r_xx_ohm`.

    Any four contacts on the rim obey exp(−πR_A/R) + exp(−πR_B/R) = 1, so the two follow from their difference, which
    is the square's own and the misalignment's.
    """
    difference = _difference(anisotropy) + misalignment
    scale = r_xx_ohm / math.pi
    return scale * _log1p_exp(math.pi * difference), scale * _log1p_exp(-math.pi * difference)


@lru_cache
def _difference(anisotropy: float) -> float:
    """(R_A − R_B)/√(R_x R_y), from the rectangle's series: 8/π Σ 1/(k sinh(kπ √(R_y/R_x))) over odd k."""
    return rectangle_series(anisotropy) - rectangle_series(1.0 / anisotropy)


def rectangle_series(anisotropy: float) -> float:
    """R_A/√(R_x R_y) of a square with corner contacts and R_x/R_y = `anisotropy`."""
    step = math.pi * math.sqrt(1.0 / anisotropy)
    total, k = 0.0, 1
    while k * step < 700.0:
        term = 1.0 / (k * math.sinh(k * step))
        total += term
        if term < 1e-17 * total:
            break
        k += 2
    return 8.0 / math.pi * total


def _log1p_exp(x: float) -> float:
    return x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))


class Alarm(Protocol):
    """Something that rings at `due_s` of the laboratory's clock."""

    due_s: float


class Contacts:
    """The contacts as they are now.

    `sheet` gives (R_xx, R_xy) of the sample without any misalignment, in ohm; `now` the time; `timer` something that
    rings when an intermittent contact is to change. Without it the change is noticed when somebody looks.
    """

    def __init__(
        self,
        settings: ContactSettings,
        misalignment: float,
        sheet: Callable[[], tuple[float, float]],
        now: Callable[[], float],
        stream: Callable[[str], NormalStream],
        timer: Callable[[Callable[[], None]], Alarm] | None = None,
    ) -> None:
        if not settings.anisotropy > 0.0 or min(settings.resistance_ohm) < 0.0:
            raise ConfigError("contacts need a positive anisotropy and no negative resistance")
        self.settings = settings
        self._misalignment = misalignment if settings.misalignment is None else settings.misalignment
        self._sheet, self._now = sheet, now
        # Called when a contact breaks or is mended: whatever drives current through it has to notice.
        self.changed: Callable[[], None] = _nobody
        self._noise, self._flicker = stream("thermal EMF"), stream("bad contact")
        self._started_s = self._looked_s = now()
        tilt = [self._noise.next() for _ in range(8)]
        self._offsets_V = [settings.thermal_V * math.tanh(value) for value in tilt[:4]]
        self._slopes_V_per_s = [settings.drift_V_per_h / _HOUR_s * value for value in tilt[4:]]
        self._walks_V = [0.0] * 4
        self._gaps: dict[int, _Gap] = {}
        self._alarm = None if timer is None else timer(self._flip)
        # What `_impedance` is of.
        self._of_sheet = (math.nan, math.nan)
        self._impedance: Matrix = ()
        if settings.bad_contact:
            self.damage(settings.bad_contact, settings.gap_ohm, settings.bad_for_s, settings.good_for_s, settings.wear)

    def damage(
        self,
        contact: int,
        gap_ohm: float,
        bad_for_s: float = math.inf,
        good_for_s: float = 0.0,
        wear: float = 1.0,
    ) -> None:
        """Make a contact bad: for good, or off and on with these mean times. Infinite ohms are an open contact.

        `wear` multiplies the ohms whenever a source reaches its limit through the contact.

        Raises:
            ConfigError: there is no such contact.
        """
        if contact not in CONTACTS:
            raise ConfigError(f"there is no contact {contact!r}", do="the contacts are 1 to 4")
        self._gaps[contact] = _Gap(gap_ohm, bad_for_s, good_for_s, wear, self._now(), self._flicker)
        self._flip()

    def mend(self, contact: int) -> None:
        """Make a bad contact good again."""
        self._gaps.pop(contact, None)
        self._flip()

    def _flip(self) -> None:
        """Say that a contact is not what it was, and be called again when the next one will not be."""
        if self._alarm is not None:
            now = self._now()
            self._alarm.due_s = min((gap.until_s(now) for gap in self._gaps.values()), default=math.inf)
        self.changed()

    def strain(self, contact: int) -> None:
        """A source has reached its limit through this contact."""
        if gap := self._gaps.get(contact):
            gap.wear_out()

    def impedance(self) -> Matrix:
        """Z (ohm) of the film alone, by pad and pad: no contact resistance in it."""
        sheet = self._sheet()
        if sheet != self._of_sheet:
            self._of_sheet, self._impedance = sheet, self._impedance_of(*sheet)
        return self._impedance

    def _impedance_of(self, r_xx: float, r_xy: float) -> Matrix:
        a, b = pair_resistances(r_xx, self.settings.anisotropy, self._misalignment)
        crossed = self.settings.spreading * r_xx
        # The square's own patterns of current: along x, along y, and from one diagonal to the other.
        x, y, d = 0.25 * (a + crossed), 0.25 * (b + crossed), 0.25 * crossed
        same, along_x, along_y, across = x + y + d, y - x - d, x - y - d, d - x - y
        # The Hall part of pad k for a current into pad i is antisymmetric: the potential jumps at the current's pad.
        h = 0.25 * r_xy
        return (
            (same, along_x + h, across, along_y - h),
            (along_x - h, same, along_y + h, across),
            (across, along_y - h, same, along_x + h),
            (along_y + h, across, along_x - h, same),
        )

    def resistance(self, i: int, j: int, k: int, l: int) -> float:  # noqa: E741  van der Pauw's letters
        """R_ij,kl in ohm: (V_l − V_k)/I for a current into contact i and out of j, measured without current."""
        z = self.impedance()
        # `fsum` rounds once, so that the order of the terms, which reciprocity turns round, does not matter.
        return math.fsum((z[l - 1][i - 1], -z[l - 1][j - 1], -z[k - 1][i - 1], z[k - 1][j - 1]))

    def pad_ohm(self, contact: int) -> float:
        """The resistance of a pad and its lead now (ohm); infinite when it is open."""
        gap = self._gaps.get(contact)
        own = self.settings.resistance_ohm[contact - 1]
        return own if gap is None else own + gap.ohm(self._now())

    def emf_V(self, contact: int) -> float:
        """The thermal EMF of a contact's lead now (V): an offset, a drift and a random walk."""
        now = self._now()
        if now > self._looked_s:
            step = self.settings.walk_V_per_root_h * math.sqrt((now - self._looked_s) / _HOUR_s)
            self._walks_V = [walk + step * self._noise.next() for walk in self._walks_V]
            self._looked_s = now
        index = contact - 1
        return self._offsets_V[index] + self._slopes_V_per_s[index] * (now - self._started_s) + self._walks_V[index]


def _nobody() -> None:
    """No source yet that would care."""


class _Gap:
    """A contact that is bad, now or for ever: a random telegraph."""

    def __init__(
        self, ohm: float, bad_for_s: float, good_for_s: float, wear: float, now_s: float, noise: NormalStream
    ) -> None:
        self._ohm, self._wear = ohm, wear
        self._means_s = (good_for_s, bad_for_s)
        self._noise = noise
        self._bad = True
        self._until_s = now_s + self._dwell_s()

    def until_s(self, now_s: float) -> float:
        while self._until_s <= now_s + 1e-9:
            self._bad = not self._bad
            self._until_s += self._dwell_s()
        return self._until_s

    def ohm(self, now_s: float) -> float:
        self.until_s(now_s)
        return self._ohm if self._bad else 0.0

    def wear_out(self) -> None:
        self._ohm *= self._wear

    def _dwell_s(self) -> float:
        # Half the sum of two squared normal numbers is exponentially distributed. Never nothing, which would not end.
        unit = 0.5 * (self._noise.next() ** 2 + self._noise.next() ** 2)
        return max(self._means_s[self._bad] * unit, 1e-3)
