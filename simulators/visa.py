"""The laboratory as a VISA library: `pyvisa.ResourceManager(VirtualVisaLibrary(panels, clock))`.

Deterministic and without threads: a reply becomes readable when the clock reaches its time, and a read that comes
early sleeps on that clock. On a `VirtualClock` a query therefore costs its latency in laboratory time and
microseconds in real time; a read that nothing answers runs into its time-out on the same clock.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from pyvisa import attributes, constants, rname
from pyvisa.highlevel import VisaLibraryBase
from pyvisa.util import LibraryPath

from ..core.clock import Clock
from ..core.errors import ConfigError
from .front_panel import Conversation, FrontPanel, Unfinished

_Status = constants.StatusCode
_Attribute = constants.ResourceAttribute
# What nearly every call ends with: to look a member of an enumeration up costs as much as a step of a filter.
_SUCCESS, _TERMINATED = _Status.success, _Status.success_termination_character_read
_serial = itertools.count(1)
# Clearing a socket drops what comes until there was silence for so long (PyVISA-py).
_SILENCE_s = 0.1
# How often a wait for a service request looks at the status byte.
_POLL_s = 0.01
_SERVICE_REQUEST, _MESSAGE = 0x40, 0x10


@dataclass(slots=True)
class _Session:
    conversation: Conversation
    attributes: dict[Any, Any]
    timeout_s: float = 2.0
    end_byte: int = 10
    end_enabled: bool = False
    # An IEEE-488 or USB message carries its own end; a socket's or serial line's ends only at its terminator.
    message_based: bool = True


def _canonical(name: str) -> str:
    try:
        return str(rname.ResourceName.from_string(name))
    except rname.InvalidResourceName as error:
        raise ConfigError(f"{name!r} is not a VISA resource: {error}", do="write it like GPIB0::8::INSTR") from error


class VirtualVisaLibrary(VisaLibraryBase):
    """A PyVISA library whose resources are front panels, by VISA resource name."""

    def __new__(cls, panels: Mapping[str, FrontPanel], clock: Clock) -> Self:
        """PyVISA keeps one library per path: each laboratory gets a path of its own."""
        path = LibraryPath(f"remanence-laboratory-{next(_serial)}", "simulated")
        return cast(Self, super().__new__(cls, path))

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
        parsed = rname.ResourceName.from_string(resource_name)
        name = str(parsed)
        panel = self._panels.get(name)
        if panel is None or (panel.trouble is not None and not panel.trouble.reachable()):
            return 0, self.handle_return_value(None, _Status.error_resource_not_found)
        on_network = parsed.interface_type == "TCPIP"
        if on_network and panel.clients is not None and len(panel.conversations) >= panel.clients:
            return 0, self.handle_return_value(None, _Status.error_resource_busy)
        handle = next(self._handles)
        interface = constants.InterfaceType[parsed.interface_type.lower()]
        opened = _Session(
            panel.converse(),
            {
                _Attribute.resource_name: name,
                _Attribute.resource_class: parsed.resource_class,
                _Attribute.interface_type: interface,
                _Attribute.interface_number: int(getattr(parsed, "board", 0) or 0),
            },
        )
        opened.message_based = parsed.resource_class == "INSTR" and interface != constants.InterfaceType.asrl
        opened.conversation.greet(self._clock.now())
        self._sessions[handle] = opened
        return handle, self.handle_return_value(handle, _Status.success)

    def close(self, session: Any) -> _Status:
        """Disconnect; closing the manager's own handle is fine too."""
        opened = self._sessions.pop(session, None)
        if opened is not None:
            opened.conversation.close()
        return _Status.success

    def write(self, session: Any, data: bytes) -> tuple[int, _Status]:
        """Send bytes; what they cause happens now, what they answer comes after the instrument's latency.

        An instrument that is still busy with an answer makes the sender wait, as its handshake would.
        """
        conversation, clock = self._sessions[session].conversation, self._clock
        now_s = clock.now()
        if conversation.busy_s > now_s:
            clock.sleep(conversation.busy_s - now_s)
            now_s = clock.now()
        if conversation.broken:
            self.handle_return_value(session, _Status.error_connection_lost)
        conversation.take(data, now_s)
        # PyVISA's own way to note a success looks its number up and asks for warnings: a third of a query.
        self._last_status = self._last_status_in_session[session] = _SUCCESS
        return len(data), _SUCCESS

    def read(self, session: Any, count: int) -> tuple[bytes, _Status]:
        """Receive up to `count` bytes: to the termination character, the end of a message, or the time-out."""
        opened = self._sessions[session]
        conversation, clock = opened.conversation, self._clock
        outgoing = conversation.outgoing
        now_s = clock.now()
        deadline_s = now_s + opened.timeout_s
        if outgoing and conversation.panel.trouble is None:
            # The usual case: one reply with its terminator at its end.
            ready_s, chunk = outgoing[0]
            whole = opened.end_enabled and chunk.find(opened.end_byte) == len(chunk) - 1 < count
            if whole and ready_s <= deadline_s:
                outgoing.popleft()
                clock.sleep(ready_s - now_s)
                self._last_status = self._last_status_in_session[session] = _TERMINATED
                return chunk, _TERMINATED
        data = b""
        while True:
            if conversation.broken or conversation.panel.trouble is not None:
                self._happen(conversation, deadline_s)
            if not outgoing or outgoing[0][0] > deadline_s:
                if clock.now() < deadline_s:
                    clock.sleep(deadline_s - clock.now())
                    continue  # on a clock that others share, something may have come meanwhile
                return data, self.handle_return_value(session, _Status.error_timeout)
            ready_s, chunk = outgoing.popleft()
            clock.sleep(ready_s - clock.now())
            taken, rest, status = self._cut(opened, chunk, count - len(data))
            data = data + taken if data else taken
            if rest:
                outgoing.appendleft((ready_s, Unfinished(rest) if isinstance(chunk, Unfinished) else rest))
            if status is not None:
                self._last_status = self._last_status_in_session[session] = status
                return data, status

    def _happen(self, conversation: Conversation, deadline_s: float) -> None:
        """Let the faults of the schedule come that are due before the next bytes or the deadline."""
        trouble, outgoing = conversation.panel.trouble, conversation.outgoing
        while trouble is not None and not conversation.broken:
            next_s = trouble.next_s()
            if next_s > min(deadline_s, outgoing[0][0] if outgoing else math.inf):
                return
            self._clock.sleep(next_s - self._clock.now())
            trouble.act()
        if conversation.broken:
            self.handle_return_value(None, _Status.error_connection_lost)

    @staticmethod
    def _cut(opened: _Session, chunk: bytes, room: int) -> tuple[bytes, bytes, _Status | None]:
        if opened.end_enabled:
            at = chunk.find(opened.end_byte) + 1
            if 0 < at <= room:
                return chunk[:at], chunk[at:], _TERMINATED
        if len(chunk) >= room:
            return chunk[:room], chunk[room:], _Status.success_max_count_read
        over = opened.message_based and not isinstance(chunk, Unfinished)
        return chunk, b"", _SUCCESS if over else None

    def clear(self, session: Any) -> _Status:
        """A device clear; on a socket or serial line, dropping what comes until there is silence."""
        opened = self._sessions[session]
        if opened.message_based:
            opened.conversation.clear()
        else:
            self._drop(opened.conversation, self._clock.now() + _SILENCE_s)
        return self.handle_return_value(session, _Status.success)

    def flush(self, session: Any, mask: Any) -> _Status:
        """Drop what was received and not read."""
        self._drop(self._sessions[session].conversation, self._clock.now())
        return self.handle_return_value(session, _Status.success)

    @staticmethod
    def _drop(conversation: Conversation, until_s: float) -> None:
        while conversation.outgoing and conversation.outgoing[0][0] <= until_s:
            conversation.outgoing.popleft()

    def read_stb(self, session: Any) -> tuple[int, _Status]:
        """Serial poll: the instrument's own bits and bit 4, a message is waiting. A socket has none."""
        opened = self._sessions[session]
        if opened.attributes[_Attribute.resource_class] == "SOCKET":
            return 0, self.handle_return_value(session, _Status.error_nonsupported_operation)
        return self._status_byte(opened), self.handle_return_value(session, _Status.success)

    def _status_byte(self, opened: _Session) -> int:
        conversation = opened.conversation
        waiting = bool(conversation.outgoing) and conversation.outgoing[0][0] <= self._clock.now()
        with conversation.panel.world.lock:
            byte = conversation.panel.status_byte()
        return byte | _MESSAGE if waiting else byte

    def assert_trigger(self, session: Any, protocol: Any) -> _Status:
        """A group execute trigger."""
        panel = self._sessions[session].conversation.panel
        with panel.world.lock:
            panel.trigger()
        return self.handle_return_value(session, _Status.success)

    def get_attribute(self, session: Any, attribute: Any) -> tuple[Any, _Status]:
        """An attribute as last set, the bytes waiting, or VISA's default."""
        opened = self._sessions.get(session)
        if opened is None:
            return None, self.handle_return_value(session, _Status.success)
        if attribute == _Attribute.timeout_value:
            value: Any = int(opened.timeout_s * 1000)
        elif attribute == _Attribute.asrl_avalaible_number:
            now_s = self._clock.now()
            value = sum(len(chunk) for ready_s, chunk in opened.conversation.outgoing if ready_s <= now_s)
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

    def enable_event(self, session: Any, event_type: Any, mechanism: Any, context: Any = None) -> _Status:
        """Service requests are always watched for."""
        return _Status.success

    def wait_on_event(self, session: Any, in_event_type: Any, timeout: float) -> tuple[Any, Any, _Status]:
        """Wait for the instrument to request service: bit 6 of its status byte. `timeout` is in milliseconds."""
        opened, clock = self._sessions[session], self._clock
        deadline_s = clock.now() + timeout / 1000
        while not self._status_byte(opened) & _SERVICE_REQUEST:
            if clock.now() >= deadline_s:
                return in_event_type, None, self.handle_return_value(session, _Status.error_timeout)
            clock.sleep(_POLL_s)
        return in_event_type, next(self._handles), self.handle_return_value(session, _Status.success)

    def disable_event(self, session: Any, event_type: Any, mechanism: Any) -> _Status:
        """There are no events to disable; PyVISA asks when it closes a resource."""
        return _Status.success

    def discard_events(self, session: Any, event_type: Any, mechanism: Any) -> _Status:
        """There are no events to discard."""
        return _Status.success

    def uninstall_all_visa_handlers(self, session: Any) -> None:
        """There are no handlers."""
