"""One short Hall loop with every kind of lock-in in both roles: what is measured is the sample's, whatever measures it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from remanence.core.capabilities import AutorangingLockIn, CurrentSource, StationLike
from remanence.core.records import Column, Outcome
from remanence.engine.runner import Runner
from remanence.engine.station import Station
from remanence.engine.station_file import reference_station
from remanence.procedures.base import Procedure, Step, wait_until
from remanence.procedures.hall_loop import HallLoop
from remanence.storage import read_run

SRS, DSP = "remanence.instruments.sr860", "remanence.instruments.signal_recovery"
GPIB, ETHERNET = "GPIB0::{}::INSTR", "TCPIP0::192.168.1.2{}::50001::SOCKET"


def station_file(folder: Path, xx: tuple[str, str, str], xy: tuple[str, str, str]) -> Path:
    """The reference rig with other lock-ins: driver, resource, further lines."""
    text = reference_station().read_text(encoding="utf-8")
    for role, number, (driver, resource, more) in (("xx", 8, xx), ("xy", 9, xy)):
        old = f'driver = "remanence.instruments.srs:SR830"\nresource = "GPIB0::{number}::INSTR"\nwiring = "{role}"\n'
        assert old in text
        new = f'driver = "{driver}"\nresource = "{resource.format(number)}"\nwiring = "{role}"\n{more}'
        text = text.replace(old, new)
    path = folder / "station.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("xx", "xy"),
    [
        ((f"{SRS}:SR860", GPIB, ""), (f"{DSP}:DSP7265", GPIB, "")),
        (
            (f"{DSP}:DSP7270", ETHERNET, ""),
            (f"{SRS}:SR865A", GPIB, 'options = { set_up = { input_config = "A-B" } }\n'),
        ),
    ],
    ids=["SR860 and 7265", "7270 and SR865A"],
)
def test_a_hall_loop_through_other_lock_ins_measures_the_sample(
    tmp_path: Path, xx: tuple[str, str, str], xy: tuple[str, str, str]
):
    with Station.open(station_file(tmp_path, xx, xy), simulate=True, seed=3) as station:
        procedure = HallLoop(max_field_T=0.5, time_constant_s=0.1, settle_window_s=5.0)
        result = Runner(station, tmp_path / "runs").run(procedure)
        assert result.footer.outcome is Outcome.COMPLETED, result.footer.reason
        kept = read_run(result.folder)
        frame: Any = kept.frame
        world = station.world
        assert world is not None
        assert not world.excitation.on
        settings = {record.name: record.settings for record in kept.instruments}
        assert settings["lockin_xy"]["wiring"] == "xy"
        for name in ("lockin_xx", "lockin_xy"):
            now = station.instruments[name].settings()
            assert (now["time_constant"], now["filter_slope"], now["synchronous_filter"]) == (0.1, 24, False)
            assert now["sensitivity"] == {"lockin_xx": 1e-3, "lockin_xy": 5e-4}[name]
        sample = world.sample
        r_xx = sample.resistances(0.0, 5.0)[0]
    assert set(frame["leg"]) == {0, 1, 2, 3}
    assert not (frame["flags"].fillna("") != "").any()
    assert frame["field_T"].abs().max() == pytest.approx(0.5, abs=2e-3)
    # The sample's own numbers: R_xx at zero field, and a Hall voltage that is odd in the field but for a misalignment.
    near = frame[frame["field_T"].abs() < 0.02]
    assert float(near["R_xx_ohm"].mean()) == pytest.approx(r_xx, rel=5e-3)
    slope = np.polyfit(frame["field_T"], frame["R_xy_ohm"], 1)[0]
    falling = frame[frame["leg"] == 1].sort_values("field_T")
    rising = frame[frame["leg"] == 2].sort_values("field_T")
    at_T = np.linspace(-0.45, 0.45, 19)
    apart = np.interp(at_T, rising["field_T"], rising["R_xy_ohm"]) - np.interp(
        at_T, falling["field_T"], falling["R_xy_ohm"]
    )
    assert abs(slope) > 1.0
    # The loop is open around zero and closed at its ends.
    assert np.abs(apart[7:12]).max() > 3.0 * np.abs(apart[[0, -1]]).max()


def test_a_lock_in_is_source_and_meter_of_a_loop_at_once(tmp_path: Path):
    drives = 'options = { series_ohm = 1e6 }\npanel_options = { drives = "1 Mohm" }\n'
    path = station_file(tmp_path, (f"{SRS}:SR860", GPIB, drives), (f"{DSP}:DSP7265", GPIB, ""))
    text = path.read_text(encoding="utf-8")
    start = text.index("[instruments.source]")
    text = text[:start] + text[text.index("[instruments.", start + 1) :]
    path.write_text(text.replace('source = "source"', 'source = "lockin_xx"'), encoding="utf-8")
    with Station.open(path, simulate=True, seed=3) as station:
        procedure = HallLoop(max_field_T=0.05, time_constant_s=0.1, settle_window_s=5.0)
        result = Runner(station, tmp_path / "runs").run(procedure)
        assert result.footer.outcome is Outcome.COMPLETED, result.footer.reason
        kept = read_run(result.folder)
        frame: Any = kept.frame
        world = station.world
        assert world is not None
        assert not world.excitation.on
        r_xx = world.sample.resistances(0.0, 5.0)[0]
    assert not (frame["flags"].fillna("") != "").any()
    assert float(frame["R_xx_ohm"].mean()) == pytest.approx(r_xx, rel=5e-3)
    settings = {record.name: record.settings for record in kept.instruments}
    assert settings["lockin_xx"]["series_ohm"] == 1e6


class Follow(Procedure):
    """The voltage along a current that grows fourfold six times, with a lock-in that follows it."""

    columns: ClassVar[tuple[Column, ...]] = (
        Column("current_A", "current rms", "A"),
        Column("x_V", "voltage rms", "V", "readback", "lockin_xx"),
        Column("flags", "what the lock-in said", "", "flags", dtype="str"),
    )

    def duration_s(self) -> float:
        return 100.0

    def acquire(self, station: StationLike) -> Iterator[Step]:
        lockin = station.role("lockin_xx", AutorangingLockIn)
        source = station.role("source", CurrentSource)
        lockin.configure(sensitivity_V=20e-3, time_constant_s=0.01, poles=4)
        lockin.start_autorange(smallest_V=1e-6, largest_V=1.0)
        try:
            for n in range(7):
                source.start_sine(rms_A=1e-7 * 4.0**n, frequency_Hz=177.7)
                yield from wait_until(station.clock, station.clock.now() + 0.5)
                lockin.read_xy()
                for _ in range(40):
                    reading = lockin.read_xy()
                    yield {"current_A": 1e-7 * 4.0**n, "x_V": reading.x_V, "flags": reading.flags}
                    yield from wait_until(station.clock, station.clock.now() + 0.2)
        finally:
            source.output_off()


@pytest.mark.parametrize(
    "driver", ["remanence.instruments.srs:SR830", f"{SRS}:SR860", f"{DSP}:DSP7265"], ids=["SR830", "SR860", "7265"]
)
def test_a_procedure_lets_a_lock_in_follow_its_signal_and_its_rows_say_which_to_leave_out(tmp_path: Path, driver: str):
    path = station_file(tmp_path, (driver, GPIB, ""), ("remanence.instruments.srs:SR830", GPIB, ""))
    with Station.open(path, simulate=True, seed=3) as station:
        result = Runner(station, tmp_path / "runs").run(Follow())
        assert result.footer.outcome is Outcome.COMPLETED, result.footer.reason
        frame: Any = read_run(result.folder).frame
        world = station.world
        assert world is not None
        r_xx = world.sample.resistances(0.0, world.cryostat.sample_K)[0]
    flags = frame["flags"].fillna("")
    assert flags.str.contains("settling").any()
    good = frame[flags == ""]
    assert len(good) > 0.7 * len(frame)
    assert set(good["current_A"]) == set(frame["current_A"])
    # Noise of 25 Hz of bandwidth beside 70 µV, and a part in a hundred is what the cryostat drifts.
    np.testing.assert_allclose(good["x_V"] / good["current_A"], r_xx, rtol=2e-2)
