"""Other makers' files as they arrive from labs: recognised by content, nothing lost, nothing invented."""

import hashlib
import math
import random
from pathlib import Path

import numpy as np
import pytest
from remanence.core.errors import ConfigError, StorageError
from remanence.storage.readers import ForeignFile, read_foreign, read_micromag, read_quantum_design

SHARED = Path(__file__).parents[2] / "shared" / "data"
real = pytest.mark.skipif(not SHARED.exists(), reason="the files of other labs are not here")

QD_HEAD = """[Header]
; VSM Data File (default extension .dat)
TITLE,film
FILEOPENTIME,3907407619.14099,10/25/2023,3:00 pm
BYAPP,VSM,2.0,3.0
INFO,PPMS VSM Option Release 1.5.2, Build 1,APPNAME
INFO,CoFeB-03,SAMPLE_MATERIAL
INFO,5.3,SAMPLE_MASS
DATATYPE,TIME,2
[Data]
"""
QD_NAMES = "Comment,Time Stamp (sec),Temperature (K),Magnetic Field (Oe),Moment (emu),M. Std. Err. (emu)\n"
QD_ROWS = """,3907409041.5,5.01,20000,1.5E-3,2E-6
,3907409051.5,5.02,-100,1.25E-3,2E-6
saturated,,,,,
,3907409061.5,5.03,-20000,-1.5E-3,2E-6
"""
QD = QD_HEAD + QD_NAMES + QD_ROWS


def written(folder: Path, content: "str | bytes", name: str = "run.dat") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def columns(file: ForeignFile, *names: str) -> list[list[float]]:
    return [file.frame[name].tolist() for name in names]


def expect_the_three_rows(file: ForeignFile) -> None:
    assert file.frame["field_T"].tolist() == pytest.approx([2.0, -0.01, -2.0])
    assert file.frame["moment_Am2"].tolist() == pytest.approx([1.5e-6, 1.25e-6, -1.5e-6])
    assert file.frame["temperature_K"].tolist() == [5.01, 5.02, 5.03]


def test_a_vsm_file_gives_our_columns_in_si_and_keeps_its_own(tmp_path: Path):
    path = written(tmp_path, QD)
    file = read_foreign(path)
    expect_the_three_rows(file)
    assert file.kind == "Quantum Design VSM"
    assert file.frame["time_s"].tolist() == [0.0, 10.0, 20.0]
    assert file.frame["moment_u_Am2"].tolist() == pytest.approx([2e-9] * 3)
    assert file.raw["Time Stamp (sec)"].iloc[0] == 3907409041.5
    assert file.raw["Comment"].tolist() == ["", "", "saturated", ""]
    assert file.raw.index.tolist() == [12, 13, 14, 15]
    assert file.frame.index.tolist() == [12, 13, 15]
    assert file.sources["moment_Am2"] == "Moment (emu)"
    assert file.units["field_T"] == "Oe"
    assert file.header == QD_HEAD.rstrip("\n")
    assert file.info["SAMPLE_MASS"] == "5.3"
    assert file.info["APPNAME"] == "PPMS VSM Option Release 1.5.2, Build 1"
    assert file.sample == "CoFeB-03"
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.problems == ()


TABS = QD.replace(",", "\t").replace("\n", "\t\t\n")
SEMICOLONS = (
    QD_HEAD
    + QD_NAMES.replace(",", ";")
    + ";3907409041,5;5,01;20000;1,5E-3;2E-6\n;3907409051,5;5,02;-100;1,25E-3;2E-6\n;3907409061,5;5,03;-20000;-1,5E-3;2E-6\n"
)
DRESSED = {
    "with CRLF": QD.replace("\n", "\r\n").encode(),
    "with CR alone": QD.replace("\n", "\r").encode(),
    "with line ends doubled": QD.replace("\n", "\r\r\n").encode(),
    "with a UTF-8 mark": QD.encode("utf-8-sig"),
    "as Unicode text": QD.encode("utf-16"),
    "in Windows-1252": QD.replace("film", "5 µm film, 90°").encode("cp1252"),
    "saved by a spreadsheet with TABs": TABS.encode(),
    "with decimal commas": SEMICOLONS.encode(),
    "with decimal commas in quotes": (
        QD_HEAD + QD_NAMES + ',"3907409041,5","5,01",20000,"1,5E-3",2E-6\n,"3907409051,5","5,02",-100,"1,25E-3",2E-6\n'
        ',"3907409061,5","5,03",-20000,"-1,5E-3",2E-6\n'
    ).encode(),
    "with its keys in lower case": (QD_HEAD.lower() + QD_NAMES + QD_ROWS).encode(),
    "with its keys in capitals": (QD_HEAD.upper() + QD_NAMES + QD_ROWS).encode(),
    "without [Data]": QD.replace("[Data]\n", "").encode(),
    "without any header": (QD_NAMES + QD_ROWS).encode(),
    "with an empty line after the names": (QD_HEAD + QD_NAMES + "\n" + QD_ROWS).encode(),
    "with an empty line before the names": (QD_HEAD + "\n" + QD_NAMES + QD_ROWS).encode(),
    "with separators after the last column": (QD_HEAD + QD_NAMES + QD_ROWS.replace("2E-6\n", "2E-6,,\n")).encode(),
}


@pytest.mark.parametrize("dress", DRESSED)
def test_the_same_file_in_another_dress_gives_the_same_numbers(tmp_path: Path, dress: str):
    file = read_foreign(written(tmp_path, DRESSED[dress], "no-extension"))
    expect_the_three_rows(file)
    assert file.frame["time_s"].tolist() == [0.0, 10.0, 20.0]
    assert file.problems == ()


@pytest.mark.parametrize(
    ("names", "unit", "factor"),
    [
        ("Moment (emu)", "emu", 1e-3), ("Moment (A·m²)", "A·m²", 1.0), ("Moment (Am^2)", "Am^2", 1.0),
        ("Moment (A m2)", "A m2", 1.0), ("Moment (memu)", "memu", 1e-6), ("Long Moment (emu)", "emu", 1e-3),
        ("M-DC (emu)", "emu", 1e-3), ("DC Moment Free Ctr (emu)", "emu", 1e-3), ("moment (EMU)", "EMU", 1e-3),
    ],
)  # fmt: skip
def test_a_moment_keeps_the_unit_it_came_with(tmp_path: Path, names: str, unit: str, factor: float):
    file = read_foreign(written(tmp_path, QD.replace("Moment (emu)", names)))
    assert file.units["moment_Am2"] == unit
    assert file.frame["moment_Am2"].iloc[0] == pytest.approx(1.5e-3 * factor)


@pytest.mark.parametrize(
    ("names", "factor"),
    [("Field (Oe)", 1e-4), ("Magnetic Field (Oersted)", 1e-4), ("Magnetic Field (T)", 1.0), ("Magnetic Field (mT)", 1e-3),
     ("Magnetic Field (kOe)", 0.1), ("Field (A/m)", 4e-7 * math.pi)],
)  # fmt: skip
def test_a_field_is_converted_by_its_own_unit(tmp_path: Path, names: str, factor: float):
    file = read_foreign(written(tmp_path, QD.replace("Magnetic Field (Oe)", names)))
    assert file.frame["field_T"].iloc[0] == pytest.approx(2e4 * factor)


@pytest.mark.parametrize("unit", ["(emu/g)", "(uB/f.u.)", "(Memu)", ""])
def test_what_is_not_a_moment_is_not_taken_for_one(tmp_path: Path, unit: str):
    file = read_foreign(written(tmp_path, QD.replace("Moment (emu)", f"Moment {unit}")))
    assert "moment_Am2" not in file.frame
    assert any("not one of a moment" in problem for problem in file.problems)


def test_of_two_ways_to_fit_the_centre_the_fixed_one_is_taken_and_the_other_named(tmp_path: Path):
    both = QD.replace("Moment (emu),M. Std. Err. (emu)", "DC Moment Free Ctr (emu),DC Moment Fixed Ctr (emu)")
    file = read_foreign(written(tmp_path, both))
    assert file.sources["moment_Am2"] == "DC Moment Fixed Ctr (emu)"
    assert any("DC Moment Free Ctr" in note for note in file.notes)
    chosen = read_foreign(written(tmp_path, both), moment="dc moment free ctr")
    assert chosen.sources["moment_Am2"] == "DC Moment Free Ctr (emu)"
    with pytest.raises(ConfigError, match="no column 'nope'"):
        read_foreign(written(tmp_path, both), moment="nope")


def test_rows_that_one_column_lacks_are_counted_not_filled_from_another(tmp_path: Path):
    names = "Temperature (K),Magnetic Field (Oe),Moment (emu),DC Moment Fixed Ctr (emu)\n"
    file = read_foreign(written(tmp_path, QD_HEAD + names + "5,1,1e-3,\n5,2,2e-3,\n5,3,,9e-3\n"))
    assert file.frame["moment_Am2"].isna().tolist() == [False, False, True]
    assert any("1 rows have only the latter" in note for note in file.notes)


def test_a_single_scan_has_no_scatter_and_is_not_perfect(tmp_path: Path):
    xl = """[Header]
TITLE,MPMS DC Measurement
BYAPP,MPMS Measurement,2.1,Summary
INFO, NAME, 053001B - Ta/Co(120)
INFO, WEIGHT, 3.000
[Data]
Time,Comment,Field (Oe),Temperature (K),Long Moment (emu),Long Scan Std Dev
992641015.2,,100,5,1e-3,0
992641025.2,,50,5,9e-4,1e-6
"""
    file = read_foreign(written(tmp_path, xl))
    assert file.kind == "Quantum Design MPMS Measurement"
    assert math.isnan(file.frame["moment_u_Am2"].iloc[0])
    assert file.frame["moment_u_Am2"].iloc[1] == pytest.approx(1e-9)
    assert file.frame["time_s"].tolist() == pytest.approx([0.0, 10.0])
    assert (file.sample, file.info["WEIGHT"]) == ("053001B - Ta/Co(120)", "3.000")


RESISTIVITY = """[Header]
BYAPP, Resistivity, 2.1, 1.0
INFO, APPNAME, PPMS MultiVu Application, 1.5.11
INFO, 12.5, Sample3 Cross Section
[Data]
Comment,Time Stamp (sec),Temperature (K),Magnetic Field (Oe),Bridge 1 Resistance (Ohms),Bridge 2 Resistance (Ohms),Signal (V),Map 20 ()
,1,10,100,,0.5
,2,11,200,,0.25
,3,12,300,,0.125
"""


def test_rows_that_end_before_the_header_does_are_whole(tmp_path: Path):
    file = read_foreign(written(tmp_path, RESISTIVITY), channels={"R_xy_ohm": "Bridge 2 Resistance"})
    assert file.frame["bridge_2_resistance_ohm"].tolist() == [0.5, 0.25, 0.125]
    assert file.frame["R_xy_ohm"].tolist() == [0.5, 0.25, 0.125]
    assert file.raw.shape == (3, 8)
    assert file.problems == ()
    assert file.info["APPNAME"] == "PPMS MultiVu Application, 1.5.11"
    assert file.info["SAMPLE3 CROSS SECTION"] == "12.5"
    with pytest.raises(ConfigError, match="not a resistance"):
        read_foreign(tmp_path / "run.dat", channels={"R_xy_ohm": "Temperature (K)"})


@pytest.mark.parametrize(
    ("content", "rows", "said"),
    [
        (QD + ",3907409071.5,5.0,-100,-1", 3, "run.dat:16: the last line is cut short (5 of 6 fields): left out"),
        (QD + ",3907409071.5,5.0,-100,-1E-3,2E", 4, "run.dat:16: the last line has no end"),
        (QD + ",3907409071.5,5.0,####,-1E-3,2E-6\n", 4, "run.dat:16: '####' in Magnetic Field (Oe) is not a number"),
        (QD + ",3907409071.5,5.0,1,-1E-3,2E-6,7\n", 3, "run.dat:16: 7 fields under 6 column names: the row is left out"),
        (QD + QD_ROWS * 5 + ",3907409071.5,5.0,-1\n" + QD_ROWS, 22, "run.dat:36: 4 fields where others have 6"),
        (QD + "\0" * 512, 3, "ends with 512 zero bytes"),
        (QD_HEAD + QD_NAMES, 0, "run.dat:12: the data section is empty"),
        (QD.replace("(Oe)", "(furlong)"), 3, "unit of the column Magnetic Field (furlong) is not known"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line_and_nothing_is_made_up(tmp_path: Path, content: str, rows: int, said: str):
    file = read_foreign(written(tmp_path, content))
    assert len(file.frame) == rows
    assert any(said in problem for problem in file.problems), file.problems
    if rows:
        assert file.frame["moment_Am2"].abs().max() <= 1.5e-6


def test_a_hundred_problems_of_one_kind_are_told_three_times_and_counted(tmp_path: Path):
    file = read_foreign(written(tmp_path, QD + ",1,x,1,1e-3,1e-6\n" * 100))
    assert len(file.problems) == 4
    assert "97 more lines" in file.problems[-1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"), ("\n \n", "the file is empty"), (b"\x89PNG\0\0\1\2", "not a text file"),
        ("a,b\n1,2\n", "neither a run of ours"), (QD_HEAD, "no line of column names"),
        ("#Procedure: <x.Y>\n#Data:\nField (Oe),Temperature (K)\n1,2\n", "neither a run of ours"),
        (QD_HEAD + QD_NAMES.replace(",", ";") + ";1;5;100,123;1E-3;1e-6\n", "1,234 may mean two things"),
        (QD_HEAD + QD_NAMES + ",1,5,0,100,5,1,5E-3,1E-6\n", "more fields than there are column names"),
        (QD_HEAD + "Comment,Time Stamp (sec),Raw Position (mm),Raw Voltage (V)\n,1,2,3\n", "raw SQUID scans"),
    ],
)  # fmt: skip
def test_what_is_not_theirs_or_is_ambiguous_is_refused_with_one_sentence(
    tmp_path: Path, content: "str | bytes", said: str
):
    with pytest.raises(ConfigError, match=said):
        read_foreign(written(tmp_path, content))


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path: Path):
    with pytest.raises(StorageError, match="cannot be opened"):
        read_foreign(tmp_path / "none.dat")
    with pytest.raises(ConfigError, match="folder"):
        read_foreign(tmp_path)
    with pytest.raises(ConfigError, match="not a Quantum Design"):
        read_quantum_design(written(tmp_path, "hello"))
    with pytest.raises(ConfigError, match="not a MicroMag"):
        read_micromag(written(tmp_path, "hello"))


def broken(content: bytes, rnd: random.Random) -> bytes:
    """`content` as bad disks, editors and cables leave it."""
    data = bytearray(content)
    for _ in range(rnd.choice([1, 2, 5, 20])):
        at = rnd.randrange(len(data) + 1)
        match rnd.randrange(4):
            case 0:
                data[at : at + 1] = bytes([rnd.choice(b',;\t\n\r"0.-+eE()[]\0\xff\xb5 Am')])
            case 1:
                del data[at : at + rnd.randrange(1, 60)]
            case 2:
                data[at:at] = bytes(rnd.choice(b',;\t\n"0123.-e []()') for _ in range(rnd.randrange(1, 20)))
            case _:
                data = data[:at]
    return bytes(data)


def test_a_damaged_file_is_read_or_refused_and_never_ends_in_a_traceback(tmp_path: Path):
    rnd = random.Random(5)
    whole = [QD.encode(), TABS.encode(), SEMICOLONS.encode(), RESISTIVITY.encode(), micromag().encode("cp1252")]
    read = 0
    for n in range(600):
        try:
            file = read_foreign(written(tmp_path, broken(whole[n % len(whole)], rnd)))
        except ConfigError:
            continue
        read += 1
        assert file.frame.index.is_unique
    assert 100 < read < 600


# ---- MicroMag

FIELDS_T = (1.0, 0.5, -0.5, -1.0, -0.5, 0.5, 1.0)


def micromag(
    system: str = "Hybrid SI", series: str = "0016.002", what: str = "Direct moment vs. field; Hysteresis loop",
    adjusted: bool = True, units_line: bool = True, closing: bool = True, virgin: bool = False,
) -> str:  # fmt: skip
    field, moment, field_name, moment_name = {
        "Hybrid SI": (1.0, 1.0, "(T)", "(Am²)"), "cgs": (1e4, 1e3, "(Oe)", "(emu)"), "SI": (1e7 / (4 * math.pi), 1.0, "(A/m)", "(Am²)"),
    }[system]  # fmt: skip
    wide = 32 if series.startswith("0016") else 24
    values = {
        "Configuration": "VSM", "Units of measure": system, "Temperature in": "Kelvin", "Temperature (measured)": "+295.0000E+00",
        "Slope correction": f"{-1e-6 * moment / field:+.6E}", "Saturation": f"{5e-6 * moment:+.6E}",
        "Remanence": f"{3e-6 * moment:+.6E}", "Coercivity": f"{0.05 * field:+.6E}", "Number of data": "7",
    }  # fmt: skip
    lines = [f"MicroMag 2900/3900 Data File (Series {series})", what, "", "INSTRUMENT"]
    lines += [f"{key:<{wide}}{value}" for key, value in values.items()]
    lines += ["", "Segment   Averaging      Initial  ", " Number      Time         Field   "]
    ends = (2, 4, 7) if virgin else (0, 4, 7)
    lines += [f"000000{n},+1.0E-01,+1.0E+00,{end:07d}" for n, end in enumerate(ends, 1)] + [""]
    one = f"{'Field':^14}{'Moment':^14}"
    lines += [("     Raw           Raw         Adjusted      Adjusted  " if adjusted else "")]
    lines += [one * 2 if adjusted else one]
    if units_line:
        unit = f"{field_name:^14}{moment_name:^14}"
        lines += [unit * 2 if adjusted else unit]
    for n, field_T in enumerate(FIELDS_T):
        moment_Am2 = math.copysign(4e-6, field_T)
        pair = f"{field_T * field:+.6E},{moment_Am2 * moment:+.6E}"
        lines += [pair + ("," + f"{field_T * field:+.6E},{1.25 * moment_Am2 * moment:+.6E}" if adjusted else "")]
        lines += [""] if n == 3 else []
    lines += ["", "MicroMag 2900/3900 Data File ends"] if closing else []
    return "\r\n".join(lines) + "\r\n"


@pytest.mark.parametrize("system", ["Hybrid SI", "cgs", "SI"])
@pytest.mark.parametrize("series", ["0015", "0016", "0016.002"])
@pytest.mark.parametrize("adjusted", [True, False])
@pytest.mark.parametrize("units_line", [True, False])
def test_a_micromag_loop_is_the_same_in_every_firmware_and_unit(
    tmp_path: Path, system: str, series: str, adjusted: bool, units_line: bool
):
    text = micromag(system, series, adjusted=adjusted, units_line=units_line)
    file = read_foreign(written(tmp_path, text.encode("cp1252"), "H11"))
    assert file.kind == "MicroMag VSM"
    assert file.frame["field_T"].tolist() == pytest.approx(list(FIELDS_T), rel=1e-6)
    assert file.frame["moment_Am2"].tolist() == pytest.approx([math.copysign(4e-6, f) for f in FIELDS_T])
    assert file.frame["leg"].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert set(file.frame["temperature_K"]) == {295.0}
    assert file.made_by == pytest.approx(
        {"saturation_Am2": 5e-6, "remanence_Am2": 3e-6, "coercivity_T": 0.05, "slope_Am2_per_T": -1e-6}, rel=1e-5
    )
    if adjusted:
        assert file.frame["adjusted_moment_Am2"].iloc[0] == pytest.approx(5e-6)
    assert file.problems == ()


def test_a_codepage_without_a_superscript_and_degrees_celsius(tmp_path: Path):
    text = micromag().replace("Kelvin", "Celsius").replace("+295.0000E+00", "+21.85000E+00").encode("cp437")
    file = read_foreign(written(tmp_path, text))
    assert file.units["moment_Am2"].startswith("Am")
    assert set(file.frame["temperature_K"]) == {295.0}


def test_the_first_rise_is_a_leg_of_its_own(tmp_path: Path):
    file = read_foreign(written(tmp_path, micromag(virgin=True).encode("cp1252")))
    assert file.frame["leg"].tolist() == [0, 0, 1, 1, 2, 2, 2]


def test_a_micromag_file_that_was_cut_says_so(tmp_path: Path):
    whole = micromag(closing=False).encode("cp1252").rstrip()
    file = read_foreign(written(tmp_path, whole[:-4]))
    assert len(file.frame) == 6
    said = " ".join(file.problems)
    for words in (
        "the last line is cut short: left out",
        "closing line is missing",
        "header tells 7 rows, and there are 6",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Hysteresis loop", "First-order reversal curves", "no hysteresis loop"),
        ("Direct moment vs. field; Hysteresis loop", "Remanence curves:  DCD", "no hysteresis loop"),
        ("Hybrid SI", "cgs      ", "the header says cgs, but the columns are in"),
        ("(Am²)", "(*)  ", "not in a field and a moment"),
    ],
)  # fmt: skip
def test_a_micromag_file_that_could_give_wrong_numbers_is_refused(tmp_path: Path, old: str, new: str, said: str):
    with pytest.raises(ConfigError, match=said):
        read_foreign(written(tmp_path, micromag().replace(old, new).encode("cp1252")))


def test_units_that_nobody_tells_are_not_guessed(tmp_path: Path):
    text = micromag(units_line=False).replace("Hybrid SI", "furlongs ")
    with pytest.raises(ConfigError, match="units of field and moment are not told"):
        read_foreign(written(tmp_path, text))


@pytest.mark.parametrize(("code", "field", "moment"), [("0", 1e-4, 1e-3), ("2", 1.0, 1.0)])
def test_an_old_file_of_one_header_line(tmp_path: Path, code: str, field: float, moment: float):
    head = ["MicroMag 2900", "8"] + ["0"] * 27 + [code, "x"]
    file = read_foreign(written(tmp_path, ",".join(head) + "\n+1.0E+00,+2.0E-03\n-1.0E+00,-2.0E-03\n"))
    assert columns(file, "field_T", "moment_Am2") == [
        pytest.approx([field, -field]), pytest.approx([2e-3 * moment, -2e-3 * moment]),
    ]  # fmt: skip


# ---- real ones


@real
@pytest.mark.parametrize(
    ("name", "kind", "rows", "has"),
    [
        ("mpms3_mh_nomad.dat", "Quantum Design MPMS3", 1122, "moment_Am2"),
        ("mpms3_mh_tsv_magnetopy.dat", "Quantum Design SQUID AC", 141, "moment_Am2"),
        ("mpms3_zfcfc_magnetopy.dat", "Quantum Design MPMS3 w/ AC", 504, "moment_Am2"),
        ("ppms_resistivity_chameleon.dat", "Quantum Design Resistivity", 359, "bridge_3_resistance_ohm"),
        ("micromag_0016_h11_hystlab.hys", "MicroMag VSM", 802, "moment_Am2"),
    ],
)
def test_a_real_file_is_read_whole(name: str, kind: str, rows: int, has: str):
    file = read_foreign(SHARED / name)
    assert (file.kind, len(file.frame), file.problems) == (kind, rows, ())
    assert np.isfinite(file.frame[["field_T", has]].to_numpy()).all()


@real
def test_the_makers_own_values_stand_beside_the_loop():
    made_by = read_foreign(SHARED / "micromag_0016_h11_hystlab.hys").made_by
    assert made_by["coercivity_T"] == pytest.approx(0.1464152)
    assert made_by["saturation_Am2"] == pytest.approx(5.831537e-6)


@real
@pytest.mark.parametrize("name", ["README.md", "multivu_eto_hall_nomad.seq", "pymeasure_results_parameters.csv"])
def test_a_real_file_of_another_kind_is_refused(name: str):
    with pytest.raises(ConfigError, match="neither a run of ours"):
        read_foreign(SHARED / name)
