"""A panel whose commands are a table of settings: Lake Shore's, before there is a sensor or a heater in it.

Wire facts that hold for all its controllers: CR LF both ways, commands of one line separated by `;`, answers joined by
`;`, and no error reply: what is not understood is not answered (manuals of the 331 and 340; the 335, 336, 350 and 372
as QCoDeS, pymeasure, ISIS and Lake Shore's own Python package drive them).
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

from .front_panel import FrontPanel
from .lakeshore_grammar import Field, NoAnswer, Setting, Value, commands, digits, keys, whole
from .world import World

# Bits of *ESR?
_POWER_ON, _COMMAND_ERROR, _EXECUTION_ERROR, _OPERATION_COMPLETE = 128, 32, 16, 1

# Held by every model.
COMMON: dict[str, Setting] = {
    "*ESE": Setting((whole(0, 255, 0, "03.0f"),)), "*SRE": Setting((whole(0, 255, 0, "03.0f"),)),
    "LOCK": Setting((whole(0, 1, 0), whole(0, 999, 123, "03.0f"))),
}  # fmt: skip


class SettingsPanel(FrontPanel):
    """Holds the settings of `settings_table`, answers from it, and keeps the status registers of IEEE 488.

    A mnemonic that does more than hold something is in the table of queries or of orders that a subclass gives.
    """

    reply_end: ClassVar[bytes] = b"\r\n"
    latency_s: ClassVar[float] = 0.02
    settings_table: ClassVar[Mapping[str, Setting]] = {}
    # The answer to *IDN?, with `{firmware}` where that stands.
    identity: ClassVar[str] = ""
    digits: ClassVar[int] = 7
    # Whether fields at the end of an order may be left out.
    partial: ClassVar[bool] = False

    def __init__(self, world: World, name: str, wiring: str = "") -> None:
        super().__init__(world, name, wiring)
        self._events, self._operation = _POWER_ON, 0
        self._settings: Mapping[str, Setting] = {**COMMON, **self.settings_table}
        self._held: dict[str, dict[str, list[Value]]] = {}
        self._queries: dict[str, Callable[[list[str]], str]] = {}
        self._orders: dict[str, Callable[[list[str]], None]] = {}

    def status_byte(self) -> int:
        """Bit 5: a standard event that is enabled; bit 7: an operation event; bit 6: one of these asks for service."""
        byte = 32 if self._events & int(self.number("*ESE")) else 0
        if "OPSTE" in self._settings and self._operation & int(self.number("OPSTE")):
            byte |= 128
        return byte | (64 if byte & int(self.number("*SRE")) else 0)

    def execute(self, command: str) -> str | None:
        """One line: commands separated by `;`, their answers joined by `;`."""
        answers: list[str] = []
        for mnemonic, asks, arguments in commands(command):
            # An order acts from its own instant; a temperature does not change while one asks for it.
            self.world.advance(self.world.cryostat.patience_s if asks else 0.0)
            try:
                if asks:
                    answers.append(self._query(mnemonic, arguments))
                else:
                    self.world.cryostat.disturb()
                    self._order(mnemonic, arguments)
            except NoAnswer:
                self._events |= _COMMAND_ERROR
        return ";".join(answers) if answers else None

    # What is held

    def held(self, mnemonic: str, key: str = "") -> list[Value]:
        """The fields of a setting as they are now."""
        return self._held[mnemonic][key]

    def numbers(self, mnemonic: str, key: str = "") -> tuple[float, ...]:
        """The fields of a setting that are numbers."""
        return tuple(value for value in self._held[mnemonic][key] if not isinstance(value, str))

    def number(self, mnemonic: str, key: str = "") -> float:
        """The first number of a setting."""
        return self.numbers(mnemonic, key)[0]

    def write(self, value: float) -> str:
        """A number as this model writes it."""
        return digits(value, self.digits)

    def _query(self, mnemonic: str, arguments: list[str]) -> str:
        if (own := self._queries.get(mnemonic)) is not None:
            return own(arguments)
        setting = self._settings.get(mnemonic)
        if setting is None or len(arguments) != len(setting.index):
            raise NoAnswer
        values = self._held[mnemonic][setting.key(arguments)]
        return ",".join(self._shown(field, value) for field, value in zip(setting.fields, values, strict=True))

    def _order(self, mnemonic: str, arguments: list[str]) -> None:
        setting = self._settings.get(mnemonic)
        if setting is not None:
            key = setting.key(arguments)
            held = self._held[mnemonic]
            held[key] = setting.changed(held[key], arguments[len(setting.index) :], self.partial)
            self._changed(mnemonic, key)
        elif (own := self._orders.get(mnemonic)) is not None:
            own(arguments)
        else:
            raise NoAnswer

    def _shown(self, field: Field, value: Value) -> str:
        if isinstance(value, str):
            return f"{value:{field.form}}"
        return f"{value:{field.form}}" if field.form else self.write(value)

    def _changed(self, mnemonic: str, key: str) -> None:
        """A setting was ordered: let what hangs on it follow."""

    def _query_table(self) -> dict[str, Callable[[list[str]], str]]:
        return {
            "*IDN": lambda _: self.identity.format(firmware=self.firmware),
            "*ESR": lambda _: self._take_events(), "*OPC": lambda _: "1",
            "*STB": lambda _: f"{self.status_byte():03d}", "*TST": lambda _: "0",
        }  # fmt: skip

    def _order_table(self) -> dict[str, Callable[[list[str]], None]]:
        return {
            "*CLS": lambda _: self._clear(), "*RST": lambda _: self.restart(), "*OPC": lambda _: self._complete(),
            "*WAI": lambda _: None, "DFLT": self._set_defaults,
        }  # fmt: skip

    def reset(self) -> None:
        """All settings as they left the factory."""
        self._held = {
            mnemonic: {key: setting.start(key) for key in keys(setting)} for mnemonic, setting in self._settings.items()
        }

    # What befalls it

    def refuse(self, command: str) -> str | None:
        """Nothing is said; the event of a failed execution stays."""
        self._events |= _EXECUTION_ERROR

    def power_cycle(self) -> None:
        """Settings are kept in its memory; the status is not, and it is in local again."""
        self.world.advance()
        self._events, self._operation = _POWER_ON, 0
        if (mode := self._settings.get("MODE")) is not None:
            self._held["MODE"][""] = mode.start("")
        self.restart()

    def restart(self) -> None:
        """*RST: as after power-on (manual of the 350); settings are in its memory and stay."""

    def _clear(self) -> None:
        self._events = self._operation = 0

    def _complete(self) -> None:
        self._events |= _OPERATION_COMPLETE

    def _take_events(self) -> str:
        events, self._events = self._events, 0
        return f"{events:03d}"

    def _set_defaults(self, arguments: list[str]) -> None:
        if arguments != ["99"]:
            raise NoAnswer
        self.reset()
