"""Which contact is bad, told from the readings that disagree and from two-point resistances. Sentences, no numbers."""

from collections.abc import Mapping, Sequence

from .contact_readings import SIGNIFICANT_Z, Defect

# A voltage lead that is loaded, or a current lead that the source does not fill, makes a reading too small. The
# configurations that are smaller than their reciprocals then name the contact: (12,34 or 34,12; 23,41 or 41,23).
_SMALLER = {
    ("34,12", "23,41"): (1, 3),
    ("34,12", "41,23"): (2, 4),
    ("12,34", "41,23"): (3, 1),
    ("12,34", "23,41"): (4, 2),
}
_BAD_RATIO = 3.0


def diagnose(found: Sequence[Defect], two_point_ohm: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """Sentences on what the flagged defects and the two-point resistances have in common.

    `two_point_ohm` is keyed by the pair of contacts, "12" or "13".

    Raises:
        ValueError: a key is not a pair of contacts, or a two-point resistance is not positive.
    """
    sentences = [*_reversal(found), *_reciprocity(found)]
    if two_point_ohm:
        sentences += _two_point(two_point_ohm)
    elif any(defect.flagged and defect.kind == "reciprocity" for defect in found):
        sentences.append("two-point resistances of all pairs would tell which contact is bad")
    return tuple(sentences)


def _reversal(found: Sequence[Defect]) -> list[str]:
    flagged = [defect for defect in found if defect.flagged and defect.kind == "reversal"]
    if not flagged:
        return []
    return [
        f"the current's directions disagree in {', '.join('R_' + d.of[0] for d in flagged)}: a thermal EMF or an "
        "offset, which the average of both removes, or a contact that is not ohmic, which stays: halve the current "
        "and compare"
    ]


def _reciprocity(found: Sequence[Defect]) -> list[str]:
    pairs = [defect for defect in found if defect.kind == "reciprocity"]
    flagged = [defect for defect in pairs if defect.flagged]
    if not flagged:
        return []
    sentences = [
        f"{defect.text}: a bad contact, a leak or a temperature that drifted between them" for defect in flagged
    ]
    if len(pairs) == 2 and all(abs(defect.z) > SIGNIFICANT_Z for defect in pairs):
        smaller = (_smaller(pairs[0]), _smaller(pairs[1]))
        voltage, current = _SMALLER[smaller]
        sentences.append(
            f"R_{smaller[0]} and R_{smaller[1]} are both too small: contact {voltage} is bad as a voltage lead, or "
            f"contact {current} where it carries the current"
        )
    return sentences


def _smaller(defect: Defect) -> str:
    return defect.of[0] if defect.fraction.value < 0.0 else defect.of[1]


def _two_point(two_point_ohm: Mapping[str, float]) -> list[str]:
    pairs: dict[frozenset[str], float] = {}
    for key, ohm in two_point_ohm.items():
        contacts = frozenset(key)
        if len(key) != 2 or len(contacts) != 2 or not contacts <= set("1234"):
            raise ValueError(f"two-point resistance {key!r}: the key must be two of the contacts 1 to 4, like '12'")
        if not ohm > 0.0:
            raise ValueError(f"two-point resistance {key!r} = {ohm:g} Ω: it must be above zero, an open contact is inf")
        pairs[contacts] = ohm
    sentences: list[str] = []
    for contact in "1234":
        with_it = [ohm for pair, ohm in pairs.items() if contact in pair]
        without = [ohm for pair, ohm in pairs.items() if contact not in pair]
        if len(with_it) >= 2 and without and min(with_it) > _BAD_RATIO * max(without):
            sentences.append(
                f"contact {contact} is bad: every two-point resistance with it is above {min(with_it):.3g} Ω, "
                f"those without it at most {max(without):.3g} Ω"
            )
    return sentences
