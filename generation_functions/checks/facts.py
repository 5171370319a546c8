"""Whether the numbers and the names of a pair are those of its text.

    numbers(pair)     # "says 14 weeks, which the sentences named as evidence do not"
    named(pair)       # "says Bergen, which the text does not have"

English.
"""

from __future__ import annotations

import re

from ..records import Pair
from . import Asked
from .evidence import in_reach
from .known_numbers import states_kind, strange, unstated
from .marks import turned_round
from .names import codes, full_names, is_unknown, unknown_names
from .quantities import quantities
from .wording import normal

# Questions that an answer is worked out for.
_WORKED_OUT = re.compile(
    r"\b(?:in all|altogether|in total|total|sum|both|together|whole|made up|remains?|left|difference|average|"
    r"ratio|part|fraction|percentage|share|proportion|longer|more|less|later|earlier|older|younger|higher|lower|"
    r"next|following|apiece|times|by how|by what|how (?:old|long|far apart)|at most how|cost|age)\b",
    re.IGNORECASE,
)
_HOW_MANY_OF = re.compile(r"\b(?:how many|in(?= \w+\?)) (\w+)", re.IGNORECASE)
_YEAR = re.compile(r"\b1[0-9]\d\d\b|\b20\d\d\b")


def numbers(pair: Pair, asked: Asked) -> str | None:
    """Numbers, dates and units of the answer must be in the evidence, those of the question in the text."""
    if _supposes(pair):
        return None
    if turned := turned_round(pair.answer, pair.proof):
        return f"says {turned[0]}, where the sentences named as evidence say {turned[1]}"
    unit = _HOW_MANY_OF.search(pair.question)
    if found := strange(pair.answer, f"{pair.proof}\n{pair.question}", unit[1] if unit else ""):
        has_what_for = quantities(pair.proof) or not re.search(
            r"\d", found[0]
        )  # things are counted: "three in all"
        if has_what_for and _WORKED_OUT.search(pair.question) and not states_kind(pair.answer, pair.proof):
            return None
        elsewhere = "" if strange(found[0], pair.chunk.text) else ", though another sentence of the text does"
        return f"says {found[0]}, which the sentences named as evidence do not{elsewhere}"
    if found := [year for year in _YEAR.findall(pair.question) if strange(year, pair.chunk.text)]:
        return f"asks about {found[0]}, which the text does not have"
    return None


def _supposes(pair: Pair) -> bool:
    """Whether the question brings a quantity of its own, for which an answer has to be worked out."""
    return any(not found.isdigit() for found in unstated(pair.question, pair.chunk.text))


def named(pair: Pair, asked: Asked) -> str | None:
    """Names and terms like `fsync()`, H2O or NATO must be in the text, those of the answer in the evidence."""
    given = (pair.question, pair.chunk.source) if asked.may_name_text else (pair.question,)
    if found := unknown_names(pair.answer, pair.chunk.text, *given):
        return f"says {found[0]}, which the text does not have"
    reach = in_reach(pair), *given
    for name in full_names(pair.answer, pair.chunk.text):
        if is_unknown(name, *reach) and not _says_of_what_kind(name, pair.answer):
            return f"says {name}, which the sentences named as evidence do not"
    for code in codes(pair.answer):
        if not any(code in normal(text) for text in reach):
            return f"says {code}, which the sentences named as evidence do not"
    return None


def _says_of_what_kind(name: str, answer: str) -> bool:
    """ "the Sikh scripture"."""
    return re.search(rf"\b(?:the|an?) {re.escape(name)} [a-z]{{3,}}", answer, re.IGNORECASE) is not None
