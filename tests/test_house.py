"""The house itself: its rooms, its packaging, what importing it costs and pulls in."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAPPED = PROJECT["tool"]["setuptools"]["package-dir"]
NOT_ROOMS = {"tests", "docs", "examples", "benchmarks"}


def packages_on_disk() -> set[str]:
    found = {"remanence." + ".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("*/**/__init__.py")}
    found |= {f"remanence.{path.parent.name}" for path in ROOT.glob("*/__init__.py")}
    return {name for name in found if not name.startswith("remanence..") and name.split(".")[1] not in NOT_ROOMS}


def test_every_package_on_disk_is_mapped_and_nothing_else():
    mapped = packages_on_disk()
    assert set(MAPPED) == mapped
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == mapped
    # import-linter finds a package within a room by itself, and takes no root inside another.
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == {name for name in mapped if name.count(".") == 1}


def test_the_root_is_a_namespace_and_holds_no_module():
    assert not (ROOT / "__init__.py").exists()


@pytest.mark.parametrize("package", sorted(MAPPED))
def test_a_room_is_typed_and_says_what_it_is(package: str):
    folder = ROOT / MAPPED[package]
    assert (folder / "py.typed").exists()
    assert (folder / "__init__.py").read_text(encoding="utf-8").startswith('"""')


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_nothing_imports_a_room_by_its_bare_name_which_would_be_a_second_copy():
    rooms = set(MAPPED.values())
    files = [path for folder in (*rooms, *NOT_ROOMS) for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 50
    assert {path.name: imports_of(path) & rooms for path in files if imports_of(path) & rooms} == {}


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "module",
    [
        "analysis.hall_loop", "cli.main", "cli.demo", "engine.runner", "instruments.cryogenic", "instruments.srs",
        "instruments.lakeshore", "instruments.keithley", "procedures.hall_loop", "simulators.world", "storage",
    ],
)  # fmt: skip
def test_importing_it_never_imports_qt(module: str):
    assert loaded_after(f"import remanence.{module}").isdisjoint({"PySide6", "PyQt6", "qtpy", "pyqtgraph"})


def test_help_and_version_load_nothing_heavy():
    heavy = {"numpy", "pandas", "scipy", "pyvisa", "pymeasure", "pint", "matplotlib", "pydantic"}
    assert loaded_after("import remanence.cli.main").isdisjoint(heavy)


def test_core_imports_nothing_else_of_ours():
    modules = ("capabilities", "clock", "errors", "quantities", "records", "stability")
    code = ";".join(f"import remanence.core.{name}" for name in modules)
    code += "; import sys; print('\\n'.join(m for m in sys.modules if m.startswith('remanence.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.split(".")[1] for name in done.stdout.split()} == {"core"}
