"""What a step's records are found by, so that finding one among very many reads none of them.

index = Index(len(rows), see)       # see(n) gives the item of row n, its record and its status as they stand
index.build()
index.matching(range(len(rows)), {"text": "honey", "check": "check_accuracy"}, split=True)     # [12, 40]
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .detail import label
from .figures import reason_of
from .items import Item
from .records import Cast, Conversation, Pair, Status, Verdict, chunk_of

MOST_SOURCES, MOST_REASONS = 200, 50  # that are offered to choose from


class Index:
    """Built once, from any thread; whoever needs it meanwhile waits."""

    def __init__(self, rows: int, see: Callable[[int], tuple[Item, Any, Status]]) -> None:
        self._see = see
        self._texts = [""] * rows
        self._about: list[tuple[str, str, frozenset[str], float]] = [("", "", frozenset(), 0.0)] * rows
        self._ready = threading.Event()

    def build(self) -> None:
        """Look at all rows. May go on beside everything else, from another thread."""
        for n in range(len(self._texts)):
            self.look(n)
        self._ready.set()

    def wait(self) -> None:
        self._ready.wait()

    @property
    def split(self) -> int:
        """How many rows have votes that disagree; 0 until all were looked at."""
        return sum(1 for about in self._about if about[3]) if self._ready.is_set() else 0

    def look(self, n: int) -> None:
        item, record, status = self._see(n)
        self._texts[n] = _searched(record)
        current = item.outcome.current
        failed = frozenset(v.check for v in current if not v.passed)
        reason = reason_of(item, status) if item.outcome.reason or status == "rejected" else ""
        self._about[n] = (chunk_of(record).source, reason, failed, _disagreement(current))

    def look_again(self, n: int) -> None:
        """A row that has changed; one that was not looked at yet is looked at later anyway."""
        if self._ready.is_set():
            self.look(n)

    def matching(self, rows: Iterable[int], wanted: Mapping[str, str], *, split: bool) -> list[int]:
        texts, about = self._texts, self._about
        if source := wanted.get("source"):
            rows = (n for n in rows if about[n][0] == source)
        if reason := wanted.get("reason"):
            rows = (n for n in rows if about[n][1] == reason)
        if check := wanted.get("check"):
            rows = (n for n in rows if check in about[n][2])
        if split:
            rows = (n for n in rows if about[n][3])
        if text := wanted.get("text", "").casefold().strip():
            rows = (n for n in rows if text in texts[n])
        return list(rows)

    def disagreement(self, n: int) -> float:
        """The smaller, the more its votes disagree."""
        return -self._about[n][3]

    def facets(self) -> dict[str, Any]:
        sources, reasons, checks = Counter[str](), Counter[str](), Counter[str]()
        for source, reason, failed, _ in self._about:
            sources[source] += 1
            checks.update(failed)
            if reason:
                reasons[reason] += 1
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
