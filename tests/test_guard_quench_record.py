"""The minute before a quench and the minute after it are kept beside the magnet's memory."""

import json
import logging
from itertools import pairwise
from typing import Any

import pytest
from remanence.core.capabilities import Activity
from remanence.core.errors import DeviceFault
from remanence.instruments.guard_states import State
from remanence.instruments.magnet_memory import MemoryFiles

from .test_guard import Rig


class FullDisk(MemoryFiles):
    """Files on a disk that takes no more lines of a quench's record after so many."""

    def __init__(self, takes: int) -> None:
        super().__init__()
        self.takes = takes

    def append(self, name: str, content: bytes) -> None:
        """Write content behind a file, while there is room."""
        if ".quench-" in name:
            self.takes -= 1
            if self.takes < 0:
                raise OSError(28, "No space left on device")
        super().append(name, content)


def records(rig: Rig) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [json.loads(line) for line in content.splitlines()]
        for name, content in rig.files.content.items()
        if ".quench-" in name
    }


def watched(rig: Rig, for_s: float) -> None:
    """Look each second at a magnet that quenched, as a window does."""
    until_s = rig.clock.now() + for_s
    while rig.clock.now() < until_s:
        with pytest.raises(DeviceFault):
            rig.guard.poll()
        rig.clock.sleep(1.0)


def quenched(rig: Rig, for_s: float = 0.0) -> Rig:
    rig.supply.quench()
    watched(rig, max(for_s, 1.0))
    assert rig.guard.state is State.QUENCHED
    return rig


def test_m13_the_minute_before_a_quench_and_the_minute_after_it_are_one_file():
    rig = quenched(Rig().ramping(for_s=100.0), for_s=150.0)
    ((name, (head, *rows)),) = records(rig).items()
    assert name.startswith("T-1-")
    assert head["serial"] == "T-1"
    assert "reports a quench" in head["quench"]
    times = [row["after_s"] for row in rows]
    assert times == sorted(times)
    assert len(times) == len(set(times))
    assert -60.0 <= times[0] < -58.0
    assert 58.0 < times[-1] <= 60.0
    at = times.index(0.0)
    assert rows[at]["activity"] == Activity.QUENCHED.value
    assert {row["activity"] for row in rows[:at]} == {"ramping"}
    before = rows[at - 1]
    assert before["output_A"] == pytest.approx(50.0, abs=1.0)
    assert "voltage_V" in before
    assert max(b - a for a, b in pairwise(times)) < 2.5


def test_m13_the_record_is_told_in_the_journal_and_in_the_run():
    rig = quenched(Rig().ramping())
    (name,) = records(rig)
    assert any(name in note for note in rig.notes)
    assert any(name.encode() in content for key, content in rig.files.content.items() if "commands" in key)


def test_m13_a_latched_quench_is_recorded_once_and_the_next_one_anew():
    rig = quenched(Rig().ramping())
    rig.open()
    watched(rig, 90.0)
    assert len(records(rig)) == 1
    rig.supply.quenched = False
    rig.guard.clear_quench("Ada", "refilled")
    rig.wait(70.0)
    (first,) = records(rig).values()
    quenched(rig)
    assert len(records(rig)) == 2
    assert next(iter(records(rig).values())) == first


@pytest.mark.parametrize("takes", [0, 5])
def test_m13_a_full_disk_is_told_and_keeps_no_hold_from_the_magnet(takes: int, caplog: pytest.LogCaptureFixture):
    rig = Rig(files=FullDisk(takes)).ramping()
    with caplog.at_level(logging.WARNING):
        quenched(rig, for_s=30.0)
    assert "No space left" in caplog.text
    assert len(caplog.records) == 1
    rig.guard.hold()
    assert rig.guard.state is State.QUENCHED
    assert rig.supply.orders_after_quench == []


def test_a_magnet_that_never_quenched_leaves_no_record_and_keeps_one_minute():
    rig = Rig().ramping(for_s=300.0)
    assert records(rig) == {}
    minute = rig.guard._minute._last  # pyright: ignore[reportPrivateUsage]
    assert minute[-1].time_s - minute[0].time_s <= 60.0
    assert len(minute) > 50
