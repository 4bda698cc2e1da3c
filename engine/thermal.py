"""The station's watch over its temperature loops: fed while a run goes on, it acts, and stops the run.

What is dangerous `ThermalWatch` knows; here a loop is looked at often enough, and the alarm's remedy is done.
"""

import math

from ..core.capabilities import HeaterLoop
from ..core.clock import Clock
from ..core.errors import CommunicationError, InterlockTripped, RemanenceError
from ..instruments.thermal_watch import Alarm, Remedy, ThermalLimits, ThermalWatch

_EVERY_s = 2.0
# A loop that does not answer for so long is not watched over any more, and a run does not go on without.
_PATIENCE_s = 30.0


class LoopWatch:
    """One loop and the watch over it."""

    def __init__(self, name: str, loop: HeaterLoop, limits: ThermalLimits, clock: Clock) -> None:
        self.name = name
        self.watch = ThermalWatch(limits)
        self._loop, self._clock = loop, clock
        self._next_s = -math.inf
        self._heard_s: float | None = None

    def begin(self) -> None:
        """A run begins: what was before it is forgotten, an alarm too, and what is still wrong is seen anew."""
        self.watch.reset()
        self._next_s, self._heard_s = -math.inf, None

    def look(self) -> None:
        """Look at the loop when its time has come, at most every two seconds.

        Raises:
            InterlockTripped: something is wrong with it; the heater was switched off, or the message says why not.
            CommunicationError: it has not answered for half a minute.
        """
        now_s = self._clock.now()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _EVERY_s
        if self._heard_s is None:
            self._heard_s = now_s
        try:
            reading = self._loop.read_loop()
        except RemanenceError as error:
            if now_s - self._heard_s > _PATIENCE_s:
                raise CommunicationError(
                    f"nobody watches over its heater: it was not heard for {now_s - self._heard_s:.0f} s ({error})",
                    where=self.name, state="The loop goes on as it was set", do="look at the controller",
                ) from error  # fmt: skip
            return
        self._heard_s = now_s
        alarm = self.watch.update(reading)
        if alarm is not None:
            raise InterlockTripped(alarm.detail, where=self.name, state=self._act(alarm), do=_advice(alarm))

    def _act(self, alarm: Alarm) -> str:
        try:
            self._loop.heater_off()
        except RemanenceError as error:
            return f"THE HEATER COULD NOT BE SWITCHED OFF: {error}"
        return "Its heater was switched off"


def _advice(alarm: Alarm) -> str:
    if alarm.remedy is Remedy.CUT_POWER:
        return "it warms with its heater off: cut the heater's power, and look at the cryostat now"
    return "look at the thermometer and the cryostat before you switch the heater on again"
