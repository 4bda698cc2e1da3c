"""The reader: never an exception for damage, never a row that was not written, and every fault has a name."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remanence.core.errors import ConfigError, StorageError
from remanence.core.records import Column, Event, Footer, Header, InstrumentRecord, Leg, Outcome, Row
from remanence.storage import DamageKind, Journal, lines, read_run

COLUMNS = (Column("field_T", "field", "T"), Column("voltage_V", "voltage", "V"))
HEADER = Header(
    "0190", "lab.Hall", {}, COLUMNS, "dry", "rig", "µ", True, "2026-01-01T00:00:00+00:00", 1767225600.0, 0.0, {}
)
ROWS = [Row(n, n * 0.5, 1767225600.0 + n * 0.5, (7.0 - n * 0.1, n / 3), ("x",) if n % 2 else ()) for n in range(4)]


def write(path):
    with Journal(path) as journal:
        journal.head(HEADER)
        journal.instrument(InstrumentRecord("a", "b", "c", "d", {}))
        journal.leg_started(Leg(0, 1.0, -1.0, 0.1), 0, 0.0)
        for row in ROWS:
            journal.row(row)
        journal.leg_ended(Leg(0, 1.0, -1.0, 0.1), 3, 2.0)
        journal.event(Event("info", "a", "b"), 2.0, 2.0)
        journal.end(Footer(Outcome.COMPLETED, len(ROWS)), 3.0, 3.0)
    return path.read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write(tmp_path_factory.mktemp("whole") / "run.jsonl")


@pytest.fixture
def read(tmp_path):
    def read_bytes(data):
        (tmp_path / "run.jsonl").write_bytes(data)
        return read_run(tmp_path)

    return read_bytes


def kinds(run):
    return [damage.kind for damage in run.damage]


def line_of(record):
    return lines.framed(lines.encoded(record))


def invents_nothing(run):
    return all(any(kept == row for row in ROWS) for kept in run.rows())


def test_a_cut_at_each_byte_is_told(whole, read):
    for size in range(len(whole)):
        run = read(whole[:size])
        good = whole[:size].count(b"\n")
        torn = size - (whole[:size].rfind(b"\n") + 1)
        assert list(run.rows()) == ROWS[: max(0, min(good - 3, 4))]
        assert run.outcome is Outcome.INTERRUPTED
        assert (run.header is None) == (good == 0)
        expected = [DamageKind.TORN_TAIL] * (torn > 0) + [DamageKind.NO_HEAD] * (good == 0)
        assert kinds(run) == expected
        if torn:
            assert (run.damage[0].size_bytes, run.damage[0].first_line) == (torn, good + 1)


@pytest.mark.parametrize("how", ["one bit", "zero", "LF", "TAB", "0xff"])
def test_each_byte_spoiled_is_told_and_the_other_lines_are_read(whole, read, how):
    change = {"zero": lambda b: 0, "LF": lambda b: 10, "TAB": lambda b: 9, "0xff": lambda b: 255}
    for at in range(len(whole)):
        bit = 1 << (at % 8)
        new = whole[at] ^ bit if how == "one bit" else change[how](whole[at])
        if new == whole[at]:
            continue
        run = read(whole[:at] + bytes([new]) + whole[at + 1 :])
        spoiled = whole[:at].count(b"\n") + 1
        assert invents_nothing(run)
        # A spoiled LF takes the next line with it.
        lost = {spoiled, spoiled + 1} if whole[at] == 10 else {spoiled}
        assert list(run.rows()) == [row for row in ROWS if row.n + 4 not in lost]
        assert {DamageKind.BAD_LINE, DamageKind.TORN_TAIL} & set(kinds(run))
        assert any(damage.first_line in lost for damage in run.damage)
        assert "line" in run.summary()


@pytest.mark.parametrize("how", ["one bit", "each bit"])
def test_each_bit_of_a_row_is_guarded(whole, read, how):
    start = whole.index(b'{"k":"row","n":1')
    end = whole.index(b"\n", start)
    for at in range(start, end):
        for bit in range(8) if how == "each bit" else [5]:
            run = read(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            assert [row.n for row in run.rows()] == [0, 2, 3]


def test_zeroed_ends_are_told(whole, read):
    for size in range(len(whole)):
        run = read(whole[:size] + bytes(len(whole) - size))
        assert invents_nothing(run)
        assert kinds(run)[0] is DamageKind.TORN_TAIL
        assert run.footer is None


def test_a_lost_page_leaves_the_lines_around_it_and_names_the_gap(tmp_path, read):
    with Journal(tmp_path / "long") as journal:
        journal.head(HEADER)
        for n in range(1000):
            journal.row(Row(n, n * 1.0, n * 1.0, (n / 7, n / 3)))
        journal.end(Footer(Outcome.COMPLETED, 1000), 1.0, 1.0)
    data = bytearray((tmp_path / "long").read_bytes())
    data[8192:12288] = bytes(4096)
    run = read(bytes(data))
    gap = next(damage for damage in run.damage if damage.kind is DamageKind.GAP)
    assert list(run.frame.index) == [n for n in range(1000) if not gap.first_n <= n <= gap.last_n]
    assert kinds(run) == [DamageKind.BAD_LINE, DamageKind.GAP, DamageKind.CHECKSUM, DamageKind.MISCOUNT]
    assert f"rows {gap.first_n} to {gap.last_n} are missing" in run.summary()


def test_a_missing_line_is_a_gap_and_the_end_knows(whole, read):
    parts = whole.splitlines(keepends=True)
    run = read(b"".join(parts[:4] + parts[5:]))
    assert kinds(run) == [DamageKind.GAP, DamageKind.CHECKSUM, DamageKind.MISCOUNT]
    assert (run.damage[0].first_n, run.damage[0].last_n, run.damage[0].text) == (1, 1, "row 1 is missing")


def test_rows_missing_before_the_end_are_a_gap_too(whole, read):
    parts = whole.splitlines(keepends=True)
    run = read(b"".join(parts[:5] + parts[7:]))
    assert (run.damage[0].first_n, run.damage[0].last_n) == (2, 3)
    assert run.outcome is Outcome.COMPLETED


def test_a_line_that_came_twice_counts_once(whole, read):
    parts = whole.splitlines(keepends=True)
    run = read(b"".join([*parts[:5], parts[4], *parts[5:]]))
    assert list(run.rows()) == ROWS
    assert kinds(run)[0] is DamageKind.DUPLICATE_ROW
    assert (run.damage[0].first_n, run.damage[0].first_line) == (1, 6)


def test_lines_in_another_order_are_told(whole, read):
    parts = whole.splitlines(keepends=True)
    run = read(b"".join([*parts[:4], parts[5], parts[4], *parts[6:]]))
    assert [row.n for row in run.rows()] == [0, 2, 1, 3]
    assert kinds(run) == [DamageKind.OUT_OF_ORDER, DamageKind.CHECKSUM]


def test_what_stands_after_the_end_does_not_count(whole, read):
    parts = whole.splitlines(keepends=True)
    run = read(whole + line_of({"k": "row", "n": 4, "t": 1.0, "utc": 1.0, "v": [1.0, 2.0]}) + parts[0])
    assert list(run.rows()) == ROWS
    assert kinds(run) == [DamageKind.AFTER_END]
    assert run.damage[0].text == "lines 11 to 12 cannot be used: it stands after the end record"


def test_without_its_head_the_rows_are_still_there(whole, read):
    run = read(b"".join(whole.splitlines(keepends=True)[1:]))
    assert run.header is None
    assert list(run.frame.columns) == ["column_0", "column_1"]
    assert [row.values for row in run.rows()] == [row.values for row in ROWS]
    assert DamageKind.NO_HEAD in kinds(run)


def test_a_huge_line_is_skipped_not_held(whole, read, monkeypatch):
    from remanence.storage import reader

    monkeypatch.setattr(reader, "MAX_LINE_BYTES", 1000)
    parts = whole.splitlines(keepends=True)
    run = read(b"".join([*parts[:5], b"x" * 5000 + b"\n", *parts[5:]]))
    assert list(run.rows()) == ROWS
    assert run.damage[0].text == "line 6 cannot be used: it is too long (5001 bytes)"
    run = read(b"".join([*parts[:5], b"x" * 5000]))
    assert (kinds(run), run.damage[0].size_bytes) == ([DamageKind.TORN_TAIL], 5000)


STRANGE = [
    {"k": "blk", "n": 1},
    {"n": 1},
    {"k": ["row"]},
    {"k": "row", "n": "1", "t": 0, "utc": 0, "v": [1, 2]},
    {"k": "row", "n": -1, "t": 0, "utc": 0, "v": [1, 2]},
    {"k": "row", "n": 10**40, "t": 0, "utc": 0, "v": [1, 2]},
    {"k": "row", "n": 9, "t": 0, "utc": 0, "v": [1]},
    {"k": "row", "n": 9, "t": "now", "utc": 0, "v": [1, 2]},
    {"k": "row", "n": 9, "t": 0, "utc": {}, "v": [1, 2]},
    {"k": "row", "n": 9, "t": 0, "utc": 0, "v": "12"},
    {"k": "row", "n": 9, "t": 0, "utc": 0, "v": [1, 2], "f": 3},
    {"k": "row", "n": 9, "t": 0, "utc": 0, "v": [1, 2], "f": [["a"]]},
    {"k": "row", "n": 9, "t": 10**400, "utc": 0, "v": [1, 2]},
    {"k": "head", "columns": []},
    {"k": "seg-", "no": 7, "last": 1, "t": 0},
    {"k": "seg+", "no": 7},
    {"k": "inst"},
    {"k": "ev"},
    {"k": "end", "outcome": "splendid", "rows": 1, "reason": "", "hardware": ""},
    {"k": "end", "outcome": "completed", "rows": 1, "reason": [], "hardware": ""},
]


@pytest.mark.parametrize("record", STRANGE)
def test_a_line_of_right_checksum_and_strange_content_is_told(whole, read, record):
    parts = whole.splitlines(keepends=True)
    run = read(b"".join([*parts[:5], line_of(record), *parts[5:8]]))
    assert list(run.rows()) == ROWS
    assert kinds(run) == [DamageKind.BAD_LINE]
    assert "line 6 cannot be used" in run.summary()


@pytest.mark.parametrize("body", [b"NaN", b"[1]", b'{"k":NaN}', b"\xff", b"[" * 100_000, b"", b"9" * 5000])
def test_a_right_checksum_over_no_record_is_told(whole, read, body):
    run = read(whole.splitlines(keepends=True)[0] + lines.framed(body))
    assert kinds(run) == [DamageKind.BAD_LINE]


def test_odd_cells_stay_what_they_are(whole, read):
    head = whole.splitlines(keepends=True)[0]
    cells = [10**400, 1.5, None, "text", True, [1, 2], 2**70]
    rows = [line_of({"k": "row", "n": n, "t": None, "utc": 0, "v": [c, n]}) for n, c in enumerate(cells)]
    run = read(head + b"".join(rows))
    assert run.damage == ()
    assert list(run.frame["field_T"]) == cells
    assert np.isnan(run.time_s).all()


def test_a_run_that_is_being_written_is_read_up_to_its_last_whole_line(tmp_path):
    with Journal(tmp_path / "run.jsonl") as journal:
        journal.head(HEADER)
        assert read_run(tmp_path).summary() == "the run was interrupted: no end record and no row"
        journal.row(ROWS[0])
        assert list(read_run(tmp_path).rows()) == ROWS[:1]


def test_the_summary_says_it_in_one_sentence_per_fact(whole, read):
    cut = whole[: whole.index(b'{"k":"row","n":3') + 37]
    assert read(cut).summary() == (
        "the run was interrupted: no end record after row 2; "
        "the last 37 bytes are what is left of line 7, which was torn off"
    )


def test_a_leg_that_was_not_finished_has_no_last_row(whole, read):
    run = read(b"".join(whole.splitlines(keepends=True)[:6]))
    assert (run.legs[0].first_row, run.legs[0].last_row) == (0, None)


def test_a_leg_made_again_is_two_records(tmp_path):
    leg = Leg(1, -1.0, 1.0, 0.1)
    with Journal(tmp_path / "j") as journal:
        journal.head(HEADER)
        journal.leg_started(leg, 0, 0.0)
        journal.leg_started(leg, 5, 1.0)
        journal.leg_ended(leg, 9, 2.0)
    assert [(kept.first_row, kept.last_row) for kept in read_run(tmp_path / "j").legs] == [(0, None), (5, 9)]


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", b"\x89HDF\r\n\x1a\n", b'{"k": "head"}\n', b"{}", b"\n\n"])
def test_another_file_is_refused_in_a_sentence(read, data):
    with pytest.raises(ConfigError, match="not a journal"):
        read(data)


@pytest.mark.parametrize("data", [b"", b"\0" * 5000, b'{"k', b'{"k":"head","sch\n'])
def test_a_ruined_journal_is_still_one(read, data):
    run = read(data)
    assert DamageKind.NO_HEAD in kinds(run)
    assert len(run.frame) == 0


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(StorageError, match="cannot be opened"):
        read_run(tmp_path / "run.jsonl")
    with pytest.raises(StorageError, match="cannot be opened"):
        read_run(tmp_path)


@given(st.data())
def test_any_number_of_faults_raises_nothing_and_invents_nothing(tmp_path_factory, whole, data):
    spoiled = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(spoiled)))
        size = data.draw(st.integers(0, 200))
        spoiled[start : start + size] = data.draw(st.binary(max_size=40))
    path = tmp_path_factory.mktemp("spoiled") / "run.jsonl"
    path.write_bytes(spoiled)
    try:
        run = read_run(path)
    except ConfigError:
        assert b'"row"' not in spoiled or not invents_any_line(spoiled, whole)
        return
    assert invents_nothing(run)
    assert run.summary()


def invents_any_line(spoiled, whole):
    good = set(whole.splitlines(keepends=True))
    return any(line in good for line in bytes(spoiled).splitlines(keepends=True))


@given(st.lists(st.tuples(st.floats(), st.floats() | st.none()), max_size=20))
def test_numbers_come_back_bit_exactly(tmp_path_factory, pairs):
    path = tmp_path_factory.mktemp("exact") / "run.jsonl"
    with Journal(path) as journal:
        journal.head(HEADER)
        for n, pair in enumerate(pairs):
            journal.row(Row(n, float(n), float(n), pair))
    run = read_run(path)
    wanted = np.array([[np.nan if x is None or not np.isfinite(x) else x for x in pair] for pair in pairs])
    assert run.frame.to_numpy().tobytes() == wanted.reshape(-1, 2).tobytes()
    assert run.damage == ()


def test_a_long_run_of_damage_is_a_short_list(whole, read):
    head, *rest = whole.splitlines(keepends=True)
    run = read(head + b"rubbish\n" * 1000 + b"".join(rest))
    first = run.damage[0]
    assert (first.kind, first.first_line, first.last_line) == (DamageKind.BAD_LINE, 2, 1001)
    assert len(run.damage) < 5


def test_row_numbers_rise_in_every_readable_cut(whole, read):
    for size in range(0, len(whole), 40):
        assert all(a < b for a, b in pairwise(read(whole[:size]).frame.index))
