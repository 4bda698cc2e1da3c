"""The window listens to a run and passes on one wish. Offscreen; the run is a fake that feeds a synthetic loop."""

import gc
import os
import subprocess
import sys
from itertools import pairwise
from threading import Thread

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
try:
    # Before pyqtgraph, which raises a bare Exception without a binding.
    from qtpy.QtCore import Qt
    from qtpy.QtGui import QFontMetrics
    from qtpy.QtWidgets import QAbstractButton, QLabel
except ImportError as error:
    if os.environ.get("REMANENCE_REQUIRE_QT") == "1":
        raise
    pytest.skip(f"Qt cannot be imported: {error}", allow_module_level=True)

import pyqtgraph as pg
from remanence.core.errors import ConfigError
from remanence.core.records import (
    Column,
    Estimate,
    EstimateStatus,
    Event,
    Footer,
    Header,
    Leg,
    Measured,
    Outcome,
    Progress,
    Row,
    Waiting,
)
from remanence.gui import app as app_module
from remanence.gui.app import binding_refusal, display_available, display_refusal, watch
from remanence.gui.palette import DARK, LIGHT
from remanence.gui.window import RunWindow, qt_palette

COLUMNS = "time_s leg field_set_T field_T field_time_s temperature_K x_xx_V y_xx_V x_xy_V y_xy_V time_xx_s R_xx_ohm"
COLUMNS += " R_xy_ohm flags"
CHANNELS = tuple(Column(name, name) for name in COLUMNS.split())
HEADER = Header("u", "HallLoop", {"temperature_K": 5.0}, CHANNELS, "s", "r", "S3", True, "", 0, 0, {})
SET_POINTS_T = (0.0, 7.0, -7.0, 7.0, 0.0)
LEGS = [Leg(n, a, b, 2e-3) for n, (a, b) in enumerate(pairwise(SET_POINTS_T))]
RESOLVED = Estimate(
    EstimateStatus.RESOLVED,
    {
        "coercive_field_T": Measured(0.047, 0.0003),
        "coercive_up_T": Measured(0.0471, 0.0004),
        "coercive_down_T": Measured(-0.0469, 0.0004),
    },
)
HOLDS = "Field holds at 0.0000 T, switch heater on."
COMPLETED = Footer(Outcome.COMPLETED, 21_000, "", HOLDS)


def loop_rows(count=21_000):
    """A five-point Hall loop: 38 Ω/T, an anomalous part of 1 Ω with 47 mT, 15 mΩ of noise."""
    rng = np.random.default_rng(7)
    n = 0
    for leg in LEGS:
        steps = count // 6 * (2 if abs(leg.stop_T - leg.start_T) > 10 else 1)
        sign = 1 if leg.rising else -1
        for field_T in np.linspace(leg.start_T, leg.stop_T, steps):
            r_xy = 38 * field_T + np.tanh((field_T - sign * 0.047) / 0.025) + rng.normal(0, 0.015)
            time_s = n * 0.7
            read = (time_s, leg.number, leg.stop_T, float(field_T), time_s, 5.002)
            yield Row(n, time_s, time_s, (*read, *[0.0] * 5, 100.0, float(r_xy), ""))
            n += 1


class FakeRun:
    """A run the test speaks for: it records what it is asked, and its listener is the test's to call."""

    def __init__(self):
        self.listener, self.aborts, self.on = None, 0, False

    def start(self, listener):
        self.listener, self.on = listener, True
        listener.started(HEADER, "/data/rig/2026/11/20261122-5f2c")

    def abort(self):
        self.aborts += 1

    def running(self):
        return self.on

    def wait(self, timeout_s):
        return not self.on

    def end(self, footer=COMPLETED, estimate=None):
        self.on = False
        self.listener.ended(footer, estimate)


class ThreadedRun(FakeRun):
    """A whole sweep on a thread of its own, as fast as it goes."""

    def start(self, listener):
        super().start(listener)
        self.thread = Thread(target=self.sweep)
        self.thread.start()

    def sweep(self):
        leg = -1
        for row in loop_rows():
            if row.values[1] != leg:
                leg = row.values[1]
                self.listener.leg_started(LEGS[leg])
            self.listener.row(row)
            self.listener.progress(Progress(row.n / 21_000, 60))
        self.end(COMPLETED, RESOLVED)


@pytest.fixture(autouse=True)
def no_qt_warnings(qtlog):
    """Qt says nothing, but for the offscreen platform, which says that it has no window manager to give hints to."""
    yield
    said = [record.message for record in qtlog.records if "propagateSizeHints" not in record.message]
    assert said == []


@pytest.fixture(params=[LIGHT, DARK], ids=["light", "dark"])
def theme(request):
    return request.param


@pytest.fixture
def opened(qtbot):
    """Open a window on a run; at the end the run is over, so that the window closes."""

    def open_on(run, theme=LIGHT, **options):
        window = RunWindow(run, theme, title="Hall loop 5 K", **options)

        def over(_):
            run.on = False

        qtbot.addWidget(window, before_close_func=over)
        window.begin()
        with qtbot.waitActive(window):  # keys reach the active window only
            window.show()
            window.activateWindow()
        window.refresh()
        return window

    return open_on


def measuring(run, window, rows=30):
    run.listener.leg_started(LEGS[0])
    for row in list(loop_rows(600))[:rows]:
        run.listener.row(row)
    run.listener.progress(Progress(0.42, 372))
    window.refresh()


def test_a_run_is_told_from_settling_to_its_end(opened, theme):
    run = FakeRun()
    window = opened(run, theme)
    run.listener.waiting(Waiting("10.000 K: now 14.213 K", 360))
    window.refresh()
    assert window.strip.run.texts() == ("Settling", "10.000 K: now 14.213 K · ≈ 06:00")
    measuring(run, window)
    assert window.strip.run.texts() == ("Measuring 42 %", "06:12 left · leg 1/4")
    assert window.strip.field.texts()[1] == "▲ Ramping → +7.000 T · 2.0 mT/s"
    assert window.windowTitle() == "● 42 % Hall loop 5 K · S3 — remanence [SIMULATED]"
    assert window.saved.text() == "30 rows saved"
    assert window.abort_button.isEnabled()
    run.listener.event(Event("warning", "lock-in", "overload"))
    run.end()
    window.refresh()
    assert window.strip.run.texts() == ("✓ completed", HOLDS)
    assert (
        window.notice.sentence() == "Run completed. Field holds at 0.0000 T, switch heater on. 21\u202f000 rows kept."
    )
    assert window.event_line.text() == "lock-in: overload"
    assert not window.abort_button.isEnabled()


def test_a_failed_run_says_why(opened):
    run = FakeRun()
    window = opened(run)
    run.end(Footer(Outcome.FAILED, 0, "the lock-in did not answer", HOLDS))
    window.refresh()
    assert window.strip.run.texts()[0] == "✕ failed"
    assert window.notice.sentence().startswith("Run failed: the lock-in did not answer. Field holds")


@pytest.mark.parametrize("status", EstimateStatus)
def test_each_claim_of_the_estimator_reaches_the_screen(opened, status):
    run = FakeRun()
    window = opened(run)
    run.listener.estimate(Estimate(status, RESOLVED.values, ("no switching inside ±1.0 T",)))
    window.refresh()
    expected = {
        EstimateStatus.WAITING: "waiting for both branches",
        EstimateStatus.DOWN_ONLY: "↓ only −46.9 ± 0.4 mT (preliminary)",
        EstimateStatus.UP_ONLY: "↑ only +47.1 ± 0.4 mT (preliminary)",
        EstimateStatus.RESOLVED: "µ₀Hc = 47.0 ± 0.3 mT",
        EstimateStatus.NOT_RESOLVED: "not resolved: no switching inside ±1.0 T",
        EstimateStatus.MINOR_LOOP: "minor loop",
    }[status]
    assert expected in window.headline.text()
    bands = [i for i in window.plots.near.plot.getPlotItem().items if isinstance(i, pg.LinearRegionItem)]
    assert [band.getRegion() for band in bands] == (
        [pytest.approx((0.0467, 0.0475)), pytest.approx((-0.0473, -0.0465))]
        if status is EstimateStatus.RESOLVED
        else []
    )


def test_bands_go_when_the_claim_is_withdrawn(opened):
    run = FakeRun()
    window = opened(run)
    for estimate in (RESOLVED, Estimate(EstimateStatus.NOT_RESOLVED, {})):
        run.listener.estimate(estimate)
        window.refresh()
    items = window.plots.near.plot.getPlotItem().items
    assert not [i for i in items if isinstance(i, pg.LinearRegionItem)]


def test_f12_twice_aborts_once(opened, qtbot):
    run = FakeRun()
    window = opened(run)
    measuring(run, window)
    qtbot.keyClick(window, Qt.Key.Key_F12)
    assert run.aborts == 0
    assert window.notice.sentence().startswith("Stop now, keep 30 rows, hold the magnet at +")
    for _ in range(4):
        qtbot.keyClick(window, Qt.Key.Key_F12)
    assert run.aborts == 1
    assert window.strip.run.texts()[0] == "Stopping 42 %"
    run.end(Footer(Outcome.ABORTED, 30, "", HOLDS))
    window.refresh()
    assert window.strip.run.texts() == ("■ aborted", HOLDS)
    window.abort()
    assert run.aborts == 1


@pytest.mark.parametrize("key", [Qt.Key.Key_Escape, Qt.Key.Key_Return], ids=["Esc", "Enter"])
def test_escape_and_enter_keep_a_run_running(opened, qtbot, key):
    run = FakeRun()
    window = opened(run)
    qtbot.mouseClick(window.abort_button, Qt.MouseButton.LeftButton)
    assert window.notice.asking
    qtbot.keyClick(window.focusWidget(), key)
    assert not window.notice.asking
    assert window.notice.sentence() == ""
    assert run.aborts == 0


def test_the_abort_buttons_do_the_same(opened, qtbot):
    run = FakeRun()
    window = opened(run)
    qtbot.mouseClick(window.abort_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(window.notice.act, Qt.MouseButton.LeftButton)
    assert run.aborts == 1


def test_an_abort_that_fails_is_shown_and_can_be_repeated(opened):
    run = FakeRun()
    window = opened(run)
    run.abort = lambda: 1 / 0
    window.abort()
    assert "did not reach the run" in window.notice.sentence()
    del run.abort
    window.press_abort_key()
    window.press_abort_key()
    assert run.aborts == 1


def test_a_question_is_withdrawn_when_the_run_ends(opened):
    run = FakeRun()
    window = opened(run)
    window.ask_abort()
    run.end()
    window.refresh()
    assert not window.notice.asking
    window.press_abort_key()
    assert run.aborts == 0


def test_closing_asks_and_staying_is_the_default(opened, qtbot):
    run = FakeRun()
    window = opened(run)
    window.close()
    assert window.isVisible()
    assert window.notice.asking
    assert window.focusWidget() is window.notice.stay
    qtbot.keyClick(window.notice.stay, Qt.Key.Key_Return)
    assert window.isVisible()
    assert run.aborts == 0


def test_closing_may_abort_and_waits_for_the_end(opened, qtbot):
    run = FakeRun()
    window = opened(run)
    window.close()
    qtbot.mouseClick(window.notice.act, Qt.MouseButton.LeftButton)
    window.close()
    assert window.isVisible()
    assert run.aborts == 1
    run.end(Footer(Outcome.ABORTED, 0, "", HOLDS))
    window.refresh()
    assert not window.isVisible()


def test_after_the_end_closing_asks_nothing(opened):
    run = FakeRun()
    window = opened(run)
    run.end()
    window.refresh()
    assert window.close()


def test_a_run_that_stops_without_a_word_is_not_called_completed(opened, qtbot, monkeypatch):
    monkeypatch.setattr("remanence.gui.window._SILENT_END_MS", 50)
    run = FakeRun()
    window = opened(run)
    run.on = False
    qtbot.waitUntil(lambda: window.status.ended, timeout=5000)
    assert "Hardware state not known" in window.notice.sentence()
    assert window.status.state == "Interrupted"


def test_readings_grow_old(opened, qtbot, monkeypatch):
    monkeypatch.setattr("remanence.gui.status.STALE_S", 0.05)
    run = FakeRun()
    window = opened(run)
    measuring(run, window)
    qtbot.waitUntil(lambda: window.strip.field.texts()[1] == "0 s old", timeout=5000)


def test_every_row_of_a_fast_sweep_is_counted_and_the_loop_is_seen(opened, qtbot):
    run = ThreadedRun()
    window = opened(run)
    qtbot.waitUntil(lambda: window.status.ended, timeout=60_000)
    run.thread.join()
    assert window.status.rows == 21_000
    assert window.plots.samples() == 21_000
    assert window.plots.whole.curve_points() <= 4 * 4096
    curves = [i.getData() for i in window.plots.near.plot.getPlotItem().items if isinstance(i, pg.PlotCurveItem)]
    at_zero = [float(np.interp(0.0, x[np.argsort(x)], y[np.argsort(x)])) for x, y in curves]
    _, down, up, _ = at_zero
    assert (down, up) == pytest.approx((0.95, -0.95), abs=0.1)  # ± tanh(47/25), the height of the open loop
    taken_off = float(window.plots.near.head.text().split("&nbsp;")[1].split()[0])
    assert taken_off == pytest.approx(38, abs=0.15)


def test_real_instruments_are_not_called_simulated(opened):
    run = FakeRun()
    window = opened(run)
    assert window.strip.simulated.isVisible()  # the header says so, though nobody else did
    real = FakeRun()
    real.start = lambda listener: None
    quiet = opened(real)
    assert not quiet.strip.simulated.isVisible()
    assert "SIMULATED" not in quiet.windowTitle()


def test_every_widget_one_can_press_has_a_name(opened):
    window = opened(FakeRun())
    window.ask_abort()
    assert all(button.accessibleName() for button in window.findChildren(QAbstractButton) if button.isVisible())
    assert all(pane.plot.accessibleName() for pane in (window.plots.whole, window.plots.near))


@pytest.mark.parametrize("factor", [1.0, 1.25])
def test_nothing_is_cut_at_1280_by_720(opened, qapp, factor):
    before = qapp.font()
    larger = qapp.font()
    larger.setPointSizeF(before.pointSizeF() * factor)
    qapp.setFont(larger)
    try:
        run = FakeRun()
        window = opened(run, simulated="virtual time")
        window.resize(1280, 720)
        measuring(run, window)
        run.listener.estimate(RESOLVED)
        window.refresh()
        window.ask_abort()
        qapp.processEvents()
        assert (window.width(), window.height()) == (1280, 720)
        for label in window.findChildren(QLabel):
            if label.isVisible() and label.textFormat() != Qt.TextFormat.RichText and not label.wordWrap():
                wide = QFontMetrics(label.font()).horizontalAdvance(label.text())
                assert wide <= label.width(), (label.text(), wide, label.width())
                assert QFontMetrics(label.font()).height() <= label.height(), label.text()
        for button in window.findChildren(QAbstractButton):
            if button.isVisible():
                assert button.width() >= button.sizeHint().width(), button.text()
    finally:
        qapp.setFont(before)


def test_a_theme_is_the_palette_of_the_window(theme):
    palette = qt_palette(theme)
    assert palette.window().color().name() == theme.window
    assert palette.windowText().color().name() == theme.text


def test_watch_runs_to_the_end_saves_a_picture_and_closes(qapp, tmp_path, monkeypatch):
    monkeypatch.setattr(app_module, "_CLOSE_DELAY_MS", 10)
    run, picture = ThreadedRun(), tmp_path / "loop.png"
    assert watch(run, title="Hall loop 5 K", simulated="virtual time", screenshot=picture, close_when_done=True) == 0
    run.thread.join()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_garbage_is_not_collected_in_the_acquisition_thread_while_a_window_is_open(qapp, monkeypatch):
    monkeypatch.setattr(app_module, "_CLOSE_DELAY_MS", 10)

    class Curious(ThreadedRun):
        def sweep(self):
            self.collected_here = gc.isenabled()
            super().sweep()

    run = Curious()
    watch(run, title="Hall loop", close_when_done=True)
    run.thread.join()
    assert not run.collected_here
    assert gc.isenabled()


def test_what_a_run_raises_at_its_start_reaches_the_caller(qapp):
    run = FakeRun()

    def refuse(listener):
        raise ConfigError("max_field 9.5 T is above the limit")

    run.start = refuse
    with pytest.raises(ConfigError, match="above the limit"):
        watch(run, title="Hall loop")


def test_without_a_display_nothing_is_started(qapp, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert not display_available()
    run = FakeRun()
    with pytest.raises(ConfigError, match="no display"):
        watch(run, title="Hall loop")
    assert run.listener is None


@pytest.mark.skipif(sys.platform != "linux", reason="only X11 displays die like this")
def test_a_dead_display_is_refused_and_does_not_take_the_process_along(monkeypatch):
    monkeypatch.delenv("QT_QPA_PLATFORM")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":4242")
    assert "display" in display_refusal()


@pytest.mark.parametrize(
    ("pyside", "python", "refused"),
    [
        ("6.12.0", (3, 11), True),
        ("6.12.0", (3, 12), False),
        ("6.11.3", (3, 11), False),
        ("6.8.0", (3, 11), False),
        ("", (3, 12), True),
    ],
)
def test_the_combination_that_crashes_is_refused_by_name(pyside, python, refused):
    refusal = binding_refusal(pyside, python)
    assert bool(refusal) == refused
    assert pyside in refusal or not refused


def test_the_door_can_be_looked_at_without_qt():
    code = "import sys, remanence.gui.app; print(sorted({'PySide6', 'qtpy', 'pyqtgraph', 'numpy'} & set(sys.modules)))"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() in ("[]", "['numpy']")
