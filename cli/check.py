"""`remanence check`: what would keep a run from starting, looked at without moving anything."""

import json as json_text
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..engine.inquiry import Finding, Weight, exit_code, inquire
from ..engine.recipe import read_recipe
from ..engine.toml_file import place

# The word itself says it: colours only repeat it.
_STYLES = {Weight.OK: "green", Weight.NOTE: "yellow", Weight.BAD: "bold red"}
_LEAST_WIDTH = 60


def check_station(path: Path, recipe_path: Path | None, *, simulate: bool, json: bool, root: Path) -> int:
    """Look, tell, and give the exit code: 0 only if a run could start."""
    recipe = None if recipe_path is None else read_recipe(recipe_path)
    places = {} if recipe_path is None else {k: place(recipe_path, ["parameters", k]) for k in ("max_field", "rate")}
    findings = inquire(
        path, root=root, simulate=simulate, procedure=None if recipe is None else recipe.procedure, places=places
    )
    code = exit_code(findings)
    if json:
        lines = [
            {"kind": f.kind, "name": f.name, "state": str(f.weight), "text": f.text, "data": f.data} for f in findings
        ]
        print(json_text.dumps({"ready": code == 0, "exit_code": code, "findings": lines}, default=str))
        return code
    out = Console(highlight=False)
    out.print(table(findings, max(out.width, _LEAST_WIDTH)))
    bad = [finding.name for finding in findings if finding.weight is Weight.BAD]
    verdict = f"NOT READY: look at {', '.join(bad)}." if bad else "READY: a run could start."
    out.print(Text(verdict, style=_STYLES[Weight.BAD if bad else Weight.OK]), soft_wrap=True)
    return code


def table(findings: list[Finding], width: int) -> Table:
    """A line for each finding: its state, its name, what was found."""
    shown = Table(box=None, pad_edge=False, show_header=False, width=width)
    for column in ("state", "name"):
        shown.add_column(column, no_wrap=True)
    shown.add_column("text", overflow="fold")
    for finding in findings:
        shown.add_row(Text(str(finding.weight), style=_STYLES[finding.weight]), finding.name, Text(finding.text))
    return shown
