"""What state a run is in, in the words that window, terminal and log share. Pure: fed with batches, read as texts."""

import math

from ..core.records import Event, Footer, Header, Leg, Outcome, Progress, Waiting
from .feed import Batch, Reading
from .tone import TileText, Tone

LEGS = 4  # 0 → +B → −B → +B → 0
STALE_S, LOST_S = 3.0, 30.0  # seconds without a row until a reading is grey, and until it is not shown at all
_ARRIVED_T = 0.5e-3  # closer to a leg's end than this, the field has arrived

NO_END = "the run stopped without an end record"
UNKNOWN_HARDWARE = "Hardware state not known: look at the magnet"


class RunStatus:
    """Everything the strip, the title and the status bar say of one run."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self.folder = ""
        self.legs: dict[int, Leg] = {}
        self.leg: Leg | None = None
        self.reading: Reading | None = None
        self.waiting: Waiting | None = None
        self.progress: Progress | None = None
        self.event: Event | None = None
        self.footer: Footer | None = None
        self.rows = 0
        self.stopping = False

    def apply(self, batch: Batch) -> None:
        """Take in what was heard since the last look."""
        if batch.header is not None:
            self.header, self.folder = batch.header, batch.folder
        for leg in batch.legs:
            self.legs[leg.number] = self.leg = leg
        if batch.reading is not None:
            self.reading = batch.reading
        if batch.waiting is not None or batch.rows > self.rows:
            self.waiting = batch.waiting
        self.progress = batch.progress or self.progress
        self.event = batch.events[-1] if batch.events else self.event
        self.footer = batch.footer or self.footer
        self.rows = batch.rows

    @property
    def ended(self) -> bool:
        """True when the run has said how it ended."""
        return self.footer is not None

    @property
    def state(self) -> str:
        """One word, the same everywhere."""
        if self.footer is not None:
            return self.footer.outcome.capitalize()
        if self.stopping:
            return "Stopping"
        if self.waiting is not None:
            return self.waiting.state
        if self.rows:
            return "Measuring"
        return "Checking" if self.header is None else "Settling"

    @property
    def simulated(self) -> bool:
        """True when the run itself says that its instruments are simulated."""
        return self.header is not None and self.header.simulated

    def title(self, name: str, *, simulated: bool) -> str:
        """The window's title, readable in a task bar: `● 42 % Hall loop 5 K · S3 — remanence [SIMULATED]`."""
        if self.footer is None:
            mark = f"● {self._percent()} ".replace("  ", " ") if self.header is not None else ""
        else:
            mark = {Outcome.COMPLETED: "✓ ", Outcome.ABORTED: "■ "}.get(self.footer.outcome, "✕ ")
        sample = self.header.sample if self.header is not None else ""
        sample = f" · {sample}" if sample and sample not in name else ""
        return f"{mark}{name}{sample} — remanence{' [SIMULATED]' if simulated else ''}"

    def field(self, age_s: float) -> TileText:
        """Measured field, where it is going and how fast."""
        value = f"{signed(self.reading.field_T, 4)} T" if self.reading is not None else "—"
        return self._aged(value, self._field_state(), age_s)

    def temperature(self, age_s: float) -> TileText:
        """Measured temperature, what it was set to, and the difference."""
        value = f"{self.reading.temperature_K:.3f} K" if self.reading is not None else "—"
        target = self.header.parameters.get("temperature_K") if self.header is not None else None
        state = ""
        if isinstance(target, int | float):
            state = f"set {target:.3f} K"
            if self.reading is not None and math.isfinite(self.reading.temperature_K):
                state += f" · {signed((self.reading.temperature_K - target) * 1e3, 0)} mK"
        return self._aged(value, state, age_s)

    def run(self) -> TileText:
        """State, percent, time left and leg; after the end how it ended and what the hardware does now."""
        if self.footer is not None:
            mark, tone = _ENDS[self.footer.outcome]
            return TileText(f"{mark} {self.footer.outcome}", self.footer.hardware or "hardware state not told", tone)
        value = f"{self.state} {self._percent()}".rstrip()
        if self.waiting is not None:
            left = self.waiting.remaining_s
            state = self.waiting.text + (f" · ≈ {duration(left)}" if left is not None else "")
        else:
            left = self.progress.remaining_s if self.progress is not None else None
            parts = [f"{duration(left)} left"] if left is not None else []
            parts += [f"leg {self.leg.number + 1}/{max(LEGS, len(self.legs))}"] if self.leg is not None else []
            state = " · ".join(parts)
        return TileText(value, state, Tone.WARN if self.stopping else Tone.LIVE)

    def outcome(self) -> tuple[str, Tone]:
        """How it ended in whole sentences: what, why, what the hardware does, what was kept."""
        if self.footer is None:
            return "", Tone.QUIET
        reason = f": {self.footer.reason}" if self.footer.reason else ""
        parts = [f"Run {self.footer.outcome}{reason}", self.footer.hardware or "Hardware state not told"]
        parts.append(f"{grouped(self.footer.rows)} rows kept")
        return ". ".join(part.rstrip(".") for part in parts) + ".", _ENDS[self.footer.outcome][1]

    def last_event(self) -> tuple[str, Tone]:
        """The newest event, with who said it."""
        if self.event is None:
            return "no events", Tone.QUIET
        tone = {"warning": Tone.WARN, "error": Tone.ALARM, "critical": Tone.ALARM}.get(self.event.level, Tone.QUIET)
        return f"{self.event.source}: {self.event.text}", tone

    def _percent(self) -> str:
        # Floored: 100 % is said only by the end itself.
        return f"{min(99, math.floor(self.progress.fraction * 100))} %" if self.progress is not None else ""

    def _field_state(self) -> str:
        if self.leg is None:
            return ""
        target = f"{signed(self.leg.stop_T, 3)} T"
        if self.reading is not None and abs(self.reading.field_T - self.leg.stop_T) < _ARRIVED_T:
            return f"Holding · {target}"
        if self.waiting is not None:
            return f"next → {target}"
        arrow = "▲" if self.leg.rising else "▼"
        return f"{arrow} Ramping → {target} · {abs(self.leg.rate_T_per_s) * 1e3:.1f} mT/s"

    def _aged(self, value: str, state: str, age_s: float) -> TileText:
        """A number that is no longer live is never shown as if it were."""
        if self.reading is None:
            return TileText("—", state or "no reading yet")
        if self.ended:
            return TileText(value, "last reading of the run", Tone.STALE)
        if age_s > LOST_S:
            return TileText("—", f"no reading for {duration(age_s)}", Tone.STALE, Tone.ALARM)
        if age_s > STALE_S:
            return TileText(value, f"{age_s:.0f} s old", Tone.STALE, Tone.WARN)
        return TileText(value, state)


_ENDS = {
    Outcome.COMPLETED: ("✓", Tone.OK),
    Outcome.ABORTED: ("■", Tone.WARN),
    Outcome.FAILED: ("✕", Tone.ALARM),
    Outcome.INTERRUPTED: ("✕", Tone.ALARM),
}


def signed(value: float, decimals: int) -> str:
    """`+0.1842` or `−0.1842`, with a true minus sign, so the width stays the same through zero."""
    if not math.isfinite(value):
        return "—"
    text = f"{value:+.{decimals}f}"
    return f"+{text[1:]}" if float(text) == 0 else text.replace("-", "−")


def grouped(count: int) -> str:
    """`21 000`: thousands apart by a narrow space, which no locale takes for a decimal sign."""
    return f"{count:,}".replace(",", "\u202f")


def duration(seconds: float) -> str:
    """`41 s`, `06:12` minutes, `3 h 52 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60:02d}:{whole % 60:02d}"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
