"""The judge is judged first: its runs against formulas in closed form, its bound against an estimator that knows all."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import gammainc

from .hall_bench import HallRun, fine_path, low_pass, measure
from .hall_bound import TRAPPED, bound, fisher, inverse, jacobian, parameters, row_variance
from .hall_runs import CLASSES, run
from .hall_sample import (
    Truth,
    branch,
    carriers,
    magnetisation,
    relay_thresholds,
    relays,
    resistances,
    trapped_T,
)

SHAPES = ("tanh", "erf", "gumbel", "two-step", "relays")


# The lock-in


@pytest.mark.parametrize("poles", [1, 2, 3, 4])
def test_the_step_response_of_n_poles_is_the_gamma_distribution(poles: int):
    dt, tau = 0.05, 0.4
    step = np.ones(400)
    step[0] = 0.0
    seen = low_pass(step, dt, tau, poles, "zoh")
    t = dt * (np.arange(400) - 1)
    assert np.max(np.abs(seen[1:] - gammainc(poles, t[1:] / tau))) < 1e-9


@pytest.mark.parametrize("poles", [1, 2, 4])
def test_a_ramp_comes_n_time_constants_late(poles: int):
    dt, tau, rate = 0.1, 1.0, 2e-3
    t = dt * np.arange(1000)
    late_s = t[-1] - low_pass(rate * t, dt, tau, poles)[-1] / rate
    assert late_s == pytest.approx(poles * tau, abs=1e-3 * tau)


@pytest.mark.parametrize(("poles", "bandwidth"), [(1, 1 / 4), (2, 1 / 8), (3, 3 / 32), (4, 5 / 64)])
def test_the_noise_of_a_row_is_the_density_times_the_root_of_the_bandwidth(poles: int, bandwidth: float):
    truth = Truth(ahe_ohm=0.0, turns_T=(0.0,), dwell_s=20_000.0, time_constant_s=0.3, poles=poles, row_s=0.9)
    rows = measure(truth, np.random.default_rng(poles))
    for channel in ("R_xy_ohm", "R_xx_ohm"):
        assert np.std(rows[channel]) == pytest.approx(0.1 * np.sqrt(bandwidth / 0.3), rel=0.02)


def test_slow_rows_carry_the_whole_noise_and_fast_rows_its_density():
    truth = Truth(noise_ohm_per_root_Hz=0.1, time_constant_s=0.3, poles=4)
    assert row_variance(truth, 0.25) == pytest.approx(0.1**2 / (2 * 0.25), rel=1e-3)
    assert row_variance(truth, 30.0) == pytest.approx(0.1**2 * 5 / 64 / 0.3, rel=1e-3)


# The sample


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_crosses_zero_at_the_coercive_fields_and_saturates(shape: str):
    truth = Truth(shape=shape, up_T=0.045, down_T=0.049, width_T=0.02)
    B = np.concatenate([np.linspace(0, 0.5, 3001), np.linspace(0.5, -0.5, 20_001), np.linspace(-0.5, 0.5, 20_001)])
    m = magnetisation(B, truth)
    fall, rise = slice(3001, 23_002), slice(23_002, None)
    assert np.interp(0.0, -m[fall], -B[fall]) == pytest.approx(0.049, abs=1.5e-4)
    assert np.interp(0.0, m[rise], B[rise]) == pytest.approx(0.045, abs=1.5e-4)
    assert m.max() > 0.999
    assert m.min() < -0.999


@pytest.mark.parametrize("shape", SHAPES)
def test_the_width_is_that_of_a_tanh_of_equal_slope(shape: str):
    x = np.array([-1e-4, 1e-4])
    slope = np.diff(branch(x, Truth(shape=shape)))[0] / 2e-4
    # the two-step reversal crosses inside its first step, beside its steepest place
    assert slope == pytest.approx(1.0, abs=0.5 if shape == "two-step" else 1e-3)


def test_minor_loops_of_relays_close_bit_for_bit():
    truth = Truth(shape="relays", share_c=0.5)
    path = np.concatenate([np.linspace(a, b, 400) for a, b in ((0, 0.5), (0.5, -0.05), (-0.05, 0.02), (0.02, -0.05))])
    m = relays(path, *relay_thresholds(truth))
    assert m[-1] == m[799]
    assert m[1199] > m[799]


def test_a_loop_that_turns_early_stays_inside_the_major_loop():
    truth = Truth(up_T=0.047, down_T=0.047, width_T=0.02)
    B = np.concatenate([np.linspace(0, 0.05, 500), np.linspace(0.05, -0.05, 500), np.linspace(-0.05, 0.05, 500)])
    m = magnetisation(B, truth)
    assert m[0] == 0.0
    assert np.max(np.abs(m)) < 0.2
    assert m[-1] == pytest.approx(m[499])


def test_two_bands_have_the_slopes_of_the_reference():
    truth = Truth()
    B = np.array([-1e-4, 0.0, 1e-4, 1e5])
    xx, xy = carriers(B, truth)
    assert (xy[2] - xy[0]) / 2e-4 == pytest.approx(39.9, abs=0.05)
    assert xx[1] == pytest.approx(694, abs=0.5)
    assert xy[3] / B[3] == pytest.approx(1 / (2.3e17 * 1.602176634e-19), rel=1e-4)


def test_trapped_flux_opposes_the_last_large_field_and_makes_a_loop_of_a_plain_conductor():
    truth = Truth(ahe_ohm=0.0, trapped_T=12e-3, n_m2=(2.3e17,), mobility_m2_per_Vs=(0.025,), turns_T=(7, -7, 7, 0))
    B = np.concatenate([np.linspace(0, 7, 2001), np.linspace(7, -7, 4001), np.linspace(-7, 7, 4001)])
    zero = [4001, 8002]
    assert trapped_T(B, truth)[zero] == pytest.approx([-12e-3, 12e-3])
    assert resistances(B, np.zeros_like(B), truth)[0][zero] == pytest.approx([-0.326, 0.326], abs=1e-3)


def test_a_filter_alone_makes_a_loop_of_half_height_slope_times_rate_times_delay():
    truth = Truth(
        ahe_ohm=0.0, n_m2=(2.3e17,), mobility_m2_per_Vs=(0.025,), noise_ohm_per_root_Hz=0.0, time_constant_s=1.0,
        poles=4, misalignment=0.0, readback_noise_T=0.0, resolution_T=1e-9,
    )  # fmt: skip
    rows = measure(truth, np.random.default_rng(0))
    leg = [rows[rows["leg"] == n] for n in (1, 2)]
    fall, rise = (
        np.interp(0.0, *(x[c].to_numpy()[:: 1 - 2 * (n == 0)] for c in ("field_T", "R_xy_ohm")))
        for n, x in enumerate(leg)
    )
    assert (fall - rise) / 2 == pytest.approx(27.14 * 8e-3, rel=2e-3)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"shape": "relays", "width_T": 0.02},
        {"time_constant_s": 2.0, "readback_age_s": 1.7},
        {"field_offset_s": 0.4, "magnet_lag_s": 0.8},
        {"rates": ((0.3, 2e-3), (np.inf, 1e-2))},
        {"grid_T": (2e-3, 0.05), "settle_s": 14.0, "field_offset_s": 0.4, "rates": ((np.inf, 5e-3),)},
        {"start_T": 1.0, "turns_T": (1.0, -1.0, 1.0)},
    ],
)
def test_a_run_crosses_where_its_delay_says(change: dict[str, object]):
    """A sample without an ordinary Hall effect crosses at B_c + vδ, less 2n(τv)³/3w² for the skew of the filter."""
    truth = replace(
        Truth(up_T=0.045, down_T=0.049, n_m2=(1e22,), mobility_m2_per_Vs=(1e-4,), noise_ohm_per_root_Hz=0.0,
              readback_noise_T=0.0, resolution_T=1e-9, row_s=0.25),
        **change,
    )  # fmt: skip
    rows = measure(truth, np.random.default_rng(0))
    rate = 0.0 if truth.grid_T else 2e-3  # settled, nothing is late
    delay_s = truth.poles * truth.time_constant_s + truth.magnet_lag_s - truth.readback_age_s + truth.field_offset_s
    skew_T = 2 * truth.poles * (truth.time_constant_s * rate) ** 3 / (3 * truth.width_T**2)
    for number, sign, true_T in ((1, -1, truth.down_T), (2, 1, truth.up_T)):
        near = rows[(rows["leg"] == number) & (rows["field_T"].abs() < 0.25)]
        seen_T = np.interp(0.0, sign * near["R_xy_ohm"], sign * near["field_T"])
        assert seen_T == pytest.approx(true_T + rate * delay_s - skew_T, abs=max(3e-5, 0.3 * skew_T))


# The runs


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_draws_what_it_says(name: str):
    seen = run(name, 1)
    truth = seen.truth
    assert truth == CLASSES[name](np.random.default_rng([1, *name.encode()]))
    assert truth != CLASSES[name](np.random.default_rng([2, *name.encode()]))
    assert 0.039 < truth.coercive_T < 0.054
    assert {"time_s", "field_T", "R_xy_ohm", "temperature_K"} <= set(seen.frame)
    assert seen.frame["time_s"].is_monotonic_increasing
    assert seen.metadata == {"time_constant_s": truth.time_constant_s, "poles": truth.poles}


def test_the_same_name_and_seed_give_the_same_rows():
    assert run("NaN, spikes, gap", 3).frame.equals(run("NaN, spikes, gap", 3).frame)


@pytest.mark.parametrize("name", ["±7 T, 2 mT/s", "skewed reversal", "step and settle", "trapped field", "no R_xx"])
def test_the_bound_is_in_the_range_of_the_experiment(name: str):
    for seed in range(2):
        assert 0.05e-3 < bound(run(name, seed)).coercive_T < 1.6e-3


def test_a_faint_loop_is_as_faint_as_was_asked():
    for seed in range(3):
        assert 1.9e-3 < bound(run("faint AHE", seed)).coercive_T < 6.3e-3


# The bound

STATED = Truth(
    turns_T=(1.0, -1.0, 1.0, 0.0), ahe_ohm=0.7, width_T=0.030, row_s=1.0, time_constant_s=0.3, magnet_lag_s=0.0
)


def rows_of(truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """A row a second."""
    t, _, B = fine_path(truth)
    rows = np.arange(20.0, t[-1] - 20.0)
    return rows, np.interp(rows, t, B)


def test_the_bound_of_the_stated_case():
    """0.7 Ω, 30 mT, 0.03 Ω white noise, 2 mT between rows: 0.287 mT a leg and 0.203 mT of B_C, if nothing else is free."""
    t, B = rows_of(STATED)
    late = t > 450
    J = jacobian(STATED, t[late], B[late], np.gradient(B, t)[late])
    F = fisher(np.array([J["up_T"], J["down_T"]]), 0.03**2, 0.0)
    C = np.linalg.inv(F)
    assert np.sqrt(np.diag(C)) == pytest.approx([0.287e-3, 0.287e-3], rel=5e-3)
    assert np.sqrt(C.sum()) / 2 == pytest.approx(0.203e-3, rel=5e-3)
    free = bound(HallRun(measure(STATED, np.random.default_rng(0)), STATED, {}), variance=0.03**2)
    assert 0.203e-3 <= free.coercive_T < 0.203e-3 * 1.15
    assert 0.287e-3 <= free.up_T < 0.287e-3 * 1.4


def test_more_that_is_unknown_is_never_less_uncertain():
    rows = measure(STATED, np.random.default_rng(0))
    plain = bound(HallRun(rows, STATED, {}))
    assert 1.05 * plain.coercive_T < plain.wary_T
    for change in ({"trapped_T": 1e-3}, {"walk_ohm_per_root_s": 1e-3}):
        assert bound(HallRun(rows, replace(STATED, **change), {})).coercive_T > plain.coercive_T
    assert bound(HallRun(rows.drop(columns="R_xx_ohm"), STATED, {})).coercive_T > plain.coercive_T


@pytest.mark.parametrize("walk_ohm_per_root_s", [0.0, 2e-3])
def test_an_estimator_that_knows_the_model_reaches_the_bound(walk_ohm_per_root_s: float):
    """A Newton step from the truth, on simulated noise alone, with the derivatives of the bound."""
    truth = replace(STATED, time_constant_s=1.0, walk_ohm_per_root_s=walk_ohm_per_root_s)
    rows, B = rows_of(truth)
    late = rows > 450
    J = {n: x for n, x in jacobian(truth, rows, B, np.gradient(B, rows)).items() if n not in TRAPPED}
    # A conductor in no field at all shows its noise.
    blank = replace(truth, turns_T=(0.0,), ahe_ohm=0.0, dwell_s=len(rows) / 2 + 40)
    frames = [measure(blank, np.random.default_rng(seed)) for seed in range(60)]
    noise = np.array([[f[c][: len(rows)] - f[c].mean() for c in ("R_xy_ohm", "R_xx_ohm")] for f in frames])
    columns = np.concatenate([np.array(list(J.values())), noise])[:, :, late]
    products = fisher(columns, row_variance(truth, 1.0), walk_ohm_per_root_s**2)
    prior = np.diag([1 / u**2 if u else 0.0 for _, u in (parameters(truth)[name] for name in J)])
    C = inverse(products[: len(J), : len(J)] + prior)
    steps = C @ products[: len(J), len(J) :]
    up, down = list(J).index("up_T"), list(J).index("down_T")
    u = np.sqrt(C[up, up] + C[down, down] + 2 * C[up, down])
    assert np.sqrt(np.mean(((steps[up] + steps[down]) / u) ** 2)) == pytest.approx(1.0, abs=0.2)
