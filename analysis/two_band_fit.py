"""Least squares of R_xx(B) and R_xy(B) together: starts, a damped Gauss-Newton, noise from the residuals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .models import ELEMENTARY_CHARGE_C, FloatArray, Mask
from .transport_data import Sweep
from .transport_noise import Whitening, whitening_of
from .two_band_model import (
    AMPLITUDE,
    CROSS,
    CUSP,
    DELAY,
    DOWN,
    DRIFT,
    GAIN,
    LOG_CUSP_FIELD,
    LOG_MOMENT_FIELD,
    LOG_WIDTH,
    MIXING,
    MOMENT,
    NUISANCES,
    OFFSET,
    UP,
    Model,
)  # fmt: skip

LOG_DENSITY = (np.log(1e13), np.log(1e21))  # m⁻²
LOG_MOBILITY = (np.log(1e-5), np.log(1e2))  # m²/Vs
NOISE_ORDER = 8
MOMENT_FIELDS_T = (0.5, 1.5, 5.0)  # where the search for an S-shape begins

Noise = tuple[Whitening | None, Whitening]  # of R_xx (None where it was not measured) and of R_xy


@dataclass(frozen=True, slots=True)
class Setup:
    """What is fitted beside the bands. A pair is (expected value, its standard uncertainty), wide if little is known.

    `closed_T` is the field beyond which the anomalous loop is closed.
    """

    anomalous: bool = True
    even_term: bool = True
    coercive_T: tuple[float, float] = (0.047, 0.05)
    log_width: tuple[float, float] = (float(np.log(0.03)), 0.7)
    log_cusp_field: tuple[float, float] = (float(np.log(0.1)), 0.7)
    log_moment_field: tuple[float, float] = (float(np.log(1.5)), 0.7)
    delay_s: tuple[float, float] = (0.0, 3.0)
    gain_u: float = 0.0
    sheet_ohm: tuple[float, float] | None = None
    closed_T: float = 0.3


@dataclass(frozen=True, slots=True)
class BandFit:
    """A minimum: parameters, covariance from the whitened fit, χ², and the number of free parameters."""

    model: Model
    p: FloatArray
    covariance: FloatArray
    chi2: float
    free: int
    converged: bool
    noise: Noise

    @property
    def logs(self) -> FloatArray:
        """(ln n, ln µ) of each band."""
        return self.p[: 2 * self.model.bands]

    def u(self, index: int) -> float:
        """Standard uncertainty of one parameter."""
        return float(np.sqrt(max(self.covariance[index, index], 0.0)))


class BandProblem:
    """One sweep with R_xy positive for positive fields, and the terms it is fitted with."""

    def __init__(self, sweep: Sweep, setup: Setup) -> None:
        self.sweep = sweep
        self.setup = setup

    def free(self, model: Model) -> Mask:
        """Which parameters this sweep can know at all."""
        s, sweep = self.setup, self.sweep
        free = np.zeros(model.size, dtype=bool)
        free[: 2 * model.bands] = True
        xx = sweep.r_xx_ohm is not None
        wanted = {
            OFFSET: True,
            MIXING: sweep.both_signs,
            CROSS: xx and sweep.both_signs,
            # On one branch a drift cannot be told from a slope, nor a lag from an offset of the field.
            DRIFT: sweep.timed and sweep.both_branches,
            DELAY: sweep.both_branches and s.delay_s[1] > 0.0,
            GAIN: xx and s.gain_u > 0.0,
            CUSP: xx and s.even_term,
            LOG_CUSP_FIELD: xx and s.even_term,
            AMPLITUDE: s.anomalous,
            UP: s.anomalous and bool((sweep.rising > 0.0).any()),
            DOWN: s.anomalous and bool((sweep.rising < 0.0).any()),
            LOG_WIDTH: s.anomalous,
            MOMENT: model.moment,
            LOG_MOMENT_FIELD: model.moment,
        }
        for index, yes in wanted.items():
            free[model.at(index)] = yes
        return free

    def priors(self, model: Model, free: Mask) -> tuple[FloatArray, FloatArray]:
        """Expected values and 1/u of all parameters; 1/u = 0 where nothing is known."""
        s = self.setup
        unit = 1.0 if self.sweep.timed else 0.003  # without time the lag is a field
        known = {
            MIXING: (0.0, 0.3), CROSS: (0.0, 0.1), GAIN: (0.0, s.gain_u), UP: s.coercive_T,
            DOWN: (-s.coercive_T[0], s.coercive_T[1]), LOG_WIDTH: s.log_width, LOG_CUSP_FIELD: s.log_cusp_field,
            LOG_MOMENT_FIELD: s.log_moment_field, DELAY: (s.delay_s[0] * unit, s.delay_s[1] * unit),
        }  # fmt: skip
        centre, weight = np.zeros(model.size), np.zeros(model.size)
        for index, (value, u) in known.items():
            centre[model.at(index)] = value
            if u > 0.0 and free[model.at(index)]:
                weight[model.at(index)] = 1.0 / u
        return centre, weight

    def residuals(self, model: Model, p: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """Measured less model, in ohm, of R_xx and R_xy."""
        xx, xy, _, _ = model.evaluate(self.sweep, p)
        r_xx = self.sweep.r_xx_ohm
        return None if r_xx is None else r_xx - xx, self.sweep.r_xy_ohm - xy

    def _system(
        self,
        model: Model,
        p: FloatArray,
        noise: Noise,
        prior: tuple[FloatArray, FloatArray],
    ) -> tuple[FloatArray, FloatArray]:
        xx, xy, j_xx, j_xy = model.evaluate(self.sweep, p)
        residual, rows = [noise[1].apply(self.sweep.r_xy_ohm - xy)], [noise[1].apply(j_xy)]
        if self.sweep.r_xx_ohm is not None and noise[0] is not None:
            residual.append(noise[0].apply(self.sweep.r_xx_ohm - xx))
            rows.append(noise[0].apply(j_xx))
        centre, weight = prior
        held = weight > 0.0
        residual.append(((centre - p) * weight)[held])
        rows.append(np.diag(weight)[:, held])
        if self.setup.sheet_ohm is not None:
            value, u = self.setup.sheet_ohm
            share = np.exp(p[0 : 2 * model.bands : 2] + p[1 : 2 * model.bands : 2]) * ELEMENTARY_CHARGE_C
            sheet = 1.0 / float(share.sum())
            row = np.zeros(p.size)
            row[: 2 * model.bands] = np.repeat(-(sheet**2) * share, 2)
            # Of ln R: its derivative stays sane far from the minimum.
            residual.append(np.array([np.log(value / sheet) * value / u]))
            rows.append((row * value / (sheet * u))[:, None])
        return np.concatenate(residual), np.hstack(rows)

    def fit(
        self,
        model: Model,
        start: FloatArray,
        noise: Noise,
        *,
        hold: Sequence[int] = (),
        most_steps: int = 60,
    ) -> BandFit | None:
        """The minimum next to `start`, with the parameters in `hold` fixed; None where nothing is determined."""
        free = self.free(model)
        free[list(hold)] = False
        prior = self.priors(model, free)
        low, high = _limits(model)
        p = np.clip(start, low, high)
        r, j = self._system(model, p, noise, prior)
        chi2, damping, steps, converged = float(r @ r), 1e-3, 0, False
        moving = free
        normal, scale = _normal(j, moving)
        while steps < most_steps:
            gradient = j[moving] @ r
            try:
                step = np.linalg.solve(normal + damping * np.eye(scale.size), gradient / scale) / scale
            except np.linalg.LinAlgError:
                return None
            trial = p.copy()
            trial[moving] += step
            trial = np.clip(p + np.clip(trial - p, -_STEP[model.bands], _STEP[model.bands]), low, high)
            r_new, j_new = self._system(model, trial, noise, prior)
            gain = chi2 - float(r_new @ r_new)
            if gain > 0.0:
                p, r, j, chi2, steps = trial, r_new, j_new, chi2 - gain, steps + 1
                # A parameter that is pushed against its limit takes no part in the next step.
                push = j @ r
                moving = free & ~((p <= low) & (push < 0.0)) & ~((p >= high) & (push > 0.0))
                normal, scale = _normal(j, moving)
                damping = max(damping * 0.1, 1e-14)
                if gain < 0.1 + 1e-7 * chi2:
                    # Small steps along a narrow valley are no minimum: what would the undamped step still gain?
                    if _promise(normal, (j[moving] @ r) / scale) < 2e-3 + 1e-9 * chi2:
                        converged = True
                        break
                    damping = min(damping, 1e-9)
            elif damping > 1e6:
                converged = _promise(normal, gradient / scale) < 0.1
                break
            else:
                damping *= 10.0
        return BandFit(model, p, _covariance(j, free), chi2, int(free.sum()), converged, noise)

    def fit_with_moment(self, model: Model, start: FloatArray, noise: Noise) -> BandFit | None:
        """The minimum with a paramagnetic S-shape added, from several widths of it: a wrong one leads nowhere."""
        model, best = replace(model, moment=True), None
        for width_T in MOMENT_FIELDS_T:
            p = start.copy()
            p[model.at(MOMENT)], p[model.at(LOG_MOMENT_FIELD)] = 0.0, np.log(width_T)
            fit = self.fit(model, p, noise, hold=(model.at(LOG_MOMENT_FIELD),), most_steps=8)
            if fit is not None and (best is None or fit.chi2 < best.chi2):
                best = fit
        return None if best is None else self.fit(model, best.p, noise)

    def noise_of(self, fit: BandFit, *, order: int = NOISE_ORDER) -> Noise:
        """The noise of both channels as the residuals of `fit` show it."""
        xx, xy = self.residuals(fit.model, fit.p)
        sweep = self.sweep
        spent = 0.6 * fit.free if xx is not None else float(fit.free)

        def of(residual: FloatArray) -> Whitening:
            return whitening_of(residual, sweep.run, sweep.coarse, spent, order=order)

        return None if xx is None else of(xx), of(xy)

    def within(self, keep: Mask, noise: Noise) -> tuple["BandProblem", Noise]:
        """The same problem on some of its rows, with their noise."""
        sweep = self.sweep.where(keep)
        xx, xy = noise
        return BandProblem(sweep, self.setup), (
            None if xx is None else xx.part(keep, sweep.run),
            xy.part(keep, sweep.run),
        )

    def with_setup(self, **changes: object) -> "BandProblem":
        """The same rows with other terms."""
        return BandProblem(self.sweep, replace(self.setup, **changes))  # pyright: ignore[reportArgumentType]

    def nuisance_start(self) -> FloatArray:
        """Nuisances before anything is known."""
        p = np.zeros(NUISANCES)
        s = self.setup
        p[[UP, DOWN]] = s.coercive_T[0], -s.coercive_T[0]
        p[LOG_WIDTH], p[LOG_CUSP_FIELD] = s.log_width[0], s.log_cusp_field[0]
        p[LOG_MOMENT_FIELD] = s.log_moment_field[0]
        p[DELAY] = s.delay_s[0] * (1.0 if self.sweep.timed else 0.003)
        return p


# A step may not leave the region where the Jacobian means something.
_STEP = {
    bands: np.concatenate(
        (np.full(2 * bands, 0.7), [np.inf, np.inf, 0.3, 0.3, 0.5, 5.0, np.inf, 0.05, 0.05, 0.5, 0.05, 0.5, np.inf, 0.5])
    )
    for bands in (1, 2)
}


def _limits(model: Model) -> tuple[FloatArray, FloatArray]:
    low, high = np.full(model.size, -np.inf), np.full(model.size, np.inf)
    for k in range(model.bands):
        low[2 * k], high[2 * k] = LOG_DENSITY
        low[2 * k + 1], high[2 * k + 1] = LOG_MOBILITY
    for index, least, most in ((LOG_WIDTH, 5e-4, 2.0), (LOG_CUSP_FIELD, 2e-3, 20.0), (LOG_MOMENT_FIELD, 0.1, 30.0)):
        low[model.at(index)], high[model.at(index)] = np.log(least), np.log(most)
    low[model.at(CUSP)], high[model.at(CUSP)] = -0.5, 0.5
    return low, high


def _normal(jacobian: FloatArray, free: Mask) -> tuple[FloatArray, FloatArray]:
    """JJᵀ of the free parameters, each scaled to unit length, and the lengths."""
    used = jacobian[free]
    normal = used @ used.T
    scale = np.sqrt(np.diag(normal))
    scale[scale <= 0.0] = 1.0
    return normal / scale[:, None] / scale, scale


def _promise(normal: FloatArray, gradient: FloatArray) -> float:
    """The fall of χ² that a full Gauss-Newton step promises."""
    return float(gradient @ np.linalg.pinv(normal, rcond=1e-14, hermitian=True) @ gradient)


def _covariance(jacobian: FloatArray, free: Mask) -> FloatArray:
    normal, scale = _normal(jacobian, free)
    out = np.zeros((free.size, free.size))
    out[np.ix_(free, free)] = np.linalg.pinv(normal, rcond=1e-13, hermitian=True) / scale[:, None] / scale
    return out
