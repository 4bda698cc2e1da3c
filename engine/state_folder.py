"""Where this computer keeps what must outlive a process: leases, and what the guard knows of a magnet.

One folder for all stations of this computer's user; `REMANENCE_STATE` names another, such as one that all users of a
rig's computer share. It is not the folder of the runs: that may be a network drive, and may be moved or emptied.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

_VARIABLE = "REMANENCE_STATE"


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder, made if it is not there.

    Raises:
        OSError: it cannot be made.
    """
    named = environment.get(_VARIABLE)
    folder = Path(named) if named else Path(platformdirs.user_state_dir("remanence", appauthor=False))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
