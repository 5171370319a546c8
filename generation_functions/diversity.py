"""How varied the texts made are, and how much of the sources they use.

    kind_of("In which year did the mine close?")          # "which"
    opening("Salt draws water out of it.", 3)             # "Salt draws water"
    of_pairs(pairs).kinds                                 # Counter({"what": 31, "why": 4, ...})
    of_sources(chunks, pairs)[0].gap                      # (0.61, 1.0): no pair is about the last 39% of that text

Of very many records a part is read, as `spread` has it. Kinds of questions are known by English words. It knows nothing
of HTML.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import regex

from .conversations import Traits
from .items import Records
from .records import Cast, Chunk, Conversation, Pair
from .spread import places, spread

OPENING = 40  # characters of a text's first words
QUESTION_WORDS, ANSWER_WORDS, TURN_WORDS = 2, 3, 4  # of an opening
NAME = 100  # characters of a character's name
TERSE, LONG = 20, 300  # characters of an answer: under the one, over the other it is counted apart

# Kinds of questions

OTHER = "other"
KINDS = ("what", "who", "when", "where", "why", "how", "how many", "which", "yes or no", OTHER)
KIND_WITHIN = 500  # characters of a question

_WORD = r"how\s+(?:many|much)|what|who(?:m|se)?|when|where|why|how|which"
_VERB = (
    r"(?:is|are|was|were|am|do|does|did|has|have|had|could|would|should|might|must)(?:n['\u2019]t)?"
    r"|can(?:not|['\u2019]t)?|will|won['\u2019]t|shall|may"
)
_BEFORE = "about after against among at before by during for from in into of on over since through to under until with"
# A question begins at the beginning or after a comma: "According to the abbot, who ...". Within that part its word may
# come after a preposition, "in which year"; a verb may not, as "in is" is none.
ASKS = regex.compile(
    rf"(?:^\W*|[,;:\u2014]\s+\W*)(?:(?:and|but|so|or|then)\s+)?(?:(?P<word>{_WORD})|(?P<verb>{_VERB}))\b"
    rf"|\b(?:{_BEFORE.replace(' ', '|')})\s+(?P<word>{_WORD})\b",
    regex.IGNORECASE,
)
A_VERB = regex.compile(rf"\W+(?:{_VERB})\b", regex.IGNORECASE)


def kind_of(question: str) -> str:
    """Which of KINDS a question is, by its first word that asks."""
    found = list(ASKS.finditer(question[:KIND_WITHIN]))
    while len(found) > 1 and _is_aside(found[0]):
        del found[0]
    if not found:
        return OTHER
    word = (found[0]["word"] or "").lower()
    if not word:
        return "yes or no"
    if word.startswith("how") and len(word) > len("how"):
        return "how many"
    return "who" if word.startswith("who") else word


def _is_aside(asks: regex.Match[str]) -> bool:
    """Whether it says when or where, as in "When it rains, what do they do?", and does not ask it."""
    return (asks["word"] or "").lower() in ("when", "where") and not A_VERB.match(asks.string, asks.end())


def opening(text: str, words: int) -> str:
    """Its first words, "" of a text without any."""
    return " ".join(text[: 5 * OPENING].split()[:words])[:OPENING]


# Pairs and conversations


@dataclass(slots=True)
class Pairs:
    """What was read of `total` pairs: lengths in characters, kinds of questions, openings."""

    total: int = 0
    questions: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    questions_begin: Counter[str] = field(default_factory=Counter)
    answers_begin: Counter[str] = field(default_factory=Counter)

    @property
    def terse(self) -> int:
        return sum(length < TERSE for length in self.answers)

    @property
    def long(self) -> int:
        return sum(length > LONG for length in self.answers)


def of_pairs(pairs: Sequence[Pair]) -> Pairs:
    found = Pairs(len(pairs), kinds=Counter(dict.fromkeys(KINDS, 0)))
    for _, pair in spread(pairs):
        found.questions.append(len(pair.question))
        found.answers.append(len(pair.answer))
        found.kinds[kind_of(pair.question)] += 1
        found.questions_begin[opening(pair.question, QUESTION_WORDS)] += 1
        found.answers_begin[opening(pair.answer, ANSWER_WORDS)] += 1
    return found


@dataclass(slots=True)
class Talks:
    """What was read of `total` conversations. Names, scenarios and traits are of those that have a character; traits
    are counted by axis and value.
    """

    total: int = 0
    lengths: list[int] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    asking_begins: Counter[str] = field(default_factory=Counter)
    answering_begins: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    scenarios_begin: Counter[str] = field(default_factory=Counter)
    traits: dict[str, Counter[str]] = field(default_factory=dict)


def of_conversations(made: Sequence[Conversation], traits: Traits) -> Talks:
    """`traits` are those that the characters were drawn from."""
    axes = {axis: Counter(dict.fromkeys(values, 0)) for axis, values in traits.axes.items()}
    found = Talks(len(made), traits=axes)
    for _, talk in spread(made):
        found.lengths.append(sum(len(turn.text) for turn in talk.turns))
        found.turns.append(len(talk.turns))
        for turn in talk.turns:
            answers = turn.speaker == talk.cast.answerer
            begins = found.answering_begins if answers else found.asking_begins
            begins[opening(turn.text, TURN_WORDS)] += 1
        if talk.cast.card:
            _add_character(found, talk.cast, traits)
    return found


def _add_character(found: Talks, cast: Cast, traits: Traits) -> None:
    found.names[cast.answerer[:NAME]] += 1
    found.scenarios_begin[opening(cast.scenario, TURN_WORDS)] += 1
    for axis, value in traits.of(cast.group.key).items():
        found.traits[axis][value] += 1


# Sources


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a source: the share of it that was looked at, and the share of that which is evidence."""

    taken: float
    named: float


@dataclass(slots=True)
class Source:
    """What was looked at of a source: chunks, how many of them have a pair that was kept, their sentences, and how many
    of these a pair names as evidence. `length` and the places of both are in characters.
    """

    name: str
    length: int = 0
    chunks: int = 0
    used: int = 0
    sentences: int = 0
    named: int = 0
    taken_at: list[tuple[int, int]] = field(default_factory=list)
    named_at: list[tuple[int, int]] = field(default_factory=list)

    def add(self, chunk: Chunk, has_pair: bool, named: set[int]) -> None:
        """`named` are the numbers of the sentences that are evidence."""
        self.chunks += 1
        self.used += has_pair
        self.sentences += len(chunk.sentences)
        self.length = max(self.length, chunk.end)
        self.taken_at.append((chunk.start, chunk.end))
        own = [(s.start, s.end) for n, s in enumerate(chunk.sentences, 1) if n in named]
        self.named += len(own)
        self.named_at += own

    def parts(self, count: int) -> list[Part]:
        """The source as so many parts of the same length, from its beginning to its end."""
        taken, named = self._in_parts(self.taken_at, count), self._in_parts(self.named_at, count)
        whole = self.length / count
        return [
            Part(min(1.0, t / whole), min(1.0, n / t) if t else 0.0)
            for t, n in zip(taken, named, strict=True)
        ]

    def _in_parts(self, stretches: Sequence[tuple[int, int]], count: int) -> list[float]:
        """How many characters of the stretches are in each part."""
        found, whole = [0.0] * count, self.length / count
        for start, end in stretches:
            for n in range(int(start / whole), min(count, int(end / whole) + 1)):
                found[n] += max(0.0, min(end, (n + 1) * whole) - max(start, n * whole))
        return found

    @property
    def gap(self) -> tuple[float, float]:
        """The longest stretch without evidence, from where to where, as shares of the source."""
        ends = [(0, 0), *sorted(self.named_at), (self.length, self.length)]
        gaps = [(before[1], after[0]) for before, after in pairwise(ends)]
        start, end = max(gaps, key=lambda gap: gap[1] - gap[0])
        return start / self.length, end / self.length


def of_sources(chunks: Records, pairs: Records, lengths: Mapping[str, int] | None = None) -> list[Source]:
    """The sources in their order. Of very many chunks a part is read, and the pairs of that part.

    Without its entry in `lengths` a source is as long as to the end of its last chunk here.
    """
    wanted: dict[str, list[int]] = {chunks.keys[place]: [] for place in places(len(chunks))}
    for place, key in enumerate(pairs.chunks()):
        if key in wanted:
            wanted[key].append(place)
    found: dict[str, Source] = {}
    for _, chunk in spread(chunks):
        source = found.setdefault(chunk.source, Source(chunk.source, (lengths or {}).get(chunk.source, 0)))
        own = [pairs[place] for place in wanted[chunk.key]]
        source.add(chunk, bool(own), {number for pair in own for number in pair.evidence})
    return list(found.values())
