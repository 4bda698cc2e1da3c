"""The CSV mirror: PyMeasure loads rows and parameters back, a spreadsheet runs nothing."""

import csv
import errno
import math
import os
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymeasure.experiment import (
    BooleanParameter,
    FloatParameter,
    IntegerParameter,
    ListParameter,
    Parameter,
    Procedure,
    Results,
)
from remanence.core.errors import ConfigError, StorageError
from remanence.core.records import Row
from remanence.storage import CsvMirror

COLUMNS = ["field_T", "voltage_V", "note"]


class Loop(Procedure):
    rate = FloatParameter("Rate", units="mT/s", default=1)
    field = FloatParameter("Stray field", units="µT", default=0)
    loops = IntegerParameter("Loops", default=1)
    zero = BooleanParameter("End at zero", default=False)
    axis = ListParameter("Axis", choices=["xx", "xy"], default="xx")
    sample = Parameter("Sample", default="")
    DATA_COLUMNS = COLUMNS


def parameters(procedure):
    return [(parameter.name, str(parameter)) for parameter in procedure.parameter_objects().values()]


def mirror(path, columns=COLUMNS, procedure=None, name="lab.Loop"):
    return CsvMirror(path, name, parameters(procedure) if procedure else [], columns)


def row(n, *values):
    return Row(n, float(n), float(n), values)


def test_pymeasure_loads_parameters_with_their_units(tmp_path):
    loop = Loop(rate=1.5, field=40.25, loops=5, zero=True, axis="xy", sample='LAO: STO, "7" \\ µm')
    with mirror(tmp_path / "run.csv", procedure=loop) as csv_mirror:
        csv_mirror.row(row(0, 7.0, 1e-6, "ok"))
    loaded = Results.load(str(tmp_path / "run.csv"), procedure_class=Loop)
    assert loaded.procedure.parameter_values() == loop.parameter_values()
    assert loaded.data.to_dict("list") == {"field_T": [7.0], "voltage_V": [1e-6], "note": ["ok"]}


def test_pymeasure_finds_the_procedure_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "lab_of_the_mirror_test.py").write_text(
        "from pymeasure.experiment import FloatParameter, Procedure\n"
        "class Loop(Procedure):\n"
        "    rate = FloatParameter('Rate', units='mT/s', default=1)\n"
        "    DATA_COLUMNS = ['field_T']\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    csv_mirror = CsvMirror(tmp_path / "run.csv", "lab_of_the_mirror_test.Loop", [("Rate", "2.5 mT/s")], ["field_T"])
    csv_mirror.row(row(0, 7.0))
    csv_mirror.close()
    loaded = Results.load(str(tmp_path / "run.csv"))
    assert type(loaded.procedure).__module__ == "lab_of_the_mirror_test"
    assert loaded.procedure.rate == 2.5
    sys.modules.pop("lab_of_the_mirror_test")


def test_the_bytes_are_those_of_pymeasure(tmp_path):
    loop = Loop(rate=1.5, field=0, sample="plain")
    loop.parameter_objects()["field"].units = "uT"
    theirs = Results(loop, str(tmp_path / "theirs.csv"))
    name = theirs.header().splitlines()[0].removeprefix("#Procedure: <").removesuffix(">")
    with mirror(tmp_path / "ours.csv", procedure=loop, name=name) as ours, open(tmp_path / "theirs.csv", "a") as file:
        for values in [(7.0, 1e-6, "ok"), (-0.1, 1 / 3, "x y")]:
            ours.row(row(0, *values))
            file.write(theirs.format(dict(zip(COLUMNS, values, strict=True))) + "\n")
    assert (tmp_path / "ours.csv").read_bytes() == (tmp_path / "theirs.csv").read_bytes()


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(finite, finite | st.none()), min_size=1, max_size=20))
def test_numbers_come_back_bit_exactly(tmp_path_factory, pairs):
    path = tmp_path_factory.mktemp("mirror") / "run.csv"
    with mirror(path, ["a", "b"]) as csv_mirror:
        for n, pair in enumerate(pairs):
            csv_mirror.row(row(n, *pair))
    data = Results.load(str(path), procedure_class=Loop).data
    wanted = np.array([[math.nan if x is None else x for x in pair] for pair in pairs], dtype=float)
    assert data.to_numpy(dtype=float).tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    "text", ["a,b", 'say "no"', "two\nlines", "cr\rlf\r\n", "# no comment", "µ0H 🧲", " x ", "a#b"]
)
def test_odd_texts_come_back_as_they_were(tmp_path, text):
    with mirror(tmp_path / "run.csv") as csv_mirror:
        csv_mirror.row(row(0, 1.0, 2.0, text))
        csv_mirror.row(row(1, 3.0, 4.0, "next"))
    data = Results.load(str(tmp_path / "run.csv"), procedure_class=Loop).data
    assert list(data["note"]) == [text, "next"]
    assert list(data["field_T"]) == [1.0, 3.0]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+cmd", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("x")'])
def test_a_text_that_a_spreadsheet_would_run_is_disarmed(tmp_path, text):
    with mirror(tmp_path / "run.csv") as csv_mirror:
        csv_mirror.row(row(0, -1.0, 2.0, text))
    with open(tmp_path / "run.csv", newline="", encoding="utf-8") as file:
        cells = list(csv.reader(line for line in file if not line.startswith("#")))[1]
    assert cells == ["-1.0", "2.0", "'" + text]


def test_the_first_cell_may_begin_with_a_number_sign(tmp_path):
    with mirror(tmp_path / "run.csv", ["note", "a"]) as csv_mirror:
        csv_mirror.row(row(0, "#1", 1.0))
    assert list(Results.load(str(tmp_path / "run.csv"), procedure_class=Loop).data["note"]) == ["#1"]


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, np.float64("nan"), np.float32("-inf")])
def test_what_is_missing_is_empty_and_its_row_stays(tmp_path, missing):
    with mirror(tmp_path / "run.csv", ["a"]) as csv_mirror:
        csv_mirror.row(row(0, missing))
        csv_mirror.row(row(1, 2.0))
    data = Results.load(str(tmp_path / "run.csv"), procedure_class=Loop).data
    assert len(data) == 2
    assert np.isnan(data["a"][0])


def test_numbers_of_numpy_are_numbers(tmp_path):
    with mirror(tmp_path / "run.csv", ["a", "b", "c", "d"]) as csv_mirror:
        csv_mirror.row(row(0, np.float64(0.1), np.int32(-3), np.bool_(True), np.float32(0.5)))
    assert (tmp_path / "run.csv").read_text().splitlines()[-1] == "0.1,-3,True,0.5"


def test_each_row_can_be_seen_when_row_returns(tmp_path):
    csv_mirror = mirror(tmp_path / "run.csv")
    csv_mirror.row(row(0, 1.0, 2.0, ""))
    assert (tmp_path / "run.csv").read_text().endswith("note\n1.0,2.0,\n")
    csv_mirror.close()
    csv_mirror.close()
    with pytest.raises(StorageError, match="closed"):
        csv_mirror.row(row(1, 1.0, 2.0, ""))


def test_a_parameter_text_cannot_add_a_line(tmp_path):
    with CsvMirror(tmp_path / "run.csv", "lab.Loop", [("Sample", "a\n#Data:\r\nx\t")], ["a"]) as csv_mirror:
        csv_mirror.row(row(0, 1.0))
    loaded = Results.load(str(tmp_path / "run.csv"), procedure_class=Loop)
    assert loaded.procedure.sample == r"a\n#Data:\r\nx\t"
    assert list(loaded.data["a"]) == [1.0]


@pytest.mark.parametrize(("names", "columns"), [(["a: b"], ["x"]), (["a"], ["x\ny"])])
def test_names_the_format_cannot_hold_are_refused(tmp_path, names, columns):
    with pytest.raises(ConfigError):
        CsvMirror(tmp_path / "run.csv", "lab.Loop", [(name, "1") for name in names], columns)
    assert not (tmp_path / "run.csv").exists()


def test_a_row_of_another_width_is_refused(tmp_path):
    with mirror(tmp_path / "run.csv") as csv_mirror, pytest.raises(ConfigError, match="2 values for 3 columns"):
        csv_mirror.row(row(0, 1.0, 2.0))


def test_a_full_disk_is_a_sentence(tmp_path):
    def full(fd, data):
        if room.pop():
            return os.write(fd, data)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    room = [False, True]
    csv_mirror = CsvMirror(tmp_path / "run.csv", "lab.Loop", [], ["a"], write=full)
    with pytest.raises(StorageError, match="journal goes on"):
        csv_mirror.row(row(0, 1.0))
    csv_mirror.close()


def test_a_mirror_never_takes_the_place_of_another(tmp_path):
    mirror(tmp_path / "run.csv").close()
    with pytest.raises(StorageError, match="exists already"):
        mirror(tmp_path / "run.csv")


@pytest.mark.parametrize("taken", [0, 3, None])
def test_a_write_that_was_not_taken_whole_ends_the_mirror_at_its_last_whole_row(tmp_path, taken):
    def write(fd, data):
        if b"2.5" not in data:
            return os.write(fd, data)
        if taken is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(fd, data[:taken])

    csv_mirror = CsvMirror(tmp_path / "run.csv", "lab.Loop", [], COLUMNS, write=write)
    csv_mirror.row(row(0, 1.5, 1.0, "ok"))
    with pytest.raises(StorageError):
        csv_mirror.row(row(1, 2.5, 2.0, "ok"))
    with pytest.raises(StorageError):
        csv_mirror.row(row(2, 3.5, 3.0, "ok"))
    csv_mirror.close()
    lines = (tmp_path / "run.csv").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == "1.5,1.0,ok"
