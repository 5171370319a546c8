"""A step over many items: load what is on disk, do what is missing, give the same batch.

`carry_out` is what running a notebook cell means. An item is known by the key of its input, so whatever has
been done is not done again; kept and rejected are judgements and stay, failed is the lack of one and is tried
again. It knows records and the store; what the step does with a record is its `work`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .errors import EngineError, OutputError
from .records import Cast, Chunk, Conversation, Group, Ledger, Outcome, Pair, Status, Turn, Verdict, Vote
from .store import Overlay, Row, Store

ERRORS_IN_A_ROW = 10  # engine errors after which a step ends instead of failing every item that is left
ERRORS_IN_HUNDRED = 50  # engine errors among the last hundred items, likewise


@dataclass(frozen=True, slots=True)
class Step:
    """`made_by` tells apart what other prompts, models or settings made; `work` gives the outcome of one
    input.
    """

    name: str
    made_by: str
    work: Callable[[Any], Awaitable[Outcome]]
    workers: int = 16


@dataclass(frozen=True, slots=True)
class Item:
    """One input of a step and what became of it.

    `older` tells that other prompts, models or settings made it.
    """

    input: Any
    outcome: Outcome
    older: bool = False

    def passing(self, overlay: Overlay) -> tuple[Any, ...]:
        """The records that go on, with people's acts laid over them."""
        if self.outcome.status in ("failed", "pending"):
            return ()
        kept = self.outcome.status == "kept"
        return tuple(edited(r, overlay) for r in self.outcome.records if _goes_on(r, kept, overlay))

    def status(self, overlay: Overlay) -> Status:
        if self.passing(overlay):
            return "kept"
        return "rejected" if self.outcome.status == "kept" and self.outcome.records else self.outcome.status


def _goes_on(record: Any, kept: bool, overlay: Overlay) -> bool:
    ruling = overlay.ruling.get(record.key)
    return ruling == "accept" or (ruling is None and (kept or record.key in overlay.edits))


def edited(record: Any, overlay: Overlay) -> Any:
    """The record as people left it."""
    changes = overlay.edits.get(record.key)
    if not changes:
        return record
    if isinstance(record, Conversation):
        turns = [replace(t, text=changes.get(f"turn {n}", t.text)) for n, t in enumerate(record.turns, 1)]
        return replace(record, turns=tuple(turns))
    return replace(record, **changes)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step is: `done` of `total` items, `bought` of them in this call, `seconds` since it began.

    `note` says what it waits for; it is all that there is to say of work without items.
    """

    step: str
    done: int
    total: int
    bought: int
    ledger: Ledger
    seconds: float
    note: str = ""

    def __str__(self) -> str:
        if not self.total:
            return f"{self.step}: {self.note}"
        left = self.seconds / self.bought * (self.total - self.done) if self.bought else 0.0
        note = f"; {self.note}" if self.note else ""
        time_left = f", about {left:.0f} s left" if self.done < self.total and left >= 1 else ""
        return f"{self.step}: {self.done} of {self.total} done ({self.ledger}){time_left}{note}"


@dataclass
class Pause:
    """A person's wish to stop: the items in flight finish, no new one begins."""

    requested: bool = False


async def carry_out(
    step: Step,
    inputs: Sequence[Any],
    store: Store,
    *,
    again: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
    pause: Pause | None = None,
) -> list[Item]:
    """The items of `inputs`, in their order; what is missing or failed is done, `again` also what is older.

    Each outcome is on disk before the next item of its worker begins. Raises EngineError when the engine
    cannot go on; what is done stays. After a pause the rest is pending.
    """
    rows = store.items(step.name)
    items = {record.key: _known(step, record, rows.get(record.key)) for record in inputs}
    missing = [i for i in items.values() if _to_do(i, again)]
    run = _Progress(step.name, [items[record.key] for record in inputs], report)
    queue = iter(missing)

    async def worker() -> None:
        for item in queue:  # one iterator for all workers: no await stands between next() and its use
            if pause and pause.requested:
                return
            outcome, error = await _outcome(step, item.input)
            _keep(store, step, item.input.key, outcome)
            items[item.input.key] = Item(item.input, outcome)
            run.one_more(item, outcome.status, error)

    run.say()
    workers = [asyncio.ensure_future(worker()) for _ in range(min(step.workers, len(missing)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [items[record.key] for record in inputs]


def at_rest(step: Step, inputs: Sequence[Any], store: Store) -> list[Item]:
    """The items as they are on disk; nothing is done."""
    rows = store.items(step.name)
    return [_known(step, record, rows.get(record.key)) for record in inputs]


def _known(step: Step, record: Any, row: Row | None) -> Item:
    if row is None:
        return Item(record, Outcome("pending"))
    records = tuple(unpacked(record, data) for data in row.records)
    verdicts = tuple(
        Verdict(v["check"], v["passed"], tuple(Vote(v["check"], *vote) for vote in v["votes"]))
        for v in row.verdicts
    )
    return Item(record, Outcome(row.status, records, row.reason, verdicts), row.made_by != step.made_by)


def _to_do(item: Item, again: bool) -> bool:
    return item.outcome.status in ("pending", "failed") or (again and item.older)


async def _outcome(step: Step, record: Any) -> tuple[Outcome, EngineError | None]:
    try:
        return await step.work(record), None
    except OutputError as error:
        return Outcome("failed", reason=f"{type(error).__name__}: {error}"), None
    except EngineError as error:
        if not error.retryable:
            raise
        return Outcome("failed", reason=f"EngineError: {error}"), error


class _Progress:
    """Counts a step while it runs, and ends it when the engine keeps failing."""

    def __init__(self, step: str, items: Sequence[Item], report: Callable[[Progress], None]) -> None:
        self._step, self._report = step, report
        self._times = Counter(item.input.key for item in items)  # the same input may come more than once
        self._count: Counter[Status] = Counter(item.outcome.status for item in items)
        self._began, self._bought = time.monotonic(), 0
        self._errors: deque[bool] = deque(maxlen=100)

    def one_more(self, item: Item, now: Status, error: EngineError | None) -> None:
        self._count[item.outcome.status] -= self._times[item.input.key]
        self._count[now] += self._times[item.input.key]
        self._bought += 1
        self._errors.append(error is not None)
        self.say()
        row = list(self._errors)[-ERRORS_IN_A_ROW:]
        if error and (all(row) and len(row) == ERRORS_IN_A_ROW or sum(self._errors) > ERRORS_IN_HUNDRED):
            raise EngineError(
                f"{self._step} ends: {sum(self._errors)} of the last {len(self._errors)} items had engine "
                f"errors. The last: {error}",
                hint="What is done is kept; run the step again when the engine answers.",
            )

    def say(self) -> None:
        ledger = Ledger(**{str(status): n for status, n in self._count.items()})
        done, total = ledger.total - ledger.pending, ledger.total
        self._report(Progress(self._step, done, total, self._bought, ledger, time.monotonic() - self._began))


def _keep(store: Store, step: Step, key: str, outcome: Outcome) -> None:
    verdicts = [
        {"check": v.check, "passed": v.passed, "votes": [[vote.passed, vote.reason] for vote in v.votes]}
        for v in outcome.verdicts
    ]
    records = [packed(record) for record in outcome.records]
    store.put_item(step.name, Row(key, outcome.status, outcome.reason, records, verdicts, step.made_by))


# A record on disk holds what its step added; the rest comes from the step's input, which is at hand.


def packed(record: Any) -> dict[str, Any]:
    match record:
        case Chunk():
            return {}
        case Pair(question=question, answer=answer, evidence=evidence):
            return {"question": question, "answer": answer, "evidence": list(evidence)}
        case Cast():
            return {name: getattr(record, name) for name in ("answerer", "asker", "card", "scenario", "plan")}
        case Conversation(turns=turns):
            return {"turns": [[turn.speaker, turn.text] for turn in turns]}
    raise AssertionError(f"no step makes a {type(record).__name__}")


def unpacked(record: Any, data: dict[str, Any]) -> Any:
    """The record that `packed` gave, made again from the input that its step had."""
    match record:
        case Chunk() if not data:
            return record
        case Chunk():
            return Pair(record, data["question"], data["answer"], tuple(data["evidence"]))
        case Pair():
            return Pair(record.chunk, data["question"], data["answer"], tuple(data["evidence"]))
        case Group():
            return Cast(record, **data)
        case Cast():
            return Conversation(record, tuple(Turn(*turn) for turn in data["turns"]))
    raise AssertionError(f"no step takes a {type(record).__name__}")


def ledger(items: Sequence[Item], overlay: Overlay) -> Ledger:
    total = Ledger()
    for item in items:
        total = total.plus(item.status(overlay))
    return total


def passing(items: Sequence[Item], overlay: Overlay) -> Iterator[Any]:
    """The records that go on to the next step, in the order of the items."""
    for item in items:
        yield from item.passing(overlay)
