"""How a result is written for people: its name, and its value in the units that the field uses."""

import math

from ..core.quantities import format_measured
from ..core.records import Measured

# What a key of Estimate.values ends with, and the unit that this is. Longer endings are tried first.
_UNITS = {
    "T": "T", "ohm": "ohm", "K": "K", "s": "s", "ohm_per_T": "ohm/T", "Am2": "A m^2", "Am2_per_T": "A m^2/T",
    "Am2_K": "A m^2 K", "Am2_K_per_T": "A m^2 K/T", "per_m2": "1/m^2", "m2_per_Vs": "m^2/(V s)", "per_T": "1/T",
    "ohm_per_T2": "ohm/T^2", "T_per_s": "T/s", "ohm_m": "ohm m", "A_per_m": "A/m", "V": "V", "A": "A", "m": "m",
    "Am2_per_s": "A m^2/s", "J_per_T": "J/T", "per_m3": "1/m^3", "kg": "kg", "m2": "m^2", "rad": "rad",
    "m3": "m^3", "m3_K": "m^3 K", "muB": "µB",
    "uB": "µB", "uB_per_nm2": "µB/nm^2", "uB_per_uc": "µB/u.c.", "Am2_per_T_kg": "A m^2/(T kg)",
}  # fmt: skip
# For each SI unit, the units to show and the factor to them: the field's own first. A unit that ends in * takes a
# prefix (nT, mT), one that ends in ^ a power of ten.
_SHOWN: dict[str, tuple[tuple[str, float], ...]] = {
    "T": (("T*", 1.0),),
    "ohm": (("Ω*", 1.0),),
    "K": (("K", 1.0),),
    "s": (("s", 1.0),),
    "ohm/T": (("Ω/T*", 1.0),),
    "ohm/T^2": (("Ω/T²^", 1.0),),
    "ohm m": (("Ω·m^", 1.0),),
    # 1 A·m² = 1e3 emu; 1 A·m²/T = 0.1 emu/Oe.
    "A m^2": (("emu*", 1e3), ("A·m²*", 1.0)),
    "A m^2/T": (("emu/Oe*", 0.1), ("A·m²/T*", 1.0)),
    "A m^2 K/T": (("emu·K/Oe*", 0.1), ("A·m²·K/T*", 1.0)),
    "A m^2 K": (("emu·K*", 1e3), ("A·m²·K*", 1.0)),
    "A m^2/s": (("emu/s*", 1e3), ("A·m²/s*", 1.0)),
    # A susceptibility of the whole sample: χ in m³ is 4π × 1e-6 of that in cm³ = emu/Oe.
    "m^3": (("emu/Oe^", 1e6 / (4.0 * math.pi)), ("m³^", 1.0)),
    "m^3 K": (("emu·K/Oe^", 1e6 / (4.0 * math.pi)), ("m³·K^", 1.0)),
    "1/m^2": (("cm⁻²^", 1e-4), ("m⁻²^", 1.0)),
    "1/m^3": (("cm⁻³^", 1e-6), ("m⁻³^", 1.0)),
    # A moment per area in A (A·m²/m²): 1 A = 0.1 emu/cm².
    "A": (("A*", 1.0),),
    "µB": (("µB^", 1.0),),
    "µB/nm^2": (("µB/nm²", 1.0),),
    "µB/u.c.": (("µB/u.c.", 1.0),),
    "m^2/(V s)": (("cm²/Vs", 1e4), ("m²/Vs", 1.0)),
}
_OERSTED = ("Oe", 1e4)
_LABELS = {
    "coercive_up_T": "+B_C", "coercive_down_T": "−B_C", "coercive_field_T": "B_C", "loop_centre_T": "loop centre",
    "ahe_amplitude_ohm": "R_AHE", "width_T": "switching width", "ordinary_slope_ohm_per_T": "dR_xy/dB at 0",
    "delay_s": "total delay", "trapped_field_T": "trapped field at B_C", "temperature_K": "temperature",
    "saturation_Am2": "m_S", "saturation_moment_Am2": "m_S", "remanence_Am2": "m_R", "remanent_moment_Am2": "m_R",
    "coercivity_T": "µ₀H_C", "sheet_resistance_ohm": "R_s", "density_1_per_m2": "n₁", "density_2_per_m2": "n₂",
    "mobility_1_m2_per_Vs": "µ₁", "mobility_2_m2_per_Vs": "µ₂", "density_total_per_m2": "n₁ + n₂",
    "density_per_m2": "n", "mobility_m2_per_Vs": "µ", "slope_Am2_per_T": "slope taken off",
    "saturation_moment_uB": "m_S", "saturation_moment_A": "m_S per area",
    "saturation_moment_uB_per_nm2": "m_S per area",
    "saturation_moment_uB_per_uc": "m_S per unit cell", "remanent_moment_uB": "m_R",
    "remanent_moment_A": "m_R per area",
    "remanent_moment_uB_per_nm2": "m_R per area", "remanent_moment_uB_per_uc": "m_R per unit cell",
    "irreversibility_temperature_K": "T_irr", "zfc_maximum_K": "maximum of m_ZFC", "blocking_temperature_K": "T_B",
    "irreversibility_Am2": "m_FC − m_ZFC, coldest", "irreversibility_ratio": "the same over m_FC",
    "curie_constant_m3_K": "Curie constant", "curie_weiss_theta_K": "θ", "chi0_m3": "χ₀",
    "effective_moment_muB": "µ_eff", "uncorrected_coercive_field_T": "µ₀H_C before corrections",
}  # fmt: skip
_MANY = 1e5
_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def unit_of(key: str) -> str:
    """The SI unit that a key carries in its name: `density_1_per_m2` is in `1/m^2`. Empty for a pure number."""
    return _UNITS.get(_ending(key), "")


def label_of(key: str) -> str:
    """A key as people say it: its usual symbol, or its words without the unit."""
    if key in _LABELS:
        return _LABELS[key]
    return key.removesuffix(f"_{_ending(key)}").replace("_", " ")


def _ending(key: str) -> str:
    return next((name for name in sorted(_UNITS, key=len, reverse=True) if key.endswith(f"_{name}")), "")


def in_words(key: str, measured: Measured, *, oersted: bool = False) -> list[str]:
    """A value ± its uncertainty, once for each unit that the field uses; `oersted` adds Oe to every field."""
    unit = unit_of(key)
    shown = _SHOWN.get(unit, ((f"{unit}^" if unit else "", 1.0),))
    if unit == "T" and oersted:
        shown = (*shown, _OERSTED)
    return [_one(measured, name, factor) for name, factor in shown]


def _one(measured: Measured, unit: str, factor: float) -> str:
    value, u = measured.value * factor, measured.u * factor
    if u == 0.0 and math.isfinite(value):
        return f"{value:.4g} {unit.rstrip('*^')}".rstrip()  # a setting, or the mean of what was held
    if not math.isfinite(value) or not math.isfinite(u) or u < 0.0:
        return format_measured(measured, unit.rstrip("*^"), factor)
    if not unit and max(abs(value), u) >= _MANY:
        unit = "^"
    largest = math.floor(math.log10(max(abs(value), u)))
    if unit.endswith("*"):
        power = min(max(3 * math.floor(largest / 3), -15), 9)
        return format_measured(Measured(value, u), f"{_PREFIXES[power]}{unit[:-1]}", 10.0**-power)
    if unit.endswith("^"):
        mantissa = format_measured(Measured(value, u), "", 10.0**-largest)
        return f"({mantissa}) × 10{str(largest).translate(_SUPERSCRIPT)} {unit[:-1]}"
    return format_measured(measured, unit, factor)
