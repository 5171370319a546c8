"""Whether a pair is whole and tidy, whatever it says.

    truncation(pair, asked)    # 'the answer ends with "because"'
    detritus(pair, asked)      # 'has a remainder of layout: "Exercise 4."'

They are Asked nothing: `asked` is there as all checks get it.
"""

from __future__ import annotations

import re
from collections import Counter

from ..records import Pair
from . import Asked, language
from .wording import STOP_WORDS, WORD, normal, parts

LONG_ENOUGH = 8  # words from which an answer is a sentence, which ends with a mark
LOOP_WORDS, LOOP_TIMES = 4, 3  # "has been there and has been there and has been there" (LOG.md 10)


# Control characters, halves of characters, and what has no end.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]|\S{300,}|\n{5,}")
SHOWN = 12  # characters of it in the reason


def form(pair: Pair, asked: Asked) -> str | None:
    """Without these nothing can be said of a pair, so they have no switch."""
    if not pair.question.strip() or not pair.answer.strip():
        return "question or answer is empty"
    if normal(pair.question) == normal(pair.answer):
        return "the answer is the question"
    for text in (pair.question, pair.answer):
        if found := _NO_TEXT.search(text):
            return f"has {ascii(found[0][:SHOWN])}, which is no text"
    return None


_DETRITUS = re.compile(
    "|".join(
        (
            r"\|[^|\n]*\||\.{4,}|(?:\. ){3,}|_{3,}|[-=*~]{4,}|^#{1,6} |```|\t\S|\u2610|\ufffd",  # layout
            r"(?<=[\w.,;:!?\"\u201d)])\s?\[\d{1,3}\]|\[(?:illustration|figure|table|footnote|image)\b",
            r"^[^\w\n]*(?:question|answer|exercise|problem|q|a|ex|example|note|text|solution|hint|response|verdict|"
            r"reason|sentences?)\b\.? ?\d*[.:)]",
            r"\b(?:exercise|problem|question) \d+[a-z]?[.:)]|^\(?[a-d1-9]\) |\(\d+ (?:marks?|points?)\)",
            r"(?<![\w_])_[^_\s][^_\n]{1,80}_(?![\w_])",  # italics of a plain text
            r"\b(?:see|cf\.|compare|refer to) (?:also )?(?:page|pp?\.|chapter|section|figure|fig\.|table|above|below|"
            r"appendix)",
            r"\b(?:p\.|pp\.) ?\d|\b(?:page|p\.) \d+\b|\bibid\b|\bop\. cit|\(?(?:continued|cont'd)\)?$",
            r"https?://|www\.|</?[a-z][a-z0-9]*(?: [^<>]*)?/?>|\{\{|\\(?:begin|frac|textbf)",
            r"\bisbn\b|all rights reserved|project gutenberg",
        )
    ),
    re.IGNORECASE | re.MULTILINE,
)


_FENCED = re.compile(
    r"^```[\w+-]*\n.*?\n```[^\S\n]*$", re.MULTILINE | re.DOTALL
)  # which may look as it likes


def detritus(pair: Pair, asked: Asked) -> str | None:
    """Remains of exercises, tables, page layout or of the prompt."""
    for text in (pair.question, pair.answer):
        if found := _DETRITUS.search(_FENCED.sub("", text)):
            return f'has a remainder of layout: "{" ".join(found[0].split())}"'
    return None


_OPEN_END = re.compile(r"(?:[,;:\-\u2013\u2014(\[/&]|\.\.\.|\u2026)$")
_CLOSED = re.compile(r"[.!?][\"'\u201d\u2019)*\]]*$")


def truncation(pair: Pair, asked: Asked) -> str | None:
    """Question and answer must not end in the middle."""
    question, answer = pair.question.rstrip(), pair.answer.rstrip()
    for part, text in (("question", question), ("answer", answer)):
        if _OPEN_END.search(text):
            return f'the {part} ends with "{text[-12:]}"'
        if _leaves_open(text):
            return f"the {part} opens a bracket or a quotation and does not close it"
    if not re.search(r"[?.!:\"\u201d)]$", question):
        return "the question ends without a mark"
    return _cut_off(answer, pair)


def _leaves_open(text: str) -> bool:
    return ("(" in text and ")" not in text) or text.count("\u201c") > text.count("\u201d")


_CANNOT_END = frozenset(
    """a an the and or but because of to in with by for from that which is are was were as than into its
    their his her our your my whose while if when where whether nor at on between among during until very
    also such""".split()
)
_MAY_END_WITH_STOP = frozenset(  # "What it is made of.", a list's last line
    """is are was were of to in with by for from that at on as which when where while very also such during
    until his her""".split()
)


def _cut_off(answer: str, pair: Pair) -> str | None:
    """An answer that breaks off between two words, or in one."""
    *before, last = answer.split("\n")
    end = (parts(last) or ("",))[-1]
    is_closed = _CLOSED.search(last) is not None
    if end in _CANNOT_END and not (end in _MAY_END_WITH_STOP and (is_closed or before)):
        return f'the answer ends with "{end}"'
    is_sentence = not before and len(WORD.findall(last)) >= LONG_ENOUGH
    if is_sentence and not is_closed and not re.search(r"[\"'\u201d\u2019)]$", last):
        return "the answer ends without a full stop"
    is_name = not last[-len(end) - 1 :].strip(" .!?")[:1].islower()
    if not is_name and (whole := _cut_word(end, pair)):
        return f'the answer ends with "{end}", a piece of "{whole}"'
    return None


_INFLECTION = re.compile(
    r"'?s|es|e?d|i?ng|e?r|e?st|ly|y|i?al|ally|ness|ments?|ions?|ations?|ity|able|ible|ful|less|ish|ism|ists?|ive|ic|"
    r"ical|ous|ance|ence|ant|ent|th|n|en|e|ers|ors?|man|men|age|ship|hood|dom|wards?|wise|like"
)


def _cut_word(word: str, pair: Pair) -> str | None:
    """The word of the text that the answer's last word is a piece of."""
    there = {*parts(pair.chunk.text), *parts(pair.question)}
    if not word.isalpha() or word in there or word in STOP_WORDS or len(word) < 3:
        return None
    longer = [other for other in there if other.startswith(word)]
    if any(_INFLECTION.fullmatch(other[len(word) :]) for other in longer):
        return None
    return min(longer, key=lambda other: (len(other), other), default=None)


def loops(pair: Pair, asked: Asked) -> str | None:
    """Small models go round in circles."""
    return flaw_of_prose(f"{pair.question}\n{pair.answer}")


def flaw_of_prose(text: str) -> str | None:
    """That a text goes round in circles, as small models do: a phrase of LOOP_WORDS words comes LOOP_TIMES times."""
    said = WORD.findall(normal(text))
    phrases = Counter(zip(*(said[first:] for first in range(LOOP_WORDS)), strict=False))
    for phrase, times in phrases.most_common(1):
        if times >= LOOP_TIMES:
            return f'says "{" ".join(phrase)}" {times} times'
    return None


def in_language(pair: Pair, asked: Asked) -> str | None:
    """Question and answer must be in the language asked for, else in that of the text."""
    wanted = asked.language or language.of(pair.chunk.text)
    for part, text in (("question", pair.question), ("answer", pair.answer)):
        if wanted and (other := language.clearly_other(text, wanted)):
            return f"the {part} is in {other}, not in {wanted}"
    return None
