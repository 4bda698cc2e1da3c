"""Where a test keeps the figure it has drawn: in memory, and in the documentation when it is asked to.

REMANENCE_IMAGES=1 pytest tests/test_analysis_two_band.py
"""

import io
import os
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

IMAGES = Path(__file__).parents[1] / "docs" / "images"
LARGEST_BYTES = 120_000


def new_figure(width_in: float = 9.0, height_in: float = 4.2) -> Figure:
    """An empty figure of the documentation's size, that needs no display."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    return figure


def keep(figure: Figure, name: str) -> None:
    """Draw `figure` (a drawing that fails, fails the test); write docs/images/analysis-<name>.png if asked to."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    png = drawn.getvalue()
    assert 5_000 < len(png) <= LARGEST_BYTES, f"{name}: {len(png)} bytes"
    if os.environ.get("REMANENCE_IMAGES"):
        (IMAGES / f"analysis-{name}.png").write_bytes(png)
