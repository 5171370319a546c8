"""What a step's records are found by, so that finding one among very many reads none of them.

index = Index(len(rows), see)       # see(n) gives the item of row n and its record as it stands
index.look(range(len(rows)))        # all at once, or stretch by stretch
index.matching(range(len(rows)), {"text": "honey", "check": "check_accuracy"}, split=True)     # [12, 40]
index.title(12), index.votes(12)    # "Why is raw honey slow to spoil?", [5, 1, 0]
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .detail import TITLE, label, shown, title, votes
from .figures import BY_HAND, reason_of
from .items import Item
from .records import Cast, Conversation, Pair, Verdict, chunk_of

MOST_SOURCES, MOST_REASONS = 200, 50  # that are offered to choose from


class Index:
    """What is known of rows that were looked at; few objects for each, as Python's collector visits them all."""

    def __init__(self, rows: int, see: Callable[[int], tuple[Item, Any]]) -> None:
        self._see = see
        self._texts, self._titles = [""] * rows, [""] * rows
        self._sources, self._reasons = [""] * rows, [""] * rows
        self._failed: list[frozenset[str]] = [frozenset()] * rows
        self._votes: list[tuple[int, ...]] = [()] * rows
        self._apart = array("d", bytes(8 * rows))
        self._looked, self._by_hand = bytearray(rows), bytearray(rows)
        self._left, self._split = rows, 0
        self._same: dict[Any, Any] = {}  # what many rows have is in memory once

    @property
    def done(self) -> float:
        """The share of rows that were looked at; what is asked of all rows is true when it is 1."""
        return 1 - self._left / len(self._looked) if self._left else 1

    @property
    def split(self) -> int:
        """How many rows have votes that disagree, of those that were looked at."""
        return self._split

    def look(self, rows: Iterable[int]) -> None:
        """Look at rows, again where it was done before."""
        for n in rows:
            item, record = self._see(n)
            current = item.outcome.current
            self._texts[n] = _searched(record)
            self._titles[n] = shown(title(record), TITLE)
            self._sources[n] = chunk_of(record).source
            self._reasons[n] = self._once(reason_of(item.outcome)) if item.outcome.reason else ""
            self._failed[n] = self._once(frozenset(v.check for v in current if not v.passed))
            self._votes[n] = self._once(tuple(votes(current)))
            apart = _disagreement(current)
            self._split += (apart > 0) - (self._apart[n] > 0)
            self._apart[n] = apart
            self._left -= not self._looked[n]
            self._looked[n] = 1

    def _once(self, value: Any) -> Any:
        return self._same.setdefault(value, value)

    def title(self, n: int) -> str:
        self._need(n)
        return self._titles[n]

    def votes(self, n: int) -> list[int]:
        """How many passed, failed and abstained."""
        self._need(n)
        return list(self._votes[n])

    def rule(self, n: int, *, rejected_by_hand: bool) -> None:
        """Know whether a person rejected what the step had kept, which is a reason of its own."""
        self._by_hand[n] = rejected_by_hand

    def _reason(self, n: int) -> str:
        return BY_HAND if self._by_hand[n] else self._reasons[n]

    def _need(self, n: int) -> None:
        if not self._looked[n]:
            self.look([n])

    def matching(self, rows: Iterable[int], wanted: Mapping[str, str], *, split: bool) -> list[int]:
        texts, failed = self._texts, self._failed
        if source := wanted.get("source"):
            rows = [n for n in rows if self._sources[n] == source]
        if reason := wanted.get("reason"):
            rows = [n for n in rows if self._reason(n) == reason]
        if check := wanted.get("check"):
            rows = [n for n in rows if check in failed[n]]
        if split:
            rows = [n for n in rows if self._apart[n]]
        if text := wanted.get("text", "").casefold().strip():
            rows = [n for n in rows if text in texts[n]]
        return list(rows)

    def disagreement(self, n: int) -> float:
        """The smaller, the more its votes disagree."""
        return -self._apart[n]

    def facets(self) -> dict[str, Any]:
        sources, checks = Counter(self._sources), Counter[str]()
        reasons = Counter(map(self._reason, range(len(self._texts))))
        for failed, count in Counter(self._failed).items():
            checks.update(dict.fromkeys(failed, count))
        del reasons[""]
        return {
            "checks": [[check, label(check), count] for check, count in checks.most_common()],
            "sources": [[name, count] for name, count in sources.most_common(MOST_SOURCES)]
            if len(sources) > 1
            else [],
            "reasons": [[reason, count] for reason, count in reasons.most_common(MOST_REASONS)],
        }


def _searched(record: Any) -> str:
    """What a search looks through: what the record says itself, and of a chunk its text."""
    match record:
        case Pair(question=question, answer=answer):
            return f"{question}\n{answer}".casefold()
        case Cast():
            own = (record.answerer, record.asker, record.card, record.scenario, record.plan)
            return "\n".join(own).casefold()
        case Conversation(turns=turns):
            return "\n".join(f"{turn.speaker}: {turn.text}" for turn in turns).casefold()
    return chunk_of(record).text.casefold()


def _disagreement(verdicts: Sequence[Verdict]) -> float:
    """0 where each check's votes agree, up to 1 where half of them say the opposite; an abstention counts a little."""
    most = 0.0
    for verdict in verdicts:
        votes = Counter(vote.passed for vote in verdict.votes)
        decided = votes[True] + votes[False]
        apart = 2 * min(votes[True], votes[False]) / decided if decided else 0.0
        most = max(most, apart, 0.1 if votes[None] else 0.0)
    return most
