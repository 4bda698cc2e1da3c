"""No line, whatever its bytes, makes a front panel crash, hang or grow. `benchmarks/fuzz_panels.py` throws 10⁵ at each."""

import pytest
from remanence.simulators.catalogue import dotted
from remanence.simulators.front_panel import FrontPanel
from remanence.simulators.multivu import MPMS3, PPMS, DynaCool, MultiVu, VersaLab

from .fuzz import fuzz, items, lines, panels, words_of
from .fuzz_multivu import fuzz_wire

CASES = 2000


@pytest.mark.parametrize("panel", panels(), ids=dotted)
def test_it_neither_crashes_nor_hangs_nor_grows(panel: type[FrontPanel]) -> None:
    fuzz(panel, CASES)


@pytest.mark.parametrize("flavour", [DynaCool, MPMS3, PPMS, VersaLab])
def test_the_server_of_a_multivu_neither_crashes_nor_hangs_nor_grows(flavour: type[MultiVu]) -> None:
    fuzz_wire(flavour, 300)


def test_the_cases_reach_what_a_panel_understands() -> None:
    for panel in panels():
        assert len(words_of(panel)) > 10, panel
        drawn = [line for line, _ in zip(lines(panel, 3), range(300), strict=False)]
        assert drawn == [line for line, _ in zip(lines(panel, 3), range(300), strict=False)]


class Leak(FrontPanel):
    """What the test is there to find."""

    model = "leak"

    def execute(self, command: str) -> str | None:
        if command == "crash":
            raise KeyError(command)
        self.heap = [*getattr(self, "heap", []), "x" * 1_000_000]
        return None


def test_a_leak_or_a_crash_is_found() -> None:
    with pytest.raises(AssertionError, match=r"gave KeyError|holds \d+ items"):
        fuzz(Leak, 2000)


def test_items_are_counted_wherever_they_hang() -> None:
    class Holder:
        __slots__ = ("deep",)

    holder = Holder()
    holder.deep = {"a": [1, 2, 3], "b": ({"c": "four"},)}  # pyright: ignore[reportAttributeAccessIssue]
    assert items(holder) == 2 + 1 + 1 + 3 + 1 + 1 + 1 + 4
