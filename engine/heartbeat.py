"""The engine's side of a guardian: starting it, telling it that the engine lives, and saying goodbye.

The rule of this file: a beat is given by whoever drives the instruments, at each step and each order, and never by a
thread of its own, which would go on beating for an engine that hangs.
"""

import contextlib
import json
import logging
import os
import queue
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Literal, Self

from ..core.clock import Clock, SystemClock
from ..core.errors import CommunicationError

log = logging.getLogger(__name__)
# What stands on the pipe: a beat while the magnet moves or may move, one while it is at rest and silence means nothing,
# and the goodbye without which the end of the pipe means that the engine died.
MOVING, RESTING, GOODBYE = b".", b"-", b"q"
_EVERY_s = 0.5
# A process starts, imports a driver and opens a port: slow only on a computer that is very busy.
_READY_WITHIN_s, _ENDS_WITHIN_s = 60.0, 5.0
_COMMAND = ("-P", "-m", "remanence.cli.main", "guardian")


@dataclass(frozen=True, slots=True)
class Charge:
    """Which supply a guardian has in its care, and how it reaches it.

    `form` is `beside` (a connection of its own, made when it is needed) or `through` (it has the only connection, and
    relays). `folder` is where the magnet's journal is, `serial` the number that it goes by.
    """

    form: Literal["beside", "through"]
    name: str
    driver: str
    resource: str
    options: Mapping[str, Any]
    serial: str
    visa_library: str
    folder: str
    secret: str = field(default_factory=lambda: secrets.token_hex(16))

    def as_line(self) -> bytes:
        """As the first line on the guardian's pipe."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Charge":
        """Read what `as_line` wrote.

        Raises:
            ValueError, TypeError: it is something else.
        """
        return cls(**json.loads(line))


class Heartbeat:
    """A guardian process, from construction to `goodbye`. It outlives this process if that dies without one."""

    def __init__(self, charge: Charge, clock: Clock | None = None) -> None:
        self.charge = charge
        # Real time, whatever clock the laboratory has.
        self._clock = clock or SystemClock()
        self._last_s, self._last = -float("inf"), b""
        self._port: int | None = None
        # A session of its own: neither Ctrl-C nor the end of the terminal reaches it.
        alone: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            flags = ("CREATE_NEW_PROCESS_GROUP", "DETACHED_PROCESS")
            alone = {"creationflags": sum(getattr(subprocess, flag) for flag in flags)}
        self._child = subprocess.Popen(  # noqa: S603  this very program
            [sys.executable, *_COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, **alone
        )
        self._alive = True
        pipe = self._pipe()
        self._put(charge.as_line())
        with contextlib.suppress(AttributeError, OSError):  # Windows knows it since Python 3.12
            # A guardian that is stopped must not stop the engine, however many beats it leaves unread.
            os.set_blocking(pipe.fileno(), False)

    def port(self) -> int:
        """Wait until the guardian watches; the loopback port of its relay, 0 when it stands beside.

        Raises:
            CommunicationError: it does not start.
        """
        if self._port is None:
            said: queue.SimpleQueue[bytes] = queue.SimpleQueue()
            out: Any = self._child.stdout
            threading.Thread(target=lambda: said.put(out.readline()), name="guardian", daemon=True).start()
            try:
                self._port = int(said.get(timeout=_READY_WITHIN_s))
            except (queue.Empty, ValueError) as error:
                raise CommunicationError(
                    f"the guardian of {self.charge.name} does not start", where=self.charge.resource,
                    state="Nothing was sent to the magnet", do="read what it said above",
                ) from error  # fmt: skip
        return self._port

    def beat(self, moving: bool) -> None:
        """Tell that the engine lives, and whether the magnet moves or may; as often as one likes."""
        now_s, what = self._clock.now(), MOVING if moving else RESTING
        if what == self._last and now_s - self._last_s < _EVERY_s:
            return
        self._last_s, self._last = now_s, what
        if self._alive and not self._put(what):
            log.warning(
                "the guardian of %s has ended: nobody holds the magnet if this program dies. Open the station again",
                self.charge.name,
            )

    def open_relayed(self, manager: Any, patience_ms: int) -> Any:
        """Open a resource that reaches the supply by the guardian's relay.

        Raises:
            CommunicationError: the guardian does not start.
            pyvisa.errors.Error: nothing listens at its port: it has ended.
        """
        resource = manager.open_resource(f"TCPIP0::127.0.0.1::{self.port()}::SOCKET", open_timeout=patience_ms)
        resource.write_raw(self.charge.secret.encode() + b"\n")
        return resource

    def goodbye(self) -> None:
        """End it: the magnet is left as it is meant to be."""
        self._put(GOODBYE)
        self.abandon()

    def abandon(self) -> None:
        """Leave without goodbye: it looks at the magnet once more, holds it if it ramps, and ends."""
        with contextlib.suppress(OSError):
            self._pipe().close()
        try:
            self._child.wait(_ENDS_WITHIN_s)
        except subprocess.TimeoutExpired:
            log.warning("the guardian of %s goes on: it has not yet seen the magnet hold", self.charge.name)
            # It is left to itself, which is not an oversight that Python should warn of.
            self._child.returncode = 0
        if self._child.stdout is not None:
            self._child.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        """After an error the guardian is left without goodbye."""
        if kind is None:
            self.goodbye()
        else:
            self.abandon()

    def _pipe(self) -> IO[bytes]:
        pipe = self._child.stdin
        if pipe is None:
            raise AssertionError("the guardian was started with a pipe")
        return pipe

    def _put(self, data: bytes) -> bool:
        try:
            self._pipe().write(data)
        except BlockingIOError:
            return True  # it is there, and does not read
        except (OSError, ValueError):
            self._alive = False
            return False
        return True
