"""What the two turns of a pair say of it: the turn that asks and the one that answers.

    Exchange(3, pair, asks=Turn("Bo", "And when did it open?"), answers=Turn("Ines", "In 1870, my dear."))
    flaws(exchange, cast, verbatim=False)     # Flaw("number", "turn 4 loses 1869", 4), ...

English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from ..records import Cast, Conversation, Pair, Turn
from . import Flaw
from .asking import LIGHT, are_contrary, asks, sides
from .known_numbers import strange
from .names import full_names, is_unknown, unknown_names
from .polarity import denies, has_negative
from .quantities import quantities
from .relevance import answers_kind
from .units import UNITS
from .wording import missing, normal, sentences, share_known, stem, stems

LONGEST = 5  # times its pair's words that a turn may be long
ALWAYS_SHORT = 300  # characters of a turn that is never too long
LONG_ANSWER = 20  # characters from which a repeated answer is no accident; "Yes." may well come twice
KEPT_QUESTION = 0.34  # share of a question's stems that its turn must have where it asks in another way
KEPT_ANSWER = 0.4  # share of what an answer says beyond its question that the answering turn must have
GIVEN = 0.75  # the same share from which a turn gives another pair's answer
OWN_SUBJECT = 2  # stems that an asking turn has of its own, from which it asks about something else
FOREIGN_SUBJECT = 4  # the same where its kind of question is that of the pair's or none
FACT = 4  # stems that neither pair, text nor cast have, from which a sentence states a fact of its own
HARD_KINDS = ("when", "where", "who", "why", "amount")  # a turn that asks for one asks for nothing else
FEW = 3  # stems besides a number, below which the number is all that an answer says
SHOWN = 100  # characters of a sentence that a reason shows


@dataclass(frozen=True, slots=True)
class Exchange:
    """One pair and the two turns that carry it; `number` is the asking turn's, counted from 1."""

    number: int
    pair: Pair
    asks: Turn
    answers: Turn


def of(conversation: Conversation) -> list[Exchange]:
    """Those of a conversation whose speakers take turns as planned; one turn too many is a greeting."""
    turns = conversation.turns
    first = len(turns) % 2
    return [
        Exchange(place + 1, pair, turns[place], turns[place + 1])
        for place, pair in zip(range(first, len(turns), 2), conversation.cast.group.pairs, strict=True)
    ]


def flaws(exchange: Exchange, cast: Cast, *, verbatim: bool) -> Iterator[Flaw]:
    yield from _length(exchange)
    yield from _other_answer(exchange, cast.group.pairs)
    yield from _verbatim(exchange) if verbatim else _in_meaning(exchange)
    yield from _own_facts(exchange, cast)


def _length(exchange: Exchange) -> Iterator[Flaw]:
    carried = (exchange.asks.text, exchange.pair.question), (exchange.answers.text, exchange.pair.answer)
    for number, (said, own) in enumerate(carried, exchange.number):
        if len(said) > max(ALWAYS_SHORT, LONGEST * len(own)):
            reason = f"turn {number} is {len(said)} characters long, for {len(own)} of its pair"
            yield Flaw("length", reason, number)


def _other_answer(exchange: Exchange, pairs: Sequence[Pair]) -> Iterator[Flaw]:
    """The answer of another pair, in its words, by its key words or by its number."""
    own, number, said = exchange.pair, exchange.number + 1, exchange.answers.text
    for other in pairs:
        if other != own and normal(other.answer) not in normal(own.answer) and _gives_other(own, other, said):
            yield Flaw("other answer", f'turn {number} gives the answer to "{other.question}"', number)


def _gives_other(own: Pair, other: Pair, said: str) -> bool:
    if len(other.answer) >= LONG_ANSWER and normal(other.answer) in normal(said):
        return True
    if strange(other.answer, said):
        return False
    key = stems(other.answer) - stems(other.question) - stems(f"{own.question} {own.answer}")
    if not key:
        return bool(quantities(other.answer) and strange(other.answer, own.answer))
    enough = 2 if _gives(own, said) else 1
    return len(key) >= enough and share_known(key, stems(said)) >= GIVEN


def _gives(pair: Pair, said: str) -> bool:
    """Whether a turn has enough of what the answer says beyond its question."""
    own = _yes_or_no(pair.answer)
    if own and own == _yes_or_no(said):
        return True
    key = stems(pair.answer) - stems(pair.question)
    is_number = quantities(pair.answer) and len(key - _stems_of_units()) < FEW  # which is looked at by itself
    return bool(is_number) or share_known(key or stems(pair.answer), stems(said)) >= KEPT_ANSWER


@cache
def _stems_of_units() -> frozenset[str]:
    return frozenset(stem(word) for word in UNITS if word.isalpha() and len(word) > 3)


# What has to be there


def _verbatim(exchange: Exchange) -> Iterator[Flaw]:
    """The pair's own words."""
    number = exchange.number
    if _bare(exchange.pair.question) not in _bare(exchange.asks.text):
        yield Flaw("question", f"turn {number} does not ask its pair's question", number)
    if _bare(exchange.pair.answer) not in _bare(exchange.answers.text):
        changed = next(_lost_facts(exchange, whole=False), None)
        yield changed or Flaw("answer", f"turn {number + 1} does not give its pair's answer", number + 1)


def _bare(text: str) -> str:
    """Without quotation marks, which people add and drop."""
    return " ".join(normal(text).replace('"', " ").replace("'", " ").split())


def _in_meaning(exchange: Exchange) -> Iterator[Flaw]:
    """The question's subject, and the answer's numbers, names, key words and yes or no."""
    pair, number, said = exchange.pair, exchange.number + 1, exchange.answers.text
    if not _asks(pair, exchange.asks.text):
        yield Flaw("question", f"turn {exchange.number} does not ask its pair's question", exchange.number)
    lost = _lost_names(pair, said) or unknown_names(pair.answer, said, pair.question)
    has_others = lost and unknown_names(said, pair.question, pair.answer, exchange.asks.text)
    if has_others or (lost and _gives_rest(pair, lost, said)):
        yield Flaw("name", f"turn {number} loses {lost[0]}", number)
    if not _gives(pair, said):
        yield Flaw("answer", f"turn {number} does not give its pair's answer", number)
    yield from _lost_facts(exchange)
    if _is_contrary(pair, said):
        yield Flaw("answer", f"turn {number} says the contrary of its pair's answer", number)


def _gives_rest(pair: Pair, lost: Sequence[str], said: str) -> bool:
    """Whether a turn has enough of the answer but for the names that it lost."""
    key = stems(pair.answer) - stems(pair.question) - stems(" ".join(lost))
    return bool(key) and share_known(key, stems(said)) >= KEPT_ANSWER


def _asks(pair: Pair, said: str) -> bool:
    """In a talk "Who dug it up?" may ask who found the Rosetta Stone; but when it was found is another question."""
    asked = next((part for part in reversed(sentences(said)) if part.endswith("?")), said)
    known = stems(f"{pair.question} {pair.answer}")
    own = len(missing(stems(asked) - LIGHT, known))  # what it asks about that the pair does not
    shared = share_known(stems(pair.question) - LIGHT, stems(said))
    wanted, kind = asks(pair.question), asks(asked)
    thing = re.search(r"\bwhich (\w{3,})", normal(asked))
    if wanted and not kind and thing and missing(stems(thing[1]) - LIGHT, known):
        return False  # "Which tool?" where it should be "When?"
    if not answers_kind(asked, pair.answer):
        return False
    if kind == "amount" and quantities(pair.answer):
        return True
    if wanted != kind and kind in HARD_KINDS:
        return shared >= KEPT_QUESTION if wanted else own < OWN_SUBJECT
    return own < FOREIGN_SUBJECT or shared >= KEPT_QUESTION or wanted == kind != ""


def _lost_facts(exchange: Exchange, whole: bool = True) -> Iterator[Flaw]:
    """Numbers and names of the pair's answer that its turns do not have."""
    answer, number = exchange.pair.answer, exchange.number + 1
    here = f"{exchange.asks.text}\n{exchange.answers.text}"
    if lost := strange(answer, here):
        yield Flaw("number", f"turn {number} loses {lost[0]}", number)
    if lost := _lost_names(exchange.pair, here) if whole else unknown_names(answer, here):
        yield Flaw("name", f"turn {number} loses {lost[0]}", number)


def _lost_names(pair: Pair, here: str) -> list[str]:
    """Names of the answer of which not a word is there; "St Paul's" will do for "St Paul's Cathedral"."""
    found = full_names(pair.answer, pair.chunk.text)
    return [name for name in found if is_unknown(name, here, pair.question)]


_ONLY = re.compile(r"\b(?:only|alone|solely|nothing but)\b", re.IGNORECASE)
_NOT_YET = re.compile(r"\bnot (?:until|before|till)\b|\bno (?:later|earlier|sooner)\b", re.IGNORECASE)
_YES = (
    r"yes|yeah|yep|aye|indeed|certainly|of course|absolutely|(?:i'm |i am )?afraid so|"
    r"(?:it does|it is|they do)(?! not\b)"
)
_NO = r"no|nope|nay|not at all|(?:i'm |i am )?afraid not|never"
_BEGINS_YES_OR_NO = re.compile(rf"\W*(?:\w+[,!] )??(?:(?P<yes>{_YES})|(?P<no>{_NO}))\b")
_DIRECTIONS = re.compile(r"\*[^*]*\*|\[[^\[\]]*\]|\([^()]*\)")  # what a speaker does while speaking


def _yes_or_no(text: str) -> str:
    """With which of them a text begins; "" for neither."""
    found = _BEGINS_YES_OR_NO.match(normal(text))
    return str(found.lastgroup) if found else ""


def _is_contrary(pair: Pair, said: str) -> bool:
    said = _DIRECTIONS.sub(" ", said)
    own, theirs = _yes_or_no(pair.answer), _yes_or_no(said)
    if own and theirs:
        return own != theirs
    if not has_negative(f"{pair.answer} {said}") and are_contrary(sides(pair.answer), sides(said)):
        return True
    if own or denies(pair.answer) or denies(pair.question) or _NOT_YET.search(said):
        return False
    if _ONLY.search(pair.answer):  # "the bud, and not a scrap besides"
        return False
    key = stems(pair.answer) - stems(pair.question)
    of_answer = (part for part in sentences(said) if stems(part) - missing(stems(part), key))
    return {denies(part) for part in of_answer} == {True}


# What must not be there


def _own_facts(exchange: Exchange, cast: Cast) -> Iterator[Flaw]:
    """Statements, numbers and names that neither pair, text nor cast have."""
    pair, key = exchange.pair, stems(exchange.pair.answer)
    about = f"{cast.card}\n{cast.scenario}\n{cast.asker}\n{cast.answerer}"
    known = f"{pair.question}\n{pair.answer}\n{pair.chunk.text}\n{about}"
    for number, text in enumerate((exchange.asks.text, exchange.answers.text), exchange.number):
        denials = [part for part in sentences(text) if _DENIES.match(normal(part)) and part not in known]
        if denials:
            yield Flaw("extra", f'turn {number} denies what was said: "{denials[0][:SHOWN]}"', number)
        for statement in filter(_states, sentences(text)):
            carries_answer = key and share_known(key, stems(statement)) >= KEPT_ANSWER
            if not carries_answer and len(missing(stems(statement), stems(known))) >= FACT:
                yield Flaw("extra", f'turn {number} adds "{statement[:SHOWN]}"', number)
        new = [found for found in strange(text, known) if re.search(r"\d", found) or " " in found]
        check = "number" if new else "name"
        if new := new or unknown_names(_VOCATIVE.sub(" ", text), known):
            reason = f"turn {number} says {new[0]}, which neither its pair nor its text has"
            yield Flaw(check, reason, number)


_WITH_CAPITAL = r"[A-Z][\w\u2019'-]*"
# "How much, Doctor?", "Three things, Miss Skylark:", "Duncan, tell me."
_VOCATIVE = re.compile(
    rf",\s+{_WITH_CAPITAL}\.?(?:\s+{_WITH_CAPITAL}\.?){{0,2}}\s*(?=[.!?:,]|$)"
    rf"|(?:^|(?<=[.!?] )){_WITH_CAPITAL}(?:\s+{_WITH_CAPITAL})?\s*,"
    r"|\b(?:Miss|Mr|Mrs|Ms|Dr|Master|Captain|Professor|Sister|Brother|Uncle|Aunt|Auntie)\.? [A-Z]\w+"
)
# "No, that is quite wrong": of what the other said before.
_DENIES = re.compile(
    r"(?:(?:no|but|well|oh|sorry)\b,? )*"
    r"(?:(?:that|this|it)(?:(?:'s| is| was) not| isn't| wasn't| cannot be| can't be) (?:\w+ )?(?:true|right|correct|so)"
    r"|(?:(?:that|this|it)(?:'s| is| was)|you(?:'re| are)) (?:\w+ )?"
    r"(?:wrong|untrue|false|incorrect|mistaken|a mistake|a lie|nonsense))(?: at all)?[.!]*$"
)
_SPEAKERS_OWN = re.compile(
    r"\b(?:i|me|my|mine|we|us|our|you|your|yours|let's|[a-z]+'(?:m|ll|ve|d))\b|(?<!\W)[^\w?!]*[?!]\W*$|\*"
)
_CALLED = re.compile(r",\s+(?:my|you|old|dear|young|sir|madam|lad|girl|boy|friend)(?:\s+\w+)?(?=[.!?,]|$)")
# How a sentence begins that speaks of a thing; others are mostly exclamations and commands.
_THING = re.compile(
    r"(?:the|a|an|this|these|those|it|its|they|their|he|his|she|her|in|on|at|by|from|for|some|many|most|all|"
    r"another|other|such|each|every|both|when|if|since|because|\w+(?<!i)(?<!'|u|s)s)\b(?!')"
    r"|(?:\w+ ){1,3}(?:is|are|was|were|has|had|can|makes?|comes?|gives?|takes?|keeps?|lies|contains?|became|"
    r"helps?|needs?|uses?)\b"
)


def _states(sentence: str) -> bool:
    """Whether a sentence states something of the world, and is no remark of the speaker's."""
    plain = _CALLED.sub("", normal(sentence))
    return _THING.match(plain) is not None and not _SPEAKERS_OWN.search(plain)
