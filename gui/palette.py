"""Two themes, light and dark, as numbers. Every text and curve stands at least 4.5:1 against what it is drawn on.

Without Qt: a theme is only colours, so its contrasts are tested anywhere.
"""

from dataclasses import dataclass

from .tone import Tone


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of one theme, `#rrggbb`. `down` and `up` are the directions of the field, as in every figure."""

    dark: bool
    window: str
    base: str
    text: str
    quiet: str
    border: str
    button: str
    accent: str
    down: str
    up: str
    ok: str
    warn: str
    alarm: str

    def tone(self, tone: Tone) -> str:
        """The text colour of a tone."""
        return {
            Tone.LIVE: self.text,
            Tone.QUIET: self.quiet,
            Tone.STALE: self.quiet,
            Tone.OK: self.ok,
            Tone.WARN: self.warn,
            Tone.ALARM: self.alarm,
        }[tone]


LIGHT = Theme(
    dark=False,
    window="#f4f4f2",
    base="#ffffff",
    text="#1b1b1b",
    quiet="#5a5a5a",
    border="#c9c9c6",
    button="#e9e9e6",
    accent="#0059b3",
    down="#0059b3",
    up="#c23b00",
    ok="#00704f",
    warn="#8a5a00",
    alarm="#b00020",
)
DARK = Theme(
    dark=True,
    window="#232427",
    base="#17181a",
    text="#ededed",
    quiet="#a9abae",
    border="#45474c",
    button="#33353a",
    accent="#56b4e9",
    down="#56b4e9",
    up="#ff8f4d",
    ok="#3ddc97",
    warn="#ffc247",
    alarm="#ff6b6b",
)

# The SIMULATED block is the same in both themes: nobody may overlook it.
AMBER, ON_AMBER = "#ffc247", "#1b1b1b"


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours after WCAG 2: 1 for equal, 21 for black on white."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
