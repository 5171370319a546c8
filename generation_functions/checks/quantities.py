"""Numbers in every form that prose gives them, with their units.

    quantities("They cure for twelve to 14 days at 3.5 per cent.")
        (Quantity("twelve", (12.0,), (("time", 86400),)), Quantity("14 days", (14.0,), (("time", 86400),)),
         Quantity("3.5 per cent", (3.5,), (("share", 0.01),)))

Times of day, decades and centuries are read as well. What two quantities have in common, `agreement` knows. English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from .numerals import (
    CARDINALS,
    DECADES,
    EACH,
    FRACTIONS,
    Number,
    Tokens,
    may_begin,
    number_at,
    tokens_of,
    with_half,
)
from .units import AFTER_DIGITS, POWERS, UNITS, Unit, raised, singular
from .wording import ONES, STOP_WORDS

MONTHS = "january february march april may june july august september october november december".split()
ROUGHLY = frozenset("about around approximately roughly nearly almost some circa ca over under than".split())
JOINTS = frozenset("to and or by - \u2013 \u2014 , x \u00d7 from until through & /".split())

_LIST_NUMBER = re.compile(r"^[^\S\n]*\d{1,2}[.)]\s", re.MULTILINE)
_CLOCK = re.compile(
    rf"\b((?:a )?quarter|half) (past|to) (\d{{1,2}}|{'|'.join(ONES[1:13])})\b", re.IGNORECASE | re.ASCII
)
_TWELVE = re.compile(r"\b(\d{1,2})(?:[:.](\d\d))?\s?([ap]\.m\.|[ap]m\b)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as its text has it.

    `values` are its readings, as "a third" may be a part or a place; those from `low` to `high` are what a decade or a
    century takes in. `units` are empty for a bare number, `noun` is what is counted then; `parts` are those of "2 hours
    and 30 minutes". A `literal` has no value.
    """

    text: str
    values: tuple[float, ...]
    units: tuple[Unit, ...] = ()
    noun: str = ""
    rough: bool = False
    low: float = 0
    high: float = -1
    literal: str = ""
    parts: tuple[Quantity, ...] = ()

    @property
    def says_little(self) -> bool:
        """ "one" and "a day" are seldom meant as numbers."""
        return self.values in ((0.0,), (1.0,)) and not any(map(str.isdigit, self.text))


class _Found(NamedTuple):
    """A quantity, its first token, and the one after its last."""

    start: int
    end: int
    quantity: Quantity


@lru_cache(maxsize=4096)
def quantities(text: str) -> tuple[Quantity, ...]:
    """Those that a text states, in its order."""
    text = _LIST_NUMBER.sub(lambda found: " " * len(found[0]), text)
    tokens = tokens_of(_CLOCK.sub(_as_clock, _TWELVE.sub(_of_day, text)))
    found = [*_with_units_before(tokens, _with_units_after(tokens, [*_found(tokens)]))]
    return tuple(each.quantity for each in _compound(tokens, found))


def _of_day(found: re.Match[str]) -> str:
    """ "9 p.m." as 21:00."""
    hour = int(found[1]) % 12 + (12 if found[3].lower().startswith("p") else 0)
    return f"{hour}:{found[2] or '00'}" if int(found[1]) <= 12 else found[0]


def _as_clock(found: re.Match[str]) -> str:
    """ "half past six" as 6:30."""
    part, way, hour = found[1].lower(), found[2].lower(), found[3].lower()
    hours = CARDINALS[hour] if hour in CARDINALS else int(hour)
    minutes = {"half": 30, "quarter": 15}[part.split()[-1]]
    return f"{hours}:{minutes}" if way == "past" else f"{hours - 1}:{60 - minutes}"


def _found(tokens: Tokens) -> Iterator[_Found]:
    at = 0
    while at < len(tokens.all):
        found = _read(tokens, at)
        if found:
            yield found
        at = found.end if found else at + 1


def _read(tokens: Tokens, at: int) -> _Found | None:
    """The quantity that begins there."""
    token = tokens.all[at]
    if not may_begin(token):
        return None
    if token.kind == "literal":
        return _Found(at, at + 1, Quantity(token.text, (), literal=token.text.removeprefix("v").lstrip("0")))
    if tokens.touch(at) and tokens.word(at - 1):  # "H2O", "IPv6": a name
        return None
    if decade := _decade(tokens, at):
        return decade
    number = number_at(tokens, at)
    return (_span(tokens, at, number) or _measured(tokens, at, number)) if number else None


# Decades and centuries


def _decade(tokens: Tokens, at: int) -> _Found | None:
    """ "eighteen-fifties"; of "the fifties" alone nobody knows the century."""
    hundreds = CARDINALS.get(tokens.word(at), 0)
    place = at + 1 + tokens.is_hyphen(at + 1)
    tens = DECADES.get(tokens.word(place))
    if not tens or not 10 < hundreds < 21:
        return None
    low = hundreds * 100 + tens
    return _Found(at, place + 1, Quantity(tokens.said(at, place + 1), (), low=low, high=low + 9))


def _span(tokens: Tokens, at: int, number: Number) -> _Found | None:
    """ "1860s", "19th century", "the nineteenth century"."""
    end, first = number.end, number.values[0]
    suffix = _suffix(tokens, end)
    if suffix == "s" and first % 10 == 0:
        wide = 99 if first % 100 == 0 else 9
        return _Found(at, end + 1, Quantity(tokens.said(at, end + 1), (), low=first, high=first + wide))
    if suffix in _OF_ORDINALS:
        end += 1
    if (number.is_ordinal or suffix in _OF_ORDINALS) and tokens.word(end) in ("century", "centuries"):
        low = (first - 1) * 100
        said = tokens.said(at, end + 1)
        return _Found(at, end + 1, Quantity(said, number.values, low=low, high=low + 100))
    return None


def _suffix(tokens: Tokens, at: int) -> str:
    """What is written onto the digits before it."""
    return tokens.word(at) if tokens.touch(at) else ""


_OF_ORDINALS = ("st", "nd", "rd", "th")


# Units


def _measured(tokens: Tokens, at: int, number: Number) -> _Found:
    """A number with its unit, or with what it counts."""
    end, values = number.end, number.values
    rough = any(token.text.lower() in ROUGHLY for token in tokens.all[max(0, at - 2) : at])
    if _suffix(tokens, end) in _OF_ORDINALS:
        end += 1
    before = tokens.all[at - 1].text if at else ""
    if before in ("$", "\u00a3", "\u20ac"):
        return _Found(at, end, Quantity(before + tokens.said(at, end), values, UNITS[before], rough=rough))
    measure = _measure(tokens, end)
    end = measure.end
    if measure.units and len(values) == 1:
        end, values, _ = with_half(tokens, end, values[0])
    quantity = Quantity(tokens.said(at, end), values, measure.units, measure.noun, rough)
    return _Found(at, end, quantity)


class _Measure(NamedTuple):
    """Where a unit ends and what it is; the word that follows in place of one."""

    end: int
    units: tuple[Unit, ...]
    noun: str = ""


def _measure(tokens: Tokens, end: int) -> _Measure:
    """What comes after a number: "twelve days", "twelve long days", "a third of an hour", "12.6 turns a second"."""
    first = _after_of(tokens, end)
    for place in (first, first + 1):
        if place >= len(tokens.all) or tokens.all[place].text == "a":  # the article, and not ampere
            break
        name = _unit_name(tokens, place)
        if name in POWERS and (power := raised(UNITS.get(singular(tokens.word(place + 1)), ()), name)):
            return _rate(tokens, place + 2, power)
        if name == "degree" and (scale := UNITS.get(tokens.word(place + 1))):
            return _Measure(place + 2, scale)
        is_near = place == first or (tokens.word(place) and name not in ("second", "minute"))
        is_close = place == end and tokens.all[end - 1].kind in ("digits", "fraction", "glyph")
        if name in UNITS and is_near and (is_close or name not in AFTER_DIGITS):
            return _rate(tokens, place + 1, UNITS[name])
        if not name.isalpha() or name in JOINTS or not tokens.word(place):
            break
    noun = tokens.word(first)
    if noun in JOINTS or noun in ROUGHLY or noun in STOP_WORDS:
        return _Measure(end, ())
    each = _per(tokens, first + 1)
    return _Measure(end, (), f"{singular(noun)} / {each}" if each else singular(noun))


def _after_of(tokens: Tokens, end: int) -> int:
    """The place after a hyphen, or after the "of an" that leads to a unit."""
    first = end + tokens.is_hyphen(end)
    has_of = tokens.word(first) == "of" and tokens.word(first + 1) in EACH
    is_part = singular(tokens.word(end - 1)) in FRACTIONS  # "half a ton"; "in 1869 a ton" is none
    if has_of or (is_part and tokens.word(first) in ("a", "an")):
        inner = first + 1 + has_of
        if any(singular(tokens.word(place)) in UNITS for place in (inner, inner + 1)):
            return inner
    return first


def _unit_name(tokens: Tokens, at: int) -> str:
    """ "per cent" as "percent", "days" as "day"."""
    token = tokens.all[at]
    return re.sub(r"[\s-]", "", token.text.lower()) if token.kind == "unit" else singular(token.word)


def _rate(tokens: Tokens, end: int, units: tuple[Unit, ...]) -> _Measure:
    """A unit and where it ends, "kilometres per hour" as one."""
    each = _per(tokens, end)
    if not each or units[0][0] in ("time", "share"):
        return _Measure(end, units)
    [(_, seconds)] = UNITS[each]
    return _Measure(end + 2, (*((f"{kind}/time", size / seconds) for kind, size in units), *units))


def _per(tokens: Tokens, at: int) -> str:
    """The unit of time that a number is counted by: "a second"."""
    word = singular(tokens.word(at + 1))
    is_rate = tokens.word(at) in ("a", "an", "per", "each", "every")
    return word if is_rate and any(kind == "time" for kind, _ in UNITS.get(word, ())) else ""


# Units that two quantities share


def _with_units_after(tokens: Tokens, found: Sequence[_Found]) -> list[_Found]:
    """ "60 or 70 degrees" and "12-14 days": what stands before has the unit of what comes after."""
    shared: list[_Found] = []
    for each in reversed(found):
        units = shared[-1].quantity.units if shared else ()
        if shared and _joined(tokens, each, shared[-1], JOINTS | {"the"}, 3):
            each = each._replace(quantity=_of_century(each.quantity, shared[-1].quantity))
        counts = shared and tokens.word(shared[-1].start) in ("a", "an")  # "six, an hour each"
        if units and not counts and not each.quantity.units and _joined(tokens, each, shared[-1], JOINTS, 2):
            each = each._replace(quantity=replace(each.quantity, units=units, noun=""))
        shared.append(each)
    return shared[::-1]


def _of_century(quantity: Quantity, after: Quantity) -> Quantity:
    """ "the 18th and 19th centuries"."""
    is_century = after.high == after.low + 100 and after.values > quantity.values
    if not is_century or quantity.units or quantity.noun or len(quantity.values) != 1:
        return quantity
    low = (quantity.values[0] - 1) * 100
    return replace(quantity, low=low, high=low + 100)


def _with_units_before(tokens: Tokens, found: Sequence[_Found]) -> Iterator[_Found]:
    """ "from 30 per cent to under 4": what comes after has the unit of what stands before."""
    yield from found[:1]
    for before, each in pairwise(found):
        is_bare = not each.quantity.units and not each.quantity.noun and len(each.quantity.values) == 1
        is_more = tokens.word(each.start - 1) == "another"  # "5 minutes, then another 45"
        is_next = is_more or _joined(tokens, before, each, JOINTS - {","} | ROUGHLY, 3)
        if is_bare and before.quantity.units and is_next:
            each = each._replace(quantity=replace(each.quantity, units=before.quantity.units))
        yield each


def _compound(tokens: Tokens, found: Sequence[_Found]) -> Iterator[_Found]:
    """ "2 hours and 30 minutes", "5 feet 4 inches": one quantity, of which they are the parts."""
    whole: _Found | None = None
    for each in found:
        if whole and _goes_on(tokens, whole, each):
            (_, large), (_, small) = whole.quantity.units[0], each.quantity.units[0]
            value = whole.quantity.values[0] + each.quantity.values[0] * small / large
            parts = (*(whole.quantity.parts or (whole.quantity,)), each.quantity)
            text = f"{whole.quantity.text} {each.quantity.text}"
            whole = whole._replace(
                end=each.end, quantity=replace(whole.quantity, text=text, values=(value,), parts=parts)
            )
            continue
        if whole:
            yield whole
        whole = each
    if whole:
        yield whole


def _goes_on(tokens: Tokens, one: _Found, other: _Found) -> bool:
    """Whether the other adds a smaller unit of the same kind."""
    units, others = one.quantity.units, other.quantity.units
    if (
        len(units) != 1
        or len(others) != 1
        or len(one.quantity.values) != 1
        or len(other.quantity.values) != 1
    ):
        return False
    smaller = (one.quantity.parts or (one.quantity,))[-1].units[0]
    is_part = smaller[0] == others[0][0] and others[0][1] < smaller[1] and "/" not in smaller[0]
    between = [token.text.lower() for token in tokens.all[one.end : other.start]]
    return (
        is_part
        and smaller[0] in ("time", "length", "mass", "sterling")
        and between in ([], ["and"], [","], [",", "and"])
    )


def _joined(tokens: Tokens, one: _Found, other: _Found, joints: frozenset[str], most: int) -> bool:
    """Whether between two quantities there are such words alone, and at most so many."""
    between = tokens.all[one.end : other.start]
    return 0 < len(between) <= most and all(token.text.lower() in joints for token in between)
