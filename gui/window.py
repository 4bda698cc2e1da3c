"""The window on a running Hall sweep. It listens, shows, and passes on one wish: abort. It decides nothing."""

import math
from collections.abc import Callable

from qtpy.QtCore import QElapsedTimer, QEvent, Qt, QTimer
from qtpy.QtGui import QCloseEvent, QColor, QKeySequence, QPalette
from qtpy.QtWidgets import QHBoxLayout, QMainWindow, QPushButton, QSplitter, QVBoxLayout, QWidget

from ..core.records import Estimate, Footer, Outcome
from .feed import Feed, RunControl
from .label import Label, scaled
from .notice import Notice
from .palette import Theme
from .plots import Plots
from .readout import read
from .status import NO_END, UNKNOWN_HARDWARE, RunStatus, grouped
from .strip import Strip
from .tone import Tone

REFRESH_MS = 100
_SILENT_END_MS = 2000  # a run that no longer runs has this long to tell its end


def qt_palette(theme: Theme) -> QPalette:
    """A theme as Qt wants it; what is not named here Qt derives from the button's colour."""
    palette = QPalette(QColor(theme.button), QColor(theme.window))
    role = QPalette.ColorRole
    for roles, colour in (
        ((role.WindowText, role.Text, role.ButtonText, role.ToolTipText), theme.text),
        ((role.Base, role.AlternateBase, role.ToolTipBase), theme.base),
        ((role.PlaceholderText,), theme.quiet),
        ((role.Highlight,), theme.accent),
        ((role.HighlightedText,), theme.base),
    ):
        for one in roles:
            palette.setColor(one, QColor(colour))
    for one in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, one, QColor(theme.quiet))
    return palette


class RunWindow(QMainWindow):
    """One run: strip, readout, two plots, status bar, and the abort button.

    Nothing is started by building it: `begin` starts the run.
    """

    def __init__(self, run: RunControl, theme: Theme, *, title: str, simulated: str = "") -> None:
        super().__init__()
        self._run, self._feed, self._name, self._simulated = run, Feed(), title, simulated
        self._begun = self._abort_asked = self._close_at_end = False
        self._estimate: Estimate | None = None
        self._ended_calls: list[Callable[[], None]] = []
        self._row_age, self._estimate_age, self._silent = QElapsedTimer(), QElapsedTimer(), QElapsedTimer()
        self.status = RunStatus()
        self.setPalette(qt_palette(theme))
        self._build(theme)
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self.refresh)
        self._timer.start()
        self.refresh()

    def _build(self, theme: Theme) -> None:
        self.strip, self.notice, self.plots = Strip(theme), Notice(theme), Plots(theme)
        self.headline, self.detail = Label(theme, least=20), Label(theme, least=20)
        self.headline.setFont(scaled(self.font(), 1.55))
        self.headline.setAccessibleName("Coercive field")

        self.abort_button = QPushButton("■ Abort — magnet holds   F12")
        self.abort_button.setAccessibleName("Abort, magnet holds")
        self.abort_button.setFont(scaled(self.font(), 1.1, bold=True))
        self.abort_button.setMinimumHeight(40)
        self.abort_button.clicked.connect(self.ask_abort)
        for name, key, slot in (
            ("Abort", Qt.Key.Key_F12, self.press_abort_key),
            ("Whole range", Qt.Key.Key_Home, self.home),
        ):
            action = self.addAction(name)
            action.setShortcut(QKeySequence(key))
            action.setAutoRepeat(False)  # a key held down is one wish, not two
            action.triggered.connect(slot)

        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.headline)
        words.addWidget(self.detail)
        line = QHBoxLayout()
        line.setContentsMargins(10, 0, 0, 0)
        line.addLayout(words, 1)
        line.addWidget(self.abort_button)
        plots = QSplitter(Qt.Orientation.Horizontal)
        plots.setAccessibleName("Plots")
        plots.addWidget(self.plots.whole)
        plots.addWidget(self.plots.near)
        plots.setChildrenCollapsible(False)
        plots.setSizes([560, 700])
        central = QWidget()
        column = QVBoxLayout(central)
        column.setContentsMargins(8, 8, 8, 4)
        column.setSpacing(6)
        for widget in (self.strip, self.notice):
            column.addWidget(widget)
        column.addLayout(line)
        column.addWidget(plots, 1)
        self.setCentralWidget(central)

        self.folder = Label(theme, least=20, elide=Qt.TextElideMode.ElideMiddle)
        self.saved, self.event_line = Label(theme, least=20), Label(theme, least=20)
        for label, stretch in ((self.saved, 0), (self.folder, 3), (self.event_line, 3)):
            self.statusBar().addWidget(label, stretch)
        self.statusBar().setSizeGripEnabled(False)
        self.statusBar().setContentsMargins(8, 0, 8, 2)
        self.setMinimumSize(900, 480)
        self.resize(1280, 720)

    def begin(self) -> None:
        """Start the run. What the run raises at its start is raised here, and nothing runs then."""
        self._run.start(self._feed)
        self._begun = True

    def refresh(self) -> None:
        """Take what was heard since the last look and show it. Called by the window's one timer."""
        batch = self._feed.take()
        if batch.footer is None and self._ended_silently():
            # Not the run's own words: it had none. A state that is never wrong says that it does not know.
            batch.footer = Footer(Outcome.INTERRUPTED, batch.rows, NO_END, UNKNOWN_HARDWARE)
        was_over = self.status.ended
        self.status.apply(batch)
        if batch.reading is not None:
            self._row_age.start()
        self.plots.add_legs(batch.legs)
        if len(batch.points):
            self.plots.add(batch.points)
        if batch.estimate is not None:
            self._estimate = batch.estimate
            self._estimate_age.start()
            self.plots.show_estimate(batch.estimate)
        reading = self.status.reading
        live = reading is not None and math.isfinite(reading.field_T) and not self.status.ended
        self.plots.refresh(reading.field_T if reading is not None and live else None)
        self._say()
        if self.status.ended and not was_over:
            self._end()

    def ask_abort(self) -> None:
        """Ask once whether to stop; nothing is sent before the answer."""
        if not self._over:
            reading = self.status.reading
            field = self.status.field(0.0).value if reading is not None else "its present field"
            self.notice.ask(
                f"Stop now, keep {grouped(self.status.rows)} rows, hold the magnet at {field}, close the file?",
                act="■ Stop now   F12",
                stay="Keep running   Esc",
                then=self.abort,
            )

    def press_abort_key(self) -> None:
        """F12: asks; pressed again, it is the answer."""
        if self.notice.asking:
            self.notice.accept()
        else:
            self.ask_abort()

    def abort(self) -> None:
        """Pass the wish on to the run, once."""
        if self._over:
            return
        self._abort_asked = self.status.stopping = True
        try:
            self._run.abort()
        except Exception as error:  # whatever it is, the person at the magnet must see it and may try again
            self._abort_asked = self.status.stopping = False
            self.notice.tell(f"The abort did not reach the run: {error}", Tone.ALARM)
        self._say()

    def when_ended(self, call: Callable[[], None]) -> None:
        """Call this once the end of the run is on the screen."""
        self._ended_calls.append(call)

    def home(self) -> None:
        """Both plots at their whole range."""
        self.plots.whole.home()
        self.plots.near.home()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802  Qt's name
        """A window on a running run closes only after the run has been asked to stop, and has stopped."""
        if self.status.ended or not self._run.running():
            self._timer.stop()
            event.accept()
            return
        event.ignore()
        if self._abort_asked:
            self._close_at_end = True
            self.notice.tell("Stopping. The window closes when the magnet holds and the file is closed.", Tone.WARN)
        else:
            self.notice.ask(
                "The run goes on only while this window is open. Stop it?",
                act="■ Abort, hold, close   F12",
                stay="Stay   Esc",
                then=self._abort_and_close,
            )

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802  Qt's name
        """A window brought back from the task bar shows the present at once."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.WindowStateChange and not self.isMinimized():
            self.refresh()

    @property
    def _over(self) -> bool:
        return self._abort_asked or self.status.ended

    def _abort_and_close(self) -> None:
        self._close_at_end = True
        self.abort()
        self._close_at_end = self._abort_asked

    def _ended_silently(self) -> bool:
        if self.status.ended or not self._begun or self._run.running():
            self._silent.invalidate()
            return False
        if not self._silent.isValid():
            self._silent.start()
        return self._silent.elapsed() > _SILENT_END_MS

    def _say(self) -> None:
        status = self.status
        age_s = self._row_age.elapsed() / 1e3 if self._row_age.isValid() else 0.0
        simulated = bool(self._simulated) or status.simulated
        self.setWindowTitle(status.title(self._name, simulated=simulated))
        self.strip.field.show_text(status.field(age_s))
        self.strip.temperature.show_text(status.temperature(age_s))
        self.strip.run.show_text(status.run())
        if simulated and self.strip.simulated.isHidden():
            self.strip.simulated.say(self._simulated or "no hardware")
            self.strip.simulated.show()
        # A fit is late only while rows arrive that it could have used.
        late = self._estimate_age.isValid() and age_s < 1.0 and not status.ended
        readout = read(self._estimate, self._estimate_age.elapsed() / 1e3 if late else 0.0)
        self.headline.say(readout.headline, readout.tone)
        self.detail.say(readout.detail, Tone.QUIET)
        self.saved.say(f"{grouped(status.rows)} rows saved", Tone.LIVE)
        self.folder.say(f"→ {status.folder}" if status.folder else "", Tone.QUIET)
        self.event_line.say(*status.last_event())
        self.abort_button.setEnabled(not self._over)

    def _end(self) -> None:
        self._timer.stop()
        self.notice.tell(*self.status.outcome())
        for call in self._ended_calls:
            call()
        if self._close_at_end:
            self.close()
