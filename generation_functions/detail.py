"""A record in full, as JSON for the review view: its fields and what changed in them, its text, its votes.

fields(record, edited(record, overlay), made=True)
# [{"name": "answer", "label": "Answer", "text": "In 1869.", "was": "In 1870.",
#   "diff": [["=", "In"], ["-", " 1870."], ["+", " 1869."]], "editable": True, "about": ""}, ...]
"""

from __future__ import annotations

import difflib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import regex

from .export import editable
from .records import Cast, Conversation, Outcome, Pair, Verdict, chunk_of, pairs_of

TITLE = 160  # characters
LONG_FIELD = 50_000  # characters; a longer one is for an editor
LONG_TEXT = 20_000  # characters of a sentence or a reason that are shown
DIFFED_WORDS = 4_000

MARKS = {True: "pass", False: "fail", None: "abstain"}

Json = dict[str, Any]


def shown(text: str, most: int = LONG_TEXT) -> str:
    """The text without what no screen has a sign for, such as NUL and half a character."""
    cut = text if len(text) <= most else text[: most - 1] + "\u2026"
    if cut.isprintable():
        return cut
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") else "\ufffd" for c in cut)


def what(made: Sequence[Any]) -> str:
    """What such records are called."""
    return f"{type(made[0]).__name__.lower()}s" if made else "records"


def title(record: Any) -> str:
    """What a record is known by in a list."""
    match record:
        case Pair(question=question):
            return question
        case Cast(answerer=answerer, asker=asker, scenario=scenario):
            return f"{answerer} and {asker}: {scenario}" if scenario else f"{answerer} and {asker}"
        case Conversation(turns=turns):
            return turns[0].text if turns else ""
    return chunk_of(record).text[: TITLE * 2]


def fields(record: Any, stands: Any, *, made: bool) -> list[Json]:
    """The fields that a person may edit: as generated in `record`, as they are now in `stands`."""
    if isinstance(record, Conversation):
        return _turns(record, stands, made)
    named = [(name, getattr(record, name), getattr(stands, name)) for name in editable(record)]
    return [_field(name, name.capitalize(), "", was, now, made) for name, was, now in named if was or now]


def _turns(record: Conversation, stands: Conversation, made: bool) -> list[Json]:
    pairs, found = pairs_of(record), []
    for name, was, now in zip(editable(record), record.turns, stands.turns, strict=True):
        label, about = f"{name.capitalize()}, {now.speaker}", _carried(was.text, pairs)
        found.append(_field(name, label, about, was.text, now.text, made))
    return found


def _carried(text: str, pairs: Sequence[Pair]) -> str:
    """Which pair's question or answer a turn holds."""
    for number, pair in enumerate(pairs, 1):
        if pair.question in text:
            return f"the question of pair {number}"
        if pair.answer in text:
            return f"the answer of pair {number}"
    return ""


def _field(name: str, label: str, about: str, was: str, now: str, made: bool) -> Json:
    long = max(len(was), len(now)) > LONG_FIELD
    if long:
        about = ", ".join(filter(None, (about, f"{len(now):,} characters, too long to be edited here")))
    was, now = shown(was, LONG_FIELD), shown(now, LONG_FIELD)
    return {
        "name": name,
        "label": label,
        "about": about,
        "text": now,
        "was": was,
        "diff": word_diff(was, now),
        "editable": made and not long,
    }


WORDS = regex.compile(r"\s*\S+|\s+$")


def word_diff(before: str, after: str) -> list[list[str]] | None:
    """What was taken out ("-"), put in ("+") and left ("="), in words; None where nothing changed, or where it is too
    much."""
    old, new = WORDS.findall(before), WORDS.findall(after)
    if before == after or len(old) + len(new) > DIFFED_WORDS:
        return None
    parts: list[list[str]] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append(["=", "".join(old[a:b])])
        else:
            parts += [[sign, "".join(words)] for sign, words in (("-", old[a:b]), ("+", new[c:d])) if words]
    return parts


def text(record: Any) -> Json:
    """The record's chunk, with the sentences marked that prove its pairs."""
    chunk = chunk_of(record)
    evidence = {number for pair in pairs_of(record) for number in pair.evidence}
    parts = [
        {
            "text": shown(sentence.text),
            "marked": number in evidence,
            "opens_paragraph": sentence.opens_paragraph,
        }
        for number, sentence in enumerate(chunk.sentences, 1)
    ]
    place = f"{chunk.source}, characters {chunk.start:,} to {chunk.end:,}"
    return {"title": "The chunk", "note": shown(place), "parts": parts}


def beside(record: Any) -> list[Json]:
    """The pairs that a cast or a conversation is made of."""
    if isinstance(record, Pair):
        return []
    return [
        {
            "title": f"Pair {number}",
            "lines": [["Question", shown(pair.question)], ["Answer", shown(pair.answer)]],
        }
        for number, pair in enumerate(pairs_of(record), 1)
    ]


def label(check: str) -> str:
    """A check's name for people."""
    return check.removeprefix("check_").replace("_", " ")


def verdicts(outcome: Outcome) -> list[Json]:
    """All of an outcome; `earlier` are those on wordings that were given up."""
    earlier = len(outcome.verdicts) - len(outcome.current)
    return [{**verdict(of), "earlier": place < earlier} for place, of in enumerate(outcome.verdicts)]


def verdict(of: Verdict) -> Json:
    passed = sum(vote.passed is True for vote in of.votes)
    return {
        "check": of.check,
        "label": label(of.check),
        "passed": of.passed,
        "says": f"{passed} of {len(of.votes)} pass",
        "votes": [{"mark": MARKS[vote.passed], "reason": shown(vote.reason)} for vote in of.votes],
    }


def votes(verdicts: Sequence[Verdict]) -> list[int]:
    all_votes = Counter(MARKS[vote.passed] for verdict in verdicts for vote in verdict.votes)
    return [all_votes[mark] for mark in ("pass", "fail", "abstain")]
