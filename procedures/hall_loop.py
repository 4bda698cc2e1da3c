"""A five-loop Hall sweep: set points 0 → +B → −B → +B → 0, four monotone legs, the field never waiting."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import ClassVar

from ..core.capabilities import (
    Activity,
    CurrentSource,
    FieldSource,
    LockIn,
    StationLike,
    TemperatureController,
)  # fmt: skip
from ..core.clock import Clock
from ..core.records import Column, Leg, Progress, Waiting
from .base import Procedure, Step, integer, number, settle, wait_until

# After the source is switched on or a range changed, the filter shows the old value for about this many n τ.
_FILTER_SETTLING = 4.0
_PROGRESS_EVERY_ROWS = 10


class HallLoop(Procedure):
    """R_xx and R_xy together against a continuously swept field, at one temperature.

    Needs the roles `field`, `temperature`, `source`, `lockin_xx` and `lockin_xy`. Field and voltages are read with
    timestamps of their own: at 2 mT/s a tenth of a second is 0.2 mT.
    """

    max_field_T: float = number("Maximum field", "T", 7.0, 0.001, 30.0)
    rate_T_per_s: float = number("Sweep rate", "T/s", 2e-3, 1e-6, 0.1)
    temperature_K: float = number("Temperature", "K", 5.0, 0.01, 400.0)
    excitation_A: float = number("Current rms", "A", 1e-6, 1e-12, 0.1)
    frequency_Hz: float = number("Frequency", "Hz", 17.77, 1e-3, 1e5)
    sensitivity_xx_V: float = number("Sensitivity R_xx", "V", 1e-3, 1e-9, 1.0)
    sensitivity_xy_V: float = number("Sensitivity R_xy", "V", 5e-4, 1e-9, 1.0)
    time_constant_s: float = number("Time constant", "s", 0.3, 1e-5, 3e4)
    filter_poles: int = integer("Filter poles", 4, 1, 4)
    period_s: float = number("Time between rows", "s", 1.0, 0.05, 3600.0)
    settle_tolerance_K: float = number("Settle tolerance", "K", 0.01, 1e-4, 10.0)
    settle_window_s: float = number("Settle window", "s", 60.0, 1.0, 86400.0)
    settle_timeout_s: float = number("Settle time limit", "s", 3600.0, 1.0, 1e6)

    columns: ClassVar[tuple[Column, ...]] = (
        Column("time_s", "time of the R_xy reading since the start", "s"),
        Column("leg", "number of the monotone piece", "", "index", dtype="int"),
        Column("field_set_T", "field µ0H the leg goes to", "T", "setpoint", "field"),
        Column("field_T", "field µ0H from the lead current", "T", "readback", "field"),
        Column("field_time_s", "time of the field reading since the start", "s"),
        Column("temperature_K", "temperature at the sample", "K", "readback", "temperature"),
        Column("x_xx_V", "in-phase voltage along the current, rms", "V", "readback", "lockin_xx"),
        Column("y_xx_V", "quadrature voltage along the current, rms", "V", "readback", "lockin_xx"),
        Column("x_xy_V", "in-phase Hall voltage, rms", "V", "readback", "lockin_xy"),
        Column("y_xy_V", "quadrature Hall voltage, rms", "V", "readback", "lockin_xy"),
        Column("time_xx_s", "time of the R_xx reading since the start", "s"),
        Column("R_xx_ohm", "longitudinal resistance", "ohm", "derived"),
        Column("R_xy_ohm", "Hall resistance", "ohm", "derived"),
        Column("flags", "what the instruments said of this row", "", "flags", dtype="str"),
    )

    def legs(self) -> list[Leg]:
        """The four monotone pieces between the five set points."""
        points = (0.0, self.max_field_T, -self.max_field_T, self.max_field_T, 0.0)
        return [Leg(n, a, b, self.rate_T_per_s) for n, (a, b) in enumerate(pairwise(points))]

    def travel_T(self) -> float:
        """The field's whole way (T): 42 T for ±7 T."""
        return 6.0 * self.max_field_T

    def duration_s(self) -> float:
        """The whole way at the set rate (s)."""
        return self.travel_T() / self.rate_T_per_s

    def acquire(self, station: StationLike) -> Iterator[Step]:
        """Settle, go to zero field, then sweep the four legs. However it is left, the magnet holds."""
        clock = station.clock
        field = station.role("field", FieldSource)
        source = station.role("source", CurrentSource)
        temperature = station.role("temperature", TemperatureController)
        lockin_xx = station.role("lockin_xx", LockIn)
        lockin_xy = station.role("lockin_xy", LockIn)
        start_s = clock.now() if self.started_s is None else self.started_s
        with ExitStack() as safe:
            # Last in, first out: the magnet holds first; a failure of one does not keep the other from acting.
            safe.callback(source.output_off)
            safe.callback(field.hold)
            temperature.set_temperature(self.temperature_K)
            for lockin, sensitivity_V in ((lockin_xx, self.sensitivity_xx_V), (lockin_xy, self.sensitivity_xy_V)):
                lockin.configure(
                    sensitivity_V=sensitivity_V, time_constant_s=self.time_constant_s, poles=self.filter_poles
                )
            source.start_sine(rms_A=self.excitation_A, frequency_Hz=self.frequency_Hz)
            yield from settle(
                clock, temperature, self.temperature_K, tolerance_K=self.settle_tolerance_K,
                window_s=self.settle_window_s, timeout_s=self.settle_timeout_s,
            )  # fmt: skip
            yield from self._go_to_zero(station, field)
            filter_s = _FILTER_SETTLING * self.filter_poles * self.time_constant_s
            yield Waiting("lock-in filters", filter_s)
            yield from wait_until(clock, clock.now() + filter_s)
            for lockin in (lockin_xx, lockin_xy):
                lockin.read_xy()  # what was latched while the source came on belongs to no row
            meters = (field, temperature, lockin_xx, lockin_xy)
            travelled_T = 0.0
            for leg in self.legs():
                yield leg
                field.sweep_to(leg.stop_T, leg.rate_T_per_s)
                yield from self._follow(clock, start_s, leg, travelled_T, *meters)
                travelled_T += abs(leg.stop_T - leg.start_T)

    def _go_to_zero(self, station: StationLike, field: FieldSource) -> Iterator[Step]:
        """The loop begins at zero field, wherever the last one was left."""
        field.sweep_to(0.0, self.rate_T_per_s)
        while (look := field.poll()).activity is Activity.RAMPING:
            now_T = look.field_T
            yield Waiting(f"zero field: now {now_T:+.3f} T", abs(now_T) / self.rate_T_per_s, state="Ramping")
            yield from wait_until(station.clock, station.clock.now() + 1.0)

    def _follow(
        self, clock: Clock, start_s: float, leg: Leg, travelled_T: float,
        field: FieldSource, temperature: TemperatureController, lockin_xx: LockIn, lockin_xy: LockIn,
    ) -> Iterator[Step]:  # fmt: skip
        """Give rows at the set period until the field has arrived."""
        due_s = clock.now()
        rows = 0
        arrived = False
        while not arrived:
            yield from wait_until(clock, due_s)
            due_s = max(due_s + self.period_s, clock.now())
            b = field.poll()
            arrived = b.activity is Activity.HOLDING
            xy = lockin_xy.read_xy()
            xx = lockin_xx.read_xy()
            yield {
                "time_s": round(xy.time_s - start_s, 6),
                "leg": leg.number,
                "field_set_T": leg.stop_T,
                "field_T": b.field_T,
                "field_time_s": round(b.time_s - start_s, 6),
                "temperature_K": temperature.read_temperature(),
                "x_xx_V": xx.x_V,
                "y_xx_V": xx.y_V,
                "x_xy_V": xy.x_V,
                "y_xy_V": xy.y_V,
                "time_xx_s": round(xx.time_s - start_s, 6),
                "R_xx_ohm": xx.x_V / self.excitation_A,
                "R_xy_ohm": xy.x_V / self.excitation_A,
                "flags": (*b.flags, *(f"xy {flag}" for flag in xy.flags), *(f"xx {flag}" for flag in xx.flags)),
            }
            if rows % _PROGRESS_EVERY_ROWS == 0:
                done_T = travelled_T + min(abs(b.field_T - leg.start_T), abs(leg.stop_T - leg.start_T))
                fraction = min(1.0, max(0.0, done_T / self.travel_T()))
                yield Progress(fraction, (1.0 - fraction) * self.duration_s())
            rows += 1
