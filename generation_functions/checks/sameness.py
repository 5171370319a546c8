"""Whether two pairs ask for the same thing and say the same of it.

    repeats(Pair(chunk, "Why is meat salted?", "It then keeps."), Pair(chunk, "What is salting for?", "It keeps meat."))

The same beginning is not the same question, and the same answer is not either: "What happens to the air in a
balloon when it is heated?" and "... when it is cooled?" share all words but one. So what decides is what two
questions do not share, and what their answers say beyond the questions. How often that is right, `make quality`
measures. English.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from ..records import Pair
from .agreement import agree
from .asking import LIGHT, Sides, are_contrary, asks, sides
from .quantities import Quantity, quantities
from .wording import capitalised, missing, normal, parts, share_known, stems

# Shares of what two answers say beyond their questions, from which they say the same: where both pairs are proved
# by the same sentence, where the questions have no word of their own, where one has, where both have (LOG.md 18).
AGREE_BY_PROOF, AGREE, AGREE_AND_ASK, AGREE_ALL = 0.33, 0.25, 0.4, 0.5
AGREE_APART = 0.75  # the same where they are proved by different sentences of a chunk
NO_ACCIDENT = 2  # stems that two answers share, from which that is more than "It rises."
ALIKE_QUESTIONS = 0.2  # share of common stems that two questions need where one has a word of its own
SHORT = 3  # stems of an answer below which it may come twice by accident
ALIKE_ENOUGH = 0.4  # share of common stems that questions must have then
ALIKE_PAIRS = 0.25  # share of common stems that two whole pairs need where both have words of their own
ELSEWHERE = 0.6  # share of common stems that questions of two chunks need
APART = {"who", "when"}, {"who", "where"}  # one question may well ask for when and where
NUMBERS = 40  # of a text that are held against those of another

_NEGATIVE = re.compile(r"\b(?:not|never|no|without|\w+n't)\b")
_ROMAN = re.compile(r"(?<=\w )\b[IVX]{1,5}\b")
_ROMANS = {
    roman: str(n)
    for n, roman in enumerate("I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI".split(), 1)
}
_ORDINALS = {word: str(n) for n, word in enumerate("first second third fourth fifth".split(), 1)}


def repeats(pair: Pair, other: Pair) -> bool:
    """Whether the two ask for the same thing and say the same of it."""
    one, two = _said(pair.question, pair.answer), _said(other.question, other.answer)
    if _differ(one, two):
        return False
    if one.words == two.words:
        return True
    is_near = pair.chunk.key == other.chunk.key
    if not is_near and _soft_overlap(one.asked, two.asked) < ELSEWHERE:
        return False
    held = _held(one, two)
    if _is_accident(one, two, held):
        return False
    is_proved = is_near and bool(pair.evidence and other.evidence)
    if is_proved and set(pair.evidence) & set(other.evidence):
        return held.agreement >= (AGREE_BY_PROOF if one.kind == two.kind else AGREE_ALL)
    return _say_the_same(one, two, held, is_proved)


@dataclass(frozen=True, slots=True)
class _Said:
    """What a pair asks and says."""

    words: tuple[str, ...]
    asked: frozenset[str]
    answer: str
    answered: frozenset[str]
    asked_numbers: tuple[Quantity, ...]
    answered_numbers: tuple[Quantity, ...]
    names: frozenset[str]
    places: frozenset[str]
    sides: Sides
    is_negative: bool
    kind: str

    @property
    def all(self) -> frozenset[str]:
        return self.asked | self.answered


@lru_cache(maxsize=4096)
def _said(question: str, answer: str) -> _Said:
    named = (part for name, begins in capitalised(question) if not begins for part in parts(name))
    return _Said(
        words=tuple(sorted(word for word in parts(question) if word not in ("a", "an", "the"))),
        asked=stems(question),
        answer=normal(answer),
        answered=stems(answer),
        asked_numbers=_numbers(question),
        answered_numbers=_numbers(answer),
        names=frozenset(named),
        places=_places(question),
        sides=sides(question),
        is_negative=_NEGATIVE.search(normal(question)) is not None,
        kind=asks(question),
    )


def _numbers(text: str) -> tuple[Quantity, ...]:
    told = (quantity for quantity in dict.fromkeys(quantities(text)) if not quantity.says_little)
    return tuple(islice(told, NUMBERS))


def _places(question: str) -> frozenset[str]:
    """Of several things of one name: "Charles II", "Charles the Second"."""
    romans = {_ROMANS[roman] for roman in _ROMAN.findall(question) if roman in _ROMANS}
    spoken = {_ORDINALS[word] for word in normal(question).split() if word in _ORDINALS}
    return frozenset(romans | spoken) if romans else frozenset()


def _differ(one: _Said, two: _Said) -> bool:
    """A number or a name of the one that the other does not have, or a word against its opposite."""
    answered = one.answered_numbers, two.answered_numbers
    if all(answered) and not _some_agree(*answered):
        return True
    if one.asked_numbers and two.asked_numbers:
        there = (*two.asked_numbers, *two.answered_numbers)
        if not all(_some_agree((number,), there) for number in one.asked_numbers):
            return True
    if {one.kind, two.kind} in APART:
        return True
    if (one.places and two.places and one.places != two.places) or are_contrary(one.sides, two.sides):
        return True
    return bool(missing(one.names, {*two.words, *two.all}) and missing(two.names, {*one.words, *one.all}))


def _some_agree(some: Sequence[Quantity], others: Sequence[Quantity]) -> bool:
    return any(agree(one, other) or agree(other, one) for one in some for other in others)


@dataclass(frozen=True, slots=True)
class _Held:
    """Two pairs held against each other.

    How many words of its own each question has, how alike the questions are, how many stems the answers share beyond
    the questions, and which share of the shorter one's that is.
    """

    own: tuple[int, int]
    alike: float
    shared: float
    agreement: float


def _held(one: _Said, two: _Said) -> _Held:
    own = missing(one.asked - LIGHT, two.all), missing(two.asked - LIGHT, one.all)
    alike = _soft_overlap(one.asked - LIGHT, two.asked - LIGHT)
    return _Held((len(own[0]), len(own[1])), alike, *_agreement(one, two))


def _agreement(one: _Said, two: _Said) -> tuple[float, float]:
    """What the answers share beyond the questions: how many stems, and which share of the shorter one's."""
    known = one.asked | two.asked
    first, second = missing(one.answered, known) - LIGHT, missing(two.answered, known) - LIGHT
    shared = (len(first) * share_known(first, second) + len(second) * share_known(second, first)) / 2
    share = min(1.0, shared / min(len(first), len(second))) if first and second else 0.0
    if _some_agree(one.answered_numbers, two.answered_numbers):
        return shared + 1, max(share, AGREE_ALL if first and second else 1.0)
    if not first and not second:  # "Yes.", "It rises."
        return 0.0, float(one.asked == two.asked)
    return shared, share


def _soft_overlap(one: Collection[str], two: Collection[str]) -> float:
    """Common and related members of all, from 0 to 1."""
    if not one or not two:
        return 0.0
    shared = (len(one) - len(missing(one, two)) + len(two) - len(missing(two, one))) / 2
    return shared / (len(one) + len(two) - shared)


def _is_accident(one: _Said, two: _Said, held: _Held) -> bool:
    """The same answer to another question: "Mercury." may answer many."""
    is_exchanged = held.own == (1, 1) and held.alike >= ALIKE_QUESTIONS  # as "pressure" for "temperature"
    if (is_exchanged or one.is_negative != two.is_negative) and held.shared < NO_ACCIDENT:
        return True
    is_short = one.answer == two.answer and len(one.answered) < SHORT
    return is_short and all(held.own) and held.alike < ALIKE_ENOUGH


def _say_the_same(one: _Said, two: _Said, held: _Held, is_proved: bool) -> bool:
    """Whether the answers agree as much as what the questions do not share demands; `is_proved` by other sentences."""
    if one.kind and two.kind and one.kind != two.kind and (held.agreement < AGREE_APART or all(held.own)):
        return False
    if all(held.own):
        is_alike = held.shared >= NO_ACCIDENT and _soft_overlap(one.all, two.all) >= ALIKE_PAIRS
        return is_alike and held.agreement >= (AGREE_APART if is_proved else AGREE_ALL)
    if any(held.own):
        enough = AGREE_APART if is_proved else AGREE_AND_ASK
        return held.alike >= ALIKE_QUESTIONS and held.agreement >= enough
    return held.agreement >= AGREE
