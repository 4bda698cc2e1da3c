"""The line server that QCoDeS puts in front of a DynaCool's MultiVu: text on TCP port 5000, for its own driver.

Wire facts from QCoDeS 0.58 (driver, server and command handler): commands of four letters, CR LF, upper case; every
answer begins with the code of the MultiVu call, `-2` for an unknown command; values follow behind `, `. `CLOSE` is
answered `0` without an end of line.
"""

from typing import ClassVar

from .front_panel import FrontPanel
from .multivu import DynaCool
from .multivu_wire import single
from .world import World

_UNKNOWN, _DONE, _INVALID = "-2", "0", "3"


class DynaCoolLines(FrontPanel):
    """A DynaCool as QCoDeS's driver sees it. `multivu` is the instrument itself, for a second server or a sequence."""

    model: ClassVar[str] = "DynaCool"
    firmware: str = "QCoDeS 0.58 server"
    reply_end: ClassVar[bytes] = b"\r\n"
    latency_s: ClassVar[float] = 0.02
    inferred: ClassVar[tuple[str, ...]] = (
        *DynaCool.inferred,
        "What MultiVu refuses comes back as code 3, an invalid parameter.",
        "Numbers that cannot be read are answered like an unknown command; the real server ends with a traceback.",
        "After CLOSE the client has to end the connection.",
    )

    def __init__(self, world: World, name: str, wiring: str = "xx,xy") -> None:
        super().__init__(world, name, wiring)
        self.multivu = DynaCool(world, name, wiring)

    def receive(self, line: bytes) -> bytes:
        """As of every panel, but for the missing end of line of the last answer."""
        reply = super().receive(line)
        return _DONE.encode() if line.strip().upper() in (b"CLOSE", b"EXIT") else reply

    def execute(self, command: str) -> str:
        """One line."""
        self.world.advance()
        text = command.upper().strip()
        if text.endswith("?"):
            return self._tell(text[:4])
        return self._set(text[:4], text[5:])

    def _tell(self, head: str) -> str:
        multivu = self.multivu
        temperature, magnet = multivu.temperature, multivu.field
        match head:
            case "*IDN":
                return "0, QuantumDesign, dynacool, N/A, N/A"
            case "TEMP":
                return f"{_DONE}, {multivu.kelvin()}, {temperature.code}"
            case "CHAT":
                return f"{_DONE}, {single(self.world.cryostat.block_K)}, {temperature.code}"
            case "GLTS":
                approach = int(temperature.approach)
                return f"{_DONE}, {temperature.target_K}, {temperature.rate_K_per_min}, {approach}"
            case "FELD":
                return f"{_DONE}, {multivu.oersted()}, {magnet.code}"
            case "GLFS":
                return ", ".join((_DONE, *(str(value) for value in multivu.field_set_point)))
            case "CHAM":
                return f"{_DONE}, {multivu.chamber.code(self.world.now())}"
            case _:
                return _UNKNOWN

    def _set(self, head: str, arguments: str) -> str:
        try:
            numbers = [float(text) for text in arguments.split(", ")]
            match head, numbers:
                case "TEMP", [kelvin, rate, mode]:
                    order = f"TEMP {kelvin},{rate},{int(mode)}"
                case "FELD", [oersted, rate, mode, _]:
                    # A DynaCool's magnet is always driven, whatever the last number says.
                    order = f"FIELD {oersted:.9g},{rate:.9g},{int(mode)},1"
                case _:
                    return _UNKNOWN
        except (ValueError, OverflowError):
            return _UNKNOWN
        return _DONE if self.multivu.execute(order).endswith("Command Received") else _INVALID
