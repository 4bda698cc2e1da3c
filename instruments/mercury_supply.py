"""What a group of a Mercury iPS says of itself: its readings, its set-up, its status word and its alarms.

Wire facts beside those of `mercury`: QCoDeS, Lab::Measurement, frappy, and ISIS with what Oxford Instruments told it of
the status word. Rates are per minute on the wire. The maker says that a run-down for want of helium does not show.
"""

import re

from ..core.capabilities import Activity, Heater
from ..core.errors import ConfigError
from .field_constant import disagreement, positive
from .link import Link
from .mercury import MercuryDriver, Refused

_s_per_min = 60.0
# How far the field constants of supply and station may be apart.
_TOLERANCE = 1e-3
_GROUP = re.compile(r"GRP[A-Z0-9]")
ACTIONS = {
    "HOLD": Activity.HOLDING, "RTOS": Activity.RAMPING, "RTOZ": Activity.RAMPING, "CLMP": Activity.CLAMPED,
}  # fmt: skip
SWITCH = {"ON": Heater.ON, "OFF": Heater.OFF}
# Bits of STAT as the maker names them; all others are to be ignored. Bit 0 (leads and magnet apart) is no fault.
QUENCH_BIT, FAULT_BITS = 0x100, 0x3F2FE
# What must not change behind the guard's back, as the supply words it.
_FIXED = ("ATOB", "CLIM", "VLIM", "IND", "BIPL", "SWPR", "SWONT", "SWOFT")


class GroupReadings(MercuryDriver):
    """The readings of the group of units `group`, as GRPZ. The drivers of several groups may share one link.

    `thermometer` and `level_meter` are the boards with the magnet's sensors. `tesla_per_ampere` is the magnet's field
    constant; where it is given, the supply must agree with it.
    """

    def __init__(
        self,
        link: Link,
        name: str = "",
        *,
        group: str = "GRPZ",
        thermometer: str = "MB1.T1",
        level_meter: str = "DB5.L1",
        tesla_per_ampere: float | None = None,
    ) -> None:
        super().__init__(link, name)
        self.tesla_per_ampere = positive(tesla_per_ampere, self.name)
        if _GROUP.fullmatch(group) is None:
            raise ConfigError(f"{group!r} is no group of an iPS", where=self.name, do="write it like GRPZ")
        self.group, self.thermometer, self.level_meter = group, thermometer, level_meter
        self.address, self.signals = f"DEV:{group}:PSU", f"DEV:{group}:PSU:SIG"
        # Until the supply was asked, it has everything.
        self.has_switch = self.has_status = True
        # As of the last action that it said.
        self.clamped = False

    # Readings and settings

    @property
    def action(self) -> str:
        """Get what the group was told to do (no unit): HOLD, RTOS (to set point), RTOZ (to zero) or CLMP."""
        action = self.closed_words(self.address, last="ACTN", allowed=ACTIONS)[0]
        self.clamped = action == "CLMP"
        return action

    @property
    def output_current(self) -> float:
        """Measure the current in the leads (A)."""
        return self.quantity(self.signals, "CURR", "A")

    @property
    def output_voltage(self) -> float:
        """Measure the voltage at the output (V)."""
        return self.quantity(self.signals, "VOLT", "V")

    @property
    def persistent_current(self) -> float:
        """Measure the current in the coil as the supply believes it to be (A)."""
        return self.quantity(self.signals, "PCUR", "A")

    @property
    def set_point(self) -> float:
        """Get the set point (A)."""
        return self.quantity(self.signals, "CSET", "A")

    @property
    def rate(self) -> float:
        """Get the rate of the next move (A/s)."""
        return self.quantity(self.signals, "RCST", "A/m") / _s_per_min

    @property
    def field_constant(self) -> float:
        """Get the field constant that the supply works with (T/A)."""
        return 1.0 / self._number("ATOB")

    @property
    def current_limit(self) -> float:
        """Get the largest current that the supply lets pass, of either sign (A)."""
        return self._number("CLIM")

    @property
    def fixed(self) -> dict[str, str]:
        """Get the supply's set-up as it words it (A/T, A, V, H and ms), or its word for why there is none."""
        return {name: self._word(name) for name in _FIXED}

    @property
    def magnet_temperature(self) -> float:
        """Measure the magnet's temperature with its own sensor (K)."""
        return self.quantity(f"DEV:{self.thermometer}:TEMP:SIG", "TEMP", "K")

    @property
    def helium_level(self) -> float:
        """Measure the level of the helium (%)."""
        return self.quantity(f"DEV:{self.level_meter}:LVL:SIG:HEL", "LEV", "%")

    # The wire

    def find_kind(self) -> None:
        """Take the name that this firmware has for magnet supplies, and see what it can say.

        Raises:
            ConfigError: this iPS has no such group (the message names those that it has), or another magnet there.
        """
        kind = "SPSU" if self.firmware >= (2, 6) else "PSU"
        self.address, self.signals = f"DEV:{self.group}:{kind}", f"DEV:{self.group}:{kind}:SIG"
        try:
            _ = self.action
        except Refused as refusal:
            if refusal.word != "NOT_FOUND":
                raise
            groups = sorted(set(re.findall(r"DEV:(GRP\w+):", self.words("SYS", "CAT")[0])))
            raise ConfigError(
                f"this iPS has no group {self.group}", where=self.where(), do=f"groups are {', '.join(groups)}"
            ) from refusal
        if self.tesla_per_ampere is not None:
            constant = self.field_constant
            if abs(constant - self.tesla_per_ampere) > _TOLERANCE * self.tesla_per_ampere:
                raise disagreement(constant, self.tesla_per_ampere, self.where())
        self.has_switch = self._understands(self.signals, "SWHT")
        self.has_status = self._understands(self.address, "STAT")

    def state(self) -> tuple[int, str, str]:
        """The status bits, the action, and both as the supply says them."""
        if self.has_status:
            status, action = self.closed_words(self.address, "STAT", last="ACTN", allowed=ACTIONS)
            self.clamped = action == "CLMP"
            if re.fullmatch("[0-9A-Fa-f]{1,8}", status) is None:
                raise self.reply_error(f"READ:{self.address}:STAT", status)
            return int(status, 16), action, f"ACTN {action}, STAT {status}"
        action, mine = self.action, [alarm for alarm in self.alarms if alarm.startswith(self.group)]
        quenched = any("quench" in alarm.lower() for alarm in mine)
        return QUENCH_BIT * quenched, action, ", ".join([f"ACTN {action}", *mine])

    def _number(self, name: str) -> float:
        text = self.closed_words(self.address, name, last="ACTN", allowed=ACTIONS)[0]
        value = self.number_of(self.address, name, text, "")
        if value <= 0.0:
            raise self.reply_error(f"READ:{self.address}:{name}", text)
        return value

    def _word(self, name: str) -> str:
        """A setting as the supply words it, or its word for why there is none."""
        try:
            return self.closed_words(self.address, name, last="ACTN", allowed=ACTIONS)[0]
        except Refused as refusal:
            return refusal.word

    def _understands(self, address: str, name: str) -> bool:
        """False when the instrument says that it has no such value."""
        try:
            self.words(address, name)
        except Refused:
            return False
        return True
