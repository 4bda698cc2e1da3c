"""The flavours of MultiVu: one cryostat each, with its ranges and what it can do.

Ranges as Quantum Design's brochures have them, recalled: MPMS3 and PPMS from their data files (±70 kOe, state words).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flavour:
    """What differs between the instruments behind one program.

    `multivu` is the program's version. `persistent` is true where the magnet can be parked with its leads empty;
    `field_setpoint` where MultiVu can say what field was asked for; `bridge_node` is the CAN node of the resistance
    module. `resting_code` is the field's state word when it holds.
    """

    name: str
    multivu: str
    largest_T: float
    rates_T_per_s: tuple[float, float]
    temperatures_K: tuple[float, float]
    rates_K_per_min: tuple[float, float]
    persistent: bool = False
    no_overshoot: bool = True
    field_setpoint: bool = True
    rotator: bool = True
    bridge_node: int | None = None
    resting_code: int = 4
    vent_code: int = 9


MPMS3 = Flavour(
    "MPMS3", "2.3.4.26", 7.0, (1e-4, 0.07), (1.8, 400.0), (0.01, 50.0), field_setpoint=False, rotator=False,
    resting_code=1,
)  # fmt: skip
# The PPMS has no word of its own for a chamber that is flooded: it goes on "Performing Vent/Seal".
PPMS = Flavour(
    "PPMS", "1.5.11", 9.0, (1e-4, 0.02), (1.8, 400.0), (0.01, 20.0), persistent=True, vent_code=5
)  # fmt: skip
DYNACOOL = Flavour("DYNACOOL", "1.3.0", 9.0, (1e-5, 0.02), (1.8, 400.0), (0.01, 20.0), bridge_node=21)
VERSALAB = Flavour(
    "VERSALAB", "1.6.0", 3.0, (1e-5, 0.03), (50.0, 400.0), (0.01, 20.0), no_overshoot=False, bridge_node=21
)  # fmt: skip
