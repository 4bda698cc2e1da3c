"""The one line people come for: the coercive field with its uncertainty, or why there is none.

The rules: a value is never shown without ±; a value smaller than its uncertainty is shown as a bound; an estimator
that claims nothing is quoted, not improved upon.
"""

import math
from dataclasses import dataclass

from ..core.quantities import format_measured
from ..core.records import Estimate, EstimateStatus, Measured
from .status import duration
from .tone import Tone

NAME = "µ₀Hc"
OLD_S = 10.0  # rows arrive, yet the fit has said nothing for so long


@dataclass(frozen=True, slots=True)
class Readout:
    """A headline, a line of detail under it, and how the headline should feel."""

    headline: str
    detail: str = ""
    tone: Tone = Tone.LIVE


def read(estimate: Estimate | None, age_s: float = 0.0) -> Readout:
    """Say what an estimate claims, and no more."""
    if estimate is None:
        return Readout(f"{NAME}: no estimate yet", tone=Tone.QUIET)
    headline, tone = _headline(estimate)
    parts = [*_budget(estimate), *estimate.reasons]
    if headline.endswith(tuple(estimate.reasons)):
        parts = [part for part in parts if not headline.endswith(part)]
    if age_s > OLD_S:
        parts.insert(0, f"fit {duration(age_s)} old")
        tone = Tone.WARN
    return Readout(headline, " · ".join(parts), tone)


def _headline(estimate: Estimate) -> tuple[str, Tone]:
    values, reason = estimate.values, "; ".join(estimate.reasons)
    match estimate.status:
        case EstimateStatus.WAITING:
            return estimate.text or f"{NAME}: waiting for both branches", Tone.QUIET
        case EstimateStatus.DOWN_ONLY if "coercive_down_T" in values:
            return f"{NAME}: ↓ only {_signed(values['coercive_down_T'])} mT (preliminary)", Tone.WARN
        case EstimateStatus.UP_ONLY if "coercive_up_T" in values:
            return f"{NAME}: ↑ only {_signed(values['coercive_up_T'])} mT (preliminary)", Tone.WARN
        case EstimateStatus.RESOLVED if "coercive_field_T" in values:
            return _resolved(estimate), Tone.LIVE
        case EstimateStatus.NOT_RESOLVED:
            return estimate.text or f"{NAME}: not resolved: {reason or 'no reason given'}", Tone.WARN
        case EstimateStatus.MINOR_LOOP:
            return estimate.text or f"{NAME}: minor loop, no value: {reason or 'it did not close'}", Tone.WARN
        case _:  # a status that promises a value, and the value is missing
            return f"{NAME}: {estimate.status}, but no value was given", Tone.WARN


def _resolved(estimate: Estimate) -> str:
    values = estimate.values
    coercive = values["coercive_field_T"]
    if coercive.u > abs(coercive.value):
        return f"|{NAME}| < {_bound_mT(coercive)} mT (2 standard uncertainties)"
    text = f"{NAME} = {_plain(coercive, 'mT', 1e3)}"
    branches = [f"{arrow} {_signed(values[key])}" for key, arrow in _BRANCHES if key in values]
    if branches:
        text += "   " + "   ".join(branches) + " mT"
    if "ahe_amplitude_ohm" in values:
        text += f" · R_AHE = {_plain(values['ahe_amplitude_ohm'], 'Ω')}"
    return text


_BRANCHES = (("coercive_up_T", "↑"), ("coercive_down_T", "↓"))


def _plain(measured: Measured, unit: str, scale: float = 1.0) -> str:
    return format_measured(measured, unit, scale).replace("-", "−")


def _signed(field: Measured) -> str:
    """`+47.1 ± 0.4` in millitesla, without the unit."""
    text = _plain(field, "", 1e3)
    return text if text.startswith(("−", "not")) else f"+{text}"


def _bound_mT(field: Measured) -> str:
    """|value| + 2 u in millitesla, rounded up to one figure, so that the bound stays true."""
    bound = (abs(field.value) + 2 * field.u) * 1e3
    step = 10.0 ** math.floor(math.log10(bound))
    return f"{math.ceil(bound / step - 1e-9) * step:g}"


def _budget(estimate: Estimate) -> list[str]:
    """What the uncertainty of B_C is made of, the largest share first; only beside a value it belongs to."""
    if estimate.status is not EstimateStatus.RESOLVED:
        return []
    shares = sorted(estimate.budget.items(), key=lambda item: -item[1])
    text = ", ".join(f"{source} {u_T * 1e3:.2g}" for source, u_T in shares if u_T > 0)
    return [f"u (mT): {text}"] if text else []
