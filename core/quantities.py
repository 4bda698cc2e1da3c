"""Numbers with units: one way to read them and one way to print them. Conversion happens here, once, at the edge.

The rule of this file: a text is understood, or refused with a reason; it never becomes silently another number.
`.` is always the decimal point. `,` is a decimal comma unless it could be a thousands separator (`1,234`), which
is refused as ambiguous, as are both signs together (`1.234,5`).
"""

import math
import re
from functools import lru_cache
from typing import Any

from .errors import ConfigError
from .records import Measured

# ASCII digits only: float() also reads Arabic or full-width digits, underscores, "inf" and "nan".
_NUMBER = re.compile(
    r"\s*(?P<number>[+\-−]?(?:[0-9]+(?:[.,][0-9]*)*|[.,][0-9]+)(?:[eE][+\-−]?[0-9]+)?)\s*(?P<unit>.*?)\s*"
)
_UNIT = re.compile(r"[A-Za-zµμΩΩ°%·*/^()\s0-9⁻⁰¹²³⁴⁵⁶⁷⁸⁹²³\-_.]*")
_MAX_TEXT = 100

# An H field where µ0H is wanted: 1 Oe is 0.1 mT in vacuum, and B = µ0 H with the µ0 that makes it so.
_FIELD_BRIDGES = ((1e-4, "tesla / oersted"), (4e-7 * math.pi, "tesla * meter / ampere"))


@lru_cache(maxsize=1)
def registry() -> Any:
    """Pint's application registry (the one pymeasure uses) with `emu` defined.

    Imported on first use: pint costs a quarter of a second that `--help` should not pay.
    """
    import pint

    ureg = pint.get_application_registry()
    if "emu" not in ureg:
        # 1 emu = 1e-3 A m^2 (the cgs electromagnetic unit of magnetic moment, erg/G).
        ureg.define("emu = 1e-3 * ampere * meter ** 2")
    return ureg


def parse(text: str, unit: str, *, bare: bool = False) -> float:
    """Read a quantity such as `"1.5 mT/s"` and give its value in `unit`.

    A field may be given in oersted where tesla is wanted (µ0H in vacuum). A number without a unit is refused
    unless `bare` is true or `unit` is empty (dimensionless).

    Raises:
        ConfigError: the text is not a finite number with a fitting unit, or could mean two numbers.
    """
    if len(text) > _MAX_TEXT:
        raise ConfigError(f"a quantity of {len(text)} characters is not a quantity", do=f"write it like 1.5 {unit}")
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} is not a number with a unit", do=f"write it like 1.5 {unit}".rstrip())
    number = _number(match["number"], text)
    given = match["unit"]
    if not given:
        if unit and not bare:
            raise ConfigError(f"{text!r} has no unit", do=f'write "{text.strip()} {unit}" if that is what you mean')
        return number
    return _convert(number, given, unit, text)


def _number(digits: str, text: str) -> float:
    mantissa = re.split("[eE]", digits)[0]
    if mantissa.count(",") + mantissa.count(".") > 1:
        raise ConfigError(
            f"{text!r} is ambiguous: a decimal sign and a thousands separator", do="use one decimal point"
        )
    if re.search(r"[0-9],[0-9]{3}$", mantissa) and not re.match(r"[+\-−]?0,", mantissa):
        raise ConfigError(f"{text!r} is ambiguous: a decimal comma or a thousands separator", do="use a decimal point")
    value = float(digits.replace(",", ".").replace("−", "-"))
    if not math.isfinite(value):
        raise ConfigError(f"{text!r} is not finite", do="give a number that an instrument can be set to")
    return value


def _convert(number: float, given: str, unit: str, text: str) -> float:
    if not _UNIT.fullmatch(given):
        raise ConfigError(f"{given!r} in {text!r} is not a unit", do=f"give it in {unit or 'plain numbers'}")
    factor = _factor(given, unit)
    if factor is None:
        raise ConfigError(f"{text!r} cannot be given in {unit or 'plain numbers'}", do=f"give it in {unit}".rstrip())
    value = number * factor
    if not math.isfinite(value):
        raise ConfigError(f"{text!r} is not finite in {unit}")
    return value


@lru_cache(maxsize=512)
def _factor(given: str, unit: str) -> float | None:
    """The factor from `given` to `unit`, or None if there is none. Units with an offset (°C) have none."""
    ureg = registry()
    try:
        source, target = ureg.Unit(given), ureg.Unit(unit or "dimensionless")
        zero, one = ureg.Quantity(0.0, source), ureg.Quantity(1.0, source)
        if source.dimensionality == target.dimensionality:
            return None if zero.to(target).magnitude else float(one.to(target).magnitude)
        for number, bridge in _FIELD_BRIDGES:
            flux = one * ureg.Quantity(number, bridge)
            if flux.dimensionality == target.dimensionality:
                return float(flux.to(target).magnitude)
        return None
    except Exception:
        # pint's parser raises a dozen kinds, the tokenizer's among them: none of these texts is a unit.
        return None


def format_measured(measured: Measured, unit: str, scale: float = 1.0) -> str:
    """`47.0 ± 0.3 mT`: the uncertainty to two figures if its first is 1, else to one; the value to match.

    `scale` multiplies both first: 1e3 to show tesla as millitesla.
    """
    value, u = measured.value * scale, measured.u * scale
    if not math.isfinite(value) or not math.isfinite(u) or u <= 0:
        return f"not known ({unit})"
    exponent = math.floor(math.log10(u))
    leading = u / 10**exponent
    decimals = -exponent + (1 if leading < 1.95 else 0)
    decimals = max(0, min(12, decimals))
    return f"{value:.{decimals}f} ± {u:.{decimals}f} {unit}".rstrip()
