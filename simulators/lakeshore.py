"""Front panels of Lake Shore's temperature controllers, by their model."""

from .lakeshore_33x import Model335, Model336, Model350
from .lakeshore_331 import Model331
from .lakeshore_340 import Model340
from .lakeshore_372 import Model372

__all__ = ["Model331", "Model335", "Model336", "Model340", "Model350", "Model372"]
