"""Front panels of Keithley's instruments, each in a file of its own."""

from .keithley_2182a import Keithley2182A
from .keithley_2400 import Keithley2400
from .keithley_2450 import Keithley2450
from .keithley_6221 import Keithley6221
from .keithley_7001 import Keithley7001

__all__ = ["Keithley2182A", "Keithley2400", "Keithley2450", "Keithley6221", "Keithley7001"]
