"""The pick-up coils: response, fits and their failures, what a film's shape does to a moment, noise, jumps, ranges."""

import math

import numpy as np
import pytest
from remanence.simulators.moment import A_M2_PER_EMU
from remanence.simulators.noise import NormalStream
from remanence.simulators.sample import Sample, load_sample
from remanence.simulators.squid import (
    FULL_SCALE_V,
    MPMS,
    MPMS3,
    POINT,
    CoilSet,
    Shape,
    Squid,
    dipole_response,
    fixed_centre,
    free_centre,
    noise_A_m2,
    shape_factor,
    shape_response,
)

EMU = A_M2_PER_EMU
COILS = (MPMS, MPMS3)
ACROSS, ALONG = Shape(5e-3, across=True), Shape(5e-3, across=False)


def squid_of(coils: CoilSet = MPMS3, seed: int = 1, shape: Shape = POINT) -> Squid:
    return Squid(coils, NormalStream(seed, "squid"), shape)


def flux_by_biot_savart(coils: CoilSet, rho_m: float, z_m: float) -> float:
    """The coils' field at a point off their axis, by adding up pieces of wire: the reciprocal of a dipole's flux."""
    phi = np.arange(4000) * (2 * math.pi / 4000)
    a = coils.radius_m
    total = 0.0
    for turns, at_m in ((2.0, 0.0), (-1.0, coils.spacing_m), (-1.0, -coils.spacing_m)):
        dx, dy, dz = rho_m - a * np.cos(phi), -a * np.sin(phi), z_m - at_m
        # (dl × r)_z of an element that runs along the tangent.
        cross = -a * np.sin(phi) * dy - a * np.cos(phi) * dx
        total += turns * float(np.mean(cross / (dx**2 + dy**2 + dz**2) ** 1.5))
    return total


@pytest.mark.parametrize("coils", COILS, ids=lambda coils: coils.name)
def test_the_response_is_that_of_two_turns_between_one_and_one(coils: CoilSet) -> None:
    r = dipole_response(coils, np.array([0.0, coils.spacing_m, -coils.spacing_m, 0.5]))
    assert r[0] == pytest.approx(1.0)
    # Under an outer turn the signal is negative and smaller, and far away a second-order gradiometer sees nothing.
    assert r[1] == r[2]
    assert -0.8 < r[1] < -0.2
    assert abs(r[3]) < 1e-3
    u = np.linspace(-2.0, 2.0, 40001)
    assert abs(np.trapezoid(dipole_response(coils, u), u)) < 1e-6


@pytest.mark.parametrize("coils", COILS, ids=lambda coils: coils.name)
@pytest.mark.parametrize(("rho_m", "z_m"), [(0.0, 0.0), (1e-3, 0.0), (3e-3, 4e-3), (2e-3, -15e-3)])
def test_the_coils_field_off_their_axis_is_biot_savarts(coils: CoilSet, rho_m: float, z_m: float) -> None:
    expected = flux_by_biot_savart(coils, rho_m, z_m) / flux_by_biot_savart(coils, 0.0, 0.0)
    response = shape_response(coils, Shape(0.0, radial_offset_m=rho_m))
    assert float(response(z_m)) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("coils", COILS, ids=lambda coils: coils.name)
def test_a_point_on_the_axis_is_reported_as_it_is(coils: CoilSet) -> None:
    assert shape_factor(coils, POINT) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("coils", "shape", "factor"),
    [
        (MPMS, ACROSS, 1.035),
        (MPMS, ALONG, 0.983),
        (MPMS3, ACROSS, 1.074),
        (MPMS3, ALONG, 0.966),
        (MPMS3, Shape(5e-3, radial_offset_m=1e-3), 1.09),
    ],
)
def test_a_film_of_five_millimetres_is_reported_some_per_cent_wrong(
    coils: CoilSet, shape: Shape, factor: float
) -> None:
    assert shape_factor(coils, shape) == pytest.approx(factor, abs=0.004)


def test_an_isotropic_film_looks_anisotropic_by_the_factors_of_its_two_mountings() -> None:
    moments = [fixed_centre(squid_of(MPMS3, 3, shape).scan(1e-8, 0.1)).moment_A_m2 for shape in (ACROSS, ALONG)]
    assert moments[0] / moments[1] == pytest.approx(1.074 / 0.966, rel=0.01)


@pytest.mark.parametrize("coils", COILS, ids=lambda coils: coils.name)
@pytest.mark.parametrize(("field_T", "sigma_emu"), [(0.0, 1e-8), (0.2, 1e-8), (1.0, 8.06e-8)])
def test_the_noise_of_a_fitted_moment_is_what_is_specified(coils: CoilSet, field_T: float, sigma_emu: float) -> None:
    squid = squid_of(coils)
    fits = [fixed_centre(squid.scan(0.0, field_T)) for _ in range(400)]
    assert np.std([fit.moment_A_m2 for fit in fits]) / EMU == pytest.approx(sigma_emu, rel=0.12)
    assert np.mean([fit.error_A_m2 for fit in fits]) / EMU == pytest.approx(sigma_emu, rel=0.05)
    assert abs(np.mean([fit.moment_A_m2 for fit in fits])) / EMU < 4 * sigma_emu / 20


def test_a_large_moment_has_noise_in_proportion_to_itself() -> None:
    assert noise_A_m2(1e-6, 1.0) == pytest.approx(3e-10, rel=0.05)
    squid = squid_of()
    squid.choose_range(1e-6)
    moments = [fixed_centre(squid.scan(1e-6, 1.0)).moment_A_m2 for _ in range(400)]
    assert np.std(moments) == pytest.approx(noise_A_m2(1e-6, 1.0), rel=0.12)


def test_a_strong_sample_is_centred_to_a_hundredth_of_a_millimetre_and_a_known_centre_gives_its_moment() -> None:
    squid = squid_of()
    squid.centre_m = 1.3e-3
    squid.choose_range(1e-6)
    scan = squid.scan(1e-6, 0.0)
    free = free_centre(scan)
    assert free.centre_m == pytest.approx(1.3e-3, abs=1e-5)
    assert free.moment_A_m2 == pytest.approx(1e-6, rel=2e-3)
    assert fixed_centre(scan, free.centre_m).moment_A_m2 == pytest.approx(free.moment_A_m2, rel=1e-9)
    # With the centre believed where it is not, the moment is too small and the fit bad.
    blind = fixed_centre(scan)
    assert blind.moment_A_m2 < 0.99e-6
    assert blind.quality < free.quality
    assert free.quality > 0.999


def test_a_free_centre_near_no_moment_jumps_and_reports_plus_or_minus_the_noise() -> None:
    squid = squid_of()
    scans = [squid.scan(0.0, 0.0) for _ in range(200)]
    fixed = np.array([fixed_centre(scan).moment_A_m2 for scan in scans])
    free = [free_centre(scan) for scan in scans]
    moments = np.array([fit.moment_A_m2 for fit in free])
    sigma = 1e-8 * EMU
    # The known centre gives a normal scatter about zero: every third within 0.43 σ.
    assert np.mean(np.abs(fixed) < 0.43 * sigma) == pytest.approx(1 / 3, abs=0.1)
    # The free one avoids zero, on both sides of it, at any place.
    assert np.mean(np.abs(moments) < 0.43 * sigma) < 0.05
    assert np.mean(np.abs(moments)) > 1.3 * sigma
    assert 0.3 < np.mean(moments > 0) < 0.7
    assert np.std([fit.centre_m for fit in free]) > 3e-3


def test_a_loop_with_a_free_centre_goes_wrong_exactly_at_the_coercive_field() -> None:
    """The film alone, its substrate taken away: far from H_C both fits agree, at H_C only the known centre is true."""
    settings = load_sample("park2020_deficient").model_copy(
        update={"substrate_susceptibility_A_m2_per_kg_T": 0.0, "impurity_spins": 0.0, "saturation_A_m2": 3e-10}
    )
    sample, squid = Sample(settings), squid_of()
    sample.moment(-1.0, 5.0)
    errors: dict[str, list[float]] = {"far": [], "near": []}
    centres: dict[str, list[float]] = {"far": [], "near": []}
    for field_T in (*np.linspace(-0.04, -0.01, 20), *np.linspace(0.0455, 0.0485, 30)):
        true = sample.moment(float(field_T), 5.0)
        where = "far" if abs(true) > 15e-8 * EMU else "near"
        fit = free_centre(squid.scan(true, float(field_T)))
        errors[where].append(abs(fit.moment_A_m2) - abs(true))
        centres[where].append(fit.centre_m)
    assert len(errors["far"]) > 10 and len(errors["near"]) > 10
    assert abs(np.mean(errors["far"])) < 0.5e-8 * EMU
    assert np.mean(errors["near"]) > 0.5e-8 * EMU
    assert np.std(centres["far"]) < 0.5e-3 < 2e-3 < np.std(centres["near"])


def test_a_flux_jump_spoils_its_scan_and_leaves_the_output_elsewhere_until_it_is_reset() -> None:
    squid = squid_of()
    squid.choose_range(5e-8)
    good = squid.scan(5e-8, 0.0)
    squid.jump(3)
    spoilt, after = squid.scan(5e-8, 0.0), squid.scan(5e-8, 0.0)
    assert fixed_centre(good).quality > 0.9999
    assert fixed_centre(spoilt).quality < 0.95
    assert fixed_centre(spoilt).error_A_m2 > 30 * fixed_centre(good).error_A_m2
    # The scan after is a good one again, on a shifted base: three quanta are 3e-5 emu.
    assert fixed_centre(after).moment_A_m2 == pytest.approx(5e-8, rel=5e-3)
    shift_V = np.mean(after.volts) - np.mean(good.volts)
    assert shift_V == pytest.approx(3e-8 / squid.range_A_m2 * FULL_SCALE_V, rel=0.15)
    squid.reset()
    assert abs(np.mean(squid.scan(5e-8, 0.0).volts) - np.mean(good.volts)) < 0.3


def test_so_many_jumps_overload_the_output_until_it_is_reset() -> None:
    squid = squid_of()
    squid.jump(20)
    squid.scan(0.0, 0.0)
    assert squid.scan(0.0, 0.0).overloaded
    squid.reset()
    assert not squid.scan(0.0, 0.0).overloaded


def test_a_range_too_small_cuts_the_signal_off_and_the_next_holds_it() -> None:
    substrate_A_m2 = Sample(load_sample("sto_annealed")).moment(7.0, 300.0)
    assert substrate_A_m2 / EMU == pytest.approx(-4.9e-4, rel=0.01)
    squid = squid_of(MPMS)
    cut = squid.scan(substrate_A_m2, 7.0)
    assert cut.overloaded
    assert np.max(np.abs(cut.volts)) == FULL_SCALE_V
    assert squid.choose_range(substrate_A_m2) == 1.25e-6
    whole = squid.scan(substrate_A_m2, 7.0)
    assert not whole.overloaded
    assert fixed_centre(whole).moment_A_m2 == pytest.approx(substrate_A_m2, rel=2e-3)
    assert squid.choose_range(1.0) == MPMS.ranges_A_m2[-1]


def test_a_stuck_drive_reports_positions_that_the_sample_never_had() -> None:
    squid = squid_of()
    squid.choose_range(1e-8)
    squid.stuck = True
    scan = squid.scan(1e-8, 0.0)
    assert np.ptp(scan.positions_m) == pytest.approx(35e-3)
    fit = fixed_centre(scan)
    assert abs(fit.moment_A_m2) < 0.01 * 1e-8
    assert fit.quality < 0.99
    assert squid.vibrate(1e-8, 0.0)[0] == pytest.approx(0.0, abs=5e-11)


@pytest.mark.parametrize("amplitude_m", [1e-3, 5e-3])
def test_the_second_harmonic_of_a_vibration_gives_the_moment_of_a_centred_point(amplitude_m: float) -> None:
    squid = squid_of()
    assert squid.vsm_factor(amplitude_m) == pytest.approx(1.0, abs=1e-4)
    readings = np.array([squid.vibrate(2e-8, 0.0, amplitude_m) for _ in range(200)])
    assert np.mean(readings[:, 0]) == pytest.approx(2e-8, rel=0.01)
    assert np.std(readings[:, 0]) == pytest.approx(readings[0, 1], rel=0.2)


def test_vsm_feels_shape_and_centre_more_than_a_scan_does() -> None:
    # The curvature at the centre is what VSM sees: a film across the axis has more of it, one along it less.
    small = {shape: squid_of(shape=shape).vsm_factor(1e-3) for shape in (ACROSS, ALONG)}
    assert small[ACROSS] > shape_factor(MPMS3, ACROSS) > 1 > shape_factor(MPMS3, ALONG) > small[ALONG]
    off = squid_of()
    off.centre_m = 1e-3
    assert 0.9 < off.vsm_factor(5e-3) < 0.995
    # Twice as far off is four times as wrong.
    loss = 1 - off.vsm_factor(5e-3)
    off.centre_m = 2e-3
    assert (1 - off.vsm_factor(5e-3)) / loss == pytest.approx(4.0, rel=0.1)


def test_a_longer_average_is_a_quieter_one() -> None:
    squid = squid_of()
    assert squid.vibrate(0.0, 0.0, seconds=8.0)[1] == pytest.approx(squid.vibrate(0.0, 0.0, seconds=2.0)[1] / 2)


def test_one_seed_is_one_magnetometer() -> None:
    scans = [squid_of(seed=seed).scan(1e-9, 1.0).volts.tolist() for seed in (4, 4, 5)]
    assert scans[0] == scans[1] != scans[2]
