"""Quantum Design's own unchanged client, `MultiPyVu.Client`, at work on every flavour of the simulated MultiVu."""

import gc
import logging
import math
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import MultiPyVu
import pytest
from MultiPyVu.exceptions import MultiPyVuError
from remanence.core.clock import Clock, ScaledClock, VirtualClock
from remanence.simulators import multivu
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.multivu import MultiVu
from remanence.simulators.multivu_dat import MPMS3, DatFile
from remanence.simulators.multivu_measure import Bench, DcScan, Vsm
from remanence.simulators.multivu_sequence import ScanField, ScanTemperature, Sequencer
from remanence.simulators.multivu_server import MultiVuServer
from remanence.simulators.sample import load_sample
from remanence.simulators.world import World, WorldSettings

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

MAGNET = MagnetSettings(
    0.1, 5.0, 50.0, 6.0, 0.004, ((60.0, 0.8), (92.0, 0.4)), trapped_field_T=4e-3, trapped_play_T=0.5,
    warm_time_s=20.0, cool_time_s=25.0,
)  # fmt: skip
START_K = {multivu.MPMS3: 5.0, multivu.PPMS: 10.0, multivu.DynaCool: 10.0, multivu.VersaLab: 60.0}
FLAVOURS = tuple(START_K)


class Rig:
    """One instrument behind its server, and the clock that its time passes on."""

    def __init__(self, kind: type[MultiVu], clock: Clock, version: str = MultiPyVu.__version__) -> None:
        cryostat = CryostatSettings(start_K=START_K[kind], cooling_W_per_K=0.05)
        self.clock = clock
        self.world = World(WorldSettings(MAGNET, cryostat, load_sample("park2020_deficient")), clock, 7)
        self.multivu = kind(self.world, "multivu", "xx,xy")
        self.server = MultiVuServer(self.multivu, clock, port=0, version=version)

    def client(self) -> Any:
        return MultiPyVu.Client(*self.server.address)

    def close(self) -> None:
        self.server.close()


@pytest.fixture(autouse=True)
def own_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client writes a log into the working directory and takes over the root logger: here it may."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    yield
    for name in ("", "MultiVuClient", "MultiVuServer"):
        logger = logging.getLogger(name)
        for handler in logger.handlers[:]:
            if handler not in kept:
                logger.removeHandler(handler)
                handler.close()
    root.handlers[:], root.level = kept, level
    # A client that was refused leaves its socket to the garbage.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig(request.param, VirtualClock())
    yield rig
    rig.close()


each = pytest.mark.parametrize("rig", FLAVOURS, indirect=True, ids=lambda kind: kind.flavour.name)


def only(*kinds: type[MultiVu]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("rig", kinds, indirect=True, ids=lambda kind: kind.flavour.name)


def states(rig: Rig, read: Any, seconds: float, step_s: float = 1.0) -> list[str]:
    """The state words in the order in which they came."""
    seen: list[str] = []
    stop_s = rig.clock.now() + seconds
    while rig.clock.now() < stop_s:
        word = read()[1]
        if not seen or seen[-1] != word:
            seen.append(word)
        rig.clock.sleep(step_s)
    return seen


@each
def test_the_client_identifies_the_flavour_and_reads_everything(rig: Rig) -> None:
    flavour = rig.multivu.flavour
    with rig.client() as client:
        assert client.instrument_name == flavour.name
        assert client.get_version() == MultiPyVu.__version__
        assert client.get_multivu_version() == flavour.multivu
        kelvin, state = client.get_temperature()
        assert kelvin == pytest.approx(START_K[type(rig.multivu)], rel=1e-3)
        assert state == "Stable"
        assert client.get_field() == (0.0, "Stable" if flavour.name == "MPMS3" else "Holding (driven)")
        assert client.get_chamber() == "Purged and Sealed"
        assert client.is_server_running()
        assert client.get_server_status() == "connected"
        assert client.get_temperature_setpoints() == (START_K[type(rig.multivu)], 1.0, "fast_settle")


@each
def test_a_temperature_is_set_tracked_waited_for_and_there(rig: Rig) -> None:
    with rig.client() as client:
        target_K = START_K[type(rig.multivu)] + 2.0
        client.set_temperature(target_K, 1.0, client.temperature.approach_mode.no_overshoot)
        # MultiVu reports the new set point at once, and for a moment still the old one's state.
        assert client.get_temperature_setpoints() == (target_K, 1.0, "no_overshoot")
        assert client.get_temperature()[1] == "Stable"
        rig.clock.sleep(2.0)
        assert client.get_temperature()[1] in ("Tracking", "Chasing")
        assert not client.is_steady(client.temperature.waitfor)
        before_s = rig.clock.now()
        assert client.wait_for(0, 0, client.temperature.waitfor) == client.wait_status.good
        assert 120.0 < rig.clock.now() - before_s < 600.0
        kelvin, state = client.get_temperature()
        assert state == "Stable"
        assert kelvin == pytest.approx(target_K, rel=1e-3)
        assert rig.world.cryostat.sample_K == pytest.approx(target_K, rel=1e-3)
        assert client.is_steady(client.temperature.waitfor)


@only(multivu.MPMS3)
def test_the_states_of_a_temperature_follow_from_the_temperature(rig: Rig) -> None:
    with rig.client() as client:
        client.set_temperature(9.0, 20.0, client.temperature.approach_mode.fast_settle)
        fast = states(rig, client.get_temperature, 90.0)
        assert fast[0] == "Stable"
        assert fast[1] == "Chasing"
        assert fast[-2:] == ["Near", "Stable"]
        client.set_temperature(9.3, 0.1, client.temperature.approach_mode.fast_settle)
        assert states(rig, client.get_temperature, 300.0) == ["Stable", "Tracking", "Near", "Stable"]


@each
def test_a_field_ramps_at_its_rate_and_is_there(rig: Rig) -> None:
    resting = "Stable" if rig.multivu.flavour.name == "MPMS3" else "Holding (driven)"
    with rig.client() as client:
        client.set_field(5000.0, 100.0, client.field.approach_mode.linear)
        rig.clock.sleep(20.0)
        oersted, state = client.get_field()
        assert (oersted, state) == (pytest.approx(2000.0, abs=10.0), "Ramping")
        assert not client.is_steady(client.field.waitfor)
        assert states(rig, client.get_field, 40.0, 0.3) == ["Ramping", "Iterate", resting]
        assert client.get_field() == (pytest.approx(5000.0, abs=0.1), resting)
        assert rig.world.magnet.field() == pytest.approx(0.5, abs=2e-3)
        client.set_field(-1000.0, 150.0, client.field.approach_mode.linear)
        assert client.wait_for(5, 100, client.field.waitfor) == client.wait_status.good
        assert client.get_field() == (pytest.approx(-1000.0, abs=0.1), resting)


@only(multivu.PPMS, multivu.DynaCool, multivu.VersaLab)
def test_set_points_of_the_field_come_back_as_they_were_given(rig: Rig) -> None:
    with rig.client() as client:
        client.set_field(-12345.6, 98.7, client.field.approach_mode.oscillate)
        assert client.get_field_setpoints() == (-12345.6, 98.7, "oscillate", "driven")


@only(multivu.MPMS3)
def test_an_mpms3_knows_no_field_set_point(rig: Rig) -> None:
    with rig.client() as client, pytest.raises(MultiPyVuError, match="does not support getting field set points"):
        client.get_field_setpoints()
    with rig.client() as client, pytest.raises(MultiPyVuError, match="set_field"):
        client.wait_for(0, 10, client.field.waitfor)


def oscillated_T(rig: Rig, client: Any, mode: str) -> float:
    """What stays of a field of 3 T, at zero."""
    client.set_field(30000.0, 150.0, client.field.approach_mode.linear)
    client.wait_for(0, 0, client.field.waitfor)
    client.set_field(0.0, 150.0, client.field.approach_mode[mode])
    client.wait_for(0, 0, client.field.waitfor)
    assert client.get_field()[0] == pytest.approx(0.0, abs=0.1)
    return rig.world.magnet.field()


@only(multivu.DynaCool)
def test_an_oscillating_approach_leaves_less_flux_than_a_straight_one(rig: Rig) -> None:
    with rig.client() as client:
        straight_T = oscillated_T(rig, client, "linear")
        slow_T = oscillated_T(rig, client, "no_overshoot")
        dying_T = oscillated_T(rig, client, "oscillate")
    assert abs(straight_T) == pytest.approx(4e-3, rel=0.02)
    assert slow_T == pytest.approx(straight_T, rel=0.02)
    assert abs(dying_T) < 0.6 * abs(straight_T)


@only(multivu.PPMS)
def test_a_ppms_parks_its_field_and_takes_it_up_again(rig: Rig) -> None:
    with rig.client() as client:
        client.set_field(
            2000.0, 100.0, client.field.approach_mode.linear, client.field.driven_mode.persistent
        )  # fmt: skip
        assert states(rig, client.get_field, 80.0) == ["Ramping", "Iterate", "Switch Cooling", "Stable"]
        assert rig.world.magnet.lead_current(rig.clock.now()) == 0.0
        assert client.get_field() == (pytest.approx(2000.0, abs=0.5), "Stable")
        assert rig.world.magnet.field() == pytest.approx(0.2, abs=5e-3)
        assert client.get_field_setpoints()[3] == "persistent"
        client.set_field(1000.0, 100.0, client.field.approach_mode.linear, client.field.driven_mode.driven)
        words = states(rig, client.get_field, 80.0)
        assert words == ["Switch Warming", "Ramping", "Iterate", "Holding (driven)"]
        assert not rig.world.magnet.quenched


REFUSED: list[tuple[str, tuple[Any, ...], str, tuple[type[MultiVu], ...]]] = [
    ("set_field", (1e6, 100.0, "linear"), "SetField", FLAVOURS),
    ("set_field", (1000.0, 5000.0, "linear"), "SetField", FLAVOURS),
    ("set_field", (1000.0, 100.0, "linear", "persistent"), "driven mode", FLAVOURS[:1] + FLAVOURS[2:]),
    ("set_field", (1000.0, 100.0, "no_overshoot"), "no_overshoot", FLAVOURS[3:]),
    ("set_temperature", (500.0, 5.0, "fast_settle"), "SetTemperature", FLAVOURS),
    ("set_temperature", (1.0, 5.0, "fast_settle"), "SetTemperature", FLAVOURS),
    ("set_temperature", (-5.0, 5.0, "fast_settle"), "positive number", FLAVOURS),
    ("set_temperature", (20.0, 50.0, "fast_settle"), "out of bounds", FLAVOURS),
    ("set_vector_cartesian", ((1.0, 2.0, 3.0), 10.0, "linear"), "vector magnet", FLAVOURS),
    ("get_position", (), "MPMS3", FLAVOURS[:1]),
    ("get_position", (), "GetPosition", FLAVOURS[1:]),
]


@each
def test_what_the_instrument_cannot_do_is_an_error_of_the_client(rig: Rig) -> None:
    for verb, arguments, says, kinds in REFUSED:
        if type(rig.multivu) not in kinds:
            continue
        # An error closes the client; the server lets the next one in.
        with rig.client() as client:
            assert client.get_field()[0] == 0.0
            modes = client.temperature.approach_mode if verb == "set_temperature" else client.field.approach_mode
            words = [modes[a] if a in modes.__members__ else a for a in arguments[:3]]
            words += [client.field.driven_mode[a] for a in arguments[3:]]
            with pytest.raises(MultiPyVuError, match=says):
                getattr(client, verb)(*words)
            assert not rig.world.magnet.ramping(rig.clock.now())


@each
def test_the_chamber_is_purged_vented_and_pumped(rig: Rig) -> None:
    with rig.client() as client:
        mode = client.chamber.mode
        client.set_chamber(mode.vent_seal)
        assert client.get_chamber() == "Performing Vent/Seal"
        # A limit of time ends a wait that is not over, and says so.
        assert client.wait_for(0, 30, client.chamber.waitfor) == client.wait_status.timed_out
        assert client.wait_for(0, 0, client.chamber.waitfor) == client.wait_status.good
        assert client.get_chamber() == "Vented and Sealed"
        assert rig.multivu.chamber.pressure_torr(rig.clock.now()) == pytest.approx(760.0, rel=0.01)
        client.set_chamber(mode.purge_seal)
        assert client.get_chamber() == "Performing Purge/Seal"
        client.wait_for(0, 0, client.chamber.waitfor)
        assert client.get_chamber() == "Purged and Sealed"
        client.set_chamber(mode.pump_continuous)
        assert client.get_chamber() == "Pumping Continuously"
        client.set_chamber(mode.high_vacuum)
        assert client.get_chamber() == "Pre-HiVac"
        client.wait_for(0, 0, client.chamber.waitfor)
        assert client.get_chamber() == "HiVac"
        client.set_chamber(mode.seal)
        assert client.get_chamber() == "Sealed (condition unknown)"
        client.set_chamber(mode.vent_continuous)
        flooded = "Performing Vent/Seal" if rig.multivu.flavour.name == "PPMS" else "Flooding Continuously"
        assert client.get_chamber() == flooded


@only(multivu.DynaCool)
def test_the_resistance_module_measures_the_sample(rig: Rig) -> None:
    with rig.client() as client:
        bridge = client.resistivity
        bridge.stabilize_time = 0
        assert bridge.get_resistance(1) == (0.0, "Call was successful")
        bridge.channel_on(1, True)
        bridge.current_limit(1, 10.0)
        bridge.power_limit(1, 100.0)
        bridge.voltage_limit(1, 100.0)
        r_xx, r_xy = rig.world.sample.resistances(0.0, rig.world.cryostat.sample_K)
        assert bridge.get_resistance(1)[0] == pytest.approx(r_xx, rel=1e-4)
        assert bridge.get_current(1)[0] == pytest.approx(10.0)
        bridge.voltage_limit(1, 1.0)
        assert bridge.get_current(1)[0] == pytest.approx(1e3 / r_xx, rel=1e-5)
        bridge.channel_on(2, True)
        assert bridge.get_resistance(2)[0] == pytest.approx(r_xy, abs=5e-3)
        client.set_field(50000.0, 200.0, client.field.approach_mode.linear)
        client.wait_for(5, 0, client.field.waitfor)
        hall_ohm = rig.world.sample.resistances(rig.world.magnet.field(), rig.world.cryostat.sample_K)[1]
        assert abs(hall_ohm) > 10.0
        assert bridge.get_resistance(2)[0] == pytest.approx(hall_ohm, abs=5e-3)


@only(multivu.PPMS, multivu.MPMS3)
def test_an_instrument_without_the_module_says_so(rig: Rig) -> None:
    with rig.client() as client, pytest.raises(MultiPyVuError, match="Node was not found"):
        client.resistivity.get_resistance(1)


@only(multivu.MPMS3)
def test_a_quench_shows_and_refuses_the_next_field(rig: Rig) -> None:
    with rig.client() as client:
        client.set_field(60000.0, 600.0, client.field.approach_mode.linear)
        rig.clock.sleep(50.0)
        client.get_field()
        rig.world.magnet.quench(rig.world.now())
        assert client.get_field() == (0.0, "Quenching")
        # The wait trusts what it sees: neither holding nor there, it runs into its limit.
        assert client.wait_for(0, 60, client.field.waitfor) == client.wait_status.timed_out
        assert client.get_field()[1] == "Current Error"
        with pytest.raises(MultiPyVuError, match="SetField"):
            client.set_field(0.0, 100.0, client.field.approach_mode.linear)


@only(multivu.PPMS)
def test_a_second_client_is_turned_away_and_may_come_when_the_first_has_gone(rig: Rig) -> None:
    first = rig.client().open()
    second = rig.client()
    with pytest.raises(ConnectionRefusedError):
        second.open()
    assert first.get_chamber() == "Purged and Sealed"
    onlooker = rig.client()
    assert onlooker.is_server_running()
    # What the real one tells a client that has not started. The client waits a moment only: a busy computer may need more.
    assert "idle" in (onlooker.get_server_status() for _ in range(20))
    first.close_client()
    with rig.client() as third:
        assert third.get_chamber() == "Purged and Sealed"


@only(multivu.PPMS)
def test_a_client_ends_the_server(rig: Rig) -> None:
    client = rig.client().open()
    assert "Quit the server" in client.force_quit_server()
    assert rig.server.ended(30.0)
    rig.server.close()
    with pytest.raises(ConnectionRefusedError):
        rig.client().open()


def test_a_client_of_another_version_leaves_by_itself() -> None:
    rig = Rig(multivu.MPMS3, VirtualClock(), version="3.7.9")
    with pytest.raises(SystemExit, match=r"3\.7\.9"):
        rig.client().open()
    rig.close()


def test_on_a_clock_that_runs_a_script_only_has_to_wait() -> None:
    rig = Rig(multivu.DynaCool, ScaledClock(400.0))
    with rig.client() as client:
        client.set_field(3000.0, 100.0, client.field.approach_mode.linear)
        client.set_temperature(11.0, 5.0, client.temperature.approach_mode.fast_settle)
        assert client.wait_for(10, 0, client.field.waitfor | client.temperature.waitfor) == client.wait_status.good
        assert client.get_field() == (pytest.approx(3000.0, abs=0.1), "Holding (driven)")
        assert client.get_temperature() == (pytest.approx(11.0, rel=1e-3), "Stable")
        assert math.isclose(rig.world.magnet.field(), 0.3, abs_tol=5e-3)
    rig.close()


@pytest.mark.parametrize("clock", [VirtualClock(), ScaledClock(200.0)], ids=["virtual", "scaled"])
def test_a_client_looks_on_while_the_instrument_runs_its_own_sequence(clock: Clock, tmp_path: Path) -> None:
    rig = Rig(multivu.MPMS3, clock)
    path = tmp_path / "sequence.dat"
    steps = [ScanField((0.1, -0.1, 0.2), 0.05, Vsm(2.0)), ScanTemperature((6.0,), 5.0, DcScan(), sweep=True)]
    with DatFile(path, MPMS3, clock) as data:
        sequencer = Sequencer(Bench(rig.multivu), data, rig.server.turn)
        work = threading.Thread(target=sequencer.run, args=(steps,))
        with rig.client() as client:
            work.start()
            seen: set[str] = set()
            while work.is_alive():
                seen.add(client.get_field()[1])
                client.get_temperature()
            assert {"Ramping", "Stable"} <= seen
            assert client.get_field()[0] == pytest.approx(2000.0, abs=0.1)
        work.join(10.0)
        assert data.rows >= 4
    rows = [line.split(",") for line in path.read_text("cp1252").splitlines()[-data.rows :]]
    assert [float(row[3]) for row in rows[:3]] == pytest.approx([1000.0, -1000.0, 2000.0], abs=0.1)
    assert float(rows[-1][2]) > float(rows[3][2]) - 1e-2
    rig.close()
