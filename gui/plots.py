"""R_xy against field: the whole loop, and beside it the range where it switches with the straight part taken off.

Curves are one pixel wide, without symbols, thinned in sample order: a pen of two pixels costs thirty times more, and
pyqtgraph's own thinning by x draws a loop wrong.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from ..core.records import Estimate, EstimateStatus, Leg
from .decimate import Decimator, Floats
from .label import scaled
from .nearzero import NearZero
from .palette import Theme

AXIS_WIDTH_PX = 68  # fixed: the plot must not shift when a tick label gains a digit
_TICK_DENSITY = 1.6  # times pyqtgraph's own, since minor ticks are left out
_FIELD = "µ<sub>0</sub>H (T)"
# Where the loop crosses: key of the estimate, label, which side of its line the label stands on (0 right, 1 left) and
# how high, so that it stands outside the loop.
_CROSSINGS = (("coercive_up_T", "▲ +µ₀Hc", 0.0, 0.06), ("coercive_down_T", "▼ −µ₀Hc", 1.0, 0.94))


class Pane(QWidget):
    """One plot with a line of words above it. Curves are named by leg and coloured by the field's direction."""

    def __init__(self, theme: Theme, name: str, vertical: str, *, label_crossings: bool) -> None:
        super().__init__()
        self._theme = theme
        self._half_width_T = 1.0
        self._label_crossings = label_crossings
        self._curves: dict[int, Any] = {}
        self._crossings: list[Any] = []
        self.head = QLabel()
        self.head.setTextFormat(Qt.TextFormat.RichText)
        self.plot: Any = pg.PlotWidget(background=theme.base)
        self.plot.setAccessibleName(name)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.showGrid(x=True, y=True, alpha=0.22)
        for side, text in (("bottom", _FIELD), ("left", vertical)):
            axis: Any = self.plot.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setStyle(maxTickLevel=0)  # minor grid lines cost more than all curves together
            axis.setTickDensity(_TICK_DENSITY)
            axis.setPen(pg.mkPen(theme.quiet, width=1))
            axis.setTextPen(theme.text)
            axis.setTickFont(scaled(self.font(), 1.0))
            axis.setLabel(text, color=theme.text, **{"font-size": f"{self.font().pointSizeF() * 1.1:.1f}pt"})
        self.plot.getAxis("left").setWidth(AXIS_WIDTH_PX)
        self._now: Any = pg.InfiniteLine(angle=90, movable=False, pen=pg.mkPen(theme.quiet, width=1))
        self._now.setZValue(-5)
        self._now.hide()
        self.plot.addItem(self._now, ignoreBounds=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.head)
        layout.addWidget(self.plot, 1)
        self.home()

    def home(self) -> None:
        """The whole range again, after somebody has zoomed or moved it."""
        self.plot.setXRange(-self._half_width_T, self._half_width_T, padding=0.02)
        self.plot.enableAutoRange(axis="y")

    def reach(self, half_width_T: float) -> None:
        """Show fields from −`half_width_T` to +`half_width_T`."""
        if half_width_T != self._half_width_T:
            self._half_width_T = half_width_T
            self.home()

    def draw(self, leg: Leg, x: Floats, y: Floats) -> None:
        """Replace the curve of a leg."""
        if leg.number not in self._curves:
            # The first leg, from zero field, is not part of the closed loop: dashed.
            style = Qt.PenStyle.DashLine if leg.number == 0 else Qt.PenStyle.SolidLine
            pen = pg.mkPen(self._theme.up if leg.rising else self._theme.down, width=1, style=style)
            self._curves[leg.number] = curve = pg.PlotCurveItem(pen=pen, skipFiniteCheck=True)
            self.plot.addItem(curve)
        self._curves[leg.number].setData(x, y)

    def mark_now(self, field_T: float | None) -> None:
        """A line where the field is now, or none."""
        self._now.setVisible(field_T is not None)
        if field_T is not None:
            self._now.setValue(field_T)

    def mark_crossings(self, estimate: Estimate) -> None:
        """Bands of ± one standard uncertainty where the loop crosses, when that is resolved; else none."""
        for item in self._crossings:
            self.plot.removeItem(item)
        self._crossings = []
        if estimate.status is not EstimateStatus.RESOLVED:
            return
        amplitude = estimate.values.get("ahe_amplitude_ohm")
        turned = amplitude is not None and amplitude.value < 0
        for key, text, side, height in _CROSSINGS:
            crossing = estimate.values.get(key)
            if crossing is None:
                continue
            colour = self._theme.up if key == "coercive_up_T" else self._theme.down
            fill = QColor(colour)
            fill.setAlpha(70)
            edge = pg.mkPen(fill, width=1)
            band: Any = pg.LinearRegionItem(
                (crossing.value - crossing.u, crossing.value + crossing.u), movable=False, brush=fill, pen=edge
            )
            band.setZValue(-10)
            self._crossings.append(band)
            if self._label_crossings:
                position = 1 - height if turned else height
                options = {"position": position, "color": colour, "anchors": [(side, 0.5), (side, 0.5)]}
                self._crossings.append(
                    pg.InfiniteLine(crossing.value, angle=90, pen=edge, label=text, labelOpts=options)
                )
        for item in self._crossings:
            self.plot.addItem(item, ignoreBounds=True)

    def curve_points(self) -> int:
        """How many points are drawn, all curves together."""
        return sum(len(curve.getData()[0]) for curve in self._curves.values())


class Plots:
    """Both panes and the thinned curves behind them. `add` takes rows, `refresh` draws what changed."""

    def __init__(self, theme: Theme) -> None:
        self.whole = Pane(theme, "Hall resistance, whole loop", "R<sub>xy</sub> (Ω)", label_crossings=False)
        vertical = "R<sub>xy</sub> − linear part (Ω)"
        self.near = Pane(
            theme, "Hall resistance near zero field, straight part taken off", vertical, label_crossings=True
        )
        self._legs: dict[int, Leg] = {}
        self._whole: dict[int, Decimator] = {}
        self._near = NearZero()
        self._changed: set[int] = set()
        self._near_changed = False
        self.whole.head.setText(
            f"<b>Whole loop</b> &nbsp; <span style='color:{theme.up}'>▲ field up</span> &nbsp; "
            f"<span style='color:{theme.down}'>▼ field down</span> &nbsp; ┄┄ first leg, from 0"
        )
        self._say_line()
        self.near.reach(self._near.radius_T)

    def add_legs(self, legs: Iterable[Leg]) -> None:
        """Learn the directions of legs, and how far the field goes."""
        self._legs.update({leg.number: leg for leg in legs})
        if self._legs:
            self.whole.reach(max(max(abs(leg.start_T), abs(leg.stop_T)) for leg in self._legs.values()) or 1.0)

    def add(self, points: Floats) -> None:
        """Add rows with the columns leg, field_T, R_xy_ohm, in measured order."""
        for number in np.unique(points[:, 0]):
            rows = points[points[:, 0] == number]
            leg = int(number)
            self._whole.setdefault(leg, Decimator()).extend(rows[:, 1], rows[:, 2])
            self._near_changed |= self._near.add(leg, rows[:, 1], rows[:, 2])
            self._changed.add(leg)

    def show_estimate(self, estimate: Estimate) -> None:
        """Mark the crossings, and choose the range beside the main plot by the coercive field."""
        for pane in (self.whole, self.near):
            pane.mark_crossings(estimate)
        coercive = estimate.values.get("coercive_field_T")
        if estimate.status is EstimateStatus.RESOLVED and coercive is not None:
            self._near_changed |= self._near.look(coercive.value)
            self.near.reach(self._near.radius_T)

    def refresh(self, now_T: float | None) -> None:
        """Draw the curves that grew since the last call."""
        for number in self._changed:
            self.whole.draw(self._leg(number), *self._whole[number].points())
        self._changed.clear()
        if self._near_changed:
            self._near.fit()
            for number, x, y in self._near.curves():
                self.near.draw(self._leg(number), x, y)
            self._say_line()
            self._near_changed = False
        for pane in (self.whole, self.near):
            pane.mark_now(now_T)

    def samples(self) -> int:
        """How many rows the curves of the main plot stand for."""
        return sum(decimator.count for decimator in self._whole.values())

    def _leg(self, number: int) -> Leg:
        # A row may name a leg that was never announced; its direction is then unknown and drawn as rising.
        return self._legs.get(number, Leg(number, 0.0, 1.0, 0.0))

    def _say_line(self) -> None:
        slope = self._near.line.slope_ohm_per_T
        line = f"{slope:.2f}".replace("-", "−")
        taken = f"{line} Ω/T taken off, for the eye only" if slope else "straight part not known yet"
        self.near.head.setText(f"<b>Near zero field</b> &nbsp; {taken}")
