"""`remanence station init`: what is connected here, as a station file to be read and completed by a person."""

from pathlib import Path

import pyvisa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..core.clock import SystemClock
from ..core.errors import CommunicationError, ConfigError
from ..engine.discovery import Found, discover, propose


def init_station(output: Path, resources: list[str], *, visa_library: str) -> int:
    """Ask everybody who it is, write the proposal, and give the exit code.

    Raises:
        ConfigError: the file is there already; nobody was asked.
        CommunicationError: nobody who is known answered; nothing was written.
    """
    if output.exists():
        raise ConfigError("this file is there already", where=str(output), do="name another with --output")
    said = Console(stderr=True, highlight=False)
    try:
        manager = pyvisa.ResourceManager(visa_library)
        asked = resources or list(manager.list_resources("?*"))
    except (pyvisa.errors.Error, OSError, ValueError) as error:
        raise CommunicationError(f"VISA tells no resources: {error}", do="name them with --resources") from error
    try:
        said.print(f"asking at {len(asked)} resources who is there", soft_wrap=True)
        found = discover(manager, asked, SystemClock())
    finally:
        manager.close()
    said.print(_table(found))
    if not any(each.driver for each in found):
        raise CommunicationError(
            "no instrument that remanence knows has answered", state="Nothing was written",
            do="name network sockets with --resources TCPIP0::192.168.1.12::7777::SOCKET; VISA does not list them",
        )  # fmt: skip
    output.write_text(propose(found, visa_library), encoding="utf-8")
    said.print(f"written {output}: fill in what it marks as REQUIRED, then: remanence check {output}", soft_wrap=True)
    return 0


def _table(found: list[Found]) -> Table:
    shown = Table(box=None, pad_edge=False, show_header=False)
    for each in found:
        driver = each.driver.partition(":")[2] or "—"
        shown.add_row(each.resource, driver, Text(each.identity if each.driver else each.problem))
    return shown
