"""What code can see of a conversation, held against its pairs and its cast.

    flaw(conversation, verbatim=True)
        # Flaw("number", "turn 4 says 1870, which neither its pair nor its text has", 4)

Speakers take turns as planned, no turn speaks for the other, nothing comes twice, and the card gives no answer away.
What the two turns of a pair say of it, `exchanges` looks at. English, but for who speaks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from ..records import Conversation
from . import Flaw, exchanges
from .exchanges import LONG_ANSWER, Exchange
from .known_numbers import strange
from .quantities import quantities
from .wording import WORD, normal, sentences, share_known, stems

# Shares of what an answer says beyond its question.
GIVES_AWAY = 0.75  # from which a card's sentence gives it away
TWICE = 0.66  # from which two sentences of a turn give it twice

ABOUT = 0.3  # share of a question's stems from which a card's sentence is about it
REMARK = 4  # words from which a sentence that comes again is noticed
SHOWN = 100  # characters of a sentence that a reason shows


def flaw(conversation: Conversation, *, verbatim: bool) -> Flaw | None:
    """The first thing that is wrong with a conversation."""
    return next(flaws(conversation, verbatim=verbatim), None)


def flaws(conversation: Conversation, *, verbatim: bool) -> Iterator[Flaw]:
    """All that is wrong; where speakers and turns are not those that were planned, only that.

    Where turns are to be `verbatim` they carry the pair's own words; where they are free its numbers, its names,
    its key words and its yes or no have to be there, and no others.
    """
    if broken := [*_order(conversation)]:
        yield from broken
        return
    yield from _turns(conversation)
    carried = exchanges.of(conversation)
    for exchange in carried:
        yield from exchanges.flaws(exchange, conversation.cast, verbatim=verbatim)
    for exchange in carried:
        yield from _given_twice(exchange)
    yield from _repeated_remark(conversation)
    yield from _closers(carried)
    yield from _leak(conversation)


# Who speaks


def _order(conversation: Conversation) -> Iterator[Flaw]:
    """Speakers take turns, with one exchange a pair, after at most one greeting of the answering side."""
    cast, turns = conversation.cast, conversation.turns
    for number, turn in enumerate(turns, 1):
        if turn.speaker not in (cast.asker, cast.answerer):
            yield Flaw("speakers", f"turn {number} is {turn.speaker}'s, who is not in the cast", number)
            return
    greeting = bool(turns) and turns[0].speaker == cast.answerer
    for number, turn in enumerate(turns[greeting:], 1 + greeting):
        if turn.speaker != (cast.answerer if (number - greeting) % 2 == 0 else cast.asker):
            yield Flaw("speakers", f"speakers do not alternate at turn {number}", number)
            return
    planned = greeting + 2 * len(cast.group.pairs)
    count = f"{len(turns)} turns for {len(cast.group.pairs)} pairs"
    if (len(turns) - greeting) % 2:
        yield Flaw("speakers", f"the asking side ends it, with turn {len(turns)}", len(turns))
    elif len(turns) > planned:
        yield Flaw("extra", f"turn {planned + 1} begins an exchange beyond the pairs: {count}", planned + 1)
    elif len(turns) < planned:
        yield Flaw("speakers", f"has {count}")


def _turns(conversation: Conversation) -> Iterator[Flaw]:
    """No turn is empty, speaks for the other, or says what the other does."""
    cast = conversation.cast
    for number, turn in enumerate(conversation.turns, 1):
        if not turn.text.strip():
            yield Flaw("answer", f"turn {number} is empty", number)
        for speaker in (cast.asker, cast.answerer):
            if _speaks(speaker, turn.text):
                yield Flaw("impersonation", f"turn {number} speaks for {speaker} as well", number)
            elif speaker != turn.speaker and _does_something(speaker, turn.text):
                yield Flaw("directions", f"turn {number} says what {speaker} does", number)


def _speaks(speaker: str, text: str) -> bool:
    """Whether a line or a sentence begins with the name and a colon, maybe in bold or in quotes."""
    called = rf"(?:^|\n|[.!?\"\u201d*)\]]\s)\W{{0,5}}(?:{_called(speaker)})\s*:"
    return re.search(called, text) is not None


def _does_something(speaker: str, text: str) -> bool:
    """Whether a stage direction begins with the name: "*Ines nods*"."""
    return re.search(rf"[*(\[_]\s*(?:{_called(speaker)})(?:'s|\u2019s)?\s+\w", text) is not None


def _called(speaker: str) -> str:
    """The whole name or its parts, as a pattern."""
    names = [speaker, *(name for name in speaker.split() if len(name) > 1 and name[0].isupper())]
    return "|".join(map(re.escape, names))


# What comes twice


def _given_twice(exchange: Exchange) -> Iterator[Flaw]:
    """An answer that its turn gives in the same words, or in several sentences."""
    number, said, answer = exchange.number + 1, exchange.answers.text, normal(exchange.pair.answer)
    in_words = len(answer) >= LONG_ANSWER and normal(said).count(answer) > 1
    if in_words or (len(sentences(answer)) == 1 and len(_sentences_that_give(exchange)) > 1):
        yield Flaw("repetition", f"turn {number} gives its pair's answer twice", number)


def _sentences_that_give(exchange: Exchange) -> list[str]:
    answer = normal(exchange.pair.answer)
    key = stems(answer) - stems(exchange.pair.question)
    has_substance = len(key) > 1 or bool(quantities(answer))
    return [
        part
        for part in sentences(exchange.answers.text)
        if share_known(key, stems(part)) >= TWICE
        and (has_substance or answer in normal(part))
        and not strange(answer, part)
    ]


def _repeated_remark(conversation: Conversation) -> Iterator[Flaw]:
    """A sentence of a speaker's own that comes in several turns."""
    own = normal("\n".join(f"{pair.question}\n{pair.answer}" for pair in conversation.cast.group.pairs))
    remarks = Counter(
        (turn.speaker, remark)
        for turn in conversation.turns
        for remark in dict.fromkeys(map(normal, sentences(turn.text)))
        if len(WORD.findall(remark)) >= REMARK and remark not in own
    )
    for (speaker, remark), times in remarks.most_common(1):
        if times > 1:
            yield Flaw("repetition", f'{speaker} says "{remark[:SHOWN]}" in {times} turns')


_CLOSER = re.compile(
    "|".join(
        (
            r"\b(?:anything|something|what) else\b|\b(?:any|more|other|further|another)(?: \w+)? questions?\b",
            r"\b(?:can|could|may|shall) i (?:\w+ )?(?:help|assist|tell you more)\b|\b(?:that|which) i can do for you\b",
            r"\b(?:don't|do not) hesitate\b|\bfeel free\b|\bask away\b|\bjust ask\b|\blet me know\b",
            r"\bwould you like (?:me|to)\b|\bshall i (?:go on|continue|tell)\b",
            r"\b(?:happy|glad|here) to (?:help|assist|answer|explain|tell you more)\b",
            r"\bof (?:further|more|any) (?:service|help|assistance)\b",
            r"\b(?:like|want|wish|care) to (?:know|hear|learn) (?:\w+ )?more\b",
            r"\bis there (?:more|anything more)\b|\bmore (?:that )?(?:i can|you (?:wish|want|would like))\b",
            r"\b(?:need|want|require) (?:any )?(?:more|further|other) \w+|\bsimply ask\b",
        )
    )
)


def _closers(carried: Sequence[Exchange]) -> Iterator[Flaw]:
    """Two offers of more help; one may end a conversation."""
    found = [exchange.number + 1 for exchange in carried if _offers(exchange)]
    if len(found) > 1:
        yield Flaw("closer", f"turns {found[0]} and {found[1]} both offer more help")


def _offers(exchange: Exchange) -> bool:
    """Whether the answering turn does, in words that are not its pair's."""
    said = normal(exchange.answers.text).replace(normal(exchange.pair.answer), " ")
    return _CLOSER.search(said) is not None


def _leak(conversation: Conversation) -> Iterator[Flaw]:
    """A card that gives an answer away; who is asked may be known for what the questions are about."""
    for pair in conversation.cast.group.pairs:
        asked = stems(pair.question)
        key = stems(pair.answer) - asked
        if not key and not quantities(pair.answer):
            continue
        for sentence in sentences(conversation.cast.card):
            there = stems(sentence)
            is_about = share_known(asked, there) >= ABOUT
            gives = share_known(key, there) >= GIVES_AWAY or (
                quantities(pair.answer) and quantities(sentence)
            )
            if is_about and gives and not strange(pair.answer, f"{sentence}\n{pair.question}"):
                yield Flaw("leak", f'the card answers "{pair.question}"')
                return
