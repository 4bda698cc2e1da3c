"""Every driver of `remanence.instruments` on its simulated twin, and a judge of what it reads under faults of the line.

The judge knows what the front panel truly said to each command of a call. Whatever the driver made of what came over
the line must be what the same driver makes of those true replies, or an error.
"""

import inspect
import pkgutil
from collections import defaultdict, deque
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib import import_module
from typing import Any

import pyvisa
import remanence.instruments
from remanence.core.capabilities import DirectCurrentSource, MagnetPowerSupply
from remanence.core.clock import VirtualClock
from remanence.core.errors import RemanenceError
from remanence.engine.twin import load_class
from remanence.instruments.driver import Driver
from remanence.instruments.link import Link
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.fault_schedule import FaultSchedule
from remanence.simulators.faults import Fault
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.multivu_server import MultiVuServer
from remanence.simulators.sample import load_sample
from remanence.simulators.tcp import serve
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

from .visa_fake import FakeVisa

MAGNET = MagnetSettings(0.135, 20.0, 50.0, 3.5, 0.004, ((111.0, 0.1),))
# What drivers cannot do without, by the name of the option.
OPTIONS = {"tesla_per_ampere": MAGNET.tesla_per_ampere}
# And what makes all readings of one possible.
OWN_OPTIONS: dict[str, dict[str, Any]] = {"Model372": {"sample_input": "1"}}
# What a person does at a supply that is clamped after power-on.
RELEASE = {"IPS120": b"C3\rA0\r", "PS120": b"C3\rA0\r", "MercuryIPS": b"SET:DEV:GRPZ:PSU:ACTN:HOLD\n"}
RESOURCES = {
    "gpib": "GPIB0::5::INSTR", "serial": "ASRL5::INSTR", "socket": "TCPIP0::10.0.0.5::7180::SOCKET",
}  # fmt: skip
# The verbs by which a procedure or a guard reads an instrument, whichever it has.
VERBS = (
    "watch", "inspect", "read_temperature", "read_control_temperature", "read_heater", "read_xy", "read_delay",
    "read_voltage", "read_closed", "read_loop", "read_moment",
)  # fmt: skip
_IDLE = "\r\n\x11\x13\0"
_NAME = "it"


@cache
def drivers() -> tuple[type[Driver], ...]:
    """Every driver that says which model it is, found by walking the room."""
    found: list[type[Driver]] = []
    for module_info in pkgutil.iter_modules(remanence.instruments.__path__):
        module = import_module(f"remanence.instruments.{module_info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Driver) and value.__module__ == module.__name__:
                found.append(value)
    return tuple(sorted((kind for kind in found if kind.model), key=lambda kind: (kind.__module__, kind.__name__)))


def twin_of(kind: type[Driver]) -> Any:
    """The front panel of a driver, by the rule of a station file."""
    dotted = f"{kind.__module__.replace('.instruments.', '.simulators.')}:{kind.__name__}"
    return load_class(getattr(kind, "twin", dotted))


def options_of(kind: type[Driver]) -> dict[str, Any]:
    parameters = inspect.signature(kind.__init__).parameters.values()
    needed = {p.name: OPTIONS[p.name] for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    return needed | OWN_OPTIONS.get(kind.__name__, {})


def readings_of(kind: type[Driver]) -> tuple[str, ...]:
    """What a driver can be asked without an argument: the verbs of its capability, and its table of settings."""
    verbs = [name for name in VERBS if callable(getattr(kind, name, None))]
    return (*verbs, *(name for name in kind.settings_table if name not in verbs))


def plain(value: Any) -> Any:
    """A value without the instant at which it was read, and comparable where it is no number."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(part) for name, part in asdict(value).items() if name != "time_s"}
    if isinstance(value, float) and value != value:
        return "nan"
    return value


class Bench:
    """One driver, its panel, and what was said between them."""

    def __init__(self, kind: type[Driver], interface: str, stack: ExitStack, *, tcp: bool = False) -> None:
        self.kind, self.clock = kind, VirtualClock()
        settings = WorldSettings(MAGNET, CryostatSettings(start_K=4.0), load_sample("park2020_deficient"))
        self.world = World(settings, self.clock, 1)
        self.panel: Any = twin_of(kind)(self.world, _NAME, "xx" if hasattr(kind, "read_xy") else "")
        if tcp or interface != "socket":
            self.panel.greeting = b""  # it greets on port 7180 and nowhere else
        self.said: list[tuple[str, str]] = []
        self.heard: list[tuple[str, str]] = []
        self.receive = self.panel.receive
        self.panel.receive = self._overheard
        if tcp:
            made: Any = serve({_NAME: self.panel}, self.clock) if self.panel.on_a_line else self._own_server()
            server = stack.enter_context(made)
            host, port = server.addresses[_NAME] if self.panel.on_a_line else server.address
            self.name, self.manager = f"TCPIP0::{host}::{port}::SOCKET", pyvisa.ResourceManager("@py")
        else:
            self.name = RESOURCES[interface]
            self.manager = pyvisa.ResourceManager(VirtualVisaLibrary({self.name: self.panel}, self.clock))
            self.faults = FaultSchedule(self.world, [self.panel])
        self.link = self._link(stack)
        self.driver: Any = kind(self.link, _NAME, **options_of(kind))
        self.clock.sleep(30.0)  # a scanner has been everywhere, a filter has settled
        self._judge: Any = kind(_Replay(self), _NAME, **options_of(kind))

    def _own_server(self) -> Any:
        return MultiVuServer(self.panel, self.clock, port=0)

    def _link(self, stack: ExitStack) -> Link:
        kind = self.kind

        def opens() -> Any:
            return self.manager.open_resource(self.name)

        link = Link(
            opens(), self.clock, name=_NAME, write_end=kind.write_end, read_end=kind.read_end,
            deadline_s=kind.deadline_s, pause_s=kind.pause_s, open_resource=opens,
        )  # fmt: skip
        stack.callback(link.close)
        query = link.query

        def overhears(command: str, *, more: bool = False) -> str:
            reply = query(command, more=more)
            self.heard.append((command, reply))
            return reply

        link.query = overhears
        return link

    def _overheard(self, line: bytes) -> bytes:
        reply = self.receive(line)
        if reply:
            self.said.append((line.decode("latin-1").strip(_IDLE), reply.decode("latin-1")))
        return reply

    def open(self) -> None:
        """As a station does it; the judge sees the same."""
        self.driver.verify()
        if self.panel.on_a_line:
            self.judge("verify", self.said)
        if isinstance(self.driver, MagnetPowerSupply) and self.panel.on_a_line:
            self._ramp()
        if isinstance(self.driver, DirectCurrentSource):
            self.driver.start_current(1e-6, compliance_V=1.0)

    def _ramp(self) -> None:
        """A magnet that moves reads differently each time."""
        for line in RELEASE.get(self.kind.__name__, b"").splitlines(keepends=True):
            self.receive(line)
        self.driver.hold()
        self.driver.set_rate(0.02)
        self.driver.set_target(8.0)
        self.driver.go()

    def fault(self, kind: str, **details: Any) -> None:
        """Let something go wrong from now on."""
        self.faults.add(Fault(kind, _NAME, at_s=self.faults.now_s(), **details))

    def read(self, name: str) -> Any:
        """One reading, as it came over the line.

        Raises:
            RemanenceError: it is an error, which is never wrong.
        """
        self.said.clear()
        self.heard.clear()
        return _take(self.driver, name)

    def truths(self, name: str, *, heard: bool = False) -> list[Any]:
        """What the same driver makes of what the panel truly said (or of what was `heard` of it) in the last reading."""
        said = list(self.heard if heard else self.said)
        found: list[Any] = []
        for part in (said, said[::-1]):
            try:
                found.append(plain(self.judge(name, part)))
            except RemanenceError as error:
                found.append(error)
        return found

    def judge(self, name: str, said: Iterable[tuple[str, str]]) -> Any:
        self._judge.link.script(said)
        return _take(self._judge, name)


def _take(driver: Any, name: str) -> Any:
    value = getattr(driver, name)
    return value() if callable(value) else value


class _Replay(Link):
    """A link that gives each command the reply that the panel gave, and asks the panel what it was not asked before."""

    def __init__(self, bench: Bench) -> None:
        wire: Any = FakeVisa(bench.clock)
        super().__init__(wire, bench.clock, name=_NAME, deadline_s=bench.kind.deadline_s)
        self._bench = bench
        self._replies: defaultdict[str, deque[str]] = defaultdict(deque)
        self._asked = ""

    def script(self, said: Iterable[tuple[str, str]]) -> None:
        self._replies.clear()
        for command, reply in said:
            self._replies[command].append(reply.strip(_IDLE))

    def query(self, command: str, *, more: bool = False) -> str:
        replies = self._replies[command.strip(_IDLE)]
        if not replies:
            replies.extend(self._ask(command).strip(_IDLE).splitlines() or [""])
        return replies.popleft() if len(replies) > 1 else replies[0]

    def _ask(self, command: str) -> str:
        return self._bench.receive(command.encode()).decode("latin-1")

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        self._asked = content.decode("latin-1")

    def _read(self, **kwargs: Any) -> str:
        return self.query(self._asked)
