"""Lake Shore 372 AC resistance bridge and temperature controller.

Wire facts: QCoDeS's driver, Lake Shore's own Python package, the ISIS emulator. Sixteen channels behind a scanner and a
control input A of its own; output 0 is the sample heater (ranges 1 to 8 of current, off is 0), 1 the warm-up heater (on
or off). OUTMODE has seven fields and codes of its own. I and D are whole numbers. A channel keeps its last reading
while the scanner is elsewhere, so a reading counts only where the scanner is known to be.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..core.errors import ConfigError, DeviceFault, LimitError, ReplyError
from .driver import CODES, strict_float, strict_int
from .lakeshore_controller import LakeShoreController
from .lakeshore_zones import Zone, standard_zones
from .link import Link

_CHANNELS = tuple(str(channel) for channel in range(1, 17))
_ZONE_MODE = 3
_KELVIN = 1
_SCANNED = re.compile(r"([^;]+);([0-9]{1,3});([0-9]{1,2}),([01])")
_STATUS = {
    1: "current source overload", 2: "common mode overload", 4: "mixer overload", 8: "differential overload",
    16: "resistance over range", 32: "resistance under range", 64: "temperature over range",
    128: "temperature under range",
}  # fmt: skip
_TEMPERATURE_BITS = 64 | 128
# The sample heater's ranges into 100 Ω: 31.6 µA to 100 mA, and the warm-up heater's full power (an assumption).
_SAMPLE_W = tuple(1e-7 * 10.0**n for n in range(8))
_WARM_UP_W = (10.0,)
_HALF_DECADE = math.sqrt(10.0)
# By code from 1: voltages and currents of a channel's excitation, the currents of input A, the resistance ranges.
_VOLTAGES_V = tuple(2e-6 * _HALF_DECADE**n for n in range(12))
_CURRENTS_A = tuple(1e-12 * _HALF_DECADE**n for n in range(22))
_CONTROL_CURRENTS_A = tuple(316e-12 * _HALF_DECADE**n for n in range(6))
_RANGES_ohm = tuple(2e-3 * _HALF_DECADE**n for n in range(22))


class Model372(LakeShoreController):
    """A 372: `sample_input` and `control_input` are `A` or a channel `1` to `16`; output 0 is the sample heater.

    Setting a temperature brings the scanner to the sample's channel and stops its round. With `scanned` the scanner
    goes on round the channels and readings are as old as a round: for slow work with several thermometers. A loop needs
    its thermometer all the time: input A, or the channel where the scanner stays.
    """

    model: ClassVar[str] = "Model372"
    twin: ClassVar[str] = "remanence.simulators.lakeshore:Model372"
    inputs: ClassVar[tuple[str, ...]] = ("A", *_CHANNELS)
    outputs: ClassVar[tuple[int, ...]] = (0, 1)
    p_limits: ClassVar[tuple[float, float]] = (0.0, 1000.0)
    i_limits: ClassVar[tuple[float, float]] = (0.0, 10000.0)
    d_limits: ClassVar[tuple[float, float]] = (0.0, 2500.0)
    pid_steps: ClassVar[tuple[float, float, float]] = (1e-6, 1.0, 1.0)
    coldest_K: ClassVar[float] = 0.005
    last_digit_K: ClassVar[float] = 1e-6
    ramp_limits: ClassVar[tuple[float, float, float]] = (0.001, 100.0, 0.001)
    set_point_lag_s: ClassVar[float] = 0.5
    status_words: ClassVar[Mapping[int, str]] = _STATUS
    settings_table: ClassVar[tuple[str, ...]] = (
        "set_point", "ramp", "heater_range", "pid", "mode", "heater_setup", "scan", "sample_setup", "sample_type",
        "control_setup", "control_type", "control_limit",
    )  # fmt: skip

    def __init__(
        self,
        link: Link,
        name: str = "",
        *,
        sample_input: str = "A",
        control_input: str = "A",
        output: int = 0,
        largest_K: float = 40.0,
        zones: Sequence[Sequence[float]] | None = None,
        scanned: bool = False,
    ) -> None:
        super().__init__(
            link, name, sample_input=sample_input, control_input=control_input, output=output, largest_K=largest_K,
            zones=zones,
        )  # fmt: skip
        self.scanned = scanned
        if control_input != "A" and (scanned or control_input != sample_input):
            raise ConfigError(
                f"a loop on channel {control_input} would be blind whenever the scanner is elsewhere",
                where=self.name,
                do="control from input A, or from the sample's channel without a round",
            )
        # A channel is not read until this instant after the scanner came to it (s).
        self._fresh_at_s = -math.inf

    # Scanner, excitation, resistance

    @property
    def scan(self) -> tuple[int, bool]:
        """Get the channel of the scanner (no unit), and whether it goes round by itself."""
        channel, automatic = self._fields("SCAN?", 2)
        return int(channel), automatic == 1

    def select_channel(self, channel: str, *, round_and_round: bool = False) -> None:
        """Bring the scanner to a channel, to stay there or to go round from there, and read it back.

        Raises:
            LimitError: there is no such channel; nothing was sent.
            DeviceFault: it is somewhere else afterwards.
        """
        self._check_channel(channel)
        pause_s = self._fields(f"INSET? {channel}", 5)[2]
        self._put(f"SCAN {channel},{round_and_round:d}", "SCAN?", [float(channel), float(round_and_round)])
        self._fresh_at_s = self.link.answered_s + pause_s

    def set_times(self, channel: str, *, dwell_s: int, pause_s: int) -> None:
        """Set how long the scanner stays at a channel, and how long nothing is read after it came (s).

        Raises:
            LimitError: not whole seconds from 1 to 200 and 3 to 200; nothing was sent.
        """
        self._check_channel(channel)
        for what, value, low in (("dwell", dwell_s, 1), ("pause", pause_s, 3)):
            self._check(what, value, low, 200, "s")
            self._check_step(what, value, 1.0, "s")
        on, _, _, curve, coefficient = self._fields(f"INSET? {channel}", 5)
        wanted = [on, float(dwell_s), float(pause_s), curve, coefficient]
        self._put(f"INSET {channel},{_numbers(wanted)}", f"INSET? {channel}", wanted)

    def set_excitation(
        self,
        channel: str,
        *,
        voltage_V: float | None = None,
        current_A: float | None = None,
        range_ohm: float | None = None,
    ) -> None:
        """Set a channel's excitation, by voltage or by current (rms), and its range; without one it follows by itself.

        Raises:
            LimitError: the bridge has no such step, or not exactly one of the two is given; nothing was sent.
        """
        if (voltage_V is None) == (current_A is None) or (channel == "A" and voltage_V is not None):
            raise LimitError(
                "give a voltage or a current, and a current for input A", where=self.name, state="Nothing was sent"
            )
        if channel != "A":
            self._check_channel(channel)
        currents = _CONTROL_CURRENTS_A if channel == "A" else _CURRENTS_A
        code = (
            self._code("excitation", voltage_V, _VOLTAGES_V, "V")
            if voltage_V is not None
            else self._code("excitation", current_A or 0.0, currents, "A")
        )
        fixed = None if range_ohm is None else self._code("range", range_ohm, _RANGES_ohm, "ohm")
        _, _, _, now, shunted, units = self._fields(f"INTYPE? {channel}", 6)
        row = [float(voltage_V is None), float(code), float(fixed is None), fixed or now, shunted, units]
        # A range that follows the resistance by itself may be another one already.
        first = None if fixed is not None else 3
        self._put(f"INTYPE {channel},{_numbers(row)}", f"INTYPE? {channel}", row[:first], first)

    def read_resistance(self, channel: str) -> float:
        """Measure the resistance at an input (ohm); a temperature beyond its curve does not matter here.

        Raises:
            DeviceFault: the bridge says why it is none.
        """
        query = f"RDGR? {channel};RDGST? {channel}"
        reply = self.ask(query)
        ohms, _, status = reply.partition(";")
        try:
            found_ohm, bits = strict_float(ohms), strict_int(status)
        except ReplyError as error:
            raise self.reply_error(query, reply) from error
        if fault := self._fault_of(bits & ~_TEMPERATURE_BITS):
            raise DeviceFault(f"input {channel} has no valid resistance: {fault}", where=self._where())
        return found_ohm

    # Settings

    @property
    def mode(self) -> str:
        """Get the output's mode (no unit): mode, input, power-up, polarity, filter and delay, as `3,A,0,0,0,001`."""
        return self.ask_text(f"OUTMODE? {self.output}", rf"\d,(?:A|\d+),{CODES}")

    @property
    def heater_setup(self) -> str:
        """Get the heater's set-up as the instrument says it: resistance (ohm), limits and display."""
        return self.ask_text(f"HTRSET? {self.output}", CODES)

    @property
    def sample_setup(self) -> str:
        """Get INSET of the sample's input as the instrument says it: on, dwell (s), pause (s), curve, coefficient."""
        return self.ask_text(f"INSET? {self.sample_input}", CODES)

    @property
    def sample_type(self) -> str:
        """Get INTYPE of the sample's input (no unit) as the instrument codes it: mode, excitation, range and units."""
        return self.ask_text(f"INTYPE? {self.sample_input}", CODES)

    @property
    def control_setup(self) -> str:
        """Get INSET of the control input as the instrument says it: on, dwell (s), pause (s), curve, coefficient."""
        return self.ask_text(f"INSET? {self.control_input}", CODES)

    @property
    def control_type(self) -> str:
        """Get INTYPE of the control input (no unit) as the instrument codes it: mode, excitation, range and units."""
        return self.ask_text(f"INTYPE? {self.control_input}", CODES)

    @property
    def control_limit(self) -> float:
        """Get the temperature at which the instrument switches its heaters off (K); 0 is never."""
        return self.ask_float(f"TLIMIT? {self.control_input}")

    def settings(self) -> dict[str, Any]:
        """The table, and what the driver uses."""
        return super().settings() | {"scanned": self.scanned}

    # Wording

    def _ranges(self) -> int:
        return len(_SAMPLE_W) if self.output == 0 else len(_WARM_UP_W)

    def _default_zones(self) -> tuple[Zone, ...]:
        if self.output == 0:
            return standard_zones(_SAMPLE_W, self.largest_K)
        return standard_zones(_WARM_UP_W)

    def _pid_text(self, p: float, i: float, d: float) -> str:
        return f"{p:.6f},{i:.0f},{d:.0f}"

    def _kelvin_text(self, kelvin: float) -> str:
        return f"{kelvin:.6g}"

    def _zone_row(self, zone: Zone) -> str:
        # The last three: no ramp of its own, the relays off.
        return f"{zone.top_K:.6g},{self._pid_text(*zone[2:])},0,{zone.heater_range},0,0,0"

    def _check_instrument(self, temperature_K: float) -> None:
        letter = self.control_input
        command = f"INTYPE? {letter};TLIMIT? {letter}"
        reply = self.ask(command)
        kind, _, limit = reply.partition(";")
        try:
            units, limit_K = int(kind.split(",")[5]), strict_float(limit)
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
        if not self.zones and self._mode()[1] != letter:
            raise DeviceFault(
                f"output {self.output} is not controlled from input {letter}, and without zones that is not changed",
                where=self._where(),
                state="Nothing was set",
                do="set the control input at the instrument or in station.toml",
            )
        self._place_scanner()

    def _place_scanner(self) -> None:
        """Have the scanner where the sample is, or on its round."""
        if self.sample_input == "A":
            return
        at, automatic = self.scan
        if automatic != self.scanned or not (self.scanned or at == int(self.sample_input)):
            self.select_channel(self.sample_input, round_and_round=self.scanned)

    def _close_loop(self) -> None:
        found = self._mode()
        wanted = [str(_ZONE_MODE), self.control_input, *found[2:]]
        if found != wanted:
            self.heater_off()
            command = f"OUTMODE {self.output},{','.join(wanted)};OUTMODE? {self.output}"
            if (reply := self.ask(command)).strip() != ",".join(wanted):
                raise DeviceFault(
                    f"{command!r} was not taken: OUTMODE? tells {reply!r}",
                    where=self._where(),
                    state="The heater is off",
                    do="check whether the instrument is locked, or used from somewhere else",
                )

    def _mode(self) -> list[str]:
        query = f"OUTMODE? {self.output}"
        reply = self.ask(query)
        fields = reply.strip().split(",")
        if len(fields) != 6:
            raise self.reply_error(query, reply)
        return fields

    # Readings

    def _read_kelvin(self, letter: str) -> float:
        if letter == "A":
            return super()._read_kelvin(letter)
        command = f"{self._reading_query(letter)};SCAN?"
        reply = self.ask(command)
        match = _SCANNED.fullmatch(reply.strip())
        if match is None:
            raise self.reply_error(command, reply)
        if fault := self._age_of(letter, int(match[3]), match[4] == "1"):
            raise DeviceFault(
                f"input {letter} has no valid temperature: {fault}",
                where=self._where(),
                do="select the channel, or say scanned = true in station.toml",
            )
        if not self.scanned and self.link.answered_s < self._fresh_at_s:
            raise ReplyError(
                f"the scanner has just come to channel {letter}, its reading is an old one",
                where=self._where(),
                do=f"ask again in {self._fresh_at_s - self.link.answered_s:.1f} s",
            )
        return self._kelvin(letter, command, reply, match[1], match[2])

    def _blind(self) -> str:
        """A loop on a channel where the scanner is not."""
        return "" if self.control_input == "A" else self._age_of(self.control_input, *self.scan)

    def _age_of(self, letter: str, channel: int, automatic: bool) -> str:
        """Why the reading of a channel is an old one, by where the scanner is; empty if it is not."""
        if automatic:
            return "" if self.scanned else "the scanner goes round, so its reading is an old one"
        return (
            "" if channel == int(letter) else f"the scanner stands at channel {channel}, so its reading is an old one"
        )

    def _check_channel(self, channel: str) -> None:
        if channel not in _CHANNELS:
            raise LimitError(f"there is no channel {channel!r}", where=self.name, state="Nothing was sent")

    def _code(self, what: str, value: float, steps: Sequence[float], unit: str) -> int:
        """The number of a step of half a decade; what is written as 632 µV is 2 µV · √10⁵."""
        near = min(steps, key=lambda step: abs(step - value))
        if not abs(near - value) <= 0.01 * near:
            raise LimitError(
                f"{what} {value:g} {unit} is no step of the bridge, the nearest is {near:.3g} {unit}",
                where=self.name,
                state="Nothing was sent",
            )
        return steps.index(near) + 1


def _numbers(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
