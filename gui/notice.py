"""A bar in the window that asks or tells. It blocks nothing: the run goes on, the plots go on, while it waits."""

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton

from .palette import Theme
from .tone import Tone


class Notice(QFrame):
    """One question with two answers, of which staying is the default; or one sentence that stays."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._act: Callable[[], None] | None = None
        self.setObjectName("notice")
        self.setAccessibleName("Notice")
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self.stay, self.act = QPushButton(), QPushButton()
        for button in (self.stay, self.act):
            button.setAutoDefault(True)  # Enter presses the focused one, outside dialogs too
        self.stay.clicked.connect(self.dismiss)
        self.act.clicked.connect(self.accept)
        escape = self.addAction("Keep running")
        escape.setShortcut(QKeySequence(Qt.Key.Key_Escape))
        escape.triggered.connect(self._escape)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 5, 8, 5)
        row.addWidget(self._text, 1)
        row.addWidget(self.stay)
        row.addWidget(self.act)
        self.hide()

    @property
    def asking(self) -> bool:
        """True while a question waits for its answer."""
        return self._act is not None

    def ask(self, question: str, *, act: str, stay: str, then: Callable[[], None]) -> None:
        """Ask once. `then` is called if the answer is `act`; Esc, Enter and the other button leave all as it is."""
        self._act = then
        for button, text in ((self.stay, stay), (self.act, act)):
            button.setText(text)
            button.setAccessibleName(text)
            button.show()
        self._show(question, Tone.WARN)
        self.stay.setFocus(Qt.FocusReason.OtherFocusReason)

    def tell(self, sentence: str, tone: Tone) -> None:
        """Say something that stays until something newer is said. A question that stood here is withdrawn."""
        self._act = None
        self.stay.hide()
        self.act.hide()
        self._show(sentence, tone)

    def accept(self) -> None:
        """Answer the question with its action. Does nothing when there is no question."""
        then, self._act = self._act, None
        if then is not None:
            self.hide()
            then()

    def dismiss(self) -> None:
        """Answer the question by staying."""
        self._act = None
        self.hide()

    def sentence(self) -> str:
        """What it says, empty when it is not shown."""
        return "" if self.isHidden() else self._text.text()

    def _escape(self) -> None:
        if self.asking:  # what was told stays
            self.dismiss()

    def _show(self, text: str, tone: Tone) -> None:
        colour = self._theme.tone(tone)
        self.setStyleSheet(
            f"#notice {{ background: {self._theme.base}; border: 2px solid {colour}; border-radius: 4px; }}"
            f"#notice QLabel {{ color: {self._theme.text}; }}"
        )
        self._text.setText(text)
        self.setAccessibleDescription(text)
        self.show()
