"""The unit in a name: `moment_Am2` is a moment in A m², its uncertainty is `moment_u_Am2`."""

_UNITS = {
    "T", "mT", "Oe", "K", "mK", "ohm", "mohm", "Am2", "emu", "m2", "cm2", "cm", "m", "mm", "um", "nm", "uc", "V",
    "mV", "A", "mA", "s", "h", "Vs", "J", "W", "Pa", "mbar", "Hz", "deg", "rad", "kg", "g", "F", "C", "J_per_m2",
    "J_per_cm2", "ohm_per_T", "T_per_s", "K_per_s", "A_per_m", "m2_per_Vs", "cm2_per_Vs", "per_m2", "per_cm2",
    "Am2_per_m2", "emu_per_cm3", "emu_per_Oe", "Am2_per_T", "per_T", "per_K",
}  # fmt: skip


def split_unit(name: str) -> tuple[str, str]:
    """("coercive_field", "T") of "coercive_field_T"; the unit is "" when the name carries none that is known."""
    words = name.split("_")
    for start in range(1, len(words)):
        unit = "_".join(words[start:])
        if unit in _UNITS:
            return "_".join(words[:start]), unit
    return name, ""


def u_name(name: str, mark: str = "u") -> str:
    """`moment_u_Am2` of `moment_Am2`; with another mark, of another part of u."""
    head, unit = split_unit(name)
    return "_".join(part for part in (head, mark, unit) if part)


def same_quantity(one: str, other: str, *, strict: bool = True) -> None:
    """Pass when the names are one quantity in one unit. Not strict: pass also when they are two quantities.

    Raises:
        ValueError: they are the same quantity in two units, or (strict) two quantities.
    """
    if one == other:
        return
    (head, unit), (other_head, other_unit) = split_unit(one), split_unit(other)
    if head == other_head:
        raise ValueError(
            f"{one} and {other} are in different units ({unit or 'none'}, {other_unit or 'none'}): convert one"
        )
    if strict:
        raise ValueError(f"{one} and {other} are different quantities")
