"""What stands at a number and turns it round: below zero, before noon, before Christ.

    turned_round("It begins at 9 p.m.", "It begins at 9 a.m.")     # ("9 p.m.", "9 a.m.")

Only what both texts mark counts, as most numbers go without. English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NUMBER = r"(?P<number>\d+(?:[.,]\d+)*)"
_HOUR = r"(?P<number>\d{1,2}(?:[:.]\d\d)?)"
_DEGREE = r"\s*(?:\u00b0|degrees?\b|deg\b)"
_BEFORE = r"(?<![\w.,\u2013-])"  # of a range "5-10" the second is not below zero
# In the order in which they are looked for; the first that fits a number counts.
_SIDES = {
    "below zero": re.compile(
        rf"(?:{_BEFORE}[-\u2212\u2013]|\u2212|\bminus ){_NUMBER}{_DEGREE}"
        rf"|{_BEFORE}(?P<below>\d+(?:[.,]\d+)*){_DEGREE}[^.;,]{{0,20}}\bbelow (?:zero|freezing)",
        re.IGNORECASE,
    ),
    "above zero": re.compile(rf"{_BEFORE}{_NUMBER}{_DEGREE}", re.IGNORECASE),
    "before noon": re.compile(
        rf"\b{_HOUR}(?: o'clock)?\s*(?:a\.m\.|am\b|in the (?:early )?morning)", re.IGNORECASE
    ),
    "after noon": re.compile(
        rf"\b{_HOUR}(?: o'clock)?\s*(?:p\.m\.|pm\b|in the (?:late |early )?(?:afternoon|evening)|at night)",
        re.IGNORECASE,
    ),
    "before Christ": re.compile(rf"\b{_NUMBER} ?(?:BCE?\b|B\.\s?C\.|before Christ)"),
    "after Christ": re.compile(
        rf"\b(?:AD|A\.\s?D\.) ?{_NUMBER}|\b(?P<after>\d+) ?(?:AD\b|A\.\s?D\.|CE\b|C\.\s?E\.)"
    ),
}
_PAIRS = (("below zero", "above zero"), ("before noon", "after noon"), ("before Christ", "after Christ"))


def turned_round(said: str, known: str) -> tuple[str, str] | None:
    """A number that the other text has on the other side alone, as both have it."""
    here, there = _sides(said), _sides(known)
    for one, other in (*_PAIRS, *(sides[::-1] for sides in _PAIRS)):
        for number, text in here.get(one, {}).items():
            if number not in there.get(one, {}) and number in there.get(other, {}):
                return text, there[other][number]
    return None


def _sides(text: str) -> dict[str, dict[str, str]]:
    """By side the numbers on it, as digits, and how each is written."""
    found: dict[str, dict[str, str]] = {}
    taken: set[int] = set()
    for side, pattern in _SIDES.items():
        for number, at, whole in _marked(pattern, text):
            if at not in taken:
                found.setdefault(side, {}).setdefault(number, whole)
                taken.add(at)
    return found


def _marked(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, int, str]]:
    for match in pattern.finditer(text):
        name = match.lastgroup or "number"
        digits = match[name].replace(",", "").replace(".", ":")
        yield digits.removesuffix(":00"), match.start(name), match[0]
