"""The laboratory's physics against what is known of it: filter, noise, hysteresis, magnet, cryostat."""

import math
from itertools import pairwise

import numpy as np
import pytest
from remanence.analysis.models import two_band_resistivity
from remanence.core.clock import VirtualClock
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.demodulator import Cascade
from remanence.simulators.hysteresis import RelayEnsemble, RelaySettings
from remanence.simulators.magnet import Magnet, MagnetSettings
from remanence.simulators.noise import NormalStream
from remanence.simulators.sample import Sample, SampleSettings, load_sample
from remanence.simulators.srs import SR830
from remanence.simulators.world import World, WorldSettings
from scipy.stats import gamma

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))
RELAYS = RelaySettings(coercive_T=0.047, spread_T=0.017, interaction_T=0.009)
# Equivalent noise bandwidth of n poles, in units of 1/τ.
BANDWIDTHS = {1: 1 / 4, 2: 1 / 8, 3: 3 / 32, 4: 5 / 64}


def world_of(noise: bool, clock: VirtualClock, seed: int = 1) -> World:
    """A laboratory at rest, with or without noise: cold block, no drift, no pick-up."""
    sample = load_sample("park2020_deficient")
    quiet = {"drift_V_per_sqrt_s": 0.0, "pickup_V": 0.0} | ({} if noise else {"noise_V_per_sqrtHz": 0.0})
    sample = SampleSettings.model_validate(sample.model_dump() | quiet)
    cryostat = CryostatSettings(start_K=1.6, cold_K=1.6)
    return World(WorldSettings(MAGNET, cryostat, sample, 6e-9 if noise else 0.0), clock, seed)


@pytest.mark.parametrize("poles", [1, 2, 3, 4])
def test_the_answer_to_a_step_is_the_gamma_distribution(poles: int) -> None:
    clock = VirtualClock()
    world = world_of(False, clock)
    tap = world.tap("xx", "probe")
    tap.reconfigure(0.3, poles)
    world.advance()
    world.excitation.rms_A, world.excitation.on = 1e-6, True
    final_V = world.voltage("xx")
    for pause_s in (0.013, 0.2, 0.05, 0.7, 0.3, 1.1):
        clock.sleep(pause_s)
        world.advance()
        expected = gamma.cdf(clock.now() / 0.3, poles)
        assert tap.x.output / final_V == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("poles", [1, 2, 3, 4])
@pytest.mark.parametrize("step", [0.01, 0.37, 5.0])
def test_a_ramp_comes_out_late_by_poles_times_the_time_constant(poles: int, step: float) -> None:
    tau, slope = 0.3, 2e-3
    cascade = Cascade(tau, poles)
    now = 0.0
    while now < 60 * tau:
        cascade.advance(step * tau, slope * now, slope * (now + step * tau), 0.0, [])
        now += step * tau
    assert (now - cascade.output / slope) / tau == pytest.approx(poles, abs=1e-3)


@pytest.mark.parametrize("cadence", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("poles", [1, 4])
def test_noise_is_the_density_times_the_root_of_the_bandwidth_however_often_one_looks(
    poles: int, cadence: float
) -> None:
    tau, density = 0.1, 30e-9
    cascade, stream = Cascade(tau, poles), NormalStream(5, f"{poles} {cadence}")
    # As many time constants as give about 600 independent values at each cadence.
    count = round(6000 / min(cadence, 6.0))
    outputs: list[float] = []
    for _ in range(count):
        cascade.advance(cadence * tau, 0.0, 0.0, density, [stream.next() for _ in range(poles)])
        outputs.append(cascade.output)
    expected = density * math.sqrt(BANDWIDTHS[poles] / tau)
    assert np.sqrt(np.mean(np.square(outputs[100:]))) == pytest.approx(expected, rel=0.1)


def test_a_lock_in_shows_the_noise_of_sample_and_amplifier() -> None:
    clock = VirtualClock()
    world = world_of(True, clock)
    panel = SR830(world, "lockin", "xy")
    panel.receive(b"OFLT 6;OFSL 3;SENS 20")
    values: list[complex] = []
    for _ in range(1000):
        clock.sleep(0.2)
        x, y = panel.receive(b"SNAP?1,2").split(b",")
        values.append(complex(float(x), float(y)))
    expected = math.hypot(30e-9, 6e-9) * math.sqrt(5 / (64 * 0.01))
    assert np.std(np.real(values)) == pytest.approx(expected, rel=0.08)
    assert np.std(np.imag(values)) == pytest.approx(expected, rel=0.08)


def test_minor_loops_close_bit_for_bit() -> None:
    relays = RelayEnsemble(RELAYS)
    for field_T in (0.3, -0.03):
        relays.magnetise(field_T)
    before, m_before = relays.states, relays.magnetise(-0.03)
    for field_T in (0.02, -0.01, 0.005, -0.01, 0.02, -0.03):
        relays.magnetise(field_T)
    assert relays.states == before
    assert relays.magnetise(-0.03) == pytest.approx(m_before, abs=1e-12)


def test_the_way_does_not_matter_within_a_monotone_piece() -> None:
    at_once, slowly = RelayEnsemble(RELAYS), RelayEnsemble(RELAYS)
    for relays, steps in ((at_once, 1), (slowly, 77)):
        for start_T, stop_T in ((0.0, 0.3), (0.3, -0.05), (-0.05, 0.04)):
            for field_T in np.linspace(start_T, stop_T, steps + 1)[1:]:
                relays.magnetise(float(field_T))
    assert at_once.states == slowly.states


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_major_loop_crosses_zero_at_the_coercive_field(sign: float) -> None:
    relays = RelayEnsemble(RELAYS)
    assert relays.magnetise(-sign * 1.0) == -sign
    fields = sign * np.linspace(-0.1, 0.15, 5001)
    m = sign * np.array([relays.magnetise(float(field_T)) for field_T in fields])
    crossing = float(np.interp(0.0, m, sign * fields))
    assert crossing == pytest.approx(RELAYS.coercive_T, abs=1e-4)
    assert relays.magnetise(sign * 1.0) == sign


def test_it_starts_demagnetised() -> None:
    assert RelayEnsemble(RELAYS).magnetise(0.0) == pytest.approx(0.0, abs=1e-9)


def ramped(magnet: Magnet, target_A: float, rate_A_per_s: float, seconds: float) -> float:
    magnet.ramp(target_A, rate_A_per_s, 0.0)
    for k in range(1, round(seconds * 10) + 1):
        magnet.advance(0.1 * k)
    return seconds


def test_the_field_lags_the_leads_by_inductance_over_switch_resistance() -> None:
    magnet = Magnet(MAGNET, 0.0)
    now = ramped(magnet, 50.0, 0.04, 60.0)
    behind_A = magnet.lead_current(now) - magnet.coil_current()
    assert behind_A / 0.04 == pytest.approx(60.0 / 50.0, rel=1e-6)


def test_a_ramp_faster_than_the_magnet_stands_is_a_quench() -> None:
    magnet = Magnet(MAGNET, 0.0)
    ramped(magnet, 30.0, 0.044 * 1.2, 60.0)
    assert not magnet.quenched
    assert magnet.lead_voltage(60.0) <= 3.5
    # With a supply whose voltage limit would let it: the coil does not.
    strong = Magnet(MagnetSettings(0.135, 60.0, 50.0, 50.0, 0.004, MAGNET.segments), 0.0)
    ramped(strong, 30.0, 0.044 * 1.6, 60.0)
    assert strong.quenched
    strong.advance(100.0)
    assert abs(strong.coil_current()) < 1e-3


def test_the_voltage_limit_slows_a_ramp_that_asks_for_more() -> None:
    magnet = Magnet(MAGNET, 0.0)
    magnet.ramp(50.0, 1.0, 0.0)
    assert magnet.lead_current(100.0) == pytest.approx(100.0 * 3.5 / 60.0)


def test_flux_is_trapped_against_the_last_large_field() -> None:
    settings = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((111.0, 0.05),), trapped_field_T=5e-3)
    for sign in (1.0, -1.0):
        magnet = Magnet(settings, 0.0)
        now = ramped(magnet, sign * 10.0, 0.05, 220.0)
        magnet.ramp(0.0, 0.05, now)
        for k in range(1, 3000):
            magnet.advance(now + 0.1 * k)
        assert magnet.field() == pytest.approx(-sign * 5e-3, rel=1e-3)


def test_two_worlds_with_one_seed_are_one_world() -> None:
    readings: list[list[bytes]] = []
    for seed in (7, 7, 8):
        clock = VirtualClock()
        world = world_of(True, clock, seed)
        panel = SR830(world, "lockin", "xx")
        readings.append([])
        for _ in range(20):
            clock.sleep(0.1)
            readings[-1].append(panel.receive(b"SNAP?1,2"))
    assert readings[0] == readings[1]
    assert readings[0] != readings[2]


def test_the_samples_bands_are_the_published_formula_at_every_field():
    settings = load_sample("park2020_deficient").model_copy(
        update={"ahe_amplitude_ohm": 0.0, "contact_misalignment": 0.0, "localisation_fraction": 0.0}
    )
    # Cold enough for phonons and the mixing of the bands not to matter.
    sample = Sample(settings)
    for field_T in (-15.0, -7.0, -0.1, 0.0, 0.1, 1.0, 15.0):
        r_xx, r_xy = two_band_resistivity(field_T, (1.8e17, 0.5e17), (0.025, 0.09))
        assert sample.resistances(field_T, 0.05) == pytest.approx((float(r_xx), float(r_xy)), rel=1e-6)


@pytest.mark.parametrize("pause_s", [0.0, 1.0])
def test_what_an_order_begins_in_a_laboratory_at_rest_is_heard_at_once(pause_s: float) -> None:
    shown_V: list[list[float]] = []
    # The same ramp twice: looked at all the time, and not before its end.
    for looks in (6, 1):
        clock = VirtualClock()
        world = world_of(False, clock)
        panel = SR830(world, "lockin", "xy")
        panel.receive(b"OFLT 0;FMOD 0")
        world.excitation.rms_A, world.excitation.on, world.excitation.marker = 1e-6, True, True
        clock.sleep(100.0)
        before_V = float(panel.receive(b"OUTP?1"))
        clock.sleep(pause_s)
        world.advance()
        world.magnet.ramp(-30.0, 0.04, clock.now())
        for _ in range(looks):
            clock.sleep(3.0 / looks)
            after_V = float(panel.receive(b"OUTP?1"))
        shown_V.append([before_V, after_V])
    looked_at, alone = shown_V
    assert looked_at == pytest.approx(alone, rel=1e-4)
    assert alone[1] != pytest.approx(alone[0], rel=1e-2)


@pytest.mark.parametrize("poles", [1, 2, 3, 4])
@pytest.mark.parametrize("tau", [0.1, 3e4])
def test_a_line_cut_into_pieces_comes_out_as_the_line(poles: int, tau: float) -> None:
    whole, cut = Cascade(tau, poles, 1.0), Cascade(tau, poles, 1.0)
    whole.advance(1.0, 2.0, 5.0, 0.0, [])
    # Of lengths that all differ, as on a clock that nobody keeps in step.
    corners = np.concatenate(([0.0], np.cumsum(np.linspace(0.5, 1.5, 1000)))) / 1000.0
    for start, stop in pairwise(corners.tolist()):
        cut.advance(stop - start, 2.0 + 3.0 * start, 2.0 + 3.0 * stop, 0.0, [])
    assert cut.output == pytest.approx(whole.output, rel=1e-5)
