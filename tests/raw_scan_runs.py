"""Raw scans made from scratch, to try the fit on: written from the formulas, sharing no code with the estimator.

A sample (a point, or a rod cut into forty points), a baseline that drifts in time, a holder's dipole, a flux jump and
noise give the voltage that a gradiometer reports; the bound is the inverse Fisher information of the moment.
"""

from dataclasses import dataclass, field, replace

import numpy as np

COILS = {"MPMS": (9.7e-3, 15.19e-3), "MPMS3": (8.5e-3, 8.0e-3)}
SPANS_M = {"MPMS": 40e-3, "MPMS3": 35e-3}
VOLTS_PER_AM2_AT_CENTRE = 1e7


def gradiometer(u, radius_m, spacing_m):
    """f(u) of a point on the axis, m⁻³."""
    near = 2.0 * (radius_m**2 + u**2) ** -1.5
    return near - (radius_m**2 + (u + spacing_m) ** 2) ** -1.5 - (radius_m**2 + (u - spacing_m) ** 2) ** -1.5


@dataclass(frozen=True)
class Truth:
    """One scan: where, what and how noisy. Heights of faults are shares of the sample's peak or multiples of noise."""

    coils: str = "MPMS"
    points: int = 64
    both_ways: bool = False
    strength: float = 50.0  # moment over its bound with a known centre
    centre_m: float = 0.0
    length_m: float = 0.0
    noise_V: float = 2e-3
    correlation: float = 0.0
    offset_V: float = 0.3
    slope_V_per_m: float = 3.0
    drift_V: float = 0.02  # over the whole scan, in time
    jump_V: float = 0.0
    jump_share: float = 0.5  # of the rows
    holder: float = 0.0  # moment over the sample's
    holder_m: float = 22e-3
    seed: int = 0
    extra: dict = field(default_factory=dict)

    @property
    def calibration(self):
        """K in V m³ / A m²."""
        return VOLTS_PER_AM2_AT_CENTRE / float(gradiometer(0.0, *COILS[self.coils]))

    @property
    def position_m(self):
        half = 0.5 * SPANS_M[self.coils]
        up = np.linspace(-half, half, self.points)
        return np.concatenate([up, up[::-1]]) if self.both_ways else up

    def shape(self, z, centre_m=None):
        """K f of the sample, V per A m²."""
        at = z - (self.centre_m if centre_m is None else centre_m)
        parts = (np.arange(40) + 0.5) / 40 - 0.5 if self.length_m else np.zeros(1)
        return self.calibration * np.mean(
            [gradiometer(at - p * self.length_m, *COILS[self.coils]) for p in parts], axis=0
        )

    def bound_Am2(self, *, free_centre=False, moment_Am2=0.0):
        """The least standard error of the moment in white noise: offset, slope, drift (and the centre) are free."""
        z = self.position_m
        columns = [self.shape(z), np.ones_like(z), z / 1e-2]
        if self.both_ways:
            columns.append(np.linspace(-1.0, 1.0, z.size))
        if free_centre and moment_Am2:
            step = 1e-6
            columns.append(
                moment_Am2 * (self.shape(z, self.centre_m + step) - self.shape(z, self.centre_m - step)) / 2e-3
            )
        design = np.column_stack(columns)
        scale = np.abs(design).max(axis=0)
        information = (design / scale).T @ (design / scale) / self.noise_V**2
        return float(np.sqrt(np.linalg.inv(information)[0, 0]) / scale[0])

    @property
    def moment_Am2(self):
        return self.strength * self.bound_Am2()


def noise(rng, size, sigma, correlation):
    """White, or a stationary autoregression of first order with the same standard deviation."""
    out = rng.normal(size=size) * sigma
    for k in range(1, size):
        out[k] = correlation * out[k - 1] + np.sqrt(1.0 - correlation**2) * out[k]
    return out


def voltage(truth):
    """(position_m, voltage_V) of one scan."""
    rng = np.random.default_rng([truth.seed, 77])
    z = truth.position_m
    time = np.linspace(0.0, 1.0, z.size)
    volts = truth.moment_Am2 * truth.shape(z) + truth.offset_V + truth.slope_V_per_m * z + truth.drift_V * time
    if truth.holder:
        point = replace(truth, length_m=0.0)
        volts += truth.holder * truth.moment_Am2 * point.shape(z, truth.holder_m)
    if truth.jump_V:
        volts[round(truth.jump_share * z.size) :] += truth.jump_V
    return z, volts + noise(rng, z.size, truth.noise_V, truth.correlation)


def background(truth, points=80):
    """What a holder adds to the truth's scan (V), and a scan of the holder alone on another grid."""
    rng = np.random.default_rng([truth.seed, 78])
    height = 30.0 * truth.noise_V / VOLTS_PER_AM2_AT_CENTRE
    alone = replace(truth, points=points, length_m=0.0)
    z = alone.position_m
    volts = height * alone.shape(z, 15e-3) + 0.1 - z + rng.normal(size=z.size) * truth.noise_V
    return height * alone.shape(truth.position_m, 15e-3), (z, volts)


def draw(base, seed):
    """The same kind of scan with another baseline, place and noise."""
    rng = np.random.default_rng([seed, 5])
    return replace(
        base,
        seed=seed,
        offset_V=float(rng.normal()),
        slope_V_per_m=float(rng.normal(0.0, 5.0)),
        drift_V=float(rng.normal(0.0, 0.05)),
        strength=base.strength * float(np.exp(rng.uniform(-0.3, 0.3))) * float(rng.choice([-1.0, 1.0])),
    )


def with_holder(base, seed):
    """A second dipole of 10 to 60 % of the sample's, 12 to 30 mm beside it."""
    rng = np.random.default_rng([seed, 6])
    side = float(rng.choice([-1.0, 1.0]))
    share = float(rng.uniform(0.1, 0.6)) * float(rng.choice([-1.0, 1.0]))
    return replace(draw(base, seed), holder=share, holder_m=side * float(rng.uniform(12e-3, 30e-3)))


def with_jump(base, seed):
    """A flux jump of 5 to 100 % of the sample's peak, anywhere but in the outermost tenths of the scan."""
    rng = np.random.default_rng([seed, 7])
    truth = draw(base, seed)
    peak_V = abs(truth.moment_Am2) * VOLTS_PER_AM2_AT_CENTRE
    height = max(float(rng.uniform(0.05, 1.0)) * peak_V, 6.0 * truth.noise_V)
    return replace(truth, jump_V=height * float(rng.choice([-1.0, 1.0])), jump_share=float(rng.uniform(0.1, 0.9)))


def loop(base, seed, count=24):
    """Scans of a hysteresis loop about one unknown centre: the moment goes through zero, the last is the first's negative."""
    rng = np.random.default_rng([seed, 8])
    centre_m = float(rng.uniform(-4e-3, 4e-3))
    heights = base.strength * np.tanh(np.linspace(-3.0, 3.0, count))
    return [
        replace(draw(base, 1000 * seed + k), strength=float(height), centre_m=centre_m)
        for k, height in enumerate(heights)
    ]
