"""The wire: how bytes go to an instrument and come back, on each interface that VISA knows.

The rules of this file: every wait ends at a time on the injected clock, and nothing asks the wall clock. What PyVISA-py
opens as a socket or a serial port is read here and not by it: its own reads wait by the wall clock, go on for ever on
a socket that the other side closed, and take one byte at a time. Everything else goes through VISA's own calls.
"""

import contextlib
import select
import socket
from collections.abc import Callable
from typing import Any, Protocol

from pyvisa import VisaIOError, constants

from ..core.clock import Clock

LONGEST_REPLY = 1 << 20
# Who says more than this unasked does not stop talking.
LONGEST_SURPLUS = 1 << 13
_CHUNK = 4096
# A serial port is asked again after so long at the latest: setting its own time-out for each read costs more.
_SLICE_s = 0.05
# What a status byte says is waiting comes within this time.
_PROMPT_s = 0.1
# A status bit that has lied so often does not mean on this instrument what IEEE 488.2 says.
_LIES = 3
_TIMEOUT = constants.StatusCode.error_timeout
_FULL = constants.StatusCode.success_max_count_read
_NOISE = {
    constants.StatusCode.error_serial_framing, constants.StatusCode.error_serial_parity,
    constants.StatusCode.error_serial_overrun,
}  # fmt: skip
_Interface = constants.InterfaceType
_AVAILABLE = constants.ResourceAttribute.asrl_avalaible_number
_TIME = constants.ResourceAttribute.timeout_value


class Silent(Exception):  # noqa: N818  reads as the state it names
    """The time is over before a whole line came; `got` is what of it did."""

    def __init__(self, got: bytes) -> None:
        super().__init__(got)
        self.got = got


class Endless(Exception):  # noqa: N818
    """More than `LONGEST_REPLY` bytes came without a terminator."""


class Noisy(Exception):  # noqa: N818
    """A serial port received a damaged byte."""


class Broken(Exception):  # noqa: N818
    """The connection is gone: nothing can be sent or received on it any more."""


class Wire(Protocol):
    """One open connection. Every call may raise `Broken`."""

    def send(self, data: bytes, until_s: float) -> None:
        """Put bytes on the wire."""
        ...

    def line(self, until_s: float) -> bytes:
        """Receive one reply with its terminator.

        Raises:
            Silent, Endless, Noisy: there is none.
        """
        ...

    def exactly(self, count: int, until_s: float) -> bytes:
        """Receive so many bytes, whatever they are.

        Raises:
            Silent, Noisy: they did not all come.
        """
        ...

    def listen(self, until_s: float) -> bytes:
        """Receive something of what comes next, or nothing."""
        ...

    def drain(self) -> bytes:
        """Receive what waits now, without waiting; at most about `LONGEST_SURPLUS` bytes."""
        ...

    def clear(self) -> None:
        """Make the instrument forget half a command and an unread reply, on an interface that can say so."""
        ...


def wire_on(resource: Any, clock: Clock, read_end: str, message_bit: int) -> Wire:
    """The wire of an open PyVISA resource. `message_bit` of the status byte says that a reply waits; 0: none does."""
    session = getattr(getattr(resource, "visalib", None), "sessions", {}).get(resource.session)
    interface = getattr(session, "interface", None)
    end = read_end.encode()
    if isinstance(interface, socket.socket):
        return _SocketWire(interface, clock, end)
    if hasattr(interface, "in_waiting"):
        return _SerialWire(interface, clock, end)
    return _VisaWire(resource, clock, read_end, message_bit)


class _StreamWire:
    """Bytes without messages: a line ends at the last byte of the terminator, and what is behind it waits here."""

    def __init__(self, clock: Clock, end: bytes) -> None:
        self._clock = clock
        self._end = end[-1:]
        self._buffer = bytearray()

    def _some(self, timeout_s: float) -> bytes:
        """One piece of what comes within `timeout_s`, or nothing."""
        raise NotImplementedError

    def line(self, until_s: float) -> bytes:
        buffer, searched = self._buffer, 0
        while True:
            at = buffer.find(self._end, searched)
            if at >= 0:
                return self._take(at + 1)
            searched = len(buffer)
            if searched > LONGEST_REPLY:
                buffer.clear()
                raise Endless
            self._more(until_s)

    def exactly(self, count: int, until_s: float) -> bytes:
        while len(self._buffer) < count:
            self._more(until_s)
        return self._take(count)

    def listen(self, until_s: float) -> bytes:
        return self._take(len(self._buffer)) if self._buffer else self._some(until_s - self._clock.now())

    def drain(self) -> bytes:
        got = self._take(len(self._buffer)) if self._buffer else b""
        while (more := self._some(0.0)) and len(got) < LONGEST_SURPLUS:
            got += more
        return got

    def clear(self) -> None:
        """A stream has no such word."""

    def _more(self, until_s: float) -> None:
        left_s = until_s - self._clock.now()
        piece = self._some(left_s) if left_s > 0 else b""
        if not piece:
            raise Silent(self._take(len(self._buffer)))
        self._buffer += piece

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


class _SocketWire(_StreamWire):
    """A TCP socket of PyVISA-py."""

    def __init__(self, connection: socket.socket, clock: Clock, end: bytes) -> None:
        super().__init__(clock, end)
        self._socket = connection
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            # Two short commands in a row would otherwise wait 40 ms for each other.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def send(self, data: bytes, until_s: float) -> None:
        while data:
            try:
                data = data[self._socket.send(data) :]
            except BlockingIOError:
                if not self._ready(write=True, timeout_s=until_s - self._clock.now()):
                    raise Broken("it takes no more bytes") from None
            except OSError as error:
                raise Broken(str(error)) from error

    def _some(self, timeout_s: float) -> bytes:
        if timeout_s > 0 and not self._ready(write=False, timeout_s=timeout_s):
            return b""
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise Broken(str(error)) from error
        if not data:
            raise Broken("the other side closed it")
        return data

    def _ready(self, *, write: bool, timeout_s: float) -> bool:
        try:
            sets = ([], [self._socket], []) if write else ([self._socket], [], [])
            return any(select.select(*sets, max(0.0, timeout_s)))
        except (OSError, ValueError) as error:  # a closed socket has no number
            raise Broken(str(error)) from error


class _SerialWire(_StreamWire):
    """A serial port of PyVISA-py, which is pySerial's."""

    def __init__(self, port: Any, clock: Clock, end: bytes) -> None:
        super().__init__(clock, end)
        self._port = port
        port.timeout = port.write_timeout = _SLICE_s

    def send(self, data: bytes, until_s: float) -> None:
        self._try(lambda: self._port.write(data))

    def _some(self, timeout_s: float) -> bytes:
        until_s = self._clock.now() + timeout_s
        while True:
            data = self._try(self._read_some if timeout_s > 0 else self._read_waiting)
            if data:
                return bytes(data)
            if self._clock.now() >= until_s:
                return b""

    def _read_waiting(self) -> bytes:
        waiting = min(self._port.in_waiting, _CHUNK)
        return self._port.read(waiting) if waiting else b""

    def _read_some(self) -> bytes:
        return self._read_waiting() or self._port.read(1)

    @staticmethod
    def _try(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except (OSError, TypeError) as error:  # pySerial's own errors are the former; a closed port's the latter
            raise Broken(str(error)) from error


class _VisaWire:
    """Everything that VISA itself reads: GPIB, USB, VXI-11 and HiSLIP, all of NI-VISA, the library in this process.

    Whether something waits is asked as the interface allows: a serial port counts its bytes, a socket is read without
    waiting, and an IEEE 488 instrument says so in its status byte.
    """

    def __init__(self, resource: Any, clock: Clock, read_end: str, message_bit: int) -> None:
        self._visa = resource
        self._library, self._session = resource.visalib, resource.session
        self._clock = clock
        self._bit, self._lies = message_bit, 0
        resource.read_termination = read_end
        resource.write_termination = ""
        self._timeout_ms = -1
        interface = getattr(resource, "interface_type", None)
        self._messages = getattr(resource, "resource_class", "") == "INSTR" and interface != _Interface.asrl
        if interface == _Interface.asrl:
            self._waits = self._counts
        else:
            self._waits = self._says if self._messages else None

    def send(self, data: bytes, until_s: float) -> None:
        self._set_timeout(until_s - self._clock.now())
        try:
            self._library.write(self._session, data)
        except Exception as error:  # PyVISA-py lets errors of many kinds through: none of them means that it arrived
            raise Broken(str(error)) from error

    def line(self, until_s: float) -> bytes:
        whole = bytearray()
        while True:
            chunk, status = self._chunk(until_s - self._clock.now())
            if status not in (_FULL, _TIMEOUT):
                return bytes(whole + chunk) if whole else chunk
            whole += chunk
            if status == _TIMEOUT:
                raise Silent(bytes(whole))
            if len(whole) > LONGEST_REPLY:
                raise Endless

    def exactly(self, count: int, until_s: float) -> bytes:
        data = b""
        while len(data) < count:
            chunk, status = self._chunk(until_s - self._clock.now(), min(count - len(data), _CHUNK))
            data += chunk
            if status == _TIMEOUT:
                raise Silent(data)
        return data

    def listen(self, until_s: float) -> bytes:
        # One byte: NI's library forgets what came of a read that ran into its time-out.
        first = self._chunk(until_s - self._clock.now(), 1)[0]
        return first + self.drain() if first else b""

    def drain(self) -> bytes:
        if self._waits is None:
            got = self._chunk(0.0, 1)[0]
            while got and len(got) < LONGEST_SURPLUS:
                more = self._chunk(0.0)[0]
                if not more:
                    break
                got += more
            return got
        got = b""
        while self._waits() and len(got) < LONGEST_SURPLUS:
            more = self._chunk(_PROMPT_s)[0]
            if not more:
                self._lies += 1
                break
            got += more
        return got

    def clear(self) -> None:
        # A device clear. A stream has no such word: there PyVISA-py would read until silence, or for ever.
        if self._messages:
            with contextlib.suppress(Exception):
                self._visa.clear()

    def _counts(self) -> bool:
        try:
            return self._library.get_attribute(self._session, _AVAILABLE)[0] > 0
        except Exception as error:
            raise Broken(str(error)) from error

    def _says(self) -> bool:
        if not self._bit or self._lies >= _LIES:
            return False
        try:
            return bool(self._library.read_stb(self._session)[0] & self._bit)
        except VisaIOError as error:
            if error.error_code == constants.StatusCode.error_nonsupported_operation:
                self._bit = 0
            elif error.error_code != _TIMEOUT:
                raise Broken(str(error)) from error
        except NotImplementedError:
            self._bit = 0
        except Exception as error:
            raise Broken(str(error)) from error
        return False

    def _chunk(self, timeout_s: float, count: int = _CHUNK) -> tuple[bytes, constants.StatusCode]:
        """What one read gives within `timeout_s`; a time-out is a status."""
        try:
            self._set_timeout(timeout_s)
            data, status = self._library.read(self._session, count)
        except VisaIOError as error:
            if error.error_code == _TIMEOUT:
                return b"", _TIMEOUT
            if error.error_code in _NOISE:
                raise Noisy(str(error)) from error
            raise Broken(str(error)) from error
        except Exception as error:
            raise Broken(str(error)) from error
        return data if type(data) is bytes else bytes(data), status

    def _set_timeout(self, timeout_s: float) -> None:
        # 0 is VISA's word for "do not wait"; a millisecond is its smallest time.
        timeout_ms = max(1, round(timeout_s * 1000)) if timeout_s > 0 else 0
        # What is a little longer than asked for may stay: setting it costs as much as a read.
        if not timeout_ms <= self._timeout_ms <= timeout_ms * 21 // 20:
            self._library.set_attribute(self._session, _TIME, timeout_ms)
            self._timeout_ms = timeout_ms
