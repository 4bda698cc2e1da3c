"""The run in a terminal: a bar with field, temperature, live B_C and time left; plain lines where it is no terminal."""

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as RichProgress

from ..core.clock import SystemClock
from ..core.records import Estimate, Event, Footer, Header, Leg, Progress, Row, Waiting
from ..engine.listener import Listener

_REDRAW_S = 0.1
_PLAIN_LINE_S = 10.0


class TerminalView(Listener):
    """Draws on `console` (stderr): a live bar on a terminal, else a line for each leg and one each ten seconds."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._clock = SystemClock()
        self._due_s = 0.0
        self._state, self._fit, self._left = "Checking", "", ""
        self._field = self._temperature = -1
        self._now: tuple[float, float] | None = None
        self._fraction = 0.0
        self._rows = 0
        self._bar: RichProgress | None = None
        if console.is_terminal:
            self._bar = RichProgress(
                TextColumn("{task.description}"), BarColumn(bar_width=24), TaskProgressColumn(),
                TextColumn("{task.fields[line]}"), console=console, auto_refresh=False, transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task(title, total=1.0, line="")
            self._bar.start()

    def started(self, header: Header, folder: str) -> None:
        """Learn the columns; say where the files are."""
        names = [column.name for column in header.columns]
        self._field, self._temperature = names.index("field_T"), names.index("temperature_K")
        self._console.print(f"keeping rows in {folder}", highlight=False, soft_wrap=True)

    def leg_started(self, leg: Leg) -> None:
        """Say which leg."""
        arrow = "▲" if leg.rising else "▼"
        self._state = f"leg {leg.number + 1}/4 {arrow}"
        if self._bar is None:
            self._plain(
                f"leg {leg.number + 1}/4: {leg.start_T:+g} → {leg.stop_T:+g} T at {leg.rate_T_per_s * 1e3:g} mT/s"
            )

    def row(self, row: Row) -> None:
        """Remember the newest numbers; draw now and then."""
        self._rows = row.n + 1
        # Asking the clock for every row would be felt at thousands of rows a second.
        if not row.n % 20:
            self._now = (row.values[self._field], row.values[self._temperature])
            self._draw()

    def waiting(self, waiting: Waiting) -> None:
        """Say what is waited for."""
        self._state = f"{waiting.state} {waiting.text}"
        self._draw()

    def progress(self, progress: Progress) -> None:
        """Remember how far it is."""
        self._fraction = progress.fraction
        if progress.remaining_s is not None:
            self._left = f"{duration(progress.remaining_s)} of cryostat time left"

    def event(self, event: Event) -> None:
        """Show what is worse than information."""
        if event.level != "info":
            self._plain(f"{event.level}: {event.text}")

    def estimate(self, estimate: Estimate) -> None:
        """Remember the live fit's line."""
        self._fit = estimate.text

    def ended(self, footer: Footer, estimate: Estimate | None) -> None:
        """Take the bar away."""
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _line(self) -> str:
        parts = [self._state]
        if self._now is not None:
            parts.append(f"B {self._now[0]:+.4f} T  T {self._now[1]:.3f} K")
        return "  ".join(part for part in (*parts, self._fit, self._left) if part)

    def _draw(self) -> None:
        now = self._clock.now()
        if now < self._due_s:
            return
        if self._bar is not None:
            self._due_s = now + _REDRAW_S
            self._bar.update(self._task, completed=self._fraction, line=self._line(), refresh=True)
        else:
            first, self._due_s = self._due_s == 0.0, now + _PLAIN_LINE_S
            if not first:
                self._plain(f"{self._fraction:4.0%}  {self._rows} rows  {self._line()}")

    def _plain(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """`5 h 50 min`, `3 min 20 s` or `12 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole} s"
