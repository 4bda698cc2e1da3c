"""Quantum Design's cryostats through MultiPyVu's wire, inside this process and over TCP, and the rows of their files."""

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pyvisa
from remanence.core.capabilities import Activity, Magnetometer, MagnetPowerSupply, TemperatureController
from remanence.core.clock import VirtualClock
from remanence.core.errors import CommunicationError, ConfigError, DeviceFault, LimitError, ReplyError
from remanence.engine.twin import load_class
from remanence.instruments.link import Link
from remanence.instruments.multivu_dat import GrowingDat
from remanence.instruments.quantum_design import MPMS3, PPMS, DynaCool, MultiVu, VersaLab
from remanence.simulators import multivu_dat
from remanence.simulators import multivu_sequence as seq
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.multivu_dat import DatFile, SampleInfo
from remanence.simulators.multivu_measure import Bench, DcScan, Vsm
from remanence.simulators.multivu_server import MultiVuServer
from remanence.simulators.sample import load_sample
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

RESOURCE = "TCPIP0::127.0.0.1::27183::SOCKET"
KINDS = [MPMS3, PPMS, DynaCool, VersaLab]
REAL_FILES = Path(__file__).parents[2] / "shared" / "data"


class Rig:
    """One cryostat with its MultiVu, and a driver for it."""

    def __init__(self, kind: type[MultiVu], transport: str, stack: ExitStack, **options: Any) -> None:
        self.clock = VirtualClock()
        magnet = MagnetSettings(0.1, 20.0, 50.0, 5.0, 0.004, ((90.0, 0.2),))
        settings = WorldSettings(magnet, CryostatSettings(start_K=60.0), load_sample("lao_sto_0p6_J_cm2"))
        self.world = World(settings, self.clock, 1)
        self.multivu = load_class(kind.twin)(self.world, "qd")
        if transport == "tcp":
            server = stack.enter_context(MultiVuServer(self.multivu, self.clock, port=0))
            host, port = server.address
            self._manager, self._resource = pyvisa.ResourceManager("@py"), f"TCPIP0::{host}::{port}::SOCKET"
        else:
            self._manager = pyvisa.ResourceManager(VirtualVisaLibrary({RESOURCE: self.multivu}, self.clock))
            self._resource = RESOURCE
        self._stack = stack
        self.driver = self.client(kind, **options)

    def client(self, kind: type[MultiVu], **options: Any) -> MultiVu:
        opened: Any = self._manager.open_resource(self._resource)
        self._stack.callback(opened.close)
        link = Link(opened, self.clock, name="qd", read_end=kind.read_end, deadline_s=kind.deadline_s)
        numbers = (UUID(int=n) for n in itertools.count(1))
        return kind(link, "qd", numbers=numbers, **options)


Make = Callable[..., Rig]


@pytest.fixture(params=["in process", "tcp"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    with ExitStack() as stack:
        yield lambda kind=MPMS3, **options: Rig(kind, request.param, stack, **options)


@pytest.fixture
def quick() -> Iterator[Make]:
    with ExitStack() as stack:
        yield lambda kind=MPMS3, **options: Rig(kind, "in process", stack, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_each_cryostat_says_who_it_is_and_what_it_is_set_to(make: Make, kind: type[MultiVu]) -> None:
    driver = make(kind).driver
    assert driver.check_identity() == f"Quantum Design {kind.model}, MultiPyVu 3.8.0"
    assert driver.settings()["chamber"] == "Purged and Sealed"
    # Once more, as after a reconnection: a session that is there is not begun again.
    driver.check_identity()


def test_another_cryostat_is_refused(quick: Make) -> None:
    rig = quick(MPMS3)
    with pytest.raises(ReplyError, match="of a MPMS3, not of a PPMS"):
        rig.client(PPMS).check_identity()


def test_a_second_client_is_told_that_another_one_has_the_server(quick: Make) -> None:
    rig = quick(MPMS3)
    rig.driver.check_identity()
    with pytest.raises(ReplyError, match="another client"):
        rig.client(MPMS3).check_identity()


@pytest.mark.parametrize("kind", KINDS)
def test_the_field_goes_where_it_is_told_and_stops_when_told(make: Make, kind: type[MultiVu]) -> None:
    rig = make(kind)
    supply: MagnetPowerSupply = rig.driver
    rig.driver.check_identity()
    supply.set_rate(0.01)
    supply.set_target(-0.5)
    assert supply.watch().output_A == pytest.approx(0.0, abs=1e-4)
    supply.go()
    rig.clock.sleep(20.0)
    moving = supply.watch()
    assert moving.activity is Activity.RAMPING
    assert moving.output_A == pytest.approx(-0.2, abs=0.01)
    supply.hold()
    rig.clock.sleep(10.0)
    held = supply.watch()
    assert held.activity is Activity.HOLDING
    assert held.output_A == pytest.approx(-0.2, abs=0.01)
    supply.set_target(0.0)
    supply.go()
    rig.clock.sleep(60.0)
    rig.world.advance()
    assert supply.watch().activity is Activity.HOLDING
    assert rig.world.magnet.coil_current() * 0.1 == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("kind", [PPMS, DynaCool, VersaLab])
def test_somebody_elses_order_shows_in_an_inspection(quick: Make, kind: type[MultiVu]) -> None:
    rig = quick(kind)
    rig.driver.check_identity()
    rig.multivu.execute("FIELD 1000,100,0,1")
    reading = rig.driver.inspect()
    assert reading.set_point_A == pytest.approx(0.1)
    assert reading.rate_A_per_s == pytest.approx(0.01)


@pytest.mark.parametrize(
    "act",
    [
        lambda d: d.set_target(math.nan), lambda d: d.set_target(20.0), lambda d: d.set_rate(1.0),
        lambda d: d.set_rate(0.0), lambda d: d.set_rate(math.inf), lambda d: d.set_temperature(500.0),
        lambda d: d.set_temperature(math.nan), lambda d: d.set_temperature(1.0),
        lambda d: d.set_temperature(10.0, 1000.0), lambda d: d.set_chamber("explode"),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_refused_before_a_byte_is_sent(quick: Make, act: Callable[[Any], None]) -> None:
    rig = quick(MPMS3)
    with pytest.raises(LimitError):
        act(rig.driver)
    assert rig.multivu.received == 0


def test_a_quench_shows_and_a_refusal_is_in_multivus_words(quick: Make) -> None:
    rig = quick(DynaCool)
    rig.driver.check_identity()
    rig.driver.set_rate(0.01)
    rig.driver.set_target(1.0)
    rig.driver.go()
    rig.clock.sleep(30.0)
    rig.world.advance()
    rig.world.magnet.quench(rig.clock.now())
    assert rig.driver.watch().activity in {Activity.QUENCHED, Activity.FAULT}
    with pytest.raises(DeviceFault, match="MultiVu refuses FIELD"):
        rig.driver.go()


def test_the_temperature_goes_where_it_is_told(make: Make) -> None:
    rig = make(DynaCool)
    control: TemperatureController = rig.driver
    rig.driver.check_identity()
    control.set_temperature(80.0, 5.0)
    assert rig.driver.temperature_set_point == pytest.approx((80.0, 5.0))
    rig.clock.sleep(900.0)
    assert control.read_temperature() == pytest.approx(80.0, abs=0.5)
    assert math.isnan(control.read_heater())
    with pytest.raises(DeviceFault, match="goes on regulating"):
        control.heater_off()


def test_a_chamber_is_vented_and_sealed(quick: Make) -> None:
    rig = quick(MPMS3)
    rig.driver.check_identity()
    rig.driver.set_chamber("vent and seal")
    assert rig.driver.chamber != "Purged and Sealed"


def test_what_is_no_multipyvu_server_is_an_error_and_not_a_hang(quick: Make) -> None:
    rig = quick(MPMS3)
    rig.multivu.converse = lambda: None  # never used again
    link = rig.driver.link
    link._line.wire._library._sessions[link._line.wire._session].conversation.send(b"SSH-2.0-OpenSSH_9.6\r\n", 0.0)
    with pytest.raises(CommunicationError):
        # What waits is dropped before a request; what comes instead of an answer is none.
        for _ in range(3):
            rig.driver.link.exchange(b"", lambda read: rig.driver._client._receive(read))


# The moment


@pytest.mark.parametrize(("layout", "measurement"), [(multivu_dat.MPMS3, DcScan()), (multivu_dat.MPMS3, Vsm())])
def test_the_moment_is_the_next_row_that_multivu_writes(tmp_path: Path, layout: Any, measurement: Any) -> None:
    path = tmp_path / "m.dat"
    with ExitStack() as stack:
        rig = Rig(MPMS3, "in process", stack, data_file=str(path))
        magnetometer: Magnetometer = rig.driver
        rig.driver.check_identity()
        with DatFile(path, layout, rig.clock, SampleInfo("LAO, on STO"), local=UTC) as data:
            sequencer = seq.Sequencer(Bench(rig.multivu), data)
            sequencer.run([seq.Remark("before, the field"), seq.Measure(measurement)])
            magnetometer.start_moment()
            assert magnetometer.read_moment() is None
            sequencer.run([seq.Remark("with, a comma"), seq.Measure(measurement, rows=2)])
            reading = magnetometer.read_moment()
            assert reading is not None
            assert magnetometer.read_moment() is None  # one measurement was asked for
    rows = GrowingDat(path)
    every = [row for _ in range(3) if (row := rows.next_row()) is not None]
    assert len(every) == 3
    assert reading.moment_A_m2 == every[1].moment_A_m2
    assert reading.error_A_m2 == every[1].error_A_m2
    assert 0.0 < abs(reading.moment_A_m2) < 1e-5
    assert reading.temperature_K == pytest.approx(60.0, abs=0.5)
    assert reading.field_T == pytest.approx(0.0, abs=1e-3)


def test_a_row_that_is_half_written_is_not_there_yet(tmp_path: Path) -> None:
    whole = b"[Header]\r\nTITLE,x\r\n[Data]\r\nComment,Temperature (K),Magnetic Field (Oe),Moment (emu),M. Std. Err. (emu)\r\n"
    content = whole + b'"a, b",5.0,1000,1.5e-5,2E-8\r\n'
    there = len(whole)

    def read(path: Path, offset: int) -> bytes:
        return content[offset:there]

    data = GrowingDat(tmp_path, read)
    for there in range(len(whole), len(content)):  # noqa: B007  the file grows under its reader
        assert data.next_row() is None
    there = len(content)
    row = data.next_row()
    assert row is not None
    assert (row.moment_A_m2, row.error_A_m2) == pytest.approx((1.5e-8, 2e-11))
    assert (row.field_T, row.temperature_K) == pytest.approx((0.1, 5.0))


@pytest.mark.parametrize("name", ["mpms3_mh_nomad.dat", "mpms3_zfcfc_magnetopy.dat"])
def test_real_files_are_read_row_by_row(name: str) -> None:
    if not (REAL_FILES / name).exists():
        pytest.skip("the real files are not here")
    data = GrowingDat(REAL_FILES / name)
    rows = list(iter(data.next_row, None))
    assert len(rows) > 10
    assert all(math.isfinite(row.moment_A_m2) and math.isfinite(row.temperature_K) for row in rows)
    assert all(abs(row.field_T) < 7.1 for row in rows)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[Data]\nTime,Pressure\n", "no column holds a moment"),
        ("[Data]\nTemperature (K),Field (Oe),Moment (emu)\n5,1,abc\n", "'abc' under 'Moment"),
        ("x" * 100000, "no end"),
    ],
)
def test_a_file_that_is_none_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.dat"
    path.write_text(text)
    with pytest.raises(ReplyError, match=says) as error:
        GrowingDat(path).next_row()
    assert "bad.dat:" in str(error.value)


def test_a_moment_without_a_data_file_is_refused_with_what_to_do(quick: Make) -> None:
    with pytest.raises(ConfigError, match="data_file"):
        quick(MPMS3).driver.start_moment()


def test_the_drivers_are_what_procedures_ask_for() -> None:
    for kind in KINDS:
        assert issubclass(kind, TemperatureController)
        assert issubclass(kind, Magnetometer)
