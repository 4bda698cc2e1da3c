"""The sample: relays that heat and time soften, transport beyond two bands, the moment, and the library of samples."""

import json
import math
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from remanence.analysis.models import BOHR_MAGNETON_J_PER_T, BOLTZMANN_J_PER_K, brillouin, erf_branch, langevin
from remanence.core.errors import ConfigError
from remanence.simulators import sample as sample_module
from remanence.simulators.hysteresis import RelayEnsemble, RelayMemory, RelaySettings
from remanence.simulators.magnet import Magnet, MagnetSettings
from remanence.simulators.moment import A_M2_PER_EMU, TESLA_PER_OERSTED, Moment
from remanence.simulators.sample import Sample, SampleSettings, load_sample, sample_names

RELAYS = RelaySettings(coercive_T=0.047, spread_T=0.017, interaction_T=0.009)
WARM = replace(RELAYS, barrier_K=3e4)
SHAPES = ("normal", "logistic", "gumbel", "two-step")
LIBRARY = Path(sample_module.__file__).parent / "samples"
EMU = A_M2_PER_EMU
OE = TESLA_PER_OERSTED


def changed(name: str, **changes: object) -> SampleSettings:
    return SampleSettings.model_validate(load_sample(name).model_dump() | changes)


def crossing(relays: RelayEnsemble, sign: float, temperature_K: float = 5.0, rate_T_per_s: float = 0.0) -> float:
    """|B| at which the major loop crosses zero; without a rate the relays are not told the time."""
    relays.magnetise(-sign * 0.5, temperature_K)
    step_T = 2e-5
    fields = np.arange(-0.02, 0.16, step_T)
    elapsed_s = step_T / rate_T_per_s if rate_T_per_s else 0.0
    # m is a staircase: its middle between the last field below zero and the first above.
    m = [sign * relays.magnetise(sign * float(field_T), temperature_K, elapsed_s) for field_T in fields]
    return float(0.5 * (fields[np.searchsorted(m, 0.0, "left")] + fields[np.searchsorted(m, 0.0, "right") - 1]))


def softening(temperature_K: float, rate_T_per_s: float, barrier_K: float = 3e4, coercive_T: float = 0.047) -> float:
    """Sharrock's g with t = ΔB_sw/rate and ΔB_sw = k T B_c/2E."""
    t_s = temperature_K * coercive_T / (2 * barrier_K) / rate_T_per_s
    return 1.0 - math.sqrt(temperature_K / barrier_K * math.log(1e10 * t_s))


# Memory


@pytest.mark.parametrize("shape", SHAPES)
def test_return_point_memory_is_exact_to_the_bit_for_every_shape_of_branch(shape: str) -> None:
    relays = RelayEnsemble(replace(WARM, shape=shape))
    for field_T in (0.3, -0.03):
        relays.magnetise(field_T)
    before, m_before = relays.states, relays.magnetise(-0.03)
    for field_T in (0.02, -0.01, 0.005, -0.01, 0.02, -0.03):
        relays.magnetise(field_T)
    assert relays.states == before
    assert relays.magnetise(-0.03) == m_before


def test_minor_loops_between_the_same_fields_are_congruent() -> None:
    heights = []
    for start_T in (-0.5, 0.5):
        relays = RelayEnsemble(RELAYS)
        relays.magnetise(start_T)
        relays.magnetise(0.01 if start_T < 0 else 0.06)
        relays.magnetise(0.06)
        heights.append(relays.magnetise(0.01) - relays.magnetise(0.06))
    assert heights[0] == pytest.approx(heights[1], abs=1e-12)
    assert heights[0] < 0


def test_a_memory_written_as_json_goes_on_to_the_bit() -> None:
    settings = load_sample("park2020_deficient")
    sample = Sample(settings)
    for field_T, kelvin, elapsed_s in ((0.3, 40.0, 1.0), (0.3, 4.2, 60.0), (-0.03, 4.2, 90.0), (-0.03, 4.2, 600.0)):
        sample.resistances(field_T, kelvin, elapsed_s)
    twin = Sample(settings)
    twin.restore(RelayMemory(**json.loads(json.dumps(asdict(sample.memory)))))
    way = [(0.02, 0.5), (0.02, 300.0), (-0.06, 20.0), (0.1, 3.0), (-0.2, 100.0)]
    for field_T, elapsed_s in way:
        assert twin.resistances(field_T, 4.2, elapsed_s) == sample.resistances(field_T, 4.2, elapsed_s)
    assert twin.relays.states == sample.relays.states


def test_a_memory_of_another_ensemble_is_refused() -> None:
    memory = replace(RelayEnsemble(RELAYS).memory, states="00ff")
    with pytest.raises(ValueError, match="16 relays"):
        RelayEnsemble(RELAYS).restore(memory)


def test_it_can_be_saturated_demagnetised_and_cooled_in_a_field() -> None:
    relays = RelayEnsemble(replace(RELAYS, interaction_T=0.0))
    assert relays.magnetise(0.0) == 0.0
    assert relays.saturate() == 1.0
    assert relays.saturate(-1.0) == -1.0
    assert relays.demagnetise() == 0.0
    assert relays.cool_in(4.0) == 1.0
    assert relays.magnetise(0.0) == 1.0
    # Remanence survives only as far as the thresholds allow.
    relays.magnetise(-0.1)
    assert relays.saturate() < 1.0


# Branches


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_major_loop_crosses_zero_at_the_set_coercive_field_for_every_shape(shape: str, sign: float) -> None:
    assert crossing(RelayEnsemble(replace(WARM, shape=shape)), sign) == pytest.approx(0.047, abs=5e-5)


def test_normal_thresholds_give_error_function_branches_and_logistic_ones_a_tanh() -> None:
    fields = np.linspace(0.0, 0.1, 201)
    for shape, width_T in (("normal", 1.2533 * 0.01), ("logistic", 2 * math.sqrt(3) / math.pi * 0.01)):
        relays = RelayEnsemble(replace(RELAYS, spread_T=0.01, interaction_T=0.0, shape=shape))
        relays.magnetise(-0.5)
        x = (fields - 0.047) / width_T
        expected = erf_branch(x)[0] if shape == "normal" else np.tanh(x)
        assert [relays.magnetise(float(field_T)) for field_T in fields] == pytest.approx(expected, abs=0.025)


def test_a_two_step_branch_rests_between_its_steps_and_a_gumbel_branch_is_skewed() -> None:
    two = RelayEnsemble(replace(RELAYS, spread_T=0.003, interaction_T=0.001, shape="two-step", step_T=0.04))
    two.magnetise(-0.5)
    # The crossing lies in the step of 0.65; 20 mT on, between the steps, 0.65 are up.
    assert two.magnetise(0.067) == pytest.approx(2 * 0.65 - 1, abs=0.02)
    skewed = RelayEnsemble(replace(RELAYS, shape="gumbel"))
    skewed.magnetise(-0.5)
    early, late = (skewed.magnetise(0.047 + offset_T) for offset_T in (-0.02, 0.02))
    assert -early > late + 0.02


# Heat and time


@pytest.mark.parametrize("kelvin", [2.0, 5.0, 20.0, 77.0, 300.0])
def test_the_coercive_field_falls_with_temperature_as_sharrock_says(kelvin: float) -> None:
    expected = 0.047 * softening(kelvin, 1.5e-3) / softening(5.0, 1.5e-3)
    measured = crossing(RelayEnsemble(WARM), 1.0, kelvin)
    # A soft relay softens more than a hard one, so the median moves a little more than the median relay.
    assert measured == pytest.approx(expected, rel=0.02)


def test_a_faster_sweep_finds_a_larger_coercive_field_by_a_fourteenth_of_a_millitesla_per_e_fold() -> None:
    slow, fast = (crossing(RelayEnsemble(WARM), 1.0, 5.0, rate) for rate in (0.1e-3, 10e-3))
    per_fold_T = (fast - slow) / math.log(100.0)
    assert per_fold_T == pytest.approx(0.07e-3, abs=0.015e-3)


@pytest.mark.parametrize(("kelvin", "rate_T_per_s"), [(5.0, 1.5e-3), (2.0, 10e-3), (30.0, 0.2e-3), (300.0, 2e-3)])
def test_the_truth_of_a_measurement_is_where_a_sweep_crosses_zero(kelvin: float, rate_T_per_s: float) -> None:
    relays = RelayEnsemble(WARM)
    truth_T = relays.coercive_field(kelvin, rate_T_per_s)
    assert crossing(relays, 1.0, kelvin, rate_T_per_s) == pytest.approx(truth_T, abs=3e-5)
    assert (truth_T == pytest.approx(0.047, abs=1e-6)) == (kelvin == 5.0)


def test_a_sample_looked_at_as_often_as_its_patience_asks_relaxes_as_one_always_watched() -> None:
    watched, patient = RelayEnsemble(WARM), RelayEnsemble(WARM)
    for relays in (watched, patient):
        relays.magnetise(-0.5, 20.0)
        relays.magnetise(0.03, 20.0, 300.0)
    for _ in range(20000):
        watched.magnetise(0.03, 20.0, 0.005)
    waited_s = 0.0
    while waited_s < 100.0:
        pause_s = min(patient.patience_s, 100.0 - waited_s)
        before, after = patient.magnetise(0.03), patient.magnetise(0.03, 20.0, pause_s)
        assert after - before < 2e-3
        waited_s += max(pause_s, 1e-9)
    assert patient.states == watched.states


@pytest.mark.parametrize("moved_T", [5e-324, 1e-310, 1e-300, 1e-17, 1e-13])
def test_a_field_that_moves_by_next_to_nothing_is_a_field_that_rests(moved_T: float) -> None:
    resting, moving = RelayEnsemble(WARM), RelayEnsemble(WARM)
    for relays, to_T in ((resting, 0.0), (moving, moved_T)):
        relays.magnetise(-0.5, 5.0, 10.0)
        relays.magnetise(0.0, 5.0, 10.0)
        relays.magnetise(to_T, 5.0, 1e4)
    assert math.isfinite(moving.patience_s)
    assert moving.patience_s == pytest.approx(resting.patience_s, rel=1e-6)


def test_at_the_reference_rate_and_temperature_time_changes_nothing() -> None:
    told, untold = (Sample(load_sample("park2020_deficient")) for _ in range(2))
    for stop_T in (0.2, -0.2, 0.2):
        for field_T in np.linspace(told.memory.field_T, stop_T, 400)[1:]:
            elapsed_s = abs(float(field_T) - told.memory.field_T) / 1.5e-3
            assert told.resistances(float(field_T), 5.0, elapsed_s) == untold.resistances(float(field_T), 5.0)


def test_who_stops_at_the_coercive_field_sees_the_moment_creep_with_the_logarithm_of_time() -> None:
    relays = RelayEnsemble(WARM)
    relays.magnetise(-0.5, 5.0)
    for field_T in np.arange(0.0, 0.047, 1e-4):
        m = relays.magnetise(float(field_T), 5.0, 1e-4 / 1.5e-3)
    decades = [m]
    for wait_s in (1.0, 9.0, 90.0, 900.0):
        decades.append(relays.magnetise(relays.memory.field_T, 5.0, wait_s))
    creep = np.diff(decades)
    assert (creep > 0).all()
    # 0.18 mT per decade on a branch of 24 mT width.
    assert creep[1:] == pytest.approx(0.18 / 24.0, rel=0.35)
    # The sweep must catch up with what the wait has already switched.
    assert relays.magnetise(relays.memory.field_T + 1e-4, 5.0, 1e-4 / 1.5e-3) == pytest.approx(decades[-1], abs=1e-3)


def test_without_a_barrier_neither_heat_nor_time_matters() -> None:
    relays = RelayEnsemble(RELAYS)
    assert crossing(relays, 1.0, 300.0, 1e-6) == pytest.approx(crossing(RelayEnsemble(RELAYS), 1.0), abs=1e-12)


def test_above_the_blocking_temperature_the_relays_are_a_langevin_superparamagnet() -> None:
    settings = replace(RELAYS, spread_T=0.002, interaction_T=0.0, barrier_K=500.0)
    relays = RelayEnsemble(settings)
    moment_K_per_T = 2 * 500.0 / 0.047
    relays.magnetise(1.0, 100.0)
    for field_T in (0.5, 0.1, 0.003, 0.0, -0.003, -0.1, 0.1):
        expected = float(langevin(moment_K_per_T * field_T / 100.0))
        assert relays.magnetise(field_T, 100.0) == pytest.approx(expected, abs=1e-9)


def test_remanence_is_lost_at_the_blocking_temperature_of_sharrock() -> None:
    settings = replace(RELAYS, spread_T=0.0, interaction_T=0.001, barrier_K=1000.0)
    relays = RelayEnsemble(settings)
    relays.magnetise(1.0, 2.0)
    assert relays.magnetise(0.0, 2.0) == 1.0
    # The field rests, so t is the time that has passed: 100 s at each temperature.
    lost_K = next(k for k in np.arange(2.0, 80.0, 0.1) if relays.magnetise(0.0, float(k), 100.0) < 0.5)
    blocking_K = 1000.0 / math.log(1e10 * 100.0 * (lost_K - 2.0) / 0.1)
    assert lost_K == pytest.approx(blocking_K, rel=0.06)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_cooling_through_the_blocking_temperature_freezes_in_the_fields_direction(sign: float) -> None:
    relays = RelayEnsemble(replace(WARM, barrier_K=1000.0))
    relays.magnetise(-sign * 1.0, 200.0)
    relays.magnetise(sign * 0.05, 200.0)
    for kelvin in np.geomspace(200.0, 2.0, 100):
        relays.magnetise(sign * 0.05, float(kelvin))
    assert sign * relays.magnetise(0.0, 2.0) > 0.98


# Transport


def test_the_anomalous_hall_effect_is_gone_above_its_onset() -> None:
    for kelvin, loop_ohm in ((5.0, 2 * 0.75), (8.0, 0.0), (20.0, 0.0)):
        sample = Sample(load_sample("park2020_deficient"))
        sample.resistances(1.0, kelvin)
        down = sample.resistances(0.0, kelvin)[1]
        sample.resistances(-1.0, kelvin)
        assert down - sample.resistances(0.0, kelvin)[1] == pytest.approx(loop_ohm, rel=0.02, abs=1e-9)


def test_the_cusp_of_weak_antilocalisation_is_even_and_logarithmic() -> None:
    flat, cusp = (Sample(changed("park2020_deficient", localisation_fraction=f)) for f in (0.0, 0.003))
    for field_T in (0.05, 0.5, 3.0):
        for signed_T in (field_T, -field_T):
            ratio = cusp.resistances(signed_T, 5.0)[0] / flat.resistances(signed_T, 5.0)[0] - 1
            assert ratio == pytest.approx(0.003 * 0.5 * math.log(1 + (field_T / 0.1) ** 2), rel=1e-9)


def test_an_oxidised_sample_hops_with_the_cube_root_law_of_mott() -> None:
    sample = Sample(changed("park2020_oxidised", contact_misalignment=0.0))
    for kelvin in (300.0, 100.0, 20.0, 5.0):
        r_xx, r_xy = sample.resistances(0.0, kelvin)
        assert r_xx == pytest.approx(2e3 * math.exp((5e3 / kelvin) ** (1 / 3)))
        assert r_xy == 0.0
    assert sample.resistances(0.0, 5.0)[0] > 500 * sample.resistances(0.0, 100.0)[0]
    # The carriers are as many as before, only slower.
    assert sample.resistances(1.0, 100.0)[1] == pytest.approx(1 / (2.3e17 * 1.602176634e-19))


def test_paramagnetic_moments_deflect_without_hysteresis() -> None:
    plain = Sample(changed("park2020_deficient"))
    extra = Sample(changed("park2020_deficient", paramagnet_ohm=1.5, paramagnet_T=0.8))
    for field_T in (3.0, 0.4, -0.4, -3.0, 0.4):
        more_ohm = extra.resistances(field_T, 5.0)[1] - plain.resistances(field_T, 5.0)[1]
        assert more_ohm == pytest.approx(1.5 * (1 - 5 / 8) * float(langevin(field_T / 0.8)), rel=1e-9)


# The moment


def test_the_numbers_of_the_geometry_are_those_of_the_paper() -> None:
    sto = load_sample("sto_annealed")
    film = load_sample("park2020_deficient")
    assert film.cells_per_layer == pytest.approx(1.64e14, rel=2e-3)
    assert film.cells_per_layer * BOHR_MAGNETON_J_PER_T / EMU == pytest.approx(1.52e-6, rel=2e-3)
    assert sto.substrate_mass_kg == pytest.approx(64.0e-6, rel=1e-3)
    pure = Moment(sto.model_copy(update={"impurity_spins": 0.0}))
    assert pure.at(0.0, OE, 300.0) / EMU == pytest.approx(-7.04e-9, rel=1e-3)
    assert pure.at(0.0, 1e3 * OE, 300.0) / EMU == pytest.approx(-7.0e-6, rel=1e-2)
    assert pure.at(0.0, 70e3 * OE, 300.0) / EMU == pytest.approx(-4.9e-4, rel=1e-2)


def test_the_films_moments_lie_within_what_is_reported_for_such_interfaces() -> None:
    for name in sample_names():
        settings = load_sample(name)
        per_cell = settings.saturation_A_m2 / settings.cells_per_layer / BOHR_MAGNETON_J_PER_T
        assert settings.saturation_A_m2 <= 2e-5 * EMU
        assert per_cell / max(settings.layers_uc, 1.0) < 1.5
    # Conducting interfaces stay below 1e-5 emu; the oxidised one is the strongest of all.
    assert load_sample("park2020_deficient").saturation_A_m2 < 1e-5 * EMU
    strongest = max(sample_names(), key=lambda name: load_sample(name).saturation_A_m2)
    assert strongest == "park2020_oxidised"


def test_stray_spins_follow_the_brillouin_function() -> None:
    settings = changed("sto_annealed", substrate_susceptibility_A_m2_per_kg_T=0.0, impurity_spins=5e15)
    moment = Moment(settings)
    for field_T in (1e-6, 0.01, 1.0, 7.0, -7.0):
        for kelvin in (2.0, 5.0, 300.0):
            x = 2.0 * BOHR_MAGNETON_J_PER_T * 2.5 * field_T / (BOLTZMANN_J_PER_K * kelvin)
            expected = 5e15 * 5.0 * BOHR_MAGNETON_J_PER_T * float(brillouin(x, 2.5))
            assert moment.at(0.0, field_T, kelvin) == pytest.approx(expected, rel=1e-6)


def test_a_trapped_field_of_25_oersted_opens_a_loop_on_bare_strontium_titanate() -> None:
    sample = Sample(changed("sto_annealed", impurity_spins=0.0))
    half: list[float] = []
    for sign in (1.0, -1.0):
        magnet = Magnet(MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((111.0, 0.05),), trapped_field_T=25 * OE), 0.0)
        magnet.ramp(sign * 10.0, 0.05, 0.0)
        magnet.advance(220.0)
        magnet.ramp(0.0, 0.05, 220.0)
        for k in range(3000):
            magnet.advance(220.0 + 0.1 * k)
        half.append(sample.moment(magnet.field(), 5.0) / EMU)
    # The diamagnet answers to a field against the last one: a normal-looking loop.
    assert half[0] == pytest.approx(1.8e-7, rel=0.03)
    assert half[1] == pytest.approx(-1.8e-7, rel=0.03)


def test_the_annealed_substrate_has_no_memory_and_the_contaminated_one_has_at_room_temperature() -> None:
    loops: dict[str, float] = {}
    for name in ("sto_annealed", "sto_as_received", "sto_fe_contaminated", "park2020_deficient"):
        sample = Sample(load_sample(name))
        at_zero = []
        for sign in (1.0, -1.0):
            sample.moment(sign * 2.0, 300.0)
            at_zero.append(sample.moment(0.0, 300.0))
        loops[name] = at_zero[0] - at_zero[1]
    assert loops["sto_annealed"] == loops["sto_as_received"] == 0.0
    assert loops["sto_fe_contaminated"] > 1e-6 * EMU
    assert loops["park2020_deficient"] > 1e-5 * EMU


def test_the_surface_moment_as_received_saturates_near_a_fifth_of_a_tesla_at_any_temperature() -> None:
    as_received = Moment(changed("sto_as_received", impurity_spins=0.0))
    annealed = Moment(changed("sto_annealed", impurity_spins=0.0))
    for kelvin in (5.0, 300.0):
        surface = [as_received.at(0.0, b, kelvin) - annealed.at(0.0, b, kelvin) for b in (0.2, 1.0)]
        assert surface[0] > 0.95 * surface[1]
        # 10 Bohr magnetons per square nanometre of one face.
        assert surface[1] / BOHR_MAGNETON_J_PER_T / 25e12 == pytest.approx(10.0, rel=0.02)


def test_field_cooled_stays_above_zero_field_cooled_and_neither_depends_on_temperature() -> None:
    film = changed("park2020_deficient", substrate_susceptibility_A_m2_per_kg_T=0.0, impurity_spins=0.0)
    cooled_in_T = {"FC": 4.0, "ZFC": 0.0}
    measured: dict[str, list[float]] = {}
    for name, field_T in cooled_in_T.items():
        sample = Sample(film)
        sample.relays.cool_in(field_T)
        sample.moment(field_T, 5.0)
        # Both are measured on warming in 1 kOe.
        measured[name] = [sample.moment(0.1, float(kelvin)) for kelvin in (5, 50, 100, 200, 300)]
    fc, zfc = np.array(measured["FC"]), np.array(measured["ZFC"])
    assert fc[0] - zfc[0] > 2e-3 * fc[0]
    assert fc == pytest.approx(film.saturation_A_m2, rel=0.01)
    assert zfc == pytest.approx(zfc[0], rel=0.01)


def test_the_remanence_of_a_cooling_field_depends_on_the_field_as_the_paper_needs() -> None:
    film = changed("park2020_deficient", substrate_susceptibility_A_m2_per_kg_T=0.0, impurity_spins=0.0)
    at_zero: list[float] = []
    for field_T in (4.0, 0.0):
        sample = Sample(film)
        sample.relays.cool_in(field_T)
        at_zero.append(sample.moment(0.0, 5.0) / film.saturation_A_m2)
    assert at_zero[0] > 0.95
    assert at_zero[1] == pytest.approx(0.0, abs=1e-9)


def test_the_film_is_weaker_and_softer_in_its_plane() -> None:
    film = changed("park2020_deficient", substrate_susceptibility_A_m2_per_kg_T=0.0, impurity_spins=0.0)
    crossings: dict[str, float] = {}
    for axis in ("[001]", "[100]", "[110]"):
        sample = Sample(film)
        sample.mount(axis)
        assert sample.moment(2.0, 5.0) == pytest.approx(film.saturation_A_m2 * film.moment_fraction(axis))
        sample.moment(-2.0, 5.0)
        crossings[axis] = next(b for b in np.arange(0.0, 0.1, 1e-4) if sample.moment(float(b), 5.0) >= 0)
    assert crossings["[001]"] == pytest.approx(0.047, abs=2e-4)
    assert crossings["[100]"] == pytest.approx(0.047 * 0.7, abs=2e-4)


# The library


@pytest.mark.parametrize("name", sample_names())
def test_every_sample_of_the_library_is_one_and_crosses_zero_where_it_says(name: str) -> None:
    settings = load_sample(name)
    sample = Sample(settings)
    assert all(math.isfinite(value) for value in (*sample.resistances(0.1, 5.0), sample.moment(0.1, 5.0)))
    assert crossing(Sample(settings).relays, 1.0) == pytest.approx(settings.coercive_T, abs=1e-4)


@pytest.mark.parametrize("file", sorted(LIBRARY.glob("*.toml")), ids=lambda file: file.stem)
def test_every_number_of_the_library_says_where_it_comes_from(file: Path) -> None:
    for line in file.read_text(encoding="utf-8").splitlines():
        key, equals, rest = line.partition("=")
        if equals and not line.startswith("#") and re.match(r"\s*[-\d]", rest):
            assert re.search(r"\[S\]|\(v\)|\(a\)", rest), line
            assert hasattr(load_sample("park2020_deficient"), key.strip())


def test_the_moment_rises_with_thickness_to_nine_cells_and_levels_off_at_twelve() -> None:
    m = [load_sample(f"lao_sto_{n:02d}uc").saturation_A_m2 for n in (2, 4, 6, 9, 12, 20, 30)]
    assert (np.diff(m[:4]) > 0.2 * m[3]).all()
    assert m[4:] == pytest.approx([m[4]] * 3, rel=0.05)
    assert load_sample("lao_sto_09uc").saturation_A_m2 == load_sample("lao_sto_0p7_J_cm2").saturation_A_m2


def test_with_the_fluence_the_carriers_grow_and_the_moment_and_the_anomaly_shrink() -> None:
    series = [load_sample(f"lao_sto_{f}_J_cm2") for f in ("0p6", "0p7", "0p8", "1p0", "1p2", "1p6", "2p0")]
    assert [s.fluence_J_per_m2 for s in series] == sorted(s.fluence_J_per_m2 or 0.0 for s in series)
    carriers = [s.density_low_mobility_per_m2 + s.density_high_mobility_per_m2 for s in series]
    assert (np.diff(carriers) > 0).all()
    assert carriers[0] == pytest.approx(2.3e17)
    assert (np.diff([s.saturation_A_m2 for s in series]) < 0).all()
    assert (np.diff([s.ahe_amplitude_ohm for s in series]) < 0).all()
    assert load_sample("park2020_rich").density_low_mobility_per_m2 == pytest.approx(4.8e17)
    sto = [load_sample(f"sto_sto_{f}_J_cm2").saturation_A_m2 for f in ("0p6", "1p8")]
    assert sto[0] > sto[1] > 0


def test_homoepitaxy_keeps_a_fifth_of_the_moment() -> None:
    ratio = load_sample("lao_lao_9uc").saturation_A_m2 / load_sample("park2020_deficient").saturation_A_m2
    assert ratio == pytest.approx(0.21, abs=0.005)


def test_a_sample_of_ones_own_gives_only_what_differs(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('like = "park2020_rich"\nname = "mine"\ncoercive_T = 0.03\n')
    (tmp_path / "yours.toml").write_text('like = "mine.toml"\nname = "yours"\n')
    yours = load_sample(str(tmp_path / "yours.toml"))
    assert (yours.name, yours.coercive_T, yours.ahe_onset_K) == ("yours", 0.03, 3.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('like = "own.toml"', "circle"),
        ('like = "nowhere"', "nowhere"),
        ("like = 3", "not a sample's name"),
        ('like = "park2020_rich"\ncoercive_mT = 47', "coercive_mT"),
        ('like = "park2020_rich"\nbranch = "square"', "branch"),
        ('like = "park2020_rich"\ncoercive_T = nan', "coercive_T"),
    ],
)
def test_what_is_no_sample_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_sample(str(own))


def test_resistance_and_moment_of_a_turned_sample_ask_the_same_relays_for_the_same_field():
    sample = Sample(load_sample("park2020_deficient"))
    sample.mount("[100]")
    for field_T in (1.0, -0.03):
        sample.moment(field_T, 5.0)
    before = sample.memory
    sample.resistances(-0.03, 5.0)
    assert (sample.memory.field_T, sample.memory.rising) == (before.field_T, before.rising)
