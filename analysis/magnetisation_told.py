"""The numbers of one method, fits or crossings, under the names in which they are reported, with their budgets."""

from dataclasses import dataclass

import numpy as np

from ..core.records import Measured
from .magnetisation_average import NAMES, Averaged
from .magnetisation_shapeless import Shapeless
from .models import FloatArray


@dataclass(frozen=True, slots=True)
class Told:
    """Numbers of one method, moments in the problem's unit."""

    method: str
    values: dict[str, Measured]
    moments: dict[str, Measured]
    slope: Measured
    trapped: Measured
    covariance: FloatArray
    budgets: dict[str, dict[str, float]]
    notes: tuple[str, ...] = ()
    crossings: Shapeless | None = None


def told_by_shape(averaged: Averaged) -> Told:
    """The averaged fits' numbers."""

    def one(name: str) -> Measured:
        return Measured(averaged.value(name), averaged.u(name))

    def budget(name: str) -> dict[str, float]:
        k = NAMES.index(name)
        return {source: float(np.sqrt(part[k])) for source, part in averaged.budget.items()}

    values = {
        "coercive_field_T": one("coercive"),
        "coercive_up_T": one("up"),
        "coercive_down_T": one("down"),
        "loop_centre_T": one("centre"),
        "width_T": one("width"),
        "trapped_field_T": one("trapped"),
    }
    keep = [NAMES.index(name) for name in ("up", "down", "saturation", "remanence")]
    return Told(
        method="shape",
        values=values,
        moments={"saturation": one("saturation"), "remanent": one("remanence")},
        slope=one("slope"),
        trapped=one("trapped"),
        covariance=averaged.covariance[np.ix_(keep, keep)],
        budgets={
            "coercive_field_T": budget("coercive"),
            "saturation_moment_Am2": budget("saturation"),
            "remanent_moment_Am2": budget("remanence"),
        },
    )


def told_by_crossings(local: Shapeless) -> Told:
    """The numbers of crossings, values at zero field and high-field line."""
    parts = local.budget()
    coercive = Measured(local.coercive_T, float(np.sqrt(sum(u**2 for u in parts.values()))))
    common_u = float(np.sqrt(parts["background"] ** 2 + parts["trapped field"] ** 2))
    shared = common_u**2 + local.offset_u_T**2
    up_u, down_u = (float(np.sqrt(end.u**2 + end.window_u**2 + shared)) for end in (local.up, local.down))
    up, down = local.up.value + local.trapped_T, -(local.down.value + local.trapped_T)
    line_u, line_model = float(np.sqrt(local.line.covariance[0, 0])), float(local.line.model_u[0])
    saturation = Measured(float(local.line.values[0]), float(np.hypot(line_u, line_model)))
    remanent = Measured(local.remanence, local.remanence_u)
    covariance = np.diag([up_u**2, down_u**2, saturation.u**2, remanent.u**2])
    # A background slope and trapped flux open or close the loop, an offset moves it.
    covariance[0, 1] = covariance[1, 0] = local.offset_u_T**2 - common_u**2
    centre_u = 0.5 * float(np.sqrt(covariance[0, 0] + covariance[1, 1] + 2.0 * covariance[0, 1]))
    values = {
        "coercive_field_T": coercive,
        "coercive_up_T": Measured(up, up_u),
        "coercive_down_T": Measured(down, down_u),
        "loop_centre_T": Measured(0.5 * (up + down), centre_u),
        "trapped_field_T": Measured(local.trapped_T, local.trapped_u_T),
    }
    if local.raw_coercive_T is not None:
        values["uncorrected_coercive_field_T"] = Measured(local.raw_coercive_T, max(parts["statistical"], 1e-9))
    notes = ["no branch shape fits: the crossings, the values at zero field and the high-field line are reported"]
    if local.slow:
        notes.append(
            "the film saturates slowly, as 1/H: tail, substrate and trapped flux are told apart as far as they can be"
        )
    if local.line.open_loop:
        notes.append(
            "the loop is still open at 70 % of its largest field: the slope is that of the legs on their way from "
            "saturation, and the saturation moment is a lower bound of the film's"
        )
    return Told(
        method="crossings",
        values=values,
        moments={"saturation": saturation, "remanent": remanent},
        slope=Measured(
            float(local.line.values[1]),
            float(np.hypot(np.sqrt(local.line.covariance[1, 1]), local.line.model_u[1])),
        ),
        trapped=Measured(local.trapped_T, local.trapped_u_T),
        covariance=covariance,
        budgets={
            "coercive_field_T": parts,
            "saturation_moment_Am2": {"statistical": line_u, "model": line_model},
            "remanent_moment_Am2": {"statistical": local.remanence_u},
        },
        notes=tuple(notes),
        crossings=local,
    )
