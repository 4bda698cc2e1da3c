"""Front panels of Lake Shore's temperature controllers, by their model."""

from .lakeshore_33x import Model335, Model336, Model350

__all__ = ["Model335", "Model336", "Model350"]
