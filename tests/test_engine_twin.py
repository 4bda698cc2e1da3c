"""What a station file says of its twin is what the laboratory is made of."""

from pathlib import Path

import pytest
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError
from remanence.engine.station_file import read_station, reference_station
from remanence.engine.twin import build_world
from remanence.simulators.world import World


def world_of(tmp_path: Path, simulation: str) -> World:
    path = tmp_path / "station.toml"
    path.write_text(reference_station().read_text(encoding="utf-8") + simulation, encoding="utf-8")
    return build_world(read_station(path), VirtualClock(), 1)


def test_contacts_cooling_and_eddy_currents_come_from_the_station_file(tmp_path: Path) -> None:
    world = world_of(
        tmp_path,
        'eddy_time = "0.2 s"\ncooling = "helium"\ncooling_power = "50 mW/K"\n'
        '[simulation.contacts]\nanisotropy = 1.5\nresistance = "1 kohm"\nbad = 2\ngap = "2 Mohm"\ndrift = "30 nV/hour"\n',
    )
    contacts = world.settings.contacts
    assert (contacts.anisotropy, contacts.bad_contact, contacts.gap_ohm) == (1.5, 2, 2e6)
    assert sum(contacts.resistance_ohm) == pytest.approx(4e3, rel=0.02)
    assert contacts.drift_V_per_h == pytest.approx(30e-9)
    assert world.settings.magnet.eddy_time_s == 0.2
    assert world.settings.cryostat.cooling_W_per_K == pytest.approx(0.05)
    assert type(world.magnet.coolant).__name__ == "HeliumBath"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bad = 5", "contacts.bad"), ("anisotropy = 0", "anisotropy"), ('gap = "2 K"', "cannot be given in ohm"),
        ('resistence = "1 ohm"', "resistance"),
    ],
)  # fmt: skip
def test_contacts_that_cannot_be_are_refused_with_their_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        world_of(tmp_path, f"[simulation.contacts]\n{line}\n")
    lines = (tmp_path / "station.toml").read_text(encoding="utf-8").splitlines()
    assert caught.value.where.endswith(f"station.toml:{lines.index(line) + 1}")
