"""Whether two quantities state the same: 2.2 pounds and a kilogram, a fifth and 20 per cent, 1869 and the 1860s.

    agree(Quantity("1,000 g", (1000.0,), UNITS["g"]), Quantity("a kilogram", (1.0,), UNITS["kg"]))    # True

Units are converted by their size, temperatures by their formula; what was converted, or said to be rough, may differ a
little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .quantities import Quantity
from .units import SCALES_OF_DEGREES

SAME = 0.01  # relative difference below which two values are one: 2.2 lb for a kilogram
EXACT = 1e-9  # the same where nothing is converted
NEARLY = 0.06  # what "about" allows
WHOLE_DEGREE = 0.6  # what rounding to whole degrees makes of a temperature in the other scale
FIRST_YEAR, LAST_YEAR = 1000, 2199  # a bare number of four digits between them may be a year

Measure = tuple[str, float]  # the kind of a unit, and a value in that kind's own unit


def _same_hour(one: Quantity, other: Quantity) -> bool:
    """ "9:00" or "21:00" and "nine"."""
    hour, _, minutes = one.literal.partition(":")
    return minutes == "00" and hour.isdigit() and bool({float(hour), float(hour) - 12} & set(other.values))


def _half_day_later(one: Quantity, other: Quantity) -> bool:
    """ "9:15" and "21:15", as the first may be in the evening."""
    hour, _, minutes = one.literal.partition(":")
    return (
        hour.isdigit()
        and bool(minutes)
        and int(hour) <= 12
        and f"{int(hour) % 12 + 12}:{minutes}" == other.literal
    )


def agree(one: Quantity, other: Quantity) -> bool:
    """Whether the other states what the one does: the same value in any unit, or one within its decade or century."""
    if one.literal or other.literal:
        same = one.literal == other.literal or _half_day_later(one, other)
        return same or _same_hour(one, other) or _same_hour(other, one)
    if one.high > 0:
        is_inside = other.high > 0 and one.low <= other.low < one.high
        return is_inside or any(one.low <= value <= one.high for value in other.values)
    if "/" in one.noun and "/" in other.noun and one.noun != other.noun:  # turns a second, turns a minute
        return False
    tolerance = _tolerance(one, other)
    if bool(one.units) == bool(other.units):
        return _same(*_comparable(one, other), tolerance)
    if (is_share(one) or is_share(other)) and "part" not in (one.noun, other.noun):
        return _same(as_shares(one), as_shares(other), tolerance)
    bare = other if one.units else one
    return bare.noun in ("", "part") and _same(_bare(one), _bare(other), tolerance)


def is_share(quantity: Quantity) -> bool:
    return any(kind == "share" for kind, _ in quantity.units)


def as_shares(quantity: Quantity) -> list[Measure]:
    """ "20 per cent" and "a fifth"; nothing for "5 kg"."""
    if quantity.units and not is_share(quantity):
        return []
    size = quantity.units[0][1] if quantity.units else 1
    return [("share", value * size) for value in quantity.values]


def is_year(value: float) -> bool:
    return value.is_integer() and FIRST_YEAR <= value <= LAST_YEAR


def _tolerance(one: Quantity, other: Quantity) -> float:
    if one.rough or other.rough:
        return NEARLY
    is_converted = one.units and one.units != other.units and (other.units or is_share(one))
    return SAME if is_converted else EXACT


def _comparable(one: Quantity, other: Quantity) -> tuple[list[Measure], list[Measure]]:
    """What they measure; of two rates only that, as the "a day" of one may be said in the question."""
    mine, theirs = _measures(one), _measures(other)
    if _is_rate(one) and _is_rate(other):
        return [m for m in mine if "/" in m[0]], [m for m in theirs if "/" in m[0]]
    return mine, theirs


def _is_rate(quantity: Quantity) -> bool:
    return any("/" in kind for kind, _ in quantity.units)


def _measures(quantity: Quantity) -> list[Measure]:
    """Every reading."""
    found: list[Measure] = []
    for value in quantity.values:
        for kind, size in quantity.units or (("", 1.0),):
            if kind in SCALES_OF_DEGREES:
                found += [("celsius", SCALES_OF_DEGREES[kind](value)), (f"degree of {kind}", value)]
            elif kind == "degree":
                found += [(kind, value), *((f"degree of {scale}", value) for scale in SCALES_OF_DEGREES)]
            else:
                found.append((kind, value * size))
    return found


def _bare(quantity: Quantity) -> list[Measure]:
    return [("", value) for value in quantity.values]


def _same(some: Iterable[Measure], others: Sequence[Measure], tolerance: float) -> bool:
    return any(
        kind == other_kind and _close(kind, value, other_value, tolerance)
        for kind, value in some
        for other_kind, other_value in others
    )


def _close(kind: str, one: float, other: float, tolerance: float) -> bool:
    if kind == "celsius":
        return abs(one - other) <= WHOLE_DEGREE
    if not kind and is_year(one):
        return one == other
    return abs(one - other) <= tolerance * max(abs(one), abs(other))
