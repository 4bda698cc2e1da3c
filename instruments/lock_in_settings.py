"""The kinds of setting a lock-in has, as makers of properties: one of a table, a number within limits, a switch.

pymeasure's own `control` gives text where a reply is no number, and its strict validators do not say what there is
instead. Here a reply is read strictly, and a value that the instrument does not have is refused before a byte is sent,
with its neighbours. Each maker takes the query, the order with a place for the value, and the docstring.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from ..core.errors import LimitError
from .driver import Driver

_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")
# A table's value as text and as a float differ in the last digits; two settings differ by far more.
_SAME = 1e-6


def ask_whole(driver: Driver, query: str) -> int:
    """Query one whole number.

    Raises:
        ReplyError: the reply is anything else.
    """
    reply = driver.ask(query)
    text = reply.strip()
    if _WHOLE.fullmatch(text) is None:
        raise driver.reply_error(query, reply)
    return int(text)


def place(driver: Driver) -> str:
    """Where an error is: name and address."""
    return f"{driver.name} ({driver.link.address})"


def index_of(driver: Driver, what: str, value: Any, table: Sequence[Any]) -> int:
    """The place of a value in the table of those that the instrument has.

    Raises:
        LimitError: it is not in the table; the message names its neighbours, or all there are.
    """
    for index, known in enumerate(table):
        if _same(value, known):
            return index
    if isinstance(value, int | float) and isinstance(table[0], int | float) and not isinstance(value, bool):
        below = [known for known in table if known < value]
        above = [known for known in table if known > value]
        near = " and ".join(f"{known:g}" for known in ([max(below)] if below else []) + ([min(above)] if above else []))
        do = f"its neighbours are {near}" if near else f"there is {table[0]:g} to {table[-1]:g}"
        value = f"{value:g}"
    else:
        do = "there is " + ", ".join(str(known) for known in table)
    raise LimitError(
        f"{what} {value} is not a setting of the {driver.model}", where=place(driver), state="Nothing was sent", do=do
    )


def _same(value: Any, known: Any) -> bool:
    if isinstance(known, float) and isinstance(value, int | float):
        return math.isclose(value, known, rel_tol=_SAME)
    return type(value) is type(known) and value == known


def check_within(driver: Driver, what: str, value: float, low: float, high: float, unit: str = "") -> None:
    """Refuse a number that is not finite or not within limits.

    Raises:
        LimitError: with the limits; nothing was sent.
    """
    if not (math.isfinite(value) and low <= value <= high):
        raise LimitError(
            f"{what} {value:g} {unit}".rstrip() + f" is outside {low:g} to {high:g} {unit}".rstrip(),
            where=place(driver), state="Nothing was sent",
        )  # fmt: skip


class Setting(property):
    """A property that knows the name it was given, for its messages."""

    name = ""

    def __init__(self, get: Callable[[Any], Any], put: Callable[[Any, Any], None] | None = None, doc: str = "") -> None:
        super().__init__(get, put)
        # The class's own docstring would hide one given to `property`.
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.replace("_", " ")


def choice(query: str, order: str, doc: str, table: Sequence[Any], *, first: int = 0) -> Any:
    """A setting that goes over the wire as the place in a table, counted from `first`."""

    def get(driver: Driver) -> Any:
        index = ask_whole(driver, query) - first
        if not 0 <= index < len(table):
            raise driver.reply_error(query, str(index + first))
        return table[index]

    def put(driver: Driver, value: Any) -> None:
        driver.write(order.format(index_of(driver, made.name, value, table) + first))

    made = Setting(get, put, doc=doc)
    return made


def scale(query: str, order: str, doc: str, table: Sequence[float], *, first: int = 0) -> Any:
    """A setting that is told as the place in a table and answered as the number itself."""

    def get(driver: Driver) -> float:
        value = driver.ask_float(query)
        # The instrument writes it with few digits. What is not in the table, it has in another mode.
        return next((known for known in table if math.isclose(value, known, rel_tol=1e-3)), value)

    def put(driver: Driver, value: float) -> None:
        driver.write(order.format(index_of(driver, made.name, value, table) + first))

    made = Setting(get, put, doc=doc)
    return made


def number(query: str, order: str, doc: str, low: float, high: float) -> Any:
    """A number with limits."""

    def get(driver: Driver) -> float:
        return driver.ask_float(query)

    def put(driver: Driver, value: float) -> None:
        check_within(driver, made.name, value, low, high)
        driver.write(order.format(value))

    made = Setting(get, put, doc=doc)
    return made


def whole(query: str, order: str, doc: str, low: int, high: int) -> Any:
    """A whole number with limits."""

    def get(driver: Driver) -> int:
        return ask_whole(driver, query)

    def put(driver: Driver, value: int) -> None:
        check_within(driver, made.name, value, low, high)
        if value != int(value):
            raise LimitError(f"{made.name} {value:g} is not a whole number", where=place(driver))
        driver.write(order.format(int(value)))

    made = Setting(get, put, doc=doc)
    return made


def switch(query: str, order: str, doc: str) -> Any:
    """A setting that is on or off."""
    return choice(query, order, doc, (False, True))


def reading(query: str, doc: str) -> Any:
    """A number that the instrument measures."""
    return Setting(lambda driver: driver.ask_float(query), doc=doc)
