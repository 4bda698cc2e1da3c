"""Loads pytest-qt where Qt can be loaded. Elsewhere the window's tests skip themselves and all others still run."""

import importlib
import os

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
