"""What every figure has in common: size, letters, colours that all eyes tell apart, and how it is kept."""

import re
import textwrap
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.records import Measured

FloatArray = npt.NDArray[np.float64]

# The colours of the window: readable for colour-blind eyes and in grey, at more than 5:1 on white.
DOWN, UP, FIT, VIRGIN = "#0059b3", "#c23b00", "#111111", "#7a7a7a"
# More curves than two (Okabe and Ito's order, the pale ones left out), each with a marker of its own.
SERIES = (("#0059b3", "o"), ("#c23b00", "s"), ("#007a5e", "^"), ("#8f3985", "D"), ("#6b6b00", "v"), ("#3d3d3d", "P"))
FORMATS = ("png", "pdf", "svg")
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif", "font.size": 9.5, "axes.titlesize": 10, "axes.labelsize": 10, "legend.fontsize": 8.5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8, "lines.linewidth": 1.2,
    "xtick.direction": "in", "ytick.direction": "in", "legend.frameon": False, "savefig.dpi": 200,
    # Letters stay letters in PDF and SVG, so that a journal's editor can change them.
    "pdf.fonttype": 42, "svg.fonttype": "none", "axes.formatter.useoffset": False,
}  # fmt: skip
_MANY = 400


@contextmanager
def new_figure(width_in: float = 8.4, height_in: float = 3.9) -> Generator[Any]:
    """An empty figure in our style, which holds while it is drawn. It needs no display."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def save(figure: Any, path: Path, formats: Sequence[str] = ("png",)) -> list[Path]:
    """Write `figure` as `path` with each of `formats` as its ending; files there are replaced whole, never half.

    `OSError` if that cannot be.
    """
    import matplotlib as mpl

    path.parent.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with mpl.rc_context(_STYLE):
        for kind in dict.fromkeys(formats):
            target = path.with_name(f"{path.name}.{kind}")
            half = target.with_name(f"{target.name}.part")
            # No date and no program version: the same data give the same bytes.
            when: dict[str, None] = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[
                kind
            ]
            figure.savefig(half, format=kind, metadata=when)
            half.replace(target)
            written.append(target)
    return written


def band(axes: Any, measured: Measured | None, colour: str, scale: float = 1.0, label: str | None = None) -> None:
    """A value on the x axis as a line with its ±1σ band; nothing when there is no value."""
    if measured is None or not np.isfinite([measured.value, measured.u]).all():
        return
    low, high = (measured.value - measured.u) * scale, (measured.value + measured.u) * scale
    axes.axvspan(low, high, color=colour, alpha=0.25, lw=0, label=label)
    axes.axvline(measured.value * scale, color=colour, lw=0.9, ls=(0, (4, 2)))


def level(axes: Any, measured: Measured | None, colour: str, scale: float = 1.0, label: str | None = None) -> None:
    """A value on the y axis as a line with its ±1σ band; nothing when there is no value."""
    if measured is None or not np.isfinite([measured.value, measured.u]).all():
        return
    low, high = (measured.value - measured.u) * scale, (measured.value + measured.u) * scale
    axes.axhspan(low, high, color=colour, alpha=0.2, lw=0, label=label)
    axes.axhline(measured.value * scale, color=colour, lw=0.8, ls=(0, (4, 2)))


def points(
    axes: Any, x: FloatArray, y: FloatArray, u: FloatArray | None, colour: str, label: str, marker: str = "o"
) -> None:
    """Measured points with their ±1σ bars where they are known and few enough to be seen."""
    size = 3.0 if x.size < _MANY else 1.8
    if u is not None and x.size <= _MANY and np.isfinite(u).any():
        axes.errorbar(
            x,
            y,
            yerr=np.where(np.isfinite(u), u, 0.0),
            fmt=marker,
            ms=size,
            color=colour,
            lw=0.7,
            ls="none",
            label=label,
        )
    else:
        axes.plot(x, y, marker, ms=size, color=colour, ls="none", label=label, rasterized=x.size > 20 * _MANY)


def prefix_of(values: FloatArray) -> tuple[float, str]:
    """The factor and the prefix that bring values to between 1 and 1000: `(1e6, "µ")`."""
    largest = float(np.nanmax(np.abs(values))) if values.size and np.isfinite(values).any() else 0.0
    for factor, prefix in ((1.0, ""), (1e3, "m"), (1e6, "µ"), (1e9, "n"), (1e12, "p")):
        if largest * factor >= 1.0:
            return factor, prefix
    return 1.0, ""


def title_of(text: str, width: int = 62, lines: int = 3) -> str:
    """A title in lines that fit over its axes; a value stays in one line with its uncertainty and its unit."""
    text = re.sub(r" ?([±=]) ?", "\u00a0\\1\u00a0", text)
    text = re.sub(r"(?<=[0-9]) (?=[^\W\d]|10)", "\u00a0", text)
    return "\n".join(textwrap.wrap(text, width, max_lines=lines, placeholder=" …"))


def legend(axes: Any, **how: Any) -> None:
    """One entry per label, none when nothing has one."""
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    if unique:
        axes.legend(unique.values(), unique.keys(), **how)
