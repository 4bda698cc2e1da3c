"""Everything that VISA itself reads: GPIB, USB, VXI-11 and HiSLIP, all of NI-VISA, the library in this process."""

import contextlib
import socket
from typing import Any

from pyvisa import VisaIOError, constants

from ..core.clock import Clock
from .wire import CHUNK, LONGEST_REPLY, LONGEST_SURPLUS, Broken, Endless, Noisy, Silent, Wire
from .wire_stream import SerialWire, SocketWire

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


def wire_on(resource: Any, clock: Clock, read_end: str, message_bit: int) -> Wire:
    """The wire of an open PyVISA resource. `message_bit` of the status byte says that a reply waits; 0: none does."""
    session = getattr(getattr(resource, "visalib", None), "sessions", {}).get(resource.session)
    interface = getattr(session, "interface", None)
    end = read_end.encode()
    if isinstance(interface, socket.socket):
        return SocketWire(interface, clock, end)
    if hasattr(interface, "in_waiting"):
        return SerialWire(interface, clock, end)
    return VisaWire(resource, clock, read_end, message_bit)


class VisaWire:
    """A wire by VISA's own calls.

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
        """Put bytes on the wire."""
        self._set_timeout(until_s - self._clock.now())
        try:
            self._library.write(self._session, data)
        except Exception as error:  # PyVISA-py lets errors of many kinds through: none of them means that it arrived
            raise Broken(str(error)) from error

    def line(self, until_s: float) -> bytes:
        """Receive one reply with its terminator, or the whole of a message."""
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
        """Receive so many bytes, whatever they are."""
        data = b""
        while len(data) < count:
            chunk, status = self._chunk(until_s - self._clock.now(), min(count - len(data), CHUNK))
            data += chunk
            if status == _TIMEOUT:
                raise Silent(data)
        return data

    def listen(self, until_s: float) -> bytes:
        """Receive something of what comes next, or nothing."""
        first = self._chunk(until_s - self._clock.now(), 1)[0]
        return first + self.drain() if first else b""

    def drain(self) -> bytes:
        """Receive what waits now, without waiting."""
        # The first byte by itself: NI's library forgets what came of a read that ran into its time-out.
        got = b""
        while len(got) < LONGEST_SURPLUS and (self._waits is None or self._waits()):
            first = self._chunk(0.0 if self._waits is None else _PROMPT_s, 1)[0]
            if not first:
                # It said that something waits, and nothing did.
                self._lies += self._waits is not None and not got
                break
            got += first + self._chunk(0.0)[0]
        return got

    def clear(self) -> None:
        """Clear the instrument's input and output, where the interface has a word for it."""
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

    def _chunk(self, timeout_s: float, count: int = CHUNK) -> tuple[bytes, constants.StatusCode]:
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
