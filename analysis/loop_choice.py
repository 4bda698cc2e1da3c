"""What the fit of a Hall loop is told: the set-up's settings, and one way of several to describe the same loop."""

from dataclasses import dataclass, field

import numpy as np

from .loop_shapes import SHAPE_SIZE
from .models import FloatArray


@dataclass(frozen=True, slots=True)
class Branch:
    """A shape of the branches with what is believed of its own parameters, and where the descent begins."""

    shape: str
    mean: FloatArray = field(default_factory=lambda: np.zeros(SHAPE_SIZE))
    u: FloatArray = field(default_factory=lambda: np.zeros(SHAPE_SIZE))
    start: FloatArray | None = None


def _first(*values: float) -> FloatArray:
    return np.array([*values, *np.zeros(SHAPE_SIZE - len(values))])


# Of two steps: the logit of the second's share, its distance in widths, the logarithm of its relative width.
BRANCHES = {
    "erf": Branch("erf"),
    "tanh": Branch("tanh"),
    "skewed": Branch("skewed", u=_first(1.5)),
    "free": Branch("free", u=np.full(SHAPE_SIZE, 0.05)),
    "second step above": Branch("two steps", _first(0.0, 0.0, 0.3), _first(1.5, 1.5, 0.5), _first(0.0, 1.5, 0.3)),
    "second step below": Branch("two steps", _first(0.0, 0.0, 0.3), _first(1.5, 1.5, 0.5), _first(0.0, -1.5, 0.3)),
}


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What the fit is told beforehand. Priors are standard deviations about the value a metadata field gives."""

    time_constant_s: float
    poles: int
    fine_window_T: float = 0.5
    extra_delay_s: float = 1.0
    extra_delay_u_s: float = 1.5
    trapped_u_T: float = 2e-3
    memory_T: float = 1.0
    has_r_xx: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to describe the same loop; the spread between choices is the model's share of the uncertainty."""

    branch: str = "erf"  # one of BRANCHES
    odd_powers: tuple[int, ...] = (1, 3, 5)
    window_T: float = 0.5
    loop: bool = True
    scales_T: tuple[float, ...] = (0.2, 0.4, 0.8)
    trapped: bool = True
    trapped_u_T: float | None = None
