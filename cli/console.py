"""The console of `remanence simulate`: lines typed while it serves, under a table that shows the laboratory live.

Where both ends are a terminal the table refreshes itself and what is typed stands below it; elsewhere lines come in
and answers go out one after the other.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..core.errors import ConfigError, RemanenceError

if sys.platform != "win32":
    import select
    import termios
    import tty

_REFRESH_s = 0.5
_ERASE = {"\x7f", "\b"}
_KEPT = 5


class Watched(Protocol):
    """What a console is for."""

    stopped: threading.Event

    def status(self) -> Table:
        """The laboratory now."""
        ...

    def obey(self, line: str) -> RenderableType:
        """Do what a line says."""
        ...


def watch(laboratory: Watched, out: Console) -> None:
    """Take lines and show the laboratory until it is stopped."""
    said = _Said()
    live = out.is_terminal and _foreground() and sys.platform != "win32"

    def line(text: str) -> None:
        try:
            answer: RenderableType = laboratory.obey(text)
        except ConfigError as error:
            answer = Text(str(error))
        except RemanenceError as error:
            answer = Text(f"it did not happen: {error}")
        if live:
            said.lines.append(answer)
        elif answer:
            out.print(answer, highlight=False, markup=False, soft_wrap=True)

    def show() -> RenderableType:
        return Group(laboratory.status(), *said.lines, Text(f"> {said.typed}"))

    if not live:
        _in_background(lambda: _take(laboratory, line, said))
        _wait(laboratory)
        return
    with _keys_at_once(), Live(get_renderable=show, console=out, refresh_per_second=1 / _REFRESH_s, transient=True):
        _in_background(lambda: _take(laboratory, line, said))
        _wait(laboratory)


def _wait(laboratory: Watched) -> None:
    # In pieces, so that signals are handled everywhere.
    while not laboratory.stopped.wait(0.2):
        pass


class _Said:
    """What is being typed, and the last answers."""

    def __init__(self) -> None:
        self.typed = ""
        self.lines: deque[RenderableType] = deque(maxlen=_KEPT)


def _take(laboratory: Watched, line: Callable[[str], None], said: _Said) -> None:
    """Read until the end of the input; that alone stops nothing: a service has none."""
    for text in _pieces(laboratory):
        for character in text:
            if character in "\r\n":
                typed, said.typed = said.typed, ""
                line(typed)
            elif character in _ERASE:
                said.typed = said.typed[:-1]
            elif character.isprintable():
                said.typed = (said.typed + character)[:1000]


def _pieces(laboratory: Watched) -> Iterator[str]:
    """What comes in. Read from the descriptor: a thread waiting inside `sys.stdin` would hang the end."""
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return
    if sys.stdin.isatty() and not _foreground():
        return
    while not laboratory.stopped.is_set():
        try:
            if sys.platform != "win32" and not select.select([descriptor], [], [], _REFRESH_s)[0]:
                continue
            data = os.read(descriptor, 1024)
        except OSError:
            return
        if not data:
            return
        yield data.decode("utf-8", "replace")


def _foreground() -> bool:
    """True when this process may read from its terminal: one in the background would be stopped for it."""
    if sys.platform == "win32":
        return sys.stdin.isatty()
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (AttributeError, OSError, ValueError):
        return False


@contextmanager
def _keys_at_once() -> Generator[None]:
    """Have the terminal give each key as it is pressed, and show none: the table does."""
    if sys.platform == "win32":
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="console", daemon=True).start()
