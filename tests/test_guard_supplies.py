"""The one guard on every magnet supply's own driver and front panel: all of them move, persist and stop alike."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from remanence.core.capabilities import Activity
from remanence.core.errors import DeviceFault, RemanenceError
from remanence.instruments.ami import AMI430
from remanence.instruments.cryogenic import SMS120C
from remanence.instruments.cryomagnetics import Model4G
from remanence.instruments.guard import Guard
from remanence.instruments.guard_states import State
from remanence.instruments.magnet_limits import MagnetLimits, SwitchLimits
from remanence.instruments.magnet_memory import MagnetMemory, MemoryFiles
from remanence.instruments.mercury_ips import MercuryIPS
from remanence.instruments.oxford_ips120 import IPS120, PS120
from remanence.simulators import ami430, cryogenic, cryomagnetics, mercury_ips, oxford_ips120
from remanence.simulators.magnet import MagnetSettings

from .supply_bench import SupplyBench

CONSTANT = 0.1
COIL = MagnetSettings(
    CONSTANT, 5.0, 30.0, 5.0, 0.002, ((30.0, 0.3), (60.0, 0.1)), warm_time_s=15.0, cool_time_s=15.0,
    match_tolerance_A=0.3,
)  # fmt: skip
LIMITS = MagnetLimits(
    serial="bench", tesla_per_ampere=CONSTANT, largest_A=50.0, segments=((29.97, 0.3), (60.0, 0.1)), inductance_H=5.0,
    voltage_limit_V=5.0, tolerance_A=0.03, settle_s=1.0, reversal_settle_s=2.0,
    switch=SwitchLimits(warm_s=20.0, cool_s=20.0, match_A=0.1, leads_A_per_s=0.5), coil_sensor=None, helium=None,
    zones=(), on_abort="hold", on_end="hold", on_comm_loss="hold",
)  # fmt: skip
KINDS: dict[str, tuple[Any, Any, bytes]] = {
    "SMS120C": (SMS120C, cryogenic.SMS120C, b""),
    "IPS120": (IPS120, oxford_ips120.IPS120, b"C3\rA0\r"),
    "PS120": (PS120, oxford_ips120.PS120, b"C3\rA0\r"),
    "MercuryIPS": (MercuryIPS, mercury_ips.MercuryIPS, b"SET:DEV:GRPZ:PSU:ACTN:HOLD\n"),
    "AMI430": (AMI430, ami430.AMI430, b""),
    "Model4G": (Model4G, cryomagnetics.Model4G, b""),
}


class Rig:
    """A supply, its guard, and the truth."""

    def __init__(self, stack: ExitStack, kind: str) -> None:
        driver, panel, release = KINDS[kind]
        options = {"tesla_per_ampere": CONSTANT} if driver in (SMS120C, AMI430, Model4G) else {}
        options |= {"greeting": True} if driver is AMI430 else {}
        self.bench = SupplyBench("in process", stack, lambda world: panel(world, "magnet"), driver, COIL, **options)
        for line in release.splitlines():
            self.bench.panel.receive(line)
        self.clock, self.files, self.notes = self.bench.clock, MemoryFiles(), list[str]()
        self.bench.driver.check_identity()
        self.guard = self.open()

    def open(self) -> Guard:
        self.guard = Guard(
            self.bench.driver, LIMITS, self.clock, memory=MagnetMemory(self.files, "bench", self.clock),
            record=self.notes.append,
        )  # fmt: skip
        self.guard.take_over()
        return self.guard

    def arrive(self, limit_s: float = 2000.0) -> None:
        until_s = self.clock.now() + limit_s
        while self.guard.poll().activity is Activity.RAMPING:
            assert self.clock.now() < until_s, (self.guard.state, self.notes[-12:])
            self.clock.sleep(1.0)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_goes_over_a_segments_edge_and_through_zero_and_is_the_coils(stack: ExitStack, kind: str):
    rig = Rig(stack, kind)
    for target_T in (3.3, -0.2, 0.0, -0.1):
        rig.guard.sweep_to(target_T, 0.03)
        rig.arrive()
        assert rig.guard.state is State.DRIVEN
        assert rig.guard.read_field().field_T == pytest.approx(target_T, abs=3e-3)
        rig.bench.wait(20.0)
        assert rig.bench.coil_A * CONSTANT == pytest.approx(target_T, abs=3e-3)
    assert rig.bench.world.magnet.quenches == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_coil_keeps_its_current_over_a_restart_and_comes_back(stack: ExitStack, kind: str):
    rig = Rig(stack, kind)
    rig.guard.sweep_to(1.0, 0.03)
    rig.arrive()
    rig.guard.make_persistent()
    rig.arrive()
    assert rig.guard.state is State.PERSISTENT
    assert rig.bench.leads_A == pytest.approx(0.0, abs=0.05)
    assert rig.bench.coil_A == pytest.approx(10.0, abs=0.05)
    assert rig.guard.read_field().field_T == pytest.approx(1.0, abs=3e-3)
    rig.bench.wait(3600.0)
    guard = rig.open()
    assert guard.state is State.COOLING
    with pytest.raises(DeviceFault, match="leave persistent mode first"):
        guard.sweep_to(0.0, 0.03)
    guard.leave_persistent()
    rig.arrive()
    assert guard.state is State.HOLD
    guard.sweep_to(0.0, 0.03)
    rig.arrive()
    assert rig.bench.coil_A == pytest.approx(0.0, abs=0.05)
    assert rig.bench.world.magnet.quenches == 0


@pytest.mark.parametrize("kind", KINDS)
def test_hold_stops_a_ramp_where_it_is_and_it_stays_for_a_day(stack: ExitStack, kind: str):
    rig = Rig(stack, kind)
    rig.guard.sweep_to(2.0, 0.03)
    while rig.bench.leads_A < 5.0:
        rig.guard.poll()
        rig.clock.sleep(1.0)
    asked_s = rig.clock.now()
    rig.guard.hold()
    assert rig.clock.now() - asked_s < 2.0
    here_A = rig.bench.leads_A
    rig.bench.wait(86400.0)
    assert rig.bench.leads_A == here_A
    assert rig.guard.describe() == f"The magnet holds at {rig.guard.read_field().field_T:+.4f} T."


@pytest.mark.parametrize("kind", KINDS)
def test_a_quench_is_noticed_at_the_next_look_and_nothing_more_is_sent(stack: ExitStack, kind: str):
    rig = Rig(stack, kind)
    rig.guard.sweep_to(2.0, 0.03)
    while rig.bench.leads_A < 5.0:
        rig.guard.poll()
        rig.clock.sleep(1.0)
    rig.bench.world.magnet.quench(rig.clock.now())
    with pytest.raises(DeviceFault, match="quench"):
        rig.guard.poll()
    orders = len(rig.notes)
    rig.guard.hold()
    with pytest.raises(DeviceFault, match="quench"):
        rig.guard.sweep_to(0.0, 0.03)
    assert rig.notes[orders:] == []
    assert rig.open().state is State.QUENCHED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("message", range(0, 60, 3))
def test_a_lost_reply_anywhere_in_a_move_never_starts_a_wrong_one(stack: ExitStack, kind: str, message: int):
    rig = Rig(stack, kind)
    receive, heard = rig.bench.panel.receive, 0

    def deaf_once(line: bytes) -> bytes:
        nonlocal heard
        heard += 1
        reply = receive(line)
        return b"" if heard == message else reply

    rig.clock.sleep(25.0)
    rig.bench.panel.receive = deaf_once
    try:
        rig.guard.sweep_to(0.5, 0.03)
        rig.arrive()
    except RemanenceError:
        rig.bench.wait(86400.0)
        assert 0.0 <= rig.bench.coil_A <= 5.0 + 0.05
    else:
        rig.bench.wait(20.0)
        assert rig.bench.coil_A == pytest.approx(5.0, abs=0.05)
    assert rig.bench.world.magnet.quenches == 0
