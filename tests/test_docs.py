"""What is written is true: examples run, files that are linked exist, commands that are named exist."""

import re
from pathlib import Path

import pytest
from remanence.engine import station_file
from remanence.engine.recipe import check_limits, read_recipe
from remanence.procedures.hall_loop import HallLoop

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return [re.sub(r"(?m)^ {3}", "", body) for body in re.findall(rf"```{language}\n(.*?)```", text, re.S)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_links_to_exists(page: Path):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_recipe_in_the_readme_is_one(tmp_path: Path):
    (text,) = [block for block in blocks(README, "toml") if "procedure" in block]
    (tmp_path / "hall.toml").write_text(text, encoding="utf-8")
    recipe = read_recipe(tmp_path / "hall.toml")
    assert isinstance(recipe.procedure, HallLoop)
    assert recipe.procedure.max_field_T == 2.0


def test_the_python_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (code,) = blocks(README, "python")
    (tmp_path / "station.toml").write_text(
        station_file.reference_station().read_text(encoding="utf-8"), encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(HallLoop, "station", None)
    exec(compile(code, "README.md", "exec"), {})
    assert HallLoop.station is not None
    HallLoop.station.close()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "how-to").glob("*.md")), ids=lambda page: page.name)
def test_the_python_in_a_how_to_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "how_to"}
    for code in blocks(page.read_text(encoding="utf-8"), "python"):
        exec(compile(code, page.name, "exec"), names)


def test_the_two_commands_of_the_readme_are_one_line_each_and_alike_on_windows():
    lines = [line.strip() for line in README.splitlines() if "venv .venv" in line]
    posix, windows = (
        [line for line in lines if line.startswith("python3")],
        [line for line in lines if line.startswith("py ")],
    )
    for ours, theirs in zip(posix, windows, strict=True):
        assert ours.split("uv run")[1] == theirs.split("uv run")[1]
    assert [line.split()[-1] for line in posix] == ["demo", "pytest"]


def test_every_instrument_in_the_station_file_has_a_driver_and_a_front_panel():
    from remanence.engine.twin import load_class

    for entry in station_file.read_station(station_file.reference_station()).instruments.values():
        driver = load_class(entry.driver)
        panel = load_class(entry.driver.replace(".instruments.", ".simulators."))
        assert driver.model.upper().endswith(panel.model.upper().removeprefix("MODEL")), entry.driver


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.name)
def test_every_example_is_a_recipe_that_the_reference_rig_allows(path: Path):
    recipe = read_recipe(path)
    station = station_file.reference_station()
    check_limits(recipe.procedure, station_file.read_station(station), station, {})
