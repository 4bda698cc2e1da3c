"""Every bench that ships with remanence is a station: the drivers of its file open it and read all settings."""

import pytest
from remanence.engine.station import Station
from remanence.engine.station_file import bench, read_station

BENCHES = ("paper", "oxford", "ami", "quantum-design", "everything")


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_opens_as_a_station_and_every_setting_is_read(name: str):
    with Station.open(bench(name), simulate=True) as station:
        records = station.records()
        assert [record.name for record in records] == list(read_station(bench(name)).instruments)
        for record in records:
            assert record.identity, record.name
            assert record.settings, record.name
            assert not [key for key, value in record.settings.items() if "unreadable" in str(value)], record.name
        for magnet, guard in station.guards.items():
            if magnet in station.description.guard:
                assert not guard.problem


def test_a_bench_that_moves_its_magnets_says_what_each_stands():
    """One magnet is in two hands there: MultiVu's guard is left out, so that only the SMS120C's may move it."""
    with Station.open(bench("everything"), simulate=True) as station:
        assert {name for name, guard in station.guards.items() if guard.problem} == {"multivu"}
