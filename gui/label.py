"""One line of text that gives way: shortened with … when there is no room, whole in its tooltip."""

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QFont, QPainter, QPaintEvent, QResizeEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from .palette import Theme
from .tone import Tone


def scaled(font: QFont, factor: float, *, bold: bool = False) -> QFont:
    """The font at another size, relative to the user's own; digits of equal width where the font has them."""
    result = QFont(font)
    result.setPointSizeF(font.pointSizeF() * factor)
    result.setBold(bold)
    result.setFeature(QFont.Tag("tnum"), 1)
    return result


class Label(QLabel):
    """A plain-text line in a theme's colours. It never asks for more width than `least` characters."""

    def __init__(
        self,
        theme: Theme,
        parent: QWidget | None = None,
        *,
        least: int = 0,
        elide: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
    ) -> None:
        super().__init__(parent)
        self._theme, self._least, self._elide = theme, least, elide
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.say("", Tone.LIVE)

    def say(self, text: str, tone: Tone) -> None:
        """Show a text; the colour is the tone's."""
        palette = self.palette()
        palette.setColor(self.foregroundRole(), self._theme.tone(tone))
        self.setPalette(palette)
        if text != self.text():
            self.setText(text)
            self._explain()

    def minimumSizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """As wide as `least` digits, as high as one line."""
        return QSize(self.fontMetrics().horizontalAdvance("0" * self._least), self.fontMetrics().height())

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """As wide as the text."""
        width = self.fontMetrics().horizontalAdvance(self.text()) + 2
        return QSize(max(width, self.minimumSizeHint().width()), self.fontMetrics().height())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Draw as much of the text as there is room for."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        shown = self.fontMetrics().elidedText(self.text(), self._elide, self.width())
        painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), shown)
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        """A line that is cut off has a tooltip, a line that is not has none."""
        super().resizeEvent(event)
        self._explain()

    def _explain(self) -> None:
        cut = self.fontMetrics().horizontalAdvance(self.text()) > self.width()
        self.setToolTip(self.text() if cut else "")
