"""Loads pytest-qt where Qt can be loaded. Elsewhere the window's tests skip themselves and all others still run."""

import importlib
import logging
import os
from collections.abc import Iterator

import pytest

# Before numpy is loaded, for the tests and the programs that they start: two workers already keep both cores busy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("QT_API", "pyside6")
os.environ.setdefault("PYTEST_QT_API", "pyside6")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

try:
    importlib.import_module("qtpy.QtWidgets")
except ImportError:
    if os.environ.get("REMANENCE_REQUIRE_QT") == "1":
        raise
else:
    pytest_plugins = ["pytestqt.plugin"]


@pytest.fixture(autouse=True)
def _loggers_speak() -> Iterator[None]:
    """MultiPyVu's client configures the whole process's logging and silences every logger that it did not make."""
    yield
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False
