"""The magnet's physics against formulas: persistent switch, quench, coolant, trapped flux, the lags in series."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from remanence.simulators.coolant import Cryocooler, CryocoolerSettings, HeliumBath, HeliumSettings, heated
from remanence.simulators.cryostat import copper_heat_capacity
from remanence.simulators.leads import Approach, across, approach
from remanence.simulators.magnet import Magnet, MagnetSettings
from scipy.integrate import solve_ivp

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))
HOUR_s = 3600.0


def driven(
    target_A: float = 50.0, rate_A_per_s: float = 0.04, settings: MagnetSettings = MAGNET
) -> tuple[Magnet, float]:
    """A magnet that arrived at `target_A` and came to rest, and the time."""
    magnet = Magnet(settings, 0.0)
    magnet.ramp(target_A, rate_A_per_s, 0.0)
    now_s = abs(target_A) / rate_A_per_s + 200.0
    pass_time(magnet, 0.0, now_s)
    return magnet, now_s


def pass_time(magnet: Magnet, start_s: float, stop_s: float, step_T: float = 1e-2) -> float:
    """As the world does: in steps that the magnet itself allows."""
    now_s = start_s
    while now_s < stop_s:
        now_s = min(stop_s, now_s + max(magnet.longest_step_s(step_T), 1e-9))
        magnet.advance(now_s)
    return stop_s


def persistent(settings: MagnetSettings = MAGNET) -> tuple[Magnet, float]:
    """A magnet with 50 A in the coil, a cold switch and empty leads."""
    magnet, now_s = driven(settings=settings)
    magnet.heat_switch(False, now_s)
    now_s = pass_time(magnet, now_s, now_s + settings.cool_time_s)
    magnet.ramp(0.0, 5.0, now_s)
    return magnet, pass_time(magnet, now_s, now_s + 20.0)


# The persistent switch


def test_a_cold_switch_keeps_the_coils_current_while_the_leads_run_down_fast() -> None:
    magnet, now_s = persistent()
    assert magnet.lead_current(now_s) == 0.0
    assert magnet.coil_current() == pytest.approx(50.0, rel=1e-6)
    later_s = pass_time(magnet, now_s, now_s + 10 * HOUR_s)
    assert 0.0 < 1.0 - magnet.coil_current() / 50.0 < 10 * 1e-5
    assert magnet.field() == pytest.approx(50.0 * 0.135, rel=1e-4)
    assert magnet.lead_voltage(later_s) == 0.0


def test_leads_brought_back_to_the_coils_current_may_warm_the_switch() -> None:
    magnet, now_s = persistent()
    magnet.ramp(50.0, 5.0, now_s)
    now_s = pass_time(magnet, now_s, now_s + 20.0)
    magnet.heat_switch(True, now_s)
    now_s = pass_time(magnet, now_s, now_s + MAGNET.warm_time_s + 60.0)
    assert not magnet.quenched
    magnet.ramp(49.0, 0.04, now_s)
    pass_time(magnet, now_s, now_s + 60.0)
    assert magnet.coil_current() == pytest.approx(49.0, abs=1e-6)


@pytest.mark.parametrize(("leads_A", "quenches"), [(0.0, 1), (-50.0, 1), (49.5, 1), (49.8, 0), (50.2, 0)])
def test_a_switch_that_opens_with_leads_and_coil_apart_is_a_quench(leads_A: float, quenches: int) -> None:
    magnet, now_s = persistent()
    magnet.ramp(leads_A, 5.0, now_s)
    now_s = pass_time(magnet, now_s, now_s + 30.0)
    magnet.heat_switch(True, now_s)
    now_s = pass_time(magnet, now_s, now_s + MAGNET.warm_time_s - 1.0)
    assert not magnet.quenched
    pass_time(magnet, now_s, now_s + 100.0)
    assert magnet.quenches == quenches
    if quenches:
        assert "apart" in magnet.quench_cause
        assert magnet.quench_A == pytest.approx(50.0, rel=1e-4)


def test_warming_and_cooling_take_their_own_times_and_half_of_one_changes_nothing() -> None:
    magnet = Magnet(replace(MAGNET, warm_time_s=20.0, cool_time_s=50.0), 0.0)
    magnet.heat_switch(False, 0.0)
    assert magnet.switch_warm(49.9)
    assert not magnet.switch_warm(50.1)
    magnet.advance(100.0)
    magnet.heat_switch(True, 100.0)
    assert not magnet.switch_warm(119.9)
    magnet.heat_switch(False, 110.0)  # half warm: it was and stays superconducting
    assert not magnet.switch_warm(111.0)
    magnet.heat_switch(True, 120.0)  # ten seconds of heat, ten of fifty of cooling
    assert not magnet.switch_warm(133.9)
    assert magnet.switch_warm(134.1)
    magnet.heat_switch(False, 140.0)
    magnet.heat_switch(True, 160.0)
    assert magnet.switch_warm(161.0)
    assert magnet.switch_warm(1e4)


def test_a_heater_that_breaks_lets_the_warm_switch_cool_and_warms_nothing_until_it_is_mended() -> None:
    magnet = Magnet(replace(MAGNET, warm_time_s=20.0, cool_time_s=50.0), 0.0)
    switch = magnet.switch
    switch.break_heater(True, 0.0)
    assert switch.heater_on
    assert switch.warm(49.9)
    assert not switch.warm(50.1)
    magnet.heat_switch(False, 60.0)
    magnet.heat_switch(True, 70.0)
    assert not switch.warm(1e5)
    switch.break_heater(False, 1e5)
    assert not switch.warm(1e5 + 19.9)
    assert switch.warm(1e5 + 20.1)
    # Mended with the heater off, it stays cold.
    switch.break_heater(True, 2e5)
    magnet.heat_switch(False, 2e5 + 60.0)
    switch.break_heater(False, 2e5 + 70.0)
    assert not switch.warm(3e5)


def test_a_heater_that_breaks_in_a_ramp_leaves_the_coil_behind_and_quenches_it_when_mended() -> None:
    magnet = Magnet(MAGNET, 0.0)
    magnet.ramp(50.0, 0.04, 0.0)
    pass_time(magnet, 0.0, 100.0)
    magnet.switch.break_heater(True, 100.0)
    now_s = pass_time(magnet, 100.0, 2000.0)
    assert magnet.coil_current() == pytest.approx(0.04 * (100.0 + MAGNET.cool_time_s), abs=0.1)
    assert magnet.lead_current(now_s) == 50.0
    magnet.switch.break_heater(False, now_s)
    pass_time(magnet, now_s, now_s + MAGNET.warm_time_s + 10.0)
    assert "apart" in magnet.quench_cause


def test_a_heater_switched_off_in_a_ramp_leaves_the_coil_where_the_switch_closed() -> None:
    magnet = Magnet(MAGNET, 0.0)
    magnet.ramp(50.0, 0.04, 0.0)
    pass_time(magnet, 0.0, 100.0)
    magnet.heat_switch(False, 100.0)
    pass_time(magnet, 100.0, 2000.0)
    assert magnet.lead_current(2000.0) == 50.0
    assert magnet.coil_current() == pytest.approx(0.04 * (130.0 - magnet.lag_s), rel=1e-5)


def test_without_a_switch_the_coil_has_the_leads_current_and_no_heater_matters() -> None:
    magnet = Magnet(replace(MAGNET, switch_fitted=False), 0.0)
    magnet.heat_switch(False, 0.0)
    magnet.ramp(50.0, 0.04, 0.0)
    pass_time(magnet, 0.0, 600.0)
    assert magnet.coil_current() == magnet.lead_current(600.0) == pytest.approx(24.0)
    assert magnet.coil_voltage(600.0) == pytest.approx(60.0 * 0.04)


# The leads


def test_ranges_change_the_rate_at_their_edges_however_seldom_anybody_looks() -> None:
    magnet = Magnet(MAGNET, 0.0)
    ranges = ((20.0, 0.04), (40.0, 0.02), (60.0, 0.01))
    magnet.ramp_along(across(0.0, 50.0, ranges), 0.0)
    assert magnet.lead_current(500.0) == pytest.approx(20.0)
    assert magnet.lead_current(1500.0) == pytest.approx(40.0)
    assert magnet.lead_current(2500.0) == pytest.approx(50.0)
    magnet.advance(2000.0)
    assert magnet.arrival_s() == pytest.approx(2500.0)
    # The exact way: the lag behind each piece's own rate.
    assert magnet.coil_current() == pytest.approx(45.0 - 0.01 * magnet.lag_s, rel=1e-9)
    magnet.ramp_along(across(45.0, -50.0, ranges), 2000.0)
    pass_time(magnet, 2000.0, 2000.0 + 500.0 + 1000.0 + 500.0)
    assert magnet.lead_current(4000.0) == pytest.approx(0.0, abs=1e-9)


def test_one_long_advance_is_many_short_ones() -> None:
    results: list[float] = []
    for steps in (1, 7, 1000):
        magnet = Magnet(replace(MAGNET, eddy_time_s=0.7), 0.0)
        magnet.ramp_along(((20.0, 0.04), (-3.0, 0.03), (5.0, 0.01)), 0.0)
        for stop_s in np.linspace(0.0, 2000.0, steps + 1)[1:]:
            magnet.advance(float(stop_s))
        results.append(magnet.field())
    assert results[0] == pytest.approx(results[1], rel=1e-9) == pytest.approx(results[2], rel=1e-9)


@pytest.mark.parametrize("mode", list(Approach))
def test_every_approach_ends_at_its_target(mode: Approach) -> None:
    pieces = approach(10.0, -20.0, 0.5, mode)
    assert pieces[-1][0] == -20.0
    turns = sum(
        (b - a) * (c - b) < 0 for (a, b), (_, c) in pairwise(pairwise([10.0, *(target_A for target_A, _ in pieces)]))
    )
    assert turns == (4 if mode is Approach.OSCILLATE else 0)


# Lags and trapped flux


@pytest.mark.parametrize("eddy_s", [0.3, 1.2, 5.0])
def test_eddy_currents_are_a_second_lag_in_series(eddy_s: float) -> None:
    magnet = Magnet(replace(MAGNET, eddy_time_s=eddy_s), 0.0)
    magnet.ramp(4.0, 0.04, 0.0)

    def slopes(now_s: float, state: np.ndarray) -> list[float]:
        lead_A = min(0.04 * now_s, 4.0)
        return [(lead_A - state[0]) / magnet.lag_s, (state[0] - state[1]) / eddy_s]

    times = [0.5, 3.0, 20.0, 100.0, 101.0, 104.0, 120.0]
    exact = solve_ivp(slopes, (0.0, 130.0), [0.0, 0.0], t_eval=times, rtol=1e-10, atol=1e-12, max_step=0.5).y[1]
    for now_s, expected_A in zip(times, exact, strict=True):
        magnet.advance(now_s)
        assert magnet.field() == pytest.approx(0.135 * expected_A, abs=1e-9)


def test_the_field_at_the_sample_is_late_by_both_lags() -> None:
    magnet = Magnet(replace(MAGNET, eddy_time_s=0.5), 0.0)
    magnet.ramp(50.0, 0.04, 0.0)
    pass_time(magnet, 0.0, 100.0)
    assert (4.0 - magnet.field() / 0.135) / 0.04 == pytest.approx(60.0 / 50.0 + 0.5, rel=1e-6)


def trapped(magnet: Magnet, targets_A: list[float]) -> float:
    """What is left at zero current (T) after a way over `targets_A`."""
    now_s = 0.0
    for target_A in (*targets_A, 0.0):
        magnet.ramp(target_A, 0.04, now_s)
        now_s = pass_time(magnet, now_s, magnet.arrival_s() + 60.0, 1e-3)
    return magnet.field()


def test_with_a_play_the_trapped_flux_follows_the_last_reversal_and_dies_with_the_swings() -> None:
    settings = replace(MAGNET, trapped_field_T=5e-3, trapped_play_T=0.1)
    assert trapped(Magnet(settings, 0.0), [10.0]) == pytest.approx(-5e-3, rel=1e-4)
    assert trapped(Magnet(settings, 0.0), [-10.0]) == pytest.approx(5e-3, rel=1e-4)
    assert trapped(Magnet(settings, 0.0), [10.0, -3.0]) == pytest.approx(5e-3, rel=1e-4)
    swings = [10.0 * (-0.8) ** n for n in range(40)]
    assert abs(trapped(Magnet(settings, 0.0), swings)) < 0.2 * 5e-3


# The quench


def test_a_quench_decays_with_its_time_and_its_energy_goes_into_the_coolant() -> None:
    magnet, now_s = driven(
        100.0, 0.015, replace(MAGNET, coolant=HeliumSettings(start_percent=100.0, boil_off_l_per_h=0.0))
    )
    bath = magnet.coolant
    assert isinstance(bath, HeliumBath)
    energy, litres = magnet.energy_J(), bath.litres
    assert energy == pytest.approx(300e3)
    magnet.quench(now_s)
    magnet.advance(now_s + 3.0)
    assert magnet.coil_current() == pytest.approx(100.0 * math.exp(-3.0 / MAGNET.quench_time_s))
    assert magnet.lead_current(now_s + 3.0) == 0.0
    assert (magnet.quench_A, magnet.quench_s, magnet.quench_cause) == (pytest.approx(100.0), now_s, "ordered")
    pass_time(magnet, now_s + 3.0, now_s + 60.0)
    assert litres - bath.litres == pytest.approx(energy / 2600.0, rel=1e-3)  # some 115 litres
    assert magnet.coil_K > MAGNET.critical_K


def test_a_quench_heats_a_dry_coil_by_its_enthalpy() -> None:
    for start_K, end_K in ((4.0, 25.0), (4.0, 90.0), (30.0, 40.0)):
        grid_K = np.linspace(start_K, end_K, 20001)
        energy = float(np.trapezoid([copper_heat_capacity(float(t)) for t in grid_K], grid_K))
        assert heated(start_K, energy) == pytest.approx(end_K, rel=1e-3)
    magnet, now_s = driven(100.0, 0.015)
    magnet.quench(now_s)
    pass_time(magnet, now_s, now_s + 30.0)
    assert 50.0 < magnet.coil_K < 120.0


def test_the_coil_carries_no_current_until_the_lock_out_is_over_and_it_is_cold() -> None:
    magnet, now_s = driven()
    magnet.quench(now_s)
    now_s = pass_time(magnet, now_s, now_s + HOUR_s)
    assert not magnet.recovered(now_s)
    magnet.ramp(10.0, 0.01, now_s)
    now_s = pass_time(magnet, now_s, now_s + 10.0)
    assert (magnet.quenches, magnet.coil_current()) == (2, pytest.approx(0.0, abs=1e-9))
    now_s = pass_time(magnet, now_s, now_s + 12 * HOUR_s)
    assert magnet.recovered(now_s)
    assert not magnet.quenched
    assert magnet.coil_K < MAGNET.full_current_K
    magnet.ramp(10.0, 0.04, now_s)
    pass_time(magnet, now_s, now_s + 400.0)
    assert magnet.coil_current() == pytest.approx(10.0)
    assert magnet.quenches == 2


def test_too_much_voltage_is_a_quench_where_the_coil_is_weaker_than_the_supply() -> None:
    magnet = Magnet(replace(MAGNET, coil_voltage_limit_V=2.0), 0.0)
    magnet.ramp(10.0, 0.030, 0.0)
    pass_time(magnet, 0.0, 50.0)
    assert not magnet.quenched
    magnet.ramp(10.0, 0.036, 50.0)
    pass_time(magnet, 50.0, 60.0)
    assert magnet.quench_cause == "too much voltage"


# The coolant


def test_without_its_compressor_a_coil_with_current_quenches_within_ten_minutes_and_an_empty_one_warms() -> None:
    for current_A, soonest_s, latest_s in ((110.0, 60.0, 600.0), (20.0, 400.0, 900.0)):
        magnet, start_s = driven(current_A, 0.015)
        cooler = magnet.coolant
        assert isinstance(cooler, Cryocooler)
        cooler.compressor_on = False
        pass_time(magnet, start_s, start_s + latest_s)
        assert magnet.quench_cause == "coil too warm"
        assert soonest_s < magnet.quench_s - start_s < latest_s
    empty = Magnet(MAGNET, 0.0)
    assert isinstance(empty.coolant, Cryocooler)
    empty.coolant.compressor_on = False
    pass_time(empty, 0.0, 1200.0)
    assert empty.quenches == 0
    empty.ramp(10.0, 0.04, 1200.0)
    pass_time(empty, 1200.0, 1300.0)
    assert empty.quenches == 1
    empty.coolant.compressor_on = True
    pass_time(empty, 1300.0, 1300.0 + 24 * HOUR_s)
    assert empty.coil_K == CryocoolerSettings().base_K
    assert empty.coolant.calm


def test_a_bath_boils_off_as_it_says_and_a_bare_coil_quenches() -> None:
    settings = HeliumSettings(volume_l=100.0, start_percent=30.0, threshold_percent=25.0)
    magnet, now_s = driven(50.0, 0.04, replace(MAGNET, coolant=settings))
    bath = magnet.coolant
    assert isinstance(bath, HeliumBath)
    left_s = bath.hours_left(50.0) * HOUR_s
    assert left_s == pytest.approx((bath.litres - 25.0) / (0.25 + 0.003 * 50.0) * HOUR_s)
    now_s = pass_time(magnet, now_s, now_s + left_s - 120.0)
    assert not magnet.quenched
    assert bath.level_percent == pytest.approx(25.0, abs=0.1)
    now_s = pass_time(magnet, now_s, now_s + 240.0)
    assert magnet.quench_cause == "coil too warm"
    now_s = pass_time(magnet, now_s, now_s + 3 * HOUR_s)
    assert not magnet.recovered(now_s)
    bath.fill(90.0)
    pass_time(magnet, now_s, now_s + 60.0)
    assert not magnet.quenched
