"""Whether a pair points at the text it was made from, which its reader does not have.

    mention(pair)       # 'mentions "according to the author", which a reader of the pair does not have'
    structure(pair)     # 'asks about the form of the text: "how many chapters"'

A text may be about a passage, a chapter or an author, so what stands in it may be said. English.
"""

from __future__ import annotations

import re

from ..records import Pair
from . import Asked
from .wording import normal


def _one_of(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


_TEXT = (
    r"(?:text|passage|paragraph|excerpt|extract|author|writer|narrator|article|chapter|section|document|snippet|book|"
    r"essay|textbook|lecture|biography|treatise)"
)
_ACCOUNT = (  # some things are made of it that are no text
    r"(?:account|story|history|report|source|material|information|statement|guide|manual|handbook|reading|context|"
    r"speaker|sentence)"
)
_EITHER = rf"(?:{_TEXT}|{_ACCOUNT})"
_THE = r"(?:the|this|that|given|provided)"
_GIVEN = r"(?:above|given|provided|preceding|following|present|aforementioned|quoted|supplied)"
_SAYS = (
    r"(?:says?|states?|mentions?|describes?|explains?|tells|discusses|does|do|gives?|provides?|suggests?|implies|"
    r"claims?|argues?|refers?|lists?|notes?|defines?|believes?|thinks?|recommends?|presents?|uses)"
)
_SAY = (
    r"(?:says?|states?|mentions?|describes?|explains?|tell|discuss|give|provide|suggest|imply|claim|argue|refer|list|"
    r"note|define|believe|think|recommend|present|use|about)"
)
_SAID = (
    r"(?:mentioned|described|discussed|stated|given|listed|shown|explained|outlined|provided|noted|defined|quoted|"
    r"presented)"
)
# These point at the text whatever it is about.
_POINTING = _one_of(
    rf"\b(?:according to|based on|from|in|per|by|as per|using)(?: only)? {_THE}(?: \w+)? {_TEXT}s?\b",
    rf"\b(?:according to|based on|as per)(?: only)? {_THE}(?: \w+)? {_ACCOUNT}s?\b",
    rf"\b(?:the|this|that) {_GIVEN} {_EITHER}s?\b",
    rf"\b(?:this|the) {_EITHER} {_SAYS}\b",
    rf"\b(?:does|do|did|is|are|was|were) (?:the|this) {_EITHER} {_SAY}\b",
    rf"\b{_SAID} (?:above|below|earlier|here|previously|in (?:the|this) (?:text|passage|excerpt|section|paragraph))\b",
    r"\b(?:above|afore)-?mentioned\b",
    r"\bas (?:mentioned|stated|noted|described|discussed|shown|seen|explained) (?:above|earlier|before|here)\b",
    r"\bthe (?:given|provided|above) (?:text|information|context|passage|data)\b",
    r"\bthe (?:author|narrator|writer)(?:'s|s')?\b",
    r"\bin (?:this|the) (?:text|passage|excerpt|extract|section|paragraph|snippet)\b",
)
# These may be what the text is about.
_NAMING = _one_of(
    r"\b(?:the|this|that|given|provided) (?:above )?"
    r"(?:text|passage|paragraph|excerpt|extract|author|narrator|article|chapter|section|document|snippet)s?\b"
)
_TEXT_ALONE = re.compile(
    r"\b(?:passage|text|author|writer|section|article|account|source|story|chapter|history|book)s?$"
)
_OF_SOMETHING = re.compile(r" of (?!(?:the|this|that) (?:text|passage|book|article|chapter))")


def mention(pair: Pair, asked: Asked) -> str | None:
    """A pair is read without its text, so it must not point at it: "the passage above", "according to the author"."""
    if asked.may_name_text:
        return None
    said, there = normal(f"{pair.question} {pair.answer}"), normal(pair.chunk.text)
    for found in (*_NAMING.finditer(said), *_POINTING.finditer(said)):
        phrase = found[0].strip()
        has_subject = _OF_SOMETHING.match(said, found.end()) and _TEXT_ALONE.search(phrase)
        if phrase not in there and not has_subject:  # "the author of Walden" is a person
            return f'mentions "{phrase}", which a reader of the pair does not have'
    return None


_NUMBER = r"(?:\d+(?:[.-]\d+)*|[ivxlc]+|[a-h]|one|two|three|four|five|six|seven|eight|nine|ten)\b"
_PICTURE = r"(?:table|figure|diagram|drawing|picture|image|chart|graph|illustration|plate|photograph)"
_STRUCTURE = _one_of(
    r"\b(?:figure|fig\.?|table|plate|chapter|section|appendix|exercise|diagram|footnote|paragraph|sentence|page|pages|"
    rf"p\.|question|problem|equation|listing|box|lesson|unit|part|volume) {_NUMBER}",
    r"\b(?:first|second|third|last|next|previous|following|final|opening|preceding|present) "
    r"(?:chapter|section|paragraph|page|figure|table|heading|sentence|exercise|footnote|bullet)s?\b",
    rf"\b(?:shown|listed|depicted|illustrated|given|displayed|seen|pictured) (?:in|on) "
    rf"(?:the|this) (?:\w+ )?(?:list|{_PICTURE})\b",
    r"\bwhat (?:does|do|is|are) (?:the|this) (?:\w+ ){0,3}?"
    rf"(?:listing|{_PICTURE}|footnote|caption|heading)"
    r"(?: (?:of|on) [^?]{1,60})? (?:show|list|depict|illustrate|say|give|contain|about|called)\b",
    r"\b(?:title|heading|subtitle|caption|topic|theme|subject|main idea|main topic|main purpose|tone|structure|layout|"
    r"length) of (?:the|this) (?:\w+ )?(?:chapter|section|text|passage|book|paragraph|article|excerpt|document|page|"
    r"figure|table)\b",
    r"\b(?:after|before|follows|precedes) the (?:part|section|chapter|passage|paragraph) (?:on|about|dealing)\b",
    r"\b(?:is|are|was|were) (?:mentioned|discussed|listed|described|treated|entered|introduced) "
    r"(?:first|last|next|before|after|second|at the (?:beginning|start|end)|in the (?:first|second|last|next|same) )",
    r"\b(?:station|point|item|thing|name|topic|example|entry|person|word)s? (?:mentioned|listed|named|discussed) "
    r"(?:next|first|last)\b",
    r"\b(?:does|do|did) (?:the|this) (?:table|figure|list|chart|diagram|drawing)(?: of [^?]{1,40})? "
    r"(?:list|show|give|contain|include)\b",
    r"\bunder the heading\b",
    r"\bhow many (?:rows of the|columns of the|entries of the|chapters|sections|paragraphs|pages|figures|tables|"
    r"sentences|exercises|footnotes|bullet points)\b",
    r"\b(?:what|which) (?:chapter|section|page|paragraph|heading|figure|table|topics?|footnote)s? (?:\w+ ){0,2}"
    r"(?:discuss|cover|treat|introduc|deal|describ|explain|list|follow|come|contain|begin|start|open|show)\w*\b",
    r"\bwhat (?:is|are|was|were) (?:\w+ ){0,3}(?:discussed|introduced|covered|listed|described|treated|presented) "
    r"(?:in|on|at|by) (?:the|this)\b",
)
_MAY_BE_SUBJECT = re.compile(r"(?:section|article|part|volume|unit|box|question|problem|equation|plate) ")


_THIS = re.compile(
    r"\b(?:this|these|the (?:above|said|aforesaid|former|latter)"
    r"|such (?:a case|cases|circumstances|conditions|an experiment))\b"
)


def dangling(pair: Pair, asked: Asked) -> str | None:
    """A question names what it is about: "What does this mean?" and "under these circumstances" mean nothing alone."""
    found = _THIS.search(normal(pair.question))
    return f'asks about "{found[0]}", and does not say what that is' if found else None


def structure(pair: Pair, asked: Asked) -> str | None:
    """A pair about chapters, figures and tables says nothing to somebody who does not see them."""
    there = normal(pair.chunk.text)
    for found in _STRUCTURE.finditer(normal(f"{pair.question}\n{pair.answer}")):
        if not (_MAY_BE_SUBJECT.match(found[0]) and found[0] in there):  # laws have sections
            return f'asks about the form of the text: "{found[0]}"'
    return None
