"""The thread that syncs the journal ends when it is told to."""

import threading
from pathlib import Path

from remanence.storage.durable import BackgroundSync


def test_a_stop_that_comes_while_a_sync_is_about_to_begin_is_not_lost(tmp_path: Path):
    with (tmp_path / "f").open("wb") as file:
        sync = BackgroundSync(file.fileno(), 1e-3, lambda _fd: None)
        with sync._one_at_a_time:
            sync.mark()
            threading.Event().wait(0.1)  # the thread has stopped collecting and waits for its turn
            stopper = threading.Thread(target=sync.stop, daemon=True)
            stopper.start()
            threading.Event().wait(0.05)
        stopper.join(10.0)
        assert not stopper.is_alive()
