"""The strip at the top that never scrolls: field, temperature, run, and whether any of it is real."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from .label import Label, scaled
from .palette import AMBER, ON_AMBER, Theme
from .tone import TileText, Tone

STRIP_HEIGHT_PX = 56
_VALUE_DIGITS = 9


class Tile(QFrame):
    """A name, a large value, and a line of state under them, which keeps room for `least` digits."""

    def __init__(self, theme: Theme, name: str, least: int) -> None:
        super().__init__()
        self.setObjectName("tile")
        self.setStyleSheet(
            f"#tile {{ background: {theme.base}; border: 1px solid {theme.border}; border-radius: 4px; }}"
        )
        self.setAccessibleName(name)
        self._name = Label(theme, self)
        self._name.setFont(scaled(self.font(), 0.85, bold=True))
        self._name.say(name.upper(), Tone.QUIET)
        self._name.setMinimumWidth(self._name.sizeHint().width())
        self._value = Label(theme, self, least=_VALUE_DIGITS)
        self._value.setFont(scaled(self.font(), 1.55))
        self._state = Label(theme, self, least=least)

        first = QHBoxLayout()
        first.setSpacing(10)
        first.addWidget(self._name, 0, Qt.AlignmentFlag.AlignBottom)
        first.addWidget(self._value, 1)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(10, 3, 10, 4)
        lines.setSpacing(1)
        lines.addLayout(first)
        lines.addWidget(self._state)

    def show_text(self, text: TileText) -> None:
        """Say it, to eyes and to screen readers."""
        self._value.say(text.value, text.value_tone)
        self._state.say(text.state, text.state_tone)
        self.setAccessibleDescription(f"{text.value}, {text.state}")

    def texts(self) -> tuple[str, str]:
        """Value and state line as they stand."""
        return self._value.text(), self._state.text()


class Simulated(QFrame):
    """The amber block. What it says is about the instruments, so it is never small and never absent by accident."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("simulated")
        self.setStyleSheet(f"#simulated {{ background: {AMBER}; border-radius: 4px; }}")
        self.setAccessibleName("Simulated instruments")
        amber = Theme(False, AMBER, AMBER, *[ON_AMBER] * 10)
        self._word, self._how = Label(amber, self), Label(amber, self)
        self._word.setFont(scaled(self.font(), 1.2, bold=True))
        self._word.say("SIMULATED", Tone.LIVE)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(14, 3, 14, 4)
        lines.setSpacing(0)
        lines.addWidget(self._word)
        lines.addWidget(self._how)

    def say(self, how: str) -> None:
        """How it is simulated: speed, or virtual time. The word itself is there already and is not said twice."""
        self._how.say(how.removeprefix("SIMULATED").lstrip(" ,:"), Tone.LIVE)
        self.setMinimumWidth(self.sizeHint().width())


class Strip(QWidget):
    """The tiles in a row. The run's tile takes the room that is left."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.field = Tile(theme, "Field", 24)
        self.temperature = Tile(theme, "Temperature", 18)
        self.run = Tile(theme, "Run", 24)
        self.simulated = Simulated()
        self.simulated.hide()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.field, 4)
        row.addWidget(self.temperature, 3)
        row.addWidget(self.run, 5)
        row.addWidget(self.simulated, 0)
        # A larger font makes the strip higher rather than cutting it.
        self.setFixedHeight(max(STRIP_HEIGHT_PX, self.sizeHint().height()))
