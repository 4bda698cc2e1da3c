"""The units of other makers' columns, as they are spelt, and the factor to ours.

A unit that is not in these tables is not guessed: its column stays in `raw` and a problem says so.
"""

import math
import re

# 1 emu = 1e-3 A m^2. 1 Oe is 0.1 mT of µ0H in vacuum. A/m times µ0 gives µ0H.
_EMU_Am2 = 1e-3
_OE_T = 1e-4
_A_PER_M_T = 4e-7 * math.pi

FIELD_T = {
    "oe": _OE_T, "oersted": _OE_T, "oersteds": _OE_T, "koe": 1e3 * _OE_T, "g": _OE_T, "gauss": _OE_T, "kg": 1e3 * _OE_T,
    "t": 1.0, "tesla": 1.0, "mt": 1e-3, "a/m": _A_PER_M_T, "ka/m": 1e3 * _A_PER_M_T,
}  # fmt: skip
MOMENT_Am2 = {
    "emu": _EMU_Am2, "memu": 1e-3 * _EMU_Am2, "uemu": 1e-6 * _EMU_Am2, "am2": 1.0, "mam2": 1e-3, "uam2": 1e-6,
    "j/t": 1.0,
}  # fmt: skip
TEMPERATURE_K = {"k": 1.0, "kelvin": 1.0}
TIME_S = {
    "sec": 1.0, "s": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "min": 60.0, "minutes": 60.0, "h": 3600.0,
    "hours": 3600.0,
}  # fmt: skip
RESISTANCE_ohm = {"ohm": 1.0, "ohms": 1.0, "mohm": 1e-3, "mohms": 1e-3, "kohm": 1e3}
RESISTIVITY_ohm_m = {"ohm-m": 1.0, "ohmm": 1.0, "ohm-cm": 1e-2, "ohmcm": 1e-2}
CURRENT_A = {"a": 1.0, "amps": 1.0, "ma": 1e-3, "ua": 1e-6}

_UNIT = re.compile(r"\(([^()]*)\)\s*$")


def split_name(column: str) -> tuple[str, str]:
    """`Magnetic Field (Oe)` as its name in lower case and its unit as written: `("magnetic field", "Oe")`."""
    match = _UNIT.search(column)
    name = column[: match.start()] if match else column
    return " ".join(name.lower().split()), match[1].strip() if match else ""


def plain(unit: str) -> str:
    """A unit's spelling brought to one form: `A·m²`, `Am^2` and `A m2` are all `am2`."""
    for old, new in (("µ", "u"), ("μ", "u"), ("²", "2"), ("Ω", "ohm"), ("Ω", "ohm")):
        unit = unit.replace(old, new)
    # A codepage that has no ² leaves some other sign after `Am`.
    unit = re.sub(r"^([mu]?A\s*[·.*]?\s*m)[^0-9A-Za-z/]$", r"\g<1>2", unit)
    # M is mega and m is milli: a resistance in MOhm is not in these tables, and must not become one in mOhm.
    if unit.startswith("M") and unit.lower().startswith(("mohm", "mt", "memu")):
        return unit
    return re.sub(r"[\s·^*]|\.(?!\d)", "", unit).lower()


def factor_of(unit: str, table: dict[str, float]) -> float | None:
    """The factor to our unit, or None for a spelling that the table does not hold."""
    return table.get(plain(unit))
