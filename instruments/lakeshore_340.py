"""Lake Shore 340 temperature controller.

Wire facts: the 340's manual, chapter 9: readings with an exponent, RANGE 0 to 5 without a loop number, CLIMIT with the
largest set point, current and range of a loop. A set point above that limit silently becomes the limit, and a range
above its highest is not taken, so both are asked before anything is set.
"""

from typing import ClassVar

from ..core.errors import LimitError
from .lakeshore_331 import CsetController
from .lakeshore_zones import Zone, standard_zones


class Model340(CsetController):
    """Two inputs; the heater of loop 1 gives up to 100 W in five ranges, a decade apart."""

    model: ClassVar[str] = "Model340"
    twin: ClassVar[str] = "remanence.simulators.lakeshore:Model340"
    ranges: ClassVar[int] = 5
    d_limits: ClassVar[tuple[float, float]] = (0.0, 1000.0)
    pid_steps: ClassVar[tuple[float, float, float]] = (0.1, 0.1, 1.0)
    standard_zones: ClassVar[tuple[Zone, ...]] = standard_zones((0.01, 0.1, 1.0, 10.0, 100.0))
    settings_table: ClassVar[tuple[str, ...]] = (*CsetController.settings_table, "control_limits")

    @property
    def control_limits(self) -> tuple[float, ...]:
        """Get the loop's limits: set point (K), slopes up and down (%/s), code of the current, highest range."""
        return tuple(self._fields(f"CLIMIT? {self.output}", 5))

    def _check_instrument(self, temperature_K: float) -> None:
        super()._check_instrument(temperature_K)
        limit_K, _, _, _, highest = self.control_limits
        wanted = max((zone.heater_range for zone in self.zones), default=0)
        if temperature_K > limit_K or wanted > highest:
            asked = f"{temperature_K:g} K" if temperature_K > limit_K else f"heater range {wanted}"
            raise LimitError(
                f"{asked} is above the instrument's own limits, {limit_K:g} K and range {highest:g}",
                where=self._where(),
                state="Nothing was set",
                do="ask for less, or set the control limits at the instrument",
            )

    def _wanted_control(self, found: list[str]) -> list[str]:
        """Here the third field switches the loop on."""
        on = super()._wanted_control(found)
        on[2] = "1"
        return on
