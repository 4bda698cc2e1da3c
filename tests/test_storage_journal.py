"""The journal: what is acknowledged is kept, what is not kept is not claimed."""

import errno
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from remanence.core.errors import ConfigError, StorageError
from remanence.core.records import Column, Event, Footer, Header, InstrumentRecord, Leg, Outcome, Row
from remanence.storage import DamageKind, Journal, read_run

COLUMNS = (
    Column("field_T", "field", "T"),
    Column("voltage_V", "voltage", "V"),
    Column("leg", "index", dtype="int"),
    Column("note", "text", dtype="str"),
)
DOWN = Leg(0, 7.0, -7.0, 0.0015)


def header(columns=COLUMNS, **changes):
    fields = {
        "uid": "0190", "procedure": "lab.Hall", "parameters": {"rate_T_per_s": 0.0015}, "columns": tuple(columns),
        "station": "dry", "rig": "dry fridge", "sample": "LAO/STO 7 µm", "simulated": True,
        "started_utc": "2026-01-01T00:00:00+00:00", "started_utc_s": 1767225600.0, "monotonic_s": 0.0,
        "software": {"remanence": "0.1.0"},
    }  # fmt: skip
    return Header(**(fields | changes))


def row(n, *values, flags=()):
    return Row(n, n * 0.5, 1767225600.0 + n * 0.5, values or (7.0 - n * 0.1, n / 3, 0, "ok"), flags)


def write_run(path, rows=6, **seams):
    with Journal(path, **seams) as journal:
        journal.head(header())
        journal.instrument(InstrumentRecord("magnet", "drivers:Magnet", "GPIB::1", "ACME,1", {"range_T": 9.0}))
        journal.leg_started(DOWN, 0, 0.0)
        for n in range(rows):
            journal.row(row(n))
        journal.leg_ended(DOWN, rows - 1, 9.0)
        journal.event(Event("info", "operator", "helium at 40 %", {"level": 0.4}), 9.5, 1767225609.5)
        journal.end(Footer(Outcome.COMPLETED, rows, "", "at zero field"), 10.0, 1767225610.0)
    return path.read_bytes()


def records(data):
    return [json.loads(line.split("\t")[0]) for line in data.decode().splitlines()]


class Disk:
    """A disk that takes `good` writes and then gives `answer`, until it is repaired."""

    def __init__(self, good, answer):
        self.left, self.answer = good, answer

    def write(self, fd, data):
        if self.left > 0:
            self.left -= 1
            return os.write(fd, data)
        return self.answer(fd, data)


def full(fd, data):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def half(fd, data):
    return os.write(fd, data[: len(data) // 2])


def half_then_full(fd, data):
    half(fd, data)
    full(fd, data)


def test_two_identical_runs_give_identical_bytes(tmp_path):
    assert write_run(tmp_path / "a") == write_run(tmp_path / "b")


def test_each_line_is_compact_json_tab_crc_lf(tmp_path):
    for line in write_run(tmp_path / "run.jsonl").splitlines(keepends=True):
        body, _, tail = line.rpartition(b"\t")
        assert tail == b"%08x\n" % crc32(body)
        assert json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode() == body


def test_the_kinds_follow_the_story_of_the_run(tmp_path):
    kinds = [record["k"] for record in records(write_run(tmp_path / "run.jsonl", rows=2))]
    assert kinds == ["head", "inst", "seg+", "row", "row", "seg-", "ev", "end"]


def test_a_row_has_number_two_times_values_and_flags_only_if_any(tmp_path):
    with Journal(tmp_path / "j") as journal:
        journal.head(header())
        journal.row(row(0))
        journal.row(row(1, flags=("overload",)))
    _, plain, flagged = records((tmp_path / "j").read_bytes())
    assert plain == {"k": "row", "n": 0, "t": 0.0, "utc": 1767225600.0, "v": [7.0, 0.0, 0, "ok"]}
    assert flagged["f"] == ["overload"]


def test_what_is_read_is_what_was_said(tmp_path):
    write_run(tmp_path / "run.jsonl")
    run = read_run(tmp_path)
    assert run.header == header()
    assert run.instruments[0].settings == {"range_T": 9.0}
    assert (run.legs[0].leg, run.legs[0].first_row, run.legs[0].last_row) == (DOWN, 0, 5)
    assert [(kept.event.text, kept.time_s) for kept in run.events] == [("helium at 40 %", 9.5)]
    assert run.footer == Footer(Outcome.COMPLETED, 6, "", "at zero field")
    assert list(run.rows()) == [row(n) for n in range(6)]
    assert run.damage == ()
    assert run.summary() == "the run was completed with 6 rows"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan"), np.float32("inf")])
def test_what_is_not_a_number_is_null_and_flagged(tmp_path, value):
    with Journal(tmp_path / "j") as journal:
        journal.head(header())
        journal.row(row(0, 1.0, value, 0, "", flags=("overload",)))
    kept = records((tmp_path / "j").read_bytes())[1]
    assert kept["v"] == [1.0, None, 0, ""]
    assert kept["f"] == ["overload", "voltage_V:not-a-number"]
    run = read_run(tmp_path / "j")
    assert np.isnan(run.frame["voltage_V"][0])
    assert run.flags == (("overload", "voltage_V:not-a-number"),)
    assert run.written[0].values[1] is None
    assert math.isnan(next(run.rows()).values[1])


def test_a_value_that_was_none_is_not_mistaken_for_a_number(tmp_path):
    with Journal(tmp_path / "j") as journal:
        journal.head(header())
        journal.row(row(0, None, math.nan, 0, None))
    values = next(read_run(tmp_path / "j").rows()).values
    assert values[0] is None
    assert math.isnan(values[1])
    assert values[2:] == (0, None)


def test_a_head_with_infinity_stays_json(tmp_path):
    with Journal(tmp_path / "j") as journal:
        journal.head(header(parameters={"wait_s": math.inf}))
    head = records((tmp_path / "j").read_bytes())[0]
    assert (head["parameters"], head["f"]) == ({"wait_s": None}, ["parameters.wait_s:not-a-number"])
    assert read_run(tmp_path / "j").damage == ()


@pytest.mark.parametrize(
    "text", ["tab\there", "line\nbreak\r\n", "\0", "µ0H −7 T 🧲", 'quote" \\', "\u2028\x85", "\ud83d", "=1+1", ""]
)
def test_odd_texts_come_back_as_they_were(tmp_path, text):
    with Journal(tmp_path / "j") as journal:
        journal.head(header(note=text))
        journal.row(row(0, 1.0, 2.0, 0, text))
        journal.event(Event("info", "operator", text, {text: text}), 0.0, 0.0)
    run = read_run(tmp_path / "j")
    assert run.header.note == text
    assert run.frame["note"][0] == text
    assert run.events[0].event.data == {text: text}
    assert run.damage == ()


def test_settings_of_any_type_become_text_without_an_address(tmp_path):
    class Odd:
        pass

    settings = {"odd": Odd(), "array": np.arange(3), "set": {2, 1}, 5: Path("x"), "span": (1, None), "on": np.bool_(1)}
    with Journal(tmp_path / "j") as journal:
        journal.head(header())
        journal.instrument(InstrumentRecord("a", "b", "c", "d", settings))
    kept = read_run(tmp_path / "j").instruments[0].settings
    assert "0x" not in kept["odd"]
    assert kept["array"] == [0, 1, 2]
    assert (kept["set"], kept["5"], kept["span"], kept["on"]) == ([1, 2], "x", [1, None], True)


def test_numpy_numbers_are_kept_bit_exactly(tmp_path):
    value = np.float64(0.1) + np.float64(0.2)
    with Journal(tmp_path / "j") as journal:
        journal.head(header())
        journal.row(row(0, value, np.float32(0.1), np.int64(3), "x"))
    frame = read_run(tmp_path / "j").frame
    assert frame["field_T"][0] == value
    assert frame["voltage_V"][0] == float(np.float32(0.1))
    assert frame["leg"].dtype == np.int64


def test_a_value_that_is_no_scalar_is_refused_and_nothing_is_kept(tmp_path):
    with Journal(tmp_path / "j") as journal:
        journal.head(header())
        with pytest.raises(ConfigError, match="complex is not a number"):
            journal.row(row(0, 1j, 0.0, 0, ""))
        with pytest.raises(ConfigError, match="3 values for 4 columns"):
            journal.row(row(0, 1.0, 0.0, 0))
        assert journal.rows == 0


def test_a_journal_never_takes_the_place_of_another(tmp_path):
    before = write_run(tmp_path / "run.jsonl")
    with pytest.raises(StorageError, match="exists already"):
        Journal(tmp_path / "run.jsonl")
    assert (tmp_path / "run.jsonl").read_bytes() == before


def test_a_missing_folder_is_a_sentence(tmp_path):
    with pytest.raises(StorageError, match="cannot be made"):
        Journal(tmp_path / "gone" / "run.jsonl")


def test_order_is_kept_head_first_end_last_numbers_rising(tmp_path):
    with Journal(tmp_path / "j") as journal:
        with pytest.raises(ConfigError, match="begins with its head"):
            journal.row(row(0))
        journal.head(header())
        with pytest.raises(ConfigError, match="one head"):
            journal.head(header())
        journal.row(row(0))
        with pytest.raises(ConfigError, match="numbers only rise"):
            journal.row(row(0))
        journal.end(Footer(Outcome.ABORTED, 1), 1.0, 1.0)
        with pytest.raises(StorageError, match="ended"):
            journal.row(row(1))
    with pytest.raises(StorageError, match="closed"):
        journal.row(row(1))
    journal.close()
    assert read_run(tmp_path / "j").damage == ()


def test_two_columns_of_one_name_are_refused(tmp_path):
    with Journal(tmp_path / "j") as journal, pytest.raises(ConfigError, match="one name"):
        journal.head(header(columns=(COLUMNS[0], COLUMNS[0])))


@pytest.mark.parametrize("answer", [full, half, half_then_full])
@pytest.mark.parametrize("good", range(12))
def test_a_full_disk_at_any_write_loses_nothing_and_claims_nothing(tmp_path, good, answer):
    whole = write_run(tmp_path / "whole")
    disk = Disk(good, answer)
    refused = 0
    with Journal(tmp_path / "j", write=disk.write) as journal:
        for step in (
            lambda: journal.head(header()),
            lambda: journal.instrument(
                InstrumentRecord("magnet", "drivers:Magnet", "GPIB::1", "ACME,1", {"range_T": 9.0})
            ),
            lambda: journal.leg_started(DOWN, 0, 0.0),
            *(lambda n=n: journal.row(row(n)) for n in range(6)),
            lambda: journal.leg_ended(DOWN, 5, 9.0),
            lambda: journal.event(Event("info", "operator", "helium at 40 %", {"level": 0.4}), 9.5, 1767225609.5),
            lambda: journal.end(Footer(Outcome.COMPLETED, 6, "", "at zero field"), 10.0, 1767225610.0),
        ):
            claimed = journal.rows
            try:
                step()
            except StorageError as error:
                refused += 1
                assert "could not be written" in str(error)
                assert journal.rows == claimed
                disk.left = 99  # somebody made room
                step()
    assert refused == 1
    assert (tmp_path / "j").read_bytes() == whole


def test_a_torn_line_that_cannot_be_cut_off_costs_no_other_line(tmp_path, monkeypatch):
    def stuck(fd, size):
        raise OSError(errno.EINVAL, "no")

    disk = Disk(2, half)
    with Journal(tmp_path / "j", write=disk.write) as journal:
        journal.head(header())
        journal.row(row(0))
        monkeypatch.setattr(os, "ftruncate", stuck)
        for _ in range(2):
            with pytest.raises(StorageError, match="bytes were taken"):
                journal.row(row(1))
        assert journal.rows == 1
        disk.left = 99
        journal.row(row(1))
        journal.row(row(2))
        journal.end(Footer(Outcome.COMPLETED, 3), 2.0, 2.0)
    run = read_run(tmp_path / "j")
    assert list(run.frame.index) == [0, 1, 2]
    assert {damage.kind for damage in run.damage} == {DamageKind.BAD_LINE}  # and the checksum of the end holds


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_real_limit_of_the_file_size_is_met_and_lifted(tmp_path):
    script = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_storage_journal import *
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
journal = Journal(Path({str(tmp_path / "j")!r}))
journal.head(header())
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
n = 0
try:
    while True:
        journal.row(row(n)); n += 1
except StorageError as error:
    assert "could not be written" in str(error), error
    assert journal.rows == n
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
for k in range(n, n + 5):
    journal.row(row(k))
journal.end(Footer(Outcome.COMPLETED, n + 5), 1.0, 1.0)
journal.close()
print(n + 5)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run = read_run(tmp_path / "j")
    assert (len(run.frame), run.damage) == (int(done.stdout), ())


def test_rows_are_synced_in_the_background_soon_and_together(tmp_path):
    synced = threading.Event()
    calls = []

    def sync(fd):
        calls.append(fd)
        synced.set()

    with Journal(tmp_path / "j", sync=sync) as journal:
        journal.head(header())
        calls.clear()
        synced.clear()
        for n in range(100):
            journal.row(row(n))
        assert synced.wait(2)
        assert len(calls) < 100


def test_head_instruments_and_end_are_on_disk_when_they_return(tmp_path):
    calls = []
    with Journal(tmp_path / "j", sync_within_s=1000.0, sync=calls.append) as journal:
        journal.head(header())
        assert len(calls) == 1
        journal.instrument(InstrumentRecord("a", "b", "c", "d", {}))
        assert len(calls) == 2
        journal.row(row(0))
        journal.event(Event("info", "a", "b"), 0.0, 0.0)
        assert len(calls) == 2
        journal.end(Footer(Outcome.COMPLETED, 1), 1.0, 1.0)
        assert len(calls) == 3


def test_a_failed_sync_is_never_taken_back(tmp_path):
    fail, failed = threading.Event(), threading.Event()

    def sync(fd):
        if fail.is_set() and not failed.is_set():
            failed.set()
            raise OSError(errno.EIO, "Input/output error")

    journal = Journal(tmp_path / "j", sync_within_s=0.002, sync=sync)
    journal.head(header())
    fail.set()
    journal.row(row(0))
    assert failed.wait(2)
    for _ in range(2):  # the next sync would succeed, and must not be believed
        with pytest.raises(StorageError, match="refused a sync"):
            for n in range(1, 10**6):
                journal.row(row(n))
    with pytest.raises(StorageError, match="refused a sync"):
        journal.end(Footer(Outcome.COMPLETED, 1), 1.0, 1.0)
    journal.close()
    assert read_run(tmp_path / "j").footer is None


def test_closing_tells_of_a_failed_sync_nobody_heard_of(tmp_path):
    def sync(fd):
        if seen:
            raise OSError(errno.EIO, "Input/output error")
        seen.append(fd)

    seen = []
    journal = Journal(tmp_path / "j", sync_within_s=1000.0, sync=sync)
    journal.head(header())
    journal.row(row(0))
    with pytest.raises(StorageError, match="refused a sync"):
        journal.close()
    journal.close()


def test_an_end_whose_sync_fails_is_no_success(tmp_path):
    def sync(fd):
        if len(seen) == 1:
            raise OSError(errno.EIO, "Input/output error")
        seen.append(fd)

    seen = []
    with Journal(tmp_path / "j", sync_within_s=1000.0, sync=sync) as journal:
        journal.head(header())
        with pytest.raises(StorageError, match="refused a sync"):
            journal.end(Footer(Outcome.COMPLETED, 0), 1.0, 1.0)


def test_events_of_other_threads_do_not_mix_with_rows(tmp_path):
    with Journal(tmp_path / "j") as journal:
        journal.head(header())

        def chat():
            for i in range(200):
                journal.event(Event("info", "node", str(i)), float(i), float(i))

        threads = [threading.Thread(target=chat) for _ in range(3)]
        for thread in threads:
            thread.start()
        for n in range(500):
            journal.row(row(n))
        for thread in threads:
            thread.join()
        journal.end(Footer(Outcome.COMPLETED, 500), 1.0, 1.0)
    run = read_run(tmp_path / "j")
    assert (len(run.frame), len(run.events), run.damage) == (500, 600, ())


KILLED = """
import sys
sys.path.insert(0, {here!r})
from test_storage_journal import *
journal = Journal(Path({path!r}))
journal.head(header())
n = 0
while True:
    journal.row(row(n))
    os.write(1, b"%d\\n" % n)
    n += 1
"""


@pytest.mark.parametrize("acknowledged", [1, 57, 400, 2311, 6007])
def test_every_acknowledged_row_outlives_kill_9(tmp_path, acknowledged):
    script = KILLED.format(here=str(Path(__file__).parent), path=str(tmp_path / "run.jsonl"))
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None
    told = [int(child.stdout.readline()) for _ in range(acknowledged)]
    child.kill()
    told += [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    child.stdout.close()
    child.wait()
    run = read_run(tmp_path)
    assert list(run.frame.index) == list(range(len(run.frame)))
    assert len(run.frame) >= len(told) == told[-1] + 1
    assert all(kept == row(kept.n) for kept in run.rows())
    assert run.outcome is Outcome.INTERRUPTED
    assert run.summary().startswith(f"the run was interrupted: no end record after row {run.last_n}")
