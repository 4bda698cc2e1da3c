"""Which driver offers which capability: a table that the type checker proves row by row.

A capability is a protocol, so nothing registers a driver; here each stands once under what it offers, and a member
that is missing or of another type is an error of the type check. A test finds a driver that is in no row.
"""

from ..core.capabilities import (
    CurrentSource,
    DirectCurrentSource,
    LockIn,
    Magnetometer,
    MagnetPowerSupply,
    Switch,
    TemperatureController,
    Voltmeter,
)
from .ami import AMI430
from .cryogenic import SMS10C, SMS60C, SMS120C
from .cryomagnetics import Model4G
from .keithley import Keithley6221
from .keithley_2182a import Keithley2182A
from .keithley_2400 import Keithley2400
from .keithley_2450 import Keithley2450
from .keithley_7001 import Keithley7001
from .lakeshore import Model335, Model336, Model350
from .lakeshore_331 import Model331
from .lakeshore_340 import Model340
from .lakeshore_372 import Model372
from .mercury_ips import MercuryIPS
from .mercury_itc import MercuryITC
from .oxford_ips120 import IPS120, PS120
from .oxford_itc503 import ITC503
from .quantum_design import MPMS3, PPMS, DynaCool, VersaLab
from .signal_recovery import DSP7265, DSP7270, DSP7270USB
from .sr860 import SR860, SR865, SR865A
from .srs import SR830
from .yokogawa import GS200

MAGNETS: tuple[type[MagnetPowerSupply], ...] = (
    AMI430, DynaCool, IPS120, MPMS3, MercuryIPS, Model4G, PPMS, PS120, SMS10C, SMS120C, SMS60C, VersaLab,
)  # fmt: skip
TEMPERATURE_CONTROLLERS: tuple[type[TemperatureController], ...] = (
    DynaCool, ITC503, MPMS3, MercuryITC, Model331, Model335, Model336, Model340, Model350, Model372, PPMS, VersaLab,
)  # fmt: skip
LOCK_INS: tuple[type[LockIn], ...] = (DSP7265, DSP7270, DSP7270USB, SR830, SR860, SR865, SR865A)
# A lock-in drives the sample itself through a series resistor.
CURRENT_SOURCES: tuple[type[CurrentSource], ...] = (
    DSP7265, DSP7270, DSP7270USB, Keithley6221, SR830, SR860, SR865, SR865A,
)  # fmt: skip
DIRECT_CURRENT_SOURCES: tuple[type[DirectCurrentSource], ...] = (GS200, Keithley2400, Keithley2450, Keithley6221)
VOLTMETERS: tuple[type[Voltmeter], ...] = (Keithley2182A, Keithley2400, Keithley2450)
SWITCHES: tuple[type[Switch], ...] = (Keithley7001,)
MAGNETOMETERS: tuple[type[Magnetometer], ...] = (DynaCool, MPMS3, PPMS, VersaLab)

OFFERED: dict[type, tuple[type, ...]] = {
    MagnetPowerSupply: MAGNETS, TemperatureController: TEMPERATURE_CONTROLLERS, LockIn: LOCK_INS,
    CurrentSource: CURRENT_SOURCES, DirectCurrentSource: DIRECT_CURRENT_SOURCES, Voltmeter: VOLTMETERS,
    Switch: SWITCHES, Magnetometer: MAGNETOMETERS,
}  # fmt: skip
