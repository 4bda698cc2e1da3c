"""Where a run lies: any name makes one safe component, different names make different ones, nothing leaves the root."""

import os
import sys
import unicodedata
import uuid
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.errors import ConfigError, StorageError
from remanence.storage import new_uid, run_folder, safe_name

START = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
TEN = bytes(range(10))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("dry fridge", "dry fridge"),
        ("LAO-STO_7 (µm)", "LAO-STO_7 (µm)"),
        ("试样三号", "试样三号"),
        ("../etc", "%2E.%2Fetc"),
        ("/etc/passwd", "%2Fetc%2Fpasswd"),
        ("C:\\Users", "C%3A%5CUsers"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("", "%empty"),
        ("CON", "%43ON"),
        ("con.txt", "%63on.txt"),
        ("COM¹", "%43OM¹"),
        ("nul .x", "%6Eul .x"),
        ("CONSOLE", "CONSOLE"),
        ("trailing.", "trailing%2E"),
        ("trailing ", "trailing%20"),
        (" x", "%20x"),
        (".hidden", "%2Ehidden"),
        ("-rf", "%2Drf"),
        ("a\0b", "a%00b"),
        ("a\nb", "a%0Ab"),
        ("🧲", "%F0%9F%A7%B2"),
        ("a\u202eb", "a%E2%80%AEb"),
        ("100%", "100%25"),
        ("\ud800", "%ED%A0%80"),
        ("e\u0301", "é"),
    ],
)
def test_a_name_becomes_one_component(name, safe):
    assert safe_name(name) == safe


def test_long_names_are_cut_and_stay_apart():
    one, two = safe_name("x" * 300), safe_name("x" * 299 + "y")
    assert one != two
    assert len(one) == len(two) == 120
    assert len(safe_name("µ" * 300).encode()) <= 120


odd_names = st.text(st.characters() | st.sampled_from(list('/\\.:*?"<>| %~\0\ud800')), max_size=90) | st.text(
    st.sampled_from(list("/.% CONcon12\\-")), max_size=8
)


@settings(max_examples=1000)
@given(odd_names, odd_names)
def test_any_two_names_stay_apart_and_inside(one, two):
    safe = safe_name(one)
    assert safe
    assert not set(safe) & set('/\\:*?"<>|\0')
    assert not safe.endswith((".", " "))
    assert not safe.startswith((".", "-", " "))
    assert all(char.isprintable() or unicodedata.category(char)[0] in "LMN" for char in safe)
    assert len(safe.encode()) <= 120
    assert Path(os.path.normpath(Path("/data") / safe)).parent == Path("/data")
    same = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", two)
    assert (safe_name(one) == safe_name(two)) == same


def test_the_folder_is_rig_year_month_uid_in_utc(tmp_path):
    local = START.astimezone(timezone(timedelta(hours=-5)))  # still February there
    folder = run_folder(tmp_path / "data", "dry fridge", local, "0190")
    assert folder == tmp_path / "data" / "dry fridge" / "2026" / "03" / "0190"
    assert folder.is_dir()


def test_a_run_folder_is_made_once(tmp_path):
    run_folder(tmp_path, "rig", START, "0190")
    with pytest.raises(StorageError, match="exists already"):
        run_folder(tmp_path, "rig", START, "0190")
    run_folder(tmp_path, "rig", START, "0191")


@pytest.mark.parametrize("name", ["..", "../..", "/tmp", "a/b", "", "\0", "x" * 300, "CON", "🧲"])
def test_no_name_leaves_the_root(tmp_path, name):
    root = tmp_path / "data"
    folder = run_folder(root, name, START, name or "uid")
    assert folder.resolve().is_relative_to(root.resolve())
    assert len(folder.relative_to(root).parts) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_out_of_the_root_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / "rig").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="leads out"):
        run_folder(tmp_path / "data", "rig", START, "0190")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_root_that_is_a_file_is_a_sentence(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(StorageError, match="cannot be made"):
        run_folder(tmp_path / "data", "rig", START, "0190")


def test_a_start_without_time_zone_is_refused(tmp_path):
    naive = START.replace(tzinfo=None)
    with pytest.raises(ConfigError, match="time zone"):
        run_folder(tmp_path, "rig", naive, "0190")
    with pytest.raises(ConfigError, match="time zone"):
        new_uid(naive, TEN)


def test_a_uid_is_version_7_and_pure():
    uid = uuid.UUID(new_uid(START, TEN))
    assert (uid.version, uid.variant) == (7, uuid.RFC_4122)
    assert uid.int >> 80 == START.timestamp() * 1000
    assert new_uid(START, TEN) == new_uid(START, TEN) == new_uid(START.astimezone(timezone(timedelta(hours=3))), TEN)


def test_the_example_of_the_standard():
    # RFC 9562, appendix A.6
    utc = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    random = (0xCC3 << 68 | 0x18C4DC0C0C07398F).to_bytes(10)
    assert new_uid(utc, random) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.datetimes(datetime(1970, 1, 2), datetime(2500, 1, 1)), st.binary(min_size=10, max_size=10))
def test_uids_sort_by_time(utc, random):
    utc = utc.replace(tzinfo=UTC)
    assert new_uid(utc, random) < new_uid(utc + timedelta(milliseconds=1), bytes(10))


@pytest.mark.parametrize(("utc", "random"), [(START, b""), (datetime(1969, 1, 1, tzinfo=UTC), TEN)])
def test_a_uid_of_nothing_is_refused(utc, random):
    with pytest.raises(ConfigError):
        new_uid(utc, random)
