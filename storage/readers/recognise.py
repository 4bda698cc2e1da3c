"""Whose file is this? By its content, whatever its name."""

from pathlib import Path

from ...core.errors import ConfigError
from .foreign import ForeignFile
from .micromag import looks_like_micromag, read_micromag
from .quantum_design import looks_like_quantum_design, read_quantum_design
from .text import read_text


def read_foreign(path: Path, *, moment: str | None = None, channels: dict[str, str] | None = None) -> ForeignFile:
    """Read a Quantum Design or a MicroMag file; the options are those of `read_quantum_design`.

    `ConfigError` if it is neither, `StorageError` if it cannot be opened.
    """
    text = read_text(path)
    if looks_like_micromag(text):
        return read_micromag(path)
    if looks_like_quantum_design(text):
        return read_quantum_design(path, moment=moment, channels=channels)
    raise ConfigError(
        "this is neither a run of ours, nor a Quantum Design .dat, nor a Princeton MicroMag file", where=str(path),
        do="give a run's folder, a .dat that MultiVu wrote or a MicroMag hysteresis file",
    )  # fmt: skip
