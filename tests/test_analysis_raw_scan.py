"""The moment of a raw scan: does its interval cover, is a free centre refused when it must be, are faults found."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from remanence.analysis.dipole_response import MPMS, MPMS3, Response
from remanence.analysis.film_geometry import geometry_factor
from remanence.analysis.raw_scan import Scan, analyze_scan, analyze_scans
from remanence.core.records import EstimateStatus, Measured

sys.path.insert(0, str(Path(__file__).parent))
import raw_scan_runs as runs
from figures import keep, new_figure

COILS = {"MPMS": MPMS, "MPMS3": MPMS3}
M3 = runs.Truth(coils="MPMS3", points=80)


def analyze(truth, centre_m=None, **more):
    z, volts = runs.voltage(truth)
    coils = replace(COILS[truth.coils], length_m=truth.length_m)
    return analyze_scan(z, volts, response=coils, calibration_V_m_per_A=truth.calibration, centre_m=centre_m, **more)


@pytest.mark.parametrize(
    ("base", "free"),
    [
        (runs.Truth(), False),
        (runs.Truth(strength=0.5), False),
        (replace(M3, centre_m=6e-3), False),
        (runs.Truth(length_m=5e-3, strength=200.0), False),
        (runs.Truth(both_ways=True, points=40), False),
        (runs.Truth(centre_m=5e-3), True),
    ],
    ids=["centred", "sub-noise", "off-centre", "rod of 5 mm", "up and down", "free"],
)
def test_the_interval_covers_and_the_error_is_near_the_fisher_bound(base, free):
    z, ratio = [], []
    for seed in range(20):
        truth = runs.draw(base, seed)
        moment = analyze(truth, None if free else truth.centre_m).moment
        z.append((moment.value - truth.moment_Am2) / moment.u)
        ratio.append(moment.u / truth.bound_Am2(free_centre=free, moment_Am2=truth.moment_Am2))
    assert np.mean(np.abs(z) < 1.96) >= 0.84
    assert np.max(np.abs(z)) < 4.0
    assert 0.95 < np.median(ratio) < 1.2


def test_a_free_centre_is_refused_near_zero_where_it_would_report_plus_or_minus_the_noise():
    """What it is refused for: the best of all centres never has a small moment, though the true one is zero."""
    moments = []
    for seed in range(50):
        truth = replace(runs.draw(runs.Truth(), seed), strength=0.0)
        result = analyze(truth)
        assert result.estimate.status is EstimateStatus.NOT_RESOLVED and result.moment is None
        assert "give the centre" in result.estimate.reasons[0]
        z, volts = runs.voltage(truth)
        best = (np.inf, 0.0)
        for centre in np.arange(-15e-3, 15e-3, 1e-3):
            design = np.column_stack([np.ones_like(z), z * 100.0, truth.shape(z, centre) / 1e7])
            p, rss, *_ = np.linalg.lstsq(design, volts, rcond=None)
            best = min(best, (float(rss[0]), float(p[2]) / 1e7))
        moments.append(best[1] / truth.bound_Am2())
    # A normal error would have a third of its values within 0.43 σ, and a mean size of 0.8 σ.
    assert np.mean(np.abs(moments) < 0.43) < 0.12
    assert np.mean(np.abs(moments)) > 1.2


def test_a_loop_shares_its_centre_and_gives_the_scans_near_zero_a_moment():
    z = []
    for seed in range(1):
        truths = runs.loop(runs.Truth(strength=60.0), seed, count=16)
        result = analyze_scans(
            [Scan(*runs.voltage(t)) for t in truths],
            response=MPMS,
            calibration_V_m_per_A=Measured(truths[0].calibration, 1e-3),
        )
        centre = result.estimate.values["centre_m"]
        assert abs(centre.value - truths[0].centre_m) < 4.0 * centre.u
        assert np.isfinite(result.moment_Am2).all()
        assert (np.linalg.eigvalsh(result.covariance) > 0.0).all()
        z += [(scan.moment.value - t.moment_Am2) / scan.moment.u for scan, t in zip(result.scans, truths, strict=True)]
    assert np.mean(np.abs(z) < 1.96) >= 0.84


def test_a_loop_that_is_weak_everywhere_has_no_centre():
    truths = [runs.draw(runs.Truth(strength=0.5), seed) for seed in range(6)]
    result = analyze_scans(
        [Scan(*runs.voltage(t)) for t in truths], response=MPMS, calibration_V_m_per_A=truths[0].calibration
    )
    assert result.estimate.status is EstimateStatus.NOT_RESOLVED
    assert np.isnan(result.moment_Am2).all()


def test_a_flux_jump_is_found_fitted_as_a_step_and_said():
    found, z = [], []
    for seed in range(40):
        truth = runs.with_jump(runs.Truth(), seed)
        result = analyze(truth, truth.centre_m)
        found.append("flux jump" in result.found)
        if result.moment is not None:
            z.append((result.moment.value - truth.moment_Am2) / result.moment.u)
    assert np.mean(found) >= 0.92
    assert np.mean(np.abs(z) < 1.96) >= 0.84
    assert any("the SQUID jumped by" in reason for reason in result.estimate.reasons)


def test_a_holders_dipole_that_shows_is_found_and_fitted():
    z = []
    for seed in range(5):
        truth = replace(runs.draw(replace(M3, strength=500.0), seed), holder=0.4, holder_m=18e-3)
        result = analyze(truth, truth.centre_m)
        assert "second dipole" in result.found
        z.append((result.moment.value - truth.moment_Am2) / result.moment.u)
        place = result.estimate.values["second_dipole_m"]
        assert abs(place.value - truth.holder_m) < 4.0 * place.u
    assert np.max(np.abs(z)) < 3.5


def test_nothing_is_found_in_clean_scans():
    found = [analyze(runs.draw(runs.Truth(), seed), 0.0).found for seed in range(100, 120)]
    assert sum(bool(each) for each in found) <= 2


def test_a_wrong_fixed_centre_is_noticed_and_the_scans_own_is_used():
    truth = replace(runs.Truth(strength=200.0), centre_m=3e-3, seed=4)
    result = analyze(truth, 0.0)
    assert abs(result.moment.value - truth.moment_Am2) < 4.0 * result.moment.u
    assert "the scan's own centre is used" in result.estimate.reasons[0]


def test_a_background_is_subtracted_on_the_voltage_and_its_noise_counts():
    z, shares = [], []
    for seed in range(40):
        truth = runs.draw(runs.Truth(), seed)
        place, volts = runs.voltage(truth)
        holder_V, behind = runs.background(truth)
        result = analyze_scan(
            place,
            volts + holder_V,
            response=MPMS,
            calibration_V_m_per_A=truth.calibration,
            centre_m=0.0,
            background=Scan(*behind),
        )
        z.append((result.moment.value - truth.moment_Am2) / result.moment.u)
        budget = result.estimate.budget
        shares.append(budget["background"] / budget["statistical"])
    assert np.mean(np.abs(z) < 1.96) >= 0.84
    assert 0.6 < np.median(shares) < 1.4


def test_the_calibrations_uncertainty_is_in_the_budget():
    truth = replace(runs.Truth(strength=1000.0), seed=1)
    z, volts = runs.voltage(truth)
    known = Measured(truth.calibration, 0.02 * truth.calibration)
    result = analyze_scan(z, volts, response=MPMS, calibration_V_m_per_A=known, centre_m=0.0)
    assert result.moment.u == pytest.approx(0.02 * abs(result.moment.value), rel=0.01)


def test_an_overloaded_scan_is_refused():
    z, volts = runs.voltage(runs.Truth())
    clipped = np.minimum(volts, np.quantile(volts, 0.8))
    result = analyze_scan(z, clipped, response=MPMS, calibration_V_m_per_A=1.0, centre_m=0.0)
    assert result.moment is None
    assert "overload" in result.estimate.reasons[0]


def test_rows_that_are_no_numbers_are_left_out_and_counted():
    truth = runs.Truth()
    z, volts = runs.voltage(truth)
    volts[[3, 40]] = np.nan
    result = analyze_scan(z, volts, response=MPMS, calibration_V_m_per_A=truth.calibration, centre_m=0.0)
    assert abs(result.moment.value - truth.moment_Am2) < 4.0 * result.moment.u
    assert any("2 of 64 rows" in reason for reason in result.estimate.reasons)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"calibration_V_m_per_A": 0.0}, "calibration"),
        (
            {"response": Response(9.7e-3, 15e-3), "background": Scan(np.linspace(-5e-3, 5e-3, 20), np.zeros(20))},
            "covers",
        ),
        ({"position_m": np.zeros(3)}, "one length"),
        ({"centre_m": float("nan")}, "finite"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(change, says):
    z, volts = runs.voltage(runs.Truth())
    given = {
        "position_m": z,
        "voltage_V": volts,
        "response": MPMS,
        "calibration_V_m_per_A": 1.0,
        "centre_m": 0.0,
    } | change
    with pytest.raises(ValueError, match=says):
        analyze_scan(given.pop("position_m"), given.pop("voltage_V"), **given)


@pytest.mark.parametrize(("coils", "name", "span_m"), [(MPMS, "MPMS", 40e-3), (MPMS3, "MPMS3", 35e-3)])
def test_a_films_response_fitted_as_a_point_gives_the_factor_of_the_film_geometry(coils, name, span_m):
    z = np.linspace(-0.5 * span_m, 0.5 * span_m, 65)
    design = np.column_stack([np.ones_like(z), z * 100.0, coils.at(0.0 * z + z) / coils.peak_per_m3])
    for orientation, film in (
        ("perpendicular", replace(coils, width_m=5e-3, depth_m=5e-3)),
        ("parallel", replace(coils, width_m=5e-3, length_m=5e-3)),
    ):
        fitted = np.linalg.lstsq(design, film.at(z) / coils.peak_per_m3, rcond=None)[0][2]
        assert fitted == pytest.approx(geometry_factor(name, orientation, radial_offset_u_m=0.0).value, abs=2e-3)


def test_the_slope_of_every_response_is_the_derivative_of_its_value():
    u = np.linspace(-0.03, 0.03, 31)
    for response in (MPMS, replace(MPMS3, length_m=5e-3), replace(MPMS3, width_m=4e-3, depth_m=4e-3)):
        numeric = (response.at(u + 1e-6) - response.at(u - 1e-6)) / 2e-6
        assert np.allclose(response.slope(u), numeric, rtol=1e-4, atol=1e-5 * np.abs(numeric).max())


def test_figure_of_a_scan_with_a_flux_jump():
    truth = replace(runs.Truth(strength=60.0), jump_V=0.05, jump_share=0.62, seed=3)
    result = analyze(truth, 0.0)
    figure = new_figure()
    left, right = figure.subplots(1, 2)
    mm = result.position_m * 1e3
    left.plot(mm, result.voltage_V * 1e3, "o", ms=3, color="tab:blue", label="scan")
    left.plot(mm, result.fitted_V * 1e3, color="black", lw=1.2, label="fit with a step")
    left.set_xlabel("position z (mm)")
    left.set_ylabel("SQUID voltage (mV)")
    left.set_title(result.estimate.text)
    left.legend(frameon=False)
    noise_mV = result.estimate.values["noise_V"].value * 1e3
    right.axhspan(-noise_mV, noise_mV, color="0.88", label="±1σ of a row")
    right.plot(mm, (result.voltage_V - result.fitted_V) * 1e3, "o", ms=3, color="tab:blue")
    right.axhline(0.0, color="black", lw=0.8)
    right.set_xlabel("position z (mm)")
    right.set_ylabel("scan − fit (mV)")
    right.set_title(result.estimate.reasons[0].replace(": ", ":\n"), fontsize=10)
    right.legend(frameon=False)
    keep(figure, "raw-scan")
