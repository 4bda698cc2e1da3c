"""The live fit: hears every row and refits off the acquisition thread at a bounded rate."""

import logging
import threading
from collections.abc import Sequence

from ..analysis.hall_loop import HallLoopEstimator, HallLoopSettings
from ..core.clock import Clock, SystemClock
from ..core.records import Estimate, Footer, Header, Row
from .listener import Listener, RunListener

log = logging.getLogger(__name__)
# A fit is followed by at least so many times its own duration without one.
_SHARE = 3.0


class LiveFit(Listener):
    """Feeds a Hall-loop estimator and tells `audience` what it concludes, at most every `period_s` of real time.

    The refit only ever reads a copy of the estimator's bins, so it cannot delay a row; the last estimate, made when
    the run has ended, depends on the rows alone and not on this computer's speed. `period_s = None` fits at the end
    only.
    """

    def __init__(
        self, audience: Sequence[RunListener] = (), *, period_s: float | None = 0.5, clock: Clock | None = None
    ) -> None:
        self.final: Estimate | None = None
        self.estimator: HallLoopEstimator | None = None
        self.audience = list(audience)
        self._period_s = period_s
        self._clock = clock or SystemClock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen = 0
        self._deaf: set[int] = set()

    def started(self, header: Header, folder: str) -> None:
        """Make an estimator for this run's columns and filter; procedures without a Hall loop get none."""
        self.estimator = estimator_for(header)
        if self.estimator is not None and self._period_s is not None:
            self._thread = threading.Thread(target=self._refit, name="live fit", daemon=True)
            self._thread.start()

    def row(self, row: Row) -> None:
        """Bin one row."""
        if self.estimator is not None:
            self.estimator.update(row)
            self._seen += 1

    def finish(self) -> Estimate | None:
        """Stop refitting and conclude from all rows."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self.estimator is not None:
            self.final = self.estimator.estimate()
            self._publish(self.final)
        return self.final

    def ended(self, footer: Footer, estimate: Estimate | None) -> None:
        """Nothing to do: the runner asked `finish` before it told the others."""

    def _refit(self) -> None:
        fitted = 0
        pause_s = period_s = self._period_s or 0.0
        while not self._stop.wait(pause_s):
            if self.estimator is not None and self._seen > fitted:
                fitted = self._seen
                began_s = self._clock.now()
                self._publish(self.estimator.live_estimate())
                # Python runs one thread at a time: a slow computer must not spend on fits what the rows need.
                pause_s = max(period_s, _SHARE * (self._clock.now() - began_s))

    def _publish(self, estimate: Estimate) -> None:
        for listener in self.audience:
            try:
                listener.estimate(estimate)
            except BaseException:
                if id(listener) not in self._deaf:
                    self._deaf.add(id(listener))
                    log.exception("%s failed at an estimate; the fit goes on", type(listener).__name__)


def estimator_for(header: Header) -> HallLoopEstimator | None:
    """The estimator that fits a run's columns, with the filter it was measured with; None if there is none."""
    names = [column.name for column in header.columns]
    if not {"field_T", "R_xy_ohm", "time_s"} <= set(names):
        return None
    settings = HallLoopSettings(
        time_constant_s=float(header.parameters.get("time_constant_s", 0.0)),
        poles=int(header.parameters.get("filter_poles", 1)),
    )
    return HallLoopEstimator(names, settings)
