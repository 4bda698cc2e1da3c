"""What stands in the way of a run, found out by looking only: nothing that is asked here moves or switches anything.

Each finding is one line for a person and a few values for a program. A run could start when none of them is bad.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from ..core.capabilities import Activity, MagnetPowerSupply
from ..core.clock import Clock, SystemClock
from ..core.errors import ConfigError, RemanenceError, StationLocked
from ..instruments.magnet_limits import MagnetLimits
from ..instruments.magnet_memory import DiskFiles, MagnetMemory
from ..procedures.base import Procedure
from .recipe import check_limits
from .state_folder import state_folder
from .station import Station

# A run writes a few kilobytes a second; what is left must hold a night of it, with the pictures.
_LEAST_FREE_B = 1e9
# The journal is synced within 50 ms of each row: a disk that takes longer keeps it waiting.
_SLOW_SYNC_s = 0.05
_SYNCS, _BLOCK = 16, 4096
_PROBE = "import PySide6.QtWidgets, pyqtgraph, qtpy"
_PROBE_s = 30.0
_PACKAGES = ("remanence", "pymeasure", "pyvisa", "pyvisa-py", "numpy", "PySide6-Essentials")


class Weight(StrEnum):
    """What a finding means for a run: nothing, something to know, or that it could not start."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: its kind and name, what was found, and the exit code if that is bad."""

    kind: str
    name: str
    weight: Weight
    text: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    exit_code: int = 4


def inquire(
    path: Path,
    *,
    root: Path,
    simulate: bool = False,
    procedure: Procedure | None = None,
    places: Mapping[str, str] | None = None,
    state: Path | None = None,
    clock: Clock | None = None,
    screen: Callable[[], str] | None = None,
) -> list[Finding]:
    """Look at a station, this computer, and what a procedure asks of both.

    `state` is the folder of leases and magnets, `screen` finds out whether a window could open and why not.

    Raises:
        ConfigError: the station file is wrong.
    """
    real = clock or SystemClock()
    errors: dict[str, RemanenceError] = {}
    with Station.open(path, simulate=simulate, look_only=True, errors=errors, state=state) as station:
        findings = [
            *_instruments(station, errors),
            *_magnets(station, None if simulate else state),
            *_leases(station, simulate),
        ]
        if procedure is not None:
            findings.append(_recipe(station, procedure, places or {}))
    return [*findings, _clock(real), _disk(root, real), _screen(screen or _no_window), _versions()]


def exit_code(findings: list[Finding]) -> int:
    """0 if a run could start; else that of what stands in its way, another process first."""
    codes = [finding.exit_code for finding in findings if finding.weight is Weight.BAD]
    return StationLocked.exit_code if StationLocked.exit_code in codes else next(iter(codes), 0)


def _instruments(station: Station, errors: Mapping[str, RemanenceError]) -> Iterator[Finding]:
    for name, entry in station.description.instruments.items():
        data: dict[str, Any] = {"resource": entry.resource, "driver": entry.driver}
        if name in errors:
            error = errors[name]
            yield Finding("instrument", name, Weight.BAD, str(error), data, error.exit_code)
            continue
        identity, serial = station.identities[name], station.serials.get(name, "")
        data |= {"identity": identity, "serial": serial}
        shown = "" if not serial or serial in identity else f", serial number {serial}"
        try:
            settings = station.instruments[name].settings()
        except RemanenceError as error:
            yield Finding("instrument", name, Weight.BAD, f"{identity}: {error}", data, error.exit_code)
            continue
        unread = [key for key, value in settings.items() if str(value).startswith("unreadable")]
        weight = Weight.NOTE if unread else Weight.OK
        also = f"; cannot be read: {', '.join(unread)}" if unread else ""
        yield Finding("instrument", name, weight, f"{identity}{shown}{also}", data | {"settings": settings})


def _magnets(station: Station, state: Path | None) -> Iterator[Finding]:
    for name, guard in station.guards.items():
        data: dict[str, Any] = {"armed": guard.limits is not None, "problem": guard.problem}
        # Only the magnet that plays a role keeps a run from starting.
        wanted = name in station.description.roles.values()
        supply = station.instruments[name]
        if guard.limits is None or not isinstance(supply, MagnetPowerSupply):
            # Somebody else's lease is told once, as that.
            weight = Weight.BAD if wanted and station.locked is None else Weight.NOTE
            yield Finding(
                "magnet", f"{name} guard", weight, f"monitor only. {guard.problem}", data, ConfigError.exit_code
            )
        else:
            yield _armed(station, name, supply, guard.limits, data, state)


def _armed(
    station: Station, name: str, supply: MagnetPowerSupply, limits: MagnetLimits, data: dict[str, Any],
    state: Path | None,
) -> Finding:  # fmt: skip
    k, title = limits.tesla_per_ampere, f"{name} guard"
    bad = Weight.BAD if name in station.description.roles.values() else Weight.NOTE
    try:
        look = supply.inspect()
    except RemanenceError as error:
        return Finding("magnet", title, bad, f"it cannot be read: {error}", data, error.exit_code)
    data |= {
        "field_constant_T_per_A": k, "largest_field_T": limits.largest_A * k, "output_A": look.output_A,
        "activity": str(look.activity), "heater": None if look.heater is None else str(look.heater),
        "supply": dict(look.fingerprint or ()), "limits": limits.serial,
        "fastest_T_per_s": limits.fastest_A_per_s * k,
    }  # fmt: skip
    text = (
        f"{station.guards[name].describe()} Guard armed: up to {limits.largest_A * k:g} T at "
        f"{limits.fastest_A_per_s * k * 1e3:.3g} mT/s, {k:.6g} T/A"
    )
    trouble: list[str] = []
    if look.activity in (Activity.QUENCHED, Activity.FAULT, Activity.CLAMPED):
        trouble.append(f"the supply is {look.activity} ({look.detail}): only a person may release it")
    if look.remote is False:
        trouble.append("the supply is in local: somebody has it at its front")
    if station.world is None:
        files = DiskFiles((state or state_folder()) / "magnets")
        remembered = MagnetMemory(files, limits.serial, station.clock).load()
        if remembered.quench:
            trouble.append(f"it quenched, and nobody has cleared that: {remembered.quench}")
        if remembered.unreadable:
            trouble.append(f"what is remembered of it cannot be read: {remembered.unreadable}")
    if trouble:
        return Finding("magnet", title, bad, f"{text}. {'; '.join(trouble)}", data, 5)
    return Finding("magnet", title, Weight.OK, text, data)


def _leases(station: Station, simulate: bool) -> Iterator[Finding]:
    locked = station.locked
    if simulate:
        yield Finding("lease", "leases", Weight.OK, "a simulated station needs none")
    elif locked is None:
        yield Finding("lease", "leases", Weight.OK, "nobody else drives any of its instruments")
    else:
        taken = [lease.serial for lease in station.taken]
        yield Finding("lease", "leases", Weight.BAD, locked.what, {"taken": taken}, locked.exit_code)


def _recipe(station: Station, procedure: Procedure, places: Mapping[str, str]) -> Finding:
    name = type(procedure).__name__
    try:
        procedure.check()
        check_limits(procedure, station.description, station.path, places)
    except RemanenceError as error:
        return Finding("recipe", name, Weight.BAD, str(error), exit_code=error.exit_code)
    duration_s: float | None = None
    with suppress(NotImplementedError):
        duration_s = procedure.duration_s()
    if duration_s is None:
        return Finding("recipe", name, Weight.OK, "within the guard's limits")
    hours, minutes = divmod(round(duration_s / 60.0), 60)
    text = f"within the guard's limits; takes about {hours} h {minutes:02d} min without settling"
    return Finding("recipe", name, Weight.OK, text, {"duration_s": duration_s})


def _clock(clock: Clock) -> Finding:
    utc = clock.utc()
    local = utc.astimezone()
    data = {"utc": utc.isoformat(), "time_zone": str(local.tzinfo), "ntp_offset_s": None}
    text = f"{utc:%Y-%m-%d %H:%M:%S} UTC, time zone {local:%Z (UTC%z)}; how far off it is, is not known (no NTP asked)"
    return Finding("computer", "clock", Weight.OK, text, data)


def _disk(root: Path, clock: Clock) -> Finding:
    try:
        root.mkdir(parents=True, exist_ok=True)
        free_B = shutil.disk_usage(root).free
        sync_s = _sync_time(root, clock)
    except OSError as error:
        text = f"{root}: rows cannot be kept there ({error.strerror or error})"
        return Finding("computer", "disk", Weight.BAD, text, {"root": str(root)})
    data = {"root": str(root.absolute()), "free_B": free_B, "sync_s": sync_s}
    text = f"{root.absolute()}: {free_B / 1e9:.1f} GB free, a row is safe after {sync_s * 1e3:.1f} ms"
    if free_B < _LEAST_FREE_B:
        return Finding("computer", "disk", Weight.BAD, f"{text}: make room", data)
    return Finding("computer", "disk", Weight.NOTE if sync_s > _SLOW_SYNC_s else Weight.OK, text, data)


def _sync_time(root: Path, clock: Clock) -> float:
    times: list[float] = []
    with tempfile.TemporaryFile(dir=root) as file:
        for _ in range(_SYNCS):
            before_s = clock.now()
            file.write(bytes(_BLOCK))
            file.flush()
            os.fsync(file.fileno())
            times.append(clock.now() - before_s)
    return median(times)


def _no_window() -> str:
    """Why no window could open; empty if one could. A library of Qt that is broken may end its process."""
    try:
        found = subprocess.run(  # noqa: S603  our own interpreter
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = found.stderr.strip().splitlines()
    return "" if found.returncode == 0 else (lines[-1] if lines else f"it ended with {found.returncode}")


def _screen(probe: Callable[[], str]) -> Finding:
    why = probe()
    text = f"no window: {why}; runs go on in the terminal" if why else "Qt loads: a window can open"
    return Finding("computer", "window", Weight.NOTE if why else Weight.OK, text, {"qt": not why})


def _versions() -> Finding:
    found: dict[str, str] = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return Finding("computer", "versions", Weight.OK, ", ".join(f"{k} {v}" for k, v in found.items()), found)
