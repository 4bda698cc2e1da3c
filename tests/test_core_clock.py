"""A laboratory that is watched at a speed is the same laboratory: a busy computer makes it slower, not wrong."""

import math
from pathlib import Path

import pytest
from remanence.cli.demo import run_demo
from remanence.core.clock import PacedClock, SystemClock


def test_a_paced_clock_takes_its_time_and_makes_up_for_none():
    paced, system = PacedClock(1000.0), SystemClock()
    began_s = system.now()
    for _ in range(4):
        paced.sleep(25.0)
    assert paced.now() == 100.0
    assert system.now() - began_s >= 0.1
    system.sleep(0.2)
    # The computer was busy meanwhile: nothing has happened in the laboratory, and from the next step on it does not hurry.
    assert paced.now() == 100.0
    began_s = system.now()
    paced.sleep(1.0)
    paced.sleep(50.0)
    assert paced.now() == 151.0
    assert system.now() - began_s >= 0.05
    paced.sleep(-1.0)
    assert paced.now() == 151.0


@pytest.mark.parametrize("speed", [0.0, -1.0, math.inf, math.nan])
def test_a_speed_that_is_none_is_refused(speed: float):
    with pytest.raises(ValueError, match="speed"):
        PacedClock(speed)


def test_a_demonstration_at_a_speed_is_to_the_byte_the_one_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    journals: list[bytes] = []
    for speed in (None, 2000.0):
        root = tmp_path / str(speed)
        run_demo(
            headless=True, speed=speed, json=False, seed=3, root=root, max_field="0.1 T", rate="5 mT/s", no_ahe=False
        )
        (journal,) = root.rglob("run.jsonl")
        journals.append(journal.read_bytes())
    assert journals[0] == journals[1]
    assert "completed" in capsys.readouterr().err
