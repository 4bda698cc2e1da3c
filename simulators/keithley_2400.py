"""Front panel of the Keithley 2400 SourceMeter.

Command set after the Series 2400 user's manual, as pymeasure 0.16 and QCoDeS 0.58 drive it; spellings of the answers
(`1.000000E-05`, `"CURR:DC"`, `21.00`) from Lab-Measurement's recorded traffic with a real one.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

from ..core.errors import ConfigError
from .keithley_2400_settings import CHOICES, MOST, NUMBERS
from .nanovolt import LINE_Hz
from .reading_buffer import READING_AVAILABLE, ReadingBuffer, Statistics
from .scpi import Choice, Number, ScpiPanel
from .scpi_grammar import INFINITE, NOT_A_NUMBER, SWITCH, Refused, arguments_of, unquoted, value_of, word_of
from .source_measure import Measured, SourceMeter, best_range
from .world import World

_RANGES_V = (0.2, 2.0, 20.0, 200.0)
_RANGES_A = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
# Auto ohms: range and the current it is measured with.
_OHMS_A = ((20.0, 0.1), (200.0, 0.01), (2e3, 1e-3), (2e4, 1e-4), (2e5, 1e-5), (2e6, 1e-6), (2e7, 1e-6), (2e8, 1e-7))
_OHMS_LIMIT_V = 21.0
_FUNCTIONS = {"VOLT": "VOLT:DC", "CURR": "CURR:DC", "RES": "RES"}
_FUNCTION_WORDS = ("VOLTage", "CURRent", "RESistance")
_ELEMENTS = ("VOLTage", "CURRent", "RESistance", "TIME", "STATus")
_FEEDS = ("SENSe", "SENSe1", "CALCulate", "CALCulate1", "CALCulate2", "NONE")
_OUTPUT_OFF = 803
# From the trigger to the start of the conversion, and what calculation needs.
_OVERHEAD_s = 3e-3
# Bits of the status element (manual, FORMat:ELEMents, "status word")
_OFLO, _FILTER, _FRONT, _COMPLIANCE = 1, 2, 4, 8
_V_MEASURED, _I_MEASURED, _R_MEASURED, _V_SOURCED, _I_SOURCED, _REMOTE = (1 << bit for bit in (11, 12, 13, 14, 15, 22))
# Of the measurement events: in compliance.
_IN_COMPLIANCE = 1 << 14

# A reading: what was measured, and its status word.
_Reading = tuple[Measured, int]


class Keithley2400(ScpiPanel):
    """The source-meter; its force leads are the first pair of `wiring`, its sense leads the second.

    `terminals` says whether those leads are on the `front` or on the `rear` ones.
    """

    model: ClassVar[str] = "2400"
    firmware: str = "C30"
    identity: ClassVar[str] = "KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,{firmware}   Mar 17 2006 09:29:29/A02  /K/J"
    reply_end: ClassVar[bytes] = b"\n"
    latency_s: ClassVar[float] = 0.01
    inferred: ClassVar[tuple[str, ...]] = (
        "Compliance is bit 3 of the status element and bit 14 of the measurement events.",
        "With the output off the leads are open, whatever the output-off state.",
        "The limit of the product of volts and amperes is not kept, nor overvoltage protection.",
        "Ranges of volts are answered with two decimals, all else with an exponent.",
        "A series of READ? is measured at one instant of the laboratory, one of INIT at its own times.",
        "Offsets and noise are a few millionths of the range.",
    )
    messages: ClassVar[Mapping[int, str]] = {**ScpiPanel.messages, _OUTPUT_OFF: "Not permitted with OUTPUT off"}
    numbers: ClassVar[tuple[Number, ...]] = NUMBERS
    choices: ClassVar[tuple[Choice, ...]] = CHOICES

    def __init__(self, world: World, name: str, wiring: str = "", *, terminals: str = "front") -> None:
        if terminals not in ("front", "rear"):
            raise ConfigError(f"{name}: no terminals {terminals!r}", do="terminals are `front` or `rear`")
        self._wired = {"front": "FRON", "rear": "REAR"}[terminals]
        self._meter = SourceMeter(world, name, wiring, _RANGES_V, _RANGES_A, 5e-6)
        self._timer = world.timer(self._ring)
        super().__init__(world, name, wiring)
        self._buffer = ReadingBuffer[_Reading](100, self.registers["MEASurement"])
        self._buffer.serve(self, MOST, _FEEDS, lambda _, reading: self._printed(reading), "SENS1")
        Statistics(self, "CALCulate3", self._columns)
        self._register()

    def _register(self) -> None:
        self.on("SENSe#? FUNCtion ON?", lambda _: self._functions_on(), self._sense)
        self.on("SENSe#? FUNCtion OFF", lambda _: self._functions_off(), self._unsense)
        self.on("SENSe#? FUNCtion ON? ALL", order=lambda _: self._functions.update(_FUNCTIONS))
        self.on("SENSe#? FUNCtion OFF ALL", order=lambda _: self._functions.clear())
        self.on("SENSe#? FUNCtion OFF COUNt", lambda _: str(3 - len(self._functions)))
        for node, key in (("VOLTage DC?", "limit_V"), ("CURRent DC?", "limit_A")):
            self.on(f"SENSe#? {node} PROTection TRIPped", partial(self._tripped, key))
        for function, node in (("VOLT", "VOLTage DC?"), ("CURR", "CURRent DC?"), ("RES", "RESistance")):
            self.on(f"MEASure {node}", partial(self._measure, function))
            self.on(f"CONFigure {node}", order=partial(self._configure, function))
        self.on("CONFigure", lambda _: self._functions_on())
        self.on("MEASure", self._read)
        self.on("READ", self._read)
        self.on("FETCh", lambda _: self._fetch())
        self.on("SENSe#? DATA LATest?", lambda _: self._fetch())
        self.on("INITiate IMMediate?", order=lambda _: self._initiate())
        self.on("ABORt", order=lambda _: self._stop())
        self.on("TRIGger CLEar", order=lambda _: None)
        self.on("FORMat ELEMents SENSe#?", lambda _: ",".join(self._elements), self._set_elements)
        self.on("SOURce#? CLEar IMMediate?", order=lambda _: self.words.update(output="0"))
        self.on("SOURce#? LIST VOLTage", lambda _: self._told_list("V"), partial(self._set_list, "V", 210.0))
        self.on("SOURce#? LIST CURRent", lambda _: self._told_list("A"), partial(self._set_list, "A", 1.05))
        self.on("SYSTem AZERo STATe?", lambda _: self._autozero, self._set_autozero)
        self.on("SYSTem TIME RESet", order=lambda _: self._meter.restart_clock())
        self.on("SYSTem PRESet", order=lambda _: self.reset())
        for command in ("SYSTem BEEPer IMMediate?", "SYSTem BEEPer STATe", "SYSTem LOCal", "SYSTem REMote"):
            self.on(command, order=lambda _: None)
        for command in ("FORMat SREGister", "SENSe#? VOLTage DC? RANGe AUTO LLIMit", "SENSe#? AVERage ADVanced STATe?"):
            self.on(command, order=lambda _: None)

    # The source

    @property
    def _volts(self) -> bool:
        return self.words["function"] != "CURR"

    def apply(self) -> None:
        """Send out what the settings say."""
        values, words = self.values, self.words
        volts = self._volts
        self._meter.connect(words["terminals"] == self._wired)
        self._meter.drive(
            on=words["output"] == "1",
            volts=volts,
            level=values["volts" if volts else "amps"],
            limit=abs(values["limit_A" if volts else "limit_V"]),
            remote=words["remote"] == "1",
        )
        if self._meter.source.limited:
            self.registers["MEASurement"].happen(_IN_COMPLIANCE)

    def set_number(self, number: Number, argument: str) -> None:
        """Ranges snap to the instrument's own and end autorange; a level has to fit into a fixed source range."""
        key = number.key
        value = value_of(argument, number.low, number.high, number.initial, number.infinite)
        unit = key[-1] if key[-2:] in ("_V", "_A") else {"volts": "V", "amps": "A"}.get(key, "")
        if key in ("source_V", "source_A", "sense_V", "sense_A"):
            value = 1.05 * best_range(_RANGES_V if unit == "V" else _RANGES_A, value)
            self.words[f"auto_{key}" if key.startswith("source") else f"auto_{unit}"] = "0"
        elif key == "sense_ohm":
            value = 1.05 * next(full for full, _ in _OHMS_A if value <= 1.05 * full * (1 + 1e-9))
            self.words["auto_ohm"] = "0"
        elif key in ("volts", "amps"):
            if self.words[f"auto_source_{unit}"] == "1":
                self.values[f"source_{unit}"] = 1.05 * best_range(_RANGES_V if unit == "V" else _RANGES_A, value)
            elif abs(value) > self.values[f"source_{unit}"] * (1 + 1e-9):
                raise Refused(-222)
        elif key == "delay":
            self.words["autodelay"] = "0"
        self.values[key] = value

    def _tripped(self, key: str, _argument: str) -> str:
        self.world.circuit.solve()
        return str(int(self._meter.source.limited and self._volts == (key == "limit_A")))

    def _set_list(self, unit: str, largest: float, argument: str) -> None:
        self._lists[unit] = [value_of(text, -largest, largest) for text in arguments_of(argument)][:100]

    def _told_list(self, unit: str) -> str:
        return ",".join(f"{value:+.6E}" for value in self._lists[unit])

    def _levels(self) -> list[float | None]:
        """The levels of one arm: None is the one that is set."""
        unit = "V" if self._volts else "A"
        count = int(self.values["triggers"])
        mode = self.words[f"mode_{unit}"]
        if mode == "FIX":
            return [None] * count
        if mode == "LIST":
            levels = self._lists[unit]
        else:
            start, stop = self.values[f"start_{unit}"], self.values[f"stop_{unit}"]
            steps = int(self.values["points"]) - 1
            if self.words["spacing"] == "LOG" and start * stop > 0.0:
                levels = [start * (stop / start) ** (k / steps) for k in range(steps + 1)]
            else:
                levels = [start + (stop - start) * k / steps for k in range(steps + 1)]
        return [levels[k % len(levels)] for k in range(count)]

    # Measuring

    def _take(self, level: float | None = None) -> _Reading:
        """One measurement, at a level of its own where a sweep says so."""
        values, words = self.values, self.words
        auto_ohms = "RES" in self._functions and words["ohms"] == "AUTO"
        key = "volts" if self._volts else "amps"
        programmed = values[key]
        if auto_ohms:
            measured = self._auto_ohms()
        else:
            if level is not None:
                values[key] = level
                self.apply()
            range_V = None if words["auto_V"] == "1" else values["sense_V"] / 1.05
            range_A = None if words["auto_A"] == "1" else values["sense_A"] / 1.05
            measured = self._meter.measure(self._nplc(), range_V, range_A)
        status = self._status(measured)
        values[key] = programmed
        if auto_ohms or level is not None:
            self.apply()
        events = self.registers["MEASurement"]
        events.happen(READING_AVAILABLE | (_IN_COMPLIANCE if measured.limited else 0))
        self._latest = (measured, status)
        self._buffer.store(self._latest)
        return self._latest

    def _nplc(self) -> float:
        """Line cycles of one reading, the filter's repetitions included."""
        return self.values["nplc"] * (self.values["count"] if self.words["filter"] == "1" else 1.0)

    def _auto_ohms(self) -> Measured:
        """The current of the smallest range that holds the resistance."""
        fixed = self.words["auto_ohm"] == "0"
        measured = Measured(0.0, 0.0, False, 0.0)
        for full, amps in _OHMS_A:
            if fixed and 1.05 * full < self.values["sense_ohm"] * (1 - 1e-9):
                continue
            remote = self.words["remote"] == "1"
            self._meter.drive(on=True, volts=False, level=amps, limit=_OHMS_LIMIT_V, remote=remote)
            measured = self._meter.measure(self._nplc(), None, None)
            if fixed or (measured.ohms <= 1.05 * full and not measured.limited):
                break
        return measured

    def _status(self, measured: Measured) -> int:
        words = self.words
        status = _OFLO if math.isinf(measured.volts) or math.isinf(measured.amps) else 0
        status |= _FILTER if words["filter"] == "1" else 0
        status |= _FRONT if words["terminals"] == "FRON" else 0
        status |= _COMPLIANCE if measured.limited else 0
        for function, bit in (("VOLT", _V_MEASURED), ("CURR", _I_MEASURED), ("RES", _R_MEASURED)):
            status |= bit if function in self._functions else 0
        status |= _V_SOURCED if self._volts else _I_SOURCED
        return status | (_REMOTE if words["remote"] == "1" else 0)

    def _printed(self, reading: _Reading) -> str:
        """A reading's elements: what is neither measured nor sourced is not a number."""
        measured, status = reading
        known = {
            "VOLT": measured.volts if status & (_V_MEASURED | _V_SOURCED | _R_MEASURED) else NOT_A_NUMBER,
            "CURR": measured.amps if status & (_I_MEASURED | _I_SOURCED | _R_MEASURED) else NOT_A_NUMBER,
            "RES": measured.ohms if status & _R_MEASURED else NOT_A_NUMBER,
            "TIME": measured.time_s,
            "STAT": float(status),
        }
        return ",".join(_number(known[element]) for element in self._elements)

    def _columns(self) -> list[list[float]]:
        readings = [reading for reading, _ in self._buffer.readings]
        columns: tuple[Callable[[Measured], float], ...] = (lambda m: m.volts, lambda m: m.amps, lambda m: m.ohms)
        return [[column(reading) for reading in readings] for column in columns]

    def _read(self, _argument: str) -> str:
        if self.words["output"] == "0" and self.words["autooff"] == "0":
            raise Refused(_OUTPUT_OFF)
        self._stop()
        self.world.advance()
        arms = int(min(self.values["arms"], MOST))
        before = self.words["output"]
        self.words["output"] = "1"
        self.apply()
        levels = self._levels() * arms
        readings = [self._take(level) for level in levels[:MOST]]
        self.took_s += len(readings) * self._spacing_s()
        self.words["output"] = "0" if self.words["autooff"] == "1" else before
        self.apply()
        return ",".join(map(self._printed, readings))

    def _configure(self, function: str, argument: str) -> None:
        """One function, one reading, everything immediate."""
        self._functions = {function: _FUNCTIONS[function]}
        self.values["triggers"] = self.values["arms"] = 1.0
        self.words["arm"] = self.words["trigger"] = "IMM"

    def _measure(self, function: str, argument: str) -> str:
        self._configure(function, argument)
        return self._read("")

    def _fetch(self) -> str:
        if self._latest is None:
            raise Refused(-230)
        return self._printed(self._latest)

    def _spacing_s(self) -> float:
        filtered = self.values["count"] if self.words["filter"] == "1" else 1.0
        # Zero, reference and signal are converted when autozero is on.
        conversions = 3.0 if self._autozero == "1" else 1.0
        own_s = filtered * conversions * self.values["nplc"] / LINE_Hz + _OVERHEAD_s
        return own_s + self.values["delay"] + self.values["trigger_delay"]

    # A series in the background, for the buffer

    def _initiate(self) -> None:
        if self.words["output"] == "0":
            raise Refused(_OUTPUT_OFF)
        if self._series or self._waiting:
            raise Refused(-213)
        self._waiting = int(min(self.values["arms"], 1e9))
        if self.words["arm"] in ("IMM", "TIM"):
            self._go()

    def triggered(self) -> None:
        """*TRG or a group execute trigger: one arm, if the instrument waits for it."""
        if not self._waiting or self._series or self.words["arm"] != "BUS":
            raise Refused(-211)
        self._go()

    def _go(self) -> None:
        self._series = self._levels()
        self._timer.due_s = self.world.now() + self._spacing_s()

    def _ring(self) -> None:
        self._take(self._series.pop(0))
        if not self._series:
            self._waiting -= 1
            if self._waiting and self.words["arm"] in ("IMM", "TIM"):
                self._series = self._levels()
        self._timer.due_s = self._timer.due_s + self._spacing_s() if self._series else math.inf

    def _stop(self) -> None:
        self._series, self._waiting = [], 0
        self._timer.due_s = math.inf

    def wake(self) -> None:
        """Take the readings that are due."""
        if self._series:
            self.world.advance()

    def clear(self) -> None:
        """A device clear ends a series."""
        self._stop()

    # Settings

    def _sense(self, argument: str) -> None:
        words = [word_of(unquoted(text).partition(":")[0], _FUNCTION_WORDS) for text in arguments_of(argument)]
        if not words:
            raise Refused(-109)
        if self.words["concurrent"] == "0":
            self._functions.clear()
        self._functions.update({word: _FUNCTIONS[word] for word in words})

    def _unsense(self, argument: str) -> None:
        for text in arguments_of(argument):
            self._functions.pop(word_of(unquoted(text).partition(":")[0], _FUNCTION_WORDS), None)

    def _functions_on(self) -> str:
        return ",".join(f'"{name}"' for key, name in _FUNCTIONS.items() if key in self._functions)

    def _functions_off(self) -> str:
        return ",".join(f'"{name}"' for key, name in _FUNCTIONS.items() if key not in self._functions)

    def _set_elements(self, argument: str) -> None:
        words = {word_of(text, _ELEMENTS) for text in arguments_of(argument)}
        if not words:
            raise Refused(-109)
        # Whatever the order they are named in, they come in the instrument's own (manual, FORMat:ELEMents).
        self._elements = [short for element in _ELEMENTS if (short := word_of(element, _ELEMENTS)) in words]

    def _set_autozero(self, argument: str) -> None:
        if word_of(argument, ("0", "1", "OFF", "ON", "ONCE")) != "ONCE":
            self._autozero = word_of(argument, SWITCH)

    def reset(self) -> None:
        """Do *RST: output off, source of volts, meter of amperes, 105 µA limit."""
        super().reset()
        self._functions: dict[str, str] = {"CURR": _FUNCTIONS["CURR"]}
        self._elements = ["VOLT", "CURR", "RES", "TIME", "STAT"]
        self._lists: dict[str, list[float]] = {"V": [0.0], "A": [0.0]}
        self._autozero = "1"
        self._latest: _Reading | None = None
        self._series: list[float | None] = []
        self._stop()


def _number(value: float) -> str:
    return f"{math.copysign(INFINITE, value) if math.isinf(value) else value:+.6E}"
