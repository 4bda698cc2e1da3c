"""The hand-over between a run and a window: every row counted, nobody waits, memory bounded."""

from threading import Event as Flag
from threading import Thread

import numpy as np
from remanence.core.records import (
    Column,
    Estimate,
    EstimateStatus,
    Event,
    Footer,
    Header,
    Leg,
    Outcome,
    Progress,
    Row,
    Waiting,
)
from remanence.gui import feed as feed_module
from remanence.gui.feed import EVENTS_KEPT, Feed

COLUMNS = ("time_s", "leg", "field_T", "temperature_K", "R_xy_ohm", "flags")
HEADER = Header("u", "HallLoop", {}, tuple(Column(name, name) for name in COLUMNS), "s", "r", "S", True, "", 0, 0, {})


def row(n, leg=0, field_T=0.0, r_xy_ohm=1.0):
    return Row(n, n, n, (float(n), leg, field_T, 5.0, r_xy_ohm, ""))


def fresh():
    feed = Feed()
    feed.started(HEADER, "/data/run")
    return feed


def test_rows_from_another_thread_all_arrive_in_order():
    feed, done, taken = fresh(), Flag(), []

    def acquire():
        for n in range(21_000):
            feed.row(row(n, field_T=float(n)))
        done.set()

    thread = Thread(target=acquire)
    thread.start()
    while not done.is_set():
        taken.append(feed.take())
    thread.join()
    taken.append(feed.take())
    fields = np.concatenate([batch.points[:, 1] for batch in taken])
    assert np.array_equal(fields, np.arange(21_000.0))
    assert taken[-1].rows == 21_000


def test_a_listener_never_waits_for_a_window_that_does_not_look():
    feed = fresh()
    thread = Thread(target=lambda: [feed.row(row(n)) for n in range(21_000)], daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert feed.take().rows == 21_000


def test_a_backlog_is_thinned_not_lost(monkeypatch):
    monkeypatch.setattr(feed_module, "BACKLOG_POINTS", 64)
    feed = fresh()
    rng = np.random.default_rng(1)
    heights = rng.normal(size=10_000)
    for n, height in enumerate(heights):
        feed.row(row(n, leg=n // 5000, field_T=float(n), r_xy_ohm=float(height)))
    batch = feed.take()
    assert batch.rows == 10_000
    assert len(batch.points) <= 64
    assert (np.diff(batch.points[:, 1]) >= 0).all()
    assert (batch.points[:, 2].max(), batch.points[:, 2].min()) == (heights.max(), heights.min())
    assert (batch.points[:, 0] == batch.points[:, 1] // 5000).all()


def test_what_replaces_itself_is_kept_once_and_what_does_not_is_kept_whole():
    feed = fresh()
    for number in range(4):
        feed.leg_started(Leg(number, 0.0, 1.0, 1e-3))
        feed.progress(Progress(number / 4))
        feed.estimate(Estimate(EstimateStatus.WAITING, {}, rows=number))
    batch = feed.take()
    assert [leg.number for leg in batch.legs] == [0, 1, 2, 3]
    assert batch.progress == Progress(0.75)
    assert batch.estimate is not None
    assert batch.estimate.rows == 3
    second = feed.take()
    assert (second.legs, second.progress, second.estimate, second.header) == ((), None, None, None)


def test_events_are_bounded():
    feed = fresh()
    for n in range(1000):
        feed.event(Event("info", "magnet", str(n)))
    assert [event.text for event in feed.take().events] == [str(n) for n in range(1000 - EVENTS_KEPT, 1000)]


def test_a_late_live_estimate_does_not_replace_the_final_one():
    feed = fresh()
    final = Estimate(EstimateStatus.NOT_RESOLVED, {}, rows=9)
    feed.ended(Footer(Outcome.COMPLETED, 9), final)
    feed.estimate(Estimate(EstimateStatus.WAITING, {}, rows=7))
    assert feed.take().estimate is final


def test_a_row_ends_a_wait_and_a_wait_follows_rows():
    feed = fresh()
    feed.waiting(Waiting("settle"))
    feed.row(row(0))
    assert feed.take().waiting is None
    feed.row(row(1))
    feed.waiting(Waiting("turn"))
    assert feed.take().waiting == Waiting("turn")


def test_a_row_without_a_number_is_counted_and_not_drawn():
    feed = fresh()
    feed.row(row(0, r_xy_ohm=float("nan")))
    feed.row(Row(1, 1, 1, (1.0, 0, 0.5, None, None, "overload")))
    batch = feed.take()
    assert (batch.rows, len(batch.points)) == (2, 0)
    assert batch.reading is not None
    assert batch.reading.field_T == 0.5
    assert np.isnan(batch.reading.temperature_K)


def test_a_row_shorter_than_its_header_is_counted():
    feed = fresh()
    feed.row(Row(0, 0, 0, (0.0,)))
    assert feed.take().rows == 1
