"""The sample chamber of a MultiVu cryostat: what it is told, the state words, and the pressure on the way."""

import math
from enum import IntEnum

STATES = {
    0: "Unknown", 1: "Purged and Sealed", 2: "Vented and Sealed", 3: "Sealed (condition unknown)",
    4: "Performing Purge/Seal", 5: "Performing Vent/Seal", 6: "Pre-HiVac", 7: "HiVac", 8: "Pumping Continuously",
    9: "Flooding Continuously", 14: "HiVac Error", 15: "General Failure",
}  # fmt: skip
PURGED, VENTED, SEALED = 1, 2, 3

_ATMOSPHERE_torr = 760.0
# Assumptions of the usual size: where the pressure ends, how fast it goes there, and how long a cycle takes.
_PURGED_torr, _PUMPED_torr, _HIGH_VACUUM_torr = 5.0, 1.0, 5e-5
_PUMP_s, _VENT_s, _CRYOPUMP_s = 25.0, 40.0, 60.0
_PURGE_CYCLE_s, _VENT_CYCLE_s, _PRE_VACUUM_s = 300.0, 240.0, 480.0


class Mode(IntEnum):
    """What the chamber can be told."""

    seal = 0
    purge_seal = 1
    vent_seal = 2
    pump_continuous = 3
    vent_continuous = 4
    high_vacuum = 5


class Chamber:
    """Everything here is a function of the time since the last order, in seconds of the laboratory's clock."""

    def __init__(self, now_s: float, vent_code: int) -> None:
        self.mode = Mode.purge_seal
        self._vent_code = vent_code
        self._since_s = now_s - _PURGE_CYCLE_s
        self._before_torr = _PURGED_torr
        self._sealed_code = PURGED

    def order(self, mode: Mode, now_s: float) -> None:
        """Begin something; what was under way is left as it is."""
        code = self.code(now_s)
        self._sealed_code = code if code in (PURGED, VENTED) else SEALED
        self._before_torr = self.pressure_torr(now_s)
        self.mode, self._since_s = mode, now_s

    def code(self, now_s: float) -> int:
        """The state word's number."""
        passed_s = now_s - self._since_s
        match self.mode:
            case Mode.seal:
                return self._sealed_code
            case Mode.purge_seal:
                return PURGED if passed_s >= _PURGE_CYCLE_s else 4
            case Mode.vent_seal:
                return VENTED if passed_s >= _VENT_CYCLE_s else 5
            case Mode.pump_continuous:
                return 8
            case Mode.vent_continuous:
                return self._vent_code
            case Mode.high_vacuum:
                return 7 if passed_s >= _PRE_VACUUM_s else 6

    def settled(self, now_s: float) -> bool:
        """True when what was asked for has come, as MultiPyVu's server judges it."""
        code = self.code(now_s)
        match self.mode:
            case Mode.seal | Mode.vent_seal:
                return code in (PURGED, VENTED, SEALED)
            case Mode.purge_seal:
                return code == PURGED
            case Mode.high_vacuum:
                return code == 7
            case _:
                return True

    def pressure_torr(self, now_s: float) -> float:
        """The pressure at the gauge (Torr)."""
        passed_s = now_s - self._since_s
        end_torr, time_s = {
            Mode.seal: (self._before_torr, _PUMP_s),
            Mode.purge_seal: (_PURGED_torr, _PUMP_s),
            Mode.vent_seal: (_ATMOSPHERE_torr, _VENT_s),
            Mode.pump_continuous: (_PUMPED_torr, _PUMP_s),
            Mode.vent_continuous: (_ATMOSPHERE_torr, _VENT_s),
            Mode.high_vacuum: (_HIGH_VACUUM_torr, _CRYOPUMP_s),
        }[self.mode]
        # A pump or a valve with a constant conductance: exponential in time.
        return end_torr + (self._before_torr - end_torr) * math.exp(-max(passed_s, 0.0) / time_s)
