"""The language of Oxford Instruments' Mercury instruments: READ and SET, addresses, nouns, and STAT replies.

Wire facts: Mercury iPS Operator's Manual issue 14 (pages 108 to 120), Mercury iTC manuals of 2011 and 2014, recorded
traffic of Lab::Measurement, and the notes of ISIS. A line feed ends commands and replies; keywords are case-sensitive.
Every SET is answered, with the value and VALID, or with what is wrong instead.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from .front_panel import FrontPanel
from .numerals import finite
from .world import World

_LONGEST_LINE = 1024
_FACTORY_WORD = "abc123"


class Refusal(Exception):  # noqa: N818  an answer, not a defect
    """A noun does not do what is asked; `word` is what the reply says."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


INVALID, NOT_FOUND, NOT_APPLICABLE, DENIED = "INVALID", "NOT_FOUND", "N/A", "DENIED"


@dataclass(frozen=True, slots=True)
class Noun:
    """One value. `read` gives its text with unit; without `write` it is read-only.

    A `guarded` one is set in engineering mode only. Both functions raise `Refusal`.
    """

    read: Callable[[], str]
    write: Callable[[str], None] | None = None
    guarded: bool = False


# By path below the address, as `SIG:FLD`.
Nouns = dict[str, Noun]


class MercuryPanel(FrontPanel):
    """A Mercury. A subclass fills `_devices`: the nouns by UID and kind, in the order of the catalogue."""

    ends: ClassVar[bytes] = b"\n"
    reply_end: ClassVar[bytes] = b"\n"
    latency_s: ClassVar[float] = 0.02
    inferred: ClassVar[tuple[str, ...]] = (
        "The word for what is wrong follows the term it is about, behind STAT (and SET) and what was understood.",
        "A READ of a branch lists the values directly below it; several names may follow one address.",
        "A value that is no number or out of range is INVALID; what only engineering mode may set is DENIED.",
        "A unit behind a number that is set is accepted and ignored.",
        "The serial number, and the hardware versions of the boards.",
    )

    def __init__(self, world: World, name: str, wiring: str = "", *, firmware: str = "") -> None:
        super().__init__(world, name, wiring)
        self.firmware = firmware or self.firmware
        self._engineering = False
        self._lock = "OFF"
        self._offered: Mapping[str, str] = {}
        self._devices: dict[str, dict[str, Nouns]] = {}
        self._system: Nouns = {
            "CAT": Noun(self._catalogue), "ALRM": Noun(self._alarms),
            "TIME": Noun(lambda: f"{world.clock.utc():%H:%M:%S}"),
            "DATE": Noun(lambda: f"{world.clock.utc():%Y:%m:%d}"),
            "MAN:FVER": Noun(lambda: self.firmware), "MAN:SERL": Noun(lambda: "123450001"),
            "MODE": Noun(lambda: "ENG" if self._engineering else "NORM", self._set_mode),
            "PASS": Noun(lambda: "", self._take_password), "LOCK": Noun(lambda: self._lock, self._set_lock),
        }  # fmt: skip

    def execute(self, command: str) -> str | None:
        """One line."""
        if command == "*IDN?":
            return f"IDN:OXFORD INSTRUMENTS:{self.model}:123450001:{self.firmware}"
        verb, _, rest = command.partition(":")
        if verb not in ("READ", "SET") or len(command) >= _LONGEST_LINE:
            return f"{verb[:_LONGEST_LINE]}:{INVALID}"
        if verb == "READ":
            rest = rest.removesuffix("?")
        said: list[str] = ["STAT"] if verb == "READ" else ["STAT", "SET"]
        words = [word.strip() for word in rest.split(":")]
        self.prepare(verb == "SET")
        try:
            nouns, words = self._find(words, said)
            if verb == "READ":
                self._read(nouns, words, said)
            else:
                self._set(nouns, words, said)
        except Refusal as refusal:
            said.append(refusal.word)
        return ":".join(said)

    def prepare(self, setting: bool) -> None:
        """Bring the instrument to now before a command; `setting` if it is a SET."""
        self.world.advance(0.0 if setting else 0.1)

    def _find(self, words: list[str], said: list[str]) -> tuple[Nouns, list[str]]:
        """The nouns at an address and the words behind it; `said` takes the words that were understood."""
        said.append(words[0])
        if words[0] == "SYS":
            return self._system, words[1:]
        if words[0] != "DEV" or len(words) < 3:
            raise Refusal(INVALID)
        said.append(words[1])
        kinds = self._devices.get(words[1])
        if kinds is None:
            raise Refusal(NOT_FOUND)
        said.append(words[2])
        nouns = kinds.get(words[2])
        if nouns is None:
            raise Refusal(INVALID)
        return nouns, words[3:]

    @staticmethod
    def _descend(nouns: Nouns, words: list[str], said: list[str]) -> tuple[str, list[str]]:
        """The branch that `words` lead into (`SIG:`, or nothing), and the words that are left."""
        branch = ""
        while words and branch + words[0] not in nouns:
            branch += words[0] + ":"
            said.append(words[0])
            if not any(path.startswith(branch) for path in nouns):
                raise Refusal(INVALID)
            words = words[1:]
        return branch, words

    def _read(self, nouns: Nouns, words: list[str], said: list[str]) -> None:
        branch, names = self._descend(nouns, words, said)
        below = [path[len(branch) :] for path in nouns if path.startswith(branch)]
        for name in names or [name for name in below if ":" not in name]:
            said.append(name)
            if branch + name not in nouns:
                raise Refusal(INVALID)
            said.append(nouns[branch + name].read())

    def _set(self, nouns: Nouns, words: list[str], said: list[str]) -> None:
        branch, words = self._descend(nouns, words, said)
        pairs = list(zip(words[::2], words[1::2], strict=False))
        if not words or len(words) % 2:
            said += words
            raise Refusal(INVALID)
        self._offered = dict(pairs)
        for name, value in pairs:
            said.append(name)
            noun = nouns.get(branch + name)
            if noun is None:
                raise Refusal(INVALID)
            said += value, self._outcome(noun, value)

    def _outcome(self, noun: Noun, value: str) -> str:
        if noun.write is None:
            return INVALID
        if noun.guarded and not self._engineering:
            return DENIED
        try:
            noun.write(value)
        except Refusal as refusal:
            return refusal.word
        return "VALID"

    # The system

    def _catalogue(self) -> str:
        return ":".join(f"DEV:{uid}:{kind}" for uid, kinds in self._devices.items() for kind in kinds)

    def alarms(self) -> list[tuple[str, str]]:
        """What is wrong now: pairs of a board's UID and a message."""
        return []

    def _alarms(self) -> str:
        return "".join(f"{uid}\t{message};" for uid, message in self.alarms())

    def _set_mode(self, value: str) -> None:
        if value == "NORM":
            self._engineering = False
        elif value != "ENG":
            raise Refusal(INVALID)
        elif self._offered.get("PASS") != _FACTORY_WORD:
            raise Refusal(DENIED)
        else:
            self._engineering = True

    def _take_password(self, value: str) -> None:
        if value != _FACTORY_WORD:
            raise Refusal(DENIED)

    def _set_lock(self, value: str) -> None:
        self._lock = one_of(value, "OFF", "SOFT", "ON")

    # What can go wrong with it

    def changes(self, command: str) -> bool:
        """True for SET."""
        return command.startswith("SET:")

    def acknowledge(self, command: str) -> str | None:
        """The command, with VALID behind each of its pairs."""
        return self._answer_pairs(command, "VALID")

    def refuse(self, command: str) -> str | None:
        """The command, with DENIED behind each of its pairs."""
        return self._answer_pairs(command, DENIED)

    def _answer_pairs(self, command: str, word: str) -> str:
        said = ["STAT", "SET"]
        try:
            nouns, words = self._find(command.split(":")[1:], said)
            _branch, words = self._descend(nouns, words, said)
        except Refusal as refusal:
            return ":".join((*said, refusal.word))
        for name, value in zip(words[::2], words[1::2], strict=False):
            said += name, value, word
        return ":".join(said)


def board(nick: str, kind: str = "") -> Nouns:
    """The nouns that every board has: maker, versions, serial number, nickname, and its `kind` if it has one."""
    nouns = {
        "MAN": Noun(lambda: "OXFORD INSTRUMENTS"), "HVER": Noun(lambda: "1.1"), "FVER": Noun(lambda: "1.10"),
        "SERL": Noun(lambda: "123450002"), "NICK": Noun(lambda: nick),
    }  # fmt: skip
    return nouns | {"TYPE": Noun(lambda: kind)} if kind else nouns


def number(text: str, low: float, high: float, unit: str = "") -> float:
    """A number within limits, with or without its unit.

    Raises:
        Refusal: INVALID.
    """
    value = finite(text.removesuffix(unit) if unit else text)
    if value is None or not low <= value <= high:
        raise Refusal(INVALID)
    return value


def one_of(text: str, *words: str) -> str:
    """One of some words.

    Raises:
        Refusal: INVALID.
    """
    if text not in words:
        raise Refusal(INVALID)
    return text


def on_off(state: bool) -> str:
    """ON or OFF."""
    return "ON" if state else "OFF"
