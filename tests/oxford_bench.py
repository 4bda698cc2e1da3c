"""An Oxford instrument's front panel in a laboratory, and our drivers on one line to it: in this process, or over TCP."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pyvisa
from remanence.core.clock import VirtualClock
from remanence.instruments.link import Link
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.fault_schedule import FaultSchedule
from remanence.simulators.faults import Fault
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.tcp import serve
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

TRANSPORTS = ("in process", "tcp")
# 15 T at 111 A.
COIL = MagnetSettings(
    0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)), warm_time_s=15.0, cool_time_s=15.0
)  # fmt: skip
# A side coil of a vector magnet, without a switch: 1 T.
SIDE = MagnetSettings(0.02, 2.0, 10.0, 5.0, 0.004, ((50.0, 0.5),), switch_fitted=False)


class OxfordBench:
    """One front panel and one line. `said` is what the instrument heard."""

    def __init__(
        self, transport: str, stack: ExitStack, panel: Any, kind: Any, coil: MagnetSettings = COIL,
        more_coils: Sequence[str] = (), panel_options: dict[str, Any] | None = None, **options: Any,
    ) -> None:  # fmt: skip
        self.clock = VirtualClock()
        settings = WorldSettings(
            coil, CryostatSettings(), load_sample("park2020_deficient"), more_coils=dict.fromkeys(more_coils, SIDE)
        )
        self.world = World(settings, self.clock, 1)
        self.panel: Any = panel(self.world, "oxford", **(panel_options or {}))
        self.said: list[str] = []
        receive = self.panel.receive

        def overheard(line: bytes) -> bytes:
            self.said.append(line.decode().strip())
            return receive(line)

        self.panel.receive = overheard
        self.faults = FaultSchedule(self.world, [self.panel])
        if transport == "tcp":
            host, port = stack.enter_context(serve({"oxford": self.panel}, self.clock)).addresses["oxford"]
            address, manager = f"TCPIP0::{host}::{port}::SOCKET", pyvisa.ResourceManager("@py")
        else:
            address = "GPIB0::25::INSTR"
            manager = pyvisa.ResourceManager(VirtualVisaLibrary({address: self.panel}, self.clock))
        resource: Any = manager.open_resource(address)
        stack.callback(resource.close)
        self.link = Link(
            resource, self.clock, name="oxford", write_end=kind.write_end, read_end=kind.read_end,
            deadline_s=kind.deadline_s, pause_s=kind.pause_s,
        )  # fmt: skip
        self.driver = kind(self.link, "oxford", **options)

    def front(self, *lines: str) -> list[str]:
        """What the instrument answers to somebody else: nothing of it is counted."""
        return [(self.panel.execute(line) or "") for line in lines]

    def fault(self, kind: str, **details: Any) -> None:
        """Let something go wrong with the instrument from now on."""
        self.faults.add(Fault(kind, "oxford", at_s=self.faults.now_s(), **details))

    def befall(self, kind: str) -> None:
        """Let something go wrong with the laboratory from now on."""
        self.faults.add(Fault(kind, at_s=self.faults.now_s()))

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


Make = Callable[..., OxfordBench]
