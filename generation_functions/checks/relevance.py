"""Whether an answer is one to its question: of the kind asked for, from the text, and more than the question said.

    relevance(pair)     # "the question asks when, and the answer does not say"
    repetition(pair)    # "the answer says no more than the question"

What is asked for is known by how the question begins. English.
"""

from __future__ import annotations

import re

from ..records import Pair
from . import Asked
from .evidence import in_reach
from .names import names
from .polarity import asks_yes_or_no, has_negative
from .quantities import MONTHS, quantities
from .wording import ONES, TENS, WORD, missing, normal, stem, stems

FOREIGN = 8  # stems that an answer has beyond its question's, from which one at least must be in the text
FEW_NEW = (
    0.35  # share of an answer's stems, from which on those beyond the question's are taken for an answer
)
FEW = 2  # words of an answer that is one thing's name

_WHEN = re.compile(
    r"(?:(?:since |until |from |by |and )?when (?:is|was|were|are|do|does|did|has|have|had|can|could|should|will|"
    r"would|must|may|might)\b"
    r"|(?:in |on |since |by |until )?(?:what|which) (?:year|month|day|date|century|decade|season))\b"
)
_TIMES = (
    "before|after|when|whenever|while|during|until|till|once|as soon as|since|if|only|upon|following|then",
    "every|each|twice|just",
    "century|centuries|year|month|week|day|hour|minute|second|moment|season|winter|spring|summer|autumn|fall",
    "morning|noon|evening|night|dawn|dusk|midnight|midday|now|today|always|immediately|never|often|early|late|later",
    "|".join(MONTHS),
    "monday|tuesday|wednesday|thursday|friday|saturday|sunday|easter|christmas",
    r"at the (?:end|beginning|start|age|time)|age|reign|war|\w+ies|\w+ing",
)
_TIME = re.compile(rf"\d|\b(?:{'|'.join(_TIMES)})s?\b")
_HOW_MANY = re.compile(
    r"(?:^|, |\band )(?:(?:in|at|to|by|for|with|about|roughly|on|of|from|until|so|but|over|than|then|after|within) )*"
    r"(?:how (?:many|much|long|far|high|deep|old|tall|wide|thick|heavy|large|big|fast|often|hot|cold|soon)\b"
    r"|(?:what|which) (?:number|percentage|proportion|share|fraction|temperature|dose|weight|height|depth|distance|"
    r"length|age|amount|quantity)\b)"
)
_AMOUNTS = (
    "|".join((*ONES[:13], *TENS)),
    r"hundred|thousand|million|billion|dozen|score|half|halves|thirds?|quarters?|\w+teen|\w+ty-\w+|\w+ths?|percent|per",
    "none|no|nothing|few|fewer|several|many|much|most|all|both|some|any|a|an|little|less|least|more|enough|as|not",
    "single|twice|once|double|twofold|couple|pair|daily|weekly|yearly|annually|monthly|hourly|every|each",
    "always|never|often|seldom|rarely|until|far|long|short|indefinitely|forever",
    "slightly|greatly|considerably|completely",
)
_AMOUNT = re.compile(rf"\d|[\u00bd\u00bc\u00be%]|\b(?:{'|'.join(_AMOUNTS)})s?\b")


def answers_kind(question: str, answer: str) -> bool:
    """Whether an answer names a time where one is asked for, or an amount."""
    question, answer = normal(question), normal(answer)
    if _WHEN.match(question) and not _TIME.search(answer):
        return False
    return not _HOW_MANY.search(question) or " or " in question or _AMOUNT.search(answer) is not None


_WANTS_NO_AMOUNT = re.compile(r"(?:why|who|whom|whose|where|how (?:do|does|did|is|are|was|were|can))\b")
_AMOUNT_ALONE = re.compile(r"(?:in |on |at |about |around |since |the )*[\d.,/-]+(?: ?%)?[.!]?$")
_WANTS_PLACE_OR_REASON = re.compile(r"(?:why|where|who|whom|whose)\b")


def relevance(pair: Pair, asked: Asked) -> str | None:
    """The answer must be of the kind that is asked for, and have words of its text beyond those of the question."""
    question, answer = normal(pair.question), normal(pair.answer)
    if not answers_kind(question, answer):
        wanted = "when" if _WHEN.match(question) else "for a quantity"
        return f"the question asks {wanted}, and the answer does not say"
    a_number = f'the question asks "{question.split()[0]}", and the answer is a number'
    if _WANTS_NO_AMOUNT.match(question) and _AMOUNT_ALONE.match(answer):
        return a_number
    if lacking := _where_no_word_is(pair):
        return f"no word of the answer is in {lacking}"
    if _WANTS_PLACE_OR_REASON.match(question) and _is_number_alone(pair):
        return a_number
    return None


def _where_no_word_is(pair: Pair) -> str | None:
    """Whether that is the text, or the evidence of an answer that is one thing's name."""
    new = stems(pair.answer) - stems(pair.question)
    is_name = _names_thing(pair)
    if not new or not (is_name or len(new) >= FOREIGN):
        return None
    if len(missing(new, stems(pair.chunk.text))) == len(new):
        return "the text"
    if is_name and len(missing(new, stems(in_reach(pair)))) == len(new):
        return "the sentences named as evidence"
    return None


_WANTS_THING = re.compile(
    r"(?:(?:in|on|at|from|to|by|with|of|for|under|near|through|into) )?"
    r"(?:who|whom|whose|which(?! of)|where|what (?:name|term|word))\b(?!.* or )"
)


def _names_thing(pair: Pair) -> bool:
    """Whether a question asks for one thing by its name, and the answer is one; a person may be called by a role."""
    question = normal(pair.question)
    if not _WANTS_THING.match(question) or quantities(pair.answer) or re.search(r"\b[A-Z]\.", pair.answer):
        return False
    is_person = re.search(r"\bwho(?:m|se)?\b", question) is not None
    return not is_person or len(WORD.findall(pair.answer)) <= FEW or bool(names(pair.answer))


def _is_number_alone(pair: Pair) -> bool:
    """ "About 1869 BC", "in May 1869"; not "3 miles north of Oslo"."""
    if not quantities(pair.answer):
        return False
    beside = _BESIDE_NUMBERS | {stem(month) for month in MONTHS}
    return not stems(pair.answer) - stems(pair.question) - beside


_BESIDE_NUMBERS = frozenset("bc ad ce bce about around".split())

# Stems that add nothing to a question when an answer has them.
_EMPTY = frozenset(
    """thing way process call mean refer defin happen occur becaus reason use make made becom say known name
    type kind form act exampl fact import caus effect result purpos answer come go give given find found
    get take far sort certain""".split()
)
_LEAVES_CHOICE = re.compile(r"\b(?:hardly|scarcely|barely|only|all|both|every)\b", re.IGNORECASE)


_TWICE_THE_SAME = re.compile(r"\b(?:between|of|compare) ([^?]{4,200}) (?:and|with|to) \1\?")


def repetition(pair: Pair, asked: Asked) -> str | None:
    """The answer must say something that the question does not, unless that leaves a choice."""
    if asks_yes_or_no(pair.question) or " or " in normal(pair.question):
        return None
    if has_negative(pair.answer) or _LEAVES_CHOICE.search(pair.answer):
        return None
    if _TWICE_THE_SAME.search(normal(pair.question)):
        return "the question compares a thing with itself"
    told = stems(pair.answer)
    asked_numbers, told_numbers = ({q.values for q in quantities(t)} for t in (pair.question, pair.answer))
    if not told or not told_numbers <= asked_numbers:
        return None
    new = missing(told, stems(pair.question)) - _EMPTY
    if not new or (len(new) <= len(told) * FEW_NEW and _is_of_nothing_proven(pair, new)):
        return "the answer says no more than the question"
    return None


def _is_of_nothing_proven(pair: Pair, new: set[str]) -> bool:
    """Whether what the answer adds are other words for what was asked, as the evidence has none of them."""
    asks_amount = _WHEN.match(normal(pair.question)) or _HOW_MANY.search(normal(pair.question))
    return not asks_amount and len(missing(new, stems(in_reach(pair)))) == len(new)
