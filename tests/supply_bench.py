"""A magnet supply's front panel, our driver for it, and a line between them: in this process, or over TCP."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pyvisa
from remanence.core.clock import VirtualClock
from remanence.core.errors import RemanenceError
from remanence.instruments.link import Link
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.fault_schedule import FaultSchedule
from remanence.simulators.faults import Fault
from remanence.simulators.front_panel import FrontPanel
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.tcp import serve
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

TRANSPORTS = ("in process", "tcp")
_RESOURCE = "ASRL3::INSTR"


class SupplyBench:
    """One supply. `said` is what it heard, `error` what a driver's verb raised."""

    def __init__(
        self, transport: str, stack: ExitStack, panel: Callable[[World], FrontPanel], kind: Any, magnet: MagnetSettings,
        **options: Any,
    ) -> None:  # fmt: skip
        self.clock = VirtualClock()
        self.world = World(WorldSettings(magnet, CryostatSettings(), load_sample("park2020_deficient")), self.clock, 1)
        self.panel: Any = panel(self.world)
        self.said: list[str] = []
        receive = self.panel.receive

        def overheard(line: bytes) -> bytes:
            self.said.append(line.decode().strip())
            return receive(line)

        self.panel.receive = overheard
        self.faults = FaultSchedule(self.world, [self.panel])
        if transport == "tcp":
            host, port = stack.enter_context(serve({"magnet": self.panel}, self.clock)).addresses["magnet"]
            address, manager = f"TCPIP0::{host}::{port}::SOCKET", pyvisa.ResourceManager("@py")
        else:
            address = _RESOURCE
            manager = pyvisa.ResourceManager(VirtualVisaLibrary({address: self.panel}, self.clock))
        resource: Any = manager.open_resource(address)
        stack.callback(resource.close)
        link = Link(
            resource, self.clock, name="magnet", write_end=kind.write_end, read_end=kind.read_end,
            deadline_s=kind.deadline_s, pause_s=kind.pause_s,
        )  # fmt: skip
        self.driver = kind(link, "magnet", **options)

    def fault(self, kind: str, **details: Any) -> None:
        """Let something go wrong with the supply from now on."""
        self.faults.add(Fault(kind, "magnet", at_s=self.faults.now_s(), **details))

    def wait(self, seconds: float) -> None:
        """Let time pass in the laboratory."""
        self.clock.sleep(seconds)
        self.world.advance()

    def move(self, target_A: float, rate_A_per_s: float) -> None:
        """A whole move as a guard makes it, to its end."""
        driver = self.driver
        driver.hold()
        assert driver.set_rate(rate_A_per_s) <= rate_A_per_s * (1 + 1e-9)
        assert abs(driver.set_target(target_A) - target_A) <= driver.current_step_A
        start_A = driver.watch().output_A
        driver.go()
        self.wait(abs(target_A - start_A) / rate_A_per_s * 1.01 + 5.0)

    @property
    def leads_A(self) -> float:
        """The true current in the leads."""
        self.world.advance()
        return self.world.magnet.lead_current(self.clock.now())

    @property
    def coil_A(self) -> float:
        """The true current in the coil."""
        self.world.advance()
        return self.world.magnet.coil_current()

    @contextmanager
    def silence(self) -> Iterator[None]:
        """What is done here sends nothing."""
        before = len(self.said)
        yield
        assert self.said[before:] == []

    def error_of(self, act: Callable[[], object]) -> RemanenceError | None:
        """What of ours an act raises."""
        try:
            act()
        except RemanenceError as error:
            return error
        return None
