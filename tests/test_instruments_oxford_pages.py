"""The pages on Oxford's instruments: what they say for a station file is what the drivers take."""

import re
import tomllib
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from remanence.core.capabilities import MagnetPowerSupply, TemperatureController

from .oxford_bench import OxfordBench

PAGES = sorted((Path(__file__).parents[1] / "docs" / "instruments").glob("oxford-*.md"))


def example(page: Path) -> dict[str, Any]:
    block = re.search(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    return next(iter(tomllib.loads(block[1])["instruments"].values()))


def test_there_is_a_page_for_each() -> None:
    assert [page.stem for page in PAGES] == [
        "oxford-ips120",
        "oxford-itc503",
        "oxford-mercury-ips",
        "oxford-mercury-itc",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_example_of_a_page_opens_its_instrument_on_its_twin(page: Path) -> None:
    entry = example(page)
    module, _, name = entry["driver"].partition(":")
    kind = getattr(import_module(module), name)
    panel = getattr(import_module(module.replace(".instruments.", ".simulators.")), name)
    with ExitStack() as stack:
        bench = OxfordBench("in process", stack, panel, kind, **entry["options"])
        bench.driver.check_identity()
        capability = TemperatureController if "itc" in page.stem else MagnetPowerSupply
        assert isinstance(bench.driver, capability)
        assert "unreadable" not in str(bench.driver.settings())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_was_never_tried_on_an_instrument(page: Path) -> None:
    assert "not yet with an instrument" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_property_says_what_it_does_and_in_which_unit(page: Path) -> None:
    module, _, name = example(page)["driver"].partition(":")
    kind = getattr(import_module(module), name)
    own = {
        name: value
        for ancestor in kind.__mro__ if ancestor.__module__.startswith("remanence.")
        for name, value in vars(ancestor).items() if isinstance(value, property)
    }  # fmt: skip
    assert len(own) >= 8
    for name, value in own.items():
        text = (value.__doc__ or "").strip()
        assert text.startswith(("Control", "Measure", "Set", "Get")), name
        assert "(" in text or " as " in text, name
