"""Where a noisy curve crosses zero or has its maximum, by polynomials over a window that the data choose.

A wide window has little noise and much bias, a narrow one the reverse. Windows grow while the place that they give
stays where the narrower ones had it, within what noise allows (the rule of intersecting confidence intervals,
Goldenshluger and Nemirovski, Math. Methods Statist. 6, 135 (1997)). What the last step moved it stays in the
uncertainty.
"""

from dataclasses import dataclass

import numpy as np

from ..core.records import Measured
from .models import FloatArray
from .whitening import LinearFit, fit_linear

WINDOWS = (9, 12, 16, 21, 28, 37, 49, 65, 86, 114)
MOST_MOVES = 5
AGREEMENT = 1.0  # in the uncertainty of the narrower window


@dataclass(frozen=True, slots=True)
class Place:
    """A place x with its uncertainty, the slope (of a crossing) or curvature (of a maximum) there, and the window."""

    x: Measured
    bend: Measured
    window: int


def crossing(x: FloatArray, y: FloatArray, near: float) -> Place | None:
    """Where y(x) passes through zero near `near`; rows sorted by x. None if no window shows a slope of 3 σ."""
    return _grown(x, y, near, order=3, derivative=0)


def maximum(x: FloatArray, y: FloatArray, near: float) -> Place | None:
    """Where y(x) is largest near `near`; rows sorted by x. None if no window shows a curvature of 3 σ."""
    return _grown(x, y, near, order=4, derivative=1)


def _grown(x: FloatArray, y: FloatArray, near: float, order: int, derivative: int) -> Place | None:
    places: list[Place] = []
    at = near
    for window in WINDOWS:
        if window > x.size:
            break
        place = _in_window(x, y, at, window, order, derivative)
        if place is None:
            if places:
                break
            continue
        if any(
            abs(place.x.value - other.x.value)
            > AGREEMENT * np.sqrt(max(other.x.u**2 - 0.5 * place.x.u**2, 0.0)) + 1e-12
            for other in places
        ):
            break
        if places and place.x.u > places[-1].x.u:
            continue
        places.append(place)
        at = place.x.value
    if not places:
        return None
    last = places[-1]
    # Half the distance to a window of half the size: noise explains some of it, bias the rest.
    other = next((p for p in reversed(places) if 1.7 * p.window <= last.window), places[0])
    apart = abs(last.x.value - other.x.value)
    expected2 = max(other.x.u**2 - last.x.u**2, 0.0)
    model2 = max(apart**2 - expected2, 0.0) / 4.0
    return Place(Measured(last.x.value, float(np.sqrt(last.x.u**2 + model2))), last.bend, last.window)


def _in_window(x: FloatArray, y: FloatArray, at: float, window: int, order: int, derivative: int) -> Place | None:
    """Fit the rows about `at`, as many on either side, and move with the place found."""
    for _ in range(MOST_MOVES):
        middle = int(np.searchsorted(x, at))
        first = int(np.clip(middle - window // 2, 0, x.size - window))
        centre, scale = 0.5 * (x[first] + x[first + window - 1]), 0.5 * (x[first + window - 1] - x[first])
        fit = _polynomial((x[first : first + window] - centre) / max(scale, 1e-12), y[first : first + window], order)
        t = None if fit is None else _root(fit.p, derivative, (at - centre) / scale)
        if fit is None or t is None or abs(t) > 1.05:
            return None
        moved, at = abs(centre + scale * t - at), centre + scale * t
        if moved < 0.02 * scale:
            return _place(fit, at, scale, t, derivative, window)
    return None


def _place(fit: LinearFit, at: float, scale: float, t: float, derivative: int, window: int) -> Place | None:
    k = np.arange(fit.p.size, dtype=np.float64)
    powers = _derivative(k, derivative, t)
    bend = float(_derivative(k, derivative + 1, t) @ fit.p)
    steep = _derivative(k, derivative + 1, t)
    bend_u = float(np.sqrt(steep @ fit.covariance @ steep))
    if abs(bend) < 3.0 * bend_u or (derivative == 1 and bend >= 0.0):
        return None
    u = float(np.sqrt(powers @ fit.covariance @ powers)) / abs(bend)
    per = scale ** -(derivative + 1)
    return Place(Measured(float(at), u * scale), Measured(bend * per, bend_u * per), window)


def _polynomial(t: FloatArray, y: FloatArray, order: int) -> LinearFit | None:
    starts = np.zeros(t.size, dtype=np.bool_)
    starts[0] = True
    try:
        return fit_linear(np.vander(t, order + 1, increasing=True), y, starts)
    except np.linalg.LinAlgError:
        return None


def _derivative(k: FloatArray, order: int, t: float) -> FloatArray:
    """d^order/dt^order of t^k for every power k."""
    factor = np.ones(k.size)
    for step in range(order):
        factor *= np.maximum(k - step, 0)
    return factor * np.where(k >= order, t ** np.maximum(k - order, 0.0), 0.0)


def _root(p: FloatArray, derivative: int, near: float) -> float | None:
    """The real root of a derivative of the polynomial that is nearest to `near`, a maximum if derivative is 1."""
    coefficients = np.polynomial.polynomial.polyder(p, derivative) if derivative else p
    roots = np.polynomial.polynomial.polyroots(coefficients)
    real = roots[np.abs(roots.imag) < 1e-9 * (1.0 + np.abs(roots.real))].real
    if derivative:
        real = real[np.polynomial.polynomial.polyval(real, np.polynomial.polynomial.polyder(p, 2)) < 0.0]
    return float(real[np.argmin(np.abs(real - near))]) if real.size else None
