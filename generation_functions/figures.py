"""What a run came to, in numbers: what each step lost and why, how votes fell, how varied its texts are.

    run = Run("first", wb.status(), store.usage(), wb.config)
    run.looked["vet"].reasons[0]                      # Reason("rejected", "accuracy", count=7, first=12)
    run.looked["vet"].votes["check_accuracy"].split   # 3
    run.pairs.questions_begin                         # Counter({"What is": 12, ...})

A run may hold millions of records. Keys and statuses are in memory, so what can be had from them is counted in full;
a figure that has to read the records reads those of `spread`, and says how many. It knows nothing of HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import regex

from .batch import Batch
from .conversations import Traits
from .diversity import Pairs, Source, Talks, of_conversations, of_pairs, of_sources
from .items import Items, statuses
from .records import Outcome, Status, Verdict
from .spread import spread

LONG_NAME = 100  # characters of a reason's name
BY_HAND = "rejected by hand"

NUMBERS = regex.compile(r"\d+")


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


# All of it


@dataclass(frozen=True)
class Run:
    """A run: every step's batch, `Store.usage()` and the configuration. `ended` is when the last call came, in seconds
    since 1970; 0 where nobody knows. Characters are drawn from `traits`; `lengths` are those of whole sources, in
    characters. What has to be read of the records is read once.
    """

    name: str
    batches: Sequence[Batch]
    usage: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    ended: float = 0.0
    traits: Traits = Traits({}, ())
    lengths: Mapping[str, int] = field(default_factory=dict)

    def batch(self, name: str) -> Batch:
        return next((batch for batch in self.batches if batch.name == name), Batch(name, ()))

    def used(self, name: str) -> int:
        """Calls, tokens and so on of all stages and models."""
        return sum(row[name] for row in self.usage)

    @cached_property
    def looked(self) -> Mapping[str, Looked]:
        return {batch.name: look(batch) for batch in self.batches}

    @cached_property
    def pairs(self) -> Pairs:
        return of_pairs(self.batch("distinct").passing)

    @cached_property
    def talks(self) -> Talks:
        return of_conversations(self.batch("converse").passing, self.traits)

    @cached_property
    def sources(self) -> Sequence[Source]:
        return of_sources(self.batch("chunks").passing, self.batch("distinct").passing, self.lengths)

    @property
    def knows_sources(self) -> bool:
        """Whether every chunk was looked at; of very many, some sources may have been passed over."""
        return sum(source.chunks for source in self.sources) == len(self.batch("chunks"))
