"""What code can see without asking a model: flaws of pairs and conversations, and duplicates.

Pure functions of the records. A check gives the reason as a person can read it, or None:

    flaw_of_pair(pair)                  -> 'mentions "the passage", which a reader of the pair does not have'
    flaw_of_conversation(conversation)  -> "turn 3 says 1870, which neither its pair nor its text has"
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .records import Conversation, Pair, Turn, content_key

# A pair is read without its chunk, so it must not point at it: "the passage above", "according to the
# author".
MENTION = re.compile(
    r"\b(?:the|this|that|given|provided) (?:above )?"
    r"(?:text|passage|paragraph|excerpt|extract|author|article|chapter|section|document|snippet)s?\b",
    re.IGNORECASE,
)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")  # "1,250.5", "1914"
WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
CLOSER = re.compile(
    r"\b(?:anything|something) else\b|\b(?:any|more|other|further)(?: \w+)? questions\b", re.IGNORECASE
)
STOP_WORDS = frozenset(
    """a an the of in on at to for from by with and or is are was were be been do does did what which it its
    this that these those as into than then there their they he she his her""".split()
)
ASKING = frozenset("how who whom whose when where why".split())  # alone they tell two questions apart
SAME_WORDS = 0.8  # share of common words from which two questions of one chunk say the same (LOG.md 3)
SAME_ANSWER = 0.5  # share of common words that their answers must have as well
LONG_ANSWER = 40  # characters from which a repeated answer is no accident; "Yes." may well come twice
KEPT_TERMS = 0.6  # share of an answer's words that a paraphrase must keep (LOG.md 3)
LOOP_WORDS, LOOP_TIMES = 4, 3  # "has been there and has been there and has been there" (LOG.md 10)
LONGEST_EXTRA = 600  # characters of a turn beyond its pair's words; more is a speech of the model's own


def normal(text: str) -> str:
    """One form for what reads the same: quotes, dashes, case and white space do not count."""
    text = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    return " ".join(text.casefold().split())


_PLAIN = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014", "''\"\"--")


def flaw_of_pair(pair: Pair, *, may_name_text: bool = False) -> str | None:
    """What is wrong with a pair that no vote need be bought for."""
    question, answer = normal(pair.question), normal(pair.answer)
    if not question or not answer:
        return "question or answer is empty"
    if question == answer:
        return "the answer is the question"
    if not pair.evidence or not set(pair.evidence) <= set(range(1, len(pair.chunk.sentences) + 1)):
        return "names no sentence of its text as evidence"
    if flaw := flaw_of_prose(f"{pair.question}\n{pair.answer}"):
        return flaw
    for mention in MENTION.finditer(f"{pair.question} {pair.answer}"):
        if not may_name_text and normal(mention[0]) not in normal(pair.chunk.text):
            return f'mentions "{mention[0]}", which a reader of the pair does not have'
    return None


def flaw_of_prose(text: str) -> str | None:
    """That a text goes round in circles, as small models do: a phrase of LOOP_WORDS words comes LOOP_TIMES times."""
    words = WORD.findall(normal(text))
    phrases = Counter(zip(*(words[first:] for first in range(LOOP_WORDS)), strict=False))
    for phrase, times in phrases.most_common(1):
        if times >= LOOP_TIMES:
            return f'says "{" ".join(phrase)}" {times} times'
    return None


# Duplicates

RULES = 1  # of what repeats what; with another number every run looks for duplicates anew


def duplicates(pairs: Sequence[Pair]) -> dict[int, int]:
    """The index of each pair that repeats an earlier one, and the index of that one.

    The same words in another order, case or punctuation are the same question anywhere; within a chunk so are
    questions with nearly the same words, unless a number, a name or a word such as "when" makes the difference.
    """
    by_words: dict[str, int] = {}
    by_chunk: dict[str, list[int]] = {}
    found: dict[int, int] = {}
    for i, pair in enumerate(pairs):
        said = content_key(sorted(content_words(pair.question)) or normal(pair.question))
        near = (j for j in by_chunk.setdefault(pair.chunk.key, []) if _nearly_same(pairs[j], pair))
        earlier = by_words.get(said, next(near, None))
        if earlier is None:
            by_words[said] = i
            by_chunk[pair.chunk.key].append(i)
        else:
            found[i] = earlier
    return found


def words(text: str) -> list[str]:
    """The words in their normal form, "Nansen's" as "nansen"."""
    return [word.removesuffix("'s") for word in WORD.findall(normal(text))]


def content_words(text: str) -> set[str]:
    return set(words(text)) - STOP_WORDS


def _nearly_same(one: Pair, other: Pair) -> bool:
    first, second = content_words(one.question), content_words(other.question)
    if _overlap(first, second) < SAME_WORDS:
        return False
    telling = ASKING | names(one.question) | names(other.question)
    if any(word in telling or NUMBER.search(word) for word in first ^ second):
        return False
    return _overlap(content_words(one.answer), content_words(other.answer)) >= SAME_ANSWER


def _overlap(one: set[str], other: set[str]) -> float:
    """Common members of all members, from 0 to 1 (Jaccard index)."""
    return len(one & other) / len(one | other) if one | other else 1.0


def names(text: str) -> set[str]:
    """Words with a capital that does not come from beginning a sentence, in their normal form."""
    found = set()
    for match in WORD.finditer(text):
        before = text[: match.start()].rstrip(" \"'\u201c\u2018(")
        if match[0][0].isupper() and before and before[-1] not in ".!?:\n":
            found.update(words(match[0]))
    return found


def numbers(text: str) -> set[str]:
    """Numbers without thousands marks: "1,250" and "1250" are one."""
    return {re.sub(r",(?=\d{3}\b)", "", found) for found in NUMBER.findall(text)}


# Conversations


@dataclass(frozen=True, slots=True)
class Exchange:
    """One pair and the two turns that carry it; `number` is the asking turn's, counted from 1."""

    number: int
    pair: Pair
    asks: Turn
    answers: Turn


def flaw_of_conversation(conversation: Conversation, *, verbatim: bool) -> str | None:
    """The first thing that is wrong with a conversation, held against its pairs and its cast."""
    for flaw in _flaws(conversation, verbatim):
        if flaw:
            return flaw
    return None


def _flaws(conversation: Conversation, verbatim: bool) -> Iterable[str | None]:
    yield _flaw_of_order(conversation)
    for number, turn in enumerate(conversation.turns, 1):
        yield _flaw_of_turn(conversation, number, turn)
    for exchange in _exchanges(conversation):
        yield _flaw_of_exchange(exchange, verbatim)
        yield _flaw_of_foreign_answer(exchange, conversation.cast.group.pairs)
    closers = [n for n, turn in enumerate(conversation.turns, 1) if CLOSER.search(turn.text)]
    yield f"turns {closers[0]} and {closers[1]} both offer more help" if len(closers) > 1 else None


def _flaw_of_order(conversation: Conversation) -> str | None:
    """Speakers take turns, with one exchange a pair, after at most one greeting of the answering side."""
    cast = conversation.cast
    speakers = [turn.speaker for turn in conversation.turns]
    opening = [cast.answerer] if len(speakers) % 2 else []
    if len(speakers) - len(opening) != 2 * len(cast.group.pairs):
        return f"has {len(speakers)} turns for {len(cast.group.pairs)} pairs"
    if strangers := set(speakers) - {cast.asker, cast.answerer}:
        return f"{min(strangers)} speaks, who is not in the cast"
    if speakers != opening + [cast.asker, cast.answerer] * len(cast.group.pairs):
        return "speakers do not alternate"
    return None


def _flaw_of_turn(conversation: Conversation, number: int, turn: Turn) -> str | None:
    if not turn.text.strip():
        return f"turn {number} is empty"
    cast = conversation.cast
    for speaker in (cast.asker, cast.answerer):
        if re.search(rf"(?:^|\n|[.!?\"\u201d]\s){re.escape(speaker)}\s*:", turn.text):
            return f"turn {number} speaks for {speaker} as well"
    return None


def _exchanges(conversation: Conversation) -> list[Exchange]:
    turns = conversation.turns
    first = len(turns) % 2
    pairs = conversation.cast.group.pairs
    return [
        Exchange(first + 2 * i + 1, pair, *turns[first + 2 * i : first + 2 * i + 2])
        for i, pair in enumerate(pairs)
    ]


def _flaw_of_exchange(exchange: Exchange, verbatim: bool) -> str | None:
    pair, asking, answering = exchange.pair, exchange.asks.text, exchange.answers.text
    known = numbers(f"{pair.question} {pair.answer} {pair.chunk.text}")
    for number, text in ((exchange.number, asking), (exchange.number + 1, answering)):
        if strange := numbers(text) - known:
            return f"turn {number} says {min(strange)}, which neither its pair nor its text has"
    if len(answering) > len(pair.answer) + LONGEST_EXTRA or len(asking) > len(pair.question) + LONGEST_EXTRA:
        return f"turn {exchange.number} or its answer is far longer than its pair"
    if verbatim:
        return _flaw_of_quotation(exchange)
    return _flaw_of_paraphrase(exchange)


def _flaw_of_quotation(exchange: Exchange) -> str | None:
    if normal(exchange.pair.question) not in normal(exchange.asks.text):
        return f"turn {exchange.number} does not ask its pair's question"
    answer = normal(exchange.pair.answer)
    said = normal(exchange.answers.text).count(answer)
    if not said:
        return f"turn {exchange.number + 1} does not give its pair's answer"
    if said > 1 and len(answer) >= LONG_ANSWER:
        return f"turn {exchange.number + 1} gives its pair's answer {said} times"
    return None


def _flaw_of_paraphrase(exchange: Exchange) -> str | None:
    pair, said = exchange.pair, exchange.answers.text
    if lost := numbers(pair.answer) - numbers(said):
        return f"turn {exchange.number + 1} loses the number {min(lost)}"
    if lost := names(pair.answer) - set(words(said)):
        return f"turn {exchange.number + 1} loses the name {min(lost)}"
    terms = content_words(pair.answer)
    if terms and len(terms & content_words(said)) / len(terms) < KEPT_TERMS:
        return f"turn {exchange.number + 1} does not give its pair's answer"
    return None


def _flaw_of_foreign_answer(exchange: Exchange, pairs: Sequence[Pair]) -> str | None:
    own = normal(exchange.pair.answer)
    for other in pairs:
        answer = normal(other.answer)
        if len(answer) >= LONG_ANSWER and answer not in own and answer in normal(exchange.answers.text):
            return f"turn {exchange.number + 1} gives the answer to another question"
    return None
