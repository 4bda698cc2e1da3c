"""The runner: pulls rows from a procedure, keeps each before anyone sees it, then tells the listeners.

All instrument I/O happens on the thread that calls `run`. An abort is a request, acted on at the next place where the
procedure yields: its generator is closed, which leaves the magnet on hold, and only then is the run's end written.
"""

import logging
import platform
import secrets
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

from ..core.errors import RemanenceError, StorageError
from ..core.records import Estimate, Event, Footer, Header, Leg, Outcome, Progress, Row, Waiting
from ..procedures.base import Procedure, Step
from ..storage import CsvMirror, Journal, new_uid, run_folder
from .listener import Listener, RunListener
from .live_fit import LiveFit
from .station import Station

log = logging.getLogger(__name__)
_UID_RANDOM_BYTES = 10
_MOST_COPIES = 1000
_LOOK_EVERY_s = 1.0


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run: where it is, how it ended, what the live fit concluded, and the error if one stopped it."""

    folder: Path
    header: Header
    footer: Footer
    estimate: Estimate | None = None
    error: BaseException | None = None


class _Mirror(Listener):
    def __init__(self, path: Path, procedure: Procedure) -> None:
        name = f"{type(procedure).__module__}.{type(procedure).__name__}"
        self._csv = CsvMirror(path, name, procedure.labels(), procedure.DATA_COLUMNS)

    def row(self, row: Row) -> None:
        self._csv.row(row)

    def ended(self, footer: Footer, estimate: Estimate | None) -> None:
        self._csv.close()


class Runner:
    """Runs procedures on a station and keeps them under `root`.

    `random_bytes` makes the run's identifier: give a seeded one for a repeatable run.
    """

    def __init__(
        self,
        station: Station,
        root: Path,
        *,
        listeners: Sequence[RunListener] = (),
        live_fit: LiveFit | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.station = station
        self._root = root
        self._listeners: list[RunListener] = [*([live_fit] if live_fit else []), *listeners]
        self._live_fit = live_fit
        self._random_bytes = random_bytes
        self._abort_reason = ""
        # How often it was asked for: a later request ends what an earlier one began.
        self.requests = 0

    def abort(self, reason: str) -> None:
        """Ask the run to stop at its next yield, the magnet on hold. May be called from anywhere, also a signal.

        Asked again, a run that is on its way to where its magnet is left after an abort holds it there.
        """
        self._abort_reason = self._abort_reason or reason
        self.requests += 1

    def run(
        self, procedure: Procedure, *, sample: str = "", note: str = "", recipe: Mapping[str, Any] | None = None
    ) -> RunResult:
        """Run one procedure to its end, whatever that is; errors end in the result, not in an exception.

        Raises:
            ConfigError: the parameters contradict each other; nothing was opened.
            StorageError: the run's folder or journal cannot be made; nothing was sent to any instrument.
            StationLocked: another process drives this station.
        """
        procedure.check()
        if self.station.locked is not None:
            raise self.station.locked
        started = self.station.clock.utc()
        uid = new_uid(started, self._random_bytes(_UID_RANDOM_BYTES))
        header = self._header(procedure, uid, sample, note, recipe or {})
        folder = self._folder(header.rig, started, uid)
        with Journal(folder / "run.jsonl") as journal:
            journal.head(header)
            listeners = [_Mirror(folder / "run.csv", procedure), *self._listeners]
            run = _Run(self, journal, header, listeners)
            run.tell("started", header, str(folder))
            footer, error = run.drive(procedure)
        # Only now: a request that came before the run began was meant for it.
        self._abort_reason = ""
        estimate = self._conclude()
        for listener in listeners:
            run.tell_one(listener, "ended", footer, estimate)
        return RunResult(folder, header, footer, estimate, error)

    def _conclude(self) -> Estimate | None:
        try:
            return self._live_fit.finish() if self._live_fit else None
        except KeyboardInterrupt:
            log.warning("the final fit was cut short; `remanence analyze` repeats it")
            return None
        except Exception:
            # The rows are kept and the magnet holds; a fit that fails can be repeated from the journal.
            log.exception("the final fit failed; `remanence analyze` repeats it")
            return None

    @property
    def abort_reason(self) -> str:
        """Why the run was asked to stop; empty if it was not."""
        return self._abort_reason

    def _folder(self, rig: str, started: datetime, uid: str) -> Path:
        """The run's own folder. A seeded run that is repeated has the same identifier and gets a numbered one."""
        for copy in range(1, _MOST_COPIES):
            try:
                return run_folder(self._root, rig, started, uid if copy == 1 else f"{uid}-{copy}")
            except StorageError as error:
                if not isinstance(error.__cause__, FileExistsError):
                    raise
        raise StorageError(f"the run {uid} was repeated {_MOST_COPIES} times", where=str(self._root))

    def _header(self, procedure: Procedure, uid: str, sample: str, note: str, recipe: Mapping[str, Any]) -> Header:
        clock, description = self.station.clock, self.station.description
        # One instant for both clocks: every row's UTC is reckoned from it.
        started, started_s = clock.utc(), clock.now()
        return Header(
            uid=uid,
            procedure=f"{type(procedure).__module__}.{type(procedure).__name__}",
            parameters=procedure.values(),
            columns=procedure.columns,
            station=description.name,
            rig=description.rig,
            sample=sample,
            simulated=self.station.world is not None,
            started_utc=started.isoformat(),
            started_utc_s=started.timestamp(),
            monotonic_s=started_s,
            software={"remanence": version("remanence"), "python": platform.python_version()},
            recipe=recipe,
            note=note,
        )


class _Run:
    """One run under way."""

    def __init__(self, runner: Runner, journal: Journal, header: Header, listeners: Sequence[RunListener]) -> None:
        self._runner = runner
        self._station = runner.station
        self._clock = runner.station.clock
        self._journal = journal
        self._listeners = listeners
        self._columns = [column.name for column in header.columns]
        self._start_s = header.monotonic_s
        self._start_utc_s = header.started_utc_s
        self._rows = 0
        self._leg: Leg | None = None
        self._deaf: set[int] = set()
        # The settings last kept of each instrument, and whether the procedure has made its own.
        self._kept: dict[str, Mapping[str, Any]] = {}
        self._configured = False
        # Whether a magnet was taken elsewhere after it was held.
        self._left = False

    def drive(self, procedure: Procedure) -> tuple[Footer, BaseException | None]:
        """Pull until the end, make safe, and write how it ended."""
        for guard in self._station.guards.values():
            guard.record, guard.moved = self._note, False
        for loop in self._station.loops:
            loop.begin()
        outcome, reason = Outcome.COMPLETED, ""
        error: BaseException | None = None
        procedure.started_s = self._start_s
        steps = cast("Generator[Step, None, None]", procedure.acquire(self._station))
        try:
            self._keep_settings()
            for step in steps:
                self._station.look_after()
                if step is not None:
                    self._take(step)
                if self._runner.abort_reason:
                    outcome, reason = Outcome.ABORTED, self._runner.abort_reason
                    break
        except KeyboardInterrupt:
            outcome, reason = Outcome.ABORTED, self._runner.abort_reason or "Ctrl-C"
        except BaseException as caught:
            # Whatever it was, SystemExit too: the magnet must hold and the run must end on the record.
            outcome, reason, error = Outcome.FAILED, _first_cause(caught), caught
        unsafe = self._close(steps)
        if isinstance(unsafe, KeyboardInterrupt):
            # Somebody had no patience with a shutdown that hung; what it left undone is made safe below.
            outcome = Outcome.ABORTED if outcome is Outcome.COMPLETED else outcome
            reason = f"{reason or 'Ctrl-C'}. Its own shutdown was cut short by Ctrl-C"
        elif unsafe is not None:
            reason = f"{reason}. Then, while making safe: {unsafe}" if reason else str(unsafe)
            outcome, error = Outcome.FAILED, error or unsafe
        if outcome is Outcome.COMPLETED:
            unready = self._leave("on_end")
            if unready is not None:
                outcome, reason, error = Outcome.FAILED, str(unready), unready
        if outcome is Outcome.COMPLETED:
            trouble = self._station.sources_off()
            if trouble:
                outcome, reason = Outcome.FAILED, " ".join(trouble)
                error = RemanenceError(f"the run is complete, and something could not be switched off: {reason}")
        # Held first, whatever comes then.
        hardware = self._station.make_safe() if outcome is not Outcome.COMPLETED else self._station.describe()
        if outcome is not Outcome.COMPLETED:
            unready = self._leave("on_abort")
            hardware = hardware if unready is None and not self._left else self._station.describe()
            reason = reason if unready is None else f"{reason}. Then, on the way to zero: {unready}"
        if error is None:
            self._keep_changes()
        footer = Footer(outcome, self._rows, reason, hardware)
        try:
            self._end(footer, error)
        except RemanenceError as caught:
            # The disk is gone: the rows kept so far are safe, and without an end record the run reads as interrupted.
            return Footer(Outcome.FAILED, self._rows, str(caught), hardware), caught
        return footer, error

    def _leave(self, when: Literal["on_end", "on_abort"]) -> BaseException | None:
        """Bring each magnet that this run moved to where its settings want it; gives what kept one from it.

        A magnet that holds is where it is wanted after an abort. Ctrl-C, or a request to stop, holds it on its way.
        """
        for guard in self._station.guards.values():
            if guard.limits is None or not guard.moved or (when == "on_abort" and guard.limits.on_abort == "hold"):
                continue
            self._left = True
            requests = self._runner.requests
            try:
                for _ in guard.leave(guard.limits.on_end if when == "on_end" else guard.limits.on_abort):
                    self._clock.sleep(_LOOK_EVERY_s)
                    if self._runner.requests != requests:
                        guard.hold()
                        return RemanenceError(f"{self._runner.abort_reason}, before it was there")
            except BaseException as caught:
                # Ctrl-C too: the magnet holds, and the run gets its end on the record.
                try:
                    guard.hold()
                except Exception as worse:
                    return worse
                return caught
        return None

    def _keep_settings(self) -> None:
        """Keep the settings of each instrument that has others than when they were kept last."""
        for record in self._station.records():
            if self._kept.get(record.name) != record.settings:
                self._kept[record.name] = record.settings
                self._journal.instrument(record)

    def _keep_changes(self) -> None:
        """As the procedure set them. An instrument that cannot tell them now has told its readings' worth already."""
        try:
            self._keep_settings()
        except StorageError:
            raise
        except RemanenceError as error:
            self.event(Event("warning", "settings", f"not all settings could be read again: {error}"))

    def _take(self, step: Step) -> None:
        if isinstance(step, Mapping):
            now_s = self._clock.now() - self._start_s
            flags = tuple(step.get("flags", ()))
            point = {**step, "flags": ";".join(flags)}
            values = tuple([point.get(name) for name in self._columns])
            row = Row(self._rows, now_s, self._start_utc_s + now_s, values, flags)
            self._journal.row(row)
            self._rows += 1
            self.tell("row", row)
            self._begun()
        elif isinstance(step, Leg):
            self._begun()
            self._leg_ended()
            self._journal.leg_started(step, self._rows, self._clock.now() - self._start_s)
            self._leg = step
            self.tell("leg_started", step)
        elif isinstance(step, Progress):
            self.tell("progress", step)
        elif isinstance(step, Waiting):
            self.tell("waiting", step)

    def _begun(self) -> None:
        """By its first leg or row a procedure has made its settings."""
        if not self._configured:
            self._configured = True
            self._keep_changes()

    def event(self, event: Event) -> None:
        """Keep an event, then tell it."""
        now_s = self._clock.now() - self._start_s
        self._journal.event(event, now_s, self._start_utc_s + now_s)
        self.tell("event", event)

    def _note(self, command: str) -> None:
        """Keep what the guard sends. A full disk must not keep a hold from the magnet."""
        try:
            self.event(Event("info", "guard", command))
        except RemanenceError as error:
            log.warning("the guard's %r is not on record: %s", command, error)

    def _leg_ended(self) -> None:
        if self._leg is not None:
            self._journal.leg_ended(self._leg, self._rows - 1, self._clock.now() - self._start_s)
            self._leg = None

    def _close(self, steps: "Generator[Step, None, None]") -> BaseException | None:
        """Close the generator: the procedure's safe shutdown. Its failure is told, and others still act."""
        try:
            steps.close()
        except BaseException as caught:
            return caught
        return None

    def _end(self, footer: Footer, error: BaseException | None) -> None:
        if error is not None:
            text = "".join(traceback.format_exception(error))
            self.event(Event("error", type(error).__name__, footer.reason, {"traceback": text}))
        if footer.outcome is Outcome.COMPLETED:
            self._leg_ended()  # an aborted leg stays open: it is the one that a resume repeats
        now_s = self._clock.now() - self._start_s
        self._journal.end(footer, now_s, self._start_utc_s + now_s)

    def tell(self, what: str, *args: object) -> None:
        """Tell every listener."""
        for listener in self._listeners:
            self.tell_one(listener, what, *args)

    def tell_one(self, listener: RunListener, what: str, *args: object) -> None:
        """Tell one listener; what it raises is logged once and stops nothing."""
        try:
            getattr(listener, what)(*args)
        except KeyboardInterrupt:
            self._runner.abort("Ctrl-C")
        except BaseException:
            # SystemExit too: a console whose reader went away raises it, and a magnet is not to be left for that.
            if id(listener) not in self._deaf:
                self._deaf.add(id(listener))
                log.exception("%s failed at %r; the run goes on", type(listener).__name__, what)


def _first_cause(error: BaseException) -> str:
    """What went wrong first, then what went wrong while making safe: a failing hold must not hide its cause.

    An error raised `from` another explains it; one raised while another was being handled came later.
    """
    first: RemanenceError | None = None
    node: BaseException | None = error
    while node is not None:
        if node.__cause__ is not None or node.__suppress_context__:
            node = node.__cause__
            continue
        node = node.__context__
        if isinstance(node, RemanenceError):
            first = node
    return str(error) if first is None else f"{first} Then, while making safe: {error}"
