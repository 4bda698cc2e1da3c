"""`remanence magnet`: what is known of a magnet, and what only a person may say about it.

Looking sends nothing. A person's word is asked for once, with what it does and what the hardware does afterwards, and
goes to the magnet's journal with the name.
"""

import json as json_lines
import math
import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from ..core.clock import Clock
from ..core.errors import ConfigError, RemanenceError
from ..core.quantities import parse
from ..engine.magnet_view import MagnetView, by_itself, choose_magnet, look_at
from ..engine.state_folder import state_folder
from ..engine.station import Station
from ..instruments.guard import Guard
from ..instruments.magnet_memory import DiskFiles, Files, MemoryFiles

ACTS = ("acknowledge", "clear-quench", "declare-coil")
_WIDTH = 110
_STILL = "Nothing is moved, and the switch heater is not touched"


def run_magnet(
    station: Path,
    act: str | None,
    *,
    magnet: str | None,
    person: str,
    reason: str,
    field: str,
    simulate: bool,
    yes: bool,
    json: bool,
    files: Files | None = None,
    clock: Clock | None = None,
) -> int:
    """Show a magnet, after having told it what a person says, if anything; gives the exit code.

    `files` and `clock` are a test's; the magnet's memory is otherwise in this computer's state folder.

    Raises:
        ConfigError: a word of the command line is missing or wrong; nothing was sent.
        StationLocked: a person's word was to be given, and another process drives the magnet.
        RemanenceError: the guard does not accept it, or the supply does not answer.
    """
    field_T = _checked(act, person, reason, field)
    errors: dict[str, RemanenceError] = {}
    if simulate and files is None:
        files = MemoryFiles()
    with Station.open(station, simulate=simulate, files=files, clock=clock, look_only=True, errors=errors) as opened:
        kept = DiskFiles(state_folder() / "magnets") if files is None else files
        name = choose_magnet(opened, magnet)
        view = look_at(opened, name, kept, errors=errors)
        if act is not None:
            if opened.locked is not None:
                raise opened.locked
            if name in errors:
                raise errors[name]
            _confirm(view, act, field_T, yes=yes)
            _tell(opened.guards[name], act, person, reason, field_T)
            view = look_at(opened, name, kept, errors=errors)
        if json:
            print(json_lines.dumps(view.facts(), ensure_ascii=False, allow_nan=False))
        else:
            show(Console(width=None if sys.stdout.isatty() else _WIDTH), view)
    failed = errors.get(name)
    return 0 if failed is None else failed.exit_code


def show(out: Console, view: MagnetView) -> None:
    """Print a magnet as a table of two columns."""
    reading, kept = view.reading, view.remembered
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")

    def row(word: str, text: str) -> None:
        if text:
            table.add_row(word, text)

    row("magnet", f"{view.name}, supply {view.serial or 'without a serial number in [guard]'}")
    row("state", f"{view.state.value}: {view.meaning}")
    row("because", view.why)
    row("to do", view.do)
    if reading is None:
        row("field", "not known: the supply does not answer")
    else:
        field = f"{view.field_T:+.4f} T" if math.isfinite(view.field_T) else "no field constant is known"
        row("leads", f"{field} ({reading.output_A + 0.0:+.3f} A), {reading.activity.value}")
        row("by itself", by_itself(view))
        row("switch", "" if reading.heater is None else f"heater {reading.heater.value}")
    row("coil keeps", "" if view.coil_T is None else f"{view.coil_T:+.4f} T by the record")
    row("quench", f"LATCHED: {kept.quench}" if kept.quench else "none on record")
    row("record", kept.unreadable or kept.note)
    row("last order", _last_order(view))
    row("driven by", view.owner)
    for index, line in enumerate(view.journal):
        row("" if index else "journal", f"{line.utc[:19].replace('T', ' ')}  {line.text}".strip())
    out.print(table, highlight=False, markup=False)


def _last_order(view: MagnetView) -> str:
    last, k = view.remembered.last, view.tesla_per_ampere
    words = [
        "" if last.set_point_A is None else f"to {last.set_point_A * k + 0.0:+.4f} T",
        "" if last.rate_A_per_s is None else f"at {last.rate_A_per_s * k * 1e3:.4g} mT/s",
        "" if last.heater_on is None else f"heater {'on' if last.heater_on else 'off'}",
    ]
    return ", ".join(word for word in words if word)


def _checked(act: str | None, person: str, reason: str, field: str) -> float:
    """The declared field (T), NaN for any other act; every word that an act needs is there, and no other.

    Raises:
        ConfigError: one is missing, or one is there that the act has no use for.
    """
    if act is not None and act not in ACTS:
        raise ConfigError(f"a magnet cannot be told {act!r}", do=f"say one of {', '.join(ACTS)}, or nothing to look")
    wanted = {"--by": act is not None, "--reason": act == "clear-quench", "--field": act == "declare-coil"}
    examples = {"--by": '"Ada"', "--reason": '"helium was low, refilled"', "--field": '"2.0 T"'}
    for option, text in (("--by", person), ("--reason", reason), ("--field", field)):
        if wanted[option] and not text.strip():
            raise ConfigError(f"{act} needs {option}", state="Nothing was sent", do=f"add {option} {examples[option]}")
        if text and not wanted[option]:
            raise ConfigError(
                f"{act or 'looking'} has no use for {option}", state="Nothing was sent", do="leave it out"
            )
    return parse(field, "T") if wanted["--field"] else math.nan


def _confirm(view: MagnetView, act: str, field_T: float, *, yes: bool) -> None:
    """Say what is about to be done, and ask once.

    Raises:
        ConfigError: there is no terminal to ask at.
    """
    said = Console(stderr=True, width=None if sys.stderr.isatty() else _WIDTH)
    show(said, view)
    said.print(f"\n{_words(view, act, field_T)}", highlight=False, markup=False)
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(
            "there is no terminal to ask at", state="Nothing was sent", do="look at the magnet, then add --yes"
        )
    typer.confirm("Go on?", abort=True, err=True)


def _words(view: MagnetView, act: str, field_T: float) -> str:
    read = (
        f"The supply is read anew. {_STILL}; only a ramp that no order on record explains is held. "
        "From then on a program may move this magnet again."
    )
    match act:
        case "acknowledge":
            return f"You say that you have looked at {view.name}, and that it is this program's again. {read}"
        case "clear-quench":
            return f"You say that {view.name} is cold and fit again; the latched quench is taken off its record. {read}"
        case _:
            own_A = None if view.reading is None else view.reading.coil_A
            own = "" if own_A is None else f" The supply itself says {own_A * view.tesla_per_ampere:+.4f} T."
            return (
                f"You say that the coil of {view.name} keeps {field_T:+.4f} T.{own} {_STILL} now. When persistent mode "
                "is left the leads go to that field and the switch is warmed: if the coil keeps another, IT QUENCHES."
            )


def _tell(guard: Guard, act: str, person: str, reason: str, field_T: float) -> None:
    guard.take_over()
    match act:
        case "acknowledge":
            guard.acknowledge_foreign(person)
        case "clear-quench":
            guard.clear_quench(person, reason)
        case _:
            guard.declare_coil(person, field_T)
