"""Which instruments are simulated: found by walking this package, so no list has to be kept."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from .front_panel import FrontPanel


def front_panels() -> Iterator[type[FrontPanel]]:
    """Every front panel that says which model it is, by module and name."""
    package = __name__.rpartition(".")[0]
    folders = import_module(package).__path__
    for module_name in sorted(module.name for module in pkgutil.iter_modules(folders)):
        module = import_module(f"{package}.{module_name}")
        for name, found in sorted(vars(module).items()):
            if not isinstance(found, type) or not issubclass(found, FrontPanel) or name.startswith("_"):
                continue
            # What a module only imports belongs to another; what is only shared has no model, or answers nothing.
            answers = found.execute is not FrontPanel.execute or found.receive is not FrontPanel.receive
            if found.__module__ == module.__name__ and found.model and answers:
                yield found


def dotted(panel: type[FrontPanel]) -> str:
    """How a station file names a panel."""
    return f"{panel.__module__}:{panel.__qualname__}"
