"""Front panel of the Keithley 7001 switch system with two card slots.

SCPI after the 7001 instruction manual: channel lists `(@1!2!3)` of slot, row and column on a matrix card, `(@1!7)` of
slot and channel on any card, ranges with `:`. A 7012 is a matrix of 4 × 10, a 7011 four multiplexers of 1 × 10; row
or multiplexer r and column c are channel 10 (r − 1) + c.
"""

import math
import re
from collections.abc import Sequence
from typing import ClassVar

from ..core.errors import ConfigError
from .scpi import Choice, Number, ScpiPanel
from .scpi_grammar import SWITCH, Refused, value_of
from .world import World

# A card's rows and columns; `C9990` is the manual's name for a slot that is simulated, `NONE` for an empty one.
_CARDS = {"7011": (4, 10), "7012": (4, 10), "NONE": (0, 0)}
_MATRICES = ("7012",)
_PLACE = re.compile(r"\s*(\d{1,3})\s*!\s*(\d{1,3})(?:\s*!\s*(\d{1,3}))?\s*")
_LIST = re.compile(r"\(\s*@(.*)\)")
_SETTLE_s = 3e-3
_MOST_MEMORIES = 100
_SETTLED, _SCAN_DONE = 2, 1024

# Slot, row and column.
_Crosspoint = tuple[int, int, int]


class Keithley7001(ScpiPanel):
    """The matrix between instruments and contacts: columns 1 to 4 of slot 1 are the contacts.

    Rows 1 and 2 are the source's high and low, 3 and 4 the meter's, unless a panel's own wiring says otherwise.
    `cards` are what is in the slots.
    """

    model: ClassVar[str] = "7001"
    firmware: str = "A09"
    identity: ClassVar[str] = "KEITHLEY INSTRUMENTS INC.,MODEL 7001,1234567,{firmware}  /A02"
    reply_end: ClassVar[bytes] = b"\n"
    latency_s: ClassVar[float] = 0.01
    inferred: ClassVar[tuple[str, ...]] = (
        "All replies and error numbers: no driver and no manual's table was read.",
        "On a matrix card slot!channel counts the crosspoints row by row.",
        "A closure takes 3 ms, within the latency of the next reply; break before make has no time of its own.",
        "Of scanning: the list, one trigger for each channel from the bus, the timer or at once; no arm layers.",
        "Only slot 1 is wired to the sample.",
    )
    numbers: ClassVar[tuple[Number, ...]] = (
        Number("triggers", "TRIGger SEQuence#? COUNt", 1, 9999, 1, "d", infinite=True),
        Number("delay", "TRIGger SEQuence#? DELay", 0.0, 999999.999, 0.0),
        Number("timer", "TRIGger SEQuence#? TIMer", 0.0, 999999.999, 0.1),
        Number("settle1", "ROUTe CONFigure SLOT1 STIMe", 0.0, 999999.999, 0.0),
        Number("settle2", "ROUTe CONFigure SLOT2 STIMe", 0.0, 999999.999, 0.0),
    )
    choices: ClassVar[tuple[Choice, ...]] = (
        Choice("source", "TRIGger SEQuence#? SOURce", ("IMMediate", "BUS", "TIMer", "HOLD", "MANual"), "IMM"),
        Choice("break", "ROUTe CONFigure BBMake", SWITCH, "1"),
        Choice("single", "ROUTe CONFigure SCHannel", SWITCH, "0"),
        Choice("pair", "ROUTe CONFigure CPAir", SWITCH, "0"),
        Choice("display", "DISPlay ENABle", SWITCH, "1"),
    )

    def __init__(self, world: World, name: str, wiring: str = "", *, cards: Sequence[str] = ("7012",)) -> None:
        if not 1 <= len(cards) <= 2 or any(card not in _CARDS for card in cards):
            raise ConfigError(f"{name}: no cards {list(cards)!r}", do=f"one or two of {', '.join(_CARDS)}")
        self._cards = dict(enumerate([*cards, "NONE"][:2], start=1))
        self._closed: set[_Crosspoint] = set()
        self._memories: dict[str, frozenset[_Crosspoint]] = {}
        self._timer = world.timer(self._step)
        world.circuit.insert_matrix()
        super().__init__(world, name, wiring)
        self._register()

    def _register(self) -> None:
        self.on("ROUTe CLOSe", lambda text: self._states(text, True), self._close)
        self.on("ROUTe OPEN", lambda text: self._states(text, False), self._open)
        self.on("ROUTe CLOSe STATe", lambda _: self._told(sorted(self._closed)))
        self.on("ROUTe OPEN ALL", order=lambda _: self._set(set()))
        self.on("ROUTe SCAN INTernal?", lambda _: self._told(self._scan), self._set_scan)
        self.on("ROUTe SCAN INTernal? POINts", lambda _: str(len(self._scan)))
        self.on("ROUTe FCHannels", lambda _: self._told(sorted(self._forbidden)), self._forbid)
        self.on("ROUTe MEMory SAVE", order=self._save)
        self.on("ROUTe MEMory RECall", order=self._recall)
        for slot in (1, 2):
            self.on(f"ROUTe CONFigure SLOT{slot} CTYPe", lambda _, slot=slot: self._card_name(slot))
        self.on("INITiate IMMediate?", order=lambda _: self._initiate())
        self.on("TRIGger SEQuence#? IMMediate?", order=lambda _: self.triggered())
        self.on("ABORt", order=lambda _: self._abort())
        self.on("SYSTem PRESet", order=lambda _: self.reset())
        for command in ("DISPlay SMESsage", "DISPlay TEXT DATA?", "SYSTem KEY"):
            self.on(command, order=lambda _: None)

    # Channel lists

    def _channels(self, text: str) -> list[_Crosspoint]:
        """The crosspoints of a list, in its order."""
        match = _LIST.fullmatch(text.strip())
        if match is None:
            raise Refused(-109 if not text.strip() else -104)
        found: list[_Crosspoint] = []
        for part in match[1].split(","):
            first, _, last = part.partition(":")
            start = self._crosspoint(first)
            stop = self._crosspoint(last) if last else start
            if start[0] != stop[0]:
                raise Refused(-222)
            numbers = range(_number(start), _number(stop) + 1)
            found += [(start[0], (number - 1) // 10 + 1, (number - 1) % 10 + 1) for number in numbers]
        return found

    def _crosspoint(self, text: str) -> _Crosspoint:
        match = _PLACE.fullmatch(text)
        if match is None:
            raise Refused(-104)
        slot, second, third = int(match[1]), int(match[2]), match[3]
        rows, columns = _CARDS[self._cards.get(slot, "NONE")]
        if third is None:
            row, column = (second - 1) // 10 + 1, (second - 1) % 10 + 1
        else:
            row, column = second, int(third)
        if not (second > 0 and 1 <= row <= rows and 1 <= column <= columns):
            raise Refused(-222)
        return slot, row, column

    def _told(self, crosspoints: Sequence[_Crosspoint]) -> str:
        places: list[str] = []
        for slot, row, column in crosspoints:
            matrix = self._cards[slot] in _MATRICES
            places.append(f"{slot}!{row}!{column}" if matrix else f"{slot}!{_number((slot, row, column))}")
        return f"(@{','.join(places)})"

    def _card_name(self, slot: int) -> str:
        card = self._cards[slot]
        return card if card == "NONE" else f"C{card}"

    # Relays

    def _set(self, closed: set[_Crosspoint]) -> None:
        """Open and close so that exactly these are closed."""
        self._closed = closed
        self.world.circuit.connect((row, column) for slot, row, column in closed if slot == 1)
        self.registers["OPERation"].happen(_SETTLED)

    def _close(self, text: str) -> None:
        wanted = set(self._channels(text))
        if wanted & self._forbidden:
            raise Refused(-221)
        self._set(wanted if self.words["single"] == "1" else self._closed | wanted)

    def _open(self, text: str) -> None:
        self._set(set() if text.strip().upper() == "ALL" else self._closed - set(self._channels(text)))

    def _states(self, text: str, closed: bool) -> str:
        return ",".join(str(int((place in self._closed) == closed)) for place in self._channels(text))

    def _forbid(self, text: str) -> None:
        self._forbidden = set(self._channels(text))
        self._set(self._closed - self._forbidden)

    def _save(self, text: str) -> None:
        self._memories[_memory(text)] = frozenset(self._closed)

    def _recall(self, text: str) -> None:
        self._set(set(self._memories.get(_memory(text), frozenset())))

    # Scanning

    def _set_scan(self, text: str) -> None:
        self._scan = self._channels(text)[:800]
        self._at = 0

    def _initiate(self) -> None:
        if self._scanning:
            raise Refused(-213)
        if not self._scan:
            raise Refused(-221)
        self._scanning, self._at, self._left = True, 0, self.values["triggers"]
        if self.words["source"] in ("IMM", "TIM"):
            self._timer.due_s = self.world.now() + self._pace_s()

    def triggered(self) -> None:
        """*TRG or a group execute trigger: the next channel of the scan."""
        if not self._scanning or self.words["source"] not in ("BUS", "HOLD"):
            raise Refused(-211)
        self.world.advance()
        self._step()

    def _step(self) -> None:
        """Open the channel before and close the next one."""
        before = {self._scan[self._at - 1]} if self._at else set[_Crosspoint]()
        if self._at == len(self._scan):
            self._at = 0
        self._set((self._closed - before) | {self._scan[self._at]})
        self._at += 1
        self._left -= 1
        if self._left <= 0:
            self._scanning = False
            self.registers["OPERation"].happen(_SCAN_DONE)
        by_itself = self._scanning and self.words["source"] in ("IMM", "TIM")
        self._timer.due_s = self.world.now() + self._pace_s() if by_itself else math.inf

    def _pace_s(self) -> float:
        timer_s = self.values["timer"] if self.words["source"] == "TIM" else 0.0
        return max(timer_s, _SETTLE_s + self.values["delay"] + self.values["settle1"])

    def _abort(self) -> None:
        self._scanning = False
        self._timer.due_s = math.inf

    def wake(self) -> None:
        """Let a scan go on up to now."""
        if self._scanning:
            self.world.advance()

    def clear(self) -> None:
        """A device clear ends a scan."""
        self._abort()

    def reset(self) -> None:
        """Do *RST: everything open, no scan."""
        super().reset()
        self._scan: list[_Crosspoint] = []
        self._forbidden: set[_Crosspoint] = set()
        self._at, self._left, self._scanning = 0, 0.0, False
        self._timer.due_s = math.inf
        self._set(set())


def _number(crosspoint: _Crosspoint) -> int:
    """A crosspoint's channel number on its card."""
    return 10 * (crosspoint[1] - 1) + crosspoint[2]


def _memory(text: str) -> str:
    word = text.strip().upper()
    if not re.fullmatch(r"M\d{1,3}", word) or not 1 <= int(value_of(word[1:], 0, 999)) <= _MOST_MEMORIES:
        raise Refused(-222)
    return word
