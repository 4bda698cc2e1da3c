"""Who listens to a run: the mirror, the live fit, the terminal, the window. Listening decides nothing."""

from typing import Protocol

from ..core.records import Estimate, Event, Footer, Header, Leg, Progress, Row, Waiting


class RunListener(Protocol):
    """What is told while a run goes on.

    Called on the acquisition thread, in order, after the journal has kept what is told, and must return at once;
    `estimate` may come from another thread. What a listener raises is logged and never stops a run.
    """

    def started(self, header: Header, folder: str) -> None:
        """The run began; its files are in `folder`."""

    def leg_started(self, leg: Leg) -> None:
        """A monotone piece of the sweep began."""

    def row(self, row: Row) -> None:
        """A row was measured and kept."""

    def waiting(self, waiting: Waiting) -> None:
        """There is no row to give yet, and why."""

    def progress(self, progress: Progress) -> None:
        """How far the run is."""

    def event(self, event: Event) -> None:
        """Something happened beside the rows."""

    def estimate(self, estimate: Estimate) -> None:
        """The live fit concluded something new."""

    def ended(self, footer: Footer, estimate: Estimate | None) -> None:
        """The run is over, its file closed, the hardware as the footer says."""


class Listener(RunListener):
    """A listener that ignores everything; subclasses hear what they override."""
