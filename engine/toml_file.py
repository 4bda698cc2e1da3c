"""TOML read into pydantic models, with errors a person can act on: file, line, what is wrong, the nearest spelling."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..core.errors import ConfigError

ModelT = TypeVar("ModelT", bound=BaseModel)
_NOTHING = "Nothing was sent to any instrument"


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        ConfigError: it cannot be read or is not TOML; with the line where the parser gave up.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read it: {error.strerror}", where=str(path), do="check the path") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"this is not TOML: {error}", where=str(path), state=_NOTHING) from error


def validate(model: type[ModelT], tables: dict[str, Any], path: Path) -> ModelT:
    """The tables as a model.

    Raises:
        ConfigError: the first thing that is wrong, at its line.
    """
    try:
        return model.model_validate(tables)
    except ValidationError as error:
        first = error.errors()[0]
        keys = [str(part) for part in first["loc"]]
        raise ConfigError(_sentence(first, keys, model), where=place(path, keys), state=_NOTHING) from error


def place(path: Path, keys: list[str]) -> str:
    """`file:line` of a key, as well as a text search can tell; the file alone if it does not stand there."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return str(path)
    line, before = 0, ""
    for key in keys:
        if key.isdigit():
            # The n-th of several tables of one name.
            header = re.compile(rf"\s*\[\[\s*{re.escape(before)}\s*\]\]")
            tables = [n for n, text in enumerate(lines) if header.match(text)]
            line = tables[int(key)] if int(key) < len(tables) else line
            continue
        before = key
        pattern = re.compile(rf"(^|[\s\[.{{,]){re.escape(key)}\s*(=|\]|\.)")
        found = next((n for n in range(line, len(lines)) if pattern.search(lines[n].split("#")[0])), None)
        line = line if found is None else found
    return f"{path}:{line + 1}"


def nearest(name: str, known: list[str]) -> str:
    """`did you mean …?`, or all the names there are."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"


def _sentence(first: Any, keys: list[str], model: type[BaseModel]) -> str:
    name = ".".join(keys)
    if first["type"] == "extra_forbidden":
        return f"unknown key {name!r}: {nearest(keys[-1], _fields(model, keys[:-1]))}"
    if first["type"] == "missing":
        return f"{name!r} is missing"
    message = str(first["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}"


def _fields(model: Any, keys: list[str]) -> list[str]:
    """The field names of the model that `keys` lead to."""
    for key in keys:
        fields = getattr(model, "model_fields", {})
        if key in fields:
            model = fields[key].annotation
        arguments = [a for a in getattr(model, "__args__", ()) if hasattr(a, "model_fields")]
        if arguments:
            model = arguments[-1]
    return [field.alias or name for name, field in getattr(model, "model_fields", {}).items()]
