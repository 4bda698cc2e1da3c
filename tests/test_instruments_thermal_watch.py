"""The watch over a temperature loop: what it calls an alarm, how soon, and that it is quiet about what is usual."""

import math
import random
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import pyvisa
from hypothesis import given, settings
from hypothesis import strategies as st
from remanence.core.capabilities import LoopReading
from remanence.core.clock import VirtualClock
from remanence.core.errors import ConfigError
from remanence.instruments.lakeshore import Model336, Model350
from remanence.instruments.lakeshore_331 import Model331
from remanence.instruments.link import Link
from remanence.instruments.thermal_watch import Remedy, ThermalLimits, ThermalWatch, Trouble
from remanence.simulators import lakeshore
from remanence.simulators.cryostat import CryostatSettings
from remanence.simulators.magnet import MagnetSettings
from remanence.simulators.sample import load_sample
from remanence.simulators.sensors import Fault
from remanence.simulators.visa import VirtualVisaLibrary
from remanence.simulators.world import World, WorldSettings

LIMITS = ThermalLimits(largest_K=310.0, overshoot_K=1.0)
MAGNET = MagnetSettings(0.135, 60.0, 50.0, 3.5, 0.004, ((74.0, 0.044), (96.0, 0.03), (111.0, 0.015)))
RESOURCE = "TCPIP0::192.168.1.12::7777::SOCKET"


class Loop:
    """A controller on a simulated cryostat, looked at once a second."""

    def __init__(self, kind: Any, stack: ExitStack) -> None:
        self.clock = VirtualClock()
        settings = WorldSettings(MAGNET, CryostatSettings(), load_sample("park2020_deficient"))
        self.world = World(settings, self.clock, 1)
        self.panel: Any = getattr(lakeshore, kind.__name__)(self.world, "cryostat")
        manager = pyvisa.ResourceManager(VirtualVisaLibrary({RESOURCE: self.panel}, self.clock))
        resource: Any = manager.open_resource(RESOURCE)
        stack.callback(resource.close)
        link = Link(resource, self.clock, name="cryostat", write_end="\r\n", read_end="\r\n", pause_s=0.05)
        self.driver = kind(link, "cryostat")
        self.watch = ThermalWatch(LIMITS)

    def look(self, seconds: float) -> float | None:
        """Go on until an alarm or the end; how long it took to the alarm."""
        begun_s = self.clock.now()
        while self.clock.now() < begun_s + seconds:
            self.clock.sleep(1.0)
            if self.watch.update(self.driver.read_loop()) is not None:
                return self.clock.now() - begun_s
        return None


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("kind", [Model331, Model350])
def test_it_is_quiet_about_a_day_in_the_laboratory(kind: Any, stack: ExitStack) -> None:
    loop = Loop(kind, stack)
    for target_K, ramp, seconds in (
        (5.0, None, 60), (70.0, None, 400), (20.0, None, 600), (25.0, 2.0, 180), (20.0, 2.0, 180), (2.0, None, 200),
    ):  # fmt: skip
        loop.driver.set_temperature(target_K, ramp)
        assert loop.look(seconds) is None, loop.watch.alarm
    loop.driver.heater_off()
    assert loop.look(100) is None, loop.watch.alarm


@pytest.mark.parametrize("kind", [Model331, Model336, Model350])
def test_a_heater_that_is_stuck_on_is_found(kind: Any, stack: ExitStack) -> None:
    loop = Loop(kind, stack)
    loop.driver.set_temperature(10.0)
    assert loop.look(120) is None
    loop.world.cryostat.attach(lambda block_K, step_s: 20.0)
    loop.world.cryostat.disturb()
    took_s = loop.look(60)
    alarm = loop.watch.alarm
    assert took_s is not None
    assert took_s < 10.0
    assert alarm is not None
    assert alarm.trouble in (Trouble.WARMING, Trouble.RUNAWAY)
    assert "set point 10.000 K" in alarm.detail


@pytest.mark.parametrize("kind", [Model331, Model336, Model350])
@pytest.mark.parametrize("fault", [Fault.OPEN, Fault.SHORT, Fault.OVER_RANGE])
def test_a_broken_control_sensor_is_an_alarm_at_the_second_look(kind: Any, fault: Fault, stack: ExitStack) -> None:
    loop = Loop(kind, stack)
    loop.driver.set_temperature(10.0)
    assert loop.look(120) is None
    loop.panel.sensor("A").fault = fault
    assert loop.look(60) == pytest.approx(2.0, abs=0.5)
    assert loop.watch.alarm is not None
    assert (loop.watch.alarm.trouble, loop.watch.alarm.remedy) == (Trouble.SENSOR, Remedy.HEATER_OFF)


@pytest.mark.parametrize("kind", [Model336, Model350])
def test_a_frozen_sensor_is_found_as_soon_as_the_heater_moves(kind: Any, stack: ExitStack) -> None:
    loop = Loop(kind, stack)
    loop.driver.set_temperature(10.0)
    assert loop.look(120) is None
    loop.panel.sensor("A").fault = Fault.FROZEN
    loop.driver.set_temperature(11.0)
    took_s = loop.look(120)
    assert took_s is not None
    assert took_s < 40.0
    assert loop.watch.alarm is not None
    assert loop.watch.alarm.trouble is Trouble.FROZEN
    assert loop.watch.alarm.remedy is Remedy.HEATER_OFF


# By hand

START = LoopReading(0.0, 10.0, 10.0, 0.3, True)


def looks(*rows: tuple[float, float, float, bool], period_s: float = 1.0) -> list[LoopReading]:
    """Temperature, set point, heater and whether it is on."""
    return [LoopReading(n * period_s, kelvin, to, heater, on) for n, (kelvin, to, heater, on) in enumerate(rows)]


STORIES: list[tuple[str, list[LoopReading], Trouble | None, int]] = [
    ("it rises above its set point with the heater on", looks((10, 10, 0.3, True), (11.2, 10, 1, True), (11.5, 10, 1, True)),
     Trouble.RUNAWAY, 2),
    ("it is above but falls", looks(*[(20.0 - n / 10, 10, 0.3, True) for n in range(50)]), None, 0),
    ("it overshoots within what is allowed", looks((10, 10, 1, True), (10.5, 10, 1, True), (10.9, 10, 1, True)), None, 0),
    ("the set point was just lowered while it warmed", looks((50, 90, 1, True), (51, 20, 0.5, True), (51.5, 20, 0.1, True),
     (51.6, 20, 0.0, True), (51.0, 20, 0.0, True)), None, 0),
    ("and still rises after the time of grace", looks(*[(50.0 + n, 90.0 if n == 0 else 20.0, 1.0, True) for n in range(80)]),
     Trouble.RUNAWAY, 62),
    ("it warms although its heater is off", looks(*[(10.0 + n / 2, 10.0, 0.0, False) for n in range(9)]), Trouble.WARMING, 4),
    ("it cools with the heater off", looks(*[(30.0 - n / 2, 5.0, 0.0, False) for n in range(40)]), None, 0),
    ("it is above the largest temperature", looks((311, 309, 0.2, True), (311, 309, 0.2, True)), Trouble.TOO_HOT, 1),
    ("one look above it is none", looks((309, 309, 0.2, True), (311, 309, 0.2, True), (309, 309, 0.2, True)), None, 0),
    ("the same reading while the heater changes", looks(*[(10.0, 10.0, 0.3 + n / 100, True) for n in range(40)]),
     Trouble.FROZEN, 19),
    ("the same reading, and the heater too", looks(*[(10.0, 10.0, 0.3, True) for n in range(200)]), None, 0),
    ("the same reading for a second only", looks(*[(10.0, 10.0, 0.3 + n / 100, True) for n in range(40)], period_s=0.02), None, 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("readings", "trouble", "at"), [story[1:] for story in STORIES], ids=[story[0] for story in STORIES]
)
def test_what_is_an_alarm_and_at_which_look(readings: list[LoopReading], trouble: Trouble | None, at: int) -> None:
    watch = ThermalWatch(LIMITS)
    alarms = [watch.update(reading) for reading in readings]
    if trouble is None:
        assert alarms == [None] * len(readings)
    else:
        assert [alarm is not None for alarm in alarms].index(True) == at
        assert alarms[-1] is not None
        assert alarms[-1].trouble is trouble


def test_an_alarm_stays_until_somebody_has_looked() -> None:
    watch = ThermalWatch(LIMITS)
    bad = LoopReading(0.0, math.nan, 10.0, 0.0, True, "sensor units zero")
    assert watch.update(bad) is None
    assert watch.suspicion == "the control sensor has no valid reading"
    alarm = watch.update(bad)
    assert alarm is not None
    assert alarm.detail.endswith("sensor units zero, set point 10.000 K, heater 0.0%")
    assert watch.update(START) is alarm
    watch.reset()
    assert watch.update(START) is None
    assert watch.suspicion == ""


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(1.5, 300.0), st.floats(0.0, 0.3))
def test_noise_around_the_set_point_is_never_an_alarm(seed: int, target_K: float, sigma_K: float) -> None:
    draw, watch = random.Random(seed), ThermalWatch(LIMITS)
    for n in range(300):
        kelvin = target_K + max(-0.9, min(0.9, draw.gauss(0.0, sigma_K)))
        assert watch.update(LoopReading(n, round(kelvin, 4), target_K, draw.random(), True)) is None or sigma_K < 1e-3


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(1.5, 250.0), st.floats(0.05, 20.0), st.floats(0.01, 1.0))
def test_a_steady_rise_with_the_heater_on_is_found_two_looks_after_it_shows(
    seed: int, target_K: float, rate_K: float, heater: float
) -> None:
    watch, n = ThermalWatch(LIMITS), 0
    while watch.update(LoopReading(n, target_K + rate_K * n, target_K, heater, True)) is None:
        n += 1
        assert n < 1000
    assert rate_K * n <= LIMITS.overshoot_K + 2.0 * rate_K + 1e-9


@pytest.mark.parametrize(
    "wrong", [{"largest_K": math.nan}, {"overshoot_K": 0.0}, {"frozen_readings": 0}, {"grace_s": -1.0}]
)
def test_limits_that_limit_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ThermalLimits(**({"largest_K": 310.0, "overshoot_K": 1.0} | wrong))
