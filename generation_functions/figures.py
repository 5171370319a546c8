"""What a run came to, in numbers: what each step lost and why, how votes fell, how long and how alike its texts are.

    run = Run("first", wb.status(), store.usage(), wb.config)
    run.looked["vet"].reasons[0]                      # Reason("rejected", "accuracy", count=7, first=12)
    run.looked["vet"].votes["check_accuracy"].split   # 3
    run.pairs.openings                                # Counter({"What is": 12, ...})

A run may hold millions of records. Keys and statuses are in memory, so what can be had from them is counted in full;
a figure that has to read the records reads MOST of them, in blocks spread evenly, and says how many. It knows nothing
of HTML.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import regex

from .batch import Batch
from .items import BLOCK, Items, Records, statuses
from .records import Conversation, Outcome, Pair, Status, Verdict, chunk_of

MOST = 10_000  # records that a figure reads; a share of 10% is then known to within 1%
LONG_NAME = 100  # characters of a reason's name
OPENING = 40  # characters of a question's first two words
BY_HAND = "rejected by hand"

NUMBERS = regex.compile(r"\d+")


def spread(members: Sequence[Any], most: int = MOST) -> Iterator[tuple[int, Any]]:
    """All members after their places; of more than `most`, about so many, in blocks as they are read from the disk."""
    blocks = range(-(-len(members) // BLOCK))
    if len(members) > most:
        wanted = max(1, most // BLOCK)
        blocks = [n * len(blocks) // wanted for n in range(wanted)]  # type: ignore[assignment]
    for block in blocks:
        for place in range(block * BLOCK, min((block + 1) * BLOCK, len(members))):
            yield place, members[place]


# What became of a step's items


@dataclass(slots=True)
class Reason:
    """Why items were rejected or failed, and how many; `first` is the place of one."""

    status: Status
    name: str
    count: int
    first: int


@dataclass(slots=True)
class Votes:
    """How a check's verdicts came about: all usable votes alike, some against, or too few usable ones."""

    unanimous: int = 0
    split: int = 0
    undecided: int = 0
    passed: int = 0
    votes: int = 0

    @property
    def total(self) -> int:
        return self.unanimous + self.split + self.undecided

    def add(self, verdict: Verdict) -> None:
        said = {vote.passed for vote in verdict.votes} - {None}
        self.split += len(said) > 1
        self.unanimous += len(said) <= 1
        self.passed += verdict.passed
        self.votes += len(verdict.votes)


@dataclass(slots=True)
class Looked:
    """What `seen` of a step's items say. An item that ended undecided counts for the check that it ended on."""

    seen: int = 0
    votes: dict[str, Votes] = field(default_factory=dict)
    _reasons: dict[tuple[Status, str], Reason] = field(default_factory=dict)

    @property
    def reasons(self) -> list[Reason]:
        """The most frequent first."""
        return sorted(self._reasons.values(), key=lambda reason: -reason.count)

    def add(self, place: int, outcome: Outcome, status: Status) -> None:
        self.seen += 1
        for verdict in outcome.current:
            self.votes.setdefault(verdict.check, Votes()).add(verdict)
        kind, _, rest = outcome.reason.partition(": ")
        if kind == "Undecided":
            self.votes.setdefault(rest.partition(":")[0], Votes()).undecided += 1
        if status in ("rejected", "failed"):
            by_hand = status == "rejected" and outcome.status == "kept"
            name = BY_HAND if by_hand else reason_of(outcome)
            self._reasons.setdefault((status, name), Reason(status, name, 0, place)).count += 1


def look(batch: Batch) -> Looked:
    """The reasons and votes of a step's items, as people left them."""
    looked = Looked()
    items, now = batch.items, statuses(batch.items, batch.overlay)
    said = items.said if isinstance(items, Items) else [item.outcome for item in items]
    for place, outcome in spread(said):
        looked.add(place, outcome, now[place])
    return looked


def reason_of(outcome: Outcome) -> str:
    """What a reason is counted under: the part before the colon, whatever numbers are in it."""
    name = outcome.reason.partition(":")[0][:LONG_NAME]
    return NUMBERS.sub("N", name) or "no reason given"


# What was made


@dataclass(slots=True)
class Texts:
    """Lengths, in characters, of what was read of `total` records; of conversations also how many turns they have."""

    total: int = 0
    questions: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    conversations: list[int] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    openings: Counter[str] = field(default_factory=Counter)


def of_pairs(pairs: Sequence[Pair]) -> Texts:
    found = Texts(len(pairs))
    for _, pair in spread(pairs):
        found.questions.append(len(pair.question))
        found.answers.append(len(pair.answer))
        found.openings[" ".join(pair.question[: 5 * OPENING].split()[:2])[:OPENING]] += 1
    return found


def of_conversations(made: Sequence[Conversation]) -> Texts:
    found = Texts(len(made))
    for _, conversation in spread(made):
        found.conversations.append(sum(len(turn.text) for turn in conversation.turns))
        found.turns.append(len(conversation.turns))
    return found


@dataclass(slots=True)
class Source:
    """How many of a source's chunks were looked at, and how many of these have a pair that was kept."""

    name: str
    chunks: int = 0
    used: int = 0


def of_sources(chunks: Sequence[Any], pairs: Records) -> list[Source]:
    """The sources in their order."""
    used = set(pairs.chunks())
    found: dict[str, Source] = {}
    for _, record in spread(chunks):
        chunk = chunk_of(record)
        source = found.setdefault(chunk.source, Source(chunk.source))
        source.chunks += 1
        source.used += chunk.key in used
    return list(found.values())


# All of it, and some of it


@dataclass(frozen=True)
class Run:
    """A run: every step's batch, `Store.usage()` and the configuration. `ended` is when the last call came, in seconds
    since 1970; 0 where nobody knows. What has to be read of the records is read once.
    """

    name: str
    batches: Sequence[Batch]
    usage: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    ended: float = 0.0

    def batch(self, name: str) -> Batch:
        return next((batch for batch in self.batches if batch.name == name), Batch(name, ()))

    def used(self, name: str) -> int:
        """Calls, tokens and so on of all stages and models."""
        return sum(row[name] for row in self.usage)

    @cached_property
    def looked(self) -> Mapping[str, Looked]:
        return {batch.name: look(batch) for batch in self.batches}

    @cached_property
    def pairs(self) -> Texts:
        return of_pairs(self.batch("distinct").passing)

    @cached_property
    def talks(self) -> Texts:
        return of_conversations(self.batch("converse").passing)

    @cached_property
    def sources(self) -> Sequence[Source]:
        return of_sources(self.batch("chunks").passing, self.batch("distinct").passing)


def sample(records: Records, count: int) -> list[Any]:
    """`count` records, one from each stretch of the whole: that with the smallest key, which is as good as by chance
    and the same every time. No other is read.
    """
    count = min(count, len(records))
    ends = [n * len(records) // count for n in range(count + 1)] if count else [0]
    stretches = (range(start, stop) for start, stop in zip(ends, ends[1:], strict=False))
    return [records[min(stretch, key=records.keys.__getitem__)] for stretch in stretches]
