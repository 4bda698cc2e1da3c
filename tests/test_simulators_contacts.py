"""The corner contacts of a square sample and the wires on them, against van der Pauw's theorem and Ohm's law."""

import math
from itertools import permutations

import pytest
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError
from remanence.simulators.circuit import Circuit, Leads, Source, parse_wiring
from remanence.simulators.contacts import (
    CONTACTS,
    Contacts,
    ContactSettings,
    pair_resistances,
    rectangle_series,
)
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.noise import NormalStream
from remanence.simulators.sample import load_sample
from remanence.simulators.world import World, WorldSettings
from scipy.optimize import brentq

MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))
QUIET = {"thermal_V": 0.0, "drift_V_per_h": 0.0, "walk_V_per_root_h": 0.0}


class Film:
    """Contacts on a film whose resistances the test chooses."""

    def __init__(self, r_xx: float = 700.0, r_xy: float = 0.0, misalignment: float = 0.0, **settings: object) -> None:
        self.r_xx, self.r_xy, self.now_s = r_xx, r_xy, 0.0
        chosen = ContactSettings(**(QUIET | settings))  # pyright: ignore[reportArgumentType]
        self.contacts = Contacts(
            chosen, misalignment, lambda: (self.r_xx, self.r_xy), lambda: self.now_s, lambda name: NormalStream(1, name)
        )
        self.circuit = Circuit(self.contacts)

    def drive(self, wiring: str, level: float, *, volts: bool = False, limit: float = 10.0) -> Source:
        source = self.circuit.source(wiring, "source")
        source.on, source.level, source.volts, source.limit = True, level, volts, limit
        return source


def solved(r_a: float, r_b: float) -> float:
    """The sheet resistance that van der Pauw's equation gives for two readings."""
    largest = math.pi * (r_a + r_b) / (2 * math.log(2))
    return brentq(
        lambda r: math.exp(-math.pi * r_a / r) + math.exp(-math.pi * r_b / r) - 1,
        largest / 50,
        largest * 1.01,
        xtol=1e-13,
    )


# The theorem


@pytest.mark.parametrize("misalignment", [0.0, 0.03, -0.05])
@pytest.mark.parametrize("anisotropy", [0.5, 1.0, 1.1, 2.0, 4.0])
def test_van_der_pauws_equation_gives_back_the_mean_sheet_resistance(anisotropy: float, misalignment: float) -> None:
    contacts = Film(694.0, 3.0, misalignment, anisotropy=anisotropy).contacts
    r_a, r_b = contacts.resistance(1, 2, 3, 4), contacts.resistance(2, 3, 4, 1)
    assert solved(r_a, r_b) == pytest.approx(694.0, rel=1e-9)


@pytest.mark.parametrize("anisotropy", [0.25, 1.0, 1.5, 4.0])
def test_the_series_of_the_rectangle_obeys_the_theorem_by_itself(anisotropy: float) -> None:
    a, b = rectangle_series(anisotropy), rectangle_series(1 / anisotropy)
    assert math.exp(-math.pi * a) + math.exp(-math.pi * b) == pytest.approx(1.0, abs=1e-13)
    assert pair_resistances(700.0, anisotropy) == pytest.approx((700.0 * a, 700.0 * b), rel=1e-9)


@pytest.mark.parametrize(("anisotropy", "ratio"), [(1.1, 1.35), (1.5, 3.63), (2.0, 9.37), (4.0, 118.0)])
def test_a_small_anisotropy_makes_a_large_ratio(anisotropy: float, ratio: float) -> None:
    r_a, r_b = pair_resistances(1.0, anisotropy)
    assert r_a / r_b == pytest.approx(ratio, rel=5e-3)
    assert pair_resistances(1.0, 1.0) == pytest.approx((math.log(2) / math.pi,) * 2, rel=1e-12)


@pytest.mark.parametrize(("ij", "kl"), [(p[:2], p[2:]) for p in permutations(CONTACTS)])
def test_reciprocity_in_the_reversed_field_is_exact(ij: tuple[int, int], kl: tuple[int, int]) -> None:
    there, back = Film(694.3, 5.17, 0.02, anisotropy=1.3), Film(694.3, -5.17, 0.02, anisotropy=1.3)
    assert there.contacts.resistance(*ij, *kl) == back.contacts.resistance(*kl, *ij)


def test_the_hall_resistance_comes_from_exchanging_current_and_voltage_at_one_field() -> None:
    contacts = Film(694.0, 5.2, 0.03, anisotropy=1.2).contacts
    straight, exchanged = contacts.resistance(1, 3, 2, 4), contacts.resistance(2, 4, 1, 3)
    assert (straight - exchanged) / 2 == pytest.approx(5.2, rel=1e-12)
    # What is left is even in the field: the misalignment's part and the anisotropy's.
    assert (straight + exchanged) / 2 == pytest.approx(
        contacts.resistance(1, 2, 3, 4) - contacts.resistance(2, 3, 4, 1)
    )
    isotropic = Film(694.0, 5.2, 0.03).contacts
    assert isotropic.resistance(1, 3, 2, 4) == pytest.approx(5.2 + 0.03 * 694.0, rel=1e-12)


def test_the_hall_effect_is_not_in_the_readings_along_the_edges() -> None:
    for ij, kl in (((1, 2), (3, 4)), ((2, 3), (4, 1)), ((3, 4), (1, 2)), ((4, 1), (2, 3))):
        assert Film(694.0, 5.0).contacts.resistance(*ij, *kl) == pytest.approx(
            Film(694.0).contacts.resistance(*ij, *kl), rel=1e-12
        )


def test_the_world_gives_its_contacts_the_present_sample() -> None:
    clock = VirtualClock()
    world = World(
        WorldSettings(MAGNET, CryostatSettings(start_K=5.0, cold_K=5.0), load_sample("park2020_deficient")), clock, 1
    )
    at_zero = world.contacts.resistance(1, 3, 2, 4)
    world.magnet.ramp(20.0, 0.04, 0.0)
    clock.sleep(600.0)
    world.advance()
    r_xx, r_xy = world.sample.resistances(world.magnet.field(), world.cryostat.sample_K)
    assert world.contacts.resistance(1, 3, 2, 4) == pytest.approx(r_xy, rel=1e-9)
    assert abs(r_xy - at_zero) > 50.0
    assert solved(world.contacts.resistance(1, 2, 3, 4), world.contacts.resistance(2, 3, 4, 1)) == pytest.approx(
        r_xx, rel=1e-9
    )


def test_reciprocity_holds_through_the_samples_hysteresis() -> None:
    worlds: list[World] = []
    for sign in (1.0, -1.0):
        clock = VirtualClock()
        world = World(
            WorldSettings(MAGNET, CryostatSettings(start_K=2.0, cold_K=2.0), load_sample("park2020_deficient")),
            clock,
            1,
        )
        # Up past saturation and back into the loop, and the same with everything reversed.
        for target_A in (4.0, -0.3):
            world.magnet.ramp(sign * target_A, 0.04, clock.now())
            clock.sleep(150.0)
            world.advance()
        worlds.append(world)
    there, back = worlds[0].contacts, worlds[1].contacts
    assert worlds[0].magnet.field() == pytest.approx(-worlds[1].magnet.field(), rel=1e-9)
    # The remanence: far more than the ordinary Hall effect of this small field.
    assert abs(there.resistance(1, 3, 2, 4) - back.resistance(1, 3, 2, 4)) > 0.1
    for ij, kl in (((1, 3), (2, 4)), ((1, 2), (3, 4)), ((2, 3), (4, 1))):
        assert there.resistance(*ij, *kl) == pytest.approx(back.resistance(*kl, *ij), rel=1e-9)


# The contacts


def test_thermal_emf_is_between_pads_and_drifts_with_time() -> None:
    film = Film(thermal_V=1e-6, drift_V_per_h=50e-9, walk_V_per_root_h=0.0)
    before = [film.contacts.emf_V(k) for k in CONTACTS]
    assert 0 < max(map(abs, before)) <= 1e-6
    film.now_s = 3600.0
    once = [film.contacts.emf_V(k) - emf for k, emf in zip(CONTACTS, before, strict=True)]
    film.now_s = 7200.0
    twice = [film.contacts.emf_V(k) - emf for k, emf in zip(CONTACTS, before, strict=True)]
    assert twice == pytest.approx([2 * v for v in once])
    assert film.circuit.voltage(Leads(4, 3)) == pytest.approx(film.contacts.emf_V(4) - film.contacts.emf_V(3))


def test_a_contact_is_bad_for_good_or_off_and_on_or_not_at_all() -> None:
    film = Film(bad_contact=2, gap_ohm=1e5)
    assert film.contacts.pad_ohm(2) == pytest.approx(100205.0)
    film.contacts.mend(2)
    assert film.contacts.pad_ohm(2) == 205.0
    film.contacts.damage(3, 1e6, bad_for_s=2.0, good_for_s=8.0)
    bad = 0
    for second in range(20000):
        film.now_s = float(second)
        bad += film.contacts.pad_ohm(3) > 1e5
    assert bad / 20000 == pytest.approx(0.2, abs=0.03)
    with pytest.raises(ConfigError, match="no contact 5"):
        film.contacts.damage(5, 1.0)


def test_a_contact_wears_each_time_a_source_is_driven_into_its_limit_there() -> None:
    film = Film(bad_contact=2, gap_ohm=1e5, wear=3.0)
    source = film.drive("1-2", 1e-3)
    for expected in (1e5, 3e5):
        assert film.contacts.pad_ohm(2) == pytest.approx(expected + 205.0)
        source.level = 1e-3
        film.circuit.solve()
        film.circuit.solve()  # staying in compliance does it no more harm
        assert film.contacts.pad_ohm(2) == pytest.approx(3 * expected + 205.0)
        source.level = 0.0
        film.circuit.solve()
    assert film.contacts.pad_ohm(1) == 180.0


def test_whoever_drives_current_hears_of_a_contact_that_breaks() -> None:
    film = Film()
    heard: list[int] = []
    film.circuit.listen(lambda: heard.append(1))
    film.contacts.damage(1, math.inf)
    film.contacts.mend(1)
    assert heard == [1, 1]


# The wires


def test_a_wiring_says_contacts_or_rows() -> None:
    assert parse_wiring("1-2 r3-r4", "x") == [Leads(1, 2), Leads(3, 4, True, True)]
    for wrong in ("1", "1,2", "xx", "1-5", "r1-"):
        with pytest.raises(ConfigError, match="wired"):
            parse_wiring(wrong, "x")


def test_four_wires_leave_the_contact_resistances_out_and_two_do_not() -> None:
    film = Film(694.0)
    film.drive("1-2", 1e-6)
    r_a = film.contacts.resistance(1, 2, 3, 4)
    assert film.circuit.voltage(Leads(4, 3)) == pytest.approx(1e-6 * r_a, rel=1e-12)
    alone = film.contacts.resistance(1, 2, 2, 1)
    assert film.circuit.voltage(Leads(1, 2)) == pytest.approx(1e-6 * (alone + 180.0 + 205.0), rel=1e-12)
    assert alone == pytest.approx(r_a + 2 * 694.0)


def test_a_current_source_stops_at_its_compliance() -> None:
    film = Film(694.0)
    source = film.drive("1-2", 10e-3, limit=5.0)
    film.circuit.solve()
    assert source.limited
    assert source.voltage_V == pytest.approx(5.0, rel=1e-12)
    assert source.current_A == pytest.approx(5.0 / film.circuit.loop_ohm(source), rel=1e-12)
    source.level = -1e-3
    film.circuit.solve()
    assert (source.limited, source.current_A) == (False, pytest.approx(-1e-3))


def test_a_voltage_source_stops_at_its_current_limit() -> None:
    film = Film(694.0)
    source = film.drive("1-3", 1.0, volts=True, limit=1e-4)
    film.circuit.solve()
    assert (source.limited, source.current_A) == (True, pytest.approx(1e-4))
    source.level = -0.1
    film.circuit.solve()
    assert (source.limited, source.voltage_V) == (False, pytest.approx(-0.1))
    assert source.current_A == pytest.approx(-0.1 / film.circuit.loop_ohm(source))


def test_two_sources_add_up() -> None:
    film = Film(694.0, 4.0)
    first, second = film.drive("1-2", 1e-6), film.drive("1-3", 2e-6)
    expected = 1e-6 * film.contacts.resistance(1, 2, 2, 4) + 2e-6 * film.contacts.resistance(1, 3, 2, 4)
    # Pad 2 carries the first source's current, so its own resistance is in the reading too.
    assert film.circuit.voltage(Leads(4, 2)) == pytest.approx(expected + 1e-6 * 205.0, rel=1e-12)
    assert (first.limited, second.limited) == (False, False)


def test_a_bad_contact_drives_the_source_into_compliance_and_an_open_one_stops_the_current() -> None:
    film = Film(694.0)
    source = film.drive("1-2", 1e-4)
    film.contacts.damage(2, 1e6)
    film.circuit.solve()
    assert (source.limited, source.voltage_V) == (True, pytest.approx(10.0))
    assert source.current_A == pytest.approx(1e-5, rel=0.01)
    film.contacts.damage(2, math.inf)
    film.circuit.solve()
    assert (source.limited, source.voltage_V, source.current_A) == (True, 10.0, 0.0)
    assert film.circuit.voltage(Leads(3, 2)) is None


def test_the_matrix_joins_rows_to_contacts_and_is_open_at_first() -> None:
    film = Film(694.0)
    changes: list[int] = []
    film.circuit.listen(lambda: changes.append(1))
    source = film.drive("", 1e-6)
    assert film.circuit.voltage(None) == pytest.approx(1e-6 * film.contacts.resistance(1, 2, 3, 4))
    film.circuit.insert_matrix()
    film.circuit.solve()
    assert (source.limited, source.current_A, film.circuit.voltage(None)) == (True, 0.0, None)
    film.circuit.connect([(1, 1), (2, 3), (3, 4), (4, 2), (4, 9)])
    assert changes == [1, 1]  # putting it in is a change too
    assert film.circuit.voltage(None) == pytest.approx(1e-6 * film.contacts.resistance(1, 3, 2, 4), abs=1e-15)
    film.circuit.connect([(1, 1), (2, 3), (3, 2)])
    assert film.circuit.voltage(None) is None


def test_a_row_on_two_contacts_joins_them() -> None:
    film = Film(694.0)
    film.circuit.insert_matrix()
    source = film.drive("", 1e-6)
    film.circuit.connect([(1, 1), (1, 4), (2, 2), (2, 3), (3, 1), (4, 2)])
    joined = film.circuit.loop_ohm(source)
    film.circuit.connect([(1, 1), (2, 2)])
    assert joined < film.circuit.loop_ohm(source)
    # From edge to edge by symmetry: both pads of an edge carry half, so only the pattern along x is left.
    even = Film(694.0, resistance_ohm=(0.0,) * 4)
    even.circuit.insert_matrix()
    edge = even.drive("", 1e-6)
    even.circuit.connect([(1, 1), (1, 4), (2, 2), (2, 3)])
    r_a = even.contacts.resistance(1, 2, 3, 4)
    assert even.circuit.loop_ohm(edge) == pytest.approx(r_a + 694.0, rel=1e-12)


def test_a_source_shorted_by_the_matrix_drives_nothing_through_the_sample() -> None:
    film = Film(694.0)
    film.circuit.insert_matrix()
    source = film.drive("", 1e-3, volts=True, limit=0.1)
    film.circuit.connect([(1, 1), (2, 1), (3, 4), (4, 3)])
    assert film.circuit.voltage(None) == 0.0
    assert (source.limited, source.current_A, source.voltage_V) == (True, 0.1, 0.0)
