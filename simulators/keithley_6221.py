"""Front panel of the Keithley 6221 AC and DC current source.

Command set after the Model 6220/6221 reference manual: SCPI with long and short forms, `;` between commands and `:`
for the root, several answers joined by `;` (manual 10-18), an error queue. The amplitude of a waveform is its peak.
Delta mode takes a 2182A along on the serial port; its buffer gives reading and time stamp in pairs (manual 13-7).
"""

import cmath
import math
from collections.abc import Mapping
from typing import ClassVar

from .circuit import Nanovoltmeter
from .current_program import CurrentProgram, Delta, DeltaReading, Staircase, staircase
from .excitation import sampled_wave, square_wave, triangle_wave
from .keithley_6221_settings import CHOICES, LARGEST_A, NUMBERS, SHAPES
from .reading_buffer import ReadingBuffer
from .scpi import Choice, Number, ScpiPanel
from .scpi_grammar import INFINITE, SWITCH, Refused, arguments_of, scientific, unquoted, value_of, word_of
from .world import World

_ARMED = 413
_RANGES_A = (2e-9, 2e-8, 2e-7, 2e-6, 2e-5, 2e-4, 2e-3, 2e-2, 0.1)
_ELEMENTS = ("READing", "TSTamp", "UNITs", "RNUMber", "SOURce", "COMPliance", "AVOLtage")
_UNITS = {"V": "VDC", "OHMS": "OHM", "W": "W", "SIEM": "S"}
# Bits of the measurement and of the operation events
_COMPLIANCE, _OVERFLOW = 8, 1
_SWEEP_DONE, _SWEEP_ABORTED, _WAVE_DONE = 2, 4, 128
_NO_DATA = f"{scientific(INFINITE)},{scientific(0.0)}"


class Keithley6221(ScpiPanel):
    """The source of the current through the sample, and of the phase marker that the lock-ins lock to.

    `serial` names the 2182A on its serial port and trigger link; without it, the first one that the laboratory has.
    """

    model: ClassVar[str] = "6221"
    firmware: str = "D03"
    identity: ClassVar[str] = "KEITHLEY INSTRUMENTS INC.,MODEL 6221,1234567,{firmware}  /700x"
    reply_end: ClassVar[bytes] = b"\n"
    latency_s: ClassVar[float] = 0.01
    inferred: ClassVar[tuple[str, ...]] = (
        "Bit numbers of compliance, of the sweep's end and of its abortion in the event registers.",
        "A current beyond a fixed range is error -222; the trigger layer's settings are kept and not acted on.",
        "Without a 2182A to arm delta mode is error -241.",
        "Between two conversions of delta mode pass 18 ms beside the delay and the conversion itself.",
        "When delta mode or a sweep ends or is aborted the output goes off.",
        "A waveform in compliance is smaller in proportion; its clipped shape is not followed.",
    )
    messages: ClassVar[Mapping[int, str]] = {**ScpiPanel.messages, _ARMED: "Not allowed with mode armed"}
    numbers: ClassVar[tuple[Number, ...]] = NUMBERS
    choices: ClassVar[tuple[Choice, ...]] = CHOICES

    def __init__(self, world: World, name: str, wiring: str = "", *, serial: str = "") -> None:
        self._source = world.circuit.source(wiring, name)
        self._serial_name = serial
        self._serial_answers: list[str] = []
        self._arbitrary: list[list[float]] = [[] for _ in range(5)]
        self._program: CurrentProgram | None = None
        self._timer = world.timer(lambda: None)
        self._driving = False
        super().__init__(world, name, wiring)
        self._buffer = ReadingBuffer[DeltaReading](100, self.registers["MEASurement"])
        self._buffer.serve(
            self, 1000000, ("SENSe", "SENSe1", "CALCulate", "CALCulate1", "NONE"), self._printed, "SENS1"
        )
        self._register()
        world.circuit.listen(self.apply)

    def _register(self) -> None:
        wave, sweep, delta = "SOURce#? WAVE", "SOURce#? SWEep", "SOURce#? DELTa"
        self.on(f"{wave} ARM", lambda _: str(int(self._armed)), lambda _: self._arm())
        self.on(f"{wave} INITiate", order=lambda _: self._initiate())
        self.on(f"{wave} ABORt", order=lambda _: self._abort())
        self.on(f"{wave} DURation TIME", lambda _: scientific(self._duration_s), self._set_duration)
        self.on(
            f"{wave} DURation CYCLes",
            lambda _: scientific(self._duration_s * self.values["frequency"]),
            self._set_cycles,
        )
        self.on(f"{wave} ARBitrary DATA", order=self._set_arbitrary)
        self.on(f"{wave} ARBitrary APPend", order=self._append_arbitrary)
        self.on(f"{wave} ARBitrary COPY", order=self._copy_arbitrary)
        self.on("SOURce#? CLEar IMMediate?", order=lambda _: self._set_output("0"))
        self.on("OUTPut STATe?", order=self._set_output)
        self.on("OUTPut INTerlock TRIPped", lambda _: "0")
        self.on(f"{wave} FUNCtion", order=self._set_function)
        self.on(f"{delta} HIGH", order=self._set_delta_high)
        self.on(f"{delta} NVPResent", lambda _: str(int(self._meter() is not None)))
        self.on(f"{delta} ARM", lambda _: str(int(self._ready == "delta")), lambda _: self._prepare("delta"))
        self.on(f"{sweep} ARM", lambda _: str(int(self._ready == "sweep")), lambda _: self._prepare("sweep"))
        self.on(f"{sweep} ABORt", order=lambda _: self._abort())
        self.on("SOURce#? LIST CURRent", lambda _: ",".join(map(scientific, self._list_A)), self._set_list)
        self.on("INITiate IMMediate?", order=lambda _: self._begin())
        self.on("ABORt", order=lambda _: self._abort())
        self.on("SENSe#? DATA LATest?", lambda _: self._latest)
        self.on("SENSe#? DATA FRESh", lambda _: self._latest)
        self.on("FORMat ELEMents", lambda _: ",".join(self._elements), self._set_elements)
        self.on("SYSTem COMMunicate SERial SEND", order=self._send)
        self.on(
            "SYSTem COMMunicate SERial ENTer", lambda _: self._serial_answers.pop(0) if self._serial_answers else ""
        )
        for command in ("SYSTem BEEPer IMMediate?", "SYSTem BEEPer STATe", "FORMat DATA?", "FORMat SREGister"):
            self.on(command, order=lambda _: None)
        self.on("SYSTem PRESet", order=lambda _: self.reset())

    # The current

    def apply(self) -> None:
        """Send out what the settings say: direct current through the contacts, alternating through the sample."""
        source, circuit = self._source, self.world.circuit
        source.on = self.words["output"] == "1"
        source.limit = self.values["compliance"]
        if self._program is None:
            source.level = self.values["offset"] if self._running else self.values["current"]
        circuit.solve()
        if source.limited:
            self.registers["MEASurement"].happen(_COMPLIANCE)
        if not (self._running or self._driving):
            return  # another instrument may be driving the sample
        excitation = self.world.excitation
        fundamental, excitation.harmonics = self._waveform()
        peak_A = self.values["amplitude"]
        # A floating waveform in compliance is cut; open, nothing flows.
        needed_V = (peak_A + abs(self.values["offset"])) * circuit.loop_ohm(source)
        share = min(1.0, self.values["compliance"] / needed_V)
        if self._running and share < 1.0:
            self.registers["MEASurement"].happen(_COMPLIANCE)
        excitation.on = self._driving = self._running
        excitation.rms_A = share * fundamental * peak_A / math.sqrt(2)
        excitation.frequency_Hz = self.values["frequency"]
        excitation.marker = self._running and self.words["marker"] == "1"
        excitation.until_s = self._end_s if self._running else math.inf

    def _waveform(self) -> tuple[float, Mapping[int, complex]]:
        """Peak of the first harmonic in parts of the peak of the waveform, and the harmonics in parts of the first."""
        duty = self.values["duty"] / 100.0
        within = duty * (1.0 - duty)
        match self.words["function"]:
            case "SIN":
                return 1.0, {}
            case "SQU":
                fundamental = 4.0 / math.pi * math.sin(math.pi * duty)
                return fundamental, square_wave(duty) if within > 1e-6 else {}
            case "RAMP":
                # A triangle that rises during `duty`: 2 sin(πd) / (π² d (1−d)), and a saw-tooth at the ends.
                if within < 1e-6:
                    return 2.0 / math.pi, {n: 1.0 / n for n in range(2, 32)}
                return 2.0 * math.sin(math.pi * duty) / (math.pi**2 * within), triangle_wave(duty)
            case word:
                points = self._arbitrary[int(word[3:])]
                turns = (cmath.exp(-2j * math.pi * k / len(points)) for k in range(len(points)))
                first = sum(point * turn for point, turn in zip(points, turns, strict=True))
                return 2.0 * abs(first) / max(1, len(points)), sampled_wave(points)

    def set_number(self, number: Number, argument: str) -> None:
        """A current has to fit into a fixed range; a range is the smallest of its own that holds it."""
        before = self.values[number.key]
        super().set_number(number, argument)
        if number.key == "range":
            asked_A = abs(self.values["range"])
            self.values["range"] = next((r for r in _RANGES_A if asked_A <= 1.05 * r), _RANGES_A[-1])
        fits = abs(self.values["current"]) <= 1.05 * self.values["range"] * (1 + 1e-9)
        if number.key == "current" and self.words["autorange"] == "0" and not fits:
            self.values["current"] = before
            raise Refused(-222)

    def _set_output(self, argument: str) -> None:
        self.words["output"] = word_of(argument, SWITCH)
        if self.words["output"] == "0":
            self._abort()

    def _arm(self) -> None:
        if self.values["amplitude"] + abs(self.values["offset"]) > LARGEST_A:
            raise Refused(-221)
        self._armed = True

    def _initiate(self) -> None:
        if not self._armed:
            raise Refused(-221)
        self._running = True
        self.words["output"] = "1"
        self._end_s = self.world.clock.now() + self._duration_s

    def _abort(self) -> None:
        """End whatever is armed or running; the output goes off with it."""
        if self._program is not None:
            self._program.stop()
            self.registers["OPERation"].happen(_SWEEP_ABORTED)
        if self._armed or self._ready:
            self.words["output"] = "0"
        self._armed = self._running = False
        self._program, self._ready = None, ""

    def wake(self) -> None:
        """A waveform of limited length ends by itself and says so in bit 7 of the operation events."""
        if self._program is not None:
            self.world.advance()
        if self._running:
            self.world.advance()
            if not self.world.excitation.on:
                self._running = False
                self.registers["OPERation"].happen(_WAVE_DONE)
                self.apply()

    def _set_function(self, argument: str) -> None:
        word = word_of(argument, SHAPES)
        if self._armed:
            raise Refused(_ARMED)
        if word.startswith("ARB") and not self._arbitrary[int(word[3:])]:
            raise Refused(-221)
        self.words["function"] = word

    def _set_duration(self, argument: str) -> None:
        self._duration_s = value_of(argument, 1e-7, 999999.999, infinite=True)

    def _set_cycles(self, argument: str) -> None:
        self._duration_s = value_of(argument, 1e-3, 99999999900.0, infinite=True) / self.values["frequency"]

    def _set_arbitrary(self, argument: str) -> None:
        self._arbitrary[0] = [value_of(text, -1.0, 1.0) for text in argument.split(",")][:100]

    def _append_arbitrary(self, argument: str) -> None:
        self._arbitrary[0] += [value_of(text, -1.0, 1.0) for text in argument.split(",")][:100]
        del self._arbitrary[0][65536:]

    def _copy_arbitrary(self, argument: str) -> None:
        self._arbitrary[int(value_of(argument, 1, 4))] = list(self._arbitrary[0])

    # Delta mode and sweeps

    def _meter(self) -> Nanovoltmeter | None:
        meters = self.world.circuit.nanovoltmeters
        return meters.get(self._serial_name) if self._serial_name else next(iter(meters.values()), None)

    def _set_delta_high(self, argument: str) -> None:
        """Setting HIGH sets LOW to its negative."""
        self.values["delta_high"] = value_of(argument, 0.0, LARGEST_A, 1e-5)
        self.values["delta_low"] = -self.values["delta_high"]

    def _set_list(self, argument: str) -> None:
        self._list_A = [value_of(text, -LARGEST_A, LARGEST_A) for text in arguments_of(argument)][:100]

    def _set_elements(self, argument: str) -> None:
        words = [word_of(word, (*_ELEMENTS, "ALL", "DEFault")) for word in arguments_of(argument)]
        if not words:
            raise Refused(-109)
        everything = [word_of(element, _ELEMENTS) for element in _ELEMENTS]
        wanted = {"READ", "TST"} if "DEF" in words else set(everything) if "ALL" in words else set(words)
        self._elements = [element for element in everything if element in wanted]

    def _prepare(self, mode: str) -> None:
        """ARM: everything is there, and the buffer ready for what comes."""
        if self._running:
            raise Refused(_ARMED)
        self._abort()
        if mode == "delta":
            if self._meter() is None:
                raise Refused(-241)
            self._buffer.clear()
            self._buffer.filling = True
        elif not self._levels():
            raise Refused(-221)
        self._ready = mode

    def _levels(self) -> list[float]:
        values, spacing = self.values, self.words["spacing"]
        if spacing == "LIST":
            return self._list_A
        return staircase(spacing, values["start"], values["stop"], values["step"], int(values["sweep_points"]))

    def _begin(self) -> None:
        meter = self._meter()
        if not self._ready:
            raise Refused(-221)
        if self._program is not None:
            raise Refused(-213)
        self.words["output"] = "1"
        values, words = self.values, self.words
        self._source.on = True
        self._source.limit = values["compliance"]
        if self._ready == "delta" and meter is not None:
            count = values["delta_count"] * values["sweep_count"]
            levels = values["delta_high"], values["delta_low"]
            abort = words["delta_abort"] == "1"
            self._program = Delta(
                self.world,
                self._timer,
                self._source,
                meter,
                levels,
                values["delta_delay"],
                count,
                abort,
                self._take,
                self._done,
            )
        else:
            abort = words["sweep_abort"] == "1"
            levels = self._levels()
            self._program = Staircase(
                self.world, self._timer, self._source, levels, values["delay"], values["sweep_count"], abort, self._done
            )
        self._program.start()

    def _take(self, reading: DeltaReading) -> None:
        events = self.registers["MEASurement"]
        events.happen(32 | (_COMPLIANCE if reading.limited else 0) | (_OVERFLOW if math.isinf(reading.volts) else 0))
        self._buffer.store(reading)
        self._latest = self._printed(max(0, len(self._buffer.readings) - 1), reading)

    def _done(self, gave_up: bool) -> None:
        """Called by the program when it ends: at that instant of the laboratory."""
        self.registers["OPERation"].happen(_SWEEP_ABORTED if gave_up else _SWEEP_DONE)
        if gave_up:
            self.registers["MEASurement"].happen(_COMPLIANCE)
        self._program, self._ready = None, ""
        self.words["output"] = "0"
        self._source.on = False

    def _printed(self, index: int, reading: DeltaReading) -> str:
        value = reading.volts
        match self.words["unit"]:
            case "OHMS":
                value /= reading.step_A or math.inf
            case "W":
                value *= reading.step_A
            case "SIEM":
                value = reading.step_A / value if value else math.inf
            case _:
                pass
        stamp_s = reading.time_s
        if self.words["stamps"] == "DELT":
            stamp_s -= self._buffer.readings[index - 1].time_s if index else reading.time_s
        parts = {
            "READ": scientific(value), "TST": scientific(stamp_s), "RNUM": scientific(index),
            "SOUR": scientific(reading.step_A), "COMP": "T" if reading.limited else "F", "AVOL": scientific(value),
        }  # fmt: skip
        parts["READ"] += _UNITS[self.words["unit"]] if "UNIT" in self._elements else ""
        return ",".join(parts[element] for element in self._elements if element != "UNIT")

    def _send(self, argument: str) -> None:
        """Pass a command on to whatever is on the serial port."""
        meter = self._meter()
        if meter is not None and (reply := meter.receive(unquoted(argument).encode("latin-1"))):
            self._serial_answers = [*self._serial_answers, reply.decode("latin-1").strip()][-10:]

    # Status

    def reset(self) -> None:
        """Do *RST: output off, nothing armed."""
        super().reset()
        if self._program is not None:
            self._program.stop()
        self._program, self._ready = None, ""
        self._duration_s = self._end_s = math.inf
        self._armed = self._running = False
        self._list_A = [0.0]
        self._elements = ["READ", "TST"]
        self._latest = _NO_DATA
