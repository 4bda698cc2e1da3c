"""Lake Shore 335, 336 and 350 temperature controllers.

Wire facts: as QCoDeS (335, 336), pymeasure (3xx) and ISIS drive them, and the 350's manual as public drivers quote it.
The set point is in the preferred units of its control input, so these must be kelvin. The heater's range and its PID
follow the set point through the instrument's own zone table, which goes on working in the middle of a ramp.
"""

from collections.abc import Mapping
from typing import ClassVar

from ..core.errors import DeviceFault, LimitError
from .driver import CODES, strict_float
from .lakeshore_controller import LakeShoreController
from .lakeshore_zones import Zone, standard_zones

_ZONE_MODE = 2
_KELVIN = 1
_LETTERS = ("A", "B", "C", "D")


class LakeShore33x(LakeShoreController):
    """What the three have in common: OUTMODE, INTYPE, TLIMIT, HTRSET. `powers_W` are those of each output's ranges."""

    outputs: ClassVar[tuple[int, ...]] = (1, 2)
    powers_W: ClassVar[Mapping[int, tuple[float, ...]]] = {}
    settings_table: ClassVar[tuple[str, ...]] = (
        "set_point", "ramp", "heater_range", "pid", "mode", "heater_setup", "sample_name", "sample_type",
        "sample_curve", "control_name", "control_type", "control_curve", "control_limit",
    )  # fmt: skip

    @property
    def mode(self) -> str:
        """Get mode, input and power-up state of the output (no unit), as `2,1,0`."""
        return self.ask_text(f"OUTMODE? {self.output}", CODES)

    @property
    def heater_setup(self) -> str:
        """Get the heater's set-up as the instrument says it: resistance code and current limit (A)."""
        return self.ask_text(f"HTRSET? {self.output}", CODES)

    @property
    def sample_name(self) -> str:
        """Get the name of the sample's input (no unit)."""
        return self.ask(f"INNAME? {self.sample_input}").strip()

    @property
    def sample_type(self) -> str:
        """Get the sensor type of the sample's input (no unit), as the instrument codes it."""
        return self.ask_text(f"INTYPE? {self.sample_input}", CODES)

    @property
    def sample_curve(self) -> int:
        """Get the number of the sample's calibration curve (no unit)."""
        return int(self.ask_float(f"INCRV? {self.sample_input}"))

    @property
    def control_name(self) -> str:
        """Get the name of the control input (no unit)."""
        return self.ask(f"INNAME? {self.control_input}").strip()

    @property
    def control_type(self) -> str:
        """Get the sensor type of the control input (no unit), as the instrument codes it."""
        return self.ask_text(f"INTYPE? {self.control_input}", CODES)

    @property
    def control_curve(self) -> int:
        """Get the number of the control input's calibration curve (no unit)."""
        return int(self.ask_float(f"INCRV? {self.control_input}"))

    @property
    def control_limit(self) -> float:
        """Get the temperature at which the instrument switches its heaters off (K); 0 is never."""
        return self.ask_float(f"TLIMIT? {self.control_input}")

    def set_temperature_limit(self, temperature_K: float) -> None:
        """Set the control temperature at which the instrument itself switches its heaters off (K), and read it back.

        Raises:
            LimitError: it is not between the target that is allowed at most and what the instrument takes.
        """
        self._check("temperature limit", temperature_K, self.largest_K, self.hottest_K, "K")
        order, query = f"TLIMIT {self.control_input},{temperature_K:.3f}", f"TLIMIT? {self.control_input}"
        self._put(order, query, [temperature_K])

    def _ranges(self) -> int:
        return len(self.powers_W[self.output])

    def _default_zones(self) -> tuple[Zone, ...]:
        return standard_zones(self.powers_W[self.output])

    def _zone_row(self, zone: Zone) -> str:
        # The last two: the default input, no ramp of its own.
        return f"{super()._zone_row(zone)},0,0"

    def _check_instrument(self, temperature_K: float) -> None:
        letter = self.control_input
        command = f"INTYPE? {letter};TLIMIT? {letter};OUTMODE? {self.output}"
        reply = self.ask(command)
        try:
            kind, limit, mode = reply.split(";")
            units, limit_K, control = int(kind.split(",")[4]), strict_float(limit), int(mode.split(",")[1])
        except (ValueError, IndexError) as error:
            raise self.reply_error(command, reply) from error
        if units != _KELVIN:
            raise DeviceFault(
                f"the preferred units of input {letter} are not kelvin, so neither would the set point be",
                where=self._where(),
                state="Nothing was set",
                do=f"set the units of input {letter} to kelvin at the instrument",
            )
        if 0.0 < limit_K <= temperature_K:
            raise LimitError(
                f"the instrument's own temperature limit is {limit_K:g} K, and {temperature_K:g} K is not below it",
                where=self._where(),
                state="Nothing was set",
                do="ask for less, or set the limit at the instrument",
            )
        if not self.zones and control != self._input_number():
            raise DeviceFault(
                f"output {self.output} is not controlled from input {letter}, and without zones that is not changed",
                where=self._where(),
                state="Nothing was set",
                do="set the control input at the instrument or in station.toml",
            )

    def _close_loop(self) -> None:
        query, wanted = f"OUTMODE? {self.output}", [float(_ZONE_MODE), float(self._input_number())]
        if self._fields(query, 3)[:2] != wanted:
            self.heater_off()
            order = f"OUTMODE {self.output},{_ZONE_MODE},{self._input_number()},0"
            self._put(order, query, wanted, first=2)

    def _input_number(self) -> int:
        return _LETTERS.index(self.control_input) + 1


class Model335(LakeShore33x):
    """Two inputs; output 1 gives 75 W and output 2 25 W, in three ranges."""

    model: ClassVar[str] = "Model335"
    twin: ClassVar[str] = "remanence.simulators.lakeshore:Model335"
    powers_W: ClassVar[Mapping[int, tuple[float, ...]]] = {1: (0.75, 7.5, 75.0), 2: (0.25, 2.5, 25.0)}
    set_point_lag_s: ClassVar[float] = 0.5


class Model336(LakeShore33x):
    """Four inputs; output 1 gives 100 W and output 2 50 W, in three ranges."""

    model: ClassVar[str] = "Model336"
    twin: ClassVar[str] = "remanence.simulators.lakeshore:Model336"
    inputs: ClassVar[tuple[str, ...]] = _LETTERS
    powers_W: ClassVar[Mapping[int, tuple[float, ...]]] = {1: (1.0, 10.0, 100.0), 2: (0.5, 5.0, 50.0)}
    set_point_lag_s: ClassVar[float] = 0.5


class Model350(LakeShore33x):
    """Four inputs; output 1 gives 75 W and output 2 1 W, in five ranges."""

    model: ClassVar[str] = "Model350"
    twin: ClassVar[str] = "remanence.simulators.lakeshore:Model350"
    inputs: ClassVar[tuple[str, ...]] = _LETTERS
    powers_W: ClassVar[Mapping[int, tuple[float, ...]]] = {
        1: (0.0075, 0.075, 0.75, 7.5, 75.0), 2: (1e-4, 1e-3, 0.01, 0.1, 1.0),
    }  # fmt: skip
