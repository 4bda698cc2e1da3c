"""What is kept of a run: the journal while it runs, its CSV mirror, where both lie, and how they are read back."""

from .journal import Journal
from .layout import new_uid, run_folder, safe_name
from .mirror import CsvMirror
from .reader import read_run
from .record import Damage, DamageKind, EventRecord, LegRecord, RunRecord

__all__ = [
    "CsvMirror",
    "Damage",
    "DamageKind",
    "EventRecord",
    "Journal",
    "LegRecord",
    "RunRecord",
    "new_uid",
    "read_run",
    "run_folder",
    "safe_name",
]
