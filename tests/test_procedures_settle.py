"""Waiting for a temperature: what is waited for, what is said meanwhile, what ends the wait."""

from collections.abc import Callable

import pytest
from remanence.core.clock import VirtualClock
from remanence.core.errors import CommunicationError, DeadlineError, DeviceFault, NotSettled
from remanence.core.records import Waiting
from remanence.procedures.base import settle


class Thermometer:
    """A temperature as a function of time."""

    def __init__(self, clock: VirtualClock, of: Callable[[float], float]) -> None:
        self._clock, self._of, self.readings = clock, of, 0

    def read_temperature(self) -> float:
        self.readings += 1
        return self._of(self._clock.now())


def wait(of: Callable[[float], float], timeout_s: float = 600.0, **rule: float) -> tuple[float, list[Waiting]]:
    """How long it took, and what was said."""
    clock = VirtualClock()
    steps = settle(clock, Thermometer(clock, of), 5.0, tolerance_K=0.01, window_s=60.0, timeout_s=timeout_s, **rule)
    said = [step for step in steps if isinstance(step, Waiting)]
    return clock.now(), said


def test_a_temperature_that_is_there_is_waited_for_one_window() -> None:
    waited_s, said = wait(lambda t: 5.0)
    assert waited_s == 60.0
    assert [step.remaining_s for step in said[:3]] == [60.0, 59.0, 58.0]


def test_a_creep_through_the_band_is_waited_for_only_where_the_drift_counts() -> None:
    def creeping(t: float) -> float:
        return 4.9905 + min(1.5e-4 * t, 0.015)

    assert wait(creeping)[0] == 60.0
    waited_s, said = wait(creeping, drift_K_per_s=5e-5)
    assert 100.0 < waited_s < 161.0
    assert any("drift +9 ± " in step.text for step in said)


def test_what_never_settles_ends_with_its_temperature_and_its_drift() -> None:
    with pytest.raises(NotSettled, match=r"did not stay within 10 mK of 5 K .* it is at 5.100 K") as caught:
        wait(lambda t: 5.1)
    assert "drift" not in str(caught.value)
    with pytest.raises(NotSettled, match=r"with less drift than 0.6 mK/min in 70 s; .*drift \+9 ± "):
        wait(lambda t: 4.9905 + 1.5e-4 * t, timeout_s=70.0, drift_K_per_s=1e-5)


def test_a_thermometer_that_is_silent_for_a_moment_is_asked_again() -> None:
    def silent(t: float) -> float:
        if 20.0 <= t < 25.0:
            raise DeadlineError("no reply within 2 s")
        return 5.0

    waited_s, said = wait(silent)
    assert waited_s == 60.0
    assert [step.text for step in said].count("5.000 K: no reading (no reply within 2 s)") == 5


def test_one_that_stays_silent_ends_the_wait_and_so_does_a_fault_at_once() -> None:
    clock = VirtualClock()

    def broken(t: float) -> float:
        if t >= 20.0:
            raise CommunicationError("the connection broke")
        return 5.0

    steps = settle(clock, Thermometer(clock, broken), 5.0, tolerance_K=0.01, window_s=60.0, timeout_s=600.0)
    with pytest.raises(CommunicationError, match="the connection broke"):
        list(steps)
    assert clock.now() < 35.0

    def failed(t: float) -> float:
        raise DeviceFault("sensor open")

    steps = settle(clock, Thermometer(clock, failed), 5.0, tolerance_K=0.01, window_s=60.0, timeout_s=600.0)
    with pytest.raises(DeviceFault, match="sensor open"):
        next(steps)
