"""The guardian: a small process of its own that holds a magnet when the engine that ramps it lives no more.

The rules of this file: it knows one order, hold; it sends it only to a supply that it has seen ramping, because the
engine that should look at the ramp has died, or has been silent for ten seconds in which its magnet moved; it ends
when the engine says goodbye, or when it has seen a magnet at rest whose engine is dead. Until then it stays, however
long the supply does not answer.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import quote

import pyvisa

from ..core.capabilities import Activity, SupplyReading
from ..core.clock import Clock, SystemClock
from ..core.errors import ConfigError
from ..instruments.link import Link
from ..instruments.magnet_memory import DiskFiles, Files, MagnetMemory
from ..instruments.wire import Wire
from ..instruments.wire_visa import wire_on
from .heartbeat import GOODBYE, MOVING, Charge
from .relay import Relay

log = logging.getLogger(__name__)
SILENCE_s = 10.0
_SLICE_s = 0.2
# A slice that took this long was none: this computer slept, and the engine with it.
_LONGEST_SLICE_s = 2.0
_FIRST_RETRY_s, _LONGEST_RETRY_s = 0.5, 30.0
_PATIENCE_ms = 5000


class Holdable(Protocol):
    """What the guardian may do with a supply: look, and hold."""

    def watch(self) -> SupplyReading:
        """Look."""
        ...

    def hold(self) -> None:
        """Stop where the current is."""
        ...


class Heart:
    """What is heard of the engine. Whoever reads the pipe tells it; the guardian asks it."""

    def __init__(self) -> None:
        self.beats = 0
        # Whether the engine said last that its magnet moves or may: only then its silence means something.
        self.moving = False
        self.goodbye = False
        self.dead = False

    def listen(self, pipe: IO[bytes]) -> None:
        """Read the pipe to its end."""
        with contextlib.suppress(OSError, ValueError):
            while byte := pipe.read(1):
                if byte == GOODBYE:
                    self.goodbye = True
                    return
                self.moving = byte == MOVING
                self.beats += 1
        self.dead = True


class Guardian:
    """Watches over one magnet until it is not needed any more.

    `supply` opens a connection of its own and closes it; `note` writes down what is done; `replaced` is true when a
    newer guardian has this magnet. `SILENCE_s` of missing beats, or the engine's death, make it look.
    """

    def __init__(
        self,
        heart: Heart,
        supply: Callable[[], AbstractContextManager[Holdable]],
        clock: Clock,
        *,
        note: Callable[[str], None] = log.warning,
        replaced: Callable[[], bool] = lambda: False,
    ) -> None:
        self._heart = heart
        self._supply = supply
        self._clock = clock
        self._note = note
        self._replaced = replaced
        self._beats = 0

    def watch(self) -> None:
        """Stay until the engine has said goodbye, or is dead and its magnet at rest."""
        heart = self._heart
        silent_s, looked = 0.0, False
        while not heart.goodbye:
            if heart.beats != self._beats:
                self._beats = heart.beats
                silent_s, looked = 0.0, False
            if heart.dead or (heart.moving and silent_s >= SILENCE_s and not looked):
                why = "the engine has died" if heart.dead else f"the engine is silent for {silent_s:.0f} s"
                self._look(why)
                # Nothing that is at rest begins to move without an order, before which there is a beat.
                looked = True
                if heart.dead:
                    return
            silent_s += self._pause(_SLICE_s)

    def _look(self, why: str) -> None:
        """See whether the magnet ramps, and hold it if it does; as often as it takes."""
        wait_s = _FIRST_RETRY_s
        while not self._heart.goodbye and self._heart.beats == self._beats and not self._replaced():
            try:
                with self._supply() as supply:
                    if self._is_at_rest(supply, why):
                        return
            except Exception as error:  # whatever it was: the magnet may still ramp
                self._note(f"guardian: {why}, and the supply is not reached: {error} Next try in {wait_s:g} s")
            left_s = wait_s
            while left_s > 0 and not self._heart.goodbye and self._heart.beats == self._beats:
                self._pause(_SLICE_s)
                left_s -= _SLICE_s
            wait_s = min(2.0 * wait_s, _LONGEST_RETRY_s)

    def _is_at_rest(self, supply: Holdable, why: str) -> bool:
        look = supply.watch()
        if look.activity is not Activity.RAMPING:
            self._note(f"guardian: {why}; the supply says {look.activity.value}, nothing was sent")
            return True
        # Not one look more than needed lies between this word and the order.
        self._note(f"guardian: {why} and the magnet ramps: hold")
        supply.hold()
        look = supply.watch()
        held = look.activity is not Activity.RAMPING
        self._note(f"guardian: hold: {f'confirmed at {look.output_A:+.4f} A' if held else 'not obeyed, again'}")
        return held

    def _pause(self, duration_s: float) -> float:
        """Wait, and give how long the engine can have been silent meanwhile."""
        before_s = self._clock.now()
        self._clock.sleep(duration_s)
        took_s = self._clock.now() - before_s
        return took_s if took_s < _LONGEST_SLICE_s else 0.0


def serve(pipe: IO[bytes], out: IO[str]) -> int:
    """Be the guardian that the first line of `pipe` describes, its port being told on `out`; gives the exit code."""
    clock = SystemClock()
    charge = Charge.from_line(pipe.readline())
    heart = Heart()
    _stay_through_signals(heart)
    threading.Thread(target=heart.listen, args=(pipe,), name="heart", daemon=True).start()
    files = DiskFiles(Path(charge.folder))
    replaced = _newest(files, charge, clock)
    connections = _Connections(charge, clock)
    # Loaded before it is needed: then there may be no disk to load it from.
    module, _, name = charge.driver.partition(":")
    connections.driver = getattr(import_module(module), name)
    memory = MagnetMemory(files, charge.serial, clock)

    def note(text: str) -> None:
        with contextlib.suppress(OSError):
            memory.note(text)
        with contextlib.suppress(OSError, ValueError):  # the terminal may be what went away
            sys.stderr.write(f"{charge.name}: {text}\n")
            sys.stderr.flush()

    if charge.form == "through":
        connections.relay = Relay(connections.wire, charge.secret, clock)
    out.write(f"{0 if connections.relay is None else connections.relay.port}\n")
    out.flush()
    try:
        Guardian(heart, connections.supply, clock, note=note, replaced=replaced).watch()
    finally:
        if connections.relay is not None:
            connections.relay.close()
        files.close()
    return 0


class _Connections:
    """How a guardian reaches its supply: as its driver, or for the relay as a bare wire."""

    def __init__(self, charge: Charge, clock: Clock) -> None:
        self._charge = charge
        self._clock = clock
        self._manager = pyvisa.ResourceManager(charge.visa_library)
        self.relay: Relay | None = None
        self.driver: Any = None

    def _resource(self) -> Any:
        return self._manager.open_resource(self._charge.resource, open_timeout=_PATIENCE_ms)

    def wire(self) -> tuple[Wire, Callable[[], None]]:
        """The instrument for the relay."""
        resource = self._resource()
        return wire_on(resource, self._clock, "\n", 0), resource.close

    @contextmanager
    def supply(self) -> Generator[Holdable]:
        """The supply for the guardian alone: while it is open, the engine's relay is shut."""
        if self.relay is not None:
            self.relay.shut()
        try:
            driver, charge = self.driver, self._charge
            link = Link(
                self._resource(), self._clock, name=charge.name, write_end=driver.write_end, read_end=driver.read_end,
                deadline_s=driver.deadline_s, pause_s=driver.pause_s,
            )  # fmt: skip
            with contextlib.closing(link):
                supply = driver(link, charge.name, **charge.options)
                # Units or limits that are not the station's forbid many orders, and a hold never.
                with contextlib.suppress(ConfigError):
                    supply.verify()
                yield supply
        finally:
            if self.relay is not None:
                self.relay.reopen()


def _newest(files: Files, charge: Charge, clock: Clock) -> Callable[[], bool]:
    """Say that this guardian has the magnet from now on; gives how to find out that a newer one has."""
    name, mine = (
        f"{quote(charge.serial, safe='')}.guardian",
        f"{os.getpid()} since {clock.utc().isoformat()}\n".encode(),
    )
    files.replace(name, mine)

    def replaced() -> bool:
        try:
            return files.read(name) != mine
        except OSError:
            return False

    return replaced


def _stay_through_signals(heart: Heart) -> None:
    """Whatever ends the programs of a session must not end this one while its engine may need it."""

    def ended(_number: int, _frame: object) -> None:
        if heart.dead:
            # Only a supply that does not answer keeps it then, and a person who wants it to end may say so.
            os._exit(128 + signal.SIGTERM)

    for name in ("SIGINT", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, ended)
