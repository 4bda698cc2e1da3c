"""MultiVu's sequences and data files: what is measured is the sample, and the files are as the real ones."""

import csv
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from MultiPyVu import DataFile
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError, LimitError, StorageError
from remanence.simulators import multivu, multivu_dat
from remanence.simulators import multivu_sequence as seq
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.multivu import MultiVu
from remanence.simulators.multivu_dat import DatFile, Layout, SampleInfo
from remanence.simulators.multivu_measure import Bench, DcScan, Resistivity, Vsm
from remanence.simulators.sample import load_sample
from remanence.simulators.squid import POINT
from remanence.simulators.world import World, WorldSettings

REAL_FILES = Path(__file__).parents[2] / "shared" / "data"
MAGNET = MagnetSettings(
    0.1, 5.0, 50.0, 6.0, 0.004, ((60.0, 0.8), (92.0, 0.4)), trapped_field_T=4e-3, trapped_play_T=0.5
)  # fmt: skip


def instrument(
    kind: type[MultiVu] = multivu.MPMS3, sample: str = "lao_sto_0p6_J_cm2", start_K: float = 5.0, seed: int = 3
) -> MultiVu:
    cryostat = CryostatSettings(start_K=start_K, cooling_W_per_K=0.05)
    return kind(World(WorldSettings(MAGNET, cryostat, load_sample(sample)), VirtualClock(), seed), "squid")


def measured(
    path: Path, mvu: MultiVu, steps: list[Any], layout: Layout = multivu_dat.MPMS3, bench: Bench | None = None
) -> pd.DataFrame:
    """Run the steps and read the file as public readers do: skip to [Data], then plain CSV."""
    with DatFile(path, layout, mvu.world.clock, SampleInfo("LAO/STO"), local=UTC) as data:
        seq.Sequencer(bench or Bench(mvu), data).run(steps)
    return table(path)


def table(path: Path) -> pd.DataFrame:
    lines = path.read_text(encoding="cp1252").splitlines()
    return pd.read_csv(path, skiprows=lines.index("[Data]") + 1, encoding="cp1252", quoting=csv.QUOTE_MINIMAL)


# Files


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("mpms3_mh_nomad.dat", multivu_dat.MPMS3),
        ("mpms3_zfcfc_magnetopy.dat", multivu_dat.MPMS3_AC),
        ("ppms_resistivity_chameleon.dat", multivu_dat.RESISTIVITY),
    ],
)
def test_header_and_columns_are_those_of_a_real_file(tmp_path: Path, name: str, layout: Layout) -> None:
    if not (REAL_FILES / name).exists():
        pytest.skip("the real files are not here")
    real = (REAL_FILES / name).read_text(encoding="latin-1").splitlines()
    path = tmp_path / "own.dat"
    DatFile(path, layout, VirtualClock()).close()
    own = path.read_text(encoding="cp1252").splitlines()
    start = real.index("[Data]")
    assert own[-1].split(",") == real[start + 1].split(",") == list(layout.columns)
    # Every line of the header in its order: the keys, as values are each instrument's own.
    oven = [line for line in real[:start] if "OVEN_" not in line]
    assert [key(line) for line in own[:-2]] == [key(line) for line in oven]


def key(line: str) -> str:
    words = [word.strip() for word in line.split(",")]
    if words[0] == "INFO":
        return words[1] if words[1] == "APPNAME" else words[-1]
    return line if words[0] in ("FIELDGROUP", "STARTUPAXIS", "STARTUPGROUP", "DATATYPE", "BYAPP") else words[0]


def test_every_row_is_on_disk_when_it_is_written(tmp_path: Path) -> None:
    clock = VirtualClock()
    path = tmp_path / "rows.dat"
    with DatFile(path, multivu_dat.MPMS3, clock) as data:
        for count in range(1, 4):
            clock.sleep(10.0)
            data.write({"Temperature (K)": 5.0, "Moment (emu)": -1.5e-8 * count}, comment=f"row {count}")
            lines = path.read_bytes().decode("cp1252").split("\r\n")
            assert lines[-2].split(",")[4] == f"{-1.5 * count:.15g}E-8"
            assert len(lines[-2].split(",")) == 68
        assert data.rows == 3


@pytest.mark.parametrize(
    ("hours", "zone"), [(0, UTC), (9, ZoneInfo("Asia/Seoul")), (-5, timezone(timedelta(hours=-5)))]
)
def test_times_count_from_1899_on_the_local_clock(tmp_path: Path, hours: int, zone: Any) -> None:
    clock = VirtualClock(datetime(2026, 3, 1, 22, 30, tzinfo=UTC))
    path = tmp_path / "time.dat"
    with DatFile(path, multivu_dat.MPMS3, clock, local=zone) as data:
        clock.sleep(12.345678)
        data.write({})
    stamp = table(path)["Time Stamp (sec)"][0]
    local = datetime(1899, 12, 30) + timedelta(seconds=float(stamp))
    assert abs(local - datetime(2026, 3, 1, 22, 30, 12, 345678) - timedelta(hours=hours)) < timedelta(milliseconds=1)
    opened = next(line for line in path.read_text("cp1252").splitlines() if line.startswith("FILEOPENTIME"))
    clock_face = {0: "03/01/2026,10:30 pm", 9: "03/02/2026,7:30 am", -5: "03/01/2026,5:30 pm"}[hours]
    assert opened.endswith(clock_face)


def test_a_comment_is_quoted_only_for_a_comma_and_a_column_may_hold_half_a_quotation(tmp_path: Path) -> None:
    path = tmp_path / "traps.dat"
    with DatFile(path, multivu_dat.SQUID_VSM, VirtualClock()) as data:
        data.write({"Moment (emu)": 1e-6}, comment="MvsH at 20 °C")
        data.write({"Moment (emu)": 1e-6}, comment="MvsH, 20 C")
    lines = path.read_text("cp1252").splitlines()
    assert lines[-2].startswith("MvsH at 20 °C,")
    assert lines[-1].startswith('"MvsH, 20 C",')
    assert lines[-3].count('"') == 1
    assert 'Lockin Signal" (V)' in lines[-3].split(",")


def test_a_column_that_is_not_there_and_a_file_that_is_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "twice.dat"
    with DatFile(path, multivu_dat.MPMS3, VirtualClock()) as data, pytest.raises(ConfigError, match="no column"):
        data.write({"AC Moment (emu)": 1.0})
    with pytest.raises(StorageError):
        DatFile(path, multivu_dat.MPMS3, VirtualClock())


# Measurements


def test_a_scan_fills_the_dc_columns_and_a_vibration_the_others(tmp_path: Path) -> None:
    mvu = instrument()
    steps = [seq.SetField(1.0, 0.05), seq.Wait(), seq.Measure(DcScan(), 2), seq.Measure(Vsm(), 2)]
    frame = measured(tmp_path / "modes.dat", mvu, steps, bench=Bench(mvu, POINT))
    dc, vsm = frame[frame["Transport Action"] == 6], frame[frame["Transport Action"] == 1]
    assert len(dc) == len(vsm) == 2
    assert vsm.filter(like="DC ").isna().all(axis=None)
    assert dc[["Moment (emu)", "M. Std. Err. (emu)", "Frequency (Hz)", "Measure Count"]].isna().all(axis=None)
    world = mvu.world
    true_emu = 1e3 * world.sample.moment(world.magnet.field(), world.cryostat.sample_K)
    assert dc["DC Moment Fixed Ctr (emu)"].mean() == pytest.approx(true_emu, rel=6e-3)
    assert dc["DC Moment Free Ctr (emu)"].mean() == pytest.approx(true_emu, rel=6e-3)
    assert vsm["Moment (emu)"].mean() == pytest.approx(true_emu, rel=6e-3)
    assert (frame["Temp. Status (code)"] == 1).all()
    assert (frame["Field Status (code)"] == 1).all()
    assert frame["Magnetic Field (Oe)"].to_numpy() == pytest.approx(1e4, abs=0.1)
    assert np.diff(dc["Time Stamp (sec)"]) == pytest.approx(9.2, abs=0.5)


def test_the_shape_of_a_film_makes_its_moment_wrong_as_in_the_real_instrument(tmp_path: Path) -> None:
    mvu = instrument()
    steps = [seq.SetField(1.0, 0.05), seq.Wait(), seq.Measure(DcScan(), 4)]
    frame = measured(tmp_path / "film.dat", mvu, steps)
    true_emu = 1e3 * mvu.world.sample.moment(mvu.world.magnet.field(), mvu.world.cryostat.sample_K)
    # 5 × 5 mm² across the axis of an MPMS3: reported over true is 1.074, as integrated over the film elsewhere.
    assert frame["DC Moment Fixed Ctr (emu)"].mean() / true_emu == pytest.approx(1.074, abs=0.01)


def test_a_loop_shows_the_samples_coercive_field(tmp_path: Path) -> None:
    """The whole way: field, flux trapped in the magnet, sample with its memory, coils, fit, file."""
    mvu = instrument()
    near = tuple(round(0.005 * n, 3) for n in range(-16, 17))
    steps = [
        seq.SetField(2.0, 0.05), seq.Wait(), seq.Remark("falling"), seq.ScanField((*near[::-1], -2.0), 0.05, Vsm(1.0)),
        seq.Remark("rising"), seq.ScanField((*near, 2.0), 0.05, Vsm(1.0)),
    ]  # fmt: skip
    frame = measured(tmp_path / "loop.dat", mvu, steps, bench=Bench(mvu, POINT))
    assert frame["Comment"].dropna().tolist() == ["falling", "rising"]
    film = load_sample("lao_sto_0p6_J_cm2")
    slope_emu_per_oe = 1e3 * 1e-4 * film.substrate_mass_kg * film.substrate_susceptibility_A_m2_per_kg_T
    oersted = frame["Magnetic Field (Oe)"].to_numpy()
    moment = frame["Moment (emu)"].to_numpy() - slope_emu_per_oe * oersted
    half = len(near) + 1
    crossings = []
    for leg in (slice(0, half - 1), slice(half, 2 * half - 1)):
        h, m = oersted[leg], moment[leg]
        order = np.argsort(m)
        crossings.append(float(np.interp(0.0, m[order], h[order])))
    assert crossings[0] < 0.0 < crossings[1]
    # The reported field knows nothing of the 40 Oe that stay trapped, and reads that much too little either way.
    trapped_oe = 40.0 / (1.0 + (0.05 / 0.3) ** 2)
    true_oe = 1e4 * mvu.world.sample.coercive_field(5.0, 1e-3)
    coercive_oe = 0.5 * (crossings[1] - crossings[0])
    assert coercive_oe == pytest.approx(true_oe, abs=60.0)
    assert abs(coercive_oe - true_oe) == pytest.approx(trapped_oe, abs=25.0)


def test_a_sweep_in_temperature_measures_on_the_way(tmp_path: Path) -> None:
    mvu = instrument()
    steps = [
        seq.SetField(0.1, 0.05), seq.Wait(), seq.ScanTemperature((25.0,), 5.0, DcScan(), sweep=True), seq.Measure(DcScan()),
    ]  # fmt: skip
    frame = measured(tmp_path / "mt.dat", mvu, steps, multivu_dat.MPMS3_AC)
    kelvin = frame["Temperature (K)"].to_numpy()
    assert len(frame) > 20
    assert (np.diff(kelvin[:20]) > 0.0).all()
    assert kelvin[-1] == pytest.approx(25.0, rel=1e-3)
    assert set(frame["Temp. Status (code)"][:15]) <= {2, 6}
    assert frame["Temp. Status (code)"].iloc[-1] == 1
    assert (frame["Min. Temperature (K)"] <= frame["Max. Temperature (K)"]).all()
    assert (frame["Max. Temperature (K)"] - frame["Min. Temperature (K)"])[:15].mean() == pytest.approx(0.33, abs=0.12)


def test_temperatures_may_be_waited_for_instead(tmp_path: Path) -> None:
    frame = measured(
        tmp_path / "steps.dat", instrument(), [seq.ScanTemperature((6.0, 8.0, 7.0), 10.0, Vsm(1.0), delay_s=5.0)]
    )
    assert frame["Temperature (K)"].to_numpy() == pytest.approx([6.0, 8.0, 7.0], rel=2e-3)
    assert set(frame["Temp. Status (code)"]) == {1}


def test_a_ppms_measures_resistance_in_its_own_kind_of_file(tmp_path: Path) -> None:
    mvu = instrument(multivu.PPMS, "park2020_deficient")
    steps = [seq.ScanField((0.0, 1.0, 2.0), 0.015, Resistivity(1e-5))]
    path = tmp_path / "rho.dat"
    frame = measured(path, mvu, steps, multivu_dat.RESISTIVITY)
    line = path.read_text("cp1252").splitlines()[-1]
    assert len(line.split(",")) == 23 < len(multivu_dat.RESISTIVITY.columns) == 41
    with DatFile(tmp_path / "digits.dat", multivu_dat.RESISTIVITY, mvu.world.clock) as data:
        data.write({"Bridge 4 Std. Dev. (Ohm-m)": 2.5e-8, "Bridge 3 Resistance (Ohms)": 1.5e16})
    assert (tmp_path / "digits.dat").read_text("cp1252").splitlines()[-1].endswith(",2.5e-008,,,,1.5e+016,")
    world = mvu.world
    r_xx, r_xy = world.sample.resistances(world.magnet.field(), world.cryostat.sample_K)
    assert frame["Bridge 1 Resistance (Ohms)"].iloc[-1] == pytest.approx(r_xx, rel=1e-5)
    assert frame["Bridge 2 Resistance (Ohms)"].iloc[-1] == pytest.approx(r_xy, abs=2e-3)
    assert frame["Bridge 3 Resistance (Ohms)"].isna().all()
    assert frame["Status (code)"].tolist() == [4369] * 3


def test_multipyvus_own_reader_reads_our_files_but_not_a_comment_with_a_comma(tmp_path: Path) -> None:
    path = tmp_path / "theirs.dat"
    measured(path, instrument(), [seq.Remark("no comma"), seq.Measure(Vsm(1.0), 2)])
    frame = DataFile().parse_MVu_data_file(str(path))
    assert len(frame) == 2
    assert frame["Temperature (K)"][0] == pytest.approx(5.0, rel=1e-3)
    assert frame["Comment"][0] == "no comma"
    trap = tmp_path / "trap.dat"
    measured(trap, instrument(), [seq.Remark("M(H), 5 K"), seq.Measure(Vsm(1.0))])
    with pytest.raises(Exception, match="different number of values"):
        DataFile().parse_MVu_data_file(str(trap))


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    steps = [seq.ScanField((0.1, -0.1), 0.05, DcScan()), seq.Measure(Vsm())]
    for name in ("a.dat", "b.dat"):
        measured(tmp_path / name, instrument(), steps)
    assert (tmp_path / "a.dat").read_bytes() == (tmp_path / "b.dat").read_bytes()


# Sequences


def test_a_sequence_is_refused_what_a_client_is_refused(tmp_path: Path) -> None:
    mvu = instrument()
    with DatFile(tmp_path / "no.dat", multivu_dat.MPMS3, mvu.world.clock) as data:
        sequencer = seq.Sequencer(Bench(mvu), data)
        with pytest.raises(LimitError, match="SetField"):
            sequencer.run([seq.SetChamber(1), seq.SetField(8.0, 0.01)])
        with pytest.raises(LimitError, match="SetTemperature"):
            sequencer.run([seq.SetTemperature(500.0, 1.0)])


def test_a_sequence_file_becomes_steps() -> None:
    text = (
        "TMP TEMP 2.000000 20.000000 0\r\nWAI WAITFOR 60 1 0 0 0 0\r\n\r\nFLD FIELD 90000.0 100.0 1 0\r\n"
        "WAI WAITFOR 10 0 1 0 1 0\r\nCHN CHAMBER 1\r\nREM --- done\r\n"
    )
    assert seq.read_sequence(text) == [
        seq.SetTemperature(2.0, 20.0, 0), seq.Wait(60.0, 1), seq.SetField(9.0, pytest.approx(0.01), 1), seq.Wait(10.0, 10),
        seq.SetChamber(1), seq.Remark("--- done"),
    ]  # fmt: skip
    assert seq.read_sequence("FLD FIELD 10.0 1.0 0 0", persistent=True) == [
        seq.SetField(pytest.approx(1e-3), pytest.approx(1e-4), 0, driven=False)
    ]


@pytest.mark.parametrize("line", ["ETOR 'x' 0 2", "TMP TEMP hot 1 0", "WAI WAITFOR 1", "FLD FIELD 1 2 3", "nonsense"])
def test_a_line_that_cannot_be_run_is_named(line: str) -> None:
    with pytest.raises(ConfigError, match="line 2"):
        seq.read_sequence(f"REM first\n{line}\n")


def test_a_real_sequence_is_read_up_to_the_options_own_lines() -> None:
    path = REAL_FILES / "multivu_eto_hall_nomad.seq"
    if not path.exists():
        pytest.skip("the real files are not here")
    with pytest.raises(ConfigError, match=r"line 3: .*ETOR"):
        seq.read_sequence(path.read_text(encoding="latin-1"))
    own = "\n".join(line for line in path.read_text(encoding="latin-1").splitlines() if not line.startswith("ETOR"))
    steps = seq.read_sequence(own)
    assert [step.field_T for step in steps if isinstance(step, seq.SetField)][:3] == pytest.approx([9.0, -9.0, 9.0])
    assert [step.kelvin for step in steps if isinstance(step, seq.SetTemperature)] == [2.0, 2.5, 3.0, 3.5, 4.0]
