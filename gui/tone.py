"""How a text should feel, whatever colour a theme gives it. Without Qt, so words are tested without a display."""

from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """What a person should feel on seeing a text. The text itself says the same: no state is told by colour alone."""

    LIVE = "live"
    QUIET = "quiet"  # true but not news: units, targets, paths
    STALE = "stale"  # was true once; its age stands beside it
    OK = "ok"
    WARN = "warn"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class TileText:
    """What one tile of the strip says: a value, the line of state under it, and how both should feel."""

    value: str
    state: str = ""
    value_tone: Tone = Tone.LIVE
    state_tone: Tone = Tone.QUIET
