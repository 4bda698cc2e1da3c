"""A vector magnet in a station file: two groups of one supply, one guard before both."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from remanence.core.capabilities import Activity, FieldSource, VectorFieldSource
from remanence.core.errors import ConfigError, DeviceFault, LimitError
from remanence.engine.station import Station
from remanence.engine.station_file import bench
from remanence.instruments.guard import Guard

Y = """
[instruments.vector_y]
driver = "remanence.instruments.mercury_ips:MercuryIPS"
resource = "TCPIP0::127.0.0.1::7020::SOCKET"
options = { group = "GRPY", tesla_per_ampere = 0.02 }
panel_options = { axes = ["x", "y"] }
"""
CROSS = """
[vector.cross]
axes = { x = "vector", y = "vector_y" }
largest_field = "0.1 T"
boxes = [{ x = "0.2 T" }]
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def file(cross: str = CROSS) -> Path:
        text = bench("oxford").read_text(encoding="utf-8")
        start = text.index("[guard.vector]")
        end = text.index("\n[", text.index("segments", start))
        guard = text[start:end]
        text = text.replace("[roles]\n", f'{Y}\n[roles]\nvector = "cross"\n').replace(
            guard, guard + "\n" + guard.replace("[guard.vector]", "[guard.vector_y]")
        )
        path = tmp_path / "station.toml"
        path.write_text(text + cross, encoding="utf-8")
        return path

    return file


def release(station: Station) -> None:
    """What a person does in the morning: take both groups out of their clamp."""
    for name in ("vector", "vector_y"):
        supply: Any = station.instruments[name]
        supply.tell(supply.address, ACTN="HOLD")


def wait(station: Station) -> None:
    """Until both axes are where they should be; at first, until their switches are known to be warm."""
    magnet = station.vectors["cross"]
    while (look := magnet.poll()).activity is Activity.RAMPING or any(map(math.isnan, look.field_T.values())):
        station.clock.sleep(1.0)


def test_the_role_of_a_vector_magnet_goes_where_both_axes_may(write: Callable[..., Path]) -> None:
    with Station.open(write(), simulate=True) as station:
        release(station)
        magnet = station.role("vector", VectorFieldSource)
        assert magnet.axes == ("x", "y")
        with pytest.raises(DeviceFault, match="not known yet"):
            magnet.sweep_to({"x": 0.06}, 2e-3)
        wait(station)
        magnet.sweep_to({"x": 0.06, "y": 0.05}, 2e-3)
        wait(station)
        assert magnet.read_field() == pytest.approx({"x": 0.06, "y": 0.05}, abs=2e-3)
        assert station.world is not None
        assert station.world.magnets["y"].coil_current() * 0.02 == pytest.approx(0.05, abs=2e-3)
        assert not isinstance(magnet, Guard)


def test_a_field_that_both_axes_may_have_alone_and_not_together_is_refused(write: Callable[..., Path]) -> None:
    with Station.open(write(), simulate=True) as station:
        release(station)
        magnet = station.role("vector", VectorFieldSource)
        wait(station)
        magnet.sweep_to({"x": 0.09}, 2e-3)
        wait(station)
        with pytest.raises(LimitError, match="which the magnet does not stand"):
            magnet.sweep_to({"y": 0.09}, 2e-3)
        # Whoever moves one axis by its own guard is asked for the other.
        with pytest.raises(LimitError):
            station.guards["vector_y"].sweep_to(0.09, 2e-3)
        magnet.sweep_to({"x": 0.15}, 2e-3)  # inside the box, along x alone
        wait(station)
        assert magnet.read_field()["x"] == pytest.approx(0.15, abs=2e-3)


def test_a_vector_magnet_is_no_single_field(write: Callable[..., Path]) -> None:
    with Station.open(write(), simulate=True) as station, pytest.raises(ConfigError, match="is no FieldSource"):
        station.role("vector", FieldSource)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('y = "vector_y"', 'y = "vektor_y"', "has no guard"),
        ('y = "vector_y"', 'y = "vector"', "two axes have the same supply"),
        ("boxes = [{ x =", "boxes = [{ z =", "a box names the axis 'z'"),
        ('"0.1 T"', "0.1", "has no unit"),
        ("[vector.cross]", "[vector.vector]", "is an instrument and a vector magnet"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(write: Callable[..., Path], old: str, new: str, says: str) -> None:
    path = write(CROSS.replace(old, new))
    with pytest.raises(ConfigError, match=says) as error:
        Station.open(path, simulate=True)
    assert "station.toml:" in str(error.value)
