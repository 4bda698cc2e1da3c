"""Draws the pictures of the README from a real run on the simulated cryostat: `python docs/make_images.py`."""

import contextlib
import os
import tempfile
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ.setdefault("QT_API", "pyside6")

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication
from remanence.engine.background import BackgroundRun
from remanence.engine.listener import RunListener
from remanence.engine.live_fit import LiveFit
from remanence.engine.report import keep_analysis
from remanence.engine.runner import Runner, RunResult
from remanence.engine.station import Station
from remanence.engine.station_file import reference_station
from remanence.gui.app import watch
from remanence.gui.window import RunWindow
from remanence.procedures.hall_loop import HallLoop

IMAGES = Path(__file__).resolve().with_name("images")
MID_LOOP = 0.58


def main() -> None:
    """Run the demonstration under the window, and save it in mid-loop, at the end, and the saved figure."""
    IMAGES.mkdir(exist_ok=True)
    application = QApplication.instance() or QApplication([])
    fit = LiveFit(period_s=0.3)
    # The pictures show the folder that a user of the demonstration sees.
    with tempfile.TemporaryDirectory() as root, contextlib.chdir(root):

        def run(listener: RunListener, know: object) -> RunResult:
            fit.audience.append(listener)
            with Station.open(reference_station(), simulate=True) as station:
                runner = Runner(station, Path("remanence-demo"), listeners=[listener], live_fit=fit)
                know(runner)
                return runner.run(HallLoop(), sample=station.world.settings.sample.name)

        background = BackgroundRun(run)
        timer = QTimer()
        timer.timeout.connect(lambda: grab_in_mid_loop(timer))
        timer.start(100)
        watch(
            background, title="Hall loop 5 K", simulated="as fast as possible", screenshot=IMAGES / "window-end.png",
            close_when_done=True,
        )  # fmt: skip
        background.wait(60.0)
        result = background.result
        keep_analysis(result.folder, result.estimate, fit.estimator, "LaAlO₃/SrTiO₃, 5 K (simulated)")
        (result.folder / "analysis" / "loop.png").replace(IMAGES / "loop.png")
    del application


def grab_in_mid_loop(timer: QTimer) -> None:
    """Save the window once, when the loop is about half done."""
    for widget in QApplication.topLevelWidgets():
        if (
            isinstance(widget, RunWindow)
            and widget.status.progress is not None
            and widget.status.progress.fraction >= MID_LOOP
        ):
            widget.grab().save(str(IMAGES / "window-mid.png"))
            timer.stop()


if __name__ == "__main__":
    main()
