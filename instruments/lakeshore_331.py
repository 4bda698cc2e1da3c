"""Lake Shore 331 temperature controller, and what it shares with the 340: CSET gives a loop its input, CMODE its mode.

Wire facts: the 331's manual, chapter 6. RANGE, HTR? and HTRST? take no loop number, which drivers written for the 335
overlook: such an order is lost and such a query is not answered.
"""

from collections.abc import Mapping
from typing import ClassVar

from ..core.errors import DeviceFault
from .driver import CODES
from .lakeshore_controller import LakeShoreController
from .lakeshore_zones import Zone, standard_zones

_ZONE_MODE = 2
_KELVIN = "1"


class CsetController(LakeShoreController):
    """A controller of the older kind: the heater of loop 1 has ranges; loop 2 is an analogue output without any."""

    ramp_limits: ClassVar[tuple[float, float, float]] = (0.1, 100.0, 0.1)
    settings_table: ClassVar[tuple[str, ...]] = (
        "set_point", "ramp", "heater_range", "pid", "control_setup", "control_mode", "sample_type", "sample_curve",
        "control_type", "control_curve",
    )  # fmt: skip

    @property
    def control_setup(self) -> str:
        """Get the loop's CSET (no unit): its input and units first, as `A,1,0,2`."""
        return self.ask_text(f"CSET? {self.output}", f"[A-D],{CODES}")

    @property
    def control_mode(self) -> int:
        """Get the loop's mode (no unit): 1 PID, 2 zones, 3 open."""
        return int(self.ask_float(f"CMODE? {self.output}"))

    @property
    def sample_type(self) -> str:
        """Get the sensor type of the sample's input (no unit), as the instrument codes it."""
        return self.ask_text(f"INTYPE? {self.sample_input}", CODES)

    @property
    def sample_curve(self) -> int:
        """Get the number of the sample's calibration curve (no unit)."""
        return int(self.ask_float(f"INCRV? {self.sample_input}"))

    @property
    def control_type(self) -> str:
        """Get the sensor type of the control input (no unit), as the instrument codes it."""
        return self.ask_text(f"INTYPE? {self.control_input}", CODES)

    @property
    def control_curve(self) -> int:
        """Get the number of the control input's calibration curve (no unit)."""
        return int(self.ask_float(f"INCRV? {self.control_input}"))

    def _wording(self) -> Mapping[str, str]:
        return {
            "set_point": f"SETP? {self.output}", "heater": "HTR?", "range": "RANGE?", "heater_status": "HTRST?",
        }  # fmt: skip

    def _range_order(self, heater_range: int) -> str:
        return f"RANGE {heater_range}"

    def _check_instrument(self, temperature_K: float) -> None:
        """Without zones the loop stays as it was set at the instrument, so it must be the one of this driver."""
        if not self.zones and self._control()[:2] != [self.control_input, _KELVIN]:
            raise DeviceFault(
                f"loop {self.output} is not controlled from input {self.control_input} in kelvin, "
                "and without zones that is not changed",
                where=self._where(),
                state="Nothing was set",
                do="set the control input at the instrument or in station.toml",
            )

    def _close_loop(self) -> None:
        found = self._control()
        wanted = self._wanted_control(found)
        if found != wanted or self.control_mode != _ZONE_MODE:
            self.heater_off()
            command = f"CSET {self.output},{','.join(wanted)};CSET? {self.output}"
            if (reply := self.ask(command)).strip() != ",".join(wanted):
                raise DeviceFault(
                    f"{command!r} was not taken: CSET? tells {reply!r}",
                    where=self._where(),
                    state="The heater is off",
                    do="check whether the instrument is locked, or used from somewhere else",
                )
            self._put(f"CMODE {self.output},{_ZONE_MODE}", f"CMODE? {self.output}", [float(_ZONE_MODE)])

    def _wanted_control(self, found: list[str]) -> list[str]:
        """The fields of CSET: what the driver does not use stays as it is."""
        return [self.control_input, _KELVIN, *found[2:]]

    def _control(self) -> list[str]:
        query = f"CSET? {self.output}"
        reply = self.ask(query)
        fields = reply.strip().split(",")
        if len(fields) != 4 or fields[0] not in self.inputs:
            raise self.reply_error(query, reply)
        return fields


class Model331(CsetController):
    """Two inputs; the heater of loop 1 gives 50 W in three ranges."""

    model: ClassVar[str] = "Model331"
    twin: ClassVar[str] = "remanence.simulators.lakeshore:Model331"
    standard_zones: ClassVar[tuple[Zone, ...]] = standard_zones((0.5, 5.0, 50.0))
