"""However a program ends, its magnet is held: real processes, real signals, a supply on a socket, its truth."""

import os
import signal
import time
from pathlib import Path

import pytest
from remanence.core.errors import ConfigError
from remanence.core.records import Outcome
from remanence.engine.station import Station

from .guardian_rig import STATION, Rig

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


def held_and_told(rig: Rig, outcome: Outcome = Outcome.ABORTED) -> None:
    """The magnet holds, the supply says so, and the record is whole and says so too."""
    assert not rig.moves(), rig.said
    kept = rig.kept()
    assert kept.outcome is outcome
    assert not kept.damage
    assert kept.footer is not None
    assert "The magnet holds at +0." in kept.footer.hardware
    assert kept.footer.rows == len(list(kept.rows()))
    assert "guardian" not in rig.orders(), "the engine itself held it"


@pytest.mark.parametrize(
    ("number", "times", "code"),
    [
        (signal.SIGINT, 1, 6), (signal.SIGINT, 2, 130), (signal.SIGINT, 10, 130), (signal.SIGTERM, 1, 143),
        (signal.SIGHUP, 1, 129),
    ],
)  # fmt: skip
def test_signals_hold_the_magnet_and_close_the_files(tmp_path: Path, number: int, times: int, code: int) -> None:
    with Rig(tmp_path) as rig:
        rig.start()
        rig.ramps()
        for n in range(times):
            if n:
                time.sleep(0.05)  # noqa: TID251  as fast as a nervous finger
            rig.signal(number)
        rig.holds()
        assert rig.end() == code, rig.said
        held_and_told(rig)


@pytest.mark.parametrize("guardian", ["beside", "through"])
def test_a_killed_engine_is_followed_by_its_guardian(tmp_path: Path, guardian: str) -> None:
    with Rig(tmp_path, guardian) as rig:
        rig.start()
        rig.ramps()
        rig.signal(signal.SIGKILL)
        rig.holds()
        assert rig.end() == -signal.SIGKILL
        assert "the engine has died and the magnet ramps: hold" in rig.orders()
        assert "guardian: hold: confirmed" in rig.orders()
        kept = rig.kept()
        assert kept.outcome is Outcome.INTERRUPTED
        assert not kept.damage
        assert not rig.moves()


def test_an_engine_that_is_stopped_or_hangs_is_silent_and_its_magnet_is_held(tmp_path: Path) -> None:
    """The true ten seconds, for both forms at once; then one engine wakes, and the other is interrupted."""
    with Rig(tmp_path / "a", "through") as stopped, Rig(tmp_path / "b", "beside") as hanging:
        stopped.start()
        hanging.start("hangs")
        stopped.ramps()
        stopped.signal(signal.SIGSTOP)
        hanging.hangs()
        stopped.holds(20.0)
        hanging.holds(20.0)
        stopped.signal(signal.SIGCONT)
        hanging.signal(signal.SIGINT)
        time.sleep(0.2)  # noqa: TID251
        hanging.signal(signal.SIGINT)
        assert hanging.end() == 130, hanging.said
        assert hanging.kept().outcome is Outcome.ABORTED
        # It finds that its magnet was held behind its back, and ends.
        assert stopped.end() in (4, 5), stopped.said
        assert stopped.kept().outcome is Outcome.FAILED
        for rig in (stopped, hanging):
            assert "the engine is silent for 10 s and the magnet ramps: hold" in rig.orders()
            assert not rig.kept().damage
            assert not rig.moves()


def test_an_error_in_a_procedure_and_in_its_shutdown_holds_the_magnet_and_both_are_told(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.start("raises")
        rig.ramps()
        rig.holds()
        assert rig.end() == 1, rig.said
        held_and_told(rig, Outcome.FAILED)
        journal = next((tmp_path / "runs").rglob("run.jsonl")).read_text(encoding="utf-8")
        assert "a step of the procedure" in journal
        assert "a step of the shutdown" in journal


def test_an_error_in_a_shutdown_after_a_signal_holds_the_magnet_and_fails_the_run(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.start("shutdown raises")
        rig.ramps()
        rig.signal(signal.SIGTERM)
        rig.holds()
        assert rig.end() == 143, rig.said
        held_and_told(rig, Outcome.FAILED)


def test_an_error_in_a_listener_stops_nothing_and_a_signal_still_does(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.start("listener raises")
        rig.ramps()
        assert rig.moves()
        rig.signal(signal.SIGINT)
        rig.holds()
        assert rig.end() == 6, rig.said
        held_and_told(rig)


def test_a_listener_that_hangs_is_interrupted_by_the_second_ctrl_c(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.start("listener hangs")
        rig.hangs()
        rig.signal(signal.SIGINT)
        time.sleep(0.2)  # noqa: TID251
        rig.signal(signal.SIGINT)
        rig.holds()
        assert rig.end() == 130, rig.said
        held_and_told(rig)


def test_a_process_that_leaves_without_a_word_is_followed_by_its_guardian(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.start("exits badly")
        rig.ramps()
        rig.holds(30.0)
        assert rig.end() == 3
        assert "guardian: hold: confirmed" in rig.orders()
        assert not rig.moves()


def test_a_guardian_relays_streams_only_and_says_so_before_anything_is_sent(tmp_path: Path) -> None:
    text = STATION.format(guardian="through", port=7180).replace("TCPIP0::127.0.0.1::7180::SOCKET", "GPIB0::22::INSTR")
    (tmp_path / "station.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"station\.toml:\d+: a guardian cannot relay GPIB0::22::INSTR"):
        Station.open(tmp_path / "station.toml", state=tmp_path / "state")
