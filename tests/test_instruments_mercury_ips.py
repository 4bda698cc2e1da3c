"""The driver of the Mercury iPS against its front panel: groups, refusals, persistent mode, what it notices."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from remanence.core.capabilities import Activity, Heater, MagnetPowerSupply, SupplyReading
from remanence.core.errors import ConfigError, DeadlineError, DeviceFault, LimitError, RemanenceError, ReplyError
from remanence.instruments.mercury import Refused
from remanence.instruments.mercury_ips import MercuryIPS
from remanence.simulators import mercury_ips as panels
from remanence.simulators.coolant import HeliumSettings
from remanence.simulators.mercury_itc import MercuryITC

from .oxford_bench import COIL, TRANSPORTS, Make, OxfordBench

OLD, NEW = "2.5.09.000", "2.6.04.000"


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def build(transport: str = "in process", firmware: str = OLD, **options: Any) -> OxfordBench:
            return OxfordBench(
                transport, stack, panels.MercuryIPS, MercuryIPS, panel_options={"firmware": firmware}, **options
            )

        yield build


def opened(bench: OxfordBench) -> OxfordBench:
    """Opened, and taken out of the clamp by somebody at its screen."""
    bench.driver.check_identity()
    release(bench, bench.driver)
    bench.said.clear()
    return bench


def release(bench: OxfordBench, driver: MercuryIPS) -> None:
    assert bench.front(f"SET:{driver.address}:ACTN:HOLD") == [f"STAT:SET:{driver.address}:ACTN:HOLD:VALID"]


@pytest.fixture
def ips(make: Make) -> OxfordBench:
    return opened(make())


def persistent(bench: OxfordBench, current_A: float) -> None:
    """A current in the coil, none in the leads."""
    bench.move(current_A, 0.04)
    bench.driver.set_heater(False)
    bench.wait(20.0)
    bench.move(0.0, 0.04)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("firmware", [OLD, NEW])
def test_a_move_ends_where_it_was_told_in_either_sign_and_every_look_is_true(
    make: Make, transport: str, firmware: str
) -> None:
    bench = opened(make(transport, firmware))
    driver = bench.driver
    assert isinstance(driver, MagnetPowerSupply)
    assert driver.address == f"DEV:GRPZ:{'SPSU' if firmware == NEW else 'PSU'}"
    for target_A in (3.0, 0.0, -2.0):
        bench.move(target_A, 0.04)
        reading = driver.watch()
        assert reading.activity is Activity.HOLDING
        assert reading.output_A == pytest.approx(target_A, abs=2e-4)
        assert (reading.set_point_A, reading.heater) == (target_A, Heater.ON)
        assert reading.rate_A_per_s == pytest.approx(0.04)
        assert bench.coil_A == pytest.approx(target_A, abs=1e-3)
        assert bench.clock.now() - 0.2 < reading.time_s < bench.clock.now()
    assert driver.serial_number() == "123450001"


def test_a_ramp_is_seen_under_way_with_the_current_and_the_voltage_of_its_instant(ips: OxfordBench) -> None:
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
        assert reading.voltage_V == pytest.approx(-60.0 * 0.04, abs=0.01)


def test_a_look_costs_two_queries(ips: OxfordBench) -> None:
    ips.driver.watch()
    assert ips.said == [
        "READ:DEV:GRPZ:PSU:SIG:CURR:CSET:RCST:VOLT:PCUR:SWHT", "READ:DEV:GRPZ:PSU:STAT:ACTN",
    ]  # fmt: skip


def test_opening_only_reads(make: Make) -> None:
    bench = make()
    assert bench.driver.check_identity() == f"IDN:OXFORD INSTRUMENTS:MERCURY IPS:123450001:{OLD}"
    assert all(line == "*IDN?" or line.startswith("READ:") for line in bench.said)
    assert bench.driver.inspect().activity is Activity.CLAMPED


# Groups


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_groups_of_one_instrument_share_a_line_and_move_apart(make: Make, transport: str) -> None:
    bench = make(transport, NEW, more_coils="x")
    z, x = bench.driver, MercuryIPS(bench.link, "side", group="GRPX")
    for driver in (z, x):
        driver.check_identity()
        release(bench, driver)
    for driver, target_A, rate in ((z, 2.0, 0.04), (x, -10.0, 0.4)):
        driver.set_rate(rate)
        driver.set_target(target_A)
        driver.go()
    bench.wait(10.0)
    assert (z.watch().activity, x.watch().activity) == (Activity.RAMPING, Activity.RAMPING)
    x.hold()
    bench.wait(60.0)
    assert z.watch().output_A == pytest.approx(2.0, abs=2e-4)
    assert x.watch().output_A == pytest.approx(-4.0, abs=0.1)
    assert (z.watch().heater, x.watch().heater) == (Heater.ON, Heater.ABSENT)


def test_a_unit_with_one_group_is_opened_by_it_alone_and_another_is_refused_by_name(make: Make) -> None:
    bench = make(group="GRPX")
    with pytest.raises(ConfigError, match=r"no group GRPX.*groups are GRPZ"):
        bench.driver.check_identity()
    bench = make()
    bench.driver.check_identity()
    assert not [line for line in bench.said if "GRPX" in line or "GRPY" in line]


@pytest.mark.parametrize("group", ["", "Z", "GRP", "GRPz", "GRPZ:PSU", "GRPXY"])
def test_what_is_no_group_is_a_configuration_error(make: Make, group: str) -> None:
    with pytest.raises(ConfigError, match="write it like GRPZ"):
        make(group=group)


def test_another_instrument_of_the_maker_is_refused(make: Make) -> None:
    with ExitStack() as stack:
        bench = OxfordBench("in process", stack, MercuryITC, MercuryIPS)
        with pytest.raises(ReplyError, match="not a MercuryIPS"):
            bench.driver.check_identity()


# Refusals


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("word", ["DENIED", "INVALID", "N/A", "NOT_FOUND"])
def test_a_set_that_is_not_valid_is_a_fault(make: Make, transport: str, word: str) -> None:
    bench = opened(make(transport))
    bench.fault("refused", text=f"STAT:SET:DEV:GRPZ:PSU:SIG:CSET:5.0000:{word}", command="SET")
    with pytest.raises(DeviceFault, match=f"answers {word} to 'SET:DEV:GRPZ:PSU:SIG:CSET:5.0000'"):
        bench.driver.set_target(5.0)
    assert bench.driver.set_point == 0.0
    assert bench.driver.set_target(5.0) == 5.0


@pytest.mark.parametrize("reply", ["SET:INVALID", "NOT_FOUND", "STAT:SET:DEV:GRPZ:NOT_FOUND", "READ:DEV:INVALID"])
def test_a_refusal_without_its_address_is_one_too(ips: OxfordBench, reply: str) -> None:
    ips.fault("answer", text=reply)
    with pytest.raises(Refused):
        ips.driver.set_rate(0.01)


@pytest.mark.parametrize(
    "reply",
    [
        "STAT:SET:DEV:GRPX:PSU:SIG:CSET:5.0000:VALID", "STAT:SET:DEV:GRPZ:PSU:SIG:FSET:5.0000:VALID",
        "STAT:DEV:GRPZ:PSU:SIG:CSET:5.0000A", "STAT:SET:DEV:GRPZ:PSU:SIG:CSET:5.0000", "VALID",
        "STAT:SET:DEV:GRPZ:PSU:SIG:CSET:5.0000:VALI", "STAT:SET:DEV:GRPZ:PSU:SIG:CSET:5.0000:valid",
    ],
)  # fmt: skip
def test_a_reply_to_anything_else_is_no_valid(ips: OxfordBench, reply: str) -> None:
    ips.fault("answer", text=reply, command="SET")
    with pytest.raises(ReplyError):
        ips.driver.set_target(5.0)


def test_a_value_that_was_taken_as_another_is_a_fault(ips: OxfordBench) -> None:
    ips.fault("answer", text="STAT:SET:DEV:GRPZ:PSU:SIG:CSET:4.0000:VALID", command="SET")
    with pytest.raises(DeviceFault, match=r"told CSET 5\.0000, it took 4\.0000"):
        ips.driver.set_target(5.0)
    ips.fault("answer", text="STAT:SET:DEV:GRPZ:PSU:SIG:CSET:5.00A:VALID", command="SET")
    ips.driver.set_target(5.0)


@pytest.mark.parametrize(
    "reply",
    [
        "STAT:DEV:GRPX:PSU:SIG:CSET:5.0000A", "STAT:DEV:GRPZ:PSU:SIG:CURR:5.0000A", "STAT:DEV:GRPZ:PSU:SIG:CSET:5.0000",
        "STAT:DEV:GRPZ:PSU:SIG:CSET:5.0000T", "STAT:DEV:GRPZ:PSU:SIG:CSET:5.0000A/m", "STAT:DEV:GRPZ:PSU:SIG:CSET:nanA",
        "STAT:DEV:GRPZ:PSU:SIG:CSET:1.0EA", "STAT:DEV:GRPZ:PSU:SIG:CSET:9.9E37A", "STAT:DEV:GRPZ:PSU:SIG:CSET:A",
        "STAT:DEV:GRPZ:PSU:SIG:CSET:--5.0A", "STAT:DEV:GRPZ:PSU:SIG:CSET:5.A", "STAT:DEV:GRPZ:PSU:SIG:CSET:",
    ],
)  # fmt: skip
def test_a_number_in_another_unit_or_of_another_name_is_an_error(ips: OxfordBench, reply: str) -> None:
    ips.fault("answer", text=reply)
    with pytest.raises(ReplyError):
        _ = ips.driver.set_point


@pytest.mark.parametrize(("text", "ampere"), [("+5.0000A", 5.0), ("-0.5A", -0.5), ("5E1A", 50.0), ("12.5mA", 0.0125)])
def test_a_number_may_have_a_sign_an_exponent_and_a_prefix(ips: OxfordBench, text: str, ampere: float) -> None:
    ips.fault("answer", text=f"STAT:DEV:GRPZ:PSU:SIG:CSET:{text}")
    assert ips.driver.set_point == pytest.approx(ampere)


@pytest.mark.parametrize("target_A", [math.nan, math.inf, -math.inf, 111.001, -111.001])
def test_a_set_point_beyond_the_supplys_own_limit_is_refused_before_a_byte(ips: OxfordBench, target_A: float) -> None:
    with ips.silence(), pytest.raises(LimitError, match="Nothing was sent"):
        ips.driver.set_target(target_A)


def test_before_the_supply_has_said_its_limit_nothing_is_within_it(make: Make) -> None:
    bench = make()
    with bench.silence(), pytest.raises(LimitError):
        bench.driver.set_target(1.0)


@pytest.mark.parametrize("rate", [math.nan, math.inf, -0.01, 0.0, 1e-6, 21.0])
def test_a_rate_that_the_supply_does_not_have_is_refused_before_a_byte(ips: OxfordBench, rate: float) -> None:
    with ips.silence(), pytest.raises(LimitError, match="Nothing was sent"):
        ips.driver.set_rate(rate)


def test_a_rate_is_rounded_down_to_the_supplys_step(ips: OxfordBench) -> None:
    assert ips.driver.set_rate(0.03) == pytest.approx(0.03, rel=1e-9)
    assert ips.driver.set_rate(0.012348) == pytest.approx(0.7408 / 60, rel=1e-9)
    assert "SET:DEV:GRPZ:PSU:SIG:RCST:0.7408" in ips.said


# Hold and go


def test_a_hold_stops_a_ramp_and_is_read_back(ips: OxfordBench) -> None:
    driver = ips.driver
    driver.set_target(5.0)
    driver.go()
    ips.wait(30.0)
    ips.said.clear()
    driver.hold()
    assert ips.said == ["READ:DEV:GRPZ:PSU:ACTN", "SET:DEV:GRPZ:PSU:ACTN:HOLD", "READ:DEV:GRPZ:PSU:ACTN"]
    there_A = ips.leads_A
    ips.wait(60.0)
    assert ips.leads_A == there_A > 0.1


@pytest.mark.parametrize("kind", ["garbage", "short", "empty", "lost", "cut", "unheard"])
def test_a_word_that_does_not_come_does_not_keep_the_magnet_going(ips: OxfordBench, kind: str) -> None:
    ips.driver.set_target(5.0)
    ips.driver.go()
    ips.wait(5.0)
    ips.fault(kind, command="READ:DEV:GRPZ:PSU:ACTN")
    start_s = ips.clock.now()
    ips.driver.hold()
    assert ips.clock.now() - start_s < 2.0
    there_A = ips.leads_A
    ips.wait(5.0)
    assert ips.leads_A == there_A


def test_a_clamped_output_stays_clamped_also_when_its_word_does_not_come(make: Make) -> None:
    bench = make()
    bench.driver.check_identity()
    bench.fault("lost", command="READ:DEV:GRPZ:PSU:ACTN")
    with pytest.raises(DeadlineError):
        bench.driver.hold()
    assert not [line for line in bench.said if line.startswith("SET")]


def test_a_clamped_output_stays_clamped(make: Make) -> None:
    bench = make()
    bench.driver.check_identity()
    bench.said.clear()
    bench.driver.hold()
    with pytest.raises(DeviceFault, match=r"it is clamped\. It was not told to go"):
        bench.driver.go()
    assert not [line for line in bench.said if line.startswith("SET")]
    assert bench.driver.watch().activity is Activity.CLAMPED


@pytest.mark.parametrize(("order", "act"), [("HOLD", "hold"), ("RTOS", "go")])
def test_an_action_that_was_acknowledged_and_not_done_is_a_fault(ips: OxfordBench, order: str, act: str) -> None:
    ips.driver.set_target(5.0)
    if act == "hold":
        ips.driver.go()
    ips.fault("ignored", command=f"SET:DEV:GRPZ:PSU:ACTN:{order}")
    with pytest.raises(DeviceFault, match=r"told to .*, and did not"):
        getattr(ips.driver, act)()


def test_a_supply_that_goes_to_its_set_point_takes_no_new_one(ips: OxfordBench) -> None:
    ips.driver.set_target(1.0)
    ips.driver.go()
    ips.said.clear()
    with pytest.raises(DeviceFault, match="hold first"):
        ips.driver.set_target(2.0)
    assert not [line for line in ips.said if line.startswith("SET")]
    ips.driver.hold()
    assert ips.driver.set_target(2.0) == 2.0
    ips.wait(60.0)
    assert abs(ips.leads_A) < 0.01


def test_a_move_of_nothing_is_there_at_once(ips: OxfordBench) -> None:
    ips.driver.set_target(0.0)
    ips.driver.go()
    assert ips.driver.watch().activity is Activity.HOLDING


# Status


@pytest.mark.parametrize(
    ("word", "action", "activity"),
    [
        ("00000000", "HOLD", Activity.HOLDING), ("00000000", "RTOS", Activity.RAMPING),
        ("00000000", "RTOZ", Activity.RAMPING), ("00000000", "CLMP", Activity.CLAMPED),
        ("00000001", "HOLD", Activity.HOLDING), ("80000400", "HOLD", Activity.HOLDING),
        ("00000100", "HOLD", Activity.QUENCHED), ("00000101", "RTOS", Activity.QUENCHED),
        ("00000002", "HOLD", Activity.FAULT), ("00008000", "HOLD", Activity.FAULT), ("00020000", "RTOS", Activity.FAULT),
    ],
)  # fmt: skip
def test_the_status_word_is_read_by_the_makers_bits_and_the_others_are_ignored(
    ips: OxfordBench, word: str, action: str, activity: Activity
) -> None:
    ips.fault("answer", text=f"STAT:DEV:GRPZ:PSU:STAT:{word}:ACTN:{action}", command="READ:DEV:GRPZ:PSU:STAT")
    reading = ips.driver.watch()
    assert (reading.activity, reading.detail) == (activity, f"ACTN {action}, STAT {word}")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_quench_is_said_and_neither_a_look_nor_a_hold_takes_it_back(make: Make, transport: str) -> None:
    bench = opened(make(transport))
    driver = bench.driver
    driver.set_target(5.0)
    driver.go()
    bench.wait(30.0)
    bench.befall("quench")
    bench.wait(1.0)
    assert driver.watch().activity is Activity.QUENCHED
    assert driver.alarms == ("GRPZ Quench Detected",)
    driver.hold()
    with pytest.raises(DeviceFault, match=r"it is quenched\. It was not told to go"):
        driver.go()
    assert driver.watch().activity is Activity.QUENCHED


def test_firmware_without_a_status_word_tells_of_a_quench_by_its_alarms(make: Make) -> None:
    bench = make()
    bench.fault("answer", text="STAT:DEV:GRPZ:PSU:STAT:INVALID", command="READ:DEV:GRPZ:PSU:STAT")
    opened(bench)
    bench.driver.watch()
    assert bench.said[1:] == ["READ:DEV:GRPZ:PSU:ACTN", "READ:SYS:ALRM"]
    bench.befall("quench")
    bench.wait(1.0)
    reading = bench.driver.watch()
    assert (reading.activity, reading.detail) == (Activity.QUENCHED, "ACTN HOLD, GRPZ Quench Detected")
    bench.fault("answer", text="STAT:SYS:ALRM:GRPZ\tQue", command="READ:SYS:ALRM")
    with pytest.raises(ReplyError):
        bench.driver.watch()


def test_a_voltage_that_the_instrument_invents_is_none(ips: OxfordBench) -> None:
    reply = "STAT:DEV:GRPZ:PSU:SIG:CURR:1.0000A:CSET:1.0000A:RCST:2.0000A/m:VOLT:9000.0000V:PCUR:1.0000A:SWHT:ON"
    ips.fault("answer", text=reply, command="READ:DEV:GRPZ:PSU:SIG")
    assert ips.driver.watch().voltage_V is None


# The switch heater


def test_in_persistent_mode_leads_and_coil_are_told_apart(ips: OxfordBench) -> None:
    persistent(ips, 4.0)
    reading = ips.driver.watch()
    assert reading.output_A == pytest.approx(0.0, abs=2e-4)
    assert (reading.coil_A, reading.heater, reading.activity) == (4.0, Heater.OFF, Activity.HOLDING)
    assert ips.coil_A == pytest.approx(4.0, abs=1e-3)
    ips.move(4.0, 0.04)
    ips.driver.set_heater(True)
    # The word of the supply is behind the order.
    assert ips.driver.watch().heater is Heater.OFF
    ips.wait(5.0)
    assert (ips.driver.watch().heater, ips.driver.watch().coil_A) == (Heater.ON, None)


def test_the_heater_is_refused_while_leads_and_coil_differ_and_never_forced(ips: OxfordBench) -> None:
    persistent(ips, 4.0)
    ips.said.clear()
    with pytest.raises(DeviceFault, match=r"answers DENIED.*leads carry .* the coil by its record 4 A.*must be equal"):
        ips.driver.set_heater(True)
    assert ips.driver.watch().heater is Heater.OFF
    assert not [line for line in ips.said if "SWHN" in line]
    assert not ips.world.magnet.quenched


def test_a_magnet_without_a_switch_has_no_heater_to_order(make: Make) -> None:
    bench = opened(make(coil=replace(COIL, switch_fitted=False)))
    assert bench.driver.watch().heater is Heater.ABSENT
    with bench.silence(), pytest.raises(DeviceFault, match="no persistent switch"):
        bench.driver.set_heater(True)


# What must not change behind the guard's back


@pytest.mark.parametrize("constant", [0.135, 0.1351])
def test_supply_and_station_agree_about_the_magnet(make: Make, constant: float) -> None:
    bench = make(tesla_per_ampere=constant)
    bench.driver.check_identity()


@pytest.mark.parametrize("constant", [0.13, 0.1365, 0.0135, 1.35])
def test_a_supply_for_another_magnet_is_refused(make: Make, constant: float) -> None:
    bench = make(tesla_per_ampere=constant)
    with pytest.raises(ConfigError, match=r"the supply's field constant is 0\.13"):
        bench.driver.check_identity()
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="must be positive"):
            make(tesla_per_ampere=wrong)


def test_a_full_look_has_constant_limits_and_set_up_as_the_supply_words_them(ips: OxfordBench) -> None:
    reading = ips.driver.inspect()
    assert dict(reading.fingerprint or ()) == {
        "ATOB": "7.407", "CLIM": "111.000", "VLIM": "3.500", "IND": "60.000", "BIPL": "ON", "SWPR": "PSU.M1",
        "SWONT": "15000", "SWOFT": "15000",
    }  # fmt: skip
    assert ips.driver.field_constant == pytest.approx(0.135, rel=1e-4)
    ips.front("SET:SYS:MODE:ENG:PASS:abc123", "SET:DEV:GRPZ:PSU:ATOB:8.000")
    assert ips.driver.inspect().fingerprint != reading.fingerprint


def test_a_setting_that_this_firmware_does_not_have_is_recorded_as_that(ips: OxfordBench) -> None:
    ips.fault("answer", text="STAT:DEV:GRPZ:PSU:BIPL:INVALID", command="READ:DEV:GRPZ:PSU:BIPL")
    assert dict(ips.driver.inspect().fingerprint or ())["BIPL"] == "INVALID"


def test_the_magnets_own_sensors_are_read_from_their_boards(make: Make) -> None:
    bench = opened(make(coil=replace(COIL, coolant=HeliumSettings())))
    assert bench.driver.magnet_temperature == pytest.approx(bench.world.magnet.coil_K, rel=1e-2)
    assert bench.driver.helium_level == pytest.approx(bench.world.magnet.coolant.level_percent, abs=0.1)
    dry = opened(make())
    with pytest.raises(DeviceFault, match="NOT_FOUND"):
        _ = dry.driver.helium_level


def test_the_settings_are_a_snapshot(ips: OxfordBench) -> None:
    settings = ips.driver.settings()
    assert (settings["action"], settings["current_limit"], settings["set_point"]) == ("HOLD", 111.0, 0.0)
    assert settings["fixed"]["SWONT"] == "15000"


# The wire


@pytest.mark.parametrize("command", ["READ:DEV:GRPZ:PSU:SIG", "READ:DEV:GRPZ:PSU:STAT"])
@pytest.mark.parametrize(
    "kind", ["late", "lost", "doubled", "split", "dripping", "cut", "short", "garbage", "unended", "empty", "unheard"]
)
def test_a_disturbed_look_is_right_or_an_error_and_the_next_are_right(
    ips: OxfordBench, kind: str, command: str
) -> None:
    ips.move(1.5, 0.04)
    ips.driver.set_rate(0.0123)
    ips.driver.set_target(-7.0)
    truth = ips.driver.watch()
    ips.fault(kind, command=command)
    for _ in range(4):
        same(ips, truth)
    assert same(ips, truth)


def same(bench: OxfordBench, truth: SupplyReading) -> bool:
    """True for a look that is right, False for an error; a look that is wrong fails."""
    try:
        reading = bench.driver.watch()
    except RemanenceError:
        return False
    assert reading.output_A == pytest.approx(truth.output_A, abs=3e-4)
    assert replace(reading, time_s=0.0, output_A=0.0) == replace(truth, time_s=0.0, output_A=0.0)
    return True


@pytest.mark.parametrize("name", ["field_constant", "current_limit", "set_point", "rate", "action"])
def test_a_value_cut_on_its_way_is_an_error(ips: OxfordBench, name: str) -> None:
    truth = getattr(ips.driver, name)
    ips.fault("short")
    with pytest.raises(RemanenceError):
        getattr(ips.driver, name)
    assert getattr(ips.driver, name) == truth
