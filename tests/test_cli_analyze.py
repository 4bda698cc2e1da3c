"""`remanence analyze` over other makers' files and over runs, as a person meets it."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from remanence.cli.analyze import analyze_files
from remanence.core.errors import ConfigError
from remanence.core.records import Estimate, EstimateStatus, Measured
from remanence.engine.analysis_options import read_options, split_options
from remanence.engine.analysis_pieces import pieces_of, with_history
from remanence.engine.analysis_record import AnalysisRecord, Source, code_version, sha256_of
from remanence.engine.analysis_values import in_words, label_of, unit_of

sys.path.insert(0, str(Path(__file__).parent))
import transport_runs

SHARED = Path(__file__).parents[2] / "shared" / "data"
real = pytest.mark.skipif(not SHARED.exists(), reason="the files of other labs are not here")

COERCIVE_OE, SATURATION_EMU = 450.0, 1e-5


def loop_rows(temperature_K: float = 5.0, seed: int = 1, coercive_Oe: float = COERCIVE_OE) -> list[str]:
    """An M(H) loop as MultiVu writes it: +7 T to −7 T and back, a tanh on a diamagnetic line, 10 nemu of noise."""
    rng = np.random.default_rng(seed)
    low = np.arange(0.0, 1500.0, 50.0)
    half = np.concatenate([low, np.geomspace(1500.0, 10_000.0, 16), np.arange(15_000.0, 70_001.0, 5000.0)])
    down = np.concatenate([half[::-1], -half[1:]])
    rows = []
    for field_Oe, sign in [(h, -1.0) for h in down] + [(h, 1.0) for h in -down]:
        field_Oe += rng.normal(0.0, 0.05)  # no magnet comes to the same field twice
        moment = SATURATION_EMU * math.tanh((field_Oe - sign * coercive_Oe) / 300.0) - 7.04e-9 * field_Oe
        moment += rng.normal(0.0, 1e-8)
        rows.append(f",{len(rows)},{temperature_K + rng.normal(0, 1e-3):.5f},{field_Oe:.3f},{moment:.9e},1e-8")
    return rows


HEAD = ["[Header]", "BYAPP,VSM,2.0,3.0", "INFO,CoFeB-03,SAMPLE_MATERIAL", "[Data]"]
NAMES = "Comment,Time Stamp (sec),Temperature (K),Magnetic Field (Oe),Moment (emu),M. Std. Err. (emu)"


def dat(folder: Path, rows: list[str], name: str = "film.dat") -> Path:
    path = folder / name
    path.write_text("\n".join([*HEAD, NAMES, *rows]) + "\n", encoding="utf-8")
    return path


def analyze(*paths: Path, json: bool = False, figure: bool = False, **asked: object) -> int:
    return analyze_files(paths, json=json, figure=figure, **asked)  # type: ignore[arg-type]


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_loop_from_a_magnetometer_gives_its_coercive_field_in_the_units_of_the_field(tmp_path: Path, capsys):
    path = dat(tmp_path, loop_rows())
    assert analyze(path) == 0
    told = capsys.readouterr()
    for words in ("magnetisation loop", "B_C", "mT", "Oe", "m_S", "µemu", "A·m²", "comes from", "5 K"):
        assert words in told.out, words
    assert "film.dat: Quantum Design VSM, CoFeB-03" in told.err
    assert str(tmp_path / "film.dat.analysis" / "magnetisation_loop.json") in told.err


def test_the_record_tells_which_data_code_and_options_gave_the_numbers(tmp_path: Path, capsys):
    path = dat(tmp_path, loop_rows())
    assert analyze(path, json=True, options=["area_m2=25 ± 0.5 mm^2"]) == 0
    (line,) = objects(capsys.readouterr().out)
    kept = json.loads((tmp_path / "film.dat.analysis" / "magnetisation_loop.json").read_text(encoding="utf-8"))
    assert {key: line[key] for key in kept} == kept
    assert kept["schema"] == 1
    assert kept["analysis"] == "magnetisation_loop"
    assert kept["software"] == {"remanence": code_version()}
    assert kept["inputs"] == [{"path": str(path), "kind": "Quantum Design VSM", "sha256": sha256_of(path)}]
    assert kept["options"]["area_m2"] == {"value": pytest.approx(25e-6), "u": pytest.approx(5e-7)}
    coercive = kept["values"]["coercive_field_T"]
    assert abs(coercive["value"] - COERCIVE_OE * 1e-4) < 4 * coercive["u"]
    assert coercive["unit"] == "T"
    saturation = kept["values"]["saturation_moment_Am2"]
    assert abs(saturation["value"] - SATURATION_EMU * 1e-3) < 4 * saturation["u"]
    assert kept["budget"]
    assert kept["lines"] == f"line 6–{5 + len(loop_rows())}"


def test_two_loops_in_one_file_are_two_analyses_with_a_figure_each(tmp_path: Path, capsys):
    rows = [row for k, kelvin in enumerate((5.0, 10.0)) for row in loop_rows(kelvin, k, 450.0 - 10 * k)]
    path = dat(tmp_path, rows)
    out = tmp_path / "results"
    assert analyze(path, json=True, figure=True, out=out, formats=["svg"]) == 0
    found = objects(capsys.readouterr().out)
    assert [entry["piece"] for entry in found] == ["5 K", "10 K"]
    assert {file.name for file in out.iterdir()} == {
        f"film-magnetisation_loop-{piece}.{ending}" for piece in ("1-5K", "2-10K") for ending in ("json", "png", "svg")
    }
    assert (out / "film-magnetisation_loop-1-5K.png").read_bytes().startswith(b"\x89PNG")
    assert "µ₀H (T)" in (out / "film-magnetisation_loop-1-5K.svg").read_text(encoding="utf-8")


def test_the_same_data_give_the_same_figure_to_the_byte(tmp_path: Path, capsys):
    path = dat(tmp_path, loop_rows())
    figure = tmp_path / "film.dat.analysis" / "magnetisation_loop.png"
    assert analyze(path, figure=True) == 0
    first = figure.read_bytes()
    assert analyze(path, figure=True) == 0
    assert figure.read_bytes() == first
    assert not list(figure.parent.glob("*.part"))


def test_what_may_not_be_said_is_exit_7_with_the_reason(tmp_path: Path, capsys):
    path = dat(tmp_path, loop_rows()[:20])
    assert analyze(path, figure=True) == 7
    told = capsys.readouterr()
    assert "waiting" in told.out or "not resolved" in told.out
    assert (tmp_path / "film.dat.analysis" / "magnetisation_loop.png").exists(), "the rows are drawn all the same"
    assert "B_C" not in told.out


@pytest.mark.parametrize(
    ("asked", "said", "do"),
    [
        ({"method": "ahe"}, "ahe is no method", "magnetisation"),
        ({"method": "hall"}, "nothing in it for the method hall", "field_T"),
        ({"options": ["layer=3"]}, "layer is no option", "did you mean 'layers'"),
        ({"options": ["area_m2=25 mm^2"]}, "area_m2 needs a standard uncertainty", "±"),
        ({"options": ["area_m2=25 ± 0.5 mT"]}, "cannot be given in", ""),
        ({"options": ["trapped_u_T=4"]}, "has no unit", "4 T"),
        ({"options": ["nonsense"]}, "is not KEY=VALUE", ""),
        ({"options": ["layers=3", "layers=4"]}, "given twice", ""),
        ({"options": ["layers=3"]}, "layers needs area_m2", ""),
        ({"options": ["moment=Long Moment"]}, "no column 'Long Moment'", "Moment (emu)"),
        ({"formats": ["jpg"]}, "jpg is no format", "svg"),
    ],
)
def test_a_wrong_question_is_answered_with_one_sentence(tmp_path: Path, asked: dict[str, object], said: str, do: str):
    with pytest.raises(ConfigError) as refused:
        analyze(dat(tmp_path, loop_rows()), **asked)
    assert said in refused.value.what
    assert do in refused.value.do


def test_resistances_are_asked_about_by_their_names(tmp_path: Path):
    path = tmp_path / "hall.dat"
    names = "Time Stamp (sec),Temperature (K),Magnetic Field (Oe),Bridge 1 Resistance (Ohms),Bridge 2 Resistance (Ohms)"
    path.write_text("\n".join([*HEAD, names, *(f"{i},5,{i * 100},{i},{2 * i}" for i in range(20))]), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        analyze(path)
    assert "no moment and no Hall resistance" in refused.value.what
    assert "'Bridge 2 Resistance (Ohms)'" in refused.value.do
    with pytest.raises(ConfigError, match="must be told time_constant_s and poles"):
        analyze(path, options=["R_xy=Bridge 2 Resistance"])


def test_two_bands_from_another_makers_bridges(tmp_path: Path, capsys):
    run = transport_runs.frame(transport_runs.Truth(turns_T=(0.0, 9.0, -9.0, 9.0), step_T=0.1))
    rows = [
        f"{row.time_s},{row.temperature_K:.5f},{row.field_T * 1e4:.4f},{row.R_xx_ohm:.9e},{row.R_xy_ohm:.9e}"
        for row in run.itertuples()
    ]
    names = "Time Stamp (sec),Temperature (K),Magnetic Field (Oe),Bridge 1 Resistance (Ohms),Bridge 2 Resistance (Ohms)"
    path = tmp_path / "bands.dat"
    path.write_text("\n".join([*HEAD, names, *rows]) + "\n", encoding="utf-8")
    channels = ["R_xx=Bridge 1 Resistance", "R_xy=Bridge 2 Resistance"]
    code = analyze(path, method="two-band", figure=True, options=channels)
    told = capsys.readouterr()
    assert code in (0, 7)
    assert "two band" in told.out
    assert (tmp_path / "bands.dat.analysis" / "two_band.png").exists()
    if code == 0:
        for words in ("n₁", "µ₂", "cm⁻²", "cm²/Vs", "± of n₁ comes from"):
            assert words in told.out


def test_a_folder_that_takes_nothing_is_told_and_the_numbers_still_come(tmp_path: Path, capsys):
    path = dat(tmp_path, loop_rows())
    (tmp_path / "film.dat.analysis").write_text("a file where the folder should be", encoding="utf-8")
    assert analyze(path, figure=True) == 0
    told = capsys.readouterr()
    assert "the analysis could not be kept" in told.err
    assert "B_C" in told.out


def test_one_bad_file_among_several_does_not_keep_the_others_from_it(tmp_path: Path, capsys):
    bad = tmp_path / "bad.dat"
    bad.write_text("hello\n", encoding="utf-8")
    good = dat(tmp_path, loop_rows())
    assert analyze(bad, good, tmp_path / "none.dat", json=True) == 3
    first, second, third = objects(capsys.readouterr().out)
    assert "neither a run of ours" in str(first["error"])
    assert second["status"] == "resolved"
    assert "no such run or file" in str(third["error"])
    with pytest.raises(ConfigError, match="neither a run"):
        analyze(bad)


def test_one_band_is_asked_for_by_name(tmp_path: Path, capsys):
    truth = transport_runs.Truth((2e17,), (0.03,), turns_T=(0.0, 5.0, -5.0, 5.0), step_T=0.1)
    run = transport_runs.frame(truth)
    rows = [f"{row.time_s},5,{row.field_T * 1e4:.4f},{row.R_xx_ohm:.9e},{row.R_xy_ohm:.9e}" for row in run.itertuples()]
    names = "Time Stamp (sec),Temperature (K),Magnetic Field (Oe),Bridge 1 Resistance (Ohms),Bridge 2 Resistance (Ohms)"
    path = tmp_path / "one.dat"
    path.write_text("\n".join([*HEAD, names, *rows]) + "\n", encoding="utf-8")
    channels = ["R_xx=Bridge 1 Resistance", "R_xy=Bridge 2 Resistance"]
    assert analyze(path, method="single-band", json=True, figure=True, options=channels) == 0
    (told,) = objects(capsys.readouterr().out)
    density = told["values"]["density_per_m2"]  # type: ignore[index]
    assert abs(density["value"] - 2e17) < 5 * density["u"]
    assert density["unit"] == "1/m^2"
    assert (tmp_path / "one.dat.analysis" / "single_band.png").exists()


def zfc_fc_rows() -> list[str]:
    """ZFC and FC in 10 mT on warming; the gap of 1 µemu at 5 K closes at 60 K."""
    rng = np.random.default_rng(4)
    rows = []
    for gap in (1.0, 0.0):
        for kelvin in np.arange(5.0, 150.0, 1.5):
            moment = 2e-6 - 4e-9 * kelvin - gap * 1e-6 * max(0.0, 1.0 - (kelvin - 5.0) / 55.0)
            rows.append(f",{len(rows)},{kelvin:.4f},100.07,{moment + rng.normal(0.0, 2e-9):.9e},2e-9")
    return rows


def test_zero_field_cooled_and_field_cooled_are_one_question(tmp_path: Path, capsys):
    path = dat(tmp_path, zfc_fc_rows())
    assert analyze(path, json=True, figure=True) == 0
    (told,) = objects(capsys.readouterr().out)
    assert (told["analysis"], told["piece"]) == ("temperature_curves", "10.01 mT")
    parted = told["values"]["irreversibility_temperature_K"]  # type: ignore[index]
    assert 50.0 < parted["value"] < 62.0
    assert (tmp_path / "film.dat.analysis" / "temperature_curves.png").exists()
    half = dat(tmp_path, zfc_fc_rows()[:90], "half.dat")
    with pytest.raises(ConfigError, match="ZFC and an FC branch"):
        analyze(half)


# ---- the parts


def sweep(field_T: list[float], kelvin: float = 5.0) -> pd.DataFrame:
    return pd.DataFrame({"field_T": field_T, "temperature_K": kelvin, "moment_Am2": 1e-9})


def test_a_table_is_cut_where_what_was_held_changes():
    ramp = np.linspace(-1.0, 1.0, 40).tolist()
    warm = pd.DataFrame({"field_T": 0.01, "temperature_K": np.linspace(5, 300, 60), "moment_Am2": 1e-9})
    cool = warm.iloc[::-1]
    table = pd.concat([sweep(ramp, 5.0), sweep(ramp, 10.0), warm, cool], ignore_index=True)
    pieces, loose = pieces_of(table)
    assert [(piece.sweep, piece.at, len(piece.frame)) for piece in pieces] == [
        ("field", "5 K", 40), ("field", "10 K", 40), ("temperature", "10 mT", 120),
    ]  # fmt: skip
    assert loose == 0
    assert pieces[1].lines == "row 40–79"


def test_how_a_sample_was_cooled_belongs_to_what_was_measured_then():
    down, up = np.linspace(300.0, 5.0, 60), np.linspace(5.0, 300.0, 60)
    legs = [(0.1, up), (4.0, down), (0.1, up), (1.0, up)]
    table = pd.concat(
        [pd.DataFrame({"field_T": b, "temperature_K": t, "moment_Am2": 1e-9}) for b, t in legs], ignore_index=True
    )
    pieces = with_history(pieces_of(table)[0])
    assert [(piece.at, len(piece.frame)) for piece in pieces] == [("100 mT", 180), ("1000 mT", 60)]


def test_rows_without_numbers_belong_to_no_piece_and_one_temperature_is_not_two():
    ramp = np.linspace(-1.0, 1.0, 40)
    table = sweep(ramp.tolist())
    table["temperature_K"] += np.random.default_rng(0).normal(0.0, 0.01, 40)
    table.loc[7, "moment_Am2"] = math.nan
    pieces, loose = pieces_of(table)
    assert [len(piece.frame) for piece in pieces] == [39]
    assert loose == 1
    assert pieces_of(table.iloc[:0]) == ([], 0)
    assert pieces_of(table.drop(columns=["moment_Am2"]))[0] == []


def test_without_a_temperature_the_whole_sweep_is_one_piece():
    table = sweep(np.linspace(-1.0, 1.0, 40).tolist()).drop(columns=["temperature_K"])
    (piece,), loose = pieces_of(table)
    assert (piece.sweep, piece.at, len(piece.frame), loose) == ("field", "", 40, 0)


def takes(*, length_m: float = 1.0, flag: bool = True, count: int = 1, given_T: Measured | None = None, name: str = ""):
    """A stand-in for a method."""


def test_options_are_read_by_what_a_method_says_it_takes():
    given = split_options(["length_m=5 mm", "flag=no", "count=3", "given_T=450 ± 5 Oe", "name=x y"])
    assert read_options(takes, given) == {
        "length_m": 5e-3, "flag": False, "count": 3, "given_T": Measured(pytest.approx(0.045), pytest.approx(5e-4)), "name": "x y",
    }  # fmt: skip
    assert read_options(takes, {"given_T": "47 mT ± 0.3 mT"})["given_T"].value == pytest.approx(0.047)
    assert read_options(takes, {"given_T": "none"}) == {"given_T": None}
    for wrong in ({"flag": "perhaps"}, {"count": "3.5"}, {"given_T": "47 ± 0 mT"}, {"length_m": "1,234 m"}):
        with pytest.raises(ConfigError):
            read_options(takes, wrong)


@pytest.mark.parametrize(
    ("key", "measured", "words"),
    [
        ("coercive_field_T", Measured(0.1464, 3e-4), ["146.4 ± 0.3 mT", "1464 ± 3 Oe"]),
        ("saturation_moment_Am2", Measured(5.83e-9, 2e-11), ["5.83 ± 0.02 µemu", "5.83 ± 0.02 nA·m²"]),
        ("background_slope_Am2_per_T", Measured(-7.04e-8, 2e-10), ["-7.04 ± 0.02 nemu/Oe", "-70.4 ± 0.2 nA·m²/T"]),
        ("density_1_per_m2", Measured(3.2e17, 4e15), ["(3.20 ± 0.04) × 10¹³ cm⁻²", "(3.20 ± 0.04) × 10¹⁷ m⁻²"]),
        ("mobility_1_m2_per_Vs", Measured(0.12, 0.003), ["1200 ± 30 cm²/Vs", "0.120 ± 0.003 m²/Vs"]),
        ("temperature_K", Measured(5.0, 0.0), ["5 K"]),
        ("paramagnetic_spins", Measured(1.2e17, 6e15), ["(1.20 ± 0.06) × 10¹⁷"]),
        ("anything_at_all", Measured(0.5, 0.1), ["0.50 ± 0.10"]),
    ],
)  # fmt: skip
def test_a_value_is_written_in_the_units_of_its_field(key: str, measured: Measured, words: list[str]):
    assert [text.strip() for text in in_words(key, measured, oersted=True)] == words


def test_names_and_units_come_from_the_key():
    assert (label_of("density_2_per_m2"), unit_of("density_2_per_m2")) == ("n₂", "1/m^2")
    assert (label_of("some_new_field_T"), unit_of("some_new_field_T")) == ("some new field", "T")
    assert unit_of("moment_uB_per_nm2") == "µB/nm^2"


def test_a_record_holds_no_number_that_json_does_not_know(tmp_path: Path):
    estimate = Estimate(EstimateStatus.RESOLVED, {"x_T": Measured(1.0, math.inf)}, ("why",), {"part": math.nan})
    details = {"covariance": np.array([[1.0, np.nan]]), "one": Measured(1.0, 2.0)}
    record = AnalysisRecord("m", estimate, (Source(tmp_path, "k", "0"),), details=details)
    record.keep(tmp_path / "deep" / "m.json")
    kept = json.loads((tmp_path / "deep" / "m.json").read_text(encoding="utf-8"))
    assert kept["values"]["x_T"] == {"value": 1.0, "u": None, "unit": "T"}
    assert kept["budget"] == {"part": None}
    assert kept["details"] == {"covariance": [[1.0, None]], "one": {"value": 1.0, "u": 2.0}}


@real
def test_a_real_loop_agrees_with_what_its_makers_program_found(tmp_path: Path, capsys):
    assert analyze(SHARED / "micromag_0016_h11_hystlab.hys", json=True, out=tmp_path) in (0, 7)
    (told,) = objects(capsys.readouterr().out)
    assert told["made_by_maker"]["coercivity_T"]["value"] == pytest.approx(0.1464152)  # type: ignore[index]
    coercive = told["values"].get("coercive_field_T")  # type: ignore[union-attr]
    if coercive is not None:
        assert abs(coercive["value"] - 0.1464152) < 3 * coercive["u"]


@real
def test_the_folder_of_somebody_elses_data_is_left_alone_when_out_is_given(tmp_path: Path, capsys):
    before = {path.name for path in SHARED.iterdir()}
    analyze(SHARED / "mpms3_mh_tsv_magnetopy.dat", out=tmp_path)
    capsys.readouterr()
    assert {path.name for path in SHARED.iterdir()} == before
