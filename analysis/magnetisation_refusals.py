"""When no coercive field of an M(H) run may be claimed, and the sentence that says why.

A claim needs a step that switches at two fields, on branches that came from saturation and closed again, and that
neither trapped flux nor a reversible step can imitate.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..core.records import Measured
from .magnetisation_fit import LoopFit, LoopProblem, Priors, solve
from .magnetisation_model import LOG_SCALE, SATURATION, SLOPE, SPINS, TRAPPED
from .magnetisation_start import step_starts
from .models import FloatArray

LEAST_RATIO = 60.0  # of likelihoods, as 2 ln: with and without hysteresis
MOST_RELATIVE_U = 0.35
SATURATED = 2.2  # coercive fields, the least field a loop must come from
CLOSED_WIDTHS = 2.5
WIDE_TRAPPED_T = 0.03  # what trapped flux may be asked to explain before a loop is believed
TRAP_SCALES_T = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0)
LEAST_NEAR = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """How much worse the run is described without hysteresis, and by trapped flux alone, as −2 ln likelihood ratios."""

    without_hysteresis: float
    trapped_only: float


def weigh_alternatives(problem: LoopProblem, lead: LoopFit) -> Evidence:
    """Fit the run without hysteresis: a reversible film, no film, and either with trapped flux of any size."""
    starts = step_starts(problem)
    plain = [solve(problem, "tanh", start, loop=False, trapped=False) for start in starts]
    own = [solve(problem, "tanh", start, loop=False) for start in starts]
    wide = _with_priors(problem, Priors(0.0, WIDE_TRAPPED_T, problem.priors.log_scale, 1.5))
    bare = solve(wide, "tanh", starts[0], loop=False)
    reference = lead.deviance(problem, lead.scale, lead.lost_share)

    def excess(fits: list[LoopFit]) -> float:
        return min(fit.deviance(problem, lead.scale, lead.lost_share) for fit in fits) - reference

    shaped = min(_trap_shaped(problem, fit, lead.scale) for fit in (bare, own[0]))
    ours = float((lead.weight * np.minimum(lead.residual**2, (6.0 * lead.scale) ** 2)).sum()) / lead.scale**2
    return Evidence(
        without_hysteresis=excess(plain),
        trapped_only=min(excess([bare, *own]), max(shaped - ours, 0.0)),
    )


def _with_priors(problem: LoopProblem, priors: Priors) -> LoopProblem:
    return LoopProblem(
        problem.field_T,
        problem.direction,
        problem.moment,
        problem.sigma,
        problem.temperature_K,
        problem.paramagnet,
        priors,
        problem.lost,
    )


def _trap_shaped(problem: LoopProblem, fit: LoopFit, scale: float) -> float:
    """χ² of no film with trapped flux of any dependence on the field: it moves the moment by dm/dH times itself."""
    model = fit.model
    field_T, direction = problem.field_T, problem.direction
    slope = fit.p[SLOPE] + fit.p[SPINS] * model.paramagnet(field_T)[1]
    value, jacobian = model.evaluate(fit.p, field_T, direction)
    columns = [direction * slope / (1.0 + (field_T / b) ** 2) for b in TRAP_SCALES_T]
    free = [k for k in np.nonzero(fit.free)[0] if k not in (TRAPPED, LOG_SCALE, SATURATION)]
    design = np.stack([*columns, *(jacobian[:, k] for k in free)], axis=1) / problem.sigma[:, None]
    norm = np.linalg.norm(design, axis=0)
    target = (problem.moment - value) / problem.sigma
    weight = np.ones(target.size)
    left = target
    for _ in range(4):
        rows = design / np.where(norm > 0.0, norm, 1.0) * weight[:, None]
        found = np.linalg.lstsq(rows, target * weight, rcond=1e-10)[0]
        left = target - design / np.where(norm > 0.0, norm, 1.0) @ found
        weight = np.sqrt(np.minimum(1.0, 6.0 * scale / np.maximum(np.abs(left), 1e-12)))
    return float(np.minimum(left**2, (6.0 * scale) ** 2).sum()) / scale**2


def reasons_against(evidence: Evidence, values: Mapping[str, Measured], saturation: Measured) -> tuple[str, ...]:
    """Every reason to refuse, most telling first; empty if the loop may be claimed."""
    reasons: list[str] = []
    coercive_T, coercive_u_T = values["coercive_field_T"].value, values["coercive_field_T"].u
    trapped = values["trapped_field_T"]
    if evidence.without_hysteresis < LEAST_RATIO:
        reasons.append(
            "the run is as well described without hysteresis "
            f"(likelihood ratio {max(evidence.without_hysteresis, 0.0):.0f}, {LEAST_RATIO:.0f} needed)"
        )
    elif evidence.trapped_only < LEAST_RATIO:
        reasons.append(
            "flux trapped in the magnet opens the same loop on the background alone: "
            "measure the bare substrate in the same history and give it as the control"
        )
    if saturation.value < 5.0 * saturation.u:
        reasons.append("the film's moment is not five times its uncertainty")
    if coercive_T <= 0.0:
        reasons.append("the falling branch crosses zero before the rising one: an error of the field larger than H_C")
    reach_T = abs(trapped.value) + 2.0 * trapped.u
    if 0.0 < coercive_T < reach_T:
        reasons.append(
            f"the coercive field {coercive_T * 1e3:.2f} mT is within what flux trapped in the magnet may be "
            f"({reach_T * 1e3:.2f} mT): measure a paramagnet such as Pd, or the bare substrate, in the same history"
        )
    if not coercive_u_T < abs(coercive_T):
        reasons.append("no crossing of zero is determined by the points")
    elif coercive_u_T > MOST_RELATIVE_U * abs(coercive_T):
        reasons.append(
            f"the uncertainty {coercive_u_T * 1e3:.2f} mT is not small against "
            f"the coercive field {coercive_T * 1e3:.2f} mT"
        )
    return tuple(reasons)


def unfinished(field_T: FloatArray, direction: FloatArray, furthest_T: float) -> str:
    """Which branch did not go on beyond the further crossing; empty if both did."""
    for sign, name in ((-1.0, "falling"), (1.0, "rising")):
        rows = direction == sign
        if not rows.any():
            return f"there is no {name} leg from saturation: half a loop gives no coercive field"
        if float((sign * field_T[rows]).max()) < SATURATED * furthest_T:
            return f"the {name} leg stops before the film has switched: half a loop gives no coercive field"
    return ""


def minor(largest_T: float, furthest_T: float, width_T: float | None) -> str:
    """Why a loop is a minor one; empty if it came from saturation."""
    needed_T = SATURATED * furthest_T
    if width_T is not None:
        needed_T = max(needed_T, furthest_T + CLOSED_WIDTHS * width_T)
    if largest_T >= needed_T:
        return ""
    return f"the field turned at {largest_T * 1e3:.0f} mT, the loop closes at about {needed_T * 1e3:.0f} mT"


def too_few(problem: LoopProblem, up_T: float, down_T: float, width_T: float) -> str:
    """Whether the field steps pass over the crossing; empty if they do not."""
    for sign, name, at_T in ((-1.0, "falling", down_T), (1.0, "rising", up_T)):
        rows = problem.direction == sign
        near = np.abs(problem.field_T[rows] - at_T) < 2.0 * width_T
        if near.sum() < LEAST_NEAR:
            return f"only {int(near.sum())} points of the {name} branch lie where the film switches"
    return ""
