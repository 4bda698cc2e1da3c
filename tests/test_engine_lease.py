"""A lease: one process at a time writes to an instrument, and it is free the moment its owner dies."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from remanence.core.clock import VirtualClock
from remanence.engine.lease import lease
from remanence.engine.state_folder import state_folder

_OTHER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from remanence.core.clock import SystemClock
    from remanence.engine.lease import lease
    with lease("SMS 4711", Path(sys.argv[1]), SystemClock(), "other.toml") as held:
        print("ours" if held.ours else held.owner, flush=True)
        time.sleep(60)
""")


def other(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _OTHER, str(folder)], stdout=subprocess.PIPE, text=True)


def test_the_first_gets_the_lease_and_the_second_hears_who_has_it(tmp_path: Path) -> None:
    clock = VirtualClock()
    with lease("SMS 4711", tmp_path, clock, "a.toml") as first, lease("SMS 4711", tmp_path, clock, "b.toml") as second:
        assert first.ours
        assert not second.ours
        assert second.owner == first.owner
        assert str(os.getpid()) in str(second.owner)
        assert "a.toml" in str(second.owner)


def test_two_instruments_have_two_leases(tmp_path: Path) -> None:
    clock = VirtualClock()
    with lease("1", tmp_path, clock, "a") as first, lease("2", tmp_path, clock, "a") as second:
        assert first.ours
        assert second.ours


def test_a_lease_that_was_given_back_is_free(tmp_path: Path) -> None:
    for _ in range(2):
        with lease("1", tmp_path, VirtualClock(), "a") as held:
            assert held.ours


@pytest.mark.parametrize("serial", ["../../etc/passwd", "CON", "a/b\\c:d", "", "µ" * 300])
def test_no_serial_number_leaves_the_folder(tmp_path: Path, serial: str) -> None:
    with lease(serial, tmp_path, VirtualClock(), "a") as held:
        assert held.ours
        assert [path.parent for path in tmp_path.rglob("*.lease")] == [tmp_path / "leases"]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    process = other(tmp_path)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ours"
        with lease("SMS 4711", tmp_path, VirtualClock(), "mine") as held:
            assert not held.ours
            assert held.owner is not None
            assert held.owner.process == process.pid
        process.send_signal(signal.SIGKILL)
        process.wait()
        with lease("SMS 4711", tmp_path, VirtualClock(), "mine") as held:
            assert held.ours
    finally:
        process.kill()
        process.communicate()


def test_a_torn_file_names_nobody_and_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "leases").mkdir()
    (tmp_path / "leases" / "instrument-1.lease").write_text('{"process": 12')
    with lease("1", tmp_path, VirtualClock(), "a") as held, lease("1", tmp_path, VirtualClock(), "b") as second:
        assert held.ours
        assert not second.ours


def test_the_state_folder_is_made_where_the_environment_says(tmp_path: Path) -> None:
    assert state_folder({"REMANENCE_STATE": str(tmp_path / "rig")}) == tmp_path / "rig"
    assert (tmp_path / "rig").is_dir()
