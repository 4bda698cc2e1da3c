"""The command line as a person meets it: what it prints, what it exits with, what it leaves behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from remanence.core.records import Outcome
from remanence.storage import read_run

REMANENCE = [sys.executable, "-c", "from remanence.cli.main import main; main()"]
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


def remanence(*arguments: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [*REMANENCE, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def start(*arguments: object, cwd: Path) -> "subprocess.Popen[str]":
    command = [*REMANENCE, *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_folder(root: Path) -> Path:
    (folder,) = [path.parent for path in root.rglob("run.jsonl")]
    return folder


def test_version_and_help(tmp_path: Path):
    assert re.fullmatch(r"remanence \d+\.\d+\.\d+\n", remanence("--version", cwd=tmp_path).stdout)
    helped = remanence("--help", cwd=tmp_path)
    assert helped.returncode == 0
    for command in ("demo", "run", "simulate", "analyze"):
        assert command in helped.stdout
        said = remanence(command, "--help", cwd=tmp_path).stdout
        assert said.count(f"remanence {command}") >= 3, "three examples for each command"


def test_the_demo_finds_the_coercive_field_and_says_where_it_is_kept(tmp_path: Path):
    done = remanence("demo", "--headless", "--json", "--max-field", "1 T", "--root", "d", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == "resolved"
    for key, truth in found["truth"].items():
        value = found["values"][key]
        assert abs(value["value"] - truth) < 3 * value["u"]
        assert value["unit"] == "T"
    folder = tmp_path / found["folder"]
    assert {"run.jsonl", "run.csv", "analysis"} <= {path.name for path in folder.iterdir()}
    assert (folder / "analysis" / "loop.png").read_bytes().startswith(b"\x89PNG")
    assert "holds at +0.0000 T" in done.stderr
    again = remanence("analyze", folder, cwd=tmp_path)
    assert again.returncode == 0
    assert found["text"] in again.stdout


def test_with_nothing_to_find_the_demo_claims_nothing(tmp_path: Path):
    done = remanence("demo", "--headless", "--no-ahe", "--max-field", "0.5 T", cwd=tmp_path)
    assert done.returncode == 7
    assert "not resolved" in done.stdout
    assert not re.search(r"(?m)^[+−]?B_C\b|µ₀Hc = ", done.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--max-field", "-1 T"], ["--max-field", "7"], ["--max-field", "20 T"], ["--rate", "1 T/s"], ["--rate", "0 T/s"],
        ["--rate", "7 mT/s"], ["--rate", "fast"],
    ],
)  # fmt: skip
def test_what_a_magnet_cannot_do_is_refused_before_anything_is_opened(tmp_path: Path, arguments: list[str]):
    done = remanence("demo", "--headless", *arguments, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert arguments[0] in done.stderr
    assert done.stderr.startswith("error[E301]")
    assert not list(tmp_path.rglob("run.jsonl"))


@posix
def test_a_reader_that_goes_away_does_not_leave_the_magnet_ramping(tmp_path: Path):
    child = start("demo", "--headless", "--speed", "300", "--max-field", "0.1 T", "--root", "d", cwd=tmp_path)
    assert child.stderr is not None
    assert child.stdout is not None
    child.stderr.readline()
    child.stderr.close()
    child.stdout.close()
    child.wait(timeout=90)
    kept = read_run(run_folder(tmp_path))
    assert kept.outcome in (Outcome.COMPLETED, Outcome.ABORTED, Outcome.FAILED)
    assert kept.footer is not None
    assert "holds at" in kept.footer.hardware


@posix
def test_a_signal_counts_even_when_nobody_hears_its_words(tmp_path: Path):
    child = start("demo", "--headless", "--speed", "300", "--root", "d", cwd=tmp_path)
    begun(child)
    assert child.stderr is not None
    assert child.stdout is not None
    child.stderr.close()
    child.stdout.close()
    child.send_signal(signal.SIGHUP)
    child.wait(timeout=60)
    assert read_run(run_folder(tmp_path)).outcome is Outcome.ABORTED


def begun(child: "subprocess.Popen[str]") -> None:
    """Wait until the first leg is under way."""
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("leg 1/4"):
            time.sleep(0.5)  # noqa: TID251  a real process has real time
            return
    raise AssertionError("the run did not begin")


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 6), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_holds_the_magnet_and_says_where_the_field_is(tmp_path: Path, number: int, code: int):
    child = start("demo", "--headless", "--speed", "300", "--root", "d", cwd=tmp_path)
    begun(child)
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert child.returncode == code
    assert re.search(r"The magnet holds at \+\d\.\d{4} T", said)
    kept = read_run(run_folder(tmp_path))
    assert kept.outcome is Outcome.ABORTED
    assert not kept.damage
    assert kept.footer is not None
    assert "holds at +" in kept.footer.hardware


@posix
@pytest.mark.parametrize("wait_s", [0.2, 1.5])
def test_a_killed_run_is_read_as_interrupted_and_fitted_as_far_as_it_goes(tmp_path: Path, wait_s: float):
    # At a set speed, so that the same part of the loop is there on any computer.
    child = start("demo", "--headless", "--speed", "2000", "--root", "d", cwd=tmp_path)
    begun(child)
    time.sleep(wait_s)  # noqa: TID251
    child.kill()
    child.communicate()
    folder = run_folder(tmp_path)
    done = remanence("analyze", folder, cwd=tmp_path)
    assert "interrupted" in done.stderr
    assert done.returncode == 7
    assert read_run(folder).outcome is Outcome.INTERRUPTED
    assert "Traceback" not in done.stderr
    assert done.stdout.count("waiting for both branches") <= 1


GOOD = """schema = 1
procedure = "HallLoop"
sample = "S7"

[parameters]
max_field = "0.1 T"
settle_window = "5 s"
"""


def test_a_recipe_runs_on_the_simulated_twin(tmp_path: Path):
    (tmp_path / "hall.toml").write_text(GOOD, encoding="utf-8")
    done = remanence(
        "run", "hall.toml", "--simulate", "--set", "rate=4 mT/s", "--note", "after anneal", "--root", "d", cwd=tmp_path
    )
    assert done.returncode in (0, 7), done.stderr
    header = read_run(run_folder(tmp_path)).header
    assert header is not None
    assert (header.sample, header.note) == ("S7", "after anneal")
    assert header.parameters["rate_T_per_s"] == 4e-3
    assert header.recipe["parameters"] == {"max_field": "0.1 T", "settle_window": "5 s", "rate": "4 mT/s"}


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (('max_field = "0.1 T"', 'max_feild = "0.1 T"'), 6, "did you mean 'max_field'"),
        (('max_field = "0.1 T"', "max_field = 0.1"), 6, "has no unit"),
        (('max_field = "0.1 T"', 'max_field = "0.1 K"'), 6, "cannot be given in T"),
        (('max_field = "0.1 T"', 'max_field = "1,500 T"'), 6, "ambiguous"),
        (('max_field = "0.1 T"', 'max_field = "15.5 T"'), 6, "above the station limit 15 T"),
        (('max_field = "0.1 T"', 'max_field = "0.1 T"\nrate = "7 mT/s"'), 7, "above the station limit 6 mT/s"),
        (('max_field = "0.1 T"', 'max_field = "0.1 T"\nfilter_poles = 5'), 7, "filter_poles"),
        (('"HallLoop"', '"HallLop"'), 2, "did you mean 'HallLoop'"),
        (("schema = 1", "schema = 2"), 1, "schema = 1"),
        (("sample", "smaple"), 3, "did you mean 'sample'"),
        (("[parameters]", "[parameters"), None, "not TOML"),
        (('"HallLoop"', '["HallLoop"]'), 2, "unknown procedure"),
        (('"S7"', "5"), 3, "text in quotes"),
        (('[parameters]\nmax_field = "0.1 T"\nsettle_window = "5 s"', "parameters = 3"), 5, "must be a table"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_line_and_nothing_is_sent(
    tmp_path: Path, change: tuple[str, str], line: int | None, said: str
):
    (tmp_path / "hall.toml").write_text(GOOD.replace(*change), encoding="utf-8")
    done = remanence("run", "hall.toml", "--simulate", cwd=tmp_path)
    assert done.returncode == 3
    assert said in done.stderr
    assert f"hall.toml:{line}" in done.stderr if line else "hall.toml" in done.stderr
    assert "Nothing was sent" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("run.jsonl"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('largest_field = "15 T"', 'largest_feild = "15 T"'), "largest_field"),
        (('largest_field = "15 T"', "largest_field = 15"), "has no unit"),
        (('largest_field = "15 T"', 'largest_field = "16 T"'), "segments end at 15 T"),
        (('inductance = "60 H"', 'inductance = "600 H"'), "across 600 H"),
        (('field = "magnet"', 'field = "magnit"'), "magnit"),
        (("srs:SR830", "srs:SR831"), "SR831"),
        (("tesla_per_ampere = 0.135", "tesla_per_amp = 0.135"), "tesla_per_amp"),
        (('"park2020_deficient"', '"nope"'), "nope"),
        (('"ASRL3::INSTR"', '"ASRL9x:::"'), "not a VISA resource"),
        (('wiring = "xx"', 'wiring = "zz"'), "zz"),
    ],
)
def test_a_wrong_station_is_refused_with_one_sentence(tmp_path: Path, change: tuple[str, str], said: str):
    from remanence.engine.station_file import reference_station

    text = reference_station().read_text(encoding="utf-8")
    assert change[0] in text
    (tmp_path / "station.toml").write_text(text.replace(change[0], change[1], 1), encoding="utf-8")
    (tmp_path / "hall.toml").write_text(GOOD, encoding="utf-8")
    done = remanence("run", "hall.toml", "--simulate", "--station", "station.toml", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_rig_that_does_not_answer_is_an_error_of_communication(tmp_path: Path):
    from remanence.engine.station_file import reference_station

    text = reference_station().read_text(encoding="utf-8").replace("ASRL3::INSTR", "TCPIP0::127.0.0.1::9::SOCKET")
    (tmp_path / "station.toml").write_text(text, encoding="utf-8")
    (tmp_path / "hall.toml").write_text(GOOD, encoding="utf-8")
    done = remanence("run", "hall.toml", "--station", "station.toml", cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["run", "hall.toml"], ["analyze", "nowhere"], ["run", "nowhere.toml", "--simulate"]]
)
def test_a_missing_file_or_station_is_one_sentence(tmp_path: Path, arguments: list[str]):
    done = remanence(*arguments, cwd=tmp_path)
    assert done.returncode in (3, 4)
    assert done.stderr.startswith("error[")
    assert "Traceback" not in done.stderr
