"""What all procedures share: rows from a generator, and the bridge to pymeasure.

`acquire(station)` is ordinary Python; every `yield` is a place where pause, abort and interlocks act, closing the
generator is the abort, and what it leaves through (`finally`, an `ExitStack`) is the safe shutdown: never yield there.
`execute` drives the same generator under pymeasure's own Worker, so one class serves both engines.
"""

import math
from collections.abc import Generator, Iterator, Mapping
from typing import Any, ClassVar

import pymeasure.experiment as pymeasure

from ..core.capabilities import StationLike, Thermometer
from ..core.clock import Clock
from ..core.errors import CommunicationError, ConfigError, NotSettled
from ..core.quantities import registry
from ..core.records import Column, Leg, Progress, Waiting
from ..core.stability import Stability, StabilityRule, Verdict

# A column in emu must be known to the registry that pymeasure checks columns with.
registry()

# What acquire may yield: a row's values by column name (`flags` may be a tuple of words), the leg that begins, what
# is waited for, progress, or None: nothing new, only a place to stop.
Step = Mapping[str, Any] | Leg | Waiting | Progress | None

# Abort waits for the next yield, so no wait sleeps longer than this at a time.
_LONGEST_SLEEP_s = 0.5
# A thermometer may be silent for so long before that counts as broken: a scanner's pause, a link that comes back.
_PATIENCE_s = 10.0


def number(label: str, unit: str, default: float, minimum: float, maximum: float) -> Any:
    """Make a pymeasure parameter with a unit, declared as what the instances hold: `rate_T_per_s: float = …`."""
    return pymeasure.FloatParameter(label, units=unit, default=default, minimum=minimum, maximum=maximum)


def integer(label: str, default: int, minimum: int, maximum: int) -> Any:
    """Make a pymeasure parameter that counts, declared as what the instances hold."""
    return pymeasure.IntegerParameter(label, default=default, minimum=minimum, maximum=maximum)


class Procedure(pymeasure.Procedure):
    """A measurement. Subclasses declare `columns`, pymeasure `Parameter`s, and `acquire`.

    Under pymeasure's Worker give the class or the instance a `station` first:
    `HallLoop.station = Station.open("station.toml")`.
    """

    columns: ClassVar[tuple[Column, ...]] = ()
    station: StationLike | None = None
    # The instant of the station's clock that counts as 0 s in the rows; the runner gives the run's own start.
    started_s: float | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.DATA_COLUMNS = [column.name for column in cls.columns]

    def acquire(self, station: StationLike) -> Iterator[Step]:
        """Measure, yielding each row as soon as it exists."""
        raise NotImplementedError

    def check(self) -> None:
        """Refuse parameters that contradict each other, before anything is opened.

        Raises:
            ConfigError: with the parameters' names.
        """

    def duration_s(self) -> float:
        """How long the measurement takes, about, without settling (s)."""
        raise NotImplementedError

    def get_estimates(self) -> float:
        """Pymeasure's name for the duration."""
        return self.duration_s()

    def values(self) -> dict[str, Any]:
        """Every parameter by attribute name, in the unit that the name carries."""
        return dict(self.parameter_values())

    def labels(self) -> list[tuple[str, str]]:
        """Every parameter as pymeasure writes it into a file: (its label, its value with unit)."""
        return [(parameter.name, str(parameter)) for parameter in self.parameter_objects().values()]

    def execute(self) -> None:
        """Run under pymeasure's Worker: each row goes to `emit`, and `should_stop` closes the generator.

        Raises:
            ConfigError: no station was given.
        """
        if self.station is None:
            raise ConfigError(
                f"{type(self).__name__} has no station",
                do="set its `station` attribute to Station.open('station.toml')",
            )
        steps = self.acquire(self.station)
        try:
            for step in steps:
                if isinstance(step, Progress):
                    self.emit("progress", 100.0 * step.fraction)
                elif isinstance(step, Mapping):
                    self.emit("results", self._record(step))
                if self.should_stop():
                    break
        finally:
            if isinstance(steps, Generator):
                steps.close()

    def _record(self, point: Mapping[str, Any]) -> dict[str, Any]:
        record = {name: point.get(name, math.nan) for name in self.DATA_COLUMNS}
        if "flags" in record:
            record["flags"] = ";".join(point.get("flags", ()))
        return record


def wait_until(clock: Clock, when_s: float) -> Iterator[None]:
    """Wait for an instant of the clock, stopping often enough to be aborted."""
    while (left_s := when_s - clock.now()) > 0:
        clock.sleep(min(left_s, _LONGEST_SLEEP_s))
        yield None


def settle(
    clock: Clock,
    thermometer: Thermometer,
    target_K: float,
    *,
    tolerance_K: float,
    window_s: float,
    timeout_s: float,
    drift_K_per_s: float | None = None,
    period_s: float = 1.0,
) -> Iterator[Step]:
    """Wait until the temperature at the sample is stable: see `core.stability.StabilityRule`.

    A reading that does not come, or that is no answer, is asked for again for some seconds.

    Raises:
        NotSettled: it was not stable by the time-out.
        CommunicationError: the thermometer gave no reading for too long.
    """
    rule = StabilityRule(
        target_K, tolerance_K, window_s, timeout_s, drift_K_per_s, longest_gap_s=_PATIENCE_s + 10.0 * period_s
    )
    stability = Stability(rule, clock.now())
    heard_s = clock.now()
    while True:
        try:
            temperature_K = thermometer.read_temperature()
        except CommunicationError as error:
            if clock.now() - heard_s > _PATIENCE_s:
                raise
            yield Waiting(f"{target_K:.3f} K: no reading ({error.what})")
            yield from wait_until(clock, clock.now() + period_s)
            continue
        now = heard_s = clock.now()
        verdict = stability.update(now, temperature_K)
        if verdict.stable:
            return
        if verdict.over:
            raise _not_settled(rule, verdict)
        yield Waiting(f"{target_K:.3f} K: now {temperature_K:.3f} K{_aside(verdict)}", verdict.left_s)
        yield from wait_until(clock, now + period_s)


def _aside(verdict: Verdict) -> str:
    drift = verdict.drift
    return "" if drift is None else f", drift {drift.per_s * 6e4:+.2g} ± {drift.error_per_s * 6e4:.1g} mK/min"


def _not_settled(rule: StabilityRule, verdict: Verdict) -> NotSettled:
    slow = "" if rule.drift_per_s is None else f" with less drift than {rule.drift_per_s * 6e4:g} mK/min"
    return NotSettled(
        f"the sample did not stay within {rule.tolerance * 1e3:g} mK of {rule.target:g} K for {rule.window_s:g} s"
        f"{slow} in {rule.time_limit_s:g} s; it is at {verdict.value:.3f} K{_aside(verdict)}",
        state="The field was not moved",
        do="allow more time or a wider tolerance, or look at the cryostat",
    )
