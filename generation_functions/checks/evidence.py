"""The sentences that a pair names as its proof: whether they are there, and how far what they say reaches.

    Pair(chunk, "When was the Suez Canal opened?", "It was opened in 1869.", evidence=(2,))
    evidence(pair)     # "the sentences named as evidence (2) have not a word of it"

Whether they prove the answer, the checks of its numbers, names and negations look at, and the votes.
"""

from __future__ import annotations

import re

from ..records import Pair
from . import Asked
from .names import names
from .quantities import MONTHS
from .wording import missing, normal, share_known, stems

HARDLY = 0.18  # share of a pair's stems below which its evidence is about something else
NO_SENTENCE = "names no sentence of its text as evidence"
NEW = 3  # stems that its answer must have beyond the question then, none of them in the evidence


def evidence(pair: Pair, asked: Asked) -> str | None:
    """The sentences that the pair names must exist and have something of what it says."""
    if not pair.evidence:
        return NO_SENTENCE
    if asked.text_of and not _stands(pair, asked.text_of(pair.chunk.source)):
        return "the sentences named as evidence are not in the source where they were"
    said = stems(f"{pair.question} {pair.answer}")
    if re.search(r"\d", pair.answer) or not said:
        return None
    numbers = ", ".join(map(str, pair.evidence))
    if len(said) == len(missing(said, stems(pair.proof))):
        return f"the sentences named as evidence ({numbers}) have not a word of it"
    there, new = stems(in_reach(pair)), stems(pair.answer) - stems(pair.question)
    if share_known(said, there) < HARDLY and len(new) >= NEW and len(missing(new, there)) == len(new):
        return f"the sentences named as evidence ({numbers}) have hardly a word of it"
    return None


def _stands(pair: Pair, text: str | None) -> bool:
    """Whether a source's text has the evidence at its offsets; white space does not count."""
    named = [pair.chunk.sentences[n - 1] for n in pair.evidence]
    return text is not None and all(_bare(s.text) == _bare(text[s.start : s.end]) for s in named)


def _bare(text: str) -> str:
    return "".join(text.split())


_HE = re.compile(
    r"\b(?:he|she|him|her|his|hers|they|them|their|theirs|it|its|this|these|that|those|such|"
    r"the (?:latter|former|same))\b",
    re.IGNORECASE,
)


_WHO_IS = re.compile(r"who (?:was|is|were|are) (?!the\b|it\b|that\b)")


def in_reach(pair: Pair) -> str:
    """The evidence, and where it says "he" or "it" without another name also the sentences before it."""
    known = normal(pair.question)
    own = [name for name in names(pair.proof) if normal(name) not in known and normal(name) not in MONTHS]
    is_asked_for = _WHO_IS.match(known) is not None  # then it is no other who can be meant by "she"
    if _HE.search(pair.proof) and (is_asked_for or not own):
        return " ".join(sentence.text for sentence in pair.chunk.sentences[: max(pair.evidence)])
    return pair.proof
