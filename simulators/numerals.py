"""Numbers as they stand on a wire: what Python's `float` takes besides is none."""

import math


def finite(text: str) -> float | None:
    """The number that a text says, or None when it is none or not finite."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None
