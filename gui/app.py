"""The door into this room: is there a display, and open a window on a run. Importing this file imports no Qt."""

import gc
import importlib
import os
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType, TracebackType

from ..core.errors import ConfigError
from .feed import RunControl

_UNSEEN = {"offscreen", "minimal"}  # Qt's platforms that draw into memory
_CLOSE_DELAY_MS = 1500  # long enough to see the last word before a window closes itself
_PROBE = "from PySide6.QtWidgets import QApplication; QApplication([])"
_PROBE_S = 20.0


def display_available() -> bool:
    """True when a window can be opened here and somebody could see it."""
    return os.environ.get("QT_QPA_PLATFORM", "") not in _UNSEEN and not display_refusal()


def display_refusal() -> str:
    """Why no window can be opened here, in one sentence; empty when one can."""
    refusal = binding_refusal(_pyside_version(), sys.version_info[:2])
    if refusal:
        return refusal
    platform = os.environ.get("QT_QPA_PLATFORM", "")
    if sys.platform == "linux" and not (platform or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display: DISPLAY and WAYLAND_DISPLAY are not set"
    os.environ.setdefault("QT_API", "pyside6")  # another binding may be installed; this one is tested
    try:
        # qtpy first: pyqtgraph takes the binding that is there already.
        for module in ("qtpy.QtWidgets", "pyqtgraph"):
            importlib.import_module(module)
    except Exception as error:  # a missing package, or a missing system library under one
        return f"Qt cannot be imported: {error}"
    if sys.platform == "linux" and not platform:
        # A missing xcb library or a dead display makes Qt abort the process; so another process tries first.
        try:
            probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, timeout=_PROBE_S, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            return "the display does not answer"
        if probe.returncode:
            lines = probe.stderr.decode(errors="replace").strip().splitlines()
            return f"Qt cannot open the display: {lines[0] if lines else f'exit code {probe.returncode}'}"
    return ""


def binding_refusal(pyside: str, python: tuple[int, ...]) -> str:
    """Refuse by name the one combination that crashes during runs; empty for any other."""
    if not pyside:
        return 'PySide6 is not installed: pip install "remanence[gui]"'
    # PySide6 6.12 takes one reference of True or None at every emit; before Python 3.12 these are counted, and the
    # process dies after some hundred emits.
    if python < (3, 12) and pyside.split(".")[:2] == ["6", "12"]:
        return (
            f"PySide6 {pyside} on Python {python[0]}.{python[1]} crashes during runs: "
            "install PySide6-Essentials<6.12 or use Python 3.12"
        )
    return ""


def _pyside_version() -> str:
    for package in ("PySide6-Essentials", "PySide6"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return ""


def watch(
    run: RunControl,
    *,
    title: str,
    simulated: str = "",
    screenshot: Path | None = None,
    close_when_done: bool = False,
) -> int:
    """Open a window, start the run, and return 0 when the window is closed.

    `title` names the measurement, `simulated` says how it is simulated (`60× speed`) and is empty for real
    instruments. `screenshot` is where a picture of the finished run is saved. Ctrl+C in the terminal asks the run to
    stop, as `F12 F12` does. Where no window can be opened this raises a `ConfigError` that says why, and starts
    nothing.
    """
    refusal = display_refusal()
    if refusal:
        raise ConfigError(refusal, state="Nothing was started", do="run without the window")
    from pyqtgraph.util.garbage_collector import GarbageCollector
    from qtpy.QtCore import Qt, QTimer
    from qtpy.QtWidgets import QApplication

    from .palette import DARK, LIGHT
    from .tone import Tone
    from .window import RunWindow, qt_palette

    app = QApplication.instance() or QApplication(["remanence"])
    assert isinstance(app, QApplication)  # noqa: S101  no other kind has windows
    app.setApplicationName("remanence")
    app.setStyle("Fusion")
    theme = DARK if app.styleHints().colorScheme() == Qt.ColorScheme.Dark else LIGHT
    app.setPalette(qt_palette(theme))
    window = RunWindow(run, theme, title=title, simulated=simulated)

    def finish() -> None:
        if screenshot is not None and not window.grab().save(str(screenshot)):
            window.statusBar().showMessage(f"the picture could not be saved: {screenshot}")
        if close_when_done:
            QTimer.singleShot(_CLOSE_DELAY_MS, window.close)

    def leave() -> None:
        window.close()

    def interrupt(number: int, frame: FrameType | None) -> None:
        window.abort()
        if number != signal.SIGINT:
            # The session ends or somebody ends this process: the magnet first, then the window.
            window.when_ended(leave)
            if not run.running():
                leave()

    def surface(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        # A fault of this window must not look like a quiet run; nor may telling it take an open question away.
        before_hook(kind, error, trace)
        if not window.notice.asking:
            window.notice.tell(f"This window has a fault, the run goes on: {kind.__name__}: {error}", Tone.ALARM)

    window.when_ended(finish)
    window.show()
    # Python collects garbage in whichever thread allocates, mostly the acquisition thread; a Qt object that dies there
    # takes the process with it. So while a window is open, garbage is collected by a timer of the window's thread.
    collector = GarbageCollector(interval=0.5)
    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before, before_hook = {number: signal.signal(number, interrupt) for number in numbers}, sys.excepthook
    sys.excepthook = surface
    try:
        window.begin()
        app.exec()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.excepthook = before_hook
        window.hide()
        window.deleteLater()
        app.processEvents()
        collector.timer.stop()
        gc.enable()
    return 0
