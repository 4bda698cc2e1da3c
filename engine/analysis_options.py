"""Options as a person types them, `coercive_T="47 ± 0.3 mT"`, read by what the method's code says it takes.

A method's options are the keyword arguments of its function, and the fields of a settings class among them. A new
argument is an option at once, and there is no second list to keep true.
"""

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from ..core.errors import ConfigError
from ..core.quantities import parse
from ..core.records import Measured
from .analysis_values import unit_of

_PINT_UNITS = {"1/m^2": "1/meter**2", "m^2/(V s)": "meter**2/volt/second", "A m^2": "ampere*meter**2"}
_PLUS_MINUS = re.compile(r"\s*(?:±|\+/-|\+-)\s*")
_YES, _NO = {"yes", "true", "on", "1"}, {"no", "false", "off", "0"}


def split_options(texts: Sequence[str]) -> dict[str, str]:
    """`["a=1", "b=2 mT"]` as a mapping. `ConfigError` for a text without a sign, or a key that comes twice."""
    given: dict[str, str] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        key = key.strip()
        if not sign or not key or not value.strip():
            raise ConfigError(f"the option {text!r} is not KEY=VALUE", do='write it like --option coercive_T="47 mT"')
        if key in given:
            raise ConfigError(f"the option {key} is given twice", do="give it once")
        given[key] = value.strip()
    return given


def allowed(function: Callable[..., Any]) -> dict[str, Any]:
    """The options that `function` takes and their types: its keyword-only arguments, settings classes taken apart."""
    hints = get_type_hints(function)
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        settings = _settings_in(hints.get(name, str))
        if settings is None:
            found[name] = hints.get(name, str)
        else:
            inner = get_type_hints(settings)
            found |= {field.name: inner[field.name] for field in fields(settings) if field.init}
    return {name: hint for name, hint in found.items() if _readable(hint)}


def read_options(function: Callable[..., Any], given: Mapping[str, str], *, also: Sequence[str] = ()) -> dict[str, Any]:
    """`given` as keyword arguments of `function`.

    `also` names options that others read. `ConfigError` for a key that is no option, with the nearest that is one,
    and for a value that does not fit.
    """
    known = allowed(function)
    values: dict[str, Any] = {}
    for key, text in given.items():
        if key in also:
            continue
        if key not in known:
            near = difflib.get_close_matches(key, [*known, *also], 1)
            may = ", ".join([*known, *also]) or "there is none"
            raise ConfigError(
                f"{key} is no option of this analysis", do=f"did you mean {near[0]!r}?" if near else f"one of: {may}"
            )
        values[key] = _read(key, text, known[key])
    return _gathered(function, values)


def _gathered(function: Callable[..., Any], values: dict[str, Any]) -> dict[str, Any]:
    """Put the fields of a settings class back into one."""
    hints = get_type_hints(function)
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        settings = _settings_in(hints.get(name, str))
        if settings is None:
            if name in values:
                arguments[name] = values[name]
            continue
        mine = {field.name: values[field.name] for field in fields(settings) if field.name in values}
        missing = [field.name for field in fields(settings) if _required(field) and field.name not in mine]
        if missing and (mine or parameter.default is inspect.Parameter.empty):
            do = " ".join(f"--option {key}=…" for key in missing)
            raise ConfigError(f"this analysis must be told {' and '.join(missing)}", do=f"add {do}")
        if mine:
            try:
                arguments[name] = settings(**mine)
            except ValueError as error:
                raise ConfigError(str(error), do="give another value of the option") from error
    return arguments


def _required(field: Any) -> bool:
    return field.init and field.default is MISSING and field.default_factory is MISSING


def _settings_in(hint: Any) -> Any:
    """The settings class that a type holds, or None."""
    found: list[Any] = [kind for kind in _kinds(hint) if is_dataclass(kind)]
    found = [kind for kind in found if kind is not Measured]
    return found[0] if found else None


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _readable(hint: Any) -> bool:
    return any(kind in (float, int, bool, str, Measured) for kind in _kinds(hint))


def _read(key: str, text: str, hint: Any) -> Any:
    kinds = _kinds(hint)
    if NoneType in kinds and text.lower() == "none":
        return None
    if bool in kinds:
        return _yes_or_no(key, text)
    if Measured in kinds and (_PLUS_MINUS.search(text) or float not in kinds):
        return _measured(key, text)
    if float in kinds:
        return _number(key, text)
    if int in kinds:
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
            raise ConfigError(f"{key} must be a whole number, not {text!r}")
        return int(text)
    return text


def _yes_or_no(key: str, text: str) -> bool:
    if text.lower() in _YES | _NO:
        return text.lower() in _YES
    raise ConfigError(f"{key} is yes or no, not {text!r}")


def _number(key: str, text: str) -> float:
    unit = unit_of(key)
    try:
        return parse(text, _PINT_UNITS.get(unit, unit))
    except ConfigError as error:
        raise ConfigError(f"{key}: {error.what}", do=error.do) from error


def _measured(key: str, text: str) -> Measured:
    """`47 ± 0.3 mT` or `47 mT ± 0.3 mT`: a value is not taken without its uncertainty."""
    parts = _PLUS_MINUS.split(text)
    if len(parts) != 2:
        raise ConfigError(f"{key} needs a standard uncertainty", do=f'write it like {key}="{text} ± …"')
    value, u = parts
    unit = re.sub(r"^[^A-Za-zµΩ°/%]*", "", re.sub(r"^[+\-−0-9.,]+(?:[eE][+\-−]?[0-9]+)?", "", u.strip())).strip()
    if unit and re.fullmatch(r"[+\-−]?[0-9.,]+(?:[eE][+\-−]?[0-9]+)?", value.strip()):
        value = f"{value.strip()} {unit}"
    measured = Measured(_number(key, value), _number(key, u))
    if measured.u <= 0.0:
        raise ConfigError(f"the uncertainty of {key} must be above zero")
    return measured
