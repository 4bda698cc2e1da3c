"""A MultiVu sequence: what the program on the instrument's own computer does by itself, row by row into its data file.

MultiPyVu has no command to measure, so this is the way to ask for one: a list of steps, or the lines of a `.seq` file
as far as they are `TMP`, `FLD`, `WAI`, `CHN` and `REM` lines. Steps go through the same program as a client's orders,
with the same limits, and may run while a client is connected and looks on.
"""

from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from ..core.errors import ConfigError, LimitError
from .multivu_dat import DatFile
from .multivu_measure import Bench, Measurement
from .multivu_wait import Mask

# A wait of MultiVu's own sequences is for the set point just given; what is still moving after this is given up.
_PATIENCE_s = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class SetTemperature:
    """Go to a temperature; `approach` 0 settles fast, 1 does not overshoot."""

    kelvin: float
    rate_K_per_min: float
    approach: int = 0


@dataclass(frozen=True, slots=True)
class SetField:
    """Go to a field; `approach` 0 is linear, 1 does not overshoot, 2 oscillates."""

    field_T: float
    rate_T_per_s: float
    approach: int = 0
    driven: bool = True


@dataclass(frozen=True, slots=True)
class Wait:
    """Until all that `mask` names has settled, and `delay_s` more."""

    delay_s: float = 0.0
    mask: int = Mask.TEMPERATURE | Mask.FIELD


@dataclass(frozen=True, slots=True)
class SetChamber:
    """One of the chamber's modes, by its number."""

    mode: int


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment: it goes into the next row."""

    text: str


@dataclass(frozen=True, slots=True)
class Measure:
    """So many rows of one kind, here and now."""

    measurement: Measurement
    rows: int = 1


@dataclass(frozen=True, slots=True)
class ScanField:
    """A row at each of `fields_T`, settled; or, with `sweep`, rows on the way to the last of them."""

    fields_T: tuple[float, ...]
    rate_T_per_s: float
    measurement: Measurement
    approach: int = 0
    delay_s: float = 0.0
    sweep: bool = False


@dataclass(frozen=True, slots=True)
class ScanTemperature:
    """A row at each of `temperatures_K`, settled; or, with `sweep`, rows on the way to the last of them."""

    temperatures_K: tuple[float, ...]
    rate_K_per_min: float
    measurement: Measurement
    approach: int = 0
    delay_s: float = 0.0
    sweep: bool = False


Step = SetTemperature | SetField | Wait | SetChamber | Remark | Measure | ScanField | ScanTemperature


@dataclass(slots=True)
class Sequencer:
    """Runs steps on a bench, writing rows into `data`. `turn` is what instruments on the same clock share."""

    bench: Bench
    data: DatFile
    turn: AbstractContextManager[object] = field(default_factory=nullcontext[None])
    _remark: str = ""

    def run(self, steps: Iterable[Step]) -> None:
        """Do everything, passing laboratory time.

        Raises:
            LimitError: a step asks for what the instrument refuses; the steps before it are done.
            StorageError: a row could not be written.
        """
        world = self.bench.multivu.world
        passing = self.passing(steps)
        while True:
            with self.turn:
                try:
                    with world.lock:
                        pause_s = next(passing)
                except StopIteration:
                    return
                world.clock.sleep(pause_s)

    def passing(self, steps: Iterable[Step]) -> Generator[float, None, None]:
        """The same in the hands of a caller who lets the time pass: gives the seconds until it goes on."""
        for step in steps:
            yield from self._do(step)

    def _do(self, step: Step) -> Generator[float, None, None]:
        match step:
            case SetTemperature():
                self._order(f"TEMP {step.kelvin},{step.rate_K_per_min},{step.approach}")
            case SetField():
                self._field(step.field_T, step.rate_T_per_s, step.approach, step.driven)
            case Wait():
                yield from self._wait(step.delay_s, step.mask)
            case SetChamber():
                self._order(f"CHAMBER {step.mode}")
            case Remark():
                self._remark = step.text
            case Measure():
                for _ in range(step.rows):
                    yield from self._measure(step.measurement)
            case ScanField():
                ends = step.fields_T[-1:] if step.sweep else step.fields_T
                for field_T in ends:
                    self._field(field_T, step.rate_T_per_s, step.approach, True)
                    yield from self._point(step, Mask.FIELD)
            case ScanTemperature():
                ends = step.temperatures_K[-1:] if step.sweep else step.temperatures_K
                for kelvin in ends:
                    self._order(f"TEMP {kelvin},{step.rate_K_per_min},{step.approach}")
                    yield from self._point(step, Mask.TEMPERATURE)

    def _point(self, step: ScanField | ScanTemperature, mask: Mask) -> Generator[float, None, None]:
        """One settled row, or rows until it has settled."""
        if not step.sweep:
            yield from self._wait(step.delay_s, mask)
            yield from self._measure(step.measurement)
            return
        # The old set point's state is not yet the new one's.
        yield 1.0
        self.bench.multivu.world.advance()
        while not self.bench.multivu.waiter.settled(mask):
            yield from self._measure(step.measurement)

    def _measure(self, measurement: Measurement) -> Generator[float, None, None]:
        row = yield from measurement.passing(self.bench)
        self.data.write(row, self._remark)
        self._remark = ""

    def _wait(self, delay_s: float, mask: int) -> Generator[float, None, None]:
        yield from self.bench.multivu.waiter.waiting(delay_s, _PATIENCE_s, mask)

    def _field(self, field_T: float, rate_T_per_s: float, approach: int, driven: bool) -> None:
        self._order(f"FIELD {1e4 * field_T:.6f},{1e4 * rate_T_per_s:.6f},{approach},{int(driven)}")

    def _order(self, command: str) -> None:
        answer = self.bench.multivu.execute(command)
        if not answer.endswith("Command Received"):
            raise LimitError(f"the sequence's {command!r} is refused: {answer}", do="change the sequence")


def read_sequence(text: str, persistent: bool = False) -> Sequence[Step]:
    """The steps of a `.seq` file. `persistent` says whether the instrument knows a persistent field.

    Raises:
        ConfigError: a line is none of those that can be run here; measurements have lines of their own in each option.
    """
    steps: list[Step] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        try:
            match words:
                case []:
                    continue
                case ["REM", *_]:
                    steps.append(Remark(line.partition("REM")[2].strip()))
                case ["TMP", "TEMP", kelvin, rate, approach]:
                    steps.append(SetTemperature(float(kelvin), float(rate), int(approach)))
                case ["FLD", "FIELD", oersted, rate, approach, mode]:
                    driven = not persistent or mode != "0"
                    steps.append(SetField(1e-4 * float(oersted), 1e-4 * float(rate), int(approach), driven))
                case ["WAI", "WAITFOR", delay_s, *flags] if len(flags) >= 4:
                    chosen = zip((Mask.TEMPERATURE, Mask.FIELD, Mask.POSITION, Mask.CHAMBER), flags, strict=False)
                    steps.append(Wait(float(delay_s), sum(mask for mask, flag in chosen if flag == "1")))
                case ["CHN", "CHAMBER", mode]:
                    steps.append(SetChamber(int(mode)))
                case _:
                    raise ValueError("not a line that can be run here")
        except ValueError as error:
            raise ConfigError(f"{line!r}: {error}", where=f"line {number}", do="use steps instead") from error
    return steps
