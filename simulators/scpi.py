"""SCPI as bench instruments speak it: settings by their headers, the error queue, the status registers.

After SCPI-99, volume 1, and IEEE 488.2. Answers of one message are joined by `;`. A panel says its tables of numbers
and words and registers what it does beside them; this file knows no instrument, and `scpi_grammar` no panel.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..core.errors import ConfigError
from .front_panel import FrontPanel
from .scpi_grammar import INFINITE, Refused, program_units, spellings, value_of, word_of
from .world import World

# Bits of *ESR? (IEEE 488.2, 11.5.1)
OPERATION_COMPLETE, QUERY_ERROR, DEVICE_ERROR, EXECUTION_ERROR, COMMAND_ERROR, POWER_ON = 1, 4, 8, 16, 32, 128

STANDARD_MESSAGES = {
    0: "No error", -102: "Syntax error", -104: "Data type error", -108: "Parameter not allowed",
    -109: "Missing parameter", -113: "Undefined header", -200: "Execution error", -211: "Trigger ignored",
    -213: "Init ignored", -221: "Settings conflict", -222: "Parameter data out of range",
    -224: "Illegal parameter value", -230: "Data corrupt or stale", -241: "Hardware missing", -350: "Queue overflow",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Number:
    """A setting that is one number: limits, value after *RST, and how it is answered (a format specification)."""

    key: str
    header: str
    low: float
    high: float
    initial: float
    form: str = ".6E"
    infinite: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A setting that is on or off (`SWITCH`), or one of some words; it answers the word's short form."""

    key: str
    header: str
    words: tuple[str, ...]
    initial: str


@dataclass(slots=True)
class Register:
    """A status register: what is, what has been since it was read, and what of it the status byte sums up."""

    summary: int
    condition: int = 0
    event: int = 0
    enable: int = 0

    def happen(self, bits: int) -> None:
        """Latch events."""
        self.event |= bits

    def take(self) -> int:
        """Read the events, which clears them."""
        event, self.event = self.event, 0
        return event


class ScpiPanel(FrontPanel):
    """An instrument that speaks SCPI. `numbers` and `choices` are its settings by header; `settings` their values.

    `took_s` is the time that the queries of the message in hand need beyond the latency of the wire.
    """

    numbers: ClassVar[tuple[Number, ...]] = ()
    choices: ClassVar[tuple[Choice, ...]] = ()
    messages: ClassVar[Mapping[int, str]] = STANDARD_MESSAGES
    queue_length: ClassVar[int] = 10
    # The answer to *IDN?, with `{firmware}` where that stands.
    identity: ClassVar[str] = ""
    options: ClassVar[str] = "0"
    # Registers by their node, and the bit of the status byte that sums each up.
    summaries: ClassVar[Mapping[str, int]] = {"MEASurement": 1, "QUEStionable": 8, "OPERation": 128}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # Whatever has a header can be turned at the front too.
        cls.knobs = tuple(dict.fromkeys(setting.key for setting in (*cls.numbers, *cls.choices)))

    def __init__(self, world: World, name: str, wiring: str = "") -> None:
        super().__init__(world, name, wiring)
        self.values: dict[str, float] = {}
        self.words: dict[str, str] = {}
        self.took_s = 0.0
        self.events = POWER_ON
        self.errors: deque[int] = deque()
        self.registers = {node: Register(bit) for node, bit in self.summaries.items()}
        self._enabled = {"*ESE": 0, "*SRE": 0}
        self._queries: dict[str, Callable[[str], str]] = {}
        self._orders: dict[str, Callable[[str], None]] = {}
        self._register_common()
        for number in self.numbers:
            self.on(number.header, self._number_query(number), self._number_order(number))
        for choice in self.choices:
            self.on(choice.header, self._choice_query(choice), self._choice_order(choice))
        self.reset()

    def on(
        self, header: str, query: Callable[[str], str] | None = None, order: Callable[[str], None] | None = None
    ) -> None:
        """Say what a header does as a query and as an order; both take the text of the arguments."""
        for spelling in spellings(header):
            if query is not None:
                self._queries[spelling] = query
            if order is not None:
                self._orders[spelling] = order

    # What a panel makes its own

    def wake(self) -> None:
        """Notice what has happened by itself since the last message."""

    def apply(self) -> None:
        """Bring the settings to the laboratory; called after each order."""

    def triggered(self) -> None:
        """Do what *TRG and a group execute trigger do."""

    def reset(self) -> None:
        """Do *RST: all settings as the manual says."""
        self.values = {number.key: float(number.initial) for number in self.numbers}
        self.words = {choice.key: choice.initial for choice in self.choices}

    # Messages

    def execute(self, command: str) -> str | None:
        """One program message: commands from left to right, their answers joined by `;`."""
        self.took_s = 0.0
        self.wake()
        answers: list[str] = []
        for header, asked, argument in program_units(command):
            try:
                if asked:
                    answers.append(self._ask(header, argument))
                else:
                    self._do(header, argument)
            except Refused as refused:
                self.complain(refused.code)
        return ";".join(answers) if answers else None

    def _ask(self, header: str, argument: str) -> str:
        query = self._queries.get(header)
        if query is None:
            raise Refused(-113)
        return query(argument)

    def _do(self, header: str, argument: str) -> None:
        order = self._orders.get(header)
        if order is None:
            raise Refused(-113)
        # The laboratory lives up to this moment with the old settings.
        self.world.advance()
        order(argument)
        self.apply()

    def trigger(self) -> None:
        """A group execute trigger, which is *TRG without the text."""
        self.execute("*TRG")

    def latency_of(self, command: str) -> float:
        """The wire's latency, and what the readings in the last message took."""
        return self.latency_s + self.took_s

    # Settings

    def set_number(self, number: Number, argument: str) -> None:
        """Check a number's argument and keep it."""
        self.values[number.key] = value_of(argument, number.low, number.high, number.initial, number.infinite)

    def answer_number(self, number: Number, argument: str) -> str:
        """A number as the instrument prints it, or one of its limits."""
        limits = {"MIN": number.low, "MINIMUM": number.low, "MAX": number.high, "MAXIMUM": number.high}
        limits |= {"DEF": number.initial, "DEFAULT": number.initial}
        value = limits.get(argument.upper(), self.values[number.key])
        if not math.isfinite(value) or value >= INFINITE:
            return f"{INFINITE:.6E}"
        return format(int(value) if number.form == "d" else value, number.form)

    def _number_query(self, number: Number) -> Callable[[str], str]:
        return lambda argument: self.answer_number(number, argument)

    def _number_order(self, number: Number) -> Callable[[str], None]:
        return lambda argument: self.set_number(number, argument)

    def _choice_query(self, choice: Choice) -> Callable[[str], str]:
        return lambda _: self.words[choice.key]

    def _choice_order(self, choice: Choice) -> Callable[[str], None]:
        def order(argument: str) -> None:
            self.words[choice.key] = word_of(argument, choice.words)

        return order

    # Status

    def _register_common(self) -> None:
        self.on("*IDN", lambda _: self.identity.format(firmware=self.firmware))
        self.on("*ESR", lambda _: str(self._take_events()))
        self.on("*STB", lambda _: str(self.status_byte()))
        self.on("*OPC", lambda _: "1", lambda _: self._complete())
        self.on("*OPT", lambda _: self.options)
        self.on("*TST", lambda _: "0")
        self.on("*RST", order=lambda _: self.reset())
        self.on("*CLS", order=lambda _: self.clear_status())
        self.on("*WAI", order=lambda _: None)
        self.on("*TRG", order=lambda _: self.triggered())
        for register in self._enabled:
            self.on(register, self._enable_query(register), self._enable_order(register))
        self.on("SYSTem ERRor NEXT?", lambda _: self.next_error())
        self.on("STATus QUEue NEXT?", lambda _: self.next_error())
        self.on("STATus PRESet", order=lambda _: self._preset())
        for command in ("SYSTem CLEar", "STATus QUEue CLEar"):
            self.on(command, order=lambda _: self.errors.clear())
        for node, register in self.registers.items():
            self._register_status(f"STATus {node}", register)

    def _register_status(self, node: str, register: Register) -> None:
        def enable(argument: str) -> None:
            register.enable = int(value_of(argument, 0, 65535))

        self.on(f"{node} EVENt?", lambda _: str(register.take()))
        self.on(f"{node} CONDition", lambda _: str(register.condition))
        self.on(f"{node} ENABle", lambda _: str(register.enable), enable)

    def _enable_query(self, register: str) -> Callable[[str], str]:
        return lambda _: str(self._enabled[register])

    def _enable_order(self, register: str) -> Callable[[str], None]:
        def order(argument: str) -> None:
            self._enabled[register] = int(value_of(argument, 0, 255))

        return order

    def complain(self, code: int) -> None:
        """Put an error into the queue; the last place says that it overflowed."""
        bits = COMMAND_ERROR if -200 < code <= -100 else EXECUTION_ERROR if -300 < code <= -200 else DEVICE_ERROR
        self.events |= bits
        if len(self.errors) < self.queue_length:
            self.errors.append(code)
        else:
            self.errors[-1] = -350

    def next_error(self) -> str:
        """Take the oldest error out of the queue."""
        code = self.errors.popleft() if self.errors else 0
        return f'{code},"{self.messages.get(code, "Unknown error")}"'

    def clear_status(self) -> None:
        """Do *CLS: forget errors and events."""
        self.errors.clear()
        self.events = 0
        for register in self.registers.values():
            register.event = 0

    def status_byte(self) -> int:
        """Sums of the enabled events, bit 2 for the error queue, bit 6 for a request of service."""
        byte = 4 if self.errors else 0
        byte |= 32 if self.events & self._enabled["*ESE"] else 0
        for register in self.registers.values():
            byte |= register.summary if register.event & register.enable else 0
        return byte | (64 if byte & self._enabled["*SRE"] else 0)

    def _take_events(self) -> int:
        events, self.events = self.events, 0
        return events

    def _complete(self) -> None:
        self.events |= OPERATION_COMPLETE

    def _preset(self) -> None:
        for register in self.registers.values():
            register.enable = 0

    # What can go wrong with it

    def refuse(self, command: str) -> str | None:
        """Note a conflict of settings instead of doing the command."""
        self.complain(-221)
        return None

    def power_cycle(self) -> None:
        """As after power-on: settings as after *RST, empty queues, and the power-on bit."""
        self.world.advance()
        self.reset()
        self.clear_status()
        self._preset()
        self._enabled = dict.fromkeys(self._enabled, 0)
        self.events = POWER_ON
        self.apply()

    def turn(self, knob: str, value: str) -> None:
        """Set one of the settings by its key, as a person at the front does.

        Raises:
            ConfigError: there is no such setting, or it does not take this.
        """
        header = next((setting.header for setting in (*self.numbers, *self.choices) if setting.key == knob), None)
        if header is None:
            raise ConfigError(f"{self.name} has no knob {knob!r}", do=f"one of {', '.join(self.knobs)}")
        try:
            self._do(spellings(header)[0], value)
        except Refused:
            raise ConfigError(f"{self.name}: {knob} does not go to {value!r}") from None

    def fill_errors(self) -> None:
        """Fill the error queue to its last place."""
        while len(self.errors) < self.queue_length:
            self.complain(-113)
        self.complain(-113)
