"""R_xx and R_xy of one or two like bands with everything else that a sweep holds, and their derivatives.

    R_xx = (1 + γ) ρ_xx(B′) [1 + a ½ ln(1 + (B′/B_w)²)] + β ρ_xy(B′)
    R_xy = ρ_xy(B′) + α ρ_xx(B′) [1 + ...] + A m(B′, branch) + R_sp L(B′/B_sp) + c + d t,   B′ = B − v δ

The bands enter as one complex conductance s = Σ e n µ/(1 − iµB), 1/s = ρ_xx − iρ_xy, so that every derivative is
one line: d(1/s) = −ds/s². Parameters that must be positive are fitted as logarithms.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .models import ELEMENTARY_CHARGE_C, FloatArray, erf_branch, langevin, tanh_branch
from .transport_data import Sweep

ComplexArray = NDArray[np.complex128]
Branch = Literal["erf", "tanh"]

OFFSET, DRIFT, MIXING, CROSS, GAIN, DELAY = range(6)
AMPLITUDE, UP, DOWN, LOG_WIDTH = range(6, 10)
CUSP, LOG_CUSP_FIELD = 10, 11
MOMENT, LOG_MOMENT_FIELD = 12, 13
NUISANCES = 14


@dataclass(frozen=True, slots=True)
class Model:
    """The parameter vector is (ln n, ln µ) for each of `bands` and then the nuisances, by the constants above.

    `branch` is the shape of the loop's branches, `moment` whether there is a paramagnetic S-shape.
    """

    bands: int = 2
    branch: Branch = "erf"
    moment: bool = False

    @property
    def size(self) -> int:
        """Length of the parameter vector."""
        return 2 * self.bands + NUISANCES

    def at(self, nuisance: int) -> int:
        """Where a nuisance stands in the parameter vector."""
        return 2 * self.bands + nuisance

    def evaluate(self, sweep: Sweep, p: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """R_xx, R_xy (ohm, one per row) and their derivatives (parameters × rows)."""
        q = p[2 * self.bands :]
        moved = sweep.motion * q[DELAY]
        field = sweep.field_T - moved
        j_xx, j_xy = np.zeros((2, p.size, sweep.size))
        rho, slope, bands = conductance(field, p[: 2 * self.bands])
        ratio_sq = (field / np.exp(q[LOG_CUSP_FIELD])) ** 2
        log = 0.5 * np.log1p(ratio_sq)
        cusp = 1.0 + q[CUSP] * log
        rho_xx, rho_xy = rho.real, -rho.imag
        even = rho_xx * cusp
        gain, mixing, cross = 1.0 + q[GAIN], q[MIXING], q[CROSS]

        for k in range(2 * self.bands):
            d_xx, d_xy = bands[k].real * cusp, -bands[k].imag
            j_xx[k] = gain * d_xx + cross * d_xy
            j_xy[k] = d_xy + mixing * d_xx
        # d ln(1 + (B/B_w)²)/2 = r²/(1 + r²) d ln(B/B_w)
        share = ratio_sq / (1.0 + ratio_sq)
        for index, d_even in ((CUSP, rho_xx * log), (LOG_CUSP_FIELD, -rho_xx * q[CUSP] * share)):
            j_xx[self.at(index)] = gain * d_even
            j_xy[self.at(index)] = mixing * d_even
        j_xx[self.at(GAIN)] = even
        j_xx[self.at(CROSS)] = rho_xy
        j_xy[self.at(MIXING)] = even
        j_xy[self.at(OFFSET)] = 1.0
        j_xy[self.at(DRIFT)] = sweep.span_time

        loop, loop_slope = self._loop(sweep.rising, field, q, j_xy)
        safe = np.where(np.abs(field) < 1e-9, 1e-9, field)
        even_slope = slope.real * cusp + rho_xx * q[CUSP] * share / safe
        xy_slope = -slope.imag + mixing * even_slope + loop_slope
        r_xy = rho_xy + mixing * even + q[AMPLITUDE] * loop + q[OFFSET] + q[DRIFT] * sweep.span_time
        if self.moment:
            x = field / np.exp(q[LOG_MOMENT_FIELD])
            moment, d_moment = langevin(x), 0.5e4 * (langevin(x + 1e-4) - langevin(x - 1e-4))
            j_xy[self.at(MOMENT)] = moment
            j_xy[self.at(LOG_MOMENT_FIELD)] = -q[MOMENT] * d_moment * x
            xy_slope = xy_slope + q[MOMENT] * d_moment / np.exp(q[LOG_MOMENT_FIELD])
            r_xy = r_xy + q[MOMENT] * moment
        j_xx[self.at(DELAY)] = -(gain * even_slope - cross * slope.imag) * sweep.motion
        j_xy[self.at(DELAY)] = -xy_slope * sweep.motion
        r_xx = gain * even + cross * rho_xy
        return r_xx, r_xy, j_xx, j_xy

    def _loop(
        self, rising: FloatArray, field: FloatArray, q: FloatArray, j_xy: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """M on each row's branch and A dm/dB; fills the loop's columns of `j_xy`."""
        width = np.exp(q[LOG_WIDTH])
        up = rising > 0.0
        x = (field - np.where(up, q[UP], q[DOWN])) / width
        shape = erf_branch if self.branch == "erf" else tanh_branch
        loop, d_loop = shape(x)
        d_loop = q[AMPLITUDE] * d_loop
        j_xy[self.at(AMPLITUDE)] = loop
        j_xy[self.at(UP)] = np.where(up, -d_loop / width, 0.0)
        j_xy[self.at(DOWN)] = np.where(up, 0.0, -d_loop / width)
        j_xy[self.at(LOG_WIDTH)] = -d_loop * x
        return loop, d_loop / width


def conductance(field_T: FloatArray, logs: FloatArray) -> tuple[ComplexArray, ComplexArray, list[ComplexArray]]:
    """1/s (ohm), its derivative with the field (ohm/T), and its derivatives with ln n_1, ln µ_1, ln n_2, ..."""
    total = np.zeros(field_T.size, dtype=np.complex128)
    slope = np.zeros(field_T.size, dtype=np.complex128)
    parts: list[ComplexArray] = []
    for ln_n, ln_mu in logs.reshape(-1, 2):
        mu = np.exp(ln_mu)
        turn = 1.0 / (1.0 - 1j * mu * field_T)
        band = ELEMENTARY_CHARGE_C * np.exp(ln_n) * mu * turn
        total = total + band
        slope = slope + 1j * mu * band * turn
        parts += [band, band * turn]
    rho = 1.0 / total
    square = rho**2
    return rho, -square * slope, [-square * part for part in parts]
