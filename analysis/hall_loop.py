"""The coercive field of a Hall loop, live: rows go in one by one, an estimate with its uncertainty comes out.

`update` is for the thread that measures: plain arithmetic in constant time. `estimate` is for another thread: it
copies the bins under a lock that is held for microseconds and fits the copy. `analyze_hall_loop` feeds a finished
run through the same code, so that live and later answers are one.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd

from ..core.records import Estimate, EstimateStatus, Measured, Row
from .legs import BinWidths, LegTracker, Point, table_of
from .loop_approach import Memory
from .loop_choice import FitSettings
from .loop_data import LegView, legs_of
from .loop_fit import LoopFit
from .loop_model import AMPLITUDE
from .models import FloatArray
from .motion import SteadyMotion
from .spikes import SpikeGate
from .verdict import FieldErrors, Verdict, conclude

# A row with a flag that holds one of these words has no valid R_xy.
BAD_FLAGS = (
    "overload", "unlock", "settling", "overrange", "over range", "invalid", "nan", "fault", "error", "timeout",
)  # fmt: skip

_STATE_SCHEMA = 1
_UNKNOWN_FILTER_U_S = 5.0


@dataclass(frozen=True)
class HallLoopSettings:
    """What is known of the set-up. Only the lock-in's time constant and number of poles must be given.

    `extra_delay_s` ± `extra_delay_u_s` is what is believed of the delay beyond the lock-in's before the data speak: a
    current-derived readback leads the sample's field by L/R of the persistent switch, never the other way.
    `target_u_T` is the u(B_C) that the operator asks for: `Estimate.may_stop` says when it is reached.
    `trapped_u_T` is the size of the magnet's trapped flux to reckon with, `memory_T` the field that renews it.
    """

    time_constant_s: float
    poles: int
    bin_T: float = 0.002
    fine_window_T: float = 0.5
    readback_resolution_T: float = 1e-4
    settle_s: float | None = None
    extra_delay_s: float = 1.0
    extra_delay_u_s: float = 1.5
    trapped_u_T: float = 2e-3
    memory_T: float = 1.0
    zero_u_T: float = 5e-5
    most_rate_T_per_s: float = 0.2
    target_u_T: float | None = None

    @property
    def lock_in_delay_s(self) -> float:
        """nτ, the mean delay of n equal poles."""
        return self.poles * self.time_constant_s


@dataclass(frozen=True, slots=True)
class LegCurve:
    """One leg for a plot: bin centres, mean R_xy, the fit (NaN without one) and R_xy less all but the loop.

    `field_T` is the readback, `corrected_T` the field at the sample after lag and trapped flux.
    """

    number: int
    rising: bool
    field_T: FloatArray
    r_xy_ohm: FloatArray
    corrected_T: FloatArray
    fitted_ohm: FloatArray
    ahe_ohm: FloatArray
    ahe_fitted_ohm: FloatArray


class HallLoopEstimator:
    """B_C from the rows of one run. Restart it after a crash by giving it the rows again: it is deterministic.

    Raises:
        ValueError: `columns` lack the field or R_xy.
    """

    def __init__(self, columns: Sequence[str], settings: HallLoopSettings) -> None:
        names = list(columns)
        missing = [name for name in ("field_T", "R_xy_ohm") if name not in names]
        if missing:
            raise ValueError(f"a Hall loop needs the columns {', '.join(missing)}; found {', '.join(names)}")
        self.settings = settings
        self._field = names.index("field_T")
        self._r_xy = names.index("R_xy_ohm")
        self._time = names.index("time_s") if "time_s" in names else -1
        self._field_time = names.index("field_time_s") if "field_time_s" in names else -1
        self._r_xx = names.index("R_xx_ohm") if "R_xx_ohm" in names else -1
        self._temperature = names.index("temperature_K") if "temperature_K" in names else -1
        self._flags = names.index("flags") if "flags" in names else -1
        settle_s = settings.settle_s
        if settle_s is None:
            settle_s = 5.0 * max(settings.lock_in_delay_s, 1.5)
        self._motion = SteadyMotion(settle_s, settings.readback_resolution_T)
        self._tracker = LegTracker(BinWidths(settings.bin_T, settings.fine_window_T))
        self._spikes = SpikeGate()
        self._lock = Lock()
        self._last: tuple[float, float] | None = None
        self._last_n = -1
        self._memory: Memory | None = None
        self._temperatures = [0, 0.0, 0.0]
        self.rows = 0
        self.skipped = 0

    @property
    def spikes(self) -> int:
        """How many rows were dropped as lone wild readings."""
        return self._spikes.dropped

    def update(self, row: Row) -> None:
        """Take one row. Rows that are flagged, incomplete, repeated or out of order are skipped and counted."""
        self.rows += 1
        values = row.values
        if row.n <= self._last_n:
            self.skipped += 1
            return
        self._last_n = row.n
        flags = self._flags
        if (row.flags and _bad(row.flags)) or (flags >= 0 and values[flags] and _bad((values[flags],))):
            self.skipped += 1
            return
        time_s = values[self._time] if self._time >= 0 else row.time_s
        field_s = values[self._field_time] if self._field_time >= 0 else time_s
        field_T = values[self._field]
        r_xy = values[self._r_xy]
        r_xx = values[self._r_xx] if self._r_xx >= 0 else 0.0
        try:
            # One sum tests all: None raises, NaN and infinity stay.
            good = math.isfinite(time_s + field_s + field_T + r_xy + r_xx)
        except TypeError:
            good = False
        last = self._last
        if good and last is not None:
            elapsed_s = field_s - last[0]
            limit_T = self.settings.most_rate_T_per_s * elapsed_s + self.settings.readback_resolution_T
            good = elapsed_s > 0.0 and abs(field_T - last[1]) <= limit_T
        if not good:
            self.skipped += 1
            return
        self._last = (field_s, field_T)
        motion = self._motion
        rate = motion.rate_T_per_s(field_s, field_T)
        point: Point | None = None
        if rate is not None:
            # R_xy was read at another instant than the field: take the field there.
            point = (time_s, field_T + rate * (time_s - field_s), rate, r_xy, r_xx, motion.steady_s)
        ready = self._spikes.push(field_T, point)
        with self._lock:
            if ready is not None:
                self._tracker.follow(ready[0], ready[1])
            if self._temperature >= 0:
                self._warm(values[self._temperature])

    def _warm(self, temperature_K: Any) -> None:
        if isinstance(temperature_K, float) and temperature_K == temperature_K:
            total = self._temperatures
            total[0] += 1
            delta = temperature_K - total[1]
            total[1] += delta / total[0]
            total[2] += delta * (temperature_K - total[1])

    def state(self) -> dict[str, Any]:
        """Everything needed to go on after a restart, as JSON knows it; its size does not grow with the rows.

        To be asked for on the thread that calls `update`.
        """
        with self._lock:
            return {
                "schema": _STATE_SCHEMA, "rows": self.rows, "skipped": self.skipped, "last_n": self._last_n,
                "last": self._last, "temperatures": list(self._temperatures), "motion": self._motion.state(),
                "tracker": self._tracker.state(), "spikes": self._spikes.state(),
            }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave, with the same columns and settings.

        Raises:
            ValueError: the state is of another version of this estimator: give it the rows again instead.
        """
        if state.get("schema") != _STATE_SCHEMA:
            raise ValueError("this state was kept by another version of the estimator: give it the rows again")
        with self._lock:
            self.rows, self.skipped, self._last_n = state["rows"], state["skipped"], state["last_n"]
            self._last = state["last"] and (state["last"][0], state["last"][1])
            self._temperatures = list(state["temperatures"])
            self._motion.restore(state["motion"])
            self._tracker.restore(state["tracker"])
            self._spikes.restore(state["spikes"])

    def estimate(self) -> Estimate:
        """What the rows so far allow to be said. May be called from any thread; the same rows, the same answer."""
        return self._judge()[0].estimate

    def live_estimate(self) -> Estimate:
        """The same within a fraction of its uncertainty, sooner: only what new rows can change is fitted again.

        For one thread at a time. Everything is fitted anew when a leg came or ended or the rows grew by a tenth.
        """
        verdict, _ = self._judge(self._memory)
        self._memory = verdict.memory
        return verdict.estimate

    def _reached(self, estimate: Estimate) -> bool:
        target_T, found = self.settings.target_u_T, estimate.values.get("coercive_field_T")
        return bool(target_T and estimate.status is EstimateStatus.RESOLVED and found and found.u <= target_T)

    def _may_stop(self, legs: Sequence[LegView], estimate: Estimate, fit: FitSettings, errors: FieldErrors) -> bool:
        """Whether the target is reached, and was without the last loop: once may be luck."""
        if not self._reached(estimate):
            return False
        turned = [leg for leg in legs if leg.turned and leg.renewed]
        pairs = min(sum(leg.rising for leg in turned), sum(not leg.rising for leg in turned))
        if pairs < 2:
            return False
        before = [leg for leg in legs if leg.number < turned[-2].number]
        return self._reached(conclude(before, fit, errors, rows=estimate.rows).estimate)

    def curve(self) -> tuple[LegCurve, ...]:
        """Per leg what a plot needs, with the present fit."""
        verdict, legs = self._judge()
        return tuple(_curve(leg, verdict.fit) for leg in legs)

    def _judge(self, memory: Memory | None = None) -> tuple[Verdict, list[LegView]]:
        with self._lock:
            table = table_of(self._tracker.legs)
            count, mean, squares = self._temperatures
            rows, skipped, spikes = self.rows, self.skipped, self.spikes
        legs = legs_of(table)
        s = self.settings
        fit_settings = FitSettings(
            s.time_constant_s, s.poles, s.fine_window_T, s.extra_delay_s, s.extra_delay_u_s, s.trapped_u_T,
            s.memory_T, self._r_xx >= 0,
        )  # fmt: skip
        extra: dict[str, Measured] = {}
        if count > 1:
            # The spread over the loop, not the error of its mean: the sample was at all of these temperatures.
            extra["temperature_K"] = Measured(mean, max(math.sqrt(squares / (count - 1)), 1e-6))
        notes: list[str] = []
        if skipped:
            notes.append(f"{skipped} of {rows} rows were skipped: flagged, incomplete, repeated or out of order")
        if spikes:
            notes.append(f"{spikes} rows were dropped as spikes")
        errors = FieldErrors(0.3 * s.readback_resolution_T, s.zero_u_T)
        try:
            verdict = conclude(legs, fit_settings, errors, rows=rows, notes=tuple(notes), extra=extra, memory=memory)
        except np.linalg.LinAlgError:
            reason = "the rows so far do not determine a fit"
            text = f"not resolved: {reason}"
            verdict = Verdict(Estimate(EstimateStatus.NOT_RESOLVED, extra, (reason, *notes), {}, text, rows))
        if self._may_stop(legs, verdict.estimate, fit_settings, errors):
            verdict = replace(verdict, estimate=replace(verdict.estimate, may_stop=True))
        return verdict, legs


def _bad(flags: Iterable[Any]) -> bool:
    return any(word in flag.lower() for flag in flags if isinstance(flag, str) for word in BAD_FLAGS)


def _curve(leg: LegView, fit: LoopFit | None) -> LegCurve:
    points = leg.points
    order = np.argsort(points.field_T)
    nothing = np.full(points.size, np.nan)
    corrected, fitted, ahe, ahe_fitted = points.field_T, nothing, nothing, nothing
    if fit is not None:
        inside = np.abs(points.field_T) < fit.model.window_T
        corrected, values, loop = fit.model.on(points, fit.p)
        fitted = np.where(inside, values, np.nan)
        ahe_fitted = np.where(inside, loop * fit.p[AMPLITUDE], np.nan)
        ahe = points.r_xy_ohm - fitted + ahe_fitted
    return LegCurve(
        leg.number, leg.rising, points.field_T[order], points.r_xy_ohm[order], corrected[order], fitted[order],
        ahe[order], ahe_fitted[order],
    )  # fmt: skip


def analyze_hall_loop(
    frame: pd.DataFrame,
    *,
    time_constant_s: float | None = None,
    poles: int = 1,
    readback_delay_s: float | None = None,
    readback_delay_u_s: float = 0.3,
    target_u_T: float | None = None,
    settings: HallLoopSettings | None = None,
) -> Estimate:
    """The estimate of a finished run, by the code that runs live.

    `frame` needs `field_T`, `R_xy_ohm` and `time_s`; it is the better for `field_time_s`, `R_xx_ohm`,
    `temperature_K` and `flags`. What is known of the set-up comes as keywords: the lock-in's time constant and number
    of poles (without them its delay is left to the data), and by how much the voltage is behind the field that was
    read, beyond the lock-in's own delay. `settings` replaces all of them.

    Raises:
        ValueError: a needed column is missing.
    """
    if settings is None:
        settings = HallLoopSettings(time_constant_s or 0.0, poles, target_u_T=target_u_T)
        if time_constant_s is None:
            settings = replace(settings, extra_delay_s=2.0, extra_delay_u_s=_UNKNOWN_FILTER_U_S)
        if readback_delay_s is not None:
            settings = replace(settings, extra_delay_s=readback_delay_s, extra_delay_u_s=readback_delay_u_s)
    return estimator_of(frame, settings).estimate()


def estimator_of(frame: pd.DataFrame, settings: HallLoopSettings) -> HallLoopEstimator:
    """An estimator that has seen every row of `frame`, to ask for its curve as well."""
    if "time_s" not in frame.columns:
        raise ValueError("a Hall loop needs the column time_s")
    columns = [str(name) for name in frame.columns]
    estimator = HallLoopEstimator(columns, settings)
    lists = [frame[name].tolist() for name in frame.columns]
    for n, values in enumerate(zip(*lists, strict=True)):
        estimator.update(Row(n, 0.0, 0.0, values))
    return estimator
