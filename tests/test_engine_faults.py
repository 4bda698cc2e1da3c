"""A simulated station meets the faults it was opened with."""

from collections.abc import Callable
from pathlib import Path

import pytest
from remanence.core.capabilities import FieldSource
from remanence.core.errors import ConfigError, DeadlineError, DeviceFault
from remanence.engine.station import Station
from remanence.engine.station_file import reference_station
from remanence.simulators.faults import Fault

TWO = """
[[fault]]
kind = "lost"
instrument = "cryostat"
at = "160 s"

[[fault]]
kind = "quench"
at = "200 s"
"""


def as_file(tmp_path: Path) -> Path:
    path = tmp_path / "faults.toml"
    path.write_text(TWO, encoding="utf-8")
    return path


def as_list(_tmp_path: Path) -> list[Fault]:
    return [Fault("lost", "cryostat", at_s=160.0), Fault("quench", at_s=200.0)]


@pytest.mark.parametrize("given", [as_file, as_list])
def test_a_lost_reply_and_a_quench_come_when_they_were_planned(
    tmp_path: Path, given: Callable[[Path], Path | list[Fault]]
):
    with Station.open(reference_station(), simulate=True, seed=1, faults=given(tmp_path)) as station:
        clock, thermometer = station.clock, station.instruments["cryostat"]
        field = station.role("field", FieldSource)
        # The switch is known to be on, but not since when: the guard waits its whole time.
        clock.sleep(60.0 - clock.now())
        field.poll()
        field.sweep_to(0.5, 2e-3)
        while clock.now() < 150.0:
            clock.sleep(2.0)
            field.poll()
        thermometer.check_identity()
        assert field.read_field().field_T > 0.05
        clock.sleep(165.0 - clock.now())
        with pytest.raises(DeadlineError):
            thermometer.check_identity()
        thermometer.check_identity()
        clock.sleep(210.0 - clock.now())
        with pytest.raises(DeviceFault, match="quench"):
            field.poll()
        assert station.faults is not None
        assert [fault.kind for _, fault in station.faults.history] == ["lost", "quench"]


def test_without_faults_nothing_stands_on_the_wire():
    with Station.open(reference_station(), simulate=True, seed=1) as station:
        assert station.faults is None


def test_a_rig_is_refused_faults_before_anything_is_opened(tmp_path: Path):
    with pytest.raises(ConfigError, match="simulated"):
        Station.open(tmp_path / "there is no such file.toml", faults=[Fault("quench")])


def test_a_fault_of_an_instrument_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="no instrument 'magnt'"):
        Station.open(reference_station(), simulate=True, faults=[Fault("lost", "magnt")])
