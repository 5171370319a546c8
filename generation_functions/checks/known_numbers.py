"""Whether one text knows the numbers of another: it states them, or they follow from what it states.

    strange("It cures for a fortnight.", "It cures for fourteen days.")           # []
    strange("It cures for 14 weeks.", "It cures for fourteen days.")              # ["14 weeks"]
    strange("They took 13 years.", "Begun in 1856, it was finished in 1869.")     # []

One step of arithmetic is followed, as questions ask for differences, sums and shares. English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from .agreement import agree, as_shares, is_share, is_year
from .names import ROMAN
from .quantities import MONTHS, Quantity, quantities
from .units import UNITS, Unit, singular

WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
MOST = 40  # quantities of a text that are looked up or worked with; among more, any is the sum of two


def strange(said: str, known: str, unit: str = "") -> list[str]:
    """The quantities of the one text that the other neither has nor makes follow, as they are written; also months.

    `unit` is what a bare number is of, where it was asked "how many seconds".
    """
    there = _with_parts(known)
    own = UNITS.get(singular(unit), ())
    told = [_forms(quantity, own) for quantity in _distinct(said)[:MOST] if not quantity.says_little]
    found = [forms for forms in told if not _any_agree(forms, there) or _has_other_unit(forms[0], there)]
    if found:
        derived = (*_worked_out(known), *_included(known, said))
        found = [forms for forms in found if not any(_follows(form, d) for form in forms for d in derived)]
    return [forms[0].text for forms in found] + _strange_months(said, known)


def unstated(said: str, known: str) -> list[str]:
    """The quantities of the one text that the other does not state, whatever follows from it."""
    there = _with_parts(known)
    told = (quantity for quantity in _distinct(said)[:MOST] if not quantity.says_little)
    return [quantity.text for quantity in told if not _any_agree([quantity], there)]


def _with_parts(text: str) -> list[Quantity]:
    """Also the 2 hours of "2 hours and 30 minutes"."""
    return [part for quantity in _distinct(text) for part in (quantity, *quantity.parts)]


def _distinct(text: str) -> list[Quantity]:
    """The quantities of a text, each once."""
    return [*dict.fromkeys(quantities(text))]


def states_kind(said: str, known: str) -> bool:
    """Whether both texts have quantities of one kind: two lengths, two shares, two bare numbers."""
    here, there = ({kind for q in quantities(text) for kind in _kinds(q)} for text in (said, known))
    return bool(here & there)


def _kinds(quantity: Quantity) -> set[str]:
    if not quantity.units and any(0 < value < 1 for value in quantity.values):
        return {"share"}
    return {kind for kind, _ in quantity.units} or {""}


def _forms(quantity: Quantity, own: tuple[Unit, ...]) -> list[Quantity]:
    """A quantity as it stands, and where it has no unit in the one that was asked for."""
    if own and not quantity.units and not quantity.noun:
        return [quantity, replace(quantity, units=own)]
    return [quantity]


def _any_agree(forms: Sequence[Quantity], there: Sequence[Quantity]) -> bool:
    return any(agree(form, other) for form in forms for other in there)


def _has_other_unit(quantity: Quantity, there: Sequence[Quantity]) -> bool:
    """ "3 hours", where the text has "3 minutes" or minutes alone, and a bare 3 besides."""
    with_units = [other for other in there if quantity.units and other.units]
    alike = [other for other in with_units if other.units[0][0] == quantity.units[0][0]]
    is_said = any(set(other.values) & set(quantity.values) for other in with_units)
    is_of_other_scale = bool(alike) and all(other.units != quantity.units for other in alike)
    return (is_said or is_of_other_scale) and not any(agree(quantity, other) for other in with_units)


def _strange_months(said: str, known: str) -> list[str]:
    """Months and days of the week have a capital, else "may" and "march" were some."""
    months = (month.capitalize() for month in (*sorted(MONTHS), *WEEKDAYS))
    return [
        month
        for month in months
        if re.search(rf"\b{month}\b", said) and not re.search(rf"\b{month}\b", known, re.IGNORECASE)
    ]


# What follows without being said


@lru_cache(maxsize=8)
def _worked_out(known: str) -> tuple[Quantity, ...]:
    """Kept for a while, as the pairs of a chunk are looked at one after another."""
    there = quantities(known)[:MOST]
    return (*_implied(known), *_between_dates(known), *_after(there), *_derived(there))


def _follows(quantity: Quantity, derived: Quantity) -> bool:
    """As `agree`, but a number that was worked out has its unit, or none."""
    if bool(quantity.units) != bool(derived.units) and not (is_share(quantity) or is_share(derived)):
        is_of_month = quantity.noun in MONTHS
        return is_of_month and agree(replace(quantity, noun=""), replace(derived, units=()))
    return agree(quantity, derived)


_IMPLIED = (
    dict.fromkeys("a an each every per once single sole only".split(), 1)
    | dict.fromkeys("daily weekly monthly hourly yearly annual".split(), 1)
    | dict.fromkeys("both pair couple twin fortnight biennial".split(), 2)
    | {"quarterly": 4, "decade": 10, "century": 100}
)
_IMPLYING = re.compile(rf"\b({'|'.join(_IMPLIED)})s?\b", re.IGNORECASE | re.ASCII)
_NEXT = re.compile(r"\b(?:following|next|year (?:after|later|before|earlier)|previous)\b", re.IGNORECASE)
_STATEMENT_END = re.compile(r"[.;:!?]\s|\n\n")
_LIST_JOINT = re.compile(r",\s+(?:and\s+|or\s+)?|(?<!\s)\s+(?:and|or)\s+|\n-\s")


def _implied(known: str) -> Iterator[Quantity]:
    """Words for a number, the members of a list, the year after."""
    found = {float(_IMPLIED[word.lower()]) for word in _IMPLYING.findall(known)}
    for statement in _STATEMENT_END.split(known):
        members = [part for part in _LIST_JOINT.split(statement) if part.strip()]
        found.update(map(float, range(2, len(members) + 1)))
    found.update(_of_roman(numeral[0]) for numeral in ROMAN.finditer(known))
    if _NEXT.search(known):
        years = (v for quantity in quantities(known) for v in quantity.values if is_year(v))
        found.update(year + step for year in years for step in (1, -1))
    yield from (Quantity("", (value,)) for value in found)


def _of_roman(numeral: str) -> float:
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[letter] for letter in numeral]
    return float(sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True)))


_INCLUDED = re.compile(r"\b(?:included|including|himself|herself|(?<!not )counting)\b", re.IGNORECASE)


def _included(known: str, said: str) -> Iterator[Quantity]:
    """One more: "with the six others, himself included"."""
    if _INCLUDED.search(f"{known}\n{said}"):
        numbers = (value for quantity in quantities(known) for value in quantity.values)
        yield from (Quantity("", (value // 1 + 1,)) for value in numbers)


_DATE = re.compile(rf"\b({'|'.join(MONTHS)}),? (\d{{4}})\b", re.IGNORECASE | re.ASCII)


def _between_dates(known: str) -> Iterator[Quantity]:
    """The months from "September 2021" to "April 2022"."""
    dates = {12 * int(year) + MONTHS.index(month.lower()) for month, year in _DATE.findall(known)}
    for months in {abs(one - other) for one in dates for other in dates if one != other}:
        yield Quantity("", (float(months),), UNITS["month"])


def _after(there: Sequence[Quantity]) -> Iterator[Quantity]:
    """Years between years, and a day or a year so much later: "thirteen years later", "three days later"."""
    bare = [value for quantity in there if not quantity.units for value in quantity.values]
    years = [value for value in bare if is_year(value)]
    for between in {abs(one - other) for n, one in enumerate(years) for other in years[n + 1 :]}:
        yield Quantity("", (between, between - 1), UNITS["year"])  # to the day it may be a year less
        yield Quantity("", (between, between - 1))
    for spell in (quantity for quantity in there if quantity.units and quantity.units[0][0] == "time"):
        for value in bare:
            unit = "year" if is_year(value) else "day"
            for length in spell.values:
                step = length * spell.units[0][1] / UNITS[unit][0][1]
                later = {float(round(value + step)), float(round(value - step))} - {value}
                yield from (Quantity("", (number,)) for number in later)


def _derived(there: Sequence[Quantity]) -> Iterator[Quantity]:
    """One step of arithmetic between two quantities, and what a share leaves of the whole."""
    for n, one in enumerate(there):
        yield from (Quantity("", (1 - share,)) for _, share in as_shares(one) if 0 < share < 1)
        for other in there[n + 1 :]:
            for a in one.values:
                for b in other.values:
                    yield from _combined(a, one.units, b, other.units)


def _combined(a: float, units: tuple[Unit, ...], b: float, others: tuple[Unit, ...]) -> Iterator[Quantity]:
    """Sum, difference, product and ratio. A bare number is of the other's unit, or counts it: "25 g a head", for 10."""
    degrees = UNITS["degree"]
    if units and others and degrees in (units, others):  # "thirty degrees warmer"
        units = others = units if others == degrees else others
    if units and others and units[0][0] != others[0][0]:
        return
    yield Quantity("", (a * b,), units or others)
    if units and others:
        yield Quantity("", (a * b,), others)
        a, b = a * units[0][1], b * others[0][1]
        shared: tuple[Unit, ...] = ((units[0][0], 1.0),)
    else:
        shared = units or others
    if a and b and bool(units) == bool(others):
        yield Quantity("", (max(a, b) / min(a, b), min(a, b) / max(a, b)))
    yield Quantity("", (abs(a - b),), shared)
    yield Quantity("", (a + b,), shared)
