"""When a coercive field may not be claimed, and the sentence that says why.

Each rule is one function of the fit; all of them must be silent before a number is shown. A claim needs a step in
R_xy that switches, on legs that came from saturation, and that neither lag nor trapped flux can imitate.
"""

from dataclasses import dataclass

import numpy as np

from .loop_fit import LoopFit, chi2_of
from .loop_model import AMPLITUDE, DOWN, LOG_WIDTH, UP

LEAST_RATIO = 30.0  # of likelihoods, as 2 ln: with and without a loop
LEAST_AMPLITUDE = 4.0  # in its own standard uncertainty
LEAST_OVER_TRAPPED = 12.0  # of likelihoods, against trapped flux instead of a loop
# One branch alone has seen half of the step's evidence, and its value is called preliminary.
LEAST_RATIO_OF_ONE, LEAST_AMPLITUDE_OF_ONE = 25.0, 3.5
MOST_RELATIVE_U = 0.35
MOST_OF_WINDOW = 0.6
SATURATION = 2.2  # times B_C, the least field a leg must come from


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the rules look at: the fit, its rivals, and the crossing with its standard uncertainty."""

    fit: LoopFit
    without_loop: LoopFit | None
    trapped_only: LoopFit | None
    crossing_T: float
    crossing_u_T: float
    window_T: float
    has_down: bool
    has_up: bool


def reasons_against(evidence: Evidence) -> tuple[str, ...]:
    """Every reason to refuse, most telling first; empty if the loop may be claimed."""
    rules = (_no_loop, _weak_amplitude, _wrong_side, _uncertain, _outside_window, _only_trapped, _not_converged)
    return tuple(reason for rule in rules if (reason := rule(evidence)))


def switches(evidence: Evidence) -> bool:
    """True when there is a step at all, wherever it crosses."""
    return not _no_loop(evidence) and not _weak_amplitude(evidence)


def _no_loop(e: Evidence) -> str:
    if e.without_loop is None:
        return "too few rows to compare with a line without a loop"
    gain = chi2_of(e.without_loop, e.fit) - e.fit.chi2
    least = LEAST_RATIO if e.has_down and e.has_up else LEAST_RATIO_OF_ONE
    if gain > least:
        return ""
    return f"R_xy is as well described without a loop (likelihood ratio {max(gain, 0.0):.0f}, {least:.0f} needed)"


def _weak_amplitude(e: Evidence) -> str:
    amplitude, u = abs(float(e.fit.p[AMPLITUDE])), float(np.sqrt(e.fit.covariance[AMPLITUDE, AMPLITUDE]))
    least = LEAST_AMPLITUDE if e.has_down and e.has_up else LEAST_AMPLITUDE_OF_ONE
    if amplitude > least * u:
        return ""
    return f"the step of {amplitude * 1e3:.1f} mΩ is not {least:g} times its uncertainty {u * 1e3:.1f} mΩ"


def _wrong_side(e: Evidence) -> str:
    if (e.has_up and e.fit.p[UP] <= 0.0) or (e.has_down and e.fit.p[DOWN] >= 0.0):
        return "a branch crosses before zero field: no hysteresis, or an error of the field larger than it"
    return ""


def _uncertain(e: Evidence) -> str:
    if e.crossing_u_T < MOST_RELATIVE_U * abs(e.crossing_T):
        return ""
    return (
        f"the uncertainty {e.crossing_u_T * 1e3:.1f} mT is not small against the crossing {e.crossing_T * 1e3:.1f} mT"
    )


def _outside_window(e: Evidence) -> str:
    if abs(e.crossing_T) < MOST_OF_WINDOW * e.window_T:
        return ""
    return f"the crossing is not inside ±{MOST_OF_WINDOW * e.window_T:.2g} T, where the background is known"


def _only_trapped(e: Evidence) -> str:
    """Trapped flux opens a loop in R_down − R_up but puts no step into R_down + R_up."""
    if e.trapped_only is None:
        return "too few rows to compare with trapped flux"
    gain = chi2_of(e.trapped_only, e.fit) - e.fit.chi2
    if gain > max(LEAST_OVER_TRAPPED, 0.02 * e.fit.chi2):
        return ""
    return "trapped flux in the magnet describes the two branches as well: there is no step in their sum"


def _not_converged(e: Evidence) -> str:
    width_T = float(np.exp(e.fit.p[LOG_WIDTH]))
    if e.fit.converged and width_T < 0.5 * e.window_T:
        return ""
    return "the fit found no definite width of the step"
