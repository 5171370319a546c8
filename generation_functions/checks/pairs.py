"""What code can see of a pair before any vote is bought: each check a function, with a reason that a person can read.

    flaws(pair)     # Flaw("numbers", "says 14 weeks, which the sentences named as evidence do not"), ...

A check knows the pair, its chunk and what was asked for, and nothing else. Those in ENGLISH know English words, and
pass what is made of a text in another language. What each catches, and what it refuses for nothing, `make quality`
measures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from ..records import Pair
from . import Asked, Flaw, language
from .evidence import NO_SENTENCE, evidence
from .facts import named, numbers
from .form import detritus, flaw_of_prose, form, in_language, loops, truncation
from .pointing import dangling, mention, structure
from .polarity import negation, overclaim
from .relevance import relevance, repetition

__all__ = ["CHECKS", "ENGLISH", "Asked", "flaw_of_prose", "flaws"]

Check = Callable[[Pair, Asked], str | None]

# By the names of their switches, in the order of their cost.
CHECKS: dict[str, Check] = {
    "evidence": evidence,
    "detritus": detritus,
    "mention": mention,
    "dangling": dangling,
    "structure": structure,
    "truncation": truncation,
    "loops": loops,
    "language": in_language,
    "repetition": repetition,
    "relevance": relevance,
    "numbers": numbers,
    "names": named,
    "negation": negation,
    "overclaim": overclaim,
}
NOTHING = Asked()
ENGLISH = frozenset(
    "mention dangling structure truncation repetition relevance numbers names negation overclaim".split()
)


def flaws(pair: Pair, switched_on: Collection[str] = CHECKS, asked: Asked = NOTHING) -> Iterator[Flaw]:
    """Every flaw of a pair, one for each check that finds one; where its form is broken, only that."""
    if reason := form(pair, asked):
        yield Flaw("form", reason)
        return
    if not set(pair.evidence) <= set(range(1, len(pair.chunk.sentences) + 1)):  # nothing to hold it against
        yield Flaw("evidence", NO_SENTENCE)
        return
    is_english = not language.clearly_other(pair.chunk.text, "en")
    for name, check in CHECKS.items():
        if name in switched_on and (is_english or name not in ENGLISH) and (reason := check(pair, asked)):
            yield Flaw(name, reason)
