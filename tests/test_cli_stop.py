"""What a signal may interrupt and what not, decided by where it comes."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from remanence.cli.stop import StopSignals
from remanence.core.clock import VirtualClock
from remanence.core.records import Column, Event, Outcome, Row
from remanence.engine.listener import Listener
from remanence.engine.runner import Runner, RunResult
from remanence.engine.station import Station
from remanence.engine.station_file import reference_station
from remanence.procedures.base import Procedure, Step, wait_until
from remanence.procedures.hall_loop import HallLoop
from remanence.storage import read_run

HOLD, CTRL_C = "holds at", signal.SIGINT


class Sweeps(Procedure):
    """Sweeps, and calls what a test wants to happen at each step and at its end."""

    columns = (Column("n", "number"),)
    at_step: Callable[[], None] = staticmethod(lambda: None)  # pyright: ignore[reportAssignmentType]
    at_end: Callable[[], None] = staticmethod(lambda: None)  # pyright: ignore[reportAssignmentType]

    def acquire(self, station: Any) -> Iterator[Step]:
        field = station.role("field", object)
        try:
            field.sweep_to(1.0, 2e-3)
            for n in range(50):
                yield from wait_until(station.clock, station.clock.now() + 1.0)
                field.poll()
                self.at_step()
                yield {"n": n}
        finally:
            self.at_end()
            field.hold()


class Interrupting(VirtualClock):
    """A clock during whose sleep somebody presses Ctrl-C: the worst moment of everything that waits."""

    def __init__(self) -> None:
        super().__init__()
        self.press: Callable[[], None] = lambda: None

    def sleep(self, duration_s: float) -> None:
        super().sleep(duration_s)
        self.press()


class Case:
    """A run whose signals come from inside, so that the place is exact."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = Interrupting()
        # Without a switch, which would first be warmed for its whole time.
        text = reference_station().read_text(encoding="utf-8")
        path = root / "station.toml"
        path.write_text(re.sub(r"(?m)^switch = .*$", 'switch = "none"', text), encoding="utf-8")
        self.station = Station.open(path, simulate=True, clock=self.clock)
        self.heard: list[Listener] = []
        self.procedure: Any = Sweeps()

    def signal(self, number: int = CTRL_C) -> None:
        """As the interpreter does it: with the frame that is running."""
        self.stop.handle(number, sys._getframe(1))

    def run(self) -> RunResult:
        with self.station:
            runner = Runner(self.station, self.root, listeners=self.heard)
            self.stop = StopSignals(runner)
            return runner.run(self.procedure)


def ended(result: RunResult) -> None:
    """However often somebody pressed: held, closed, told."""
    kept = read_run(result.folder)
    assert kept.outcome is Outcome.ABORTED
    assert not kept.damage
    assert kept.footer is not None
    assert HOLD in kept.footer.hardware
    assert kept.footer.rows == len(list(kept.rows()))


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    case = Case(tmp_path)
    yield case
    case.station.close()


def test_the_first_stops_at_the_next_step_and_interrupts_nothing(case: Case) -> None:
    done: list[str] = []

    def at_step() -> None:
        case.signal()
        done.append("went on")

    case.procedure.at_step = at_step
    result = case.run()
    assert done == ["went on"]
    ended(result)
    assert case.stop.exit_code(6) == 6


@pytest.mark.parametrize("times", [2, 10])
def test_more_interrupt_a_procedure_that_hangs(case: Case, times: int) -> None:
    after: list[str] = []

    def at_step() -> None:
        for _ in range(times):
            case.signal()
        after.append("went on")

    case.procedure.at_step = at_step
    result = case.run()
    assert not after
    ended(result)
    assert case.stop.exit_code(6) == 130


def test_more_interrupt_a_listener_that_hangs(case: Case) -> None:
    rows: list[int] = []

    class Hangs(Listener):
        def row(self, row: Row) -> None:
            case.signal()
            case.signal()
            rows.append(row.n)

    case.heard.append(Hangs())
    result = case.run()
    assert not rows
    ended(result)


def test_more_interrupt_a_shutdown_that_hangs_and_the_magnet_is_held_all_the_same(case: Case) -> None:
    def at_end() -> None:
        case.signal()
        raise AssertionError("the shutdown was not interrupted")

    case.procedure.at_step = case.signal
    case.procedure.at_end = at_end
    result = case.run()
    ended(result)
    assert "cut short" in result.footer.reason


@pytest.mark.parametrize("what", ["hold", "sweep_to", "poll"])
def test_no_number_of_them_interrupts_an_order(case: Case, what: str) -> None:
    """Each pause of the supply's link is interrupted, in every order from the first step on."""
    pressed: list[int] = []

    def press() -> None:
        caller = sys._getframe(2)
        names: set[str] = set()
        frame: Any = caller
        while frame is not None:
            names.add(frame.f_code.co_name)
            frame = frame.f_back
        if what in names:
            pressed.append(1)
            case.stop.handle(CTRL_C, caller)

    case.clock.press = press
    result = case.run()
    assert pressed
    ended(result)
    guard = case.station.guards["magnet"]
    assert guard.state.value == "HOLD"


def test_a_second_signal_of_another_kind_interrupts_nothing(case: Case) -> None:
    done: list[str] = []

    def at_step() -> None:
        case.signal(signal.SIGTERM)
        case.signal(signal.SIGTERM)
        done.append("went on")

    case.procedure.at_step = at_step
    ended(case.run())
    assert done
    assert case.stop.exit_code(6) == 143


@pytest.mark.parametrize(("first", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_gives_the_code_unless_somebody_pressed_twice(
    case: Case, first: signal.Signals, code: int
) -> None:
    def at_step() -> None:
        case.signal(first)
        case.signal(CTRL_C)

    case.procedure.at_step = at_step
    result = case.run()
    assert result.footer.reason == ("Ctrl-C" if first is CTRL_C else "SIGTERM")
    assert case.stop.exit_code(6) == code


@pytest.mark.parametrize("nth", range(0, 60, 4))
def test_wherever_in_a_hall_loop_it_comes_the_magnet_holds_within_two_seconds(case: Case, nth: int) -> None:
    """In any sleep of the ramp, those inside orders and queries too; on the clock of the laboratory."""
    magnet = case.station.guards["magnet"]
    asked_s: list[float] = []
    held_s: list[float] = []
    sleeps = 0

    def press() -> None:
        nonlocal sleeps
        if magnet.state.value != "RAMP":
            return
        sleeps += 1
        if sleeps == nth + 200 and not asked_s:
            asked_s.append(case.clock.now())
            case.stop.handle(CTRL_C, sys._getframe(2))

    class Hears(Listener):
        def event(self, event: Event) -> None:
            if event.text == "hold: confirmed" and asked_s:
                held_s.append(case.clock.now())

    case.heard.append(Hears())
    case.procedure = HallLoop()
    case.procedure.max_field_T, case.procedure.period_s = 1.0, 1.5
    case.clock.press = press
    ended(case.run())
    assert held_s[0] - asked_s[0] <= 2.0
