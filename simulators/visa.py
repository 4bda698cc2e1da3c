"""The laboratory as a VISA library: `pyvisa.ResourceManager(VirtualVisaLibrary(panels, clock))`.

Deterministic and without threads: a reply becomes readable when the clock reaches its time, and a read that comes
early sleeps on that clock. On a `VirtualClock` a query therefore costs its latency in laboratory time and
microseconds in real time; a read that nothing answers runs into its time-out on the same clock.
"""

import itertools
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pyvisa import attributes, constants, rname
from pyvisa.highlevel import VisaLibraryBase
from pyvisa.util import LibraryPath

from ..core.clock import Clock
from ..core.errors import ConfigError
from .front_panel import Conversation, FrontPanel

_Status = constants.StatusCode
_Attribute = constants.ResourceAttribute
_serial = itertools.count(1)


@dataclass(slots=True)
class _Session:
    conversation: Conversation
    attributes: dict[Any, Any]
    # (time at which it may be read, bytes)
    replies: deque[tuple[float, bytes]] = field(default_factory=deque[tuple[float, bytes]])
    timeout_s: float = 2.0
    end_byte: int = 10
    end_enabled: bool = False
    message_based: bool = True


def _canonical(name: str) -> str:
    try:
        return str(rname.ResourceName.from_string(name))
    except rname.InvalidResourceName as error:
        raise ConfigError(f"{name!r} is not a VISA resource: {error}", do="write it like GPIB0::8::INSTR") from error


class VirtualVisaLibrary(VisaLibraryBase):
    """A PyVISA library whose resources are front panels, by VISA resource name."""

    def __new__(cls, panels: Mapping[str, FrontPanel], clock: Clock) -> "VirtualVisaLibrary":
        """PyVISA keeps one library per path: each laboratory gets a path of its own."""
        path = LibraryPath(f"remanence-laboratory-{next(_serial)}", "simulated")
        return cast(VirtualVisaLibrary, super().__new__(cls, path))

    def __init__(self, panels: Mapping[str, FrontPanel], clock: Clock) -> None:
        super().__init__()
        self._panels = {_canonical(name): panel for name, panel in panels.items()}
        self._clock = clock
        self._sessions: dict[Any, _Session] = {}
        self._handles: Iterator[Any] = itertools.count(1)

    def _init(self) -> None:
        """PyVISA's hook for loading a shared library: there is none."""

    def open_default_resource_manager(self) -> tuple[Any, _Status]:
        """Give a handle for the manager."""
        return next(self._handles), _Status.success

    def list_resources(self, session: Any, query: str = "?*::INSTR") -> tuple[str, ...]:
        """The instruments of this laboratory that match a VISA search pattern."""
        return rname.filter(list(self._panels), query)

    def open(
        self, session: Any, resource_name: str, access_mode: Any = constants.AccessModes.no_lock, open_timeout: int = 0
    ) -> tuple[Any, _Status]:
        """Connect to an instrument."""
        name = str(rname.ResourceName.from_string(resource_name))
        panel = self._panels.get(name)
        if panel is None:
            return 0, self.handle_return_value(None, _Status.error_resource_not_found)
        handle = next(self._handles)
        opened = _Session(Conversation(panel), {_Attribute.resource_name: name})
        # An IEEE-488 or USB message carries its own end; a socket's or serial line's ends only at its terminator.
        opened.message_based = name.startswith(("GPIB", "USB")) or (name.startswith("TCPIP") and name.endswith("INSTR"))
        if panel.greeting:
            opened.replies.append((self._clock.now() + 0.3, panel.greeting))
        self._sessions[handle] = opened
        return handle, self.handle_return_value(handle, _Status.success)

    def close(self, session: Any) -> _Status:
        """Disconnect; closing the manager's own handle is fine too."""
        self._sessions.pop(session, None)
        return _Status.success

    def write(self, session: Any, data: bytes) -> tuple[int, _Status]:
        """Send bytes; what they cause happens now, what they answer comes after the instrument's latency."""
        opened = self._sessions[session]
        reply = opened.conversation.feed(data)
        if reply:
            opened.replies.append((self._clock.now() + opened.conversation.panel.latency_s, reply))
        return len(data), self.handle_return_value(session, _Status.success)

    def read(self, session: Any, count: int) -> tuple[bytes, _Status]:
        """Receive up to `count` bytes: to the termination character, the end of a message, or the time-out."""
        opened = self._sessions[session]
        clock = self._clock
        deadline = clock.now() + opened.timeout_s
        data = bytearray()
        while opened.replies and opened.replies[0][0] <= deadline:
            ready_s, chunk = opened.replies.popleft()
            clock.sleep(ready_s - clock.now())
            taken, rest, status = self._cut(opened, chunk, count - len(data))
            data += taken
            if rest:
                opened.replies.appendleft((ready_s, rest))
            if status is not None:
                return bytes(data), self.handle_return_value(session, status)
        clock.sleep(deadline - clock.now())
        return bytes(data), self.handle_return_value(session, _Status.error_timeout)

    @staticmethod
    def _cut(opened: _Session, chunk: bytes, room: int) -> tuple[bytes, bytes, _Status | None]:
        if opened.end_enabled:
            at = chunk.find(opened.end_byte) + 1
            if 0 < at <= room:
                return chunk[:at], chunk[at:], _Status.success_termination_character_read
        if len(chunk) >= room:
            return chunk[:room], chunk[room:], _Status.success_max_count_read
        return chunk, b"", _Status.success if opened.message_based else None

    def clear(self, session: Any) -> _Status:
        """Forget half-sent commands and unread replies."""
        opened = self._sessions[session]
        opened.conversation.clear()
        opened.replies.clear()
        return self.handle_return_value(session, _Status.success)

    def flush(self, session: Any, mask: Any) -> _Status:
        """Drop what was received and not read."""
        self._sessions[session].replies.clear()
        return self.handle_return_value(session, _Status.success)

    def read_stb(self, session: Any) -> tuple[int, _Status]:
        """Serial poll: bit 4 (message available) only."""
        opened = self._sessions[session]
        ready = bool(opened.replies) and opened.replies[0][0] <= self._clock.now()
        return (16 if ready else 0), self.handle_return_value(session, _Status.success)

    def get_attribute(self, session: Any, attribute: Any) -> tuple[Any, _Status]:
        """An attribute as last set, the bytes waiting, or VISA's default."""
        opened = self._sessions.get(session)
        if opened is None:
            return None, self.handle_return_value(session, _Status.success)
        if attribute == _Attribute.timeout_value:
            value: Any = int(opened.timeout_s * 1000)
        elif attribute == _Attribute.asrl_avalaible_number:
            value = sum(len(chunk) for ready_s, chunk in opened.replies if ready_s <= self._clock.now())
        elif attribute in opened.attributes:
            value = opened.attributes[attribute]
        else:
            known = attributes.AttributesByID.get(attribute)
            value = None if known is None or known.default is NotImplemented else known.default
        return value, self.handle_return_value(session, _Status.success)

    def set_attribute(self, session: Any, attribute: Any, attribute_state: Any) -> _Status:
        """Remember an attribute; time-out and termination take effect."""
        opened = self._sessions[session]
        opened.attributes[attribute] = attribute_state
        if attribute == _Attribute.timeout_value:
            infinite = attribute_state == constants.VI_TMO_INFINITE
            opened.timeout_s = 1e12 if infinite else attribute_state / 1000
        elif attribute == _Attribute.termchar:
            opened.end_byte = attribute_state
        elif attribute == _Attribute.termchar_enabled:
            opened.end_enabled = bool(attribute_state)
        return self.handle_return_value(session, _Status.success)

    def disable_event(self, session: Any, event_type: Any, mechanism: Any) -> _Status:
        """There are no events to disable; PyVISA asks when it closes a resource."""
        return _Status.success

    def discard_events(self, session: Any, event_type: Any, mechanism: Any) -> _Status:
        """There are no events to discard."""
        return _Status.success

    def uninstall_all_visa_handlers(self, session: Any) -> None:
        """There are no handlers."""
