"""The forward formulas against published constants and limits."""

import numpy as np
import pytest
from remanence.analysis.models import (
    BOHR_MAGNETON_J_PER_T,
    ELEMENTARY_CHARGE_C,
    brillouin,
    erf_branch,
    langevin,
    tanh_branch,
    two_band_resistivity,
)

PLANCK_J_S = 6.62607015e-34
VON_KLITZING_OHM = 25812.80745


def test_a_filled_landau_level_has_the_von_klitzing_resistance():
    field_T = 10.0
    density = ELEMENTARY_CHARGE_C * field_T / PLANCK_J_S
    _, r_xy = two_band_resistivity(field_T, (density,), (1.0,))
    assert float(r_xy) == pytest.approx(VON_KLITZING_OHM, rel=1e-9)


def test_one_band_is_drude_one_over_ne():
    r_xx, r_xy = two_band_resistivity(np.array([0.0, 1.0, 7.0]), (2.3e17,), (0.05,))
    assert r_xy == pytest.approx(np.array([0.0, 1.0, 7.0]) / (2.3e17 * 1.602176634e-19), rel=1e-12)
    assert r_xx == pytest.approx(1.0 / (2.3e17 * 1.602176634e-19 * 0.05), rel=1e-12)


def test_two_bands_have_the_known_slopes_at_zero_and_at_infinity():
    n, mu, e = (1.8e17, 0.5e17), (0.025, 0.09), ELEMENTARY_CHARGE_C
    drift = sum(a * b for a, b in zip(n, mu, strict=True))
    low = float(two_band_resistivity(1e-4, n, mu)[1]) / 1e-4
    high = float(two_band_resistivity(1e5, n, mu)[1]) / 1e5
    assert low == pytest.approx(sum(a * b**2 for a, b in zip(n, mu, strict=True)) / (e * drift**2), rel=1e-6)
    assert low == pytest.approx(39.9, abs=0.05)
    assert high == pytest.approx(1.0 / (e * 2.3e17), rel=1e-4)


def test_brillouin_is_tanh_for_one_half_and_langevin_for_large_spin():
    x = np.linspace(-6.0, 6.0, 101)
    assert brillouin(x, 0.5) == pytest.approx(np.tanh(x), abs=1e-12)
    assert brillouin(x, 1e6) == pytest.approx(langevin(x), abs=1e-5)


@pytest.mark.parametrize("spin", [0.5, 1.5, 2.5, 3.5])
def test_small_fields_obey_curie(spin):
    assert float(brillouin(1e-3, spin)) == pytest.approx(1e-3 * (spin + 1.0) / (3.0 * spin), rel=1e-5)


def test_langevin_has_no_seam_where_the_series_takes_over():
    x = np.array([0.01 - 1e-9, 0.01 + 1e-9])
    assert np.diff(langevin(x)) == pytest.approx(2e-9 / 3.0, abs=1e-12)
    assert float(langevin(0.0)) == 0.0
    assert float(langevin(1e3)) == pytest.approx(1.0 - 1e-3)


def test_the_bohr_magneton_is_the_tabulated_one():
    assert pytest.approx(9.2740100783e-24, rel=1e-9) == BOHR_MAGNETON_J_PER_T


@pytest.mark.parametrize("branch", [tanh_branch, erf_branch])
def test_branches_are_odd_saturate_and_know_their_slope(branch):
    x = np.linspace(-4.0, 4.0, 81)
    m, slope = branch(x)
    assert m == pytest.approx(-m[::-1])
    assert slope == pytest.approx(np.gradient(m, x), abs=6e-3)
    assert float(branch(0.0)[1]) == pytest.approx(1.0)
    assert float(branch(30.0)[0]) == pytest.approx(1.0)
