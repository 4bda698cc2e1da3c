"""The settings of the SR860 family: words or their indices, whole numbers, numbers with a unit, channels from 0.

Names, words and limits after the SR860 manual, chapter 4, and the drivers of pymeasure and QCoDeS.
"""

import math
import re
from functools import lru_cache

from .sr860_capture import CONFIGURATIONS
from .srs_commands import COMMAND_ERROR, Refused, folded, numbers, whole

_ONOFF = ("OFF", "ON")
# What is one of some words, in the manual's own short and long forms, and its index after *RST.
_WORDS: dict[str, tuple[tuple[str, ...], int]] = {
    "TBMODE": (("AUTO", "INternal"), 0), "RSRC": (("INT", "EXT", "DUAL", "CHOP"), 0),
    "RTRG": (("SIN", "POSttl", "NEGttl"), 0), "REFZ": (("50ohms", "1Meg"), 1), "REFM": (("COMmon", "DIFference"), 0),
    "IVMD": (("VOLTage", "CURRent"), 0), "ISRC": (("A", "A-B"), 0), "ICPL": (("AC", "DC"), 0),
    "IGND": (("FLOat", "GROund"), 0), "IRNG": (("1Volt", "300Mvolt", "100Mvolt", "30Mvolt", "10Mvolt"), 0),
    "ICUR": (("1MEG", "100MEG"), 0), "SYNC": (_ONOFF, 0), "ADVFILT": (_ONOFF, 0), "DBLK": (_ONOFF, 1),
    "BLAZEX": (("BLazex", "BIsync", "UNIsync"), 0), "STREAM": (_ONOFF, 0), "STREAMCH": (CONFIGURATIONS, 0),
    "STREAMFMT": (("FLOAT", "INT"), 0), "SSTATUS": (_ONOFF, 0), "OVRM": (_ONOFF, 1),
}  # fmt: skip
# What is one integer: smallest, largest, after *RST.
_INTEGERS: dict[str, tuple[int, int, int]] = {
    "SCAL": (0, 27, 0), "OFLT": (0, 21, 10), "OFSL": (0, 3, 1), "HARM": (1, 99, 1), "HARMDUAL": (1, 99, 1),
    "DLAY": (0, 5, 0), "GSPD": (0, 16, 4), "LOCL": (0, 2, 0), "STREAMRATE": (0, 20, 0), "STREAMPCKT": (0, 3, 0),
    "STREAMPORT": (1024, 65535, 1865), "STREAMOPTION": (0, 3, 2),
}  # fmt: skip
# What is one number with a unit: the unit, smallest, largest, after *RST.
_QUANTITIES: dict[str, tuple[str, float, float, float]] = {
    "PHAS": ("DEG", -360000.0, 360000.0, 0.0), "FREQINT": ("HZ", 1e-3, 0.0, 1e5), "SLVL": ("V", 1e-9, 2.0, 0.0),
    "SOFF": ("V", -5.0, 5.0, 0.0),
}  # fmt: skip
# The same for several channels, numbered from 0: how many, smallest, largest, after *RST.
_CHANNELS: dict[str, tuple[int, float, float, float]] = {
    "AUXV": (4, -10.5, 10.5, 0.0), "PSTF": (4, 1e-3, 4e6, 1e3), "PSTA": (4, 1e-9, 2.0, 0.5),
    "PSTL": (4, -5.0, 5.0, 0.0),
    "COFP": (3, -999.99, 999.99, 0.0), "COFA": (3, 0, 1, 0), "CEXP": (3, 0, 2, 0), "CRAT": (3, 0, 1, 0),
    "COUT": (2, 0, 1, 0), "CDSP": (4, 0, 16, 0), "CGRF": (4, 0, 1, 1),
}  # fmt: skip
_CHANNEL_WORDS: dict[str, tuple[str, ...]] = {
    "COFP": ("X", "Y", "R"), "COFA": ("X", "Y", "R"), "CEXP": ("X", "Y", "R"), "CRAT": ("X", "Y", "R"),
    "COUT": ("OCH1", "OCH2"), "CDSP": ("DAT1", "DAT2", "DAT3", "DAT4"), "CGRF": ("DAT1", "DAT2", "DAT3", "DAT4"),
}  # fmt: skip
_VALUE_WORDS: dict[str, tuple[str, ...]] = {
    "COFA": _ONOFF, "CEXP": ("OFF", "X10", "X100"), "CRAT": _ONOFF, "COUT": ("XY", "RTHeta"), "CGRF": _ONOFF,
}  # fmt: skip
OUTPUTS = (
    "X", "Y", "R", "THeta", "IN1", "IN2", "IN3", "IN4", "XNOise", "YNOise", "OUT1", "OUT2", "PHAse", "SAMp", "LEVel",
    "FInt", "FExt",
)  # fmt: skip
_FACTORS = {
    "HZ": 1.0, "KHZ": 1e3, "MHZ": 1e6, "V": 1.0, "MV": 1e-3, "UV": 1e-6, "NV": 1e-9, "DEG": 1.0, "MDEG": 1e-3,
    "UDEG": 1e-6, "RAD": 180.0 / math.pi, "MRAD": 0.18 / math.pi, "URAD": 0.18e-3 / math.pi,
}  # fmt: skip
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-z]*)\s*")


class Settings:
    """All settings, by mnemonic: `words` are indices, `quantities` are in SI and degrees, `lists` are by channel."""

    def __init__(self, largest_Hz: float) -> None:
        self._largest_Hz = largest_Hz
        self.reset()

    def reset(self) -> None:
        """Go to what *RST gives."""
        self.words = {name: initial for name, (_, initial) in _WORDS.items()}
        self.words |= {name: initial for name, (_, _, initial) in _INTEGERS.items()}
        self.quantities = {name: initial for name, (_, _, _, initial) in _QUANTITIES.items()}
        self.lists = {name: [float(initial)] * count for name, (count, _, _, initial) in _CHANNELS.items()}
        self.lists["CDSP"] = [0.0, 1.0, 2.0, 3.0]

    def word(self, mnemonic: str, arguments: list[str]) -> str:
        """The answer of a setting that is an index."""
        if arguments:
            raise Refused(COMMAND_ERROR)
        return str(self.words[mnemonic])

    def quantity(self, mnemonic: str, arguments: list[str]) -> str:
        """The answer of a setting that is a number."""
        return text_of(self.quantities[mnemonic])

    def channel(self, mnemonic: str, arguments: list[str]) -> str:
        """The answer of a setting that each channel has, `arguments` name it."""
        if len(arguments) != 1:
            raise Refused(COMMAND_ERROR)
        return text_of(self.lists[mnemonic][self._which(mnemonic, arguments[0])])

    def set_word(self, mnemonic: str, arguments: list[str]) -> None:
        """Set an index, by itself or by its word."""
        if mnemonic in _WORDS:
            if len(arguments) != 1:
                raise Refused(COMMAND_ERROR)
            value = choice(arguments[0], _WORDS[mnemonic][0])
        else:
            low, high, _ = _INTEGERS[mnemonic]
            value = whole(arguments, low, high)
        self.words[mnemonic] = value

    def set_quantity(self, mnemonic: str, arguments: list[str]) -> None:
        """Set a number, in the plain unit or the one that is given."""
        unit, low, high, _ = _QUANTITIES[mnemonic]
        high = self._largest_Hz if mnemonic == "FREQINT" else high
        if len(arguments) != 1:
            raise Refused(COMMAND_ERROR)
        value = _measured(arguments[0], unit)
        if not (low <= value <= high or (mnemonic == "SLVL" and value == 0.0)):
            raise Refused
        if mnemonic == "FREQINT" and value * self.words["HARM"] > self._largest_Hz:
            raise Refused
        self.quantities[mnemonic] = folded(value) if mnemonic == "PHAS" else value

    def set_channel(self, mnemonic: str, arguments: list[str]) -> None:
        """Set a number or a word of one channel."""
        if len(arguments) != 2:
            raise Refused(COMMAND_ERROR)
        _, low, high, _ = _CHANNELS[mnemonic]
        words = _VALUE_WORDS.get(mnemonic, OUTPUTS if mnemonic == "CDSP" else None)
        value = float(choice(arguments[1], words)) if words else numbers(arguments[1:], (low, high))[0]
        self.lists[mnemonic][self._which(mnemonic, arguments[0])] = value

    @staticmethod
    def _which(mnemonic: str, text: str) -> int:
        words = _CHANNEL_WORDS.get(mnemonic)
        return choice(text, words) if words else whole([text], 0, _CHANNELS[mnemonic][0] - 1)


@lru_cache(maxsize=1024)
def choice(text: str, words: tuple[str, ...]) -> int:
    """An index, as a number or as its word: the capitals of it, or more of it."""
    given = text.upper()
    for index, word in enumerate(words):
        short = word if word.isupper() else re.sub("[a-z]", "", word)
        if given.startswith(short) and word.upper().startswith(given):
            return index
    return whole([text], 0, len(words) - 1)


def _measured(text: str, unit: str) -> float:
    """A number, perhaps with a unit of the kind."""
    match = _QUANTITY.fullmatch(text)
    given = match[2].upper() if match else ""
    if match is None or (given and (given not in _FACTORS or _kind(given) != _kind(unit))):
        raise Refused(COMMAND_ERROR)
    return float(match[1]) * _FACTORS[given or unit]


def _kind(unit: str) -> str:
    return "Z" if unit.endswith("HZ") else "V" if unit.endswith("V") else "D"


def text_of(value: float) -> str:
    """A number as it goes over the wire."""
    return f"{value:.9g}"
