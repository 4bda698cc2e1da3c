"""The drivers of the IPS120-10 and PS120-10 against their front panels: what they read, order, refuse and notice."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from remanence.core.capabilities import Activity, Heater, MagnetPowerSupply, SupplyReading
from remanence.core.errors import CommunicationError, ConfigError, DeviceFault, LimitError, RemanenceError, ReplyError
from remanence.instruments import oxford_ips120 as drivers
from remanence.simulators import oxford_ips120 as panels

from .oxford_bench import COIL, TRANSPORTS, Make, OxfordBench


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def build(transport: str = "in process", model: str = "IPS120", **options: Any) -> OxfordBench:
            return OxfordBench(transport, stack, getattr(panels, model), getattr(drivers, model), **options)

        yield build


def opened(bench: OxfordBench) -> OxfordBench:
    """Opened, and taken out of the clamp by somebody at its front."""
    bench.driver.check_identity()
    bench.front("A0")
    bench.said.clear()
    return bench


@pytest.fixture
def ips(make: Make) -> OxfordBench:
    return opened(make())


@pytest.fixture
def ps(make: Make) -> OxfordBench:
    return opened(make(model="PS120"))


def persistent(bench: OxfordBench, current_A: float) -> None:
    """A current in the coil, none in the leads."""
    bench.move(current_A, 0.04)
    bench.driver.hold()
    bench.driver.set_heater(False)
    bench.wait(20.0)
    bench.move(0.0, 0.04)
    bench.driver.hold()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("model", ["IPS120", "PS120"])
def test_a_move_ends_where_it_was_told_in_either_sign_and_every_look_is_true(
    make: Make, transport: str, model: str
) -> None:
    bench = opened(make(transport, model))
    driver = bench.driver
    assert isinstance(driver, MagnetPowerSupply)
    assert driver.reverses_through_zero == (model == "PS120")
    for target_A in (3.0, 0.0, -2.0):
        bench.move(target_A, 0.04)
        reading = driver.watch()
        assert reading.activity is Activity.HOLDING
        assert reading.output_A == pytest.approx(target_A, abs=driver.current_step_A)
        assert reading.set_point_A == pytest.approx(target_A, abs=driver.current_step_A)
        assert reading.rate_A_per_s == pytest.approx(0.04)
        assert (reading.heater, reading.remote) == (Heater.ON, True)
        assert bench.coil_A == pytest.approx(target_A, abs=1e-3)
        assert bench.clock.now() - 0.2 < reading.time_s < bench.clock.now()


def test_a_ramp_is_seen_under_way_with_the_current_of_its_instant(ips: OxfordBench) -> None:
    driver = ips.driver
    driver.set_rate(0.04)
    driver.set_target(-5.0)
    driver.go()
    start_s = ips.clock.now()
    for _ in range(5):
        ips.wait(10.0)
        reading = driver.watch()
        assert reading.activity is Activity.RAMPING
        assert reading.output_A == pytest.approx(-0.04 * (reading.time_s - start_s), abs=3e-3)


def test_a_look_costs_five_queries_and_ends_with_the_status(ips: OxfordBench) -> None:
    ips.driver.watch()
    ips.said.clear()
    ips.driver.watch()
    assert ips.said == ["R0", "R5", "R6", "R1", "X"]


def test_opening_takes_the_control_and_the_resolution_and_moves_nothing(make: Make) -> None:
    bench = make()
    assert bench.driver.check_identity() == "IPS120-10  Version 3.07  (c) OXFORD 1996"
    assert bench.said[:4] == ["Q4", "V", "X", "C3"]
    assert {line[0] for line in bench.said} == set("QVXCR")
    reading = bench.driver.inspect()
    assert (reading.activity, reading.remote, reading.output_A) == (Activity.CLAMPED, True, 0.0)
    assert (bench.driver.current_step_A, bench.driver.rate_step_A_per_s) == (1e-4, pytest.approx(1e-3 / 60))


def test_fast_sweeps_are_left_for_slow_ones_of_the_same_unit_when_it_opens_and_refused_later(make: Make) -> None:
    bench = make()
    bench.front("C3", "M1", "A0")
    bench.driver.check_identity()
    assert "M5" in bench.said
    before = bench.driver.inspect().fingerprint
    bench.driver.set_heater(False)
    bench.driver.set_target(1.0)
    bench.front("M0")
    assert bench.driver.inspect().fingerprint != before
    bench.said.clear()
    with pytest.raises(DeviceFault, match="fast sweeps"):
        bench.driver.go()
    assert bench.said == ["X"]


def test_somebody_who_took_it_to_local_after_the_opening_keeps_it(ips: OxfordBench) -> None:
    ips.panel.turn("control", "local")
    ips.driver.check_identity()
    assert ips.driver.watch().remote is False
    for act in (lambda: ips.driver.set_target(1.0), lambda: ips.driver.set_rate(0.01), lambda: ips.driver.go()):
        with pytest.raises(DeviceFault, match=r"refused '[IAS].*in local"):
            act()
    ips.panel.turn("control", "remote")
    assert ips.driver.watch().remote is True
    # After a power-cycle it is local and locked: nobody took it.
    ips.panel.power_cycle()
    assert ips.driver.watch().remote is False
    ips.driver.check_identity()
    assert ips.driver.watch().remote is True


def test_an_order_refused_in_local_is_a_fault_over_tcp_too(make: Make) -> None:
    bench = opened(make("tcp"))
    bench.driver.set_rate(0.04)
    bench.driver.set_target(1.0)
    bench.driver.go()
    bench.front("C2")
    with pytest.raises(DeviceFault, match=r"refused 'A0'.*in local.*look at the instrument's front"):
        bench.driver.hold()


# What the status says


@pytest.mark.parametrize(
    ("status", "activity"),
    [
        ("X00A0C3H1M50P03", Activity.HOLDING), ("X00A1C3H1M51P03", Activity.RAMPING),
        ("X00A1C3H1M53P03", Activity.RAMPING), ("X00A2C3H1M51P03", Activity.RAMPING),
        ("X01A1C3H1M53P03", Activity.RAMPING), ("X02A1C3H1M53P03", Activity.RAMPING),
        ("X00A2C3H1M50P03", Activity.HOLDING), ("X00A4C3H1M50P03", Activity.CLAMPED),
        # Told to go, at rest, and not there: it should be under way.
        ("X00A1C3H1M50P03", Activity.RAMPING),
        ("X10A0C3H1M50P03", Activity.QUENCHED), ("X30A1C3H1M50P03", Activity.QUENCHED),
        ("X20A0C3H1M50P03", Activity.FAULT), ("X40A0C3H1M50P03", Activity.FAULT), ("X80A0C3H1M50P03", Activity.FAULT),
        ("X04A0C3H1M50P03", Activity.FAULT), ("X08A1C3H1M51P03", Activity.FAULT), ("X00A2C4H1M51P03", Activity.FAULT),
    ],
)  # fmt: skip
def test_the_digits_of_the_status_are_bits(ips: OxfordBench, status: str, activity: Activity) -> None:
    ips.driver.set_target(2.0)
    ips.fault("answer", text=status, command="X")
    reading = ips.driver.watch()
    assert (reading.activity, reading.detail) == (activity, status)


@pytest.mark.parametrize("status", ["X00A3C3H1M50P03", "X00A0C3H3M50P03", "X00A0C3H1M5P03", "X00A0", "", "A", "R+0"])
def test_a_status_that_no_supply_says_is_an_error(ips: OxfordBench, status: str) -> None:
    if status:
        ips.fault("answer", text=status, command="X")
    else:
        ips.fault("empty", command="X")
    with pytest.raises(CommunicationError):
        ips.driver.watch()
    assert ips.driver.watch().activity is Activity.HOLDING


def test_a_quench_is_said_and_neither_a_look_nor_a_hold_takes_it_back(ips: OxfordBench) -> None:
    driver = ips.driver
    driver.set_rate(0.04)
    driver.set_target(5.0)
    driver.go()
    ips.wait(30.0)
    ips.befall("quench")
    ips.wait(1.0)
    assert driver.watch().activity is Activity.QUENCHED
    ips.said.clear()
    driver.hold()
    assert ips.said == ["X"]
    with pytest.raises(DeviceFault, match=r"quenched.*not told to go"):
        driver.go()
    assert driver.watch().activity is Activity.QUENCHED
    assert driver.trip_current == pytest.approx(1.2, abs=0.05)


# Hold


def test_a_hold_stops_a_ramp_and_is_read_back(ips: OxfordBench) -> None:
    driver = ips.driver
    driver.set_rate(0.04)
    driver.set_target(5.0)
    driver.go()
    ips.wait(30.0)
    ips.said.clear()
    driver.hold()
    assert ips.said == ["X", "A0", "X"]
    there_A = ips.leads_A
    ips.wait(60.0)
    assert ips.leads_A == there_A
    assert 1.0 < there_A < 1.4


def test_a_hold_leaves_a_clamped_output_clamped(make: Make) -> None:
    bench = make()
    bench.driver.check_identity()
    bench.said.clear()
    bench.driver.hold()
    assert bench.said == ["X"]
    with pytest.raises(DeviceFault, match="clamped, which only a person may end"):
        bench.driver.go()
    assert bench.driver.watch().activity is Activity.CLAMPED


@pytest.mark.parametrize("kind", ["garbage", "short", "empty", "lost", "cut", "unheard"])
def test_a_status_that_does_not_come_does_not_keep_the_magnet_going(ips: OxfordBench, kind: str) -> None:
    ips.driver.set_target(5.0)
    ips.driver.go()
    ips.wait(5.0)
    ips.fault(kind, command="X")
    start_s = ips.clock.now()
    ips.driver.hold()
    assert ips.clock.now() - start_s < 2.0
    assert ips.driver.watch().activity is Activity.HOLDING
    there_A = ips.leads_A
    ips.wait(5.0)
    assert ips.leads_A == there_A


def test_a_clamped_output_stays_clamped_also_when_its_status_does_not_come(make: Make) -> None:
    bench = make()
    bench.driver.check_identity()
    bench.said.clear()
    bench.fault("lost", command="X")
    with pytest.raises(CommunicationError):
        bench.driver.hold()
    assert "A0" not in bench.said


def test_a_hold_that_was_acknowledged_and_not_done_is_a_fault(ips: OxfordBench) -> None:
    ips.driver.set_target(5.0)
    ips.driver.go()
    ips.fault("ignored", command="A0")
    with pytest.raises(DeviceFault, match="told to hold, and did not"):
        ips.driver.hold()
    ips.driver.hold()
    assert ips.driver.watch().activity is Activity.HOLDING


# Set point, rate, go


@pytest.mark.parametrize("target_A", [math.nan, math.inf, -math.inf, 111.001, -111.001, 200.0])
def test_a_set_point_beyond_the_supplys_own_limits_is_refused_before_a_byte(ips: OxfordBench, target_A: float) -> None:
    with ips.silence(), pytest.raises(LimitError, match="Nothing was sent"):
        ips.driver.set_target(target_A)


@pytest.mark.parametrize("rate", [math.nan, math.inf, -0.01, 0.0, 1e-5, 21.0])
def test_a_rate_that_the_supply_does_not_have_is_refused_before_a_byte(ips: OxfordBench, rate: float) -> None:
    with ips.silence(), pytest.raises(LimitError, match="Nothing was sent"):
        ips.driver.set_rate(rate)


@pytest.mark.parametrize(
    ("asked", "told", "wire"),
    [(0.03, 0.03, "S1.800"), (0.0305, 0.0305, "S1.830"), (0.01234567, 0.740 / 60, "S0.740"),
     (1e-3 / 60, 1e-3 / 60, "S0.001"), (0.1 / 3, 2.0 / 60, "S2.000")],
)  # fmt: skip
def test_a_rate_is_rounded_down_to_the_supplys_step(ips: OxfordBench, asked: float, told: float, wire: str) -> None:
    assert ips.driver.set_rate(asked) == pytest.approx(told, rel=1e-9)
    assert wire in ips.said


def test_a_set_point_is_told_with_all_digits_and_never_moves_the_magnet(ips: OxfordBench) -> None:
    assert ips.driver.set_target(-1.23456) == -1.2346
    assert ips.said[:2] == ["X", "I-1.2346"]
    ips.wait(10.0)
    assert ips.leads_A == 0.0
    assert ips.driver.set_target(-0.0) == 0.0
    assert "I0.0000" in ips.said


def test_a_supply_that_goes_to_its_set_point_takes_no_new_one_even_when_it_has_arrived(ips: OxfordBench) -> None:
    ips.move(1.0, 0.04)
    assert ips.driver.watch().activity is Activity.HOLDING
    ips.said.clear()
    with pytest.raises(DeviceFault, match="hold first"):
        ips.driver.set_target(2.0)
    assert ips.said == ["X"]
    ips.driver.hold()
    assert ips.driver.set_target(2.0) == 2.0


def test_a_go_that_was_acknowledged_and_not_done_is_a_fault(ips: OxfordBench) -> None:
    ips.driver.set_target(1.0)
    ips.fault("ignored", command="A1")
    with pytest.raises(DeviceFault, match=r"told to go to the set point, and did not.*X00A0"):
        ips.driver.go()


def test_what_was_acknowledged_and_not_done_is_seen_in_what_is_read_back(ips: OxfordBench) -> None:
    ips.driver.set_target(1.0)
    ips.fault("ignored", command="I")
    assert ips.driver.set_target(5.0) == 1.0
    before = ips.driver.rate
    ips.fault("ignored", command="S")
    assert ips.driver.set_rate(0.001) == pytest.approx(before)


# The switch heater


def test_in_persistent_mode_leads_and_coil_are_told_apart(ips: OxfordBench) -> None:
    persistent(ips, 4.0)
    reading = ips.driver.inspect()
    assert (reading.output_A, reading.coil_A, reading.heater) == (0.0, 4.0, Heater.OFF)
    assert ips.coil_A == pytest.approx(4.0, abs=1e-3)
    # With the heater on, an old record is no news of the coil.
    ips.move(4.0, 0.04)
    ips.driver.hold()
    ips.driver.set_heater(True)
    assert ips.driver.inspect().coil_A is None


def test_the_heater_is_refused_while_leads_and_coil_differ_and_never_forced(ips: OxfordBench) -> None:
    persistent(ips, 4.0)
    ips.said.clear()
    with pytest.raises(DeviceFault, match=r"refused 'H1'.*leads carry 0 A, the coil by its record 4 A"):
        ips.driver.set_heater(True)
    assert ips.driver.watch().heater is Heater.OFF
    assert not [line for line in ips.said if line.startswith("H2")]
    assert not ips.world.magnet.quenched


def test_a_magnet_without_a_switch_has_no_heater_to_order(make: Make) -> None:
    bench = opened(make(coil=replace(COIL, switch_fitted=False)))
    assert bench.driver.watch().heater is Heater.ABSENT
    for on in (True, False):
        with pytest.raises(DeviceFault, match="no persistent switch"):
            bench.driver.set_heater(on)
    assert not [line for line in bench.said if line.startswith("H")]


def test_a_broken_heater_is_told(ips: OxfordBench) -> None:
    ips.driver.set_heater(False)
    ips.befall("heater_open")
    ips.wait(1.0)
    with pytest.raises(DeviceFault, match=r"too little current.*do not ramp"):
        ips.driver.set_heater(True)
    assert ips.driver.watch().heater is Heater.FAULT


# What must not change behind the guard's back


@pytest.mark.parametrize("model", ["IPS120", "PS120"])
@pytest.mark.parametrize("rate", [0.0, 0.001, 0.015, 0.04])
def test_supply_and_station_agree_about_the_magnet_whatever_its_rate(make: Make, model: str, rate: float) -> None:
    bench = make(model=model, tesla_per_ampere=0.135)
    bench.panel.supply.rate_A_per_s = rate
    bench.driver.check_identity()


@pytest.mark.parametrize("constant", [0.13, 0.1365, 0.0135, 1.35])
def test_a_supply_for_another_magnet_is_refused(make: Make, constant: float) -> None:
    bench = make(tesla_per_ampere=constant)
    with pytest.raises(ConfigError, match=r"the supply's field constant is 0\.13"):
        bench.driver.check_identity()
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="must be positive"):
            make(tesla_per_ampere=wrong)


def test_a_full_look_has_limits_and_set_up_as_the_supply_words_them(ips: OxfordBench) -> None:
    reading = ips.driver.inspect()
    assert dict(reading.fingerprint or ()) == {
        "voltage limit": "+3.500", "heater current": "+70.0", "negative limit": "-111.0000",
        "positive limit": "+111.0000", "inductance": "+60.000", "digits": "4", "sweeps": "slow",
    }  # fmt: skip
    assert ips.driver.field_constant == pytest.approx(0.135, rel=1e-3)
    assert ips.driver.inspect().fingerprint == reading.fingerprint


def test_a_power_cycle_shows_in_the_full_look(ips: OxfordBench) -> None:
    before = ips.driver.inspect()
    ips.panel.power_cycle()
    after = ips.driver.inspect()
    assert dict(after.fingerprint or ())["digits"] == "2"
    assert after.fingerprint != before.fingerprint
    assert (after.remote, after.activity) == (False, Activity.CLAMPED)


def test_limits_in_another_unit_are_no_ips(make: Make) -> None:
    bench = make()
    bench.fault("answer", text="R+120000.00", command="R22", count=2)
    with pytest.raises(ReplyError, match="check the model and the units"):
        bench.driver.check_identity()


@pytest.mark.parametrize(("model", "other"), [("IPS120", "PS120"), ("PS120", "IPS120")])
def test_the_other_model_at_the_address_is_refused(model: str, other: str) -> None:
    with ExitStack() as stack:
        bench = OxfordBench("in process", stack, getattr(panels, other), getattr(drivers, model))
        with pytest.raises(ReplyError, match="not a"):
            bench.driver.check_identity()
        assert not [line for line in bench.said if line[0] not in "QV"]


def test_an_isobus_address_stands_before_every_command(make: Make) -> None:
    bench = make(panel_options={"isobus": 4}, isobus=4)
    bench.driver.check_identity()
    bench.driver.inspect()
    assert all(line.startswith("@4") for line in bench.said)
    for address in (10, -1, 1.0, True, "4"):
        with pytest.raises(ConfigError, match="isobus"):
            make(isobus=address)


def test_the_settings_are_a_snapshot_of_ten_readings(ips: OxfordBench) -> None:
    settings = ips.driver.settings()
    assert settings["status"] == "X00A0C3H1M50P03"
    assert (settings["positive_limit"], settings["inductance"], settings["voltage_limit"]) == (111.0, 60.0, 3.5)
    ips.said.clear()
    ips.driver.settings()
    assert len(ips.said) == 10


# The wire


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("late", {}), ("lost", {}), ("doubled", {}), ("split", {}), ("dripping", {}), ("cut", {}), ("short", {}),
    ("garbage", {}), ("unended", {}), ("empty", {}), ("unheard", {}), ("endless", {"amount": 2000.0}),
]  # fmt: skip
NUMBERS: list[tuple[str, dict[str, Any]]] = [
    ("answer", {"text": text}) for text in ("R+9.9E37", "RNAN", "R+1.0,+2.0", "R+1.0A", "?R0", "A", "R+")
]


@pytest.mark.parametrize(
    ("command", "kind", "details"),
    [(command, kind, details) for command in ("R0", "R5", "R6", "R1") for kind, details in FAULTS + NUMBERS]
    + [("X", kind, details) for kind, details in FAULTS],
)
def test_a_disturbed_look_is_right_or_an_error_and_the_next_are_right(
    ips: OxfordBench, command: str, kind: str, details: dict[str, Any]
) -> None:
    ips.move(1.5, 0.04)
    ips.driver.hold()
    ips.driver.set_rate(0.0123)
    ips.driver.set_target(-7.0)
    truth = ips.driver.watch()
    ips.fault(kind, command=command, **details)
    for _ in range(4):
        same(ips, truth)
    assert same(ips, truth)


def same(bench: OxfordBench, truth: SupplyReading) -> bool:
    """True for a look that is right, False for an error; a look that is wrong fails."""
    try:
        reading = bench.driver.watch()
    except RemanenceError:
        return False
    assert replace(reading, time_s=truth.time_s) == truth
    return True


def test_a_number_that_lost_digits_on_the_way_is_asked_for_again(ips: OxfordBench) -> None:
    ips.move(1.5, 0.04)
    ips.driver.watch()
    ips.said.clear()
    ips.fault("answer", text="R+1.5", command="R0")
    assert ips.driver.watch().output_A == 1.5
    assert ips.said == ["R0", "R0", "R5", "R6", "R1", "X"]
    # Two readings with fewer digits are another resolution, or lost the same twice: an inspection tells the guard.
    before = dict(ips.driver.inspect().fingerprint or ())["digits"]
    ips.front("Q0")
    reading = ips.driver.watch()
    assert reading.output_A == 1.5
    assert (before, dict(reading.fingerprint or ())["digits"]) == ("4", "2")


# The PS120-10


def test_the_unipolar_supply_speaks_steps_of_ten_milliampere(ps: OxfordBench) -> None:
    assert (ps.driver.current_step_A, ps.driver.rate_step_A_per_s) == (0.01, pytest.approx(0.01 / 60))
    assert ps.driver.set_target(1.236) == 1.24
    assert ps.driver.set_rate(0.0299) == pytest.approx(1.79 / 60)
    assert [line for line in ps.said if line[0] in "ISP"] == ["I124", "S179"]
    ps.driver.go()
    ps.wait(60.0)
    assert ps.driver.watch().output_A == 1.24
    assert ps.coil_A == pytest.approx(1.24, abs=1e-3)
    assert dict(ps.driver.inspect().fingerprint or ())["positive limit"] == "+11100"
    assert (ps.driver.negative_limit, ps.driver.positive_limit) == (-111.0, 111.0)


def test_the_sign_is_the_relays_and_changes_at_zero_only(ps: OxfordBench) -> None:
    ps.move(1.0, 0.04)
    ps.driver.hold()
    ps.said.clear()
    with pytest.raises(DeviceFault, match=r"1 A are in the leads.*go to zero first"):
        ps.driver.set_target(-1.0)
    assert not [line for line in ps.said if line[0] in "PI"]
    ps.move(0.0, 0.04)
    ps.driver.hold()
    ps.said.clear()
    assert ps.driver.set_target(-1.0) == -1.0
    assert [line for line in ps.said if line[0] in "PI"] == ["P2", "I100"]
    ps.wait(10.0)
    assert ps.leads_A == 0.0
    persistent(ps, -1.0)
    reading = ps.driver.inspect()
    assert (reading.output_A, reading.coil_A) == (0.0, -1.0)
    ps.move(0.5, 0.04)
    reading = ps.driver.inspect()
    assert (reading.output_A, reading.coil_A) == (0.5, -1.0)


def test_a_number_with_a_point_is_none_of_a_ps120(ps: OxfordBench) -> None:
    ps.fault("answer", text="R+1.11", command="R5", count=2)
    with pytest.raises(ReplyError, match=r"1\.11"):
        ps.driver.watch()
