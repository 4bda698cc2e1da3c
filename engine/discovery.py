"""Finds out what is connected to this computer and proposes a station file for it.

The rule of this file: an instrument is asked who it is and nothing else, in words that no instrument takes for an
order, and nobody is asked a second question once it has answered. What a magnet stands cannot be asked: its guard's
keys are written as comments, and until a person fills them in the magnet is shown and not moved.
"""

import inspect
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyvisa
from pyvisa.constants import StatusCode

from ..core.capabilities import CurrentSource, LockIn, MagnetPowerSupply, TemperatureController
from ..core.clock import Clock
from ..core.errors import RemanenceError
from ..instruments.catalogue import OFFERED
from ..instruments.link import Link
from .driver_names import shipped
from .opening import canonical
from .station_file import GuardEntry

# Each question with its line end. `*IDN?` is refused by Oxford's letters, which answer `V`; Signal Recovery's answer
# `ID`, which the letters could read as an order to I, so that it comes when they would have answered; an SMS has no
# identification, and answers what its field constant is.
_QUESTIONS = (("*IDN?", "\n"), ("V", "\r"), ("ID", "\r"), ("GET TPA", "\r\n"))
_FIRST_ms, _MORE_ms, _OPEN_ms = 1000, 300, 2000
_MOST_BYTES = 1000
# What a driver's model does not say of its own accord, by what the instrument says.
_OTHER_WORDS = {"GS210": "GS200", "GS211": "GS200", "MODEL331S": "Model331", "MODEL331E": "Model331"}
# Who does not understand a question may understand the next.
_REFUSED = re.compile(r"^\?|INVALID|ERROR|UNKNOWN", re.IGNORECASE)
_SMS = re.compile(r"FIELD CONSTANT|TESLA PER AMP|\bTPA\b", re.IGNORECASE)
_REQUIRED: dict[str, str] = {
    "serial": '"…"  # what is remembered of the magnet is kept by this number',
    "field_constant": '"… T/A"',
    "largest_field": '"… T"',
    "inductance": '"… H"',
    "voltage_limit": '"… V"',
    "segments": '[{ to = "… T", rate = "… mT/s" }]',
    "tolerance": '"… mT"',
    "settle": '"… s"',
    "reversal_settle": '"… s"',
    "switch": '{ warm_time = "… s", cool_time = "… s", match = "… A", leads_rate = "… A/s" }  # or "none"',
    "coil_sensor": '{ instrument = "…", coldest = "… K", warmest = "… K", patience = "… min" }  # or "none"',
    "helium": '{ instrument = "…", lowest = "… %", patience = "… min" }  # or "none"',
    "zones": "[]",
    "on_abort": '"hold"  # or "zero"',
    "on_end": '"hold"  # or "zero" or "persistent"',
    "on_comm_loss": '"hold"  # or "continue"',
    "guardian": '"through"  # or "beside" or "none"',
}


@dataclass(slots=True)
class Found:
    """What was found at one resource: the driver and what it says, or why nobody is known there."""

    resource: str
    identity: str = ""
    driver: str = ""
    serial: str = ""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    problem: str = ""
    lacking: tuple[str, ...] = ()


def discover(manager: Any, resources: Iterable[str], clock: Clock) -> list[Found]:
    """Ask at each resource who is there, one after the other."""
    return [_ask(manager, resource, clock) for resource in dict.fromkeys(map(canonical, resources))]


def required_keys() -> list[str]:
    """The keys that a guard cannot do without, in the order in which a person fills them in."""
    return [name for name in GuardEntry.model_fields if name != "supply"]


def _ask(manager: Any, resource: str, clock: Clock) -> Found:
    found = Found(resource)
    try:
        session = manager.open_resource(resource, open_timeout=_OPEN_ms)
    except Exception as error:  # a VISA lets errors of many kinds through
        found.problem = f"cannot be opened: {error}"
        return found
    lines: list[str] = []
    try:
        for question, end in _QUESTIONS:
            lines = _answer(session, question, end)
            driver = _driver(lines, resource, question)
            if driver is not None:
                found.driver, found.identity = driver, lines[-1]
                break
            if lines and not _REFUSED.search(lines[-1]):
                found.identity = lines[-1]
                break
    except Exception as error:
        found.problem = f"the connection broke: {error}"
    finally:
        with suppress(Exception):
            session.close()
    if not found.driver:
        says = f"no driver here knows {found.identity!r}" if found.identity else "nobody answered"
        found.problem = found.problem or says
        return found
    if any("hello" in line.lower() for line in lines) and "::7180::" not in resource:
        found.options["greeting"] = True
    _details(manager, found, clock)
    return found


def _answer(session: Any, question: str, end: str) -> list[str]:
    """The lines that come within a second of a question; who greets says more than the answer."""
    session.timeout = _FIRST_ms
    session.read_termination, session.write_termination = None, end
    with suppress(Exception):
        session.clear()
    session.write(question)
    # On IEEE 488 and USB a message knows its end; elsewhere only silence tells that nothing more comes.
    whole = session.resource_class == "INSTR" and not session.resource_name.upper().startswith("ASRL")
    text = ""
    try:
        while len(text) < _MOST_BYTES:
            text += (session.read_raw() if whole else session.read_bytes(1)).decode("latin-1")
            session.timeout = _MORE_ms
    except pyvisa.errors.VisaIOError as error:
        if error.error_code != StatusCode.error_timeout:
            raise
    return [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip(" \0\x11\x13")]


def _driver(lines: list[str], resource: str, question: str) -> str | None:
    said = "".join(lines).upper().replace(" ", "").replace("_", "")
    if not said:
        return None
    if question == "GET TPA":
        return next(name for name in shipped() if name.endswith(":SMS120C")) if _SMS.search(" ".join(lines)) else None
    for word, kind in _OTHER_WORDS.items():
        if word in said:
            return next(name for name in shipped() if name.endswith(f":{kind}"))
    # The longest first: an SR865A is no SR865, an IPS120 no PS120.
    for name, driver in sorted(shipped().items(), key=lambda item: -len(item[1].model)):
        model = driver.model.upper().replace(" ", "")
        fits = (said == model or f"MODEL{model}" in said) if model.isdigit() else model in said
        # One lock-in has a driver for each of its two ports.
        if fits and name.endswith("USB") == (resource.startswith("USB") and model == "7270"):
            return name
    return None


def _details(manager: Any, found: Found, clock: Clock) -> None:
    """Serial number and field constant, read by the driver itself; nothing is put right for it."""
    driver = shipped()[found.driver]
    needs = [p.name for p in inspect.signature(driver.__init__).parameters.values() if p.default is p.empty]
    # A supply that needs its field constant is read as if that were 1 T/A, and asked for its own.
    placeholder = {"tesla_per_ampere": 1.0} if "tesla_per_ampere" in needs else {}
    try:
        link = Link(
            manager.open_resource(found.resource, open_timeout=_OPEN_ms), clock, name=found.resource,
            write_end=driver.write_end, read_end=driver.read_end, deadline_s=driver.deadline_s, pause_s=driver.pause_s,
        )  # fmt: skip
    except Exception as error:
        found.problem = f"serial number not read: {error}"
        return
    try:
        instrument = driver(link, found.resource, **placeholder, **found.options)
        serial = instrument.serial_number()
        found.serial = "" if re.fullmatch(r"[0#?\s-]*", serial) else serial
        if placeholder:
            # What a supply does not tell the file must, or it does not open.
            found.lacking = () if hasattr(instrument, "field_constant") else ("tesla_per_ampere",)
            if not found.lacking:
                found.options["tesla_per_ampere"] = round(float(getattr(instrument, "field_constant")), 9)  # noqa: B009
    except RemanenceError as error:
        found.problem = f"not all could be read: {error}"
    finally:
        link.close()


def propose(found: list[Found], visa_library: str) -> str:
    """A station file of what was found, as TOML."""
    known = [each for each in found if each.driver]
    roles = _roles(known)
    names = _names(known, roles)
    out = [
        "# Proposed by `remanence station init`. Read it all: names and roles are guesses.",
        "schema = 1", 'name = "my rig"', 'rig = "my-rig"', f'visa_library = "{visa_library}"', "",
    ]  # fmt: skip
    for each in known:
        out += [f"[instruments.{names[each.resource]}]", f"# {_plain(each.identity)}"]
        out += [f'driver = "{each.driver}"', f'resource = "{each.resource}"']
        out += [f'serial = "{_plain(each.serial)}"'] if each.serial else []
        out += _options(each)
        out += [f"# REQUIRED: options = {{ {key} = … }}" for key in each.lacking]
        out += [""]
    out += [f"# At {each.resource}: {_plain(each.problem)}." for each in found if not each.driver]
    out += ["", "[roles]", *(f'{role} = "{names[resource]}"' for role, resource in roles.items())]
    for each in known:
        if shipped()[each.driver] in OFFERED[MagnetPowerSupply]:
            out += ["", *_guard(names[each.resource], each)]
    return "\n".join(out).rstrip() + "\n"


def _guard(name: str, each: Found) -> list[str]:
    constant = each.options.get("tesla_per_ampere")
    said = {"serial": f'"{_plain(each.serial)}"' if each.serial else None}
    if constant:
        said["field_constant"] = f'"{constant:g} T/A"  # as the supply says: compare with the magnet'
    return [
        "# What the magnet stands: from its papers, not from its supply. Without every one of these keys it is shown",
        "# and not moved. Fill in each, and take `# REQUIRED: ` away.",
        f"[guard.{name}]",
        *(f"# REQUIRED: {key} = {said.get(key) or _REQUIRED[key]}" for key in required_keys()),
    ]


def _options(each: Found) -> list[str]:
    values = {k: str(v).lower() if isinstance(v, bool) else repr(v) for k, v in each.options.items()}
    pairs = ", ".join(f"{key} = {value}" for key, value in values.items())
    return [f"options = {{ {pairs} }}"] if pairs else []


def _roles(known: list[Found]) -> dict[str, str]:
    """Guessed: the first of a kind has the role, and a lock-in is no source while there is another."""

    def those(capability: type, but: type | None = None) -> list[str]:
        offered = [driver for driver in OFFERED[capability] if but is None or driver not in OFFERED[but]]
        return [each.resource for each in known if shipped()[each.driver] in offered]

    lockins = those(LockIn)
    guesses = {
        "field": those(MagnetPowerSupply)[:1], "temperature": those(TemperatureController)[:1],
        "source": (those(CurrentSource, but=LockIn) or lockins)[:1],
        "lockin_xx": lockins[:1], "lockin_xy": lockins[1:2],
    }  # fmt: skip
    return {role: resources[0] for role, resources in guesses.items() if resources}


def _names(known: list[Found], roles: dict[str, str]) -> dict[str, str]:
    titles = {"field": "magnet", "temperature": "cryostat"}
    names: dict[str, str] = {}
    # A lock-in that is the source too is called after its meter's role.
    for role, resource in sorted(roles.items(), key=lambda item: item[0] == "source"):
        names.setdefault(resource, titles.get(role, role))
    for each in known:
        if each.resource in names:
            continue
        stem = re.sub(r"\W", "", each.driver.partition(":")[2]).lower()
        taken = set(names.values())
        number = next(n for n in range(1, len(known) + 2) if (stem if n == 1 else f"{stem}_{n}") not in taken)
        names[each.resource] = stem if number == 1 else f"{stem}_{number}"
    return names


def _plain(text: str) -> str:
    """A text that can stand in a comment, or between quotation marks, of a TOML file."""
    return "".join(c for c in text if c.isprintable()).replace("\\", "/").replace('"', "'")
